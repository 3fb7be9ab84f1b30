/* SPDX-License-Identifier: GPL-2.0 */

/* The ioctls of /dev/rust_memfile. */

#ifndef RUST_MEMFILE_H
#define RUST_MEMFILE_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* The modes with which userfaultfd may be registered for mappings of a file. */
#define RUST_MEMFILE_MISSING	0x1
#define RUST_MEMFILE_MINOR	0x2
#define RUST_MEMFILE_WP		0x4
#define RUST_MEMFILE_RWP	0x8

/* The file has huge pages where they fit. */
#define RUST_MEMFILE_HUGE	0x1
/* The kernel may reclaim pages that nothing was written to. */
#define RUST_MEMFILE_EVICTABLE	0x2
/* User space can add seals; otherwise, F_SEAL_SEAL is set from the start. */
#define RUST_MEMFILE_SEALABLE	0x4
/* The file descriptor is closed on exec. */
#define RUST_MEMFILE_CLOEXEC	0x8
/* The driver handles faults and fills itself, instead of leaving them to the kernel. */
#define RUST_MEMFILE_HANDLED	0x10
/* The file is opened for reading only. */
#define RUST_MEMFILE_READ_ONLY	0x20

struct rust_memfile_create {
	__u64 size;	/* in bytes */
	__u32 modes;	/* RUST_MEMFILE_MISSING, ... */
	__u32 flags;	/* RUST_MEMFILE_HUGE, ... */
	__u32 seals;	/* F_SEAL_..., which the file has from the start */
	__u32 reserved;	/* 0 */
};

struct rust_memfile_stats {
	__u64 files;	/* that exist now */
};

/* Makes a memory file, and returns its file descriptor. */
#define RUST_MEMFILE_CREATE	_IOW('M', 0, struct rust_memfile_create)
#define RUST_MEMFILE_STATS	_IOR('M', 1, struct rust_memfile_stats)

#endif
