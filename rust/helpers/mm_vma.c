// SPDX-License-Identifier: GPL-2.0

#include <linux/highmem.h>
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

__rust_helper pgprot_t rust_helper_pgprot_noncached(pgprot_t prot)
{
	return pgprot_noncached(prot);
}

__rust_helper pgprot_t rust_helper_pgprot_writecombine(pgprot_t prot)
{
	return pgprot_writecombine(prot);
}

/*
 * Not inlined, not even into Rust with CONFIG_RUST_INLINE_HELPERS: user space
 * and other threads may write the page meanwhile. To C that is how it is, to
 * Rust it would be a data race.
 */
noinline void rust_helper_memcpy_from_page(char *to, struct page *page,
					   size_t offset, size_t len)
{
	memcpy_from_page(to, page, offset, len);
}

noinline void rust_helper_memcpy_to_page(struct page *page, size_t offset,
					 const char *from, size_t len)
{
	memcpy_to_page(page, offset, from, len);
}

__rust_helper unsigned long rust_helper_totalram_pages(void)
{
	return totalram_pages();
}

__rust_helper struct folio *rust_helper_folio_alloc(gfp_t gfp, unsigned int order)
{
	return folio_alloc(gfp, order);
}

__rust_helper void rust_helper_folio_lock(struct folio *folio)
{
	folio_lock(folio);
}

__rust_helper bool rust_helper_folio_trylock(struct folio *folio)
{
	return folio_trylock(folio);
}

__rust_helper unsigned int rust_helper_folio_order(const struct folio *folio)
{
	return folio_order(folio);
}

__rust_helper int rust_helper_folio_ref_count(const struct folio *folio)
{
	return folio_ref_count(folio);
}

__rust_helper struct page *rust_helper_folio_page(struct folio *folio, size_t n)
{
	return folio_page(folio, n);
}

__rust_helper struct folio *rust_helper_page_folio(struct page *page)
{
	return page_folio(page);
}

/* The address space of a process, if the current task may have it. */
__rust_helper struct mm_struct *rust_helper_mm_access_vpid(pid_t pid,
							   unsigned int mode)
{
	struct task_struct *task = find_get_task_by_vpid(pid);
	struct mm_struct *mm;

	if (!task)
		return ERR_PTR(-ESRCH);
	mm = mm_access(task, mode);
	put_task_struct(task);
	/* The reference was counted by C, which does not look. */
	if (!IS_ERR(mm))
		rust_mm_count_saturates(&mm->mm_users);
	return mm;
}

#if IS_ENABLED(CONFIG_KUNIT)
/* For tests: whether the first writes to a shared VMA are to be seen. */
__rust_helper void rust_helper_test_notice_writes(struct vm_area_struct *vma,
						  bool notice)
{
	vm_flags_t flags = vma->vm_flags;

	vma->vm_page_prot = vm_get_page_prot(notice ? flags & ~VM_SHARED : flags);
}
#endif

#if IS_ENABLED(CONFIG_KUNIT) && defined(CONFIG_HUGETLBFS)
/* For tests: hugetlb memory that does not take any. */
__rust_helper struct file *rust_helper_test_hugetlb_file(size_t len)
{
	return hugetlb_file_setup("rust_mm_test", len,
				  mk_vma_flags(VMA_NORESERVE_BIT),
				  HUGETLB_ANONHUGE_INODE, 0);
}

/* For tests: so many of its pages may be there, though none are set aside. */
__rust_helper void rust_helper_test_allow_hugetlb(struct file *file,
						  unsigned long pages)
{
	hstate_file(file)->nr_overcommit_huge_pages = pages;
}
#endif

#if IS_ENABLED(CONFIG_KUNIT) && defined(CONFIG_MEMORY_FAILURE)
/* For tests: broken memory, and whole again. */
__rust_helper void rust_helper_set_page_hwpoison(struct page *page, bool broken)
{
	if (broken)
		SetPageHWPoison(page);
	else
		ClearPageHWPoison(page);
}
#endif
