# shellcheck shell=bash disable=SC2034,SC2153
# The layer on other architectures: rust/, our C files and the samples, as each file of config/cross/
# configures them. They are built, not run.
#
#   work/<...>/cross/
#       linux/      a second tree: kbuild refuses O= with the source of a build that was made in it
#       source      as that of the first one
#       <name>/     a build

# Leaves TAP in CROSS, for the report.
cross_builds() {
    local TREE=$WORK/cross/linux E_TREE=$E_TREE P_TREE names name skip=
    CROSS=$LOGS/cross-builds.log
    names=("$REPO"/config/cross/*.config)
    names=("${names[@]##*/}")
    names=("${names[@]%.config}")
    [[ -z $VARIANT ]] || skip="VARIANT=$VARIANT"
    [[ -z $KDIR ]] || skip="KDIR=$KDIR, which has been built in"
    if [[ -n $skip ]]; then
        stage_begin "cross builds"
        printf 'ok %s # SKIP\n' "${names[@]}" >"$CROSS"
        stage_end "skipped: $skip"
        return
    fi
    [[ $TOOLCHAIN == rootfs ]] || E_TREE=$TREE
    use_python
    cross_source
    echo "1..${#names[@]}" >"$CROSS"
    for name in "${names[@]}"; do
        cross_build "$name"
    done
}

cross_source() {
    local id how=cached source_lock
    id=$(<"$WORK/source")
    stage_begin "cross source"
    if [[ $(cat "$WORK/cross/source" 2>/dev/null) != "$id" ]]; then
        how=unpacked
        rm -rf "$WORK/cross"
        mkdir "$WORK/cross"
        lock source "the kernel's source" --shared
        source_lock=$LOCK_FD
        PROGRESS=unpack_progress logged unpack "$CACHE/src/$id" || stage_fail
        unlock "$source_lock"
        echo "$id" >"$WORK/cross/source"
    fi
    "${PYTHON[@]}" "$P_REPO/scripts/integrate.py" "$P_TREE" >>"$LOG" 2>&1 || stage_fail
    stage_end "$(tree_version) ($how)"
}

cross_build() { # NAME
    local EXPECTED='' make
    make=(make LLVM=1 "ARCH=$(sed -n 's/^# ARCH=//p' "$REPO/config/cross/$1.config")"
        "O=$E_WORK/cross/$1")
    stage_begin "cross $1"
    # shellcheck disable=SC2046 # one word for each object
    if cross_configure "$1" && PROGRESS=build_progress logged in_env "${make[@]}" -j"$JOBS" \
        ${V:+V=$V} rust/ samples/rust/mm/ $(cross_objects "$1"); then
        echo "ok $1" >>"$CROSS"
        stage_end "$(built_objects) objects"
    else
        echo "not ok $1" >>"$CROSS"
        { grep -E -m1 -A7 "$COMPILER_ERROR" "$LOG" || tail -n8 "$LOG"; } | sed 's/^/# /' >>"$CROSS"
        stage_line "FAILED: see $LOG"
    fi
}

cross_configure() { # NAME
    local fragment=config/cross/$1.config out=$WORK/cross/$1 stamp missing
    stamp=$(config_stamp "$REPO/$fragment")
    [[ $(cat "$out/configured" 2>/dev/null) != "$stamp" ]] || return 0
    mkdir -p "$out"
    logged in_env "${make[@]}" -s "KCONFIG_ALLCONFIG=$E_REPO/$fragment" allnoconfig || return
    missing=$(missing_options "$out/.config" "$REPO/$fragment")
    if [[ -n $missing ]]; then
        printf 'error: options that did not take:\n%s\n' "$missing" >>"$LOG"
        return 1
    fi
    echo "$stamp" >"$out/configured"
}

# Of our C files in upstream's folders, what the configuration has: kbuild makes any that it is asked for.
# Memory files need an MMU.
cross_objects() { # NAME
    local config=$WORK/cross/$1/.config folders=(fs) without=(-name 'rust_memory_*')
    ! grep -q '^CONFIG_PCI=y' "$config" || folders+=(drivers/pci)
    ! grep -q '^CONFIG_MMU=y' "$config" || folders+=(kernel mm) without=(-false)
    (cd "$REPO" && find "${folders[@]}" -name '*.c' ! "${without[@]}") | sed 's/c$/o/'
}
