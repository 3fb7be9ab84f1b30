// SPDX-License-Identifier: GPL-2.0

/*
 * Pages that are mapped like those of an ordinary file: the C twin of rust_mmap_plain.
 *
 * c_plain has no map_pages, like the drivers in the tree: the kernel then retries each fault under
 * the mmap lock. c_plain_mp is this file with one that does nothing.
 */

#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "twin.h"

#ifdef PLAIN_MAP_PAGES
TWIN_DEVICE("c_plain_mp");
#else
TWIN_DEVICE("c_plain");
#endif

static unsigned int pages = 16;
module_param(pages, uint, 0444);
MODULE_PARM_DESC(pages, "Size of the memory in pages, up to 1048576");

static unsigned int read_only;
module_param(read_only, uint, 0444);
MODULE_PARM_DESC(read_only, "Number of pages at the end of the memory that are read-only");

static bool retry;
module_param(retry, bool, 0444);
MODULE_PARM_DESC(retry, "1 to have the kernel repeat each fault");

#define MOST_PAGES	(1U << 20)

struct memory {
	struct folio **folios;
	unsigned long nr_pages;
	unsigned long first_read_only;
	/* The calls of the callbacks. */
	atomic64_t mapped;
	atomic64_t opened;
	atomic64_t closed;
	atomic64_t faults;
	atomic64_t retries;
};

static struct memory the_memory;

static int plain_mapped(unsigned long start, unsigned long end, pgoff_t pgoff,
			const struct file *file, void **vm_private_data)
{
	struct memory *m = *vm_private_data;

	atomic64_inc(&m->mapped);
	return 0;
}

static void plain_vma_open(struct vm_area_struct *vma)
{
	struct memory *m = vma->vm_private_data;

	atomic64_inc(&m->opened);
}

static void plain_vma_close(struct vm_area_struct *vma)
{
	struct memory *m = vma->vm_private_data;

	atomic64_inc(&m->closed);
}

static vm_fault_t plain_fault(struct vm_fault *vmf)
{
	struct memory *m = vmf->vma->vm_private_data;
	struct folio *folio;

	if (unlikely(retry) && fault_flag_allow_retry_first(vmf->flags)) {
		atomic64_inc(&m->retries);
		if (!(vmf->flags & FAULT_FLAG_RETRY_NOWAIT))
			release_fault_lock(vmf);
		return VM_FAULT_RETRY;
	}
	atomic64_inc(&m->faults);
	if (unlikely(vmf->pgoff >= m->nr_pages))
		return VM_FAULT_SIGBUS;
	/* mremap() may have grown a writable mapping over these pages. */
	if (unlikely(vmf->pgoff >= m->first_read_only) && vma_is_shared_maywrite(vmf->vma))
		return VM_FAULT_SIGBUS;
	folio = m->folios[vmf->pgoff];
	/* vmf_insert_page_mkwrite() does not replace a marker of userfaultfd; the kernel does. */
	if (vmf->pgoff % 2 == 0 || unlikely(!pte_none(vmf->orig_pte))) {
		folio_get(folio);
		vmf->page = folio_page(folio, 0);
		return 0;
	}
	return vmf_insert_page_mkwrite(vmf, folio_page(folio, 0), vmf->flags & FAULT_FLAG_WRITE);
}

#ifdef PLAIN_MAP_PAGES
static vm_fault_t plain_map_pages(struct vm_fault *vmf, pgoff_t start, pgoff_t end)
{
	return 0;
}
#endif

static const struct vm_operations_struct plain_vm_ops = {
	.mapped = plain_mapped,
	.open = plain_vma_open,
	.close = plain_vma_close,
	.fault = plain_fault,
#ifdef PLAIN_MAP_PAGES
	.map_pages = plain_map_pages,
#endif
};

static int plain_open(struct inode *inode, struct file *file)
{
	file->private_data = &the_memory;
	return 0;
}

static int plain_mmap_prepare(struct vm_area_desc *desc)
{
	struct memory *m = desc->file->private_data;
	int err = twin_deny_cow(desc);

	if (err)
		return err;
	/* As with a file, a mapping may extend past the end of the memory. */
	if (desc->pgoff < m->nr_pages &&
	    desc->pgoff + vma_desc_pages(desc) > m->first_read_only &&
	    m->first_read_only < m->nr_pages && is_shared_maywrite(&desc->vma_flags))
		return -EACCES;
	desc->vm_ops = &plain_vm_ops;
	desc->private_data = m;
	return 0;
}

static void plain_show_fdinfo(struct seq_file *s, struct file *file)
{
	struct memory *m = file->private_data;

	seq_printf(s, "size:\t%lu\n", m->nr_pages << PAGE_SHIFT);
	seq_printf(s, "mapped:\t%lld\n", atomic64_read(&m->mapped));
	seq_printf(s, "opened:\t%lld\n", atomic64_read(&m->opened));
	seq_printf(s, "closed:\t%lld\n", atomic64_read(&m->closed));
	seq_printf(s, "faults:\t%lld\n", atomic64_read(&m->faults));
	seq_printf(s, "retries:\t%lld\n", atomic64_read(&m->retries));
}

static const struct file_operations plain_fops = {
	.owner = THIS_MODULE,
	.open = plain_open,
	.mmap_prepare = plain_mmap_prepare,
	.show_fdinfo = plain_show_fdinfo,
};

static struct miscdevice plain_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.fops = &plain_fops,
};

static void plain_free(struct memory *m)
{
	while (m->nr_pages)
		folio_put(m->folios[--m->nr_pages]);
	kvfree(m->folios);
}

static int __init plain_init(void)
{
	struct memory *m = &the_memory;
	int err;

	if (pages > MOST_PAGES)
		return -ENOMEM;
	if (read_only > pages)
		return -EINVAL;
	m->first_read_only = pages - read_only;
	m->folios = kvmalloc_array(pages, sizeof(*m->folios), GFP_KERNEL | __GFP_NOWARN);
	if (!m->folios)
		return -ENOMEM;
	for (; m->nr_pages < pages; m->nr_pages++) {
		m->folios[m->nr_pages] = folio_alloc(GFP_KERNEL | __GFP_ZERO, 0);
		if (!m->folios[m->nr_pages]) {
			err = -ENOMEM;
			goto free;
		}
	}
	plain_misc.name = device;
	err = misc_register(&plain_misc);
	if (!err)
		return 0;
free:
	plain_free(m);
	return err;
}
module_init(plain_init);

static void __exit plain_exit(void)
{
	misc_deregister(&plain_misc);
	plain_free(&the_memory);
}
module_exit(plain_exit);

MODULE_DESCRIPTION("C twin of rust_mmap_plain: pages mapped like those of an ordinary file");
MODULE_LICENSE("GPL");
