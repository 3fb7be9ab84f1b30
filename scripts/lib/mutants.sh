# shellcheck shell=bash disable=SC2034,SC2153
# make mutants: each mistake of config/mutants.toml is made in the tree, and its test has to fail.

run_mutants() {
    local list
    [[ -z $KDIR ]] || die "make mutants has a tree of its own"
    use_tree
    use_python
    # What an interrupted run has left there.
    mutants restore "$P_TREE" "$P_WORK/mutant"
    trap 'end_job; mutants restore "$P_TREE" "$P_WORK/mutant"' EXIT
    prepare_toolchain
    prepare_source
    integrate
    configure
    # As it is now: this takes hours.
    cp "$REPO/config/mutants.toml" "$WORK/mutants.toml"
    mutants list "$P_WORK/mutants.toml" "$MUTANTS" "$P_TREE" >"$LOGS/mutants.list" || exit
    mapfile -t list <"$LOGS/mutants.list"
    ((${#list[@]})) || die "MUTANTS=$MUTANTS: there is none of that name"
    [[ -z $(tests_of doctest) ]] || KBUILD_OPTIONS=("${WITH_DOCTESTS[@]}")
    build_kernel
    build_selftests
    probe_kvm
    baseline
    RESULTS=$WORK/mutants
    touch "$RESULTS"
    for_each_mutant
}

# Not in the configuration: they take a third of the time, and notice few of the mutants.
WITH_DOCTESTS=(CONFIG_RUST_KERNEL_DOCTESTS=y)

tests_of() { # KIND
    cut -f2,3 "$LOGS/mutants.list" | sed -n "s/^$1\t//p" | sort -u
}

mutants() { # COMMAND ARGUMENT...
    "${PYTHON[@]}" "$P_REPO/scripts/mutants.py" "$@"
}

# Runs a test, or several; what they print goes to the stage's log. VM_STATUS is how a VM has ended.
run_cases() { # KIND TEST...
    local kind=$1 options=() test
    shift
    VM_STATUS=0
    CONSOLE=$LOGS/$CONSOLE_LOG
    : >"$CONSOLE"
    case $kind in
        kunit | doctest)
            # KUnit needs no user space: that does not even begin.
            APPEND="kunit.filter_glob=$1 kunit_shutdown=poweroff" boot no_lines true.sh ||
                VM_STATUS=$?
            ;;
        selftest)
            for test in "$@"; do
                options+=("${test% *} -r ${test#* }")
            done
            APPEND="kunit.enable=0" boot no_lines cases.sh "$E_TREE" "$E_WORK/kselftest" \
                "${options[@]}" || VM_STATUS=$?
            ;;
        compile_fail)
            logged in_env python3 "$E_REPO/scripts/compile_fail.py" "$E_TREE" "$@" || :
            return
            ;;
    esac
    VM_STATUS=$(boot_end "$VM_STATUS")
}

no_lines() {
    cat >/dev/null
}

# The tests have to pass before there is a mutant.
baseline() {
    local kind tests wrong=$LOGS/baseline
    for kind in kunit doctest selftest compile_fail; do
        mapfile -t tests < <(tests_of "$kind")
        ((${#tests[@]})) || continue
        stage_begin baseline
        [[ $kind != @(kunit|doctest) ]] || tests=("*")
        CONSOLE_LOG=console-baseline.log run_cases "$kind" "${tests[@]}"
        mutants baseline "$P_WORK/mutants.toml" "$MUTANTS" "$kind" "$P_WORK/logs/${LOG##*/}" \
            "$P_WORK/logs/console-baseline.log" 2>"$wrong" || stage_fail "$(<"$wrong")"
        stage_end "$kind: passes without a mutant"
    done
}

# Those that have been tried with what is here now are not tried again, if they were noticed.
for_each_mutant() {
    local line name kind test hangs key result failed=0 before=0
    for line in "${list[@]}"; do
        IFS=$'\t' read -r name kind test hangs key <<<"$line"
        if grep -qxF "ok $name $key" "$RESULTS"; then
            ((before += 1))
            continue
        fi
        stage_begin mutant
        LOG=$LOGS/mutant-$name.log
        : >"$LOG"
        try_mutant
        mutants restore "$P_TREE" "$P_WORK/mutant"
        if [[ $result == ok\ * ]]; then
            echo "ok $name $key" >>"$RESULTS"
        else
            ((failed += 1))
        fi
        stage_end "$result"
    done
    ((before == 0)) || note "$before were noticed by an earlier run, with the same layer and tests"
    echo "$((${#list[@]} - failed)) passed, $failed failed"
    ((failed == 0))
}

# Sets result: "ok ..." or "not ok ...".
try_mutant() {
    local targets=(bzImage)
    [[ $kind != selftest ]] || targets+=(modules)
    [[ $kind != compile_fail ]] || targets=(rust/)
    [[ $kind != doctest ]] || targets+=("${WITH_DOCTESTS[@]}")
    mutants apply "$P_WORK/mutants.toml" "$name" "$P_TREE" "$P_WORK/mutant" 2>>"$LOG" || stage_fail
    if ! logged in_env make LLVM=1 -j"$JOBS" "${targets[@]}"; then
        result="not ok $name: does not build (see $LOG)"
        return
    fi
    TIMEOUT=$((hangs ? 60 : 180)) CONSOLE_LOG=console-mutant.log run_cases "$kind" "$test"
    result=$(mutants judge "$P_WORK/mutants.toml" "$name" "$P_WORK/logs/${LOG##*/}" \
        "$P_WORK/logs/console-mutant.log" "$VM_STATUS")
}
