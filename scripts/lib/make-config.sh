#!/bin/bash
# make-config.sh FRAGMENT...
# In the tree: .config.rust-mm from nothing and the fragments. Whether every
# option took is for the caller to see.
set -euo pipefail
export KCONFIG_CONFIG=.config.rust-mm
make -s LLVM=1 allnoconfig
scripts/kconfig/merge_config.sh -m -Q "$KCONFIG_CONFIG" "$@"
make -s LLVM=1 olddefconfig
