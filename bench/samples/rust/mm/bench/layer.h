/* SPDX-License-Identifier: GPL-2.0 */

/*
 * The interface of rust_layer and c_layer: one operation of the kernel's, again and again. The Rust
 * module does it with the layer, the C module without.
 */

#ifndef RUST_MM_LAYER_H
#define RUST_MM_LAYER_H

#include <linux/ioctl.h>
#include <linux/types.h>

enum layer_operation {
	/* Find the VMA at an address, under the mmap lock. */
	LAYER_LOOKUP_MMAP_LOCK,
	/* The same, under the lock of the VMA. */
	LAYER_LOOKUP_VMA_LOCK,
	/* Go through the VMAs of a range under the mmap lock. */
	LAYER_FORWARD,
	LAYER_BACKWARD,
	/* Go through the VMAs of each `step` bytes of the range. */
	LAYER_RANGES,
	/* Go through the parts of the range that are in no VMA. */
	LAYER_GAPS,
	/* Go through the VMAs of a range, each under its own lock. */
	LAYER_VMA_LOCKS,
	/* Hold the pages of a range of the caller's memory, and release them. */
	LAYER_REFERENCE,
	LAYER_PIN,
	/* Go through the mappings of the device that have a page offset of the range. */
	LAYER_RMAP,
	/* Copy a range of the device's buffer out of its pages, and into them. */
	LAYER_READ,
	LAYER_WRITE,
	/* Go through the page tables of a range, which is in one VMA. */
	LAYER_WALK,
};

struct layer_run {
	__u32 operation;
	__u32 rounds;
	__u64 start;
	__u64 end;
	__u64 step;
	/* The reply: the sum of what the rounds have found. */
	__u64 sum;
};

#define LAYER_RUN _IOWR('L', 0, struct layer_run)

/* The size of the device's buffer. */
#define LAYER_BUFFER		(16 * 4096)

/*
 * The device maps a huge page at offset 0, by faults. At these offsets, it maps the firmware of the
 * PC when mmap() is called, each time with another function.
 */
#define LAYER_REMAP		(1UL << 40)
#define LAYER_IO_REMAP		(2UL << 40)
#define LAYER_SIMPLE_IO_REMAP	(3UL << 40)

#endif /* RUST_MM_LAYER_H */
