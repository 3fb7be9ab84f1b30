// SPDX-License-Identifier: GPL-2.0

/*
 * The sample driver rust_mmap_reclaim: pages that its shrinker frees while they are mapped. User
 * space must never see another difference than the driver's counters.
 */

#include "rust_mm.h"
#include "kselftest_harness.h"

#include <pthread.h>
#include <sys/mount.h>

#define MODULE		"rust_mmap_reclaim"
#define DEVICE		"/dev/rust_mmap_reclaim"
#define DEBUGFS		"/sys/kernel/debug"
#define SHRINKERS	DEBUGFS "/shrinker"
#define PAGES		8

/* Has all shrinkers free what they can. */
static int drop_slab(void)
{
	return write_text("/proc/sys/vm/drop_caches", "2");
}

/* Returns the path of a file in debugfs of the driver's shrinker, or an empty string. */
static void shrinker_file(const char *name, char *path, size_t len)
{
	struct dirent *entry;
	DIR *dir;

	path[0] = 0;
	mount("debugfs", DEBUGFS, "debugfs", 0, NULL);
	dir = opendir(SHRINKERS);
	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, MODULE "-", strlen(MODULE "-")))
			snprintf(path, len, SHRINKERS "/%s/%s", entry->d_name, name);
	if (dir)
		closedir(dir);
}

FIXTURE(reclaim)
{
	size_t page;	/* bytes in a page */
	size_t size;	/* bytes in the memory */
	int fd;
	char *map;	/* a mapping of all the memory */
};

FIXTURE_SETUP(reclaim)
{
	int ret = load_module(MODULE, "pages=8");

	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
		SKIP(return, "no " MODULE ".ko, and no $RUST_MM_MODULES");
	ASSERT_EQ(ret, 0);
	self->page = sysconf(_SC_PAGESIZE);
	self->size = PAGES * self->page;
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, self->size, PROT_READ, MAP_SHARED, self->fd, 0);
	ASSERT_NE(self->map, MAP_FAILED);
}

FIXTURE_TEARDOWN(reclaim)
{
	munmap(self->map, self->size);
	close(self->fd);
	ASSERT_EQ(unload_module(MODULE), 0);
}

/* Reads all pages. Returns whether each has its page offset. */
static bool contents_are_right(FIXTURE_DATA(reclaim) *self)
{
	for (size_t i = 0; i < PAGES; i++)
		if (*(volatile size_t *)(self->map + i * self->page) != i)
			return false;
	return true;
}

/* A page that was given back comes again when it is accessed. */
TEST_F(reclaim, given_back)
{
	ASSERT_EQ(fdinfo(self->fd, "present"), 0);
	ASSERT_TRUE(contents_are_right(self));
	ASSERT_EQ(fdinfo(self->fd, "present"), PAGES);
	ASSERT_EQ(fdinfo(self->fd, "made"), PAGES);

	ASSERT_EQ(drop_slab(), 0);
	ASSERT_EQ(fdinfo(self->fd, "present"), 0);
	ASSERT_EQ(fdinfo(self->fd, "reclaimed"), PAGES);

	ASSERT_TRUE(contents_are_right(self));
	ASSERT_EQ(fdinfo(self->fd, "made"), 2 * PAGES);
	ASSERT_EQ(fdinfo(self->fd, "present"), PAGES);
}

/* Also in the mapping of another process, and after this one has unmapped it. */
TEST_F(reclaim, of_another_process)
{
	int status;
	pid_t pid;

	ASSERT_TRUE(contents_are_right(self));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		bool right = contents_are_right(self) && !drop_slab() && contents_are_right(self);

		_exit(!right);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT_EQ(status, 0);
	ASSERT_EQ(fdinfo(self->fd, "made"), 2 * PAGES);
	ASSERT_TRUE(contents_are_right(self));
	ASSERT_EQ(munmap(self->map, self->size), 0);
	ASSERT_EQ(drop_slab(), 0);
	ASSERT_EQ(fdinfo(self->fd, "present"), 0);
	ASSERT_EQ(fdinfo(self->fd, "reclaimed"), 2 * PAGES);
}

/* User space cannot write: it would lose what it has written. */
TEST_F(reclaim, is_read_only)
{
	ASSERT_EQ(mmap(NULL, self->page, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0),
		  MAP_FAILED);
	ASSERT_EQ(errno, EACCES);
	ASSERT_EQ(mmap(NULL, self->page, PROT_READ | PROT_WRITE, MAP_PRIVATE, self->fd, 0),
		  MAP_FAILED);
	ASSERT_EQ(errno, EACCES);
	ASSERT_EQ(mprotect(self->map, self->page, PROT_READ | PROT_WRITE), -1);
	ASSERT_EQ(errno, EACCES);
}

/* A scan through debugfs frees as many pages as it is asked for, the oldest first. */
TEST_F(reclaim, debugfs)
{
	char count[512], scan[512], text[64] = "";
	int fd;

	shrinker_file("count", count, sizeof(count));
	shrinker_file("scan", scan, sizeof(scan));
	if (!scan[0])
		SKIP(return, "the kernel has no SHRINKER_DEBUG");
	ASSERT_TRUE(contents_are_right(self));
	fd = open(count, O_RDONLY);
	ASSERT_GE(fd, 0);
	ASSERT_GT(read(fd, text, sizeof(text) - 1), 0);
	close(fd);
	/* The number of a memory cgroup, and of objects on node 0. */
	ASSERT_NE(strstr(text, " 8"), NULL);

	ASSERT_EQ(write_text(scan, "0 0 3"), 0);
	ASSERT_EQ(fdinfo(self->fd, "present"), PAGES - 3);
	ASSERT_EQ(*(volatile size_t *)(self->map + 3 * self->page), 3);
	ASSERT_EQ(fdinfo(self->fd, "made"), PAGES);
	ASSERT_EQ(*(volatile size_t *)(self->map + 2 * self->page), 2);
	ASSERT_EQ(fdinfo(self->fd, "made"), PAGES + 1);

	/* Any numbers: the kernel or the driver refuses them, or there is nothing to free. */
	write_text(scan, "0 1 3");
	write_text(scan, "0 63 3");
	write_text(scan, "0 -1 3");
	ASSERT_EQ(write_text(scan, "0 0 18446744073709551615"), 0);
	ASSERT_EQ(fdinfo(self->fd, "present"), 0);
	ASSERT_TRUE(contents_are_right(self));
}

static volatile bool stopping;

static void *keep_reclaiming(void *unused)
{
	while (!stopping)
		drop_slab();
	return NULL;
}

static void *keep_reading(void *arg)
{
	while (!stopping)
		if (!contents_are_right(arg))
			return arg;
	return NULL;
}

/* Two threads read all pages, and one maps and unmaps, while the pages are given back. */
TEST_F(reclaim, under_load)
{
	pthread_t readers[2], reclaimer;
	void *wrong;

	stopping = false;
	ASSERT_EQ(pthread_create(&reclaimer, NULL, keep_reclaiming, NULL), 0);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(pthread_create(&readers[i], NULL, keep_reading, self), 0);
	for (int i = 0; i < 200; i++) {
		char *map = mmap(NULL, self->size, PROT_READ, MAP_SHARED | MAP_POPULATE, self->fd,
				 0);

		ASSERT_NE(map, MAP_FAILED);
		EXPECT_EQ(*(volatile size_t *)(map + self->page), 1);
		ASSERT_EQ(munmap(map, self->size), 0);
	}
	stopping = true;
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(pthread_join(readers[i], &wrong), 0);
		EXPECT_EQ(wrong, NULL);
	}
	ASSERT_EQ(pthread_join(reclaimer, NULL), 0);
	ASSERT_EQ(drop_slab(), 0);
	ASSERT_EQ(fdinfo(self->fd, "present"), 0);
	ASSERT_EQ(fdinfo(self->fd, "made"), fdinfo(self->fd, "reclaimed"));
}

static void *keep_scanning(void *unused)
{
	char scan[512];

	while (!stopping) {
		drop_slab();
		shrinker_file("scan", scan, sizeof(scan));
		if (scan[0])
			write_text(scan, "0 0 8");
	}
	return NULL;
}

/* The module can be unloaded while threads call its shrinker, by both ways. */
TEST_F(reclaim, unloaded_while_it_is_scanned)
{
	pthread_t threads[2];

	stopping = false;
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, keep_scanning, NULL), 0);
	for (int i = 0; i < 10; i++) {
		EXPECT_TRUE(contents_are_right(self));
		munmap(self->map, self->size);
		close(self->fd);
		ASSERT_EQ(unload_module(MODULE), 0);
		ASSERT_EQ(load_module(MODULE, "pages=8"), 0);
		self->fd = open(DEVICE, O_RDWR);
		ASSERT_GE(self->fd, 0);
		self->map = mmap(NULL, self->size, PROT_READ, MAP_SHARED, self->fd, 0);
		ASSERT_NE(self->map, MAP_FAILED);
	}
	stopping = true;
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(pthread_join(threads[i], NULL), 0);
}

TEST_HARNESS_MAIN
