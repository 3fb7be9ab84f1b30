// SPDX-License-Identifier: GPL-2.0

//! Tests of pages that a device accesses, without a device.

use crate::{
    mm::dma::{
        room,
        segment_at,
        Segment, //
    },
    prelude::*, //
};

#[kunit_tests(rust_mm_dma)]
mod cases {
    use super::*;

    /// Returns where the byte at `offset` is, and how many bytes follow.
    fn find(segments: &[Segment], offset: usize) -> Option<(usize, u64, usize)> {
        let segment = segment_at(segments, offset)?;
        // `DmaAddress` is a `u32` on some 32-bit machines.
        #[allow(clippy::useless_conversion)]
        let address = segment.address().into();
        Some((segment.offset(), address, segment.len()))
    }

    #[test]
    fn addresses_of_bytes() {
        let segments = [
            Segment::for_test(0, 0x10000, 0x1000),
            Segment::for_test(0x1000, 0x8000, 0x3000),
            Segment::for_test(0x4000, 0x20000, 0x1000),
        ];

        assert_eq!(find(&segments, 0), Some((0, 0x10000, 0x1000)));
        assert_eq!(find(&segments, 0xfff), Some((0xfff, 0x10fff, 1)));
        assert_eq!(find(&segments, 0x1000), Some((0x1000, 0x8000, 0x3000)));
        assert_eq!(find(&segments, 0x2345), Some((0x2345, 0x9345, 0x1cbb)));
        assert_eq!(find(&segments, 0x3fff), Some((0x3fff, 0xafff, 1)));
        assert_eq!(find(&segments, 0x4000), Some((0x4000, 0x20000, 0x1000)));
        assert_eq!(find(&segments, 0x5000), None);
        assert_eq!(find(&segments, usize::MAX), None);
        assert_eq!(find(&[], 0), None);
    }

    /// Accesses of a device do not cross its boundary.
    #[test]
    fn boundaries() {
        const MASK: usize = 0xffff_ffff;

        assert_eq!(room(0xffff_f000, MASK), 0x1000);
        assert_eq!(room(0xffff_ffff, MASK), 1);
        assert_eq!(room(0, MASK), MASK.saturating_add(1));
        #[cfg(CONFIG_64BIT)]
        assert_eq!(room(0x1_0000_1000, MASK), 0xffff_f000);
        assert_eq!(room(0x1000, 0xfff), 0x1000);
        assert_eq!(room(0x1000, usize::MAX), usize::MAX - 0xfff);
        assert_eq!(room(0, usize::MAX), usize::MAX);
    }
}
