/* SPDX-License-Identifier: GPL-2.0 */

/* Functions that the tests of boundary values share. */

#ifndef RUST_MM_BOUNDARY_H
#define RUST_MM_BOUNDARY_H

#include "rust_mm.h"
#include "rust_mm_ioctl.h"
#include "kselftest_harness.h"
#include "../../../../samples/rust/mm/rust_mirror.h"
#include "../../../../samples/rust/mm/rust_mmap_dma.h"
#include "../../../../samples/rust/mm/rust_pin.h"
#include "../../../../samples/rust/mm/rust_vma_inspect.h"

#include <stdint.h>
#include <sys/ioctl.h>

#define RW	(PROT_READ | PROT_WRITE)

#define FAILS(expr, error)						\
do {									\
	errno = 0;							\
	EXPECT_EQ((long)(expr), -1) TH_LOG("%s", #expr);		\
	EXPECT_EQ(errno, error) TH_LOG("%s", #expr);			\
} while (0)

/* Unloads a driver, with retries: the kernel may release a file after close(2) returns. */
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
