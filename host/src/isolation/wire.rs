//! What host and worker say to each other over a socket: frames, and open files beside them.
//!
//! Knows nothing of what a frame says, but for its length. The trap: the other side may stop in the
//! middle of a frame, so the host's end has a deadline for each read ([`Wire::pair`]); and its length
//! may be a lie, so it is bounded and nothing is reserved for it before it comes.

use crate::descriptors;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A description with its schemas may be long; this is far beyond.
const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a frame may take, once it has begun to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// One end.
pub(super) struct Wire {
    stream: UnixStream,
}

impl Wire {
    /// Both ends; the second is for the worker.
    pub(super) fn pair() -> io::Result<(Wire, OwnedFd)> {
        let (host, worker) = UnixStream::pair()?;
        host.set_read_timeout(Some(PATIENCE))?;
        host.set_write_timeout(Some(PATIENCE))?;
        Ok((Wire { stream: host }, worker.into()))
    }

    /// The worker's end.
    pub(super) fn of(fd: OwnedFd) -> Self {
        Wire { stream: fd.into() }
    }

    /// To wait for a frame with.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Says that nothing more will come.
    pub(super) fn close(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Sends a frame.
    pub(super) fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.send_with(frame, &[])
    }

    /// Sends a frame, and files beside it.
    pub(super) fn send_with(&mut self, frame: &[u8], files: &[BorrowedFd<'_>]) -> io::Result<()> {
        let len = u32::try_from(frame.len()).map_err(io::Error::other)?.to_ne_bytes();
        let parts = [IoSlice::new(&len), IoSlice::new(frame)];
        let sent = descriptors::send(&self.stream, &parts, files)?;
        let rest_of_len = len.get(sent..).unwrap_or_default();
        self.stream.write_all(rest_of_len)?;
        self.stream.write_all(&frame[sent.saturating_sub(len.len()).min(frame.len())..])
    }

    /// The next frame; `None` where the other side is gone.
    pub(super) fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.receive_with()?.map(|(frame, _)| frame))
    }

    /// The same, with the files beside it.
    pub(super) fn receive_with(&mut self) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
        let mut len = [0; 4];
        let (read, files) = match descriptors::receive(&self.stream, &mut len) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            received => received?,
        };
        if read == 0 {
            return Ok(None);
        }
        self.stream.read_exact(&mut len[read..])?;
        let len = u32::from_ne_bytes(len) as usize;
        if len > FRAME_BYTES_MAX {
            return Err(io::Error::other(format!("a message of {len} bytes")));
        }
        let deadline = Instant::now() + PATIENCE;
        let mut frame = Vec::new();
        let mut piece = [0; 8192];
        while frame.len() < len {
            let wanted = piece.len().min(len - frame.len());
            match self.stream.read(&mut piece[..wanted])? {
                0 => return Ok(None),
                read => frame.extend_from_slice(&piece[..read]),
            }
            if Instant::now() > deadline && frame.len() < len {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        Ok(Some((frame, files)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Seek;
    use std::thread;

    #[test]
    fn frames_of_any_length_arrive_whole_and_files_beside_them() {
        let (mut host, worker) = Wire::pair().unwrap();
        let mut worker = Wire::of(worker);
        for len in [0, 1, 5, 100_000, 3_000_000] {
            let frame: Vec<u8> = (0..len).map(|byte| byte as u8).collect();
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(b"beside").unwrap();
            thread::scope(|scope| {
                scope.spawn(|| host.send_with(&frame, &[file.as_fd(), file.as_fd()]).unwrap());
                let (received, files) = worker.receive_with().unwrap().unwrap();
                assert_eq!(received, frame);
                assert_eq!(files.len(), 2);
                let mut other: File = files.into_iter().next().unwrap().into();
                let mut text = String::new();
                other.rewind().unwrap();
                other.read_to_string(&mut text).unwrap();
                assert_eq!(text, "beside");
            });
            worker.send(&frame[..frame.len().min(1000)]).unwrap();
            assert_eq!(host.receive().unwrap().unwrap(), frame[..frame.len().min(1000)]);
        }
        drop(worker);
        assert!(host.receive().unwrap().is_none());
    }

    #[test]
    fn a_frame_that_says_it_is_endless_is_refused() {
        let (mut host, worker) = Wire::pair().unwrap();
        UnixStream::from(worker).write_all(&u32::MAX.to_ne_bytes()).unwrap();
        assert!(host.receive().unwrap_err().to_string().contains("a message of 4294967295 bytes"));
    }
}
