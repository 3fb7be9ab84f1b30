// SPDX-License-Identifier: GPL-2.0

/*
 * Provokes a report of the kernel, which may take the machine down:
 * `rust_mm_control NAME`. controls.toml says which report the kernel must print.
 * The program only provokes it and does not check it, so it is not a test by itself.
 */

#include "rust_mm.h"
#include "rust_mm_ioctl.h"

#include <err.h>
#include <time.h>

#define RW	(PROT_READ | PROT_WRITE)

#define MISUSE_MODULE	"rust_mm_misuse"
#define MISUSE_DEVICE	"/dev/rust_mm_misuse"

/* Has rust_mm_misuse make a locking mistake, which the types do not prevent in safe code. */
static void misuse(unsigned int cmd)
{
	size_t page = sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, page, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd;

	if (map == MAP_FAILED)
		err(1, "mmap");
	map[0] = 1;
	if (load_module(MISUSE_MODULE, ""))
		errx(1, MISUSE_MODULE " cannot be loaded");
	fd = open(MISUSE_DEVICE, O_RDONLY);
	if (fd < 0)
		err(1, MISUSE_DEVICE);
	if (ioctl(fd, cmd, map))
		err(1, "ioctl");
	close(fd);
}

static void mmap_lock_twice(void)
{
	misuse(MISUSE_TWICE);
}

static void mmap_lock_under_vma_lock(void)
{
	misuse(MISUSE_ORDER);
}

static void sleep_in_a_walk(void)
{
	misuse(MISUSE_SLEEP);
}

/* Prepares the device with CMD, maps it and reads from the mapping. Returns the file. */
static int misuse_mapped(unsigned int cmd)
{
	char *map;
	int fd;

	if (load_module(MISUSE_MODULE, ""))
		errx(1, MISUSE_MODULE " cannot be loaded");
	fd = open(MISUSE_DEVICE, O_RDWR);
	if (fd < 0 || ioctl(fd, cmd, 0))
		err(1, MISUSE_DEVICE);
	map = mmap(NULL, sysconf(_SC_PAGESIZE), RW, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		err(1, "mmap");
	if (*(volatile char *)map)
		errx(1, "the page is not zeroed");
	return fd;
}

/* Sleeps in ->map_pages, which maps the pages around a fault. */
static void sleep_in_map_pages(void)
{
	close(misuse_mapped(MISUSE_AROUND));
}

/*
 * Holds a lock over a copy to user space that the fault handler has taken before. The copy
 * goes to a buffer outside the mapping, so nothing deadlocks.
 */
static void lock_held_over_a_copy(void)
{
	int fd = misuse_mapped(MISUSE_COPY);
	char buf;

	if (read(fd, &buf, 1) != 1)
		err(1, "read");
	close(fd);
}

/* Allocates memory in the callback of a mirror, which reclaim may be waiting for. */
static void allocation_in_a_mirror(void)
{
	misuse(MISUSE_MIRROR);
}

#define BROKEN_MODULE	"rust_mm_broken"
#define BROKEN_DEVICE	"/dev/rust_mm_broken"

/* Has rust_mm_broken use memory wrongly. */
static void broken(unsigned int cmd, void *addr)
{
	int fd;

	if (load_module(BROKEN_MODULE, ""))
		errx(1, BROKEN_MODULE " cannot be loaded");
	fd = open(BROKEN_DEVICE, O_RDONLY);
	if (fd < 0)
		err(1, BROKEN_DEVICE);
	if (ioctl(fd, cmd, addr))
		err(1, "ioctl");
	close(fd);
}

static void freed(void)
{
	broken(BROKEN_FREED, NULL);
}

static void behind_vmalloc(void)
{
	broken(BROKEN_VMALLOC, NULL);
}

static void behind_variable(void)
{
	broken(BROKEN_STACK, NULL);
}

/* Frees a page that is mapped into an empty mapping of the module's device. */
static void freed_while_mapped(void)
{
	char *map;
	int fd;

	if (load_module(BROKEN_MODULE, ""))
		errx(1, BROKEN_MODULE " cannot be loaded");
	fd = open(BROKEN_DEVICE, O_RDWR);
	if (fd < 0)
		err(1, BROKEN_DEVICE);
	map = mmap(NULL, sysconf(_SC_PAGESIZE), RW, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		err(1, "mmap");
	if (ioctl(fd, BROKEN_PAGE, map))
		err(1, "ioctl");
	close(fd);
}

/* Two processes race for 10 seconds; whether they collide is a matter of chance. */
static void race(void)
{
	time_t end = time(NULL) + 10;
	int fd;

	if (load_module(BROKEN_MODULE, ""))
		errx(1, BROKEN_MODULE " cannot be loaded");
	fd = open(BROKEN_DEVICE, O_RDONLY);
	if (fd < 0)
		err(1, BROKEN_DEVICE);
	if (fork() < 0)
		err(1, "fork");
	while (time(NULL) < end)
		if (ioctl(fd, BROKEN_RACE, 10000))
			err(1, "ioctl");
	close(fd);
	wait(NULL);
}

static void added_twice(void)
{
	broken(BROKEN_LIST, NULL);
}

static void unlocked_twice(void)
{
	broken(BROKEN_LOCK, NULL);
}

/* The kernel validates the maple tree at the next change of the mm: the mmap() here. */
static void end_of_vma(void)
{
	size_t page = sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, 2 * page, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		err(1, "mmap");
	broken(BROKEN_VMA, map);
	mmap(NULL, page, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

/* The kernel prints this report at boot. */
static void nothing(void)
{
}

/* Leaks memory, after which leaks.sh must fail. */
static void leak(void)
{
	int status;

	broken(BROKEN_LEAK, NULL);
	status = system("./leaks.sh");
	if (status < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 1)
		errx(1, "leaks.sh ended with %#x", status);
}

static const struct {
	const char *name;
	void (*provoke)(void);
} controls[] = {
	{ "mmap_lock_twice", mmap_lock_twice },
	{ "mmap_lock_under_vma_lock", mmap_lock_under_vma_lock },
	{ "sleep_in_a_walk", sleep_in_a_walk },
	{ "sleep_in_map_pages", sleep_in_map_pages },
	{ "lock_held_over_a_copy", lock_held_over_a_copy },
	{ "allocation_in_a_mirror", allocation_in_a_mirror },
	{ "freed", freed },
	{ "behind_vmalloc", behind_vmalloc },
	{ "behind_variable", behind_variable },
	{ "freed_while_mapped", freed_while_mapped },
	{ "leak", leak },
	{ "race", race },
	{ "added_twice", added_twice },
	{ "unlocked_twice", unlocked_twice },
	{ "end_of_vma", end_of_vma },
	{ "nothing", nothing },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; i < ARRAY_SIZE(controls); i++) {
		if (argc == 2 && !strcmp(argv[1], controls[i].name)) {
			controls[i].provoke();
			return 0;
		}
	}
	errx(2, "no such control");
}
