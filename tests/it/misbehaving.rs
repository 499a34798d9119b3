//! Models that misbehave: what becomes of each record, and which of them end the run. The models
//! are those of `plugins/misbehaving`, and of `plugins/lying` where no safe code can lie so.
//!
//! Nearly everything is held in the host's own process. What can't be held is in a table as well:
//! how the process ends then, and that nothing is published.

use crate::streams::{Live, SIGNALS, eventually};
use etl_host_tests::{Folder, Ran, Run, plugin};
use serde_json::Value;
use std::fs;
use std::time::{Duration, Instant};

/// A model of a plugin, and how it is asked.
#[derive(Clone, Copy)]
struct Asked<'a> {
    plugin: &'static str,
    /// A variable in its environment.
    env: (&'static str, &'a str),
    args: &'a [&'a str],
}

/// `args` begins with the model's name.
fn misbehaving<'a>(args: &'a [&'a str]) -> Asked<'a> {
    describing("", args)
}

/// While it describes itself, it does this.
fn describing<'a>(act: &'a str, args: &'a [&'a str]) -> Asked<'a> {
    Asked { plugin: "misbehaving", env: ("DESCRIBING", act), args }
}

fn lying(lie: &str) -> Asked<'_> {
    Asked { plugin: "lying", env: ("LYING", lie), args: &["lying"] }
}

impl Asked<'_> {
    /// Asks about records, one a line. Rejects go beside the output.
    fn run(self, folder: &Folder, records: &str) -> Ran {
        self.about(folder, records).run()
    }

    /// The same, not started yet.
    fn about<'f>(self, folder: &'f Folder, records: &str) -> Run<'f> {
        folder.write("in.ldjson", records);
        let plugin = plugin(self.plugin);
        let plugin = plugin.to_str().expect("our path is UTF-8");
        let args =
            ["--quiet", "--plugin", plugin, "--input", "in.ldjson", "--output", "out.ldjson"];
        let args = args.iter().chain(&["--model"]).chain(self.args);
        folder.host(args).env(self.env.0, self.env.1).env("RUST_BACKTRACE", "full")
    }
}

/// Each record gets what stands beside it: its prediction, or its reject as `KIND PATH: MESSAGE`.
/// `…` stands for anything. Nothing else is said.
#[track_caller]
fn check(asked: Asked<'_>, records: &[(&str, &str)]) {
    let folder = Folder::new();
    let input: String = records.iter().map(|(record, _)| format!("{record}\n")).collect();
    let ran = asked.run(&folder, &input);
    let rejects = folder.read("out.ldjson.rejects.ldjson").unwrap_or_default();
    let rejects = serde_json::Deserializer::from_slice(&rejects).into_iter::<Value>();
    let rejects: Vec<Value> = rejects.map(|reject| reject.expect("a reject is JSON")).collect();
    let ran = ran.exits(if rejects.is_empty() { 0 } else { 1 }).writes("");
    assert_eq!(String::from_utf8_lossy(&ran.stderr), "", "nothing is said of single records");

    let predictions = folder.text("out.ldjson");
    let mut predictions = predictions.lines();
    for (line, (record, expected)) in (1..).zip(records) {
        let told = match rejects.iter().find(|reject| reject["line"] == line) {
            Some(reject) => {
                assert_eq!(
                    (&reject["record"], &reject["step"]),
                    (&(*record).into(), &asked.args[0].into())
                );
                let text = |key| reject.get(key).and_then(Value::as_str).unwrap_or_default();
                let place = format!("{} {}", text("kind"), text("path"));
                format!("{}: {}", place.trim_end(), text("message"))
            }
            None => predictions.next().unwrap_or("nothing").to_owned(),
        };
        assert!(is_like(&told, expected), "line {line}, {record}\n{told}\nis not\n{expected}");
    }
    assert_eq!(predictions.next(), None, "there are more predictions than records");

    let there = Folder::new();
    let isolated = asked.about(&there, &input).args(["--isolate", "--sandbox", "off"]).run();
    assert_eq!(isolated.code, ran.code, "{}", String::from_utf8_lossy(&isolated.stderr));
    for name in ["out.ldjson", "out.ldjson.rejects.ldjson"] {
        let [here, there] = [&folder, &there].map(|folder| folder.read(name));
        let text = |it: &Option<Vec<u8>>| {
            String::from_utf8_lossy(it.as_deref().unwrap_or_default()).into_owned()
        };
        assert!(here == there, "{name} of workers is\n{}\nand not\n{}", text(&there), text(&here));
    }
}

fn is_like(text: &str, expected: &str) -> bool {
    match expected.split_once('…') {
        None => text == expected,
        Some((start, end)) => text.strip_prefix(start).is_some_and(|rest| {
            let mut ends = (0..=rest.len()).filter(|&at| rest.is_char_boundary(at));
            ends.any(|at| is_like(&rest[at..], end))
        }),
    }
}

/// The model is to blame for the end of the run, in these words, and nothing is published.
#[track_caller]
fn check_broken(asked: Asked<'_>, records: &str, words: &str) {
    let folder = Folder::new();
    let ran = asked.run(&folder, records).exits(5).writes("");
    let model = asked.args[0];
    let stderr = String::from_utf8_lossy(&ran.stderr);
    let expected = format!(
        "error: step `{model}` can't go on\n  cause: {words}\n  state: nothing was published; …the team that ships it\n"
    );
    assert!(is_like(&stderr, &expected), "{stderr}\nis not\n{expected}");
    assert_eq!(folder.names(), ["in.ldjson"]);

    let isolated = asked
        .about(&folder, records)
        .args(["--isolate", "--sandbox", "off"])
        .run()
        .exits(5)
        .writes("");
    let stderr = String::from_utf8_lossy(&isolated.stderr);
    let is_like = is_like(&stderr, &format!("…{expected}"));
    assert!(is_like, "in a worker:\n{stderr}\nis not\n{expected}");
    assert_eq!(folder.names(), ["in.ldjson"]);
}

/// The command line is refused in these words before anything is read.
#[track_caller]
fn check_usage(asked: Asked<'_>, words: &str) {
    let folder = Folder::new();
    asked.run(&folder, "").exits(2).writes("").says(words).says("  hint: --emit nest keeps");
    assert_eq!(folder.names(), ["in.ldjson"]);
}

const THREE: &str = "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n";

// ---- One record's own fault

#[test]
fn what_a_model_does_to_one_record_costs_that_record() {
    const NO_TEXT: &str = "panic: panicked at plugins/misbehaving/src/lib.rs:…: no message: the \
                           payload is not a text";
    let records = [
        (r#"{"n": 1}"#, r#"{"y":1.0}"#),
        (
            r#"{"n": 2, "act": "panic", "text": "no footing"}"#,
            "panic: panicked at plugins/misbehaving/src/lib.rs:…: no footing",
        ),
        (r#"{"n": 3, "act": "panic_number"}"#, NO_TEXT),
        (r#"{"n": 4, "act": "panic_bomb"}"#, NO_TEXT),
        (r#"{"n": 5, "act": "refuse", "text": "too far"}"#, "value n: too far"),
        (r#"{"n": 6, "act": "later", "text": "fog"}"#, "try_later: fog"),
        (
            r#"{"n": 7, "act": "nan"}"#,
            "not_finite y: the prediction holds NaN, which JSON cannot carry",
        ),
        (r#"{"n": 8, "act": "dance"}"#, "schema act: unknown variant `dance`, …"),
        (r#"{"n": 9}"#, r#"{"y":9.0}"#),
    ];
    check(misbehaving(&["acts"]), &records);
    check(misbehaving(&["batch"]), &records);
    check(
        misbehaving(&["unwritable"]),
        &[(
            r#"{"n": 1}"#,
            "not_writable: the prediction cannot be written as JSON: key must be a string",
        )],
    );
}

#[test]
fn panics_by_the_hundred_print_nothing() {
    let panics = (r#"{"n": 1, "act": "panic", "text": "again"}"#, "panic: panicked at …: again");
    check(misbehaving(&["acts"]), &[panics; 100]);
    check(misbehaving(&["batch"]), &[panics; 100]);
    check(misbehaving(&["acts", "--config", r#"{"end": "panic"}"#]), &[panics; 100]);
}

#[test]
fn a_model_that_panics_while_it_ends_changes_nothing() {
    for end in ["panic", "panic_number", "panic_bomb"] {
        let config = format!(r#"{{"end": "{end}"}}"#);
        check(misbehaving(&["acts", "--config", &config]), &[(r#"{"n": 1}"#, r#"{"y":1.0}"#)]);
    }
    check(lying("unload_status"), &[(r#"{"n":1}"#, r#"{"n":1}"#)]);
}

#[test]
fn a_model_that_exits_while_it_ends_changes_nothing_either() {
    for end in ["exit0", "exit3", "exit_elsewhere"] {
        let config = format!(r#"{{"end": "{end}"}}"#);
        let args = ["acts", "--config", &config];
        let good = (r#"{"n": 1}"#, r#"{"y":1.0}"#);
        let bad = (r#"{"n": 2, "act": "refuse", "text": "no"}"#, "value n: no");
        check(misbehaving(&args), &[good]);
        check(misbehaving(&args), &[good, bad, good]);
        let broken = r#"{"n": 1, "act": "broken", "text": "no map"}"#;
        let words = "it says that it is broken: no map (in.ldjson: line 1, byte 0)";
        check_broken(misbehaving(&args), broken, words);
    }
}

#[test]
fn what_a_model_prints_never_gets_into_the_data() {
    let folder = Folder::new();
    folder.write("in.ldjson", r#"{"n": 1, "act": "print", "text": "chatter"}"#);
    let plugin = plugin("misbehaving");
    let plugin = plugin.to_str().unwrap();
    let config = r#"{"load": "print", "end": "print"}"#;
    let mut ran = folder
        .host(["--plugin", plugin, "--model", "acts", "--config", config, "--input", "in.ldjson"])
        .run()
        .exits(0)
        .writes("{\"y\":1.0}\n");
    for text in ["while loading", "chatter", "while ending"] {
        ran = ran.says(&format!("{text} on stdout\n")).says(&format!("{text} on stderr\n"));
    }
}

#[test]
fn a_prediction_that_is_no_sound_json_is_wrong_for_its_record() {
    const WRONG: &str = "wrong_output: the model's prediction is wrong: …";
    for lie in [
        "empty_prediction",
        "not_json_prediction",
        "nan",
        "two_fields",
        "two_lines",
        "not_utf8_prediction",
    ] {
        let records =
            [(r#"{"n":1}"#, r#"{"n":1}"#), (r#"{"n":2}"#, WRONG), (r#"{"n":3}"#, r#"{"n":3}"#)];
        check(lying(lie), &records);
        check(Asked { args: &["lying", "--validate-output"], ..lying(lie) }, &records);
    }
}

#[test]
fn an_error_of_an_unknown_kind_means_its_range() {
    for (lie, expected) in [
        ("kind_0", "record: of this kind"),
        ("kind_57", "record: of this kind"),
        ("kind_257", "try_later: of this kind"),
        ("kind_300", "not_attempted: of this kind"),
        ("kind_4294967295", "record: of this kind"),
        ("error_not_utf8", "value: f\u{fffd}r"),
    ] {
        check(lying(lie), &[(r#"{"n":1}"#, r#"{"n":1}"#), (r#"{"n":2}"#, expected)]);
    }
    check_broken(
        lying("kind_157"),
        THREE,
        "it says that it is broken: of this kind (in.ldjson: line 2, byte 8)",
    );
}

#[test]
fn a_prediction_is_compared_with_its_schema_where_that_is_asked_for() {
    let (one, eleven) = (r#"{"n": 1}"#, r#"{"n": 11}"#);
    check(misbehaving(&["over_ten"]), &[(one, r#"{"y":1.0}"#), (eleven, r#"{"y":11.0}"#)]);
    let wrong = "wrong_output y: the model's prediction is wrong: it breaks the model's output \
                 schema: 11…";
    check(
        misbehaving(&["over_ten", "--validate-output"]),
        &[(one, r#"{"y":1.0}"#), (eleven, wrong)],
    );
}

// ---- Predictions that can't join their records

#[test]
fn fields_that_cannot_be_joined_are_found_in_the_schemas() {
    let not_objects = "the model's predictions are not objects, so there are no fields to join";
    let clash = "the field `n` is in the record and in the prediction";
    check_usage(misbehaving(&["number", "--emit", "merge"]), not_objects);
    check_usage(misbehaving(&["number", "--keep", "n"]), not_objects);
    check_usage(misbehaving(&["clash", "--emit", "merge"]), clash);
    check_usage(misbehaving(&["clash", "--keep", "n"]), clash);
    let record = r#"{"n": 1}"#;
    check(misbehaving(&["number"]), &[(record, "1.0")]);
    check(
        misbehaving(&["number", "--emit", "nest"]),
        &[(record, r#"{"input":{"n": 1},"prediction":1.0}"#)],
    );
    check(
        misbehaving(&["clash", "--emit", "nest"]),
        &[(record, r#"{"input":{"n": 1},"prediction":{"n":1.0}}"#)],
    );
    check(
        misbehaving(&["clash", "--keep", "m"]),
        &[(r#"{"n": 1, "m": 2}"#, r#"{"m": 2,"n":1.0}"#)],
    );
}

#[test]
fn fields_that_cannot_be_joined_and_no_schema_shows_cost_their_record() {
    let records = [
        (r#"{"say": {"y": 1}}"#, r#"{"say": {"y": 1},"y":1}"#),
        (
            r#"{"say": {"say": 1}}"#,
            "field_clash say: the field is in the record and in the prediction",
        ),
        (
            r#"{"say": 5}"#,
            "wrong_output: the model's prediction is wrong: it is not an object, so its fields \
             can't join others",
        ),
    ];
    check(misbehaving(&["says", "--emit", "merge"]), &records);
    check(misbehaving(&["says", "--keep", "say"]), &records);
    check(misbehaving(&["says"]), &[(r#"{"say": null}"#, "null")]);
}

// ---- No record will do better

#[test]
fn a_model_that_says_it_is_broken_ends_the_run() {
    let records = "{\"n\": 1}\n{\"n\": 2, \"act\": \"broken\", \"text\": \"no map\"}\n{\"n\": 3}\n";
    for model in ["acts", "batch"] {
        check_broken(
            misbehaving(&[model]),
            records,
            "it says that it is broken: no map (in.ldjson: line 2, byte 9)",
        );
    }
}

#[test]
fn the_first_broken_record_is_told_whatever_the_threads_do() {
    let mut records = "{\"n\": 1}\n".repeat(20_000);
    for (line, text) in [(15_000, "second"), (5_000, "first")] {
        let broken = format!("{{\"n\": 1, \"act\": \"broken\", \"text\": \"{text}\"}}");
        records.insert_str(line * 9, &broken);
        records.insert(line * 9 + broken.len(), '\n');
    }
    check_broken(
        misbehaving(&["acts", "--threads", "4"]),
        &records,
        "it says that it is broken: first (in.ldjson: line 5001, byte 45000)",
    );
}

#[test]
fn a_batch_form_that_forgets_or_invents_predictions_ends_the_run() {
    for (config, returned) in [(r#"{"forget": 1}"#, 2), (r#"{"invent": 1}"#, 4)] {
        let words = format!(
            "its answer can't be used: predict_batch returned {returned} predictions for 3 inputs"
        );
        check_broken(misbehaving(&["batch", "--config", config]), THREE, &words);
    }
}

#[test]
fn an_answer_that_lies_ends_the_run() {
    for (lie, words) in [
        ("too_many_answers", "it answered 4 records, 3 were asked"),
        ("too_few_ends", "it gave 2 predictions for 3 records"),
        ("too_many_ends", "it gave 4 predictions for 3 records"),
        ("ends_backwards", "the prediction of record 1 ends at 14, after 21, of 21 bytes"),
        ("ends_past", "the prediction of record 2 ends at 21, after 14, of 20 bytes"),
        ("error_of_no_record", "an error is of record 3, out of place"),
        ("errors_backwards", "an error is of record 0, out of place"),
        ("error_without_text", "the error of record 1 has no text"),
    ] {
        check_broken(lying(lie), THREE, &format!("its answer can't be used: {words}"));
    }
    check_broken(
        lying("answers_none"),
        THREE,
        "it answered none of the 3 records it was asked about",
    );
    check_broken(lying("status"), THREE, "its call failed with status 777");
    check_broken(lying("status_with_text"), THREE, "it says that it is broken: no w\u{fffd}ights");
}

#[test]
fn an_answer_that_is_left_over_from_the_call_before_is_not_taken_for_a_new_one() {
    let records: String = (0..16).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    check_broken(lying("stale"), &records, "it answered none of the … records it was asked about");
}

// ---- What a host must bear

#[test]
fn a_model_may_answer_fewer_records_than_it_was_asked_about() {
    let records: Vec<String> = (0..100).map(|n| format!("{{\"n\":{n}}}")).collect();
    let records: Vec<_> = records.iter().map(|record| (record.as_str(), record.as_str())).collect();
    check(lying("answers_one"), &records);
}

#[test]
fn what_nobody_asked_for_is_ignored() {
    check(lying("unasked"), &[(r#"{"n":1}"#, r#"{"n":1}"#); 20]);
}

#[test]
fn a_slow_model_is_asked_about_few_records_at_once() {
    let folder = Folder::new();
    lying("slow_slices").run(&folder, &"{\"n\":1}\n".repeat(20)).exits(0);
    let asked: Vec<u64> = folder
        .text("out.ldjson")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["asked"].as_u64().unwrap())
        .collect();
    // Ten milliseconds a record, and fifty a call; at first the fewest that are read at once.
    assert!(asked.len() == 20 && asked.iter().all(|&records| records <= 5), "{asked:?}");
}

#[test]
fn a_model_that_takes_its_time_is_waited_for() {
    let records = [(r#"{"n": 1}"#, r#"{"y":1.0}"#); 50];
    check(misbehaving(&["acts", "--config", r#"{"sleep_ms": 10}"#]), &records);
    check(misbehaving(&["batch", "--config", r#"{"sleep_ms": 10}"#]), &records);
}

#[test]
fn a_model_that_leaks_costs_its_leak_and_nothing_else() {
    let records = [(r#"{"n": 1, "act": "leak"}"#, r#"{"y":1.0}"#); 300]; // 19 MiB
    check(misbehaving(&["acts"]), &records);
    check(misbehaving(&["batch"]), &records);
}

// ---- Models that end the process, or would never end

/// How a process ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Code(i32),
    Signal(i32),
}
use End::{Code, Signal};

const ABORT: End = Signal(6);
const SEGMENTATION_FAULT: End = Signal(11);
const OF_STACK: &str = "…has overflowed its stack\nfatal runtime error: stack overflow, aborting\n";
const OF_MEMORY: &str = "memory allocation of 16777216 bytes failed\n…";

/// Three records, in the middle of which stands one with this act.
fn acting(act: &str) -> String {
    format!("{{\"n\": 1}}\n{{\"n\": 2, \"act\": \"{act}\", \"text\": \"begun\"}}\n{{\"n\": 3}}\n")
}

/// What one process is allowed: a model that takes all memory must not take the machine's. And no
/// dumps of memory beside the outputs.
const LIMITS: &str = "-v 4194304; ulimit -c 0";

/// The process ends so, with these words; nothing is published, what an earlier run published
/// stays, and the next run is none the worse for it.
#[track_caller]
fn check_end(asked: Asked<'_>, records: &str, end: End, words: &str) {
    let folder = Folder::new();
    folder.write("out.ldjson", "old");
    let ran = asked.about(&folder, records).limits(LIMITS).run().writes("");
    let stderr = String::from_utf8_lossy(&ran.stderr).into_owned();
    match end {
        Code(code) => ran.exits(code),
        Signal(signal) => ran.dies_of(signal),
    };
    assert!(is_like(&stderr, words), "{stderr}\nis not\n{words}");
    check_unpublished(&folder);
}

#[track_caller]
fn check_unpublished(folder: &Folder) {
    assert_eq!(folder.text("out.ldjson"), "old");
    let mut names = folder.names();
    names.retain(|name| !name.ends_with(".etl-host-part"));
    assert_eq!(names, ["in.ldjson", "out.ldjson"]);
    misbehaving(&["acts"]).run(folder, r#"{"n": 1}"#).exits(0).writes("");
    assert_eq!(folder.text("out.ldjson"), "{\"y\":1.0}\n");
    assert_eq!(folder.names(), ["in.ldjson", "out.ldjson"]);
}

#[test]
fn a_model_that_ends_the_process_publishes_nothing() {
    for (act, end, words) in
        [("abort", ABORT, ""), ("overflow", ABORT, OF_STACK), ("hoard", ABORT, OF_MEMORY)]
    {
        let config = format!(r#"{{"load": "{act}"}}"#);
        check_end(misbehaving(&["acts"]), &acting(act), end, words);
        check_end(misbehaving(&["batch"]), &acting(act), end, words);
        check_end(misbehaving(&["acts", "--config", &config]), THREE, end, words);
        check_end(describing(act, &["acts"]), THREE, end, words);
    }
    check_end(lying("null"), THREE, SEGMENTATION_FAULT, "");
}

#[test]
fn a_model_that_panics_while_it_is_described_is_refused() {
    for (act, words) in [
        ("panic", "while describing"),
        ("panic_number", "no message: the payload is not a text"),
        ("panic_bomb", "no message: the payload is not a text"),
    ] {
        let words = format!(
            "error: plugin `…` is refused\n  cause: it can't describe itself: panicked at \
             plugins/misbehaving/src/lib.rs:…: {words}\n"
        );
        check_end(describing(act, &["acts"]), THREE, Code(4), &words);
    }
}

/// It says that the plugin called `exit`, and when.
#[track_caller]
fn check_exit(asked: Asked<'_>, records: &str, when: &str) {
    let words = format!(
        "error: plugin `…` ended the process\n  cause: the plugin called exit while {when}\n  \
         state: nothing was published; `out.ldjson` is as it was\n  \
         hint: this is the model's fault: send this message to the team that ships it\n"
    );
    check_end(asked, records, Code(5), &words);
}

#[test]
fn a_model_that_exits_does_not_pass_for_a_good_end() {
    for act in ["exit0", "exit3", "exit_elsewhere"] {
        let config = format!(r#"{{"load": "{act}"}}"#);
        check_exit(misbehaving(&["acts"]), &acting(act), "its model was predicting");
        check_exit(misbehaving(&["batch"]), &acting(act), "its model was predicting");
        let loading = ["acts", "--config", &config];
        check_exit(misbehaving(&loading), THREE, "its model was being loaded");
        check_exit(describing(act, &["acts"]), THREE, "it was being opened");
    }
    let opened = Asked { plugin: "sentinel", env: ("EXIT_WHEN_OPENED", "1"), args: &["sentinel"] };
    check_exit(opened, THREE, "it was being opened");
}

/// Each call of `exit` runs one handler, and ends the process where it finds none.
#[test]
fn models_that_exit_on_many_threads_at_once_are_told_of_once() {
    for _ in 0..10 {
        check_exit(misbehaving(&["acts"]), &acting("exit_elsewhere"), "its model was predicting");
    }
}

/// A pipe takes what it has room for, so the last line may be cut, as when the process is killed.
#[test]
fn what_an_exit_leaves_on_stdout_is_the_beginning_of_the_predictions() {
    let folder = Folder::new();
    let plugin = plugin("misbehaving");
    let args = ["--plugin", plugin.to_str().unwrap(), "--model", "acts", "-i", "-"];
    let input = "{\"n\": 1}\n".repeat(100_000) + &acting("exit0");
    let ran = folder.host(args).stdin(input).run().exits(5).says("called exit while its model was");
    let stdout = String::from_utf8(ran.says_nothing_of("state:").stdout).unwrap();
    assert!("{\"y\":1.0}\n".repeat(100_000).starts_with(&stdout));
}

/// The model is in the middle of a call, has made this file to say so, and a signal comes.
#[track_caller]
fn check_hang(asked: Asked<'_>, records: &str, file: &str, codes: [Option<i32>; 2]) {
    let mut quickest = Duration::MAX;
    for ((signal, _), code) in SIGNALS.into_iter().zip(codes) {
        let folder = Folder::new();
        folder.write("out.ldjson", "old");
        let live = Live::start(&asked.about(&folder, records));
        eventually("the model has begun", || folder.read(file).is_some());
        let since = Instant::now();
        live.signal(signal);
        let (ended, said) = live.end();
        quickest = quickest.min(since.elapsed());
        assert_eq!(ended, code, "{said}");
        let is_told = said.starts_with(&format!("error: interrupted by SIG{signal}\n"));
        assert_eq!(is_told, code.is_some(), "{said}");
        fs::remove_file(folder.path().join(file)).unwrap();
        check_unpublished(&folder);
    }
    // A second, as is promised; or two, where the machine is busy with other tests.
    assert!(quickest < Duration::from_secs(2), "{quickest:?}");
}

#[test]
fn a_signal_ends_a_model_that_never_returns() {
    let told = SIGNALS.map(|(_, code)| Some(code));
    check_hang(misbehaving(&["acts"]), &acting("hang"), "begun", told);
    check_hang(misbehaving(&["batch"]), &acting("hang"), "begun", told);
    // A second for each of these records, and nobody is asked whether to go on.
    check_hang(lying("ignores_cancel"), &THREE.repeat(20), "begun", told);
    // Nobody listens yet, so the signal itself ends the process.
    let loading = ["acts", "--config", r#"{"load": "hang"}"#];
    check_hang(misbehaving(&loading), THREE, "while loading", [None; 2]);
    check_hang(describing("hang", &["acts"]), THREE, "while describing", [None; 2]);
}
