#!/bin/bash
# command.sh COMMAND
# In the VM: a command of the user's, where the modules of the samples are.
exec 2>&1 # standard error goes to the kernel's console
# shellcheck source=scripts/guest/bashrc
source "$(dirname "$0")/bashrc"
cd "$RUST_MM_MODULES" || exit
eval "$1"
