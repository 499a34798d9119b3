//! Steps: batch in, batch out, and the records that can't go on. One file a step.

pub mod emit;
pub mod model;

use crate::batch::Batch;
use crate::plugin::ModelError;
use std::sync::Arc;

/// Something done to every record. Each worker has its own instance, so that a step can keep
/// buffers without a lock.
pub trait Step: Send {
    /// Its name in rejects and in the lines of a run.
    fn name(&self) -> &Arc<str>;

    /// Another instance, for another worker.
    fn another(&self) -> Box<dyn Step>;

    /// Does its work on the batch, in place. An error ends the run.
    fn apply(&mut self, batch: &mut Batch) -> Result<(), StepError>;
}

/// A step that can't go on with any record.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Its model is broken.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// It was told to stop in the middle of a batch.
    #[error("stopped")]
    Stopped,
}
