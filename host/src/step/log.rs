//! The prediction log: a line for each prediction, with what it was made of and who made it. What each
//! field is, and what is promised, `docs/prediction-log.md` says.
//!
//! A model's step writes the lines, since it alone has record, prediction and notes at hand, and puts
//! them aside. The node `log` takes them from there and passes them on.
//!
//! A record that can't be logged gets no prediction, whether it is in the sample or not: which
//! predictions there are must not depend on which are logged.

use super::Why;
use super::sample::Sampler;
use crate::batch::{Batch, Text};
use crate::json::{Scanner, Shape};
use crate::record::{Lines, RecordPosition, RejectKind};
use crate::run_time::RunTime;
use crate::spec::SampleSpec;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::str::Utf8Error;
use std::sync::Arc;

/// What is written for a prediction besides the parts that are as long as they are, at most: the names
/// of fields, two numbers, an id that is derived.
const EXTRA_BYTES: usize = 256;

/// What a model's step logs of its predictions.
#[derive(Clone, Debug)]
pub struct Logging {
    /// The field of the model's input that identifies a prediction; `None`: an id is derived.
    pub id: Option<String>,
    /// Which predictions; `None`: all.
    pub sample: Option<SampleSpec>,
    /// Whether the model is asked for notes on those.
    pub trace: bool,
    /// The name of the model's node.
    pub node: String,
    /// The time of the run.
    pub time: RunTime,
    /// The model's qualified name.
    pub model: String,
    /// Its version: `0.1`.
    pub version: String,
    /// SHA-256 of the plugin's file, in hexadecimal.
    pub plugin_sha256: String,
}

/// What one instance of a model's step logs.
pub(super) struct Log {
    logging: Arc<Logging>,
    /// What stands in all lines between the id and the source.
    head: String,
    /// What all derived ids are made from at first,
    key: Sha256,
    /// and those of the source of the record before: nearly always that of the next.
    key_of_source: Sha256,
    source: Arc<str>,
    /// That source's name as JSON.
    source_json: String,
    sampler: Option<Sampler>,
    /// For each record of the batch whether it is in the sample, where there is one.
    sampled: Vec<bool>,
    input: Scanner,
    notes: Scanner,
    text: Text,
}

/// A prediction to be logged.
pub(super) struct Entry<'a> {
    /// The record's index in the batch.
    pub(super) record: usize,
    /// Where it stood.
    pub(super) place: (&'a Arc<str>, RecordPosition),
    /// Where its line is counted from.
    pub(super) lines: Lines,
    /// See [`ordinals`].
    pub(super) ordinal: u64,
    /// The record, which may not be JSON.
    pub(super) input: &'a [u8],
    /// The prediction, which is.
    pub(super) output: &'a str,
    /// What the model noted, which may not be JSON; empty: nothing.
    pub(super) notes: Result<&'a str, Utf8Error>,
}

/// For each record how many before it were made of the same one that was read, whose index `origins`
/// tells. They are always in one batch.
pub(super) fn ordinals(origins: &[u32]) -> impl Iterator<Item = u64> {
    let mut before = None;
    origins.iter().map(move |&origin| {
        let ordinal = before.filter(|&(of, _)| of == origin).map_or(0, |(_, ordinal)| ordinal + 1);
        before = Some((origin, ordinal));
        ordinal
    })
}

impl Log {
    pub(super) fn new(logging: Arc<Logging>) -> Self {
        let Logging { node, time, model, version, plugin_sha256, .. } = &*logging;
        let key = keyed(&keyed(&Sha256::new(), time.as_str()), node);
        let [time, model, version, plugin] =
            [time.as_str(), model, version, plugin_sha256].map(json);
        let names = format!(r#""model":{model},"version":{version},"plugin_sha256":{plugin}"#);
        Log {
            head: format!(r#","time":{time},{names},"source":"#),
            key_of_source: keyed(&key, ""),
            key,
            source: "".into(),
            source_json: json(""),
            sampler: logging.sample.map(Sampler::new),
            sampled: Vec::new(),
            input: Scanner::inside(1),
            notes: Scanner::inside(1),
            text: Text::default(),
            logging,
        }
    }

    /// Another instance, for another worker.
    pub(super) fn another(&self) -> Self {
        Log::new(self.logging.clone())
    }

    /// A batch begins.
    pub(super) fn begin(&mut self, batch: &mut Batch) {
        self.text = batch.new_text();
        if let Some(sampler) = &mut self.sampler {
            let places = batch.places();
            self.sampled.clear();
            self.sampled.extend(places.map(|(source, position)| sampler.is_in(source, position)));
        }
    }

    /// The batch ends: its lines.
    pub(super) fn end(&mut self) -> Text {
        std::mem::take(&mut self.text)
    }

    /// Whether the model is to note how it comes to its prediction for a record, and how many records
    /// from there on can be asked about in one call, as far as that goes. It may come to other
    /// predictions where it notes how, so for which it does must depend on nothing but the record.
    pub(super) fn asks(&self, record: usize) -> (bool, usize) {
        let is_traced = self.logging.trace && self.is_in(record);
        let same = match self.logging.trace && self.sampler.is_some() {
            true => self.sampled[record..].iter().take_while(|&&is_in| is_in == is_traced).count(),
            false => usize::MAX,
        };
        (is_traced, same)
    }

    fn is_in(&self, record: usize) -> bool {
        self.sampler.is_none() || self.sampled[record]
    }

    /// Logs a prediction, if it is in the sample. On an error, nothing.
    pub(super) fn write(&mut self, entry: &Entry<'_>) -> Result<(), Why> {
        let input = str::from_utf8(entry.input)
            .map_err(|error| Why::new(RejectKind::InvalidUtf8, error.to_string()))?;
        self.input.scan(input).map_err(|fault| {
            Why::new(RejectKind::InvalidJson, format!("can't go on into the log: {fault}"))
        })?;
        let id = match &self.logging.id {
            Some(field) => Some(self.id(field, input)?),
            None => None,
        };
        if !self.is_in(entry.record) {
            return Ok(());
        }
        let notes = if self.logging.trace { Some(self.noted(entry.notes)?) } else { None };
        let (source, RecordPosition { line, byte }) = entry.place;
        self.turn_to(source);

        let (input, output) = (input.trim_ascii(), entry.output.trim_ascii());
        let parts =
            [id, notes, Some(&self.head), Some(&self.source_json), Some(input), Some(output)];
        let bytes = parts.iter().flatten().map(|part| part.len()).sum::<usize>() + EXTRA_BYTES;
        if !self.text.has_room_for(bytes) {
            let message = "the log of one batch is over 4 GiB long";
            return Err(Why::new(RejectKind::NotWritable, message));
        }
        let log = self.text.buffer();
        log.reserve(bytes);
        let (line_name, numbers) = (entry.lines.name(), [line, byte, entry.ordinal]);
        match id {
            Some(id) => write!(log, r#"{{"id":{id}"#),
            None => write!(log, r#"{{"id":"{:032x}""#, derived(&self.key_of_source, numbers)),
        }
        .and_then(|()| write!(log, "{}{}", self.head, self.source_json))
        .and_then(|()| write!(log, r#","{line_name}":{line},"byte":{byte}"#))
        .and_then(|()| write!(log, r#","input":{input},"output":{output}"#))
        .and_then(|()| notes.map_or(Ok(()), |notes| write!(log, r#","trace":{notes}"#)))
        .expect("a buffer takes all");
        log.push(b'}');
        self.text.complete(entry.record);
        Ok(())
    }

    /// What identifies the prediction in the record, as it stands there.
    fn id<'a>(&self, field: &str, input: &'a str) -> Result<&'a str, Why> {
        let member = self.input.members().iter().find(|member| member.is_named(field, input));
        let fault = match member.map(|member| member.value.of(input)) {
            Some(id) if id.starts_with(|c| matches!(c, '"' | '-' | '0'..='9')) => return Ok(id),
            Some(_) => "must be a text or a number",
            None => "is missing",
        };
        let message = format!("the field that identifies the prediction in the log {fault}");
        Err(Why { path: field.to_owned(), ..Why::new(RejectKind::Schema, message) })
    }

    /// What the model noted, as it is written.
    fn noted<'a>(&mut self, notes: Result<&'a str, Utf8Error>) -> Result<&'a str, Why> {
        let fault = match notes.map(|notes| (notes, self.notes.scan(notes))) {
            Ok(("", _)) => return Ok("null"),
            Ok((notes, Ok(Shape::Object))) => return Ok(notes.trim_ascii()),
            Ok((_, Ok(_))) => "they are not an object".to_owned(),
            Ok((_, Err(fault))) => fault.to_string(),
            Err(_) => "they are not UTF-8".to_owned(),
        };
        let message = format!("what the model notes on its prediction is wrong: {fault}");
        Err(Why::new(RejectKind::WrongOutput, message))
    }

    fn turn_to(&mut self, source: &Arc<str>) {
        if *source != self.source {
            self.key_of_source = keyed(&self.key, source);
            self.source_json = json(source);
            self.source = source.clone();
        }
    }
}

/// The digest's state behind one more part of an id.
fn keyed(key: &Sha256, part: &str) -> Sha256 {
    key.clone().chain_update(part).chain_update([0])
}

/// The id of the prediction for a record, by its line, its byte and its ordinal: the first 128 bits of
/// the SHA-256 of six texts, a NUL behind each: the time of the run, the name of the model's node, the
/// source, and these three in decimal. It must stay so: people find predictions by it.
fn derived(key_of_source: &Sha256, numbers: [u64; 3]) -> u128 {
    let mut text = [0; 3 * 21]; // 64 bits are 20 digits
    let mut rest = &mut text[..];
    for number in numbers {
        write!(rest, "{number}\0").expect("it has room");
    }
    let unused = rest.len();
    let text = &text[..text.len() - unused];
    let digest = key_of_source.clone().chain_update(text).finalize();
    u128::from_be_bytes(digest[..16].try_into().expect("a digest is longer"))
}

fn json(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}

#[cfg(test)]
mod tests;
