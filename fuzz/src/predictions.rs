//! What a plugin returns: whatever is in its answer, the host says that the answer can't be used, or
//! takes it for what it means, slowly read: every record has one fate, in order, and what is written
//! is JSON. Once as it is, and once with notes, which go into a log.
//!
//! Settings: how many records there are, how many of them a call answers (0: all that it is asked),
//! then lies of four bytes each: in which call, about what, at which index, and the value. Behind
//! them the answers, sound but for the lies: a prediction, `|` and notes on it; or `!`, a kind,
//! `path:message`.

use crate::json::is_sound_inside;
use crate::splice::batch;
use crate::{SEPARATOR, number, settings};
use etl_host::plugin::ModelError;
use etl_host::plugin::runner::{Ask, Failure, Runner};
use etl_host::record::RejectKind;
use etl_host::step::emit::Emit;
use etl_host::step::log::Logging;
use etl_host::step::model::ModelStep;
use etl_host::step::{Step, StepError};
use etl_host::stop::Stop;
use model_abi_layout::{Answer, RVec, RecordError, kind};
use std::sync::{Arc, Mutex, PoisonError};

/// Enough for the host to ask several times, few enough for many inputs a second.
const RECORDS_MAX: u8 = 40;

/// The kinds of errors that answers are made with, by the byte that stands for them.
const KINDS: &[u32] = &[
    kind::NOT_JSON,
    kind::SCHEMA,
    kind::VALUE,
    kind::PANIC,
    kind::NOT_FINITE,
    kind::NOT_WRITABLE,
    7,
    99,
    kind::MODEL_BROKEN,
    kind::WRONG_COUNT,
    199,
    kind::TRY_LATER,
    299,
    kind::NOT_ATTEMPTED,
    399,
    400,
    0,
    u32::MAX,
];

/// Has a model answer as the input says, and compares.
pub fn run(input: &[u8]) {
    run_with(input, false);
    run_with(input, true);
}

/// What a log is to be, with all that a model can be asked for.
fn logging() -> Logging {
    Logging {
        id: None,
        sample: None,
        trace: true,
        node: String::new(),
        time: "2026-11-27T01:30:00Z".parse().expect("it is one"),
        model: String::new(),
        version: String::new(),
        plugin_sha256: String::new(),
    }
}

/// The n-th record. Only into a log it must be JSON.
fn record(n: usize, trace: bool) -> Vec<u8> {
    if trace { format!("[{n}]") } else { format!("r{n}") }.into_bytes()
}

fn run_with(input: &[u8], trace: bool) {
    let (settings, answers) = settings(input);
    let records = 0..usize::from(number(settings, 0) % RECORDS_MAX);
    let records: Vec<_> = records.map(|n| record(n, trace)).collect();
    let lies = settings.get(2..).unwrap_or_default().as_chunks().0.to_vec();
    let model = Arc::new(Model {
        answers: answers.split(|&byte| byte == SEPARATOR).map(<[u8]>::to_vec).collect(),
        at_once: number(settings, 1).into(),
        lies,
        trace,
        told: Mutex::default(),
    });

    let mut batch = batch(records.iter().map(Vec::as_slice));
    let step = ModelStep::new("model", model.clone(), Emit::Prediction, None, Stop::default());
    let mut step = if trace { step.logged(logging()) } else { step };
    let applied = step.apply(&mut batch);
    let told = model.told.lock().unwrap_or_else(PoisonError::into_inner);
    match (applied, &told.end) {
        (Ok(()), None) => {}
        (Err(StepError::Model(ModelError::Lied(_))), Some(End::Unsound)) => return,
        (Err(StepError::Model(ModelError::Broken(_))), Some(End::Broken)) => return,
        (Err(StepError::Model(ModelError::NoProgress { asked })), Some(End::Nothing)) => {
            assert!(asked > 0);
            return;
        }
        (Err(StepError::Model(ModelError::CallFailed { status, .. })), Some(End::Failed(told))) => {
            assert_eq!(status, *told);
            return;
        }
        (applied, end) => panic!("{applied:?}, but should be {end:?}"),
    }

    let mut rejects = batch.rejects().into_iter();
    let mut lines = (0..batch.len()).map(|index| batch.record(index));
    for (index, fate) in told.fates.iter().enumerate() {
        match fate {
            Fate::Written(prediction) => {
                assert!(is_sound_inside(trace.into(), prediction), "{prediction:?}");
                assert_eq!(lines.next(), Some(prediction.trim().as_bytes()));
            }
            Fate::Rejected { kind, path, message } => {
                let reject = rejects.next().expect("one for each that is not written");
                assert_eq!((reject.index as usize, reject.kind), (index, *kind));
                assert_eq!(reject.record, records[index]);
                assert_eq!(reject.path, path);
                assert!(message.as_ref().is_none_or(|message| reject.message == message));
            }
        }
    }
    assert_eq!((told.fates.len(), lines.next()), (records.len(), None));
    assert!(rejects.next().is_none());
}

/// What becomes of a record.
enum Fate {
    Written(String),
    /// `message` where it is the model's.
    Rejected {
        kind: RejectKind,
        path: String,
        message: Option<String>,
    },
}

/// Why nothing more can be asked.
#[derive(Clone, Debug, PartialEq)]
enum End {
    /// The answer can't be what it should be.
    Unsound,
    /// The model says that it is broken.
    Broken,
    /// The call failed with this status.
    Failed(u32),
    /// Nothing was answered.
    Nothing,
}

/// A model that answers what it is made of, and what that means.
struct Model {
    answers: Vec<Vec<u8>>,
    at_once: usize,
    lies: Vec<[u8; 4]>,
    /// Whether it is to be asked for notes.
    trace: bool,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    calls: u8,
    fates: Vec<Fate>,
    end: Option<End>,
}

impl Runner for Model {
    fn call(&self, ask: &Ask<'_>, answer: &mut Answer) -> Result<u32, Failure> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let done = told.fates.len();
        assert_eq!(told.end, None, "asked of a model that can't go on");
        assert_eq!(ask.trace, self.trace);
        for (record, span) in (done..).zip(ask.records) {
            let text = &ask.bytes[span.start as usize..][..span.len as usize];
            assert_eq!(text, self::record(record, ask.trace), "asked out of order");
        }

        let at_once = if self.at_once == 0 { usize::MAX } else { self.at_once };
        let first = done.min(self.answers.len());
        let pieces = self.answers[first..].iter().map(Vec::as_slice);
        let pieces = pieces.chain(std::iter::repeat(&b"{}"[..]));
        fill(answer, pieces.take(ask.records.len().min(at_once)));
        let call = told.calls;
        told.calls = call.wrapping_add(1);
        let mut status = 0;
        for lie in self.lies.iter().filter(|lie| lie[0].wrapping_sub(b'0') == call) {
            tell_lie(lie, answer, &mut status);
        }

        match meaning(status, answer, ask) {
            Ok(fates) => told.fates.extend(fates),
            Err(end) => told.end = Some(end),
        }
        Ok(status)
    }
}

/// Makes a sound answer of these pieces.
fn fill<'a>(answer: &mut Answer, pieces: impl Iterator<Item = &'a [u8]>) {
    let (mut output, mut ends) = (Vec::new(), Vec::new());
    let (mut notes, mut note_ends) = (Vec::new(), Vec::new());
    let (mut errors, mut error_text) = (Vec::new(), Vec::new());
    for (record, piece) in (0..).zip(pieces) {
        if let [b'!', kind, text @ ..] = piece {
            error_text.extend_from_slice(text);
            errors.push(RecordError {
                record,
                kind: KINDS[usize::from(kind.wrapping_sub(b'0')) % KINDS.len()],
                path_len: text.iter().position(|&byte| byte == b':').unwrap_or(0) as u32,
                text_end: error_text.len() as u32,
                reserved: [0; 2],
            });
        } else {
            let mut parts = piece.splitn(2, |&byte| byte == b'|');
            output.extend_from_slice(parts.next().unwrap_or_default());
            notes.extend_from_slice(parts.next().unwrap_or_default());
        }
        ends.push(output.len() as u32);
        note_ends.push(notes.len() as u32);
    }
    answer.answered = ends.len() as u64;
    answer.output = output.into();
    answer.output_ends = ends.into();
    answer.errors = errors.into();
    answer.error_text = error_text.into();
    // Also where nobody asked for them, and then nobody should look at them.
    answer.notes = notes.into();
    answer.note_ends = note_ends.into();
}

fn tell_lie(&[_, about, index, value]: &[u8; 4], answer: &mut Answer, status: &mut u32) {
    // A byte below `0` is a number below 0, which is a huge one.
    let number = value.wrapping_sub(b'0').cast_signed() as u32;
    let index = usize::from(index.wrapping_sub(b'0'));
    let end = answer.output_ends.get_mut(index);
    let note_end = answer.note_ends.get_mut(index);
    let error = answer.errors.get_mut(index);
    match about {
        b's' => *status = KINDS[number as usize % KINDS.len()],
        b'n' => answer.answered = number.into(),
        b'N' => answer.answered = u64::from(number) << 32,
        b'e' => end.into_iter().for_each(|end| *end = number),
        b'+' => answer.output_ends.push(number),
        b'-' => drop(answer.output_ends.pop()),
        b'r' => error.into_iter().for_each(|error| error.record = number),
        b'k' => error.into_iter().for_each(|error| error.kind = number),
        b'p' => error.into_iter().for_each(|error| error.path_len = number),
        b't' => error.into_iter().for_each(|error| error.text_end = number),
        b'2' => {
            if let Some(&error) = answer.errors.get(index) {
                answer.errors.push(error);
            }
        }
        b'1' => drop(answer.errors.pop()),
        b'E' => note_end.into_iter().for_each(|end| *end = number),
        b'a' => answer.note_ends.push(number),
        b'z' => drop(answer.note_ends.pop()),
        b'c' => answer.note_ends.clear(),
        b'l' => answer.notes.truncate(number as usize),
        b'L' => answer.notes.get_mut(index).into_iter().for_each(|byte| *byte = value),
        b'o' => answer.output.truncate(number as usize),
        b'm' => answer.error_text.truncate(number as usize),
        b'O' => answer.output.get_mut(index).into_iter().for_each(|byte| *byte = value),
        b'M' => answer.error_text.get_mut(index).into_iter().for_each(|byte| *byte = value),
        b'0' => *answer = Answer { output: RVec::new(), ..Answer::default() },
        _ => {}
    }
}

/// What an answer means, by the words of the border's docs.
fn meaning(status: u32, answer: &Answer, ask: &Ask<'_>) -> Result<Vec<Fate>, End> {
    match status {
        0 => {}
        kind::MODEL_BROKEN => return Err(End::Broken),
        kind::WRONG_COUNT => return Err(End::Unsound),
        status => return Err(End::Failed(status)),
    }
    let sound = |is: bool| if is { Ok(()) } else { Err(End::Unsound) };
    let answered = answer.output_ends.len();
    sound(answer.answered == answered as u64 && answered <= ask.records.len())?;
    let mut errors: Vec<Option<&RecordError>> = vec![None; answered];
    let mut texts = vec![(String::new(), String::new()); answered];
    let (mut text_start, mut last) = (0, None);
    for error in &answer.errors {
        let record = error.record as usize;
        sound(record < answered && last.is_none_or(|last| last < record))?;
        let text = answer.error_text.get(text_start..error.text_end as usize);
        let split = text.and_then(|text| text.split_at_checked(error.path_len as usize));
        let (path, message) = split.ok_or(End::Unsound)?;
        let lossy = |text| String::from_utf8_lossy(text).into_owned();
        texts[record] = (lossy(path), lossy(message));
        errors[record] = Some(error);
        (text_start, last) = (error.text_end as usize, Some(record));
    }
    let predictions = pieces(&answer.output, &answer.output_ends)?;
    let mut notes = vec![&b""[..]; answered];
    if ask.trace && !(answer.notes.is_empty() && answer.note_ends.is_empty()) {
        notes = pieces(&answer.notes, &answer.note_ends)?;
        sound(notes.len() == answered)?;
    }
    if answered == 0 {
        return Err(End::Nothing);
    }
    let is_note = |note: &[u8]| {
        let object = sound_text(note, ask.trace).filter(|note| note.trim_start().starts_with('{'));
        note.is_empty() || object.is_some()
    };
    let predictions = predictions.iter().zip(notes);
    let fates = predictions.zip(errors).zip(texts).map(|(((prediction, note), error), text)| {
        let Some(error) = error else {
            return Ok(match sound_text(prediction, ask.trace).filter(|_| is_note(note)) {
                Some(text) => Fate::Written(text.to_owned()),
                None => {
                    let (kind, path) = (RejectKind::WrongOutput, String::new());
                    Fate::Rejected { kind, path, message: None }
                }
            });
        };
        if kind::BROKEN.contains(&error.kind) {
            return Err(End::Broken);
        }
        let (path, message) = text;
        let kind = RejectKind::from_border(error.kind);
        Ok(Fate::Rejected { kind, path, message: Some(message) })
    });
    fates.collect()
}

/// The pieces that end there.
fn pieces<'a>(bytes: &'a [u8], ends: &[u32]) -> Result<Vec<&'a [u8]>, End> {
    let mut start = 0;
    let pieces = ends.iter().map(|&end| {
        let piece = bytes.get(start..end as usize).ok_or(End::Unsound)?;
        start = end as usize;
        Ok(piece)
    });
    pieces.collect()
}

/// A text that can stand in the output, and in a line of a log where there is one.
fn sound_text(text: &[u8], is_logged: bool) -> Option<&str> {
    std::str::from_utf8(text).ok().filter(|text| is_sound_inside(is_logged.into(), text))
}
