// SPDX-License-Identifier: GPL-2.0

/*
 * The kernel's own unit tests of userfaultfd, unmodified, with the memory files of rust_memfile as
 * types of memory beside shmem: each test that is for shmem runs on both.
 *
 * Environment:
 *	UFFD_MIB	the size of the memory, up to 32; 4 by default, which is faster
 */

#define main kernel_main
#include "../mm/uffd-unit-tests.c"
#undef main

#include "uffd_memory.h"

/* The first area is the source: from then on, the tests use the size that is in @gopts. */
static void limit_size(uffd_global_test_opts_t *gopts, bool is_src)
{
	const char *mib = getenv("UFFD_MIB");
	unsigned long pages = ((mib ? atol(mib) : 4) << 20) / gopts->page_size;

	if (is_src && pages && pages < gopts->nr_pages)
		gopts->nr_pages = pages;
}

static int small_shmem_allocate_area(uffd_global_test_opts_t *gopts, void **area, bool is_src)
{
	limit_size(gopts, is_src);
	return shmem_uffd_test_ops.allocate_area(gopts, area, is_src);
}

static int rust_allocate_area(uffd_global_test_opts_t *gopts, void **area, bool is_src)
{
	int ret;

	limit_size(gopts, is_src);
	rust_memory_type = true;
	/* Only a file that allows it has huge pages. */
	rust_memory_flags = strstr(current_test, "collapse") ? RUST_MEMFILE_HUGE : 0;
	ret = shmem_uffd_test_ops.allocate_area(gopts, area, is_src);
	rust_memory_type = false;
	return ret;
}

/* Linux 7.2's function does not take the length. */
typedef bool check_without_length(void *addr, int nr_hpages, uint64_t size);
typedef bool check_with_length(void *addr, size_t len, int nr_hpages, uint64_t size);

static bool check_huge(void *addr, int nr_hpages, uint64_t size)
{
	void *check = check_huge_file;

	if (__builtin_types_compatible_p(typeof(check_huge_file), check_without_length))
		return ((check_without_length *)check)(addr, nr_hpages, size);
	return ((check_with_length *)check)(addr, nr_hpages * size, nr_hpages, size);
}

/* Huge pages of a file that is not shmem are counted elsewhere. */
static void rust_check_pmd_mapping(uffd_global_test_opts_t *gopts, void *p, int nr_hpages)
{
	if (!check_huge(gopts->area_dst_alias, nr_hpages, read_pmd_pagesize()))
		err("Did not find expected %d number of hugepages", nr_hpages);
}

static uffd_test_ops_t rust_test_ops, small_shmem_test_ops;

int main(int argc, char *argv[])
{
	mem_type_t shmem = mem_types[1], shmem_private = mem_types[2];

	if (ARRAY_SIZE(mem_types) < 4 || shmem.mem_flag != MEM_SHMEM ||
	    shmem_private.mem_flag != MEM_SHMEM_PRIVATE)
		ksft_exit_fail_msg("the types of memory are others than expected\n");

	small_shmem_test_ops = shmem_uffd_test_ops;
	small_shmem_test_ops.allocate_area = small_shmem_allocate_area;
	shmem.mem_ops = &small_shmem_test_ops;
	shmem_private.mem_ops = &small_shmem_test_ops;
	rust_test_ops = shmem_uffd_test_ops;
	rust_test_ops.allocate_area = rust_allocate_area;
	rust_test_ops.check_pmd_mapping = rust_check_pmd_mapping;
	memset(mem_types, 0, sizeof(mem_types));
	mem_types[0] = shmem;
	mem_types[1] = (mem_type_t){
		.name = "rust_memfile", .mem_flag = MEM_SHMEM, .mem_ops = &rust_test_ops,
		.shared = true,
	};
	mem_types[2] = shmem_private;
	mem_types[3] = (mem_type_t){
		.name = "rust_memfile-private", .mem_flag = MEM_SHMEM_PRIVATE,
		.mem_ops = &rust_test_ops,
	};
	return kernel_main(argc, argv);
}
