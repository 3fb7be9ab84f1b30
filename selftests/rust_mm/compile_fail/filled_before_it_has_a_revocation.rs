// SPDX-License-Identifier: GPL-2.0

// A mapping that is filled when it is made, and whose revocation is known only to its data.
// error: E0080
// message: a mapping with data of its own is filled before it has that: `revocation_of_device`

include!("prelude.rs");

use kernel::mm::revoke::Revocation;

struct Dev {
    pages: KernelPages,
    revocation: Pin<KBox<Revocation>>,
}

#[vtable]
impl MiscDevice for Dev {
    type Ptr = Arc<Self>;

    fn open(_: &File, _: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        Err(ENODEV)
    }

    fn mmap_prepare<'f>(
        dev: ArcBorrow<'f, Self>,
        desc: VmaDesc<'f, Self>,
    ) -> Result<Mapping<'f, Self>> {
        desc.with_ops::<Ops>()?
            .map_kernel_pages(&dev.into_ref().pages)
    }
}

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerVma<Arc<Dev>>;
    type Memory = Mixed;

    fn mapped(dev: DeviceRef<'_, Self>, _: &MappedArea) -> Result<PerVma<Arc<Dev>>> {
        Ok(PerVma(dev.into()))
    }

    fn revocation<'a>(dev: &'a DataRef<'_, Self>) -> &'a Revocation {
        &dev.revocation
    }

    #[cfg(twin)]
    fn revocation_of_device<'a>(dev: &'a DeviceRef<'_, Self>) -> &'a Revocation {
        &dev.revocation
    }
}

kernel::vm_operations!(Ops);
