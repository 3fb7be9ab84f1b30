# shellcheck shell=bash
# What looks at our files without running them.

lint() {
    local failed=0
    use_tree
    prepare_toolchain
    prepare_source
    integrate
    lint_stage shellcheck lint_shell || failed=1
    lint_stage rustfmt lint_rust || failed=1
    posted_stages
    ! grep -hE '^(not ok|#) ' "$CHECKPATCH" "$MAINTAINERS" || failed=1
    return "$failed"
}

lint_stage() { # NAME FUNCTION
    stage_begin "$1"
    if logged "$2"; then
        stage_end "clean"
    else
        stage_line "$(grep -c . "$LOG") lines to look at"
        cat -- "$LOG"
        return 1
    fi
}

lint_shell() {
    # shellcheck disable=SC2016 # for the other shell
    in_env bash -c 'cd "$0" && shellcheck -x scripts/rust-mm scripts/*/*.sh scripts/guest/bashrc scripts/guest/bin/* selftests/*/*.sh .ci/run \
        config/rootfs/usr/bin/* config/rootfs/usr/lib/systemd/*' "$E_REPO"
}

# Our files by where they lie in the tree, whose rules apply.
our_files() { # PATTERN
    local base
    for base in "$REPO" "$REPO/series/$(tree_series)"; do
        (cd "$base" && find drivers fs include kernel mm rust samples selftests -name "$1") 2>/dev/null || :
    done | sed 's,^selftests/,tools/testing/selftests/,' | sort
}

lint_rust() {
    our_files '*.rs' | in_env xargs -r rustfmt --check --color never
}

fmt() {
    use_tree
    prepare_toolchain
    prepare_source
    stage_begin fmt
    # The files where they are edited; the kernel's rules are in its tree.
    # shellcheck disable=SC2016 # for the other shell
    logged in_env bash -c 'cd "$1" && find rust samples -name "*.rs" -print0 |
        xargs -0 rustfmt -l --config-path "$2/.rustfmt.toml"' bash "$E_REPO" "$E_TREE" || stage_fail
    sed "s,^$E_REPO/,," "$LOG"
    stage_end "$(grep -c . "$LOG") files changed"
}

clippy() {
    use_tree
    prepare_toolchain
    prepare_source
    integrate
    configure
    build_kernel
    clippy_stage
    ! grep -E '^(not ok|#) ' "$CLIPPY"
}

rustdoc() {
    use_tree
    prepare_toolchain
    prepare_source
    integrate
    configure
    stage_begin rustdoc
    logged in_env make LLVM=1 -j"$JOBS" rustdoc || stage_fail
    stage_end "$TREE/Documentation/output/rust/rustdoc/kernel/mm/index.html"
}
