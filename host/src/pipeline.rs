//! The run: sources, steps and sinks as nodes of a graph, and the threads that take records through it.
//!
//! ```text
//! reader ─batches→ workers (the whole graph, one batch at a time) ─→ collector: order, limits, sinks
//!    ↑                                                                  │
//!    └────────────────────────── empty batches ─────────────────────────┘
//! ```
//!
//! Sources are read one after the other, so a node that takes from several gets them in that order.
//!
//! The number of batches is fixed, so memory depends on the threads and never on the input: the
//! reader waits for an empty batch before it reads on. A record that is larger than a batch's
//! share runs alone. The collector is the thread that called [`run`]; it alone counts, decides
//! and writes.

pub mod checkpoints;
pub mod graph;
mod lane;
pub mod limits;
mod pace;
pub mod trial;

use crate::batch::Batch;
use crate::counts::{Counted, Counts, Node};
use crate::journal::Checkpoint;
use crate::record::{RecordPosition, Reject};
use crate::sink::Sink;
use crate::sink::publish::{self, Output};
use crate::source::SourceError;
use crate::step::StepError;
use crate::stop::Stop;
use checkpoints::{Checkpoints, Failure};
use crossbeam_channel::RecvTimeoutError;
use graph::{Graph, Work};
use lane::{Done, Lane, Message};
use limits::{LimitHit, Limits};
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is to be run.
pub struct Pipeline {
    /// What records go through: sources first, in the order in which they are read; then steps, each
    /// behind those it takes from; then sinks, in the order in which they are written and published.
    pub nodes: Vec<graph::Node>,
    /// Where those end that can't go on: a file, published only when there is one.
    pub rejects: Output,
    /// When to give up.
    pub limits: Limits,
    /// How many batches are worked on at once.
    pub threads: usize,
    /// Who may end the run early.
    pub stop: Stop,
    /// How it can be gone on with, where it is to be. The sources, the sinks and the rejects are where it
    /// says that the run was resumed.
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
    /// Which content each output has in its place, where a store told, in the order of the sinks.
    pub versions: Vec<Option<String>>,
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
    let Pipeline { nodes, rejects, limits, threads, stop, checkpoints } = pipeline;
    let names = nodes.iter().map(|node| {
        let name = node.name.clone().unwrap_or_else(|| match &node.work {
            Work::Source(source) => source.name().to_owned(),
            Work::Step(step) => step.name().to_string(),
            Work::Join(_) => "join".to_owned(),
            Work::Sink(sink) => sink.name().to_owned(),
        });
        Node::new(name, node.work.role())
    });
    let counted = names.collect();
    let given_names = nodes.iter().map(|node| node.name.as_deref().map(Arc::from)).collect();
    let (mut graph, sources, sinks) = Graph::new(nodes);
    let mut collector = Collector {
        counts: Counts::default(),
        bytes_read: 0,
        input: 0,
        nodes: counted,
        names: given_names,
        unread: 0,
        ended: vec![false; sources.len()],
        sinks,
        rejects,
        limits,
        stop: stop.clone(),
        error: None,
        pipe_closed: false,
        checkpoints,
    };
    collector.resume();
    let read_before = collector.counts.read;
    graph.resume(&collector.nodes);
    let lane = Lane::start(sources, graph, threads, stop);
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
    /// The names that nodes were given.
    names: Vec<Option<Arc<str>>>,
    /// Records that the reader read of sources of which nothing more was wanted.
    unread: u64,
    /// Of which sources nothing more is wanted.
    ended: Vec<bool>,
    sinks: Vec<Box<dyn Sink>>,
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
                        lane.recycle(self.take(*done, lane));
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
    fn take(&mut self, done: Done, lane: &Lane) -> Batch {
        let Done { mut batch, read: read_at_first, nodes, is_enough, error } = done;
        let source = batch.source as usize;
        if self.ended[source] {
            self.unread += read_at_first;
            return batch;
        }
        let (read_before, read) = (self.counts.read, batch.read() as u64);
        if is_enough {
            self.ended[source] = true;
            lane.end_source(batch.source);
            self.unread += read_at_first - read;
        }
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
        let refused = match self.accept(&mut batch) {
            Ok(refused) => refused,
            Err(error) => {
                self.counts.abandoned += read;
                self.fail(error);
                return batch;
            }
        };
        let rejects = batch.rejects();
        if let Some((counted, hit)) = self.limits.check(read_before, read, &rejects) {
            let records = rejects[..counted].chunk_by(|a, b| a.index == b.index).count() as u64;
            self.counts.rejected += records;
            self.counts.abandoned += read - records;
            for reject in &rejects[..counted] {
                // Whose name is not known, that is the reader of a later input, in another format.
                let node = self.nodes.iter().position(|node| node.name == reject.step);
                let counted = Counted { rejected: 1, ..Counted::default() };
                self.nodes[node.unwrap_or(source)].add(counted);
            }
            // For who reads along; a file of them is not published.
            let _ = self.write_rejects(&rejects[..counted]);
            self.fail(RunError::Limit(Box::new(hit)));
            return batch;
        }
        // Before the predictions: whoever sees those knows of all rejects before them.
        let written_rejects = self.write_rejects(&rejects);
        drop(rejects);
        let fates = fates(&batch, &nodes);
        self.counts.rejected += fates.rejected;
        for (node, counted) in self.nodes.iter_mut().zip(nodes) {
            node.add(counted);
        }
        match written_rejects.and_then(|()| self.write(&mut batch, &refused)) {
            Ok(()) => {
                let Counts { written, filtered, blocked, .. } = fates;
                self.counts.written += written;
                self.counts.filtered += filtered;
                self.counts.blocked += blocked;
                if let Some(position) = batch.checkpoint() {
                    self.reach(position);
                }
            }
            Err(error) => {
                self.counts.abandoned += read - fates.rejected;
                self.heed_signal(); // a write elsewhere may have failed because of it
                if self.pipe_closed { self.stop.set() } else { self.fail(error) }
            }
        }
        batch
    }

    /// Lets sinks take what has come to them; says how many records each did not.
    fn accept(&mut self, batch: &mut Batch) -> Result<Vec<u64>, RunError> {
        let at = self.nodes.len() - self.sinks.len();
        let mut refused = Vec::with_capacity(self.sinks.len());
        for (i, sink) in self.sinks.iter_mut().enumerate() {
            let rejected = batch.rejected();
            batch.swap_end(i);
            let accepted = sink.accept(batch);
            batch.swap_end(i);
            if let Err(source) = accepted {
                return Err(self.write_error(i, source));
            }
            if let Some(name) = &self.names[at + i] {
                batch.name_rejections(rejected, name);
            }
            refused.push((batch.rejected() - rejected) as u64);
        }
        Ok(refused)
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
        for i in 0..self.sinks.len() {
            if let Err(source) = self.sinks[i].output_mut().show(after) {
                self.fail_to_write(i, source);
            }
        }
    }

    /// Ends frames of compressed outputs, at places that depend on the source alone: a run may be
    /// resumed at each of them, whether it is journalled or not.
    fn end_frames(&mut self) -> Result<(), RunError> {
        self.rejects.end_frame().map_err(|source| self.rejects_error(source))?;
        for i in 0..self.sinks.len() {
            let ended = self.sinks[i].output_mut().end_frame();
            ended.map_err(|source| self.write_error(i, source))?;
        }
        Ok(())
    }

    /// Nothing more is written.
    fn complete(&mut self) {
        if (self.counts.rejected > 0 || self.rejects.is_stream())
            && let Err(source) = self.rejects.complete()
        {
            return self.fail(self.rejects_error(source));
        }
        for i in 0..self.sinks.len() {
            let sink = &mut self.sinks[i];
            let completed = sink.complete().and_then(|()| sink.output_mut().complete());
            if let Err(source) = completed {
                self.fail_to_write(i, source);
            }
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
        let outputs = outputs(&mut self.rejects, &mut self.sinks);
        let made_safe = checkpoints.reach(checkpoint, outputs);
        self.heed_failure(made_safe);
    }

    fn checkpoint_at(&self, position: RecordPosition) -> Checkpoint {
        let outputs = || [&self.rejects].into_iter().chain(self.sinks.iter().map(|it| it.output()));
        Checkpoint {
            input: self.input,
            position,
            bytes_read: self.bytes_read,
            lengths: outputs().map(Output::len).collect(),
            numbers: outputs().map(Output::number).collect(),
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

    /// Writes what has come to the sinks, behind the rejects: a record is never missing from all.
    /// `refused`: how many records each of them did not take.
    fn write(&mut self, batch: &mut Batch, refused: &[u64]) -> Result<(), RunError> {
        let at = self.nodes.len() - self.sinks.len();
        for (i, &refused) in refused.iter().enumerate() {
            batch.swap_end(i);
            let (written, given) = (self.sinks[i].write(batch), batch.len() as u64);
            batch.swap_end(i);
            if let Err(source) = written {
                // Whoever reads our output has seen enough: a quiet end.
                self.pipe_closed = source.kind() == io::ErrorKind::BrokenPipe;
                return Err(self.write_error(i, source));
            }
            let counted =
                Counted { given, yielded: given, rejected: refused, ..Counted::default() };
            self.nodes[at + i].add(counted);
        }
        Ok(())
    }

    /// Where no batch can be said to be what could not be written.
    fn fail_to_write(&mut self, sink: usize, source: io::Error) {
        self.pipe_closed = source.kind() == io::ErrorKind::BrokenPipe;
        if self.pipe_closed { self.stop.set() } else { self.fail(self.write_error(sink, source)) }
    }

    fn write_error(&self, sink: usize, source: io::Error) -> RunError {
        let output = self.sinks[sink].output();
        let what = match output.is_stream() {
            true => match &self.names[self.nodes.len() - self.sinks.len() + sink] {
                Some(name) => format!("the output of `{name}`"),
                None => "the output".to_owned(),
            },
            false => format!("the output `{}`", output.path().display()),
        };
        RunError::Write { what, source }
    }

    fn write_rejects(&mut self, rejects: &[Reject<'_>]) -> Result<(), RunError> {
        let mut out = BufWriter::with_capacity(REJECTS_BUFFER_BYTES, &mut self.rejects);
        let written = rejects.iter().try_for_each(|reject| reject.write_line(&mut out));
        let written = written.and_then(|()| out.flush());
        drop(out.into_parts()); // what could not be written is not tried again
        written.map_err(|source| {
            // As of `2>&1 | head`, where rejects go the way of the output. Whoever reads the output
            // elsewhere is to know that it ends early.
            let mut outputs = self.sinks.iter().map(|sink| sink.output());
            self.pipe_closed = source.kind() == io::ErrorKind::BrokenPipe
                && outputs.any(|output| self.rejects.is_same_stream(output));
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
            for sink in &mut self.sinks {
                let _ = sink.output_mut().show(Duration::ZERO);
            }
            if let Some(checkpoints) = &mut self.checkpoints {
                let _ = checkpoints.make_safe(outputs(&mut self.rejects, &mut self.sinks));
            }
        }
        self.stop.set_ending();
        let records_read = records_read - self.unread;
        let unseen = records_read - self.counts.read; // in batches that never came back
        self.counts.read = records_read;
        self.counts.abandoned += unseen;
        let abandoned = self.counts.abandoned;
        if abandoned > 0 && self.error.is_none() && !self.pipe_closed {
            self.fail(RunError::Bug(format!("{abandoned} records were abandoned for no reason")));
        }
        let identity = self.counts.check_identity();
        if let Err(violation) = identity {
            self.fail(RunError::Bug(violation));
        }
        if self.goes_on()
            && let Err(violation) = self.nodes.iter().try_for_each(Node::check_identity)
        {
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
        let mut rejects = self.rejects;
        let mut outputs: Vec<Output> = self.sinks.into_iter().map(Sink::finish).collect();
        if is_kept {
            outputs.iter_mut().chain([&mut rejects]).for_each(Output::keep);
        }
        let mut versions = vec![None; outputs.len()];
        if published {
            match publish::publish_all(rejects, outputs, self.counts.rejected > 0) {
                Ok(told) => versions = told,
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
            versions,
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
        let wanted = [self.counts.rejected > 0].into_iter();
        let wanted = wanted.chain(self.sinks.iter().map(|_| true)).collect();
        let sealed = checkpoints.seal(end, outputs(&mut self.rejects, &mut self.sinks), wanted);
        self.heed_failure(sealed);
    }
}

/// What becomes of each record of a batch: a reject if any way rejects it, else blocked if a rule on
/// any way holds it back, else written if anything made of it comes to a sink.
fn fates(batch: &Batch, nodes: &[Counted]) -> Counts {
    let read = batch.read() as u64;
    let mut fates = Counts { read, ..Counts::default() };
    let sinks = batch.ends();
    let is_plain = |counted: &Counted| counted.yielded == counted.given && counted.blocked == 0;
    // Where ways part, one may reject what another writes.
    if let [end] = sinks
        && batch.rejected() == 0
        && nodes.iter().all(is_plain)
        && end.origins().is_sorted_by(|a, b| a < b)
    {
        fates.written = end.len() as u64;
        fates.filtered = read - fates.written;
        return fates;
    }
    const WRITTEN: u8 = 1;
    const BLOCKED: u8 = 2;
    const REJECTED: u8 = 3;
    let mut fate_of = vec![0; batch.read()];
    for end in sinks {
        end.origins().iter().for_each(|&record| fate_of[record as usize] = WRITTEN);
    }
    batch.blocked().iter().for_each(|&record| fate_of[record as usize] = BLOCKED);
    batch.rejected_records().for_each(|record| fate_of[record] = REJECTED);
    for fate in fate_of {
        match fate {
            WRITTEN => fates.written += 1,
            BLOCKED => fates.blocked += 1,
            REJECTED => fates.rejected += 1,
            _ => fates.filtered += 1,
        }
    }
    fates
}

/// All that a run writes: the rejects, then what its sinks write.
fn outputs<'a>(rejects: &'a mut Output, sinks: &'a mut [Box<dyn Sink>]) -> Vec<&'a mut Output> {
    [rejects].into_iter().chain(sinks.iter_mut().map(|sink| sink.output_mut())).collect()
}

#[cfg(test)]
mod tests;
