// SPDX-License-Identifier: GPL-2.0

/*
 * Demonstrates /dev/rust_mmap: read(2) returns what the process has written through
 * the mapping, and the mapping shows what it has written with write(2).
 */

#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char device[] = "/dev/rust_mmap";

/* Prints the lines of a file that contain @wanted, or all lines if it is NULL. */
static void print_lines(const char *path, const char *wanted)
{
	char line[512];
	FILE *f = fopen(path, "r");

	if (!f)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), f))
		if (!wanted || strstr(line, wanted))
			printf("    %s", line);
	fclose(f);
}

/* Prints the driver's counters, without the lines that every fdinfo has. */
static void print_counters(const char *when, int fd)
{
	static const char *const counters[] = {
		"size:", "opens:", "reads:", "writes:", "mmaps:",
	};
	char path[64];

	printf("the driver's counters %s:\n", when);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		print_lines(path, counters[i]);
}

int main(void)
{
	static const char by_mapping[] = "written through the mapping";
	static const char by_write[] = "written by write(2)";
	long page = sysconf(_SC_PAGESIZE);
	off_t offset = 2 * page - 10;	/* across a page boundary */
	char back[sizeof(by_mapping)] = "";
	off_t size;
	char *map;
	int fd;

	fd = open(device, O_RDWR);
	if (fd < 0)
		err(1, "%s", device);
	size = lseek(fd, 0, SEEK_END);
	if (size < 4 * page)
		errx(1, "%s has %lld bytes, the demo needs at least 4 pages",
		     device, (long long)size);
	print_counters("before", fd);

	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		err(1, "mmap");
	printf("mapped %lld bytes of %s:\n", (long long)size, device);
	print_lines("/proc/self/maps", device);

	memcpy(map + offset, by_mapping, sizeof(by_mapping));
	if (pread(fd, back, sizeof(back), offset) != sizeof(back))
		err(1, "pread");
	printf("at offset %lld, read(2) returns: \"%s\"\n",
	       (long long)offset, back);
	if (memcmp(back, by_mapping, sizeof(back)))
		errx(1, "read(2) does not return what was written through the mapping");

	if (pwrite(fd, by_write, sizeof(by_write), 0) != sizeof(by_write))
		err(1, "pwrite");
	printf("at offset 0, the mapping shows: \"%s\"\n", map);
	if (strcmp(map, by_write))
		errx(1, "the mapping does not show what write(2) wrote");

	print_counters("after", fd);
	if (munmap(map, size))
		err(1, "munmap");
	close(fd);
	return 0;
}
