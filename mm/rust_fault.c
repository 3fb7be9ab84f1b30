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

#include "internal.h"

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
 * alloc_pte_table() - Allocate the lowest page table for an address
 * @vma: A VM_PFNMAP VMA.
 * @addr: An address in it.
 * @table: Gets the PMD entry of the table, unless the function fails.
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
static int alloc_pte_table(struct vm_area_struct *vma, unsigned long addr,
			   pmd_t **table)
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
		*table = pmdp;
		return !pmd_present(pmd) || pmd_leaf(pmd) ? -EEXIST : 0;
	}
}

/**
 * rust_mm_vma_alloc_pte_table() - Allocate the lowest page table for an address
 * @vma: A VM_PFNMAP VMA.
 * @addr: An address in it.
 *
 * For a caller that inserts one PFN, with vmf_insert_pfn(): see alloc_pte_table().
 *
 * Context: The same as for alloc_pte_table().
 * Return: 0; -ENOMEM; or -EEXIST if a PMD or PUD mapping covers the address.
 */
int rust_mm_vma_alloc_pte_table(struct vm_area_struct *vma, unsigned long addr)
{
	pmd_t *table;

	return alloc_pte_table(vma, addr, &table);
}
EXPORT_SYMBOL_GPL(rust_mm_vma_alloc_pte_table);

/* How many entries are made before the lock of the page table is taken. */
#define PFNS_AT_ONCE	32

/**
 * rust_mm_vma_insert_pfns() - Map consecutive PFNs at consecutive addresses
 * @vma: A VM_PFNMAP VMA that is not copy-on-write.
 * @addr: The address for the first PFN.
 * @pfn: The first PFN.
 * @nr: Their number. The VMA has all the addresses.
 * @prot: The protection of the entries, but for the cache mode.
 *
 * Does for each PFN what vmf_insert_pfn_prot() does, but goes to each page table only once,
 * and takes its lock for many entries. An address where something is mapped is left out,
 * also if that is a PMD or PUD mapping.
 *
 * Context: The mmap lock or the VMA lock is held. May sleep. Takes and drops page table
 * locks.
 * Return: 0; -ENOMEM; or -EINVAL if user space may not access a PFN. The PFNs before that
 * one may be mapped then.
 */
int rust_mm_vma_insert_pfns(struct vm_area_struct *vma, unsigned long addr,
			    unsigned long pfn, unsigned long nr, pgprot_t prot)
{
	unsigned long end = addr + nr * PAGE_SIZE;
	struct mm_struct *mm = vma->vm_mm;
	pte_t entries[PFNS_AT_ONCE];

	while (addr < end) {
		/* Not pmd_addr_end(), which is the end where PMDs are folded. */
		unsigned long table_end = min(end, (addr & PMD_MASK) + PMD_SIZE);
		pmd_t *table;
		int err = alloc_pte_table(vma, addr, &table);

		if (err == -EEXIST) {
			pfn += (table_end - addr) >> PAGE_SHIFT;
			addr = table_end;
			continue;
		}
		if (err)
			return err;
		while (addr < table_end) {
			pte_t *ptep, *first;
			unsigned int i, n;
			spinlock_t *ptl;	/* the lock of the page table */

			n = min((table_end - addr) >> PAGE_SHIFT, PFNS_AT_ONCE);
			/* Another lock protects the cache modes, so not under that of the table. */
			for (i = 0; i < n; i++) {
				pgprot_t own = prot;

				if (!pfn_modify_allowed(pfn + i, own))
					return -EINVAL;
				pfnmap_setup_cachemode_pfn(pfn + i, &own);
				entries[i] = pte_mkspecial(pfn_pte(pfn + i, own));
			}
			first = pte_offset_map_lock(mm, table, addr, &ptl);
			if (!first)
				return -ENOMEM;
			for (i = 0, ptep = first; i < n; i++, ptep++, addr += PAGE_SIZE) {
				if (!pte_none(ptep_get(ptep)))
					continue;
				set_pte_at(mm, addr, ptep, entries[i]);
				update_mmu_cache(vma, addr, ptep);
			}
			pte_unmap_unlock(first, ptl);
			pfn += n;
		}
		cond_resched();
	}
	return 0;
}
EXPORT_SYMBOL_GPL(rust_mm_vma_insert_pfns);

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

/* Whether pages that are mapped around a fault should look unused. */
static inline bool wants_old_around(void)
{
#ifdef arch_wants_old_prefaulted_pte
	return arch_wants_old_prefaulted_pte();
#else
	return false;
#endif
}

/**
 * set_file_ptes() - Map consecutive pages of a folio, as vm_page_prot says
 * @vmf: The fault.
 * @folio: The folio, with a reference for each of the new entries.
 * @page: The first page.
 * @nr: The number of pages.
 * @addr: The address for the first page.
 * @ptep: The first entry. All of them are none.
 * @around: Whether no page is the one that user space accesses.
 * @write: Whether user space writes to the page.
 *
 * vm_page_prot alone decides whether the entries are writable: with write-notify, a write has a
 * fault of its own. Other than that, this is what set_pte_range() does for pages that are not
 * copies. It is inlined because a driver's pages are mapped one by one, so the call would cost
 * more than what it does.
 *
 * Context: The page table is locked.
 */
static __always_inline void set_file_ptes(struct vm_fault *vmf, struct folio *folio,
					  struct page *page, unsigned int nr,
					  unsigned long addr, pte_t *ptep, bool around,
					  bool write)
{
	struct vm_area_struct *vma = vmf->vma;
	pte_t pte = mk_pte(page, vma->vm_page_prot);

	if (around && wants_old_around())
		pte = pte_mkold(pte);
	else
		pte = pte_sw_mkyoung(pte);
	/* Spare user space, or the processor, another step at the first write. */
	if (pte_write(pte) && (write || folio_test_dirty(folio)))
		pte = pte_mkdirty(pte);
	flush_icache_pages(vma, page, nr);
	folio_add_file_rmap_ptes(folio, page, nr, vma);
	set_ptes(vma->vm_mm, addr, ptep, pte, nr);
	update_mmu_cache_range(vmf, vma, addr, ptep, nr);
}

/**
 * fault_may_map() - Check whether a page may be mapped for a fault
 * @page: The page.
 * @folio: Its folio.
 *
 * Context: Any context. The caller holds a reference to the folio, or the lock of the page table
 * (see mm/rust_faulted.c).
 * Return: 0, or the error code of the fault.
 */
static __always_inline vm_fault_t fault_may_map(const struct page *page,
						const struct folio *folio)
{
	if (unlikely(PageHWPoison(page)))
		return VM_FAULT_HWPOISON;
	if (unlikely(!rust_folio_may_be_mapped(folio)))
		return VM_FAULT_SIGBUS;
	return 0;
}

/**
 * fault_lock_table() - Lock the page table of a fault, and allocate it if there is none
 * @vmf: The fault. Its ptl is set.
 * @ptep: Set to the entry for the address.
 *
 * Unlike vmf_insert_page_mkwrite(), the function handles a PMD mapping that another thread has
 * just inserted. It uses the page table that the kernel has allocated before the fault, if there
 * is one.
 *
 * Context: The fault handler of the VMA: the lock of the fault is held. May sleep. Takes the page
 * table lock if it returns 0.
 * Return: 0; VM_FAULT_NOPAGE if the access has to be repeated; otherwise an error code.
 */
static __always_inline vm_fault_t fault_lock_table(struct vm_fault *vmf, pte_t **ptep)
{
	struct vm_area_struct *vma = vmf->vma;
	struct mm_struct *mm = vma->vm_mm;

	/* The OOM reaper may have zapped a copy-on-write page at this address. */
	if (!(vma->vm_flags & VM_SHARED) && check_stable_address_space(mm))
		return VM_FAULT_SIGBUS;
	if (pmd_none(pmdp_get(vmf->pmd))) {
		if (vmf->prealloc_pte)
			pmd_install(mm, vmf->pmd, &vmf->prealloc_pte);
		else if (pte_alloc(mm, vmf->pmd))
			return VM_FAULT_OOM;
	}
	*ptep = pte_offset_map_lock(mm, vmf->pmd, vmf->address, &vmf->ptl);
	return *ptep ? 0 : VM_FAULT_NOPAGE;
}

/**
 * fault_set_pte() - Map a page at the address of a fault, unless an entry is there
 * @vmf: The fault.
 * @folio: The folio of the page.
 * @page: The page.
 * @owned: Whether the caller gives a reference to the folio to the new entry.
 * @ptep: The entry.
 *
 * Unlike vmf_insert_page_mkwrite(), the function handles a userfaultfd marker, whose write
 * protection it carries over to the new entry as finish_fault() does.
 *
 * Context: The page table is locked.
 * Return: Whether the page is mapped now.
 */
static __always_inline bool fault_set_pte(struct vm_fault *vmf, struct folio *folio,
					  struct page *page, bool owned, pte_t *ptep)
{
	enum fault_flag flags = vmf->flags;
	pte_t pte = ptep_get(ptep);

	if (likely(pte_none(pte))) {
		/* Another thread has removed the marker. */
		if (unlikely(flags & FAULT_FLAG_ORIG_PTE_VALID) && !pte_none(vmf->orig_pte))
			return false;
		if (!owned)
			folio_get(folio);
		flush_dcache_folio(folio);
		set_file_ptes(vmf, folio, page, 1, vmf->address, ptep, false,
			      flags & FAULT_FLAG_WRITE);
	} else if (flags & FAULT_FLAG_ORIG_PTE_VALID && pte_same(pte, vmf->orig_pte)) {
		if (!owned)
			folio_get(folio);
		flush_dcache_folio(folio);
		/* As set_file_ptes(): see there. */
		vmf->flags &= ~FAULT_FLAG_WRITE;
		vmf->pte = ptep;
		set_pte_range(vmf, folio, page, 1, vmf->address);
		vmf->pte = NULL;
		vmf->flags = flags;
	} else {
		return false;
	}
	add_mm_counter(vmf->vma->vm_mm, mm_counter_file(folio), 1);
	return true;
}

/**
 * fault_insert() - Map a page at the address of a fault, unless an entry is there
 * @vmf: The fault.
 * @folio: The folio of the page.
 * @page: The page.
 * @owned: Whether the caller gives a reference to the folio to the new entry.
 * @mapped: Set to true if the page is mapped now.
 *
 * Context: The fault handler of the VMA: the lock of the fault is held, and the caller
 * holds a reference to the folio. May sleep. Takes and drops the page table lock.
 * Return: VM_FAULT_NOPAGE if the page or another thread's entry is mapped there; otherwise
 * an error code.
 */
static __always_inline vm_fault_t fault_insert(struct vm_fault *vmf, struct folio *folio,
					       struct page *page, bool owned, bool *mapped)
{
	vm_fault_t ret = fault_may_map(page, folio);
	pte_t *ptep;

	if (unlikely(ret))
		return ret;
	ret = fault_lock_table(vmf, &ptep);
	if (unlikely(ret))
		return ret;
	if (fault_set_pte(vmf, folio, page, owned, ptep))
		*mapped = true;
	pte_unmap_unlock(ptep, vmf->ptl);
	return VM_FAULT_NOPAGE;
}

/**
 * rust_mm_fault_insert_page() - Map a page at the address of a fault, unless an entry is there
 * @vmf: The fault.
 * @page: The page. The new entry takes a reference to its folio.
 *
 * Context: The same as for fault_insert().
 * Return: VM_FAULT_NOPAGE if the page or another thread's entry is mapped there; otherwise
 * an error code.
 */
vm_fault_t rust_mm_fault_insert_page(struct vm_fault *vmf, struct page *page)
{
	bool mapped;

	return fault_insert(vmf, page_folio(page), page, false, &mapped);
}
EXPORT_SYMBOL_GPL(rust_mm_fault_insert_page);

/**
 * rust_mm_fault_insert_slot() - Map the page of a slot at the address of a fault
 * @vmf: The fault.
 * @slot: The slot, for the page offset of the fault.
 *
 * The function reads the slot with the page table locked: mm/rust_faulted.c says why. The new entry
 * takes a reference to the page.
 *
 * Context: The fault handler of the VMA: the lock of the fault is held. May sleep. Takes and drops
 * the page table lock. If pages leave the slot, the file of the VMA has the address space that
 * rust_mm_slots_discard() is called with.
 * Return: 0 if the slot is empty; VM_FAULT_NOPAGE if the page or another thread's entry is mapped
 * there; otherwise an error code.
 */
vm_fault_t rust_mm_fault_insert_slot(struct vm_fault *vmf, struct page *const *slot)
{
	struct folio *folio;
	struct page *page;
	vm_fault_t ret;
	pte_t *ptep;

	/* Spare the lock. */
	if (!READ_ONCE(*slot))
		return 0;
	ret = fault_lock_table(vmf, &ptep);
	if (unlikely(ret))
		return ret;
	/* Pairs with the barrier in rust_mm_slots_discard(). */
	smp_mb__after_spinlock();
	page = READ_ONCE(*slot);
	if (unlikely(!page))
		goto unlock;
	folio = page_folio(page);
	ret = fault_may_map(page, folio);
	if (unlikely(ret))
		goto unlock;
	fault_set_pte(vmf, folio, page, false, ptep);
	ret = VM_FAULT_NOPAGE;
unlock:
	pte_unmap_unlock(ptep, vmf->ptl);
	return ret;
}
EXPORT_SYMBOL_GPL(rust_mm_fault_insert_slot);

/**
 * rust_mm_fault_take_page() - Map the page of an answer, or have the kernel map it
 * @vmf: The fault.
 * @page: The page. The function takes over the caller's reference to its folio.
 * @insert: Whether the page must be mapped when the function returns.
 * @locked: Whether the function also takes over the lock of the folio.
 *
 * The function maps the page itself, which is less work than to lock the folio and to go
 * through finish_fault(). If the page is of a large folio, the kernel would also map more of
 * it, up to the size of the file's inode, which may not be the driver's.
 *
 * The kernel maps the page if it copies it, and if it asks ->page_mkwrite next, so that user
 * space does not fault twice. It gets the folio without the lock, which it takes itself: if the
 * memory of a locked page is broken, the kernel looks for the page cache of the page, and these
 * pages have none (__do_fault()).
 *
 * Context: The same as for fault_insert().
 * Return: The code for the kernel.
 */
vm_fault_t rust_mm_fault_take_page(struct vm_fault *vmf, struct page *page, bool insert,
				   bool locked)
{
	struct folio *folio = page_folio(page);
	bool mapped = false;
	vm_fault_t ret;

	if (vmf->flags & FAULT_FLAG_WRITE && !insert &&
	    (vmf->cow_page ||
	     (vmf->vma->vm_ops->page_mkwrite && !folio_test_large(folio)))) {
		if (locked)
			folio_unlock(folio);
		if (likely(rust_folio_may_be_mapped(folio))) {
			vmf->page = page;
			return 0;
		}
		ret = VM_FAULT_SIGBUS;
	} else {
		/* A folio that is to be unlocked must not be freed together with the entry. */
		ret = fault_insert(vmf, folio, page, !locked, &mapped);
		if (unlikely(locked)) {
			folio_unlock(folio);
			mapped = false;
		}
	}
	if (unlikely(!mapped))
		folio_put_saturating(folio);
	return ret;
}
EXPORT_SYMBOL_GPL(rust_mm_fault_take_page);

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
static __always_inline bool fault_around_may_map(pte_t *ptep, const struct page *page,
						 const struct folio *folio)
{
	return pte_none(ptep_get(ptep)) && likely(!PageHWPoison(page)) &&
	       likely(rust_folio_may_be_mapped(folio));
}

/**
 * rust_mm_fault_around_map() - Map pages whose entries are free
 * @vmf: The fault.
 * @pgoff: Page offset of the first page.
 * @pages: The pages, one for each page offset from @pgoff on; NULL for one that is left out.
 * @nr_pages: Their number, from 1 to BITS_PER_LONG.
 *
 * The function takes the lock of the page table once for all pages, and counts them once. If there
 * is no page table, it uses the one that the kernel has allocated before the fault. Pages of one
 * large folio that follow each other are mapped together. Each page that is mapped takes a
 * reference to its folio.
 *
 * @pages may be slots, as for rust_mm_fault_insert_slot(): the function reads each of them once,
 * with the page table locked.
 *
 * Context: ->map_pages of the VMA, which has been called with these page offsets. The caller
 * holds references to the folios, unless @pages are slots. Does not sleep. Takes and drops the
 * page table lock.
 * Return: The set of pages that were mapped: bit 0 stands for the first one.
 */
unsigned long rust_mm_fault_around_map(struct vm_fault *vmf, pgoff_t pgoff,
				       struct page *const *pages,
				       unsigned int nr_pages)
{
	struct mm_struct *mm = vmf->vma->vm_mm;
	unsigned long addr = (vmf->address & PAGE_MASK) +
			     ((pgoff - vmf->pgoff) << PAGE_SHIFT);
	unsigned long mapped = 0;
	unsigned int i, nr, nr_shmem = 0;
	pte_t *first, *ptep;

	if (pmd_none(pmdp_get_lockless(vmf->pmd)) && vmf->prealloc_pte)
		pmd_install(mm, vmf->pmd, &vmf->prealloc_pte);
	first = pte_offset_map_lock(mm, vmf->pmd, addr, &vmf->ptl);
	if (!first)
		return 0;
	/* For slots: pairs with the barrier in rust_mm_slots_discard(). */
	smp_mb__after_spinlock();
	for (i = 0, ptep = first; i < nr_pages;
	     i += nr, ptep += nr, addr += nr * PAGE_SIZE) {
		struct page *page = READ_ONCE(pages[i]);
		struct folio *folio;

		nr = 1;
		if (!page)
			continue;
		folio = page_folio(page);
		if (!fault_around_may_map(ptep, page, folio))
			continue;
		flush_dcache_folio(folio);
		if (likely(!folio_test_large(folio))) {
			folio_get(folio);
			set_file_ptes(vmf, folio, page, 1, addr, ptep,
				      addr != (vmf->address & PAGE_MASK), false);
			mapped |= BIT(i);
		} else {
			while (i + nr < nr_pages && READ_ONCE(pages[i + nr]) == page + nr &&
			       page_folio(page + nr) == folio &&
			       fault_around_may_map(ptep + nr, page + nr, folio))
				nr++;
			folio_ref_add(folio, nr);
			set_file_ptes(vmf, folio, page, nr, addr, ptep,
				      !in_range(vmf->address, addr, nr * PAGE_SIZE), false);
			mapped |= GENMASK(i + nr - 1, i);
		}
		if (unlikely(mm_counter_file(folio) != MM_FILEPAGES))
			nr_shmem += nr;
	}
	if (mapped) {
		add_mm_counter(mm, MM_FILEPAGES, hweight_long(mapped) - nr_shmem);
		if (unlikely(nr_shmem))
			add_mm_counter(mm, MM_SHMEMPAGES, nr_shmem);
	}
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
