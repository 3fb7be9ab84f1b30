// SPDX-License-Identifier: GPL-2.0

/*
 * System calls that use the memory of a mapping for something else than to read and write it: I/O
 * that takes references to its pages, futexes, userfaultfd, and PROCMAP_QUERY. For each kind of
 * mapping, the kernel must do what Documentation/mm/rust-mmap/user-space.rst says.
 */

#include "rust_mm.h"
#include "rust_mm_pin.h"
#include "kselftest_harness.h"

#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <semaphore.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#define PAGES	4

#define RW	(PROT_READ | PROT_WRITE)

#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

FIXTURE(io)
{
	size_t page;	/* bytes in a page */
	size_t size;	/* bytes in the mapping */
	int fd;
	char *map;
};

FIXTURE_VARIANT(io)
{
	const char *module, *params, *device;
	bool pfn;		/* maps PFNs, and no pages */
	bool write_notify;	/* has page_mkwrite or pfn_mkwrite */
	bool special;
};

/* Kernel pages, populated at mmap time. */
FIXTURE_VARIANT_ADD(io, mmap)
{
	.module = "rust_mmap", .params = "pages=16", .device = "/dev/rust_mmap",
	.special = true,
};

/* Pages that are faulted in, with dirty tracking. */
FIXTURE_VARIANT_ADD(io, demand)
{
	.module = "rust_mmap_demand", .params = "pages=16", .device = "/dev/rust_mmap_demand",
	.write_notify = true, .special = true,
};

/* Pages that are faulted in, mergeable. */
FIXTURE_VARIANT_ADD(io, plain)
{
	.module = "rust_mmap_plain", .params = "pages=16", .device = "/dev/rust_mmap_plain",
};

/* The memory of a PCI device. */
FIXTURE_VARIANT_ADD(io, pfn)
{
	.module = "rust_mmap_pfn", .params = "", .device = "/dev/rust_mmap_pfn",
	.pfn = true, .special = true,
};

FIXTURE_SETUP(io)
{
	int ret = load_module(variant->module, variant->params);

	self->fd = -1;
	self->map = MAP_FAILED;
	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
		SKIP(return, "no module, and no $RUST_MM_MODULES");
	ASSERT_EQ(ret, 0);
	self->page = sysconf(_SC_PAGESIZE);
	self->size = PAGES * self->page;
	self->fd = open(variant->device, O_RDWR);
	if (self->fd < 0 && variant->pfn && !has_ivshmem())
		SKIP(return, "no QEMU -device ivshmem-plain");
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(self->map, MAP_FAILED);
}

FIXTURE_TEARDOWN(io)
{
	if (self->map != MAP_FAILED)
		munmap(self->map, self->size);
	if (self->fd >= 0)
		close(self->fd);
	ASSERT_EQ(unload_module(variant->module), 0);
}

/* O_DIRECT I/O reads from the pages, and writes to them. */
TEST_F(io, direct)
{
	int ret = write_text("/sys/block/zram0/disksize", "1M"), disk;
	ssize_t expected = variant->pfn ? -1 : (ssize_t)self->page;
	char *from = self->map, *to = self->map + self->page;

	if (ret == -ENOENT)
		SKIP(return, "no zram");
	ASSERT_EQ(ret, 0);
	disk = open("/dev/zram0", O_RDWR | O_DIRECT | O_CLOEXEC);
	ASSERT_GE(disk, 0);

	memset(from, 'w', self->page);
	errno = 0;
	EXPECT_EQ(pwrite(disk, from, self->page, 0), expected);
	EXPECT_EQ(errno, variant->pfn ? EFAULT : 0);
	EXPECT_EQ(pread(disk, to, self->page, 0), expected);
	EXPECT_EQ(errno, variant->pfn ? EFAULT : 0);
	if (!variant->pfn)
		EXPECT_EQ(memcmp(from, to, self->page), 0);

	close(disk);
	ASSERT_EQ(write_text("/sys/block/zram0/reset", "1"), 0);
}

/*
 * A buffer that is registered with io_uring is pinned for long. The kernel refuses that if it has
 * to call the driver back for writes.
 */
TEST_F(io, registered)
{
	struct iovec iov = { self->map, self->size };
	struct io_uring_params params = { };
	int ring = syscall(__NR_io_uring_setup, 1, &params);
	bool refused = variant->pfn || variant->write_notify;

	if (ring < 0 && errno == ENOSYS)
		SKIP(return, "no CONFIG_IO_URING");
	ASSERT_GE(ring, 0);
	errno = 0;
	EXPECT_EQ(syscall(__NR_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1),
		  refused ? -1 : 0);
	EXPECT_EQ(errno, refused ? EFAULT : 0);
	close(ring);
}

/* The same for any device that keeps pages for long, and writes to them. */
TEST_F(io, pinned)
{
	bool refused = variant->pfn || variant->write_notify;
	int holder = pin_longterm(self->map, self->size, true);

	if (holder == -ENOENT)
		SKIP(return, "no CONFIG_GUP_TEST");
	EXPECT_EQ(holder < 0 ? holder : 0, refused ? -EFAULT : 0);
	if (holder >= 0)
		close(holder);
}

/* vmsplice(2) puts the pages themselves into a pipe: a later write shows there. */
TEST_F(io, vmsplice)
{
	struct iovec iov = { self->map, self->page };
	char got[4] = "";
	int pipes[2];

	ASSERT_EQ(pipe(pipes), 0);
	memcpy(self->map, "then", 4);
	errno = 0;
	EXPECT_EQ(vmsplice(pipes[1], &iov, 1, 0), variant->pfn ? -1 : (ssize_t)self->page);
	EXPECT_EQ(errno, variant->pfn ? EFAULT : 0);
	if (!variant->pfn) {
		memcpy(self->map, "next", 4);
		EXPECT_EQ(read(pipes[0], got, 4), 4);
		EXPECT_EQ(memcmp(got, "next", 4), 0);
	}
	close(pipes[0]);
	close(pipes[1]);
}

/*
 * The kernel knows a futex that processes share by the file of its page in the page cache, which
 * a driver's own page does not have. One of a single process is known by its address.
 */
TEST_F(io, futex)
{
	unsigned int *word = (unsigned int *)self->map;
	struct timespec soon = { .tv_nsec = 1000 };

	*word = 0;
	EXPECT_EQ(syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0), -1);
	EXPECT_EQ(errno, EFAULT);
	EXPECT_EQ(syscall(SYS_futex, word, FUTEX_WAIT, 0, &soon, NULL, 0), -1);
	EXPECT_EQ(errno, EFAULT);
	EXPECT_EQ(syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
	EXPECT_EQ(syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, &soon, NULL, 0), -1);
	EXPECT_EQ(errno, ETIMEDOUT);
}

/* So a semaphore that processes share works until one of them waits: glibc aborts then. */
TEST_F(io, shared_semaphore)
{
	sem_t *sem = (sem_t *)self->map;
	pid_t pid;
	int status;

	ASSERT_EQ(sem_init(sem, 1, 1), 0);
	ASSERT_EQ(sem_wait(sem), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		/* The message of glibc is expected. */
		close(STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		alarm(20);
		_exit(sem_wait(sem) ? 1 : 0);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(WTERMSIG(status), SIGABRT);
}

/* Asynchronous write protection by userfaultfd needs nothing of a driver, but no special VMA. */
TEST_F(io, write_protected)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC };
	int uffd = syscall(__NR_userfaultfd, O_CLOEXEC);

	ASSERT_GE(uffd, 0);
	ASSERT_EQ(ioctl(uffd, UFFDIO_API, &api), 0);
	EXPECT_EQ(uffd_register(uffd, self->map, self->size, false, true, false),
		  variant->special ? -EINVAL : 0);
	close(uffd);
}

/* PROCMAP_QUERY reads each mapped file at offset 0: there may be a build ID. */
TEST_F(io, build_id)
{
	char id[20];
	struct procmap_query query = {
		.size = sizeof(query), .query_addr = (unsigned long)self->map,
		.build_id_size = sizeof(id), .build_id_addr = (unsigned long)id,
	};
	long reads = fdinfo(self->fd, "reads");
	off_t position = lseek(self->fd, 0, SEEK_CUR);
	int maps = open("/proc/self/maps", O_RDONLY);

	ASSERT_GE(maps, 0);
	ASSERT_EQ(ioctl(maps, PROCMAP_QUERY, &query), 0);
	EXPECT_EQ(query.build_id_size, 0);
	if (reads >= 0)
		EXPECT_EQ(fdinfo(self->fd, "reads"), reads + 1);
	/* The position of the file does not change. */
	EXPECT_EQ(lseek(self->fd, 0, SEEK_CUR), position);
	close(maps);
}

TEST_HARNESS_MAIN
