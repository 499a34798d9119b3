//! The run, tried with sources, steps and sinks that are functions.

use super::*;
use crate::batch::{Oversized, Rejection};
use crate::plugin::ModelError;
use crate::record::RejectKind;
use crate::sink::ldjson::Writer;
use crate::source::Source;
use crate::source::ldjson::{Options, Reader};
use crate::step::Step;
use model_abi_layout::Span;
use std::fs::File;
use std::io::{PipeReader, Read, Seek, pipe};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use tempfile::TempDir;

mod power;

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
    source: Box<dyn Source>,
    steps: Vec<Box<dyn Step>>,
    sink: Box<dyn Sink>,
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
            nodes: Vec::new(),
            rejects: rejects(&folder.path().join("rejects")),
            limits: Limits::default(),
            threads: 2,
            stop: Stop::default(),
            checkpoints: None,
        };
        let source = Box::new(FnSource(source));
        let sink = writer(Output::stream(written.try_clone().unwrap()));
        Job { pipeline, source, steps: Vec::new(), sink, written, folder }
    }

    fn step(mut self, step: impl Fn(&mut Batch) -> FromStep + Send + Sync + 'static) -> Self {
        self.steps.push(Box::new(FnStep(Arc::new(step), "step".into())));
        self
    }

    fn run(self) -> Ran {
        self.run_while(|_| {})
    }

    fn run_while(mut self, mut progress: impl FnMut(&Counts)) -> Ran {
        let began = Instant::now();
        self.pipeline.nodes = line(self.source, self.steps, self.sink);
        let outcome = run(self.pipeline, |counts, _| progress(counts));
        assert!(began.elapsed() < Duration::from_secs(30));
        outcome.counts.check_identity().unwrap();
        let mut written = String::new();
        self.written.rewind().unwrap();
        self.written.read_to_string(&mut written).unwrap();
        Ran { outcome, written: written.replace('\n', " "), folder: self.folder }
    }
}

/// Nodes that each take from the one before.
fn line(
    source: Box<dyn Source>,
    steps: Vec<Box<dyn Step>>,
    sink: Box<dyn Sink>,
) -> Vec<graph::Node> {
    let steps = steps.into_iter().map(Work::Step);
    graph::line([Work::Source(source)].into_iter().chain(steps).chain([Work::Sink(sink)]))
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
        let error = error.map_or("ok".to_owned(), |error| crate::causes::chain(error));
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

fn rejects(path: &std::path::Path) -> Output {
    Output::create(path).unwrap()
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
        line: Some(3),
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

/// A reader whose batches are of these sizes in turn, whatever the run wants.
struct Sized(Reader, Vec<usize>, usize);

impl Source for Sized {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn read_batch(&mut self, batch: &mut Batch, _: usize, stop: &Stop) -> FromSource {
        self.2 += 1;
        self.0.read_batch(batch, self.1[self.2 % self.1.len()], stop)
    }
}

/// What is written and what is rejected, where batches are of these sizes.
fn written_and_rejected(sizes: &[usize], threads: usize) -> [Vec<u8>; 2] {
    const LINES: [&[u8]; 6] =
        [b"good", b"bad", b"", b"not \xff text", b"a longer one", &[b'x'; 60]];
    // Neighbours differ from turn to turn.
    let lines = (0..600).map(|n| LINES[n * (1 + n / LINES.len()) % LINES.len()]);
    let input = crate::storage::Memory::new(lines.collect::<Vec<_>>().join(&b'\n'));
    let mut job = Job::new(&[]).step(reject_bad);
    let reader =
        Reader::new("in", Box::new(input), Options { line_bytes_max: 50, ..Options::default() });
    job.source = Box::new(Sized(reader, sizes.to_vec(), 0));
    job.pipeline.threads = threads;
    let ran = job.run();
    assert!(ran.outcome.error.is_none(), "{}", ran.summary());
    [ran.written.into_bytes(), std::fs::read(ran.folder.path().join("rejects")).unwrap()]
}

#[test]
fn neither_the_size_of_batches_nor_the_number_of_threads_changes_a_byte() {
    let expected = written_and_rejected(&[1 << 20], 1);
    assert!(expected.iter().all(|bytes| bytes.len() > 500), "there are some of each");
    for sizes in [&[1][..], &[7], &[64], &[1, 1000], &[300, 2, 50, 1], &[4096, 1]] {
        for threads in [1, 2, 3, 8] {
            assert!(written_and_rejected(sizes, threads) == expected, "{sizes:?}, {threads}");
        }
    }
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
    let nodes: Vec<_> = nodes.map(|n| (n.name.as_str(), n.taken, n.given, n.rejected)).collect();
    let expected = [("Source", 0, 8, 0), ("step", 8, 4, 4), ("LdjsonWriter", 4, 4, 0)];
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
    assert_eq!((ran.summary().as_str(), ran.written.as_str()), ("5 = 4 + 1 + 0, ok", "x y x y "));
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
    job.sink = writer(Output::create(&job.folder.path().join("out")).unwrap());
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
    job.sink = writer(output);
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
    job.sink = writer(Output::create(&job.folder.path().join("out")).unwrap());
    job.pipeline.rejects = output;
    drop(reader);
    let ran = job.run();
    assert!(ran.summary().contains("can't be written: Broken pipe"), "{}", ran.summary());
    assert_eq!((ran.outcome.published, ran.files()), (false, vec![]));
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error() {
    let mut job = Job::new(&["a b", "c"]);
    job.sink = writer(Output::create("/dev/full".as_ref()).unwrap());
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
    job.pipeline.rejects = Output::stream(tempfile::tempfile().unwrap());
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
    job.pipeline.rejects = Output::stream(rejects.try_clone().unwrap());
    job.pipeline.limits = Limits::new(false, Some("1".parse().unwrap()));
    let ran = job.run();
    assert!(matches!(ran.outcome.error, Some(RunError::Limit(_))));
    assert_eq!(ran.outcome.counts.rejected, 2);
    let mut told = String::new();
    (&rejects).rewind().unwrap();
    (&rejects).read_to_string(&mut told).unwrap();
    assert_eq!(told.lines().count(), 2);
}

/// The second batch is done before the first, which a signal has its step give up: nothing behind a
/// hole is written, and no checkpoint may lie behind it.
#[test]
fn what_comes_behind_a_batch_that_a_signal_stopped_is_not_written() {
    for _ in 0..50 {
        let done = Seen::default();
        let mut job = Job::new(&["first", "second"]);
        let (stop, seen) = (job.pipeline.stop.clone(), done.clone());
        job.steps.push(Box::new(FnStep(
            Arc::new(move |batch: &mut Batch| {
                if batch.record(0) == b"second" {
                    seen.say(1);
                    return Ok(());
                }
                seen.wait_for(1);
                std::thread::sleep(Duration::from_millis(1)); // the collector has the second one
                stop.interrupt(15);
                Err(StepError::Stopped)
            }),
            "step".into(),
        )));
        let ran = job.run();
        assert_eq!(ran.written, "");
        assert_eq!(ran.summary(), "2 = 0 + 0 + 2, interrupted by SIGTERM");
    }
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
    job.sink = writer(Output::stream(written));
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
    job.source = Box::new(Reader::new("in", Box::new(input), Options::default()));
    assert_eq!(job.run().summary(), "300000 = 0 + 300000 + 0, ok");
    let largest = largest.load(Ordering::Relaxed);
    assert!(largest < 10_000, "{largest}");
}
