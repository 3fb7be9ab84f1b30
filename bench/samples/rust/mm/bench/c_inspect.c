// SPDX-License-Identifier: GPL-2.0

/*
 * The mappings of another process: the C twin of rust_vma_inspect.
 *
 * It goes from VMA to VMA as /proc/<pid>/maps does: under RCU, with one iterator for as long as RCU
 * is held. It drops RCU only to walk page tables, and walks those as smaps does, a table under one
 * lock.
 */

#include <linux/hugetlb.h>
#include <linux/kdev_t.h>
#include <linux/leafops.h>
#include <linux/module.h>
#include <linux/pagewalk.h>
#include <linux/ptrace.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "../rust_vma_inspect.h"
#include "twin.h"
#include "walk.h"

TWIN_DEVICE("c_inspect");

#define MAX_COUNT	1024

struct counts {
	unsigned long present;
	unsigned long normal;
	unsigned long swap;
};

static void count_pte(struct vm_area_struct *vma, unsigned long addr, pte_t pte,
		      struct counts *counts)
{
	if (pte_present(pte)) {
		counts->present += PAGE_SIZE;
		if (vm_normal_page(vma, addr, pte))
			counts->normal += PAGE_SIZE;
	} else if (!pte_none(pte) && softleaf_is_swap(softleaf_from_pte(pte))) {
		counts->swap += PAGE_SIZE;
	}
}

static int count_pmd_entry(pmd_t *pmd, unsigned long addr, unsigned long end,
			   struct mm_walk *walk)
{
	struct vm_area_struct *vma = walk->vma;
	struct counts *counts = walk->private;
	pte_t *first, *pte;
	spinlock_t *ptl;

	ptl = pmd_trans_huge_lock(pmd, vma);
	if (ptl) {
		if (pmd_present(*pmd)) {
			counts->present += end - addr;
			if (vm_normal_page_pmd(vma, addr, *pmd))
				counts->normal += end - addr;
		}
		spin_unlock(ptl);
		goto out;
	}
	first = pte_offset_map_lock(vma->vm_mm, pmd, addr, &ptl);
	if (!first) {
		walk->action = ACTION_AGAIN;
		return 0;
	}
	for (pte = first; addr != end; pte++, addr += PAGE_SIZE)
		count_pte(vma, addr, ptep_get(pte), counts);
	pte_unmap_unlock(first, ptl);
out:
	cond_resched();
	return 0;
}

static int count_hugetlb_entry(pte_t *pte, unsigned long hmask, unsigned long addr,
			       unsigned long end, struct mm_walk *walk)
{
	struct counts *counts = walk->private;
	spinlock_t *ptl = huge_pte_lock(hstate_vma(walk->vma), walk->mm, pte);

	if (pte_present(huge_ptep_get(walk->mm, addr & hmask, pte)))
		counts->present += end - addr;
	spin_unlock(ptl);
	return 0;
}

static const struct mm_walk_ops count_ops = {
	.pmd_entry = count_pmd_entry,
	.hugetlb_entry = count_hugetlb_entry,
	.walk_lock = PGWALK_VMA_RDLOCK_VERIFY,
};

static const struct mm_walk_ops count_ops_mmap_lock = {
	.pmd_entry = count_pmd_entry,
	.hugetlb_entry = count_hugetlb_entry,
	.walk_lock = PGWALK_RDLOCK,
};

static void fill_name(struct rust_vma *out, const struct file *file, char *buf)
{
	const char *name = d_path(file_user_path(file), buf, PATH_MAX);
	size_t len;

	if (IS_ERR(name))
		name = "?";
	/* The end of a long path, and the terminating zero. */
	len = strlen(name);
	if (len >= sizeof(out->name)) {
		name += len - (sizeof(out->name) - 1);
		len = sizeof(out->name) - 1;
	}
	memcpy(out->name, name, len);
}

static void fill(struct rust_vma *out, struct vm_area_struct *vma, unsigned long start,
		 const struct counts *counts, char *buf)
{
	struct file *file = vma->vm_file;
	vm_flags_t flags = vma->vm_flags;

	memset(out, 0, sizeof(*out));
	out->start = start;
	out->end = vma->vm_end;
	out->flags = (flags & VM_READ ? RUST_VMA_READ : 0) |
		     (flags & VM_WRITE ? RUST_VMA_WRITE : 0) |
		     (flags & VM_EXEC ? RUST_VMA_EXEC : 0) |
		     (flags & VM_MAYSHARE ? RUST_VMA_SHARED : 0);
	out->present = counts->present;
	out->rss = counts->normal;
	out->swap = counts->swap;
	if (file) {
		const struct inode *inode = file_user_inode(file);

		out->offset = ((u64)vma->vm_pgoff << PAGE_SHIFT) + (start - vma->vm_start);
		out->ino = inode->i_ino;
		out->major = MAJOR(inode->i_sb->s_dev);
		out->minor = MINOR(inode->i_sb->s_dev);
		fill_name(out, file, buf);
	}
}

static int inspect(struct mm_struct *mm, struct rust_vma_inspect *request, struct rust_vma *vmas,
		   unsigned int most, char *buf)
{
	struct walk walk = { .mm = mm, .addr = request->start & PAGE_MASK };
	unsigned int count = 0;
	int ret;

	request->start = 0;
	vma_iter_init(&walk.iter, mm, walk.addr);
	rcu_read_lock();
	while ((ret = walk_next(&walk)) > 0) {
		struct vm_area_struct *vma = walk.vma;
		unsigned long start = max(vma->vm_start, walk.addr);
		struct counts counts = {};

		if (count == most) {
			request->start = start;
			ret = 0;
			break;
		}
		walk.addr = vma->vm_end;
		if (request->flags & RUST_VMA_INSPECT_PAGES) {
			/* The walk sleeps: the VMA remains locked, and the iterator starts anew. */
			rcu_read_unlock();
			walk_page_range_vma(vma, start, walk.addr,
					    walk.mmap_locked ? &count_ops_mmap_lock : &count_ops,
					    &counts);
			rcu_read_lock();
			vma_iter_set(&walk.iter, walk.addr);
		}
		fill(&vmas[count++], vma, start, &counts, buf);
	}
	walk_unlock(&walk);
	rcu_read_unlock();
	request->count = count;
	return ret;
}

static struct mm_struct *get_mm(u64 nr)
{
	struct task_struct *task = NULL;
	struct mm_struct *mm;

	if (nr <= INT_MAX)
		task = find_get_task_by_vpid(nr);
	if (!task)
		return ERR_PTR(-ESRCH);
	mm = mm_access(task, PTRACE_MODE_READ_FSCREDS);
	put_task_struct(task);
	return mm;
}

static long inspect_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct rust_vma_inspect __user *user = (void __user *)arg;
	struct rust_vma_inspect request;
	struct rust_vma *vmas;
	struct mm_struct *mm;
	unsigned int most;
	char *buf;
	int err;

	if (cmd != RUST_VMA_INSPECT)
		return -ENOTTY;
	if (copy_from_user(&request, user, sizeof(request)))
		return -EFAULT;
	if (request.flags & ~RUST_VMA_INSPECT_PAGES)
		return -EINVAL;
	most = min(request.count, MAX_COUNT);
	/* Not to user space directly: the copy could fault in the process that is inspected. */
	vmas = kvmalloc_array(most, sizeof(*vmas), GFP_KERNEL);
	buf = kmalloc(PATH_MAX, GFP_KERNEL);
	if (!vmas || !buf) {
		err = -ENOMEM;
		goto free;
	}
	mm = get_mm(request.pid);
	if (IS_ERR(mm)) {
		err = PTR_ERR(mm);
		goto free;
	}
	err = inspect(mm, &request, vmas, most, buf);
	mmput(mm);
	if (!err && (copy_to_user(u64_to_user_ptr(request.vmas), vmas,
				  request.count * sizeof(*vmas)) ||
		     copy_to_user(user, &request, sizeof(request))))
		err = -EFAULT;
free:
	kfree(buf);
	kvfree(vmas);
	return err;
}

static const struct file_operations inspect_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = inspect_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

TWIN_MODULE(inspect_fops);

MODULE_DESCRIPTION("C twin of rust_vma_inspect: the mappings of another process");
MODULE_LICENSE("GPL");
