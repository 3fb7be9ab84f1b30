// SPDX-License-Identifier: GPL-2.0

#include <linux/rust_dma.h>

__rust_helper pgprot_t rust_helper_rust_dma_pgprot(pgprot_t prot, unsigned int flags)
{
	return rust_dma_pgprot(prot, flags);
}
