// SPDX-License-Identifier: GPL-2.0

/* One operation of the kernel's, again and again: the C twin of rust_layer. */

#include <linux/highmem.h>
#include <linux/leafops.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pagewalk.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "layer.h"
#include "twin.h"
#include "walk.h"

TWIN_DEVICE("c_layer");

#define BUFFER_PAGES	(LAYER_BUFFER >> PAGE_SHIFT)
/* The firmware of a PC. */
#define FIRMWARE	0xf0000
#define FIRMWARE_SIZE	0x10000

/* An open file. */
struct layer {
	struct folio *folio;
	struct page *pages[BUFFER_PAGES];
	/* Protects @scratch, which has the size of the buffer. */
	struct mutex lock;
	u8 *scratch;
};

struct context {
	struct mm_struct *mm;
	struct address_space *mapping;
	struct layer *layer;
	const struct layer_run *run;
};

/* An operation adds what it finds to the sum, and returns 0 or an error. */
typedef int operation_fn(const struct context *c, u64 *sum);

static int lookup_mmap_lock(const struct context *c, u64 *sum)
{
	struct vm_area_struct *vma;

	mmap_read_lock(c->mm);
	vma = vma_lookup(c->mm, c->run->start);
	if (vma)
		*sum += vma->vm_start;
	mmap_read_unlock(c->mm);
	return vma ? 0 : -EFAULT;
}

static int lookup_vma_lock(const struct context *c, u64 *sum)
{
	struct vm_area_struct *vma = lock_vma_under_rcu(c->mm, c->run->start);

	if (!vma)
		return lookup_mmap_lock(c, sum);
	*sum += vma->vm_start;
	vma_end_read(vma);
	return 0;
}

static int forward(const struct context *c, u64 *sum)
{
	VMA_ITERATOR(vmi, c->mm, c->run->start);
	struct vm_area_struct *vma;

	mmap_read_lock(c->mm);
	for_each_vma_range(vmi, vma, c->run->end)
		*sum += vma->vm_start;
	mmap_read_unlock(c->mm);
	return 0;
}

static int backward(const struct context *c, u64 *sum)
{
	VMA_ITERATOR(vmi, c->mm, c->run->end);
	struct vm_area_struct *vma;

	mmap_read_lock(c->mm);
	while ((vma = vma_prev(&vmi)) && vma->vm_end > c->run->start)
		*sum += vma->vm_start;
	mmap_read_unlock(c->mm);
	return 0;
}

static int ranges(const struct context *c, u64 *sum)
{
	unsigned long at;

	mmap_read_lock(c->mm);
	for (at = c->run->start; at < c->run->end; at += c->run->step) {
		VMA_ITERATOR(vmi, c->mm, at);
		struct vm_area_struct *vma;

		for_each_vma_range(vmi, vma, min(at + c->run->step, c->run->end))
			*sum += vma->vm_start;
	}
	mmap_read_unlock(c->mm);
	return 0;
}

static int gaps(const struct context *c, u64 *sum)
{
	VMA_ITERATOR(vmi, c->mm, c->run->start);
	unsigned long from = c->run->start;
	struct vm_area_struct *vma;

	mmap_read_lock(c->mm);
	for_each_vma_range(vmi, vma, c->run->end) {
		if (vma->vm_start > from)
			*sum += vma->vm_start - from;
		from = vma->vm_end;
	}
	if (from < c->run->end)
		*sum += c->run->end - from;
	mmap_read_unlock(c->mm);
	return 0;
}

static int vma_locks(const struct context *c, u64 *sum)
{
	struct walk walk = { .mm = c->mm, .addr = c->run->start };
	int ret;

	vma_iter_init(&walk.iter, c->mm, walk.addr);
	rcu_read_lock();
	while ((ret = walk_next(&walk)) > 0 && walk.vma->vm_start < c->run->end) {
		walk.addr = walk.vma->vm_end;
		*sum += walk.vma->vm_start;
	}
	walk_unlock(&walk);
	rcu_read_unlock();
	return min(ret, 0);
}

static int reference(const struct context *c, u64 *sum)
{
	size_t count = (c->run->end - c->run->start) >> PAGE_SHIFT;
	struct page **pages, *one;
	int ret;

	if (count == 1) {
		ret = get_user_pages_fast(c->run->start, 1, 0, &one);
		if (ret < 0)
			return ret;
		put_page(one);
		*sum += ret;
		return 0;
	}
	pages = kvmalloc_array(count, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	ret = get_user_pages_fast(c->run->start, count, 0, pages);
	if (ret > 0) {
		release_pages(pages, ret);
		*sum += ret;
	}
	kvfree(pages);
	return min(ret, 0);
}

static int pin(const struct context *c, u64 *sum)
{
	size_t count = (c->run->end - c->run->start) >> PAGE_SHIFT;
	struct page **pages, *one;
	int ret;

	if (count == 1) {
		ret = pin_user_pages_fast(c->run->start, 1, FOLL_WRITE, &one);
		if (ret < 0)
			return ret;
		unpin_user_page(one);
		*sum += ret;
		return 0;
	}
	pages = kvmalloc_array(count, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	ret = pin_user_pages_fast(c->run->start, count, FOLL_WRITE, pages);
	if (ret > 0) {
		unpin_user_pages(pages, ret);
		*sum += ret;
	}
	kvfree(pages);
	return min(ret, 0);
}

static int rmap(const struct context *c, u64 *sum)
{
	struct vm_area_struct *vma;

	i_mmap_lock_read(c->mapping);
	mapping_rmap_tree_foreach(vma, c->mapping, c->run->start, c->run->end - 1)
		*sum += vma->vm_start;
	i_mmap_unlock_read(c->mapping);
	return 0;
}

static int copy(const struct context *c, u64 *sum, bool write)
{
	u64 at = c->run->start, end = c->run->end;
	u8 *scratch = c->layer->scratch;

	if (at > end || end > LAYER_BUFFER)
		return -EINVAL;
	while (at < end) {
		size_t offset = offset_in_page(at), len = min(PAGE_SIZE - offset, end - at);
		struct page *page = c->layer->pages[at >> PAGE_SHIFT];

		if (write)
			memcpy_to_page(page, offset, scratch, len);
		else
			memcpy_from_page(scratch, page, offset, len);
		scratch += len;
		at += len;
	}
	*sum += c->layer->scratch[0];
	return 0;
}

static int read_buffer(const struct context *c, u64 *sum)
{
	return copy(c, sum, false);
}

static int write_buffer(const struct context *c, u64 *sum)
{
	return copy(c, sum, true);
}

static int sum_pmd_entry(pmd_t *pmd, unsigned long addr, unsigned long end, struct mm_walk *walk)
{
	struct vm_area_struct *vma = walk->vma;
	u64 *sum = walk->private;
	pte_t *first, *entry;
	spinlock_t *ptl;

	ptl = pmd_trans_huge_lock(pmd, vma);
	if (ptl) {
		if (pmd_present(*pmd))
			*sum += pmd_pfn(*pmd);
		spin_unlock(ptl);
		goto out;
	}
	first = pte_offset_map_lock(vma->vm_mm, pmd, addr, &ptl);
	if (!first) {
		walk->action = ACTION_AGAIN;
		return 0;
	}
	for (entry = first; addr != end; entry++, addr += PAGE_SIZE) {
		pte_t pte = ptep_get(entry);

		if (pte_present(pte))
			*sum += pte_pfn(pte);
		else if (!pte_none(pte) && softleaf_is_swap(softleaf_from_pte(pte)))
			*sum += 1;
	}
	pte_unmap_unlock(first, ptl);
out:
	cond_resched();
	return 0;
}

static const struct mm_walk_ops sum_ops = {
	.pmd_entry = sum_pmd_entry,
	.walk_lock = PGWALK_RDLOCK,
};

static int walk_tables(const struct context *c, u64 *sum)
{
	struct vm_area_struct *vma;
	int ret = -EFAULT;

	mmap_read_lock(c->mm);
	vma = vma_lookup(c->mm, c->run->start);
	if (vma)
		ret = walk_page_range_vma(vma, c->run->start, c->run->end, &sum_ops, sum);
	mmap_read_unlock(c->mm);
	return ret;
}

static operation_fn *const operations[] = {
	[LAYER_LOOKUP_MMAP_LOCK] = lookup_mmap_lock,
	[LAYER_LOOKUP_VMA_LOCK] = lookup_vma_lock,
	[LAYER_FORWARD] = forward,
	[LAYER_BACKWARD] = backward,
	[LAYER_RANGES] = ranges,
	[LAYER_GAPS] = gaps,
	[LAYER_VMA_LOCKS] = vma_locks,
	[LAYER_REFERENCE] = reference,
	[LAYER_PIN] = pin,
	[LAYER_RMAP] = rmap,
	[LAYER_READ] = read_buffer,
	[LAYER_WRITE] = write_buffer,
	[LAYER_WALK] = walk_tables,
};

static long layer_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct layer_run __user *user = (void __user *)arg;
	struct layer_run run;
	struct context c = {
		.mm = current->mm, .mapping = file->f_mapping, .layer = file->private_data,
		.run = &run,
	};
	u32 round;
	int ret;

	if (cmd != LAYER_RUN)
		return -ENOTTY;
	if (copy_from_user(&run, user, sizeof(run)))
		return -EFAULT;
	if (run.operation >= ARRAY_SIZE(operations) || !run.step)
		return -EINVAL;
	run.sum = 0;
	guard(mutex)(&c.layer->lock);
	for (round = 0; round < run.rounds; round++) {
		ret = operations[run.operation](&c, &run.sum);
		if (ret)
			return ret;
	}
	return copy_to_user(user, &run, sizeof(run)) ? -EFAULT : 0;
}

static vm_fault_t layer_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct layer *layer = vmf->vma->vm_private_data;

	if (order != PMD_ORDER || vmf->pgoff >= HPAGE_PMD_NR)
		return VM_FAULT_FALLBACK;
	return vmf_insert_folio_pmd(vmf, layer->folio, vmf->flags & FAULT_FLAG_WRITE);
}

static vm_fault_t layer_fault(struct vm_fault *vmf)
{
	struct layer *layer = vmf->vma->vm_private_data;

	if (vmf->pgoff >= HPAGE_PMD_NR)
		return VM_FAULT_SIGBUS;
	folio_get(layer->folio);
	vmf->page = folio_page(layer->folio, vmf->pgoff);
	return 0;
}

static const struct vm_operations_struct layer_vm_ops = {
	.huge_fault = layer_huge_fault,
	.fault = layer_fault,
};

static int layer_mmap_prepare(struct vm_area_desc *desc)
{
	unsigned long size = vma_desc_size(desc);
	int err = twin_deny_cow(desc);

	if (err)
		return err;
	if (desc->pgoff < LAYER_REMAP >> PAGE_SHIFT) {
		vma_desc_set_flags(desc, VMA_HUGEPAGE_BIT);
		desc->vm_ops = &layer_vm_ops;
		desc->private_data = desc->file->private_data;
		return 0;
	}
	if (size > FIRMWARE_SIZE)
		return -EINVAL;
	switch (desc->pgoff << PAGE_SHIFT) {
	case LAYER_REMAP:
		mmap_action_remap_full(desc, FIRMWARE >> PAGE_SHIFT);
		return 0;
	case LAYER_IO_REMAP:
		mmap_action_ioremap_full(desc, FIRMWARE >> PAGE_SHIFT);
		return 0;
	case LAYER_SIMPLE_IO_REMAP:
		desc->pgoff = 0;
		mmap_action_simple_ioremap(desc, FIRMWARE, FIRMWARE_SIZE);
		return 0;
	default:
		return -EINVAL;
	}
}

static void layer_free(struct layer *layer)
{
	size_t i;

	for (i = 0; i < BUFFER_PAGES; i++)
		if (layer->pages[i])
			__free_page(layer->pages[i]);
	if (layer->folio)
		folio_put(layer->folio);
	kvfree(layer->scratch);
	kfree(layer);
}

static int layer_open(struct inode *inode, struct file *file)
{
	struct layer *layer = kzalloc_obj(*layer);
	size_t i;

	if (!layer)
		return -ENOMEM;
	mutex_init(&layer->lock);
	layer->folio = folio_alloc(GFP_KERNEL | __GFP_ZERO, PMD_ORDER);
	layer->scratch = kvzalloc(LAYER_BUFFER, GFP_KERNEL);
	if (!layer->folio || !layer->scratch)
		goto free;
	for (i = 0; i < BUFFER_PAGES; i++) {
		layer->pages[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!layer->pages[i])
			goto free;
	}
	file->private_data = layer;
	return 0;
free:
	layer_free(layer);
	return -ENOMEM;
}

static int layer_release(struct inode *inode, struct file *file)
{
	layer_free(file->private_data);
	return 0;
}

static const struct file_operations layer_fops = {
	.owner = THIS_MODULE,
	.open = layer_open,
	.release = layer_release,
	.unlocked_ioctl = layer_ioctl,
	.mmap_prepare = layer_mmap_prepare,
};

TWIN_MODULE(layer_fops);

MODULE_DESCRIPTION("C twin of rust_layer: one operation of the kernel's, again and again");
MODULE_LICENSE("GPL");
