// SPDX-License-Identifier: GPL-2.0

/* Views of several pages in one piece, and pages of vmalloc memory, for Rust. */

#include <linux/cacheinfo.h>
#include <linux/err.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/rust_mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

/**
 * rust_mm_load_bytes() - Copy memory that other threads may write meanwhile
 * @to: Destination, which only the caller accesses.
 * @from: Source.
 * @len: Number of bytes.
 *
 * See rust_mm_memcpy_from_page() for why this is not a helper.
 *
 * Context: Any context. Does not sleep.
 */
void rust_mm_load_bytes(void *to, const void *from, size_t len)
{
	memcpy(to, from, len);
}
EXPORT_SYMBOL_GPL(rust_mm_load_bytes);

/**
 * rust_mm_store_bytes() - Copy to memory that other threads may access meanwhile
 * @to: Destination.
 * @from: Source, which only the caller accesses.
 * @len: Number of bytes.
 *
 * See rust_mm_memcpy_from_page() for why this is not a helper.
 *
 * Context: Any context. Does not sleep.
 */
void rust_mm_store_bytes(void *to, const void *from, size_t len)
{
	memcpy(to, from, len);
}
EXPORT_SYMBOL_GPL(rust_mm_store_bytes);

/**
 * struct rust_mm_vmap - Pages that are mapped at consecutive kernel addresses
 * @addr: The first address.
 * @work: Unmaps them, if the last user cannot sleep.
 */
struct rust_mm_vmap {
	void *addr;
	struct work_struct work;
};

static void rust_mm_vmap_free(struct rust_mm_vmap *map)
{
	/* VM_MAP_PUT_PAGES: drops the references to the pages, and frees the array. */
	vfree(map->addr);
	kfree(map);
}

static void rust_mm_vmap_work(struct work_struct *work)
{
	rust_mm_vmap_free(container_of(work, struct rust_mm_vmap, work));
}

/**
 * rust_mm_vmap() - Map pages at consecutive kernel addresses
 * @pages: Pages of order 0, to which the function takes references of its own.
 * @nr_pages: Number of pages, not zero.
 * @addr: Set to the first address.
 *
 * The cache mode is that of the kernel's own mapping and of user space's: with two modes for one
 * page, some processors lose writes. What maps kernel pages to user space leaves the cache mode of
 * vm_page_prot alone, and must remain so: see set_kernel_pages() in rust/kernel/mm/desc/action.rs.
 *
 * Context: Process context. May sleep. The caller holds references to the pages.
 * Return: The mapping, for rust_mm_vunmap(). As an error pointer, -ENOMEM if there is not enough
 * memory, and -EOPNOTSUPP if a cache could show user space other contents than the kernel.
 */
struct rust_mm_vmap *rust_mm_vmap(struct page *const *pages,
				  unsigned long nr_pages, void **addr)
{
	struct rust_mm_vmap *map;
	struct page **array;
	unsigned long i;

	if (cpu_dcache_is_aliasing())
		return ERR_PTR(-EOPNOTSUPP);
	if (nr_pages > UINT_MAX)
		return ERR_PTR(-ENOMEM);
	map = kmalloc_obj(*map, GFP_KERNEL_ACCOUNT);
	if (!map)
		return ERR_PTR(-ENOMEM);
	array = kvmalloc_array(nr_pages, sizeof(*array), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!array)
		goto free_map;
	for (i = 0; i < nr_pages; i++) {
		array[i] = pages[i];
		get_page(array[i]);
	}
	map->addr = vmap(array, nr_pages, VM_MAP | VM_MAP_PUT_PAGES, PAGE_KERNEL);
	if (!map->addr)
		goto put_pages;
	INIT_WORK(&map->work, rust_mm_vmap_work);
	*addr = map->addr;
	return map;

put_pages:
	for (i = 0; i < nr_pages; i++)
		put_page(array[i]);
	kvfree(array);
free_map:
	kfree(map);
	return ERR_PTR(-ENOMEM);
}
EXPORT_SYMBOL_GPL(rust_mm_vmap);

/**
 * rust_mm_vunmap() - Unmap what rust_mm_vmap() has mapped, and drop its references
 * @map: The mapping.
 *
 * vunmap() and vfree() may sleep, and what vfree() does in an interrupt, vfree_atomic(), must not
 * be done here: it keeps a list in the memory that it frees, and user space can write that.
 *
 * Context: Any context but an NMI, and not between non_block_start() and non_block_end(). Where the
 * kernel cannot tell that the caller may sleep, a worker unmaps the pages later.
 */
void rust_mm_vunmap(struct rust_mm_vmap *map)
{
	/* in_interrupt() is what vfree() tests: on PREEMPT_RT, the others do not imply it. */
	if (preemptible() && !rcu_preempt_depth() && !in_interrupt())
		rust_mm_vmap_free(map);
	else
		schedule_work(&map->work);
}
EXPORT_SYMBOL_GPL(rust_mm_vunmap);

/**
 * rust_mm_vmalloc_check() - Check whether pages can be taken out of memory
 * @addr: Start of the memory, of kmalloc() or vmalloc().
 *
 * User space will get the pages, and the caller frees the memory afterwards. That must not be in an
 * interrupt: vfree() keeps a list in the memory there.
 *
 * Memory of kmalloc() has no pages of its own. And where a cache can show different contents at
 * two addresses, what the caller has written at the one need not be what user space sees.
 *
 * Context: Any context. Does not sleep.
 * Return: 1 if the pages can be taken, 0 if the contents have to be copied, -EINVAL in an interrupt
 * or where softirqs are disabled.
 */
int rust_mm_vmalloc_check(const void *addr)
{
	if (in_interrupt())
		return -EINVAL;
	return is_vmalloc_addr(addr) && !cpu_dcache_is_aliasing();
}
EXPORT_SYMBOL_GPL(rust_mm_vmalloc_check);

/**
 * rust_mm_vmalloc_get_pages() - Take references to pages of vmalloc memory
 * @addr: Start of the memory, for which rust_mm_vmalloc_check() has returned 1.
 * @nr_pages: Number of pages, all of them in the memory.
 * @pages: Set to the pages.
 *
 * They are of order 0: vmalloc() splits what it allocates in larger pieces.
 *
 * Context: Process context. The caller frees the memory in the same context.
 */
void rust_mm_vmalloc_get_pages(const void *addr, unsigned long nr_pages,
			       struct page **pages)
{
	unsigned long i;

	for (i = 0; i < nr_pages; i++) {
		pages[i] = vmalloc_to_page(addr + (i << PAGE_SHIFT));
		get_page(pages[i]);
	}
}
EXPORT_SYMBOL_GPL(rust_mm_vmalloc_get_pages);
