//! What a worker process gives up before it loads a plugin: the network, writing files, reading
//! what was not granted, other processes. [`enter`] is called in the worker; the host learns by a
//! [`Watch`] what a plugin tries nevertheless.
//!
//! Two locks of the kernel, each of which holds root as well. *landlock* is about files; *seccomp*
//! about calls (`calls.rs` is the table of what is forbidden). Neither can be taken off again.
//! Refuses: to run where other threads exist already, since both hold the caller and its
//! offspring alone.
//!
//! The traps: once inside, the worker's calls of `open` wait for the host's [`Watch`]; so there is
//! nothing between [`enter`] and [`hand_over`]. And the worker must not keep the listener: whoever
//! holds it decides what is forbidden. `hand_over` takes it away.

mod attempts;
#[cfg(target_os = "linux")]
mod calls;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod filter;
#[cfg(target_os = "linux")]
mod handing;
#[cfg(target_os = "linux")]
mod kernel;
#[cfg(target_os = "linux")]
mod lock;
#[cfg(target_os = "linux")]
mod paths;
mod support;
#[cfg(all(test, target_os = "linux"))]
mod tests;
#[cfg(target_os = "linux")]
mod watch;

pub use attempts::{Attempt, Attempts};
#[cfg(not(target_os = "linux"))]
pub use elsewhere::{Listener, Watch, enter, hand_over, take_over};
#[cfg(target_os = "linux")]
pub use handing::{Listener, hand_over, take_over};
#[cfg(target_os = "linux")]
pub use lock::enter;
pub use support::{Support, support};
#[cfg(target_os = "linux")]
pub use watch::Watch;

use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// How much is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
pub enum Mode {
    /// Nothing is given up.
    Off,
    /// As much as this system's kernel can hold back
    #[default]
    On,
    /// All of it; refuses to start where the kernel can't
    Require,
}

/// `off`, `on`, `require`: as they are typed.
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Off => "off",
            Mode::On => "on",
            Mode::Require => "require",
        })
    }
}

/// What may be read beyond what any native library needs. Nothing can be granted for writing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Files, or folders with all that is in them; absolute. Each must exist.
    pub read: Vec<PathBuf>,
}

/// What holds the worker now.
#[derive(Debug, Default)]
pub struct Entered {
    /// The version of landlock's interface that holds files; `None` where there is none.
    pub landlock: Option<u32>,
    /// Whether forbidden calls are stopped.
    pub seccomp: bool,
    /// How the host learns of attempts: to be handed over at once. `None` where the kernel has no
    /// notifications; forbidden calls fail all the same.
    pub listener: Option<Listener>,
}

/// Why a worker could not enter its sandbox.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// `require` was asked for, and it can't be had.
    #[error("this system can't hold a worker back: it lacks {what}")]
    Lacking {
        /// What is missing.
        what: String,
    },
    /// What was granted can't be found.
    #[error("{} can't be granted for reading", path.display())]
    Grant {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A relative path means another file in each process.
    #[error("{} can't be granted for reading: it is no absolute path", path.display())]
    Relative {
        /// The path.
        path: PathBuf,
    },
    /// Other threads would stay outside.
    #[error(
        "the sandbox must be entered before other threads start, and there are {count} threads"
    )]
    Threads {
        /// How many, with the caller.
        count: usize,
    },
    /// The kernel refused a step.
    #[error("the kernel refused to {what}")]
    Kernel {
        /// The step.
        what: &'static str,
        /// Its answer.
        source: io::Error,
    },
}

impl SandboxError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            SandboxError::Lacking { .. } => {
                Some("`etl-host doctor` says what there is; `--sandbox on` takes that".to_owned())
            }
            SandboxError::Grant { .. } | SandboxError::Relative { .. } => {
                Some("`--allow-read` takes files and folders that exist".to_owned())
            }
            SandboxError::Threads { .. } | SandboxError::Kernel { .. } => None,
        }
    }
}

/// Whether a worker in a sandbox is given the environment variable of this name. All others are
/// withheld: that is where credentials are.
pub fn may_inherit(name: &OsStr) -> bool {
    const NAMES: &[&str] = &[
        "PATH",
        "HOME",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TZDIR",
        "TMPDIR",
        "LD_LIBRARY_PATH",
        "GLIBC_TUNABLES",
        "MALLOC_ARENA_MAX",
    ];
    // Of libraries for numbers: how many threads they start, and where those run.
    const STARTS: &[&str] = &[
        "LC_",
        "OMP_",
        "GOMP_",
        "KMP_",
        "MKL_",
        "OPENBLAS_",
        "BLIS_",
        "VECLIB_",
        "RAYON_",
        "RUST_",
        "ETL_HOST_CHILD_",
    ];
    let Some(name) = name.to_str() else { return false };
    NAMES.contains(&name) || STARTS.iter().any(|start| name.starts_with(start))
}
