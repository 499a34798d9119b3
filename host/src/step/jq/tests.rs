//! Tests of the jq step: programs over records, through the step.

mod bounds;
mod refused;

use super::*;
use crate::source::Source;
use crate::source::ldjson::{self, Options};
use crate::step::STACK_BYTES;
use crate::stop::Stop;
use crate::storage::Memory;
use serde_json::json;
use std::thread;

fn spec(program: &str) -> JqSpec {
    JqSpec { program: program.to_owned(), ..JqSpec::default() }
}

fn step(program: &str) -> JqStep {
    JqStep::new("shape", &spec(program)).unwrap_or_else(|error| panic!("{error}"))
}

/// A batch of the lines of `text`.
pub(in crate::step) fn batch(text: &str) -> Batch {
    let mut batch = Batch::default();
    let mut reader = ldjson::Reader::new("in", Box::new(Memory::new(text)), Options::default());
    reader.read_batch(&mut batch, 1 << 28, &Stop::default()).unwrap();
    batch
}

/// What a step makes of a batch: lines, then rejects.
pub(in crate::step) fn applied(step: &mut dyn Step, batch: &mut Batch) -> String {
    step.apply(batch).unwrap();
    let mut out = std::str::from_utf8(batch.lines(&mut Vec::new())).unwrap().to_owned();
    for reject in batch.rejects() {
        out.push_str(&format!("{} {}: {}\n", reject.index, reject.kind.name(), reject.message));
    }
    out
}

fn run(step: &mut JqStep, text: &str) -> String {
    applied(step, &mut batch(text))
}

/// On a thread as a worker's is.
fn on_a_worker(work: impl FnOnce() + Send + 'static) {
    let worker = thread::Builder::new().stack_size(STACK_BYTES).spawn(work).unwrap();
    worker.join().unwrap();
}

#[track_caller]
fn check(program: &str, text: &str, expected: &str) {
    assert_eq!(run(&mut step(program), text), expected, "{program}");
}

/// Of a file of cases: program, record, and what is expected.
fn cases(text: &'static str) -> Vec<(&'static str, &'static str, Vec<&'static str>)> {
    let groups = text.split("\n\n").map(|group| {
        let lines = group.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        lines.collect::<Vec<_>>()
    });
    let groups = groups.filter(|lines| !lines.is_empty());
    groups.map(|lines| (lines[0], lines[1], lines[2..].to_vec())).collect()
}

fn check_cases(text: &'static str, at_least: usize) {
    let cases = cases(text);
    assert!(cases.len() >= at_least, "{}", cases.len());
    for (program, record, expected) in cases {
        let got = match JqStep::new("shape", &spec(program)) {
            Ok(mut step) => run(&mut step, record).replace("0 jq: ", "! "),
            Err(error) => format!("? {error}"),
        };
        let is_as_expected = match expected[..] {
            [why] if why.starts_with('!') => got.starts_with(why),
            [why] if why.starts_with('?') => got.starts_with('?') && got.contains(&why[2..]),
            _ => got.lines().eq(expected.iter().copied()),
        };
        assert!(is_as_expected, "{program}\n{record}\n{expected:?}\n{got}");
    }
}

#[test]
fn what_jq_publishes_of_its_behaviour_holds() {
    on_a_worker(|| check_cases(include_str!("published.test"), 380));
}

#[test]
fn what_is_known_to_differ_from_jq_differs_as_it_is_said() {
    on_a_worker(|| check_cases(include_str!("differs.test"), 30));
}

#[test]
fn params_are_there_as_a_variable() {
    let program =
        "$params.threshold as $t | select(.a > $t) | {a, day: $params.day, no: $params.no}";
    let params = json!({"threshold": 2.5, "day": "2026-11-27", "big": 12345678901234567_u64});
    let params = params.as_object().unwrap().clone();
    let with = |program: &str| JqSpec {
        program: program.to_owned(),
        params: params.clone(),
        ..JqSpec::default()
    };
    let mut step = JqStep::new("shape", &with(program)).unwrap();
    let expected = "{\"a\":3,\"day\":\"2026-11-27\",\"no\":null}\n";
    assert_eq!(run(&mut step, "{\"a\":3}\n{\"a\":2}\n"), expected);
    let mut another = step.another();
    assert_eq!(applied(&mut *another, &mut batch("{\"a\":3}\n{\"a\":2}\n")), expected);
    let mut step =
        JqStep::new("shape", &with("def f: $params.big; [f, ($params | keys)]")).unwrap();
    assert_eq!(run(&mut step, "1"), "[12345678901234567,[\"big\",\"day\",\"threshold\"]]\n");
    check("$params", "1", "{}\n");
}

#[test]
fn none_one_or_several_records_are_made_of_each() {
    let text = "[1,2]\n[]\n[3]\n{\"a\":[4]}\n";
    check(".[]", text, "1\n2\n3\n[4]\n");
    check("empty", text, "");
    check(". , .", "{ \"a\" : 1 }\n2\n", "{ \"a\" : 1 }\n{ \"a\" : 1 }\n2\n2\n");
    let mut batch = batch(text);
    step(".[]").apply(&mut batch).unwrap();
    assert_eq!(batch.origins(), [0, 0, 2, 3]);
}

/// Spelled as nobody would write it.
const ODD: &str =
    r#"{ "b" : 1.10,"a":1e400, "\u0061b": [ 12345678901234567890123, -0, "\u00e9\/" ] }"#;

#[test]
fn what_a_program_does_not_change_goes_on_byte_for_byte() {
    for program in [
        ".",
        "select(.b > 1)",
        "if .ab then . else empty end",
        ". as $r | .ab | length | select(. == 3) | $r",
        "first(., error)",
        "[.] | .[0]",
        "try error(.) catch .",
        "reduce .ab[] as $x (.; .)",
        "(.a | empty), .",
    ] {
        check(program, ODD, &format!("{ODD}\n"));
    }
    for scalar in ["null", "false", " \"\\u00e9\" ", "1.10", "-0", "12345678901234567890123", "[ ]"]
    {
        let mut batch = batch(scalar);
        step(".").apply(&mut batch).unwrap();
        assert_eq!(batch.record(0), scalar.as_bytes());
    }
}

#[test]
fn what_a_program_makes_is_written_anew_though_it_is_the_same() {
    let anew = r#"{"b":1.10,"a":1e400,"ab":[12345678901234567890123,0,"é/"]}"#;
    for program in [
        "{b, a, ab}",
        ".b = .b",
        ". + {}",
        "map_values(.)",
        "with_entries(.)",
        "tojson | fromjson",
        ".ab[1] += 0",
        "del(.x)",
    ] {
        check(program, ODD, &format!("{anew}\n"));
    }
    check(".a += 1", "{\"a\":1}", "{\"a\":2}\n");
    check(". == 1.0 | if . then 1 else 2 end", "1.0", "1\n");
}

#[test]
fn a_batch_of_records_that_go_on_as_they_are_is_not_copied() {
    let mut step = step("select(.a > 1)");
    for _ in 0..2 {
        let mut batch = batch("{\"a\":1}\n{\"a\": 2}\n{\"a\":x}\n{\"a\": 3}\n");
        let bytes = batch.bytes().as_ptr();
        assert_eq!(
            applied(&mut step, &mut batch),
            "{\"a\": 2}\n{\"a\": 3}\n2 invalid_json: expected a value at column 6\n"
        );
        assert_eq!(batch.bytes().as_ptr(), bytes);
    }
}

#[test]
fn records_that_go_on_as_they_are_stay_among_those_that_do_not() {
    let program =
        "if .a == 1 then . elif .a == 2 then .b = 0 elif .a == 3 then ., {c: 1}, . else error end";
    let records = ["{ \"a\":1 }", "{ \"a\":2 }", "{ \"a\":3 }", "{ \"a\":\"no\" }"];
    let made =
        ["{ \"a\":1 }\n", "{\"a\":2,\"b\":0}\n", "{ \"a\":3 }\n{\"c\":1}\n{ \"a\":3 }\n", ""];
    // Every order of three, so that each stands first, second and third.
    let orders =
        (0..4_usize).flat_map(|i| (0..4).flat_map(move |j| (0..4).map(move |k| [i, j, k])));
    let mut step = step(program);
    for order in orders {
        let text = order.map(|i| records[i]).join("\n");
        let rejects: String = (0..3)
            .filter(|at| order[*at] == 3)
            .map(|at| format!("{at} jq: (no text) {{\"a\":\"no\"}}\n"))
            .collect();
        let expected = order.map(|i| made[i]).concat() + &rejects;
        assert_eq!(run(&mut step, &text), expected, "{order:?}");
    }
}

#[test]
fn of_a_record_with_an_error_nothing_goes_on() {
    check(
        ".[] | 1 / .",
        "[1,2]\n[1,0,2]\n[4]\n",
        "1\n0.5\n0.25\n1 jq: 1 can't be divided by zero\n",
    );
    check("., .a", "{ \"a\": 1 }\n[1]\n", "{ \"a\": 1 }\n1\n1 jq: cannot index [1] with \"a\"\n");
    check("., error(\"no\")", "1\n", "0 jq: no\n");
}

#[test]
fn an_error_says_what_the_program_says() {
    check(
        "error(\"the \\(.a) is \\\"bad\\\"\\nsee\")",
        "{\"a\":1}",
        "0 jq: the 1 is \"bad\" see\n",
    );
    check("error({code: 7})", "1", "0 jq: (no text) {\"code\":7}\n");
    check("error(null)", "1", "0 jq: (no text) null\n");
    check("error", "\"é\"", "0 jq: é\n");
    check(".a", "[1]", "0 jq: cannot index [1] with \"a\"\n");
    let long = "x".repeat(1_000);
    check("error", &format!("\"{long}\""), &format!("0 jq: {}…\n", &long[..300]));
    check(".a", &format!("\"{long}\""), &format!("0 jq: cannot index \"{}…\n", &long[..286]));
}

#[test]
fn what_is_no_json_is_not_read_with_leniency() {
    for text in [
        "NaN",
        "[Infinity]",
        "{\"a\":-NaN}",
        "1 2",
        "{} {}",
        "[1] # one",
        "# nothing",
        "+1",
        "01",
        "[1,]",
        "b\"bytes\"",
        "{1:2}",
        "{\"a\":1,\"a\":2}",
        "\"\\ud800\"",
        "\"\\x41\"",
        "nul",
    ] {
        let got = run(&mut step("."), text);
        assert!(got.starts_with("0 invalid_json: "), "{text}: {got}");
    }
    let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
    check(".", &nested(127), &format!("{}\n", nested(127)));
    check(".", &nested(128), "0 invalid_json: nesting deeper than 127 levels at column 128\n");
}

#[test]
fn what_is_written_is_json() {
    for (program, expected) in [
        ("[nan, infinite, -infinite]", "[null,1.7976931348623157e+308,-1.7976931348623157e+308]\n"),
        ("[1e1000, -1e1000, 1e-1000]", "[1e1000,-1e1000,1e-1000]\n"),
        (
            "[1e308 * 10, 0.1 + 0.2, 1e17 + 0.0]",
            "[1.7976931348623157e+308,0.30000000000000004,1e+17]\n",
        ),
        ("[6 / 2, 3.0 * 1, 1.5 + 1.5, -0.0 * 1, 7 / 2]", "[3,3,3,-0,3.5]\n"),
        ("[99999999999999990 + 0.0, 1e-7 * 1]", "[99999999999999980,1e-7]\n"),
        (
            "[pow(2; 10), (10 | sqrt), 9007199254740993]",
            "[1024,3.1622776601683795,9007199254740993]\n",
        ),
        ("[\"+1.50\", \"+7\", \"-1.50e+7\" | fromjson]", "[1.5,7,-1.50e+7]\n"),
        (
            "\"\\u0000\\u001f\\u007f\\\"\\\\/\\b\\f\\n\\r\\té\u{2028}😀\"",
            "\"\\u0000\\u001f\\u007f\\\"\\\\/\\b\\f\\n\\r\\té\u{2028}😀\"\n",
        ),
        ("\"/+8=\" | @base64d", "\"\u{fffd}\u{fffd}\"\n"),
        ("\"a\" | tobytes", "0 jq: a byte string is no JSON; `@base64` makes text of it\n"),
        ("{a: 1, (null): 2}", "0 jq: the key of an object is no string\n"),
        ("[[], {}, [[]], {a: {}}]", "[[],{},[[]],{\"a\":{}}]\n"),
    ] {
        check(program, "null", expected);
    }
    let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
    check("[.]", &nested(126), &format!("{}\n", nested(127)));
    check("[.]", &nested(127), "0 jq: an output nests deeper than 127 levels\n");
}

#[test]
fn numbers_keep_their_spelling_where_the_record_changes_around_them() {
    let record =
        r#"{"big":123456789012345678901234567890,"p":1.10,"e":1E400,"m":-1e-5,"z":0.0,"i":7}"#;
    check(". + {new: 1}", record, &record.replace('}', ",\"new\":1}\n"));
    check("[.big + 1, .p * 10, .i + 1]", record, "[123456789012345678901234567891,11,8]\n");
}
