//! An object that waits for `etl-host commit`: all of it is sent when the run publishes, and a ticket of it
//! is written to a file of this machine instead.
//!
//! The ticket is written when all is sent. Who has none, has no object to join: the upload of a run that fails
//! before is given up, and nobody joins that of one that was killed.

use super::publish::{Output, publish};
use crate::storage::Pending;
use crate::storage::upload::{Sent, Ticket};
use std::io::{self, Write as _};

/// An output that is held back.
pub struct Held {
    pending: Box<dyn Pending>,
    location: String,
    /// Taken when it is written.
    ticket: Option<Output>,
}

impl Held {
    /// Holds it back. `location`: as whoever joins it is to call it.
    pub fn new(pending: Box<dyn Pending>, location: String, ticket: Output) -> Self {
        Held { pending, location, ticket: Some(ticket) }
    }
}

impl Pending for Held {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pending.write(bytes)
    }

    fn prepare(&mut self) -> io::Result<()> {
        self.pending.prepare()
    }

    fn commit(&mut self) -> io::Result<Option<String>> {
        let Held { pending, location, ticket } = self;
        pending.hold(&mut |Sent { upload, parts }, bytes| {
            let mut file = ticket.take().ok_or_else(|| io::Error::other("it was held before"))?;
            let ticket = Ticket { location: location.clone(), upload, parts, bytes };
            let text = serde_json::to_string(&ticket).expect("its keys are texts");
            writeln!(file, "{text}")?;
            publish(vec![file], Vec::new()).map(drop).map_err(|unfinished| unfinished.source)
        })?;
        Ok(None)
    }

    fn remove(&mut self) -> io::Result<()> {
        self.pending.remove()
    }
}
