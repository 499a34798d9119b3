//! The model step: asks the model about every record and writes what becomes of it.
//!
//! A batch is asked for in slices of about [`SLICE`] of work, so that a slow model can be stopped
//! between two of them, whatever the size of the batch.

use super::emit::{Emit, Emitter};
use super::{Step, StepError};
use crate::batch::{Batch, Rejection};
use crate::pipeline::stop::Stop;
use crate::plugin::ModelError;
use crate::plugin::runner::{Answered, Ask, Runner, ask, is_broken};
use crate::record::RejectKind;
use jsonschema::Validator;
use model_abi_layout::Answer;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long one call should take.
const SLICE: Duration = Duration::from_millis(50);
/// How many records the first call is about: even at 10 ms each it is soon over.
const FIRST_SLICE_RECORDS: usize = 8;
/// Bound on the output of one call, in bytes.
const OUTPUT_BYTES_MAX: u64 = 1024 * 1024;

/// The step.
pub struct ModelStep {
    name: Arc<str>,
    runner: Arc<dyn Runner>,
    /// Where predictions are to be checked against the model's output schema.
    validator: Option<Arc<Validator>>,
    emitter: Emitter,
    stop: Stop,
    answer: Answer,
    rejections: Vec<Rejection>,
    slices: Slices,
}

impl ModelStep {
    /// `name` stands in rejects and in the lines of a run.
    pub fn new(
        name: &str,
        runner: Arc<dyn Runner>,
        emit: Emit,
        validator: Option<Arc<Validator>>,
        stop: Stop,
    ) -> Self {
        ModelStep {
            name: name.into(),
            runner,
            validator,
            emitter: Emitter::new(emit),
            stop,
            answer: Answer::default(),
            rejections: Vec::new(),
            slices: Slices::default(),
        }
    }
}

impl Step for ModelStep {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn another(&self) -> Box<dyn Step> {
        Box::new(ModelStep::new(
            &self.name,
            self.runner.clone(),
            self.emitter.emit().clone(),
            self.validator.clone(),
            self.stop.clone(),
        ))
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<(), StepError> {
        let mut text = batch.new_text();
        let mut done = 0;
        while done < batch.len() {
            if self.stop.is_set() {
                return Err(StepError::Stopped);
            }
            let slice = self.slices.next(batch.len() - done);
            let question = Ask {
                bytes: batch.bytes(),
                records: &batch.spans()[done..done + slice],
                output_bytes_max: OUTPUT_BYTES_MAX,
            };
            let began = Instant::now();
            let answers = ask(&*self.runner, question, &mut self.answer)?;
            self.slices.took(answers.len(), began.elapsed());
            if answers.is_empty() {
                return Err(ModelError::NoProgress { asked: slice }.into());
            }
            for (record, answered) in (done..).zip(answers.iter()) {
                let (kind, path, message) = match answered {
                    Answered::Prediction(prediction) => {
                        let emitted = checked(self.validator.as_deref(), prediction)
                            .and_then(|()| {
                                let record = batch.record(record);
                                if !text.has_room_for(record.len() + prediction.len() + 64) {
                                    return Err(too_long());
                                }
                                self.emitter
                                    .write(record, prediction, text.buffer())
                                    .map_err(|cannot| (cannot.kind, cannot.path, cannot.message))
                            });
                        match emitted {
                            Ok(()) => {
                                text.complete(record);
                                continue;
                            }
                            Err(why) => {
                                text.take_back();
                                why
                            }
                        }
                    }
                    Answered::Failed { kind, path, message } if is_broken(kind) => {
                        let position = batch.position(record);
                        return Err(ModelError::Broken(format!(
                            "{}{message} (at line {}, byte {})",
                            if path.is_empty() { String::new() } else { format!("{path}: ") },
                            position.line,
                            position.byte
                        ))
                        .into());
                    }
                    Answered::Failed { kind, path, message } => {
                        (RejectKind::from_border(kind), path.into_owned(), message.into_owned())
                    }
                    Answered::NotText => wrong_output("it is not UTF-8", String::new()),
                };
                let step = self.name.clone();
                self.rejections.push(Rejection { record, kind, path, message, step });
            }
            done += answers.len();
        }
        batch.rewrite(text, &mut self.rejections);
        Ok(())
    }
}

type Why = (RejectKind, String, String);

fn wrong_output(what: &str, path: String) -> Why {
    (RejectKind::WrongOutput, path, format!("the model's prediction is wrong: {what}"))
}

fn too_long() -> Why {
    let message = "the predictions of one batch are over 4 GiB long";
    (RejectKind::NotWritable, String::new(), message.to_owned())
}

/// Checks a prediction against the output schema, where that was asked for.
fn checked(validator: Option<&Validator>, prediction: &str) -> Result<(), Why> {
    let Some(validator) = validator else { return Ok(()) };
    let value = serde_json::from_str(prediction)
        .map_err(|error| wrong_output(&error.to_string(), String::new()))?;
    validator.validate(&value).map_err(|error| {
        let path = error.instance_path().to_string();
        wrong_output(&format!("it breaks the model's output schema: {error}"), path)
    })
}

/// How many records to ask about at once.
struct Slices {
    records: usize,
}

impl Default for Slices {
    fn default() -> Self {
        Slices { records: FIRST_SLICE_RECORDS }
    }
}

impl Slices {
    fn next(&self, left: usize) -> usize {
        self.records.min(left)
    }

    /// So many records took so long: the next call is to take [`SLICE`]. It grows at most by eight
    /// times, since the first records of a model may be cheap ones.
    fn took(&mut self, records: usize, time: Duration) {
        let fitting = records as f64 * SLICE.as_secs_f64() / time.as_secs_f64().max(1e-9);
        self.records = (fitting as usize).min(self.records.saturating_mul(8)).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_takes_about_fifty_milliseconds_whatever_a_record_takes() {
        for (per_record, expected) in [
            (Duration::from_millis(10), 4..=5),
            (Duration::from_secs(1), 1..=1),
            (Duration::from_micros(1), 40_000..=60_000),
        ] {
            let mut slices = Slices::default();
            for _ in 0..10 {
                let records = slices.next(usize::MAX);
                slices.took(records, per_record * records as u32);
            }
            assert!(expected.contains(&slices.next(usize::MAX)), "{per_record:?}");
        }
    }

    #[test]
    fn a_slice_is_never_more_than_is_left() {
        assert_eq!(Slices::default().next(3), 3);
    }
}
