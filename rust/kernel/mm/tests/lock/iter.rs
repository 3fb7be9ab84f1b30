// SPDX-License-Identifier: GPL-2.0

//! Tests of iterators, cursors and walks over VMAs.

use super::*;

#[kunit_tests(rust_mm_iter)]
mod cases {
    use super::*;

    /// Checks that an iterator finds exactly the expected VMAs.
    fn check<'v, V>(
        layout: &Layout<'_>,
        found: impl Iterator<Item = &'v V>,
        expected: &[Range<usize>],
    ) where
        V: VmaView + 'v,
    {
        let mut expected = expected.iter().cloned();
        for vma in found {
            assert_eq!(Some(layout.pages(vma.stable())), expected.next());
        }
        assert_eq!(None, expected.next());
    }

    #[test]
    fn forward_and_backward() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let [a, b, c, d] = Layout::VMAS;
        let (mut back, all) = ([a.clone(), b, c, d.clone()], Layout::VMAS);

        let guard = layout.mm.mmap_read_lock();
        check(&layout, guard.vmas(layout.all()), &all);
        back.reverse();
        check(&layout, guard.vmas(layout.all()).rev(), &back);
        // The whole mm, which has no other VMAs.
        check(&layout, guard.vmas(0..usize::MAX), &all);
        check(&layout, guard.vmas(0..usize::MAX).rev(), &back);
        drop(guard);

        let guard = layout.mm.mmap_write_lock();
        check(&layout, guard.vmas(layout.all()), &all);
        check(&layout, guard.vmas(layout.all()).rev(), &back);

        // From both ends, until they meet.
        let mut vmas = guard.vmas(layout.all());
        assert_eq!(vmas.next().map(|vma| layout.pages(vma.stable())), Some(a));
        assert_eq!(
            vmas.next_back().map(|vma| layout.pages(vma.stable())),
            Some(d)
        );
        assert_eq!(vmas.by_ref().count(), 2);
        assert!(vmas.next().is_none() && vmas.next_back().is_none());
        let mut vmas = guard.vmas(layout.all());
        assert_eq!(vmas.by_ref().rev().take(3).count(), 3);
        assert_eq!(vmas.by_ref().count(), 1);
        assert!(vmas.next_back().is_none() && vmas.next().is_none());
        Ok(())
    }

    #[test]
    fn ranges() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let guard = layout.mm.mmap_read_lock();

        // Compare each range of pages with the layout.
        for start in 0..16 {
            for end in start..=16 {
                let expected = || {
                    Layout::VMAS
                        .into_iter()
                        .filter(move |vma| start < vma.end && vma.start < end && start < end)
                };
                let found = || {
                    guard
                        .vmas(layout.range(start..end))
                        .map(|vma| layout.pages(vma.stable()))
                };
                assert!(found().eq(expected()));
                assert!(found().rev().eq(expected().rev()));
                let first = guard.find_vma_intersection(layout.range(start..end));
                assert_eq!(
                    first.map(|vma| layout.pages(vma.stable())),
                    expected().next()
                );

                // Each page is in a gap or in a VMA, and two gaps never touch.
                let mut at = start;
                let mut gaps = guard.gaps(layout.range(start..end)).peekable();
                while let Some(gap) = gaps.next() {
                    assert!(guard.vmas(gap.clone()).next().is_none());
                    let gap =
                        (gap.start - layout.base) / PAGE_SIZE..(gap.end - layout.base) / PAGE_SIZE;
                    assert!(at <= gap.start && gap.start < gap.end && gap.end <= end);
                    for page in at..gap.start {
                        assert!(guard.vma_lookup(layout.addr(page)).is_some());
                    }
                    at = gap.end;
                    assert!(gaps.peek().is_none_or(|next| next.start > layout.addr(at)));
                }
                for page in at..end {
                    assert!(guard.vma_lookup(layout.addr(page)).is_some());
                }

                let exact = guard.find_exact_vma(layout.range(start..end));
                let is_one = Layout::VMAS.contains(&(start..end));
                assert_eq!(
                    exact.map(|vma| layout.pages(vma.stable())),
                    is_one.then_some(start..end)
                );
            }
        }

        // Ends are exclusive, to the byte.
        let (start, end) = (layout.addr(6), layout.addr(7));
        assert!(guard.vmas(start - 1..start).next().is_none());
        assert!(guard.vmas(start - 1..start).next_back().is_none());
        assert!(guard.vmas(start - 1..start + 1).next().is_some());
        assert!(guard.vmas(end - 1..end).next_back().is_some());
        assert!(guard.vmas(end..end + 1).next_back().is_none());
        let backwards = Range {
            start: end,
            end: start,
        };
        assert!(guard.vmas(backwards.clone()).next().is_none());
        assert!(guard.vmas(backwards.clone()).next_back().is_none());
        assert!(guard.gaps(backwards).next().is_none());
        assert!(guard.vmas(0..0).next_back().is_none());
        Ok(())
    }

    #[test]
    fn find_vma() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let guard = layout.mm.mmap_write_lock();
        for page in 0..16 {
            let expected = Layout::VMAS.into_iter().find(|vma| page < vma.end);
            let found = guard
                .find_vma(layout.addr(page))
                .map(|vma| layout.pages(vma.stable()));
            assert_eq!(found, expected);
            let at = guard
                .vma_lookup(layout.addr(page))
                .map(|vma| layout.pages(vma.stable()));
            assert_eq!(at, expected.filter(|vma| vma.start <= page));
        }
        assert!(guard.find_vma(usize::MAX).is_none());
        Ok(())
    }

    #[test]
    fn cursor() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let mut guard = layout.mm.mmap_write_lock();

        // Unmap a whole VMA, none of one, and the middle of one.
        let mut cursor = guard.cursor(layout.range(0..9));
        let vma = cursor.next_vma().ok_or(EFAULT)?;
        assert_eq!(layout.pages(&vma), 1..3);
        vma.munmap(layout.range(1..3))?;
        let vma = cursor.next_vma().ok_or(EFAULT)?;
        assert_eq!(layout.pages(&vma), 3..4);
        vma.start_write().set_flags(AdviceFlags::DONTDUMP);
        let vma = cursor.next_vma().ok_or(EFAULT)?;
        assert_eq!(vma.munmap(layout.range(6..8)), Err(EINVAL));
        let vma = cursor.next_vma().ok_or(EFAULT)?;
        assert_eq!(layout.pages(&vma), 8..12);
        vma.munmap(layout.range(9..10))?;
        assert!(cursor.next_vma().is_none());
        assert!(cursor.next_vma().is_none());
        check(
            &layout,
            guard.vmas(layout.all()),
            &[3..4, 6..7, 8..9, 10..12],
        );

        assert!(guard.cursor(layout.range(4..6)).next_vma().is_none());
        assert!(guard.cursor(layout.range(4..4)).next_vma().is_none());
        assert!(guard.cursor(layout.range(12..16)).next_vma().is_none());

        // The cursor finds each VMA that is left.
        let mut cursor = guard.cursor(layout.all());
        while let Some(vma) = cursor.next_vma() {
            let range = vma.start()..vma.end();
            vma.munmap(range)?;
        }
        check(&layout, guard.vmas(0..usize::MAX), &[]);
        Ok(())
    }

    #[test]
    fn walk() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let mm = &*layout.mm;

        for start in 0..16 {
            for end in start..=16 {
                let mut expected = Layout::VMAS
                    .into_iter()
                    .filter(|vma| start < vma.end && vma.start < end && start < end);
                let mut walk = mm.walk_locked(layout.range(start..end));
                while let Some(vma) = walk.next_vma()? {
                    assert_eq!(vma.is_vma_locked(), cfg!(CONFIG_PER_VMA_LOCK));
                    let pages = expected.next().ok_or(EFAULT)?;
                    assert_eq!(layout.pages(&vma), pages);
                    let clipped = pages.start.max(start)..pages.end.min(end);
                    assert_eq!(vma.range(), layout.range(clipped));
                }
                assert!(walk.next_vma()?.is_none() && expected.next().is_none());
            }
        }
        assert!(is_unlocked(mm));
        #[cfg(CONFIG_PER_VMA_LOCK)]
        for vma in mm.mmap_read_lock().vmas(0..usize::MAX) {
            assert_eq!(readers(vma), 0);
        }
        Ok(())
    }

    #[cfg(CONFIG_PER_VMA_LOCK)]
    #[test]
    fn walk_falls_back() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let mm = &*layout.mm;
        look_write_locked(mm, layout.addr(3))?;
        look_write_locked(mm, layout.addr(6))?;
        let mut walk = mm.walk_locked(layout.all());
        for pages in Layout::VMAS {
            let vma = walk.next_vma()?.ok_or(EFAULT)?;
            assert!(vma.is_vma_locked() && is_unlocked(mm));
            assert_eq!(layout.pages(&vma), pages);
        }
        assert!(walk.next_vma()?.is_none());
        Ok(())
    }

    #[test]
    fn walk_while_things_change() -> Result {
        let user = UserMm::attach()?;
        let task = current!();
        let mut layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let all = layout.all();
        let mut walk = user.current().walk_locked(all);
        let pages = |vma: &VmaRef| layout.base.max(vma.start()) - layout.base;
        assert_eq!(walk.next_vma()?.map(|vma| pages(&vma)), Some(PAGE_SIZE));
        assert_eq!(walk.next_vma()?.map(|vma| pages(&vma)), Some(3 * PAGE_SIZE));

        // A VMA grows past the position of the walk, and another one is unmapped.
        user.munmap(layout.addr(6), PAGE_SIZE)?;
        layout.map(4..5, Protection::READ)?;
        let vma = walk.next_vma()?.ok_or(EFAULT)?;
        assert_eq!(
            (layout.pages(&vma), vma.range()),
            (3..5, layout.range(4..5))
        );
        drop(vma);
        layout.map(5..6, READ_WRITE)?;
        let vma = walk.next_vma()?.ok_or(EFAULT)?;
        assert_eq!(
            (layout.pages(&vma), vma.range()),
            (5..6, layout.range(5..6))
        );
        drop(vma);
        assert_eq!(walk.next_vma()?.map(|vma| layout.pages(&vma)), Some(8..12));
        assert!(walk.next_vma()?.is_none());
        Ok(())
    }
}
