//! What a worker's call names: the path in its memory, and the file that it means there.
//!
//! For the report alone: by the time it is read here, the worker may have changed it, and what it
//! gets is decided by landlock.
//!
//! The trap: `/proc/self` and `/proc/thread-self` are the worker's, not ours, and so is what a
//! relative path is relative to.

use super::Grants;
use super::files::{OF_ITSELF, readable};
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const PATH_BYTES_MAX: usize = 4096;
/// The smallest pages there are: what stands in one can be read at once.
const PAGE_BYTES: u64 = 4096;

/// A thread of a worker, by its number and that of its process.
#[derive(Clone, Copy)]
pub(super) struct Caller {
    pub(super) thread: u32,
    pub(super) process: u32,
}

impl Caller {
    /// The thread of this number; `None` where it has ended.
    pub(super) fn of(thread: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
        let process = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
        Some(Caller { thread, process: process.trim().parse().ok()? })
    }

    /// Whether it has a thread of this number.
    pub(super) fn has(self, thread: u32) -> bool {
        Path::new(&format!("/proc/{}/task/{thread}", self.process)).exists()
    }

    /// The path that a call names; relative ones to the folder that is open as `at`, or to the
    /// current one.
    pub(super) fn path(self, at: Option<i32>, address: u64) -> Option<PathBuf> {
        let path = PathBuf::from(OsString::from_vec(self.text(address)?));
        for (name, meant) in [
            ("/proc/self", format!("/proc/{}", self.process)),
            ("/proc/thread-self", format!("/proc/{}/task/{}", self.process, self.thread)),
        ] {
            if let Ok(rest) = path.strip_prefix(name) {
                return Some(Path::new(&meant).join(rest));
            }
        }
        if path.is_absolute() {
            return Some(path);
        }
        let base = match at {
            Some(fd) if fd != libc::AT_FDCWD => self.open(fd)?,
            _ => fs::read_link(format!("/proc/{}/cwd", self.thread)).ok()?,
        };
        Some(if path.as_os_str().is_empty() { base } else { base.join(path) })
    }

    /// The file that is open under this number.
    pub(super) fn open(self, fd: i32) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/fd/{fd}", self.thread)).ok()
    }

    /// Whether it is the name of something that it has open already, such as what the host has handed it.
    pub(super) fn has_open(self, path: &Path) -> bool {
        path.strip_prefix(format!("/proc/{}/fd", self.process))
            .is_ok_and(|fd| fd.components().count() == 1)
    }

    /// A text of C's in its memory.
    fn text(self, address: u64) -> Option<Vec<u8>> {
        let memory = File::open(format!("/proc/{}/mem", self.thread)).ok()?;
        let mut text = Vec::new();
        while text.len() < PATH_BYTES_MAX {
            let from = address.checked_add(text.len() as u64)?;
            // The next page may not be there.
            let mut piece = vec![0; (PAGE_BYTES - from % PAGE_BYTES) as usize];
            let read = memory.read_at(&mut piece, from).ok().filter(|read| *read > 0)?;
            piece.truncate(read);
            if let Some(end) = piece.iter().position(|byte| *byte == 0) {
                text.extend_from_slice(&piece[..end]);
                return Some(text);
            }
            text.extend(piece);
        }
        None
    }

    /// Where links lead from there; of what does not exist, its folder. `None` where that does not
    /// exist either.
    pub(super) fn real(self, path: &Path) -> Option<PathBuf> {
        let real = path.canonicalize().ok().or_else(|| self.entry(path))?;
        // A link to `/proc/self` has led to us, unless we are who was named.
        let ours = PathBuf::from(format!("/proc/{}", std::process::id()));
        Some(match real.strip_prefix(&ours) {
            Ok(rest) if !path.starts_with(&ours) => {
                Path::new(&format!("/proc/{}", self.process)).join(rest)
            }
            _ => real,
        })
    }

    /// The same of its folder alone: what is removed or made is a link itself.
    pub(super) fn entry(self, path: &Path) -> Option<PathBuf> {
        Some(self.real(path.parent()?)?.join(path.file_name()?))
    }

    /// A path as people are told: a file of its own in `/proc` has no number.
    pub(super) fn told(self, path: &Path) -> String {
        match path.strip_prefix(format!("/proc/{}", self.process)) {
            Ok(rest) => Path::new("/proc/self").join(rest),
            Err(_) => path.to_path_buf(),
        }
        .display()
        .to_string()
    }
}

/// What a worker may read, links resolved.
pub(super) struct Readable(Vec<PathBuf>);

impl Readable {
    pub(super) fn new(grants: &Grants) -> Self {
        Readable(readable(grants).iter().filter_map(|path| path.canonicalize().ok()).collect())
    }

    /// Whether it may read this file, which is a real path.
    pub(super) fn holds(&self, caller: Caller, real: &Path) -> bool {
        let own = format!("/proc/{}", caller.process);
        let of_itself = real
            .strip_prefix(own)
            .is_ok_and(|name| OF_ITSELF.iter().any(|file| name == Path::new(file)));
        of_itself || self.0.iter().any(|folder| real.starts_with(folder))
    }
}
