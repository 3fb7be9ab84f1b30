// SPDX-License-Identifier: GPL-2.0

/* Files for Rust: their paths, and files of an anonymous inode. */

#include <linux/anon_inodes.h>
#include <linux/dcache.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/rust_file.h>
#include <linux/sched.h>
#include <linux/string.h>

/**
 * rust_file_anon() - Make a file of the anonymous inode
 * @name: Name of the kind of file, which /proc/<pid>/fd and /proc/<pid>/maps show.
 * @fops: Operations of the file.
 * @flags: O_RDONLY, O_WRONLY or O_RDWR, and O_NONBLOCK.
 *
 * Anonymous files have no position, and so neither pread() nor pwrite(), unless their maker
 * says so. A file with ->llseek gets both.
 *
 * Context: Process context. May sleep.
 * Return: The file without private data, or an error pointer. It counts as opened.
 */
struct file *rust_file_anon(const char *name, const struct file_operations *fops,
			    int flags)
{
	fmode_t mode = fops->llseek ? FMODE_PREAD | FMODE_PWRITE : 0;

	return anon_inode_getfile_fmode(name, fops, NULL, flags, mode);
}
EXPORT_SYMBOL_GPL(rust_file_anon);

/**
 * rust_file_user_d_path() - Write the path of the file that user space has opened
 * @file: A file.
 * @buf: Buffer for the path, which ends with @buf.
 * @len: Size of @buf.
 *
 * If @file is the backing file of a stacked file system, the path is that of the upper file.
 *
 * Context: Process context; also while the current task exits. Does not sleep, but takes
 * spinlocks.
 * Return: The size of the path, with the zero at its end; -ENAMETOOLONG if @buf is too small;
 * -ESRCH if the current task no longer has a root that the path is relative to; -EBADF if the
 * open of the file has not succeeded.
 */
int rust_file_user_d_path(struct file *file, char *buf, int len)
{
	const struct path *path;
	char *start;
	int size;

	if (!file_is_opened(file))
		return -EBADF;
	/* An exiting task closes files after it has given up its fs_struct. */
	if (!current->fs)
		return -ESRCH;
	path = file_user_path(file);
	start = d_path(path, buf, len);
	if (IS_ERR(start))
		return PTR_ERR(start);
	/* d_path() ends its paths with the buffer; ->d_dname need not. */
	if (unlikely(path->dentry->d_op && path->dentry->d_op->d_dname)) {
		size = strlen(start) + 1;
		if (size > len)
			return -ENAMETOOLONG;
		memmove(buf + len - size, start, size);
		return size;
	}
	return buf + len - start;
}
EXPORT_SYMBOL_GPL(rust_file_user_d_path);
