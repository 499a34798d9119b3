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

pub mod counts;
mod lane;
pub mod limits;
mod pace;

use crate::batch::Batch;
use crate::record::Reject;
use crate::sink::Sink;
use crate::sink::publish::{self, Output};
use crate::source::{Source, SourceError};
use crate::step::{Step, StepError};
use crate::stop::Stop;
use counts::{Counted, Counts, Node};
use crossbeam_channel::RecvTimeoutError;
use lane::{Done, Lane, Message};
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
    /// Where those end that can't go on.
    pub rejects: Rejects,
    /// When to give up.
    pub limits: Limits,
    /// How many batches are worked on at once.
    pub threads: usize,
    /// Who may end the run early.
    pub stop: Stop,
}

/// Where rejects are written.
pub struct Rejects {
    /// The file; published only when there is a reject.
    pub output: Output,
    /// Its path, where an earlier run may have left one that this run's publication outdates.
    pub path: Option<PathBuf>,
}

/// How a run ended. Its counts are right however it ended.
pub struct Outcome {
    /// What became of the records.
    pub counts: Counts,
    /// The same for each node, in the order of the data.
    pub nodes: Vec<Node>,
    /// Whether outputs are in their place.
    pub published: bool,
    /// Whether the reader of our output went away, which ends a run early and quietly.
    pub pipe_closed: bool,
    /// Why it did not end well.
    pub error: Option<RunError>,
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
    let Pipeline { source, steps, sink, rejects, limits, threads, stop } = pipeline;
    let names = [source.name().to_owned()].into_iter();
    let names = names.chain(steps.iter().map(|step| step.name().to_string()));
    let names = names.chain([sink.name().to_owned()]);
    let mut collector = Collector {
        counts: Counts::default(),
        bytes_read: 0,
        nodes: names.map(Node::new).collect(),
        sink,
        rejects: rejects.output,
        limits,
        stop: stop.clone(),
        error: None,
        pipe_closed: false,
    };
    let lane = Lane::start(source, steps, threads, stop);
    collector.collect(&lane, &mut progress);
    progress(&collector.counts, collector.bytes_read);
    collector.end(lane.records_read(), rejects.path)
}

struct Collector {
    counts: Counts,
    bytes_read: u64,
    nodes: Vec<Node>,
    sink: Box<dyn Sink>,
    rejects: Output,
    limits: Limits,
    stop: Stop,
    /// The first one, in the order of the source.
    error: Option<RunError>,
    pipe_closed: bool,
}

impl Collector {
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
        let Done { batch, nodes, error } = done;
        let (read_before, read) = (self.counts.read, batch.read() as u64);
        self.counts.read += read;
        self.bytes_read += batch.bytes_read() as u64;
        if let Some((step, source)) = error {
            match source {
                StepError::Stopped => {} // whoever stopped us has said why, or is about to
                source => self.fail(RunError::Step { step, source }),
            }
            self.counts.abandoned += read;
            return batch;
        }
        if !self.goes_on() {
            self.counts.abandoned += read;
            return batch;
        }
        let rejects = batch.rejects();
        if let Some((counted, hit)) = self.limits.check(read_before, read, &rejects) {
            self.counts.rejected += counted as u64;
            self.counts.abandoned += read - counted as u64;
            for reject in &rejects[..counted] {
                if let Some(node) = self.nodes.iter_mut().find(|node| node.name == reject.step) {
                    node.add(Counted { rejected: 1, ..Counted::default() });
                }
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
        let written = batch.len() as u64;
        match self.write(&batch, &rejects) {
            Ok(()) => {
                self.counts.written += written;
                let sink = self.nodes.last_mut().expect("the sink is a node");
                sink.add(Counted { taken: written, ..Counted::default() });
            }
            Err(error) => {
                self.counts.abandoned += written;
                if self.pipe_closed { self.stop.set() } else { self.fail(error) }
            }
        }
        batch
    }

    /// Rejects first: a record is never missing from both.
    fn write(&mut self, batch: &Batch, rejects: &[Reject<'_>]) -> Result<(), RunError> {
        self.write_rejects(rejects)?;
        self.sink.write(batch).map_err(|source| {
            // Whoever reads our output has seen enough: a quiet end.
            self.pipe_closed = source.kind() == io::ErrorKind::BrokenPipe;
            RunError::Write { what: "the output".to_owned(), source }
        })
    }

    fn write_rejects(&mut self, rejects: &[Reject<'_>]) -> Result<(), RunError> {
        let mut out = BufWriter::with_capacity(REJECTS_BUFFER_BYTES, &mut self.rejects);
        let written = rejects.iter().try_for_each(|reject| reject.write_line(&mut out));
        let written = written.and_then(|()| out.flush());
        drop(out.into_parts()); // what could not be written is not tried again
        written.map_err(|source| {
            // As of `2>&1 | head`, where rejects go the way of the output.
            self.pipe_closed = source.kind() == io::ErrorKind::BrokenPipe
                && self.rejects.is_stream()
                && self.sink.is_stream();
            let what = match self.rejects.is_stream() {
                true => "the rejects".to_owned(),
                false => format!("the rejects file `{}`", self.rejects.path().display()),
            };
            RunError::Write { what, source }
        })
    }

    fn goes_on(&self) -> bool {
        self.error.is_none() && !self.pipe_closed
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
    fn end(mut self, records_read: u64, rejects_path: Option<PathBuf>) -> Outcome {
        self.stop.set_ending();
        let unseen = records_read - self.counts.read; // in batches that never came back
        self.counts.read = records_read;
        self.counts.abandoned += unseen;
        let abandoned = self.counts.abandoned;
        if abandoned > 0 && self.goes_on() {
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
        // Whoever closed the pipe saw a part: no file is to say that it was the whole.
        let mut published = self.goes_on();
        if published {
            let mut outputs = Vec::new();
            // A device is no file of an earlier run: `--rejects /dev/null` must not remove it.
            let mut stale = rejects_path.filter(|_| !self.rejects.is_stream());
            if self.counts.rejected > 0 {
                outputs.push(self.rejects);
                stale = None;
            }
            outputs.push(self.sink.finish());
            if let Err(unfinished) = publish::publish(outputs, stale.as_deref()) {
                published = unfinished.renamed;
                let what = unfinished.path.display().to_string();
                self.error = Some(RunError::Write { what, source: unfinished.source });
            }
        }
        Outcome {
            published,
            counts: self.counts,
            nodes: self.nodes,
            pipe_closed: self.pipe_closed,
            error: self.error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Oversized, Rejection};
    use crate::plugin::ModelError;
    use crate::record::RejectKind;
    use crate::sink::ldjson::Writer;
    use crate::source::ldjson::{Options, Reader};
    use model_abi_layout::Span;
    use std::fs::File;
    use std::io::{PipeReader, Read, Seek, pipe};
    use std::os::fd::OwnedFd;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Condvar, Mutex};
    use tempfile::TempDir;

    type FromSource = Result<(), SourceError>;
    type FromStep = Result<(), StepError>;

    /// A source that is a function.
    struct FnSource<F>(F);

    impl<F: FnMut(&mut Batch, &Stop) -> FromSource + Send> Source for FnSource<F> {
        fn name(&self) -> &'static str {
            "Source"
        }

        fn read_batch(&mut self, batch: &mut Batch, _: usize, stop: &Stop) -> FromSource {
            fill(batch, "")?;
            (self.0)(batch, stop)
        }
    }

    /// The words of `text` become the records of the batch.
    fn fill(batch: &mut Batch, text: &str) -> FromSource {
        batch.refill(|block| {
            for word in text.split_whitespace() {
                let start = (word.as_ptr() as usize - text.as_ptr() as usize) as u32;
                block.spans.push(Span { start, len: word.len() as u32 });
            }
            block.bytes.extend_from_slice(text.as_bytes());
            Ok(())
        })
    }

    /// A step that is a function.
    struct FnStep<F>(Arc<F>, Arc<str>);

    impl<F: Fn(&mut Batch) -> FromStep + Send + Sync + 'static> Step for FnStep<F> {
        fn name(&self) -> &Arc<str> {
            &self.1
        }

        fn another(&self) -> Box<dyn Step> {
            Box::new(FnStep(self.0.clone(), self.1.clone()))
        }

        fn apply(&mut self, batch: &mut Batch) -> FromStep {
            (self.0)(batch)
        }
    }

    /// A pipeline that is run on two threads and writes into an open file.
    struct Job {
        pipeline: Pipeline,
        written: File,
        folder: TempDir,
    }

    impl Job {
        /// Each text is a batch, its words are records.
        fn new(batches: &[&'static str]) -> Self {
            let mut batches = Vec::from(batches).into_iter();
            Self::from(move |batch, _| fill(batch, batches.next().unwrap_or_default()))
        }

        fn from(source: impl FnMut(&mut Batch, &Stop) -> FromSource + Send + 'static) -> Self {
            let (written, folder) = (tempfile::tempfile().unwrap(), tempfile::tempdir().unwrap());
            let pipeline = Pipeline {
                source: Box::new(FnSource(source)),
                steps: Vec::new(),
                sink: writer(Output::stream(written.try_clone().unwrap())),
                rejects: rejects(&folder.path().join("rejects")),
                limits: Limits::default(),
                threads: 2,
                stop: Stop::default(),
            };
            Job { pipeline, written, folder }
        }

        fn step(mut self, step: impl Fn(&mut Batch) -> FromStep + Send + Sync + 'static) -> Self {
            self.pipeline.steps.push(Box::new(FnStep(Arc::new(step), "step".into())));
            self
        }

        fn run(self) -> Ran {
            self.run_while(|_| {})
        }

        fn run_while(mut self, mut progress: impl FnMut(&Counts)) -> Ran {
            let began = Instant::now();
            let outcome = run(self.pipeline, |counts, _| progress(counts));
            assert!(began.elapsed() < Duration::from_secs(30));
            outcome.counts.check_identity().unwrap();
            let mut written = String::new();
            self.written.rewind().unwrap();
            self.written.read_to_string(&mut written).unwrap();
            Ran { outcome, written: written.replace('\n', " "), folder: self.folder }
        }
    }

    struct Ran {
        outcome: Outcome,
        /// Records, a space behind each.
        written: String,
        folder: TempDir,
    }

    impl Ran {
        /// `read = written + rejected + abandoned`, and the error.
        fn summary(&self) -> String {
            let Counts { read, written, rejected, abandoned, .. } = self.outcome.counts;
            let error = self.outcome.error.as_ref();
            let error = error.map_or("ok".to_owned(), |error| crate::error::chain(error));
            format!("{read} = {written} + {rejected} + {abandoned}, {error}")
        }

        fn files(&self) -> Vec<String> {
            let entries = std::fs::read_dir(self.folder.path()).unwrap();
            let mut names: Vec<_> =
                entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    fn writer(output: Output) -> Box<dyn Sink> {
        Box::new(Writer::new(output))
    }

    fn rejects(path: &std::path::Path) -> Rejects {
        Rejects { output: Output::create(path).unwrap(), path: Some(path.to_owned()) }
    }

    /// Rejects the records that are called `bad`.
    fn reject_bad(batch: &mut Batch) -> FromStep {
        let bad = (0..batch.len()).filter(|&record| batch.record(record) == b"bad");
        let mut rejections = bad.map(rejection).collect();
        batch.remove(&mut rejections);
        Ok(())
    }

    fn rejection(record: usize) -> Rejection {
        let (step, path, message) = ("step".into(), String::new(), "bad".to_owned());
        Rejection { record, kind: RejectKind::Value, path, message, step }
    }

    fn broken(why: &str) -> StepError {
        ModelError::Broken(why.to_owned()).into()
    }

    fn source_error() -> SourceError {
        SourceError {
            path: "in".to_owned(),
            line: 3,
            byte: 4,
            source: io::Error::other("broken disk"),
        }
    }

    /// Numbers that can be waited for.
    #[derive(Clone, Default)]
    struct Seen(Arc<(Mutex<Vec<u64>>, Condvar)>);

    impl Seen {
        fn say(&self, number: u64) {
            self.0.0.lock().unwrap().push(number);
            self.0.1.notify_all();
        }

        #[track_caller]
        fn wait_for(&self, number: u64) {
            assert!(self.comes(number, Duration::from_secs(10)), "{number} never came");
        }

        fn comes(&self, number: u64, within: Duration) -> bool {
            let is_missing = |seen: &mut Vec<u64>| !seen.contains(&number);
            let seen = self.0.0.lock().unwrap();
            let waited = self.0.1.wait_timeout_while(seen, within, is_missing).unwrap();
            !waited.1.timed_out()
        }
    }

    fn hang() -> ! {
        loop {
            std::thread::park();
        }
    }

    /// A pipe whose reader may go away.
    fn pipe_output() -> (PipeReader, Output) {
        let (reader, writer) = pipe().unwrap();
        (reader, Output::stream(File::from(OwnedFd::from(writer))))
    }

    #[test]
    fn nothing_in_is_nothing_out() {
        let ran = Job::new(&[]).run();
        assert_eq!(ran.summary(), "0 = 0 + 0 + 0, ok");
        assert_eq!((ran.written.as_str(), ran.outcome.published), ("", true));
    }

    #[test]
    fn records_leave_in_the_order_in_which_they_came() {
        // Of two batches the second is always done first.
        let done = Seen::default();
        let job = Job::new(&["a1 a2", "b", "c", "d1 d2", "e", "f"]).step(move |batch| {
            if batch.sequence % 2 == 0 {
                done.wait_for(batch.sequence + 1);
            }
            done.say(batch.sequence);
            Ok(())
        });
        let ran = job.run();
        assert_eq!(ran.written, "a1 a2 b c d1 d2 e f ");
        assert_eq!(ran.summary(), "8 = 8 + 0 + 0, ok");
    }

    #[test]
    fn every_record_is_counted_where_it_ends() {
        let ran = Job::new(&["a bad b", "bad", "c", "bad bad d"]).step(reject_bad).run();
        assert_eq!(ran.summary(), "8 = 4 + 4 + 0, ok");
        assert_eq!(ran.written, "a b c d ");
        let nodes = ran.outcome.nodes.iter();
        let nodes: Vec<_> =
            nodes.map(|n| (n.name.as_str(), n.taken, n.given, n.rejected)).collect();
        let expected = [("Source", 0, 8, 0), ("step", 8, 4, 4), ("LdjsonWriter", 4, 0, 0)];
        assert_eq!(nodes, expected);
        assert_eq!(ran.files(), ["rejects"]);
        let rejects = std::fs::read_to_string(ran.folder.path().join("rejects")).unwrap();
        assert_eq!(rejects.matches(r#""record":"bad""#).count(), 4);
    }

    #[test]
    fn a_record_that_was_too_long_to_be_held_is_rejected_in_its_place() {
        let mut asked = 0;
        let job = Job::from(move |batch, _| {
            asked += 1;
            match asked {
                2 => batch.refill(|block| {
                    let (head, message) = (b"{".to_vec(), "too long".to_owned());
                    block.oversized =
                        Some(Oversized { length: 1 << 40, head, step: "Source".into(), message });
                    Ok(())
                }),
                asked => fill(batch, if asked <= 3 { "x y" } else { "" }),
            }
        });
        let ran = job.step(reject_bad).run();
        assert_eq!(
            (ran.summary().as_str(), ran.written.as_str()),
            ("5 = 4 + 1 + 0, ok", "x y x y ")
        );
    }

    #[test]
    fn the_first_error_in_the_order_of_the_source_is_told_and_nothing_is_published() {
        let failed = Seen::default();
        let mut job = Job::new(&["a bad", "b", "c"]).step(reject_bad).step(move |batch| {
            match batch.sequence {
                0 => failed.wait_for(2),
                1 => return Err(broken("first")),
                _ => failed.say(2),
            }
            if batch.sequence == 2 { Err(broken("later")) } else { Ok(()) }
        });
        job.pipeline.threads = 3;
        job.pipeline.sink = writer(Output::create(&job.folder.path().join("out")).unwrap());
        let ran = job.run();
        let error = "step `step` can't go on: it says that it is broken: first";
        assert_eq!(ran.summary(), format!("4 = 1 + 1 + 2, {error}"));
        assert_eq!((ran.outcome.published, ran.files()), (false, vec![]));
    }

    #[test]
    fn what_came_before_an_error_of_the_source_is_written_to_a_stream() {
        let mut batches = ["a", "b c"].into_iter();
        let job = Job::from(move |batch, _| match batches.next() {
            Some(text) => fill(batch, text),
            None => Err(source_error()),
        });
        let ran = job.run();
        let error = "the input can't be read: in: can't read on at line 3, byte 4: broken disk";
        assert_eq!(
            (ran.summary(), ran.written.as_str()),
            (format!("3 = 3 + 0 + 0, {error}"), "a b c ")
        );
        assert!(!ran.outcome.published);
    }

    #[test]
    fn an_error_of_a_step_is_told_before_a_later_one_of_the_source() {
        let failed = Seen::default();
        let mut asked = 0;
        let job = Job::from({
            let failed = failed.clone();
            move |batch, _| {
                asked += 1;
                if asked == 1 {
                    return fill(batch, "a");
                }
                failed.say(0);
                Err(source_error())
            }
        });
        let ran = job.step(move |_| {
            failed.wait_for(0);
            Err(broken("first"))
        });
        assert!(ran.run().summary().contains("broken: first"));
    }

    #[test]
    fn a_reader_of_our_output_that_goes_away_is_a_quiet_end() {
        let (reader, output) = pipe_output();
        let mut job = Job::new(&["a", "b", "c"]);
        job.pipeline.sink = writer(output);
        drop(reader);
        let ran = job.run();
        assert_eq!(ran.outcome.counts.written, 0);
        assert!(ran.outcome.counts.abandoned > 0 && ran.outcome.pipe_closed);
        assert!(ran.outcome.error.is_none(), "{}", ran.summary());
    }

    #[test]
    fn a_reader_of_our_rejects_that_goes_away_is_an_error() {
        let (reader, output) = pipe_output();
        let mut job = Job::new(&["a bad", "b"]).step(reject_bad);
        job.pipeline.sink = writer(Output::create(&job.folder.path().join("out")).unwrap());
        job.pipeline.rejects = Rejects { output, path: None };
        drop(reader);
        let ran = job.run();
        assert!(ran.summary().contains("can't be written: Broken pipe"), "{}", ran.summary());
        assert_eq!((ran.outcome.published, ran.files()), (false, vec![]));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_an_error() {
        let mut job = Job::new(&["a b", "c"]);
        job.pipeline.sink = writer(Output::create("/dev/full".as_ref()).unwrap());
        let ran = job.run();
        assert!(ran.summary().contains("the output can't be written: No space left"));
        assert_eq!((ran.outcome.counts.written, ran.outcome.published), (0, false));
    }

    #[test]
    fn a_rejects_file_of_an_earlier_run_goes_and_what_is_no_file_stays() {
        let job = Job::new(&["a"]);
        let file = job.folder.path().join("rejects");
        std::fs::write(&file, "of an earlier run").unwrap();
        assert_eq!(job.run().files(), [""; 0]);

        // As if the path were that of a device.
        let mut job = Job::new(&["a"]);
        job.pipeline.rejects.output = Output::stream(tempfile::tempfile().unwrap());
        std::fs::write(job.folder.path().join("rejects"), "").unwrap();
        assert_eq!(job.run().files(), ["rejects"]);
    }

    #[test]
    fn a_panic_is_our_bug_and_ends_the_run() {
        let job = Job::new(&["a", "b", "c", "d"]).step(|batch| match batch.record(0) {
            b"b" => panic!("no b"),
            _ => Ok(()),
        });
        let ran = job.run();
        assert!(ran.summary().contains("a bug in etl-host: a thread panicked: no b"));
        let ran = Job::from(|_, _| panic!("{}", 1 + 1)).run();
        assert_eq!(ran.summary(), "0 = 0 + 0 + 0, a bug in etl-host: a thread panicked: 2");
    }

    #[test]
    fn a_signal_ends_a_run_whose_step_never_comes_back() {
        let others_done = Seen::default();
        let job = Job::new(&["a", "b", "c"]).step({
            let others_done = others_done.clone();
            move |batch| match batch.sequence {
                1 => hang(),
                sequence => {
                    others_done.say(sequence);
                    Ok(())
                }
            }
        });
        let (stop, mut said) = (job.pipeline.stop.clone(), None);
        let ran = job.run_while(|counts| {
            if counts.written == 1 && said.is_none() {
                others_done.wait_for(2);
                said = Some(Instant::now());
                stop.interrupt(15);
            }
        });
        assert!(said.unwrap().elapsed() < Duration::from_secs(1));
        assert_eq!(ran.summary(), "3 = 1 + 0 + 2, interrupted by SIGTERM");
        assert!(!ran.outcome.published);
    }

    #[test]
    fn a_signal_that_the_source_sees_first_is_told_too() {
        // Without looking twice the collector would miss it every few times.
        for _ in 0..20 {
            let (taken, mut asked) = (Seen::default(), 0);
            let job = Job::from({
                let taken = taken.clone();
                move |batch, stop| {
                    asked += 1;
                    if asked == 1 {
                        return fill(batch, "a");
                    }
                    taken.wait_for(1);
                    stop.interrupt(2);
                    Ok(())
                }
            });
            let ran = job.run_while(|counts| taken.say(counts.written));
            assert_eq!(ran.summary(), "1 = 1 + 0 + 0, interrupted by SIGINT");
        }
    }

    #[test]
    fn a_limit_ends_the_run_and_tells_of_every_reject_that_counts() {
        let mut job = Job::new(&["a", "bad b bad c bad", "d"]).step(reject_bad);
        let rejects = tempfile::tempfile().unwrap();
        job.pipeline.rejects =
            Rejects { output: Output::stream(rejects.try_clone().unwrap()), path: None };
        job.pipeline.limits = Limits::new(false, Some("1".parse().unwrap()));
        let ran = job.run();
        assert!(matches!(ran.outcome.error, Some(RunError::Limit(_))));
        assert_eq!(ran.outcome.counts.rejected, 2);
        let mut told = String::new();
        (&rejects).rewind().unwrap();
        (&rejects).read_to_string(&mut told).unwrap();
        assert_eq!(told.lines().count(), 2);
    }

    #[test]
    fn a_step_that_stops_without_being_told_to_is_our_bug() {
        let ran = Job::new(&["a"]).step(|_| Err(StepError::Stopped)).run();
        assert!(ran.summary().starts_with("1 = 0 + 0 + 1, a bug in etl-host"), "{}", ran.summary());
    }

    #[test]
    fn the_source_is_asked_for_no_more_batches_than_there_are() {
        const BATCHES: u64 = 2 * 2 + 2;
        let (asked, written) = (Seen::default(), tempfile::tempfile().unwrap());
        let mut job = Job::from({
            let (asked, written) = (asked.clone(), written.try_clone().unwrap());
            let mut sequence = 0;
            move |batch, _| {
                let under_way = sequence - written.metadata().unwrap().len() / 2; // "a" and "\n"
                assert!(under_way < BATCHES, "one too many");
                sequence += 1;
                asked.say(sequence);
                fill(batch, if sequence < 100 { "a" } else { "" })
            }
        });
        job.pipeline.sink = writer(Output::stream(written));
        let ran = job
            .step(move |_| {
                asked.wait_for(BATCHES);
                Ok(())
            })
            .run();
        assert_eq!(ran.summary(), "99 = 99 + 0 + 0, ok");
    }

    #[test]
    fn a_record_that_is_larger_than_its_share_runs_alone() {
        const LARGE: [u64; 3] = [2, 5, 6];
        let (asked, begun) = (Seen::default(), Seen::default());
        let mut job = Job::from({
            let (asked, mut sequence) = (asked.clone(), 0);
            let large = "x".repeat(lane::SHARED_BYTES_MAX + 1);
            move |batch, _| {
                asked.say(sequence);
                let is_large = LARGE.contains(&sequence);
                sequence += 1;
                fill(
                    batch,
                    if is_large {
                        &large
                    } else if sequence < 9 {
                        "a"
                    } else {
                        ""
                    },
                )
            }
        });
        job = job.step(move |batch| {
            let next = batch.sequence + 1;
            begun.say(batch.sequence);
            if LARGE.contains(&batch.sequence) {
                assert!(!asked.comes(next, Duration::from_millis(50)), "another is read beside it");
            } else if LARGE.contains(&next) {
                assert!(!begun.comes(next, Duration::from_millis(50)), "it begins beside another");
            }
            Ok(())
        });
        job.pipeline.threads = 4;
        assert_eq!(job.run().summary(), "8 = 8 + 0 + 0, ok");
    }

    #[test]
    fn batches_of_rejects_are_small_ones() {
        // A record of two bytes becomes a reject of hundreds.
        let largest = Arc::new(AtomicUsize::new(0));
        let input = crate::storage::Memory::new("x\n".repeat(300_000));
        let mut job = Job::new(&[]).step({
            let largest = largest.clone();
            move |batch| {
                largest.fetch_max(batch.len(), Ordering::Relaxed);
                batch.remove(&mut (0..batch.len()).map(rejection).collect());
                Ok(())
            }
        });
        job.pipeline.source = Box::new(Reader::new("in", Box::new(input), Options::default()));
        assert_eq!(job.run().summary(), "300000 = 0 + 300000 + 0, ok");
        let largest = largest.load(Ordering::Relaxed);
        assert!(largest < 10_000, "{largest}");
    }
}
