# shellcheck shell=bash disable=SC2034
# make doctor: what is there, what is missing, how to get it. Changes nothing.

doctor() {
    DOCTOR_FAILED=0
    if [[ -n $KDIR ]]; then TREE=$KDIR; else TREE=$CACHE; fi # where kbuild would be
    doctor_host
    doctor_toolchain
    doctor_source
    doctor_vm
    doctor_cache
    return "$DOCTOR_FAILED"
}

fine() { # WHAT TEXT
    printf '  ok       %-18s %s\n' "$1" "$2"
}

hint() { # WHAT TEXT
    printf '  -        %-18s %s\n' "$1" "$2"
}

bad() { # WHAT TEXT
    printf '  MISSING  %-18s %s\n' "$1" "$2"
    DOCTOR_FAILED=1
}

doctor_host() {
    local free
    echo "host"
    fine system "$(. /etc/os-release && echo "$PRETTY_NAME"), $(uname -m), $(nproc) processors"
    [[ $(uname -m) == x86_64 ]] || bad x86_64 "only x86-64 hosts are supported"
    # 2 GB of root file system, two trees of 2 GB, 2 GB of objects, the download
    free=$(df -BG --output=avail "$(existing_parent "$CACHE")" | tail -n1 | tr -dc 0-9)
    if ((free >= 9)); then fine "disk space" "$free GB free"; else bad "disk space" "$free GB free in $CACHE; 9 are needed"; fi
    if host_python; then
        fine python3 "$(python3 -V)"
    else
        hint python3 "none from 3.11 on: the root file system's is used"
    fi
}

existing_parent() { # PATH
    local dir=$1
    while [[ ! -d $dir ]]; do dir=$(dirname "$dir"); done
    echo "$dir"
}

doctor_toolchain() {
    local missing
    echo "toolchain (TOOLCHAIN=$TOOLCHAIN)"
    mapfile -t missing < <(missing_on_host)
    if ((${#missing[@]})); then
        hint "host's own" "lacks ${missing[*]}"
    else
        fine "host's own" "complete; the kernel says whether its versions will do"
    fi
    if [[ -d $ROOTFS ]]; then
        fine "root file system" "$ROOTFS"
        return
    fi
    ((${#missing[@]})) || [[ $TOOLCHAIN == rootfs ]] || return 0
    hint "root file system" "not made yet"
    if command -v mmdebstrap >/dev/null; then
        fine mmdebstrap "$(mmdebstrap --version)"
    elif ((EUID == 0)); then
        hint mmdebstrap "will be installed with apt-get"
    else
        bad mmdebstrap "as root: apt-get install mmdebstrap"
    fi
    if [[ ! -e $KEYRING ]]; then
        bad "Debian's keys" "as root: apt-get install debian-archive-keyring"
    fi
    if ((EUID)); then
        command -v newuidmap >/dev/null || bad newuidmap "as root: apt-get install uidmap"
    fi
    if "${NS[@]}" true 2>/dev/null; then
        fine namespaces "can be made"
    elif ((EUID)); then
        bad namespaces "user namespaces: need a range in /etc/subuid and /etc/subgid, and kernel.unprivileged_userns_clone=1"
    else
        bad namespaces "unshare --mount fails: in a container, it needs CAP_SYS_ADMIN"
    fi
}

doctor_source() {
    local deb mirror
    echo "kernel source"
    if [[ -n $KDIR ]]; then
        if [[ -e $KDIR/Kbuild ]]; then fine KDIR "$KDIR"; else bad KDIR "$KDIR is not a kernel source tree"; fi
    elif [[ -n $SOURCE ]]; then
        if [[ -f $SOURCE ]]; then fine SOURCE "$SOURCE"; else bad SOURCE "$SOURCE is not there"; fi
    else
        deb=$(cached_deb)
        if [[ -n $deb ]]; then fine "Linux $KERNEL" "${deb##*/}"; else hint "Linux $KERNEL" "will be downloaded"; fi
    fi
    if mirror=$(debian_mirror 2>&1); then
        fine mirror "$mirror"
    else
        bad mirror "$mirror"
    fi
}

doctor_vm() {
    local known
    echo "virtual machine"
    known=$CACHE/kvm-$(</proc/sys/kernel/random/boot_id)
    if [[ ! -e /dev/kvm ]]; then
        hint KVM "no /dev/kvm: TCG, slower"
    elif [[ ! -w /dev/kvm ]]; then
        hint KVM "/dev/kvm is not yours to open (group kvm?): TCG, slower"
    elif [[ ! -e $known ]]; then
        hint KVM "will be tried at the first boot"
    elif [[ $(<"$known") == kvm ]]; then
        fine KVM "boots our kernel"
    else
        hint KVM "the device is there, but our kernel did not boot under it: TCG, slower"
    fi
}

doctor_cache() {
    local dir owner
    echo "cache $CACHE"
    for dir in "$CACHE"/{apt,src,root/*,work/*}/; do
        [[ -d $dir ]] || continue
        dir=${dir%/}
        owner=$(cat "$dir/owner" 2>/dev/null) || :
        printf '  %6s  %s%s\n' "$(du -sh "$dir" 2>/dev/null | cut -f1)" "${dir#"$CACHE"/}" "${owner:+  of $owner}"
    done
}
