# shellcheck shell=bash disable=SC2034
# Variables, stage lines with progress, locks.

# Our own make's settings are not for the kernel's make.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

# chroot and mount are not in everybody's path.
PATH=$PATH:/usr/sbin:/sbin

KERNEL=${KERNEL:-7.3}
KDIR=${KDIR:-}
SOURCE=${SOURCE:-}
TOOLCHAIN=${TOOLCHAIN:-auto}
JOBS=${JOBS:-$(nproc)}
CPUS=${CPUS:-2}
CPU=${CPU:-}
TEST=${TEST:-}
DRIVER=${DRIVER:-}
CMD=${CMD:-}
MUTANTS=${MUTANTS:-*}
SOAK=${SOAK:-60}
RUST_MM_SEED=${RUST_MM_SEED:-}
VARIANT=${VARIANT:-}
DEBIAN_MIRROR=${DEBIAN_MIRROR:-}
V=${V:-}

# What variants say in their fragments ("# MEM=2G"). use_tree ends if there is no such variant.
variants_say() { # NAME
    local variant
    for variant in ${VARIANT//,/ }; do
        sed -n "s/^# $1=//p" "$REPO/config/variants/$variant.config" 2>/dev/null || :
    done
}

# The same, where that is more than is usual.
at_least() { # NAME VALUE
    { echo "$2" && variants_say "$1"; } | sort -h | tail -n1
}

MEM=${MEM:-$(at_least MEM 1G)}
TIMEOUT=${TIMEOUT:-$(at_least TIMEOUT 1500)}
PROGRAM_TIMEOUT=${PROGRAM_TIMEOUT:-$(at_least PROGRAM_TIMEOUT 300)}
CONTROL_TIMEOUT=${CONTROL_TIMEOUT:-$(at_least CONTROL_TIMEOUT 120)}

SUITE=trixie # of the root file system with the toolchain
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/rust-mm

die() {
    echo "rust-mm: $*" >&2
    exit 1
}

# Standard output, also where stages talk on standard error (see shell()).
exec 3>&1

# --- stages: each ends in exactly one line with its time

STAGE=
LOG=

now_ms() {
    echo $((${EPOCHREALTIME/[.,]/} / 1000))
}

elapsed() {
    local ms=$(($(now_ms) - STAGE_START))
    printf '%3d.%d s' $((ms / 1000)) $((ms % 1000 / 100))
}

stage_begin() { # NAME
    STAGE=$1
    STAGE_START=$(now_ms)
    LOG=$LOGS/${1// /-}.log
    mkdir -p "$LOGS"
    : >"$LOG"
}

stage_line() { # TEXT
    [[ ! -t 1 ]] || printf '\r\e[K'
    printf '[%s] %-15s %s\n' "$(elapsed)" "$STAGE" "$1"
    STAGE=
}

stage_end() { # DETAIL
    stage_line "$1"
}

# What a failed stage leaves: its last lines, and where the rest is. AT_FAILURE
# names a function that has the last word.
stage_fail() { # [MESSAGE]
    stage_line "FAILED${1:+: $1}"
    if [[ -s $LOG ]]; then
        first_error | outside
        echo "--- last lines of $LOG"
        tail -n 30 -- "$LOG" | outside
    fi
    ${AT_FAILURE-}
    exit 1
}

# Names of files as they are outside of the root file system, where an editor finds them.
outside() {
    if [[ ${E_TREE:-$TREE} == "$TREE" ]]; then
        cat
    else
        sed "s,$E_DRIVER/,${DRIVER:-$E_DRIVER}/,g; s,$E_TREE/,$TREE/,g"
    fi
}

COMPILER_ERROR='(^|: )(fatal )?error(\[E[0-9]+\])?: |: undefined reference|\*\*\* '

# Of a parallel build the last lines seldom say what went wrong.
first_error() {
    local line
    line=$(grep -nE -m1 "$COMPILER_ERROR" "$LOG" | cut -d: -f1) || :
    if [[ -n $line ]] && (($(wc -l <"$LOG") - line > 30)); then
        echo "--- first error in $LOG"
        sed -n "$((line > 3 ? line - 3 : 1)),$((line + 20))p" "$LOG"
    fi
}

note() {
    [[ ! -t 1 ]] || printf '\r\e[K'
    echo "           $*"
}

# --- commands of a stage, output to its log, progress on the terminal

JOB=

# A job is a process group of its own, so that all of it can be ended.
end_job() {
    [[ -z $JOB ]] || kill -TERM -- "-$JOB" 2>/dev/null || :
    JOB=
}
trap end_job EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

no_progress() {
    :
}

# Runs a command with its output in the log. PROGRESS names a function that
# prints how far it is: shown in place on a terminal, else a line each 30 s.
logged() { # COMMAND...
    local progress=${PROGRESS:-no_progress} rc=0 shown text
    if [[ $V == 1 ]]; then
        set -m
        "$@" </dev/null > >(tee -a "$LOG") 2>&1 &
    else
        set -m
        "$@" </dev/null >>"$LOG" 2>&1 &
    fi
    JOB=$!
    set +m
    shown=$SECONDS
    while kill -0 "$JOB" 2>/dev/null; do
        sleep 0.2
        if [[ -t 1 && $V != 1 ]]; then
            ((SECONDS > shown)) || continue
            printf '\r\e[K[%s] %-15s %s' "$(elapsed)" "$STAGE" "$("$progress")"
        else
            ((SECONDS >= shown + 30)) || continue
            text=$("$progress")
            echo "[$(elapsed)] $STAGE ${text:-...}"
        fi
        shown=$SECONDS
    done
    wait "$JOB" || rc=$?
    JOB=
    return "$rc"
}

# Runs a command with its output on the terminal, through a filter, and all of
# it in the log.
live() { # FILTER COMMAND...
    local filter=$1 rc=0
    shift
    set -m
    { "$@" </dev/null 2>&1 | tr -d '\r' | tee -a "$LOG" | "$filter"; } &
    JOB=$!
    set +m
    wait "$JOB" || rc=$?
    JOB=
    return "$rc"
}

# --- locks
# Lock files are never removed: removing one that somebody waits for would let
# two in.

lock_file() { # NAME
    mkdir -p "$CACHE/locks"
    echo "$CACHE/locks/$1"
}

# Opens the lock and takes it, saying so if it has to wait; the descriptor, in
# LOCK_FD, holds it until it is closed or the process ends.
lock() { # NAME WHAT [FLOCK OPTION...]
    local file name=$1 what=$2
    shift 2
    file=$(lock_file "$name")
    exec {LOCK_FD}>>"$file"
    if ! flock -n "$@" "$LOCK_FD"; then
        note "waiting for another run that uses $what"
        flock "$@" "$LOCK_FD"
    fi
}

try_lock() { # NAME [FLOCK OPTION...]
    local file
    file=$(lock_file "$1")
    shift
    exec {LOCK_FD}>>"$file"
    if ! flock -n "$@" "$LOCK_FD"; then
        unlock "$LOCK_FD"
        return 1
    fi
}

unlock() { # DESCRIPTOR
    local fd=$1
    exec {fd}>&-
}
