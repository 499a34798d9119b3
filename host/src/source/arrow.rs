//! Arrow IPC: streams, and files (Feather, version 2), which are a stream between a mark and a
//! footer. The stream is what is read of both, so that either may come through a pipe.
//!
//! A record batch of a stream is held as a whole, since its columns stand one behind the other: who
//! writes them says how much memory that takes.

use super::rows::{self, Tables, damaged, guarded, wanted};
use super::{Options, Source};
use crate::record::RecordPosition;
use crate::stop::Stop;
use crate::storage::Input;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::record_batch::RecordBatch;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

/// What a file begins and ends with.
const MAGIC: &[u8] = b"ARROW1";
/// The unit in which what follows the first is filled up with zeros: to eight bytes, or more.
const PAD_BYTES: usize = 8;
/// How much to read at once, and how often to look whether to stop while nothing comes.
const PIECE_BYTES: usize = 256 * 1024;
const STOP_POLL: Duration = Duration::from_millis(50);

/// Opens a file or, where `is_file` is false, a stream, of which it waits for the schema. `path`
/// stands in rejects and messages.
pub fn open(
    path: &str,
    input: Box<dyn Input>,
    is_file: bool,
    options: Options,
) -> io::Result<Box<dyn Source>> {
    let tables = guarded(|| Rows::open(input, is_file, &options))?;
    let name = if is_file { "ArrowReader" } else { "ArrowStreamReader" };
    Ok(Box::new(rows::Reader::new(name, path, Box::new(tables), options.text)))
}

struct Rows {
    reader: StreamReader<Bytes>,
    is_file: bool,
    /// The columns that are read.
    indices: Vec<usize>,
    schema: SchemaRef,
    /// How many rows are still to be passed over: an interrupted run has done them.
    skip: u64,
}

impl Rows {
    fn open(mut input: Box<dyn Input>, is_file: bool, options: &Options) -> io::Result<Self> {
        let start = options.text.start;
        if start != RecordPosition::default() {
            input.seek(RecordPosition::default())?; // rows are found by counting them
        }
        let mut bytes = Bytes { input, piece: Vec::new(), at: 0, stop: None };
        let begins_as_file = bytes.peek(MAGIC.len())? == MAGIC;
        let wrong = match (is_file, begins_as_file) {
            _ if bytes.peek(1)?.is_empty() => "it is empty, and has not even a schema",
            (true, false) => "it is no Arrow file: it does not begin with ARROW1",
            (false, true) => "it is an Arrow file and no stream: read it with --input-format arrow",
            _ => "",
        };
        if !wrong.is_empty() {
            return Err(io::Error::other(wrong));
        }
        if is_file {
            let mut pad = [0; PAD_BYTES];
            bytes.read_exact(&mut pad)?;
            while bytes.peek(PAD_BYTES)?.iter().all(|&byte| byte == 0) {
                bytes.read_exact(&mut pad)?;
            }
        }
        let reader = StreamReader::try_new(bytes, None).map_err(why)?;
        let indices = wanted(&reader.schema(), options.fields.as_deref())?;
        let schema = Arc::new(reader.schema().project(&indices).map_err(io::Error::other)?);
        Ok(Rows { reader, is_file, indices, schema, skip: start.line - 1 })
    }

    /// What stands behind the last batch.
    fn check_end(&mut self) -> io::Result<()> {
        let bytes = self.reader.get_mut();
        let (mut end, mut behind) = (Vec::new(), 0);
        loop {
            let piece = bytes.next_piece()?;
            if piece.is_empty() {
                break;
            }
            behind += piece.len();
            end.extend_from_slice(&piece[piece.len().saturating_sub(MAGIC.len())..]);
            end.drain(..end.len().saturating_sub(MAGIC.len()));
        }
        match self.is_file {
            true if end != MAGIC => {
                Err(io::Error::other("it does not end with ARROW1: its end is missing, or damaged"))
            }
            false if behind > 0 => {
                let message = format!("{behind} bytes stand behind the end of the stream");
                Err(io::Error::other(message))
            }
            _ => Ok(()),
        }
    }
}

impl Tables for Rows {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn next(&mut self, stop: &Stop) -> io::Result<Option<RecordBatch>> {
        self.reader.get_mut().stop = Some(stop.clone());
        loop {
            let next = match self.reader.next() {
                Some(table) => table.map(Some).map_err(why),
                None => self.check_end().map(|()| None),
            };
            if stop.is_set() {
                return Ok(None); // which is why there is nothing more
            }
            let Some(table) = next? else { return Ok(None) };
            let rows = table.num_rows();
            let skipped = self.skip.min(rows as u64) as usize;
            self.skip -= skipped as u64;
            if skipped < rows {
                let table = table.slice(skipped, rows - skipped);
                return table.project(&self.indices).map(Some).map_err(damaged);
            }
        }
    }
}

/// An input that can't be read is not one that is damaged.
fn why(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, source) if source.kind() != io::ErrorKind::UnexpectedEof => source,
        error => damaged(error),
    }
}

/// The bytes of an input, for who knows nothing of waiting.
struct Bytes {
    input: Box<dyn Input>,
    piece: Vec<u8>,
    /// How much of the piece was taken.
    at: usize,
    stop: Option<Stop>,
}

impl Bytes {
    /// Appends what comes next to the piece. False: nothing does.
    fn read_on(&mut self) -> io::Result<bool> {
        while let Some(stop) = &self.stop {
            if stop.is_set() {
                return Err(io::Error::other("told to stop"));
            }
            if self.input.wait(STOP_POLL)? {
                break;
            }
        }
        self.piece.reserve_exact(PIECE_BYTES);
        Ok(self.input.read(&mut self.piece)? > 0)
    }

    /// What comes next; empty at the end.
    fn next_piece(&mut self) -> io::Result<&[u8]> {
        if self.at == self.piece.len() {
            self.piece.clear();
            self.at = 0;
            self.read_on()?;
        }
        let start = std::mem::replace(&mut self.at, self.piece.len());
        Ok(&self.piece[start..])
    }

    /// The first bytes, without taking them: fewer only where there are no more.
    fn peek(&mut self, len: usize) -> io::Result<&[u8]> {
        while self.piece.len() - self.at < len && self.read_on()? {}
        let rest = &self.piece[self.at..];
        Ok(&rest[..len.min(rest.len())])
    }
}

impl Read for Bytes {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let piece = self.next_piece()?;
        let len = piece.len().min(buf.len());
        buf[..len].copy_from_slice(&piece[..len]);
        let rest = piece.len() - len;
        self.at -= rest;
        Ok(len)
    }
}
