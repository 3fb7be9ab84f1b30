// SPDX-License-Identifier: GPL-2.0

//! Memory files with a client of userfaultfd that this project has not written: the crate
//! `userfaultfd` of crates.io.
//!
//! Each case runs with a file of memfd_create(2) and with one of the sample driver rust_memfile. It
//! checks what is in the memory, and returns what the crate has returned, which must be the same
//! for both files.

use std::{
    cell::Cell,
    fs::{
        File,
        OpenOptions, //
    },
    io,
    os::{
        fd::{
            AsRawFd,
            FromRawFd, //
        },
        unix::fs::FileExt, //
    },
    process::ExitCode,
    ptr,
    sync::atomic::{
        AtomicBool,
        Ordering::SeqCst, //
    },
    thread,
    time::{
        Duration,
        Instant, //
    },
};

use libc::c_void;
use userfaultfd::{
    Event,
    FaultKind,
    FeatureFlags,
    IoctlFlags,
    ReadWrite,
    RegisterMode,
    Uffd,
    UffdBuilder, //
};

/// The interface of the driver: see `samples/rust/mm/rust_memfile.h`.
const DEVICE: &str = "/dev/rust_memfile";
const CREATE: libc::Ioctl = 0x4018_4d00;
const STATS: libc::Ioctl = 0x8008_4d01;
const CLOEXEC: u32 = 8;

#[repr(C)]
struct Create {
    size: u64,
    modes: u32,
    flags: u32,
    seals: u32,
    reserved: u32,
}

#[repr(C)]
#[derive(Default)]
struct Stats {
    files: u64,
}

/// The size of each file, in pages.
const PAGES: usize = 64;

/// How long a case waits for what must happen: everything is slow in a VM without KVM.
const PATIENCE: Duration = Duration::from_secs(20);

/// What went wrong, as text.
type Result<T = ()> = std::result::Result<T, String>;

/// Returns an error with the name of what failed.
fn failed(what: &str) -> impl Fn(userfaultfd::Error) -> String + '_ {
    move |error| format!("{what}: {error:?}")
}

fn os_error(what: &str) -> String {
    format!("{what}: {}", io::Error::last_os_error())
}

/// Fails with the text if the condition is false.
macro_rules! check {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(format!($($text)+));
        }
    };
}

fn page_size() -> usize {
    // SAFETY: sysconf(3) has no preconditions.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

/// Where the files come from.
enum Kind {
    Memfd,
    Driver(File),
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Kind::Memfd => "memfd",
            Kind::Driver(_) => "rust_memfile",
        }
    }

    /// Creates a file with holes only.
    fn file(&self, size: usize) -> Result<File> {
        let fd = match self {
            // SAFETY: The name ends with a NUL.
            Kind::Memfd => unsafe { libc::memfd_create(c"memory".as_ptr(), libc::MFD_CLOEXEC) },
            Kind::Driver(device) => {
                let create = Create {
                    size: size as u64,
                    modes: 0xf,
                    flags: CLOEXEC,
                    seals: 0,
                    reserved: 0,
                };

                // SAFETY: The driver reads one `Create`.
                unsafe { libc::ioctl(device.as_raw_fd(), CREATE, &create) }
            }
        };
        check!(fd >= 0, "{}", os_error("creating a file"));
        // SAFETY: The descriptor is new, so nothing else owns it.
        let file = unsafe { File::from_raw_fd(fd) };

        file.set_len(size as u64).map_err(|e| e.to_string())?;
        Ok(file)
    }
}

/// A shared mapping of all pages of a file.
struct Mapping {
    at: *mut u8,
    page: usize,
}

// SAFETY: The memory is accessed by volatile reads and writes of bytes only.
unsafe impl Send for Mapping {}
// SAFETY: As for `Send`: no method hands out a reference to the memory.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(file: &File) -> Result<Self> {
        let page = page_size();
        // SAFETY: A new mapping does not change memory that is in use.
        let at = unsafe {
            libc::mmap(
                ptr::null_mut(),
                PAGES * page,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };

        check!(at != libc::MAP_FAILED, "{}", os_error("mmap"));
        Ok(Self {
            at: at.cast(),
            page,
        })
    }

    fn len(&self) -> usize {
        PAGES * self.page
    }

    /// Returns the address of a page, for the crate.
    fn page(&self, index: usize) -> *mut c_void {
        self.at.wrapping_add(index * self.page).cast()
    }

    fn index(&self, address: *mut c_void) -> usize {
        (address as usize).wrapping_sub(self.at as usize) / self.page
    }

    fn read(&self, offset: usize) -> u8 {
        assert!(offset < self.len());
        // SAFETY: The offset is in the mapping, which lives as long as `self`.
        unsafe { ptr::read_volatile(self.at.add(offset)) }
    }

    fn write(&self, offset: usize, value: u8) {
        assert!(offset < self.len());
        // SAFETY: The offset is in the mapping, which lives as long as `self`.
        unsafe { ptr::write_volatile(self.at.add(offset), value) }
    }

    /// Returns whether the page has what [`contents`] returns for it.
    fn has_contents(&self, index: usize) -> bool {
        contents(index, self.page)
            .iter()
            .enumerate()
            .all(|(i, byte)| self.read(index * self.page + i) == *byte)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: No reference to the memory exists.
        unsafe { libc::munmap(self.at.cast(), self.len()) };
    }
}

/// Returns what the server puts into a page, which no other page has.
fn contents(index: usize, page: usize) -> Vec<u8> {
    (0..page)
        .map(|i| (i.wrapping_mul(31) ^ (i >> 8)).wrapping_add(index * 7 + 1) as u8)
        .collect()
}

/// A memory file, its mapping, and the userfaultfd with which the mapping is registered.
struct Area {
    // The first to be dropped: munmap(2) may wait until an event is read.
    uffd: Uffd,
    map: Mapping,
    file: File,
    ioctls: IoctlFlags,
    page: usize,
}

impl Area {
    fn new(kind: &Kind, modes: RegisterMode, features: FeatureFlags) -> Result<Self> {
        let page = page_size();
        let file = kind.file(PAGES * page)?;
        let map = Mapping::new(&file)?;
        let uffd = UffdBuilder::new()
            .close_on_exec(true)
            .non_blocking(true)
            .require_features(features)
            .create()
            .map_err(failed("opening a userfaultfd"))?;
        let ioctls = uffd
            .register_with_mode(map.page(0), map.len(), modes)
            .map_err(failed("registering"))?;

        Ok(Self {
            uffd,
            map,
            file,
            ioctls,
            page,
        })
    }

    /// Waits for the next event.
    fn event(&self) -> Result<Event> {
        next_event(&self.uffd)
    }

    /// Waits for the next event, which has to be a fault at a page.
    fn fault(&self, index: usize) -> Result<(FaultKind, ReadWrite)> {
        match self.event()? {
            Event::Pagefault { kind, rw, addr, .. } if self.map.index(addr) == index => {
                Ok((kind, rw))
            }
            other => Err(format!("not a fault at page {index}: {other:?}")),
        }
    }

    fn no_event(&self) -> Result {
        match self.uffd.read_event() {
            Ok(None) => Ok(()),
            other => Err(format!("no event was due: {other:?}")),
        }
    }

    /// Fills pages with their contents.
    fn copy(&self, index: usize, pages: usize, wake: bool) -> userfaultfd::Result<usize> {
        let from: Vec<u8> = (index..index + pages)
            .flat_map(|i| contents(i, self.page))
            .collect();

        // SAFETY: Nothing refers to the memory of the mapping.
        unsafe {
            self.uffd
                .copy(from.as_ptr().cast(), self.map.page(index), from.len(), wake)
        }
    }

    fn zeropage(&self, index: usize, pages: usize) -> userfaultfd::Result<usize> {
        let len = pages * self.page;

        // SAFETY: Nothing refers to the memory of the mapping.
        unsafe { self.uffd.zeropage(self.map.page(index), len, true) }
    }

    /// Returns whether the file has these bytes in a page.
    fn file_has(&self, index: usize, bytes: &[u8]) -> bool {
        let mut found = vec![0; bytes.len()];

        self.file
            .read_exact_at(&mut found, (index * self.page) as u64)
            .is_ok()
            && found == bytes
    }

    /// Returns whether a page of the file is a hole.
    fn is_hole(&self, index: usize) -> bool {
        let start = (index * self.page) as libc::off_t;
        // SAFETY: lseek(2) has no preconditions.
        let data = unsafe { libc::lseek(self.file.as_raw_fd(), start, libc::SEEK_DATA) };

        data < 0 || data >= start + self.page as libc::off_t
    }

    /// Runs `access` in a thread of its own, and `serve` in this one, which answers its faults.
    ///
    /// If `serve` fails, this ends the registration, so that the thread does not wait forever.
    fn with_thread<T: Send>(
        &self,
        access: impl FnOnce(&Mapping) -> T + Send,
        serve: impl FnOnce() -> Result,
    ) -> Result<T> {
        thread::scope(|scope| {
            let thread = scope.spawn(|| access(&self.map));
            let served = serve();

            if served.is_err() {
                let _ = self.uffd.unregister(self.map.page(0), self.map.len());
                let _ = self.uffd.wake(self.map.page(0), self.map.len());
            }
            let value = thread.join().map_err(|_| "the thread panicked")?;
            served.map(|()| value)
        })
    }
}

fn next_event(uffd: &Uffd) -> Result<Event> {
    let end = Instant::now() + PATIENCE;

    while Instant::now() < end {
        let mut poll = libc::pollfd {
            fd: uffd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };

        // SAFETY: There is one `pollfd`.
        unsafe { libc::poll(&mut poll, 1, 100) };
        if let Some(event) = uffd.read_event().map_err(failed("reading an event"))? {
            return Ok(event);
        }
    }
    Err("no event came".into())
}

/// What the crate has returned, to compare.
type Log = Vec<String>;

/// Three threads read all pages, each in another order, and each finds what the server has copied.
fn missing(kind: &Kind) -> Result<Log> {
    let area = Area::new(kind, RegisterMode::MISSING, FeatureFlags::empty())?;
    let needed = IoctlFlags::COPY | IoctlFlags::ZEROPAGE | IoctlFlags::WAKE;
    let mut copied = 0;

    check!(area.ioctls.contains(needed), "ioctls {:?}", area.ioctls);
    // The first pages at once.
    let many = area.copy(0, 8, true).map_err(failed("many pages"))?;
    check!(many == 8 * area.page, "copied {many} bytes");

    let wrong = area.with_thread(
        |map| {
            thread::scope(|scope| {
                let threads: Vec<_> = [7, 11, 13]
                    .map(|stride| {
                        scope.spawn(move || {
                            (0..PAGES)
                                .map(|i| i * stride % PAGES)
                                .filter(|page| !map.has_contents(*page))
                                .count()
                        })
                    })
                    .into_iter()
                    .collect();

                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap_or(PAGES))
                    .sum::<usize>()
            })
        },
        || {
            while copied < PAGES - 8 {
                let (index, fault) = match area.event()? {
                    Event::Pagefault { kind, rw, addr, .. } => (area.map.index(addr), (kind, rw)),
                    other => return Err(format!("not a fault: {other:?}")),
                };

                check!(index >= 8, "a fault at page {index}, which is there");
                check!(
                    fault == (FaultKind::Missing, ReadWrite::Read),
                    "a fault at page {index}: {fault:?}"
                );
                match area.copy(index, 1, true) {
                    Ok(len) if len == area.page => copied += 1,
                    // Another thread had a fault at this page before.
                    Err(userfaultfd::Error::CopyFailed(errno)) if errno as i32 == libc::EEXIST => {
                        area.uffd
                            .wake(area.map.page(index), area.page)
                            .map_err(failed("waking"))?
                    }
                    other => return Err(format!("copying page {index}: {other:?}")),
                }
            }
            Ok(())
        },
    )?;

    check!(wrong == 0, "{wrong} pages were wrong");
    for index in 0..PAGES {
        check!(
            area.file_has(index, &contents(index, area.page)),
            "page {index} of the file is wrong"
        );
    }
    Ok(vec![format!("{:?}, {copied} pages", area.ioctls)])
}

/// The event says that the access is a write, and the file has what was copied and then written.
fn write(kind: &Kind) -> Result<Log> {
    let area = Area::new(kind, RegisterMode::MISSING, FeatureFlags::empty())?;
    let found = Cell::new(None);
    let at = 5 * area.page + 9;

    area.with_thread(
        |map| map.write(at, 0xaa),
        || {
            found.set(Some(area.fault(5)?));
            check!(area.is_hole(5), "the page is there before it was copied");
            area.copy(5, 1, true).map_err(failed("copying"))?;
            Ok(())
        },
    )?;
    let mut expected = contents(5, area.page);
    expected[9] = 0xaa;
    check!(area.file_has(5, &expected), "the file has other bytes");
    check!(
        area.is_hole(4) && area.is_hole(6),
        "its neighbours are no holes"
    );
    check!(
        found.get() == Some((FaultKind::Missing, ReadWrite::Write)),
        "the fault is {found:?}"
    );
    area.no_event()?;
    Ok(vec![format!("{found:?}")])
}

/// Zero pages instead of copies.
fn zeropage(kind: &Kind) -> Result<Log> {
    let area = Area::new(kind, RegisterMode::MISSING, FeatureFlags::empty())?;
    let mut filled = 0;

    let byte = area.with_thread(
        |map| map.read(3 * area.page + 1),
        || {
            area.fault(3)?;
            filled = area.zeropage(3, 4).map_err(failed("zero pages"))?;
            Ok(())
        },
    )?;
    check!(byte == 0, "read {byte}");
    check!(filled == 4 * area.page, "filled {filled} bytes");
    for index in 3..7 {
        check!(!area.is_hole(index), "page {index} is a hole");
        check!(
            area.file_has(index, &vec![0; area.page]),
            "page {index} is not zero"
        );
        area.map.write(index * area.page, 1);
        check!(
            area.file_has(index, &[1, 0]),
            "page {index} is not the file's"
        );
    }
    check!(
        area.is_hole(2) && area.is_hole(7),
        "more than that is there"
    );
    area.no_event()?;
    Ok(vec![])
}

/// A copy does not wake the thread if it is told not to; `wake` does.
fn wake(kind: &Kind) -> Result<Log> {
    let area = Area::new(kind, RegisterMode::MISSING, FeatureFlags::empty())?;
    let done = AtomicBool::new(false);

    let byte = area.with_thread(
        |map| {
            let byte = map.read(area.page);

            done.store(true, SeqCst);
            byte
        },
        || {
            area.fault(1)?;
            area.copy(1, 1, false).map_err(failed("copying"))?;
            thread::sleep(Duration::from_millis(300));
            check!(!done.load(SeqCst), "the copy has woken the thread");
            area.uffd
                .wake(area.map.page(1), area.page)
                .map_err(failed("waking"))
        },
    )?;
    check!(byte == contents(1, area.page)[0], "read {byte}");

    // Woken without a page, the thread asks again.
    area.with_thread(
        |map| map.read(2 * area.page),
        || {
            area.fault(2)?;
            area.uffd
                .wake(area.map.page(2), area.page)
                .map_err(failed("waking"))?;
            area.fault(2)?;
            area.zeropage(2, 1).map_err(failed("zero page"))?;
            Ok(())
        },
    )?;
    area.no_event()?;
    Ok(vec![])
}

/// A write to a protected page waits, and does not change it before the protection is removed.
fn write_protect(kind: &Kind) -> Result<Log> {
    let modes = RegisterMode::MISSING | RegisterMode::WRITE_PROTECT;
    let area = Area::new(kind, modes, FeatureFlags::PAGEFAULT_FLAG_WP)?;
    let found = Cell::new(None);
    let before = contents(2, area.page);

    check!(
        area.ioctls.contains(IoctlFlags::WRITE_PROTECT),
        "ioctls {:?}",
        area.ioctls
    );
    area.copy(0, 8, true).map_err(failed("copying"))?;
    area.uffd
        .write_protect(area.map.page(2), 2 * area.page)
        .map_err(failed("protecting"))?;
    // Neither reads, nor writes to pages beside these.
    check!(area.map.has_contents(2), "page 2 is wrong");
    area.map.write(area.page, 0xaa);
    area.map.write(4 * area.page, 0xaa);
    area.no_event()?;

    area.with_thread(
        |map| map.write(2 * area.page, 0xbb),
        || {
            found.set(Some(area.fault(2)?));
            check!(area.file_has(2, &before), "page 2 has changed");
            area.uffd
                .remove_write_protection(area.map.page(2), area.page, true)
                .map_err(failed("removing the protection"))
        },
    )?;
    check!(
        found.get() == Some((FaultKind::WriteProtected, ReadWrite::Write)),
        "the fault is {found:?}"
    );
    check!(area.file_has(2, &[0xbb, before[1]]), "page 2 is wrong");
    check!(area.file_has(3, &contents(3, area.page)), "page 3 is wrong");
    // For good.
    area.map.write(2 * area.page + 1, 0xcc);
    area.no_event()?;
    Ok(vec![format!("{:?}, {found:?}", area.ioctls)])
}

/// A page that the file has and the mapping has not: mapped by `continue`, with what it has then.
fn minor(kind: &Kind) -> Result<Log> {
    let area = Area::new(kind, RegisterMode::MINOR, FeatureFlags::empty())?;
    let found = Cell::new(None);
    let put = |index: usize, bytes: &[u8]| {
        area.file
            .write_all_at(bytes, (index * area.page) as u64)
            .map_err(|e| e.to_string())
    };

    put(6, &contents(0, area.page))?;
    let same = area.with_thread(
        |map| map.has_contents(6),
        || {
            found.set(Some(area.fault(6)?));
            // Through the file, before the thread goes on.
            put(6, &contents(6, area.page))?;
            let mapped = area
                .uffd
                .r#continue(area.map.page(6), area.page, true)
                .map_err(failed("continuing"))?;
            check!(mapped == area.page as u64, "mapped {mapped} bytes");
            Ok(())
        },
    )?;
    check!(same, "the thread read other bytes");
    check!(
        found.get() == Some((FaultKind::Minor, ReadWrite::Read)),
        "the fault is {found:?}"
    );
    // A hole cannot be continued.
    let hole = area.uffd.r#continue(area.map.page(7), area.page, true);
    check!(hole.is_err(), "a hole was continued");
    check!(area.is_hole(7), "the hole is gone");
    area.no_event()?;
    Ok(vec![format!("{found:?}, {hole:?}")])
}

/// What the kernel refuses, as the crate tells it; and the end of the registration.
fn refused(kind: &Kind) -> Result<Log> {
    let area = Area::new(kind, RegisterMode::MISSING, FeatureFlags::empty())?;
    let other = UffdBuilder::new()
        .non_blocking(true)
        .create()
        .map_err(failed("opening a userfaultfd"))?;
    let mut log = Vec::new();
    let mut refuse = |what: &str, result: userfaultfd::Result<usize>| match result {
        Err(error) => {
            log.push(format!("{what}: {error:?}"));
            Ok(())
        }
        Ok(len) => Err(format!("{what}: succeeded, {len}")),
    };

    area.copy(4, 1, true).map_err(failed("copying"))?;
    refuse("a page that is there", area.copy(4, 1, true))?;
    refuse("a zero page over it", area.zeropage(4, 1))?;
    // Up to the page that is there.
    refuse("pages up to it", area.copy(0, 8, true))?;
    for index in 0..5 {
        check!(
            area.file_has(index, &contents(index, area.page)),
            "page {index} is wrong"
        );
    }
    check!(area.is_hole(5), "there is more than was copied");
    area.file
        .set_len(32 * area.page as u64)
        .map_err(|e| e.to_string())?;
    refuse("past the end", area.copy(40, 1, true))?;
    refuse("zeroes past the end", area.zeropage(40, 1))?;
    let modes = RegisterMode::MISSING;
    let register = other.register_with_mode(area.map.page(0), area.map.len(), modes);
    refuse("another userfaultfd", register.map(|_| 0))?;
    area.uffd
        .unregister(area.map.page(0), area.map.len())
        .map_err(failed("unregistering"))?;
    refuse("a page that is not registered", area.copy(9, 1, true))?;
    check!(area.is_hole(9), "it is there");
    // As without userfaultfd.
    check!(area.map.read(10 * area.page) == 0, "a hole is not zero");
    area.no_event()?;
    Ok(log)
}

/// The event says which pages were removed; they are missing again.
fn removed(kind: &Kind) -> Result<Log> {
    let area = Area::new(kind, RegisterMode::MISSING, FeatureFlags::EVENT_REMOVE)?;
    let range = Cell::new((0, 0));

    area.copy(0, 16, true).map_err(failed("copying"))?;
    let ret = area.with_thread(
        |map| {
            // SAFETY: Nothing refers to the memory of the mapping.
            unsafe { libc::madvise(map.page(4), 3 * area.page, libc::MADV_REMOVE) }
        },
        || match area.event()? {
            Event::Remove { start, end } => {
                range.set((area.map.index(start), area.map.index(end)));
                Ok(())
            }
            other => Err(format!("not a removal: {other:?}")),
        },
    )?;
    check!(ret == 0, "madvise failed");
    check!(range.get() == (4, 7), "the range is {range:?}");
    check!((4..7).all(|i| area.is_hole(i)), "pages are left");
    check!(
        !area.is_hole(3) && !area.is_hole(7),
        "more than that is gone"
    );
    let same = area.with_thread(
        |map| map.has_contents(5),
        || {
            area.fault(5)?;
            area.copy(5, 1, true).map_err(failed("copying"))?;
            Ok(())
        },
    )?;
    check!(same, "the thread read other bytes");
    area.no_event()?;
    Ok(vec![format!("{range:?}")])
}

/// A child gets a userfaultfd of its own, through which the parent fills the memory of both.
fn forked(kind: &Kind) -> Result<Log> {
    let area = Area::new(kind, RegisterMode::MISSING, FeatureFlags::EVENT_FORK)?;
    let expected = contents(8, area.page)[0];

    let status = area.with_thread(
        |map| {
            // SAFETY: The child only reads memory, and exits.
            let pid = unsafe { libc::fork() };
            let mut status = -1;

            if pid == 0 {
                let same = map.read(8 * map.page) == expected;

                // SAFETY: _exit(2) has no preconditions.
                unsafe { libc::_exit(if same { 0 } else { 1 }) };
            }
            // SAFETY: `status` is an `int`.
            if unsafe { libc::waitpid(pid, &mut status, 0) } != pid {
                status = -1;
            }
            status
        },
        || {
            let uffd = match area.event()? {
                Event::Fork { uffd } => uffd,
                other => return Err(format!("not a fork: {other:?}")),
            };
            let from = contents(8, area.page);

            match next_event(&uffd)? {
                Event::Pagefault { addr, .. } if area.map.index(addr) == 8 => (),
                other => return Err(format!("not a fault at page 8: {other:?}")),
            }
            // SAFETY: Nothing in the child refers to the memory of the mapping.
            unsafe { uffd.copy(from.as_ptr().cast(), area.map.page(8), area.page, true) }
                .map_err(failed("copying"))?;
            Ok(())
        },
    )?;
    check!(status == 0, "the child's status is {status:#x}");
    check!(area.map.has_contents(8), "the parent has other bytes");
    area.no_event()?;
    Ok(vec![])
}

/// Prints the results in the format of kselftest.
struct Tap {
    count: usize,
    failed: usize,
}

impl Tap {
    fn result(&mut self, name: &str, result: Result) {
        self.count += 1;
        match result {
            Ok(()) => println!("ok {} {name}", self.count),
            Err(why) => {
                self.failed += 1;
                println!("not ok {} {name}", self.count);
                println!("# {}", why.replace('\n', "\n# "));
            }
        }
    }
}

/// Returns an error if the driver still has a file.
fn balance(device: &File) -> Result {
    let mut stats = Stats::default();
    // SAFETY: The driver writes one `Stats`.
    let ret = unsafe { libc::ioctl(device.as_raw_fd(), STATS, &mut stats) };

    check!(ret == 0, "{}", os_error("statistics"));
    check!(stats.files == 0, "{} files are left", stats.files);
    Ok(())
}

fn main() -> ExitCode {
    const CASES: [(&str, fn(&Kind) -> Result<Log>); 9] = [
        ("missing", missing),
        ("write", write),
        ("zeropage", zeropage),
        ("wake", wake),
        ("write_protect", write_protect),
        ("minor", minor),
        ("refused", refused),
        ("removed", removed),
        ("forked", forked),
    ];
    let open = || OpenOptions::new().read(true).write(true).open(DEVICE);
    let mut tap = Tap {
        count: 0,
        failed: 0,
    };

    println!("TAP version 13");
    println!("1..{}", 3 * CASES.len() + 1);
    let (device, kinds) = match (open(), open()) {
        (Ok(device), Ok(another)) => (device, [Kind::Memfd, Kind::Driver(another)]),
        (Err(error), _) | (_, Err(error)) => {
            println!("Bail out! {DEVICE}: {error}");
            return ExitCode::FAILURE;
        }
    };
    for (name, case) in CASES {
        let logs: Vec<Option<Log>> = kinds
            .iter()
            .map(|kind| {
                let (log, result) = match case(kind) {
                    Ok(log) => (Some(log), Ok(())),
                    Err(why) => (None, Err(why)),
                };

                tap.result(&format!("{name} on {}", kind.name()), result);
                log
            })
            .collect();
        let same = if logs[0].is_some() && logs[0] == logs[1] {
            Ok(())
        } else {
            Err(format!("{:#?}", logs))
        };

        tap.result(&format!("{name} is the same on both"), same);
    }
    tap.result("no file is left", balance(&device));
    if tap.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
