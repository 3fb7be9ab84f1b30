/* SPDX-License-Identifier: GPL-2.0 */
/* Coherent DMA memory for Rust drivers that map it to user space. */
#ifndef _LINUX_RUST_DMA_H
#define _LINUX_RUST_DMA_H

#include <linux/dma-map-ops.h>
#include <linux/pgtable.h>
#include <linux/types.h>

struct device;

/* The device does not see caches, so the memory is mapped without them. */
#define RUST_DMA_UNCACHED	0x1
/* The memory is not encrypted, on a machine that encrypts other memory. */
#define RUST_DMA_DECRYPTED	0x2

/**
 * struct rust_dma_memory - Coherent DMA memory
 * @addr: Where the kernel has it.
 * @dma_addr: Where the device has it.
 * @pfn: The page frame number of the first page; those of the other pages follow.
 * @flags: RUST_DMA_..., for rust_dma_pgprot().
 */
struct rust_dma_memory {
	void *addr;
	dma_addr_t dma_addr;
	unsigned long pfn;
	unsigned int flags;
};

#ifdef CONFIG_MMU
/**
 * rust_dma_pgprot() - Return the protection of a mapping of coherent DMA memory
 * @prot: The protection of a mapping of ordinary memory.
 * @flags: Those of the memory.
 *
 * Does what dma_pgprot() does, without the device, which may be gone.
 *
 * Context: Any context.
 * Return: The protection.
 */
static inline pgprot_t rust_dma_pgprot(pgprot_t prot, unsigned int flags)
{
	if (flags & RUST_DMA_UNCACHED)
		prot = pgprot_dmacoherent(prot);
	if (flags & RUST_DMA_DECRYPTED)
		return pgprot_decrypted(prot);
	return pgprot_encrypted(prot);
}
#endif

/* kernel/dma/rust_coherent.c */
int rust_dma_alloc(struct device *dev, size_t size,
		   struct rust_dma_memory *memory);
void rust_dma_free(struct device *dev, size_t size,
		   const struct rust_dma_memory *memory);

#endif /* _LINUX_RUST_DMA_H */
