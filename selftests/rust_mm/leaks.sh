#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Fails if kmemleak finds memory that the kernel has leaked since boot, so this test runs last.
# kmemleak does not track whole pages.

kmemleak=/sys/kernel/debug/kmemleak

mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug
if [ ! -e $kmemleak ]; then
	echo "no CONFIG_DEBUG_KMEMLEAK" >&2
	exit 4
fi
# Also print the leaks on the kernel's console.
echo 1 >/sys/module/kmemleak/parameters/verbose || exit 1
# kmemleak skips objects younger than five seconds, and objects that changed since its last scan.
sleep 6
for _ in 1 2 3; do
	# kmemleak turns itself off if it cannot allocate memory for its own records.
	if ! echo scan >$kmemleak; then
		echo "kmemleak has turned itself off" >&2
		exit 1
	fi
	sleep 1
done
found=$(cat $kmemleak) || exit 1
[ -z "$found" ] && exit 0
echo "$found" | head -n 400
exit 1
