//! How large a batch should be, learned from the ones before.
//!
//! A batch is large so that what it costs beside its records drowns, and no larger than the cache.
//! It is smaller where a model is slow (so that threads share the work evenly and a stop is soon
//! obeyed) and where predictions are much longer than records (so that memory stays bounded). What
//! comes out never depends on any of this.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How much is read into a batch at most: it fits the second-level cache with its predictions, and the
/// memory that a worker process shares with its spans.
const BLOCK_BYTES_MAX: usize = 512 * 1024;
/// How long what is made of a batch should be at most. Memory is bounded by it.
pub(super) const MADE_BYTES_MAX: usize = 1024 * 1024;
/// The first batches are a record each, or a few short ones: nothing is known yet, and a model may
/// need a second for each, which all threads are to share.
const BLOCK_BYTES_FIRST: usize = 32;
/// How much larger than the ones before a batch may become: one batch is no law.
const GROWTH: usize = 4;
/// How long the work on one batch should take at most.
const WORK: Duration = Duration::from_millis(50);

/// How many bytes to read into a batch. Shared by the reader and all workers.
pub(super) struct Pace {
    bytes_wanted: AtomicUsize,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { bytes_wanted: AtomicUsize::new(BLOCK_BYTES_FIRST) }
    }
}

impl Pace {
    pub(super) fn bytes_wanted(&self) -> usize {
        self.bytes_wanted.load(Ordering::Relaxed)
    }

    /// A batch of so many bytes took so long and became so many bytes.
    pub(super) fn learn(&self, bytes_in: usize, bytes_out: usize, took: Duration) {
        if bytes_in == 0 {
            return;
        }
        let by_time = bytes_in as f64 * WORK.as_secs_f64() / took.as_secs_f64().max(1e-9);
        // Merged and nested records are a little longer than they were; that is no reason.
        let by_memory = bytes_in as f64 / bytes_out.max(1) as f64 * MADE_BYTES_MAX as f64;
        let most = self.bytes_wanted().saturating_mul(GROWTH).min(BLOCK_BYTES_MAX);
        let wanted = (by_time.min(by_memory) as usize).clamp(1, most);
        self.bytes_wanted.store(wanted, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        bytes_out_per_byte: f64,
        nanos_per_byte: f64,
        expected: std::ops::RangeInclusive<usize>,
    ) {
        let pace = Pace::default();
        for _ in 0..20 {
            let bytes = pace.bytes_wanted();
            let took = Duration::from_nanos((bytes as f64 * nanos_per_byte) as u64);
            pace.learn(bytes, (bytes as f64 * bytes_out_per_byte) as usize, took);
        }
        assert!(expected.contains(&pace.bytes_wanted()), "{}", pace.bytes_wanted());
    }

    #[test]
    fn a_batch_is_as_large_as_its_work_and_its_output_allow() {
        check(0.3, 7.0, BLOCK_BYTES_MAX..=BLOCK_BYTES_MAX);
        check(2.0, 7.0, BLOCK_BYTES_MAX..=BLOCK_BYTES_MAX);
        check(0.3, 120_000.0, 400..=420); // 10 ms for a record of 84 bytes: 5 records
        check(240.0, 7.0, 4_000..=5_000); // 20 KB for a record of 84 bytes: 1 MiB a batch
        check(1e9, 1e9, 1..=1);
    }
}
