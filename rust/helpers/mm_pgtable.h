/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __RUST_HELPERS_MM_PGTABLE_H
#define __RUST_HELPERS_MM_PGTABLE_H

/*
 * What rust/kernel/mm/pgtable.rs is told about an entry of a page table: the
 * architecture's bits, in one form for all levels.
 */
enum rust_pgtable_kind {
	RUST_PGTABLE_NONE,
	RUST_PGTABLE_PRESENT,
	RUST_PGTABLE_SWAP,
	RUST_PGTABLE_MIGRATION,
	RUST_PGTABLE_DEVICE,
	RUST_PGTABLE_HWPOISON,
	RUST_PGTABLE_MARKER,
	RUST_PGTABLE_GUARD,
	RUST_PGTABLE_POISON,
	RUST_PGTABLE_OTHER,
};

enum rust_pgtable_flags {
	RUST_PGTABLE_WRITABLE = 1 << 0,
	RUST_PGTABLE_DIRTY = 1 << 1,
	RUST_PGTABLE_YOUNG = 1 << 2,
	RUST_PGTABLE_NORMAL = 1 << 3,
};

struct rust_pgtable_entry {
	unsigned long pfn;
	enum rust_pgtable_kind kind;
	unsigned int flags;
};

/* What an entry that could be a huge one has turned out to be. */
enum rust_pgtable_lock {
	RUST_PGTABLE_IS_NONE,
	RUST_PGTABLE_IS_TABLE,
	/* The lock of the entry is held. */
	RUST_PGTABLE_IS_LEAF,
};

/* What a lookup of one address has found. */
struct rust_folio_walk {
	unsigned long pfn;
	/* A level of the page tables, from the bottom: enum folio_walk_level. */
	unsigned int level;
	unsigned int order;
	_Bool zero;
	_Bool anon;
	_Bool writable;
};

#endif /* __RUST_HELPERS_MM_PGTABLE_H */
