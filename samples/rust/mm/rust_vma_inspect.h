/* SPDX-License-Identifier: GPL-2.0 */

/* What /dev/rust_vma_inspect understands. */

#ifndef RUST_VMA_INSPECT_H
#define RUST_VMA_INSPECT_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Bits of struct rust_vma's flags. */
#define RUST_VMA_READ		0x1
#define RUST_VMA_WRITE		0x2
#define RUST_VMA_EXEC		0x4
#define RUST_VMA_SHARED		0x8

/* A VMA. */
struct rust_vma {
	__u64 start;
	__u64 end;
	__u64 offset;	/* in the file, in bytes */
	__u64 flags;	/* RUST_VMA_... */
	__u64 present;	/* bytes that are mapped now */
	__u64 rss;	/* of these, what counts as the process's: the Rss of smaps */
	__u64 swap;	/* bytes that are in swap */
	__u64 ino;	/* of the file, or 0 */
	__u32 major;	/* of the file's device */
	__u32 minor;
	/*
	 * Path of the file, if there is one; the end of it, if it is too long;
	 * "?" if it is longer than PATH_MAX.
	 */
	char name[184];
};

struct rust_vma_inspect {
	/* In: a process that the caller may ptrace. */
	__u64 pid;
	/* In: the first address of interest. Out: where to go on; 0 at the end. */
	__u64 start;
	/* In: where to put the VMAs: an array of struct rust_vma. */
	__u64 vmas;
	/* In: how many fit. Out: how many there are. */
	__u32 count;
	/* In: RUST_VMA_INSPECT_PAGES to have pages counted; it takes longer. */
	__u32 flags;
};

#define RUST_VMA_INSPECT_PAGES	1

#define RUST_VMA_INSPECT	_IOWR('V', 0, struct rust_vma_inspect)

#endif
