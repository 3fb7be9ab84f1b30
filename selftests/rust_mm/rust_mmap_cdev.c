// SPDX-License-Identifier: GPL-2.0

/*
 * The sample driver rust_mmap_cdev: character devices. A device can be unregistered while
 * it is open and mapped. Its files and mappings must remain, and it must not be opened again.
 */

#include "rust_mm.h"
#include "rust_mm_ioctl.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "kselftest_harness.h"

#define MODULE	"rust_mmap_cdev"

#define RW	(PROT_READ | PROT_WRITE)

static const char *const devices[] = { "/dev/rust_mmap_cdev0", "/dev/rust_mmap_cdev1" };

FIXTURE(rust_mmap_cdev)
{
	size_t size;	/* bytes in a buffer */
	int fds[2];
};

FIXTURE_SETUP(rust_mmap_cdev)
{
	int ret = load_module(MODULE, "");

	self->fds[0] = -1;
	self->fds[1] = -1;
	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
		SKIP(return, "no " MODULE ".ko, and no $RUST_MM_MODULES");
	ASSERT_EQ(ret, 0);
	self->size = 4 * sysconf(_SC_PAGESIZE);
	for (int i = 0; i < 2; i++) {
		self->fds[i] = open(devices[i], O_RDWR | O_CLOEXEC);
		ASSERT_GE(self->fds[i], 0);
	}
}

FIXTURE_TEARDOWN(rust_mmap_cdev)
{
	for (int i = 0; i < 2; i++)
		if (self->fds[i] >= 0)
			close(self->fds[i]);
	ASSERT_EQ(unload_module(MODULE), 0);
}

static char *map(int fd, size_t size)
{
	return mmap(NULL, size, RW, MAP_SHARED, fd, 0);
}

/* Each number has a device of its own, whose files share its memory. */
TEST_F(rust_mmap_cdev, two_devices)
{
	int other = open(devices[0], O_RDWR);
	char *maps[3] = {
		map(self->fds[0], self->size), map(self->fds[1], self->size),
		map(other, self->size),
	};
	struct stat stats[2];

	for (int i = 0; i < 3; i++)
		ASSERT_NE(maps[i], MAP_FAILED);
	maps[0][0] = 'x';
	EXPECT_EQ(maps[1][0], 0);
	EXPECT_EQ(maps[2][0], 'x');
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(fstat(self->fds[i], &stats[i]), 0);
		EXPECT_TRUE(S_ISCHR(stats[i].st_mode));
		EXPECT_EQ(minor(stats[i].st_rdev), i);
	}
	EXPECT_EQ(major(stats[0].st_rdev), major(stats[1].st_rdev));
	EXPECT_EQ(system("grep -q rust_mmap_cdev /proc/devices"), 0);
	for (int i = 0; i < 3; i++)
		munmap(maps[i], self->size);
	close(other);
}

/* What the driver refuses. */
TEST_F(rust_mmap_cdev, errors)
{
	EXPECT_EQ(ioctl(self->fds[0], BUFFERS_REVOKE), -1);
	EXPECT_EQ(errno, ENOTTY);
	EXPECT_EQ(mmap(NULL, self->size, RW, MAP_PRIVATE, self->fds[0], 0), MAP_FAILED);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(map(self->fds[0], 2 * self->size), MAP_FAILED);
	EXPECT_EQ(errno, ENXIO);
}

/*
 * Unregisters a device that is open and mapped. Its inode still leads to it, as the one in
 * /proc/self/fd shows: an open of that must fail.
 */
TEST_F(rust_mmap_cdev, unregistered)
{
	char *before = map(self->fds[0], self->size), *after, again[64];

	ASSERT_NE(before, MAP_FAILED);
	before[0] = 'x';
	snprintf(again, sizeof(again), "/proc/self/fd/%d", self->fds[0]);
	ASSERT_EQ(ioctl(self->fds[0], CDEV_UNREGISTER), 0);
	EXPECT_EQ(access(devices[0], F_OK), -1);
	EXPECT_EQ(open(again, O_RDWR), -1);
	EXPECT_EQ(errno, ENXIO);

	/* The file is as before. */
	before[1] = 'y';
	after = map(self->fds[0], self->size);
	ASSERT_NE(after, MAP_FAILED);
	EXPECT_EQ(after[0], 'x');
	EXPECT_EQ(after[1], 'y');
	munmap(after, self->size);
	ASSERT_EQ(ioctl(self->fds[0], CDEV_UNREGISTER), 0);

	/* And so is the other device. */
	close(self->fds[1]);
	self->fds[1] = open(devices[1], O_RDWR);
	EXPECT_GE(self->fds[1], 0);

	/* The mapping outlives the file, and keeps the module. */
	close(self->fds[0]);
	self->fds[0] = -1;
	close(self->fds[1]);
	self->fds[1] = -1;
	EXPECT_EQ(before[1], 'y');
	EXPECT_EQ(unload_module(MODULE), -EWOULDBLOCK);
	munmap(before, self->size);
}

/* Without /proc: an inode of our own for the number of the device. */
TEST_F(rust_mmap_cdev, unregistered_with_another_node)
{
	static const char node[] = "/tmp/rust_mmap_cdev_node";
	struct stat stat;
	int fd;

	ASSERT_EQ(fstat(self->fds[0], &stat), 0);
	unlink(node);
	if (mknod(node, S_IFCHR | 0600, stat.st_rdev))
		SKIP(return, "no device nodes in /tmp");
	fd = open(node, O_RDWR);
	if (fd < 0 && errno == EACCES) {
		unlink(node);
		SKIP(return, "no device nodes in /tmp");
	}
	ASSERT_GE(fd, 0);
	ASSERT_EQ(ioctl(fd, CDEV_UNREGISTER), 0);
	EXPECT_EQ(open(node, O_RDWR), -1);
	EXPECT_EQ(errno, ENXIO);
	close(fd);
	/* Now the inode no longer leads to the device, nor does its number. */
	EXPECT_EQ(open(node, O_RDWR), -1);
	EXPECT_EQ(errno, ENXIO);
	unlink(node);
}

TEST_HARNESS_MAIN
