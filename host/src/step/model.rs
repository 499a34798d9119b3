//! The model step: asks the model about every record and writes what becomes of it.
//!
//! A batch is asked for in slices of about `SLICE` of work, so that a slow model can be stopped
//! between two of them, whatever the size of the batch. Where a worker process dies of a slice, smaller
//! ones find the record that it dies of (`search.rs`): that one is rejected, and the others go on.

mod search;

use super::emit::{EXTRA_BYTES, Emit, Emitter};
use super::log::{Entry, Log, Logging, ordinals};
use super::{Step, StepError, Why, path_of};
use crate::batch::{Batch, Rejection, Text};
use crate::plugin::ModelError;
use crate::plugin::runner::{Answered, Ask, Failure, Runner, ask, is_broken};
use crate::record::RejectKind;
use crate::stop::Stop;
use jsonschema::Validator;
use model_abi_layout::Answer;
use search::Search;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long one call should take.
const SLICE: Duration = Duration::from_millis(50);
/// How many records the first call is about: even at 10 ms each it is soon over.
const FIRST_SLICE_RECORDS: usize = 8;
/// Bound on the output of one call, in bytes.
const OUTPUT_BYTES_MAX: u64 = 1024 * 1024;
/// An answer that grew longer, for one very long prediction, is not kept for the next.
const ANSWER_BYTES_KEPT: usize = 4 * 1024 * 1024;

/// The step.
pub struct ModelStep {
    name: Arc<str>,
    runner: Arc<dyn Runner>,
    writer: Writer,
    stop: Stop,
    answer: Answer,
    rejections: Vec<Rejection>,
    /// Of calls that ask for no notes, and of those that do.
    slices: [Slices; 2],
    /// Where predictions are logged.
    log: Option<Box<Log>>,
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
            writer: Writer { emitter: Emitter::new(emit), validator },
            stop,
            answer: Answer::default(),
            rejections: Vec::new(),
            slices: Default::default(),
            log: None,
        }
    }

    /// The same, but puts aside a line for each prediction, for a log.
    pub fn logged(self, logging: Logging) -> Self {
        self.logged_in(Log::new(Arc::new(logging)))
    }

    fn logged_in(mut self, log: Log) -> Self {
        self.log = Some(Box::new(log));
        self.writer.emitter.nest_prediction();
        self
    }
}

impl Step for ModelStep {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn another(&self) -> Box<dyn Step> {
        let step = ModelStep::new(
            &self.name,
            self.runner.clone(),
            self.writer.emitter.emit().clone(),
            self.writer.validator.clone(),
            self.stop.clone(),
        );
        Box::new(match &self.log {
            None => step,
            Some(log) => step.logged_in(log.another()),
        })
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<(), StepError> {
        let mut text = batch.new_text();
        self.rejections.clear(); // a batch that ended in an error may have left some
        if let Some(log) = &mut self.log {
            log.begin(batch);
        }
        let mut places = batch.places().zip(ordinals(batch.origins()));
        let mut done = 0;
        let mut search = Search::default();
        let mut is_measured = true;
        while done < batch.len() {
            if self.stop.is_set() {
                return Err(StepError::Stopped);
            }
            if let Some(death) = search.guilty() {
                let why = Why::new(death.kind, death.message);
                self.rejections.push(why.rejection(done, &self.name));
                places.next();
                done += 1;
                continue;
            }
            let (first, left) = (done, batch.len() - done);
            let (trace, alike) = self.log.as_ref().map_or((false, left), |log| log.asks(first));
            let slices = &mut self.slices[usize::from(trace)];
            let slice = search.next(slices.next(left.min(alike)));
            let question = Ask {
                bytes: batch.bytes(),
                records: &batch.spans()[done..done + slice],
                output_bytes_max: OUTPUT_BYTES_MAX,
                trace,
                is_search: search.is_on(),
            };
            let began = Instant::now();
            let answers = match ask(&*self.runner, question, &mut self.answer) {
                Ok(answers) => answers,
                Err(Failure::Model(error)) => return Err(error.into()),
                Err(Failure::Died(death)) => {
                    if self.stop.is_set() {
                        return Err(StepError::Stopped); // it may have been ended for that
                    }
                    if death.kind == RejectKind::Timeout && death.progress.is_none() {
                        *slices = Slices::default(); // perhaps it was too much for one call
                    }
                    search.died(slice, death);
                    is_measured = false; // another one is started in the time of the next call
                    continue;
                }
            };
            if std::mem::replace(&mut is_measured, true) {
                slices.took(answers.len(), began.elapsed());
            }
            search.answered(answers.len());
            if answers.is_empty() {
                if self.stop.is_set() {
                    return Err(StepError::Stopped); // it was cancelled
                }
                return Err(ModelError::NoProgress { asked: slice }.into());
            }
            // Not a `for`, which copies each answer twice on its way out of the iterator: with a
            // light model that was 3 % of a run.
            answers.iter().try_for_each(|answered| {
                let record = done;
                done += 1;
                if let Answered::Failed { kind, path, message } = &answered
                    && is_broken(*kind)
                {
                    let place = batch.lines_of(record).place(batch.position(record));
                    let path = if path.is_empty() { String::new() } else { format!("{path}: ") };
                    let source = batch.source(record);
                    let message = format!("{path}{message} ({source}: {place})");
                    return Err(ModelError::Broken(message));
                }
                let input = batch.record(record);
                let written = self.writer.write(input, answered, &mut text);
                let logged = match &mut self.log {
                    None => written.map(|_| ()),
                    Some(log) => {
                        let (place, ordinal) = places.next().expect("each record has a place");
                        let notes = answers.notes(record - first);
                        written.and_then(|output| {
                            let lines = batch.lines_of(record);
                            log.write(&Entry {
                                record,
                                place,
                                lines,
                                ordinal,
                                input,
                                output,
                                notes,
                            })
                        })
                    }
                };
                match logged {
                    Ok(()) => text.complete(record),
                    Err(why) => {
                        text.take_back();
                        self.rejections.push(why.rejection(record, &self.name));
                    }
                }
                Ok(())
            })?;
        }
        drop(places);
        if let Some(log) = &mut self.log {
            batch.put_aside(log.end(), false);
        }
        batch.rewrite(text, &mut self.rejections);
        if self.answer.output.capacity().max(self.answer.notes.capacity()) > ANSWER_BYTES_KEPT {
            self.answer = Answer::default();
        }
        Ok(())
    }
}

/// Turns what the model answered into what is written.
struct Writer {
    emitter: Emitter,
    /// Where predictions are to be checked against the model's output schema.
    validator: Option<Arc<Validator>>,
}

impl Writer {
    /// Appends what is written of a record. Its prediction, which is JSON.
    fn write<'a>(
        &mut self,
        record: &[u8],
        answered: Answered<'a>,
        text: &mut Text,
    ) -> Result<&'a str, Why> {
        let prediction = match answered {
            Answered::Prediction(prediction) => prediction,
            Answered::NotText => return Err(Why::wrong_output("it is not UTF-8")),
            Answered::Failed { kind, path, message } => {
                let why = Why::new(RejectKind::from_border(kind), message);
                return Err(Why { path: path.into_owned(), ..why });
            }
        };
        if let Some(validator) = &self.validator {
            let prediction = serde_json::from_str(prediction).map_err(Why::wrong_output)?;
            validator.validate(&prediction).map_err(|error| {
                let why = format!("it breaks the model's output schema: {error}");
                Why { path: path_of(error.instance_path().as_str()), ..Why::wrong_output(why) }
            })?;
        }
        if !text.has_room_for(record.len() + prediction.len() + EXTRA_BYTES) {
            let message = "the predictions of one batch are over 4 GiB long";
            return Err(Why::new(RejectKind::NotWritable, message));
        }
        self.emitter.write(record, prediction, text.buffer())?;
        Ok(prediction)
    }
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
