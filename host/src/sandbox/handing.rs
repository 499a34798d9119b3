//! The listener's way from the worker to its host, over the socket between them: one byte that says
//! what is held, and the descriptor beside it.
//!
//! The byte comes always, the descriptor where there is one. The worker's copy is closed when it is
//! sent: whoever holds it could allow what is forbidden.

use super::Entered;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

/// Where the calls of a worker that are asked about arrive. For [`super::Watch::start`].
#[derive(Debug)]
pub struct Listener {
    pub(super) fd: OwnedFd,
    /// Whether landlock decides about files.
    pub(super) files_held: bool,
}

const NOTHING: u8 = 0;
const LISTENER: u8 = 1;
const FILES_HELD: u8 = 2;

/// In the worker: gives the listener to the host, at the other end of this socket (a pair of streams).
pub fn hand_over(socket: impl AsFd, entered: &mut Entered) -> io::Result<()> {
    let listener = entered.listener.take();
    let byte = match &listener {
        None => NOTHING,
        Some(listener) => LISTENER | if listener.files_held { FILES_HELD } else { 0 },
    };
    let fds: Vec<_> = listener.iter().map(|listener| listener.fd.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        beside.push(SendAncillaryMessage::ScmRights(&fds));
    }
    loop {
        match sendmsg(&socket, &[IoSlice::new(&[byte])], &mut beside, SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// In the host: takes what the worker hands over. Waits for it as the socket waits for bytes; a
/// worker that died before is an error.
pub fn take_over(socket: impl AsFd) -> io::Result<Option<Listener>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = loop {
        let mut into = [IoSliceMut::new(&mut byte)];
        match recvmsg(&socket, &mut into, &mut beside, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            received => break received?,
        }
    };
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut fds = beside.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
        _ => Vec::new(),
    });
    let files_held = byte[0] & FILES_HELD != 0;
    match (byte[0] & LISTENER != 0, fds.next()) {
        (false, _) => Ok(None),
        (true, Some(fd)) => Ok(Some(Listener { fd, files_held })),
        (true, None) => Err(io::Error::other("the worker's listener was lost on its way")),
    }
}
