// SPDX-License-Identifier: GPL-2.0

//! Tests of claims in the resource tree, and of the cache mode that is reserved with one.

use super::{
    is_free,
    Claim,
    NAME,
    NOWHERE, //
};
#[cfg(CONFIG_X86_PAT)]
use super::{
    leaf,
    slot_for,
    Bench,
    Cache,
    Device,
    DeviceFile,
    Slot, //
};
use crate::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    io::resource::Resource,
    page::PAGE_SIZE,
    prelude::*, //
};
#[cfg(CONFIG_X86_PAT)]
use crate::{
    mm::testing::{
        UserMm,
        READ,
        SHARED, //
    },
    sync::Arc, //
};

#[kunit_tests(rust_mm_claim)]
mod cases {
    use super::*;

    /// A resource at `NOWHERE`, which the test has put into the tree.
    ///
    /// It is in a box: if the case fails, KUnit ends the thread, and the tree must not refer to its
    /// stack.
    fn resource(parent: *mut bindings::resource, len: u64) -> Result<KBox<bindings::resource>> {
        let mut resource = KBox::new(
            bindings::resource {
                name: NAME.as_char_ptr(),
                start: NOWHERE,
                end: NOWHERE + len - 1,
                flags: bindings::IORESOURCE_MEM as usize,
                ..Default::default()
            },
            GFP_KERNEL,
        )?;
        // SAFETY: Both resources are valid, and the case removes its own at the end.
        to_result(unsafe { bindings::insert_resource(parent, &mut *resource) })?;
        Ok(resource)
    }

    /// Puts a resource into another one, if nothing else is there.
    fn put(parent: *mut bindings::resource, resource: &mut bindings::resource) -> Result {
        // SAFETY: Both are valid. The case removes what it has put into the tree.
        to_result(unsafe { bindings::request_resource(parent, resource) })
    }

    /// Removes a resource from the tree.
    fn remove(resource: *mut bindings::resource) -> Result {
        // SAFETY: The case has put the resource into the tree.
        to_result(unsafe { bindings::remove_resource(resource) })
    }

    fn iomem() -> *mut bindings::resource {
        &raw mut bindings::iomem_resource
    }

    /// The end of a claim frees the region, also if the resource stays in the tree.
    #[test]
    fn end_of_a_claim() -> Result {
        let mut boxed = resource(iomem(), PAGE_SIZE as u64)?;
        let resource: *mut bindings::resource = &mut *boxed;
        // SAFETY: The resource is valid, and the name is static.
        let claim = unsafe { bindings::rust_mem_claim(resource, NAME.as_char_ptr(), false) };
        assert!(from_err_ptr(claim).is_ok() && !is_free());
        // SAFETY: The claim is the one that was just made.
        unsafe { bindings::rust_mem_release(claim) };
        assert!(is_free());
        remove(resource)
    }

    /// A claim of whole pages takes the rest of the last page, or fails if something is there.
    #[test]
    fn rest_of_a_page() -> Result {
        const SMALL: u64 = 256;
        let page = PAGE_SIZE as u64;

        // The window of a bus with two pages, and a device in it.
        let mut boxed = resource(iomem(), 2 * page)?;
        let window: *mut bindings::resource = &mut *boxed;
        let mut small = resource(window, SMALL)?;
        // SAFETY: The case has put both into the tree, and nothing else uses them.
        let wrapped = unsafe { Resource::from_raw(&mut *small) };
        let sixteen_bytes = |start| {
            let resource = bindings::resource {
                name: NAME.as_char_ptr(),
                start,
                end: start + 15,
                flags: bindings::IORESOURCE_MEM as usize,
                ..Default::default()
            };
            KBox::new(resource, GFP_KERNEL)
        };

        assert!(Claim::new(wrapped, NAME).is_err_and(|err| err == EINVAL));
        let claim = Claim::of_whole_pages(wrapped, NAME)?;
        assert_eq!(claim.pfns().nr_pages(), 1);
        // Nothing can be put into the page, and all of the next page is free.
        let mut other = sixteen_bytes(NOWHERE + page - 16)?;
        let mut next = sixteen_bytes(NOWHERE + page)?;
        assert_eq!(put(window, &mut other), Err(EBUSY));
        put(window, &mut next)?;
        remove(&mut *next)?;
        drop(claim);
        put(window, &mut other)?;
        assert!(Claim::of_whole_pages(wrapped, NAME).is_err_and(|err| err == EBUSY));
        remove(&mut *other)?;
        // The window ends with the device, and so within a page.
        //
        // SAFETY: The case has put the window into the tree, and nothing else uses it.
        to_result(unsafe { bindings::adjust_resource(window, NOWHERE, SMALL) })?;
        assert!(Claim::of_whole_pages(wrapped, NAME).is_err_and(|err| err == EBUSY));
        remove(&mut *small)?;
        remove(window)?;
        assert!(is_free());
        // Nothing tells what follows a resource that is in no tree.
        assert!(Claim::of_whole_pages(wrapped, NAME).is_err_and(|err| err == EINVAL));
        assert!(is_free());
        Ok(())
    }

    /// The mode that is reserved is that of the entries, and the reservation ends with the claim.
    #[cfg(CONFIG_X86_PAT)]
    #[test]
    fn write_combined() -> Result {
        const PWT: usize = 1 << 3;
        const PCD: usize = 1 << 4;
        const FIRST: usize = NOWHERE as usize / PAGE_SIZE;
        // SAFETY: There is no RAM at the address.
        let is_reserved = || unsafe { bindings::rust_mem_is_wc(FIRST) };
        let bound = |cache| {
            let mut slot = Slot {
                cache,
                ..slot_for::<DeviceFile>()?
            };
            let bench = Bench::new(&mut slot)?;
            Ok::<_, Error>((bench, slot))
        };

        let mm = UserMm::attach()?;
        for (cache, mode) in [(Cache::NonCached, PCD), (Cache::WriteCombined, PWT)] {
            let (mut bench, slot) = bound(cache)?;
            let memory = slot.memory.ok_or(ENODEV)?;
            assert_eq!(memory.cache(), cache);
            assert_eq!(is_reserved(), cache == Cache::WriteCombined);
            let device = Arc::new(Device { memory }, GFP_KERNEL)?;
            let file = mm.open::<DeviceFile>(KBox::new(DeviceFile(device.clone()), GFP_KERNEL)?)?;
            let addr = file.mmap(2 * PAGE_SIZE, READ, SHARED, 1)?;
            mm.read::<1>(addr + PAGE_SIZE)?;
            let (pfn, prot, _) = leaf(&mm, addr + PAGE_SIZE)?;
            assert_eq!((pfn, prot & (PWT | PCD)), (FIRST + 2, mode));
            bench.unplug();
            assert!(!is_reserved());
            mm.munmap(addr, 2 * PAGE_SIZE)?;
        }

        let (_bench, slot) = bound(Cache::Cached)?;
        assert!(slot.memory.is_none() && slot.errors[0] == Err(EINVAL));
        Ok(())
    }

    /// Another mode that is reserved makes the claim fail.
    #[cfg(CONFIG_X86_PAT)]
    #[test]
    fn write_combined_and_mapped() -> Result {
        // SAFETY: There is no RAM at the address.
        let view = unsafe { bindings::ioremap(NOWHERE + PAGE_SIZE as u64, PAGE_SIZE) };
        assert!(!view.is_null());
        let mut slot = Slot {
            cache: Cache::WriteCombined,
            ..slot_for::<DeviceFile>()?
        };
        let bench = Bench::new(&mut slot)?;
        assert!(slot.memory.is_none());
        assert_eq!(slot.errors[0], Err(EBUSY));
        drop(bench);
        assert!(is_free());
        // SAFETY: The memory was mapped above.
        unsafe { bindings::iounmap(view) };
        let bench = Bench::new(&mut slot)?;
        assert!(slot.memory.is_some());
        drop(bench);
        Ok(())
    }
}
