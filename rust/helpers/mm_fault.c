// SPDX-License-Identifier: GPL-2.0

#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/rmap.h>

__rust_helper void rust_helper_release_fault_lock(struct vm_fault *vmf)
{
	release_fault_lock(vmf);
}

/* Does the protection of a VMA grant writing, or are first writes to be seen? */
__rust_helper bool
rust_helper_vma_page_prot_writable(const struct vm_area_struct *vma)
{
	return pte_write(pfn_pte(0, vma->vm_page_prot));
}

/* The protection of a VMA as it would be without a cache mode. */
__rust_helper pgprot_t
rust_helper_vma_cached_page_prot(const struct vm_area_struct *vma)
{
	vm_flags_t flags = vma->vm_flags;

	/* First writes are seen because the protection is that of a private VMA. */
	if (!pte_write(pfn_pte(0, vma->vm_page_prot)))
		flags &= ~VM_SHARED;
	return vm_get_page_prot(flags);
}

/* Is there something in the page table already, like a marker? */
__rust_helper bool rust_helper_fault_has_marker(const struct vm_fault *vmf)
{
	return (vmf->flags & FAULT_FLAG_ORIG_PTE_VALID) &&
	       !pte_none(vmf->orig_pte);
}

/*
 * Fault-around. Maps and locks the page table of a fault from the entry of addr
 * on; NULL where there is none, or a huge page.
 */
__rust_helper pte_t *rust_helper_fault_around_lock(struct vm_fault *vmf,
						   unsigned long addr)
{
	return pte_offset_map_lock(vmf->vma->vm_mm, vmf->pmd, addr, &vmf->ptl);
}

/* Puts a page in if its entry is free; broken memory is for ->fault to report. */
__rust_helper bool rust_helper_fault_around_map(struct vm_fault *vmf, pte_t *pte,
						struct page *page,
						unsigned long addr)
{
	struct folio *folio = page_folio(page);

	if (!pte_none(ptep_get(pte)) || PageHWPoison(page))
		return false;

	folio_get(folio);
	flush_dcache_folio(folio);
	vmf->pte = pte;
	set_pte_range(vmf, folio, page, 1, addr);
	vmf->pte = NULL;
	add_mm_counter(vmf->vma->vm_mm, mm_counter_file(folio), 1);
	return true;
}

__rust_helper void rust_helper_fault_around_unlock(struct vm_fault *vmf,
						   pte_t *pte)
{
	pte_unmap_unlock(pte, vmf->ptl);
}

/* The contents of a private copy that a driver makes itself. */
__rust_helper void rust_helper_fault_clear_cow_page(struct vm_fault *vmf)
{
	clear_user_highpage(vmf->cow_page, vmf->address);
}

__rust_helper vm_fault_t rust_helper_fault_finish_cow(struct vm_fault *vmf)
{
	vm_fault_t ret;

	__folio_mark_uptodate(page_folio(vmf->cow_page));
	ret = finish_fault(vmf);
	return ret ? ret : VM_FAULT_DONE_COW;
}
