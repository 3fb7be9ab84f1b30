// SPDX-License-Identifier: GPL-2.0

/* Memory BARs that Rust drivers map to user space, and the end of DMA. */

#include <linux/export.h>
#include <linux/ioport.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>
#include <linux/rust_resource.h>

/**
 * rust_pci_mem_bar() - Return the resource of a memory BAR
 * @pdev: The device.
 * @bar: Number of the BAR.
 *
 * Context: The caller's driver is bound to the device. Does not sleep.
 * Return: The resource, or NULL if there is no such BAR, if it is not a memory BAR, if no physical
 * addresses are assigned to it, or if BARs of the device cannot be mapped.
 */
struct resource *rust_pci_mem_bar(struct pci_dev *pdev, unsigned int bar)
{
	struct resource *res;

	/* On s390, BARs may only be accessed by special instructions. */
	if (pdev->non_mappable_bars)
		return NULL;
	/* The resources that follow are no BARs of this function: ROM, VF BARs, bridge windows. */
	if (bar >= PCI_STD_NUM_BARS)
		return NULL;
	res = pci_resource_n(pdev, bar);
	if (!(res->flags & IORESOURCE_MEM) || !res->parent ||
	    res->flags & (IORESOURCE_UNSET | IORESOURCE_DISABLED))
		return NULL;
	return res;
}
EXPORT_SYMBOL_GPL(rust_pci_mem_bar);

/**
 * rust_pci_stop_dma() - Keep a device from accessing memory
 * @dev: The device, which is a PCI device.
 *
 * Turns bus mastering off, and waits for the accesses that the device has made before.
 *
 * Context: Process context. May sleep.
 * Return: Whether it is certain that the device accesses no memory. It is not if the device does
 * not answer, and is not known to be unplugged.
 */
bool rust_pci_stop_dma(struct device *dev)
{
	struct pci_dev *pdev = to_pci_dev(dev);
	bool stopped;
	u16 command;

	/* It would be waited for in vain, and once for each mapping. */
	if (pci_dev_is_disconnected(pdev))
		return true;
	/* What is saved when a device without a driver is suspended must not have the bit. */
	pm_runtime_get_sync(dev);
	pci_clear_master(pdev);
	/* The answer to a read comes after what the device has written before it. */
	pci_read_config_word(pdev, PCI_COMMAND, &command);
	stopped = !PCI_POSSIBLE_ERROR(command) && !(command & PCI_COMMAND_MASTER) &&
		  pci_wait_for_pending_transaction(pdev);
	pm_runtime_put_sync(dev);
	return stopped || pci_dev_is_disconnected(pdev);
}
EXPORT_SYMBOL_GPL(rust_pci_stop_dma);
