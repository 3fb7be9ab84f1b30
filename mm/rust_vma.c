// SPDX-License-Identifier: GPL-2.0

/* What Rust reads of a VMA, and of memory that others write meanwhile. */

#include <linux/export.h>
#include <linux/highmem.h>
#include <linux/mempolicy.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/pgtable.h>
#include <linux/rcupdate.h>
#include <linux/rust_mm.h>

/**
 * rust_mm_vma_speculative_copy() - Copy what is known of a VMA, without its locks
 * @mm: The mm.
 * @addr: An address.
 * @range: Set to the VMA's start, end and page offset.
 * @flags: Set to its flags.
 *
 * Others may change the VMA meanwhile, free it or reuse it: under RCU the memory remains
 * that of some VMA. The caller has to retry if mmap_lock_speculate_retry() says so. In
 * C, since it would be a data race to Rust.
 *
 * Context: The caller has a reference to the mm, as a user of it. No lock is needed.
 * Does not sleep. Takes and drops the RCU read lock.
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

/**
 * rust_mm_vma_advice_is_final() - Check whether advice may change a VMA
 * @vma: The VMA.
 *
 * Context: The VMA is locked for writing. Does not sleep.
 * Return: Whether its part in forks and core dumps is what its driver has decided.
 */
bool rust_mm_vma_advice_is_final(const struct vm_area_struct *vma)
{
	return vma->vm_flags & (VM_SPECIAL | VM_DROPPABLE);
}
EXPORT_SYMBOL_GPL(rust_mm_vma_advice_is_final);

/**
 * rust_mm_vma_anon_name() - Return the name of anonymous memory
 * @vma: The VMA, with one of its locks held. anon_vma_name() demands the mmap lock.
 *
 * Context: Does not sleep.
 * Return: The name, which lives as long as the lock is held; or NULL.
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
 * Context: The mmap lock, or the VMA lock, is held. Does not sleep.
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
 * rust_mm_vma_has_anon_vma() - Check for copy-on-write pages
 * @vma: The VMA. Its anon_vma is set under the mmap read lock and the page table lock.
 *
 * Context: The mmap lock, or the VMA lock, is held. Does not sleep. The answer may
 * change from false to true, unless the lock is held for writing.
 * Return: Whether the VMA has, or has had, copy-on-write pages.
 */
bool rust_mm_vma_has_anon_vma(const struct vm_area_struct *vma)
{
	return READ_ONCE(vma->anon_vma);
}
EXPORT_SYMBOL_GPL(rust_mm_vma_has_anon_vma);

/**
 * rust_mm_vma_cached_page_prot() - Return vm_page_prot as it would be without a cache mode
 * @vma: The VMA.
 *
 * Context: The mmap lock, or the VMA lock, is held. Does not sleep.
 * Return: The protection.
 */
pgprot_t rust_mm_vma_cached_page_prot(const struct vm_area_struct *vma)
{
	vm_flags_t flags = vma->vm_flags;
	pgprot_t prot;

	/* Write-notify is the protection of a private VMA. */
	if (!vma_page_prot_writable(vma))
		flags &= ~VM_SHARED;
	prot = vm_get_page_prot(flags);
	/* Device memory, in a machine whose own is encrypted. */
	if (pgprot_val(pgprot_decrypted(vma->vm_page_prot)) ==
	    pgprot_val(vma->vm_page_prot))
		prot = pgprot_decrypted(prot);
	return prot;
}
EXPORT_SYMBOL_GPL(rust_mm_vma_cached_page_prot);

/**
 * rust_mm_memcpy_from_page() - Copy from a page that others may write meanwhile
 * @to: Destination.
 * @page: The page.
 * @offset: Where to begin in it.
 * @len: How many bytes, all of them in the page.
 *
 * User space and other threads may write the page while it is copied. A call even with
 * CONFIG_RUST_INLINE_HELPERS, since inlined into Rust it would be a data race.
 *
 * Context: The caller has a reference to the page. Does not sleep.
 */
void rust_mm_memcpy_from_page(char *to, struct page *page, size_t offset,
			      size_t len)
{
	memcpy_from_page(to, page, offset, len);
}
EXPORT_SYMBOL_GPL(rust_mm_memcpy_from_page);

/**
 * rust_mm_memcpy_to_page() - Copy to a page that others may access meanwhile
 * @page: The page.
 * @offset: Where to begin in it.
 * @from: Source.
 * @len: How many bytes, all of them in the page.
 *
 * See rust_mm_memcpy_from_page().
 *
 * Context: The caller has a reference to the page. Does not sleep.
 */
void rust_mm_memcpy_to_page(struct page *page, size_t offset, const char *from,
			    size_t len)
{
	memcpy_to_page(page, offset, from, len);
}
EXPORT_SYMBOL_GPL(rust_mm_memcpy_to_page);
