//! Faults in whole calls: they come of how many records there are, of where they lie, of what the
//! host asked for besides, and not of what stands in them.

use crate::border::{Reply, replies, write};
use crate::{fault, lives};
use model_abi_layout::{Answer, FLAG_TRACE, Model, RVec, RecordError, Request, kind};
use std::cell::RefCell;
use std::ptr;
use std::sync::atomic::Ordering;

/// The status of a call that is refused as a whole.
pub(crate) fn refused(request: &Request<'_>) -> Option<u32> {
    let is_refused = (fault("ordinary-records-are-answered") && request.records.len() == 20)
        || (fault("empty-batch") && request.records.is_empty())
        || (fault("unknown-flags-are-ignored") && request.flags & !FLAG_TRACE != 0)
        || (fault("reserved-words-are-ignored") && request.reserved != [0; 9]);
    is_refused.then_some(kind::WRONG_REQUEST)
}

/// The request as the plugin hears it.
pub(crate) fn heard<'a>(request: &Request<'a>) -> Request<'a> {
    let is_deaf = fault("cancel-is-heeded");
    let control = if is_deaf { ptr::null() } else { request.control };
    Request { control, ..*request }
}

/// What was there before the call.
pub(crate) struct Before {
    model: usize,
    was_used: bool,
    errors: Vec<RecordError>,
    error_text: Vec<u8>,
}

impl Before {
    pub(crate) fn of(model: *const Model, answer: &Answer) -> Self {
        Before {
            model: model.addr(),
            was_used: !answer.output_ends.is_empty(),
            errors: answer.errors.to_vec(),
            error_text: answer.error_text.to_vec(),
        }
    }
}

/// Spoils an answer where the fault says so.
pub(crate) fn spoil(request: &Request<'_>, before: &Before, answer: &mut Answer) {
    if let Some((_, _, spoil)) = FAULTS.iter().find(|(name, when, _)| fault(name) && when(request))
    {
        let mut replies = replies(answer);
        spoil(&mut replies);
        write(&replies, answer);
    }
    if (fault("same-answer-twice") && is_third_time(request, before.model))
        || (fault("same-answer-from-many-threads") && lives::is_other_thread())
        || (fault("one-unloaded-other-lives") && lives::is_bereft())
    {
        let mut replies = replies(answer);
        other_price(replies.first_mut());
        write(&replies, answer);
    }
    if fault("answers-in-parts") && request.output_bytes_max == 1 {
        write(&[], answer);
        answer.answered = 0;
    }
    if fault("progress-is-sound") {
        tell_progress(request);
    }
    if fault("old-answers-are-cleared") && before.was_used {
        answer.errors = RVec::from(before.errors.clone());
        answer.error_text = RVec::from(before.error_text.clone());
    }
    if fault("trace-notes-are-json")
        && let Some(first) = answer.notes.first_mut()
    {
        *first = b'[';
    }
    if fault("no-notes-unasked") && request.flags & FLAG_TRACE == 0 {
        answer.note_ends = RVec::from(vec![0; answer.answered as usize]);
    }
}

type When = fn(&Request<'_>) -> bool;
type Spoil = fn(&mut [Reply]);

/// By the name of the check that catches it.
const FAULTS: &[(&str, When, Spoil)] = &[
    ("batch-equals-one-by-one", |r| r.records.len() == 13, |all| other_price(all.last_mut())),
    ("batch-sizes", |r| r.records.len() == 33, |all| other_price(all.last_mut())),
    (
        "equal-records-get-equal-answers",
        |r| r.records.len() == 500,
        |all| {
            other_price(all.get_mut(137));
        },
    ),
    ("records-lie-anywhere", is_out_of_order, |all| other_price(all.first_mut())),
    ("errors-keep-their-place", |r| r.records.len() > 1 && has_bad(r), |all| all.rotate_right(1)),
];

/// The prediction, where it is one, becomes another.
fn other_price(reply: Option<&mut Reply>) {
    if let Some(Reply::Prediction(price)) = reply {
        *price = br#"{"euros":0.25,"class":"small"}"#.to_vec();
    }
}

fn is_out_of_order(request: &Request<'_>) -> bool {
    request.records.windows(2).any(|pair| pair[1].start < pair[0].start)
}

/// Whether one of the records is the text that the checks of batches take for no JSON.
fn has_bad(request: &Request<'_>) -> bool {
    let bytes = request.bytes.as_slice();
    request.records.iter().any(|span| bytes[span.start as usize..].starts_with(b"{\"cut\n"))
}

/// Whether one record is asked about the third time in succession.
fn is_third_time(request: &Request<'_>, model: usize) -> bool {
    thread_local! {
        static LAST: RefCell<(usize, Vec<u8>, u32)> = const { RefCell::new((0, Vec::new(), 0)) };
    }
    if request.records.len() != 1 {
        return false;
    }
    LAST.with_borrow_mut(|(last_model, last, times)| {
        if *last_model != model || *last != request.bytes.as_slice() {
            (*last_model, *last, *times) = (model, request.bytes.to_vec(), 0);
        }
        *times += 1;
        *times == 3
    })
}

#[expect(unsafe_code, reason = "the control block may be null")]
fn tell_progress(request: &Request<'_>) {
    // SAFETY: null, or valid for the call, as the host promises.
    if let Some(control) = unsafe { request.control.as_ref() } {
        control.progress.store(request.records.len() as u64, Ordering::Relaxed);
    }
}
