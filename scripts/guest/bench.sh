#!/bin/bash
# bench.sh TREE PART...
# In the VM: the samples and their C twins, all of them loaded, and what they cost. PART is what
# rust_mm_bench measures.
exec 2>&1 # standard error goes to the kernel's console
cd "$1/samples/rust/mm" || exit
modules=(rust_mmap bench/c_mmap rust_mmap_plain bench/c_plain bench/c_plain_mp rust_mmap_demand bench/c_demand
    rust_mmap_pfn bench/c_pfn rust_vma_inspect bench/c_inspect bench/rust_layer bench/c_layer
    rust_memfile)
for module in "${modules[@]}"; do
    parameters=()
    [[ $module == *@(pfn|inspect|layer|memfile) ]] || parameters=(pages=8192)
    insmod "$module.ko" "${parameters[@]}" || exit
done
bench/rust_mm_bench "${@:2}" || exit
for module in "${modules[@]}"; do
    rmmod "${module##*/}" || exit
done
