// SPDX-License-Identifier: GPL-2.0

/*
 * Coherent DMA memory for Rust drivers that map it to user space.
 *
 * dma_mmap_attrs() needs a VMA that is being made, and a mapping that it makes cannot be revoked
 * while it is made. So the layer maps the memory by faults, page by page, and has to know what
 * dma_mmap_attrs() finds out in dma_direct_mmap() and iommu_dma_mmap(): where the memory is, and
 * with which protection it is mapped.
 */

#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/iommu-dma.h>
#include <linux/mm.h>
#include <linux/pfn.h>
#include <linux/rust_dma.h>
#include <linux/vmalloc.h>

/* With an IOMMU, the memory could be many pieces otherwise. It can be too large for the machine. */
#define RUST_DMA_ATTRS	(DMA_ATTR_FORCE_CONTIGUOUS | DMA_ATTR_NO_WARN)

/* Whether it is known where dma_alloc_attrs() gets memory from. */
static bool is_known(struct device *dev)
{
	if (!dma_can_mmap(dev))
		return false;
	/* Only the code of these pools knows where their memory is. */
	if (IS_ENABLED(CONFIG_DMA_GLOBAL_POOL))
		return false;
#ifdef CONFIG_DMA_DECLARE_COHERENT
	if (dev->dma_mem)
		return false;
#endif
	/* Only the operations of an architecture or a bus know what they do. */
	return use_dma_iommu(dev) || !get_dma_ops(dev);
}

static int find_iommu_memory(struct rust_dma_memory *memory)
{
	if (!is_vmalloc_addr(memory->addr)) {
		memory->pfn = page_to_pfn(virt_to_page(memory->addr));
		return 0;
	}
	/* An array of pages, which need not be next to each other. */
	if (dma_common_find_pages(memory->addr))
		return -EOPNOTSUPP;
	memory->pfn = vmalloc_to_pfn(memory->addr);
	return 0;
}

/**
 * rust_dma_alloc() - Allocate coherent DMA memory that can be mapped to user space
 * @dev: The device that accesses it. Its driver is bound.
 * @size: Size in bytes, a multiple of PAGE_SIZE, not zero.
 * @memory: Set to what was allocated.
 *
 * The memory is zeroed. It is contiguous for the processor as well.
 *
 * Context: Process context. May sleep.
 * Return: 0; -ENOMEM; or -EOPNOTSUPP if the device cannot have such memory, or if it is not known
 * where the memory is.
 */
int rust_dma_alloc(struct device *dev, size_t size,
		   struct rust_dma_memory *memory)
{
	int err;

	if (!is_known(dev) || !dev->coherent_dma_mask)
		return -EOPNOTSUPP;
	memory->addr = dma_alloc_attrs(dev, size, &memory->dma_addr, GFP_KERNEL | __GFP_NOWARN,
				       RUST_DMA_ATTRS);
	if (!memory->addr)
		return -ENOMEM;

	memory->flags = dev_is_dma_coherent(dev) ? 0 : RUST_DMA_UNCACHED;
	if (use_dma_iommu(dev)) {
		err = find_iommu_memory(memory);
		if (err) {
			rust_dma_free(dev, size, memory);
			return err;
		}
		return 0;
	}
	memory->pfn = PHYS_PFN(dma_to_phys(dev, memory->dma_addr));
	if (force_dma_unencrypted(dev))
		memory->flags |= RUST_DMA_DECRYPTED;
	return 0;
}
EXPORT_SYMBOL_GPL(rust_dma_alloc);

/**
 * rust_dma_free() - Free coherent DMA memory
 * @dev: The device, whose driver is still bound.
 * @size: The size, as in rust_dma_alloc().
 * @memory: What was allocated. Neither the device nor user space accesses it any longer.
 *
 * Context: Process context. May sleep.
 */
void rust_dma_free(struct device *dev, size_t size,
		   const struct rust_dma_memory *memory)
{
	dma_free_attrs(dev, size, memory->addr, memory->dma_addr, RUST_DMA_ATTRS);
}
EXPORT_SYMBOL_GPL(rust_dma_free);
