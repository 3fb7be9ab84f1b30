// SPDX-License-Identifier: GPL-2.0

#include <linux/rust_uffd.h>

__rust_helper unsigned int rust_helper_rust_uffd_modes(vm_flags_t flags)
{
	return rust_uffd_modes(flags);
}

__rust_helper unsigned int
rust_helper_rust_uffd_vma_modes(const struct vm_area_struct *vma)
{
	return rust_uffd_vma_modes(vma);
}
