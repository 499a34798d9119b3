//! What became of a model's workers, counted for the summary.

use crate::plugin::runner::Death;
use crate::sandbox::{Attempt, Attempts};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is told of the workers of a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WorkersSummary {
    /// How many were started.
    pub started: u64,
    /// How many ended before they should, those that helped to find a record included, by the kind of
    /// their end.
    pub ended: BTreeMap<&'static str, u64>,
    /// How long it took to replace one, from when its end was noticed until the next was ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced_seconds: Option<Spread>,
    /// What they tried against their sandbox.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
}

/// `7 started, 5 ended: 3 crash, 2 timeout`.
impl fmt::Display for WorkersSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.ended.iter().map(|(kind, count)| format!("{count} {kind}"));
        let (ended, kinds) = (self.ended.values().sum::<u64>(), kinds.collect::<Vec<_>>());
        write!(f, "{} started, {ended} ended: {}", self.started, kinds.join(", "))
    }
}

/// Of many durations, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Half of them are no longer.
    pub median: f64,
    /// 99 of a hundred are no longer.
    pub p99: f64,
    /// None is longer.
    pub max: f64,
}

/// How often workers ended when nobody searched for a record.
#[derive(Clone, Copy, Default)]
pub(super) struct Deaths {
    /// By the model's own doing.
    pub(super) crashes: u64,
    /// By a signal that somebody may have sent.
    pub(super) kills: u64,
}

/// Counts. Of one model, whichever thread asks it.
#[derive(Default)]
pub(super) struct Tally(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    summary: WorkersSummary,
    deaths: Deaths,
    /// Since when workers are missing.
    missing: VecDeque<Instant>,
    replaced: Vec<Duration>,
    attempts: Attempts,
}

impl Tally {
    fn change<T>(&self, change: impl FnOnce(&mut Counted) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One is ready.
    pub(super) fn started(&self) {
        self.change(|counted| {
            counted.summary.started += 1;
            if let Some(since) = counted.missing.pop_front() {
                counted.replaced.push(since.elapsed());
            }
        });
    }

    /// One has ended before it should, or before it was ready, so that it is missing no more than before.
    /// Gives how many did, with it.
    pub(super) fn ended(&self, death: &Death, is_search: bool, was_ready: bool) -> Deaths {
        self.change(|counted| {
            *counted.summary.ended.entry(death.kind.name()).or_default() += 1;
            if was_ready {
                counted.missing.push_back(Instant::now());
            }
            match (is_search, death.may_be_foreign) {
                (true, _) => {}
                (false, true) => counted.deaths.kills += 1,
                (false, false) => counted.deaths.crashes += 1,
            }
            counted.deaths
        })
    }

    /// What one tried that has ended.
    pub(super) fn tried(&self, attempts: Vec<Attempt>) {
        self.change(|counted| counted.attempts.extend(attempts));
    }

    /// All of it, with what those try that live.
    pub(super) fn summary(&self, attempts: impl Iterator<Item = Attempt>) -> WorkersSummary {
        self.change(|counted| {
            let mut summary = counted.summary.clone();
            let mut all = counted.attempts.clone();
            all.extend(attempts);
            summary.attempts = all.list().to_vec();
            summary.replaced_seconds = spread(&mut counted.replaced);
            summary
        })
    }
}

fn spread(durations: &mut [Duration]) -> Option<Spread> {
    durations.sort_unstable();
    let last = durations.len().checked_sub(1)?;
    let at = |share: f64| durations[(last as f64 * share).ceil() as usize].as_secs_f64();
    Some(Spread { median: at(0.5), p99: at(0.99), max: at(1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_durations_three_are_told() {
        assert_eq!(spread(&mut []), None);
        let mut seconds: Vec<_> = (1..=200).rev().map(Duration::from_secs).collect();
        let Spread { median, p99, max } = spread(&mut seconds).unwrap();
        assert_eq!((median, p99, max), (101.0, 199.0, 200.0));
    }
}
