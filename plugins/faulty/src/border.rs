//! Faults at the border: an honest answer is taken apart, spoilt record by record, and put together
//! again.

use crate::fault;
use model_abi_layout::{Answer, RVec, RecordError, Request};

/// What is answered to one record.
pub(crate) enum Reply {
    Prediction(Vec<u8>),
    Refused { kind: u32, path: String, message: String },
}

/// A fault: what it makes of the reply to a record.
type Spoil = fn(record: &[u8], reply: &mut Reply);

/// By the name of the check that catches it.
const FAULTS: &[(&str, Spoil)] = &[];

/// Faults that end the process: on which records.
const CRASHES: &[(&str, fn(&[u8]) -> bool)] = &[];

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
