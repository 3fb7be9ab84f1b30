// SPDX-License-Identifier: GPL-2.0

#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/rmap.h>

__rust_helper pgprot_t rust_helper_pgprot_decrypted(pgprot_t prot)
{
	return pgprot_decrypted(prot);
}

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
	pgprot_t prot;

	/* First writes are seen because the protection is that of a private VMA. */
	if (!pte_write(pfn_pte(0, vma->vm_page_prot)))
		flags &= ~VM_SHARED;
	prot = vm_get_page_prot(flags);
	/* Device memory, in a machine whose own is encrypted. */
	if (pgprot_val(pgprot_decrypted(vma->vm_page_prot)) ==
	    pgprot_val(vma->vm_page_prot))
		prot = pgprot_decrypted(prot);
	return prot;
}

/*
 * Sees to it that addr has a page table of the lowest level. -EEXIST if it has
 * not, because a huge entry maps it: what inserts a PFN takes such an entry for a
 * table. Once there, the table stays: only what MADV_DONTNEED leaves empty is
 * taken away from a VMA that exists, and that is not for PFNMAP.
 */
__rust_helper int rust_helper_vma_alloc_pte_table(struct vm_area_struct *vma,
						  unsigned long addr)
{
	struct mm_struct *mm = vma->vm_mm;
	p4d_t *p4d = p4d_alloc(mm, pgd_offset(mm, addr), addr);
	pud_t *pud;
	pmd_t *pmd;

	if (!p4d)
		return -ENOMEM;
	pud = pud_alloc(mm, p4d, addr);
	if (!pud)
		return -ENOMEM;
	if (pud_leaf(pudp_get(pud)))
		return -EEXIST;
	pmd = pmd_alloc(mm, pud, addr);
	if (!pmd)
		return -ENOMEM;
	/* Somebody may have been faster than pmd_alloc(), which does not say so. */
	if (pud_leaf(pudp_get(pud)))
		return -EEXIST;
	if (pte_alloc(mm, pmd))
		return -ENOMEM;
	return pmd_leaf(pmdp_get(pmd)) ? -EEXIST : 0;
}

/*
 * Maps a page at the address of a fault, unless something is there. Unlike
 * vmf_insert_page_mkwrite(), it can do with a huge entry that another thread has
 * just put there.
 */
__rust_helper vm_fault_t rust_helper_fault_insert_page(struct vm_fault *vmf,
						       struct page *page)
{
	struct vm_area_struct *vma = vmf->vma;
	struct folio *folio = page_folio(page);
	pte_t *pte;

	if (pmd_none(pmdp_get(vmf->pmd)) && pte_alloc(vma->vm_mm, vmf->pmd))
		return VM_FAULT_OOM;
	pte = pte_offset_map_lock(vma->vm_mm, vmf->pmd, vmf->address, &vmf->ptl);
	if (!pte)
		return VM_FAULT_NOPAGE;
	if (pte_none(ptep_get(pte))) {
		folio_get(folio);
		flush_dcache_folio(folio);
		folio_add_file_rmap_pte(folio, page, vma);
		add_mm_counter(vma->vm_mm, mm_counter_file(folio), 1);
		set_pte_at(vma->vm_mm, vmf->address, pte,
			   pte_mkyoung(mk_pte(page, vma->vm_page_prot)));
		update_mmu_cache_range(vmf, vma, vmf->address, pte, 1);
	}
	pte_unmap_unlock(pte, vmf->ptl);
	return VM_FAULT_NOPAGE;
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
