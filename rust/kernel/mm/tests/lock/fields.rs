// SPDX-License-Identifier: GPL-2.0

//! Tests of the rows of the field tables.

use super::*;

/// A device whose mappings have operations.
struct Dev(usize);

#[vtable]
impl MiscDevice for Dev {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn mmap_prepare<'f>(_dev: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        Ok(desc.with_ops::<DevOps>()?.map_nothing())
    }
}

struct DevOps;

#[vtable]
impl VmOperations for DevOps {
    type File = Dev;
    type Data = PerFile;
    type Memory = Ordinary;
}

crate::vm_operations!(DevOps);

struct OtherOps;

#[vtable]
impl VmOperations for OtherOps {
    type File = Dev;
    type Data = PerFile;
    type Memory = Ordinary;
}

crate::vm_operations!(OtherOps);

#[kunit_tests(rust_mm_fields)]
mod cases {
    use super::*;

    #[test]
    fn range_and_pgoff() -> Result {
        let user = UserMm::attach()?;
        let mm = user.current();
        let file = user.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
        let addr = file.mmap(4 * PAGE_SIZE, READ, SHARED, 0)?;

        // A split changes them.
        let mut guard = mm.mmap_write_lock();
        guard.munmap(addr + PAGE_SIZE, PAGE_SIZE)?;
        let layout = |vma: &StableVma| (vma.start() - addr, vma.end() - addr, vma.pgoff());
        assert_eq!(
            guard.vma_lookup(addr).map(|vma| layout(vma)),
            Some((0, PAGE_SIZE, 0))
        );
        let tail = guard
            .vma_lookup(addr + 2 * PAGE_SIZE)
            .map(|vma| layout(vma));
        assert_eq!(tail, Some((2 * PAGE_SIZE, 4 * PAGE_SIZE, 2)));

        assert_eq!(guard.munmap(addr + 1, PAGE_SIZE), Err(EINVAL));
        assert_eq!(guard.munmap(addr, 0), Err(EINVAL));
        assert_eq!(guard.munmap(addr, usize::MAX), Err(EINVAL));
        guard.munmap(addr + PAGE_SIZE, PAGE_SIZE)?;
        assert_eq!(guard.vmas(addr..addr + 4 * PAGE_SIZE).count(), 2);
        Ok(())
    }

    /// Returns the bits of a protection, which is a struct or, on arm, an integer.
    fn bits(prot: bindings::pgprot_t) -> [u8; size_of::<bindings::pgprot_t>()] {
        // SAFETY: `pgprot_t` has no padding, so all of its bytes are initialised.
        unsafe { core::mem::transmute(prot) }
    }

    #[test]
    fn page_prot() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let mut layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        layout.map(14..15, Protection::NONE)?;
        let guard = layout.mm.mmap_write_lock();
        let vma = guard
            .vma_lookup(layout.addr(3))
            .ok_or(EFAULT)?
            .start_write();
        let other = guard.vma_lookup(layout.addr(14)).ok_or(EFAULT)?;
        assert!(!vma.page_prot_writable());

        // Give the VMA the protection of another one; `set_page_prot` must restore its own.
        //
        // SAFETY: The guard holds the mmap lock for writing, so the VMA is valid.
        let wrong = unsafe { (*other.as_ptr()).vm_page_prot };
        // SAFETY: The guard holds the mmap lock for writing, so the VMA is valid.
        let prot = unsafe { &raw mut (*vma.as_ptr()).vm_page_prot };
        // SAFETY: The pointer is valid, and the VMA is write-locked.
        let before = unsafe { prot.replace(wrong) };
        vma.set_page_prot();
        // SAFETY: The pointer is valid, and the VMA is write-locked.
        let after = unsafe { prot.read() };
        assert!(bits(after) == bits(before));
        assert!(bits(wrong) != bits(before));
        Ok(())
    }

    #[test]
    fn flags() -> Result {
        let user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let guard = layout.mm.mmap_write_lock();
        let vma = guard
            .vma_lookup(layout.addr(3))
            .ok_or(EFAULT)?
            .start_write();
        let before = vma.flags();

        vma.set_flags(AdviceFlags::DONTCOPY | AdviceFlags::DONTDUMP | AdviceFlags::SEQ_READ);
        let set = before
            .with(VmaFlag::DONTCOPY)
            .with(VmaFlag::DONTDUMP)
            .with(VmaFlag::SEQ_READ);
        assert_eq!(vma.flags(), set);
        vma.set_flags(AdviceFlags::RAND_READ | AdviceFlags::SEQ_READ);
        assert_eq!(
            vma.flags(),
            set.with(VmaFlag::RAND_READ).without(VmaFlag::SEQ_READ)
        );
        vma.set_flags(AdviceFlags::SEQ_READ);
        assert_eq!(vma.flags(), set);
        vma.clear_flags(AdviceFlags::DONTCOPY | AdviceFlags::DONTDUMP | AdviceFlags::SEQ_READ)?;
        assert_eq!(vma.flags(), before);
        drop(guard);

        // The layer refuses to clear flags of a special mapping that its driver may rely on.
        let file = user.device(|dev, mut desc| {
            desc.set(crate::mm::flags::SetFlags::DONTCOPY);
            desc.map_kernel_pages(&dev.pages)
        })?;
        let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
        let guard = layout.mm.mmap_write_lock();
        let vma = guard.vma_lookup(addr).ok_or(EFAULT)?.start_write();
        let flags = AdviceFlags::SEQ_READ | AdviceFlags::DONTCOPY;
        vma.set_flags(AdviceFlags::SEQ_READ);
        assert_eq!(vma.clear_flags(flags), Err(EINVAL));
        assert!(vma.flags().contains_all(flags.flags()));
        vma.clear_flags(AdviceFlags::SEQ_READ)?;
        assert!(!vma.flags().contains(VmaFlag::SEQ_READ));
        Ok(())
    }

    #[test]
    fn mm_file_and_ops() -> Result {
        let user = UserMm::attach()?;
        let mm = user.current();
        let file = user.open::<Dev>(KBox::new(Dev(7), GFP_KERNEL)?)?;
        let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;

        let guard = mm.mmap_read_lock();
        let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
        assert!(core::ptr::eq::<Mm>(vma.mm(), &**mm));
        assert!(vma.file().is_some_and(|of| of.as_ptr() == file.as_ptr()));
        assert!(vma.as_driver_vma::<DevOps>().is_some());
        assert!(vma.as_driver_vma::<OtherOps>().is_none());
        assert!(!vma.is_anonymous() && vma.is_shared() && vma.readable() && !vma.writable());
        assert!(vma.protection() == Protection::READ);

        let anon = guard.vma_lookup(layout.addr(1)).ok_or(EFAULT)?;
        assert!(anon.file().is_none() && anon.as_driver_vma::<DevOps>().is_none());
        assert!(anon.is_anonymous() && !anon.is_shared() && anon.writable());
        drop(guard);

        // The file outlives the VMA through a reference of its own.
        let kept = {
            let vma = mm.lock_vma(addr).ok_or(EFAULT)?;
            vma.file().map(ARef::from).ok_or(EFAULT)?
        };
        user.munmap(addr, PAGE_SIZE)?;
        assert!(kept.as_ptr() == file.as_ptr());
        drop(file);
        assert!(kept.flags() & crate::fs::file::flags::O_ACCMODE == crate::fs::file::flags::O_RDWR);
        Ok(())
    }

    #[test]
    fn private_data() -> Result {
        let user = UserMm::attach()?;
        let file = user.open::<Dev>(KBox::new(Dev(7), GFP_KERNEL)?)?;
        let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;

        // Under either lock, only the view of the VMA's own operations leads to the data.
        let guard = user.current().mmap_write_lock();
        let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
        assert!(vma.as_driver_vma::<OtherOps>().is_none());
        assert_eq!(vma.as_driver_vma::<DevOps>().ok_or(EFAULT)?.data().0, 7);
        drop(guard);
        let vma = user.current().lock_vma(addr).ok_or(EFAULT)?;
        assert!(vma.as_driver_vma::<OtherOps>().is_none());
        assert!(vma.as_driver_vma::<DevOps>().is_some());
        Ok(())
    }

    #[test]
    fn anon_name() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let guard = layout.mm.mmap_write_lock();
        let vma = guard
            .vma_lookup(layout.addr(1))
            .ok_or(EFAULT)?
            .start_write();
        assert!(vma.anon_name().is_none());
        #[cfg(CONFIG_ANON_VMA_NAME)]
        {
            // SAFETY: The VMA is write-locked and has no name. It takes over the reference to the
            // new name, which the kernel drops with the VMA.
            unsafe {
                (*vma.as_ptr()).anon_name =
                    bindings::anon_vma_name_alloc(c"stack of 7".as_char_ptr())
            };
            assert_eq!(vma.anon_name(), Some(c"stack of 7"));
        }
        Ok(())
    }

    #[test]
    fn policy_and_userfaultfd() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let guard = layout.mm.mmap_write_lock();
        let vma = guard
            .vma_lookup(layout.addr(1))
            .ok_or(EFAULT)?
            .start_write();
        assert!(!vma.has_policy() && !vma.has_userfaultfd());
        // The kernel follows none of these pointers before the case resets it.
        #[cfg(CONFIG_USERFAULTFD)]
        {
            // SAFETY: The VMA is write-locked, and this thread does not follow the pointer.
            unsafe { (*vma.as_ptr()).vm_userfaultfd_ctx.ctx = core::ptr::dangling_mut() };
            assert!(vma.has_userfaultfd());
            // SAFETY: The VMA is write-locked, and null means no userfaultfd.
            unsafe { (*vma.as_ptr()).vm_userfaultfd_ctx.ctx = core::ptr::null_mut() };
            assert!(!vma.has_userfaultfd());
        }
        #[cfg(CONFIG_NUMA)]
        {
            // SAFETY: The VMA is write-locked, and this thread does not follow the pointer.
            unsafe { (*vma.as_ptr()).vm_policy = core::ptr::dangling_mut() };
            assert!(vma.has_policy());
            // SAFETY: The VMA is write-locked, and null means no policy.
            unsafe { (*vma.as_ptr()).vm_policy = core::ptr::null_mut() };
        }
        Ok(())
    }

    #[test]
    fn anon_vma() -> Result {
        let user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let has = |page| {
            layout
                .mm
                .lock_vma(layout.addr(page))
                .map(|vma| vma.has_anon_vma())
        };
        assert_eq!((has(1), has(6)), (Some(false), Some(false)));
        user.write(layout.addr(2), b"x")?;
        assert_eq!((has(1), has(6)), (Some(true), Some(false)));
        Ok(())
    }
}
