// SPDX-License-Identifier: GPL-2.0

//! Memory files with a client of userfaultfd that this project has not written: the crate
//! `userfaultfd` of crates.io.
//!
//! Each case runs with a file of memfd_create(2), then with one of the sample driver rust_memfile.
//! It fails if the memory has wrong contents, or if the crate returns anything else for the
//! driver's file than for memfd's.

use std::{
    cell::RefCell,
    fmt::Debug,
    fs::{
        File,
        OpenOptions, //
    },
    io, mem,
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
    FeatureFlags,
    RegisterMode,
    Uffd,
    UffdBuilder, //
};

/// The interface of the driver: see `samples/rust/mm/rust_memfile.h`.
const DEVICE: &str = "/dev/rust_memfile";
const CREATE: libc::Ioctl = 0x4018_4d00;

#[repr(C)]
struct Create {
    size: u64,
    modes: u32,
    flags: u32,
    seals: u32,
    reserved: u32,
}

/// The size of each file, in pages.
const PAGES: usize = 64;

/// How long a case waits for what must happen: everything is slow in a VM without KVM.
const PATIENCE: Duration = Duration::from_secs(20);

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Fails with the text if the condition is false.
macro_rules! check {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(format!($($text)+).into());
        }
    };
}

fn page_size() -> usize {
    // SAFETY: sysconf(3) has no preconditions.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

/// Returns what the server puts into a page.
///
/// The first byte of each page is another one.
fn contents(index: usize) -> Vec<u8> {
    (0..page_size())
        .map(|i| (i.wrapping_mul(31) ^ (i >> 8)).wrapping_add(index * 7 + 1) as u8)
        .collect()
}

/// Creates a file of [`PAGES`] holes: of the driver, or else of memfd_create(2).
fn create(device: Option<&File>) -> Result<File> {
    let size = (PAGES * page_size()) as u64;
    let fd = match device {
        // SAFETY: The name ends with a NUL.
        None => unsafe { libc::memfd_create(c"memory".as_ptr(), 0) },
        Some(device) => {
            let create = Create {
                size,
                modes: 0xf, // All of them.
                flags: 0,
                seals: 0,
                reserved: 0,
            };

            // SAFETY: The driver reads one `Create`.
            unsafe { libc::ioctl(device.as_raw_fd(), CREATE, &create) }
        }
    };
    check!(fd >= 0, "no file: {}", io::Error::last_os_error());
    // SAFETY: The descriptor is new, so nothing else owns it.
    let file = unsafe { File::from_raw_fd(fd) };

    if device.is_none() {
        file.set_len(size)?;
    }
    Ok(file)
}

/// A shared mapping of all pages of a file.
struct Mapping {
    at: *mut u8,
    len: usize,
}

// SAFETY: The memory is accessed by volatile reads and writes of bytes only.
unsafe impl Send for Mapping {}
// SAFETY: As for `Send`: no method hands out a reference to the memory.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(file: &File) -> Result<Self> {
        let len = PAGES * page_size();
        // SAFETY: A new mapping does not change memory that is in use.
        let at = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };

        check!(
            at != libc::MAP_FAILED,
            "no mapping: {}",
            io::Error::last_os_error()
        );
        Ok(Self { at: at.cast(), len })
    }

    /// Returns the address of a page, for the crate.
    fn page(&self, index: usize) -> *mut c_void {
        self.at.wrapping_add(index * page_size()).cast()
    }

    fn index(&self, address: *mut c_void) -> usize {
        (address as usize).wrapping_sub(self.at as usize) / page_size()
    }

    fn read(&self, page: usize, offset: usize) -> u8 {
        let at = page * page_size() + offset;

        assert!(at < self.len);
        // SAFETY: The offset is in the mapping, which lives as long as `self`.
        unsafe { ptr::read_volatile(self.at.add(at)) }
    }

    fn write(&self, page: usize, offset: usize, value: u8) {
        let at = page * page_size() + offset;

        assert!(at < self.len);
        // SAFETY: The offset is in the mapping, which lives as long as `self`.
        unsafe { ptr::write_volatile(self.at.add(at), value) }
    }

    /// Returns whether the page has what [`contents`] returns for it.
    fn has_contents(&self, page: usize) -> bool {
        (0..)
            .zip(contents(page))
            .all(|(i, byte)| self.read(page, i) == byte)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: No reference to the memory exists.
        unsafe { libc::munmap(self.at.cast(), self.len) };
    }
}

/// A memory file, its mapping, and the userfaultfd with which the mapping is registered.
struct Area {
    // The first to be dropped: munmap(2) may wait until an event is read.
    uffd: Uffd,
    map: Mapping,
    file: File,
    /// What the crate has returned.
    log: RefCell<Vec<String>>,
}

impl Area {
    fn new(device: Option<&File>, modes: RegisterMode, features: FeatureFlags) -> Result<Self> {
        let file = create(device)?;
        let area = Self {
            map: Mapping::new(&file)?,
            file,
            uffd: UffdBuilder::new()
                .non_blocking(true)
                .require_features(features)
                .create()?,
            log: RefCell::default(),
        };

        area.register(&area.uffd, modes)?;
        Ok(area)
    }

    fn log(&self, what: &str, result: impl Debug) {
        self.log.borrow_mut().push(format!("{what}: {result:?}"));
    }

    /// Logs a result of the crate.
    fn logged<T: Debug>(&self, what: &str, result: userfaultfd::Result<T>) -> Result {
        self.log(what, &result);
        Ok(result.map(drop)?)
    }

    fn register(&self, uffd: &Uffd, modes: RegisterMode) -> Result {
        let result = uffd.register_with_mode(self.map.page(0), self.map.len, modes);

        self.logged("register", result)
    }

    fn unregister(&self) -> Result {
        Ok(self.uffd.unregister(self.map.page(0), self.map.len)?)
    }

    /// Fills pages with their contents.
    fn copy(&self, index: usize, pages: usize, wake: bool) -> Result {
        let from: Vec<u8> = (index..index + pages).flat_map(contents).collect();
        let to = self.map.page(index);
        // SAFETY: Nothing refers to the memory of the mapping.
        let result = unsafe { self.uffd.copy(from.as_ptr().cast(), to, from.len(), wake) };

        self.logged(&format!("copy {pages} at {index}"), result)
    }

    fn zeropage(&self, index: usize, pages: usize) -> Result {
        let (at, len) = (self.map.page(index), pages * page_size());
        // SAFETY: Nothing refers to the memory of the mapping.
        let result = unsafe { self.uffd.zeropage(at, len, true) };

        self.logged(&format!("zeropage {pages} at {index}"), result)
    }

    /// Maps a page that the file has.
    fn map_page(&self, index: usize) -> Result {
        let result = self
            .uffd
            .r#continue(self.map.page(index), page_size(), true);

        self.logged(&format!("continue {index}"), result)
    }

    fn unprotect(&self, index: usize) -> Result {
        let at = self.map.page(index);

        Ok(self.uffd.remove_write_protection(at, page_size(), true)?)
    }

    fn wake(&self, index: usize) -> Result {
        Ok(self.uffd.wake(self.map.page(index), page_size())?)
    }

    /// Returns whether the page of the file starts with these bytes.
    fn file_has(&self, index: usize, bytes: &[u8]) -> bool {
        let mut found = vec![0; bytes.len()];
        let result = self
            .file
            .read_exact_at(&mut found, (index * page_size()) as u64);

        result.is_ok() && found == bytes
    }

    fn write_file(&self, index: usize, bytes: &[u8]) -> Result {
        Ok(self
            .file
            .write_all_at(bytes, (index * page_size()) as u64)?)
    }

    /// Returns whether the file has a page there, rather than a hole.
    fn has_page(&self, index: usize) -> bool {
        let start = (index * page_size()) as libc::off_t;

        // SAFETY: lseek(2) has no preconditions.
        unsafe { libc::lseek(self.file.as_raw_fd(), start, libc::SEEK_DATA) == start }
    }

    /// Fails if these are not all pages that the file has.
    fn check_pages(&self, expected: &[usize]) -> Result {
        let found: Vec<usize> = (0..PAGES).filter(|i| self.has_page(*i)).collect();

        check!(found == expected, "the file has the pages {found:?}");
        Ok(())
    }

    /// Waits for an event, and logs it.
    fn event(&self, uffd: &Uffd, wait: Duration) -> Result<Option<Event>> {
        let mut poll = libc::pollfd {
            fd: uffd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };

        // SAFETY: There is one `pollfd`.
        unsafe { libc::poll(&mut poll, 1, wait.as_millis() as libc::c_int) };
        let event = uffd.read_event()?;
        // Without addresses, which differ.
        match &event {
            None => {}
            Some(Event::Pagefault { kind, rw, addr, .. }) => {
                self.log("fault", (self.map.index(*addr), kind, rw))
            }
            Some(Event::Remove { start, end }) => {
                self.log("removed", self.map.index(*start)..self.map.index(*end))
            }
            Some(other) => self.log("another event", mem::discriminant(other)),
        }
        Ok(event)
    }

    /// Runs `access` in a thread, and `answer` for each event, until the thread has finished.
    fn serve_events<T: Send>(
        &self,
        access: impl FnOnce(&Mapping) -> T + Send,
        mut answer: impl FnMut(Event) -> Result,
    ) -> Result<T> {
        let end = Instant::now() + PATIENCE;
        let pause = Duration::from_millis(10);
        let map = &self.map;

        thread::scope(|scope| {
            let thread = scope.spawn(move || access(map));
            let mut served = Ok(());

            while !thread.is_finished() {
                if served.is_ok() {
                    served = match self.event(&self.uffd, pause) {
                        Ok(Some(event)) => answer(event),
                        Ok(None) if Instant::now() > end => Err("the thread still waits".into()),
                        other => other.map(drop),
                    };
                } else {
                    // The thread waits for nothing else.
                    let _ = self.unregister();
                    let _ = self.uffd.read_event();
                    thread::sleep(pause);
                }
            }
            let value = thread.join().map_err(|_| "the thread panicked")?;
            served.map(|()| value)
        })
    }

    /// The same for faults only: `answer` gets the page.
    fn serve<T: Send>(
        &self,
        access: impl FnOnce(&Mapping) -> T + Send,
        mut answer: impl FnMut(usize) -> Result,
    ) -> Result<T> {
        self.serve_events(access, |event| match event {
            Event::Pagefault { addr, .. } => answer(self.map.index(addr)),
            other => Err(format!("not a fault: {other:?}").into()),
        })
    }

    /// Runs `access` in a thread, which must not have a fault that userfaultfd reports.
    fn without_fault<T: Send>(&self, access: impl FnOnce(&Mapping) -> T + Send) -> Result<T> {
        self.serve(access, no_fault)
    }

    /// Reads a page in a thread, which must find its contents.
    fn check_read(&self, index: usize, answer: impl FnMut(usize) -> Result) -> Result {
        let same = self.serve(|map| map.has_contents(index), answer)?;

        check!(same, "the thread read other bytes");
        Ok(())
    }
}

/// Answers a fault that must not happen.
fn no_fault(index: usize) -> Result {
    Err(format!("a fault at page {index}").into())
}

/// Three threads read all pages, each in another order, and each finds what the server has copied.
fn missing(area: &Area) -> Result {
    // The first pages at once.
    area.copy(0, 8, true)?;
    let wrong = area.serve(
        |map| {
            thread::scope(|scope| {
                let threads = [7, 11, 13].map(|stride| {
                    let mut pages = (0..PAGES).map(move |i| i * stride % PAGES);

                    scope.spawn(move || pages.find(|page| !map.has_contents(*page)))
                });

                threads.map(|thread| thread.join().unwrap())
            })
        },
        |index| {
            if area.has_page(index) {
                // Another thread had a fault there before.
                area.wake(index)
            } else {
                area.copy(index, 1, true)
            }
        },
    )?;
    check!(
        wrong == [None; 3],
        "the threads read other bytes: {wrong:?}"
    );
    for index in 0..PAGES {
        check!(
            area.file_has(index, &contents(index)),
            "page {index} of the file is wrong"
        );
    }
    // The order, and how many threads wait for the same page, are not the same each time.
    let mut log = area.log.borrow_mut();
    log.sort();
    log.dedup();
    Ok(())
}

/// The file has what was copied and then written.
fn write(area: &Area) -> Result {
    let mut expected = contents(5);

    expected[9] = 0xaa;
    area.serve(
        |map| map.write(5, 9, 0xaa),
        |index| {
            area.check_pages(&[])?;
            area.copy(index, 1, true)
        },
    )?;
    check!(area.file_has(5, &expected), "the file has other bytes");
    area.check_pages(&[5])
}

/// Zero pages instead of copies.
fn zeropage(area: &Area) -> Result {
    let byte = area.serve(|map| map.read(3, 1), |index| area.zeropage(index, 4))?;

    check!(byte == 0, "read {byte}");
    area.check_pages(&[3, 4, 5, 6])?;
    for index in 3..7 {
        let mut expected = vec![0; page_size()];

        check!(area.file_has(index, &expected), "page {index} is not zero");
        area.without_fault(|map| map.write(index, 1, 0xaa))?;
        expected[1] = 0xaa;
        check!(area.file_has(index, &expected), "page {index} is wrong");
    }
    Ok(())
}

/// A copy wakes the thread only if it is told to, and a thread that is woken too early waits again.
fn wake(area: &Area) -> Result {
    let done = AtomicBool::new(false);
    let mut woken = false;

    area.serve(
        |map| {
            map.read(1, 0);
            done.store(true, SeqCst);
        },
        |index| {
            area.copy(index, 1, false)?;
            thread::sleep(Duration::from_millis(300));
            check!(!done.load(SeqCst), "the copy has woken the thread");
            area.wake(index)
        },
    )?;
    area.check_read(2, |index| {
        if mem::replace(&mut woken, true) {
            area.copy(index, 1, true)
        } else {
            area.wake(index)
        }
    })
}

/// A write to a protected page waits, and does not change it before the protection is removed.
fn write_protect(area: &Area) -> Result {
    let mut expected = contents(2);

    area.copy(0, 8, true)?;
    area.uffd.write_protect(area.map.page(2), 2 * page_size())?;
    // Neither reads, nor writes to pages beside these.
    area.check_read(2, no_fault)?;
    area.without_fault(|map| {
        map.write(1, 0, 0xaa);
        map.write(4, 0, 0xaa);
    })?;
    area.serve(
        |map| map.write(2, 0, 0xbb),
        |index| {
            check!(area.file_has(2, &expected), "page 2 has changed");
            area.unprotect(index)
        },
    )?;
    // The next write does not wait.
    area.without_fault(|map| map.write(2, 1, 0xcc))?;
    expected[..2].copy_from_slice(&[0xbb, 0xcc]);
    check!(area.file_has(2, &expected), "page 2 is wrong");
    check!(area.file_has(3, &contents(3)), "page 3 is wrong");
    // It is still protected.
    area.serve(|map| map.write(3, 0, 0xbb), |index| area.unprotect(index))
}

/// A page that the file has and the mapping has not: mapped by `continue`, with its new contents.
fn minor(area: &Area) -> Result {
    area.write_file(6, &contents(0))?;
    area.check_read(6, |index| {
        area.write_file(index, &contents(index))?;
        area.map_page(index)
    })?;
    check!(area.map_page(6).is_err(), "a page was mapped twice");
    check!(area.map_page(7).is_err(), "a hole was continued");
    area.check_pages(&[6])
}

/// What the kernel refuses, and the end of the registration.
fn refused(area: &Area) -> Result {
    let other = UffdBuilder::new().create()?;

    area.copy(4, 1, true)?;
    check!(
        area.copy(4, 1, true).is_err() && area.zeropage(4, 1).is_err(),
        "a page was filled twice"
    );
    // Ends before page 4.
    check!(area.copy(0, 8, true).is_err(), "page 4 was filled again");
    for index in 0..5 {
        check!(
            area.file_has(index, &contents(index)),
            "page {index} is wrong"
        );
    }
    area.file.set_len(32 * page_size() as u64)?;
    check!(
        area.copy(40, 1, true).is_err() && area.zeropage(40, 1).is_err(),
        "a page past the end was filled"
    );
    check!(
        area.register(&other, RegisterMode::MISSING).is_err(),
        "registered twice"
    );
    area.unregister()?;
    check!(
        area.copy(9, 1, true).is_err(),
        "a page was filled that is not registered"
    );
    area.check_pages(&[0, 1, 2, 3, 4])?;
    // As without userfaultfd.
    let byte = area.without_fault(|map| map.read(10, 0))?;
    check!(byte == 0, "read {byte}");
    Ok(())
}

/// The event says which pages were removed; they are missing again.
fn removed(area: &Area) -> Result {
    area.copy(0, 9, true)?;
    let ret = area.serve_events(
        |map| {
            // SAFETY: Nothing refers to the memory of the mapping.
            unsafe { libc::madvise(map.page(4), 3 * page_size(), libc::MADV_REMOVE) }
        },
        |_| Ok(()),
    )?;
    check!(ret == 0, "madvise failed");
    area.check_pages(&[0, 1, 2, 3, 7, 8])?;
    area.check_read(5, |index| area.copy(index, 1, true))
}

/// A child gets a userfaultfd of its own, through which the parent fills the memory of both.
fn forked(area: &Area) -> Result {
    let from = contents(8);
    let status = area.serve_events(
        |map| {
            // SAFETY: The child only reads memory, and exits.
            let pid = unsafe { libc::fork() };
            let mut status = -1;

            if pid == 0 {
                let same = map.read(8, 0) == from[0];

                // SAFETY: _exit(2) has no preconditions.
                unsafe { libc::_exit(if same { 0 } else { 1 }) };
            }
            // SAFETY: `status` is an `int`.
            unsafe { libc::waitpid(pid, &mut status, 0) };
            status
        },
        |event| {
            let Event::Fork { uffd } = event else {
                return Err(format!("not a fork: {event:?}").into());
            };

            area.event(&uffd, PATIENCE)?;
            // SAFETY: Nothing in the child refers to the memory of the mapping.
            unsafe { uffd.copy(from.as_ptr().cast(), area.map.page(8), from.len(), true) }?;
            Ok(())
        },
    )?;
    check!(status == 0, "the child's status is {status:#x}");
    area.check_read(8, no_fault)
}

type Test = fn(&Area) -> Result;

/// A case: its name, how the mapping is registered, and the test.
type Case = (&'static str, RegisterMode, FeatureFlags, Test);

const MISSING: RegisterMode = RegisterMode::MISSING;
const MISSING_WP: RegisterMode = MISSING.union(RegisterMode::WRITE_PROTECT);
const NONE: FeatureFlags = FeatureFlags::empty();
const WP: FeatureFlags = FeatureFlags::PAGEFAULT_FLAG_WP;

const CASES: [Case; 9] = [
    ("missing", MISSING, NONE, missing),
    ("write", MISSING, NONE, write),
    ("zeropage", MISSING, NONE, zeropage),
    ("wake", MISSING, NONE, wake),
    ("write_protect", MISSING_WP, WP, write_protect),
    ("minor", RegisterMode::MINOR, NONE, minor),
    ("refused", MISSING, NONE, refused),
    ("removed", MISSING, FeatureFlags::EVENT_REMOVE, removed),
    ("forked", MISSING, FeatureFlags::EVENT_FORK, forked),
];

/// Runs a case with both kinds of file, and compares what the crate has returned.
fn on_both((_, modes, features, test): Case, driver: &File) -> Result {
    let run = |name, device| -> Result<Vec<String>> {
        let area = Area::new(device, modes, features).map_err(|e| format!("{name}: {e:?}"))?;
        let result = test(&area);
        let log = area.log.take();

        result.map_err(|error| format!("{name}: {error:?}, after {log:#?}"))?;
        Ok(log)
    };
    let memfd = run("memfd", None)?;
    let driver = run("rust_memfile", Some(driver))?;

    check!(
        memfd == driver,
        "memfd: {memfd:#?}\nrust_memfile: {driver:#?}"
    );
    Ok(())
}

fn main() -> ExitCode {
    let mut code = ExitCode::SUCCESS;

    println!("TAP version 13");
    println!("1..{}", CASES.len());
    let device = match OpenOptions::new().read(true).write(true).open(DEVICE) {
        Ok(device) => device,
        Err(error) => {
            println!("Bail out! {DEVICE}: {error}");
            return ExitCode::FAILURE;
        }
    };
    for (number, case) in (1..).zip(CASES) {
        match on_both(case, &device) {
            Ok(()) => println!("ok {number} {}", case.0),
            Err(why) => {
                println!("not ok {number} {}", case.0);
                println!("# {}", why.to_string().replace('\n', "\n# "));
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}
