// SPDX-License-Identifier: GPL-2.0

//! Faults that map the page of a slot.

use crate::{
    bindings,
    mm::{
        memory::Slots,
        ops::{
            fault::{
                Context,
                Fault,
                FaultError,
                Inserted, //
            },
            insert,
            Paged,
            VmOperations, //
        }, //
    },
    prelude::*, //
};

impl<O: VmOperations> Context<O> {
    /// Returns whether the file of the VMA has the address space `mapping`, or that is null.
    #[inline]
    pub(super) fn maps(&self, mapping: *mut bindings::address_space) -> bool {
        // SAFETY: By the type invariants, the VMA has the operations of a driver, and the VMA lock
        // or the mmap lock is held. So it has a file, whose `f_mapping` does not change.
        mapping.is_null() || mapping == unsafe { (*(*self.fixed().vma).vm_file).f_mapping }
    }
}

impl<O: VmOperations<Memory: Paged>> Fault<O> {
    /// Maps the page of the slot for this fault, and allocates the page if there is none.
    ///
    /// If the page leaves the slot at the same time, nothing may be mapped: the access then faults
    /// again.
    ///
    /// # Errors
    ///
    /// As [`insert_page`](Self::insert_page), and [`FaultError::SigBus`] if there is no such slot,
    /// or if the file of the VMA does not have the address space `mapping`, unless that is null.
    ///
    /// # Safety
    ///
    /// If pages leave a slot during the call, they must be unmapped from `mapping`, from the page
    /// offset that is the index of the slot.
    #[inline]
    pub(in crate::mm) unsafe fn insert_slot(
        &self,
        slots: &Slots,
        mapping: *mut bindings::address_space,
    ) -> Result<Inserted<'_>, FaultError> {
        let slot = slots.slot(self.pgoff()).ok_or(FaultError::SigBus)?;
        if !self.context.maps(mapping) {
            return Err(FaultError::SigBus);
        }
        // SAFETY:
        // - By the type invariants of the context, this thread is handling the fault, with the VMA
        //   lock or the mmap lock held. With `Paged` memory, the VMA is not a PFNMAP one.
        // - `slot` is for the page offset of the fault. By the safety requirements of this
        //   function, the pages that leave it are unmapped from `mapping`, which is null if there
        //   are none, and otherwise that of the file, as was just checked.
        let try_insert = || unsafe { insert::fault_slot(self.context.vmf, slot) };
        if !try_insert()? {
            // SAFETY: By the type invariants of the context, this thread is handling the fault.
            unsafe { slots.make(slot, self.context.as_ptr()) }?;
            try_insert()?;
        }
        Ok(Inserted::new())
    }
}
