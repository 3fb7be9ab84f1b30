// SPDX-License-Identifier: GPL-2.0

#include <linux/rust_mm.h>

__rust_helper void rust_helper_folio_get_saturating(struct folio *folio)
{
	folio_get_saturating(folio);
}

__rust_helper void rust_helper_folio_put_saturating(struct folio *folio)
{
	folio_put_saturating(folio);
}

__rust_helper void rust_helper_mmgrab_saturating(struct mm_struct *mm)
{
	mmgrab_saturating(mm);
}

__rust_helper void rust_helper_mmdrop_saturating(struct mm_struct *mm)
{
	mmdrop_saturating(mm);
}

__rust_helper void rust_helper_mmget_saturating(struct mm_struct *mm)
{
	mmget_saturating(mm);
}

__rust_helper bool rust_helper_mmget_not_zero_saturating(struct mm_struct *mm)
{
	return mmget_not_zero_saturating(mm);
}

__rust_helper void rust_helper_mmput_saturating(struct mm_struct *mm)
{
	mmput_saturating(mm);
}

#ifdef CONFIG_MMU
__rust_helper void rust_helper_mmput_async_saturating(struct mm_struct *mm)
{
	mmput_async_saturating(mm);
}
#endif
