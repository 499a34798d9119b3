//! Serves one loaded model: a block of records in, a prediction or an error for each.
//!
//! A model without a batch form is served record by record: parse, predict, write, while the
//! record is in the cache. A model with one is given [`CHUNK_RECORDS`] parsed records at a time;
//! where that panics, the records are done one by one, so that a panic costs one record.

use crate::answer::Draft;
use crate::model::{MLModel, PredictError, Trace};
use crate::output;
use crate::panics::catch;
use crate::parse::{self, Failure, Text};
use model_abi_layout::{Control, FLAG_TRACE, PROGRESS_NOT_TOLD, Request, Span, kind};
use serde::de::DeserializeOwned;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

/// How many parsed records a model's batch form is given at once: enough to fill any SIMD width
/// and to make a matrix of, few enough that they stay in the cache, and that an allocator which
/// gives large pieces back to the system (as glibc's does) keeps what they and their answers take.
const CHUNK_RECORDS: usize = 256;

/// A call stops here whatever bound the host gave. Half of what 32-bit offsets reach: the text of
/// one more error always fits.
const TEXT_BYTES_MAX: u64 = 1 << 31;

/// A loaded model, whatever its type.
pub trait Loaded: Send + Sync {
    /// Answers the request from its first record on, as far as it gets. An error holds for the
    /// whole call.
    fn predict(&self, request: &Request<'_>, draft: &mut Draft) -> Result<(), Failure>;
}

pub(crate) struct Served<M> {
    model: M,
    /// Whether the model has a batch form; known from the first batch on.
    has_batch_form: OnceLock<bool>,
}

impl<M: MLModel> Served<M> {
    pub(crate) fn new(model: M) -> Self {
        Served { model, has_batch_form: OnceLock::new() }
    }

    fn one_by_one(&self, call: &Call<'_>, draft: &mut Draft) {
        settle_each(
            draft,
            |draft| call.goes_on(draft),
            |record, draft| {
                call.tell(record);
                let input = parse::record(call.text(record))?;
                self.predict_into(call, &input, draft)
            },
        );
    }

    fn predict_into(
        &self,
        call: &Call<'_>,
        input: &M::Input,
        draft: &mut Draft,
    ) -> Result<(), Failure> {
        if !call.traced {
            return output::write(&self.model.predict(input)?, &mut draft.output);
        }
        let mut trace = Trace::default();
        output::write(&self.model.predict_traced(input, &mut trace)?, &mut draft.output)?;
        if trace.notes.is_empty() {
            return Ok(());
        }
        output::write(&trace.notes, &mut draft.notes)
    }

    fn in_chunks(&self, call: &Call<'_>, draft: &mut Draft) -> Result<(), Failure> {
        let mut inputs = Vec::with_capacity(CHUNK_RECORDS.min(call.records.len()));
        let mut failures = Vec::new();
        while call.goes_on(draft) {
            let first = draft.answered();
            let end = call.records.len().min(first + CHUNK_RECORDS);
            inputs.clear();
            call.parse(first..end, &mut inputs, &mut failures);
            call.tell_nothing();
            let mut answers = self.predict_chunk(&inputs)?.map(Vec::into_iter);
            // What a batch form has answered is written to its end, whatever the bounds: it would
            // have to be computed again.
            let may_stop = answers.is_none();
            let goes_on =
                |draft: &Draft| draft.answered() < end && (!may_stop || call.goes_on(draft));
            let mut inputs = inputs.iter();
            let mut failures = failures.drain(..).peekable();
            let all_fit = settle_each(draft, goes_on, |record, draft| {
                if let Some((_, failure)) = failures.next_if(|(failed, _)| *failed == record) {
                    return Err(failure);
                }
                let input = inputs.next().expect("a record that did not fail has an input");
                let Some(answers) = &mut answers else {
                    call.tell(record);
                    return self.predict_into(call, input, draft);
                };
                let answer = answers.next().expect("predict_chunk counted the answers");
                output::write(&answer?, &mut draft.output)
            });
            if !all_fit {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The answers of the model's batch form, one for each input. `None`: it has none, or panicked,
    /// and the records are to be done one by one (where the panic is told again, by its record).
    #[expect(clippy::type_complexity, reason = "the trait's own type")]
    fn predict_chunk(
        &self,
        inputs: &[M::Input],
    ) -> Result<Option<Vec<Result<M::Output, PredictError>>>, Failure> {
        if inputs.is_empty() {
            return Ok(Some(Vec::new())); // no record of the chunk could be parsed
        }
        let Ok(answers) = catch(|| self.model.predict_batch(inputs)) else { return Ok(None) };
        let _ = self.has_batch_form.set(answers.is_some());
        match answers {
            Some(answers) if answers.len() != inputs.len() => Err(Failure::new(
                kind::WRONG_COUNT,
                format!(
                    "predict_batch returned {} predictions for {} inputs",
                    answers.len(),
                    inputs.len()
                ),
            )),
            answers => Ok(answers),
        }
    }
}

impl<M: MLModel> Loaded for Served<M> {
    fn predict(&self, request: &Request<'_>, draft: &mut Draft) -> Result<(), Failure> {
        let call = Call::new(request)?;
        if call.traced || self.has_batch_form.get() == Some(&false) {
            self.one_by_one(&call, draft);
        } else {
            self.in_chunks(&call, draft)?;
        }
        call.tell_nothing();
        Ok(())
    }
}

/// Answers one record after the other while it goes on; a panic is its record's failure. False: one
/// did not fit.
fn settle_each(
    draft: &mut Draft,
    goes_on: impl Fn(&Draft) -> bool,
    mut answer: impl FnMut(usize, &mut Draft) -> Result<(), Failure>,
) -> bool {
    // One catch for many records: it is left only when one panics.
    while goes_on(draft) {
        let caught = catch(|| {
            while goes_on(draft) {
                let done = answer(draft.answered(), draft);
                if !settle(done, draft) {
                    return false;
                }
            }
            true
        });
        match caught {
            Ok(true) => {}
            Ok(false) => return false,
            Err(message) => draft.fail(&Failure::new(kind::PANIC, message)),
        }
    }
    true
}

/// Ends the record: its prediction is complete, or it failed. False: it did not fit.
fn settle(done: Result<(), Failure>, draft: &mut Draft) -> bool {
    match done {
        Ok(()) => {
            let fits = draft.complete();
            if !fits && draft.answered() == 0 {
                // Alone, and still too long: it will never fit.
                draft.fail(&Failure::new(kind::NOT_WRITABLE, "the prediction is over 4 GiB long"));
            }
            fits
        }
        Err(failure) => {
            draft.fail(&failure);
            true
        }
    }
}

impl From<PredictError> for Failure {
    fn from(error: PredictError) -> Self {
        Failure { kind: error.kind, path: error.path, message: error.message }
    }
}

/// A request whose spans have been checked.
struct Call<'a> {
    bytes: &'a [u8],
    /// The bytes from the first record up to the last, and where they begin: one check for UTF-8 is
    /// cheaper than one a record.
    text: Option<&'a str>,
    text_start: usize,
    records: &'a [Span],
    control: Option<&'a Control>,
    text_bytes_max: usize,
    traced: bool,
}

impl<'a> Call<'a> {
    fn new(request: &Request<'a>) -> Result<Self, Failure> {
        let mut call = Call {
            bytes: request.bytes.as_slice(),
            text: None,
            text_start: 0,
            records: request.records.as_slice(),
            control: control(request),
            text_bytes_max: request.output_bytes_max.min(TEXT_BYTES_MAX) as usize,
            traced: request.flags & FLAG_TRACE != 0,
        };
        let outside = |span: &Span| {
            call.bytes
                .get(span.start as usize..)
                .and_then(|rest| rest.get(..span.len as usize))
                .is_none()
        };
        if let Some(record) = call.records.iter().position(outside) {
            return Err(Failure::new(
                kind::WRONG_REQUEST,
                format!("the host's request is wrong: record {record} lies outside of its bytes"),
            ));
        }
        if let (Some(first), Some(last)) = (call.records.first(), call.records.last()) {
            call.text_start = first.start as usize;
            let end = last.start as usize + last.len as usize;
            let bytes = call.bytes.get(call.text_start..end); // none where they stand in no order
            call.text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
        }
        Ok(call)
    }

    fn text(&self, record: usize) -> Text<'a> {
        let Span { start, len } = self.records[record];
        let (start, len) = (start as usize, len as usize);
        let in_text = self.text.zip(start.checked_sub(self.text_start));
        match in_text.and_then(|(text, start)| text.get(start..)?.get(..len)) {
            Some(text) => Ok(text),
            None => parse::text(&self.bytes[start..][..len]),
        }
    }

    /// Parses a chunk of the records: those that can't be parsed become failures, with their index.
    fn parse<T: DeserializeOwned>(
        &self,
        chunk: Range<usize>,
        inputs: &mut Vec<T>,
        failures: &mut Vec<(usize, Failure)>,
    ) {
        let Range { start: mut record, end } = chunk;
        while record < end {
            let caught = catch(|| {
                while record < end {
                    self.tell(record);
                    match parse::record(self.text(record)) {
                        Ok(input) => inputs.push(input),
                        Err(failure) => failures.push((record, failure)),
                    }
                    record += 1;
                }
            });
            if let Err(message) = caught {
                failures.push((record, Failure::new(kind::PANIC, message)));
                record += 1;
            }
        }
    }

    fn goes_on(&self, draft: &Draft) -> bool {
        draft.answered() < self.records.len() && !self.is_full(draft) && !self.is_cancelled()
    }

    fn is_full(&self, draft: &Draft) -> bool {
        // At least one record, whatever the bound: a call that answers none would never end.
        draft.answered() > 0 && draft.text_bytes() >= self.text_bytes_max
    }

    fn is_cancelled(&self) -> bool {
        self.control.is_some_and(|control| control.cancel.load(Ordering::Relaxed) != 0)
    }

    fn tell(&self, record: usize) {
        self.tell_progress(record as u64);
    }

    fn tell_nothing(&self) {
        self.tell_progress(PROGRESS_NOT_TOLD);
    }

    fn tell_progress(&self, progress: u64) {
        if let Some(control) = self.control {
            control.progress.store(progress, Ordering::Relaxed);
        }
    }
}

#[expect(unsafe_code, reason = "the control block is a pointer, since it may be null")]
fn control<'a>(request: &Request<'a>) -> Option<&'a Control> {
    // SAFETY: null, or valid for the call, as the host promises in `Request::control`; all of its
    // words are atomics, so that both sides may hold it.
    unsafe { request.control.as_ref() }
}
