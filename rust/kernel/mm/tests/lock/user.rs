// SPDX-License-Identifier: GPL-2.0

//! Tests of mapping and unmapping user memory from kernel code.

use super::*;

/// Runs `f` while the current mm is an empty one, instead of `mm`.
fn in_another_mm<R>(mm: &MmWithUser, f: impl FnOnce() -> R) -> Result<R> {
    let other = empty_mm()?;
    // SAFETY: The case runs on a kernel thread that uses `mm`. `f` does not rely on `mm` being the
    // current mm: it has no reference to it other than `mm`.
    unsafe {
        bindings::kthread_unuse_mm(mm.as_raw());
        bindings::kthread_use_mm(other.as_raw());
    }
    let ret = f();
    // SAFETY: The thread uses `other`, and used `mm` before.
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
        // SAFETY: The file is open as long as `file` lives, and has no active `fdget_pos` region.
        let of = unsafe { File::from_raw_file(file.as_ptr()) };

        let (prot, shared) = (Protection::READ, MapFlags::SHARED);
        let addr = mm.vm_mmap(Some(of), 0, 2 * PAGE_SIZE, prot, shared, 1)?;
        assert_eq!(user.read(addr)?, [1]);
        assert_eq!(user.read(addr + PAGE_SIZE)?, [2]);

        // The errors are those of the system call.
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
        // `populate` skips holes.
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
        // An exiting process closes files after it has given up its `fs_struct`.
        //
        // SAFETY: The field belongs to the current thread, no other thread reads it, and the block
        // restores it.
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
    fn of_another_mm() -> Result {
        let user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        // Through a counted reference, as for the mm of another process.
        let mm: ARef<MmWithUser> = user.current().into();
        mm.mmap_write_lock_killable()?
            .munmap(layout.addr(1), PAGE_SIZE)?;
        assert_eq!(
            mm.lock_vma(layout.addr(2)).map(|vma| layout.pages(&vma)),
            Some(2..3)
        );
        // While another mm is current, the layer refuses to unmap in this one, but can look up
        // VMAs.
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
