// SPDX-License-Identifier: GPL-2.0

/* A buffer of memory that user space can map: the C twin of rust_mmap. */

#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "twin.h"

TWIN_DEVICE("c_mmap");

static unsigned int pages = 16;
module_param(pages, uint, 0444);
MODULE_PARM_DESC(pages, "Size of the buffer in pages");

struct buffer {
	struct page **pages;
	unsigned long nr_pages;
	atomic64_t opens;
	atomic64_t reads;
	atomic64_t writes;
	atomic64_t mmaps;
};

static struct buffer the_buffer;

static size_t buffer_size(const struct buffer *b)
{
	return b->nr_pages << PAGE_SHIFT;
}

static int buffer_open(struct inode *inode, struct file *file)
{
	struct buffer *b = &the_buffer;

	atomic64_inc(&b->opens);
	file->private_data = b;
	return 0;
}

static ssize_t buffer_copy(struct kiocb *iocb, struct iov_iter *iter,
			   size_t (*copy)(struct page *page, size_t offset, size_t bytes,
					  struct iov_iter *iter))
{
	struct buffer *b = iocb->ki_filp->private_data;
	loff_t from = iocb->ki_pos;

	iov_iter_truncate(iter, buffer_size(b) - from);
	while (iov_iter_count(iter)) {
		size_t offset = offset_in_page(iocb->ki_pos);
		size_t len = min(PAGE_SIZE - offset, iov_iter_count(iter));
		size_t done = copy(b->pages[iocb->ki_pos >> PAGE_SHIFT], offset, len, iter);

		iocb->ki_pos += done;
		if (done < len)
			break;
	}
	return iocb->ki_pos == from ? -EFAULT : iocb->ki_pos - from;
}

static ssize_t buffer_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct buffer *b = iocb->ki_filp->private_data;

	atomic64_inc(&b->reads);
	if (iocb->ki_pos < 0)
		return -EINVAL;
	if (iocb->ki_pos >= buffer_size(b) || !iov_iter_count(to))
		return 0;
	return buffer_copy(iocb, to, copy_page_to_iter);
}

static ssize_t buffer_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct buffer *b = iocb->ki_filp->private_data;

	atomic64_inc(&b->writes);
	if (iocb->ki_pos < 0)
		return -EINVAL;
	if (!iov_iter_count(from))
		return 0;
	if (iocb->ki_pos >= buffer_size(b))
		return -ENOSPC;
	return buffer_copy(iocb, from, copy_page_from_iter);
}

static loff_t buffer_llseek(struct file *file, loff_t offset, int whence)
{
	struct buffer *b = file->private_data;

	return fixed_size_llseek(file, offset, whence, buffer_size(b));
}

static int buffer_mmap_prepare(struct vm_area_desc *desc)
{
	struct buffer *b = desc->file->private_data;
	int err = twin_deny_cow(desc);

	if (err)
		return err;
	vma_desc_clear_flags(desc, VMA_EXEC_BIT, VMA_MAYEXEC_BIT);
	if (desc->pgoff >= b->nr_pages || vma_desc_pages(desc) > b->nr_pages - desc->pgoff)
		return -ENXIO;
	vma_desc_set_flags(desc, VMA_DONTEXPAND_BIT);
	mmap_action_map_kernel_pages_full(desc, b->pages + desc->pgoff);
	atomic64_inc(&b->mmaps);
	return 0;
}

static void buffer_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct buffer *b = file->private_data;

	seq_printf(m, "size:\t%zu\n", buffer_size(b));
	seq_printf(m, "opens:\t%lld\n", atomic64_read(&b->opens));
	seq_printf(m, "reads:\t%lld\n", atomic64_read(&b->reads));
	seq_printf(m, "writes:\t%lld\n", atomic64_read(&b->writes));
	seq_printf(m, "mmaps:\t%lld\n", atomic64_read(&b->mmaps));
}

static const struct file_operations buffer_fops = {
	.owner = THIS_MODULE,
	.open = buffer_open,
	.read_iter = buffer_read_iter,
	.write_iter = buffer_write_iter,
	.llseek = buffer_llseek,
	.splice_read = copy_splice_read,
	.splice_write = iter_file_splice_write,
	.fsync = noop_fsync,
	.mmap_prepare = buffer_mmap_prepare,
	.show_fdinfo = buffer_show_fdinfo,
};

static struct miscdevice buffer_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.fops = &buffer_fops,
};

static void buffer_free(struct buffer *b)
{
	while (b->nr_pages)
		__free_page(b->pages[--b->nr_pages]);
	kvfree(b->pages);
}

static int __init buffer_init(void)
{
	struct buffer *b = &the_buffer;
	int err;

	if (!pages)
		return -EINVAL;
	if (pages > totalram_pages())
		return -ENOMEM;
	b->pages = kvmalloc_array(pages, sizeof(*b->pages), GFP_KERNEL | __GFP_NOWARN);
	if (!b->pages)
		return -ENOMEM;
	for (; b->nr_pages < pages; b->nr_pages++) {
		b->pages[b->nr_pages] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!b->pages[b->nr_pages]) {
			err = -ENOMEM;
			goto free;
		}
	}
	buffer_misc.name = device;
	err = misc_register(&buffer_misc);
	if (!err)
		return 0;
free:
	buffer_free(b);
	return err;
}
module_init(buffer_init);

static void __exit buffer_exit(void)
{
	misc_deregister(&buffer_misc);
	buffer_free(&the_buffer);
}
module_exit(buffer_exit);

MODULE_DESCRIPTION("C twin of rust_mmap: a buffer that user space can map");
MODULE_LICENSE("GPL");
