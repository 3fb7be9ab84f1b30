// SPDX-License-Identifier: GPL-2.0

/*
 * Memory files of rust_memfile beside those of memfd_create(): there, the twin in C is the kernel's
 * own. The descriptor of a row is a file of PAGES pages, all of them holes.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../rust_memfile.h"
#include "rust_mm_bench.h"

#define PAGES	(32 * 512UL)

static int open_memory(const char *name)
{
	struct rust_memfile_create create = {
		.size = PAGES * PAGE,
		.modes = RUST_MEMFILE_MISSING | RUST_MEMFILE_MINOR | RUST_MEMFILE_WP,
	};
	int device, fd;

	if (!strcmp(name, "memfd")) {
		fd = memfd_create(name, 0);
		check(fd >= 0 && !ftruncate(fd, PAGES * PAGE), name);
		return fd;
	}
	device = open_device(name);
	fd = ioctl(device, RUST_MEMFILE_CREATE, &create);
	check(fd >= 0, name);
	close(device);
	return fd;
}

/* Removes all pages. */
static void punch(int fd)
{
	check(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGES * PAGE),
	      "fallocate");
}

/* Returns a buffer of this many pages with data, the same for each row. */
static char *data(size_t pages)
{
	static char *bytes;

	if (!bytes) {
		bytes = mmap(NULL, 512 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		check(bytes != MAP_FAILED, "mmap");
		memset(bytes, 0x5a, 512 * PAGE);
	}
	check(pages <= 512, "data");
	return bytes;
}

/* Gives the file its first pages. */
static void fill_file(int fd, size_t pages)
{
	for (size_t i = 0; i < pages; i += 512) {
		size_t some = pages - i < 512 ? pages - i : 512;

		check(pwrite(fd, data(some), some * PAGE, i * PAGE) == (ssize_t)(some * PAGE),
		      "pwrite");
	}
}

/* --- faults and the file */

/* Accesses each page for the first time; `first`: whether the file has the pages. */
static double run_touch(int fd, const struct row *row)
{
	uint64_t from, cost;
	char *map;

	punch(fd);
	if (row->first)
		fill_file(fd, row->pages);
	map = map_at(0, row->pages, RW, fd, 0);
	from = now();
	for (size_t i = 0; i < row->pages; i++) {
		volatile char *at = map + i * PAGE;

		if (row->write)
			*at = 1;
		else
			(void)*at;
	}
	cost = now() - from;
	unmap(map, row->pages);
	punch(fd);
	return cost;
}

/* read(2) or, with `write`, write(2); `first`: whether the file has the pages. */
static double run_transfer(int fd, const struct row *row)
{
	char *buffer = data(row->pages);
	uint64_t from, cost;
	ssize_t done;

	punch(fd);
	if (row->first)
		fill_file(fd, row->pages);
	from = now();
	done = row->write ? pwrite(fd, buffer, row->pages * PAGE, 0) :
		pread(fd, buffer, row->pages * PAGE, 0);
	cost = now() - from;
	check(done == (ssize_t)(row->pages * PAGE), "transfer");
	if (!row->write)
		memset(buffer, 0x5a, row->pages * PAGE);
	punch(fd);
	return cost;
}

/* Removes pages, which are mapped with `write`. */
static double run_punch(int fd, const struct row *row)
{
	uint64_t from, cost;
	char *map;
	int ret;

	fill_file(fd, row->pages);
	map = map_at(0, row->pages, RW, fd, 0);
	if (row->write)
		touch(map, row->pages);
	from = now();
	ret = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, row->pages * PAGE);
	cost = now() - from;
	check(!ret, "fallocate");
	unmap(map, row->pages);
	return cost;
}

/* munmap() of pages that were accessed. */
static double run_unmap(int fd, const struct row *row)
{
	char *map = map_at(0, row->pages, RW, fd, 0);
	uint64_t from, cost;

	touch(map, row->pages);
	from = now();
	munmap(map, row->pages * PAGE);
	cost = now() - from;
	punch(fd);
	return cost;
}

/* --- userfaultfd */

static int uffd(void)
{
	static int fd = -1;
	struct uffdio_api api = { .api = UFFD_API };

	if (fd < 0) {
		fd = syscall(SYS_userfaultfd, O_CLOEXEC);
		check(fd >= 0 && !ioctl(fd, UFFDIO_API, &api), "userfaultfd");
	}
	return fd;
}

static char *map_watched(int fd, size_t pages, __u64 modes)
{
	char *map = map_at(0, pages, RW, fd, 0);
	struct uffdio_register watch = { { (unsigned long)map, pages * PAGE }, modes };

	check(!ioctl(uffd(), UFFDIO_REGISTER, &watch), "UFFDIO_REGISTER");
	return map;
}

/* Fills `pages` pages, `repeat` with each ioctl; `flags`: which. */
static double run_fill(int fd, const struct row *row)
{
	const int bare = uffd();
	char *map, *from_data = data(row->repeat);
	uint64_t from, cost;
	int ret = 0;

	punch(fd);
	if (row->flags == _UFFDIO_CONTINUE)
		fill_file(fd, row->pages);
	map = map_watched(fd, row->pages, row->flags == _UFFDIO_CONTINUE ?
			  UFFDIO_REGISTER_MODE_MINOR : UFFDIO_REGISTER_MODE_MISSING);
	from = now();
	for (size_t i = 0; i < row->pages; i += row->repeat) {
		const __u64 at = (unsigned long)map + i * PAGE, len = row->repeat * PAGE;
		struct uffdio_copy copy = { at, (unsigned long)from_data, len };
		struct uffdio_zeropage zero = { { at, len } };
		struct uffdio_continue cont = { { at, len } };

		switch (row->flags) {
		case _UFFDIO_COPY:
			ret |= ioctl(bare, UFFDIO_COPY, &copy);
			break;
		case _UFFDIO_ZEROPAGE:
			ret |= ioctl(bare, UFFDIO_ZEROPAGE, &zero);
			break;
		case _UFFDIO_CONTINUE:
			ret |= ioctl(bare, UFFDIO_CONTINUE, &cont);
			break;
		}
	}
	cost = now() - from;
	check(!ret, "fill");
	unmap(map, row->pages);
	punch(fd);
	return cost;
}

/* Protects pages that are mapped, or with `first` removes the protection. */
static double run_protect(int fd, const struct row *row)
{
	char *map = map_watched(fd, row->pages, UFFDIO_REGISTER_MODE_WP);
	struct uffdio_writeprotect wp = {
		{ (unsigned long)map, row->pages * PAGE }, UFFDIO_WRITEPROTECT_MODE_WP,
	};
	uint64_t from, cost;
	int ret = 0;

	touch(map, row->pages);
	if (row->first) {
		ret = ioctl(uffd(), UFFDIO_WRITEPROTECT, &wp);
		wp.mode = 0;
	}
	from = now();
	ret |= ioctl(uffd(), UFFDIO_WRITEPROTECT, &wp);
	cost = now() - from;
	check(!ret, "UFFDIO_WRITEPROTECT");
	unmap(map, row->pages);
	punch(fd);
	return cost;
}

/* Answers each event: with a copy, CONTINUE, or the end of the protection. */
static void *answer(void *arg)
{
	const int fd = uffd();
	struct uffd_msg msg;

	while (read(fd, &msg, sizeof(msg)) == sizeof(msg)) {
		const __u64 at = msg.arg.pagefault.address, flags = msg.arg.pagefault.flags;
		struct uffdio_copy copy = { at, (unsigned long)data(1), PAGE };
		struct uffdio_continue cont = { { at, PAGE } };
		struct uffdio_writeprotect wp = { { at, PAGE } };

		if (flags & UFFD_PAGEFAULT_FLAG_WP)
			check(!ioctl(fd, UFFDIO_WRITEPROTECT, &wp), "UFFDIO_WRITEPROTECT");
		else if (flags & UFFD_PAGEFAULT_FLAG_MINOR)
			check(!ioctl(fd, UFFDIO_CONTINUE, &cont), "UFFDIO_CONTINUE");
		else
			check(!ioctl(fd, UFFDIO_COPY, &copy), "UFFDIO_COPY");
	}
	return arg;
}

/* From the access to the instruction after it, with the thread that answers on this processor. */
static double run_event(int fd, const struct row *row)
{
	static pthread_t thread;
	uint64_t from, cost;
	char *map;

	punch(fd);
	data(1);
	if (!thread) {
		uffd();
		check(!pthread_create(&thread, NULL, answer, NULL), "pthread_create");
	}
	if (row->flags == UFFDIO_REGISTER_MODE_MINOR)
		fill_file(fd, row->pages);
	map = map_watched(fd, row->pages, row->flags);
	if (row->flags == UFFDIO_REGISTER_MODE_WP) {
		struct uffdio_writeprotect wp = {
			{ (unsigned long)map, row->pages * PAGE }, UFFDIO_WRITEPROTECT_MODE_WP,
		};

		touch(map, row->pages);
		check(!ioctl(uffd(), UFFDIO_WRITEPROTECT, &wp), "UFFDIO_WRITEPROTECT");
	}
	from = now();
	touch(map, row->pages);
	cost = now() - from;
	unmap(map, row->pages);
	punch(fd);
	return cost;
}

/* Returns bytes of /proc/meminfo that are not pages of the file: slabs and page tables. */
static double bookkeeping(void)
{
	static const char *const names[] = { "Slab:", "PageTables:" };
	FILE *file = fopen("/proc/meminfo", "r");
	char line[128];
	double kib = 0;

	check(file, "/proc/meminfo");
	while (fgets(line, sizeof(line), file))
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			if (!strncmp(line, names[i], strlen(names[i])))
				kib += atol(line + strlen(names[i]));
	fclose(file);
	return kib * 1024;
}

/* Not instructions: what the kernel allocates besides the pages, when all are mapped. */
static double run_bookkeeping(int fd, const struct row *row)
{
	double before, bytes;
	char *map;

	punch(fd);
	before = bookkeeping();
	map = map_at(0, row->pages, RW, fd, 0);
	touch(map, row->pages);
	bytes = bookkeeping() - before;
	unmap(map, row->pages);
	punch(fd);
	return bytes;
}

#define TOUCH(text, n, has, w) \
	{ text, run_touch, .pages = n, .first = has, .write = w, .per = n }
#define TRANSFER(text, n, has, w) \
	{ text, run_transfer, .pages = n, .first = has, .write = w, .per = n }
#define FILL(text, op, n, each) \
	{ text, run_fill, .pages = n, .repeat = each, .flags = op, .per = n }
#define EVENT(text, mode) \
	{ text, run_event, .pages = 64, .flags = mode, .per = 64 }

static const struct row memory_rows[] = {
	{ "mmap, 1 page", run_mmap, .pages = 1 },
	{ "munmap, 256 pages", run_unmap, .pages = 256 },
	TOUCH("first touch, write, per page of 256", 256, 0, true),
	TOUCH("first touch, read, per page of 256", 256, 0, false),
	TOUCH("fault-around, per page of 512", 512, 1, false),
	TOUCH("fault-around, per page of 4096", 4096, 1, false),
	TOUCH("write to pages of the file, per page of 256", 256, 1, true),
	TRANSFER("read(2) of a page", 1, 1, false),
	TRANSFER("read(2), per page of 256", 256, 1, false),
	TRANSFER("read(2) of a hole, per page of 256", 256, 0, false),
	TRANSFER("write(2) of a page", 1, 1, true),
	TRANSFER("write(2), per page of 256", 256, 1, true),
	TRANSFER("write(2) to a hole, per page of 256", 256, 0, true),
	{ "punch a hole, per page of 256", run_punch, .pages = 256, .per = 256 },
	{ "punch a hole, mapped, per page of 256", run_punch, .pages = 256, .per = 256,
	  .write = true },
	FILL("UFFDIO_COPY of a page", _UFFDIO_COPY, 256, 1),
	FILL("UFFDIO_COPY, per page of 512", _UFFDIO_COPY, 512, 512),
	FILL("UFFDIO_ZEROPAGE, per page of 512", _UFFDIO_ZEROPAGE, 512, 512),
	FILL("UFFDIO_CONTINUE of a page", _UFFDIO_CONTINUE, 256, 1),
	FILL("UFFDIO_CONTINUE, per page of 512", _UFFDIO_CONTINUE, 512, 512),
	{ "UFFDIO_WRITEPROTECT, per page of 512", run_protect, .pages = 512, .per = 512 },
	{ "end of write protection, per page of 512", run_protect, .pages = 512, .per = 512,
	  .first = 1 },
	EVENT("missing fault, from access to access", UFFDIO_REGISTER_MODE_MISSING),
	EVENT("minor fault, from access to access", UFFDIO_REGISTER_MODE_MINOR),
	EVENT("write-protect fault, from access to access", UFFDIO_REGISTER_MODE_WP),
	{ "bytes of slabs and page tables, per page", run_bookkeeping, .pages = PAGES,
	  .per = PAGES, .rounds = 5 },
	{}
};

const struct pair memory_pairs[] = {
	{ "rust_memfile", "memfd", memory_rows, open_memory },
	{}
};
