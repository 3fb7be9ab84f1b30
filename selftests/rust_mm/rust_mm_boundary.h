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

/* Opens the device of a driver, or its first one if it has several. */
static inline int open_device(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_RDWR);
	if (fd >= 0 || errno != ENOENT)
		return fd;
	strcat(path, "0");
	return open(path, O_RDWR);
}

/*
 * Loads a driver and opens its device. Returns the file or -errno; -ENOENT if this machine
 * cannot run the test, and sets *reason to the reason.
 */
static inline int open_loaded(const char *name, const char **reason)
{
	int fd, ret = load_module(name, "");

	*reason = "no such module, and no $RUST_MM_MODULES";
	if (ret == -ENOENT && getenv("RUST_MM_MODULES"))
		return -ENODEV;
	if (ret)
		return ret;
	fd = open_device(name);
	if (fd >= 0)
		return fd;
	ret = -errno;
	/* A driver without a device is a failure, unless the machine lacks it. */
	*reason = NULL;
	if (!strcmp(name, "rust_mmap_pfn") && !has_ivshmem())
		*reason = "no QEMU -device ivshmem-plain";
	if (!strcmp(name, "rust_mmap_dma") && !has_edu())
		*reason = "no QEMU -device edu";
	if (ret == -ENOENT && !*reason)
		ret = -ENODEV;
	unload_module(name);
	return ret;
}

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
