// SPDX-License-Identifier: GPL-2.0

/*
 * The page cache of the files of Rust drivers.
 *
 * These files have no storage behind them: what is not in the page cache is a hole. So a folio of
 * such a page cache is up to date whenever its lock is free, no folio has private data, and there
 * is no writeback.
 *
 * Two locks keep the page cache consistent with the size of the file, as in other file systems:
 *
 *  - Truncation and hole punching hold mapping->invalidate_lock for writing, from before they
 *    change i_size until the last folio is removed. rust_filemap_add() holds it for reading, and
 *    checks i_size. For one page, rust_filemap_fill() does without: it adds the page first, and
 *    removes it again if the file ends before it.
 *  - A folio that was found is only used under its lock, after a look at folio->mapping: once
 *    truncation has changed i_size, it takes the lock of each folio that it still has to remove.
 */

#include <linux/err.h>
#include <linux/export.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/memcontrol.h>
#include <linux/mempolicy.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/rust_filemap.h>
#include <linux/swap.h>

#include "internal.h"

/**
 * rust_filemap_get() - Find a folio in a page cache
 * @mapping: The page cache.
 * @index: The page offset.
 * @lock: Whether to lock the folio.
 *
 * Context: Process context. Sleeps only with RUST_FILEMAP_LOCK.
 * Return: The folio that has the page, with a reference, and the lock if asked for; NULL if there
 * is none; or an error: -EAGAIN if RUST_FILEMAP_TRYLOCK would have to wait, -EIO if the folio
 * should be locked and is not up to date.
 */
struct folio *rust_filemap_get(struct address_space *mapping, pgoff_t index,
			       enum rust_filemap_lock lock)
{
	struct folio *folio;

	for (;;) {
		folio = filemap_get_entry(mapping, index);
		/* What reclaim remembers of a page is a hole. */
		if (!folio || xa_is_value(folio))
			return NULL;
		/* Nothing limits how many references Rust takes: see <linux/rust_mm.h>. */
		rust_folio_saturates(folio);
		if (lock == RUST_FILEMAP_UNLOCKED)
			return folio;
		if (lock == RUST_FILEMAP_LOCK) {
			folio_lock(folio);
		} else if (!folio_trylock(folio)) {
			folio_put_saturating(folio);
			return ERR_PTR(-EAGAIN);
		}
		if (likely(rust_filemap_contains(mapping, folio)))
			break;
		folio_unlock(folio);
		folio_put_saturating(folio);
	}
	if (unlikely(!folio_test_uptodate(folio))) {
		folio_unlock(folio);
		folio_put_saturating(folio);
		return ERR_PTR(-EIO);
	}
	return folio;
}

#ifdef CONFIG_NUMA

/**
 * rust_filemap_set_policy() - Set the memory policy of a part of a file
 * @vma: The mapping of the part.
 * @policy: The policy, or NULL for none.
 *
 * ->set_policy of mappings. The policy is that of the file: it applies to pages that are allocated
 * from then on, through other mappings and by write() as well.
 *
 * Context: The mmap lock is held for writing. May sleep.
 * Return: 0 or -ENOMEM.
 */
int rust_filemap_set_policy(struct vm_area_struct *vma, struct mempolicy *policy)
{
	struct rust_filemap_inode *file = rust_filemap_inode(file_inode(vma->vm_file));

	return mpol_set_shared_policy(&file->policy, vma, policy);
}
EXPORT_SYMBOL_GPL(rust_filemap_set_policy);

/**
 * rust_filemap_get_policy() - Get the memory policy of a page of a file
 * @vma: A mapping of the page.
 * @addr: Where it is mapped.
 * @ilx: Where the number goes that MPOL_INTERLEAVE adds to the page offset.
 *
 * ->get_policy of mappings.
 *
 * Context: The mmap lock is held.
 * Return: The policy, with a reference for mpol_cond_put(), or NULL if there is none.
 */
struct mempolicy *rust_filemap_get_policy(struct vm_area_struct *vma,
					  unsigned long addr, pgoff_t *ilx)
{
	struct rust_filemap_inode *file = rust_filemap_inode(file_inode(vma->vm_file));

	*ilx = file->inode.i_ino;
	return mpol_shared_policy_lookup(&file->policy, linear_page_index(vma, addr));
}
EXPORT_SYMBOL_GPL(rust_filemap_get_policy);

#endif /* CONFIG_NUMA */

/* By the policy of the file, or if it has none, by that of the task. */
static struct folio *alloc_by_policy(struct inode *inode, gfp_t gfp, pgoff_t index,
				     unsigned int order)
{
	struct mempolicy *policy =
		mpol_shared_policy_lookup(&rust_filemap_inode(inode)->policy, index);
	struct folio *folio;

	if (!policy)
		return filemap_alloc_folio(gfp, order, NULL);
	folio = folio_alloc_mpol(gfp, order, policy, inode->i_ino + (index >> order),
				 numa_node_id());
	mpol_cond_put(policy);
	return folio;
}

/**
 * rust_filemap_alloc() - Allocate a folio for a page cache
 * @mapping: The page cache of a struct rust_filemap_inode.
 * @mm: The mm whose memory cgroup is charged; NULL for that of the current task.
 * @index: The page offset of a page that the folio is going to have. The memory policy of that page
 *	   says from which node the folio is.
 * @order: The binary logarithm of the number of pages.
 *
 * The contents are not initialised.
 *
 * Context: Process context. May sleep.
 * Return: The folio, which is in no page cache, with one reference; or an error: -EINVAL if the
 * page cache does not have folios of that size, -ENOMEM if there is not enough memory, also if the
 * memory cgroup may not have more.
 */
struct folio *rust_filemap_alloc(struct address_space *mapping,
				 struct mm_struct *mm, pgoff_t index,
				 unsigned int order)
{
	gfp_t gfp = mapping_gfp_mask(mapping);
	struct folio *folio;

	if (order < mapping_min_folio_order(mapping) ||
	    order > mapping_max_folio_order(mapping))
		return ERR_PTR(-EINVAL);
	if (order > mapping_min_folio_order(mapping))
		gfp |= __GFP_NORETRY | __GFP_NOWARN;

	folio = alloc_by_policy(mapping->host, gfp, index, order);
	if (!folio)
		return ERR_PTR(-ENOMEM);
	if (mem_cgroup_charge(folio, mm, gfp)) {
		folio_put(folio);
		return ERR_PTR(-ENOMEM);
	}
	return folio;
}

/**
 * rust_filemap_zero() - Fill a new folio with zeroes
 * @folio: A folio of rust_filemap_alloc() that was never in a page cache.
 *
 * Context: Process context.
 */
void rust_filemap_zero(struct folio *folio)
{
	unsigned long i;

	for (i = 0; i < folio_nr_pages(folio); i++)
		clear_highpage(folio_page(folio, i));
	flush_dcache_folio(folio);
}

/* Leaves the folio locked if it is added, and as it was otherwise. */
static int insert_locked(struct address_space *mapping, struct folio *folio, pgoff_t index,
			 void **shadow)
{
	int err;

	__folio_mark_uptodate(folio);
	__folio_set_locked(folio);
	err = __filemap_add_folio(mapping, folio, index, mapping_gfp_mask(mapping), shadow);
	if (err)
		__folio_clear_locked(folio);
	return err;
}

/* Only for a folio that remains in the page cache: its lock was not given up. */
static void account(struct address_space *mapping, struct folio *folio, bool dirty, void *shadow)
{
	/* The contents are new, so it does not matter that there were others a short time ago. */
	if (shadow && !dirty)
		workingset_refault(folio, shadow);
	folio_add_lru(folio);
	/*
	 * There is no writeback, so there is nothing to account. What is unevictable is always
	 * dirty: reclaim leaves it alone, but drop_caches and fadvise() drop what is clean.
	 */
	if (dirty || mapping_unevictable(mapping))
		folio_set_dirty(folio);
}

/**
 * rust_filemap_add() - Add a folio to a page cache
 * @mapping: The page cache.
 * @folio: A folio of rust_filemap_alloc() that was never in a page cache, with contents. The caller
 *	   has the only reference. It is locked if the function succeeds; otherwise it is as before.
 * @index: The page offset of the first page.
 * @dirty: Whether the contents are others than zeroes, so that reclaim must not drop them.
 * @beyond: Whether to add it also if the file ends before it. Then the caller holds the lock of
 *	    the inode.
 *
 * Context: Process context. May sleep. Takes mapping->invalidate_lock for reading.
 * Return: 0; -EINVAL if the page cache does not have folios of that size there; -EFAULT if the file
 * ends before it; -EEXIST if there is a folio already; or -ENOMEM.
 */
int rust_filemap_add(struct address_space *mapping, struct folio *folio,
		     pgoff_t index, bool dirty, bool beyond)
{
	unsigned int order = folio_order(folio);
	void *shadow = NULL;
	int err = -EFAULT;

	if (order < mapping_min_folio_order(mapping) ||
	    order > mapping_max_folio_order(mapping) ||
	    index & (folio_nr_pages(folio) - 1))
		return -EINVAL;

	filemap_invalidate_lock_shared(mapping);
	if (beyond || !rust_filemap_past_end(mapping, index))
		err = insert_locked(mapping, folio, index, &shadow);
	if (!err)
		account(mapping, folio, dirty, shadow);
	filemap_invalidate_unlock_shared(mapping);
	return err;
}

/**
 * rust_filemap_fill() - Add a folio to a page cache, in a page fault
 * @mapping: The page cache.
 * @folio: As for rust_filemap_add(). If the function fails, the caller may only drop its reference,
 *	   since other threads may have found the folio in the page cache.
 * @index: The page offset of the first page.
 * @dirty: As for rust_filemap_add().
 *
 * Takes no lock of the file to add one page. If it does not see the size that a truncation has set,
 * truncation sees the folio, and removes it as soon as it is unlocked. A page that is added while a
 * hole is punched there may remain, as if it were added afterwards.
 *
 * Context: Process context. May sleep.
 * Return: As rust_filemap_add().
 */
int rust_filemap_fill(struct address_space *mapping, struct folio *folio, pgoff_t index,
		      bool dirty)
{
	void *shadow = NULL;
	int err;

	if (folio_test_large(folio) || mapping_min_folio_order(mapping))
		return rust_filemap_add(mapping, folio, index, dirty, false);

	err = insert_locked(mapping, folio, index, &shadow);
	if (err)
		return err;
	/* Pairs with the barrier in rust_memory_truncate(). */
	smp_mb();
	if (unlikely(rust_filemap_past_end(mapping, index))) {
		filemap_remove_folio(folio);
		folio_unlock(folio);
		return -EFAULT;
	}
	account(mapping, folio, dirty, shadow);
	return 0;
}

/**
 * rust_filemap_remove() - Remove a folio from its page cache
 * @mapping: The page cache.
 * @folio: A folio in it, which the caller has locked. It remains locked.
 *
 * Unmaps the folio from all mappings of the file first. Copy-on-write pages remain mapped.
 *
 * Context: Process context. May sleep.
 */
void rust_filemap_remove(struct address_space *mapping, struct folio *folio)
{
	truncate_inode_folio(mapping, folio);
}

/**
 * rust_filemap_mappable() - Find the page of a folio for a page table entry
 * @folio: A locked folio in a page cache.
 * @index: The page offset.
 *
 * Context: Any context.
 * Return: The page; NULL if the file ends before it, the folio does not have it, or the folio has
 * too many references to be mapped again.
 */
struct page *rust_filemap_mappable(struct folio *folio, pgoff_t index)
{
	if (rust_filemap_past_end(folio->mapping, index) ||
	    !folio_contains(folio, index) || folio_mappable_order(folio) < 0)
		return NULL;
	return folio_file_page(folio, index);
}
