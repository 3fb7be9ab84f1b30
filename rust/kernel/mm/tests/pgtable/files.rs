// SPDX-License-Identifier: GPL-2.0

//! Files for the tests: one that is populated at mmap time, and one whose pages are faulted in.

use crate::{
    fs::File,
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    mm::{
        desc::{
            Mapping,
            VmaDesc, //
        },
        ops::{
            Fault,
            FaultAnswer,
            FaultError,
            Mixed,
            Ordinary,
            PerFile,
            VmOperations, //
        },
        pgtable::PageCounts,
        rmap::AddressSpace,
        Folio,
        KernelPages, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    }, //
};

/// Four pages, the address space with all mappings of them, and a folio.
pub(super) struct Pages {
    pub(super) pages: KernelPages,
    pub(super) space: AddressSpace,
    pub(super) folio: ARef<Folio>,
}

impl Pages {
    pub(super) fn new() -> Result<Arc<Self>> {
        let pages = Self {
            pages: KernelPages::new(4, GFP_KERNEL)?,
            space: AddressSpace::new::<PagesFile>()?,
            folio: Folio::alloc(0, GFP_KERNEL)?,
        };
        Ok(Arc::new(pages, GFP_KERNEL)?)
    }
}

/// A file whose mappings are populated at mmap time.
pub(super) struct PagesFile(pub(super) Arc<Pages>);

#[vtable]
impl MiscDevice for PagesFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn address_space<'a>(this: &'a Self, _file: &'a File) -> &'a AddressSpace {
        &this.0.space
    }

    fn mmap_prepare<'f>(file: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        desc.with_ops::<PagesOps>()?.map_kernel_pages(&file.0.pages)
    }
}

pub(super) struct PagesOps;

#[vtable]
impl VmOperations for PagesOps {
    type File = PagesFile;
    type Data = PerFile;
    type Memory = Mixed;
}

crate::vm_operations!(PagesOps);

/// A file whose pages are all the same folio, which the handler returns after one retry.
pub(super) struct FolioFile(pub(super) Arc<Pages>);

#[vtable]
impl MiscDevice for FolioFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn mmap_prepare<'f>(_file: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        Ok(desc.with_ops::<FolioOps>()?.on_fault())
    }
}

pub(super) struct FolioOps;

#[vtable]
impl VmOperations for FolioOps {
    type File = FolioFile;
    type Data = PerFile;
    type Memory = Ordinary;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        // The handler walks page tables, under the VMA lock or the mmap lock.
        let addr = vmf.address();
        if PageCounts::of(vmf, addr..addr + PAGE_SIZE)?.present != 0 {
            return Err(FaultError::SigBus);
        }
        if let Some(permit) = vmf.may_retry() {
            return Ok(permit.into());
        }
        vmf.return_page(vmf.data().0.folio.clone(), 0)
    }
}

crate::vm_operations!(FolioOps);
