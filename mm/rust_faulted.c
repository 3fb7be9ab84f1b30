// SPDX-License-Identifier: GPL-2.0

/*
 * Pages that are faulted in: slots, each of which has a page of order 0 or NULL.
 *
 * A slot owns a reference to its page. A page enters a slot with cmpxchg() and leaves it with
 * xchg(), without a lock. There are two ways to read a slot:
 *
 * Faults (rust_mm_fault_insert_slot(), rust_mm_fault_around_map()) read it with the page table
 * locked, and map the page before they drop that lock. rust_mm_slots_discard() empties the slot,
 * then unmaps the page offset from all mappings, and then drops its reference to the page:
 *
 *	fault				rust_mm_slots_discard()
 *	-----				----------------------
 *	install the page table		xchg(slot, NULL)
 *	lock the page table		smp_mb()
 *	smp_mb__after_spinlock()	look for the page table
 *	page = *slot			lock the page table, zap the entry
 *	take a reference, map		put the page
 *
 * If the fault finds the page, then the slot was emptied later; by the two barriers, the unmapping
 * finds the page table, waits for its lock, and zaps the entry. So no page is mapped that is no
 * longer in its slot, and the page has a reference while a fault handles it. The unmapping finds
 * the VMA, because a VMA is added to the mappings of its file before its faults are handled, and is
 * taken out after them. That must be the file whose mappings are unmapped: the caller checks it.
 *
 * All others take a reference and then read the slot again, as a lookup in the page cache does.
 */

#include <linux/atomic.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/numa.h>
#include <linux/rcupdate.h>
#include <linux/rust_mm.h>
#include <linux/sched.h>

/* How many slots, or pages, are handled before another task may run. */
#define SLOTS_AT_ONCE	1024

/**
 * rust_mm_slot_get() - Take a reference to the page of a slot
 * @slot: The slot.
 *
 * Context: Any context. Does not sleep.
 * Return: The folio of the page, with a reference; NULL if the slot is empty.
 */
struct folio *rust_mm_slot_get(struct page *const *slot)
{
	guard(rcu)();
	for (;;) {
		struct page *page = READ_ONCE(*slot);
		/* Not page_folio(): the page may have been freed, and be any page now. */
		struct folio *folio = container_of(page, struct folio, page);

		if (!page)
			return NULL;
		if (likely(folio_try_get(folio))) {
			if (likely(READ_ONCE(*slot) == page)) {
				/* Rust may leak what it gets. */
				rust_folio_saturates(folio);
				return folio;
			}
			folio_put(folio);
		}
		cpu_relax();
	}
}
EXPORT_SYMBOL_GPL(rust_mm_slot_get);

/**
 * rust_mm_slot_make() - Allocate a page for a slot, unless it has one
 * @slot: The slot.
 * @gfp: With __GFP_ZERO.
 * @nid: The node of the page; or NUMA_NO_NODE, for one that the memory policy of the VMA chooses,
 * or that of the task.
 * @vmf: The fault that needs the page; or NULL.
 *
 * Context: Sleeps if @gfp allows it. With a fault, its lock is held.
 * Return: 1 if the page is new; 0 if the slot had one, or another thread was faster; -ENOMEM.
 */
int rust_mm_slot_make(struct page **slot, gfp_t gfp, int nid, const struct vm_fault *vmf)
{
	struct folio *folio;

	if (READ_ONCE(*slot))
		return 0;
	if (nid != NUMA_NO_NODE)
		folio = __folio_alloc_node(gfp, 0, nid);
	else if (vmf)
		folio = vma_alloc_folio(gfp, 0, vmf->vma, vmf->address);
	else
		folio = folio_alloc(gfp, 0);
	if (!folio)
		return -ENOMEM;
	/* Readers that find the page find it zeroed. */
	if (likely(!cmpxchg(slot, NULL, &folio->page)))
		return 1;
	folio_put(folio);
	return 0;
}
EXPORT_SYMBOL_GPL(rust_mm_slot_make);

/**
 * rust_mm_slots_discard() - Empty slots, unmap their pages, and drop the references
 * @slots: The first slot.
 * @nr: The number of slots.
 * @mapping: The address space that has all mappings of the pages; NULL to leave them mapped, if
 * the slots are not used afterwards.
 * @first: The page offset of the first slot.
 *
 * When the function returns, no page is mapped that was in one of the slots when it was called,
 * also if another thread is emptying the same slots. Copy-on-write pages remain mapped.
 *
 * Context: Sleeps. The caller does not hold the i_mmap lock of @mapping.
 * Return: The number of pages.
 */
unsigned long rust_mm_slots_discard(struct page **slots, unsigned long nr,
				    struct address_space *mapping, pgoff_t first)
{
	struct page *page, *next;
	unsigned long i, count = 0;
	LIST_HEAD(pages);

	/* unmap_mapping_pages() takes 0 for all pages. */
	if (!nr)
		return 0;
	for (i = 0; i < nr; i++) {
		if (i % SLOTS_AT_ONCE == SLOTS_AT_ONCE - 1)
			cond_resched();
		if (!READ_ONCE(slots[i]))
			continue;
		page = xchg(&slots[i], NULL);
		if (!page)
			continue;
		/* The pages are on no LRU list. Only the thread that gets one here uses this. */
		list_add_tail(&page->lru, &pages);
		count++;
	}
	if (mapping) {
		/* Also if there is no page: another thread may be about to unmap it. */
		smp_mb();
		unmap_mapping_pages(mapping, first, nr, false);
	}
	i = 0;
	list_for_each_entry_safe(page, next, &pages, lru) {
		list_del(&page->lru);
		folio_put_saturating(page_folio(page));
		if (++i % SLOTS_AT_ONCE == 0)
			cond_resched();
	}
	return count;
}
EXPORT_SYMBOL_GPL(rust_mm_slots_discard);
