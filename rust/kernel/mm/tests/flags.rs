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
}
