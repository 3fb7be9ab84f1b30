#!/bin/bash
# test.sh TREE KSELFTEST PATTERN [SEED [SECONDS]]
# In the VM: the installed selftests whose names match the pattern.
exec 2>&1 # standard error goes to the kernel's console
cd "$2" || exit
# Tests of modules insert them from here.
export RUST_MM_MODULES=$1/samples/rust/mm
[[ -z ${4:-} ]] || export RUST_MM_SEED=$4
tests=()
# Longer than what a program has otherwise.
[[ -z ${5:-} ]] || {
    export RUST_MM_SECONDS=$5
    tests+=(-o $((RUST_MM_SECONDS + 600)))
}
chosen=0
while IFS= read -r test; do
    # shellcheck disable=SC2053 # a pattern is what it is
    [[ ${test#rust_mm:} == ${3:-*} ]] && tests+=(-t "$test") && ((++chosen))
done <kselftest-list.txt
if ((chosen == 0)); then
    echo "no selftest matches $3"
    exit 1
fi
exec ./run_kselftest.sh "${tests[@]}"
