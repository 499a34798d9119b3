//! A run on a disk that fails at each of its operations in turn, or loses its power: gone on with,
//! it ends with the same bytes as if nothing had happened, and on the way nobody ever saw a part.

use super::*;
use crate::format::Compression;
use crate::journal::{Header, Identity, Journal};
use crate::sink::publish::Names;
use crate::source::many;
use crate::storage::disk::Disk;
use crate::storage::disk::sim::{Fate, Harm, Sim};
use crate::storage::upload::{Sent, Upload};
use crate::storage::{Input, Memory};
use proptest::prelude::RngExt as _;
use proptest::test_runner::TestRng;
use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU64;
use std::path::Path;

mod elsewhere;

use elsewhere::Store;

const OUTPUT: &str = "/data/out";
/// All that was read: a sink that is written and published before the output.
const LOG: &str = "/logs/log";
const REJECTS: &str = "/rejects/bad";
const JOURNAL: &str = "/data/journal";

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// 40 records in two inputs, every fifth of which is rejected, and blank lines.
fn texts() -> [String; 2] {
    let record = |n: usize| match n {
        n if n % 5 == 3 => format!("bad {n}\n"),
        n if n % 7 == 0 => format!("record {n}\n\n\r\n"),
        n => format!("record {n}\n"),
    };
    [0..17, 17..40].map(|records| records.map(record).collect())
}

/// How outputs are compressed.
type How = Option<Compression>;

/// What an uninterrupted run makes of it.
fn expected(how: How) -> Files {
    if how.is_none() {
        return expected_text();
    }
    let disk = begun(&Files::new());
    attempt(&disk, how).unwrap();
    let files = disk.files();
    assert_eq!(
        files.iter().map(|(path, bytes)| (path.clone(), text(how, bytes))).collect::<Files>(),
        expected_text()
    );
    // A run that went on somewhere else than at each checkpoint has to end frames there all the same.
    assert!(files.values().all(|bytes| frames(bytes) > 3));
    files
}

fn text(how: How, bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    match how {
        None => return bytes.to_vec(),
        Some(Compression::Gzip) => flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut text),
        Some(Compression::Zstd) => {
            zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut text)
        }
    }
    .unwrap();
    text
}

fn frames(bytes: &[u8]) -> usize {
    let begins = |window: &&[u8]| Compression::of_bytes(window).is_some();
    bytes.windows(4).filter(begins).count()
}

/// What an uninterrupted run without a journal makes of it.
fn expected_text() -> Files {
    let texts = texts();
    let (mut output, mut log, mut rejects) = (String::new(), String::new(), String::new());
    let lines = texts.iter().flat_map(|text| {
        (1..).zip(text.split_inclusive('\n')).scan(0, |byte, (line, text)| {
            *byte += text.len();
            Some((line, *byte - text.len(), text))
        })
    });
    for (line, byte, text) in lines {
        if !text.trim().is_empty() {
            log += text;
        }
        if text.starts_with("bad") {
            let place = format!(r#"{{"source":"in","line":{line},"byte":{byte},"#);
            rejects += &format!(
                r#"{place}"length":{},"step":"step","kind":"value","message":"bad","record":"{}"}}"#,
                text.len() - 1,
                text.trim_end()
            );
            rejects += "\n";
        } else if !text.trim().is_empty() {
            output += text;
        }
    }
    let files = [(OUTPUT, output), (LOG, log), (REJECTS, rejects)];
    files.map(|(name, text)| (name.into(), text.into())).into()
}

/// One process: begins, or goes on with what there is. `Ok`: it says that all is done.
fn attempt(disk: &Sim, how: How) -> Result<(), String> {
    attempt_from(disk, how).0
}

/// The same, and how many records were done before.
fn attempt_from(disk: &Sim, how: How) -> (Result<(), String>, u64) {
    attempt_to(disk, how, None)
}

/// The same, where the outputs are objects in a store.
fn attempt_to(disk: &Sim, how: How, store: Option<&Store>) -> (Result<(), String>, u64) {
    let mut before = 0;
    (go(disk, how, store, &mut before), before)
}

fn go(disk: &Sim, how: How, store: Option<&Store>, before: &mut u64) -> Result<(), String> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let names = [REJECTS, LOG, OUTPUT].map(|path| match store {
        Some(_) => Names::elsewhere(path.to_owned(), path.into()),
        None => Names::here(path, path),
    });
    let names = names.to_vec();
    let uploads = |at: &str, sent: Option<Sent>| match store {
        Some(store) => store.upload(at, sent),
        None => Err(io::ErrorKind::Unsupported.into()),
    };
    let header =
        Header::new(Identity::default(), names.clone(), vec![], BTreeMap::new(), String::new());
    let (journal, left) = Journal::open(disk.clone(), JOURNAL.into(), header, names.clone())
        .map_err(|error| crate::causes::chain(&error))?;
    *before = left.records();
    if let Some(sealed) = &left.sealed {
        let published = journal.publish(sealed, &uploads).map_err(|error| error.to_string())?;
        published.map_err(|unfinished| unfinished.source.to_string())?;
        return journal.remove().map_err(|error| error.to_string());
    }
    let resumed = left.checkpoint.clone();
    let open = |i: usize| {
        let (disk, names) = (disk.clone(), names[i].clone());
        let at = names.given.display().to_string();
        let opened = match &resumed {
            Some(Checkpoint { lengths, numbers, .. }) if lengths[i] > 0 => {
                Output::go_on(disk, names, numbers[i], lengths[i])
            }
            _ => Output::begin(disk, names),
        };
        let opened = opened.map_err(|error| error.to_string())?;
        let opened = match store {
            Some(store) => {
                opened.sent_by(store.upload(&at, left.sent.get(i).cloned().flatten()).unwrap())
            }
            None => opened,
        };
        Ok::<_, String>(match how {
            Some(how) => opened.compressed(how).unwrap(),
            None => opened,
        })
    };
    let (rejects, log, output) = (open(0)?, open(1)?, open(2)?);
    let from = resumed.as_ref().map(|it| (it.input, it.position)).unwrap_or_default();
    let source = many::Reader::open(inputs(), from.0, from.1);
    let step = FnStep(Arc::new(reject_those_called_bad), "step".into());
    let outcome = run(
        Pipeline {
            nodes: vec![
                node(None, Work::Source(Box::new(source.unwrap()))),
                node(Some(0), Work::Step(Box::new(step))),
                node(Some(0), Work::Sink(writer(log))),
                node(Some(1), Work::Sink(writer(output))),
            ],
            rejects,
            limits: Limits::default(),
            threads: 1,
            stop: Stop::default(),
            checkpoints: Some(Checkpoints::new(journal, Duration::ZERO, resumed)),
        },
        |_, _| {},
    );
    outcome.counts.check_identity().unwrap();
    let kept = outcome.kept().is_some();
    let removed = match outcome.checkpoints {
        Some(checkpoints) if !kept => checkpoints.into_journal().remove(),
        _ => Ok(()),
    };
    match outcome.error {
        Some(error) => Err(crate::causes::chain(&error)),
        None => {
            let Counts { read, written, rejected, .. } = outcome.counts;
            assert_eq!((read, written, rejected), (40, 32, 8));
            removed.map_err(|error| error.to_string())
        }
    }
}

fn node(from: Option<usize>, work: Work) -> graph::Node {
    let from = from.map(|node| graph::Port { node, is_aside: false });
    graph::Node { name: None, from: from.into_iter().collect(), work }
}

fn inputs() -> VecDeque<many::Waiting> {
    let inputs = texts().map(|text| many::Waiting {
        name: "in".to_owned(),
        open: Box::new(|start| {
            let mut memory = Memory::new(text);
            memory.seek(start)?;
            let checkpoint_bytes = NonZeroU64::new(64);
            let options = Options { checkpoint_bytes, start, ..Options::default() };
            Ok(Box::new(Reader::new("in", Box::new(memory), options)))
        }),
    });
    inputs.into()
}

fn reject_those_called_bad(batch: &mut Batch) -> FromStep {
    let bad = (0..batch.len()).filter(|&record| batch.record(record).starts_with(b"bad"));
    let mut rejections = bad.map(rejection).collect();
    batch.remove(&mut rejections);
    Ok(())
}

/// A name that users look at shows what was there before, or the whole.
#[track_caller]
fn check_no_part_is_seen(disk: &Sim, before: &Files, expected: &Files) {
    for (path, bytes) in disk.files() {
        let is_final = [OUTPUT, LOG, REJECTS].iter().any(|name| Path::new(name) == path);
        let is_whole = Some(&bytes) == before.get(&path) || Some(&bytes) == expected.get(&path);
        assert!(!is_final || is_whole, "{path:?}: {}", bytes.escape_ascii());
    }
}

/// Goes on without harm until it is done, and checks everything.
#[track_caller]
fn check_goes_on(disk: &Sim, how: How, before: &Files, expected: &Files) {
    check_no_part_is_seen(disk, before, expected);
    attempt(disk, how).unwrap();
    assert_eq!(&disk.files(), expected);
    let after = disk.power_cycled(|| Fate::Lost);
    for (path, bytes) in expected {
        assert_eq!(after.files().get(path), Some(bytes), "{path:?} was not durable");
    }
}

fn begun(before: &Files) -> Sim {
    let disk = Sim::default();
    before.iter().for_each(|(path, bytes)| disk.put(path, bytes));
    disk
}

fn random_fate(rng: &mut TestRng) -> Fate {
    match rng.random_range(0..3) {
        0 => Fate::Lost,
        1 => Fate::Kept,
        _ => Fate::Partly(rng.random_range(0..100)),
    }
}

/// Does harm at each operation of a run in turn; says how many there were.
fn harm_everywhere(harm: Harm, how: How, before: &Files) -> usize {
    let expected = expected(how);
    let mut rng = TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    for n in 0.. {
        let disk = begun(before);
        disk.harm(n, harm);
        let done = attempt(&disk, how);
        if disk.operations() <= n {
            assert_eq!((done, disk.files()), (Ok(()), expected));
            return n;
        }
        if done.is_ok() {
            let files = disk.files();
            assert!(expected.iter().all(|(path, bytes)| files.get(path) == Some(bytes)), "{n}");
        }
        check_goes_on(&disk.process_gone(), how, before, &expected);
        check_goes_on(&disk.power_cycled(|| Fate::Lost), how, before, &expected);
        check_goes_on(&disk.power_cycled(|| Fate::Kept), how, before, &expected);
        for _ in 0..4 {
            let after = disk.power_cycled(|| random_fate(&mut rng));
            check_goes_on(&after, how, before, &expected);
        }
    }
    unreachable!("a run comes to its end")
}

fn old() -> Files {
    let files = [
        (OUTPUT, "the output of before\n"),
        (LOG, "the log of before\n"),
        (REJECTS, "the rejects of before\n"),
    ];
    files.map(|(name, text)| (name.into(), text.into())).into()
}

#[test]
fn power_that_is_cut_at_any_operation_costs_nothing() {
    for before in [Files::new(), old()] {
        let operations = harm_everywhere(Harm::Cut, None, &before);
        assert!(operations > 50, "{operations}");
        harm_everywhere(Harm::Torn, None, &before);
    }
}

#[test]
fn power_that_is_cut_at_any_operation_leaves_compressed_outputs_that_are_gone_on_with() {
    for how in [Compression::Gzip, Compression::Zstd] {
        harm_everywhere(Harm::Torn, Some(how), &Files::new());
    }
}

/// Each checkpoint that was journalled is gone on from, and not one before it.
#[test]
fn what_was_made_safe_is_not_done_again() {
    let mut most = 0;
    for n in 0.. {
        let disk = begun(&Files::new());
        disk.harm(n, Harm::Cut);
        let done = attempt(&disk, None).is_ok();
        if done {
            break;
        }
        let (resumed, before) = attempt_from(&disk.power_cycled(|| Fate::Lost), None);
        resumed.unwrap();
        // All is published before the journal goes, and nothing is left to know of it then.
        assert!(before >= most || disk.files().contains_key(Path::new(OUTPUT)), "{before} at {n}");
        most = most.max(before);
    }
    assert_eq!(most, 40);
}

#[test]
fn a_disk_that_fails_at_any_operation_costs_nothing() {
    use io::ErrorKind::{PermissionDenied, StorageFull};
    for kind in [StorageFull, PermissionDenied] {
        harm_everywhere(Harm::Fails(kind), None, &old());
        harm_everywhere(Harm::FailsFromNowOn(kind), None, &old());
    }
    harm_everywhere(Harm::Short, None, &old());
}

/// Another run takes the place of a part file, as one does that knows nothing of the journal.
#[test]
fn a_file_that_another_run_put_there_is_never_gone_on_with() {
    for n in 0..100 {
        let disk = begun(&old());
        disk.harm(n, Harm::Torn);
        let done = attempt(&disk, None).is_ok();
        let disk = disk.process_gone();
        let is_left = disk.find(Path::new(JOURNAL)).unwrap().is_some();
        let names = Names::here(OUTPUT, OUTPUT);
        let mut other = Output::begin(Arc::new(disk.clone()), names).unwrap();
        other.write_all(&vec![b'x'; 10_000]).unwrap();
        other.keep(); // killed
        drop(other);
        let resumed = attempt(&disk, None);
        let output = &disk.files()[Path::new(OUTPUT)];
        assert!(!output.contains(&b'x'), "at {n}");
        // Nothing was of worth yet, or the file was on its way already; or somebody has to look.
        assert!(done || resumed.is_ok() || is_left, "at {n}: {resumed:?}");
        if done {
            return;
        }
    }
    unreachable!("a run comes to its end");
}

#[test]
fn power_that_is_cut_again_and_again_costs_nothing() {
    for how in [None, Some(Compression::Gzip), Some(Compression::Zstd)] {
        let (before, expected) = (old(), expected(how));
        let mut rng = TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
        for _ in 0..if how.is_none() { 300 } else { 50 } {
            let mut disk = begun(&before);
            for attempts in 0.. {
                assert!(attempts < 1_000, "it never ends");
                disk.harm(rng.random_range(0..50), Harm::Torn);
                match attempt(&disk, how) {
                    Ok(()) => break,
                    Err(_) => disk = disk.power_cycled(|| random_fate(&mut rng)),
                }
                check_no_part_is_seen(&disk, &before, &expected);
            }
            assert_eq!(disk.files(), expected);
        }
    }
}
