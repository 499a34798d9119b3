//! A thousand panics in a million records: a thousand rejects, each in its place and with its own
//! words, and every other record predicted.

use crate::main_job::rejects;
use etl_host_tests::{Folder, plugin};
use std::collections::BTreeSet;
use std::fmt::Write as _;

const RECORDS: u64 = 1_000_000;
const PANICS: usize = 1_000;
const SEED: u64 = 0x5eed;

/// Numbers of records, chosen by the generator of Steele, Lea & Flood ("SplitMix", 2014).
fn places(seed: u64) -> BTreeSet<u64> {
    let mut state = seed;
    let mut places = BTreeSet::new();
    while places.len() < PANICS {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        places.insert((mixed ^ (mixed >> 31)) % RECORDS);
    }
    places
}

#[track_caller]
fn check(model: &str) {
    let places = places(SEED);
    let (mut input, mut expected) = (String::new(), String::new());
    let mut starts = Vec::new(); // of the records that panic
    for n in 0..RECORDS {
        if places.contains(&n) {
            starts.push(input.len());
            let _ = writeln!(input, r#"{{"n": {n}, "act": "panic", "text": "panic at {n}"}}"#);
        } else {
            let _ = writeln!(input, r#"{{"n": {n}}}"#);
            let _ = writeln!(expected, r#"{{"y":{n}.0}}"#);
        }
    }
    let folder = Folder::new();
    folder.write("in.ldjson", &input);
    let plugin = plugin("misbehaving");
    let words = "--quiet --threads 2 --input in.ldjson --output out.ldjson --model";
    let args = words.split(' ').chain([model, "--plugin", plugin.to_str().expect("UTF-8")]);
    let ran = folder.host(args).run().exits(1).writes("");
    assert_eq!(String::from_utf8_lossy(&ran.stderr), "");

    let output = folder.text("out.ldjson");
    let mut lines = output.lines().zip(expected.lines());
    assert_eq!(lines.find(|(found, expected)| found != expected), None);
    assert_eq!(output.len(), expected.len());

    let rejects = rejects(folder.text("out.ldjson.rejects.ldjson"));
    assert_eq!(rejects.len(), PANICS);
    for ((reject, &n), start) in rejects.iter().zip(&places).zip(starts) {
        let record = input[start..].lines().next().expect("a line");
        let expected = serde_json::json!({
            "source": "in.ldjson", "line": n + 1, "byte": start, "length": record.len(),
            "step": model, "kind": "panic", "record": record, "message": reject["message"],
        });
        assert_eq!(*reject, expected);
        let message = reject["message"].as_str().expect("a text");
        assert!(message.starts_with("panicked at plugins/misbehaving/src/lib.rs:"), "{message}");
        assert!(message.ends_with(&format!(": panic at {n}")), "{message}");
    }
}

#[test]
fn a_thousand_panics_in_a_million_records_are_a_thousand_rejects() {
    check("acts");
}

#[test]
fn a_thousand_panics_in_batches_are_a_thousand_rejects_too() {
    check("batch");
}
