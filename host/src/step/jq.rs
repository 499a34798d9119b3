//! The jq step: a program makes none, one or several records of each.
//!
//! The language is that of jaq, which is jq's but for what `docs/jq.md` lists. A program sees the record and
//! `$params`, and nothing else: the same record gives the same outputs, at any time and anywhere.
//!
//! What a program may take of one record is bounded (`meter.rs`), so that one that never ends costs that
//! record. Two things jaq leaves no way to bound: the memory of values that double again and again
//! (`. + .`), and values that a program itself nests some hundred thousand levels deep, which end the
//! process when they are freed.

mod dialect;
mod meter;
mod operators;
mod program;
mod refusal;
mod same;
#[cfg(test)]
pub(super) mod tests;
mod write;

pub use program::Program;
pub use refusal::JqError;

pub(super) use meter::Limits;
pub(super) use program::{Evaluation, Reader};

use super::{Step, StepError, Why};
use crate::batch::{Batch, Rejection, Text};
use crate::record::RejectKind;
use crate::spec::JqSpec;
use jaq_json::Val;
use same::Same;
use std::sync::Arc;
use write::{Out, Unwritable};

/// The step.
pub struct JqStep {
    name: Arc<str>,
    program: Program,
    limits: Limits,
    reader: Reader,
    /// The records that go on as they are, as long as all do.
    kept: Vec<u32>,
    /// A text that was not needed for the batch before.
    spare: Option<Text>,
    rejections: Vec<Rejection>,
}

impl JqStep {
    /// `name` stands in rejects and in the lines of a run.
    pub fn new(name: &str, spec: &JqSpec) -> Result<Self, JqError> {
        Ok(JqStep::of(name.into(), Program::compile(spec)?, Limits::default()))
    }

    fn of(name: Arc<str>, program: Program, limits: Limits) -> Self {
        let (reader, kept, rejections) = Default::default();
        JqStep { name, program, limits, reader, kept, spare: None, rejections }
    }
}

impl Step for JqStep {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn another(&self) -> Box<dyn Step> {
        Box::new(JqStep::of(self.name.clone(), self.program.clone(), self.limits))
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<(), StepError> {
        self.kept.clear();
        let text = self.spare.take().unwrap_or_else(|| batch.new_text());
        let kept = &mut self.kept;
        let mut made = Made { batch, limits: self.limits, kept, text, is_rewritten: false };
        let evaluation = self.program.begin(self.limits);
        for record in 0..made.batch.len() {
            if let Err(why) = made.of(record, &mut self.reader, &evaluation) {
                if made.is_rewritten {
                    made.text.take_back_all(record);
                }
                self.rejections.push(why.rejection(record, &self.name));
            }
        }
        let Made { text, is_rewritten, .. } = made;
        if is_rewritten {
            batch.rewrite(text, &mut self.rejections);
        } else {
            self.spare = Some(text);
            batch.retain(&self.kept, &mut self.rejections);
        }
        Ok(())
    }
}

/// What becomes of a batch: some of its records as they are, until the first that is anything else; from
/// there on, a text.
struct Made<'b> {
    batch: &'b Batch,
    limits: Limits,
    kept: &'b mut Vec<u32>,
    text: Text,
    is_rewritten: bool,
}

/// What has become of a record so far.
#[derive(Default)]
struct Outputs {
    count: u64,
    /// The only one so far is the record as it is, which is not in the text yet.
    is_kept: bool,
    /// Where in the text they begin.
    start: usize,
}

impl Made<'_> {
    fn of(
        &mut self,
        record: usize,
        reader: &mut Reader,
        evaluation: &Evaluation<'_>,
    ) -> Result<(), Why> {
        let bytes = self.batch.record(record);
        let input = reader.read(bytes)?;
        let same = Same::of(&input);
        let mut outputs = Outputs { start: self.text.buffer().len(), ..Outputs::default() };
        evaluation.run(bytes.len(), input, |output| {
            self.take(record, &mut outputs, (!same.is(&output)).then_some(output))
        })?;
        if outputs.is_kept {
            self.kept.push(record as u32);
        }
        Ok(())
    }

    /// Takes one output for a record; `None`: the record as it is.
    fn take(
        &mut self,
        record: usize,
        outputs: &mut Outputs,
        output: Option<Val>,
    ) -> Result<(), Why> {
        outputs.count += 1;
        if outputs.count > self.limits.outputs {
            let message = format!("the program gives more than {} outputs", self.limits.outputs);
            return Err(Why::new(RejectKind::Jq, message));
        }
        if !self.is_rewritten {
            if output.is_none() && outputs.count == 1 {
                outputs.is_kept = true;
                return Ok(());
            }
            self.is_rewritten = true;
            for kept in std::mem::take(self.kept) {
                // It passed by itself: the bound on what a program makes of a record is none for it.
                self.text.buffer().extend_from_slice(self.batch.record(kept as usize));
                self.text.complete(kept as usize);
            }
            outputs.start = self.text.buffer().len();
            if std::mem::take(&mut outputs.is_kept) {
                self.append(record, outputs, None)?;
            }
        }
        self.append(record, outputs, output)
    }

    fn append(
        &mut self,
        record: usize,
        outputs: &mut Outputs,
        output: Option<Val>,
    ) -> Result<(), Why> {
        let most = outputs.start + self.limits.output_bytes;
        let mut out = Out { text: self.text.buffer(), end: most.min(TEXT_BYTES_MAX) };
        let appended = match output {
            None => out.append(self.batch.record(record)),
            Some(value) => out.value(&value),
        };
        match appended {
            Ok(()) => self.text.complete(record),
            Err(Unwritable::Length) if most > TEXT_BYTES_MAX => {
                let message = "the output of one batch is over 4 GiB long";
                return Err(Why::new(RejectKind::NotWritable, message));
            }
            Err(Unwritable::Length) => {
                let most = self.limits.output_bytes >> 20;
                let message = format!("the outputs of the program are over {most} MiB long");
                return Err(Why::new(RejectKind::Jq, message));
            }
            Err(why) => return Err(Why::new(RejectKind::Jq, why.to_string())),
        }
        Ok(())
    }
}

/// Offsets in a text have 32 bits; a line feed comes behind each output.
const TEXT_BYTES_MAX: usize = u32::MAX as usize - 2;
