//! Carries models across the border: [`export_models!`](crate::export_models) and the five
//! functions behind it.
//!
//! Each function catches panics around everything, argument decoding and drops included: one that
//! reached an `extern "C"` edge would end the host. What the macro expands is kept small, since it
//! is compiled with the author's compiler and lints; the rest lives here.

use crate::answer::Draft;
use crate::describe::{ModelDescription, PluginDescription};
use crate::model::{LoadContext, LoadReport, MLModel};
use crate::panics::catch;
use crate::parse::{self, Failure};
use crate::serve::{Loaded, Served};
use model_abi_layout::{
    Answer, ExtensionTable, HostTable, LoadAnswer, Model, RSlice, RVec, Request, kind,
};
use std::marker::PhantomData;

/// Makes a plugin of one or more models: `export_models![IrisModel];`, once in a crate whose
/// `crate-type` holds `cdylib`.
///
/// Names that are empty, that don't fit a URL or that two models share fail the build; so do files
/// that can't lie beside the plugin.
#[macro_export]
macro_rules! export_models {
    ($($model:ty),+ $(,)?) => {
        #[cfg(not(panic = "unwind"))]
        ::core::compile_error!(
            "a plugin must be compiled with panic = \"unwind\": a model's panic costs one record, not the whole run"
        );
        // No `use` in here: it would hide the author's own types of the same names.
        const _: () = {
            const INFOS: &[$crate::ModelInfo] = &[$(<$model as $crate::MLModel>::INFO),+];
            const _: () = $crate::stamp::check_names(INFOS);
            const FILES: &[&[&str]] = &[$(<$model as $crate::MLModel>::FILES),+];
            const _: () = $crate::stamp::check_files(FILES);
            const fn stamp<const N: usize>() -> $crate::stamp::Writer<N> {
                $crate::stamp::Writer::stamp(
                    ::core::env!("CARGO_PKG_NAME"),
                    ::core::env!("CARGO_PKG_VERSION"),
                    INFOS,
                    FILES,
                )
            }
            const STAMP_BYTES: usize = stamp::<0>().len;
            #[used]
            #[unsafe(export_name = "etl_host_plugin_stamp")]
            static STAMP: [u8; STAMP_BYTES] = stamp::<STAMP_BYTES>().bytes;

            static MODELS: &[&dyn $crate::export::Entry] =
                &[$(&$crate::export::Exported::<$model>::NEW),+];
            extern "C" fn describe() -> $crate::layout::RVec<u8> {
                $crate::export::describe(MODELS)
            }
            extern "C" fn load(
                name: $crate::layout::RSlice<'_, u8>,
                config: $crate::layout::RSlice<'_, u8>,
                context: $crate::layout::RSlice<'_, u8>,
                answer: &mut $crate::layout::LoadAnswer,
            ) -> u32 {
                $crate::export::load(MODELS, name, config, context, answer)
            }
            static ROOT: $crate::layout::WithMetadata<$crate::layout::Plugin> =
                $crate::layout::WithMetadata::new($crate::layout::Plugin {
                    describe,
                    load,
                    predict_batch: $crate::export::predict_batch,
                    unload: $crate::export::unload,
                    extension: $crate::export::extension,
                });
            extern "C" fn root() -> $crate::layout::Root {
                $crate::layout::erase(&ROOT)
            }
            // SAFETY: `root` returns what `erase` made.
            #[unsafe(export_name = "etl_host_plugin_header")]
            static HEADER: $crate::layout::Header = unsafe { $crate::layout::header(root) };
        };
    };
}

/// A model's type, as a value.
pub trait Entry: Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Everything it says of itself.
    fn describe(&self) -> ModelDescription;
    /// Makes it ready.
    fn load(&self, config: &[u8], context: &[u8])
    -> Result<(Box<dyn Loaded>, LoadReport), Failure>;
}

/// The [`Entry`] of `M`.
pub struct Exported<M>(PhantomData<fn() -> M>);

impl<M> Exported<M> {
    /// The only one there is.
    pub const NEW: Self = Exported(PhantomData);
}

impl<M: MLModel> Entry for Exported<M> {
    fn name(&self) -> &'static str {
        M::INFO.qualified_name
    }

    fn describe(&self) -> ModelDescription {
        ModelDescription::of::<M>()
    }

    fn load(
        &self,
        config: &[u8],
        context: &[u8],
    ) -> Result<(Box<dyn Loaded>, LoadReport), Failure> {
        let config = parse::record::<M::Config>(parse::text(config))
            .map_err(|failure| Failure { kind: kind::CONFIG, ..failure })?;
        let context = parse::json::<LoadContext>(parse::text(context)).map_err(
            |Failure { path, message, .. }| {
                // Not as the failure's path: that one lies in the config.
                let at = if path.is_empty() { path } else { path + ": " };
                let message = format!("the host gave a wrong load context: {at}{message}");
                Failure::new(kind::LOAD_FAILED, message)
            },
        )?;
        let model = M::load(config, &context)
            .map_err(|error| Failure::new(kind::LOAD_FAILED, error.message()))?;
        let report = LoadReport { fingerprint: model.fingerprint(), ..LoadReport::default() };
        Ok((Box::new(Served::new(model)), report))
    }
}

/// Behind `Plugin::describe`.
pub fn describe(models: &[&dyn Entry]) -> RVec<u8> {
    let described = catch(|| {
        let models = models.iter().map(|model| model.describe()).collect();
        to_json(&PluginDescription { models, ..PluginDescription::default() })
    });
    RVec::from(described.unwrap_or_else(|message| {
        to_json(&PluginDescription { error: Some(message), ..PluginDescription::default() })
    }))
}

/// Behind `Plugin::load`.
pub fn load(
    models: &[&dyn Entry],
    name: RSlice<'_, u8>,
    config: RSlice<'_, u8>,
    context: RSlice<'_, u8>,
    answer: &mut LoadAnswer,
) -> u32 {
    let loaded = catch(|| {
        let name = String::from_utf8_lossy(name.as_slice());
        let Some(model) = models.iter().find(|model| model.name() == name) else {
            let message = format!("the plugin holds no model `{name}`");
            return Err(Failure::new(kind::NO_SUCH_MODEL, message));
        };
        let (model, report) = model.load(config.as_slice(), context.as_slice())?;
        Ok((Box::into_raw(Box::new(model)).cast_const().cast::<Model>(), report))
    });
    let failure = match loaded {
        Ok(Ok((handle, report))) => {
            answer.handle = handle;
            answer.report = RVec::from(to_json(&report));
            return 0;
        }
        Ok(Err(failure)) => failure,
        Err(message) => Failure::new(kind::LOAD_FAILED, message),
    };
    answer.handle = std::ptr::null();
    let Failure { kind, path, message } = failure;
    let report = LoadReport { message, path, ..LoadReport::default() };
    answer.report = RVec::from(to_json(&report));
    kind
}

/// Behind `Plugin::predict_batch`.
///
/// # Safety
/// See there.
#[expect(unsafe_code, reason = "a handle comes back from the host")]
pub unsafe extern "C" fn predict_batch(
    model: *const Model,
    request: &Request<'_>,
    answer: &mut Answer,
) -> u32 {
    let outcome = catch(|| {
        // SAFETY: the host promises that `load` made the handle, from a box of just this type, and
        // that it has not been unloaded.
        let model = unsafe { &*model.cast::<Box<dyn Loaded>>() };
        let traced = request.flags & model_abi_layout::FLAG_TRACE != 0;
        let mut draft = Draft::reclaim(answer, traced);
        model.predict(request, &mut draft).map(|()| draft)
    });
    let failure = match outcome {
        Ok(Ok(draft)) => {
            draft.hand_over(answer);
            return 0;
        }
        Ok(Err(failure)) => failure,
        Err(message) => Failure::new(kind::CALL_PANICKED, message),
    };
    answer.error_text = RVec::from(failure.message.into_bytes());
    failure.kind
}

/// Behind `Plugin::unload`.
///
/// # Safety
/// See there.
#[expect(unsafe_code, reason = "a handle comes back from the host")]
pub unsafe extern "C" fn unload(model: *const Model) -> u32 {
    let dropped = catch(|| {
        // SAFETY: the host promises that `load` made the handle, from a box of just this type, and
        // that nobody uses it any more.
        drop(unsafe { Box::from_raw(model.cast_mut().cast::<Box<dyn Loaded>>()) });
    });
    if dropped.is_ok() { 0 } else { kind::CALL_PANICKED }
}

/// Behind `Plugin::extension`: none is offered yet.
///
/// # Safety
/// See there.
#[expect(unsafe_code, reason = "the border's signature")]
pub unsafe extern "C" fn extension(
    _: RSlice<'_, u8>,
    _: *const HostTable,
) -> *const ExtensionTable {
    std::ptr::null()
}

fn to_json(document: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("a document of ours has text keys and finite numbers")
}
