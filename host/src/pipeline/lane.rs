//! The threads of a run: one reads, some work, and messages come out.
//!
//! Batches go round: empty ones to the reader, full ones to whichever worker is free, done ones to
//! the collector, and back. There are never more of them, and no channel can be full for a batch.

use super::pace::{BLOCK_BYTES_MAX, Pace};
use crate::batch::Batch;
use crate::counts::Counted;
use crate::source::{Source, SourceError};
use crate::step::{Step, StepError};
use crate::stop::Stop;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A batch that is longer than this (one very long record) runs while no other does.
pub(super) const SHARED_BYTES_MAX: usize = 4 * BLOCK_BYTES_MAX;

/// What a reject takes in memory, about: its message, its path, its place in some lists.
const REJECT_BYTES: usize = 512;

/// What the threads of a run tell the collector.
pub(super) enum Message {
    /// A batch has been through all steps.
    Done(Box<Done>),
    /// The source can't be read on; batches before are on their way.
    SourceFailed(SourceError),
    /// The system gives us no thread.
    NoThread(io::Error),
    /// A thread panicked, which is our bug; what it held is lost.
    Panicked(String),
}

/// A batch that has been through all steps, or ended in one of them.
pub(super) struct Done {
    pub(super) batch: Batch,
    /// For the source, for each step, and for the sink where it has an encoder.
    pub(super) nodes: Vec<Counted>,
    /// The step that could not go on.
    pub(super) error: Option<(String, StepError)>,
}

/// The collector's end of the lane. Dropping it ends the threads as soon as they look.
pub(super) struct Lane {
    messages: Receiver<Message>,
    empty: Sender<Batch>,
    records_read: Arc<AtomicU64>,
}

impl Lane {
    pub(super) fn start(source: Box<dyn Source>, steps: Steps, threads: usize, stop: Stop) -> Self {
        // One in each worker, one waiting for it, one being read, one being written.
        let batches = 2 * threads + 2;
        let (empty, empties) = bounded(batches);
        let (full, fulls) = bounded(batches);
        let (sender, messages) = unbounded(); // holds batches, of which there are so many
        let records_read = Arc::new(AtomicU64::new(0));
        let pace = Arc::new(Pace::default());
        for _ in 0..batches {
            let _ = empty.send(Batch::default());
        }
        let reader = Reader {
            source,
            empties,
            stash: Vec::with_capacity(batches),
            batches,
            full,
            pace: pace.clone(),
            stop,
            records_read: records_read.clone(),
        };
        spawn("reader", sender.clone(), move |sender| reader.run(sender));
        for _ in 0..threads {
            let steps = steps.another();
            let worker = Worker { steps, pace: pace.clone() };
            let fulls = fulls.clone();
            if !spawn("worker", sender.clone(), move |sender| worker.run(&fulls, sender)) {
                break;
            }
        }
        Lane { messages, empty, records_read }
    }

    /// The next message. `Disconnected`: all threads have ended.
    pub(super) fn next_message(&self, timeout: Duration) -> Result<Message, RecvTimeoutError> {
        self.messages.recv_timeout(timeout)
    }

    /// Gives a batch back to the reader.
    pub(super) fn recycle(&self, batch: Batch) {
        let mut batch = batch;
        // One that grew for a very long record must not stay so large for the rest of the run. It
        // is freed before the reader may fill another.
        if batch.bytes_held() > 4 * SHARED_BYTES_MAX {
            batch = Batch::default();
        }
        let _ = self.empty.send(batch); // fails where the reader has ended
    }

    /// How many records the reader has given to workers.
    pub(super) fn records_read(&self) -> u64 {
        self.records_read.load(Ordering::Acquire)
    }
}

/// Runs a thread whose panic does not go unnoticed: its batch would be waited for for ever. False:
/// there is no thread to be had.
fn spawn(
    name: &str,
    sender: Sender<Message>,
    run: impl FnOnce(&Sender<Message>) + Send + 'static,
) -> bool {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn({
        let sender = sender.clone();
        move || {
            // Nothing of what it held is used again.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(&sender))) {
                let _ = sender.send(Message::Panicked(panic_message(&*panic)));
            }
        }
    });
    match spawned {
        Ok(_) => true,
        Err(error) => {
            let _ = sender.send(Message::NoThread(error));
            false
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a thread panicked: {}", text.unwrap_or("without a message"))
}

struct Reader {
    source: Box<dyn Source>,
    empties: Receiver<Batch>,
    /// Empty batches that were taken out of the round.
    stash: Vec<Batch>,
    batches: usize,
    full: Sender<Batch>,
    pace: Arc<Pace>,
    stop: Stop,
    records_read: Arc<AtomicU64>,
}

impl Reader {
    fn run(mut self, sender: &Sender<Message>) {
        let mut sequence = 0;
        while let Some(mut batch) = self.empty() {
            let read = self.source.read_batch(&mut batch, self.pace.bytes_wanted(), &self.stop);
            if let Err(error) = read {
                let _ = sender.send(Message::SourceFailed(error));
                return;
            }
            if batch.read() == 0 || self.stop.is_set() {
                return;
            }
            batch.sequence = sequence;
            batch.reader = self.source.name();
            sequence += 1;
            let alone = batch.bytes_read() > SHARED_BYTES_MAX;
            if alone && !self.gather(self.batches - 1) {
                return;
            }
            self.records_read.fetch_add(batch.read() as u64, Ordering::Release);
            if self.full.send(batch).is_err() || (alone && !self.gather(self.batches)) {
                return;
            }
        }
    }

    fn empty(&mut self) -> Option<Batch> {
        self.stash.pop().or_else(|| self.empties.recv().ok())
    }

    /// Takes empty batches out of the round until there are so many: then no other is under way.
    fn gather(&mut self, count: usize) -> bool {
        while self.stash.len() < count {
            let Ok(batch) = self.empties.recv() else { return false };
            self.stash.push(batch);
        }
        true
    }
}

/// All that a worker does to a batch.
pub(super) struct Steps {
    /// Makes JSON of what was read.
    pub(super) decoder: Option<Box<dyn Step>>,
    /// The nodes between source and sink.
    pub(super) steps: Vec<Box<dyn Step>>,
    /// Makes of JSON what is written.
    pub(super) encoder: Option<Box<dyn Step>>,
}

impl Steps {
    fn another(&self) -> Self {
        Steps {
            decoder: self.decoder.as_ref().map(|step| step.another()),
            steps: self.steps.iter().map(|step| step.another()).collect(),
            encoder: self.encoder.as_ref().map(|step| step.another()),
        }
    }
}

struct Worker {
    steps: Steps,
    pace: Arc<Pace>,
}

impl Worker {
    fn run(mut self, fulls: &Receiver<Batch>, sender: &Sender<Message>) {
        for batch in fulls {
            let began = Instant::now();
            let done = self.work(batch);
            let bytes_out = done.batch.bytes().len() + REJECT_BYTES * done.batch.rejected();
            self.pace.learn(done.batch.bytes_read(), bytes_out, began.elapsed());
            if sender.send(Message::Done(Box::new(done))).is_err() {
                return;
            }
        }
    }

    /// Takes a batch through all steps.
    fn work(&mut self, mut batch: Batch) -> Done {
        let mut nodes = Vec::with_capacity(2 + self.steps.steps.len());
        let error = self.apply(&mut batch, &mut nodes).err();
        Done { batch, nodes, error }
    }

    /// On an error, with the name of the step.
    fn apply(
        &mut self,
        batch: &mut Batch,
        nodes: &mut Vec<Counted>,
    ) -> Result<(), (String, StepError)> {
        let Steps { decoder, steps, encoder } = &mut self.steps;
        batch.reject_invalid_utf8(batch.reader);
        if let Some(decoder) = decoder {
            apply(&mut **decoder, batch)?;
        }
        let (given, rejected) = (batch.len() as u64, batch.rejected() as u64);
        nodes.push(Counted { taken: 0, given, rejected });
        for step in steps {
            nodes.push(apply(&mut **step, batch)?);
        }
        if let Some(encoder) = encoder {
            // What it takes is counted when it is written.
            let Counted { rejected, .. } = apply(&mut **encoder, batch)?;
            nodes.push(Counted { rejected, ..Counted::default() });
        }
        Ok(())
    }
}

fn apply(step: &mut dyn Step, batch: &mut Batch) -> Result<Counted, (String, StepError)> {
    let (taken, rejected) = (batch.len() as u64, batch.rejected());
    step.apply(batch).map_err(|error| (step.name().to_string(), error))?;
    let (given, rejected) = (batch.len() as u64, (batch.rejected() - rejected) as u64);
    Ok(Counted { taken, given, rejected })
}
