// SPDX-License-Identifier: GPL-2.0

/* Memory of a PCI device (QEMU's ivshmem-plain) in user space: the C twin of rust_mmap_pfn. */

#include <linux/kref.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/rwsem.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "twin.h"

TWIN_DEVICE("c_pfn");

/* The page offset of the view in which the first fault maps the whole VMA. */
#define FILL_FIRST	(1UL << (40 - PAGE_SHIFT))
#define MEMORY_BAR	2

/* Of a device that is bound, and of files that were opened then. */
struct shm {
	struct kref kref;
	struct miscdevice misc;
	/* Held for reading by a fault, for writing to revoke the memory: see shm_remove(). */
	struct rw_semaphore memory_lock;
	bool gone;
	unsigned long first_pfn;
	unsigned long nr_pages;
	/* Has all mappings of the device. */
	struct inode *inode;
	atomic64_t faults;
};

/* The device has one name, so there can be one of it. */
static DEFINE_MUTEX(bound_lock);
static struct shm *bound;

static void shm_release(struct kref *kref)
{
	struct shm *shm = container_of(kref, struct shm, kref);

	iput(shm->inode);
	kfree(shm);
}

/* The index in the BAR of the page at a page offset, in either view. */
static unsigned long shm_index(pgoff_t pgoff)
{
	return pgoff >= FILL_FIRST ? pgoff - FILL_FIRST : pgoff;
}

static vm_fault_t shm_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct shm *shm = vma->vm_private_data;
	unsigned long addr, pfn;
	vm_fault_t ret;

	atomic64_inc(&shm->faults);
	guard(rwsem_read)(&shm->memory_lock);
	if (unlikely(shm->gone))
		return VM_FAULT_SIGBUS;
	ret = vmf_insert_pfn(vma, vmf->address, shm->first_pfn + shm_index(vmf->pgoff));
	if (vmf->pgoff < FILL_FIRST)
		return ret;
	/* Map the rest as well, so that user space faults only once. */
	pfn = shm->first_pfn + shm_index(vma->vm_pgoff);
	for (addr = vma->vm_start; addr < vma->vm_end && ret == VM_FAULT_NOPAGE; addr += PAGE_SIZE)
		ret = vmf_insert_pfn(vma, addr, pfn++);
	return ret;
}

static const struct vm_operations_struct shm_vm_ops = {
	.fault = shm_fault,
	.access = generic_access_phys,
};

static int shm_open(struct inode *inode, struct file *file)
{
	struct shm *shm = container_of(file->private_data, struct shm, misc);

	/* misc_deregister() waits for this function, so the device is bound. */
	kref_get(&shm->kref);
	file->f_mapping = shm->inode->i_mapping;
	file->private_data = shm;
	return 0;
}

static int shm_file_release(struct inode *inode, struct file *file)
{
	struct shm *shm = file->private_data;

	kref_put(&shm->kref, shm_release);
	return 0;
}

static int shm_mmap_prepare(struct vm_area_desc *desc)
{
	struct shm *shm = desc->file->private_data;
	unsigned long first = shm_index(desc->pgoff);
	int err = twin_deny_cow(desc);

	if (err)
		return err;
	if (first >= shm->nr_pages || vma_desc_pages(desc) > shm->nr_pages - first)
		return -EINVAL;
	/* For user space to know early; the faults check it as well. */
	if (READ_ONCE(shm->gone))
		return -ENODEV;
	vma_desc_set_flags(desc, VMA_IO_BIT, VMA_PFNMAP_BIT, VMA_DONTEXPAND_BIT, VMA_DONTDUMP_BIT);
	desc->page_prot = pgprot_decrypted(pgprot_noncached(desc->page_prot));
	desc->vm_ops = &shm_vm_ops;
	desc->private_data = shm;
	return 0;
}

static void shm_show_fdinfo(struct seq_file *s, struct file *file)
{
	struct shm *shm = file->private_data;

	seq_printf(s, "size:\t%lu\n", shm->nr_pages << PAGE_SHIFT);
	seq_printf(s, "faults:\t%lld\n", atomic64_read(&shm->faults));
}

static const struct file_operations shm_fops = {
	.owner = THIS_MODULE,
	.open = shm_open,
	.release = shm_file_release,
	.mmap_prepare = shm_mmap_prepare,
	.show_fdinfo = shm_show_fdinfo,
};

static int shm_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct shm *shm;
	int err;

	guard(mutex)(&bound_lock);
	if (bound)
		return -EBUSY;
	err = pci_enable_device_mem(pdev);
	if (err)
		return err;
	err = pci_request_region(pdev, MEMORY_BAR, device);
	if (err)
		goto disable;
	shm = kzalloc_obj(*shm);
	if (!shm) {
		err = -ENOMEM;
		goto release;
	}
	kref_init(&shm->kref);
	init_rwsem(&shm->memory_lock);
	shm->first_pfn = pci_resource_start(pdev, MEMORY_BAR) >> PAGE_SHIFT;
	shm->nr_pages = pci_resource_len(pdev, MEMORY_BAR) >> PAGE_SHIFT;
	shm->inode = twin_inode(device);
	if (IS_ERR(shm->inode)) {
		err = PTR_ERR(shm->inode);
		kfree(shm);
		goto release;
	}
	shm->misc.minor = MISC_DYNAMIC_MINOR;
	shm->misc.name = device;
	shm->misc.fops = &shm_fops;
	err = misc_register(&shm->misc);
	if (err)
		goto put;
	pci_set_drvdata(pdev, shm);
	bound = shm;
	return 0;

put:
	kref_put(&shm->kref, shm_release);
release:
	pci_release_region(pdev, MEMORY_BAR);
disable:
	pci_disable_device(pdev);
	return err;
}

static void shm_remove(struct pci_dev *pdev)
{
	struct shm *shm = pci_get_drvdata(pdev);

	guard(mutex)(&bound_lock);
	misc_deregister(&shm->misc);
	/* No fault maps a PFN after this. */
	scoped_guard(rwsem_write, &shm->memory_lock)
		shm->gone = true;
	unmap_mapping_range(shm->inode->i_mapping, 0, 0, 1);
	pci_release_region(pdev, MEMORY_BAR);
	pci_disable_device(pdev);
	bound = NULL;
	kref_put(&shm->kref, shm_release);
}

static const struct pci_device_id shm_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT_QUMRANET, 0x1110) },
	{}
};
MODULE_DEVICE_TABLE(pci, shm_ids);

static struct pci_driver shm_driver = {
	.id_table = shm_ids,
	.probe = shm_probe,
	.remove = shm_remove,
};

static int __init shm_init(void)
{
	shm_driver.name = device;
	return pci_register_driver(&shm_driver);
}
module_init(shm_init);

static void __exit shm_exit(void)
{
	pci_unregister_driver(&shm_driver);
}
module_exit(shm_exit);

MODULE_DESCRIPTION("C twin of rust_mmap_pfn: the memory of a PCI device in user space");
MODULE_LICENSE("GPL");
