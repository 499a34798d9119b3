//! A plugin that says of itself as little as one may: the border's version in the stamp, a name in
//! the description, nothing in the report. It stands for plugins that are older than every key
//! that was added since. So never add one here; what this says must do for ever.
//!
//! Written by hand against the border, as `plugins/lying` is, but it tells the truth: its one
//! model, `bare`, predicts how many bytes the record is long.
#![expect(unsafe_code, reason = "the border, written by hand")]

use model_abi_layout::stamp::MAGIC;
use model_abi_layout::{
    Answer, ExtensionTable, Header, HostTable, LoadAnswer, Model, Plugin, RSlice, RVec, Request,
    Root, WithMetadata, erase, header, kind,
};
use std::ptr;

const NAME: &str = "bare";

extern "C" fn describe() -> RVec<u8> {
    RVec::from(br#"{"models":[{"qualified_name":"bare"}]}"#.to_vec())
}

static MODEL: u8 = 0;

extern "C" fn load(
    name: RSlice<'_, u8>,
    _: RSlice<'_, u8>,
    _: RSlice<'_, u8>,
    answer: &mut LoadAnswer,
) -> u32 {
    answer.report = RVec::from(b"{}".to_vec());
    if name.as_slice() != NAME.as_bytes() {
        return kind::NO_SUCH_MODEL;
    }
    answer.handle = (&raw const MODEL).cast();
    0
}

unsafe extern "C" fn predict_batch(
    _: *const Model,
    request: &Request<'_>,
    answer: &mut Answer,
) -> u32 {
    let (mut output, mut ends) = (String::new(), Vec::new());
    for span in request.records.iter() {
        output += &format!("{{\"bytes\":{}}}", span.len);
        ends.push(output.len() as u32);
    }
    answer.answered = ends.len() as u64;
    answer.output = RVec::from(output.into_bytes());
    answer.output_ends = RVec::from(ends);
    answer.errors = RVec::new();
    answer.error_text = RVec::new();
    0
}

unsafe extern "C" fn unload(_: *const Model) -> u32 {
    0
}

unsafe extern "C" fn extension(_: RSlice<'_, u8>, _: *const HostTable) -> *const ExtensionTable {
    ptr::null()
}

static ROOT: WithMetadata<Plugin> =
    WithMetadata::new(Plugin { describe, load, predict_batch, unload, extension });

extern "C" fn root() -> Root {
    erase(&ROOT)
}

// SAFETY: `root` returns what `erase` made; no other symbol of this name is linked in.
#[unsafe(export_name = "etl_host_plugin_header")]
static HEADER: Header = unsafe { header(root) };

const STAMP_TEXT: &[u8] = br#"{"abi":"1.0.0"}"#;

/// What a host reads before it loads.
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
