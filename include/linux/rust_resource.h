/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Device memory and DMA for Rust: functions that rust/kernel/ needs to map device memory to user
 * space and that the rest of the kernel does not have.
 */
#ifndef _LINUX_RUST_RESOURCE_H
#define _LINUX_RUST_RESOURCE_H

#include <linux/types.h>

struct device;
struct pci_dev;
struct resource;
struct rust_mem_claim;
struct vm_area_struct;

/* kernel/rust_resource.c */
struct rust_mem_claim *rust_mem_claim(struct resource *of, const char *name,
				      bool whole_pages);
void rust_mem_release(struct rust_mem_claim *claim);
int rust_mem_reserve_wc(unsigned long pfn, unsigned long nr_pages);
void rust_mem_free_wc(unsigned long pfn, unsigned long nr_pages);
int rust_mem_access(unsigned long pfn, bool wc, size_t offset, void *buf,
		    size_t len, bool write);
int rust_mem_access_mapped(struct vm_area_struct *vma, unsigned long addr,
			   void *buf, int len, int write);

/* drivers/pci/rust_bar.c */
struct resource *rust_pci_mem_bar(struct pci_dev *pdev, unsigned int bar);
bool rust_pci_stop_dma(struct device *dev);

#endif /* _LINUX_RUST_RESOURCE_H */
