//! `etl-host --plugin FILE --input FILE`: scores a file of records.
//!
//! In this order, so that a mistake is found before it costs anything: flags; the plugin; what its
//! schemas say of the way to emit; the input; the model; the outputs; and then the first record.

use super::args::{EmitMode, JobArgs, OnError, Records, Task};
use super::outputs::Outputs;
use super::progress::Progress;
use super::{config, exits, paths, say, signals};
use crate::causes::chain;
use crate::error::{Error, exit};
use crate::pipeline::limits::Limits;
use crate::pipeline::{self, Outcome, Pipeline, Rejects, RunError};
use crate::plugin::{LoadedModel, Plugin, PluginError};
use crate::sink::ldjson::Writer;
use crate::sink::publish::Output;
use crate::source::ldjson::{Options, Reader};
use crate::step::emit::{Emit, EmitError};
use crate::step::model::ModelStep;
use crate::stop::Stop;
use crate::storage::{self, Input, Memory};
use crate::summary::{self, ModelSummary, PluginSummary, Summary};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// What the ends of a run are told with: names, and since when it runs.
struct Job<'a> {
    task: Task<'a>,
    plugin: PathBuf,
    /// Empty where nobody asks for it.
    plugin_sha256: String,
    model: Arc<LoadedModel>,
    /// `None`: stderr.
    rejects: Option<PathBuf>,
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
    let threads = match task.job.threads {
        Some(threads) => threads.into(),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };

    let outputs = Outputs::take_stdout()?;
    let stop = Stop::default();
    let exits = exits::Watch::start(&plugin_path, paths::output(task.job), &stop);
    let refused = |source: PluginError| Error::Plugin { path: plugin_path.clone(), source };
    let plugin = Plugin::open(&plugin_path).map_err(refused)?;
    let plugin_sha256 = match task.job.summary {
        Some(_) => summary::sha256(&plugin_path)
            .map_err(|source| Error::Input { path: plugin_path.clone(), source })?,
        None => String::new(),
    };
    let selector = task.model.model.as_ref();
    let description = plugin.model(selector).map_err(refused)?;
    emit.check(&description.input_schema, &description.output_schema).map_err(cannot_emit)?;
    let input = input(task.records)?;
    exits.during("its model was being loaded");
    let model = Arc::new(plugin.load(selector, &config, threads).map_err(refused)?);
    exits.during("its model was predicting");

    let rejects = paths::rejects(task.job);
    let job = Job { task, plugin: plugin_path, plugin_sha256, model, rejects, started, since };
    let result = job.run(&outputs, input, emit, threads, &stop);
    exits.settle(&result);
    result
}

impl Job<'_> {
    fn run(
        &self,
        outputs: &Outputs,
        input: Box<dyn Input>,
        emit: Emit,
        threads: usize,
        stop: &Stop,
    ) -> Result<u8, Error> {
        let job = self.task.job;
        let output = outputs.open("the output", paths::output(job))?;
        let rejects = match &self.rejects {
            Some(path) => outputs.open("the rejects file", Some(path))?,
            None => outputs.stderr()?,
        };
        let summary_file = job.summary.as_deref().map(|path| {
            outputs.open("the summary", Some(path).filter(|path| !paths::is_stdout(path)))
        });
        let summary_file = summary_file.transpose()?;

        signals::listen(stop).map_err(RunError::Thread)?;
        let progress = Progress::new(job.quiet, input.bytes_total());
        let options = Options { line_bytes_max: job.line_bytes_max as usize };
        let outcome = pipeline::run(
            Pipeline {
                source: Box::new(Reader::new(&self.source_name(), input, options)),
                steps: vec![Box::new(step(&self.model, emit, job.validate_output, stop))],
                sink: Box::new(Writer::new(output)),
                rejects: Rejects { output: rejects, path: self.rejects.clone() },
                limits: Limits::new(job.on_error == OnError::Fail, job.max_rejects),
                threads,
                stop: stop.clone(),
            },
            |counts, bytes_read| progress.show(counts, bytes_read),
        );
        progress.end();
        self.end(outcome, summary_file)
    }

    /// Says how the run ended: to people, in the summary, as an exit code.
    fn end(&self, outcome: Outcome, summary_file: Option<Output>) -> Result<u8, Error> {
        let took = self.since.elapsed();
        // A file of rejects is there only where it was published with the output.
        let rejects = match &self.rejects {
            Some(path) => outcome.published.then(|| path.display().to_string()),
            None => Some("stderr".to_owned()),
        };
        let rejects = rejects.filter(|_| outcome.counts.rejected > 0);
        if !self.task.job.quiet {
            say(&summary::lines(&outcome, rejects.as_deref(), took));
        }
        let exit_code = match &outcome.error {
            Some(error) => error.exit_code(),
            // A closed pipe is a quiet end, whatever was rejected before.
            None if outcome.counts.rejected > 0 && !outcome.pipe_closed => exit::REJECTS,
            None => exit::OK,
        };
        let summarised = summary_file
            .map_or(Ok(()), |file| self.summary(&outcome, rejects, took, exit_code).publish(file));
        // A run that failed has the more important thing to say.
        match (outcome.error, summarised) {
            (Some(source), _) => {
                let unpublished = paths::output(self.task.job).filter(|_| !outcome.published);
                Err(Error::Run { source, unpublished: unpublished.map(Path::to_owned) })
            }
            (None, Err((path, source))) => Err(Error::Summary { path, source }),
            (None, Ok(())) => Ok(exit_code),
        }
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
            started: humantime::format_rfc3339_millis(self.started).to_string(),
            seconds: took.as_secs_f64(),
            exit_code,
            error: outcome.error.as_ref().map(|error| chain(error)),
        }
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
        Records::File(path) => {
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

fn step(model: &Arc<LoadedModel>, emit: Emit, validate_output: bool, stop: &Stop) -> ModelStep {
    let description = model.description();
    let validator = validate_output.then(|| {
        let validator = jsonschema::validator_for(&description.output_schema);
        Arc::new(validator.expect("it was compiled when the plugin was opened"))
    });
    ModelStep::new(&description.qualified_name, model.clone(), emit, validator, stop.clone())
}
