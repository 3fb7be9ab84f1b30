// SPDX-License-Identifier: GPL-2.0

/*
 * The kernel's own unit tests of userfaultfd, unmodified, with the memory files of rust_memfile as
 * types of memory beside shmem: each test that is for shmem runs on both.
 */

#define main kernel_main
#include "../mm/uffd-unit-tests.c"
#undef main

#include "uffd_memory.h"

static int rust_allocate_area(uffd_global_test_opts_t *gopts, void **area, bool is_src)
{
	int ret;

	rust_memory_type = true;
	ret = shmem_uffd_test_ops.allocate_area(gopts, area, is_src);
	rust_memory_type = false;
	return ret;
}

/* Huge pages of a file that is not shmem are counted elsewhere. */
static void rust_check_pmd_mapping(uffd_global_test_opts_t *gopts, void *p, int nr_hpages)
{
	size_t size = read_pmd_pagesize();

	if (!check_huge_file(gopts->area_dst_alias, nr_hpages * size, nr_hpages, size))
		err("Did not find expected %d number of hugepages", nr_hpages);
}

static uffd_test_ops_t rust_test_ops;

int main(int argc, char *argv[])
{
	const mem_type_t shmem = mem_types[1], shmem_private = mem_types[2];

	if (sizeof(mem_types) / sizeof(mem_types[0]) < 4 || shmem.mem_flag != MEM_SHMEM ||
	    shmem_private.mem_flag != MEM_SHMEM_PRIVATE)
		ksft_exit_fail_msg("the types of memory are others than expected\n");

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
