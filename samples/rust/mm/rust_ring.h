/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */

/* What the sample driver rust_ring and user space share: see rust_ring.rs. */

#ifndef RUST_RING_H
#define RUST_RING_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* The number of slots of each of the two rings, a power of two. */
#define RUST_RING_SLOTS		128

/* Where things are in the mapping, in bytes from its start. */
#define RUST_RING_REQUESTS	4096
#define RUST_RING_DATA		8192
#define RUST_RING_DATA_SIZE	16384
#define RUST_RING_REPLIES	24576
#define RUST_RING_SIZE		28672

/*
 * The indices, at the start of the mapping. Each of them counts on forever, and wraps around at
 * 2^32; its slot is the remainder of a division by RUST_RING_SLOTS. They are in cache lines of
 * their own.
 */
struct rust_ring_indices {
	/* The next request that the driver takes; written by the driver. */
	__u32 request_head;
	__u32 pad0[15];
	/* Where the next request goes; written by user space, with release semantics. */
	__u32 request_tail;
	__u32 pad1[15];
	/* The next reply that user space takes; written by user space, with release semantics. */
	__u32 reply_head;
	__u32 pad2[15];
	/* Where the next reply goes; written by the driver, with release semantics. */
	__u32 reply_tail;
	__u32 pad3[15];
};

/* A request. */
struct rust_ring_request {
	__u64 id;
	__u32 op;
	__u32 len;
	__u64 value;
	__u64 reserved;
};

/* The reply is the value. */
#define RUST_RING_ECHO		0
/* The reply is the sum of len bytes, from value on, in the data. */
#define RUST_RING_SUM		1

/* The reply to a request. */
struct rust_ring_reply {
	__u64 id;
	/* What was asked for, or -errno. */
	__s64 result;
};

/*
 * Handles the requests that are in the ring, and returns their number. Handles fewer if there is no
 * room for their replies: call it again after taking some. ERANGE: the indices of user space are
 * wrong, and no request was handled.
 */
#define RUST_RING_ENTER		_IO('R', 0)

#endif /* RUST_RING_H */
