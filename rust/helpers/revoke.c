// SPDX-License-Identifier: GPL-2.0

#include <linux/rust_mm.h>

__rust_helper bool rust_helper_rust_mm_revocation_enter(struct rust_mm_revocation *revocation)
{
	return rust_mm_revocation_enter(revocation);
}

__rust_helper void rust_helper_rust_mm_revocation_leave(struct rust_mm_revocation *revocation)
{
	rust_mm_revocation_leave(revocation);
}

__rust_helper bool
rust_helper_rust_mm_revocation_is_revoked(const struct rust_mm_revocation *revocation,
					  bool forever)
{
	return rust_mm_revocation_is_revoked(revocation, forever);
}
