/* SPDX-License-Identifier: GPL-2.0 */

/*
 * For programs that count instructions, in a VM whose processor's time stamp counter does: with
 * `qemu -icount shift=0`.
 */

#ifndef SELFTEST_RUST_MM_BENCH_H
#define SELFTEST_RUST_MM_BENCH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends the program if something has failed that a figure needs. */
static inline void check(bool good, const char *what)
{
	if (!good) {
		fprintf(stderr, "%s: %s failed: %s\n", program_invocation_short_name, what,
			strerror(errno));
		exit(1);
	}
}

/* Returns the number of instructions until now. */
static inline uint64_t now(void)
{
#ifdef __x86_64__
	uint32_t low, high;

	asm volatile("lfence\n\trdtsc\n\tlfence" : "=a" (low), "=d" (high) : : "memory");
	return (uint64_t)high << 32 | low;
#else
#error "no counter of instructions"
#endif
}

static inline int bench_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Sorts the values, and returns the one in the middle. */
static inline double median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), bench_compare);
	return values[count / 2];
}

/* Keeps the calling thread on a processor. */
static inline void on_processor(int number)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(number, &set);
	check(!sched_setaffinity(0, sizeof(set), &set), "sched_setaffinity");
}

#endif /* SELFTEST_RUST_MM_BENCH_H */
