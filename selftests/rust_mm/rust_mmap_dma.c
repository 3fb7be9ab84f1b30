// SPDX-License-Identifier: GPL-2.0

/*
 * The sample driver rust_mmap_dma: memory that user space maps, and that a PCI device (QEMU's edu)
 * reads and writes by DMA. The device needs 100 ms for a transfer.
 */

#include "rust_mm.h"
#include "kselftest_harness.h"
#include "../../../../samples/rust/mm/rust_mmap_dma.h"

#include <sys/ioctl.h>

#define MODULE	"rust_mmap_dma"
#define DEVICE	"/dev/rust_mmap_dma"
#define DRIVER	"/sys/bus/pci/drivers/rust_mmap_dma"
#define PAGES	4

#define RW	(PROT_READ | PROT_WRITE)

#define BUS_MASTER	4

FIXTURE(dma)
{
	size_t page;
	char *map;
	int fd;
};

/* Returns 0 or -errno. */
static int run(int fd, bool to_memory, size_t offset, size_t len, int timeout_ms)
{
	struct rust_mmap_dma_transfer transfer = { to_memory, offset, len, timeout_ms };

	return ioctl(fd, RUST_MMAP_DMA_RUN, &transfer) ? -errno : 0;
}

/* Returns the command register of a PCI device, or -1. */
static int pci_command(const char *name)
{
	unsigned char command[2];
	char path[512];
	bool got;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return -1;
	got = pread(fd, command, 2, 4) == 2;
	close(fd);
	return got ? command[0] | command[1] << 8 : -1;
}

FIXTURE_SETUP(dma)
{
	const char *reason;

	self->fd = open_loaded(MODULE, &reason);
	if (self->fd == -ENOENT)
		SKIP(return, "%s", reason);
	ASSERT_GE(self->fd, 0);
	self->page = sysconf(_SC_PAGESIZE);
	self->map = mmap(NULL, PAGES * self->page, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(self->map, MAP_FAILED);
}

FIXTURE_TEARDOWN(dma)
{
	if (self->fd < 0)
		return;
	munmap(self->map, PAGES * self->page);
	close(self->fd);
	ASSERT_EQ(unload_module(MODULE), 0);
}

/* What user space writes goes to the device and back, at another place. */
TEST_F(dma, there_and_back)
{
	char *from = self->map + 100, *to = self->map + 2 * self->page + 200;

	for (size_t i = 0; i < PAGES * self->page; i++)
		ASSERT_EQ(self->map[i], 0);
	for (int i = 0; i < 1000; i++)
		from[i] = i % 251 + 1;
	ASSERT_EQ(run(self->fd, false, from - self->map, 1000, 1000), 0);
	memset(from, 0, 1000);
	ASSERT_EQ(run(self->fd, true, to - self->map, 1000, 1000), 0);
	for (int i = 0; i < 1000; i++)
		ASSERT_EQ((unsigned char)to[i], i % 251 + 1);
	/* Nothing around it was written. */
	ASSERT_EQ(to[-1], 0);
	ASSERT_EQ(to[1000], 0);
	ASSERT_EQ(from[0], 0);
}

/* The driver finds the address of each page, and of its last byte. */
TEST_F(dma, every_page)
{
	for (size_t i = 0; i < PAGES; i++) {
		size_t last = (i + 1) * self->page - 1;

		memset(self->map, 0, PAGES * self->page);
		self->map[last] = 'a' + i;
		ASSERT_EQ(run(self->fd, false, last, 1, 1000), 0);
		self->map[last] = 0;
		ASSERT_EQ(run(self->fd, true, i * self->page, 1, 1000), 0);
		for (size_t j = 0; j < PAGES * self->page; j++)
			ASSERT_EQ(self->map[j], j == i * self->page ? 'a' + i : 0);
	}
}

/* What the device leaves as it is keeps what user space has written there. */
TEST_F(dma, rest_is_kept)
{
	memset(self->map, 'x', PAGES * self->page);
	ASSERT_EQ(run(self->fd, false, 0, 1, 1000), 0);
	memset(self->map, 'y', PAGES * self->page);
	ASSERT_EQ(run(self->fd, true, self->page, 1, 1000), 0);
	ASSERT_EQ(self->map[self->page], 'x');
	self->map[self->page] = 'y';
	for (size_t i = 0; i < PAGES * self->page; i++)
		ASSERT_EQ(self->map[i], 'y');
}

TEST_F(dma, bounds)
{
	struct rust_mmap_dma_transfer transfer = { 2, 0, 1, 100 };
	size_t page = self->page;

	ASSERT_EQ(run(self->fd, false, 0, 0, 100), -EINVAL);
	ASSERT_EQ(run(self->fd, false, 0, 4097, 100), -EINVAL);
	ASSERT_EQ(run(self->fd, false, 0, -1U, 100), -EINVAL);
	ASSERT_EQ(run(self->fd, false, page - 8, 9, 100), -EINVAL);
	ASSERT_EQ(run(self->fd, false, PAGES * page, 1, 100), -EINVAL);
	ASSERT_EQ(run(self->fd, false, -1U, 1, 100), -EINVAL);
	ASSERT_EQ(run(self->fd, false, 0, 1, 1001), -EINVAL);
	ASSERT_EQ(ioctl(self->fd, RUST_MMAP_DMA_RUN, &transfer), -1);
	ASSERT_EQ(errno, EINVAL);
	ASSERT_EQ(ioctl(self->fd, RUST_MMAP_DMA_RUN, NULL), -1);
	ASSERT_EQ(errno, EFAULT);
	ASSERT_EQ(mmap(NULL, (PAGES + 1) * page, RW, MAP_SHARED, self->fd, 0), MAP_FAILED);
	ASSERT_EQ(errno, ENXIO);
	ASSERT_EQ(mmap(NULL, page, RW, MAP_PRIVATE, self->fd, 0), MAP_FAILED);
	ASSERT_EQ(errno, EINVAL);
}

/* A device that does not end in time keeps the memory, until it has ended. */
TEST_F(dma, timeout)
{
	strcpy(self->map, "late");
	ASSERT_EQ(run(self->fd, false, 0, 5, 1), -ETIMEDOUT);
	ASSERT_EQ(run(self->fd, true, self->page, 5, 1000), -EBUSY);
	usleep(500000);
	ASSERT_EQ(run(self->fd, true, self->page, 5, 1000), 0);
	ASSERT_STREQ(self->map + self->page, "late");
}

/* A device that is unbound while it has the memory does not write to it later. */
TEST_F(dma, unbound_during_a_transfer)
{
	char *to = self->map + self->page, name[256];

	ASSERT_EQ(bound_device(DRIVER, name, sizeof(name)), 0);
	ASSERT_EQ(pci_command(name) & BUS_MASTER, BUS_MASTER);
	strcpy(self->map, "to the device");
	ASSERT_EQ(run(self->fd, false, 0, 14, 1000), 0);
	ASSERT_EQ(run(self->fd, true, self->page, 14, 1), -ETIMEDOUT);
	ASSERT_EQ(write_text(DRIVER "/unbind", name), 0);
	ASSERT_EQ(pci_command(name) & BUS_MASTER, 0);

	/* The memory is still there, and the device does not write to it. */
	strcpy(to, "ours");
	usleep(500000);
	ASSERT_STREQ(to, "ours");
	ASSERT_STREQ(self->map, "to the device");
	ASSERT_EQ(run(self->fd, true, 0, 1, 100), -ENODEV);
	ASSERT_EQ(open(DEVICE, O_RDWR), -1);

	/* Bound again, with new memory, while the old one is still mapped. */
	ASSERT_EQ(write_text(DRIVER "/bind", name), 0);
	close(self->fd);
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(pci_command(name) & BUS_MASTER, BUS_MASTER);
	ASSERT_EQ(run(self->fd, true, 0, 14, 1000), 0);
	ASSERT_STREQ(to, "ours");
	ASSERT_STREQ(self->map, "to the device");
}

/* The driver can be bound again at once: it waits for a transfer that goes on. */
TEST_F(dma, bound_again_during_a_transfer)
{
	char name[256], *map;

	ASSERT_EQ(bound_device(DRIVER, name, sizeof(name)), 0);
	strcpy(self->map, "old");
	ASSERT_EQ(run(self->fd, false, 0, 4, 1000), 0);
	ASSERT_EQ(run(self->fd, true, self->page, 4, 1), -ETIMEDOUT);
	ASSERT_EQ(write_text(DRIVER "/unbind", name), 0);
	ASSERT_EQ(write_text(DRIVER "/bind", name), 0);
	ASSERT_EQ(self->map[self->page], 0);
	close(self->fd);
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_GE(self->fd, 0);
	map = mmap(NULL, PAGES * self->page, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(map, MAP_FAILED);
	for (size_t i = 0; i < PAGES * self->page; i++)
		ASSERT_EQ(map[i], 0);
	strcpy(map, "new");
	ASSERT_EQ(run(self->fd, false, 0, 4, 1000), 0);
	ASSERT_EQ(run(self->fd, true, 100, 4, 1000), 0);
	ASSERT_STREQ(map + 100, "new");
	munmap(map, PAGES * self->page);
}

/* Bus mastering is off after the driver, also if the driver had the memory itself. */
TEST_F(dma, unbound_between_transfers)
{
	char name[256];

	ASSERT_EQ(bound_device(DRIVER, name, sizeof(name)), 0);
	strcpy(self->map, "kept");
	ASSERT_EQ(run(self->fd, false, 0, 5, 1000), 0);
	strcpy(self->map, "then");
	ASSERT_EQ(write_text(DRIVER "/unbind", name), 0);
	ASSERT_EQ(pci_command(name) & BUS_MASTER, 0);
	ASSERT_STREQ(self->map, "then");
	ASSERT_EQ(run(self->fd, false, 0, 5, 1000), -ENODEV);
	ASSERT_EQ(write_text(DRIVER "/bind", name), 0);
}

TEST_HARNESS_MAIN
