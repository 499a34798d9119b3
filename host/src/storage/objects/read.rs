//! Reads an object from front to back, several ranges of it at once, so that one is on its way while
//! another is waited for.
//!
//! At most [`IN_FLIGHT`] ranges of [`RANGE_BYTES`] are held: 32 MiB. A web server is asked for all
//! of it at once, since many know no ranges; then what has come and was not taken is bounded by the
//! number of pieces.
//!
//! A range that breaks off is asked for again from the byte that it had come to, and only as long as
//! the object has the ETag that it had: no mixture of two objects is ever read.

use super::bridge::{block_on, bridge, pause};
use super::{Bucket, trouble, version_of};
use crate::record::RecordPosition;
use crate::storage::{Input, RandomAccess, Trouble};
use bytes::Bytes;
use futures_util::StreamExt as _;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta};
use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Long enough that asking costs little beside reading.
const RANGE_BYTES: u64 = 8 * 1024 * 1024;
const IN_FLIGHT: usize = 4;
/// How much to ask for at once behind the expected end: about a record.
const MORE_BYTES: u64 = 64 * 1024;
/// More than a range has: a piece is a few KiB at least.
const PIECES_OF_RANGE: usize = 4096;
/// Of the whole. A piece is at most some 400 KiB.
const PIECES_OF_WHOLE: usize = 32;
/// How often a range may break off without having come any further.
const BREAKS: u32 = 8;

/// An object as it was when it was looked at.
#[derive(Clone)]
struct Object {
    bucket: Arc<Bucket>,
    path: Path,
    /// Its name, for messages.
    shown: String,
    meta: ObjectMeta,
}

/// Reads an object.
pub(super) struct Reader {
    object: Object,
    /// Where the next range begins.
    next: u64,
    /// From here on, nothing is set on its way before it is asked for, and little at once.
    expected_end: u64,
    fetches: VecDeque<Fetch>,
    current: Bytes,
    failed: Option<io::Error>,
}

/// A range that is on its way.
struct Fetch {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    task: JoinHandle<()>,
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Reader {
    pub(super) fn new(bucket: Arc<Bucket>, shown: String, meta: ObjectMeta) -> Self {
        let object = Object { bucket, path: meta.location.clone(), shown, meta };
        let (fetches, current) = (VecDeque::new(), Bytes::new());
        Reader { object, next: 0, expected_end: u64::MAX, fetches, current, failed: None }
    }

    /// Sets ranges on their way, as many as there may be.
    fn fetch(&mut self) -> io::Result<()> {
        let total = self.object.meta.size;
        let (in_flight, bytes, pieces) = match self.object.bucket.is_http() {
            true => (1, u64::MAX, PIECES_OF_WHOLE),
            false => (IN_FLIGHT, RANGE_BYTES, PIECES_OF_RANGE),
        };
        while self.fetches.len() < in_flight && self.next < total {
            let bytes = match self.expected_end.checked_sub(self.next) {
                None | Some(0) if !self.fetches.is_empty() => break,
                None | Some(0) => bytes.min(MORE_BYTES),
                Some(left) => bytes.min(left),
            };
            let range = self.next..total.min(self.next.saturating_add(bytes));
            self.next = range.end;
            let (sender, receiver) = mpsc::channel(pieces);
            let task = bridge()?.spawn(self.object.clone().fetch(range, sender));
            self.fetches.push_back(Fetch { pieces: receiver, task });
        }
        Ok(())
    }

    /// Waits until there is something in `current`, or a failure, or the end, but no longer than this.
    /// False: nothing came.
    fn wait_for(&mut self, timeout: Duration) -> io::Result<bool> {
        while self.current.is_empty() && self.failed.is_none() {
            self.fetch()?;
            let Some(front) = self.fetches.front_mut() else { return Ok(true) };
            let piece = match front.pieces.try_recv() {
                Ok(piece) => Some(piece),
                Err(mpsc::error::TryRecvError::Disconnected) => None,
                Err(mpsc::error::TryRecvError::Empty) => {
                    let pieces = &mut front.pieces;
                    match block_on(async { tokio::time::timeout(timeout, pieces.recv()).await })? {
                        Ok(piece) => piece,
                        Err(_) => return Ok(false),
                    }
                }
            };
            match piece {
                Some(Ok(bytes)) => self.current = bytes,
                Some(Err(error)) => self.failed = Some(error),
                None => drop(self.fetches.pop_front()),
            }
        }
        Ok(true)
    }
}

impl Input for Reader {
    fn read(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        while !self.wait_for(Duration::from_secs(3600))? {}
        if self.current.is_empty() {
            return self.failed.take().map_or(Ok(0), Err);
        }
        let len = self.current.len().min(buf.capacity() - buf.len());
        buf.extend_from_slice(&self.current.split_to(len));
        Ok(len)
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        self.wait_for(timeout)
    }

    fn bytes_total(&self) -> Option<u64> {
        Some(self.object.meta.size)
    }

    fn version(&self) -> Option<String> {
        Some(version_of(&self.object.meta))
    }

    fn random_access(&self) -> Option<io::Result<Arc<dyn RandomAccess>>> {
        Some(Ok(Arc::new(self.object.clone())))
    }

    fn expect_end(&mut self, byte: u64) {
        self.expected_end = byte;
    }

    fn seek(&mut self, position: RecordPosition) -> io::Result<()> {
        self.fetches.clear();
        self.current = Bytes::new();
        self.next = position.byte;
        Ok(())
    }
}

impl RandomAccess for Object {
    fn bytes_total(&self) -> u64 {
        self.meta.size
    }

    fn read_at(&self, start: u64, len: usize) -> io::Result<Vec<u8>> {
        let end = start.checked_add(len as u64).filter(|&end| end <= self.meta.size);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut bytes = Vec::with_capacity(len);
        if len > 0 {
            let (sender, mut receiver) = mpsc::channel(PIECES_OF_RANGE);
            let fetch = self.clone().fetch(start..end, sender);
            let _fetch = Abort(bridge()?.spawn(fetch));
            while let Some(piece) = block_on(receiver.recv())? {
                bytes.extend_from_slice(&piece?);
            }
        }
        Ok(bytes)
    }
}

struct Abort(JoinHandle<()>);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Object {
    /// Sends the bytes of a range, or why they can't be had.
    async fn fetch(self, range: Range<u64>, pieces: mpsc::Sender<io::Result<Bytes>>) {
        let (mut at, mut breaks) = (range.start, 0);
        while at < range.end {
            let before = at;
            let broke = match self.read_on(&mut at, range.end, &pieces).await {
                Ok(()) => continue,
                Err(Broke::Unwanted) => return,
                Err(broke) => broke,
            };
            breaks = if at > before { 1 } else { breaks + 1 };
            let error = match broke {
                Broke::Unwanted => return,
                Broke::Store(error) if breaks <= BREAKS && trouble::is_broken(&error) => {
                    pause(breaks).await;
                    continue;
                }
                Broke::Store(error) => self.bucket.trouble(&self.shown, &error),
                Broke::Told(error) => error,
            };
            let _ = pieces.send(Err(error)).await;
            return;
        }
    }

    /// Reads on until it breaks off.
    async fn read_on(
        &self,
        at: &mut u64,
        end: u64,
        pieces: &mpsc::Sender<io::Result<Bytes>>,
    ) -> Result<(), Broke> {
        let range = *at..end;
        // As a whole it is asked for without a range, which is all that many servers know.
        let is_whole = self.bucket.is_http() && range == (0..self.meta.size);
        let options = GetOptions {
            range: (!is_whole).then_some(GetRange::Bounded(range)),
            if_match: self.meta.e_tag.clone().filter(|tag| !tag.starts_with("W/")),
            ..GetOptions::default()
        };
        let moves = &self.bucket.clients.moves;
        let got = moves.get_opts(&self.path, options).await.map_err(Broke::Store)?;
        // Not every store heeds the condition.
        if version_of(&got.meta) != version_of(&self.meta) {
            return Err(Broke::Told(self.changed(&got.meta)));
        }
        let mut stream = got.into_stream();
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(Broke::Store)?;
            *at += piece.len() as u64;
            pieces.send(Ok(piece)).await.map_err(|_| Broke::Unwanted)?;
        }
        if *at == end {
            return Ok(());
        }
        let source = "fewer bytes came than there are".into();
        Err(Broke::Store(object_store::Error::Generic { store: "", source }))
    }

    fn changed(&self, now: &ObjectMeta) -> io::Error {
        let (was, is) = (version_of(&self.meta), version_of(now));
        let what = format!("it changed while it was read: it had {was}, and has {is} now");
        Trouble::error(io::ErrorKind::InvalidData, what, None)
    }
}

/// Why a range was not read to its end.
enum Broke {
    Store(object_store::Error),
    Told(io::Error),
    /// Nobody takes it any more.
    Unwanted,
}
