// SPDX-License-Identifier: GPL-2.0

/* References that Rust takes, counts or limits: see include/linux/rust_mm.h. */

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
 * @pages: The pages.
 * @nr_pages: How many.
 *
 * Context: Any. The caller has references to the pages. Nothing keeps the counts from
 * growing meanwhile: the limit leaves room for that.
 * Return: Whether each of the pages has few enough references to be mapped.
 */
bool rust_mm_pages_may_be_mapped(struct page *const *pages,
				 unsigned long nr_pages)
{
	unsigned long i;

	for (i = 0; i < nr_pages; i++)
		if (!rust_folio_may_be_mapped(page_folio(pages[i])))
			return false;
	return true;
}
EXPORT_SYMBOL_GPL(rust_mm_pages_may_be_mapped);

#ifndef CONFIG_ARCH_HAS_PTE_SPECIAL
/**
 * rust_mm_pfn_may_be_mapped() - Check the reference count behind a PFN
 * @pfn: The PFN.
 *
 * Without special entries, the entry of a PFN takes a reference to its page.
 *
 * Context: Any. See rust_mm_pages_may_be_mapped().
 * Return: Whether the page, if there is one, has few enough references to be mapped.
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
 * @mode: PTRACE_MODE_*, which the current task must have been granted.
 *
 * Context: May sleep.
 * Return: The mm; an error pointer, as mm_access() returns, or -ESRCH if there is no
 * such process.
 */
struct mm_struct *rust_mm_access_vpid(pid_t pid, unsigned int mode)
{
	struct task_struct *task = find_get_task_by_vpid(pid);
	struct mm_struct *mm;

	if (!task)
		return ERR_PTR(-ESRCH);
	mm = mm_access(task, mode);
	put_task_struct(task);
	/* mm_access() has taken the reference without a check. */
	if (!IS_ERR(mm))
		rust_mm_count_saturates(&mm->mm_users);
	return mm;
}
EXPORT_SYMBOL_GPL(rust_mm_access_vpid);
