# shellcheck shell=bash disable=SC2034,SC2153
# make bench: what the samples and the functions of the layer cost beside C, in executed instructions.

# The memory of two PCI devices: one for rust_mmap_pfn, one for its twin.
BENCH_DEVICES=()
for name in shm twin; do
    BENCH_DEVICES+=(--qemu-opts="-object memory-backend-ram,size=16M,id=$name -device ivshmem-plain,memdev=$name")
done

# The parts that are made each time, and those that are only made by name: they take longer, and what
# they simulate differs from run to run.
BENCH_PARTS=(calls layer memory threads)
BENCH_SCALE_PARTS=(scale processors-4 processors-8 processors-16)

# With T, only some of its parts.
bench() {
    local check=() rc=0 recorded=$REPO/bench/recorded/$KERNEL-${VARIANT//,bench/} out part
    recorded=${recorded//,/-}
    [[ -z $KDIR ]] || die "make bench builds a tree of its own"
    [[ ${CHECK-} != 1 ]] || check=(--check)
    build
    use_python
    ACCELERATOR=tcg
    if [[ $TEST == restore ]]; then
        bench_part restore boot_restore
        cat "$WORK/bench-restore"
        exit
    fi
    bench_part twins boot_twins
    bench_part calls boot_bench calls 1
    bench_part layer boot_bench layer 1
    bench_part memory boot_bench memory 1
    bench_part threads boot_bench threads 2
    if [[ $TEST == scale ]]; then
        TEST=
        MEM=2G bench_part scale boot_bench scale 1
        for part in 4 8 16; do
            bench_part "processors-$part" boot_processors "$part"
        done
    fi
    out=bench-figures
    for part in "${BENCH_PARTS[@]}" "${BENCH_SCALE_PARTS[@]}"; do
        cat "$WORK/bench-$part" 2>/dev/null || :
    done >"$WORK/$out"
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
        write_page
    fi
    exit "$rc"
}

# The page has the figures of the newer series, without RUST_INLINE_HELPERS and with it.
write_page() {
    local page=Documentation/mm/rust-mmap/cost.rst
    [[ $KERNEL == 7.3 && ${VARIANT//,bench/} == fast?(,inline) ]] || return 0
    [[ -e $REPO/bench/recorded/7.3-fast.csv ]] || return 0
    "${PYTHON[@]}" "$P_REPO/scripts/bench_page.py" "$P_REPO/$page" \
        "$P_REPO"/bench/recorded/7.3-fast{,-inline}.csv
    echo "written: $page"
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
    # The addresses of each boot are the same.
    CPUS=$2 APPEND="norandmaps ${APPEND-}" boot_program "$1" bench.sh "$E_TREE" "$1"
}

# Times, and no rows: an image is restored into a memory file and a memfd in turns.
boot_restore() {
    DEVICES=(--qemu-opts="$ICOUNT_QEMU")
    MEM=2G CPUS=1 boot_program restore cases.sh "$E_TREE" "$E_WORK/kselftest" \
        "lazy_restore --pairs 5"
}

# Without -icount, each processor is a thread of QEMU's.
boot_processors() { # NUMBER
    DEVICES=("${BENCH_DEVICES[@]}")
    CPUS=$1 boot_program "$1 processors" bench.sh "$E_TREE" processors "$1"
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
