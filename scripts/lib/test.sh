# shellcheck shell=bash disable=SC2034,SC2119,SC2120,SC2153
# make test.

run_tests() {
    use_tree
    prepare_toolchain
    AT_FAILURE=build_failed
    UNIT=
    unit_tests
    prepare_source
    integrate
    style_stages
    sphinx_stage
    configure
    build_kernel
    build_selftests
    clippy_stage
    rustdoc_stage
    compile_fail
    posted_stages
    cross_builds
    tree_is_built
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
    # Where docutils is.
    if logged in_env python3 -B -m unittest discover -v -s "$E_REPO/scripts" -p 'test_*.py'; then
        UNIT=$LOG
        stage_end "$(grep '^Ran ' "$LOG")"
    else
        stage_fail
    fi
}

# That unsafe code has its comments, and whatever else clippy looks for.
clippy_stage() { # [OUT SOURCE]
    stage_begin clippy
    CLIPPY=$LOG
    logged in_env python3 -B "$E_REPO/scripts/clippy.py" "$E_TREE" "$@" || :
    stage_end "$(grep -c '^ok ' "$CLIPPY") of $(grep -c 'ok ' "$CLIPPY") crates"
}

# What must not compile, against the crate that was just built.
compile_fail() { # [CASE...]
    stage_begin "compile-fail"
    COMPILE_FAIL=$LOG
    logged in_env python3 "$E_REPO/scripts/compile_fail.py" "$E_TREE" "$@" || :
    stage_end "$(grep -c '^ok ' "$COMPILE_FAIL") of $(grep -c 'ok ' "$COMPILE_FAIL") cases"
}

# KUnit runs at boot, kselftest then.
vm_tests() {
    stage_begin "tests in the VM"
    KSELFTEST=$LOG
    if [[ -d $TREE/$SELFTESTS ]]; then
        boot_selftests "$TEST" "$PROGRAM_TIMEOUT" "$RUST_MM_SEED"
    else
        VM_STATUS=0
        boot cat true.sh || VM_STATUS=$?
    fi
    vm_stage_end
}

# What has to end in a report of the kernel: a boot for each (see the list).
control_tests() { # [NAME...]
    local list=selftests/rust_mm/controls.toml controls name dies run rc line
    stage_begin controls
    CONTROLS=$LOG
    [[ -d $TREE/$SELFTESTS ]] || {
        echo "1..0 # no selftests" >>"$LOG"
        stage_end "none"
        return
    }
    "${PYTHON[@]}" "$P_REPO/scripts/controls.py" list "$P_REPO/$list" "$P_TREE/.config" \
        "$@" >"$LOGS/controls.list" 2>>"$LOG" || stage_fail
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

# Of the files in the folder of the logs.
parse_kunit() { # JSON CONSOLE
    stage_begin kunit
    : >"$LOGS/$1"
    in_env python3 tools/testing/kunit/kunit.py parse --json="$E_WORK/logs/$1" \
        "$E_WORK/logs/$2" >>"$LOG" 2>&1 || :
    stage_end "$(grep -o 'Testing complete.*' "$LOG" || echo "no results")"
}

report() {
    parse_kunit kunit.json console.log
    "${PYTHON[@]}" "$P_REPO/scripts/report.py" --unittest "$P_WORK/logs/${UNIT##*/}" \
        --kunit "$P_WORK/logs/kunit.json" --kselftest "$P_WORK/logs/${KSELFTEST##*/}" \
        --shellcheck "$P_WORK/logs/${SHELLCHECK##*/}" \
        --rustfmt "$P_WORK/logs/${RUSTFMT##*/}" \
        --sphinx "$P_WORK/logs/${SPHINX##*/}" \
        --clippy "$P_WORK/logs/${CLIPPY##*/}" \
        --rustdoc "$P_WORK/logs/${RUSTDOC##*/}" \
        --compile-fail "$P_WORK/logs/${COMPILE_FAIL##*/}" \
        --series "$P_WORK/logs/${PLAN##*/}" \
        --checkpatch "$P_WORK/logs/${CHECKPATCH##*/}" \
        --maintainers "$P_WORK/logs/${MAINTAINERS##*/}" \
        --cross "$P_WORK/logs/${CROSS##*/}" \
        --controls "$P_WORK/logs/${CONTROLS##*/}" \
        --console "$P_WORK/logs/console.log" --vm "$VM_STATUS"
}
