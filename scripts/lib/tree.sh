# shellcheck shell=bash disable=SC2153
# The source tree: which one, whose it is, and our repository laid over it.
#
#   work/<series>-<sum of the checkout's path>/   of one checkout, locked while it runs; a second
#                                                 lock, .build, is for what changes the tree
#       owner      the path of the checkout; gone when that is gone
#       linux/     the tree; absent if it is a tree of the user's (KDIR)
#       source     which source the tree was made from
#       logs/, kselftest/, and what the other stages remember

sum_of() { # TEXT
    printf %s "$1" | sha256sum | cut -c1-12
}

# What the kernel can be configured as besides the default.
variants() {
    local file names=()
    for file in "$REPO"/config/variants/*.config; do
        file=${file##*/}
        # The targets' own.
        [[ $file == @(coverage|mutants).config ]] || names+=("${file%.config}")
    done
    echo "${names[*]}"
}

# Chooses and locks the work folder.
use_tree() {
    local owner=$REPO variant
    for variant in ${VARIANT//,/ }; do
        [[ -e $REPO/config/variants/$variant.config ]] ||
            die "no such variant: $variant (there are: $(variants))"
    done
    if [[ -n $KDIR ]]; then
        [[ -e $KDIR/Kbuild ]] || die "KDIR=$KDIR is not a kernel source tree"
        TREE=$(cd "$KDIR" && pwd -P)
        owner=$TREE
        WORK=$CACHE/work/kdir-$(sum_of "$TREE")
    else
        [[ $KERNEL =~ ^[0-9]+\.[0-9]+$ ]] || die "KERNEL is a series such as 7.3, not $KERNEL"
        WORK=$CACHE/work/$KERNEL${VARIANT:+-${VARIANT//,/-}}-$(sum_of "$REPO")
        TREE=$WORK/linux
    fi
    LOGS=$WORK/logs
    BUILD_LOG=$LOGS/kernel-build.log
    mkdir -p "$CACHE/work"
    lock "${WORK##*/}" "${KDIR:+this tree}${KDIR:-this checkout}"
    TREE_LOCK=$LOCK_FD
    lock "${WORK##*/}.build" "a copy of this tree"
    BUILD_LOCK=$LOCK_FD
    drop_orphans
    mkdir -p "$WORK"
    echo "$owner" >"$WORK/owner"
}

# Lets others build while a VM, which sees the tree live, is open; nobody removes it then.
release_tree() {
    lock "${WORK##*/}.vm" "this checkout's tree" --shared
    unlock_tree
}

unlock_tree() {
    unlock "$BUILD_LOCK"
    unlock "$TREE_LOCK"
}

# Lets other checkouts copy the tree while the tests use it. No run of this one builds meanwhile.
tree_is_built() {
    unlock "$BUILD_LOCK"
}

no_open_vm() {
    try_lock "${WORK##*/}.vm" || die "a VM of this checkout's tree is open (make shell): end it first"
    unlock "$LOCK_FD"
}

# Work folders whose checkout is gone: one is taken over, the others removed.
# A folder is moved or removed only under its own lock.
drop_orphans() {
    local other orphan copied
    for other in "$CACHE/work"/*/; do
        other=${other%/}
        [[ $other != "$WORK" && -e $other/owner ]] || continue
        [[ ! -d $(<"$other/owner") ]] || continue
        try_lock "${other##*/}" || continue
        orphan=$LOCK_FD
        # Somebody may be copying it.
        try_lock "${other##*/}.build" || { unlock "$orphan"; continue; }
        copied=$LOCK_FD
        if [[ -e $other/owner ]]; then
            if [[ -z $KDIR && ! -e $WORK && ${other##*/} == "$KERNEL"-* ]]; then
                mv "$other" "$WORK"
            else
                rm -rf --one-file-system "$other"
            fi
        fi
        unlock "$copied"
        unlock "$orphan"
    done
}

# Makes the tree, from what is nearest: our own, another checkout's (already
# built), the package in the cache, the mirror.
prepare_source() {
    local deb='' id source_lock=
    stage_begin "kernel source"
    if [[ -n $KDIR ]]; then
        check_host
        stage_end "$(tree_version) in $TREE"
        return
    fi
    if [[ -n $SOURCE ]]; then
        [[ -f $SOURCE ]] || stage_fail "SOURCE=$SOURCE: no such file"
    else
        lock source "the kernel's source" --shared
        source_lock=$LOCK_FD
        deb=$(cached_deb)
        [[ -n $deb ]] || fetch
    fi
    id=$(source_id "$deb")
    if [[ -e $TREE/Makefile && $(cat "$WORK/source" 2>/dev/null) == "$id" ]]; then
        check_host
        stage_end "$(tree_version) (cached)"
    else
        remove_tree
        if copy_tree "$id"; then
            check_host
            stage_end "$(tree_version) (copied from another checkout's)"
        else
            if [[ -n $deb ]] && ! (cd "$CACHE/src" && sha256sum -c --status "$deb.sha256"); then
                note "${deb##*/} in the cache is damaged: downloading again"
                rm -f "$deb" "$deb.sha256"
                fetch
                id=$(source_id "$deb")
            fi
            PROGRESS=unpack_progress logged unpack "$deb" || stage_fail
            check_host
            stage_end "$(tree_version) (unpacked)"
        fi
        echo "$id" >"$WORK/source"
    fi
    [[ -z $source_lock ]] || unlock "$source_lock"
}

# One run at a time downloads. Sets deb.
fetch() {
    flock "$source_lock"
    deb=$(cached_deb)
    if [[ -z $deb ]]; then
        download_deb
        deb=$(cached_deb)
    fi
    flock --shared "$source_lock"
}

tree_version() {
    sed -n '1,6{s/^\(VERSION\|PATCHLEVEL\|SUBLEVEL\) = //p}' "$TREE/Makefile" | paste -sd.
}

tree_series() {
    tree_version | cut -d. -f1,2
}

unpack_progress() {
    echo "$(du -sm "$WORK/linux.part" 2>/dev/null | cut -f1) MB unpacked"
}

copy_progress() {
    echo "$(du -sm "$WORK/linux.part" 2>/dev/null | cut -f1) MB copied"
}

# What stages remember of a tree, beside it.
STAMPS=(configured)

remove_tree() {
    no_open_vm
    rm -f "$WORK/source" "$BUILD_LOG" "${STAMPS[@]/#/$WORK/}"
    rm -rf "$TREE" "$WORK/kselftest"
}

# From a checkout that does not change it just now. One whose last variant is the same comes first:
# less of it has to be built anew.
copy_tree() { # ID
    local other from stamp
    for other in "$CACHE/work/$KERNEL${VARIANT:+-*${VARIANT##*,}}"-????????????/ "$CACHE/work"/*/; do
        other=${other%/}
        [[ $other != "$WORK" && $(cat "$other/source" 2>/dev/null) == "$1" ]] || continue
        try_lock "${other##*/}.build" --shared || continue
        from=$LOCK_FD
        if [[ -e $other/linux/Makefile && $(cat "$other/source" 2>/dev/null) == "$1" ]]; then
            rm -rf "$WORK/linux.part"
            PROGRESS=copy_progress logged cp -a --reflink=auto "$other/linux" "$WORK/linux.part" ||
                stage_fail
            for stamp in "${STAMPS[@]}"; do
                [[ ! -e $other/$stamp ]] || cp -a "$other/$stamp" "$WORK/"
            done
            mv "$WORK/linux.part" "$TREE"
            unlock "$from"
            return 0
        fi
        unlock "$from"
    done
    return 1
}

# The folders of the repository that alone are laid over the tree, if a variant says so.
only_folders() {
    variants_say ONLY
}

# The folders that a variant lays over the tree in addition.
also_folders() {
    variants_say ALSO
}

integrate() {
    local folder options=()
    use_python
    stage_begin integrate
    for folder in $(only_folders); do
        options+=(--only "$folder")
    done
    for folder in $(also_folders); do
        options+=(--also "$folder")
    done
    "${PYTHON[@]}" "$P_REPO/scripts/integrate.py" "${options[@]}" "$P_TREE" >>"$LOG" 2>&1 || stage_fail
    stage_end "$(tail -n1 "$LOG")"
}

# --- removal

clean() {
    use_tree
    no_open_vm
    stage_begin clean
    rm -rf --one-file-system "$WORK"
    if [[ -n $KDIR ]]; then
        stage_end "what was remembered of $TREE is removed; the tree itself is yours"
    else
        stage_end "this checkout's build of Linux $KERNEL removed"
    fi
}

# Everything that no other run is using just now.
distclean() {
    local dir name left=()
    LOGS=$CACHE/logs
    stage_begin distclean
    for dir in "$CACHE"/work/*/ "$CACHE"/root/*/ "$CACHE/src/"; do
        [[ -d $dir ]] || continue
        dir=${dir%/}
        name=${dir##*/}
        case $dir in
            */src) name=source ;;
            *.part) name=${name%.part} ;;
        esac
        if { [[ $dir == */work/* ]] && ! { try_lock "$name.vm" && try_lock "$name.build"; }; } ||
            ! try_lock "$name"; then
            left+=("${dir#"$CACHE"/}")
            continue
        fi
        if [[ $dir == "$CACHE"/root/* ]]; then
            "${NS[@]}" rm -rf --one-file-system "$dir"
        else
            rm -rf --one-file-system "$dir"
        fi
        [[ $name != source ]] || rm -rf "$CACHE/apt"
        unlock "$LOCK_FD"
    done
    rm -rf "$CACHE"/kvm-* "$CACHE/objects" "$CACHE/times" "$CACHE/ccache" "$CACHE/cargo"
    if ((${#left[@]})); then
        stage_end "done, but another run is using ${left[*]}"
    else
        stage_end "cache emptied"
    fi
    rm -rf "$LOGS"
}
