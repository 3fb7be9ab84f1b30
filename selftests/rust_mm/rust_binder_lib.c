// SPDX-License-Identifier: GPL-2.0

/* Binder's protocol, for tests: see rust_binder.h. */

#include "rust_binder.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- the device */

int binder_device_add(struct binder_device *device)
{
	struct binderfs_device new = { .name = "test" };
	char control[128];
	int fd, ret;

	snprintf(device->folder, sizeof(device->folder), "/tmp/rust_binder_XXXXXX");
	if (!mkdtemp(device->folder))
		return -errno;
	if (mount(NULL, device->folder, "binder", 0, NULL)) {
		ret = -errno;
		rmdir(device->folder);
		return ret;
	}
	snprintf(device->path, sizeof(device->path), "%s/%s", device->folder, new.name);
	snprintf(control, sizeof(control), "%s/binder-control", device->folder);
	fd = open(control, O_RDONLY | O_CLOEXEC);
	ret = fd < 0 || ioctl(fd, BINDER_CTL_ADD, &new) ? -errno : 0;
	if (fd >= 0)
		close(fd);
	if (ret)
		binder_device_remove(device);
	return ret;
}

void binder_device_remove(struct binder_device *device)
{
	/* Processes that were killed may still have it open for a moment. */
	umount2(device->folder, MNT_DETACH);
	rmdir(device->folder);
}

/* --- an open device */

int binder_open_flags(struct binder *b, const char *path, size_t size, int flags)
{
	int ret;

	b->map = NULL;
	b->size = size;
	b->fd = open(path, O_RDWR | O_CLOEXEC);
	if (b->fd < 0)
		return -errno;
	if (!size)
		return 0;
	b->map = mmap(NULL, size, PROT_READ, flags, b->fd, 0);
	if (b->map == MAP_FAILED) {
		ret = -errno;
		b->map = NULL;
		binder_close(b);
		return ret;
	}
	return 0;
}

int binder_open(struct binder *b, const char *path, size_t size)
{
	return binder_open_flags(b, path, size, MAP_PRIVATE | MAP_NORESERVE);
}

void binder_close(struct binder *b)
{
	if (b->map)
		munmap(b->map, b->size);
	b->map = NULL;
	if (b->fd >= 0)
		close(b->fd);
	b->fd = -1;
}

int binder_become_manager(struct binder *b)
{
	struct flat_binder_object manager = { .flags = FLAT_BINDER_FLAG_ACCEPTS_FDS };

	return ioctl(b->fd, BINDER_SET_CONTEXT_MGR_EXT, &manager) ? -errno : 0;
}

int binder_set_max_threads(struct binder *b, uint32_t max)
{
	return ioctl(b->fd, BINDER_SET_MAX_THREADS, &max) ? -errno : 0;
}

/* --- messages */

void message_free(struct message *m)
{
	free(m->data);
	memset(m, 0, sizeof(*m));
}

void message_put(struct message *m, const void *bytes, size_t len)
{
	if (m->size + len > m->room) {
		m->room = (m->size + len) * 2;
		m->data = realloc(m->data, m->room);
		if (!m->data)
			abort();
	}
	if (len)
		memcpy(m->data + m->size, bytes, len);
	m->size += len;
}

static unsigned int put_object(struct message *m, const void *object, size_t len)
{
	static const char zeroes[8];

	if (m->count == MESSAGE_OBJECTS)
		abort();
	message_put(m, zeroes, -m->size % 8);
	m->offsets[m->count] = m->size;
	message_put(m, object, len);
	return m->count++;
}

void message_put_object(struct message *m, binder_uintptr_t ptr, binder_uintptr_t cookie)
{
	struct flat_binder_object object = {
		.hdr.type = BINDER_TYPE_BINDER,
		.flags = FLAT_BINDER_FLAG_ACCEPTS_FDS,
		.binder = ptr,
		.cookie = cookie,
	};

	put_object(m, &object, sizeof(object));
}

void message_put_handle(struct message *m, uint32_t handle)
{
	struct flat_binder_object object = {
		.hdr.type = BINDER_TYPE_HANDLE,
		.handle = handle,
	};

	put_object(m, &object, sizeof(object));
}

void message_put_fd(struct message *m, int fd)
{
	struct binder_fd_object object = {
		.hdr.type = BINDER_TYPE_FD,
		.fd = fd,
	};

	put_object(m, &object, sizeof(object));
}

static unsigned int put_buffer(struct message *m, struct binder_buffer_object *object,
			       const void *bytes, size_t len)
{
	object->hdr.type = BINDER_TYPE_PTR;
	object->buffer = (binder_uintptr_t)bytes;
	object->length = len;
	m->sg_size += (len + 7) & ~7UL;
	return put_object(m, object, sizeof(*object));
}

unsigned int message_put_buffer(struct message *m, const void *bytes, size_t len)
{
	struct binder_buffer_object object = {};

	return put_buffer(m, &object, bytes, len);
}

unsigned int message_put_child(struct message *m, const void *bytes, size_t len,
			       unsigned int parent, size_t offset)
{
	struct binder_buffer_object object = {
		.flags = BINDER_BUFFER_FLAG_HAS_PARENT,
		.parent = parent,
		.parent_offset = offset,
	};

	return put_buffer(m, &object, bytes, len);
}

void message_put_fds(struct message *m, size_t count, unsigned int parent, size_t offset)
{
	struct binder_fd_array_object object = {
		.hdr.type = BINDER_TYPE_FDA,
		.num_fds = count,
		.parent = parent,
		.parent_offset = offset,
	};

	put_object(m, &object, sizeof(object));
}

/* --- a thread that talks to the driver */

void looper_init(struct looper *l, struct binder *b)
{
	memset(l, 0, sizeof(*l));
	l->b = b;
}

static void put_raw(struct looper *l, const void *bytes, size_t len)
{
	if (l->out_size + len > sizeof(l->out) && looper_flush(l))
		return;
	memcpy(l->out + l->out_size, bytes, len);
	l->out_size += len;
}

/* The command and what belongs to it are sent together. */
static void put_command(struct looper *l, uint32_t command, const void *bytes, size_t len)
{
	char both[sizeof(command) + sizeof(struct binder_transaction_data_sg)];

	memcpy(both, &command, sizeof(command));
	if (len)
		memcpy(both + sizeof(command), bytes, len);
	put_raw(l, both, sizeof(command) + len);
}

void looper_put(struct looper *l, uint32_t command)
{
	put_command(l, command, NULL, 0);
}

void looper_put32(struct looper *l, uint32_t command, uint32_t value)
{
	put_command(l, command, &value, sizeof(value));
}

void looper_put64(struct looper *l, uint32_t command, uint64_t value)
{
	put_command(l, command, &value, sizeof(value));
}

void looper_put_cookie(struct looper *l, uint32_t command, uint32_t handle, uint64_t cookie)
{
	struct binder_handle_cookie both = { .handle = handle, .cookie = cookie };

	put_command(l, command, &both, sizeof(both));
}

void looper_free(struct looper *l, binder_uintptr_t buffer)
{
	looper_put64(l, BC_FREE_BUFFER, buffer);
}

/* One ioctl; without @read, it does not wait. */
static int write_read(struct looper *l, bool read)
{
	struct binder_write_read bwr = {
		.write_size = l->out_size,
		.write_buffer = (binder_uintptr_t)l->out,
		.read_size = read ? sizeof(l->in) : 0,
		.read_buffer = (binder_uintptr_t)l->in,
	};
	int ret;

	do {
		ret = ioctl(l->b->fd, BINDER_WRITE_READ, &bwr) ? -errno : 0;
		/* A signal interrupts the wait; what is written stays written. */
	} while (ret == -EINTR);
	l->error = -ret;
	/* The driver stops at a command that fails, and tells why in what it answers. */
	memmove(l->out, l->out + bwr.write_consumed, l->out_size - bwr.write_consumed);
	l->out_size -= bwr.write_consumed;
	if (read) {
		l->in_size = ret ? 0 : bwr.read_consumed;
		l->in_at = 0;
	}
	return ret;
}

int looper_flush(struct looper *l)
{
	return l->out_size ? write_read(l, false) : 0;
}

static void take(struct looper *l, void *to, size_t len)
{
	if (l->in_size - l->in_at < len)
		abort();
	memcpy(to, l->in + l->in_at, len);
	l->in_at += len;
}

/* Returns whether the answer is for the caller. */
static bool read_answer(struct looper *l, struct event *e)
{
	struct binder_transaction_data_secctx secctx;
	struct binder_ptr_cookie object;
	size_t size;

	take(l, &e->command, sizeof(e->command));
	size = _IOC_SIZE(e->command);
	switch (e->command) {
	case BR_NOOP:
		return false;
	case BR_SPAWN_LOOPER:
		l->spawn++;
		return false;
	case BR_INCREFS:
	case BR_ACQUIRE:
		take(l, &object, sizeof(object));
		put_command(l, e->command == BR_ACQUIRE ? BC_ACQUIRE_DONE : BC_INCREFS_DONE,
			    &object, sizeof(object));
		return false;
	case BR_RELEASE:
	case BR_DECREFS:
		take(l, &object, sizeof(object));
		e->cookie = object.cookie;
		return e->command == BR_RELEASE;
	case BR_TRANSACTION_SEC_CTX:
		take(l, &secctx, sizeof(secctx));
		e->data = secctx.transaction_data;
		e->command = BR_TRANSACTION;
		return true;
	case BR_TRANSACTION:
	case BR_REPLY:
		take(l, &e->data, sizeof(e->data));
		return true;
	default:
		if (size == sizeof(e->cookie)) {
			take(l, &e->cookie, sizeof(e->cookie));
		} else {
			if (l->in_size - l->in_at < size)
				abort();
			l->in_at += size;
		}
		return true;
	}
}

void looper_next(struct looper *l, struct event *e)
{
	memset(e, 0, sizeof(*e));
	do {
		while (l->in_at == l->in_size)
			if (write_read(l, true)) {
				e->command = 0;
				return;
			}
	} while (!read_answer(l, e));
}

const char *event_data(const struct event *e)
{
	return (const char *)e->data.data.ptr.buffer;
}

const void *event_object(const struct event *e, unsigned int index)
{
	const binder_size_t *offsets = (const binder_size_t *)e->data.data.ptr.offsets;

	if (index >= e->data.offsets_size / sizeof(*offsets))
		return NULL;
	return event_data(e) + offsets[index];
}

static void put_transaction(struct looper *l, bool reply, uint32_t handle, uint32_t code,
			    uint32_t flags, const struct message *m)
{
	struct binder_transaction_data_sg sg = {
		.transaction_data = {
			.target.handle = handle,
			.code = code,
			.flags = flags,
		},
	};
	struct binder_transaction_data *data = &sg.transaction_data;

	if (m) {
		data->data_size = m->size;
		data->offsets_size = m->count * sizeof(m->offsets[0]);
		data->data.ptr.buffer = (binder_uintptr_t)m->data;
		data->data.ptr.offsets = (binder_uintptr_t)m->offsets;
		sg.buffers_size = m->sg_size;
	}
	if (sg.buffers_size)
		put_command(l, reply ? BC_REPLY_SG : BC_TRANSACTION_SG, &sg, sizeof(sg));
	else
		put_command(l, reply ? BC_REPLY : BC_TRANSACTION, data, sizeof(*data));
}

uint32_t looper_call(struct looper *l, uint32_t handle, uint32_t code, uint32_t flags,
		     const struct message *m, struct event *reply)
{
	put_transaction(l, false, handle, code, flags, m);
	do {
		looper_next(l, reply);
	} while ((reply->command == BR_TRANSACTION_COMPLETE && !(flags & TF_ONE_WAY)) ||
		 reply->command == BR_RELEASE);
	return reply->command;
}

uint32_t looper_reply(struct looper *l, uint32_t flags, const struct message *m)
{
	struct event e;

	put_transaction(l, true, 0, 0, flags, m);
	do {
		looper_next(l, &e);
	} while (e.command == BR_RELEASE);
	return e.command;
}
