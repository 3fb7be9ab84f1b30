# shellcheck shell=bash disable=SC2034,SC2153
# make soak: what make test does for some seconds, for as long as one likes.

# Each of these has the time, one after the other. rust_mm_stress.sh has it for stress-ng's memory
# stressors, and three fifths more for what else it does.
SOAK_PROGRAMS=(rust_mm_load rust_mm_stress.sh rust_mm_trinity.sh)

run_soak() {
    local seconds=0 each pattern program programs=()
    [[ $SOAK =~ ^[1-9][0-9]{0,3}$ ]] || die "SOAK is in minutes, from 1 to 9999"
    each=$((SOAK * 60))
    for program in "${SOAK_PROGRAMS[@]}"; do
        # shellcheck disable=SC2053 # a pattern
        [[ $program == ${TEST:-*} ]] || continue
        programs+=("$program")
        ((seconds += each))
        [[ $program != rust_mm_stress.sh ]] || ((seconds += each * 3 / 5))
    done
    ((${#programs[@]})) || die "TEST=$TEST is none of ${SOAK_PROGRAMS[*]}"
    pattern="@($(IFS='|' && echo "${programs[*]}"))"
    RUST_MM_SEED=${RUST_MM_SEED:-$((SRANDOM))}
    build
    use_python
    probe_kvm
    # KUnit is make test's.
    APPEND="kunit.enable=0"
    TIMEOUT=$((seconds + TIMEOUT))
    note "RUST_MM_SEED=$RUST_MM_SEED, $SOAK minutes for each of ${programs[*]}:"
    note "until about $(date -d "+$seconds seconds" +%H:%M)"
    stage_begin soak
    boot_selftests "$pattern" $((each * 8 / 5 + 900)) "$RUST_MM_SEED" "$each"
    sed -nE 's/^(# )+(.* succeeded .*|.*[0-9] (operations|mappings|uses|rounds).*)$/  \2/p' "$LOG"
    vm_stage_end
    "${PYTHON[@]}" "$P_REPO/scripts/report.py" --kselftest "$P_WORK/logs/${LOG##*/}" \
        --console "$P_WORK/logs/console.log" --vm "$VM_STATUS"
}
