// SPDX-License-Identifier: GPL-2.0

//! The operations of a Binder file.

use crate::{
    binderfs, context::Context, page_range::BinderVma, process::Process, BinderfsProcFile,
};
use kernel::{
    bindings,
    fs::{File, FileOf, FileOperations, FileTable, ReleasedFile},
    mm::desc::{Mapping, VmaDesc},
    prelude::*,
    sync::{poll::PollTable, Arc, ArcBorrow},
    types::ForeignOwnable, //
};

/// The table that rust_binderfs.c gives to the files.
#[no_mangle]
#[used]
// SAFETY: `open` calls `opened` before it returns 0, and nothing can fail after that. `poll` gets
// the private data from `private_data`. The owner and all other operations are those of the
// `kernel` crate.
static rust_binder_fops: FileTable<Process> = unsafe {
    FileTable::new(bindings::file_operations {
        open: Some(open),
        poll: Some(poll),
        ..FileTable::<Process>::OPERATIONS
    })
};

/// # Safety
///
/// C must be calling this for a file with the operations `rust_binder_fops`.
unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
    // SAFETY: rust_binderfs.c, which alone gives the table to files, has set `i_private` to a
    // `binder_device` that lives for as long as the inode. Its `ctx` is a context.
    let ctx = unsafe {
        let device = (*inode)
            .i_private
            .cast_const()
            .cast::<binderfs::binder_device>();
        Arc::<Context>::borrow((*device).ctx)
    };
    // SAFETY: By the safety requirements of this function, the file is being opened. There is no
    // `fdget_pos` region on a file that does not have a descriptor yet.
    let process = match Process::open(ctx, unsafe { File::from_raw_file(file) }) {
        Ok(process) => process,
        Err(err) => return err.to_errno(),
    };
    // SAFETY: The inode is that of a Binder file which is being opened.
    match unsafe { BinderfsProcFile::new(inode, process.task.pid()) } {
        Ok(Some(file)) => process.inner.lock().binderfs_file = Some(file),
        // There is one for this process already.
        Ok(None) => {}
        Err(err) => return err.to_errno(),
    }
    // SAFETY: By the safety requirements of this function, the file is in its `open`, and has this
    // table. `open` succeeds now, and calls this once.
    unsafe { rust_binder_fops.opened(file, process) };
    0
}

/// # Safety
///
/// C must be calling this for a file with the operations `rust_binder_fops`. `table` must be null
/// or valid.
unsafe extern "C" fn poll(
    file: *mut bindings::file,
    table: *mut bindings::poll_table_struct,
) -> bindings::__poll_t {
    // SAFETY: By the safety requirements of this function, the file has this table, and it is not
    // released before this function returns.
    let mask = unsafe { rust_binder_fops.private_data(file) }.and_then(|process| {
        // SAFETY: By the safety requirements of this function, the file and the table are valid.
        // This thread has no active `fdget_pos` region on the file.
        let (file, table) = unsafe { (File::from_raw_file(file), PollTable::from_raw(table)) };
        Process::poll(process, file, table)
    });
    mask.unwrap_or(bindings::POLLERR)
}

#[vtable]
impl FileOperations for Process {
    type Ptr = Arc<Self>;

    fn mmap_prepare<'f>(
        process: ArcBorrow<'f, Self>,
        desc: VmaDesc<'f, FileOf<Self>>,
    ) -> Result<Mapping<'f, FileOf<Self>>> {
        Ok(Process::check_mmap(process, desc)?
            .with_ops::<BinderVma>()?
            .map_nothing())
    }

    fn ioctl(process: ArcBorrow<'_, Self>, file: &File, cmd: u32, arg: usize) -> Result<isize> {
        Process::ioctl(process, file, cmd, arg)?;
        Ok(0)
    }

    fn flush(process: ArcBorrow<'_, Self>, _file: &File) -> Result {
        Process::flush(process)
    }

    fn release(process: Arc<Self>, _file: &ReleasedFile) {
        Process::release(process);
    }
}
