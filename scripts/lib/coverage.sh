# shellcheck shell=bash disable=SC2034,SC2153
# make coverage: which of our lines the tests execute. Nothing is instrumented: QEMU without KVM
# translates what it is about to execute, and logs it.

run_coverage() {
    local executed ranges rc=0
    [[ -z $KDIR ]] || die "make coverage has a tree of its own"
    # What is optimized away or into one instruction cannot be seen to be executed. The two crates do
    # not link otherwise, and are not ours.
    KBUILD_OPTIONS=(KCFLAGS=-gline-tables-only "KRUSTFLAGS=-Copt-level=0 -Zshare-generics=n"
        RUSTFLAGS_core.o=-Copt-level=2 RUSTFLAGS_pin_init.o=-Copt-level=2)
    build
    ACCELERATOR=tcg

    stage_begin "line tables"
    logged in_env python3 -B "$E_REPO/scripts/coverage.py" ranges "$E_REPO" "$E_TREE" || stage_fail
    ranges=$(tail -n1 "$LOG")
    stage_end "$(tr ',' '\n' <"$LOG" | grep -c '\.\.') ranges of code"

    executed=$LOGS/executed
    rm -f "$executed"
    DEVICES[0]+=" -d in_asm -D $E_WORK/logs/executed -dfilter $ranges"
    # The second is for the tests that look how long things take.
    APPEND="'dyndbg=func move_module +p' rust_mm.unoptimized"
    # The same each time, as far as threads let it.
    RUST_MM_SEED=${RUST_MM_SEED:-1}
    vm_tests
    "${PYTHON[@]}" "$P_REPO/scripts/report.py" --kselftest "$P_WORK/logs/${KSELFTEST##*/}" \
        --console "$P_WORK/logs/console.log" --vm "$VM_STATUS" || exit
    ! grep -E '^\[[ .0-9]+\] +not ok ' "$CONSOLE" || die "KUnit has failed (kernel console: $CONSOLE)"

    stage_begin coverage
    logged in_env python3 -B "$E_REPO/scripts/coverage.py" report "$E_REPO" "$E_TREE" \
        "$E_WORK/logs/executed" "$E_WORK/logs/console.log" "$E_WORK/logs/coverage.info" || rc=$?
    stage_end "$LOG; for genhtml: $LOGS/coverage.info"
    cat "$LOG"
    return "$rc"
}
