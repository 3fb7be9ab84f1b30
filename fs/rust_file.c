// SPDX-License-Identifier: GPL-2.0

/* File paths for Rust. */

#include <linux/dcache.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/rust_file.h>
#include <linux/sched.h>

/**
 * rust_file_user_d_path() - Return the path of the file that user space has opened
 * @file: A file whose open has succeeded.
 * @buf: Buffer for the path.
 * @len: Size of @buf.
 *
 * If @file is the backing file of a stacked file system, the path is that of the upper file.
 *
 * Context: Process context; also while the current task exits. Does not sleep, but takes
 * spinlocks.
 * Return: The path, somewhere in @buf; -ENAMETOOLONG as an error pointer if @buf is too
 * small, or -ESRCH if the current task no longer has a root that the path is relative to.
 */
char *rust_file_user_d_path(struct file *file, char *buf, int len)
{
	/* An exiting task closes files after it has given up its fs_struct. */
	if (!current->fs)
		return ERR_PTR(-ESRCH);
	return d_path(file_user_path(file), buf, len);
}
EXPORT_SYMBOL_GPL(rust_file_user_d_path);
