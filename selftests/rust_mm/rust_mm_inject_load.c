// SPDX-License-Identifier: GPL-2.0

/*
 * Loads each sample driver with its first allocation failing, then with the second, and
 * so on until no allocation is left to fail. Expects that a driver that fails to load
 * leaves neither a device nor a module behind, and loads the next time.
 *
 * Only allocations of the module's init function may fail: the module loader makes many
 * others, which are not ours to test.
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
	bool probes;	/* the module loads even if the driver fails to probe */
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
	if (ret && variant->probes && !has_ivshmem())
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
	/* do_one_initcall() calls the module's init function. */
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

/* Opens and closes the device. Returns 0 or -errno. */
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
			/* module_add_driver() returns EINVAL where memory is short. */
			if (!variant->probes || ret != -EINVAL)
				ASSERT_EQ(ret, -ENOMEM)
					TH_LOG("allocation %d", n);
			ASSERT_FALSE(there) TH_LOG("allocation %d", n);
			/* The kernel has removed the module as well. */
			ASSERT_EQ(unload_module(variant->module), -ENOENT);
			failed++;
		} else if (!there) {
			/* The module is loaded, but the driver failed to probe. */
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
		/* Without injection, loading succeeds. */
		ASSERT_EQ(load_module(variant->module, variant->params), 0);
		ASSERT_EQ(use(self->device), 0) TH_LOG("allocation %d", n);
		ASSERT_EQ(unload_module(variant->module), 0);
	}
	TH_LOG("%s: of %d failed allocations, %d fail the load, %d fail the probe, %d do no harm",
	       variant->module, n - 1, failed, unprobed, survived);
	ASSERT_GT(variant->probes ? unprobed : failed, 0);
	ASSERT_LT(n, LIMIT);
}

TEST_HARNESS_MAIN
