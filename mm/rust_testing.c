// SPDX-License-Identifier: GPL-2.0

/* What the KUnit tests of rust/kernel/mm/ set up, and nothing else may do. */

#include <linux/atomic.h>
#include <linux/export.h>
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/rust_mm.h>

/* Counts that no test can bring about by taking as many references. */

int rust_mm_test_xchg_folio_refs(struct folio *folio, int count)
{
	return atomic_xchg(&folio->_refcount, count);
}

int rust_mm_test_xchg_mm_count(struct mm_struct *mm, int count)
{
	return atomic_xchg(&mm->mm_count, count);
}

int rust_mm_test_xchg_mm_users(struct mm_struct *mm, int count)
{
	return atomic_xchg(&mm->mm_users, count);
}

/* Sets whether the first writes to a shared VMA are notified. */
void rust_mm_test_notify_writes(struct vm_area_struct *vma, bool notify)
{
	vm_flags_t flags = vma->vm_flags;

	vma->vm_page_prot = vm_get_page_prot(notify ? flags & ~VM_SHARED : flags);
}

/**
 * rust_mm_test_mark_opened() - Set whether a file has been opened
 * @file: The file. Anonymous files are opened from the start.
 * @opened: Whether it has.
 *
 * Exported for kernel::mm::testing, which the tests of modules may use.
 */
void rust_mm_test_mark_opened(struct file *file, bool opened)
{
	if (opened)
		file->f_mode |= FMODE_OPENED;
	else
		file->f_mode &= ~FMODE_OPENED;
}
EXPORT_SYMBOL_GPL(rust_mm_test_mark_opened);

#ifdef CONFIG_HUGETLBFS
/* Makes a file of hugetlb memory that sets no pages aside. */
struct file *rust_mm_test_hugetlb_file(size_t len)
{
	return hugetlb_file_setup("rust_mm_test", len,
				  mk_vma_flags(VMA_NORESERVE_BIT),
				  HUGETLB_ANONHUGE_INODE, 0);
}

/* Sets how many pages such files may have, though none are set aside. */
void rust_mm_test_allow_hugetlb(struct file *file, unsigned long pages)
{
	hstate_file(file)->nr_overcommit_huge_pages = pages;
}
#endif

#ifdef CONFIG_MEMORY_FAILURE
/* Marks a page as broken memory, or as whole again. */
void rust_mm_test_set_hwpoison(struct page *page, bool hwpoison)
{
	if (hwpoison)
		SetPageHWPoison(page);
	else
		ClearPageHWPoison(page);
}
#endif
