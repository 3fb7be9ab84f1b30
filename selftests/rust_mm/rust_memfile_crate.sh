#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Memory files with the crate `userfaultfd` of crates.io, beside memfd: see
# userfaultfd_crate/rust_memfile_crate.rs. It is there if this folder was built with CARGO=cargo.

program=$(dirname "$0")/rust_memfile_crate
module=${RUST_MM_MODULES:-/lib/modules}/rust_memfile.ko

for file in "$program" "$module"; do
	[ -e "$file" ] && continue
	echo "no $file" >&2
	# A user who sets RUST_MM_MODULES wants the test to run.
	[ -n "$RUST_MM_MODULES" ] && exit 1
	exit 4
done
# A failed test may have left the module loaded.
rmmod rust_memfile 2>/dev/null
insmod "$module" || exit 1
"$program"
result=$?
rmmod rust_memfile || exit 1
exit "$result"
