# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# For the findings that run QEMU; sourced. Unpacks pinned packages of Debian in a temporary folder.
# Needs Debian (apt-get, dpkg-deb, the archive's keyring).

QEMU_VERSION=1:10.0.13+ds-0+deb13u1

FOLDER=$(mktemp -d)
trap 'rm -rf "$FOLDER"' EXIT

# apt-get with a state of its own, in the folder.
private_apt() { # COMMAND...
    APT_CONFIG=$FOLDER/apt/conf apt-get -qq "$@"
}

# Downloads and unpacks QEMU with the libraries that it needs, and other packages without theirs.
get_packages() { # [PACKAGE=VERSION...]
    local apt=$FOLDER/apt mirror suite deb
    # shellcheck disable=SC2016 # apt's own variable
    mirror=$(apt-get indextargets --no-release-info --format '$(REPO_URI)' | head -n 1)
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$FOLDER/root"
    : >"$apt/status"
    for suite in trixie trixie-backports; do
        echo "deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
            "${mirror:-http://deb.debian.org/debian} $suite main"
    done >"$apt/sources.list"
    cat >"$apt/conf" <<END
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::State::Lists "$apt/lists";
Dir::State::Status "$apt/status";
Dir::Cache "$apt/cache";
APT::Sandbox::User "";
APT::Architecture "amd64";
END
    private_apt update
    private_apt install --download-only --no-install-recommends -y \
        "qemu-system-x86=$QEMU_VERSION" >/dev/null
    ((!$#)) || (cd "$apt/cache/archives" && private_apt download "$@")
    for deb in "$apt/cache/archives"/*.deb; do
        dpkg-deb -x "$deb" "$FOLDER/root"
    done
}

# Runs QEMU without KVM and without devices, for at most 280 s.
qemu() { # OPTION...
    local root=$FOLDER/root
    timeout 280 "$root/usr/lib64/ld-linux-x86-64.so.2" \
        --library-path "$root/usr/lib/x86_64-linux-gnu" "$root/usr/bin/qemu-system-x86_64" \
        -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" -accel tcg -nodefaults \
        -display none "$@" </dev/null
}

# Prints what was seen, and fails if it is not what it was.
compare() { # VERSION PRINTED EXPECTED
    echo "$1:"
    echo "$2"
    [[ $2 == "$3" ]] || {
        echo "This has changed. It was:"
        echo "$3"
        exit 1
    }
}
