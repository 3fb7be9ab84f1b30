// SPDX-License-Identifier: GPL-2.0

/* Page faults of Rust drivers: the page table side of a fault handler's answer. */

#include <linux/bitops.h>
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
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/task_work.h>

/**
 * rust_mm_vma_permits_fault() - Check whether a VMA permits an access
 * @vma: The VMA.
 * @write: Whether the access is a write.
 * @foreign: Whether the VMA belongs to another mm than the current task's.
 *
 * Makes the checks that GUP makes before it calls the fault handler.
 *
 * Context: The mmap lock or the VMA lock is held. Does not sleep.
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
 * @vma: A VM_PFNMAP VMA.
 * @addr: An address in it.
 *
 * vmf_insert_pfn() and the like would take a PMD or PUD mapping for a table. The function
 * makes sure that they find a table. The table remains there as long as the VMA: the kernel
 * frees the tables of an existing VMA only if MADV_DONTNEED leaves them empty, and
 * MADV_DONTNEED refuses VM_PFNMAP.
 *
 * Context: The mmap lock or the VMA lock is held. May sleep. Takes and drops page table
 * locks.
 * Return: 0; -ENOMEM; or -EEXIST if a PMD or PUD mapping covers the address.
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
	 * Other threads may insert and zap PMD and PUD mappings at any time, so read each
	 * entry once and use only that value.
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
		/* Not &pud: if PMDs are folded, the PMD is the PUD entry itself. */
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
 * @code: An address in the driver's code.
 *
 * The driver's code still runs after the lock is dropped, so its module must remain loaded.
 * rust_mm_fault_release_lock() sees to that on a user thread. A kernel thread, or a worker
 * thread of io_uring or vhost, has no return to user space until which it could keep the
 * file: there, only a built-in driver may retry.
 *
 * Context: The fault handler of the VMA. Does not sleep.
 * Return: Whether the handler may return VM_FAULT_RETRY.
 */
bool rust_mm_fault_may_retry(const struct vm_fault *vmf, const void *code)
{
	if (!fault_flag_allow_retry_first(vmf->flags))
		return false;
	return is_user_task(current) || !is_vmalloc_or_module_addr(code);
}
EXPORT_SYMBOL_GPL(rust_mm_fault_may_retry);

/* A file that a thread keeps until it returns to user space. */
struct rust_mm_kept_file {
	struct callback_head work;
	struct file *file;
};

static void rust_mm_put_kept_file(struct callback_head *work)
{
	struct rust_mm_kept_file *kept =
		container_of(work, struct rust_mm_kept_file, work);

	fput(kept->file);
	kfree(kept);
}

/**
 * rust_mm_fault_release_lock() - Drop the lock of a fault
 * @vmf: The fault, of a VMA that maps a file.
 *
 * Until the call, the lock keeps the VMA, its file and the caller's module alive. The caller
 * still has some instructions to execute afterwards, so this thread keeps the file, and with
 * it the module, until it returns to user space. To drop the reference here would not do:
 * another thread may then drop the last one, and the module may be unloaded.
 *
 * Context: The fault handler of the VMA, which is about to return VM_FAULT_RETRY, and which
 * rust_mm_fault_may_retry() has allowed that. The lock of the fault (the VMA lock, or the
 * mmap lock for reading) is held on entry. If the function returns true, it is dropped, and
 * the caller must not use @vmf->vma. May sleep.
 * Return: Whether the lock was dropped. It is not if there is not enough memory.
 */
bool rust_mm_fault_release_lock(struct vm_fault *vmf)
{
	struct rust_mm_kept_file *kept;

	/* The driver is built in. */
	if (!is_user_task(current))
		goto release;

	/* Each fault of a system call may get here, so user space pays for the memory. */
	kept = kmalloc_obj(*kept, GFP_KERNEL_ACCOUNT);
	if (!kept)
		return false;
	init_task_work(&kept->work, rust_mm_put_kept_file);
	kept->file = get_file(vmf->vma->vm_file);
	if (task_work_add(current, &kept->work, TWA_RESUME)) {
		rust_mm_put_kept_file(&kept->work);
		return false;
	}
release:
	release_fault_lock(vmf);
	return true;
}
EXPORT_SYMBOL_GPL(rust_mm_fault_release_lock);

/**
 * rust_mm_fault_insert_page() - Map a page at the address of a fault, unless an entry is there
 * @vmf: The fault.
 * @page: The page. The new entry takes a reference to its folio.
 *
 * Unlike vmf_insert_page_mkwrite(), the function handles a PMD mapping that another thread
 * has just inserted, and a userfaultfd marker, whose write protection it carries over to the
 * new entry as finish_fault() does.
 *
 * Context: The fault handler of the VMA: the lock of the fault is held, and the caller
 * holds a reference to the folio. May sleep. Takes and drops the page table lock.
 * Return: VM_FAULT_NOPAGE if the page or another thread's entry is mapped there; otherwise
 * an error code.
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
	/* The OOM reaper may have zapped a copy-on-write page at this address. */
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
		/* vm_page_prot alone decides whether the entry is writable: write-notify. */
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
 * rust_mm_fault_huge_is_occupied() - Check whether the PMD or PUD of a fault is in use
 * @vmf: The fault.
 * @pud: Whether to look at the PUD instead of the PMD.
 *
 * Context: ->huge_fault of the VMA: the lock of the fault is held. Does not sleep. Takes no
 * page table lock, so the entry may have changed when the function returns.
 * Return: Whether the entry is anything but none: a table, a mapping or a marker.
 */
bool rust_mm_fault_huge_is_occupied(const struct vm_fault *vmf, bool pud)
{
	return pud ? !pud_none(pudp_get(vmf->pud)) :
		     !pmd_none(pmdp_get_lockless(vmf->pmd));
}
EXPORT_SYMBOL_GPL(rust_mm_fault_huge_is_occupied);

/**
 * fault_around_may_map() - Check whether fault-around maps a page
 * @ptep: The entry for the page.
 * @page: The page.
 * @folio: Its folio.
 *
 * A page that is hardware-poisoned or has too many references is left out; ->fault reports these
 * errors when user space accesses the page.
 *
 * Context: The page table is locked.
 * Return: Whether the page is mapped.
 */
static inline bool fault_around_may_map(pte_t *ptep, const struct page *page,
					const struct folio *folio)
{
	return pte_none(ptep_get(ptep)) && !PageHWPoison(page) &&
	       likely(rust_folio_may_be_mapped(folio));
}

/**
 * rust_mm_fault_around_map() - Map pages whose entries are free
 * @vmf: The fault.
 * @pgoff: Page offset of the first page.
 * @pages: The pages, one for each page offset from @pgoff on; NULL for one that is left out.
 * @nr_pages: Their number, from 1 to BITS_PER_LONG.
 *
 * The function takes the lock of the page table once for all pages, and counts them once. Pages
 * of one folio that follow each other are mapped together. Each page that is mapped takes a
 * reference to its folio.
 *
 * Context: ->map_pages of the VMA, which has been called with these page offsets. The caller
 * holds references to the folios. Does not sleep. Takes and drops the page table lock.
 * Return: The set of pages that were mapped: bit 0 stands for the first one.
 */
unsigned long rust_mm_fault_around_map(struct vm_fault *vmf, pgoff_t pgoff,
				       struct page *const *pages,
				       unsigned int nr_pages)
{
	struct mm_struct *mm = vmf->vma->vm_mm;
	unsigned long addr = (vmf->address & PAGE_MASK) +
			     ((pgoff - vmf->pgoff) << PAGE_SHIFT);
	unsigned int i, nr, nr_file, nr_shmem = 0;
	unsigned long mapped = 0;
	pte_t *first;

	first = pte_offset_map_lock(mm, vmf->pmd, addr, &vmf->ptl);
	if (!first)
		return 0;
	for (i = 0; i < nr_pages; i += nr) {
		struct page *page = pages[i];
		struct folio *folio;

		nr = 1;
		if (!page)
			continue;
		folio = page_folio(page);
		if (!fault_around_may_map(first + i, page, folio))
			continue;
		while (i + nr < nr_pages && pages[i + nr] == page + nr &&
		       page_folio(page + nr) == folio &&
		       fault_around_may_map(first + i + nr, page + nr, folio))
			nr++;
		mapped |= GENMASK(i + nr - 1, i);
		folio_ref_add(folio, nr);
		flush_dcache_folio(folio);
		vmf->pte = first + i;
		set_pte_range(vmf, folio, page, nr, addr + i * PAGE_SIZE);
		if (unlikely(mm_counter_file(folio) != MM_FILEPAGES))
			nr_shmem += nr;
	}
	vmf->pte = NULL;
	nr_file = hweight_long(mapped) - nr_shmem;
	if (nr_file)
		add_mm_counter(mm, MM_FILEPAGES, nr_file);
	if (nr_shmem)
		add_mm_counter(mm, MM_SHMEMPAGES, nr_shmem);
	pte_unmap_unlock(first, vmf->ptl);
	return mapped;
}
EXPORT_SYMBOL_GPL(rust_mm_fault_around_map);

/**
 * rust_mm_fault_finish_cow() - Map the copy-on-write page that a driver has filled
 * @vmf: A fault that has a cow_page.
 *
 * Context: The fault handler of the VMA: the lock of the fault is held. May sleep.
 * Takes and drops the page table lock.
 * Return: VM_FAULT_DONE_COW; if finish_fault() did not map the page, its code.
 */
vm_fault_t rust_mm_fault_finish_cow(struct vm_fault *vmf)
{
	vm_fault_t ret;

	__folio_mark_uptodate(page_folio(vmf->cow_page));
	ret = finish_fault(vmf);
	return ret ? ret : VM_FAULT_DONE_COW;
}
EXPORT_SYMBOL_GPL(rust_mm_fault_finish_cow);
