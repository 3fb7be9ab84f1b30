/* SPDX-License-Identifier: GPL-2.0 */

/* What the parts of rust_mm_bench have in common: what a row is, and memory to measure with. */

#ifndef RUST_MM_BENCH_H
#define RUST_MM_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/types.h>

#include "rust_bench.h"

#define PAGE		4096UL
/* What a page table maps. */
#define TABLE		(512 * PAGE)
#define RW		(PROT_READ | PROT_WRITE)

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

struct row {
	const char *name;
	/* Does it once with a device, and returns what that has cost. */
	double (*run)(int fd, const struct row *row);
	/* Parameters of run(). */
	size_t pages;
	int first;
	bool write;
	unsigned int flags;
	off_t offset;
	size_t repeat;
	/* The figure is per this many. */
	size_t per;
	/* How many rounds, if not ROUNDS. */
	int rounds;
};

struct pair {
	const char *rust;
	const char *c;
	const struct row *rows;
	/* What opens them, if they are not devices. */
	int (*open)(const char *name);
};

/* Lists end with an element that has no name. */
extern const struct pair sample_pairs[], layer_pairs[], memory_pairs[], scale_pairs[];
/* Those of the layer's functions that scale_pairs has. */
extern const struct row layer_scale_rows[];

/* rust_mm_bench.c */

/* A range of addresses that is not mapped; mappings are made there, with nothing beside them. */
extern char *arena;
/* What the device has found in a run, which must be the same in C and in Rust. */
extern uint64_t found;

int open_device(const char *name);
void *map_at(size_t offset, size_t pages, int prot, int fd, off_t file_offset);
void unmap(void *map, size_t pages);
void touch(char *map, size_t pages);

/* How VMAs are made. */
enum layout {
	ANONYMOUS,
	FILES,
};

struct vmas {
	size_t vmas, pages, present;
	enum layout layout;
	char *start;
};

/* The VMAs that make_vmas() has made. */
extern struct vmas listed;

void make_vmas(size_t vmas, size_t pages, size_t present, enum layout layout);
void drop_vmas(void);

double run_mmap(int fd, const struct row *row);

/* bench_threads.c */

void bench_threads(void);
void bench_processors(int processors);

#endif /* RUST_MM_BENCH_H */
