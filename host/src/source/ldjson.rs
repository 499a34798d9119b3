//! Line-delimited JSON: one JSON text a line. Blank lines are skipped; CRLF and a leading
//! byte-order mark are accepted; the last line may lack its line feed.
//!
//! A line over the cap is skipped and reported while it is still arriving; it is never buffered
//! whole, because one missing line feed in a 40 GB file must not become 40 GB of memory.
//!
//! From a pipe that has nothing more for now, what has come goes on at once as a short batch.

use super::frame::{Cut, Lines};
use super::{Source, SourceError};
use crate::batch::{Batch, Block, Oversized};
use crate::pipeline::stop::Stop;
use crate::record::RecordPosition;
use crate::storage::Input;
use memchr::memchr;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

const NAME: &str = "LdjsonReader";
/// How much of a line over the cap a reject holds.
const HEAD_BYTES: usize = 4096;
/// How long to wait for more before a short batch goes on, and how long at most in all. Both well
/// below the 100 ms within which a slow pipe is to be answered.
const LINGER: Duration = Duration::from_millis(5);
const LINGER_MAX: Duration = Duration::from_millis(30);
/// How often to look whether to stop while nothing comes.
const STOP_POLL: Duration = Duration::from_millis(50);

/// How LDJSON is read.
#[derive(Clone, Debug)]
pub struct Options {
    /// A longer line is a reject [default: 16 MiB].
    pub line_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { line_bytes_max: 16 * 1024 * 1024 }
    }
}

/// Reads LDJSON from any input.
pub struct Reader {
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
}

impl Reader {
    /// `path` stands in rejects and messages.
    pub fn new(path: &str, input: Box<dyn Input>, options: Options) -> Self {
        let position = RecordPosition::default();
        let carry = Vec::new();
        Reader { options, path: path.into(), input, carry, position, at_start: true, ended: false }
    }

    fn fill(&mut self, block: &mut Block, bytes_wanted: usize, stop: &Stop) -> io::Result<()> {
        block.source = self.path.clone();
        block.start = self.position;
        block.bytes.append(&mut self.carry);
        let mut lines = Lines::default();
        let mut waits_until = None;
        loop {
            if self.at_start && (block.bytes.len() >= 3 || self.ended) {
                self.skip_byte_order_mark(block);
            }
            let max = self.options.line_bytes_max;
            if !self.at_start && lines.cut(&block.bytes, max, &mut block.spans) == Cut::TooLong {
                if block.spans.is_empty() {
                    return self.skip_line(block, &lines, stop);
                }
                break; // the long line begins the next block
            }
            if self.ended {
                lines.finish(&block.bytes, &mut block.spans);
                break;
            }
            if !block.spans.is_empty() {
                let until = *waits_until.get_or_insert_with(|| Instant::now() + LINGER_MAX);
                let timeout = LINGER.min(until.saturating_duration_since(Instant::now()));
                if block.bytes.len() >= bytes_wanted || !self.input.wait(timeout)? {
                    break;
                }
            } else if !self.wait(stop)? {
                break;
            }
            if block.bytes.capacity() < bytes_wanted {
                block.bytes.reserve_exact(bytes_wanted - block.bytes.len());
            } else if block.bytes.capacity() == block.bytes.len() {
                block.bytes.reserve(1); // doubles: this record is longer than a block
            }
            self.ended = self.input.read(&mut block.bytes)? == 0;
        }
        self.carry.extend_from_slice(&block.bytes[lines.start..]);
        block.bytes.truncate(lines.start);
        self.position.byte += lines.start as u64;
        self.position.line += lines.count;
        Ok(())
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
        if block.bytes.starts_with(b"\xef\xbb\xbf") {
            block.bytes.drain(..3);
            self.position.byte = 3;
            block.start = self.position;
        }
    }

    /// The line that begins at `lines.start` is too long: reads on to its end and keeps only its
    /// beginning.
    fn skip_line(&mut self, block: &mut Block, lines: &Lines, stop: &Stop) -> io::Result<()> {
        block.start.byte += lines.start as u64;
        block.start.line += lines.count;
        block.bytes.drain(..lines.start);
        let head = block.bytes[..block.bytes.len().min(HEAD_BYTES)].to_vec();
        let mut length = 0;
        loop {
            if let Some(end) = memchr(b'\n', &block.bytes) {
                length += end as u64;
                self.carry.extend_from_slice(&block.bytes[end + 1..]);
                self.position.line = block.start.line + 1;
                self.position.byte = block.start.byte + length + 1;
                break;
            }
            length += block.bytes.len() as u64;
            block.bytes.clear();
            if self.ended || !self.wait(stop)? {
                self.position.byte = block.start.byte + length;
                break;
            }
            self.ended = self.input.read(&mut block.bytes)? == 0;
        }
        block.bytes.clear();
        let max = self.options.line_bytes_max;
        let message = format!("the line is {length} bytes long, the most is {max}");
        block.oversized = Some(Oversized { length, head, step: NAME.into(), message });
        Ok(())
    }
}

impl Source for Reader {
    fn name(&self) -> &'static str {
        NAME
    }

    fn path(&self) -> &Arc<str> {
        &self.path
    }

    fn bytes_total(&self) -> Option<u64> {
        self.input.bytes_total()
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
                SourceError { line: self.position.line, byte: self.position.byte, source }
            })?;
            if batch.read() > 0 || self.ended || stop.is_set() {
                return Ok(());
            }
        }
    }
}
