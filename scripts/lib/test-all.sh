# shellcheck shell=bash disable=SC2034,SC2153
# make test-all: make test in each configuration of config/test-all.toml, one after the other.
#
#   work/test-all-<sum of the checkout's path>/     of one checkout, locked while it runs
#       owner           the path of the checkout; gone when that is gone
#       <sum>/          with the same variables: the result of each configuration, and what
#                       make test has printed
#   times/<sum>/        how many seconds each took at last, in any checkout

# Variables of the user's that decide what a result is of.
CHOOSE='SOURCE|TOOLCHAIN|CPUS|MEM|TEST|T|RUST_MM_SEED'

test_all() {
    local list line number seconds=0 state sum
    [[ -z $KDIR$VARIANT$CPU && ${KERNEL@a} != *x* ]] ||
        die "make test-all sets KERNEL, VARIANT and CPU itself (config/test-all.toml)"
    WORK=$CACHE/work/test-all-$(sum_of "$REPO")
    TREE=$WORK/linux # there is none
    LOGS=$WORK/logs
    lock "${WORK##*/}" "this checkout's results"
    sum=$(sum_of "$(env | grep -E "^($CHOOSE)=." | LC_ALL=C sort)")
    RESULTS=$WORK/$sum
    TIMES=$CACHE/times/$sum
    BEGUN=$EPOCHREALTIME
    mkdir -p "$RESULTS" "$TIMES"
    echo "$REPO" >"$WORK/owner"
    use_python
    # As it is now: this takes hours.
    cp "$REPO/config/test-all.toml" "$WORK/test-all.toml"
    state=$(checkout_state)
    of_all plan "$state" "$P_WORK/list" <<<"$(seconds_of_each)"
    mapfile -t list <"$WORK/list"
    for line in "${list[@]}"; do
        IFS=$'\t' read -r _ number _ <<<"$line"
        seconds=$((seconds + number))
    done
    ((!${#list[@]})) || note "until about $(date -d "+$seconds seconds" '+%a %H:%M')"
    [[ $state != none* ]] || note "git does not know this checkout: a later run cannot go on from here"
    number=0
    for line in "${list[@]}"; do
        echo "=== $((++number)) of ${#list[@]}: $(cut -f3 <<<"$line")"
        test_configuration "$line"
    done
    echo "=== all"
    note "what make test has printed: $RESULTS/*.log"
    of_all table "$(checkout_state)"
}

of_all() { # COMMAND STATE [LIST]
    configurations "$1" "$P_WORK/test-all.toml" "$P_WORK/${RESULTS##*/}" "${@:2}"
}

configurations() { # COMMAND ARGUMENT...
    "${PYTHON[@]}" "$P_REPO/scripts/configurations.py" "$@"
}

seconds_of_each() {
    (cd "$TIMES" && grep -H . -- * 2>/dev/null) || :
}

test_configuration() { # LINE
    local id variables rc=0 start=$SECONDS state
    IFS=$'\t' read -r id _ _ variables <<<"$1"
    state=$(checkout_state)
    LOG=$RESULTS/$id.log
    set -m
    # What make test says while it ends its own jobs needs a reader: SIGPIPE would end it before.
    # shellcheck disable=SC2086 # a word for each variable
    { env $variables "$REPO/scripts/rust-mm" test </dev/null 2>&1 |
        (trap '' INT TERM HUP && exec tee "$LOG"); } &
    JOB=$!
    set +m
    wait "$JOB" || rc=$?
    # Interrupted: that says nothing.
    ((rc != 130 && rc != 143)) || exit "$rc"
    # A result is of files that have not changed meanwhile.
    [[ $(checkout_state) == "$state" ]] || state=changed
    configurations record "$P_WORK/${RESULTS##*/}" "$id" "$state" \
        "$P_WORK/${RESULTS##*/}/$id.log" "$rc" $((SECONDS - start))
    # Not of a run that failed before it came to the VM.
    if grep -q '^kernel  *[0-9]* passed' "$LOG"; then
        echo $((SECONDS - start)) >"$TIMES/$id"
    fi
}

# Names the commit and the working copy.
checkout_state() {
    local commit
    commit=$(git -C "$REPO" rev-parse HEAD 2>/dev/null) || {
        echo "none $BEGUN"
        return
    }
    (
        cd "$REPO" || exit
        git diff --binary --no-ext-diff --no-textconv HEAD
        git ls-files --others --exclude-standard -z | xargs -0r sha256sum 2>&1 || :
    ) | sha256sum | sed "s/^\(.\{12\}\).*/$commit \1/"
}
