/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory management for Rust: functions that rust/kernel/mm/ needs and that the rest of the kernel
 * does not have.
 */
#ifndef _LINUX_RUST_MM_H
#define _LINUX_RUST_MM_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/cacheinfo.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/page_ref.h>
#include <linux/pgtable.h>
#include <linux/sched/mm.h>
#include <linux/wait_bit.h>

struct file;
struct mm_walk;
struct rust_mm_vmap;

/*
 * 32-bit reference counts
 *
 * Nothing limits how many references safe Rust code takes, and a count that wraps
 * around to zero frees memory that is still in use. So the helpers below check a count
 * each time before Rust takes or drops a reference. If the count is in the upper part of
 * its range, they set it to a fixed value that is far from both ends of that part, and do
 * not count: the object is leaked, as with a saturated refcount_t.
 *
 * C code takes and drops references to the same objects without a check. The distance of
 * the fixed value from an end is the number of references that C may take, or drop,
 * between two checks by Rust.
 */

/**
 * __rust_count_saturates() - Saturate a reference count that is too high
 * @count: The count.
 * @from: Start of the upper part of the range; compared as unsigned.
 * @to: Value that the count gets there.
 *
 * Context: Any context. The caller holds a reference to the counted object.
 * Return: Whether the count was too high and is now @to.
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

/**
 * rust_folio_saturates() - Saturate the reference count of a folio if it is too high
 * @folio: The folio.
 *
 * The upper part of the range starts above RUST_FOLIO_MAX_REFS, which is what the entries
 * of page tables may bring the count to, and includes all negative values. The value that
 * the count gets leaves C 5 * 2^28 references on both sides.
 *
 * Context: Any context. The caller holds a reference to the folio.
 * Return: Whether the count is saturated, so that it must not be changed.
 */
static __always_inline bool rust_folio_saturates(struct folio *folio)
{
	return __rust_count_saturates(&folio->_refcount, 0x60000000, 0xb0000000);
}

/**
 * rust_mm_count_saturates() - Saturate a reference count of an mm if it is too high
 * @count: mm_count or mm_users.
 *
 * The value that the count gets is positive, since C treats a count that is not positive
 * as a bug (__mmu_notifier_register()). It leaves C 2^29 references on both sides; C uses
 * about one for each thread.
 *
 * Context: Any context. The caller holds a reference of the same kind to the mm.
 * Return: Whether the count is saturated, so that it must not be changed.
 */
static __always_inline bool rust_mm_count_saturates(atomic_t *count)
{
	return __rust_count_saturates(count, 0x40000000, 0x60000000);
}

/**
 * folio_get_saturating() - Take a reference to a folio
 * @folio: The folio.
 *
 * Context: Any context. The caller holds a reference to the folio.
 */
static inline void folio_get_saturating(struct folio *folio)
{
	if (!rust_folio_saturates(folio))
		folio_get(folio);
}

/**
 * folio_put_saturating() - Drop a reference to a folio
 * @folio: The folio, which is freed with its last reference.
 *
 * Context: The same as for folio_put().
 */
static inline void folio_put_saturating(struct folio *folio)
{
	if (!rust_folio_saturates(folio))
		folio_put(folio);
}

/* mm_count keeps the struct mm_struct from being freed. */

/**
 * mmgrab_saturating() - Take a reference to a struct mm_struct
 * @mm: The mm.
 *
 * Context: Any context. The caller holds a reference to the mm, of either kind.
 */
static inline void mmgrab_saturating(struct mm_struct *mm)
{
	if (!rust_mm_count_saturates(&mm->mm_count))
		mmgrab(mm);
}

/**
 * mmdrop_saturating() - Drop a reference to a struct mm_struct
 * @mm: The mm, which is freed with its last reference.
 *
 * Context: The same as for mmdrop().
 */
static inline void mmdrop_saturating(struct mm_struct *mm)
{
	if (!rust_mm_count_saturates(&mm->mm_count))
		mmdrop(mm);
}

/* mm_users keeps the mappings of an mm from being torn down. */

/**
 * mmget_saturating() - Take a reference to the mappings of an mm
 * @mm: The mm.
 *
 * Context: Any context. The caller holds such a reference.
 */
static inline void mmget_saturating(struct mm_struct *mm)
{
	if (!rust_mm_count_saturates(&mm->mm_users))
		mmget(mm);
}

/**
 * mmget_not_zero_saturating() - Take a reference to the mappings of an mm, if it has any
 * @mm: The mm.
 *
 * Context: Any context. The caller holds a reference to the struct mm_struct.
 * Return: Whether the caller got the reference; false if mm_users was zero.
 */
static inline bool mmget_not_zero_saturating(struct mm_struct *mm)
{
	return rust_mm_count_saturates(&mm->mm_users) || mmget_not_zero(mm);
}

/**
 * mmput_saturating() - Drop a reference to the mappings of an mm
 * @mm: The mm, whose mappings are torn down with the last reference.
 *
 * Context: Process context. May sleep.
 */
static inline void mmput_saturating(struct mm_struct *mm)
{
	if (!rust_mm_count_saturates(&mm->mm_users))
		mmput(mm);
}

#ifdef CONFIG_MMU

/**
 * mmput_async_saturating() - Drop a reference to the mappings of an mm, without sleeping
 * @mm: The mm; with the last reference, a worker tears its mappings down.
 *
 * Context: The same as for mmput_async().
 */
static inline void mmput_async_saturating(struct mm_struct *mm)
{
	if (!rust_mm_count_saturates(&mm->mm_users))
		mmput_async(mm);
}

/*
 * The number of references from which on Rust no longer maps a folio: a quarter of the
 * range of the count. The rest is for C, which takes references without a check.
 */
#define RUST_FOLIO_MAX_REFS	BIT(30)

/**
 * rust_folio_may_be_mapped() - Check that a folio has few enough references to be mapped
 * @folio: The folio.
 *
 * Context: Any context. The caller holds a reference to the folio.
 * Return: Whether a page table entry may take one more reference to the folio.
 */
static inline bool rust_folio_may_be_mapped(const struct folio *folio)
{
	return (unsigned int)folio_ref_count(folio) < RUST_FOLIO_MAX_REFS;
}

/**
 * folio_mappable_order() - Return the order of a folio that can be mapped
 * @folio: The folio.
 *
 * Context: Any context. The caller holds a reference to the folio.
 * Return: The order, or -1 if the folio has too many references to be mapped.
 */
static inline int folio_mappable_order(const struct folio *folio)
{
	return rust_folio_may_be_mapped(folio) ? folio_order(folio) : -1;
}

/**
 * rust_folio_maybe_dma_pinned() - Check whether a folio may be pinned
 * @folio: The folio.
 *
 * GUP-fast pins a page that it has found in a page table, and looks at the entry again
 * after that. So a caller that has removed the entries, and looks at the count only then,
 * finds each pin that will not be undone. Pairs with the barrier in
 * try_grab_folio_fast(), as in __folio_try_share_anon_rmap().
 *
 * Context: Any context. The caller holds a reference to the folio.
 * Return: false if the folio is not pinned; true if it is, or has very many references.
 */
static inline bool rust_folio_maybe_dma_pinned(struct folio *folio)
{
	/* Pairs with try_grab_folio_fast(): the count is read after the entries were removed. */
	smp_mb();
	return folio_maybe_dma_pinned(folio);
}

/* mm/rust_refs.c */
bool rust_mm_pages_may_be_mapped(struct page *const *pages,
				 unsigned long nr_pages);
#ifndef CONFIG_ARCH_HAS_PTE_SPECIAL
bool rust_mm_pfn_may_be_mapped(unsigned long pfn);
#endif
struct mm_struct *rust_mm_access_vpid(pid_t pid, unsigned int mode);

/*
 * Revocations: mm/rust_revoke.c
 */

/* Set while the memory is revoked: the sign bit. */
#define RUST_MM_REVOKED			BIT_U32(31)
/* Set if it is revoked forever. */
#define RUST_MM_REVOKED_FOREVER		BIT_U32(30)

/**
 * struct rust_mm_revocation - Sections that use memory, and a switch that keeps new ones out
 * @users: The number of sections, and the two flags above.
 * @dep_map: For lockdep, which finds a revocation inside a section.
 */
struct rust_mm_revocation {
	atomic_t users;
	struct lockdep_map dep_map;
};

/**
 * rust_mm_revocation_enter() - Enter a section, unless the memory is revoked
 * @revocation: The revocation.
 *
 * The number of sections does not overflow: each is one on the stack of a thread, and there are
 * fewer than 2^22 threads, with fewer than 2^8 such calls on a stack.
 *
 * Context: Any context but an interrupt; on PREEMPT_RT, only with preemption enabled. Does not
 * sleep.
 * Return: Whether the caller is in a section, which it has to leave on the same thread.
 */
static inline bool
rust_mm_revocation_enter(struct rust_mm_revocation *revocation)
{
	if (!atomic_inc_unless_negative(&revocation->users))
		return false;
	lock_map_acquire_read(&revocation->dep_map);
	return true;
}

/**
 * rust_mm_revocation_leave() - Leave a section
 * @revocation: The revocation. It may be freed as soon as the last section is left.
 *
 * Context: As rust_mm_revocation_enter().
 */
static inline void
rust_mm_revocation_leave(struct rust_mm_revocation *revocation)
{
	lock_map_release(&revocation->dep_map);
	/* Fully ordered, as wake_up_var() needs it, which does not access the variable. */
	if (unlikely(atomic_dec_return(&revocation->users) < 0))
		wake_up_var(&revocation->users);
}

/**
 * rust_mm_revocation_is_revoked() - Check whether the memory is revoked
 * @revocation: The revocation.
 * @forever: Whether to check that it is revoked forever.
 *
 * Context: Any context.
 * Return: Whether it is. The state may have changed already.
 */
static inline bool
rust_mm_revocation_is_revoked(const struct rust_mm_revocation *revocation,
			      bool forever)
{
	unsigned int flag = forever ? RUST_MM_REVOKED_FOREVER : RUST_MM_REVOKED;

	return atomic_read(&revocation->users) & flag;
}

void rust_mm_revocation_init(struct rust_mm_revocation *revocation,
			     const char *name, struct lock_class_key *key);
void rust_mm_revocation_revoke(struct rust_mm_revocation *revocation,
			       bool forever);
void rust_mm_revocation_restore(struct rust_mm_revocation *revocation);

/*
 * VMAs: mm/rust_vma.c
 */

/**
 * vma_page_prot_writable() - Check whether vm_page_prot grants writing
 * @vma: The VMA.
 *
 * Context: The mmap lock or the VMA lock is held. Does not sleep.
 * Return: Whether a new entry is writable; false also for a writable VMA in which the
 * driver gets write-notify faults.
 */
static inline bool vma_page_prot_writable(const struct vm_area_struct *vma)
{
	return pte_write(pfn_pte(0, vma->vm_page_prot));
}

#ifdef CONFIG_PER_VMA_LOCK
/* A walk over the VMAs of an mm, each under its VMA lock. */
struct rust_vma_walk {
	struct vma_iterator vmi;
	/* When the iterator was set to an address. */
	unsigned long set_at;
	/* mm_lock_seq at that time. */
	unsigned int seq;
	/* Whether the iterator was set, with the mmap lock free for readers. */
	bool current_seq;
	/* Why the last call has returned NULL: an error, or 0 at the end. */
	int error;
};

struct vm_area_struct *rust_mm_vma_walk_next(struct rust_vma_walk *walk,
					     struct mm_struct *mm,
					     unsigned long addr);
#endif

bool rust_mm_vma_speculative_copy(struct mm_struct *mm, unsigned long addr,
				  unsigned long *range, vma_flags_t *flags);
bool rust_mm_vma_advice_is_final(const struct vm_area_struct *vma);
const char *rust_mm_vma_anon_name(const struct vm_area_struct *vma);
bool rust_mm_vma_has_userfaultfd(const struct vm_area_struct *vma);
bool rust_mm_vma_has_anon_vma(const struct vm_area_struct *vma);
bool rust_mm_vma_keeps_leaves(const struct vm_area_struct *vma);
void rust_mm_vma_zap_leaves(struct vm_area_struct *copy);
pgprot_t rust_mm_vma_cached_page_prot(const struct vm_area_struct *vma);
void rust_mm_memcpy_from_page(char *to, struct page *page, size_t offset,
			      size_t len);
void rust_mm_memcpy_to_page(struct page *page, size_t offset, const char *from,
			    size_t len);
void rust_mm_memzero_page(struct page *page, size_t offset, size_t len);
unsigned long rust_mm_copy_page_from_user(struct page *page, size_t offset,
					  const void __user *from, size_t len);
unsigned long rust_mm_copy_page_to_user(struct page *page, size_t offset,
					void __user *to, size_t len);

/*
 * Memory that user space may write at the same time: mm/rust_shared.c
 */

/**
 * rust_mm_shared_address() - Return the address at which the kernel can use atomics on a page
 * @page: The page.
 *
 * Context: Any context. The caller holds a reference to the page.
 * Return: The kernel's permanent address of the page; NULL if it has none, as in high memory, or if
 * a cache could show user space other contents there.
 */
static inline void *rust_mm_shared_address(struct page *page)
{
	if (PageHighMem(page) || cpu_dcache_is_aliasing())
		return NULL;
	return page_address(page);
}

void rust_mm_load_words(void *to, const void *from, size_t len);
void rust_mm_store_words(void *to, const void *from, size_t len);
void rust_mm_load_words_from_page(void *to, struct page *page, size_t offset,
				  size_t len);
void rust_mm_store_words_to_page(struct page *page, size_t offset,
				 const void *from, size_t len);

/*
 * Views of pages, and pages of vmalloc memory: mm/rust_vmap.c
 */

void rust_mm_load_bytes(void *to, const void *from, size_t len);
void rust_mm_store_bytes(void *to, const void *from, size_t len);
struct rust_mm_vmap *rust_mm_vmap(struct page *const *pages,
				  unsigned long nr_pages, void **addr);
void rust_mm_vunmap(struct rust_mm_vmap *map);
int rust_mm_vmalloc_check(const void *addr);
void rust_mm_vmalloc_get_pages(const void *addr, unsigned long nr_pages,
			       struct page **pages);

/*
 * Faults: mm/rust_fault.c
 */

bool rust_mm_vma_permits_fault(struct vm_area_struct *vma, bool write,
			       bool foreign);
int rust_mm_vma_alloc_pte_table(struct vm_area_struct *vma, unsigned long addr);
int rust_mm_vma_insert_pfns(struct vm_area_struct *vma, unsigned long addr,
			    unsigned long pfn, unsigned long nr, pgprot_t prot);
bool rust_mm_fault_may_retry(const struct vm_fault *vmf, const void *code);
bool rust_mm_fault_release_lock(struct vm_fault *vmf);
vm_fault_t rust_mm_fault_insert_page(struct vm_fault *vmf, struct page *page);
vm_fault_t rust_mm_fault_insert_slot(struct vm_fault *vmf,
				     struct page *const *slot);
vm_fault_t rust_mm_fault_take_page(struct vm_fault *vmf, struct page *page,
				   bool insert, bool locked);
bool rust_mm_fault_huge_is_occupied(const struct vm_fault *vmf, bool pud);
unsigned long rust_mm_fault_around_map(struct vm_fault *vmf, pgoff_t pgoff,
				       struct page *const *pages,
				       unsigned int nr_pages);
vm_fault_t rust_mm_fault_finish_cow(struct vm_fault *vmf);

/*
 * Pages that are faulted in: mm/rust_faulted.c
 */

struct folio *rust_mm_slot_get(struct page *const *slot);
int rust_mm_slot_make(struct page **slot, gfp_t gfp, int nid,
		      const struct vm_fault *vmf);
unsigned long rust_mm_slots_discard(struct page **slots, unsigned long nr,
				    struct address_space *mapping, pgoff_t first);

/*
 * Page tables: mm/rust_pgtable.c
 */

/* Kinds of page table entries, in the order of State in rust/kernel/mm/pgtable.rs. */
enum rust_pgtable_kind {
	RUST_PGTABLE_NONE,
	RUST_PGTABLE_PRESENT,
	RUST_PGTABLE_SWAP,
	RUST_PGTABLE_MIGRATION,
	RUST_PGTABLE_DEVICE,
	RUST_PGTABLE_HWPOISON,
	RUST_PGTABLE_GUARD,
	RUST_PGTABLE_POISON,
	RUST_PGTABLE_MARKER,
	RUST_PGTABLE_OTHER,
};

enum rust_pgtable_flags {
	RUST_PGTABLE_WRITABLE = 1 << 0,
	RUST_PGTABLE_DIRTY = 1 << 1,
	RUST_PGTABLE_YOUNG = 1 << 2,
	RUST_PGTABLE_NORMAL = 1 << 3,
};

/* A page table entry of any level, in a form that does not depend on the architecture. */
struct rust_pgtable_entry {
	unsigned long pfn;
	enum rust_pgtable_kind kind;
	unsigned int flags;
};

/* Results of looking at an entry that can be a table or a leaf. */
enum rust_pgtable_lock {
	RUST_PGTABLE_IS_NONE,
	RUST_PGTABLE_IS_TABLE,
	/* The caller holds the page table lock of the entry. */
	RUST_PGTABLE_IS_LEAF,
};

/* Result of a lookup of one address. */
struct rust_folio_walk {
	unsigned long pfn;
	/* Level of the entry: enum folio_walk_level, which counts from the PTEs up. */
	unsigned int level;
	unsigned int order;
	bool zero;
	bool anon;
	bool writable;
};

pte_t *rust_mm_pgtable_lock_table(struct mm_walk *walk, pmd_t *pmdp,
				  unsigned long addr, spinlock_t **ptl);
void rust_mm_pgtable_read_pte(struct mm_walk *walk, pte_t *ptep,
			      unsigned long addr,
			      struct rust_pgtable_entry *out);
unsigned long rust_mm_pgtable_run(struct mm_walk *walk, pte_t *ptep,
				  unsigned long addr, unsigned long end,
				  struct rust_pgtable_entry *out);
void rust_mm_pgtable_pfns(pte_t *ptep, unsigned int nr, unsigned long *pfns);
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
long rust_mm_test_file_pages(struct mm_struct *mm);
void rust_mm_test_notify_writes(struct vm_area_struct *vma, bool notify);
void rust_mm_test_mark_opened(struct file *file, bool opened);
void rust_mm_test_disable_bh(void);
void rust_mm_test_enable_bh(void);
#ifdef CONFIG_HUGETLBFS
struct file *rust_mm_test_hugetlb_file(size_t len);
void rust_mm_test_allow_hugetlb(struct file *file, unsigned long pages);
#endif
#ifdef CONFIG_MMU_NOTIFIER
int rust_mm_test_invalidate(struct mm_struct *mm, unsigned long start, unsigned long end,
			    unsigned int event, bool may_block);
#endif
#ifdef CONFIG_MEMORY_FAILURE
void rust_mm_test_set_hwpoison(struct page *page, bool hwpoison);
#endif
#endif /* CONFIG_KUNIT */

#endif /* CONFIG_MMU */

#endif /* _LINUX_RUST_MM_H */
