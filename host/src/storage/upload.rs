//! An object that one process after the other sends, in parts, out of a file of this machine.
//!
//! A part lies at the same place of the object in every run ([`Upload::part`]), so what another process
//! sent fits. Sent twice, a part is there once.

use serde::{Deserialize, Serialize};
use std::io;
use std::ops::Range;

/// What another process has to know to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Which upload it is, to the store.
    pub upload: String,
    /// What the store calls the parts that it has, from the first on, with none left out.
    pub parts: Vec<String>,
}

/// An object of which all was sent, and that is not there before somebody joins it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// Where it will be.
    pub location: String,
    /// Which upload it is, to the store; empty where that has none: Azure's knows only parts.
    pub upload: String,
    /// What the store calls its parts; none where it has no bytes, and nothing was sent.
    pub parts: Vec<String>,
    /// How many bytes they have.
    pub bytes: u64,
}

/// An object on its way. Dropped, it stays at the store as far as it was sent.
pub trait Upload: Send {
    /// Makes sure that it has begun, unless the run is to stop.
    fn begin(&mut self) -> io::Result<()>;

    /// What has arrived by now; nobody is waited for. `None`: it has not begun.
    fn sent(&mut self) -> Option<Sent>;

    /// Where a part lies, from 0, but that the last one may be shorter.
    fn part(&self, index: usize) -> Range<u64>;

    /// Which part is to be sent next.
    fn next(&self) -> usize;

    /// Sends the next part; waits where too many are on their way.
    fn send(&mut self, part: Vec<u8>) -> io::Result<()>;

    /// Waits until all that was sent has arrived.
    fn settle(&mut self) -> io::Result<()>;

    /// Makes the object of all parts, which have so many bytes; says which content it has then, where
    /// that is known.
    fn join(&mut self, bytes: u64) -> io::Result<Option<String>>;

    /// Makes the object of these bytes, where nothing was begun; says the same.
    fn put(&mut self, whole: Vec<u8>) -> io::Result<Option<String>>;

    /// The same, but only where there is nothing in its place: whether that was so. Where an answer was
    /// lost on the way, what is there may be these bytes.
    fn put_new(&mut self, whole: Vec<u8>) -> io::Result<bool> {
        let _ = whole;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// What is in its place now, as a text that differs where the object does; `None` where that
    /// can't be known.
    fn found(&self) -> io::Result<Option<String>>;

    /// Whether its place holds something else than `before`, of this length.
    fn is_made(&self, before: &str, bytes: u64) -> io::Result<bool>;

    /// Instead: what an earlier run left in its place is removed.
    fn remove(&mut self) -> io::Result<()>;

    /// The store forgets what was sent. That it has done so already is fine.
    fn give_up(&mut self) -> io::Result<()>;
}
