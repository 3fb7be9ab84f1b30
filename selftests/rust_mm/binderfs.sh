#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The kernel's own test of binderfs, unmodified.
exec ./binderfs_test "$@"
