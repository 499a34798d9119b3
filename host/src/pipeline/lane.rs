//! The threads of a run: one reads, some work, and messages come out.
//!
//! Batches go round: empty ones to the reader, full ones to whichever worker is free, done ones to
//! the collector, and back. There are never more of them, and no channel can be full for a batch.

use super::graph::{Graph, Passed};
use super::pace::{MADE_BYTES_MAX, Pace};
use crate::batch::Batch;
use crate::counts::Counted;
use crate::source::{Source, SourceError};
use crate::step::{STACK_BYTES, StepError};
use crate::stop::Stop;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A batch that is longer than this (one very long record) runs while no other does.
pub(super) const SHARED_BYTES_MAX: usize = MADE_BYTES_MAX;

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
    /// How many records the reader had read into it.
    pub(super) read: u64,
    /// For each node.
    pub(super) nodes: Vec<Counted>,
    /// Nothing of its source is wanted behind it.
    pub(super) is_enough: bool,
    /// The step that could not go on.
    pub(super) error: Option<(String, StepError)>,
}

/// The collector's end of the lane. Dropping it ends the threads as soon as they look.
pub(super) struct Lane {
    messages: Receiver<Message>,
    empty: Sender<Batch>,
    records_read: Arc<AtomicU64>,
    ended: Ended,
}

/// For each source whether nothing more of it is wanted.
type Ended = Arc<[Arc<AtomicBool>]>;

impl Lane {
    pub(super) fn start(
        sources: Vec<Box<dyn Source>>,
        graph: Graph,
        threads: usize,
        stop: Stop,
    ) -> Self {
        // One in each worker, one waiting for it, one being read, one being written.
        let batches = 2 * threads + 2;
        let (empty, empties) = bounded(batches);
        let (full, fulls) = bounded(batches);
        let (sender, messages) = unbounded(); // holds batches, of which there are so many
        let records_read = Arc::new(AtomicU64::new(0));
        let pace = Arc::new(Pace::default());
        let ended: Ended = sources.iter().map(|_| Arc::default()).collect();
        for _ in 0..batches {
            let _ = empty.send(Batch::default());
        }
        let reader = Reader {
            sources,
            graph: graph.another(),
            ended: ended.clone(),
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
            let graph = graph.another();
            let worker = Worker { graph, pace: pace.clone(), ended: ended.clone() };
            let fulls = fulls.clone();
            if !spawn("worker", sender.clone(), move |sender| worker.run(&fulls, sender)) {
                break;
            }
        }
        Lane { messages, empty, records_read, ended }
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

    /// Nothing more is wanted of this source.
    pub(super) fn end_source(&self, source: u32) {
        self.ended[source as usize].store(true, Ordering::Release);
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
    let spawned = thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn({
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
    sources: Vec<Box<dyn Source>>,
    /// Says what is wanted.
    graph: Graph,
    ended: Ended,
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
        for (number, mut source) in std::mem::take(&mut self.sources).into_iter().enumerate() {
            let ended = self.ended[number].clone();
            let is_ended = || ended.load(Ordering::Acquire);
            // A pipe that has no more for now is not waited for when nothing more is wanted of it.
            let stop = self.stop.of_part(ended.clone());
            let mut failed = None;
            // Nothing is under way: what limits have counted so far is all there is.
            if self.graph.wanted(number) == Some(0) {
                ended.store(true, Ordering::Release);
            }
            while !is_ended() {
                let Some(mut batch) = self.empty() else { return };
                let read = source.read_batch(&mut batch, self.pace.bytes_wanted(), &stop);
                if read.is_ok() && batch.read() > 0 && !self.stop.is_set() {
                    batch.sequence = sequence;
                    batch.source = number as u32;
                    batch.reader = source.name();
                    sequence += 1;
                    if self.send(batch) {
                        continue;
                    }
                    return;
                }
                self.stash.push(batch);
                failed = read.err();
                break;
            }
            // When all of it has come back it is certain whether it was wanted to its end: else an error
            // behind that would be told or not as time has it, and what limits count of the next source.
            if !self.stop.is_set() && !self.gather(self.batches) {
                return;
            }
            if let Some(error) = failed.filter(|_| !is_ended()) {
                let _ = sender.send(Message::SourceFailed(error));
                return;
            }
            if self.stop.is_set() {
                return;
            }
        }
    }

    /// False: nobody takes any more.
    fn send(&mut self, batch: Batch) -> bool {
        let alone = batch.bytes_read() > SHARED_BYTES_MAX;
        if alone && !self.gather(self.batches - 1) {
            return false;
        }
        self.records_read.fetch_add(batch.read() as u64, Ordering::Release);
        self.full.send(batch).is_ok() && (!alone || self.gather(self.batches))
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

struct Worker {
    graph: Graph,
    pace: Arc<Pace>,
    ended: Ended,
}

impl Worker {
    fn run(mut self, fulls: &Receiver<Batch>, sender: &Sender<Message>) {
        for batch in fulls {
            let began = Instant::now();
            let done = self.work(batch);
            let bytes_out = done.batch.bytes_made() + REJECT_BYTES * done.batch.rejected();
            self.pace.learn(done.batch.bytes_read(), bytes_out, began.elapsed());
            if sender.send(Message::Done(Box::new(done))).is_err() {
                return;
            }
        }
    }

    /// Takes a batch through all nodes.
    fn work(&mut self, mut batch: Batch) -> Done {
        let read = batch.read() as u64;
        if self.ended[batch.source as usize].load(Ordering::Acquire) {
            self.graph.pass_by(batch.sequence);
            return Done { batch, read, nodes: Vec::new(), is_enough: true, error: None };
        }
        match self.graph.pass(&mut batch, None) {
            Ok(Passed { nodes, is_enough }) => Done { batch, read, nodes, is_enough, error: None },
            Err(error) => {
                // Its turn comes all the same: perhaps nobody wanted it, and the run goes on.
                self.graph.pass_by(batch.sequence);
                Done { batch, read, nodes: Vec::new(), is_enough: false, error: Some(error) }
            }
        }
    }
}
