//! Line-delimited JSON: one JSON text a line. Blank lines are skipped; CRLF and a leading
//! byte-order mark are accepted; the last line may lack its line feed.
//!
//! A line over the cap is skipped and reported while it is still arriving; it is never buffered
//! whole, because one missing line feed in a 40 GB file must not become 40 GB of memory.
//!
//! From a pipe that has nothing more for now, what has come goes on at once as a short batch.

use super::frame::{Checkpoints, Cut, Lines};
use super::{Source, SourceError};
use crate::batch::{Batch, Block, Oversized};
use crate::record::RecordPosition;
use crate::stop::Stop;
use crate::storage::Input;
use memchr::memchr;
use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest line that may be asked for: offsets in a block have 32 bits.
pub const LINE_BYTES_MAX: usize = 1 << 30;

const NAME: &str = "LdjsonReader";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// How much of a line over the cap a reject holds.
const HEAD_BYTES: usize = 4096;
/// How much of such a line to read at once: its bytes go nowhere, and 40 GB of them take a while.
const SKIP_BYTES: usize = 64 * 1024;
/// How much to read at once of a line that is longer than a block: a share of what there is of it, so
/// that not much of what stands behind it comes with it, and no more than this.
const PIECE_BYTES_MAX: usize = 4096;
const PIECE_SHARE: usize = 4;
/// The part of a block by which to read beyond a multiple of the checkpoints' interval, so that the
/// record that holds it comes with it: else it would be a batch of its own.
const CROSSING: usize = 128;
/// The part by which a buffer may have more room than is wanted: between checkpoints blocks differ by
/// a record's length, and making a buffer larger and smaller again costs more than it saves.
const ROOM_TO_SPARE: usize = 32;
/// How long to wait for more before a short batch goes on, and how long at most in all. Both well
/// below the 100 ms within which a slow pipe is to be answered.
const LINGER: Duration = Duration::from_millis(5);
const LINGER_MAX: Duration = Duration::from_millis(30);
/// How often to look whether to stop while nothing comes.
const STOP_POLL: Duration = Duration::from_millis(50);

/// How LDJSON is read.
#[derive(Clone, Debug)]
pub struct Options {
    /// A longer line is a reject [default: 16 MiB; at most [`LINE_BYTES_MAX`]].
    pub line_bytes_max: usize,
    /// Batches end behind each record whose line holds a multiple of so many bytes, or ends there,
    /// so that a run can be resumed behind it [default: they need not].
    pub checkpoint_bytes: Option<NonZeroU64>,
    /// Where to begin: the beginning of a line [default: of the source].
    pub start: RecordPosition,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            line_bytes_max: 16 * 1024 * 1024,
            checkpoint_bytes: None,
            start: RecordPosition::default(),
        }
    }
}

/// Reads LDJSON from any input.
pub struct Reader {
    /// As it stands in rejects and in the lines of a run.
    name: &'static str,
    options: Options,
    path: Arc<str>,
    input: Box<dyn Input>,
    /// What was read behind the last batch: the beginning of the next.
    carry: Vec<u8>,
    /// Place of the carry's first byte.
    position: RecordPosition,
    /// Whether a byte-order mark may still come.
    at_start: bool,
    ended: bool,
    /// The input failed, behind records that go on first.
    failed: Option<io::Error>,
}

impl Reader {
    /// `path` stands in rejects and messages. `input` is there where `options` say that it begins.
    pub fn new(path: &str, input: Box<dyn Input>, options: Options) -> Self {
        let line_bytes_max = options.line_bytes_max.min(LINE_BYTES_MAX);
        let position = options.start;
        Reader {
            name: NAME,
            options: Options { line_bytes_max, ..options },
            path: path.into(),
            input,
            carry: Vec::new(),
            position,
            at_start: position.byte == 0,
            ended: false,
            failed: None,
        }
    }

    /// Under another name: its records are made from something else.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        Reader { name, ..self }
    }

    /// An error means that there was no record before it; the position says where it is.
    fn fill(&mut self, block: &mut Block, bytes_wanted: usize, stop: &Stop) -> io::Result<()> {
        block.source = self.path.clone();
        block.start = self.position;
        // Not copied: each takes the other's buffer, and neither keeps one that a long line left.
        std::mem::swap(&mut block.bytes, &mut self.carry);
        let mut lines = Lines::new(self.checkpoints());
        let bytes_wanted = match lines.checkpoints.map(|it| it.distance() as usize) {
            Some(distance) if distance <= bytes_wanted + bytes_wanted / CROSSING => {
                distance + bytes_wanted / CROSSING
            }
            _ => bytes_wanted,
        };
        let mut waits_until = None;
        let mut failed = self.failed.take();
        let mut is_checkpoint = false;
        while failed.is_none() {
            if self.at_start && (self.ended || !is_part_of_mark(&block.bytes)) {
                self.skip_byte_order_mark(block);
                lines.checkpoints = self.checkpoints();
            }
            if !self.at_start {
                match lines.cut(&block.bytes, self.options.line_bytes_max, &mut block.spans) {
                    Cut::AllSeen => {}
                    Cut::Checkpoint => {
                        is_checkpoint = true;
                        break;
                    }
                    Cut::TooLong if block.spans.is_empty() => {
                        return self.skip_line(block, &lines, stop);
                    }
                    Cut::TooLong => break, // the long line begins the next block
                }
            }
            if self.ended {
                lines.finish(&block.bytes, &mut block.spans);
                break;
            }
            match self.read_on(block, &lines, bytes_wanted, &mut waits_until, stop) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => failed = Some(error),
            }
        }
        self.carry.extend_from_slice(&block.bytes[lines.start..]);
        block.bytes.truncate(lines.start);
        block.is_one_a_line = !lines.any_blank;
        self.position.byte += lines.start as u64;
        self.position.line += lines.count;
        block.checkpoint = is_checkpoint.then_some(self.position);
        match failed {
            Some(error) if block.spans.is_empty() => Err(error),
            failed => {
                self.failed = failed; // the records before it go on first
                Ok(())
            }
        }
    }

    /// Where to stop in a buffer that begins at the position.
    fn checkpoints(&self) -> Option<Checkpoints> {
        let interval = self.options.checkpoint_bytes?;
        Some(Checkpoints::new(interval.get(), self.position.byte))
    }

    /// Reads on behind what is there. False: the block goes on as it is.
    fn read_on(
        &mut self,
        block: &mut Block,
        lines: &Lines,
        bytes_wanted: usize,
        waits_until: &mut Option<Instant>,
        stop: &Stop,
    ) -> io::Result<bool> {
        let len = block.bytes.len();
        if block.spans.is_empty() {
            // A block of blank lines is not kept: there may be gigabytes of them.
            if lines.start >= bytes_wanted || !self.wait(stop)? {
                return Ok(false);
            }
        } else {
            let until = *waits_until.get_or_insert_with(|| Instant::now() + LINGER_MAX);
            let timeout = LINGER.min(until.saturating_duration_since(Instant::now()));
            if len >= bytes_wanted || !self.input.wait(timeout)? {
                return Ok(false);
            }
        }
        if len < bytes_wanted {
            make_room(&mut block.bytes, bytes_wanted - len);
            self.ended = self.input.read(&mut block.bytes)? == 0;
        } else {
            // A line that is longer than a block; the carry is empty.
            make_room(&mut self.carry, bytes_wanted.max((len / PIECE_SHARE).min(PIECE_BYTES_MAX)));
            self.ended = self.input.read(&mut self.carry)? == 0;
            block.bytes.append(&mut self.carry);
        }
        Ok(true)
    }

    /// Waits as long as it takes. False: told to stop.
    fn wait(&mut self, stop: &Stop) -> io::Result<bool> {
        while !stop.is_set() {
            if self.input.wait(STOP_POLL)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn skip_byte_order_mark(&mut self, block: &mut Block) {
        self.at_start = false;
        if block.bytes.starts_with(BYTE_ORDER_MARK) {
            block.bytes.drain(..BYTE_ORDER_MARK.len());
            self.position.byte += BYTE_ORDER_MARK.len() as u64;
            block.start = self.position;
        }
    }

    /// The line that begins at `lines.start` is too long: reads on to its end and keeps only its
    /// beginning. Told to stop before that, it leaves the block without a record.
    fn skip_line(&mut self, block: &mut Block, lines: &Lines, stop: &Stop) -> io::Result<()> {
        self.position.byte += lines.start as u64;
        self.position.line += lines.count;
        block.start = self.position;
        let checkpoints = self.checkpoints();
        block.bytes.drain(..lines.start);
        let (mut head, mut length) = (Vec::new(), 0);
        loop {
            let line_feed = memchr(b'\n', &block.bytes);
            let line = &block.bytes[..line_feed.unwrap_or(block.bytes.len())];
            head.extend_from_slice(&line[..line.len().min(HEAD_BYTES - head.len())]);
            length += line.len() as u64;
            if let Some(line_feed) = line_feed {
                block.bytes.drain(..=line_feed);
                self.position.line += 1;
                self.position.byte += length + 1;
                let is_checkpoint = checkpoints.is_some_and(|mut it| it.pass(length + 1));
                block.checkpoint = is_checkpoint.then_some(self.position);
                break;
            }
            block.bytes.clear();
            block.bytes.shrink_to(SKIP_BYTES);
            if self.ended {
                self.position.byte += length;
                break;
            }
            if !self.wait(stop)? {
                return Ok(());
            }
            self.ended = self.input.read(&mut block.bytes)? == 0;
        }
        std::mem::swap(&mut block.bytes, &mut self.carry);
        let max = self.options.line_bytes_max;
        let message = format!("the line is {length} bytes long, the most is {max}");
        if (head.len() as u64) < length {
            head.truncate(whole_characters(&head));
        }
        block.oversized = Some(Oversized { length, head, step: self.name.into(), message });
        Ok(())
    }
}

/// A read fills a buffer to its end: this much room, and not much more that is left of a larger block.
fn make_room(buf: &mut Vec<u8>, bytes: usize) {
    if buf.capacity() - buf.len() > bytes + bytes / ROOM_TO_SPARE {
        buf.shrink_to(buf.len() + bytes);
    }
    buf.reserve_exact(bytes);
}

/// Whether the rest of a byte-order mark may still come.
fn is_part_of_mark(start: &[u8]) -> bool {
    start.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(start)
}

/// The length without a character that was cut in two.
fn whole_characters(text: &[u8]) -> usize {
    match std::str::from_utf8(text) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => text.len(),
    }
}

impl Source for Reader {
    fn name(&self) -> &'static str {
        self.name
    }

    fn read_batch(
        &mut self,
        batch: &mut Batch,
        bytes_wanted: usize,
        stop: &Stop,
    ) -> Result<(), SourceError> {
        // A block of nothing but blank lines is not the end.
        loop {
            batch.refill(|block| self.fill(block, bytes_wanted, stop)).map_err(|source| {
                SourceError {
                    path: self.path.to_string(),
                    line: self.position.line,
                    byte: self.position.byte,
                    source,
                }
            })?;
            if batch.read() > 0 || self.ended || stop.is_set() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests;
