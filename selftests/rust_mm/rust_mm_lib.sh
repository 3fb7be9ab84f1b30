# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
# What the tests that are shell programs have in common; sourced. They let other
# people's programs loose on all sample drivers. In the end everything has to be as it
# was: nothing is mapped, no module is held.
#
# Environment:
#   RUST_MM_MODULES	where the modules are
#   RUST_MM_SECONDS	how long; 15 otherwise
#   RUST_MM_SEED	for what is random, as far as the program can do the same again

# The runner's own files, of which whatever we start would get a copy.
exec 3>&- 4>&-

# shellcheck source=/dev/null
. ../kselftest/ktap_helpers.sh

DRIVERS="rust_mmap rust_mmap_plain rust_mmap_demand rust_mmap_pfn rust_vma_inspect"
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
		# Who names a folder wants the test.
		[ -z "$RUST_MM_MODULES" ] || ktap_exit_fail_msg "no $program"
		skip_all "no $program"
	done
	[ "$(id -u)" = 0 ] || skip_all "not root"
}

# Into the console's log as well, for when the machine does not survive.
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

# Loads all; those with a device are in DEVICES then, those that can be mapped in
# MAPPABLE.
load_drivers() { # PAGES
	local driver module modules=${RUST_MM_MODULES:-/lib/modules}
	DEVICES='' MAPPABLE=''
	for driver in $DRIVERS; do
		module=$modules/$driver.ko
		[ -e "$module" ] || [ -n "$RUST_MM_MODULES" ] || skip_all "no $module"
	done
	for driver in $DRIVERS; do
		# What a test that failed has left behind.
		rmmod "$driver" 2>/dev/null
		case $driver in
		rust_mmap_pfn | rust_vma_inspect) insmod "$modules/$driver.ko" ;;
		*) insmod "$modules/$driver.ko" pages="$1" ;;
		esac || ktap_exit_fail_msg "$driver cannot be loaded"
		if [ ! -e "/dev/$driver" ]; then
			ktap_print_msg "no QEMU -device ivshmem-plain"
			rmmod "$driver"
			continue
		fi
		DEVICES="$DEVICES $driver"
		[ "$driver" = rust_vma_inspect ] || MAPPABLE="$MAPPABLE $driver"
	done
}

# A number that a driver tells; nothing, if it does not.
counter() { # DRIVER NAME
	(exec 9<>"/dev/$1" && sed -n "s/^$2:\t//p" /proc/self/fdinfo/9)
}

# How often a driver has been called to map something, or page by page.
uses() { # DRIVER
	case $1 in
	rust_mmap) counter "$1" mmaps ;;
	# The other counters of this one are those of mappings that there are.
	rust_mmap_demand) counter "$1" present ;;
	rust_mmap_pfn) counter "$1" faults ;;
	*) counter "$1" faults ;;
	esac
}

# How many VMAs a driver has, by what its callbacks have counted: as fdinfo_vmas() in rust_mm.h.
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

# The processes that have a device open or mapped.
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
		ktap_print_msg "left behind: $pid, $(cat "/proc/$pid/comm")"
		kill -KILL "$pid"
	done 2>/dev/null
}

# Nothing is mapped, as far as the driver counts that. What is left behind is ended, and
# has to give back what it had.
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

# Nobody may be left that cannot be killed. Closing the last file is not finished when
# its process has ended.
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

# Those that count what is mapped.
COUNTING="rust_mmap_plain rust_mmap_demand"

# Cases: one for each driver that is there, and one for each of COUNTING.
check_what_is_left() {
	local driver
	for driver in $COUNTING; do
		check "balance of $driver" balanced "$driver"
	done
	for driver in $DEVICES; do
		check "unloading $driver" unload "$driver"
	done
}
