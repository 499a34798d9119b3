//! The listener's way from the worker to its host, over the socket between them: one byte that says
//! what is held, and the descriptor beside it.
//!
//! The byte comes always, the descriptor where there is one. The worker's copy is closed when it is
//! sent: whoever holds it could allow what is forbidden.

use super::Entered;
use crate::descriptors;
use std::io::{self, IoSlice};
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
    descriptors::send(socket, &[IoSlice::new(&[byte])], &fds).map(drop)
}

/// In the host: takes what the worker hands over. Waits for it as the socket waits for bytes; a
/// worker that died before is an error.
pub fn take_over(socket: impl AsFd) -> io::Result<Option<Listener>> {
    let mut byte = [0];
    let (received, fds) = descriptors::receive(socket, &mut byte)?;
    if received == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let files_held = byte[0] & FILES_HELD != 0;
    match (byte[0] & LISTENER != 0, fds.into_iter().next()) {
        (false, _) => Ok(None),
        (true, Some(fd)) => Ok(Some(Listener { fd, files_held })),
        (true, None) => Err(io::Error::other("the worker's listener was lost on its way")),
    }
}
