# SPDX-License-Identifier: GPL-2.0
# The front door. Every target is a command of scripts/rust-mm; variables given
# on the command line or in the environment reach it alike (`make help`).

commands := run test test-all soak coverage mutants build shell integrate unintegrate doctor lint rustdoc \
	clippy series clean distclean

help $(commands):
	@scripts/rust-mm $@

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help $(commands)
