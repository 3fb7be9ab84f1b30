# shellcheck shell=bash disable=SC2034,SC2153
# Where the kernel is built and booted: on the host, or in a root file system.

# NS: what makes a mount namespace. A user without root needs a user namespace
# with a range of ids, because the packages' files have several owners.
NS=(unshare --mount)
((EUID == 0)) || NS=(unshare --user --map-auto --map-root-user --mount)

# The packages and files of the root file system; its directory is named by their sum.
rootfs_recipe() {
    (
        cd "$REPO/config" || exit
        echo "$SUITE"
        find rootfs rootfs.packages -type f -print0 | sort -z | xargs -0 sha256sum
    )
}

rootfs_packages() {
    sed 's/#.*//' "$REPO/config/rootfs.packages" | xargs | tr ' ' ,
}

ROOTFS=$CACHE/root/$(rootfs_recipe | sha256sum | cut -c1-12)

# --- choice

HOST_COMMANDS=(clang ld.lld llvm-ar rustc cargo clippy-driver bindgen pahole flex bison bc perl python3
    cpio xz make vng qemu-system-x86_64 script insmod mkswap stress-ng trinity
    rustdoc rustfmt shellcheck sphinx-build gnuplot)

missing_on_host() {
    local command
    for command in "${HOST_COMMANDS[@]}"; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$command" >/dev/null || echo "$command"
    done
    [[ -e /usr/include/libelf.h ]] || echo libelf-dev
    python3 -c 'import docutils' 2>/dev/null || echo python3-docutils
    python3 -c 'import elftools' 2>/dev/null || echo python3-pyelftools
    python3 -c 'import yaml' 2>/dev/null || echo python3-yaml
    # In host mode kbuild sees the real path.
    [[ $TREE != *[[:space:]:]* ]] || echo "a path without spaces"
}

# Decides by what is there; whether it is good enough the tree says (check_host).
prepare_toolchain() {
    [[ -z ${E_TREE-} ]] || return 0
    case $TOOLCHAIN in
        host | rootfs) ;;
        auto)
            TOOLCHAIN=host
            [[ -z $(missing_on_host) ]] || TOOLCHAIN=rootfs
            AUTO_TOOLCHAIN=1
            ;;
        *) die "TOOLCHAIN is host, rootfs or auto, not $TOOLCHAIN" ;;
    esac
    use_toolchain
}

use_toolchain() {
    if [[ ! -e $CACHE/ccache/ccache.conf ]]; then
        mkdir -p "$CACHE/ccache"
        echo "max_size = 3.0G" >"$CACHE/ccache/ccache.conf"
    fi
    mkdir -p "$CACHE/cargo"
    if [[ $TOOLCHAIN == host ]]; then
        E_TREE=$TREE E_WORK=$WORK E_REPO=$REPO E_DRIVER=$DRIVER
    else
        # Always the same paths: a tree that was built for one checkout stays
        # built when another one takes it over.
        E_TREE=/build/linux E_WORK=/build/work E_REPO=/build/repo
        E_DRIVER=$E_WORK/driver
        prepare_rootfs
    fi
}

# The kernel's own answer. Called once the tree is there.
check_host() {
    [[ $TOOLCHAIN == host ]] || return 0
    if ! in_env make -s LLVM=1 rustavailable >>"$LOG" 2>&1; then
        [[ -n ${AUTO_TOOLCHAIN-} ]] ||
            stage_fail "the host's Rust toolchain will not do (make LLVM=1 rustavailable)"
        TOOLCHAIN=rootfs
        use_toolchain
    fi
}

# --- entering

# Runs a command where the toolchain is, in the tree. clang is ccache's, if that is there: so C is
# compiled once for all checkouts and configurations that have it in common.
in_env() { # COMMAND...
    local clean=(TERM="${TERM:-dumb}" LC_ALL=C.UTF-8) dir=$TREE
    if [[ $TOOLCHAIN == host ]]; then
        [[ -d $TREE ]] || dir=$WORK
        env -i -C "$dir" "${clean[@]}" HOME="$HOME" USER="${USER:-root}" \
            CCACHE_DIR="$CACHE/ccache" CARGO_HOME="$CACHE/cargo" \
            PATH="/usr/lib/ccache:$PATH:/usr/sbin:/sbin" "$@"
    else
        "${NS[@]}" "$REPO/scripts/lib/enter.sh" "$ROOTFS" "$TREE" "$WORK" "$REPO" "$CACHE" \
            "${clean[@]}" "$@"
    fi
}

# Our own programs are in Python; the host's starts faster than a namespace.
host_python() {
    python3 -c 'import sys, tomllib; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# Chooses; sets the paths as Python will see them.
use_python() {
    if host_python; then
        PYTHON=(python3 -B) P_TREE=$TREE P_WORK=$WORK P_REPO=$REPO
    else
        prepare_toolchain
        PYTHON=(in_env python3 -B) P_TREE=$E_TREE P_WORK=$E_WORK P_REPO=$E_REPO
    fi
}

# --- making the root file system

prepare_rootfs() {
    local lock
    stage_begin toolchain
    mkdir -p "$CACHE/root"
    lock "${ROOTFS##*/}" "the root file system" --shared
    lock=$LOCK_FD
    if [[ -d $ROOTFS ]]; then
        stage_end "Debian $SUITE root file system (cached)"
        return
    fi
    flock "$lock" # nobody uses it, so only another maker can make us wait
    if [[ ! -d $ROOTFS ]]; then
        need_host_tools
        make_rootfs
        stage_end "Debian $SUITE root file system (made)"
    else
        stage_end "Debian $SUITE root file system (made by another run)"
    fi
    flock --shared "$lock"
}

need_host_tools() {
    local missing=()
    command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
    command -v mount >/dev/null || missing+=(mount)
    ((EUID == 0)) || command -v newuidmap >/dev/null || missing+=(uidmap)
    ((${#missing[@]})) || return 0
    ((EUID == 0)) || stage_fail "needs ${missing[*]}: apt-get install ${missing[*]}"
    command -v apt-get >/dev/null || stage_fail "needs mmdebstrap"
    apt_install "${missing[@]}" || stage_fail "could not install ${missing[*]}"
}

apt_install() { # PACKAGE...
    local install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@")
    logged "${install[@]}" || { logged apt-get update && logged "${install[@]}"; }
}

rootfs_progress() {
    local unpacked ready
    unpacked=$(grep -c '^Unpacking ' "$LOG") || :
    ready=$(grep -c '^Setting up ' "$LOG") || :
    if ((ready)); then
        echo "$ready of $unpacked packages set up"
    else
        echo "$unpacked packages unpacked"
    fi
}

make_rootfs() {
    local part=$ROOTFS.part mirror proxy
    mirror=$(debian_mirror 2>>"$LOG") || stage_fail
    mapfile -t proxy < <(apt_proxy_options)
    # What a cut-off attempt left.
    [[ ! -e $part ]] || "${NS[@]}" rm -rf --one-file-system "$part"
    mkdir "$part"
    # shellcheck disable=SC2016 # mmdebstrap's own variables
    PROGRESS=rootfs_progress logged "${NS[@]}" --pid --fork --kill-child \
        env TMPDIR=/var/tmp mmdebstrap --verbose --mode=root --variant=apt \
        --components=main --include="$(rootfs_packages)" "${proxy[@]}" \
        --customize-hook='mkdir -p "$1/build/linux" "$1/build/work" "$1/build/repo" "$1/build/ccache" "$1/build/cargo"' \
        --customize-hook="copy-in '$REPO/config/rootfs/usr' /" \
        "$SUITE" "$part" "$mirror" || stage_fail
    mv "$part" "$ROOTFS"
}
