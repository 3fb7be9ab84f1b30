#!/bin/bash
# run.sh TREE
# In the VM: inserts the sample driver, runs its demo, takes the driver out. The demo
# is rust_mmap's: the other samples are shown by their selftests.
exec 2>&1 # standard error goes to the kernel's console
cd "$1/samples/rust/mm" || exit
insmod rust_mmap.ko || exit
./rust_mmap_demo
status=$?
rmmod rust_mmap || exit
exit "$status"
