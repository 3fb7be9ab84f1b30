/* SPDX-License-Identifier: GPL-2.0 */

/* What the tests with values at the edge have in common. */

#ifndef RUST_MM_BOUNDARY_H
#define RUST_MM_BOUNDARY_H

#include "rust_mm.h"
#include "rust_mm_holes.h"
#include "kselftest_harness.h"
#include "../../../../samples/rust/mm/rust_vma_inspect.h"

#include <stdint.h>
#include <sys/ioctl.h>

#define RW	(PROT_READ | PROT_WRITE)

#define DEMAND_REVOKE	_IO('d', 0)
#define DEMAND_RESTORE	_IO('d', 1)
#define DEMAND_TAKE	_IOW('d', 2, unsigned int)
#define DEMAND_CLEAN	_IOR('d', 3, unsigned int)

#define MISUSE_TWICE	_IO('m', 0)
#define MISUSE_ORDER	_IO('m', 1)
#define MISUSE_SLEEP	_IO('m', 2)

#define FAILS(expr, error)						\
do {									\
	errno = 0;							\
	EXPECT_EQ((long)(expr), -1) TH_LOG("%s", #expr);		\
	EXPECT_EQ(errno, error) TH_LOG("%s", #expr);			\
} while (0)

static inline int open_device(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/%s", name);
	return open(path, O_RDWR);
}

/* Closing a file is not finished when close(2) returns. */
static inline int unload(const char *name)
{
	int ret = 0;

	for (int i = 0; i < 20; i++) {
		ret = unload_module(name);
		if (ret != -EWOULDBLOCK)
			break;
		usleep(50000);
	}
	return ret;
}

#endif /* RUST_MM_BOUNDARY_H */
