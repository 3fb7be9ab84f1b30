// SPDX-License-Identifier: GPL-2.0

/*
 * Values at the edge, and beyond it, for all that the sample drivers are told: ioctls,
 * their numbers, pointers and contents; module parameters; offsets and lengths. The
 * answer is the right errno, and nothing has happened.
 */

#include "rust_mm.h"
#include "rust_mm_holes.h"
#include "kselftest_harness.h"
#include "../../../../samples/rust/mm/rust_vma_inspect.h"

#include <stdint.h>
#include <sys/ioctl.h>

#define RW	(PROT_READ | PROT_WRITE)

#define DEMAND_REVOKE	_IO('d', 0)
#define DEMAND_RESTORE	_IO('d', 1)
#define DEMAND_TAKE	_IOW('d', 2, unsigned int)
#define DEMAND_CLEAN	_IOR('d', 3, unsigned int)

#define MISUSE_TWICE	_IO('m', 0)
#define MISUSE_ORDER	_IO('m', 1)
#define MISUSE_SLEEP	_IO('m', 2)

#define PFN_REMAP	(1ull << 40)

/* Nothing is mapped there. */
#define NOWHERE		0x123456789000ul

#define FAILS(expr, error)						\
do {									\
	errno = 0;							\
	EXPECT_EQ((long)(expr), -1) TH_LOG("%s", #expr);		\
	EXPECT_EQ(errno, error) TH_LOG("%s", #expr);			\
} while (0)

/* --- each driver, whatever it is */

FIXTURE(any)
{
	size_t page;
	int fd;
};

FIXTURE_VARIANT(any)
{
	const char *name;
	unsigned long ioctls[8];	/* those that it has */
	unsigned long pages;		/* that can be mapped */
	int beyond;			/* what mapping more ends with */
	bool mappable, balance, pages_param;
	int no_pages;			/* what pages=0 ends with */
};

FIXTURE_VARIANT_ADD(any, buffer)
{
	.name = "rust_mmap", .pages = 16, .beyond = ENXIO, .mappable = true,
	.pages_param = true, .no_pages = EINVAL,
};

FIXTURE_VARIANT_ADD(any, plain)
{
	/* As with files, whatever there is beyond the end can be mapped. */
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

FIXTURE_VARIANT_ADD(any, inspect)
{
	.name = "rust_vma_inspect", .ioctls = { RUST_VMA_INSPECT },
};

FIXTURE_VARIANT_ADD(any, misuse)
{
	.name = "rust_mm_misuse",
	.ioctls = { MISUSE_TWICE, MISUSE_ORDER, MISUSE_SLEEP },
};

FIXTURE_VARIANT_ADD(any, holes)
{
	.name = HOLES_MODULE,
	.ioctls = { HOLES_ZAP, HOLES_INSERT, HOLES_IS_OWNED },
};

static int open_device(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/%s", name);
	return open(path, O_RDWR);
}

/* Closing a file is not finished when close(2) returns. */
static int unload(const char *name)
{
	int ret = 0;

	for (int i = 0; i < 20; i++) {
		ret = unload_module(name);
		if (ret != -EWOULDBLOCK)
			break;
		usleep(50000);
	}
	return ret;
}

FIXTURE_SETUP(any)
{
	int ret = load_module(variant->name, "");

	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
		SKIP(return, "no such module, and no $RUST_MM_MODULES");
	ASSERT_EQ(ret, 0);
	self->page = sysconf(_SC_PAGESIZE);
	self->fd = open_device(variant->name);
	if (self->fd < 0 && errno == ENOENT) {
		unload_module(variant->name);
		SKIP(return, "no QEMU -device ivshmem-plain");
	}
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(any)
{
	if (self->fd >= 0) {
		if (variant->balance)
			EXPECT_EQ(fdinfo(self->fd, "vmas"), 0);
		close(self->fd);
		EXPECT_EQ(unload(variant->name), 0);
	}
	/* No test may leave one that it has loaded. */
	EXPECT_EQ(unload_module(variant->name), -ENOENT);
}

/* Numbers that are not the driver's, among them the right ones of wrong sizes. */
TEST_F(any, unknown_ioctls)
{
	static const unsigned int dirs[] = {
		_IOC_NONE, _IOC_READ, _IOC_WRITE, _IOC_READ | _IOC_WRITE,
	};
	static const unsigned int sizes[] = {
		0, 1, 3, 4, 5, 8, 16, 31, 32, 33, 64, (1 << _IOC_SIZEBITS) - 1,
	};
	static const unsigned char types[] = { 'd', 'h', 'm', 'V', 'e', 0xee, 0xff };
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

					for (int i = 0; i < 8; i++)
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

/* Only the buffer can be read, written and seeked in. */
TEST_F(any, positions)
{
	static const off_t offsets[] = {
		0, 1, -1, INT64_MAX, INT64_MIN, 1ll << 32, (1ll << 32) - 1,
	};
	char byte = 0;

	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		off_t at = offsets[i];
		bool buffer = !strcmp(variant->name, "rust_mmap");

		/* Where it ends is a position, too. */
		if (!buffer || at < 0 || at == INT64_MAX) {
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

/* Lengths, offsets and flags of mmap. */
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

		/* This one can, to be put holes into. */
		if (!strcmp(variant->name, HOLES_MODULE)) {
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
		/* Nothing is there, and that is no accident for the kernel. */
		if (cases[i].offset >= self->page * variant->pages)
			EXPECT_EQ(try_read(map), SIGBUS);
		EXPECT_EQ(try_read((char *)map + cases[i].len - 1), SIGBUS);
		munmap(map, cases[i].len);
	}
	/* The last page is still one. */
	if (strcmp(variant->name, "rust_mmap_pfn")) {
		char *map = mmap(NULL, self->page, RW, MAP_SHARED, self->fd,
				 self->page * (variant->pages - 1));

		ASSERT_NE(map, MAP_FAILED);
		EXPECT_EQ(try_write(map), 0);
		munmap(map, self->page);
	}
}

/* The second view of the device memory has its own end. */
TEST_F(any, mmap_second_view)
{
	static const struct {
		unsigned long pages, first;
	} cases[] = {
		{ 4097, 0 }, { 1, 4096 }, { 2, 4095 }, { 4096, 1 }, { 1, 1ul << 28 },
	};

	if (strcmp(variant->name, "rust_mmap_pfn"))
		return;
	ASSERT_EQ(fdinfo(self->fd, "size"), variant->pages * self->page);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		void *map = mmap(NULL, cases[i].pages * self->page, RW, MAP_SHARED,
				 self->fd, PFN_REMAP + cases[i].first * self->page);

		EXPECT_EQ(map, MAP_FAILED) TH_LOG("case %zu", i);
		EXPECT_EQ(errno, EINVAL);
	}
	/* What begins in one and ends in the other is in neither. */
	FAILS(mmap(NULL, 2 * self->page, RW, MAP_SHARED, self->fd,
		   PFN_REMAP - self->page), EINVAL);
	for (unsigned long first = 4095; first; first /= 2) {
		size_t len = (4096 - first) * self->page;
		char *map = mmap(NULL, len, RW, MAP_SHARED, self->fd,
				 PFN_REMAP + first * self->page);

		ASSERT_NE(map, MAP_FAILED);
		EXPECT_EQ(try_write(map + len - 1), 0);
		munmap(map, len);
	}
}

/* What a module is told at its start. */
TEST_F(any, parameters)
{
	static const struct {
		const char *params;
		int error;	/* of those that have pages */
	} cases[] = {
		{ "pages=", EINVAL },
		{ "pages=-1", EINVAL },
		{ "pages=1x", EINVAL },
		{ "pages=\" 1\"", EINVAL },
		{ "pages=0x", EINVAL },
		{ "pages=4294967296", EINVAL },
		{ "pages=18446744073709551616", EINVAL },
		{ "pages=99999999999999999999999999999999", EINVAL },
		/* More than there can be, of pages or of what describes them. */
		{ "pages=4294967295", ENOMEM },
		{ "pages=4294967294", ENOMEM },
		{ "pages=2147483648", ENOMEM },
		{ "pages=2147483647", ENOMEM },
		{ "pages=268435455", ENOMEM },
		{ "pages=134217728", ENOMEM },
		{ "pages=134217727", ENOMEM },
		{ "pages=1", 0 },
		{ "pages=0x1", 0 },
		{ "pages=0b11", 0 },
		{ "pages=257", 0 },
	};

	close(self->fd);
	self->fd = -1;
	ASSERT_EQ(unload(variant->name), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int ret = load_module(variant->name, cases[i].params);
		int expected = variant->pages_param ? -cases[i].error : 0;

		EXPECT_EQ(ret, expected) TH_LOG("%s", cases[i].params);
		EXPECT_EQ(unload(variant->name), ret ? -ENOENT : 0);
	}
	if (variant->pages_param) {
		int ret = load_module(variant->name, "pages=0");

		EXPECT_EQ(ret, -variant->no_pages);
		if (!ret) {
			int fd = open_device(variant->name);
			char *map = mmap(NULL, self->page, RW, MAP_SHARED, fd, 0);

			EXPECT_EQ(fdinfo(fd, "size"), 0);
			ASSERT_NE(map, MAP_FAILED);
			EXPECT_EQ(try_read(map), SIGBUS);
			munmap(map, self->page);
			close(fd);
			EXPECT_EQ(unload(variant->name), 0);
		}
		/* Twice is once too often. */
		EXPECT_NE(load_module(variant->name, "pages=1 pages=2"), 0);
		EXPECT_EQ(unload(variant->name), -ENOENT);
	}
}

/* --- rust_mmap_demand */

FIXTURE(demand)
{
	size_t page;
	int fd;
	char *map;	/* 64 pages, each written */
};

FIXTURE_SETUP(demand)
{
	int ret = load_module("rust_mmap_demand", "pages=64");

	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
		SKIP(return, "no such module, and no $RUST_MM_MODULES");
	ASSERT_EQ(ret, 0);
	self->page = sysconf(_SC_PAGESIZE);
	self->fd = open_device("rust_mmap_demand");
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, 64 * self->page, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(self->map, MAP_FAILED);
	for (int i = 0; i < 64; i++)
		self->map[i * self->page] = 1 + i;
}

FIXTURE_TEARDOWN(demand)
{
	munmap(self->map, 64 * self->page);
	EXPECT_EQ(fdinfo(self->fd, "vmas"), 0);
	EXPECT_EQ(fdinfo(self->fd, "mappings"), 0);
	close(self->fd);
	EXPECT_EQ(unload("rust_mmap_demand"), 0);
}

/* Addresses that no four bytes are at. */
static const unsigned long bad[] = {
	0, 1, 8, NOWHERE, 0x7ffffffff000, 1ul << 47, 1ul << 63,
	0xffff888000000000, 0xffffffff81000000, -4ul, -3ul, -1ul,
};

/* All pages are there, as they were written, and known to be. */
#define UNTOUCHED()							\
do {									\
	EXPECT_EQ(fdinfo(self->fd, "present"), 64);			\
	EXPECT_EQ(fdinfo(self->fd, "dirty"), 64);			\
	EXPECT_EQ(fdinfo(self->fd, "revoked"), 0);			\
	for (int i = 0; i < 64; i++)					\
		ASSERT_EQ(self->map[i * self->page], 1 + i);		\
} while (0)

TEST_F(demand, bad_pointers)
{
	char *map = mmap(NULL, 2 * self->page, RW, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	unsigned int *across = (unsigned int *)(map + self->page - 3);

	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(munmap(map + self->page, self->page), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		FAILS(ioctl(self->fd, DEMAND_TAKE, bad[i]), EFAULT);
		FAILS(ioctl(self->fd, DEMAND_CLEAN, bad[i]), EFAULT);
		UNTOUCHED();
	}
	FAILS(ioctl(self->fd, DEMAND_TAKE, across), EFAULT);
	FAILS(ioctl(self->fd, DEMAND_CLEAN, across), EFAULT);
	UNTOUCHED();
	/* To be read only, to be written only. */
	ASSERT_EQ(mprotect(map, self->page, PROT_READ), 0);
	FAILS(ioctl(self->fd, DEMAND_CLEAN, map), EFAULT);
	ASSERT_EQ(mprotect(map, self->page, PROT_NONE), 0);
	FAILS(ioctl(self->fd, DEMAND_CLEAN, map), EFAULT);
	FAILS(ioctl(self->fd, DEMAND_TAKE, map), EFAULT);
	UNTOUCHED();
	munmap(map, self->page);
}

/* Where no word is aligned, and in the memory that is dealt with. */
TEST_F(demand, odd_pointers)
{
	char buf[16] = "";
	unsigned int n;

	for (int i = 0; i < 8; i++) {
		n = i;
		memcpy(buf + i, &n, 4);
		EXPECT_EQ(ioctl(self->fd, DEMAND_TAKE, buf + i), 0);
		EXPECT_EQ(fdinfo(self->fd, "present"), 63 - i);
	}
	EXPECT_EQ(ioctl(self->fd, DEMAND_CLEAN, buf + 1), 0);
	memcpy(&n, buf + 1, 4);
	EXPECT_EQ(n, 56);

	/* The index of the page, in the page. */
	n = 9;
	memcpy(self->map + 9 * self->page + 100, &n, 4);
	EXPECT_EQ(ioctl(self->fd, DEMAND_TAKE, self->map + 9 * self->page + 100), 0);
	EXPECT_EQ(self->map[9 * self->page], 0);
	/* Cleaned, and written with how many were. */
	self->map[10 * self->page] = 1;
	EXPECT_EQ(ioctl(self->fd, DEMAND_CLEAN, self->map + 10 * self->page), 0);
	EXPECT_GE(self->map[10 * self->page], 1);
	EXPECT_GE(fdinfo(self->fd, "dirty"), 1);
}

TEST_F(demand, indices)
{
	static const unsigned int beyond[] = {
		64, 65, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff,
	};
	unsigned int index;

	for (size_t i = 0; i < ARRAY_SIZE(beyond); i++) {
		index = beyond[i];
		FAILS(ioctl(self->fd, DEMAND_TAKE, &index), EINVAL);
		EXPECT_EQ(index, beyond[i]);
	}
	UNTOUCHED();
	index = 63;
	EXPECT_EQ(ioctl(self->fd, DEMAND_TAKE, &index), 0);
	index = 0;
	EXPECT_EQ(ioctl(self->fd, DEMAND_TAKE, &index), 0);
	/* One that is not there. */
	EXPECT_EQ(ioctl(self->fd, DEMAND_TAKE, &index), 0);
	EXPECT_EQ(fdinfo(self->fd, "present"), 62);
	EXPECT_EQ(self->map[63 * self->page], 0);
	EXPECT_EQ(self->map[0], 0);
	EXPECT_EQ(self->map[self->page], 2);
}

/* The argument of these does not matter, nor how often they come. */
TEST_F(demand, revocation)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(ioctl(self->fd, DEMAND_RESTORE, bad[i]), 0);
		UNTOUCHED();
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(ioctl(self->fd, DEMAND_REVOKE, bad[i]), 0);
		EXPECT_EQ(fdinfo(self->fd, "revoked"), 1);
		EXPECT_EQ(try_read(self->map), SIGBUS);
	}
	/* An argument that cannot be had, since it is revoked. */
	FAILS(ioctl(self->fd, DEMAND_TAKE, self->map), EFAULT);
	FAILS(ioctl(self->fd, DEMAND_CLEAN, self->map), EFAULT);
	EXPECT_EQ(ioctl(self->fd, DEMAND_RESTORE, 0), 0);
	UNTOUCHED();
}

/* --- rust_vma_inspect */

FIXTURE(inspect)
{
	size_t page;
	int fd;
};

FIXTURE_SETUP(inspect)
{
	int ret = load_module("rust_vma_inspect", "");

	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
		SKIP(return, "no such module, and no $RUST_MM_MODULES");
	ASSERT_EQ(ret, 0);
	self->page = sysconf(_SC_PAGESIZE);
	self->fd = open_device("rust_vma_inspect");
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(inspect)
{
	close(self->fd);
	EXPECT_EQ(unload("rust_vma_inspect"), 0);
}

/* Refused, the request is what it was, and so is where the answer was to go. */
#define REFUSED(error, field, value)					\
do {									\
	struct rust_vma_inspect request = {				\
		.pid = getpid(), .vmas = (unsigned long)vmas, .count = 4, \
	}, before;							\
									\
	request.field = value;						\
	before = request;						\
	memset(vmas, 0x5a, sizeof(vmas));				\
	FAILS(ioctl(self->fd, RUST_VMA_INSPECT, &request), error);	\
	EXPECT_EQ(memcmp(&request, &before, sizeof(before)), 0);	\
	for (size_t i = 0; i < sizeof(vmas); i++)			\
		ASSERT_EQ(((unsigned char *)vmas)[i], 0x5a);		\
} while (0)

TEST_F(inspect, refused)
{
	static struct rust_vma vmas[4];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		FAILS(ioctl(self->fd, RUST_VMA_INSPECT, bad[i]), EFAULT);
		REFUSED(EFAULT, vmas, bad[i]);
	}
	REFUSED(ESRCH, pid, 0);
	REFUSED(ESRCH, pid, 1ul << 31);
	REFUSED(ESRCH, pid, (1ul << 31) - 1);
	REFUSED(ESRCH, pid, (1ul << 32) + getpid());
	REFUSED(ESRCH, pid, 1ul << 63);
	REFUSED(ESRCH, pid, -1ul);
	REFUSED(ESRCH, pid, -(unsigned long)getpid());
	/* A kernel thread has no memory to look at. */
	REFUSED(ESRCH, pid, 2);
	REFUSED(EINVAL, flags, 2);
	REFUSED(EINVAL, flags, 3);
	REFUSED(EINVAL, flags, 1u << 31);
	REFUSED(EINVAL, flags, -1u);
}

static int list(int fd, struct rust_vma_inspect *request, void *vmas,
		unsigned long start, unsigned int count, unsigned int flags)
{
	*request = (struct rust_vma_inspect) {
		.pid = getpid(), .start = start, .vmas = (unsigned long)vmas,
		.count = count, .flags = flags,
	};
	return ioctl(fd, RUST_VMA_INSPECT, request) ? -errno : 0;
}

TEST_F(inspect, starts_and_counts)
{
	static const unsigned int counts[] = { 1023, 1024, 1025, 1u << 31, -1u };
	static struct rust_vma vmas[2000];
	struct rust_vma_inspect request;
	unsigned long first;
	char *map;

	/* More than fit into an answer. */
	map = mmap(NULL, 3000 * self->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		   -1, 0);
	ASSERT_NE(map, MAP_FAILED);
	first = (unsigned long)map + self->page;
	for (int i = 1; i < 3000; i += 2)
		ASSERT_EQ(mprotect(map + i * self->page, self->page, PROT_READ), 0);

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		unsigned int n = counts[i] < 1024 ? counts[i] : 1024;

		memset(vmas, 0x5a, sizeof(vmas));
		ASSERT_EQ(list(self->fd, &request, vmas, first, counts[i], 0), 0);
		EXPECT_EQ(request.count, n);
		EXPECT_EQ(request.start, first + n * self->page);
		EXPECT_EQ(vmas[0].start, first);
		EXPECT_EQ(vmas[n - 1].end, request.start);
		/* And nothing behind them. */
		EXPECT_EQ(vmas[n].start, 0x5a5a5a5a5a5a5a5a);
	}
	/* None: only where there is one. Nothing is written, wherever that is. */
	ASSERT_EQ(list(self->fd, &request, NULL, first, 0, 0), 0);
	EXPECT_EQ(request.count, 0);
	EXPECT_EQ(request.start, first);
	ASSERT_EQ(list(self->fd, &request, (void *)-1ul, first, 0, 1), 0);
	/* Within a page is the page. */
	ASSERT_EQ(list(self->fd, &request, vmas, first + 1, 1, 0), 0);
	EXPECT_EQ(vmas[0].start, first);
	ASSERT_EQ(list(self->fd, &request, vmas, first + self->page - 1, 1, 0), 0);
	EXPECT_EQ(vmas[0].start, first);

	/* Beyond everything. */
	for (int shift = 47; shift < 64; shift++) {
		ASSERT_EQ(list(self->fd, &request, vmas, 1ul << shift, 4, 1), 0);
		EXPECT_EQ(request.count, 0);
		EXPECT_EQ(request.start, 0);
		ASSERT_EQ(list(self->fd, &request, vmas, -1ul << (shift - 46), 4, 1), 0);
		EXPECT_EQ(request.count, 0);
	}
	ASSERT_EQ(list(self->fd, &request, vmas, -1ul, 4, 1), 0);
	EXPECT_EQ(request.count, 0);
	ASSERT_EQ(list(self->fd, &request, vmas, 0, 1, 1), 0);
	EXPECT_EQ(request.count, 1);
	munmap(map, 3000 * self->page);
}

/* The request itself: at odd addresses, across pages, half there, not to be written. */
TEST_F(inspect, requests)
{
	static struct rust_vma vmas[4];
	struct rust_vma_inspect request = {
		.pid = getpid(), .vmas = (unsigned long)vmas, .count = 4,
	}, answer;
	char *map = mmap(NULL, 3 * self->page, RW, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);

	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(munmap(map + 2 * self->page, self->page), 0);
	for (size_t i = 1; i < sizeof(request); i++) {
		char *at = map + self->page - i;

		memcpy(at, &request, sizeof(request));
		ASSERT_EQ(ioctl(self->fd, RUST_VMA_INSPECT, at), 0);
		memcpy(&answer, at, sizeof(answer));
		ASSERT_EQ(answer.count, 4);
		FAILS(ioctl(self->fd, RUST_VMA_INSPECT, map + 2 * self->page - i),
		      EFAULT);
	}
	memcpy(map, &request, sizeof(request));
	ASSERT_EQ(mprotect(map, self->page, PROT_READ), 0);
	FAILS(ioctl(self->fd, RUST_VMA_INSPECT, map), EFAULT);
	munmap(map, 2 * self->page);
}

/* --- the two that are there to be misused: what they refuse */

TEST(misuse_refuses)
{
	int ret = load_module("rust_mm_misuse", ""), fd;

	if (ret == -ENOENT)
		SKIP(return, "no rust_mm_misuse.ko");
	ASSERT_EQ(ret, 0);
	fd = open_device("rust_mm_misuse");
	ASSERT_GE(fd, 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		FAILS(ioctl(fd, MISUSE_ORDER, bad[i]), EFAULT);
		FAILS(ioctl(fd, MISUSE_SLEEP, bad[i]), EFAULT);
	}
	close(fd);
	EXPECT_EQ(unload("rust_mm_misuse"), 0);
}

TEST(holes_refuse)
{
	int ret = load_module(HOLES_MODULE, ""), fd;
	unsigned long range[2] = { NOWHERE, -1ul };

	if (ret == -ENOENT)
		SKIP(return, "no " HOLES_MODULE ".ko");
	ASSERT_EQ(ret, 0);
	fd = open_device(HOLES_MODULE);
	ASSERT_GE(fd, 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		FAILS(ioctl(fd, HOLES_ZAP, bad[i]), EFAULT);
		FAILS(ioctl(fd, HOLES_INSERT, bad[i]), EFAULT);
		FAILS(ioctl(fd, HOLES_IS_OWNED, bad[i]), EFAULT);
		range[0] = bad[i];
		FAILS(ioctl(fd, HOLES_ZAP, range), EFAULT);
	}
	/* Memory of a kind that no page can be put into. */
	FAILS(ioctl(fd, HOLES_INSERT, range), EINVAL);
	EXPECT_EQ(ioctl(fd, HOLES_IS_OWNED, range), 0);
	close(fd);
	EXPECT_EQ(unload(HOLES_MODULE), 0);
}

TEST_HARNESS_MAIN
