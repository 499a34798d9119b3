//! The same question again: later, from another thread, of a model that was loaded for more threads.

use super::bench::{Bench, ask_model};
use super::blocks::Known;
use super::{Check, Needs, Verdict, fail};
use std::sync::Barrier;
use std::thread;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "same-answer-twice",
        proves: "a run can be repeated: the same record gets the same prediction each time",
        fix: "seed what is random, take clocks and hash maps' order out of predictions, and keep no \
              state between calls",
        needs: Needs::Answers,
        of_plugin: false,
        run: same_answer_twice,
    },
    Check {
        name: "same-answer-from-many-threads",
        proves: "one loaded model serves several threads at once",
        fix: "`predict` takes `&self` for this reason: scratch memory that calls share needs a lock, \
              or belongs to each call; state of the loading thread is not there in others",
        needs: Needs::Answers,
        of_plugin: false,
        run: same_answer_from_many_threads,
    },
    Check {
        name: "thread-count-changes-nothing",
        proves: "a run with more threads writes the same predictions",
        fix: "`LoadContext::threads` is for the sizes of pools and buffers; sums must not be split \
              by it",
        needs: Needs::Answers,
        of_plugin: false,
        run: thread_count_changes_nothing,
    },
];

fn same_answer_twice(bench: &Bench) -> Verdict {
    for (input, _) in bench.predicted(10)? {
        let record = input.to_string();
        let alone = Known { replies: vec![bench.ask(&record)?], records: vec![record] };
        for time in ["a second time", "a third time"] {
            alone.same(time, &bench.ask_all(&alone.records)?)?;
        }
    }
    Ok(())
}

fn same_answer_from_many_threads(bench: &Bench) -> Verdict {
    const THREADS: usize = 4;
    const TIMES: usize = 25;
    let known = bench.known(12)?;
    let model = bench.load(&bench.context(THREADS))?;
    bench.about(format!("{} records, from {THREADS} threads at once", known.records.len()));
    let start = Barrier::new(THREADS);
    let ask = |thread: usize| {
        start.wait();
        let mut records = known.records.clone();
        let mut replies = known.replies.clone();
        // Each thread in another order, so that what they share can't be right by accident.
        records.rotate_left(thread % known.records.len());
        replies.rotate_left(thread % known.records.len());
        let known = Known { records, replies };
        for _ in 0..TIMES {
            if bench.is_half_time() {
                break;
            }
            let how = format!("from {THREADS} threads at once");
            known.same(&how, &ask_model(&model, &known.records)?)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let ask = &ask;
        let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || ask(n))).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| fail("the thread that asked it panicked"))
        })
    })
}

fn thread_count_changes_nothing(bench: &Bench) -> Verdict {
    let known = bench.known(20)?;
    let model = bench.load(&bench.context(8))?;
    known.again(bench, &model, "loaded for 8 threads")
}
