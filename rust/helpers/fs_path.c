// SPDX-License-Identifier: GPL-2.0

#include <linux/dcache.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/sched.h>

/*
 * Has the file been opened? While it is being opened, its private data and its
 * address space are not what its operations expect; and where that fails, they,
 * its path and its inode go away again, though somebody may have kept the file.
 */
__rust_helper bool rust_helper_file_is_opened(const struct file *file)
{
	if (!(READ_ONCE(file->f_mode) & FMODE_OPENED))
		return false;
	/* With file_set_mapping(), for who has the file from its open. */
	smp_rmb();
	return true;
}

/* Only for tests, which make files that are open from the start. */
__rust_helper void rust_helper_file_mark_opened(struct file *file, bool opened)
{
	if (opened)
		file->f_mode |= FMODE_OPENED;
	else
		file->f_mode &= ~FMODE_OPENED;
}

/* Takes a reference, unless the file is being released. */
__rust_helper bool rust_helper_file_try_get(struct file *file)
{
	return file_ref_get(&file->f_ref);
}

/* Gives a file that is being opened the address space of its device, if there is one. */
__rust_helper void rust_helper_file_set_mapping(struct file *file,
						struct address_space *mapping)
{
	if (mapping)
		file->f_mapping = mapping;
	/* This and the private data before the open is known to be done. */
	smp_wmb();
}

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
