#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# mremap() with MREMAP_FIXED leaves what was mapped at the target where the source has a hole.
#
# Since Linux 6.17, mremap() can move several mappings at once, if the size remains the same. One
# would expect of MREMAP_FIXED that all of the target is replaced, as it is if one mapping is moved,
# so that afterwards the target has a hole where the source had one. But each mapping is moved by
# itself, and only what lies under one of them is unmapped. The old memory shows through the hole.
#
# Who keeps track of a process's mappings by its system calls must not drop all that was at the
# target, and who moves an arena has to unmap the target first.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=findings/lib/linux-7.3.sh
. lib/linux-7.3.sh

cat >"$FOLDER/main.c" <<'END'
#include "boot.h"

int main(void)
{
	char *from = anonymous(8), *to = anonymous(8), *moved;

	memset(from, 'S', 8 * PAGE);
	memset(to, 'T', 8 * PAGE);
	munmap(from + 5 * PAGE, PAGE);
	moved = mremap(from, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	printf("> mremap: %s; pages of the target: ", moved == to ? "moved" : strerror(errno));
	for (int i = 0; i < 8; i++)
		putchar(to[i * PAGE]);
	putchar('\n');
	finish();
}
END
expect 'mremap: moved; pages of the target: SSSSSTSS'
