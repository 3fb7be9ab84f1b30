#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# userfaultfd answers EEXIST if a page that has to be filled is in a guard region.
#
# EEXIST is the answer if there is a page already, because another thread was faster. Programs that
# restore memory on demand, and fetch pages ahead, go on then: that page is done. In 7.3.4, it is
# also the answer of UFFDIO_COPY, UFFDIO_ZEROPAGE, UFFDIO_POISON and UFFDIO_MOVE where
# MADV_GUARD_INSTALL has made a guard region. There is no page: an access is SIGSEGV, and when the
# region is removed, the page is missing. One would expect EFAULT, as for MADV_POPULATE_READ, or
# ENOENT, as for memory that is not registered.
#
# A program that notes the page as done, and unregisters when all are, loses its contents.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=findings/lib/linux-7.3.sh
. lib/linux-7.3.sh

cat >"$FOLDER/main.c" <<'END'
#include "boot.h"
#include <linux/userfaultfd.h>

/* <linux/userfaultfd.h> and <sys/mman.h> of Debian 12 do not have them. */
struct poison {
	struct uffdio_range range;
	uint64_t mode;
	int64_t updated;
};
struct move {
	uint64_t dst, src, len, mode;
	int64_t moved;
};

#define POISON		_IOWR(UFFDIO, 8, struct poison)
#define MOVE		_IOWR(UFFDIO, 5, struct move)
#define POPULATE_READ	22
#define GUARD_INSTALL	102
#define GUARD_REMOVE	103

static void say(const char *what, int result)
{
	printf("> %s: %s\n", what, result ? strerror(errno) : "done");
}

int main(void)
{
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	struct uffdio_api api = { .api = UFFD_API };
	char *memory = anonymous(1), *from = anonymous(1);
	const struct uffdio_range range = { (uintptr_t)memory, PAGE };
	struct uffdio_register watch = { range, UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_copy copy = { (uintptr_t)memory, (uintptr_t)from, PAGE };
	struct uffdio_copy again = copy;
	struct uffdio_zeropage zero = { range };
	struct poison poison = { range };
	struct move move = { (uintptr_t)memory, (uintptr_t)from, PAGE };

	from[0] = 1;
	if (ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &watch))
		printf("> userfaultfd: %s\n", strerror(errno));
	say("guard region", madvise(memory, PAGE, GUARD_INSTALL));
	say("UFFDIO_COPY", ioctl(fd, UFFDIO_COPY, &copy));
	say("UFFDIO_ZEROPAGE", ioctl(fd, UFFDIO_ZEROPAGE, &zero));
	say("UFFDIO_POISON", ioctl(fd, POISON, &poison));
	say("UFFDIO_MOVE", ioctl(fd, MOVE, &move));
	say("MADV_POPULATE_READ", madvise(memory, PAGE, POPULATE_READ));
	say("guard region removed", madvise(memory, PAGE, GUARD_REMOVE));
	say("UFFDIO_COPY", ioctl(fd, UFFDIO_COPY, &again));
	finish();
}
END
expect 'guard region: done
UFFDIO_COPY: File exists
UFFDIO_ZEROPAGE: File exists
UFFDIO_POISON: File exists
UFFDIO_MOVE: File exists
MADV_POPULATE_READ: Bad address
guard region removed: done
UFFDIO_COPY: done'
