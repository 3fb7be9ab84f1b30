# shellcheck shell=bash disable=SC2034,SC2153
# make test.

run_tests() {
    use_tree
    prepare_toolchain
    AT_FAILURE=build_failed
    UNIT=
    unit_tests
    prepare_source
    integrate
    configure
    build_kernel
    build_selftests
    compile_fail
    probe_kvm
    vm_tests
    control_tests
    report
}

# A run that does not get to the VM ends in a line of counts, too.
build_failed() {
    local ran
    ran=$(sed -n 's/^Ran \([0-9]*\) .*/\1/p' "$UNIT" 2>/dev/null) || :
    echo "${ran:-0} passed, 1 failed"
}

unit_tests() {
    use_python
    stage_begin "unit tests"
    if logged "${PYTHON[@]}" -m unittest discover -v -s "$P_REPO/scripts" -p 'test_*.py'; then
        UNIT=$LOG
        stage_end "$(grep '^Ran ' "$LOG")"
    else
        stage_fail
    fi
}

# What must not compile, against the crate that was just built.
compile_fail() {
    stage_begin "compile-fail"
    COMPILE_FAIL=$LOG
    logged in_env python3 "$E_REPO/scripts/compile_fail.py" "$E_TREE" || :
    stage_end "$(grep -c '^ok ' "$COMPILE_FAIL") of $(grep -c 'ok ' "$COMPILE_FAIL") cases"
}

# KUnit runs at boot, kselftest then.
vm_tests() {
    VM_STATUS=0
    stage_begin "tests in the VM"
    KSELFTEST=$LOG
    if [[ -d $TREE/$SELFTESTS ]]; then
        boot kselftest_short test.sh "$E_TREE" "$E_WORK/kselftest" "$TEST" \
            "$(at_least PROGRAM_TIMEOUT 180)" "$RUST_MM_SEED" || VM_STATUS=$?
    else
        boot cat true.sh || VM_STATUS=$?
    fi
    VM_STATUS=$(boot_end "$VM_STATUS")
    case $VM_STATUS in
        hung) stage_line "FAILED: the VM hung for $TIMEOUT s" ;;
        died) stage_line "FAILED: the VM died" ;;
        *) stage_end "exit status $VM_STATUS" ;;
    esac
}

# What has to end in a report of the kernel: a boot for each (see the list). TEST
# chooses among them, too.
control_tests() {
    local list=selftests/rust_mm/controls.toml controls name dies run rc line
    stage_begin controls
    CONTROLS=$LOG
    [[ -d $TREE/$SELFTESTS ]] || {
        echo "1..0 # no selftests" >>"$LOG"
        stage_end "none"
        return
    }
    "${PYTHON[@]}" "$P_REPO/scripts/controls.py" list "$P_REPO/$list" "$P_TREE/.config" \
        "${TEST:-*}" >"$LOGS/controls.list" 2>>"$LOG" || stage_fail
    mapfile -t controls <"$LOGS/controls.list"
    echo "1..${#controls[@]}" >>"$LOG"
    for line in "${controls[@]}"; do
        IFS=$'\t' read -r name dies run <<<"$line"
        rc=0
        # KUnit is the other boot's.
        APPEND="kunit.enable=0"
        ((dies == 0)) || APPEND+=" oops=panic panic_on_warn=1"
        TIMEOUT=$CONTROL_TIMEOUT LOG=$LOGS/control-$name.log CONSOLE_LOG=console-$name.log \
            boot cat control.sh "$E_TREE" "$E_WORK/kselftest" "$name" "$run" || rc=$?
        "${PYTHON[@]}" "$P_REPO/scripts/controls.py" judge "$P_REPO/$list" "$name" \
            "$P_WORK/logs/console-$name.log" "$(boot_end "$rc")" | tee -a "$LOG" || :
    done
    APPEND=
    stage_end "$(grep -c '^ok ' "$LOG" || :) of ${#controls[@]} as expected"
}

# Seconds after which the VM of a control counts as hung.
CONTROL_TIMEOUT=$(at_least CONTROL_TIMEOUT 120)

# Of TAP the results.
kselftest_short() {
    grep --line-buffered -E '^(# )*(not )?ok |^TAP|^# selftests:|no selftest|^# 1\.\.0 # SKIP' || :
}

report() {
    stage_begin kunit
    in_env python3 tools/testing/kunit/kunit.py parse "$E_WORK/logs/console.log" >>"$LOG" 2>&1 || :
    stage_end "$(grep -o 'Testing complete.*' "$LOG" || echo "no results")"
    "${PYTHON[@]}" "$P_REPO/scripts/report.py" --unittest "$P_WORK/logs/${UNIT##*/}" \
        --kunit "$P_WORK/logs/${LOG##*/}" --kselftest "$P_WORK/logs/${KSELFTEST##*/}" \
        --compile-fail "$P_WORK/logs/${COMPILE_FAIL##*/}" \
        --controls "$P_WORK/logs/${CONTROLS##*/}" \
        --console "$P_WORK/logs/console.log" --vm "$VM_STATUS"
}
