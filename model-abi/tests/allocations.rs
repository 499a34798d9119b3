//! What a record costs in allocations beyond the author's own: nothing, once the buffers have
//! grown. And what a panic leaves behind: nothing.
//!
//! A crate of its own, because it counts what the whole process allocates (thread by thread).
#![expect(clippy::unwrap_used, reason = "tests, helpers included")]

use model_abi::layout::{AbiHeaderRef, Answer, LoadAnswer, RSlice, Request, Span};
use model_abi::{LoadContext, LoadError, MLModel, ModelInfo, NoConfig, PredictError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static LIVE_BYTES: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

#[expect(unsafe_code, reason = "a global allocator")]
// SAFETY: the system's allocator does the work; two thread-locals that never allocate count it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        LIVE_BYTES.set(LIVE_BYTES.get() + layout.size() as i64);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE_BYTES.set(LIVE_BYTES.get() - layout.size() as i64);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What the model halves.
#[derive(Deserialize, JsonSchema)]
struct Number {
    n: f64,
}

#[derive(Serialize, JsonSchema)]
struct Half {
    half: f64,
}

struct Halver;

impl MLModel for Halver {
    const INFO: ModelInfo = ModelInfo {
        display_name: "Halver",
        qualified_name: "halver",
        description: "",
        major_version: 0,
        minor_version: 1,
    };
    type Config = NoConfig;
    type Input = Number;
    type Output = Half;

    fn load(_: NoConfig, _: &LoadContext) -> Result<Self, LoadError> {
        Ok(Halver)
    }

    fn predict(&self, &Number { n }: &Number) -> Result<Half, PredictError> {
        assert!(n >= 0.0, "{n} is below zero");
        Ok(Half { half: n / 2.0 })
    }
}

model_abi::export_models![Halver];

/// Calls the model with 1000 times this record until the buffers have grown, then once more: how
/// many allocations that was, and how many bytes it left behind.
#[expect(unsafe_code, reason = "a host's calls")]
fn cost(record: &str) -> (u64, i64) {
    unsafe extern "C" {
        #[link_name = "etl_host_plugin_header"]
        static HEADER: u8;
    }
    let header = &raw const HEADER;
    // SAFETY: the macro defines the static; an `AbiHeaderRef` is its address.
    let header = unsafe { std::mem::transmute::<*const u8, AbiHeaderRef>(header) };
    let root =
        header.upgrade().unwrap().init_root_module::<model_abi::layout::PluginRef>().unwrap();

    let mut loaded = LoadAnswer::default();
    let context = br#"{"plugin_dir": "/"}"#;
    let slice = RSlice::from_slice;
    assert_eq!(root.load()(slice(b"halver"), slice(b"{}"), slice(context), &mut loaded), 0);

    let records = [Span { start: 0, len: record.len() as u32 }; 1000];
    let request = Request {
        bytes: slice(record.as_bytes()),
        records: RSlice::from_slice(&records),
        control: std::ptr::null(),
        flags: 0,
        output_bytes_max: u64::MAX,
        reserved: [0; 9],
    };
    let mut answer = Answer::default();
    let mut call = || {
        let before = (ALLOCATIONS.get(), LIVE_BYTES.get());
        // SAFETY: the handle came from `load` and is never unloaded.
        let status = unsafe { root.predict_batch()(loaded.handle, &request, &mut answer) };
        assert_eq!((status, answer.answered), (0, 1000));
        (ALLOCATIONS.get() - before.0, LIVE_BYTES.get() - before.1)
    };
    (call(), call()).1
}

#[test]
fn a_good_record_allocates_nothing() {
    // An unknown field that nests would cost one: serde_json keeps a stack of its brackets.
    assert_eq!(cost(r#"{"n": 3, "unknown": "a"}"#), (0, 0));
}

#[test]
fn a_bad_record_leaves_nothing_behind() {
    assert_eq!(cost(r#"{"n": "three"}"#).1, 0);
}

#[test]
fn a_panic_leaves_nothing_behind() {
    assert_eq!(cost(r#"{"n": -1}"#).1, 0);
}
