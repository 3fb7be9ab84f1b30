# shellcheck shell=bash disable=SC2153
# make rust-analyzer.

rust_analyzer() {
    local root=/ to=${DRIVER:-$REPO}/rust-project.json
    use_tree
    prepare_toolchain
    prepare_source
    integrate
    configure
    # It reads what a build has made, and the macros are programs.
    build_kernel
    stage_begin rust-analyzer
    # The paths of the machine are not those of the root file system.
    host_python || stage_fail "needs Python on this machine, 3.11 or newer: apt-get install python3"
    [[ $TOOLCHAIN == host ]] || root=$ROOTFS
    logged in_env make LLVM=1 rust-analyzer || stage_fail
    python3 -B "$REPO/scripts/analyzer.py" "$REPO" "$TREE" "$root" "$WORK/rust-analyzer" \
        ${DRIVER:+"$DRIVER"} >"$to" 2>>"$LOG" || stage_fail
    stage_end "$to"
}
