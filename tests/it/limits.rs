//! When a run gives up, and that it is at the same record whatever the threads do.

use crate::main_job::{BAD, SETOSA, iris};
use etl_host_tests::Folder;
use serde_json::Value;
use std::ops::RangeInclusive;

/// Some of the records, counted from 1.
type Lines<'a> = &'a [RangeInclusive<u64>];

/// Where a run ends before its input does, or at its end.
#[derive(Clone, Copy)]
enum Stops {
    Not,
    /// At the bad record on this line, which is told.
    At(u64),
    /// At this record, good or bad, where all before it are judged.
    Judged(u64),
}
use Stops::{At, Judged, Not};

/// So many records, of which these are bad.
fn input(records: u64, bad: Lines<'_>) -> String {
    let is_bad = |line| bad.iter().any(|bad| bad.contains(&line));
    (1..=records).flat_map(|line| [if is_bad(line) { BAD } else { SETOSA }, "\n"]).collect()
}

/// The run stops there and nowhere else.
#[track_caller]
fn check(limit: &str, records: u64, bad: Lines<'_>, stops: Stops) {
    let folder = Folder::new();
    let input = input(records, bad);
    folder.write("in.json", &input);
    folder.write("out.json", "old");
    let last = match stops {
        Not => records,
        At(last) | Judged(last) => last,
    };
    let rejected = (1..=last).filter(|line| bad.iter().any(|bad| bad.contains(line))).count();
    for threads in [1, 2, 3, 8] {
        let words = format!("-i in.json -o out.json {limit} --threads {threads} --summary s.json");
        let ran = iris(&folder, &words).run();
        let summary: Value = serde_json::from_str(&folder.text("s.json")).expect("JSON");
        let counts = |name: &str| summary["counts"][name].as_u64().expect("a count");
        let fates = ["written", "filtered", "blocked", "rejected", "abandoned"].map(counts);
        assert_eq!(counts("read"), fates.iter().sum::<u64>(), "{summary}");
        assert_eq!(counts("rejected"), rejected as u64, "{summary}");
        assert_eq!(summary["published"], matches!(stops, Not), "{summary}");
        let ran = match stops {
            Not => {
                ran.exits(if bad.is_empty() { 0 } else { 1 });
                assert_eq!(counts("read"), records);
                folder.write("out.json", "old");
                continue;
            }
            At(line) => {
                let before = input.lines().take(line as usize - 1);
                let byte: usize = before.map(|line| line.len() + 1).sum();
                ran.says(&format!("cause: in.json: line {line}, byte {byte}: missing field"))
            }
            Judged(record) => {
                ran.says(&format!("stopped at the limit: {rejected} of {record} records rejected"))
            }
        };
        ran.exits(6).says("error: stopped at ").says("hint: run without the limit");
        assert_eq!(summary["exit_code"], 6);
        let error = summary["error"].as_str().expect("the summary tells why");
        assert!(error.starts_with("stopped at "), "{error}");
        assert_eq!(folder.text("out.json"), "old");
        assert_eq!(folder.names(), ["in.json", "out.json", "s.json"]);
    }
}

#[test]
fn on_error_fail_stops_at_the_first_reject() {
    check("--on-error fail", 20, &[], Not);
    check("--on-error fail", 1, &[1..=1], At(1));
    check("--on-error fail", 30_000, &[7_777..=7_778, 20_000..=30_000], At(7_777));
    check("--on-error fail --max-rejects 5", 10, &[1..=10], At(1));
}

#[test]
fn on_error_reject_goes_on_to_the_end() {
    check("--on-error reject", 1_000, &[1..=999], Not);
}

#[test]
fn a_number_of_rejects_is_allowed_and_no_more() {
    let bad = &[500..=501, 9_000..=9_004, 25_000..=25_000];
    check("--max-rejects 0", 30_000, bad, At(500));
    check("--max-rejects 1", 30_000, bad, At(501));
    check("--max-rejects 4", 30_000, bad, At(9_002));
    check("--max-rejects 7", 30_000, bad, At(25_000));
    check("--max-rejects 8", 30_000, bad, Not);
}

#[test]
fn a_share_of_rejects_is_judged_from_the_ten_thousandth_record_on() {
    // One in a hundred to the record: not more than 1 %, until the next bad one comes too soon.
    check("--max-rejects 1%", 20_000, &[1..=100, 10_050..=10_050, 10_060..=10_060], At(10_050));
    check("--max-rejects 1%", 20_000, &[1..=100, 10_100..=10_100], Not);
    // One more than that: it has to wait for the ten thousandth record, good as that is.
    check("--max-rejects 1%", 20_000, &[1..=101], Judged(10_000));
    check("--max-rejects 1.01%", 20_000, &[1..=101], Not);
    check("--max-rejects 0.005%", 20_000, &[10_000..=10_000], At(10_000));
    check("--max-rejects 100%", 10_500, &[1..=10_500], Not);
    check("--max-rejects 0%", 20_000, &[15_000..=20_000], At(15_000));
}

#[test]
fn a_share_of_rejects_is_judged_at_the_end_of_a_short_input() {
    check("--max-rejects 1%", 50, &[3..=3], Judged(50));
    check("--max-rejects 2%", 50, &[3..=3], Not);
    check("--max-rejects 1.9%", 50, &[3..=3], Judged(50));
    check("--max-rejects 0%", 0, &[], Not);
}

#[test]
fn a_run_that_publishes_no_rejects_names_no_file_of_them() {
    let folder = Folder::new();
    folder.write("in.json", input(10, &[5..=5]));
    let ran = iris(&folder, "-i in.json -o out.json --on-error fail --summary s.json").run();
    let summary: Value = serde_json::from_str(&folder.text("s.json")).unwrap();
    assert_eq!(summary["rejects"], Value::Null);
    ran.exits(6).says_nothing_of("out.json.rejects.ldjson");
}
