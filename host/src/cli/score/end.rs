//! How a run ended, told to everyone: lines for people, the summary, what is on disk, the exit code.

use super::Job;
use crate::causes::chain;
use crate::cli::outputs::Outputs;
use crate::cli::{paths, say};
use crate::error::{Error, exit};
use crate::journal::{Checkpoint, Journal, Sealed};
use crate::pipeline::checkpoints::Checkpoints;
use crate::pipeline::{Outcome, RunError};
use crate::sink::publish::{Output, Unfinished};
use crate::summary::{self, ModelSummary, PluginSummary, ResumedSummary, Summary};
use std::io;
use std::path::Path;
use std::time::Duration;

impl Job<'_> {
    /// Tells of a run that was interrupted when nothing but the publication was left to do.
    pub(super) fn finish(
        &self,
        outputs: &Outputs,
        journal: Journal,
        sealed: Sealed,
        published: Result<(), Unfinished>,
    ) -> Result<u8, Error> {
        let summary_file = self.open_summary(outputs)?;
        let (published, published_in_part, error) = match published {
            Ok(()) => (true, Vec::new(), None),
            Err(Unfinished { path, source, renamed, in_place }) => {
                let what = format!("`{}`", path.display());
                (renamed, in_place, Some(RunError::Write { what, source }))
            }
        };
        if !self.task.job.quiet {
            let records = sealed.end.counts.read;
            say(&format!("resumed at the end: {records} records were done before\n"));
        }
        let outcome = Outcome {
            counts: sealed.end.counts,
            nodes: sealed.end.nodes.clone(),
            published,
            published_in_part,
            pipe_closed: false,
            error,
            checkpoints: Some(Checkpoints::new(journal, Duration::ZERO, Some(sealed.end))),
        };
        self.end(outcome, summary_file)
    }

    /// Says how the run ended: to people, in the summary, as an exit code.
    pub(super) fn end(
        &self,
        mut outcome: Outcome,
        summary_file: Option<Output>,
    ) -> Result<u8, Error> {
        let took = self.since.elapsed();
        // A file of rejects is there only where it was published with the output.
        let rejects = match &self.rejects {
            Some(path) => outcome.published.then(|| path.display().to_string()),
            None => Some("stderr".to_owned()),
        };
        let rejects = rejects.filter(|_| outcome.counts.rejected > 0);
        let is_hidden = self.output.is_some() && !outcome.published;
        if !self.task.job.quiet {
            say(&summary::lines(&outcome, is_hidden, rejects.as_deref(), took));
        }
        let exit_code = match &outcome.error {
            Some(error) => error.exit_code(),
            // A closed pipe is a quiet end, whatever was rejected before.
            None if outcome.counts.rejected > 0 && !outcome.pipe_closed => exit::REJECTS,
            None => exit::OK,
        };
        let summarised = summary_file
            .map_or(Ok(()), |file| self.summary(&outcome, rejects, took, exit_code).publish(file));
        let state = self.state(&outcome);
        let is_kept = outcome.kept().is_some();
        let error = outcome.error.take();
        // Last of all: with it, a run that is interrupted now still knows what it owes.
        let forgotten = match outcome.checkpoints.take() {
            // Nor where it is not certain that what is published stays so.
            Some(checkpoints)
                if !is_kept && summarised.is_ok() && !(outcome.published && error.is_some()) =>
            {
                let journal = checkpoints.into_journal();
                let path = journal.path().to_owned();
                journal.remove().map_err(|source| (path, source))
            }
            _ => Ok(()),
        };
        // A run that failed has the more important thing to say.
        match (error, summarised, forgotten) {
            (Some(source), ..) => Err(Error::Run { source, state }),
            (None, Err((path, source)), _) => Err(Error::Summary { path, source }),
            (None, Ok(()), Err((path, source))) => Err(Error::Forget { path, state, source }),
            (None, Ok(()), Ok(())) => Ok(exit_code),
        }
    }

    /// What is on disk now, and what to do with it; `None` where nobody needs to be told.
    fn state(&self, outcome: &Outcome) -> Option<String> {
        let Some(output) = &self.output else {
            let name = paths::output(self.task.job)
                .map_or("stdout".to_owned(), |path| format!("`{}`", path.display()));
            let written = outcome.counts.written;
            return Some(format!("{name} has taken {written} predictions, perhaps a part of more"));
        };
        if outcome.published {
            return Some(format!("`{}` is in its place, and whole", output.display()));
        }
        let mut state = match &outcome.published_in_part[..] {
            [] => Error::unpublished(output),
            [path, ..] => format!(
                "`{}` is this run's already; `{}` {}",
                path.display(),
                output.display(),
                Error::as_before(output)
            ),
        };
        if let Some(Checkpoint { counts, .. }) = outcome.kept() {
            let records = match counts.read {
                1 => "1 record is".to_owned(),
                records => format!("{records} records are"),
            };
            let how = match &outcome.error {
                Some(RunError::Limit(_)) => {
                    "with a higher limit, or none, the same command goes on"
                }
                Some(RunError::Source(error))
                    if error.source.kind() == io::ErrorKind::InvalidData =>
                {
                    "what was done goes on only with the input as it was"
                }
                _ => "start the same command again to go on",
            };
            state += &format!("; {records} done and kept: {how} behind that");
        }
        Some(state)
    }

    /// The same, where the run is ended from outside and nobody can ask it.
    pub(super) fn state_if_ended(&self) -> Option<String> {
        let mut state = Error::unpublished(self.output.as_deref()?);
        if self.resumable.is_some() {
            state += Error::KEPT;
        }
        Some(state)
    }

    fn summary<'a>(
        &self,
        outcome: &'a Outcome,
        rejects: Option<String>,
        took: Duration,
        exit_code: u8,
    ) -> Summary<'a> {
        let description = self.model.description();
        Summary {
            host_version: env!("CARGO_PKG_VERSION"),
            abi_version: model_abi_layout::ABI_VERSION,
            plugin: PluginSummary {
                path: self.plugin.display().to_string(),
                sha256: self.plugin_sha256.clone(),
            },
            model: ModelSummary {
                name: description.qualified_name.clone(),
                version: description.version(),
                fingerprint: self.model.report().fingerprint.clone(),
            },
            input: self.source_name(),
            output: paths::output(self.task.job).unwrap_or(Path::new("-")).display().to_string(),
            rejects,
            counts: outcome.counts,
            nodes: &outcome.nodes,
            published: outcome.published,
            resumed: outcome.resumed().map(|Checkpoint { position, counts, .. }| ResumedSummary {
                records: counts.read,
                line: (position.line > 0).then_some(position.line),
                byte: position.byte,
            }),
            checkpoints: outcome.checkpoints.as_ref().map_or(0, Checkpoints::count),
            started: self.started(),
            seconds: took.as_secs_f64(),
            exit_code,
            error: outcome.error.as_ref().map(|error| chain(error)),
        }
    }
}
