//! A pipeline that is loaded as for a run, and tried with a few records: nothing is written. For
//! `validate`, `test` and `run --dry-run`.

use super::models::{self, Models};
use super::nodes::{self, Checked, Steps};
use super::shapes;
use super::{Loaded, Loading, inputs};
use crate::cli::exits::Watch;
use crate::cli::files::{self, Plan};
use crate::cli::job::Job;
use crate::cli::outputs::Outputs;
use crate::cli::{paths, sense};
use crate::error::Error;
use crate::pipeline::RunError;
use crate::pipeline::graph::{Node, Work};
use crate::pipeline::trial::{self, TrialError, Tried};
use crate::record::RecordPosition;
use crate::source::{Source, ldjson};
use crate::step::pass::PassStep;
use crate::stop::Stop;
use crate::storage::Memory;
use crate::storage::services::Services;
use std::fs::File;
use std::io::Write;
use std::path::Display;
use std::sync::Arc;
use std::time::SystemTime;

/// A pipeline that is loaded.
pub(in crate::cli) struct Trial<'a> {
    job: &'a Job<'a>,
    services: Arc<Services>,
    plan: Plan,
    steps: Steps,
    models: Models,
    reads: Vec<shapes::Reads>,
    exits: Watch,
    stop: Stop,
    stdout: File,
}

impl<'a> Trial<'a> {
    /// Loads plugins, compiles programs, and sees whether everything fits. `reads_inputs`: whether its
    /// inputs are opened too.
    pub(in crate::cli) fn load(job: &'a Job<'a>, reads_inputs: bool) -> Result<Self, Error> {
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
        let stdout = Outputs::take_stdout()?.into_stdout();
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
        let Loaded { steps, models, reads, sources } = loaded;
        drop(sources); // opened anew for each trial
        Ok(Trial { job, services, plan, steps, models, reads, exits, stop, stdout })
    }

    /// The first records of each source, at most so many.
    pub(in crate::cli) fn first(&self, records_max: usize) -> Result<Vec<Tried>, Error> {
        let files = &self.plan.runs[0];
        let begin = (0, RecordPosition::default());
        let sources = inputs::open((self.job, &self.services), files, &self.reads, begin)?;
        let sources = sources.into_iter().map(|it| Box::new(it) as Box<dyn Source>);
        self.run(sources.collect(), records_max)
    }

    /// Records that are given, by the source that they are taken for.
    pub(in crate::cli) fn given(
        &self,
        records: &[(String, Vec<String>)],
    ) -> Result<Vec<Tried>, Error> {
        let sources = self.job.spec.sources.iter().map(|node| {
            let given = records.iter().find(|(source, _)| *source == node.name);
            let lines = given.map_or_else(Vec::new, |(_, records)| {
                records.iter().map(|record| record.replace(['\n', '\r'], " ")).collect()
            });
            let input = Box::new(Memory::new(lines.join("\n")));
            let options = ldjson::Options {
                line_bytes_max: node.what.line_bytes_max as usize,
                ..ldjson::Options::default()
            };
            Box::new(ldjson::Reader::new(&node.name, input, options)) as Box<dyn Source>
        });
        self.run(sources.collect(), usize::MAX)
    }

    fn run(&self, sources: Vec<Box<dyn Source>>, records_max: usize) -> Result<Vec<Tried>, Error> {
        let spec = &self.job.spec;
        let sources = spec.sources.iter().zip(sources).map(|(node, source)| {
            match shapes::is_passed_on(spec, &node.name) {
                true => Box::new(Checked(source)) as Box<dyn Source>,
                false => source,
            }
        });
        let sinks = spec.sinks.iter().map(|sink| Work::Step(Box::new(PassStep::new(&sink.name))));
        let ends = (sources.collect(), sinks.collect());
        let time = self.job.run.run_time.clone();
        let time = time.unwrap_or_else(|| SystemTime::now().into());
        let nodes: Vec<Node> =
            nodes::nodes(self.job, &self.steps, &self.models, ends, &time, &self.stop);
        trial::run(nodes, records_max, &self.stop).map_err(|error| match error {
            TrialError::Source(source) => RunError::Source(source).into(),
            TrialError::Step { step, source } => RunError::Step { step, source }.into(),
        })
    }

    /// The models: the node, the plugin's file, the name and version.
    pub(in crate::cli) fn models(&self) -> impl Iterator<Item = (&str, Display<'_>, String)> {
        self.models.all().iter().map(|model| {
            let description = model.loaded.description();
            let name = format!("{} {}", description.qualified_name, description.version());
            (&*model.node, model.path.display(), name)
        })
    }

    /// The names of all nodes, in the order by which a trial tells them.
    pub(in crate::cli) fn names(&self) -> Vec<&str> {
        let spec = &self.job.spec;
        let sources = spec.sources.iter().map(|node| &*node.name);
        let steps = spec.steps.iter().map(|node| &*node.name);
        sources.chain(steps).chain(spec.sinks.iter().map(|node| &*node.name)).collect()
    }

    /// Writes to stdout, out of the plugins' reach, and ends the command with this code.
    pub(in crate::cli) fn end(mut self, text: &str, code: u8) -> Result<u8, Error> {
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
