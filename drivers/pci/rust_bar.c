// SPDX-License-Identifier: GPL-2.0

/* Memory BARs that can be mapped to user space, for Rust. */

#include <linux/export.h>
#include <linux/ioport.h>
#include <linux/pci.h>
#include <linux/rust_resource.h>

/**
 * rust_pci_mem_bar() - Return the resource of a memory BAR
 * @pdev: The device.
 * @bar: Number of the BAR.
 *
 * Context: The driver of the caller is bound to the device.
 * Return: The resource; NULL unless it is memory that has a place in the physical
 * address space.
 */
struct resource *rust_pci_mem_bar(struct pci_dev *pdev, unsigned int bar)
{
	struct resource *res;

	/* Not a bridge's windows, in which other devices are, nor a function's. */
	if (bar >= PCI_STD_NUM_BARS)
		return NULL;
	res = pci_resource_n(pdev, bar);
	if (!(res->flags & IORESOURCE_MEM) || !res->parent ||
	    res->flags & (IORESOURCE_UNSET | IORESOURCE_DISABLED))
		return NULL;
	return res;
}
EXPORT_SYMBOL_GPL(rust_pci_mem_bar);
