#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs trinity, a system call fuzzer, on the sample drivers.
#
# Two instances run for each device, all at the same time: one makes system calls on memory, the
# other on files. An instance uses no file but its device, and runs as uid 65534, without
# capabilities, so it can harm the machine only through the driver. With the same seed, an
# instance makes the same calls, as long as the kernel returns the same results. rust_mm_lib.sh
# documents the environment.

cd "$(dirname "$0")" || exit
# shellcheck source=selftests/rust_mm/rust_mm_lib.sh
. ./rust_mm_lib.sh

declare -A CALLS=(
	[memory]="mmap munmap mremap mprotect pkey_mprotect madvise msync mincore mlock mlock2
		munlock mlockall munlockall remap_file_pages"
	# Without poll and flock, which only wait.
	[file]="mmap read write readv writev pread64 pwrite64 preadv2 pwritev2 lseek ioctl
		fsync ftruncate fallocate fadvise64 newfstat sendfile copy_file_range splice
		tee vmsplice process_vm_readv process_vm_writev userfaultfd"
)

need trinity setpriv timeout mount

# The number of system calls that an instance must have made: fewer may be chance.
ENOUGH=50

run_trinity() { # DEVICE SET SEED
	local call calls=()
	# Not every version of trinity knows all system calls.
	for call in ${CALLS[$2]}; do
		! grep -q "[0-9] $call : \[64-bit\]" "$FOLDER/calls" || calls+=(-c "$call")
	done
	cd "$FOLDER/$1.$2" || return
	# trinity's children crash; do not dump core.
	ulimit -c 0
	timeout -s INT -k 120 "$SECONDS_EACH" setpriv --reuid=65534 --regid=65534 \
		--clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all \
		trinity -q -l off -a 64 -C 1 -s "$3" -V "$FOLDER/devices/$1" \
		--enable-fds pseudo "${calls[@]}" 2>&1 | tail -n 100 >../"$1.$2.$3.log"
	echo "${PIPESTATUS[0]}" >>../"$1.$2.status"
}

# Prints the number of system calls of an instance, over all its runs.
operations() { # DEVICE SET
	local log
	# trinity prints the number now and then; after a crash there may be none.
	for log in "$FOLDER/$1.$2."*.log; do
		sed -n 's/.*Ran \([0-9]*\) syscalls\..*/\1/p' "$log" | tail -n 1
	done | awk '{ n += $1 } END { print n + 0 }'
}

# Succeeds if each run lasted until timeout(1) ended it (status 124), with enough system calls.
ran() { # DEVICE SET
	local run=$FOLDER/$1.$2 statuses count
	# On a busy machine, an instance may hardly have started by then: run it again, alone.
	[ "$(operations "$1" "$2")" -ge "$ENOUGH" ] || again "$1" "$2"
	statuses=$(sort -u "$run.status")
	count=$(operations "$1" "$2")
	ktap_print_msg "$1, $2 calls: $count operations"
	[ "$statuses" = 124 ] && [ "$count" -ge "$ENOUGH" ] && return
	ktap_print_msg "trinity ended with ${statuses//$'\n'/, }:"
	tail -n 20 "$run."*.log | sed 's/^/#   /'
	return 1
}

# Runs an instance again, with another seed: the same one would make the same system calls.
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

# A tmpfs with device nodes that trinity's user may open, and with folders for its files.
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
	# On a busy machine, an instance makes few calls, and it is chance whether one uses the
	# device.
	[ "$(uses "$device")" -gt 0 ] || again "$device" memory
	check "$device was used" used "$device"
done
umount "$FOLDER" && rmdir "$FOLDER"
check_what_is_left
ktap_finished
