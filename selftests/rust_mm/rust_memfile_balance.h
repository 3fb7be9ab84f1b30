/* SPDX-License-Identifier: GPL-2.0 */

/*
 * Checks that a program leaves no page of a memory file behind: it runs in a memory cgroup, which
 * is charged for a page until the page is freed.
 */

#ifndef RUST_MEMFILE_BALANCE_H
#define RUST_MEMFILE_BALANCE_H

#include <sys/prctl.h>

#include "rust_memory.h"
#include "rust_mm_cgroup.h"

/*
 * Returns how many bytes the group is charged for besides what the kernel still has a use for: page
 * caches of programs, and memory of its own. The pages of memory files are in none of these: they
 * are unevictable, or are in no page cache any longer. Waits until there are none: processors keep
 * charges in advance and references to pages, and the statistics lag behind.
 */
static inline long bytes_left(const struct cgroup *group)
{
	double end = seconds() + PATIENCE;
	long left;

	for (;;) {
		/* Gives up the references. */
		write_text("/proc/sys/vm/drop_caches", "1");
		/* Gives up the charges. */
		cgroup_set(group, "memory.high", "0");
		left = cgroup_get(group, "memory.current", NULL) -
			cgroup_get(group, "memory.stat", "anon") -
			cgroup_get(group, "memory.stat", "file") -
			cgroup_get(group, "memory.stat", "kernel") +
			cgroup_get(group, "memory.stat", "unevictable");
		if (!left || seconds() >= end)
			return left;
		usleep(100000);
	}
}

/*
 * Runs the tests of the program. Returns the exit status, which is that of a failure if pages are
 * left. Without memory cgroups, it does not look at that.
 */
static inline int run_balanced(int (*run)(int argc, char **argv), int argc, char **argv)
{
	struct cgroup group;
	int status;
	long left;
	pid_t pid;

	if (mount_cgroups() || new_cgroup(&group, "balance")) {
		printf("# No memory cgroup: whether all pages are freed is not tested.\n");
		return run(argc, argv);
	}
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (enter_cgroup(&group))
			exit(KSFT_FAIL);
		exit(run(argc, argv));
	}
	status = wait_child(pid);
	left = bytes_left(&group);
	if (left)
		printf("# Memory that is not freed at the end: %ld bytes.\n", left);
	if (remove_cgroup(&group))
		printf("# The memory cgroup cannot be removed.\n");
	return status < 0 || left ? KSFT_FAIL : status;
}

#endif /* RUST_MEMFILE_BALANCE_H */
