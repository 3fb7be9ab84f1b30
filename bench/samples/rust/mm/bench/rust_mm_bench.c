// SPDX-License-Identifier: GPL-2.0

/*
 * What Rust costs beside C: `make bench` runs this in a VM whose processor's time stamp counter
 * counts instructions.
 *
 *	rust_mm_bench calls	the samples beside their C twins, one operation after the other
 *	rust_mm_bench layer	functions of the layer beside what C has in their place
 *	rust_mm_bench memory	memory files beside those of memfd_create()
 *	rust_mm_bench scale	samples and layer, with many mappings
 *	rust_mm_bench threads	threads that fault and map at the same time, two processors
 *
 * and in a VM that counts none, since its processors run at the same time:
 *
 *	rust_mm_bench processors N	as many threads that fault
 *
 * All modules are loaded. The rounds of the two drivers alternate; each figure is the median of its
 * rounds, each of which is the operation twice. Prints a line for each row: the pair of drivers,
 * the row, C's figure and Rust's, with tabs between them.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "rust_mm_bench.h"

#define ROUNDS		31
#define ARENA		(256UL << 20)
/* The time between two ticks of the kernel's timer, CONFIG_HZ. */
#define TICK		4000000UL

#ifndef MADV_COLD
#define MADV_COLD 20
#endif

char *arena;
uint64_t found;
struct vmas listed;

int open_device(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	check(fd >= 0, path);
	return fd;
}

void *map_at(size_t offset, size_t pages, int prot, int fd, off_t file_offset)
{
	char *map = mmap(arena + offset, pages * PAGE, prot, MAP_SHARED | MAP_FIXED_NOREPLACE, fd,
			 file_offset);

	check(map == arena + offset, "mmap");
	return map;
}

void unmap(void *map, size_t pages)
{
	check(!munmap(map, pages * PAGE), "munmap");
}

void touch(char *map, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		*(volatile char *)(map + i * PAGE) = 1;
}

void drop_vmas(void)
{
	if (listed.start)
		unmap(listed.start, listed.vmas * (listed.pages + 1));
	listed.start = NULL;
}

/*
 * Makes VMAs with a page of nothing after each, of which the first @present pages are there. A page
 * is written, so it is not the zero page.
 */
void make_vmas(size_t vmas, size_t pages, size_t present, enum layout layout)
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
	start = mmap(NULL, vmas * stride, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	check(start != MAP_FAILED, "mmap");
	for (size_t i = 0; i < vmas; i++) {
		char *at = start + i * stride;

		if (fd >= 0)
			check(mmap(at, pages * PAGE, RW, MAP_PRIVATE | MAP_FIXED, fd, 0) == at,
			      "mmap");
		check(!munmap(at + pages * PAGE, PAGE), "munmap");
		touch(at, present);
	}
	if (fd >= 0)
		close(fd);
	listed.vmas = vmas;
	listed.pages = pages;
	listed.present = present;
	listed.layout = layout;
	listed.start = start;
}

static uint64_t nanoseconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000UL + time.tv_nsec;
}

/* Returns when the timer ticks, within a period: then, the time makes a leap. */
static uint64_t find_tick(void)
{
	uint64_t before = nanoseconds(), leap = 0;

	for (uint64_t end = before + 20 * TICK; before < end;) {
		uint64_t time = nanoseconds();

		if (time - before > 1000) {
			uint64_t since = before - leap;

			/* Another interrupt does not come a tick after one. */
			if (since > TICK - 10000 && since < TICK + 10000)
				return before % TICK;
			leap = before;
		}
		before = time;
	}
	check(false, "finding the tick of the timer");
	return 0;
}

/*
 * Sleeps until the timer has just ticked. Meanwhile the kernel does what it has put off, such as
 * freeing memory after a grace period of RCU. An operation is over before the next tick, or sees
 * the same number of ticks each time.
 */
static void after_tick(void)
{
	static uint64_t tick, found_tick;
	struct timespec until;
	uint64_t time;

	if (!found_tick) {
		tick = find_tick();
		found_tick = 1;
	}
	time = nanoseconds() + TICK;
	time += TICK - (time - tick) % TICK + 50000;
	until.tv_sec = time / 1000000000;
	until.tv_nsec = time % 1000000000;
	check(!clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL), "clock_nanosleep");
}

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
	after_tick();
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
	uint64_t results[2];

	/* What the first round allocates remains in caches of the kernel: it is not counted. */
	for (int side = 0; side < 2; side++) {
		found = 0;
		row->run(fds[side], row);
		results[side] = found;
	}
	errno = 0;
	check(results[0] == results[1], row->name);
	for (int i = 0; i < rounds; i++)
		for (int j = 0; j < 2; j++) {
			int side = (i + j) % 2;

			values[side][i] = run_twice(fds[side], row) / per;
		}
	printf("%s / %s\t%s\t%.1f\t%.1f\n", pair->rust, pair->c, row->name,
	       median(values[0], rounds), median(values[1], rounds));
	fflush(stdout);
	if (getenv("BENCH_SPREAD"))
		fprintf(stderr, "%s\t%s\t%.1f..%.1f\t%.1f..%.1f\n", pair->rust, row->name,
			values[0][0], values[0][rounds - 1], values[1][0], values[1][rounds - 1]);
}

static void run_pairs(const struct pair *pair)
{
	on_processor(0);
	arena = mmap(NULL, ARENA + TABLE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		     -1, 0);
	check(arena != MAP_FAILED, "mmap");
	check(!munmap(arena, ARENA + TABLE), "munmap");
	arena = (char *)(((unsigned long)arena + TABLE - 1) & ~(TABLE - 1));
	for (; pair->rust; pair++) {
		int (*open_it)(const char *name) = pair->open ? pair->open : open_device;
		int fds[2] = { open_it(pair->c), open_it(pair->rust) };

		for (const struct row *row = pair->rows; row->name; row++)
			run_row(pair, row, fds);
		close(fds[0]);
		close(fds[1]);
	}
	drop_vmas();
}

/* For a million of VMAs, or for 10,000 mappings beside 60,000 VMAs. */
static void raise_max_map_count(void)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "w");

	check(file && fputs("1100000", file) >= 0 && !fclose(file), "/proc/sys/vm/max_map_count");
}

int main(int argc, char **argv)
{
	const char *part = argc > 1 ? argv[1] : "";

	if (!strcmp(part, "calls")) {
		run_pairs(sample_pairs);
	} else if (!strcmp(part, "layer")) {
		raise_max_map_count();
		run_pairs(layer_pairs);
	} else if (!strcmp(part, "memory")) {
		run_pairs(memory_pairs);
	} else if (!strcmp(part, "scale")) {
		raise_max_map_count();
		run_pairs(scale_pairs);
	} else if (!strcmp(part, "threads")) {
		bench_threads();
	} else if (!strcmp(part, "processors") && argc == 3) {
		bench_processors(atoi(argv[2]));
	} else {
		check(false, "usage");
	}
	return 0;
}
