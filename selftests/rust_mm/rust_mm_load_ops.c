// SPDX-License-Identifier: GPL-2.0

/*
 * The other operations of rust_mm_load.c. Children run them, too, and another thread may
 * have held a lock of the C library when the child was forked: so no stdio and no malloc.
 */

#include "rust_mm_ioctl.h"
#include "rust_mm_load.h"

#include <dirent.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "../../../../samples/rust/mm/rust_vma_inspect.h"

#define PFN_DRIVER	"/sys/bus/pci/drivers/rust_mmap_pfn"

/* --- files */

int any_device(struct worker *w)
{
	return below(w, NR_MAPPABLE);
}

/* Opens a device, or has it make a file. Returns the descriptor, or -1. */
int open_file(int i)
{
	unsigned long long size = devices[i].pages * sysconf(_SC_PAGESIZE);
	int fd = open(devices[i].path, O_RDWR | O_CLOEXEC), file;

	if (i != FILES || fd < 0)
		return fd;
	file = ioctl(fd, BUFFERS_CREATE, &size);
	close(fd);
	return file;
}

void open_files(struct worker *w)
{
	for (int i = 0; i < NR_DEVICES; i++)
		w->fds[i] = devices[i].there ? open_file(i) : -1;
	w->proc_mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
}

void close_files(struct worker *w)
{
	for (int i = 0; i < NR_DEVICES; i++)
		if (w->fds[i] >= 0)
			close(w->fds[i]);
	close(w->proc_mem);
}

/* Opens a device anew and closes the old file; its mappings remain. */
void reopen(struct worker *w, int i)
{
	int fd;

	if (!devices[i].there)
		return;
	fd = open_file(i);
	count(OPEN, fd);
	/* Opening PFN fails with ENOENT or ENODEV while its driver is unbound. */
	if (fd < 0) {
		if (i != PFN && !(i == FILES && errno == ENOMEM))
			wrong(w, "open %s: errno %d", devices[i].name, errno);
		return;
	}
	if (w->fds[i] >= 0)
		close(w->fds[i]);
	w->fds[i] = fd;
}

static void op_reopen(struct worker *w)
{
	reopen(w, below(w, NR_DEVICES));
}

/* --- access */

/*
 * Writes words past the one that identifies the page: in the shared range, another
 * thread may have mapped a different page there meanwhile.
 */
static void op_access(struct worker *w)
{
	for (int i = 0; i < 4; i++) {
		char *at = any_address(w) + 64 + below(w, 400) * 8;
		uint64_t value = w->operation;

		access_word(at, &value, below(w, 2));
	}
}

static void op_proc_mem(struct worker *w)
{
	char *at = any_address(w) + 64;
	size_t len = 1 + below(w, w->is_child ? 100 : 3 * w->page);

	if (below(w, 2))
		count(PROC_MEM_READ, pread(w->proc_mem, w->text, len, (off_t)at));
	else
		count(PROC_MEM_WRITE, pwrite(w->proc_mem, w->text,
					     len % (w->page - 64), (off_t)at));
}

static void op_vm_readv(struct worker *w)
{
	char *at = any_address(w) + 64;
	size_t len = 1 + below(w, 3 * w->page);
	struct iovec local = { w->text, len }, remote = { at, len };

	if (below(w, 2)) {
		count(VM_READV, process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
	} else {
		local.iov_len = len % (w->page - 64);
		remote.iov_len = local.iov_len;
		count(VM_WRITEV, process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
	}
}

/* Uses read(2), write(2) and lseek(2), with buffers that other threads map and unmap. */
static void op_read_write(struct worker *w)
{
	int device = below(w, 8) ? BUFFER : any_device(w), fd = w->fds[device];
	off_t at = below(w, 18) * w->page + 64;
	size_t len = below(w, w->page - 64);
	char *where = below(w, 3) ? any_address(w) + 64 : w->text;

	switch (below(w, 5)) {
	case 0:
	case 1:
		count(DEV_READ, pread(fd, where, len, at));
		break;
	case 2:
	case 3:
		count(DEV_WRITE, pwrite(fd, where, len, at));
		break;
	case 4:
		count(LSEEK, lseek(fd, at - 64, below(w, 2) ? SEEK_SET : SEEK_END));
		break;
	}
}

static void op_lock(struct worker *w)
{
	struct range r = covered_range(w);

	if (below(w, 2))
		count(MLOCK, mlock(r.at, r.len));
	else
		count(MUNLOCK, munlock(r.at, r.len));
}

static void op_msync(struct worker *w)
{
	static const int flags[] = { MS_ASYNC, MS_SYNC, MS_INVALIDATE };
	struct range r = covered_range(w);

	count(MSYNC, msync(r.at, r.len, flags[below(w, 3)]));
}

/* --- ioctls of the drivers */

/* Returns a place for an ioctl's argument: half of the time in a mapping of the arena. */
static void *argument(struct worker *w)
{
	static __thread uint64_t plain;

	return below(w, 2) ? (void *)&plain : any_address(w) + 64;
}

static void op_demand(struct worker *w)
{
	void *where = argument(w);
	int fd = w->fds[DEMAND];
	uint64_t index = below(w, devices[DEMAND].pages + 1);

	switch (below(w, 6)) {
	case 0:
		count(REVOKE, ioctl(fd, DEMAND_REVOKE));
		/* Access the memory while it is revoked. */
		op_access(w);
		count(RESTORE, ioctl(fd, DEMAND_RESTORE));
		break;
	case 1:
		count(RESTORE, ioctl(fd, DEMAND_RESTORE));
		break;
	case 2:
	case 3:
		if (!access_word(where, &index, true))
			count(TAKE, ioctl(fd, DEMAND_TAKE, where));
		break;
	default:
		count(CLEAN, ioctl(fd, DEMAND_CLEAN, where));
	}
}

/* Revokes the buffer of the thread for good, and goes on with another one. */
static void op_revoke_file(struct worker *w)
{
	if (below(w, 4))
		return;
	count(FILE_REVOKE, ioctl(w->fds[FILES], BUFFERS_REVOKE));
	op_access(w);
	reopen(w, FILES);
}

/* Has the shrinkers free what they can. */
static void op_shrink(struct worker *w)
{
	if (!below(w, 4))
		count(SHRINK, write_text("/proc/sys/vm/drop_caches", "2"));
}

/* Lists VMAs of a process, and checks that the list is consistent. */
static void inspect(struct worker *w, enum kind kind, pid_t pid)
{
	struct rust_vma *vmas = (void *)w->text, *last = NULL;
	struct rust_vma_inspect request = {
		.pid = pid, .flags = below(w, 4) ? RUST_VMA_INSPECT_PAGES : 0,
		.start = (unsigned long)any_address(w),
		.count = 1 + below(w, sizeof(w->text) / sizeof(*vmas)),
		.vmas = (unsigned long)vmas,
	};
	uint64_t start = request.start;
	long ret;

	if (!below(w, 3)) {
		/* The driver writes its answer into the memory that it inspects. */
		request.vmas = (unsigned long)any_address(w) + 64;
		request.count = 1 + below(w, 15);
		vmas = NULL;
	}
	ret = ioctl(w->fds[INSPECT], RUST_VMA_INSPECT, &request);
	count(kind, ret);
	if (ret || !vmas)
		return;
	for (unsigned int i = 0; i < request.count; last = &vmas[i], i++) {
		if (vmas[i].start >= vmas[i].end || vmas[i].end <= start ||
		    (last && vmas[i].start < last->end))
			wrong(w, "inspect: %#llx to %#llx", vmas[i].start, vmas[i].end);
		if (vmas[i].present > vmas[i].end - vmas[i].start ||
		    vmas[i].rss > vmas[i].present)
			wrong(w, "inspect: %#llx: %llu bytes, present %llu, rss %llu",
			      vmas[i].start, vmas[i].end - vmas[i].start,
			      vmas[i].present, vmas[i].rss);
	}
}

static void op_inspect(struct worker *w)
{
	inspect(w, INSPECT_SELF, getpid());
}

/* --- /proc */

/* Appends the decimal digits of @n to @path. */
static void append_number(char *path, unsigned int n)
{
	char digits[12];
	int len = 0;

	path += strlen(path);
	do {
		digits[len++] = '0' + n % 10;
		n /= 10;
	} while (n);
	while (len)
		*path++ = digits[--len];
	*path = '\0';
}

/* Reads a whole file; leaves the last part in w->text. Returns its length, or -1. */
static long read_all(struct worker *w, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	long got, all = 0;

	if (fd < 0)
		return -1;
	while ((got = read(fd, w->text, sizeof(w->text) - 1)) > 0) {
		w->text[got] = '\0';
		all += got;
	}
	close(fd);
	return got < 0 ? got : all;
}

static void op_proc(struct worker *w)
{
	char path[64] = "/proc/self/fdinfo/";
	int device = any_device(w);
	uint64_t words[WINDOW];
	int fd;

	switch (below(w, 16)) {
	case 0:
		count(PROC_SMAPS, read_all(w, "/proc/self/smaps"));
		return;
	case 1:
	case 2:
		count(PROC_MAPS, read_all(w, "/proc/self/maps"));
		return;
	case 3:
		/* Clears the young bits, or the soft-dirty bits. */
		fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
		count(CLEAR_REFS, write(fd, below(w, 2) ? "1" : "4", 1));
		close(fd);
		return;
	case 4:
		fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
		if (pread(fd, words, sizeof(words),
			  (uintptr_t)any_address(w) / w->page * 8) < 0)
			wrong(w, "pagemap: errno %d", errno);
		close(fd);
		return;
	}
	if (w->fds[device] < 0)
		return;
	append_number(path, w->fds[device]);
	count(FDINFO, read_all(w, path));
	/* No counter may be negative. */
	if (strstr(w->text, ":\t-"))
		wrong(w, "%s: negative: %s", devices[device].name, w->text);
}

/* --- unbinding the PCI driver, which revokes all mappings, and binding it again */

static unsigned int unbound;

/* Drops the file and the mappings of the revoked device, which fail from now on. */
static void let_go_of_pfn(struct worker *w)
{
	w->unbound = __atomic_load_n(&unbound, __ATOMIC_ACQUIRE);
	close(w->fds[PFN]);
	w->fds[PFN] = -1;
	munmap(arena(w, false), ARENA_LEN + w->page);
	munmap(arena(w, true), ARENA_LEN + w->page);
}

/* Binds the driver, although other threads may still use the revoked device. */
static void bind_again(struct worker *w, const char *name)
{
	int ret = write_text(PFN_DRIVER "/bind", name);

	count(REBIND, ret);
	if (ret)
		wrong(w, "bind: errno %d", -ret);
}

static void op_rebind(struct worker *w)
{
	static int busy;
	static char name[64];
	int ret;

	if (!devices[PFN].there || w->is_child || below(w, 16) ||
	    __atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE))
		return;
	if (!name[0]) {
		DIR *dir = opendir(PFN_DRIVER);
		struct dirent *entry;

		while (dir && (entry = readdir(dir)))
			if (strchr(entry->d_name, ':') && strlen(entry->d_name) < 64)
				strcpy(name, entry->d_name);
		if (dir)
			closedir(dir);
	}
	ret = write_text(PFN_DRIVER "/unbind", name);
	if (ret)
		wrong(w, "unbind: errno %d", -ret);
	op_access(w);
	__atomic_add_fetch(&unbound, 1, __ATOMIC_RELEASE);
	bind_again(w, name);
	reopen(w, PFN);
	__atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
}

/* --- children */

/* Checks an inherited mapping, then runs some operations, in a child. */
static void child(struct worker *w, char *at, uint64_t before)
{
	int operations = below(w, 30);
	uint64_t after = 0;

	w->is_child = true;
	/* The inherited file refers to the memory of the parent. */
	close(w->proc_mem);
	w->proc_mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	if (!access_word(at, &after, false) && before && after && before != after)
		wrong(w, "in a child: %#lx is now %#lx", (unsigned long)before,
		      (unsigned long)after);
	while (operations--)
		any_operation(w);
	if (below(w, 2))
		unmap_everything(w->page);
	_exit(0);
}

static void op_fork(struct worker *w)
{
	struct range r = any_range(w);
	uint64_t before = 0;
	int status;
	pid_t pid;

	if (w->is_child || below(w, 3))
		return;
	if (r.shared || access_word(r.at, &before, false))
		before = 0;
	pid = fork();
	if (!pid)
		child(w, r.at, before);
	count(FORK, pid);
	if (pid < 0)
		return;
	if (below(w, 2))
		inspect(w, INSPECT_CHILD, pid);
	if (!below(w, 4))
		kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) != pid)
		wrong(w, "waitpid: errno %d", errno);
	else if (status && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
		wrong(w, "a child ends with %#x", status);
}

/* --- all of it */

static const struct {
	const char *name;
	void (*run)(struct worker *w);
	int weight;
} operations[] = {
	{ "mmap", op_mmap, 24 }, { "mmap_other", op_mmap_other, 5 },
	{ "munmap", op_munmap, 6 }, { "mremap", op_mremap, 12 },
	{ "mprotect", op_mprotect, 8 }, { "madvise", op_madvise, 14 },
	{ "access", op_access, 16 }, { "proc_mem", op_proc_mem, 2 },
	{ "vm_readv", op_vm_readv, 3 }, { "read_write", op_read_write, 6 },
	{ "lock", op_lock, 3 }, { "msync", op_msync, 2 },
	{ "demand", op_demand, 6 }, { "inspect", op_inspect, 2 },
	{ "proc", op_proc, 3 }, { "reopen", op_reopen, 2 },
	{ "fork", op_fork, 2 }, { "rebind", op_rebind, 1 },
	{ "revoke_file", op_revoke_file, 1 }, { "shrink", op_shrink, 1 },
};

void any_operation(struct worker *w)
{
	int total = 0, n, i = 0;

	for (size_t j = 0; j < ARRAY_SIZE(operations); j++)
		total += operations[j].weight;
	n = below(w, total);
	while (n >= operations[i].weight)
		n -= operations[i++].weight;
	w->doing = operations[i].name;
	if (!w->is_child && w->unbound != __atomic_load_n(&unbound, __ATOMIC_ACQUIRE))
		let_go_of_pfn(w);
	operations[i].run(w);
}

void unmap_everything(size_t page)
{
	for (unsigned int i = 0; i <= nr_threads; i++)
		munmap((char *)ARENAS + i * ARENA_DISTANCE, ARENA_LEN + page);
}
