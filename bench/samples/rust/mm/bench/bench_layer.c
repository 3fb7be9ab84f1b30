// SPDX-License-Identifier: GPL-2.0

/* The rows of the layer's functions beside what C has in their place. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/swap.h>
#include <unistd.h>

#include "layer.h"
#include "rust_mm_bench.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

/*
 * What one round of an operation costs, on addresses or offsets. `first` of the row is the
 * operation, which the device repeats `repeat` times; what the system call costs does not count.
 */
static double run_operation(int fd, const struct row *row, unsigned long start, unsigned long end,
			    unsigned long step)
{
	struct layer_run run = {
		.operation = row->first, .start = start, .end = end, .step = step,
	};
	uint64_t from, cost;
	int ret;

	from = now();
	ret = ioctl(fd, LAYER_RUN, &run);
	cost = now() - from;
	check(!ret, row->name);
	run.rounds = row->repeat;
	from = now();
	ret = ioctl(fd, LAYER_RUN, &run);
	cost = now() - from - cost;
	check(!ret, row->name);
	found = run.sum;
	return (double)cost / row->repeat;
}

/* In the middle of VMAs. */
static double run_lookup(int fd, const struct row *row)
{
	unsigned long start;

	make_vmas(row->pages, 1, 0, ANONYMOUS);
	start = (unsigned long)listed.start + row->pages / 2 * 2 * PAGE;
	return run_operation(fd, row, start, start + PAGE, PAGE);
}

/* Over all VMAs; in ranges of 10 VMAs each, where the operation has ranges. */
static double run_all(int fd, const struct row *row)
{
	unsigned long start, end, expected = 0;
	double cost;

	make_vmas(row->per, 1, 0, ANONYMOUS);
	start = (unsigned long)listed.start;
	end = start + row->per * 2 * PAGE;
	cost = run_operation(fd, row, start, end, 20 * PAGE);
	for (size_t i = 0; i < row->per; i++)
		expected += row->first == LAYER_GAPS ? PAGE : start + i * 2 * PAGE;
	errno = 0;
	check(found == expected * row->repeat, row->name);
	return cost;
}

static double run_hold(int fd, const struct row *row)
{
	static char *memory;

	/* They may be in the arena, which the rows from here on use. */
	drop_vmas();
	if (!memory) {
		memory = mmap(NULL, 512 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		check(memory != MAP_FAILED, "mmap");
		touch(memory, 512);
	}
	return run_operation(fd, row, (unsigned long)memory,
			     (unsigned long)memory + row->pages * PAGE, PAGE);
}

/* Over as many mappings of one page of the device. */
static double run_rmap(int fd, const struct row *row)
{
	double cost;

	for (size_t i = 0; i < row->per; i++)
		map_at(2 * i * PAGE, 1, RW, fd, 0);
	cost = run_operation(fd, row, 0, 1, 1);
	for (size_t i = 0; i < row->per; i++)
		unmap(arena + 2 * i * PAGE, 1);
	return cost;
}

/* Not at the start of a page. */
static double run_copy(int fd, const struct row *row)
{
	return run_operation(fd, row, 1000, 1000 + row->pages, 1);
}

/* The number of kilobytes that /proc/self/smaps has in its lines @key. */
static unsigned long smaps(const char *key)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	unsigned long sum = 0, value;
	char line[256];

	check(file, "/proc/self/smaps");
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)) &&
		    sscanf(line + strlen(key), " %lu kB", &value) == 1)
			sum += value;
	fclose(file);
	return sum;
}

static void swap_on(void)
{
	FILE *file = fopen("/sys/block/zram0/disksize", "w");

	check(file && fputs("64M", file) >= 0 && !fclose(file), "/sys/block/zram0/disksize");
	check(!system("mkswap /dev/zram0 >/dev/null"), "mkswap");
	check(!swapon("/dev/zram0", 0), "swapon");
}

/* What memory is like whose page tables are walked. */
enum memory {
	DENSE,
	/* One page of each table. */
	SPARSE,
	HUGE,
	SWAPPED,
};

#define TABLES	8

/* Over page tables; `flags` of the row is what the memory is like. */
static double run_tables(int fd, const struct row *row)
{
	static enum memory kind;
	static char *memory;

	if (!memory || kind != row->flags) {
		if (memory)
			unmap(memory, TABLES * 512);
		kind = row->flags;
		memory = mmap(arena, TABLES * TABLE, RW,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		check(memory == arena, "mmap");
		check(!madvise(memory, TABLES * TABLE,
			       kind == HUGE ? MADV_HUGEPAGE : MADV_NOHUGEPAGE), "madvise");
		for (size_t i = 0; i < TABLES; i++)
			touch(memory + i * TABLE, kind == DENSE || kind == SWAPPED ? 512 : 1);
		errno = 0;
		if (kind == HUGE)
			check(smaps("AnonHugePages:") == TABLES * TABLE / 1024, "huge pages");
		if (kind == SWAPPED) {
			swap_on();
			for (int i = 0; i < 100 && smaps("Swap:") < TABLES * TABLE / 1024; i++)
				madvise(memory, TABLES * TABLE, MADV_PAGEOUT);
			check(smaps("Swap:") == TABLES * TABLE / 1024, "swapping");
		}
	}
	return run_operation(fd, row, (unsigned long)memory,
			     (unsigned long)memory + TABLES * TABLE, PAGE);
}

/* The first access to a huge page. */
static double run_huge(int fd, const struct row *row)
{
	char *map = map_at(0, 512, RW, fd, 0);
	uint64_t from = now(), cost;

	*(volatile char *)map = 1;
	cost = now() - from;
	from = now();
	*(volatile char *)(map + TABLE - PAGE) = 1;
	errno = 0;
	check(now() - from < 100, "a huge fault");
	unmap(map, 512);
	return cost;
}

#define LOOKUP(text, operation, n) \
	{ text ", of " #n, run_lookup, .pages = n, .first = operation, .repeat = 100 }
#define ALL(text, operation, n, again, r) \
	{ text ", of " #n, run_all, .first = operation, .per = n, .repeat = again, .rounds = r }
#define SIZES(text, operation) \
	ALL(text, operation, 10, 100, 0), ALL(text, operation, 1000, 10, 0)
#define HOLD(text, operation, n, again) \
	{ text, run_hold, .pages = n, .first = operation, .repeat = again }
#define RMAP(n, again, r) \
	{ "a mapping of a file, of " #n, run_rmap, .first = LAYER_RMAP, .per = n, \
	  .repeat = again, .rounds = r }
#define COPY(text, operation, n) \
	{ text ", " #n " bytes", run_copy, .pages = n, .first = operation, .repeat = 10 }
#define TABLE_ROW(text, kind, n) \
	{ text, run_tables, .first = LAYER_WALK, .flags = kind, .per = TABLES * (n), .repeat = 2, \
	  .rounds = 11 }
#define MMAP(text, at, n) { text ", " #n " pages", run_mmap, .pages = n, .offset = at }

static const struct row layer_rows[] = {
	LOOKUP("a lookup under the mmap lock", LAYER_LOOKUP_MMAP_LOCK, 10),
	LOOKUP("a lookup under the mmap lock", LAYER_LOOKUP_MMAP_LOCK, 1000),
	LOOKUP("a lookup under the VMA lock", LAYER_LOOKUP_VMA_LOCK, 10),
	LOOKUP("a lookup under the VMA lock", LAYER_LOOKUP_VMA_LOCK, 1000),
	SIZES("a VMA, forward", LAYER_FORWARD),
	SIZES("a VMA, backward", LAYER_BACKWARD),
	SIZES("a VMA in a range of 10", LAYER_RANGES),
	SIZES("a gap", LAYER_GAPS),
	SIZES("a VMA under its lock", LAYER_VMA_LOCKS),
	/* The VMAs are made once for all of these. */
	LOOKUP("a lookup under the mmap lock", LAYER_LOOKUP_MMAP_LOCK, 60000),
	LOOKUP("a lookup under the VMA lock", LAYER_LOOKUP_VMA_LOCK, 60000),
	ALL("a VMA, forward", LAYER_FORWARD, 60000, 1, 5),
	ALL("a VMA, backward", LAYER_BACKWARD, 60000, 1, 5),
	ALL("a VMA in a range of 10", LAYER_RANGES, 60000, 1, 5),
	ALL("a gap", LAYER_GAPS, 60000, 1, 5),
	ALL("a VMA under its lock", LAYER_VMA_LOCKS, 60000, 1, 5),
	HOLD("get_user_pages, 1 page", LAYER_REFERENCE, 1, 100),
	HOLD("get_user_pages, 512 pages", LAYER_REFERENCE, 512, 10),
	HOLD("pin_user_pages, 1 page", LAYER_PIN, 1, 100),
	HOLD("pin_user_pages, 512 pages", LAYER_PIN, 512, 10),
	RMAP(1, 100, 0),
	RMAP(100, 10, 0),
	RMAP(10000, 1, 5),
	COPY("copy out of pages", LAYER_READ, 64),
	COPY("copy out of pages", LAYER_READ, 4096),
	COPY("copy out of pages", LAYER_READ, 60000),
	COPY("copy into pages", LAYER_WRITE, 64),
	COPY("copy into pages", LAYER_WRITE, 4096),
	COPY("copy into pages", LAYER_WRITE, 60000),
	{ "fault of a huge page", run_huge },
	MMAP("mmap, remap_pfn", LAYER_REMAP, 1),
	MMAP("mmap, remap_pfn", LAYER_REMAP, 16),
	MMAP("mmap, io_remap", LAYER_IO_REMAP, 16),
	MMAP("mmap, simple_io_remap", LAYER_SIMPLE_IO_REMAP, 16),
	TABLE_ROW("own walk, a present page", DENSE, 512),
	TABLE_ROW("own walk, an entry, 1 of 512 present", SPARSE, 512),
	TABLE_ROW("own walk, a huge page", HUGE, 1),
	TABLE_ROW("own walk, a swapped page", SWAPPED, 512),
	{}
};

const struct pair layer_pairs[] = {
	{ "rust_layer", "c_layer", layer_rows },
	{}
};

const struct row layer_scale_rows[] = {
	ALL("a VMA, forward", LAYER_FORWARD, 1000000, 1, 3),
	ALL("a VMA, backward", LAYER_BACKWARD, 1000000, 1, 3),
	ALL("a VMA under its lock", LAYER_VMA_LOCKS, 1000000, 1, 3),
	{}
};
