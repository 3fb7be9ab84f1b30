// SPDX-License-Identifier: GPL-2.0

/* What 7.3 has in srcu.c. */

#include <linux/srcu.h>

__rust_helper int rust_helper_srcu_read_lock(struct srcu_struct *ssp)
{
	return srcu_read_lock(ssp);
}

__rust_helper void rust_helper_srcu_read_unlock(struct srcu_struct *ssp, int idx)
{
	srcu_read_unlock(ssp, idx);
}
