// SPDX-License-Identifier: GPL-2.0

/*
 * Load on all sample drivers at once: threads and their children map, unmap, move,
 * protect, advise, access, revoke and inspect memory, each in an address range of its
 * own and in one range that all threads share. Expects that at the end nothing is
 * mapped, and that each kind of operation has succeeded at least once. The runner
 * checks the console for reports of the kernel.
 *
 * The first word of each page is zero, or a number that identifies the device and the
 * page. So a thread can check that a mapping shows the right page.
 *
 * Environment:
 *   RUST_MM_SECONDS	duration
 *   RUST_MM_SEED	random seed, to repeat a run: the n-th operation of a thread
 *			depends only on the seed, the thread's number and n
 *   RUST_MM_THREADS	number of threads
 */

#include "rust_mm_load.h"

#include <stdarg.h>

struct device devices[NR_DEVICES] = {
	[BUFFER] = { "rust_mmap", NULL, 16 },
	[PLAIN] = { "rust_mmap_plain", NULL, 16, .vmas = true },
	[DEMAND] = { "rust_mmap_demand", NULL, 64, .vmas = true, .mappings = true },
	[PFN] = { "rust_mmap_pfn", NULL, 4096 },
	[RECLAIM] = { "rust_mmap_reclaim", NULL, 16, .read_only = true },
	[CDEV] = { "rust_mmap_cdev", "rust_mmap_cdev0", 4 },
	/* Each thread has a buffer of its own, of two huge pages. */
	[FILES] = { "rust_mmap_buffers", NULL, 1024 },
	[INSPECT] = { "rust_vma_inspect" },
};

const char *const kind_names[NR_KINDS] = {
#define KIND(name) #name
#include "rust_mm_load_kinds.h"
#undef KIND
};

struct statistics *statistics;
unsigned int nr_threads;

/* --- random numbers: each operation has its own sequence */

uint64_t next_random(struct worker *w)
{
	uint64_t x = w->random += 0x9e3779b97f4a7c15;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

/* --- accesses that may end with a signal */

static __thread sigjmp_buf jump;
static __thread volatile sig_atomic_t jump_set;

static void on_signal(int sig)
{
	if (!jump_set) {
		/* Not an access of ours: let the signal kill the process at the next try. */
		signal(sig, SIG_DFL);
		return;
	}
	jump_set = 0;
	siglongjmp(jump, sig);
}

/* Reads a word, or writes one. Returns 0 or the number of the signal. */
int access_word(void *at, uint64_t *value, bool write)
{
	volatile uint64_t *word = at;
	int sig = sigsetjmp(jump, 0);

	if (sig) {
		count(sig == SIGBUS ? GOT_SIGBUS : GOT_SIGSEGV, 0);
		return sig;
	}
	jump_set = 1;
	if (write)
		*word = *value;
	else
		*value = *word;
	jump_set = 0;
	count(write ? WRITE_WORD : READ_WORD, 0);
	return 0;
}

/* --- counting */

/* Counts an operation: as refused, with errno, if @ret is negative. */
void count(enum kind kind, long ret)
{
	struct kind_statistics *s = &statistics->kinds[kind];

	if (ret >= 0) {
		__atomic_fetch_add(&s->succeeded, 1, __ATOMIC_RELAXED);
		return;
	}
	__atomic_fetch_add(&s->refused, 1, __ATOMIC_RELAXED);
	if (errno < 192)
		__atomic_fetch_or(&s->errnos[errno / 64], 1ull << errno % 64,
				  __ATOMIC_RELAXED);
}

/* Reports an error. The test goes on, to find further errors. */
void wrong(struct worker *w, const char *format, ...)
{
	char text[256];
	va_list args;
	int len;

	len = snprintf(text, sizeof(text), "# thread %u, operation %lu: ",
		       w->number, w->operation);
	va_start(args, format);
	len += vsnprintf(text + len, sizeof(text) - len - 1, format, args);
	va_end(args);
	if (len > (int)sizeof(text) - 2)
		len = sizeof(text) - 2;
	text[len++] = '\n';
	/* No stdio: in a child, its lock may be held by a thread of the parent. */
	if (__atomic_fetch_add(&statistics->wrong, 1, __ATOMIC_RELAXED) < 20 &&
	    write(STDOUT_FILENO, text, len) < 0)
		abort();
}

/* --- threads */

static uint64_t seed;
static volatile bool stop;

static void run_operation(struct worker *w)
{
	w->random = seed ^ ((uint64_t)(w->number + 1) << 48);
	next_random(w);
	w->random ^= w->operation * 0xd1342543de82ef95;
	any_operation(w);
	w->operation++;
}

static void *run_thread(void *arg)
{
	struct worker *w = arg;

	while (!stop)
		run_operation(w);
	return NULL;
}

/* Loads all samples, and clears the memory of the PCI device. */
static void begin(size_t page)
{
	for (int i = 0; i < NR_DEVICES; i++) {
		struct device *d = &devices[i];
		int ret = load_module(d->name, "");

		if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
			ksft_exit_skip("no %s.ko, and no $RUST_MM_MODULES\n", d->name);
		if (ret)
			ksft_exit_fail_msg("%s: %s\n", d->name, strerror(-ret));
		snprintf(d->path, sizeof(d->path), "/dev/%s", d->file ?: d->name);
		if (i == PFN && !has_ivshmem()) {
			ksft_print_msg("no QEMU -device ivshmem-plain\n");
			unload_module(d->name);
			continue;
		}
		d->there = true;
	}
	if (devices[PFN].there) {
		/* The device keeps its memory, with what earlier tests have written. */
		size_t len = devices[PFN].pages * page;
		int fd = open(devices[PFN].path, O_RDWR);
		char *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED,
				 fd, 0);

		if (map == MAP_FAILED)
			ksft_exit_fail_msg("rust_mmap_pfn: mmap: %s\n",
					   strerror(errno));
		for (size_t i = 0; i < devices[PFN].pages; i++)
			*(volatile uint64_t *)(map + i * page) = 0;
		munmap(map, len);
		close(fd);
	}
}

/* The errnos with which the kernel or a driver may refuse an operation. */
static const int errnos[] = {
	EACCES, EAGAIN, EBADF, EBUSY, EFAULT, EINTR, EINVAL, EIO, ENODEV, ENOENT,
	ENOMEM, ENOSPC, ENXIO, EOPNOTSUPP, EOVERFLOW, EPERM, ESPIPE, ESRCH,
};

static bool is_expected(int error)
{
	for (size_t i = 0; i < ARRAY_SIZE(errnos); i++)
		if (errnos[i] == error)
			return true;
	return false;
}

static bool all_have_succeeded(void)
{
	for (int kind = 0; kind < NR_KINDS; kind++)
		if (!statistics->kinds[kind].succeeded && kind_is_possible(kind))
			return false;
	return true;
}

static void check_kinds(void)
{
	bool expected = true;

	for (int kind = 0; kind < NR_KINDS; kind++) {
		const struct kind_statistics *s = &statistics->kinds[kind];
		char names[256] = "";
		int len = 0;

		for (int e = 1; e < 192 && len < 200; e++)
			if (s->errnos[e / 64] >> e % 64 & 1) {
				expected &= is_expected(e);
				len += snprintf(names + len, sizeof(names) - len,
						" %s", strerrorname_np(e));
			}
		ksft_print_msg("%-24s %9lu succeeded %9lu refused%s%s\n",
			       kind_names[kind], s->succeeded, s->refused,
			       len ? ":" : "", names);
		if (s->succeeded || kind_is_possible(kind))
			ksft_test_result(s->succeeded > 0, "%s\n",
					 kind_names[kind]);
		else
			ksft_test_result_skip("%s\n", kind_names[kind]);
	}
	ksft_test_result(expected, "errnos\n");
}

/* Expects that the drivers count no VMAs and no mappings. */
static void check_balance(void)
{
	for (int i = 0; i < NR_DEVICES; i++) {
		struct device *d = &devices[i];
		int fd, ret = 0;

		if (!d->there) {
			ksft_test_result_skip("balance of %s\n", d->name);
			continue;
		}
		fd = open(d->path, O_RDWR);
		if (fd < 0 || (d->vmas && fdinfo_vmas(fd)) ||
		    (d->mappings && fdinfo(fd, "mappings"))) {
			ret = -1;
			ksft_print_msg("%s: %ld VMAs, %ld mappings\n", d->name,
				       fdinfo_vmas(fd), fdinfo(fd, "mappings"));
		}
		close(fd);
		ksft_test_result(!ret, "balance of %s\n", d->name);
	}
}

/* Expects that every module unloads: a leaked reference would hold it. */
static void check_unload(void)
{
	for (int i = 0; i < NR_DEVICES; i++) {
		struct device *d = &devices[i];
		int ret = 0;

		if (!d->there) {
			ksft_test_result_skip("unloading %s\n", d->name);
			continue;
		}
		/* The kernel may release a file after close(2) returns. */
		for (int tries = 0; tries < 20; tries++) {
			ret = unload_module(d->name);
			if (!ret)
				break;
			usleep(50000);
		}
		ksft_test_result(!ret, "unloading %s\n", d->name);
	}
}

static unsigned long setting(const char *name, unsigned long otherwise)
{
	const char *value = getenv(name);

	return value && *value ? strtoul(value, NULL, 0) : otherwise;
}

/* Prints a message, also to the console's log, for when the machine does not survive. */
static void say(const char *format, ...)
{
	char text[128];
	va_list args;
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	ksft_print_msg("%s\n", text);
	if (fd >= 0) {
		dprintf(fd, "rust_mm: load: %s", text);
		close(fd);
	}
}

/* Seconds after which a thread hangs; a VM without KVM and with debugging is slow. */
#define HANGS_AFTER 90
#define PATIENCE 50

/*
 * Waits until the time is over. On a slow machine, waits up to PATIENCE seconds longer
 * until each kind of operation has succeeded. Returns 0, or 1 plus the number of a
 * thread that hangs.
 */
static int watch(struct worker *workers, unsigned long seconds)
{
	unsigned long seen[MAX_THREADS] = {}, since[MAX_THREADS] = {};

	for (unsigned long now = 1; now <= seconds ||
	     (now <= seconds + PATIENCE && !all_have_succeeded()); now++) {
		sleep(1);
		for (unsigned int i = 0; i < nr_threads; i++) {
			unsigned long at = workers[i].operation;

			if (at != seen[i]) {
				seen[i] = at;
				since[i] = now;
			} else if (now - since[i] > HANGS_AFTER) {
				return i + 1;
			}
		}
		if (now % 300 == 0)
			say("%lu of %lu seconds", now, seconds);
	}
	return 0;
}

int main(void)
{
	unsigned long seconds = setting("RUST_MM_SECONDS", 10);
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_NODEFER };
	static struct worker workers[MAX_THREADS];
	pthread_t threads[MAX_THREADS];
	unsigned long operations = 0;
	struct timespec limit;
	size_t page = sysconf(_SC_PAGESIZE);
	int hangs;

	ksft_print_header();
	seed = setting("RUST_MM_SEED", time(NULL));
	nr_threads = setting("RUST_MM_THREADS", 4);
	if (!nr_threads || nr_threads > MAX_THREADS)
		ksft_exit_fail_msg("RUST_MM_THREADS: 1 to %d\n", MAX_THREADS);
	ksft_set_plan(NR_KINDS + 2 * NR_DEVICES + 3);
	/* Shared memory: children count their operations, too. */
	statistics = mmap(NULL, sizeof(*statistics), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (statistics == MAP_FAILED)
		ksft_exit_fail_msg("mmap: %s\n", strerror(errno));
	begin(page);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	say("RUST_MM_SEED=%lu RUST_MM_SECONDS=%lu RUST_MM_THREADS=%u",
	    (unsigned long)seed, seconds, nr_threads);

	for (unsigned int i = 0; i < nr_threads; i++) {
		workers[i].number = i;
		workers[i].page = page;
		open_files(&workers[i]);
		if (pthread_create(&threads[i], NULL, run_thread, &workers[i]))
			ksft_exit_fail_msg("pthread_create\n");
	}
	hangs = watch(workers, seconds);
	stop = true;
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += HANGS_AFTER;
	for (unsigned int i = 0; i < nr_threads; i++) {
		if (hangs || pthread_timedjoin_np(threads[i], NULL, &limit)) {
			hangs = hangs ? hangs : (int)i + 1;
			say("thread %d hangs in operation %lu: %s", hangs - 1,
			    workers[hangs - 1].operation, workers[hangs - 1].doing);
			ksft_test_result_fail("no thread hangs\n");
			ksft_finished();
		}
		close_files(&workers[i]);
		operations += workers[i].operation;
	}
	ksft_test_result_pass("no thread hangs\n");
	unmap_everything(page);

	ksft_print_msg("%lu operations\n", operations);
	ksft_test_result(!statistics->wrong, "nothing was wrong\n");
	check_kinds();
	check_balance();
	check_unload();
	ksft_finished();
}
