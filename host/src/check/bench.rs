//! Where a check works: one plugin, one model, opened as far as the check needs it, and the ways of
//! asking that many checks share.
//!
//! What can't be had is a [`Finding::NotRun`]: some other check is there to blame it.

use super::generate::{Generator, Rng};
use super::{Finding, Task, Told, Verdict, fail, not_run, shorten};
use crate::causes::chain;
use crate::plugin::Image;
use crate::plugin::look::{self, Looked};
use crate::plugin::probe::{self, Probe, ProbedModel, Question};
use crate::plugin::runner::Answered;
use crate::record::RejectKind;
use jsonschema::Validator;
use model_abi::describe::{ModelDescription, PluginDescription};
use model_abi::{Example, LoadContext};
use model_abi_layout::{Answer, Span, kind};
use serde_json::Value;
use std::borrow::Borrow;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How many generated inputs are tried for each one that is wanted: some don't fit the schema.
const TRIES: usize = 4;

/// A plugin, a model of it, and what a check may want of them.
pub(super) struct Bench {
    pub(super) image: Image,
    /// The config to load models with, a JSON text.
    pub(super) config: String,
    /// Where all that is random begins.
    pub(super) seed: u64,
    /// A check that could go on for long ends by then: at half its deadline.
    half_time: Instant,
    /// How long one record takes.
    cost: OnceLock<Duration>,
    model_name: Option<String>,
    result: File,
    looked: OnceLock<Looked>,
    probe: OnceLock<Probe>,
    description: OnceLock<ModelDescription>,
    model: OnceLock<ProbedModel>,
}

/// What a model said to one record.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    /// A text that should be JSON.
    Prediction(String),
    /// An error.
    Refused { kind: u32, path: String, message: String },
    /// A prediction that is not even UTF-8.
    NotText,
}

impl Reply {
    /// Whether it is an error of this kind.
    pub(super) fn is_kind(&self, wanted: u32) -> bool {
        matches!(self, Reply::Refused { kind, .. } if *kind == wanted)
    }

    /// The prediction as JSON; `None` where it is an error, or no JSON.
    pub(super) fn json(&self) -> Option<Value> {
        match self {
            Reply::Prediction(text) => serde_json::from_str(text).ok(),
            _ => None,
        }
    }

    /// A failure unless `again`, the reply to this record, is the same.
    pub(super) fn is_given_again(&self, record: &str, again: &Reply) -> Verdict {
        if self == again {
            return Ok(());
        }
        fail(format!("to {} it gives {again}, where before it gave {self}", shorten(record)))
    }

    /// A failure where the model panicked on this record.
    pub(super) fn is_no_panic(&self, record: &str) -> Verdict {
        if !self.is_kind(kind::PANIC) {
            return Ok(());
        }
        fail(format!("to {} it gives {self}", shorten(record)))
    }

    /// A failure unless the model refused this record, and without a panic.
    pub(super) fn is_refused(&self, record: &str) -> Verdict {
        match self {
            Reply::Refused { kind, .. } if *kind != kind::PANIC && kind::RECORD.contains(kind) => {
                Ok(())
            }
            _ => fail(format!("to {} it gives {self}, not an error", shorten(record))),
        }
    }
}

/// As a message says it: `{"y":1}`, `an error, schema, at `a.b`: missing field`.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Prediction(text) => write!(f, "the prediction {}", shorten(text)),
            Reply::Refused { kind, path, message } => {
                write!(f, "an error, {}", name(*kind))?;
                if !path.is_empty() {
                    write!(f, ", at `{}`", shorten(path))?;
                }
                write!(f, ": {}", shorten(message))
            }
            Reply::NotText => write!(f, "a prediction that is not UTF-8"),
        }
    }
}

/// The name of a border's kind, as rejects have it.
fn name(kind: u32) -> String {
    match RejectKind::from_border(kind) {
        RejectKind::Record => format!("kind {kind}"), // no name says more than its number
        known => known.name().to_owned(),
    }
}

/// The value in the cell, which is made where it is not there yet.
fn kept<T>(cell: &OnceLock<T>, make: impl FnOnce() -> Result<T, Finding>) -> Result<&T, Finding> {
    match cell.get() {
        Some(value) => Ok(value),
        None => make().map(|value| cell.get_or_init(|| value)),
    }
}

/// Opening it.
impl Bench {
    pub(super) fn new(image: Image, task: Task, result: File) -> Self {
        let Task { model, config, seed, deadline_ms, check: _ } = task;
        Bench {
            image,
            config,
            seed,
            half_time: Instant::now() + Duration::from_millis(deadline_ms / 2),
            cost: OnceLock::new(),
            model_name: model,
            result,
            looked: OnceLock::new(),
            probe: OnceLock::new(),
            description: OnceLock::new(),
            model: OnceLock::new(),
        }
    }

    /// Writes a line to the parent.
    pub(super) fn tell(&self, told: &Told) -> io::Result<()> {
        let line = serde_json::to_string(told)? + "\n";
        (&self.result).write_all(line.as_bytes())
    }

    /// Whether half of the time is over: a check that asks very much must then be content.
    pub(super) fn is_half_time(&self) -> bool {
        Instant::now() >= self.half_time
    }

    /// How many records a check may ask about, at most `wanted`, with a model that is slow.
    pub(super) fn within(&self, wanted: usize) -> Result<usize, Finding> {
        let cost = *kept(&self.cost, || {
            let record = texts(&self.ordinary(1)?);
            let began = Instant::now();
            for _ in 0..3 {
                self.ask_all(&record)?;
            }
            Ok(began.elapsed() / 3)
        })?;
        let left = self.half_time.saturating_duration_since(Instant::now());
        let affordable = left.as_secs_f64() / 2.0 / cost.as_secs_f64().max(1e-9);
        Ok(wanted.min(affordable as usize).max(1))
    }

    /// What the file says without being loaded.
    pub(super) fn looked(&self) -> Result<&Looked, Finding> {
        kept(&self.looked, || look::look_at(&self.image).or_else(|error| not_run(chain(&error))))
    }

    /// The plugin, loaded.
    pub(super) fn probe(&self) -> Result<&Probe, Finding> {
        kept(&self.probe, || {
            let stamp = &self.looked()?.stamp;
            Probe::open(&self.image, stamp).or_else(|error| not_run(chain(&error)))
        })
    }

    /// All that the plugin says of itself; asked anew each time.
    pub(super) fn plugin_description(&self) -> Result<PluginDescription, Finding> {
        let document = self.probe()?.describe();
        serde_json::from_slice(&document).or_else(|error| not_run(error.to_string()))
    }

    /// The name of the model that is checked.
    pub(super) fn model_name(&self) -> Result<&str, Finding> {
        self.model_name.as_deref().map_or_else(|| not_run("its models are not known"), Ok)
    }

    /// What the model says of itself.
    pub(super) fn description(&self) -> Result<&ModelDescription, Finding> {
        kept(&self.description, || {
            let (name, models) = (self.model_name()?, self.plugin_description()?.models);
            let found = models.into_iter().find(|model| model.qualified_name == name);
            found.map_or_else(|| not_run("the description does not hold this model"), Ok)
        })
    }

    /// The model, loaded with the config.
    pub(super) fn model(&self) -> Result<&ProbedModel, Finding> {
        kept(&self.model, || {
            let name = self.model_name()?.as_bytes();
            let loaded = self.probe()?.load(name, self.config.as_bytes(), &self.context(1));
            loaded.model.map_or_else(|| not_run("it can't be loaded"), Ok)
        })
    }

    /// The load context that an honest host gives.
    pub(super) fn context(&self, threads: usize) -> Vec<u8> {
        let context = self.image.context(threads);
        let context = context.unwrap_or_else(|_| LoadContext::new("/", threads));
        serde_json::to_vec(&context).unwrap_or_default()
    }
}

/// Asking.
impl Bench {
    /// The model's reply to one record.
    pub(super) fn ask(&self, record: impl AsRef<[u8]>) -> Result<Reply, Finding> {
        let mut replies = self.ask_all(&[record])?;
        replies.pop().map_or_else(|| fail("it answered nothing"), Ok)
    }

    /// The model's replies to records that are asked about in one batch.
    pub(super) fn ask_all(&self, records: &[impl AsRef<[u8]>]) -> Result<Vec<Reply>, Finding> {
        let model = self.model()?;
        let first = records.first().map_or(&[][..], |record| record.as_ref());
        let first = shorten(&String::from_utf8_lossy(first));
        let asking = match records.len() {
            1 => first,
            many => format!("{many} records in one batch, of which the first is {first}"),
        };
        let _ = self.tell(&Told::Asking(asking));
        ask_model(model, records)
    }
}

/// A model's replies to records that are asked about in one batch. An answer that can't be one is a
/// failure of whichever check comes by it.
pub(super) fn ask_model(
    model: &ProbedModel,
    records: &[impl AsRef<[u8]>],
) -> Result<Vec<Reply>, Finding> {
    let (mut bytes, mut spans) = (Vec::new(), Vec::new());
    for record in records.iter().map(AsRef::as_ref) {
        spans.push(Span { start: bytes.len() as u32, len: record.len() as u32 });
        bytes.extend_from_slice(record);
        bytes.push(b'\n');
    }
    let mut answer = Answer::default();
    let status = model.predict(Question::plain(&bytes, &spans), &mut answer);
    let replies = replies(status, &answer, records.len())?;
    if replies.len() < records.len() {
        let (asked, told) = (records.len(), replies.len());
        return fail(format!("{asked} records were asked about, without bounds; {told} answered"));
    }
    Ok(replies)
}

/// What an answer holds, where it is sound.
pub(super) fn replies(status: u32, answer: &Answer, asked: usize) -> Result<Vec<Reply>, Finding> {
    if status != 0 {
        let text = String::from_utf8_lossy(&answer.error_text).into_owned();
        return fail(format!("its call failed with status {status}: {}", shorten(&text)));
    }
    match probe::answers(answer, asked) {
        Ok(answers) => Ok(answers.iter().map(Reply::from).collect()),
        Err(error) => fail(error.to_string()),
    }
}

impl From<Answered<'_>> for Reply {
    fn from(answered: Answered<'_>) -> Self {
        match answered {
            Answered::Prediction(text) => Reply::Prediction(text.to_owned()),
            Answered::Failed { kind, path, message } => {
                Reply::Refused { kind, path: path.into_owned(), message: message.into_owned() }
            }
            Answered::NotText => Reply::NotText,
        }
    }
}

/// What to ask.
impl Bench {
    /// The validator of a schema of the model's; where it is no schema, `schemas-are-valid` says so.
    pub(super) fn validator(&self, schema: &Value) -> Result<Validator, Finding> {
        jsonschema::validator_for(schema).or_else(|_| not_run("the schema is not a JSON Schema"))
    }

    pub(super) fn rng(&self) -> Rng {
        Rng::new(self.seed)
    }

    /// The model's examples whose inputs fit its input schema.
    pub(super) fn examples(&self) -> Result<Vec<&Example>, Finding> {
        let description = self.description()?;
        let fits = self.validator(&description.input_schema)?;
        let examples = description.examples.iter();
        Ok(examples.filter(|example| fits.is_valid(&example.input)).collect())
    }

    /// As many different inputs as wanted (or as can be had), made up from the input schema.
    pub(super) fn generated(&self, wanted: usize) -> Result<Vec<Value>, Finding> {
        let schema = &self.description()?.input_schema;
        let fits = self.validator(schema)?;
        let mut generator = Generator::new(schema, self.rng());
        let mut inputs: Vec<Value> = Vec::new();
        for _ in 0..wanted * TRIES {
            let input = generator.value(schema);
            if input.as_object().is_some_and(|fields| !fields.is_empty())
                && fits.is_valid(&input)
                && !inputs.contains(&input)
            {
                inputs.push(input);
            }
            if inputs.len() == wanted {
                break;
            }
        }
        if inputs.is_empty() {
            return not_run("no input that fits the input schema could be made up from it");
        }
        Ok(inputs)
    }

    /// Ordinary inputs: those of the examples first, then such as are made up from the schema.
    pub(super) fn ordinary(&self, wanted: usize) -> Result<Vec<Value>, Finding> {
        let mut inputs: Vec<Value> =
            self.examples()?.iter().map(|example| example.input.clone()).collect();
        inputs.truncate(wanted);
        if inputs.len() < wanted {
            match self.generated(wanted - inputs.len()) {
                Ok(more) => inputs.extend(more),
                Err(_) if !inputs.is_empty() => {}
                Err(finding) => return Err(finding),
            }
        }
        Ok(inputs)
    }

    /// Ordinary inputs that get predictions, with these.
    pub(super) fn predicted(&self, wanted: usize) -> Result<Vec<(Value, Reply)>, Finding> {
        let inputs = self.ordinary(wanted)?;
        let replies = self.ask_all(&texts(&inputs))?;
        let both = inputs.into_iter().zip(replies);
        let both: Vec<_> =
            both.filter(|(_, reply)| matches!(reply, Reply::Prediction(_))).collect();
        if both.is_empty() {
            return not_run("no ordinary input gets a prediction");
        }
        Ok(both)
    }
}

/// Inputs as records.
pub(super) fn texts(inputs: &[impl Borrow<Value>]) -> Vec<String> {
    inputs.iter().map(|input| input.borrow().to_string()).collect()
}
