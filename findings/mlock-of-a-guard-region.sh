#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# mlock() of a range with a guard region fails with ENOMEM, and has locked the range.
#
# A guard region (MADV_GUARD_INSTALL) is no mapping of its own, so one would expect that mlock()
# either locks what is around it, or fails and changes nothing. It fails with ENOMEM, which the
# manual explains by addresses that are not mapped or by a limit; but all of the range is locked
# then, counts against the limit of the process, and its pages are populated up to the guard. And
# since guards cannot be installed in locked memory, the program can remove its guard, but not put it
# back.
#
# An allocator that guards its blocks by such regions cannot be used with mlock() of a whole arena,
# and a program that takes ENOMEM for "not locked" counts its locked memory wrong.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=findings/lib/linux-7.3.sh
. lib/linux-7.3.sh

cat >"$FOLDER/main.c" <<'END'
#include "boot.h"

#define GUARD_INSTALL	102
#define GUARD_REMOVE	103

static const char *result(int ret)
{
	return ret ? strerror(errno) : "success";
}

int main(void)
{
	char *memory = anonymous(8), line[256];
	FILE *file;

	begin();
	printf("> guard: %s\n", result(madvise(memory + 3 * PAGE, PAGE, GUARD_INSTALL)));
	printf("> mlock: %s\n", result(mlock(memory, 8 * PAGE)));
	file = fopen("/proc/self/status", "r");
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, "VmLck:", 6))
			printf("> locked: %lu kB\n", strtoul(line + 6, NULL, 10));
	printf("> guard removed: %s\n", result(madvise(memory + 3 * PAGE, PAGE, GUARD_REMOVE)));
	printf("> guard again: %s\n", result(madvise(memory + 3 * PAGE, PAGE, GUARD_INSTALL)));
	finish();
}
END
expect 'guard: success
mlock: Cannot allocate memory
locked: 32 kB
guard removed: success
guard again: Invalid argument'
