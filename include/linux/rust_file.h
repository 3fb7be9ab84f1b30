/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Files for Rust: functions that rust/kernel/ needs and that the rest of the kernel does not
 * have.
 */
#ifndef _LINUX_RUST_FILE_H
#define _LINUX_RUST_FILE_H

#include <linux/fs.h>
#include <linux/eventpoll.h>

/* What ->poll returns, for fs::poll::Events. */
enum rust_poll_events {
	RUST_POLL_READABLE = (__force u32)(EPOLLIN | EPOLLRDNORM),
	RUST_POLL_WRITABLE = (__force u32)(EPOLLOUT | EPOLLWRNORM),
	RUST_POLL_PRIORITY = (__force u32)EPOLLPRI,
	RUST_POLL_ERROR = (__force u32)EPOLLERR,
	RUST_POLL_HANGUP = (__force u32)EPOLLHUP,
};

/**
 * file_set_mapping() - Give a file the address space of its device
 * @file: A file that is being opened.
 * @mapping: The address space, or NULL if the device has none of its own.
 *
 * Context: ->open of the file, after it has set the private data. Does not sleep.
 */
static inline void file_set_mapping(struct file *file,
				    struct address_space *mapping)
{
	if (mapping)
		file->f_mapping = mapping;
	/*
	 * f_mapping and private_data must be visible before FMODE_OPENED, which the caller of
	 * ->open sets. Pairs with file_is_opened().
	 */
	smp_wmb();
}

/**
 * file_is_opened() - Check whether the open of a file has succeeded
 * @file: The file.
 *
 * Until its open has succeeded, a file may lack the private data and the address space that
 * its operations expect. If the open fails, the kernel releases the path and the inode of
 * the file as well, even if a reference to the file is still held.
 *
 * Context: Any context. The caller keeps the file from being freed.
 * Return: Whether the file is open, so that its private data and address space can be used.
 */
static inline bool file_is_opened(const struct file *file)
{
	if (!(READ_ONCE(file->f_mode) & FMODE_OPENED))
		return false;
	/*
	 * Pairs with file_set_mapping(): the file may come from a thread that published it in
	 * its ->open.
	 */
	smp_rmb();
	return true;
}

/**
 * file_opened_user_inode() - Return the inode that user space has opened
 * @file: The file.
 *
 * Context: As file_is_opened().
 * Return: The inode, or NULL if the open of the file has not succeeded.
 */
static inline const struct inode *file_opened_user_inode(const struct file *file)
{
	return file_is_opened(file) ? file_user_inode(file) : NULL;
}

/**
 * file_set_opened() - Set whether a file that is being made counts as opened
 * @file: A file that was made without ->open, which counts as opened from the start.
 * @opened: Whether the file counts as opened.
 *
 * Context: Process context. The caller has just made the file, and holds a reference to it.
 */
static inline void file_set_opened(struct file *file, bool opened)
{
	fmode_t mode = file->f_mode & ~FMODE_OPENED;

	/* Pairs with file_is_opened(); file_set_mapping() has the barrier. */
	WRITE_ONCE(file->f_mode, opened ? mode | FMODE_OPENED : mode);
}

/**
 * kiocb_is_nonblocking() - Check whether a read or write must not wait
 * @kiocb: The operation.
 *
 * Context: ->read_iter or ->write_iter.
 * Return: Whether the file has O_NONBLOCK, or the operation has IOCB_NOWAIT.
 */
static inline bool kiocb_is_nonblocking(const struct kiocb *kiocb)
{
	return kiocb->ki_flags & IOCB_NOWAIT ||
	       READ_ONCE(kiocb->ki_filp->f_flags) & O_NONBLOCK;
}

struct rust_cdev;

struct rust_cdev *rust_cdev_add(dev_t devt, const char *name,
				const struct file_operations *fops, void *data);
void rust_cdev_del(struct rust_cdev *rdev);
void *rust_cdev_open_begin(struct inode *inode);
void rust_cdev_open_end(struct inode *inode);

struct file *rust_file_anon(const char *name, const struct file_operations *fops,
			    int flags);
int rust_file_user_d_path(struct file *file, char *buf, int len);

#endif /* _LINUX_RUST_FILE_H */
