//! The types that cross between `etl-host` and its plugins, and the root module. Nothing else.
//!
//! Everything here is frozen: a plugin built today must load in a host built in ten years, and no
//! one rebuilds it. So no field is ever added, removed, moved, renamed or retyped, nor is a function's
//! parameter; `tests/golden.rs` holds
//! every size and offset. The border grows in three other ways: keys in the JSON documents, the
//! reserved words and flags, and [`PluginRef::extension`] (decision 0001 says how and why).
//!
//! Plugin authors use the crate `model-abi`, which wraps all this in a safe trait.
//!
//! Rules for both sides:
//! - Only bytes, integers and `repr(C)` structs cross. Text is UTF-8 by agreement and is *checked*
//!   by whoever receives it; statuses and kinds are integers, and an unknown one means its range.
//! - Each buffer has one owner. An [`RVec`] carries the function that frees it, so either side may
//!   drop it, but only the side that made it may grow it.
//! - Nothing unwinds across a function of the root module.
//! - Any function may be called from any thread, several at once. One name may be loaded several
//!   times, each with a handle of its own. Only `unload` is called once for a handle, alone.
//! - Reserved words are written as zero and ignored when read.

use abi_stable::StableAbi;
use abi_stable::library::{
    CheckTypeLayout, LibHeader, RootModule, RootModuleError, RootModuleResult,
};
use abi_stable::marker_type::ErasedPrefix;
use abi_stable::prefix_type::{PrefixRef, PrefixRefTrait, PrefixTypeTrait};
use abi_stable::sabi_types::VersionStrings;
use std::sync::atomic::AtomicU64;

pub use abi_stable::library::{AbiHeaderRef, LibHeader as Header, LibraryError};
pub use abi_stable::prefix_type::WithMetadata;
pub use abi_stable::std_types::{RResult, RSlice, RVec};

pub mod kind;
pub mod stamp;

/// The version of this border: of this package, and of nothing else.
pub const ABI_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Name of the exported static that holds the [`Header`]: where a host enters a plugin.
///
/// `etl_host_plugin_c1` is reserved for plugins that are written in C.
pub const HEADER_SYMBOL: &str = "etl_host_plugin_header";

/// The root module of a plugin: five functions, frozen.
///
/// Documents (`describe`'s answer, a model's config, the load context, the load report) are JSON
/// texts in UTF-8. A key that is absent means "not offered".
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginRef, prefix_fields = PluginPrefix)))]
#[sabi(missing_field(panic))]
pub struct Plugin {
    /// Everything the plugin says of itself, as a JSON document: `requires`, `models` with their
    /// names, versions, schemas and examples. Where it failed, the document is
    /// `{"error": "why"}`.
    pub describe: extern "C" fn() -> RVec<u8>,

    /// Makes a model ready to predict.
    ///
    /// `name`: the model's `qualified_name`. `config`: a JSON text, `{}` when the user gave none.
    /// `context`: a JSON object (`plugin_dir`, `threads`).
    ///
    /// Status 0: `answer.handle` is the model, to be given back to [`Plugin::unload`];
    /// `answer.report` is a JSON object (`fingerprint`, `notes`). Any other status: no handle, and
    /// the report says `{"message": "why", "path": "where in the config"}`.
    pub load: extern "C" fn(
        name: RSlice<'_, u8>,
        config: RSlice<'_, u8>,
        context: RSlice<'_, u8>,
        answer: &mut LoadAnswer,
    ) -> u32,

    /// Predicts a block of records: one prediction or one error each, in order.
    ///
    /// May be called from several threads at once with the same handle. Status 0: `answer` holds
    /// the first [`Answer::answered`] records; the host calls again with the rest. Any other
    /// status is a [`kind`] that holds for the whole call: nothing was answered, and
    /// [`Answer::error_text`] says why.
    ///
    /// # Safety
    /// `model` came from [`Plugin::load`] of this plugin and has not been unloaded.
    pub predict_batch: unsafe extern "C" fn(
        model: *const Model,
        request: &Request<'_>,
        answer: &mut Answer,
    ) -> u32,

    /// Ends a model. Status 0, or the kind of what went wrong; the handle is gone either way.
    ///
    /// # Safety
    /// `model` came from [`Plugin::load`] of this plugin, no call with it is under way, and it is
    /// never used again.
    pub unload: unsafe extern "C" fn(model: *const Model) -> u32,

    /// A further table of functions by name and version (`"columns/1"`), or null where the plugin
    /// does not offer it. May be asked before any model is loaded; a model's handle is valid in
    /// every table.
    ///
    /// # Safety
    /// `host` is null, or points to a table that lives as long as the process.
    #[sabi(last_prefix_field)]
    pub extension:
        unsafe extern "C" fn(name: RSlice<'_, u8>, host: *const HostTable) -> *const ExtensionTable,
}

impl RootModule for PluginRef {
    abi_stable::declare_root_module_statics! {PluginRef}
    const BASE_NAME: &'static str = "etl_host_plugin";
    const NAME: &'static str = "etl_host_plugin";
    const VERSION_STRINGS: VersionStrings = abi_stable::package_version_strings!();
}

/// A loaded model, seen from outside: an address that only its plugin understands.
#[repr(C)]
#[derive(StableAbi)]
pub struct Model {
    opaque: [u8; 0],
}

/// What the host offers to an extension. The real table begins with its own size in bytes.
#[repr(C)]
#[derive(StableAbi)]
pub struct HostTable {
    /// Size of the whole table in bytes, this word included.
    pub size: u64,
}

/// What a plugin offers beyond the root module. The real table begins with its own size in bytes.
#[repr(C)]
#[derive(StableAbi)]
pub struct ExtensionTable {
    /// Size of the whole table in bytes, this word included.
    pub size: u64,
}

/// What [`Plugin::load`] hands back.
#[repr(C)]
#[derive(StableAbi)]
pub struct LoadAnswer {
    /// The model, or null where the status is not 0.
    pub handle: *const Model,
    /// A JSON object; see [`Plugin::load`].
    pub report: RVec<u8>,
    /// Zero.
    pub reserved: [u64; 4],
}

impl Default for LoadAnswer {
    fn default() -> Self {
        LoadAnswer { handle: std::ptr::null(), report: RVec::new(), reserved: [0; 4] }
    }
}

/// Where one record lies in [`Request::bytes`].
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset of its first byte.
    pub start: u32,
    /// Its length in bytes.
    pub len: u32,
}

/// A block of records to be predicted.
#[repr(C)]
#[derive(StableAbi)]
pub struct Request<'a> {
    /// The texts of the records, with anything between them. At most 4 GiB.
    pub bytes: RSlice<'a, u8>,
    /// The records, in order. The host gives UTF-8 that is not blank; whether it is JSON, and an
    /// object, is for the plugin to see.
    pub records: RSlice<'a, Span>,
    /// Null, or a block that may lie in shared memory and lives as long as the call.
    pub control: *const Control,
    /// [`FLAG_TRACE`]; unknown flags are ignored.
    pub flags: u64,
    /// Once the texts of the answer (predictions, notes and errors together) are this long in
    /// bytes, the plugin should stop and return what it has. It may go on to the end of what it
    /// works on as one, and answers one record at least.
    pub output_bytes_max: u64,
    /// Zero.
    pub reserved: [u64; 9],
}

/// Flag of a [`Request`]: the host wants [`Answer::notes`].
pub const FLAG_TRACE: u64 = 1;

/// Words that both sides read and write while a call is under way.
#[repr(C, align(64))]
#[derive(StableAbi, Debug)]
pub struct Control {
    /// The host sets it to 1: stop soon, and return what there is.
    pub cancel: AtomicU64,
    /// The plugin sets it to the index, in this call's [`Request::records`], of the record that is
    /// being worked on, or to [`PROGRESS_NOT_TOLD`].
    pub progress: AtomicU64,
    /// Zero.
    pub reserved: [AtomicU64; 6],
}

impl Default for Control {
    fn default() -> Self {
        Control {
            cancel: AtomicU64::new(0),
            progress: AtomicU64::new(PROGRESS_NOT_TOLD),
            reserved: [const { AtomicU64::new(0) }; 6],
        }
    }
}

/// Value of [`Control::progress`] when no single record is being worked on: before the first, or
/// while a model works on many at once.
pub const PROGRESS_NOT_TOLD: u64 = u64::MAX;

/// What a plugin answers to a [`Request`].
///
/// A host hands the same `Answer` to call after call of one plugin, so the vectors may hold the
/// buffers of an earlier answer: the plugin clears and reuses those that it made itself.
#[repr(C)]
#[derive(StableAbi)]
pub struct Answer {
    /// The predictions, one JSON text after the other, nothing between them. A text stands on one
    /// line, names no member of an object twice, nests at most 127 deep and holds no half of a
    /// surrogate pair: the host refuses others, since they go into the output as they are.
    pub output: RVec<u8>,
    /// For each answered record, where its prediction ends in `output`. A record with an error has
    /// an empty prediction.
    pub output_ends: RVec<u32>,
    /// The records that got no prediction, by rising index.
    pub errors: RVec<RecordError>,
    /// The texts that `errors` points into; the message itself where the status is not 0.
    pub error_text: RVec<u8>,
    /// With [`FLAG_TRACE`]: what the model noted, one JSON object for each answered record that
    /// has notes.
    pub notes: RVec<u8>,
    /// With [`FLAG_TRACE`]: for each answered record, where its notes end in `notes`. Else empty.
    pub note_ends: RVec<u32>,
    /// How many records, from the first, are answered. Fewer than asked means: call again with the
    /// rest. 0 only where the call was cancelled (or asked about none).
    pub answered: u64,
    /// Zero.
    pub reserved: [u64; 7],
}

impl Default for Answer {
    fn default() -> Self {
        Answer {
            output: RVec::new(),
            output_ends: RVec::new(),
            errors: RVec::new(),
            error_text: RVec::new(),
            notes: RVec::new(),
            note_ends: RVec::new(),
            answered: 0,
            reserved: [0; 7],
        }
    }
}

/// Why one record got no prediction.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// Index of the record in [`Request::records`].
    pub record: u32,
    /// One of [`kind`].
    pub kind: u32,
    /// Length of the path in the record (`measures[3].width`), the first part of this error's
    /// text. 0: not known, or the record as a whole.
    pub path_len: u32,
    /// Where this error's text (path, then message) ends in [`Answer::error_text`]; it begins
    /// where the error before it ended.
    pub text_end: u32,
    /// Zero.
    pub reserved: [u32; 2],
}

/// A constructor of the root module, as the [`Header`] wants it.
pub type Constructor = extern "C" fn() -> Root;

/// Makes the header that a plugin exports as [`HEADER_SYMBOL`]. The layout of everything above is
/// recorded in it, and compared by the host.
///
/// # Safety
/// `constructor` returns what [`erase`] made.
#[expect(unsafe_code, reason = "a plugin's entry is made here, once for all plugins")]
pub const unsafe fn header(constructor: Constructor) -> Header {
    // SAFETY: the caller promises that the constructor returns an erased `PluginRef`.
    unsafe { LibHeader::from_constructor::<PluginRef>(constructor, CheckTypeLayout::Yes) }
}

/// Turns a plugin's static root module into what its [`Constructor`] returns.
#[expect(unsafe_code, reason = "a plugin's entry is made here, once for all plugins")]
pub fn erase(root: &'static WithMetadata<Plugin>) -> Root {
    let root: PrefixRef<<Plugin as PrefixTypeTrait>::PrefixFields> = root.static_as_prefix();
    // SAFETY: the host casts it back to the type that the header names, after comparing layouts.
    let erased = unsafe { PluginRef::from_prefix_ref(root).to_prefix_ref().cast::<ErasedPrefix>() };
    RResult::<PrefixRef<ErasedPrefix>, RootModuleError>::ROk(erased)
}

/// What a [`Constructor`] returns.
pub type Root = RootModuleResult;
