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
 *    checks i_size.
 *  - A folio that was found is only used under its lock, after a look at folio->mapping: once
 *    truncation has changed i_size, it takes the lock of each folio that it still has to remove.
 */

#include <linux/err.h>
#include <linux/export.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/memcontrol.h>
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
	fgf_t flags = 0;
	struct folio *folio;

	if (lock == RUST_FILEMAP_LOCK)
		flags = FGP_LOCK;
	else if (lock == RUST_FILEMAP_TRYLOCK)
		flags = FGP_LOCK | FGP_NOWAIT;

	folio = __filemap_get_folio(mapping, index, flags, 0);
	if (IS_ERR(folio))
		return folio == ERR_PTR(-ENOENT) ? NULL : folio;
	/* Nothing limits how many references Rust takes: see <linux/rust_mm.h>. */
	rust_folio_saturates(folio);

	if (lock != RUST_FILEMAP_UNLOCKED && !folio_test_uptodate(folio)) {
		folio_unlock(folio);
		folio_put_saturating(folio);
		return ERR_PTR(-EIO);
	}
	return folio;
}

/**
 * rust_filemap_alloc() - Allocate a folio for a page cache
 * @mapping: The page cache.
 * @mm: The mm whose memory cgroup is charged; NULL for that of the current task.
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
				 struct mm_struct *mm, unsigned int order)
{
	gfp_t gfp = mapping_gfp_mask(mapping);
	struct folio *folio;

	if (order < mapping_min_folio_order(mapping) ||
	    order > mapping_max_folio_order(mapping))
		return ERR_PTR(-EINVAL);
	if (order > mapping_min_folio_order(mapping))
		gfp |= __GFP_NORETRY | __GFP_NOWARN;

	folio = filemap_alloc_folio(gfp, order, NULL);
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

/**
 * rust_filemap_add() - Add a folio to a page cache
 * @mapping: The page cache.
 * @folio: A folio of rust_filemap_alloc() that was never in a page cache, with contents. The caller
 *	   has the only reference. It is locked if the function succeeds; otherwise it is as before.
 * @index: The page offset of the first page.
 * @dirty: Whether the contents are others than zeroes, so that reclaim must not drop them.
 * @past_end: Whether to add it also if the file ends before it. Then the caller holds the lock of
 *	      the inode.
 *
 * Context: Process context. May sleep. Takes mapping->invalidate_lock for reading.
 * Return: 0; -EINVAL if the page cache does not have folios of that size there; -EFAULT if the file
 * ends before it; -EEXIST if there is a folio already; or -ENOMEM.
 */
int rust_filemap_add(struct address_space *mapping, struct folio *folio,
		     pgoff_t index, bool dirty, bool past_end)
{
	gfp_t gfp = mapping_gfp_mask(mapping);
	unsigned int order = folio_order(folio);
	void *shadow = NULL;
	int err;

	if (order < mapping_min_folio_order(mapping) ||
	    order > mapping_max_folio_order(mapping) ||
	    index & (folio_nr_pages(folio) - 1))
		return -EINVAL;

	filemap_invalidate_lock_shared(mapping);
	err = -EFAULT;
	if (!past_end && index >= DIV_ROUND_UP_ULL(i_size_read(mapping->host), PAGE_SIZE))
		goto unlock;

	__folio_mark_uptodate(folio);
	__folio_set_locked(folio);
	err = __filemap_add_folio(mapping, folio, index, gfp, &shadow);
	if (err) {
		__folio_clear_locked(folio);
		goto unlock;
	}
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
unlock:
	filemap_invalidate_unlock_shared(mapping);
	return err;
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
