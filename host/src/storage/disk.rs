//! The disk that a run writes to, as the few operations on files and names that it needs.
//!
//! A trait, so that tests can put a disk in its place that fails, tears and forgets at any of them:
//! nothing is durable before `sync` (a file's bytes) or `sync_folder` (a folder's names) says so.

use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt as _, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

/// Files by name.
pub trait Disk: Send + Sync {
    /// Opens a file, which is made where it is not there, for this run alone until it is dropped.
    /// What is in it stays; writing begins behind it.
    fn hold(&self, path: &Path) -> Result<Box<dyn HeldFile>, HoldError>;

    /// Which file has a name; `None` where none has.
    fn find(&self, path: &Path) -> io::Result<Option<FileId>>;

    /// Gives a file another name, in the place of what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file; one that is not there is fine.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes what became of a folder's names durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// A file that no other run holds.
pub trait HeldFile: Send {
    /// Appends a beginning of `bytes`, and says how much of it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Cuts it to this length, behind which writing goes on.
    fn cut(&mut self, len: u64) -> io::Result<()>;

    /// All that is in it.
    fn read_all(&mut self) -> io::Result<Vec<u8>>;

    /// Exactly `len` bytes from `start` on.
    fn read_at(&self, start: u64, len: usize) -> io::Result<Vec<u8>>;

    /// The first bytes, so many, are not needed any more: gives back their room, where the file system
    /// knows how. All others stay where they are.
    fn forget(&self, len: u64);

    /// Makes what was written durable, its length too.
    fn sync(&self) -> io::Result<()>;

    /// Lets a stretch be written to the disk while others work. What can't be written is told by
    /// the next `sync`.
    fn begin_write_back(&self, start: u64, len: u64);

    /// Which file it is.
    fn id(&self) -> io::Result<FileId>;
}

/// Which file it is, whatever its name, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    /// By which it is known.
    pub number: FileNumber,
    /// Its length in bytes.
    pub len: u64,
}

/// By which a file is known whatever its name, on its own file system. Without the device's number,
/// which may be another after the machine was started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileNumber {
    /// Its inode's number, which is given again once the file is gone;
    pub inode: u64,
    /// so also when it was made, in nanoseconds since 1970, where the file system knows.
    pub made: u64,
}

/// Why a file can't be held.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// Something that is no file has its name.
    #[error("{} is in the way, and no file", .0.display())]
    NoFile(PathBuf),
    /// Another run holds it.
    #[error("another run is writing it (it holds {})", .0.display())]
    Busy(PathBuf),
    /// The system refuses.
    #[error("{action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// How long to wait for a lock: whoever has it may only want to look, or be about to end.
const PATIENCE: Duration = Duration::from_millis(100);

/// The file system of this machine.
pub struct Local;

impl Disk for Local {
    /// The trap: between opening the file and locking it, another run may have given it its final
    /// name. So after locking we look whether the name still means the file we hold.
    fn hold(&self, path: &Path) -> Result<Box<dyn HeldFile>, HoldError> {
        let failed = |action| move |source| HoldError::Io { action, path: path.to_owned(), source };
        let began = Instant::now();
        loop {
            // Not truncated: it may be another run's, until we hold its lock. Nor through a link,
            // which would have us write over what it points to; nor waiting for a FIFO's reader.
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
            let mut file = file.map_err(failed("can't create"))?;
            if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
                return Err(HoldError::NoFile(path.to_owned()));
            }
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if began.elapsed() < PATIENCE => {
                    std::thread::sleep(PATIENCE / 10);
                    continue;
                }
                Err(TryLockError::WouldBlock) => return Err(HoldError::Busy(path.to_owned())),
                Err(TryLockError::Error(error)) if cannot_lock(&error) => {}
                Err(TryLockError::Error(error)) => return Err(failed("can't lock")(error)),
            }
            if is_still(&file, path) {
                file.seek(SeekFrom::End(0)).map_err(failed("can't look into"))?;
                return Ok(Box::new(LocalFile(file)));
            }
        }
    }

    fn find(&self, path: &Path) -> io::Result<Option<FileId>> {
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_file() => Ok(Some(id(&metadata))),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        match File::open(folder).and_then(|folder| folder.sync_all()) {
            // A folder that may not be read, or a file system that knows no such flush.
            Err(error) if cannot_flush(&error) => Ok(()),
            result => result,
        }
    }
}

struct LocalFile(File);

impl HeldFile for LocalFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)?;
        self.0.seek(SeekFrom::Start(len)).map(drop)
    }

    fn read_all(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.0.seek(SeekFrom::Start(0))?;
        self.0.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn read_at(&self, start: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.0.read_exact_at(&mut bytes, start).map(|()| bytes)
    }

    #[cfg(target_os = "linux")]
    fn forget(&self, len: u64) {
        use rustix::fs::{FallocateFlags, fallocate};
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let _ = fallocate(&self.0, flags, 0, len); // where it can't be done, it takes room
    }

    #[cfg(not(target_os = "linux"))]
    fn forget(&self, _: u64) {}

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    #[cfg(target_os = "linux")]
    #[expect(unsafe_code, reason = "no crate we have wraps it")]
    fn begin_write_back(&self, start: u64, len: u64) {
        use std::os::fd::AsRawFd;
        let (start, len) = (start as libc::off64_t, len as libc::off64_t);
        let flags = libc::SYNC_FILE_RANGE_WRITE;
        // SAFETY: the descriptor is open as long as the file is; nothing else is handed over.
        unsafe { libc::sync_file_range(self.0.as_raw_fd(), start, len, flags) };
    }

    #[cfg(not(target_os = "linux"))]
    fn begin_write_back(&self, _: u64, _: u64) {}

    fn id(&self) -> io::Result<FileId> {
        Ok(id(&self.0.metadata()?))
    }
}

fn id(metadata: &std::fs::Metadata) -> FileId {
    let made = metadata.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let made = made.and_then(|made| made.as_nanos().try_into().ok()).unwrap_or_default();
    FileId { number: FileNumber { inode: metadata.ino(), made }, len: metadata.len() }
}

fn cannot_flush(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported)
}

/// Some network file systems have no locks; there the name alone has to do.
fn cannot_lock(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
        || error.raw_os_error() == Some(rustix::io::Errno::NOLCK.raw_os_error())
}

fn is_still(file: &File, path: &Path) -> bool {
    let (Ok(held), Ok(named)) = (file.metadata(), path.symlink_metadata()) else { return false };
    (held.dev(), held.ino()) == (named.dev(), named.ino())
}

#[cfg(test)]
pub(crate) mod sim;
