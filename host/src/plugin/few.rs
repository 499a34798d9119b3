//! A model that is asked by fewer threads than the run has: one that needs much memory for each call.

use super::runner::{Ask, Failure, Runner};
use crate::stop::Stop;
use model_abi_layout::Answer;
use std::num::NonZero;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How often a thread that waits looks whether the run goes on.
const TICK: Duration = Duration::from_millis(20);

/// Lets so many calls at once through to another runner; the rest wait.
pub struct Few {
    runner: Arc<dyn Runner>,
    /// How many more calls there may be.
    free: Mutex<usize>,
    freed: Condvar,
    stop: Stop,
}

impl Few {
    /// At most `threads` calls at once. Once `stop` is said, those that wait answer no record, as a
    /// call does that is cancelled.
    pub fn new(runner: Arc<dyn Runner>, threads: NonZero<u16>, stop: Stop) -> Self {
        let free = Mutex::new(usize::from(threads.get()));
        Few { runner, free, freed: Condvar::new(), stop }
    }

    /// Waits until there may be one more call; `None`: the run ends.
    fn turn(&self) -> Option<Turn<'_>> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            if self.stop.is_set() {
                return None;
            }
            let waited = self.freed.wait_timeout(free, TICK);
            free = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *free -= 1;
        Some(Turn(self))
    }
}

/// That a call may be under way; dropped, the next may.
struct Turn<'a>(&'a Few);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

impl Runner for Few {
    fn call(&self, ask: &Ask<'_>, answer: &mut Answer) -> Result<u32, Failure> {
        let Some(_turn) = self.turn() else { return Ok(0) };
        self.runner.call(ask, answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    const ASK: Ask<'static> =
        Ask { bytes: b"", records: &[], output_bytes_max: 1, trace: false, is_search: false };

    /// Counts how many calls are under way, and how many were at most.
    #[derive(Default)]
    struct Counting {
        now: AtomicUsize,
        most: AtomicUsize,
    }

    impl Runner for Counting {
        fn call(&self, _: &Ask<'_>, answer: &mut Answer) -> Result<u32, Failure> {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            thread::yield_now();
            self.now.fetch_sub(1, Ordering::SeqCst);
            answer.answered = 1;
            Ok(0)
        }
    }

    #[test]
    fn no_more_threads_are_in_the_model_than_may_be() {
        for threads in [1, 3] {
            let counting = Arc::new(Counting::default());
            let few = Few::new(counting.clone(), NonZero::new(threads).unwrap(), Stop::default());
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        for _ in 0..200 {
                            let mut answer = Answer::default();
                            assert_eq!(
                                (few.call(&ASK, &mut answer).unwrap(), answer.answered),
                                (0, 1)
                            );
                        }
                    });
                }
            });
            let threads = usize::from(threads);
            assert!((1..=threads).contains(&counting.most.load(Ordering::SeqCst)));
            assert_eq!(*few.free.lock().unwrap(), threads);
        }
    }

    #[test]
    fn who_waits_is_told_that_the_run_ends() {
        let stop = Stop::default();
        let few = Few::new(Arc::new(Counting::default()), NonZero::new(1).unwrap(), stop.clone());
        let turn = few.turn().unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let mut answer = Answer::default();
                (few.call(&ASK, &mut answer).unwrap(), answer.answered)
            });
            stop.set();
            assert_eq!(waiting.join().unwrap(), (0, 0));
        });
        drop(turn);
        assert!(few.turn().is_some());
    }
}
