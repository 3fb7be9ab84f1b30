// SPDX-License-Identifier: GPL-2.0

//! Mapping and unmapping from within the kernel.

use super::*;

/// Runs `f` in an mm that is empty, and not `mm`, the current one.
fn in_another_mm<R>(mm: &MmWithUser, f: impl FnOnce() -> R) -> Result<R> {
    let other = empty_mm()?;
    // SAFETY: A case runs on a kernel thread that uses `mm`. Nothing that `f` does relies on that: it
    // has no reference to the current mm but by `mm`.
    unsafe {
        bindings::kthread_unuse_mm(mm.as_raw());
        bindings::kthread_use_mm(other.as_raw());
    }
    let ret = f();
    // SAFETY: As it was.
    unsafe {
        bindings::kthread_unuse_mm(other.as_raw());
        bindings::kthread_use_mm(mm.as_raw());
    }
    Ok(ret)
}

#[kunit_tests(rust_mm_user)]
mod cases {
    use super::*;

    #[test]
    fn map_and_unmap() -> Result {
        let user = UserMm::attach()?;
        let task = current!();
        let mut mm = task.user_mm().ok_or(EINVAL)?;
        let file = user.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
        // SAFETY: The file is open as long as `file` is, and no system call works on it.
        let of = unsafe { File::from_raw_file(file.as_ptr()) };

        let (prot, shared) = (Protection::READ, MapFlags::SHARED);
        let addr = mm.vm_mmap(Some(of), 0, 2 * PAGE_SIZE, prot, shared, 1)?;
        assert_eq!(user.read(addr)?, [1]);
        assert_eq!(user.read(addr + PAGE_SIZE)?, [2]);

        // The kernel's errors are those of the system call.
        let there = shared | MapFlags::FIXED_NOREPLACE;
        assert_eq!(
            mm.vm_mmap(Some(of), addr, PAGE_SIZE, prot, there, 0),
            Err(EEXIST)
        );
        assert_eq!(mm.vm_mmap(Some(of), 0, 0, prot, shared, 0), Err(EINVAL));
        assert_eq!(
            mm.vm_mmap(Some(of), 0, PAGE_SIZE, prot, shared, usize::MAX),
            Err(EOVERFLOW)
        );
        assert_eq!(mm.vm_munmap(addr + 1, PAGE_SIZE), Err(EINVAL));
        mm.vm_mmap(Some(of), addr, PAGE_SIZE, prot, shared | MapFlags::FIXED, 3)?;
        assert_eq!(user.read(addr)?, [3]);
        mm.vm_munmap(addr, 2 * PAGE_SIZE)?;
        assert_eq!(user.read::<1>(addr), Err(EFAULT));
        Ok(())
    }

    #[test]
    fn populate() -> Result {
        let user = UserMm::attach()?;
        let task = current!();
        let mut layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let has = |mm: &MmWithUser, addr| mm.lock_vma(addr).map(|vma| vma.has_anon_vma());
        let (first, len) = (layout.addr(0), 16 * PAGE_SIZE);
        assert_eq!(layout.mm.populate(first + 1, PAGE_SIZE), Err(EINVAL));
        assert_eq!(layout.mm.populate(first, PAGE_SIZE + 1), Err(EINVAL));
        assert_eq!(layout.mm.populate(first, !0 << 12), Err(EINVAL));
        assert_eq!(has(user.current(), layout.addr(1)), Some(false));
        // Over the holes.
        layout.mm.populate(first, len)?;
        assert_eq!(has(user.current(), layout.addr(1)), Some(true));
        assert_eq!(has(user.current(), layout.addr(6)), Some(true));
        Ok(())
    }

    #[test]
    fn path_of_a_file() -> Result {
        let user = UserMm::attach()?;
        let file = user.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
        let mut buf = KVec::from_elem(0xff, 64, GFP_KERNEL)?;
        assert!(file
            .file()
            .path(&mut buf)?
            .to_bytes()
            .starts_with(b"anon_inode:"));
        assert_eq!(file.file().path(&mut []).err(), Some(ENAMETOOLONG));
        assert_eq!(file.file().path(&mut [0; 4]).err(), Some(ENAMETOOLONG));
        assert!(file.file().inode_id()?.ino != 0);

        let task = bindings::get_current;
        // SAFETY: A process that ends closes files after it has given up its root. Nobody else looks
        // at the field, and it is put back.
        let lost = unsafe {
            let fs = core::mem::replace(&mut (*task()).fs, core::ptr::null_mut());
            let lost = file.file().path(&mut buf).err();
            (*task()).fs = fs;
            lost
        };
        assert_eq!(lost, Some(ESRCH));
        Ok(())
    }

    #[test]
    fn of_another_address_space() -> Result {
        let user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        // By a reference that keeps it in use, as to that of another process.
        let mm: ARef<MmWithUser> = user.current().into();
        mm.mmap_write_lock_killable()?
            .munmap(layout.addr(1), PAGE_SIZE)?;
        assert_eq!(
            mm.lock_vma(layout.addr(2)).map(|vma| layout.pages(&vma)),
            Some(2..3)
        );
        // While this thread works in another one, nothing can be unmapped here, but looked at.
        let other = in_another_mm(&mm, || {
            let unmapped = mm.mmap_write_lock().munmap(layout.addr(2), PAGE_SIZE);
            let seen = mm.lock_vma(layout.addr(2)).map(|vma| layout.pages(&vma));
            (unmapped, seen)
        })?;
        assert_eq!(other, (Err(EINVAL), Some(2..3)));
        drop(MmWithUser::into_mmput_async(mm));
        assert_eq!(user.read::<1>(layout.addr(1)), Err(EFAULT));
        assert!(user.read::<1>(layout.addr(2)).is_ok());
        Ok(())
    }
}
