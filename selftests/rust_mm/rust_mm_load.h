/* SPDX-License-Identifier: GPL-2.0 */

/* Between rust_mm_load.c, which runs the threads, and rust_mm_load_ops.c, what they do. */

#ifndef RUST_MM_LOAD_H
#define RUST_MM_LOAD_H

#include "rust_mm.h"
#include "kselftest.h"

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#define MAX_THREADS 64

enum { BUFFER, PLAIN, DEMAND, PFN, INSPECT, NR_DEVICES };
/* These can be mapped; in the list of files, the second view of PFN follows. */
#define NR_MAPPABLE INSPECT

struct device {
	const char *name;
	unsigned long pages;
	bool vmas;	/* its fdinfo counts VMAs, */
	bool mappings;	/* and the mappings that they come from */
	bool there;
	char path[64];
};

/* What is counted. */
#define KINDS(_) \
	_(MMAP_SHARED) _(MMAP_PRIVATE) _(MMAP_POPULATE) _(MMAP_ANON) \
	_(MMAP_NONE) _(MUNMAP_MANY) _(MUNMAP_PART) \
	_(REMAP_MOVE) _(REMAP_SHRINK) _(REMAP_GROW) _(REMAP_GROW_MOVE) \
	_(REMAP_DONTUNMAP) _(REMAP_OLD_LEN_0) _(MPROTECT) \
	_(READ_WORD) _(WRITE_WORD) _(GOT_SIGBUS) _(GOT_SIGSEGV) \
	_(FORK) _(OPEN) _(REVOKE) _(RESTORE) _(TAKE) _(CLEAN) \
	_(DEV_READ) _(DEV_WRITE) _(LSEEK) _(PROC_MAPS) _(PROC_SMAPS) \
	_(FDINFO) _(CLEAR_REFS) _(PROC_MEM_READ) _(PROC_MEM_WRITE) \
	_(VM_READV) _(VM_WRITEV) _(MLOCK) _(MUNLOCK) \
	_(MSYNC) _(INSPECT_SELF) _(INSPECT_CHILD) _(REBIND) \
	_(ADVISE_NORMAL) _(ADVISE_RANDOM) _(ADVISE_SEQUENTIAL) \
	_(ADVISE_WILLNEED) _(ADVISE_DONTNEED) _(ADVISE_FREE) \
	_(ADVISE_REMOVE) _(ADVISE_DONTFORK) _(ADVISE_DOFORK) \
	_(ADVISE_MERGEABLE) _(ADVISE_UNMERGEABLE) _(ADVISE_HUGEPAGE) \
	_(ADVISE_NOHUGEPAGE) _(ADVISE_DONTDUMP) _(ADVISE_DODUMP) \
	_(ADVISE_WIPEONFORK) _(ADVISE_KEEPONFORK) _(ADVISE_COLD) \
	_(ADVISE_PAGEOUT) _(ADVISE_POPULATE_READ) _(ADVISE_POPULATE_WRITE) \
	_(ADVISE_DONTNEED_LOCKED) _(ADVISE_COLLAPSE) \
	_(ADVISE_GUARD_INSTALL) _(ADVISE_GUARD_REMOVE)

#define KIND_ENUM(name) name,
enum kind { KINDS(KIND_ENUM) NR_KINDS };

struct kind_statistics {
	unsigned long succeeded, refused;
	uint64_t errnos[3];	/* a bit for each with which it was refused */
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
	unsigned int unbound;	/* how often, as far as it knows */
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

void any_operation(struct worker *w);
bool kind_is_possible(enum kind kind);
void open_files(struct worker *w);
void close_files(struct worker *w);
void unmap_everything(size_t page);

/* A number below @n. */
static inline unsigned long below(struct worker *w, unsigned long n)
{
	return next_random(w) % n;
}

#endif /* RUST_MM_LOAD_H */
