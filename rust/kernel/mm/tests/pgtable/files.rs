// SPDX-License-Identifier: GPL-2.0

//! Files to map: one whose pages are there from the beginning, and one with faults.

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
        rmap::AddressSpace,
        Folio,
        KernelPages, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    }, //
};

/// Four pages, and the mm with all mappings of them.
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

/// A file of which all pages are mapped when it is.
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

/// A file whose pages are all the same folio, which comes at the second try.
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
        if let Some(permit) = vmf.may_retry() {
            return Ok(permit.into());
        }
        vmf.return_page(vmf.data().0.folio.clone(), 0)
    }
}

crate::vm_operations!(FolioOps);
