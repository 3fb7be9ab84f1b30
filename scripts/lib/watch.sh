# shellcheck shell=bash disable=SC2034,SC2153
# make watch: what a change touches is built and tested again.

WATCHED=(drivers fs include kernel mm rust samples selftests scripts)
# What editors write beside a file: vi's, Emacs's, and copies that end in ~.
BESIDE='(~|\.sw[a-z]+|/\.#[^/]*|/#[^/]*#|/4913)$'

watch() {
    local file changed
    use_tree
    prepare_toolchain
    use_python
    # Each run takes it for itself.
    unlock_tree
    # Once a file is written, not at each of the writes. A job, so that its end is seen to.
    set -m
    coproc EVENTS {
        exec 3>&-
        in_env inotifywait -qmr --format '%w%f' --exclude "$BESIDE" \
            -e close_write -e moved_to -e delete \
            "${WATCHED[@]/#/$E_REPO/}" ${DRIVER:+"$E_DRIVER"}
    }
    set +m
    JOB=$EVENTS_PID
    note "waiting for a change; Ctrl-C ends"
    while read -r file <&"${EVENTS[0]}"; do
        changed=("$file")
        while read -rt 0.5 file <&"${EVENTS[0]}"; do
            changed+=("$file")
        done
        mapfile -t changed < <(printf '%s\n' "${changed[@]}" | sed "s,^$E_REPO/,," | sort -u)
        rerun "${changed[@]}"
    done
    die "inotifywait has ended"
}

rerun() { # FILE...
    local test
    if [[ -n $DRIVER && "$*" == *"$E_DRIVER/"* ]]; then
        note "$(outside <<<"$*") has changed"
        "$REPO/scripts/rust-mm" run </dev/null || :
    else
        test=$("${PYTHON[@]}" "$P_REPO/scripts/chosen.py" changed "$P_REPO" "$@")
        if [[ -z $test ]]; then
            [[ "$* " != *.@(rs|c|h|sh|py)\ * ]] || note "$* has changed, for which there is no test"
            return 0
        fi
        note "$* has changed: TEST=$test"
        TEST=$test "$REPO/scripts/rust-mm" test </dev/null || :
    fi
    note "waiting for a change; Ctrl-C ends"
}
