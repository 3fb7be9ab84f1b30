# shellcheck shell=bash disable=SC2034,SC2153
# make soak: what make test does for some seconds, for as long as one likes.

run_soak() {
    local seconds
    [[ $SOAK =~ ^[1-9][0-9]{0,3}$ ]] || die "SOAK is in minutes, from 1 to 9999"
    seconds=$((SOAK * 60))
    RUST_MM_SEED=${RUST_MM_SEED:-$((SRANDOM))}
    build
    use_python
    probe_kvm
    # KUnit is make test's.
    APPEND="kunit.enable=0"
    TIMEOUT=$((seconds + TIMEOUT))
    note "RUST_MM_SEED=$RUST_MM_SEED, for $SOAK minutes, until about $(date -d "+$seconds seconds" +%H:%M)"
    VM_STATUS=0
    stage_begin soak
    boot kselftest_short test.sh "$E_TREE" "$E_WORK/kselftest" rust_mm_load \
        "$((seconds + 600))" "$RUST_MM_SEED" "$seconds" || VM_STATUS=$?
    VM_STATUS=$(boot_end "$VM_STATUS")
    sed -n 's/^# # \(.* succeeded .*\|[0-9]* operations\)$/  \1/p' "$LOG"
    case $VM_STATUS in
        hung) stage_line "FAILED: the VM hung for $TIMEOUT s" ;;
        died) stage_line "FAILED: the VM died" ;;
        *) stage_end "exit status $VM_STATUS" ;;
    esac
    "${PYTHON[@]}" "$P_REPO/scripts/report.py" --kselftest "$P_WORK/logs/${LOG##*/}" \
        --console "$P_WORK/logs/console.log" --vm "$VM_STATUS"
}
