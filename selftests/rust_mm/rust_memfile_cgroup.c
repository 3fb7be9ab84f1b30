// SPDX-License-Identifier: GPL-2.0

/*
 * Memory files and memory cgroups: who is charged for the pages of a file, until when, and what
 * happens at the limit. Those of the sample driver rust_memfile must do what those of
 * memfd_create() do.
 */

#define WITH_LARGE_FOLIOS
#include "rust_memfile_fixture.h"
#include "rust_mm_cgroup.h"

#include <malloc.h>

/* The limit of a group, in pages, and a file that does not fit. */
#define LIMIT	1024
#define PAGES	(2 * LIMIT)

/*
 * What a group may be charged for besides pages of files: its processes, and what the kernel
 * charges in advance for each processor.
 */
#define SLACK	(LIMIT / 2)

static bool is_close(long a, long b)
{
	return labs(a - b) <= SLACK;
}

/*
 * Waits until the group is charged for @pages pages of files, and little else: what is freed, and
 * the statistics, lag behind. Returns @pages then; otherwise, how many pages it is charged for.
 */
static long charged(const FIXTURE_DATA(memory) *self, const struct cgroup *group, long pages)
{
	double end = seconds() + PATIENCE;
	long all, files;

	for (;;) {
		all = cgroup_get(group, "memory.current", NULL) / (long)self->page;
		files = cgroup_get(group, "memory.stat", "file") / (long)self->page;
		if (is_close(all, pages) && is_close(files, pages))
			return pages;
		if (seconds() >= end)
			return is_close(all, pages) ? files : all;
		usleep(10000);
	}
}

/* What a process does in a group. */
struct job {
	const FIXTURE_DATA(memory) *self;
	int fd;
	char *map;	/* of all pages */
	size_t first, pages;
};

/*
 * Has all memory of this process allocated, but for the mapping of the file. At the limit, a fault
 * at its own memory could neither succeed nor, unless it may be killed, end.
 */
static bool keep_own_memory(const struct job *job)
{
	const size_t len = PAGES * job->self->page;

	return !munmap(job->map, len) && !mlockall(MCL_CURRENT) &&
		mmap(job->map, len, RW, MAP_SHARED | MAP_FIXED_NOREPLACE, job->fd, 0) == job->map;
}

#define KILLED	1

/*
 * Runs a function in a process of the group, which the kernel does not kill at the limit unless it
 * is @killable. Returns what the function has returned, or KILLED.
 */
static int run_in(const struct cgroup *group, bool killable, int (*run)(const struct job *job),
		  const struct job *job)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return -errno;
	if (!pid) {
		if (enter_cgroup(group) || !keep_own_memory(job) ||
		    write_text("/proc/self/oom_score_adj", killable ? "1000" : "-1000"))
			_exit(EPROTO);
		/* An errno fits into an exit status. */
		_exit(-run(job));
	}
	status = wait_child(pid);
	return status < 0 ? KILLED : -status;
}

static int run_write(const struct job *job)
{
	const size_t page = job->self->page;
	char *from = page_of(job->self, 'w');

	for (size_t i = job->first; i < job->first + job->pages; i++)
		if (pwrite(job->fd, from, page, i * page) != (ssize_t)page)
			return -errno;
	return 0;
}

static int run_allocate(const struct job *job)
{
	const size_t page = job->self->page;

	return fallocate(job->fd, 0, job->first * page, job->pages * page) ? -errno : 0;
}

static int populate(const struct job *job, int advice)
{
	const size_t page = job->self->page;

	return madvise(job->map + job->first * page, job->pages * page, advice) ? -errno : 0;
}

static int run_fault(const struct job *job)
{
	return populate(job, MADV_POPULATE_WRITE);
}

static int run_read(const struct job *job)
{
	return populate(job, MADV_POPULATE_READ);
}

static int run_touch(const struct job *job)
{
	const size_t page = job->self->page;

	for (size_t i = job->first; i < job->first + job->pages; i++)
		job->map[i * page] = 't';
	return 0;
}

/* Fills page by page. */
static int fill_all(const struct job *job, bool zero)
{
	const size_t page = job->self->page;
	char *from = page_of(job->self, 'c');
	int uffd = uffd_with(0, 0);

	if (uffd < 0 || watch(uffd, job->map, PAGES * page, MISSING))
		return -EPROTO;
	for (size_t i = job->first; i < job->first + job->pages; i++) {
		char *at = job->map + i * page;
		long ret = zero ? fill_zero(uffd, at, page, 0) :
			fill_copy(uffd, at, from, page, 0);

		if (ret != (long)page)
			return ret;
	}
	return 0;
}

static int run_copy(const struct job *job)
{
	return fill_all(job, false);
}

static int run_zeropage(const struct job *job)
{
	return fill_all(job, true);
}

static const struct {
	const char *name;
	int (*run)(const struct job *job);
	char value;	/* of each page, then */
} ops[] = {
	{ "write", run_write, 'w' },
	{ "fallocate", run_allocate, 0 },
	{ "fault", run_fault, 0 },
	{ "UFFDIO_COPY", run_copy, 'c' },
	{ "UFFDIO_ZEROPAGE", run_zeropage, 0 },
};

/* Makes a file of PAGES pages, and maps it. Returns 0 or -errno. */
static int make_file(const FIXTURE_DATA(memory) *self, struct job *job)
{
	/* What is freed is gone: keep_own_memory() would have it allocated in the group. */
	if (!mallopt(M_MMAP_THRESHOLD, 16 * self->page))
		return -EINVAL;
	*job = (struct job){ .self = self, .fd = file_of(self, PAGES), .pages = PAGES };
	if (job->fd < 0)
		return job->fd;
	job->map = map_pages(self, job->fd, PAGES, MAP_SHARED);
	return job->map ? 0 : -errno;
}

/* Prepares a test: cgroups, a file, and its mapping. Returns whether there are memory cgroups. */
static bool prepare(struct __test_metadata *_metadata, const FIXTURE_DATA(memory) *self,
		    struct job *job)
{
	int ret = mount_cgroups();

	if (ret == -ENODEV)
		SKIP(return false, "no CONFIG_MEMCG, or another hierarchy has it");
	ASSERT_EQ(ret, 0);
	ASSERT_EQ(make_file(self, job), 0);
	return true;
}

static int empty(const struct job *job)
{
	return fallocate(job->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			 PAGES * job->self->page);
}

/* A page is charged to the group of the process that has allocated it, until it is freed. */
TEST_F_TIMEOUT(memory, charge, 120)
{
	struct cgroup a, b;
	struct job job;

	if (!prepare(_metadata, self, &job))
		return;
	ASSERT_EQ(new_cgroup(&a, "a"), 0);
	ASSERT_EQ(new_cgroup(&b, "b"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		job.first = 0;
		job.pages = LIMIT;
		ASSERT_EQ(run_in(&a, false, ops[i].run, &job), 0) TH_LOG("%s", ops[i].name);
		job.first = LIMIT;
		ASSERT_EQ(run_in(&b, false, ops[i].run, &job), 0) TH_LOG("%s", ops[i].name);
		/* The processes are gone, and the pages are not. */
		EXPECT_EQ(charged(self, &a, LIMIT), LIMIT);
		EXPECT_EQ(charged(self, &b, LIMIT), LIMIT);
		EXPECT_TRUE(has_bytes(job.fd, 0, PAGES * self->page, ops[i].value))
			TH_LOG("%s", ops[i].name);

		/* Who accesses a page that is there does not pay. */
		job.first = 0;
		ASSERT_EQ(run_in(&b, false, run_touch, &job), 0);
		EXPECT_EQ(charged(self, &a, LIMIT), LIMIT);
		EXPECT_EQ(charged(self, &b, LIMIT), LIMIT);

		/* A part is cut off, and the rest is punched out. */
		ASSERT_EQ(ftruncate(job.fd, LIMIT * self->page), 0);
		EXPECT_EQ(charged(self, &a, LIMIT), LIMIT);
		EXPECT_EQ(charged(self, &b, 0), 0);
		ASSERT_EQ(ftruncate(job.fd, PAGES * self->page), 0);
		ASSERT_EQ(empty(&job), 0);
		EXPECT_EQ(charged(self, &a, 0), 0);
	}
	/* At the last close. */
	job.pages = LIMIT;
	ASSERT_EQ(run_in(&a, false, run_write, &job), 0);
	EXPECT_EQ(charged(self, &a, LIMIT), LIMIT);
	close(job.fd);
	EXPECT_EQ(charged(self, &a, LIMIT), LIMIT);
	ASSERT_EQ(munmap(job.map, PAGES * self->page), 0);
	EXPECT_EQ(charged(self, &a, 0), 0);
	ASSERT_EQ(rmdir(a.path), 0);
	ASSERT_EQ(rmdir(b.path), 0);
}

/* userfaultfd charges the process whose mapping is filled, and not the one that fills it. */
TEST_F_TIMEOUT(memory, charge_of_a_fill, 120)
{
	const size_t page = self->page;
	char *from = page_of(self, 'c');
	struct cgroup mapper, filler;
	int sockets[2], uffd;
	struct job job;
	pid_t pid;

	if (!prepare(_metadata, self, &job))
		return;
	ASSERT_EQ(new_cgroup(&mapper, "mapper"), 0);
	ASSERT_EQ(new_cgroup(&filler, "filler"), 0);
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		char byte;

		close(sockets[0]);
		uffd = uffd_with(0, 0);
		if (enter_cgroup(&mapper) || uffd < 0 ||
		    watch(uffd, job.map, PAGES * page, MISSING) ||
		    send_fd(sockets[1], uffd))
			_exit(1);
		/* Until the other end is closed. */
		_exit(read(sockets[1], &byte, 1) != 0);
	}
	close(sockets[1]);
	uffd = receive_fd(sockets[0]);
	ASSERT_GE(uffd, 0);
	ASSERT_EQ(enter_cgroup(&filler), 0);
	for (size_t i = 0; i < LIMIT; i++)
		ASSERT_EQ(fill_copy(uffd, job.map + i * page, from, page, 0), page);
	EXPECT_EQ(charged(self, &mapper, LIMIT), LIMIT);
	EXPECT_EQ(charged(self, &filler, 0), 0);
	ASSERT_EQ(fill_zero(uffd, job.map + LIMIT * page, LIMIT * page, 0), LIMIT * page);
	EXPECT_EQ(charged(self, &mapper, PAGES), PAGES);
	EXPECT_EQ(charged(self, &filler, 0), 0);
	close(sockets[0]);
	ASSERT_EQ(wait_child(pid), 0);
	EXPECT_EQ(charged(self, &mapper, PAGES), PAGES);
	ASSERT_TRUE(has_bytes(job.fd, 0, LIMIT * page, 'c'));
	ASSERT_EQ(empty(&job), 0);
	EXPECT_EQ(charged(self, &mapper, 0), 0);
	ASSERT_EQ(cgroup_set(&root_cgroup, "cgroup.procs", "0"), 0);
	ASSERT_EQ(rmdir(mapper.path), 0);
	ASSERT_EQ(rmdir(filler.path), 0);
}

/* --- at the limit */

#define PRINTK	"/proc/sys/kernel/printk"

/*
 * Keeps the messages of the OOM killer from the console: they have a call trace, which looks like
 * the report of a bug there. What is a report of a bug is found in the log.
 */
struct quiet {
	int kmsg, level;
};

static int begin_quiet(struct quiet *quiet)
{
	FILE *file = fopen(PRINTK, "r");

	quiet->level = -1;
	if (!file || fscanf(file, "%d", &quiet->level) != 1)
		return -1;
	fclose(file);
	quiet->kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (quiet->kmsg < 0 || lseek(quiet->kmsg, 0, SEEK_END) < 0)
		return -1;
	/* Errors only. */
	return write_text(PRINTK, "4");
}

/* Returns how often the OOM killer was called, or -1 if the log has the report of a bug. */
static int end_quiet(struct quiet *quiet)
{
	char record[8192], level[16];
	int calls = 0, bugs = 0;
	ssize_t len;

	/* Another processor may be printing still. */
	usleep(200000);
	snprintf(level, sizeof(level), "%d", quiet->level);
	write_text(PRINTK, level);
	for (;;) {
		len = read(quiet->kmsg, record, sizeof(record) - 1);
		if (len < 0 && errno == EPIPE)
			continue;	/* some were overwritten */
		if (len <= 0)
			break;
		record[len] = 0;
		calls += !!strstr(record, "invoked oom-killer");
		bugs += strstr(record, "BUG:") || strstr(record, "WARNING:");
	}
	close(quiet->kmsg);
	return bugs ? -1 : calls;
}

static long pages_of(const struct job *job)
{
	struct stat stat;

	return fstat(job->fd, &stat) ? -1 : stat.st_blocks * 512 / (long)job->self->page;
}

static int set_limit(const FIXTURE_DATA(memory) *self, const struct cgroup *group)
{
	char limit[32];

	snprintf(limit, sizeof(limit), "%zu", LIMIT * self->page);
	return cgroup_set(group, "memory.max", limit);
}

/* What does not fit fails with ENOMEM, and succeeds when there is room. */
TEST_F_TIMEOUT(memory, limit, 60)
{
	struct quiet quiet;
	struct cgroup group;
	struct job job;

	if (!prepare(_metadata, self, &job))
		return;
	ASSERT_EQ(new_cgroup(&group, "limit"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		int ret, calls;
		bool undone;
		long pages;

		ASSERT_EQ(set_limit(self, &group), 0);
		ASSERT_EQ(begin_quiet(&quiet), 0);
		ret = run_in(&group, false, ops[i].run, &job);
		calls = end_quiet(&quiet);
		EXPECT_EQ(ret, -ENOMEM) TH_LOG("%s", ops[i].name);
		/* There was nothing to kill. */
		EXPECT_GE(calls, 1) TH_LOG("%s", ops[i].name);
		EXPECT_EQ(cgroup_get(&group, "memory.events", "oom_kill"), 0);

		/* The file has what fits; a memfd gives back what fallocate() has allocated. */
		pages = pages_of(&job);
		undone = variant->memfd && ops[i].run == run_allocate;
		EXPECT_LE(pages, undone ? 0 : LIMIT) TH_LOG("%s", ops[i].name);
		EXPECT_GE(pages, undone ? 0 : LIMIT - SLACK) TH_LOG("%s", ops[i].name);
		EXPECT_EQ(charged(self, &group, pages), pages);
		EXPECT_EQ(size_of(job.fd), PAGES * self->page);

		ASSERT_EQ(empty(&job), 0);
		ASSERT_EQ(cgroup_set(&group, "memory.max", "max"), 0);
		EXPECT_EQ(run_in(&group, false, ops[i].run, &job), 0) TH_LOG("%s", ops[i].name);
		EXPECT_TRUE(has_bytes(job.fd, 0, PAGES * self->page, ops[i].value));
		ASSERT_EQ(empty(&job), 0);
	}
	ASSERT_EQ(rmdir(group.path), 0);
}

/* A process that touches more than the limit is killed. The file stays as it is then. */
TEST_F_TIMEOUT(memory, limit_kills, 60)
{
	struct quiet quiet;
	struct cgroup group;
	struct job job;
	int ret, calls;
	long pages;

	if (!prepare(_metadata, self, &job))
		return;
	ASSERT_EQ(new_cgroup(&group, "kills"), 0);
	ASSERT_EQ(set_limit(self, &group), 0);
	ASSERT_EQ(begin_quiet(&quiet), 0);
	ret = run_in(&group, true, run_touch, &job);
	calls = end_quiet(&quiet);
	EXPECT_EQ(ret, KILLED);
	EXPECT_GE(calls, 1);
	EXPECT_EQ(cgroup_get(&group, "memory.events", "oom_kill"), 1);
	pages = pages_of(&job);
	EXPECT_GE(pages, LIMIT - SLACK);
	EXPECT_LE(pages, LIMIT);
	EXPECT_TRUE(has_bytes(job.fd, 0, 1, 't'));
	EXPECT_EQ(charged(self, &group, pages), pages);
	ASSERT_EQ(empty(&job), 0);
	EXPECT_EQ(charged(self, &group, 0), 0);
	ASSERT_EQ(rmdir(group.path), 0);
}

/*
 * Reads past the limit: pages that nothing was written to are reclaimed if the file is evictable,
 * and others are not. A memfd would need swap, and in other memory files all pages count as
 * written.
 */
TEST_F_TIMEOUT(memory, limit_reclaims, 60)
{
	const bool evictable = variant->flags & RUST_MEMFILE_EVICTABLE;
	const size_t written = LIMIT / 4, page = self->page;
	struct quiet quiet;
	struct cgroup group;
	struct job job;
	int ret, calls;

	if (!prepare(_metadata, self, &job))
		return;
	ASSERT_EQ(new_cgroup(&group, "reclaims"), 0);
	ASSERT_EQ(set_limit(self, &group), 0);
	ASSERT_EQ(begin_quiet(&quiet), 0);
	job.pages = written;
	ASSERT_EQ(run_in(&group, false, run_write, &job), 0);
	job.pages = PAGES;
	ret = run_in(&group, false, run_read, &job);
	calls = end_quiet(&quiet);
	EXPECT_EQ(ret, evictable ? 0 : -ENOMEM);
	EXPECT_EQ(calls == 0, evictable);
	EXPECT_LE(pages_of(&job), LIMIT);
	EXPECT_TRUE(has_bytes(job.fd, 0, written * page, 'w'));
	EXPECT_TRUE(has_bytes(job.fd, written * page, (PAGES - written) * page, 0));
	ASSERT_EQ(empty(&job), 0);
	ASSERT_EQ(rmdir(group.path), 0);
}

/* --- what the kernel needs besides the pages */

#define MIB		((size_t)1 << 20)
#define FILLED		(128 * MIB)

/* What two measurements of the same may differ by: slabs are not full. A byte a page is as much. */
#define NOISE		(FILLED / 4096)

/* Far from all other mappings, and aligned like page tables. */
#define FAR		((char *)0x200000000000)

/*
 * Has userfaultfd fill a new file, in a process of the group. Returns the most that the kernel has
 * needed for it besides its pages, in bytes: slabs, page tables; or -errno.
 */
static long bookkeeping(const FIXTURE_DATA(memory) *self, const struct cgroup *group, bool is_memfd)
{
	const size_t chunk = MIB / 4;
	char *from = mmap(NULL, chunk, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const int uffd = uffd_with(0, 0);
	long before, now, most = 0;
	int fd;

	if (from == MAP_FAILED || uffd < 0 || enter_cgroup(group))
		return -EPROTO;
	memset(from, 'c', chunk);
	before = cgroup_get(group, "memory.stat", "kernel");
	fd = is_memfd ? memfd(FILLED, 0) : file_with(self, FILLED, 0);
	if (fd < 0)
		return fd;
	if (mmap(FAR, FILLED, RW, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) != FAR ||
	    watch(uffd, FAR, FILLED, MISSING))
		return -EPROTO;
	for (size_t at = 0; at < FILLED; at += chunk) {
		if (fill_copy(uffd, FAR + at, from, chunk, 0) != (long)chunk)
			return -EPROTO;
		now = cgroup_get(group, "memory.stat", "kernel") - before;
		if (now > most)
			most = now;
	}
	return most;
}

/*
 * While userfaultfd fills a file, the kernel needs no more memory for it than for a memfd, but for
 * noise, which two memfds have as well.
 */
TEST_F_TIMEOUT(memory, bookkeeping, 120)
{
	long *most = mmap(NULL, 2 * sizeof(*most), RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct job job;

	if (!prepare(_metadata, self, &job))
		return;
	ASSERT_NE(most, MAP_FAILED);
	for (int is_memfd = 0; is_memfd < 2; is_memfd++) {
		struct cgroup group;
		pid_t pid;

		ASSERT_EQ(new_cgroup(&group, "bookkeeping"), 0);
		pid = fork();
		ASSERT_GE(pid, 0);
		if (!pid) {
			most[is_memfd] = bookkeeping(self, &group, is_memfd);
			_exit(0);
		}
		ASSERT_EQ(wait_child(pid), 0);
		ASSERT_EQ(rmdir(group.path), 0);
	}
	TH_LOG("KiB per GiB: %ld, memfd %ld", most[0] / (long)(FILLED / MIB),
	       most[1] / (long)(FILLED / MIB));
	EXPECT_GT(most[0], 0);
	EXPECT_GT(most[1], 0);
	EXPECT_LE(most[0] * 100, (most[1] + (long)NOISE) * 102);
}

TEST_HARNESS_MAIN
