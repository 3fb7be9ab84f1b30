// SPDX-License-Identifier: GPL-2.0

/* Charging an mm for memory that Rust drivers lock. */

#include <linux/atomic.h>
#include <linux/capability.h>
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/rust_account.h>
#include <linux/sched/signal.h>

/**
 * rust_charge_locked_vm() - Charge pages to locked_vm of an mm
 * @mm: The mm.
 * @pages: Number of pages.
 *
 * As account_locked_vm(), but a sum that overflows fails too.
 *
 * Context: The caller has a reference to the mm, and does not hold its mmap lock. Sleeps.
 * Return: 0, or -ENOMEM if the sum exceeds RLIMIT_MEMLOCK of the current task, which does not
 * have CAP_IPC_LOCK.
 */
int rust_charge_locked_vm(struct mm_struct *mm, unsigned long pages)
{
	unsigned long sum;
	int ret;

	mmap_write_lock(mm);
	if (check_add_overflow(mm->locked_vm, pages, &sum))
		ret = -ENOMEM;
	else
		ret = __account_locked_vm(mm, pages, true, current, capable(CAP_IPC_LOCK));
	mmap_write_unlock(mm);
	return ret;
}
EXPORT_SYMBOL_GPL(rust_charge_locked_vm);

/**
 * rust_uncharge_locked_vm() - Return pages that were charged to locked_vm of an mm
 * @mm: The mm, whose mappings may be gone.
 * @pages: Number of pages.
 *
 * Context: The caller has a reference to the mm, and does not hold its mmap lock. Sleeps.
 */
void rust_uncharge_locked_vm(struct mm_struct *mm, unsigned long pages)
{
	account_locked_vm(mm, pages, false);
}
EXPORT_SYMBOL_GPL(rust_uncharge_locked_vm);

/**
 * rust_charge_pinned_vm() - Charge pages to pinned_vm of an mm
 * @mm: The mm.
 * @pages: Number of pages.
 *
 * Context: Process context. The caller has a reference to the mm. Does not sleep.
 * Return: As for rust_charge_locked_vm().
 */
int rust_charge_pinned_vm(struct mm_struct *mm, unsigned long pages)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	s64 sum;

	/* More than there are addresses, and perhaps more than the counter can count. */
	if (pages > ULONG_MAX >> PAGE_SHIFT)
		return -ENOMEM;
	sum = atomic64_add_return(pages, &mm->pinned_vm);
	if (sum < 0 || (sum > limit && !capable(CAP_IPC_LOCK))) {
		atomic64_sub(pages, &mm->pinned_vm);
		return -ENOMEM;
	}
	return 0;
}
EXPORT_SYMBOL_GPL(rust_charge_pinned_vm);

/**
 * rust_uncharge_pinned_vm() - Return pages that were charged to pinned_vm of an mm
 * @mm: The mm, whose mappings may be gone.
 * @pages: Number of pages.
 *
 * Context: Any context. The caller has a reference to the mm.
 */
void rust_uncharge_pinned_vm(struct mm_struct *mm, unsigned long pages)
{
	atomic64_sub(pages, &mm->pinned_vm);
}
EXPORT_SYMBOL_GPL(rust_uncharge_pinned_vm);
