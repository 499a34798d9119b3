//! The block step: a rule that holds records back, so that they are never predicted.
//!
//! Those go another way, each with the rule's name and the reason where a prediction would stand. The others
//! go on as they are.

use super::emit::{EXTRA_BYTES, EmitError, Emitter};
use super::jq::{Evaluation, JqError, Limits, Program, Reader};
use super::{Step, StepError, Why};
use crate::batch::{Batch, Rejection, Text};
use crate::record::RejectKind;
use crate::spec::BlockSpec;
use jaq_core::ValT;
use serde_json::json;
use std::sync::Arc;

/// The step.
pub struct BlockStep {
    name: Arc<str>,
    when: Program,
    /// What stands in the place of a prediction, as JSON.
    verdict: Arc<str>,
    emitter: Emitter,
    reader: Reader,
    kept: Vec<u32>,
    rejections: Vec<Rejection>,
}

/// A rule that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// Its condition can't.
    #[error(transparent)]
    When(#[from] JqError),
    /// What would be written of a record can't be put together.
    #[error("what is written of a record that is held back: {0}")]
    Emit(#[from] EmitError),
}

impl BlockStep {
    /// `name` is the rule's.
    pub fn new(name: &str, spec: &BlockSpec) -> Result<Self, BlockError> {
        let verdict = json!({"blocked": name, "reason": spec.reason});
        let fields = json!({"properties": {"blocked": {}, "reason": {}}});
        spec.emit.check(&json!({}), &fields)?;
        let when = Program::compile(&spec.when)?;
        let emitter = Emitter::new(spec.emit.clone());
        Ok(BlockStep::of(name.into(), when, verdict.to_string().into(), emitter))
    }

    fn of(name: Arc<str>, when: Program, verdict: Arc<str>, emitter: Emitter) -> Self {
        let (reader, kept, rejections) = Default::default();
        BlockStep { name, when, verdict, emitter, reader, kept, rejections }
    }

    /// Writes what becomes of a record, if it is held back. False: it goes on.
    fn holds_back(
        &mut self,
        record: &[u8],
        text: &mut Text,
        evaluation: &Evaluation<'_>,
    ) -> Result<bool, Why> {
        let input = self.reader.read(record)?;
        if !is_true(evaluation, record.len(), input)? {
            return Ok(false);
        }
        if !text.has_room_for(record.len() + self.verdict.len() + EXTRA_BYTES) {
            let message = "the blocked records of one batch are over 4 GiB long";
            return Err(Why::new(RejectKind::NotWritable, message));
        }
        self.emitter.write(record, &self.verdict, text.buffer())?;
        Ok(true)
    }
}

impl Step for BlockStep {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn another(&self) -> Box<dyn Step> {
        let emitter = Emitter::new(self.emitter.emit().clone());
        let (name, when, verdict) = (self.name.clone(), self.when.clone(), self.verdict.clone());
        Box::new(BlockStep::of(name, when, verdict, emitter))
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<(), StepError> {
        self.kept.clear();
        let (mut text, when) = (batch.new_text(), self.when.clone());
        let evaluation = when.begin(Limits::default());
        for record in 0..batch.len() {
            match self.holds_back(batch.record(record), &mut text, &evaluation) {
                Ok(true) => text.complete(record),
                Ok(false) => self.kept.push(record as u32),
                Err(Why { kind, path, message }) => {
                    text.take_back();
                    let step = self.name.clone();
                    self.rejections.push(Rejection { record, kind, path, message, step });
                }
            }
        }
        batch.put_aside(text, true);
        batch.retain(&self.kept, &mut self.rejections);
        Ok(())
    }
}

/// Whether the condition is true of a record, as in jq's `if`: of all but `false` and `null`.
fn is_true(
    evaluation: &Evaluation<'_>,
    record_bytes: usize,
    input: jaq_json::Val,
) -> Result<bool, Why> {
    let mut answer = None;
    let unclear = |outputs| {
        let message = format!("the rule's condition gives {outputs}, where one says yes or no");
        Why::new(RejectKind::Jq, message)
    };
    evaluation.run(record_bytes, input, |output| match answer.replace(output.as_bool()) {
        None => Ok(()),
        Some(_) => Err(unclear("several outputs")),
    })?;
    answer.ok_or_else(|| unclear("no output"))
}
