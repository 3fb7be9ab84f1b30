/* SPDX-License-Identifier: GPL-2.0 */

/*
 * Fault injection into the allocations of this thread
 * (Documentation/fault-injection/fault-injection.rst).
 */

#ifndef RUST_MM_INJECT_H
#define RUST_MM_INJECT_H

#include "rust_mm.h"

#include <sys/mount.h>

#define DEBUGFS	"/sys/kernel/debug/"

/* Settings with which an allocation of any kind may fail. */
static const char *const settings[][2] = {
	{ "failslab/verbose", "0" },
	{ "failslab/ignore-gfp-wait", "N" },
	{ "failslab/cache-filter", "N" },
	{ "fail_page_alloc/verbose", "0" },
	{ "fail_page_alloc/ignore-gfp-wait", "N" },
	{ "fail_page_alloc/ignore-gfp-highmem", "N" },
	{ "fail_page_alloc/min-order", "0" },
};

#define NR_SETTINGS	ARRAY_SIZE(settings)

static inline void mount_debugfs(void)
{
	mount("debugfs", DEBUGFS, "debugfs", 0, NULL);
}

/* Writes a setting in debugfs. Returns 0 or -errno. */
static inline int set(const char *name, const char *value)
{
	char path[128];
	int fd, ret;

	snprintf(path, sizeof(path), DEBUGFS "%s", name);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return -errno;
	ret = write(fd, value, strlen(value)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

/* Reads a setting in debugfs. Returns 0 or -errno. */
static inline int get(const char *name, char *value, size_t size)
{
	char path[128];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), DEBUGFS "%s", name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return -errno;
	len = read(fd, value, size - 1);
	close(fd);
	if (len < 0)
		return -errno;
	value[len] = '\0';
	return 0;
}

/* Makes the @n-th allocation of this thread from now on fail. */
static inline void arm(int nth, int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	if (pwrite(nth, text, len, 0) != len)
		abort();
}

/* Ends the injection. Returns whether an allocation has failed. */
static inline bool disarm(int nth)
{
	char text[16] = "";

	if (pread(nth, text, sizeof(text) - 1, 0) <= 0)
		abort();
	arm(nth, 0);
	return atoi(text) == 0;
}

/*
 * Looks up the address of a kernel function and of the next symbol after it. Returns 0 or
 * -errno.
 */
static inline int symbol(const char *name, unsigned long *start, unsigned long *end)
{
	FILE *symbols = fopen("/proc/kallsyms", "r");
	char line[512], found[256], type;
	unsigned long addr;

	*start = 0;
	*end = -1ul;
	while (symbols && fgets(line, sizeof(line), symbols))
		if (sscanf(line, "%lx %c %255s", &addr, &type, found) == 3 &&
		    !strcmp(found, name))
			*start = addr;
	if (symbols && *start) {
		rewind(symbols);
		while (fgets(line, sizeof(line), symbols))
			if (sscanf(line, "%lx", &addr) == 1 && addr > *start &&
			    addr < *end)
				*end = addr;
	}
	if (symbols)
		fclose(symbols);
	return *start ? 0 : -ENOENT;
}

/* Lets only allocations fail that a function at these addresses makes, directly or not. */
static inline int require(unsigned long start, unsigned long end)
{
	static const char *const attrs[] = { "failslab", "fail_page_alloc" };
	char name[64], value[32];
	int ret = 0;

	for (int i = 0; i < 2 && !ret; i++) {
		snprintf(name, sizeof(name), "%s/require-start", attrs[i]);
		snprintf(value, sizeof(value), "0x%lx", start);
		ret = set(name, value);
		if (ret)
			break;
		snprintf(name, sizeof(name), "%s/require-end", attrs[i]);
		snprintf(value, sizeof(value), "0x%lx", end);
		ret = set(name, value);
	}
	return ret;
}

#endif /* RUST_MM_INJECT_H */
