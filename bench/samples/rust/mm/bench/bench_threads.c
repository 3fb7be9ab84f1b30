// SPDX-License-Identifier: GPL-2.0

/* Threads that fault and map at the same time. */

#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "rust_mm_bench.h"

#define SHARE		256UL
#define SECONDS		0.5
#define THREAD_ROUNDS	5
#define MOST_THREADS	16

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

/*
 * Runs threads that fault in one mapping, each on a processor of its own, with another one that
 * maps or without it.
 */
static void contend(int fd, int threads, bool mapper, double *faults, double *maps)
{
	struct worker workers[MOST_THREADS + 1] = {};
	int count = mapper ? threads + 1 : threads;
	char *map = mmap(NULL, threads * SHARE * PAGE, RW, MAP_SHARED, fd, 0);
	double from, time;

	check(map != MAP_FAILED, "mmap");
	stop = false;
	from = seconds();
	for (int i = 0; i < count; i++) {
		workers[i].map = map + i % threads * SHARE * PAGE;
		workers[i].processor = i;
		check(!pthread_create(&workers[i].thread, NULL,
				      i < threads ? fault_pages : map_memory, &workers[i]),
		      "pthread_create");
	}
	usleep(SECONDS * 1e6);
	stop = true;
	for (int i = 0; i < count; i++)
		pthread_join(workers[i].thread, NULL);
	time = seconds() - from;
	*faults = 0;
	for (int i = 0; i < threads; i++)
		*faults += workers[i].count / time;
	*maps = workers[threads].count / time;
	unmap(map, threads * SHARE);
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
	ONE,
	FAULTS,
	SPEEDUP,
	FAULTS_MAPPER,
	MAPS,
	VMA_LOCK,
	FIGURES,
};

static const char *const names[] = { "c_plain", "c_plain_mp", "rust_mmap_plain" };
#define RUST (ARRAY_SIZE(names) - 1)

static double values[ARRAY_SIZE(names)][FIGURES][THREAD_ROUNDS];

/* One round with a device; with one thread as well, if others are measured against it. */
static void run_round(int fd, int threads, bool one, double (*figures)[THREAD_ROUNDS], int round)
{
	double under, all, under_after, all_after, none;

	if (one)
		contend(fd, 1, false, &figures[ONE][round], &none);
	contend(fd, threads, false, &figures[FAULTS][round], &none);
	if (one)
		figures[SPEEDUP][round] = figures[FAULTS][round] / figures[ONE][round];
	vma_lock_faults(&under, &all);
	contend(fd, threads, true, &figures[FAULTS_MAPPER][round], &figures[MAPS][round]);
	vma_lock_faults(&under_after, &all_after);
	figures[VMA_LOCK][round] = 100 * (under_after - under) / (all_after - all);
}

/*
 * Prints the medians beside each of the C drivers, and how much the ratio differs from round to
 * round, of which each has one measurement of each driver.
 */
static void print_figure(const char *processors, const char *figure, enum figure which)
{
	for (size_t i = 0; i < RUST; i++) {
		double c[THREAD_ROUNDS], rust[THREAD_ROUNDS], ratios[THREAD_ROUNDS];

		memcpy(c, values[i][which], sizeof(c));
		memcpy(rust, values[RUST][which], sizeof(rust));
		if (isnan(c[0]))
			continue;
		for (int j = 0; j < THREAD_ROUNDS; j++)
			ratios[j] = rust[j] / c[j];
		median(ratios, THREAD_ROUNDS);
		printf("rust_mmap_plain / %s, %s processors\t%s\t%.3f\t%.3f", names[i],
		       processors, figure, median(c, THREAD_ROUNDS), median(rust, THREAD_ROUNDS));
		if (isfinite(ratios[THREAD_ROUNDS - 1]))
			printf("\t%.3f..%.3f", ratios[0], ratios[THREAD_ROUNDS - 1]);
		printf("\n");
	}
}

static void run_rounds(int threads, bool one)
{
	int fds[ARRAY_SIZE(names)];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		fds[i] = open_device(names[i]);
	for (int round = 0; round < THREAD_ROUNDS; round++)
		for (size_t j = 0; j < ARRAY_SIZE(names); j++) {
			size_t i = (round + j) % ARRAY_SIZE(names);

			run_round(fds[i], threads, one, values[i], round);
		}
}

void bench_threads(void)
{
	run_rounds(2, false);
	print_figure("two", "faults/s, 2 threads", FAULTS);
	print_figure("two", "faults/s, while a third thread maps", FAULTS_MAPPER);
	print_figure("two", "mmap and munmap/s of the third thread", MAPS);
	print_figure("two", "faults/s under the VMA lock, %", VMA_LOCK);
}

void bench_processors(int processors)
{
	char text[32];

	check(processors > 0 && processors <= MOST_THREADS, "usage");
	snprintf(text, sizeof(text), "%d simulated", processors);
	run_rounds(processors, true);
	print_figure(text, "faults/s, 1 thread", ONE);
	print_figure(text, "faults/s, a thread on each", FAULTS);
	print_figure(text, "faults/s, all over 1 thread", SPEEDUP);
	print_figure(text, "faults/s, all, while another maps", FAULTS_MAPPER);
	print_figure(text, "mmap and munmap/s of the other", MAPS);
	print_figure(text, "faults/s under the VMA lock, %", VMA_LOCK);
}
