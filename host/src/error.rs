//! What goes wrong, as people and programs see it: an exit code, a message, its causes, a hint.
//!
//! Each layer says its own part and exposes the rest as `source`, so nothing is said twice.

use crate::journal::JournalError;
use crate::pipeline::RunError;
use crate::plugin::folder::FindError;
use crate::plugin::{KILLED, ModelError, NO_PROCESS, PluginError};
use crate::shell::quoted;
use crate::sink::publish::OpenError;
use crate::step::StepError;
use crate::storage::Trouble;
use crate::storage::compressed::decoding::is_damaged;
use crate::storage::disk::HoldError;
use crate::storage::location::Location;
use std::error::Error as _;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

/// Exit codes: a promise to whoever writes a job's error handling.
pub mod exit {
    /// Every record was written (or filtered, or blocked by a rule).
    pub const OK: u8 = 0;
    /// Finished, and some records were rejected.
    pub const REJECTS: u8 = 1;
    /// The command line is wrong.
    pub const USAGE: u8 = 2;
    /// Input, output or storage failed.
    pub const IO: u8 = 3;
    /// The plugin was refused, or its load failed.
    pub const PLUGIN: u8 = 4;
    /// The model is broken, died or hung.
    pub const MODEL: u8 = 5;
    /// Stopped by a limit that was set.
    pub const LIMIT: u8 = 6;
    /// Our bug: Rust's own code for a panic.
    pub const BUG: u8 = 101;
    /// Added to a signal's number: 129 for SIGHUP, 130 for SIGINT, 143 for SIGTERM.
    pub const SIGNAL: u8 = 128;
}

/// Why there is no result, or not a whole one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line asks for what can't be.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The plugin can't be used.
    #[error("plugin `{}` is refused", path.display())]
    Plugin {
        /// The file.
        path: PathBuf,
        /// Why.
        source: PluginError,
    },
    /// The folder of plugins has no plugin to use.
    #[error("{} `{}`", folder_trouble(source), path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: FindError,
    },
    /// The input can't be opened.
    #[error("the input `{}` can't be opened", path.display())]
    Input {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What a step reads besides records can't be opened.
    #[error("{what}, `{}`, can't be opened", path.display())]
    StepInput {
        /// What it is.
        what: String,
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The plugin ended the process.
    #[error("plugin `{}` ended the process", path.display())]
    Exited {
        /// The file.
        path: PathBuf,
        /// How.
        source: PluginExited,
        /// What is on disk now; `None` where no file would have been published.
        state: Option<String>,
    },
    /// An output can't be opened.
    #[error("{what} `{}` can't be written", path.display())]
    Output {
        /// Which.
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// Why.
        source: OpenError,
    },
    /// Something can't be read or written in its format.
    #[error("{what} can't be had in its format")]
    Format {
        /// Which.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// The run ended before it should.
    #[error("{source}")]
    Run {
        /// Why.
        source: RunError,
        /// What is on disk now.
        state: Option<String>,
    },
    /// The journal of a run that can be resumed keeps this one from running.
    #[error("{} `{}`", journal_trouble(source), subject.display())]
    Journal {
        /// The output or, where `--state` names one, the folder.
        subject: PathBuf,
        /// Why.
        source: JournalError,
    },
    /// The run is complete, but its journal stays.
    #[error("the run is complete, but its journal `{}` can't be removed", path.display())]
    Forget {
        /// The journal.
        path: PathBuf,
        /// What is on disk now.
        state: Option<String>,
        /// Why.
        source: io::Error,
    },
    /// The run ended, but its summary could not be written.
    #[error("the run is complete, but its summary `{}` can't be written", path.display())]
    Summary {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A plugin called `exit`, which is not for it to call.
#[derive(Debug, thiserror::Error)]
#[error("the plugin called exit while {during}")]
pub struct PluginExited {
    /// What was being done.
    pub during: &'static str,
}

fn folder_trouble(source: &FindError) -> &'static str {
    match source {
        FindError::Unreadable(_) => "can't read the plugin folder",
        _ => "no model can be chosen from the plugin folder",
    }
}

fn journal_trouble(source: &JournalError) -> &'static str {
    match source {
        JournalError::Left(_) => "nothing can be written over what is left of",
        JournalError::Hold(_) => "nothing can be written to",
        JournalError::Elsewhere(_) => "there is another journal of",
        _ => "no run can be resumed at",
    }
}

impl From<RunError> for Error {
    fn from(source: RunError) -> Self {
        Error::Run { source, state: None }
    }
}

const DAMAGED: &str = "get it once more, whole: gzip -t or zstd -t tells whether it is";
const MODELS_FAULT: &str = "this is the model's fault: send this message to the team that ships it";

impl RunError {
    fn hint(&self) -> Option<&'static str> {
        match self {
            RunError::Step { source: StepError::Model(error), .. } => Some(match error {
                ModelError::KilledTooOften { .. } => KILLED,
                ModelError::NoProcess(_) => NO_PROCESS,
                ModelError::DiesTooOften { .. } => {
                    "this is the model's fault: send this message to the team that ships it; with a larger \
                     --max-crashes the run goes on to its end, also when it is resumed"
                }
                ModelError::Replaced(_) => {
                    "start it again; with --trust, what was verified is held as long as a run lasts"
                }
                _ => MODELS_FAULT,
            }),
            RunError::Limit(_) => {
                Some("run without the limit to see every reject in the rejects file")
            }
            RunError::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("make room on the disk and run again")
            }
            RunError::Source(error) if error.source.kind() == io::ErrorKind::InvalidData => {
                Some("run again when nobody writes to the input any more")
            }
            RunError::Source(error) if is_damaged(&error.source) => Some(DAMAGED),
            RunError::Bug(_) => Some("please report it"),
            _ => None,
        }
    }

    /// The exit code of a process whose run ended so.
    pub fn exit_code(&self) -> u8 {
        match self {
            RunError::Source(_) | RunError::Write { .. } | RunError::Thread(_) => exit::IO,
            RunError::Step { source: StepError::Model(_), .. } => exit::MODEL,
            RunError::Limit(_) => exit::LIMIT,
            RunError::Interrupted(signal) => exit::SIGNAL.saturating_add(*signal as u8),
            RunError::Step { source: StepError::Stopped, .. } | RunError::Bug(_) => exit::BUG,
        }
    }
}

impl Error {
    /// A usage error without a hint.
    pub fn usage(message: impl Into<String>) -> Self {
        Error::Usage { message: message.into(), hint: None }
    }

    /// What there is of outputs where nothing was published.
    pub fn unpublished(outputs: &[&Location]) -> String {
        let outputs =
            outputs.iter().map(|output| format!("`{output}` {}", Error::as_before(output)));
        format!("nothing was published; {}", outputs.collect::<Vec<_>>().join(", "))
    }

    /// What there is of a file that was not published.
    pub fn as_before(output: &Location) -> &'static str {
        match output.local() {
            Some(path) if !path.exists() => "is not there",
            // Of what is elsewhere, nobody is asked whether it is there.
            _ => "is as it was",
        }
    }

    /// What a run that can be resumed adds to that, where it can't say how far it came.
    pub const KEPT: &'static str = "; what is done is kept up to the last checkpoint: start the \
                                    same command again to go on behind it";

    /// The exit code of a process that ends with this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage { .. } => exit::USAGE,
            Error::Plugin { .. } | Error::Folder { .. } => exit::PLUGIN,
            Error::Exited { .. } => exit::MODEL,
            Error::Input { .. }
            | Error::StepInput { .. }
            | Error::Output { .. }
            | Error::Format { .. }
            | Error::Summary { .. }
            | Error::Journal { .. }
            | Error::Forget { .. } => exit::IO,
            Error::Run { source, .. } => source.exit_code(),
        }
    }

    /// What to do about it, where we know.
    pub fn hint(&self) -> Option<String> {
        let trouble = match self {
            // Transparent: its causes are those of what it holds.
            Error::Output { source: OpenError::Remote(error), .. }
            | Error::Journal { source: JournalError::Output(OpenError::Remote(error)), .. } => {
                Trouble::of(error)
            }
            error => Trouble::of(error),
        };
        if let Some(Trouble { hint: Some(hint), .. }) = trouble {
            return Some(hint.clone());
        }
        match self {
            Error::Usage { hint, .. } => hint.clone(),
            Error::Plugin { source, .. } => source.hint(),
            Error::Folder { source, .. } => source.hint().map(str::to_owned),
            Error::Output { source: OpenError::Hold(HoldError::Busy(_)), .. } => {
                Some("wait for the other run to end, or give this one another output".to_owned())
            }
            Error::Output { source: OpenError::Hold(HoldError::Io { .. }), .. } => Some(
                "the folder must be there, and this user must be allowed to write in it".into(),
            ),
            Error::Run { source, .. } => source.hint().map(str::to_owned),
            Error::Journal { subject, source } => {
                source.hint(&quoted(&subject.display().to_string()))
            }
            Error::Forget { .. } => Some("remove it by hand".to_owned()),
            Error::Exited { .. } => Some(MODELS_FAULT.to_owned()),
            Error::Input { source, .. } | Error::StepInput { source, .. } if is_damaged(source) => {
                Some(DAMAGED.to_owned())
            }
            _ => None,
        }
    }

    /// The whole of it, as it is printed: what, causes, hint.
    pub fn report(&self) -> String {
        let mut text = format!("error: {self}\n");
        // A run error's message stands in `self`; its causes are behind it.
        let mut cause = match self {
            Error::Run { source, .. } => source.source(),
            error => error.source(),
        };
        while let Some(error) = cause {
            let _ = writeln!(text, "  cause: {error}");
            cause = error.source();
        }
        if let Error::Run { source: RunError::Limit(hit), .. } = self
            && let Some(reject) = &hit.reject
        {
            let _ = writeln!(text, "  cause: {reject}");
        }
        if let Error::Run { state: Some(state), .. }
        | Error::Exited { state: Some(state), .. }
        | Error::Forget { state: Some(state), .. } = self
        {
            let _ = writeln!(text, "  state: {state}");
        }
        if let Some(hint) = self.hint() {
            let _ = writeln!(text, "  hint: {hint}");
        }
        text
    }
}
