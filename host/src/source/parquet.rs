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
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, Length};
use std::collections::HashSet;
use std::io::{self, BufReader, Read};
use std::sync::Arc;

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
}

impl Rows {
    fn open(input: Box<dyn Input>, options: &Options) -> io::Result<Self> {
        let Some(file) = input.random_access() else {
            let message = "Parquet is read from its end, which a pipe or a compressed file does \
                           not let us do: give it as a file, as it is";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        };
        let file = file?;
        check_magic(&*file)?;
        let bytes_total = file.bytes_total();
        let builder = ParquetRecordBatchReaderBuilder::try_new(Anywhere(file)).map_err(to_io)?;
        let indices = wanted(builder.schema(), options.fields.as_deref())?;
        let rows = rows_at_once(builder.metadata(), &indices);
        let mask = ProjectionMask::roots(builder.parquet_schema(), indices);
        let before = usize::try_from(options.text.start.line - 1).map_err(io::Error::other)?;
        let builder = builder.with_projection(mask).with_batch_size(rows).with_offset(before);
        Ok(Rows { input, reader: builder.build().map_err(to_io)?, bytes_total })
    }

    /// At the end: the input itself knows whether somebody wrote to it meanwhile.
    fn check_unchanged(&mut self) -> io::Result<()> {
        let end = RecordPosition { line: 1, byte: self.bytes_total };
        match self.input.seek(end) {
            Ok(()) => self.input.read(&mut Vec::with_capacity(1)).map(drop),
            Err(_) => Ok(()),
        }
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
            Some(table) => table.map(Some).map_err(damaged),
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

/// How many rows to decode at once, from how long they are by the file's own account.
fn rows_at_once(metadata: &ParquetMetaData, roots: &[usize]) -> usize {
    let (roots, schema) = (HashSet::<_>::from_iter(roots), metadata.file_metadata().schema_descr());
    let bytes_of_row = metadata.row_groups().iter().map(|group| {
        let columns = group.columns().iter().enumerate();
        let read = columns.filter(|(leaf, _)| {
            *leaf < schema.num_columns() && roots.contains(&schema.get_column_root_idx(*leaf))
        });
        let bytes = read.map(|(_, column)| {
            // A text that stands in the file once may stand in the table a million times.
            let unencoded = column.unencoded_byte_array_data_bytes().unwrap_or(0);
            u64::try_from(column.uncompressed_size().max(unencoded)).unwrap_or(0)
        });
        let rows = u64::try_from(group.num_rows()).unwrap_or(0).max(1);
        bytes.fold(0, u64::saturating_add) / rows
    });
    (TABLE_BYTES / bytes_of_row.max().unwrap_or(0).max(1)).clamp(1, TABLE_ROWS_MAX) as usize
}

fn to_io(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => damaged(error),
        },
        error => damaged(error),
    }
}

/// Bytes that are read from anywhere, as the crate wants them.
struct Anywhere(Arc<dyn RandomAccess>);

impl Length for Anywhere {
    fn len(&self) -> u64 {
        self.0.bytes_total()
    }
}

impl ChunkReader for Anywhere {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let from = From { file: self.0.clone(), at: start };
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
        let bytes = self.0.read_at(start, length);
        bytes.map(Bytes::from).map_err(|error| ParquetError::External(Box::new(error)))
    }
}

/// The bytes from somewhere on.
struct From {
    file: Arc<dyn RandomAccess>,
    at: u64,
}

impl Read for From {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rest = self.file.bytes_total().saturating_sub(self.at);
        let len = buf.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
        if len > 0 {
            buf[..len].copy_from_slice(&self.file.read_at(self.at, len)?);
            self.at += len as u64;
        }
        Ok(len)
    }
}
