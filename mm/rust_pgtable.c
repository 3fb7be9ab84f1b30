// SPDX-License-Identifier: GPL-2.0

/* Page table walks for Rust: entries of all levels in one form. */

#include <linux/export.h>
#include <linux/hugetlb.h>
#include <linux/leafops.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pagewalk.h>
#include <linux/pgtable.h>
#include <linux/rust_mm.h>
#include <linux/sched/signal.h>

#include "internal.h"

/**
 * pgtable_softleaf() - Describe an entry that is not present
 * @leaf: The entry.
 * @offset: Index of the page that is looked up, among the pages that the entry covers.
 * @out: Set to the kind of the entry and, if it has one, to the PFN of the page.
 *
 * Context: The page table lock is held. Does not sleep.
 */
static inline void pgtable_softleaf(softleaf_t leaf, unsigned long offset,
				    struct rust_pgtable_entry *out)
{
	if (softleaf_is_swap(leaf))
		out->kind = RUST_PGTABLE_SWAP;
	else if (softleaf_is_migration(leaf))
		out->kind = RUST_PGTABLE_MIGRATION;
	else if (softleaf_is_device_private(leaf) ||
		 softleaf_is_device_exclusive(leaf))
		out->kind = RUST_PGTABLE_DEVICE;
	else if (softleaf_is_hwpoison(leaf))
		out->kind = RUST_PGTABLE_HWPOISON;
	else if (softleaf_is_guard_marker(leaf))
		out->kind = RUST_PGTABLE_GUARD;
	else if (softleaf_is_poison_marker(leaf))
		out->kind = RUST_PGTABLE_POISON;
	else if (softleaf_is_marker(leaf))
		out->kind = RUST_PGTABLE_MARKER;
	else
		out->kind = RUST_PGTABLE_OTHER;

	if (softleaf_has_pfn(leaf))
		out->pfn = softleaf_to_pfn(leaf) + offset;
}

/**
 * pgtable_pte_is_normal() - Check whether the kernel counts a page as the mapping's
 * @vma: The VMA.
 * @addr: The address that the entry maps.
 * @pte: The entry, which is present.
 *
 * Context: The page table lock is held. Does not sleep.
 * Return: Whether vm_normal_page() finds a page, which it is not called for in most cases.
 */
static inline bool pgtable_pte_is_normal(struct vm_area_struct *vma,
					 unsigned long addr, pte_t pte)
{
	/* Where entries have a bit for the others, no VMA decides about those without it. */
	if (IS_ENABLED(CONFIG_ARCH_HAS_PTE_SPECIAL) &&
	    likely(!pte_special(pte) && pte_pfn(pte) <= highest_memmap_pfn))
		return true;
	return vm_normal_page(vma, addr, pte);
}

/**
 * pgtable_pte_flags() - Return what is to be said of a present PTE, except for its PFN
 * @vma: The VMA.
 * @addr: The address that the entry maps.
 * @pte: The entry, which is present.
 *
 * Context: The page table lock is held. Does not sleep.
 * Return: A set of enum rust_pgtable_flags.
 */
static inline unsigned int pgtable_pte_flags(struct vm_area_struct *vma,
					     unsigned long addr, pte_t pte)
{
	unsigned int flags = 0;

	if (pte_write(pte))
		flags |= RUST_PGTABLE_WRITABLE;
	if (pte_dirty(pte))
		flags |= RUST_PGTABLE_DIRTY;
	if (pte_young(pte))
		flags |= RUST_PGTABLE_YOUNG;
	if (pgtable_pte_is_normal(vma, addr, pte))
		flags |= RUST_PGTABLE_NORMAL;
	return flags;
}

/**
 * rust_mm_pgtable_lock_table() - Lock the table of the lowest level that a PMD points to
 * @walk: A walk, in a VMA.
 * @pmdp: The entry that points to the table.
 * @addr: An address that it covers.
 * @ptl: Set to the lock of the table.
 *
 * Context: ->pmd_entry of the walk. Does not sleep. If the function returns an entry, it has
 * taken *@ptl and the RCU read lock, and the caller drops both with pte_unmap_unlock().
 * Return: The entry of @addr; or NULL if the PMD has changed and points to no table.
 */
pte_t *rust_mm_pgtable_lock_table(struct mm_walk *walk, pmd_t *pmdp,
				  unsigned long addr, spinlock_t **ptl)
{
	return pte_offset_map_lock(walk->mm, pmdp, addr, ptl);
}
EXPORT_SYMBOL_GPL(rust_mm_pgtable_lock_table);

/**
 * rust_mm_pgtable_read_pte() - Read a PTE
 * @walk: A walk, in a VMA.
 * @ptep: The entry.
 * @addr: The address that it maps.
 * @out: Set to what the entry is.
 *
 * Context: ->pmd_entry of the walk, after rust_mm_pgtable_lock_table() has locked the table.
 * Does not sleep.
 */
void rust_mm_pgtable_read_pte(struct mm_walk *walk, pte_t *ptep,
			      unsigned long addr,
			      struct rust_pgtable_entry *out)
{
	pte_t pte = ptep_get(ptep);

	*out = (struct rust_pgtable_entry){ .kind = RUST_PGTABLE_NONE };
	if (pte_none(pte))
		return;
	if (!pte_present(pte)) {
		pgtable_softleaf(softleaf_from_pte(pte), 0, out);
		return;
	}
	out->kind = RUST_PGTABLE_PRESENT;
	out->pfn = pte_pfn(pte);
	out->flags = pgtable_pte_flags(walk->vma, addr, pte);
}
EXPORT_SYMBOL_GPL(rust_mm_pgtable_read_pte);

/**
 * pgtable_present_run() - Find out how many present PTEs have the same flags
 * @vma: The VMA.
 * @ptep: The first entry.
 * @first: What was read from it. It is present.
 * @addr: The address that it maps.
 * @end: Where the last address of the table, or of the walk, ends; above @addr.
 * @flags: The flags of @first. The entry may have more by now: the hardware sets them.
 *
 * Context: The page table lock is held. Does not sleep.
 * Return: The end of the addresses that the run maps.
 */
static inline unsigned long pgtable_present_run(struct vm_area_struct *vma,
						pte_t *ptep, pte_t first,
						unsigned long addr,
						unsigned long end,
						unsigned int flags)
{
	const pgprot_t prot = pte_pgprot(first);
	/*
	 * Most entries have all bits of the first but those of the PFN, and need not be taken
	 * apart. Architectures without pte_pgprot() return zero, which a present entry cannot
	 * have.
	 */
	const bool prot_decides = IS_ENABLED(CONFIG_ARCH_HAS_PTE_SPECIAL) &&
				  pgprot_val(prot) && !pte_special(first) &&
				  flags & RUST_PGTABLE_NORMAL;

	while ((addr += PAGE_SIZE) != end) {
		const pte_t pte = ptep_get(++ptep);

		if (prot_decides && pgprot_val(pte_pgprot(pte)) == pgprot_val(prot))
			continue;
		if (!pte_present(pte) ||
		    pgtable_pte_flags(vma, addr, pte) != flags)
			break;
	}
	return addr;
}

/**
 * rust_mm_pgtable_run() - Find out how many PTEs are alike
 * @walk: A walk, in a VMA.
 * @ptep: The first entry.
 * @addr: The address that it maps.
 * @end: Where the last address of the table, or of the walk, ends; above @addr.
 * @out: Set to what the first entry is. Kind and flags are those of all entries of the run.
 *
 * A walk hands runs to Rust instead of entries, so that an entry costs what it costs in a
 * loop in C.
 *
 * Context: ->pmd_entry of the walk, after rust_mm_pgtable_lock_table() has locked the table.
 * Does not sleep.
 * Return: The end of the addresses that the run maps.
 */
unsigned long rust_mm_pgtable_run(struct mm_walk *walk, pte_t *ptep,
				  unsigned long addr, unsigned long end,
				  struct rust_pgtable_entry *out)
{
	struct vm_area_struct *vma = walk->vma;
	pte_t pte = ptep_get(ptep);

	*out = (struct rust_pgtable_entry){ .kind = RUST_PGTABLE_NONE };
	if (pte_none(pte)) {
		do {
			addr += PAGE_SIZE;
		} while (addr != end && pte_none(ptep_get(++ptep)));
		return addr;
	}
	if (pte_present(pte)) {
		unsigned int flags = pgtable_pte_flags(vma, addr, pte);

		out->kind = RUST_PGTABLE_PRESENT;
		out->pfn = pte_pfn(pte);
		out->flags = flags;
		return pgtable_present_run(vma, ptep, pte, addr, end, flags);
	}
	pgtable_softleaf(softleaf_from_pte(pte), 0, out);
	/* Most of these are swapped pages, for which a look at the kind is enough. */
	if (out->kind == RUST_PGTABLE_SWAP) {
		do {
			addr += PAGE_SIZE;
		} while (addr != end &&
			 softleaf_is_swap(softleaf_from_pte(ptep_get(++ptep))));
		return addr;
	}
	while ((addr += PAGE_SIZE) != end) {
		struct rust_pgtable_entry next = {};

		pte = ptep_get(++ptep);
		if (pte_none(pte) || pte_present(pte))
			break;
		pgtable_softleaf(softleaf_from_pte(pte), 0, &next);
		if (next.kind != out->kind)
			break;
	}
	return addr;
}
EXPORT_SYMBOL_GPL(rust_mm_pgtable_run);

/**
 * rust_mm_pgtable_pfns() - Read the PFNs of consecutive PTEs
 * @ptep: The first entry. All of them are present.
 * @nr: Their number, not zero.
 * @pfns: Gets the PFNs.
 *
 * Context: ->pmd_entry of the walk, after rust_mm_pgtable_lock_table() has locked the table.
 * Does not sleep.
 */
void rust_mm_pgtable_pfns(pte_t *ptep, unsigned int nr, unsigned long *pfns)
{
	do {
		*pfns++ = pte_pfn(ptep_get(ptep++));
	} while (--nr);
}
EXPORT_SYMBOL_GPL(rust_mm_pgtable_pfns);

#ifdef CONFIG_PGTABLE_HAS_HUGE_LEAVES
/**
 * pgtable_pmd_is_normal() - Check whether the kernel counts a leaf as the mapping's
 * @vma: The VMA.
 * @addr: The address that the leaf maps.
 * @pmd: The leaf.
 *
 * Context: The page table lock is held. Does not sleep.
 * Return: Whether vm_normal_page_pmd() finds a page, which it is not called for in most cases.
 */
static inline bool pgtable_pmd_is_normal(struct vm_area_struct *vma,
					 unsigned long addr, pmd_t pmd)
{
	/* As for a PTE: see pgtable_pte_is_normal(). */
	if (IS_ENABLED(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP) &&
	    likely(!pmd_special(pmd) && pmd_pfn(pmd) <= highest_memmap_pfn))
		return true;
	return vm_normal_page_pmd(vma, addr, pmd);
}
#endif

/**
 * rust_mm_pgtable_lock_pmd() - Lock and read a PMD that may be a leaf
 * @walk: A walk, in a VMA.
 * @pmdp: The entry.
 * @addr: An address that it covers.
 * @out: If the entry is a leaf, set to what it maps at @addr.
 * @ptl: If the entry is a leaf, set to its lock.
 *
 * Context: A callback of the walk. May sleep. If the function returns RUST_PGTABLE_IS_LEAF,
 * it has taken *@ptl, and the caller drops it with spin_unlock(); otherwise it holds no lock.
 * Return: Whether the entry is none, a table or a leaf.
 */
enum rust_pgtable_lock rust_mm_pgtable_lock_pmd(struct mm_walk *walk,
						pmd_t *pmdp, unsigned long addr,
						struct rust_pgtable_entry *out,
						spinlock_t **ptl)
{
	/* Between two tables, like other walks. */
	cond_resched();
#ifdef CONFIG_PGTABLE_HAS_HUGE_LEAVES
	pmd_t pmd = pmdp_get_lockless(pmdp);

	if (pmd_present(pmd) && !pmd_leaf(pmd))
		return RUST_PGTABLE_IS_TABLE;

	*out = (struct rust_pgtable_entry){ .kind = RUST_PGTABLE_NONE };
	*ptl = pmd_lock(walk->mm, pmdp);
	pmd = pmdp_get(pmdp);
	if (pmd_none(pmd)) {
		spin_unlock(*ptl);
		return RUST_PGTABLE_IS_NONE;
	}
	if (!pmd_present(pmd)) {
		pgtable_softleaf(softleaf_from_pmd(pmd),
				 (addr & ~PMD_MASK) >> PAGE_SHIFT, out);
	} else if (pmd_leaf(pmd)) {
		out->kind = RUST_PGTABLE_PRESENT;
		out->pfn = pmd_pfn(pmd) + ((addr & ~PMD_MASK) >> PAGE_SHIFT);
		if (pmd_write(pmd))
			out->flags |= RUST_PGTABLE_WRITABLE;
		if (pmd_dirty(pmd))
			out->flags |= RUST_PGTABLE_DIRTY;
		if (pmd_young(pmd))
			out->flags |= RUST_PGTABLE_YOUNG;
		if (pgtable_pmd_is_normal(walk->vma, addr, pmd))
			out->flags |= RUST_PGTABLE_NORMAL;
	} else {
		spin_unlock(*ptl);
		return RUST_PGTABLE_IS_TABLE;
	}
	return RUST_PGTABLE_IS_LEAF;
#else
	return RUST_PGTABLE_IS_TABLE;
#endif
}
EXPORT_SYMBOL_GPL(rust_mm_pgtable_lock_pmd);

/**
 * rust_mm_pgtable_lock_pud() - Lock and read a PUD that may be a leaf
 * @walk: A walk, in a VMA.
 * @pudp: The entry.
 * @addr: An address that it covers.
 * @out: If the entry is a leaf, set to what it maps at @addr.
 * @ptl: If the entry is a leaf, set to its lock.
 *
 * Context: A callback of the walk. Does not sleep. If the function returns
 * RUST_PGTABLE_IS_LEAF, it has taken *@ptl, and the caller drops it with spin_unlock();
 * otherwise it holds no lock.
 * Return: Whether the entry is none, a table or a leaf.
 */
enum rust_pgtable_lock rust_mm_pgtable_lock_pud(struct mm_walk *walk,
						pud_t *pudp, unsigned long addr,
						struct rust_pgtable_entry *out,
						spinlock_t **ptl)
{
#ifdef CONFIG_PGTABLE_HAS_HUGE_LEAVES
	pud_t pud = pudp_get(pudp);

	if (pud_present(pud) && !pud_leaf(pud))
		return RUST_PGTABLE_IS_TABLE;

	*out = (struct rust_pgtable_entry){ .kind = RUST_PGTABLE_NONE };
	*ptl = pud_lock(walk->mm, pudp);
	pud = pudp_get(pudp);
	if (pud_none(pud)) {
		spin_unlock(*ptl);
		return RUST_PGTABLE_IS_NONE;
	}
	if (!pud_present(pud)) {
		out->kind = RUST_PGTABLE_OTHER;
	} else if (pud_leaf(pud)) {
		out->kind = RUST_PGTABLE_PRESENT;
		out->pfn = pud_pfn(pud) + ((addr & ~PUD_MASK) >> PAGE_SHIFT);
#ifdef CONFIG_HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD
		if (pud_write(pud))
			out->flags |= RUST_PGTABLE_WRITABLE;
		if (pud_dirty(pud))
			out->flags |= RUST_PGTABLE_DIRTY;
		if (pud_young(pud))
			out->flags |= RUST_PGTABLE_YOUNG;
#endif
		if (vm_normal_page_pud(walk->vma, addr, pud))
			out->flags |= RUST_PGTABLE_NORMAL;
	} else {
		spin_unlock(*ptl);
		return RUST_PGTABLE_IS_TABLE;
	}
	return RUST_PGTABLE_IS_LEAF;
#else
	return RUST_PGTABLE_IS_TABLE;
#endif
}
EXPORT_SYMBOL_GPL(rust_mm_pgtable_lock_pud);

/**
 * rust_mm_pgtable_lock_hugetlb() - Lock and read an entry of a hugetlb VMA
 * @walk: A walk, in a hugetlb VMA.
 * @ptep: The entry.
 * @hmask: Mask of the huge page size.
 * @addr: An address that the entry covers.
 * @out: Set to what the entry maps at @addr.
 * @ptl: Set to the lock of the entry.
 *
 * Context: ->hugetlb_entry of the walk, which holds the hugetlb VMA lock. Does not sleep.
 * Takes *@ptl, which the caller drops with spin_unlock().
 */
void rust_mm_pgtable_lock_hugetlb(struct mm_walk *walk, pte_t *ptep,
				  unsigned long hmask, unsigned long addr,
				  struct rust_pgtable_entry *out,
				  spinlock_t **ptl)
{
	*out = (struct rust_pgtable_entry){ .kind = RUST_PGTABLE_NONE };
#ifdef CONFIG_HUGETLB_PAGE
	pte_t pte;

	*ptl = huge_pte_lock(hstate_vma(walk->vma), walk->mm, ptep);
	pte = huge_ptep_get(walk->mm, addr & hmask, ptep);
	if (huge_pte_none(pte))
		return;
	if (!pte_present(pte)) {
		pgtable_softleaf(softleaf_from_pte(pte),
				 (addr & ~hmask) >> PAGE_SHIFT, out);
		return;
	}
	out->kind = RUST_PGTABLE_PRESENT;
	out->pfn = pte_pfn(pte) + ((addr & ~hmask) >> PAGE_SHIFT);
	out->flags = RUST_PGTABLE_NORMAL;
	if (huge_pte_write(pte))
		out->flags |= RUST_PGTABLE_WRITABLE;
	if (huge_pte_dirty(pte))
		out->flags |= RUST_PGTABLE_DIRTY;
	if (pte_young(pte))
		out->flags |= RUST_PGTABLE_YOUNG;
#endif
}
EXPORT_SYMBOL_GPL(rust_mm_pgtable_lock_hugetlb);

/**
 * rust_mm_pgtable_hole_begin() - Drop the hugetlb VMA lock while a driver handles a hole
 * @walk: The walk.
 *
 * walk_page_range() holds the hugetlb VMA lock from one entry to the next. Page faults and
 * other walks take this lock as well, and the driver may start either from its callback for
 * a hole. Dropping the lock there is safe, since walk_page_range() looks each entry up anew.
 *
 * Context: ->pte_hole of the walk. Does not sleep. Drops the hugetlb VMA lock for reading,
 * if the walk is in a hugetlb VMA.
 */
void rust_mm_pgtable_hole_begin(struct mm_walk *walk)
{
	if (walk->vma && is_vm_hugetlb_page(walk->vma))
		hugetlb_vma_unlock_read(walk->vma);
}
EXPORT_SYMBOL_GPL(rust_mm_pgtable_hole_begin);

/**
 * rust_mm_pgtable_hole_end() - Take the hugetlb VMA lock again after a hole
 * @walk: The walk.
 *
 * Context: After rust_mm_pgtable_hole_begin(), in the same callback. May sleep. Takes the
 * hugetlb VMA lock for reading, if the walk is in a hugetlb VMA.
 */
void rust_mm_pgtable_hole_end(struct mm_walk *walk)
{
	if (walk->vma && is_vm_hugetlb_page(walk->vma))
		hugetlb_vma_lock_read(walk->vma);
}
EXPORT_SYMBOL_GPL(rust_mm_pgtable_hole_end);

/**
 * rust_mm_pgtable_cond_resched() - Let other tasks run
 *
 * Context: Process context. May sleep.
 * Return: Whether a fatal signal is pending.
 */
bool rust_mm_pgtable_cond_resched(void)
{
	cond_resched();
	return fatal_signal_pending(current);
}
EXPORT_SYMBOL_GPL(rust_mm_pgtable_cond_resched);

/**
 * rust_mm_folio_walk() - Look up the folio that is mapped at an address
 * @vma: The VMA.
 * @addr: An address in it.
 * @out: Set to what is mapped there.
 *
 * Context: The mmap lock is held. May sleep, to take a hugetlb VMA lock. Takes and drops
 * the page table lock.
 * Return: Whether a folio or a zero page is mapped at @addr.
 */
bool rust_mm_folio_walk(struct vm_area_struct *vma, unsigned long addr,
			struct rust_folio_walk *out)
{
	struct folio_walk fw;
	struct folio *folio;

	*out = (struct rust_folio_walk){};
	folio = folio_walk_start(&fw, vma, addr, FW_ZEROPAGE);
	if (!folio)
		return false;

	out->level = fw.level;
	out->order = folio_order(folio);
	out->zero = !fw.page;
	if (fw.page) {
		out->pfn = page_to_pfn(fw.page);
		out->anon = folio_test_anon(folio);
	}
	switch (fw.level) {
	case FW_LEVEL_PTE:
		out->writable = pte_write(fw.pte);
		break;
	case FW_LEVEL_PMD:
#ifdef CONFIG_PGTABLE_HAS_HUGE_LEAVES
		out->writable = pmd_write(fw.pmd);
#endif
		break;
	case FW_LEVEL_PUD:
#ifdef CONFIG_HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD
		out->writable = pud_write(fw.pud);
#endif
		break;
	}
	folio_walk_end(&fw, vma);
	return true;
}
EXPORT_SYMBOL_GPL(rust_mm_folio_walk);
