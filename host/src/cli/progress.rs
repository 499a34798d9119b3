//! The progress bar: on a terminal only, and gone when the run has ended.

use crate::counts::Counts;
use crate::journal::Checkpoint;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

/// A bar, or nothing where nobody would see it.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    /// Records that were done before this process began.
    read_before: u64,
}

impl Progress {
    /// `bytes_total`: of the input, where that is known. `resumed`: where the run goes on.
    pub(super) fn new(quiet: bool, bytes_total: Option<u64>, resumed: Option<&Checkpoint>) -> Self {
        let read_before = resumed.map_or(0, |resumed| resumed.counts.read);
        if quiet || !std::io::stderr().is_terminal() {
            return Progress { bar: None, read_before };
        }
        let (bar, template) = match bytes_total {
            Some(bytes) => (
                ProgressBar::new(bytes),
                "{bar:30} {percent}% {bytes}/{total_bytes} {msg}, {eta} left",
            ),
            None => (ProgressBar::new_spinner(), "{spinner} {bytes} {msg}, {elapsed}"),
        };
        let style = ProgressStyle::with_template(template).expect("a template of ours");
        let bar = bar.with_style(style);
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        bar.set_position(resumed.map_or(0, |resumed| resumed.bytes_read));
        bar.reset_eta();
        Progress { bar: Some(bar), read_before }
    }

    pub(super) fn show(&self, counts: &Counts, bytes_read: u64) {
        let Some(bar) = &self.bar else { return };
        let rate = (counts.read - self.read_before) as f64 / bar.elapsed().as_secs_f64().max(1e-3);
        let rejected = match counts.rejected {
            0 => String::new(),
            rejected => format!(", {rejected} rejected"),
        };
        bar.set_message(format!("{} records{rejected}, {rate:.0}/s", counts.read));
        bar.set_position(bytes_read);
    }

    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
