#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# mremap() that fails has moved a part of the range.
#
# Since Linux 6.17, mremap() can move several mappings at once. It refuses ones that userfaultfd
# watches, with EFAULT. One would expect that nothing has happened then, as with any other error
# of mremap(). But the mappings before that one have been moved, and what was at their target is
# gone: the source has lost its first pages, and the target begins with them.
#
# A caller that goes on with the old address after an error of mremap() accesses unmapped memory. It
# has to look which mappings are where, or to move each mapping by a call of its own.
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
	char *from = anonymous(8), *to = anonymous(8), *moved;
	struct uffdio_register watch = {
		.range = { (uintptr_t)from + 5 * PAGE, PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_api api = { .api = UFFD_API };
	unsigned char present;

	memset(from, 'S', 8 * PAGE);
	memset(to, 'T', 8 * PAGE);
	if (ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &watch))
		printf("> userfaultfd: %s\n", strerror(errno));
	moved = mremap(from, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	printf("> mremap: %s\n", moved == to ? "moved" : strerror(errno));
	printf("> pages of the source that are mapped: ");
	for (int i = 0; i < 8; i++)
		putchar(mincore(from + i * PAGE, PAGE, &present) ? '-' : 'S');
	printf("\n> pages of the target: ");
	for (int i = 0; i < 8; i++)
		putchar(to[i * PAGE]);
	putchar('\n');
	finish();
}
END
expect 'mremap: Bad address
pages of the source that are mapped: -----SSS
pages of the target: SSSSSTTT'
