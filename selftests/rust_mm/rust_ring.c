// SPDX-License-Identifier: GPL-2.0

/*
 * The sample driver rust_ring: rings of requests and replies in memory that user space and the
 * driver share. The driver must take each request once, must not believe what user space writes
 * to the mapping, and must never see a word that user space has not written.
 */

#include "rust_mm.h"
#include "../../../../samples/rust/mm/rust_ring.h"
#include "kselftest_harness.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>

#define MODULE	"rust_ring"
#define DEVICE	"/dev/rust_ring"
#define SLOTS	RUST_RING_SLOTS

#define RW	(PROT_READ | PROT_WRITE)

struct ring {
	int fd;
	char *map;
	struct rust_ring_indices *indices;
	struct rust_ring_request *requests;
	struct rust_ring_reply *replies;
	unsigned char *data;
};

static __u32 acquire(__u32 *index)
{
	return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

static void release(__u32 *index, __u32 value)
{
	__atomic_store_n(index, value, __ATOMIC_RELEASE);
}

/* Opens the device and maps it. Returns 0 or -errno. */
static int ring_open(struct ring *ring)
{
	ring->fd = open(DEVICE, O_RDWR);
	if (ring->fd < 0)
		return -errno;
	ring->map = mmap(NULL, RUST_RING_SIZE, RW, MAP_SHARED, ring->fd, 0);
	if (ring->map == MAP_FAILED)
		return -errno;
	ring->indices = (void *)ring->map;
	ring->requests = (void *)(ring->map + RUST_RING_REQUESTS);
	ring->replies = (void *)(ring->map + RUST_RING_REPLIES);
	ring->data = (void *)(ring->map + RUST_RING_DATA);
	return 0;
}

static void ring_close(struct ring *ring)
{
	munmap(ring->map, RUST_RING_SIZE);
	close(ring->fd);
}

/* Adds a request. Returns whether there was room. */
static bool ring_ask(struct ring *ring, struct rust_ring_request request)
{
	__u32 tail = ring->indices->request_tail;

	if (tail - acquire(&ring->indices->request_head) == SLOTS)
		return false;
	ring->requests[tail % SLOTS] = request;
	release(&ring->indices->request_tail, tail + 1);
	return true;
}

/* Takes a reply. Returns whether there was one. */
static bool ring_take(struct ring *ring, struct rust_ring_reply *reply)
{
	__u32 head = ring->indices->reply_head;

	if (acquire(&ring->indices->reply_tail) == head)
		return false;
	*reply = ring->replies[head % SLOTS];
	release(&ring->indices->reply_head, head + 1);
	return true;
}

/* Has the driver handle requests. Returns their number or -errno. */
static int ring_enter(struct ring *ring)
{
	int ret = ioctl(ring->fd, RUST_RING_ENTER);

	return ret < 0 ? -errno : ret;
}

/* Returns what poll(2) says, without waiting. */
static short ring_poll(struct ring *ring)
{
	struct pollfd pollfd = { .fd = ring->fd, .events = POLLIN | POLLOUT };

	return poll(&pollfd, 1, 0) < 0 ? -errno : pollfd.revents;
}

/* Has the driver handle one request. Returns the result, or -errno. */
static long ring_call(struct ring *ring, __u32 op, __u64 value, __u32 len)
{
	struct rust_ring_request request = { .id = 77, .op = op, .len = len, .value = value };
	struct rust_ring_reply reply;

	if (!ring_ask(ring, request) || ring_enter(ring) != 1 ||
	    !ring_take(ring, &reply) || reply.id != 77)
		return -EBADMSG;
	return reply.result;
}

FIXTURE(ring)
{
	struct ring ring;
};

FIXTURE_SETUP(ring)
{
	int ret = load_module(MODULE, "");

	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
		SKIP(return, "no " MODULE ".ko, and no $RUST_MM_MODULES");
	ASSERT_EQ(ret, 0);
	ASSERT_EQ(ring_open(&self->ring), 0);
}

FIXTURE_TEARDOWN(ring)
{
	ring_close(&self->ring);
	ASSERT_EQ(unload_module(MODULE), 0);
}

TEST_F(ring, requests_and_replies)
{
	struct rust_ring_reply reply;

	for (size_t i = 0; i < RUST_RING_SIZE; i++)
		ASSERT_EQ(self->ring.map[i], 0);
	ASSERT_EQ(ring_poll(&self->ring), POLLOUT);
	ASSERT_EQ(ring_enter(&self->ring), 0);
	ASSERT_FALSE(ring_take(&self->ring, &reply));

	ASSERT_EQ(ring_call(&self->ring, RUST_RING_ECHO, 42, 0), 42);
	ASSERT_EQ(ring_call(&self->ring, RUST_RING_ECHO, -3UL, 0), -3);
	ASSERT_EQ(ring_call(&self->ring, 2, 0, 0), -EOPNOTSUPP);

	for (int i = 0; i < RUST_RING_DATA_SIZE; i++)
		self->ring.data[i] = i % 7;
	ASSERT_EQ(ring_call(&self->ring, RUST_RING_SUM, 0, 7), 21);
	/* Across the boundary of two pages. */
	ASSERT_EQ(ring_call(&self->ring, RUST_RING_SUM, 4095, 2), 4095 % 7 + 4096 % 7);
	ASSERT_EQ(ring_call(&self->ring, RUST_RING_SUM, 7, 7000), 21000);
}

/* The driver reads nothing outside of the data. */
TEST_F(ring, bounds)
{
	struct ring *ring = &self->ring;

	memset(ring->data, 1, RUST_RING_DATA_SIZE);
	ASSERT_EQ(ring_call(ring, RUST_RING_SUM, 0, RUST_RING_DATA_SIZE), RUST_RING_DATA_SIZE);
	ASSERT_EQ(ring_call(ring, RUST_RING_SUM, 1, RUST_RING_DATA_SIZE), -EINVAL);
	ASSERT_EQ(ring_call(ring, RUST_RING_SUM, RUST_RING_DATA_SIZE, 0), 0);
	ASSERT_EQ(ring_call(ring, RUST_RING_SUM, RUST_RING_DATA_SIZE, 1), -EINVAL);
	ASSERT_EQ(ring_call(ring, RUST_RING_SUM, -1UL, 1), -EINVAL);
	ASSERT_EQ(ring_call(ring, RUST_RING_SUM, -1UL, -1U), -EINVAL);
	ASSERT_EQ(ring_call(ring, RUST_RING_SUM, 1UL << 63, 0), -EINVAL);
	ASSERT_EQ(ring_call(ring, RUST_RING_SUM, -RUST_RING_DATA, 1), -EINVAL);
}

/* Both rings are full, and wrap around. */
TEST_F(ring, full)
{
	struct ring *ring = &self->ring;
	struct rust_ring_reply reply;
	__u64 asked = 0, taken = 0;

	for (int round = 0; round < 5; round++) {
		while (ring_ask(ring, (struct rust_ring_request){ .id = asked, .value = ~asked }))
			asked++;
		ASSERT_EQ(ring_poll(ring) & POLLOUT, 0);
		ring_enter(ring);
		/* No room for more replies. */
		while (ring_ask(ring, (struct rust_ring_request){ .id = asked, .value = ~asked }))
			asked++;
		ASSERT_EQ(ring_enter(ring), 0);
		ASSERT_EQ(asked - taken, 2 * SLOTS);
		ASSERT_EQ(ring_poll(ring), POLLIN);
		for (int i = 0; i < SLOTS - 3; i++) {
			ASSERT_TRUE(ring_take(ring, &reply));
			ASSERT_EQ(reply.id, taken);
			ASSERT_EQ(reply.result, (__s64)~taken);
			taken++;
		}
		ASSERT_EQ(ring_enter(ring), SLOTS - 3);
	}
}

/* Indices that cannot be. */
TEST_F(ring, wrong_indices)
{
	struct ring *ring = &self->ring;
	static const __u32 wrong[] = { SLOTS + 1, -1U, 1U << 31 };

	ASSERT_EQ(ring_call(ring, RUST_RING_ECHO, 1, 0), 1);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		release(&ring->indices->request_tail, 1 + wrong[i]);
		ASSERT_EQ(ring_enter(ring), -ERANGE);
		ASSERT_EQ(ring_poll(ring), POLLERR);
		release(&ring->indices->request_tail, 1);

		release(&ring->indices->reply_head, 1 - wrong[i]);
		ASSERT_EQ(ring_poll(ring), POLLERR);
		release(&ring->indices->request_tail, 2);
		ASSERT_EQ(ring_enter(ring), -ERANGE);
		release(&ring->indices->request_tail, 1);
		release(&ring->indices->reply_head, 1);
		ASSERT_EQ(ring_enter(ring), 0);
	}
	/* The driver does not read its own indices in the mapping. */
	release(&ring->indices->request_head, 12345);
	release(&ring->indices->reply_tail, 54321);
	ASSERT_EQ(ring_enter(ring), 0);
	ASSERT_EQ(ring_poll(ring), POLLOUT);
	release(&ring->indices->request_head, 1);
	release(&ring->indices->reply_tail, 1);
	ASSERT_EQ(ring_call(ring, RUST_RING_ECHO, 5, 0), 5);
}

struct toggle {
	struct rust_ring_request *requests;
	int count;
	__u64 other;
	atomic_bool stop;
};

/* Changes the value of requests from zero to another one and back. */
static void *toggle_thread(void *arg)
{
	struct toggle *toggle = arg;
	__u64 value = 0;

	while (!atomic_load_explicit(&toggle->stop, memory_order_relaxed)) {
		value ^= toggle->other;
		for (int i = 0; i < toggle->count; i++)
			*(volatile __u64 *)&toggle->requests[i].value = value;
	}
	return NULL;
}

/* A word that user space changes meanwhile is one that it has written. */
TEST_F(ring, words_are_whole)
{
	struct ring *ring = &self->ring;
	struct toggle toggle = { ring->requests, SLOTS, -1, false };
	long zeroes = 0, ones = 0, others = 0;
	struct rust_ring_reply reply;
	pthread_t thread;

	ASSERT_EQ(pthread_create(&thread, NULL, toggle_thread, &toggle), 0);
	for (int i = 0; i < 3000 || ((!zeroes || !ones) && i < 100000); i++) {
		release(&ring->indices->request_tail, ring->indices->request_tail + SLOTS);
		ASSERT_EQ(ring_enter(ring), SLOTS);
		while (ring_take(ring, &reply)) {
			zeroes += reply.result == 0;
			ones += reply.result == -1;
			others += reply.result != 0 && reply.result != -1;
		}
	}
	atomic_store(&toggle.stop, true);
	pthread_join(thread, NULL);
	TH_LOG("%ld times zeroes, %ld times ones, %ld times others", zeroes, ones, others);
	ASSERT_EQ(others, 0);
	/* Otherwise, nothing was tested. */
	ASSERT_GT(zeroes, 0);
	ASSERT_GT(ones, 0);
}

/*
 * The driver checks and uses the same request, while user space changes it. The start of the data
 * is right at one time. At another it is where the replies are, which a driver that checks the one
 * and uses the other adds up.
 */
TEST_F(ring, request_is_read_once)
{
	struct ring *ring = &self->ring;
	struct toggle toggle = { ring->requests, 1, RUST_RING_DATA_SIZE, false };
	struct rust_ring_reply reply;
	pthread_t thread;
	long right = 0, refused = 0;

	ASSERT_EQ(RUST_RING_DATA + RUST_RING_DATA_SIZE, RUST_RING_REPLIES);
	memset(ring->data, 1, RUST_RING_DATA_SIZE);
	for (int i = 0; i < SLOTS; i++)
		ring->requests[i] = (struct rust_ring_request){
			.id = -1,
			.op = RUST_RING_SUM,
			.len = 9,
		};
	ASSERT_EQ(pthread_create(&thread, NULL, toggle_thread, &toggle), 0);
	for (int i = 0; i < 300 * SLOTS || ((!right || !refused) && i < 30000 * SLOTS); i++) {
		release(&ring->indices->request_tail, ring->indices->request_tail + 1);
		ASSERT_EQ(ring_enter(ring), 1);
		ASSERT_TRUE(ring_take(ring, &reply));
		if (reply.result != 9) {
			ASSERT_EQ(reply.result, -EINVAL);
			refused++;
		} else if (i % SLOTS == 0) {
			right++;
		}
	}
	atomic_store(&toggle.stop, true);
	pthread_join(thread, NULL);
	TH_LOG("%ld times right, %ld times refused", right, refused);
	/* Otherwise, nothing was tested. */
	ASSERT_GT(right, 0);
	ASSERT_GT(refused, 0);
}

#define ASKED	20000

static void *enter_thread(void *arg)
{
	struct ring *ring = arg;
	struct pollfd pollfd = { .fd = ring->fd, .events = POLLOUT };

	for (__u64 id = 0; id < ASKED;) {
		const struct rust_ring_request request = { .id = id, .value = id * id };

		if (ring_ask(ring, request))
			id++;
		else if (poll(&pollfd, 1, 10000) != 1)
			return (void *)1;
		if (ring_enter(ring) < 0)
			return (void *)2;
	}
	/* What had no room for its reply. */
	while (acquire(&ring->indices->request_head) != ASKED)
		if (ring_enter(ring) < 0)
			return (void *)3;
	return NULL;
}

/* One thread asks, another one waits for replies. */
TEST_F(ring, two_threads)
{
	struct ring *ring = &self->ring;
	struct pollfd pollfd = { .fd = ring->fd, .events = POLLIN };
	struct rust_ring_reply reply;
	pthread_t thread;
	void *failed;

	ASSERT_EQ(pthread_create(&thread, NULL, enter_thread, ring), 0);
	for (__u64 id = 0; id < ASKED; id++) {
		while (!ring_take(ring, &reply)) {
			int handled = ring_enter(ring);

			/* There may be requests that had no room for their replies. */
			ASSERT_GE(handled, 0);
			if (!handled)
				ASSERT_EQ(poll(&pollfd, 1, 10000), 1);
		}
		ASSERT_EQ(reply.id, id);
		ASSERT_EQ(reply.result, id * id);
	}
	pthread_join(thread, &failed);
	ASSERT_EQ(failed, NULL);
}

/* What can be mapped, and what remains of it. */
TEST_F(ring, mappings)
{
	size_t page = sysconf(_SC_PAGESIZE);
	struct ring other;
	char *map;

	/* Each open file has rings of its own. */
	ASSERT_EQ(ring_open(&other), 0);
	ASSERT_EQ(ring_call(&other, RUST_RING_ECHO, 1, 0), 1);
	ASSERT_EQ(other.indices->reply_tail, 1);
	ASSERT_EQ(self->ring.indices->reply_tail, 0);

	/* The memory remains when the file is closed. */
	close(other.fd);
	other.data[5] = 3;
	ASSERT_EQ(other.indices->reply_tail, 1);
	ASSERT_EQ(unload_module(MODULE), -EAGAIN);
	munmap(other.map, RUST_RING_SIZE);

	map = mmap(NULL, RUST_RING_SIZE + page, RW, MAP_SHARED, self->ring.fd, 0);
	ASSERT_EQ(map, MAP_FAILED);
	ASSERT_EQ(errno, ENXIO);
	map = mmap(NULL, page, RW, MAP_PRIVATE, self->ring.fd, 0);
	ASSERT_EQ(map, MAP_FAILED);
	ASSERT_EQ(errno, EINVAL);
	ASSERT_EQ(ioctl(self->ring.fd, _IO('R', 1)), -1);
	ASSERT_EQ(errno, ENOTTY);
}

TEST_HARNESS_MAIN
