//! SIGINT, SIGTERM and SIGHUP: the first ends the run in order, the second at once.
//!
//! A run can hang where no flag is seen: in a model, in a write that nobody takes, on a disk that
//! does not answer. So where it has not ended [`PATIENCE`] after the first signal, the process
//! does. What it leaves behind then is a part file, which the next run takes over.

use super::exits::end_now;
use super::shown;
use crate::error::Error;
use crate::pipeline::RunError;
use crate::stop::Stop;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Longer than a run waits for its workers, so that it says itself how it ended if it can.
const PATIENCE: Duration = Duration::from_millis(900);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Starts to listen. `state`: what is on disk where the process ends without the run's own words.
pub(super) fn listen(stop: &Stop, state: Option<String>) -> io::Result<()> {
    // A file over the limit that is set for files (`ulimit -f`) is to be a write that fails, which is
    // told with words, and no death.
    signal_hook::flag::register(SIGXFSZ, Arc::default())?;
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    if !is_ignored(SIGHUP) {
        signals.add_signal(SIGHUP)?;
    }
    let stop = stop.clone();
    let listener = thread::Builder::new().name("signals".to_owned());
    listener.spawn(move || {
        let Some(first) = signals.forever().next() else { return };
        stop.interrupt(first);
        let since = Instant::now();
        loop {
            thread::sleep(LOOK_EVERY);
            let is_late = since.elapsed() > PATIENCE && !stop.is_ending();
            if let Some(signal) = signals.pending().next().or(is_late.then_some(first)) {
                let error =
                    Error::Run { source: RunError::Interrupted(signal), state: state.clone() };
                end_now(&shown(&error.report()), error.exit_code());
            }
        }
    })?;
    Ok(())
}

/// Whether whoever started us said that a signal is not for us, as `nohup` does. Where it can't be
/// known, it is taken for so: a run that outlives its terminal is what was asked for then.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_none_or(|mask| mask & (1 << (signal - 1)) != 0)
}
