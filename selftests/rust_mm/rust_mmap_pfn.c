// SPDX-License-Identifier: GPL-2.0

/*
 * The sample driver rust_mmap_pfn: the memory of a PCI device (QEMU's ivshmem-plain),
 * mapped by one fault for each page, by one fault for the whole VMA, or in another order; and
 * its registers.
 */

#include "rust_mm.h"
#include "kselftest_harness.h"

#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#define MODULE	"rust_mmap_pfn"
#define DEVICE	"/dev/rust_mmap_pfn"
#define DRIVER	"/sys/bus/pci/drivers/rust_mmap_pfn"

#define RW	(PROT_READ | PROT_WRITE)
#define HUGE	(2ul << 20)
#define FILL	(1ull << 40)
#define PIECES	(2ull << 40)
#define REGS	(4ull << 40)
#define PMDS	(8ull << 40)

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
	const char *reason;

	self->fd = open_loaded(MODULE, &reason);
	if (self->fd == -ENOENT)
		SKIP(return, "%s", reason);
	ASSERT_GE(self->fd, 0);
	self->page = sysconf(_SC_PAGESIZE);
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

/* A debugger accesses pages that the process has not touched, and they remain so. */
TEST_F(pfn, access_before_a_fault)
{
	char *map = mmap(NULL, 3 * self->page, RW, MAP_SHARED, self->fd, variant->offset);
	char *other = mmap(NULL, 3 * self->page, RW, MAP_SHARED, self->fd, 0);
	char *readonly = mmap(NULL, self->page, PROT_READ, MAP_SHARED, self->fd,
			      variant->offset);
	int mem = open("/proc/self/mem", O_RDWR);
	char name[256], buf[64];
	long faults;

	ASSERT_NE(map, MAP_FAILED);
	ASSERT_NE(other, MAP_FAILED);
	ASSERT_NE(readonly, MAP_FAILED);
	ASSERT_GE(mem, 0);
	for (size_t i = 0; i < 3 * self->page; i++)
		other[i] = i % 251;
	faults = fdinfo(self->fd, "faults");

	/* All alignments and lengths, also across a page boundary. */
	for (size_t at = self->page - 16; at < self->page + 16; at++) {
		for (size_t len = 1; len <= 24; len++) {
			memset(buf, 0xff, sizeof(buf));
			ASSERT_EQ(pread(mem, buf, len, (off_t)(map + at)), len);
			for (size_t i = 0; i < len; i++)
				ASSERT_EQ((unsigned char)buf[i], (at + i) % 251);
			ASSERT_EQ(buf[len], (char)0xff);
		}
	}
	ASSERT_EQ(pwrite(mem, "across", 6, (off_t)(map + 2 * self->page - 3)), 6);
	ASSERT_EQ(memcmp(other + 2 * self->page - 3, "across", 6), 0);
	ASSERT_EQ((unsigned char)other[2 * self->page + 3], (2 * self->page + 3) % 251);

	ASSERT_EQ(pread(mem, buf, 1, (off_t)readonly), 1);
	ASSERT_EQ(pwrite(mem, "x", 1, (off_t)readonly), -1);
	ASSERT_EQ(fdinfo(self->fd, "faults"), faults);

	/* Not after a revocation. */
	ASSERT_EQ(bound_device(DRIVER, name, sizeof(name)), 0);
	ASSERT_EQ(write_text(DRIVER "/unbind", name), 0);
	ASSERT_EQ(pread(mem, buf, 1, (off_t)map), -1);
	ASSERT_EQ(errno, EIO);
	ASSERT_EQ(pwrite(mem, "x", 1, (off_t)map), -1);
	ASSERT_EQ(write_text(DRIVER "/bind", name), 0);
	close(mem);
	munmap(map, 3 * self->page);
	munmap(other, 3 * self->page);
	munmap(readonly, self->page);
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

/* The parts of the device that are not mapped by one of the two ways above. */
FIXTURE(device)
{
	size_t page;
	int fd;
};

FIXTURE_SETUP(device)
{
	const char *reason;

	self->fd = open_loaded(MODULE, &reason);
	if (self->fd == -ENOENT)
		SKIP(return, "%s", reason);
	ASSERT_GE(self->fd, 0);
	self->page = sysconf(_SC_PAGESIZE);
}

FIXTURE_TEARDOWN(device)
{
	if (self->fd >= 0)
		close(self->fd);
	ASSERT_EQ(unload_module(MODULE), 0);
}

/* The driver and user space use the registers at the same time, by one claim of the BAR. */
TEST_F(device, registers_for_both)
{
	volatile unsigned int *regs = mmap(NULL, self->page, RW, MAP_SHARED, self->fd, REGS);

	ASSERT_NE((void *)regs, MAP_FAILED);
	/* The interrupt mask. */
	regs[0] = 0x5a;
	ASSERT_EQ(fdinfo(self->fd, "interrupt_mask"), 0x5a);
	ASSERT_EQ(regs[0], 0x5a);
	regs[0] = 0;
	ASSERT_EQ(fdinfo(self->fd, "interrupt_mask"), 0);
	munmap((void *)regs, self->page);
}

/* The registers have 256 bytes. User space gets their page, and nothing else can get into it. */
TEST_F(device, bar_smaller_than_a_page)
{
	unsigned long start, end, regs_start = 0, regs_end = 0, rest_start = 0, rest_end = 0;
	char line[256], name[256], path[512];
	FILE *file;

	ASSERT_EQ(mmap(NULL, 2 * self->page, RW, MAP_SHARED, self->fd, REGS), MAP_FAILED);
	ASSERT_EQ(errno, EINVAL);
	ASSERT_EQ(mmap(NULL, self->page, RW, MAP_SHARED, self->fd, REGS + self->page),
		  MAP_FAILED);
	ASSERT_EQ(errno, EINVAL);

	ASSERT_EQ(bound_device(DRIVER, name, sizeof(name)), 0);
	snprintf(path, sizeof(path), DRIVER "/%s/resource", name);
	file = fopen(path, "r");
	ASSERT_NE(file, NULL);
	ASSERT_EQ(fscanf(file, "%lx %lx", &regs_start, &regs_end), 2);
	fclose(file);
	ASSERT_EQ(regs_end, regs_start + 255);

	file = fopen("/proc/iomem", "r");
	ASSERT_NE(file, NULL);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, " %lx-%lx : ", &start, &end) == 2 &&
		    strstr(line, MODULE) && start == regs_end + 1) {
			rest_start = start;
			rest_end = end;
		}
	}
	fclose(file);
	ASSERT_EQ(rest_start, regs_start + 256);
	ASSERT_EQ(rest_end, regs_start + self->page - 1);
}

/* A debugger's access to a register is one access: the device ignores parts of registers. */
TEST_F(device, debugger_at_a_register)
{
	char *regs = mmap(NULL, self->page, RW, MAP_SHARED, self->fd, REGS);
	int mem = open("/proc/self/mem", O_RDWR);
	unsigned int mask = 0x12345678;

	ASSERT_NE(regs, MAP_FAILED);
	ASSERT_GE(mem, 0);
	ASSERT_EQ(pwrite(mem, &mask, sizeof(mask), (off_t)regs), sizeof(mask));
	ASSERT_EQ(fdinfo(self->fd, "interrupt_mask"), mask);
	mask = 0;
	ASSERT_EQ(pread(mem, &mask, sizeof(mask), (off_t)regs), sizeof(mask));
	ASSERT_EQ(mask, 0x12345678);
	mask = 0;
	ASSERT_EQ(pwrite(mem, &mask, sizeof(mask), (off_t)regs), sizeof(mask));
	ASSERT_EQ(fdinfo(self->fd, "interrupt_mask"), 0);
	close(mem);
	munmap(regs, self->page);
}

/* The memory is write-combined where x86 keeps modes, and the registers are not. */
TEST_F(device, write_combined)
{
	unsigned long start[3] = {}, end[3] = {}, from, to;
	char line[256], mode[64], name[256], path[512];
	bool combined = false;
	FILE *file;

	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	file = fopen("/sys/kernel/debug/x86/pat_memtype_list", "r");
	if (!file)
		SKIP(return, "no cache modes (x86 with PAT), or no debugfs");
	ASSERT_EQ(bound_device(DRIVER, name, sizeof(name)), 0);
	snprintf(path, sizeof(path), DRIVER "/%s/resource", name);
	for (int i = 0; i < 2; i++) {
		FILE *resource = fopen(path, "r");

		ASSERT_NE(resource, NULL);
		for (int bar = 0; bar < 3; bar++)
			ASSERT_EQ(fscanf(resource, "%lx %lx %*x", &start[bar], &end[bar]), 2);
		fclose(resource);
		combined = false;
		while (fgets(line, sizeof(line), file)) {
			if (sscanf(line, "PAT: [mem %lx-%lx] %63s", &from, &to, mode) != 3)
				continue;
			if (from == start[2] && to == end[2] + 1)
				combined |= !strcmp(mode, "write-combining");
			if (from <= end[0] && to > start[0])
				EXPECT_STREQ(mode, "uncached-minus");
		}
		fclose(file);
		EXPECT_EQ(combined, i == 0);
		if (i == 0) {
			/* The reservation ends with the claim. */
			ASSERT_EQ(write_text(DRIVER "/unbind", name), 0);
			snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource", name);
			file = fopen("/sys/kernel/debug/x86/pat_memtype_list", "r");
			ASSERT_NE(file, NULL);
		}
	}
	ASSERT_EQ(write_text(DRIVER "/bind", name), 0);
}

/* One fault maps what a PMD can map, at an address that the driver chooses for it. */
TEST_F(device, huge_faults)
{
	size_t huge = read_pmd_pagesize(), len = 3 * huge;
	long huge_faults, faults;
	char *map, *other, *moved;
	struct iovec iov;
	int pipes[2];
	pid_t pid;

	if (!huge)
		SKIP(return, "no transparent huge pages");
	other = mmap(NULL, 4 * huge, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(other, MAP_FAILED);
	for (size_t at = 0; at < 4 * huge; at += self->page)
		*(size_t *)(other + at) = at;
	huge_faults = fdinfo(self->fd, "huge_faults");
	faults = fdinfo(self->fd, "faults");
	ASSERT_EQ(huge_faults, 0);

	map = mmap(NULL, len, RW, MAP_SHARED, self->fd, PMDS + huge);
	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ((size_t)map % huge, 0);
	for (size_t at = 0; at < len; at += self->page)
		ASSERT_EQ(*(size_t *)(map + at), huge + at);
	*(size_t *)(map + huge) = 0x1234;
	ASSERT_EQ(*(size_t *)(other + 2 * huge), 0x1234);
	ASSERT_EQ(fdinfo(self->fd, "huge_faults"), 3);
	ASSERT_EQ(fdinfo(self->fd, "faults"), faults);

	/* I/O does not take what a leaf maps for pages. */
	iov = (struct iovec){ map, self->page };
	ASSERT_EQ(pipe(pipes), 0);
	ASSERT_EQ(vmsplice(pipes[1], &iov, 1, 0), -1);
	ASSERT_EQ(errno, EFAULT);
	close(pipes[0]);
	close(pipes[1]);

	/* A child does not inherit it, and no advice changes that. */
	ASSERT_EQ(madvise(map, len, MADV_DOFORK), -1);
	ASSERT_EQ(errno, EINVAL);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		_exit(try_read(map) == SIGSEGV ? 0 : 1);
	ASSERT_EQ(wait_child(pid), 0);
	ASSERT_EQ(*(size_t *)map, huge);
	ASSERT_EQ(fdinfo(self->fd, "huge_faults"), 3);

	/* Moved, it faults again. */
	moved = mmap(NULL, len + huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(moved, MAP_FAILED);
	moved += huge - (size_t)moved % huge;
	ASSERT_EQ(mremap(map, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, moved), moved);
	ASSERT_EQ(*(size_t *)(moved + 2 * huge), 3 * huge);
	ASSERT_EQ(*(size_t *)moved, huge);
	ASSERT_EQ(fdinfo(self->fd, "huge_faults"), 5);

	/* Protection and unmapping of a part. */
	ASSERT_EQ(mprotect(moved, self->page, PROT_READ), 0);
	ASSERT_EQ(try_write(moved), SIGSEGV);
	ASSERT_EQ(*(size_t *)(moved + self->page), huge + self->page);
	ASSERT_EQ(munmap(moved + huge, self->page), 0);
	ASSERT_EQ(*(size_t *)(moved + huge + self->page), 2 * huge + self->page);
	ASSERT_EQ(fdinfo(self->fd, "huge_faults"), 5);
	munmap(moved, len);

	/* A mapping that has no whole PMD. */
	map = mmap(NULL, huge, RW, MAP_SHARED, self->fd, PMDS + self->page);
	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(*(size_t *)map, self->page);
	ASSERT_EQ(fdinfo(self->fd, "huge_faults"), 5);
	munmap(map, huge);
	munmap(other, 4 * huge);
}

/* A revocation takes away what PMDs map. */
TEST_F(device, unbind_with_huge_mappings)
{
	size_t huge = read_pmd_pagesize();
	char *map, name[256];

	if (!huge)
		SKIP(return, "no transparent huge pages");
	map = mmap(NULL, 2 * huge, RW, MAP_SHARED, self->fd, PMDS);
	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(try_read(map), 0);
	ASSERT_EQ(try_write(map + huge), 0);
	ASSERT_EQ(fdinfo(self->fd, "huge_faults"), 2);
	ASSERT_EQ(bound_device(DRIVER, name, sizeof(name)), 0);
	ASSERT_EQ(write_text(DRIVER "/unbind", name), 0);
	ASSERT_EQ(try_read(map), SIGBUS);
	ASSERT_EQ(try_write(map + huge), SIGBUS);
	ASSERT_EQ(write_text(DRIVER "/bind", name), 0);
	ASSERT_EQ(try_read(map), SIGBUS);
	munmap(map, 2 * huge);
}

/* Unbinding takes the registers away from both. */
TEST_F(device, unbind_with_registers)
{
	char *regs = mmap(NULL, self->page, RW, MAP_SHARED, self->fd, REGS);
	char name[256];

	ASSERT_NE(regs, MAP_FAILED);
	ASSERT_EQ(try_read(regs), 0);
	ASSERT_GE(fdinfo(self->fd, "interrupt_mask"), 0);
	ASSERT_EQ(bound_device(DRIVER, name, sizeof(name)), 0);
	ASSERT_EQ(write_text(DRIVER "/unbind", name), 0);
	ASSERT_EQ(try_read(regs), SIGBUS);
	ASSERT_EQ(fdinfo(self->fd, "interrupt_mask"), -1);
	/* Everything that was claimed is free again. */
	ASSERT_EQ(write_text(DRIVER "/bind", name), 0);
	munmap(regs, self->page);
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
	const char *reason;

	self->fd = -1;
	if (getenv("RUST_MM_TWIN"))
		SKIP(return, "C has no such mappings");
	self->fd = open_loaded(MODULE, &reason);
	if (self->fd == -ENOENT)
		SKIP(return, "%s", reason);
	ASSERT_GE(self->fd, 0);
	self->page = sysconf(_SC_PAGESIZE);
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

/* A debugger sees pieces that the process has not accessed, and no hole. */
TEST_F(pieces, debugger)
{
	size_t page = self->page;
	char *map = mmap(NULL, 5 * page, PROT_READ, MAP_SHARED, self->fd, PIECES);
	int mem = open("/proc/self/mem", O_RDWR);
	const size_t at[] = { 0, 2, 3, 4 };
	char byte;

	ASSERT_NE(map, MAP_FAILED);
	ASSERT_GE(mem, 0);
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(pread(mem, &byte, 1, (off_t)(map + at[i] * page)), 1);
		EXPECT_EQ(byte, "dabz"[i]);
	}
	EXPECT_EQ(pread(mem, &byte, 1, (off_t)(map + page)), -1);
	EXPECT_EQ(errno, EIO);
	/* The mapping is not writable. */
	EXPECT_EQ(pwrite(mem, "x", 1, (off_t)map), -1);
	EXPECT_EQ(errno, EIO);
	close(mem);
	munmap(map, 5 * page);
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
