# shellcheck shell=bash disable=SC2034,SC2153
# What looks at our files without running them.

lint() {
    use_tree
    prepare_toolchain
    prepare_source
    integrate
    VARIANT=''
    style_stages
    posted_stages
    tap_passed "$SHELLCHECK" "$RUSTFMT" "$PLAN" "$CHECKPATCH" "$MAINTAINERS"
}

# Prints what has failed. A file without a case, of a script that has crashed, is a failure.
tap_passed() { # LOG...
    local log failed=0
    for log in "$@"; do
        ! grep -E '^(not ok|#) ' "$log" || failed=1
        grep -q '^ok ' "$log" || { ((failed)) || cat -- "$log"; failed=1; }
    done
    return "$failed"
}

# Leaves TAP in SHELLCHECK and in RUSTFMT, for the report. The files are the same in all variants.
style_stages() {
    stage_begin shellcheck
    SHELLCHECK=$LOG
    check_each shell_files shellcheck -x
    stage_begin rustfmt
    RUSTFMT=$LOG
    # From standard input: it does not go on to the modules that a file declares.
    # shellcheck disable=SC2016 # for the other shell
    check_each rust_files bash -c 'rustfmt --check --color never --config-path "$0" <"$1"' \
        "$E_TREE/.rustfmt.toml"
}

# A case of TAP for each file: the command must succeed.
check_each() { # FUNCTION-THAT-LISTS-FILES COMMAND...
    local files
    if [[ -n $VARIANT ]]; then
        echo "ok # SKIP" >>"$LOG"
        stage_end "skipped: VARIANT=$VARIANT"
        return
    fi
    mapfile -t files < <("$1" | sort)
    echo "1..${#files[@]}" >>"$LOG"
    printf '%s\0' "${files[@]}" >"$WORK/files"
    logged in_env env -C "$E_REPO" xargs -0 -a "$E_WORK/files" -P "$JOBS" -n 1 \
        scripts/lib/check-one.sh "${@:2}" || :
    stage_end "$(grep -c '^ok ' "$LOG") of ${#files[@]} files"
}

# By their first lines.
shell_files() {
    local file line
    while read -r file; do
        read -r line <"$REPO/$file" || :
        case $line in '#!'*/sh | '#!'*/bash | '# shellcheck shell='*) echo "$file" ;; esac
    done < <(cd "$REPO" && find .ci config findings scripts selftests -type f)
}

# Ours, and upstream's that lines of ours are in, which lie in the tree.
rust_files() {
    (cd "$REPO" && find bench rust samples selftests series -name '*.rs')
    (cd "$REPO" && cat integration.toml "series/$(tree_series)"/*.toml) |
        sed -n 's,^file = "\(.*\.rs\)".*,'"$E_TREE"'/\1,p' | sort -u
}

fmt() {
    use_tree
    prepare_toolchain
    prepare_source
    stage_begin fmt
    # The files where they are edited; the kernel's rules are in its tree. From standard input, since
    # rustfmt would look for the modules of a file, some of which are in series/.
    # shellcheck disable=SC2016 # for the other shell
    logged in_env bash -c 'cd "$1" && config=$2 && shift 2 && new=$(mktemp) || exit
        find "$@" -name "*.rs" -print0 | while read -rd "" file; do
            rustfmt --config-path "$config" <"$file" >"$new" || exit
            cmp -s "$new" "$file" || { cat "$new" >"$file" && echo "$file"; }
        done' bash "$E_REPO" "$E_TREE/.rustfmt.toml" \
        bench rust samples series ${DRIVER:+"$E_DRIVER"} || stage_fail
    sed "s,^$E_REPO/,," "$LOG" | outside
    stage_end "$(grep -c . "$LOG") files changed"
}

# Of the driver alone, if there is one.
clippy() {
    use_tree
    prepare_toolchain
    prepare_source
    integrate
    configure
    build_kernel
    build_driver
    clippy_stage ${DRIVER:+"$E_WORK/modules" "$E_DRIVER"}
    tap_passed "$CLIPPY" | outside
}
