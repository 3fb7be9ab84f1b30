# shellcheck shell=bash disable=SC2034,SC2153
# The documentation as the kernel renders it. The stage leaves TAP in SPHINX, for the report.

# It is the same in all variants.
sphinx_stage() {
    stage_begin Sphinx
    SPHINX=$LOG
    if [[ -n $VARIANT ]]; then
        echo "ok # SKIP" >>"$LOG"
        stage_end "skipped: VARIANT=$VARIANT"
        return
    fi
    logged in_env python3 -B "$E_REPO/scripts/sphinx.py" "$E_TREE" "$E_WORK/htmldocs" || :
    stage_end "$(grep -c '^ok ' "$LOG") of $(grep -c 'ok ' "$LOG") pages"
}

htmldocs() {
    use_tree
    prepare_toolchain
    prepare_source
    integrate
    VARIANT='' sphinx_stage
    note "$WORK/htmldocs/mm/rust-mmap/index.html"
    tap_passed "$SPHINX"
}
