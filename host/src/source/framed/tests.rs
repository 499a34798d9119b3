//! Every way in which bytes can arrive, against a slow and obvious reader.

use super::*;
use crate::format::Format;
use crate::source::{self, Source, csv, json_array, ldjson::Reader};
use crate::storage::Memory;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::VecDeque;
use std::fmt::Write as _;

/// What an input does, one after the other; then it ends.
#[derive(Clone, Debug)]
enum Event {
    Bytes(Vec<u8>),
    NothingForNow,
    Broken,
    /// Somebody tells the reader to stop.
    Stop(Stop),
}
use Event::{Broken, NothingForNow};

fn bytes(bytes: &[u8]) -> Event {
    Event::Bytes(bytes.to_vec())
}

struct Events(VecDeque<Event>);

impl Input for Events {
    fn read(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        match self.0.pop_front() {
            None => Ok(0),
            Some(Event::Bytes(mut bytes)) => {
                let rest = bytes.split_off(bytes.len().min(buf.capacity() - buf.len()));
                buf.extend_from_slice(&bytes);
                if !rest.is_empty() {
                    self.0.push_front(Event::Bytes(rest));
                }
                Ok(bytes.len())
            }
            Some(Broken) => Err(io::Error::other("broken")),
            Some(event) => panic!("read while there is {event:?}"),
        }
    }

    fn wait(&mut self, _: Duration) -> io::Result<bool> {
        if let Some(Event::Stop(stop)) = self.0.front() {
            stop.set();
            self.0.pop_front();
            return Ok(false);
        }
        let nothing = matches!(self.0.front(), Some(NothingForNow));
        if nothing {
            self.0.pop_front();
        }
        Ok(!nothing)
    }

    fn bytes_total(&self) -> Option<u64> {
        None
    }
}

fn show(text: &mut String, position: RecordPosition, record: &[u8], note: &str) {
    let RecordPosition { line, byte } = position;
    let _ = writeln!(text, "{line}:{byte} {}{note}", record.escape_ascii());
}

/// Makes a source of a format.
type Open = fn(Box<dyn Input>, Options) -> Box<dyn Source>;

fn lines(mut input: Box<dyn Input>, options: Options) -> Box<dyn Source> {
    if options.start.byte > 0 {
        input.seek(options.start).unwrap();
    }
    Box::new(Reader::new("in", input, options))
}

/// Without a header.
fn rows(input: Box<dyn Input>, text: Options) -> Box<dyn Source> {
    let fields = Some(vec!["a".to_owned()]);
    let options = source::Options {
        text,
        csv: csv::Options { fields, ..csv::Options::default() },
        input_schema: Arc::default(),
        fields: None,
    };
    Box::new(csv::Reader::open(Format::Csv, "in", input, options).unwrap())
}

fn elements(input: Box<dyn Input>, options: Options) -> Box<dyn Source> {
    Box::new(json_array::Reader::open("in", input, options).unwrap())
}

/// The batches of an input: a line for each record, `line:byte record`, and `--` behind each
/// batch; then how it ended.
fn batches(events: &[Event], line_bytes_max: usize, bytes_wanted: usize, stop: &Stop) -> String {
    batches_of(lines, events, line_bytes_max, bytes_wanted, stop)
}

fn batches_of(
    open: Open,
    events: &[Event],
    line_bytes_max: usize,
    bytes_wanted: usize,
    stop: &Stop,
) -> String {
    let input = Box::new(Events(events.iter().cloned().collect()));
    let options = Options { line_bytes_max, ..Options::default() };
    read_batches(open(input, options), bytes_wanted, stop)
}

fn read_batches(mut reader: Box<dyn Source>, bytes_wanted: usize, stop: &Stop) -> String {
    let (mut batch, mut text) = (Batch::default(), String::new());
    loop {
        match reader.read_batch(&mut batch, bytes_wanted, stop) {
            Ok(()) if batch.read() == 0 => return text,
            Ok(()) => {}
            Err(error) => {
                let _ = writeln!(text, "{error}: {}", error.source);
                return text;
            }
        }
        for index in 0..batch.len() {
            show(&mut text, batch.position(index), batch.record(index), "");
        }
        for reject in batch.rejects() {
            assert_eq!(reject.kind.name(), "line_too_long");
            let note = format!(" too long: {} bytes", reject.length);
            show(&mut text, reject.position, reject.record, &note);
        }
        text += "--\n";
    }
}

fn records(events: &[Event], line_bytes_max: usize, bytes_wanted: usize) -> String {
    batches(events, line_bytes_max, bytes_wanted, &Stop::default()).replace("--\n", "")
}

/// The same, slow and obvious.
fn expected(input: &[u8], line_bytes_max: usize) -> String {
    let lines = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    let mut position = RecordPosition { line: 1, byte: (input.len() - lines.len()) as u64 };
    let mut text = String::new();
    for whole in lines.split_inclusive(|byte| *byte == b'\n') {
        let line = whole.strip_suffix(b"\n").unwrap_or(whole);
        let record = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > line_bytes_max {
            let note = format!(" too long: {} bytes", line.len());
            show(&mut text, position, &line[..line.len().min(HEAD_BYTES)], &note);
        } else if !record.trim_ascii().is_empty() {
            show(&mut text, position, record, "");
        }
        position.line += 1;
        position.byte += whole.len() as u64;
    }
    text
}

/// However the input arrives, these are its records.
#[track_caller]
fn check_capped(line_bytes_max: usize, input: &[u8], records_expected: &str) {
    assert_eq!(expected(input, line_bytes_max), records_expected, "by the model");
    check_of(lines, line_bytes_max, input, records_expected);
}

/// However the input arrives, these are its records in this format, and this is how it ends.
#[track_caller]
fn check_of(open: Open, line_bytes_max: usize, input: &[u8], records_expected: &str) {
    let records = |events: &[Event], line_bytes_max, wanted| {
        batches_of(open, events, line_bytes_max, wanted, &Stop::default()).replace("--\n", "")
    };
    let whole = [bytes(input)];
    let one_by_one: Vec<_> = input.iter().map(|byte| bytes(&[*byte])).collect();
    let slow: Vec<_> = one_by_one.iter().flat_map(|b| [NothingForNow, b.clone()]).collect();
    for (how, events) in [("whole", &whole[..]), ("one by one", &one_by_one), ("slow", &slow)] {
        for wanted in [1, 10, 1 << 20] {
            let records = records(events, line_bytes_max, wanted);
            assert_eq!(records, records_expected, "{how}, {wanted} bytes wanted");
        }
    }
    for at in 0..=input.len() {
        let split = [bytes(&input[..at]), NothingForNow, bytes(&input[at..])];
        let split: Vec<_> =
            split.into_iter().filter(|e| !matches!(e, Event::Bytes(b) if b.is_empty())).collect();
        assert_eq!(records(&split, line_bytes_max, 100), records_expected, "split at {at}");
    }
    for interval in [1, 5, 16] {
        check_resumed(open, line_bytes_max, input, records_expected, interval);
    }
}

/// Behind each checkpoint there are the records that are left, and no others.
#[track_caller]
fn check_resumed(open: Open, max: usize, input: &[u8], expected: &str, interval: u64) {
    let checkpoint_bytes = NonZeroU64::new(interval);
    let options = Options { line_bytes_max: max, checkpoint_bytes, ..Options::default() };
    let mut reader = open(Box::new(Memory::new(input)), options.clone());
    let (mut batch, mut rest) = (Batch::default(), expected);
    while reader.read_batch(&mut batch, 100, &Stop::default()).is_ok() && batch.read() > 0 {
        for _ in 0..batch.read() {
            rest = rest.split_once('\n').expect("a line for each record").1;
        }
        if let Some(start) = batch.checkpoint() {
            let reader = open(Box::new(Memory::new(input)), Options { start, ..options.clone() });
            let read = read_batches(reader, 100, &Stop::default()).replace("--\n", "");
            assert_eq!(read, rest, "resumed at {start:?}, every {interval} bytes");
        }
    }
}

#[track_caller]
fn check(input: &[u8], records_expected: &str) {
    check_capped(1000, input, records_expected);
}

#[test]
fn a_record_is_a_line_that_is_not_blank() {
    check(b"{}\n{1}\n", "1:0 {}\n2:3 {1}\n");
    check(b"\n{}\n\n \t \n{1}\n\n", "2:1 {}\n5:9 {1}\n");
    check(b" {} \n", "1:0  {} \n");
    check(b"", "");
    check(b"\n", "");
    check(b"\n\n \n\t\n", "");
}

#[test]
fn the_last_line_may_lack_its_line_feed() {
    check(b"{}\n{1}", "1:0 {}\n2:3 {1}\n");
    check(b"1", "1:0 1\n");
    check(b"{}\n ", "1:0 {}\n");
    check(b"{}\r", "1:0 {}\n");
}

#[test]
fn lines_may_end_in_carriage_return_and_line_feed() {
    check(b"{}\r\n{1}\r\n", "1:0 {}\n2:4 {1}\n");
    check(b"{}\r\n\r\n{1}\n{2}\r\n", "1:0 {}\n3:6 {1}\n4:10 {2}\n");
    check(b"\r\n\r\n", "");
    check(b"{}\r\r\n", "1:0 {}\\r\n");
}

#[test]
fn a_carriage_return_alone_ends_nothing() {
    check(b"{}\r{1}\n", "1:0 {}\\r{1}\n");
    check(b"\r{}\n\r\n", "1:0 \\r{}\n");
}

#[test]
fn a_byte_order_mark_is_skipped_at_the_beginning_and_nowhere_else() {
    check(b"\xef\xbb\xbf{}\n{1}", "1:3 {}\n2:6 {1}\n");
    check(b"\xef\xbb\xbf", "");
    check(b"\xef\xbb\xbf\n\xef\xbb\xbf\n", "2:4 \\xef\\xbb\\xbf\n");
    check(b"\xef\xbb\xbf\xef\xbb\xbf", "1:3 \\xef\\xbb\\xbf\n");
    check(b"\xef\xbb", "1:0 \\xef\\xbb\n");
    check(b"\xef\xbb\n{}", "1:0 \\xef\\xbb\n2:3 {}\n");
    check(b"\n\xef\xbb\xbf", "2:1 \\xef\\xbb\\xbf\n");
}

#[test]
fn whatever_a_line_holds_is_its_record() {
    check(b"\0\n\0\0\r\n", "1:0 \\x00\n2:2 \\x00\\x00\n");
    check(b"\xff\xfe\n{}\n", "1:0 \\xff\\xfe\n2:3 {}\n");
}

#[test]
fn a_line_may_be_as_long_as_the_cap_and_no_longer() {
    check_capped(4, b"1234\n1234", "1:0 1234\n2:5 1234\n");
    check_capped(4, b"12345\n1\n", "1:0 12345 too long: 5 bytes\n2:6 1\n");
    check_capped(4, b"1\n12345\n2\n", "1:0 1\n2:2 12345 too long: 5 bytes\n3:8 2\n");
    check_capped(4, b"1\n12345", "1:0 1\n2:2 12345 too long: 5 bytes\n");
    check_capped(4, b"12345", "1:0 12345 too long: 5 bytes\n");
    // The carriage return counts.
    check_capped(4, b"123\r\n1234\r\n", "1:0 123\n2:5 1234\\r too long: 5 bytes\n");
    // So do blanks: how many of them are to be read for nothing?
    check_capped(4, b"\n     \n1\n", "2:1       too long: 5 bytes\n3:7 1\n");
    check_capped(4, b"\xef\xbb\xbf12345\n1", "1:3 12345 too long: 5 bytes\n2:9 1\n");
    check_capped(0, b"\n1\n\n", "2:1 1 too long: 1 bytes\n");
}

#[test]
fn several_lines_in_a_row_may_be_too_long() {
    check_capped(
        2,
        b"1234567890\n123\n\n1\nabc\r\n\n123456",
        "1:0 1234567890 too long: 10 bytes\n2:11 123 too long: 3 bytes\n4:16 1\n\
             5:18 abc\\r too long: 4 bytes\n7:24 123456 too long: 6 bytes\n",
    );
}

#[test]
fn of_a_line_that_is_much_too_long_the_beginning_is_kept() {
    let (long, head) = ("x".repeat(9_000), "x".repeat(HEAD_BYTES));
    for max in [1, 5_000] {
        let expected = format!("1:0 {head} too long: 9000 bytes\n2:9001 1\n");
        check_capped(max, format!("{long}\n1\n").as_bytes(), &expected);
    }
}

#[test]
fn the_beginning_of_a_line_that_is_too_long_is_text_where_the_line_is() {
    let input = format!("x{}", "é".repeat(HEAD_BYTES));
    let mut reader = Reader::new(
        "in",
        Box::new(Events([bytes(input.as_bytes())].into())),
        Options { line_bytes_max: 9, ..Options::default() },
    );
    let mut batch = Batch::default();
    reader.read_batch(&mut batch, 100, &Stop::default()).unwrap();
    let head = batch.rejects()[0].record.to_vec();
    assert_eq!(String::from_utf8(head).unwrap(), format!("x{}", "é".repeat(HEAD_BYTES / 2 - 1)));
}

/// How many bytes a batch holds at most, of an input of ten records.
fn bytes_held(record: &str, line_bytes_max: usize, bytes_wanted: usize) -> usize {
    let input = crate::storage::Memory::new((record.to_owned() + "\n").repeat(10));
    let mut reader =
        Reader::new("in", Box::new(input), Options { line_bytes_max, ..Options::default() });
    let mut batches = [(); 3].map(|()| Batch::default());
    let read = (0..10).map(|line| {
        let batch = &mut batches[line % 3];
        reader.read_batch(batch, bytes_wanted, &Stop::default()).unwrap();
        assert_eq!(batch.read(), 1);
        batch.bytes_held()
    });
    read.max().unwrap()
}

#[test]
fn a_long_line_takes_as_much_memory_as_it_is_long_and_what_is_no_record_takes_none() {
    let (block, max) = (64 * 1024, 1_000_000);
    assert!(bytes_held(&"x".repeat(block), max, block) <= 2 * block);
    assert!(bytes_held(&"x".repeat(max), max, block) <= 2 * max);
    assert!(bytes_held(&"x".repeat(max + 1), max, block) <= block);
    assert!(bytes_held(&"x".repeat(4 * max), max, block) <= block);
    let blank_lines = "\n".repeat(max);
    assert!(bytes_held(&format!("{blank_lines}{}", "x".repeat(block)), max, block) <= 3 * block);
}

/// How many bytes each block holds, of those that were wanted.
fn blocks<const N: usize>(input: String, line_bytes_max: usize, wanted: [usize; N]) -> [usize; N] {
    let input = Box::new(crate::storage::Memory::new(input));
    let mut reader = Reader::new("in", input, Options { line_bytes_max, ..Options::default() });
    let mut batch = Batch::default();
    wanted.map(|bytes_wanted| {
        reader.read_batch(&mut batch, bytes_wanted, &Stop::default()).unwrap();
        batch.bytes_read()
    })
}

#[test]
fn a_block_is_about_as_large_as_is_wanted_whatever_came_before() {
    let (short, long) = ("1\n".repeat(50_000), "x".repeat(500_000) + "\n");
    let input = format!("{short}{long}{short}");
    let wanted = [80_000, 10_000, 100, 9_900, 1, 1, 20_000];
    let blocks_read = blocks(input.clone(), 500_000, wanted);
    assert_eq!(blocks_read[..4], wanted[..4]);
    let with_long = 500_001..500_001 + PIECE_BYTES_MAX;
    assert!(with_long.contains(&blocks_read[4]), "{blocks_read:?}");
    assert!(blocks_read[5] <= PIECE_BYTES_MAX, "{blocks_read:?}");
    assert_eq!(blocks_read[6], wanted[6]);
    // Skipped, it leaves no more than a piece of what stands behind it.
    let blocks_read = blocks(input, 400_000, [100_000, 1, 1]);
    assert_eq!(blocks_read[..2], [100_000, 0]);
    assert!(blocks_read[2] <= SKIP_BYTES, "{blocks_read:?}");
}

#[test]
fn a_small_block_holds_a_record_or_a_few_short_ones() {
    for (line_bytes, records) in [(9, 3), (32, 1), (85, 1), (600, 1)] {
        let line = "x".repeat(line_bytes - 1) + "\n";
        let blocks_read = blocks(line.repeat(20), 1000, [32; 5]);
        assert!(
            blocks_read.iter().all(|bytes| (1..=records + 1).contains(&(bytes / line_bytes))),
            "{line_bytes}: {blocks_read:?}"
        );
    }
}

#[track_caller]
fn check_batches(events: &[Event], expected: &str) {
    assert_eq!(batches(events, 5, 100, &Stop::default()), expected);
}

#[test]
fn from_a_pipe_that_has_nothing_more_a_short_batch_goes_on() {
    check_batches(
        &[bytes(b"1\n"), NothingForNow, bytes(b"2"), NothingForNow, bytes(b"\n3\n4")],
        "1:0 1\n--\n2:2 2\n3:4 3\n4:6 4\n--\n",
    );
    check_batches(
        &[bytes(b"1\n"), NothingForNow, NothingForNow, bytes(b"2\n")],
        "1:0 1\n--\n2:2 2\n--\n",
    );
    // There is no record yet, or only half of one.
    check_batches(
        &[bytes(b"\n"), NothingForNow, bytes(b"123"), NothingForNow, bytes(b"4\n5")],
        "2:1 1234\n3:6 5\n--\n",
    );
    check_batches(
        &[bytes(b"1\n123456"), NothingForNow, bytes(b"\n2\n"), NothingForNow, bytes(b"3")],
        "1:0 1\n--\n2:2 123456 too long: 6 bytes\n--\n3:9 2\n--\n4:11 3\n--\n",
    );
}

#[test]
fn what_came_before_a_failure_is_whole_and_the_failure_has_its_place() {
    let at = |place| format!("in: can't read on at {place}: broken\n");
    check_batches(&[Broken], &at("line 1, byte 0"));
    check_batches(&[bytes(b"1\n"), Broken], &format!("1:0 1\n--\n{}", at("line 2, byte 2")));
    check_batches(
        &[bytes(b"1\n2\n3"), Broken],
        &format!("1:0 1\n2:2 2\n--\n{}", at("line 3, byte 4")),
    );
    check_batches(&[bytes(b"\n \n12"), Broken], &at("line 3, byte 3"));
    check_batches(&[bytes(b"\xef\xbb\xbf"), Broken], &at("line 1, byte 3"));
    check_batches(&[bytes(b"\n\n123456"), Broken], &at("line 3, byte 2"));
    check_batches(
        &[bytes(b"1\n123456"), bytes(b"789"), Broken],
        &format!("1:0 1\n--\n{}", at("line 2, byte 2")),
    );
    check_batches(
        &[bytes(b"123456\n1\n"), Broken],
        &format!("1:0 123456 too long: 6 bytes\n--\n2:7 1\n--\n{}", at("line 3, byte 9")),
    );
}

#[test]
fn told_to_stop_it_returns_with_what_is_whole() {
    for (before, expected) in
        [("", ""), ("12", ""), ("\n\n", ""), ("1\n2", "1:0 1\n--\n"), ("1234567", "")]
    {
        let stop = Stop::default();
        let mut events = vec![Event::Stop(stop.clone()), bytes(b"never\nread")];
        if !before.is_empty() {
            events.insert(0, bytes(before.as_bytes()));
        }
        assert_eq!(batches(&events, 5, 100, &stop), expected, "after {before:?}");
    }
}

#[track_caller]
fn check_rows(input: &str, expected: &str) {
    check_of(rows, 1000, input.as_bytes(), expected);
}

#[test]
fn a_row_ends_at_a_line_feed_that_stands_in_no_quotes() {
    check_rows("a,b\nc\r\n\n\r\nd", "1:0 a,b\n2:4 c\n5:10 d\n");
    check_rows("\u{feff}\"a\nb\",c\nd", "1:3 \\\"a\\nb\\\",c\n3:11 d\n");
    check_rows("a,\"\r\n\r\n\"\r\nb\n", "1:0 a,\\\"\\r\\n\\r\\n\\\"\n4:10 b\n");
    check_rows(" \n\"\"\n", "1:0  \n2:2 \\\"\\\"\n");
    check_rows("", "");
    check_rows("\n\n\r\n", "");
}

#[test]
fn a_quote_opens_only_where_a_field_begins() {
    check_rows("a\"\nb,c\"\n d,\"\n\"\n", "1:0 a\\\"\n2:3 b,c\\\"\n3:8  d,\\\"\\n\\\"\n");
    check_rows("\"a\"b\"\nc\n", "1:0 \\\"a\\\"b\\\"\n2:6 c\n");
    check_rows("\"a\"\"\n\"\nc\n", "1:0 \\\"a\\\"\\\"\\n\\\"\n3:7 c\n");
    check_rows("\"\"\"\n\"\nc", "1:0 \\\"\\\"\\\"\\n\\\"\n3:6 c\n");
    check_rows("\"\",\"\n\"\nc", "1:0 \\\"\\\",\\\"\\n\\\"\n3:7 c\n");
    check_rows("\"a\" \"\nb", "1:0 \\\"a\\\" \\\"\n2:6 b\n");
}

#[test]
fn a_quote_that_is_never_closed_takes_what_is_left() {
    check_rows("a\n\"b\nc\n", "1:0 a\n2:2 \\\"b\\nc\\n\n");
}

#[test]
fn a_row_may_be_as_long_as_the_cap_whatever_stands_in_its_quotes() {
    let check = |input: &str, expected: &str| check_of(rows, 6, input.as_bytes(), expected);
    check("\"1\n34\"\n1\n", "1:0 \\\"1\\n34\\\"\n3:7 1\n");
    check("0\n\"1\n345\"\n1\n", "1:0 0\n2:2 \\\"1\\n345\\\" too long: 7 bytes\n4:10 1\n");
    check("1\n\"\n\n\n\n\n\n\n", "1:0 1\n2:2 \\\"\\n\\n\\n\\n\\n\\n\\n too long: 8 bytes\n");
}

#[track_caller]
fn check_elements(input: &str, expected: &str) {
    check_of(elements, 1000, input.as_bytes(), expected);
}

#[test]
fn elements_are_found_in_any_layout() {
    check_elements("[]", "");
    check_elements("\u{feff} [ \n ] \n", "");
    check_elements("[1,2]", "1:1 1\n1:3 2\n");
    check_elements("[{},[],\"\"]\n", "1:1 {}\n1:4 []\n1:7 \\\"\\\"\n");
    check_elements("\n[\n  1 ,\r\n  2\n]\n\n", "3:5 1\n4:12 2\n");
    check_elements("[{\n\"a\": [1,\n2]}\n,\n3]", "1:1 {\\n\\\"a\\\": [1,\\n2]}\n5:18 3\n");
    check_elements(r#"["]\",", "\\"]"#, "1:1 \\\"]\\\\\\\",\\\"\n1:9 \\\"\\\\\\\\\\\"\n");
}

#[test]
fn an_element_that_is_no_json_is_an_element_all_the_same() {
    check_elements("[1 2,x,{]},4]", "1:1 1 2\n1:5 x\n1:7 {]}\n1:11 4\n");
    check_elements("[1,,2,]", "1:1 1\n1:3 \n1:4 2\n1:6 \n");
    check_elements("[1,{}}]", "1:1 1\n1:3 {}}\n");
}

#[test]
fn an_array_that_is_broken_ends_where_it_is_behind_all_that_came_before() {
    let at = |place: &str, why: &str| format!("in: can't read on at {place}: {why}\n");
    let begins = "expected `[`, with which an array begins";
    check_elements("", &at("line 1, byte 0", &format!("{begins}, and the text ends")));
    check_elements(" \n", &at("line 2, byte 2", &format!("{begins}, and the text ends")));
    check_elements("\n {}", &at("line 2, byte 2", &format!("{begins}, and found '{{'")));
    let behind = "expected nothing behind the `]` that ends the array, and found 'x'";
    check_elements("[1]\nx", &format!("1:1 1\n{}", at("line 2, byte 4", behind)));
    let element = "expected an element or `]`, and the text ends";
    check_elements("[", &at("line 1, byte 1", element));
    check_elements("[1,\n", &format!("1:1 1\n{}", at("line 2, byte 4", element)));
    let comma = "expected `,` or `]`, and the text ends";
    check_elements("[{}\n", &format!("1:1 {{}}\n{}", at("line 2, byte 4", comma)));
    let half = "the element that begins here does not end, and the text ends";
    check_elements("[{},\n\n{\"a\n", &format!("1:1 {{}}\n{}", at("line 3, byte 6", half)));
    check_elements("[1,23", &format!("1:1 1\n{}", at("line 1, byte 3", half)));
}

#[test]
fn blanks_between_elements_do_not_count_and_what_is_longer_is_skipped() {
    let check = |input: &str, expected: &str| check_of(elements, 4, input.as_bytes(), expected);
    check("[          1,          22]", "1:11 1\n1:23 22\n");
    check("[1,\"23\n5\",6]", "1:1 1\n1:3 \\\"23\\n5\\\" too long: 6 bytes\n2:10 6\n");
    check("[[1,2,3]]", "1:1 [1,2,3] too long: 7 bytes\n");
    let end =
        "in: can't read on at line 1, byte 8: expected an element or `]`, and the text ends\n";
    check("[[1,2,3]", &format!("1:1 [1,2,3] too long: 7 bytes\n{end}"));
    let end = end.replace("line 1, byte 8", "line 3, byte 10");
    check("[[1,\n\n2,3]", &format!("1:1 [1,\\n\\n2,3] too long: 9 bytes\n{end}"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_never_depend_on_how_they_arrive(
        pieces in vec(("(\n|\r\n|\r| |\0|1|abc|\u{feff}|\u{e4}){0,6}", any::<bool>()), 0..12),
        mark in any::<bool>(),
        line_bytes_max in 0..12_usize,
        bytes_wanted in 1..40_usize,
    ) {
        let mut events = vec![];
        let mut input = vec![];
        for (piece, slow) in pieces {
            let piece = if mark && input.is_empty() { format!("\u{feff}{piece}") } else { piece };
            for piece in piece.as_bytes().chunks(5) {
                if slow {
                    events.push(NothingForNow);
                }
                events.push(bytes(piece));
                input.extend_from_slice(piece);
            }
        }
        prop_assert_eq!(records(&events, line_bytes_max, bytes_wanted), expected(&input, line_bytes_max));
    }

    #[test]
    fn nor_do_those_of_other_formats(
        pieces in vec((select(vec!["a", ",", "\"", "\\", "[", "]", "{}", "\n", "\r\n", " ", "\u{e4}"]), any::<bool>()), 0..24),
        is_array in any::<bool>(),
        line_bytes_max in 0..12_usize,
        bytes_wanted in 1..40_usize,
    ) {
        let (open, before): (Open, &str) = if is_array { (elements, "[") } else { (rows, "") };
        let (mut events, mut input) = (vec![bytes(b" \n")], " \n".to_owned() + before);
        events.extend(before.bytes().map(|byte| bytes(&[byte])));
        for (piece, slow) in pieces {
            if slow {
                events.push(NothingForNow);
            }
            events.extend(piece.bytes().map(|byte| bytes(&[byte])));
            input += piece;
        }
        let read = |events: &[Event], bytes_wanted| {
            let told = batches_of(open, events, line_bytes_max, bytes_wanted, &Stop::default());
            told.replace("--\n", "")
        };
        let whole = read(&[bytes(input.as_bytes())], 1 << 20);
        prop_assert_eq!(&read(&events, bytes_wanted), &whole, "{:?}", input);
        check_resumed(open, line_bytes_max, input.as_bytes(), &whole, 1);
        check_resumed(open, line_bytes_max, input.as_bytes(), &whole, 7);
    }
}
