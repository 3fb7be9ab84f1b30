# shellcheck shell=bash disable=SC2034,SC2153
# make bench: what the samples cost beside their C twins, in executed instructions.

# The memory of two PCI devices: one for rust_mmap_pfn, one for its twin.
BENCH_DEVICES=()
for name in shm twin; do
    BENCH_DEVICES+=(--qemu-opts="-object memory-backend-ram,size=16M,id=$name -device ivshmem-plain,memdev=$name")
done

# With T, only some of its parts.
bench() {
    local check=() rc=0 recorded=$REPO/bench/recorded/$KERNEL-${VARIANT//,bench/} out
    recorded=${recorded//,/-}
    [[ -z $KDIR ]] || die "make bench builds a tree of its own"
    [[ ${CHECK-} != 1 ]] || check=(--check)
    build
    use_python
    ACCELERATOR=tcg
    bench_part twins boot_twins
    bench_part calls boot_bench calls 1
    bench_part threads boot_bench threads 2
    out=bench-figures
    cat "$WORK"/bench-calls "$WORK"/bench-threads >"$WORK/$out" 2>/dev/null || :
    module_sizes >"$WORK/bench-sizes"
    cp "$recorded.csv" "$WORK/bench-recorded.csv" 2>/dev/null || rm -f "$WORK/bench-recorded.csv"
    "${PYTHON[@]}" "$P_REPO/scripts/bench.py" "${check[@]}" "$P_WORK/$out" "$P_WORK/bench-sizes" \
        "$P_WORK/bench-recorded.csv" "$P_WORK/bench" || rc=$?
    draw_bench
    echo "$WORK/bench.csv, bench.svg and bench-sizes.svg"
    if [[ ${RECORD-} == 1 && $rc == 0 ]]; then
        cp "$WORK/bench.csv" "$recorded.csv"
        cp "$WORK/bench.svg" "$recorded.svg"
        cp "$WORK/bench-sizes.svg" "$recorded-sizes.svg"
        echo "recorded: ${recorded#"$REPO/"}.csv, .svg and -sizes.svg"
    fi
    exit "$rc"
}

# Runs a part, unless T names others; what it has printed before remains then.
bench_part() { # NAME COMMAND...
    local part=$1
    shift
    # shellcheck disable=SC2053 # a pattern
    [[ $part == ${TEST:-*} ]] || return 0
    (exec 3>"$WORK/bench-$part.part"; "$@") || die "$part: no figures (${LOGS}/)"
    mv "$WORK/bench-$part.part" "$WORK/bench-$part"
    sed -n 's/^# twins: //p; s/^# Totals: /    /p' "$WORK/bench-$part"
}

# The tests of the samples have to pass with the twins.
boot_twins() {
    boot_program twins twins.sh "$E_TREE" "$E_WORK/kselftest"
}

boot_bench() { # PART PROCESSORS
    DEVICES=(--qemu-opts="$ICOUNT_QEMU" "${BENCH_DEVICES[@]}")
    CPUS=$2 boot_program "$1" bench.sh "$E_TREE" "$1"
}

module_sizes() {
    in_env llvm-size samples/rust/mm/rust_{mmap,mmap_plain,mmap_demand,mmap_pfn,vma_inspect}.ko \
        samples/rust/mm/bench/c_{mmap,plain,demand,pfn,inspect}.ko
    in_env bash -c 'llvm-size {mm,fs,kernel,drivers/pci}/rust_*.o'
    in_env llvm-nm --print-size --demangle --defined-only rust/{kernel,helpers/helpers}.o
}

draw_bench() {
    local name
    for name in bench bench-sizes; do
        [[ -s $WORK/$name.dat ]] || continue
        in_env gnuplot -e "data='$E_WORK/$name.dat'; picture='$E_WORK/$name.svg'" \
            -e "heading='Linux $(tree_version), ${VARIANT//,bench/}'" "$E_REPO/scripts/$name.gp" ||
            die "gnuplot has failed"
    done
}
