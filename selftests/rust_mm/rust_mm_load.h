/* SPDX-License-Identifier: GPL-2.0 */

/* Interface between rust_mm_load.c, which runs the threads, and the files with the operations. */

#ifndef RUST_MM_LOAD_H
#define RUST_MM_LOAD_H

#include "rust_mm.h"
#include "kselftest.h"

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#define MAX_THREADS 64

enum { BUFFER, PLAIN, DEMAND, PFN, RECLAIM, CDEV, FILES, INSPECT, NR_DEVICES };
/* The devices before INSPECT can be mapped. */
#define NR_MAPPABLE INSPECT

struct device {
	const char *name;
	const char *file;	/* in /dev, if it is not the name */
	unsigned long pages;
	bool vmas;	/* fdinfo counts VMAs */
	bool read_only;	/* cannot be mapped for writing */
	bool mappings;	/* fdinfo counts mappings, from which VMAs are split and forked */
	bool there;
	char path[64];
};

/* The kinds of operations that are counted. */
#define KIND(name) name
enum kind {
#include "rust_mm_load_kinds.h"
	NR_KINDS
};

#undef KIND

struct kind_statistics {
	unsigned long succeeded, refused;
	uint64_t errnos[3];	/* bit map of the errnos of refused operations */
};

struct statistics {
	struct kind_statistics kinds[NR_KINDS];
	unsigned long wrong;
};

/* A thread, or a child of it. */
struct worker {
	unsigned int number;
	volatile unsigned long operation;
	const char *volatile doing;
	uint64_t random;
	size_t page;
	int fds[NR_DEVICES];
	int proc_mem;
	unsigned int unbound;	/* unbinds of PFN that the thread has reacted to */
	bool is_child;
	char text[65536];
};

extern struct device devices[NR_DEVICES];
extern struct statistics *statistics;
extern unsigned int nr_threads;
extern const char *const kind_names[NR_KINDS];

uint64_t next_random(struct worker *w);
int access_word(void *at, uint64_t *value, bool write);
void count(enum kind kind, long ret);
void wrong(struct worker *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* rust_mm_load_map.c */

/*
 * Addresses at which the kernel places no mapping by itself, so MAP_FIXED replaces
 * only mappings of this test. All threads share the first arena.
 */
#define HUGE		(2ul << 20)
#define ARENAS		0x100000000000ul
#define ARENA_DISTANCE	(1ul << 30)
#define ARENA_LEN	(4 * HUGE)
#define WINDOW		32	/* pages, around a boundary of two page tables */

struct range {
	char *at;
	size_t len;
	bool shared;	/* with the other threads */
};

char *arena(struct worker *w, bool shared);
struct range any_range(struct worker *w);
struct range covered_range(struct worker *w);
char *any_address(struct worker *w);
void op_mmap(struct worker *w);
void op_mmap_other(struct worker *w);
void op_munmap(struct worker *w);
void op_mremap(struct worker *w);
void op_mprotect(struct worker *w);
void op_madvise(struct worker *w);
bool kind_is_possible(enum kind kind);

/* rust_mm_load_ops.c */

int any_device(struct worker *w);
int open_file(int i);
void reopen(struct worker *w, int i);
void any_operation(struct worker *w);
void open_files(struct worker *w);
void close_files(struct worker *w);
void unmap_everything(size_t page);

/* Returns a random number below @n. */
static inline unsigned long below(struct worker *w, unsigned long n)
{
	return next_random(w) % n;
}

#endif /* RUST_MM_LOAD_H */
