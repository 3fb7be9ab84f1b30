// SPDX-License-Identifier: GPL-2.0

/*
 * The sample driver rust_pin: pages of a process that are pinned for a device, and that the process
 * is charged for.
 */

#include "rust_mm.h"
#include "kselftest_harness.h"
#include "../../../../samples/rust/mm/rust_pin.h"

#include <sys/ioctl.h>

#define MODULE		"rust_pin"
#define DEVICE		"/dev/rust_pin"
#define PAGES		8

/* Pins a range. Returns 0 or -errno. */
static int set(int fd, void *start, size_t len)
{
	struct rust_pin_range range = { (uintptr_t)start, len };

	return ioctl(fd, RUST_PIN_SET, &range) ? -errno : 0;
}

/* Reads a byte as the device does. Returns it or -errno. */
static int device_read(int fd, size_t offset)
{
	unsigned char c;

	return pread(fd, &c, 1, offset) == 1 ? c : -errno;
}

/* Writes a byte as the device does. Returns 0 or -errno. */
static int device_write(int fd, size_t offset, unsigned char c)
{
	return pwrite(fd, &c, 1, offset) == 1 ? 0 : -errno;
}

/* Returns the bytes of VmPin in /proc/self/status, or -1. */
static long charged(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[128];
	long kb = -1;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmPin: %ld", &kb) == 1)
			break;
	if (file)
		fclose(file);
	return kb < 0 ? -1 : kb * 1024;
}

FIXTURE(pin)
{
	size_t page;	/* bytes in a page */
	size_t size;	/* bytes in the mapping */
	int fd;
	char *map;	/* private anonymous memory; its pages start with 'a', 'b', ... */
};

FIXTURE_SETUP(pin)
{
	const char *reason;

	self->fd = open_loaded(MODULE, &reason);
	if (self->fd == -ENOENT)
		SKIP(return, "%s", reason);
	ASSERT_GE(self->fd, 0);
	self->page = sysconf(_SC_PAGESIZE);
	self->size = PAGES * self->page;
	self->map = mmap(NULL, self->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	ASSERT_NE(self->map, MAP_FAILED);
	for (int i = 0; i < PAGES; i++)
		self->map[i * self->page] = 'a' + i;
	ASSERT_EQ(charged(), 0);
}

FIXTURE_TEARDOWN(pin)
{
	munmap(self->map, self->size);
	close(self->fd);
	EXPECT_EQ(charged(), 0);
	ASSERT_EQ(unload_module(MODULE), 0);
}

TEST_F(pin, contents)
{
	char bytes[2];

	ASSERT_EQ(device_read(self->fd, 0), -ENXIO);
	ASSERT_EQ(device_write(self->fd, 0, 'x'), -ENXIO);
	ASSERT_EQ(set(self->fd, self->map + self->page, 2 * self->page), 0);
	ASSERT_EQ(charged(), 2 * self->page);
	ASSERT_EQ(fdinfo(self->fd, "pinned"), 2 * self->page);
	ASSERT_EQ(fdinfo(self->fd, "charged"), 2 * self->page);
	ASSERT_EQ(device_read(self->fd, 0), 'b');
	ASSERT_EQ(device_read(self->fd, self->page), 'c');
	ASSERT_EQ(device_write(self->fd, self->page + 1, 'y'), 0);
	ASSERT_EQ(self->map[2 * self->page + 1], 'y');
	/* An access ends at the end of a page, and all of them at the end of the range. */
	ASSERT_EQ(pread(self->fd, bytes, 2, self->page - 1), 1);
	ASSERT_EQ(device_read(self->fd, 2 * self->page), -EINVAL);
	ASSERT_EQ(device_write(self->fd, 2 * self->page, 'x'), -EINVAL);
	ASSERT_EQ(pread(self->fd, NULL, 1, 0), -1);
	ASSERT_EQ(errno, EFAULT);
	ASSERT_EQ(pwrite(self->fd, NULL, 1, 0), -1);
	ASSERT_EQ(errno, EFAULT);
	/* Another range in place of it, or none. */
	ASSERT_EQ(set(self->fd, self->map, self->size), 0);
	ASSERT_EQ(charged(), self->size);
	ASSERT_EQ(device_read(self->fd, 7 * self->page), 'h');
	ASSERT_EQ(set(self->fd, NULL, 0), 0);
	ASSERT_EQ(charged(), 0);
	ASSERT_EQ(fdinfo(self->fd, "pinned"), 0);
	ASSERT_EQ(device_read(self->fd, 0), -ENXIO);
}

/* What cannot be pinned is not charged, and leaves what is pinned alone. */
TEST_F(pin, refused)
{
	char *map = self->map;

	ASSERT_EQ(set(self->fd, map, self->page), 0);
	ASSERT_EQ(set(self->fd, map + 1, self->page), -EINVAL);
	ASSERT_EQ(set(self->fd, map, self->page - 1), -EINVAL);
	ASSERT_EQ(set(self->fd, map, -self->page), -EINVAL);
	ASSERT_EQ(set(self->fd, map, 4097 * self->page), -EINVAL);
	ASSERT_EQ(munmap(map + 2 * self->page, self->page), 0);
	ASSERT_EQ(set(self->fd, map + self->page, 2 * self->page), -EFAULT);
	ASSERT_EQ(set(self->fd, map + 2 * self->page, self->page), -EFAULT);
	ASSERT_EQ(mprotect(map + self->page, self->page, PROT_READ), 0);
	ASSERT_EQ(set(self->fd, map + self->page, self->page), -EFAULT);
	ASSERT_EQ(charged(), self->page);
	ASSERT_EQ(device_read(self->fd, 0), 'a');
}

/* Pages remain pinned and charged when they are unmapped. */
TEST_F(pin, unmapped)
{
	ASSERT_EQ(set(self->fd, self->map, self->size), 0);
	ASSERT_EQ(munmap(self->map, self->size), 0);
	ASSERT_EQ(charged(), self->size);
	ASSERT_EQ(device_write(self->fd, 0, 'x'), 0);
	ASSERT_EQ(device_read(self->fd, 0), 'x');
	ASSERT_EQ(device_read(self->fd, self->page), 'b');
}

/* A page that is pinned twice is charged twice. */
TEST_F(pin, twice)
{
	int second = open(DEVICE, O_RDWR);

	ASSERT_GE(second, 0);
	ASSERT_EQ(set(self->fd, self->map, self->size), 0);
	ASSERT_EQ(set(second, self->map, self->page), 0);
	ASSERT_EQ(charged(), self->size + self->page);
	ASSERT_EQ(close(second), 0);
	ASSERT_EQ(charged(), self->size);
}

/* A child is not charged for the pages of its parent, nor can it return them to itself. */
TEST_F(pin, fork)
{
	pid_t pid;

	ASSERT_EQ(set(self->fd, self->map, self->size), 0);
	pid = fork();
	if (!pid) {
		if (charged())
			_exit(1);
		if (set(self->fd, self->map, self->page) || charged() != self->page)
			_exit(2);
		_exit(0);
	}
	ASSERT_EQ(wait_child(pid), 0);
	/* The file has the page of the child now. */
	ASSERT_EQ(charged(), 0);
	ASSERT_EQ(fdinfo(self->fd, "charged"), self->page);
}

/* Pages of a process that has ended remain pinned, and are then returned to its mm. */
TEST_F(pin, exit)
{
	pid_t pid = fork();

	if (!pid) {
		self->map[0] = 'e';
		_exit(set(self->fd, self->map, self->size) || charged() != self->size);
	}
	ASSERT_EQ(wait_child(pid), 0);
	ASSERT_EQ(device_read(self->fd, 0), 'e');
	ASSERT_EQ(fdinfo(self->fd, "charged"), self->size);
	ASSERT_EQ(charged(), 0);
	ASSERT_EQ(set(self->fd, NULL, 0), 0);
	ASSERT_EQ(charged(), 0);
}

/* Also if it has another mm now. */
TEST_F(pin, exec)
{
	pid_t pid = fork();

	if (!pid) {
		if (set(self->fd, self->map, self->size))
			_exit(2);
		execl("/bin/grep", "grep", "-q", "^VmPin:[[:space:]]*0 kB", "/proc/self/status",
		      NULL);
		_exit(3);
	}
	ASSERT_EQ(wait_child(pid), 0);
	ASSERT_EQ(fdinfo(self->fd, "charged"), self->size);
	ASSERT_EQ(set(self->fd, NULL, 0), 0);
	ASSERT_EQ(charged(), 0);
}

/* Returns 0 if RLIMIT_MEMLOCK limits what this process can pin, or the number of a step. */
static int limited(FIXTURE_DATA(pin) *self, int second)
{
	struct rlimit limit = { 4 * self->page, 4 * self->page };

	if (setrlimit(RLIMIT_MEMLOCK, &limit))
		return 1;
	/* With CAP_IPC_LOCK, there is no limit. */
	if (set(self->fd, self->map, 5 * self->page))
		return 2;
	if (set(self->fd, NULL, 0))
		return 3;
	if (setresuid(65534, 65534, 65534))
		return 4;
	if (set(self->fd, self->map, 5 * self->page) != -ENOMEM)
		return 5;
	if (set(self->fd, self->map, 4 * self->page))
		return 6;
	/* All files of the process count. */
	if (set(second, self->map, self->page) != -ENOMEM)
		return 7;
	if (set(self->fd, NULL, 0))
		return 8;
	return set(second, self->map, self->page) ? 9 : 0;
}

TEST_F(pin, limit)
{
	int second = open(DEVICE, O_RDWR);
	pid_t pid;

	ASSERT_GE(second, 0);
	pid = fork();
	if (!pid)
		_exit(limited(self, second));
	ASSERT_EQ(wait_child(pid), 0);
	ASSERT_EQ(fdinfo(second, "charged"), self->page);
	close(second);
}

TEST_HARNESS_MAIN
