//! The reader of all text: blocks of bytes, cut into records by a format's framing. A leading
//! byte-order mark is skipped.
//!
//! A record over the cap is skipped and reported while it is still arriving; it is never buffered
//! whole, because one missing line feed in a 40 GB file must not become 40 GB of memory.
//!
//! From a pipe that has nothing more for now, what has come goes on at once as a short batch.

mod ranged;

use super::SourceError;
use super::frame::{Checkpoints, Cut, Found, Frames, Framing};
use super::range::Ranged;
use crate::batch::{Batch, Block, Oversized};
use crate::record::{Lines, RecordPosition};
use crate::stop::Stop;
use crate::storage::Input;
use memchr::memchr_iter;
use ranged::Entered;
use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest line that may be asked for: offsets in a block have 32 bits.
pub const LINE_BYTES_MAX: usize = 1 << 30;

pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// How much of a record over the cap a reject holds.
const HEAD_BYTES: usize = 4096;
/// How much of such a record to read at once: its bytes go nowhere, and 40 GB of them take a while.
const SKIP_BYTES: usize = 64 * 1024;
/// How much to read at once of a record that is longer than a block: a share of what there is of it, so
/// that not much of what stands behind it comes with it, and no more than this.
const PIECE_BYTES_MAX: usize = 4096;
const PIECE_SHARE: usize = 4;
/// The part by which a buffer may have more room than is wanted: between checkpoints blocks differ by
/// a record's length, and making a buffer larger and smaller again costs more than it saves.
const ROOM_TO_SPARE: usize = 32;
/// How much to look through for the first record at once.
const FIRST_BYTES: usize = 4096;
/// How long to wait for more before a short batch goes on, and how long at most in all. Both well
/// below the 100 ms within which a slow pipe is to be answered.
const LINGER: Duration = Duration::from_millis(5);
const LINGER_MAX: Duration = Duration::from_millis(30);
/// How often to look whether to stop while nothing comes.
const STOP_POLL: Duration = Duration::from_millis(50);

/// How text is read.
#[derive(Clone, Debug)]
pub struct Options {
    /// A longer line, or a longer record, is a reject [default: 16 MiB; at most [`LINE_BYTES_MAX`]].
    pub line_bytes_max: usize,
    /// Batches end behind each record that holds a multiple of so many bytes, or ends there, so that a run can be resumed behind it [default: they need not].
    pub checkpoint_bytes: Option<NonZeroU64>,
    /// Where to begin: the beginning of a record [default: of the source].
    pub start: RecordPosition,
    /// Only the records that begin in this range [default: all].
    pub range: Option<Ranged>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            line_bytes_max: 16 * 1024 * 1024,
            checkpoint_bytes: None,
            start: RecordPosition::default(),
            range: None,
        }
    }
}

/// Reads records of text from any input.
pub(super) struct Framed<F> {
    name: &'static str,
    framing: F,
    options: Options,
    path: Arc<str>,
    input: Box<dyn Input>,
    /// What was read behind the last batch: the beginning of the next.
    carry: Vec<u8>,
    /// Place of the carry's first byte.
    position: RecordPosition,
    /// Whether a byte-order mark may still come.
    at_start: bool,
    /// Where the first line begins: behind a byte-order mark.
    begins: u64,
    /// The range that it reads, once it has entered one.
    entered: Option<Entered>,
    /// Where the lines are counted from.
    lines: Lines,
    /// Whether the last line of all lacks its end.
    is_open: bool,
    ended: bool,
    /// The input failed, behind records that go on first.
    failed: Option<io::Error>,
}

impl<F: Framing> Framed<F> {
    /// `name` and `path` stand in rejects and messages. `input` is there where `options` say that it
    /// begins, and so is `framing`.
    pub(super) fn new(
        name: &'static str,
        framing: F,
        path: &str,
        input: Box<dyn Input>,
        options: Options,
    ) -> Self {
        let line_bytes_max = options.line_bytes_max.min(LINE_BYTES_MAX);
        let position = options.start;
        Framed {
            name,
            framing,
            options: Options { line_bytes_max, ..options },
            path: path.into(),
            input,
            carry: Vec::new(),
            position,
            at_start: position.byte == 0,
            begins: 0,
            entered: None,
            lines: Lines::Source,
            is_open: false,
            ended: false,
            failed: None,
        }
    }

    /// The name that stands in rejects and in the lines of a run.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// As of a [`Source`](super::Source).
    pub(super) fn read_batch(
        &mut self,
        batch: &mut Batch,
        bytes_wanted: usize,
        stop: &Stop,
    ) -> Result<(), SourceError> {
        // A block of nothing but blank lines is not the end.
        loop {
            batch
                .refill(|block| self.fill(block, bytes_wanted, stop))
                .map_err(|source| self.failed_here(source))?;
            if batch.read() > 0 || self.ended || stop.is_set() {
                return Ok(());
            }
        }
    }

    /// Takes the first record out of the source: no batch will hold it. `None`: there is none.
    pub(super) fn take_first(&mut self) -> io::Result<Option<Vec<u8>>> {
        let every = self.options.checkpoint_bytes.replace(NonZeroU64::MIN);
        let mut batch = Batch::default();
        // Behind each record there is a checkpoint: so it is the only one.
        let read = self.read_batch(&mut batch, FIRST_BYTES, &Stop::default());
        self.options.checkpoint_bytes = every;
        read.map_err(|error| error.source)?;
        match batch.rejects().first() {
            Some(too_long) => Err(io::Error::other(too_long.message.to_owned())),
            None => Ok((!batch.is_empty()).then(|| batch.record(0).to_vec())),
        }
    }

    /// Goes on where a record begins.
    pub(super) fn go_to(&mut self, start: RecordPosition) -> io::Result<()> {
        self.input.seek(start)?;
        self.carry.clear();
        (self.position, self.at_start, self.ended) = (start, false, false);
        Ok(())
    }

    fn failed_here(&self, source: io::Error) -> SourceError {
        let RecordPosition { line, byte } = self.position;
        let line = (self.lines == Lines::Source).then_some(line);
        SourceError { path: self.path.to_string(), line, byte, source }
    }

    /// An error means that there was no record before it; the position says where it is.
    fn fill(&mut self, block: &mut Block, bytes_wanted: usize, stop: &Stop) -> io::Result<()> {
        block.source = self.path.clone();
        block.start = self.position;
        block.lines = self.lines;
        // Not copied: each takes the other's buffer, and neither keeps one that a long record left.
        std::mem::swap(&mut block.bytes, &mut self.carry);
        self.framing.go_back();
        let mut frames = Frames::new(self.checkpoints());
        frames.end = self.end_in_buffer();
        let bytes_wanted =
            frames.checkpoints.map_or(bytes_wanted, |it| it.bytes_wanted(bytes_wanted));
        let max = self.options.line_bytes_max;
        let mut waits_until = None;
        let mut failed = self.failed.take();
        let (mut is_checkpoint, mut is_end) = (false, false);
        while failed.is_none() {
            if self.at_start && (self.ended || !is_part_of_mark(&block.bytes)) {
                self.skip_byte_order_mark(block);
                frames.checkpoints = self.checkpoints();
            }
            if !self.at_start {
                match frames.cut(&mut self.framing, &block.bytes, max, &mut block.spans) {
                    Cut::AllSeen => {}
                    Cut::Checkpoint => {
                        is_checkpoint = true;
                        break;
                    }
                    Cut::End => {
                        failed = self.end_range().err();
                        (is_end, self.ended) = (true, true);
                        break;
                    }
                    Cut::TooLong if block.spans.is_empty() => {
                        return self.skip_record(block, &frames, stop);
                    }
                    Cut::TooLong => break, // the long record begins the next block
                    Cut::Broken(why) => {
                        failed = Some(io::Error::other(why));
                        break;
                    }
                }
            }
            if self.ended {
                is_end = true;
                self.is_open |= block.bytes.last().is_some_and(|last| *last != b'\n');
                let broken = frames.finish(&self.framing, &block.bytes, &mut block.spans);
                failed = broken.map(|why| io::Error::new(io::ErrorKind::UnexpectedEof, why));
                break;
            }
            match self.read_on(block, &frames, bytes_wanted, &mut waits_until, stop) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => failed = Some(error),
            }
        }
        self.carry.extend_from_slice(&block.bytes[frames.start..]);
        block.bytes.truncate(frames.start);
        block.is_one_a_line = !frames.any_other;
        let rows = &block.bytes[..frames.start.saturating_sub(1)];
        let last = block.spans.last().map_or(0, |span| span.start.into());
        let begins = (self.position.byte, self.position.byte + last);
        if let Err(error) = self.check_cut(begins, rows) {
            (failed, is_checkpoint) = (Some(error), false);
        }
        self.position.byte += frames.start as u64;
        self.position.line += frames.line_feeds;
        block.checkpoint = is_checkpoint.then_some(self.position);
        if is_end && failed.is_none() {
            self.tell_lines();
        }
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
        frames: &Frames,
        bytes_wanted: usize,
        waits_until: &mut Option<Instant>,
        stop: &Stop,
    ) -> io::Result<bool> {
        let len = block.bytes.len();
        if block.spans.is_empty() {
            // A block of blank lines is not kept: there may be gigabytes of them.
            if frames.start >= bytes_wanted || !self.wait(stop)? {
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
            // A record that is longer than a block; the carry is empty.
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
            self.begins = self.position.byte;
        }
    }

    /// The record that begins at `frames.start` is too long: reads on to its end and keeps only its
    /// beginning. Told to stop before that, it leaves the block without a record.
    fn skip_record(&mut self, block: &mut Block, frames: &Frames, stop: &Stop) -> io::Result<()> {
        self.position.byte += frames.start as u64;
        self.position.line += frames.line_feeds;
        block.start = self.position;
        let checkpoints = self.checkpoints();
        self.framing.go_back();
        block.bytes.drain(..frames.start);
        let (mut head, mut length, mut line_feeds) = (Vec::new(), 0, 0);
        loop {
            let end = match self.framing.find(&block.bytes) {
                Found::Record(stretch) => Some(stretch),
                _ => None,
            };
            let record = &block.bytes[..end.map_or(block.bytes.len(), |end| end.len - 1)];
            self.check_cut((self.position.byte + length, self.position.byte), record)?;
            head.extend_from_slice(&record[..record.len().min(HEAD_BYTES - head.len())]);
            length += record.len() as u64;
            if let Some(end) = end {
                block.bytes.drain(..end.len);
                self.framing.pass();
                self.is_open = false;
                self.position.line += end.line_feeds;
                self.position.byte += length + 1;
                let is_checkpoint = checkpoints.is_some_and(|mut it| it.pass(length + 1))
                    && self.framing.can_resume();
                block.checkpoint = is_checkpoint.then_some(self.position);
                break;
            }
            line_feeds += memchr_iter(b'\n', &block.bytes).count() as u64;
            if let Some(last) = block.bytes.last() {
                self.is_open = *last != b'\n';
            }
            block.bytes.clear();
            block.bytes.shrink_to(SKIP_BYTES);
            if self.ended {
                self.position.byte += length;
                self.position.line += line_feeds;
                break;
            }
            if !self.wait(stop)? {
                return Ok(());
            }
            self.ended = self.input.read(&mut block.bytes)? == 0;
        }
        std::mem::swap(&mut block.bytes, &mut self.carry);
        let (record, max) = (F::RECORD, self.options.line_bytes_max);
        let message = format!("the {record} is {length} bytes long, the most is {max}");
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

#[cfg(test)]
mod tests;
