// SPDX-License-Identifier: GPL-2.0

//! Tests of mappings that consist of several objects.

#[cfg(CONFIG_X86_64)]
use super::syscalls::{
    mprotect,
    mremap,
    resize, //
};
use crate::{
    bindings,
    fs::File,
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    mm::{
        desc::{
            Mapping,
            VmaDesc, //
        },
        flags::VmaFlag,
        ops::{
            DeviceRef,
            Fault,
            FaultAnswer,
            FaultAround,
            FaultError,
            MappedArea,
            Ordinary,
            PageSource,
            PerVma,
            Pieces,
            VmOperations, //
        },
        revoke::Revocation,
        rmap::AddressSpace,
        testing::{
            UserMm,
            PRIVATE,
            READ,
            SHARED,
            WRITE, //
        },
        Folio,
        KernelPages, //
    },
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    }, //
};

type List = Pieces<PageSource>;

/// A file that always has the same list, and whose memory cannot be revoked.
struct ListFile(List);

#[vtable]
impl MiscDevice for ListFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn mmap_prepare<'f>(this: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        desc.map_pieces(&this.0)
    }
}

/// A file whose memory can be revoked.
#[pin_data]
struct Revoked {
    list: List,
    #[pin]
    revocation: Revocation,
}

struct RevokedFile(Arc<Revoked>);

#[vtable]
impl MiscDevice for RevokedFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn address_space<'a>(this: &'a Self, _file: &'a File) -> &'a AddressSpace {
        this.0.revocation.address_space()
    }

    fn mmap_prepare<'f>(this: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        desc.map_pieces(&this.0.list)
    }
}

/// A device whose list can be replaced, also between `mmap_prepare` and `mapped`.
#[pin_data]
struct Changing {
    #[pin]
    list: Mutex<Arc<List>>,
    /// What `mapped` replaces the list by.
    #[pin]
    next: Mutex<Option<Arc<List>>>,
}

struct ChangingFile(Arc<Changing>);

#[vtable]
impl MiscDevice for ChangingFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn mmap_prepare<'f>(this: &'f Self, mut desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        this.0.list.lock().check_mapping(&mut desc)?;
        Ok(desc.with_ops::<ChangingOps>()?.on_fault())
    }
}

struct ChangingOps;

#[vtable]
impl VmOperations for ChangingOps {
    type File = ChangingFile;
    type Data = PerVma<Arc<List>>;
    type Memory = Ordinary;

    fn mapped(this: DeviceRef<'_, Self>, _area: &MappedArea) -> Result<Self::Data> {
        let mut list = this.0.list.lock();
        if let Some(next) = this.0.next.lock().take() {
            *list = next;
        }
        Ok(PerVma(list.clone()))
    }

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        vmf.data().fault(vmf)
    }

    fn map_pages(vmf: &FaultAround<Self>) {
        vmf.data().map_pages(vmf);
    }
}

crate::vm_operations!(ChangingOps);

/// Returns pages, the first byte of each of which is its index, with `mark` added.
fn numbered(nr_pages: usize, mark: u8) -> Result<Arc<KernelPages>> {
    let pages = KernelPages::new(nr_pages, GFP_KERNEL)?;
    for index in 0..nr_pages {
        pages.write_at(index * PAGE_SIZE, &[mark + index as u8])?;
    }
    Ok(Arc::new(pages, GFP_KERNEL)?)
}

/// Returns a folio of two pages, which start with `mark` and the byte after it.
fn folio(mark: u8) -> Result<ARef<Folio>> {
    let folio = Folio::alloc(1, GFP_KERNEL)?;
    folio.write_at(0, &[mark])?;
    folio.write_at(PAGE_SIZE, &[mark + 1])?;
    Ok(folio)
}

/// A list of eight pages with holes at 0, 3 and 7; the others start with `bgxyac`.
fn list(pages: &Arc<KernelPages>, folio: &ARef<Folio>) -> Result<List> {
    let mut list = Pieces::new(8, 4, GFP_KERNEL)?;
    list.add(1, pages.clone(), 1..2)?;
    list.add(2, pages.clone(), 6..7)?;
    list.add(4, folio.clone(), 0..2)?;
    list.add(6, pages.clone(), 0..1)?;
    Ok(list)
}

const HOLE: Result<[u8; 1]> = Err(EFAULT);

#[kunit_tests(rust_mm_pieces)]
mod cases {
    use super::*;

    fn sources() -> Result<(Arc<KernelPages>, ARef<Folio>)> {
        Ok((numbered(8, b'a')?, folio(b'x')?))
    }

    /// What user space reads at the start of each page from `addr` on.
    fn contents<const N: usize>(mm: &UserMm, addr: usize) -> [Result<[u8; 1]>; N] {
        core::array::from_fn(|page| mm.read::<1>(addr + page * PAGE_SIZE))
    }

    #[test]
    fn in_an_order_of_their_own() -> Result {
        let mm = UserMm::attach()?;
        let (pages, folio) = sources()?;
        let list = list(&pages, &folio)?;
        assert_eq!(list.nr_pages(), 8);
        let file = mm.open::<ListFile>(KBox::new(ListFile(list), GFP_KERNEL)?)?;
        let expected = [
            HOLE,
            Ok(*b"b"),
            Ok(*b"g"),
            HOLE,
            Ok(*b"x"),
            Ok(*b"y"),
            Ok(*b"a"),
            HOLE,
        ];
        let addr = file.mmap(8 * PAGE_SIZE, READ | WRITE, SHARED, 0)?;
        assert_eq!(contents::<8>(&mm, addr), expected);
        // Faults alone, from the last page to the first: a write maps nothing around it.
        mm.munmap(addr, 8 * PAGE_SIZE)?;
        let addr = file.mmap(8 * PAGE_SIZE, READ | WRITE, SHARED, 0)?;
        for (page, before) in expected.iter().enumerate().rev() {
            let at = addr + page * PAGE_SIZE;
            assert_eq!(mm.write(at + 1, &[page as u8]).is_ok(), before.is_ok());
            assert_eq!(mm.read::<1>(at), *before);
        }
        // The writes are in the objects.
        let mut written = [0; 2];
        pages.read_at(6 * PAGE_SIZE, &mut written)?;
        assert_eq!(written, [b'g', 2]);
        folio.read_at(PAGE_SIZE, &mut written)?;
        assert_eq!(written, [b'y', 5]);
        mm.munmap(addr, 8 * PAGE_SIZE)?;

        // A window on the list.
        let addr = file.mmap(3 * PAGE_SIZE, READ, SHARED, 2)?;
        assert_eq!(contents::<3>(&mm, addr), [Ok(*b"g"), HOLE, Ok(*b"x")]);
        mm.munmap(addr, 3 * PAGE_SIZE)
    }

    #[test]
    fn mappings_that_do_not_fit() -> Result {
        let mm = UserMm::attach()?;
        let (pages, folio) = sources()?;
        let file = ListFile(list(&pages, &folio)?);
        let file = mm.open::<ListFile>(KBox::new(file, GFP_KERNEL)?)?;
        for (nr_pages, pgoff) in [(9, 0), (1, 8), (2, 7), (1, usize::MAX / PAGE_SIZE / 4)] {
            let refused = file.mmap(nr_pages * PAGE_SIZE, READ, SHARED, pgoff);
            assert_eq!(refused, Err(EINVAL));
        }
        assert_eq!(folio.ref_count(), 2);
        Ok(())
    }

    #[test]
    fn pieces_that_do_not_fit() -> Result {
        let (pages, folio) = sources()?;
        let refused = |nr_pages, max| List::new(nr_pages, max, GFP_KERNEL).map(drop);
        assert_eq!(refused(0, 1), Err(EINVAL));
        assert_eq!(refused(usize::MAX, 1), Err(EINVAL));
        assert_eq!(refused(1, List::MAX_PIECES + 1), Err(E2BIG));
        assert_eq!(refused(1, List::MAX_PIECES), Ok(()));

        let mut list = List::new(8, 3, GFP_KERNEL)?;
        // Beyond the object, of nothing, and the wrong way round.
        assert_eq!(list.add(0, pages.clone(), 0..9), Err(EINVAL));
        assert_eq!(list.add(0, pages.clone(), 8..9), Err(EINVAL));
        assert_eq!(list.add(0, folio.clone(), 1..3), Err(EINVAL));
        assert_eq!(list.add(0, folio.clone(), 0..usize::MAX), Err(EINVAL));
        assert_eq!(list.add(0, pages.clone(), 2..2), Err(EINVAL));
        let reversed = core::ops::Range { start: 3, end: 2 };
        assert_eq!(list.add(0, pages.clone(), reversed), Err(EINVAL));
        // Beyond the list.
        assert_eq!(list.add(8, pages.clone(), 0..1), Err(EINVAL));
        assert_eq!(list.add(7, pages.clone(), 0..2), Err(EINVAL));
        assert_eq!(list.add(usize::MAX, pages.clone(), 0..1), Err(EINVAL));

        list.add(2, pages.clone(), 0..3)?;
        // On one that is there, and before it.
        for at in 0..5 {
            assert_eq!(list.add(at, pages.clone(), 0..1), Err(EINVAL));
        }
        list.add(5, pages.clone(), 0..1)?;
        list.add_read_only(6, folio.clone(), 1..2)?;
        assert_eq!(list.add(7, pages.clone(), 0..1), Err(ENOSPC));
        // What was refused has left no references.
        assert_eq!(folio.ref_count(), 2);
        drop(list);
        assert_eq!(folio.ref_count(), 1);
        assert!(Arc::into_unique_or_drop(pages).is_some());
        Ok(())
    }

    #[test]
    fn read_only_pieces() -> Result {
        let mm = UserMm::attach()?;
        let (pages, folio) = sources()?;
        let mut list = List::new(4, 3, GFP_KERNEL)?;
        list.add(0, pages.clone(), 0..1)?;
        list.add_read_only(1, folio.clone(), 0..1)?;
        list.add(2, pages.clone(), 1..3)?;
        let file = mm.open::<ListFile>(KBox::new(ListFile(list), GFP_KERNEL)?)?;
        let map =
            |nr_pages, prot, flags, pgoff| file.mmap(nr_pages * PAGE_SIZE, prot, flags, pgoff);
        for (nr_pages, pgoff) in [(4, 0), (2, 0), (1, 1), (2, 1)] {
            assert_eq!(map(nr_pages, READ | WRITE, SHARED, pgoff), Err(EACCES));
        }
        // Beside it, pages can be written.
        for (nr_pages, pgoff) in [(1, 0), (2, 2)] {
            let addr = map(nr_pages, READ | WRITE, SHARED, pgoff)?;
            mm.write(addr, b"w")?;
            mm.munmap(addr, nr_pages * PAGE_SIZE)?;
        }
        let addr = map(4, READ, SHARED, 0)?;
        assert_eq!(
            contents::<4>(&mm, addr),
            [Ok(*b"w"), Ok(*b"x"), Ok(*b"w"), Ok(*b"c")]
        );
        {
            let guard = mm.current().mmap_read_lock();
            let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
            assert!(!vma.stable().flags().contains(VmaFlag::MAYWRITE));
        }
        #[cfg(CONFIG_X86_64)]
        assert_eq!(mprotect(&mm, addr, PAGE_SIZE, READ | WRITE), Err(EACCES));
        mm.munmap(addr, 4 * PAGE_SIZE)?;

        // A write to a private mapping makes a copy.
        let addr = map(4, READ | WRITE, PRIVATE, 0)?;
        mm.write(addr + PAGE_SIZE, b"c")?;
        assert_eq!(mm.read(addr + PAGE_SIZE)?, *b"c");
        let mut kept = [0];
        folio.read_at(0, &mut kept)?;
        assert_eq!(&kept, b"x");
        mm.munmap(addr, 4 * PAGE_SIZE)
    }

    /// The VMA keeps the file, the file the list, and the list the objects.
    #[test]
    fn references() -> Result {
        let mm = UserMm::attach()?;
        let (pages, folio) = sources()?;
        let list = list(&pages, &folio)?;
        // Only the list has the pages from here on.
        drop(pages);
        let file = mm.open::<ListFile>(KBox::new(ListFile(list), GFP_KERNEL)?)?;
        let addr = file.mmap(8 * PAGE_SIZE, READ | WRITE, SHARED, 0)?;
        drop(file);
        assert_eq!(folio.ref_count(), 2);
        // A write maps one page, and nothing around it.
        for page in 4..7 {
            mm.write(addr + page * PAGE_SIZE + 1, b"w")?;
        }
        assert_eq!(
            contents::<3>(&mm, addr + 4 * PAGE_SIZE),
            [Ok(*b"x"), Ok(*b"y"), Ok(*b"a")]
        );
        // The two entries have a reference each.
        assert_eq!(folio.ref_count(), 4);
        mm.munmap(addr + 5 * PAGE_SIZE, 3 * PAGE_SIZE)?;
        assert_eq!(folio.ref_count(), 3);
        mm.munmap(addr, 5 * PAGE_SIZE)?;
        // A kernel thread leaves the release of the file to a worker.
        //
        // SAFETY: The function may be called in process context.
        unsafe { bindings::flush_delayed_fput() };
        assert_eq!(folio.ref_count(), 1);
        Ok(())
    }

    /// A page is the same one in what is left of a VMA, and where it is moved to.
    #[test]
    fn split_and_moved() -> Result {
        let mm = UserMm::attach()?;
        let (pages, folio) = sources()?;
        let file = ListFile(list(&pages, &folio)?);
        let file = mm.open::<ListFile>(KBox::new(file, GFP_KERNEL)?)?;
        let addr = file.mmap(8 * PAGE_SIZE, READ, SHARED, 0)?;
        // Nothing was accessed before.
        mm.munmap(addr + 4 * PAGE_SIZE, PAGE_SIZE)?;
        #[cfg(CONFIG_X86_64)]
        {
            let to = mm.mmap_anonymous(3 * PAGE_SIZE)?;
            mremap(&mm, addr + 5 * PAGE_SIZE, 3 * PAGE_SIZE, 3 * PAGE_SIZE, to)?;
            assert_eq!(contents::<3>(&mm, to), [Ok(*b"y"), Ok(*b"a"), HOLE]);
            // What it would grow by was not checked.
            assert_eq!(resize(&mm, addr, 4 * PAGE_SIZE, 5 * PAGE_SIZE), Err(EFAULT));
            mm.munmap(to, 3 * PAGE_SIZE)?;
        }
        assert_eq!(contents::<4>(&mm, addr), [HOLE, Ok(*b"b"), Ok(*b"g"), HOLE]);
        mm.munmap(addr, 8 * PAGE_SIZE)
    }

    /// The kernel does not merge a mapping that begins where another one ends in the list.
    #[test]
    fn never_merged() -> Result {
        let mm = UserMm::attach()?;
        let (pages, folio) = sources()?;
        let file = ListFile(list(&pages, &folio)?);
        let file = mm.open::<ListFile>(KBox::new(file, GFP_KERNEL)?)?;
        let addr = mm.mmap_anonymous(4 * PAGE_SIZE)?;
        file.mmap_over(addr, 2 * PAGE_SIZE, READ, SHARED, 1)?;
        file.mmap_over(addr + 2 * PAGE_SIZE, 2 * PAGE_SIZE, READ, SHARED, 3)?;
        {
            let guard = mm.current().mmap_read_lock();
            let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
            assert_eq!((vma.start(), vma.end()), (addr, addr + 2 * PAGE_SIZE));
            assert!(vma.stable().flags().contains(VmaFlag::DONTEXPAND));
        }
        assert_eq!(
            contents::<4>(&mm, addr),
            [Ok(*b"b"), Ok(*b"g"), HOLE, Ok(*b"x")]
        );
        mm.munmap(addr, 4 * PAGE_SIZE)
    }

    #[test]
    fn revoked() -> Result {
        let mm = UserMm::attach()?;
        let (pages, folio) = sources()?;
        let list = list(&pages, &folio)?;
        let device = Arc::pin_init(
            try_pin_init!(Revoked {
                list,
                revocation <- Revocation::new::<RevokedFile>(),
            }? Error),
            GFP_KERNEL,
        )?;
        let file = RevokedFile(device.clone());
        let file = mm.open::<RevokedFile>(KBox::new(file, GFP_KERNEL)?)?;
        let addr = file.mmap(8 * PAGE_SIZE, READ | WRITE, SHARED, 0)?;
        mm.write(addr + 4 * PAGE_SIZE, b"f")?;
        assert_eq!(folio.ref_count(), 3);
        assert_eq!(mm.read(addr + PAGE_SIZE)?, *b"b");

        device.revocation.revoke();
        assert_eq!(folio.ref_count(), 2);
        assert_eq!(contents::<8>(&mm, addr), [HOLE; 8]);
        assert_eq!(mm.write(addr + 4 * PAGE_SIZE, b"f"), Err(EFAULT));
        assert_eq!(file.mmap(PAGE_SIZE, READ, SHARED, 1), Err(ENODEV));

        device.revocation.restore();
        assert_eq!(mm.read(addr + PAGE_SIZE)?, *b"b");
        assert_eq!(mm.read(addr + 4 * PAGE_SIZE)?, *b"f");
        mm.munmap(addr, 8 * PAGE_SIZE)
    }

    /// A mapping keeps the list that it was made with, also if the device has another one.
    #[test]
    fn list_of_a_mapping() -> Result {
        let mm = UserMm::attach()?;
        let (pages, folio) = sources()?;
        let first = Arc::new(list(&pages, &folio)?, GFP_KERNEL)?;
        let mut second = List::new(8, 2, GFP_KERNEL)?;
        second.add(1, numbered(1, b'0')?, 0..1)?;
        second.add_read_only(2, numbered(1, b'1')?, 0..1)?;
        let second = Arc::new(second, GFP_KERNEL)?;

        let initial = first.clone();
        let device = Arc::pin_init(
            pin_init!(Changing {
                list <- new_mutex!(initial),
                next <- new_mutex!(None),
            }),
            GFP_KERNEL,
        )?;
        let file = ChangingFile(device.clone());
        let file = mm.open::<ChangingFile>(KBox::new(file, GFP_KERNEL)?)?;
        let addr = file.mmap(8 * PAGE_SIZE, READ, SHARED, 0)?;
        *device.list.lock() = second.clone();
        let other = file.mmap(8 * PAGE_SIZE, READ, SHARED, 0)?;
        assert_eq!(contents::<2>(&mm, addr), [HOLE, Ok(*b"b")]);
        assert_eq!(
            contents::<4>(&mm, other),
            [HOLE, Ok(*b"0"), Ok(*b"1"), HOLE]
        );
        // Only the VMAs have the first list from here on.
        drop(first);
        mm.munmap(addr + PAGE_SIZE, PAGE_SIZE)?;
        assert_eq!(
            contents::<3>(&mm, addr + 4 * PAGE_SIZE),
            [Ok(*b"x"), Ok(*b"y"), Ok(*b"a")]
        );
        mm.munmap(addr, PAGE_SIZE)?;
        assert!(folio.ref_count() >= 2);
        mm.munmap(addr, 8 * PAGE_SIZE)?;
        assert_eq!(folio.ref_count(), 1);
        mm.munmap(other, 8 * PAGE_SIZE)?;

        // The list was replaced after it was checked, by one that has a read-only page.
        *device.list.lock() = Arc::new(list(&pages, &folio)?, GFP_KERNEL)?;
        *device.next.lock() = Some(second);
        let addr = file.mmap(8 * PAGE_SIZE, READ | WRITE, SHARED, 0)?;
        assert_eq!(mm.read(addr + PAGE_SIZE)?, *b"0");
        assert_eq!(mm.read::<1>(addr + 2 * PAGE_SIZE), Err(EFAULT));
        assert_eq!(mm.write(addr + 2 * PAGE_SIZE, b"w"), Err(EFAULT));
        mm.munmap(addr, 8 * PAGE_SIZE)?;
        assert_eq!(
            file.mmap(8 * PAGE_SIZE, READ | WRITE, SHARED, 0),
            Err(EACCES)
        );
        Ok(())
    }
}
