//! Line-delimited JSON: one JSON text a line. Blank lines are skipped; CRLF and a leading
//! byte-order mark are accepted; the last line may lack its line feed.

pub use super::framed::{LINE_BYTES_MAX, Options};

use super::frame::{Found, Framing, Stretch};
use super::framed::Framed;
use super::{Source, SourceError};
use crate::batch::Batch;
use crate::record::RecordPosition;
use crate::stop::Stop;
use crate::storage::Input;
use memchr::memchr;
use std::io;

pub(super) const NAME: &str = "LdjsonReader";

/// Reads LDJSON from any input.
pub struct Reader(Framed<Lines>);

impl Reader {
    /// `path` stands in rejects and messages. `input` is there where `options` say that it begins.
    pub fn new(path: &str, input: Box<dyn Input>, options: Options) -> Self {
        Self::named(NAME, path, input, options)
    }

    /// Goes on where `options` say that it begins. `input` is at its beginning.
    pub fn open(path: &str, mut input: Box<dyn Input>, options: Options) -> io::Result<Self> {
        let (range, start) = (options.range.clone(), options.start);
        if range.is_none() && start != RecordPosition::default() {
            input.seek(start)?;
        }
        let mut reader = Self::new(path, input, options);
        if let Some(range) = range {
            reader.0.enter(range, start)?;
        }
        Ok(reader)
    }

    /// The same, for lines that hold the records of another reader: in rejects they bear its name.
    pub(super) fn named(
        name: &'static str,
        path: &str,
        input: Box<dyn Input>,
        options: Options,
    ) -> Self {
        Reader(Framed::new(name, Lines, path, input, options))
    }
}

impl Source for Reader {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn read_batch(
        &mut self,
        batch: &mut Batch,
        bytes_wanted: usize,
        stop: &Stop,
    ) -> Result<(), SourceError> {
        self.0.read_batch(batch, bytes_wanted, stop)
    }
}

/// A record is a line: bytes up to `\n`. Knows nothing of JSON.
pub(super) struct Lines;

impl Framing for Lines {
    const RECORD: &'static str = "line";

    #[inline]
    fn find(&mut self, bytes: &[u8]) -> Found {
        match memchr(b'\n', bytes) {
            Some(at) => Found::Record(Stretch { len: at + 1, line_feeds: 1 }),
            None => Found::Nothing,
        }
    }

    #[inline]
    fn record(line: &[u8]) -> Option<usize> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // Nearly every line begins with a brace: one look settles it.
        line.iter().any(|byte| !byte.is_ascii_whitespace()).then_some(line.len())
    }
}
