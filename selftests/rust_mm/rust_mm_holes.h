/* SPDX-License-Identifier: GPL-2.0 */

/* The module rust_mm_upstream_holes: see its source for what it does. */

#ifndef RUST_MM_HOLES_H
#define RUST_MM_HOLES_H

#include <sys/ioctl.h>

#define HOLES_MODULE	"rust_mm_upstream_holes"
#define HOLES_DEVICE	"/dev/rust_mm_upstream_holes"

#define HOLES_ZAP	_IOW('h', 0, unsigned long[2])
#define HOLES_INSERT	_IO('h', 1)
#define HOLES_IS_OWNED	_IO('h', 2)

#endif /* RUST_MM_HOLES_H */
