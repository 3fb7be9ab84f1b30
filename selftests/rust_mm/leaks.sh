#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Memory that nobody refers to any more, by kmemleak, whatever ran since the machine was
# started: so this comes last. Whole pages are not in what kmemleak knows.

kmemleak=/sys/kernel/debug/kmemleak

mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug
if [ ! -e $kmemleak ]; then
	echo "no CONFIG_DEBUG_KMEMLEAK" >&2
	exit 4
fi
# On the kernel's console, too.
echo 1 >/sys/module/kmemleak/parameters/verbose || exit 1
# It leaves out what is younger than five seconds, and what has changed since it looked last.
sleep 6
for _ in 1 2 3; do
	# It refuses when it has given up, for want of memory for its own records.
	if ! echo scan >$kmemleak; then
		echo "kmemleak is off" >&2
		exit 1
	fi
	sleep 1
done
found=$(cat $kmemleak) || exit 1
[ -z "$found" ] && exit 0
echo "$found" | head -n 400
exit 1
