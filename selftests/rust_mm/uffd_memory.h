/* SPDX-License-Identifier: GPL-2.0 */

/*
 * The memory files of rust_memfile, for the kernel's own tests of userfaultfd: while
 * rust_memory_type is set, memfd_create() creates one of them. Linked with
 * --wrap=memfd_create.
 */

#ifndef UFFD_MEMORY_H
#define UFFD_MEMORY_H

#include <fcntl.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../../../samples/rust/mm/rust_memfile.h"

static bool rust_memory_type;
/* More flags of struct rust_memfile_create. */
static unsigned int rust_memory_flags;

int __real_memfd_create(const char *name, unsigned int flags);
int __wrap_memfd_create(const char *name, unsigned int flags);

int __wrap_memfd_create(const char *name, unsigned int flags)
{
	struct rust_memfile_create create = {
		.modes = RUST_MEMFILE_MISSING | RUST_MEMFILE_MINOR | RUST_MEMFILE_WP |
			RUST_MEMFILE_RWP,
		.flags = (flags & MFD_CLOEXEC ? RUST_MEMFILE_CLOEXEC : 0) |
			(flags & MFD_ALLOW_SEALING ? RUST_MEMFILE_SEALABLE : 0) | rust_memory_flags,
	};
	int device, fd;

	if (!rust_memory_type)
		return __real_memfd_create(name, flags);
	device = open("/dev/rust_memfile", O_RDWR | O_CLOEXEC);
	if (device < 0)
		return -1;
	fd = ioctl(device, RUST_MEMFILE_CREATE, &create);
	close(device);
	return fd;
}

#endif /* UFFD_MEMORY_H */
