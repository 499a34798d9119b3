//! Runs of the binary in which one operation on the folder's files fails, or is the last: the crate
//! `tests/faults` is preloaded and does it.

use crate::{Ran, Run, plugin};
use std::fs;
use tempfile::NamedTempFile;

/// What a run did to a file of its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// `create`, `write`, `truncate`, `flush`, `rename` or `unlink`.
    pub name: String,
    /// The file's path in the folder; empty for the folder itself. What a rename made, for one.
    pub path: String,
}

/// Runs it with this done to its `number`-th operation, from 1: `kill`, `kill-after`, `torn`,
/// `short`, `enospc`, `eio`, `erofs` or `eintr`; with a `+` before it, to all behind as well.
/// Gives all operations that it began, too: there are fewer than `number` where nothing was done.
pub fn run_with_fault(run: Run<'_>, number: usize, deed: &str) -> (Ran, Vec<Operation>) {
    let (behind, deed) = match deed.strip_prefix('+') {
        Some(deed) => ("+", deed),
        None => ("", deed),
    };
    let log = NamedTempFile::new().expect("a temporary file can be made");
    let ran = unflushed(run)
        .env("FAULTS_LOG", &log.path().to_string_lossy())
        .env("FAULTS", &format!("{number}{behind}:{deed}"))
        .run();
    let lines = fs::read_to_string(log.path()).expect("the log can be read");
    let operations = lines.lines().map(|line| {
        let mut words = line.split(' ').skip(1).map(str::to_owned);
        let mut word = || words.next().expect("number, name, path, bytes");
        Operation { name: word(), path: word() }
    });
    (ran, operations.collect())
}

/// The same run, which flushes nothing to the disk: quicker, and no different to who looks on.
pub fn unflushed(run: Run<'_>) -> Run<'_> {
    // The folder as the system names it.
    let folder = run.folder.path().canonicalize().expect("the folder is there");
    run.env("LD_PRELOAD", &plugin("faults").to_string_lossy())
        .env("FAULTS_IN", &folder.to_string_lossy())
}
