//! What host and worker say: documents while the model is made ready, and one byte for each turn of a
//! call, whose records and predictions lie in the shared [`Area`].
//!
//! A call: the host fills the request's part and says [`CALL`]; the worker fills the answer's and says
//! [`ANSWERED`]. What is longer than its part goes in pieces: [`PIECE`], which the other side takes out
//! and asks for the next one, [`NEXT`]. Nothing in here waits, spawns or touches a socket.

use super::area::{Area, Part, Word};
use crate::plugin::ModelError;
use crate::plugin::runner::Ask;
use crate::sandbox::Mode;
use model_abi::LoadReport;
use model_abi::describe::ModelDescription;
use model_abi_layout::{Answer, FLAG_TRACE, RVec, RecordError, Span};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The request is complete.
pub(super) const CALL: &[u8] = b"c";
/// The answer is.
pub(super) const ANSWERED: &[u8] = b"a";
/// A piece of one lies in its part, and there is more.
pub(super) const PIECE: &[u8] = b"p";
/// The piece was taken out.
pub(super) const NEXT: &[u8] = b"n";

/// A text cannot be longer, by the border: its ends are numbers of 32 bits.
const SECTION_BYTES_MAX: u64 = u32::MAX as u64;

/// What the host wants before it asks about records.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Open the plugin. Beside it the shared memory, and what is held of the plugin and its files.
    Open(Opening),
    /// Make a model ready.
    Load {
        /// Its name.
        model: String,
        /// Its config, a JSON text.
        config: String,
    },
}

/// Which plugin, and what is given up before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Opening {
    /// Its file.
    pub(super) path: PathBuf,
    /// Of one that is held: the names of the files that are held beside it.
    pub(super) held: Option<Vec<String>>,
    /// How much is given up.
    pub(super) sandbox: Mode,
    /// What may be read nevertheless.
    pub(super) may_read: Vec<PathBuf>,
    /// The most memory, in bytes.
    pub(super) memory_bytes_max: Option<u64>,
}

/// What the worker says to that.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// It has given up what it should, and the listener follows ([`crate::sandbox::hand_over`]).
    Entered,
    /// The plugin is open: its models.
    Opened(Vec<ModelDescription>),
    /// The model is ready: what it reported.
    Loaded(LoadReport),
    /// It is refused.
    Refused {
        /// Why, in one line.
        reason: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

/// Fills a part, and says when it is full.
pub(super) struct Filling<'a> {
    area: &'a Area,
    part: Part,
    at: usize,
}

impl<'a> Filling<'a> {
    pub(super) fn new(area: &'a Area, part: Part) -> Self {
        Filling { area, part, at: 0 }
    }

    /// Appends bytes. `full` is to have the part emptied by the other side.
    fn put<E>(
        &mut self,
        mut bytes: &[u8],
        full: &mut impl FnMut() -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            if self.at == self.part.len() {
                self.end();
                full()?;
                self.at = 0;
            }
            let (now, later) = bytes.split_at(bytes.len().min(self.part.len() - self.at));
            self.area.put(self.part, self.at, now);
            (self.at, bytes) = (self.at + now.len(), later);
        }
        Ok(())
    }

    /// Says how much lies in the part.
    fn end(&self) {
        self.area.set(Word::Piece, self.at as u64);
    }
}

/// Writes a request: the spans, then the bytes from the first record to the last, with what stands
/// between them, since one copy is quicker than one a record. `full`: see [`Filling::put`].
pub(super) fn write_request<E>(
    area: &Area,
    ask: &Ask<'_>,
    scratch: &mut Vec<u8>,
    mut full: impl FnMut() -> Result<(), E>,
) -> Result<(), E> {
    let start = ask.records.iter().map(|span| span.start).min().unwrap_or(0);
    let end = ask.records.iter().map(|span| span.start + span.len).max().unwrap_or(start);
    scratch.clear();
    scratch.resize(size_of_val(ask.records), 0);
    let places = scratch.chunks_exact_mut(size_of::<Span>());
    for (place, span) in places.zip(ask.records) {
        place[..4].copy_from_slice(&(span.start - start).to_ne_bytes());
        place[4..].copy_from_slice(&span.len.to_ne_bytes());
    }
    area.set(Word::Records, ask.records.len() as u64);
    area.set(Word::OutputBytesMax, ask.output_bytes_max);
    area.set(Word::Flags, if ask.trace { FLAG_TRACE } else { 0 });
    let mut filling = Filling::new(area, Part::Request);
    filling.put(scratch, &mut full)?;
    filling.put(&ask.bytes[start as usize..end as usize], &mut full)?;
    filling.end();
    Ok(())
}

/// A request as the worker has it, whose records lie behind its spans.
pub(super) struct Asked {
    pub(super) spans: Vec<Span>,
    pub(super) output_bytes_max: u64,
    pub(super) trace: bool,
}

impl Asked {
    /// Reads it: what came in pieces before, else what lies in the part. And the bytes of its records.
    pub(super) fn read<'a>(area: &'a Area, pieces: &'a mut Vec<u8>) -> (Self, &'a [u8]) {
        let last = area.request(piece(area, Part::Request));
        let all: &[u8] = if pieces.is_empty() {
            last
        } else {
            pieces.extend_from_slice(last);
            pieces
        };
        let (spans, bytes) = all.split_at(area.get(Word::Records) as usize * size_of::<Span>());
        let spans = spans.chunks_exact(size_of::<Span>()).map(|span| {
            let (start, len) = span.split_at(4);
            Span { start: number(start), len: number(len) }
        });
        let asked = Asked {
            spans: spans.collect(),
            output_bytes_max: area.get(Word::OutputBytesMax),
            trace: area.get(Word::Flags) & FLAG_TRACE != 0,
        };
        (asked, bytes)
    }
}

/// How much lies in a part, as the other side says.
pub(super) fn piece(area: &Area, part: Part) -> usize {
    (area.get(Word::Piece) as usize).min(part.len())
}

fn number(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_ne_bytes)
}

/// The parts of an answer besides its output, in their order, and the size of what they hold.
const SECTIONS: [(Word, usize); 5] = [
    (Word::OutputEnds, size_of::<u32>()),
    (Word::Errors, size_of::<RecordError>()),
    (Word::ErrorText, 1),
    (Word::Notes, 1),
    (Word::NoteEnds, size_of::<u32>()),
];

/// Writes an answer. `full`: see [`Filling::put`].
pub(super) fn write_answer<E>(
    area: &Area,
    (status, answer): (u32, &Answer),
    scratch: &mut Vec<u8>,
    mut full: impl FnMut() -> Result<(), E>,
) -> Result<(), E> {
    area.set(Word::Status, status.into());
    area.set(Word::Answered, answer.answered);
    area.set(Word::Output, answer.output.len() as u64);
    let lens = [
        answer.output_ends.len(),
        answer.errors.len(),
        answer.error_text.len(),
        answer.notes.len(),
        answer.note_ends.len(),
    ];
    SECTIONS.iter().zip(lens).for_each(|((word, _), len)| area.set(*word, len as u64));
    let mut filling = Filling::new(area, Part::Answer);
    filling.put(&answer.output, &mut full)?;
    filling.put(as_bytes(&answer.output_ends, scratch), &mut full)?;
    let errors = answer.errors.iter();
    let errors: Vec<u32> = errors
        .flat_map(|it| {
            let RecordError { record, kind, path_len, text_end, reserved: [a, b] } = *it;
            [record, kind, path_len, text_end, a, b]
        })
        .collect();
    filling.put(as_bytes(&errors, scratch), &mut full)?;
    filling.put(&answer.error_text, &mut full)?;
    filling.put(&answer.notes, &mut full)?;
    filling.put(as_bytes(&answer.note_ends, scratch), &mut full)?;
    filling.end();
    Ok(())
}

fn as_bytes<'a>(numbers: &[u32], scratch: &'a mut Vec<u8>) -> &'a [u8] {
    scratch.clear();
    scratch.resize(size_of_val(numbers), 0);
    let places = scratch.chunks_exact_mut(size_of::<u32>());
    places.zip(numbers).for_each(|(place, number)| place.copy_from_slice(&number.to_ne_bytes()));
    scratch
}

/// An answer that is coming, and may lie about itself.
pub(super) struct Coming<'a> {
    answer: &'a mut Answer,
    output: Vec<u8>,
    output_len: usize,
    /// How many things are in each of [`SECTIONS`], and what came of all of them.
    counts: [usize; 5],
    rest: &'a mut Vec<u8>,
    rest_len: usize,
}

impl<'a> Coming<'a> {
    /// The worker has said how long it will be. `rest` lends its buffer.
    pub(super) fn new(
        area: &Area,
        (asked, bytes_max): (usize, u64),
        (answer, rest): (&'a mut Answer, &'a mut Vec<u8>),
    ) -> Result<Self, ModelError> {
        rest.clear();
        let mut output = std::mem::take(&mut answer.output).into_vec();
        output.clear();
        let mut coming =
            Coming { answer, output, output_len: 0, counts: [0; 5], rest, rest_len: 0 };
        let len = |word, size: usize| {
            let count = area.get(word);
            // Of what there is one for each record, there may be one too many, which is told as ever.
            let most = if size > 1 { asked as u64 + 1 } else { bytes_max.min(SECTION_BYTES_MAX) };
            match usize::try_from(count) {
                Ok(len) if count <= most => Ok(len),
                _ => Err(lied(&format!("it says that {word:?} of it are {count}"))),
            }
        };
        coming.output_len = len(Word::Output, 1)?;
        for (count, (word, size)) in coming.counts.iter_mut().zip(SECTIONS) {
            *count = len(word, size)?;
            coming.rest_len += *count * size;
        }
        coming.answer.answered = area.get(Word::Answered);
        Ok(coming)
    }

    /// Takes out what lies in the part, which is full where more is to come.
    pub(super) fn take(&mut self, area: &Area, is_last: bool) -> Result<(), ModelError> {
        let bytes = piece(area, Part::Answer);
        let output = bytes.min(self.output_len - self.output.len());
        area.take(Part::Answer, 0..output, &mut self.output);
        let is_too_long = bytes - output > self.rest_len - self.rest.len();
        if is_too_long || !is_last && bytes < Part::Answer.len() {
            return Err(lied(NOT_AS_LONG));
        }
        area.take(Part::Answer, output..bytes, self.rest);
        Ok(())
    }

    /// All of it came.
    pub(super) fn end(self) -> Result<(), ModelError> {
        if self.output.len() < self.output_len || self.rest.len() < self.rest_len {
            return Err(lied(NOT_AS_LONG));
        }
        self.answer.output = self.output.into();
        let mut rest = &self.rest[..];
        let mut next = |section: usize| {
            let (now, later) = rest.split_at(self.counts[section] * SECTIONS[section].1);
            rest = later;
            now
        };
        let numbers = |bytes: &[u8]| -> RVec<u32> {
            bytes.chunks_exact(size_of::<u32>()).map(number).collect::<Vec<_>>().into()
        };
        self.answer.output_ends = numbers(next(0));
        let errors = next(1).chunks_exact(size_of::<RecordError>()).map(|bytes| {
            let at = |index: usize| number(&bytes[4 * index..][..4]);
            let reserved = [at(4), at(5)];
            RecordError { record: at(0), kind: at(1), path_len: at(2), text_end: at(3), reserved }
        });
        self.answer.errors.clear();
        self.answer.errors.extend(errors);
        for (section, to) in [(2, &mut self.answer.error_text), (3, &mut self.answer.notes)] {
            to.clear();
            to.extend_from_copy_slice(next(section));
        }
        self.answer.note_ends = numbers(next(4));
        Ok(())
    }
}

const NOT_AS_LONG: &str = "it is not as long as it says";

fn lied(what: &str) -> ModelError {
    ModelError::Lied(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::convert::Infallible;

    const WHOLE: fn() -> Result<(), Infallible> = || panic!("it fits at once");

    fn ask<'a>(bytes: &'a [u8], records: &'a [Span], trace: bool) -> Ask<'a> {
        Ask { bytes, records, output_bytes_max: 77, trace, is_search: false }
    }

    /// What a worker has of a question, after as many pieces as it takes.
    fn asked(ask: &Ask<'_>) -> (Asked, Vec<u8>, usize) {
        let area = Area::new().unwrap();
        let (mut pieces, mut count) = (Vec::new(), 0);
        write_request(&area, ask, &mut Vec::new(), || {
            pieces.extend_from_slice(area.request(piece(&area, Part::Request)));
            count += 1;
            Ok::<_, Infallible>(())
        })
        .unwrap();
        let (asked, bytes) = Asked::read(&area, &mut pieces);
        (asked, bytes.to_vec(), count)
    }

    /// The answer as it arrives.
    fn arrived(status: u32, sent: &Answer) -> (u64, Answer) {
        let area = Area::new().unwrap();
        let (mut answer, mut rest) = (Answer::default(), Vec::new());
        let mut coming: Option<Coming<'_>> = None;
        let (to, buf) = (&mut answer, &mut rest);
        let mut lent = Some((to, buf));
        let mut take = |is_last| {
            if coming.is_none() {
                let (answer, rest) = lent.take().unwrap();
                coming = Some(Coming::new(&area, (2_000_000, u64::MAX), (answer, rest)).unwrap());
            }
            coming.as_mut().unwrap().take(&area, is_last).unwrap();
            Ok::<_, Infallible>(())
        };
        write_answer(&area, (status, sent), &mut Vec::new(), || take(false)).unwrap();
        take(true).unwrap();
        coming.unwrap().end().unwrap();
        (area.get(Word::Status), answer)
    }

    proptest! {
        #[test]
        fn any_records_arrive_as_they_were(lens in vec(0_u32..50, 0..40), trace: bool) {
            let mut spans = Vec::new();
            let mut bytes = b"before".to_vec();
            for (index, len) in lens.iter().enumerate() {
                spans.push(Span { start: bytes.len() as u32, len: *len });
                bytes.extend(std::iter::repeat_n(index as u8, *len as usize));
                bytes.push(b'\n');
            }
            let (asked, arrived, _) = asked(&ask(&bytes, &spans, trace));
            prop_assert_eq!((asked.trace, asked.output_bytes_max), (trace, 77));
            prop_assert_eq!(asked.spans.len(), spans.len());
            for (there, here) in asked.spans.iter().zip(&spans) {
                let there = &arrived[there.start as usize..][..there.len as usize];
                prop_assert_eq!(there, &bytes[here.start as usize..][..here.len as usize]);
            }
        }

        #[test]
        fn any_answer_arrives_as_it_was(
            output in vec(any::<u8>(), 0..200),
            ends in vec(any::<u32>(), 0..20),
            errors in vec(any::<[u32; 6]>(), 0..20),
            notes in vec(any::<u8>(), 0..100),
        ) {
            let errors = errors.iter().map(|&[record, kind, path_len, text_end, a, b]| {
                RecordError { record, kind, path_len, text_end, reserved: [a, b] }
            });
            let sent = Answer {
                output: output.into(),
                output_ends: ends.clone().into(),
                errors: errors.collect(),
                error_text: notes.clone().into(),
                notes: notes.into(),
                note_ends: ends.into(),
                answered: 9,
                reserved: [0; 7],
            };
            let (status, answer) = arrived(5, &sent);
            prop_assert_eq!((status, answer.answered), (5, 9));
            prop_assert_eq!(answer.output, sent.output);
            prop_assert_eq!(answer.output_ends, sent.output_ends);
            prop_assert_eq!(answer.errors, sent.errors);
            prop_assert_eq!(answer.error_text, sent.error_text);
            prop_assert_eq!(answer.notes, sent.notes);
            prop_assert_eq!(answer.note_ends, sent.note_ends);
        }
    }

    #[test]
    fn what_is_longer_than_its_part_goes_in_pieces() {
        let long: Vec<u8> = (0..5_000_000_u32).map(|byte| byte as u8).collect();
        let spans = [Span { start: 6, len: 3_000_000 }, Span { start: 5, len: 1 }];
        let (asked, arrived_bytes, pieces) = asked(&ask(&long, &spans, false));
        let (first, second) = (Span { start: 1, len: 3_000_000 }, Span { start: 0, len: 1 });
        assert_eq!((asked.spans, pieces), (vec![first, second], 2));
        assert_eq!(arrived_bytes, long[5..][..3_000_001]);

        let sent = Answer {
            output: long.clone().into(),
            notes: long.into(),
            note_ends: vec![7; 1_000_000].into(),
            ..Answer::default()
        };
        let (_, answer) = arrived(0, &sent);
        assert!(answer.output == sent.output && answer.notes == sent.notes);
        assert!(answer.note_ends == sent.note_ends);
    }

    #[test]
    fn an_answer_that_is_not_as_long_as_it_says_is_refused() {
        let area = Area::new().unwrap();
        let answer = Answer { output: b"abc".to_vec().into(), ..Answer::default() };
        let lies: [(Word, u64, &str); 7] = [
            (Word::Output, 4, "not as long as it says"),
            (Word::Output, 2, "not as long as it says"),
            (Word::OutputEnds, 1, "not as long as it says"),
            (Word::Errors, 9, "Errors of it are 9"),
            (Word::Errors, u64::MAX, "Errors of it are 18446744073709551615"),
            (Word::Output, 1001, "Output of it are 1001"),
            (Word::Notes, 1 << 32, "Notes of it are 4294967296"),
        ];
        for (word, lie, expected) in lies {
            write_answer(&area, (0, &answer), &mut Vec::new(), WHOLE).unwrap();
            area.set(word, lie);
            let (mut answer, mut rest) = (Answer::default(), Vec::new());
            let come = Coming::new(&area, (3, 1000), (&mut answer, &mut rest));
            let come = come.and_then(|mut coming| {
                coming.take(&area, true)?;
                coming.end()
            });
            let error = come.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        area.set(Word::Piece, u64::MAX);
        assert_eq!(piece(&area, Part::Answer), Part::Answer.len());
    }
}
