//! A plugin written by hand, straight against the border, so that it can say what `export_models!`
//! never would. Its stamp is sound; the environment variable `LYING` names the lie, and without it
//! the plugin is honest: its one model, `lying`, predicts the record itself.
//!
//! | lies about | in | told by |
//! |---|---|---|
//! | what the plugin is, and being well | `DESCRIPTIONS`, `describe` | `describe` |
//! | being loaded | `load` | `load` |
//! | one prediction: the second of a call is wrong | `PREDICTIONS` | `predict_batch` |
//! | the answer as a whole, or one error in it | `Draft::lie` | `predict_batch` |
//! | being well | `act` | `predict_batch` |
//! | how long a table is: always, under the name `lying/2` | `EXTENSIONS` | `extension` |
//!
//! No lie breaks the language's own rules: each vector is one, each handle is an address. Against
//! that a host in the same process can do nothing, as `null` shows.
#![expect(unsafe_code, reason = "the border, written by hand")]

use model_abi_layout::stamp::MAGIC;
use model_abi_layout::{
    Answer, ExtensionTable, Header, HostTable, LoadAnswer, Model, Plugin, RSlice, RVec,
    RecordError, Request, Root, WithMetadata, erase, header, kind,
};
use std::ptr;
use std::thread::sleep;
use std::time::Duration;

/// Descriptions that are wrong, by the name of the lie.
const DESCRIPTIONS: [(&str, &[u8]); 11] = [
    ("", br#"{"models":[{"qualified_name":"lying"}]}"#),
    ("empty", b""),
    ("not_json", b"hello"),
    ("not_utf8", b"{\"models\":[{\"qualified_name\":\"\xff\"}]}"),
    ("failed", br#"{"error":"panicked at lib.rs:1:1: no words"}"#),
    ("requires", br#"{"requires":["columns/9"],"models":[{"qualified_name":"lying"}]}"#),
    ("no_models", br#"{"models":[]}"#),
    ("empty_name", br#"{"models":[{"qualified_name":"lying"},{"qualified_name":" "}]}"#),
    ("two_of_a_name", br#"{"models":[{"qualified_name":"twin"},{"qualified_name":"twin"}]}"#),
    ("bad_schema", br#"{"models":[{"qualified_name":"lying","output_schema":{"type":"strnig"}}]}"#),
    ("ghost", br#"{"models":[{"qualified_name":"ghost"}]}"#),
];

/// Predictions that are wrong, by the name of the lie.
const PREDICTIONS: [(&str, &[u8]); 6] = [
    ("empty_prediction", b""),
    ("not_json_prediction", b"hello"),
    ("nan", br#"{"y":NaN}"#),
    ("two_fields", br#"{"y":1,"y":2}"#),
    ("two_lines", b"{\"y\":1}\n{\"y\":2}"),
    ("not_utf8_prediction", b"\"\xff\""),
];

fn lie() -> String {
    std::env::var("LYING").unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "what no plugin should do")]
extern "C" fn describe() -> RVec<u8> {
    let lie = lie();
    match lie.as_str() {
        "describe_hangs" => sleep(Duration::MAX),
        "describe_aborts" => std::process::abort(),
        "describe_exits" => std::process::exit(0),
        "describe_prints" => print_to_stdout(br#"{"models":[]}"#),
        _ => {}
    }
    let told = DESCRIPTIONS.iter().find(|(name, _)| *name == lie);
    RVec::from(told.unwrap_or(&DESCRIPTIONS[0]).1.to_vec())
}

/// Past Rust's own buffer, as a library in C would.
fn print_to_stdout(text: &[u8]) {
    let stdout = std::fs::OpenOptions::new().append(true).open("/dev/stdout");
    let _ = stdout.and_then(|mut stdout| std::io::Write::write_all(&mut stdout, text));
}

static MODEL: u8 = 0;

extern "C" fn load(
    name: RSlice<'_, u8>,
    _: RSlice<'_, u8>,
    _: RSlice<'_, u8>,
    answer: &mut LoadAnswer,
) -> u32 {
    let (handle, report, status) = match lie().as_str() {
        _ if name.as_slice() != b"lying" => (ptr::null(), "{}", kind::NO_SUCH_MODEL),
        "no_handle" => (ptr::null(), "{}", 0),
        "report_not_json" => (&raw const MODEL, "hello", 0),
        "load_status" => (ptr::null(), "", 777),
        _ => (&raw const MODEL, "{}", 0),
    };
    answer.handle = handle.cast();
    answer.report = RVec::from(report.as_bytes().to_vec());
    status
}

/// An answer under construction.
struct Draft {
    output: Vec<u8>,
    ends: Vec<u32>,
    errors: Vec<RecordError>,
    error_text: Vec<u8>,
    answered: u64,
    status: u32,
}

impl Draft {
    /// Each record is its own prediction, but for the second where that is one of [`PREDICTIONS`].
    fn of(request: &Request<'_>, lie: &str) -> Self {
        let (mut output, mut ends) = (Vec::new(), Vec::new());
        for (index, span) in request.records.iter().enumerate() {
            let record = &request.bytes.as_slice()[span.start as usize..][..span.len as usize];
            let wrong = PREDICTIONS.iter().find(|(name, _)| index == 1 && *name == lie);
            output.extend_from_slice(wrong.map_or(record, |(_, prediction)| prediction));
            ends.push(output.len() as u32);
        }
        let answered = ends.len() as u64;
        Draft { output, ends, errors: Vec::new(), error_text: Vec::new(), answered, status: 0 }
    }

    fn lie(&mut self, lie: &str) {
        let asked = self.ends.len() as u32;
        match lie {
            "too_many_answers" => self.answered += 1,
            "too_few_ends" => drop(self.ends.pop()),
            "too_many_ends" => self.ends.push(self.output.len() as u32),
            "ends_backwards" => self.ends.reverse(),
            "ends_past" => drop(self.output.pop()),
            "error_of_no_record" => self.error(asked, kind::VALUE, b"who?"),
            "errors_backwards" => {
                self.error(1, kind::VALUE, b"second");
                self.error(0, kind::VALUE, b"first");
            }
            "error_without_text" => {
                self.error(1, kind::VALUE, b"cut");
                self.error_text.clear();
            }
            "error_not_utf8" => self.error(1, kind::VALUE, b"f\xffr"),
            "answers_none" => self.keep(0),
            "answers_one" => self.keep(1),
            "status" => self.status = 777,
            "status_with_text" => {
                self.status = kind::MODEL_BROKEN;
                self.error_text = b"no w\xffights".to_vec();
            }
            "slow_slices" => {
                sleep(Duration::from_millis(10) * asked);
                self.output = format!("{{\"asked\":{asked}}}").repeat(asked as usize).into_bytes();
                let len = self.output.len() as u32 / asked.max(1);
                self.ends = (1..=asked).map(|record| record * len).collect();
            }
            lie => {
                if let Some(Ok(kind)) = lie.strip_prefix("kind_").map(str::parse) {
                    self.error(1, kind, b"of this kind");
                }
            }
        }
    }

    /// An error, as the honest way to add one would do it. It does not take back the prediction:
    /// hosts look at the error first.
    fn error(&mut self, record: u32, kind: u32, text: &[u8]) {
        self.error_text.extend_from_slice(text);
        let text_end = self.error_text.len() as u32;
        self.errors.push(RecordError { record, kind, path_len: 0, text_end, reserved: [0; 2] });
    }

    fn keep(&mut self, records: usize) {
        self.ends.truncate(records);
        self.output.truncate(self.ends.last().map_or(0, |&end| end as usize));
        self.answered = self.ends.len() as u64;
    }
}

/// What is no lie, but no way to answer either.
fn act(lie: &str, asked: usize) {
    match lie {
        // SAFETY: there is none: this is what a wild pointer of a model does.
        "null" => _ = unsafe { std::hint::black_box(ptr::null::<u8>()).read_volatile() },
        // It never looks at the control block, where a host says that it need not go on. The file
        // says that it has begun.
        "ignores_cancel" => {
            let _ = std::fs::File::create("begun");
            sleep(Duration::from_secs(1) * asked as u32);
        }
        _ => {}
    }
}

unsafe extern "C" fn predict_batch(
    _: *const Model,
    request: &Request<'_>,
    answer: &mut Answer,
) -> u32 {
    let lie = lie();
    if lie == "stale" && !answer.output.is_empty() {
        return 0; // the answer to the call before is left as it is
    }
    act(&lie, request.records.len());
    let mut draft = Draft::of(request, &lie);
    draft.lie(&lie);
    answer.output = RVec::from(draft.output);
    answer.output_ends = RVec::from(draft.ends);
    answer.errors = RVec::from(draft.errors);
    answer.error_text = RVec::from(draft.error_text);
    answer.answered = draft.answered;
    if lie == "unasked" {
        answer.notes = RVec::from(b"\xff".to_vec());
        answer.note_ends = RVec::from(vec![u32::MAX]);
        answer.reserved = [u64::MAX; 7];
    }
    draft.status
}

unsafe extern "C" fn unload(_: *const Model) -> u32 {
    if lie() == "unload_status" { 777 } else { 0 }
}

/// An extension's table, as its two sides would agree on it: the size, then functions.
#[repr(C)]
struct Table {
    size: u64,
    twice: extern "C" fn(u64) -> u64,
}

extern "C" fn twice(number: u64) -> u64 {
    number * 2
}

/// Tables by the extension's name. No host knows them but that of the tests.
static EXTENSIONS: [(&[u8], Table); 2] = [
    (b"lying/1", Table { size: size_of::<Table>() as u64, twice }),
    (b"lying/2", Table { size: 7, twice }),
];

unsafe extern "C" fn extension(name: RSlice<'_, u8>, _: *const HostTable) -> *const ExtensionTable {
    let found = EXTENSIONS.iter().find(|(offered, _)| *offered == name.as_slice());
    found.map_or(ptr::null(), |(_, table)| (&raw const *table).cast())
}

static ROOT: WithMetadata<Plugin> =
    WithMetadata::new(Plugin { describe, load, predict_batch, unload, extension });

extern "C" fn root() -> Root {
    erase(&ROOT)
}

// SAFETY: `root` returns what `erase` made; no other symbol of this name is linked in.
#[unsafe(export_name = "etl_host_plugin_header")]
static HEADER: Header = unsafe { header(root) };

const STAMP_TEXT: &[u8] =
    br#"{"abi":"1.0.0","requires":[],"crate":"lying","models":[{"qualified_name":"lying"}]}"#;

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
