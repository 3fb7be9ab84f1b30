// SPDX-License-Identifier: GPL-2.0

//! The functions in the tables of callbacks.
//!
//! They turn the kernel's arguments into contexts, and the driver's answers into codes. Each of
//! them must be called only for a VMA with the private data of `O`. Only [`with_ops`] and
//! [`map_pieces`] give a table with these functions to a mapping, and they set the private data as
//! well. A stacked file system may copy the table, and then copies the private data with it.
//!
//! If `vm_private_data` is not live, they do not call the driver. It is not live in a VMA whose
//! `mapped` has failed, until the kernel has unmapped it, and in the copy of a VMA with
//! [`PerVmaUnique`](super::PerVmaUnique) data that `mremap` makes before it fails.
//!
//! [`map_pieces`]: crate::mm::desc::VmaDesc::map_pieces
//! [`with_ops`]: crate::mm::desc::VmaDesc::with_ops

use super::{
    access::{
        is_permitted,
        Access, //
    },
    check,
    data::{
        self,
        VmaData, //
    },
    enter,
    fault::{
        Fault,
        FaultAround,
        FaultError,
        HugeAnswer,
        HugeFault,
        HugeOrder,
        MkwriteAnswer,
        MkwriteFault,
        PfnMkwriteFault, //
    },
    table::has_pfn_leaves,
    vma::{
        DriverVmaInfo,
        DriverVmaUnderMmap, //
    },
    MappedArea,
    MmuPageSize,
    VmOperations, //
};
use crate::{
    bindings,
    mm::{
        file::MapFile,
        flags::VmaFlags,
        revoke::RevocationGuard,
        vma::VmaUnderMmap, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    types::ForeignOwnable, //
};
use core::{
    ffi::c_void,
    ops::Range,
    ptr::{
        self,
        NonNull, //
    },
    slice, //
};

/// Returns the `vm_private_data` of a VMA if it is live.
///
/// # Safety
///
/// `vma` must be valid, and no other thread may write the field during the call.
#[inline]
unsafe fn live_word(vma: *mut bindings::vm_area_struct) -> Option<*mut c_void> {
    // SAFETY: By the safety requirements of this function, `vma` is valid, and no other thread
    // writes the field.
    let word = unsafe { (*vma).vm_private_data };
    data::is_live(word).then_some(word)
}

/// Asks the driver whether it permits pages of a VMA, if it implements `may_map`.
///
/// The VMA may have grown since `mmap_prepare` was called. This must be called before pages can be
/// inserted. The first write to a page needs no call: `may_map` was called when the page was
/// mapped, with `writable` set if the page can ever become writable.
///
/// # Errors
///
/// Those of the driver's `may_map`.
///
/// # Safety
///
/// `vma` must be a VMA with these operations and live data, and must be locked at least for
/// reading.
#[inline]
unsafe fn may_map<O: VmOperations>(
    vma: *const bindings::vm_area_struct,
    pgoffs: Range<usize>,
) -> Result {
    if !O::HAS_MAY_MAP {
        return Ok(());
    }
    // SAFETY: By the safety requirements of this function, the VMA is alive and stable during the
    // call, has the operations `O`, and its data is live.
    let vma = unsafe { DriverVmaInfo::<O>::from_raw(vma) };
    // SAFETY:
    // - The VMA is locked, so `vm_private_data` is not written.
    // - It is the device's pointer, which `into_foreign` has returned: a table with `may_map` has
    //   `PerFile` data (`VmOpsTable::new`).
    // - The VMA keeps the file open during the call, so `from_foreign` is not called.
    let device = unsafe {
        <<O::File as MapFile>::Ptr as ForeignOwnable>::borrow((*vma.as_ptr()).vm_private_data)
    };
    O::may_map(device, pgoffs, vma.flags().is_shared_maywrite())
}

/// Enters the section that a revocation waits for, at the start of a fault.
///
/// # Errors
///
/// [`FaultError::SigBus`] if the VMA has no live data, or its memory is revoked.
///
/// # Safety
///
/// `vmf` must be a fault of a VMA with these operations, which this thread is handling. The result
/// must be dropped before the lock of the fault is.
#[inline]
unsafe fn enter_fault<'a, O: VmOperations>(
    vmf: *mut bindings::vm_fault,
) -> Result<Option<RevocationGuard<'a>>, FaultError> {
    // SAFETY: By the safety requirements of this function, this thread is handling the fault, so
    // `vmf` is valid.
    let vma = unsafe { (*vmf).__bindgen_anon_1.vma };
    // SAFETY: The VMA of a fault is locked at least for reading. `vm_private_data` is written only
    // with the VMA locked for writing, or while no other thread can find the VMA.
    unsafe { live_word(vma) }.ok_or(FaultError::SigBus)?;
    // SAFETY: `vm_file` is the file of a VMA with the operations `O`. The VMA keeps it open and is
    // locked until after the result is dropped, by the safety requirements of this function.
    Ok(unsafe { enter::<O>((*vma).vm_file) }?)
}

/// `vm_operations_struct::mapped`.
///
/// # Safety
///
/// - `private` must point to a copy of the `vm_private_data` that `with_ops` has set, of a VMA with
///   these operations for which this was not called before (`call_vma_mapped()` in mm/util.c).
/// - `file` must be the file that the VMA maps.
pub(super) unsafe extern "C" fn mapped<O: VmOperations>(
    start: usize,
    end: usize,
    pgoff: usize,
    file: *const bindings::file,
    private: *mut *mut c_void,
) -> c_int {
    // SAFETY: By the safety requirements of this function, `private` points to a copy of the VMA's
    // private data.
    let old = unsafe { *private };
    let device = data::device(old);

    // The mapping may be populated already. If the memory was revoked before this, user space could
    // access it through the mapping, so the mapping fails. If the memory is revoked after this, the
    // revocation finds the VMA and zaps it. This comes before the call of the driver, because the
    // layer does not call `close` for a mapping that fails.
    //
    // SAFETY: By the safety requirements of this function, `file` is the file of a VMA with these
    // operations, which keeps it open during the call.
    if let Err(err) = unsafe { check::<O>(file) } {
        return err.to_errno();
    }

    let made = if O::HAS_MAPPED {
        let area = MappedArea {
            range: start..end,
            pgoff,
        };
        // SAFETY: `device` is the device's pointer, which `into_foreign` has returned when the file
        // was opened. The VMA keeps the file open during the call, so `from_foreign` is not called.
        let device_ref = unsafe { <<O::File as MapFile>::Ptr as ForeignOwnable>::borrow(device) };
        O::mapped(device_ref, &area).map(|data| data.into_word(device))
    } else {
        // A table without `mapped` has no data for each VMA (`VmOpsTable::new`): its private data
        // is borrowed from the device, and remains.
        Ok(device)
    };
    let word = match made {
        Ok(word) => word,
        Err(err) => return err.to_errno(),
    };
    if !data::is_live(word) {
        // A `KBox` of a zero-sized type: its dangling pointer violates `FOREIGN_ALIGN`.
        //
        // SAFETY: `into_word` has just returned `word`. It is not used afterwards: C does not store
        // it if this function fails.
        unsafe { O::Data::release(word) };
        return EINVAL.to_errno();
    }

    // SAFETY: By the safety requirements of this function, `private` points to a copy of the VMA's
    // private data. C stores it, and the VMA then owns what `word` stands for.
    unsafe { *private = word };
    0
}

/// `vm_operations_struct::open`.
///
/// # Safety
///
/// `vma` must be a copy of a VMA with these operations, which no other thread can access yet. The
/// mmap lock must be held for writing.
pub(super) unsafe extern "C" fn open<O: VmOperations>(vma: *mut bindings::vm_area_struct) {
    if has_pfn_leaves::<O>() {
        // `mremap` may be about to move a leaf. A revocation that looks for leaves takes no lock
        // for an entry that is empty, and can miss one that is neither here nor there.
        //
        // SAFETY: By the safety requirements of this function, `vma` is a copy of a VMA of a file,
        // no other thread can access it, and the mmap lock is held for writing.
        unsafe { bindings::rust_mm_vma_zap_leaves(vma) };
    }
    // SAFETY: By the safety requirements of this function, `vma` is valid, and no other thread can
    // access it.
    let Some(word) = (unsafe { live_word(vma) }) else {
        return;
    };
    // SAFETY:
    // - `word` is live, and also that of the VMA which `vma` is a copy of. That VMA is not closed
    //   during the call, because the mmap lock is held for writing.
    // - No other thread can access `vma`, so its field may be written.
    unsafe { (*vma).vm_private_data = O::Data::duplicate(word) };
    // The copy of `PerVmaUnique` data is NULL, so there is nothing that `open` could borrow.
    if O::HAS_OPEN && !O::Data::UNIQUE {
        // SAFETY: No other thread can access the VMA, so it is stable. It has the operations `O`,
        // and its data is live: `duplicate` returns NULL only for `PerVmaUnique` data.
        O::open(unsafe { DriverVmaInfo::from_raw(vma) });
    }
}

/// `vm_operations_struct::close`.
///
/// # Safety
///
/// `vma` must be a VMA with these operations, which no other thread can access any longer.
pub(super) unsafe extern "C" fn close<O: VmOperations>(vma: *mut bindings::vm_area_struct) {
    // SAFETY: By the safety requirements of this function, `vma` is valid, and no other thread can
    // access it.
    let Some(word) = (unsafe { live_word(vma) }) else {
        return;
    };
    if O::HAS_CLOSE {
        // SAFETY: No other thread can access the VMA, so it is stable. It has the operations `O`,
        // and its data is live.
        O::close(unsafe { DriverVmaInfo::from_raw(vma) });
    }
    // SAFETY: No other thread can access the VMA, so its field may be written. `word` is live, and
    // is not used afterwards: the field no longer has it.
    unsafe {
        (*vma).vm_private_data = ptr::null_mut();
        O::Data::release(word);
    }
}

/// `vm_operations_struct::may_split`.
///
/// # Safety
///
/// `vma` must be a VMA with these operations, with the mmap lock held for writing.
pub(super) unsafe extern "C" fn may_split<O: VmOperations>(
    vma: *mut bindings::vm_area_struct,
    addr: usize,
) -> c_int {
    if O::Data::UNIQUE {
        return EINVAL.to_errno();
    }
    // SAFETY: By the safety requirements of this function, `vma` is valid, and the mmap lock is
    // held for writing, so no other thread writes the field.
    if unsafe { live_word(vma) }.is_none() {
        return 0;
    }
    // SAFETY: By the safety requirements of this function, `vma` has the operations `O`, and the
    // mmap lock is held for writing. Its data is live. Sleeping is allowed in this callback.
    match O::may_split(unsafe { DriverVmaUnderMmap::from_raw(vma) }, addr) {
        Ok(()) => 0,
        Err(err) => err.to_errno(),
    }
}

/// `vm_operations_struct::mremap`.
///
/// # Safety
///
/// `vma` must be a VMA with these operations, with the mmap lock held for writing.
pub(super) unsafe extern "C" fn mremap<O: VmOperations>(
    vma: *mut bindings::vm_area_struct,
) -> c_int {
    if O::Data::UNIQUE {
        // The kernel moves the pages back and closes the new VMA, whose `vm_private_data` is NULL
        // since `open`.
        return EINVAL.to_errno();
    }
    // SAFETY: By the safety requirements of this function, `vma` is valid, and the mmap lock is
    // held for writing, so no other thread writes the field.
    if unsafe { live_word(vma) }.is_none() {
        return 0;
    }
    // SAFETY: By the safety requirements of this function, `vma` has the operations `O`, and the
    // mmap lock is held for writing. Its data is live. Sleeping is allowed in this callback.
    match O::mremap(unsafe { DriverVmaUnderMmap::from_raw(vma) }) {
        Ok(()) => 0,
        Err(err) => err.to_errno(),
    }
}

/// `vm_operations_struct::mprotect`.
///
/// # Safety
///
/// `vma` must be a VMA with these operations, with the mmap lock held for writing.
pub(super) unsafe extern "C" fn mprotect<O: VmOperations>(
    vma: *mut bindings::vm_area_struct,
    start: usize,
    end: usize,
    flags: usize,
) -> c_int {
    // SAFETY: By the safety requirements of this function, `vma` is valid, and the mmap lock is
    // held for writing, so no other thread writes the field.
    if unsafe { live_word(vma) }.is_none() {
        return 0;
    }
    // The kernel passes the first word of the flags, which has all flags that `mprotect` changes.
    let mut new = bindings::vma_flags_t::default();
    new.__vma_flags[0] = flags;
    // SAFETY: By the safety requirements of this function, `vma` has the operations `O`, and the
    // mmap lock is held for writing, so it is stable. Its data is live.
    let vma = unsafe { DriverVmaInfo::from_raw(vma) };
    match O::mprotect(vma, start..end, VmaFlags::from_raw(new)) {
        Ok(()) => 0,
        Err(err) => err.to_errno(),
    }
}

/// `vm_operations_struct::fault`.
///
/// # Safety
///
/// `vmf` must be a fault of a VMA with these operations, which this thread is handling.
pub(super) unsafe extern "C" fn fault<O: VmOperations>(
    vmf: *mut bindings::vm_fault,
) -> bindings::vm_fault_t {
    // SAFETY: By the safety requirements of this function, this thread is handling `vmf`, a fault
    // of a VMA with these operations. The guard is dropped before the lock of the fault.
    let guard = match unsafe { enter_fault::<O>(vmf) } {
        Ok(guard) => guard,
        Err(err) => return err.into_raw(),
    };
    // SAFETY: By the safety requirements of this function, `vmf` is a fault, so it is not null.
    let vmf = unsafe { NonNull::new_unchecked(vmf) };
    // SAFETY: By the safety requirements of this function, this thread is handling `vmf` in a
    // `fault` of a VMA with the operations `O`. `enter_fault` has checked that its data is live.
    let context = unsafe { Fault::<O>::from_raw(vmf) };
    let pgoff = context.pgoff();
    // SAFETY: The VMA of a fault has the operations `O` and is locked at least for reading, and its
    // data is live.
    if let Err(err) = unsafe { may_map::<O>(context.vma().as_ptr(), pgoff..pgoff + 1) } {
        return FaultError::from(err).into_raw();
    }
    let answer = O::fault(&context);
    match answer {
        Ok(answer) => {
            // If there is a revocation, map the page before the guard is dropped: `revoke` then
            // either finds the page, or has made `enter_fault` refuse the fault.
            let insert = guard.is_some();
            if answer.is_retry() {
                // The guard borrows from the file, which may be released as soon as the lock is
                // dropped.
                drop(guard);
            }
            // SAFETY:
            // - `answer` is the answer to `vmf`, which this thread is handling. It is a page only
            //   if the memory is `Paged`, and then the VMA is not a PFNMAP one.
            // - The kernel gets the code next. The driver's `fault` has returned, and nothing here
            //   uses the VMA any longer.
            unsafe { answer.act(vmf, insert) }
        }
        Err(err) => err.into_raw(),
    }
}

/// `vm_operations_struct::map_pages`.
///
/// # Safety
///
/// - `vmf` must be a fault of a VMA with these operations, which this thread is handling, under the
///   RCU read lock.
/// - The page offsets must be those of addresses in the VMA, all in the page table that maps the
///   address of the fault.
pub(super) unsafe extern "C" fn map_pages<O: VmOperations>(
    vmf: *mut bindings::vm_fault,
    first_pgoff: usize,
    last_pgoff: usize,
) -> bindings::vm_fault_t {
    // If anything is wrong, map nothing: the kernel calls `fault` next, which returns the error.
    //
    // SAFETY: By the safety requirements of this function, this thread is handling `vmf`, a fault
    // of a VMA with these operations. `_guard` is dropped before the lock of the fault.
    let Ok(_guard) = (unsafe { enter_fault::<O>(vmf) }) else {
        return 0;
    };
    // This does not saturate: no mapping has the last of all page offsets.
    let pgoffs = first_pgoff..last_pgoff.saturating_add(1);
    // SAFETY: By the safety requirements of this function, `vmf` is not null, and this thread is
    // handling it in `map_pages`, with these page offsets, of a VMA with the operations `O`.
    // `enter_fault` has checked that its data is live.
    let context = unsafe { FaultAround::<O>::from_raw(NonNull::new_unchecked(vmf), pgoffs) };
    // Map all of the pages or none. If none, the kernel calls `fault` for each of them.
    //
    // SAFETY: The VMA of a fault has the operations `O` and is locked at least for reading, and its
    // data is live.
    if unsafe { may_map::<O>(context.vma().as_ptr(), context.pgoffs()) }.is_err() {
        return 0;
    }
    O::map_pages(&context);
    match context.is_done() {
        true => bindings::vm_fault_reason_VM_FAULT_NOPAGE,
        false => 0,
    }
}

/// `vm_operations_struct::map_pages` of a driver that does not implement it, which maps nothing.
///
/// The kernel handles faults under the VMA lock only if the table has `map_pages`. It takes that
/// for a promise that no callback needs more than this lock, which all callbacks of the layer keep.
///
/// # Safety
///
/// There are no requirements: the arguments are not used.
pub(super) unsafe extern "C" fn map_no_pages(
    _vmf: *mut bindings::vm_fault,
    _start_pgoff: usize,
    _end_pgoff: usize,
) -> bindings::vm_fault_t {
    0
}

/// Calls `handler` for a fault, unless the VMA has no live data or its memory is revoked.
///
/// A revocation waits until the handler has returned.
///
/// # Safety
///
/// `vmf` must be a fault of a VMA with these operations, which this thread is handling.
#[inline]
unsafe fn handle<O: VmOperations>(
    vmf: *mut bindings::vm_fault,
    handler: impl FnOnce(NonNull<bindings::vm_fault>) -> Result<bindings::vm_fault_t, FaultError>,
) -> bindings::vm_fault_t {
    // SAFETY: By the safety requirements of this function, this thread is handling `vmf`, a fault
    // of a VMA with these operations. `_guard` is dropped before the lock of the fault.
    let _guard = match unsafe { enter_fault::<O>(vmf) } {
        Ok(guard) => guard,
        Err(err) => return err.into_raw(),
    };
    // SAFETY: By the safety requirements of this function, `vmf` is a fault, so it is not null.
    handler(unsafe { NonNull::new_unchecked(vmf) }).unwrap_or_else(FaultError::into_raw)
}

/// `vm_operations_struct::huge_fault`.
///
/// # Safety
///
/// `vmf` must be a fault of a VMA with these operations, which this thread is handling.
pub(super) unsafe extern "C" fn huge_fault<O: VmOperations>(
    vmf: *mut bindings::vm_fault,
    order: c_uint,
) -> bindings::vm_fault_t {
    let fallback = bindings::vm_fault_reason_VM_FAULT_FALLBACK;
    let Some(order) = HugeOrder::from_raw(order) else {
        return fallback;
    };
    let handler = |vmf| {
        // SAFETY: By the safety requirements of `huge_fault`, this thread is handling `vmf`, a
        // fault of a VMA with the operations `O`, for which the kernel passed this order. `handle`
        // has checked that its data is live.
        let context = unsafe { HugeFault::<O>::from_raw(vmf, order) };
        // If the leaf would not fit into the VMA, nothing can be inserted.
        if let Some(pgoffs) = context.pgoff_range() {
            // SAFETY: The VMA of a fault has the operations `O` and is locked at least for reading,
            // and its data is live.
            if unsafe { may_map::<O>(context.vma().as_ptr(), pgoffs) }.is_err() {
                return Ok(fallback);
            }
        }
        let answer = O::huge_fault(&context)?;
        Ok(match answer {
            HugeAnswer::Inserted(_) => bindings::vm_fault_reason_VM_FAULT_NOPAGE,
            HugeAnswer::Fallback => fallback,
        })
    };
    // SAFETY: By the safety requirements of this function, this thread is handling `vmf`, a fault
    // of a VMA with these operations.
    unsafe { handle::<O>(vmf, handler) }
}

/// `vm_operations_struct::page_mkwrite`.
///
/// If the page is unmapped after this has returned, the kernel does not make it writable: it
/// compares the entry, under the lock of the page table.
///
/// # Safety
///
/// `vmf` must be a fault of a VMA with these operations, which this thread is handling, with a page
/// that has a reference and is not locked by this thread.
pub(super) unsafe extern "C" fn page_mkwrite<O: VmOperations>(
    vmf: *mut bindings::vm_fault,
) -> bindings::vm_fault_t {
    let handler = |vmf| {
        // SAFETY: By the safety requirements of `page_mkwrite`, this thread is handling `vmf` in a
        // `page_mkwrite` of a VMA with the operations `O`. `handle` has checked that its data is
        // live.
        let context = unsafe { MkwriteFault::<O>::from_raw(vmf) };
        let code = O::page_mkwrite(&context).map(MkwriteAnswer::into_raw);
        context.unlock_leaked();
        code
    };
    // SAFETY: By the safety requirements of this function, this thread is handling `vmf`, a fault
    // of a VMA with these operations.
    unsafe { handle::<O>(vmf, handler) }
}

/// `vm_operations_struct::pfn_mkwrite`.
///
/// As with [`page_mkwrite`], the kernel compares the entry before it makes it writable.
///
/// # Safety
///
/// `vmf` must be a fault of a VMA with these operations, which this thread is handling.
pub(super) unsafe extern "C" fn pfn_mkwrite<O: VmOperations>(
    vmf: *mut bindings::vm_fault,
) -> bindings::vm_fault_t {
    let handler = |vmf| {
        // SAFETY: By the safety requirements of `pfn_mkwrite`, this thread is handling `vmf` in a
        // `pfn_mkwrite` of a VMA with the operations `O`. `handle` has checked that its data is
        // live.
        let context = unsafe { PfnMkwriteFault::<O>::from_raw(vmf) };
        O::pfn_mkwrite(&context)?;
        Ok(0)
    };
    // SAFETY: By the safety requirements of this function, this thread is handling `vmf`, a fault
    // of a VMA with these operations.
    unsafe { handle::<O>(vmf, handler) }
}

/// What the kernel asks `vm_operations_struct::access` for.
struct AccessRequest {
    len: usize,
    /// The page offsets of the pages that the request is about.
    pgoffs: Range<usize>,
}

/// Checks a request to access the memory of a VMA.
///
/// Returns [`None`] if the VMA has no live data, the request is empty, or the kernel would not let
/// a debugger access memory of its own like this.
///
/// # Safety
///
/// `vma` must be a VMA with the operations of a driver, and this thread must hold the mmap lock.
unsafe fn access_request(
    vma: *mut bindings::vm_area_struct,
    addr: usize,
    len: c_int,
    write: c_int,
) -> Option<AccessRequest> {
    // SAFETY: By the safety requirements of this function, `vma` is valid, and this thread holds
    // the mmap lock, so no other thread writes the field.
    unsafe { live_word(vma) }?;
    // SAFETY: By the safety requirements of this function, this thread holds the mmap lock.
    let vma = unsafe { VmaUnderMmap::from_raw(vma) };
    // The kernel may ask for more than what is left of the VMA.
    let room = vma.end().saturating_sub(addr);
    let len = usize::try_from(len).unwrap_or(0).min(room);
    if len == 0 || addr < vma.start() || !is_permitted(vma.stable().flags(), write != 0) {
        return None;
    }
    // The first and the last byte are both in the VMA.
    let first = vma.pgoff() + ((addr - vma.start()) >> PAGE_SHIFT);
    let last = vma.pgoff() + ((addr + len - 1 - vma.start()) >> PAGE_SHIFT);
    Some(AccessRequest {
        len,
        pgoffs: first..last + 1,
    })
}

/// Returns the buffer of a request to access the memory of a VMA.
///
/// # Safety
///
/// `buf` must be valid for `len` bytes, which must be initialised if `write` is not zero. Nothing
/// else may access them during `'a`.
unsafe fn access_buffer<'a>(buf: *mut c_void, len: usize, write: c_int) -> Access<'a> {
    if write != 0 {
        // SAFETY: By the safety requirements of this function, `buf` is valid for `len` bytes,
        // which are initialised, and which nothing else accesses.
        return Access::Write(unsafe { slice::from_raw_parts(buf.cast(), len) });
    }
    // The driver may copy less than it returns, and the debugger gets what is in the buffer.
    //
    // SAFETY: By the safety requirements of this function, `buf` is valid for `len` bytes, which
    // nothing else accesses.
    unsafe { ptr::write_bytes(buf.cast::<u8>(), 0, len) };
    // SAFETY: `buf` is valid for `len` bytes, which nothing else accesses, and which were just
    // initialised.
    Access::Read(unsafe { slice::from_raw_parts_mut(buf.cast(), len) })
}

/// `vm_operations_struct::access`.
///
/// # Safety
///
/// - `vma` must be a VMA with these operations, and this thread must hold the mmap lock.
/// - `buf` must be valid for `len` bytes, which must be initialised if `write` is not zero. No
///   other thread may access them during the call.
pub(super) unsafe extern "C" fn access<O: VmOperations>(
    vma: *mut bindings::vm_area_struct,
    addr: usize,
    buf: *mut c_void,
    len: c_int,
    write: c_int,
) -> c_int {
    // SAFETY: By the safety requirements of this function, `vma` has a driver's operations, and
    // this thread holds the mmap lock.
    let Some(request) = (unsafe { access_request(vma, addr, len, write) }) else {
        return EFAULT.to_errno();
    };
    // SAFETY: By the safety requirements of this function, `vma` has the operations `O`, and this
    // thread holds the mmap lock. Its data is live. Sleeping is allowed in this callback.
    let vma = unsafe { DriverVmaUnderMmap::<O>::from_raw(vma) };
    // SAFETY: `vm_file` is the file of a VMA with the operations `O`, which keeps it open and is
    // locked during the call.
    let Ok(_guard) = (unsafe { enter::<O>((*vma.as_ptr()).vm_file) }) else {
        return EFAULT.to_errno();
    };
    // SAFETY: `vma` has the operations `O`, and its data is live. The mmap lock is held.
    if unsafe { may_map::<O>(vma.as_ptr(), request.pgoffs) }.is_err() {
        return EFAULT.to_errno();
    }
    // SAFETY: By the safety requirements of this function, `buf` is valid for at least as many
    // bytes, which are initialised if this is a write, and nothing else accesses them.
    let access = unsafe { access_buffer(buf, request.len, write) };
    match O::access(vma, addr, access) {
        // C subtracts the result from the remaining length, without a check. `len` fits: it was a
        // `c_int` before.
        Ok(done) => done.min(request.len) as c_int,
        Err(err) => err.to_errno(),
    }
}

/// `vm_operations_struct::name`.
///
/// # Safety
///
/// There are no requirements: the argument is not used.
pub(super) unsafe extern "C" fn name<O: VmOperations>(
    _vma: *mut bindings::vm_area_struct,
) -> *const c_char {
    match O::NAME {
        Some(name) => crate::str::as_char_ptr_in_const_context(name),
        None => ptr::null(),
    }
}

/// `vm_operations_struct::pagesize`.
///
/// # Safety
///
/// There are no requirements: the argument is not used.
pub(super) unsafe extern "C" fn pagesize<O: VmOperations>(
    _vma: *mut bindings::vm_area_struct,
) -> usize {
    match O::PAGESIZE {
        MmuPageSize::Base => crate::page::PAGE_SIZE,
        MmuPageSize::Pmd => HugeOrder::Pmd.len(),
        MmuPageSize::Pud => HugeOrder::Pud.len(),
    }
}
