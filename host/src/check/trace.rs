//! Notes on how a prediction came about: only when asked for, sound, and without an effect.

use super::bench::Bench;
use super::blocks::Known;
use super::{Check, Finding, Needs, Verdict, fail, not_run, shorten};
use crate::json::{Scanner, Shape};
use crate::plugin::probe::Question;
use model_abi_layout::{Answer, FLAG_TRACE};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "trace-notes-are-json",
        proves: "the notes of a prediction can be written to a log, a JSON object for each record",
        fix: "let `Trace::note` write them; written by hand, `note_ends` has an end for each record, \
              and what lies between two is an object or nothing",
        needs: Needs::Answers,
        of_plugin: false,
        run: trace_notes_are_json,
    },
    Check {
        name: "tracing-changes-nothing",
        proves: "what the notes explain is the prediction that everyone gets",
        fix: "`predict`, `predict_traced` and `predict_batch` must give the same: let one call the \
              other (where notes are wanted `predict_traced` is asked, or `predict` where there is \
              none; else `predict_batch`, where there is one)",
        needs: Needs::Answers,
        of_plugin: false,
        run: tracing_changes_nothing,
    },
    Check {
        name: "no-notes-unasked",
        proves: "nobody pays for notes that nobody reads",
        fix: "without `FLAG_TRACE`, `notes` and `note_ends` stay empty",
        needs: Needs::Answers,
        of_plugin: false,
        run: no_notes_unasked,
    },
];

/// Asks about ordinary records with these flags: what is known of them, and the answer.
fn asked(bench: &Bench, flags: u64, how: &str) -> Result<(Known, Verdict, Answer), Finding> {
    let (known, mut answer) = (bench.known(8)?, Answer::default());
    let block = known.block();
    let question = Question { flags, ..block.question() };
    let replies = bench.ask_as(bench.model()?, how, question, &mut answer)?;
    let same = known.same(how, &replies);
    Ok((known, same, answer))
}

fn trace_notes_are_json(bench: &Bench) -> Verdict {
    let (known, _, answer) = asked(bench, FLAG_TRACE, "traced")?;
    let (notes, ends) = (answer.notes.as_slice(), answer.note_ends.as_slice());
    if notes.is_empty() {
        return not_run("it notes nothing");
    }
    if ends.len() as u64 != answer.answered {
        return fail(format!("{} ends of notes for {} records", ends.len(), answer.answered));
    }
    let mut start = 0;
    for (record, &end) in known.records.iter().zip(ends) {
        let Some(note) = notes.get(start..end as usize) else {
            let len = notes.len();
            return fail(format!("notes of {len} bytes are said to go from {start} to {end}"));
        };
        start = end as usize;
        let text = String::from_utf8_lossy(note);
        let is_object = matches!(Scanner::default().scan(&text), Ok(Shape::Object));
        if !note.is_empty() && (!is_object || str::from_utf8(note).is_err()) {
            let (record, text) = (shorten(record), shorten(&text));
            return fail(format!("its notes on {record} are no JSON object: {text}"));
        }
    }
    Ok(())
}

fn tracing_changes_nothing(bench: &Bench) -> Verdict {
    asked(bench, FLAG_TRACE, "traced")?.1
}

fn no_notes_unasked(bench: &Bench) -> Verdict {
    let (_, _, answer) = asked(bench, 0, "not traced")?;
    match (answer.notes.len(), answer.note_ends.len()) {
        (0, 0) => Ok(()),
        (bytes, ends) => fail(format!("{bytes} bytes of notes in {ends} pieces, not asked for")),
    }
}
