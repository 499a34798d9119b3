//! The models of a pipeline: found, opened, checked against what is wanted of them, and loaded, in this
//! process or in workers.

use crate::cli::exits::Watch;
use crate::cli::job::Job;
use crate::cli::paths;
use crate::cli::say;
use crate::cli::score::end::shown_together;
use crate::error::Error;
use crate::isolation::{self, ALLOW, Tell, Workers, WorkersSummary};
use crate::plugin::runner::Runner;
use crate::plugin::{Image, Plugin, PluginError, Trust, choose};
use crate::spec::{ModelSpec, Spec, StepSpec};
use crate::step::emit::EmitError;
use crate::stop::Stop;
use model_abi::LoadReport;
use model_abi::describe::ModelDescription;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Of what is tried against a sandbox, so many things are told to people.
const ATTEMPTS_SHOWN_MAX: usize = 20;

/// Where a model that a step asks for is.
pub(in crate::cli) struct Found<'a> {
    node: &'a str,
    spec: &'a ModelSpec,
    pub(in crate::cli) path: PathBuf,
    /// What is loaded.
    image: Image,
}

/// Finds the plugins. Opens none.
pub(super) fn find(spec: &Spec) -> Result<Vec<Found<'_>>, Error> {
    let models = spec.steps.iter().filter_map(|step| match &step.what {
        StepSpec::Model(model) => Some((&*step.name, model)),
        _ => None,
    });
    let found = models.map(|(node, spec)| {
        let path = paths::plugin(spec)?;
        Ok(Found { node, spec, image: Image::on_disk(&path), path })
    });
    found.collect()
}

/// Refuses plugins that may not be loaded; of the others, what was verified is what is loaded. To be
/// called before any is opened. A file that several steps ask is read once, and is one library.
pub(super) fn admit(found: &mut [Found<'_>], trust: &Trust) -> Result<(), Error> {
    let mut admitted: HashMap<PathBuf, Image> = HashMap::new();
    for Found { path, image, .. } in found {
        if !admitted.contains_key(path) {
            let refused = |source| Error::Plugin { path: path.clone(), source };
            admitted.insert(path.clone(), trust.admit(path).map_err(refused)?.image);
        }
        image.clone_from(&admitted[path]);
    }
    Ok(())
}

/// A plugin that was opened, and the model of it that is meant.
pub(super) struct Opened<'a> {
    found: Found<'a>,
    plugin: Behind,
    pub(super) description: ModelDescription,
    sha256: String,
}

/// Where the plugin was opened.
enum Behind {
    /// In this process.
    Here(Box<Plugin>),
    /// In a worker.
    Worker(Box<isolation::Opened>),
}

impl Opened<'_> {
    pub(super) fn node(&self) -> &str {
        self.found.node
    }
}

/// Opens the plugins, and sees whether their models can do what is wanted. `is_identified`: somebody will
/// ask what their files hold.
pub(super) fn open<'a>(
    found: Vec<Found<'a>>,
    (exits, stop): (&Watch, &Stop),
    job: &Job<'_>,
    is_identified: bool,
) -> Result<Vec<Opened<'a>>, Error> {
    let opened = found.into_iter().map(|found| {
        refuse_missing(&found, job)?;
        let refused = |source: PluginError| Error::Plugin { path: found.path.clone(), source };
        let plugin = behind(&found, (exits, stop), job).map_err(refused)?;
        let sha256 = match is_identified {
            true => found
                .image
                .sha256()
                .map_err(|source| Error::Input { path: found.path.clone(), source })?,
            false => String::new(),
        };
        let models = match &plugin {
            Behind::Here(plugin) => plugin.models(),
            Behind::Worker(opened) => opened.models(),
        };
        let description = choose(models, found.spec.model.as_ref()).map_err(refused)?.clone();
        let (input, output) = (&description.input_schema, &description.output_schema);
        let checked = found.spec.emit.check(input, output);
        checked.map_err(|error| cannot_emit(found.node, job.is_named(), &error))?;
        Ok(Opened { plugin, description, sha256, found })
    });
    opened.collect()
}

/// What a model is to be let read must be there, or its worker can't be told of it.
fn refuse_missing(found: &Found<'_>, job: &Job<'_>) -> Result<(), Error> {
    let may_read = found.spec.isolation.iter().flat_map(|options| &options.may_read);
    let Some(missing) = may_read.into_iter().find(|path| !path.exists()) else { return Ok(()) };
    let place = match job.is_named() {
        true => job.place_of_step(found.node, "allow_read"),
        false => "--allow-read".to_owned(),
    };
    Err(Error::usage(format!("{place}: there is no file or folder `{}`", missing.display())))
}

fn behind(
    found: &Found<'_>,
    (exits, stop): (&Watch, &Stop),
    job: &Job<'_>,
) -> Result<Behind, PluginError> {
    let Some(options) = &found.spec.isolation else {
        exits.during(&found.path, "it was being opened");
        return Ok(Behind::Here(Box::new(Plugin::open_image(&found.image)?)));
    };
    let name = match (job.is_named(), &found.spec.model) {
        (true, _) => Some(found.node),
        (false, asked) => asked.as_ref().map(|asked| &*asked.name),
    };
    let tell: Tell = match job.run.quiet {
        true => Arc::new(|_| ()),
        false => Arc::new(say),
    };
    let opened = isolation::Opened::open(&found.image, options.clone(), (name, tell), stop)?;
    Ok(Behind::Worker(Box::new(opened)))
}

fn cannot_emit(node: &str, is_named: bool, error: &EmitError) -> Error {
    let (what, nest) = match is_named {
        true => (format!("what `{node}` gives on"), "emit = \"nest\""),
        false => ("the output".to_owned(), "--emit nest"),
    };
    Error::Usage {
        message: format!("{what} can't be joined: {error}"),
        hint: Some(format!("{nest} keeps the record and the prediction apart")),
    }
}

/// A model that is ready.
pub(in crate::cli) struct Model {
    /// The node that asks it.
    pub(in crate::cli) node: String,
    /// The plugin's file.
    pub(in crate::cli) path: PathBuf,
    /// Empty where nobody asks for it.
    pub(in crate::cli) sha256: String,
    pub(in crate::cli) config: String,
    pub(in crate::cli) description: ModelDescription,
    pub(in crate::cli) report: LoadReport,
    pub(in crate::cli) runner: Arc<dyn Runner>,
    workers: Option<Arc<Workers>>,
}

impl Model {
    /// What became of its workers, where it is in some.
    pub(super) fn workers(&self) -> Option<WorkersSummary> {
        self.workers.as_ref().map(|workers| workers.summary())
    }
}

/// All models of a pipeline, in the order of its steps.
pub(in crate::cli) struct Models(Vec<Model>);

impl Models {
    /// Makes the models ready. `threads` will ask each at once, unless its step says fewer.
    pub(super) fn load(
        opened: Vec<Opened<'_>>,
        exits: &Watch,
        threads: usize,
    ) -> Result<Self, Error> {
        let mut models = Vec::with_capacity(opened.len());
        for Opened { found: Found { node, spec, path, .. }, plugin, sha256, description } in opened
        {
            let threads = spec.threads.map_or(threads, |few| threads.min(few.into()));
            let (node, config) = (node.to_owned(), spec.config.clone());
            let refused = |source| Error::Plugin { path: path.clone(), source };
            let (report, runner, workers): (LoadReport, Arc<dyn Runner>, _) = match plugin {
                Behind::Here(plugin) => {
                    exits.during(&path, "its model was being loaded");
                    let model = plugin.load(spec.model.as_ref(), &config, threads);
                    let model = Arc::new(model.map_err(refused)?);
                    (model.report().clone(), model, None)
                }
                Behind::Worker(opened) => {
                    let workers = opened.load(&description.qualified_name, &config, threads);
                    let workers = Arc::new(workers.map_err(refused)?);
                    (workers.report().clone(), workers.clone(), Some(workers))
                }
            };
            models.push(Model { node, path, sha256, config, description, report, runner, workers });
        }
        let here = models.iter().filter(|model| model.workers.is_none());
        let here: Vec<_> = here.map(|model| model.path.display()).collect();
        if !here.is_empty() {
            let all = shown_together(here.into_iter());
            exits.during(Path::new(&all), "its model was predicting");
        }
        Ok(Models(models))
    }

    /// Tells people of the workers that ended before they should, and of what was tried in them.
    pub(super) fn say_workers(&self, job: &Job<'_>) {
        for model in &self.0 {
            let Some(workers) = model.workers() else { continue };
            let (what, name) = match job.is_named() {
                true => ("step", &model.node),
                false => ("model", &model.description.qualified_name),
            };
            let mut attempts: Vec<_> = workers.attempts.iter().map(ToString::to_string).collect();
            attempts.sort_unstable();
            for attempt in attempts.iter().take(ATTEMPTS_SHOWN_MAX) {
                say(&format!("sandbox: {what} `{name}` tried to {attempt}\n"));
            }
            if attempts.len() > ATTEMPTS_SHOWN_MAX {
                let more = attempts.len() - ATTEMPTS_SHOWN_MAX;
                say(&format!("sandbox: and {more} other things, which --summary lists\n"));
            }
            if !attempts.is_empty() {
                say(&format!("  hint: where it needs that, {ALLOW}\n"));
            }
            if !workers.ended.is_empty() {
                say(&format!("workers of {name}: {workers}\n"));
            }
        }
    }

    pub(in crate::cli) fn all(&self) -> &[Model] {
        &self.0
    }

    /// The one that a node asks.
    pub(super) fn of(&self, node: &str) -> &Model {
        self.0.iter().find(|model| model.node == node).expect("each step's model is loaded")
    }
}
