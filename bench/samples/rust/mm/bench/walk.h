/* SPDX-License-Identifier: GPL-2.0 */

/*
 * From VMA to VMA as /proc/<pid>/maps goes: under RCU, with one iterator for as long as RCU is
 * held.
 */

#ifndef RUST_MM_WALK_H
#define RUST_MM_WALK_H

#include <linux/err.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>

/* A walk from VMA to VMA, under RCU. */
struct walk {
	struct mm_struct *mm;
	struct vma_iterator iter;
	unsigned long addr;
	/* The VMA that is locked; all of them, if there were too many readers of one. */
	struct vm_area_struct *vma;
	bool mmap_locked;
};

static inline void walk_unlock(struct walk *walk)
{
	if (walk->mmap_locked)
		mmap_read_unlock(walk->mm);
	else if (walk->vma)
		vma_end_read(walk->vma);
	walk->mmap_locked = false;
	walk->vma = NULL;
}

/* Locks the next VMA. Returns 1; 0 at the end; or -EINTR. */
static inline int walk_next(struct walk *walk)
{
	struct vm_area_struct *vma;
	int err;

	walk_unlock(walk);
	vma = lock_next_vma(walk->mm, &walk->iter, walk->addr);
	if (IS_ERR(vma)) {
		if (PTR_ERR(vma) != -EAGAIN)
			return PTR_ERR(vma);
		rcu_read_unlock();
		err = mmap_read_lock_killable(walk->mm);
		rcu_read_lock();
		if (err)
			return err;
		walk->mmap_locked = true;
		vma_iter_set(&walk->iter, walk->addr);
		vma = vma_next(&walk->iter);
	}
	if (!vma)
		return 0;
	walk->vma = vma;
	return 1;
}

#endif /* RUST_MM_WALK_H */
