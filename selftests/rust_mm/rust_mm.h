/* SPDX-License-Identifier: GPL-2.0 */

/* Functions that the tests of the Rust memory mapping layer share. */

#ifndef RUST_MM_H
#define RUST_MM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../mm/vm_util.h"

/*
 * Returns the module that the test runs with, instead of the sample driver @name: with RUST_MM_TWIN
 * in the environment, the one that it names ("bench/c_mmap"), which takes the name of the device as
 * its parameter.
 */
static inline const char *tested_module(const char *name)
{
	const char *twin = getenv("RUST_MM_TWIN");

	return twin ? twin : name;
}

/* Unloads a sample driver, without waiting. Returns 0 or -errno. */
static inline int unload_module(const char *name)
{
	const char *module = tested_module(name);
	const char *slash = strrchr(module, '/');

	return syscall(SYS_delete_module, slash ? slash + 1 : module, O_NONBLOCK) ? -errno : 0;
}

/*
 * Loads a sample driver from the folder that RUST_MM_MODULES names, or from one in
 * it if @name has a slash. Returns 0 or -errno; -ENOENT if there is no such module.
 * If a failed test has left the module loaded, unloads it first.
 */
static inline int load_module(const char *name, const char *params)
{
	const char *folder = getenv("RUST_MM_MODULES");
	const char *module = tested_module(name);
	char path[512], all[256];
	int fd, ret;

	snprintf(path, sizeof(path), "%s/%s.ko",
		 folder ? folder : "/lib/modules", module);
	snprintf(all, sizeof(all), "%s%s%s", params, module == name ? "" : " device=",
		 module == name ? "" : name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, all, 0) ? -errno : 0;
	if (ret == -EEXIST && !unload_module(name))
		ret = syscall(SYS_finit_module, fd, all, 0) ? -errno : 0;
	close(fd);
	return ret;
}

/* Returns whether the machine has the PCI device that rust_mmap_pfn drives: ivshmem-plain. */
static inline bool has_ivshmem(void)
{
	return !system("grep -qs PCI_ID=1AF4:1110 /sys/bus/pci/devices/*/uevent");
}

/* Returns whether the machine has the PCI device that rust_mmap_dma drives: edu. */
static inline bool has_edu(void)
{
	return !system("grep -qs PCI_ID=1234:11E8 /sys/bus/pci/devices/*/uevent");
}

/* Opens the device of a driver, or its first one if it has several. */
static inline int open_device(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_RDWR);
	if (fd >= 0 || errno != ENOENT)
		return fd;
	strcat(path, "0");
	return open(path, O_RDWR);
}

/*
 * Loads a driver and opens its device. Returns the file or -errno; -ENOENT if this machine
 * cannot run the test, and sets *reason to the reason.
 */
static inline int open_loaded(const char *name, const char **reason)
{
	int fd, ret = load_module(name, "");

	*reason = "no such module, and no $RUST_MM_MODULES";
	if (ret == -ENOENT && getenv("RUST_MM_MODULES"))
		return -ENODEV;
	if (ret)
		return ret;
	fd = open_device(name);
	if (fd >= 0)
		return fd;
	ret = -errno;
	/* A driver without a device is a failure, unless the machine lacks it. */
	*reason = NULL;
	if (!strcmp(name, "rust_mmap_pfn") && !has_ivshmem())
		*reason = "no QEMU -device ivshmem-plain";
	if (!strcmp(name, "rust_mmap_dma") && !has_edu())
		*reason = "no QEMU -device edu";
	if (ret == -ENOENT && !*reason)
		ret = -ENODEV;
	unload_module(name);
	return ret;
}

/*
 * Finds the name of the PCI device that a driver is bound to; @driver is the folder of
 * the driver in /sys. Returns 0, or -1.
 */
static inline int bound_device(const char *driver, char *name, size_t len)
{
	DIR *dir = opendir(driver);
	struct dirent *entry;
	int found = -1;

	while (dir && (entry = readdir(dir)))
		if (strchr(entry->d_name, ':')) {
			snprintf(name, len, "%s", entry->d_name);
			found = 0;
		}
	if (dir)
		closedir(dir);
	return found;
}

/* Writes text to a file in /proc or /sys. Returns 0 or -errno. */
static inline int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return ret;
}

/* Returns whether the kernel has VMA locks (PER_VMA_LOCK): every SMP kernel has. */
static inline bool has_vma_locks(void)
{
	struct utsname name;

	return uname(&name) || strstr(name.version, "SMP");
}

static sigjmp_buf access_jump;
static volatile sig_atomic_t access_signal;

static void access_handler(int sig)
{
	access_signal = sig;
	siglongjmp(access_jump, 1);
}

/*
 * Reads (or reads and writes back) the byte at @addr. Returns 0, or the number
 * of the signal that the access raised.
 */
static inline int try_access(volatile char *addr, bool write)
{
	struct sigaction action = { .sa_handler = access_handler }, segv, bus;

	sigaction(SIGSEGV, &action, &segv);
	sigaction(SIGBUS, &action, &bus);
	access_signal = 0;
	if (!sigsetjmp(access_jump, 1)) {
		char c = *addr;

		if (write)
			*addr = c;
	}
	sigaction(SIGSEGV, &segv, NULL);
	sigaction(SIGBUS, &bus, NULL);
	return access_signal;
}

static inline int try_read(void *addr)
{
	return try_access(addr, false);
}

static inline int try_write(void *addr)
{
	return try_access(addr, true);
}

/* Returns whether a VMA covers exactly this range. */
static inline bool has_vma(void *start, size_t len)
{
	struct procmap_fd maps;
	bool found = !open_self_procmap(&maps) && find_vma_procmap(&maps, start) &&
		maps.query.vma_start == (unsigned long)start &&
		maps.query.vma_end == (unsigned long)start + len;

	close_procmap(&maps);
	return found;
}

/*
 * Finds the line of smaps that starts with @key, for the VMA that starts at @start. Returns
 * what follows the key in @line, or NULL.
 */
static inline char *smaps_line(void *start, const char *key, char *line, int size)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	unsigned long from = 0, to, at;
	char *found = NULL;

	while (smaps && !found && fgets(line, size, smaps)) {
		if (sscanf(line, "%lx-%lx ", &at, &to) == 2)
			from = at;
		else if (from == (unsigned long)start &&
			 !strncmp(line, key, strlen(key)))
			found = line + strlen(key);
	}
	if (smaps)
		fclose(smaps);
	return found;
}

/* Returns whether smaps lists the two-letter @flag for the VMA that starts at @start. */
static inline bool has_vm_flag(void *start, const char *flag)
{
	char line[512], *word = smaps_line(start, "VmFlags:", line, sizeof(line));
	bool found = false;

	if (word)
		word = strtok(word, " \n");
	for (; word && !found; word = strtok(NULL, " \n"))
		found = !strcmp(word, flag);
	return found;
}

/* Returns the kilobytes of a line of smaps ("Rss:") in the VMA that starts at @start, or -1. */
static inline long smaps_kb(void *start, const char *key)
{
	char line[512], *value = smaps_line(start, key, line, sizeof(line));

	return value ? atol(value) : -1;
}

/* Returns a counter in a driver's fdinfo, or -1 if there is no such counter. */
static inline long fdinfo(int fd, const char *name)
{
	char path[64], line[256], key[64];
	long value, found = -1;
	FILE *info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = fopen(path, "r");
	while (info && fgets(line, sizeof(line), info))
		if (sscanf(line, "%63[^:]: %ld", key, &value) == 2 &&
		    !strcmp(key, name))
			found = value;
	if (info)
		fclose(info);
	return found;
}

/*
 * Returns how many VMAs a driver has, from what its callbacks have counted: either
 * the VMAs themselves, or the calls of ->mapped, ->open and ->close.
 */
static inline long fdinfo_vmas(int fd)
{
	if (fdinfo(fd, "mapped") < 0)
		return fdinfo(fd, "vmas");
	return fdinfo(fd, "mapped") + fdinfo(fd, "opened") - fdinfo(fd, "closed");
}

/* Waits for a child. Returns its exit status, or -1 if a signal killed it. */
static inline int wait_child(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* Sends a descriptor over a socket. Returns 0 or -1. */
static inline int send_fd(int socket, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = "", byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	return sendmsg(socket, &msg, 0) == 1 ? 0 : -1;
}

/* Receives a descriptor from a socket. Returns it, or -1. */
static inline int receive_fd(int socket)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;
	int fd = -1;

	if (recvmsg(socket, &msg, 0) != 1)
		return -1;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg && cmsg->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(int));
	return fd;
}

/* Returns a counter of /proc/vmstat, or -1 if the kernel does not have it. */
static inline long vmstat(const char *name)
{
	FILE *f = fopen("/proc/vmstat", "r");
	long value, found = -1;
	char key[64];

	while (f && fscanf(f, "%63s %ld", key, &value) == 2)
		if (!strcmp(key, name))
			found = value;
	if (f)
		fclose(f);
	return found;
}

#define CORE_PATTERN	"/proc/sys/kernel/core_pattern"

/*
 * Makes a child dump core, and searches the core for the reverse of @marker, as
 * put_marker() writes it: the text itself is also elsewhere in the child's memory.
 * Returns whether it is in the core, or -1 if there is no core.
 */
static inline int core_contains(const char *marker)
{
	size_t len = strlen(marker), have = 0, got;
	char path[64], pattern[128] = "", reversed[64], buf[65536 + 64];
	int found = -1, fd, i;
	pid_t pid;

	fd = open(CORE_PATTERN, O_RDWR);
	if (fd < 0 || read(fd, pattern, sizeof(pattern) - 1) < 0 ||
	    pwrite(fd, "/tmp/rust_mm_core.%p", 20, 0) < 0)
		return -1;
	pid = fork();
	if (!pid) {
		struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

		int filter = open("/proc/self/coredump_filter", O_WRONLY);

		/* Dump shared file mappings, too, unless the VMA is excluded. */
		if (filter < 0 || write(filter, "0xff", 4) != 4)
			_exit(1);
		setrlimit(RLIMIT_CORE, &unlimited);
		signal(SIGQUIT, SIG_DFL);
		raise(SIGQUIT);
		_exit(1);
	}
	waitpid(pid, NULL, 0);
	if (pwrite(fd, pattern, strlen(pattern), 0) < 0)
		return -1;
	close(fd);

	snprintf(path, sizeof(path), "/tmp/rust_mm_core.%d", pid);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return -1;
	found = 0;
	/* Reverse the marker only now, or it would be in the core. */
	for (i = 0; i < (int)len; i++)
		reversed[i] = marker[len - 1 - i];
	while ((got = read(fd, buf + have, 65536)) > 0 && got <= 65536) {
		have += got;
		if (memmem(buf, have, reversed, len))
			found = 1;
		/* Keep the last bytes, for a marker that spans two reads. */
		if (have > len) {
			memmove(buf, buf + have - len, len);
			have = len;
		}
	}
	close(fd);
	unlink(path);
	return found;
}

/* Writes @marker in reverse, for core_contains() to find it. */
static inline void put_marker(char *to, const char *marker)
{
	size_t len = strlen(marker);

	for (size_t i = 0; i < len; i++)
		to[i] = marker[len - 1 - i];
}

/* Reads a word at @addr from a stopped child, as a debugger does; -1 if that fails. */
static inline long ptrace_peek(void *addr)
{
	pid_t pid = fork();
	long word = -1;
	int status;

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		errno = 0;
		word = ptrace(PTRACE_PEEKDATA, pid, addr, NULL);
		if (errno)
			word = -1;
		ptrace(PTRACE_CONT, pid, NULL, NULL);
	}
	waitpid(pid, &status, 0);
	return word;
}

#endif /* RUST_MM_H */
