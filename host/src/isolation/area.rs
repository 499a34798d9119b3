//! The memory that a worker process and its host share: a block of words, records one way, predictions
//! the other.
//!
//! Its size is sealed where it is made, so that no side can take pages away under the other's feet; what
//! is longer than its part goes in pieces. Nothing in it is believed: the other side may write at any
//! time, so bytes are copied out before they are looked at, and numbers are read once.
//!
//! The trap: the plugin reads its records where they lie, so the host must not touch them before the
//! answer has come.

use model_abi_layout::Control;
use rustix::fs::{fstat, ftruncate};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::c_void;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};

/// The words stand behind the control block, on one page with it.
const WORDS_START: usize = size_of::<Control>();
const PAGE: usize = 4096;
/// A batch of usual size with its spans goes at once.
const REQUEST_BYTES: usize = 1024 * 1024;
/// An answer of usual size, which is bounded by 1 MiB and one prediction, with its ends.
const ANSWER_BYTES: usize = 2 * 1024 * 1024;
const BYTES: usize = PAGE + REQUEST_BYTES + ANSWER_BYTES;

/// The shared memory.
pub(super) struct Area {
    start: NonNull<u8>,
    fd: OwnedFd,
}

// SAFETY: it is a mapping that lives as long as the value; its words are atomics, and its parts are
// written by whoever's turn it is.
#[expect(unsafe_code, reason = "a raw mapping")]
unsafe impl Send for Area {}

/// A part of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// What the host writes.
    Request,
    /// What the worker writes.
    Answer,
}

impl Part {
    fn range(self) -> Range<usize> {
        match self {
            Part::Request => PAGE..PAGE + REQUEST_BYTES,
            Part::Answer => PAGE + REQUEST_BYTES..BYTES,
        }
    }

    /// How much goes into it at once.
    pub(super) fn len(self) -> usize {
        self.range().len()
    }
}

/// A number in it.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub(super) enum Word {
    /// How many bytes of a part are used.
    Piece,
    Records,
    OutputBytesMax,
    Flags,
    Status,
    Answered,
    Output,
    OutputEnds,
    Errors,
    ErrorText,
    Notes,
    NoteEnds,
}

impl Area {
    /// A new one, all zeros.
    pub(super) fn new() -> io::Result<Self> {
        let fd = made()?;
        Area::map(fd)
    }

    /// One that another process made.
    pub(super) fn of(fd: OwnedFd) -> io::Result<Self> {
        let len = fstat(&fd)?.st_size;
        if usize::try_from(len).ok() != Some(BYTES) {
            return Err(io::Error::other(format!("the shared memory is {len} bytes long")));
        }
        Area::map(fd)
    }

    #[expect(unsafe_code, reason = "a mapping")]
    fn map(fd: OwnedFd) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at a place that the system chooses; the file is as long as it, which
        // `made` seals.
        let start = unsafe { mmap(ptr::null_mut(), BYTES, access, MapFlags::SHARED, &fd, 0)? };
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at null"))?;
        Ok(Area { start, fd })
    }

    /// What the other process needs to map it.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The control block of a request.
    #[expect(unsafe_code, reason = "a raw mapping")]
    pub(super) fn control(&self) -> &Control {
        // SAFETY: the mapping begins with a page for it, aligned as pages are; all of its words are
        // atomics, so any bits are fine and both sides may hold it.
        unsafe { self.start.cast::<Control>().as_ref() }
    }

    #[expect(unsafe_code, reason = "a raw mapping")]
    fn word(&self, word: Word) -> &AtomicU64 {
        // SAFETY: the words stand behind the control block, on the page that both fill, aligned to
        // eight bytes as it is; any bits are a number.
        unsafe { self.start.add(WORDS_START).cast::<AtomicU64>().add(word as usize).as_ref() }
    }

    /// Writes a number.
    pub(super) fn set(&self, word: Word, value: u64) {
        self.word(word).store(value, Ordering::Relaxed);
    }

    /// Reads a number. It may be any.
    pub(super) fn get(&self, word: Word) -> u64 {
        self.word(word).load(Ordering::Relaxed)
    }

    /// Copies into a part, from there on. Panics where it would not fit.
    #[expect(unsafe_code, reason = "a raw mapping")]
    pub(super) fn put(&self, part: Part, at: usize, bytes: &[u8]) {
        let Range { start, end } = part.range();
        assert!(start + at + bytes.len() <= end, "{part:?} is full");
        // SAFETY: it was seen that they fit in the part, and the part lies in the mapping; what is
        // copied is memory of this process, and so is not in it.
        unsafe {
            let to = self.start.add(start + at).as_ptr();
            ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
    }

    /// Copies out of a part, behind what `to` holds. Panics where the part is not that long.
    #[expect(unsafe_code, reason = "a raw mapping")]
    pub(super) fn take(&self, part: Part, from: Range<usize>, to: &mut Vec<u8>) {
        let Range { start, end } = part.range();
        let len = from.len();
        assert!(from.end <= end - start, "{part:?} is not that long");
        to.reserve(len);
        // SAFETY: it was seen that they lie in the part, which lies in the mapping; `to` has room for
        // them, and is memory of this process. Any bits are bytes, whoever writes them meanwhile.
        unsafe {
            let from = self.start.add(start + from.start).as_ptr();
            ptr::copy_nonoverlapping(from, to.as_mut_ptr().add(to.len()), len);
            to.set_len(to.len() + len);
        }
    }

    /// The first bytes of a request. For the worker: the host leaves them alone until it has the answer.
    #[expect(unsafe_code, reason = "a raw mapping")]
    pub(super) fn request(&self, len: usize) -> &[u8] {
        let Range { start, end } = Part::Request.range();
        assert!(len <= end - start, "a request is not that long");
        // SAFETY: it was seen that the part is as long, and the part lies in the mapping. It is written by
        // the host alone, which waits for the answer now.
        unsafe { slice::from_raw_parts(self.start.add(start).as_ptr(), len) }
    }
}

impl Drop for Area {
    #[expect(unsafe_code, reason = "a mapping")]
    fn drop(&mut self) {
        // SAFETY: it was mapped by `map` with this length, and nobody can hold a part of it any more.
        let _ = unsafe { munmap(self.start.as_ptr().cast::<c_void>(), BYTES) };
    }
}

/// Memory that has a descriptor and, from now on, this size.
#[cfg(target_os = "linux")]
fn made() -> io::Result<OwnedFd> {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    let fd = memfd_create("etl-host", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&fd, BYTES as u64)?;
    fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(fd)
}

/// The same by a file without a name, which a plugin that means harm could cut short.
#[cfg(not(target_os = "linux"))]
fn made() -> io::Result<OwnedFd> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let (process, number) = (std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(format!("etl-host-{process}-{number}"));
    let file = std::fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    ftruncate(&file, BYTES as u64)?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_side_writes_the_other_reads() {
        let host = Area::new().unwrap();
        let worker = Area::of(host.fd().try_clone_to_owned().unwrap()).unwrap();
        host.put(Part::Request, 3, b"abc");
        host.set(Word::NoteEnds, 7);
        worker.control().progress.store(5, Ordering::Relaxed);
        worker.put(Part::Answer, Part::Answer.len() - 1, b"z");
        assert_eq!(worker.request(6), b"\0\0\0abc");
        assert_eq!(worker.get(Word::NoteEnds), 7);
        assert_eq!(host.control().progress.load(Ordering::Relaxed), 5);
        let mut taken = b"before".to_vec();
        host.take(Part::Answer, Part::Answer.len() - 2..Part::Answer.len(), &mut taken);
        assert_eq!(taken, b"before\0z");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn nobody_can_change_its_size() {
        let area = Area::new().unwrap();
        assert!(ftruncate(area.fd(), 0).is_err());
        assert!(ftruncate(area.fd(), 2 * BYTES as u64).is_err());
    }

    #[test]
    fn memory_of_another_size_is_refused() {
        let file = tempfile::tempfile().unwrap();
        assert!(Area::of(file.into()).is_err());
    }

    #[test]
    #[should_panic(expected = "Request is full")]
    fn what_does_not_fit_is_not_written() {
        Area::new().unwrap().put(Part::Request, Part::Request.len(), b"x");
    }
}
