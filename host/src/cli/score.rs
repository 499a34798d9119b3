//! Runs a pipeline: that of a command line, or that of a file.
//!
//! In this order, so that a mistake is found before it costs anything: options; which plugins may be
//! loaded; programs, schemas and
//! tables of its steps; the plugins; what their schemas say of the way to emit; the inputs; the models; the
//! outputs; and then the first record.

mod columns;
mod end;
mod inputs;
pub(super) mod models;
mod nodes;
mod shapes;
pub(super) mod trial;

use super::files::{self, Files, Plan};
use super::formats::{compression_of_output, compression_told, of_output};
use super::job::Job;
use super::outputs::{Outputs, compressed};
use super::printed::printed;
use super::progress::Progress;
use super::resume::{self, Resumable};
use super::{exits, hold, paths, range, say, sense, signals};
use crate::batch::Batch;
use crate::columns::Column;
use crate::error::{Error, exit};
use crate::journal::{Checkpoint, Header, InputFile, Left};
use crate::pipeline::checkpoints::Checkpoints;
use crate::pipeline::graph::Work;
use crate::pipeline::limits::Limits;
use crate::pipeline::{self, Pipeline, RunError};
use crate::plugin::PluginError;
use crate::record::{Lines, RecordPosition};
use crate::run_time::RunTime;
use crate::sink::publish::{OpenError, Output, folder_of};
use crate::sink::{self, Sink, table};
use crate::source::{Source, many};
use crate::spec::{Node, SinkSpec};
use crate::stop::Stop;
use crate::storage::disk::HoldError;
use crate::storage::location::{Location, is_stdout};
use crate::storage::services::Services;
use end::Ended;
use models::{Models, Opened};
use nodes::{Checked, Steps};
use shapes::Reads;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// How much to read at once where lines are only counted.
const COUNT_BYTES: usize = 256 * 1024;

/// What all runs of a pipeline share, and what their end is told with.
struct Session<'a> {
    job: &'a Job<'a>,
    plan: &'a Plan,
    services: Arc<Services>,
    steps: Steps,
    models: Models,
    reads: Vec<Reads>,
    threads: usize,
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
pub(super) fn score(job: &Job<'_>) -> Result<u8, Error> {
    if job.run.print_pipeline {
        return super::print(&printed(job)).map(|()| exit::OK);
    }
    let (started, since) = (SystemTime::now(), Instant::now());
    let found = models::find(&job.spec)?;
    let stop = Stop::default();
    let services = job.services.open(job.spec.services.as_deref(), &stop)?;
    let plan = files::plan(job, &services)?;
    sense::check(job, &plan, &services)?;
    range::check(job, &plan, &services)?;
    hold::check(job, &plan, &services)?;
    let plugins: Vec<&Path> = found.iter().map(|found| &*found.path).collect();
    paths::refuse_to_overwrite(job, &plan, &plugins, &services)?;
    let resumables = plan.runs.iter().map(|files| {
        let resumable = resume::wanted(job, files, &services, plan.is_folder)?;
        if resumable.is_none() {
            resume::refuse_left(files)?;
        }
        Ok(resumable)
    });
    let resumables: Vec<Option<Resumable>> = resumables.collect::<Result<_, Error>>()?;
    let is_resumable = resumables.iter().any(Option::is_some);
    let threads = match job.spec.threads {
        Some(threads) => threads.into(),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let exits = exits::Watch::new(end::state_if_ended(&plan, is_resumable), &stop);
    let outputs = Outputs::take_stdout()?;
    let has_log = job.spec.steps.iter().any(Node::is_log);
    let is_identified = job.run.summary.is_some() || is_resumable || has_log;
    let loading = Loading { job, services: &services, exits: &exits, threads, is_identified };
    let loaded = loading.load(found, &stop, |reads| {
        // One that goes into a folder is told of in its turn.
        match (&plan.runs[..], &resumables[..]) {
            ([files], [None]) if !plan.is_folder => {
                let begin = (0, RecordPosition::default());
                inputs::open((job, &services), files, reads, begin).map(Some)
            }
            ([files], [Some(_)]) if !plan.is_folder => {
                inputs::versions(files, &services).map(|_| None)
            }
            _ => Ok(None),
        }
    })?;
    let Loaded { steps, models, reads, sources } = loaded;
    let (plan, services) = (&plan, services);
    let session = Session {
        job,
        plan,
        services,
        steps,
        models,
        reads,
        threads,
        outputs,
        stop,
        started,
        since,
    };
    let result = session.run(&resumables, sources);
    resumables.iter().flatten().for_each(Resumable::clear_up);
    exits.settle(&result);
    result
}

/// How a pipeline is loaded.
struct Loading<'a> {
    job: &'a Job<'a>,
    services: &'a Arc<Services>,
    exits: &'a exits::Watch,
    /// How many will ask each model at once.
    threads: usize,
    /// Whether somebody will ask what the plugins' files hold.
    is_identified: bool,
}

/// All that a run of a pipeline needs, but for where it writes to.
struct Loaded<S> {
    steps: Steps,
    models: Models,
    reads: Vec<Reads>,
    /// The sources, where they were opened.
    sources: Option<Vec<S>>,
}

impl Loading<'_> {
    /// Compiles, opens and loads. `open` opens the sources, when it is known how they are read.
    fn load<S: Source>(
        &self,
        mut found: Vec<models::Found<'_>>,
        stop: &Stop,
        open: impl FnOnce(&[Reads]) -> Result<Option<Vec<S>>, Error>,
    ) -> Result<Loaded<S>, Error> {
        let Loading { job, services, exits, threads, is_identified } = *self;
        if let Some(trust) = job.services.trust(services, job.spec.services.as_deref())? {
            models::admit(&mut found, &trust)?;
        }
        let steps = Steps::prepare(job, services, stop)?;
        let opened = models::open(found, (exits, stop), job, is_identified)?;
        let described = opened.iter().map(|it: &Opened<'_>| (it.node(), &it.description)).collect();
        let reads = shapes::reads(&job.spec, &described);
        let sources = open(&reads)?;
        if let Some(sources) = &sources {
            columns::shapes(job, &described, &steps, sources)?;
        }
        let models = Models::load(opened, exits, threads)?;
        Ok(Loaded { steps, models, reads, sources })
    }
}

impl Session<'_> {
    /// `sources`: of the only run, where they are open already.
    fn run(
        &self,
        resumables: &[Option<Resumable>],
        mut sources: Option<Vec<many::Reader>>,
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
            let mut one = match run.score(sources.take()) {
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
        self.plan.is_folder && !self.job.spec.fails_at_first
    }

    fn open_summary(&self) -> Result<Option<Output>, Error> {
        let summary = self.job.run.summary.as_deref().map(|path| {
            self.outputs.open("the summary", Some(path).filter(|path| !is_stdout(path)))
        });
        summary.transpose()
    }

    /// The time that everything bears that is written of it.
    fn time(&self) -> RunTime {
        self.job.run.run_time.clone().unwrap_or_else(|| self.started.into())
    }

    fn started(&self) -> String {
        humantime::format_rfc3339_millis(self.started).to_string()
    }
}

impl Run<'_> {
    /// An error: it has not begun, and there is nothing else to tell of it. `sources`: where they are
    /// open already.
    fn score(&self, sources: Option<Vec<many::Reader>>) -> Result<Ended, Error> {
        let Session { job, plan, services, stop, .. } = self.session;
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
                self.count_lines();
                return Ok(self.finish(journal, sealed.clone(), published, inputs));
            }
            (journal, ..) => journal,
        };
        // That of the run that began it, which stands in what it wrote.
        let time = match left.header.as_ref().map(|header| header.started.parse()) {
            Some(Ok(began)) => began,
            _ => self.session.time(),
        };
        let resumed = left.checkpoint.clone();
        let sources = match sources {
            Some(sources) => sources,
            None => {
                let from = resumed.as_ref().map(|it| (it.input, it.position)).unwrap_or_default();
                inputs::open((job, services), self.files, &self.session.reads, from)?
            }
        };
        let (rejects, sinks) = self.ends(&left, &sources)?;
        let bytes_total = inputs::bytes_total(job, self.files, services);
        let progress = Progress::new(job.run.quiet, bytes_total, resumed.as_ref());
        if let Some(checkpoint) = resumed.as_ref().filter(|_| !job.run.quiet) {
            self.say_resumed(checkpoint);
        }
        let checkpoints =
            journal.map(|journal| Checkpoints::new(journal, job.run.checkpoint_seconds, resumed));
        let sources = job.spec.sources.iter().zip(sources).map(|(node, source)| {
            let source: Box<dyn Source> = Box::new(source);
            match shapes::is_passed_on(&job.spec, &node.name) {
                true => Box::new(Checked(source)) as Box<dyn Source>,
                false => source,
            }
        });
        let (sources, sinks) = (sources.collect(), sinks.into_iter().map(Work::Sink).collect());
        let Session { steps, models, threads, .. } = self.session;
        let outcome = pipeline::run(
            Pipeline {
                nodes: nodes::nodes(job, steps, models, (sources, sinks), &time, stop),
                rejects,
                limits: Limits::new(job.spec.fails_at_first, job.spec.max_rejects),
                threads: *threads,
                stop: stop.clone(),
                checkpoints,
            },
            |counts, bytes_read| progress.show(counts, bytes_read),
        );
        progress.end();
        Ok(self.end(outcome, inputs))
    }

    fn say_resumed(&self, Checkpoint { input, position, counts, .. }: &Checkpoint) {
        let place = self.lines().place(*position);
        let inputs = || inputs::all(self.session.job, self.files);
        let of = match (inputs().nth(*input), inputs().count()) {
            (Some((input, ..)), 2..) => format!(" of {input}"),
            _ => String::new(),
        };
        say(&format!("resumed at {place}{of}: {} records were done before\n", counts.read));
    }

    /// Reads a range once more whose lines the interrupted run has counted. Where that can't be, nobody
    /// is told them: its outputs are published.
    fn count_lines(&self) {
        let Session { job, services, stop, reads, .. } = self.session;
        if job.run.summary.is_none() || job.spec.sources.iter().all(|it| it.what.range.is_none()) {
            return;
        }
        let begin = (0, RecordPosition::default());
        let Ok(sources) = inputs::open((job, services), self.files, reads, begin) else { return };
        for mut source in sources {
            let mut batch = Batch::default();
            let mut read =
                || source.read_batch(&mut batch, COUNT_BYTES, stop).map(|()| batch.read());
            while matches!(read(), Ok(1..)) {}
        }
    }

    /// Where the lines of records are counted from.
    fn lines(&self) -> Lines {
        let range = self.session.job.spec.sources.iter().find_map(|source| source.what.range);
        range.map_or(Lines::Source, |range| range.lines())
    }

    /// Where records end: the rejects, and the sinks.
    fn ends(
        &self,
        left: &Left,
        sources: &[many::Reader],
    ) -> Result<(Output, Vec<Box<dyn Sink>>), Error> {
        let Session { job, services, models, steps, .. } = self.session;
        let locations = &self.files.outputs;
        let columns = columns::of_sinks(job, (steps, models), sources, locations, services)?;
        let mut outputs = self.outputs(left)?.into_iter();
        let rejects = outputs.next().flatten().expect("rejects always have a place");
        let mut sinks = Vec::new();
        let nodes = job.spec.sinks.iter().zip(locations).zip(columns);
        for (((node, location), columns), output) in nodes.zip(outputs) {
            let Some(output) = output else {
                let database = services.database(location).expect("all else has an output");
                let table = self.table(&database, location, &node.what, columns)?;
                sinks.push(Box::new(table) as Box<dyn Sink>);
                continue;
            };
            let format = of_output(&node.what, location);
            let options = sink::Options { columns, csv: node.what.csv.clone() };
            let sink = sink::open(format, output, options).map_err(|source| Error::Format {
                what: format!("the output `{location}`"),
                source,
            });
            sinks.push(sink?);
        }
        Ok((rejects, sinks))
    }

    /// Begins to write to a table.
    fn table(
        &self,
        database: &crate::storage::database::Database,
        location: &Location,
        sink: &SinkSpec,
        columns: Vec<Column>,
    ) -> Result<table::Writer, Error> {
        let table = sink.table.clone().expect("it was checked that there is one");
        let name = format!("{location}, table {table}");
        let (creates, upsert) = (sink.creates_table, sink.upsert.clone());
        let options = table::Options { table, columns, creates, upsert };
        table::Writer::open(database, name.clone(), options).map_err(|source| Error::Output {
            what: "the output",
            path: name.into(),
            source: OpenError::Remote(source),
        })
    }

    fn rejects(&self) -> Result<Output, Error> {
        let Session { outputs, services, .. } = self.session;
        match &self.files.rejects {
            Location::Stream => outputs.stderr(),
            rejects => outputs.create("the rejects file", rejects, services),
        }
    }

    fn output(&self, location: &Location) -> Result<Output, Error> {
        let Session { job, outputs, services, .. } = self.session;
        match &job.run.hold {
            Some(ticket) => outputs.hold(location, services, ticket),
            None => outputs.create("the output", location, services),
        }
    }

    /// The rejects and the outputs, where they are to be written on; none for a table.
    fn outputs(&self, left: &Left) -> Result<Vec<Option<Output>>, Error> {
        let Session { job, services, .. } = self.session;
        let all = match self.resumable {
            Some(resumable) => {
                resumable.outputs(left, services)?.into_iter().map(Some).collect::<Vec<_>>()
            }
            None => {
                resume::refuse_left(self.files)?; // once more: loading a model may take its time
                let opened =
                    self.files.outputs.iter().map(|location| match services.database(location) {
                        Some(_) => Ok(None),
                        None => self.output(location).map(Some),
                    });
                let opened = opened.collect::<Result<Vec<_>, Error>>()?;
                [Some(self.rejects()?)].into_iter().chain(opened).collect()
            }
        };
        let sinks = job.spec.sinks.iter().zip(&self.files.outputs);
        let sinks = sinks.map(|(node, location)| {
            (compression_of_output(&node.what, location), "the output", location)
        });
        let rejects = &self.files.rejects;
        let hows =
            [(compression_told(rejects), "the rejects file", rejects)].into_iter().chain(sinks);
        let opened = all.into_iter().zip(hows).map(|(output, (how, what, location))| {
            output.map(|output| compressed(output, how, what, location)).transpose()
        });
        opened.collect()
    }

    fn header(&self, resumable: &Resumable, inputs: &[InputFile]) -> Header {
        let Session { job, services, models, .. } = self.session;
        let (started, inputs) = (self.session.time().to_string(), inputs.to_vec());
        let mut header =
            resume::header((job, self.files, services), resumable, models, inputs, started);
        header.identity.0.extend(self.session.steps.identity.iter().cloned());
        header
    }
}

/// Makes the folders of outputs that go into folders.
fn make_folders(files: &Files) -> Result<(), Error> {
    let all = files.outputs.iter().chain([&files.rejects]);
    for path in all.filter_map(|it| it.local()) {
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

#[cfg(test)]
mod tests;
