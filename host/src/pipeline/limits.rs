//! When a run gives up: at the first reject, at a number of them, at a share of them.
//!
//! Judged record by record in the order of the source, so that the same input ends at the same
//! record whatever the threads did.

use crate::record::Reject;
use std::str::FromStr;

/// A share is judged from this record on, and at the end: of the first few, one is a lot.
const SHARE_FROM_RECORD: u64 = 10_000;

/// How many rejects there may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MaxRejects {
    /// At most so many.
    Count(u64),
    /// At most so many of a hundred that were read.
    Percent(f64),
}

impl FromStr for MaxRejects {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = match text.strip_suffix('%') {
            None => text.parse().ok().map(MaxRejects::Count),
            Some(percent) => {
                let percent = percent.trim().parse().ok();
                percent.filter(|p| (0.0..=100.0).contains(p)).map(MaxRejects::Percent)
            }
        };
        parsed.ok_or_else(|| "expected a number like 100, or a share like 0.5%".to_owned())
    }
}

/// The limits of a run, and how near they are.
#[derive(Debug, Default)]
pub struct Limits {
    fail_at_first: bool,
    max_rejects: Option<MaxRejects>,
    rejected: u64,
    /// The last reject of the batches before.
    last: Option<String>,
}

/// Which limit ended the run.
#[derive(Debug)]
pub struct LimitHit {
    /// The limit, in words.
    pub limit: String,
    /// The last reject before it, with its place.
    pub reject: Option<String>,
}

impl Limits {
    /// `fail_at_first`: `--on-error fail`.
    pub fn new(fail_at_first: bool, max_rejects: Option<MaxRejects>) -> Self {
        Limits { fail_at_first, max_rejects, ..Limits::default() }
    }

    /// Goes on behind so many rejects.
    pub(super) fn resume(&mut self, rejected: u64) {
        self.rejected = rejected;
    }

    /// Counts the rejects of the next batch. Where they break a limit: how many of them it took.
    pub(super) fn check(
        &mut self,
        read_before: u64,
        read: u64,
        rejects: &[Reject<'_>],
    ) -> Option<(usize, LimitHit)> {
        let read_after = read_before + read;
        let mut judge_share = read_before < SHARE_FROM_RECORD && SHARE_FROM_RECORD <= read_after;
        for (index, reject) in rejects.iter().enumerate() {
            if index > 0 && rejects[index - 1].index == reject.index {
                continue; // rejected on another branch too, and one record all the same
            }
            let record = read_before + u64::from(reject.index) + 1;
            if judge_share && record > SHARE_FROM_RECORD {
                judge_share = false;
                if self.is_share_exceeded(SHARE_FROM_RECORD) {
                    return Some((index, self.hit(SHARE_FROM_RECORD, rejects[..index].last())));
                }
            }
            // Several ways may reject the same record.
            let is_another = index == 0 || rejects[index - 1].index != reject.index;
            self.rejected += u64::from(is_another);
            let is_share_exceeded = record >= SHARE_FROM_RECORD && self.is_share_exceeded(record);
            if self.fail_at_first || self.is_count_exceeded() || is_share_exceeded {
                return Some((index + 1, self.hit(record, Some(reject))));
            }
        }
        if judge_share && self.is_share_exceeded(SHARE_FROM_RECORD) {
            return Some((rejects.len(), self.hit(SHARE_FROM_RECORD, rejects.last())));
        }
        if let Some(reject) = rejects.last() {
            self.last = Some(reject.to_string());
        }
        None
    }

    /// Judges what was rejected before a run went on: a limit that is new may be behind it.
    pub(super) fn check_so_far(&self) -> Option<LimitHit> {
        let is_hit = (self.fail_at_first && self.rejected > 0) || self.is_count_exceeded();
        is_hit.then(|| self.hit(self.rejected, None))
    }

    /// Judges the share once more when everything is read.
    pub(super) fn check_end(&self, read: u64) -> Option<LimitHit> {
        self.is_share_exceeded(read).then(|| self.hit(read, None))
    }

    fn is_count_exceeded(&self) -> bool {
        matches!(self.max_rejects, Some(MaxRejects::Count(max)) if self.rejected > max)
    }

    fn is_share_exceeded(&self, read: u64) -> bool {
        matches!(self.max_rejects, Some(MaxRejects::Percent(max))
            if self.rejected as f64 * 100.0 > max * read as f64)
    }

    fn hit(&self, read: u64, reject: Option<&Reject<'_>>) -> LimitHit {
        let rejected = self.rejected;
        let limit = match self.max_rejects {
            _ if self.fail_at_first => "stopped at the first reject (--on-error fail)".to_owned(),
            Some(MaxRejects::Percent(max)) => format!(
                "stopped at the limit: {rejected} of {read} records rejected, more than {max}% \
                 (--max-rejects)"
            ),
            Some(MaxRejects::Count(max)) => {
                format!("stopped at the limit: more than {max} records rejected (--max-rejects)")
            }
            None => unreachable!("no limit was set"),
        };
        let reject = reject.map(ToString::to_string).or_else(|| self.last.clone());
        LimitHit { limit, reject }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Lines, RecordPosition, RejectKind};

    fn reject(index: u32) -> Reject<'static> {
        Reject {
            source: "",
            position: RecordPosition::default(),
            lines: Lines::Source,
            index,
            length: 0,
            step: "",
            kind: RejectKind::Value,
            message: "",
            path: "",
            record: b"",
        }
    }

    /// Reads `read` records of which `bad` (counted from 0) are rejected, in batches of `size`.
    /// Says at which reject the run ended, `None` for not before the end.
    fn ended_at(limit: &str, read: u64, bad: &[u64], size: u64) -> Option<usize> {
        let mut limits = match limit {
            "fail" => Limits::new(true, None),
            limit => Limits::new(false, Some(limit.parse().unwrap())),
        };
        let mut seen = 0;
        for start in (0..read).step_by(size as usize) {
            let len = size.min(read - start);
            let here = bad.iter().filter(|&&bad| (start..start + len).contains(&bad));
            let rejects: Vec<_> = here.map(|bad| reject((bad - start) as u32)).collect();
            if let Some((counted, _)) = limits.check(start, len, &rejects) {
                return Some(seen + counted);
            }
            seen += rejects.len();
        }
        limits.check_end(read).map(|_| seen)
    }

    #[track_caller]
    fn check(limit: &str, read: u64, bad: &[u64], expected: Option<usize>) {
        for size in [1, 7, 5_000, 1_000_000] {
            assert_eq!(ended_at(limit, read, bad, size), expected, "batches of {size}");
        }
    }

    #[test]
    fn a_number_of_rejects_is_allowed_and_no_more() {
        check("fail", 10, &[3, 4], Some(1));
        check("0", 10, &[3, 4], Some(1));
        check("1", 10, &[3, 4], Some(2));
        check("2", 10, &[3, 4], None);
    }

    #[test]
    fn a_record_that_several_ways_reject_counts_once() {
        check("fail", 10, &[3, 3], Some(1));
        check("1", 10, &[3, 3, 4, 4], Some(3));
        check("2", 10, &[3, 3, 4, 4], None);
        check("20%", 10, &[3, 3, 4, 4], None);
    }

    #[test]
    fn a_share_is_judged_from_the_ten_thousandth_record_on_and_at_the_end() {
        check("1%", 50, &[0], Some(1)); // at the end: 2 %
        check("1%", 100, &[0], None);
        let first: Vec<u64> = (0..101).collect();
        check("1%", 20_000, &first, Some(101)); // at record 10,000: 101 of them
        check("1%", 20_000, &first[..100], None);
        let mut late = first[..100].to_vec();
        late.extend([10_050, 10_060]);
        check("1%", 20_000, &late, Some(101)); // 101 of 10,051
        check("1%", 20_000, &[9_999], None);
    }

    #[test]
    fn a_limit_is_a_number_or_a_share() {
        assert_eq!("5".parse(), Ok(MaxRejects::Count(5)));
        assert_eq!("0.5%".parse(), Ok(MaxRejects::Percent(0.5)));
        for wrong in ["", "-1", "x", "%", "101%", "-1%", "NaN%", "1.5"] {
            assert!(wrong.parse::<MaxRejects>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_record_that_two_branches_reject_is_one() {
        check("1", 10, &[3, 3], None);
        check("1", 10, &[3, 3, 4], Some(3));
    }
}
