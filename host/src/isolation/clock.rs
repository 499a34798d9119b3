//! How long a worker has been at a call, and what follows from that. Waits for nothing, and knows no
//! process.
//!
//! A model that is slow, but goes from record to record, does not hang: time runs since it last told of
//! another one. The trap: time in which this process did not run either (a container that was paused, a
//! machine that slept) is nobody's fault, so from one look to the next only so much counts.

use model_abi_layout::PROGRESS_NOT_TOLD;
use std::time::{Duration, Instant};

/// How often to look.
const TICK: Duration = Duration::from_millis(20);
/// How much counts from one look to the next.
const COUNTED_MAX: Duration = Duration::from_millis(500);

/// What follows.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// It may go on.
    GoOn,
    /// It is to end the call with what it has.
    Hurry,
    /// It has done nothing for as long as it may.
    TimedOut(Duration),
}

/// The time of one call.
pub(super) struct Clock {
    timeout: Option<Duration>,
    records: usize,
    looked: Instant,
    /// Since it began.
    whole: Duration,
    /// Since it told of another record; and of which.
    idle: Duration,
    progress: u64,
    hurries: bool,
    has_hurried: bool,
    stopped: Option<Instant>,
}

impl Clock {
    /// Begins now, about so many records.
    pub(super) fn new(timeout: Option<Duration>, records: usize) -> Self {
        Clock {
            timeout,
            records,
            looked: Instant::now(),
            whole: Duration::ZERO,
            idle: Duration::ZERO,
            progress: PROGRESS_NOT_TOLD,
            hurries: true,
            has_hurried: false,
            stopped: None,
        }
    }

    /// For the same call once more, which is not told to hurry.
    pub(super) fn again(&self) -> Self {
        Clock { hurries: false, ..Clock::new(self.timeout, self.records) }
    }

    /// When to look next.
    pub(super) fn tick(&self) -> Duration {
        self.timeout.map_or(TICK, |timeout| TICK.min(timeout / 10))
    }

    /// Whether it was told to hurry.
    pub(super) fn has_hurried(&self) -> bool {
        self.has_hurried
    }

    /// It is now, and this is the record that it works on.
    pub(super) fn look(&mut self, now: Instant, progress: u64) -> Verdict {
        let passed = now.saturating_duration_since(self.looked).min(COUNTED_MAX);
        (self.looked, self.whole, self.idle) = (now, self.whole + passed, self.idle + passed);
        if progress != self.progress {
            (self.progress, self.idle) = (progress, Duration::ZERO);
        }
        let Some(timeout) = self.timeout else { return Verdict::GoOn };
        // One that tells of another record without end does not go on for ever.
        let records = u32::try_from(self.records).unwrap_or(u32::MAX).saturating_add(1);
        if self.idle >= timeout || self.whole >= timeout.saturating_mul(records) {
            return Verdict::TimedOut(timeout);
        }
        if self.hurries && self.whole >= timeout / 2 {
            self.has_hurried = true;
            return Verdict::Hurry;
        }
        Verdict::GoOn
    }

    /// How long it is since it was first asked so, because the run is to end.
    pub(super) fn since_stop(&mut self, now: Instant) -> Duration {
        now - *self.stopped.get_or_insert(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at these moments, in milliseconds, at a worker that is at these records, with a timeout of a
    /// second: what the last look says.
    #[track_caller]
    fn check(records: usize, looks: &[(u64, u64)], expected: Verdict) {
        let mut clock = Clock::new(Some(Duration::from_secs(1)), records);
        let began = clock.looked;
        let mut verdict = Verdict::GoOn;
        for (at, progress) in looks {
            verdict = clock.look(began + Duration::from_millis(*at), *progress);
        }
        assert_eq!(verdict, expected, "{looks:?}");
    }

    const TIMED_OUT: Verdict = Verdict::TimedOut(Duration::from_secs(1));

    #[test]
    fn time_runs_since_another_record_was_told_of() {
        check(9, &[(400, 0)], Verdict::GoOn);
        check(9, &[(400, 0), (600, 0)], Verdict::Hurry);
        check(9, &[(400, 0), (800, 0), (1200, 0), (1400, 0)], TIMED_OUT);
        check(9, &[(400, 0), (800, 1), (1200, 2), (1600, 3), (2000, 4)], Verdict::Hurry);
        let none = PROGRESS_NOT_TOLD;
        check(9, &[(400, none), (800, none), (1000, none)], TIMED_OUT);
    }

    #[test]
    fn who_tells_of_another_record_without_end_has_an_end() {
        let looks: Vec<_> = (1..).map(|look| (look * 100, look)).take(29).collect();
        check(2, &looks, Verdict::Hurry);
        let looks: Vec<_> = (1..).map(|look| (look * 100, look)).take(30).collect();
        check(2, &looks, TIMED_OUT);
    }

    #[test]
    fn time_in_which_nobody_ran_does_not_count() {
        check(9, &[(100, 0), (60_000, 0)], Verdict::Hurry);
        check(9, &[(100, 0), (60_000, 0), (60_300, 0)], Verdict::Hurry);
    }

    #[test]
    fn without_a_timeout_nothing_times_out_and_asked_again_it_does_not_hurry() {
        let mut clock = Clock::new(None, 1);
        let began = clock.looked;
        let looks = (0..100).map(|look| clock.look(began + look * COUNTED_MAX, 0));
        assert!(looks.into_iter().all(|verdict| verdict == Verdict::GoOn));
        let mut clock = Clock::new(Some(Duration::from_secs(1)), 1).again();
        let began = clock.looked;
        assert_eq!(clock.look(began + COUNTED_MAX, 0), Verdict::GoOn);
        assert!(!clock.has_hurried());
    }
}
