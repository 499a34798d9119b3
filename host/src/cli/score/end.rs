//! How a run ended, told to everyone: lines for people, the summary, what is on disk, the exit code.

use super::{Run, Session, inputs};
use crate::causes::chain;
use crate::cli::files::Plan;
use crate::cli::formats::{compression_of_output, of_output};
use crate::cli::say;
use crate::counts;
use crate::error::{Error, exit};
use crate::format::Format;
use crate::journal::{Checkpoint, InputFile, Journal, Sealed};
use crate::pipeline::checkpoints::Checkpoints;
use crate::pipeline::{Outcome, RunError};
use crate::record::Lines;
use crate::sink::publish::{Output, Unfinished};
use crate::spec::{Node, SinkSpec};
use crate::storage::compressed::decoding::is_damaged;
use crate::storage::disk::{Disk as _, Local};
use crate::storage::location::Location;
use crate::summary::{
    self, InputSummary, ModelSummary, NodeSummary, OutputSummary, PluginSummary, RangeSummary,
    ResumedSummary, RunSummary, Summary,
};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A run that has ended, or could not begin, and what is still owed.
pub(super) struct Ended {
    summary: RunSummary,
    pub(super) code: u8,
    /// Why it did not end well.
    pub(super) error: Option<Error>,
    /// Whether no other run is begun behind it.
    pub(super) stops: bool,
    journal: Option<LeftJournal>,
}

/// A journal, which goes last of all: with it, a run that is interrupted now still knows what it owes.
struct LeftJournal {
    path: PathBuf,
    /// Held as long as the command runs. Not where there are many: each is an open file.
    held: Option<Journal>,
    /// Whether somebody is to go on with it, or it is not certain that what is published stays so.
    is_kept: bool,
    /// What is on disk now.
    state: Option<String>,
}

impl Run<'_> {
    /// Tells of a run that was interrupted when nothing but the publication was left to do.
    pub(super) fn finish(
        &self,
        journal: Journal,
        sealed: Sealed,
        published: Result<Vec<Option<String>>, Unfinished>,
        inputs: Vec<InputFile>,
    ) -> Ended {
        let mut versions = vec![None; self.files.outputs.len()];
        let (published, published_in_part, error) = match published {
            Ok(told) => {
                versions = told;
                (true, Vec::new(), None)
            }
            Err(Unfinished { path, source, renamed, in_place }) => {
                let what = format!("`{}`", path.display());
                (renamed, in_place, Some(RunError::Write { what, source }))
            }
        };
        if !self.session.job.run.quiet && !self.session.plan.is_folder {
            let records = sealed.end.counts.read;
            say(&format!("resumed at the end: {records} records were done before\n"));
        }
        let outcome = Outcome {
            counts: sealed.end.counts,
            nodes: sealed.end.nodes.clone(),
            published,
            published_in_part,
            versions,
            pipe_closed: false,
            error,
            checkpoints: Some(Checkpoints::new(journal, Duration::ZERO, Some(sealed.end))),
        };
        self.end(outcome, inputs)
    }

    /// Says how the run ended, but for its error.
    pub(super) fn end(&self, mut outcome: Outcome, inputs: Vec<InputFile>) -> Ended {
        let Session { job, plan, .. } = self.session;
        let took = self.since.elapsed();
        // A file of rejects is there only where it was published with the output.
        let rejects = match &self.files.rejects {
            Location::Stream => Some("stderr".to_owned()),
            file => outcome.published.then(|| file.to_string()),
        };
        let rejects = rejects.filter(|_| outcome.counts.rejected > 0);
        let is_hidden = self.files.published().next().is_some() && !outcome.published;
        if outcome.pipe_closed && outcome.error.is_none() && self.files.published().next().is_some()
        {
            // No quiet end: who reads a file that was to be there would take the one before for it.
            let source = io::ErrorKind::BrokenPipe.into();
            outcome.error =
                Some(RunError::Write { what: "an output that is a pipe".to_owned(), source });
        }
        let state = self.state(&outcome);
        let summary = RunSummary {
            input: self.input(),
            inputs: self.inputs(inputs),
            range: self.range(),
            output: self.files.main_output().to_string(),
            output_version: outcome.versions.last().cloned().flatten(),
            outputs: self.written(std::mem::take(&mut outcome.versions)),
            rejects,
            counts: outcome.counts,
            nodes: std::mem::take(&mut outcome.nodes),
            published: outcome.published && job.run.hold.is_none(),
            held: outcome.published && job.run.hold.is_some(),
            resumed: outcome.resumed().map(|it| self.resumed(it)),
            checkpoints: outcome.checkpoints.as_ref().map_or(0, Checkpoints::count),
            seconds: took.as_secs_f64(),
            error: outcome.error.as_ref().map(|error| chain(error)),
        };
        if !job.run.quiet {
            let stopped = outcome.error.is_some() || outcome.pipe_closed;
            say(&match plan.is_folder {
                true => format!("{}: {}", summary.output, summary::total(&summary, is_hidden)),
                false => {
                    summary::lines(&summary.nodes, stopped) + &summary::total(&summary, is_hidden)
                }
            });
        }
        if let Some(ticket) = job.run.hold.as_deref().filter(|_| summary.held && !job.run.quiet) {
            let output = &summary.output;
            say(&format!(
                "`{output}` is not there yet: etl-host commit takes its ticket, `{}`\n",
                ticket.display()
            ));
        }
        let is_kept = outcome.kept().is_some() || (outcome.published && outcome.error.is_some());
        let journal = outcome.checkpoints.map(|checkpoints| {
            let journal = checkpoints.into_journal();
            let path = journal.path().to_owned();
            let held = (!plan.is_folder).then_some(journal);
            LeftJournal { path, is_kept, held, state: state.clone() }
        });
        let stops = match &outcome.error {
            Some(RunError::Source(_)) => !self.session.goes_on(),
            Some(_) => true,
            None => outcome.pipe_closed,
        };
        let code = match &outcome.error {
            Some(error) => error.exit_code(),
            // A closed pipe is a quiet end, whatever was rejected before.
            None if outcome.counts.rejected > 0 && !outcome.pipe_closed => exit::REJECTS,
            None => exit::OK,
        };
        let error = outcome.error.map(|source| Error::Run { source, state });
        Ended { summary, code, error, stops, journal }
    }

    /// One that could not begin.
    pub(super) fn unbegun(&self, error: Error) -> Ended {
        let summary = RunSummary {
            input: self.input(),
            output: self.files.main_output().to_string(),
            error: Some(chain(&error)),
            ..RunSummary::default()
        };
        let stops = !(matches!(error, Error::Input { .. }) && self.session.goes_on());
        Ended { summary, code: error.exit_code(), error: Some(error), stops, journal: None }
    }

    /// What stands in messages as the place where records come from.
    fn input(&self) -> String {
        let names = inputs::all(self.session.job, self.files).map(|(name, ..)| name);
        names.collect::<Vec<_>>().join(", ")
    }

    /// The range that was read, where it was not all.
    fn range(&self) -> Option<RangeSummary> {
        let Session { job, .. } = self.session;
        let range = job.spec.sources.iter().find_map(|source| source.what.range)?;
        let (offset, length) = (range.offset, range.length);
        Some(RangeSummary { offset, length, lines: job.lines_read.get().copied() })
    }

    /// Where each sink of a pipeline that somebody named wrote to.
    fn written(&self, versions: Vec<Option<String>>) -> Vec<OutputSummary> {
        let Session { job, .. } = self.session;
        if !job.is_named() {
            return Vec::new();
        }
        let outputs = job.spec.sinks.iter().zip(&self.files.outputs).zip(versions);
        let outputs = outputs.map(|((node, location), version)| OutputSummary {
            node: node.name.clone(),
            output: location.to_string(),
            version,
        });
        outputs.collect()
    }

    fn inputs(&self, versions: Vec<InputFile>) -> Vec<InputSummary> {
        let Session { job, reads, .. } = self.session;
        let mut versions = versions.into_iter();
        // The record of a command line is no input.
        let inputs = inputs::all(job, self.files)
            .filter(|(_, location, _)| job.is_named() || location.is_some());
        let inputs = inputs.map(|(name, location, source)| {
            let version = location.and_then(|_| versions.next()).map(|it| it.version);
            let version = version.filter(|version| !version.is_empty());
            InputSummary { name, version, fields: reads[source].fields.clone() }
        });
        inputs.collect()
    }

    fn resumed(&self, Checkpoint { input, position, counts, .. }: &Checkpoint) -> ResumedSummary {
        ResumedSummary {
            records: counts.read,
            input: inputs::all(self.session.job, self.files).nth(*input).map(|(name, ..)| name),
            line: (position.line > 0 && self.lines() == Lines::Source).then_some(position.line),
            byte: position.byte,
        }
    }

    /// What is on disk now, and what to do with it; `None` where nobody needs to be told.
    fn state(&self, outcome: &Outcome) -> Option<String> {
        let state = self.state_of_output(outcome)?;
        Some(match (&outcome.error, outcome.counts.read) {
            (Some(RunError::Source(_)), 1) => format!("1 record before it was good; {state}"),
            (Some(RunError::Source(_)), read) => {
                format!("{read} records before it were good; {state}")
            }
            _ => state,
        })
    }

    /// What a stream holds, of so many predictions that were written to it.
    fn taken(&self, (node, output): (&Node<SinkSpec>, &Location), written: u64) -> String {
        let stream = match output {
            Location::Stream => "stdout".to_owned(),
            output => format!("`{output}`"),
        };
        let what = if self.session.job.is_named() { "records" } else { "predictions" };
        stream
            + &match of_output(&node.what, output) {
                format @ (Format::Parquet | Format::Arrow) => {
                    format!(" has a part at most, and {} is nothing without its end", format.name())
                }
                _ if compression_of_output(&node.what, output).is_some() => {
                    format!(" has taken {written} {what} at most: the last may not be there")
                }
                _ => format!(" has taken {written} {what}, perhaps a part of more"),
            }
    }

    /// What each output has taken that can't be taken back.
    fn streams(&self, outcome: &Outcome) -> Vec<String> {
        let published: Vec<&Location> = self.files.published().collect();
        let nodes = &outcome.nodes[outcome.nodes.len() - self.files.outputs.len()..];
        let sinks = self.session.job.spec.sinks.iter().zip(&self.files.outputs).zip(nodes);
        let streams = sinks.filter(|((_, output), _)| !published.contains(output));
        streams.map(|(sink, node)| self.taken(sink, node.given)).collect()
    }

    fn state_of_output(&self, outcome: &Outcome) -> Option<String> {
        let outputs: Vec<&Location> = self.files.published().collect();
        if outputs.is_empty() {
            return Some(self.streams(outcome).join("; "));
        }
        let shown = shown_together(outputs.iter().map(|output| format!("`{output}`")));
        if outcome.published {
            return Some(match outputs.len() {
                1 => format!("{shown} is in its place, and whole"),
                _ => format!("{shown} are in their place, and whole"),
            });
        }
        let mut state = match &outcome.published_in_part[..] {
            [] => Error::unpublished(&outputs),
            paths => {
                let is_new = |output: &&&Location| {
                    paths.iter().any(|path| path.display().to_string() == output.to_string())
                };
                let before = outputs.iter().filter(|output| !is_new(output));
                let before =
                    before.map(|output| format!("`{output}` {}", Error::as_before(output)));
                let new = shown_together(paths.iter().map(|path| format!("`{}`", path.display())));
                let (verb, before) =
                    (if paths.len() == 1 { "is" } else { "are" }, shown_together(before));
                format!("{new} {verb} this run's already; {before}")
            }
        };
        self.streams(outcome).iter().for_each(|taken| state += &format!("; {taken}"));
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
                    if error.source.kind() == io::ErrorKind::InvalidData
                        || is_damaged(&error.source) =>
                {
                    "what was done goes on only with the input as it was"
                }
                _ => "start the same command again to go on",
            };
            state += &format!("; {records} done and kept: {how} behind that");
        }
        Some(state)
    }
}

/// Names one after the other.
pub(super) fn shown_together(names: impl Iterator<Item = impl std::fmt::Display>) -> String {
    names.map(|name| name.to_string()).collect::<Vec<_>>().join(", ")
}

/// The same, where the process is ended from outside and no run can be asked.
pub(super) fn state_if_ended(plan: &Plan, is_resumable: bool) -> Option<String> {
    let kept = if is_resumable { Error::KEPT } else { "" };
    match &plan.runs[..] {
        _ if plan.is_folder => {
            Some(format!("each output is this run's, and whole, or as it was{kept}"))
        }
        [files] => {
            let outputs: Vec<&Location> = files.published().collect();
            (!outputs.is_empty()).then(|| Error::unpublished(&outputs) + kept)
        }
        _ => unreachable!("only a folder takes several"),
    }
}

impl Session<'_> {
    /// Says how the command ended: to people where it was several runs, in the summary, and as an exit
    /// code.
    pub(super) fn end(
        &self,
        mut ended: Vec<Ended>,
        summary_file: Option<Output>,
    ) -> Result<u8, Error> {
        let is_quiet = self.job.run.quiet;
        // That of the only run; those of several were told.
        let error = ended.last_mut().and_then(|one| one.error.take());
        // What stopped it is the last.
        let exit_code = ended.iter().fold(exit::OK, |code, one| match one.code {
            ..=exit::REJECTS => code.max(one.code),
            worse => worse,
        });
        let is_done = ended.len() == self.plan.runs.len() && exit_code <= exit::REJECTS;
        let (mut journals, mut runs) = (Vec::new(), Vec::new());
        for one in ended {
            journals.extend(one.journal);
            runs.push(one.summary);
        }
        let total = match self.plan.is_folder {
            true => self.total(&runs),
            false => runs.pop().expect("there was a run"),
        };
        if self.plan.is_folder && !is_quiet {
            say(&summary::lines(&total.nodes, !is_done));
            say(&summary::total(&total, false));
        }
        if !is_quiet {
            self.models.say_workers(self.job);
        }
        let summarised =
            summary_file.map_or(Ok(()), |file| self.summary(total, runs, exit_code).publish(file));
        // Of several, each stays until all are done: the next run sees by it what it need not do.
        let forgotten = match summarised.is_ok() && (is_done || !self.plan.is_folder) {
            true => journals.into_iter().try_for_each(LeftJournal::forget),
            false => Ok(()),
        };
        // A run that failed has the more important thing to say.
        match (error, summarised) {
            (Some(error), _) => Err(error),
            (None, Err((path, source))) => Err(Error::Summary { path, source }),
            (None, Ok(())) => forgotten.map(|()| exit_code),
        }
    }

    /// All runs together.
    fn total(&self, runs: &[RunSummary]) -> RunSummary {
        let output = self.job.spec.sinks[0].what.output.as_deref().unwrap_or_default();
        let mut total = RunSummary {
            output: Location::of(output).to_string(), // and no password of it
            published: runs.len() == self.plan.runs.len(),
            seconds: self.since.elapsed().as_secs_f64(),
            ..RunSummary::default()
        };
        for run in runs {
            total.counts.add(&run.counts);
            add_nodes(&mut total.nodes, &run.nodes);
            total.published &= run.published;
            total.checkpoints += run.checkpoints;
            total.error = total.error.or_else(|| run.error.clone());
        }
        total
    }

    fn summary(&self, total: RunSummary, runs: Vec<RunSummary>, exit_code: u8) -> Summary {
        let models = self.models.all().iter().map(|model| {
            let description = &model.description;
            let plugin = PluginSummary {
                path: model.path.display().to_string(),
                sha256: model.sha256.clone(),
            };
            let summary = ModelSummary {
                name: description.qualified_name.clone(),
                version: description.version(),
                fingerprint: model.report.fingerprint.clone(),
                workers: model.workers(),
            };
            (model.node.clone(), plugin, summary)
        });
        let mut models: Vec<_> = models.collect();
        let only = match self.job.is_named() {
            true => None,
            false => models.pop(),
        };
        let (plugin, model) = only.map(|(_, plugin, model)| (plugin, model)).unzip();
        let models = models.into_iter();
        let models = models.map(|(node, plugin, model)| NodeSummary { node, plugin, model });
        Summary {
            host_version: env!("CARGO_PKG_VERSION"),
            abi_version: model_abi_layout::ABI_VERSION,
            pipeline: self.job.file.as_ref().map(|file| file.display().to_string()),
            plugin,
            model,
            models: models.collect(),
            run: total,
            runs,
            started: self.started(),
            exit_code,
        }
    }
}

impl LeftJournal {
    fn forget(self) -> Result<(), Error> {
        let LeftJournal { path, held, is_kept, state } = self;
        let removed = match held {
            _ if is_kept => Ok(()),
            Some(journal) => journal.remove(),
            None => Local.remove(&path),
        };
        removed.map_err(|source| Error::Forget { path, state, source })
    }
}

/// Nodes by their place: inputs of other formats have other readers, which are counted as one.
fn add_nodes(total: &mut Vec<counts::Node>, nodes: &[counts::Node]) {
    if total.is_empty() {
        return total.extend_from_slice(nodes);
    }
    for (total, node) in total.iter_mut().zip(nodes) {
        total.add(node.counted());
    }
}
