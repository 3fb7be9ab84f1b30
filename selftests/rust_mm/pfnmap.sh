#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Runs the kernel's own PFNMAP test on the memory of the PCI device that rust_mmap_pfn drives.

module=${RUST_MM_MODULES:-/lib/modules}/rust_mmap_pfn.ko

if [ ! -e "$module" ]; then
	echo "no $module" >&2
	# A user who sets RUST_MM_MODULES wants the test to run.
	[ -n "$RUST_MM_MODULES" ] && exit 1
	exit 4
fi
if ! grep -qs PCI_ID=1AF4:1110 /sys/bus/pci/devices/*/uevent; then
	echo "no QEMU -device ivshmem-plain" >&2
	exit 4
fi
insmod "$module" || exit 1
"$(dirname "$0")/pfnmap" -- /dev/rust_mmap_pfn
result=$?
# The kernel may release the last file after its process has ended.
for _ in 1 2 3 4 5; do
	rmmod rust_mmap_pfn 2>/dev/null && exit $result
	sleep 0.2
done
echo "rust_mmap_pfn is still in use" >&2
exit 1
