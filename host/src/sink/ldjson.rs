//! Line-delimited JSON: one record a line, `\n` behind each, the last one too.

use super::Sink;
use super::publish::Output;
use crate::batch::Batch;
use std::io::{self, Write};

/// Writes LDJSON to any output.
pub struct Writer {
    output: Output,
    buffer: Vec<u8>,
}

impl Writer {
    /// Writes from where the output stands.
    pub fn new(output: Output) -> Self {
        Writer { output, buffer: Vec::new() }
    }
}

impl Sink for Writer {
    fn name(&self) -> &'static str {
        "LdjsonWriter"
    }

    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        // A batch is a large block already: no buffer between it and the file.
        self.output.write_all(batch.lines(&mut self.buffer))
    }

    fn output(&self) -> &Output {
        &self.output
    }

    fn output_mut(&mut self) -> &mut Output {
        &mut self.output
    }

    fn finish(self: Box<Self>) -> Output {
        self.output
    }
}
