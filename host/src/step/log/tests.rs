//! The log of a model that says what its records tell it to: line by line, however they come, and in a
//! run of several threads.

use super::*;
use crate::pipeline::graph::{Node, Port, Work};
use crate::pipeline::limits::Limits;
use crate::pipeline::{self, Pipeline};
use crate::plugin::runner::{Ask, Failure, Runner};
use crate::sink::ldjson::Writer;
use crate::sink::publish::Output;
use crate::source::Source;
use crate::source::ldjson::{Options, Reader};
use crate::step::Step;
use crate::step::emit::Emit;
use crate::step::model::ModelStep;
use crate::step::pass::PassStep;
use crate::stop::Stop;
use crate::storage::Memory;
use model_abi_layout::{Answer, RVec, RecordError, kind};
use std::fs::File;
use std::io::Seek;
use std::sync::Mutex;

const TIME: &str = "2026-11-27T01:30:00Z";
/// What stands in all lines behind the id.
const HEAD: &str = r#""time":"2026-11-27T01:30:00Z","model":"m","version":"0.1","plugin_sha256":"ab12","source":"in.ldjson""#;

/// Predicts how long the record is, or what it says between `say:` and `;`, with `"` for `'`; fails where
/// it says `fail`. Notes the same, or what it says behind `note:`; nothing where it says `no note`.
#[derive(Default)]
struct Model {
    /// Whether notes were wanted, for each record that was asked about.
    asked: Mutex<Vec<bool>>,
}

impl Runner for Model {
    fn call(&self, ask: &Ask<'_>, answer: &mut Answer) -> Result<u32, Failure> {
        self.asked.lock().unwrap().extend(ask.records.iter().map(|_| ask.trace));
        let (mut output, mut ends) = (Vec::new(), Vec::new());
        let (mut notes, mut note_ends) = (Vec::new(), Vec::new());
        for (index, span) in (0..).zip(ask.records) {
            let record = &ask.bytes[span.start as usize..][..span.len as usize];
            let record = str::from_utf8(record).unwrap();
            let said = |name: &str| {
                let said = record.split_once(name)?.1.split_once(';')?.0;
                Some(said.replace('\'', "\""))
            };
            if record.contains("fail") {
                let (kind, record) = (kind::VALUE, index);
                let error =
                    RecordError { record, kind, path_len: 0, text_end: 0, reserved: [0; 2] };
                answer.errors.push(error);
            } else {
                let length = format!(r#" {{"y": {}}}"#, record.len());
                output.extend_from_slice(said("say:").as_ref().unwrap_or(&length).as_bytes());
                if ask.trace && !record.contains("no note") {
                    notes.extend_from_slice(said("note:").as_ref().unwrap_or(&length).as_bytes());
                }
            }
            ends.push(output.len() as u32);
            note_ends.push(notes.len() as u32);
        }
        answer.answered = ends.len() as u64;
        answer.output = RVec::from(output);
        answer.output_ends = RVec::from(ends);
        answer.notes = RVec::from(notes);
        answer.note_ends = RVec::from(if ask.trace { note_ends } else { Vec::new() });
        Ok(0)
    }
}

fn logging() -> Logging {
    Logging {
        id: None,
        sample: None,
        trace: false,
        node: "score".into(),
        time: TIME.parse().unwrap(),
        model: "m".into(),
        version: "0.1".into(),
        plugin_sha256: "ab12".into(),
    }
}

/// What became of the records of a source.
#[derive(Debug, Default, PartialEq)]
struct Told {
    log: String,
    output: String,
    /// Line, kind, path and message.
    rejects: Vec<String>,
}

/// Does `before` to each batch of so many bytes, asks the model and logs. Two instances of the step take
/// turns.
fn run_after(
    before: impl Fn(&mut Batch),
    (text, bytes): (&str, usize),
    (model, emit): (Arc<Model>, Emit),
    logging: Logging,
) -> Told {
    let mut reader = Reader::new("in.ldjson", Box::new(Memory::new(text)), Options::default());
    let step = ModelStep::new("score", model, emit, None, Stop::default()).logged(logging);
    let mut steps = [step.another(), step.another()];
    let (mut batch, mut told) = (Batch::default(), Told::default());
    for turn in 0.. {
        reader.read_batch(&mut batch, bytes, &Stop::default()).unwrap();
        if batch.read() == 0 {
            break;
        }
        before(&mut batch);
        steps[turn % 2].apply(&mut batch).unwrap();
        told.output += str::from_utf8(batch.lines(&mut Vec::new())).unwrap();
        told.rejects.extend(batch.rejects().iter().map(|reject| {
            let (line, kind) = (reject.position.line, reject.kind.name());
            format!("{line} {kind} {} {}", reject.path, reject.message)
        }));
        let aside = batch.take_aside();
        batch.set_flow(aside);
        PassStep::new("log").apply(&mut batch).unwrap();
        told.log += str::from_utf8(batch.lines(&mut Vec::new())).unwrap();
    }
    told
}

fn run(text: &str, emit: Emit, logging: Logging) -> Told {
    run_after(|_| (), (text, 1 << 20), (Arc::default(), emit), logging)
}

/// The ids, in order.
fn ids(told: &Told) -> Vec<&str> {
    told.log.lines().map(|line| line.split_once(r#","time""#).unwrap().0).collect()
}

#[track_caller]
fn check_reject(record: &str, logging: Logging, expected: &str) {
    let told = run(&format!("{record}\n"), Emit::Prediction, logging);
    assert_eq!((&*told.log, &*told.output), ("", ""), "{record}");
    assert_eq!(told.rejects, [format!("1 {expected}")]);
}

#[test]
fn a_line_tells_who_predicted_what_of_which_record() {
    let told = run("\u{feff} {\"a\":1.0} \n\n{\"b\":\"\u{e4}\"}\n", Emit::Merge, logging());
    // printf '%s\0' 2026-11-27T01:30:00Z score in.ldjson 1 3 0 | sha256sum | cut -c 1-32
    let first = r#""line":1,"byte":3,"input":{"a":1.0},"output":{"y": 11}}"#;
    let second = r#""line":3,"byte":16,"input":{"b":"ä"},"output":{"y": 10}}"#;
    let expected = [
        format!(r#"{{"id":"5e13c88935eafb2760197f57da02fb35",{HEAD},{first}"#),
        format!(r#"{{"id":"5035393c2c0dc4988cc10aaa99dc8808",{HEAD},{second}"#),
    ];
    assert_eq!(told.log.lines().collect::<Vec<_>>(), expected);
    assert_eq!(told.output, "{\"a\":1.0,\"y\": 11}\n{\"b\":\"\u{e4}\",\"y\": 10}\n");
}

#[test]
fn names_are_written_as_json() {
    let (node, model) = ("n\"".to_owned(), "m\"\n".to_owned());
    let told = run("{}\n", Emit::Prediction, Logging { node, model, ..logging() });
    let line: serde_json::Value = serde_json::from_str(&told.log).unwrap();
    assert_eq!(line["model"], "m\"\n");
}

#[test]
fn only_predictions_are_logged() {
    let text = [
        r#"{"a":1}"#,
        r#"{"a":"fail"}"#,
        r#"{"a":"say:{;"}"#,
        r#"{"a":"say:[1];"}"#,
        r#"{"y":1}"#,
        r#"{"a":2}"#,
    ];
    let told = run(&text.join("\n"), Emit::Merge, logging());
    let inputs: Vec<_> = told.log.lines().map(|line| line.contains(r#""input":{"a":"#)).collect();
    assert_eq!((inputs, told.output.lines().count()), (vec![true, true], 2));
    let kinds = told.rejects.iter().map(|reject| reject.split(' ').nth(1).unwrap());
    assert_eq!(kinds.collect::<Vec<_>>(), ["value", "wrong_output", "wrong_output", "field_clash"]);
}

#[test]
fn ids_tell_apart_what_was_made_of_one_record_wherever_batches_end() {
    let text: String = (0..50).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    // Of the n-th, n % 4 records are made; of those that begin with 2, the model predicts none.
    let fork = |batch: &mut Batch| {
        let mut made = batch.new_text();
        for record in 0..batch.len() {
            let input = str::from_utf8(batch.record(record)).unwrap().to_owned();
            let n: u32 = input[5..input.len() - 1].parse().unwrap();
            for copy in 0..n % 4 {
                let word = if input.contains(":2") && copy == 0 { "fail" } else { "" };
                write!(made.buffer(), r#"{{"n":{n},"copy":"{copy}{word}"}}"#).unwrap();
                made.complete(record);
            }
        }
        batch.rewrite(made, &mut Vec::new());
    };
    let told = |bytes| {
        let model = (Arc::default(), Emit::Prediction);
        run_after(fork, (&text, bytes), model, logging())
    };
    let expected = told(1 << 20);
    let mut different = ids(&expected);
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), 73 - 8, "{}", expected.rejects.len());
    // printf '%s\0' 2026-11-27T01:30:00Z score in.ldjson 3 16 1 | sha256sum | cut -c 1-32
    let second = expected.log.lines().find(|line| line.contains(r#"{"n":2,"copy":"1"}"#)).unwrap();
    assert!(second.starts_with(r#"{"id":"7778f01124993159ed69c58f5b56ab01","#), "{second}");
    for bytes in [1, 30, 200] {
        assert_eq!(told(bytes), expected, "{bytes}");
    }
}

#[test]
fn the_page_on_the_log_tells_how_an_id_is_derived() {
    const PAGE: &str = include_str!("../../../../docs/prediction-log.md");
    let key = [TIME, "score", "in/a.csv"].iter().fold(Sha256::new(), |key, part| keyed(&key, part));
    let line = format!(r#"{{"id":"{:032x}","time":"{TIME}","#, derived(&key, [2, 50, 0]));
    assert!(PAGE.contains(&line), "{line}");
    assert!(PAGE.contains(&format!(r"printf '%s\0' {TIME} score in/a.csv 2 50 0 | sha256sum")));
}

#[test]
fn an_id_depends_on_run_node_and_place() {
    let id = |logging| ids(&run("{}\n", Emit::Prediction, logging))[0].to_owned();
    let mut ids = vec![
        id(logging()),
        id(Logging { node: "scor".into(), ..logging() }),
        id(Logging { time: "2026-11-27T01:30:01Z".parse().unwrap(), ..logging() }),
        ids(&run("\n{}\n", Emit::Prediction, logging()))[0].to_owned(),
    ];
    assert_eq!(ids[0], id(Logging { version: "9.9".into(), trace: true, ..logging() }));
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[test]
fn an_id_of_the_record_is_written_as_it_stands() {
    let by = |field: &str| Logging { id: Some(field.into()), ..logging() };
    let text = [
        r#"{"id":1.50,"räq":12345678901234567890123}"#,
        r#"{"r\u00e4q" : "a\u0062"}"#,
        r#"{"räq":-1}"#,
    ];
    let told = run(&text.join("\n"), Emit::Prediction, by("räq"));
    assert_eq!(
        ids(&told),
        [r#"{"id":12345678901234567890123"#, r#"{"id":"a\u0062""#, r#"{"id":-1"#]
    );
    let what = "the field that identifies the prediction in the log";
    for (record, fault) in [
        (r#"{"a":{"id":1}}"#, "is missing"),
        (r#"[{"id":1}]"#, "is missing"),
        (r#"{"id":null}"#, "must be a text or a number"),
        (r#"{"id":true}"#, "must be a text or a number"),
        (r#"{"id":{"a":1}}"#, "must be a text or a number"),
    ] {
        check_reject(record, by("id"), &format!("schema id {what} {fault}"));
    }
}

#[test]
fn a_record_that_is_no_sound_json_gets_no_prediction() {
    for (record, fault) in [
        (r#"{"a":1"#, "expected `,` or `}` but the text ends at column 7"),
        (r#"{"a":1,"a":2}"#, "duplicate field `a` at column 8"),
        (r#"{"a":01}"#, "expected `,` or `}` at column 7"),
    ] {
        let expected = format!("invalid_json  can't go on into the log: {fault}");
        check_reject(record, logging(), &expected);
        let none = SampleSpec { share: 0.0, seed: 0 };
        check_reject(record, Logging { sample: Some(none), ..logging() }, &expected);
    }
}

#[test]
fn no_line_nests_deeper_than_a_reader_goes() {
    let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
    let traced = Logging { trace: true, ..logging() };
    let prediction_and_notes = |y, note| {
        let note = format!("{{'b':{}}}", nested(note));
        format!(r#"{{"a":"say:{};note:{note};"}}"#, nested(y))
    };
    let text = format!("{}\n{}\n", nested(126), prediction_and_notes(126, 125));
    let told = run(&text, Emit::Prediction, traced.clone());
    assert_eq!((told.rejects, told.log.lines().count()), (vec![], 2));
    for line in told.log.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    let deep = "nesting deeper than 126 levels at column";
    for (record, expected) in [
        (nested(127), format!("invalid_json  can't go on into the log: {deep} 127")),
        (
            prediction_and_notes(127, 1),
            format!("wrong_output  the model's prediction is wrong: {deep} 127"),
        ),
        (
            prediction_and_notes(1, 126),
            format!("wrong_output  what the model notes on its prediction is wrong: {deep} 131"),
        ),
    ] {
        check_reject(&record, traced.clone(), &expected);
    }
}

/// The records of this source, of which about a half is in this sample.
fn some() -> (String, SampleSpec) {
    let record = |n| match n % 7 {
        0 => "{\"a\":\"fail\"}\n".to_owned(),
        1 => format!("{{\"a\":\"no note\",\"n\":{n}}}\n"),
        2 => format!("{{\"n\":{n},\"n\":{n}}}\n"),
        _ => format!("{{\"n\":{n}}}\n"),
    };
    ((0..300).map(record).collect(), SampleSpec { share: 0.5, seed: 7 })
}

#[test]
fn what_is_predicted_does_not_depend_on_the_sample() {
    let (text, half) = some();
    let all = run(&text, Emit::Merge, logging());
    for share in [0.0, 0.5, 1.0] {
        let sample = Some(SampleSpec { share, ..half });
        let told = run(&text, Emit::Merge, Logging { sample, ..logging() });
        assert_eq!((&told.output, &told.rejects), (&all.output, &all.rejects));
        let is_logged = |line: &&str| told.log.lines().any(|other| other == *line);
        let logged = all.log.lines().filter(is_logged).count();
        assert_eq!(logged, told.log.lines().count());
        let of_all = logged as f64 / all.log.lines().count() as f64;
        assert!((of_all - share).abs() < 0.1, "{of_all}");
    }
}

#[test]
fn where_batches_end_is_no_matter() {
    let (text, half) = some();
    let logging = Logging { sample: Some(half), trace: true, ..logging() };
    let expected = run(&text, Emit::Merge, logging.clone());
    for bytes in [1, 50, 1000] {
        let model = (Arc::default(), Emit::Merge);
        assert_eq!(run_after(|_| (), (&text, bytes), model, logging.clone()), expected);
    }
}

/// What a run of so many threads publishes as log and as output.
fn published(text: &str, threads: usize, logging: &Logging) -> [String; 2] {
    // Streams, so that nothing is flushed to a disk.
    let [mut log, mut out, rejects] = [(); 3].map(|()| tempfile::tempfile().unwrap());
    let stream = |file: &File| Output::stream(file.try_clone().unwrap());
    let stop = Stop::default();
    let model = ModelStep::new("m", Arc::<Model>::default(), Emit::Nest, None, stop.clone());
    let reader = Reader::new("in.ldjson", Box::new(Memory::new(text)), Options::default());
    let node = |from: Option<(usize, bool)>, work| {
        let from = from.map(|(node, is_aside)| Port { node, is_aside });
        Node { name: None, from: from.into_iter().collect(), work }
    };
    let nodes = vec![
        node(None, Work::Source(Box::new(reader))),
        node(Some((0, false)), Work::Step(Box::new(model.logged(logging.clone())))),
        node(Some((1, true)), Work::Step(Box::new(PassStep::new("log")))),
        node(Some((2, false)), Work::Sink(Box::new(Writer::new(stream(&log))))),
        node(Some((1, false)), Work::Sink(Box::new(Writer::new(stream(&out))))),
    ];
    let (rejects, limits) = (stream(&rejects), Limits::default());
    let outcome = pipeline::run(
        Pipeline { nodes, rejects, limits, threads, stop, checkpoints: None },
        |_, _| (),
    );
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!(outcome.nodes[2].given, outcome.nodes[3].given);
    [&mut log, &mut out].map(|file| {
        file.rewind().unwrap();
        std::io::read_to_string(file).unwrap()
    })
}

#[test]
fn a_run_logs_all_that_it_publishes_whatever_its_threads() {
    let (text, half) = some();
    let text = text.repeat(50); // several batches
    let expected = published(&text, 1, &logging());
    let parts = |lines: &str, to: &str| {
        let of = |line: &str| line.split_once(r#""input":"#).unwrap().1.replace(to, "");
        lines.lines().map(of).collect::<Vec<_>>()
    };
    let [log, out] = &expected;
    assert_eq!(parts(log, r#""output":"#), parts(out, r#""prediction":"#));
    let sampled = Logging { sample: Some(half), trace: true, ..logging() };
    let expected_of_sample = published(&text, 1, &sampled);
    assert_eq!(expected_of_sample[1], expected[1]);
    for threads in [2, 3] {
        assert!(published(&text, threads, &logging()) == expected);
        assert!(published(&text, threads, &sampled) == expected_of_sample);
    }
}

#[test]
fn notes_are_logged_where_they_are_wanted() {
    let text = "{\"a\":1}\n{\"a\":\"no note\"}\n{\"a\":\"note: {} ;\"}\n";
    let traced = run(text, Emit::Prediction, Logging { trace: true, ..logging() });
    let notes: Vec<_> = traced.log.lines().map(|line| line.rsplit_once(r#","trace":"#)).collect();
    let notes: Vec<_> = notes.into_iter().map(|it| it.unwrap().1).collect();
    assert_eq!(notes, [r#"{"y": 7}}"#, "null}", "{}}"]);
    let untraced = run(text, Emit::Prediction, logging());
    assert!(!untraced.log.contains("trace"));
    assert_eq!(traced.output, untraced.output);
}

#[test]
fn notes_that_are_wrong_are_the_models_fault() {
    let wrong = "wrong_output  what the model notes on its prediction is wrong";
    let traced = Logging { trace: true, ..logging() };
    for (note, fault) in [
        ("[1]", "they are not an object"),
        ("{", "expected a field name in quotes but the text ends at column 2"),
        ("{}{}", "expected the end of the text at column 3"),
    ] {
        let record = format!(r#"{{"a":"note:{note};"}}"#);
        check_reject(&record, traced.clone(), &format!("{wrong}: {fault}"));
        // Nobody asked for them.
        assert_eq!(run(&record, Emit::Prediction, logging()).log.lines().count(), 1);
    }
}

#[test]
fn only_those_that_are_logged_are_asked_for_with_notes() {
    let (text, sample) = some();
    let asked = |trace, sample| {
        let model = Arc::new(Model::default());
        let logging = Logging { sample, trace, ..logging() };
        run_after(|_| (), (&text, 1 << 20), (model.clone(), Emit::Prediction), logging);
        model.asked.lock().unwrap().clone()
    };
    let mut sampler = Sampler::new(sample);
    let mut byte = 0;
    let expected = (1..).zip(text.split_inclusive('\n')).map(|(line, text)| {
        let is_in = sampler.is_in("in.ldjson", RecordPosition { line, byte });
        byte += text.len() as u64;
        is_in
    });
    assert_eq!(asked(true, Some(sample)), expected.collect::<Vec<_>>());
    assert_eq!(asked(true, None), [true; 300]);
    assert_eq!(asked(false, Some(sample)), [false; 300]);
}
