// SPDX-License-Identifier: GPL-2.0

/*
 * Makes each operation on mappings of the sample drivers with its first allocation
 * failing, then with the second, and so on until no allocation is left to fail.
 * Expects each time that the operation fails with the kernel's errno, that the driver
 * counts as many VMAs as /proc/self/maps shows, that existing mappings still work, and
 * that the operation succeeds when it is repeated.
 *
 * /proc/thread-self/fail-nth counts the allocations of one thread, so no other thread
 * is affected (Documentation/fault-injection/fault-injection.rst).
 */

#include "rust_mm.h"
#include "rust_mm_inject.h"
#include "kselftest_harness.h"

#include <sys/ioctl.h>

#define RW	(PROT_READ | PROT_WRITE)
#define PAGES	8

/* Far from all other mappings, so that there are no page tables yet. */
#define HERE	((char *)0x100000000000)
#define THERE	((char *)0x200000000000)

/* More allocations than any operation makes. */
#define LIMIT	2000

FIXTURE(inject)
{
	size_t page;			/* bytes in a page */
	size_t len;			/* bytes in a mapping */
	int fd;
	int nth;			/* fail-nth of this thread */
	int zero;			/* /dev/zero */
	char saved[NR_SETTINGS][32];
};

FIXTURE_VARIANT(inject)
{
	const char *module;
	const char *params;
	const char *device;
	unsigned long long offset;
	bool vmas;			/* fdinfo counts VMAs */
	bool data;			/* fdinfo counts mappings, which have data */
	bool faults;			/* pages are faulted in */
	bool folios;			/* pages are folios, not PFNs */
	bool grows;			/* mremap() may grow a mapping */
	bool filled;			/* populated at mmap time */
};

/* Data per VMA; the driver allocates pages on fault. */
FIXTURE_VARIANT_ADD(inject, demand)
{
	.module = "rust_mmap_demand",
	.device = "/dev/rust_mmap_demand",
	.vmas = true,
	.data = true,
	.faults = true,
	.folios = true,
};

/* Populated at mmap time; no callbacks. */
FIXTURE_VARIANT_ADD(inject, filled)
{
	.module = "rust_mmap",
	.device = "/dev/rust_mmap",
	.filled = true,
};

/* Mappings that the kernel may merge and grow. */
FIXTURE_VARIANT_ADD(inject, plain)
{
	.module = "rust_mmap_plain",
	.device = "/dev/rust_mmap_plain",
	.vmas = true,
	.faults = true,
	.folios = true,
	.grows = true,
};

/* The kernel repeats each fault, for which a retry takes memory. */
FIXTURE_VARIANT_ADD(inject, retry)
{
	.module = "rust_mmap_plain",
	.params = "retry=1",
	.device = "/dev/rust_mmap_plain",
	.vmas = true,
	.faults = true,
	.folios = true,
	.grows = true,
};

/* Device memory; each fault maps one PFN. */
FIXTURE_VARIANT_ADD(inject, pfn_fault)
{
	.module = "rust_mmap_pfn",
	.device = "/dev/rust_mmap_pfn",
	.faults = true,
};

/* Device memory; the first fault maps all PFNs of the VMA. */
FIXTURE_VARIANT_ADD(inject, pfn_fill)
{
	.module = "rust_mmap_pfn",
	.device = "/dev/rust_mmap_pfn",
	.offset = 1ull << 40,
	.faults = true,
};

FIXTURE_SETUP(inject)
{
	int ret = load_module(variant->module, variant->params ?: "");

	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
		SKIP(return, "no such module, and no $RUST_MM_MODULES");
	ASSERT_EQ(ret, 0);
	self->page = sysconf(_SC_PAGESIZE);
	self->len = PAGES * self->page;
	self->fd = open(variant->device, O_RDWR);
	if (self->fd < 0 && errno == ENOENT && !has_ivshmem()) {
		unload_module(variant->module);
		SKIP(return, "no QEMU -device ivshmem-plain");
	}
	ASSERT_GE(self->fd, 0);
	self->zero = open("/dev/zero", O_RDONLY);
	ASSERT_GE(self->zero, 0);

	/* Otherwise a fault of this program may be what allocates. */
	ASSERT_EQ(mlockall(MCL_CURRENT), 0);
	self->nth = open("/proc/thread-self/fail-nth", O_RDWR);
	if (self->nth < 0) {
		close(self->fd);
		unload_module(variant->module);
		SKIP(return, "no CONFIG_FAULT_INJECTION");
	}
	mount_debugfs();
	for (size_t i = 0; i < NR_SETTINGS; i++) {
		ASSERT_EQ(get(settings[i][0], self->saved[i],
			      sizeof(self->saved[i])), 0)
			TH_LOG("no %s", settings[i][0]);
		ASSERT_EQ(set(settings[i][0], settings[i][1]), 0);
	}
	/* A case that was killed by its limit may have left a filter. */
	require(0, -1ul);
}

FIXTURE_TEARDOWN(inject)
{
	for (size_t i = 0; i < NR_SETTINGS; i++)
		set(settings[i][0], self->saved[i]);
	if (variant->vmas)
		EXPECT_EQ(fdinfo_vmas(self->fd), 0);
	if (variant->data)
		EXPECT_EQ(fdinfo(self->fd, "mappings"), 0);
	close(self->nth);
	close(self->zero);
	close(self->fd);
	/* The kernel may release a file after close(2) returns. */
	for (int i = 0; i < 20 && unload_module(variant->module); i++)
		usleep(50000);
	/* A leaked reference would hold the module. */
	EXPECT_EQ(access(variant->device, F_OK), -1);
}

typedef FIXTURE_DATA(inject) Inject;
typedef FIXTURE_VARIANT(inject) Variant;

/* Returns the number of VMAs of the device in /proc/self/maps, or -1. */
static int count_vmas(const Variant *variant)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	int vmas = 0;

	while (maps && fgets(line, sizeof(line), maps)) {
		char *path = strchr(line, '/');

		if (!path)
			continue;
		path[strcspn(path, "\n")] = '\0';
		vmas += !strcmp(path, variant->device);
	}
	if (maps)
		fclose(maps);
	return maps ? vmas : -1;
}

/* Expects that the driver counts as many VMAs as the kernel. Returns their number. */
static int balance(struct __test_metadata *_metadata, Inject *self,
		   const Variant *variant)
{
	int vmas = count_vmas(variant);

	if (variant->vmas)
		ASSERT_EQ(fdinfo_vmas(self->fd), vmas);
	if (variant->data)
		ASSERT_EQ(fdinfo(self->fd, "mappings"), vmas > 0);
	return vmas;
}

/* Maps the device at HERE. */
static char *map(Inject *self, const Variant *variant)
{
	return mmap(HERE, self->len, RW, MAP_SHARED | MAP_FIXED_NOREPLACE,
		    self->fd, variant->offset);
}

/* An operation to inject failures into. */
struct op {
	const char *name;
	/* Acts on a fresh mapping at HERE, unless @unmapped. Returns 0 or -errno. */
	int (*run)(Inject *self, const Variant *variant);
	/* The errnos with which it may fail if memory is short. */
	int error, other_error;
	/* Number of VMAs after success, and the most after a failure. */
	int vmas, vmas_failed;
	bool unmapped;
};

/* Repeats the operation, with a different allocation failing each time. */
static void inject(struct __test_metadata *_metadata, Inject *self,
		   const Variant *variant, const struct op *op)
{
	int failed = 0, survived = 0, n;

	for (n = 1; n < LIMIT; n++) {
		bool injected;
		int ret, vmas;

		if (!op->unmapped) {
			ASSERT_EQ(map(self, variant), HERE);
			for (int i = 0; i < PAGES; i++)
				HERE[i * self->page] = 'a' + i;
		}
		ASSERT_EQ(balance(_metadata, self, variant), !op->unmapped);

		arm(self->nth, n);
		ret = op->run(self, variant);
		injected = disarm(self->nth);

		vmas = balance(_metadata, self, variant);
		if (!injected) {
			ASSERT_EQ(ret, 0) TH_LOG("%s", op->name);
		} else if (ret) {
			failed++;
			if (!op->other_error || ret != -op->other_error)
				ASSERT_EQ(ret, -op->error)
					TH_LOG("%s, allocation %d", op->name, n);
			ASSERT_GE(vmas, !op->unmapped);
			ASSERT_LE(vmas, op->vmas_failed)
				TH_LOG("%s, allocation %d", op->name, n);
			/* The existing pages are still mapped, with their contents. */
			for (int i = 0; i < PAGES && !op->unmapped; i++) {
				ASSERT_EQ(try_write(HERE + i * self->page), 0);
				ASSERT_EQ(HERE[i * self->page], 'a' + i);
			}
			/* Without injection, the operation succeeds. */
			ASSERT_EQ(op->run(self, variant), 0)
				TH_LOG("%s, allocation %d", op->name, n);
			vmas = balance(_metadata, self, variant);
		} else {
			/* The kernel did without the allocation. */
			survived++;
		}
		if (injected && !ret) {
			/*
			 * If mremap() cannot unmap the range that it has moved
			 * pages from, that remains mapped, without pages.
			 */
			ASSERT_LE(vmas, op->vmas + 2);
		} else {
			ASSERT_EQ(vmas, op->vmas) TH_LOG("%s", op->name);
		}
		ASSERT_EQ(munmap(HERE, 2 * self->len), 0);
		ASSERT_EQ(munmap(THERE, 2 * self->len), 0);
		ASSERT_EQ(balance(_metadata, self, variant), 0);
		if (!injected)
			break;
	}
	TH_LOG("%s: of %d allocations, %d make it fail, %d do not", op->name,
	       n - 1, failed, survived);
	/* At least one failing allocation must make the operation fail. */
	ASSERT_GT(failed, 0) TH_LOG("%s", op->name);
	ASSERT_LT(n, LIMIT);
}

static int run_open(Inject *self, const Variant *variant)
{
	int fd = open(variant->device, O_RDWR);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

TEST_F(inject, open)
{
	static const struct op op = {
		.name = "open", .run = run_open, .error = ENOMEM,
		.unmapped = true,
	};

	inject(_metadata, self, variant, &op);
}

static int run_mmap(Inject *self, const Variant *variant)
{
	return map(self, variant) == MAP_FAILED ? -errno : 0;
}

TEST_F(inject, mmap)
{
	const struct op op = {
		.name = "mmap", .run = run_mmap, .error = ENOMEM,
		/* vm_insert_pages() returns EFAULT if it cannot allocate upper page tables. */
		.other_error = variant->filled ? EFAULT : 0,
		.vmas = 1, .unmapped = true,
	};

	inject(_metadata, self, variant, &op);
}

/* munmap() in the middle splits twice; after a failure, the first split may remain. */
static int run_munmap(Inject *self, const Variant *variant)
{
	return munmap(HERE + 3 * self->page, 2 * self->page) ? -errno : 0;
}

TEST_F(inject, munmap_in_the_middle)
{
	static const struct op op = {
		.name = "munmap", .run = run_munmap, .error = ENOMEM,
		.vmas = 2, .vmas_failed = 2,
	};

	inject(_metadata, self, variant, &op);
}

/* MAP_FIXED over a part unmaps that part, even if the new mapping then fails. */
static int run_replace(Inject *self, const Variant *variant)
{
	char *at = HERE + 2 * self->page;

	return mmap(at, self->page, PROT_READ, MAP_SHARED | MAP_FIXED, self->fd,
		    variant->offset + 2 * self->page) == MAP_FAILED ? -errno : 0;
}

TEST_F(inject, replaced_in_the_middle)
{
	int failed = 0, n;

	for (n = 1; n < LIMIT; n++) {
		bool injected;
		int ret, vmas;

		ASSERT_EQ(map(self, variant), HERE);
		arm(self->nth, n);
		ret = run_replace(self, variant);
		injected = disarm(self->nth);
		vmas = count_vmas(variant);
		if (variant->vmas)
			ASSERT_EQ(fdinfo_vmas(self->fd), vmas);
		if (injected && ret) {
			failed++;
			ASSERT_EQ(ret, -ENOMEM);
			ASSERT_EQ(try_write(HERE), 0);
			ASSERT_EQ(run_replace(self, variant), 0);
			vmas = count_vmas(variant);
		} else {
			ASSERT_EQ(ret, 0);
		}
		ASSERT_EQ(vmas, 3);
		if (variant->data)
			ASSERT_EQ(fdinfo(self->fd, "mappings"), 2);
		ASSERT_EQ(munmap(HERE, self->len), 0);
		ASSERT_EQ(balance(_metadata, self, variant), 0);
		if (!injected)
			break;
	}
	TH_LOG("replace: of %d allocations, %d make it fail", n - 1, failed);
	ASSERT_GT(failed, 0);
	ASSERT_LT(n, LIMIT);
}

static int run_mprotect(Inject *self, const Variant *variant)
{
	return mprotect(HERE + 3 * self->page, 2 * self->page, PROT_READ) ?
		-errno : 0;
}

TEST_F(inject, mprotect_of_a_part)
{
	static const struct op op = {
		.name = "mprotect", .run = run_mprotect, .error = ENOMEM,
		.vmas = 3, .vmas_failed = 2,
	};

	inject(_metadata, self, variant, &op);
}

/* madvise() returns EAGAIN if memory is short. */
static int run_madvise(Inject *self, const Variant *variant)
{
	return madvise(HERE + 3 * self->page, 2 * self->page, MADV_RANDOM) ?
		-errno : 0;
}

TEST_F(inject, madvise_of_a_part)
{
	static const struct op op = {
		.name = "madvise", .run = run_madvise, .error = EAGAIN,
		.vmas = 3, .vmas_failed = 2,
	};

	inject(_metadata, self, variant, &op);
}

static int remap(char *from, size_t old, size_t new, int flags)
{
	char *to = mremap(from, old, new, MREMAP_MAYMOVE | flags, THERE);

	return to == MAP_FAILED ? -errno : 0;
}

static int run_move(Inject *self, const Variant *variant)
{
	return remap(HERE, self->len, self->len, MREMAP_FIXED);
}

TEST_F(inject, mremap_moves)
{
	static const struct op op = {
		.name = "mremap (move)", .run = run_move, .error = ENOMEM,
		.vmas = 1, .vmas_failed = 1,
	};

	inject(_metadata, self, variant, &op);
}

/* Moves two pages from the middle. */
static int run_move_part(Inject *self, const Variant *variant)
{
	return remap(HERE + 3 * self->page, 2 * self->page, 2 * self->page,
		     MREMAP_FIXED);
}

TEST_F(inject, mremap_moves_a_part)
{
	static const struct op op = {
		.name = "mremap (part)", .run = run_move_part, .error = ENOMEM,
		.vmas = 3, .vmas_failed = 3,
	};

	inject(_metadata, self, variant, &op);
}

static int run_shrink(Inject *self, const Variant *variant)
{
	return remap(HERE, self->len, self->len / 2, 0);
}

TEST_F(inject, mremap_shrinks)
{
	static const struct op op = {
		.name = "mremap (shrink)", .run = run_shrink, .error = ENOMEM,
		.vmas = 1, .vmas_failed = 2,
	};

	inject(_metadata, self, variant, &op);
}

static int run_grow(Inject *self, const Variant *variant)
{
	return remap(HERE, self->len, self->len + 2 * self->page, MREMAP_FIXED);
}

static int run_dontunmap(Inject *self, const Variant *variant)
{
	return remap(HERE, self->len, self->len,
		     MREMAP_FIXED | MREMAP_DONTUNMAP);
}

/* The kernel refuses to grow a special mapping before it allocates anything. */
TEST_F(inject, mremap_grows)
{
	static const struct op op = {
		.name = "mremap (grow)", .run = run_grow, .error = ENOMEM,
		.vmas = 1, .vmas_failed = 1,
	};

	if (variant->grows) {
		inject(_metadata, self, variant, &op);
		return;
	}
	ASSERT_EQ(map(self, variant), HERE);
	arm(self->nth, 1);
	ASSERT_EQ(run_grow(self, variant), -EFAULT);
	ASSERT_FALSE(disarm(self->nth));
	ASSERT_EQ(balance(_metadata, self, variant), 1);
	ASSERT_EQ(munmap(HERE, self->len), 0);
}

TEST_F(inject, mremap_leaves_behind)
{
	static const struct op op = {
		.name = "mremap (DONTUNMAP)", .run = run_dontunmap,
		.error = ENOMEM, .vmas = 2, .vmas_failed = 1,
	};

	if (variant->grows) {
		inject(_metadata, self, variant, &op);
		return;
	}
	ASSERT_EQ(map(self, variant), HERE);
	arm(self->nth, 1);
	ASSERT_EQ(run_dontunmap(self, variant), -EINVAL);
	ASSERT_FALSE(disarm(self->nth));
	ASSERT_EQ(balance(_metadata, self, variant), 1);
	ASSERT_EQ(munmap(HERE, self->len), 0);
}

/* Makes the next fault allocate all: frees the page tables, and discards demand's page. */
static void forget(Inject *self, const Variant *variant)
{
	unsigned int index = 0;

	munmap(HERE, self->len);
	if (variant->data)
		ioctl(self->fd, _IOW('d', 2, unsigned int), &index);
}

/*
 * If a fault fails since memory is short, the CPU repeats the access, so user space does
 * not notice. Expects no signal, and a page that is mapped in the end.
 */
TEST_F(inject, first_fault)
{
	int survived = 0, n;

	if (!variant->faults)
		SKIP(return, "the driver has no fault handler");
	for (n = 1; n < LIMIT; n++) {
		bool injected;
		int sig;

		forget(self, variant);
		ASSERT_EQ(map(self, variant), HERE);
		arm(self->nth, n);
		sig = try_access(HERE, n % 2);
		injected = disarm(self->nth);
		ASSERT_EQ(sig, 0) TH_LOG("allocation %d", n);
		ASSERT_EQ(try_write(HERE), 0);
		ASSERT_EQ(balance(_metadata, self, variant), 1);
		ASSERT_EQ(munmap(HERE, self->len), 0);
		if (!injected)
			break;
		survived++;
	}
	TH_LOG("fault: %d allocations", survived);
	ASSERT_GT(survived, 0);
	ASSERT_LT(n, LIMIT);
}

/* An access by the kernel is not repeated: expects EFAULT, and success the next time. */
static int run_kernel_access(Inject *self, const Variant *variant)
{
	return read(self->zero, HERE, 1) == 1 ? 0 : -errno;
}

TEST_F(inject, first_fault_in_the_kernel)
{
	int failed = 0, n;

	if (!variant->faults)
		SKIP(return, "the driver has no fault handler");
	for (n = 1; n < LIMIT; n++) {
		bool injected;
		int ret;

		forget(self, variant);
		ASSERT_EQ(map(self, variant), HERE);
		arm(self->nth, n);
		ret = run_kernel_access(self, variant);
		injected = disarm(self->nth);
		if (ret) {
			ASSERT_TRUE(injected);
			ASSERT_EQ(ret, -EFAULT) TH_LOG("allocation %d", n);
			failed++;
			ASSERT_EQ(run_kernel_access(self, variant), 0);
		}
		ASSERT_EQ(HERE[0], 0);
		ASSERT_EQ(balance(_metadata, self, variant), 1);
		ASSERT_EQ(munmap(HERE, self->len), 0);
		if (!injected)
			break;
	}
	TH_LOG("fault in the kernel: %d of %d allocations", failed, n - 1);
	ASSERT_GT(failed, 0);
	ASSERT_LT(n, LIMIT);
}

/* For madvise(), expects ENOMEM if memory is short. */
TEST_F(inject, populate)
{
	int failed = 0, n;

	if (!variant->folios)
		SKIP(return, "MADV_POPULATE refuses PFN mappings");
	for (n = 1; n < LIMIT; n++) {
		bool injected;
		int ret;

		forget(self, variant);
		ASSERT_EQ(map(self, variant), HERE);
		arm(self->nth, n);
		ret = madvise(HERE, self->len, MADV_POPULATE_WRITE) ? -errno : 0;
		injected = disarm(self->nth);
		if (ret) {
			ASSERT_TRUE(injected);
			ASSERT_EQ(ret, -ENOMEM) TH_LOG("allocation %d", n);
			failed++;
			ASSERT_EQ(madvise(HERE, self->len, MADV_POPULATE_WRITE), 0);
		}
		ASSERT_EQ(balance(_metadata, self, variant), 1);
		ASSERT_EQ(munmap(HERE, self->len), 0);
		if (!injected)
			break;
	}
	TH_LOG("populate: %d of %d allocations", failed, n - 1);
	ASSERT_GT(failed, 0);
	ASSERT_LT(n, LIMIT);
}

/*
 * fork() of a process with many VMAs of the device, which fails before, between and
 * after them. Only allocations of dup_mmap() may fail: if the kernel cannot allocate
 * the kernel stack of the new process, it prints a report.
 */
TEST_F_TIMEOUT(inject, fork, 120)
{
	unsigned long start, end;
	int failed = 0, n, vmas;

	if (symbol("dup_mmap", &start, &end))
		SKIP(return, "no /proc/kallsyms");
	if (require(start, end))
		SKIP(return, "no CONFIG_FAULT_INJECTION_STACKTRACE_FILTER");

	ASSERT_EQ(map(self, variant), HERE);
	ASSERT_EQ(mmap(THERE, self->len, RW, MAP_SHARED | MAP_FIXED, self->fd,
		       variant->offset), THERE);
	for (int i = 0; i < PAGES; i += 2) {
		ASSERT_EQ(mprotect(HERE + i * self->page, self->page, PROT_READ), 0);
		ASSERT_EQ(mprotect(THERE + i * self->page, self->page, PROT_READ), 0);
	}
	vmas = count_vmas(variant);
	ASSERT_EQ(vmas, 2 * PAGES);

	for (n = 1; n < LIMIT; n++) {
		bool injected;
		pid_t pid;

		arm(self->nth, n);
		pid = fork();
		if (!pid)
			_exit(try_write(HERE + self->page) == 0 ? 0 : 1);
		injected = disarm(self->nth);
		if (pid < 0) {
			ASSERT_EQ(errno, ENOMEM);
			ASSERT_TRUE(injected);
			failed++;
			/* The kernel has closed the VMAs that it had duplicated. */
			if (variant->vmas)
				ASSERT_EQ(fdinfo_vmas(self->fd), vmas)
					TH_LOG("allocation %d", n);
			if (variant->data)
				ASSERT_EQ(fdinfo(self->fd, "mappings"), 2);
			/* Without injection, fork() succeeds. */
			pid = fork();
			if (!pid)
				_exit(try_write(HERE + self->page) == 0 ? 0 : 1);
			ASSERT_GE(pid, 0);
		}
		ASSERT_EQ(wait_child(pid), 0);
		if (variant->vmas)
			ASSERT_EQ(fdinfo_vmas(self->fd), vmas);
		if (!injected)
			break;
	}
	ASSERT_EQ(require(0, -1ul), 0);
	TH_LOG("fork: %d of %d allocations", failed, n - 1);
	/* At least one allocation for each VMA has failed. */
	ASSERT_GE(failed, vmas);
	ASSERT_LT(n, LIMIT);
	ASSERT_EQ(munmap(HERE, self->len), 0);
	ASSERT_EQ(munmap(THERE, self->len), 0);
	ASSERT_EQ(balance(_metadata, self, variant), 0);
}

TEST_HARNESS_MAIN
