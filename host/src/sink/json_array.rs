//! One JSON array: `[`, a record a line with `,` between them, `]` and a line feed; `[]` where there
//! is no record.

use super::Sink;
use super::publish::Output;
use crate::batch::Batch;
use std::io::{self, Write};

/// Writes a JSON array to any output.
pub struct Writer {
    output: Output,
    buffer: Vec<u8>,
}

impl Writer {
    /// Writes from where the output stands: where something is in it, that is an array up to the end of
    /// an element.
    pub fn new(output: Output) -> Self {
        Writer { output, buffer: Vec::new() }
    }
}

impl Sink for Writer {
    fn name(&self) -> &'static str {
        "JsonArrayWriter"
    }

    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        self.buffer.clear();
        let mut before: &[u8] = if self.output.is_empty() { b"[" } else { b",\n" };
        for record in 0..batch.len() {
            self.buffer.extend_from_slice(before);
            self.buffer.extend_from_slice(batch.record(record));
            before = b",\n";
        }
        self.output.write_all(&self.buffer)
    }

    fn output(&self) -> &Output {
        &self.output
    }

    fn output_mut(&mut self) -> &mut Output {
        &mut self.output
    }

    fn complete(&mut self) -> io::Result<()> {
        self.output.write_all(if self.output.is_empty() { b"[]\n" } else { b"]\n" })
    }

    fn finish(self: Box<Self>) -> Output {
        self.output
    }
}
