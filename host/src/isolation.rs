//! Models in worker processes: this very binary run again, which loads the plugin and predicts, so that
//! what kills it costs one record and not the run.
//!
//! [`Workers`] is the runner that a model step asks. Each worker answers one call at a time: records and
//! predictions go through shared memory, turns over a socket. A worker that dies, exits, hangs or runs
//! out of memory is replaced, and the step is told ([`Death`](crate::plugin::runner::Death)), so that it
//! finds the record that did it.
//!
//! What isolation does not do: a plugin in a worker is still code of others on this machine, under this
//! user; what it may do there, [`sandbox`](crate::sandbox) bounds. And nobody here decides whether a
//! death is a record's fault.

mod area;
mod chatter;
mod clock;
mod plan;
mod protocol;
pub mod serve;
mod tally;
mod wire;
mod worker;
mod workers;

pub use chatter::Tell;
pub use tally::WorkersSummary;
pub use workers::{Opened, Workers};

use crate::sandbox::Mode;
use bytesize::ByteSize;
use std::path::PathBuf;
use std::time::Duration;

/// The hidden command of a worker.
pub const COMMAND: &str = "__work";

/// What to do about a model that needs what its sandbox holds back.
pub(crate) const ALLOW: &str = "`--allow-read PATH` (`allow_read` of a step) lets it read more; what else it \
                                needs, only `--sandbox off` gives it";

/// A size as people write it: `512MiB`, or else in bytes.
pub(crate) fn size_text(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = units.into_iter().find(|(_, size)| bytes > 0 && bytes.is_multiple_of(*size));
    unit.map_or_else(|| format!("{bytes}B"), |(name, size)| format!("{}{name}", bytes / size))
}

/// The least that a worker can be started with.
const MEMORY_BYTES_MIN: u64 = 16 << 20;

/// Reads a bound on memory.
pub(crate) fn memory(text: &str) -> Result<u64, String> {
    match text.parse::<ByteSize>().map(|size| size.as_u64()) {
        Ok(bytes) if (MEMORY_BYTES_MIN..=1 << 50).contains(&bytes) => Ok(bytes),
        _ => Err("a size such as 512MiB is wanted, at least 16MiB".to_owned()),
    }
}

/// How a worker exits that has lost its host while that lives: what it is given is the plugin's to take.
pub(crate) const LOST: u8 = 113;

/// How the workers of a model are kept. What is `None` is not bounded.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// How many there are at most [default: one for each thread that asks].
    pub workers: Option<u16>,
    /// The most memory that each may allocate, in bytes.
    pub memory_bytes_max: Option<u64>,
    /// How long one may take for a record, and to open and load its model.
    pub timeout: Option<Duration>,
    /// How often one may crash in a run, before the model is given up.
    pub crashes_max: u64,
    /// What each gives up before it loads the plugin.
    pub sandbox: Mode,
    /// Files and folders that it may read nevertheless, besides the plugin and what lies beside it.
    pub may_read: Vec<PathBuf>,
}

impl Options {
    /// The timeout that is asked for: the usual one where nothing is said, and none where it is zero.
    pub(crate) fn timeout(asked: Option<Duration>) -> Option<Duration> {
        asked.map_or(Options::default().timeout, |asked| Some(asked).filter(|it| !it.is_zero()))
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            workers: None,
            memory_bytes_max: None,
            timeout: Some(Duration::from_secs(300)), // a model that hangs is noticed in the same night
            crashes_max: 100,                        // one that is simply dead, after some seconds
            sandbox: Mode::On,
            may_read: Vec::new(),
        }
    }
}
