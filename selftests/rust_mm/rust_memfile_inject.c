// SPDX-License-Identifier: GPL-2.0

/*
 * Memory files with failing allocations: makes each operation with its first allocation failing,
 * then with the second, and so on until no allocation is left to fail. Expects each time that the
 * operation fails with ENOMEM, that the file is as it was, and that the operation succeeds when it
 * is repeated. Some operations succeed without the memory.
 */

#include "rust_memfile_fixture.h"
#include "rust_memfile_balance.h"
#include "rust_mm_inject.h"

#define PAGES	4

/* The pages of a file with one large folio, whose parts have another node in the page cache. */
#define LARGE	512

/* Far from all other mappings, so that there are no page tables yet. */
#define HERE	((char *)0x100000000000)

/* Exists if the kernel has large folios. */
#define HUGE_PAGES	"/sys/kernel/mm/transparent_hugepage"

/* More allocations than any operation makes. */
#define LIMIT	500

/* What an operation works on: a new file, its mapping at HERE, and a userfaultfd. */
struct area {
	const FIXTURE_DATA(memory) *self;
	size_t page, len;
	int fd, uffd;
	char *from;
};

struct op {
	const char *name;
	/* Returns 0 or -errno. */
	int (*run)(struct area *area);
	uint64_t modes;		/* for which the mapping is registered */
	uint64_t features;	/* of the userfaultfd: without them, it is left out */
	bool has;		/* the file has its pages before */
	char after;		/* the first byte of the second page, then */
	/*
	 * The file has a large folio, if it is not a memfd, and a hole from the second page on. If
	 * the folio cannot be split, the pages are zeroed and remain.
	 */
	bool splits;
	char last;		/* the first byte of the last page, then */
	bool never_fails;
};

static int run_create(struct area *area)
{
	int fd = file_of(area->self, 1);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int run_write(struct area *area)
{
	ssize_t done = pwrite(area->fd, area->from, area->len, 0);

	/* Some of it, or nothing. */
	if (done < 0)
		return -errno;
	return done == (ssize_t)area->len ? 0 : -ENOMEM;
}

static int run_allocate(struct area *area)
{
	return fallocate(area->fd, 0, 0, area->len) ? -errno : 0;
}

static int run_mmap(struct area *area)
{
	void *map = mmap(NULL, area->len, RW, MAP_SHARED, area->fd, 0);

	if (map == MAP_FAILED)
		return -errno;
	munmap(map, area->len);
	return 0;
}

/* Faults: a failure of those that user space makes itself would be tried again forever. */
static int run_fault(struct area *area)
{
	return madvise(HERE, area->len, MADV_POPULATE_WRITE) ? -errno : 0;
}

static int run_reopen(struct area *area)
{
	int fd = reopen(area->fd, O_RDWR);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/* Parts of ranges, so that the VMA is split. */
static int run_register(struct area *area)
{
	return watch(area->uffd, HERE + area->page, area->page, MISSING);
}

static int all_or_error(struct area *area, long done)
{
	if (done < 0)
		return done;
	return done == (long)area->len ? 0 : -ENOMEM;
}

static int run_copy(struct area *area)
{
	return all_or_error(area, fill_copy(area->uffd, HERE, area->from, area->len, 0));
}

static int run_zeropage(struct area *area)
{
	return all_or_error(area, fill_zero(area->uffd, HERE, area->len, 0));
}

static int run_continue(struct area *area)
{
	return all_or_error(area, fill_continue(area->uffd, HERE, area->len, 0));
}

static int run_poison(struct area *area)
{
	return all_or_error(area, fill_poison(area->uffd, HERE, area->len, 0));
}

static int run_protect(struct area *area)
{
	return protect(area->uffd, HERE, area->len, true);
}

/* Parts of a range that is registered. */
static int run_unregister(struct area *area)
{
	return unwatch(area->uffd, HERE + area->page, area->page);
}

static int run_protect_rw(struct area *area)
{
	return protect_rw(area->uffd, HERE, area->len, true);
}

static int run_punch(struct area *area)
{
	return fallocate(area->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, area->page,
			 area->page) ? -errno : 0;
}

/* The file ends in the folio, and then grows again. */
static int run_truncate(struct area *area)
{
	return ftruncate(area->fd, area->page) || ftruncate(area->fd, area->len) ? -errno : 0;
}

static const struct op ops[] = {
	{ "create", run_create },
	{ "mmap", run_mmap },
	{ "reopen", run_reopen },
	{ "write", run_write, .after = 'c' },
	{ "allocate", run_allocate },
	{ "fault", run_fault },
	{ "fault at a page of the file", run_fault, .has = true, .after = 'f' },
	{ "UFFDIO_REGISTER", run_register },
	{ "UFFDIO_COPY", run_copy, .modes = MISSING, .after = 'c' },
	{ "UFFDIO_ZEROPAGE", run_zeropage, .modes = MISSING },
	{ "UFFDIO_CONTINUE", run_continue, .modes = MINOR, .has = true, .after = 'f' },
	{ "UFFDIO_POISON", run_poison, .modes = MISSING },
	{ "UFFDIO_WRITEPROTECT", run_protect, .modes = WP },
	{ "UFFDIO_UNREGISTER", run_unregister, .modes = MISSING },
	{ "UFFDIO_RWPROTECT", run_protect_rw, .modes = RWP, .features = UFFD_FEATURE_RWP,
	  .has = true, .after = 'f', .never_fails = true },
	{ "a hole in a large folio", run_punch, .has = true, .splits = true, .last = 'f',
	  .never_fails = true },
	{ "truncation of a large folio", run_truncate, .has = true, .splits = true,
	  .never_fails = true },
};

/* Returns 0, or what failed. */
static int prepare(const FIXTURE_DATA(memory) *self, const struct op *op, struct area *area)
{
	area->fd = file_with(self, area->len, op->splits ? RUST_MEMFILE_HUGE : 0);
	area->uffd = uffd_with(op->features, 0);
	if (area->fd < 0 || area->uffd < 0)
		return 1;
	if (op->has && !put_bytes(area->fd, 0, area->len, 'f'))
		return 2;
	if (mmap(HERE, area->len, RW, MAP_SHARED | MAP_FIXED_NOREPLACE, area->fd, 0) != HERE)
		return 3;
	/* So that there is something to unmap, or to protect. */
	if (op->never_fails && madvise(HERE, area->len, MADV_POPULATE_WRITE))
		return 4;
	return op->modes ? watch(area->uffd, HERE, area->len, op->modes) : 0;
}

static void drop(struct area *area)
{
	close(area->uffd);
	munmap(HERE, area->len);
	close(area->fd);
}

/* Returns to what the file was before a failed attempt that has done a part. */
static int undo(const struct op *op, struct area *area)
{
	if (op->run == run_protect || op->run == run_register || op->run == run_unregister)
		return 0;
	if (madvise(HERE, area->len, MADV_DONTNEED))
		return 1;
	return !op->has && fallocate(area->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				     area->len);
}

static void inject(struct __test_metadata *_metadata, const FIXTURE_DATA(memory) *self, int nth,
		   const struct op *op)
{
	const size_t pages = op->splits ? LARGE : PAGES;
	struct area area = { .self = self, .page = self->page, .len = pages * self->page };
	int failed = 0, survived = 0, kept = 0, n;

	if (op->features & ~uffd_features())
		return;

	area.from = mmap(NULL, area.len, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
	ASSERT_NE(area.from, MAP_FAILED);
	memset(area.from, 'c', area.len);
	for (n = 1; n < LIMIT; n++) {
		bool injected;
		int ret;

		ASSERT_EQ(prepare(self, op, &area), 0) TH_LOG("%s", op->name);
		arm(nth, n);
		ret = op->run(&area);
		injected = disarm(nth);
		if (!injected) {
			ASSERT_EQ(ret, 0) TH_LOG("%s", op->name);
		} else if (ret) {
			failed++;
			/* memfd_create() does not tell why it has no inode. */
			if (op->run != run_create || self->device >= 0 || ret != -ENOSPC)
				ASSERT_EQ(ret, -ENOMEM)
					TH_LOG("%s, allocation %d", op->name, n);
			ASSERT_EQ(size_of(area.fd), area.len);
			/* Each page is as it was, or as it should become. */
			for (size_t i = 0; i < pages; i++)
				ASSERT_TRUE(has_bytes(area.fd, i * area.page, area.page,
						      op->has ? 'f' : 0) ||
					    has_bytes(area.fd, i * area.page, area.page,
						      op->after));
			ASSERT_EQ(undo(op, &area), 0);
			ASSERT_EQ(op->run(&area), 0) TH_LOG("%s, allocation %d", op->name, n);
		} else {
			/* The kernel did without the allocation. */
			survived++;
		}
		if (!ret || failed)
			ASSERT_TRUE(has_bytes(area.fd, area.page, area.page, op->after))
				TH_LOG("%s, allocation %d", op->name, n);
		if (op->splits) {
			const bool hole = is_hole(area.fd, area.page, 2 * area.page);

			ASSERT_TRUE(has_bytes(area.fd, 0, area.page, 'f'));
			ASSERT_TRUE(has_bytes(area.fd, area.len - area.page, area.page, op->last));
			ASSERT_TRUE(hole || injected) TH_LOG("%s", op->name);
			kept += !hole;
		}
		drop(&area);
		if (!injected)
			break;
	}
	TH_LOG("%s: of %d allocations, %d make it fail, %d do not", op->name, n - 1, failed,
	       survived);
	/* At least one failing allocation must make the operation fail, or the split. */
	ASSERT_EQ(failed > 0, !op->never_fails) TH_LOG("%s", op->name);
	if (op->splits && self->device >= 0 && !access(HUGE_PAGES, F_OK))
		ASSERT_GT(kept, 0) TH_LOG("%s", op->name);
	ASSERT_LT(n, LIMIT);
	munmap(area.from, area.len);
}

TEST_F_TIMEOUT(memory, failing_allocations, 120)
{
	char saved[NR_SETTINGS][32];
	int nth;

	/* Otherwise a fault of this program may be what allocates. */
	ASSERT_EQ(mlockall(MCL_CURRENT), 0);
	nth = open("/proc/thread-self/fail-nth", O_RDWR);
	if (nth < 0)
		SKIP(return, "no CONFIG_FAULT_INJECTION");
	mount_debugfs();
	for (size_t i = 0; i < NR_SETTINGS; i++) {
		ASSERT_EQ(get(settings[i][0], saved[i], sizeof(saved[i])), 0)
			TH_LOG("no %s", settings[i][0]);
		ASSERT_EQ(set(settings[i][0], settings[i][1]), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		inject(_metadata, self, nth, &ops[i]);
	for (size_t i = 0; i < NR_SETTINGS; i++)
		set(settings[i][0], saved[i]);
	close(nth);
}

int main(int argc, char **argv)
{
	return run_balanced(test_harness_run, argc, argv);
}
