# shellcheck shell=bash disable=SC2034
# The virtual machine: virtme-ng over the environment's own root, read only.

# --- KVM or not

# Found out by booting our kernel, because a device that is there may still not
# work; remembered until the machine boots again.
probe_kvm() {
    local known
    stage_begin accelerator
    known=$CACHE/kvm-$(</proc/sys/kernel/random/boot_id)
    if [[ ! -e $known ]]; then
        rm -f "$CACHE"/kvm-*
        if logged in_env bash "$E_REPO/scripts/lib/probe-kvm.sh"; then
            echo kvm >"$known"
        else
            echo tcg >"$known"
        fi
    fi
    ACCELERATOR=$(<"$known")
    case $ACCELERATOR in
        kvm) stage_end "KVM" ;;
        tcg) stage_end "TCG (no usable KVM here: everything in the VM is slower)" ;;
    esac
}

# --- boot

CONSOLE=

# Memory behind a PCI BAR, for the sample driver rust_mmap_pfn.
DEVICES=(--qemu-opts='-object memory-backend-ram,size=16M,id=shm -device ivshmem-plain,memdev=shm')

# A device with DMA, for the sample driver rust_mmap_dma. Its transfers go through bounce buffers:
# otherwise, this machine has nothing to synchronise, and tests do not notice if that is left out.
# Not with an IOMMU, as a variant can have it.
DEVICES+=(--qemu-opts='-device edu,dma_mask=0xffffffff' --append 'swiotlb=2048,force')

# What a variant says of the machine ("# QEMU=-machine q35").
while read -r words; do
    DEVICES+=(--qemu-opts="$words")
done < <(variants_say QEMU)

# The processor that QEMU emulates, if it is not to be the one of virtme-ng.
[[ -z $CPU ]] || DEVICES+=(--qemu-opts="-cpu $CPU")

# For a program of the VM that counts instructions: one tick of the time stamp counter for each. A copy
# by `rep movsb` would count each byte.
ICOUNT_QEMU="-icount shift=0,sleep=off -cpu max,-erms,-fsrm,-fsrs"

# Boots, runs a script of scripts/guest/ and passes its output and exit status
# on. The kernel's console goes to a log of its own: CONSOLE_LOG names it; words
# in APPEND go to the kernel's command line.
boot() { # FILTER SCRIPT ARGUMENT...
    local filter=$1 script=$2 command log=${CONSOLE_LOG:-console.log} options=()
    shift 2
    CONSOLE=$LOGS/$log
    : >"$CONSOLE"
    [[ -z ${APPEND:-} ]] || options+=(--append "$APPEND")
    [[ $ACCELERATOR == kvm ]] || options+=(--disable-kvm)
    printf -v command '%q ' bash "$E_REPO/scripts/guest/$script" "$@"
    printf -v command '%q ' bash "$E_REPO/scripts/lib/boot.sh" "$E_WORK/logs/$log" \
        --cpus "$CPUS" --memory "$MEM" "${DEVICES[@]}" "${options[@]}" --exec "$command"
    # vng wants a terminal; timeout ends script, whose terminal goes and QEMU with it.
    live "$filter" in_env env SHELL=/bin/bash timeout -k 10 "$TIMEOUT" \
        script -q -e -c "$command" /dev/null
}

# How it ended: the guest's exit status, "hung" or "died".
boot_end() { # STATUS
    if (($1 == 124)); then
        echo hung
    elif ! guest_ended; then
        echo died
    else
        echo "$1"
    fi
}

# Boots and runs the selftests; VM_STATUS is how it ended.
boot_selftests() { # LINE-OF-THE-FILE-OF-test.sh...
    VM_STATUS=0
    # The kernel's command line is too short for the names of many tests.
    printf '%s\n' "$@" >"$P_WORK/selection"
    boot kselftest_short test.sh "$E_TREE" "$E_WORK/kselftest" "$E_WORK/selection" || VM_STATUS=$?
}

# Of TAP the results, and what an EXPECT or ASSERT that failed has said.
kselftest_short() {
    grep --line-buffered -E \
        '^(# )*(not )?ok |^TAP|^# selftests:|no selftest|^# 1\.\.0 # SKIP|\.c:[0-9]+:\w+:Expected ' || :
}

# Says how a VM has ended. The report, which has the last word, is told by VM_STATUS.
vm_stage_end() {
    VM_STATUS=$(boot_end "$VM_STATUS")
    case $VM_STATUS in
        hung) stage_line "FAILED: the VM hung for $TIMEOUT s" ;;
        died) stage_line "FAILED: the VM died" ;;
        *) stage_end "exit status $VM_STATUS" ;;
    esac
}

# What of a dead VM is worth a look.
console_tail() {
    if [[ -s $CONSOLE ]]; then
        echo "--- last lines of $CONSOLE"
        tail -n 30 -- "$CONSOLE"
    fi
}

# Boots for one program; what it prints is all that goes to standard output (see common.sh).
# Ends with its exit status, and fails as well if the kernel has reported something.
boot_program() { # STAGE SCRIPT ARGUMENT...
    local stage=$1 rc=0 reports
    shift
    stage_begin "$stage"
    # KUnit is make test's.
    APPEND="kunit.enable=0 ${APPEND:-}" boot cat "$@" >&3 || rc=$?
    use_python
    if reports=$("${PYTHON[@]}" "$P_REPO/scripts/console.py" "$P_WORK/logs/${CONSOLE##*/}"); then
        reports=
    else
        # Without the lines that the guest has shown itself, and empty ones.
        grep -vxFf "$LOG" <<<"$reports" | grep -v '\] $' || :
    fi
    if ((rc == 124)); then
        console_tail
        stage_end "FAILED: the VM hung for $TIMEOUT s"
    elif ! guest_ended; then
        console_tail
        stage_end "FAILED: the VM died"
        rc=1
    elif ((rc)); then
        stage_end "FAILED: exit status $rc (kernel console: $CONSOLE)"
    elif [[ -n $reports ]]; then
        stage_end "FAILED: the kernel has reported something (kernel console: $CONSOLE)"
        rc=1
    else
        stage_end "exit status 0 (kernel console: $CONSOLE)"
    fi
    exit "$rc"
}

# virtme's init says so when the script is through.
guest_ended() {
    grep -q 'virtme-init: script returned' "$CONSOLE"
}

# On the terminal. What the shell says first is in scripts/guest/bashrc.
boot_shell() {
    local options=(--append kunit.enable=0)
    [[ $ACCELERATOR == kvm ]] || options+=(--disable-kvm)
    in_env vng "${DEVICES[@]}" "${options[@]}" -r arch/x86/boot/bzImage --cpus "$CPUS" --memory "$MEM" \
        --user root --append root=/dev/root
}

# --- debugger

# A socket of QEMU's for gdb, and no debug information without the variant.
gdb_server() {
    [[ ,$VARIANT, == *,debug,* ]] || return 0
    DEVICES+=(--qemu-opts="-chardev socket,path=$E_WORK/gdb.sock,server=on,wait=off,id=gdb -gdb chardev:gdb")
    note "to debug this kernel, in another terminal: make gdb VARIANT=$VARIANT${DRIVER:+ DRIVER=$DRIVER}"
}

debugger() {
    local options=()
    use_tree
    prepare_toolchain >&2
    release_tree
    [[ -S $WORK/gdb.sock ]] ||
        die "there is no VM to debug; in another terminal: make shell VARIANT=debug"
    [[ -z $CMD ]] || options=(-batch)
    options+=(-q -iex "set auto-load safe-path $E_TREE" -ex "target remote $E_WORK/gdb.sock")
    # The modules that are loaded; a kernel that has just been started has none.
    options+=(-ex "lx-symbols samples/rust/mm${DRIVER:+ $E_WORK/modules}")
    [[ -z $CMD ]] || options+=(-ex "$CMD")
    in_env gdb "${options[@]}" vmlinux
}
