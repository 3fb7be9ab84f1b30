/* SPDX-License-Identifier: GPL-2.0 */

/* Long-term pins of user space's pages, by the kernel's own test of GUP. */

#ifndef RUST_MM_PIN_H
#define RUST_MM_PIN_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "../../../../mm/gup_test.h"

/*
 * Pins pages as a device that reads them would, or one that writes to them. Returns a descriptor,
 * which unpins them when it is closed, or -errno: -ENOENT without CONFIG_GUP_TEST.
 */
static inline int pin_longterm(char *at, size_t len, bool write)
{
	struct pin_longterm_test args = {
		.addr = (unsigned long)at, .size = len,
		.flags = write ? PIN_LONGTERM_TEST_FLAG_USE_WRITE : 0,
	};
	int fd, error;

	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	fd = open("/sys/kernel/debug/gup_test", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, PIN_LONGTERM_TEST_START, &args)) {
		error = errno;
		close(fd);
		return -error;
	}
	return fd;
}

#endif /* RUST_MM_PIN_H */
