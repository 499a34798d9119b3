//! `etl-host --plugin FILE --input FILE`: scores a file of records. `etl-host replay REJECTS`: the
//! same for the records of a rejects file.
//!
//! In this order, so that a mistake is found before it costs anything: flags; the plugin; what its
//! schemas say of the way to emit; the input; the model; the outputs; and then the first record.

use super::args::{EmitMode, JobArgs, OnError, Records, Task};
use super::outputs::Outputs;
use super::progress::Progress;
use super::resume::{self, Resumable};
use super::{config, exits, paths, say, signals};
use crate::causes::chain;
use crate::error::{Error, exit};
use crate::journal::{Checkpoint, Header, Journal, Left, Sealed};
use crate::pipeline::checkpoints::Checkpoints;
use crate::pipeline::limits::Limits;
use crate::pipeline::{self, Outcome, Pipeline, RunError};
use crate::plugin::{LoadedModel, Plugin, PluginError};
use crate::record::RecordPosition;
use crate::sink::ldjson::Writer;
use crate::sink::publish::{Output, Unfinished, names};
use crate::source::ldjson::{self, Options};
use crate::source::{Source, rejects};
use crate::step::Step;
use crate::step::emit::{Emit, EmitError};
use crate::step::model::ModelStep;
use crate::step::place::PlaceStep;
use crate::stop::Stop;
use crate::storage::{self, Input, Memory};
use crate::summary::{self, ModelSummary, PluginSummary, ResumedSummary, Summary};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// What a run works with, and what its end is told with.
struct Job<'a> {
    task: Task<'a>,
    plugin: PathBuf,
    /// Empty where nobody asks for it.
    plugin_sha256: String,
    config: String,
    model: Arc<LoadedModel>,
    threads: usize,
    emit: Emit,
    /// `None`: stderr.
    rejects: Option<PathBuf>,
    /// The file that is published; `None`: predictions go to a stream.
    output: Option<PathBuf>,
    resumable: Option<Resumable>,
    started: SystemTime,
    since: Instant,
}

/// Scores, says what was done, and returns the exit code.
pub(super) fn score(task: Task<'_>) -> Result<u8, Error> {
    let (started, since) = (SystemTime::now(), Instant::now());
    let emit = emit(task.job)?;
    let config = config::read(task.model.config.as_deref())?;
    let plugin_path = paths::plugin(task.model)?;
    paths::refuse_to_overwrite(task, &plugin_path)?;
    let resumable = resume::wanted(task)?;
    if resumable.is_none() {
        resume::refuse_left(task)?;
    }
    let threads = match task.job.threads {
        Some(threads) => threads.into(),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };

    let outputs = Outputs::take_stdout()?;
    let stop = Stop::default();
    let output = paths::output(task.job).filter(|path| !matches!(names(path), Ok(None)));
    let exits = exits::Watch::start(&plugin_path, output, resumable.is_some(), &stop);
    let refused = |source: PluginError| Error::Plugin { path: plugin_path.clone(), source };
    let plugin = Plugin::open(&plugin_path).map_err(refused)?;
    let plugin_sha256 = match task.job.summary.is_some() || resumable.is_some() {
        true => summary::sha256(&plugin_path)
            .map_err(|source| Error::Input { path: plugin_path.clone(), source })?,
        false => String::new(),
    };
    let selector = task.model.model.as_ref();
    let description = plugin.model(selector).map_err(refused)?;
    emit.check(&description.input_schema, &description.output_schema).map_err(cannot_emit)?;
    let input = input(task.records)?;
    exits.during("its model was being loaded");
    let model = Arc::new(plugin.load(selector, &config, threads).map_err(refused)?);
    exits.during("its model was predicting");

    let job = Job {
        task,
        plugin_sha256,
        config,
        model,
        threads,
        emit,
        rejects: paths::rejects(task.job),
        output: output.map(Path::to_owned),
        resumable,
        started,
        since,
        plugin: plugin_path,
    };
    let result = job.run(&outputs, input, &stop);
    exits.settle(&result);
    result
}

impl Job<'_> {
    fn run(&self, outputs: &Outputs, mut input: Box<dyn Input>, stop: &Stop) -> Result<u8, Error> {
        let job = self.task.job;
        let (journal, left) = match &self.resumable {
            None => (None, Left::default()),
            Some(resumable) => {
                let header = self.header(resumable, &*input);
                let (journal, left) = resumable.open(header)?;
                (Some(journal), left)
            }
        };
        let journal = match (journal, left.sealed, &self.resumable) {
            (Some(journal), Some(sealed), Some(resumable)) => {
                let published = journal.publish(&sealed).map_err(|e| resumable.error(e.into()))?;
                return self.finish(outputs, journal, sealed, published);
            }
            (journal, ..) => journal,
        };
        let resumed = left.checkpoint;
        let [rejects, output] = match &self.resumable {
            Some(resumable) => resumable.outputs(resumed.as_ref())?,
            None => {
                let output = outputs.open("the output", paths::output(job))?;
                let rejects = match &self.rejects {
                    Some(path) => outputs.open("the rejects file", Some(path))?,
                    None => outputs.stderr()?,
                };
                [rejects, output]
            }
        };
        let summary_file = self.open_summary(outputs)?;

        signals::listen(stop, self.state_if_ended()).map_err(RunError::Thread)?;
        let progress = Progress::new(job.quiet, input.bytes_total(), resumed.as_ref());
        let mut options = Options {
            line_bytes_max: job.line_bytes_max as usize,
            checkpoint_bytes: journal.is_some().then_some(job.checkpoint_bytes),
            ..Options::default()
        };
        if let Some(Checkpoint { position, counts, .. }) = &resumed {
            options.start = *position;
            let path = self.task.input().unwrap_or(Path::new("-")).to_owned();
            input.seek(position.byte).map_err(|source| Error::Input { path, source })?;
            if !job.quiet {
                let RecordPosition { line, byte } = position;
                say(&format!(
                    "resumed at line {line}, byte {byte}: {} records were done before\n",
                    counts.read
                ));
            }
        }
        let checkpoints =
            journal.map(|journal| Checkpoints::new(journal, job.checkpoint_seconds, resumed));
        let mut steps: Vec<Box<dyn Step>> = vec![Box::new(self.step(stop))];
        if job.place {
            steps.push(Box::new(PlaceStep::default()));
        }
        let outcome = pipeline::run(
            Pipeline {
                source: self.source(input, options),
                steps,
                sink: Box::new(Writer::new(output)),
                rejects,
                limits: Limits::new(job.on_error == OnError::Fail, job.max_rejects),
                threads: self.threads,
                stop: stop.clone(),
                checkpoints,
            },
            |counts, bytes_read| progress.show(counts, bytes_read),
        );
        progress.end();
        self.end(outcome, summary_file)
    }

    fn source(&self, input: Box<dyn Input>, options: Options) -> Box<dyn Source> {
        let name = self.source_name();
        match self.task.records {
            Records::Rejects(_) => Box::new(rejects::Reader::new(&name, input, options)),
            Records::File(_) | Records::One(_) => {
                Box::new(ldjson::Reader::new(&name, input, options))
            }
        }
    }

    /// Tells of a run that was interrupted when nothing but the publication was left to do.
    fn finish(
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

    fn open_summary(&self, outputs: &Outputs) -> Result<Option<Output>, Error> {
        let summary = self.task.job.summary.as_deref().map(|path| {
            outputs.open("the summary", Some(path).filter(|path| !paths::is_stdout(path)))
        });
        summary.transpose()
    }

    /// Says how the run ended: to people, in the summary, as an exit code.
    fn end(&self, mut outcome: Outcome, summary_file: Option<Output>) -> Result<u8, Error> {
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
            Some(checkpoints) if !is_kept && summarised.is_ok() => {
                checkpoints.into_journal().remove()
            }
            _ => Ok(()),
        };
        // A run that failed has the more important thing to say.
        match (error, summarised, forgotten) {
            (Some(source), ..) => Err(Error::Run { source, state }),
            (None, Err((path, source)), _) => Err(Error::Summary { path, source }),
            (None, Ok(()), Err(source)) => Err(Error::Forget { state, source }),
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
            state += &format!(
                "; {records} done and kept: start the same command again to go on behind that"
            );
        }
        Some(state)
    }

    /// The same, where the run is ended from outside and nobody can ask it.
    fn state_if_ended(&self) -> Option<String> {
        let mut state = Error::unpublished(self.output.as_deref()?);
        if self.resumable.is_some() {
            state += Error::KEPT;
        }
        Some(state)
    }

    fn header(&self, resumable: &Resumable, input: &dyn Input) -> Header {
        let plugin = (&*self.plugin, &*self.plugin_sha256);
        let started = self.started();
        resume::header(self.task, resumable, plugin, &self.model, &self.config, input, started)
    }

    fn started(&self) -> String {
        humantime::format_rfc3339_millis(self.started).to_string()
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
                line: position.line,
                byte: position.byte,
            }),
            checkpoints: outcome.checkpoints.as_ref().map_or(0, Checkpoints::count),
            started: self.started(),
            seconds: took.as_secs_f64(),
            exit_code,
            error: outcome.error.as_ref().map(|error| chain(error)),
        }
    }

    fn step(&self, stop: &Stop) -> ModelStep {
        let description = self.model.description();
        let validator = self.task.job.validate_output.then(|| {
            let validator = jsonschema::validator_for(&description.output_schema);
            Arc::new(validator.expect("it was compiled when the plugin was opened"))
        });
        let (model, emit) = (self.model.clone(), self.emit.clone());
        ModelStep::new(&description.qualified_name, model, emit, validator, stop.clone())
    }

    /// What stands in rejects and messages as the place where records come from.
    fn source_name(&self) -> String {
        self.task.input().unwrap_or(Path::new("--record")).display().to_string()
    }
}

/// What abi_stable has to say of a layout, for `--verbose`.
pub(super) fn long_report(error: &Error) -> Option<&str> {
    match error {
        Error::Plugin { source: PluginError::Open(error), .. } => error.report(),
        _ => None,
    }
}

fn emit(job: &JobArgs) -> Result<Emit, Error> {
    match job.emit {
        EmitMode::Prediction if job.keep.is_empty() => Ok(Emit::Prediction),
        EmitMode::Prediction => {
            let mut kept: Vec<String> = Vec::new();
            for field in &job.keep {
                if !kept.contains(field) {
                    kept.push(field.clone()); // a field stands in an object once
                }
            }
            Ok(Emit::Keep(kept))
        }
        _ if !job.keep.is_empty() => Err(Error::Usage {
            message: "--keep goes with --emit prediction".to_owned(),
            hint: Some("merge and nest write the whole record already".to_owned()),
        }),
        EmitMode::Merge => Ok(Emit::Merge),
        EmitMode::Nest => Ok(Emit::Nest),
    }
}

fn cannot_emit(error: EmitError) -> Error {
    Error::Usage {
        message: format!("the output can't be joined: {error}"),
        hint: Some("--emit nest keeps the record and the prediction apart".to_owned()),
    }
}

fn input(records: Records<'_>) -> Result<Box<dyn Input>, Error> {
    match records {
        Records::One(record) => Ok(Box::new(Memory::new(one_line(record)?))),
        Records::File(path) | Records::Rejects(path) => {
            storage::open(path).map_err(|source| Error::Input { path: path.to_owned(), source })
        }
    }
}

/// A record that may have been written over several lines. Line feeds between tokens are white
/// space; one inside a string is not JSON, and must not be made so.
fn one_line(record: &str) -> Result<String, Error> {
    if record.trim().is_empty() {
        return Err(Error::usage("the record is empty"));
    }
    if record.contains(['\n', '\r'])
        && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(record)
    {
        return Err(Error::usage(format!("the record is not JSON: {error}")));
    }
    Ok(record.replace(['\n', '\r'], " "))
}
