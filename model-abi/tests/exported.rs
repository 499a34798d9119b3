//! `export_models!` linked statically: no `dlopen`, but the same header, root module and calls
//! that a host uses. What is promised in the layout crate is asked for here, a fact a test.
//!
//! The trap: tests share one process, so what a model must reach from within `predict` (its
//! test's [`Control`]) lies in a thread-local; `predict` runs on the thread that called.
#![expect(clippy::unwrap_used, reason = "tests, helpers included")]

use model_abi::describe::PluginDescription;
use model_abi::layout::{
    AbiHeaderRef, Answer, Control, FLAG_TRACE, Header, LoadAnswer, Model, PROGRESS_NOT_TOLD,
    PluginRef, RSlice, Request, Span, kind, stamp as stamp_layout,
};
use model_abi::stamp::{self, Stamp};
use model_abi::{
    Example, LoadContext, LoadError, LoadReport, MLModel, ModelInfo, PredictError, Trace, Value,
    json,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::thread;

// ---- The models

thread_local! {
    static CONTROL: Cell<Option<&'static Control>> = const { Cell::new(None) };
    static BATCHES: Cell<usize> = const { Cell::new(0) };
}

/// A point, and what the model is to do when it sees it.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
struct Point {
    /// Where the point lies.
    x: f64,
    #[serde(default)]
    act: Act,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Act {
    #[default]
    Nothing,
    Panic,
    Refuse,
    Later,
    Broken,
    /// Answer NaN.
    Nan,
    /// Answer the progress that the host sees at this moment.
    Look,
    /// Cancel the call, as a host would from another thread.
    Cancel,
    /// Refuse at length.
    Rant,
    /// Panic, and once more while that unwinds: the end of the process.
    Twice,
    /// Panic where nothing may unwind: likewise.
    Edge,
}

/// How high it is there.
#[derive(Serialize, JsonSchema)]
struct Height {
    /// The height, in no unit.
    y: f64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// How steep it is.
    slope: f64,
    fail: bool,
    panic: bool,
    /// Predictions that the batch form forgets.
    forget: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config { slope: 2.0, fail: false, panic: false, forget: 0 }
    }
}

fn height(slope: f64, point: &Point) -> Result<Height, PredictError> {
    let control = CONTROL.get();
    let y = match point.act {
        Act::Nothing => slope * point.x,
        Act::Panic => panic!("no footing at {}", point.x),
        Act::Refuse => return Err(PredictError::value("too far").at("x")),
        Act::Later => return Err(PredictError::try_later("fog")),
        Act::Broken => return Err(PredictError::model_broken("no map")),
        Act::Nan => f64::NAN,
        Act::Look => match control.map(|control| control.progress.load(Ordering::Relaxed)) {
            None | Some(PROGRESS_NOT_TOLD) => -1.0,
            Some(record) => record as f64,
        },
        Act::Cancel => {
            control.expect("a call with a control").cancel.store(1, Ordering::Relaxed);
            slope * point.x
        }
        Act::Twice => {
            struct Guard;
            impl Drop for Guard {
                fn drop(&mut self) {
                    panic!("no rope either");
                }
            }
            let _guard = Guard;
            panic!("no footing at {}", point.x)
        }
        Act::Edge => {
            extern "C" fn edge() {
                panic!("no rope either");
            }
            edge();
            slope * point.x
        }
        Act::Rant => return Err(PredictError::value("no ".repeat(1000))),
    };
    Ok(Height { y })
}

/// Predicts one by one.
struct Slope {
    slope: f64,
}

impl MLModel for Slope {
    const INFO: ModelInfo = ModelInfo {
        display_name: "Slope \"one\"",
        qualified_name: "slope",
        description: "A height for a point.",
        major_version: 3,
        minor_version: 14,
    };
    type Config = Config;
    type Input = Point;
    type Output = Height;

    fn load(config: Config, _: &LoadContext) -> Result<Self, LoadError> {
        if config.panic {
            panic!("no ground");
        }
        if config.fail {
            "steep".parse::<f64>()?;
        }
        Ok(Slope { slope: config.slope })
    }

    fn predict(&self, point: &Point) -> Result<Height, PredictError> {
        height(self.slope, point)
    }

    fn predict_traced(&self, point: &Point, trace: &mut Trace) -> Result<Height, PredictError> {
        if point.x != 0.0 {
            trace.note("slope", self.slope);
        }
        self.predict(point)
    }

    fn examples() -> Vec<Example> {
        vec![Example::new(json!({"x": 1}), json!({"y": 2.0}))]
    }

    fn fingerprint(&self) -> Option<String> {
        Some(format!("slope {}", self.slope))
    }
}

/// Predicts many at once; one `Act::Panic` among them and all of them are lost.
struct Batch {
    config: Config,
}

impl MLModel for Batch {
    const INFO: ModelInfo = ModelInfo {
        display_name: "Batch",
        qualified_name: "batch",
        description: "",
        major_version: 0,
        minor_version: 1,
    };
    type Config = Config;
    type Input = Point;
    type Output = Height;

    fn load(config: Config, _: &LoadContext) -> Result<Self, LoadError> {
        Ok(Batch { config })
    }

    fn predict(&self, point: &Point) -> Result<Height, PredictError> {
        height(self.config.slope, point)
    }

    fn predict_batch(&self, points: &[Point]) -> Option<Vec<Result<Height, PredictError>>> {
        BATCHES.set(BATCHES.get() + 1);
        let answers = points.iter().map(|point| self.predict(point));
        Some(answers.skip(self.config.forget).collect())
    }
}

/// A model whose names are those that the macro itself uses.
mod export {
    use super::*;

    /// Can't even end without a panic.
    pub(super) struct Plugin;

    impl Drop for Plugin {
        fn drop(&mut self) {
            panic!("not going");
        }
    }

    impl MLModel for Plugin {
        const INFO: ModelInfo = ModelInfo {
            display_name: "Plugin",
            qualified_name: "plugin",
            description: "",
            major_version: 0,
            minor_version: 1,
        };
        type Config = Config;
        type Input = Point;
        type Output = Height;

        fn load(_: Config, _: &LoadContext) -> Result<Self, LoadError> {
            Ok(Plugin)
        }

        fn predict(&self, point: &Point) -> Result<Height, PredictError> {
            height(1.0, point)
        }
    }
}

model_abi::export_models![Slope, Batch, export::Plugin];

// ---- A host, as small as can be

#[expect(unsafe_code, reason = "the statics that a host finds by name")]
mod exported {
    use super::*;

    unsafe extern "C" {
        #[link_name = "etl_host_plugin_header"]
        #[expect(improper_ctypes, reason = "abi_stable's own markers of no size")]
        static HEADER: Header;
        #[link_name = "etl_host_plugin_stamp"]
        static STAMP: [u8; stamp_layout::HEAD_BYTES];
    }

    pub(super) fn root() -> PluginRef {
        // SAFETY: the macro above defines the static, of this type.
        let header: &'static Header = unsafe { &HEADER };
        // SAFETY: an `AbiHeaderRef` is a transparent reference to the `AbiHeader` that a `Header`
        // begins with. A host's `dlsym` makes it from the symbol's address in just this way.
        let header = unsafe { std::mem::transmute::<&'static Header, AbiHeaderRef>(header) };
        let header = header.upgrade().expect("this abi_stable made it");
        assert!(header.layout().is_some(), "the layout must not be left unchecked");
        header.init_root_module::<PluginRef>().expect("this layout crate made it")
    }

    pub(super) fn stamp() -> Stamp {
        let start = &raw const STAMP;
        // SAFETY: the macro above defines the static, and no stamp is shorter than its head.
        let head = unsafe { *start };
        let [.., a, b, c, d] = head;
        let len = stamp_layout::HEAD_BYTES + u32::from_le_bytes([a, b, c, d]) as usize;
        // SAFETY: a stamp is as long as its head says.
        stamp::read(unsafe { std::slice::from_raw_parts(start.cast(), len) }).unwrap()
    }
}

/// A loaded model.
struct Loaded {
    handle: *const Model,
    report: LoadReport,
}

// SAFETY: a model may be called from several threads at once.
#[expect(unsafe_code, reason = "a raw handle")]
unsafe impl Sync for Loaded {}

fn try_load(name: &[u8], config: &str, context: &str) -> Result<Loaded, (u32, LoadReport)> {
    let mut answer = LoadAnswer { handle: std::ptr::dangling(), ..LoadAnswer::default() };
    let status = exported::root().load()(
        RSlice::from_slice(name),
        RSlice::from_slice(config.as_bytes()),
        RSlice::from_slice(context.as_bytes()),
        &mut answer,
    );
    let report = serde_json::from_slice(&answer.report).unwrap();
    assert_eq!(status != 0, answer.handle.is_null(), "a handle comes with status 0 alone");
    if status == 0 { Ok(Loaded { handle: answer.handle, report }) } else { Err((status, report)) }
}

fn load(name: &str, config: &str) -> Loaded {
    try_load(name.as_bytes(), config, CONTEXT).map_err(|failure| format!("{failure:?}")).unwrap()
}

const CONTEXT: &str = r#"{"plugin_dir": "/plugins", "threads": 2, "later": "more"}"#;

/// What a host asks, apart from the records.
#[derive(Clone, Copy)]
struct Ask {
    control: Option<&'static Control>,
    flags: u64,
    output_bytes_max: u64,
}

const ASK: Ask = Ask { control: None, flags: 0, output_bytes_max: u64::MAX };
const TRACED: Ask = Ask { flags: FLAG_TRACE, ..ASK };

impl Loaded {
    #[expect(unsafe_code, reason = "a host's call")]
    fn call_raw(&self, bytes: &[u8], records: &[Span], ask: Ask, answer: &mut Answer) -> u32 {
        CONTROL.set(ask.control);
        let request = Request {
            bytes: RSlice::from_slice(bytes),
            records: RSlice::from_slice(records),
            control: ask.control.map_or(std::ptr::null(), |control| control),
            flags: ask.flags,
            output_bytes_max: ask.output_bytes_max,
            reserved: [0; 9],
        };
        // SAFETY: the handle came from `load`, and only `unload`, which takes `self`, ends it.
        unsafe { exported::root().predict_batch()(self.handle, &request, answer) }
    }

    fn call(&self, records: &[impl AsRef<str>], ask: Ask, answer: &mut Answer) -> u32 {
        let (mut bytes, mut spans) = (Vec::new(), Vec::new());
        for record in records {
            let record = record.as_ref().as_bytes();
            spans.push(Span { start: bytes.len() as u32, len: record.len() as u32 });
            bytes.extend_from_slice(record);
            bytes.push(b'\n');
        }
        self.call_raw(&bytes, &spans, ask, answer)
    }

    /// One call that succeeds, and what it says, a line a record.
    #[track_caller]
    fn says(&self, records: &[impl AsRef<str>], ask: Ask) -> Vec<String> {
        let mut answer = Answer::default();
        assert_eq!(self.call(records, ask, &mut answer), 0);
        lines(&answer)
    }

    /// All that it says, call after call, each with the records that the one before left over.
    #[track_caller]
    fn says_in_slices(&self, records: &[impl AsRef<str>], ask: Ask) -> (Vec<String>, usize) {
        let (mut said, mut calls) = (Vec::new(), 0);
        let mut answer = Answer::default();
        while said.len() < records.len() {
            assert_eq!(self.call(&records[said.len()..], ask, &mut answer), 0);
            assert!(answer.answered > 0, "a call that answers none would never end");
            said.extend(lines(&answer));
            calls += 1;
        }
        (said, calls)
    }

    #[expect(unsafe_code, reason = "a host's call")]
    fn unload(self) -> u32 {
        // SAFETY: the handle came from `load`, and is gone with `self`.
        unsafe { exported::root().unload()(self.handle) }
    }
}

/// An answer as text: for each record its prediction, or the error's `KIND PATH: MESSAGE`; then
/// its notes, where there are any.
#[track_caller]
fn lines(answer: &Answer) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    assert_eq!(answer.output_ends.len() as u64, answer.answered);
    let mut errors = answer.errors.iter().peekable();
    let (mut start, mut text_start, mut note_start) = (0, 0, 0);
    let mut lines = Vec::new();
    for (record, &end) in answer.output_ends.iter().enumerate() {
        let mut line = text(&answer.output[start..end as usize]);
        start = end as usize;
        if let Some(error) = errors.next_if(|error| error.record as usize == record) {
            assert_eq!(line, "", "a record with an error has no prediction");
            let whole = text(&answer.error_text[text_start..error.text_end as usize]);
            let (path, message) = whole.split_at(error.path_len as usize);
            line = format!("{} {path}: {message}", error.kind);
            text_start = error.text_end as usize;
        }
        if let Some(&note_end) = answer.note_ends.get(record) {
            line += &text(&answer.notes[note_start..note_end as usize]);
            note_start = note_end as usize;
        }
        lines.push(line);
    }
    assert_eq!(errors.next(), None, "errors stand by rising index");
    assert_eq!(
        (start, text_start, note_start),
        (answer.output.len(), answer.error_text.len(), answer.notes.len()),
        "nothing stands behind the last end"
    );
    lines
}

/// Each line is as expected; `…` stands for anything.
#[track_caller]
fn check(said: &[String], expected: &[&str]) {
    let like = |line: &str, pattern: &str| match pattern.split_once('…') {
        None => line == pattern,
        Some((first, last)) => line.starts_with(first) && line.ends_with(last),
    };
    assert!(
        said.len() == expected.len() && said.iter().zip(expected).all(|(s, e)| like(s, e)),
        "{said:#?}\nis not\n{expected:#?}"
    );
}

fn control() -> &'static Control {
    Box::leak(Box::default())
}

const GOOD: &str = r#"{"x": 1}"#;
const LOOK: &str = r#"{"x": 0, "act": "look"}"#;
const PANIC: &str = r#"{"x": 7, "act": "panic"}"#;
const CANCEL: &str = r#"{"x": 1, "act": "cancel"}"#;

// ---- Describing

#[test]
fn the_description_holds_every_model_with_its_schemas_and_examples() {
    let document: Value = serde_json::from_slice(&exported::root().describe()()).unwrap();
    assert_eq!(document["requires"], json!([]));
    assert_eq!(document.get("error"), None);
    let description: PluginDescription = serde_json::from_value(document).unwrap();
    let [slope, batch, plugin] = description.models.as_slice() else { panic!("{description:?}") };
    assert_eq!(
        [&slope.qualified_name, &batch.qualified_name, &plugin.qualified_name],
        ["slope", "batch", "plugin"]
    );
    assert_eq!((slope.version().as_str(), batch.version().as_str()), ("3.14", "0.1"));
    assert_eq!(slope.display_name, "Slope \"one\"");
    assert_eq!(slope.examples, Slope::examples());
    assert!(batch.examples.is_empty());

    assert_eq!(
        slope.input_schema["description"],
        "A point, and what the model is to do when it sees it."
    );
    assert_eq!(slope.input_schema["properties"]["x"]["description"], "Where the point lies.");
    assert_eq!(slope.input_schema["required"], json!(["x"]));
    assert_eq!(slope.output_schema["properties"]["y"]["description"], "The height, in no unit.");
    assert_eq!(slope.config_schema["properties"]["slope"]["description"], "How steep it is.");
    assert_eq!(slope.config_schema["additionalProperties"], json!(false));
}

#[test]
fn the_stamp_says_what_the_description_says() {
    let stamp = exported::stamp();
    assert_eq!(stamp.abi, model_abi::layout::ABI_VERSION);
    assert_eq!(stamp.requires, [""; 0]);
    assert_eq!((stamp.package.as_str(), stamp.version.as_str()), ("model-abi", "1.0.0"));
    let described: PluginDescription =
        serde_json::from_slice(&exported::root().describe()()).unwrap();
    assert_eq!(stamp.models.len(), described.models.len());
    for (stamped, described) in stamp.models.iter().zip(&described.models) {
        assert_eq!(stamped.qualified_name, described.qualified_name);
        assert_eq!(stamped.display_name, described.display_name);
        assert_eq!(stamped.description, described.description);
        assert_eq!(
            (stamped.major_version, stamped.minor_version),
            (described.major_version, described.minor_version)
        );
    }
}

#[test]
#[expect(unsafe_code, reason = "a host's call")]
fn no_extension_is_offered() {
    // SAFETY: null is a fine host table.
    let table =
        unsafe { exported::root().extension()(RSlice::from_slice(b"columns/1"), std::ptr::null()) };
    assert!(table.is_null());
}

// ---- Loading and unloading

#[test]
fn a_loaded_model_reports_its_fingerprint() {
    let model = load("slope", r#"{"slope": 5}"#);
    assert_eq!(model.report.fingerprint.as_deref(), Some("slope 5"));
    check(&model.says(&[GOOD], ASK), &[r#"{"y":5.0}"#]);
    assert_eq!(model.unload(), 0);
}

#[test]
fn a_file_is_read_where_the_host_says_and_else_beside_the_plugin() {
    let check = |context: &str, expected: &str| {
        let context: LoadContext = serde_json::from_str(context).unwrap();
        assert_eq!(context.file("a/b.bin"), std::path::Path::new(expected));
    };
    check(CONTEXT, "/plugins/a/b.bin");
    check(r#"{"plugin_dir": "/p", "files": {"a/b.bin": "/proc/self/fd/7"}}"#, "/proc/self/fd/7");
    check(r#"{"plugin_dir": "/p", "files": {"b.bin": "/proc/self/fd/7"}}"#, "/p/a/b.bin");
    let context = serde_json::to_string(&LoadContext::new("/p", 1)).unwrap();
    assert!(!context.contains("files"), "{context}"); // as it was before there was this key
}

#[track_caller]
fn check_load(name: &[u8], config: &str, context: &str, expected: (u32, &str, &str)) {
    let Err((status, report)) = try_load(name, config, context) else { panic!("it loaded") };
    let (kind, path, message) = expected;
    assert_eq!((status, report.path.as_str()), (kind, path), "{report:?}");
    assert!(report.message.contains(message), "{report:?}");
}

#[test]
fn a_load_that_fails_says_why() {
    check_load(b"slop", "{}", CONTEXT, (kind::NO_SUCH_MODEL, "", "holds no model `slop`"));
    check_load(b"\xff", "{}", CONTEXT, (kind::NO_SUCH_MODEL, "", "holds no model"));
    check_load(b"slope", r#"{"slope": "steep"}"#, CONTEXT, (kind::CONFIG, "slope", "expected f64"));
    check_load(b"slope", r#"{"sloop": 1}"#, CONTEXT, (kind::CONFIG, "sloop", "unknown field"));
    check_load(b"slope", "{", CONTEXT, (kind::CONFIG, "", "EOF"));
    check_load(
        b"slope",
        r#"{"fail": true}"#,
        CONTEXT,
        (kind::LOAD_FAILED, "", "invalid float literal"),
    );
    check_load(b"slope", r#"{"panic": true}"#, CONTEXT, (kind::LOAD_FAILED, "", "no ground"));
    check_load(b"slope", r#"{"panic": true}"#, CONTEXT, (kind::LOAD_FAILED, "", "exported.rs:"));
}

#[test]
fn a_context_that_is_wrong_is_not_blamed_on_the_config() {
    check_load(b"slope", "{}", "{}", (kind::LOAD_FAILED, "", "load context: missing field"));
    let wrong = r#"{"plugin_dir": 1}"#;
    check_load(b"slope", "{}", wrong, (kind::LOAD_FAILED, "", "load context: plugin_dir: invalid"));
}

#[test]
fn a_model_that_panics_while_it_ends_is_reported_and_gone() {
    let model = load("plugin", "{}");
    check(&model.says(&[GOOD], ASK), &[r#"{"y":1.0}"#]);
    assert_eq!(model.unload(), kind::CALL_PANICKED);
}

// ---- Predicting

const MIXED: [&str; 10] = [
    r#"{"x": 1.5, "colour": "unknown fields are fine"}"#,
    r#"{"x": "far"}"#,
    r#"{"x": -1}"#,
    r#"{}"#,
    r#"{"x": 1"#,
    r#"[1]"#,
    r#"{"x": 1, "act": "refuse"}"#,
    r#"{"x": 1, "act": "later"}"#,
    r#"{"x": 1, "act": "broken"}"#,
    r#"{"x": 1, "act": "nan"}"#,
];

const MIXED_SAID: [&str; 10] = [
    r#"{"y":3.0}"#,
    "2 x: invalid type: string \"far\", expected f64 at line 1 column 11",
    r#"{"y":-2.0}"#,
    "2 : missing field `x` at line 1 column 2",
    "1 : EOF while parsing an object at line 1 column 7",
    "2 : expected a JSON object, found an array",
    "3 x: too far",
    "200 : fog",
    "100 : no map",
    "5 y: the prediction holds NaN, which JSON cannot carry",
];

#[test]
fn each_record_gets_its_prediction_or_its_own_error() {
    check(&load("slope", "{}").says(&MIXED, ASK), &MIXED_SAID);
    check(&load("batch", "{}").says(&MIXED, ASK), &MIXED_SAID);
}

#[test]
fn a_panic_costs_one_record() {
    let expected = [r#"{"y":2.0}"#, "4 : panicked at …: no footing at 7", r#"{"y":2.0}"#];
    for name in ["slope", "batch"] {
        let model = load(name, "{}");
        check(&model.says(&[GOOD, PANIC, GOOD], ASK), &expected);
        check(&model.says(&[GOOD, PANIC, GOOD], ASK), &expected); // now it knows its form
        check(&model.says(&[PANIC], ASK), &expected[1..2]);
    }
}

#[test]
fn a_batch_of_the_wrong_length_fails_the_call() {
    let model = load("batch", r#"{"forget": 1}"#);
    let mut answer = Answer::default();
    assert_eq!(model.call(&[GOOD, "[]", GOOD], ASK, &mut answer), kind::WRONG_COUNT);
    let text = String::from_utf8(answer.error_text.to_vec()).unwrap();
    assert_eq!(text, "predict_batch returned 1 predictions for 2 inputs");
    assert_eq!((answer.answered, answer.output.len(), answer.errors.len()), (0, 0, 0));
}

#[test]
fn the_batch_form_answers_as_one_by_one() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64; // xorshift64
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    // More than two chunks; the second has no panic in it, the others have.
    let record = |index: usize| match random() % 20 {
        kind @ 0..10 => MIXED[kind as usize].to_owned(),
        10 if !(256..512).contains(&index) => PANIC.to_owned(),
        _ => format!(r#"{{"x": {}}}"#, random() % 1000),
    };
    let records: Vec<String> = (0..700).map(record).collect();
    let (one_by_one, batch) = (load("slope", "{}"), load("batch", "{}"));
    let expected = one_by_one.says(&records, ASK);
    assert_eq!(expected, one_by_one.says(&records, ASK), "the second call knows the form");
    assert_eq!(expected, batch.says(&records, ASK));
    let slices = Ask { output_bytes_max: 1000, ..ASK };
    assert_eq!(expected, batch.says_in_slices(&records, slices).0);
}

#[test]
fn a_batch_without_a_good_record_is_not_handed_to_the_model() {
    BATCHES.set(0); // with one thread for all tests, others were counted too
    let model = load("batch", "{}");
    check(&model.says(&["[]", "1"], ASK), &["2 …an array", "2 …a number"]);
    assert_eq!(BATCHES.get(), 0);
    check(&model.says(&["[]", GOOD], ASK), &["2 …an array", r#"{"y":2.0}"#]);
    assert_eq!(BATCHES.get(), 1);
}

#[test]
fn output_beyond_the_bound_is_left_for_the_next_call() {
    let model = load("slope", "{}");
    let records = [GOOD; 10];
    let all = model.says(&records, ASK);
    let in_slices =
        |output_bytes_max| model.says_in_slices(&records, Ask { output_bytes_max, ..ASK });
    assert_eq!(in_slices(0), (all.clone(), 10));
    assert_eq!(in_slices(9), (all.clone(), 10));
    assert_eq!(in_slices(10), (all.clone(), 5));
    assert_eq!(in_slices(1000), (all.clone(), 1));
}

#[test]
fn what_a_batch_form_has_answered_is_not_computed_again() {
    let model = load("batch", "{}");
    let records = [GOOD; 600];
    let (said, calls) = model.says_in_slices(&records, Ask { output_bytes_max: 0, ..ASK });
    assert_eq!((said, calls), (model.says(&records, ASK), 3)); // 256, 256, the rest
}

#[test]
fn errors_and_notes_count_towards_the_bound() {
    let model = load("slope", "{}");
    let rant = [r#"{"x": 1, "act": "rant"}"#; 4]; // 3000 bytes each
    let (said, calls) = model.says_in_slices(&rant, Ask { output_bytes_max: 4000, ..ASK });
    check(&said, &["3 : no no…no "; 4]);
    assert_eq!(calls, 2);
    let noted = [GOOD; 4]; // 9 bytes of output and 13 of notes
    let (_, calls) = model.says_in_slices(&noted, Ask { output_bytes_max: 30, ..TRACED });
    assert_eq!(calls, 2);
}

#[test]
fn an_empty_request_is_answered() {
    for name in ["slope", "batch"] {
        assert_eq!(load(name, "{}").says(&[""; 0], ASK), [""; 0]);
    }
}

#[test]
fn spans_outside_of_the_bytes_fail_the_call() {
    let model = load("slope", "{}");
    let bytes = GOOD.as_bytes();
    let good = Span { start: 0, len: bytes.len() as u32 };
    for (start, len) in [(0, 9), (8, 1), (9, 0), (u32::MAX, u32::MAX), (1, u32::MAX)] {
        let mut answer = Answer::default();
        let status = model.call_raw(bytes, &[good, Span { start, len }], ASK, &mut answer);
        assert!(kind::BROKEN.contains(&status), "{status}");
        let text = String::from_utf8(answer.error_text.to_vec()).unwrap();
        assert!(text.contains("record 1 lies outside"), "{text}");
        assert_eq!(answer.answered, 0);
    }
    let mut answer = Answer::default();
    assert_eq!(model.call_raw(bytes, &[good, good], ASK, &mut answer), 0, "spans may overlap");
    check(&lines(&answer), &[r#"{"y":2.0}"#; 2]);
}

#[test]
fn buffers_are_used_again() {
    let model = load("slope", "{}");
    let records = [GOOD, r#"{"x": 0, "act": "rant"}"#, GOOD];
    let mut answer = Answer::default();
    let mut seen = Vec::new();
    for _ in 0..3 {
        assert_eq!(model.call(&records, TRACED, &mut answer), 0);
        seen.push((
            answer.output.as_ptr(),
            answer.notes.as_ptr(),
            answer.output_ends.as_ptr(),
            answer.note_ends.as_ptr(),
            answer.errors.as_ptr(),
            answer.error_text.as_ptr(),
        ));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
}

#[test]
fn nothing_of_an_earlier_answer_is_left_in_the_next() {
    let (model, forgetful) = (load("slope", "{}"), load("batch", r#"{"forget": 1}"#));
    let mut answer = Answer::default();
    assert_eq!(model.call(&[GOOD, "[]", GOOD], TRACED, &mut answer), 0);
    assert_eq!(forgetful.call(&[GOOD], ASK, &mut answer), kind::WRONG_COUNT);
    assert_eq!((answer.answered, answer.output_ends.len(), answer.errors.len()), (0, 0, 0));
    assert_eq!(model.call(&[GOOD], ASK, &mut answer), 0);
    check(&lines(&answer), &[r#"{"y":2.0}"#]);
}

#[test]
fn one_model_serves_many_threads() {
    for name in ["slope", "batch"] {
        let model = &load(name, "{}");
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(move || check(&model.says(&MIXED, ASK), &MIXED_SAID));
            }
        });
    }
}

// ---- The control block

#[test]
fn a_cancelled_call_stops_at_the_next_record() {
    let cancelled_after = |model: &Loaded, records: &[&str]| {
        let ask = Ask { control: Some(control()), ..ASK };
        model.says(records, ask).len()
    };
    let slope = load("slope", "{}");
    assert_eq!(cancelled_after(&slope, &[GOOD, CANCEL, GOOD, GOOD]), 2); // the first call
    assert_eq!(cancelled_after(&slope, &[GOOD, CANCEL, GOOD, GOOD]), 2); // knows its form
    let batch = load("batch", "{}");
    // A panic comes first: the records of the batch are done one by one.
    assert_eq!(cancelled_after(&batch, &[PANIC, CANCEL, GOOD, GOOD]), 2);
}

#[test]
fn a_cancelled_batch_form_gives_what_it_has() {
    let mut records = vec![GOOD; 600];
    records[10] = CANCEL;
    let ask = Ask { control: Some(control()), ..ASK };
    assert_eq!(load("batch", "{}").says(&records, ask).len(), 256);
}

#[test]
fn a_call_that_is_cancelled_before_it_begins_answers_none() {
    for name in ["slope", "batch"] {
        let control = control();
        control.cancel.store(1, Ordering::Relaxed);
        let model = load(name, "{}");
        assert_eq!(model.says(&[GOOD], Ask { control: Some(control), ..ASK }), [""; 0]);
        control.cancel.store(0, Ordering::Relaxed);
        check(&model.says(&[GOOD], Ask { control: Some(control), ..ASK }), &[r#"{"y":2.0}"#]);
    }
}

#[test]
fn progress_is_the_record_being_worked_on() {
    let control = control();
    let ask = Ask { control: Some(control), ..ASK };
    let told = [r#"{"y":0.0}"#, r#"{"y":1.0}"#, "2 …an array", r#"{"y":3.0}"#];
    let records = [LOOK, LOOK, "[]", LOOK];
    let slope = load("slope", "{}");
    for ask in [ask, ask, Ask { flags: FLAG_TRACE, ..ask }] {
        check(&slope.says(&records, ask), &told);
        assert_eq!(control.progress.load(Ordering::Relaxed), PROGRESS_NOT_TOLD);
    }
}

#[test]
fn progress_is_not_told_while_a_batch_is_worked_on() {
    let control = control();
    let ask = Ask { control: Some(control), ..ASK };
    let batch = load("batch", "{}");
    check(&batch.says(&[LOOK, LOOK], ask), &[r#"{"y":-1.0}"#; 2]);
    assert_eq!(control.progress.load(Ordering::Relaxed), PROGRESS_NOT_TOLD);
    // Where the batch panics, its records are told one by one.
    let told = [r#"{"y":0.0}"#, "4 …at 7", r#"{"y":2.0}"#];
    check(&batch.says(&[LOOK, PANIC, LOOK], ask), &told);
    assert_eq!(control.progress.load(Ordering::Relaxed), PROGRESS_NOT_TOLD);
}

#[test]
fn progress_is_taken_back_when_a_call_fails() {
    let control = control();
    let model = load("batch", r#"{"forget": 1}"#);
    let mut answer = Answer::default();
    let ask = Ask { control: Some(control), ..ASK };
    assert_eq!(model.call(&[GOOD], ask, &mut answer), kind::WRONG_COUNT);
    assert_eq!(control.progress.load(Ordering::Relaxed), PROGRESS_NOT_TOLD);
}

// ---- Notes

#[test]
fn notes_come_with_the_flag_and_only_then() {
    let records = [GOOD, r#"{"x": 0}"#, "[]", r#"{"x": 1, "act": "refuse"}"#, GOOD];
    let noted = r#"{"y":2.0}{"slope":2.0}"#;
    let model = load("slope", "{}");
    check(
        &model.says(&records, TRACED),
        &[noted, r#"{"y":0.0}"#, "2 …an array", "3 x: too far", noted],
    );
    let mut answer = Answer::default();
    assert_eq!(model.call(&records, TRACED, &mut answer), 0);
    assert_eq!(answer.note_ends.len(), 5, "an end for each answered record");
    let unknown_flags = Ask { flags: !FLAG_TRACE, ..ASK };
    assert_eq!(model.call(&records, unknown_flags, &mut answer), 0);
    assert_eq!((answer.notes.len(), answer.note_ends.len()), (0, 0));
    // A model that notes nothing, and whose batch form is not used when traced.
    check(&load("batch", "{}").says(&[GOOD, PANIC], TRACED), &[r#"{"y":2.0}"#, "4 …at 7"]);
}

// ---- What the terminal shows

/// Not a test of its own: what the tests below run in a process of its own.
#[test]
fn child() {
    let Ok(what) = std::env::var("MODEL_ABI_CHILD") else { return };
    check(&load("slope", "{}").says(&[PANIC, GOOD], ASK), &["4 …at 7", r#"{"y":2.0}"#]);
    match what.as_str() {
        "panics outside" => panic!("said aloud"),
        "panics on a thread" => {
            assert!(thread::spawn(|| panic!("said aloud")).join().is_err());
        }
        "nothing" => (),
        act => drop(load("slope", "{}").says(&[json!({"x": 1, "act": act}).to_string()], ASK)),
    }
}

fn child_says(what: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env("MODEL_ABI_CHILD", what)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_record_that_panics_prints_nothing_and_any_other_panic_does() {
    assert_eq!(child_says("nothing"), "");
    for what in ["panics outside", "panics on a thread"] {
        let said = child_says(what);
        assert!(said.contains("said aloud") && !said.contains("no footing"), "{said}");
    }
}

#[test]
fn a_panic_that_ends_the_process_is_said_before_the_end() {
    for act in ["twice", "edge"] {
        let said = child_says(act);
        assert!(said.contains("exported.rs:") && said.contains(": no rope either"), "{said}");
    }
}
