//! `etl-host run FILE`: runs the pipeline that is in a file.

use super::args::{OnError, RunArgs};
use super::dry_run;
use super::job::Job;
use super::score;
use super::services::ServiceArgs;
use crate::error::Error;
use crate::pipeline::limits::MaxRejects;
use crate::spec::file::{self, Settings};
use crate::spec::{Spec, SpecError};
use clap::{Args, value_parser};
use std::ffi::OsString;
use std::path::PathBuf;

/// Run the pipeline that is in a file: several sources, models, rules, programs and outputs
///
/// TOML: tables [sources.NAME], [steps.NAME], [sinks.NAME], of which each but the sources says what it
/// takes its records `from`. Relative paths are relative to the file. docs/pipelines.md tells all of it.
///
/// Exit codes as of scoring.
#[derive(Args, Debug)]
pub(super) struct RunFileArgs {
    #[command(flatten)]
    pub(super) pipeline: PipelineArgs,

    /// Write rejected records to this file, whatever the pipeline's file says
    #[arg(long, value_name = "PATH")]
    rejects: Option<OsString>,

    /// Choose what a record that can't go on does to the run [default: the file's, else reject]
    #[arg(long, value_name = "WHAT", value_enum)]
    on_error: Option<OnError>,

    /// Stop once more records than this are rejected, publishing nothing [default: the file's]
    #[arg(long, value_name = "N|N%")]
    max_rejects: Option<MaxRejects>,

    /// Work on this many batches at once, 1 to 1024 [default: the file's, else one for each core]
    #[arg(long, value_name = "COUNT", value_parser = value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// Show what each node does to the first N records of each source, and write nothing
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..),
        conflicts_with_all = ["rejects", "on_error", "max_rejects", "resume", "state", "summary", "print_pipeline"])]
    dry_run: Option<u32>,

    #[command(flatten)]
    services: ServiceArgs,

    #[command(flatten)]
    pub(super) run: RunArgs,
}

// Which pipeline, for each command that takes one.
#[derive(Args, Debug)]
pub(super) struct PipelineArgs {
    /// The file with the pipeline
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,

    /// Give a parameter of the file, `${NAME}`, this value; before the environment and its default
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = file::setting)]
    set: Vec<(String, String)>,
}

impl PipelineArgs {
    /// Reads the file.
    pub(super) fn read(&self) -> Result<Spec, Error> {
        let set = self.set.iter().cloned().collect();
        let variables = &|name: &str| std::env::var(name).ok();
        Ok(file::read(&self.file, &Settings { set, variables })?)
    }

    /// Reads the file, for a command that writes nothing.
    pub(super) fn trial<'a>(&self, services: &'a ServiceArgs) -> Result<Job<'a>, Error> {
        Ok(Job {
            spec: self.read()?,
            file: Some(self.file.clone()),
            run: &RunArgs::TRIAL,
            services,
            lines_read: Default::default(),
        })
    }
}

impl From<SpecError> for Error {
    fn from(SpecError { message, hint }: SpecError) -> Self {
        Error::Usage { message, hint }
    }
}

pub(super) fn run(args: &RunFileArgs) -> Result<u8, Error> {
    args.services.refuse_bucket()?;
    let mut spec = args.pipeline.read()?;
    spec.rejects = args.rejects.clone().or(spec.rejects);
    spec.max_rejects = args.max_rejects.or(spec.max_rejects);
    spec.threads = args.threads.or(spec.threads);
    if let Some(on_error) = args.on_error {
        spec.fails_at_first = on_error == OnError::Fail;
    }
    let file = Some(args.pipeline.file.clone());
    let lines_read = Default::default();
    let job = Job { spec, file, run: &args.run, services: &args.services, lines_read };
    match args.dry_run {
        Some(records) if !args.run.print_pipeline => dry_run::dry_run(&job, records as usize),
        _ => score::score(&job),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches as _;

    fn parsed(words: &str) -> Result<RunFileArgs, String> {
        let command = RunFileArgs::augment_args(clap::Command::new("run"));
        let words = ["run", "x.toml"].into_iter().chain(words.split_whitespace());
        let parsed = command.try_get_matches_from(words);
        parsed.and_then(|it| RunFileArgs::from_arg_matches(&it)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_dry_run_takes_no_option_that_would_do_nothing() {
        assert_eq!(parsed("--dry-run 2").unwrap().dry_run, Some(2));
        for other in [
            "--rejects r",
            "--on-error fail",
            "--max-rejects 1",
            "--resume",
            "--state s",
            "--summary s",
            "--print-pipeline",
        ] {
            let error = parsed(&format!("--dry-run 2 {other}")).unwrap_err();
            assert!(error.contains("'--dry-run <N>' cannot be used with"), "{other}: {error}");
        }
        let error = parsed("--dry-run 0").unwrap_err();
        assert!(error.contains("0 is not in 1..=4294967295"), "{error}");
    }
}
