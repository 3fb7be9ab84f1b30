// SPDX-License-Identifier: GPL-2.0

//! The mappings of the sample drivers with a client that this project has not written: the crate
//! `memmap2` of crates.io, by which Rust programs map files.
//!
//! Each case is one call of the crate, for a file of memfd_create(2), for a character device of
//! the kernel's (`/dev/zero`), and for the files of the sample drivers. The table at the end has
//! what the call must give for each of them: success, with what was seen, or the errno.

use std::{
    fs::{
        File,
        OpenOptions, //
    },
    io,
    os::fd::{
        AsRawFd,
        FromRawFd, //
    },
    process::ExitCode,
    ptr,
};

use memmap2::{
    Advice,
    Mmap,
    MmapMut,
    MmapOptions,
    RemapOptions,
    UncheckedAdvice, //
};

/// The files, in the order of the columns of the table.
const NAMES: [&str; 7] = ["memfd", "zero", "memfile", "mmap", "demand", "plain", "pfn"];

/// The size of each file, in pages, but for that of `pfn`; the modules are loaded with it.
const PAGES: usize = 4;

/// The interface of rust_memfile: see `samples/rust/mm/rust_memfile.h`.
const CREATE: libc::Ioctl = 0x4018_4d00;

#[repr(C)]
struct Create {
    size: u64,
    modes: u32,
    flags: u32,
    seals: u32,
    reserved: u32,
}

/// What a call has given: a word about it, or the error.
type Outcome = io::Result<&'static str>;

/// A file that is mapped.
struct Subject {
    name: &'static str,
    file: File,
    /// The same, opened for reading only.
    read_only: File,
    /// How many pages it has.
    pages: usize,
}

fn page_size() -> usize {
    // SAFETY: sysconf(3) has no preconditions.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

impl Subject {
    /// Opens a file; [`None`] if this machine does not have the device.
    fn open(name: &'static str) -> io::Result<Option<Self>> {
        let open = |path: &str, write| OpenOptions::new().read(true).write(write).open(path);
        let size = PAGES * page_size();
        let file = match name {
            "memfd" => {
                // SAFETY: The name ends with a NUL.
                let fd = unsafe { libc::memfd_create(c"memory".as_ptr(), 0) };

                owned(fd)?
            }
            "memfile" => {
                let device = open("/dev/rust_memfile", true)?;
                let create = Create {
                    size: size as u64,
                    modes: 0,
                    flags: 0,
                    seals: 0,
                    reserved: 0,
                };

                // SAFETY: The driver reads one `Create`.
                owned(unsafe { libc::ioctl(device.as_raw_fd(), CREATE, &create) })?
            }
            "zero" => open("/dev/zero", true)?,
            "pfn" if std::env::var_os("NO_IVSHMEM").is_some() => return Ok(None),
            "mmap" => open("/dev/rust_mmap", true)?,
            name => open(&format!("/dev/rust_mmap_{name}"), true)?,
        };

        if name == "memfd" {
            file.set_len(size as u64)?;
        }
        Ok(Some(Self {
            name,
            read_only: open(&format!("/proc/self/fd/{}", file.as_raw_fd()), false)?,
            file,
            // The BAR of QEMU's shared memory has 16 MiB.
            pages: if name == "pfn" {
                (16 << 20) / page_size()
            } else {
                PAGES
            },
        }))
    }

    /// Returns options for the first two pages.
    fn two_pages(&self) -> MmapOptions {
        let mut options = MmapOptions::new();

        options.len(2 * page_size());
        options
    }

    /// Maps the first two pages, for reading and writing.
    fn map_mut(&self) -> io::Result<MmapMut> {
        // SAFETY: No reference to the memory is made.
        unsafe { self.two_pages().map_mut(&self.file) }
    }
}

/// Makes a file of a new descriptor.
fn owned(fd: libc::c_int) -> io::Result<File> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: The descriptor is new, so nothing else owns it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Returns a byte of a mapping, by a read that the compiler does not leave out.
fn byte(map: &[u8], at: usize) -> u8 {
    assert!(at < map.len());
    // SAFETY: The offset is in the mapping.
    unsafe { ptr::read_volatile(map.as_ptr().add(at)) }
}

fn set_byte(map: &mut [u8], at: usize, value: u8) {
    assert!(at < map.len());
    // SAFETY: The offset is in the mapping.
    unsafe { ptr::write_volatile(map.as_mut_ptr().add(at), value) }
}

/// Returns whether a mapping shows what another mapping of the same file gets.
fn shows_writes(subject: &Subject, map: &[u8], at: usize) -> Outcome {
    let mut other = subject.map_mut()?;
    let value = byte(map, 0).wrapping_add(1);

    set_byte(&mut other, at, value);
    Ok(match byte(map, 0) == value {
        true => OK,
        false => OTHER,
    })
}

/// With the length, as each user of a device has to map it.
fn len(subject: &Subject) -> Outcome {
    // SAFETY: No reference to the memory is used while it changes.
    let map = unsafe { subject.two_pages().map(&subject.file) }?;

    assert_eq!(map.len(), 2 * page_size());
    shows_writes(subject, &map, 0)
}

/// Maps without a length.
///
/// The crate takes the one that fstat(2) says: that of a device is 0. Then it maps one byte, and
/// returns an empty slice.
fn no_len(subject: &Subject) -> Outcome {
    // SAFETY: No reference to the memory is used.
    let map = unsafe { Mmap::map(&subject.file) }?;

    Ok(match map.len() {
        0 => EMPTY,
        len if len == subject.pages * page_size() => ALL,
        _ => "ok, a part",
    })
}

/// An empty slice is flushed without a call of the driver.
fn no_len_flush(subject: &Subject) -> Outcome {
    // SAFETY: No reference to the memory is used.
    let map = unsafe { MmapMut::map_mut(&subject.file) }?;

    map.flush()?;
    Ok(OK)
}

/// Without a length, and with an offset, which is past the end of a device with size 0.
fn no_len_at_an_offset(subject: &Subject) -> Outcome {
    let mut options = MmapOptions::new();

    // SAFETY: No reference to the memory is used.
    unsafe { options.offset(page_size() as u64).map(&subject.file) }?;
    Ok(OK)
}

/// The crate maps from the start of the page, and returns what the caller has asked for.
fn offset_in_a_page(subject: &Subject) -> Outcome {
    // SAFETY: No reference to the memory is used while it changes.
    let map = unsafe {
        MmapOptions::new()
            .offset(5)
            .len(page_size())
            .map(&subject.file)
    }?;

    shows_writes(subject, &map, 5)
}

/// Longer than the file.
fn len_past_the_end(subject: &Subject) -> Outcome {
    let len = (subject.pages + 1) * page_size();

    // SAFETY: No reference to the memory is used.
    unsafe { MmapOptions::new().len(len).map(&subject.file) }?;
    Ok(OK)
}

fn offset_past_the_end(subject: &Subject) -> Outcome {
    let mut options = MmapOptions::new();

    options.offset((subject.pages * page_size()) as u64);
    // SAFETY: No reference to the memory is used.
    unsafe { options.len(page_size()).map(&subject.file) }?;
    Ok(OK)
}

fn populate(subject: &Subject) -> Outcome {
    // SAFETY: No reference to the memory is used while it changes.
    let map = unsafe { subject.two_pages().populate().map(&subject.file) }?;

    shows_writes(subject, &map, 0)
}

fn map_mut(subject: &Subject) -> Outcome {
    let map = subject.map_mut()?;

    shows_writes(subject, &map, 0)
}

fn map_mut_read_only(subject: &Subject) -> Outcome {
    // SAFETY: No reference to the memory is used.
    unsafe { subject.two_pages().map_mut(&subject.read_only) }?;
    Ok(OK)
}

fn map_copy(subject: &Subject) -> Outcome {
    // SAFETY: No reference to the memory is used while it changes.
    let mut copy = unsafe { subject.two_pages().map_copy(&subject.file) }?;
    let map = subject.map_mut()?;
    let value = byte(&map, 0).wrapping_add(1);

    set_byte(&mut copy, 0, value);
    Ok(match byte(&map, 0) == value {
        true => "ok, shared",
        false => COPY,
    })
}

fn map_copy_read_only(subject: &Subject) -> Outcome {
    // SAFETY: No reference to the memory is used while it changes.
    let map = unsafe { subject.two_pages().map_copy_read_only(&subject.file) }?;

    shows_writes(subject, &map, 0)
}

/// A driver that denies execution takes the permission away, and does not fail the mapping.
fn map_exec(subject: &Subject) -> Outcome {
    // SAFETY: No reference to the memory is used.
    let map = unsafe { subject.two_pages().map_exec(&subject.file) }?;
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let start = format!("{:x}-", map.as_ptr().addr());
    let line = maps.lines().find(|line| line.starts_with(&start));
    let permissions = line.and_then(|line| line.split(' ').nth(1));

    Ok(match permissions {
        Some("r-xs") => OK,
        Some("r--s") => NO_EXEC,
        _ => "ok, with other permissions",
    })
}

fn make_exec(subject: &Subject) -> Outcome {
    subject.map_mut()?.make_exec()?;
    Ok(OK)
}

fn make_read_only(subject: &Subject) -> Outcome {
    let map = subject.map_mut()?.make_read_only()?;

    shows_writes(subject, &map, 0)
}

fn make_mut(subject: &Subject) -> Outcome {
    // SAFETY: No reference to the memory is used while it changes.
    let map = unsafe { subject.two_pages().map(&subject.file) }?;
    let mut map = map.make_mut()?;

    set_byte(&mut map, 0, 1);
    Ok(OK)
}

fn make_mut_read_only(subject: &Subject) -> Outcome {
    // SAFETY: No reference to the memory is used.
    unsafe { subject.two_pages().map(&subject.read_only) }?.make_mut()?;
    Ok(OK)
}

/// msync(2) with `MS_SYNC`, which calls the `fsync` of the driver.
fn flush(subject: &Subject) -> Outcome {
    let mut map = subject.map_mut()?;

    set_byte(&mut map, 0, 1);
    map.flush()?;
    Ok(OK)
}

fn flush_range(subject: &Subject) -> Outcome {
    let mut map = subject.map_mut()?;

    set_byte(&mut map, page_size() + 9, 1);
    map.flush_range(page_size() + 9, 1)?;
    Ok(OK)
}

/// msync(2) with `MS_ASYNC`, for which the kernel does nothing.
fn flush_async(subject: &Subject) -> Outcome {
    let mut map = subject.map_mut()?;

    set_byte(&mut map, 0, 1);
    map.flush_async()?;
    Ok(OK)
}

/// Returns the value of a field of /proc/self/status in KiB.
fn status(field: &str) -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));

    line.and_then(|rest| {
        rest.trim_start_matches(':')
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    })
    .ok_or(io::ErrorKind::InvalidData.into())
}

/// mlock(2) succeeds for special mappings as well, and does not lock them.
fn lock(subject: &Subject) -> Outcome {
    let map = subject.map_mut()?;
    let before = status("VmLck")?;

    map.lock()?;
    let locked = status("VmLck")? - before;
    map.unlock()?;
    assert_eq!(status("VmLck")?, before);
    Ok(match locked {
        0 => NOT,
        _ => LOCKED,
    })
}

fn remap(subject: &Subject, pages: usize, may_move: bool) -> Outcome {
    let mut map = subject.map_mut()?;
    let options = RemapOptions::new().may_move(may_move);

    // SAFETY: No reference to the memory exists.
    unsafe { map.remap(pages * page_size(), options) }?;
    assert_eq!(map.len(), pages * page_size());
    // The memory of /dev/zero belongs to the mapping, and does not grow with it.
    if subject.name != "zero" {
        set_byte(&mut map, (pages - 1) * page_size(), 1);
    }
    Ok(OK)
}

fn remap_shrink(subject: &Subject) -> Outcome {
    remap(subject, 1, false)
}

fn remap_grow(subject: &Subject) -> Outcome {
    remap(subject, 3, true)
}

fn advise(subject: &Subject, advice: Advice) -> Outcome {
    subject.map_mut()?.advise(advice)?;
    Ok(OK)
}

fn sequential(subject: &Subject) -> Outcome {
    advise(subject, Advice::Sequential)
}

fn random(subject: &Subject) -> Outcome {
    advise(subject, Advice::Random)
}

fn will_need(subject: &Subject) -> Outcome {
    advise(subject, Advice::WillNeed)
}

fn dont_fork(subject: &Subject) -> Outcome {
    advise(subject, Advice::DontFork)
}

fn do_fork(subject: &Subject) -> Outcome {
    let map = subject.map_mut()?;

    map.advise(Advice::DontFork)?;
    map.advise(Advice::DoFork)?;
    Ok(OK)
}

fn dont_dump(subject: &Subject) -> Outcome {
    advise(subject, Advice::DontDump)
}

fn do_dump(subject: &Subject) -> Outcome {
    let map = subject.map_mut()?;

    map.advise(Advice::DontDump)?;
    map.advise(Advice::DoDump)?;
    Ok(OK)
}

fn mergeable(subject: &Subject) -> Outcome {
    advise(subject, Advice::Mergeable)
}

fn populate_read(subject: &Subject) -> Outcome {
    advise(subject, Advice::PopulateRead)
}

fn populate_write(subject: &Subject) -> Outcome {
    advise(subject, Advice::PopulateWrite)
}

/// Reads a byte as a debugger does, without a signal if there is nothing.
fn peek(map: &MmapMut) -> Option<u8> {
    let mut byte = 0u8;
    let to = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    let from = libc::iovec {
        iov_base: map.as_ptr().cast_mut().cast(),
        iov_len: 1,
    };
    // SAFETY: `to` is one byte that this thread may write.
    let done = unsafe { libc::process_vm_readv(libc::getpid(), &to, 1, &from, 1, 0) };

    (done == 1).then_some(byte)
}

/// What an advice that may discard the contents leaves of them.
fn unchecked(subject: &Subject, advice: UncheckedAdvice) -> Outcome {
    let mut map = subject.map_mut()?;

    set_byte(&mut map, 0, 0xa5);
    // SAFETY: No reference to the memory exists.
    unsafe { map.unchecked_advise(advice) }?;
    Ok(match peek(&map) {
        None => GONE,
        Some(0xa5) => KEPT,
        Some(_) => HOLE,
    })
}

fn dont_need(subject: &Subject) -> Outcome {
    unchecked(subject, UncheckedAdvice::DontNeed)
}

fn free(subject: &Subject) -> Outcome {
    unchecked(subject, UncheckedAdvice::Free)
}

fn remove(subject: &Subject) -> Outcome {
    unchecked(subject, UncheckedAdvice::Remove)
}

const OK: &str = "ok";
/// The mapping does not show what another mapping gets.
const OTHER: &str = "ok, other memory";
const NO_EXEC: &str = "ok, not executable";
const COPY: &str = "ok, a copy";
const EMPTY: &str = "ok, empty";
const ALL: &str = "ok, all";
const LOCKED: &str = "ok, locked";
const NOT: &str = "ok, not locked";
const KEPT: &str = "ok, kept";
const HOLE: &str = "ok, discarded";
const GONE: &str = "ok, unmapped";
/// What the crate says without a call of the kernel.
const TOO_LARGE: &str = "memory map offset is larger than length";
const EACCES: &str = "EACCES";
const EFAULT: &str = "EFAULT";
const EINVAL: &str = "EINVAL";
const ENODEV: &str = "ENODEV";
const ENXIO: &str = "ENXIO";
const EPERM: &str = "EPERM";

/// A call, and what it must give for each of [`NAMES`].
type Case = (&'static str, fn(&Subject) -> Outcome, [&'static str; 7]);

#[rustfmt::skip]
const CASES: &[Case] = &[
    //   memfd      zero       memfile    mmap       demand     plain      pfn
    ("len", len,
        [OK,        OTHER,     OK,        OK,        OK,        OK,        OK]),
    ("no_len", no_len,
        [ALL,       EMPTY,     ALL,       EMPTY,     EMPTY,     EMPTY,     EMPTY]),
    ("no_len_flush", no_len_flush,
        [OK,        OK,        OK,        OK,        OK,        OK,        OK]),
    ("no_len_at_an_offset", no_len_at_an_offset,
        [OK,        TOO_LARGE, OK,        TOO_LARGE, TOO_LARGE, TOO_LARGE, TOO_LARGE]),
    ("offset_in_a_page", offset_in_a_page,
        [OK,        OTHER,     OK,        OK,        OK,        OK,        OK]),
    ("len_past_the_end", len_past_the_end,
        [OK,        OK,        OK,        ENXIO,     ENXIO,     OK,        EINVAL]),
    ("offset_past_the_end", offset_past_the_end,
        [OK,        OK,        OK,        ENXIO,     ENXIO,     OK,        EINVAL]),
    ("populate", populate,
        [OK,        OTHER,     OK,        OK,        OK,        OK,        OK]),
    ("map_mut", map_mut,
        [OK,        OTHER,     OK,        OK,        OK,        OK,        OK]),
    ("map_mut_read_only", map_mut_read_only,
        [EACCES,    EACCES,    EACCES,    EACCES,    EACCES,    EACCES,    EACCES]),
    ("map_copy", map_copy,
        [COPY,      COPY,      COPY,      EINVAL,    EINVAL,    EINVAL,    EINVAL]),
    ("map_copy_read_only", map_copy_read_only,
        [OK,        OTHER,     OK,        OK,        OK,        OK,        OK]),
    ("map_exec", map_exec,
        [OK,        OK,        EPERM,     NO_EXEC,   OK,        OK,        OK]),
    ("make_exec", make_exec,
        [OK,        OK,        EACCES,    EACCES,    OK,        OK,        OK]),
    ("make_read_only", make_read_only,
        [OK,        OTHER,     OK,        OK,        OK,        OK,        OK]),
    ("make_mut", make_mut,
        [OK,        OK,        OK,        OK,        OK,        OK,        OK]),
    ("make_mut_read_only", make_mut_read_only,
        [EACCES,    EACCES,    EACCES,    EACCES,    EACCES,    EACCES,    EACCES]),
    ("flush", flush,
        [OK,        OK,        OK,        OK,        OK,        EINVAL,    EINVAL]),
    ("flush_range", flush_range,
        [OK,        OK,        OK,        OK,        OK,        EINVAL,    EINVAL]),
    ("flush_async", flush_async,
        [OK,        OK,        OK,        OK,        OK,        OK,        OK]),
    ("lock", lock,
        [LOCKED,    LOCKED,    LOCKED,    NOT,       NOT,       LOCKED,    NOT]),
    ("remap_shrink", remap_shrink,
        [OK,        OK,        OK,        OK,        OK,        OK,        OK]),
    ("remap_grow", remap_grow,
        [OK,        OK,        OK,        EFAULT,    EFAULT,    OK,        EFAULT]),
    ("sequential", sequential,
        [OK,        OK,        OK,        OK,        OK,        OK,        OK]),
    ("random", random,
        [OK,        OK,        OK,        OK,        OK,        OK,        OK]),
    ("will_need", will_need,
        [OK,        OK,        OK,        OK,        OK,        OK,        OK]),
    ("dont_fork", dont_fork,
        [OK,        OK,        OK,        OK,        OK,        OK,        OK]),
    ("do_fork", do_fork,
        [OK,        OK,        OK,        EINVAL,    EINVAL,    OK,        EINVAL]),
    ("dont_dump", dont_dump,
        [OK,        OK,        OK,        OK,        OK,        OK,        OK]),
    ("do_dump", do_dump,
        [OK,        OK,        OK,        EINVAL,    EINVAL,    OK,        EINVAL]),
    ("mergeable", mergeable,
        [OK,        OK,        OK,        OK,        OK,        OK,        OK]),
    ("populate_read", populate_read,
        [OK,        OK,        OK,        OK,        OK,        OK,        EINVAL]),
    ("populate_write", populate_write,
        [OK,        OK,        OK,        OK,        OK,        OK,        EINVAL]),
    ("dont_need", dont_need,
        [KEPT,      KEPT,      KEPT,      GONE,      KEPT,      KEPT,      EINVAL]),
    ("free", free,
        [EINVAL,    EINVAL,    EINVAL,    EINVAL,    EINVAL,    EINVAL,    EINVAL]),
    ("remove", remove,
        [HOLE,      HOLE,      HOLE,      ENODEV,    ENODEV,    ENODEV,    ENODEV]),
];

/// Returns the word about an outcome: for an error, the name of its errno, or what the crate says.
fn word(outcome: Outcome) -> String {
    let error = match outcome {
        Ok(word) => return word.into(),
        Err(error) => error,
    };
    let name = match error.raw_os_error() {
        Some(libc::EACCES) => "EACCES",
        Some(libc::EFAULT) => "EFAULT",
        Some(libc::EINVAL) => "EINVAL",
        Some(libc::ENODEV) => "ENODEV",
        Some(libc::ENOMEM) => "ENOMEM",
        Some(libc::ENXIO) => "ENXIO",
        Some(libc::EOPNOTSUPP) => "EOPNOTSUPP",
        Some(libc::EPERM) => "EPERM",
        _ => return error.to_string(),
    };
    name.into()
}

fn main() -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    let mut subjects = Vec::new();

    println!("TAP version 13");
    println!("1..{}", CASES.len());
    for name in NAMES {
        match Subject::open(name) {
            Ok(Some(subject)) => subjects.push(Some(subject)),
            Ok(None) => {
                println!("# {name}: no QEMU -device ivshmem-plain");
                subjects.push(None);
            }
            Err(error) => {
                println!("Bail out! {name}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    for (number, (name, call, expected)) in (1..).zip(CASES) {
        let mut wrong = Vec::new();

        for (subject, expected) in subjects.iter().zip(expected) {
            let Some(subject) = subject else {
                continue;
            };
            let found = word(call(subject));

            if found != *expected {
                wrong.push(format!("# {}: {found}, not {expected}", subject.name));
            }
        }
        if wrong.is_empty() {
            println!("ok {number} {name}");
        } else {
            println!("not ok {number} {name}\n{}", wrong.join("\n"));
            code = ExitCode::FAILURE;
        }
    }
    code
}
