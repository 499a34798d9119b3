//! Record and prediction into a line of output: whatever both texts are, the line holds exactly the
//! members that it should, as they are written, or the record is a reject for a reason that it has.
//!
//! Settings: `p`, `m` or `n` for `--emit prediction|merge|nest`, or `k` and the fields to keep, with
//! commas between them. Then a record, its prediction, the next record, and so on.

use crate::json::{Member, is_sound, is_sound_inside, members};
use crate::{SEPARATOR, settings};
use etl_host::batch::Batch;
use etl_host::plugin::runner::{Ask, Failure, Runner};
use etl_host::record::RejectKind;
use etl_host::step::Step;
use etl_host::step::emit::Emit;
use etl_host::step::model::ModelStep;
use etl_host::stop::Stop;
use model_abi_layout::{Answer, RVec, Span};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Splices the texts as the settings say, and compares.
pub fn run(input: &[u8]) {
    let (settings, texts) = settings(input);
    let emit = match settings.split_first() {
        Some((b'm', _)) => Emit::Merge,
        Some((b'n', _)) => Emit::Nest,
        Some((b'k', fields)) => {
            let mut kept = Vec::new();
            for field in String::from_utf8_lossy(fields).split(',').map(str::to_owned) {
                if !kept.contains(&field) {
                    kept.push(field); // as the command line does
                }
            }
            Emit::Keep(kept)
        }
        _ => Emit::Prediction,
    };
    let mut texts = texts.split(|&byte| byte == SEPARATOR);
    let pairs = std::iter::from_fn(|| Some((texts.next()?, texts.next()?)));
    check(&emit, &pairs.collect::<Vec<_>>());
}

/// Splices each record and its prediction, all in one batch, and compares.
pub fn check(emit: &Emit, pairs: &[(&[u8], &[u8])]) {
    let mut batch = batch(pairs.iter().map(|(record, _)| *record));
    let predictions = pairs.iter().map(|(_, prediction)| prediction.to_vec()).collect();
    let model = Arc::new(Predictions { predictions, answered: AtomicUsize::new(0) });
    let applied =
        ModelStep::new("model", model, emit.clone(), None, Stop::default()).apply(&mut batch);
    assert!(applied.is_ok(), "{applied:?}");

    assert_eq!(batch.len() + batch.rejected(), pairs.len());
    let rejects = batch.rejects();
    let mut rejects = rejects.iter().peekable();
    let mut lines = (0..batch.len()).map(|index| batch.record(index));
    for (index, (record, prediction)) in pairs.iter().enumerate() {
        let faults = faults(emit, record, prediction);
        match rejects.next_if(|reject| reject.index as usize == index) {
            Some(reject) => {
                assert!(faults.contains(&reject.kind), "{reject}, but should be: {faults:?}");
                assert_eq!(reject.record, *record);
            }
            None => {
                let line = std::str::from_utf8(lines.next().expect("one for each that is left"));
                let line = line.expect("a line is UTF-8");
                assert_eq!(faults, [], "{line:?}");
                check_line(line, emit, record, prediction);
            }
        }
    }
    let mut buffer = Vec::new();
    let written = batch.lines(&mut buffer);
    assert_eq!(written.iter().filter(|&&byte| byte == b'\n').count(), batch.len());
}

/// A batch of these records, as a source would give it.
pub(crate) fn batch<'a>(records: impl Iterator<Item = &'a [u8]>) -> Batch {
    let mut batch = Batch::default();
    let filled = batch.refill(|block| {
        for record in records {
            block.spans.push(Span { start: block.bytes.len() as u32, len: record.len() as u32 });
            block.bytes.extend_from_slice(record);
            block.bytes.push(b'\n');
        }
        Ok::<(), ()>(())
    });
    assert_eq!(filled, Ok(()));
    batch
}

/// Every reason why the record can't go on.
fn faults(emit: &Emit, record: &[u8], prediction: &[u8]) -> Vec<RejectKind> {
    let around = if *emit == Emit::Nest { 1 } else { 0 };
    let sound = |text| std::str::from_utf8(text).ok().filter(|text| is_sound_inside(around, text));
    let (record_text, prediction) = (sound(record), sound(prediction));
    let mut faults = Vec::new();
    let mut fault = |is: bool, kind| {
        if is {
            faults.push(kind);
        }
    };
    fault(prediction.is_none(), RejectKind::WrongOutput);
    if *emit == Emit::Prediction {
        return faults;
    }
    let is_text = std::str::from_utf8(record).is_ok();
    fault(!is_text, RejectKind::InvalidUtf8);
    fault(is_text && record_text.is_none(), RejectKind::InvalidJson);
    if *emit == Emit::Nest {
        return faults;
    }
    let (ours, theirs) = (record_text.map(members), prediction.map(members));
    fault(matches!(ours, Some(None)), RejectKind::Schema);
    fault(matches!(theirs, Some(None)), RejectKind::WrongOutput);
    if let (Some(Some(ours)), Some(Some(theirs))) = (ours, theirs) {
        let names: Vec<_> = going_on(emit, &ours).iter().map(Member::name).collect();
        let clashes = theirs.iter().any(|theirs| names.contains(&theirs.name()));
        fault(clashes, RejectKind::FieldClash);
    }
    faults
}

/// The members of a record that go on into the output.
fn going_on<'t>(emit: &Emit, ours: &[Member<'t>]) -> Vec<Member<'t>> {
    let Emit::Keep(fields) = emit else { return ours.to_vec() };
    let kept = fields.iter().flat_map(|field| ours.iter().filter(|m| m.name() == *field));
    kept.copied().collect()
}

fn check_line(line: &str, emit: &Emit, record: &[u8], prediction: &[u8]) {
    let text = |text| std::str::from_utf8(text).expect("it has no faults");
    assert!(is_sound(line), "{line}");
    let prediction = text(prediction);
    if *emit == Emit::Prediction {
        assert_eq!(line, prediction.trim());
        return;
    }
    let record = text(record);
    let expected = match emit {
        Emit::Nest => vec![
            Member { name: "\"input\"", value: record.trim() },
            Member { name: "\"prediction\"", value: prediction.trim() },
        ],
        _ => {
            let (ours, theirs) = (members(record), members(prediction));
            let mut expected = going_on(emit, &ours.expect("it has no faults"));
            expected.extend(theirs.expect("it has no faults"));
            expected
        }
    };
    assert_eq!(members(line), Some(expected), "of {line}");
}

/// A model that answers what it was made of, in order.
struct Predictions {
    predictions: Vec<Vec<u8>>,
    answered: AtomicUsize,
}

impl Runner for Predictions {
    fn call(&self, ask: &Ask<'_>, answer: &mut Answer) -> Result<u32, Failure> {
        let first = self.answered.fetch_add(ask.records.len(), Ordering::Relaxed);
        let predictions = &self.predictions[first..][..ask.records.len()];
        let ends = predictions.iter().scan(0, |end, prediction| {
            *end += prediction.len() as u32;
            Some(*end)
        });
        answer.output_ends = RVec::from(ends.collect::<Vec<_>>());
        answer.output = RVec::from(predictions.concat());
        answer.answered = predictions.len() as u64;
        Ok(0)
    }
}
