//! The one word that ends a run early: said once by whoever has a reason, looked at by everyone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Whether to stop, and whether a signal said so. Clones speak of the same run.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// 0: go on. [`INTERNAL`]: the run's own reasons. Else the number of a signal.
    reason: Arc<AtomicUsize>,
}

const INTERNAL: usize = usize::MAX;

impl Stop {
    /// Says stop, for a reason that is told elsewhere.
    pub fn set(&self) {
        let _ = self.reason.compare_exchange(0, INTERNAL, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether to stop.
    pub fn is_set(&self) -> bool {
        self.reason.load(Ordering::Relaxed) != 0
    }

    /// The signal that said so, if one did.
    pub fn signal(&self) -> Option<i32> {
        match self.reason.load(Ordering::Relaxed) {
            0 | INTERNAL => None,
            signal => i32::try_from(signal).ok(),
        }
    }

    /// The word itself, for a signal handler to write its number into.
    pub fn word(&self) -> Arc<AtomicUsize> {
        self.reason.clone()
    }
}
