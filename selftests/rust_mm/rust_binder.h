/* SPDX-License-Identifier: GPL-2.0 */

/*
 * Binder's protocol, for tests: what a program sends to a Binder device and reads from it.
 *
 * A process opens a device and maps a buffer, into which the driver copies what others send
 * (struct binder). Each thread that talks to the driver has a pair of queues: commands that it
 * sends, and what the driver has answered (struct looper). A message is bytes, and objects among
 * them, which the driver translates for the process that receives them (struct message).
 */

#ifndef RUST_BINDER_H
#define RUST_BINDER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/android/binder.h>
#include <linux/android/binderfs.h>

/* Of a mapping, the driver uses no more. */
#define BINDER_MAX_SIZE	(4UL << 20)

/* The handle of the context manager, in each process. */
#define CONTEXT_MANAGER	0

/* --- the device */

/*
 * A mount of binderfs of its own, with a device of its own: no other process sees it, and it starts
 * without a context manager.
 */
struct binder_device {
	char folder[64];
	char path[128];
};

/* Mounts binderfs and adds a device. Returns 0 or -errno; -ENODEV: the kernel has no binderfs. */
int binder_device_add(struct binder_device *device);
void binder_device_remove(struct binder_device *device);

/* --- an open device, and the buffer of its process */

struct binder {
	int fd;
	char *map;	/* NULL: not mapped */
	size_t size;
};

/* Opens the device; maps @size bytes of it with the flags of mmap(), unless @size is 0. */
int binder_open_flags(struct binder *b, const char *path, size_t size, int flags);
int binder_open(struct binder *b, const char *path, size_t size);
void binder_close(struct binder *b);

/* Makes the calling process the context manager, with the object 0. Returns 0 or -errno. */
int binder_become_manager(struct binder *b);
int binder_set_max_threads(struct binder *b, uint32_t max);

/* --- messages */

#define MESSAGE_OBJECTS	16

struct message {
	char *data;
	size_t size;		/* of the data */
	size_t room;		/* allocated for them */
	size_t sg_size;		/* of the buffers that are sent with BINDER_TYPE_PTR */
	unsigned int count;	/* of the objects */
	binder_size_t offsets[MESSAGE_OBJECTS];
};

void message_free(struct message *m);
void message_put(struct message *m, const void *bytes, size_t len);
/* An object of this process, which the two numbers stand for. */
void message_put_object(struct message *m, binder_uintptr_t ptr, binder_uintptr_t cookie);
void message_put_handle(struct message *m, uint32_t handle);
void message_put_fd(struct message *m, int fd);
/* Another buffer, and the index of its object. */
unsigned int message_put_buffer(struct message *m, const void *bytes, size_t len);
/* A buffer whose address stands in another one. */
unsigned int message_put_child(struct message *m, const void *bytes, size_t len,
			       unsigned int parent, size_t offset);
/* File descriptors that stand in another buffer, as an array of 32 bits each. */
void message_put_fds(struct message *m, size_t count, unsigned int parent, size_t offset);

/* --- a thread that talks to the driver */

struct looper {
	struct binder *b;
	char out[1024];
	size_t out_size;
	char in[4096];
	size_t in_size, in_at;
	unsigned int spawn;	/* BR_SPAWN_LOOPER, how many */
	int error;		/* the errno of the last ioctl, if it failed */
};

void looper_init(struct looper *l, struct binder *b);

/* These commands are sent with what is sent next. */
void looper_put(struct looper *l, uint32_t command);
void looper_put32(struct looper *l, uint32_t command, uint32_t value);
void looper_put64(struct looper *l, uint32_t command, uint64_t value);
void looper_put_cookie(struct looper *l, uint32_t command, uint32_t handle, uint64_t cookie);
void looper_free(struct looper *l, binder_uintptr_t buffer);

/* Sends them now. Returns 0 or -errno. */
int looper_flush(struct looper *l);

/* What the driver has answered. */
struct event {
	uint32_t command;			/* BR_*; 0: the ioctl has failed, l->error */
	struct binder_transaction_data data;	/* BR_TRANSACTION, BR_REPLY */
	uint64_t cookie;			/* BR_DEAD_BINDER, BR_RELEASE and others */
};

/*
 * Sends what is to be sent, and waits for the next answer. Answers BR_INCREFS and BR_ACQUIRE
 * itself, and counts BR_SPAWN_LOOPER.
 */
void looper_next(struct looper *l, struct event *e);

/* Returns what was received, and one object of it (the driver gives its offset). */
const char *event_data(const struct event *e);
const void *event_object(const struct event *e, unsigned int index);

/*
 * Calls an object and waits for the reply. Returns the command that has ended the call:
 * BR_REPLY, whose buffer the caller frees; BR_FAILED_REPLY, BR_DEAD_REPLY; with TF_ONE_WAY,
 * BR_TRANSACTION_COMPLETE; 0: the ioctl has failed.
 */
uint32_t looper_call(struct looper *l, uint32_t handle, uint32_t code, uint32_t flags,
		     const struct message *m, struct event *reply);

/* Replies to the transaction that this thread has received last; waits until that is done. */
uint32_t looper_reply(struct looper *l, uint32_t flags, const struct message *m);

#endif /* RUST_BINDER_H */
