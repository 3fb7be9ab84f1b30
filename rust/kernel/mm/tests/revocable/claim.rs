// SPDX-License-Identifier: GPL-2.0

//! Tests of claims in the resource tree, and of the cache mode that is reserved with one.

use super::{
    is_free,
    Cache,
    Claim,
    NAME,
    NOWHERE, //
};
#[cfg(CONFIG_X86_PAT)]
use super::{
    leaf,
    slot_for,
    Bench,
    Device,
    DeviceFile,
    Part,
    Slot,
    NR_PAGES, //
};
use crate::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    io::{
        resource::Resource,
        Io, //
    },
    mm::revoke::{
        Share,
        View, //
    },
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
use core::ops::Range;

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

    /// Returns the PFN that the kernel has mapped at one of its addresses.
    fn kernel_pfn(addr: usize) -> Result<usize> {
        let mut level = 0;
        // SAFETY: The caller has mapped the address, and does not unmap it during the call.
        let entry = unsafe { bindings::lookup_address(addr, &mut level).as_ref() };
        let entry = entry.ok_or(EFAULT)?.pte as usize;
        Ok((entry & ((1 << 52) - 1)) / PAGE_SIZE)
    }

    /// Views map what they say, keep the claim, and exclude other modes for their pages.
    #[test]
    fn views() -> Result {
        let mut boxed = resource(iomem(), 3 * PAGE_SIZE as u64)?;
        // SAFETY: The case has put it into the tree, and nothing else uses it.
        let wrapped = unsafe { Resource::from_raw(&mut *boxed) };
        let claim = Claim::new(wrapped, NAME)?;
        let end = 3 * PAGE_SIZE;
        let view = |start, end| View::<0>::new(&claim, Range { start, end });
        let share = |pages, cache| Share::new(&claim, pages, cache);
        for (start, end) in [
            (0, 0),
            (4, 4),
            (2, 6),
            (0, 6),
            (8, 4),
            (0, end + 4),
            (end, end + 4),
        ] {
            assert!(view(start, end).is_err_and(|err| err == EINVAL));
        }
        assert!(View::<16>::new(&claim, 0..8).is_err_and(|err| err == EINVAL));
        assert!(View::<16>::new(&claim, 0..16).is_ok());

        let second = view(PAGE_SIZE + 8, PAGE_SIZE + 16)?;
        assert_eq!(second.addr() & (PAGE_SIZE - 1), 8);
        let first_pfn = NOWHERE as usize / PAGE_SIZE;
        assert_eq!(kernel_pfn(second.addr())?, first_pfn + 1);
        let again = view(PAGE_SIZE, 2 * PAGE_SIZE)?;
        assert!(second.mmio().try_read32(4).is_ok());
        assert!(second.mmio().try_read32(8).is_err());

        let is_busy = |share: Result<Share>| share.is_err_and(|err| err == EBUSY);
        assert!(is_busy(share(0..2, Cache::WriteCombined)));
        let combined = share(0..1, Cache::WriteCombined)?;
        assert!(share(0..1, Cache::WriteCombined).is_ok());
        assert!(is_busy(share(0..2, Cache::NonCached)));
        assert!(share(1..3, Cache::NonCached).is_ok());
        assert!(view(0, 16).is_err_and(|err| err == EBUSY));
        assert!(view(0, end).is_err_and(|err| err == EBUSY));
        drop(combined);
        assert!(view(0, end).is_ok());
        drop(again);
        assert!(is_busy(share(1..2, Cache::WriteCombined)));

        // The view has a share of the claim.
        drop(claim);
        assert!(!is_free());
        drop(second);
        remove(&mut *boxed)?;
        assert!(is_free());
        Ok(())
    }

    /// Returns a device whose memory has a cache mode.
    #[cfg(CONFIG_X86_PAT)]
    fn bound(cache: Cache) -> Result<(Bench, Slot)> {
        let part = Some(Part {
            resource: 0,
            pages: 0..NR_PAGES,
            cache,
        });
        let mut slot = Slot {
            part,
            ..slot_for::<DeviceFile>()?
        };
        let bench = Bench::new(&mut slot)?;
        Ok((bench, slot))
    }

    /// The mode that is reserved is that of the entries, and the reservation ends with the claim.
    #[cfg(CONFIG_X86_PAT)]
    #[test]
    fn write_combined() -> Result {
        const PWT: usize = 1 << 3;
        const PCD: usize = 1 << 4;
        let mm = UserMm::attach()?;
        for (cache, mode) in [
            (Cache::NonCached, PCD),
            (Cache::WriteCombined, PWT),
            (Cache::NonCached, PCD),
        ] {
            let (mut bench, slot) = bound(cache)?;
            let memory = slot.memory.ok_or(ENODEV)?;
            assert_eq!(memory.cache(), cache);
            let device = Arc::new(Device { memory }, GFP_KERNEL)?;
            let file = mm.open::<DeviceFile>(KBox::new(DeviceFile(device), GFP_KERNEL)?)?;
            let addr = file.mmap(2 * PAGE_SIZE, READ, SHARED, 1)?;
            mm.read::<1>(addr + PAGE_SIZE)?;
            let (pfn, prot, _) = leaf(&mm, addr + PAGE_SIZE)?;
            let second = NOWHERE as usize / PAGE_SIZE + 2;
            assert_eq!((pfn, prot & (PWT | PCD)), (second, mode));
            bench.unplug();
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
        let (bench, slot) = bound(Cache::WriteCombined)?;
        assert!(slot.memory.is_none());
        assert_eq!(slot.errors[0], Err(EBUSY));
        drop(bench);
        assert!(is_free());
        // SAFETY: The memory was mapped above.
        unsafe { bindings::iounmap(view) };
        let (_bench, slot) = bound(Cache::WriteCombined)?;
        assert!(slot.memory.is_some());
        Ok(())
    }
}
