#!/bin/bash
# command.sh TREE WORK COMMAND
# In the VM: a command of the user's, where the modules of the samples are.
exec 2>&1 # standard error goes to the kernel's console
export RUST_MM_TREE=$1 RUST_MM_WORK=$2 RUST_MM_BIN=${0%/*}/bin
# shellcheck source=scripts/guest/bashrc
source "${0%/*}/bashrc"
cd "$RUST_MM_MODULES" || exit
eval "$3"
