// SPDX-License-Identifier: GPL-2.0

//! What the kernel calls: functions that turn its arguments into contexts, and answers into codes.
//!
//! Every one of them relies on being called for a VMA that has the private data of `O`. Nobody else
//! can know the functions: they are in tables that only [`with_ops`] gives to a mapping, together
//! with the data. A stacked file system may have copied the table, but then the data with it.
//!
//! A VMA whose private data is not live answers by itself. That is one whose `mapped` has failed
//! and that could not be unmapped.
//!
//! [`with_ops`]: crate::mm::desc::VmaDesc::with_ops

use super::{
    access::{
        is_permitted,
        Access, //
    },
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
        revoke::RevocationGuard, //
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

/// Returns the private data of a VMA if it is live.
///
/// # Safety
///
/// The VMA must be alive, and nobody may write the field meanwhile.
#[inline]
unsafe fn live_word(vma: *mut bindings::vm_area_struct) -> Option<*mut c_void> {
    // SAFETY: As the caller promises.
    let word = unsafe { (*vma).vm_private_data };
    data::is_live(word).then_some(word)
}

/// Asks the driver about pages of a VMA, if it wants to be asked: the VMA may have grown since its hook
/// was called.
///
/// To be called before pages can be inserted. What is mapped was asked about then, and cannot become
/// writable if that was not asked about, so the first write to a page needs no call.
///
/// # Errors
///
/// What the driver says.
///
/// # Safety
///
/// `vma` must be a VMA with these operations and live data, and be locked at least for reading.
#[inline]
unsafe fn may_map<O: VmOperations>(
    vma: *const bindings::vm_area_struct,
    pgoffs: Range<usize>,
) -> Result {
    if !O::HAS_MAY_MAP {
        return Ok(());
    }
    // SAFETY: The caller's promise.
    let vma = unsafe { DriverVmaInfo::<O>::from_raw(vma) };
    // SAFETY: The VMA is locked. Its word is the device's pointer: a table with `may_map` is one of
    // `PerFile` data (`VmOpsTable::new`). The VMA keeps the file open.
    let device = unsafe {
        <<O::File as MapFile>::Ptr as ForeignOwnable>::borrow((*vma.as_ptr()).vm_private_data)
    };
    O::may_map(device, pgoffs, vma.flags().is_shared_maywrite())
}

/// Begins to handle a fault: enters the section that a revocation of the memory waits for.
///
/// # Errors
///
/// [`FaultError::SigBus`] if the VMA has no live data, or its memory is revoked.
///
/// # Safety
///
/// `vmf` must be a fault of a VMA with these operations, which this thread is handling. The result must
/// be dropped before the lock of the fault is.
#[inline]
unsafe fn enter_fault<'a, O: VmOperations>(
    vmf: *mut bindings::vm_fault,
) -> Result<Option<RevocationGuard<'a>>, FaultError> {
    // SAFETY: The caller promises a fault that is being handled.
    let vma = unsafe { (*vmf).__bindgen_anon_1.vma };
    // SAFETY: The VMA is locked at least for reading, and the field is written only when that is not
    // possible.
    unsafe { live_word(vma) }.ok_or(FaultError::SigBus)?;
    // SAFETY: The VMA, which is locked, keeps its file open.
    Ok(unsafe { enter::<O>((*vma).vm_file) }?)
}

/// `vm_operations_struct::mapped`.
///
/// # Safety
///
/// `private` must point to a copy of the private data of a VMA with these operations, of which `mapped`
/// was not called, as `call_vma_mapped` has it; `file` must be the file that the VMA maps.
pub(super) unsafe extern "C" fn mapped<O: VmOperations>(
    start: usize,
    end: usize,
    pgoff: usize,
    file: *const bindings::file,
    private: *mut *mut c_void,
) -> c_int {
    // SAFETY: C gives a pointer to a copy of the VMA's private data. It is what the hook left.
    let old = unsafe { *private };
    let device = data::device(old);

    // The memory may have been populated already. If it was revoked before this, user space could have
    // accessed it; if it is after this, then the VMA is found and its entries are zapped. Before the
    // driver is called, since it is never called back for a mapping that fails.
    //
    // SAFETY: C gives the file that the VMA maps, which keeps it open.
    if let Err(err) = unsafe { enter::<O>(file) } {
        return err.to_errno();
    }

    let made = if O::HAS_MAPPED {
        let area = MappedArea {
            range: start..end,
            pgoff,
        };
        // SAFETY: It is the device's pointer, from `into_foreign` when the file was opened. The file is
        // kept open by the VMA.
        let device_ref = unsafe { <<O::File as MapFile>::Ptr as ForeignOwnable>::borrow(device) };
        O::mapped(device_ref, &area).map(|data| data.into_word(device))
    } else {
        // A table without `mapped` is one without data of the VMA: the word is the device's.
        Ok(device)
    };
    let word = match made {
        Ok(word) => word,
        Err(err) => return err.to_errno(),
    };
    if !data::is_live(word) {
        // The data has no size, and `FOREIGN_ALIGN` is not true for it.
        //
        // SAFETY: Nobody else has the word, which is from `into_word`, and C does not store it if this
        // fails.
        unsafe { O::Data::release(word) };
        return EINVAL.to_errno();
    }

    // SAFETY: C gives a pointer to a copy of the word. From here on the VMA owns what it stands for.
    unsafe { *private = word };
    0
}

/// `vm_operations_struct::open`.
///
/// # Safety
///
/// `vma` must be a copy of a VMA with these operations that nobody has access to yet, with the mmap lock
/// held for writing.
pub(super) unsafe extern "C" fn open<O: VmOperations>(vma: *mut bindings::vm_area_struct) {
    // SAFETY: The VMA is new, and nobody else has it yet. Its word is a copy of another VMA's.
    let Some(word) = (unsafe { live_word(vma) }) else {
        return;
    };
    // SAFETY: The other VMA has the word and is not closed meanwhile: the mmap lock is held for
    // writing. The copy is replaced by what belongs to this VMA.
    unsafe { (*vma).vm_private_data = O::Data::duplicate(word) };
    // Where nothing is duplicated, there is no `open` either.
    if O::HAS_OPEN && !O::Data::UNIQUE {
        // SAFETY: The VMA is new, so it does not change. Its word is live now.
        O::open(unsafe { DriverVmaInfo::from_raw(vma) });
    }
}

/// `vm_operations_struct::close`.
///
/// # Safety
///
/// `vma` must be a VMA with these operations that nobody else has access to any more.
pub(super) unsafe extern "C" fn close<O: VmOperations>(vma: *mut bindings::vm_area_struct) {
    // SAFETY: The VMA is going away, and nobody else has it any more.
    let Some(word) = (unsafe { live_word(vma) }) else {
        return;
    };
    if O::HAS_CLOSE {
        // SAFETY: The VMA does not change any more, and its word is live.
        O::close(unsafe { DriverVmaInfo::from_raw(vma) });
    }
    // SAFETY: Nobody else has the VMA, and with the word taken out, nobody gives it up again.
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
    // SAFETY: The mmap lock is held for writing.
    if unsafe { live_word(vma) }.is_none() {
        return 0;
    }
    // SAFETY: The mmap lock is held for writing, the word is live, and sleeping is allowed.
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
        // The pages are moved back, and the new VMA, whose word `open` has made null, is closed.
        return EINVAL.to_errno();
    }
    // SAFETY: The mmap lock is held for writing.
    if unsafe { live_word(vma) }.is_none() {
        return 0;
    }
    // SAFETY: The mmap lock is held for writing, the word is live, and sleeping is allowed.
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
    // SAFETY: The mmap lock is held for writing.
    if unsafe { live_word(vma) }.is_none() {
        return 0;
    }
    // The kernel gives the first word of the flags; those of the others do not change.
    let mut new = bindings::vma_flags_t::default();
    new.__vma_flags[0] = flags;
    // SAFETY: As above, and the word is live.
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
    // SAFETY: C gives a fault of such a VMA, which is being handled on this thread.
    let guard = match unsafe { enter_fault::<O>(vmf) } {
        Ok(guard) => guard,
        Err(err) => return err.into_raw(),
    };
    // SAFETY: A fault that is being handled is not null.
    let vmf = unsafe { NonNull::new_unchecked(vmf) };
    // SAFETY: It is being handled on this thread; the word is live.
    let context = unsafe { Fault::<O>::from_raw(vmf) };
    let pgoff = context.pgoff();
    // SAFETY: The VMA of a fault is locked; the word is live.
    if let Err(err) = unsafe { may_map::<O>(context.vma().as_ptr(), pgoff..pgoff + 1) } {
        return FaultError::from(err).into_raw();
    }
    let answer = O::fault(&context);
    match answer {
        Ok(answer) => {
            // Memory that can be revoked is mapped before the guard is dropped, so that a revocation
            // either finds it or has refused the fault.
            let insert = guard.is_some();
            if answer.is_retry() {
                // It belongs to the file, which may be gone when the lock is.
                drop(guard);
            }
            // SAFETY: The answer is this fault's, and the kernel gets the code. The driver's function
            // has returned, and what was borrowed here is gone if the lock goes.
            unsafe { answer.act(vmf, insert) }
        }
        Err(err) => err.into_raw(),
    }
}

/// `vm_operations_struct::map_pages`.
///
/// # Safety
///
/// `vmf` must be a fault of a VMA with these operations, which this thread is handling, under RCU, and
/// the page offsets those of addresses in the VMA and in the page table of the fault.
pub(super) unsafe extern "C" fn map_pages<O: VmOperations>(
    vmf: *mut bindings::vm_fault,
    first_pgoff: usize,
    last_pgoff: usize,
) -> bindings::vm_fault_t {
    // Whatever is wrong, `fault` comes next and says so.
    //
    // SAFETY: C gives a fault of such a VMA, which is being handled on this thread.
    let Ok(_guard) = (unsafe { enter_fault::<O>(vmf) }) else {
        return 0;
    };
    // The last of all page offsets is none that a mapping can have.
    let pgoffs = first_pgoff..last_pgoff.saturating_add(1);
    // SAFETY: It is being handled on this thread, and is not null; the word is live.
    let context = unsafe { FaultAround::<O>::from_raw(NonNull::new_unchecked(vmf), pgoffs) };
    // All of them or none. If it is none, each has a `fault`.
    //
    // SAFETY: The VMA of a fault is locked; the word is live.
    if unsafe { may_map::<O>(context.vma().as_ptr(), context.pgoffs()) }.is_err() {
        return 0;
    }
    O::map_pages(&context);
    match context.is_done() {
        true => bindings::vm_fault_reason_VM_FAULT_NOPAGE,
        false => 0,
    }
}

/// Never maps anything.
///
/// The table has it because a table with `map_pages` gets its faults under the VMA lock. It stands
/// for what holds for all callbacks of the layer: none needs more than that.
///
/// # Safety
///
/// None is needed.
pub(super) unsafe extern "C" fn map_no_pages(
    _vmf: *mut bindings::vm_fault,
    _start_pgoff: usize,
    _end_pgoff: usize,
) -> bindings::vm_fault_t {
    0
}

/// Handles a fault, unless its VMA has no live data, or its memory is taken away. A revocation waits for
/// the handler.
///
/// # Safety
///
/// `vmf` must be a fault of a VMA with these operations, which this thread is handling.
#[inline]
unsafe fn handle<O: VmOperations>(
    vmf: *mut bindings::vm_fault,
    handler: impl FnOnce(NonNull<bindings::vm_fault>) -> Result<bindings::vm_fault_t, FaultError>,
) -> bindings::vm_fault_t {
    // SAFETY: As the caller promises.
    let _guard = match unsafe { enter_fault::<O>(vmf) } {
        Ok(guard) => guard,
        Err(err) => return err.into_raw(),
    };
    // SAFETY: A fault that is being handled is not null.
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
        // SAFETY: As the caller promises; `handle` has seen that the word is live.
        let context = unsafe { HugeFault::<O>::from_raw(vmf, order) };
        // Where the VMA has no room, nothing can be inserted.
        if let Some(pgoffs) = context.pgoff_range() {
            // SAFETY: The VMA of a fault is locked; the word is live.
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
    // SAFETY: As the caller promises.
    unsafe { handle::<O>(vmf, handler) }
}

/// `vm_operations_struct::page_mkwrite`.
///
/// What is taken away after this is not made writable: the kernel looks whether the entry is the same.
///
/// # Safety
///
/// `vmf` must be a fault of a VMA with these operations, which this thread is handling, with a page that
/// has a reference.
pub(super) unsafe extern "C" fn page_mkwrite<O: VmOperations>(
    vmf: *mut bindings::vm_fault,
) -> bindings::vm_fault_t {
    let handler = |vmf| {
        // SAFETY: As the caller promises; `handle` has seen that the word is live.
        let context = unsafe { MkwriteFault::<O>::from_raw(vmf) };
        let code = O::page_mkwrite(&context).map(MkwriteAnswer::into_raw);
        context.unlock_leaked();
        code
    };
    // SAFETY: As the caller promises.
    unsafe { handle::<O>(vmf, handler) }
}

/// `vm_operations_struct::pfn_mkwrite`. As [`page_mkwrite`].
///
/// # Safety
///
/// `vmf` must be a fault of a VMA with these operations, which this thread is handling.
pub(super) unsafe extern "C" fn pfn_mkwrite<O: VmOperations>(
    vmf: *mut bindings::vm_fault,
) -> bindings::vm_fault_t {
    let handler = |vmf| {
        // SAFETY: As the caller promises; `handle` has seen that the word is live.
        let context = unsafe { PfnMkwriteFault::<O>::from_raw(vmf) };
        O::pfn_mkwrite(&context)?;
        Ok(0)
    };
    // SAFETY: As the caller promises.
    unsafe { handle::<O>(vmf, handler) }
}

/// `vm_operations_struct::access`.
///
/// # Safety
///
/// `vma` must be a VMA with these operations, with the mmap lock held; `buf` must be valid for `len` bytes.
pub(super) unsafe extern "C" fn access<O: VmOperations>(
    vma: *mut bindings::vm_area_struct,
    addr: usize,
    buf: *mut c_void,
    len: c_int,
    write: c_int,
) -> c_int {
    // SAFETY: The mmap lock is held for reading.
    if unsafe { live_word(vma) }.is_none() {
        return EFAULT.to_errno();
    }
    // SAFETY: As above, by this thread, and the word is live. Sleeping is allowed.
    let vma = unsafe { DriverVmaUnderMmap::<O>::from_raw(vma) };
    // What is asked for may extend past the VMA.
    let room = vma.end().saturating_sub(addr);
    let len = usize::try_from(len).unwrap_or(0).min(room);
    if len == 0 || addr < vma.start() || !is_permitted(vma.flags(), write != 0) {
        return EFAULT.to_errno();
    }
    // SAFETY: The VMA, which is locked, keeps its file open.
    let Ok(_guard) = (unsafe { enter::<O>((*vma.as_ptr()).vm_file) }) else {
        return EFAULT.to_errno();
    };
    // The address is in the VMA, and so is that of the last byte.
    let first = vma.pgoff() + ((addr - vma.start()) >> PAGE_SHIFT);
    let last = vma.pgoff() + ((addr + len - 1 - vma.start()) >> PAGE_SHIFT);
    // SAFETY: As above; the word is live.
    if unsafe { may_map::<O>(vma.as_ptr(), first..last + 1) }.is_err() {
        return EFAULT.to_errno();
    }
    let access = if write != 0 {
        // SAFETY: C gives a buffer of at least that length, which it has initialised and does not
        // touch meanwhile.
        Access::Write(unsafe { slice::from_raw_parts(buf.cast(), len) })
    } else {
        // The driver may copy less than it says, and what is in the buffer goes to a debugger.
        //
        // SAFETY: C gives a buffer of at least that length, which nobody else uses meanwhile.
        unsafe { ptr::write_bytes(buf.cast::<u8>(), 0, len) };
        // SAFETY: As above, and it was just initialised.
        let bytes = unsafe { slice::from_raw_parts_mut(buf.cast(), len) };
        Access::Read(bytes)
    };
    match O::access(vma, addr, access) {
        // C subtracts this from what is left to do, without a look. The length fits.
        Ok(done) => done.min(len) as c_int,
        Err(err) => err.to_errno(),
    }
}

/// `vm_operations_struct::name`.
///
/// # Safety
///
/// None is needed.
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
/// None is needed.
pub(super) unsafe extern "C" fn pagesize<O: VmOperations>(
    _vma: *mut bindings::vm_area_struct,
) -> usize {
    match O::PAGESIZE {
        MmuPageSize::Base => crate::page::PAGE_SIZE,
        MmuPageSize::Pmd => HugeOrder::Pmd.len(),
        MmuPageSize::Pud => HugeOrder::Pud.len(),
    }
}
