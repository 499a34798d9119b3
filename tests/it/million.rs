//! A million records, one in a hundred of them bad in one of nine ways, against two oracles: the
//! generator knows the place of each bad record, and the baseline of the benchmarks, which has no
//! host in it, knows the prediction for each good one.

use crate::main_job::{iris, rejects};
use etl_host_benches::{BadRecord, BadWay, Options, Place, Size};
use etl_host_tests::{Folder, release};
use serde_json::Value;
use std::fs::{self, File};
use std::process::Command;
use std::thread;

/// Each way of emitting, and what it makes of a record, its number and its prediction's members.
type Emitted = fn(record: &str, id: u64, members: &str) -> String;
const MODES: [(&str, Emitted); 4] = [
    ("--emit prediction", |_, _, members| format!("{{{members}}}")),
    ("--emit merge", |record, _, members| {
        format!("{},{members}}}", record.strip_suffix('}').expect("an object"))
    }),
    ("--emit nest", |record, _, members| {
        format!("{{\"input\":{record},\"prediction\":{{{members}}}}}")
    }),
    ("--keep id", |_, id, members| format!("{{\"id\": {id},{members}}}")),
];

/// Generated records, and what they should become.
struct Data {
    folder: Folder,
    input: Vec<u8>,
    /// In the order of the source, the one that is too long included.
    bad: Vec<(Place, &'static str)>,
    /// Line, record, and the members of its prediction.
    good: Vec<(u64, String, String)>,
}

/// The kind of the reject that a bad record becomes.
fn kind(way: BadWay) -> &'static str {
    match way {
        BadWay::InvalidUtf8 => "invalid_utf8",
        BadWay::Truncated | BadWay::NumberTooLarge | BadWay::Garbage => "invalid_json",
        BadWay::WrongType
        | BadWay::MissingField
        | BadWay::DoubledField
        | BadWay::Array
        | BadWay::Null => "schema",
    }
}

impl Data {
    fn new(records: u64, long_line_bytes: u64, line_bytes_max: u64) -> Self {
        let folder = Folder::new();
        let options = Options {
            bad_percent: 1.0,
            long_line_bytes: Some(long_line_bytes),
            id: true,
            ..Options::new(Size::Records(records))
        };
        let mut bad = Vec::new();
        let mut note = |BadRecord { place, way }| {
            bad.push((place, kind(way)));
            Ok(())
        };
        let mut file = File::create(folder.path().join("in.json")).expect("a file");
        let written = etl_host_benches::write(&options, &mut file, &mut note).expect("it writes");
        let long_line = written.long_line.expect("it was asked for");
        if long_line.length > line_bytes_max {
            bad.push((long_line, "line_too_long"));
            bad.sort_by_key(|(place, _)| place.line);
        }
        let input = fs::read(folder.path().join("in.json")).expect("it is there");
        let mut bad_lines = bad.iter().map(|(place, _)| place.line).peekable();
        let mut good = Vec::new();
        for (line, record) in
            (1..).zip(input.strip_suffix(b"\n").expect("lines").split(is_line_feed))
        {
            if bad_lines.next_if_eq(&line).is_none() {
                good.push((
                    line,
                    String::from_utf8(record.to_vec()).expect("UTF-8"),
                    String::new(),
                ));
            }
        }
        let mut data = Data { folder, input, bad, good };
        data.ask_the_baseline();
        data
    }

    fn ask_the_baseline(&mut self) {
        let good: String = self.good.iter().flat_map(|(_, record, _)| [record, "\n"]).collect();
        let good = self.folder.write("good.json", good);
        let predictions = self.folder.path().join("predictions.json");
        let mut baseline = Command::new(release().join("static_iris"));
        let ran = baseline.args([&good, &predictions]).status().expect("the baseline runs");
        assert!(ran.success());
        let text = fs::read_to_string(predictions).expect("it wrote");
        let mut lines = text.lines();
        for ((_, _, members), line) in self.good.iter_mut().zip(&mut lines) {
            *members = line.trim_matches(['{', '}']).to_owned();
        }
        assert_eq!(lines.next(), None);
    }

    fn run(&self, words: &str) {
        let words = format!("-i in.json -o out.json --summary s.json {words}");
        iris(&self.folder, &words).run().exits(1).writes("");
    }

    /// Every good record is in the output, in order, and nothing else; another parser than the
    /// host's says that it is JSON, and finds the number of the record in it.
    fn check_output(&self, mode: &str, emitted: Emitted) {
        let output = self.folder.read("out.json").expect("an output");
        let lines: Vec<&[u8]> = output.split(is_line_feed).collect();
        let (last, lines) = lines.split_last().expect("a split has a last piece");
        assert!(last.is_empty(), "{mode}: the last line has its line feed");
        assert_eq!(lines.len(), self.good.len(), "{mode}");
        let half = lines.len() / 2;
        let check = |lines: &[&[u8]], good: &[(u64, String, String)]| {
            for (line, (id, record, members)) in lines.iter().zip(good) {
                let text = str::from_utf8(line).expect("UTF-8");
                assert_eq!(text, emitted(record, *id, members), "{mode}: record {id}");
                let value: Value = text.parse().expect("JSON");
                let found = value.get("input").unwrap_or(&value).get("id").and_then(Value::as_u64);
                assert!(found == Some(*id) || mode == "--emit prediction", "{mode}: record {id}");
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| check(&lines[..half], &self.good[..half]));
            check(&lines[half..], &self.good[half..]);
        });
    }

    /// Every bad record is a reject with its place, and nothing else is.
    fn check_rejects(&self) {
        let rejects = rejects(self.folder.read("out.json.rejects.ldjson").expect("rejects"));
        assert_eq!(rejects.len(), self.bad.len());
        for (reject, (place, kind)) in rejects.iter().zip(&self.bad) {
            let found = ["line", "byte", "length"].map(|key| reject[key].as_u64());
            assert_eq!(found, [place.line, place.byte, place.length].map(Some), "{reject}");
            assert_eq!(&reject["kind"], kind, "{reject}");
            assert_eq!(reject["source"], "in.json");
            let record = &self.input[place.byte as usize..][..place.length as usize];
            let text = reject["record"].as_str().expect("a text");
            match *kind {
                "invalid_utf8" => assert_eq!(text.len(), record.len().div_ceil(3) * 4, "{reject}"),
                "line_too_long" => assert_eq!(text.as_bytes(), &record[..4096]),
                _ => assert_eq!(text.as_bytes(), record),
            }
        }
    }

    fn check_summary(&self) {
        let summary: Value = serde_json::from_str(&self.folder.text("s.json")).expect("JSON");
        let (written, rejected) = (self.good.len(), self.bad.len());
        let expected = serde_json::json!({
            "read": written + rejected, "written": written, "filtered": 0, "blocked": 0,
            "rejected": rejected, "abandoned": 0,
        });
        assert_eq!(summary["counts"], expected);
    }
}

fn is_line_feed(byte: &u8) -> bool {
    *byte == b'\n'
}

#[test]
fn of_a_million_records_each_good_one_is_predicted_and_each_bad_one_rejected() {
    const DEFAULT_LINE_BYTES_MAX: u64 = 16 << 20;
    let data = Data::new(1_000_000, 20 << 20, DEFAULT_LINE_BYTES_MAX);
    assert_eq!(data.bad.len() + data.good.len(), 1_000_000);
    for (mode, emitted) in MODES {
        data.run(mode);
        data.check_output(mode, emitted);
        data.check_rejects();
        data.check_summary();
    }
}

/// With a good record of 3 MB in the middle, which runs alone.
#[test]
fn the_number_of_threads_changes_no_byte() {
    let data = Data::new(100_000, 3_000_000, u64::MAX);
    for (mode, emitted) in MODES {
        data.run(&format!("{mode} --threads 1"));
        data.check_output(mode, emitted);
        data.check_rejects();
        data.check_summary();
        let files = || ["out.json", "out.json.rejects.ldjson"].map(|name| data.folder.read(name));
        let expected = files();
        for threads in [2, 3, 8] {
            data.run(&format!("{mode} --threads {threads}"));
            assert!(files() == expected, "{mode} with {threads} threads");
        }
    }
}
