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
#define COHERENT	"/dev/rust_mmap_dma_coherent"
#define DRIVER	"/sys/bus/pci/drivers/rust_mmap_dma"
#define PAGES	4

#define RW	(PROT_READ | PROT_WRITE)

#define BUS_MASTER	4

FIXTURE(dma)
{
	size_t page;
	char *map;
	int fd;
	int coherent;	/* the file of the coherent memory */
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
	self->coherent = open(COHERENT, O_RDWR);
	ASSERT_GE(self->coherent, 0);
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
	close(self->coherent);
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

/* --- coherent memory */

/* Maps it. Returns the mapping, or MAP_FAILED. */
static char *map_coherent(int fd, size_t page, int flags)
{
	return mmap(NULL, 2 * page, RW, flags, fd, 0);
}

/* Returns how many transfers have ended. */
static unsigned int ended(char *coherent, size_t page)
{
	struct rust_mmap_dma_status *status = (void *)(coherent + page);

	return __atomic_load_n(&status->ended, __ATOMIC_ACQUIRE);
}

/* What user space writes goes to the device and back, also from one kind of memory to the other. */
TEST_F(dma, coherent_there_and_back)
{
	const size_t page = self->page;
	char *coherent = map_coherent(self->coherent, page, MAP_SHARED);
	struct rust_mmap_dma_status *status;
	size_t i;

	ASSERT_NE(coherent, MAP_FAILED);
	status = (struct rust_mmap_dma_status *)(coherent + page);
	ASSERT_EQ(status->device_size, 4096);
	for (i = 0; i < 2 * page; i++)
		if (i < page || i >= page + sizeof(*status))
			ASSERT_EQ(coherent[i], 0);
	for (i = 0; i < page; i++)
		coherent[i] = i % 251;
	ASSERT_EQ(run(self->coherent, false, 0, 4096, 1000), 0);
	ASSERT_EQ(ended(coherent, page), 1);
	memset(coherent, 'x', page);
	ASSERT_EQ(run(self->coherent, true, 10, 4000, 1000), 0);
	ASSERT_EQ(ended(coherent, page), 2);
	for (i = 0; i < page; i++)
		ASSERT_EQ((unsigned char)coherent[i],
			  i >= 10 && i < 4010 ? (i - 10) % 251 : 'x') TH_LOG("%zu", i);

	/* From one kind of memory to the other. */
	strcpy(self->map, "by two ways");
	ASSERT_EQ(run(self->fd, false, 0, 12, 1000), 0);
	ASSERT_EQ(run(self->coherent, true, page - 12, 12, 1000), 0);
	ASSERT_STREQ(coherent + page - 12, "by two ways");
	ASSERT_EQ(ended(coherent, page), 4);
	munmap(coherent, 2 * page);
}

/* User space sees what the device writes without a function that waits for it. */
TEST_F(dma, coherent_without_the_driver)
{
	const size_t page = self->page;
	volatile char *coherent = map_coherent(self->coherent, page, MAP_SHARED);
	int i;

	ASSERT_NE(coherent, MAP_FAILED);
	coherent[0] = 'd';
	ASSERT_EQ(run(self->coherent, false, 0, 1, 1000), 0);
	coherent[0] = 0;
	ASSERT_EQ(run(self->coherent, true, 0, 1, 1), -ETIMEDOUT);
	for (i = 0; i < 1000 && !coherent[0]; i++)
		usleep(1000);
	ASSERT_EQ(coherent[0], 'd');
	/* The other pages were not the device's, and are not used before it has ended. */
	usleep(100000);
	ASSERT_EQ(run(self->fd, true, 0, 1, 1000), 0);
	ASSERT_EQ(self->map[0], 'd');
	munmap((void *)coherent, 2 * page);
}

TEST_F(dma, coherent_bounds)
{
	const size_t page = self->page;

	ASSERT_EQ(mmap(NULL, 3 * page, RW, MAP_SHARED, self->coherent, 0), MAP_FAILED);
	ASSERT_EQ(errno, EINVAL);
	ASSERT_EQ(mmap(NULL, page, RW, MAP_SHARED, self->coherent, 2 * page), MAP_FAILED);
	ASSERT_EQ(errno, EINVAL);
	/* The last page is the driver's. */
	ASSERT_EQ(run(self->coherent, true, page, 1, 100), -EINVAL);
	ASSERT_EQ(run(self->coherent, true, page - 1, 2, 100), -EINVAL);
	ASSERT_EQ(run(self->coherent, true, 2 * page, 1, 100), -EINVAL);
	ASSERT_EQ(map_coherent(self->coherent, page, MAP_PRIVATE), MAP_FAILED);
	ASSERT_EQ(errno, EINVAL);
}

/* A debugger sees it, also where the process has not accessed it; the kernel does not pin it. */
TEST_F(dma, coherent_debugged)
{
	const size_t page = self->page;
	char *coherent = map_coherent(self->coherent, page, MAP_SHARED), text[8] = "";
	int mem = open("/proc/self/mem", O_RDWR), pipes[2];
	struct iovec iov = { coherent, 1 };

	ASSERT_NE(coherent, MAP_FAILED);
	ASSERT_GE(mem, 0);
	ASSERT_EQ(pwrite(mem, "debug", 6, (uintptr_t)coherent + page - 3), 6);
	ASSERT_EQ(pread(mem, text, 6, (uintptr_t)coherent + page - 3), 6);
	ASSERT_STREQ(text, "debug");
	ASSERT_EQ(memcmp(coherent + page - 3, "debug", 6), 0);
	ASSERT_EQ(pipe(pipes), 0);
	ASSERT_EQ(vmsplice(pipes[1], &iov, 1, 0), -1);
	ASSERT_EQ(errno, EFAULT);
	close(pipes[0]);
	close(pipes[1]);
	close(mem);
	munmap(coherent, 2 * page);
}

/* Both a child and its parent lose it when the driver is unbound. */
TEST_F(dma, coherent_unbound)
{
	const size_t page = self->page;
	char *coherent = map_coherent(self->coherent, page, MAP_SHARED), name[256], byte;
	int mem = open("/proc/self/mem", O_RDONLY), ready[2], gone[2];
	pid_t pid;

	ASSERT_NE(coherent, MAP_FAILED);
	ASSERT_GE(mem, 0);
	ASSERT_EQ(bound_device(DRIVER, name, sizeof(name)), 0);
	coherent[0] = 'c';
	ASSERT_EQ(pipe(ready), 0);
	ASSERT_EQ(pipe(gone), 0);
	pid = fork();
	if (!pid) {
		bool had = coherent[0] == 'c' && !try_read(coherent + page);

		if (write(ready[1], "", 1) != 1 || read(gone[0], &byte, 1) != 1)
			_exit(2);
		_exit(!had || try_read(coherent) != SIGBUS || try_write(coherent) != SIGBUS);
	}
	ASSERT_EQ(read(ready[0], &byte, 1), 1);
	ASSERT_EQ(run(self->coherent, false, 0, 1, 1000), 0);
	ASSERT_EQ(write_text(DRIVER "/unbind", name), 0);
	ASSERT_EQ(pci_command(name) & BUS_MASTER, 0);
	ASSERT_EQ(write(gone[1], "", 1), 1);
	ASSERT_EQ(wait_child(pid), 0);
	ASSERT_EQ(try_read(coherent), SIGBUS);
	ASSERT_EQ(try_write(coherent + page), SIGBUS);
	ASSERT_EQ(pread(mem, &byte, 1, (uintptr_t)coherent), -1);
	ASSERT_EQ(map_coherent(self->coherent, page, MAP_SHARED), MAP_FAILED);
	ASSERT_EQ(errno, ENODEV);
	/* The other memory is still there. */
	ASSERT_EQ(try_write(self->map), 0);

	/* Memory of the same driver, bound again, is other memory. */
	ASSERT_EQ(write_text(DRIVER "/bind", name), 0);
	ASSERT_EQ(try_read(coherent), SIGBUS);
	munmap(coherent, 2 * page);
	close(self->coherent);
	self->coherent = open(COHERENT, O_RDWR);
	ASSERT_GE(self->coherent, 0);
	coherent = map_coherent(self->coherent, page, MAP_SHARED);
	ASSERT_NE(coherent, MAP_FAILED);
	ASSERT_EQ(coherent[0], 0);
	ASSERT_EQ(ended(coherent, page), 0);
	munmap(coherent, 2 * page);
	close(mem);
}

/* --- streaming DMA */

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
