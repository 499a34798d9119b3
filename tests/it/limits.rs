//! When a run gives up, and that it is at the same record whatever the threads do.

use crate::main_job::{BAD, SETOSA, iris};
use etl_host_tests::Folder;
use serde_json::Value;
use std::ops::RangeInclusive;

/// Some of the records, counted from 1.
type Lines<'a> = &'a [RangeInclusive<u64>];

/// So many records, of which these are bad.
fn input(records: u64, bad: Lines<'_>) -> String {
    let is_bad = |line| bad.iter().any(|bad| bad.contains(&line));
    (1..=records).flat_map(|line| [if is_bad(line) { BAD } else { SETOSA }, "\n"]).collect()
}

/// The run stops at the bad record on this line, or not at all.
#[track_caller]
fn check(limit: &str, records: u64, bad: Lines<'_>, stops_at: Option<u64>) {
    let folder = Folder::new();
    let input = input(records, bad);
    folder.write("in.json", &input);
    folder.write("out.json", "old");
    let rejected = |line: u64| (1..=line).filter(|l| bad.iter().any(|bad| bad.contains(l))).count();
    for threads in [1, 2, 3, 8] {
        let words = format!("-i in.json -o out.json {limit} --threads {threads} --summary s.json");
        let ran = iris(&folder, &words).run();
        let summary: Value = serde_json::from_str(&folder.text("s.json")).expect("JSON");
        let counts = |name: &str| summary["counts"][name].as_u64().expect("a count");
        let fates = ["written", "filtered", "blocked", "rejected", "abandoned"].map(counts);
        assert_eq!(counts("read"), fates.iter().sum::<u64>(), "{summary}");
        assert_eq!(counts("rejected"), rejected(stops_at.unwrap_or(records)) as u64, "{summary}");
        assert_eq!(summary["published"], stops_at.is_none(), "{summary}");
        let Some(line) = stops_at else {
            ran.exits(if bad.is_empty() { 0 } else { 1 });
            assert_eq!(counts("read"), records);
            folder.write("out.json", "old");
            continue;
        };
        let byte = input.lines().take(line as usize - 1).map(|line| line.len() + 1).sum::<usize>();
        ran.exits(6)
            .says("error: stopped at ")
            .says(&format!(
                "cause: in.json: line {line}, byte {byte}: missing field `petal_length`"
            ))
            .says("hint: run without the limit");
        assert_eq!(summary["exit_code"], 6);
        let error = summary["error"].as_str().expect("the summary tells why");
        assert!(error.starts_with("stopped at "), "{error}");
        assert_eq!(folder.text("out.json"), "old");
        assert_eq!(folder.names(), ["in.json", "out.json", "s.json"]);
    }
}

#[test]
fn on_error_fail_stops_at_the_first_reject() {
    check("--on-error fail", 20, &[], None);
    check("--on-error fail", 1, &[1..=1], Some(1));
    check("--on-error fail", 30_000, &[7_777..=7_778, 20_000..=30_000], Some(7_777));
    check("--on-error fail --max-rejects 5", 10, &[1..=10], Some(1));
}

#[test]
fn on_error_reject_goes_on_to_the_end() {
    check("--on-error reject", 1_000, &[1..=999], None);
}

#[test]
fn a_number_of_rejects_is_allowed_and_no_more() {
    let bad = &[500..=501, 9_000..=9_004, 25_000..=25_000];
    check("--max-rejects 0", 30_000, bad, Some(500));
    check("--max-rejects 1", 30_000, bad, Some(501));
    check("--max-rejects 4", 30_000, bad, Some(9_002));
    check("--max-rejects 7", 30_000, bad, Some(25_000));
    check("--max-rejects 8", 30_000, bad, None);
}

#[test]
fn a_share_of_rejects_is_judged_from_the_ten_thousandth_record_on() {
    // One in a hundred to the record: not more than 1 %, until the next bad one comes too soon.
    check("--max-rejects 1%", 20_000, &[1..=100, 10_050..=10_050, 10_060..=10_060], Some(10_050));
    check("--max-rejects 1%", 20_000, &[1..=100, 10_100..=10_100], None);
    // One more than that: it has to wait for the ten thousandth record, good as that is.
    check("--max-rejects 1%", 20_000, &[1..=101], Some(101));
    check("--max-rejects 1.01%", 20_000, &[1..=101], None);
    check("--max-rejects 0.005%", 20_000, &[10_000..=10_000], Some(10_000));
    check("--max-rejects 100%", 10_500, &[1..=10_500], None);
    check("--max-rejects 0%", 20_000, &[15_000..=20_000], Some(15_000));
}

#[test]
fn a_share_of_rejects_is_judged_at_the_end_of_a_short_input() {
    check("--max-rejects 1%", 50, &[3..=3], Some(3));
    check("--max-rejects 2%", 50, &[3..=3], None);
    check("--max-rejects 1.9%", 50, &[3..=3], Some(3));
    check("--max-rejects 0%", 0, &[], None);
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
