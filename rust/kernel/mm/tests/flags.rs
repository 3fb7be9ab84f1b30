// SPDX-License-Identifier: GPL-2.0

//! Tests of VMA flags.

use crate::{
    mm::flags::{
        ClearFlags,
        VmaFlag,
        VmaFlags, //
    },
    prelude::*,
    str::CString, //
};

#[kunit_tests(rust_mm_flags)]
mod cases {
    use super::*;

    #[test]
    fn flags_in_words() -> Result {
        for (flags, words) in [
            (VmaFlags::EMPTY, c""),
            (VmaFlags::new([VmaFlag::READ]), c"read"),
            (VmaFlags::new([VmaFlag::IO, VmaFlag::WRITE]), c"write|io"),
        ] {
            assert_eq!(&*CString::try_from_fmt(fmt!("{flags:?}"))?, words);
        }
        Ok(())
    }

    #[test]
    fn access_that_is_denied_for_good() {
        for (denied, access) in [
            (ClearFlags::MAYREAD, VmaFlag::READ),
            (ClearFlags::MAYWRITE, VmaFlag::WRITE),
            (ClearFlags::MAYEXEC, VmaFlag::EXEC),
        ] {
            assert!(denied.access() == VmaFlags::new([access]));
        }
    }

    /// A descriptor by hand, since the files of a test cannot be mapped with `PROT_EXEC`.
    #[cfg(CONFIG_X86_64)]
    #[test]
    fn exec_is_taken_away() {
        use crate::{
            bindings,
            mm::desc::VmaDesc,
            page::PAGE_SIZE, //
        };
        use core::ptr::{
            self,
            NonNull, //
        };

        let mut raw: bindings::vm_area_desc = pin_init::zeroed();
        raw.end = PAGE_SIZE;
        let page_prot = |flags: VmaFlags| {
            // SAFETY: The function only computes a value.
            unsafe { bindings::vm_get_page_prot(flags.into_raw().__vma_flags[0]).pgprot }
        };
        let kept = VmaFlags::new([VmaFlag::READ, VmaFlag::MAYREAD, VmaFlag::MAYWRITE]);
        for flags in [
            kept,
            kept.with(VmaFlag::MAYEXEC),
            kept.with(VmaFlag::MAYEXEC).with(VmaFlag::EXEC),
        ] {
            raw.vma_flags = flags.into_raw();
            raw.page_prot.pgprot = page_prot(flags);
            // SAFETY: The descriptor is valid and has no file, which the methods below do not use.
            let mut desc =
                unsafe { VmaDesc::<()>::from_raw(NonNull::from(&mut raw), ptr::null_mut()) };
            desc.deny_exec();
            assert!(desc.flags() == kept);
            assert_eq!(raw.page_prot.pgprot, page_prot(kept));
        }
        assert!(page_prot(kept) != page_prot(kept.with(VmaFlag::EXEC)));
    }
}
