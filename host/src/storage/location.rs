//! What a text on the command line names: a stream, or a file of this machine.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

/// Somewhere to read from or to write to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// `-`: stdin or stdout.
    Stream,
    /// A path of this machine.
    Local(PathBuf),
}

impl Location {
    /// What a text means.
    pub fn of(text: &OsStr) -> Self {
        match text == "-" {
            true => Location::Stream,
            false => Location::Local(text.into()),
        }
    }

    /// The path, where it is one of this machine.
    pub fn local(&self) -> Option<&Path> {
        match self {
            Location::Local(path) => Some(path),
            Location::Stream => None,
        }
    }
}

/// As it was given.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Stream => f.write_str("-"),
            Location::Local(path) => write!(f, "{}", path.display()),
        }
    }
}
