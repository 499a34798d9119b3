//! What a path is opened on: local files today. A source knows bytes and never where they live.

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Bytes that are read from front to back.
pub trait Input: Send {
    /// Appends at most what fits into the buffer's spare capacity; 0 at the end.
    fn read(&mut self, buf: &mut Vec<u8>) -> io::Result<usize>;

    /// Waits until a read would not wait, but no longer than this. False: nothing came.
    fn wait(&mut self, timeout: Duration) -> io::Result<bool>;

    /// How many bytes there are in all, where that is known.
    fn bytes_total(&self) -> Option<u64>;
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
    Ok(Box::new(LocalFile { bytes_total: metadata.is_file().then_some(metadata.len()), file }))
}

struct LocalFile {
    file: File,
    /// `None`: a pipe, a terminal, a device or a socket, which may keep us waiting.
    bytes_total: Option<u64>,
}

impl Input for LocalFile {
    fn read(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            match rustix::io::read(&self.file, spare_capacity(buf)) {
                Err(rustix::io::Errno::INTR) => {}
                // A pipe that somebody else made non-blocking: we wait all the same.
                Err(rustix::io::Errno::AGAIN) => {
                    let _ = poll(&mut [PollFd::new(&self.file, PollFlags::IN)], None);
                }
                result => return Ok(result?),
            }
        }
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        if self.bytes_total.is_some() {
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
        self.bytes_total
    }
}

/// Bytes in memory.
pub struct Memory {
    bytes: Vec<u8>,
    position: usize,
}

impl Memory {
    /// Reads from the first byte on.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Memory { bytes: bytes.into(), position: 0 }
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
}
