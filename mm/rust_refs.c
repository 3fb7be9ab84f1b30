// SPDX-License-Identifier: GPL-2.0

/* Reference counts of pages and mms for Rust: see include/linux/rust_mm.h. */

#include <linux/err.h>
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/ptrace.h>
#include <linux/rust_mm.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>

/**
 * rust_mm_pages_may_be_mapped() - Check the reference counts of pages
 * @pages: The pages, each the first one of its folio.
 * @nr_pages: Number of pages.
 *
 * The counts may grow while the function runs and afterwards; the limit leaves room for that.
 * Each mmap of kernel pages comes here, with all its pages, so the function only collects bits:
 * the limit is a power of two.
 *
 * Context: Any context. The caller holds references to the pages.
 * Return: Whether each page has few enough references to be mapped once more.
 */
bool rust_mm_pages_may_be_mapped(struct page *const *pages,
				 unsigned long nr_pages)
{
	unsigned int bits = 0;
	unsigned long i;

	BUILD_BUG_ON_NOT_POWER_OF_2(RUST_FOLIO_MAX_REFS);
	for (i = 0; i < nr_pages; i++)
		bits |= page_ref_count(pages[i]);
	return bits < RUST_FOLIO_MAX_REFS;
}
EXPORT_SYMBOL_GPL(rust_mm_pages_may_be_mapped);

#ifndef CONFIG_ARCH_HAS_PTE_SPECIAL
/**
 * rust_mm_pfn_may_be_mapped() - Check the reference count behind a PFN
 * @pfn: The PFN.
 *
 * On an architecture without special page table entries, the entry of a PFN takes a reference
 * to the page.
 *
 * Context: Any context. The caller keeps the page, if there is one, from being freed.
 * Return: Whether the PFN has no page, or one with few enough references to be mapped.
 */
bool rust_mm_pfn_may_be_mapped(unsigned long pfn)
{
	return !pfn_valid(pfn) ||
	       rust_folio_may_be_mapped(page_folio(pfn_to_page(pfn)));
}
EXPORT_SYMBOL_GPL(rust_mm_pfn_may_be_mapped);
#endif

/**
 * rust_mm_access_vpid() - Take a reference to the mm of a process
 * @pid: Its number, in the PID namespace of the current task.
 * @mode: Access that the current task needs to the process: PTRACE_MODE_*.
 *
 * Context: Process context. May sleep.
 * Return: The mm, with a reference in mm_users; otherwise the error pointer of mm_access(),
 * or -ESRCH as an error pointer if there is no such process.
 */
struct mm_struct *rust_mm_access_vpid(pid_t pid, unsigned int mode)
{
	struct task_struct *task = find_get_task_by_vpid(pid);
	struct mm_struct *mm;

	if (!task)
		return ERR_PTR(-ESRCH);
	mm = mm_access(task, mode);
	put_task_struct(task);
	/* mm_access() has taken the reference without checking for saturation. */
	if (!IS_ERR(mm))
		rust_mm_count_saturates(&mm->mm_users);
	return mm;
}
EXPORT_SYMBOL_GPL(rust_mm_access_vpid);
