//! The flags that keep a model in worker processes.

use crate::isolation::{Options, memory};
use crate::sandbox::Mode;
use clap::{Args, value_parser};
use std::path::PathBuf;
use std::time::Duration;

// No doc comment here: clap would take it for what the command is for.
#[derive(Args, Debug)]
pub(super) struct IsolationArgs {
    /// Keep the model in processes of its own, so that a crash costs the record that caused it
    ///
    /// Each is this program run again, with a copy of the model: weights that it reads into memory are
    /// there once for each. A record on which the model's process dies, exits, hangs or runs out of
    /// memory is rejected, with the kind crash, exit, timeout or memory, and the process is replaced.
    #[arg(long)]
    isolate: bool,

    /// Have at most so many worker processes, 1 to 1024 [default: as many as --threads]
    #[arg(long, value_name = "COUNT", requires = "isolate",
        value_parser = value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,

    /// Let each worker allocate at most so much memory, at least 16MiB: 512MiB, 2GB [default: no limit]
    ///
    /// What the runtime of the plugin needs counts, and so do stacks of its threads.
    #[arg(long, value_name = "SIZE", requires = "isolate", value_parser = memory)]
    max_memory: Option<u64>,

    /// End a worker that works on one record for so long, or that opens or loads its model for so long;
    /// 0: never [default: 300]
    ///
    /// Of a model that works on many records at once: on so many as it is asked about, which is about 50
    /// ms of work.
    #[arg(long, value_name = "SECONDS", requires = "isolate", value_parser = super::pause)]
    timeout: Option<Duration>,

    /// Give the model up once its workers have crashed more often than this, with exit code 5 [default:
    /// 100]
    ///
    /// Any end counts: crash, exit, timeout, memory; of all that end while it is found out which record did
    /// it, one.
    #[arg(long, value_name = "COUNT", requires = "isolate")]
    max_crashes: Option<u64>,

    /// Choose what a worker gives up before it loads the plugin: network, other processes, writing files,
    /// reading what is not granted [default: on]
    ///
    /// The plugin may read the files beside it that its models declare or, where they declare none, its
    /// folder. Of the environment it is given what docs/security.md lists, and no credentials. `etl-host
    /// doctor` says what this machine can hold back.
    #[arg(long, value_name = "MODE", requires = "isolate", value_enum)]
    sandbox: Option<Mode>,

    /// Let the model read this file, or this folder and all in it, too; may be given several times
    #[arg(long, value_name = "PATH", requires = "isolate")]
    allow_read: Vec<PathBuf>,
}

impl IsolationArgs {
    /// What they ask for; `None`: nothing.
    pub(super) fn options(&self) -> Option<Options> {
        let IsolationArgs { isolate, workers, max_memory, timeout, max_crashes, sandbox, .. } =
            *self;
        let usual = Options::default();
        isolate.then(|| Options {
            workers,
            memory_bytes_max: max_memory,
            timeout: Options::timeout(timeout),
            crashes_max: max_crashes.unwrap_or(usual.crashes_max),
            sandbox: sandbox.unwrap_or_default(),
            may_read: self.allow_read.clone(),
        })
    }
}
