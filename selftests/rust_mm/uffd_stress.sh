#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The kernel's own stress test of userfaultfd, on shmem and on the memory files of rust_memfile.
#
# Environment:
#   UFFD_STRESS_MIB	the size of the memory; 8 by default
#   UFFD_STRESS_BOUNCES	how often it is copied to and fro; 8 by default

# shellcheck source=/dev/null
. "$(dirname "$0")/../kselftest/ktap_helpers.sh"

module=${RUST_MM_MODULES:-/lib/modules}/rust_memfile.ko

ktap_print_header
if [ ! -e "$module" ]; then
	# A user who sets RUST_MM_MODULES wants the test to run.
	[ -n "$RUST_MM_MODULES" ] && ktap_exit_fail_msg "no $module"
	ktap_skip_all "no $module"
	exit "$KSFT_SKIP"
fi
# A failed test may have left the module loaded.
rmmod rust_memfile 2>/dev/null
insmod "$module" || ktap_exit_fail_msg "rust_memfile cannot be loaded"
ktap_set_plan 6
for type in shmem rust_memfile rust_memfile-handled shmem-private rust_memfile-private; do
	if "$(dirname "$0")/uffd_stress" "$type" "${UFFD_STRESS_MIB:-8}" \
		"${UFFD_STRESS_BOUNCES:-8}" >/tmp/uffd_stress.$$; then
		ktap_test_pass "$type"
	else
		ktap_test_fail "$type"
		sed 's/^/# /' /tmp/uffd_stress.$$
	fi
done
rm -f /tmp/uffd_stress.$$
if rmmod rust_memfile; then
	ktap_test_pass "unloading rust_memfile"
else
	ktap_test_fail "unloading rust_memfile"
fi
ktap_finished
