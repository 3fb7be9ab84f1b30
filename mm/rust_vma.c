// SPDX-License-Identifier: GPL-2.0

/* Fields of VMAs for Rust, and copies of memory that other threads may write at the same time. */

#include <linux/export.h>
#include <linux/highmem.h>
#include <linux/jiffies.h>
#include <linux/mempolicy.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/pgtable.h>
#include <linux/rcupdate.h>
#include <linux/rust_mm.h>

/**
 * rust_mm_vma_speculative_copy() - Copy the range and the flags of a VMA, without its locks
 * @mm: The mm.
 * @addr: An address.
 * @range: Set to the VMA's start, end and page offset.
 * @flags: Set to its flags.
 *
 * Other threads may change, free or reuse the VMA while the function copies it; under RCU,
 * the memory remains that of some VMA. The caller discards the copy if
 * mmap_lock_speculate_retry() tells it to. This is C code, since Rust would consider the
 * accesses a data race.
 *
 * Context: The caller holds a reference in mm_users, and no lock is required. Does not sleep.
 * Takes and drops the RCU read lock.
 * Return: Whether there is a VMA at @addr.
 */
bool rust_mm_vma_speculative_copy(struct mm_struct *mm, unsigned long addr,
				  unsigned long *range, vma_flags_t *flags)
{
	struct vm_area_struct *vma;
	size_t i;

	guard(rcu)();

	vma = vma_lookup(mm, addr);
	if (!vma)
		return false;

	range[0] = READ_ONCE(vma->vm_start);
	range[1] = READ_ONCE(vma->vm_end);
	range[2] = READ_ONCE(vma->vm_pgoff);
	for (i = 0; i < ARRAY_SIZE(flags->__vma_flags); i++)
		flags->__vma_flags[i] = READ_ONCE(vma->flags.__vma_flags[i]);
	return true;
}
EXPORT_SYMBOL_GPL(rust_mm_vma_speculative_copy);

#ifdef CONFIG_PER_VMA_LOCK
/**
 * vma_walk_is_current() - Check whether a walk may go on from where its iterator is
 * @walk: The walk, which has set its iterator.
 * @mm: The mm.
 *
 * The iterator points into the maple tree of the mm. Other threads free nodes of the tree after
 * an RCU grace period, so a walk that was outside RCU must not use the pointer unless the tree
 * is still the same. Only a holder of the mmap write lock changes the tree, and mm_lock_seq
 * counts such holders. If it has not moved by the time that the caller is under RCU, a node that
 * is freed from then on is kept for as long as the caller is.
 *
 * The counter has 32 bits. It must not come around to the same value while a driver sleeps, which
 * user space may cause, so the iterator is only used for a second after it was set: a lock that
 * is taken twice in a nanosecond does not exist. Jiffies of 32 bits come around as well.
 *
 * Context: The RCU read lock is held.
 * Return: Whether the iterator may be used.
 */
static bool vma_walk_is_current(const struct rust_vma_walk *walk,
				struct mm_struct *mm)
{
	return IS_ENABLED(CONFIG_64BIT) && walk->current_seq &&
	       jiffies - walk->set_at <= HZ &&
	       !mmap_lock_speculate_retry(mm, walk->seq);
}

/**
 * rust_mm_vma_walk_next() - Lock the VMA at an address, or else the first VMA after it
 * @walk: A walk over the mm. Zero bytes are a walk that has not begun.
 * @mm: The mm.
 * @addr: The address. After a call that has returned a VMA, it is the end of that VMA.
 *
 * Unlike with lock_next_vma() alone, the caller need not remain under RCU from one call to the
 * next for the iterator to go on from VMA to VMA instead of from the root of the tree each time.
 *
 * Context: The mm has users. The caller holds no lock of the mm. May sleep. Takes the VMA lock of
 * the VMA for reading.
 * Return: The VMA; or NULL, with the reason in @walk->error: -EINTR if a fatal signal is pending,
 * -EAGAIN if the VMA has too many readers, 0 if there is no VMA.
 */
struct vm_area_struct *rust_mm_vma_walk_next(struct rust_vma_walk *walk,
					     struct mm_struct *mm,
					     unsigned long addr)
{
	struct vm_area_struct *vma;

	rcu_read_lock();
	if (!vma_walk_is_current(walk, mm)) {
		walk->set_at = jiffies;
		walk->current_seq =
			mmap_lock_speculate_try_begin(mm, &walk->seq);
		vma_iter_init(&walk->vmi, mm, addr);
	}
	vma = lock_next_vma(mm, &walk->vmi, addr);
	rcu_read_unlock();
	if (IS_ERR_OR_NULL(vma)) {
		walk->current_seq = false;
		walk->error = PTR_ERR_OR_ZERO(vma);
		return NULL;
	}
	return vma;
}
EXPORT_SYMBOL_GPL(rust_mm_vma_walk_next);
#endif /* CONFIG_PER_VMA_LOCK */

/**
 * rust_mm_vma_advice_is_final() - Check whether VM_DONTCOPY and VM_DONTDUMP are final
 * @vma: The VMA.
 *
 * Context: The VMA is locked for writing. Does not sleep.
 * Return: Whether advice must not clear the two flags: the VMA is special, so that its driver
 * may rely on them, or droppable.
 */
bool rust_mm_vma_advice_is_final(const struct vm_area_struct *vma)
{
	return vma->vm_flags & (VM_SPECIAL | VM_DROPPABLE);
}
EXPORT_SYMBOL_GPL(rust_mm_vma_advice_is_final);

/**
 * rust_mm_vma_anon_name() - Return the name of an anonymous VMA
 * @vma: The VMA.
 *
 * Unlike anon_vma_name(), the function does not insist on the mmap lock.
 *
 * Context: The mmap lock or the VMA lock is held. Does not sleep.
 * Return: The name, which is valid as long as the lock is held; or NULL.
 */
const char *rust_mm_vma_anon_name(const struct vm_area_struct *vma)
{
#ifdef CONFIG_ANON_VMA_NAME
	return vma->anon_name ? vma->anon_name->name : NULL;
#else
	return NULL;
#endif
}
EXPORT_SYMBOL_GPL(rust_mm_vma_anon_name);

/**
 * rust_mm_vma_has_userfaultfd() - Check for a userfaultfd
 * @vma: The VMA.
 *
 * Context: The mmap lock or the VMA lock is held. Does not sleep.
 * Return: Whether the VMA is registered with a userfaultfd.
 */
bool rust_mm_vma_has_userfaultfd(const struct vm_area_struct *vma)
{
#ifdef CONFIG_USERFAULTFD
	return vma->vm_userfaultfd_ctx.ctx;
#else
	return false;
#endif
}
EXPORT_SYMBOL_GPL(rust_mm_vma_has_userfaultfd);

/**
 * rust_mm_vma_has_anon_vma() - Check for anonymous pages
 * @vma: The VMA.
 *
 * Faults set anon_vma under the mmap read lock and mm->page_table_lock, so the result may
 * change from false to true unless the caller holds the mmap lock for writing.
 *
 * Context: The mmap lock or the VMA lock is held. Does not sleep.
 * Return: Whether the VMA has, or has had, anonymous pages; copy-on-write pages are such.
 */
bool rust_mm_vma_has_anon_vma(const struct vm_area_struct *vma)
{
	return READ_ONCE(vma->anon_vma);
}
EXPORT_SYMBOL_GPL(rust_mm_vma_has_anon_vma);

/**
 * rust_mm_vma_cached_page_prot() - Return vm_page_prot with the default cache mode
 * @vma: The VMA.
 *
 * Context: The mmap lock or the VMA lock is held. Does not sleep.
 * Return: The protection, as writable and as encrypted as vm_page_prot.
 */
pgprot_t rust_mm_vma_cached_page_prot(const struct vm_area_struct *vma)
{
	vm_flags_t flags = vma->vm_flags;
	pgprot_t prot;

	/* With write-notify, a shared VMA has the protection of a private one. */
	if (!vma_page_prot_writable(vma))
		flags &= ~VM_SHARED;
	prot = vm_get_page_prot(flags);
	/* Device memory is mapped decrypted on a machine that encrypts its RAM. */
	if (pgprot_val(pgprot_decrypted(vma->vm_page_prot)) ==
	    pgprot_val(vma->vm_page_prot))
		prot = pgprot_decrypted(prot);
	return prot;
}
EXPORT_SYMBOL_GPL(rust_mm_vma_cached_page_prot);

/**
 * rust_mm_vma_keeps_leaves() - Check whether no code can hide a PMD leaf from an unmap
 * @vma: A VM_PFNMAP VMA of a file of the layer.
 *
 * - fork() can, unless the VMA has VM_DONTCOPY: copy_huge_pmd() copies what it has read without a
 *   lock. With VM_IO, madvise() does not clear the flag.
 * - mremap() can, but for rust_mm_vma_zap_leaves(). That looks for the VMA that is moved, so it is
 *   only for files that have ->get_unmapped_area: of these, mremap() moves one VMA at a time
 *   (vma_multi_allowed()).
 *
 * Context: The mmap lock or the VMA lock is held. Does not sleep.
 * Return: Whether the VMA may have leaves that must not be missed.
 */
bool rust_mm_vma_keeps_leaves(const struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_DONTCOPY && vma->vm_flags & VM_IO &&
	       vma->vm_file->f_op->get_unmapped_area;
}
EXPORT_SYMBOL_GPL(rust_mm_vma_keeps_leaves);

/*
 * Returns whether a PMD leaf maps an address, and where to look next. The caller holds the mmap
 * lock for writing, which keeps the tables. Faults in VMAs that are not locked, and unmaps through
 * the file, may set and clear leaves, so each entry is read once.
 */
static bool is_pmd_leaf(struct mm_struct *mm, unsigned long addr,
			unsigned long *next)
{
	pgd_t *pgdp = pgd_offset(mm, addr), pgd = pgdp_get(pgdp);
	p4d_t *p4dp, p4d;
	pud_t *pudp, pud;

	*next = ALIGN(addr + 1, PUD_SIZE);
	if (!pgd_present(pgd))
		return false;
	p4dp = p4d_offset_lockless(pgdp, pgd, addr);
	p4d = p4dp_get(p4dp);
	if (!p4d_present(p4d))
		return false;
	pudp = pud_offset_lockless(p4dp, p4d, addr);
	pud = pudp_get(pudp);
	if (!pud_present(pud) || pud_leaf(pud))
		return false;
	*next = addr + PMD_SIZE;
	return pmd_leaf(pmdp_get_lockless(pmd_offset_lockless(pudp, pud, addr)));
}

/* Zaps the PMD leaves of a VMA in a range. */
static void zap_leaves(struct vm_area_struct *vma, unsigned long start,
		       unsigned long end)
{
	unsigned long addr, next;

	/* A leaf that is only partly in the range is in the VMA. */
	for (addr = ALIGN_DOWN(start, PMD_SIZE); addr < end; addr = next) {
		if (is_pmd_leaf(vma->vm_mm, addr, &next) &&
		    addr >= vma->vm_start && vma->vm_end - addr >= PMD_SIZE)
			zap_vma_range(vma, addr, PMD_SIZE);
		cond_resched();
	}
}

/* Returns whether a VMA is locked for writing; mremap() locks the one that it moves. */
static bool is_write_locked(struct vm_area_struct *vma)
{
#ifdef CONFIG_PER_VMA_LOCK
	return vma->vm_lock_seq == vma->vm_mm->mm_lock_seq.sequence;
#else
	return true;
#endif
}

/**
 * rust_mm_vma_zap_leaves() - Zap the PMD leaves that mremap() is about to move
 * @copy: The VMA to which it moves them, in ->open.
 *
 * move_huge_pmd() clears one entry and then sets the other. It holds both page table locks, but
 * code that unmaps a file looks at an entry without a lock, and goes on if it is empty. So it can
 * pass the first entry after it was cleared and the second one before it is set.
 *
 * The pages are mapped again by faults. Only leaves are zapped: entries for single pages may have
 * been made without a fault. Such a VMA is not copy-on-write, so there are no private pages.
 *
 * The original is locked for writing, so that no fault maps a leaf again before the move. It is not
 * an argument of ->open, so the function looks at each VMA of the mm.
 *
 * Context: In vm_operations_struct::open of a VM_PFNMAP VMA, with the mmap lock held for writing.
 * May sleep.
 */
void rust_mm_vma_zap_leaves(struct vm_area_struct *copy)
{
	pgoff_t first = copy->vm_pgoff, end = first + vma_pages(copy);
	struct mm_struct *mm = copy->vm_mm;
	struct vm_area_struct *vma;
	struct vma_iterator vmi;

	/* In fork(), the mm of the copy still has VMAs of the parent. */
	if (!IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) || mm != current->mm ||
	    !rust_mm_vma_keeps_leaves(copy))
		return;
	/* A split moves nothing. Its copy lies in the original. */
	if (find_vma_intersection(mm, copy->vm_start, copy->vm_end))
		return;

	vma_iter_init(&vmi, mm, 0);
	for_each_vma(vmi, vma) {
		pgoff_t vma_first = vma->vm_pgoff;
		pgoff_t vma_end = vma_first + vma_pages(vma);
		pgoff_t from = max(first, vma_first), to = min(end, vma_end);

		if (vma->vm_file == copy->vm_file &&
		    vma->vm_ops == copy->vm_ops && from < to &&
		    is_write_locked(vma))
			zap_leaves(vma,
				   vma->vm_start + ((from - vma_first) << PAGE_SHIFT),
				   vma->vm_start + ((to - vma_first) << PAGE_SHIFT));
	}
}
EXPORT_SYMBOL_GPL(rust_mm_vma_zap_leaves);

/**
 * rust_mm_memcpy_from_page() - Copy from a page that other threads may write meanwhile
 * @to: Destination.
 * @page: The page.
 * @offset: Offset of the first byte in the page.
 * @len: Number of bytes, all of them in the page.
 *
 * User space and other kernel threads may write to the page during the copy. This is not a
 * helper, which CONFIG_RUST_INLINE_HELPERS would inline into Rust: there, the copy would be a
 * data race.
 *
 * Context: The caller holds a reference to the page. Does not sleep.
 */
void rust_mm_memcpy_from_page(char *to, struct page *page, size_t offset,
			      size_t len)
{
	memcpy_from_page(to, page, offset, len);
}
EXPORT_SYMBOL_GPL(rust_mm_memcpy_from_page);

/**
 * rust_mm_memcpy_to_page() - Copy to a page that other threads may access meanwhile
 * @page: The page.
 * @offset: Offset of the first byte in the page.
 * @from: Source.
 * @len: Number of bytes, all of them in the page.
 *
 * See rust_mm_memcpy_from_page() for why this is not a helper.
 *
 * Context: The caller holds a reference to the page. Does not sleep.
 */
void rust_mm_memcpy_to_page(struct page *page, size_t offset, const char *from,
			    size_t len)
{
	memcpy_to_page(page, offset, from, len);
}
EXPORT_SYMBOL_GPL(rust_mm_memcpy_to_page);

/**
 * rust_mm_memzero_page() - Zero bytes of a page that other threads may access meanwhile
 * @page: The page.
 * @offset: Offset of the first byte in the page.
 * @len: Number of bytes, all of them in the page.
 *
 * See rust_mm_memcpy_from_page() for why this is not a helper.
 *
 * Context: The caller holds a reference to the page. Does not sleep.
 */
void rust_mm_memzero_page(struct page *page, size_t offset, size_t len)
{
	memzero_page(page, offset, len);
}
EXPORT_SYMBOL_GPL(rust_mm_memzero_page);

/**
 * rust_mm_copy_page_from_user() - Copy from user space to a page that other threads may access
 * @page: The page.
 * @offset: Offset of the first byte in the page.
 * @from: Source.
 * @len: Number of bytes, all of them in the page.
 *
 * See rust_mm_memcpy_from_page() for why this is not a helper.
 *
 * Context: The caller holds a reference to the page. May fault in user memory, and so may sleep.
 * Return: The number of bytes that could not be copied.
 */
unsigned long rust_mm_copy_page_from_user(struct page *page, size_t offset,
					  const void __user *from, size_t len)
{
	char *to = kmap_local_page(page);
	unsigned long left = copy_from_user(to + offset, from, len);

	kunmap_local(to);
	flush_dcache_page(page);
	return left;
}
EXPORT_SYMBOL_GPL(rust_mm_copy_page_from_user);
