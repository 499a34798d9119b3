//! The run: one source, steps, one sink, and the threads between them.
//!
//! ```text
//! reader ─batches→ workers (all steps, one batch at a time) ─→ collector: order, limits, sink
//!    ↑                                                             │
//!    └───────────────────────── empty batches ─────────────────────┘
//! ```
//!
//! The number of batches is fixed, so memory depends on the threads and never on the input: the
//! reader waits for an empty batch before it reads on. A record that is larger than a batch's
//! share runs alone. The collector is the thread that called [`run`]; it alone counts, decides
//! and writes.

pub mod checkpoints;
mod lane;
pub mod limits;
mod pace;

use crate::batch::Batch;
use crate::counts::{Counted, Counts, Node};
use crate::journal::Checkpoint;
use crate::record::{RecordPosition, Reject};
use crate::sink::Sink;
use crate::sink::publish::{self, Output};
use crate::source::{Source, SourceError};
use crate::step::{Step, StepError};
use crate::stop::Stop;
use checkpoints::{Checkpoints, Failure};
use crossbeam_channel::RecvTimeoutError;
use lane::{Done, Lane, Message, Steps};
use limits::{LimitHit, Limits};
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What is to be run.
pub struct Pipeline {
    /// Where records come from.
    pub source: Box<dyn Source>,
    /// What is done to each of them, in order.
    pub steps: Vec<Box<dyn Step>>,
    /// Where they end.
    pub sink: Box<dyn Sink>,
    /// Where those end that can't go on: a file, published only when there is one.
    pub rejects: Output,
    /// When to give up.
    pub limits: Limits,
    /// How many batches are worked on at once.
    pub threads: usize,
    /// Who may end the run early.
    pub stop: Stop,
    /// How it can be gone on with, where it is to be. The source, the sink and the rejects are
    /// where it says that the run was resumed.
    pub checkpoints: Option<Checkpoints>,
}

/// How a run ended. Its counts are right however it ended.
pub struct Outcome {
    /// What became of the records.
    pub counts: Counts,
    /// The same for each node, in the order of the data.
    pub nodes: Vec<Node>,
    /// Whether outputs are in their place.
    pub published: bool,
    /// Which content the output has in its place, where a store told.
    pub version: Option<String>,
    /// Whether the reader of our output went away, which ends a run early and quietly.
    pub pipe_closed: bool,
    /// Files that have their names though not all outputs have.
    pub published_in_part: Vec<PathBuf>,
    /// Why it did not end well.
    pub error: Option<RunError>,
    /// How it can be gone on with. Where everything is published, the journal is still there.
    pub checkpoints: Option<Checkpoints>,
}

impl Outcome {
    /// Where the run was resumed.
    pub fn resumed(&self) -> Option<&Checkpoint> {
        self.checkpoints.as_ref()?.resumed()
    }

    /// How far somebody can go on with it, where it is not published.
    pub fn kept(&self) -> Option<&Checkpoint> {
        self.checkpoints.as_ref()?.journalled().filter(|_| !self.published)
    }
}

/// Why a run did not end well.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The input can't be read on.
    #[error("the input can't be read")]
    Source(#[source] SourceError),
    /// A step can't go on with any record.
    #[error("step `{step}` can't go on")]
    Step {
        /// Its name.
        step: String,
        /// Why.
        source: StepError,
    },
    /// An output can't be written.
    #[error("{what} can't be written")]
    Write {
        /// Which.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// Too many rejects.
    #[error("{}", .0.limit)]
    Limit(Box<LimitHit>),
    /// The system gives us no thread.
    #[error("a thread can't be started")]
    Thread(#[source] io::Error),
    /// A signal.
    #[error("interrupted by {}", signal_name(*.0))]
    Interrupted(i32),
    /// Our fault.
    #[error("a bug in etl-host: {0}")]
    Bug(String),
}

fn signal_name(signal: i32) -> String {
    signal_hook::low_level::signal_name(signal)
        .map_or_else(|| format!("signal {signal}"), str::to_owned)
}

/// How long a stopped run waits for workers that are in the middle of a call.
const DRAIN: Duration = Duration::from_millis(500);
/// How often to look for a signal, and to show progress, while nothing is done.
const TICK: Duration = Duration::from_millis(50);
/// Lines of rejects are gathered to about this size before they are written.
const REJECTS_BUFFER_BYTES: usize = 64 * 1024;

/// Runs the pipeline to its end. `progress` is called often, with what is done so
/// far and how many bytes of the source that was.
pub fn run(pipeline: Pipeline, mut progress: impl FnMut(&Counts, u64)) -> Outcome {
    let Pipeline { source, steps, sink, rejects, limits, threads, stop, checkpoints } = pipeline;
    let names = [source.name().to_owned()].into_iter();
    let names = names.chain(steps.iter().map(|step| step.name().to_string()));
    let names = names.chain([sink.name().to_owned()]);
    let mut collector = Collector {
        counts: Counts::default(),
        bytes_read: 0,
        input: 0,
        nodes: names.map(Node::new).collect(),
        sink,
        rejects,
        limits,
        stop: stop.clone(),
        error: None,
        pipe_closed: false,
        checkpoints,
    };
    collector.resume();
    let read_before = collector.counts.read;
    let (decoder, encoder) = (source.decoder(), collector.sink.encoder());
    let lane = Lane::start(source, Steps { decoder, steps, encoder }, threads, stop);
    collector.collect(&lane, &mut progress);
    progress(&collector.counts, collector.bytes_read);
    collector.end(read_before + lane.records_read())
}

struct Collector {
    counts: Counts,
    bytes_read: u64,
    /// Of which input the last batch was.
    input: usize,
    nodes: Vec<Node>,
    sink: Box<dyn Sink>,
    rejects: Output,
    limits: Limits,
    stop: Stop,
    /// The first one, in the order of the source.
    error: Option<RunError>,
    pipe_closed: bool,
    checkpoints: Option<Checkpoints>,
}

impl Collector {
    /// Goes on counting where an interrupted run ended.
    fn resume(&mut self) {
        let Some(resumed) = self.checkpoints.as_ref().and_then(Checkpoints::resumed) else {
            return;
        };
        self.counts = resumed.counts;
        self.nodes.clone_from(&resumed.nodes);
        self.bytes_read = resumed.bytes_read;
        self.input = resumed.input;
        self.limits.resume(resumed.counts.rejected);
        if let Some(hit) = self.limits.check_so_far() {
            self.fail(RunError::Limit(Box::new(hit)));
        }
    }

    /// Takes batches in the order of the source until there are no more, or nothing more is worth
    /// waiting for.
    fn collect(&mut self, lane: &Lane, progress: &mut impl FnMut(&Counts, u64)) {
        let mut waiting = BTreeMap::new(); // done before their turn; bounded, as all batches are
        let mut next = 0;
        let mut source_error = None;
        let mut drained_by = None;
        loop {
            match lane.next_message(TICK) {
                Ok(Message::Done(done)) => {
                    waiting.insert(done.batch.sequence, done);
                    while let Some(done) = waiting.remove(&next) {
                        next += 1;
                        lane.recycle(self.take(*done));
                    }
                }
                // Kept: batches before it may fail first.
                Ok(Message::SourceFailed(error)) => source_error = Some(error),
                Ok(Message::NoThread(error)) => return self.fail(RunError::Thread(error)),
                Ok(Message::Panicked(message)) => {
                    // Its batch is lost, and with it the order.
                    return self.fail(RunError::Bug(message));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    if let Some(error) = source_error {
                        self.fail(RunError::Source(error));
                    }
                    // Perhaps the source ended because it saw the signal before we did.
                    return self.heed_signal();
                }
            }
            progress(&self.counts, self.bytes_read);
            self.show(TICK);
            self.heed_signal();
            if self.stop.is_set() {
                let drained_by = *drained_by.get_or_insert_with(|| Instant::now() + DRAIN);
                if Instant::now() > drained_by {
                    return; // some model does not come back: we don't wait for it
                }
            }
        }
    }

    /// Counts and writes one batch.
    fn take(&mut self, done: Done) -> Batch {
        let Done { mut batch, nodes, error } = done;
        let (read_before, read) = (self.counts.read, batch.read() as u64);
        if self.goes_on() {
            self.enter(batch.input as usize);
        }
        self.counts.read += read;
        self.bytes_read += batch.bytes_read() as u64;
        if let Some((step, source)) = error {
            match source {
                // Whoever stopped us has said why, or is about to.
                StepError::Stopped => self.heed_signal(),
                source => self.fail(RunError::Step { step, source }),
            }
            self.counts.abandoned += read;
            return batch;
        }
        if !self.goes_on() {
            self.counts.abandoned += read;
            return batch;
        }
        let rejected_before = batch.rejected();
        if let Err(source) = self.sink.accept(&mut batch) {
            self.counts.abandoned += read;
            self.fail(self.write_error(source));
            return batch;
        }
        let refused = (batch.rejected() - rejected_before) as u64;
        let rejects = batch.rejects();
        if let Some((counted, hit)) = self.limits.check(read_before, read, &rejects) {
            self.counts.rejected += counted as u64;
            self.counts.abandoned += read - counted as u64;
            for reject in &rejects[..counted] {
                // Whose name is not known, that is the reader of a later input, in another format.
                let node = self.nodes.iter().position(|node| node.name == reject.step);
                let counted = Counted { rejected: 1, ..Counted::default() };
                self.nodes[node.unwrap_or_default()].add(counted);
            }
            // For who reads along; a file of them is not published.
            let _ = self.write_rejects(&rejects[..counted]);
            self.fail(RunError::Limit(Box::new(hit)));
            return batch;
        }
        self.counts.rejected += rejects.len() as u64;
        for (node, counted) in self.nodes.iter_mut().zip(nodes) {
            node.add(counted);
        }
        self.sink_node().add(Counted { rejected: refused, ..Counted::default() });
        let written = batch.len() as u64;
        match self.write(&batch, &rejects) {
            Ok(()) => {
                self.counts.written += written;
                self.sink_node().add(Counted { taken: written, ..Counted::default() });
                if let Some(position) = batch.checkpoint() {
                    self.reach(position);
                }
            }
            Err(error) => {
                self.counts.abandoned += written;
                self.heed_signal(); // a write elsewhere may have failed because of it
                if self.pipe_closed { self.stop.set() } else { self.fail(error) }
            }
        }
        batch
    }

    /// The next batch is of this input: if it is another than the last one's, all of that is written.
    fn enter(&mut self, input: usize) {
        if self.input != input {
            self.input = input;
            self.reach(RecordPosition::default());
        }
    }

    /// Who reads a compressed output along does not wait for its next block, where that takes long.
    fn show(&mut self, after: Duration) {
        if !self.goes_on() {
            return;
        }
        if let Err(source) = self.rejects.show(after) {
            self.fail(self.rejects_error(source));
        }
        if let Err(source) = self.sink.output_mut().show(after) {
            self.fail_to_write(source);
        }
    }

    /// Ends frames of compressed outputs, at places that depend on the source alone: a run may be
    /// resumed at each of them, whether it is journalled or not.
    fn end_frames(&mut self) -> Result<(), RunError> {
        self.rejects.end_frame().map_err(|source| self.rejects_error(source))?;
        self.sink.output_mut().end_frame().map_err(|source| self.write_error(source))
    }

    /// Nothing more is written.
    fn complete(&mut self) {
        if (self.counts.rejected > 0 || self.rejects.is_stream())
            && let Err(source) = self.rejects.complete()
        {
            return self.fail(self.rejects_error(source));
        }
        let completed = self.sink.complete().and_then(|()| self.sink.output_mut().complete());
        if let Err(source) = completed {
            self.fail_to_write(source);
        }
    }

    /// Everything before this place in the input is written.
    fn reach(&mut self, position: RecordPosition) {
        if self.checkpoints.is_none() {
            return;
        }
        if let Err(error) = self.end_frames() {
            return self.fail(error);
        }
        let checkpoint = self.checkpoint_at(position);
        let Some(checkpoints) = &mut self.checkpoints else { return };
        let made_safe = checkpoints.reach(checkpoint, [&mut self.rejects, self.sink.output_mut()]);
        self.heed_failure(made_safe);
    }

    fn checkpoint_at(&self, position: RecordPosition) -> Checkpoint {
        Checkpoint {
            input: self.input,
            position,
            bytes_read: self.bytes_read,
            lengths: [&self.rejects, self.sink.output()].map(Output::len),
            numbers: [&self.rejects, self.sink.output()].map(Output::number),
            counts: self.counts,
            nodes: self.nodes.clone(),
            time: String::new(),
        }
    }

    fn heed_failure(&mut self, result: Result<(), Failure>) {
        if let Err((what, source)) = result {
            self.fail(RunError::Write { what, source });
        }
    }

    /// Rejects first: a record is never missing from both.
    fn write(&mut self, batch: &Batch, rejects: &[Reject<'_>]) -> Result<(), RunError> {
        self.write_rejects(rejects)?;
        self.sink.write(batch).map_err(|source| {
            // Whoever reads our output has seen enough: a quiet end.
            self.pipe_closed = source.kind() == io::ErrorKind::BrokenPipe;
            self.write_error(source)
        })
    }

    /// Where no batch can be said to be what could not be written.
    fn fail_to_write(&mut self, source: io::Error) {
        self.pipe_closed = source.kind() == io::ErrorKind::BrokenPipe;
        if self.pipe_closed { self.stop.set() } else { self.fail(self.write_error(source)) }
    }

    fn write_error(&self, source: io::Error) -> RunError {
        let output = self.sink.output();
        let what = match output.is_stream() {
            true => "the output".to_owned(),
            false => format!("the output `{}`", output.path().display()),
        };
        RunError::Write { what, source }
    }

    fn sink_node(&mut self) -> &mut Node {
        self.nodes.last_mut().expect("the sink is a node")
    }

    fn write_rejects(&mut self, rejects: &[Reject<'_>]) -> Result<(), RunError> {
        let mut out = BufWriter::with_capacity(REJECTS_BUFFER_BYTES, &mut self.rejects);
        let written = rejects.iter().try_for_each(|reject| reject.write_line(&mut out));
        let written = written.and_then(|()| out.flush());
        drop(out.into_parts()); // what could not be written is not tried again
        written.map_err(|source| {
            // As of `2>&1 | head`, where rejects go the way of the output. Whoever reads the output
            // elsewhere is to know that it ends early.
            self.pipe_closed = source.kind() == io::ErrorKind::BrokenPipe
                && self.rejects.is_same_stream(self.sink.output());
            self.rejects_error(source)
        })
    }

    fn rejects_error(&self, source: io::Error) -> RunError {
        let what = match self.rejects.is_stream() {
            true => "the rejects".to_owned(),
            false => format!("the rejects file `{}`", self.rejects.path().display()),
        };
        RunError::Write { what, source }
    }

    /// Whether batches are still written: not behind one that was not, whatever was the reason.
    fn goes_on(&self) -> bool {
        self.error.is_none() && !self.pipe_closed && self.counts.abandoned == 0
    }

    fn heed_signal(&mut self) {
        if let Some(signal) = self.stop.signal() {
            self.fail(RunError::Interrupted(signal));
        }
    }

    /// Keeps the first error, which is the one to tell.
    fn fail(&mut self, error: RunError) {
        self.error.get_or_insert(error);
        self.stop.set();
    }

    /// Judges the run as a whole, and publishes what deserves it.
    fn end(mut self, records_read: u64) -> Outcome {
        if !self.goes_on() {
            // While a signal can still end us: a disk that hangs must not hold up who is told to go.
            // What fails now is no news to somebody whose run has failed.
            let _ = self.rejects.show(Duration::ZERO);
            let _ = self.sink.output_mut().show(Duration::ZERO);
            if let Some(checkpoints) = &mut self.checkpoints {
                let _ = checkpoints.make_safe([&mut self.rejects, self.sink.output_mut()]);
            }
        }
        self.stop.set_ending();
        let unseen = records_read - self.counts.read; // in batches that never came back
        self.counts.read = records_read;
        self.counts.abandoned += unseen;
        let abandoned = self.counts.abandoned;
        if abandoned > 0 && self.error.is_none() && !self.pipe_closed {
            self.fail(RunError::Bug(format!("{abandoned} records were abandoned for no reason")));
        }
        if let Err(violation) = self.counts.check_identity() {
            self.fail(RunError::Bug(violation));
        }
        if self.goes_on()
            && let Some(hit) = self.limits.check_end(records_read)
        {
            self.fail(RunError::Limit(Box::new(hit)));
        }
        if self.goes_on() {
            self.complete();
        }
        if self.goes_on() {
            self.seal();
        }
        // Whoever closed the pipe saw a part: no file is to say that it was the whole.
        let mut published = self.goes_on();
        let mut published_in_part = Vec::new();
        let is_kept = self.checkpoints.as_ref().is_some_and(|it| it.journalled().is_some());
        let mut outputs = [self.rejects, self.sink.finish()];
        if is_kept {
            outputs.iter_mut().for_each(Output::keep);
        }
        let mut version = None;
        if published {
            match publish::publish_all(outputs, self.counts.rejected > 0) {
                Ok(told) => version = told,
                Err(unfinished) => {
                    published = unfinished.renamed;
                    published_in_part = unfinished.in_place;
                    let what = format!("`{}`", unfinished.path.display());
                    self.error = Some(RunError::Write { what, source: unfinished.source });
                }
            }
        }
        Outcome {
            published,
            published_in_part,
            version,
            counts: self.counts,
            nodes: self.nodes,
            pipe_closed: self.pipe_closed,
            error: self.error,
            checkpoints: self.checkpoints,
        }
    }

    /// Journals that only the publication is left.
    fn seal(&mut self) {
        let end = self.checkpoint_at(RecordPosition { line: 0, byte: self.bytes_read });
        let Some(checkpoints) = &mut self.checkpoints else { return };
        let wanted = [self.counts.rejected > 0, true];
        let sealed = checkpoints.seal(end, [&mut self.rejects, self.sink.output_mut()], wanted);
        self.heed_failure(sealed);
    }
}

#[cfg(test)]
mod tests;
