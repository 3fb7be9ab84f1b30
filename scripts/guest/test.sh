#!/bin/bash
# test.sh TREE KSELFTEST FILE
# In the VM: the installed selftests whose names match PATTERN, each for LIMIT seconds at most.
# FILE has a line for each of: PATTERN, LIMIT, SEED, SECONDS, PROGRAM=OPTIONS... SEED and what
# follows may be missing, or empty.
# PROGRAM gets the OPTIONS on its command line.
exec 2>&1 # standard error goes to the kernel's console
mapfile -t lines <"$3" || exit
pattern=${lines[0]:-*} limit=${lines[1]}
cd "$2" || exit
# Tests of modules insert them from here.
export RUST_MM_MODULES=$1/samples/rust/mm
[[ -z ${lines[2]:-} ]] || export RUST_MM_SEED=${lines[2]}
[[ -z ${lines[3]:-} ]] || export RUST_MM_SECONDS=${lines[3]}
for options in "${lines[@]:4}"; do
    program=${options%%=*}
    # The name that kselftest's runner looks for.
    program=${program^^}
    export "KSELFTEST_${program//[!A-Z0-9]/_}_ARGS=${options#*=}"
done
tests=()
while IFS= read -r test; do
    # shellcheck disable=SC2053 # a pattern is what it is
    [[ ${test#rust_mm:} == $pattern ]] && tests+=(-t "$test")
done <kselftest-list.txt
if ((${#tests[@]} == 0)); then
    echo "no selftest matches $pattern"
    exit 1
fi
exec ./run_kselftest.sh -o "$limit" "${tests[@]}"
