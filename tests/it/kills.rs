//! Runs with `--resume` that are killed, again and again, and started again: in the end there is
//! what an uninterrupted run writes, byte for byte, and every record has one fate.
//!
//! Two ways to the same answer: kills at moments, of a real run over many records; and kills at each
//! operation on a file, of a small one. `make soak` is the first with a thousand kills.

use crate::faults::on_a_disk_that_fills_up;
use crate::main_job::{BAD, SETOSA, VIRGINICA, iris};
use etl_host_benches::{Options, Size};
use etl_host_tests::faults::{Operation, run_with_fault, unflushed};
use etl_host_tests::kill::{Moment, Random, run_and_kill, run_and_measure};
use etl_host_tests::{Folder, Ran, Run};
use serde_json::Value;
use std::env;
use std::fs::{self, File};
use std::time::Duration;

const SIGKILL: i32 = 9;
const INPUT: &str = "in.json";
const OUTPUTS: [&str; 2] = ["out.json", "out.json.rejects.ldjson"];
const SUMMARY: &str = "s.json";
const JOURNAL: &str = ".out.json.etl-host-journal";
const STATE: &str = "state";
const PART: &str = ".out.json.etl-host-part";

/// A job that is to be interrupted, and what comes of it if it is not.
struct Job {
    folder: Folder,
    words: String,
    records: u64,
    /// Lines of the records that are rejected.
    bad: Vec<u64>,
    /// Output and rejects, whole.
    whole: [Vec<u8>; 2],
    /// How long a run takes, and how long the end of it, in which files get their names.
    takes: Duration,
    ending: Duration,
}

impl Job {
    /// One in a hundred of the records is bad. `checkpoints`: about so many in a run.
    fn new(records: u64, checkpoints: u64) -> Self {
        let folder = Folder::new();
        let size = Size::Records(records);
        let options = Options { bad_percent: 1.0, id: true, ..Options::new(size) };
        let mut bad = Vec::new();
        let mut file = File::create(folder.path().join(INPUT)).unwrap();
        let note = |record: etl_host_benches::BadRecord| {
            bad.push(record.place.line);
            Ok(())
        };
        let written = etl_host_benches::write(&options, &mut file, note).unwrap();
        let words = format!("-i {INPUT} -o {} --summary {SUMMARY} --keep id", OUTPUTS[0]);
        iris(&folder, &words).run().exits(1);
        let whole = OUTPUTS.map(|name| folder.read(name).unwrap());
        let resume = format!(
            "--resume --checkpoint-seconds 0 --checkpoint-bytes {}",
            written.bytes / checkpoints
        );
        let words = format!("{words} {resume}");
        let (takes, ending) = (Duration::ZERO, Duration::ZERO);
        let mut job = Job { folder, words, records, bad, whole, takes, ending };
        job.forget(false);
        let run = job.run(1);
        let (ran, takes, ending) = run_and_measure(run, PART, job.whole[0].len() as u64);
        ran.exits(1).says_nothing_of("resumed at");
        (job.takes, job.ending) = (takes, ending);
        job.check_end();
        let summary = job.summary();
        assert!(summary["checkpoints"].as_u64().unwrap() >= checkpoints * 4 / 5, "{summary}");
        assert_eq!(summary["resumed"], Value::Null);
        job
    }

    fn run(&self, threads: u64) -> Run<'_> {
        iris(&self.folder, &format!("{} --threads {threads}", self.words))
    }

    fn summary(&self) -> Value {
        serde_json::from_str(&self.folder.text(SUMMARY)).unwrap()
    }

    /// Removes what a run left; perhaps there is something else under its names then.
    fn forget(&self, has_old: bool) {
        for name in self.folder.names().iter().filter(|name| *name != INPUT) {
            fs::remove_file(self.folder.path().join(name)).unwrap();
        }
        for name in OUTPUTS.iter().filter(|_| has_old) {
            self.folder.write(name, "old");
        }
    }

    /// Each output is what it was before the first run, or the whole new one.
    #[track_caller]
    fn check_in_between(&self, has_old: bool) {
        let before = has_old.then(|| b"old".to_vec());
        for (name, whole) in OUTPUTS.iter().zip(&self.whole) {
            let now = self.folder.read(name);
            let bytes = now.as_ref().map(Vec::len);
            assert!(now == before || now.as_ref() == Some(whole), "{name}: {bytes:?} bytes");
        }
    }

    /// All is as if nothing had happened. Gives how many records are in neither output, and how many
    /// are there more than once; both are to be none.
    #[track_caller]
    fn check_end(&self) -> (u64, u64) {
        assert_eq!(self.folder.names(), [INPUT, OUTPUTS[0], OUTPUTS[1], SUMMARY]);
        let outputs = OUTPUTS.map(|name| self.folder.read(name).unwrap());
        let is_same = [outputs[0] == self.whole[0], outputs[1] == self.whole[1]];
        let (written, rejected) =
            (lines_of(&outputs[0], "\"id\": "), lines_of(&outputs[1], "\"line\":"));
        assert!(written.is_sorted() && rejected.is_sorted(), "not in the order of the records");
        assert_eq!(rejected, self.bad);
        let counts = &self.summary()["counts"];
        let counted = ["read", "written", "rejected"].map(|name| counts[name].as_u64().unwrap());
        let (out, err) = (written.len() as u64, rejected.len() as u64);
        assert_eq!(counted, [self.records, out, err], "{counts}");
        let mut fates = vec![0_u32; self.records as usize];
        written.into_iter().chain(rejected).for_each(|line| fates[line as usize - 1] += 1);
        let lost = fates.iter().filter(|times| **times == 0).count() as u64;
        let doubled = fates.iter().filter(|times| **times > 1).count() as u64;
        assert_eq!((lost, doubled, is_same), (0, 0, [true; 2]), "lost, doubled, same bytes");
        (lost, doubled)
    }

    /// When to kill the next run: mostly anywhere, one time in four while files get their names.
    fn moment(&self, random: &mut Random) -> Moment {
        match random.below(4) {
            0 => Moment::Written {
                name: PART.to_owned(),
                bytes: self.whole[0].len() as u64,
                later: random.up_to(self.ending),
            },
            _ => Moment::After(random.up_to(self.takes)),
        }
    }
}

/// The lines of the input that the lines of an output are about, each behind this name.
fn lines_of(output: &[u8], name: &str) -> Vec<u64> {
    let text = str::from_utf8(output).expect("UTF-8");
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is whole");
    let number = |line: &str| {
        let (_, rest) = line.split_once(name)?;
        rest.split(',').next()?.parse().ok()
    };
    text.lines().map(|line| number(line).unwrap_or_else(|| panic!("no number: {line}"))).collect()
}

/// What happened to a job that was killed all the time.
#[derive(Default)]
struct Figures {
    kills: u64,
    /// Runs that were started where one had been killed; those of them that did not have to begin
    /// at the first record; and those of these that had nothing left to do but to publish.
    resumes: u64,
    resumed_further: u64,
    resumed_at_the_end: u64,
    /// Jobs that came to their end, and what was wrong with their outputs.
    ends: u64,
    lost: u64,
    doubled: u64,
}

fn says(ran: &Ran, text: &str) -> bool {
    String::from_utf8_lossy(&ran.stderr).contains(text)
}

fn is_resumed(ran: &Ran) -> bool {
    says(ran, "resumed at ")
}

/// Kills and resumes until there are so many kills, and the job that was under way then has ended.
fn kill_and_resume(job: &Job, kills: u64, random: &mut Random) -> Figures {
    let mut figures = Figures::default();
    while figures.kills < kills {
        let has_old = random.below(2) == 0;
        job.forget(has_old);
        let mut is_resume = false;
        loop {
            let run = job.run(1 + random.below(2));
            let ran = match figures.kills < kills {
                true => run_and_kill(run, &job.moment(random)),
                false => run.run(),
            };
            figures.resumes += u64::from(is_resume);
            figures.resumed_further += u64::from(is_resume && is_resumed(&ran));
            figures.resumed_at_the_end += u64::from(is_resume && says(&ran, "resumed at the end"));
            if ran.signal.is_none() {
                ran.exits(1);
                break;
            }
            ran.dies_of(SIGKILL);
            figures.kills += 1;
            job.check_in_between(has_old);
            is_resume = true;
        }
        let (lost, doubled) = job.check_end();
        figures.ends += 1;
        figures.lost += lost;
        figures.doubled += doubled;
    }
    figures
}

pub(crate) fn number_from_environment(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// `SOAK_KILLS` and `SEED` say how often, and when; `make soak` sets them.
#[test]
#[expect(clippy::print_stdout, reason = "figures, for who soaks")]
fn a_run_that_is_killed_at_any_moment_goes_on_and_loses_and_doubles_nothing() {
    let (kills, seed) =
        (number_from_environment("SOAK_KILLS", 25), number_from_environment("SEED", 1));
    println!("SEED={seed}");
    let job = Job::new(300_000, 25);
    println!("an uninterrupted run takes {:?}, its end {:?}", job.takes, job.ending);
    let figures = kill_and_resume(&job, kills, &mut Random(seed));
    let Figures { kills, resumes, resumed_further, resumed_at_the_end, ends, lost, doubled } =
        figures;
    println!(
        "{kills} kills, {resumes} resumes, {resumed_further} of them past the beginning, \
         {resumed_at_the_end} of these with nothing left but to publish; {ends} jobs of {} records came to their end: {lost} records lost, {doubled} doubled",
        job.records
    );
    assert!(resumed_further * 2 >= resumes, "{resumed_further} of {resumes} went on");
}

/// A small job with a checkpoint every few records.
struct Small {
    folder: Folder,
    /// Further words of the command line.
    words: &'static str,
}

const SMALL: &str = "-i in.json -o out.json --summary s.json --threads 1 --line-bytes-max 200";

/// What a small job comes to: output, rejects, counts.
type Results = ([Option<String>; 2], Value);

impl Small {
    /// With all that a source has to step over or to put aside, and no line feed at the end.
    fn new(words: &'static str) -> Self {
        let long = format!("{SETOSA}{}", " ".repeat(200));
        let block = format!("\n{SETOSA}\r\n \n{BAD}\n{long}{VIRGINICA}\n{VIRGINICA}\r\n\r\n");
        let input = format!("\u{feff}{}{SETOSA}", block.repeat(5));
        let folder = Folder::new();
        folder.write(INPUT, input);
        Small { folder, words }
    }

    /// Without a reject, where an earlier run left some.
    fn without_rejects() -> Self {
        let folder = Folder::new();
        folder.write(INPUT, format!("{SETOSA}\n{VIRGINICA}\n").repeat(15));
        folder.write(OUTPUTS[1], "old");
        Small { folder, words: "" }
    }

    fn run(&self) -> Run<'_> {
        let resume = "--resume --checkpoint-seconds 0 --checkpoint-bytes 600";
        iris(&self.folder, &format!("{SMALL} {resume} {}", self.words))
    }

    /// What a run comes to that nobody disturbs, and that can't be resumed.
    fn whole(&self) -> Results {
        unflushed(iris(&self.folder, SMALL)).run();
        self.results()
    }

    fn outputs(&self) -> [Option<String>; 2] {
        OUTPUTS.map(|name| self.folder.read(name).map(|text| String::from_utf8(text).unwrap()))
    }

    fn results(&self) -> Results {
        let mut summary: Value = serde_json::from_str(&self.folder.text(SUMMARY)).unwrap();
        (self.outputs(), summary["counts"].take())
    }

    /// Runs it to its end; then all is as if nothing had happened. Whether it went on with something.
    #[track_caller]
    fn end(&self, whole: &Results, what: &str) -> bool {
        let rejected = whole.0[1].is_some();
        let ran = unflushed(self.run()).run().exits(rejected.into());
        assert_eq!(&self.results(), whole, "{what}");
        // Where there is a folder for the state, nothing is in it.
        let _ = fs::remove_dir(self.folder.path().join(STATE));
        let names = [INPUT, OUTPUTS[0], OUTPUTS[1], SUMMARY];
        let names = names.into_iter().filter(|name| rejected || *name != OUTPUTS[1]);
        assert_eq!(self.folder.names(), names.collect::<Vec<_>>(), "{what}");
        is_resumed(&ran)
    }
}

/// What must be left by a run that did these operations.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Left {
    Nothing,
    Checkpoints,
    /// The output has its name: what else is there is the host's affair.
    Output,
}

/// Does this to each operation of a small run in turn, and resumes; which has to go on with what
/// the journal says, if it says anything. It does once `journalled` was done to it.
#[track_caller]
fn for_each_operation(
    deed: &str,
    journalled: &str,
    small: fn() -> Small,
    check: impl Fn(Ran, &Operation, &Small, Left),
) {
    let whole = small().whole();
    for number in 1.. {
        let small = small();
        let before = small.outputs();
        let (ran, operations) = run_with_fault(small.run(), number, deed);
        let Some(operation) = operations.get(number - 1) else {
            assert!(number > 40, "{operations:?}"); // else there were no checkpoints
            return;
        };
        let what = format!("{deed} at {number}, {operation:?}");
        for (now, (before, whole)) in small.outputs().iter().zip(before.iter().zip(&whole.0)) {
            assert!(now == before || now == whole, "{what}: {now:?}");
        }
        let done = &operations[..number - usize::from(deed != "kill-after")];
        let times =
            |name, path| done.iter().filter(|it| it.name == name && it.path == path).count();
        let is_done = |name, path| times(name, path) > 0;
        // What is written to the journal first is only which job it is.
        let is_journalled = times(journalled, JOURNAL) > usize::from(journalled == "write");
        let left = match (is_done("rename", OUTPUTS[0]), is_journalled) {
            // A run that was not killed has told of its end itself, and cleared up.
            (true, _) if ran.signal.is_none() => Left::Output,
            (true, _) if is_done("unlink", JOURNAL) => Left::Nothing,
            (_, true) => Left::Checkpoints,
            (_, false) => Left::Nothing,
        };
        check(ran, operation, &small, left);
        let went_on = small.end(&whole, &what);
        assert!(left == Left::Output || went_on == (left == Left::Checkpoints), "{what}: {left:?}");
    }
}

const ODD: fn() -> Small = || Small::new("");

#[test]
fn a_run_that_is_killed_at_any_operation_goes_on_to_the_same_bytes() {
    for deed in ["kill", "kill-after", "torn"] {
        for_each_operation(deed, "write", ODD, |ran, _, _, _| _ = ran.dies_of(SIGKILL));
    }
}

#[test]
fn a_run_without_rejects_that_is_killed_removes_those_of_an_earlier_one_in_the_end() {
    let small = Small::without_rejects;
    for_each_operation("kill", "write", small, |ran, _, _, _| _ = ran.dies_of(SIGKILL));
}

#[test]
fn a_run_in_which_any_operation_fails_goes_on_to_the_same_bytes() {
    for (deed, cause) in [("eio", "Input/output error"), ("enospc", "No space left on device")] {
        for_each_operation(deed, "flush", ODD, |ran, operation, small, left| {
            if deed == "enospc" && ["truncate", "unlink"].contains(&&*operation.name) {
                ran.exits(1); // which take no room
                return;
            }
            let ran = ran.exits(3).says("error: ").says(cause).says_nothing_of("panicked");
            if left == Left::Checkpoints {
                ran.says("start the same command again");
            }
            let names = small.folder.names();
            let is_kept = names.iter().any(|name| name == JOURNAL);
            assert!(left == Left::Output || is_kept == (left == Left::Checkpoints), "{names:?}");
            let is_tidy = !names.iter().any(|name| name.starts_with('.'));
            assert!(left != Left::Nothing || is_tidy, "{names:?}");
        });
    }
}

/// Kills fall on resumed runs, too, and on what they do before they read on; and the journal lies
/// elsewhere, one time in two.
#[test]
fn a_run_that_is_killed_again_and_again_goes_on_to_the_same_bytes() {
    let whole = Small::new("").whole();
    let random = &mut Random(1);
    for chain in 0..40 {
        let small = Small::new(["", "--state state"][chain % 2]);
        let mut numbers = Vec::new();
        for _ in 0..20 {
            let number = 1 + random.below(40);
            numbers.push(number);
            let deed = ["kill", "kill-after", "torn"][random.below(3) as usize];
            let (ran, _) = run_with_fault(small.run(), number as usize, deed);
            for (now, whole) in small.outputs().iter().zip(&whole.0) {
                assert!(now.is_none() || now == whole, "{numbers:?}: {now:?}");
            }
            if ran.signal.is_none() {
                break;
            }
        }
        small.end(&whole, &format!("chain {chain}: {numbers:?}"));
    }
}

#[test]
fn a_run_that_fills_a_disk_goes_on_once_there_is_room() {
    let words = "--resume --checkpoint-seconds 0 --checkpoint-bytes 10000";
    let Some((shown, said)) = on_a_disk_that_fills_up(words) else { return };
    let left = ".out.json.etl-host-journal .out.json.etl-host-part .rejects.etl-host-part";
    let expected = format!("code 3: {left} other out.json, 1\ncode 1: out.json rejects, 1000\n");
    assert_eq!(shown, expected, "{said}");
    assert!(said.contains("cause: No space left on device"), "{said}");
    assert!(said.contains("resumed at "), "{said}");
}
