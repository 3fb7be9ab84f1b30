#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The kernel's own unit tests of userfaultfd, on shmem and on the memory files of rust_memfile: a
# test that passes on shmem must pass on these, too, and not be skipped. Passes its arguments to the
# program. Environment: see uffd_unit_tests.c.

module=${RUST_MM_MODULES:-/lib/modules}/rust_memfile.ko

if [ ! -e "$module" ]; then
	echo "no $module" >&2
	# A user who sets RUST_MM_MODULES wants the test to run.
	[ -n "$RUST_MM_MODULES" ] && exit 1
	exit 4
fi
# A failed test may have left the module loaded.
rmmod rust_memfile 2>/dev/null
insmod "$module" || exit 1
results=$(mktemp) || exit 1
"$(dirname "$0")/uffd_unit_tests" "$@" | tee "$results"
result=${PIPESTATUS[0]}
# "ok 5 minor on shmem"; and " # SKIP why" after it.
for kind in "" -private; do
	while read -r name; do
		grep -q "^ok [0-9]* $name on rust_memfile$kind\$" "$results" && continue
		echo "# $name: passes on shmem$kind, and does not on rust_memfile$kind"
		result=1
	done < <(sed -n "s/^ok [0-9]* \(.*\) on shmem$kind\$/\1/p" "$results")
done
rm -f "$results"
rmmod rust_memfile || exit 1
exit "$result"
