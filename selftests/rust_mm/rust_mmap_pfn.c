// SPDX-License-Identifier: GPL-2.0

/*
 * The sample driver rust_mmap_pfn: the memory of a PCI device (QEMU's ivshmem-plain),
 * mapped by one fault for each page, by one fault for the whole VMA, or in another order.
 */

#include "rust_mm.h"
#include "kselftest_harness.h"

#include <sys/ptrace.h>
#include <sys/uio.h>

#define MODULE	"rust_mmap_pfn"
#define DEVICE	"/dev/rust_mmap_pfn"
#define DRIVER	"/sys/bus/pci/drivers/rust_mmap_pfn"

#define RW	(PROT_READ | PROT_WRITE)
#define HUGE	(2ul << 20)
#define FILL	(1ull << 40)
#define PIECES	(2ull << 40)

FIXTURE(pfn)
{
	size_t page;	/* bytes in a page */
	size_t size;	/* bytes in the memory */
	int fd;
};

FIXTURE_VARIANT(pfn)
{
	unsigned long long offset;
};

/* Each fault maps one PFN. */
FIXTURE_VARIANT_ADD(pfn, fault)
{
	.offset = 0,
};

/* The first fault maps all PFNs of the VMA. */
FIXTURE_VARIANT_ADD(pfn, fill)
{
	.offset = FILL,
};

FIXTURE_SETUP(pfn)
{
	int ret = load_module(MODULE, "");

	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
		SKIP(return, "no " MODULE ".ko, and no $RUST_MM_MODULES");
	ASSERT_EQ(ret, 0);
	self->page = sysconf(_SC_PAGESIZE);
	self->fd = open(DEVICE, O_RDWR);
	if (self->fd < 0 && errno == ENOENT && !has_ivshmem()) {
		unload_module(MODULE);
		SKIP(return, "no QEMU -device ivshmem-plain");
	}
	ASSERT_GE(self->fd, 0);
	self->size = fdinfo(self->fd, "size");
	ASSERT_GE(self->size, 8 * HUGE);
}

FIXTURE_TEARDOWN(pfn)
{
	if (self->fd >= 0)
		close(self->fd);
	ASSERT_EQ(unload_module(MODULE), 0);
}

/* Writes go to the memory of the device: another mapping shows them. */
TEST_F(pfn, contents)
{
	size_t len = 4 * self->page;
	char *map = mmap(NULL, len, RW, MAP_SHARED, self->fd, variant->offset);
	char *other = mmap(NULL, len, RW, MAP_SHARED, self->fd, 0);

	ASSERT_NE(map, MAP_FAILED);
	ASSERT_NE(other, MAP_FAILED);
	for (int i = 0; i < 4; i++)
		map[i * self->page] = 'a' + i;
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(other[i * self->page], 'a' + i);
	ASSERT_EQ(munmap(map, len), 0);
	map = mmap(NULL, self->page, RW, MAP_SHARED, self->fd,
		   variant->offset + 2 * self->page);
	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(map[0], 'c');
	munmap(map, self->page);
	munmap(other, len);
}

/* The driver refuses mappings past the end of the memory, and writable private ones. */
TEST_F(pfn, bounds)
{
	ASSERT_EQ(mmap(NULL, self->size + self->page, RW, MAP_SHARED, self->fd,
		       variant->offset), MAP_FAILED);
	ASSERT_EQ(errno, EINVAL);
	ASSERT_EQ(mmap(NULL, self->page, RW, MAP_SHARED, self->fd,
		       variant->offset + self->size), MAP_FAILED);
	ASSERT_EQ(errno, EINVAL);
	ASSERT_EQ(mmap(NULL, self->page, RW, MAP_PRIVATE, self->fd,
		       variant->offset), MAP_FAILED);
	ASSERT_EQ(errno, EINVAL);
}

/* The mapping has the VMA flags of device memory. */
TEST_F(pfn, vm_flags)
{
	char *map = mmap(NULL, self->page, RW, MAP_SHARED, self->fd,
			 variant->offset);

	ASSERT_NE(map, MAP_FAILED);
	EXPECT_TRUE(has_vm_flag(map, "pf"));
	EXPECT_TRUE(has_vm_flag(map, "io"));
	EXPECT_TRUE(has_vm_flag(map, "de"));
	EXPECT_TRUE(has_vm_flag(map, "dd"));
	EXPECT_FALSE(has_vm_flag(map, "mm"));
	munmap(map, self->page);
}

/* A debugger accesses the memory through the driver's ->access. */
TEST_F(pfn, access)
{
	char buf[16] = "";
	struct iovec local = { buf, 4 };
	/* The address after the mapping must be unmapped. */
	char *map = mmap(NULL, 3 * self->page, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int mem = open("/proc/self/mem", O_RDWR);
	struct iovec remote = { map, 4 };

	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(mmap(map, 2 * self->page, RW, MAP_SHARED | MAP_FIXED,
		       self->fd, variant->offset), map);
	ASSERT_EQ(munmap(map + 2 * self->page, self->page), 0);
	ASSERT_GE(mem, 0);
	strcpy(map + self->page - 4, "acc");
	strcpy(map + self->page, "ess");
	ASSERT_EQ(pread(mem, buf, 4, (off_t)(map + self->page - 4)), 4);
	ASSERT_STREQ(buf, "acc");
	/* Across a page boundary. */
	ASSERT_EQ(pread(mem, buf, 8, (off_t)(map + self->page - 4)), 8);
	ASSERT_STREQ(buf + 4, "ess");
	ASSERT_EQ(pwrite(mem, "new", 4, (off_t)map), 4);
	ASSERT_STREQ(map, "new");
	/* Past the end of the VMA: only the bytes in it. */
	ASSERT_EQ(pread(mem, buf, 16, (off_t)(map + 2 * self->page - 8)), 8);
	close(mem);

	/* The kernel cannot pin PFNs, which have no reference counts. */
	ASSERT_EQ(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), -1);
	ASSERT_EQ(errno, EFAULT);
	munmap(map, 2 * self->page);
}

/* ptrace() reads the memory, and the kernel never dumps it. */
TEST_F(pfn, ptrace_and_core_dump)
{
	char *map = mmap(NULL, self->page, RW, MAP_SHARED, self->fd,
			 variant->offset);

	ASSERT_NE(map, MAP_FAILED);
	*(volatile long *)map = 0x1234;
	/* The child that ptrace() reads from inherits the PFNs. */
	ASSERT_EQ(ptrace_peek(map), 0x1234);
	put_marker(map + 64, "device marker");
	ASSERT_EQ(core_contains("device marker"), 0);
	munmap(map, self->page);
}

/* Advice that madvise() refuses for PFN mappings. */
TEST_F(pfn, madvise)
{
	static const int refused[] = {
		MADV_DONTNEED, MADV_FREE, MADV_COLD, MADV_PAGEOUT,
		MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_WIPEONFORK,
		MADV_DOFORK, MADV_DODUMP,
	};
	char *map = mmap(NULL, self->page, RW, MAP_SHARED, self->fd,
			 variant->offset);

	ASSERT_NE(map, MAP_FAILED);
	map[0] = 'm';
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		EXPECT_EQ(madvise(map, self->page, refused[i]), -1)
			TH_LOG("advice %d", refused[i]);
		EXPECT_EQ(errno, EINVAL);
	}
	ASSERT_EQ(map[0], 'm');
	munmap(map, self->page);
}

/* A device without the operation fsync cannot be synced. */
TEST_F(pfn, msync)
{
	char *map = mmap(NULL, self->page, RW, MAP_SHARED, self->fd,
			 variant->offset);

	ASSERT_NE(map, MAP_FAILED);
	map[0] = 's';
	ASSERT_EQ(msync(map, self->page, MS_ASYNC), 0);
	ASSERT_EQ(msync(map, self->page, MS_SYNC), -1);
	ASSERT_EQ(errno, EINVAL);
	ASSERT_EQ(fsync(self->fd), -1);
	ASSERT_EQ(errno, EINVAL);
	munmap(map, self->page);
}

/* fork(), splits and mremap() do not change which memory is mapped. */
TEST_F(pfn, life)
{
	size_t len = 4 * self->page;
	char *map = mmap(NULL, len, RW, MAP_SHARED, self->fd, variant->offset);
	char *moved;
	pid_t pid;

	ASSERT_NE(map, MAP_FAILED);
	for (int i = 0; i < 4; i++)
		map[i * self->page] = 'A' + i;
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		if (map[self->page] != 'B')
			_exit(1);
		map[0] = 'Z';
		_exit(0);
	}
	ASSERT_EQ(wait_child(pid), 0);
	ASSERT_EQ(map[0], 'Z');

	ASSERT_EQ(mremap(map, len, 2 * len, MREMAP_MAYMOVE), MAP_FAILED);
	ASSERT_EQ(errno, EFAULT);
	ASSERT_EQ(munmap(map + self->page, self->page), 0);
	ASSERT_EQ(try_read(map + self->page), SIGSEGV);
	moved = mmap(NULL, 2 * self->page, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_EQ(mremap(map + 2 * self->page, 2 * self->page, 2 * self->page,
			 MREMAP_MAYMOVE | MREMAP_FIXED, moved), moved);
	ASSERT_EQ(moved[0], 'C');
	ASSERT_EQ(moved[self->page], 'D');
	ASSERT_EQ(mprotect(moved, self->page, PROT_READ), 0);
	ASSERT_EQ(try_write(moved), SIGSEGV);
	ASSERT_EQ(moved[0], 'C');
	munmap(moved, 2 * self->page);
	munmap(map, self->page);
}

/* Unbinding the driver revokes existing mappings: accesses raise SIGBUS. */
TEST_F(pfn, unbind_while_mapped)
{
	size_t len = 2 * self->page;
	char *map = mmap(NULL, len, RW, MAP_SHARED, self->fd, variant->offset);
	char name[256], *again;
	int fd;

	ASSERT_NE(map, MAP_FAILED);
	map[0] = 'u';
	ASSERT_EQ(bound_device(DRIVER, name, sizeof(name)), 0);
	ASSERT_EQ(write_text(DRIVER "/unbind", name), 0);
	ASSERT_EQ(try_read(map), SIGBUS);
	ASSERT_EQ(try_write(map + self->page), SIGBUS);
	ASSERT_EQ(mmap(NULL, len, RW, MAP_SHARED, self->fd, variant->offset),
		  MAP_FAILED);
	ASSERT_EQ(errno, ENODEV);
	ASSERT_EQ(open(DEVICE, O_RDWR), -1);
	ASSERT_EQ(errno, ENOENT);

	/*
	 * An open file does not keep the driver from being bound again, and does not get the
	 * memory back.
	 */
	ASSERT_EQ(write_text(DRIVER "/bind", name), 0);
	fd = open(DEVICE, O_RDWR);
	ASSERT_GE(fd, 0);
	again = mmap(NULL, len, RW, MAP_SHARED, fd, variant->offset);
	ASSERT_NE(again, MAP_FAILED);
	ASSERT_EQ(again[0], 'u');
	ASSERT_EQ(try_read(map), SIGBUS);
	ASSERT_EQ(mmap(NULL, len, RW, MAP_SHARED, self->fd, variant->offset),
		  MAP_FAILED);
	ASSERT_EQ(errno, ENODEV);
	munmap(map, len);
	close(self->fd);
	ASSERT_EQ(again[0], 'u');
	munmap(again, len);
	self->fd = fd;
}

/* Ranges of the memory in an order of their own: page 3, a hole, pages 0 and 1, the last. */
FIXTURE(pieces)
{
	size_t page;
	size_t size;	/* bytes in the memory */
	char *memory;	/* all of it, in its own order */
	int fd;
};

FIXTURE_SETUP(pieces)
{
	int ret;

	self->fd = -1;
	if (getenv("RUST_MM_TWIN"))
		SKIP(return, "C has no such mappings");
	ret = load_module(MODULE, "");
	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
		SKIP(return, "no " MODULE ".ko, and no $RUST_MM_MODULES");
	ASSERT_EQ(ret, 0);
	self->page = sysconf(_SC_PAGESIZE);
	self->fd = open(DEVICE, O_RDWR);
	if (self->fd < 0 && errno == ENOENT && !has_ivshmem()) {
		unload_module(MODULE);
		SKIP(return, "no QEMU -device ivshmem-plain");
	}
	ASSERT_GE(self->fd, 0);
	self->size = fdinfo(self->fd, "size");
	self->memory = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(self->memory, MAP_FAILED);
	for (int i = 0; i < 4; i++)
		self->memory[i * self->page] = 'a' + i;
	self->memory[self->size - self->page] = 'z';
}

FIXTURE_TEARDOWN(pieces)
{
	munmap(self->memory, self->size);
	if (self->fd >= 0)
		close(self->fd);
	ASSERT_EQ(unload_module(MODULE), 0);
}

/* Each piece shows its part of the memory, also in a child and after what moves or splits it. */
TEST_F(pieces, contents)
{
	size_t page = self->page;
	char *map = mmap(NULL, 5 * page, PROT_READ, MAP_SHARED, self->fd, PIECES);
	char *moved;
	pid_t pid;

	ASSERT_NE(map, MAP_FAILED);
	EXPECT_TRUE(has_vm_flag(map, "pf"));
	EXPECT_TRUE(has_vm_flag(map, "io"));
	EXPECT_TRUE(has_vm_flag(map, "de"));
	EXPECT_FALSE(has_vm_flag(map, "mm"));
	EXPECT_EQ(map[0], 'd');
	EXPECT_EQ(try_read(map + page), SIGBUS);
	EXPECT_EQ(map[2 * page], 'a');
	EXPECT_EQ(map[3 * page], 'b');
	EXPECT_EQ(map[4 * page], 'z');
	munmap(map, 5 * page);

	map = mmap(NULL, 4 * page, RW, MAP_SHARED, self->fd, PIECES);
	ASSERT_NE(map, MAP_FAILED);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		if (map[3 * page] != 'b')
			_exit(1);
		map[0] = 'D';
		_exit(0);
	}
	ASSERT_EQ(wait_child(pid), 0);
	EXPECT_EQ(self->memory[3 * page], 'D');
	ASSERT_EQ(munmap(map + 2 * page, page), 0);
	EXPECT_EQ(mremap(map, 2 * page, 3 * page, 0), MAP_FAILED);
	EXPECT_EQ(errno, EFAULT);
	moved = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_EQ(mremap(map + 3 * page, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, moved), moved);
	moved[0] = 'B';
	EXPECT_EQ(self->memory[page], 'B');
	EXPECT_EQ(map[0], 'D');
	munmap(moved, page);
	munmap(map, 2 * page);
}

/* What does not fit the pieces is refused, and nothing is mapped. */
TEST_F(pieces, refused)
{
	size_t page = self->page;
	char *map;

	EXPECT_EQ(mmap(NULL, 6 * page, PROT_READ, MAP_SHARED, self->fd, PIECES), MAP_FAILED);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(mmap(NULL, page, PROT_READ, MAP_SHARED, self->fd, PIECES + 5 * page),
		  MAP_FAILED);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(mmap(NULL, page, RW, MAP_PRIVATE, self->fd, PIECES), MAP_FAILED);
	EXPECT_EQ(errno, EINVAL);
	/* The last page is read-only. */
	EXPECT_EQ(mmap(NULL, 5 * page, RW, MAP_SHARED, self->fd, PIECES), MAP_FAILED);
	EXPECT_EQ(errno, EACCES);
	map = mmap(NULL, 2 * page, PROT_READ, MAP_SHARED, self->fd, PIECES + 3 * page);
	ASSERT_NE(map, MAP_FAILED);
	EXPECT_EQ(mprotect(map, page, RW), -1);
	EXPECT_EQ(errno, EACCES);
	EXPECT_EQ(try_write(map + page), SIGSEGV);
	EXPECT_EQ(map[page], 'z');
	munmap(map, 2 * page);
}

/* Unbinding the driver revokes all pieces. */
TEST_F(pieces, unbind_while_mapped)
{
	size_t page = self->page;
	char *map = mmap(NULL, 5 * page, PROT_READ, MAP_SHARED, self->fd, PIECES);
	char name[256];

	ASSERT_NE(map, MAP_FAILED);
	EXPECT_EQ(map[0], 'd');
	EXPECT_EQ(map[4 * page], 'z');
	ASSERT_EQ(bound_device(DRIVER, name, sizeof(name)), 0);
	ASSERT_EQ(write_text(DRIVER "/unbind", name), 0);
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(try_read(map + i * page), SIGBUS);
	EXPECT_EQ(mmap(NULL, page, PROT_READ, MAP_SHARED, self->fd, PIECES), MAP_FAILED);
	EXPECT_EQ(errno, ENODEV);
	ASSERT_EQ(write_text(DRIVER "/bind", name), 0);
	EXPECT_EQ(try_read(map), SIGBUS);
	munmap(map, 5 * page);
}

TEST_HARNESS_MAIN
