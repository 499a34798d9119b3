//! The nodes of a run, made of what was asked for. What can be compiled or read once for all runs is:
//! before anything else is opened, so that a mistake is found before it costs anything.

use super::inputs;
use super::models::{Model, Models};
use crate::batch::Batch;
use crate::cli::job::Job;
use crate::cli::sense;
use crate::columns::{Column, Kind};
use crate::error::Error;
use crate::pipeline::graph::{Node, Port, Work};
use crate::plugin::few::Few;
use crate::plugin::runner::Runner;
use crate::run_time::RunTime;
use crate::source::{Source, SourceError};
use crate::spec::{self, JqSpec, LogSpec, LookupSpec, ModelSpec, Records, Spec, StepSpec};
use crate::step::block::{BlockError, BlockStep};
use crate::step::check::CheckStep;
use crate::step::first::{FirstStep, Which};
use crate::step::jq::{JqError, JqStep};
use crate::step::log::Logging;
use crate::step::lookup::LookupStep;
use crate::step::lookup::table::Table;
use crate::step::model::ModelStep;
use crate::step::pass::PassStep;
use crate::step::place::PlaceStep;
use crate::step::sample::SampleStep;
use crate::step::validate::ValidateStep;
use crate::step::{Step, StepError};
use crate::stop::Stop;
use crate::storage::location::Location;
use crate::storage::services::Services;
use jsonschema::Validator;
use std::collections::HashMap;
use std::num::NonZero;
use std::sync::Arc;

/// The steps of a pipeline that are the same for each of its runs, by name.
pub(super) struct Steps {
    ready: HashMap<String, Box<dyn Step>>,
    /// The columns of the tables that are looked into.
    pub(super) tables: HashMap<String, Option<Vec<Column>>>,
    /// What they read besides records, by names for people: it shapes the outputs.
    pub(super) identity: Vec<(String, String)>,
}

impl Steps {
    /// Compiles programs, and reads schemas and tables.
    pub(super) fn prepare(
        job: &Job<'_>,
        services: &Arc<Services>,
        stop: &Stop,
    ) -> Result<Self, Error> {
        let mut steps =
            Steps { ready: HashMap::new(), tables: HashMap::new(), identity: Vec::new() };
        for node in &job.spec.steps {
            let name = &*node.name;
            let refused = |key, message: String, hint| Error::Usage {
                message: format!("{}: {message}", job.place_of_step(name, key)),
                hint,
            };
            let key = |spec: &JqSpec, key| if spec.file.is_some() { "file" } else { key };
            let step: Box<dyn Step> = match &node.what {
                StepSpec::Sample(spec) => Box::new(SampleStep::new(name, *spec)),
                StepSpec::Place => Box::new(PlaceStep::default()),
                StepSpec::Validate(spec) => {
                    let location = Location::Local(spec.schema.clone());
                    steps.reads((name, "the schema"), &location, services)?;
                    let step = ValidateStep::new(name, spec);
                    let step = step.map_err(|why| refused("schema", why.message, why.hint))?;
                    for file in step.files() {
                        let location = Location::Local(file.clone());
                        steps.reads((name, "what the schema refers to"), &location, services)?;
                    }
                    Box::new(step)
                }
                StepSpec::Lookup(spec) => {
                    let (table, columns) = steps.table(name, spec, (job, services), stop)?;
                    steps.tables.insert(name.to_owned(), columns);
                    Box::new(LookupStep::new(name, spec, Arc::new(table)))
                }
                StepSpec::Log(_) => Box::new(PassStep::new(name)),
                // Each run makes its own: of its model, or since they count.
                StepSpec::Model(_) | StepSpec::Join | StepSpec::Limit(_) | StepSpec::Skip(_) => {
                    continue;
                }
                StepSpec::Jq(spec) => {
                    let step = JqStep::new(name, spec);
                    let refused =
                        |why: JqError| refused(key(spec, "program"), why.to_string(), None);
                    Box::new(step.map_err(refused)?)
                }
                StepSpec::Block(spec) => {
                    let step = BlockStep::new(name, spec);
                    let refused = |why: BlockError| {
                        let key = match why {
                            BlockError::When(_) => key(&spec.when, "when"),
                            BlockError::Emit(_) => "",
                        };
                        refused(key, why.to_string(), None)
                    };
                    Box::new(step.map_err(refused)?)
                }
            };
            steps.ready.insert(name.to_owned(), step);
        }
        Ok(steps)
    }

    /// The table of a lookup, and the columns of it that go into records, where they are known.
    fn table(
        &mut self,
        name: &str,
        spec: &LookupSpec,
        (job, services): (&Job<'_>, &Arc<Services>),
        stop: &Stop,
    ) -> Result<(Table, Option<Vec<Column>>), Error> {
        let Records::Inputs(paths) = &spec.table.records else {
            unreachable!("a table is in files")
        };
        let locations = paths.iter().map(|path| Ok(services.resolve(path)?));
        let locations = locations.collect::<Result<Vec<_>, Error>>()?;
        sense::check_lookup(job, (name, &spec.table), &locations, services)?;
        for location in &locations {
            self.reads((name, "the table"), location, services)?;
        }
        let source = inputs::table((job, services), (name, &spec.table), &locations);
        let source = source.map_err(|error| of_step((name, "the table"), error))?;
        let columns = match &spec.columns[..] {
            [] => source.columns().map(|mut columns| {
                columns.retain(|column| column.name != spec.key);
                columns
            }),
            names => {
                let column = |name: &String| Column { name: name.clone(), kind: Kind::Json };
                Some(names.iter().map(column).collect())
            }
        };
        let table = Table::read(Box::new(source), spec, stop).map_err(|why| Error::Usage {
            message: format!("{}: {}", job.place_of_step(name, ""), why.message),
            hint: why.hint,
        });
        Ok((table?, columns))
    }

    /// A step reads this: what it holds shapes the outputs.
    fn reads(
        &mut self,
        (name, what): (&str, &str),
        location: &Location,
        services: &Services,
    ) -> Result<(), Error> {
        let version = inputs::version(location, services);
        let version = version.map_err(|error| of_step((name, what), error))?.version;
        self.identity.push((format!("what `{name}` reads, `{location}`"), version));
        Ok(())
    }

    fn of(&self, node: &str) -> Box<dyn Step> {
        self.ready[node].another()
    }
}

/// An error of what a step reads, and no source.
fn of_step((name, what): (&str, &str), error: Error) -> Error {
    match error {
        Error::Input { path, source } => {
            Error::StepInput { what: format!("{what} of `{name}`"), path, source }
        }
        error => error,
    }
}

fn first(name: &str, which: Which, stop: &Stop) -> Box<dyn Step> {
    Box::new(FirstStep::new(name, which, stop.clone()))
}

/// The nodes of one run, which bears this time: `sources` and `sinks` in the order of what was asked
/// for.
pub(super) fn nodes(
    job: &Job<'_>,
    steps: &Steps,
    models: &Models,
    (sources, sinks): (Vec<Box<dyn Source>>, Vec<Work>),
    time: &RunTime,
    stop: &Stop,
) -> Vec<Node> {
    let spec = &job.spec;
    let mut places = HashMap::new();
    let mut nodes: Vec<Node> = Vec::new();
    let mut add = |name: &str, from: &[spec::Port], work: Work| {
        let from =
            from.iter().map(|port| Port { node: places[&port.node], is_aside: port.is_aside });
        let node =
            Node { name: job.is_named().then(|| name.to_owned()), from: from.collect(), work };
        nodes.push(node);
        places.insert(name.to_owned(), nodes.len() - 1);
    };
    for (node, source) in spec.sources.iter().zip(sources) {
        add(&node.name, &[], Work::Source(source));
    }
    for node in &spec.steps {
        let work = match &node.what {
            StepSpec::Model(asked) => {
                let model = models.of(&node.name);
                let step = model_step(asked, model, stop);
                Work::Step(Box::new(match logging(spec, model, time) {
                    Some(logging) => step.logged(logging),
                    None => step,
                }))
            }
            StepSpec::Limit(count) => Work::Step(first(&node.name, Which::Limit(*count), stop)),
            StepSpec::Skip(count) => Work::Step(first(&node.name, Which::Skip(*count), stop)),
            StepSpec::Join => Work::Join(node.from.iter().map(spec::Port::to_string).collect()),
            _ => Work::Step(steps.of(&node.name)),
        };
        add(&node.name, &node.takes(), work);
    }
    for (node, sink) in spec.sinks.iter().zip(sinks) {
        add(&node.name, &node.from, sink);
    }
    nodes
}

fn model_step(spec: &ModelSpec, model: &Model, stop: &Stop) -> ModelStep {
    let description = &model.description;
    let validator: Option<Arc<Validator>> = spec.validates_output.then(|| {
        let validator = jsonschema::validator_for(&description.output_schema);
        Arc::new(validator.expect("it was compiled when the plugin was opened"))
    });
    let runner: Arc<dyn Runner> = match spec.threads.and_then(NonZero::new) {
        Some(threads) => Arc::new(Few::new(model.runner.clone(), threads, stop.clone())),
        None => model.runner.clone(),
    };
    let name = &description.qualified_name;
    ModelStep::new(name, runner, spec.emit.clone(), validator, stop.clone())
}

/// What is logged of a model's predictions, where anything is.
fn logging(spec: &Spec, model: &Model, time: &RunTime) -> Option<Logging> {
    let log = spec.steps.iter().find_map(|step| match &step.what {
        StepSpec::Log(log) if step.from.iter().any(|port| port.node == model.node) => Some(log),
        _ => None,
    });
    let LogSpec { id, sample, trace } = log?.clone();
    let description = &model.description;
    Some(Logging {
        id,
        sample,
        trace,
        node: model.node.clone(),
        time: time.clone(),
        model: description.qualified_name.clone(),
        version: description.version(),
        plugin_sha256: model.sha256.clone(),
    })
}

/// A source whose records are seen to be JSON, since nobody behind it looks.
pub(super) struct Checked(pub(super) Box<dyn Source>);

impl Source for Checked {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn decoder(&self) -> Option<Box<dyn Step>> {
        let check = Box::new(CheckStep::new(self.0.name()));
        Some(Box::new(Both { decoder: self.0.decoder(), check }))
    }

    fn columns(&self) -> Option<Vec<Column>> {
        self.0.columns()
    }

    fn read_batch(
        &mut self,
        batch: &mut Batch,
        bytes_wanted: usize,
        stop: &Stop,
    ) -> Result<(), SourceError> {
        self.0.read_batch(batch, bytes_wanted, stop)
    }
}

/// A decoder, and the check of what it makes.
struct Both {
    decoder: Option<Box<dyn Step>>,
    check: Box<dyn Step>,
}

impl Step for Both {
    fn name(&self) -> &Arc<str> {
        self.check.name()
    }

    fn another(&self) -> Box<dyn Step> {
        let decoder = self.decoder.as_ref().map(|step| step.another());
        Box::new(Both { decoder, check: self.check.another() })
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<(), StepError> {
        if let Some(decoder) = &mut self.decoder {
            decoder.apply(batch)?;
        }
        self.check.apply(batch)
    }
}
