// SPDX-License-Identifier: GPL-2.0

/*
 * Boundary values, and values past the boundary, for each ioctl of the sample drivers:
 * bad pointers, and bad arguments behind good pointers. Expects the right errno from the
 * driver, and that the refused ioctl has no effect.
 */

#include "rust_mm_boundary.h"

/* Where user space ends, unless a program asks for more: this power of 2. */
#ifdef __aarch64__
#define USER_BITS	48
#else
#define USER_BITS	47
#endif

/* An address where nothing is mapped. */
#define NOWHERE		0x123456789000ul

/* Addresses where no four bytes are mapped. */
static const unsigned long bad[] = {
	0, 1, 8, NOWHERE, 0x7ffffffff000, 1ul << 47, 1ul << 63,
	0xffff888000000000, 0xffffffff81000000, -4ul, -3ul, -1ul,
};

/* --- rust_mmap_demand */

FIXTURE(demand)
{
	size_t page;
	int fd;
	char *map;	/* all 64 pages, each written to */
};

FIXTURE_SETUP(demand)
{
	int ret = load_module("rust_mmap_demand", "pages=64");

	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
		SKIP(return, "no such module, and no $RUST_MM_MODULES");
	ASSERT_EQ(ret, 0);
	self->page = sysconf(_SC_PAGESIZE);
	self->fd = open_device("rust_mmap_demand");
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, 64 * self->page, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(self->map, MAP_FAILED);
	for (int i = 0; i < 64; i++)
		self->map[i * self->page] = 1 + i;
}

FIXTURE_TEARDOWN(demand)
{
	munmap(self->map, 64 * self->page);
	EXPECT_EQ(fdinfo_vmas(self->fd), 0);
	EXPECT_EQ(fdinfo(self->fd, "mappings"), 0);
	close(self->fd);
	EXPECT_EQ(unload("rust_mmap_demand"), 0);
}

/* Expects all pages present, dirty and with the contents that FIXTURE_SETUP wrote. */
#define UNTOUCHED()							\
do {									\
	EXPECT_EQ(fdinfo(self->fd, "present"), 64);			\
	EXPECT_EQ(fdinfo(self->fd, "dirty"), 64);			\
	EXPECT_EQ(fdinfo(self->fd, "revoked"), 0);			\
	for (int i = 0; i < 64; i++)					\
		ASSERT_EQ(self->map[i * self->page], 1 + i);		\
} while (0)

TEST_F(demand, bad_pointers)
{
	char *map = mmap(NULL, 2 * self->page, RW, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	unsigned int *across = (unsigned int *)(map + self->page - 3);

	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(munmap(map + self->page, self->page), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		FAILS(ioctl(self->fd, DEMAND_TAKE, bad[i]), EFAULT);
		FAILS(ioctl(self->fd, DEMAND_CLEAN, bad[i]), EFAULT);
		UNTOUCHED();
	}
	FAILS(ioctl(self->fd, DEMAND_TAKE, across), EFAULT);
	FAILS(ioctl(self->fd, DEMAND_CLEAN, across), EFAULT);
	UNTOUCHED();
	/* Pages that the process can only read, or not access at all. */
	ASSERT_EQ(mprotect(map, self->page, PROT_READ), 0);
	FAILS(ioctl(self->fd, DEMAND_CLEAN, map), EFAULT);
	ASSERT_EQ(mprotect(map, self->page, PROT_NONE), 0);
	FAILS(ioctl(self->fd, DEMAND_CLEAN, map), EFAULT);
	FAILS(ioctl(self->fd, DEMAND_TAKE, map), EFAULT);
	UNTOUCHED();
	munmap(map, self->page);
}

/* Arguments at unaligned addresses, and in the memory that the ioctl acts on. */
TEST_F(demand, odd_pointers)
{
	char buf[16] = "";
	unsigned int n;

	for (int i = 0; i < 8; i++) {
		n = i;
		memcpy(buf + i, &n, 4);
		EXPECT_EQ(ioctl(self->fd, DEMAND_TAKE, buf + i), 0);
		EXPECT_EQ(fdinfo(self->fd, "present"), 63 - i);
	}
	EXPECT_EQ(ioctl(self->fd, DEMAND_CLEAN, buf + 1), 0);
	memcpy(&n, buf + 1, 4);
	EXPECT_EQ(n, 56);

	/* The index of the page to discard, in that page itself. */
	n = 9;
	memcpy(self->map + 9 * self->page + 100, &n, 4);
	EXPECT_EQ(ioctl(self->fd, DEMAND_TAKE, self->map + 9 * self->page + 100), 0);
	EXPECT_EQ(self->map[9 * self->page], 0);
	/* The driver cleans the page, then writes the result to it. */
	self->map[10 * self->page] = 1;
	EXPECT_EQ(ioctl(self->fd, DEMAND_CLEAN, self->map + 10 * self->page), 0);
	EXPECT_GE(self->map[10 * self->page], 1);
	EXPECT_GE(fdinfo(self->fd, "dirty"), 1);
}

TEST_F(demand, indices)
{
	static const unsigned int beyond[] = {
		64, 65, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff,
	};
	unsigned int index;

	for (size_t i = 0; i < ARRAY_SIZE(beyond); i++) {
		index = beyond[i];
		FAILS(ioctl(self->fd, DEMAND_TAKE, &index), EINVAL);
		EXPECT_EQ(index, beyond[i]);
	}
	UNTOUCHED();
	index = 63;
	EXPECT_EQ(ioctl(self->fd, DEMAND_TAKE, &index), 0);
	index = 0;
	EXPECT_EQ(ioctl(self->fd, DEMAND_TAKE, &index), 0);
	/* A page that is not present. */
	EXPECT_EQ(ioctl(self->fd, DEMAND_TAKE, &index), 0);
	EXPECT_EQ(fdinfo(self->fd, "present"), 62);
	EXPECT_EQ(self->map[63 * self->page], 0);
	EXPECT_EQ(self->map[0], 0);
	EXPECT_EQ(self->map[self->page], 2);
}

/* These ioctls ignore their argument, and repeating them has no effect. */
TEST_F(demand, revocation)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(ioctl(self->fd, DEMAND_RESTORE, bad[i]), 0);
		UNTOUCHED();
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(ioctl(self->fd, DEMAND_REVOKE, bad[i]), 0);
		EXPECT_EQ(fdinfo(self->fd, "revoked"), 1);
		EXPECT_EQ(try_read(self->map), SIGBUS);
	}
	/* An argument in the revoked memory: the driver's copy fails. */
	FAILS(ioctl(self->fd, DEMAND_TAKE, self->map), EFAULT);
	FAILS(ioctl(self->fd, DEMAND_CLEAN, self->map), EFAULT);
	EXPECT_EQ(ioctl(self->fd, DEMAND_RESTORE, 0), 0);
	UNTOUCHED();
}

/* --- rust_vma_inspect */

FIXTURE(inspect)
{
	size_t page;
	int fd;
};

FIXTURE_SETUP(inspect)
{
	int ret = load_module("rust_vma_inspect", "");

	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
		SKIP(return, "no such module, and no $RUST_MM_MODULES");
	ASSERT_EQ(ret, 0);
	self->page = sysconf(_SC_PAGESIZE);
	self->fd = open_device("rust_vma_inspect");
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(inspect)
{
	close(self->fd);
	EXPECT_EQ(unload("rust_vma_inspect"), 0);
}

/* Expects the error, and that neither the request nor the output buffer has changed. */
#define REFUSED(error, field, value)					\
do {									\
	struct rust_vma_inspect request = {				\
		.pid = getpid(), .vmas = (unsigned long)vmas, .count = 4, \
	}, before;							\
									\
	request.field = value;						\
	before = request;						\
	memset(vmas, 0x5a, sizeof(vmas));				\
	FAILS(ioctl(self->fd, RUST_VMA_INSPECT, &request), error);	\
	EXPECT_EQ(memcmp(&request, &before, sizeof(before)), 0);	\
	for (size_t i = 0; i < sizeof(vmas); i++)			\
		ASSERT_EQ(((unsigned char *)vmas)[i], 0x5a);		\
} while (0)

TEST_F(inspect, refused)
{
	static struct rust_vma vmas[4];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		FAILS(ioctl(self->fd, RUST_VMA_INSPECT, bad[i]), EFAULT);
		REFUSED(EFAULT, vmas, bad[i]);
	}
	REFUSED(ESRCH, pid, 0);
	REFUSED(ESRCH, pid, 1ul << 31);
	REFUSED(ESRCH, pid, (1ul << 31) - 1);
	REFUSED(ESRCH, pid, (1ul << 32) + getpid());
	REFUSED(ESRCH, pid, 1ul << 63);
	REFUSED(ESRCH, pid, -1ul);
	REFUSED(ESRCH, pid, -(unsigned long)getpid());
	/* A kernel thread has no mm. */
	REFUSED(ESRCH, pid, 2);
	REFUSED(EINVAL, flags, 2);
	REFUSED(EINVAL, flags, 3);
	REFUSED(EINVAL, flags, 1u << 31);
	REFUSED(EINVAL, flags, -1u);
}

static int list(int fd, struct rust_vma_inspect *request, void *vmas,
		unsigned long start, unsigned int count, unsigned int flags)
{
	*request = (struct rust_vma_inspect) {
		.pid = getpid(), .start = start, .vmas = (unsigned long)vmas,
		.count = count, .flags = flags,
	};
	return ioctl(fd, RUST_VMA_INSPECT, request) ? -errno : 0;
}

TEST_F(inspect, starts_and_counts)
{
	static const unsigned int counts[] = { 1023, 1024, 1025, 1u << 31, -1u };
	static struct rust_vma vmas[2000];
	struct rust_vma_inspect request;
	unsigned long first;
	char *map;

	/* More VMAs than the driver returns in one answer. */
	map = mmap(NULL, 3000 * self->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		   -1, 0);
	ASSERT_NE(map, MAP_FAILED);
	first = (unsigned long)map + self->page;
	for (int i = 1; i < 3000; i += 2)
		ASSERT_EQ(mprotect(map + i * self->page, self->page, PROT_READ), 0);

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		unsigned int n = counts[i] < 1024 ? counts[i] : 1024;

		memset(vmas, 0x5a, sizeof(vmas));
		ASSERT_EQ(list(self->fd, &request, vmas, first, counts[i], 0), 0);
		EXPECT_EQ(request.count, n);
		EXPECT_EQ(request.start, first + n * self->page);
		EXPECT_EQ(vmas[0].start, first);
		EXPECT_EQ(vmas[n - 1].end, request.start);
		/* The driver writes nothing past the last VMA. */
		EXPECT_EQ(vmas[n].start, 0x5a5a5a5a5a5a5a5a);
	}
	/* For count 0 the driver returns the start of the first VMA, and ignores the pointer. */
	ASSERT_EQ(list(self->fd, &request, NULL, first, 0, 0), 0);
	EXPECT_EQ(request.count, 0);
	EXPECT_EQ(request.start, first);
	ASSERT_EQ(list(self->fd, &request, (void *)-1ul, first, 0, 1), 0);
	/* The driver rounds the start down to its page. */
	ASSERT_EQ(list(self->fd, &request, vmas, first + 1, 1, 0), 0);
	EXPECT_EQ(vmas[0].start, first);
	ASSERT_EQ(list(self->fd, &request, vmas, first + self->page - 1, 1, 0), 0);
	EXPECT_EQ(vmas[0].start, first);

	/* Past the end of user space. */
	for (int shift = USER_BITS; shift < 64; shift++) {
		ASSERT_EQ(list(self->fd, &request, vmas, 1ul << shift, 4, 1), 0);
		EXPECT_EQ(request.count, 0);
		EXPECT_EQ(request.start, 0);
		ASSERT_EQ(list(self->fd, &request, vmas, -1ul << (shift - 46), 4, 1), 0);
		EXPECT_EQ(request.count, 0);
	}
	ASSERT_EQ(list(self->fd, &request, vmas, -1ul, 4, 1), 0);
	EXPECT_EQ(request.count, 0);
	ASSERT_EQ(list(self->fd, &request, vmas, 0, 1, 1), 0);
	EXPECT_EQ(request.count, 1);
	munmap(map, 3000 * self->page);
}

/* The request itself: unaligned, across pages, half unmapped, read-only. */
TEST_F(inspect, requests)
{
	static struct rust_vma vmas[4];
	struct rust_vma_inspect request = {
		.pid = getpid(), .vmas = (unsigned long)vmas, .count = 4,
	}, answer;
	char *map = mmap(NULL, 3 * self->page, RW, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);

	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(munmap(map + 2 * self->page, self->page), 0);
	for (size_t i = 1; i < sizeof(request); i++) {
		char *at = map + self->page - i;

		memcpy(at, &request, sizeof(request));
		ASSERT_EQ(ioctl(self->fd, RUST_VMA_INSPECT, at), 0);
		memcpy(&answer, at, sizeof(answer));
		ASSERT_EQ(answer.count, 4);
		FAILS(ioctl(self->fd, RUST_VMA_INSPECT, map + 2 * self->page - i),
		      EFAULT);
	}
	memcpy(map, &request, sizeof(request));
	ASSERT_EQ(mprotect(map, self->page, PROT_READ), 0);
	FAILS(ioctl(self->fd, RUST_VMA_INSPECT, map), EFAULT);
	munmap(map, 2 * self->page);
}

/* --- rust_mm_misuse: the arguments that it refuses */

TEST(misuse_refuses)
{
	int ret = load_module("rust_mm_misuse", ""), fd;

	if (ret == -ENOENT)
		SKIP(return, "no rust_mm_misuse.ko");
	ASSERT_EQ(ret, 0);
	fd = open_device("rust_mm_misuse");
	ASSERT_GE(fd, 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		FAILS(ioctl(fd, MISUSE_ORDER, bad[i]), EFAULT);
		FAILS(ioctl(fd, MISUSE_SLEEP, bad[i]), EFAULT);
	}
	close(fd);
	EXPECT_EQ(unload("rust_mm_misuse"), 0);
}

TEST_HARNESS_MAIN
