//! The one word that ends a run early: said once by whoever has a reason, looked at by everyone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// Whether to stop, and whether a signal said so. Clones speak of the same run.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    word: Arc<Word>,
    /// Whether a part of the run is to stop, where this is the word for that.
    part: Option<Arc<AtomicBool>>,
}

#[derive(Debug, Default)]
struct Word {
    /// 0: go on. [`INTERNAL`]: the run's own reasons. Else the number of a signal.
    reason: AtomicI32,
    /// Whether the run is past stopping: it publishes what it has.
    ending: AtomicBool,
}

const INTERNAL: i32 = -1;

impl Stop {
    /// Says stop, for a reason that is told elsewhere.
    pub fn set(&self) {
        self.say(INTERNAL);
    }

    /// Says stop, because of a signal.
    pub fn interrupt(&self, signal: i32) {
        self.say(signal);
    }

    /// The first reason stands.
    fn say(&self, reason: i32) {
        let _ = self.word.reason.compare_exchange(0, reason, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The word for a part of the run, which this too ends.
    pub fn of_part(&self, part: Arc<AtomicBool>) -> Self {
        Stop { word: self.word.clone(), part: Some(part) }
    }

    /// Whether to stop.
    pub fn is_set(&self) -> bool {
        self.word.reason.load(Ordering::Relaxed) != 0
            || self.part.as_ref().is_some_and(|part| part.load(Ordering::Relaxed))
    }

    /// The signal that said so, if one did.
    pub fn signal(&self) -> Option<i32> {
        Some(self.word.reason.load(Ordering::Relaxed)).filter(|&reason| reason > 0)
    }

    /// The run is past stopping.
    pub fn set_ending(&self) {
        self.word.ending.store(true, Ordering::Relaxed);
    }

    /// Another run begins, which is not.
    pub fn set_beginning(&self) {
        self.word.ending.store(false, Ordering::Relaxed);
    }

    /// Whether the run is past stopping.
    pub fn is_ending(&self) -> bool {
        self.word.ending.load(Ordering::Relaxed)
    }
}
