/* SPDX-License-Identifier: GPL-2.0 */

/*
 * The fixture of the tests of memory files: each test runs on a file of memfd_create() and on those
 * of the sample driver rust_memfile, and must give the same results.
 */

#ifndef RUST_MEMFILE_FIXTURE_H
#define RUST_MEMFILE_FIXTURE_H

#include "rust_memory.h"
#include "kselftest_harness.h"

FIXTURE(memory)
{
	size_t page;	/* bytes in a page */
	int device;	/* of the sample driver, or -1 */
	unsigned int flags;
};

FIXTURE_VARIANT(memory)
{
	bool memfd;
	unsigned int flags;	/* of struct rust_memfile_create */
};

FIXTURE_VARIANT_ADD(memory, memfd)
{
	.memfd = true,
};

FIXTURE_VARIANT_ADD(memory, rust)
{
};

/* A fault allocates the pages around it as well: not where a test expects holes there. */
#ifdef WITH_LARGE_FOLIOS
FIXTURE_VARIANT_ADD(memory, rust_huge)
{
	.flags = RUST_MEMFILE_HUGE,
};
#else
/* The callbacks are in the module: faults are raised, and pages filled, by what it decides. */
FIXTURE_VARIANT_ADD(memory, rust_handled)
{
	.flags = RUST_MEMFILE_HANDLED,
};
#endif

FIXTURE_VARIANT_ADD(memory, rust_evictable)
{
	.flags = RUST_MEMFILE_EVICTABLE,
};

FIXTURE_SETUP(memory)
{
	int ret;

	self->page = sysconf(_SC_PAGESIZE);
	self->device = -1;
	self->flags = variant->flags | RUST_MEMFILE_CLOEXEC;
	catch_signals();
	if (variant->memfd)
		return;
	ret = load_module(MODULE, "");
	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
		SKIP(return, "no " MODULE ".ko, and no $RUST_MM_MODULES");
	ASSERT_EQ(ret, 0);
	self->device = open(DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_GE(self->device, 0);
}

/* In the parent: with the process of the test, all of its files and mappings are gone. */
FIXTURE_TEARDOWN_PARENT(memory)
{
	struct rust_memfile_stats stats = { 1 };
	int device;

	if (variant->memfd || self->device < 0)
		return;
	device = open(DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_GE(device, 0);
	EXPECT_EQ(ioctl(device, RUST_MEMFILE_STATS, &stats), 0);
	EXPECT_EQ(stats.files, 0);
	close(device);
	ASSERT_EQ(unload_module(MODULE), 0);
}

/*
 * Creates a memory file of the fixture's kind, with more flags, and seals. Returns it, or -errno.
 */
static inline int file_sealed(const FIXTURE_DATA(memory) *self, size_t size, unsigned int flags,
			      unsigned int seals)
{
	flags |= self->flags;
	return self->device < 0 ? memfd_sealed(size, flags, seals) :
		rust_memfile_sealed(self->device, size, ALL_MODES, flags, seals);
}

static inline int file_with(const FIXTURE_DATA(memory) *self, size_t size, unsigned int flags)
{
	return file_sealed(self, size, flags, 0);
}

static inline int file_of(const FIXTURE_DATA(memory) *self, size_t pages)
{
	return file_with(self, pages * self->page, 0);
}

/* Maps the first pages of a file. Returns the mapping, or NULL. */
static inline char *map_pages(const FIXTURE_DATA(memory) *self, int fd, size_t pages, int flags)
{
	void *map = mmap(NULL, pages * self->page, RW, flags, fd, 0);

	return map == MAP_FAILED ? NULL : map;
}

/*
 * Creates a file with @value in each byte, and maps all of it: shared in @map, and privately in
 * @private, unless that is NULL. Each page of both is mapped then. If @value is 0, the file is a
 * hole, and no page is mapped. Returns the file, or -errno.
 */
static inline int mapped_file(const FIXTURE_DATA(memory) *self, size_t pages, char value,
			      char **map, char **private)
{
	const size_t len = pages * self->page;
	int fd = file_of(self, pages);

	if (fd < 0)
		return fd;
	if (value && !put_bytes(fd, 0, len, value))
		return -EIO;
	*map = map_pages(self, fd, pages, MAP_SHARED);
	if (!*map || (value && !all_bytes(*map, len, value)))
		return -EFAULT;
	if (!private)
		return fd;
	*private = map_pages(self, fd, pages, MAP_PRIVATE);
	if (!*private || (value && !all_bytes(*private, len, value)))
		return -EFAULT;
	return fd;
}

/* Returns a page of memory with this value in each byte; NULL if there is no memory. */
static inline char *page_of(const FIXTURE_DATA(memory) *self, char value)
{
	char *page = mmap(NULL, self->page, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return NULL;
	return memset(page, value, self->page);
}

#endif /* RUST_MEMFILE_FIXTURE_H */
