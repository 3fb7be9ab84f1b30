/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory management for Rust: what rust/kernel/mm/ calls and C has no function for.
 */
#ifndef _LINUX_RUST_MM_H
#define _LINUX_RUST_MM_H

#include <linux/atomic.h>
#include <linux/mm.h>
#include <linux/page_ref.h>
#include <linux/pgtable.h>
#include <linux/sched/mm.h>

struct file;
struct mm_walk;

/*
 * Reference counts of 32 bits
 *
 * Nothing limits how many references safe Rust code takes, and a count that wraps
 * around to zero frees memory that is still in use. So Rust checks a count before each
 * use. In the upper part of its range, the count is set to a value there that is far
 * from both ends, and not changed otherwise: the object is leaked, as with a refcount_t.
 *
 * C counts as well, and does not check. The distance from the ends is how many
 * references C may take, or drop that it has taken before, while Rust uses no
 * reference.
 */

static __always_inline bool __rust_count_saturates(atomic_t *count,
						   unsigned int from,
						   unsigned int to)
{
	if (likely((unsigned int)atomic_read(count) < from))
		return false;
	atomic_set(count, to);
	return true;
}

/*
 * The upper part of a folio's count: above what page table entries may bring it to
 * (RUST_FOLIO_MAX_REFS), and all that is negative. 5 * 2^28 references are left on both
 * sides for what C counts.
 */
static __always_inline bool rust_folio_saturates(struct folio *folio)
{
	return __rust_count_saturates(&folio->_refcount, 0x60000000, 0xb0000000);
}

/*
 * The upper part of an mm's count is always positive, since C takes a count that is
 * not for a bug (__mmu_notifier_register()). 2^29 references are left on both sides,
 * of which C uses one for each thread or so.
 */
static __always_inline bool rust_mm_count_saturates(atomic_t *count)
{
	return __rust_count_saturates(count, 0x40000000, 0x60000000);
}

static inline void folio_get_saturating(struct folio *folio)
{
	if (!rust_folio_saturates(folio))
		folio_get(folio);
}

static inline void folio_put_saturating(struct folio *folio)
{
	if (!rust_folio_saturates(folio))
		folio_put(folio);
}

/* mm_count, which keeps the struct itself. */

static inline void mmgrab_saturating(struct mm_struct *mm)
{
	if (!rust_mm_count_saturates(&mm->mm_count))
		mmgrab(mm);
}

static inline void mmdrop_saturating(struct mm_struct *mm)
{
	if (!rust_mm_count_saturates(&mm->mm_count))
		mmdrop(mm);
}

/* mm_users, which keeps what is mapped. */

static inline void mmget_saturating(struct mm_struct *mm)
{
	if (!rust_mm_count_saturates(&mm->mm_users))
		mmget(mm);
}

static inline bool mmget_not_zero_saturating(struct mm_struct *mm)
{
	return rust_mm_count_saturates(&mm->mm_users) || mmget_not_zero(mm);
}

static inline void mmput_saturating(struct mm_struct *mm)
{
	if (!rust_mm_count_saturates(&mm->mm_users))
		mmput(mm);
}

#ifdef CONFIG_MMU

static inline void mmput_async_saturating(struct mm_struct *mm)
{
	if (!rust_mm_count_saturates(&mm->mm_users))
		mmput_async(mm);
}

/*
 * How many references a page table entry may bring a folio to: a quarter of what the
 * count can hold. The rest is for C, which takes references without a check.
 */
#define RUST_FOLIO_MAX_REFS	BIT(30)

static inline bool rust_folio_may_be_mapped(const struct folio *folio)
{
	return (unsigned int)folio_ref_count(folio) < RUST_FOLIO_MAX_REFS;
}

/* Returns the order of a folio, or -1 if it has too many references to be mapped. */
static inline int folio_mappable_order(const struct folio *folio)
{
	return rust_folio_may_be_mapped(folio) ? folio_order(folio) : -1;
}

/* mm/rust_refs.c */
bool rust_mm_pages_may_be_mapped(struct page *const *pages,
				 unsigned long nr_pages);
#ifndef CONFIG_ARCH_HAS_PTE_SPECIAL
bool rust_mm_pfn_may_be_mapped(unsigned long pfn);
#endif
struct mm_struct *rust_mm_access_vpid(pid_t pid, unsigned int mode);

/*
 * VMAs: mm/rust_vma.c
 */

/* Returns whether vm_page_prot grants writing: not where first writes are notified. */
static inline bool vma_page_prot_writable(const struct vm_area_struct *vma)
{
	return pte_write(pfn_pte(0, vma->vm_page_prot));
}

bool rust_mm_vma_speculative_copy(struct mm_struct *mm, unsigned long addr,
				  unsigned long *range, vma_flags_t *flags);
bool rust_mm_vma_advice_is_final(const struct vm_area_struct *vma);
const char *rust_mm_vma_anon_name(const struct vm_area_struct *vma);
bool rust_mm_vma_has_userfaultfd(const struct vm_area_struct *vma);
bool rust_mm_vma_has_anon_vma(const struct vm_area_struct *vma);
pgprot_t rust_mm_vma_cached_page_prot(const struct vm_area_struct *vma);
void rust_mm_memcpy_from_page(char *to, struct page *page, size_t offset,
			      size_t len);
void rust_mm_memcpy_to_page(struct page *page, size_t offset, const char *from,
			    size_t len);

/*
 * Faults: mm/rust_fault.c
 */

bool rust_mm_vma_permits_fault(struct vm_area_struct *vma, bool write,
			       bool foreign);
int rust_mm_vma_alloc_pte_table(struct vm_area_struct *vma, unsigned long addr);
bool rust_mm_fault_may_retry(const struct vm_fault *vmf, const void *code);
void rust_mm_fault_release_lock(struct vm_fault *vmf);
vm_fault_t rust_mm_fault_insert_page(struct vm_fault *vmf, struct page *page);
bool rust_mm_fault_huge_is_occupied(const struct vm_fault *vmf, bool pud);
bool rust_mm_fault_around_map(struct vm_fault *vmf, pte_t *pte,
			      struct page *page, unsigned long addr);
vm_fault_t rust_mm_fault_finish_cow(struct vm_fault *vmf);

/*
 * Page tables: mm/rust_pgtable.c
 */

/* What a page table entry is. */
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

/* The architecture's bits, in one form for all levels. */
struct rust_pgtable_entry {
	unsigned long pfn;
	enum rust_pgtable_kind kind;
	unsigned int flags;
};

/* What an entry that could be a leaf has turned out to be. */
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
	bool zero;
	bool anon;
	bool writable;
};

void rust_mm_pgtable_read_pte(struct mm_walk *walk, pte_t *ptep,
			      unsigned long addr,
			      struct rust_pgtable_entry *out);
enum rust_pgtable_lock
rust_mm_pgtable_lock_pmd(struct mm_walk *walk, pmd_t *pmdp, unsigned long addr,
			 struct rust_pgtable_entry *out, spinlock_t **ptl);
enum rust_pgtable_lock
rust_mm_pgtable_lock_pud(struct mm_walk *walk, pud_t *pudp, unsigned long addr,
			 struct rust_pgtable_entry *out, spinlock_t **ptl);
void rust_mm_pgtable_lock_hugetlb(struct mm_walk *walk, pte_t *ptep,
				  unsigned long hmask, unsigned long addr,
				  struct rust_pgtable_entry *out,
				  spinlock_t **ptl);
void rust_mm_pgtable_hole_begin(struct mm_walk *walk);
void rust_mm_pgtable_hole_end(struct mm_walk *walk);
bool rust_mm_pgtable_cond_resched(void);
bool rust_mm_folio_walk(struct vm_area_struct *vma, unsigned long addr,
			struct rust_folio_walk *out);

/*
 * KUnit tests: mm/rust_testing.c
 */

#if IS_BUILTIN(CONFIG_KUNIT)
int rust_mm_test_xchg_folio_refs(struct folio *folio, int count);
int rust_mm_test_xchg_mm_count(struct mm_struct *mm, int count);
int rust_mm_test_xchg_mm_users(struct mm_struct *mm, int count);
void rust_mm_test_notify_writes(struct vm_area_struct *vma, bool notify);
void rust_mm_test_mark_opened(struct file *file, bool opened);
#ifdef CONFIG_HUGETLBFS
struct file *rust_mm_test_hugetlb_file(size_t len);
void rust_mm_test_allow_hugetlb(struct file *file, unsigned long pages);
#endif
#ifdef CONFIG_MEMORY_FAILURE
void rust_mm_test_set_hwpoison(struct page *page, bool hwpoison);
#endif
#endif /* CONFIG_KUNIT */

#endif /* CONFIG_MMU */

#endif /* _LINUX_RUST_MM_H */
