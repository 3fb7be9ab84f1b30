// SPDX-License-Identifier: GPL-2.0

/*
 * The drivers of the tutorial, samples/rust/mm/tutorial: one test for each step, which
 * checks what Documentation/mm/rust-mmap/tutorial.rst says that user space sees.
 */

#include "rust_mm.h"
#include "kselftest_harness.h"

#include <sys/ioctl.h>

#define RW	(PROT_READ | PROT_WRITE)

/* step4_revoke */
#define STEP4_TAKE	_IO('4', 0)
#define STEP4_GIVE	_IO('4', 1)

#define STEP5_DRIVER	"/sys/bus/pci/drivers/step5_device"

FIXTURE(tutorial)
{
	const char *module;
	int fd;
	size_t page;	/* bytes in a page */
	char *map;
	size_t len;	/* bytes in the mapping */
};

FIXTURE_SETUP(tutorial)
{
	self->fd = -1;
	self->page = sysconf(_SC_PAGESIZE);
	self->map = MAP_FAILED;
}

FIXTURE_TEARDOWN(tutorial)
{
	if (self->map != MAP_FAILED)
		munmap(self->map, self->len);
	if (self->fd >= 0)
		close(self->fd);
	if (self->module)
		ASSERT_EQ(unload_module(self->module), 0);
}

/* Loads the driver of a step and opens its device. */
#define START(name) do {						\
	int ret = load_module("tutorial/" name, "");			\
									\
	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))		\
		SKIP(return, "no " name ".ko, and no $RUST_MM_MODULES");	\
	ASSERT_EQ(ret, 0);						\
	self->module = name;						\
	self->fd = open("/dev/" name, O_RDWR);				\
	ASSERT_GE(self->fd, 0);						\
} while (0)

/* Maps a part of the device. */
#define MAP(pages, pgoff) \
	mmap(NULL, (pages) * self->page, RW, MAP_SHARED, self->fd, (pgoff) * self->page)

/* Maps the device from its start; the teardown unmaps it. */
#define MAP_START(pages) do {						\
	self->len = (pages) * self->page;				\
	self->map = MAP(pages, 0);					\
	ASSERT_NE(self->map, MAP_FAILED);				\
} while (0)

/* The mapping shows the buffer, which is as long as it is. */
TEST_F(tutorial, step1)
{
	char *other;

	START("step1_buffer");
	MAP_START(4);
	EXPECT_STREQ(self->map, "hello, user space");

	self->map[3 * self->page] = 'x';
	other = MAP(1, 3);
	ASSERT_NE(other, MAP_FAILED);
	EXPECT_EQ(other[0], 'x');
	munmap(other, self->page);

	EXPECT_EQ(MAP(5, 0), MAP_FAILED);
	EXPECT_EQ(errno, ENXIO);
	EXPECT_EQ(MAP(1, 4), MAP_FAILED);
	EXPECT_EQ(errno, ENXIO);
	EXPECT_EQ(mmap(NULL, self->page, RW, MAP_PRIVATE, self->fd, 0), MAP_FAILED);
	EXPECT_EQ(errno, EINVAL);
}

/* The first access to a page is a fault, which allocates the page. */
TEST_F(tutorial, step2)
{
	char *other;

	START("step2_faults");
	MAP_START(5);
	EXPECT_EQ(fdinfo(self->fd, "faults"), 0);
	EXPECT_EQ(self->map[0], 0);
	EXPECT_EQ(fdinfo(self->fd, "faults"), 1);
	self->map[1] = 'x';
	EXPECT_EQ(fdinfo(self->fd, "faults"), 1);
	self->map[3 * self->page] = 'y';
	EXPECT_EQ(fdinfo(self->fd, "faults"), 2);

	/* Past the end of the memory. */
	EXPECT_EQ(try_read(self->map + 4 * self->page), SIGBUS);

	/* Another mapping has faults of its own, and shows the same pages. */
	other = MAP(4, 0);
	ASSERT_NE(other, MAP_FAILED);
	EXPECT_EQ(other[1], 'x');
	EXPECT_EQ(other[3 * self->page], 'y');
	EXPECT_EQ(fdinfo(self->fd, "faults"), 5);
	munmap(other, 4 * self->page);
}

/* Each mapping has pages of its own, which its VMAs share. */
TEST_F(tutorial, step3)
{
	char *other;
	pid_t pid;

	START("step3_per_mapping");
	EXPECT_EQ(fdinfo(self->fd, "mappings"), 0);
	MAP_START(5);
	other = MAP(4, 0);
	ASSERT_NE(other, MAP_FAILED);
	EXPECT_EQ(fdinfo(self->fd, "mappings"), 2);
	self->map[0] = 'x';
	EXPECT_EQ(other[0], 0);
	munmap(other, 4 * self->page);
	EXPECT_EQ(fdinfo(self->fd, "mappings"), 1);
	EXPECT_EQ(try_read(self->map + 4 * self->page), SIGBUS);

	/* The mapping in a child shares the pages. */
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		self->map[1] = 'y';
		_exit(self->map[0] != 'x');
	}
	EXPECT_EQ(wait_child(pid), 0);
	EXPECT_EQ(self->map[1], 'y');

	/* So do both parts of a mapping that is split. */
	EXPECT_EQ(munmap(self->map + self->page, self->page), 0);
	EXPECT_EQ(fdinfo(self->fd, "mappings"), 1);
	self->map[2 * self->page] = 'z';
	EXPECT_EQ(self->map[0], 'x');
	EXPECT_EQ(munmap(self->map, self->page), 0);
	EXPECT_EQ(self->map[2 * self->page], 'z');
	EXPECT_EQ(fdinfo(self->fd, "mappings"), 1);
	munmap(self->map, self->len);
	EXPECT_EQ(fdinfo(self->fd, "mappings"), 0);
}

/* Memory that the driver has taken back raises SIGBUS, until the driver gives new memory. */
TEST_F(tutorial, step4)
{
	char *other;

	START("step4_revoke");
	MAP_START(4);
	self->map[0] = 'x';

	ASSERT_EQ(ioctl(self->fd, STEP4_TAKE), 0);
	EXPECT_EQ(try_read(self->map), SIGBUS);
	EXPECT_EQ(try_write(self->map + self->page), SIGBUS);
	EXPECT_EQ(MAP(1, 0), MAP_FAILED);
	EXPECT_EQ(errno, ENODEV);

	ASSERT_EQ(ioctl(self->fd, STEP4_GIVE), 0);
	ASSERT_EQ(try_read(self->map), 0);
	EXPECT_EQ(self->map[0], 0);
	self->map[0] = 'y';
	other = MAP(1, 0);
	ASSERT_NE(other, MAP_FAILED);
	EXPECT_EQ(other[0], 'y');
	munmap(other, self->page);

	EXPECT_EQ(ioctl(self->fd, _IO('4', 2)), -1);
	EXPECT_EQ(errno, ENOTTY);
}

/* The mapping shows the memory of the device for as long as the driver is bound. */
TEST_F(tutorial, step5)
{
	char name[256], *again;
	int fd;

	if (!has_ivshmem())
		SKIP(return, "no QEMU -device ivshmem-plain");
	START("step5_device");
	MAP_START(2);
	EXPECT_TRUE(has_vm_flag(self->map, "pf"));
	EXPECT_TRUE(has_vm_flag(self->map, "io"));
	strcpy(self->map, "memory");
	strcpy(self->map + self->page, "device");
	EXPECT_STREQ(self->map, "memory");

	/* The device has 16 MiB. */
	EXPECT_EQ(MAP((16 << 20) / self->page, 1), MAP_FAILED);
	EXPECT_EQ(errno, EINVAL);

	ASSERT_EQ(bound_device(STEP5_DRIVER, name, sizeof(name)), 0);
	ASSERT_EQ(write_text(STEP5_DRIVER "/unbind", name), 0);
	EXPECT_EQ(try_read(self->map + self->page), SIGBUS);
	EXPECT_EQ(MAP(1, 0), MAP_FAILED);
	EXPECT_EQ(errno, ENODEV);

	/* A new file maps the memory, which has its contents still. The old file does not. */
	ASSERT_EQ(write_text(STEP5_DRIVER "/bind", name), 0);
	EXPECT_EQ(try_read(self->map + self->page), SIGBUS);
	fd = open("/dev/step5_device", O_RDWR);
	ASSERT_GE(fd, 0);
	again = mmap(NULL, self->page, RW, MAP_SHARED, fd, self->page);
	ASSERT_NE(again, MAP_FAILED);
	EXPECT_STREQ(again, "device");
	munmap(again, self->page);
	close(fd);
}

/* One fault maps all of the memory, if the address is aligned. */
TEST_F(tutorial, step6)
{
	size_t huge = read_pmd_pagesize();
	char *aligned, *last;

	if (!huge)
		SKIP(return, "no transparent huge pages");
	START("step6_huge");
	/* Room for an aligned address. */
	self->len = 2 * huge;
	self->map = mmap(NULL, self->len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(self->map, MAP_FAILED);
	aligned = (char *)(((unsigned long)self->map + huge - 1) & ~(huge - 1));
	last = aligned + huge - self->page;

	ASSERT_EQ(mmap(aligned, huge, RW, MAP_SHARED | MAP_FIXED, self->fd, 0), aligned);
	aligned[0] = 'x';
	*last = 'y';
	EXPECT_EQ(fdinfo(self->fd, "huge_faults"), 1);
	EXPECT_EQ(fdinfo(self->fd, "faults"), 0);
	EXPECT_EQ(smaps_kb(aligned, "FilePmdMapped"), huge >> 10);

	/* One page less: a PMD mapping would extend past the VMA. */
	ASSERT_EQ(mmap(aligned, huge - self->page, RW, MAP_SHARED | MAP_FIXED, self->fd, 0),
		  aligned);
	EXPECT_EQ(aligned[0], 'x');
	EXPECT_EQ(fdinfo(self->fd, "huge_faults"), 1);
	EXPECT_EQ(fdinfo(self->fd, "faults"), 1);
	EXPECT_EQ(smaps_kb(aligned, "FilePmdMapped"), 0);

	/* Another page offset at the same address: the folio does not start there. */
	ASSERT_EQ(mmap(aligned, huge, RW, MAP_SHARED | MAP_FIXED, self->fd, self->page), aligned);
	EXPECT_EQ(*(last - self->page), 'y');
	EXPECT_EQ(try_read(last), SIGBUS);
	EXPECT_EQ(fdinfo(self->fd, "huge_faults"), 1);
}

TEST_HARNESS_MAIN
