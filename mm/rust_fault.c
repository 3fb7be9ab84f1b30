// SPDX-License-Identifier: GPL-2.0

/* How Rust handles faults: what the answers of a driver do to the page tables. */

#include <linux/export.h>
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/mmu_context.h>
#include <linux/oom.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/rmap.h>
#include <linux/rust_mm.h>

/**
 * rust_mm_vma_permits_fault() - Check whether a VMA permits an access
 * @vma: The VMA.
 * @write: Whether it is a write.
 * @foreign: Whether the VMA is of another mm than the current task's.
 *
 * The checks of gup.c before it faults.
 *
 * Context: The mmap lock, or the VMA lock, is held. Does not sleep.
 * Return: Whether the access is permitted.
 */
bool rust_mm_vma_permits_fault(struct vm_area_struct *vma, bool write,
			       bool foreign)
{
	if (!(vma->vm_flags & (write ? VM_WRITE : VM_READ)))
		return false;
	return arch_vma_access_permitted(vma, write, false, foreign);
}
EXPORT_SYMBOL_GPL(rust_mm_vma_permits_fault);

/**
 * rust_mm_vma_alloc_pte_table() - Allocate the lowest page table for an address
 * @vma: The VMA, which is for PFNs.
 * @addr: An address in it.
 *
 * The functions that insert a PFN take a PMD or PUD mapping for a table. Once allocated,
 * the table stays: the kernel frees tables of a VMA that exists only where MADV_DONTNEED
 * leaves them empty, and that is not for VM_PFNMAP.
 *
 * Context: The mmap lock, or the VMA lock, is held. May sleep. Takes page table locks.
 * Return: 0, -ENOMEM, or -EEXIST if a PMD or PUD mapping is there.
 */
int rust_mm_vma_alloc_pte_table(struct vm_area_struct *vma, unsigned long addr)
{
	struct mm_struct *mm = vma->vm_mm;
	p4d_t *p4d = p4d_alloc(mm, pgd_offset(mm, addr), addr);
	pud_t *pudp;

	if (!p4d)
		return -ENOMEM;
	pudp = pud_alloc(mm, p4d, addr);
	if (!pudp)
		return -ENOMEM;
	/*
	 * PMD and PUD mappings come and go at any time, so each entry is read once,
	 * and only the value that was read is used.
	 */
	for (;;) {
		pud_t pud = pudp_get(pudp);
		pmd_t *pmdp, pmd;

		if (pud_none(pud)) {
			if (!pmd_alloc(mm, pudp, addr))
				return -ENOMEM;
			continue;
		}
		if (!pud_present(pud) || pud_leaf(pud))
			return -EEXIST;
		/* Not of the copy: where PMDs are folded, the PMD is the PUD itself. */
		pmdp = pmd_offset(pudp, addr);
		pmd = pmdp_get_lockless(pmdp);
		if (pmd_none(pmd)) {
			if (pte_alloc(mm, pmdp))
				return -ENOMEM;
			continue;
		}
		return !pmd_present(pmd) || pmd_leaf(pmd) ? -EEXIST : 0;
	}
}
EXPORT_SYMBOL_GPL(rust_mm_vma_alloc_pte_table);

/**
 * rust_mm_fault_may_retry() - Check whether the lock of a fault may be dropped
 * @vmf: The fault.
 * @code: An address in the code of the driver.
 *
 * Code of the driver still runs after the lock is dropped. A thread of user space has a
 * reference to the file, and thus the module, until it returns there; a kernel thread has
 * nothing of the kind.
 *
 * Context: The fault handler of the VMA. Does not sleep.
 * Return: Whether the handler may return VM_FAULT_RETRY.
 */
bool rust_mm_fault_may_retry(const struct vm_fault *vmf, const void *code)
{
	if (!fault_flag_allow_retry_first(vmf->flags))
		return false;
	return !(current->flags & PF_KTHREAD) ||
	       !is_vmalloc_or_module_addr(code);
}
EXPORT_SYMBOL_GPL(rust_mm_fault_may_retry);

/**
 * rust_mm_fault_release_lock() - Drop the lock of a fault
 * @vmf: The fault, of a VMA that maps a file.
 *
 * The lock keeps the VMA, its file and the module of the caller, which has some more
 * instructions to execute: see rust_mm_fault_may_retry().
 *
 * Context: The fault handler of the VMA, which is about to return VM_FAULT_RETRY. The
 * lock of the fault (the VMA lock, or the mmap lock for reading) is held, and is not
 * when the function returns.
 */
void rust_mm_fault_release_lock(struct vm_fault *vmf)
{
	struct file *file = get_file(vmf->vma->vm_file);

	release_fault_lock(vmf);
	fput(file);
}
EXPORT_SYMBOL_GPL(rust_mm_fault_release_lock);

/**
 * rust_mm_fault_insert_page() - Map a page at the address of a fault, unless an entry is there
 * @vmf: The fault.
 * @page: The page, to which the entry takes a reference.
 *
 * Unlike vmf_insert_page_mkwrite(), it copes with a PMD mapping that another thread has
 * just inserted; and with a marker of userfaultfd, which is carried over to the new entry
 * as in finish_fault().
 *
 * Context: The fault handler of the VMA: the lock of the fault is held, and the caller
 * has a reference to the folio. May sleep. Takes and drops the lock of the page table.
 * Return: VM_FAULT_NOPAGE, or an error.
 */
vm_fault_t rust_mm_fault_insert_page(struct vm_fault *vmf, struct page *page)
{
	struct vm_area_struct *vma = vmf->vma;
	struct folio *folio = page_folio(page);
	enum fault_flag flags = vmf->flags;
	pte_t pte;

	if (PageHWPoison(page))
		return VM_FAULT_HWPOISON;
	if (unlikely(!rust_folio_may_be_mapped(folio)))
		return VM_FAULT_SIGBUS;
	/* The OOM reaper may have zapped a copy-on-write page that was here. */
	if (!(vma->vm_flags & VM_SHARED) &&
	    check_stable_address_space(vma->vm_mm))
		return VM_FAULT_SIGBUS;
	if (pmd_none(pmdp_get(vmf->pmd)) && pte_alloc(vma->vm_mm, vmf->pmd))
		return VM_FAULT_OOM;
	vmf->pte = pte_offset_map_lock(vma->vm_mm, vmf->pmd, vmf->address,
				       &vmf->ptl);
	if (!vmf->pte)
		return VM_FAULT_NOPAGE;
	pte = ptep_get(vmf->pte);
	if (flags & FAULT_FLAG_ORIG_PTE_VALID ? pte_same(pte, vmf->orig_pte) :
						pte_none(pte)) {
		folio_get(folio);
		flush_dcache_folio(folio);
		/* The protection of the VMA decides whether the entry is writable. */
		vmf->flags &= ~FAULT_FLAG_WRITE;
		set_pte_range(vmf, folio, page, 1, vmf->address);
		vmf->flags = flags;
		add_mm_counter(vma->vm_mm, mm_counter_file(folio), 1);
	}
	pte_unmap_unlock(vmf->pte, vmf->ptl);
	vmf->pte = NULL;
	return VM_FAULT_NOPAGE;
}
EXPORT_SYMBOL_GPL(rust_mm_fault_insert_page);

/**
 * rust_mm_fault_huge_is_occupied() - Check whether an entry is where a PMD or PUD mapping could be
 * @vmf: The fault.
 * @pud: Whether to look at the PUD, not the PMD.
 *
 * Context: The fault handler of the VMA: the lock of the fault is held. Does not
 * sleep. No page table lock is taken, so the entry may change at once.
 * Return: Whether there is an entry.
 */
bool rust_mm_fault_huge_is_occupied(const struct vm_fault *vmf, bool pud)
{
	return pud ? !pud_none(pudp_get(vmf->pud)) :
		     !pmd_none(pmdp_get_lockless(vmf->pmd));
}
EXPORT_SYMBOL_GPL(rust_mm_fault_huge_is_occupied);

/**
 * rust_mm_fault_around_map() - Map a page if its entry is free
 * @vmf: The fault.
 * @pte: The entry.
 * @page: The page, to which the entry takes a reference.
 * @addr: The address of the entry.
 *
 * ->fault reports what is wrong with a page: broken memory, or too many references.
 *
 * Context: ->map_pages of the VMA, with the page table locked. The caller has a reference
 * to the folio. Does not sleep.
 * Return: Whether the page was mapped.
 */
bool rust_mm_fault_around_map(struct vm_fault *vmf, pte_t *pte,
			      struct page *page, unsigned long addr)
{
	struct folio *folio = page_folio(page);

	if (!pte_none(ptep_get(pte)) || PageHWPoison(page) ||
	    unlikely(!rust_folio_may_be_mapped(folio)))
		return false;

	folio_get(folio);
	flush_dcache_folio(folio);
	vmf->pte = pte;
	set_pte_range(vmf, folio, page, 1, addr);
	vmf->pte = NULL;
	add_mm_counter(vmf->vma->vm_mm, mm_counter_file(folio), 1);
	return true;
}
EXPORT_SYMBOL_GPL(rust_mm_fault_around_map);

/**
 * rust_mm_fault_finish_cow() - Map the copy-on-write page that a driver has filled
 * @vmf: The fault.
 *
 * Context: The fault handler of the VMA: the lock of the fault is held. May sleep.
 * Takes and drops the lock of the page table.
 * Return: VM_FAULT_DONE_COW, or an error.
 */
vm_fault_t rust_mm_fault_finish_cow(struct vm_fault *vmf)
{
	vm_fault_t ret;

	__folio_mark_uptodate(page_folio(vmf->cow_page));
	ret = finish_fault(vmf);
	return ret ? ret : VM_FAULT_DONE_COW;
}
EXPORT_SYMBOL_GPL(rust_mm_fault_finish_cow);
