# shellcheck shell=bash
# make rust-analyzer.
rust_analyzer() { :; }
