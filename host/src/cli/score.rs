//! `etl-host --plugin FILE --input FILE`: scores a file of records. `etl-host replay REJECTS`: the
//! same for the records of a rejects file.
//!
//! In this order, so that a mistake is found before it costs anything: flags; the plugin; what its
//! schemas say of the way to emit; the input; the model; the outputs; and then the first record.

mod end;

use super::args::{EmitMode, JobArgs, OnError, Records, Task};
use super::outputs::Outputs;
use super::progress::Progress;
use super::resume::{self, Resumable};
use super::{config, exits, paths, say, signals};
use crate::error::Error;
use crate::journal::{Checkpoint, Header, Left};
use crate::pipeline::checkpoints::Checkpoints;
use crate::pipeline::limits::Limits;
use crate::pipeline::{self, Pipeline, RunError};
use crate::plugin::{LoadedModel, Plugin, PluginError};
use crate::record::RecordPosition;
use crate::sink::ldjson::Writer;
use crate::sink::publish::{Output, names};
use crate::source::ldjson::{self, Options};
use crate::source::{Source, rejects};
use crate::step::Step;
use crate::step::emit::{Emit, EmitError};
use crate::step::model::ModelStep;
use crate::step::place::PlaceStep;
use crate::stop::Stop;
use crate::storage::{self, Input, Memory};
use crate::summary;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

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
    if let Some(resumable) = &job.resumable {
        resumable.clear_up();
    }
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
                stop.set_ending();
                let published = journal.publish(&sealed).map_err(|e| resumable.error(e.into()))?;
                return self.finish(outputs, journal, sealed, published);
            }
            (journal, ..) => journal,
        };
        let resumed = left.checkpoint;
        let [rejects, output] = match &self.resumable {
            Some(resumable) => resumable.outputs(resumed.as_ref())?,
            None => {
                resume::refuse_left(self.task)?; // once more: loading a model may take its time
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
            input.seek(*position).map_err(|source| Error::Input { path, source })?;
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

    fn open_summary(&self, outputs: &Outputs) -> Result<Option<Output>, Error> {
        let summary = self.task.job.summary.as_deref().map(|path| {
            outputs.open("the summary", Some(path).filter(|path| !paths::is_stdout(path)))
        });
        summary.transpose()
    }

    fn header(&self, resumable: &Resumable, input: &dyn Input) -> Header {
        let plugin = (&*self.plugin, &*self.plugin_sha256);
        let started = self.started();
        resume::header(self.task, resumable, plugin, &self.model, &self.config, input, started)
    }

    fn started(&self) -> String {
        humantime::format_rfc3339_millis(self.started).to_string()
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
