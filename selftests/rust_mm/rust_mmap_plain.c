// SPDX-License-Identifier: GPL-2.0

/*
 * The sample driver rust_mmap_plain: mappings without special VMA flags. The kernel
 * must let user space do with them what it can do with mappings of a file.
 */

#include "rust_mm.h"
#include "kselftest_harness.h"

#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>

#define MODULE	"rust_mmap_plain"
#define DEVICE	"/dev/rust_mmap_plain"
#define PAGES	8

#define RW	(PROT_READ | PROT_WRITE)

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

FIXTURE(plain)
{
	size_t page;	/* bytes in a page */
	size_t size;	/* bytes in the memory */
	int fd;
	char *map;	/* a mapping of all the memory */
};

FIXTURE_SETUP(plain)
{
	int ret = load_module(MODULE, "pages=8");

	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
		SKIP(return, "no " MODULE ".ko, and no $RUST_MM_MODULES");
	ASSERT_EQ(ret, 0);
	self->page = sysconf(_SC_PAGESIZE);
	self->size = PAGES * self->page;
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(self->map, MAP_FAILED);
	ASSERT_EQ(fdinfo_vmas(self->fd), 1);
}

FIXTURE_TEARDOWN(plain)
{
	munmap(self->map, self->size);
	EXPECT_EQ(fdinfo_vmas(self->fd), 0);
	close(self->fd);
	ASSERT_EQ(unload_module(MODULE), 0);
}

/* Each fault maps one page, whether the driver returns or inserts it. */
TEST_F(plain, faults)
{
	for (int i = 0; i < PAGES; i++) {
		self->map[i * self->page] = 'a' + i;
		ASSERT_EQ(fdinfo(self->fd, "faults"), i + 1);
	}
	for (int i = 0; i < PAGES; i++)
		ASSERT_EQ(self->map[i * self->page], 'a' + i);
	ASSERT_EQ(fdinfo(self->fd, "faults"), PAGES);
}

/*
 * Faults are handled under the VMA lock alone, although this driver has no map_pages of its
 * own: without one in the table, the kernel would retry each fault under the mmap lock.
 */
TEST_F(plain, faults_under_vma_lock)
{
	long success = vmstat("vma_lock_success");
	long retry = vmstat("vma_lock_retry");

	if (success < 0)
		SKIP(return, "the kernel does not count faults under the VMA lock");
	for (int i = 0; i < PAGES; i++)
		self->map[i * self->page] = 1;
	EXPECT_GE(vmstat("vma_lock_success"), success + PAGES);
	EXPECT_LT(vmstat("vma_lock_retry"), retry + PAGES);
	ASSERT_EQ(fdinfo(self->fd, "faults"), PAGES);
}

/* The kernel merges VMAs that it has split before, and the driver's count follows. */
TEST_F(plain, merges)
{
	char *middle = self->map + 3 * self->page;

	ASSERT_EQ(mprotect(middle, self->page, PROT_READ), 0);
	ASSERT_EQ(fdinfo_vmas(self->fd), 3);
	ASSERT_FALSE(has_vma(self->map, self->size));
	ASSERT_EQ(munmap(middle, self->page), 0);
	ASSERT_EQ(fdinfo_vmas(self->fd), 2);
	/* The kernel extends the first VMA; it does not remove one that has ->close. */
	ASSERT_EQ(mmap(middle, self->page, RW, MAP_SHARED | MAP_FIXED, self->fd,
		       3 * self->page), middle);
	ASSERT_TRUE(has_vma(self->map, 4 * self->page));
	ASSERT_EQ(fdinfo_vmas(self->fd), 2);
}

/* A mapping grows past the end of the memory; accesses there raise SIGBUS. */
TEST_F(plain, grows)
{
	char *room = mmap(NULL, 4 * self->size, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(room, MAP_FAILED);
	self->map[0] = 'g';
	ASSERT_EQ(mremap(self->map, self->size, 2 * self->size,
			 MREMAP_MAYMOVE | MREMAP_FIXED, room), room);
	ASSERT_EQ(fdinfo_vmas(self->fd), 1);
	ASSERT_EQ(room[0], 'g');
	ASSERT_EQ(try_write(room + self->size - 1), 0);
	ASSERT_EQ(try_read(room + self->size), SIGBUS);
	ASSERT_EQ(try_write(room + 2 * self->size - 1), SIGBUS);
	ASSERT_EQ(munmap(room, 4 * self->size), 0);
}

FIXTURE(retry)
{
	size_t page;	/* bytes in a page */
	size_t size;	/* bytes in the memory */
	int fd;
	char *map;	/* a mapping of all the memory */
};

FIXTURE_SETUP(retry)
{
	int ret = load_module(MODULE, "pages=8 retry=1");

	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
		SKIP(return, "no " MODULE ".ko, and no $RUST_MM_MODULES");
	ASSERT_EQ(ret, 0);
	self->page = sysconf(_SC_PAGESIZE);
	self->size = PAGES * self->page;
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(self->map, MAP_FAILED);
}

/*
 * Each retry keeps the file, and so the module, until the thread returns to user space. If it
 * kept them longer, the module could not be unloaded here.
 */
FIXTURE_TEARDOWN(retry)
{
	munmap(self->map, self->size);
	close(self->fd);
	ASSERT_EQ(unload_module(MODULE), 0);
}

/* The kernel repeats a fault under the VMA lock, which few faults miss, and under the mmap lock. */
TEST_F(retry, access)
{
	for (int i = 0; i < PAGES; i++) {
		self->map[i * self->page] = 'a' + i;
		ASSERT_GE(fdinfo(self->fd, "retries"), i + 1);
		ASSERT_LE(fdinfo(self->fd, "retries"), 2 * (i + 1));
		ASSERT_EQ(fdinfo(self->fd, "faults"), i + 1);
	}
	for (int i = 0; i < PAGES; i++)
		ASSERT_EQ(self->map[i * self->page], 'a' + i);
	ASSERT_EQ(try_read(self->map + self->size - 1), 0);
}

/* All faults of one system call are repeated, and their references are dropped when it ends. */
TEST_F(retry, system_call)
{
	int zero = open("/dev/zero", O_RDONLY);

	ASSERT_GE(zero, 0);
	ASSERT_EQ(read(zero, self->map, self->size), self->size);
	close(zero);
	ASSERT_EQ(fdinfo(self->fd, "retries"), PAGES);
	ASSERT_EQ(fdinfo(self->fd, "faults"), PAGES);
}

/* Faults pages in, again and again, until they are unmapped. */
static void *access_pages(void *map)
{
	size_t page = sysconf(_SC_PAGESIZE);

	for (int i = 0; !try_read((char *)map + i * page); i = (i + 1) % PAGES)
		if (i == PAGES - 1)
			madvise(map, PAGES * page, MADV_DONTNEED);
	return NULL;
}

/* The kernel may repeat a fault after another thread has unmapped and closed the file. */
TEST_F(retry, while_it_is_closed)
{
	for (int i = 0; i < 200; i++) {
		int fd = open(DEVICE, O_RDWR);
		char *map = mmap(NULL, self->size, RW, MAP_SHARED, fd, 0);
		pthread_t thread;

		ASSERT_NE(map, MAP_FAILED);
		ASSERT_EQ(close(fd), 0);
		ASSERT_EQ(pthread_create(&thread, NULL, access_pages, map), 0);
		usleep(10 * i);
		ASSERT_EQ(munmap(map, self->size), 0);
		ASSERT_EQ(pthread_join(thread, NULL), 0);
	}
}

FIXTURE(read_only)
{
	size_t page;	/* bytes in a page */
	size_t size;	/* bytes in the memory, of which the last page is read-only */
	int fd;
};

FIXTURE_SETUP(read_only)
{
	int ret = load_module(MODULE, "pages=8 read_only=1");

	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
		SKIP(return, "no " MODULE ".ko, and no $RUST_MM_MODULES");
	ASSERT_EQ(ret, 0);
	self->page = sysconf(_SC_PAGESIZE);
	self->size = PAGES * self->page;
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(read_only)
{
	EXPECT_EQ(fdinfo_vmas(self->fd), 0);
	close(self->fd);
	ASSERT_EQ(unload_module(MODULE), 0);
}

/* A writable mapping does not get the read-only page by growing over it. */
TEST_F(read_only, grows)
{
	size_t writable = self->size - self->page;
	char *map;

	ASSERT_EQ(mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0), MAP_FAILED);
	ASSERT_EQ(errno, EACCES);
	map = mmap(NULL, writable, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(map, MAP_FAILED);
	map = mremap(map, writable, self->size, MREMAP_MAYMOVE);
	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(try_write(map + writable - 1), 0);
	ASSERT_EQ(try_write(map + writable), SIGBUS);
	ASSERT_EQ(try_read(map + writable), SIGBUS);
	ASSERT_EQ(munmap(map, self->size), 0);
}

/* A file that is open for reading only may map the read-only page. */
TEST_F(read_only, opened_for_reading)
{
	int fd = open(DEVICE, O_RDONLY);
	char *map;

	ASSERT_GE(fd, 0);
	map = mmap(NULL, self->size, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(try_read(map + self->size - 1), 0);
	ASSERT_EQ(mprotect(map, self->size, RW), -1);
	ASSERT_EQ(errno, EACCES);
	ASSERT_EQ(munmap(map, self->size), 0);
	close(fd);
}

/* MREMAP_DONTUNMAP leaves an empty mapping behind, which faults its pages in again. */
TEST_F(plain, dontunmap)
{
	char *moved;

	self->map[0] = 'd';
	moved = mremap(self->map, self->size, self->size,
		       MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	ASSERT_NE(moved, MAP_FAILED);
	ASSERT_EQ(fdinfo_vmas(self->fd), 2);
	ASSERT_EQ(moved[0], 'd');
	ASSERT_EQ(self->map[0], 'd');
	ASSERT_EQ(munmap(moved, self->size), 0);
}

/* mremap() of length 0 makes a second mapping of the same memory. */
TEST_F(plain, doubled)
{
	char *twice;

	self->map[2 * self->page] = '2';
	twice = mremap(self->map + 2 * self->page, 0, self->page, MREMAP_MAYMOVE,
		       NULL);
	ASSERT_NE(twice, MAP_FAILED);
	ASSERT_EQ(fdinfo_vmas(self->fd), 2);
	ASSERT_EQ(twice[0], '2');
	twice[0] = 't';
	ASSERT_EQ(self->map[2 * self->page], 't');
	ASSERT_EQ(munmap(twice, self->page), 0);
}

/* Accesses to a guard region raise SIGSEGV; the kernel does not call the driver. */
TEST_F(plain, guard_region)
{
	for (int i = 0; i < 2; i++) {
		char *at = self->map + i * self->page;

		*at = 'g';
		if (madvise(at, self->page, MADV_GUARD_INSTALL))
			SKIP(return, "no guard regions");
		ASSERT_EQ(try_read(at), SIGSEGV);
		ASSERT_EQ(try_write(at), SIGSEGV);
		ASSERT_EQ(madvise(at, self->page, MADV_GUARD_REMOVE), 0);
		ASSERT_EQ(*at, 'g');
	}
}

static int write_protect(int uffd, char *start, size_t len, bool on)
{
	struct uffdio_writeprotect wp = {
		.range = { (unsigned long)start, len },
		.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return ioctl(uffd, UFFDIO_WRITEPROTECT, &wp) ? -errno : 0;
}

/* Returns whether the page has been written to since it was write-protected. */
static bool written(char *page)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	bool protected = pagemap_get_entry(fd, page) & PM_UFFD_WP;

	close(fd);
	return !protected;
}

/*
 * userfaultfd in asynchronous write-protect mode, which needs nothing of the driver,
 * leaves markers where no pages are mapped yet. A page must replace a marker, whether
 * the kernel or the driver maps it, and must be write-protected, so that userfaultfd
 * notices the write.
 */
TEST_F(plain, userfaultfd_markers)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED,
	};
	char *page[4];
	int uffd = syscall(__NR_userfaultfd, O_CLOEXEC), zero;

	for (int i = 0; i < 4; i++)
		page[i] = self->map + i * self->page;
	ASSERT_GE(uffd, 0);
	ASSERT_EQ(ioctl(uffd, UFFDIO_API, &api), 0);
	ASSERT_EQ(uffd_register(uffd, self->map, self->size, false, true, false), 0);
	ASSERT_EQ(write_protect(uffd, self->map, self->size, true), 0);

	/* The driver returns the page, and the kernel maps it. */
	ASSERT_EQ(try_read(page[0]), 0);
	ASSERT_EQ(try_write(page[0]), 0);
	ASSERT_EQ(try_write(page[2]), 0);
	/* The driver inserts the page. */
	ASSERT_EQ(try_read(page[1]), 0);
	ASSERT_EQ(written(page[1]), 0);
	ASSERT_EQ(try_write(page[1]), 0);
	ASSERT_EQ(written(page[1]), 1);
	/* A write by the kernel does not fault forever. */
	zero = open("/dev/zero", O_RDONLY);
	ASSERT_GE(zero, 0);
	ASSERT_EQ(read(zero, page[3], 1), 1);
	ASSERT_EQ(written(page[3]), 1);
	close(zero);

	/* The same without the markers. */
	ASSERT_EQ(write_protect(uffd, self->map, self->size, false), 0);
	ASSERT_EQ(try_read(page[1]), 0);
	ASSERT_EQ(try_write(page[3]), 0);
	/* Pages that the kernel or the driver has mapped can be protected and written. */
	ASSERT_EQ(write_protect(uffd, self->map, self->size, true), 0);
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(try_write(page[i]), 0);
	close(uffd);
}

TEST_HARNESS_MAIN
