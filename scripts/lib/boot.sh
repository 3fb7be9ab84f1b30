#!/bin/bash
# boot.sh CONSOLE VNG-OPTION...
# On a terminal of its own, in the tree: boots the kernel there under virtme-ng.
console=$1
shift

# The output goes to a pipe in the end: lines end in a newline alone.
stty -onlcr

# vng sends the console to standard error. That has to be a pipe: QEMU would open
# a file again and truncate it. A kernel that reports without end shall not fill the
# disk; of one that hangs the last line counts.
vng -r arch/x86/boot/bzImage --user root --verbose --append root=/dev/root "$@" \
    2> >(stdbuf -o0 head -c 50M >"$console")
