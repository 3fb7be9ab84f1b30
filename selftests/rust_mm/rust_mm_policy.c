// SPDX-License-Identifier: GPL-2.0

/*
 * NUMA memory policies: on which node the page of a fault is, for the pages of a driver that
 * allocates them for the fault, for memory files, and for files of memfd_create(2). What differs
 * for the first is what Documentation/mm/rust-mmap/vm-operations.rst says.
 *
 * The kernel splits the memory of a machine with one node into two if it is booted with
 * numa=fake=2.
 */

#include "rust_memory.h"
#include "kselftest_harness.h"

#include <linux/mempolicy.h>

#define PAGES	8

FIXTURE(policy)
{
	size_t page;		/* bytes in a page */
	size_t size;		/* bytes in the mapping */
	int node[2];
	int fd;
	char *map;
};

FIXTURE_VARIANT(policy)
{
	const char *module, *device;
	/* Of struct rust_memfile_create, if the module is that of memory files. */
	unsigned int flags;
	/* The policy belongs to the memory, and not to one mapping of it. */
	bool shared;
	/* The pages can be moved to another node. */
	bool movable;
};

FIXTURE_VARIANT_ADD(policy, memfd)
{
	.shared = true, .movable = true,
};

FIXTURE_VARIANT_ADD(policy, demand)
{
	.module = "rust_mmap_demand", .device = "/dev/rust_mmap_demand",
};

FIXTURE_VARIANT_ADD(policy, memory_file)
{
	.module = MODULE, .device = DEVICE, .shared = true, .movable = true,
};

/* The callbacks of userfaultfd are in the module, and allocate the pages that it fills. */
FIXTURE_VARIANT_ADD(policy, memory_file_handled)
{
	.module = MODULE, .device = DEVICE, .flags = RUST_MEMFILE_HANDLED, .shared = true,
	.movable = true,
};

static long set_task_policy(int mode, unsigned long nodes)
{
	return syscall(SYS_set_mempolicy, mode, nodes ? &nodes : NULL, 8 * sizeof(nodes)) ?
		-errno : 0;
}

static long bind_to(void *addr, size_t len, int mode, unsigned long nodes, int flags)
{
	return syscall(SYS_mbind, addr, len, mode, nodes ? &nodes : NULL, 8 * sizeof(nodes),
		       flags) ? -errno : 0;
}

/* Asks for the policy of the page at @addr. Returns 0 or -errno. */
static long query(void *addr, int *mode, unsigned long *nodes)
{
	*nodes = 0;
	return syscall(SYS_get_mempolicy, mode, nodes, 8 * sizeof(*nodes), addr, MPOL_F_ADDR) ?
		-errno : 0;
}

/* Returns the node of the page at @addr, or -errno: -ENOENT if none is mapped. */
static int node_of(void *addr)
{
	int status = -1;
	long ret = syscall(SYS_move_pages, 0, 1, &addr, NULL, &status, 0);

	return ret ? -errno : status;
}

/* Accesses the page at @addr, and returns its node. */
static int touched(char *addr)
{
	return try_write(addr) ? -EFAULT : node_of(addr);
}

/* Opens the file that the test maps. Returns it, or -errno: -ENOENT if there is no module. */
static int open_file(const FIXTURE_VARIANT(policy) *variant, size_t size)
{
	int device, fd, ret;

	if (!variant->module)
		return memfd_sealed(size, 0, 0);
	ret = load_module(variant->module, variant->shared ? "" : "pages=8");
	if (ret)
		return ret;
	device = open(variant->device, O_RDWR);
	if (device < 0)
		return -errno;
	if (!variant->shared)
		return device;
	fd = rust_memfile_sealed(device, size, ALL_MODES, variant->flags, 0);
	close(device);
	return fd;
}

FIXTURE_SETUP(policy)
{
	unsigned long nodes = 0;
	int i, found = 0;

	self->fd = -1;
	self->map = MAP_FAILED;
	if (syscall(SYS_get_mempolicy, NULL, &nodes, 8 * sizeof(nodes), NULL,
		    MPOL_F_MEMS_ALLOWED)) {
		ASSERT_EQ(errno, ENOSYS);
		SKIP(return, "no CONFIG_NUMA");
	}
	for (i = 0; i < 64 && found < 2; i++)
		if (nodes >> i & 1)
			self->node[found++] = i;
	if (found < 2)
		SKIP(return, "one node only: boot with numa=fake=2");

	self->page = sysconf(_SC_PAGESIZE);
	self->size = PAGES * self->page;
	self->fd = open_file(variant, self->size);
	if (self->fd == -ENOENT && !getenv("RUST_MM_MODULES"))
		SKIP(return, "no module, and no $RUST_MM_MODULES");
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(self->map, MAP_FAILED);
}

FIXTURE_TEARDOWN(policy)
{
	if (self->map != MAP_FAILED)
		munmap(self->map, self->size);
	if (self->fd < 0)
		return;
	close(self->fd);
	if (variant->module)
		ASSERT_EQ(unload_module(variant->module), 0);
}

/* Each page comes from the node that the mapping is bound to, from all nodes in turn. */
TEST_F(policy, bind)
{
	char *addr = self->map;
	int i;

	for (i = 0; i < PAGES; i++, addr += self->page) {
		int node = self->node[i % 2];

		ASSERT_EQ(bind_to(self->map, self->size, MPOL_BIND, 1UL << node, 0), 0);
		EXPECT_EQ(touched(addr), node);
	}
}

/* A policy of a part: the kernel splits the VMA. */
TEST_F(policy, bind_of_a_part)
{
	char *addr = self->map;
	int i;

	for (i = 0; i < PAGES; i++, addr += self->page)
		ASSERT_EQ(bind_to(addr, self->page, MPOL_BIND, 1UL << self->node[i % 2], 0), 0);
	/* The device counts its VMAs; memory files do not. */
	if (variant->module && !variant->shared)
		EXPECT_EQ(fdinfo(self->fd, "vmas"), PAGES);
	for (i = 0, addr = self->map; i < PAGES; i++, addr += self->page)
		EXPECT_EQ(touched(addr), self->node[i % 2]);
}

TEST_F(policy, prefer)
{
	char *addr = self->map;
	int i;

	for (i = 0; i < PAGES; i++, addr += self->page) {
		int node = self->node[i % 2];

		ASSERT_EQ(bind_to(self->map, self->size, MPOL_PREFERRED, 1UL << node, 0), 0);
		EXPECT_EQ(touched(addr), node);
	}
}

/* By the page offset, in any order of the accesses: here, each second page first. */
TEST_F(policy, interleave)
{
	unsigned long both = 1UL << self->node[0] | 1UL << self->node[1];
	int i, node[PAGES];

	ASSERT_EQ(bind_to(self->map, self->size, MPOL_INTERLEAVE, both, 0), 0);
	for (i = 0; i < PAGES; i++) {
		int index = i < PAGES / 2 ? 2 * i : 2 * i - PAGES + 1;

		node[index] = touched(self->map + index * self->page);
		ASSERT_GE(node[index], 0);
	}
	for (i = 1; i < PAGES; i++)
		EXPECT_NE(node[i], node[i - 1]);
}

/* The pages that a write, fallocate() and userfaultfd allocate are from the same node. */
TEST_F(policy, without_a_fault)
{
	const size_t page = self->page;
	char *addr = self->map, *from;
	int i, uffd;

	if (!variant->shared)
		SKIP(return, "only a fault allocates pages of this driver");
	from = mmap(NULL, page, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(from, MAP_FAILED);
	memset(from, 'f', page);
	ASSERT_EQ(set_task_policy(MPOL_BIND, 1UL << self->node[0]), 0);
	for (i = 0; i < PAGES; i++, addr += page)
		ASSERT_EQ(bind_to(addr, page, MPOL_BIND, 1UL << self->node[i / 4], 0), 0);
	uffd = uffd_with(0, 0);
	ASSERT_GE(uffd, 0);

	for (i = 0, addr = self->map; i < PAGES; i++, addr += page) {
		switch (i % 4) {
		case 0:
			ASSERT_EQ(pwrite(self->fd, from, page, i * page), (ssize_t)page);
			break;
		case 1:
			ASSERT_EQ(fallocate(self->fd, 0, i * page, page), 0);
			break;
		default:
			ASSERT_EQ(watch(uffd, addr, page, MISSING), 0);
			ASSERT_EQ(i % 4 == 2 ? fill_copy(uffd, addr, from, page, 0) :
				  fill_zero(uffd, addr, page, 0), (long)page);
		}
		EXPECT_EQ(touched(addr), self->node[i / 4]) TH_LOG("%d", i);
	}
	close(uffd);
	munmap(from, page);
	ASSERT_EQ(set_task_policy(MPOL_DEFAULT, 0), 0);
}

/* get_mempolicy() says what is set: through any mapping, if the policy is that of the memory. */
TEST_F(policy, query)
{
	char *other = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);
	unsigned long nodes;
	int mode;

	ASSERT_NE(other, MAP_FAILED);
	ASSERT_EQ(bind_to(self->map + self->page, self->page, MPOL_BIND, 1UL << self->node[1], 0),
		  0);
	ASSERT_EQ(query(self->map + self->page, &mode, &nodes), 0);
	EXPECT_EQ(mode, MPOL_BIND);
	EXPECT_EQ(nodes, 1UL << self->node[1]);
	ASSERT_EQ(query(self->map, &mode, &nodes), 0);
	EXPECT_EQ(mode, MPOL_DEFAULT);
	ASSERT_EQ(query(other + self->page, &mode, &nodes), 0);
	EXPECT_EQ(mode, variant->shared ? MPOL_BIND : MPOL_DEFAULT);

	/* None is as before. */
	ASSERT_EQ(bind_to(self->map, self->size, MPOL_DEFAULT, 0, 0), 0);
	ASSERT_EQ(query(other + self->page, &mode, &nodes), 0);
	EXPECT_EQ(mode, MPOL_DEFAULT);
	munmap(other, self->size);
}

/* Without a policy of the mapping, that of the task applies; and not if there is one. */
TEST_F(policy, task)
{
	char *addr = self->map;
	int i;

	for (i = 0; i < PAGES - 1; i++, addr += self->page) {
		int node = self->node[i % 2];

		ASSERT_EQ(set_task_policy(MPOL_BIND, 1UL << node), 0);
		EXPECT_EQ(touched(addr), node);
	}
	ASSERT_EQ(set_task_policy(MPOL_BIND, 1UL << self->node[0]), 0);
	ASSERT_EQ(bind_to(addr, self->page, MPOL_BIND, 1UL << self->node[1], 0), 0);
	EXPECT_EQ(touched(addr), self->node[1]);
	ASSERT_EQ(set_task_policy(MPOL_DEFAULT, 0), 0);
}

/* A child inherits the policy with the mapping. */
TEST_F(policy, fork)
{
	int status;
	pid_t child;

	ASSERT_EQ(bind_to(self->map, self->size, MPOL_BIND, 1UL << self->node[1], 0), 0);
	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		set_task_policy(MPOL_BIND, 1UL << self->node[0]);
		_exit(touched(self->map) != self->node[1]);
	}
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
	/* The page is where the child has put it. */
	ASSERT_EQ(bind_to(self->map, self->size, MPOL_BIND, 1UL << self->node[0], 0), 0);
	EXPECT_EQ(touched(self->map), self->node[1]);
}

/* A driver's page comes from where the mapping wants it that is accessed first. */
TEST_F(policy, another_mapping)
{
	char *other = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);

	ASSERT_NE(other, MAP_FAILED);
	ASSERT_EQ(set_task_policy(MPOL_BIND, 1UL << self->node[0]), 0);
	ASSERT_EQ(bind_to(self->map, self->size, MPOL_BIND, 1UL << self->node[1], 0), 0);

	EXPECT_EQ(touched(other), self->node[variant->shared]);
	EXPECT_EQ(touched(self->map), self->node[variant->shared]);
	EXPECT_EQ(touched(self->map + self->page), self->node[1]);
	EXPECT_EQ(touched(other + self->page), self->node[1]);

	ASSERT_EQ(set_task_policy(MPOL_DEFAULT, 0), 0);
	munmap(other, self->size);
}

/* The kernel moves pages that are on a list of reclaim, which those of a driver are not. */
TEST_F(policy, move)
{
	int flags = MPOL_MF_MOVE | MPOL_MF_STRICT;
	int from = self->node[0], to = self->node[1];

	ASSERT_EQ(bind_to(self->map, self->size, MPOL_BIND, 1UL << from, 0), 0);
	ASSERT_EQ(touched(self->map), from);
	EXPECT_EQ(bind_to(self->map, self->size, MPOL_BIND, 1UL << to, flags),
		  variant->movable ? 0 : -EIO);
	EXPECT_EQ(node_of(self->map), variant->movable ? to : from);
	/* It is the policy all the same. */
	EXPECT_EQ(touched(self->map + self->page), to);
}

/* The policy goes along when the mapping is moved, and remains when it is split. */
TEST_F(policy, remapped)
{
	char *to = mmap(NULL, self->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(to, MAP_FAILED);
	ASSERT_EQ(set_task_policy(MPOL_BIND, 1UL << self->node[0]), 0);
	ASSERT_EQ(bind_to(self->map, self->size, MPOL_BIND, 1UL << self->node[1], 0), 0);
	ASSERT_EQ(mprotect(self->map, self->page, PROT_READ), 0);
	EXPECT_EQ(try_read(self->map), 0);
	EXPECT_EQ(node_of(self->map), self->node[1]);
	ASSERT_EQ(mprotect(self->map, self->page, RW), 0);

	EXPECT_EQ(mremap(self->map + 2 * self->page, 2 * self->page, 2 * self->page,
			 MREMAP_MAYMOVE | MREMAP_FIXED, to), to);
	EXPECT_EQ(touched(to + self->page), self->node[1]);

	ASSERT_EQ(set_task_policy(MPOL_DEFAULT, 0), 0);
	munmap(to, self->size);
}

TEST_HARNESS_MAIN
