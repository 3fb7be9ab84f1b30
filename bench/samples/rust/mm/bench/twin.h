/* SPDX-License-Identifier: GPL-2.0 */

/* What the C twins of the sample drivers have in common. */

#ifndef RUST_MM_TWIN_H
#define RUST_MM_TWIN_H

#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

/*
 * The name of the device. It is the module's own, so that the twin and the Rust sample can be
 * loaded at the same time; the tests of the sample give it the name that they open.
 */
#define TWIN_DEVICE(name)						\
	static char *device = name;					\
	module_param(device, charp, 0444);				\
	MODULE_PARM_DESC(device, "Name of the device")

/* The rest of a module that is nothing but a misc device with the operations @fops_. */
#define TWIN_MODULE(fops_)						\
	static struct miscdevice twin_misc = {				\
		.minor = MISC_DYNAMIC_MINOR,				\
		.fops = &(fops_),					\
	};								\
									\
	static int __init twin_init(void)				\
	{								\
		twin_misc.name = device;				\
		return misc_register(&twin_misc);			\
	}								\
	module_init(twin_init);						\
									\
	static void __exit twin_exit(void)				\
	{								\
		misc_deregister(&twin_misc);				\
	}								\
	module_exit(twin_exit)

/**
 * twin_deny_cow() - Refuse copy-on-write pages in a mapping
 * @desc: The mapping.
 *
 * Return: 0; -EINVAL if user space has asked for a private mapping that it can write to.
 */
static inline int twin_deny_cow(struct vm_area_desc *desc)
{
	if (!vma_desc_is_cow_mapping(desc))
		return 0;
	if (vma_desc_test(desc, VMA_WRITE_BIT))
		return -EINVAL;
	vma_desc_clear_flags(desc, VMA_MAYWRITE_BIT);
	return 0;
}

/**
 * twin_inode() - Make an inode whose address space has the mappings of a device
 * @name: Name of the device.
 *
 * A device can have several inodes in the file system. The driver sets @f_mapping of its files to
 * the address space of this one, so that unmap_mapping_range() finds all mappings.
 *
 * Return: The inode, which the caller drops with iput(), or an error pointer.
 */
static inline struct inode *twin_inode(const char *name)
{
	/* The operations are built in: the file may be released after the module is unloaded. */
	struct file *file = anon_inode_create_getfile(name, &generic_ro_fops, NULL, O_RDWR, NULL);
	struct inode *inode;

	if (IS_ERR(file))
		return ERR_CAST(file);
	inode = file_inode(file);
	ihold(inode);
	fput(file);
	return inode;
}

#endif /* RUST_MM_TWIN_H */
