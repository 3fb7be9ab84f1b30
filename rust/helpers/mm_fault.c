// SPDX-License-Identifier: GPL-2.0

#include <linux/file.h>
#include <linux/mm.h>
#include <linux/oom.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/rmap.h>

__rust_helper pgprot_t rust_helper_pgprot_decrypted(pgprot_t prot)
{
	return pgprot_decrypted(prot);
}

/*
 * May the lock of a fault be given up? What comes after that is still code of the
 * driver. A thread of user space has a reference to the file, and thus the module,
 * until it is on its way back there; a kernel thread has nothing of the kind.
 */
__rust_helper bool rust_helper_fault_may_retry(const struct vm_fault *vmf,
					       const void *code)
{
	if (!fault_flag_allow_retry_first(vmf->flags))
		return false;
	return !(current->flags & PF_KTHREAD) ||
	       !is_vmalloc_or_module_addr(code);
}

/*
 * Gives up the lock of a fault, and with it all that keeps the VMA, its file and
 * the module of the caller, which has some instructions to go. See above.
 */
__rust_helper void rust_helper_release_fault_lock(struct vm_fault *vmf)
{
	struct file *file = get_file(vmf->vma->vm_file);

	release_fault_lock(vmf);
	fput(file);
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
	pud_t *pudp;

	if (!p4d)
		return -ENOMEM;
	pudp = pud_alloc(mm, p4d, addr);
	if (!pudp)
		return -ENOMEM;
	/*
	 * A huge entry comes and goes at any time, so each entry is read once, and
	 * what was read is what is decided on, and gone on with.
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
		/* Of the entry itself: where there are no PMDs, it is the entry. */
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

/*
 * Maps a page at the address of a fault, unless something is there. Unlike
 * vmf_insert_page_mkwrite(), it can do with a huge entry that another thread has
 * just put there; and with a marker of userfaultfd's, which goes over to what
 * takes its place, as in finish_fault().
 */
__rust_helper vm_fault_t rust_helper_fault_insert_page(struct vm_fault *vmf,
						       struct page *page)
{
	struct vm_area_struct *vma = vmf->vma;
	struct folio *folio = page_folio(page);
	enum fault_flag flags = vmf->flags;
	pte_t pte;

	if (PageHWPoison(page))
		return VM_FAULT_HWPOISON;
	if (unlikely(!rust_folio_may_be_mapped(folio)))
		return VM_FAULT_SIGBUS;
	/* The OOM reaper may have taken a private copy that was here. */
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
		/* Writing is what the protection of the VMA says. */
		vmf->flags &= ~FAULT_FLAG_WRITE;
		set_pte_range(vmf, folio, page, 1, vmf->address);
		vmf->flags = flags;
		add_mm_counter(vma->vm_mm, mm_counter_file(folio), 1);
	}
	pte_unmap_unlock(vmf->pte, vmf->ptl);
	vmf->pte = NULL;
	return VM_FAULT_NOPAGE;
}

/* Is there an entry already where a huge one could be? */
__rust_helper bool rust_helper_fault_huge_is_occupied(const struct vm_fault *vmf,
						      bool pud)
{
	return pud ? !pud_none(pudp_get(vmf->pud)) :
		     !pmd_none(pmdp_get_lockless(vmf->pmd));
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

/*
 * Puts a page in if its entry is free. What is wrong with the page is for ->fault
 * to report: broken memory, or too many references.
 */
__rust_helper bool rust_helper_fault_around_map(struct vm_fault *vmf, pte_t *pte,
						struct page *page,
						unsigned long addr)
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
