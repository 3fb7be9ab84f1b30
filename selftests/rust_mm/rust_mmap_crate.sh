#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The sample drivers with the crate `memmap2` of crates.io, beside memfd and /dev/zero: see
# memmap2_crate/rust_mmap_crate.rs. It is there if this folder was built with CARGO=cargo.

program=$(dirname "$0")/rust_mmap_crate
modules=${RUST_MM_MODULES:-/lib/modules}
names="rust_memfile rust_mmap rust_mmap_demand rust_mmap_plain rust_mmap_pfn"

for file in "$program" "$modules/rust_mmap.ko"; do
	[ -e "$file" ] && continue
	echo "no $file" >&2
	# A user who sets RUST_MM_MODULES wants the test to run.
	[ -n "$RUST_MM_MODULES" ] && exit 1
	exit 4
done
grep -qs PCI_ID=1AF4:1110 /sys/bus/pci/devices/*/uevent || export NO_IVSHMEM=1
for name in $names; do
	# A failed test may have left the module loaded.
	rmmod "$name" 2>/dev/null
	case $name in
	rust_mmap | rust_mmap_demand | rust_mmap_plain) params=pages=4 ;;
	*) params= ;;
	esac
	# shellcheck disable=SC2086 # no parameter at all
	insmod "$modules/$name.ko" $params || exit 1
done
"$program"
result=$?
for name in $names; do
	rmmod "$name" || exit 1
done
exit "$result"
