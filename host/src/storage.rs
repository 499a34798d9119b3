//! What a location is opened on. A source knows bytes and never where they live: [`services`] find
//! that out. [`disk`] is where a run writes files of this machine.

pub mod compressed;
pub mod database;
pub mod disk;
pub mod feed;
pub mod location;
pub mod names;
mod objects;
pub mod postgres;
pub mod secret;
pub mod services;
pub mod sqlite;
pub mod upload;

use crate::record::RecordPosition;
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use upload::Sent;

/// Bytes that are read from front to back.
pub trait Input: Send {
    /// Appends at most what fits into the buffer's spare capacity; 0 at the end.
    fn read(&mut self, buf: &mut Vec<u8>) -> io::Result<usize>;

    /// Waits until a read would not wait, but no longer than this. False: nothing came.
    fn wait(&mut self, timeout: Duration) -> io::Result<bool>;

    /// How many bytes there are in all, where that is known.
    fn bytes_total(&self) -> Option<u64>;

    /// Which content this is, as a text that differs where the content does: `20 bytes, changed
    /// …Z`. `None` for what can't be read once more.
    fn version(&self) -> Option<String> {
        None
    }

    /// The first bytes that are to be read, four of them where there are so many, if nobody has to wait
    /// for them. They stay to be read.
    fn first_bytes(&self) -> Option<io::Result<Vec<u8>>> {
        None
    }

    /// The same bytes, to be read from anywhere, where that can be done: some formats begin with what
    /// stands at their end.
    fn random_access(&self) -> Option<io::Result<Arc<dyn RandomAccess>>> {
        None
    }

    /// Nobody is likely to read much from this byte on: what is there need not be fetched before it is
    /// asked for.
    fn expect_end(&mut self, byte: u64) {
        let _ = byte;
    }

    /// Reads on from where a record begins, where it has a [`version`](Input::version). Bytes are
    /// found by the byte, rows by the line.
    fn seek(&mut self, position: RecordPosition) -> io::Result<()> {
        let _ = position;
        Err(io::ErrorKind::NotSeekable.into())
    }
}

/// Bytes that are read from anywhere.
pub trait RandomAccess: Send + Sync {
    /// How many there are.
    fn bytes_total(&self) -> u64;

    /// Exactly `len` bytes from `start` on, or an error of kind `UnexpectedEof`.
    fn read_at(&self, start: u64, len: usize) -> io::Result<Vec<u8>>;
}

/// Something to write to that is no file of this machine, and not visible before it is committed:
/// an object in a store, a table. Dropped before, it leaves nothing.
pub trait Pending: Send {
    /// Appends all of `bytes`.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes sure that nothing is left to do but [`commit`](Pending::commit).
    fn prepare(&mut self) -> io::Result<()>;

    /// Makes it visible, whole; says which content it has then, where that is known, as
    /// [`Input::version`] does.
    fn commit(&mut self) -> io::Result<Option<String>>;

    /// Instead: nothing is in it, and what an earlier run left under its name is removed.
    fn remove(&mut self) -> io::Result<()>;

    /// Instead: all of it stays where it is, not visible, for another process to
    /// [`join`](upload::Upload::join). `keep` is told of it; where that fails, nothing is left.
    fn hold(&mut self, keep: &mut dyn FnMut(Sent, u64) -> io::Result<()>) -> io::Result<()> {
        let _ = keep;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// What a service has to say of a failure. It is found inside an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Trouble {
    /// What happened, without any secret.
    pub what: String,
    /// What to do about it, where that is known.
    pub hint: Option<String>,
}

impl Trouble {
    /// An error of this kind that says so.
    pub fn error(kind: io::ErrorKind, what: impl Into<String>, hint: Option<&str>) -> io::Error {
        io::Error::new(kind, Trouble { what: what.into(), hint: hint.map(str::to_owned) })
    }

    /// The one that an error, or one of its causes, holds.
    pub fn of<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Trouble> {
        let io_error = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let held = io_error.map(|inner| inner as &(dyn std::error::Error + 'static));
        let found = held.and_then(|inner| inner.downcast_ref()).or_else(|| error.downcast_ref());
        found.or_else(|| error.source().and_then(Trouble::of))
    }
}

/// Opens a local path; `-` is stdin.
pub fn open(path: &Path) -> io::Result<Box<dyn Input>> {
    let file = if path == Path::new("-") {
        File::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?)
    } else {
        File::open(path)?
    };
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(Box::new(LocalFile { opened: metadata.is_file().then_some(metadata), file }))
}

/// Which content a local path has, as [`Input::version`] says it. Waits for nobody: a pipe is not
/// opened.
pub fn version(path: &Path) -> io::Result<Option<String>> {
    let is_file = path != Path::new("-") && path.metadata()?.is_file();
    if is_file { Ok(open(path)?.version()) } else { Ok(None) }
}

struct LocalFile {
    file: File,
    /// What it was when it was opened. `None`: a pipe, a terminal, a device or a socket, which may
    /// keep us waiting.
    opened: Option<Metadata>,
}

impl LocalFile {
    /// At the end: whoever wrote to it while it was read made a mixture of what we read.
    fn check_unchanged(&self) -> io::Result<()> {
        let Some(opened) = &self.opened else { return Ok(()) };
        let (was, is) = (version_of(opened), version_of(&self.file.metadata()?));
        if was == is {
            return Ok(());
        }
        let message = format!("it changed while it was read: it had {was}, and has {is} now");
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    }
}

fn version_of(metadata: &Metadata) -> String {
    let (bytes, seconds, nanos) = (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
    let time = u64::try_from(seconds).ok().filter(|&seconds| seconds < END_OF_9999);
    match time {
        Some(seconds) => {
            let time = UNIX_EPOCH + Duration::new(seconds, nanos as u32);
            format!("{bytes} bytes, changed {}", humantime::format_rfc3339_nanos(time))
        }
        // Before 1970, or behind the years that people write.
        None => format!("{bytes} bytes, changed at {seconds}.{nanos:09} s"),
    }
}

/// In seconds since 1970.
const END_OF_9999: u64 = 253_402_300_800;

impl Input for LocalFile {
    fn read(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            match rustix::io::read(&self.file, spare_capacity(buf)) {
                Err(rustix::io::Errno::INTR) => {}
                // A pipe that somebody else made non-blocking: we wait all the same.
                Err(rustix::io::Errno::AGAIN) => {
                    let _ = poll(&mut [PollFd::new(&self.file, PollFlags::IN)], None);
                }
                Ok(0) => return self.check_unchanged().map(|()| 0),
                result => return Ok(result?),
            }
        }
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        if self.opened.is_some() {
            return Ok(true);
        }
        let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
        let mut file = [PollFd::new(&self.file, PollFlags::IN)];
        match poll(&mut file, Some(&timeout)) {
            // A signal: as if nothing had come, so that whoever waits looks at why.
            Err(rustix::io::Errno::INTR) => Ok(false),
            ready => Ok(ready? > 0),
        }
    }

    fn bytes_total(&self) -> Option<u64> {
        self.opened.as_ref().map(Metadata::len)
    }

    fn version(&self) -> Option<String> {
        self.opened.as_ref().map(version_of)
    }

    fn first_bytes(&self) -> Option<io::Result<Vec<u8>>> {
        self.opened.as_ref()?;
        Some(first_bytes(&self.file))
    }

    fn random_access(&self) -> Option<io::Result<Arc<dyn RandomAccess>>> {
        let bytes_total = self.bytes_total()?;
        let file = self.file.try_clone();
        Some(file.map(|file| Arc::new(Anywhere { file, bytes_total }) as Arc<dyn RandomAccess>))
    }

    fn seek(&mut self, position: RecordPosition) -> io::Result<()> {
        Ok(rustix::fs::seek(&self.file, rustix::fs::SeekFrom::Start(position.byte)).map(drop)?)
    }
}

fn first_bytes(file: &File) -> io::Result<Vec<u8>> {
    let start = rustix::fs::tell(file)?; // stdin may be a file of which somebody read a part
    let mut bytes = vec![0; compressed::TELLING_BYTES];
    let mut len = 0;
    while len < bytes.len() {
        match file.read_at(&mut bytes[len..], start + len as u64) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(len);
    Ok(bytes)
}

/// A file of this machine, read from anywhere.
struct Anywhere {
    file: File,
    bytes_total: u64,
}

impl RandomAccess for Anywhere {
    fn bytes_total(&self) -> u64 {
        self.bytes_total
    }

    fn read_at(&self, start: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, start).map(|()| bytes)
    }
}

/// Bytes in memory.
pub struct Memory {
    bytes: Arc<[u8]>,
    position: usize,
}

impl RandomAccess for Arc<[u8]> {
    fn bytes_total(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, start: u64, len: usize) -> io::Result<Vec<u8>> {
        let start = usize::try_from(start).ok();
        let range = start.and_then(|start| self.get(start..start.checked_add(len)?));
        range.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl Memory {
    /// Reads from the first byte on.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Memory { bytes: bytes.into().into(), position: 0 }
    }
}

impl Input for Memory {
    fn read(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        let rest = &self.bytes[self.position..];
        let len = rest.len().min(buf.capacity() - buf.len());
        buf.extend_from_slice(&rest[..len]);
        self.position += len;
        Ok(len)
    }

    fn wait(&mut self, _: Duration) -> io::Result<bool> {
        Ok(true)
    }

    fn bytes_total(&self) -> Option<u64> {
        Some(self.bytes.len() as u64)
    }

    fn version(&self) -> Option<String> {
        Some(format!("{} bytes", self.bytes.len()))
    }

    fn random_access(&self) -> Option<io::Result<Arc<dyn RandomAccess>>> {
        Some(Ok(Arc::new(self.bytes.clone())))
    }

    fn seek(&mut self, position: RecordPosition) -> io::Result<()> {
        self.position = usize::try_from(position.byte).unwrap_or(usize::MAX).min(self.bytes.len());
        Ok(())
    }
}
