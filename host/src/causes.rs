//! An error with its causes, for where there is one line to tell them in. Knows no error of ours, so
//! that every layer may use it.

use std::fmt::Write as _;

/// An error and its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
