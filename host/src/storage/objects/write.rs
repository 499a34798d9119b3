//! Writes an object that is there whole or not at all: in parts, several on their way at once, which
//! a store joins at the end and not before; a small one in a single request.
//!
//! Parts are cut at fixed places of the output ([`part_bytes`]), whatever is on its way. At most
//! [`IN_FLIGHT_BYTES`] are, or one part, beside the one that is filled.
//!
//! Dropped before, the upload is given up: a store keeps parts, and takes money for them. What ends
//! this process at once leaves them there.

use super::bridge::{again, block_on, bridge};
use super::{Bucket, trouble, version_made};
use crate::stop::Stop;
use crate::storage::upload::Sent;
use crate::storage::{Pending, Trouble};
use bytes::Bytes;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, ObjectMeta, ObjectStoreExt as _, PutPayload};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Of the first thousand parts.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// Then twice as much for each thousand: no store takes more than 10,000 parts, and with these, they
/// are enough for all that a store takes.
const PARTS_OF_A_SIZE: usize = 1000;
pub(super) const IN_FLIGHT_BYTES: usize = 4 * PART_BYTES;
/// How often to look whether to stop, while a part is on its way.
const TICK: Duration = Duration::from_millis(50);
/// How long a store may take to hear that an upload is given up.
pub(super) const ABORT: Duration = Duration::from_secs(5);

pub(super) fn part_bytes(index: usize) -> usize {
    PART_BYTES << (index / PARTS_OF_A_SIZE).min(9)
}

/// What was at a place before it is written to.
pub(super) enum Before {
    There(ObjectMeta),
    Missing,
    /// Who writes may not look.
    Unknown,
}

/// An object that is being written.
pub(super) struct Writer {
    bucket: Arc<Bucket>,
    path: Path,
    /// Its name, for messages.
    shown: String,
    before: Before,
    /// The part that is filled.
    part: Vec<u8>,
    bytes: u64,
    upload: Option<MultipartId>,
    /// Of the parts that arrived.
    ids: Vec<PartId>,
    in_flight: VecDeque<Sending>,
}

/// A part that is on its way.
pub(super) struct Sending {
    pub(super) task: JoinHandle<object_store::Result<PartId>>,
    pub(super) bytes: usize,
}

/// Waits for a task, unless the run is to stop.
pub(super) fn wait_for<T>(stop: &Stop, mut task: JoinHandle<T>) -> io::Result<T> {
    loop {
        let waited = block_on(async { timeout(TICK, &mut task).await })?;
        if let Ok(done) = waited {
            return done.map_err(io::Error::other);
        }
        if stop.is_set() && !stop.is_ending() {
            task.abort();
            let what = "the run was told to stop while a part was on its way";
            return Err(Trouble::error(io::ErrorKind::Other, what, None));
        }
    }
}

impl Writer {
    pub(super) fn new(bucket: Arc<Bucket>, path: Path, shown: String, before: Before) -> Self {
        let (part, ids, in_flight) = (Vec::new(), Vec::new(), VecDeque::new());
        Writer { bucket, path, shown, before, part, bytes: 0, upload: None, ids, in_flight }
    }

    fn store(&self) -> io::Result<Arc<dyn MultipartStore>> {
        let parts = self.bucket.clients.parts.clone();
        parts.ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    fn trouble(&self, error: &object_store::Error) -> io::Error {
        self.bucket.trouble(&self.shown, error)
    }

    /// Sends the part that is filled.
    fn send(&mut self) -> io::Result<()> {
        let upload = match &self.upload {
            Some(upload) => upload.clone(),
            None => {
                let (store, path) = (self.store()?, self.path.clone());
                let begun =
                    bridge()?.spawn(async move { again(|| store.create_multipart(&path)).await });
                let upload =
                    wait_for(&self.bucket.stop, begun)?.map_err(|error| self.trouble(&error))?;
                self.upload.insert(upload).clone()
            }
        };
        let bytes = self.part.len();
        while !self.in_flight.is_empty()
            && self.in_flight.iter().map(|it| it.bytes).sum::<usize>() + bytes > IN_FLIGHT_BYTES
        {
            self.arrive()?;
        }
        let index = self.ids.len() + self.in_flight.len();
        let (store, path) = (self.store()?, self.path.clone());
        let part = Bytes::from(std::mem::take(&mut self.part));
        let task = bridge()?.spawn(async move {
            let payload = PutPayload::from(part);
            again(|| store.put_part(&path, &upload, index, payload.clone())).await
        });
        self.in_flight.push_back(Sending { task, bytes });
        Ok(())
    }

    /// Waits for the oldest part on its way.
    fn arrive(&mut self) -> io::Result<()> {
        let Some(Sending { task, .. }) = self.in_flight.pop_front() else { return Ok(()) };
        let id = wait_for(&self.bucket.stop, task)?.map_err(|error| self.trouble(&error))?;
        self.ids.push(id);
        Ok(())
    }

    /// Whether the object is the one that this upload makes. A store's answer that it was made may
    /// have been lost on the way, and the next is that there is no such upload any more.
    fn is_made(&self) -> bool {
        let moves = &self.bucket.clients.moves;
        let Ok(Ok(now)) = block_on(again(|| moves.head(&self.path))) else {
            return false;
        };
        let is_new = match &self.before {
            Before::There(was) => was.e_tag != now.e_tag || was.last_modified != now.last_modified,
            Before::Missing => true,
            Before::Unknown => false,
        };
        is_new && now.size == self.bytes
    }
}

impl Pending for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let size = part_bytes(self.ids.len() + self.in_flight.len());
            // One that is full waits for more, so that none is empty and a small output has none.
            if self.part.len() == size {
                self.send()?;
                continue;
            }
            let len = rest.len().min(size - self.part.len());
            self.part.extend_from_slice(&rest[..len]);
            self.bytes += len as u64;
            rest = &rest[len..];
        }
        Ok(())
    }

    fn prepare(&mut self) -> io::Result<()> {
        if self.upload.is_none() {
            return Ok(());
        }
        if !self.part.is_empty() {
            self.send()?;
        }
        while !self.in_flight.is_empty() {
            self.arrive()?;
        }
        Ok(())
    }

    fn commit(&mut self) -> io::Result<Option<String>> {
        let Some(upload) = self.upload.clone() else {
            let payload = PutPayload::from(Bytes::from(std::mem::take(&mut self.part)));
            let moves = &self.bucket.clients.moves;
            let put = || moves.put(&self.path, payload.clone());
            let put = block_on(again(put))?.map_err(|error| self.trouble(&error))?;
            return Ok(version_made(self.bytes, &put));
        };
        let store = self.store()?;
        let join = || store.complete_multipart(&self.path, &upload, self.ids.clone());
        let version = match block_on(again(join))? {
            Ok(made) => version_made(self.bytes, &made),
            Err(_) if self.is_made() => None,
            Err(error) => return Err(self.trouble(&error)),
        };
        self.upload = None;
        Ok(version)
    }

    fn remove(&mut self) -> io::Result<()> {
        if matches!(self.before, Before::Missing) {
            return Ok(());
        }
        let moves = &self.bucket.clients.moves;
        match block_on(again(|| moves.delete(&self.path)))? {
            Err(error) if !trouble::is_missing_object(&error) => Err(self.trouble(&error)),
            _ => Ok(()),
        }
    }

    /// A small one is an upload too, of one part. One without bytes is none: not every store has parts of
    /// nothing.
    fn hold(&mut self, keep: &mut dyn FnMut(Sent, u64) -> io::Result<()>) -> io::Result<()> {
        if !self.part.is_empty() {
            self.send()?;
        }
        while !self.in_flight.is_empty() {
            self.arrive()?;
        }
        let upload = self.upload.clone().unwrap_or_default();
        let parts = self.ids.iter().map(|id| id.content_id.clone()).collect();
        keep(Sent { upload, parts }, self.bytes)?;
        self.upload = None;
        Ok(())
    }
}

impl Drop for Writer {
    /// What is not committed leaves nothing behind.
    fn drop(&mut self) {
        let Some(upload) = self.upload.take() else { return };
        let (Ok(store), Ok(bridge)) = (self.store(), bridge()) else { return };
        let in_flight = std::mem::take(&mut self.in_flight);
        // Should it fail, the store has to clean up itself: there is nobody to tell.
        let give_up = async {
            for Sending { task, .. } in in_flight {
                task.abort();
                let _ = task.await; // one that arrives behind the end of the upload would stay
            }
            again(|| store.abort_multipart(&self.path, &upload)).await
        };
        let _ = bridge.block_on(async { timeout(ABORT, give_up).await });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_that_a_store_takes_are_enough_for_all_it_takes() {
        let total: u64 = (0..10_000).map(|index| part_bytes(index) as u64).sum();
        assert!(total > 5 << 40, "5 TiB");
        assert!(part_bytes(9_999) as u64 <= 5 << 30, "5 GiB");
        assert_eq!(part_bytes(999), PART_BYTES);
    }
}
