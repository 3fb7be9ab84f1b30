// SPDX-License-Identifier: GPL-2.0

/*
 * Prints the mappings of a process from /dev/rust_vma_inspect beside those from
 * /proc/<pid>/smaps. A line that starts with '!' marks a difference; if the process
 * runs meanwhile, differences are expected.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "rust_vma_inspect.h"

/* A VMA as smaps shows it. */
struct seen {
	unsigned long start;
	unsigned long end;
	unsigned long offset;
	char perms[5];
	unsigned int major;
	unsigned int minor;
	unsigned long ino;
	char name[4096 + 64];
	unsigned long rss;	/* in bytes */
	unsigned long swap;
};

/* Reads the next VMA of smaps: its first line, and the lines Rss and Swap. */
static bool next_seen(FILE *smaps, struct seen *seen)
{
	char line[8192];

	while (fgets(line, sizeof(line), smaps)) {
		seen->name[0] = '\0';
		if (sscanf(line, "%lx-%lx %4s %lx %x:%x %lu %4159[^\n]", &seen->start,
			   &seen->end, seen->perms, &seen->offset, &seen->major,
			   &seen->minor, &seen->ino, seen->name) < 7)
			continue;
		while (fgets(line, sizeof(line), smaps)) {
			if (sscanf(line, "Rss: %lu kB", &seen->rss) == 1)
				seen->rss <<= 10;
			if (sscanf(line, "Swap: %lu kB", &seen->swap) == 1) {
				seen->swap <<= 10;
				return true;
			}
		}
	}
	return false;
}

static void perms_of(uint64_t flags, char *perms)
{
	perms[0] = flags & RUST_VMA_READ ? 'r' : '-';
	perms[1] = flags & RUST_VMA_WRITE ? 'w' : '-';
	perms[2] = flags & RUST_VMA_EXEC ? 'x' : '-';
	perms[3] = flags & RUST_VMA_SHARED ? 's' : 'p';
	perms[4] = '\0';
}

static bool same(const struct rust_vma *vma, const char *perms, const struct seen *seen)
{
	return vma->start == seen->start && vma->end == seen->end &&
	       !strcmp(perms, seen->perms) && vma->ino == seen->ino &&
	       vma->major == seen->major && vma->minor == seen->minor &&
	       (!vma->ino || vma->offset == seen->offset) && vma->rss == seen->rss &&
	       /* For a file in memory, smaps counts swap that no page table refers to. */
	       (vma->ino || vma->swap == seen->swap);
}

int main(int argc, char **argv)
{
	static struct rust_vma vmas[128];
	struct rust_vma_inspect request = { .flags = RUST_VMA_INSPECT_PAGES };
	struct seen seen = {};
	char path[64];
	unsigned long differ = 0;
	FILE *smaps;
	int fd;

	request.pid = argc > 1 ? strtoul(argv[1], NULL, 0) : (unsigned long)getpid();
	fd = open("/dev/rust_vma_inspect", O_RDONLY);
	if (fd < 0) {
		perror("/dev/rust_vma_inspect");
		return 1;
	}
	snprintf(path, sizeof(path), "/proc/%lu/smaps", (unsigned long)request.pid);
	smaps = fopen(path, "r");
	if (!smaps) {
		perror(path);
		return 1;
	}

	printf("  %-27s %-4s %10s %10s %10s %10s  %s\n", "address", "perm", "present", "rss",
	       "smaps: rss", "swap", "file");
	do {
		request.vmas = (uintptr_t)vmas;
		request.count = sizeof(vmas) / sizeof(vmas[0]);
		if (ioctl(fd, RUST_VMA_INSPECT, &request)) {
			perror("ioctl");
			return 1;
		}
		for (unsigned int i = 0; i < request.count; i++) {
			const struct rust_vma *vma = &vmas[i];
			bool equal;
			char perms[5];

			/* A VMA that only smaps shows does not end the comparison. */
			while (seen.start < vma->start) {
				if (!next_seen(smaps, &seen)) {
					seen.start = -1UL;
				} else if (seen.start < vma->start) {
					printf("! %013lx-%013lx %s in smaps only\n",
					       seen.start, seen.end, seen.perms);
					differ++;
				}
			}
			perms_of(vma->flags, perms);
			equal = same(vma, perms, &seen);
			differ += !equal;
			printf("%c %013" PRIx64 "-%013" PRIx64 " %s %10" PRIu64 " %10" PRIu64,
			       equal ? ' ' : '!', (uint64_t)vma->start, (uint64_t)vma->end, perms,
			       (uint64_t)vma->present, (uint64_t)vma->rss);
			if (seen.start == vma->start)
				printf(" %10lu", seen.rss);
			else
				printf(" %10s", "-");
			printf(" %10" PRIu64 "  %s\n", (uint64_t)vma->swap, vma->name);
		}
	} while (request.start);
	printf("%lu differ\n", differ);
	return 0;
}
