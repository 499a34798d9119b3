//! A plugin that passes all of `etl-host check`, and breaks one promise at a time: the environment
//! variable `FAULT` holds the name of the check that, and that alone, must catch it.
//!
//! | faults in | are in |
//! |---|---|
//! | what it says of itself | `describe.rs` |
//! | its answers, and what it is asked | `border.rs` |
//! | whole calls, whatever the records | `calls.rs` |
//! | loading, unloading, configs | `lives.rs` |
//! | its conduct as a guest in the process | `conduct.rs` |
//! | the model's own code | `model.rs` |
//!
//! Faults that lie in the file itself (its stamp) are made by the tests, which patch a copy of it. The
//! root module is written by hand as in `plugins/lying`; behind it stand the functions that
//! `export_models!` would have put there.
#![expect(unsafe_code, reason = "the border, written by hand")]

mod border;
mod calls;
mod conduct;
mod describe;
mod lives;
mod model;

use model::ParcelPrice;
use model_abi::export::{self, Entry, Exported};
use model_abi::stamp::Writer;
use model_abi::{MLModel, ModelInfo};
use model_abi_layout::{
    Answer, ExtensionTable, Header, HostTable, LoadAnswer, Model, Plugin, RSlice, RVec, Request,
    Root, WithMetadata, erase, header, kind,
};
use std::sync::OnceLock;

/// Whether this is the promise to break.
fn fault(name: &str) -> bool {
    static FAULT: OnceLock<String> = OnceLock::new();
    FAULT.get_or_init(|| std::env::var("FAULT").unwrap_or_default()) == name
}

static MODELS: &[&dyn Entry] = &[&Exported::<ParcelPrice>::NEW];

extern "C" fn describe() -> RVec<u8> {
    RVec::from(describe::spoilt(export::describe(MODELS).into_vec()))
}

extern "C" fn load(
    name: RSlice<'_, u8>,
    config: RSlice<'_, u8>,
    context: RSlice<'_, u8>,
    answer: &mut LoadAnswer,
) -> u32 {
    if fault("loads") {
        return kind::LOAD_FAILED;
    }
    let is_spaced = fault("names-can-be-typed") && name.as_slice() == b"parcel price";
    let name = if is_spaced { RSlice::from_slice(b"parcel_price") } else { name };
    lives::load(MODELS, name, config, context, answer)
}

unsafe extern "C" fn predict_batch(
    model: *const Model,
    request: &Request<'_>,
    answer: &mut Answer,
) -> u32 {
    if let Some(status) = calls::refused(request) {
        return status;
    }
    border::crash(request);
    let before = calls::Before::of(model, answer);
    // SAFETY: the host's promise, handed on.
    let status = unsafe { export::predict_batch(model, &calls::heard(request), answer) };
    if status == 0 {
        border::spoil(request, answer);
        calls::spoil(request, &before, answer);
    }
    status
}

unsafe extern "C" fn unload(model: *const Model) -> u32 {
    // SAFETY: the host's promise, handed on.
    let status = unsafe { export::unload(model) };
    lives::unloaded(status)
}

unsafe extern "C" fn extension(
    name: RSlice<'_, u8>,
    host: *const HostTable,
) -> *const ExtensionTable {
    if fault("unknown-extensions-are-null") {
        static TABLE: ExtensionTable = ExtensionTable { size: size_of::<ExtensionTable>() as u64 };
        return &raw const TABLE;
    }
    // SAFETY: the host's promise, handed on.
    unsafe { export::extension(name, host) }
}

static ROOT: WithMetadata<Plugin> =
    WithMetadata::new(Plugin { describe, load, predict_batch, unload, extension });

extern "C" fn root() -> Root {
    erase(&ROOT)
}

// SAFETY: `root` returns what `erase` made; no other symbol of this name is linked in.
#[unsafe(export_name = "etl_host_plugin_header")]
static HEADER: Header = unsafe { header(root) };

const INFOS: &[ModelInfo] = &[ParcelPrice::INFO];

const fn stamp<const N: usize>() -> Writer<N> {
    Writer::stamp(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), INFOS, &[&[]])
}

const STAMP_BYTES: usize = stamp::<0>().len;

// SAFETY: no other symbol of this name is linked in.
#[used]
#[unsafe(export_name = "etl_host_plugin_stamp")]
static STAMP: [u8; STAMP_BYTES] = stamp::<STAMP_BYTES>().bytes;
