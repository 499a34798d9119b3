//! Sinks: where batches end. One file a format; [`publish`] makes what they wrote visible,
//! and [`compress`] makes it small before.

pub mod arrow;
mod columnar;
pub mod compress;
pub mod csv;
pub mod held;
pub mod json_array;
pub mod ldjson;
pub mod parquet;
pub mod postgres;
pub mod publish;
mod sending;
pub mod sqlite;
pub mod table;

use crate::batch::Batch;
use crate::columns::Column;
use crate::format::Format;
use crate::step::Step;
use publish::Output;
use std::io;

/// How records are written, whatever their format.
#[derive(Clone, Debug)]
pub struct Options {
    /// The columns of a table.
    pub columns: Vec<Column>,
    /// How a table of text is written.
    pub csv: csv::Options,
}

/// A writer of a format. Where something is in the output already, it was written by an interrupted
/// run of the same job, and what is written goes behind it.
pub fn open(format: Format, output: Output, options: Options) -> io::Result<Box<dyn Sink>> {
    Ok(match format {
        Format::Ldjson => Box::new(ldjson::Writer::new(output)),
        Format::JsonArray => Box::new(json_array::Writer::new(output)),
        Format::Csv | Format::Tsv => {
            Box::new(csv::Writer::new(format, output, options.columns, &options.csv))
        }
        Format::Parquet => Box::new(parquet::Writer::new(output, options)?),
        Format::Arrow => Box::new(arrow::Writer::new(output, true, options)?),
        Format::ArrowStream => Box::new(arrow::Writer::new(output, false, options)?),
    })
}

/// Something that batches are written to, in order.
pub trait Sink: Send {
    /// The format's name, as it stands in the lines of a run.
    fn name(&self) -> &'static str;

    /// What makes of the JSON of records what is to be written, where that is something else. Done
    /// by the workers, each with its own instance, behind all other steps; in rejects it bears the
    /// sink's name.
    fn encoder(&self) -> Option<Box<dyn Step>> {
        None
    }

    /// Takes the records of the batch that still go on, and rejects those that it turns out not to
    /// take. Nothing of it is visible yet.
    fn accept(&mut self, batch: &mut Batch) -> io::Result<()> {
        let _ = batch;
        Ok(())
    }

    /// Writes the records of the batch that still go on.
    fn write(&mut self, batch: &Batch) -> io::Result<()>;

    /// Where it is written to.
    fn output(&self) -> &Output;

    /// The same, for the collector, which says where a compressed output may be gone on with.
    fn output_mut(&mut self) -> &mut Output;

    /// The last batch is written: writes what stands behind it, if anything does.
    fn complete(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// What is left is to publish it, or to drop it.
    fn finish(self: Box<Self>) -> Output;
}
