/* SPDX-License-Identifier: GPL-2.0 */
/* Charging an mm for memory that Rust drivers lock: rust/kernel/mm/account.rs needs these. */
#ifndef _LINUX_RUST_ACCOUNT_H
#define _LINUX_RUST_ACCOUNT_H

struct mm_struct;

#ifdef CONFIG_MMU
/* mm/rust_account.c */
int rust_charge_locked_vm(struct mm_struct *mm, unsigned long pages);
void rust_uncharge_locked_vm(struct mm_struct *mm, unsigned long pages);
int rust_charge_pinned_vm(struct mm_struct *mm, unsigned long pages);
void rust_uncharge_pinned_vm(struct mm_struct *mm, unsigned long pages);
#endif

#endif /* _LINUX_RUST_ACCOUNT_H */
