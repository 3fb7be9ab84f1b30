/* SPDX-License-Identifier: GPL-2.0 */

/*
 * What the tests of memory files share: memory files of both kinds, those of memfd_create() and
 * those of the sample driver rust_memfile, and userfaultfd.
 */

#ifndef RUST_MEMORY_H
#define RUST_MEMORY_H

#include "rust_mm.h"
#include "../../../../samples/rust/mm/rust_memfile.h"

#include <linux/falloc.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

#define MODULE	"rust_memfile"
#define DEVICE	"/dev/rust_memfile"

#define RW	(PROT_READ | PROT_WRITE)

/* Linux 7.2 does not have these. */
#ifndef UFFD_FEATURE_RWP
#define UFFD_FEATURE_RWP		(1 << 17)
#define UFFD_FEATURE_RWP_ASYNC		(1 << 18)
#define UFFDIO_REGISTER_MODE_RWP	((__u64)1 << 3)
#define UFFD_PAGEFAULT_FLAG_RWP		(1 << 3)
#define UFFDIO_RWPROTECT_MODE_RWP	((__u64)1 << 0)
#define PAGE_IS_ACCESSED		(1 << 9)

struct uffdio_rwprotect {
	struct uffdio_range range;
	__u64 mode;
};

struct uffdio_set_mode {
	__u64 enable, disable;
};

#define _UFFDIO_RWPROTECT	0x09
#define UFFDIO_RWPROTECT	_IOWR(UFFDIO, _UFFDIO_RWPROTECT, struct uffdio_rwprotect)
#define UFFDIO_SET_MODE		_IOW(UFFDIO, 0x0A, struct uffdio_set_mode)
#endif

#define MISSING	UFFDIO_REGISTER_MODE_MISSING
#define MINOR	UFFDIO_REGISTER_MODE_MINOR
#define WP	UFFDIO_REGISTER_MODE_WP
#define RWP	UFFDIO_REGISTER_MODE_RWP

/* All modes that a driver can allow. */
#define ALL_MODES \
	(RUST_MEMFILE_MISSING | RUST_MEMFILE_MINOR | RUST_MEMFILE_WP | RUST_MEMFILE_RWP)

/* --- memory files */

/* Creates a memory file of the driver whose device is @device. Returns it, or -errno. */
static inline int rust_memfile_sealed(int device, size_t size, unsigned int modes,
				      unsigned int flags, unsigned int seals)
{
	struct rust_memfile_create create = {
		.size = size, .modes = modes, .flags = flags, .seals = seals,
	};
	int fd = ioctl(device, RUST_MEMFILE_CREATE, &create);

	return fd < 0 ? -errno : fd;
}

static inline int rust_memfile(int device, size_t size, unsigned int modes, unsigned int flags)
{
	return rust_memfile_sealed(device, size, modes, flags, 0);
}

/* Opens a descriptor's file again. Returns the new descriptor, or -errno. */
static inline int reopen(int fd, int flags)
{
	char path[64];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, flags | O_CLOEXEC);
	return again < 0 ? -errno : again;
}

/* Creates a memory file of the kernel, with the flags of the driver. Returns it, or -errno. */
static inline int memfd_sealed(size_t size, unsigned int flags, unsigned int seals)
{
	const bool sealable = flags & RUST_MEMFILE_SEALABLE;
	int fd = memfd_create("memory", (flags & RUST_MEMFILE_CLOEXEC ? MFD_CLOEXEC : 0) |
			      (sealable || seals ? MFD_ALLOW_SEALING : 0)), ret;

	if (fd < 0)
		return -errno;
	if (seals && !sealable)
		seals |= F_SEAL_SEAL;
	if (ftruncate(fd, size) || (seals && fcntl(fd, F_ADD_SEALS, seals)))
		ret = -errno;
	else if (flags & RUST_MEMFILE_READ_ONLY)
		ret = reopen(fd, O_RDONLY);
	else
		return fd;
	close(fd);
	return ret;
}

static inline int memfd(size_t size, unsigned int flags)
{
	return memfd_sealed(size, flags, 0);
}

/* Returns whether each of @len bytes is @value. */
static inline bool all_bytes(const volatile void *at, size_t len, char value)
{
	const char *bytes = (const char *)at;

	return !len || (bytes[0] == value && !memcmp(bytes, bytes + 1, len - 1));
}

/* Writes @len bytes of @value to the file. Returns whether it could. */
static inline bool put_bytes(int fd, off_t at, size_t len, char value)
{
	char *bytes = malloc(len);
	bool done = bytes;

	if (done) {
		memset(bytes, value, len);
		done = pwrite(fd, bytes, len, at) == (ssize_t)len;
	}
	free(bytes);
	return done;
}

/* Returns whether the file has @len bytes of @value, as read(2) shows it. */
static inline bool has_bytes(int fd, off_t at, size_t len, char value)
{
	char *bytes = malloc(len);
	bool same = bytes && pread(fd, bytes, len, at) == (ssize_t)len &&
		all_bytes(bytes, len, value);

	free(bytes);
	return same;
}

/* Returns whether the file has no data from @at on, or none at all up to @end. */
static inline bool is_hole(int fd, off_t at, off_t end)
{
	off_t data = lseek(fd, at, SEEK_DATA);

	return data < 0 ? errno == ENXIO : data >= end;
}

static inline off_t size_of(int fd)
{
	struct stat stat;

	return fstat(fd, &stat) ? -1 : stat.st_size;
}

/* --- accesses that may raise a signal, in any thread */

static __thread sigjmp_buf touch_jump;
static __thread volatile sig_atomic_t touching;

static void touch_handler(int sig)
{
	if (touching)
		siglongjmp(touch_jump, sig);
	signal(sig, SIG_DFL);
}

static inline void catch_signals(void)
{
	struct sigaction action = { .sa_handler = touch_handler, .sa_flags = SA_NODEFER };

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

/* Reads or writes the byte at @at. Returns 0, or the signal that the access raised. */
static inline int touch(volatile char *at, bool write, char *value)
{
	int sig = sigsetjmp(touch_jump, 1);

	if (!sig) {
		touching = 1;
		if (write)
			*at = *value;
		else
			*value = *at;
	}
	touching = 0;
	return sig;
}

static inline int touch_read(volatile void *at)
{
	char value;

	return touch(at, false, &value);
}

static inline int touch_write(volatile void *at, char value)
{
	return touch(at, true, &value);
}

/* An access in a thread of its own, which may have to wait for a page. */
struct toucher {
	pthread_t thread;
	volatile char *at;
	bool write;
	char value;
	int signal;
	atomic_bool done;
};

static void *toucher_main(void *arg)
{
	struct toucher *toucher = arg;

	toucher->signal = touch(toucher->at, toucher->write, &toucher->value);
	toucher->done = true;
	return NULL;
}

static inline int start_touch(struct toucher *toucher, volatile void *at, bool write, char value)
{
	*toucher = (struct toucher){ .at = at, .write = write, .value = value };
	return pthread_create(&toucher->thread, NULL, toucher_main, toucher);
}

static inline double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* How long a test waits for what must happen. Everything is slow in a VM without KVM. */
#define PATIENCE	20

/* Waits for the end of the access. Returns its signal, or -1 if it does not end. */
static inline int end_touch(struct toucher *toucher)
{
	for (double end = seconds() + PATIENCE; !toucher->done && seconds() < end;)
		usleep(1000);
	if (!toucher->done)
		return -1;
	pthread_join(toucher->thread, NULL);
	return toucher->signal;
}

/* --- userfaultfd: each function returns -errno where it fails */

/* Opens a userfaultfd with these features. */
static inline int uffd_with(uint64_t features, int flags)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | flags), error;

	if (uffd < 0)
		return -errno;
	if (ioctl(uffd, UFFDIO_API, &api)) {
		error = errno;
		close(uffd);
		return -error;
	}
	return uffd;
}

static inline uint64_t uffd_features(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api))
		api.features = 0;
	if (uffd >= 0)
		close(uffd);
	return api.features;
}

static inline int watch_ioctls(int uffd, void *at, size_t len, uint64_t modes, uint64_t *ioctls)
{
	struct uffdio_register watch = { { (unsigned long)at, len }, modes };
	int ret = ioctl(uffd, UFFDIO_REGISTER, &watch) ? -errno : 0;

	*ioctls = watch.ioctls;
	return ret;
}

static inline int watch(int uffd, void *at, size_t len, uint64_t modes)
{
	uint64_t ioctls;

	return watch_ioctls(uffd, at, len, modes, &ioctls);
}

static inline int unwatch(int uffd, void *at, size_t len)
{
	struct uffdio_range range = { (unsigned long)at, len };

	return ioctl(uffd, UFFDIO_UNREGISTER, &range) ? -errno : 0;
}

static inline int wake(int uffd, void *at, size_t len)
{
	struct uffdio_range range = { (unsigned long)at, len };

	return ioctl(uffd, UFFDIO_WAKE, &range) ? -errno : 0;
}

/* Calls an ioctl that fills pages, and says in @done how many bytes. Returns that, or -errno. */
static inline long fill(int uffd, unsigned long request, void *arg, __s64 *done)
{
	return ioctl(uffd, request, arg) && *done <= 0 ? -errno : *done;
}

static inline long fill_copy(int uffd, void *at, const void *from, size_t len, uint64_t mode)
{
	struct uffdio_copy copy = { (unsigned long)at, (unsigned long)from, len, mode };

	return fill(uffd, UFFDIO_COPY, &copy, &copy.copy);
}

static inline long fill_zero(int uffd, void *at, size_t len, uint64_t mode)
{
	struct uffdio_zeropage zero = { { (unsigned long)at, len }, mode };

	return fill(uffd, UFFDIO_ZEROPAGE, &zero, &zero.zeropage);
}

static inline long fill_continue(int uffd, void *at, size_t len, uint64_t mode)
{
	struct uffdio_continue cont = { { (unsigned long)at, len }, mode };

	return fill(uffd, UFFDIO_CONTINUE, &cont, &cont.mapped);
}

static inline long fill_poison(int uffd, void *at, size_t len, uint64_t mode)
{
	struct uffdio_poison poison = { { (unsigned long)at, len }, mode };

	return fill(uffd, UFFDIO_POISON, &poison, &poison.updated);
}

static inline long fill_move(int uffd, void *at, void *from, size_t len, uint64_t mode)
{
	struct uffdio_move move = { (unsigned long)at, (unsigned long)from, len, mode };

	return fill(uffd, UFFDIO_MOVE, &move, &move.move);
}

static inline int protect(int uffd, void *at, size_t len, bool on)
{
	struct uffdio_writeprotect wp = {
		{ (unsigned long)at, len }, on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return ioctl(uffd, UFFDIO_WRITEPROTECT, &wp) ? -errno : 0;
}

static inline int protect_rw(int uffd, void *at, size_t len, bool on)
{
	struct uffdio_rwprotect rwp = {
		{ (unsigned long)at, len }, on ? UFFDIO_RWPROTECT_MODE_RWP : 0,
	};

	return ioctl(uffd, UFFDIO_RWPROTECT, &rwp) ? -errno : 0;
}

/* Waits @timeout milliseconds for an event. Returns 0, or -ETIME if there is none. */
static inline int uffd_event(int uffd, struct uffd_msg *msg, int timeout)
{
	struct pollfd pollfd = { .fd = uffd, .events = POLLIN };
	double end = seconds() + timeout / 1e3;
	int left = timeout;
	ssize_t got;

	for (;;) {
		if (poll(&pollfd, 1, left) < 0 && errno != EINTR)
			return -errno;
		got = read(uffd, msg, sizeof(*msg));
		if (got == sizeof(*msg))
			return 0;
		/* The thread that waited may have got the page in another way by now. */
		if (got >= 0 || (errno != EAGAIN && errno != EINTR))
			return got >= 0 ? -EIO : -errno;
		left = (end - seconds()) * 1e3;
		if (left <= 0)
			return -ETIME;
	}
}

/*
 * Waits for a fault at the page of @at. Returns the UFFD_PAGEFAULT_FLAG_* of it; -EPROTO if
 * something else comes first.
 */
static inline int next_fault(int uffd, volatile void *at)
{
	struct uffd_msg msg;
	int ret = uffd_event(uffd, &msg, PATIENCE * 1000);

	if (ret)
		return ret;
	if (msg.event != UFFD_EVENT_PAGEFAULT || msg.arg.pagefault.address != (unsigned long)at)
		return -EPROTO;
	return msg.arg.pagefault.flags;
}

/* Returns whether no event waits. */
static inline bool no_event(int uffd)
{
	struct pollfd pollfd = { .fd = uffd, .events = POLLIN };

	return !poll(&pollfd, 1, 0);
}

/* --- pagemap */

/*
 * Finds the pages that have each of the PAGE_IS_* of @categories. Returns the number of regions,
 * or -errno.
 */
static inline int scan_pages(void *at, size_t len, uint64_t categories, uint64_t flags,
			     struct page_region *regions, int max)
{
	struct pm_scan_arg arg = {
		.size = sizeof(arg), .flags = flags, .start = (unsigned long)at,
		.end = (unsigned long)at + len, .vec = (unsigned long)regions, .vec_len = max,
		.category_mask = categories, .return_mask = categories,
	};
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = ioctl(fd, PAGEMAP_SCAN, &arg);
	if (ret < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/* Returns the entry of a page in /proc/self/pagemap, or 0. */
static inline uint64_t pagemap_entry(void *at)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = fd < 0 ? 0 : pagemap_get_entry(fd, at);

	if (fd >= 0)
		close(fd);
	return entry;
}

#endif /* RUST_MEMORY_H */
