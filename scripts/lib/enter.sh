#!/bin/bash
# enter.sh ROOT TREE WORK REPO CACHE COMMAND...
# In a fresh mount namespace: goes into the root file system with our folders at
# fixed places, and runs the command in the tree.
set -euo pipefail
root=$1 tree=$2 work=$3 repo=$4 cache=$5
shift 5

for dir in dev proc sys; do
    mount --rbind "/$dir" "$root/$dir"
done
mount -t tmpfs tmpfs "$root/tmp"
[[ ! -d $tree ]] || mount --bind "$tree" "$root/build/linux"
mount --bind "$work" "$root/build/work"
mount --bind "$repo" "$root/build/repo"
mount --bind "$cache/ccache" "$root/build/ccache"
mount --bind "$cache/cargo" "$root/build/cargo"
# cargo downloads through the certificates that the host has, as its network may need others than
# Debian's.
certificates=/etc/ssl/certs/ca-certificates.crt
[[ ! -e $certificates ]] || mount --bind "$certificates" "$root$certificates"
# A driver of the user's, and what a shell in the VM begins with.
if [[ -n ${DRIVER-} ]]; then
    mkdir -p "$work/driver"
    mount --bind "$DRIVER" "$root/build/work/driver"
fi
mount --bind "$repo/scripts/guest/bashrc" "$root/root/.bashrc"

cd /
exec chroot "$root" /usr/bin/env -i -C /build/linux HOME=/root USER=root \
    CCACHE_DIR=/build/ccache CARGO_HOME=/build/cargo \
    PATH=/usr/lib/ccache:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
