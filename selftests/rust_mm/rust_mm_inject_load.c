// SPDX-License-Identifier: GPL-2.0

/*
 * Allocations that fail while a sample driver is loaded: the first, the second, and
 * so on until none is left to fail. A driver that could not be loaded leaves nothing
 * behind, neither a device nor itself, and can be loaded the next time.
 *
 * Only what the driver's own initialization allocates may fail: the rest is not ours,
 * and much.
 */

#include "rust_mm.h"
#include "rust_mm_inject.h"
#include "kselftest_harness.h"

/* More allocations than any driver needs. */
#define LIMIT	2000

FIXTURE(load)
{
	int nth;			/* fail-nth of this thread */
	char saved[NR_SETTINGS][32];
	char device[64];
};

FIXTURE_VARIANT(load)
{
	const char *module;
	const char *params;
	bool probes;	/* the module can be loaded without its device */
};

FIXTURE_VARIANT_ADD(load, filled)
{
	.module = "rust_mmap", .params = "pages=8",
};

FIXTURE_VARIANT_ADD(load, demand)
{
	.module = "rust_mmap_demand", .params = "pages=8",
};

FIXTURE_VARIANT_ADD(load, plain)
{
	.module = "rust_mmap_plain", .params = "pages=8",
};

FIXTURE_VARIANT_ADD(load, pfn)
{
	.module = "rust_mmap_pfn", .params = "", .probes = true,
};

FIXTURE_VARIANT_ADD(load, inspect)
{
	.module = "rust_vma_inspect", .params = "",
};

FIXTURE_SETUP(load)
{
	unsigned long start, end;
	int ret = load_module(variant->module, variant->params);

	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
		SKIP(return, "no such module, and no $RUST_MM_MODULES");
	ASSERT_EQ(ret, 0);
	snprintf(self->device, sizeof(self->device), "/dev/%s", variant->module);
	ret = access(self->device, F_OK);
	ASSERT_EQ(unload_module(variant->module), 0);
	if (ret && variant->probes)
		SKIP(return, "no QEMU -device ivshmem-plain");
	ASSERT_EQ(ret, 0);

	self->nth = open("/proc/thread-self/fail-nth", O_RDWR);
	if (self->nth < 0)
		SKIP(return, "no CONFIG_FAULT_INJECTION");
	mount_debugfs();
	for (size_t i = 0; i < NR_SETTINGS; i++) {
		ASSERT_EQ(get(settings[i][0], self->saved[i],
			      sizeof(self->saved[i])), 0)
			TH_LOG("no %s", settings[i][0]);
		ASSERT_EQ(set(settings[i][0], settings[i][1]), 0);
	}
	/* What calls the module's init function. */
	if (symbol("do_one_initcall", &start, &end))
		SKIP(return, "no /proc/kallsyms");
	if (require(start, end))
		SKIP(return, "no CONFIG_FAULT_INJECTION_STACKTRACE_FILTER");
}

FIXTURE_TEARDOWN(load)
{
	require(0, -1ul);
	for (size_t i = 0; i < NR_SETTINGS; i++)
		set(settings[i][0], self->saved[i]);
	close(self->nth);
	unload_module(variant->module);
	EXPECT_EQ(access(self->device, F_OK), -1);
}

/* Can it be opened? */
static int use(const char *device)
{
	int fd = open(device, O_RDWR);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

TEST_F_TIMEOUT(load, every_allocation, 120)
{
	int failed = 0, unprobed = 0, survived = 0, n;

	for (n = 1; n < LIMIT; n++) {
		bool injected, there;
		int ret;

		arm(self->nth, n);
		ret = load_module(variant->module, variant->params);
		injected = disarm(self->nth);
		there = !access(self->device, F_OK);

		if (ret) {
			ASSERT_TRUE(injected);
			/* EINVAL is module_add_driver()'s word for it. */
			if (!variant->probes || ret != -EINVAL)
				ASSERT_EQ(ret, -ENOMEM)
					TH_LOG("allocation %d", n);
			ASSERT_FALSE(there) TH_LOG("allocation %d", n);
			/* Nor is there a module. */
			ASSERT_EQ(unload_module(variant->module), -ENOENT);
			failed++;
		} else if (!there) {
			/* A driver without a device. */
			ASSERT_TRUE(injected);
			ASSERT_TRUE(variant->probes) TH_LOG("allocation %d", n);
			ASSERT_EQ(unload_module(variant->module), 0);
			unprobed++;
		} else {
			ASSERT_EQ(use(self->device), 0) TH_LOG("allocation %d", n);
			ASSERT_EQ(unload_module(variant->module), 0);
			ASSERT_EQ(access(self->device, F_OK), -1);
			survived += injected;
		}
		if (!injected)
			break;
		/* Now there is memory. */
		ASSERT_EQ(load_module(variant->module, variant->params), 0);
		ASSERT_EQ(use(self->device), 0) TH_LOG("allocation %d", n);
		ASSERT_EQ(unload_module(variant->module), 0);
	}
	TH_LOG("%s: of %d allocations, %d make it fail, %d leave it without a device, %d do not",
	       variant->module, n - 1, failed, unprobed, survived);
	ASSERT_GT(variant->probes ? unprobed : failed, 0);
	ASSERT_LT(n, LIMIT);
}

TEST_HARNESS_MAIN
