/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Files for Rust: what rust/kernel/fs/ calls and C has no function for.
 */
#ifndef _LINUX_RUST_FILE_H
#define _LINUX_RUST_FILE_H

#include <linux/fs.h>

/*
 * Gives a file that is being opened the address space of its device, if the device
 * has one of its own.
 */
static inline void file_set_mapping(struct file *file,
				    struct address_space *mapping)
{
	if (mapping)
		file->f_mapping = mapping;
	/* This and the private data are visible before FMODE_OPENED is. */
	smp_wmb();
}

/*
 * Returns whether the file has been opened. While it is being opened, its private data
 * and its address space are not what its operations expect; and where opening fails,
 * they, its path and its inode are released, though a reference to the file may be held.
 */
static inline bool file_is_opened(const struct file *file)
{
	if (!(READ_ONCE(file->f_mode) & FMODE_OPENED))
		return false;
	/* Pairs with file_set_mapping(), for threads that got the file from its open. */
	smp_rmb();
	return true;
}

char *rust_file_user_d_path(struct file *file, char *buf, int len);

#endif /* _LINUX_RUST_FILE_H */
