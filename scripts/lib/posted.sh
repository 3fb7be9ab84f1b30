# shellcheck shell=bash disable=SC2034,SC2153
# The layer in the form in which it is posted, looked at without building it: checkpatch.pl --strict
# on the mails of make series, and who owns each file by MAINTAINERS.
#
#   work/<...>/posted/
#       git/      a repository with just the files that the patches change
#       plan/, mails/   as those of make series

# Leaves TAP in PLAN, CHECKPATCH and MAINTAINERS, for the report.
posted_stages() {
    if [[ -n $VARIANT || $(tree_series) != "$POSTED" ]]; then
        stage_begin checkpatch
        PLAN=$LOG CHECKPATCH=$LOG MAINTAINERS=$LOG
        echo "ok # SKIP" >>"$LOG"
        stage_end "skipped: the patches are for $POSTED, and the same for each VARIANT"
        return
    fi
    posted_mails
    checkpatch_stage posted/mails --unused
    maintainers_stage
}

# Makes the mails from the tree with the layer.
posted_mails() {
    local TREE=$TREE WORK=$WORK E_TREE=$E_TREE E_WORK=$E_WORK P_TREE P_WORK P_REPO PYTHON GIT
    WORK=$WORK/posted
    GIT=(git "--git-dir=$WORK/git" "${GIT_SETTINGS[@]}"
        -c user.name=nobody -c user.email=nobody@localhost)
    [[ $TOOLCHAIN == rootfs ]] || E_WORK=$WORK
    use_python
    stage_begin "series plan"
    PLAN=$LOG
    mkdir -p "$WORK"
    series_plan "$P_TREE" "$E_TREE"
    logged posted_base || stage_fail
    series_commits base
    series_mails base
}

# The files without the layer.
posted_base() {
    local tree commit
    rm -rf "$WORK/git" "$WORK/index"
    git init -q --bare "$WORK/git" || return
    (cd "$WORK/plan/upstream" && GIT_INDEX_FILE=$WORK/index "${GIT[@]}" --work-tree=. add -f .) || return
    tree=$(GIT_INDEX_FILE=$WORK/index "${GIT[@]}" write-tree) || return
    commit=$("${GIT[@]}" commit-tree -m "Linux $(tree_version)" "$tree") || return
    "${GIT[@]}" tag base "$commit"
}

# Both are run in the tree.
checkpatch_stage() { # FOLDER-OF-MAILS-IN-WORK [--unused]
    stage_begin checkpatch
    CHECKPATCH=$LOG
    PROGRESS=checkpatch_progress logged in_env python3 -B "$E_REPO/scripts/series.py" checkpatch \
        "${@:2}" "$E_WORK/$1" || :
    stage_end "$(grep -c '^ok ' "$LOG") of $(grep -c 'ok ' "$LOG") mails and exceptions"
}

checkpatch_progress() {
    echo "$(grep -c 'ok ' "$LOG") mails"
}

maintainers_stage() {
    stage_begin MAINTAINERS
    MAINTAINERS=$LOG
    logged in_env python3 -B "$E_REPO/scripts/maintainers.py" "$E_TREE" || :
    stage_end "$(grep -c '^ok ' "$LOG") of $(grep -c 'ok ' "$LOG") files and people"
}
