// SPDX-License-Identifier: GPL-2.0

#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/mmap_lock.h>
#include <linux/rcupdate.h>
#include <linux/rwsem.h>
#include <linux/userfaultfd_k.h>

__rust_helper void rust_helper_mmap_write_lock(struct mm_struct *mm)
{
	mmap_write_lock(mm);
}

__rust_helper int rust_helper_mmap_write_lock_killable(struct mm_struct *mm)
{
	return mmap_write_lock_killable(mm);
}

/* Lockdep sees the lock of a second address space as one level further in. */
__rust_helper void rust_helper_mmap_write_lock_second(struct mm_struct *mm)
{
	mmap_write_lock_nested(mm, SINGLE_DEPTH_NESTING);
}

__rust_helper void rust_helper_mmap_write_unlock(struct mm_struct *mm)
{
	mmap_write_unlock(mm);
}

__rust_helper void rust_helper_mmap_write_downgrade(struct mm_struct *mm)
{
	mmap_write_downgrade(mm);
}

__rust_helper int rust_helper_mmap_read_lock_killable(struct mm_struct *mm)
{
	return mmap_read_lock_killable(mm);
}

#ifdef CONFIG_PER_VMA_LOCK
__rust_helper bool rust_helper_vma_start_read_locked(struct vm_area_struct *vma)
{
	return vma_start_read_locked(vma);
}
#endif

__rust_helper void rust_helper_vma_start_write(struct vm_area_struct *vma)
{
	vma_start_write(vma);
}

__rust_helper int
rust_helper_vma_start_write_killable(struct vm_area_struct *vma)
{
	return vma_start_write_killable(vma);
}

__rust_helper bool
rust_helper_mmap_lock_speculate_try_begin(struct mm_struct *mm,
					  unsigned int *seq)
{
	return mmap_lock_speculate_try_begin(mm, seq);
}

__rust_helper bool
rust_helper_mmap_lock_speculate_retry(struct mm_struct *mm, unsigned int seq)
{
	return mmap_lock_speculate_retry(mm, seq);
}

/*
 * Copies the range, the page offset and the flags of the VMA at an address
 * while others may change it, free it or use it anew: the memory stays that of
 * some VMA while RCU is held, and that is all. In C, since to Rust it would be a
 * data race.
 */
noinline bool rust_helper_vma_speculative_copy(struct mm_struct *mm,
					       unsigned long addr,
					       unsigned long *range,
					       vma_flags_t *flags)
{
	struct vm_area_struct *vma;
	size_t i;

	guard(rcu)();

	vma = vma_lookup(mm, addr);
	if (!vma)
		return false;

	range[0] = READ_ONCE(vma->vm_start);
	range[1] = READ_ONCE(vma->vm_end);
	range[2] = READ_ONCE(vma->vm_pgoff);
	for (i = 0; i < ARRAY_SIZE(flags->__vma_flags); i++)
		flags->__vma_flags[i] = READ_ONCE(vma->flags.__vma_flags[i]);
	return true;
}

__rust_helper void rust_helper_vma_iter_init(struct vma_iterator *vmi,
					     struct mm_struct *mm,
					     unsigned long addr)
{
	vma_iter_init(vmi, mm, addr);
}

__rust_helper void
rust_helper_userfaultfd_unmap_complete(struct mm_struct *mm,
				       struct list_head *uf)
{
	userfaultfd_unmap_complete(mm, uf);
}

__rust_helper void rust_helper_vm_flags_set(struct vm_area_struct *vma,
					    vm_flags_t flags)
{
	vm_flags_set(vma, flags);
}

__rust_helper void rust_helper_vm_flags_clear(struct vm_area_struct *vma,
					      vm_flags_t flags)
{
	vm_flags_clear(vma, flags);
}

/* What takes part in forks and core dumps as its driver has said, or never. */
__rust_helper bool rust_helper_vma_advice_is_final(struct vm_area_struct *vma)
{
	return vma->vm_flags & (VM_SPECIAL | VM_DROPPABLE);
}

__rust_helper bool rust_helper_vma_is_anonymous(struct vm_area_struct *vma)
{
	return vma_is_anonymous(vma);
}

/* The memory of a name is that of the VMA. */
__rust_helper const char *
rust_helper_vma_anon_name_str(struct vm_area_struct *vma)
{
#ifdef CONFIG_ANON_VMA_NAME
	return vma->anon_name ? vma->anon_name->name : NULL;
#else
	return NULL;
#endif
}

__rust_helper bool rust_helper_vma_has_policy(struct vm_area_struct *vma)
{
#ifdef CONFIG_NUMA
	return vma->vm_policy;
#else
	return false;
#endif
}

__rust_helper bool rust_helper_vma_has_userfaultfd(struct vm_area_struct *vma)
{
#ifdef CONFIG_USERFAULTFD
	return vma->vm_userfaultfd_ctx.ctx;
#else
	return false;
#endif
}

/* Set under the mmap read lock and the page table lock. */
__rust_helper bool rust_helper_vma_has_anon_vma(struct vm_area_struct *vma)
{
	return READ_ONCE(vma->anon_vma);
}
