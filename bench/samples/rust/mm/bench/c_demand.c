// SPDX-License-Identifier: GPL-2.0

/* Memory that the driver allocates on demand and can revoke: the C twin of rust_mmap_demand. */

#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/refcount.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "twin.h"

TWIN_DEVICE("c_demand");

static unsigned int pages = 64;
module_param(pages, uint, 0444);
MODULE_PARM_DESC(pages, "Size of the memory in pages, up to 1048576");

#define MOST_PAGES	(1U << 20)

#define DEMAND_REVOKE	_IO('d', 0)
#define DEMAND_RESTORE	_IO('d', 1)
#define DEMAND_TAKE	_IOW('d', 2, __u32)
#define DEMAND_CLEAN	_IOR('d', 3, __u32)

struct demand_page {
	/* NULL before the first access and after DEMAND_TAKE. */
	struct folio *folio;
	/* Whether the page was written since the last DEMAND_CLEAN. */
	bool dirty;
};

struct memory {
	/* Protects the pages and @revoked. */
	struct mutex lock;
	struct demand_page *pages;
	unsigned long nr_pages;
	bool revoked;
	/* Has all mappings of the device. */
	struct inode *inode;
	/* Protects the list of mappings. */
	struct mutex mappings_lock;
	struct list_head mappings;
	long next_id;
};

/* The data of a mapping, which all VMAs share that were made from it. */
struct demand_mapping {
	struct memory *memory;
	struct list_head node;
	long id;
	refcount_t vmas;
	atomic64_t faults;
	atomic64_t mkwrites;
	atomic64_t vma_lock;
	atomic64_t around;
};

static struct memory the_memory = {
	.lock = __MUTEX_INITIALIZER(the_memory.lock),
	.mappings_lock = __MUTEX_INITIALIZER(the_memory.mappings_lock),
	.mappings = LIST_HEAD_INIT(the_memory.mappings),
};

static int demand_mapped(unsigned long start, unsigned long end, pgoff_t pgoff,
			 const struct file *file, void **vm_private_data)
{
	struct memory *m = file->private_data;
	struct demand_mapping *mapping = kzalloc_obj(*mapping, GFP_KERNEL_ACCOUNT);

	if (!mapping)
		return -ENOMEM;
	mapping->memory = m;
	refcount_set(&mapping->vmas, 1);
	mutex_lock(&m->mappings_lock);
	mapping->id = m->next_id++;
	list_add_tail(&mapping->node, &m->mappings);
	mutex_unlock(&m->mappings_lock);
	*vm_private_data = mapping;
	return 0;
}

static void demand_vma_open(struct vm_area_struct *vma)
{
	struct demand_mapping *mapping = vma->vm_private_data;

	/* NULL if demand_mapped() has failed. */
	if (mapping)
		refcount_inc(&mapping->vmas);
}

static void demand_vma_close(struct vm_area_struct *vma)
{
	struct demand_mapping *mapping = vma->vm_private_data;

	if (!mapping || !refcount_dec_and_test(&mapping->vmas))
		return;
	mutex_lock(&mapping->memory->mappings_lock);
	list_del(&mapping->node);
	mutex_unlock(&mapping->memory->mappings_lock);
	kfree(mapping);
}

static vm_fault_t demand_fault(struct vm_fault *vmf)
{
	struct demand_mapping *mapping = vmf->vma->vm_private_data;
	struct demand_page *page;
	struct memory *m;
	vm_fault_t ret;

	if (unlikely(!mapping))
		return VM_FAULT_SIGBUS;
	m = mapping->memory;
	if (unlikely(vmf->pgoff >= m->nr_pages))
		return VM_FAULT_SIGBUS;
	atomic64_inc(&mapping->faults);
	if (vmf->flags & FAULT_FLAG_VMA_LOCK)
		atomic64_inc(&mapping->vma_lock);

	/* Held until the page is mapped: what unmaps it does so under this lock, or later. */
	mutex_lock(&m->lock);
	if (unlikely(m->revoked)) {
		mutex_unlock(&m->lock);
		return VM_FAULT_SIGBUS;
	}
	page = &m->pages[vmf->pgoff];
	if (!page->folio) {
		page->folio = vma_alloc_folio(GFP_KERNEL_ACCOUNT | __GFP_ZERO, 0, vmf->vma,
					      vmf->address);
		if (!page->folio) {
			mutex_unlock(&m->lock);
			return VM_FAULT_OOM;
		}
	}
	/* Not for writing: a write has a fault of its own, and demand_page_mkwrite() counts it. */
	ret = vmf_insert_page_mkwrite(vmf, folio_page(page->folio, 0), false);
	mutex_unlock(&m->lock);
	return ret;
}

static vm_fault_t demand_map_pages(struct vm_fault *vmf, pgoff_t start, pgoff_t end)
{
	struct vm_area_struct *vma = vmf->vma;
	struct demand_mapping *mapping = vma->vm_private_data;
	unsigned long addr;
	vm_fault_t ret = 0;
	struct memory *m;
	int count = 0;
	pte_t *first;

	if (unlikely(!mapping))
		return 0;
	m = mapping->memory;
	/* Called under RCU, so it must not sleep. */
	if (!mutex_trylock(&m->lock))
		return 0;
	if (unlikely(m->revoked))
		goto unlock;
	addr = vma->vm_start + ((start - vma->vm_pgoff) << PAGE_SHIFT);
	first = pte_offset_map_lock(vma->vm_mm, vmf->pmd, addr, &vmf->ptl);
	if (!first)
		goto unlock;
	vmf->pte = first;
	for (; start <= end; start++, vmf->pte++, addr += PAGE_SIZE) {
		struct folio *folio = m->pages[start].folio;

		if (!folio || !pte_none(ptep_get(vmf->pte)))
			continue;
		folio_get(folio);
		set_pte_range(vmf, folio, folio_page(folio, 0), 1, addr);
		if (start == vmf->pgoff)
			ret = VM_FAULT_NOPAGE;
		count++;
	}
	/* The pages are no pages of shmem. */
	add_mm_counter(vma->vm_mm, MM_FILEPAGES, count);
	pte_unmap_unlock(first, vmf->ptl);
	vmf->pte = NULL;
	atomic64_add(count, &mapping->around);
unlock:
	mutex_unlock(&m->lock);
	return ret;
}

static vm_fault_t demand_page_mkwrite(struct vm_fault *vmf)
{
	struct demand_mapping *mapping = vmf->vma->vm_private_data;
	struct folio *folio = page_folio(vmf->page);
	struct memory *m = mapping->memory;
	struct demand_page *page;

	mutex_lock(&m->lock);
	page = &m->pages[vmf->pgoff];
	if (unlikely(m->revoked || page->folio != folio)) {
		/* Was unmapped since the kernel looked it up: the access faults again. */
		mutex_unlock(&m->lock);
		return VM_FAULT_NOPAGE;
	}
	page->dirty = true;
	mutex_unlock(&m->lock);
	atomic64_inc(&mapping->mkwrites);
	folio_lock(folio);
	return VM_FAULT_LOCKED;
}

static const struct vm_operations_struct demand_vm_ops = {
	.mapped = demand_mapped,
	.open = demand_vma_open,
	.close = demand_vma_close,
	.fault = demand_fault,
	.map_pages = demand_map_pages,
	.page_mkwrite = demand_page_mkwrite,
};

static int demand_open(struct inode *inode, struct file *file)
{
	struct memory *m = &the_memory;

	file->f_mapping = m->inode->i_mapping;
	file->private_data = m;
	return 0;
}

static int demand_mmap_prepare(struct vm_area_desc *desc)
{
	struct memory *m = desc->file->private_data;
	int err = twin_deny_cow(desc);

	if (err)
		return err;
	/* For user space to know early; the faults check it as well. */
	if (READ_ONCE(m->revoked))
		return -ENODEV;
	if (desc->pgoff >= m->nr_pages || vma_desc_pages(desc) > m->nr_pages - desc->pgoff)
		return -ENXIO;
	/* A VMA that was merged or has grown would need more data than that of one mapping. */
	vma_desc_set_flags(desc, VMA_DONTEXPAND_BIT);
	desc->vm_ops = &demand_vm_ops;
	return 0;
}

static void demand_revoke(struct memory *m)
{
	mutex_lock(&m->lock);
	m->revoked = true;
	mutex_unlock(&m->lock);
	/* No fault maps a page from here on. */
	unmap_mapping_range(m->inode->i_mapping, 0, 0, 1);
}

static void demand_restore(struct memory *m)
{
	mutex_lock(&m->lock);
	m->revoked = false;
	mutex_unlock(&m->lock);
}

static int demand_take(struct memory *m, u32 index)
{
	struct demand_page *page;
	struct folio *folio;

	if (index >= m->nr_pages)
		return -EINVAL;
	mutex_lock(&m->lock);
	page = &m->pages[index];
	folio = page->folio;
	*page = (struct demand_page){};
	unmap_mapping_pages(m->inode->i_mapping, index, 1, false);
	mutex_unlock(&m->lock);
	if (folio)
		folio_put(folio);
	return 0;
}

static u32 demand_clean(struct memory *m, unsigned long start, unsigned long end)
{
	unsigned long i;
	u32 dirty = 0;

	mutex_lock(&m->lock);
	for (i = start; i < min(end, m->nr_pages); i++) {
		if (!m->pages[i].dirty)
			continue;
		dirty++;
		unmap_mapping_pages(m->inode->i_mapping, i, 1, false);
		/* Pairs with the barrier in try_grab_folio_fast(). */
		smp_mb();
		m->pages[i].dirty = folio_maybe_dma_pinned(m->pages[i].folio);
	}
	mutex_unlock(&m->lock);
	return dirty;
}

static int demand_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	if (start < 0 || end < start)
		return 0;
	demand_clean(file->private_data, start >> PAGE_SHIFT, (end >> PAGE_SHIFT) + 1);
	return 0;
}

static long demand_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct memory *m = file->private_data;
	u32 __user *user = (u32 __user *)arg;
	u32 index;

	switch (cmd) {
	case DEMAND_REVOKE:
		demand_revoke(m);
		return 0;
	case DEMAND_RESTORE:
		demand_restore(m);
		return 0;
	case DEMAND_TAKE:
		if (get_user(index, user))
			return -EFAULT;
		return demand_take(m, index);
	case DEMAND_CLEAN:
		/* Cleaning loses the flags, so check first that user space can get the result. */
		if (put_user(0, user))
			return -EFAULT;
		return put_user(demand_clean(m, 0, m->nr_pages), user);
	default:
		return -ENOTTY;
	}
}

static void demand_show_fdinfo(struct seq_file *s, struct file *file)
{
	long vmas = 0, faults = 0, mkwrites = 0, vma_lock = 0, around = 0, mappings = 0;
	struct memory *m = file->private_data;
	struct demand_mapping *mapping;
	unsigned long i, present = 0, dirty = 0;
	bool revoked;

	mutex_lock(&m->lock);
	for (i = 0; i < m->nr_pages; i++) {
		present += !!m->pages[i].folio;
		dirty += m->pages[i].dirty;
	}
	revoked = m->revoked;
	mutex_unlock(&m->lock);
	seq_printf(s, "size:\t%lu\n", m->nr_pages << PAGE_SHIFT);
	seq_printf(s, "present:\t%lu\n", present);
	seq_printf(s, "dirty:\t%lu\n", dirty);
	seq_printf(s, "revoked:\t%d\n", revoked);

	mutex_lock(&m->mappings_lock);
	list_for_each_entry(mapping, &m->mappings, node) {
		mappings++;
		vmas += refcount_read(&mapping->vmas);
		faults += atomic64_read(&mapping->faults);
		mkwrites += atomic64_read(&mapping->mkwrites);
		vma_lock += atomic64_read(&mapping->vma_lock);
		around += atomic64_read(&mapping->around);
	}
	seq_printf(s, "mappings:\t%ld\n", mappings);
	seq_printf(s, "vmas:\t%ld\n", vmas);
	seq_printf(s, "faults:\t%ld\n", faults);
	seq_printf(s, "mkwrites:\t%ld\n", mkwrites);
	seq_printf(s, "vma_lock_faults:\t%ld\n", vma_lock);
	seq_printf(s, "pages_around:\t%ld\n", around);
	list_for_each_entry(mapping, &m->mappings, node)
		seq_printf(s, "mapping %ld:\t%u VMAs, %lld faults, %lld first writes\n",
			   mapping->id, refcount_read(&mapping->vmas),
			   atomic64_read(&mapping->faults), atomic64_read(&mapping->mkwrites));
	mutex_unlock(&m->mappings_lock);
}

static const struct file_operations demand_fops = {
	.owner = THIS_MODULE,
	.open = demand_open,
	.fsync = demand_fsync,
	.mmap_prepare = demand_mmap_prepare,
	.unlocked_ioctl = demand_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.show_fdinfo = demand_show_fdinfo,
};

static struct miscdevice demand_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.fops = &demand_fops,
};

static int __init demand_init(void)
{
	struct memory *m = &the_memory;
	int err;

	if (!pages)
		return -EINVAL;
	if (pages > MOST_PAGES)
		return -ENOMEM;
	m->nr_pages = pages;
	m->pages = kvcalloc(pages, sizeof(*m->pages), GFP_KERNEL | __GFP_NOWARN);
	if (!m->pages)
		return -ENOMEM;
	m->inode = twin_inode(device);
	if (IS_ERR(m->inode)) {
		err = PTR_ERR(m->inode);
		goto free_pages;
	}
	demand_misc.name = device;
	err = misc_register(&demand_misc);
	if (err)
		goto put_inode;
	return 0;

put_inode:
	iput(m->inode);
free_pages:
	kvfree(m->pages);
	return err;
}
module_init(demand_init);

static void __exit demand_exit(void)
{
	struct memory *m = &the_memory;
	unsigned long i;

	misc_deregister(&demand_misc);
	for (i = 0; i < m->nr_pages; i++)
		if (m->pages[i].folio)
			folio_put(m->pages[i].folio);
	iput(m->inode);
	kvfree(m->pages);
}
module_exit(demand_exit);

MODULE_DESCRIPTION("C twin of rust_mmap_demand: memory allocated on demand");
MODULE_LICENSE("GPL");
