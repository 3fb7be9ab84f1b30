// SPDX-License-Identifier: GPL-2.0

/*
 * The kernel's own stress test of userfaultfd, unmodified, with three more types of memory: the
 * memory files of rust_memfile, "rust_memfile" and "rust_memfile-private", and those whose
 * callbacks are in the module, "rust_memfile-handled".
 */

#define main kernel_main
#include "../mm/uffd-stress.c"
#undef main

#include "uffd_memory.h"

int main(int argc, char **argv)
{
	char shmem[] = "shmem", shmem_private[] = "shmem-private";

	if (argc > 1 && !strcmp(argv[1], "rust_memfile")) {
		argv[1] = shmem;
	} else if (argc > 1 && !strcmp(argv[1], "rust_memfile-private")) {
		argv[1] = shmem_private;
	} else if (argc > 1 && !strcmp(argv[1], "rust_memfile-handled")) {
		argv[1] = shmem;
		rust_memory_flags = RUST_MEMFILE_HANDLED;
	} else {
		return kernel_main(argc, argv);
	}
	rust_memory_type = true;
	return kernel_main(argc, argv);
}
