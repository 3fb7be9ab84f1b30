// SPDX-License-Identifier: GPL-2.0

/*
 * What the Rust samples cost beside their C twins: `make bench` runs this in a VM whose processor's
 * time stamp counter counts instructions.
 *
 *	rust_mm_bench calls	one operation after the other, on one processor
 *	rust_mm_bench threads	threads that fault and map at the same time, two processors
 *
 * All modules are loaded. The rounds of the two drivers alternate; each figure is the median of its
 * rounds, each of which is the operation twice. Prints a line for each row: the pair of drivers,
 * the row, C's figure and Rust's, with tabs between them.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../rust_vma_inspect.h"
#include "rust_bench.h"

#define DEMAND_REVOKE	_IO('d', 0)
#define DEMAND_RESTORE	_IO('d', 1)
#define DEMAND_TAKE	_IOW('d', 2, __u32)

#define PAGE		4096UL
/* What a page table maps. */
#define TABLE		(512 * PAGE)
#define ROUNDS		31
#define RW		(PROT_READ | PROT_WRITE)
#define ARENA		(64UL << 20)
#define FILL_OFFSET	(1UL << 40)

#ifndef MADV_COLD
#define MADV_COLD 20
#endif

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

static int open_device(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	check(fd >= 0, path);
	return fd;
}

/* --- rows */

struct row {
	const char *name;
	/* Does it once with a device, and returns what that has cost. */
	double (*run)(int fd, const struct row *row);
	/* Parameters of run(). */
	size_t pages;
	int first;
	bool write;
	unsigned int flags;
	/* The figure is per this many. */
	size_t per;
	/* How many rounds, if not ROUNDS. */
	int rounds;
};

struct pair {
	const char *rust;
	const char *c;
	const struct row *rows;
	size_t count;
};

/* A range of addresses that is not mapped; mappings are made there, with nothing beside them. */
static char *arena;

static void *map_at(size_t offset, size_t pages, int prot, int fd, off_t file_offset)
{
	char *map = mmap(arena + offset, pages * PAGE, prot, MAP_SHARED | MAP_FIXED_NOREPLACE, fd,
			 file_offset);

	check(map == arena + offset, "mmap");
	return map;
}

static void unmap(void *map, size_t pages)
{
	check(!munmap(map, pages * PAGE), "munmap");
}

static double run_mmap(int fd, const struct row *row)
{
	uint64_t from = now(), cost;
	char *map = mmap(arena, row->pages * PAGE, RW, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);

	cost = now() - from;
	check(map == arena, "mmap");
	unmap(map, row->pages);
	return cost;
}

static void touch(char *map, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		*(volatile char *)(map + i * PAGE) = 1;
}

/* Of pages that were accessed, with `write`. */
static double run_munmap(int fd, const struct row *row)
{
	char *map = map_at(0, row->pages, RW, fd, 0);
	uint64_t from, cost;

	if (row->write)
		touch(map, row->pages);
	from = now();
	munmap(map, row->pages * PAGE);
	cost = now() - from;
	return cost;
}

/* mprotect() in the middle of 16 pages. */
static double run_split(int fd, const struct row *row)
{
	char *map = map_at(0, 16, RW, fd, 0);
	uint64_t from = now(), cost;
	int ret = mprotect(map + 5 * PAGE, PAGE, PROT_READ);

	cost = now() - from;
	check(!ret, "mprotect");
	unmap(map, 16);
	return cost;
}

/* mprotect() there and back, so that the kernel merges the VMAs again. */
static double run_split_merge(int fd, const struct row *row)
{
	char *map = map_at(0, 16, RW, fd, 0);
	uint64_t from = now(), cost;
	int ret = mprotect(map + 5 * PAGE, PAGE, PROT_READ);

	ret |= mprotect(map + 5 * PAGE, PAGE, RW);
	cost = now() - from;
	check(!ret, "mprotect");
	unmap(map, 16);
	return cost;
}

/* Moves 16 pages, which were accessed with `write`. */
static double run_mremap(int fd, const struct row *row)
{
	char *map = map_at(0, 16, RW, fd, 0), *moved;
	uint64_t from, cost;

	if (row->write)
		touch(map, 16);
	from = now();
	moved = mremap(map, 16 * PAGE, 16 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, arena + TABLE);
	cost = now() - from;
	check(moved == arena + TABLE, "mremap");
	unmap(moved, 16);
	return cost;
}

static uint64_t fork_exit(void)
{
	uint64_t from = now();
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	check(pid > 0 && waitpid(pid, NULL, 0) == pid, "fork");
	return now() - from;
}

/* What each of 64 mappings adds to fork() and exit(). */
static double run_fork(int fd, const struct row *row)
{
	uint64_t without = fork_exit(), with;
	char *map[64];

	for (size_t i = 0; i < ARRAY_SIZE(map); i++)
		map[i] = map_at(2 * i * PAGE, 1, RW, fd, 0);
	with = fork_exit();
	for (size_t i = 0; i < ARRAY_SIZE(map); i++)
		unmap(map[i], 1);
	return (double)with - without;
}

/*
 * The pages of a page table that no row accesses: they keep the table, and fault-around of them
 * reaches no other page.
 */
#define KEPT	16

/* The index of the page that is accessed as the @i'th one, if every @step'th is, from @first on. */
static size_t page_index(size_t i, size_t first, size_t step)
{
	size_t in_table = (512 - KEPT) / step;

	return i / in_table * 512 + i % in_table * step + first;
}

/* Maps as many pages as are accessed, with a page table for each of them. */
static char *map_with_tables(int fd, size_t count, size_t first, size_t step, int prot,
			     size_t *pages)
{
	char *map;

	*pages = (page_index(count - 1, first, step) / 512 + 1) * 512;
	map = map_at(0, *pages, prot, fd, 0);
	for (size_t i = 0; i < *pages; i += 512)
		(void)*(volatile char *)(map + (i + 511) * PAGE);
	return map;
}

/* Accesses pages for the first time; `first`: 0 or 1 for every second one, -1 for all. */
static double run_touch(int fd, const struct row *row)
{
	size_t step = row->first < 0 ? 1 : 2, first = row->first < 0 ? 0 : row->first, pages;
	char *map = map_with_tables(fd, row->pages, first, step, RW, &pages);
	uint64_t from, cost;

	from = now();
	for (size_t i = 0; i < row->pages; i++) {
		volatile char *page = map + page_index(i, first, step) * PAGE;

		if (row->write)
			*page = 1;
		else
			(void)*page;
	}
	cost = now() - from;
	unmap(map, pages);
	return cost;
}

/* The first access to a region that has no page table yet. */
static double run_first_touch(int fd, const struct row *row)
{
	char *map = map_at(0, 16, RW, fd, 0);
	uint64_t from = now(), cost;

	if (row->write)
		*(volatile char *)(map + row->first * PAGE) = 1;
	else
		(void)*(volatile char *)(map + row->first * PAGE);
	cost = now() - from;
	unmap(map, 16);
	return cost;
}

/* Reads pages that the driver has: it maps those around each of them as well. */
static double run_around(int fd, const struct row *row)
{
	size_t pages;
	char *map = map_with_tables(fd, row->pages, 0, 1, RW, &pages);
	uint64_t from, cost;

	/* The driver has all pages from here on. */
	touch(map, pages);
	unmap(map, pages);
	map = map_with_tables(fd, row->pages, 0, 1, PROT_READ, &pages);
	from = now();
	for (size_t i = 0; i < row->pages; i++)
		(void)*(volatile char *)(map + page_index(i, 0, 1) * PAGE);
	cost = now() - from;
	unmap(map, pages);
	return cost;
}

static void take(int fd, size_t pages)
{
	for (__u32 i = 0; i < pages; i++)
		check(!ioctl(fd, DEMAND_TAKE, &i), "DEMAND_TAKE");
}

/* Writes to pages that the driver has not made. */
static double run_make(int fd, const struct row *row)
{
	take(fd, row->pages);
	return run_touch(fd, row);
}

/* Writes to pages that were read before. */
static double run_mkwrite(int fd, const struct row *row)
{
	size_t pages;
	char *map = map_with_tables(fd, row->pages, 0, 1, RW, &pages);
	uint64_t from, cost;

	for (size_t i = 0; i < row->pages; i++)
		(void)*(volatile char *)(map + page_index(i, 0, 1) * PAGE);
	from = now();
	for (size_t i = 0; i < row->pages; i++)
		*(volatile char *)(map + page_index(i, 0, 1) * PAGE) = 1;
	cost = now() - from;
	unmap(map, pages);
	return cost;
}

/* Revokes all memory; `pages` of it are mapped, in each of `first` mappings. */
static double run_revoke(int fd, const struct row *row)
{
	size_t stride = row->pages * PAGE + PAGE;
	uint64_t from, cost;
	int ret;

	for (int i = 0; i < row->first; i++)
		touch(map_at(i * stride, row->pages, RW, fd, 0), row->pages);
	from = now();
	ret = ioctl(fd, DEMAND_REVOKE);
	cost = now() - from;
	check(!ret, "DEMAND_REVOKE");
	check(!ioctl(fd, DEMAND_RESTORE), "DEMAND_RESTORE");
	for (int i = 0; i < row->first; i++)
		unmap(arena + i * stride, row->pages);
	return cost;
}

/* The first access to a VMA of which it maps all PFNs. */
static double run_fill(int fd, const struct row *row)
{
	char *map = map_at(0, row->pages, RW, fd, FILL_OFFSET);
	uint64_t from = now(), cost;

	(void)*(volatile char *)map;
	cost = now() - from;
	unmap(map, row->pages);
	return cost;
}

/* --- VMAs to list */

/* `pages` of each; a row without an own layout lists those of the row before it. */
enum layout {
	ANONYMOUS,
	FILES,
};

static struct {
	size_t vmas, pages, present;
	enum layout layout;
	char *start;
} listed;

static void drop_vmas(void)
{
	if (listed.start)
		unmap(listed.start, listed.vmas * (listed.pages + 1));
	listed.start = NULL;
}

/*
 * Makes VMAs with a page of nothing after each, of which the first @present pages are there. A page
 * is written, so it is not the zero page.
 */
static void make_vmas(size_t vmas, size_t pages, size_t present, enum layout layout)
{
	size_t stride = (pages + 1) * PAGE;
	char *start;
	int fd = -1;

	if (listed.start && listed.vmas == vmas && listed.pages == pages &&
	    listed.present == present && listed.layout == layout)
		return;
	drop_vmas();
	if (layout == FILES) {
		fd = open("/usr/bin/env", O_RDONLY);
		check(fd >= 0, "/usr/bin/env");
	}
	start = mmap(NULL, vmas * stride, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		     -1, 0);
	check(start != MAP_FAILED, "mmap");
	for (size_t i = 0; i < vmas; i++) {
		char *at = start + i * stride;

		check(mmap(at, pages * PAGE, RW, MAP_PRIVATE | MAP_FIXED |
			   (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0) == at, "mmap");
		touch(at, present);
		check(!munmap(at + pages * PAGE, PAGE), "munmap");
	}
	if (fd >= 0)
		close(fd);
	listed.vmas = vmas;
	listed.pages = pages;
	listed.present = present;
	listed.layout = layout;
	listed.start = start;
}

static double list(int fd, size_t vmas, unsigned int flags)
{
	static struct rust_vma out[1000];
	struct rust_vma_inspect request = {
		.pid = getpid(), .start = (unsigned long)listed.start,
		.vmas = (unsigned long)out, .flags = flags,
	};
	uint64_t cost = 0, from;
	int ret;

	while (vmas) {
		request.count = vmas < ARRAY_SIZE(out) ? vmas : ARRAY_SIZE(out);
		vmas -= request.count;
		from = now();
		ret = ioctl(fd, RUST_VMA_INSPECT, &request);
		cost += now() - from;
		check(!ret && request.count && (!vmas || request.start), "RUST_VMA_INSPECT");
	}
	if (flags)
		check(out[0].present == listed.present * PAGE, "counting pages");
	return cost;
}

/* Lists as many VMAs as the figure is per; `first` is how they are made. */
static double run_list(int fd, const struct row *row)
{
	make_vmas(row->per, 1, 1, row->first);
	return list(fd, row->per, row->flags);
}

#define WALKED	20

/* What another page costs, or another empty entry: VMAs of 512 pages beside VMAs of one page. */
static double run_walk(int fd, const struct row *row)
{
	double one, all;

	make_vmas(WALKED, 1, 1, ANONYMOUS);
	one = list(fd, WALKED, RUST_VMA_INSPECT_PAGES);
	make_vmas(WALKED, 512, row->pages, ANONYMOUS);
	all = list(fd, WALKED, RUST_VMA_INSPECT_PAGES);
	return all - one;
}

/* --- one processor */

#define MMAP(n)		{ "mmap, " #n " pages", run_mmap, .pages = n }
#define MUNMAP(n)	{ "munmap, " #n " pages", run_munmap, .pages = n, .write = true }
#define SPLIT		{ "mprotect that splits", run_split }
#define FORK		{ "fork and exit, per mapping", run_fork, .per = 64 }
#define MREMAP		{ "mremap, 16 pages", run_mremap, .write = true }

static const struct row mmap_rows[] = {
	{ "mmap, 1 page", run_mmap, .pages = 1 },
	MMAP(16),
	MMAP(256),
	{ "munmap, 1 page", run_munmap, .pages = 1 },
	MUNMAP(16),
	MUNMAP(256),
	SPLIT,
	MREMAP,
	FORK,
};

#define TOUCH(text, n, f, w) { text, run_touch, .pages = n, .first = f, .write = w, .per = n }

/* c_plain_mp differs from c_plain in the faults alone, which are the last rows. */
#define NOT_FAULTS	7

static const struct row plain_rows[] = {
	{ "mmap, 1 page", run_mmap, .pages = 1 },
	{ "munmap, 1 page", run_munmap, .pages = 1 },
	{ "munmap, 256 pages", run_munmap, .pages = 256, .write = true },
	SPLIT,
	{ "mprotect that splits, and merges", run_split_merge },
	MREMAP,
	FORK,
	TOUCH("read, returned page, 1 page", 1, 0, false),
	TOUCH("read, inserted page, 1 page", 1, 1, false),
	TOUCH("write, returned page, 1 page", 1, 0, true),
	TOUCH("write, inserted page, 1 page", 1, 1, true),
	TOUCH("read, returned page, of 256", 256, 0, false),
	TOUCH("read, inserted page, of 256", 256, 1, false),
	TOUCH("write, returned page, of 256", 256, 0, true),
	TOUCH("write, inserted page, of 256", 256, 1, true),
	TOUCH("read, both kinds, of 4096", 4096, -1, false),
	TOUCH("write, both kinds, of 4096", 4096, -1, true),
	{ "read, returned page, no table", run_first_touch, .first = 0 },
	{ "read, inserted page, no table", run_first_touch, .first = 1 },
};

#define AROUND(n) { "fault-around, per page of " #n, run_around, .pages = n, .per = n }

static const struct row demand_rows[] = {
	{ "mmap, 1 page", run_mmap, .pages = 1 },
	{ "munmap, 1 page", run_munmap, .pages = 1 },
	SPLIT,
	MREMAP,
	FORK,
	AROUND(16),
	AROUND(256),
	AROUND(4096),
	TOUCH("write: fault and mkwrite", 256, -1, true),
	{ "write: page made, fault, mkwrite", run_make, .pages = 256, .first = -1, .write = true,
	  .per = 256 },
	{ "page_mkwrite alone", run_mkwrite, .pages = 256, .per = 256 },
	{ "revoke, 1 page mapped", run_revoke, .pages = 1, .first = 1 },
	{ "revoke, 256 pages mapped", run_revoke, .pages = 256, .first = 1 },
	{ "revoke, 4096 pages mapped", run_revoke, .pages = 4096, .first = 1, .rounds = 15 },
	{ "revoke, 16 pages in 16 mappings", run_revoke, .pages = 16, .first = 16 },
};

static const struct row pfn_rows[] = {
	{ "mmap, 1 page", run_mmap, .pages = 1 },
	{ "munmap, 256 pages", run_munmap, .pages = 256, .write = true },
	SPLIT,
	MREMAP,
	FORK,
	TOUCH("read, PFN, 1 page", 1, -1, false),
	TOUCH("read, PFN, of 256", 256, -1, false),
	TOUCH("read, PFN, of 2048", 2048, -1, false),
	{ "read that maps all, per page of 256", run_fill, .pages = 256, .per = 256 },
	{ "read that maps all, per page of 2048", run_fill, .pages = 2048, .per = 2048 },
};

#define LIST(text, n, f, p, r) \
	{ text, run_list, .per = n, .first = f, .flags = p, .rounds = r }

static const struct row inspect_rows[] = {
	LIST("a VMA, of 10", 10, ANONYMOUS, 0, 0),
	LIST("a VMA with its page, of 10", 10, ANONYMOUS, RUST_VMA_INSPECT_PAGES, 0),
	LIST("a VMA, of 1000", 1000, ANONYMOUS, 0, 0),
	LIST("a VMA with its page, of 1000", 1000, ANONYMOUS, RUST_VMA_INSPECT_PAGES, 0),
	LIST("a VMA of a file, of 1000", 1000, FILES, 0, 0),
	LIST("a VMA of a file with its page, of 1000", 1000, FILES, RUST_VMA_INSPECT_PAGES, 0),
	LIST("a VMA, of 20000", 20000, ANONYMOUS, 0, 5),
	LIST("a VMA with its page, of 20000", 20000, ANONYMOUS, RUST_VMA_INSPECT_PAGES, 5),
	{ "a present page", run_walk, .pages = 512, .per = WALKED * 511, .rounds = 7 },
	{ "an empty entry", run_walk, .pages = 1, .per = WALKED * 511, .rounds = 7 },
};

static const struct pair pairs[] = {
	{ "rust_mmap", "c_mmap", mmap_rows, ARRAY_SIZE(mmap_rows) },
	{ "rust_mmap_plain", "c_plain", plain_rows, ARRAY_SIZE(plain_rows) },
	{ "rust_mmap_plain", "c_plain_mp", plain_rows + NOT_FAULTS,
	  ARRAY_SIZE(plain_rows) - NOT_FAULTS },
	{ "rust_mmap_demand", "c_demand", demand_rows, ARRAY_SIZE(demand_rows) },
	{ "rust_mmap_pfn", "c_pfn", pfn_rows, ARRAY_SIZE(pfn_rows) },
	{ "rust_vma_inspect", "c_inspect", inspect_rows, ARRAY_SIZE(inspect_rows) },
};

/*
 * Empties this processor's batch of pages that are to be put on the LRU: when the kernel unmaps a
 * page of a driver, it searches the batch for it.
 */
static void settle(void)
{
	static char *page;

	if (!page) {
		page = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		check(page != MAP_FAILED, "mmap");
	}
	check(!madvise(page, PAGE, MADV_COLD), "MADV_COLD");
}

/*
 * The mean of two: of two times that the kernel unmaps an accessed page of a driver, it searches
 * the batch only once (folio_mark_accessed()).
 */
static double run_twice(int fd, const struct row *row)
{
	double first;

	settle();
	first = row->run(fd, row);
	settle();
	return (first + row->run(fd, row)) / 2;
}

static void run_row(const struct pair *pair, const struct row *row, const int *fds)
{
	int rounds = row->rounds ? row->rounds : ROUNDS;
	double per = row->per ? row->per : 1;
	double values[2][ROUNDS];

	/* What the first round allocates remains in caches of the kernel: it is not counted. */
	for (int side = 0; side < 2; side++)
		row->run(fds[side], row);
	for (int i = 0; i < rounds; i++)
		for (int j = 0; j < 2; j++) {
			int side = (i + j) % 2;

			values[side][i] = run_twice(fds[side], row) / per;
		}
	printf("%s / %s\t%s\t%.1f\t%.1f\n", pair->rust, pair->c, row->name,
	       median(values[0], rounds), median(values[1], rounds));
	fflush(stdout);
}

static void calls(void)
{
	on_processor(0);
	arena = mmap(NULL, ARENA + TABLE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		     -1, 0);
	check(arena != MAP_FAILED, "mmap");
	check(!munmap(arena, ARENA + TABLE), "munmap");
	arena = (char *)(((unsigned long)arena + TABLE - 1) & ~(TABLE - 1));
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		const struct pair *pair = &pairs[i];
		int fds[2] = { open_device(pair->c), open_device(pair->rust) };

		for (size_t j = 0; j < pair->count; j++)
			run_row(pair, &pair->rows[j], fds);
		drop_vmas();
		close(fds[0]);
		close(fds[1]);
	}
}

/* --- two processors */

#define SHARE		256UL
#define SECONDS		0.5
#define THREAD_ROUNDS	5

static volatile bool stop;

struct worker {
	pthread_t thread;
	char *map;
	int processor;
	uint64_t count;
};

/* Accesses pages, and drops them. */
static void *fault_pages(void *arg)
{
	struct worker *worker = arg;

	on_processor(worker->processor);
	while (!stop) {
		touch(worker->map, SHARE);
		check(!madvise(worker->map, SHARE * PAGE, MADV_DONTNEED), "madvise");
		worker->count += SHARE;
	}
	return NULL;
}

/* Maps and unmaps memory. */
static void *map_memory(void *arg)
{
	struct worker *worker = arg;

	while (!stop) {
		char *map = mmap(NULL, 16 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		check(map != MAP_FAILED, "mmap");
		unmap(map, 16);
		worker->count++;
	}
	return NULL;
}

static double seconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

/* Runs two threads that fault in one mapping, with a third that maps or without it. */
static void contend(int fd, bool mapper, double *faults, double *maps)
{
	struct worker workers[3] = {};
	int count = mapper ? 3 : 2;
	char *map = mmap(NULL, 2 * SHARE * PAGE, RW, MAP_SHARED, fd, 0);
	double from, time;

	check(map != MAP_FAILED, "mmap");
	stop = false;
	from = seconds();
	for (int i = 0; i < count; i++) {
		workers[i].map = map + i % 2 * SHARE * PAGE;
		workers[i].processor = i % 2;
		check(!pthread_create(&workers[i].thread, NULL, i < 2 ? fault_pages : map_memory,
				      &workers[i]), "pthread_create");
	}
	usleep(SECONDS * 1e6);
	stop = true;
	for (int i = 0; i < count; i++)
		pthread_join(workers[i].thread, NULL);
	time = seconds() - from;
	*faults = (workers[0].count + workers[1].count) / time;
	*maps = workers[2].count / time;
	unmap(map, 2 * SHARE);
}

/* The faults under the VMA lock, and all of them; 0 if the kernel does not count them. */
static void vma_lock_faults(double *under, double *all)
{
	FILE *file = fopen("/proc/vmstat", "r");
	char key[64];
	long value;

	*under = *all = 0;
	while (file && fscanf(file, "%63s %ld", key, &value) == 2) {
		if (!strcmp(key, "vma_lock_success"))
			*under += value;
		if (!strncmp(key, "vma_lock_", 9))
			*all += value;
	}
	check(file, "/proc/vmstat");
	fclose(file);
}

enum figure {
	FAULTS,
	FAULTS_MAPPER,
	MAPS,
	VMA_LOCK,
	FIGURES,
};

static const char *const figure_names[] = {
	[FAULTS] = "faults/s, 2 threads",
	[FAULTS_MAPPER] = "faults/s, while a third thread maps",
	[MAPS] = "mmap and munmap/s of the third thread",
	[VMA_LOCK] = "faults/s under the VMA lock, %",
};

static void threads(void)
{
	static const char *const names[] = { "c_plain", "c_plain_mp", "rust_mmap_plain" };
	static double values[ARRAY_SIZE(names)][FIGURES][THREAD_ROUNDS];
	int fds[ARRAY_SIZE(names)];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		fds[i] = open_device(names[i]);
	for (int round = 0; round < THREAD_ROUNDS; round++)
		for (size_t j = 0; j < ARRAY_SIZE(names); j++) {
			size_t i = (round + j) % ARRAY_SIZE(names);
			double under, all, under_after, all_after, none;

			contend(fds[i], false, &values[i][FAULTS][round], &none);
			vma_lock_faults(&under, &all);
			contend(fds[i], true, &values[i][FAULTS_MAPPER][round],
				&values[i][MAPS][round]);
			vma_lock_faults(&under_after, &all_after);
			values[i][VMA_LOCK][round] =
				100 * (under_after - under) / (all_after - all);
		}
	for (size_t i = 0; i < ARRAY_SIZE(names) - 1; i++)
		for (int j = 0; j < FIGURES; j++) {
			if (isnan(values[i][j][0]))
				continue;
			printf("rust_mmap_plain / %s, two processors\t%s\t%.1f\t%.1f\n", names[i],
			       figure_names[j], median(values[i][j], THREAD_ROUNDS),
			       median(values[ARRAY_SIZE(names) - 1][j], THREAD_ROUNDS));
		}
}

int main(int argc, char **argv)
{
	check(argc == 2, "usage");
	if (!strcmp(argv[1], "threads"))
		threads();
	else
		calls();
	return 0;
}
