//! The limit and the skip step: only so many of the first records go on, or all but those.
//!
//! Which records are the first, the order of the source says, and workers take batches in any order: so
//! a step waits until the batches before have been counted. It waits only as long as it has not had
//! enough; from then on nothing depends on the order.

use super::{Saturation, Step, StepError};
use crate::batch::Batch;
use crate::stop::Stop;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How often a worker that waits for its turn looks whether the run goes on.
const TICK: Duration = Duration::from_millis(20);

/// Which records go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Only so many of the first.
    Limit(u64),
    /// All but so many of the first.
    Skip(u64),
}

impl Which {
    fn count(self) -> u64 {
        match self {
            Which::Limit(count) | Which::Skip(count) => count,
        }
    }
}

/// The step.
pub struct FirstStep {
    name: Arc<str>,
    which: Which,
    stop: Stop,
    shared: Arc<Shared>,
    /// The last batch that this instance was given, and how many records had come before it.
    last: Option<(u64, u64)>,
    saturation: Saturation,
    kept: Vec<u32>,
}

struct Shared {
    counting: Mutex<Counting>,
    turned: Condvar,
}

#[derive(Default)]
struct Counting {
    /// Whose turn it is, by the place in the order of batches.
    turn: u64,
    /// Records that have come by; no longer counted once there were enough.
    counted: u64,
}

impl FirstStep {
    /// `name` stands in the lines of a run.
    pub fn new(name: &str, which: Which, stop: Stop) -> Self {
        let shared = Shared { counting: Mutex::default(), turned: Condvar::new() };
        FirstStep::sharing(name.into(), which, stop, Arc::new(shared))
    }

    fn sharing(name: Arc<str>, which: Which, stop: Stop, shared: Arc<Shared>) -> Self {
        let (last, saturation) = (None, Saturation::Open);
        FirstStep { name, which, stop, shared, last, saturation, kept: Vec::new() }
    }

    /// Waits for the turn of a batch, counts its records, and says how many had come before.
    fn count(&mut self, sequence: u64, records: u64) -> Result<u64, StepError> {
        let enough = self.which.count();
        let mut counting = self.shared.counting.lock().unwrap_or_else(PoisonError::into_inner);
        while counting.counted < enough && counting.turn != sequence {
            if self.stop.is_set() {
                return Err(StepError::Stopped);
            }
            let waited = self.shared.turned.wait_timeout(counting, TICK);
            counting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        // Once there were enough, batches may come by before their turn: nobody waits for it any more.
        let before = counting.counted;
        counting.counted += records;
        counting.turn = counting.turn.max(sequence + 1);
        drop(counting);
        self.shared.turned.notify_all();
        Ok(before)
    }
}

impl Step for FirstStep {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn another(&self) -> Box<dyn Step> {
        let (name, stop, shared) = (self.name.clone(), self.stop.clone(), self.shared.clone());
        Box::new(FirstStep::sharing(name, self.which, stop, shared))
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<(), StepError> {
        let records = batch.len() as u64;
        let before = match self.last {
            // Once more, since some of it was not wanted.
            Some((sequence, before)) if sequence == batch.sequence => before,
            _ => self.count(batch.sequence, records)?,
        };
        self.last = Some((batch.sequence, before));
        // How many of this batch are among the first.
        let first = self.which.count().saturating_sub(before).min(records) as usize;
        self.kept.clear();
        self.kept.extend(match self.which {
            Which::Limit(_) => 0..first as u32,
            Which::Skip(_) => first as u32..records as u32,
        });
        self.saturation = match self.which {
            Which::Limit(count) if before >= count => Saturation::Before,
            Which::Limit(count) if before + records >= count => {
                Saturation::At(batch.origins()[first - 1])
            }
            _ => Saturation::Open,
        };
        batch.retain(&self.kept, &mut Vec::new());
        Ok(())
    }

    fn resume(&mut self, taken: u64) {
        let mut counting = self.shared.counting.lock().unwrap_or_else(PoisonError::into_inner);
        counting.counted = taken;
    }

    fn pass_by(&mut self, sequence: u64) {
        // Where it fails, the run is stopped, and somebody has said why.
        let _ = self.count(sequence, 0);
    }

    fn saturation(&self) -> Saturation {
        self.saturation
    }
}
