//! An input whose bytes may be compressed: what they are is told by the first of them, and whoever
//! reads it gets the text.
//!
//! Text that is not compressed is read as if this were not here: a file is asked for its first bytes
//! and given back as it is; of a pipe, the first bytes are waited for when somebody reads, and never
//! more of them than it takes to tell (`Unknown`). What is compressed is decoded in a thread of its
//! own ([`decoding`]).
//!
//! The trap: a position means the text, never the compressed bytes. So to go on in the middle of it,
//! all before it is decoded once more.

pub mod decoding;

use super::{Input, RandomAccess};
use crate::format::Compression;
use crate::record::RecordPosition;
use decoding::Decoding;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many first bytes are enough to tell.
pub const TELLING_BYTES: usize = 4;

/// The text of an input. `name_says`: how it is compressed, where its name tells; if its bytes are not
/// compressed then, that is an error: now, or when they are read.
pub fn decompressed(
    input: Box<dyn Input>,
    name_says: Option<Compression>,
) -> io::Result<Box<dyn Input>> {
    Ok(match input.first_bytes() {
        Some(first) => match told(&first?, name_says)? {
            Some(compression) => Box::new(Decoding::new(input, compression, Vec::new())),
            None => input,
        },
        None => Box::new(Unknown { input: Some(input), first: Vec::new(), told: None, name_says }),
    })
}

/// What all the first bytes tell, which must not be less than what the name says. A name that says
/// gzip where the bytes are zstd does no harm.
fn told(first: &[u8], name_says: Option<Compression>) -> io::Result<Option<Compression>> {
    let told = Compression::of_bytes(first);
    let Some(said) = name_says.filter(|_| told.is_none()) else { return Ok(told) };
    let is = match first {
        [] => "it is empty, which no compressed file is",
        _ => "its bytes are not compressed so: rename it, if it is what it should be",
    };
    let message = format!("its name says {}, but {is}", said.name());
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

/// An input that keeps us waiting for the bytes that tell what it is.
struct Unknown {
    /// Until it is told that it is compressed.
    input: Option<Box<dyn Input>>,
    /// What was read to tell, and is not given on yet.
    first: Vec<u8>,
    told: Option<Told>,
    name_says: Option<Compression>,
}

enum Told {
    Plain {
        /// Whether the telling bytes were all that there are.
        is_ended: bool,
    },
    Compressed(Decoding),
}

impl Unknown {
    /// Looks at some more bytes, and perhaps waits for them.
    fn look(&mut self) -> io::Result<()> {
        let Some(input) = &mut self.input else { return Ok(()) };
        self.first.reserve_exact(TELLING_BYTES.saturating_sub(self.first.len()));
        let is_ended = input.read(&mut self.first)? == 0;
        if !is_ended && Compression::may_begin(&self.first) {
            return Ok(());
        }
        self.told = Some(match told(&self.first, self.name_says)? {
            None => Told::Plain { is_ended },
            Some(compression) => {
                let input = self.input.take().expect("it was looked at just now");
                let first = std::mem::take(&mut self.first);
                Told::Compressed(Decoding::new(input, compression, first))
            }
        });
        Ok(())
    }

    fn input(&mut self) -> &mut dyn Input {
        match (&mut self.told, &mut self.input) {
            (Some(Told::Compressed(decoding)), _) => decoding,
            (_, Some(input)) => &mut **input,
            (_, None) => unreachable!("it is taken where it is told that it is compressed"),
        }
    }

    fn as_input(&self) -> &dyn Input {
        match (&self.told, &self.input) {
            (Some(Told::Compressed(decoding)), _) => decoding,
            (_, Some(input)) => &**input,
            (_, None) => unreachable!("it is taken where it is told that it is compressed"),
        }
    }
}

impl Input for Unknown {
    fn read(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        while self.told.is_none() {
            self.look()?;
        }
        if !self.first.is_empty() {
            let len = self.first.len().min(buf.capacity() - buf.len());
            buf.extend(self.first.drain(..len));
            return Ok(len);
        }
        match self.told {
            // A terminal would have to be told its end twice.
            Some(Told::Plain { is_ended: true }) => Ok(0),
            _ => self.input().read(buf),
        }
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        let until = Instant::now() + timeout;
        let left = || until.saturating_duration_since(Instant::now());
        while self.told.is_none() {
            if !self.input().wait(left())? {
                return Ok(false);
            }
            self.look()?;
        }
        match self.told {
            Some(Told::Plain { is_ended }) if is_ended || !self.first.is_empty() => Ok(true),
            _ => self.input().wait(left()),
        }
    }

    fn bytes_total(&self) -> Option<u64> {
        self.as_input().bytes_total()
    }

    fn version(&self) -> Option<String> {
        self.as_input().version()
    }

    /// Of what is not compressed, even where that is not told yet.
    fn random_access(&self) -> Option<io::Result<Arc<dyn RandomAccess>>> {
        let access = self.as_input().random_access()?;
        let looked = access.and_then(|access| {
            let len = access.bytes_total().min(TELLING_BYTES as u64) as usize;
            let first = access.read_at(0, len)?;
            Ok(told(&first, self.name_says)?.is_none().then_some(access))
        });
        looked.transpose()
    }

    fn expect_end(&mut self, byte: u64) {
        self.input().expect_end(byte);
    }

    fn seek(&mut self, position: RecordPosition) -> io::Result<()> {
        while self.told.is_none() {
            self.look()?;
        }
        self.input().seek(position)?;
        self.first.clear();
        if let Some(Told::Plain { is_ended }) = &mut self.told {
            *is_ended = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
