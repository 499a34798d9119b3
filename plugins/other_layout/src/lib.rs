//! A plugin whose stamp says ABI 1.0.0 and whose root module is another one: what comes of a border
//! that changed under its name. Only the comparison of layouts stands between it and a crash.
//!
//! It must be refused before any of its functions is called, so they have nothing to do. More
//! fields would not do: abi_stable lets a plugin have more of them than its host knows.
#![expect(unsafe_code, reason = "the border, written by hand and wrong")]

use abi_stable::StableAbi;
use abi_stable::library::{CheckTypeLayout, LibHeader, RootModule, RootModuleResult};
use abi_stable::marker_type::ErasedPrefix;
use abi_stable::prefix_type::{PrefixRefTrait, WithMetadata};
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RResult, RString};
use model_abi_layout::stamp::MAGIC;

/// The root module of an age that never was: texts cross as types of their own, and there are two
/// functions.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginRef)))]
#[sabi(missing_field(panic))]
pub struct Plugin {
    /// Everything the plugin says of itself.
    pub describe: extern "C" fn() -> RString,
    /// Predicts one record.
    #[sabi(last_prefix_field)]
    pub predict: extern "C" fn(record: RString) -> RString,
}

impl RootModule for PluginRef {
    abi_stable::declare_root_module_statics! {PluginRef}
    const BASE_NAME: &'static str = "etl_host_plugin";
    const NAME: &'static str = "etl_host_plugin";
    const VERSION_STRINGS: VersionStrings = abi_stable::package_version_strings!();
}

extern "C" fn describe() -> RString {
    RString::new()
}

extern "C" fn predict(record: RString) -> RString {
    record
}

static ROOT: WithMetadata<Plugin> = WithMetadata::new(Plugin { describe, predict });

extern "C" fn root() -> RootModuleResult {
    let root = PluginRef::from_prefix_ref(ROOT.static_as_prefix());
    // SAFETY: the header names this very type.
    RResult::ROk(unsafe { root.to_prefix_ref().cast::<ErasedPrefix>() })
}

// SAFETY: `root` returns an erased `PluginRef`; no other symbol of this name is linked in.
#[unsafe(export_name = "etl_host_plugin_header")]
static HEADER: LibHeader =
    unsafe { LibHeader::from_constructor::<PluginRef>(root, CheckTypeLayout::Yes) };

const STAMP_TEXT: &[u8] = br#"{"abi":"1.0.0","models":[{"qualified_name":"other_layout"}]}"#;

/// What a host reads before it loads: nothing is wrong with it.
#[repr(C)]
struct Stamp {
    magic: [u8; 16],
    text_len: [u8; 4],
    text: [u8; STAMP_TEXT.len()],
}

// SAFETY: no other symbol of this name is linked in.
#[used]
#[unsafe(export_name = "etl_host_plugin_stamp")]
static STAMP: Stamp = Stamp {
    magic: MAGIC,
    text_len: (STAMP_TEXT.len() as u32).to_le_bytes(),
    text: *STAMP_TEXT.first_chunk().expect("as long as itself"),
};
