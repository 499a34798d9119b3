//! What became of the records: every one that was read has one fate, and the sums prove it.

use serde::{Deserialize, Serialize};

/// The fates of all records that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Read from the source.
    pub read: u64,
    /// Written to the output.
    pub written: u64,
    /// Dropped by a step whose work that is.
    pub filtered: u64,
    /// Held back by a rule.
    pub blocked: u64,
    /// Set aside with a reason.
    pub rejected: u64,
    /// Read, and not brought to an end: a closed pipe, a limit, an interrupt, an error.
    pub abandoned: u64,
}

impl Counts {
    /// Adds those of another run.
    pub fn add(&mut self, other: &Counts) {
        let Counts { read, written, filtered, blocked, rejected, abandoned } = other;
        self.read += read;
        self.written += written;
        self.filtered += filtered;
        self.blocked += blocked;
        self.rejected += rejected;
        self.abandoned += abandoned;
    }

    /// read = written + filtered + blocked + rejected + abandoned, or the sentence that says why
    /// that is not so.
    pub fn check_identity(&self) -> Result<(), String> {
        let Counts { read, written, filtered, blocked, rejected, abandoned } = *self;
        if read == written + filtered + blocked + rejected + abandoned {
            return Ok(());
        }
        Err(format!(
            "{read} records were read, but {written} written + {filtered} filtered + {blocked} \
             blocked + {rejected} rejected + {abandoned} abandoned are not so many"
        ))
    }
}

/// What one node did to a batch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) taken: u64,
    pub(crate) given: u64,
    pub(crate) rejected: u64,
}

/// What one node did to all batches that were written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Records that it was given.
    #[serde(rename = "in")]
    pub taken: u64,
    /// Records that it gave on.
    #[serde(rename = "out")]
    pub given: u64,
    /// Records that it could not go on with.
    #[serde(rename = "err")]
    pub rejected: u64,
}

impl Node {
    pub(crate) fn new(name: String) -> Self {
        Node { name, taken: 0, given: 0, rejected: 0 }
    }

    pub(crate) fn add(&mut self, counted: Counted) {
        self.taken += counted.taken;
        self.given += counted.given;
        self.rejected += counted.rejected;
    }
}
