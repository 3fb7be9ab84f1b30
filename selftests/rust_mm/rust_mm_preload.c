// SPDX-License-Identifier: GPL-2.0

/*
 * Replaces mmap() by one that maps a sample device instead of what the program asks
 * for. So a program that does not know the device uses its mappings as its own memory.
 *
 *   RUST_MM_DEVICE=/dev/rust_mmap LD_PRELOAD=./rust_mm_preload.so stress-ng ...
 *
 * Only the children of the started program get such mappings, since the program needs
 * memory of its own. Each mapping gets a different part of the device, as long as there
 * are unused parts: the program expects separate memory. If the device refuses a mapping,
 * the program gets the mapping that it asked for.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Up to this length, a program often uses a mapping for its own bookkeeping. */
#define SMALL	(16 * 4096)

static struct {
	unsigned long next[2];	/* next page of the device, for large and small mappings */
	unsigned long mapped, refused;
} *shared;

static char device[64];
static unsigned long size, page;
static pid_t parent;

static void *real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
}

/* Returns the size of the device from fdinfo. */
static unsigned long device_size(int fd)
{
	char path[64], line[64];
	unsigned long bytes = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "size: %lu", &bytes) == 1)
			break;
	if (file)
		fclose(file);
	return bytes;
}

static __attribute__((constructor)) void begin(void)
{
	const char *name = getenv("RUST_MM_DEVICE");
	int fd;

	/* Copy the name: the program may overwrite its environment. */
	snprintf(device, sizeof(device), "%s", name ? name : "");
	fd = open(device, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	size = device_size(fd);
	close(fd);
	page = sysconf(_SC_PAGESIZE);
	shared = real_mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		abort();
	parent = getpid();
}

static __attribute__((destructor)) void end(void)
{
	if (parent && getpid() == parent)
		fprintf(stderr, "%s: %lu mapped, %lu refused\n", device,
			shared->mapped, shared->refused);
}

/*
 * Returns the first page of a part of the device for a mapping of @len bytes. Small mappings
 * get the first quarter of the device, so that large ones do not overwrite them when the
 * parts are used again from the start.
 */
static unsigned long part(size_t len)
{
	unsigned long pages = size / page, wanted = (len + page - 1) / page;
	bool small = len <= SMALL;
	unsigned long begin = small ? 0 : pages / 4, end = small ? pages / 4 : pages;
	unsigned long first, *at = &shared->next[small];
	unsigned long next = __atomic_load_n(at, __ATOMIC_RELAXED);

	do {
		first = next < begin || next + wanted > end ? begin : next;
	} while (!__atomic_compare_exchange_n(at, &next, first + wanted, true,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return first;
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	int keep = MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_LOCKED | MAP_POPULATE |
		   MAP_NORESERVE, ours, error = errno;
	void *map = MAP_FAILED;

	if (!parent || getpid() == parent || !len || len > size / 4 * 3 ||
	    flags & (MAP_STACK | MAP_GROWSDOWN | MAP_HUGETLB))
		return real_mmap(addr, len, prot, flags, fd, offset);
	ours = open(device, O_RDWR | O_CLOEXEC);
	if (ours >= 0) {
		map = real_mmap(addr, len, prot, (flags & keep) | MAP_SHARED, ours,
				part(len) * page);
		close(ours);
	}
	/* Anonymous memory must be zeroed. Programs do not rely on that for large mappings. */
	if (map != MAP_FAILED && flags & MAP_ANONYMOUS && prot & PROT_WRITE && len <= SMALL)
		memset(map, 0, len);
	__atomic_add_fetch(map == MAP_FAILED ? &shared->refused : &shared->mapped, 1,
			   __ATOMIC_RELAXED);
	if (map != MAP_FAILED)
		return map;
	errno = error;
	return real_mmap(addr, len, prot, flags, fd, offset);
}

void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
	__attribute__((alias("mmap")));
