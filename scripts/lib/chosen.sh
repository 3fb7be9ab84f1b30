# shellcheck shell=bash disable=SC2034,SC2153
# make test TEST=...: only the tests that it names.

run_chosen() {
    local kind name filter='' units=() compile_fails=() selftests=() controls=()
    use_tree
    use_python
    # Before anything is built.
    "${PYTHON[@]}" "$P_REPO/scripts/chosen.py" tests "$P_REPO" "$TEST" >"$WORK/chosen" || exit
    while IFS=$'\t' read -r kind name; do
        case $kind in
            unit) units+=("$name") ;;
            compile_fail) compile_fails+=("$name") ;;
            kunit) filter=$name ;;
            selftest) selftests+=("$name") ;;
            control) controls+=("$name") ;;
        esac
    done <"$WORK/chosen"
    AT_FAILURE=build_failed
    UNIT=
    REPORT=()
    prepare_toolchain
    ((!${#units[@]})) || chosen_units "${units[@]}"
    if [[ -n $filter ]] || ((${#compile_fails[@]} + ${#selftests[@]} + ${#controls[@]})); then
        prepare_source
        integrate
        configure
        build_kernel
    fi
    ((!${#compile_fails[@]})) || chosen_compile_fails "${compile_fails[@]}"
    ((!${#selftests[@]} && !${#controls[@]})) || build_selftests
    tree_is_built
    if [[ -n $filter ]] || ((${#selftests[@]} + ${#controls[@]})); then
        probe_kvm
    fi
    [[ -z $filter ]] || chosen_kunit "$filter"
    ((!${#selftests[@]})) || chosen_selftests "${selftests[@]}"
    ((!${#controls[@]})) || chosen_controls "${controls[@]}"
    "${PYTHON[@]}" "$P_REPO/scripts/report.py" "${REPORT[@]}"
}

chosen_units() { # NAME...
    stage_begin "unit tests"
    REPORT+=(--unittest "$P_WORK/logs/${LOG##*/}")
    # Each module finds the others.
    logged in_env env -C "$E_REPO/scripts" python3 -B -m unittest -v "$@" || cat -- "$LOG"
    stage_end "$(grep '^Ran ' "$LOG")"
}

chosen_compile_fails() { # CASE...
    compile_fail "$@"
    REPORT+=(--compile-fail "$P_WORK/logs/${COMPILE_FAIL##*/}")
}

chosen_kunit() { # FILTER
    stage_begin KUnit
    VM_STATUS=0
    APPEND="kunit.filter_glob=$1" CONSOLE_LOG=console-kunit.log boot cat true.sh || VM_STATUS=$?
    vm_stage_end
    parse_kunit kunit.json console-kunit.log
    REPORT+=(--kunit "$P_WORK/logs/kunit.json")
    REPORT+=(--console "$P_WORK/logs/console-kunit.log" --vm "$VM_STATUS")
}

# A program, or it and which of its tests.
chosen_selftests() { # PROGRAM[<TAB>TEST...]...
    local line words program pattern=() options=()
    for line in "$@"; do
        IFS=$'\t' read -ra words <<<"$line"
        program=${words[0]}
        pattern+=("$program")
        ((${#words[@]} == 1)) || options+=("$program=$(printf ' -r %s' "${words[@]:1}")")
    done
    stage_begin "tests in the VM"
    REPORT+=(--kselftest "$P_WORK/logs/${LOG##*/}")
    APPEND="kunit.enable=0" boot_selftests "@($(IFS='|' && echo "${pattern[*]}"))" \
        "$PROGRAM_TIMEOUT" "$RUST_MM_SEED" "" "${options[@]}"
    vm_stage_end
    REPORT+=(--console "$P_WORK/logs/console.log" --vm "$VM_STATUS")
}

chosen_controls() { # NAME...
    control_tests "$@"
    REPORT+=(--controls "$P_WORK/logs/${CONTROLS##*/}")
}
