//! Arrow IPC: a file (Feather, version 2), or a stream.
//!
//! Record batches end after so many rows. But where somebody reads a stream as it is written (stdout,
//! a FIFO), one ends wherever there is nothing more for now: the rows are the same.

use super::columnar::{self, Encoder, Rows};
use super::publish::Output;
use super::{Options, Sink};
use crate::batch::Batch;
use crate::columns::Column;
use crate::step::Step;
use arrow::error::ArrowError;
use arrow::ipc::writer::{FileWriter, StreamWriter};
use std::io::{self, Write};

/// Writes Arrow to any output.
pub struct Writer {
    output: Output,
    columns: Vec<Column>,
    rows: Rows,
    form: Form,
}

/// Writes into memory, from where it goes to the output: which is asked about all the while, and gets
/// no end unless the run ends well.
enum Form {
    File(Box<FileWriter<Vec<u8>>>),
    Stream(Box<StreamWriter<Vec<u8>>>),
}

impl Writer {
    /// Writes a new file, or a new stream.
    pub fn new(output: Output, is_file: bool, options: Options) -> io::Result<Self> {
        let schema = columnar::schema(&options.columns);
        let form = match is_file {
            true => FileWriter::try_new(Vec::new(), &schema).map(|it| Form::File(Box::new(it))),
            false => {
                StreamWriter::try_new(Vec::new(), &schema).map(|it| Form::Stream(Box::new(it)))
            }
        };
        let rows = Rows::new(&options.columns);
        let form = form.map_err(to_io)?;
        Ok(Writer { output, columns: options.columns, rows, form })
    }

    /// Writes the rows that were gathered.
    fn cut(&mut self) -> io::Result<()> {
        let table = self.rows.cut();
        let written = match &mut self.form {
            Form::File(it) => it.write(&table),
            Form::Stream(it) => it.write(&table),
        };
        written.map_err(to_io)?;
        self.write_out()
    }

    fn write_out(&mut self) -> io::Result<()> {
        let bytes = match &mut self.form {
            Form::File(it) => it.get_mut(),
            Form::Stream(it) => it.get_mut(),
        };
        self.output.write_all(bytes)?;
        bytes.clear();
        Ok(())
    }

    /// Whether somebody may wait for each row.
    fn is_live(&self) -> bool {
        matches!(self.form, Form::Stream(_)) && self.output.is_stream()
    }
}

fn to_io(error: ArrowError) -> io::Error {
    io::Error::other(error)
}

impl Sink for Writer {
    fn name(&self) -> &'static str {
        match self.form {
            Form::File(_) => "ArrowWriter",
            Form::Stream(_) => "ArrowStreamWriter",
        }
    }

    fn encoder(&self) -> Option<Box<dyn Step>> {
        Some(Box::new(Encoder::new(self.name(), &self.columns)))
    }

    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        for record in 0..batch.len() {
            self.rows.push(batch.record(record));
            if self.rows.is_full() {
                self.cut()?;
            }
        }
        if self.is_live() && self.rows.len() > 0 {
            self.cut()?;
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
        let finished = match &mut self.form {
            Form::File(it) => it.finish(),
            Form::Stream(it) => it.finish(),
        };
        finished.map_err(to_io)?;
        self.write_out()
    }

    fn finish(self: Box<Self>) -> Output {
        self.output
    }
}
