#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Trinity on the sample drivers: system calls with arguments that nobody would think of.
#
# Two for each device, all at once: one for the calls that are about memory, one for
# those that are about files. None takes another file than its device, and all are
# nobody, without capabilities, so that what they can do to the machine is what the
# drivers let them do. From the same seed, each does the same again, as long as the
# kernel answers the same. rust_mm_lib.sh has what can be set.

cd "$(dirname "$0")" || exit
# shellcheck source=selftests/rust_mm/rust_mm_lib.sh
. ./rust_mm_lib.sh

declare -A CALLS=(
	[memory]="mmap munmap mremap mprotect pkey_mprotect madvise msync mincore mlock mlock2
		munlock mlockall munlockall remap_file_pages"
	# poll and flock wait, and nothing else happens.
	[file]="mmap read write readv writev pread64 pwrite64 preadv2 pwritev2 lseek ioctl
		fsync ftruncate fallocate fadvise64 newfstat sendfile copy_file_range splice
		tee vmsplice process_vm_readv process_vm_writev userfaultfd"
)

need trinity setpriv timeout mount

# As how many system calls an instance has to have made is no chance any more.
ENOUGH=50

run_trinity() { # DEVICE SET SEED
	local call calls=()
	# Not each trinity knows all of them.
	for call in ${CALLS[$2]}; do
		! grep -q "[0-9] $call : \[64-bit\]" "$FOLDER/calls" || calls+=(-c "$call")
	done
	cd "$FOLDER/$1.$2" || return
	# Its children crash, and would leave cores.
	ulimit -c 0
	timeout -s INT -k 120 "$SECONDS_EACH" setpriv --reuid=65534 --regid=65534 \
		--clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all \
		trinity -q -l off -a 64 -C 1 -s "$3" -V "$FOLDER/devices/$1" \
		--enable-fds pseudo "${calls[@]}" 2>&1 | tail -n 100 >../"$1.$2.$3.log"
	echo "${PIPESTATUS[0]}" >>../"$1.$2.status"
}

# Those of all its runs.
operations() { # DEVICE SET
	local log
	# Each says how far it is, now and then; one that has crashed may never have.
	for log in "$FOLDER/$1.$2."*.log; do
		sed -n 's/.*Ran \([0-9]*\) syscalls\..*/\1/p' "$log" | tail -n 1
	done | awk '{ n += $1 } END { print n + 0 }'
}

# 124 is the end of its time.
ran() { # DEVICE SET
	local run=$FOLDER/$1.$2 statuses count
	# On a busy machine, that can be when it has hardly begun: then once more, by itself.
	[ "$(operations "$1" "$2")" -ge "$ENOUGH" ] || again "$1" "$2"
	statuses=$(sort -u "$run.status")
	count=$(operations "$1" "$2")
	ktap_print_msg "$1, $2 calls: $count operations"
	[ "$statuses" = 124 ] && [ "$count" -ge "$ENOUGH" ] && return
	ktap_print_msg "trinity ended with ${statuses//$'\n'/, }:"
	tail -n 20 "$run."*.log | sed 's/^/#   /'
	return 1
}

# Something else: the same seed would do the same.
again() { # DEVICE SET
	SEED=$((SEED + 1))
	ktap_print_msg "$1, $2 calls: once more, with seed $SEED"
	(run_trinity "$1" "$2" "$SEED")
}

used() { # DEVICE
	local uses
	uses=$(uses "$1")
	ktap_print_msg "$1: $uses uses"
	[ "$uses" -gt 0 ]
}

load_drivers 1024
ktap_print_header
# shellcheck disable=SC2086 # words
ktap_set_plan "$(echo $DEVICES $DEVICES $DEVICES $MAPPABLE $COUNTING | wc -w)"
say "RUST_MM_SEED=$SEED RUST_MM_SECONDS=$SECONDS_EACH"

# Device nodes of its own, and folders for what they write.
FOLDER=$(mktemp -d)
mount -t tmpfs -o size=32M,mode=755 tmpfs "$FOLDER" || ktap_exit_fail_msg "mount"
(cd "$FOLDER" && trinity -L >calls 2>/dev/null)
mkdir "$FOLDER/devices"
for device in $DEVICES; do
	cp -a "/dev/$device" "$FOLDER/devices" && chmod 666 "$FOLDER/devices/$device"
	for set in "${!CALLS[@]}"; do
		mkdir -m 777 "$FOLDER/$device.$set"
		run_trinity "$device" "$set" "$SEED" &
	done
done
wait

for device in $DEVICES; do
	for set in "${!CALLS[@]}"; do
		check "trinity with $set calls on $device" ran "$device" "$set"
	done
done
for device in $MAPPABLE; do
	# On a busy machine there are few calls, and whether one is right is chance.
	[ "$(uses "$device")" -gt 0 ] || again "$device" memory
	check "$device was used" used "$device"
done
umount "$FOLDER" && rmdir "$FOLDER"
check_what_is_left
ktap_finished
