#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# UFFDIO_REGISTER cannot take write protection away, but can take away everything else.
#
# A range that is registered can be registered again, with other modes, which replace the old ones;
# up to Linux 6.18 at least, with any. In 7.3.4, to leave out UFFDIO_REGISTER_MODE_WP is EBUSY. One
# would expect the same of UFFDIO_REGISTER_MODE_MISSING, or neither; but that is still replaced
# without a word.
#
# A program that goes from "missing pages and write protection" to "missing pages" has to unregister
# the range first, and to handle the faults in between.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=findings/lib/linux-7.3.sh
. lib/linux-7.3.sh

cat >"$FOLDER/main.c" <<'END'
#include "boot.h"
#include <linux/userfaultfd.h>

static int fd;

static void watch(char *memory, const char *what, int modes)
{
	struct uffdio_register watch = { { (uintptr_t)memory, PAGE }, modes };

	printf("> %s: %s\n", what, ioctl(fd, UFFDIO_REGISTER, &watch) ? strerror(errno) : "registered");
}

int main(void)
{
	const int missing = UFFDIO_REGISTER_MODE_MISSING, wp = UFFDIO_REGISTER_MODE_WP;
	struct uffdio_api api = { .api = UFFD_API };
	char *memory = anonymous(1);

	fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (ioctl(fd, UFFDIO_API, &api))
		printf("> userfaultfd: %s\n", strerror(errno));
	watch(memory, "missing and write protection", missing | wp);
	watch(memory, "then missing", missing);
	watch(memory, "then write protection", wp);
	watch(memory, "then both again", missing | wp);
	finish();
}
END
expect 'missing and write protection: registered
then missing: Device or resource busy
then write protection: registered
then both again: registered'
