// SPDX-License-Identifier: GPL-2.0

/* userfaultfd in the files of Rust drivers: faults that user space handles. */

#include <linux/mm.h>
#include <linux/rust_uffd.h>
#include <linux/userfaultfd_k.h>

/**
 * rust_uffd_raise() - Have user space handle a fault
 * @vmf: The fault.
 * @mode: RUST_UFFD_MISSING or RUST_UFFD_MINOR.
 *
 * Tells the userfaultfd of the VMA about the fault, drops the lock of the fault, and sleeps until
 * user space has filled the page, or a signal arrives.
 *
 * The function is built in, and its callers must be: the VMA, its file and the module of the driver
 * may be gone when it returns. Therefore it is not exported.
 *
 * Context: The fault handler of the VMA: the lock of the fault is held on entry, and the caller
 * holds no other lock. After the call, the caller must not use @vmf->vma and must return the
 * result to the kernel.
 * Return: The code for the kernel: VM_FAULT_RETRY with the lock dropped, or still held with
 * FAULT_FLAG_RETRY_NOWAIT; VM_FAULT_SIGBUS with the lock held if user space does not handle the
 * fault.
 */
vm_fault_t rust_uffd_raise(struct vm_fault *vmf, unsigned int mode)
{
	if (!(rust_uffd_vma_modes(vmf->vma) & mode))
		return VM_FAULT_SIGBUS;
	return handle_userfault(vmf, mode == RUST_UFFD_MINOR ? VM_UFFD_MINOR : VM_UFFD_MISSING);
}
