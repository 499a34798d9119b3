//! A pipeline that is loaded as for a run, and tried with a few records: nothing is written. For
//! `validate`, `test` and `run --dry-run`.

use super::models::{self, Models};
use super::nodes::{self, Checked, Steps};
use super::shapes;
use super::{Loaded, Loading, columns, inputs};
use crate::cli::exits::Watch;
use crate::cli::files::{self, Plan};
use crate::cli::job::Job;
use crate::cli::outputs::{self, Outputs};
use crate::cli::{on_a_line, paths, sense};
use crate::error::Error;
use crate::pipeline::RunError;
use crate::pipeline::graph::{Node, Work};
use crate::pipeline::trial::{self, TrialError, Tried};
use crate::record::RecordPosition;
use crate::run_time::RunTime;
use crate::source::{Source, ldjson, many};
use crate::spec::TestSpec;
use crate::step::pass::PassStep;
use crate::stop::Stop;
use crate::storage::Memory;
use std::fs::File;
use std::io::Write;
use std::path::Display;
use std::time::SystemTime;

/// The time that a test's records bear: the same in each run of it, so that a log can be expected.
const TEST_TIME: &str = "2000-01-01T00:00:00Z";

/// A pipeline that is loaded.
pub(in crate::cli) struct Trial<'a> {
    job: &'a Job<'a>,
    plan: Plan,
    steps: Steps,
    models: Models,
    /// Where its inputs are read: they are opened once, since what was read of a pipe is gone.
    sources: Option<Vec<many::Reader>>,
    exits: Watch,
    stop: Stop,
    stdout: File,
}

impl<'a> Trial<'a> {
    /// Loads plugins, compiles programs, and sees whether everything fits. `reads_inputs`: whether its
    /// inputs are opened too.
    pub(in crate::cli) fn load(job: &'a Job<'a>, reads_inputs: bool) -> Result<Self, Error> {
        Trial::load_to(job, reads_inputs, || Ok(Outputs::take_stdout()?.into_stdout()))
    }

    /// The same. `stdout` is taken before the first plugin is loaded.
    pub(super) fn load_to(
        job: &'a Job<'a>,
        reads_inputs: bool,
        stdout: impl FnOnce() -> Result<File, Error>,
    ) -> Result<Self, Error> {
        let found = models::find(&job.spec)?;
        let stop = Stop::default();
        let services = job.services.open(job.spec.services.as_deref(), &stop)?;
        let plan = match reads_inputs {
            true => {
                let plan = files::plan(job, &services)?;
                sense::check(job, &plan, &services)?;
                let plugins: Vec<_> = found.iter().map(|found| &*found.path).collect();
                paths::refuse_to_overwrite(job, &plan, &plugins, &services)?;
                plan
            }
            false => Plan { runs: Vec::new(), is_folder: false },
        };
        let stdout = stdout()?;
        let exits = Watch::new(None, &stop);
        let loading =
            Loading { job, services: &services, exits: &exits, threads: 1, is_identified: true };
        let loaded = loading.load(found, &stop, |reads| match &plan.runs[..] {
            [files] => {
                let begin = (0, RecordPosition::default());
                inputs::open((job, &services), files, reads, begin).map(Some)
            }
            _ => Ok(None),
        })?;
        let Loaded { steps, models, sources, .. } = loaded;
        if let ([files], Some(sources)) = (&plan.runs[..], &sources) {
            columns::of_sinks(job, (&steps, &models), sources, &files.outputs, &services)?;
        }
        Ok(Trial { job, plan, steps, models, sources, exits, stop, stdout })
    }

    /// Refuses outputs whose folders are not there, or can't be written to.
    pub(in crate::cli) fn check_outputs(&self) -> Result<(), Error> {
        self.plan.runs.iter().try_for_each(outputs::check_folders)
    }

    /// The first records of each source, at most so many. To be asked for once.
    pub(in crate::cli) fn first(&mut self, records_max: usize) -> Result<Vec<Tried>, Error> {
        let sources = self.sources.take().expect("its inputs were opened for this");
        let sources = sources.into_iter().map(|it| Box::new(it) as Box<dyn Source>);
        let time = self.job.run.run_time.clone();
        let time = time.unwrap_or_else(|| SystemTime::now().into());
        self.run(sources.collect(), records_max, &time)
    }

    /// The records of a test, at [`TEST_TIME`].
    pub(in crate::cli) fn given(&self, test: &TestSpec) -> Result<Vec<Tried>, Error> {
        let sources = self.job.spec.sources.iter().map(|node| {
            let given = test.input.iter().filter(|(source, _)| *source == node.name);
            let name = on_a_line(&test.name);
            let what = || format!("a record of `{}` in the test `{name}`", node.name);
            let lines = given.flat_map(|(_, records)| records).map(|it| inputs::one_line(it, what));
            let lines = lines.collect::<Result<Vec<_>, Error>>()?;
            let input = Box::new(Memory::new(lines.join("\n")));
            let options = ldjson::Options {
                line_bytes_max: node.what.line_bytes_max as usize,
                ..ldjson::Options::default()
            };
            Ok(Box::new(ldjson::Reader::new(&node.name, input, options)) as Box<dyn Source>)
        });
        let time = TEST_TIME.parse().expect("it is one");
        self.run(sources.collect::<Result<_, Error>>()?, usize::MAX, &time)
    }

    fn run(
        &self,
        sources: Vec<Box<dyn Source>>,
        records_max: usize,
        time: &RunTime,
    ) -> Result<Vec<Tried>, Error> {
        let spec = &self.job.spec;
        let sources = spec.sources.iter().zip(sources).map(|(node, source)| {
            match shapes::is_passed_on(spec, &node.name) {
                true => Box::new(Checked(source)) as Box<dyn Source>,
                false => source,
            }
        });
        let sinks = spec.sinks.iter().map(|sink| Work::Step(Box::new(PassStep::new(&sink.name))));
        let ends = (sources.collect(), sinks.collect());
        let nodes: Vec<Node> =
            nodes::nodes(self.job, &self.steps, &self.models, ends, time, &self.stop);
        trial::run(nodes, records_max, &self.stop).map_err(|error| match error {
            TrialError::Source(source) => RunError::Source(source).into(),
            TrialError::Thread(error) => RunError::Thread(error).into(),
            TrialError::Step { step, source } => RunError::Step { step, source }.into(),
        })
    }

    /// The models: the node, the plugin's file, the name and version.
    pub(in crate::cli) fn models(&self) -> impl Iterator<Item = (&str, Display<'_>, String)> {
        self.models.all().iter().map(|model| {
            let description = &model.description;
            let name = format!("{} {}", description.qualified_name, description.version());
            (&*model.node, model.path.display(), name)
        })
    }

    /// Writes to stdout, out of the plugins' reach, and ends the command with this code.
    pub(in crate::cli) fn end(mut self, text: &str, code: u8) -> Result<u8, Error> {
        self.models.say_workers(self.job);
        let written = self.stdout.write_all(text.as_bytes());
        let result = match written {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(crate::cli::unwritable(error))
            }
            _ => Ok(code),
        };
        self.exits.settle(&result);
        result
    }
}
