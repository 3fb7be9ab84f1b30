// SPDX-License-Identifier: GPL-2.0

/* Paths of files, for Rust. */

#include <linux/dcache.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/rust_file.h>
#include <linux/sched.h>

/**
 * rust_file_user_d_path() - Return the path of the file that user space has opened
 * @file: An opened file.
 * @buf: Where the path may be put.
 * @len: Size of @buf.
 *
 * Context: May be called from the work that a task does while it exits.
 * Return: The path, in @buf; an error pointer if @buf is too small, or if the current
 * task has no file system context any longer, which paths are relative to.
 */
char *rust_file_user_d_path(struct file *file, char *buf, int len)
{
	/* A file can be closed by what is left of a process. */
	if (!current->fs)
		return ERR_PTR(-ESRCH);
	return d_path(file_user_path(file), buf, len);
}
EXPORT_SYMBOL_GPL(rust_file_user_d_path);
