#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# UFFDIO_WRITEPROTECT does not protect the pages of a guard region, and they count as written.
#
# A program tracks writes with userfaultfd (UFFDIO_REGISTER_MODE_WP, UFFD_FEATURE_WP_ASYNC,
# UFFD_FEATURE_WP_UNPOPULATED) and PAGEMAP_SCAN; a page that nobody has written to since it was
# protected is not found. Where MADV_GUARD_INSTALL has made a guard region (for the end of a stack,
# say), no page can be written to, so one would expect that none is found, at the latest after it
# was protected anew. In 7.3.4, UFFDIO_WRITEPROTECT skips these pages, and reports success: each of
# them is found each time. PM_SCAN_WP_MATCHING does protect them. When the region is removed, its
# pages, which are empty, count as written again.
#
# A tool that copies what was written, and protects by UFFDIO_WRITEPROTECT, until little is left,
# does not get below the size of the guard regions, unless it leaves out what has PAGE_IS_GUARD.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=findings/lib/linux-7.3.sh
. lib/linux-7.3.sh

cat >"$FOLDER/main.c" <<'END'
#include "boot.h"
#include <linux/userfaultfd.h>

/* <sys/mman.h> of Debian 12 does not have them. */
#define GUARD_INSTALL	102
#define GUARD_REMOVE	103
#define PAGES		4

int main(void)
{
	char *memory = anonymous(PAGES);
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	/* UFFD_FEATURE_WP_UNPOPULATED and UFFD_FEATURE_WP_ASYNC */
	struct uffdio_api api = { .api = UFFD_API, .features = 1 << 13 | 1 << 15 };
	struct uffdio_register watch = { .mode = UFFDIO_REGISTER_MODE_WP };
	struct uffdio_writeprotect protect = { .mode = UFFDIO_WRITEPROTECT_MODE_WP };

	begin();
	watch.range = protect.range = (struct uffdio_range){ (uintptr_t)memory, PAGES * PAGE };
	if (ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &watch))
		printf("> userfaultfd: %s\n", strerror(errno));
	ioctl(fd, UFFDIO_WRITEPROTECT, &protect);
	memory[0] = 1;
	written("page 0 written to", memory, PAGES, 0);
	if (madvise(memory + 2 * PAGE, 2 * PAGE, GUARD_INSTALL))
		printf("> guard region: %s\n", strerror(errno));
	written("guard region from page 2", memory, PAGES, 0);
	printf("> protected: %s\n", ioctl(fd, UFFDIO_WRITEPROTECT, &protect) ? strerror(errno) : "yes");
	written("then", memory, PAGES, 0);
	written("found, and protected", memory, PAGES, WP_MATCHING);
	written("then", memory, PAGES, 0);
	madvise(memory + 2 * PAGE, 2 * PAGE, GUARD_REMOVE);
	written("guard region removed", memory, PAGES, 0);
	finish();
}
END
expect 'page 0 written to: 0 
guard region from page 2: 0 2 3 
protected: yes
then: 2 3 
found, and protected: 2 3 
then: 
guard region removed: 2 3 '
