// SPDX-License-Identifier: GPL-2.0

//! Tests of device memory whose driver is unbound.

use super::revocation::access;
use crate::{
    bindings,
    device::Bound,
    error::to_result,
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
            Access,
            DriverVmaUnderMmap,
            Fault,
            FaultAnswer,
            FaultError,
            PerFile,
            Pfn,
            VmOperations, //
        },
        revoke::{
            Claim,
            RevocableMemory,
            Revocation, //
        },
        rmap::AddressSpace,
        testing::{
            UserFile,
            UserMm,
            READ,
            SHARED,
            WRITE, //
        },
        Cache,
        MapFile, //
    },
    page::PAGE_SIZE,
    platform,
    prelude::*,
    str::CString,
    sync::Arc, //
};
use core::{
    ops::Range,
    ptr::{
        self,
        NonNull, //
    }, //
};

mod claim;
#[cfg(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP)]
mod leaves;
mod pieces;
mod ram;

/// A physical address between the RAM of a VM with up to 2 GiB and its devices.
const NOWHERE: u64 = 0xa080_0000;
const NR_PAGES: usize = 1024;
/// A physical address beyond all of that, from which a PUD can map.
#[cfg(CONFIG_X86_64)]
const LARGE: u64 = 1 << 37;
#[cfg(CONFIG_X86_64)]
const LARGE_LEN: u64 = 1 << 30;
#[cfg(not(CONFIG_X86_64))]
const LARGE: u64 = NOWHERE + (1 << 24);
#[cfg(not(CONFIG_X86_64))]
const LARGE_LEN: u64 = PAGE_SIZE as u64;
const NAME: &CStr = c"rust_mm_revocable";

/// What the `probe` of a [`Bench`]'s driver does, and its results.
struct Slot {
    revocation: Arc<Revocation>,
    /// What of the memory to claim, and how, if it is not all as usual.
    part: Option<Part>,
    /// The RAM to use instead, if there is any.
    ram: Option<Arc<ram::FakeRam>>,
    memory: Option<RevocableMemory>,
    /// The address of the string with which the driver has claimed the memory, freed by now.
    name: usize,
    /// The results of three claims that must fail: of the same memory again, of memory that is not
    /// whole pages, and of a resource that does not exist.
    errors: [Result; 3],
}

/// Claims the memory of the device, and records the results in the [`Slot`].
///
/// # Safety
///
/// `pdev` must be the device of a [`Bench`], which is being bound.
unsafe extern "C" fn probe(pdev: *mut bindings::platform_device) -> c_int {
    // SAFETY: By the safety requirements of this function, `pdev` is valid and being bound, and its
    // platform data is a `Slot`, which the `Bench` does not use until the device is bound.
    let (device, slot) = unsafe {
        (
            &*pdev.cast::<platform::Device<Bound>>(),
            &mut *(*pdev).dev.platform_data.cast::<Slot>(),
        )
    };
    let name = match CString::try_from(NAME) {
        Ok(name) => name,
        Err(_) => return ENOMEM.to_errno(),
    };
    slot.name = name.as_char_ptr() as usize;
    let claim = |index| device.map_resource(index, &name, &slot.revocation);
    let memory = match &slot.part {
        None => claim(0),
        Some(part) => part.claim(device, &slot.revocation),
    };
    slot.errors = [
        match &memory {
            Ok(_) => claim(0).map(drop),
            Err(err) => Err(*err),
        },
        claim(1).map(drop),
        claim(3).map(drop),
    ];
    slot.memory = memory.ok();
    if let Some(ram) = &slot.ram {
        slot.memory = ram.memory(device, &slot.revocation).ok();
    }
    0
}

/// Pages of a resource, and their cache mode.
struct Part {
    resource: u32,
    pages: Range<usize>,
    cache: Cache,
}

impl Part {
    /// Claims the resource, and makes the pages mappable.
    fn claim(
        &self,
        device: &platform::Device<Bound>,
        revocation: &Arc<Revocation>,
    ) -> Result<RevocableMemory> {
        let resource = device.resource_by_index(self.resource).ok_or(ENXIO)?;
        let claim = Claim::new(resource, NAME)?;
        let (pages, cache) = (self.pages.clone(), self.cache);
        RevocableMemory::new(device.as_ref(), &claim, pages, cache, revocation)
    }
}

/// A platform device with three resources, which is unplugged when this value is dropped.
///
/// # Invariants
///
/// The device is registered.
struct Plugged(NonNull<bindings::platform_device>);

impl Plugged {
    /// Registers a device, and passes the slot to the driver of that name, if there is one.
    fn new(name: &CStr, slot: *mut Slot) -> Result<Self> {
        let len = NR_PAGES as u64 * PAGE_SIZE as u64;
        let memory = |start, len: u64| bindings::resource {
            start,
            end: start + len - 1,
            flags: bindings::IORESOURCE_MEM as c_ulong,
            ..pin_init::zeroed()
        };
        let resources = [
            memory(NOWHERE, len),
            memory(NOWHERE + len + 16, PAGE_SIZE as u64),
            memory(LARGE, LARGE_LEN),
        ];
        // SAFETY: The name is a valid C string, which the function copies.
        let device = unsafe { bindings::platform_device_alloc(name.as_char_ptr(), -1) };
        let device = NonNull::new(device).ok_or(ENOMEM)?;
        // SAFETY:
        // - The device is valid. Until it is added, no other thread uses it.
        // - The resources are valid, and the function copies them.
        // - If a step fails, this drops the reference, and does not use the device afterwards.
        // - The driver's `probe` has returned when this resets the platform data.
        to_result(unsafe {
            (*device.as_ptr()).dev.platform_data = slot.cast();
            let ret =
                bindings::platform_device_add_resources(device.as_ptr(), resources.as_ptr(), 3);
            let ret = match ret {
                0 => bindings::platform_device_add(device.as_ptr()),
                err => err,
            };
            (*device.as_ptr()).dev.platform_data = ptr::null_mut();
            if ret != 0 {
                bindings::platform_device_put(device.as_ptr());
            }
            ret
        })?;
        // INVARIANT: `platform_device_add` has registered the device.
        Ok(Self(device))
    }

    /// Returns the name of the first claim of the device's first resource.
    fn name_of_claim(&self) -> Result<&CStr> {
        // SAFETY: By the type invariants, the device is registered, so its resources are valid.
        // Only the cases claim them, and no case releases a claim meanwhile.
        unsafe {
            let claim = (*(*self.0.as_ptr()).resource).child;
            let name = claim.as_ref().ok_or(ENOENT)?.name;
            Ok(CStr::from_char_ptr(name))
        }
    }
}

impl Drop for Plugged {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the device is registered.
        unsafe { bindings::platform_device_unregister(self.0.as_ptr()) };
    }
}

fn slot_for<T: MapFile>() -> Result<Slot> {
    Ok(Slot {
        revocation: Arc::pin_init(Revocation::new::<T>(), GFP_KERNEL)?,
        part: None,
        ram: None,
        memory: None,
        name: 0,
        errors: [Ok(()); 3],
    })
}

/// Returns the PFN, the protection and the address mask of the leaf that maps an address.
fn leaf(mm: &UserMm, addr: usize) -> Result<(usize, usize, usize)> {
    let guard = mm.current().mmap_read_lock();
    let mut args = bindings::follow_pfnmap_args {
        vma: guard.vma_lookup(addr).ok_or(EFAULT)?.as_ptr(),
        address: addr,
        ..Default::default()
    };
    // SAFETY: The guard holds the mmap lock, and the address is in the VMA.
    to_result(unsafe { bindings::follow_pfnmap_start(&mut args) })?;
    let found = (args.pfn, args.pgprot.pgprot, args.addr_mask);
    // SAFETY: The walk has been started.
    unsafe { bindings::follow_pfnmap_end(&mut args) };
    Ok(found)
}

/// Returns whether the memory is unclaimed.
fn is_free() -> bool {
    // SAFETY: `iomem_resource` is a valid resource, and the name is static.
    let claim = unsafe {
        bindings::__request_region(
            &raw mut bindings::iomem_resource,
            NOWHERE,
            PAGE_SIZE as u64,
            NAME.as_char_ptr(),
            0,
        )
    };
    if claim.is_null() {
        return false;
    }
    // SAFETY: The region was claimed above.
    unsafe {
        bindings::__release_region(&raw mut bindings::iomem_resource, NOWHERE, PAGE_SIZE as u64)
    };
    true
}

/// A platform device with a driver.
///
/// # Invariants
///
/// The driver is registered.
struct Bench {
    driver: KBox<bindings::platform_driver>,
    device: Option<Plugged>,
}

impl Bench {
    fn new(slot: &mut Slot) -> Result<Self> {
        let mut driver = KBox::new(pin_init::zeroed::<bindings::platform_driver>(), GFP_KERNEL)?;
        driver.driver.name = NAME.as_char_ptr();
        driver.probe = Some(probe);
        // SAFETY: The driver is in a box, so it does not move, and `Bench` unregisters it before it
        // drops the box. The name is static.
        to_result(unsafe {
            bindings::__platform_driver_register(&mut *driver, ptr::null_mut(), NAME.as_char_ptr())
        })?;
        // INVARIANT: `__platform_driver_register` has registered the driver.
        let mut bench = Bench {
            driver,
            device: None,
        };
        bench.device = Some(Plugged::new(NAME, slot)?);
        Ok(bench)
    }

    /// Unplugs the device, which unbinds the driver.
    fn unplug(&mut self) {
        self.device = None;
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.unplug();
        // SAFETY: By the type invariants, the driver is registered.
        unsafe { bindings::platform_driver_unregister(&mut *self.driver) };
    }
}

struct Device {
    memory: RevocableMemory,
}

impl Device {
    fn access<O: VmOperations<Memory = Pfn>>(
        &self,
        vma: &DriverVmaUnderMmap<O>,
        addr: usize,
        access: Access<'_>,
    ) -> Result<usize> {
        let index = vma.pgoff_at(addr).ok_or(EINVAL)?;
        let outside = vma.access_pfn(vma.end(), self.memory.all(), index, Access::Write(b"x"));
        if outside != Err(EINVAL) {
            return Err(EIO);
        }
        vma.access_pfn(addr, self.memory.all(), index, access)
    }
}

macro_rules! device_file {
    ($file:ident, $ops:ident, { $($space:tt)* }) => {
        struct $file(Arc<Device>);

        #[vtable]
        impl MiscDevice for $file {
            type Ptr = KBox<Self>;

            fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
                Err(ENODEV)
            }

            $($space)*

            fn mmap_prepare<'f>(
                _: &'f Self,
                mut desc: VmaDesc<'f, Self>,
            ) -> Result<Mapping<'f, Self>> {
                desc.deny_cow()?;
                Ok(desc.with_ops::<$ops>()?.on_io_fault(Cache::NonCached))
            }
        }

        struct $ops;

        #[vtable]
        impl VmOperations for $ops {
            type File = $file;
            type Data = PerFile;
            type Memory = Pfn;

            fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
                let $file(device) = vmf.data();
                Ok(vmf.insert_pfn(device.memory.all(), vmf.pgoff())?.into())
            }

            fn access(
                vma: &DriverVmaUnderMmap<Self>,
                addr: usize,
                access: Access<'_>,
            ) -> Result<usize> {
                let $file(device) = vma.data();
                device.access(vma, addr, access)
            }
        }

        crate::vm_operations!($ops);
    };
}

device_file!(DeviceFile, DeviceOps, {
    fn address_space<'a>(this: &'a Self, _file: &'a File) -> &'a AddressSpace {
        this.0.memory.revocation().address_space()
    }
});
// A revocation would not find the mappings of this file: it does not use the address space.
device_file!(StrayFile, StrayOps, {});

#[kunit_tests(rust_mm_revocable)]
mod cases {
    use super::*;

    const LEN: usize = 4 * PAGE_SIZE;

    fn bound() -> Result<(Bench, Slot)> {
        let mut slot = slot()?;
        let bench = Bench::new(&mut slot)?;
        Ok((bench, slot))
    }

    fn slot() -> Result<Slot> {
        slot_for::<DeviceFile>()
    }

    fn device() -> Result<(Bench, Arc<Device>)> {
        let (bench, slot) = bound()?;
        let device = Device {
            memory: slot.memory.ok_or(ENODEV)?,
        };
        Ok((bench, Arc::new(device, GFP_KERNEL)?))
    }

    fn open<'mm>(mm: &'mm UserMm, device: &Arc<Device>) -> Result<UserFile<'mm>> {
        mm.open::<DeviceFile>(KBox::new(DeviceFile(device.clone()), GFP_KERNEL)?)
    }

    #[test]
    fn claims() -> Result {
        let (mut bench, slot) = bound()?;
        assert_eq!(slot.errors, [Err(EBUSY), Err(EINVAL), Err(EINVAL)]);
        let memory = slot.memory.ok_or(ENODEV)?;
        let nr = NR_PAGES;
        assert_eq!(memory.nr_pages(), nr);
        assert!(memory.slice(1, nr - 1).is_ok());
        assert!(memory.slice(1, nr).is_err_and(|err| err == EINVAL));
        assert!(ptr::eq(memory.revocation(), &*slot.revocation));
        assert!(!is_free() && !memory.revocation().is_revoked());
        let claim = bench.device.as_ref().ok_or(ENODEV)?.name_of_claim()?;
        assert!(claim == NAME && claim.as_char_ptr() as usize != slot.name);

        bench.unplug();
        assert!(is_free() && memory.revocation().is_revoked());

        // A revocation that has been used for one device cannot be used for the next.
        drop(bench);
        let mut slot = Slot {
            revocation: slot.revocation,
            ..self::slot()?
        };
        let _bench = Bench::new(&mut slot)?;
        assert_eq!(slot.errors[0], Err(ENODEV));
        assert!(is_free());
        Ok(())
    }

    /// The PFNs of a part are those of its pages, and others are refused.
    #[test]
    fn parts() -> Result {
        let bound = |pages: Range<usize>| {
            let part = Some(Part {
                resource: 0,
                pages,
                cache: Cache::NonCached,
            });
            let mut slot = Slot { part, ..slot()? };
            let bench = Bench::new(&mut slot)?;
            Ok::<_, Error>((bench, slot))
        };
        for pages in [
            3..3,
            Range { start: 5, end: 3 },
            NR_PAGES - 1..NR_PAGES + 1,
            NR_PAGES..NR_PAGES + 1,
            0..usize::MAX,
        ] {
            let (_bench, slot) = bound(pages)?;
            assert!(slot.memory.is_none() && slot.errors[0] == Err(EINVAL));
        }
        let (_bench, slot) = bound(3..5)?;
        let memory = slot.memory.ok_or(ENODEV)?;
        assert_eq!(memory.nr_pages(), 2);
        let mm = UserMm::attach()?;
        let file = open(&mm, &Arc::new(Device { memory }, GFP_KERNEL)?)?;
        let addr = file.mmap(3 * PAGE_SIZE, READ, SHARED, 0)?;
        mm.read::<1>(addr)?;
        mm.read::<1>(addr + PAGE_SIZE)?;
        assert_eq!(mm.read::<1>(addr + 2 * PAGE_SIZE), Err(EFAULT));
        let first = NOWHERE as usize / PAGE_SIZE + 3;
        assert_eq!(leaf(&mm, addr)?.0, first);
        assert_eq!(leaf(&mm, addr + PAGE_SIZE)?.0, first + 1);
        mm.munmap(addr, 3 * PAGE_SIZE)
    }

    #[test]
    fn nothing_of_another_device() -> Result {
        // Another device with the same addresses; the kernel inserts the later resource as the
        // parent.
        let other = Plugged::new(c"rust_mm_other", ptr::null_mut())?;
        let (bench, slot) = bound()?;
        assert!(slot.memory.is_none());
        assert_eq!(slot.errors[0], Err(EBUSY));
        assert!(is_free());

        // Without the other device, the claim succeeds. Unplug the inner device first: removing the
        // outer one would remove the resources within it, too (`platform_device_del()`), and the
        // inner device would then use a parent that is gone.
        drop(other);
        drop(bench);
        let (_bench, slot) = bound()?;
        assert!(slot.memory.is_some());
        Ok(())
    }

    #[test]
    fn unplugged_while_mapped() -> Result {
        let mm = UserMm::attach()?;
        let (mut bench, device) = device()?;
        let file = open(&mm, &device)?;
        let addr = file.mmap(LEN, READ, SHARED, 1)?;
        mm.read::<1>(addr)?;
        {
            let vma = mm
                .current()
                .lock_driver_vma::<DeviceOps>(addr)
                .ok_or(ESRCH)?;
            vma.insert_pfn(addr + PAGE_SIZE, device.memory.slice(2, 1)?, 0)?;
            let beyond = device.memory.slice(2, 1)?;
            assert_eq!(vma.insert_pfn(addr + PAGE_SIZE, beyond, 1), Err(EINVAL));
            vma.insert_pfns(addr + 2 * PAGE_SIZE, device.memory.slice(3, 2)?)?;
        }
        mm.read::<1>(addr + PAGE_SIZE)?;

        // The driver can restore what it has revoked.
        device.memory.revocation().revoke();
        assert_eq!(mm.read::<1>(addr), Err(EFAULT));
        device.memory.revocation().restore();
        mm.read::<1>(addr)?;

        // After the driver is unbound, it cannot restore the memory.
        bench.unplug();
        device.memory.revocation().restore();
        for page in 0..4 {
            assert_eq!(mm.read::<1>(addr + page * PAGE_SIZE), Err(EFAULT));
        }
        {
            let vma = mm
                .current()
                .lock_driver_vma::<DeviceOps>(addr)
                .ok_or(ESRCH)?;
            let all = device.memory.all();
            assert_eq!(vma.insert_pfn(addr, all, 1), Err(ENODEV));
            assert_eq!(
                vma.insert_pfns(addr, device.memory.slice(1, 1)?),
                Err(ENODEV)
            );
        }
        mm.munmap(addr, LEN)?;

        // An open file of the old device does not keep the driver from being bound again.
        drop(bench);
        let (_bench, again) = self::device()?;
        assert!(!again.memory.revocation().is_revoked());
        let addr = open(&mm, &again)?.mmap(LEN, READ, SHARED, 0)?;
        mm.read::<1>(addr)?;
        mm.munmap(addr, LEN)
    }

    /// A debugger accesses pages that are not mapped, unless they do not exist or are revoked.
    #[test]
    fn access_to_what_is_not_mapped() -> Result {
        let mm = UserMm::attach()?;
        let (mut bench, device) = device()?;
        let file = open(&mm, &device)?;
        let stray = mm.open::<StrayFile>(KBox::new(StrayFile(device.clone()), GFP_KERNEL)?)?;
        // The second page is past the end of the memory.
        let addr = file.mmap(2 * PAGE_SIZE, READ | WRITE, SHARED, NR_PAGES - 1)?;
        let last = addr + PAGE_SIZE - 8;
        let mut buf = [0xa5; 16];
        assert_eq!(access(&mm, addr + 1, &mut buf[..7], false), 7);
        assert_eq!(buf[7..], [0xa5; 9]);
        assert_eq!(access(&mm, last, &mut buf, false), 8);
        assert_eq!(access(&mm, last, &mut buf, true), 8);
        assert_eq!(access(&mm, addr + PAGE_SIZE, &mut buf, false), 0);
        // A revocation would not find a mapping of this file.
        let strayed = stray.mmap(PAGE_SIZE, READ, SHARED, 0)?;
        assert_eq!(access(&mm, strayed, &mut buf, false), 0);

        device.memory.revocation().revoke();
        assert_eq!(access(&mm, addr, &mut buf, false), 0);
        device.memory.revocation().restore();
        assert_eq!(access(&mm, addr, &mut buf, false), 16);
        bench.unplug();
        assert_eq!(access(&mm, addr, &mut buf, false), 0);
        mm.munmap(strayed, PAGE_SIZE)?;
        mm.munmap(addr, 2 * PAGE_SIZE)
    }

    #[test]
    fn mapping_that_would_not_be_found() -> Result {
        let mm = UserMm::attach()?;
        let (_bench, device) = device()?;
        let file = mm.open::<StrayFile>(KBox::new(StrayFile(device.clone()), GFP_KERNEL)?)?;
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        assert_eq!(mm.read::<1>(addr), Err(EFAULT));
        {
            let vma = mm
                .current()
                .lock_driver_vma::<StrayOps>(addr)
                .ok_or(ESRCH)?;
            assert_eq!(vma.insert_pfn(addr, device.memory.all(), 0), Err(EINVAL));
            let one = device.memory.slice(0, 1)?;
            assert_eq!(vma.insert_pfns(addr, one), Err(EINVAL));
        }
        assert_eq!(mm.read::<1>(addr), Err(EFAULT));
        mm.munmap(addr, LEN)
    }
}
