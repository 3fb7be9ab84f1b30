// SPDX-License-Identifier: GPL-2.0

/*
 * Binder: the pages that the driver maps into a process that receives transactions.
 * rust_binder_lib.c speaks its protocol.
 *
 * The tests run with each Binder driver of the tree. Where the drivers differ, a table has an
 * answer for each (struct answer).
 */

#include "rust_binder.h"
#include "rust_mm.h"
#include "kselftest_harness.h"

#include <poll.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/prctl.h>

#define SHRINKERS	"/sys/kernel/debug/shrinker"
#define SIZE		(1UL << 20)	/* of most mappings */
#define PAGE		4096UL

/* Long enough for a kernel with KASAN under TCG. */
#define TIMEOUT		120

/* --- the drivers */

enum driver {
	RUST,		/* Rust Binder over the memory mapping layer */
	RUST_BEFORE,	/* Rust Binder as upstream has it */
	C,
	DRIVERS,
};

static enum driver this_driver;

/* Finds out by names of functions which only one of them has. */
static void __attribute__((constructor)) find_driver(void)
{
	FILE *symbols = fopen("/proc/kallsyms", "r");
	char line[512], name[256];

	while (symbols && fgets(line, sizeof(line), symbols)) {
		if (sscanf(line, "%*x %*c %255s", name) != 1)
			continue;
		if (!strcmp(name, "binder_alloc_mmap_handler"))
			this_driver = C;
		/* The shrinker's callback, which upstream exports by this name. */
		if (!strcmp(name, "rust_shrink_free_page"))
			this_driver = RUST_BEFORE;
	}
	if (symbols)
		fclose(symbols);
}

/* How a call may end, as a set. */
enum {
	REPLY	= 1,
	FAILED	= 2,	/* BR_FAILED_REPLY */
	DEAD	= 4,	/* BR_DEAD_REPLY */
	ERROR	= FAILED | DEAD,
};

static int outcome(uint32_t command)
{
	switch (command) {
	case BR_REPLY:
		return REPLY;
	case BR_FAILED_REPLY:
		return FAILED;
	case BR_DEAD_REPLY:
		return DEAD;
	default:
		return 0;
	}
}

/* --- what processes say to each other */

enum code {
	PING,		/* replies with nothing */
	ECHO,		/* replies with what it sees in its mapping */
	HOLD,		/* keeps the buffer; replies with its index */
	CHECK,		/* index, seed, size: replies 1 if the held buffer has the bytes */
	FREE,		/* frees the buffers that the indexes name */
	UNREADABLE,	/* replies with the signal that the first byte of the message raises */
	UNMAP,		/* unmaps, frees the buffers that it holds, and replies */
	UNMAP_TAIL,	/* unmaps all but the first page */
	REPLACE,	/* maps another file of the device at the same address: its address */
	MOVE,		/* moves its mapping */
	PROTECT,	/* mprotect()s page 1 to PROT_NONE and back */
	EXIT,		/* exits without a reply */
	KEEP_OBJECT,	/* keeps the object in the message: replies with the handle */
	GIVE_OBJECT,	/* replies with the object that it keeps at an index */
	CALL_OBJECT,	/* calls the object in the message with PING, and then replies */
	POKE_OBJECT,	/* calls the object that it keeps one way */
	DROP_OBJECTS,	/* gives all references back */
	READ_FD,	/* replies with what it reads from the descriptor in the message */
	GIVE_FD,	/* replies with a descriptor */
	READ_BUFFERS,	/* replies with the bytes of the buffers in the message */
	READ_FDS,	/* the same for descriptors in a buffer */
	THREAD,		/* replies with the thread's id, after some time */
};

/* Bytes that differ from page to page, and from seed to seed. */
static unsigned char pattern_byte(uint32_t seed, size_t i)
{
	uint32_t x = seed * 2654435761u + (uint32_t)(i / 4) * 40503u + (uint32_t)(i % 4) * 97u;

	return x >> 16;
}

static void put_pattern(struct message *m, uint32_t seed, size_t len)
{
	unsigned char *bytes = malloc(len + 1);

	for (size_t i = 0; i < len; i++)
		bytes[i] = pattern_byte(seed, i);
	message_put(m, bytes, len);
	free(bytes);
}

static bool is_pattern(const char *data, uint32_t seed, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)data[i] != pattern_byte(seed, i))
			return false;
	return true;
}

/* --- a process that serves */

#define HELD 2048

struct server {
	struct binder b;
	const char *path;
	pthread_mutex_t lock;
	struct event held[HELD];
	unsigned int holds;
	uint32_t handles[64];
	unsigned int objects;
};

static void put_u64(struct message *m, uint64_t value)
{
	message_put(m, &value, sizeof(value));
}

static void serve(struct server *s, struct looper *l);

/* A thread that the driver has asked for. */
static void *serve_registered(void *data)
{
	struct server *s = data;
	struct looper l;

	looper_init(&l, &s->b);
	looper_put(&l, BC_REGISTER_LOOPER);
	serve(s, &l);
	return NULL;
}

/* One that serves by its own decision. */
static void *serve_entered(void *data)
{
	struct server *s = data;
	struct looper l;

	looper_init(&l, &s->b);
	looper_put(&l, BC_ENTER_LOOPER);
	serve(s, &l);
	return NULL;
}

/* Reads from a descriptor, and closes it. */
static void put_contents(struct message *m, int fd)
{
	char buf[64];
	ssize_t got = read(fd, buf, sizeof(buf));

	if (got > 0)
		message_put(m, buf, got);
	close(fd);
}

/* A descriptor with a text in it. */
static int text_fd(const char *text)
{
	int fd = memfd_create("text", MFD_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ||
	    lseek(fd, 0, SEEK_SET))
		return -1;
	return fd;
}

static void answer_buffers(struct event *e, struct message *m)
{
	const struct binder_buffer_object *object;
	unsigned int i;

	for (i = 0; (object = event_object(e, i)); i++)
		if (object->hdr.type == BINDER_TYPE_PTR)
			message_put(m, (void *)object->buffer, object->length);
}

static void answer_fds(struct event *e, struct message *m)
{
	const struct binder_buffer_object *buffer = event_object(e, 0);
	const struct binder_fd_array_object *fds = event_object(e, 1);
	const uint32_t *fd = (void *)(buffer->buffer + fds->parent_offset);
	char buf[64];
	unsigned int i;

	/* The driver closes these descriptors when the buffer is freed. */
	for (i = 0; i < fds->num_fds; i++) {
		ssize_t got = pread(fd[i], buf, sizeof(buf), 0);

		if (got > 0)
			message_put(m, buf, got);
	}
}

/* Calls back while a transaction is pending. */
static void answer_call(struct server *s, struct looper *l, struct event *e, struct message *m)
{
	const struct flat_binder_object *object = event_object(e, 0);
	struct event reply;
	uint32_t command = looper_call(l, object->handle, PING, 0, NULL, &reply);

	put_u64(m, command);
	if (command == BR_REPLY)
		looper_free(l, reply.data.data.ptr.buffer);
}

/* Moves the mapping of the buffer to where nothing is. */
static void *move(struct binder *b)
{
	void *room = mmap(NULL, b->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mremap(b->map, b->size, b->size, MREMAP_MAYMOVE | MREMAP_FIXED, room);
}

/* Maps another file where the buffer was. */
static int replace(struct server *s)
{
	static struct binder other;

	if (binder_open(&other, s->path, 0))
		return errno;
	if (mmap(s->b.map, s->b.size, PROT_READ, MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED,
		 other.fd, 0) == MAP_FAILED)
		return errno;
	return 0;
}

/* Fills in the reply. Returns whether the buffer of the transaction is to be freed. */
static bool answer(struct server *s, struct looper *l, struct event *e, struct message *m)
{
	const struct flat_binder_object *object = event_object(e, 0);
	const uint64_t *words = (const uint64_t *)event_data(e);
	size_t size = e->data.data_size;
	struct event reply;
	unsigned int i;

	switch (e->data.code) {
	case ECHO:
		message_put(m, event_data(e), size);
		return true;
	case HOLD:
		put_u64(m, s->holds);
		s->held[s->holds++] = *e;
		return false;
	case CHECK:
		put_u64(m, is_pattern(event_data(&s->held[words[0]]), words[1], words[2]));
		return true;
	case FREE:
		for (i = 0; i < size / sizeof(*words); i++)
			looper_free(l, s->held[words[i]].data.data.ptr.buffer);
		return true;
	case UNREADABLE:
		put_u64(m, try_read((void *)event_data(e)));
		return true;
	case UNMAP:
		put_u64(m, munmap(s->b.map, s->b.size) ? errno : 0);
		while (s->holds)
			looper_free(l, s->held[--s->holds].data.data.ptr.buffer);
		return true;
	case UNMAP_TAIL:
		put_u64(m, munmap(s->b.map + PAGE, s->b.size - PAGE) ? errno : 0);
		return true;
	case REPLACE:
		put_u64(m, replace(s) ? 0 : (uintptr_t)s->b.map);
		return true;
	case MOVE:
		put_u64(m, move(&s->b) == MAP_FAILED ? errno : 0);
		return true;
	case PROTECT:
		put_u64(m, mprotect(s->b.map + PAGE, PAGE, PROT_NONE) ||
			mprotect(s->b.map + PAGE, PAGE, PROT_READ) ? errno : 0);
		return true;
	case EXIT:
		_exit(0);
	case KEEP_OBJECT:
		looper_put32(l, BC_ACQUIRE, object->handle);
		s->handles[s->objects++] = object->handle;
		put_u64(m, object->handle);
		return true;
	case GIVE_OBJECT:
		message_put_handle(m, s->handles[words[0]]);
		return true;
	case CALL_OBJECT:
		answer_call(s, l, e, m);
		return true;
	case POKE_OBJECT:
		put_u64(m, looper_call(l, s->handles[0], PING, TF_ONE_WAY, NULL, &reply));
		return true;
	case DROP_OBJECTS:
		while (s->objects)
			looper_put32(l, BC_RELEASE, s->handles[--s->objects]);
		return true;
	case READ_FD:
		put_contents(m, ((const struct binder_fd_object *)object)->fd);
		return true;
	case GIVE_FD:
		message_put_fd(m, text_fd("from the server"));
		return true;
	case READ_BUFFERS:
		answer_buffers(e, m);
		return true;
	case READ_FDS:
		answer_fds(e, m);
		return true;
	case THREAD:
		usleep(100000);
		put_u64(m, gettid());
		return true;
	default:
		return true;
	}
}

/* Serves until the driver fails. */
static void serve(struct server *s, struct looper *l)
{
	struct message m = {};
	struct event e;
	pthread_t thread;
	bool free;

	for (;;) {
		looper_next(l, &e);
		if (!e.command)
			return;
		while (l->spawn) {
			l->spawn--;
			pthread_create(&thread, NULL, serve_registered, s);
		}
		if (e.command != BR_TRANSACTION)
			continue;
		if (e.data.code != THREAD && e.data.code != ECHO)
			pthread_mutex_lock(&s->lock);
		free = answer(s, l, &e, &m);
		if (e.data.code != THREAD && e.data.code != ECHO)
			pthread_mutex_unlock(&s->lock);
		/* Freed with the next command: the reply must not come from the buffer. */
		if (free)
			looper_free(l, e.data.data.ptr.buffer);
		if (!(e.data.flags & TF_ONE_WAY))
			looper_reply(l, 0, &m);
		message_free(&m);
	}
}

/* A process must not outlive the test. */
static pid_t fork_child(void)
{
	pid_t pid = fork();

	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

/*
 * Starts a process that is the context manager, with @size bytes mapped and as many more threads
 * as the driver asks for. Returns when it serves.
 */
static pid_t start_manager_flags(const char *path, size_t size, uint32_t threads, int flags)
{
	static struct server server;
	struct looper l;
	int ready[2];
	char c = 0;
	pid_t pid;
	int ret;

	if (pipe(ready))
		return -1;
	pid = fork_child();
	if (!pid) {
		close(ready[0]);
		memset(&server, 0, sizeof(server));
		server.path = path;
		pthread_mutex_init(&server.lock, NULL);
		if (binder_open_flags(&server.b, path, size, flags) ||
		    binder_set_max_threads(&server.b, threads))
			_exit(1);
		/* The one before may not be released yet. */
		do {
			ret = binder_become_manager(&server.b);
		} while (ret == -EBUSY && !usleep(1000));
		if (ret || write(ready[1], "r", 1) != 1)
			_exit(1);
		close(ready[1]);
		looper_init(&l, &server.b);
		looper_put(&l, BC_ENTER_LOOPER);
		serve(&server, &l);
		_exit(1);
	}
	close(ready[1]);
	if (read(ready[0], &c, 1) != 1)
		c = 0;
	close(ready[0]);
	return c == 'r' ? pid : -1;
}

static pid_t start_manager(const char *path, size_t size)
{
	return start_manager_flags(path, size, 0, MAP_PRIVATE | MAP_NORESERVE);
}

static void stop(pid_t pid)
{
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

/* --- the other side */

/* Calls, and copies the first word of the reply. */
static int call(struct looper *l, uint32_t handle, uint32_t code, const struct message *m,
		uint64_t *word)
{
	struct event reply;
	uint32_t command = looper_call(l, handle, code, TF_ACCEPT_FDS, m, &reply);

	if (command == BR_REPLY) {
		if (word && reply.data.data_size >= sizeof(*word))
			memcpy(word, event_data(&reply), sizeof(*word));
		looper_free(l, reply.data.data.ptr.buffer);
	}
	return outcome(command);
}

/* Calls with words. */
static int call_words(struct looper *l, uint32_t code, const uint64_t *words, size_t count,
		      uint64_t *word)
{
	struct message m = {};
	int ret;

	message_put(&m, words, count * sizeof(*words));
	ret = call(l, CONTEXT_MANAGER, code, &m, word);
	message_free(&m);
	return ret;
}

/* Sends bytes; compares what comes back. Returns how the call ended; 0 if the bytes are others. */
static int echo(struct looper *l, uint32_t handle, uint32_t seed, size_t len)
{
	struct message m = {};
	struct event reply;
	uint32_t command;
	int ret;

	put_pattern(&m, seed, len);
	command = looper_call(l, handle, ECHO, 0, &m, &reply);
	message_free(&m);
	ret = outcome(command);
	if (command == BR_REPLY) {
		if (reply.data.data_size != len || !is_pattern(event_data(&reply), seed, len))
			ret = 0;
		looper_free(l, reply.data.data.ptr.buffer);
	}
	return ret;
}

/* Sends bytes that the other side keeps. */
static int hold(struct looper *l, uint32_t seed, size_t len, uint64_t *index)
{
	struct message m = {};
	int ret;

	put_pattern(&m, seed, len);
	ret = call(l, CONTEXT_MANAGER, HOLD, &m, index);
	message_free(&m);
	return ret;
}

/* Whether the other side still sees the bytes. */
static bool still_there(struct looper *l, uint64_t index, uint64_t seed, uint64_t len)
{
	uint64_t words[] = { index, seed, len }, same = 0;

	return call_words(l, CHECK, words, 3, &same) == REPLY && same == 1;
}

/* --- the shrinker */

/* Opens a file of Binder's shrinker in debugfs. */
static FILE *open_shrinker(const char *file, const char *mode)
{
	char path[512];
	struct dirent *entry;
	FILE *found = NULL;
	DIR *dir;

	if (access(SHRINKERS, F_OK))
		mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	dir = opendir(SHRINKERS);
	while (dir && !found && (entry = readdir(dir))) {
		/* The super block of binderfs has one, too: "sb-binder-". */
		if (strncmp(entry->d_name, "android-binder-", 15))
			continue;
		snprintf(path, sizeof(path), SHRINKERS "/%s/%s", entry->d_name, file);
		found = fopen(path, mode);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* How many pages it could free, or -1. */
static long reclaimable(void)
{
	FILE *f = open_shrinker("count", "r");
	unsigned long long memcg;
	long count = 0;

	if (!f)
		return -1;
	/* The file is empty if there are none. */
	if (fscanf(f, "%llu %ld", &memcg, &count) != 2)
		count = 0;
	fclose(f);
	return count;
}

/* Asks for @count pages. */
static int reclaim(unsigned long count)
{
	FILE *f = open_shrinker("scan", "w");
	int ret;

	if (!f)
		return -1;
	ret = fprintf(f, "0 0 %lu", count) < 0;
	return fclose(f) || ret ? -1 : 0;
}

/* Why pages are not reclaimed here, or NULL. */
static const char *no_reclaim(void)
{
	if (reclaimable() < 0)
		return "no shrinker in debugfs";
	if (this_driver == RUST_BEFORE && !has_vma_locks())
		return "upstream's Rust Binder reclaims under the VMA lock alone";
	return NULL;
}

/* Until all pages of processes that have gone are free: the driver does that in a work queue. */
static long reclaimable_at_the_end(void)
{
	long count;

	for (int i = 0; i < 500; i++) {
		count = reclaimable();
		if (count <= 0)
			break;
		usleep(10000);
	}
	return count;
}

/* --- a device, a context manager and this process */

FIXTURE(binder)
{
	struct binder_device device;
	pid_t manager;
	struct binder b;
	struct looper l;
};

FIXTURE_VARIANT(binder)
{
	int flags;
};

/* As Android's library maps it; and as files are mapped elsewhere. */
FIXTURE_VARIANT_ADD(binder, private_map) { .flags = MAP_PRIVATE | MAP_NORESERVE };
FIXTURE_VARIANT_ADD(binder, shared_map) { .flags = MAP_SHARED };

FIXTURE_SETUP(binder)
{
	int ret = binder_device_add(&self->device);

	if (ret == -ENODEV)
		SKIP(return, "the kernel has no binderfs");
	ASSERT_EQ(ret, 0);
	self->manager = start_manager_flags(self->device.path, SIZE, 0, variant->flags);
	ASSERT_GT(self->manager, 0);
	ASSERT_EQ(binder_open_flags(&self->b, self->device.path, SIZE, variant->flags), 0);
	looper_init(&self->l, &self->b);
}

FIXTURE_TEARDOWN(binder)
{
	stop(self->manager);
	binder_close(&self->b);
	binder_device_remove(&self->device);
	/* No page is left. */
	if (reclaimable() >= 0)
		EXPECT_EQ(reclaimable_at_the_end(), 0);
}

static const size_t sizes[] = { 0, 1, 8, 100, 4095, 4096, 4097, 65536, 200000, 500000 };

/* What was sent is what the other process sees, and what it sends back is what it has seen. */
TEST_F(binder, bytes)
{
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
			ASSERT_EQ(echo(&self->l, CONTEXT_MANAGER, 10 * round + i, sizes[i]),
				  REPLY);
}

/* Buffers that are freed in another order than they came in; the others keep their bytes. */
TEST_F(binder, free_in_any_order)
{
	static const int order[] = { 3, 0, 7, 5, 1, 6, 2, 4 };
	uint64_t index[8];

	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 8; i++)
			ASSERT_EQ(hold(&self->l, 8 * round + i, 1000 + 9001 * i, &index[i]), REPLY);
		for (int i = 0; i < 8; i++) {
			ASSERT_EQ(call_words(&self->l, FREE, &index[order[i]], 1, NULL), REPLY);
			for (int j = i + 1; j < 8; j++) {
				int k = order[j];

				ASSERT_TRUE(still_there(&self->l, index[k], 8 * round + k,
							1000 + 9001 * k));
			}
		}
	}
}

/* A buffer that does not exist, and one that is freed twice. */
TEST_F(binder, free_what_is_not_there)
{
	struct event reply;

	ASSERT_EQ(looper_call(&self->l, CONTEXT_MANAGER, PING, 0, NULL, &reply), BR_REPLY);
	looper_free(&self->l, (binder_uintptr_t)self->b.map + 8);
	looper_free(&self->l, (binder_uintptr_t)self->b.map + self->b.size);
	looper_free(&self->l, 0);
	looper_free(&self->l, ~0UL);
	looper_free(&self->l, reply.data.data.ptr.buffer);
	looper_free(&self->l, reply.data.data.ptr.buffer);
	ASSERT_EQ(looper_flush(&self->l), 0);
	ASSERT_EQ(echo(&self->l, CONTEXT_MANAGER, 1, 10000), REPLY);
}

/* More than there is room for is refused, and what was there before stays. */
TEST_F(binder, no_room)
{
	uint64_t index = 0;

	ASSERT_EQ(hold(&self->l, 1, SIZE / 2, &index), REPLY);
	ASSERT_EQ(hold(&self->l, 2, SIZE / 2 + 1, NULL), FAILED);
	ASSERT_EQ(hold(&self->l, 2, SIZE + 1, NULL), FAILED);
	ASSERT_TRUE(still_there(&self->l, index, 1, SIZE / 2));
	ASSERT_EQ(call_words(&self->l, FREE, &index, 1, NULL), REPLY);
	ASSERT_EQ(hold(&self->l, 3, SIZE / 2 + 1, NULL), REPLY);
}

/* Of a mapping that is too long the driver uses the first 4 MiB. */
TEST_F(binder, four_megabytes)
{
	uint64_t index;

	stop(self->manager);
	self->manager = start_manager_flags(self->device.path, 2 * BINDER_MAX_SIZE, 0,
					    variant->flags);
	ASSERT_GT(self->manager, 0);
	ASSERT_EQ(hold(&self->l, 1, BINDER_MAX_SIZE + 1, NULL), FAILED);
	ASSERT_EQ(hold(&self->l, 2, BINDER_MAX_SIZE - 3 * PAGE, &index), REPLY);
	ASSERT_TRUE(still_there(&self->l, index, 2, BINDER_MAX_SIZE - 3 * PAGE));
	ASSERT_EQ(hold(&self->l, 3, 4 * PAGE, NULL), FAILED);
}

/* The mapping can be read, and never be written. */
TEST_F(binder, never_writable)
{
	int flags = variant->flags;
	struct event reply;
	struct binder b;

	ASSERT_EQ(looper_call(&self->l, CONTEXT_MANAGER, PING, 0, NULL, &reply), BR_REPLY);
	ASSERT_EQ(try_read((void *)event_data(&reply)), 0);
	ASSERT_EQ(try_write((void *)event_data(&reply)), SIGSEGV);
	ASSERT_EQ(mprotect(self->b.map, PAGE, PROT_READ | PROT_WRITE), -1);
	ASSERT_EQ(errno, EACCES);
	ASSERT_EQ(try_write((void *)event_data(&reply)), SIGSEGV);
	looper_free(&self->l, reply.data.data.ptr.buffer);

	ASSERT_EQ(binder_open(&b, self->device.path, 0), 0);
	ASSERT_EQ(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags, b.fd, 0), MAP_FAILED);
	ASSERT_EQ(errno, EPERM);
	ASSERT_EQ(mmap(NULL, SIZE, PROT_WRITE, flags, b.fd, 0), MAP_FAILED);
	ASSERT_EQ(errno, EPERM);
	/* The refused ones count for nothing. */
	b.map = mmap(NULL, SIZE, PROT_READ, flags, b.fd, 0);
	ASSERT_NE(b.map, MAP_FAILED);
	binder_close(&b);
}

/* Another process cannot write there by other ways, either. */
TEST_F(binder, never_written)
{
	struct event reply;
	struct message m = {};
	int fd;

	put_pattern(&m, 5, 100);
	ASSERT_EQ(looper_call(&self->l, CONTEXT_MANAGER, ECHO, 0, &m, &reply), BR_REPLY);
	fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	ASSERT_GE(fd, 0);
	/* A debugger's write would have to copy the page, which a mapping must allow. */
	ASSERT_EQ(pwrite(fd, "x", 1, (off_t)reply.data.data.ptr.buffer), -1);
	ASSERT_TRUE(is_pattern(event_data(&reply), 5, 100));
	looper_free(&self->l, reply.data.data.ptr.buffer);
	close(fd);
	message_free(&m);
}

/* A file has one mapping, once. */
TEST_F(binder, map_again)
{
	ASSERT_EQ(mmap(NULL, SIZE, PROT_READ, variant->flags, self->b.fd, 0), MAP_FAILED);
	ASSERT_EQ(errno, EBUSY);
	/* The first one is as it was. */
	ASSERT_EQ(echo(&self->l, CONTEXT_MANAGER, 1, 10000), REPLY);
	ASSERT_EQ(munmap(self->b.map, SIZE), 0);
	self->b.map = mmap(NULL, SIZE, PROT_READ, variant->flags, self->b.fd, 0);
	ASSERT_EQ(self->b.map, MAP_FAILED);
	ASSERT_EQ(errno, EBUSY);
	self->b.map = NULL;
}

/* Nor is it mapped by another process than the one that has opened it. */
TEST_F(binder, map_elsewhere)
{
	struct binder b;
	pid_t pid;

	ASSERT_EQ(binder_open(&b, self->device.path, 0), 0);
	pid = fork_child();
	if (!pid)
		_exit(mmap(NULL, SIZE, PROT_READ, variant->flags, b.fd, 0) == MAP_FAILED ?
		      errno : 0);
	ASSERT_EQ(wait_child(pid), EINVAL);
	b.map = mmap(NULL, SIZE, PROT_READ, variant->flags, b.fd, 0);
	ASSERT_NE(b.map, MAP_FAILED);
	binder_close(&b);
}

/* Nor by a process that got it over a socket, while the one that has opened it lives or after. */
TEST_F(binder, map_received)
{
	int pair[2], fd;
	struct binder b;
	pid_t pid;
	char c;

	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pid = fork_child();
	if (!pid)
		_exit(binder_open(&b, self->device.path, 0) || send_fd(pair[1], b.fd) ||
		      read(pair[1], &c, 1) != 1);
	fd = receive_fd(pair[0]);
	ASSERT_GE(fd, 0);
	for (int lives = 1; lives >= 0; lives--) {
		EXPECT_EQ(mmap(NULL, SIZE, PROT_READ, variant->flags, fd, 0), MAP_FAILED);
		EXPECT_EQ(errno, EINVAL);
		if (lives) {
			ASSERT_EQ(write(pair[0], "", 1), 1);
			ASSERT_EQ(wait_child(pid), 0);
		}
	}
	/* What was sent to another process does not come here. */
	ASSERT_EQ(echo(&self->l, CONTEXT_MANAGER, 1, 10000), REPLY);
	close(fd);
	close(pair[0]);
	close(pair[1]);
}

#define MAP_AFTER_EXEC	"RUST_BINDER_MAP_AFTER_EXEC"

/* Of this program again: maps the file, and does nothing else. */
static void __attribute__((constructor)) map_after_exec(void)
{
	const char *file = getenv(MAP_AFTER_EXEC);
	int fd, flags;

	if (file && sscanf(file, "%d %d", &fd, &flags) == 2)
		_exit(mmap(NULL, SIZE, PROT_READ, flags, fd, 0) == MAP_FAILED ? errno : 0);
}

/* Nor in another mm of the same process. */
TEST_F(binder, map_after_exec)
{
	char file[32];
	struct binder b;
	pid_t pid;

	pid = fork_child();
	if (!pid) {
		if (binder_open(&b, self->device.path, 0) || fcntl(b.fd, F_SETFD, 0))
			_exit(255);
		snprintf(file, sizeof(file), "%d %d", b.fd, variant->flags);
		setenv(MAP_AFTER_EXEC, file, 1);
		execl("/proc/self/exe", "rust_binder", NULL);
		_exit(255);
	}
	ASSERT_EQ(wait_child(pid), EINVAL);
}

/* A child does not have the mapping; its parent's goes on. */
TEST_F(binder, fork)
{
	pid_t pid;

	ASSERT_TRUE(has_vm_flag(self->b.map, "dc"));
	pid = fork_child();
	if (!pid)
		_exit(try_read(self->b.map));
	ASSERT_EQ(wait_child(pid), SIGSEGV);
	ASSERT_EQ(echo(&self->l, CONTEXT_MANAGER, 1, 10000), REPLY);
	/* User space cannot change that. */
	ASSERT_EQ(madvise(self->b.map, SIZE, MADV_DOFORK), -1);
	ASSERT_EQ(errno, EINVAL);
	ASSERT_TRUE(has_vm_flag(self->b.map, "dc"));
}

/* --- mappings that change while others send */

struct change {
	enum code code;
	bool may_refuse;	/* RUST may answer the change with EINVAL, and goes on then */
	int first[DRIVERS];	/* how a call may end then whose pages were used before */
	int later[DRIVERS];	/* one that needs pages that were never used */
};

/*
 * Changes the mapping of the manager, and sends to it: the sender does not hang, and the manager
 * does not get what it cannot read.
 *
 * Upstream's Rust Binder is not called when its mapping goes. It sends to pages that it has used
 * before, although the receiver cannot read them.
 */
static void change_and_send(struct __test_metadata *_metadata, struct looper *l,
			    const struct change *change)
{
	uint64_t failed = ~0UL, signal = ~0UL;
	struct message m = {};
	int ret;

	/* Page 0 is used, and freed again. */
	ASSERT_EQ(echo(l, CONTEXT_MANAGER, 1, 100), REPLY);
	ASSERT_EQ(call(l, CONTEXT_MANAGER, change->code, NULL, &failed), REPLY);
	if (this_driver == RUST && change->may_refuse && failed) {
		EXPECT_EQ(failed, EINVAL);
		EXPECT_EQ(echo(l, CONTEXT_MANAGER, 2, 400000), REPLY);
		return;
	}
	EXPECT_EQ(failed, 0);

	put_pattern(&m, 2, 100);
	ret = call(l, CONTEXT_MANAGER, UNREADABLE, &m, &signal);
	message_free(&m);
	EXPECT_NE(ret & change->first[this_driver], 0) {
		TH_LOG("the first call ended with %d", ret);
	}
	if (ret == REPLY && this_driver != RUST_BEFORE)
		EXPECT_EQ(signal, 0);

	put_pattern(&m, 3, 400000);
	ret = call(l, CONTEXT_MANAGER, UNREADABLE, &m, &signal);
	message_free(&m);
	EXPECT_NE(ret & change->later[this_driver], 0) {
		TH_LOG("the later call ended with %d", ret);
	}
	if (ret == REPLY)
		EXPECT_EQ(signal, 0);
}

/* In the middle of a transaction, whose reply arrives; then nothing is sent to it. */
TEST_F_TIMEOUT(binder, unmap, TIMEOUT)
{
	static const struct change unmapped = {
		.code = UNMAP,
		.first = { [RUST] = ERROR, [RUST_BEFORE] = REPLY, [C] = DEAD },
		.later = { [RUST] = ERROR, [RUST_BEFORE] = FAILED, [C] = DEAD },
	};

	change_and_send(_metadata, &self->l, &unmapped);
}

TEST_F_TIMEOUT(binder, move, TIMEOUT)
{
	static const struct change moved = {
		.code = MOVE,
		.may_refuse = true,
		.first = { [RUST] = ERROR, [RUST_BEFORE] = REPLY, [C] = DEAD },
		.later = { [RUST] = ERROR, [RUST_BEFORE] = FAILED, [C] = DEAD },
	};

	change_and_send(_metadata, &self->l, &moved);
}

TEST_F_TIMEOUT(binder, unmap_tail, TIMEOUT)
{
	static const struct change shortened = {
		.code = UNMAP_TAIL,
		.may_refuse = true,
		.first = { [RUST] = REPLY | ERROR, [RUST_BEFORE] = REPLY, [C] = DEAD },
		.later = { [RUST] = ERROR, [RUST_BEFORE] = FAILED, [C] = DEAD },
	};

	change_and_send(_metadata, &self->l, &shortened);
}

/*
 * Split by mprotect(), and all of it readable again. Upstream's Rust Binder then inserts no page
 * behind the first VMA.
 */
TEST_F_TIMEOUT(binder, split, TIMEOUT)
{
	static const struct change split = {
		.code = PROTECT,
		.may_refuse = true,
		.first = { [RUST] = REPLY | ERROR, [RUST_BEFORE] = REPLY, [C] = REPLY },
		.later = { [RUST] = REPLY | ERROR, [RUST_BEFORE] = FAILED, [C] = REPLY },
	};

	change_and_send(_metadata, &self->l, &split);
}

/* Returns the kilobytes that a process has in memory of what it maps at an address, or -1. */
static long rss_of(pid_t pid, unsigned long start)
{
	unsigned long from = 0, to, at;
	char path[64], line[512];
	long kb, found = -1;
	FILE *smaps;

	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	smaps = fopen(path, "r");
	while (smaps && found < 0 && fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &at, &to) == 2)
			from = at;
		else if (from == start && sscanf(line, "Rss: %ld", &kb) == 1)
			found = kb;
	}
	if (smaps)
		fclose(smaps);
	return found;
}

/*
 * Another mapping where the buffer was, even one of the same driver: no page is put there, nor
 * taken from there (CVE-2026-43434).
 */
TEST_F_TIMEOUT(binder, other_mapping, TIMEOUT)
{
	static const int first[] = { [RUST] = ERROR, [RUST_BEFORE] = REPLY, [C] = DEAD };
	static const int later[] = { [RUST] = ERROR, [RUST_BEFORE] = FAILED, [C] = DEAD };
	uint64_t address = 0;

	ASSERT_EQ(echo(&self->l, CONTEXT_MANAGER, 1, 100), REPLY);
	ASSERT_EQ(call(&self->l, CONTEXT_MANAGER, REPLACE, NULL, &address), REPLY);
	ASSERT_NE(address, 0);
	EXPECT_NE(call(&self->l, CONTEXT_MANAGER, PING, NULL, NULL) & first[this_driver], 0);
	EXPECT_NE(hold(&self->l, 1, 400000, NULL) & later[this_driver], 0);
	EXPECT_EQ(rss_of(self->manager, address), 0);
	ASSERT_TRUE(reclaimable() < 0 || !reclaim(100000));
	EXPECT_EQ(rss_of(self->manager, address), 0);
}

/* A buffer that its process has received before it unmaps can still be freed. */
TEST_F(binder, free_after_unmap)
{
	uint64_t failed = ~0UL;

	ASSERT_EQ(hold(&self->l, 1, 100000, NULL), REPLY);
	ASSERT_EQ(hold(&self->l, 2, 10000, NULL), REPLY);
	ASSERT_EQ(call(&self->l, CONTEXT_MANAGER, UNMAP, NULL, &failed), REPLY);
	ASSERT_EQ(failed, 0);
	stop(self->manager);
	self->manager = start_manager(self->device.path, SIZE);
	ASSERT_GT(self->manager, 0);
	ASSERT_EQ(echo(&self->l, CONTEXT_MANAGER, 1, 100000), REPLY);
}

/* A process that has not mapped anything cannot receive; the sender learns of it. */
TEST_F(binder, never_mapped)
{
	stop(self->manager);
	self->manager = start_manager(self->device.path, 0);
	ASSERT_GT(self->manager, 0);
	ASSERT_NE(echo(&self->l, CONTEXT_MANAGER, 1, 100) & ERROR, 0);
	ASSERT_NE(echo(&self->l, CONTEXT_MANAGER, 1, 0) & ERROR, 0);
}

/* The reply goes to the sender's mapping, which it has unmapped meanwhile. */
TEST_F(binder, reply_to_nothing)
{
	static const int replies[DRIVERS] = { [RUST] = ERROR, [RUST_BEFORE] = FAILED, [C] = ERROR };

	ASSERT_EQ(munmap(self->b.map, SIZE), 0);
	self->b.map = NULL;
	EXPECT_NE(echo(&self->l, CONTEXT_MANAGER, 1, 100) & replies[this_driver], 0);
}

/* A target that exits in the middle of a transaction. */
TEST_F(binder, exit)
{
	ASSERT_EQ(call(&self->l, CONTEXT_MANAGER, EXIT, NULL, NULL), DEAD);
	ASSERT_EQ(call(&self->l, CONTEXT_MANAGER, PING, NULL, NULL), DEAD);
}

/* --- objects */

/* An object that goes to the other process and comes back is the same object. */
TEST_F(binder, objects)
{
	const struct flat_binder_object *object;
	uint64_t handle = 0, zero = 0;
	struct message m = {};
	struct event reply;

	message_put_object(&m, 0x1000, 0x2000);
	ASSERT_EQ(call(&self->l, CONTEXT_MANAGER, KEEP_OBJECT, &m, &handle), REPLY);
	message_free(&m);
	ASSERT_NE(handle, 0);
	message_put(&m, &zero, sizeof(zero));
	ASSERT_EQ(looper_call(&self->l, CONTEXT_MANAGER, GIVE_OBJECT, 0, &m, &reply), BR_REPLY);
	message_free(&m);
	object = event_object(&reply, 0);
	ASSERT_EQ(object->hdr.type, BINDER_TYPE_BINDER);
	ASSERT_EQ(object->binder, 0x1000);
	ASSERT_EQ(object->cookie, 0x2000);
	looper_free(&self->l, reply.data.data.ptr.buffer);
	ASSERT_EQ(looper_flush(&self->l), 0);
	/* When no other process has it, its own learns of it. */
	looper_put(&self->l, BC_ENTER_LOOPER);
	ASSERT_EQ(call(&self->l, CONTEXT_MANAGER, DROP_OBJECTS, NULL, NULL), REPLY);
	looper_next(&self->l, &reply);
	EXPECT_EQ(reply.command, BR_RELEASE);
	EXPECT_EQ(reply.cookie, 0x2000);
}

/* While this thread waits, the other process calls it back: it is the one that answers. */
TEST_F(binder, call_back)
{
	uint64_t command;
	struct message m = {};
	struct event e;

	message_put_object(&m, 0x1000, 0x2000);
	ASSERT_EQ(looper_call(&self->l, CONTEXT_MANAGER, CALL_OBJECT, 0, &m, &e), BR_TRANSACTION);
	message_free(&m);
	ASSERT_EQ(e.data.code, PING);
	ASSERT_EQ(e.data.target.ptr, 0x1000);
	ASSERT_EQ(e.data.cookie, 0x2000);
	ASSERT_EQ(e.data.sender_pid, self->manager);
	looper_free(&self->l, e.data.data.ptr.buffer);
	ASSERT_EQ(looper_reply(&self->l, 0, NULL), BR_TRANSACTION_COMPLETE);
	looper_next(&self->l, &e);
	ASSERT_EQ(e.command, BR_REPLY);
	memcpy(&command, event_data(&e), sizeof(command));
	ASSERT_EQ(command, BR_REPLY);
}

/* A handle that this process does not have. */
TEST_F(binder, no_such_handle)
{
	ASSERT_EQ(call(&self->l, 77, PING, NULL, NULL), FAILED);
	ASSERT_EQ(call(&self->l, CONTEXT_MANAGER, PING, NULL, NULL), REPLY);
}

/* Objects that are no objects: refused, and nothing of them stays. */
TEST_F(binder, bad_objects)
{
	struct message m = {};
	uint32_t zero = 0;

	message_put_handle(&m, 99);
	EXPECT_EQ(call(&self->l, CONTEXT_MANAGER, PING, &m, NULL), FAILED);
	m.offsets[0] = 4096;
	EXPECT_EQ(call(&self->l, CONTEXT_MANAGER, PING, &m, NULL), FAILED);
	m.offsets[0] = 2;
	EXPECT_EQ(call(&self->l, CONTEXT_MANAGER, PING, &m, NULL), FAILED);
	m.offsets[0] = ~0UL - 7;
	EXPECT_EQ(call(&self->l, CONTEXT_MANAGER, PING, &m, NULL), FAILED);
	m.offsets[0] = 0;
	memcpy(m.data, &zero, sizeof(zero));
	EXPECT_EQ(call(&self->l, CONTEXT_MANAGER, PING, &m, NULL), FAILED);
	message_free(&m);
	message_put_fd(&m, 1234);
	EXPECT_EQ(call(&self->l, CONTEXT_MANAGER, PING, &m, NULL), FAILED);
	message_free(&m);
	/* A buffer that cannot be read. */
	message_put_buffer(&m, (void *)16, 100);
	EXPECT_EQ(call(&self->l, CONTEXT_MANAGER, PING, &m, NULL), FAILED);
	message_free(&m);
	/* Data that cannot be read. */
	m.data = (void *)16;
	m.size = 5000;
	EXPECT_EQ(call(&self->l, CONTEXT_MANAGER, PING, &m, NULL), FAILED);
	EXPECT_EQ(echo(&self->l, CONTEXT_MANAGER, 1, 10000), REPLY);
}

/* Descriptors, in both directions. */
TEST_F(binder, descriptors)
{
	const struct binder_fd_object *object;
	struct message m = {};
	struct event reply;
	char buf[64];
	int fd;

	fd = text_fd("from the client");
	ASSERT_GE(fd, 0);
	message_put_fd(&m, fd);
	ASSERT_EQ(looper_call(&self->l, CONTEXT_MANAGER, READ_FD, TF_ACCEPT_FDS, &m, &reply),
		  BR_REPLY);
	message_free(&m);
	close(fd);
	ASSERT_EQ(reply.data.data_size, 15);
	ASSERT_EQ(memcmp(event_data(&reply), "from the client", 15), 0);
	looper_free(&self->l, reply.data.data.ptr.buffer);

	ASSERT_EQ(looper_call(&self->l, CONTEXT_MANAGER, GIVE_FD, TF_ACCEPT_FDS, NULL, &reply),
		  BR_REPLY);
	object = event_object(&reply, 0);
	ASSERT_EQ(object->hdr.type, BINDER_TYPE_FD);
	ASSERT_EQ(pread(object->fd, buf, sizeof(buf), 0), 15);
	ASSERT_EQ(memcmp(buf, "from the server", 15), 0);
	close(object->fd);
	looper_free(&self->l, reply.data.data.ptr.buffer);
	/* Not if this side does not want any. */
	ASSERT_EQ(looper_call(&self->l, CONTEXT_MANAGER, GIVE_FD, 0, NULL, &reply),
		  BR_FAILED_REPLY);
}

/* Buffers that hang on the message, one in another; they all are in the receiver's mapping. */
TEST_F(binder, scatter_gather)
{
	struct message m = {};
	struct event reply;
	char *outer = calloc(1, 20000), *inner = calloc(1, 9000);
	unsigned int parent;

	for (int i = 0; i < 20000; i++)
		outer[i] = pattern_byte(1, i);
	for (int i = 0; i < 9000; i++)
		inner[i] = pattern_byte(2, i);
	message_put(&m, "head", 4);
	parent = message_put_buffer(&m, outer, 20000);
	message_put_child(&m, inner, 9000, parent, 8192);
	ASSERT_EQ(looper_call(&self->l, CONTEXT_MANAGER, READ_BUFFERS, 0, &m, &reply), BR_REPLY);
	message_free(&m);
	ASSERT_EQ(reply.data.data_size, 29000);
	/* The pointer to the inner one was written for the receiver. */
	ASSERT_TRUE(is_pattern(event_data(&reply), 1, 8192));
	ASSERT_FALSE(is_pattern(event_data(&reply), 1, 8200));
	ASSERT_TRUE(is_pattern(event_data(&reply) + 20000, 2, 9000));
	looper_free(&self->l, reply.data.data.ptr.buffer);

	/* A pointer that would not lie in its parent. */
	parent = message_put_buffer(&m, outer, 20000);
	message_put_child(&m, inner, 9000, parent, 19999);
	ASSERT_EQ(looper_call(&self->l, CONTEXT_MANAGER, READ_BUFFERS, 0, &m, &reply),
		  BR_FAILED_REPLY);
	message_free(&m);
	free(outer);
	free(inner);
}

/* An array of descriptors in such a buffer. */
TEST_F(binder, descriptor_array)
{
	uint32_t fds[3];
	struct message m = {};
	struct event reply;
	unsigned int parent;

	for (int i = 0; i < 3; i++) {
		fds[i] = text_fd(&"abc"[i]);
		ASSERT_GE((int)fds[i], 0);
	}
	/* C Binder does not take the first byte of a message for a parent. */
	message_put(&m, "head", 4);
	parent = message_put_buffer(&m, fds, sizeof(fds));
	message_put_fds(&m, 3, parent, 0);
	ASSERT_EQ(looper_call(&self->l, CONTEXT_MANAGER, READ_FDS, TF_ACCEPT_FDS, &m, &reply),
		  BR_REPLY);
	ASSERT_EQ(reply.data.data_size, 6);
	ASSERT_EQ(memcmp(event_data(&reply), "abcbcc", 6), 0);
	looper_free(&self->l, reply.data.data.ptr.buffer);
	message_free(&m);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

/* One-way calls arrive in their order, and wait for each other's buffers to be freed. */
TEST_F(binder, oneway)
{
	struct event e;
	struct message m = {};

	for (int i = 0; i < 20; i++) {
		put_pattern(&m, i, 5000);
		ASSERT_EQ(looper_call(&self->l, CONTEXT_MANAGER, ECHO, TF_ONE_WAY, &m, &e),
			  BR_TRANSACTION_COMPLETE);
		message_free(&m);
	}
	ASSERT_EQ(echo(&self->l, CONTEXT_MANAGER, 1, 5000), REPLY);
	/* Half of the buffer is for them. */
	put_pattern(&m, 1, SIZE / 2 + PAGE);
	ASSERT_EQ(looper_call(&self->l, CONTEXT_MANAGER, PING, TF_ONE_WAY, &m, &e),
		  BR_FAILED_REPLY);
	message_free(&m);
}

/* A thread can wait with poll(2). */
TEST_F(binder, poll)
{
	struct pollfd fd = { .fd = self->b.fd, .events = POLLIN };
	struct message m = {};
	struct event e;

	looper_put(&self->l, BC_ENTER_LOOPER);
	message_put_object(&m, 0x1000, 0x2000);
	ASSERT_EQ(call(&self->l, CONTEXT_MANAGER, KEEP_OBJECT, &m, NULL), REPLY);
	message_free(&m);
	ASSERT_EQ(looper_flush(&self->l), 0);
	ASSERT_EQ(poll(&fd, 1, 100), 0);
	ASSERT_EQ(call(&self->l, CONTEXT_MANAGER, POKE_OBJECT, NULL, NULL), REPLY);
	ASSERT_EQ(looper_flush(&self->l), 0);
	ASSERT_EQ(poll(&fd, 1, 10000), 1);
	ASSERT_EQ(fd.revents, POLLIN);
	looper_next(&self->l, &e);
	ASSERT_EQ(e.command, BR_TRANSACTION);
	ASSERT_EQ(e.data.cookie, 0x2000);
	looper_free(&self->l, e.data.data.ptr.buffer);
	ASSERT_EQ(looper_flush(&self->l), 0);
}

/* Who asks for it learns of a process that dies. */
TEST_F(binder, death)
{
	struct event e;

	looper_put(&self->l, BC_ENTER_LOOPER);
	looper_put32(&self->l, BC_ACQUIRE, CONTEXT_MANAGER);
	looper_put_cookie(&self->l, BC_REQUEST_DEATH_NOTIFICATION, CONTEXT_MANAGER, 0x1234);
	ASSERT_EQ(call(&self->l, CONTEXT_MANAGER, PING, NULL, NULL), REPLY);
	stop(self->manager);
	looper_next(&self->l, &e);
	ASSERT_EQ(e.command, BR_DEAD_BINDER);
	ASSERT_EQ(e.cookie, 0x1234);
	looper_put64(&self->l, BC_DEAD_BINDER_DONE, 0x1234);
	ASSERT_EQ(call(&self->l, CONTEXT_MANAGER, PING, NULL, NULL), DEAD);
}

/* Who takes the wish back does not. */
TEST_F(binder, no_death)
{
	struct event e;

	looper_put(&self->l, BC_ENTER_LOOPER);
	looper_put32(&self->l, BC_ACQUIRE, CONTEXT_MANAGER);
	looper_put_cookie(&self->l, BC_REQUEST_DEATH_NOTIFICATION, CONTEXT_MANAGER, 0x1234);
	looper_put_cookie(&self->l, BC_CLEAR_DEATH_NOTIFICATION, CONTEXT_MANAGER, 0x1234);
	looper_next(&self->l, &e);
	ASSERT_EQ(e.command, BR_CLEAR_DEATH_NOTIFICATION_DONE);
	ASSERT_EQ(e.cookie, 0x1234);
	stop(self->manager);
	ASSERT_NE(call(&self->l, CONTEXT_MANAGER, PING, NULL, NULL) & ERROR, 0);
}

static void *call_thread(void *data)
{
	struct binder *b = data;
	struct looper l;
	uint64_t id = 0;

	looper_init(&l, b);
	return call(&l, CONTEXT_MANAGER, THREAD, NULL, &id) == REPLY ? (void *)id : NULL;
}

/* The driver asks for threads, and uses them. */
TEST_F_TIMEOUT(binder, threads, TIMEOUT)
{
	pthread_t threads[4];
	void *ids[4];
	int others = 0;

	stop(self->manager);
	self->manager = start_manager_flags(self->device.path, SIZE, 3, variant->flags);
	ASSERT_GT(self->manager, 0);
	/* The first round makes it ask. */
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 4; i++)
			ASSERT_EQ(pthread_create(&threads[i], NULL, call_thread, &self->b), 0);
		for (int i = 0; i < 4; i++) {
			ASSERT_EQ(pthread_join(threads[i], &ids[i]), 0);
			ASSERT_NE(ids[i], NULL);
		}
	}
	for (int i = 1; i < 4; i++)
		others += ids[i] != ids[0];
	EXPECT_GT(others, 0);
}

/* --- many processes */

#define MANY	20

/* One of many: gives an object to the manager, serves it in one thread, and calls the others. */
static void one_of_many(const char *path, int self, int ready, int go)
{
	static struct server server;
	struct message m = {};
	struct event reply;
	struct looper l;
	pthread_t thread;
	uint64_t other;
	char c;

	pthread_mutex_init(&server.lock, NULL);
	if (binder_open(&server.b, path, SIZE) || binder_set_max_threads(&server.b, 0))
		_exit(1);
	looper_init(&l, &server.b);
	message_put_object(&m, self + 1, 0);
	if (call(&l, CONTEXT_MANAGER, KEEP_OBJECT, &m, NULL) != REPLY)
		_exit(2);
	message_free(&m);
	pthread_create(&thread, NULL, serve_entered, &server);
	if (write(ready, "r", 1) != 1 || read(go, &c, 1) != 1)
		_exit(3);
	for (int i = 0; i < MANY; i++) {
		const struct flat_binder_object *object;
		uint32_t handle;

		other = (self + i) % MANY;
		message_put(&m, &other, sizeof(other));
		if (looper_call(&l, CONTEXT_MANAGER, GIVE_OBJECT, 0, &m, &reply) != BR_REPLY)
			_exit(4);
		message_free(&m);
		object = event_object(&reply, 0);
		if (object->hdr.type == BINDER_TYPE_HANDLE) {
			handle = object->handle;
			looper_put32(&l, BC_ACQUIRE, handle);
			looper_free(&l, reply.data.data.ptr.buffer);
			for (int j = 0; j < 5; j++)
				if (echo(&l, handle, self * 100 + j, 1 + 7919 * j) != REPLY)
					_exit(5);
			looper_put32(&l, BC_RELEASE, handle);
		} else {
			looper_free(&l, reply.data.data.ptr.buffer);
		}
	}
	if (looper_flush(&l) || write(ready, "d", 1) != 1)
		_exit(6);
	/* The others may still call. */
	pause();
}

/* Each of twenty processes calls each other one. */
TEST_F_TIMEOUT(binder, twenty_processes, TIMEOUT)
{
	int ready[2], go[2];
	pid_t pids[MANY];
	char c;

	ASSERT_EQ(pipe(ready), 0);
	ASSERT_EQ(pipe(go), 0);
	for (int i = 0; i < MANY; i++) {
		pids[i] = fork_child();
		if (!pids[i]) {
			close(ready[0]);
			one_of_many(self->device.path, i, ready[1], go[0]);
		}
	}
	close(ready[1]);
	for (int i = 0; i < MANY; i++)
		ASSERT_EQ(read(ready[0], &c, 1), 1);
	for (int i = 0; i < MANY; i++)
		ASSERT_EQ(write(go[1], "g", 1), 1);
	for (int i = 0; i < MANY; i++)
		EXPECT_EQ(read(ready[0], &c, 1), 1);
	for (int i = 0; i < MANY; i++)
		stop(pids[i]);
	close(ready[0]);
	close(go[0]);
	close(go[1]);
}

/* --- races */

/* Calls without a pause. Exits with 1 if a reply has other bytes. */
static void sender(const char *path, const size_t *lengths, size_t count)
{
	struct binder b;
	struct looper l;
	unsigned int i = 0;

	if (binder_open(&b, path, SIZE))
		_exit(2);
	looper_init(&l, &b);
	for (;; i++) {
		struct message m = {};
		struct event reply;
		uint32_t command;

		put_pattern(&m, i, lengths[i % count]);
		command = looper_call(&l, CONTEXT_MANAGER, ECHO, 0, &m, &reply);
		if (command == BR_REPLY) {
			if (reply.data.data_size != m.size ||
			    !is_pattern(event_data(&reply), i, m.size))
				_exit(1);
			looper_free(&l, reply.data.data.ptr.buffer);
		} else if (!outcome(command)) {
			_exit(3);
		}
		message_free(&m);
	}
}

static const size_t lengths[] = { 100, 70000, 5000, 300000 };

/* Targets that exit at any time while others send. */
TEST_F_TIMEOUT(binder, race_exit, TIMEOUT)
{
	pid_t senders[3];

	for (int i = 0; i < 3; i++) {
		senders[i] = fork_child();
		if (!senders[i])
			sender(self->device.path, lengths, ARRAY_SIZE(lengths));
	}
	for (int i = 0; i < 40; i++) {
		usleep(rand() % 20000);
		stop(self->manager);
		self->manager = start_manager(self->device.path, SIZE);
		ASSERT_GT(self->manager, 0);
	}
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(waitpid(senders[i], NULL, WNOHANG), 0);
		stop(senders[i]);
	}
	EXPECT_EQ(echo(&self->l, CONTEXT_MANAGER, 1, 10000), REPLY);
}

/* A target with a thread that unmaps, while others send. */
TEST_F_TIMEOUT(binder, race_unmap, TIMEOUT)
{
	pid_t senders[2], target;
	struct server server;
	struct looper l;
	pthread_t thread;

	stop(self->manager);
	for (int i = 0; i < 2; i++) {
		senders[i] = fork_child();
		if (!senders[i])
			sender(self->device.path, lengths, ARRAY_SIZE(lengths));
	}
	for (int i = 0; i < 40; i++) {
		target = fork_child();
		if (!target) {
			memset(&server, 0, sizeof(server));
			pthread_mutex_init(&server.lock, NULL);
			if (binder_open(&server.b, self->device.path, SIZE))
				_exit(1);
			while (binder_become_manager(&server.b))
				usleep(500);
			looper_init(&l, &server.b);
			pthread_create(&thread, NULL, serve_entered, &server);
			usleep(rand() % 20000);
			/* As munmap(), but malloc() does not get the addresses. */
			mmap(server.b.map, SIZE, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			usleep(2000);
			_exit(0);
		}
		/* Its thread may die of an access to bytes that are just gone. */
		waitpid(target, NULL, 0);
	}
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(waitpid(senders[i], NULL, WNOHANG), 0);
		stop(senders[i]);
	}
	self->manager = start_manager(self->device.path, SIZE);
	ASSERT_GT(self->manager, 0);
	EXPECT_EQ(echo(&self->l, CONTEXT_MANAGER, 1, 10000), REPLY);
}

/* --- memory pressure */

/* Pages that no buffer uses can be reclaimed; they come back when they are needed. */
TEST_F_TIMEOUT(binder, shrink, TIMEOUT)
{
	uint64_t index;
	long count, left;

	if (no_reclaim())
		SKIP(return, "%s", no_reclaim());
	ASSERT_EQ(hold(&self->l, 1, 20 * PAGE, &index), REPLY);
	for (int round = 0; round < 10; round++) {
		ASSERT_EQ(echo(&self->l, CONTEXT_MANAGER, round, 50 * PAGE), REPLY);
		/* The manager has freed its buffer before it has replied. */
		ASSERT_EQ(looper_flush(&self->l), 0);
		count = reclaimable();
		ASSERT_GE(count, 95);
		ASSERT_EQ(reclaim(10), 0);
		/* A page that was used again since it was put into the list is spared once. */
		left = reclaimable();
		ASSERT_GE(left, count - 10);
		ASSERT_LT(left, count);
		ASSERT_EQ(reclaim(100000), 0);
		/* What is in use stays. */
		ASSERT_EQ(reclaimable(), 0);
		ASSERT_TRUE(still_there(&self->l, index, 1, 20 * PAGE));
	}
}

/* Pages that are used again stay, although the driver has had them ready for the shrinker. */
TEST_F(binder, shrink_used_again)
{
	uint64_t index;

	if (no_reclaim())
		SKIP(return, "%s", no_reclaim());
	ASSERT_EQ(echo(&self->l, CONTEXT_MANAGER, 1, 30 * PAGE), REPLY);
	ASSERT_EQ(looper_flush(&self->l), 0);
	ASSERT_GE(reclaimable(), 55);
	/* At the place of the buffer that the manager has freed. */
	ASSERT_EQ(hold(&self->l, 2, 20 * PAGE, &index), REPLY);
	ASSERT_EQ(reclaim(100000), 0);
	ASSERT_EQ(reclaimable(), 0);
	ASSERT_TRUE(still_there(&self->l, index, 2, 20 * PAGE));
}

/* Pages that were reclaimed are not what their process still sees. */
TEST_F(binder, shrink_unmaps)
{
	const size_t len = 10 * PAGE;
	struct message m = {};
	struct event reply;
	char *data;

	if (no_reclaim())
		SKIP(return, "%s", no_reclaim());
	put_pattern(&m, 1, len);
	ASSERT_EQ(looper_call(&self->l, CONTEXT_MANAGER, ECHO, 0, &m, &reply), BR_REPLY);
	message_free(&m);
	data = (char *)event_data(&reply);
	/* In use: not for the shrinker. */
	ASSERT_EQ(reclaim(100000), 0);
	ASSERT_TRUE(is_pattern(data, 1, len));
	ASSERT_GE(smaps_kb(self->b.map, "Rss:"), len / 1024);
	looper_free(&self->l, (binder_uintptr_t)data);
	ASSERT_EQ(looper_flush(&self->l), 0);
	ASSERT_EQ(reclaim(100000), 0);
	ASSERT_EQ(smaps_kb(self->b.map, "Rss:"), 0);
	/* Nothing is faulted in. */
	for (size_t i = 0; i < len; i += PAGE)
		ASSERT_EQ(try_read(data + i), SIGBUS);
	ASSERT_EQ(echo(&self->l, CONTEXT_MANAGER, 1, 10000), REPLY);
}

/* The kernel calls the shrinker with all others, as it does when memory is short. */
TEST_F(binder, drop_caches)
{
	if (no_reclaim())
		SKIP(return, "%s", no_reclaim());
	ASSERT_EQ(echo(&self->l, CONTEXT_MANAGER, 1, 100 * PAGE), REPLY);
	ASSERT_EQ(looper_flush(&self->l), 0);
	ASSERT_GE(reclaimable(), 195);
	ASSERT_EQ(write_text("/proc/sys/vm/drop_caches", "2"), 0);
	EXPECT_LT(reclaimable(), 100);
	ASSERT_EQ(echo(&self->l, CONTEXT_MANAGER, 2, 100 * PAGE), REPLY);
}

/* The shrinker runs all the time, while processes send and others exit. */
TEST_F_TIMEOUT(binder, race_shrink, TIMEOUT)
{
	pid_t senders[3], shrinker;
	int status;

	if (reclaimable() < 0)
		SKIP(return, "no shrinker in debugfs");
	shrinker = fork_child();
	if (!shrinker)
		for (;;) {
			reclaim(1 + rand() % 64);
			usleep(rand() % 200);
		}
	for (int i = 0; i < 3; i++) {
		senders[i] = fork_child();
		if (!senders[i])
			sender(self->device.path, lengths, ARRAY_SIZE(lengths));
	}
	for (int i = 0; i < 20; i++) {
		usleep(100000);
		if (i % 4 == 3) {
			stop(self->manager);
			self->manager = start_manager(self->device.path, SIZE);
			ASSERT_GT(self->manager, 0);
		}
	}
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(waitpid(senders[i], &status, WNOHANG), 0);
		stop(senders[i]);
	}
	stop(shrinker);
	EXPECT_EQ(echo(&self->l, CONTEXT_MANAGER, 1, 10000), REPLY);
}

/* Returns the kilobytes of a line of /proc/meminfo. */
static long meminfo_kb(const char *key)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[128];
	long kb = -1;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			kb = atol(line + strlen(key));
	if (f)
		fclose(f);
	return kb;
}

/* All pages of a process are freed with it, those in use as well. */
TEST_F_TIMEOUT(binder, pages_of_the_dead, TIMEOUT)
{
	long before = 0, after;

	for (int i = 0; i < 60; i++) {
		if (i == 10) {
			/* Caches that grow meanwhile are no pages of Binder. */
			ASSERT_EQ(write_text("/proc/sys/vm/drop_caches", "3"), 0);
			before = meminfo_kb("MemFree:");
		}
		ASSERT_EQ(hold(&self->l, i, SIZE - 4 * PAGE, NULL), REPLY);
		stop(self->manager);
		self->manager = start_manager(self->device.path, SIZE);
		ASSERT_GT(self->manager, 0);
	}
	/* 50 processes had 1 MiB each. */
	for (int i = 0; i < 100; i++) {
		ASSERT_EQ(write_text("/proc/sys/vm/drop_caches", "3"), 0);
		after = meminfo_kb("MemFree:");
		if (before - after < 20 * 1024)
			break;
		usleep(50000);
	}
	EXPECT_LT(before - after, 20 * 1024);
}

TEST_HARNESS_MAIN
