//! The safe face of a loaded model: one call in, answers out, as they came.
//!
//! Nothing is believed here: what an answer says is checked in [`runner`](super::runner).

use super::runner::{Answered, Ask, Failure, Runner, ask, is_broken};
use crate::json::Scanner;
use model_abi::describe::ModelDescription;
use model_abi::{LoadContext, LoadReport};
use model_abi_layout::{
    Answer, Control, FLAG_TRACE, LoadAnswer, Model, PluginRef, RSlice, Request, Span, kind,
};

/// A model that is ready to predict, in this process.
pub struct LoadedModel {
    description: ModelDescription,
    report: LoadReport,
    root: PluginRef,
    handle: *const Model,
}

// SAFETY: the border demands that a handle may be used from several threads at once (`MLModel` is
// `Send + Sync`), and `root` points to functions that live as long as the process.
#[expect(unsafe_code, reason = "a raw handle")]
unsafe impl Send for LoadedModel {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "a raw handle")]
unsafe impl Sync for LoadedModel {}

/// Why a model could not be made ready, in its own words.
#[derive(Debug, thiserror::Error)]
#[error("its model `{model}` can't be loaded{}: {message}", at(path))]
pub struct LoadFailure {
    model: String,
    kind: u32,
    path: String,
    message: String,
}

fn at(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!(", config key `{path}`") }
}

impl LoadFailure {
    /// Whether the config is to blame.
    pub fn is_config(&self) -> bool {
        self.kind == kind::CONFIG
    }
}

/// A model that can't go on, whatever the record.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// It said so.
    #[error("it says that it is broken: {0}")]
    Broken(String),
    /// Its code failed, and not for a record.
    #[error("its call failed with status {status}{}", suffix(text))]
    CallFailed {
        /// The border's number for it.
        status: u32,
        /// Its words.
        text: String,
    },
    /// Its answer can't be what it should be.
    #[error("its answer can't be used: {0}")]
    Lied(String),
    /// The processes that it runs in die, and there is a limit to that.
    #[error(
        "{last}; its processes have ended {crashes} times now, and --max-crashes allows {crashes_max}"
    )]
    DiesTooOften {
        /// How often one died.
        crashes: u64,
        /// How often one may.
        crashes_max: u64,
        /// How the last one did.
        last: String,
    },
    /// They are killed, by nobody knows whom.
    #[error("its processes were killed {kills} times from outside; the last time {last}")]
    KilledTooOften {
        /// How often.
        kills: u64,
        /// How the last one ended.
        last: String,
    },
    /// It can't be made ready any more.
    #[error("no worker process can be made ready for it any more: {0}")]
    NoWorker(String),
    /// No process can be had that it could run in.
    #[error("the system gives no worker process for it any more: {0}")]
    NoProcess(String),
    /// Another one lies in its place.
    #[error("it was replaced while the run went on: {0}")]
    Replaced(String),
    /// It never answers.
    #[error("it answered none of the {asked} records it was asked about")]
    NoProgress {
        /// How many.
        asked: usize,
    },
}

impl LoadedModel {
    pub(super) fn load(
        root: PluginRef,
        description: ModelDescription,
        config: &str,
        context: &LoadContext,
    ) -> Result<Self, LoadFailure> {
        let model = description.qualified_name.clone();
        let context = serde_json::to_vec(context).expect("the folder's name is UTF-8");
        let mut answer = LoadAnswer::default();
        let status = (root.load())(
            RSlice::from_slice(model.as_bytes()),
            RSlice::from_slice(config.as_bytes()),
            RSlice::from_slice(&context),
            &mut answer,
        );
        let report = serde_json::from_slice::<LoadReport>(&answer.report);
        let failed = |kind: u32, report: Option<LoadReport>, otherwise: String| {
            let report = report.unwrap_or_default();
            let message = if report.message.is_empty() { otherwise } else { report.message };
            LoadFailure { model: model.clone(), kind, path: report.path, message }
        };
        if status != 0 {
            return Err(failed(status, report.ok(), format!("status {status}")));
        }
        if answer.handle.is_null() {
            return Err(failed(kind::LOAD_FAILED, None, "it gave no handle".to_owned()));
        }
        // From here on a refusal unloads it.
        let mut loaded =
            LoadedModel { description, report: LoadReport::default(), root, handle: answer.handle };
        loaded.report = report.map_err(|error| {
            failed(kind::LOAD_FAILED, None, format!("its report is no JSON: {error}"))
        })?;
        Ok(loaded)
    }

    /// Everything it says of itself.
    pub fn description(&self) -> &ModelDescription {
        &self.description
    }

    /// What it reported when it was loaded.
    pub fn report(&self) -> &LoadReport {
        &self.report
    }
}

/// Why one record got no prediction.
#[derive(Debug, thiserror::Error)]
pub enum PredictFailure {
    /// Something is wrong with the record.
    #[error("{}{message}", prefix(path))]
    Record {
        /// Where in it, or empty.
        path: String,
        /// Why.
        message: String,
    },
    /// Something is wrong with the model.
    #[error(transparent)]
    Model(#[from] ModelError),
}

fn suffix(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

fn prefix(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}: ") }
}

impl LoadedModel {
    /// The prediction for one record, both as JSON.
    pub fn predict(&self, record: &str) -> Result<String, PredictFailure> {
        let len = u32::try_from(record.len()).map_err(|_| PredictFailure::Record {
            path: String::new(),
            message: "the record is over 4 GiB long".to_owned(),
        })?;
        let records = [Span { start: 0, len }];
        let bytes = record.as_bytes();
        let question = Ask {
            bytes,
            records: &records,
            output_bytes_max: u64::MAX,
            trace: false,
            is_search: false,
        };
        let mut answer = Answer::default();
        let answers = ask(self, question, &mut answer).map_err(|failure| match failure {
            Failure::Model(error) => error,
            Failure::Died(death) => unreachable!("it runs in this process: {death}"),
        })?;
        match answers.iter().next() {
            Some(Answered::Prediction(prediction)) => {
                let checked = Scanner::default().scan(prediction);
                checked.map_err(|fault| ModelError::Lied(fault.to_string()))?;
                Ok(prediction.to_owned())
            }
            Some(Answered::Failed { kind, message, .. }) if is_broken(kind) => {
                Err(ModelError::Broken(message.into_owned()).into())
            }
            Some(Answered::Failed { path, message, .. }) => Err(PredictFailure::Record {
                path: path.into_owned(),
                message: message.into_owned(),
            }),
            Some(Answered::NotText) => Err(ModelError::Lied("it is not UTF-8".to_owned()).into()),
            None => Err(ModelError::NoProgress { asked: 1 }.into()),
        }
    }
}

impl Runner for LoadedModel {
    fn call(&self, ask: &Ask<'_>, answer: &mut Answer) -> Result<u32, Failure> {
        // In this process a slice is short, and nobody reads along.
        Ok(self.call_watched(ask, None, answer))
    }
}

impl LoadedModel {
    /// The same, with a block in which somebody else reads along and may say that it is to stop.
    #[expect(unsafe_code, reason = "the border")]
    pub(crate) fn call_watched(
        &self,
        ask: &Ask<'_>,
        control: Option<&Control>,
        answer: &mut Answer,
    ) -> u32 {
        let request = Request {
            bytes: RSlice::from_slice(ask.bytes),
            records: RSlice::from_slice(ask.records),
            control: control.map_or(std::ptr::null(), std::ptr::from_ref),
            flags: if ask.trace { FLAG_TRACE } else { 0 },
            output_bytes_max: ask.output_bytes_max,
            reserved: [0; 9],
        };
        // SAFETY: the handle came from `load` of this very root and is unloaded only in `drop`.
        unsafe { (self.root.predict_batch())(self.handle, &request, answer) }
    }
}

impl Drop for LoadedModel {
    #[expect(unsafe_code, reason = "the border")]
    fn drop(&mut self) {
        // SAFETY: the handle came from `load` of this very root; nobody else holds it.
        // A model that panics while it ends changes nothing that has been written.
        let _ = unsafe { (self.root.unload())(self.handle) };
    }
}
