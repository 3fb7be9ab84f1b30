// SPDX-License-Identifier: GPL-2.0

#include <linux/fs.h>
#include <linux/rust_file.h>

__rust_helper const struct inode *
rust_helper_file_opened_user_inode(const struct file *file)
{
	return file_opened_user_inode(file);
}

__rust_helper bool rust_helper_file_is_opened(const struct file *file)
{
	return file_is_opened(file);
}

__rust_helper bool rust_helper_kiocb_is_nonblocking(const struct kiocb *kiocb)
{
	return kiocb_is_nonblocking(kiocb);
}

__rust_helper void rust_helper_file_set_opened(struct file *file, bool opened)
{
	file_set_opened(file, opened);
}

__rust_helper void rust_helper_file_set_mapping(struct file *file,
						struct address_space *mapping)
{
	file_set_mapping(file, mapping);
}
