# shellcheck shell=bash disable=SC2034,SC2153
# make binder-bench: what Binder costs, in executed instructions.

# Each is a kernel of its own, without debug tools, which differs from the first in nothing else. The
# names are the columns of the table (scripts/binder.py).
BINDER_KERNELS=(
    "original=upstream,fast"
    "converted=fast"
    "C=upstream,binder-c,fast"
)

binder_bench() {
    local kernel name logs=()
    [[ -z $KDIR && -z $VARIANT ]] || die "make binder-bench chooses the variants itself"
    mkdir -p "$CACHE"
    for kernel in "${BINDER_KERNELS[@]}"; do
        name=${kernel%%=*}
        # shellcheck disable=SC2053 # a pattern
        [[ $name == ${TEST:-*} ]] || continue
        echo "=== $name"
        VARIANT=${kernel#*=} "$REPO/scripts/rust-mm" binder-figures >"$CACHE/binder-$name" ||
            die "no figures of the kernel $name"
    done
    use_tree
    use_python
    for kernel in "${BINDER_KERNELS[@]}"; do
        name=${kernel%%=*}
        # Also those of an earlier run.
        [[ -s $CACHE/binder-$name ]] || continue
        cp "$CACHE/binder-$name" "$WORK/"
        logs+=("$name")
    done
    "${PYTHON[@]}" "$P_REPO/scripts/binder.py" "${logs[@]/#/$P_WORK/binder-}"
}

# With one kernel. Standard output has the figures and nothing else.
binder_figures() {
    exec >&2
    build
    ACCELERATOR=tcg
    DEVICES=(--qemu-opts="$ICOUNT_QEMU")
    (CPUS=1 boot_program "calls" cases.sh "$E_TREE" "$E_WORK/kselftest" "rust_binder_bench calls")
    boot_program "two processors" cases.sh "$E_TREE" "$E_WORK/kselftest" "rust_binder_bench threads"
}
