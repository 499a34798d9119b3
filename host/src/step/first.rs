//! The limit and the skip step: only so many of the first records go on, or all but those.
//!
//! Which records are the first, the order of the source says, and workers take batches in any order: so
//! a step waits until the batches before have been counted. It waits only as long as it has not had
//! enough; from then on nothing depends on the order.
//!
//! The trap: batches that nobody will want may have been counted already, when it turns out that limits
//! have had enough of their source. The next source's records are to be counted as if they never were.

use super::{Saturation, Step, StepError};
use crate::batch::Batch;
use crate::stop::Stop;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
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
    last: Option<Last>,
    saturation: Saturation,
    kept: Vec<u32>,
}

/// The last batch that an instance was given.
#[derive(Clone, Copy)]
struct Last {
    sequence: u64,
    /// How many records had come before it.
    before: u64,
    records: u64,
}

struct Shared {
    counting: Mutex<Counting>,
    turned: Condvar,
}

#[derive(Default)]
struct Counting {
    /// Whose turn it is, by the place in the order of batches.
    turn: u64,
    /// Records that have come by. Once there were enough it is no longer in order.
    counted: u64,
    /// The last source of which not all is wanted, and the last batch that is.
    ended: Option<(u32, u64)>,
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

    /// Waits for the turn of a batch, where it matters.
    fn wait(&self, sequence: u64) -> Result<MutexGuard<'_, Counting>, StepError> {
        let enough = self.which.count();
        let mut counting = self.counting();
        while counting.counted < enough && counting.turn < sequence {
            if self.stop.is_set() {
                return Err(StepError::Stopped);
            }
            let waited = self.shared.turned.wait_timeout(counting, TICK);
            counting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(counting)
    }

    /// It is the next batch's turn, or was already.
    fn pass_on(&self, mut counting: MutexGuard<'_, Counting>, sequence: u64) {
        counting.turn = counting.turn.max(sequence + 1);
        drop(counting);
        self.shared.turned.notify_all();
    }

    /// Counts a batch, and says how many records had come before.
    fn count(&self, batch: &Batch) -> Result<u64, StepError> {
        let mut counting = self.wait(batch.sequence)?;
        let before = counting.counted;
        let is_wanted = |(source, last)| batch.source != source || batch.sequence <= last;
        if counting.ended.is_none_or(is_wanted) {
            counting.counted += batch.len() as u64;
        }
        self.pass_on(counting, batch.sequence);
        Ok(before)
    }

    fn counting(&self) -> MutexGuard<'_, Counting> {
        self.shared.counting.lock().unwrap_or_else(PoisonError::into_inner)
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
            Some(Last { sequence, before, .. }) if sequence == batch.sequence => before,
            _ => self.count(batch)?,
        };
        self.last = Some(Last { sequence: batch.sequence, before, records });
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
        self.counting().counted = taken;
    }

    fn pass_by(&mut self, sequence: u64) {
        // Where it fails, the run is stopped, and somebody has said why.
        if let Ok(counting) = self.wait(sequence) {
            self.pass_on(counting, sequence);
        }
    }

    fn end_source(&mut self, source: u32, sequence: u64) {
        // An instance that was not given the batch, since it is not on its way, has counted nothing.
        let Some(last) = self.last.filter(|last| last.sequence == sequence) else { return };
        let mut counting = self.counting();
        // Batches behind the last may say so too, before it does.
        if counting.ended.is_none_or(|(ended, last)| source != ended || sequence < last) {
            counting.counted = last.before + last.records;
            counting.ended = Some((source, sequence));
        }
    }

    fn saturation(&self) -> Saturation {
        // As far as others have counted, who was given nothing yet can tell it too.
        match (self.which, &self.last) {
            (Which::Limit(count), None) if self.counting().counted >= count => Saturation::Before,
            _ => self.saturation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model_abi_layout::Span;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::sync::mpsc;
    use std::thread;

    /// Number `sequence` of all batches, with so many records.
    fn batch(sequence: u64, records: usize) -> Batch {
        let mut batch = Batch::default();
        let filled = batch.refill(|block| {
            block.bytes = vec![b'x'; records];
            block.spans = (0..records as u32).map(|start| Span { start, len: 1 }).collect();
            Ok::<(), ()>(())
        });
        filled.unwrap();
        batch.sequence = sequence;
        batch
    }

    /// Which records of a batch go on, and what the step says then.
    type Given = (Vec<u32>, Saturation);

    fn given(step: &mut dyn Step, sequence: u64, records: usize) -> Given {
        let mut batch = batch(sequence, records);
        step.apply(&mut batch).unwrap();
        (batch.origins().to_vec(), step.saturation())
    }

    /// The same, counted record by record.
    fn expected(which: Which, sizes: &[usize], taken: u64) -> Vec<Given> {
        let mut count = taken;
        let given = sizes.iter().map(|&records| {
            let mut given = Vec::new();
            let mut saturation = match which {
                Which::Limit(limit) if count >= limit => Saturation::Before,
                _ => Saturation::Open,
            };
            for record in 0..records as u32 {
                count += 1;
                match which {
                    Which::Limit(limit) if count <= limit => given.push(record),
                    Which::Skip(skip) if count > skip => given.push(record),
                    _ => {}
                }
                if which == Which::Limit(count) {
                    saturation = Saturation::At(record);
                }
            }
            (given, saturation)
        });
        given.collect()
    }

    /// Batches of these sizes, each in the hands of one of several workers, who take them in any order;
    /// `None`: it has nothing for the step.
    fn run(which: Which, batches: &[(Option<usize>, usize)], taken: u64) -> Vec<Given> {
        const WORKERS: usize = 4;
        let mut first = FirstStep::new("first", which, Stop::default());
        first.resume(taken);
        let (sender, given_by_workers) = mpsc::channel();
        thread::scope(|scope| {
            for worker in 0..WORKERS {
                let (mut step, sender) = (first.another(), sender.clone());
                scope.spawn(move || {
                    let all = (0..).zip(batches);
                    for (sequence, (size, _)) in all.filter(|(_, (_, of))| of % WORKERS == worker) {
                        match size {
                            None => step.pass_by(sequence),
                            Some(size) => {
                                sender
                                    .send((sequence, given(&mut *step, sequence, *size)))
                                    .unwrap();
                            }
                        }
                    }
                });
            }
        });
        drop(sender);
        let mut given: Vec<_> = given_by_workers.into_iter().collect();
        given.sort_by_key(|(sequence, _)| *sequence);
        given.into_iter().map(|(_, given)| given).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_first_are_the_first_whoever_takes_them(
            is_limit: bool, count in 0..40_u64, taken in prop_oneof![Just(0), 0..45_u64],
            batches in vec((prop::option::weighted(0.8, 0..6_usize), 0..4_usize), 0..25),
        ) {
            let which = if is_limit { Which::Limit(count) } else { Which::Skip(count) };
            let sizes: Vec<usize> = batches.iter().filter_map(|(size, _)| *size).collect();
            prop_assert_eq!(run(which, &batches, taken), expected(which, &sizes, taken));
        }
    }

    #[test]
    fn a_batch_that_is_taken_once_more_counts_once_and_as_it_is_then() {
        let mut step = FirstStep::new("first", Which::Limit(5), Stop::default());
        assert_eq!(given(&mut step, 0, 3), (vec![0, 1, 2], Saturation::Open));
        assert_eq!(given(&mut step, 1, 9), (vec![0, 1], Saturation::At(1)));
        assert_eq!(given(&mut step, 1, 2), (vec![0, 1], Saturation::At(1)));
        assert_eq!(given(&mut step, 2, 3), (vec![], Saturation::Before));
    }

    /// Of source 0 four records are wanted, of which the second batch has three. Another instance has
    /// counted the third batch already, and does not wait for the fourth.
    #[test]
    fn what_came_behind_the_end_of_a_source_is_not_counted_for_the_next() {
        for (which, expected) in [
            (Which::Limit(6), (vec![0, 1], Saturation::At(1))),
            (Which::Skip(6), (vec![2, 3, 4], Saturation::Open)),
        ] {
            let mut step = FirstStep::new("first", which, Stop::default());
            let mut other = step.another();
            given(&mut step, 0, 1);
            given(&mut step, 1, 9);
            given(&mut *other, 2, 9);
            other.end_source(0, 2);
            given(&mut step, 1, 3);
            step.end_source(0, 1);
            given(&mut *other, 3, 9);
            other.end_source(0, 3);
            let mut next = batch(4, 5);
            next.source = 1;
            other.apply(&mut next).unwrap();
            assert_eq!((next.origins().to_vec(), other.saturation()), expected);
        }
    }

    #[test]
    fn who_waits_for_a_turn_that_never_comes_is_told_to_stop() {
        let stop = Stop::default();
        let mut step = FirstStep::new("first", Which::Skip(1), stop.clone());
        let waiting = thread::spawn(move || step.apply(&mut batch(1, 1)));
        stop.set();
        assert!(matches!(waiting.join().unwrap(), Err(StepError::Stopped)));
    }
}
