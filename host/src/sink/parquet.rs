//! Apache Parquet, compressed with zstd: a row group of each million rows, or of each 64 MiB of them.
//! What of it is not written yet is in memory, encoded.
//!
//! A file without a row is a whole one, with its columns.

use super::columnar::{self, Encoder, Rows};
use super::publish::Output;
use super::{Options, Sink};
use crate::batch::Batch;
use crate::columns::Column;
use crate::step::Step;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use std::io::{self, Write};

const NAME: &str = "ParquetWriter";
/// A row group ends behind the table that fills it.
const GROUP_ROWS_MAX: usize = 1024 * 1024;
const GROUP_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Writes Parquet to any output.
pub struct Writer {
    output: Output,
    columns: Vec<Column>,
    rows: Rows,
    /// Writes into memory, from where it goes to the output: which is asked about all the while, and
    /// gets no footer unless the run ends well.
    file: ArrowWriter<Vec<u8>>,
    group_bytes: usize,
}

impl Writer {
    /// Writes a new file.
    pub fn new(output: Output, options: Options) -> io::Result<Self> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(None) // we say where
            .build();
        let schema = columnar::schema(&options.columns);
        let file = ArrowWriter::try_new(Vec::new(), schema, Some(properties)).map_err(to_io)?;
        let rows = Rows::new(&options.columns);
        Ok(Writer { output, columns: options.columns, rows, file, group_bytes: 0 })
    }

    /// Encodes the rows that were gathered.
    fn cut(&mut self) -> io::Result<()> {
        self.group_bytes += self.rows.bytes();
        self.file.write(&self.rows.cut()).map_err(to_io)?;
        if self.file.in_progress_rows() >= GROUP_ROWS_MAX || self.group_bytes >= GROUP_BYTES_MAX {
            self.group_bytes = 0;
            self.file.flush().map_err(to_io)?;
            self.write_out()?;
        }
        Ok(())
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.file.sync()?;
        self.output.write_all(self.file.inner())?;
        self.file.inner_mut().clear();
        Ok(())
    }
}

fn to_io(error: ParquetError) -> io::Error {
    io::Error::other(error)
}

impl Sink for Writer {
    fn name(&self) -> &'static str {
        NAME
    }

    fn encoder(&self) -> Option<Box<dyn Step>> {
        Some(Box::new(Encoder::new(NAME, &self.columns)))
    }

    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        for record in 0..batch.len() {
            self.rows.push(batch.record(record));
            if self.rows.is_full() {
                self.cut()?;
            }
        }
        Ok(())
    }

    fn output(&self) -> &Output {
        &self.output
    }

    fn output_mut(&mut self) -> &mut Output {
        &mut self.output
    }

    fn complete(&mut self) -> io::Result<()> {
        if self.rows.len() > 0 {
            self.cut()?;
        }
        self.file.finish().map_err(to_io)?;
        self.write_out()
    }

    fn finish(self: Box<Self>) -> Output {
        self.output
    }
}
