//! Faults at the border: an honest answer is taken apart, spoilt record by record, and put together
//! again.

use crate::fault;
use model_abi_layout::{Answer, RVec, RecordError, Request, kind};
use serde_json::{Map, Value};

/// What is answered to one record.
pub(crate) enum Reply {
    Prediction(Vec<u8>),
    Refused { kind: u32, path: String, message: String },
}

/// A fault: what it makes of the reply to a record.
type Spoil = fn(record: &[u8], reply: &mut Reply);

/// Whether a record is one that a fault shows on.
type Shows = fn(record: &[u8]) -> bool;

/// By the name of the check that catches it.
const FAULTS: &[(&str, Spoil)] = &[
    ("generated-inputs-fit-the-type", |record, reply| {
        if is_of_two_sides(record) {
            reply.refuse(kind::SCHEMA);
        }
    }),
    ("predictions-are-sound-json", |record, reply| {
        if is_of_two_sides(record) {
            *reply = Reply::Prediction(br#"{"euros":1,"class":"small","euros":1}"#.to_vec());
        }
    }),
    ("white-space-is-nothing", |record, reply| {
        if holds(record, "\t") {
            reply.refuse(kind::VALUE);
        }
    }),
    ("field-order-is-nothing", |record, reply| {
        if place(record, "\"weight_kg\"") < place(record, "\"content\"") {
            reply.refuse(kind::VALUE);
        }
    }),
    ("escapes-are-nothing", |record, reply| {
        if holds(record, "\\u006") {
            reply.refuse(kind::VALUE);
        }
    }),
    ("not-an-object-is-an-error", |_, reply| reply.predict_instead_of("expected a JSON object")),
    ("cut-records-are-errors", |record, reply| {
        if record.starts_with(b"{\"") {
            reply.predict_instead_of("EOF while parsing");
        }
    }),
    ("trailing-text-is-an-error", |_, reply| reply.predict_instead_of("trailing characters")),
    ("any-text", |record, reply| {
        if holds(record, "\u{feff}") && std::str::from_utf8(record).is_ok() {
            *reply = Reply::error(kind::PANIC);
        }
    }),
    ("doubled-fields-are-errors", |_, reply| reply.predict_instead_of("duplicate field")),
    ("missing-fields-are-errors", |_, reply| reply.predict_instead_of("missing field")),
    ("missing-optionals-are-fine", |record, reply| {
        if fields(record).is_some_and(|fields| !fields.contains_key("note")) {
            reply.refuse(kind::SCHEMA);
        }
    }),
    ("wrong-types-are-errors", |_, reply| reply.predict_instead_of("invalid type")),
    ("errors-say-where", |_, reply| {
        if let Reply::Refused { path, message, .. } = reply
            && message.contains("invalid type")
        {
            path.clear();
        }
    }),
    ("errors-say-why", |_, reply| {
        if let Reply::Refused { message, .. } = reply
            && message.contains("trailing characters")
        {
            message.clear();
        }
    }),
    ("unknown-fields-change-nothing", |record, reply| {
        if fields(record).is_some_and(|fields| fields.len() > 8) {
            reply.refuse(kind::VALUE);
        }
    }),
    ("numbers-out-of-range", |_, reply| reply.predict_instead_of("number out of range")),
];

/// Faults that end the process: on which records.
const CRASHES: &[(&str, Shows)] = &[
    ("any-bytes", |record| std::str::from_utf8(record).is_err()),
    ("deep-nesting", |record| holds(record, "[[[[[[[[[[[[[[[[")),
];

impl Reply {
    fn error(kind: u32) -> Self {
        Reply::Refused { kind, path: String::new(), message: "for no reason".to_owned() }
    }

    /// No prediction, where there was one.
    fn refuse(&mut self, kind: u32) {
        if let Reply::Prediction(_) = self {
            *self = Reply::error(kind);
        }
    }

    /// A prediction, where there was an error of these words.
    fn predict_instead_of(&mut self, words: &str) {
        if let Reply::Refused { message, .. } = self
            && message.contains(words)
        {
            *self = Reply::Prediction(br#"{"euros":1.0,"class":"small"}"#.to_vec());
        }
    }
}

fn place(record: &[u8], text: &str) -> Option<usize> {
    record.windows(text.len()).position(|window| window == text.as_bytes())
}

fn holds(record: &[u8], text: &str) -> bool {
    place(record, text).is_some()
}

fn fields(record: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(record).ok()
}

fn is_of_two_sides(record: &[u8]) -> bool {
    let fields = fields(record);
    let sides = fields.as_ref().and_then(|fields| fields.get("sides_cm")?.as_array());
    sides.is_some_and(|sides| sides.len() == 2)
}

fn records<'a>(request: &Request<'a>) -> impl Iterator<Item = &'a [u8]> {
    let bytes = request.bytes.as_slice();
    let spans = request.records.as_slice().iter();
    spans.filter_map(|span| bytes.get(span.start as usize..)?.get(..span.len as usize))
}

/// Ends the process where the fault says so.
pub(crate) fn crash(request: &Request<'_>) {
    if let Some((_, dies_of)) = CRASHES.iter().find(|(name, _)| fault(name))
        && records(request).any(dies_of)
    {
        std::process::abort();
    }
}

/// Spoils an answer where the fault says so.
pub(crate) fn spoil(request: &Request<'_>, answer: &mut Answer) {
    let Some((_, spoil)) = FAULTS.iter().find(|(name, _)| fault(name)) else { return };
    let mut replies = replies(answer);
    for (record, reply) in records(request).zip(&mut replies) {
        spoil(record, reply);
    }
    write(&replies, answer);
}

pub(crate) fn replies(answer: &Answer) -> Vec<Reply> {
    let (mut start, mut text_start) = (0, 0);
    let mut errors = answer.errors.iter().peekable();
    let mut replies = Vec::new();
    for (record, &end) in answer.output_ends.iter().enumerate() {
        let prediction = answer.output[start..end as usize].to_vec();
        start = end as usize;
        let Some(error) = errors.next_if(|error| error.record as usize == record) else {
            replies.push(Reply::Prediction(prediction));
            continue;
        };
        let text = String::from_utf8_lossy(&answer.error_text[text_start..error.text_end as usize]);
        let (path, message) = text.split_at(error.path_len as usize);
        text_start = error.text_end as usize;
        let (path, message) = (path.to_owned(), message.to_owned());
        replies.push(Reply::Refused { kind: error.kind, path, message });
    }
    replies
}

pub(crate) fn write(replies: &[Reply], answer: &mut Answer) {
    let (mut output, mut ends, mut errors, mut text) = (vec![], vec![], vec![], vec![]);
    for (record, reply) in replies.iter().enumerate() {
        match reply {
            Reply::Prediction(prediction) => output.extend_from_slice(prediction),
            Reply::Refused { kind, path, message } => {
                text.extend_from_slice(path.as_bytes());
                text.extend_from_slice(message.as_bytes());
                errors.push(RecordError {
                    record: record as u32,
                    kind: *kind,
                    path_len: path.len() as u32,
                    text_end: text.len() as u32,
                    reserved: [0; 2],
                });
            }
        }
        ends.push(output.len() as u32);
    }
    answer.output = RVec::from(output);
    answer.output_ends = RVec::from(ends);
    answer.errors = RVec::from(errors);
    answer.error_text = RVec::from(text);
}
