// SPDX-License-Identifier: GPL-2.0

/* The rows of the samples beside their C twins. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../rust_vma_inspect.h"
#include "rust_mm_bench.h"

#define DEMAND_REVOKE	_IO('d', 0)
#define DEMAND_RESTORE	_IO('d', 1)
#define DEMAND_TAKE	_IOW('d', 2, __u32)

#define FILL_OFFSET	(1UL << 40)

double run_mmap(int fd, const struct row *row)
{
	uint64_t from = now(), cost;
	char *map = mmap(arena, row->pages * PAGE, RW, MAP_SHARED | MAP_FIXED_NOREPLACE, fd,
			 row->offset);

	cost = now() - from;
	check(map == arena, "mmap");
	unmap(map, row->pages);
	return cost;
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

/* What mappings add to fork() and exit(). */
static double run_fork(int fd, const struct row *row)
{
	uint64_t without = fork_exit(), with;

	for (size_t i = 0; i < row->per; i++)
		map_at(2 * i * PAGE, 1, RW, fd, 0);
	with = fork_exit();
	for (size_t i = 0; i < row->per; i++)
		unmap(arena + 2 * i * PAGE, 1);
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

/* read(2) or write(2) of `pages` bytes. */
static double run_copy(int fd, const struct row *row)
{
	static char buffer[1 << 16];
	uint64_t from = now(), cost;
	ssize_t done = row->write ? pwrite(fd, buffer, row->pages, 1000) :
				    pread(fd, buffer, row->pages, 1000);

	cost = now() - from;
	check(done == (ssize_t)row->pages, row->name);
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

/* Lists as many VMAs as the figure is per, of one page each; `first` is how they are made. */
static double run_list(int fd, const struct row *row)
{
	make_vmas(row->per, 1, row->pages, row->first);
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

/* --- rows */

#define MMAP(n)		{ "mmap, " #n " pages", run_mmap, .pages = n }
#define MUNMAP(n)	{ "munmap, " #n " pages", run_munmap, .pages = n, .write = true }
#define SPLIT		{ "mprotect that splits", run_split }
#define FORK		{ "fork and exit, per mapping", run_fork, .per = 64 }
#define MREMAP		{ "mremap, 16 pages", run_mremap, .write = true }

#define COPY(text, n, w)	{ text ", " #n " bytes", run_copy, .pages = n, .write = w }

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
	COPY("read", 64, false),
	COPY("read", 4096, false),
	COPY("read", 65536, false),
	COPY("write", 64, true),
	COPY("write", 4096, true),
	COPY("write", 65536, true),
	{}
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
	{}
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
	{}
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
	{}
};

#define LIST(text, n, f, p, r) \
	{ text, run_list, .pages = 1, .per = n, .first = f, .flags = p, .rounds = r }

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
	{}
};

const struct pair sample_pairs[] = {
	{ "rust_mmap", "c_mmap", mmap_rows },
	{ "rust_mmap_plain", "c_plain", plain_rows },
	{ "rust_mmap_plain", "c_plain_mp", plain_rows + NOT_FAULTS },
	{ "rust_mmap_demand", "c_demand", demand_rows },
	{ "rust_mmap_pfn", "c_pfn", pfn_rows },
	{ "rust_vma_inspect", "c_inspect", inspect_rows },
	{}
};


/* --- with many mappings */

#define REVOKE(n, r) \
	{ "revoke, per mapping of " #n, run_revoke, .pages = 1, .first = n, .per = n, .rounds = r }
#define FORKS(n, r) { "fork and exit, per mapping of " #n, run_fork, .per = n, .rounds = r }

static const struct row demand_scale_rows[] = {
	REVOKE(1, 0),
	REVOKE(10, 0),
	REVOKE(100, 0),
	REVOKE(1000, 9),
	REVOKE(10000, 3),
	{}
};

static const struct row plain_scale_rows[] = {
	FORKS(1, 0),
	FORKS(10, 0),
	FORKS(100, 0),
	FORKS(1000, 9),
	FORKS(10000, 3),
	{}
};

static const struct row inspect_scale_rows[] = {
	/* Without pages: there is not that much memory. */
	{ "a VMA, of 1000000", run_list, .per = 1000000, .first = ANONYMOUS, .rounds = 3 },
	{}
};

const struct pair scale_pairs[] = {
	{ "rust_mmap_demand", "c_demand", demand_scale_rows },
	{ "rust_mmap_plain", "c_plain", plain_scale_rows },
	{ "rust_vma_inspect", "c_inspect", inspect_scale_rows },
	/* Of the same VMAs. */
	{ "rust_layer", "c_layer", layer_scale_rows },
	{}
};
