#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs stress-ng on the sample drivers, in three parts:
#
# - its device stressor, which opens, maps and polls each device and tries ioctls on it: for
#   RUST_MM_SECONDS / 5;
# - its memory stressors, which use memory of a device instead of their own (rust_mm_preload.c)
#   and check the contents: for RUST_MM_SECONDS;
# - our own load test, while stress-ng takes the rest of the memory, forks and merges pages: for
#   RUST_MM_SECONDS * 2 / 5.
#
# rust_mm_lib.sh documents the environment. With the same seed, the same stressors run on the
# same devices with the same random numbers, as far as time permits.

cd "$(dirname "$0")" || exit
# shellcheck source=selftests/rust_mm/rust_mm_lib.sh
. ./rust_mm_lib.sh

# Stressors that do not fit: msync and msyncmany need a file that supports fsync, userfaultfd
# needs a driver that lets user space fill in pages, mmapmany needs more memory than the
# devices have, remap needs a mapping that starts at offset 0 of the file. memthrash, mlockmany
# and vm-segv do not call mmap().
STRESSORS="mmap mremap rmap mprotect vm vm-rw munmap mincore mmapfork mmapaddr
	mmapfixed mmaptorture fault vma pagemove mmapcow mseal stackmmap vm-splice
	tlb-shootdown vm-addr"
# These run ten times as long as the time limit that they get.
[ "$SECONDS_EACH" -lt 100 ] || STRESSORS="$STRESSORS madvise mlock"
OPTIONS="--oomable --no-madvise --mmap-bytes 1M --vm-bytes 1M --pagemove-bytes 512K
	--mmapfork-bytes 512K --mmaptorture-bytes 16M --vm-rw-bytes 1M
	--mremap-bytes 512K"

need stress-ng timeout
[ -e ./rust_mm_preload.so ] || skip_all "no rust_mm_preload.so"

load_drivers 8192
ktap_print_header
# shellcheck disable=SC2086 # words
ktap_set_plan $(($(echo $DEVICES $DEVICES $MAPPABLE $MAPPABLE $COUNTING | wc -w) + 1))
say "RUST_MM_SEED=$SEED RUST_MM_SECONDS=$SECONDS_EACH"
FOLDER=$(mktemp -d)
# Not every version of stress-ng has all stressors.
stress-ng --help >"$FOLDER/help"
KNOWN=''
for stressor in $STRESSORS; do
	! grep -q -- "--$stressor N" "$FOLDER/help" || KNOWN="$KNOWN $stressor"
done
PART=$(((SECONDS_EACH + 4) / 5))

# Runs stress-ng. Fails, and keeps its output, if a stressor reports a failure or is skipped. The
# exit status alone does not tell: on a slow machine, stress-ng also complains about a stressor
# that has not done anything yet.
stress() { # LOG OPTION...
	local log=$1 status
	shift
	# shellcheck disable=SC2086 # words
	timeout -k 10 "$((PART + 100))" stress-ng --seed "$SEED" --temp-path "$FOLDER" \
		--metrics-brief $OPTIONS "$@" >"$log" 2>&1
	status=$?
	[ "$status" -lt 124 ] && grep -q 'failed: 0$' "$log" && ! grep -q 'skipped: [1-9]' "$log" &&
		return
	{
		echo "stress-ng $* ends with $status"
		cat "$log"
	} >>"$FOLDER/failed.${log##*/}"
	return "$status"
}

# Prints the number of operations in stress-ng's logs.
operations() { # LOG...
	awk '/ metrc: / && $5 ~ /^[0-9]+$/ { n += $5 } END { print n + 0 }' "$@"
}

show_failed() { # FILE
	[ -e "$1" ] || return 0
	head -n 40 "$1" | sed 's/^/#   /'
	return 1
}

# --- the device stressor, on all devices at once

stressed() { # DEVICE
	ktap_print_msg "$1: $(operations "$FOLDER/dev.$1") operations"
	show_failed "$FOLDER/failed.dev.$1" &&
		grep -q '1 of 1 devices opened and exercised' "$FOLDER/dev.$1"
}

for device in $DEVICES; do
	stress "$FOLDER/dev.$device" --dev 1 --dev-file "/dev/$device" -t "$PART" &
done
wait
for device in $DEVICES; do
	check "device stressor on $device" stressed "$device"
done

# --- the memory stressors: in each round, a different one on each device

round() { # NUMBER
	local number=$1 device stressor
	for device in $MAPPABLE; do
		stressor=${LIST[number % ${#LIST[@]}]}
		# The devices start with different stressors.
		number=$((number + 5))
		# The mremap stressor grows mappings, which only mappings without special flags
		# allow.
		[ "$stressor" != mremap ] || [ "$device" = rust_mmap_plain ] || stressor=mmap
		# The fault stressor drops pages and accesses them again; its SIGBUS handler retries
		# the access. rust_mmap has no fault handler, so it would retry forever.
		[ "$stressor" != fault ] || [ "$device" != rust_mmap ] || stressor=mmap
		RUST_MM_DEVICE=/dev/$device LD_PRELOAD=./rust_mm_preload.so \
			stress "$FOLDER/vm.$device.$1" "--$stressor" 1 -t 2 &
	done
	wait
}

mapped() { # DEVICE
	sed -n "s,^/dev/$1: \([0-9]*\) mapped.*,\1,p" "$FOLDER/vm.$1".* |
		awk '{ n += $1 } END { print n + 0 }'
}

mem_stressed() { # DEVICE
	local failed status
	ktap_print_msg "$1: $(operations "$FOLDER/vm.$1".*) operations, $(mapped "$1") mappings"
	status=0
	for failed in "$FOLDER/failed.vm.$1."*; do
		show_failed "$failed" || status=1
	done
	return "$status"
}

used() { # DEVICE
	local uses
	uses=$(($(uses "$1") - BEFORE[$1]))
	ktap_print_msg "$1: $uses uses"
	[ "$uses" -gt 0 ] && [ "$(mapped "$1")" -gt 0 ] &&
		[ "$(operations "$FOLDER/vm.$1".*)" -gt 0 ]
}

# Succeeds if every device was used: on a busy machine, a round may be over before that.
all_used() {
	local device
	for device in $MAPPABLE; do
		used "$device" >/dev/null || return
	done
}

declare -A BEFORE
for device in $MAPPABLE; do
	BEFORE[$device]=$(uses "$device")
done
# shellcheck disable=SC2086 # words
mapfile -t LIST < <(shuf -e $KNOWN \
	--random-source=<(yes "$SEED"))
END=$((SECONDS + SECONDS_EACH)) rounds=0
# Run more rounds until every device was used, since not every stressor maps much.
while [ "$SECONDS" -lt "$END" ] || [ "$rounds" -lt 2 ] ||
	{ [ "$rounds" -lt 10 ] && ! all_used; }; do
	round "$rounds"
	rounds=$((rounds + 1))
done
ktap_print_msg "$rounds rounds, beginning with ${LIST[*]:0:8}"
for device in $MAPPABLE; do
	check "memory stressors on $device" mem_stressed "$device"
	check "$device was used" used "$device"
done
check_what_is_left

# --- our own load test, while memory is scarce and fragmented

# Takes half of the available memory, forks and merges pages, until load() ends it.
pressure() {
	local free
	free=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo)
	exec stress-ng --seed "$SEED" --temp-path "$FOLDER" --oomable --ksm --fork 1 \
		--vm 1 --vm-bytes $((free / 2))K --vm-method rand-set -t "$((SECONDS_EACH + 300))" \
		>"$FOLDER/pressure" 2>&1
}

# Makes the kernel compact memory, which moves all movable pages, again and again.
compact() {
	while sleep 0.5; do
		echo 1 >/proc/sys/vm/compact_memory
	done 2>/dev/null
}

load() {
	local pressure compact status merging
	merging=$(cat /sys/kernel/mm/ksm/run 2>/dev/null)
	pressure &
	pressure=$!
	compact &
	compact=$!
	# All cases of rust_mm_load count as one case of this test.
	RUST_MM_SECONDS=$((2 * PART)) RUST_MM_SEED=$SEED ./rust_mm_load | sed 's/^/# /'
	status=${PIPESTATUS[0]}
	kill "$compact"
	kill -INT "$pressure" || {
		ktap_print_msg "stress-ng has ended before rust_mm_load:"
		sed 's/^/#   /' "$FOLDER/pressure"
		status=1
	}
	wait "$pressure" "$compact" 2>/dev/null
	[ -z "$merging" ] || echo "$merging" >/sys/kernel/mm/ksm/run
	return "$status"
}

check "rust_mm_load under pressure" load
rm -rf "$FOLDER"
ktap_finished
