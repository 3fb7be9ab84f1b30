# shellcheck shell=bash disable=SC2016,SC2034,SC2153
# make series: writes the layer as commits on a clean tree, and as mails (config/series.toml).
#
#   work/<...>/series/
#       linux/          a git repository: the source, and a branch for each series, one on the other
#       source          names the source that the repository was made from
#       clean/          what the plan is made from: upstream's Rust, and the files that we edit
#       plan/           what each patch changes, and its message
#       mails/<series>/ for git send-email
#       made            the sum of what the commits and mails were made from
#       config          the configuration that CHECK=1 builds
#       built           what CHECK=1 has built, so that it goes on where it was interrupted

SERIES=${SERIES:-*}
CHECK=${CHECK:-}
SIGNOFF=${SIGNOFF:-}

# The series of the kernel that the patches are for.
POSTED=7.3

make_series() {
    [[ -z $KDIR ]] || die "make series has a tree of its own"
    [[ $KERNEL == "$POSTED" ]] || die "make series is for $POSTED"
    command -v git >/dev/null || die "make series needs git"
    use_tree
    WORK=$WORK/series
    TREE=$WORK/linux
    GIT=(git "--git-dir=$TREE/.git" "${GIT_SETTINGS[@]}")
    mkdir -p "$WORK"
    prepare_toolchain
    series_source
    make_commits
    [[ $CHECK != 1 ]] || check_series
}

make_commits() {
    local sum
    sum=$(series_sum)
    if [[ $(cat "$WORK/made" 2>/dev/null) == "$sum" ]]; then
        stage_begin mails
        stage_end "in $WORK/mails (made before)"
        return
    fi
    rm -f "$WORK/made"
    use_python
    stage_begin "series plan"
    logged clean_files || stage_fail
    series_plan "$P_WORK/clean" "$E_WORK/clean"
    # The branches move. What is checked out, and what is built from it, stays.
    logged git -C "$TREE" checkout -q --detach || stage_fail
    series_commits upstream-source
    series_mails upstream-source
    echo "$sum" >"$WORK/made"
}

series_sum() {
    (
        cd "$REPO" || exit
        cat "$WORK/source"
        echo "$SIGNOFF $("${GIT[@]}" var GIT_COMMITTER_IDENT | sed 's/ [0-9]* [^ ]*$//')"
        find config/series.toml integration.toml series scripts Documentation drivers fs include kernel \
            mm rust samples selftests -type f ! -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum
    ) | sha256sum
}

# Of the user's configuration, only the name of the committer counts.
GIT_SETTINGS=(-c core.hooksPath=/dev/null -c commit.gpgSign=false -c gc.auto=0)

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
    git init -q -b upstream "$TREE" &&
        git -C "$TREE" add -A -f &&
        git -C "$TREE" "${GIT_SETTINGS[@]}" -c user.name=upstream -c user.email=upstream@localhost \
            commit -q -m "Linux $(tree_version)" &&
        "${GIT[@]}" tag upstream-source
}

clean_files() {
    local edited
    mapfile -t edited < <(sed -n 's/^file = "\(.*\)".*/\1/p' "$REPO/integration.toml" \
        "$REPO/series/$POSTED/integration.toml" | sort -u)
    rm -rf "$WORK/clean"
    mkdir "$WORK/clean"
    "${GIT[@]}" archive upstream-source .rustfmt.toml Makefile rust/kernel "${edited[@]}" |
        tar -x -C "$WORK/clean"
}

# --- commits

# Makes the plan from upstream's files, or from those of a tree with the layer.
series_plan() { # TREE-FOR-PYTHON TREE-IN-THE-ENVIRONMENT
    local line
    "${PYTHON[@]}" "$P_REPO/scripts/series.py" plan "$1" "$P_WORK/plan" >>"$LOG" 2>&1 || stage_fail
    # Names that a patch uses before they are defined: its build is likely to fail.
    while read -r line; do
        note "$line"
    done < <(grep -A20 '^not ok ' "$LOG" | grep -E '^(not ok|# .* names)')
    # Leaving out pieces of a source can leave lines that rustfmt would join or break.
    logged in_env bash -c 'cd "$0" && xargs -r -a partial -d "\n" -n1 bash -c '\''
        rustfmt --config-path "$0" <"$1" >"$1.new" && mv "$1.new" "$1"'\'' "$1"' \
        "$E_WORK/plan" "$2/.rustfmt.toml" || stage_fail
    stage_end "$(grep ' patches in ' "$LOG")"
}

# Commits with an index of its own: no working tree changes.
series_commits() { # THE COMMIT THAT THE FIRST SERIES IS BASED ON
    local patch series commit last=
    stage_begin commits
    export GIT_INDEX_FILE=$WORK/index
    commit=$("${GIT[@]}" rev-parse "$1")
    logged "${GIT[@]}" read-tree "$commit" || stage_fail
    for patch in "$WORK"/plan/[0-9]*/; do
        series=$(<"$patch/series")
        commit=$(commit_patch "$patch" "$commit" 2>>"$LOG") || stage_fail
        logged "${GIT[@]}" update-ref "refs/heads/$series" "$commit" || stage_fail
        [[ $series != "$last" ]] || continue
        last=$series
        logged "${GIT[@]}" config "branch.$series.description" "$(<"$WORK/plan/$series.cover")" ||
            stage_fail
    done
    unset GIT_INDEX_FILE
    stage_end "branches of ${GIT[1]#--git-dir=}"
}

# Prints the commit.
commit_patch() { # FOLDER-OF-THE-PLAN PARENT
    local who tree trailer=()
    (cd "$1/tree" && "${GIT[@]}" --work-tree=. add -f --ignore-removal .) || return
    tree=$("${GIT[@]}" write-tree) || return
    if [[ -n $SIGNOFF ]]; then
        who=$("${GIT[@]}" var GIT_COMMITTER_IDENT) || return
        trailer=(--trailer "Signed-off-by: ${who% * *}")
    fi
    git interpret-trailers "${trailer[@]}" "$1/message" |
        "${GIT[@]}" commit-tree -p "$2" -F - "$tree"
}

# Prints the names of the series, in their order.
all_series() {
    sort -u "$WORK"/plan/[0-9]*/series
}

# Prints the commits of a series, in their order.
commits_of() { # SERIES
    local before=upstream-source series
    for series in $(all_series); do
        [[ $series != "$1" ]] || "${GIT[@]}" rev-list --reverse "$before..$series"
        before=$series
    done
}

series_mails() { # THE COMMIT THAT THE FIRST SERIES IS BASED ON
    local before=$1 series
    stage_begin mails
    rm -rf "$WORK/mails"
    for series in $(all_series); do
        logged "${GIT[@]}" format-patch -q --cover-letter --cover-from-description=subject \
            --thread=shallow -o "$WORK/mails/$series" "$before..$series" || stage_fail
        before=$series
    done
    stage_end "$(find "$WORK/mails" -name '*.patch' | wc -l) in $WORK/mails"
}

# --- CHECK=1

# Writes a line of TAP for each test to CHECKS.
check_series() {
    local series last failed
    CHECKS=$LOGS/series.tap
    : >"$CHECKS"
    series_config
    TOOLS=$(in_env bash -c 'rustc -V && bindgen -V && clang --version')
    for series in $(all_series); do
        # shellcheck disable=SC2053 # a pattern
        [[ $series != $SERIES ]] || check_builds "$series"
    done
    last=$(all_series | tail -n1)
    logged git -C "$TREE" checkout -q -f "$last" || stage_fail
    checkpatch_stage mails
    maintainers_stage
    cat "$CHECKPATCH" "$MAINTAINERS" >>"$CHECKS"
    failed=$(grep -c '^not ok ' "$CHECKS") || :
    grep -A20 '^not ok ' "$CHECKS" | grep -E '^(not ok|#) ' || :
    echo "$(grep -c '^ok ' "$CHECKS") passed, $failed failed"
    ((failed == 0))
}

# Configures the last patch. The others are built with those of its options that they have.
series_config() {
    local fragments
    stage_begin "series config"
    mapfile -t fragments < <(fragments)
    fragments+=("$REPO/config/series.config")
    logged git -C "$TREE" checkout -q -f "$(all_series | tail -n1)" || stage_fail
    logged in_env bash "$E_REPO/scripts/lib/make-config.sh" \
        "${fragments[@]/#"$REPO"/"$E_REPO"}" || stage_fail
    mv "$TREE/.config.rust-mm" "$WORK/config"
    rm -f "$TREE"/.config.rust-mm*
    stage_end "$(grep -c '=[ym]$' "$WORK/config") options"
}

check_builds() { # SERIES
    local commit subject key built=0 cached=0 failed=0
    stage_begin "build $1"
    for commit in $(commits_of "$1"); do
        subject=$("${GIT[@]}" log -1 --format=%s "$commit")
        LOG="$LOGS/build-$1-$("${GIT[@]}" log -1 --format=%f "$commit").log"
        : >"$LOG"
        key=$(build_key "$commit")
        if grep -qxF "$key" "$WORK/built" 2>/dev/null; then
            echo "ok build: $subject" >>"$CHECKS"
            cached=$((cached + 1))
        elif build_patch "$commit"; then
            echo "$key" >>"$WORK/built"
            echo "ok build: $subject" >>"$CHECKS"
            built=$((built + 1))
        else
            note "does not build: $subject ($LOG)"
            echo "not ok build: $subject" >>"$CHECKS"
            { grep -E -m1 -A7 "$COMPILER_ERROR" "$LOG" || :; } | sed 's/^/# /' >>"$CHECKS"
            failed=$((failed + 1))
        fi
    done
    stage_end "$built patches build, $cached have before, $failed do not"
}

# Prints the sum of what a build depends on. A patch that changes nothing but documentation or
# selftests is not built.
build_key() { # COMMIT
    {
        "${GIT[@]}" ls-tree "$1" | grep -vP '\t(Documentation|MAINTAINERS|tools)$'
        "${GIT[@]}" ls-tree "$1:tools" | grep -vP '\ttesting$'
        cat "$WORK/config"
        echo "$TOOLS"
    } | sha256sum | cut -d' ' -f1
}

build_patch() { # COMMIT
    local objects
    logged git -C "$TREE" checkout -q -f --detach "$1" || stage_fail
    mapfile -t objects < <(series_objects)
    logged configure_patch &&
        PROGRESS=build_progress logged in_env make LLVM=1 -j"$JOBS" ${V:+V=$V} rust/ "${objects[@]}"
}

# A configuration with a new date makes kbuild compile `core` anew.
configure_patch() {
    cp "$WORK/config" "$TREE/.config.patch"
    in_env make LLVM=1 KCONFIG_CONFIG=.config.patch olddefconfig || return
    cmp -s "$TREE/.config.patch" "$TREE/.config" || mv "$TREE/.config.patch" "$TREE/.config"
    rm -f "$TREE"/.config.patch*
}

# Prints the targets for what a patch has of ours besides rust/.
series_objects() {
    (cd "$TREE" && ls drivers/pci/rust_*.c fs/rust_*.c kernel/rust_*.c mm/rust_*.c 2>/dev/null) |
        sed 's/c$/o/'
    [[ ! -d $TREE/samples/rust/mm ]] || echo samples/rust/mm/
}
