/* SPDX-License-Identifier: GPL-2.0 */

/* The ioctl of /dev/rust_mirror. */

#ifndef RUST_MIRROR_H
#define RUST_MIRROR_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Whole pages of the calling process. */
struct rust_mirror_range {
	__u64 start;
	__u64 len;	/* in bytes; 0: none */
};

/* Mirrors a range, in place of the one before. */
#define RUST_MIRROR_SET	_IOW('R', 0, struct rust_mirror_range)

#endif
