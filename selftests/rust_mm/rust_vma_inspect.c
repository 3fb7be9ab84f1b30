// SPDX-License-Identifier: GPL-2.0

/*
 * The sample driver rust_vma_inspect: it must list the same VMAs of an mm as
 * /proc/<pid>/maps and smaps, also while the mm changes.
 */

#include "rust_mm.h"
#include "kselftest_harness.h"
#include "../../../../samples/rust/mm/rust_vma_inspect.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/swap.h>
#include <time.h>

#define MODULE	"rust_vma_inspect"
#define DEVICE	"/dev/rust_vma_inspect"

#define RW	(PROT_READ | PROT_WRITE)
#define MAX	512

/* From this address on, maps shows [vsyscall], which is not in the tree of VMAs. */
#define KERNEL	(1UL << 63)

/* A VMA, from the driver or from /proc. */
struct vma {
	unsigned long start, end, offset, ino, present, rss, swap;
	unsigned int major, minor;
	char perms[5];
	char name[192];
};

FIXTURE(inspect)
{
	size_t page;	/* bytes in a page */
	int fd;
};

FIXTURE_SETUP(inspect)
{
	int ret = load_module(MODULE, "");

	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
		SKIP(return, "no " MODULE ".ko, and no $RUST_MM_MODULES");
	ASSERT_EQ(ret, 0);
	self->page = sysconf(_SC_PAGESIZE);
	self->fd = open(DEVICE, O_RDONLY);
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(inspect)
{
	/* A test that failed may have left the swap device on. */
	swapoff("/dev/zram0");
	close(self->fd);
	ASSERT_EQ(unload_module(MODULE), 0);
}

/*
 * Lists the VMAs of a process between two addresses, up to @chunk with each ioctl.
 * Returns their number, or -errno.
 */
static int inspect(int fd, pid_t pid, unsigned long start, unsigned long end,
		   unsigned int flags, unsigned int chunk, struct vma *out)
{
	static struct rust_vma vmas[MAX];
	struct rust_vma_inspect request = {
		.pid = pid, .start = start, .flags = flags,
	};
	int n = 0;

	do {
		request.vmas = (unsigned long)vmas;
		request.count = chunk;
		if (ioctl(fd, RUST_VMA_INSPECT, &request))
			return -errno;
		for (unsigned int i = 0; i < request.count; i++) {
			if (vmas[i].start >= end)
				return n;
			if (n == MAX)
				return -E2BIG;
			out[n] = (struct vma) {
				vmas[i].start, vmas[i].end, vmas[i].offset,
				vmas[i].ino, vmas[i].present, vmas[i].rss,
				vmas[i].swap, vmas[i].major, vmas[i].minor,
			};
			out[n].perms[0] = vmas[i].flags & RUST_VMA_READ ? 'r' : '-';
			out[n].perms[1] = vmas[i].flags & RUST_VMA_WRITE ? 'w' : '-';
			out[n].perms[2] = vmas[i].flags & RUST_VMA_EXEC ? 'x' : '-';
			out[n].perms[3] = vmas[i].flags & RUST_VMA_SHARED ? 's' : 'p';
			memcpy(out[n].name, vmas[i].name, sizeof(out[n].name));
			n++;
		}
	} while (request.start);
	return n;
}

/* Lists VMAs from /proc: from smaps if @flags asks for pages. Returns their number. */
static int proc_maps(pid_t pid, unsigned long start, unsigned long end,
		     unsigned int flags, struct vma *out)
{
	static char text[1 << 20];
	char path[64];
	size_t len = 0;
	ssize_t got;
	struct vma *last = NULL;
	int fd, n = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid,
		 flags & RUST_VMA_INSPECT_PAGES ? "smaps" : "maps");
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return -errno;
	while ((got = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += got;
	close(fd);
	text[len] = '\0';

	for (char *line = text; *line; ) {
		char *next = strchr(line, '\n') + 1;
		struct vma vma = {};

		next[-1] = '\0';
		if (sscanf(line, "%lx-%lx %4s %lx %x:%x %lu %191[^\n]", &vma.start,
			   &vma.end, vma.perms, &vma.offset, &vma.major,
			   &vma.minor, &vma.ino, vma.name) >= 7) {
			last = NULL;
			if (vma.start >= start && vma.start < end && n < MAX) {
				last = &out[n++];
				*last = vma;
			}
		} else if (last && sscanf(line, "Rss: %lu kB", &vma.rss) == 1) {
			last->rss = vma.rss << 10;
		} else if (last && sscanf(line, "Swap: %lu kB", &vma.swap) == 1) {
			last->swap = vma.swap << 10;
		}
		line = next;
	}
	return n;
}

static bool same(const struct vma *a, const struct vma *b)
{
	return a->start == b->start && a->end == b->end &&
	       !strcmp(a->perms, b->perms) && a->ino == b->ino &&
	       (!a->ino || (a->offset == b->offset && a->major == b->major &&
			    a->minor == b->minor && !strcmp(a->name, b->name)));
}

static struct vma ours[MAX], theirs[MAX];

/*
 * Compares the driver's list with that of /proc; the process must not change meanwhile.
 * Returns 0 if they agree, the number of the first VMA that differs, counted from 1, or
 * MAX if the number of VMAs differs.
 */
static int differ(int fd, pid_t pid, unsigned long start, unsigned long end,
		  unsigned int flags, unsigned int chunk)
{
	int n = inspect(fd, pid, start, end, flags, chunk, ours);
	int m = proc_maps(pid, start, end, flags, theirs);

	if (n < 0 || n != m)
		return MAX;
	for (int i = 0; i < n; i++) {
		if (!same(&ours[i], &theirs[i]))
			return i + 1;
		if (flags & RUST_VMA_INSPECT_PAGES && ours[i].rss != theirs[i].rss)
			return i + 1;
		/* For a file in memory, smaps counts swap that no page table refers to. */
		if (flags & RUST_VMA_INSPECT_PAGES && !ours[i].ino &&
		    ours[i].swap != theirs[i].swap)
			return i + 1;
	}
	return 0;
}

/* Forks a child that accesses some memory, and stops. */
static pid_t stopped_child(size_t page)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		char *map = mmap(NULL, 64 * page, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		for (int i = 0; i < 64; i += 3)
			map[i * page] = 1;
		/* Reading maps the zero page, which does not count in Rss. */
		for (int i = 1; i < 64; i += 6)
			*(volatile char *)&map[i * page];
		mprotect(map + 8 * page, page, PROT_READ);
		mmap(NULL, page, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		raise(SIGSTOP);
		_exit(0);
	}
	waitpid(pid, &status, WUNTRACED);
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

TEST_F(inspect, agrees_with_maps)
{
	pid_t pid = stopped_child(self->page);

	EXPECT_EQ(differ(self->fd, pid, 0, KERNEL, 0, MAX), 0);
	/* Also with more than one ioctl. */
	EXPECT_EQ(differ(self->fd, pid, 0, KERNEL, 0, 1), 0);
	EXPECT_EQ(differ(self->fd, pid, 0, KERNEL, 0, 7), 0);
	end_child(pid);
}

TEST_F(inspect, agrees_with_smaps)
{
	pid_t pid = stopped_child(self->page);

	EXPECT_EQ(differ(self->fd, pid, 0, KERNEL, RUST_VMA_INSPECT_PAGES, MAX), 0);
	end_child(pid);
}

/* The zero page counts as present, but not in Rss. */
TEST_F(inspect, present)
{
	struct rust_vma vma;
	struct rust_vma_inspect request = {
		.pid = getpid(), .vmas = (unsigned long)&vma, .count = 1,
		.flags = RUST_VMA_INSPECT_PAGES,
	};
	char *all = mmap(NULL, 6 * self->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	char *map = all + self->page;

	ASSERT_NE(all, MAP_FAILED);
	/* Make the pages a VMA of their own. */
	ASSERT_EQ(mprotect(map, 4 * self->page, RW), 0);
	map[0] = 1;
	ASSERT_EQ(*(volatile char *)&map[2 * self->page], 0);

	request.start = (unsigned long)map;
	ASSERT_EQ(ioctl(self->fd, RUST_VMA_INSPECT, &request), 0);
	ASSERT_EQ(request.count, 1);
	EXPECT_EQ(vma.start, (unsigned long)map);
	EXPECT_EQ(vma.end, vma.start + 4 * self->page);
	EXPECT_EQ(vma.present, 2 * self->page);
	EXPECT_EQ(vma.rss, self->page);
	ASSERT_EQ(munmap(all, 6 * self->page), 0);
}

/* Hugetlb pages count as present, but not in Rss. */
TEST_F(inspect, hugetlb)
{
	const size_t huge = 2 << 20;
	unsigned long start;
	char *map;
	int n, ret = write_text("/proc/sys/vm/nr_hugepages", "4");

	if (ret == -ENOENT)
		SKIP(return, "no hugetlbfs");
	ASSERT_EQ(ret, 0);
	for (int shared = 0; shared < 2; shared++) {
		map = mmap(NULL, 3 * huge, RW, (shared ? MAP_SHARED : MAP_PRIVATE) |
			   MAP_ANONYMOUS | MAP_HUGETLB | (21 << MAP_HUGE_SHIFT), -1, 0);
		if (map == MAP_FAILED) {
			ret = errno;
			write_text("/proc/sys/vm/nr_hugepages", "0");
			SKIP(return, "no hugetlb pages: %s", strerror(ret));
		}
		start = (unsigned long)map;
		map[huge] = 1;
		/* Make one huge page a read-only VMA of its own. */
		ASSERT_EQ(mprotect(map + huge, huge, PROT_READ), 0);

		n = inspect(self->fd, getpid(), start, start + 3 * huge,
			    RUST_VMA_INSPECT_PAGES, MAX, ours);
		ASSERT_EQ(n, 3);
		for (int i = 0; i < n; i++) {
			EXPECT_EQ(ours[i].start, start + i * huge);
			EXPECT_EQ(ours[i].present, i == 1 ? huge : 0);
			EXPECT_EQ(ours[i].rss, 0);
			EXPECT_EQ(ours[i].swap, 0);
		}
		EXPECT_EQ(differ(self->fd, getpid(), start, start + 3 * huge,
				 RUST_VMA_INSPECT_PAGES, MAX), 0);
		ASSERT_EQ(munmap(map, 3 * huge), 0);
	}
	ASSERT_EQ(write_text("/proc/sys/vm/nr_hugepages", "0"), 0);
}

/* Pages in swap, which is a zram device here. */
TEST_F(inspect, swap)
{
	const size_t len = 64 * self->page;
	char *map, *all = mmap(NULL, len + 2 * self->page, PROT_NONE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long start, out = 0;
	int ret;

	ASSERT_NE(all, MAP_FAILED);
	ret = write_text("/sys/block/zram0/disksize", "16M");
	if (ret == -ENOENT)
		SKIP(return, "no zram");
	ASSERT_EQ(ret, 0);
	ASSERT_EQ(system("mkswap /dev/zram0 >/dev/null"), 0);
	ASSERT_EQ(swapon("/dev/zram0", 0), 0);

	map = all + self->page;
	start = (unsigned long)map;
	ASSERT_EQ(mprotect(map, len, RW), 0);
	/* Among the swapped pages, the last one of a half was never used. */
	memset(map, 1, len / 2 - self->page);
	memset(map + len / 2, 1, len / 2 - self->page);
	/* The kernel cannot page out pages that wait in its per-CPU LRU batches. */
	for (int i = 0; i < 100 && !out; i++) {
		madvise(map, len, MADV_PAGEOUT);
		ASSERT_EQ(proc_maps(getpid(), start, start + len,
				    RUST_VMA_INSPECT_PAGES, theirs), 1);
		out = theirs[0].swap;
	}
	EXPECT_GT(out, 0);
	EXPECT_EQ(differ(self->fd, getpid(), start, start + len,
			 RUST_VMA_INSPECT_PAGES, MAX), 0);
	EXPECT_EQ(ours[0].swap, out);
	EXPECT_EQ(ours[0].present, len - 2 * self->page - out);

	ASSERT_EQ(munmap(all, len + 2 * self->page), 0);
	ASSERT_EQ(swapoff("/dev/zram0"), 0);
	ASSERT_EQ(write_text("/sys/block/zram0/reset", "1"), 0);
}

TEST_F(inspect, refused)
{
	struct rust_vma_inspect request = {};
	pid_t pid;
	int status;

	/* No such process, a kernel thread, invalid PIDs. */
	EXPECT_EQ(inspect(self->fd, 0x3fffff, 0, KERNEL, 0, 1, ours), -ESRCH);
	EXPECT_EQ(inspect(self->fd, 2, 0, KERNEL, 0, 1, ours), -ESRCH);
	EXPECT_EQ(inspect(self->fd, 0, 0, KERNEL, 0, 1, ours), -ESRCH);
	EXPECT_EQ(inspect(self->fd, -1, 0, KERNEL, 0, 1, ours), -ESRCH);
	EXPECT_EQ(inspect(self->fd, getpid(), 0, KERNEL, 2, 1, ours), -EINVAL);
	request.pid = getpid();
	request.count = 1;
	request.vmas = 8;
	EXPECT_EQ(ioctl(self->fd, RUST_VMA_INSPECT, &request), -1);
	EXPECT_EQ(errno, EFAULT);
	EXPECT_EQ(ioctl(self->fd, RUST_VMA_INSPECT, 8), -1);
	EXPECT_EQ(errno, EFAULT);
	EXPECT_EQ(ioctl(self->fd, _IO('V', 0), &request), -1);
	EXPECT_EQ(errno, ENOTTY);
	/* Past the end of user space there are no VMAs. */
	EXPECT_EQ(inspect(self->fd, getpid(), -1UL, KERNEL, 0, 1, ours), 0);
	EXPECT_EQ(inspect(self->fd, getpid(), KERNEL, -1UL, 0, 1, ours), 0);

	/* A caller without permission to ptrace this process. */
	pid = fork();
	if (pid == 0) {
		if (setgid(65534) || setuid(65534))
			_exit(2);
		_exit(inspect(self->fd, getppid(), 0, KERNEL, 0, 1, ours) != -EACCES);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
}

static unsigned int seed;

static unsigned int rnd(unsigned int n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

/*
 * Compares many random layouts. Set RUST_MM_SEED to repeat a run. A kernel that checks its tree of
 * VMAs after each change needs a few minutes.
 */
TEST_F_TIMEOUT(inspect, random_layouts, 600)
{
	const int pages = 64, layouts = 10000;
	size_t page = self->page;
	char *arena = mmap(NULL, pages * page, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	unsigned long start = (unsigned long)arena, end = start + pages * page;
	int file = memfd_create("layout", 0);

	ASSERT_NE(arena, MAP_FAILED);
	ASSERT_GE(file, 0);
	ASSERT_EQ(ftruncate(file, pages * page), 0);
	seed = getenv("RUST_MM_SEED") ? strtoul(getenv("RUST_MM_SEED"), NULL, 0) :
					(unsigned int)time(NULL);
	TH_LOG("seed %u", seed);

	for (int i = 0; i < layouts; i++) {
		for (int ops = 1 + rnd(4); ops; ops--) {
			int at = rnd(pages), len = 1 + rnd(pages - at);
			char *addr = arena + at * page;
			int prot = rnd(4);

			if (len > 8)
				len = 1 + rnd(8);
			switch (rnd(5)) {
			case 0:
				munmap(addr, len * page);
				break;
			case 1:
				mprotect(addr, len * page, prot);
				break;
			case 2:
				mmap(addr, len * page, prot, MAP_FIXED |
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
				break;
			case 3:
				mmap(addr, len * page, prot, MAP_FIXED |
				     (rnd(2) ? MAP_SHARED : MAP_PRIVATE), file,
				     rnd(pages) * page);
				break;
			case 4:
				if (mmap(addr, len * page, RW, MAP_FIXED |
					 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == addr)
					addr[rnd(len) * page] = 1;
				break;
			}
		}
		/* Count pages only in some of them, since smaps is slow. */
		ASSERT_EQ(differ(self->fd, getpid(), start, end,
				 i % 16 ? 0 : RUST_VMA_INSPECT_PAGES,
				 1 + rnd(MAX)), 0) {
			TH_LOG("layout %d", i);
		}
	}
	munmap(arena, pages * page);
	close(file);
}

static atomic_bool stop;

/* Maps, splits and unmaps VMAs in an address range until stopped. */
static void *churn(void *arg)
{
	size_t page = sysconf(_SC_PAGESIZE);
	char *arena = arg;

	while (!stop) {
		mmap(arena, 16 * page, RW, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		for (int i = 0; i < 16; i += 2) {
			arena[i * page] = 1;
			mprotect(arena + i * page, page, PROT_READ);
		}
		munmap(arena + 3 * page, 5 * page);
		mremap(arena + 8 * page, 4 * page, 2 * page, 0);
		munmap(arena, 16 * page);
	}
	return NULL;
}

/*
 * Two threads change the mm on both sides of some VMAs that do not change. Expects that
 * each list has these VMAs once, unchanged, and all VMAs in order, without overlap.
 */
TEST_F_TIMEOUT(inspect, while_it_changes, 60)
{
	size_t page = self->page;
	char *arena = mmap(NULL, 64 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *fixed = arena + 24 * page;
	pthread_t threads[2];
	int rounds = 300, worst = 0;

	ASSERT_NE(arena, MAP_FAILED);
	/* Make 8 VMAs that do not change, and that the kernel cannot merge with neighbours. */
	for (int i = 0; i < 16; i += 2) {
		ASSERT_EQ(mmap(fixed + i * page, page, RW, MAP_FIXED | MAP_PRIVATE |
			       MAP_ANONYMOUS, -1, 0), fixed + i * page);
		fixed[i * page] = 1;
	}
	stop = false;
	ASSERT_EQ(pthread_create(&threads[0], NULL, churn, arena), 0);
	ASSERT_EQ(pthread_create(&threads[1], NULL, churn, arena + 44 * page), 0);

	while (rounds--) {
		unsigned int flags = rounds % 2 ? RUST_VMA_INSPECT_PAGES : 0;
		int n = inspect(self->fd, getpid(), 0, KERNEL, flags,
				rounds % 3 ? MAX : 5, ours);
		int stay = 0;

		ASSERT_GT(n, 0);
		worst = n > worst ? n : worst;
		for (int i = 0; i < n; i++) {
			unsigned long at = ours[i].start - (unsigned long)fixed;

			ASSERT_LT(ours[i].start, ours[i].end);
			if (i)
				ASSERT_LE(ours[i - 1].end, ours[i].start);
			if (ours[i].start < (unsigned long)fixed || at >= 16 * page ||
			    !strcmp(ours[i].perms, "---p"))
				continue;
			ASSERT_EQ(ours[i].end - ours[i].start, page);
			ASSERT_EQ(at % (2 * page), 0);
			ASSERT_STREQ(ours[i].perms, "rw-p");
			if (flags)
				ASSERT_EQ(ours[i].rss, page);
			stay++;
		}
		ASSERT_EQ(stay, 8);
	}
	stop = true;
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	munmap(arena, 64 * page);
}

/* A process that exits while it is inspected. */
TEST_F_TIMEOUT(inspect, while_it_ends, 60)
{
	for (int i = 0; i < 50; i++) {
		pid_t pid = fork();
		int n;

		ASSERT_GE(pid, 0);
		if (pid == 0)
			_exit(0);
		do {
			n = inspect(self->fd, pid, 0, KERNEL, RUST_VMA_INSPECT_PAGES, 3, ours);
		} while (n > 0);
		ASSERT_TRUE(n == 0 || n == -ESRCH);
		ASSERT_EQ(waitpid(pid, NULL, 0), pid);
	}
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* Returns whether the kernel was built for make coverage, as its command line tells. */
static bool unoptimized(void)
{
	char line[4096] = "";
	FILE *file = fopen("/proc/cmdline", "r");
	bool found = file && fgets(line, sizeof(line), file) &&
		     strstr(line, "rust_mm.unoptimized");

	if (file)
		fclose(file);
	return found;
}

/*
 * Expects the driver to be as fast as /proc/self/maps; compares the best of many runs.
 *
 * Each step of the walk looks up the next VMA, since the caller may have slept, and
 * without VMA locks it takes the mmap lock. With lockdep, that alone takes longer than
 * /proc takes to print a VMA, so the limit is three times the time of /proc.
 */
TEST_F_TIMEOUT(inspect, speed, 60)
{
	const int pages = 800;
	static struct rust_vma vmas[1024];
	static char text[1 << 17];
	char *map = mmap(NULL, pages * self->page, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	double best_ours = 1e9, best_proc = 1e9;

	if (unoptimized())
		SKIP(return, "the kernel's Rust is not optimized (make coverage)");
	ASSERT_NE(map, MAP_FAILED);
	for (int i = 0; i < pages; i += 2)
		ASSERT_EQ(mprotect(map + i * self->page, self->page, PROT_READ), 0);
	for (int i = 0; i < 20; i++) {
		struct rust_vma_inspect request = {
			.pid = getpid(), .vmas = (unsigned long)vmas,
			.count = ARRAY_SIZE(vmas),
		};
		double begin = seconds(), time;
		ssize_t got;
		int fd;

		ASSERT_EQ(ioctl(self->fd, RUST_VMA_INSPECT, &request), 0);
		ASSERT_GE(request.count, pages);
		time = seconds() - begin;
		best_ours = time < best_ours ? time : best_ours;

		begin = seconds();
		fd = open("/proc/self/maps", O_RDONLY);
		while ((got = read(fd, text, sizeof(text))) > 0)
			;
		close(fd);
		time = seconds() - begin;
		best_proc = time < best_proc ? time : best_proc;
	}
	TH_LOG("%d VMAs: %.0f us, /proc/self/maps %.0f us", pages, best_ours * 1e6,
	       best_proc * 1e6);
	EXPECT_LT(best_ours, access("/proc/lockdep", F_OK) ? best_proc : 3 * best_proc);
	munmap(map, pages * self->page);
}

TEST_HARNESS_MAIN
