/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory files for Rust: what rust/kernel/fs/memory_file.rs, the pseudo file system in
 * fs/rust_memory_file.c, and the seals in mm/memfd.c know of each other.
 */
#ifndef _LINUX_RUST_MEMORY_FILE_H
#define _LINUX_RUST_MEMORY_FILE_H

#include <linux/fs.h>
#include <linux/rust_filemap.h>

struct folio;
struct iov_iter;
struct module;
struct vm_fault;
struct vm_operations_struct;

/**
 * struct rust_memory_type - A driver's type of memory file
 * @owner: The module of the driver; NULL if it is built in.
 * @vm_ops: The operations of the mappings.
 * @decide: Calls the driver for a fault: see rust/kernel/mm/uffd/fault.rs. NULL if it does not
 * handle faults.
 * @release: Drops the data that the driver has given a file. May sleep.
 *
 * The address identifies the type. An inode with such a type has a reference to the module.
 */
struct rust_memory_type {
	struct module *owner;
	const struct vm_operations_struct *vm_ops;
	unsigned int (*decide)(struct vm_fault *vmf, struct folio **folio);
	void (*release)(void *data);
};

/**
 * struct rust_memory_inode - The inode of a memory file
 * @seals: The seals, F_SEAL_..., as of a memfd. Written under the inode lock.
 * @modes: The userfaultfd modes that the file allows, RUST_UFFD_... Does not change.
 * @flags: RUST_MEMORY_FILE_... Does not change.
 * @type: The type of the file. Does not change before the inode is evicted.
 * @filemap: The inode. i_private is the data of the driver.
 */
struct rust_memory_inode {
	unsigned int seals;
	unsigned int modes;
	unsigned int flags;
	const struct rust_memory_type *type;
	struct rust_filemap_inode filemap;
};

static inline struct rust_memory_inode *rust_memory_inode(struct inode *inode)
{
	return container_of(inode, struct rust_memory_inode, filemap.inode);
}

/* The operations of all memory files, which Rust implements. */
struct rust_memory_tables {
	const struct file_operations *file;
	const struct inode_operations *inode;
	const struct address_space_operations *space;
};

/* The kernel may reclaim pages that were not written. */
#define RUST_MEMORY_FILE_EVICTABLE	0x1
/* The page cache may have large folios. */
#define RUST_MEMORY_FILE_HUGE		0x2
/* The file is open for reading only. */
#define RUST_MEMORY_FILE_READ_ONLY	0x4

/**
 * struct rust_memory_file_params - What a new memory file is like
 * @size: Size in bytes.
 * @flags: RUST_MEMORY_FILE_...
 * @seals: The seals that the file has from the start.
 * @modes: The userfaultfd modes that the file allows.
 */
struct rust_memory_file_params {
	u64 size;
	unsigned int flags;
	unsigned int seals;
	unsigned int modes;
};

struct file *rust_memory_file_create(const char *name,
				     const struct rust_memory_file_params *params,
				     const struct rust_memory_type *type,
				     const struct rust_memory_tables *tables, void *data);

void rust_memory_truncate(struct inode *inode, loff_t size);
bool rust_memory_release_folio(struct folio *folio, gfp_t gfp);
size_t rust_memory_read_hole(size_t len, struct iov_iter *to);

struct rust_memory_inode *rust_memory_file(const struct file *file);

/* fs/rust_memory_fill.c: the callbacks of struct vm_uffd_ops. */
bool rust_memory_can_userfault(struct vm_area_struct *vma, vm_flags_t flags);
struct folio *rust_memory_get_folio(struct inode *inode, pgoff_t index);
struct folio *rust_memory_alloc_folio(struct vm_area_struct *vma,
				      unsigned long addr);
int rust_memory_filemap_add(struct folio *folio, struct vm_area_struct *vma,
			    unsigned long addr);
void rust_memory_filemap_remove(struct folio *folio,
				struct vm_area_struct *vma);

/**
 * rust_memory_file_seals() - Find the seals of a memory file
 * @file: A file that is open, of any kind.
 *
 * Context: Any context.
 * Return: Where the seals are, or NULL if @file is another kind of file.
 */
static inline unsigned int *rust_memory_file_seals(const struct file *file)
{
	struct rust_memory_inode *memory = NULL;

	if (IS_ENABLED(CONFIG_RUST) && IS_ENABLED(CONFIG_MMU))
		memory = rust_memory_file(file);
	return memory ? &memory->seals : NULL;
}

#endif /* _LINUX_RUST_MEMORY_FILE_H */
