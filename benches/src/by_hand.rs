//! What the programs written by hand share: lines into flowers, predictions into lines. One thread,
//! the end at the first bad record.

/// The very file of `model-abi`, which shows it to nobody.
#[path = "../../model-abi/src/parse/quick.rs"]
mod quick;

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

const READ_BYTES: usize = 1 << 20; // grows for a longer line
const WRITE_BYTES: usize = 256 << 10;

/// The output, in blocks.
pub struct Lines {
    output: File,
    block: Vec<u8>,
}

impl Lines {
    /// An empty file, whatever was there.
    pub fn create(output: &Path) -> io::Result<Self> {
        let block = Vec::with_capacity(2 * WRITE_BYTES);
        Ok(Lines { output: File::create(output)?, block })
    }

    /// A prediction more.
    pub fn put(&mut self, prediction: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.block, prediction)?;
        self.block.push(b'\n');
        Ok(())
    }

    /// Writes what there is, where it is a block.
    pub fn write_block(&mut self) -> io::Result<()> {
        if self.block.len() >= WRITE_BYTES { self.finish() } else { Ok(()) }
    }

    /// Writes what there is.
    pub fn finish(&mut self) -> io::Result<()> {
        self.output.write_all(&self.block)?;
        self.block.clear();
        Ok(())
    }
}

/// A flower, parsed with serde_json, or quickly: as plugins do.
#[inline]
pub fn parse<F: DeserializeOwned>(text: &str, quickly: bool) -> serde_json::Result<F> {
    match quickly.then(|| quick::parse(text)).flatten() {
        Some(flower) => Ok(flower),
        None => serde_json::from_str(text),
    }
}

/// Every line of the input that is not blank, parsed.
pub fn for_each<F: DeserializeOwned>(
    input: &Path,
    quickly: bool,
    mut see: impl FnMut(F) -> io::Result<()>,
) -> io::Result<()> {
    let mut input = File::open(input)?;
    let mut buffer = vec![0; READ_BYTES];
    let mut line = 0_u64;
    let mut see = |text: &[u8]| {
        line += 1;
        if text.trim_ascii().is_empty() {
            return Ok(());
        }
        // As a text: serde_json then need not check each string for UTF-8, which costs more.
        let text = std::str::from_utf8(text).map_err(io::Error::other)?;
        let flower = parse(text, quickly)
            .map_err(|error| io::Error::other(format!("line {line}: {error}")))?;
        see(flower)
    };
    let mut kept = 0; // bytes at the buffer's start that belong to a line that goes on
    loop {
        if kept == buffer.len() {
            buffer.resize(2 * kept, 0);
        }
        let read = input.read(&mut buffer[kept..])?;
        if read == 0 {
            return see(&buffer[..kept]);
        }
        let mut start = 0;
        for newline in memchr::memchr_iter(b'\n', &buffer[kept..kept + read]) {
            see(&buffer[start..kept + newline])?;
            start = kept + newline + 1;
        }
        buffer.copy_within(start..kept + read, 0);
        kept = kept + read - start;
    }
}
