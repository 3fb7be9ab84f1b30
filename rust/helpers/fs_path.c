// SPDX-License-Identifier: GPL-2.0

#include <linux/dcache.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/sched.h>

__rust_helper char *rust_helper_file_user_d_path(struct file *file, char *buf,
						 int len)
{
	/* A file can be closed by what is left of a process. */
	if (!current->fs)
		return ERR_PTR(-ESRCH);
	return d_path(file_user_path(file), buf, len);
}

__rust_helper dev_t rust_helper_file_user_dev(const struct file *file)
{
	return file_user_inode(file)->i_sb->s_dev;
}

__rust_helper u64 rust_helper_file_user_ino(const struct file *file)
{
	return file_user_inode(file)->i_ino;
}
