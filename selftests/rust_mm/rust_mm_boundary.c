// SPDX-License-Identifier: GPL-2.0

/*
 * Boundary values, and values past the boundary, for all sample drivers: unknown ioctls,
 * module parameters, offsets and lengths. Expects the right errno from the driver or the
 * kernel, and that the refused call has no effect.
 */

#include "rust_mm_boundary.h"

#define PFN_FILL	(1ull << 40)

/* --- tests of every driver */

FIXTURE(any)
{
	size_t page;
	int fd;
};

FIXTURE_VARIANT(any)
{
	const char *name;
	unsigned long ioctls[10];	/* the ioctls of the driver */
	unsigned long pages;		/* pages that can be mapped */
	int beyond;			/* errno of mmap() past the end */
	bool mappable, balance, pages_param;
	bool read_only;			/* mmap() for writing is refused */
	int no_pages;			/* errno of loading with pages=0 */
	int no_range;			/* errno of read() before the ioctl */
};

FIXTURE_VARIANT_ADD(any, buffer)
{
	.name = "rust_mmap", .pages = 16, .beyond = ENXIO, .mappable = true,
	.pages_param = true, .no_pages = EINVAL,
};

FIXTURE_VARIANT_ADD(any, plain)
{
	/* As with a file, mmap() past the end succeeds. */
	.name = "rust_mmap_plain", .pages = 16, .mappable = true, .balance = true,
	.pages_param = true,
};

FIXTURE_VARIANT_ADD(any, demand)
{
	.name = "rust_mmap_demand", .pages = 64, .beyond = ENXIO,
	.mappable = true, .balance = true, .pages_param = true,
	.no_pages = EINVAL,
	.ioctls = { DEMAND_REVOKE, DEMAND_RESTORE, DEMAND_TAKE, DEMAND_CLEAN },
};

FIXTURE_VARIANT_ADD(any, pfn)
{
	.name = "rust_mmap_pfn", .pages = 4096, .beyond = EINVAL, .mappable = true,
};

FIXTURE_VARIANT_ADD(any, dma)
{
	.name = "rust_mmap_dma", .pages = 4, .beyond = ENXIO, .mappable = true,
	.ioctls = { RUST_MMAP_DMA_RUN },
};

FIXTURE_VARIANT_ADD(any, reclaim)
{
	.name = "rust_mmap_reclaim", .pages = 16, .mappable = true,
	.pages_param = true, .read_only = true,
};

FIXTURE_VARIANT_ADD(any, cdev)
{
	.name = "rust_mmap_cdev", .pages = 4, .beyond = ENXIO, .mappable = true,
	.ioctls = { CDEV_UNREGISTER },
};

/* The buffers are files of their own, which rust_mmap_buffers.c tests. */
FIXTURE_VARIANT_ADD(any, buffers)
{
	.name = "rust_mmap_buffers", .ioctls = { BUFFERS_CREATE },
};

FIXTURE_VARIANT_ADD(any, inspect)
{
	.name = "rust_vma_inspect", .ioctls = { RUST_VMA_INSPECT },
};

FIXTURE_VARIANT_ADD(any, mirror)
{
	.name = "rust_mirror", .ioctls = { RUST_MIRROR_SET }, .no_range = ENXIO,
};

FIXTURE_VARIANT_ADD(any, pin)
{
	.name = "rust_pin", .ioctls = { RUST_PIN_SET }, .no_range = ENXIO,
};

FIXTURE_VARIANT_ADD(any, misuse)
{
	.name = "rust_mm_misuse",
	.ioctls = {
		MISUSE_TWICE, MISUSE_ORDER, MISUSE_SLEEP, MISUSE_AROUND, MISUSE_COPY,
		MISUSE_MIRROR,
	},
};

FIXTURE_VARIANT_ADD(any, broken)
{
	.name = "rust_mm_broken",
	.ioctls = {
		BROKEN_FREED, BROKEN_VMALLOC, BROKEN_STACK, BROKEN_PAGE, BROKEN_LEAK,
		BROKEN_RACE, BROKEN_LIST, BROKEN_LOCK, BROKEN_VMA,
	},
};

FIXTURE_SETUP(any)
{
	const char *reason;

	self->page = sysconf(_SC_PAGESIZE);
	self->fd = open_loaded(variant->name, &reason);
	if (self->fd == -ENOENT)
		SKIP(return, "%s", reason);
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(any)
{
	if (self->fd >= 0) {
		if (variant->balance)
			EXPECT_EQ(fdinfo_vmas(self->fd), 0);
		close(self->fd);
		EXPECT_EQ(unload(variant->name), 0);
	}
	/* No test may leave a module loaded. */
	EXPECT_EQ(unload_module(variant->name), -ENOENT);
}

/* Expects ENOTTY for unknown ioctls, among them known numbers with a wrong size. */
TEST_F(any, unknown_ioctls)
{
	static const unsigned int dirs[] = {
		_IOC_NONE, _IOC_READ, _IOC_WRITE, _IOC_READ | _IOC_WRITE,
	};
	static const unsigned int sizes[] = {
		0, 1, 3, 4, 5, 8, 16, 31, 32, 33, 64, (1 << _IOC_SIZEBITS) - 1,
	};
	static const unsigned char types[] = { 'b', 'd', 'h', 'm', 'V', 'e', 0xee, 0xff };
	char *before, *arg = mmap(NULL, 4 * self->page, RW,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long tried = 0;

	ASSERT_NE(arg, MAP_FAILED);
	memset(arg, 0x5a, 4 * self->page);
	before = mmap(NULL, 4 * self->page, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(before, arg, 4 * self->page);
	for (size_t t = 0; t < sizeof(types); t++)
		for (size_t d = 0; d < ARRAY_SIZE(dirs); d++)
			for (size_t s = 0; s < ARRAY_SIZE(sizes); s++)
				for (unsigned int nr = 0; nr < 256; nr++) {
					unsigned long cmd = _IOC(dirs[d], types[t],
								 nr, sizes[s]);
					bool known = false;

					for (size_t i = 0; i < ARRAY_SIZE(variant->ioctls); i++)
						known |= variant->ioctls[i] == cmd;
					if (known)
						continue;
					tried++;
					errno = 0;
					ASSERT_EQ(ioctl(self->fd, cmd, arg), -1)
						TH_LOG("%#lx", cmd);
					ASSERT_EQ(errno, ENOTTY)
						TH_LOG("%#lx", cmd);
					if (nr > 8 && nr < 250)
						nr += 40;
				}
	ASSERT_GT(tried, 4000);
	ASSERT_EQ(memcmp(before, arg, 4 * self->page), 0);
	munmap(arg, 4 * self->page);
	munmap(before, 4 * self->page);
}

/* Expects that only rust_mmap, and drivers that were told a range, can be read and written. */
TEST_F(any, positions)
{
	static const off_t offsets[] = {
		0, 1, -1, INT64_MAX, INT64_MIN, 1ll << 32, (1ll << 32) - 1,
	};
	char byte = 0;

	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		off_t at = offsets[i];
		bool buffer = !strcmp(variant->name, "rust_mmap");

		/* A byte at INT64_MAX would end past the largest position: EINVAL. */
		if (variant->no_range && at >= 0 && at != INT64_MAX) {
			FAILS(pread(self->fd, &byte, 1, at), variant->no_range);
			FAILS(pwrite(self->fd, &byte, 1, at), variant->no_range);
		} else if (!buffer || at < 0 || at == INT64_MAX) {
			FAILS(pread(self->fd, &byte, 1, at), EINVAL);
			FAILS(pwrite(self->fd, &byte, 1, at), EINVAL);
		} else if (at > 1) {
			EXPECT_EQ(pread(self->fd, &byte, 1, at), 0);
			FAILS(pwrite(self->fd, &byte, 1, at), ENOSPC);
		} else {
			EXPECT_EQ(pread(self->fd, &byte, 1, at), 1);
			EXPECT_EQ(pwrite(self->fd, &byte, 1, at), 1);
		}
	}
}

/* Expects the right errno for each length and offset of mmap(). */
TEST_F(any, mmap_ranges)
{
	struct {
		size_t len;
		unsigned long long offset;
		int error;
	} cases[] = {
		{ 0, 0, EINVAL },
		{ 1, 1, EINVAL },
		{ 1, self->page - 1, EINVAL },
		{ -1ul, 0, ENOMEM },
		{ 1ul << 63, 0, ENOMEM },
		{ -self->page, 0, ENOMEM },
		{ self->page, -(unsigned long long)self->page, EOVERFLOW },
		{ self->page * (variant->pages + 1), 0, variant->beyond },
		{ self->page, self->page * variant->pages, variant->beyond },
		{ 2 * self->page, self->page * (variant->pages - 1), variant->beyond },
		{ self->page, 1ull << 39, variant->beyond },
		{ self->page, 1ull << 62, variant->beyond },
		{ self->page, INT64_MAX & -self->page, variant->beyond },
		{ self->page, INT64_MAX & -(2 * self->page), variant->beyond },
	};

	if (!variant->mappable) {
		void *map = mmap(NULL, self->page, RW, MAP_SHARED, self->fd, 0);

		/* rust_mm_broken can be mapped, to free a page while it is mapped. */
		if (!strcmp(variant->name, "rust_mm_broken")) {
			ASSERT_NE(map, MAP_FAILED);
			munmap(map, self->page);
		} else {
			ASSERT_EQ(map, MAP_FAILED);
			ASSERT_EQ(errno, ENODEV);
		}
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		void *map;

		errno = 0;
		map = mmap(NULL, cases[i].len, PROT_READ, MAP_SHARED, self->fd,
			   cases[i].offset);
		EXPECT_EQ(errno, cases[i].error)
			TH_LOG("%#zx bytes at %#llx", cases[i].len, cases[i].offset);
		EXPECT_EQ(map == MAP_FAILED, !!cases[i].error);
		if (map == MAP_FAILED)
			continue;
		/* An access past the end of the memory raises SIGBUS. */
		if (cases[i].offset >= self->page * variant->pages)
			EXPECT_EQ(try_read(map), SIGBUS);
		EXPECT_EQ(try_read((char *)map + cases[i].len - 1), SIGBUS);
		munmap(map, cases[i].len);
	}
	/* The last page can be mapped and accessed. */
	if (strcmp(variant->name, "rust_mmap_pfn")) {
		char *map = mmap(NULL, self->page, variant->read_only ? PROT_READ : RW,
				 MAP_SHARED, self->fd, self->page * (variant->pages - 1));

		ASSERT_NE(map, MAP_FAILED);
		EXPECT_EQ(variant->read_only ? try_read(map) : try_write(map), 0);
		munmap(map, self->page);
	}
}

/* Expects EINVAL or ENOMEM for a bad module parameter, and the right size for a good one. */
TEST_F(any, parameters)
{
	char path[128];
	static const struct {
		const char *params;
		int error;	/* of the drivers with a parameter `pages`, */
		long pages;	/* or the number of pages after success */
	} cases[] = {
		{ "pages", EINVAL },
		{ "pages=", EINVAL },
		{ "pages=-1", EINVAL },
		{ "pages=-0x1", EINVAL },
		{ "pages=--1", EINVAL },
		{ "pages=1x", EINVAL },
		{ "pages=1_0", EINVAL },
		{ "pages=1,2", EINVAL },
		{ "pages=\" 1\"", EINVAL },
		{ "pages=0x", EINVAL },
		{ "pages=0b", EINVAL },
		{ "pages=0b2", EINVAL },
		{ "pages=08", EINVAL },
		{ "pages=4294967296", EINVAL },
		{ "pages=18446744073709551616", EINVAL },
		{ "pages=99999999999999999999999999999999", EINVAL },
		/* More than there is memory, for the pages or for the array of them. */
		{ "pages=4294967295", ENOMEM },
		{ "pages=4294967294", ENOMEM },
		{ "pages=2147483648", ENOMEM },
		{ "pages=2147483647", ENOMEM },
		{ "pages=268435455", ENOMEM },
		{ "pages=134217728", ENOMEM },
		{ "pages=134217727", ENOMEM },
		{ "pages=1", 0, 1 },
		{ "pages=+1", 0, 1 },
		{ "pages=0x1", 0, 1 },
		{ "pages=0b11", 0, 3 },
		{ "pages=0o17", 0, 15 },
		{ "pages=017", 0, 15 },
		{ "pages=257", 0, 257 },
	};

	close(self->fd);
	self->fd = -1;
	ASSERT_EQ(unload(variant->name), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int ret = load_module(variant->name, cases[i].params);
		int error = 0;

		if (variant->pages_param)
			error = cases[i].error;
		EXPECT_EQ(ret, -error) TH_LOG("%s", cases[i].params);
		if (!ret && variant->pages_param) {
			self->fd = open_device(variant->name);
			EXPECT_EQ(fdinfo(self->fd, "size"),
				  cases[i].pages * self->page);
			close(self->fd);
			self->fd = -1;
		}
		EXPECT_EQ(unload(variant->name), ret ? -ENOENT : 0);
	}
	if (variant->pages_param) {
		int ret = load_module(variant->name, "pages=0");

		EXPECT_EQ(ret, -variant->no_pages);
		if (!ret) {
			int fd = open_device(variant->name);
			char *map = mmap(NULL, self->page, PROT_READ, MAP_SHARED, fd, 0);

			EXPECT_EQ(fdinfo(fd, "size"), 0);
			ASSERT_NE(map, MAP_FAILED);
			EXPECT_EQ(try_read(map), SIGBUS);
			munmap(map, self->page);
			close(fd);
			EXPECT_EQ(unload(variant->name), 0);
		}
		/* The parameters of a loaded module are not in sysfs, so nothing changes them. */
		snprintf(path, sizeof(path), "/sys/module/%s/parameters", variant->name);
		ASSERT_EQ(load_module(variant->name, "pages=1"), 0);
		FAILS(access(path, F_OK), ENOENT);
		EXPECT_EQ(unload(variant->name), 0);
		/* A parameter must not be given twice. */
		EXPECT_NE(load_module(variant->name, "pages=1 pages=2"), 0);
		EXPECT_EQ(unload(variant->name), -ENOENT);
	}
}

/* --- rust_mmap_pfn, whose memory has two views */

FIXTURE(pfn_boundary)
{
	size_t page;
	int fd;
};

FIXTURE_SETUP(pfn_boundary)
{
	const char *reason;

	self->page = sysconf(_SC_PAGESIZE);
	self->fd = open_loaded("rust_mmap_pfn", &reason);
	if (self->fd == -ENOENT)
		SKIP(return, "%s", reason);
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(pfn_boundary)
{
	if (self->fd >= 0) {
		close(self->fd);
		EXPECT_EQ(unload("rust_mmap_pfn"), 0);
	}
}

/* Expects EINVAL for a mapping that extends past the end of the second view. */
TEST_F(pfn_boundary, mmap_second_view)
{
	static const struct {
		unsigned long pages, first;
	} cases[] = {
		{ 4097, 0 }, { 1, 4096 }, { 2, 4095 }, { 4096, 1 }, { 1, (1ul << 28) - 1 },
	};

	ASSERT_EQ(fdinfo(self->fd, "size"), 4096 * self->page);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		void *map = mmap(NULL, cases[i].pages * self->page, RW, MAP_SHARED,
				 self->fd, PFN_FILL + cases[i].first * self->page);

		EXPECT_EQ(map, MAP_FAILED) TH_LOG("case %zu", i);
		EXPECT_EQ(errno, EINVAL);
	}
	/* A mapping that starts in the first view and ends in the second is refused. */
	FAILS(mmap(NULL, 2 * self->page, RW, MAP_SHARED, self->fd,
		   PFN_FILL - self->page), EINVAL);
	for (unsigned long first = 4095; first; first /= 2) {
		size_t len = (4096 - first) * self->page;
		char *map = mmap(NULL, len, RW, MAP_SHARED, self->fd,
				 PFN_FILL + first * self->page);

		ASSERT_NE(map, MAP_FAILED);
		EXPECT_EQ(try_write(map + len - 1), 0);
		munmap(map, len);
	}
}

TEST_HARNESS_MAIN
