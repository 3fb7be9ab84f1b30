# shellcheck shell=bash disable=SC2016,SC2034,SC2153
# make series: writes the layer as commits on a clean tree, and as mails (config/series.toml).
#
#   work/<...>/series/
#       linux/          a git repository: the source, and a branch for each series, one on the other
#       source          names the source that the repository was made from
#       plan/           what each patch changes, and its message
#       mails/<series>/ for git send-email
#       config          the configuration that CHECK=1 builds

SERIES=${SERIES:-*}
CHECK=${CHECK:-}
SIGNOFF=${SIGNOFF:-}

make_series() {
    [[ -z $KDIR ]] || die "make series has a tree of its own"
    [[ $KERNEL == 7.3 ]] || die "make series is for 7.3"
    command -v git >/dev/null || die "make series needs git"
    use_tree
    WORK=$WORK/series
    TREE=$WORK/linux
    mkdir -p "$WORK"
    prepare_toolchain
    series_source
    series_plan
    series_commits
    series_mails
    [[ $CHECK != 1 ]] || check_series
}

# Of the user's configuration, only the name of the committer counts.
tree_git() {
    git -C "$TREE" -c core.hooksPath=/dev/null -c commit.gpgSign=false -c gc.auto=0 "$@"
}

# --- the tree

series_source() {
    local deb='' id source_lock
    stage_begin "series source"
    lock source "the kernel's source" --shared
    source_lock=$LOCK_FD
    if [[ -z $SOURCE ]]; then
        deb=$(cached_deb)
        [[ -n $deb ]] || fetch
    fi
    id=$(source_id "$deb")
    if [[ $(cat "$WORK/source" 2>/dev/null) == "$id" ]]; then
        stage_end "$(tree_version) (cached)"
    else
        rm -rf "$TREE" "$WORK/source"
        PROGRESS=unpack_progress logged unpack "$deb" || stage_fail
        logged first_commit || stage_fail
        echo "$id" >"$WORK/source"
        stage_end "$(tree_version) (unpacked)"
    fi
    unlock "$source_lock"
}

# With -f, because the .gitignore of Debian's source ignores all files.
first_commit() {
    tree_git init -q -b upstream &&
        tree_git add -A -f &&
        tree_git -c user.name=upstream -c user.email=upstream@localhost \
            commit -q -m "Linux $(tree_version)" &&
        tree_git tag upstream-source
}

# --- commits

series_plan() {
    local line
    use_python
    stage_begin "series plan"
    # The plan is made from upstream's files.
    logged tree_git checkout -q -f upstream-source || stage_fail
    "${PYTHON[@]}" "$P_REPO/scripts/series.py" plan "$P_TREE" "$P_WORK/plan" >>"$LOG" 2>&1 ||
        stage_fail
    # Names that a patch uses before they are defined: its build is likely to fail.
    while read -r line; do
        note "$line"
    done < <(sed -n 's/^early: //p' "$LOG")
    # Leaving out pieces of a source can leave lines that rustfmt would join or break.
    logged in_env bash -c 'cd "$0" && xargs -r -a partial -d "\n" -n1 bash -c '\''
        rustfmt --config-path "$0" <"$1" >"$1.new" && mv "$1.new" "$1"'\'' "$1"' \
        "$E_WORK/plan" "$E_TREE/.rustfmt.toml" || stage_fail
    stage_end "$(grep ' patches in ' "$LOG")"
}

series_commits() {
    local patch series last=
    stage_begin commits
    for patch in "$WORK"/plan/[0-9]*/; do
        series=$(<"$patch/series")
        if [[ $series != "$last" ]]; then
            logged tree_git checkout -q -B "$series" || stage_fail
            logged tree_git config "branch.$series.description" "$(<"$WORK/plan/$series.cover")"
            last=$series
        fi
        cp -r --preserve=mode "$patch/tree/." "$TREE/"
        (cd "$patch/tree" && find . -type f -printf '%P\0') >"$WORK/plan/paths"
        logged tree_git add -f --pathspec-from-file="$WORK/plan/paths" --pathspec-file-nul ||
            stage_fail
        logged tree_git commit -q ${SIGNOFF:+--signoff} -F "$patch/message" || stage_fail
    done
    stage_end "branch $last of $TREE"
}

# Prints the names of the series, in their order.
all_series() {
    sort -u "$WORK"/plan/[0-9]*/series
}

# Prints the commits of a series, in their order.
commits_of() { # SERIES
    local before=upstream-source series
    for series in $(all_series); do
        [[ $series != "$1" ]] || tree_git rev-list --reverse "$before..$series"
        before=$series
    done
}

series_mails() {
    local before=upstream-source series count=0
    stage_begin mails
    rm -rf "$WORK/mails"
    for series in $(all_series); do
        logged tree_git format-patch -q --cover-letter --cover-from-description=subject \
            --thread=shallow -o "$WORK/mails/$series" "$before..$series" || stage_fail
        before=$series
    done
    count=$(find "$WORK/mails" -name '*.patch' | wc -l)
    stage_end "$count in $WORK/mails"
}

# --- CHECK=1

# Writes a line of TAP for each test to CHECKS.
check_series() {
    local series commit
    CHECKS=$LOGS/series.tap
    : >"$CHECKS"
    series_config
    for series in $(all_series); do
        # shellcheck disable=SC2053 # a pattern
        [[ $series == $SERIES ]] || continue
        check_builds "$series"
        check_mails "$series"
    done
    check_maintainers
    tree_git checkout -q "$(all_series | tail -n1)"
    grep '^not ok' "$CHECKS" || :
    echo "$(grep -c '^ok ' "$CHECKS") passed, $(grep -c '^not ok ' "$CHECKS") failed"
    ! grep -q '^not ok ' "$CHECKS"
}

# Configures the last patch. The others are built with those of its options that they have.
series_config() {
    local fragments
    stage_begin "series config"
    mapfile -t fragments < <(fragments)
    fragments+=("$REPO/config/series.config")
    logged in_env bash "$E_REPO/scripts/lib/make-config.sh" \
        "${fragments[@]/#"$REPO"/"$E_REPO"}" || stage_fail
    mv "$TREE/.config.rust-mm" "$WORK/config"
    rm -f "$TREE"/.config.rust-mm*
    stage_end "$(grep -c '=[ym]$' "$WORK/config") options"
}

check_builds() { # SERIES
    local commit subject objects passed=0 failed=0
    stage_begin "build $1"
    for commit in $(commits_of "$1"); do
        subject=$(tree_git log -1 --format=%s "$commit")
        echo "=== $subject" >>"$LOG"
        logged tree_git checkout -q "$commit" || stage_fail
        cmp -s "$WORK/config" "$TREE/.config" || cp "$WORK/config" "$TREE/.config"
        mapfile -t objects < <(series_objects)
        if logged in_env make LLVM=1 olddefconfig &&
            PROGRESS=build_progress logged in_env make LLVM=1 -j"$JOBS" ${V:+V=$V} \
                rust/ "${objects[@]}"; then
            echo "ok build: $subject" >>"$CHECKS"
            passed=$((passed + 1))
        else
            echo "not ok build: $subject" >>"$CHECKS"
            failed=$((failed + 1))
        fi
    done
    stage_end "$passed patches build, $failed do not"
}

# Prints the targets for what a patch has of ours besides rust/.
series_objects() {
    (cd "$TREE" && ls drivers/pci/rust_*.c fs/rust_*.c kernel/rust_*.c mm/rust_*.c 2>/dev/null) |
        sed 's/c$/o/'
    [[ ! -d $TREE/samples/rust/mm ]] || echo samples/rust/mm/
}

check_mails() { # SERIES
    local mail name passed=0 failed=0
    stage_begin "checkpatch $1"
    for mail in "$WORK/mails/$1"/*.patch; do
        name=${mail##*/}
        [[ $name != 0000-* ]] || continue
        if logged in_env python3 -B "$E_REPO/scripts/series.py" checkpatch \
            "$E_WORK/mails/$1/$name"; then
            echo "ok checkpatch: $name" >>"$CHECKS"
            passed=$((passed + 1))
        else
            echo "not ok checkpatch: $name" >>"$CHECKS"
            failed=$((failed + 1))
        fi
    done
    stage_end "$passed mails without findings, $failed with"
}

check_maintainers() {
    stage_begin maintainers
    logged tree_git checkout -q "$(all_series | tail -n1)" || stage_fail
    logged in_env python3 -B "$E_REPO/scripts/maintainers.py" "$E_TREE" || :
    grep -E '^(not )?ok ' "$LOG" >>"$CHECKS" || :
    stage_end "$(grep -c '^ok ' "$LOG") of $(grep -cE '^(not )?ok ' "$LOG")"
}
