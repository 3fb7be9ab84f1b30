// SPDX-License-Identifier: GPL-2.0

//! The pages behind the buffers of a process.
//!
//! A process maps its Binder file once, for reading. The kernel writes transactions into pages of
//! this mapping. It allocates and maps a page when a buffer first covers it, and keeps it when the
//! buffer is freed: the page is then *available*, and the shrinker takes it back under memory
//! pressure.
//!
//! # Locks
//!
//! In this order:
//!
//! 1. `Range::populate`, a mutex, which is never taken under the mmap lock,
//! 2. the mmap lock or the VMA lock of the process,
//! 3. `Process::inner`, a spinlock,
//! 4. `Range::state`, a spinlock, which the callbacks of the mapping take,
//! 5. the lock of the LRU list.
//!
//! The shrinker is called with the lock of the list held, and takes the others with their `try`
//! forms.

use crate::process::Process;
use core::{
    mem::{size_of, size_of_val},
    ops::Range as Indices, //
};
use kernel::{
    fs::FileOf,
    list_lru::{new_list_lru, Answer, Isolate, ListLru, LruItem},
    mm::{
        ops::{
            DeviceRef,
            DriverVma,
            DriverVmaInfo,
            MappedArea,
            Mixed,
            PerVmaUnique,
            VmOperations, //
        },
        Folio,
        Mm,
        MmWithUser, //
    },
    new_mutex,
    new_spinlock,
    page::{PAGE_SHIFT, PAGE_SIZE},
    prelude::*,
    shrinker::{self, Count, Scan, ShrinkControl, Shrinker},
    str::CStr,
    sync::{
        aref::ARef,
        atomic::{Atomic, Relaxed},
        Arc,
        ArcBorrow,
        Mutex,
        SetOnce,
        SpinLock, //
    },
    transmute::{AsBytes, FromBytes},
    uaccess::UserSliceReader, //
};

/// The largest part of a mapping that buffers use, in pages.
const MAX_PAGES: usize = kernel::sizes::SZ_4M >> PAGE_SHIFT;

/// How many pages are allocated at once, and mapped under one lock of the VMA.
const BATCH: usize = 16;

/// The size of the largest object that is read from a buffer.
const MAX_OBJECT: usize = 64;

/// The pages of all processes that the shrinker may look at.
type PageLru = ListLru<Entry>;

/// A page, and its place in the LRU list.
type Page = Pin<KBox<LruItem<Entry>>>;

/// The list and the shrinker, which exist until the kernel stops.
static SHRINKER: SetOnce<PageShrinker> = SetOnce::new();

struct PageShrinker {
    lru: Arc<PageLru>,
    _registration: shrinker::Registration<Reclaim>,
}

/// Registers the shrinker.
pub(crate) fn register_shrinker(name: &CStr) -> Result {
    let lru = Arc::pin_init(new_list_lru!(), GFP_KERNEL)?;
    let registration = shrinker::Registration::new(name, lru.clone())?;
    SHRINKER.populate(PageShrinker {
        lru,
        _registration: registration,
    });
    Ok(())
}

/// A page of a process, which is allocated and mapped.
struct Entry {
    range: Arc<Range>,
    /// Where the page is mapped, in pages from the start of the mapping.
    index: usize,
    folio: ARef<Folio>,
    /// Whether a buffer covers the page.
    ///
    /// Written under `Range::state`. A page that is used can be in the LRU list: the shrinker
    /// removes it when it comes across it. So a page that is used and freed again and again, as
    /// most are, is not put into the list and taken out each time.
    used: Atomic<bool>,
    /// Whether a buffer has covered the page since it was put into the LRU list.
    ///
    /// The shrinker moves such a page to the end of the list once before it frees it.
    referenced: Atomic<bool>,
}

/// Whether the pages are mapped anywhere.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mapping {
    /// User space has not mapped the file yet.
    None,
    /// User space has mapped the file at this address.
    At(usize),
    /// User space has unmapped the file, and cannot map it again.
    Closed,
}

struct State {
    mapping: Mapping,
    /// How many pages buffers can use.
    nr_pages: usize,
    /// The pages, or `None` where none is allocated, as behind the end.
    pages: KVVec<Option<Page>>,
}

impl State {
    fn page(&self, index: usize) -> Option<&Page> {
        self.pages.get(index)?.as_ref()
    }

    /// Returns a page that is allocated, as one that is used always is.
    ///
    /// # Errors
    ///
    /// [`EFAULT`] if it is not.
    fn folio(&self, index: usize) -> Result<&Folio> {
        Ok(&self.page(index).ok_or(EFAULT)?.value().folio)
    }

    /// Takes a page that the shrinker has removed from the LRU list, and available ones before it.
    ///
    /// Returns the number of pages, which is at most `max`, but at least 1: if the process is just
    /// dropping all of its pages, it has this one.
    fn take_available(
        &mut self,
        last: usize,
        max: usize,
        pages: &mut [Option<Page>; BATCH],
    ) -> usize {
        pages[0] = self.pages.get_mut(last).and_then(Option::take);
        let mut nr = 1;
        let before = (0..last).rev().take(max.saturating_sub(1));
        for (index, taken) in before.zip(&mut pages[1..]) {
            let Some(place) = self.pages.get_mut(index) else {
                break;
            };
            let Some(page) = place.as_mut() else {
                break;
            };
            let entry = page.value();
            if entry.used.load(Relaxed) || entry.referenced.load(Relaxed) {
                break;
            }
            page.as_mut().del();
            *taken = place.take();
            nr += 1;
        }
        nr
    }
}

/// What the pages, the mapping and the process share.
#[pin_data]
struct Range {
    /// The mm of the process.
    mm: ARef<Mm>,
    /// Held while pages are mapped or zapped, so that a page is not mapped where another one is
    /// about to be zapped.
    #[pin]
    populate: Mutex<()>,
    #[pin]
    state: SpinLock<State>,
}

impl Range {
    /// Returns whether the VMA is the mapping of this range.
    ///
    /// Another process, or another file of the same process, can have a Binder mapping at the same
    /// address.
    fn is_mapped_by(self: &Arc<Self>, vma: &DriverVma<BinderVma>) -> bool {
        Arc::ptr_eq(&vma.data().pages.range, self)
    }
}

/// The pages of a process.
///
/// The pages that a buffer covers are *used*, from [`use_range`](Self::use_range) to
/// [`stop_using_range`](Self::stop_using_range). All other pages that are allocated are available:
/// the shrinker may free them.
pub(crate) struct ShrinkablePageRange {
    range: Arc<Range>,
    lru: Arc<PageLru>,
}

impl ShrinkablePageRange {
    /// Makes a range for the current process, without pages.
    ///
    /// # Errors
    ///
    /// - [`ESRCH`] if this is a kernel thread.
    /// - [`ENODEV`] if there is no shrinker yet.
    /// - [`ENOMEM`] if there is not enough memory.
    pub(crate) fn new() -> Result<Self> {
        let mm = ARef::from(&**kernel::current!().mm().ok_or(ESRCH)?);
        let lru = SHRINKER.as_ref().ok_or(ENODEV)?.lru.clone();
        let range = Arc::pin_init(
            pin_init!(Range {
                mm,
                populate <- new_mutex!((), "ShrinkablePageRange::populate"),
                state <- new_spinlock!(State {
                    mapping: Mapping::None,
                    nr_pages: 0,
                    pages: KVVec::new(),
                }, "ShrinkablePageRange::state"),
            }),
            GFP_KERNEL,
        )?;
        Ok(Self { range, lru })
    }

    /// Checks whether the current process may map the file.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if this is not the mm that the file was opened in.
    /// - [`EBUSY`] if it was mapped before.
    pub(crate) fn check_mappable(&self) -> Result {
        let current = kernel::current!();
        let mm = current.mm().ok_or(EINVAL)?;
        if !core::ptr::eq::<Mm>(&**mm, &*self.range.mm) {
            return Err(EINVAL);
        }
        if self.range.state.lock().mapping != Mapping::None {
            return Err(EBUSY);
        }
        Ok(())
    }

    /// Takes the addresses of the mapping that was just made, and returns how many bytes of it
    /// buffers can use.
    ///
    /// # Errors
    ///
    /// [`EBUSY`] if the file was mapped before.
    fn set_mapping(&self, addresses: &Indices<usize>) -> Result<usize> {
        let nr_pages = (addresses.len() >> PAGE_SHIFT).min(MAX_PAGES);
        let mut state = self.range.state.lock();
        if state.mapping != Mapping::None {
            return Err(EBUSY);
        }
        state.mapping = Mapping::At(addresses.start);
        state.nr_pages = nr_pages;
        Ok(nr_pages << PAGE_SHIFT)
    }

    /// Notes that user space has unmapped the file.
    ///
    /// The pages remain, for the buffers that cover them. No page is allocated from now on.
    fn close_mapping(&self) {
        self.range.state.lock().mapping = Mapping::Closed;
    }

    /// Frees all pages, when the file is released.
    ///
    /// Nothing is mapped then. From now on, reads and writes fail with [`EFAULT`]: another process
    /// may just be writing a transaction.
    pub(crate) fn release(&self) {
        let pages = {
            let mut state = self.range.state.lock();
            state.mapping = Mapping::Closed;
            state.nr_pages = 0;
            core::mem::take(&mut state.pages)
        };
        // A page removes itself from the LRU list when it is dropped.
        drop(pages);
    }

    /// Marks pages as used, and allocates and maps those that are missing.
    ///
    /// Must not be called from an atomic context.
    ///
    /// # Errors
    ///
    /// - [`ESRCH`] if the pages are not mapped, or the process exits.
    /// - [`EINVAL`] if `end` is larger than the number of pages.
    /// - [`ENOMEM`] if there is not enough memory.
    pub(crate) fn use_range(&self, start: usize, end: usize) -> Result {
        let mut next = start;
        while let Some(missing) = self.use_allocated(next..end)? {
            next = missing.end;
            self.populate(missing)?;
        }
        Ok(())
    }

    /// Marks pages as used, up to the first one that is missing.
    ///
    /// Returns the indices of the missing pages in front of the next allocated one, [`BATCH`] at
    /// most.
    fn use_allocated(&self, indices: Indices<usize>) -> Result<Option<Indices<usize>>> {
        let state = self.range.state.lock();
        if !matches!(state.mapping, Mapping::At(_)) {
            return Err(ESRCH);
        }
        let end = indices.end;
        if end > state.nr_pages {
            return Err(EINVAL);
        }
        for index in indices {
            let Some(page) = state.page(index) else {
                let missing = (index..end)
                    .take(BATCH)
                    .take_while(|&index| state.page(index).is_none())
                    .count();
                return Ok(Some(index..index + missing));
            };
            page.value().used.store(true, Relaxed);
        }
        Ok(None)
    }

    /// Makes the array of pages long enough for `end` of them.
    ///
    /// The caller holds `populate`.
    fn reserve(&self, end: usize) -> Result {
        let (len, nr_pages) = {
            let state = self.range.state.lock();
            (state.pages.len(), state.nr_pages)
        };
        if end <= len {
            return Ok(());
        }
        let len = end.next_power_of_two().max(4 * BATCH).min(nr_pages);
        let mut pages = KVVec::with_capacity(len, GFP_KERNEL)?;
        {
            let mut state = self.range.state.lock();
            for page in state.pages.iter_mut() {
                let _ = pages.push_within_capacity(page.take());
            }
            for _ in pages.len()..len {
                let _ = pages.push_within_capacity(None);
            }
            core::mem::swap(&mut state.pages, &mut pages);
        }
        // What is dropped now is the old array, which is empty.
        Ok(())
    }

    /// Allocates pages, marks them as used, and maps them; [`BATCH`] at most.
    #[cold]
    fn populate(&self, indices: Indices<usize>) -> Result {
        let mut new: [Option<Page>; BATCH] = [const { None }; BATCH];
        let new = new.get_mut(..indices.len()).ok_or(EINVAL)?;
        for (index, new) in indices.clone().zip(new.iter_mut()) {
            *new = Some(self.new_page(index)?);
        }

        // While this is locked, no page comes or goes.
        let _populate = self.range.populate.lock();
        self.reserve(indices.end)?;
        let start = {
            let state = self.range.state.lock();
            let Mapping::At(start) = state.mapping else {
                return Err(ESRCH);
            };
            for (index, new) in indices.clone().zip(new.iter_mut()) {
                // Another thread was faster.
                if let Some(page) = state.page(index) {
                    page.value().used.store(true, Relaxed);
                    *new = None;
                }
            }
            start
        };

        // The caller is another process, usually. If it dropped the last reference to the mm of one
        // that exits, it would have to tear down the mm when it returns to user space. But it can
        // be asleep then, waiting for the very process that cannot finish to exit before that.
        let mm = MmWithUser::into_mmput_async(self.range.mm.mmget_not_zero().ok_or(ESRCH)?);
        let vma = mm.lock_driver_vma::<BinderVma>(start).ok_or(ESRCH)?;
        if !self.range.is_mapped_by(&vma) {
            return Err(ESRCH);
        }
        let mut result = Ok(());
        // In pieces between the pages that another thread has mapped.
        for pages in new.split_mut(Option::is_none) {
            if let Err(err) = Self::map(&vma, start, pages) {
                result = Err(err);
                pages.fill_with(|| None);
            }
        }

        let mut state = self.range.state.lock();
        for (index, new) in indices.zip(new) {
            if let (Some(page), Some(_)) = (state.pages.get_mut(index), &new) {
                core::mem::swap(page, new);
            }
        }
        result
    }

    /// Maps pages with consecutive indices, all or none; [`BATCH`] at most.
    fn map(vma: &DriverVma<BinderVma>, start: usize, pages: &[Option<Page>]) -> Result {
        let Some(first) = pages.first().and_then(Option::as_ref) else {
            return Ok(());
        };
        let addr = start + (first.value().index << PAGE_SHIFT);
        let mut folios: [&Folio; BATCH] = [&first.value().folio; BATCH];
        for (page, folio) in pages.iter().flatten().zip(&mut folios) {
            *folio = &page.value().folio;
        }
        vma.insert_folios(addr, &folios[..pages.len()])
            .inspect_err(|_| {
                // Some may be mapped. All addresses are those of pages of the mapping, so this
                // cannot fail.
                let _ = vma.zap(addr, pages.len() << PAGE_SHIFT);
            })
    }

    /// Allocates a page that is used already.
    fn new_page(&self, index: usize) -> Result<Page> {
        let folio = Folio::alloc(0, GFP_KERNEL | __GFP_HIGHMEM)?;
        let entry = Entry {
            range: self.range.clone(),
            index,
            folio,
            used: Atomic::new(true),
            referenced: Atomic::new(false),
        };
        KBox::pin_init(LruItem::new(self.lru.clone(), entry), GFP_KERNEL)
    }

    /// Marks pages as available, so that the shrinker can free them.
    ///
    /// May be called from an atomic context.
    pub(crate) fn stop_using_range(&self, start: usize, end: usize) {
        let mut state = self.range.state.lock();
        let end = end.min(state.pages.len());
        let Some(pages) = state.pages.get_mut(start..end) else {
            return;
        };
        // The last page is the first to be freed.
        for page in pages.iter_mut().rev().flatten() {
            let entry = page.value();
            entry.used.store(false, Relaxed);
            if page.is_linked() {
                entry.referenced.store(true, Relaxed);
            } else {
                entry.referenced.store(false, Relaxed);
                let nid = entry.folio.nid();
                page.as_mut().add(nid);
            }
        }
    }

    /// Calls a function for each page of a range of bytes, with the index of the page, the offset
    /// in it and the number of bytes.
    ///
    /// # Errors
    ///
    /// - [`EFAULT`] if the range overflows.
    /// - Those of `part`.
    fn for_each_part(
        mut offset: usize,
        mut len: usize,
        mut part: impl FnMut(usize, usize, usize) -> Result,
    ) -> Result {
        offset.checked_add(len).ok_or(EFAULT)?;
        while len > 0 {
            let in_page = offset & (PAGE_SIZE - 1);
            let here = len.min(PAGE_SIZE - in_page);
            part(offset >> PAGE_SHIFT, in_page, here)?;
            offset += here;
            len -= here;
        }
        Ok(())
    }

    /// Copies `len` bytes from user space to the pages.
    ///
    /// # Errors
    ///
    /// [`EFAULT`] if user space cannot access some of the bytes, or a page is not allocated.
    pub(crate) fn copy_from_user_slice(
        &self,
        reader: &mut UserSliceReader,
        offset: usize,
        len: usize,
    ) -> Result {
        // A copy can sleep, so it needs references to the pages instead of the lock. They are taken
        // for several pages at once.
        let mut folios: [Option<ARef<Folio>>; BATCH] = [const { None }; BATCH];
        let (mut from, mut to) = (0, 0);
        let last = (offset.checked_add(len).ok_or(EFAULT)?).div_ceil(PAGE_SIZE);
        Self::for_each_part(offset, len, |index, offset, len| {
            if index >= to {
                from = index;
                to = last.min(index + BATCH);
                let state = self.range.state.lock();
                for (index, folio) in (from..to).zip(&mut folios) {
                    *folio = Some(state.folio(index)?.into());
                }
            }
            let folio = folios[index - from].as_ref().ok_or(EFAULT)?;
            folio.copy_from_user(offset, reader, len)
        })
    }

    /// Reads an object from the pages.
    ///
    /// # Errors
    ///
    /// [`EFAULT`] if a page is not allocated.
    pub(crate) fn read<T: FromBytes>(&self, offset: usize) -> Result<T> {
        const { assert!(size_of::<T>() <= MAX_OBJECT) };

        let mut bytes = [0; MAX_OBJECT];
        let mut rest = &mut bytes[..size_of::<T>()];
        Self::for_each_part(offset, size_of::<T>(), |index, offset, len| {
            let (here, after) = core::mem::take(&mut rest).split_at_mut(len);
            rest = after;
            self.range.state.lock().folio(index)?.read_at(offset, here)
        })?;
        T::from_bytes_copy(&bytes[..size_of::<T>()]).ok_or(EINVAL)
    }

    /// Writes an object to the pages.
    ///
    /// # Errors
    ///
    /// [`EFAULT`] if a page is not allocated.
    pub(crate) fn write<T: AsBytes + ?Sized>(&self, offset: usize, obj: &T) -> Result {
        let mut rest = obj.as_bytes();
        Self::for_each_part(offset, size_of_val(obj), |index, offset, len| {
            let (here, after) = rest.split_at(len);
            rest = after;
            self.range.state.lock().folio(index)?.write_at(offset, here)
        })
    }

    /// Writes zeroes to the pages.
    ///
    /// # Errors
    ///
    /// [`EFAULT`] if a page is not allocated.
    pub(crate) fn fill_zero(&self, offset: usize, len: usize) -> Result {
        Self::for_each_part(offset, len, |index, offset, len| {
            self.range.state.lock().folio(index)?.zero(offset, len)
        })
    }
}

impl Drop for ShrinkablePageRange {
    fn drop(&mut self) {
        // The pages keep the range, which keeps the pages.
        self.release();
    }
}

/// The callbacks of the mapping of a process.
///
/// The mapping has no fault handler: an access to a page that no buffer has covered yet is SIGBUS.
/// [`PerVmaUnique`] makes it the only one: it is not inherited on `fork`, and the kernel neither
/// splits nor moves it, which would leave buffers without their addresses.
pub(crate) struct BinderVma;

#[vtable]
impl VmOperations for BinderVma {
    type File = FileOf<Process>;
    type Data = PerVmaUnique<Arc<Process>>;
    type Memory = Mixed;

    fn mapped(process: DeviceRef<'_, Self>, area: &MappedArea) -> Result<Self::Data> {
        let len = process.pages.set_mapping(&area.range)?;
        process.create_mapping(area.range.start, len);
        Ok(PerVmaUnique(process.into()))
    }

    fn close(vma: &DriverVmaInfo<Self>) {
        vma.data().pages.close_mapping();
    }
}
kernel::vm_operations!(BinderVma);

/// The shrinker, which frees available pages.
struct Reclaim;

#[vtable]
impl Shrinker for Reclaim {
    type Ptr = Arc<PageLru>;
    const NUMA_AWARE: bool = true;

    fn count(lru: ArcBorrow<'_, PageLru>, sc: &ShrinkControl) -> Count {
        Count::Objects(lru.shrink_count(sc))
    }

    fn scan(lru: ArcBorrow<'_, PageLru>, sc: &mut ShrinkControl) -> Scan {
        let (max, mut freed) = (sc.nr_to_scan(), 0);
        lru.shrink_walk(sc, |item| free_pages(item, max, &mut freed));
        Scan::Freed(freed)
    }
}

/// Frees a page of the LRU list, if it is available and its locks are free, and those before it.
///
/// To zap a page takes longer than to free it, so pages that are next to each other are zapped
/// together. Buffers usually have several.
fn free_pages<'a>(item: Isolate<'a, Entry>, max: usize, freed: &mut usize) -> Answer<'a> {
    if *freed >= max {
        return item.stop();
    }
    let entry = item.value();
    // Without the lock: it is only a hint.
    if entry.referenced.load(Relaxed) {
        entry.referenced.store(false, Relaxed);
        return item.rotate();
    }
    let range = entry.range.clone();
    let index = entry.index;

    let Some(mut state) = range.state.try_lock() else {
        return item.skip();
    };
    if entry.used.load(Relaxed) {
        return item.remove().done();
    }
    let Some(_populate) = range.populate.try_lock() else {
        return item.skip();
    };

    // If the process exits, or has unmapped the pages, no zapping is needed: the kernel does it or
    // has done it, and no page will be mapped again.
    let mm = match state.mapping {
        Mapping::At(start) => {
            let mm = range.mm.mmget_not_zero();
            mm.map(|mm| (MmWithUser::into_mmput_async(mm), start))
        }
        _ => None,
    };
    let vma = match &mm {
        Some((mm, start)) => match mm.try_lock_driver_vma::<BinderVma>(*start) {
            Some(vma) if range.is_mapped_by(&vma) => Some((vma, *start)),
            _ => return item.skip(),
        },
        None => None,
    };

    let unlocked = item.remove().unlock();
    let mut pages: [Option<Page>; BATCH] = [const { None }; BATCH];
    let nr = state.take_available(index, max - *freed, &mut pages);
    drop(state);

    if let Some((vma, start)) = &vma {
        // The addresses are those of pages of the mapping, so this cannot fail.
        let first = index + 1 - nr;
        let _ = vma.zap(start + (first << PAGE_SHIFT), nr << PAGE_SHIFT);
    }
    *freed += nr;
    unlocked.done()
}
