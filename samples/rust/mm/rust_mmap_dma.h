/* SPDX-License-Identifier: GPL-2.0 */

/* The ioctl of /dev/rust_mmap_dma and /dev/rust_mmap_dma_coherent. */

#ifndef RUST_MMAP_DMA_H
#define RUST_MMAP_DMA_H

#include <linux/ioctl.h>
#include <linux/types.h>

/*
 * /dev/rust_mmap_dma has four pages, and /dev/rust_mmap_dma_coherent two of coherent memory. The
 * second one of these is for the driver, and starts with this.
 */
struct rust_mmap_dma_status {
	__u32 ended;		/* the number of transfers that have ended in time */
	__u32 device_size;	/* the memory of the device in bytes */
};

/* A transfer between the memory of the file and that of the device. */
struct rust_mmap_dma_transfer {
	__u32 to_memory;	/* 0: the device reads the memory; 1: it writes it */
	__u32 offset;		/* where in the memory; the part must be in one page */
	__u32 len;		/* in bytes, at most 4096 */
	__u32 timeout_ms;	/* how long to wait for the device, at most 1000 */
};

/* Has the device make a transfer. */
#define RUST_MMAP_DMA_RUN	_IOW('D', 0, struct rust_mmap_dma_transfer)

#endif
