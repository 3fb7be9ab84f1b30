#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# PAGEMAP_SCAN finds no written page in memory that userfaultfd does not watch.
#
# PAGE_IS_WRITTEN means that a page was written to since its write protection was set. Up to Linux
# 6.18 at least, written pages of memory that was never write-protected counted. In 7.3.4, none of
# them does: only what is registered with UFFDIO_REGISTER_MODE_WP is looked at. There, all pages
# count at once, also those that nothing was written to, until they are write-protected.
#
# A program that copies memory for a snapshot, and asks for the written pages before it registers
# the range, copies nothing now, without an error.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=findings/lib/linux-7.3.sh
. lib/linux-7.3.sh

cat >"$FOLDER/main.c" <<'END'
#include "boot.h"
#include <linux/userfaultfd.h>

int main(void)
{
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	char *memory = anonymous(4);
	struct uffdio_register watch = {
		.range = { (uintptr_t)memory, 4 * PAGE }, .mode = UFFDIO_REGISTER_MODE_WP,
	};
	/* UFFD_FEATURE_WP_UNPOPULATED and UFFD_FEATURE_WP_ASYNC */
	struct uffdio_api api = { .api = UFFD_API, .features = 1 << 13 | 1 << 15 };

	begin();
	memory[0] = 1;
	memory[2 * PAGE] = 1;
	written("written pages, not watched", memory, 4, 0);
	if (ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &watch))
		printf("> userfaultfd: %s\n", strerror(errno));
	written("written pages, watched", memory, 4, 0);
	finish();
}
END
expect 'written pages, not watched: 
written pages, watched: 0 1 2 3 '
