//! Ranges that cover an input give its records, each once, with its own place; ranges that can't are
//! refused. For any text, cut anywhere, however it is read.

use super::*;
use crate::batch::Batch;
use crate::format::Format;
use crate::record::RecordPosition;
use crate::source::split::{of_lines, of_rows};
use crate::source::{self, Source, conformance, csv};
use crate::stop::Stop;
use crate::storage::Memory;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;
use std::num::NonZeroU64;

/// How an input is read.
#[derive(Clone, Debug)]
struct How {
    format: Format,
    csv: csv::Options,
    line_bytes_max: usize,
    bytes_wanted: usize,
    checkpoint_bytes: Option<NonZeroU64>,
}

impl How {
    fn of(format: Format) -> Self {
        let csv = csv::Options::default();
        How { format, csv, line_bytes_max: 1000, bytes_wanted: 64, checkpoint_bytes: None }
    }
}

/// What was read: each record with its place, how many lines that were, and where it could be gone on
/// with behind so many records.
#[derive(Debug, Default)]
struct Read {
    records: Vec<(RecordPosition, String)>,
    lines: Option<u64>,
    checkpoints: Vec<(usize, RecordPosition)>,
    error: Option<String>,
}

fn read(how: &How, text: &[u8], range: Option<Range>, start: RecordPosition) -> Read {
    let lines_read = Arc::default();
    let mut options = conformance::options(&json!({}));
    options.csv = how.csv.clone();
    options.text.line_bytes_max = how.line_bytes_max;
    options.text.checkpoint_bytes = how.checkpoint_bytes;
    options.text.start = start;
    options.text.range = range.map(|range| Ranged { range, lines_read: Arc::clone(&lines_read) });
    let mut read = Read::default();
    let input = Box::new(Memory::new(text));
    match source::open(how.format, "in", input, options) {
        Ok(source) => drain(source, how.bytes_wanted, &mut read),
        Err(error) => read.error = Some(error.to_string()),
    }
    read.lines = lines_read.get().copied();
    read
}

fn drain(mut source: Box<dyn Source>, bytes_wanted: usize, read: &mut Read) {
    let mut batch = Batch::default();
    loop {
        match source.read_batch(&mut batch, bytes_wanted, &Stop::default()) {
            Ok(()) if batch.read() == 0 => return,
            Ok(()) => {}
            Err(error) => {
                read.error = Some(error.source.to_string());
                return;
            }
        }
        let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let records = batch.places().enumerate();
        read.records.extend(records.map(|(i, (_, at))| (at, shown(batch.record(i)))));
        let rejects = batch.rejects();
        read.records.extend(rejects.iter().map(|it| (it.position, shown(it.record))));
        read.checkpoints.extend(batch.checkpoint().map(|at| (read.records.len(), at)));
    }
}

const BEGIN: RecordPosition = RecordPosition { line: 1, byte: 0 };

/// The ranges between these cuts, and behind them. The same cut twice is a range of nothing.
fn between(mut cuts: Vec<u64>) -> Vec<Range> {
    cuts.sort_unstable();
    let begins = [0].into_iter().chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([1 << 40]);
    let ranges = begins.zip(ends);
    ranges.map(|(offset, end)| Range { offset, length: end - offset, line: None }).collect()
}

/// What the ranges give, one behind the other; why not, where one of them is refused.
fn read_all(how: &How, text: &[u8], ranges: &[Range]) -> Result<Read, String> {
    let (mut all, mut lines_before) = (Read::default(), 0);
    for &range in ranges {
        let read_here = read(how, text, Some(range), BEGIN);
        // Where it can be gone on with, there is the rest.
        for &(records, start) in &read_here.checkpoints {
            let rest = read(how, text, Some(range), start);
            assert_eq!(rest.records, read_here.records[records..], "{range} resumed at {start:?}");
            assert_eq!((rest.lines, &rest.error), (read_here.lines, &read_here.error));
        }
        if let Some(error) = read_here.error {
            assert_eq!(read_here.lines, None);
            return Err(error);
        }
        for &(RecordPosition { line, byte }, ref record) in &read_here.records {
            assert!((range.offset..range.end()).contains(&byte), "{range} gives {byte} {record}");
            // As it is where its first line is told.
            let line = line + lines_before;
            all.records.push((RecordPosition { line, byte }, record.clone()));
        }
        if range.offset > 0 {
            let told = Range { line: Some(lines_before + 1), ..range };
            let told = read(how, text, Some(told), BEGIN);
            let same = all.records.len() - read_here.records.len();
            assert_eq!((told.records, told.lines), (all.records[same..].to_vec(), read_here.lines));
        }
        lines_before += read_here.lines.expect("it was read to its end");
    }
    all.lines = Some(lines_before);
    Ok(all)
}

fn lines_of(text: &[u8]) -> u64 {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    text.split_inclusive(|byte| *byte == b'\n').count() as u64
}

/// The ranges give what the whole gives.
#[track_caller]
fn check(how: &How, text: &[u8], ranges: &[Range]) {
    let whole = read(how, text, None, BEGIN);
    assert_eq!(whole.error, None, "{:?}", text.escape_ascii().to_string());
    let all = read_all(how, text, ranges).unwrap_or_else(|error| panic!("{error}: {ranges:?}"));
    assert_eq!(all.records, whole.records, "{:?} {ranges:?}", text.escape_ascii().to_string());
    assert_eq!(all.lines, Some(lines_of(text)));
}

/// Cut at each byte, and at each two.
#[track_caller]
fn check_everywhere(how: &How, text: &[u8]) {
    let end = text.len() as u64 + 2;
    for first in 0..=end {
        check(how, text, &between(vec![first]));
        for second in first..=end {
            check(how, text, &between(vec![first, second]));
        }
    }
    check(how, text, &between((0..=end).collect()));
}

#[test]
fn lines_are_in_the_range_in_which_they_begin() {
    for text in
        ["", "\n", "1", "1\n2\n3", "{}\r\n\r\n \n[1]\n", "\u{feff}1\n2\n", "\u{feff}", "\n\u{feff}"]
    {
        check_everywhere(&How::of(Format::Ldjson), text.as_bytes());
    }
    check_everywhere(&How::of(Format::Ldjson), b"\xef\xbb\n1\n");
    let capped = How { line_bytes_max: 2, bytes_wanted: 3, ..How::of(Format::Ldjson) };
    check_everywhere(&capped, b"1\n12345\n12\n123456");
}

#[test]
fn a_header_is_in_no_range_and_all_ranges_know_it() {
    let how = How::of(Format::Csv);
    for text in ["a,b", "a,b\n", "a,b\n1,2\n\n3,4", "\n\r\na\n1\n", "\u{feff}a,b\r\n1,2\r\n"] {
        check_everywhere(&how, text.as_bytes());
    }
    check_everywhere(&how, b"a,\"b\nc\n\nd\"\n1,2\n3,4\n"); // cut within the header
    let fields = Some(vec!["a".to_owned()]);
    let named = csv::Options { fields, ..csv::Options::default() };
    check_everywhere(&How { csv: named.clone(), ..how.clone() }, b"\xef\xbb\xbf1\n2\n");
    let skipped = csv::Options { has_header: true, ..named };
    check_everywhere(&How { csv: skipped, ..how }, b"x\n1\n2\n");
}

#[test]
fn rows_are_lines_where_there_are_no_quotes() {
    let csv = csv::Options { quote: None, ..csv::Options::default() };
    check_everywhere(&How { csv, ..How::of(Format::Csv) }, b"a,b\n\"1\n\"2\",\"\n3,4\n");
}

/// The first of two ranges is refused where it ends here, and nowhere else.
#[track_caller]
fn check_refused(text: &str, refused: impl Fn(u64) -> bool) {
    for how in [64, 1].map(|bytes_wanted| How { bytes_wanted, ..How::of(Format::Csv) }) {
        for line_bytes_max in [1000, 7] {
            let how = How { line_bytes_max, ..how.clone() };
            for cut in 0..=text.len() as u64 {
                let ranges = between(vec![cut]);
                match read_all(&how, text.as_bytes(), &ranges) {
                    Ok(_) if !refused(cut) => check(&how, text.as_bytes(), &ranges),
                    Err(why) if refused(cut) => assert!(why.contains("line breaks in quotes")),
                    other => panic!("cut at {cut} of {text:?}: {other:?}"),
                }
            }
        }
    }
}

#[test]
fn a_cut_before_a_line_break_in_quotes_is_refused() {
    // The row stands at 4 to 15, its line breaks at 7 and 11.
    check_refused("a,b\n1,\"\n2,3\n\",4\n5,6\n", |cut| (5..=12).contains(&cut));
    check_refused("a,b\n\"1\n2\",3", |cut| (5..=7).contains(&cut));
    // Never closed: what is behind it is one row. Its last byte is the end of a row for both.
    check_refused("a,b\n1,\"\n\n", |cut| (5..=8).contains(&cut));
    check_refused("a,b\n1,2\n3,4\n", |_| false);
    check_refused("a,\"b\nc\"\n1,2\n3,4\n", |_| false);
}

#[test]
fn of_cuts_that_cover_a_file_one_is_refused_rather_than_that_a_record_is_lost() {
    let text = b"a,b\n1,\"x\n2,y\"\n\"\n\",3\n4,5\n";
    let end = text.len() as u64;
    for cuts in (0..=end).flat_map(|a| (a..=end).map(move |b| vec![a, b])) {
        if read_all(&How::of(Format::Csv), text, &between(cuts.clone())).is_ok() {
            check(&How::of(Format::Csv), text, &between(cuts));
        }
    }
}

#[test]
fn an_input_that_changes_is_told_at_the_end_of_a_range_too() {
    for (now, told) in [("1\n2\n3\n4\n", "it grew"), ("1\n2\n", "it changed")] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "1\n2\n3\n").unwrap();
        let range = Range { offset: 1, length: 2, line: None };
        let mut options = conformance::options(&json!({}));
        options.text.range = Some(Ranged { range, lines_read: Arc::default() });
        let input = crate::storage::open(file.path()).unwrap();
        let source = source::open(Format::Ldjson, "in", input, options).unwrap();
        std::fs::write(file.path(), now).unwrap();
        let mut read = Read::default();
        drain(source, 64, &mut read);
        let error = read.error.expect("nobody may take it for what it was");
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn a_range_is_read_as_it_is_written() {
    for text in ["0:0", "1:2", "0:5:1", "7:5:123", "0:18446744073709551615"] {
        assert_eq!(text.parse::<Range>().map(|it| it.to_string()).as_deref(), Ok(text));
    }
    for text in [
        "", "1", ":", "1:", ":1", "a:1", "1:2:", "1:2:3:4", "+1:2", "-1:2", " 1:2", "1:2:0",
        "0:9:2",
    ] {
        assert!(text.parse::<Range>().is_err(), "{text}");
    }
    for text in ["1:18446744073709551615", "9223372036854775808:0", "9300000000000000000:5"] {
        assert_eq!(text.parse::<Range>(), Err("no input is so long"), "{text}");
    }
}

/// A plan covers the input: from its first byte to its last, without a gap.
fn check_covers(splits: &[Range], bytes: u64) {
    let mut end = 0;
    for split in splits {
        assert_eq!(split.offset, end);
        assert!(split.length > 0);
        end += split.length;
    }
    assert_eq!(end, bytes);
}

#[test]
fn lines_are_cut_at_multiples_of_the_size() {
    for (bytes, size, count) in [(0, 1, 0), (1, 1, 1), (10, 4, 3), (8, 4, 2), (3, u64::MAX, 1)] {
        let splits: Vec<Range> = of_lines(bytes, NonZeroU64::new(size).unwrap()).collect();
        check_covers(&splits, bytes);
        assert_eq!(splits.len(), count);
    }
}

/// Where these rows are cut: `OFFSET:LENGTH:LINE`.
#[track_caller]
fn check_rows(text: &str, size: u64, expected: &[&str]) {
    let (mut input, csv) = (Memory::new(text), csv::Options::default());
    let size = NonZeroU64::new(size).unwrap();
    let splits = of_rows(&mut input, Format::Csv, &csv, size).unwrap();
    assert_eq!(splits.iter().map(Range::to_string).collect::<Vec<_>>(), expected);
}

#[test]
fn rows_are_cut_where_one_begins_and_their_lines_are_counted() {
    check_rows("", 1, &[]);
    check_rows("a\n1\n2", 2, &["0:2:1", "2:2:2", "4:1:3"]);
    check_rows("a\n1\n2\n", 3, &["0:4:1", "4:2:3"]);
    check_rows("a\n\"1\n\n\"\n2", 3, &["0:8:1", "8:1:5"]);
    check_rows("\u{feff}\"a\nb\"\n2", 4, &["0:9:1", "9:1:3"]);
    check_rows("a\n1", 100, &["0:3:1"]);
}

fn any_text(alphabet: &'static [&'static str]) -> impl Strategy<Value = String> {
    let mark = select(&["", "", "\u{feff}"][..]);
    (mark, vec(select(alphabet), 0..40)).prop_map(|(mark, parts)| mark.to_owned() + &parts.concat())
}

fn any_how(format: Format) -> impl Strategy<Value = How> {
    let bytes_max = select(&[3, 9, 1000][..]);
    (bytes_max, 1..80_usize, 0..12_u64).prop_map(move |(line_bytes_max, bytes_wanted, every)| How {
        line_bytes_max,
        bytes_wanted,
        checkpoint_bytes: NonZeroU64::new(every),
        ..How::of(format)
    })
}

const OF_JSON: &[&str] = &["{}", "x", "\n", "\n", "\r\n", " ", "\u{e4}", "\u{feff}", "12345678"];
const OF_CSV: &[&str] =
    &["1", "x,", ",", "\n", "\r\n", "\"", "\"", "\"\"", "\u{e4}", ",\"\n", "12345"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_cut_anywhere_gives_its_lines(
        text in any_text(OF_JSON), cuts in vec(0..90_u64, 0..6), how in any_how(Format::Ldjson),
    ) {
        check(&how, text.as_bytes(), &between(cuts));
    }

    #[test]
    fn any_table_cut_anywhere_gives_its_rows_or_is_refused(
        text in any_text(OF_CSV), cuts in vec(0..90_u64, 0..4), how in any_how(Format::Csv), has_header: bool,
    ) {
        let fields = (!has_header).then(|| vec!["a".to_owned()]);
        let how = How { csv: csv::Options { fields, ..csv::Options::default() }, ..how };
        let text = if has_header { format!("a,\"b\nc\"\n{text}") } else { text };
        let how = How { line_bytes_max: how.line_bytes_max.max(9), ..how };
        let ranges = between(cuts);
        if read_all(&how, text.as_bytes(), &ranges).is_ok() {
            check(&how, text.as_bytes(), &ranges);
        } else {
            prop_assert!(text.contains('"'));
        }
    }

    #[test]
    fn any_table_cut_where_its_plan_says_gives_its_rows(
        text in any_text(OF_CSV), size in 1..30_u64, how in any_how(Format::Csv),
    ) {
        let how = How { line_bytes_max: how.line_bytes_max.max(9), ..how };
        let text = format!("a,\"b\nc\"\n{text}");
        let (mut input, size) = (Memory::new(&*text), NonZeroU64::new(size).unwrap());
        let splits = of_rows(&mut input, how.format, &how.csv, size).unwrap();
        check_covers(&splits, text.len() as u64);
        let ranges: Vec<Range> = splits.iter().map(|&split| Range { line: None, ..split }).collect();
        check(&how, text.as_bytes(), &ranges);
        let mut line = 1;
        for (range, split) in ranges.iter().zip(&splits) {
            prop_assert_eq!(split.line, Some(line));
            line += read(&how, text.as_bytes(), Some(*range), BEGIN).lines.unwrap();
        }
    }
}
