// SPDX-License-Identifier: GPL-2.0

/*
 * What the C twins call and modules do not get. The Rust samples get the same through the kernel
 * crate, which is built in.
 */

#include <linux/export.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/pagewalk.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>

/* Fault-around. */
EXPORT_SYMBOL_FOR_MODULES(set_pte_range, "c_demand");
EXPORT_SYMBOL_FOR_MODULES(pte_offset_map_lock, "c_demand,c_inspect,c_layer");
EXPORT_SYMBOL_FOR_MODULES(mm_trace_rss_stat, "c_demand");

/* The mm of another process. */
EXPORT_SYMBOL_FOR_MODULES(find_get_task_by_vpid, "c_inspect");
EXPORT_SYMBOL_FOR_MODULES(mm_access, "c_inspect");

/* VMA locks and page tables. */
EXPORT_SYMBOL_FOR_MODULES(lock_next_vma, "c_inspect,c_layer");
EXPORT_SYMBOL_FOR_MODULES(walk_page_range_vma, "c_inspect,c_layer");
EXPORT_SYMBOL_FOR_MODULES(vm_normal_page, "c_inspect");
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
EXPORT_SYMBOL_FOR_MODULES(vm_normal_page_pmd, "c_inspect");
EXPORT_SYMBOL_FOR_MODULES(__pmd_trans_huge_lock, "c_inspect,c_layer");
#endif

/* The mappings of a file. */
EXPORT_SYMBOL_FOR_MODULES(mapping_rmap_tree_iter_first, "c_layer");
EXPORT_SYMBOL_FOR_MODULES(mapping_rmap_tree_iter_next, "c_layer");
