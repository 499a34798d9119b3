//! Records in batches: what a record gets must not depend on the company it is in, on where it lies
//! or on how the host likes its answers.

use super::bench::{Bench, Reply};
use super::blocks::{Block, Known};
use super::{Check, Needs, Verdict, fail, not_run};
use crate::plugin::probe::Question;
use model_abi_layout::{Answer, Control, FLAG_TRACE, PROGRESS_NOT_TOLD};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "empty-batch",
        proves: "a call about no records at all answers none, and is no error",
        fix: "return status 0 with `answered` 0; an array of no rows must not be indexed",
        needs: Needs::Model,
        of_plugin: false,
        run: empty_batch,
    },
    Check {
        name: "batch-equals-one-by-one",
        proves: "a record gets the same prediction alone and among others",
        fix: "`predict_batch` must give what `predict` gives, to the last digit: share the code, \
              and add numbers up in the same order",
        needs: Needs::Answers,
        of_plugin: false,
        run: batch_equals_one_by_one,
    },
    Check {
        name: "batch-sizes",
        proves: "batches of any size are answered alike, also around those that vector units and \
                 buffers like (8, 32, 1024)",
        fix: "look at the rest that a loop over whole blocks leaves, and at buffers of fixed size",
        needs: Needs::Answers,
        of_plugin: false,
        run: batch_sizes,
    },
    Check {
        name: "equal-records-get-equal-answers",
        proves: "a prediction does not depend on the place of its record in a batch",
        fix: "nothing may be carried over from one record to the next (sums, caches, random state)",
        needs: Needs::Answers,
        of_plugin: false,
        run: equal_records_get_equal_answers,
    },
    Check {
        name: "records-lie-anywhere",
        proves: "records are taken from where their spans say, whatever lies between them",
        fix: "read `bytes[start..start + len]` of each span; there may be gaps, any order, and \
              several spans of the same place",
        needs: Needs::Answers,
        of_plugin: false,
        run: records_lie_anywhere,
    },
    Check {
        name: "errors-keep-their-place",
        proves: "a wrong record gets its error itself, and its neighbours their predictions",
        fix: "`errors[..].record` is the index in the request; count the wrong records too",
        needs: Needs::Answers,
        of_plugin: false,
        run: errors_keep_their_place,
    },
    Check {
        name: "answers-in-parts",
        proves: "a host that bounds the length of an answer gets all of it, call by call",
        fix: "stop once `output_bytes_max` is reached, but answer one record at least, and set \
              `answered` to how many are complete",
        needs: Needs::Answers,
        of_plugin: false,
        run: answers_in_parts,
    },
    Check {
        name: "cancel-is-heeded",
        proves: "a run that the user has stopped ends soon",
        fix: "look at `control.cancel` between records (or blocks of them), and return what there is",
        needs: Needs::Answers,
        of_plugin: false,
        run: cancel_is_heeded,
    },
    Check {
        name: "progress-is-sound",
        proves: "a host that looks which record is being worked on sees one of this call's",
        fix: "`control.progress` is an index below the number of records, or `PROGRESS_NOT_TOLD`; \
              also once the call is over",
        needs: Needs::Answers,
        of_plugin: false,
        run: progress_is_sound,
    },
    Check {
        name: "unknown-flags-are-ignored",
        proves: "a newer host, with wishes that the plugin does not know, is served all the same",
        fix: "look at the bits of `flags` that you know, and at no other",
        needs: Needs::Answers,
        of_plugin: false,
        run: unknown_flags_are_ignored,
    },
    Check {
        name: "reserved-words-are-ignored",
        proves: "a newer host, which writes words that are reserved today, is served all the same",
        fix: "do not read `reserved`, neither of the request nor of its control block",
        needs: Needs::Answers,
        of_plugin: false,
        run: reserved_words_are_ignored,
    },
    Check {
        name: "old-answers-are-cleared",
        proves: "nothing of an earlier answer is left in the next one",
        fix: "clear all six vectors of the `Answer` first thing: a host hands in the same one again \
              and again",
        needs: Needs::Answers,
        of_plugin: false,
        run: old_answers_are_cleared,
    },
];

/// No JSON, whatever the model.
pub(super) const BAD: &str = r#"{"cut"#;

/// Sizes around powers of two, such as vector units, buffers and chunks have.
const SIZES: &[usize] = &[2, 3, 7, 8, 31, 32, 33, 64, 100, 1000, 1024, 1025];

fn empty_batch(bench: &Bench) -> Verdict {
    for bytes in [&b""[..], b"{}\n"] {
        let how = format!("no records in {} bytes", bytes.len());
        let question = Question::plain(bytes, &[]);
        bench.ask_as(bench.model()?, &how, question, &mut Answer::default())?;
    }
    Ok(())
}

fn batch_equals_one_by_one(bench: &Bench) -> Verdict {
    let Known { records, replies: together } = bench.known(20)?;
    let mut replies = Vec::new();
    for record in &records {
        replies.push(bench.ask(record)?);
    }
    let alone = Known { records, replies };
    alone.same("in one batch", &together)?;
    for size in [3, 13] {
        let mut replies = Vec::new();
        for batch in alone.records.chunks(size) {
            replies.extend(bench.ask_all(batch)?);
        }
        alone.same(&format!("in batches of {size}"), &replies)?;
    }
    Ok(())
}

fn batch_sizes(bench: &Bench) -> Verdict {
    let known = bench.known(20)?;
    for &size in SIZES {
        if bench.is_half_time() || bench.within(size)? < size {
            break;
        }
        let batch = known.repeated(size);
        batch.again(bench, bench.model()?, &format!("in a batch of {size}"))?;
    }
    Ok(())
}

fn equal_records_get_equal_answers(bench: &Bench) -> Verdict {
    let batch = bench.known(1)?.repeated(bench.within(500)?);
    let found = bench.ask_all(&batch.records)?;
    let first = Known { replies: vec![found[0].clone(); found.len()], ..batch };
    first.same("the same record again and again", &found)
}

fn records_lie_anywhere(bench: &Bench) -> Verdict {
    let known = bench.known(8)?;
    let ask = |how: &str, block: &Block| {
        bench.ask_as(bench.model()?, how, block.question(), &mut Answer::default())
    };
    let mut block = Block::default();
    for record in known.records.iter().rev() {
        block.add(b"}\xff\"{ \n");
        let span = block.add(record.as_bytes());
        block.spans.push(span);
    }
    block.add(b"\"\xf0");
    let mut replies = ask("with garbage between them", &block)?;
    replies.reverse();
    known.same("with garbage between the records", &replies)?;
    block.spans.reverse();
    let how = "the first record last in the bytes";
    known.same(how, &ask(how, &block)?)?;
    let how = "each record asked about twice at the same place";
    block.spans = block.spans.iter().flat_map(|&span| [span, span]).collect();
    let replies = ask(how, &block)?;
    for half in 0..2 {
        let replies: Vec<_> = replies.iter().skip(half).step_by(2).cloned().collect();
        known.same(how, &replies)?;
    }
    Ok(())
}

fn errors_keep_their_place(bench: &Bench) -> Verdict {
    let mut known = bench.known(6)?;
    let bad = bench.ask(BAD)?;
    if !matches!(bad, Reply::Refused { .. }) {
        return not_run(format!("{BAD} gets no error"));
    }
    for place in [0, known.records.len() / 2, known.records.len()] {
        known.records.insert(place, BAD.to_owned());
        known.replies.insert(place, bad.clone());
    }
    known.same("records that are no JSON among others", &bench.ask_all(&known.records)?)
}

fn answers_in_parts(bench: &Bench) -> Verdict {
    let known = bench.known(20)?.repeated(40);
    let block = known.block();
    for output_bytes_max in [0, 1, 100, 1000] {
        let how = format!("with output_bytes_max {output_bytes_max}");
        let mut replies = Vec::new();
        while replies.len() < known.records.len() {
            let records = &block.spans[replies.len()..];
            let question = Question { records, output_bytes_max, ..block.question() };
            let more = bench.ask_as(bench.model()?, &how, question, &mut Answer::default())?;
            if more.is_empty() {
                return fail(format!("{how}: of {} records it answers none", records.len()));
            }
            replies.extend(more);
        }
        known.same(&how, &replies)?;
    }
    Ok(())
}

fn cancel_is_heeded(bench: &Bench) -> Verdict {
    let known = bench.known(20)?.repeated(10_000);
    let (block, control) = (known.block(), Control::default());
    control.cancel.store(1, Ordering::Relaxed);
    let how = "cancelled before they were asked about";
    let question = Question { control: Some(&control), ..block.question() };
    let replies = bench.ask_as(bench.model()?, how, question, &mut Answer::default())?;
    if replies.len() == known.records.len() {
        return fail(format!("all {} records are answered, though {how}", replies.len()));
    }
    known.begins(how, &replies)
}

fn progress_is_sound(bench: &Bench) -> Verdict {
    let known = bench.known(20)?.repeated(300);
    let (block, control) = (known.block(), Control::default());
    let question = Question { control: Some(&control), ..block.question() };
    let (model, is_over) = (bench.model()?, AtomicBool::new(false));
    let asked = block.spans.len() as u64;
    let unsound = || {
        let told = control.progress.load(Ordering::Relaxed);
        (told != PROGRESS_NOT_TOLD && told >= asked).then_some(told)
    };
    let (during, replies) = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                if let Some(told) = unsound() {
                    return Some(told);
                }
                thread::yield_now();
            }
            None
        });
        let replies = bench.ask_as(model, "watched", question, &mut Answer::default());
        is_over.store(true, Ordering::Relaxed);
        (watch.join().unwrap_or_default(), replies)
    });
    replies?;
    match during.or_else(unsound) {
        Some(told) => {
            fail(format!("in a call about {asked} records it said that it was at {told}"))
        }
        None => Ok(()),
    }
}

fn unknown_flags_are_ignored(bench: &Bench) -> Verdict {
    let known = bench.known(8)?;
    let block = known.block();
    let question = Question { flags: !FLAG_TRACE, ..block.question() };
    let how = "with all flags set that mean nothing today";
    known.same(how, &bench.ask_as(bench.model()?, how, question, &mut Answer::default())?)
}

fn reserved_words_are_ignored(bench: &Bench) -> Verdict {
    let known = bench.known(8)?;
    let (block, control) = (known.block(), Control::default());
    control.reserved.iter().for_each(|word| word.store(u64::MAX, Ordering::Relaxed));
    let question =
        Question { control: Some(&control), reserved: [u64::MAX; 9], ..block.question() };
    let how = "with something in the reserved words";
    known.same(how, &bench.ask_as(bench.model()?, how, question, &mut Answer::default())?)
}

fn old_answers_are_cleared(bench: &Bench) -> Verdict {
    let (model, known, mut answer) = (bench.model()?, bench.known(8)?, Answer::default());
    let mut records = known.records.clone();
    records.insert(1, BAD.to_owned());
    let first = Block::of(&records);
    let traced = Question { flags: FLAG_TRACE, ..first.question() };
    bench.ask_as(model, "of which one is no JSON", traced, &mut answer)?;
    for asked in [3, 8, 1] {
        let fewer = known.repeated(asked);
        let block = fewer.block();
        let how = "with the answer to another call handed in";
        fewer.same(how, &bench.ask_as(model, how, block.question(), &mut answer)?)?;
    }
    Ok(())
}
