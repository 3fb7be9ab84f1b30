// SPDX-License-Identifier: GPL-2.0

/*
 * What upstream's views of a VMA let safe code do to the mapping of another
 * driver, and the view that does not. What takes the machine down is not here,
 * but in control.c.
 */

#include "rust_mm.h"
#include "rust_mm_ioctl.h"
#include "kselftest_harness.h"

#define RW	(PROT_READ | PROT_WRITE)

FIXTURE(holes)
{
	size_t page;	/* bytes in a page */
	int holes;
	int victim;	/* the sample driver rust_mmap, */
	char *map;	/* and one of its mappings, two pages */
};

FIXTURE_SETUP(holes)
{
	int ret = load_module(HOLES_MODULE, "");

	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
		SKIP(return, "no " HOLES_MODULE ".ko, and no $RUST_MM_MODULES");
	ASSERT_EQ(ret, 0);
	ASSERT_EQ(load_module("rust_mmap", ""), 0);
	self->page = sysconf(_SC_PAGESIZE);
	self->holes = open(HOLES_DEVICE, O_RDWR);
	ASSERT_GE(self->holes, 0);
	self->victim = open("/dev/rust_mmap", O_RDWR);
	ASSERT_GE(self->victim, 0);
	self->map = mmap(NULL, 2 * self->page, RW, MAP_SHARED, self->victim, 0);
	ASSERT_NE(self->map, MAP_FAILED);
	memset(self->map, 'V', 2 * self->page);
}

FIXTURE_TEARDOWN(holes)
{
	munmap(self->map, 2 * self->page);
	close(self->victim);
	close(self->holes);
	EXPECT_EQ(unload_module("rust_mmap"), 0);
	EXPECT_EQ(unload_module(HOLES_MODULE), 0);
}

/*
 * One driver takes a page out of another one's mapping and puts its own there.
 * Neither the other driver nor its user has had a say.
 */
TEST_F(holes, foreign_page)
{
	unsigned long range[2] = { (unsigned long)self->map, self->page };
	char c = 0;

	/* Occupied: the page has to go first. */
	ASSERT_EQ(ioctl(self->holes, HOLES_INSERT, self->map), -1);
	ASSERT_EQ(errno, EBUSY);

	ASSERT_EQ(ioctl(self->holes, HOLES_ZAP, range), 0);
	ASSERT_EQ(try_read(self->map), SIGBUS);
	ASSERT_EQ(self->map[self->page], 'V');
	ASSERT_EQ(ioctl(self->holes, HOLES_INSERT, self->map), 0);
	/* The mapping of the buffer shows something else than the buffer, */
	ASSERT_EQ(self->map[0], 0);
	ASSERT_EQ(pread(self->victim, &c, 1, 0), 1);
	ASSERT_EQ(c, 'V');
	/* and what is written goes elsewhere. */
	self->map[0] = 'H';
	ASSERT_EQ(pread(self->victim, &c, 1, 0), 1);
	ASSERT_EQ(c, 'V');
}

/* The owned view is of a module's own mappings, and of no other. */
TEST_F(holes, owned_view)
{
	char *own = mmap(NULL, self->page, RW, MAP_SHARED, self->holes, 0), *other;
	int fd;

	ASSERT_NE(own, MAP_FAILED);
	/* With callbacks and data of the layer, too, like ours. */
	ASSERT_EQ(load_module("rust_mmap_demand", ""), 0);
	fd = open("/dev/rust_mmap_demand", O_RDWR);
	ASSERT_GE(fd, 0);
	other = mmap(NULL, self->page, RW, MAP_SHARED, fd, 0);
	ASSERT_NE(other, MAP_FAILED);

	ASSERT_EQ(ioctl(self->holes, HOLES_IS_OWNED, own), 1);
	ASSERT_EQ(ioctl(self->holes, HOLES_IS_OWNED, self->map), 0);
	ASSERT_EQ(ioctl(self->holes, HOLES_IS_OWNED, other), 0);
	ASSERT_EQ(ioctl(self->holes, HOLES_IS_OWNED, self), 0);
	munmap(other, self->page);
	close(fd);
	ASSERT_EQ(unload_module("rust_mmap_demand"), 0);
	munmap(own, self->page);
	ASSERT_EQ(ioctl(self->holes, HOLES_IS_OWNED, own), -1);
	ASSERT_EQ(errno, EFAULT);
}

TEST_HARNESS_MAIN
