// SPDX-License-Identifier: GPL-2.0

/*
 * The drivers of the tutorial, samples/rust/mm/tutorial: one test for each step, which
 * checks what Documentation/mm/rust-mmap/tutorial.rst says that user space sees.
 */

#include "rust_mm.h"
#include "kselftest_harness.h"

#include <linux/fs.h>
#include <poll.h>
#include <sys/ioctl.h>

#define RW	(PROT_READ | PROT_WRITE)

/* step4_revoke */
#define STEP4_REVOKE	_IO('4', 0)
#define STEP4_RESTORE	_IO('4', 1)

/* step7_messages */
#define STEP7_SEND	_IO('7', 0)
#define STEP7_SLOTS	4

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
	if (!getenv("RUST_MM_MODULES") && access("/lib/modules/tutorial", R_OK))
		SKIP(return, "no modules, and no $RUST_MM_MODULES");
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

/* Loads the driver of a step and opens its device. Returns 0 or -errno. */
static int start(FIXTURE_DATA(tutorial) *self, const char *module)
{
	char path[64];
	int ret;

	snprintf(path, sizeof(path), "tutorial/%s", module);
	ret = load_module(path, "");
	if (ret)
		return ret;
	self->module = module;
	snprintf(path, sizeof(path), "/dev/%s", module);
	self->fd = open(path, O_RDWR);
	return self->fd < 0 ? -errno : 0;
}

/* Maps a part of the device. */
static char *map(FIXTURE_DATA(tutorial) *self, size_t pages, size_t pgoff)
{
	return mmap(NULL, pages * self->page, RW, MAP_SHARED, self->fd, pgoff * self->page);
}

/* Maps the device from its start, until the teardown. Returns 0 or -errno. */
static int map_start(FIXTURE_DATA(tutorial) *self, size_t pages)
{
	self->len = pages * self->page;
	self->map = map(self, pages, 0);
	return self->map == MAP_FAILED ? -errno : 0;
}

/* The mapping shows the buffer, which is as long as it is. */
TEST_F(tutorial, step1)
{
	char *other;

	ASSERT_EQ(start(self, "step1_buffer"), 0);
	ASSERT_EQ(map_start(self, 4), 0);
	EXPECT_STREQ(self->map, "hello, user space");

	self->map[3 * self->page] = 'x';
	other = map(self, 1, 3);
	ASSERT_NE(other, MAP_FAILED);
	EXPECT_EQ(other[0], 'x');
	munmap(other, self->page);

	EXPECT_EQ(map(self, 5, 0), MAP_FAILED);
	EXPECT_EQ(errno, ENXIO);
	EXPECT_EQ(map(self, 1, 4), MAP_FAILED);
	EXPECT_EQ(errno, ENXIO);
	EXPECT_EQ(mmap(NULL, self->page, RW, MAP_PRIVATE, self->fd, 0), MAP_FAILED);
	EXPECT_EQ(errno, EINVAL);
}

/* The first access to a page is a fault, which allocates the page. */
TEST_F(tutorial, step2)
{
	char *other;

	ASSERT_EQ(start(self, "step2_faults"), 0);
	ASSERT_EQ(map_start(self, 5), 0);
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
	other = map(self, 4, 0);
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

	ASSERT_EQ(start(self, "step3_per_mapping"), 0);
	EXPECT_EQ(fdinfo(self->fd, "mappings"), 0);
	ASSERT_EQ(map_start(self, 5), 0);
	other = map(self, 4, 0);
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

/* An access to revoked memory raises SIGBUS; the driver restores it with new pages. */
TEST_F(tutorial, step4)
{
	char *other;

	ASSERT_EQ(start(self, "step4_revoke"), 0);
	ASSERT_EQ(map_start(self, 4), 0);
	self->map[0] = 'x';

	ASSERT_EQ(ioctl(self->fd, STEP4_REVOKE), 0);
	EXPECT_EQ(try_read(self->map), SIGBUS);
	EXPECT_EQ(try_write(self->map + self->page), SIGBUS);
	EXPECT_EQ(map(self, 1, 0), MAP_FAILED);
	EXPECT_EQ(errno, ENODEV);

	ASSERT_EQ(ioctl(self->fd, STEP4_RESTORE), 0);
	ASSERT_EQ(try_read(self->map), 0);
	EXPECT_EQ(self->map[0], 0);
	self->map[0] = 'y';
	other = map(self, 1, 0);
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
	ASSERT_EQ(start(self, "step5_device"), 0);
	ASSERT_EQ(map_start(self, 2), 0);
	EXPECT_TRUE(has_vm_flag(self->map, "pf"));
	EXPECT_TRUE(has_vm_flag(self->map, "io"));
	self->map[0] = 'x';
	self->map[self->page] = 'y';
	EXPECT_EQ(self->map[0], 'x');

	/* The device has 16 MiB. */
	EXPECT_EQ(map(self, (16 << 20) / self->page, 1), MAP_FAILED);
	EXPECT_EQ(errno, EINVAL);

	ASSERT_EQ(bound_device(STEP5_DRIVER, name, sizeof(name)), 0);
	ASSERT_EQ(write_text(STEP5_DRIVER "/unbind", name), 0);
	EXPECT_EQ(try_read(self->map + self->page), SIGBUS);
	EXPECT_EQ(map(self, 1, 0), MAP_FAILED);
	EXPECT_EQ(errno, ENODEV);

	/* A new file maps the memory, which has its contents still. The old file does not. */
	ASSERT_EQ(write_text(STEP5_DRIVER "/bind", name), 0);
	EXPECT_EQ(try_read(self->map + self->page), SIGBUS);
	fd = open("/dev/step5_device", O_RDWR);
	ASSERT_GE(fd, 0);
	again = mmap(NULL, self->page, RW, MAP_SHARED, fd, self->page);
	ASSERT_NE(again, MAP_FAILED);
	EXPECT_EQ(again[0], 'y');
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
	ASSERT_EQ(start(self, "step6_huge"), 0);
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
	EXPECT_EQ(smaps_kb(aligned, "FilePmdMapped:"), huge >> 10);

	/* One page less: a PMD mapping would extend past the VMA. */
	ASSERT_EQ(mmap(aligned, huge - self->page, RW, MAP_SHARED | MAP_FIXED, self->fd, 0),
		  aligned);
	EXPECT_EQ(aligned[0], 'x');
	EXPECT_EQ(fdinfo(self->fd, "huge_faults"), 1);
	EXPECT_EQ(fdinfo(self->fd, "faults"), 1);
	EXPECT_EQ(smaps_kb(aligned, "FilePmdMapped:"), 0);

	/* Another page offset at the same address: the folio does not start there. */
	ASSERT_EQ(mmap(aligned, huge, RW, MAP_SHARED | MAP_FIXED, self->fd, self->page), aligned);
	EXPECT_EQ(*(last - self->page), 'y');
	EXPECT_EQ(try_read(last), SIGBUS);
	EXPECT_EQ(fdinfo(self->fd, "huge_faults"), 1);
}

/* Puts a message into a slot of step7_messages, and sends it. Returns 0 or -errno. */
static int send_message(FIXTURE_DATA(tutorial) *self, int slot, const char *text)
{
	char *at = self->map + slot * self->page;
	unsigned int len = strlen(text);

	memcpy(at + sizeof(len), text, len);
	memcpy(at, &len, sizeof(len));
	return ioctl(self->fd, STEP7_SEND) ? -errno : 0;
}

/* Asks for the build ID of what is mapped at an address. Returns 0 or -errno. */
static int query_build_id(void *addr)
{
	char id[20];
	struct procmap_query query = {
		.size = sizeof(query), .query_addr = (unsigned long)addr,
		.build_id_size = sizeof(id), .build_id_addr = (unsigned long)id,
	};
	int maps = open("/proc/self/maps", O_RDONLY), ret;

	if (maps < 0)
		return -errno;
	ret = ioctl(maps, PROCMAP_QUERY, &query) ? -errno : 0;
	close(maps);
	return ret;
}

/* The messages are in the pages; read(2) waits for them, unless it must not. */
TEST_F(tutorial, step7)
{
	struct pollfd ready = { .events = POLLIN };
	unsigned int len = self->page;
	char text[16] = "";
	int i, status;
	pid_t child;

	ASSERT_EQ(start(self, "step7_messages"), 0);
	ASSERT_EQ(map_start(self, STEP7_SLOTS), 0);
	ready.fd = self->fd;

	/* Nothing to read. */
	EXPECT_EQ(poll(&ready, 1, 0), 0);
	ASSERT_EQ(fcntl(self->fd, F_SETFL, O_NONBLOCK), 0);
	EXPECT_EQ(read(self->fd, text, sizeof(text)), -1);
	EXPECT_EQ(errno, EAGAIN);

	/* A message, which is read once; its slot is free again. */
	ASSERT_EQ(send_message(self, 0, "first"), 0);
	EXPECT_EQ(poll(&ready, 1, 0), 1);
	EXPECT_EQ(ready.revents, POLLIN);
	EXPECT_EQ(read(self->fd, text, sizeof(text)), 5);
	EXPECT_STREQ(text, "first");
	EXPECT_EQ(self->map[0], 0);
	EXPECT_EQ(poll(&ready, 1, 0), 0);

	/* A query for the build ID neither waits for a message nor takes one. */
	ASSERT_EQ(fcntl(self->fd, F_SETFL, 0), 0);
	EXPECT_EQ(query_build_id(self->map), 0);
	ASSERT_EQ(send_message(self, 1, "kept"), 0);
	EXPECT_EQ(query_build_id(self->map), 0);
	EXPECT_EQ(read(self->fd, text, sizeof(text)), 4);
	EXPECT_EQ(memcmp(text, "kept", 4), 0);

	/* A reader that waits. */
	child = fork();
	ASSERT_GE(child, 0);
	if (!child)
		_exit(read(self->fd, text, sizeof(text)) != 6 || memcmp(text, "second", 6));
	usleep(100000);
	EXPECT_EQ(waitpid(child, &status, WNOHANG), 0);
	ASSERT_EQ(send_message(self, 2, "second"), 0);
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);

	/* A length that is not one, and then a message into memory that is a slot itself. */
	memcpy(self->map + 3 * self->page, &len, sizeof(len));
	ASSERT_EQ(ioctl(self->fd, STEP7_SEND), 0);
	EXPECT_EQ(read(self->fd, text, sizeof(text)), -1);
	EXPECT_EQ(errno, EINVAL);
	ASSERT_EQ(send_message(self, 0, "third"), 0);
	ASSERT_EQ(madvise(self->map + self->page, self->page, MADV_DONTNEED), 0);
	EXPECT_EQ(read(self->fd, self->map + self->page + sizeof(len), 5), 5);
	EXPECT_EQ(memcmp(self->map + self->page + sizeof(len), "third", 5), 0);

	/* No slot is left. */
	for (i = 0; i < STEP7_SLOTS; i++)
		EXPECT_EQ(send_message(self, (i + 1) % STEP7_SLOTS, "fourth"), 0);
	EXPECT_EQ(ioctl(self->fd, STEP7_SEND), -1);
	EXPECT_EQ(errno, EBUSY);
}

TEST_HARNESS_MAIN
