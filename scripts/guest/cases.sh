#!/bin/bash
# cases.sh TREE KSELFTEST COMMAND...
# In the VM: programs of the installed selftests, with the arguments that choose a case.
exec 2>&1 # standard error goes to the kernel's console
cd "$2/rust_mm" || exit
export RUST_MM_MODULES=$1/samples/rust/mm
shift 2
for command in "$@"; do
    # Words.
    # shellcheck disable=SC2086
    ./$command
done
