#!/bin/bash
# driver.sh FOLDER MODULES
# In the VM: inserts the modules of a driver, runs its test, shows what the kernel has said, takes
# the modules out.
exec 2>&1 # standard error goes to the kernel's console
cd "$1" || exit
mark="rust_mm: driver $$"
echo "$mark" >/dev/kmsg
status=0
inserted=()
while IFS= read -r module; do
    insmod "$2/${module%.o}.ko" || { status=1; break; }
    inserted=("${module%.o}" "${inserted[@]}")
done <"$2/modules.order"
if ((status == 0)); then
    if [[ -x $2/test ]]; then
        "$2/test" || status=$?
    elif [[ -x test ]]; then
        ./test || status=$?
    else
        echo "(no test: an executable file 'test', or test.c)"
    fi
fi
for module in "${inserted[@]}"; do
    rmmod "${module##*/}" || status=1
done
echo "--- the kernel's messages"
# Each line with its time, as on the console.
dmesg -p | sed "1,/$mark/d"
exit "$status"
