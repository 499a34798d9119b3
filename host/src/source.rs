//! Sources: where batches come from. One file a format, each with the same skeleton: `Options`,
//! `Reader`, tests.
//!
//! A source knows bytes and where records end. It knows neither models nor where the bytes live.

pub mod arrow;
pub mod csv;
pub mod frame;
mod framed;
pub mod json_array;
pub mod ldjson;
pub mod many;
pub mod parquet;
pub mod range;
pub mod rejects;
mod rows;
pub mod split;
pub mod table;

use crate::batch::Batch;
use crate::columns::Column;
use crate::format::Format;
use crate::step::Step;
use crate::stop::Stop;
use crate::storage::Input;
use serde_json::Value;
use std::io;
use std::sync::Arc;

/// How records are read, whatever their format.
#[derive(Clone, Debug)]
pub struct Options {
    /// How text is cut into records.
    pub text: ldjson::Options,
    /// How a table of text is split into fields.
    pub csv: csv::Options,
    /// The schema of the records that the model takes: what text without types is to become.
    pub input_schema: Arc<Value>,
    /// The only fields that anybody reads; `None`: all may be needed.
    pub fields: Option<Vec<String>>,
}

/// A reader of a format. `path` stands in rejects and messages; `input` is at its beginning, where a
/// format may have something to read before it begins where `options` say.
pub fn open(
    format: Format,
    path: &str,
    input: Box<dyn Input>,
    options: Options,
) -> io::Result<Box<dyn Source>> {
    Ok(match format {
        Format::Ldjson => Box::new(ldjson::Reader::open(path, input, options.text)?),
        Format::JsonArray => Box::new(json_array::Reader::open(path, input, options.text)?),
        Format::Csv | Format::Tsv => Box::new(csv::Reader::open(format, path, input, options)?),
        Format::Parquet => parquet::open(path, input, options)?,
        Format::Arrow => arrow::open(path, input, true, options)?,
        Format::ArrowStream => arrow::open(path, input, false, options)?,
    })
}

/// What stands for a format's reader where its records come from elsewhere.
pub(crate) struct Decoding {
    /// The reader's name.
    name: &'static str,
    /// Its decoder.
    decoder: Option<Box<dyn Step>>,
    /// Its columns.
    columns: Option<Vec<Column>>,
}

impl Default for Decoding {
    /// That of LDJSON.
    fn default() -> Self {
        Decoding { name: ldjson::NAME, decoder: None, columns: None }
    }
}

/// What is known of a format's records that come from elsewhere.
fn decoding(format: Format, options: &Options) -> io::Result<Decoding> {
    Ok(match format {
        Format::JsonArray => {
            Decoding { name: json_array::NAME, decoder: Some(json_array::decoder()), columns: None }
        }
        Format::Csv | Format::Tsv => csv::decoding(format, options)?,
        _ => Decoding::default(),
    })
}

/// Something that batches are read from, one after the other.
pub trait Source: Send {
    /// The format's name, as it stands in rejects and in the lines of a run.
    fn name(&self) -> &'static str;

    /// What makes JSON of its records, where they are something else. Done by the workers, each
    /// with its own instance, before all other steps; in rejects it bears the source's name.
    fn decoder(&self) -> Option<Box<dyn Step>> {
        None
    }

    /// The columns that all its records have, where it is a table.
    fn columns(&self) -> Option<Vec<Column>> {
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
#[error("{path}: can't read on at {}byte {byte}", line.map(|it| format!("line {it}, ")).unwrap_or_default())]
pub struct SourceError {
    /// The path as it was given.
    pub path: String,
    /// Where the first record begins that was not read; `None`: nobody knows its line.
    pub line: Option<u64>,
    /// The same place as an offset.
    pub byte: u64,
    /// Why.
    pub source: io::Error,
}

#[cfg(test)]
pub(crate) mod conformance;
