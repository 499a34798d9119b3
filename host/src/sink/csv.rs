//! CSV and TSV, as RFC 4180 has it but that lines end in `\n` alone: a header, and a row for each
//! record. TSV is CSV with tabs, and quoted in the same way.
//!
//! Workers make the rows (`encode`). The header stands at the output's beginning, also where no
//! record follows: so it is written when there is nothing in the output yet, and never again by a run
//! that goes on with an interrupted one.

mod encode;

use super::Sink;
use super::publish::Output;
use crate::batch::Batch;
use crate::columns::Column;
use crate::format::Format;
use crate::step::Step;
use encode::{Encoder, Layout};
use std::io::{self, Write};
use std::sync::Arc;

/// How tables of text are written.
#[derive(Clone, Debug)]
pub struct Options {
    /// What stands between fields: one ASCII character [default: `,`, and a tab in TSV].
    pub delimiter: Option<u8>,
    /// Whether the first row names the columns [default: yes].
    pub has_header: bool,
    /// What stands for null and for a field that is missing [default: nothing].
    pub null_value: String,
}

impl Default for Options {
    fn default() -> Self {
        Options { delimiter: None, has_header: true, null_value: String::new() }
    }
}

/// Writes rows to any output.
pub struct Writer {
    name: &'static str,
    output: Output,
    layout: Arc<Layout>,
    has_header: bool,
    buffer: Vec<u8>,
}

impl Writer {
    /// Writes from where the output stands.
    pub fn new(format: Format, output: Output, columns: Vec<Column>, options: &Options) -> Self {
        let (name, usual) = match format {
            Format::Tsv => ("TsvWriter", b'\t'),
            _ => ("CsvWriter", b','),
        };
        let delimiter = options.delimiter.unwrap_or(usual);
        let layout = Arc::new(Layout::new(columns, delimiter, &options.null_value));
        Writer { name, output, layout, has_header: options.has_header, buffer: Vec::new() }
    }

    fn begin(&mut self) -> io::Result<()> {
        if self.has_header && self.output.is_empty() {
            self.output.write_all(&self.layout.header())?;
        }
        Ok(())
    }
}

impl Sink for Writer {
    fn name(&self) -> &'static str {
        self.name
    }

    fn encoder(&self) -> Option<Box<dyn Step>> {
        Some(Box::new(Encoder::new(self.name.into(), self.layout.clone())))
    }

    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        self.begin()?;
        self.output.write_all(batch.lines(&mut self.buffer))
    }

    fn output(&self) -> &Output {
        &self.output
    }

    fn output_mut(&mut self) -> &mut Output {
        &mut self.output
    }

    fn complete(&mut self) -> io::Result<()> {
        self.begin()
    }

    fn finish(self: Box<Self>) -> Output {
        self.output
    }
}

#[cfg(test)]
mod tests;
