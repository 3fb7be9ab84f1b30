# shellcheck shell=bash disable=SC2034,SC2153
# DRIVER: a module outside the repository, in a folder with
#
#   Kbuild      obj-m := name.o
#   name.rs     the driver
#   test        its test, an executable file; or test.c, a program. It runs in the VM as root, in
#               the folder, when the modules are inserted; its exit status says whether it passed.
#
# Nothing is written there: what is built is in modules/ of the work folder.

check_driver() {
    [[ -n $DRIVER ]] || return 0
    [[ -d $DRIVER ]] || die "DRIVER=$DRIVER: no such folder"
    DRIVER=$(cd "$DRIVER" && pwd -P)
    [[ -e $DRIVER/Kbuild || -e $DRIVER/Makefile ]] ||
        die "DRIVER=$DRIVER: there is no Kbuild in it (obj-m := name.o)"
    # For enter.sh.
    export DRIVER
}

build_driver() {
    local out
    [[ -n $DRIVER ]] || return 0
    stage_begin driver
    out=drivers/$(sum_of "$DRIVER")
    mkdir -p "$WORK/$out"
    ln -sfn "$out" "$WORK/modules"
    logged in_env make LLVM=1 -j"$JOBS" M="$E_DRIVER" MO="$E_WORK/$out" modules || stage_fail
    if [[ -e $DRIVER/test.c ]]; then
        logged in_env clang -Wall -O2 -isystem usr/include "$E_DRIVER/test.c" \
            -o "$E_WORK/$out/test" || stage_fail
    else
        rm -f "$WORK/$out/test"
    fi
    stage_end "$(driver_modules "$WORK/$out")"
    show_warnings
}

driver_modules() { # FOLDER
    sed 's/\.o$/.ko/' "$1/modules.order" | paste -sd' '
}
