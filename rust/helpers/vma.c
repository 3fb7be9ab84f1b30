// SPDX-License-Identifier: GPL-2.0

#include <linux/mempolicy.h>
#include <linux/mm.h>
#include <linux/rust_mm.h>
#include <linux/userfaultfd_k.h>

__rust_helper void rust_helper_vma_iter_init(struct vma_iterator *vmi,
					     struct mm_struct *mm,
					     unsigned long addr)
{
	vma_iter_init(vmi, mm, addr);
}

__rust_helper bool rust_helper_vma_is_anonymous(struct vm_area_struct *vma)
{
	return vma_is_anonymous(vma);
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

__rust_helper struct mempolicy *rust_helper_vma_policy(struct vm_area_struct *vma)
{
	return vma_policy(vma);
}

__rust_helper bool
rust_helper_vma_page_prot_writable(const struct vm_area_struct *vma)
{
	return vma_page_prot_writable(vma);
}

__rust_helper void
rust_helper_userfaultfd_unmap_complete(struct mm_struct *mm,
				       struct list_head *uf)
{
	userfaultfd_unmap_complete(mm, uf);
}

__rust_helper int rust_helper_vm_fault_to_errno(vm_fault_t vm_fault,
						int foll_flags)
{
	return vm_fault_to_errno(vm_fault, foll_flags);
}
