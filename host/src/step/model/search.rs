//! Finds the record that a worker process dies of, by asking again for fewer.
//!
//! Where the model tells which record it works on, that one did it: the records before it are asked
//! again, since their answers died too, and it is rejected when its turn comes. That is two calls more
//! than without it. Where a model works on many records at once nothing is told, and the records that
//! may have done it are halved until one is left: log2(n) calls that die, at most.
//!
//! The traps: a worker that somebody else kills has died of no record, so what is told counts only where
//! code can die so by itself, and else a record must do it alone, [`FOREIGN_TRIES`] times. And records
//! that are asked again need not do it again: then none of them is guilty.

use crate::plugin::runner::Death;

/// How often a worker must die of one record alone before it is believed that nobody killed it.
const FOREIGN_TRIES: u32 = 3;

/// What is known of the records that are asked about next.
#[derive(Debug, Default)]
pub(super) enum Search {
    /// Nothing.
    #[default]
    Off,
    /// The one behind so many others did it.
    Behind(usize, Death),
    /// One of so many did it, or none. And how often the first of them was asked alone.
    Among(usize, u32),
}

impl Search {
    /// Whether one is looked for.
    pub(super) fn is_on(&self) -> bool {
        !matches!(self, Search::Off)
    }

    /// How many records to ask about next, of so many that one would.
    pub(super) fn next(&self, wanted: usize) -> usize {
        match self {
            Search::Off => wanted,
            Search::Behind(before, _) => wanted.min(*before),
            Search::Among(suspects, _) => wanted.min(suspects.div_ceil(2)),
        }
    }

    /// So many records were answered.
    pub(super) fn answered(&mut self, records: usize) {
        match self {
            Search::Off => {}
            Search::Behind(before, _) => *before -= records.min(*before),
            Search::Among(suspects, tries) => {
                *suspects -= records.min(*suspects);
                *tries = 0;
                if *suspects == 0 {
                    *self = Search::Off; // they did not do it again
                }
            }
        }
    }

    /// The worker died of so many records.
    pub(super) fn died(&mut self, asked: usize, death: Death) {
        let tries = match self {
            Search::Among(_, tries) => *tries,
            _ => 0,
        };
        let told = death.progress.filter(|&record| record < asked && !death.may_be_foreign);
        *self = match told {
            Some(record) => Search::Behind(record, death),
            None if asked > 1 => Search::Among(asked, 0),
            None if death.may_be_foreign && tries + 1 < FOREIGN_TRIES => {
                Search::Among(1, tries + 1)
            }
            None => Search::Behind(0, death),
        };
    }

    /// How the worker died, where the next record is the one that did it. It is looked for no more.
    pub(super) fn guilty(&mut self) -> Option<Death> {
        match std::mem::take(self) {
            Search::Behind(0, death) => Some(death),
            other => {
                *self = other;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RejectKind;
    use proptest::collection::btree_set;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn death(progress: Option<usize>, may_be_foreign: bool) -> Death {
        Death { kind: RejectKind::Crash, message: String::new(), progress, may_be_foreign }
    }

    /// Asks about all records in slices of this size; a worker dies of the poisoned ones. Those that are
    /// rejected, and how many calls there were.
    fn run(
        records: usize,
        slice: usize,
        mut ask: impl FnMut(std::ops::Range<usize>) -> Result<usize, Death>,
    ) -> (BTreeSet<usize>, usize) {
        let (mut search, mut rejected, mut calls, mut done) =
            (Search::default(), BTreeSet::new(), 0, 0);
        while done < records {
            let asked = search.next(slice.min(records - done));
            assert!(asked > 0);
            calls += 1;
            match ask(done..done + asked) {
                Ok(answered) => {
                    done += answered;
                    search.answered(answered);
                }
                Err(death) => search.died(asked, death),
            }
            if search.guilty().is_some() {
                rejected.insert(done);
                done += 1;
            }
        }
        (rejected, calls)
    }

    fn log2(n: usize) -> usize {
        n.next_power_of_two().trailing_zeros() as usize
    }

    proptest! {
        #[test]
        fn the_records_that_kill_are_found_and_no_others(
            poison in btree_set(0_usize..300, 0..20),
            slice in 1_usize..300,
            is_told: bool,
        ) {
            let (rejected, calls) = run(300, slice, |asked| {
                match poison.range(asked.clone()).next() {
                    None => Ok(asked.len()),
                    Some(&record) => Err(death(is_told.then_some(record - asked.start), false)),
                }
            });
            prop_assert_eq!(&rejected, &poison);
            let (k, without) = (poison.len(), 300_usize.div_ceil(slice));
            let more = if is_told { 2 * k } else { 2 * k * log2(slice) + k };
            prop_assert!(calls <= without + more, "{} calls, {} without", calls, without);
        }

        #[test]
        fn whoever_kills_workers_now_and_then_has_no_record_rejected(
            kills in btree_set(0_usize..60, 0..40),
            slice in 1_usize..50,
        ) {
            // Never three in a row: that would be a record.
            let kills: BTreeSet<usize> = kills.into_iter().filter(|kill| kill % 3 != 0).collect();
            let mut call = 0;
            let (rejected, _) = run(200, slice, |asked| {
                call += 1;
                match kills.contains(&call) {
                    true => Err(death(Some(0), true)),
                    false => Ok(asked.len()),
                }
            });
            prop_assert!(rejected.is_empty());
        }
    }

    #[test]
    fn a_record_that_has_the_worker_killed_each_time_is_rejected() {
        let (rejected, calls) = run(10, 10, |asked| match asked.contains(&7) {
            true => Err(death(Some(7 - asked.start), true)),
            false => Ok(asked.len()),
        });
        assert_eq!(rejected, BTreeSet::from([7]));
        assert!(calls <= 10, "{calls}");
    }

    #[test]
    fn what_is_told_is_not_believed_where_it_can_t_be() {
        let (rejected, _) = run(10, 10, |asked| match asked.contains(&3) {
            true => Err(death(Some(99), false)),
            false => Ok(asked.len()),
        });
        assert_eq!(rejected, BTreeSet::from([3]));
    }

    #[test]
    fn answers_may_come_a_few_at_a_time() {
        for is_told in [true, false] {
            let (rejected, _) = run(40, 16, |asked| match asked.contains(&21) {
                true => Err(death(is_told.then_some(21 - asked.start), false)),
                false => Ok(asked.len().min(3)),
            });
            assert_eq!(rejected, BTreeSet::from([21]));
        }
    }
}
