/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The page cache for Rust: functions that rust/kernel/mm/filemap.rs needs and that the rest of the
 * kernel does not have.
 */
#ifndef _LINUX_RUST_FILEMAP_H
#define _LINUX_RUST_FILEMAP_H

#include <linux/fs.h>
#include <linux/mempolicy.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/pagemap.h>
#include <linux/rust_mm.h>

/**
 * struct rust_filemap_inode - The inode of a file that has its memory in the page cache
 * @policy: The memory policies of the pages, which mbind() sets.
 * @inode: The inode.
 */
struct rust_filemap_inode {
	struct shared_policy policy;
	struct inode inode;
};

static inline struct rust_filemap_inode *rust_filemap_inode(struct inode *inode)
{
	return container_of(inode, struct rust_filemap_inode, inode);
}

#ifdef CONFIG_MMU

/**
 * rust_filemap_contains() - Check that a folio is still where it was found
 * @mapping: The page cache.
 * @folio: A folio that was found there. Its index is the same for as long as it is there.
 *
 * Context: Any context. The caller holds a reference to the folio. The result can only be
 * relied on under the lock of the folio.
 * Return: Whether the folio is in that page cache.
 */
static inline bool
rust_filemap_contains(const struct address_space *mapping,
		      const struct folio *folio)
{
	return READ_ONCE(folio->mapping) == mapping;
}

/**
 * rust_filemap_past_end() - Check that the file ends before a page
 * @mapping: The page cache of the file.
 * @index: The page offset.
 *
 * Context: Any context. The size can change at any time: see mm/rust_filemap.c.
 * Return: Whether it does.
 */
static inline bool
rust_filemap_past_end(const struct address_space *mapping, pgoff_t index)
{
	return index >= DIV_ROUND_UP_ULL(i_size_read(mapping->host), PAGE_SIZE);
}

/* How to lock a folio that is looked up. */
enum rust_filemap_lock {
	RUST_FILEMAP_UNLOCKED,
	RUST_FILEMAP_LOCK,
	/* Without sleeping. */
	RUST_FILEMAP_TRYLOCK,
};

/* mm/rust_filemap.c */
struct folio *rust_filemap_get(struct address_space *mapping, pgoff_t index,
			       enum rust_filemap_lock lock);
struct folio *rust_filemap_alloc(struct address_space *mapping,
				 struct mm_struct *mm, pgoff_t index,
				 unsigned int order);
void rust_filemap_zero(struct folio *folio);
int rust_filemap_add(struct address_space *mapping, struct folio *folio,
		     pgoff_t index, bool dirty, bool beyond);
int rust_filemap_fill(struct address_space *mapping, struct folio *folio,
		      pgoff_t index, bool dirty);
void rust_filemap_remove(struct address_space *mapping, struct folio *folio);
struct page *rust_filemap_mappable(struct folio *folio, pgoff_t index);

#ifdef CONFIG_NUMA
int rust_filemap_set_policy(struct vm_area_struct *vma,
			    struct mempolicy *policy);
struct mempolicy *rust_filemap_get_policy(struct vm_area_struct *vma,
					  unsigned long addr, pgoff_t *ilx);
#endif

#endif /* CONFIG_MMU */

#endif /* _LINUX_RUST_FILEMAP_H */
