//! A rejects file: records that could not go on, one a line, as `record.rs` writes them. They are
//! records again here, and their place stays the one where they stood first.
//!
//! What they are made of is for their format's decoder to say: rows of CSV are rows of CSV here too.
//!
//! Lines are read as LDJSON is. A line's record is put where the line was (it is never longer, since
//! JSON and base64 only add to it): so a block, its beginning and its length are those of the rejects
//! file, and only `Block::places` knows of others.
//!
//! Its options are those of LDJSON, but that the cap is of a record: one that is longer is rejected
//! again, whole. Its line may be longer.
//!
//! What can't be run again is rejected again and never lost: a record that the file holds only in part,
//! with its first place, and a line that is no reject, with its place in this file.

pub use super::ldjson::Options;
use super::ldjson::{self, LINE_BYTES_MAX};
use super::{Decoding, Source, SourceError};
use crate::batch::{Batch, Block, Place, Rejection};
use crate::columns::Column;
use crate::format::Format;
use crate::record::{Lines, RecordPosition, RejectKind};
use crate::step::Step;
use crate::stop::Stop;
use crate::storage::Input;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memchr_iter;
use serde::Deserialize;
use std::borrow::Cow;
use std::io;
use std::sync::Arc;

/// A byte takes up to six where JSON escapes it, and the message may repeat all of the record.
const LINE_BYTES_FOR_A_BYTE: usize = 12;
/// What else is in a line: names, the source, the path.
const LINE_BYTES_MORE: usize = 64 * 1024;

/// Reads a rejects file from any input.
pub struct Reader {
    record_bytes_max: usize,
    path: Arc<str>,
    lines: ldjson::Reader,
    decoding: Decoding,
    /// Where the record before came from: nearly always where the next does.
    source: Arc<str>,
}

/// A line of a rejects file. What it says of why is not read: it is to be found again.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    source: Cow<'a, str>,
    line: Option<u64>,
    /// In its place, where nobody knew it.
    range_line: Option<u64>,
    byte: u64,
    length: u64,
    encoding: Option<Encoding>,
    #[serde(default)]
    truncated: bool,
    #[serde(borrow)]
    record: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    Base64,
}

/// Why a line or its record can't go on.
type Why = (RejectKind, String);

impl Reader {
    /// Of records of this format. `path` stands in messages, and in rejects of lines that are no line of
    /// a rejects file. `input` is at its beginning.
    pub fn open(
        format: Format,
        path: &str,
        mut input: Box<dyn Input>,
        options: &super::Options,
    ) -> io::Result<Self> {
        let start = options.text.start;
        if start != RecordPosition::default() {
            input.seek(start)?;
        }
        Ok(Self::new(super::decoding(format, options)?, path, input, options.text.clone()))
    }

    fn new(decoding: Decoding, path: &str, input: Box<dyn Input>, options: Options) -> Self {
        let record_bytes_max = options.line_bytes_max;
        let line_bytes_max = record_bytes_max.saturating_mul(LINE_BYTES_FOR_A_BYTE);
        let line_bytes_max = line_bytes_max.saturating_add(LINE_BYTES_MORE).min(LINE_BYTES_MAX);
        let options = Options { line_bytes_max, ..options };
        Reader {
            record_bytes_max,
            path: path.into(),
            lines: ldjson::Reader::named(decoding.name, path, input, options),
            decoding,
            source: path.into(),
        }
    }

    /// Puts the record of each line in the line's place.
    fn unpack(&mut self, block: &mut Block) -> Vec<Rejection> {
        let mut rejections = Vec::new();
        let (mut line, mut counted) = (block.start.line, 0);
        for (record, span) in block.spans.iter_mut().enumerate() {
            let (start, end) = (span.start as usize, (span.start + span.len) as usize);
            line += memchr_iter(b'\n', &block.bytes[counted..start]).count() as u64;
            counted = end; // a record, unlike its line, may hold line feeds
            let text = &mut block.bytes[start..end];
            let (place, why) = match self.record(text) {
                Ok((bytes, place)) => {
                    let (head, rest) = text.split_at_mut(bytes.len());
                    head.copy_from_slice(&bytes);
                    rest.fill(b' ');
                    span.len = bytes.len() as u32;
                    let why = self.cannot_go_on(bytes.len(), place.length);
                    (place, why)
                }
                Err(why) => {
                    let byte = block.start.byte + start as u64;
                    let position = RecordPosition { line, byte };
                    let (source, length) = (self.path.clone(), span.len.into());
                    (Place { source, position, lines: Lines::Source, length }, why)
                }
            };
            block.places.push(place);
            if let Some((kind, message)) = why {
                let (path, step) = (String::new(), self.lines.name().into());
                rejections.push(Rejection { record, kind, path, message, step });
            }
        }
        rejections
    }

    /// The record of a line, and where it stood. No reason where it is for the pipeline to reject: what
    /// is not UTF-8.
    fn record(&mut self, line: &[u8]) -> Result<(Vec<u8>, Place), Option<Why>> {
        let no_reject = |kind: RejectKind, error: &dyn std::fmt::Display| {
            Some((kind, format!("not a line of a rejects file: {error}")))
        };
        let line = std::str::from_utf8(line).map_err(|_| None)?;
        let line: Line<'_> = serde_json::from_str(line).map_err(|error| {
            let kind = if error.is_data() { RejectKind::Schema } else { RejectKind::InvalidJson };
            no_reject(kind, &error)
        })?;
        let (lines, number) = match (line.line, line.range_line) {
            (Some(number), _) => (Lines::Source, number),
            (None, Some(number)) => (Lines::Range, number),
            (None, None) => return Err(no_reject(RejectKind::Schema, &"missing field `line`")),
        };
        let record = match line.encoding {
            None => line.record.into_owned().into_bytes(),
            Some(Encoding::Base64) => STANDARD
                .decode(&*line.record)
                .map_err(|error| no_reject(RejectKind::Schema, &format!("its record: {error}")))?,
        };
        if *self.source != *line.source {
            self.source = line.source.into();
        }
        let whole = record.len() as u64;
        let place = Place {
            source: self.source.clone(),
            position: RecordPosition { line: number, byte: line.byte },
            lines,
            // A record that somebody has mended in the file may have another than it had.
            length: if line.truncated { line.length.max(whole) } else { whole },
        };
        Ok((record, place))
    }

    fn cannot_go_on(&self, held: usize, length: u64) -> Option<Why> {
        let max = self.record_bytes_max;
        let message = if (held as u64) < length {
            format!("can't be run again: the rejects file holds only its first {held} bytes")
        } else if held > max {
            format!("the record is {held} bytes long, the most is {max}")
        } else {
            return None;
        };
        Some((RejectKind::LineTooLong, message))
    }
}

impl Source for Reader {
    /// That of the format's reader, so that a record which is not UTF-8 is rejected again by the same
    /// step.
    fn name(&self) -> &'static str {
        self.lines.name()
    }

    fn decoder(&self) -> Option<Box<dyn Step>> {
        self.decoding.decoder.as_ref().map(|decoder| decoder.another())
    }

    fn columns(&self) -> Option<Vec<Column>> {
        self.decoding.columns.clone()
    }

    fn read_batch(
        &mut self,
        batch: &mut Batch,
        bytes_wanted: usize,
        stop: &Stop,
    ) -> Result<(), SourceError> {
        self.lines.read_batch(batch, bytes_wanted, stop)?;
        batch.refine(|block| self.unpack(block));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Reject;
    use crate::storage::Memory;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::fmt::Write as _;
    use std::num::NonZeroU64;

    fn show(source: &str, RecordPosition { line, byte }: RecordPosition, record: &[u8]) -> String {
        format!("{source}:{line}:{byte} {}", record.escape_ascii())
    }

    /// What becomes of the lines of a rejects file: `SOURCE:LINE:BYTE RECORD`, for what can't go on
    /// with its length, its kind and why.
    fn read(file: &[u8], record_bytes_max: usize, bytes_wanted: usize) -> String {
        let options = Options { line_bytes_max: record_bytes_max, ..Options::default() };
        let mut reader =
            Reader::new(Decoding::default(), "rejects", Box::new(Memory::new(file)), options);
        let step = reader.name();
        let (mut batch, mut told) = (Batch::default(), String::new());
        loop {
            reader.read_batch(&mut batch, bytes_wanted, &Stop::default()).unwrap();
            if batch.read() == 0 {
                break;
            }
            batch.reject_invalid_utf8(step);
            assert_eq!(batch.read(), batch.len() + batch.rejected());
            let mut records = batch.places().enumerate().map(|(index, (source, position))| {
                assert_eq!(batch.position(index), position);
                assert_eq!(batch.source(index), source);
                show(source, position, batch.record(index)) + "\n"
            });
            let rejects = batch.rejects();
            let mut rejects = rejects.iter().peekable();
            for index in 0..batch.read() as u32 {
                told += &match rejects.next_if(|reject| reject.index == index) {
                    None => records.next().unwrap(),
                    Some(Reject { source, position, length, kind, message, record, .. }) => {
                        let shown = show(source, *position, record);
                        format!("{shown} ({length}, {}, {message})\n", kind.name())
                    }
                };
            }
        }
        told
    }

    #[track_caller]
    fn check_capped(record_bytes_max: usize, file: impl AsRef<[u8]>, expected: &str) {
        for bytes_wanted in [1, 300, 1 << 20] {
            let read = read(file.as_ref(), record_bytes_max, bytes_wanted);
            assert_eq!(read, expected, "{bytes_wanted} bytes wanted");
        }
    }

    #[track_caller]
    fn check(file: impl AsRef<[u8]>, expected: &str) {
        check_capped(1000, file, expected);
    }

    /// A line of a rejects file, as it is written.
    fn line(source: &str, line: u64, byte: u64, length: usize, record: &[u8]) -> String {
        let mut text = Vec::new();
        let reject = Reject {
            source,
            position: RecordPosition { line, byte },
            lines: Lines::Source,
            index: 0,
            length: length as u64,
            step: "model",
            kind: RejectKind::Value,
            message: "no \"reason\"",
            path: "a[0]",
            record,
        };
        reject.write_line(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn records_are_as_they_were_and_stand_where_they_stood() {
        let records =
            ["{}", " {\"a\": \"\\u00e4 \u{e4}\\\"\"}\t", "{\"a\":\r\n\n1}", "\0\u{1f600}", ""];
        let mut file = "\u{feff}\n".to_owned();
        let mut expected = String::new();
        for (n, record) in (1..).zip(records) {
            let source = ["in.json", "other \"\u{e4}\""][n as usize / 3];
            file += &line(source, n, 1 << (10 * n), record.len(), record.as_bytes());
            file += [" \r\n", ""][n as usize % 2];
            let _ = writeln!(
                expected,
                "{source}:{n}:{} {}",
                1_u64 << (10 * n),
                record.as_bytes().escape_ascii()
            );
        }
        check(&file, &expected);
        check(file.trim_end(), &expected);
        check("\n \n", "");
    }

    #[test]
    fn behind_a_checkpoint_it_goes_on_in_the_rejects_file() {
        let records = [&b"{}"[..], b"\n\n\n", b"\xff", b"[1]"];
        let lines = records.map(|record| line("in", 1, 1, record.len(), record) + "\n");
        let (file, mut rest) = (lines.concat(), &lines[1..]);
        let every = Options { checkpoint_bytes: NonZeroU64::new(1), ..Options::default() };
        let mut reader =
            Reader::new(Decoding::default(), "rejects", Box::new(Memory::new(&*file)), every);
        let mut batch = Batch::default();
        while !rest.is_empty() {
            reader.read_batch(&mut batch, 1 << 20, &Stop::default()).unwrap();
            let start = batch.checkpoint().unwrap();
            let behind = &file[start.byte as usize..];
            assert_eq!(behind.trim_start(), rest.concat());
            let before = file.len() - behind.len();
            assert_eq!(start.line as usize, 1 + file[..before].matches('\n').count());
            let options = Options { start, ..Options::default() };
            let input = Memory::new([behind, "x"].concat());
            let mut resumed = Reader::new(Decoding::default(), "rejects", Box::new(input), options);
            resumed.read_batch(&mut batch, 1 << 20, &Stop::default()).unwrap();
            assert_eq!(batch.read(), rest.len() + 1);
            let rejects = batch.rejects();
            let no_reject = rejects.last().unwrap();
            let end = RecordPosition { line: 9, byte: file.len() as u64 };
            assert_eq!((no_reject.source, no_reject.position), ("rejects", end));
            rest = &rest[1..];
        }
    }

    #[test]
    fn a_record_that_is_not_utf8_is_rejected_again_as_it_was() {
        let file = [line("in", 3, 40, 2, b"{}"), line("in", 4, 43, 3, b"{\xff}")].concat();
        check(
            file,
            "in:3:40 {}\nin:4:43 {\\xff} (3, invalid_utf8, not UTF-8 at byte 1 of the record)\n",
        );
    }

    #[test]
    fn a_record_that_is_there_in_part_is_rejected_again_with_the_length_it_had() {
        for head in [&b"{\"a\""[..], b"{\"\xff\""] {
            let file = [line("in", 3, 40, 5000, head), line("in", 4, 5041, 2, b"{}")].concat();
            let head = head.escape_ascii();
            let why = "can't be run again: the rejects file holds only its first 4 bytes";
            check(file, &format!("in:3:40 {head} (5000, line_too_long, {why})\nin:4:5041 {{}}\n"));
        }
    }

    #[test]
    fn a_record_that_was_mended_in_the_file_is_as_long_as_it_is() {
        let file = line("in", 3, 40, 5, b"{\"a\"}").replace(r#"{\"a\"}"#, "\u{fffd}");
        check(file, "in:3:40 \\xef\\xbf\\xbd\n");
        let file = line("in", 3, 40, 5, b"{\"a\"}").replace(r#"{\"a\"}"#, "{}");
        check(file, "in:3:40 {}\n");
    }

    #[test]
    fn a_record_over_the_cap_is_rejected_whole_and_one_whose_line_is_longer_is_not() {
        let file = [line("in", 1, 0, 5, b"\0\0\0\0\0"), line("in", 2, 6, 6, b"123456")].concat();
        let why = "the record is 6 bytes long, the most is 5";
        check_capped(
            5,
            file,
            &format!(
                "in:1:0 {}\nin:2:6 123456 (6, line_too_long, {why})\n",
                r"\x00\x00\x00\x00\x00"
            ),
        );
    }

    #[test]
    fn a_line_far_over_the_cap_is_rejected_with_its_beginning() {
        let max = 10 * LINE_BYTES_FOR_A_BYTE + LINE_BYTES_MORE;
        let long = "x".repeat(max + 1);
        let told = read(format!("\n{long}\n").as_bytes(), 10, 1 << 20);
        let why = format!("({}, line_too_long, the line is {} bytes long", max + 1, max + 1);
        assert!(told.starts_with("rejects:2:1 xxxx") && told.contains(&why), "{told}");
    }

    /// This line among others is no reject, for this reason.
    #[track_caller]
    fn check_no_reject(no_reject: &str, kind: &str, why: &str) {
        let sound = line("in", 7, 70, 6, b"{\n\n\n\n}");
        let told = read(format!("{sound}\n{no_reject}\n{sound}").as_bytes(), 1000, 1 << 20);
        let record = "in:7:70 {\\n\\n\\n\\n}\n";
        let middle = told.strip_prefix(record).and_then(|told| told.strip_suffix(record));
        let begins = format!(
            "rejects:3:{} {} ({}, {kind}, not a line of a rejects file: {why}",
            sound.len() + 1,
            no_reject.as_bytes().escape_ascii(),
            no_reject.len()
        );
        assert!(middle.is_some_and(|middle| middle.starts_with(&begins)), "{told}\n{begins}");
    }

    #[test]
    fn a_line_that_is_no_reject_is_rejected_with_its_place_in_the_file() {
        check_no_reject("{\"sepal_length\": 4.4}", "schema", "missing field `source` at line 1");
        check_no_reject("x", "invalid_json", "expected value");
        check_no_reject("[1, 2]", "schema", "invalid type: integer `1`, expected a string");
        check_no_reject("null", "schema", "invalid type: null");
        let sound = line("in", 7, 70, 2, b"{}");
        let sound = sound.trim_end();
        check_no_reject(&sound[..sound.len() - 1], "invalid_json", "EOF while parsing");
        check_no_reject(&format!("{sound}{sound}"), "invalid_json", "trailing characters");
        check_no_reject(&sound.replace("7,", "\"7\","), "schema", "invalid type: string \"7\"");
        check_no_reject(&sound.replace("70,", "-70,"), "schema", "invalid value");
        check_no_reject(&sound.replace("\"{}\"", "{}"), "schema", "invalid type: map");
        check_no_reject(
            &sound.replace(r#","record":"{}""#, ""),
            "schema",
            "missing field `record`",
        );
        check_no_reject(
            &sound.replace("}\"", "}\",\"line\":7"),
            "schema",
            "duplicate field `line`",
        );
        let encoded =
            |name: &str| sound.replace("\"record\"", &format!("\"encoding\":{name},\"record\""));
        check_no_reject(&encoded("\"hex\""), "schema", "unknown variant `hex`, expected `base64`");
        check_no_reject(&encoded("\"base64\""), "schema", "its record: Invalid");
    }

    #[test]
    fn a_line_that_is_not_utf8_is_rejected_for_that() {
        let why = "(2, invalid_utf8, not UTF-8 at byte 1 of the record)";
        check(b"{}\n{\xff\n".strip_prefix(b"{}").unwrap(), &format!("rejects:2:1 {{\\xff {why}\n"));
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_as_it_was(
            records in vec((vec(any::<u8>(), 0..20), "[a\u{e4}\n]{0,2}"), 0..20),
            bytes_wanted in 1..2000_usize,
        ) {
            let (mut file, mut expected) = (String::new(), String::new());
            for (n, (bytes, text)) in (1..).zip(&records) {
                for record in [bytes, text.as_bytes()] {
                    let position = RecordPosition { line: n, byte: n };
                    file += &line(text, n, n, record.len(), record);
                    expected += &show(text, position, record);
                    if let Err(error) = std::str::from_utf8(record) {
                        let why = format!("not UTF-8 at byte {} of the record", error.valid_up_to());
                        let _ = write!(expected, " ({}, invalid_utf8, {why})", record.len());
                    }
                    expected += "\n";
                }
            }
            prop_assert_eq!(read(file.as_bytes(), 1000, bytes_wanted), expected);
        }
    }

    #[test]
    fn fields_that_are_not_known_and_other_orders_are_accepted() {
        let file = r#"{"record":"{}","new":[{}],"byte":1,"line":2,"length":2,"source":"in"}"#;
        check(file, "in:2:1 {}\n");
    }
}
