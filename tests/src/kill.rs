//! Runs of the binary that are killed at a moment: what a power cut or an operator's `kill -9` is to
//! a process. Moments come from a seed, so a failure can be looked for again, as far as time allows.

use crate::{Ran, Run};
use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

/// How often to look.
const TICK: Duration = Duration::from_micros(200);

/// When to kill a run.
#[derive(Clone, Debug)]
pub enum Moment {
    /// So long after its start.
    After(Duration),
    /// So long after a file in its folder has so many bytes.
    Written {
        /// The file's name.
        name: String,
        /// How long it is then.
        bytes: u64,
        /// How much later.
        later: Duration,
    },
}

/// Runs it, and kills it at this moment, unless it has ended before.
pub fn run_and_kill(run: Run<'_>, moment: &Moment) -> Ran {
    let folder = run.folder.path().to_owned();
    run.run_with(|child| {
        let later = match moment {
            Moment::After(later) => *later,
            Moment::Written { name, bytes, later } => {
                wait_until_written(child, &folder.join(name), *bytes);
                *later
            }
        };
        let due = Instant::now() + later;
        while is_running(child) {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                child.kill().expect("it is our own");
                break;
            }
            thread::sleep(left.min(TICK));
        }
    })
}

/// Runs it to its end, and says how long that took, and how long it ran on after the file had so
/// many bytes.
pub fn run_and_measure(run: Run<'_>, name: &str, bytes: u64) -> (Ran, Duration, Duration) {
    let path = run.folder.path().join(name);
    let began = Instant::now();
    let mut written = Duration::ZERO;
    let mut ended = Duration::ZERO;
    let ran = run.run_with(|child| {
        wait_until_written(child, &path, bytes);
        written = began.elapsed();
        while is_running(child) {
            thread::sleep(TICK);
        }
        ended = began.elapsed();
    });
    (ran, ended, ended - written)
}

fn wait_until_written(child: &mut Child, path: &PathBuf, bytes: u64) {
    while is_running(child) && fs::metadata(path).map_or(0, |file| file.len()) < bytes {
        thread::sleep(TICK);
    }
}

fn is_running(child: &mut Child) -> bool {
    child.try_wait().expect("it is our own").is_none()
}

/// Random numbers from a seed: SplitMix64 (Steele, Lea & Flood, "Fast splittable pseudorandom number
/// generators", 2014).
pub struct Random(pub u64);

impl Random {
    /// Any.
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to `end`, `end` not included. The bias is nothing for what is drawn here.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// Any duration up to this one.
    pub fn up_to(&mut self, longest: Duration) -> Duration {
        Duration::from_nanos(self.below(longest.as_nanos() as u64 + 1))
    }
}
