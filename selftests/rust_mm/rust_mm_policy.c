// SPDX-License-Identifier: GPL-2.0

/*
 * NUMA memory policies: on which node the page of a fault is, for the pages of a driver that
 * allocates them for the fault, and for files of memfd_create(2). What differs is what
 * Documentation/mm/rust-mmap/vm-operations.rst says.
 *
 * The kernel splits the memory of a machine with one node into two if it is booted with
 * numa=fake=2.
 */

#include "rust_mm.h"
#include "kselftest_harness.h"

#include <linux/mempolicy.h>

#define PAGES	8

#define RW	(PROT_READ | PROT_WRITE)

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

/* Returns the node of the page at @addr, or -errno: -ENOENT if none is mapped. */
static int node_of(void *addr)
{
	int status = -1;
	long ret = syscall(SYS_move_pages, 0, 1, &addr, NULL, &status, 0);

	return ret ? -errno : status;
}

/* Accesses the page at @addr, and returns its node. */
static int touch(char *addr)
{
	return try_write(addr) ? -EFAULT : node_of(addr);
}

FIXTURE_SETUP(policy)
{
	unsigned long nodes = 0;
	int i, found = 0, ret;

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
	if (variant->module) {
		ret = load_module(variant->module, "pages=8");
		if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
			SKIP(return, "no module, and no $RUST_MM_MODULES");
		ASSERT_EQ(ret, 0);
		self->fd = open(variant->device, O_RDWR);
	} else {
		self->fd = syscall(SYS_memfd_create, "policy", 0);
		ASSERT_EQ(ftruncate(self->fd, self->size), 0);
	}
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
		EXPECT_EQ(touch(addr), node);
	}
}

/* A policy of a part: the kernel splits the VMA. */
TEST_F(policy, bind_of_a_part)
{
	char *addr = self->map;
	int i;

	for (i = 0; i < PAGES; i++, addr += self->page)
		ASSERT_EQ(bind_to(addr, self->page, MPOL_BIND, 1UL << self->node[i % 2], 0), 0);
	if (variant->module)
		EXPECT_EQ(fdinfo(self->fd, "vmas"), PAGES);
	for (i = 0, addr = self->map; i < PAGES; i++, addr += self->page)
		EXPECT_EQ(touch(addr), self->node[i % 2]);
}

TEST_F(policy, prefer)
{
	char *addr = self->map;
	int i;

	for (i = 0; i < PAGES; i++, addr += self->page) {
		int node = self->node[i % 2];

		ASSERT_EQ(bind_to(self->map, self->size, MPOL_PREFERRED, 1UL << node, 0), 0);
		EXPECT_EQ(touch(addr), node);
	}
}

/* By the page offset, in any order of the accesses. */
TEST_F(policy, interleave)
{
	unsigned long both = 1UL << self->node[0] | 1UL << self->node[1];
	int i, node[PAGES];

	ASSERT_EQ(bind_to(self->map, self->size, MPOL_INTERLEAVE, both, 0), 0);
	for (i = 0; i < PAGES; i++) {
		int index = i * 3 % PAGES;

		node[index] = touch(self->map + index * self->page);
		ASSERT_GE(node[index], 0);
	}
	for (i = 1; i < PAGES; i++)
		EXPECT_NE(node[i], node[i - 1]);
}

/* Without a policy of the mapping, that of the task applies; and not if there is one. */
TEST_F(policy, task)
{
	char *addr = self->map;
	int i;

	for (i = 0; i < PAGES - 1; i++, addr += self->page) {
		int node = self->node[i % 2];

		ASSERT_EQ(set_task_policy(MPOL_BIND, 1UL << node), 0);
		EXPECT_EQ(touch(addr), node);
	}
	ASSERT_EQ(set_task_policy(MPOL_BIND, 1UL << self->node[0]), 0);
	ASSERT_EQ(bind_to(addr, self->page, MPOL_BIND, 1UL << self->node[1], 0), 0);
	EXPECT_EQ(touch(addr), self->node[1]);
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
		_exit(touch(self->map) != self->node[1]);
	}
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
	/* The page is where the child has put it. */
	ASSERT_EQ(bind_to(self->map, self->size, MPOL_BIND, 1UL << self->node[0], 0), 0);
	EXPECT_EQ(touch(self->map), self->node[1]);
}

/* A driver's page comes from where the mapping wants it that is accessed first. */
TEST_F(policy, another_mapping)
{
	char *other = mmap(NULL, self->size, RW, MAP_SHARED, self->fd, 0);

	ASSERT_NE(other, MAP_FAILED);
	ASSERT_EQ(set_task_policy(MPOL_BIND, 1UL << self->node[0]), 0);
	ASSERT_EQ(bind_to(self->map, self->size, MPOL_BIND, 1UL << self->node[1], 0), 0);

	EXPECT_EQ(touch(other), self->node[variant->shared]);
	EXPECT_EQ(touch(self->map), self->node[variant->shared]);
	EXPECT_EQ(touch(self->map + self->page), self->node[1]);
	EXPECT_EQ(touch(other + self->page), self->node[1]);

	ASSERT_EQ(set_task_policy(MPOL_DEFAULT, 0), 0);
	munmap(other, self->size);
}

/* The kernel moves pages that are on a list of reclaim, which those of a driver are not. */
TEST_F(policy, move)
{
	int flags = MPOL_MF_MOVE | MPOL_MF_STRICT;
	int from = self->node[0], to = self->node[1];

	ASSERT_EQ(bind_to(self->map, self->size, MPOL_BIND, 1UL << from, 0), 0);
	ASSERT_EQ(touch(self->map), from);
	EXPECT_EQ(bind_to(self->map, self->size, MPOL_BIND, 1UL << to, flags),
		  variant->movable ? 0 : -EIO);
	EXPECT_EQ(node_of(self->map), variant->movable ? to : from);
	/* It is the policy all the same. */
	EXPECT_EQ(touch(self->map + self->page), to);
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
	EXPECT_EQ(touch(to + self->page), self->node[1]);

	ASSERT_EQ(set_task_policy(MPOL_DEFAULT, 0), 0);
	munmap(to, self->size);
}

TEST_HARNESS_MAIN
