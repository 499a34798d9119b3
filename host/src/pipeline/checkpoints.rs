//! When a run makes sure of what it has done, so that an interruption does not cost it.
//!
//! Where a checkpoint may lie depends on the source alone; at which of these places one is
//! journalled depends on the time, and no output on either.

use crate::journal::{Checkpoint, Journal, Sealed};
use crate::sink::publish::Output;
use crate::storage::upload::Sent;
use std::io;
use std::time::{Duration, Instant, SystemTime};

/// A checkpoint waits at least so many times as long as the last one took: on a disk that flushes
/// slowly, they are fewer, and cost no more than a fiftieth of the time.
const COST: u32 = 50;

/// The journal of a run, and how far it is.
pub struct Checkpoints {
    journal: Journal,
    /// How long to wait from one to the next. Zero: not at all, whatever it costs.
    every: Duration,
    /// Where the run was resumed.
    resumed: Option<Checkpoint>,
    /// Up to where everything is written.
    reached: Option<Checkpoint>,
    /// Up to where everything is safe.
    journalled: Option<Checkpoint>,
    /// How often this process made it so.
    count: u64,
    last: Instant,
    cost: Duration,
}

/// What could not be made safe, and why.
pub(super) type Failure = (String, io::Error);

impl Checkpoints {
    /// Begins, or goes on behind `resumed`.
    pub fn new(journal: Journal, every: Duration, resumed: Option<Checkpoint>) -> Self {
        Checkpoints {
            journal,
            every,
            journalled: resumed.clone(),
            resumed,
            reached: None,
            count: 0,
            last: Instant::now(),
            cost: Duration::ZERO,
        }
    }

    /// Where the run was resumed.
    pub fn resumed(&self) -> Option<&Checkpoint> {
        self.resumed.as_ref()
    }

    /// Up to where everything is safe.
    pub fn journalled(&self) -> Option<&Checkpoint> {
        self.journalled.as_ref()
    }

    /// How many checkpoints this process has journalled.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The journal, which is to be removed when everything else is done.
    pub fn into_journal(self) -> Journal {
        self.journal
    }

    /// Everything up to here is written. Journals it where it is time to.
    pub(super) fn reach(
        &mut self,
        checkpoint: Checkpoint,
        outputs: Vec<&mut Output>,
    ) -> Result<(), Failure> {
        self.reached = Some(checkpoint);
        let is_due =
            self.every.is_zero() || self.last.elapsed() >= self.every.max(COST * self.cost);
        if is_due { self.make_safe(outputs) } else { Ok(()) }
    }

    /// Journals up to where everything is written: the rejects, and each output.
    pub(super) fn make_safe(&mut self, mut outputs: Vec<&mut Output>) -> Result<(), Failure> {
        let began = Instant::now();
        // Taken, and not tried again if it fails: the system may have dropped what it could not
        // write, and call the next flush a success.
        let Some(mut checkpoint) = self.reached.take() else { return Ok(()) };
        checkpoint.time = now();
        let sent = sync(&mut outputs, &checkpoint)?;
        let journalled = self.journal.checkpoint(&checkpoint, &sent);
        journalled.map_err(|error| self.failure(error))?;
        trust(outputs, &checkpoint, &sent);
        self.journalled = Some(checkpoint);
        self.count += 1;
        self.last = Instant::now();
        self.cost = began.elapsed();
        Ok(())
    }

    /// Says that everything is written and only the publication is left. `wanted`: whether there is
    /// anything to publish, of the rejects and of each output.
    pub(super) fn seal(
        &mut self,
        mut end: Checkpoint,
        mut outputs: Vec<&mut Output>,
        wanted: Vec<bool>,
    ) -> Result<(), Failure> {
        end.time = now();
        let sent = sync(&mut outputs, &end)?;
        let mut before = vec![None; outputs.len()];
        for (i, output) in outputs.iter_mut().enumerate().filter(|(i, _)| wanted[*i]) {
            before[i] = output.found().map_err(|error| (name(output), error))?;
        }
        let sealed = self.journal.seal(&Sealed { end: end.clone(), wanted, before }, &sent);
        sealed.map_err(|error| self.failure(error))?;
        trust(outputs, &end, &sent);
        self.journalled = Some(end);
        Ok(())
    }

    fn failure(&self, error: io::Error) -> Failure {
        (format!("the journal `{}`", self.journal.path().display()), error)
    }
}

/// Flushes what the checkpoint speaks of, and says what of it stores have.
fn sync(
    outputs: &mut [&mut Output],
    checkpoint: &Checkpoint,
) -> Result<Vec<Option<Sent>>, Failure> {
    let mut sent = vec![None; outputs.len()];
    for (i, output) in outputs.iter_mut().enumerate() {
        let synced = output.sync().and_then(|()| output.sent(checkpoint.lengths[i]));
        sent[i] = synced.map_err(|error| (name(output), error))?;
    }
    Ok(sent)
}

fn trust(outputs: Vec<&mut Output>, checkpoint: &Checkpoint, sent: &[Option<Sent>]) {
    for (i, output) in outputs.into_iter().enumerate() {
        output.trust(checkpoint.lengths[i], sent[i].as_ref());
    }
}

fn name(output: &Output) -> String {
    format!("`{}`", output.path().display())
}

fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}
