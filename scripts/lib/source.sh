# shellcheck shell=bash
# The kernel's source: Debian's package of the series, or a tarball of the user's.

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# The address of this machine's own Debian mirror.
debian_mirror() {
    local codename mirror
    if [[ -n $DEBIAN_MIRROR ]]; then
        echo "$DEBIAN_MIRROR"
        return
    fi
    command -v apt-get >/dev/null || { echo "no apt-get here"; return 1; } >&2
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
    # The first entry of the release itself: not security's, not a third party's.
    # --no-release-info: also on a machine whose package lists were never read.
    # shellcheck disable=SC2016 # apt's own variables
    mirror=$(apt-get indextargets --no-release-info --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' |
        sed -n "s/^$codename main //p" | head -n1)
    [[ -n $mirror ]] || { echo "apt names no Debian mirror; give DEBIAN_MIRROR"; return 1; } >&2
    echo "$mirror"
}

# mmdebstrap does not read the host's apt configuration.
apt_proxy_options() {
    apt-config dump | sed -n '/^Acquire::[^ ]*[Pp]roxy[^ ]* "[^"]/s/^/--aptopt=/p'
}

# apt with a state of its own, so that the host's sources and packages play no
# part; the host's proxy settings do. Works without root.
private_apt() { # COMMAND...
    local apt=$CACHE/apt
    "$1" -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::Etc::Preferences="$apt/preferences" -o Dir::Etc::PreferencesParts=/dev/null \
        -o Dir::State="$apt/state" -o Dir::State::status="$apt/status" \
        -o Dir::Cache="$apt/cache" -o APT::Sandbox::User= \
        -o APT::Architecture=amd64 -o APT::Architectures=amd64 -o Acquire::Languages=none \
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false "${@:2}"
}

# Where linux-source packages of recent series are. One that a mirror does not
# have is no error: the package is looked for in what is there.
SOURCE_SUITES=(trixie-backports forky sid)

private_apt_update() {
    local apt=$CACHE/apt mirror=$1 suite
    mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"
    : >"$apt/status"
    for suite in "${SOURCE_SUITES[@]}"; do
        echo "deb [arch=amd64 signed-by=$KEYRING] $mirror $suite main"
    done >"$apt/sources.list"
    # All suites alike, so that the highest version wins (backports have 100 otherwise).
    printf 'Package: *\nPin: release *\nPin-Priority: 500\n' >"$apt/preferences"
    private_apt apt-get update || echo "(not all suites could be read)"
}

# --- the download

# The package's newest file in the cache.
cached_deb() {
    local deb newest=
    for deb in "$CACHE/src/linux-source-${KERNEL}_"*.deb; do
        [[ -e $deb.sha256 ]] || continue
        if [[ -z $newest ]] || dpkg --compare-versions "$(deb_version "$deb")" gt "$(deb_version "$newest")"; then
            newest=$deb
        fi
    done
    echo "$newest"
}

deb_version() { # FILE
    local name=${1##*/}
    name=${name#*_}
    name=${name%_*}
    echo "${name//%3a/:}"
}

download_progress() {
    local size
    size=$(du -sm "$CACHE/src/part" 2>/dev/null | cut -f1)
    if ((${size:-0})); then
        echo "$size MB${DEB_SIZE:+ of $DEB_SIZE MB}"
    else
        echo "reading package lists"
    fi
}

download_to() { # FOLDER PACKAGE
    cd "$1" && private_apt apt-get download "$2"
}

# Downloads to src/part, which nothing reads; only a whole file leaves it.
download_deb() {
    local mirror package=linux-source-$KERNEL part=$CACHE/src/part deb
    mirror=$(debian_mirror 2>>"$LOG") || stage_fail
    rm -rf "$part"
    mkdir -p "$part"
    PROGRESS=download_progress logged private_apt_update "$mirror" || stage_fail
    DEB_SIZE=$(private_apt apt-cache show --no-all-versions "$package" 2>>"$LOG" |
        sed -n 's/^Size: //p')
    [[ -n $DEB_SIZE ]] || stage_fail "the mirror has no $package: another series (KERNEL=), or SOURCE=tarball, or KDIR=tree"
    DEB_SIZE=$((DEB_SIZE / 1048576))
    PROGRESS=download_progress logged download_to "$part" "$package" || stage_fail
    deb=$(echo "$part"/*.deb)
    (cd "$part" && sha256sum "${deb##*/}" >"${deb##*/}.sha256")
    mv "$deb" "$CACHE/src/"
    mv "$deb.sha256" "$CACHE/src/"
    rm -rf "$part"
}

# --- from the package to the tree

# Names the source: a tree made from another one is replaced.
source_id() {
    if [[ -n $SOURCE ]]; then
        sha256sum <"$SOURCE" | cut -d' ' -f1
    else
        echo "${1##*/}"
    fi
}

# The tarball on standard output.
source_tar() { # DEB
    if [[ -n $SOURCE ]]; then
        cat -- "$SOURCE"
    else
        dpkg-deb --fsys-tarfile "$1" | tar -xO "./usr/src/linux-source-$KERNEL.tar.xz"
    fi
}

# tar cannot tell from a pipe.
compression() {
    case ${SOURCE:-.xz} in
        *xz) echo --xz ;;
        *gz) echo --gzip ;;
        *bz2) echo --bzip2 ;;
        *zst) echo --zstd ;;
        *) echo --no-auto-compress ;;
    esac
}

# Unpacks beside the tree's place; renamed to it when it is whole.
unpack() { # DEB
    local part=$WORK/linux.part
    rm -rf "$part"
    mkdir "$part"
    # In the environment, because a fresh host has no xz.
    source_tar "$1" |
        in_env tar -x "$(compression)" --strip-components=1 -C "$E_WORK/linux.part" || return
    [[ -e $part/Kbuild ]] || { echo "no kernel source in it"; return 1; }
    mv "$part" "$TREE"
}
