/* SPDX-License-Identifier: GPL-2.0 */

/* The ioctls of the sample modules without a header; their sources document them. */

#ifndef RUST_MM_IOCTL_H
#define RUST_MM_IOCTL_H

#include <sys/ioctl.h>

/* rust_mmap_demand */
#define DEMAND_REVOKE	_IO('d', 0)
#define DEMAND_RESTORE	_IO('d', 1)
#define DEMAND_TAKE	_IOW('d', 2, unsigned int)
#define DEMAND_CLEAN	_IOR('d', 3, unsigned int)

/* rust_mmap_buffers */
#define BUFFERS_CREATE	_IOW('B', 0, unsigned long long)
#define BUFFERS_REVOKE	_IO('B', 1)
#define BUFFERS_RING	_IOW('B', 2, unsigned long long)

/* rust_mmap_cdev */
#define CDEV_UNREGISTER	_IO('C', 0)

/* rust_mm_misuse */
#define MISUSE_TWICE	_IO('m', 0)
#define MISUSE_ORDER	_IO('m', 1)
#define MISUSE_SLEEP	_IO('m', 2)
#define MISUSE_AROUND	_IO('m', 3)
#define MISUSE_COPY	_IO('m', 4)
#define MISUSE_MIRROR	_IO('m', 5)

/* rust_mm_broken */
#define BROKEN_FREED	_IO('b', 0)
#define BROKEN_VMALLOC	_IO('b', 1)
#define BROKEN_STACK	_IO('b', 2)
#define BROKEN_PAGE	_IO('b', 3)
#define BROKEN_LEAK	_IO('b', 4)
#define BROKEN_RACE	_IO('b', 5)
#define BROKEN_LIST	_IO('b', 6)
#define BROKEN_LOCK	_IO('b', 7)
#define BROKEN_VMA	_IO('b', 8)

#endif /* RUST_MM_IOCTL_H */
