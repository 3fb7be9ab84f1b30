# SPDX-License-Identifier: GPL-2.0
# The front door. Every target is a command of scripts/rust-mm; variables given
# on the command line or in the environment reach it alike (`make help`).

commands := run test test-all watch soak coverage mutants bench binder-bench build shell gdb integrate unintegrate doctor fmt \
	rust-analyzer lint htmldocs rustdoc clippy series clean distclean

# As it was written: a command's dollars are not for make.
override CMD := $(value CMD)
export CMD

help $(commands):
	@scripts/rust-mm $@

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help $(commands)
