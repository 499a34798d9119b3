//! One record's place, and the record that could not go on.
//!
//! Of places: a line counts from 1, a byte and an index from 0. Said here, and nowhere again.

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{self, Write};

/// Where a record begins in its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordPosition {
    /// Its line.
    pub line: u64,
    /// Offset of its first byte.
    pub byte: u64,
}

impl Default for RecordPosition {
    /// The beginning of a source.
    fn default() -> Self {
        RecordPosition { line: 1, byte: 0 }
    }
}

/// Where lines are counted from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lines {
    /// The beginning of the source.
    #[default]
    Source,
    /// The first line that begins in the range of it that is read: nobody knows which one that is.
    Range,
}

impl Lines {
    /// What such a number is called where it is written.
    pub fn name(self) -> &'static str {
        match self {
            Lines::Source => "line",
            Lines::Range => "range_line",
        }
    }

    /// For people: `line 3, byte 40`, or only what is right of it.
    pub fn place(self, RecordPosition { line, byte }: RecordPosition) -> String {
        match self {
            Lines::Source => format!("line {line}, byte {byte}"),
            Lines::Range => format!("byte {byte}"),
        }
    }
}

/// Why a record could not go on; the names stand in the rejects file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "`name` says it")]
pub enum RejectKind {
    LineTooLong,
    InvalidUtf8,
    InvalidJson,
    InvalidCsv,
    Schema,
    Value,
    Panic,
    Crash,
    Exit,
    Timeout,
    Memory,
    NotFinite,
    NotWritable,
    WrongOutput,
    FieldClash,
    Jq,
    NoColumn,
    Lookup,
    Refused,
    TryLater,
    NotAttempted,
    Record,
}

impl RejectKind {
    /// All of them.
    pub const ALL: [RejectKind; 22] = [
        RejectKind::LineTooLong,
        RejectKind::InvalidUtf8,
        RejectKind::InvalidJson,
        RejectKind::InvalidCsv,
        RejectKind::Schema,
        RejectKind::Value,
        RejectKind::Panic,
        RejectKind::Crash,
        RejectKind::Exit,
        RejectKind::Timeout,
        RejectKind::Memory,
        RejectKind::NotFinite,
        RejectKind::NotWritable,
        RejectKind::WrongOutput,
        RejectKind::FieldClash,
        RejectKind::Jq,
        RejectKind::NoColumn,
        RejectKind::Lookup,
        RejectKind::Refused,
        RejectKind::TryLater,
        RejectKind::NotAttempted,
        RejectKind::Record,
    ];

    /// As written in the rejects file; documented in the README.
    pub fn name(self) -> &'static str {
        match self {
            RejectKind::LineTooLong => "line_too_long",
            RejectKind::InvalidUtf8 => "invalid_utf8",
            RejectKind::InvalidJson => "invalid_json",
            RejectKind::InvalidCsv => "invalid_csv",
            RejectKind::Schema => "schema",
            RejectKind::Value => "value",
            RejectKind::Panic => "panic",
            RejectKind::Crash => "crash",
            RejectKind::Exit => "exit",
            RejectKind::Timeout => "timeout",
            RejectKind::Memory => "memory",
            RejectKind::NotFinite => "not_finite",
            RejectKind::NotWritable => "not_writable",
            RejectKind::WrongOutput => "wrong_output",
            RejectKind::FieldClash => "field_clash",
            RejectKind::Jq => "jq",
            RejectKind::NoColumn => "no_column",
            RejectKind::Lookup => "lookup",
            RejectKind::Refused => "refused",
            RejectKind::TryLater => "try_later",
            RejectKind::NotAttempted => "not_attempted",
            RejectKind::Record => "record",
        }
    }

    /// From a number of the border; an unknown one means its range.
    pub fn from_border(kind: u32) -> Self {
        use model_abi_layout::kind;
        match kind {
            kind::NOT_JSON => RejectKind::InvalidJson,
            kind::SCHEMA => RejectKind::Schema,
            kind::VALUE => RejectKind::Value,
            kind::PANIC => RejectKind::Panic,
            kind::NOT_FINITE => RejectKind::NotFinite,
            kind::NOT_WRITABLE => RejectKind::NotWritable,
            kind if kind::UNTRIED.contains(&kind) => RejectKind::NotAttempted,
            kind if kind::LATER.contains(&kind) => RejectKind::TryLater,
            _ => RejectKind::Record,
        }
    }
}

/// A record that could not go on: whole, with its place, its step and the reason. Borrowed from its
/// batch, since a record may be long.
#[derive(Clone, Copy, Debug)]
pub struct Reject<'a> {
    /// Name of the source.
    pub source: &'a str,
    /// Where it begins.
    pub position: RecordPosition,
    /// Where its line is counted from.
    pub lines: Lines,
    /// Its index among the records of its batch, rejected ones included.
    pub index: u32,
    /// Its length in the source, in bytes.
    pub length: u64,
    /// Name of the step that could not go on with it.
    pub step: &'a str,
    /// Why, for programs.
    pub kind: RejectKind,
    /// Why, for people.
    pub message: &'a str,
    /// Where in the record; empty where it is not known or is the record as a whole.
    pub path: &'a str,
    /// Its bytes. Shorter than `length` where it was too long to be held.
    pub record: &'a [u8],
}

impl Reject<'_> {
    /// Writes the reject as one line of JSON, which `source/rejects.rs` reads again. In pieces: the writer should have a buffer.
    pub fn write_line(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        out.write_all(b"\n")
    }
}

/// Place and reason, in one line for people.
impl fmt::Display for Reject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: ", self.source, self.lines.place(self.position))?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(self.message)
    }
}

impl Serialize for Reject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("source", self.source)?;
        map.serialize_entry(self.lines.name(), &self.position.line)?;
        map.serialize_entry("byte", &self.position.byte)?;
        map.serialize_entry("length", &self.length)?;
        map.serialize_entry("step", self.step)?;
        map.serialize_entry("kind", self.kind.name())?;
        map.serialize_entry("message", self.message)?;
        if !self.path.is_empty() {
            map.serialize_entry("path", self.path)?;
        }
        if (self.record.len() as u64) < self.length {
            map.serialize_entry("truncated", &true)?;
        }
        match std::str::from_utf8(self.record) {
            Ok(text) => map.serialize_entry("record", text)?,
            Err(_) => {
                map.serialize_entry("encoding", "base64")?;
                map.serialize_entry("record", &InBase64(self.record))?;
            }
        }
        map.end()
    }
}

/// Bytes that are written as base64 without a copy of all of it.
struct InBase64<'a>(&'a [u8]);

impl Serialize for InBase64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(record: &[u8], length: u64, path: &str, expected: &str) {
        let reject = Reject {
            source: "in.json",
            position: RecordPosition { line: 3, byte: 40 },
            lines: Lines::Source,
            index: 2,
            length,
            step: "m",
            kind: RejectKind::Schema,
            message: "no",
            path,
            record,
        };
        let mut line = Vec::new();
        reject.write_line(&mut line).unwrap();
        let head = r#"{"source":"in.json","line":3,"byte":40,"length":"#;
        let expected =
            format!(r#"{head}{length},"step":"m","kind":"schema","message":"no"{expected}"#);
        assert_eq!(String::from_utf8(line).unwrap(), expected + "}\n");
    }

    #[test]
    fn a_reject_is_one_line_that_holds_the_whole_record() {
        check(r#"{"a":"ü"}"#.as_bytes(), 10, "", r#","record":"{\"a\":\"ü\"}""#);
        check(b"x", 1, "a[0]", r#","path":"a[0]","record":"x""#);
        check(b"\xff\x00", 2, "", r#","encoding":"base64","record":"/wA=""#);
        check(b"xx", 99, "", r#","truncated":true,"record":"xx""#);
    }
}
