/* SPDX-License-Identifier: GPL-2.0 */

/* Memory cgroups of a test, version 2. */

#ifndef RUST_MM_CGROUP_H
#define RUST_MM_CGROUP_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rust_mm.h"

/* Where the hierarchy is mounted, in the mount namespace of the test. */
#define CGROUPS	"/mnt"

struct cgroup {
	char path[64];
};

static const struct cgroup root_cgroup = { CGROUPS };

/* Writes to a file of the group. Returns 0 or -errno. */
static inline int cgroup_set(const struct cgroup *group, const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", group->path, name);
	return write_text(path, value);
}

/*
 * Reads a number from a file of the group: the first one, or the one that stands after @key.
 * Returns it, or -1.
 */
static inline long cgroup_get(const struct cgroup *group, const char *name, const char *key)
{
	char path[128], word[64];
	long value, found = -1;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", group->path, name);
	file = fopen(path, "re");
	if (!file)
		return -1;
	if (!key && fscanf(file, "%ld", &value) == 1)
		found = value;
	while (key && fscanf(file, "%63s %ld", word, &value) == 2)
		if (!strcmp(word, key))
			found = value;
	fclose(file);
	return found;
}

/* Makes a cgroup without swap. Returns 0 or -errno. */
static inline int new_cgroup(struct cgroup *group, const char *name)
{
	snprintf(group->path, sizeof(group->path), CGROUPS "/rust_mm_%s_%d", name, getpid());
	if (mkdir(group->path, 0700))
		return -errno;
	/* So that shmem has no more places to go to than other memory. */
	cgroup_set(group, "memory.swap.max", "0");
	return 0;
}

/* Removes a cgroup, which no process is in any longer. Returns 0 or -errno. */
static inline int remove_cgroup(const struct cgroup *group)
{
	return rmdir(group->path) ? -errno : 0;
}

/* Moves this process into the group. Returns 0 or -errno. */
static inline int enter_cgroup(const struct cgroup *group)
{
	return cgroup_set(group, "cgroup.procs", "0");
}

/*
 * Mounts the hierarchy for this process and its children. Returns 0 or -errno; -ENODEV if it cannot
 * limit memory.
 */
static inline int mount_cgroups(void)
{
	char controllers[256] = "";
	int fd;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", CGROUPS, "cgroup2", 0, NULL))
		return -errno;
	fd = open(CGROUPS "/cgroup.controllers", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, controllers, sizeof(controllers) - 1) < 0)
		return -errno;
	close(fd);
	if (!strstr(controllers, "memory"))
		return -ENODEV;
	return cgroup_set(&root_cgroup, "cgroup.subtree_control", "+memory");
}

#endif /* RUST_MM_CGROUP_H */
