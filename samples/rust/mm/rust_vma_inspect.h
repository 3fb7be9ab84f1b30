/* SPDX-License-Identifier: GPL-2.0 */

/* The ioctl of /dev/rust_vma_inspect. */

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
	__u64 present;	/* bytes that page tables map now */
	__u64 rss;	/* of these, the bytes in the Rss of smaps */
	__u64 swap;	/* bytes that are in swap */
	__u64 ino;	/* of the file, or 0 */
	__u32 major;	/* of the file's device */
	__u32 minor;
	/*
	 * Path of the file, if there is one. Of a path that does not fit, the end; of a
	 * path longer than PATH_MAX, "?".
	 */
	char name[184];
};

struct rust_vma_inspect {
	/* In: a process that the caller may ptrace. */
	__u64 pid;
	/* In: the first address of interest. Out: the start for the next call, or 0 at the end. */
	__u64 start;
	/* In: the address of an array of struct rust_vma, which the driver fills in. */
	__u64 vmas;
	/* In: the size of the array. Out: the number of VMAs in it. */
	__u32 count;
	/* In: RUST_VMA_INSPECT_PAGES to count pages, which takes longer. */
	__u32 flags;
};

#define RUST_VMA_INSPECT_PAGES	1

#define RUST_VMA_INSPECT	_IOWR('V', 0, struct rust_vma_inspect)

#endif
