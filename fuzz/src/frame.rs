//! Bytes into records: whatever the bytes, and in whatever pieces they come, the records are those
//! that a reader finds who has all bytes before him and splits them at line feeds.
//!
//! Checkpoints lie behind the same records, too.
//!
//! Settings: the bytes wanted for a batch, the longest line, `!` where the input breaks in the end or
//! else how far checkpoints are apart, then how long the pieces are, over and over; 0 is a moment in which nothing comes.

use crate::{length, settings};
use etl_host::batch::Batch;
use etl_host::record::{RecordPosition, RejectKind};
use etl_host::source::ldjson::{Options, Reader};
use etl_host::source::{Source, SourceError};
use etl_host::stop::Stop;
use etl_host::storage::Input;
use std::io;
use std::num::NonZeroU64;
use std::time::Duration;

/// How much of a line that is too long a reject holds: as it is promised in the README.
const HEAD_BYTES: usize = 4096;

/// Reads the input as its settings say, and compares.
pub fn run(input: &[u8]) {
    let (settings, content) = settings(input);
    let breaks = settings.get(2) == Some(&b'!');
    let mut pieces: Vec<_> = (3..settings.len()).map(|index| length(settings, index)).collect();
    if pieces.iter().all(|&length| length == 0) {
        pieces.push(usize::MAX); // something must come at last
    }
    let apart = if breaks { 0 } else { length(settings, 2) };
    check(content, length(settings, 0) + 1, length(settings, 1), &pieces, breaks, apart as u64);
}

/// Reads `content`, which comes in pieces of these lengths, and compares. Checkpoints are so many bytes
/// `apart`; 0: there are none.
pub fn check(
    content: &[u8],
    bytes_wanted: usize,
    line_bytes_max: usize,
    pieces: &[usize],
    breaks: bool,
    apart: u64,
) {
    let input = Pieces {
        content: content.to_vec(),
        read: 0,
        lengths: pieces.to_vec(),
        piece: 0,
        left: 0,
        breaks,
    };
    let checkpoint_bytes = NonZeroU64::new(apart);
    let options = Options { line_bytes_max, checkpoint_bytes, ..Options::default() };
    let (records, error) = read(Reader::new("in", Box::new(input), options), bytes_wanted);
    let (expected, expected_end) = expected(content, line_bytes_max, breaks, apart);
    assert_eq!(records, expected);
    let end = error.map(|error| RecordPosition {
        line: error.line.expect("only a range has no line"),
        byte: error.byte,
    });
    assert_eq!(end, breaks.then_some(expected_end), "where the input broke");
}

#[derive(Debug, PartialEq)]
struct Record {
    position: RecordPosition,
    bytes: Vec<u8>,
    /// How long it is in the input, where that is longer than it may be.
    too_long: Option<u64>,
    /// Where the next line begins, where a run can be resumed there.
    checkpoint: Option<RecordPosition>,
}

fn read(mut reader: Reader, bytes_wanted: usize) -> (Vec<Record>, Option<SourceError>) {
    let (mut batch, mut records) = (Batch::default(), Vec::new());
    loop {
        match reader.read_batch(&mut batch, bytes_wanted, &Stop::default()) {
            Ok(()) if batch.read() == 0 => return (records, None),
            Ok(()) => {}
            Err(error) => return (records, Some(error)),
        }
        records.extend((0..batch.len()).map(|index| Record {
            position: batch.position(index),
            bytes: batch.record(index).to_vec(),
            too_long: None,
            checkpoint: None,
        }));
        records.extend(batch.rejects().iter().map(|reject| {
            assert_eq!((reject.kind, batch.read()), (RejectKind::LineTooLong, 1));
            Record {
                position: reject.position,
                bytes: reject.record.to_vec(),
                too_long: Some(reject.length),
                checkpoint: None,
            }
        }));
        if let Some(last) = records.last_mut() {
            last.checkpoint = batch.checkpoint();
        }
    }
}

/// The records, slow and obvious, and where the first begins that is not whole.
fn expected(
    content: &[u8],
    line_bytes_max: usize,
    breaks: bool,
    apart: u64,
) -> (Vec<Record>, RecordPosition) {
    let lines = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let mut position = RecordPosition { line: 1, byte: (content.len() - lines.len()) as u64 };
    let mut records = Vec::new();
    for whole in lines.split_inclusive(|&byte| byte == b'\n') {
        if breaks && !whole.ends_with(b"\n") {
            break;
        }
        let line = whole.strip_suffix(b"\n").unwrap_or(whole);
        let next =
            RecordPosition { line: position.line + 1, byte: position.byte + whole.len() as u64 };
        let is_checkpoint = apart > 0 && whole != line && next.byte / apart > position.byte / apart;
        let checkpoint = is_checkpoint.then_some(next);
        if line.len() > line_bytes_max {
            let (bytes, too_long) = (head(line), Some(line.len() as u64));
            records.push(Record { position, bytes, too_long, checkpoint });
        } else if !line.trim_ascii().is_empty() {
            let bytes = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
            records.push(Record { position, bytes, too_long: None, checkpoint });
        }
        position = next;
    }
    (records, position)
}

/// What a reject holds of a line that is too long: no half of a character.
fn head(line: &[u8]) -> Vec<u8> {
    let head = &line[..line.len().min(HEAD_BYTES)];
    let is_cut = head.len() < line.len();
    match std::str::from_utf8(head) {
        Err(error) if is_cut && error.error_len().is_none() => head[..error.valid_up_to()].to_vec(),
        _ => head.to_vec(),
    }
}

/// Bytes that come in pieces.
struct Pieces {
    content: Vec<u8>,
    read: usize,
    /// Of the pieces, over and over.
    lengths: Vec<usize>,
    /// How many pieces have come.
    piece: usize,
    /// How much there is of the last one.
    left: usize,
    breaks: bool,
}

impl Input for Pieces {
    fn read(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        let rest = &self.content[self.read..];
        let room = buf.capacity() - buf.len();
        assert!(room > 0, "a read without room, which looks like the end");
        assert!(self.left > 0 || rest.is_empty(), "a read that would wait");
        let len = rest.len().min(self.left).min(room);
        buf.extend_from_slice(&rest[..len]);
        self.read += len;
        self.left -= len;
        match len {
            0 if self.breaks => Err(io::Error::other("broken")),
            len => Ok(len),
        }
    }

    fn wait(&mut self, _: Duration) -> io::Result<bool> {
        if self.left == 0 && self.read < self.content.len() {
            self.left = self.lengths[self.piece % self.lengths.len()];
            self.piece += 1;
            return Ok(self.left > 0);
        }
        Ok(true)
    }

    fn bytes_total(&self) -> Option<u64> {
        None
    }
}
