# shellcheck shell=bash disable=SC2153
# Configuration, kernel, modules, selftests.

# Of two that set the same option, the later one counts.
fragments() {
    local variant
    echo "$REPO/config/base.config"
    [[ ! -d $REPO/samples || -n $(only_folders) ]] || echo "$REPO/config/samples.config"
    for variant in ${VARIANT//,/ }; do
        echo "$REPO/config/variants/$variant.config"
    done
}

# --- configuration

# Made again only when what it is made of has changed.
configure() {
    local stamp fragments missing
    stage_begin configure
    mapfile -t fragments < <(fragments)
    if [[ -n $KDIR && -e $TREE/.config && ! -e $WORK/configured ]]; then
        missing=$(missing_options "$TREE/.config" "${fragments[@]}")
        if [[ -n $missing ]]; then
            note "your .config lacks options that we ask for:"
            echo "             ${missing//$'\n'/$'\n'             }"
        fi
        stage_end "the tree's own .config"
        return
    fi
    stamp=$(config_stamp "${fragments[@]}")
    if [[ -e $TREE/.config && $(cat "$WORK/configured" 2>/dev/null) == "$stamp" ]]; then
        stage_end "unchanged"
        return
    fi
    logged in_env bash "$E_REPO/scripts/lib/make-config.sh" \
        "${fragments[@]/#"$REPO"/"$E_REPO"}" || stage_fail
    missing=$(missing_options "$TREE/.config.rust-mm" "${fragments[@]}")
    [[ -z $missing ]] || {
        echo "$missing" >>"$LOG"
        stage_fail "options that did not take (their dependencies?)"
    }
    # Keeps the time of one that did not change.
    cmp -s "$TREE/.config.rust-mm" "$TREE/.config" || mv "$TREE/.config.rust-mm" "$TREE/.config"
    rm -f "$TREE"/.config.rust-mm*
    echo "$stamp" >"$WORK/configured"
    stage_end "$(grep -c '=[ym]$' "$TREE/.config") options"
}

# Names what a configuration is made of.
config_stamp() { # FRAGMENT...
    {
        tree_version
        echo "$TOOLCHAIN" "${ROOTFS##*/}"
        our_kconfig
        cat "$@"
    } | sha256sum
}

# Our Kconfig files, and upstream's that lines of ours are in.
our_kconfig() {
    # shellcheck disable=SC2046 # words
    (cd "$REPO" && find samples $(also_folders) -name 'Kconfig*' 2>/dev/null | sort | xargs -r cat) || :
    (cd "$TREE" && cat "$REPO/integration.toml" "$REPO/series/$(tree_series)"/*.toml |
        sed -n 's/^file = "\(.*Kconfig[^"]*\)".*/\1/p' | sort -u | xargs -r cat) 2>/dev/null || :
}

# Lines of the fragments that set something and are not in the file.
missing_options() { # FILE FRAGMENT...
    local file=$1
    shift
    sed -nE 's/^(CONFIG_[A-Z0-9_]+)=.*/\1 &/p; s/^# (CONFIG_[A-Z0-9_]+) is not set$/\1/p' "$@" |
        awk '{ line[$1] = substr($0, length($1) + 2) } END { for (o in line) if (line[o]) print line[o] }' |
        grep -vxFf "$file" | sort || :
}

# --- kernel and modules

# More for make's command line.
KBUILD_OPTIONS=()

# How many objects a build from nothing makes: what the last one here made, at
# first a number that was measured.
expected_objects() {
    local series
    series=$(tree_series)
    cat "$CACHE/objects/$series${VARIANT:+-$VARIANT}" 2>/dev/null ||
        cat "$REPO/series/$series/objects" 2>/dev/null || :
}

built_objects() {
    grep -cE '^  (CC|AS|RUSTC)' "$LOG" || :
}

# Without the total when it turns out to be wrong: another variant makes more.
build_progress() {
    local built
    built=$(built_objects)
    ((built <= ${EXPECTED:-0})) || EXPECTED=
    echo "$built${EXPECTED:+ of $EXPECTED} objects"
}

# Of a stage that has succeeded. Code that is built without optimization, for make coverage, has too
# many of objtool's.
show_warnings() {
    local warning='(^|: )(warning|WARNING)(\[[^]]*\])?: ' count
    ((!${#KBUILD_OPTIONS[@]})) || return 0
    count=$(grep -E "$warning" "$LOG" | grep -vcE 'warnings? emitted') || return 0
    echo "--- $count warnings in $LOG"
    # Of rustc's, also where it is.
    grep -E -A 8 --no-group-separator "$warning" "$LOG" |
        grep -vE 'warnings? emitted|^  ([A-Z]+|\[M\]) |^make' | head -n 60 | outside
}

build_kernel() {
    local built log targets=(bzImage modules)
    ! grep -q '^CONFIG_GDB_SCRIPTS=y' "$TREE/.config" || targets+=(scripts_gdb)
    EXPECTED=
    [[ -e $TREE/vmlinux ]] || EXPECTED=$(expected_objects)
    # The log of a first build goes on where it was cut off, and the count with it.
    [[ -n $EXPECTED ]] || rm -f "$BUILD_LOG"
    log=$(cat "$BUILD_LOG" 2>/dev/null) || :
    stage_begin "kernel build"
    [[ -z $log ]] || printf '%s\n' "$log" >"$LOG"
    PROGRESS=build_progress logged in_env make LLVM=1 -j"$JOBS" ${V:+V=$V} "${KBUILD_OPTIONS[@]}" \
        "${targets[@]}" || stage_fail
    built=$(built_objects)
    if [[ -n $EXPECTED ]]; then
        mkdir -p "$CACHE/objects"
        echo "$built" >"$CACHE/objects/$(tree_series)${VARIANT:+-$VARIANT}"
    fi
    stage_end "$built objects"
    show_warnings
}

# --- selftests

SELFTESTS=tools/testing/selftests/rust_mm

# The proxies of the host, for cargo.
proxies() {
    local name
    for name in {http,https,all,no}_proxy {HTTP,HTTPS,ALL,NO}_PROXY; do
        [[ -z ${!name-} ]] || echo "$name=${!name}"
    done
}

build_selftests() {
    local proxy
    [[ -d $TREE/$SELFTESTS ]] || return 0
    stage_begin selftests
    mapfile -t proxy < <(proxies)
    logged in_env make -s LLVM=1 -j"$JOBS" headers || stage_fail
    logged in_env "${proxy[@]}" make LLVM=1 CARGO=cargo -C tools/testing/selftests \
        TARGETS=rust_mm FORCE_TARGETS=1 install INSTALL_PATH="$E_WORK/kselftest" || stage_fail
    stage_end "$(wc -l <"$WORK/kselftest/kselftest-list.txt") programs"
    show_warnings
}
