#!/bin/bash
# control.sh TREE KSELFTEST NAME COMMAND
# In the VM: what provokes a report of the kernel, after a line that says so.
exec 2>&1 # standard error goes to the kernel's console
cd "$2/rust_mm" || exit
export RUST_MM_MODULES=$1/samples/rust/mm
echo "rust_mm: control $3" >/dev/kmsg || exit
# A command of the list, with arguments.
# shellcheck disable=SC2086
./$4
