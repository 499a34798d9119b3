//! Sends what waits in a file of this machine to where it is to be an object.
//!
//! Only what a journal trusts is ever sent, and only to an upload that the journal names: so whatever
//! a store has is known to who goes on, and a part that is sent twice has the same bytes. What the
//! journal knows to be there, the file need not hold any more.

use crate::storage::disk::HeldFile;
use crate::storage::upload::{Sent, Upload};
use std::io;

/// An object that is sent out of a file.
pub(super) struct Sending {
    upload: Box<dyn Upload>,
    /// Up to here a journal trusts the file.
    trusted: u64,
    /// Whether the journal names the upload.
    is_named: bool,
    /// How many parts the file holds no more.
    forgotten: usize,
    /// What was in its place when the journal was sealed, where that is known.
    before: Option<String>,
}

impl Sending {
    /// `trusted`: how much of the file a journal trusts that names the upload, if there is one.
    pub(super) fn new(mut upload: Box<dyn Upload>, trusted: u64) -> Self {
        let sent = upload.sent();
        let forgotten = sent.as_ref().map_or(0, |sent| sent.parts.len());
        Sending { upload, trusted, is_named: sent.is_some(), forgotten, before: None }
    }

    /// Sends the parts that may be sent by now. Waits where too many are on their way.
    pub(super) fn go_on(&mut self, file: &dyn HeldFile) -> io::Result<()> {
        while self.is_named {
            let part = self.upload.part(self.upload.next());
            if part.end > self.trusted {
                break;
            }
            self.upload.send(file.read_at(part.start, (part.end - part.start) as usize)?)?;
        }
        Ok(())
    }

    /// What a journal is to know that will trust so many bytes: more than a part is an upload's.
    pub(super) fn sent(&mut self, len: u64) -> io::Result<Option<Sent>> {
        if len > self.upload.part(0).end {
            self.upload.begin()?;
        }
        Ok(self.upload.sent())
    }

    /// A journal trusts so many bytes, and knows of what was sent.
    pub(super) fn trust(&mut self, len: u64, sent: Option<&Sent>, file: &dyn HeldFile) {
        self.trusted = len;
        let Some(Sent { parts, .. }) = sent else { return };
        self.is_named = true;
        if parts.len() > self.forgotten {
            self.forgotten = parts.len();
            file.forget(self.upload.part(self.forgotten - 1).end);
        }
    }

    /// Sends the rest of a file of this length.
    pub(super) fn prepare(&mut self, len: u64, file: &dyn HeldFile) -> io::Result<()> {
        self.trusted = len;
        if len > self.upload.part(0).end {
            self.upload.begin()?;
        }
        if self.upload.sent().is_none() {
            return Ok(());
        }
        self.is_named = true;
        self.go_on(file)?;
        let start = self.upload.part(self.upload.next()).start;
        if start < len {
            self.upload.send(file.read_at(start, (len - start) as usize)?)?;
        }
        self.upload.settle()
    }

    /// Makes it an object, whole; says which content that has, where it is known.
    pub(super) fn commit(&mut self, len: u64, file: &dyn HeldFile) -> io::Result<Option<String>> {
        match self.upload.sent() {
            None => self.upload.put(file.read_at(0, len as usize)?),
            // The answer that it was made may have been lost, and the next is that there is no such
            // upload any more.
            Some(_) => match (self.upload.join(len), &self.before) {
                (Err(_), Some(before)) if self.upload.is_made(before, len).unwrap_or(false) => {
                    Ok(None)
                }
                (joined, _) => joined,
            },
        }
    }

    /// Looks at what is in its place now: what is there later is new.
    pub(super) fn found(&mut self) -> io::Result<Option<String>> {
        self.before = self.upload.found()?;
        Ok(self.before.clone())
    }

    pub(super) fn upload(&mut self) -> &mut dyn Upload {
        &mut *self.upload
    }
}
