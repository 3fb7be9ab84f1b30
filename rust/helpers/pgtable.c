// SPDX-License-Identifier: GPL-2.0

#include <linux/highmem.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/pgtable.h>

__rust_helper pgprot_t rust_helper_pgprot_decrypted(pgprot_t prot)
{
	return pgprot_decrypted(prot);
}

__rust_helper pgprot_t rust_helper_pgprot_noncached(pgprot_t prot)
{
	return pgprot_noncached(prot);
}

__rust_helper pgprot_t rust_helper_pgprot_writecombine(pgprot_t prot)
{
	return pgprot_writecombine(prot);
}

/* Whether a page table entry can have the PFN: not each architecture limits iomem_resource. */
__rust_helper bool rust_helper_pfn_is_addressable(unsigned long pfn)
{
#ifdef ARCH_HAS_VALID_PHYS_ADDR_RANGE
	return valid_mmap_phys_addr_range(pfn, PAGE_SIZE);
#else
	return true;
#endif
}

__rust_helper void rust_helper_pte_unmap_unlock(pte_t *pte, spinlock_t *ptl)
{
	pte_unmap_unlock(pte, ptl);
}

__rust_helper void rust_helper_clear_user_highpage(struct page *page,
						   unsigned long vaddr)
{
	clear_user_highpage(page, vaddr);
}

#ifdef CONFIG_PPC_BOOK3S_64
/* Other architectures have constants for these, which bindings_helper.h exports. */
__rust_helper unsigned int rust_helper_PMD_SHIFT(void)
{
	return PMD_SHIFT;
}

__rust_helper unsigned int rust_helper_PUD_SHIFT(void)
{
	return PUD_SHIFT;
}
#endif
