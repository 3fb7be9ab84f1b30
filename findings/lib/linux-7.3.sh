# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# For the findings about the kernel; sourced. Boots Debian's Linux 7.3.4 in QEMU, both in pinned
# versions, with a C program as its only process. Needs gcc and the static C library.

# shellcheck source=findings/lib/qemu.sh
. lib/qemu.sh

KERNEL=linux-binary-7.3.4+deb13-cloud-amd64
KERNEL_VERSION=7.3.4-1~bpo13+1

# One file of an archive for the kernel (cpio's newc format).
archive_entry() { # NAME FILE
    local size=0
    [[ ! -e $2 ]] || size=$(stat -c %s "$2")
    printf '070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\0' \
        1 $((8#100755)) 0 0 1 0 "$size" 0 0 0 0 $((${#1} + 1)) 0 "$1"
    head -c $(((4 - (110 + ${#1} + 1) % 4) % 4)) /dev/zero
    ((!size)) || cat "$2"
    head -c $(((4 - size % 4) % 4)) /dev/zero
}

# Compiles main.c in the folder, boots with it, and prints those lines of its output that begin with
# "> ". The program ends with finish().
boot() {
    cat >"$FOLDER/boot.h" <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE	4096ul
#define RW	(PROT_READ | PROT_WRITE)

/* Mounts /proc. */
static void begin(void)
{
	mkdir("/proc", 0755);
	mount("proc", "/proc", "proc", 0, 0);
}

static void finish(void)
{
	fflush(stdout);
	sync();
	reboot(RB_AUTOBOOT);
}

/* <linux/fs.h> of Debian 12 does not have them. */
struct scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, inverted, all, any,
		returned;
};
struct region {
	uint64_t start, end, categories;
};

#define SCAN		_IOWR('f', 16, struct scan)
#define WP_MATCHING	(1 << 0)
#define IS_WRITTEN	(1 << 1)

/* Prints which of up to 4 pages PAGEMAP_SCAN finds written. Needs begin(). */
static void written(const char *when, char *memory, size_t pages, uint64_t flags)
{
	struct region regions[4] = {};
	struct scan scan = {
		.size = sizeof(scan), .flags = flags, .start = (uintptr_t)memory,
		.end = (uintptr_t)memory + pages * PAGE, .vec = (uintptr_t)regions, .vec_len = 4,
		.all = IS_WRITTEN, .returned = IS_WRITTEN,
	};
	int fd = open("/proc/self/pagemap", O_RDONLY), found = ioctl(fd, SCAN, &scan);

	printf("> %s: ", when);
	if (found < 0)
		printf("%s", strerror(errno));
	for (int i = 0; i < found; i++)
		for (uint64_t at = regions[i].start; at < regions[i].end; at += PAGE)
			printf("%lu ", (at - (uintptr_t)memory) / PAGE);
	putchar('\n');
	close(fd);
}

static char *anonymous(size_t pages)
{
	return mmap(NULL, pages * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
END
    gcc -static -O1 -Wall -Wno-unused-function -I "$FOLDER" -o "$FOLDER/init" "$FOLDER/main.c"
    {
        archive_entry init "$FOLDER/init"
        archive_entry TRAILER!!! /nothing
    } >"$FOLDER/initrd"
    # The kernel restarts the machine in the end, which ends QEMU.
    qemu -m 512M -no-reboot -serial stdio \
        -kernel "$FOLDER/root/usr/lib/modules/${KERNEL#linux-binary-}/vmlinuz" \
        -initrd "$FOLDER/initrd" -append "console=ttyS0 quiet panic=-1" |
        tr -d '\r' | sed -n 's/^.*> //p'
}

# Boots, and expects that the program prints this.
expect() { # TEXT
    get_packages "$KERNEL=$KERNEL_VERSION"
    compare "Linux $KERNEL_VERSION" "$(boot)" "$1"
}
