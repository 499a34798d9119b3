//! Sends an object out of a file, so that another process can go on: nothing is given up but when
//! somebody says so.

use super::bridge::{again, block_on, bridge};
use super::write::{ABORT, IN_FLIGHT_BYTES, Sending, part_bytes, wait_for};
use super::{Bucket, trouble, version_made};
use crate::storage::Trouble;
use crate::storage::upload::{Sent, Upload};
use bytes::Bytes;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore as _, ObjectStoreExt as _, PutMode, PutPayload};
use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use tokio::time::timeout;

/// An object on its way.
pub(super) struct Uploading {
    bucket: Arc<Bucket>,
    path: Path,
    /// Its name, for messages.
    shown: String,
    store: Arc<dyn MultipartStore>,
    sent: Option<Sent>,
    in_flight: VecDeque<Sending>,
    /// Why a part did not arrive: told to whoever sends the next.
    failed: Option<io::Error>,
}

impl Uploading {
    pub(super) fn new(
        bucket: Arc<Bucket>,
        path: Path,
        shown: String,
        sent: Option<Sent>,
    ) -> io::Result<Self> {
        let store = bucket.clients.parts.clone().ok_or(io::ErrorKind::Unsupported)?;
        let in_flight = VecDeque::new();
        Ok(Uploading { bucket, path, shown, store, sent, in_flight, failed: None })
    }

    fn trouble(&self, error: &object_store::Error) -> io::Error {
        if !trouble::is_gone_upload(error) {
            return self.bucket.trouble(&self.shown, error);
        }
        let what = format!(
            "{} has removed what was sent of `{}` before it was whole, as a rule of the bucket may say",
            self.bucket.clients.endpoint, self.shown
        );
        let hint = "start the same command once more; where it says the same, etl-host status --abort DIR, \
                    with the folder of --state, gives up what was done";
        Trouble::error(io::ErrorKind::NotFound, what, Some(hint))
    }

    /// What the oldest part on its way came to.
    fn arrive(&mut self) -> io::Result<()> {
        let Some(Sending { task, .. }) = self.in_flight.pop_front() else { return Ok(()) };
        let arrived = wait_for(&self.bucket.stop, task);
        let arrived = arrived.and_then(|it| it.map_err(|error| self.trouble(&error)));
        // Those behind one that is missing would be taken for it.
        let id =
            arrived.inspect_err(|_| self.in_flight.drain(..).for_each(|it| it.task.abort()))?;
        let sent = self.sent.as_mut().expect("parts are sent to an upload");
        sent.parts.push(id.content_id);
        Ok(())
    }

    fn upload(&self) -> io::Result<String> {
        let sent = self.sent.as_ref().ok_or_else(|| io::Error::other("no upload was begun"))?;
        Ok(sent.upload.clone())
    }
}

fn text(meta: &ObjectMeta) -> String {
    let tag = meta.e_tag.as_deref().unwrap_or("none");
    format!("{} bytes, ETag {tag}, changed {}", meta.size, meta.last_modified.to_rfc3339())
}

const NOTHING: &str = "nothing";

impl Upload for Uploading {
    fn begin(&mut self) -> io::Result<()> {
        let stop = &self.bucket.stop;
        if self.sent.is_some() || (stop.is_set() && !stop.is_ending()) {
            return Ok(());
        }
        let (store, path) = (self.store.clone(), self.path.clone());
        let begun = bridge()?.spawn(async move { again(|| store.create_multipart(&path)).await });
        let upload = wait_for(stop, begun)?.map_err(|error| self.trouble(&error))?;
        self.sent = Some(Sent { upload, parts: Vec::new() });
        Ok(())
    }

    fn sent(&mut self) -> Option<Sent> {
        while self.failed.is_none()
            && self.in_flight.front().is_some_and(|it| it.task.is_finished())
        {
            self.failed = self.arrive().err();
        }
        self.sent.clone()
    }

    fn part(&self, index: usize) -> Range<u64> {
        let start = (0..index).map(|index| part_bytes(index) as u64).sum();
        start..start + part_bytes(index) as u64
    }

    fn next(&self) -> usize {
        self.sent.as_ref().map_or(0, |sent| sent.parts.len()) + self.in_flight.len()
    }

    fn send(&mut self, part: Vec<u8>) -> io::Result<()> {
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        let bytes = part.len();
        while !self.in_flight.is_empty()
            && self.in_flight.iter().map(|it| it.bytes).sum::<usize>() + bytes > IN_FLIGHT_BYTES
        {
            self.arrive()?;
        }
        let (upload, index) = (self.upload()?, self.next());
        let (store, path, part) = (self.store.clone(), self.path.clone(), Bytes::from(part));
        let task = bridge()?.spawn(async move {
            let payload = PutPayload::from(part);
            again(|| store.put_part(&path, &upload, index, payload.clone())).await
        });
        self.in_flight.push_back(Sending { task, bytes });
        Ok(())
    }

    fn settle(&mut self) -> io::Result<()> {
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        while !self.in_flight.is_empty() {
            self.arrive()?;
        }
        Ok(())
    }

    fn join(&mut self, bytes: u64) -> io::Result<Option<String>> {
        let upload = self.upload()?;
        let parts = self.sent.iter().flat_map(|sent| &sent.parts);
        let parts: Vec<PartId> = parts.map(|id| PartId { content_id: id.clone() }).collect();
        let join = || self.store.complete_multipart(&self.path, &upload, parts.clone());
        let made = block_on(again(join))?.map_err(|error| self.trouble(&error))?;
        Ok(version_made(bytes, &made))
    }

    fn put(&mut self, whole: Vec<u8>) -> io::Result<Option<String>> {
        let bytes = whole.len() as u64;
        let payload = PutPayload::from(Bytes::from(whole));
        let put = || self.bucket.clients.moves.put(&self.path, payload.clone());
        let made = block_on(again(put))?.map_err(|error| self.trouble(&error))?;
        Ok(version_made(bytes, &made))
    }

    fn put_new(&mut self, whole: Vec<u8>) -> io::Result<bool> {
        let payload = PutPayload::from(Bytes::from(whole));
        let moves = &self.bucket.clients.moves;
        let put = || moves.put_opts(&self.path, payload.clone(), PutMode::Create.into());
        match block_on(again(put))? {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(self.trouble(&error)),
        }
    }

    fn found(&self) -> io::Result<Option<String>> {
        match block_on(self.bucket.first_byte(&self.path))? {
            Ok(meta) => Ok(Some(text(&meta))),
            Err(error) if trouble::is_missing_object(&error) => Ok(Some(NOTHING.to_owned())),
            // Who may write need not be allowed to read.
            Err(error) if trouble::is_unsure(&error) => Ok(None),
            Err(error) => Err(self.trouble(&error)),
        }
    }

    fn is_made(&self, before: &str, bytes: u64) -> io::Result<bool> {
        let now = self.found()?.unwrap_or_else(|| NOTHING.to_owned());
        Ok(now != NOTHING && now != before && now.starts_with(&format!("{bytes} bytes,")))
    }

    fn remove(&mut self) -> io::Result<()> {
        if self.found()?.as_deref() == Some(NOTHING) {
            return Ok(()); // who writes need not be allowed to remove
        }
        let moves = &self.bucket.clients.moves;
        match block_on(again(|| moves.delete(&self.path)))? {
            Err(error) if !trouble::is_missing_object(&error) => Err(self.trouble(&error)),
            _ => Ok(()),
        }
    }

    fn give_up(&mut self) -> io::Result<()> {
        let Some(Sent { upload, .. }) = self.sent.take() else { return Ok(()) };
        let give_up = again(|| self.store.abort_multipart(&self.path, &upload));
        match block_on(give_up)? {
            Err(error) if !trouble::is_gone_upload(&error) => Err(self.trouble(&error)),
            _ => Ok(()),
        }
    }
}

impl Drop for Uploading {
    /// What is on its way would arrive at nobody's.
    fn drop(&mut self) {
        let in_flight = std::mem::take(&mut self.in_flight);
        let Ok(bridge) = bridge() else { return };
        let end = async {
            for Sending { task, .. } in in_flight {
                task.abort();
                let _ = task.await;
            }
        };
        let _ = bridge.block_on(async { timeout(ABORT, end).await });
    }
}
