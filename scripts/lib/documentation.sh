# shellcheck shell=bash disable=SC2034,SC2153
# The documentation as the kernel renders it. The stages leave TAP in SPHINX and RUSTDOC, for the
# report.

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

rustdoc_stage() {
    stage_begin rustdoc
    RUSTDOC=$LOG
    logged in_env python3 -B "$E_REPO/scripts/rustdoc.py" "$E_TREE" "$E_WORK/rustdoc" || :
    stage_end "$(grep -c '^ok ' "$LOG") of $(grep -c 'ok ' "$LOG") crates"
}

rustdoc() {
    use_tree
    prepare_toolchain
    prepare_source
    integrate
    configure
    # Needs the crates that the build makes.
    build_kernel
    rustdoc_stage
    # The links to files of the tree, as the kernel's own target makes them.
    [[ ! -d $WORK/rustdoc ]] || find "$WORK/rustdoc" -name '*.html' -type f -print0 |
        xargs -0 sed -i "s,<a href=\"srctree/,<a href=\"$TREE/,g"
    note "$WORK/rustdoc/kernel/mm/index.html"
    tap_passed "$RUSTDOC"
}
