//! Steps: batch in, batch out, and the records that can't go on. One file a step.

pub mod block;
pub mod check;
pub mod emit;
pub mod first;
pub mod jq;
pub mod log;
pub mod lookup;
pub mod model;
pub mod pass;
pub mod place;
pub mod sample;
pub mod validate;

use crate::batch::{Batch, Rejection, Text};
use crate::plugin::ModelError;
use crate::record::RejectKind;
use std::fmt::Display;
use std::sync::Arc;

/// How much stack a thread must have that has steps work: a program may call itself, and values may nest.
/// Of what is not touched, nothing is taken.
pub const STACK_BYTES: usize = 64 * 1024 * 1024;

/// Something done to every record. Each worker has its own instance, so that a step can keep
/// buffers without a lock.
pub trait Step: Send {
    /// Its name in rejects and in the lines of a run.
    fn name(&self) -> &Arc<str>;

    /// Another instance, for another worker.
    fn another(&self) -> Box<dyn Step>;

    /// Does its work on the batch, in place. An error ends the run.
    fn apply(&mut self, batch: &mut Batch) -> Result<(), StepError>;

    /// Goes on where an interrupted run had given it so many records. Only of a step that counts.
    fn resume(&mut self, taken: u64) {
        let _ = taken;
    }

    /// A batch, by its place in the order of all, has nothing for it. Only for a step that waits for its
    /// turn.
    fn pass_by(&mut self, sequence: u64) {
        let _ = sequence;
    }

    /// Of this source, by its number, nothing is wanted behind this batch: what was counted of that is to
    /// be forgotten. Only for a step that counts.
    fn end_source(&mut self, source: u32, sequence: u64) {
        let _ = (source, sequence);
    }

    /// Whether it has had enough, as of the last batch that it was given.
    fn saturation(&self) -> Saturation {
        Saturation::Open
    }
}

/// Whether a step lets any more records go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saturation {
    /// It may.
    Open,
    /// None since a batch before.
    Before,
    /// None behind the one that was made of this record of the batch that was read, by its index.
    At(u32),
}

/// Why a step can't go on with one record.
#[derive(Debug, PartialEq)]
pub(crate) struct Why {
    pub(crate) kind: RejectKind,
    /// Where in the record, or empty.
    pub(crate) path: String,
    pub(crate) message: String,
}

impl Why {
    pub(crate) fn new(kind: RejectKind, message: impl Into<String>) -> Self {
        Why { kind, path: String::new(), message: message.into() }
    }

    /// That a record, by its index in the batch as the step was given it, can't go on.
    fn rejection(self, record: usize, step: &Arc<str>) -> Rejection {
        let Why { kind, path, message } = self;
        Rejection { record, kind, path, message, step: step.clone() }
    }

    fn wrong_output(fault: impl Display) -> Self {
        Why::new(RejectKind::WrongOutput, format!("the model's prediction is wrong: {fault}"))
    }
}

/// The records of a batch become what `write` appends of each, by its index; where that fails, what it
/// appended is taken back, and the record is a reject of this step.
pub(crate) fn rewrite_each(
    batch: &mut Batch,
    step: &Arc<str>,
    mut write: impl FnMut(&Batch, usize, &mut Text) -> Result<(), Why>,
) {
    let (mut text, mut rejections) = (batch.new_text(), Vec::new());
    for record in 0..batch.len() {
        match write(batch, record, &mut text) {
            Ok(()) => text.complete(record),
            Err(why) => {
                text.take_back();
                rejections.push(why.rejection(record, step));
            }
        }
    }
    batch.rewrite(text, &mut rejections);
}

/// A JSON pointer (`/rows/3/width`) as paths are written everywhere else: `rows[3].width`.
fn path_of(pointer: &str) -> String {
    let parts = pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~"));
    let path: String = parts
        .map(|part| match part.bytes().all(|byte| byte.is_ascii_digit()) {
            true => format!("[{part}]"),
            false => format!(".{part}"),
        })
        .collect();
    path.trim_start_matches('.').to_owned()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_written_as_a_path() {
        assert_eq!(path_of(""), "");
        assert_eq!(path_of("/y"), "y");
        assert_eq!(path_of("/rows/3/a~1b/width"), "rows[3].a/b.width");
    }
}
