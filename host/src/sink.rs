//! Sinks: where batches end. One file a format; [`publish`] makes what they wrote visible.

pub mod ldjson;
pub mod publish;

use crate::batch::Batch;
use publish::Output;
use std::io;

/// Something that batches are written to, in order.
pub trait Sink: Send {
    /// The format's name, as it stands in the lines of a run.
    fn name(&self) -> &'static str;

    /// Writes the records of the batch that still go on.
    fn write(&mut self, batch: &Batch) -> io::Result<()>;

    /// Where it is written to.
    fn output(&self) -> &Output;

    /// Everything is written: what is left is to publish it, or to drop it.
    fn finish(self: Box<Self>) -> Output;
}
