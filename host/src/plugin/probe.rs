//! The border as it is, for the conformance kit and for it alone: everything that the border allows
//! may be said here, whether an honest host would say it or not, and nothing that comes back has
//! been believed or checked. What the border forbids (a handle after `unload`) can't be said.
//!
//! Scoring goes through [`LoadedModel`](super::LoadedModel).

use super::image::Image;
use super::runner::Answers;
use super::{ModelError, OpenError, library};
use model_abi::stamp::Stamp;
use model_abi_layout::{Answer, Control, LoadAnswer, Model, PluginRef, RSlice, Request, Span};
use std::ptr;

/// A plugin that has been loaded, and no more than that.
pub(crate) struct Probe {
    root: PluginRef,
}

/// What `load` answered.
pub(crate) struct ProbeLoad {
    pub(crate) status: u32,
    /// The model, unless the handle was null.
    pub(crate) model: Option<ProbedModel>,
    pub(crate) report: Vec<u8>,
}

/// A model that has been loaded. Dropping it leaves it loaded: [`ProbedModel::unload`] ends it.
pub(crate) struct ProbedModel {
    root: PluginRef,
    handle: *const Model,
}

// SAFETY: the border demands that a handle may be used from several threads at once, and `root`
// points to functions that live as long as the process.
#[expect(unsafe_code, reason = "a raw handle")]
unsafe impl Send for ProbedModel {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "a raw handle")]
unsafe impl Sync for ProbedModel {}

/// All of a [`Request`].
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) records: &'a [Span],
    pub(crate) control: Option<&'a Control>,
    pub(crate) flags: u64,
    pub(crate) output_bytes_max: u64,
    pub(crate) reserved: [u64; 9],
}

impl<'a> Question<'a> {
    /// What a host asks that wants nothing special.
    pub(crate) fn plain(bytes: &'a [u8], records: &'a [Span]) -> Self {
        Question {
            bytes,
            records,
            control: None,
            flags: 0,
            output_bytes_max: u64::MAX,
            reserved: [0; 9],
        }
    }
}

impl Probe {
    /// Loads the library. Look at it first.
    pub(crate) fn open(image: &Image, stamp: &Stamp) -> Result<Self, OpenError> {
        library::open(image, stamp).map(|root| Probe { root })
    }

    /// The description document.
    pub(crate) fn describe(&self) -> Vec<u8> {
        (self.root.describe())().to_vec()
    }

    /// Makes a model ready, or not.
    pub(crate) fn load(&self, name: &[u8], config: &[u8], context: &[u8]) -> ProbeLoad {
        let mut answer = LoadAnswer::default();
        let [name, config, context] = [name, config, context].map(RSlice::from_slice);
        let status = (self.root.load())(name, config, context, &mut answer);
        let handle = answer.handle;
        let model = (!handle.is_null()).then_some(ProbedModel { root: self.root, handle });
        ProbeLoad { status, model, report: answer.report.to_vec() }
    }

    /// Whether it offers the extension of this name.
    #[expect(unsafe_code, reason = "the border")]
    pub(crate) fn offers(&self, name: &[u8]) -> bool {
        // SAFETY: the host's table may be null.
        let table = unsafe { (self.root.extension())(RSlice::from_slice(name), ptr::null()) };
        !table.is_null()
    }
}

impl ProbedModel {
    /// Whether another load gave the same handle.
    pub(crate) fn is_same(&self, other: &ProbedModel) -> bool {
        ptr::eq(self.handle, other.handle)
    }

    /// One call: its status. What `answer` holds before is the caller's, who may want to see
    /// whether the model is misled by it.
    #[expect(unsafe_code, reason = "the border")]
    pub(crate) fn predict(&self, question: Question<'_>, answer: &mut Answer) -> u32 {
        let Question { bytes, records, control, flags, output_bytes_max, reserved } = question;
        let request = Request {
            bytes: RSlice::from_slice(bytes),
            records: RSlice::from_slice(records),
            control: control.map_or(ptr::null(), ptr::from_ref),
            flags,
            output_bytes_max,
            reserved,
        };
        // SAFETY: the handle came from `load` of this very root, and `unload` takes `self`.
        unsafe { (self.root.predict_batch())(self.handle, &request, answer) }
    }

    /// Ends the model: the status.
    #[expect(unsafe_code, reason = "the border")]
    pub(crate) fn unload(self) -> u32 {
        // SAFETY: the handle came from `load` of this very root; `self` was its only owner.
        unsafe { (self.root.unload())(self.handle) }
    }
}

/// What a model answered to so many records, once its lengths and offsets are known to be sound.
pub(crate) fn answers(answer: &Answer, asked: usize) -> Result<Answers<'_>, ModelError> {
    Answers::check(answer, asked)
}
