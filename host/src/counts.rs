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
    pub(crate) yielded: u64,
    pub(crate) filtered: u64,
    pub(crate) blocked: u64,
    pub(crate) rejected: u64,
}

/// What a node is to those it takes from and gives to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Records begin there: it takes none.
    Source,
    /// It takes records and gives records on.
    #[default]
    Step,
    /// Records end there: what it gives on is what it wrote.
    Sink,
}

/// What one node did to all batches that were written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// What it is to the others.
    pub role: Role,
    /// Records that it was given.
    #[serde(rename = "in")]
    pub taken: u64,
    /// Of those, how many it gave on, changed or not; of a sink: wrote.
    #[serde(rename = "out")]
    pub given: u64,
    /// How many records it gave on: others than `given` where it makes several of one.
    pub yielded: u64,
    /// Records that were not wanted.
    pub filtered: u64,
    /// Records that it held back.
    pub blocked: u64,
    /// Records that it could not go on with.
    #[serde(rename = "err")]
    pub rejected: u64,
}

impl Node {
    pub(crate) fn new(name: String, role: Role) -> Self {
        Node { name, role, ..Node::default() }
    }

    pub(crate) fn add(&mut self, counted: Counted) {
        let Counted { taken, given, yielded, filtered, blocked, rejected } = counted;
        self.taken += taken;
        self.given += given;
        self.yielded += yielded;
        self.filtered += filtered;
        self.blocked += blocked;
        self.rejected += rejected;
    }

    /// The same as one that was counted, to be added elsewhere.
    pub(crate) fn counted(&self) -> Counted {
        let Node { taken, given, yielded, filtered, blocked, rejected, .. } = *self;
        Counted { taken, given, yielded, filtered, blocked, rejected }
    }

    /// in = out + filtered + blocked + err, but for a source, which takes nothing; or the sentence that
    /// says why that is not so.
    pub fn check_identity(&self) -> Result<(), String> {
        let Node { name, role, taken, given, filtered, blocked, rejected, .. } = self;
        if *role == Role::Source || *taken == given + filtered + blocked + rejected {
            return Ok(());
        }
        Err(format!(
            "{name} was given {taken} records, but {given} given on + {filtered} filtered + {blocked} \
             blocked + {rejected} rejected are not so many"
        ))
    }
}
