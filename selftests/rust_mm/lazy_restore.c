// SPDX-License-Identifier: GPL-2.0

/*
 * Restores an image of memory on demand, as live migration and snapshots do: threads run on the
 * memory at once, and each page is read from the image when the first of them needs it. Then
 * tracks which pages the threads write to, and saves these into a new image, until the threads end.
 *
 * The memory is a file of the sample driver rust_memfile, or of memfd_create() with --memfd.
 * Without arguments it is a test: a small image is restored into and saved from both, by all means
 * of tracking, and the results must be the same. Each thread remembers what it has written, and
 * both the memory and the saved image must have exactly that.
 */

#include "rust_memory.h"

#include <getopt.h>
#include <inttypes.h>

/* --- options */

static struct {
	size_t mib;		/* of the image */
	unsigned int threads;	/* that run on the memory */
	unsigned int seconds;	/* how long they write */
	bool memfd, rwp;
	const char *image;	/* where the image is; else in a file without a name */
} options = { .mib = 256, .threads = 4, .seconds = 2 };

static size_t page, pages, size;

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *format, ...)
{
	const int error = errno;
	va_list args;

	va_start(args, format);
	printf("# lazy_restore: ");
	vprintf(format, args);
	if (error)
		printf(": %s", strerror(error));
	putchar('\n');
	va_end(args);
	exit(KSFT_FAIL);
}

static void __attribute__((format(printf, 1, 2))) say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	fflush(stdout);
}

/* --- the image */

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/* Every eighth page is zero, as much of the memory of a process is. */
static bool is_zero(size_t index)
{
	return mix(index) % 8 == 0;
}

/* What the image has at word @word of a page. */
static uint64_t image_word(size_t index, size_t word)
{
	return is_zero(index) ? 0 : mix(index << 12 ^ word) | 1;
}

/* What a thread writes into its word of a page, in its @count-th step. */
static uint64_t written_word(size_t index, unsigned int thread, uint64_t count)
{
	return mix(mix(count << 8 | thread) ^ index) | 1;
}

/* Creates a file in which the image is. */
static int create_image(void)
{
	char name[] = "/tmp/lazy_restore.XXXXXX";
	const size_t chunk = 256;
	uint64_t *words = malloc(chunk * page);
	int fd;

	if (options.image) {
		fd = open(options.image, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	} else {
		fd = mkstemp(name);
		if (fd >= 0)
			unlink(name);
	}
	if (fd < 0 || !words)
		fail("the image cannot be created");
	for (size_t index = 0; index < pages; index += chunk) {
		size_t some = pages - index < chunk ? pages - index : chunk;

		for (size_t i = 0; i < some * page / 8; i++)
			words[i] = image_word(index + i * 8 / page, i % (page / 8));
		if (pwrite(fd, words, some * page, index * page) != (ssize_t)(some * page))
			fail("the image cannot be written");
	}
	free(words);
	return fd;
}

/* --- the memory */

static int device = -1;

struct memory {
	int fd, uffd, image;
	char *map;
	/* For each thread and page, the count of what the thread has written to it last, or 0. */
	unsigned int *written;
	atomic_bool stop;
	double start, first;	/* when it began, and when the first page was used */

	/* of the restore */
	double time;
	atomic_ulong served, zeros, faults, raced;
	atomic_uint running;

	/* of the tracking */
	unsigned long saved, rounds;
};

static int create_memory(void)
{
	int fd = options.memfd ? memfd(size, RUST_MEMFILE_CLOEXEC) :
		rust_memfile(device, size, ALL_MODES, RUST_MEMFILE_CLOEXEC);

	if (fd < 0) {
		errno = -fd;
		fail("the memory cannot be created");
	}
	return fd;
}

static int open_uffd(uint64_t features)
{
	int uffd = uffd_with(features, 0);

	if (uffd < 0) {
		errno = -uffd;
		fail("userfaultfd");
	}
	return uffd;
}

static void must(int ret, const char *what)
{
	if (ret) {
		errno = -ret;
		fail("%s", what);
	}
}

/* --- the threads that run on the memory */

struct worker {
	struct memory *memory;
	pthread_t thread;
	unsigned int number;
	unsigned long wrong;
};

/* The order in which a worker comes to the pages: forwards, backwards, with strides, at random. */
static size_t place(const struct worker *worker, size_t step)
{
	switch (worker->number % 4) {
	case 0:
		return step;
	case 1:
		return pages - 1 - step;
	case 2:
		/* A prime number, so that it comes to all of them. */
		return (step * 65537 + worker->number) % pages;
	default:
		return mix(step * 31 + worker->number) % pages;
	}
}

/* Uses each page: every byte must be as it is in the image. */
static void *read_all(void *arg)
{
	struct worker *worker = arg;
	struct memory *memory = worker->memory;

	for (size_t step = 0; step < pages; step++) {
		size_t index = place(worker, step);
		const uint64_t *words = (uint64_t *)(memory->map + index * page);

		for (size_t i = 0; i < page / 8; i++)
			if (((volatile const uint64_t *)words)[i] != image_word(index, i))
				worker->wrong++;
		if (!step && !worker->number)
			memory->first = seconds() - memory->start;
	}
	memory->running--;
	return NULL;
}

/* --- the restore */

/* Answers the faults, from the image, in the order in which they come. */
static void *serve(void *arg)
{
	struct memory *memory = arg;
	struct pollfd pollfd = { .fd = memory->uffd, .events = POLLIN };
	char *buffer = aligned_alloc(page, page);
	struct uffd_msg msgs[16];

	if (!buffer)
		fail("no memory");
	while (!memory->stop) {
		ssize_t got;

		if (poll(&pollfd, 1, 100) <= 0)
			continue;
		got = read(memory->uffd, msgs, sizeof(msgs));
		if (got < 0 && errno != EAGAIN)
			fail("read of userfaultfd");
		for (ssize_t i = 0; i < got / (ssize_t)sizeof(msgs[0]); i++) {
			char *at = (char *)(unsigned long)msgs[i].arg.pagefault.address;
			size_t index = (at - memory->map) / page;
			long ret;

			if (msgs[i].event != UFFD_EVENT_PAGEFAULT || index >= pages)
				fail("unexpected event %u", msgs[i].event);
			memory->faults++;
			if (pread(memory->image, buffer, page, index * page) != (ssize_t)page)
				fail("the image cannot be read");
			if (all_bytes(buffer, page, 0)) {
				ret = fill_zero(memory->uffd, at, page, 0);
				memory->zeros += ret > 0;
			} else {
				ret = fill_copy(memory->uffd, at, buffer, page, 0);
			}
			if (ret == (long)page) {
				memory->served++;
			} else if (ret == -EEXIST) {
				/* Another fault at the same page was answered first. */
				memory->raced++;
				must(wake(memory->uffd, at, page), "UFFDIO_WAKE");
			} else {
				errno = -ret;
				fail("page %zu cannot be filled", index);
			}
		}
	}
	free(buffer);
	return NULL;
}

static void progress(const char *what, size_t done, bool last)
{
	static const char bar[] = "########################################";
	const bool terminal = isatty(STDOUT_FILENO);
	const int width = done * (sizeof(bar) - 1) / pages;

	if (terminal || last)
		say("%s# %s [%-40.*s] %zu of %zu pages%s", terminal ? "\r" : "", what, width, bar,
		    done, pages, last ? "\n" : "");
}

static void restore(struct memory *memory)
{
	struct worker workers[options.threads];
	pthread_t servers[2];

	memory->uffd = open_uffd(0);
	must(watch(memory->uffd, memory->map, size, MISSING), "UFFDIO_REGISTER");
	memory->stop = false;
	memory->running = options.threads;
	memory->start = seconds();
	for (size_t i = 0; i < ARRAY_SIZE(servers); i++)
		if (pthread_create(&servers[i], NULL, serve, memory))
			fail("pthread_create");
	for (unsigned int i = 0; i < options.threads; i++) {
		workers[i] = (struct worker){ .memory = memory, .number = i };
		if (pthread_create(&workers[i].thread, NULL, read_all, &workers[i]))
			fail("pthread_create");
	}
	while (memory->running) {
		progress("restore", memory->served, false);
		usleep(20000);
	}
	memory->time = seconds() - memory->start;
	for (unsigned int i = 0; i < options.threads; i++) {
		pthread_join(workers[i].thread, NULL);
		errno = 0;
		if (workers[i].wrong)
			fail("thread %u: %lu words are wrong", i, workers[i].wrong);
	}
	memory->stop = true;
	for (size_t i = 0; i < ARRAY_SIZE(servers); i++)
		pthread_join(servers[i], NULL);
	progress("restore", memory->served, true);
	errno = 0;
	if (memory->served != pages)
		fail("%lu pages served instead of %zu", memory->served, pages);
	close(memory->uffd);
	memory->uffd = -1;
	say("# pages served:     %lu, %lu of them zero\n", memory->served, memory->zeros);
	say("# faults:           %lu, of which %lu found the page there\n", memory->faults,
	    memory->raced);
	say("# time to first use: %.3f ms\n", memory->first * 1e3);
	say("# time:             %.3f s, %.0f faults/s\n", memory->time,
	    memory->faults / memory->time);
}

/* Returns where the thread remembers what it has written to a page last. */
static unsigned int *last_written(struct memory *memory, unsigned int thread, size_t index)
{
	return &memory->written[thread * pages + index];
}

/* Returns what the thread has left in its word of a page. */
static uint64_t left_word(struct memory *memory, unsigned int thread, size_t index)
{
	const unsigned int count = *last_written(memory, thread, index);

	return count ? written_word(index, thread, count) : image_word(index, thread);
}

static bool was_written(struct memory *memory, size_t index)
{
	for (unsigned int i = 0; i < options.threads; i++)
		if (*last_written(memory, i, index))
			return true;
	return false;
}

/* Compares every byte of the memory and of an image with what the threads have made of it. */
static void compare(struct memory *memory, int image, const char *what)
{
	uint64_t *expected = malloc(page), *buffer = malloc(page);

	if (!expected || !buffer)
		fail("no memory");
	errno = 0;
	for (size_t i = 0; i < pages; i++) {
		for (size_t word = 0; word < page / 8; word++)
			expected[word] = image_word(i, word);
		for (unsigned int thread = 0; thread < options.threads; thread++)
			expected[thread] = left_word(memory, thread, i);
		if (memcmp(expected, memory->map + i * page, page))
			fail("%s: page %zu of the memory is wrong", what, i);
		if (pread(image, buffer, page, i * page) != (ssize_t)page ||
		    memcmp(expected, buffer, page))
			fail("%s: page %zu of the image is wrong", what, i);
	}
	free(expected);
	free(buffer);
	say("# %s: all %zu bytes are right\n", what, size);
}

/* --- the tracking */

/* Writes to some of the pages again and again, and reads others. */
static void *write_some(void *arg)
{
	struct worker *worker = arg;
	struct memory *memory = worker->memory;
	const double end = seconds() + options.seconds;

	for (unsigned int step = 1; seconds() < end; step++) {
		/* A sixteenth of the pages, and of these some more often. */
		size_t index = mix(step % 509 * 997 + worker->number) % pages & ~(size_t)15;
		volatile uint64_t *words = (uint64_t *)(memory->map + index * page);

		if (words[worker->number] != left_word(memory, worker->number, index))
			worker->wrong++;
		words[worker->number] = written_word(index, worker->number, step);
		*last_written(memory, worker->number, index) = step;
		/* Reading does not make a page one to be saved. */
		index = mix(step) % pages | 1;
		words = (uint64_t *)(memory->map + index * page);
		if (words[1] != image_word(index, 1))
			worker->wrong++;
		if (step % 64 == 0)
			usleep(500);
	}
	memory->running--;
	return NULL;
}

/* Copies pages into the saved image. */
static void save(struct memory *memory, int to, unsigned long start, unsigned long end,
		 unsigned char *seen)
{
	const size_t first = (start - (unsigned long)memory->map) / page;

	if (pwrite(to, (void *)start, end - start, first * page) != (ssize_t)(end - start))
		fail("the saved image cannot be written");
	memory->saved += (end - start) / page;
	for (size_t i = first; i < first + (end - start) / page; i++)
		seen[i] = 1;
}

/*
 * Saves what has changed since the last round. The pages are protected before they are copied: a
 * write that comes meanwhile is found by the next round.
 */
static unsigned long save_round(struct memory *memory, int to, unsigned char *seen)
{
	const unsigned long before = memory->saved;
	struct page_region regions[64];
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = (unsigned long)memory->map, .end = (unsigned long)memory->map + size,
		.vec = (unsigned long)regions, .vec_len = ARRAY_SIZE(regions),
		.flags = options.rwp ? 0 : PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
		.category_mask = options.rwp ? PAGE_IS_ACCESSED : PAGE_IS_WRITTEN,
		.return_mask = options.rwp ? PAGE_IS_ACCESSED : PAGE_IS_WRITTEN,
	};
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), found;

	do {
		found = ioctl(pagemap, PAGEMAP_SCAN, &arg);
		if (found < 0)
			fail("PAGEMAP_SCAN");
		for (int i = 0; i < found; i++) {
			if (options.rwp)
				must(protect_rw(memory->uffd,
						(void *)(unsigned long)regions[i].start,
						regions[i].end - regions[i].start, true),
				     "UFFDIO_RWPROTECT");
			save(memory, to, regions[i].start, regions[i].end, seen);
		}
		arg.start = arg.walk_end;
	} while (arg.start < arg.end);
	close(pagemap);
	memory->rounds++;
	return memory->saved - before;
}

/* Saves what the threads write, while they write and once after. */
static void track(struct memory *memory, int to)
{
	struct worker workers[options.threads];
	unsigned char *seen = calloc(pages, 1);
	unsigned long written = 0, missed = 0, more = 0;

	if (!seen)
		fail("no memory");
	memory->uffd = open_uffd(options.rwp ? UFFD_FEATURE_RWP | UFFD_FEATURE_RWP_ASYNC :
				 UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED);
	must(watch(memory->uffd, memory->map, size, options.rwp ? RWP : WP), "UFFDIO_REGISTER");
	if (options.rwp)
		must(protect_rw(memory->uffd, memory->map, size, true), "UFFDIO_RWPROTECT");
	else
		must(protect(memory->uffd, memory->map, size, true), "UFFDIO_WRITEPROTECT");
	memory->running = options.threads;
	for (unsigned int i = 0; i < options.threads; i++) {
		workers[i] = (struct worker){ .memory = memory, .number = i };
		if (pthread_create(&workers[i].thread, NULL, write_some, &workers[i]))
			fail("pthread_create");
	}
	while (memory->running) {
		unsigned long some = save_round(memory, to, seen);

		if (isatty(STDOUT_FILENO))
			say("\r# round %lu: %lu pages   ", memory->rounds, some);
		usleep(100000);
	}
	if (isatty(STDOUT_FILENO))
		say("\n");
	for (unsigned int i = 0; i < options.threads; i++) {
		pthread_join(workers[i].thread, NULL);
		errno = 0;
		if (workers[i].wrong)
			fail("thread %u: %lu words are wrong", i, workers[i].wrong);
	}
	save_round(memory, to, seen);
	errno = 0;
	if (save_round(memory, to, seen) && !options.rwp)
		fail("pages are saved that nothing has written to");
	close(memory->uffd);
	memory->uffd = -1;

	for (size_t i = 0; i < pages; i++) {
		const bool was = was_written(memory, i);

		written += was;
		missed += was && !seen[i];
		more += !was && seen[i];
	}
	say("# written to:       %lu of %zu pages\n", written, pages);
	say("# saved:            %lu pages in %lu rounds, %lu of them only read\n", memory->saved,
	    memory->rounds, more);
	errno = 0;
	if (!written || missed)
		fail("%lu of %lu written pages are not saved", missed, written);
	/* Write protection finds what is written; access protection also what is read. */
	if (more && !options.rwp)
		fail("%lu pages are saved that nothing has written to", more);
	if (written + more >= pages)
		fail("all pages are saved");
	free(seen);
}

/* --- all of it */

/* Returns how long the restore has taken. */
static double run(bool save)
{
	struct memory memory = { .uffd = -1 };
	int saved;

	page = sysconf(_SC_PAGESIZE);
	size = options.mib << 20;
	pages = size / page;
	say("# %zu MiB of %s, %u threads\n", options.mib, options.memfd ? "memfd" : MODULE,
	    options.threads);
	memory.image = create_image();
	memory.fd = create_memory();
	memory.written = calloc(options.threads * pages, sizeof(*memory.written));
	memory.map = mmap(NULL, size, RW, MAP_SHARED, memory.fd, 0);
	if (memory.map == MAP_FAILED || !memory.written)
		fail("the memory cannot be mapped");

	restore(&memory);
	compare(&memory, memory.image, "restored");
	if (save) {
		/* From now on, the file of the image becomes the saved one. */
		saved = memory.image;
		track(&memory, saved);
		compare(&memory, saved, "saved");
	}

	munmap(memory.map, size);
	free(memory.written);
	close(memory.fd);
	close(memory.image);
	return memory.time;
}

/* Runs it in a child, since a failure ends the process. */
static int run_apart(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		run(true);
		fflush(stdout);
		_exit(0);
	}
	return pid < 0 ? -1 : wait_child(pid);
}

static int compare_numbers(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *numbers, size_t n)
{
	qsort(numbers, n, sizeof(*numbers), compare_numbers);
	return (numbers[(n - 1) / 2] + numbers[n / 2]) / 2;
}

/* Restores into both kinds of memory in turns, and compares the times. */
static void run_pairs(unsigned int n)
{
	double ours[n], theirs[n], ratios[n];

	for (unsigned int i = 0; i < n; i++) {
		/* Each of them is the first one of every second pair. */
		for (int turn = 0; turn < 2; turn++) {
			options.memfd = turn != (int)(i % 2);
			*(options.memfd ? &theirs[i] : &ours[i]) = run(false);
		}
		ratios[i] = ours[i] / theirs[i];
		say("pair %u: " MODULE " %.3f s, memfd %.3f s, ratio %.3f\n", i + 1, ours[i],
		    theirs[i], ratios[i]);
	}
	say("median: " MODULE " %.3f s, memfd %.3f s, ratio %.3f\n", median(ours, n),
	    median(theirs, n), median(ratios, n));
}

static int load(void)
{
	int ret = load_module(MODULE, "");

	if (!ret) {
		device = open(DEVICE, O_RDWR | O_CLOEXEC);
		if (device < 0)
			ret = -errno;
	}
	return ret;
}

static int test(void)
{
	const bool rwp = uffd_features() & UFFD_FEATURE_RWP_ASYNC;
	struct rust_memfile_stats stats;
	int ret = load();

	ksft_print_header();
	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
		ksft_exit_skip("no " MODULE ".ko, and no $RUST_MM_MODULES\n");
	if (ret)
		ksft_exit_fail_msg("%s: %s\n", MODULE, strerror(-ret));
	ksft_set_plan(5);
	for (int kind = 0; kind < 2; kind++)
		for (int way = 0; way < 2; way++) {
			options.memfd = !kind;
			options.rwp = way;
			if (way && !rwp) {
				ksft_test_result_skip("%s, RWP: the kernel does not have it\n",
						      kind ? MODULE : "memfd");
				continue;
			}
			ksft_test_result(!run_apart(), "%s, %s\n", kind ? MODULE : "memfd",
					 way ? "RWP" : "WP");
		}
	ret = ioctl(device, RUST_MEMFILE_STATS, &stats) || stats.files;
	close(device);
	ksft_test_result(!ret && !unload_module(MODULE), "nothing is left\n");
	ksft_finished();
}

static void __attribute__((noreturn)) usage(const char *name)
{
	printf("usage: %s [OPTION...]\n"
	       "  --memfd        memory of memfd_create() instead of " DEVICE "\n"
	       "  --size MIB     of the image: %zu\n"
	       "  --threads N    that run on the memory: %u\n"
	       "  --seconds N    how long they write: %u\n"
	       "  --rwp          track accesses (Linux 7.3) instead of writes\n"
	       "  --image FILE   where to write the image; else a file without a name in /tmp\n"
	       "  --pairs N      restore N times into both kinds in turns, and compare the times\n"
	       "Without options: tests both kinds of memory with a small image.\n",
	       name, options.mib, options.threads, options.seconds);
	exit(KSFT_FAIL);
}

int main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "memfd", no_argument, NULL, 'm' },
		{ "size", required_argument, NULL, 's' },
		{ "threads", required_argument, NULL, 't' },
		{ "seconds", required_argument, NULL, 'w' },
		{ "rwp", no_argument, NULL, 'r' },
		{ "image", required_argument, NULL, 'i' },
		{ "pairs", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	unsigned int paired = 0;
	int option;

	if (argc == 1) {
		options.mib = 8;
		options.seconds = 1;
		return test();
	}
	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1)
		switch (option) {
		case 'm':
			options.memfd = true;
			break;
		case 's':
			options.mib = atol(optarg);
			break;
		case 't':
			options.threads = atol(optarg);
			break;
		case 'w':
			options.seconds = atol(optarg);
			break;
		case 'r':
			options.rwp = true;
			break;
		case 'i':
			options.image = optarg;
			break;
		case 'p':
			paired = atol(optarg);
			if (!paired || paired > 1000)
				usage(argv[0]);
			break;
		default:
			usage(argv[0]);
		}
	if (optind != argc || !options.mib || !options.threads || options.threads > 64)
		usage(argv[0]);
	if (!options.memfd || paired) {
		device = open(DEVICE, O_RDWR | O_CLOEXEC);
		if (device < 0) {
			int ret = load();

			errno = -ret;
			if (ret)
				fail("%s", DEVICE);
		}
	}
	if (paired)
		run_pairs(paired);
	else
		run(true);
	return KSFT_PASS;
}
