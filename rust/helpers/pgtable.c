// SPDX-License-Identifier: GPL-2.0

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

#ifdef CONFIG_PPC_BOOK3S_64
/* Constants elsewhere, in bindings_helper.h. */
__rust_helper unsigned int rust_helper_pgtable_huge_shift(bool pud)
{
	return pud ? PUD_SHIFT : PMD_SHIFT;
}
#endif
