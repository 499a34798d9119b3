//! How much memory a piece of work takes: what a file that lies must not decide.
//!
//! Counts for each thread by itself, since tests run side by side.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Below 0 where the thread has freed what another one made.
    static LIVE_BYTES: Cell<i64> = const { Cell::new(0) };
    static PEAK_BYTES: Cell<i64> = const { Cell::new(0) };
}

/// Does some work; how many bytes more than before were in use at the most.
pub(crate) fn peak<T>(work: impl FnOnce() -> T) -> (T, i64) {
    let before = LIVE_BYTES.get();
    PEAK_BYTES.set(before);
    let done = work();
    (done, PEAK_BYTES.get() - before)
}

struct Counting;

fn count(more: usize, less: usize) {
    let live = LIVE_BYTES.get() + more as i64 - less as i64;
    LIVE_BYTES.set(live);
    PEAK_BYTES.set(PEAK_BYTES.get().max(live));
}

#[expect(unsafe_code, reason = "a global allocator")]
// SAFETY: the system's allocator does the work; two thread-locals that never allocate count it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: the caller's promise, passed on.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_at_once_counts() {
        let held = vec![0_u8; 1000];
        let ((), peak) = peak(|| {
            drop(vec![0_u8; 5000]);
            let mut grown: Vec<u8> = Vec::with_capacity(100);
            grown.reserve_exact(3000);
            drop((grown, held));
        });
        assert_eq!(peak, 5000);
    }
}
