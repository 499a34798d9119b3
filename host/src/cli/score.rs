//! `etl-host --plugin FILE --input FILE`: scores a file of records. `etl-host replay REJECTS`: the
//! same for the records of a rejects file.
//!
//! In this order, so that a mistake is found before it costs anything: flags; the plugin; what its
//! schemas say of the way to emit; the input; the model; the outputs; and then the first record.

mod end;
mod inputs;

use super::args::{EmitMode, JobArgs, OnError, Task};
use super::files::{self, Files, Plan};
use super::outputs::{self, Outputs};
use super::progress::Progress;
use super::resume::{self, Resumable};
use super::{config, exits, paths, say, signals};
use crate::columns::{self, Column};
use crate::error::Error;
use crate::journal::{Checkpoint, Header, InputFile, Left};
use crate::pipeline::checkpoints::Checkpoints;
use crate::pipeline::graph::{self, Work};
use crate::pipeline::limits::Limits;
use crate::pipeline::{self, Pipeline, RunError};
use crate::plugin::{LoadedModel, Plugin, PluginError};
use crate::record::RecordPosition;
use crate::sink::publish::{Output, folder_of};
use crate::sink::{self, Sink};
use crate::source::{self, Source, many};
use crate::step::emit::{Emit, EmitError};
use crate::step::model::ModelStep;
use crate::step::place::PlaceStep;
use crate::stop::Stop;
use crate::storage::disk::HoldError;
use crate::storage::location::Location;
use crate::storage::services::Services;
use crate::summary;
use end::Ended;
use model_abi::describe::ModelDescription;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// What all runs of a command line share, and what their end is told with.
struct Session<'a> {
    task: Task<'a>,
    plan: &'a Plan,
    services: Arc<Services>,
    plugin: PathBuf,
    /// Empty where nobody asks for it.
    plugin_sha256: String,
    config: String,
    model: Arc<LoadedModel>,
    threads: usize,
    emit: Emit,
    outputs: Outputs,
    stop: Stop,
    started: SystemTime,
    since: Instant,
}

/// One of them.
struct Run<'a> {
    session: &'a Session<'a>,
    files: &'a Files,
    resumable: Option<&'a Resumable>,
    since: Instant,
}

/// Scores, says what was done, and returns the exit code.
pub(super) fn score(task: Task<'_>) -> Result<u8, Error> {
    let (started, since) = (SystemTime::now(), Instant::now());
    let emit = emit(task.job)?;
    let config = config::read(task.model.config.as_deref())?;
    let plugin_path = paths::plugin(task.model)?;
    let stop = Stop::default();
    let services = task.job.services.open(&stop)?;
    let plan = files::plan(task, &services)?;
    task.job.formats.check(task, &plan)?;
    paths::refuse_to_overwrite(task, &plan, &plugin_path, &services)?;
    task.job.tables.check(task, &plan, &services)?;
    let resumables = plan.runs.iter().map(|files| {
        let resumable = resume::wanted(task, files, &services, plan.is_folder)?;
        if resumable.is_none() {
            resume::refuse_left(files)?;
        }
        Ok(resumable)
    });
    let resumables: Vec<Option<Resumable>> = resumables.collect::<Result<_, Error>>()?;
    let is_resumable = resumables.iter().any(Option::is_some);
    let threads = match task.job.threads {
        Some(threads) => threads.into(),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };

    let outputs = Outputs::take_stdout()?;
    let exits = exits::Watch::start(&plugin_path, end::state_if_ended(&plan, is_resumable), &stop);
    let refused = |source: PluginError| Error::Plugin { path: plugin_path.clone(), source };
    let plugin = Plugin::open(&plugin_path).map_err(refused)?;
    let plugin_sha256 = match task.job.summary.is_some() || is_resumable {
        true => summary::sha256(&plugin_path)
            .map_err(|source| Error::Input { path: plugin_path.clone(), source })?,
        false => String::new(),
    };
    let selector = task.model.model.as_ref();
    let description = plugin.model(selector).map_err(refused)?;
    emit.check(&description.input_schema, &description.output_schema).map_err(cannot_emit)?;
    // One that goes into a folder is told of in its turn.
    let source = match (&plan.runs[..], &resumables[..]) {
        ([files], [None]) if !plan.is_folder => {
            let options = inputs::options(task, &emit, &description.input_schema);
            Some(inputs::open((task, &services), files, options, (0, RecordPosition::default()))?)
        }
        ([files], [Some(_)]) if !plan.is_folder => {
            inputs::versions(files, &services).map(|_| None)?
        }
        _ => None,
    };
    exits.during("its model was being loaded");
    let model = Arc::new(plugin.load(selector, &config, threads).map_err(refused)?);
    exits.during("its model was predicting");

    let session = Session {
        task,
        plan: &plan,
        services,
        plugin_sha256,
        config,
        model,
        threads,
        emit,
        outputs,
        stop,
        started,
        since,
        plugin: plugin_path,
    };
    let result = session.run(&resumables, source);
    resumables.iter().flatten().for_each(Resumable::clear_up);
    exits.settle(&result);
    result
}

impl Session<'_> {
    /// `source`: of the only run, where it is open already.
    fn run(
        &self,
        resumables: &[Option<Resumable>],
        mut source: Option<many::Reader>,
    ) -> Result<u8, Error> {
        let summary_file = self.open_summary()?;
        let is_resumable = resumables.iter().any(Option::is_some);
        let state = end::state_if_ended(self.plan, is_resumable);
        signals::listen(&self.stop, state).map_err(RunError::Thread)?;
        let mut ended = Vec::new();
        for (files, resumable) in self.plan.runs.iter().zip(resumables) {
            self.stop.set_beginning();
            let resumable = resumable.as_ref();
            let run = Run { session: self, files, resumable, since: Instant::now() };
            let mut one = match run.score(source.take()) {
                Err(error) if !self.plan.is_folder => return Err(error),
                Err(error) => run.unbegun(error),
                Ok(ended) => ended,
            };
            // Of the only run it is told last of all.
            if let Some(error) = one.error.take_if(|_| self.plan.is_folder) {
                say(&error.report());
            }
            let stops = one.stops || self.stop.signal().is_some();
            ended.push(one);
            if stops {
                break;
            }
        }
        self.end(ended, summary_file)
    }

    /// Whether other inputs are read where one can't be.
    fn goes_on(&self) -> bool {
        self.plan.is_folder && self.task.job.on_error == OnError::Reject
    }

    fn open_summary(&self) -> Result<Option<Output>, Error> {
        let summary = self.task.job.summary.as_deref().map(|path| {
            self.outputs.open("the summary", Some(path).filter(|path| !paths::is_stdout(path)))
        });
        summary.transpose()
    }

    fn started(&self) -> String {
        humantime::format_rfc3339_millis(self.started).to_string()
    }

    fn source_options(&self) -> source::Options {
        inputs::options(self.task, &self.emit, &self.model.description().input_schema)
    }

    fn step(&self) -> ModelStep {
        let description = self.model.description();
        let validator = self.task.job.validate_output.then(|| {
            let validator = jsonschema::validator_for(&description.output_schema);
            Arc::new(validator.expect("it was compiled when the plugin was opened"))
        });
        let (model, emit) = (self.model.clone(), self.emit.clone());
        ModelStep::new(&description.qualified_name, model, emit, validator, self.stop.clone())
    }
}

impl Run<'_> {
    /// An error: it has not begun, and there is nothing else to tell of it. `source`: where it is open
    /// already.
    fn score(&self, source: Option<many::Reader>) -> Result<Ended, Error> {
        let Session { task, plan, services, stop, .. } = self.session;
        let job = task.job;
        let inputs = inputs::versions(self.files, services)?;
        if plan.is_folder {
            make_folders(self.files)?;
        }
        let (journal, left) = match self.resumable {
            None => (None, Left::default()),
            Some(resumable) => {
                let (journal, left) = resumable.open(self.header(resumable, &inputs))?;
                (Some(journal), left)
            }
        };
        let journal = match (journal, &left.sealed, self.resumable) {
            (Some(journal), Some(sealed), Some(resumable)) => {
                stop.set_ending();
                let uploads = |at: &str, sent| resume::upload(services, at, sent);
                let published = journal.publish(sealed, &uploads);
                let published = published.map_err(|error| resumable.error(error.into()))?;
                return Ok(self.finish(journal, sealed.clone(), published, inputs));
            }
            (journal, ..) => journal,
        };
        let resumed = left.checkpoint.clone();
        let source = match source {
            Some(source) => source,
            None => {
                let from = resumed.as_ref().map(|it| (it.input, it.position));
                let options = self.session.source_options();
                inputs::open((*task, services), self.files, options, from.unwrap_or_default())?
            }
        };
        let (rejects, sink) = self.ends(&left, source.columns().as_deref())?;
        let bytes_total = inputs::bytes_total(*task, self.files, services);
        let progress = Progress::new(job.quiet, bytes_total, resumed.as_ref());
        if let Some(Checkpoint { input, position, counts, .. }) = &resumed
            && !job.quiet
        {
            let RecordPosition { line, byte } = position;
            let of = match &self.files.inputs[..] {
                [_] => String::new(),
                inputs => format!(" of {}", inputs[*input]),
            };
            say(&format!(
                "resumed at line {line}, byte {byte}{of}: {} records were done before\n",
                counts.read
            ));
        }
        let checkpoints =
            journal.map(|journal| Checkpoints::new(journal, job.checkpoint_seconds, resumed));
        let mut works =
            vec![Work::Source(Box::new(source)), Work::Step(Box::new(self.session.step()))];
        if job.place {
            works.push(Work::Step(Box::new(PlaceStep::default())));
        }
        works.push(Work::Sink(sink));
        let outcome = pipeline::run(
            Pipeline {
                nodes: graph::line(works),
                rejects,
                limits: Limits::new(job.on_error == OnError::Fail, job.max_rejects),
                threads: self.session.threads,
                stop: stop.clone(),
                checkpoints,
            },
            |counts, bytes_read| progress.show(counts, bytes_read),
        );
        progress.end();
        Ok(self.end(outcome, inputs))
    }

    /// Where records end: the rejects, and the sink. `given`: the columns of the source, where it has
    /// any.
    fn ends(
        &self,
        left: &Left,
        given: Option<&[Column]>,
    ) -> Result<(Output, Box<dyn Sink>), Error> {
        let Session { task, emit, model, outputs, services, .. } = self.session;
        let ModelDescription { input_schema, output_schema, .. } = model.description();
        let columns = columns::of_output(emit, task.job.place, given, input_schema, output_schema);
        if let Some(database) = services.database(&self.files.output) {
            let rejects = self.rejects(outputs, services)?;
            let table = task.job.tables.output(&database, &self.files.output, columns)?;
            return Ok((rejects, Box::new(table)));
        }
        let [rejects, output] = self.outputs(left)?;
        let format = task.job.formats.of_output(&self.files.output);
        let options = sink::Options { columns, csv: task.job.formats.csv_sink() };
        let sink = sink::open(format, output, options).map_err(|source| Error::Format {
            what: format!("the output `{}`", self.files.output),
            source,
        })?;
        Ok((rejects, sink))
    }

    fn rejects(&self, outputs: &Outputs, services: &Services) -> Result<Output, Error> {
        match &self.files.rejects {
            Location::Stream => outputs.stderr(),
            rejects => outputs.create("the rejects file", rejects, services),
        }
    }

    /// The rejects and the output, where they are to be written on.
    fn outputs(&self, left: &Left) -> Result<[Output; 2], Error> {
        let Session { task, outputs, services, .. } = self.session;
        let formats = &task.job.formats;
        if let Some(resumable) = self.resumable {
            return outputs::compressed(resumable.outputs(left, services)?, self.files, formats);
        }
        resume::refuse_left(self.files)?; // once more: loading a model may take its time
        let output = outputs.create("the output", &self.files.output, services)?;
        let rejects = self.rejects(outputs, services)?;
        outputs::compressed([rejects, output], self.files, formats)
    }

    fn header(&self, resumable: &Resumable, inputs: &[InputFile]) -> Header {
        let Session { task, services, plugin, plugin_sha256, model, config, .. } = self.session;
        let (started, inputs) = (self.session.started(), inputs.to_vec());
        let plugin = (&**plugin, &**plugin_sha256);
        resume::header(
            (*task, self.files, services),
            resumable,
            plugin,
            model,
            config,
            inputs,
            started,
        )
    }
}

/// Makes the folders of outputs that go into folders.
fn make_folders(files: &Files) -> Result<(), Error> {
    for path in [&files.output, &files.rejects].into_iter().filter_map(|it| it.local()) {
        let folder = folder_of(path);
        std::fs::create_dir_all(&folder).map_err(|source| Error::Output {
            what: "the folder",
            source: HoldError::Io { action: "can't make", path: folder.clone(), source }.into(),
            path: folder,
        })?;
    }
    Ok(())
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
