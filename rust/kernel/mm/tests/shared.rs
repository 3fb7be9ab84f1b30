// SPDX-License-Identifier: GPL-2.0

//! Tests of words and records that user space may write at the same time.

use super::threads::elsewhere;
use crate::{
    bindings,
    mm::{
        testing::{
            UserMm,
            READ,
            SHARED,
            WRITE, //
        },
        Folio,
        KernelPages, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc, //
    }, //
};

/// Writes and reads records of `N` bytes at all offsets around a page boundary.
fn around_the_boundary<const N: usize>(pages: &KernelPages) -> Result {
    let mut record = [0; N];
    for (i, byte) in record.iter_mut().enumerate() {
        *byte = i as u8 + 1;
    }
    for offset in PAGE_SIZE - N - 9..=PAGE_SIZE + 9 {
        let mut out = [0; N];
        pages.write_at(offset - 1, &[0xaa])?;
        pages.write_at(offset + N, &[0xbb])?;

        pages.write_record(offset, record)?;
        pages.read_at(offset, &mut out)?;
        assert_eq!(out, record);
        assert_eq!(pages.read_record::<[u8; N]>(offset)?, record);
        // Nothing else was written.
        assert_eq!(pages.read_record::<u8>(offset - 1)?, 0xaa);
        assert_eq!(pages.read_record::<u8>(offset + N)?, 0xbb);
    }
    Ok(())
}

/// A record with a word in the middle.
#[derive(FromBytes)]
#[repr(C)]
struct Words {
    _before: [u32; 2],
    word: usize,
    _after: [u8; 16],
}

#[macros::kunit_tests(rust_mm_shared)]
mod cases {
    use super::*;

    #[test]
    fn records_of_all_sizes() -> Result {
        let pages = KernelPages::new(2, GFP_KERNEL)?;
        around_the_boundary::<1>(&pages)?;
        around_the_boundary::<2>(&pages)?;
        around_the_boundary::<3>(&pages)?;
        around_the_boundary::<7>(&pages)?;
        around_the_boundary::<8>(&pages)?;
        around_the_boundary::<16>(&pages)?;
        around_the_boundary::<37>(&pages)
    }

    #[test]
    fn records_have_their_place() -> Result {
        let pages = KernelPages::new(2, GFP_KERNEL)?;
        let folio = Folio::alloc(1, GFP_KERNEL)?;
        let end = pages.len();
        for (offset, error) in [
            (end - 4, Ok(())),
            (end - 3, Err(EINVAL)),
            (end - 2, Err(EINVAL)),
            (end, Err(EINVAL)),
            (2, Err(EINVAL)),
            (usize::MAX - 3, Err(EINVAL)),
        ] {
            assert_eq!(pages.write_record(offset, 1_u32), error);
            assert_eq!(pages.read_record::<u32>(offset).map(|_| ()), error);
            assert_eq!(folio.write_record(offset, 1_u32), error);
            assert_eq!(folio.read_record::<u32>(offset).map(|_| ()), error);
            assert_eq!(pages.atomic::<u32>(offset).map(|_| ()), error);
            assert_eq!(folio.atomic::<u32>(offset).map(|_| ()), error);
        }
        // Nothing was written but the last word.
        assert_eq!(pages.read_record::<[u32; 2]>(end - 8)?, [0, 1]);

        // More atomics than there are bytes, and none at all.
        for count in [usize::MAX, usize::MAX / 4 + 2, PAGE_SIZE / 2 + 1] {
            assert!(pages.atomics::<u32>(0, count).is_err());
            assert!(folio.atomics::<u32>(0, count).is_err());
        }
        assert!(pages.atomics::<u32>(PAGE_SIZE - 4, 2).is_err());
        assert_eq!(folio.atomics::<u32>(PAGE_SIZE - 4, 2)?.len(), 2);
        assert_eq!(folio.atomics::<u32>(end, 0)?.len(), 0);
        Ok(())
    }

    /// User space and atomics see the same words.
    #[test]
    fn user_space_sees_atomics() -> Result {
        let mm = UserMm::attach()?;
        let file = mm.device(|dev, desc| {
            dev.pages
                .atomic::<u32>(PAGE_SIZE + 8)?
                .store(0x1234_5678, Release);
            desc.map_kernel_pages(&dev.pages)
        })?;
        let addr = file.mmap(2 * PAGE_SIZE, READ | WRITE, SHARED, 0)?;
        assert_eq!(
            u32::from_ne_bytes(mm.read(addr + PAGE_SIZE + 8)?),
            0x1234_5678
        );

        let pages = KernelPages::new(1, GFP_KERNEL)?;
        let word = pages.atomic::<u32>(8)?;
        assert_eq!(word.fetch_add(3, Relaxed), 0);
        assert_eq!(word.xchg(9, Relaxed), 3);
        assert_eq!(pages.read_record::<u32>(8)?, 9);
        assert_eq!(word.load(Acquire), 9);
        #[cfg(CONFIG_64BIT)]
        {
            pages.atomic::<u64>(8)?.store(u64::MAX - 1, Relaxed);
            assert_eq!(pages.read_record::<u64>(8)?, u64::MAX - 1);
            assert_eq!(pages.atomic::<u64>(8)?.load(Acquire), u64::MAX - 1);
            assert!(pages.atomic::<u64>(12).is_err_and(|e| e == EINVAL));
        }
        Ok(())
    }

    /// A record never has a word that was not written as a whole.
    #[test]
    fn words_are_whole() -> Result {
        const ROUNDS: usize = 200_000;
        let pages = Arc::new(KernelPages::new(1, GFP_KERNEL)?, GFP_KERNEL)?;
        let stop = Arc::new(Atomic::new(false), GFP_KERNEL)?;
        let (theirs, stopped) = (pages.clone(), stop.clone());
        let writer = elsewhere(move || {
            // Half of the writes are records, and half of them atomics.
            let word = |value: u8| usize::from_ne_bytes([value; size_of::<usize>()]);
            while !stopped.load(Relaxed) {
                theirs.write_record(8, word(0xff))?;
                theirs.write_record(8, word(0))?;
                #[cfg(CONFIG_64BIT)]
                {
                    theirs.atomic::<u64>(8)?.store(u64::MAX, Relaxed);
                    theirs.atomic::<u64>(8)?.store(0, Relaxed);
                }
            }
            Ok(())
        })?;
        // The other thread may start late, and share a processor with this one.
        for _ in 0..10_000 {
            if pages.read_record::<usize>(8)? != 0 {
                break;
            }
            // SAFETY: The cases run in a thread, and hold no lock here.
            unsafe { bindings::msleep(1) };
        }
        let (mut torn, mut changes, mut round) = (0, 0, 0);
        let mut last = pages.read_record::<usize>(8)?;
        while round < ROUNDS || (changes == 0 && round < 100 * ROUNDS) {
            let word = if round % 2 == 0 {
                pages.read_record::<Words>(0)?.word
            } else {
                pages.read_record::<usize>(8)?
            };
            torn += usize::from(word != 0 && word != usize::MAX);
            changes += usize::from(word != last);
            last = word;
            round += 1;
        }
        stop.store(true, Relaxed);
        writer.wait()?;
        assert_eq!(torn, 0);
        // Otherwise, nothing was tested.
        assert!(changes > 0);
        Ok(())
    }
}
