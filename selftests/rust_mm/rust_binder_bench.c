// SPDX-License-Identifier: GPL-2.0

/*
 * What Binder costs: `make binder-bench` runs this in a VM whose processor's time stamp counter
 * counts instructions, and compares the drivers.
 *
 *	rust_binder_bench calls		one thread on each side, on one processor
 *	rust_binder_bench threads	with a thread that maps and unmaps memory, on two processors
 *
 * Prints a line for each figure: its name, a tab, the figure.
 */

#include "rust_bench.h"
#include "rust_binder.h"
#include "kselftest.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHRINKERS	"/sys/kernel/debug/shrinker"
#define PAGE		4096UL
#define SIZE		BINDER_MAX_SIZE
#define ROUNDS		31
#define MANY		1024

/* Far from all others: the kernel would also look for pages in a table that a neighbour has. */
#define PLACE		((void *)(1UL << 44))

/* What the other side does with the buffer. */
enum code {
	FREE_IT,
	KEEP_IT,
	FREE_ALL,
};

static int scan_fd = -1, count_fd = -1;

static void find_shrinker(void)
{
	char path[512];
	struct dirent *entry;
	DIR *dir;

	if (access(SHRINKERS, F_OK))
		mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	dir = opendir(SHRINKERS);
	while (dir && scan_fd < 0 && (entry = readdir(dir))) {
		/* The super block of binderfs has one, too: "sb-binder-". */
		if (strncmp(entry->d_name, "android-binder-", 15))
			continue;
		snprintf(path, sizeof(path), SHRINKERS "/%s/scan", entry->d_name);
		scan_fd = open(path, O_WRONLY | O_CLOEXEC);
		snprintf(path, sizeof(path), SHRINKERS "/%s/count", entry->d_name);
		count_fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (dir)
		closedir(dir);
	check(scan_fd >= 0 && count_fd >= 0, "the shrinker in debugfs");
}

/* How many pages the driver could free. There is no memory cgroup, and one node. */
static unsigned long reclaimable(void)
{
	char text[64];
	unsigned long count;
	ssize_t len = pread(count_fd, text, sizeof(text) - 1, 0);

	check(len >= 0, "count");
	text[len] = 0;
	/* Without a line, there are none. */
	return sscanf(text, "%*u %lu", &count) == 1 ? count : 0;
}

/* Frees all pages, and returns what that takes: a driver may spare some of them at first. */
static uint64_t reclaim(void)
{
	static const char text[] = "0 0 1048576";
	uint64_t taken = 0, from;

	while (reclaimable()) {
		from = now();
		check(write(scan_fd, text, strlen(text)) == strlen(text), "reclaim");
		taken += now() - from;
	}
	return taken;
}

/* --- the other side */

/* Maps and unmaps memory in the process that receives. */
static void *map_memory(void *data)
{
	(void)data;
	on_processor(1);
	for (;;) {
		char *map = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		check(map != MAP_FAILED, "mmap");
		munmap(map, 16 * PAGE);
	}
	return NULL;
}

static void serve(const char *path, int ready, bool mapper)
{
	static binder_uintptr_t kept[MANY];
	unsigned int count = 0;
	struct binder b;
	struct looper l;
	struct event e;
	pthread_t thread;

	check(!binder_open(&b, path, SIZE) && !binder_become_manager(&b), "context manager");
	if (mapper)
		check(!pthread_create(&thread, NULL, map_memory, NULL), "pthread_create");
	looper_init(&l, &b);
	looper_put(&l, BC_ENTER_LOOPER);
	check(write(ready, "r", 1) == 1, "write");
	for (;;) {
		looper_next(&l, &e);
		if (!e.command)
			exit(1);
		if (e.command != BR_TRANSACTION)
			continue;
		if (e.data.code == KEEP_IT)
			kept[count++] = e.data.data.ptr.buffer;
		else
			looper_free(&l, e.data.data.ptr.buffer);
		while (e.data.code == FREE_ALL && count)
			looper_free(&l, kept[--count]);
		looper_reply(&l, 0, NULL);
	}
}

static pid_t start(const char *path, bool mapper)
{
	int ready[2];
	pid_t pid;
	char c;

	check(!pipe(ready), "pipe");
	pid = fork();
	if (!pid)
		serve(path, ready[1], mapper);
	check(read(ready[0], &c, 1) == 1, "read");
	return pid;
}

/* The buffer of the reply is freed with the next command. */
static void call(struct looper *l, enum code what, const struct message *m)
{
	struct event reply;

	check(looper_call(l, CONTEXT_MANAGER, what, 0, m, &reply) == BR_REPLY, "call");
	looper_free(l, reply.data.data.ptr.buffer);
}

/* So that the rounds differ in where the scheduler and the timers are. */
static void pause_before(int round)
{
	usleep(5000 + round * 7919 % 3989);
}

static uint64_t timed_call(struct looper *l, const struct message *m, int round)
{
	uint64_t from;

	pause_before(round);
	from = now();
	call(l, FREE_IT, m);
	return now() - from;
}

static void map_at_place(struct binder *b)
{
	b->map = mmap(PLACE, SIZE, PROT_READ, MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
		      b->fd, 0);
	check(b->map == PLACE, "mmap");
	b->size = SIZE;
}

/* --- figures */

static void calls(const char *path)
{
	static const struct {
		const char *name;
		size_t size;
	} sizes[] = {
		{ "call, 0 bytes", 0 },
		{ "call, 4 KiB", 4 << 10 },
		{ "call, 64 KiB", 64 << 10 },
		{ "call, 512 KiB", 512 << 10 },
	};
	const size_t pages = 256;
	double values[ROUNDS], warm[ROUNDS], once[ROUNDS], again[ROUNDS];
	uint64_t from;
	struct message m = {};
	struct binder b;
	struct looper l;
	char *bytes = calloc(1, pages * PAGE);
	pid_t pid = start(path, false);

	check(!binder_open(&b, path, SIZE), "open");
	looper_init(&l, &b);
	memset(bytes, 'b', pages * PAGE);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		message_put(&m, bytes, sizes[i].size);
		for (int j = 0; j < 5; j++)
			call(&l, FREE_IT, &m);
		for (int j = 0; j < ROUNDS; j++)
			values[j] = timed_call(&l, &m, j);
		printf("%s\t%.0f\n", sizes[i].name, median(values, ROUNDS));
		message_free(&m);
	}

	/* The same with all pages there, and with none: the other side gets new ones. */
	message_put(&m, bytes, pages * PAGE);
	call(&l, FREE_IT, &m);
	for (int j = 0; j < ROUNDS; j++) {
		warm[j] = timed_call(&l, &m, j);
		check(!looper_flush(&l), "free");
		again[j] = reclaim();
		values[j] = timed_call(&l, &m, j);
		check(!looper_flush(&l), "free");
		once[j] = reclaim();
		call(&l, FREE_IT, &m);
	}
	printf("first use of a page\t%.1f\n",
	       (median(values, ROUNDS) - median(warm, ROUNDS)) / pages);
	printf("reclaim of a page\t%.1f\n", median(once, ROUNDS) / pages);
	printf("reclaim of a page that was used again\t%.1f\n",
	       median(again, ROUNDS) / pages);
	message_free(&m);
	binder_close(&b);

	/* A file of its own for each. The driver releases the one before in a work queue. */
	for (int j = 0; j < ROUNDS; j++) {
		pause_before(j);
		check(!binder_open(&b, path, 0), "open");
		from = now();
		map_at_place(&b);
		values[j] = now() - from;
		from = now();
		munmap(b.map, SIZE);
		warm[j] = now() - from;
		b.map = NULL;
		binder_close(&b);
	}
	printf("mmap\t%.0f\n", median(values, ROUNDS));
	printf("munmap\t%.0f\n", median(warm, ROUNDS));

	/* Here, the work queue is between the rounds, on this processor. */
	for (int j = 0; j < ROUNDS; j++) {
		from = now();
		for (int k = 0; k < 16; k++) {
			check(!binder_open(&b, path, 0), "open");
			map_at_place(&b);
			binder_close(&b);
			sched_yield();
		}
		values[j] = (now() - from) / 16;
	}
	printf("open, mmap, munmap, close\t%.0f\n", median(values, ROUNDS));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/*
 * Calls that need new pages, for each second: 1e9 ticks of the counter, which counts what both
 * processors execute, one after the other.
 */
static double throughput(const char *path, bool mapper, size_t size)
{
	const unsigned int count = (SIZE - (64 << 10)) / size;
	struct message m = {};
	char *bytes = calloc(1, size);
	double values[ROUNDS];
	uint64_t from;
	pid_t pid = start(path, mapper);
	struct binder b;
	struct looper l;

	check(!binder_open(&b, path, SIZE), "open");
	looper_init(&l, &b);
	message_put(&m, bytes, size);
	for (int j = 0; j < ROUNDS; j++) {
		call(&l, FREE_ALL, NULL);
		check(!looper_flush(&l), "free");
		reclaim();
		from = now();
		for (unsigned int i = 0; i < count; i++)
			call(&l, KEEP_IT, &m);
		values[j] = now() - from;
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	binder_close(&b);
	message_free(&m);
	free(bytes);
	return count * 1e9 / median(values, ROUNDS);
}

static void threads(const char *path)
{
	static const unsigned int sizes[] = { 1, 4, 16, 64 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		printf("calls/s, %u new pages\t%.0f\n", sizes[i],
		       throughput(path, false, sizes[i] * PAGE));
		usleep(100000);
		printf("calls/s, %u new pages, while the receiver maps\t%.0f\n", sizes[i],
		       throughput(path, true, sizes[i] * PAGE));
		usleep(100000);
	}
}

int main(int argc, char **argv)
{
	struct binder_device device;

	check(argc == 2, "usage");
	check(!binder_device_add(&device), "binderfs");
	find_shrinker();
	on_processor(0);
	if (!strcmp(argv[1], "threads"))
		threads(device.path);
	else
		calls(device.path);
	binder_device_remove(&device);
	return 0;
}
