// SPDX-License-Identifier: GPL-2.0

/* Functions of mm.h under the names that 7.3 gives them. */

#include <linux/fs.h>
#include <linux/mm.h>

__rust_helper struct vm_area_struct *
rust_helper_mapping_rmap_tree_iter_first(struct address_space *mapping,
					 unsigned long start, unsigned long last)
{
	return vma_interval_tree_iter_first(&mapping->i_mmap, start, last);
}

__rust_helper struct vm_area_struct *
rust_helper_mapping_rmap_tree_iter_next(struct vm_area_struct *vma,
					unsigned long start, unsigned long last)
{
	return vma_interval_tree_iter_next(vma, start, last);
}
