// SPDX-License-Identifier: GPL-2.0

/*
 * The sample driver rust_mmap_demand: pages allocated on fault, data per mapping,
 * dirty tracking, discarding pages, revocation. At the end of each test, the driver
 * must count no VMAs and no mappings.
 */

#include "rust_mm.h"
#include "rust_mm_ioctl.h"
#include "kselftest_harness.h"
#include "rust_mm_cgroup.h"
#include "rust_mm_pin.h"

#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#define MODULE	"rust_mmap_demand"
#define DEVICE	"/dev/rust_mmap_demand"
#define PAGES	16

#define RW	(PROT_READ | PROT_WRITE)

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

FIXTURE(demand)
{
	size_t page;	/* bytes in a page */
	size_t size;	/* bytes in the memory */
	int fd;
	char *map;	/* a mapping of all the memory */
};

FIXTURE_SETUP(demand)
{
	int ret = load_module(MODULE, "pages=16");

	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
		SKIP(return, "no " MODULE ".ko, and no $RUST_MM_MODULES");
	ASSERT_EQ(ret, 0);
	self->page = sysconf(_SC_PAGESIZE);
	self->size = PAGES * self->page;
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(self->map, MAP_FAILED);
	ASSERT_EQ(fdinfo(self->fd, "vmas"), 1);
	ASSERT_EQ(fdinfo(self->fd, "mappings"), 1);
}

FIXTURE_TEARDOWN(demand)
{
	munmap(self->map, self->size);
	/* The driver counts no VMAs, and has dropped the data of all mappings. */
	EXPECT_EQ(fdinfo(self->fd, "vmas"), 0);
	EXPECT_EQ(fdinfo(self->fd, "mappings"), 0);
	close(self->fd);
	ASSERT_EQ(unload_module(MODULE), 0);
}

#define VMAS(n)	ASSERT_EQ(fdinfo(self->fd, "vmas"), n)

/* The driver allocates a zeroed page at the first access, and keeps it. */
TEST_F(demand, faults)
{
	ASSERT_EQ(fdinfo(self->fd, "present"), 0);
	ASSERT_EQ(self->map[0], 0);
	ASSERT_EQ(fdinfo(self->fd, "present"), 1);
	ASSERT_EQ(fdinfo(self->fd, "faults"), 1);
	self->map[0] = 'x';
	ASSERT_EQ(self->map[0], 'x');
	ASSERT_EQ(fdinfo(self->fd, "faults"), 1);
	for (int i = 0; i < PAGES; i++)
		self->map[i * self->page] = 'a' + i;
	ASSERT_EQ(fdinfo(self->fd, "present"), PAGES);
	for (int i = 0; i < PAGES; i++)
		ASSERT_EQ(self->map[i * self->page], 'a' + i);
}

/* Faults are handled under the VMA lock alone, which no C driver in this kernel does. */
TEST_F(demand, faults_under_vma_lock)
{
	long success = vmstat("vma_lock_success"), retry;

	/* Fault once first, so that the page table exists. */
	self->map[0] = 0;
	retry = vmstat("vma_lock_retry");
	for (int i = 0; i < PAGES; i++)
		self->map[i * self->page] = 1;
	/*
	 * vmstat counts the faults of all processes. If the table had no map_pages,
	 * each fault would count as a retry. The driver's own counts are exact.
	 */
	if (success >= 0) {
		EXPECT_GE(vmstat("vma_lock_success"), success + PAGES);
		EXPECT_LT(vmstat("vma_lock_retry"), retry + PAGES);
	}
	ASSERT_EQ(fdinfo(self->fd, "faults"), PAGES);
	ASSERT_EQ(fdinfo(self->fd, "vma_lock_faults"), has_vma_locks() ? PAGES : 0);
}

/* A read fault also maps the pages around it that the driver has allocated. */
TEST_F(demand, fault_around)
{
	char *other;
	long faults;

	for (int i = 0; i < PAGES; i++)
		self->map[i * self->page] = 'a' + i;
	other = mmap(NULL, self->size, PROT_READ, MAP_SHARED, self->fd, 0);
	ASSERT_NE(other, MAP_FAILED);
	faults = fdinfo(self->fd, "faults");
	for (int i = 0; i < PAGES; i++)
		ASSERT_EQ(other[i * self->page], 'a' + i);
	/* The first access to each page table faults, and there are at most two. */
	EXPECT_LE(fdinfo(self->fd, "faults"), faults + 2);
	EXPECT_GE(fdinfo(self->fd, "pages_around"), PAGES - 2);

	/* The pages around are not writable: the driver still sees the first write. */
	ASSERT_EQ(mprotect(other, self->size, RW), 0);
	faults = fdinfo(self->fd, "mkwrites");
	for (int i = 0; i < PAGES; i++)
		other[i * self->page]++;
	ASSERT_EQ(fdinfo(self->fd, "mkwrites"), faults + PAGES);
	ASSERT_EQ(munmap(other, self->size), 0);
}

/* The driver sees the first write to a page, and no later one. */
TEST_F(demand, dirty_tracking)
{
	unsigned int dirty;

	ASSERT_EQ(self->map[0], 0);
	ASSERT_EQ(fdinfo(self->fd, "dirty"), 0);
	self->map[0] = 1;
	self->map[1] = 1;
	self->map[3 * self->page] = 1;
	ASSERT_EQ(fdinfo(self->fd, "dirty"), 2);
	ASSERT_EQ(fdinfo(self->fd, "mkwrites"), 2);
	ASSERT_EQ(ioctl(self->fd, DEMAND_CLEAN, &dirty), 0);
	ASSERT_EQ(dirty, 2);
	ASSERT_EQ(fdinfo(self->fd, "dirty"), 0);

	/* Cleaning keeps the contents, and reading does not make a page dirty. */
	ASSERT_EQ(self->map[0], 1);
	ASSERT_EQ(fdinfo(self->fd, "dirty"), 0);
	self->map[0] = 2;
	ASSERT_EQ(fdinfo(self->fd, "dirty"), 1);
	ASSERT_EQ(ioctl(self->fd, DEMAND_CLEAN, &dirty), 0);
	ASSERT_EQ(dirty, 1);
}

/* A discarded page is unmapped everywhere; the next access gets a new page. */
TEST_F(demand, take)
{
	unsigned int index = 2, bad = PAGES;

	memset(self->map, 'x', self->size);
	ASSERT_EQ(ioctl(self->fd, DEMAND_TAKE, &index), 0);
	ASSERT_EQ(fdinfo(self->fd, "present"), PAGES - 1);
	ASSERT_EQ(fdinfo(self->fd, "dirty"), PAGES - 1);
	ASSERT_EQ(self->map[2 * self->page], 0);
	ASSERT_EQ(self->map[1 * self->page], 'x');
	ASSERT_EQ(self->map[3 * self->page], 'x');
	ASSERT_EQ(ioctl(self->fd, DEMAND_TAKE, &bad), -1);
	ASSERT_EQ(errno, EINVAL);
	ASSERT_EQ(ioctl(self->fd, DEMAND_TAKE, NULL), -1);
	ASSERT_EQ(errno, EFAULT);
	ASSERT_EQ(ioctl(self->fd, _IO('d', 99)), -1);
	ASSERT_EQ(errno, ENOTTY);
}

/* Revoked memory can be neither accessed nor mapped; restored memory is unchanged. */
TEST_F(demand, revoke)
{
	self->map[0] = 'r';
	ASSERT_EQ(ioctl(self->fd, DEMAND_REVOKE), 0);
	ASSERT_EQ(try_read(self->map), SIGBUS);
	ASSERT_EQ(try_write(self->map + self->page), SIGBUS);
	ASSERT_EQ(mmap(NULL, self->page, RW, MAP_SHARED, self->fd, 0),
		  MAP_FAILED);
	ASSERT_EQ(errno, ENODEV);
	VMAS(1);
	ASSERT_EQ(fdinfo(self->fd, "mappings"), 1);

	ASSERT_EQ(ioctl(self->fd, DEMAND_RESTORE), 0);
	ASSERT_EQ(self->map[0], 'r');
	ASSERT_EQ(try_write(self->map + self->page), 0);
}

struct toucher {
	char *map;
	size_t page;
	atomic_int stop, faults;
};

/*
 * Reads all pages by a system call, which fails while the memory is revoked: the signal
 * handlers of try_access() are not thread-safe.
 */
static void *toucher(void *arg)
{
	struct toucher *t = arg;

	for (int i = 0; !t->stop; i++) {
		char c;
		struct iovec to = { &c, 1 };
		struct iovec from = { t->map + i % PAGES * t->page, 1 };

		if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) == 1)
			t->faults++;
	}
	return NULL;
}

/*
 * Revokes the memory while a thread and a child access it all the time. When the ioctl
 * returns, nothing may be mapped, in either mm, and no fault in flight may map a page
 * later.
 */
TEST_F(demand, revoke_while_faulting)
{
	struct toucher t = { .map = self->map, .page = self->page };
	pthread_t thread;
	pid_t pid = fork();

	ASSERT_GE(pid, 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			for (int p = 0; p < PAGES; p++)
				try_read(self->map + p * self->page);
	}
	ASSERT_EQ(pthread_create(&thread, NULL, toucher, &t), 0);
	for (int i = 0; i < 50; i++) {
		ASSERT_EQ(ioctl(self->fd, DEMAND_REVOKE), 0);
		for (int round = 0; round < 3; round++)
			for (int p = 0; p < PAGES; p++)
				ASSERT_EQ(try_read(self->map + p * self->page), SIGBUS);
		ASSERT_EQ(ioctl(self->fd, DEMAND_RESTORE), 0);
		ASSERT_EQ(try_read(self->map), 0);
		/* Wait until the thread has faulted in a page again. */
		for (int before = t.faults; t.faults == before;)
			sched_yield();
	}
	t.stop = 1;
	ASSERT_EQ(pthread_join(thread, NULL), 0);
	/* The child has run all the time. */
	ASSERT_EQ(waitpid(pid, NULL, WNOHANG), 0);
	ASSERT_EQ(kill(pid, SIGKILL), 0);
	ASSERT_EQ(waitpid(pid, NULL, 0), pid);
}

/* munmap() in the middle splits the VMA; both parts share the data. */
TEST_F(demand, unmap_in_the_middle)
{
	memset(self->map, 'u', self->size);
	ASSERT_EQ(munmap(self->map + 4 * self->page, 2 * self->page), 0);
	VMAS(2);
	ASSERT_EQ(fdinfo(self->fd, "mappings"), 1);
	ASSERT_EQ(self->map[0], 'u');
	ASSERT_EQ(self->map[7 * self->page], 'u');
	/* munmap() of the tail shortens the second VMA. */
	ASSERT_EQ(munmap(self->map + 12 * self->page, 4 * self->page), 0);
	VMAS(2);
	/* munmap() of the head shortens the first VMA. */
	ASSERT_EQ(munmap(self->map, self->page), 0);
	VMAS(2);
}

/* mprotect() of a part splits the VMA into three. */
TEST_F(demand, mprotect)
{
	self->map[5 * self->page] = 'p';
	ASSERT_EQ(mprotect(self->map + 5 * self->page, self->page, PROT_READ), 0);
	VMAS(3);
	ASSERT_EQ(self->map[5 * self->page], 'p');
	ASSERT_EQ(try_write(self->map + 5 * self->page), SIGSEGV);
	ASSERT_EQ(try_write(self->map + 6 * self->page), 0);
	/* The kernel does not merge VMAs that have data of their own. */
	ASSERT_EQ(mprotect(self->map + 5 * self->page, self->page, RW), 0);
	VMAS(3);
	ASSERT_EQ(try_write(self->map + 5 * self->page), 0);
}

/* The kernel does not merge adjacent mappings of adjacent offsets either. */
TEST_F(demand, adjacent)
{
	char *left = mmap(NULL, 2 * self->page, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(left, MAP_FAILED);
	ASSERT_EQ(mmap(left, self->page, RW, MAP_SHARED | MAP_FIXED, self->fd, 0),
		  left);
	ASSERT_EQ(mmap(left + self->page, self->page, RW, MAP_SHARED | MAP_FIXED,
		       self->fd, self->page), left + self->page);
	ASSERT_TRUE(has_vma(left, self->page));
	ASSERT_TRUE(has_vma(left + self->page, self->page));
	VMAS(3);
	ASSERT_EQ(fdinfo(self->fd, "mappings"), 3);
	ASSERT_EQ(munmap(left, 2 * self->page), 0);
	VMAS(1);
	ASSERT_EQ(fdinfo(self->fd, "mappings"), 1);
}

/* fork() duplicates the data and exit drops it; parent and child share the memory. */
TEST_F(demand, fork)
{
	int to_child[2], to_parent[2];
	pid_t pid;
	char c;

	ASSERT_EQ(pipe(to_child), 0);
	ASSERT_EQ(pipe(to_parent), 0);
	self->map[0] = 'f';
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		bool good = self->map[0] == 'f';

		self->map[self->page] = 'c';
		if (write(to_parent[1], "", 1) != 1 ||
		    read(to_child[0], &c, 1) != 1)
			_exit(2);
		_exit(good ? 0 : 1);
	}
	ASSERT_EQ(read(to_parent[0], &c, 1), 1);
	VMAS(2);
	ASSERT_EQ(fdinfo(self->fd, "mappings"), 1);
	ASSERT_EQ(self->map[self->page], 'c');
	ASSERT_EQ(write(to_child[1], "", 1), 1);
	ASSERT_EQ(wait_child(pid), 0);
	VMAS(1);
}

/* MADV_DONTFORK keeps a child from inheriting the mapping; MADV_DOFORK is refused. */
TEST_F(demand, dontfork)
{
	pid_t pid;

	ASSERT_EQ(madvise(self->map, self->size, MADV_DONTFORK), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		_exit(try_read(self->map) == SIGSEGV ? 0 : 1);
	ASSERT_EQ(wait_child(pid), 0);
	ASSERT_EQ(madvise(self->map, self->size, MADV_DOFORK), -1);
	ASSERT_EQ(errno, EINVAL);
}

/* The kernel refuses to grow a mapping; shrinking and moving it keeps the count right. */
TEST_F(demand, mremap)
{
	size_t half = self->size / 2;
	char *moved, *twice;

	memset(self->map, 'm', self->size);
	ASSERT_EQ(mremap(self->map, self->size, 2 * self->size, MREMAP_MAYMOVE),
		  MAP_FAILED);
	ASSERT_EQ(errno, EFAULT);
	VMAS(1);

	ASSERT_EQ(mremap(self->map, self->size, half, 0), self->map);
	VMAS(1);
	moved = mmap(NULL, half, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_EQ(mremap(self->map, half, half, MREMAP_MAYMOVE | MREMAP_FIXED,
			 moved), moved);
	VMAS(1);
	ASSERT_EQ(moved[half - 1], 'm');
	ASSERT_EQ(try_read(self->map), SIGSEGV);

	/* Moving a part splits the VMA first. */
	twice = mremap(moved, self->page, self->page,
		       MREMAP_MAYMOVE | MREMAP_FIXED, self->map);
	ASSERT_EQ(twice, self->map);
	VMAS(2);
	ASSERT_EQ(twice[0], 'm');

	/* The kernel refuses MREMAP_DONTUNMAP and length 0 for special mappings. */
	ASSERT_EQ(mremap(moved + self->page, self->page, self->page,
			 MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL), MAP_FAILED);
	ASSERT_EQ(errno, EINVAL);
	ASSERT_EQ(mremap(moved + self->page, 0, self->page, MREMAP_MAYMOVE, NULL),
		  MAP_FAILED);
	ASSERT_EQ(errno, EFAULT);
	VMAS(2);
	ASSERT_EQ(munmap(moved, half), 0);
}

/* MAP_FIXED closes the old VMA, even if the driver then refuses the new mapping. */
TEST_F(demand, fixed_over_us)
{
	ASSERT_EQ(mmap(self->map + self->page, self->page, RW,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		  self->map + self->page);
	VMAS(2);
	ASSERT_EQ(mmap(self->map, self->size, RW, MAP_SHARED | MAP_FIXED,
		       self->fd, 0), self->map);
	VMAS(1);
	ASSERT_EQ(mmap(self->map, self->page, RW, MAP_SHARED | MAP_FIXED,
		       self->fd, self->size), MAP_FAILED);
	ASSERT_EQ(errno, ENXIO);
	ASSERT_EQ(try_read(self->map), SIGSEGV);
	VMAS(1);
}

/* madvise(): the kernel's result for each advice on a special mapping. */
TEST_F(demand, madvise)
{
	const struct {
		int advice;
		int error;
	} advices[] = {
		{ MADV_NORMAL, 0 }, { MADV_RANDOM, 0 }, { MADV_SEQUENTIAL, 0 },
		{ MADV_WILLNEED, 0 }, { MADV_DONTNEED, 0 },
		{ MADV_DONTNEED_LOCKED, 0 },
		{ MADV_FREE, EINVAL }, { MADV_WIPEONFORK, EINVAL },
		{ MADV_KEEPONFORK, 0 },
		{ MADV_COLD, 0 }, { MADV_PAGEOUT, 0 },
		{ MADV_POPULATE_READ, 0 }, { MADV_POPULATE_WRITE, 0 },
		{ MADV_GUARD_INSTALL, EINVAL }, { MADV_GUARD_REMOVE, EINVAL },
		{ MADV_MERGEABLE, 0 }, { MADV_UNMERGEABLE, 0 },
		{ MADV_COLLAPSE, EINVAL },
		{ MADV_DONTDUMP, 0 }, { MADV_DODUMP, EINVAL },
		{ MADV_HUGEPAGE, read_pmd_pagesize() ? 0 : EINVAL },
		{ MADV_NOHUGEPAGE, read_pmd_pagesize() ? 0 : EINVAL },
	};

	memset(self->map, 'v', self->size);
	for (size_t i = 0; i < ARRAY_SIZE(advices); i++) {
		int ret = madvise(self->map, self->size, advices[i].advice);

		EXPECT_EQ(ret ? errno : 0, advices[i].error)
			TH_LOG("advice %d", advices[i].advice);
		/* The driver owns the memory, so no advice changes its contents. */
		EXPECT_EQ(self->map[self->page], 'v')
			TH_LOG("advice %d", advices[i].advice);
	}
	VMAS(1);
	/* Advice on a part splits the VMA. */
	ASSERT_EQ(madvise(self->map + 2 * self->page, self->page, MADV_RANDOM), 0);
	VMAS(3);
}

/* MADV_REMOVE punches a hole into a file, which a device does not support. */
TEST_F(demand, remove)
{
	ASSERT_EQ(madvise(self->map, self->page, MADV_REMOVE), -1);
	ASSERT_EQ(errno, ENODEV);
}

/* Pages dropped with MADV_DONTNEED are faulted in again, with the same contents. */
TEST_F(demand, dontneed_refaults)
{
	long faults, around;

	self->map[0] = 'n';
	faults = fdinfo(self->fd, "faults");
	around = fdinfo(self->fd, "pages_around");
	ASSERT_EQ(madvise(self->map, self->page, MADV_DONTNEED), 0);
	/* The driver still has the page, so map_pages maps it, without a call of ->fault. */
	ASSERT_EQ(self->map[0], 'n');
	ASSERT_EQ(fdinfo(self->fd, "faults"), faults);
	ASSERT_EQ(fdinfo(self->fd, "pages_around"), around + 1);
	/* The kernel calls map_pages for read faults only. */
	ASSERT_EQ(madvise(self->map, self->page, MADV_DONTNEED), 0);
	self->map[1] = 'o';
	ASSERT_EQ(self->map[0], 'n');
	ASSERT_EQ(fdinfo(self->fd, "faults"), faults + 1);
}

/* MADV_POPULATE faults pages in; for revoked memory it returns EFAULT. */
TEST_F(demand, populate)
{
	ASSERT_EQ(madvise(self->map, self->size, MADV_POPULATE_WRITE), 0);
	ASSERT_EQ(fdinfo(self->fd, "present"), PAGES);
	ASSERT_EQ(fdinfo(self->fd, "dirty"), PAGES);
	ASSERT_EQ(ioctl(self->fd, DEMAND_REVOKE), 0);
	ASSERT_EQ(madvise(self->map, self->size, MADV_POPULATE_READ), -1);
	ASSERT_EQ(errno, EFAULT);
	ASSERT_EQ(ioctl(self->fd, DEMAND_RESTORE), 0);
}

/* mlock() succeeds and faults pages in, but does not set VM_LOCKED on a special VMA. */
TEST_F(demand, mlock)
{
	ASSERT_EQ(mlock(self->map, self->size), 0);
	ASSERT_EQ(fdinfo(self->fd, "present"), PAGES);
	ASSERT_FALSE(has_vm_flag(self->map, "lo"));
	ASSERT_EQ(munlock(self->map, self->size), 0);
	ASSERT_EQ(mlockall(MCL_CURRENT), 0);
	ASSERT_EQ(munlockall(), 0);
	VMAS(1);
}

/* MS_SYNC calls fsync, which marks the pages of the range clean. */
TEST_F(demand, msync)
{
	char *private;

	for (int i = 0; i < PAGES; i++)
		self->map[i * self->page] = 1;
	ASSERT_EQ(msync(self->map, self->size, MS_ASYNC), 0);
	ASSERT_EQ(msync(self->map, self->size, MS_ASYNC | MS_INVALIDATE), 0);
	ASSERT_EQ(fdinfo(self->fd, "dirty"), PAGES);
	ASSERT_EQ(msync(self->map + self->page, 2 * self->page, MS_SYNC), 0);
	ASSERT_EQ(fdinfo(self->fd, "dirty"), PAGES - 2);
	/* Those two are written again, and nothing else is. */
	self->map[0]++;
	self->map[self->page]++;
	self->map[2 * self->page]++;
	self->map[3 * self->page]++;
	ASSERT_EQ(fdinfo(self->fd, "mkwrites"), PAGES + 2);
	ASSERT_EQ(fdinfo(self->fd, "dirty"), PAGES);

	/* A private mapping has nothing to sync. */
	private = mmap(NULL, self->page, PROT_READ, MAP_PRIVATE, self->fd, 0);
	ASSERT_NE(private, MAP_FAILED);
	ASSERT_EQ(msync(private, self->page, MS_SYNC), 0);
	ASSERT_EQ(munmap(private, self->page), 0);
	ASSERT_EQ(fdinfo(self->fd, "dirty"), PAGES);

	ASSERT_EQ(fdatasync(self->fd), 0);
	ASSERT_EQ(fdinfo(self->fd, "dirty"), 0);
	self->map[0]++;
	ASSERT_EQ(fsync(self->fd), 0);
	ASSERT_EQ(fdinfo(self->fd, "dirty"), 0);
}

/* Writes through a pin: process_vm_writev() pins the destination, and then reads @from. */
struct pinned_write {
	char *to, *from;
	ssize_t done;
};

static void *write_through_pin(void *arg)
{
	struct pinned_write *w = arg;
	struct iovec local = { w->from, 1 }, remote = { w->to, 1 };

	w->done = process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
	return NULL;
}

/*
 * I/O that has pinned a page writes to it later, without a fault. The page must be
 * dirty again after that, although it was reported in between. userfaultfd holds up
 * the I/O after it has pinned the page.
 */
TEST_F(demand, dirty_through_a_pin)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_copy copy = { .len = self->page };
	struct pinned_write w;
	struct uffd_msg msg;
	pthread_t thread;
	unsigned int dirty;
	char *filled;
	int uffd;

	uffd = syscall(__NR_userfaultfd, O_CLOEXEC);
	if (uffd < 0)
		SKIP(return, "no userfaultfd");
	ASSERT_EQ(ioctl(uffd, UFFDIO_API, &api), 0);
	w.from = mmap(NULL, self->page, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	filled = mmap(NULL, self->page, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(w.from, MAP_FAILED);
	ASSERT_NE(filled, MAP_FAILED);
	filled[0] = 'p';
	reg.range.start = (unsigned long)w.from;
	reg.range.len = self->page;
	ASSERT_EQ(ioctl(uffd, UFFDIO_REGISTER, &reg), 0);

	for (int sync = 0; sync < 2; sync++) {
		self->map[0] = 'm';
		w.to = self->map;
		ASSERT_EQ(ioctl(self->fd, DEMAND_CLEAN, &dirty), 0);
		ASSERT_EQ(dirty, 1);
		ASSERT_EQ(fdinfo(self->fd, "dirty"), 0);
		ASSERT_EQ(pthread_create(&thread, NULL, write_through_pin, &w), 0);
		/* The I/O has pinned the page when it reads its source. */
		ASSERT_EQ(read(uffd, &msg, sizeof(msg)), sizeof(msg));
		ASSERT_EQ(msg.event, UFFD_EVENT_PAGEFAULT);
		ASSERT_EQ(fdinfo(self->fd, "dirty"), 1);
		if (sync) {
			ASSERT_EQ(msync(self->map, self->page, MS_SYNC), 0);
		} else {
			ASSERT_EQ(ioctl(self->fd, DEMAND_CLEAN, &dirty), 0);
			ASSERT_EQ(dirty, 1);
		}
		ASSERT_EQ(self->map[0], 'm');

		copy.dst = (unsigned long)w.from;
		copy.src = (unsigned long)filled;
		ASSERT_EQ(ioctl(uffd, UFFDIO_COPY, &copy), 0);
		ASSERT_EQ(pthread_join(thread, NULL), 0);
		ASSERT_EQ(w.done, 1);
		ASSERT_EQ(self->map[0], 'p');
		/* What was written after the report is in the next one. */
		ASSERT_EQ(ioctl(self->fd, DEMAND_CLEAN, &dirty), 0);
		ASSERT_EQ(dirty, 1);
		ASSERT_EQ(ioctl(self->fd, DEMAND_CLEAN, &dirty), 0);
		ASSERT_EQ(dirty, 0);
		ASSERT_EQ(madvise(w.from, self->page, MADV_DONTNEED), 0);
	}
	munmap(w.from, self->page);
	munmap(filled, self->page);
	close(uffd);
}

/*
 * The kernel does not let a page be pinned for as long as user space wants if the
 * driver wants to know of its first write. Fixed buffers of io_uring and RDMA are such
 * pins.
 */
TEST_F(demand, longterm_pin)
{
	int fd;

	self->map[0] = 1;
	fd = pin_longterm(self->map, self->page, true);
	if (fd == -ENOENT)
		SKIP(return, "no CONFIG_GUP_TEST");
	ASSERT_EQ(fd, -EFAULT);
	fd = pin_longterm(self->map, self->page, false);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(ioctl(fd, PIN_LONGTERM_TEST_STOP), 0);
	close(fd);
}

/* A device that has no read and write has no splice either. */
TEST_F(demand, splice)
{
	off_t pos = 0;
	int p[2];

	ASSERT_EQ(pipe(p), 0);
	ASSERT_EQ(write(p[1], "x", 1), 1);
	ASSERT_EQ(splice(self->fd, NULL, p[1], NULL, 1, 0), -1);
	ASSERT_EQ(errno, EINVAL);
	ASSERT_EQ(splice(p[0], NULL, self->fd, NULL, 1, 0), -1);
	ASSERT_EQ(errno, EINVAL);
	ASSERT_EQ(sendfile(p[1], self->fd, &pos, 1), -1);
	ASSERT_EQ(errno, EINVAL);
	close(p[0]);
	close(p[1]);
}

/* process_vm_readv(), process_vm_writev() and /proc/pid/mem access the memory. */
TEST_F(demand, remote_access)
{
	char buf[8] = "";
	struct iovec local = { buf, sizeof(buf) };
	struct iovec remote = { self->map + self->page, sizeof(buf) };
	int mem;

	strcpy(self->map + self->page, "remote");
	ASSERT_EQ(process_vm_readv(getpid(), &local, 1, &remote, 1, 0),
		  sizeof(buf));
	ASSERT_STREQ(buf, "remote");
	/* A page that is not allocated yet. */
	remote.iov_base = self->map + 9 * self->page;
	ASSERT_EQ(process_vm_readv(getpid(), &local, 1, &remote, 1, 0),
		  sizeof(buf));
	ASSERT_EQ(buf[0], 0);
	strcpy(buf, "written");
	ASSERT_EQ(process_vm_writev(getpid(), &local, 1, &remote, 1, 0),
		  sizeof(buf));
	ASSERT_STREQ(self->map + 9 * self->page, "written");

	mem = open("/proc/self/mem", O_RDWR);
	ASSERT_GE(mem, 0);
	ASSERT_EQ(pread(mem, buf, sizeof(buf), (off_t)(self->map + self->page)),
		  sizeof(buf));
	ASSERT_STREQ(buf, "remote");
	close(mem);
}

/* A debugger reads pages; the driver allocates those that are missing. */
TEST_F(demand, ptrace)
{
	*(long *)self->map = 0x12345678;
	ASSERT_EQ(ptrace_peek(self->map), 0x12345678);
	ASSERT_EQ(ptrace_peek(self->map + 8 * self->page), 0);
	VMAS(1);
}

/* A core dump contains the memory, unless the process has set MADV_DONTDUMP. */
TEST_F(demand, core_dump)
{
	put_marker(self->map + 3 * self->page, "demand marker 1");
	ASSERT_EQ(core_contains("demand marker 1"), 1);
	ASSERT_EQ(madvise(self->map, self->size, MADV_DONTDUMP), 0);
	put_marker(self->map + 3 * self->page, "demand marker 2");
	ASSERT_EQ(core_contains("demand marker 2"), 0);
	VMAS(1);
}

/* mseal(): the kernel refuses to change the mapping from then on. */
TEST_F(demand, mseal)
{
#ifdef __NR_mseal
	pid_t pid = fork();

	ASSERT_GE(pid, 0);
	if (!pid) {
		if (syscall(__NR_mseal, self->map, self->size, 0))
			_exit(1);
		if (!munmap(self->map, self->page) || errno != EPERM)
			_exit(2);
		if (!mprotect(self->map, self->page, PROT_READ) ||
		    errno != EPERM)
			_exit(3);
		if (mremap(self->map, self->page, 2 * self->page,
			   MREMAP_MAYMOVE) != MAP_FAILED)
			_exit(4);
		if (try_write(self->map))
			_exit(5);
		_exit(0);
	}
	ASSERT_EQ(wait_child(pid), 0);
	VMAS(1);
#else
	SKIP(return, "no mseal");
#endif
}

/* userfaultfd refuses special mappings. */
TEST_F(demand, userfaultfd)
{
	struct uffdio_api api = { .api = UFFD_API };
	int uffd = syscall(__NR_userfaultfd, O_CLOEXEC);

	ASSERT_GE(uffd, 0);
	ASSERT_EQ(ioctl(uffd, UFFDIO_API, &api), 0);
	ASSERT_EQ(uffd_register(uffd, self->map, self->size, true, false, false), -EINVAL);
	close(uffd);
}

/* The driver refuses private mappings that can be written to. */
TEST_F(demand, private)
{
	char *map = mmap(NULL, self->page, RW, MAP_PRIVATE, self->fd, 0);

	ASSERT_EQ(map, MAP_FAILED);
	ASSERT_EQ(errno, EINVAL);
	map = mmap(NULL, self->page, PROT_READ, MAP_PRIVATE, self->fd, 0);
	ASSERT_NE(map, MAP_FAILED);
	self->map[0] = 'q';
	ASSERT_EQ(map[0], 'q');
	VMAS(2);
	munmap(map, self->page);
}

/* The kernel does not unload the module while a mapping exists. */
TEST_F(demand, module_lifetime)
{
	self->map[0] = 1;
	ASSERT_EQ(unload_module(MODULE), -EWOULDBLOCK);
	close(self->fd);
	ASSERT_EQ(unload_module(MODULE), -EWOULDBLOCK);
	self->map[self->page] = 1;
	ASSERT_EQ(munmap(self->map, self->size), 0);
	ASSERT_EQ(unload_module(MODULE), 0);
	ASSERT_EQ(load_module(MODULE, ""), 0);
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_GE(self->fd, 0);
}

static void *map_and_unmap(void *arg)
{
	int fd = *(int *)arg;

	for (int i = 0; i < 300; i++) {
		char *map = mmap(NULL, 8192, RW, MAP_SHARED, fd, 0);

		if (map == MAP_FAILED)
			return "mmap";
		map[0] = i;
		if (munmap(map + 4096, 4096) || munmap(map, 4096))
			return "munmap";
	}
	return NULL;
}

/* Four threads map, access and unmap the device at the same time. */
TEST_F(demand, threads)
{
	pthread_t threads[4];
	void *failed;

	for (int i = 0; i < 4; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, map_and_unmap,
					 &self->fd), 0);
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(pthread_join(threads[i], &failed), 0);
		EXPECT_EQ(failed, NULL);
	}
	VMAS(1);
}

/* Pages are charged to the memory cgroup of the process that faults them in, until discarded. */
TEST_F(demand, charge)
{
	const unsigned int pages = 4096;
	long before, after, discarded;
	struct cgroup group;
	pid_t pid;
	int ret;

	munmap(self->map, self->size);
	close(self->fd);
	ASSERT_EQ(unload_module(MODULE), 0);
	ASSERT_EQ(load_module(MODULE, "pages=4096"), 0);
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_GE(self->fd, 0);
	self->size = pages * self->page;
	self->map = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(self->map, MAP_FAILED);
	ret = mount_cgroups();
	if (ret == -ENODEV)
		SKIP(return, "no CONFIG_MEMCG, or another hierarchy has it");
	ASSERT_EQ(ret, 0);
	ASSERT_EQ(new_cgroup(&group, "demand"), 0);

	before = cgroup_get(&group, "memory.current", NULL);
	pid = fork();
	if (!pid) {
		if (enter_cgroup(&group))
			_exit(1);
		_exit(madvise(self->map, self->size, MADV_POPULATE_WRITE) ? 2 : 0);
	}
	EXPECT_EQ(wait_child(pid), 0);
	EXPECT_EQ(fdinfo(self->fd, "present"), pages);
	after = cgroup_get(&group, "memory.current", NULL);
	for (unsigned int i = 0; i < pages; i++)
		EXPECT_EQ(ioctl(self->fd, DEMAND_TAKE, &i), 0);
	discarded = cgroup_get(&group, "memory.current", NULL);
	EXPECT_EQ(remove_cgroup(&group), 0);
	/* The kernel charges some pages in advance, and keeps some charges for each processor. */
	EXPECT_GE(before, 0);
	EXPECT_GE(after, before + (long)self->size);
	EXPECT_LE(discarded, after - (long)self->size / 2);
}

TEST_HARNESS_MAIN
