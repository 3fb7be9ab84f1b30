// SPDX-License-Identifier: GPL-2.0

/*
 * Reference counts of 32 bits.
 *
 * Nothing limits how many references safe code takes, and a count that wraps around
 * to zero frees what is still in use. So each use of a count from Rust looks at it
 * first. In the upper part of what it can be, it is
 * set to a value there that is far from both ends and not changed otherwise: what it
 * counts is leaked, as with a refcount_t.
 *
 * C counts as well, and does not look. How far the value is from the ends is how many
 * references C may take, or drop that it has taken before, while no reference is
 * used from Rust.
 */

#include <linux/atomic.h>
#include <linux/mm.h>
#include <linux/page_ref.h>
#include <linux/sched/mm.h>

static __always_inline bool rust_count_saturates(atomic_t *count,
						 unsigned int from,
						 unsigned int to)
{
	if (likely((unsigned int)atomic_read(count) < from))
		return false;
	atomic_set(count, to);
	return true;
}

/*
 * Of a folio: above what page table entries may bring it to (see below), and all
 * that is negative. 5 * 2^28 are left on both sides: 10 GiB of page tables that fork()
 * has to fill, or that were filled before.
 */
static __always_inline bool rust_folio_saturates(struct folio *folio)
{
	return rust_count_saturates(&folio->_refcount, 0x60000000, 0xb0000000);
}

/*
 * Of an mm: always positive, since C takes a count that is not for a bug
 * (__mmu_notifier_register()). 2^29 are left on both sides, of which C uses one for
 * each thread or so.
 */
static __always_inline bool rust_mm_count_saturates(atomic_t *count)
{
	return rust_count_saturates(count, 0x40000000, 0x60000000);
}

__rust_helper void rust_helper_folio_get_saturating(struct folio *folio)
{
	if (!rust_folio_saturates(folio))
		folio_get(folio);
}

__rust_helper void rust_helper_folio_put_saturating(struct folio *folio)
{
	if (!rust_folio_saturates(folio))
		folio_put(folio);
}

/*
 * How many references a page table entry may bring a folio to: a quarter of what the
 * count can hold. The rest is for what takes a reference without a check.
 */
#define RUST_FOLIO_MAX_REFS	BIT(30)

static __always_inline bool rust_folio_may_be_mapped(const struct folio *folio)
{
	return (unsigned int)folio_ref_count(folio) < RUST_FOLIO_MAX_REFS;
}

/* Returns the order of a folio, or -1 if it has too many references to be mapped. */
__rust_helper int rust_helper_folio_mappable_order(const struct folio *folio)
{
	return rust_folio_may_be_mapped(folio) ? folio_order(folio) : -1;
}

/* Returns whether each of the pages has few enough references to be mapped. */
__rust_helper bool rust_helper_pages_may_be_mapped(struct page *const *pages,
						   unsigned long nr_pages)
{
	unsigned long i;

	for (i = 0; i < nr_pages; i++)
		if (!rust_folio_may_be_mapped(page_folio(pages[i])))
			return false;
	return true;
}

#ifndef CONFIG_ARCH_HAS_PTE_SPECIAL
/* As above, for a frame: without special entries, its entry takes a reference. */
__rust_helper bool rust_helper_pfn_may_be_mapped(unsigned long pfn)
{
	return !pfn_valid(pfn) ||
	       rust_folio_may_be_mapped(page_folio(pfn_to_page(pfn)));
}
#endif

/* mm_count, which keeps the struct itself. */

__rust_helper void rust_helper_mmgrab_saturating(struct mm_struct *mm)
{
	if (!rust_mm_count_saturates(&mm->mm_count))
		mmgrab(mm);
}

__rust_helper void rust_helper_mmdrop_saturating(struct mm_struct *mm)
{
	if (!rust_mm_count_saturates(&mm->mm_count))
		mmdrop(mm);
}

/* mm_users, which keeps what is mapped. */

__rust_helper void rust_helper_mmget_saturating(struct mm_struct *mm)
{
	if (!rust_mm_count_saturates(&mm->mm_users))
		mmget(mm);
}

__rust_helper bool rust_helper_mmget_not_zero_saturating(struct mm_struct *mm)
{
	return rust_mm_count_saturates(&mm->mm_users) || mmget_not_zero(mm);
}

__rust_helper void rust_helper_mmput_saturating(struct mm_struct *mm)
{
	if (!rust_mm_count_saturates(&mm->mm_users))
		mmput(mm);
}

#ifdef CONFIG_MMU
__rust_helper void rust_helper_mmput_async_saturating(struct mm_struct *mm)
{
	if (!rust_mm_count_saturates(&mm->mm_users))
		mmput_async(mm);
}
#endif

#if IS_ENABLED(CONFIG_KUNIT)
/* For tests, which cannot take that many references: what a count is. */
__rust_helper int rust_helper_test_xchg_folio_refs(struct folio *folio, int count)
{
	return atomic_xchg(&folio->_refcount, count);
}

__rust_helper int rust_helper_test_xchg_mm_count(struct mm_struct *mm, int count)
{
	return atomic_xchg(&mm->mm_count, count);
}

__rust_helper int rust_helper_test_xchg_mm_users(struct mm_struct *mm, int count)
{
	return atomic_xchg(&mm->mm_users, count);
}
#endif
