//! Apache Parquet: the rows of a file, in bounded pieces, and only the columns that anybody reads.
//!
//! What a file holds stands at its end. So it must be possible to read it from anywhere: a pipe, or a
//! file that is compressed as a whole, is refused.

use super::rows::{self, Tables, damaged, guarded, wanted};
use super::{Options, Source};
use crate::record::RecordPosition;
use crate::stop::Stop;
use crate::storage::{Input, RandomAccess};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::Compression;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};
use std::fmt::Display;
use std::io::{self, BufReader, Read};
use std::sync::{Arc, Mutex, PoisonError};

const NAME: &str = "ParquetReader";
/// About how much is decoded at once, and how many rows at most.
const TABLE_BYTES: u64 = 1024 * 1024;
const TABLE_ROWS_MAX: u64 = 1024;
/// The headers of pages are read through a buffer of this size; their data is not.
const BUFFER_BYTES: usize = 8 * 1024;
/// What a file begins and ends with, and its shortest.
const MAGIC: &[u8] = b"PAR1";
const MAGIC_ENCRYPTED: &[u8] = b"PARE";
const FILE_BYTES_MIN: u64 = 12;

/// Opens a file; `path` stands in rejects and messages.
pub fn open(path: &str, input: Box<dyn Input>, options: Options) -> io::Result<Box<dyn Source>> {
    let tables = guarded(|| Rows::open(input, &options))?;
    Ok(Box::new(rows::Reader::new(NAME, path, Box::new(tables), options.text)))
}

struct Rows {
    input: Box<dyn Input>,
    reader: ParquetRecordBatchReader,
    bytes_total: u64,
    failed: Failed,
}

impl Rows {
    fn open(input: Box<dyn Input>, options: &Options) -> io::Result<Self> {
        let Some(file) = input.random_access() else {
            let message = "Parquet is read from its end, which a pipe or a compressed file does \
                           not let us do: give it as a file, as it is";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        };
        let file = Anywhere { file: file?, failed: Failed::default() };
        check_magic(&*file.file)?;
        let (bytes_total, failed) = (file.len(), file.failed.clone());
        let to_io = |error| why(&failed, error);
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(to_io)?;
        let indices = wanted(builder.schema(), options.fields.as_deref())?;
        check_compression(builder.metadata(), &indices)?;
        let rows = rows_at_once(builder.metadata(), &indices);
        let mask = ProjectionMask::roots(builder.parquet_schema(), indices);
        let before = usize::try_from(options.text.start.line - 1).map_err(io::Error::other)?;
        let builder = builder.with_projection(mask).with_batch_size(rows).with_offset(before);
        let reader = builder.build().map_err(to_io)?;
        Ok(Rows { input, reader, bytes_total, failed })
    }

    /// At the end: the input itself knows whether somebody wrote to it meanwhile.
    fn check_unchanged(&mut self) -> io::Result<()> {
        let end = RecordPosition { line: 1, byte: self.bytes_total };
        if self.input.seek(end).is_ok() && self.input.read(&mut Vec::with_capacity(1))? > 0 {
            let message = format!("it grew while it was read: it had {} bytes", self.bytes_total);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(())
    }
}

impl Tables for Rows {
    fn schema(&self) -> SchemaRef {
        arrow::record_batch::RecordBatchReader::schema(&self.reader)
    }

    fn next(&mut self, stop: &Stop) -> io::Result<Option<RecordBatch>> {
        if stop.is_set() {
            return Ok(None);
        }
        match self.reader.next() {
            Some(table) => table.map(Some).map_err(|error| why(&self.failed, error)),
            None => self.check_unchanged().map(|()| None),
        }
    }
}

fn check_magic(file: &dyn RandomAccess) -> io::Result<()> {
    let bytes = file.bytes_total();
    let wrong = |what: String| Err(io::Error::other(format!("it is no Parquet file: {what}")));
    if bytes < FILE_BYTES_MIN {
        return wrong(format!("it has {bytes} bytes, and the shortest has {FILE_BYTES_MIN}"));
    }
    let (first, last) = (file.read_at(0, 4)?, file.read_at(bytes - 4, 4)?);
    if [&first, &last].iter().any(|magic| *magic == MAGIC_ENCRYPTED) {
        let message = "it is encrypted, which is not supported";
        return Err(io::Error::new(io::ErrorKind::Unsupported, message));
    }
    if first != MAGIC {
        return wrong("it does not begin with PAR1".to_owned());
    }
    if last != MAGIC {
        let message = "it does not end with PAR1: its end is missing, or damaged";
        return Err(io::Error::other(message));
    }
    Ok(())
}

/// The columns of a row group that belong to these fields.
fn columns<'a>(
    metadata: &'a ParquetMetaData,
    group: &'a RowGroupMetaData,
    roots: &'a [usize],
) -> impl Iterator<Item = &'a ColumnChunkMetaData> {
    let schema = metadata.file_metadata().schema_descr();
    let columns = group.columns().iter().enumerate();
    let columns = columns.filter(move |(leaf, _)| {
        *leaf < schema.num_columns() && roots.contains(&schema.get_column_root_idx(*leaf))
    });
    columns.map(|(_, column)| column)
}

/// Refuses what would fail at the first page.
fn check_compression(metadata: &ParquetMetaData, roots: &[usize]) -> io::Result<()> {
    let mut columns = metadata.row_groups().iter().flat_map(|it| columns(metadata, it, roots));
    let name = columns.find_map(|column| match column.compression() {
        Compression::BROTLI(_) => Some("Brotli"),
        Compression::LZO => Some("LZO"),
        _ => None,
    });
    let Some(name) = name else { return Ok(()) };
    let message = format!("it is compressed with {name}, which is not supported: zstd is");
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}

/// How many rows to decode at once, from how long they are by the file's own account.
fn rows_at_once(metadata: &ParquetMetaData, roots: &[usize]) -> usize {
    let bytes_of_row = metadata.row_groups().iter().map(|group| {
        let bytes = columns(metadata, group, roots).map(|column| {
            // A text that stands in the file once may stand in the table a million times.
            let unencoded = column.unencoded_byte_array_data_bytes().unwrap_or(0);
            u64::try_from(column.uncompressed_size().max(unencoded)).unwrap_or(0)
        });
        let rows = u64::try_from(group.num_rows()).unwrap_or(0).max(1);
        bytes.fold(0, u64::saturating_add) / rows
    });
    (TABLE_BYTES / bytes_of_row.max().unwrap_or(0).max(1)).clamp(1, TABLE_ROWS_MAX) as usize
}

/// Why the input could not be read, where that is what happened: the crate keeps only words.
type Failed = Arc<Mutex<Option<io::Error>>>;

fn why(failed: &Failed, error: impl Display) -> io::Error {
    let failed = failed.lock().unwrap_or_else(PoisonError::into_inner).take();
    failed.unwrap_or_else(|| damaged(error))
}

/// Bytes that are read from anywhere, as the crate wants them.
#[derive(Clone)]
struct Anywhere {
    file: Arc<dyn RandomAccess>,
    failed: Failed,
}

impl Anywhere {
    fn read_at(&self, start: u64, len: usize) -> io::Result<Vec<u8>> {
        self.file.read_at(start, len).map_err(|error| {
            let kind = error.kind();
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            kind.into()
        })
    }
}

impl Length for Anywhere {
    fn len(&self) -> u64 {
        self.file.bytes_total()
    }
}

impl ChunkReader for Anywhere {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let from = From { file: self.clone(), at: start };
        Ok(BufReader::with_capacity(BUFFER_BYTES, from))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        // A damaged file asks for more than there is: not a reason to find the memory for it.
        if start.checked_add(length as u64).is_none_or(|end| end > self.len()) {
            return Err(ParquetError::EOF(format!(
                "bytes {start} to {start} + {length} of {}",
                self.len()
            )));
        }
        Ok(self.read_at(start, length)?.into())
    }
}

/// The bytes from somewhere on.
struct From {
    file: Anywhere,
    at: u64,
}

impl Read for From {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rest = self.file.len().saturating_sub(self.at);
        let len = buf.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
        if len > 0 {
            buf[..len].copy_from_slice(&self.file.read_at(self.at, len)?);
            self.at += len as u64;
        }
        Ok(len)
    }
}
