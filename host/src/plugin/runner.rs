//! Where a model's code runs, behind one seam, and the checks on what it answers.
//!
//! [`Runner`] has two doors: this process ([`LoadedModel`](super::LoadedModel)) and worker processes
//! ([`isolation`](crate::isolation)). Whatever is behind it may be wrong or lying: `Answers::check`
//! believes no length, no offset, no index and no text, and what it lets through can be used without a
//! second look. A worker may also die of a question ([`Death`]): then nothing is answered, and whoever
//! asked finds the record that did it by asking again for fewer.

use super::ModelError;
use crate::record::RejectKind;
use model_abi_layout::{Answer, RecordError, Span, kind};
use std::borrow::Cow;
use std::ops::Range;
use std::str::Utf8Error;

/// Something that predicts blocks of records.
pub trait Runner: Send + Sync {
    /// The border's `predict_batch`: the status; see [`model_abi_layout::Plugin::predict_batch`].
    /// `answer` is empty but for its buffers.
    fn call(&self, ask: &Ask<'_>, answer: &mut Answer) -> Result<u32, Failure>;
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The process that was asked is no more.
    #[error(transparent)]
    Died(#[from] Death),
    /// The model can't go on, whatever the record.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// How a worker process ended that was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Death {
    /// What a record is rejected with that did it.
    pub kind: RejectKind,
    /// How it ended, and its last words.
    pub message: String,
    /// The index of the record that it was working on, where that is told.
    pub progress: Option<usize>,
    /// Whether somebody else may have ended it: a signal that code does not die of by itself.
    pub may_be_foreign: bool,
}

/// What is asked of a model in one call.
pub struct Ask<'a> {
    /// The bytes that the records lie in.
    pub bytes: &'a [u8],
    /// The records.
    pub records: &'a [Span],
    /// The output should not grow longer than this.
    pub output_bytes_max: u64,
    /// Whether the model is to note how it came to its predictions.
    pub trace: bool,
    /// Whether it is asked to find a record that a worker died of: one more death is expected.
    pub is_search: bool,
}

/// Calls the model and checks what it answers. `answer` lends its buffers.
pub fn ask<'a>(
    runner: &dyn Runner,
    ask: Ask<'_>,
    answer: &'a mut Answer,
) -> Result<Answers<'a>, Failure> {
    forget(answer);
    let status = runner.call(&ask, answer)?;
    let text = || String::from_utf8_lossy(&answer.error_text).into_owned();
    let answers = match status {
        0 if ask.trace => Answers::check(answer, ask.records.len())?.with_notes(answer),
        0 => Answers::check(answer, ask.records.len()),
        kind::MODEL_BROKEN => Err(ModelError::Broken(text())),
        kind::WRONG_COUNT => Err(ModelError::Lied(text())),
        status => Err(ModelError::CallFailed { status, text: text() }),
    };
    Ok(answers?)
}

/// What the call before left must not be taken for an answer to the next.
pub(crate) fn forget(answer: &mut Answer) {
    answer.answered = 0;
    answer.output_ends.clear();
    answer.errors.clear();
    answer.error_text.clear();
    answer.notes.clear();
    answer.note_ends.clear();
    answer.reserved = Default::default();
}

/// An answer whose lengths, offsets and indices are sound. Its texts may still be anything.
pub struct Answers<'a> {
    output: &'a [u8],
    ends: &'a [u32],
    errors: &'a [RecordError],
    error_text: &'a [u8],
    /// The output as text, where all of it is UTF-8.
    text: Option<&'a str>,
    /// None where nobody asked for them, or nothing is noted.
    notes: &'a [u8],
    note_ends: &'a [u32],
}

/// What a model answered to one record.
#[derive(Debug, PartialEq)]
pub enum Answered<'a> {
    /// A text that is UTF-8; whether it is JSON is not known yet.
    Prediction(&'a str),
    /// No prediction.
    Failed {
        /// See [`model_abi_layout::kind`].
        kind: u32,
        /// Where in the record, or empty.
        path: Cow<'a, str>,
        /// Why.
        message: Cow<'a, str>,
    },
    /// A prediction that is not UTF-8.
    NotText,
}

impl<'a> Answers<'a> {
    pub(crate) fn check(answer: &'a Answer, asked: usize) -> Result<Self, ModelError> {
        let lied = |what: String| Err(ModelError::Lied(what));
        let answered = answer.answered;
        if answered > asked as u64 {
            return lied(format!("it answered {answered} records, {asked} were asked"));
        }
        let ends = answer.output_ends.as_slice();
        if ends.len() as u64 != answered {
            return lied(format!("it gave {} predictions for {answered} records", ends.len()));
        }
        let output = answer.output.as_slice();
        check_ends("the prediction", ends, output)?;
        let error_text = answer.error_text.as_slice();
        let (mut next_record, mut text_start) = (0, 0);
        for error in &answer.errors {
            if error.record < next_record || u64::from(error.record) >= answered {
                return lied(format!("an error is of record {}, out of place", error.record));
            }
            let text_len = error.text_end.checked_sub(text_start);
            if text_len.is_none_or(|len| error.path_len > len)
                || error.text_end as usize > error_text.len()
            {
                return lied(format!("the error of record {} has no text", error.record));
            }
            (next_record, text_start) = (error.record + 1, error.text_end);
        }
        let text = std::str::from_utf8(output).ok();
        let (errors, notes, note_ends) = (answer.errors.as_slice(), &[][..], &[][..]);
        Ok(Answers { output, ends, errors, error_text, text, notes, note_ends })
    }

    /// The notes too. A plugin that knows of none may give no ends of them either.
    fn with_notes(mut self, answer: &'a Answer) -> Result<Self, ModelError> {
        let (notes, ends) = (answer.notes.as_slice(), answer.note_ends.as_slice());
        if notes.is_empty() && ends.is_empty() {
            return Ok(self);
        }
        let (given, answered) = (ends.len(), self.len());
        if given != answered {
            let what = format!("it gave {given} ends of notes for {answered} records");
            return Err(ModelError::Lied(what));
        }
        check_ends("what it notes", ends, notes)?;
        (self.notes, self.note_ends) = (notes, ends);
        Ok(self)
    }

    /// How many records, from the first, are answered.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// What the model noted on one of the records, by its index: whether it is JSON is not known yet.
    /// Empty: nothing.
    pub fn notes(&self, record: usize) -> Result<&'a str, Utf8Error> {
        let Some(&end) = self.note_ends.get(record) else { return Ok("") };
        let start = record.checked_sub(1).map_or(0, |before| self.note_ends[before]);
        std::str::from_utf8(&self.notes[start as usize..end as usize])
    }

    /// The answers, in order.
    pub fn iter(&self) -> impl Iterator<Item = Answered<'a>> {
        let mut errors = self.errors.iter();
        let mut error = errors.next();
        let (mut start, mut text_start) = (0, 0);
        let (output, text, error_text) = (self.output, self.text, self.error_text);
        self.ends.iter().enumerate().map(move |(record, &end)| {
            let range = start..end as usize;
            start = range.end;
            match error {
                Some(e) if e.record as usize == record => {
                    let path_end = text_start + e.path_len as usize;
                    let (path, message) = (text_start..path_end, path_end..e.text_end as usize);
                    text_start = message.end;
                    error = errors.next();
                    Answered::Failed {
                        kind: e.kind,
                        path: String::from_utf8_lossy(&error_text[path]),
                        message: String::from_utf8_lossy(&error_text[message]),
                    }
                }
                _ => piece(output, text, range).map_or(Answered::NotText, Answered::Prediction),
            }
        })
    }
}

/// Whether the texts of all records lie in `bytes`, one after the other.
fn check_ends(what: &str, ends: &[u32], bytes: &[u8]) -> Result<(), ModelError> {
    let (mut before, len) = (0, bytes.len());
    for (record, &end) in ends.iter().enumerate() {
        if end < before || end as usize > len {
            return Err(ModelError::Lied(format!(
                "{what} of record {record} ends at {end}, after {before}, of {len} bytes"
            )));
        }
        before = end;
    }
    Ok(())
}

/// Checks UTF-8 once for the whole output; only where that fails, piece by piece.
fn piece<'a>(output: &'a [u8], text: Option<&'a str>, range: Range<usize>) -> Option<&'a str> {
    match text {
        Some(text) => text.get(range),
        None => std::str::from_utf8(&output[range]).ok(),
    }
}

/// Whether a record's error means that no other record will do better.
pub fn is_broken(kind: u32) -> bool {
    kind::BROKEN.contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model_abi_layout::RVec;

    /// A model that answers whatever it is made of.
    struct Fake<F>(F);

    impl<F: Fn(&mut Answer) -> u32 + Send + Sync> Runner for Fake<F> {
        fn call(&self, _: &Ask<'_>, answer: &mut Answer) -> Result<u32, Failure> {
            Ok((self.0)(answer))
        }
    }

    const RECORDS: [Span; 3] = [Span { start: 0, len: 1 }; 3];
    const ASK: Ask<'static> = Ask {
        bytes: b"x",
        records: &RECORDS,
        output_bytes_max: 100,
        trace: false,
        is_search: false,
    };

    /// Asks about three records; the answers, or the error, as text.
    fn told(model: impl Fn(&mut Answer) -> u32 + Send + Sync) -> String {
        let mut answer = Answer::default();
        match ask(&Fake(model), ASK, &mut answer) {
            Ok(answers) => format!("{:?}", answers.iter().collect::<Vec<_>>()),
            Err(error) => error.to_string(),
        }
    }

    /// A sound answer: a prediction, an error with a path, a prediction.
    fn sound(answer: &mut Answer) -> u32 {
        answer.output = RVec::from(b"[1][2]".to_vec());
        answer.output_ends = RVec::from(vec![3, 3, 6]);
        answer.error_text = RVec::from(b"a.bwrong".to_vec());
        let error = RecordError {
            record: 1,
            kind: kind::VALUE,
            path_len: 3,
            text_end: 8,
            reserved: [0; 2],
        };
        answer.errors = RVec::from(vec![error]);
        answer.answered = 3;
        0
    }

    #[track_caller]
    fn check(lie: impl Fn(&mut Answer) + Send + Sync, expected: &str) {
        let told = told(|answer| {
            let status = sound(answer);
            lie(answer);
            status
        });
        assert!(told.contains(expected), "{told}");
    }

    #[test]
    fn a_sound_answer_is_what_it_says() {
        check(
            |_| (),
            r#"[Prediction("[1]"), Failed { kind: 3, path: "a.b", message: "wrong" }, Prediction("[2]")]"#,
        );
        check(
            |answer| {
                answer.output_ends = RVec::from(vec![3, 6]);
                answer.errors = RVec::new();
                answer.answered = 2;
            },
            r#"[Prediction("[1]"), Prediction("[2]")]"#,
        );
    }

    #[test]
    fn an_answer_that_lies_about_itself_is_refused_before_it_is_used() {
        check(|a| a.answered = 4, "it answered 4 records, 3 were asked");
        check(|a| a.answered = 2, "it gave 3 predictions for 2 records");
        check(|a| a.output_ends = RVec::from(vec![3, 2, 6]), "ends at 2, after 3");
        check(|a| a.output_ends = RVec::from(vec![3, 3, 7]), "ends at 7, after 3, of 6 bytes");
        check(|a| a.errors[0].record = 3, "an error is of record 3");
        check(|a| a.errors[0].record = u32::MAX, "out of place");
        check(|a| a.errors[0].text_end = 9, "has no text");
        check(|a| a.errors[0].path_len = 9, "has no text");
        check(
            |a| {
                let error = a.errors[0];
                a.errors.push(error);
            },
            "an error is of record 1, out of place",
        );
    }

    #[test]
    fn a_prediction_that_is_not_utf8_is_wrong_for_its_record_alone() {
        check(|a| a.output[0] = 0xff, r#"[NotText, Failed"#);
        check(|a| a.output[0] = 0xff, r#"Prediction("[2]")]"#);
        // All of it is UTF-8, but an end cuts a character in two.
        check(|a| a.output = RVec::from("[1\u{e4}2]".as_bytes().to_vec()), "[NotText, Failed");
        check(|a| a.error_text[4] = 0xff, "w\u{fffd}ong");
    }

    #[test]
    fn what_an_earlier_call_left_is_no_answer() {
        let mut answer = Answer::default();
        noted(&mut answer);
        let question = Ask { trace: true, ..ASK };
        let answers = ask(&Fake(|_: &mut Answer| 0), question, &mut answer).unwrap();
        assert!(answers.is_empty());
        assert_eq!(answers.notes(0), Ok(""));
    }

    /// A sound answer with notes on the first and on the last record.
    fn noted(answer: &mut Answer) -> u32 {
        answer.notes = RVec::from(br#"{"a":1}{"b":"\u00e4"}"#.to_vec());
        answer.note_ends = RVec::from(vec![7, 7, 21]);
        sound(answer)
    }

    /// What the model is said to have noted, where it was asked to.
    #[track_caller]
    fn check_notes(trace: bool, lie: impl Fn(&mut Answer) + Send + Sync, expected: &str) {
        let model = |answer: &mut Answer| {
            let status = noted(answer);
            lie(answer);
            status
        };
        let mut answer = Answer::default();
        let told = match ask(&Fake(model), Ask { trace, ..ASK }, &mut answer) {
            Ok(answers) => {
                let notes = (0..answers.len()).map(|record| answers.notes(record).unwrap_or("?"));
                notes.collect::<Vec<_>>().join("|")
            }
            Err(error) => error.to_string(),
        };
        assert!(told.contains(expected) && expected.is_empty() == told.is_empty(), "{told}");
    }

    #[test]
    fn notes_are_those_of_their_record() {
        check_notes(true, |_| (), r#"{"a":1}||{"b":"\u00e4"}"#);
        check_notes(true, |a| a.note_ends = RVec::from(vec![0, 0, 0]), "||");
        check_notes(true, |a| a.notes[1] = 0xff, "?||{");
        // All of it is UTF-8, but an end cuts a character in two.
        check_notes(
            true,
            |a| {
                a.notes = RVec::from("\u{e4}\u{e4}".as_bytes().to_vec());
                a.note_ends = RVec::from(vec![2, 3, 4]);
            },
            "\u{e4}|?|?",
        );
    }

    #[test]
    fn a_model_need_not_know_of_notes() {
        let none = |a: &mut Answer| (a.notes, a.note_ends) = (RVec::new(), RVec::new());
        check_notes(true, none, "||");
    }

    #[test]
    fn notes_that_lie_about_themselves_are_refused_where_they_were_asked_for() {
        type Lie = fn(&mut Answer);
        let lies: [(Lie, &str); 5] = [
            (|a| a.note_ends = RVec::from(vec![7, 21]), "it gave 2 ends of notes for 3 records"),
            (|a| a.note_ends = RVec::new(), "it gave 0 ends of notes for 3 records"),
            (|a| a.note_ends.push(21), "it gave 4 ends of notes for 3 records"),
            (|a| a.note_ends[1] = 6, "what it notes of record 1 ends at 6, after 7, of 21 bytes"),
            (|a| a.note_ends[2] = u32::MAX, "what it notes of record 2 ends at 4294967295"),
        ];
        for (lie, expected) in lies {
            check_notes(true, lie, expected);
            check_notes(false, lie, "||");
        }
    }

    #[test]
    fn a_call_that_fails_as_a_whole_says_why() {
        let failing = |answer: &mut Answer| {
            answer.error_text = RVec::from(b"no weights".to_vec());
            kind::MODEL_BROKEN
        };
        assert_eq!(told(failing), "it says that it is broken: no weights");
        assert_eq!(told(|_| 777), "its call failed with status 777");
    }
}
