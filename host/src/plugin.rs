//! Plugins: from a file to a model that predicts, and every reason to refuse one.
//!
//! The order of loading, which is also the order of the code:
//!
//! 0. Where somebody says which plugins may be loaded, read it once and verify it: [`trust`]. What goes
//!    on from there are the bytes that were verified: [`image`].
//! 1. Look at the file without loading it: [`look`].
//! 2. `dlopen` its absolute path: [`library`], as the next two.
//! 3. Find the header, and compare abi_stable's generation.
//! 4. Compare the layout of all that crosses.
//! 5. Read the description: names, versions, schemas that are JSON Schemas: [`Plugin::open`].
//! 6. Load the model with its config: [`Plugin::load`].
//!
//! Nothing outside of this module sees a type of the border except [`runner`]'s request and
//! answer, and nothing in here knows sources or sinks.

pub mod few;
pub mod folder;
pub mod image;
pub mod judge;
pub mod library;
pub mod look;
pub mod model;
pub(crate) mod probe;
pub mod runner;
pub mod selector;
pub mod trust;

pub use image::Image;
pub use library::OpenError;
pub use look::{Looked, Refusal};
pub use model::{LoadedModel, ModelError};
pub use selector::Selector;
pub use trust::{Trust, TrustError, Untrusted};

use crate::record::RejectKind;
use crate::schema::is_plain;
use model_abi::describe::{ModelDescription, PluginDescription};
use model_abi_layout::{ExtensionTable, PluginRef};
use std::path::Path;
use std::ptr::NonNull;

/// A plugin that has been loaded and described itself soundly.
pub struct Plugin {
    image: Image,
    looked: Looked,
    root: PluginRef,
    models: Vec<ModelDescription>,
}

/// Why a plugin is refused. The path stands in [`Error::Plugin`](crate::Error::Plugin).
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// Nobody who is trusted answers for it.
    #[error(transparent)]
    Untrusted(#[from] Box<Untrusted>),
    /// Seen without loading it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Seen while loading it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// `describe` failed in the plugin.
    #[error("it can't describe itself: {0}")]
    DescribeFailed(String),
    /// The description is not the JSON it should be.
    #[error("expected its description as JSON, found something else: {error}{}", beginning(found))]
    Description {
        /// What is wrong.
        error: serde_json::Error,
        /// The beginning of what was found.
        found: String,
    },
    /// It needs what this host does not have.
    #[error("it requires `{}`, which this host does not know", .0.join("`, `"))]
    Requires(Vec<String>),
    /// It holds nothing that could predict.
    #[error("expected at least one model, found none")]
    NoModels,
    /// A model that can't be asked for.
    #[error("model number {0} of it has an empty name")]
    EmptyName(usize),
    /// Two models that can't be told apart.
    #[error("two of its models are named `{0}`")]
    DuplicateName(String),
    /// A schema that is none.
    #[error("the {which} of its model `{model}` is not a JSON Schema: {error}")]
    Schema {
        /// The model's name.
        model: String,
        /// Which of its schemas.
        which: &'static str,
        /// What is wrong with it.
        error: String,
    },
    /// The model that was asked for is not in it.
    #[error("it holds no model `{asked}`; it holds `{}`", available.join("`, `"))]
    NoSuchModel {
        /// The name that was asked for.
        asked: String,
        /// The names that it has.
        available: Vec<String>,
    },
    /// It has that model in another version.
    #[error("expected its model `{asked}`, found version {found}")]
    OtherVersion {
        /// What was asked for.
        asked: Selector,
        /// The version that it has.
        found: String,
    },
    /// It holds several and none was asked for.
    #[error("it holds several models: `{}`", .0.join("`, `"))]
    WhichModel(Vec<String>),
    /// The folder's name can't be told to the model.
    #[error("its folder's name is not UTF-8")]
    PathNotUtf8,
    /// A name can't be told to a worker.
    #[error("its name, or that of what it may read, is not UTF-8")]
    NameNotUtf8,
    /// A table that can't hold what every table begins with.
    #[error("the table of its extension `{name}` says that it is {size} bytes long, too few")]
    ExtensionTooShort {
        /// The extension's name.
        name: String,
        /// What the table gives as its size.
        size: u64,
    },
    /// A worker process found out.
    #[error("{reason}")]
    RefusedByWorker {
        /// Why.
        reason: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// It took the worker process with it, or somebody did.
    #[error(transparent)]
    WorkerDied(runner::Death),
    /// There is no process that it could be loaded in.
    #[error("no worker process can be started for it")]
    NoWorker(#[source] std::io::Error),
    /// The model's own `load` failed.
    #[error(transparent)]
    Load(#[from] model::LoadFailure),
}

fn beginning(found: &str) -> String {
    if found.is_empty() { " (it is empty)".to_owned() } else { format!(" (it begins {found:?})") }
}

const TELL: &str = "send this message to the team that ships it";
/// What to do where processes are killed that did nothing wrong.
pub(crate) const KILLED: &str = "somebody killed it, or the system, which has no more memory: each worker has \
                                 a copy of the model, so fewer --workers need less";
/// What to do where the system gives no process.
pub(crate) const NO_PROCESS: &str =
    "the system's limits for this user are reached (ulimit -a); fewer --workers need less";

impl PluginError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            PluginError::Untrusted(untrusted) => untrusted.hint()?,
            PluginError::Refused(refusal) => refusal.hint()?.to_owned(),
            PluginError::Open(error) if error.report().is_some() => {
                "build the plugin against model-abi 1.x; --verbose shows the whole comparison"
                    .into()
            }
            PluginError::NoSuchModel { .. } | PluginError::WhichModel(_) => {
                "choose one with --model NAME".into()
            }
            PluginError::Load(failure) if failure.is_config() => {
                "the config is given with --config JSON or --config @FILE".into()
            }
            PluginError::RefusedByWorker { hint, .. } => hint.clone()?,
            PluginError::WorkerDied(death) => match death.kind {
                _ if death.may_be_foreign => KILLED.into(),
                RejectKind::Timeout => {
                    format!("give it a larger --timeout, if it needs that; else {TELL}")
                }
                RejectKind::Memory => {
                    format!("give it a larger --max-memory, if it needs that; else {TELL}")
                }
                _ => format!("this is the plugin's fault: {TELL}"),
            },
            PluginError::NoWorker(_) => NO_PROCESS.into(),
            _ => return None,
        })
    }
}

/// The model that is meant of these, or the only one.
pub fn choose<'a>(
    models: &'a [ModelDescription],
    asked: Option<&Selector>,
) -> Result<&'a ModelDescription, PluginError> {
    let names = || models.iter().map(|model| model.qualified_name.clone()).collect();
    let Some(asked) = asked else {
        return match models {
            [only] => Ok(only),
            _ => Err(PluginError::WhichModel(names())),
        };
    };
    let named = models.iter().find(|model| model.qualified_name == asked.name);
    let model = named.ok_or_else(|| PluginError::NoSuchModel {
        asked: asked.name.clone(),
        available: names(),
    })?;
    let version = (model.major_version, model.minor_version);
    if !asked.matches(&model.qualified_name, version) {
        let (asked, found) = (asked.clone(), model.version());
        return Err(PluginError::OtherVersion { asked, found });
    }
    Ok(model)
}

impl Plugin {
    /// Looks at the file, loads it and reads its description: steps 1 to 5.
    pub fn open(path: &Path) -> Result<Self, PluginError> {
        Plugin::open_image(&path.into())
    }

    /// The same of what may be more than a file.
    pub fn open_image(image: &Image) -> Result<Self, PluginError> {
        let looked = look::look_at(image)?;
        let root = library::open(image, &looked.stamp)?;
        let models = described(&(root.describe())())?;
        Ok(Plugin { image: image.clone(), looked, root, models })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.image.path()
    }

    /// What could be seen without loading it.
    pub fn looked(&self) -> &Looked {
        &self.looked
    }

    /// The models in it; at least one, names not empty and unique.
    pub fn models(&self) -> &[ModelDescription] {
        &self.models
    }

    /// The model that is meant, or the only one.
    pub fn model(&self, asked: Option<&Selector>) -> Result<&ModelDescription, PluginError> {
        choose(&self.models, asked)
    }

    /// What the plugin offers beyond the border's five functions under a name and version such as
    /// `columns/1`; `None` where it offers nothing of that name, which is no fault: go on without.
    ///
    /// The table lives as long as the process. Only whoever knows the extension knows its type; of
    /// its size it is checked only that it holds the size itself, so compare the rest before use.
    pub fn extension(&self, name: &str) -> Result<Option<NonNull<ExtensionTable>>, PluginError> {
        match library::extension(self.root, name) {
            Some((_, size)) if size < size_of::<ExtensionTable>() as u64 => {
                Err(PluginError::ExtensionTooShort { name: name.to_owned(), size })
            }
            found => Ok(found.map(|(table, _)| table)),
        }
    }

    /// Makes a model ready: step 6. `config` is a JSON text; `threads` will call it at once.
    pub fn load(
        &self,
        asked: Option<&Selector>,
        config: &str,
        threads: usize,
    ) -> Result<LoadedModel, PluginError> {
        let description = self.model(asked)?.clone();
        let context = self.image.context(threads).map_err(OpenError::Path)?;
        if context.plugin_dir.to_str().is_none() {
            return Err(PluginError::PathNotUtf8);
        }
        Ok(LoadedModel::load(self.root, description, config, &context)?)
    }
}

/// Reads and judges a description.
fn described(document: &[u8]) -> Result<Vec<ModelDescription>, PluginError> {
    let description: PluginDescription = serde_json::from_slice(document).map_err(|error| {
        let found = &document[..document.len().min(40)];
        PluginError::Description { error, found: String::from_utf8_lossy(found).into_owned() }
    })?;
    if let Some(error) = description.error {
        return Err(PluginError::DescribeFailed(error));
    }
    let unknown: Vec<String> = look::unknown_requirements(&description.requires).cloned().collect();
    if !unknown.is_empty() {
        return Err(PluginError::Requires(unknown));
    }
    judge_models(&description.models)?;
    Ok(description.models)
}

/// Refuses models that can't be told apart, or whose schemas are none.
pub(crate) fn judge_models(models: &[ModelDescription]) -> Result<(), PluginError> {
    if models.is_empty() {
        return Err(PluginError::NoModels);
    }
    for (index, model) in models.iter().enumerate() {
        let name = &model.qualified_name;
        if name.trim().is_empty() {
            return Err(PluginError::EmptyName(index + 1));
        }
        if models[..index].iter().any(|other| other.qualified_name == *name) {
            return Err(PluginError::DuplicateName(name.clone()));
        }
        for (which, schema) in [
            ("input schema", &model.input_schema),
            ("output schema", &model.output_schema),
            ("config schema", &model.config_schema),
        ] {
            if is_plain(schema) {
                continue;
            }
            jsonschema::validator_for(schema).map_err(|error| PluginError::Schema {
                model: name.clone(),
                which,
                error: error.to_string(),
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(document: &str, expected: &str) {
        let error = described(document.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn a_description_is_refused_for_what_is_wrong_with_it() {
        check("", "expected its description as JSON");
        check("hello", "(it begins \"hello\")");
        check(r#"{"error": "panicked: no"}"#, "can't describe itself: panicked: no");
        check(r#"{"requires": ["columns/9", "x"]}"#, "requires `columns/9`, `x`");
        check("{}", "found none");
        check(r#"{"models": [{"qualified_name": ""}]}"#, "model number 1");
        check(r#"{"models": [{"qualified_name": "a"}, {"qualified_name": "a"}]}"#, "named `a`");
        check(
            r#"{"models": [{"qualified_name": "a", "output_schema": {"type": "strnig"}}]}"#,
            "the output schema of its model `a` is not a JSON Schema",
        );
    }

    #[test]
    fn a_description_of_another_age_is_fine() {
        let models = described(br#"{"models": [{"qualified_name": "a"}], "later": 1}"#).unwrap();
        assert_eq!(models[0].version(), "0.0");
    }
}
