/* SPDX-License-Identifier: GPL-2.0 */
/*
 * userfaultfd for Rust: functions that rust/kernel/mm/uffd.rs needs and that the rest of the kernel
 * does not have.
 */
#ifndef _LINUX_RUST_UFFD_H
#define _LINUX_RUST_UFFD_H

#include <linux/bits.h>
#include <linux/mm.h>
#include <linux/userfaultfd_k.h>

#ifdef CONFIG_MMU

/* The modes in which user space can register memory: UffdModes in rust/kernel/mm/uffd/modes.rs. */
#define RUST_UFFD_MISSING	BIT(0)
#define RUST_UFFD_MINOR		BIT(1)
#define RUST_UFFD_WP		BIT(2)
#define RUST_UFFD_RWP		BIT(3)

/**
 * rust_uffd_modes() - Return the userfaultfd modes in the flags of a VMA
 * @flags: The flags.
 *
 * Context: Any context.
 * Return: RUST_UFFD_MISSING and so on, each if its flag is set.
 */
static inline unsigned int rust_uffd_modes(vm_flags_t flags)
{
	unsigned int modes = 0;

	if (flags & VM_UFFD_MISSING)
		modes |= RUST_UFFD_MISSING;
	if (flags & VM_UFFD_MINOR)
		modes |= RUST_UFFD_MINOR;
	if (flags & VM_UFFD_WP)
		modes |= RUST_UFFD_WP;
	/* Linux 7.2 does not have this mode. */
#ifdef VM_UFFD_RWP
	if (flags & VM_UFFD_RWP)
		modes |= RUST_UFFD_RWP;
#endif
	return modes;
}

/**
 * rust_uffd_vma_modes() - Return the userfaultfd modes in which a VMA is registered
 * @vma: The VMA.
 *
 * Context: The mmap lock or the VMA lock is held.
 * Return: As rust_uffd_modes().
 */
static inline unsigned int
rust_uffd_vma_modes(const struct vm_area_struct *vma)
{
	/* Another thread may set VM_MAYBE_GUARD at the same time. */
	return rust_uffd_modes(READ_ONCE(vma->vm_flags));
}

/* mm/rust_uffd.c */
vm_fault_t rust_uffd_raise(struct vm_fault *vmf, unsigned int mode);

#endif /* CONFIG_MMU */

#endif /* _LINUX_RUST_UFFD_H */
