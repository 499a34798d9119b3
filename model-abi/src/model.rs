//! What the author of a model implements: [`MLModel`], and the few types it speaks in.
//!
//! Nothing here is `unsafe` and nothing knows the border; `export.rs` carries a model across it.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Display;
use std::path::PathBuf;

/// A machine-learning model: takes one record, gives one prediction.
///
/// One value serves many threads at once, so state that changes while predicting needs its own
/// lock. A panic costs the record it happened on and nothing else.
pub trait MLModel: Send + Sync + Sized + 'static {
    /// Who the model is. A constant, so that it can be read from the file without loading it.
    const INFO: ModelInfo;

    /// The files beside the plugin that [`load`](Self::load) reads: names relative to the plugin's
    /// folder, with `/` between their parts and no `..`. The default: none.
    ///
    /// A constant too, so that a host knows them without loading the plugin. One that loads only what
    /// it trusts checks them as it does the plugin, and [`LoadContext::file`] then says where the
    /// very bytes are that it checked; what stands not here, it can't check.
    const FILES: &'static [&'static str] = &[];

    /// What can be set when the model is loaded; [`NoConfig`] where nothing can. Fields should
    /// have defaults (`#[serde(default)]`): without a config the model is given `{}`.
    type Config: DeserializeOwned + JsonSchema;

    /// A record, as the model wants it. Always a JSON object. Unknown fields are ignored unless
    /// the type denies them. Doc comments of its fields become descriptions in the schema.
    type Input: DeserializeOwned + JsonSchema;

    /// A prediction: anything that serde can write as JSON. A NaN or an infinity in it makes it an
    /// error of its record.
    type Output: Serialize + JsonSchema;

    /// Makes the model ready: reads weights, builds tables. Called once for a run, before the
    /// first record. `?` works on any [`Error`].
    fn load(config: Self::Config, context: &LoadContext) -> Result<Self, LoadError>;

    /// Predicts one record. `?` works on any [`Error`], and makes it this record's.
    fn predict(&self, input: &Self::Input) -> Result<Self::Output, PredictError>;

    /// Predicts many records at once, for models that gain from it (SIMD, matrices).
    ///
    /// Returns one answer for each input, in order; there is at least one. The default, `None`, means: this model has no
    /// batch form, call [`predict`](Self::predict) for each record. A model answers the same way
    /// each time. Must give what `predict` gives: after a panic in here the records of the batch
    /// are predicted one by one.
    fn predict_batch(
        &self,
        inputs: &[Self::Input],
    ) -> Option<Vec<Result<Self::Output, PredictError>>> {
        let _ = inputs;
        None
    }

    /// Predicts one record and notes how, for the prediction log: votes, scores, the path taken.
    /// The default notes nothing. Must give what `predict` gives.
    fn predict_traced(
        &self,
        input: &Self::Input,
        trace: &mut Trace,
    ) -> Result<Self::Output, PredictError> {
        let _ = trace;
        self.predict(input)
    }

    /// Inputs with the outputs they must give: documentation that is run. The default has none.
    fn examples() -> Vec<Example> {
        Vec::new()
    }

    /// Identifies weights that are not in the plugin's file (a digest of them, say). The default,
    /// `None`, means that the file is the whole model.
    fn fingerprint(&self) -> Option<String> {
        None
    }
}

/// Who a model is. All of it can be read from the plugin's file without loading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// For people: `Iris Model`.
    pub display_name: &'static str,
    /// For machines, and fit for a URL: letters, digits, `_`, `-` and `.`, of which the first is
    /// neither `-` nor `.`. Unique in its plugin.
    pub qualified_name: &'static str,
    /// A sentence on what it predicts.
    pub description: &'static str,
    /// Rises when inputs or outputs change in a way that breaks users.
    pub major_version: u32,
    /// Rises with every other change.
    pub minor_version: u32,
}

/// The config of a model that has nothing to set. Any key is refused by name.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// What a model may know of the place it is loaded in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LoadContext {
    /// The folder that the plugin's file lies in, absolute: for weights beside the file.
    pub plugin_dir: PathBuf,
    /// How many threads will call the model at once.
    #[serde(default = "one")]
    pub threads: usize,
    /// Where files of [`MLModel::FILES`] are, that are not to be read beside the plugin. Ask
    /// [`file`](Self::file).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, PathBuf>,
}

fn one() -> usize {
    1
}

impl LoadContext {
    /// A context, for hosts and for tests of a model.
    pub fn new(plugin_dir: impl Into<PathBuf>, threads: usize) -> Self {
        LoadContext { plugin_dir: plugin_dir.into(), threads, files: BTreeMap::new() }
    }

    /// Where to read a file of [`MLModel::FILES`]: where the host says, else beside the plugin.
    ///
    /// Where the host says, it need not have the file's name or ending: a path such as
    /// `/proc/self/fd/7`, which stays good as long as the process lives.
    pub fn file(&self, name: &str) -> PathBuf {
        self.files.get(name).cloned().unwrap_or_else(|| self.plugin_dir.join(name))
    }
}

/// What a model reports once it is loaded, and why it is not when it fails.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LoadReport {
    /// See [`MLModel::fingerprint`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Anything else the model wants known.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub notes: Map<String, Value>,
    /// Why the load failed. Empty where it did not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Where in the config the fault lies, if it lies there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
}

/// Why a model could not be made ready. Made from any [`Error`] by `?`, or with [`LoadError::new`].
#[derive(Debug)]
pub struct LoadError {
    message: String,
}

impl LoadError {
    /// `message`: what failed and where, in words that help whoever runs the job.
    pub fn new(message: impl Display) -> Self {
        LoadError { message: message.to_string() }
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }
}

// Neither error type implements `Error` itself: that is what lets `?` take any error (two
// overlapping `From`s otherwise), as in the crate anyhow.
impl<E: Error> From<E> for LoadError {
    fn from(error: E) -> Self {
        LoadError::new(chain(&error))
    }
}

/// Why a record gets no prediction. Made from any [`Error`] by `?`, or by one of the functions here.
#[derive(Debug)]
pub struct PredictError {
    pub(crate) kind: u32,
    pub(crate) path: String,
    pub(crate) message: String,
}

impl PredictError {
    fn of_kind(kind: u32, message: impl Display) -> Self {
        PredictError { kind, path: String::new(), message: message.to_string() }
    }

    /// This record's values are not for this model. The run goes on with the next record.
    pub fn value(message: impl Display) -> Self {
        Self::of_kind(model_abi_layout::kind::VALUE, message)
    }

    /// The same record may succeed later (a cache that is full, say).
    pub fn try_later(message: impl Display) -> Self {
        Self::of_kind(model_abi_layout::kind::TRY_LATER, message)
    }

    /// The model itself is broken and no record will do better: ends the run.
    pub fn model_broken(message: impl Display) -> Self {
        Self::of_kind(model_abi_layout::kind::MODEL_BROKEN, message)
    }

    /// Says where in the record the fault lies: `measures[3].width`.
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where in the record the fault lies; empty where nobody said.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl<E: Error> From<E> for PredictError {
    fn from(error: E) -> Self {
        PredictError::value(chain(&error))
    }
}

/// An error and its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Notes on how a prediction came about; see [`MLModel::predict_traced`].
#[derive(Debug, Default)]
pub struct Trace {
    pub(crate) notes: Map<String, Value>,
}

impl Trace {
    /// Notes a value under a name. A second note of the same name replaces the first; a value that
    /// serde can't write as JSON leaves a note that says so. NaN and the infinities become `null`.
    pub fn note(&mut self, name: impl Into<String>, value: impl Serialize) {
        let value = serde_json::to_value(value)
            .unwrap_or_else(|error| Value::String(format!("cannot be noted: {error}")));
        self.notes.insert(name.into(), value);
    }

    /// The value noted under `name`, for tests of a model.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.notes.get(name)
    }
}

/// An input with the output it must give.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Example {
    /// A record.
    pub input: Value,
    /// Its prediction.
    pub output: Value,
}

impl Example {
    /// Both written with [`json!`](crate::json).
    pub fn new(input: Value, output: Value) -> Self {
        Example { input, output }
    }
}
