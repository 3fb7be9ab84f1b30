/* SPDX-License-Identifier: GPL-2.0 */

/* The ioctl of /dev/rust_pin. */

#ifndef RUST_PIN_H
#define RUST_PIN_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Whole pages of the calling process. */
struct rust_pin_range {
	__u64 start;
	__u64 len;	/* in bytes; 0: none */
};

/* Pins a range, in place of the one before, and charges the process for it. */
#define RUST_PIN_SET	_IOW('P', 0, struct rust_pin_range)

#endif
