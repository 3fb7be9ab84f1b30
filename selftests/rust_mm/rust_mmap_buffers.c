// SPDX-License-Identifier: GPL-2.0

/*
 * The sample driver rust_mmap_buffers: buffers with file descriptors of their own, which
 * are files of an anonymous inode. A buffer must live as long as its last descriptor or
 * mapping, and so must the module, even if the device is closed.
 */

#include "rust_mm.h"
#include "rust_mm_ioctl.h"

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>

#include "kselftest_harness.h"

#define MODULE	"rust_mmap_buffers"
#define DEVICE	"/dev/rust_mmap_buffers"

#define RW	(PROT_READ | PROT_WRITE)

static int create(int device, unsigned long long size)
{
	return ioctl(device, BUFFERS_CREATE, &size);
}

FIXTURE(rust_mmap_buffers)
{
	size_t page;	/* bytes in a page */
	size_t size;	/* bytes in the buffer */
	int device;
	int fd;		/* of the buffer, or -1 */
	char *map;	/* what a test maps of it, or MAP_FAILED */
	size_t len;
};

FIXTURE_SETUP(rust_mmap_buffers)
{
	int ret = load_module(MODULE, "");

	self->map = MAP_FAILED;
	self->fd = -1;
	self->device = -1;
	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
		SKIP(return, "no " MODULE ".ko, and no $RUST_MM_MODULES");
	ASSERT_EQ(ret, 0);
	self->page = sysconf(_SC_PAGESIZE);
	self->size = 4 * self->page;
	self->len = self->size;
	self->device = open(DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_GE(self->device, 0);
	self->fd = create(self->device, self->size);
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(rust_mmap_buffers)
{
	if (self->map != MAP_FAILED)
		munmap(self->map, self->len);
	if (self->fd >= 0)
		close(self->fd);
	if (self->device >= 0)
		close(self->device);
	/* The module unloads, since no file and no mapping holds it. */
	ASSERT_EQ(unload_module(MODULE), 0);
}

/* The buffer is zeroed, and all mappings of it show the same memory. */
TEST_F(rust_mmap_buffers, contents)
{
	char *other;

	self->map = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(self->map, MAP_FAILED);
	for (size_t i = 0; i < self->size; i++)
		ASSERT_EQ(self->map[i], 0);
	self->map[self->page] = 'x';
	other = mmap(NULL, self->page, PROT_READ, MAP_SHARED, self->fd, self->page);
	ASSERT_NE(other, MAP_FAILED);
	EXPECT_EQ(other[0], 'x');
	munmap(other, self->page);
}

/* Two buffers have nothing in common. */
TEST_F(rust_mmap_buffers, two_buffers)
{
	int fd = create(self->device, self->size);
	char *other;

	ASSERT_GE(fd, 0);
	self->map = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(self->map, MAP_FAILED);
	other = mmap(NULL, self->size, RW, MAP_SHARED, fd, 0);
	ASSERT_NE(other, MAP_FAILED);
	self->map[0] = 'x';
	EXPECT_EQ(other[0], 0);
	/* Revoking one leaves the other one alone. */
	ASSERT_EQ(ioctl(fd, BUFFERS_REVOKE), 0);
	EXPECT_EQ(try_read(other), SIGBUS);
	EXPECT_EQ(try_read(self->map), 0);
	munmap(other, self->size);
	close(fd);
}

/* What the descriptor says about the buffer. */
TEST_F(rust_mmap_buffers, descriptor)
{
	char path[64], link[64] = "";

	EXPECT_EQ(fcntl(self->fd, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(self->fd, F_GETFL) & O_ACCMODE, O_RDWR);
	EXPECT_EQ(lseek(self->fd, 0, SEEK_END), self->size);
	EXPECT_EQ(lseek(self->fd, 0, SEEK_SET), 0);
	EXPECT_EQ(fdinfo(self->fd, "size"), self->size);
	EXPECT_EQ(fdinfo(self->fd, "revoked"), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
	EXPECT_GT(readlink(path, link, sizeof(link) - 1), 0);
	EXPECT_STREQ(link, "anon_inode:[rust_buffer]");
}

/* What the driver and the kernel refuse. */
TEST_F(rust_mmap_buffers, errors)
{
	char c;

	EXPECT_EQ(create(self->device, 0), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(create(self->device, self->page + 1), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(create(self->device, -self->page), -1);
	EXPECT_EQ(errno, ENOSPC);
	EXPECT_EQ(ioctl(self->device, BUFFERS_CREATE, NULL), -1);
	EXPECT_EQ(errno, EFAULT);
	EXPECT_EQ(ioctl(self->device, BUFFERS_REVOKE), -1);
	EXPECT_EQ(errno, ENOTTY);
	EXPECT_EQ(ioctl(self->fd, BUFFERS_CREATE, NULL), -1);
	EXPECT_EQ(errno, ENOTTY);
	EXPECT_EQ(read(self->fd, &c, 1), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(lseek(self->fd, 1, SEEK_END), -1);
	EXPECT_EQ(errno, EINVAL);

	EXPECT_EQ(mmap(NULL, self->size, RW, MAP_SHARED, self->fd, self->page), MAP_FAILED);
	EXPECT_EQ(errno, ENXIO);
	EXPECT_EQ(mmap(NULL, self->size, RW, MAP_PRIVATE, self->fd, 0), MAP_FAILED);
	EXPECT_EQ(errno, EINVAL);
	/* The file system of anonymous inodes is mounted noexec. */
	EXPECT_EQ(mmap(NULL, self->size, PROT_EXEC, MAP_SHARED, self->fd, 0), MAP_FAILED);
	EXPECT_EQ(errno, EPERM);
}

/* A mapping is inherited by fork(). */
TEST_F(rust_mmap_buffers, across_fork)
{
	pid_t pid;

	self->map = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(self->map, MAP_FAILED);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		self->map[1] = 'c';
		_exit(lseek(self->fd, 0, SEEK_END) != (off_t)self->size);
	}
	ASSERT_EQ(wait_child(pid), 0);
	EXPECT_EQ(self->map[1], 'c');
}

/* The buffer lives for as long as one of its descriptors. */
TEST_F(rust_mmap_buffers, dup)
{
	int fd = dup(self->fd);

	ASSERT_GE(fd, 0);
	close(self->fd);
	self->fd = fd;
	self->map = mmap(NULL, self->size, RW, MAP_SHARED, fd, 0);
	ASSERT_NE(self->map, MAP_FAILED);
	EXPECT_EQ(try_write(self->map), 0);
}

/* The buffer survives the device that it comes from, and its own descriptor. */
TEST_F(rust_mmap_buffers, closed_in_any_order)
{
	int other = dup(self->device);

	ASSERT_GE(other, 0);
	close(self->device);
	self->device = -1;
	ASSERT_EQ(fdinfo(other, "used"), self->size);
	self->map = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(self->map, MAP_FAILED);
	self->map[0] = 'x';

	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(self->map[0], 'x');
	EXPECT_EQ(try_write(self->map + self->page), 0);
	EXPECT_EQ(fdinfo(other, "used"), self->size);

	/* The last mapping releases the buffer. */
	munmap(self->map, self->size);
	self->map = MAP_FAILED;
	EXPECT_EQ(fdinfo(other, "used"), 0);
	close(other);
}

/* The module cannot be unloaded while a buffer exists: open, or only mapped. */
TEST_F(rust_mmap_buffers, module_in_use)
{
	close(self->device);
	self->device = -1;
	EXPECT_EQ(unload_module(MODULE), -EWOULDBLOCK);
	self->map = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(self->map, MAP_FAILED);
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(unload_module(MODULE), -EWOULDBLOCK);
	EXPECT_EQ(try_write(self->map), 0);
}

/* What the open device may have: its buffers share it, and give it back. */
TEST_F(rust_mmap_buffers, quota)
{
	int fd = create(self->device, (64 << 20) - self->size);

	ASSERT_GE(fd, 0);
	EXPECT_EQ(create(self->device, self->page), -1);
	EXPECT_EQ(errno, ENOSPC);
	EXPECT_EQ(fdinfo(self->device, "used"), 64 << 20);
	close(fd);
	EXPECT_EQ(fdinfo(self->device, "used"), self->size);
}

/* Takes a descriptor from another process. Returns it, or -1. */
static int take_fd(pid_t pid, int fd)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0);

	return pidfd < 0 ? -1 : syscall(SYS_pidfd_getfd, pidfd, fd, 0);
}

/*
 * Another process gets the buffer over a socket, maps it, and is the last to have it.
 * In a kernel without sockets, it takes the descriptor.
 */
TEST_F(rust_mmap_buffers, sent_to_another_process)
{
	int pair[2], to_child[2], from_child[2];
	bool sockets = !socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	pid_t pid, parent = getpid();
	char c;

	ASSERT_EQ(pipe(to_child), 0);
	ASSERT_EQ(pipe(from_child), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		int fd, number = self->fd;
		char *map;

		/* Nothing is inherited. */
		close(self->fd);
		close(self->device);
		close(to_child[1]);
		fd = sockets ? receive_fd(pair[1]) : take_fd(parent, number);
		if (read(to_child[0], &c, 1) != 1)
			_exit(3);
		map = mmap(NULL, self->size, RW, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED || map[0] != 'p')
			_exit(1);
		map[0] = 'c';
		close(fd);
		/* The parent has closed the buffer when it closes the pipe. */
		if (write(from_child[1], "", 1) != 1 || read(to_child[0], &c, 1))
			_exit(2);
		_exit(map[0] != 'c');
	}
	self->map = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(self->map, MAP_FAILED);
	self->map[0] = 'p';
	if (sockets)
		ASSERT_EQ(send_fd(pair[0], self->fd), 0);
	ASSERT_EQ(write(to_child[1], "", 1), 1);
	ASSERT_EQ(read(from_child[0], &c, 1), 1);
	EXPECT_EQ(self->map[0], 'c');

	munmap(self->map, self->size);
	self->map = MAP_FAILED;
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(fdinfo(self->device, "used"), self->size);
	close(to_child[1]);
	ASSERT_EQ(wait_child(pid), 0);
	EXPECT_EQ(fdinfo(self->device, "used"), 0);
	if (sockets) {
		close(pair[0]);
		close(pair[1]);
	}
	close(to_child[0]);
	close(from_child[0]);
	close(from_child[1]);
}

/* After a revocation, accesses raise SIGBUS, and nothing can be mapped. */
TEST_F(rust_mmap_buffers, revoked)
{
	struct pollfd poll_fd = { .fd = self->fd, .events = POLLIN };

	self->map = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(self->map, MAP_FAILED);
	EXPECT_EQ(try_write(self->map), 0);
	EXPECT_EQ(poll(&poll_fd, 1, 0), 0);

	ASSERT_EQ(ioctl(self->fd, BUFFERS_REVOKE), 0);
	EXPECT_EQ(try_read(self->map), SIGBUS);
	EXPECT_EQ(try_write(self->map + self->page), SIGBUS);
	EXPECT_EQ(mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0), MAP_FAILED);
	EXPECT_EQ(errno, ENODEV);
	EXPECT_EQ(fdinfo(self->fd, "revoked"), 1);
	EXPECT_EQ(poll(&poll_fd, 1, 0), 1);
	EXPECT_EQ(poll_fd.revents, POLLHUP);
	/* A second time. */
	ASSERT_EQ(ioctl(self->fd, BUFFERS_REVOKE), 0);
}

static void *wait_for_hangup(void *arg)
{
	struct pollfd poll_fd = { .fd = *(int *)arg };

	return (void *)(long)(poll(&poll_fd, 1, 10000) == 1 && poll_fd.revents == POLLHUP);
}

/* poll() and epoll_wait() that sleep are woken by the revocation. */
TEST_F(rust_mmap_buffers, poll_wakes)
{
	struct epoll_event event = { .events = EPOLLHUP };
	int epoll = epoll_create1(0);
	pthread_t thread;
	void *woken;

	ASSERT_GE(epoll, 0);
	ASSERT_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, self->fd, &event), 0);
	ASSERT_EQ(epoll_wait(epoll, &event, 1, 0), 0);
	ASSERT_EQ(pthread_create(&thread, NULL, wait_for_hangup, &self->fd), 0);
	usleep(100000);
	ASSERT_EQ(ioctl(self->fd, BUFFERS_REVOKE), 0);
	ASSERT_EQ(pthread_join(thread, &woken), 0);
	EXPECT_NE(woken, NULL);
	ASSERT_EQ(epoll_wait(epoll, &event, 1, 10000), 1);
	EXPECT_EQ(event.events, EPOLLHUP);

	/* The buffer is released while an epoll file still knows its descriptor. */
	close(self->fd);
	self->fd = -1;
	ASSERT_EQ(epoll_wait(epoll, &event, 1, 0), 0);
	close(epoll);
}

/* The kernel chooses an address for PMD mappings, unless user space demands another one. */
TEST_F(rust_mmap_buffers, huge)
{
	size_t huge = read_pmd_pagesize();
	char *fixed;

	if (!huge)
		SKIP(return, "no transparent huge pages");
	close(self->fd);
	self->len = 4 * huge;
	self->fd = create(self->device, self->len);
	if (self->fd < 0 && errno == ENOMEM)
		SKIP(return, "no free huge pages");
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, self->len, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(self->map, MAP_FAILED);
	ASSERT_EQ((unsigned long)self->map % huge, 0);
	for (size_t at = 0; at < self->len; at += self->page)
		self->map[at] = at / huge + 1;
	EXPECT_EQ(fdinfo(self->fd, "huge_faults"), 4);
	EXPECT_EQ(smaps_kb(self->map, "FilePmdMapped:"), self->len >> 10);
	munmap(self->map, self->len);

	/* The offset in the file counts: the first PMD starts where a folio does. */
	self->len = 3 * huge + self->page;
	self->map = mmap(NULL, self->len, RW, MAP_SHARED, self->fd, huge - self->page);
	ASSERT_NE(self->map, MAP_FAILED);
	ASSERT_EQ((unsigned long)self->map % huge, huge - self->page);
	EXPECT_EQ(self->map[0], 1);
	EXPECT_EQ(self->map[self->page], 2);
	EXPECT_EQ(self->map[self->len - self->page], 4);
	EXPECT_EQ(fdinfo(self->fd, "huge_faults"), 6);

	/* With MAP_FIXED, user space gets what it demands, and pages. */
	fixed = mmap(self->map + self->page, 2 * huge, RW, MAP_SHARED | MAP_FIXED, self->fd,
		     2 * self->page);
	ASSERT_EQ(fixed, self->map + self->page);
	EXPECT_EQ(fixed[0], 1);
	EXPECT_EQ(fixed[2 * huge - self->page], 3);
	EXPECT_EQ(fdinfo(self->fd, "huge_faults"), 6);

	/* What is smaller than a PMD goes anywhere. */
	fixed = mmap(NULL, self->page, RW, MAP_SHARED, self->fd, 2 * huge);
	ASSERT_NE(fixed, MAP_FAILED);
	EXPECT_EQ(fixed[0], 3);
	munmap(fixed, self->page);
	/* All of it is unmapped by a revocation. */
	ASSERT_EQ(ioctl(self->fd, BUFFERS_REVOKE), 0);
	EXPECT_EQ(try_read(self->map), SIGBUS);
	EXPECT_EQ(try_read(self->map + self->len - self->page), SIGBUS);
}

/* Accesses each page of a mapping. Returns how many faults the kernel has handled for that. */
static long faults_of(volatile char *map, size_t len, size_t page)
{
	struct rusage before, after;

	getrusage(RUSAGE_SELF, &before);
	for (size_t at = 0; at < len; at += page)
		map[at] = 1;
	getrusage(RUSAGE_SELF, &after);
	return after.ru_minflt - before.ru_minflt;
}

/*
 * What the addresses are worth: 40 mappings as the kernel places them, and 40 that user space
 * places one page beside. Documentation/mm/rust-mmap/vm-operations.rst has the figures.
 */
TEST_F(rust_mmap_buffers, faults_by_address)
{
	size_t huge = read_pmd_pagesize();
	long aligned = 0, faults = 0, beside = 0;
	char *maps[40], *room;
	int i;

	if (!huge)
		SKIP(return, "no transparent huge pages");
	close(self->fd);
	self->fd = create(self->device, 2 * huge);
	if (self->fd < 0 && errno == ENOMEM)
		SKIP(return, "no free huge pages");
	ASSERT_GE(self->fd, 0);
	for (i = 0; i < 40; i++) {
		maps[i] = mmap(NULL, 2 * huge, RW, MAP_SHARED, self->fd, 0);
		ASSERT_NE(maps[i], MAP_FAILED);
		aligned += (unsigned long)maps[i] % huge == 0;
		faults += faults_of(maps[i], 2 * huge, self->page);
	}
	for (i = 0; i < 40; i++)
		munmap(maps[i], 2 * huge);
	room = mmap(NULL, 4 * huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(room, MAP_FAILED);
	room += huge - (unsigned long)room % huge + self->page;
	for (i = 0; i < 40; i++) {
		ASSERT_EQ(mmap(room, 2 * huge, RW, MAP_SHARED | MAP_FIXED, self->fd, 0), room);
		beside += faults_of(room, 2 * huge, self->page);
	}
	munmap(room, 2 * huge);
	TH_LOG("%ld of 40 aligned: %ld faults; beside: %ld faults", aligned, faults, beside);
	EXPECT_EQ(aligned, 40);
	EXPECT_GE(faults, 80);
	EXPECT_LE(faults, 100);
	EXPECT_GE(beside, 40L * 2 * huge / self->page / 16);
}

/* A ring: a header that can only be read, a hole, and the data twice. */
static int create_ring(int device, unsigned long long size)
{
	return ioctl(device, BUFFERS_RING, &size);
}

/* The pieces of a ring are where they should be, and the data is there twice. */
TEST_F(rust_mmap_buffers, ring)
{
	size_t page = self->page, len = 3 * page;
	int fd = create_ring(self->device, len);
	char *all, *data;
	pid_t pid;

	ASSERT_GE(fd, 0);
	EXPECT_EQ(fdinfo(self->device, "used"), self->size + len);
	all = mmap(NULL, 2 * page + 2 * len, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(all, MAP_FAILED);
	EXPECT_EQ(*(unsigned long long *)all, len);
	EXPECT_EQ(try_read(all + page), SIGBUS);

	data = mmap(NULL, 2 * len, RW, MAP_SHARED, fd, 2 * page);
	ASSERT_NE(data, MAP_FAILED);
	/* A record across the end of the ring. */
	memcpy(data + len - 3, "record", 7);
	EXPECT_STREQ(data, "ord");
	EXPECT_STREQ(all + 2 * page, "ord");
	EXPECT_STREQ(all + 2 * page + len - 3, "record");
	for (size_t i = 0; i < 2 * len; i += page)
		data[i + 100] = 'A' + i / page;
	for (size_t i = 0; i < len; i += page)
		EXPECT_EQ(data[i + 100], 'D' + i / page);

	/* What is dropped comes back with the next access. */
	ASSERT_EQ(madvise(data, 2 * len, MADV_DONTNEED), 0);
	EXPECT_EQ(data[100], 'D');
	EXPECT_EQ(data[len + 100], 'D');

	/* A child, a hole in the middle, and another address. */
	ASSERT_EQ(madvise(data, 2 * len, MADV_DONTNEED), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		if (data[len + page + 100] != 'E')
			_exit(1);
		data[page] = 'c';
		_exit(0);
	}
	ASSERT_EQ(wait_child(pid), 0);
	EXPECT_EQ(data[len + page], 'c');
	ASSERT_EQ(munmap(data + page, page), 0);
	EXPECT_EQ(data[len + page + 100], 'E');
	EXPECT_EQ(mremap(data + 2 * page, len, 2 * len, MREMAP_MAYMOVE), MAP_FAILED);
	EXPECT_EQ(errno, EFAULT);
	ASSERT_EQ(mremap(data + 2 * page, 2 * page, 2 * page, MREMAP_MAYMOVE | MREMAP_FIXED,
			 all + 2 * page), all + 2 * page);
	EXPECT_EQ(all[2 * page + 100], 'F');
	EXPECT_EQ(all[3 * page + 100], 'D');

	/* The mapping keeps the ring. */
	close(fd);
	EXPECT_EQ(fdinfo(self->device, "used"), self->size + len);
	EXPECT_EQ(*(unsigned long long *)all, len);
	munmap(all, 2 * page + 2 * len);
	munmap(data, 2 * len);
	EXPECT_EQ(fdinfo(self->device, "used"), self->size);
}

/* What the driver and the kernel refuse for a ring; nothing is mapped then. */
TEST_F(rust_mmap_buffers, ring_errors)
{
	size_t page = self->page;
	int fd = create_ring(self->device, 2 * page);
	char *header;

	EXPECT_EQ(create_ring(self->device, 0), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(create_ring(self->device, -page), -1);
	EXPECT_EQ(errno, ENOSPC);
	EXPECT_EQ(ioctl(self->device, BUFFERS_RING, NULL), -1);
	EXPECT_EQ(errno, EFAULT);

	ASSERT_GE(fd, 0);
	/* Past the end. */
	EXPECT_EQ(mmap(NULL, 7 * page, PROT_READ, MAP_SHARED, fd, 0), MAP_FAILED);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 6 * page), MAP_FAILED);
	EXPECT_EQ(errno, EINVAL);
	/* The header cannot be written, neither at once nor later. */
	EXPECT_EQ(mmap(NULL, page, RW, MAP_SHARED, fd, 0), MAP_FAILED);
	EXPECT_EQ(errno, EACCES);
	EXPECT_EQ(mmap(NULL, 6 * page, RW, MAP_SHARED, fd, 0), MAP_FAILED);
	EXPECT_EQ(errno, EACCES);
	EXPECT_EQ(mmap(NULL, page, RW, MAP_PRIVATE, fd, 0), MAP_FAILED);
	EXPECT_EQ(errno, EINVAL);
	header = mmap(NULL, 3 * page, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(header, MAP_FAILED);
	EXPECT_EQ(mprotect(header, page, RW), -1);
	EXPECT_EQ(errno, EACCES);
	/* Not even where the data is: it is one mapping. */
	EXPECT_EQ(mprotect(header + 2 * page, page, RW), -1);
	EXPECT_EQ(errno, EACCES);
	EXPECT_EQ(try_write(header), SIGSEGV);
	munmap(header, 3 * page);
	close(fd);
}

TEST_HARNESS_MAIN
