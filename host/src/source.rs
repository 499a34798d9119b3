//! Sources: where batches come from. One file a format, each with the same skeleton: `Options`,
//! `Reader`, tests.
//!
//! A source knows bytes and where records end. It knows neither models nor where the bytes live.

pub mod frame;
pub mod ldjson;
pub mod many;
pub mod rejects;

use crate::batch::Batch;
use crate::step::Step;
use crate::stop::Stop;
use std::io;

/// Something that batches are read from, one after the other.
pub trait Source: Send {
    /// The format's name, as it stands in rejects and in the lines of a run.
    fn name(&self) -> &'static str;

    /// What makes JSON of its records, where they are something else. Done by the workers, each
    /// with its own instance, before all other steps; in rejects it bears the source's name.
    fn decoder(&self) -> Option<Box<dyn Step>> {
        None
    }

    /// Fills the batch with the next records, about `bytes_wanted` of them. Once it is told to
    /// stop it returns soon with what it has. A batch without records is the end.
    fn read_batch(
        &mut self,
        batch: &mut Batch,
        bytes_wanted: usize,
        stop: &Stop,
    ) -> Result<(), SourceError>;
}

/// A source that can't be read on. Whatever came before it is whole.
#[derive(Debug, thiserror::Error)]
#[error("{path}: can't read on at line {line}, byte {byte}")]
pub struct SourceError {
    /// The path as it was given.
    pub path: String,
    /// Where the first record begins that was not read.
    pub line: u64,
    /// The same place as an offset.
    pub byte: u64,
    /// Why.
    pub source: io::Error,
}
