// SPDX-License-Identifier: GPL-2.0

/*
 * The sample driver rust_mirror: a device that accesses the memory of a process without pinning it.
 * However a process changes its mappings, the device must see what the process sees at the same
 * address, and never a page that was there before.
 */

#include "rust_mm.h"
#include "kselftest_harness.h"
#include "../../../../samples/rust/mm/rust_mirror.h"

#include <linux/mempolicy.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#define MODULE		"rust_mirror"
#define PAGES		8
#define ROUNDS		2000

/* Calls an ioctl with a range. Returns 0 or -errno. */
static int ioctl_range(int fd, unsigned long cmd, void *start, size_t len)
{
	struct rust_mirror_range range = { (uintptr_t)start, len };

	return ioctl(fd, cmd, &range) ? -errno : 0;
}

/* Reads a byte as the device does. Returns it or -errno. */
static int device_read(int fd, void *addr)
{
	unsigned char c;

	return pread(fd, &c, 1, (uintptr_t)addr) == 1 ? c : -errno;
}

/* Writes a byte as the device does. Returns 0 or -errno. */
static int device_write(int fd, void *addr, unsigned char c)
{
	return pwrite(fd, &c, 1, (uintptr_t)addr) == 1 ? 0 : -errno;
}

FIXTURE(mirror)
{
	size_t page;	/* bytes in a page */
	size_t size;	/* bytes that are mirrored */
	int fd;
	char *map;	/* private anonymous memory, mirrored; its pages start with 'a', 'b', ... */
};

FIXTURE_SETUP(mirror)
{
	const unsigned long node = 1;
	const char *reason;

	self->fd = open_loaded(MODULE, &reason);
	if (self->fd == -ENOENT)
		SKIP(return, "%s", reason);
	ASSERT_GE(self->fd, 0);
	self->page = sysconf(_SC_PAGESIZE);
	self->size = PAGES * self->page;
	self->map = mmap(NULL, self->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	ASSERT_NE(self->map, MAP_FAILED);
	/*
	 * Automatic NUMA balancing would count as invalidations. It leaves bound memory alone. A
	 * kernel without NUMA has neither.
	 */
	syscall(SYS_mbind, self->map, self->size, MPOL_BIND, &node, 8 * sizeof(node), 0);
	for (int i = 0; i < PAGES; i++)
		self->map[i * self->page] = 'a' + i;
	ASSERT_EQ(ioctl_range(self->fd, RUST_MIRROR_SET, self->map, self->size), 0);
}

FIXTURE_TEARDOWN(mirror)
{
	munmap(self->map, self->size);
	close(self->fd);
	ASSERT_EQ(unload_module(MODULE), 0);
}

TEST_F(mirror, contents)
{
	char bytes[2];

	for (int i = 0; i < PAGES; i++)
		ASSERT_EQ(device_read(self->fd, self->map + i * self->page), 'a' + i);
	ASSERT_EQ(fdinfo(self->fd, "faults"), PAGES);
	ASSERT_EQ(fdinfo(self->fd, "hits"), 0);

	/* The last page is in the page table of the device, and is the process's own. */
	self->map[7 * self->page] = 'x';
	ASSERT_EQ(device_read(self->fd, self->map + 7 * self->page), 'x');
	ASSERT_EQ(fdinfo(self->fd, "hits"), 1);
	ASSERT_EQ(device_write(self->fd, self->map + 7 * self->page + 1, 'y'), 0);
	ASSERT_EQ(self->map[7 * self->page + 1], 'y');

	/* An access ends at the end of a page. */
	ASSERT_EQ(pread(self->fd, bytes, 2, (uintptr_t)self->map + self->page - 1), 1);
	ASSERT_EQ(fdinfo(self->fd, "invalidations"), 0);
}

TEST_F(mirror, refused)
{
	char *map = self->map;

	ASSERT_EQ(ioctl_range(self->fd, RUST_MIRROR_SET, map + 1, self->page), -EINVAL);
	ASSERT_EQ(ioctl_range(self->fd, RUST_MIRROR_SET, map, self->page - 1), -EINVAL);
	ASSERT_EQ(ioctl_range(self->fd, RUST_MIRROR_SET, map, -self->page), -EINVAL);
	ASSERT_EQ(ioctl_range(self->fd, _IO('R', 9), map, self->page), -ENOTTY);
	/* The range is still mirrored, and nothing else is. */
	ASSERT_EQ(device_read(self->fd, map), 'a');
	ASSERT_EQ(device_read(self->fd, map - 1), -EINVAL);
	ASSERT_EQ(device_read(self->fd, map + self->size), -EINVAL);
	ASSERT_EQ(ioctl_range(self->fd, RUST_MIRROR_SET, map, self->page), 0);
	ASSERT_EQ(device_read(self->fd, map), 'a');
	ASSERT_EQ(device_read(self->fd, map + self->page), -EINVAL);
	ASSERT_EQ(ioctl_range(self->fd, RUST_MIRROR_SET, map, 0), 0);
	ASSERT_EQ(device_read(self->fd, map), -ENXIO);
	ASSERT_EQ(device_write(self->fd, map, 'x'), -ENXIO);
	/* A buffer that is not there. */
	ASSERT_EQ(ioctl_range(self->fd, RUST_MIRROR_SET, map, self->size), 0);
	ASSERT_EQ(pread(self->fd, NULL, 1, (uintptr_t)map), -1);
	ASSERT_EQ(errno, EFAULT);
	ASSERT_EQ(pwrite(self->fd, NULL, 1, (uintptr_t)map), -1);
	ASSERT_EQ(errno, EFAULT);
}

TEST_F(mirror, munmap)
{
	ASSERT_EQ(device_read(self->fd, self->map + self->page), 'b');
	ASSERT_EQ(munmap(self->map + self->page, 2 * self->page), 0);
	ASSERT_EQ(fdinfo(self->fd, "invalidations"), 1);
	ASSERT_EQ(fdinfo(self->fd, "changed"), 2);
	ASSERT_EQ(device_read(self->fd, self->map + self->page), -EFAULT);
	ASSERT_EQ(device_write(self->fd, self->map + self->page, 'x'), -EFAULT);
	ASSERT_EQ(device_read(self->fd, self->map), 'a');

	/* What is mapped there next is mirrored. */
	ASSERT_NE(mmap(self->map + self->page, self->page, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), MAP_FAILED);
	ASSERT_EQ(device_write(self->fd, self->map + self->page, 'n'), 0);
	ASSERT_EQ(self->map[self->page], 'n');
}

TEST_F(mirror, mprotect)
{
	ASSERT_EQ(device_read(self->fd, self->map), 'a');
	ASSERT_EQ(mprotect(self->map, self->page, PROT_READ), 0);
	ASSERT_EQ(device_write(self->fd, self->map, 'x'), -EPERM);
	ASSERT_EQ(device_read(self->fd, self->map), 'a');
	ASSERT_EQ(mprotect(self->map, self->page, PROT_NONE), 0);
	ASSERT_EQ(device_read(self->fd, self->map), -EFAULT);
	ASSERT_EQ(mprotect(self->map, self->page, PROT_READ | PROT_WRITE), 0);
	ASSERT_EQ(device_write(self->fd, self->map, 'x'), 0);
	ASSERT_EQ(self->map[0], 'x');
}

TEST_F(mirror, mremap)
{
	char *to = mmap(NULL, self->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(to, MAP_FAILED);
	ASSERT_EQ(device_read(self->fd, self->map), 'a');
	ASSERT_EQ(mremap(self->map, self->page, self->page, MREMAP_MAYMOVE | MREMAP_FIXED, to), to);
	ASSERT_EQ(to[0], 'a');
	ASSERT_EQ(device_read(self->fd, self->map), -EFAULT);
	/* From elsewhere into the range. */
	to[0] = 'm';
	ASSERT_EQ(mremap(to, self->page, self->page, MREMAP_MAYMOVE | MREMAP_FIXED,
			 self->map + self->page), self->map + self->page);
	ASSERT_EQ(device_read(self->fd, self->map + self->page), 'm');
}

/* Pages are shared after a fork until one of the processes, or the device, writes to them. */
TEST_F(mirror, fork)
{
	char *map = self->map;
	int go[2];
	pid_t pid;
	char c;

	ASSERT_EQ(pipe(go), 0);
	ASSERT_EQ(device_write(self->fd, map, 'a'), 0);
	ASSERT_EQ(device_read(self->fd, map + self->page), 'b');
	pid = fork();
	if (!pid) {
		/* The mirror is that of the parent, and its memory differs from now on. */
		map[2 * self->page] = 'C';
		if (read(go[0], &c, 1) != 1 || map[0] != 'a' || map[self->page] != 'b')
			_exit(1);
		if (device_read(self->fd, map) != 'p' ||
		    device_read(self->fd, map + self->page) != 'q')
			_exit(2);
		_exit(device_read(self->fd, map + 2 * self->page) == 'c' ? 0 : 3);
	}
	ASSERT_GT(pid, 0);
	ASSERT_GT(fdinfo(self->fd, "invalidations"), 0);
	EXPECT_EQ(device_write(self->fd, map, 'p'), 0);
	map[self->page] = 'q';
	EXPECT_EQ(map[0], 'p');
	EXPECT_EQ(device_read(self->fd, map + self->page), 'q');
	EXPECT_EQ(write(go[1], "", 1), 1);
	EXPECT_EQ(wait_child(pid), 0);
	EXPECT_EQ(fdinfo(self->fd, "ends"), 0);
	EXPECT_EQ(device_read(self->fd, map), 'p');
	close(go[0]);
	close(go[1]);
}

/* The file outlives the process whose memory it mirrors. */
TEST_F(mirror, exit)
{
	pid_t pid = fork();

	if (!pid)
		_exit(ioctl_range(self->fd, RUST_MIRROR_SET, self->map, self->size) ||
		      device_read(self->fd, self->map) != 'a');
	ASSERT_EQ(wait_child(pid), 0);
	ASSERT_EQ(device_read(self->fd, self->map), -ESRCH);
	ASSERT_EQ(device_write(self->fd, self->map, 'x'), -ESRCH);
	ASSERT_EQ(fdinfo(self->fd, "ends"), 1);
	ASSERT_EQ(fdinfo(self->fd, "changed"), PAGES);
	/* That of fork(), and two at the end: of the mm, and then of what was mapped. */
	ASSERT_GE(fdinfo(self->fd, "invalidations"), 3);
	ASSERT_EQ(ioctl_range(self->fd, RUST_MIRROR_SET, self->map, self->size), 0);
	ASSERT_EQ(device_read(self->fd, self->map), 'a');
}

/* So it does if the process gets another mm. */
TEST_F(mirror, exec)
{
	pid_t pid = fork();

	if (!pid) {
		if (ioctl_range(self->fd, RUST_MIRROR_SET, self->map, self->size))
			_exit(1);
		execl("/bin/true", "true", NULL);
		_exit(2);
	}
	ASSERT_EQ(wait_child(pid), 0);
	ASSERT_EQ(fdinfo(self->fd, "ends"), 1);
	ASSERT_EQ(device_read(self->fd, self->map), -ESRCH);
}

/* A process that is killed while the device accesses its memory. */
TEST_F(mirror, killed)
{
	for (int i = 0; i < 20; i++) {
		int got[2];
		pid_t pid;
		char c;

		ASSERT_EQ(pipe(got), 0);
		pid = fork();
		if (!pid) {
			if (ioctl_range(self->fd, RUST_MIRROR_SET, self->map, self->size) ||
			    write(got[1], "", 1) != 1)
				_exit(1);
			for (;;)
				madvise(self->map, self->size, MADV_DONTNEED);
		}
		ASSERT_GT(pid, 0);
		ASSERT_EQ(read(got[0], &c, 1), 1);
		for (int k = 0; k < 50; k++) {
			int ret = device_read(self->fd, self->map);

			/* EBUSY: the kernel has tried for a second. */
			ASSERT_TRUE(!ret || ret == 'a' || ret == -ESRCH || ret == -EBUSY);
			if (k == 25)
				kill(pid, SIGKILL);
		}
		ASSERT_EQ(waitpid(pid, NULL, 0), pid);
		ASSERT_EQ(device_read(self->fd, self->map), -ESRCH);
		close(got[0]);
		close(got[1]);
	}
}

/* What the device writes to a clean page is not lost when the page is reclaimed. */
TEST_F(mirror, dirty)
{
	char *map = self->map;
	cpu_set_t cpus;

	/* The advice finds new pages only if this processor has allocated them. */
	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	ASSERT_EQ(sched_setaffinity(0, sizeof(cpus), &cpus), 0);
	ASSERT_EQ(madvise(map, 2 * self->page, MADV_DONTNEED), 0);
	map[0] = 'a';
	map[self->page] = 'b';
	if (madvise(map, self->page, MADV_FREE))
		SKIP(return, "no MADV_FREE");
	ASSERT_EQ(device_write(self->fd, map, 'd'), 0);
	ASSERT_EQ(madvise(map, self->page, MADV_PAGEOUT), 0);
	ASSERT_EQ(map[0], 'd');
	/* It would have been without the device. */
	ASSERT_EQ(madvise(map + self->page, self->page, MADV_FREE), 0);
	ASSERT_EQ(madvise(map + self->page, self->page, MADV_PAGEOUT), 0);
	ASSERT_EQ(map[self->page], 0);
}

/* The memory of a file, which others can write to and truncate. */
TEST_F(mirror, shared_file)
{
	int file = memfd_create("mirror", MFD_CLOEXEC);
	char *map;

	ASSERT_GE(file, 0);
	ASSERT_EQ(ftruncate(file, 2 * self->page), 0);
	map = mmap(NULL, 2 * self->page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(ioctl_range(self->fd, RUST_MIRROR_SET, map, 2 * self->page), 0);
	ASSERT_EQ(device_write(self->fd, map + self->page, 'f'), 0);
	ASSERT_EQ(map[self->page], 'f');
	ASSERT_EQ(device_read(self->fd, map + self->page), 'f');
	ASSERT_EQ(pwrite(file, "g", 1, self->page), 1);
	ASSERT_EQ(device_read(self->fd, map + self->page), 'g');
	ASSERT_EQ(ftruncate(file, self->page), 0);
	ASSERT_EQ(device_read(self->fd, map + self->page), -EFAULT);
	ASSERT_EQ(device_read(self->fd, map), 0);
	ASSERT_EQ(ftruncate(file, 2 * self->page), 0);
	ASSERT_EQ(device_read(self->fd, map + self->page), 0);
	munmap(map, 2 * self->page);
	close(file);
}

/* Memory that only the process may access: the device gets no page, as it cannot be pinned. */
TEST_F(mirror, secret)
{
	int file = syscall(__NR_memfd_secret, 0);
	char *map;

	if (file < 0 && (errno == ENOSYS || errno == EPERM))
		SKIP(return, "no memfd_secret()");
	ASSERT_GE(file, 0);
	ASSERT_EQ(ftruncate(file, self->page), 0);
	map = mmap(NULL, self->page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ASSERT_NE(map, MAP_FAILED);
	map[0] = 's';
	ASSERT_EQ(ioctl_range(self->fd, RUST_MIRROR_SET, map, self->page), 0);
	ASSERT_EQ(device_read(self->fd, map), -EFAULT);
	ASSERT_EQ(device_write(self->fd, map, 'x'), -EFAULT);
	ASSERT_EQ(map[0], 's');
	munmap(map, self->page);
	close(file);
}

/* Each page of a huge page is found, also after a part of it was unmapped. */
TEST_F(mirror, huge_page)
{
	size_t huge = read_pmd_pagesize(), last = huge - self->page;
	char *area, *map;

	if (!huge)
		SKIP(return, "no transparent huge pages");
	area = mmap(NULL, 2 * huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(area, MAP_FAILED);
	map = area + huge - (size_t)area % huge;
	ASSERT_EQ(madvise(map, huge, MADV_HUGEPAGE), 0);
	for (size_t at = 0; at < huge; at += self->page)
		*(size_t *)(map + at) = at;
	ASSERT_EQ(ioctl_range(self->fd, RUST_MIRROR_SET, map, huge), 0);
	for (size_t at = 0; at < huge; at += self->page) {
		size_t got;

		ASSERT_EQ(pread(self->fd, &got, sizeof(got), (uintptr_t)map + at), sizeof(got));
		ASSERT_EQ(got, at);
	}
	ASSERT_EQ(device_write(self->fd, map + last, 'h'), 0);
	ASSERT_EQ(map[last], 'h');
	ASSERT_EQ(munmap(map, self->page), 0);
	ASSERT_EQ(device_read(self->fd, map), -EFAULT);
	ASSERT_EQ(device_read(self->fd, map + last), 'h');
	munmap(area, 2 * huge);
}

struct race {
	int fd;
	size_t page;
	char *map;
	volatile bool done;
	volatile unsigned long mapped;	/* the number of the page that is there */
};

/* Replaces the page again and again; each has its number. */
static void *replace(void *arg)
{
	struct race *race = arg;

	for (unsigned long i = 1; i <= ROUNDS; i++) {
		if (mmap(race->map, race->page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
			break;
		*(volatile unsigned long *)race->map = i;
		__atomic_store_n(&race->mapped, i, __ATOMIC_RELEASE);
	}
	race->done = true;
	return NULL;
}

/* While a thread replaces the page, the device never reads one that was there before. */
TEST_F(mirror, race)
{
	struct race race = { .fd = self->fd, .page = self->page, .map = self->map };
	unsigned long reads = 0;
	pthread_t thread;

	memset(self->map, 0, sizeof(unsigned long));
	ASSERT_EQ(pthread_create(&thread, NULL, replace, &race), 0);
	while (!race.done) {
		unsigned long before = __atomic_load_n(&race.mapped, __ATOMIC_ACQUIRE), value;
		ssize_t len = pread(self->fd, &value, sizeof(value), (uintptr_t)race.map);

		/* Nothing is mapped for a moment. */
		if (len < 0 && errno == EFAULT)
			continue;
		EXPECT_EQ(len, sizeof(value));
		/* A new page has no number at first. */
		if (value && value < before) {
			EXPECT_GE(value, before);
			break;
		}
		reads++;
	}
	pthread_join(thread, NULL);
	EXPECT_TRUE(race.done);
	EXPECT_GT(reads, 0);
	EXPECT_EQ(device_read(self->fd, self->map), ROUNDS & 0xff);
	EXPECT_GE(fdinfo(self->fd, "invalidations"), ROUNDS);
}

TEST_HARNESS_MAIN
