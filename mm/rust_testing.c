// SPDX-License-Identifier: GPL-2.0

/*
 * Functions with which the KUnit tests of rust/kernel/mm/ set up their cases. No other code may
 * call them.
 */

#include <linux/atomic.h>
#include <linux/bottom_half.h>
#include <linux/export.h>
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/page-flags.h>
#include <linux/rust_mm.h>

/*
 * The first three set reference counts, since a test cannot take as many references. The test
 * keeps the object alive, and sets the count back before it drops a reference.
 */

/**
 * rust_mm_test_xchg_folio_refs() - Set the reference count of a folio
 * @folio: The folio.
 * @count: The new count.
 *
 * Context: Any context.
 * Return: The old count.
 */
int rust_mm_test_xchg_folio_refs(struct folio *folio, int count)
{
	return atomic_xchg(&folio->_refcount, count);
}

/**
 * rust_mm_test_xchg_mm_count() - Set mm_count of an mm
 * @mm: The mm.
 * @count: The new count.
 *
 * Context: Any context.
 * Return: The old count.
 */
int rust_mm_test_xchg_mm_count(struct mm_struct *mm, int count)
{
	return atomic_xchg(&mm->mm_count, count);
}

/**
 * rust_mm_test_xchg_mm_users() - Set mm_users of an mm
 * @mm: The mm.
 * @count: The new count.
 *
 * Context: Any context.
 * Return: The old count.
 */
int rust_mm_test_xchg_mm_users(struct mm_struct *mm, int count)
{
	return atomic_xchg(&mm->mm_users, count);
}

/**
 * rust_mm_test_file_pages() - Return the number of file pages that an mm has mapped
 * @mm: The mm.
 *
 * Context: The caller has a reference to the mm. Does not sleep.
 * Return: The number of pages, as the mm counts them.
 */
long rust_mm_test_file_pages(struct mm_struct *mm)
{
	return percpu_counter_sum(&mm->rss_stat[MM_FILEPAGES]);
}

/**
 * rust_mm_test_notify_writes() - Set whether a shared VMA uses write-notify
 * @vma: The VMA.
 * @notify: Whether the first write to a page must cause a fault.
 *
 * Existing page table entries do not change.
 *
 * Context: The mmap lock and the VMA lock are held for writing. Does not sleep.
 */
void rust_mm_test_notify_writes(struct vm_area_struct *vma, bool notify)
{
	vm_flags_t flags = vma->vm_flags;

	vma->vm_page_prot = vm_get_page_prot(notify ? flags & ~VM_SHARED : flags);
}

/**
 * rust_mm_test_mark_opened() - Set whether a file counts as opened
 * @file: The file; an anonymous inode file, which counts as opened from the start.
 * @opened: Whether the file gets FMODE_OPENED.
 *
 * Exported for kernel::mm::testing, which tests in modules may use.
 *
 * Context: Any context. No other thread uses the file.
 */
void rust_mm_test_mark_opened(struct file *file, bool opened)
{
	if (opened)
		file->f_mode |= FMODE_OPENED;
	else
		file->f_mode &= ~FMODE_OPENED;
}
EXPORT_SYMBOL_GPL(rust_mm_test_mark_opened);

/**
 * rust_mm_test_disable_bh() - Disable softirqs, so that in_interrupt() is true
 *
 * Context: Any context but a hard interrupt, until rust_mm_test_enable_bh().
 */
void rust_mm_test_disable_bh(void)
{
	local_bh_disable();
}

/**
 * rust_mm_test_enable_bh() - Enable softirqs again
 *
 * Context: After rust_mm_test_disable_bh().
 */
void rust_mm_test_enable_bh(void)
{
	local_bh_enable();
}

#ifdef CONFIG_HUGETLBFS
/**
 * rust_mm_test_hugetlb_file() - Create a hugetlb file without reserving huge pages
 * @len: Size of the file in bytes.
 *
 * Context: Process context. May sleep.
 * Return: The file, with one reference; or an error pointer.
 */
struct file *rust_mm_test_hugetlb_file(size_t len)
{
	return hugetlb_file_setup("rust_mm_test", len,
				  mk_vma_flags(VMA_NORESERVE_BIT),
				  HUGETLB_ANONHUGE_INODE, 0);
}

/**
 * rust_mm_test_allow_hugetlb() - Set how many surplus huge pages the kernel may allocate
 * @file: A hugetlb file with the page size in question.
 * @pages: The limit.
 *
 * Context: Any context. The limit is that of all files with this page size.
 */
void rust_mm_test_allow_hugetlb(struct file *file, unsigned long pages)
{
	hstate_file(file)->nr_overcommit_huge_pages = pages;
}
#endif

#ifdef CONFIG_MEMORY_FAILURE
/**
 * rust_mm_test_set_hwpoison() - Set or clear the hardware poison flag of a page
 * @page: The page.
 * @hwpoison: Whether the page becomes hardware-poisoned.
 *
 * Context: Any context. The caller holds a reference to the page, and clears the flag before
 * it drops that.
 */
void rust_mm_test_set_hwpoison(struct page *page, bool hwpoison)
{
	if (hwpoison)
		SetPageHWPoison(page);
	else
		ClearPageHWPoison(page);
}
#endif

#ifdef CONFIG_MMU_NOTIFIER
/**
 * rust_mm_test_invalidate() - Notify about a change of a range, without changing it
 * @mm: The mm.
 * @start: Start of the range.
 * @end: End of the range.
 * @event: The reason, an enum mmu_notifier_event.
 * @may_block: Whether the notifiers may sleep.
 *
 * Context: Process context. The caller has a reference to the mm. Sleeps if @may_block.
 * Return: 0; or -EAGAIN if a notifier would have to sleep.
 */
int rust_mm_test_invalidate(struct mm_struct *mm, unsigned long start, unsigned long end,
			    unsigned int event, bool may_block)
{
	struct mmu_notifier_range range;
	int ret = 0;

	mmu_notifier_range_init(&range, event, 0, mm, start, end);
	if (may_block)
		mmu_notifier_invalidate_range_start(&range);
	else
		ret = mmu_notifier_invalidate_range_start_nonblock(&range);
	if (!ret)
		mmu_notifier_invalidate_range_end(&range);
	return ret;
}
#endif
