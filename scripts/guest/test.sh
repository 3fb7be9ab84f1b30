#!/bin/bash
# test.sh TREE KSELFTEST PATTERN LIMIT [SEED [SECONDS [PROGRAM=OPTIONS...]]]
# In the VM: the installed selftests whose names match the pattern, each for LIMIT seconds at most.
# PROGRAM gets the OPTIONS on its command line.
exec 2>&1 # standard error goes to the kernel's console
cd "$2" || exit
# Tests of modules insert them from here.
export RUST_MM_MODULES=$1/samples/rust/mm
[[ -z ${5:-} ]] || export RUST_MM_SEED=$5
[[ -z ${6:-} ]] || export RUST_MM_SECONDS=$6
for options in "${@:7}"; do
    program=${options%%=*}
    # The name that kselftest's runner looks for.
    program=${program^^}
    export "KSELFTEST_${program//[!A-Z0-9]/_}_ARGS=${options#*=}"
done
tests=()
while IFS= read -r test; do
    # shellcheck disable=SC2053 # a pattern is what it is
    [[ ${test#rust_mm:} == ${3:-*} ]] && tests+=(-t "$test")
done <kselftest-list.txt
if ((${#tests[@]} == 0)); then
    echo "no selftest matches $3"
    exit 1
fi
exec ./run_kselftest.sh -o "$4" "${tests[@]}"
