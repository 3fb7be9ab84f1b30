# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
# Functions that the shell tests share; sourced. These tests run stress-ng and trinity on the
# sample drivers with one device; rust_mm_load.c uses the others as well. At the end they expect
# that nothing is mapped and that every module unloads.
#
# Environment:
#   RUST_MM_MODULES	the folder with the modules
#   RUST_MM_SECONDS	the duration; 15 by default
#   RUST_MM_SEED	the random seed, to repeat a run as far as the program allows

# Close the runner's own files, which every program that we start would inherit.
exec 3>&- 4>&-

# shellcheck source=/dev/null
. ../kselftest/ktap_helpers.sh

DRIVERS="rust_mmap rust_mmap_plain rust_mmap_demand rust_mmap_pfn rust_mmap_reclaim
	rust_vma_inspect"
SECONDS_EACH=${RUST_MM_SECONDS:-15}
SEED=${RUST_MM_SEED:-$RANDOM}

skip_all() { # REASON
	ktap_print_header
	ktap_skip_all "$1"
	exit "$KSFT_SKIP"
}

need() { # PROGRAM...
	local program
	for program in "$@"; do
		command -v "$program" >/dev/null && continue
		# A user who sets RUST_MM_MODULES wants the test to run.
		[ -z "$RUST_MM_MODULES" ] || ktap_exit_fail_msg "no $program"
		skip_all "no $program"
	done
	[ "$(id -u)" = 0 ] || skip_all "not root"
}

# Prints a message, also to the console's log, which remains if the machine does not survive.
say() { # TEXT
	ktap_print_msg "$1"
	echo "rust_mm: ${0##*/}: $1" >/dev/kmsg
}

check() { # WHAT COMMAND...
	local what=$1
	shift
	if "$@"; then
		ktap_test_pass "$what"
	else
		ktap_test_fail "$what"
	fi
}

# --- drivers

# Loads all drivers. Sets DEVICES to those that have a device, and MAPPABLE to those whose
# device can be mapped for writing.
load_drivers() { # PAGES
	local driver module modules=${RUST_MM_MODULES:-/lib/modules}
	DEVICES='' MAPPABLE=''
	for driver in $DRIVERS; do
		module=$modules/$driver.ko
		[ -e "$module" ] || [ -n "$RUST_MM_MODULES" ] || skip_all "no $module"
	done
	for driver in $DRIVERS; do
		if [ "$driver" = rust_mmap_pfn ] &&
			! grep -qs PCI_ID=1AF4:1110 /sys/bus/pci/devices/*/uevent; then
			ktap_print_msg "no QEMU -device ivshmem-plain"
			continue
		fi
		# A failed test may have left the module loaded.
		rmmod "$driver" 2>/dev/null
		case $driver in
		rust_mmap_pfn | rust_vma_inspect) insmod "$modules/$driver.ko" ;;
		*) insmod "$modules/$driver.ko" pages="$1" ;;
		esac || ktap_exit_fail_msg "$driver cannot be loaded"
		DEVICES="$DEVICES $driver"
		case $driver in
		rust_mmap_reclaim | rust_vma_inspect) ;;
		*) MAPPABLE="$MAPPABLE $driver" ;;
		esac
	done
}

# Prints a counter in the driver's fdinfo; prints nothing if there is no such counter.
counter() { # DRIVER NAME
	(exec 9<>"/dev/$1" && sed -n "s/^$2:\t//p" /proc/self/fdinfo/9)
}

# Prints how often user space has used a driver: mapped its device, or faulted in a page.
uses() { # DRIVER
	case $1 in
	rust_mmap) counter "$1" mmaps ;;
	# The other counters of rust_mmap_demand end with the mapping that they belong to.
	rust_mmap_demand) counter "$1" present ;;
	rust_mmap_pfn) counter "$1" faults ;;
	*) counter "$1" faults ;;
	esac
}

# Prints how many VMAs a driver has, from what its callbacks have counted: like fdinfo_vmas() in
# rust_mm.h.
vmas() { # DRIVER
	local mapped
	mapped=$(counter "$1" mapped)
	if [ -n "$mapped" ]; then
		echo $((mapped + $(counter "$1" opened) - $(counter "$1" closed)))
	else
		counter "$1" vmas
	fi
}

# --- afterwards

# Prints the processes that have a device open or mapped.
users() { # DRIVER
	local process
	for process in /proc/[0-9]*; do
		if grep -q "/$1\$" "$process/maps" 2>/dev/null ||
			find "$process/fd" -lname "*/$1" 2>/dev/null | grep -q .; then
			echo "${process#/proc/}"
		fi
	done
}

end_users() { # DRIVER
	local pid
	for pid in $(users "$1"); do
		ktap_print_msg "still uses $1: $pid, $(cat "/proc/$pid/comm")"
		kill -KILL "$pid"
	done 2>/dev/null
}

# Succeeds if the driver counts no VMAs and no mappings. Kills the processes that still use the
# device, and waits until the kernel has torn down their mappings.
balanced() { # DRIVER
	local try vmas mappings
	for try in {1..40}; do
		vmas=$(vmas "$1")
		mappings=$(counter "$1" mappings)
		[ "$vmas" = 0 ] && [ "${mappings:-0}" = 0 ] && return
		end_users "$1"
		sleep 0.5
	done
	ktap_print_msg "$1: $vmas VMAs, $mappings mappings after $try tries"
	return 1
}

# Unloads a driver. Kills the processes that still use the device, and waits for the kernel to
# release their files. Fails if a process cannot be killed.
unload() { # DRIVER
	local try pid
	for try in {1..40}; do
		rmmod "$1" 2>/dev/null && return
		end_users "$1"
		sleep 0.5
	done
	ktap_print_msg "$1: still in use after $try tries"
	for pid in $(users "$1"); do
		grep -E '^(Name|State|Pid|PPid|SigPnd|ShdPnd)' "/proc/$pid/status"
		cat "/proc/$pid/wchan" "/proc/$pid/stack"
	done 2>&1 | sed 's/^/#   /'
	return 1
}

# The drivers that count their mappings.
COUNTING="rust_mmap_plain rust_mmap_demand"

# Runs one test case for each driver in DEVICES, and one for each in COUNTING.
check_what_is_left() {
	local driver
	for driver in $COUNTING; do
		check "balance of $driver" balanced "$driver"
	done
	for driver in $DEVICES; do
		check "unloading $driver" unload "$driver"
	done
}
