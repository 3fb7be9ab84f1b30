/* SPDX-License-Identifier: GPL-2.0 */
/* Ranges of an mm that Rust drivers mirror: functions that rust/kernel/mm/mirror.rs needs. */
#ifndef _LINUX_RUST_MIRROR_H
#define _LINUX_RUST_MIRROR_H

#include <linux/types.h>

struct mm_struct;
struct mmu_interval_notifier;
struct mmu_interval_notifier_ops;
struct module;
struct page;

#ifdef CONFIG_HMM_MIRROR
/* mm/rust_mirror.c */
int rust_mirror_insert(struct mmu_interval_notifier *sub, struct mm_struct *mm,
		       unsigned long start, unsigned long len,
		       const struct mmu_interval_notifier_ops *ops,
		       struct module *owner);
void rust_mirror_remove(struct mmu_interval_notifier *sub, struct module *owner);
struct page *rust_mirror_page(unsigned long pfn);
#endif

#endif /* _LINUX_RUST_MIRROR_H */
