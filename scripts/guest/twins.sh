#!/bin/bash
# twins.sh TREE KSELFTEST
# In the VM: the tests of the samples, with the C twins in place of the samples.
exec 2>&1 # standard error goes to the kernel's console
cd "$2/rust_mm" || exit
export RUST_MM_MODULES=$1/samples/rust/mm
status=0
run() { # TWIN TEST [OPTION...]
    local twin=$1 test=$2
    shift 2
    echo "# twins: $test with $twin"
    RUST_MM_TWIN=bench/$twin "./$test" "$@" || status=1
}
run c_mmap rust_mmap
# Without map_pages, the kernel retries each fault under the mmap lock.
run c_plain rust_mmap_plain -T faults_under_vma_lock
run c_plain_mp rust_mmap_plain
run c_demand rust_mmap_demand
# It maps the memory of the device, which is what is measured: no registers, PMD mappings or cache modes,
# and generic_access_phys() sees only what is mapped.
run c_pfn rust_mmap_pfn -F device -T access_before_a_fault
run c_inspect rust_vma_inspect
exit "$status"
