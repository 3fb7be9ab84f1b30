// SPDX-License-Identifier: GPL-2.0

/* Ranges of an mm that Rust drivers mirror. */

#include <linux/export.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/rust_mirror.h>
#include <linux/secretmem.h>

/**
 * rust_mirror_insert() - Insert an interval notifier and keep its module loaded
 * @sub: The notifier, in memory that does not move until it is removed.
 * @mm: The mm.
 * @start: Start of the range.
 * @len: Length of the range in bytes.
 * @ops: The callbacks, which can be called before this returns.
 * @owner: The module that has the callbacks, or NULL if they are built in.
 *
 * Context: The caller keeps the mm in use (mm_users), and does not hold its mmap lock. Sleeps.
 * Return: 0 or -errno: -ENODEV if the module is being unloaded, -EINTR if a signal is pending,
 * -EOVERFLOW if the range is empty or wraps around.
 */
int rust_mirror_insert(struct mmu_interval_notifier *sub, struct mm_struct *mm,
		       unsigned long start, unsigned long len,
		       const struct mmu_interval_notifier_ops *ops,
		       struct module *owner)
{
	int ret;

	might_sleep();
	if (!try_module_get(owner))
		return -ENODEV;
	ret = mmu_interval_notifier_insert(sub, mm, start, len, ops);
	if (ret)
		module_put(owner);
	return ret;
}
EXPORT_SYMBOL_GPL(rust_mirror_insert);

/**
 * rust_mirror_remove() - Remove an interval notifier and release its module
 * @sub: A notifier that rust_mirror_insert() has inserted.
 * @owner: The module that was passed there.
 *
 * Waits until no callback of the notifier is running.
 *
 * Context: Sleeps. The caller is no such callback, and holds no lock that one takes.
 */
void rust_mirror_remove(struct mmu_interval_notifier *sub, struct module *owner)
{
	mmu_interval_notifier_remove(sub);
	module_put(owner);
}
EXPORT_SYMBOL_GPL(rust_mirror_remove);

/**
 * rust_mirror_page() - Find the page of a PFN that hmm_range_fault() has returned
 * @pfn: The PFN.
 *
 * Context: The page is mapped, and the caller holds the lock that keeps it so: the one under
 * which the invalidate callback runs, after mmu_interval_read_retry() has returned false.
 * Return: The page; or NULL if the kernel has no page for the PFN, or must not access its
 * contents: they are memory of a device, or for user space alone (memfd_secret(2)).
 */
struct page *rust_mirror_page(unsigned long pfn)
{
	struct address_space *mapping;
	struct folio *folio;
	struct page *page;

	if (!pfn_valid(pfn))
		return NULL;
	page = pfn_to_page(pfn);
	if (is_device_private_page(page) || is_pci_p2pdma_page(page))
		return NULL;
	folio = page_folio(page);
	if (folio_test_anon(folio))
		return page;
	mapping = READ_ONCE(folio->mapping);
	if (mapping && secretmem_mapping(mapping))
		return NULL;
	return page;
}
EXPORT_SYMBOL_GPL(rust_mirror_page);
