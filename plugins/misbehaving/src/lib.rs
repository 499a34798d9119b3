//! Models that misbehave on purpose, as far as the safe trait lets them; `plugins/lying` goes on
//! from there. What a host makes of them is tested in `tests/it/misbehaving.rs`.
//!
//! | model | gives | and misbehaves |
//! |---|---|---|
//! | `acts` | `y`: the record's `n` | as the record's `Act` says; at load and at its end, as its config says, which may name a file to read; in `describe`, as the environment variable `DESCRIBING` says |
//! | `batch` | the same, a batch at a time | the same; leaves out `forget` predictions, adds `invent` |
//! | `over_ten` | `y` | its schema promises at most 10 |
//! | `number` | a bare number | has no fields to merge, and its schema says so |
//! | `clash` | `n` | takes and gives the same field, and its schemas say so |
//! | `says` | whatever the record's `say` is | no schema can tell what comes |
//! | `unwritable` | a map keyed by lists | JSON has no form for it |
//!
//! What takes `unsafe` to do is in `plugins/lying`, but for one read from a null pointer.
#![deny(unsafe_code)]

use model_abi::{
    Example, LoadContext, LoadError, MLModel, ModelInfo, NoConfig, PredictError, Value,
};
use schemars::JsonSchema;
use serde::de::value::{Error as NoAct, StrDeserializer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hint::{black_box, spin_loop};
use std::io::{self, Write};
use std::panic::panic_any;
use std::path::{Path, PathBuf};
use std::process;
use std::ptr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

model_abi::export_models![Acts, Batch, OverTen, Number, Clash, Says, Unwritable];

const fn info(qualified_name: &'static str, description: &'static str) -> ModelInfo {
    ModelInfo {
        display_name: qualified_name,
        qualified_name,
        description,
        major_version: 0,
        minor_version: 1,
    }
}

/// What a model does: on a record, while it is loaded, when it ends.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Act {
    /// What it should.
    #[default]
    Behave,
    /// Panics with the text.
    Panic,
    /// Panics with a number, which is no text.
    PanicNumber,
    /// Panics with something that panics once more when it is dropped.
    PanicBomb,
    /// Prints the text to stdout and to stderr.
    Print,
    /// Says that the record (or the config) is not for it.
    Refuse,
    /// Says: try again later.
    Later,
    /// Says that it is broken.
    Broken,
    /// Predicts NaN.
    Nan,
    /// Predicts how many records this library was asked to count.
    Count,
    /// Keeps 64 KiB for ever.
    Leak,
    /// Ends the process and says that all is well.
    Exit0,
    /// Ends the process and says otherwise.
    Exit3,
    /// Ends the process on many threads of its own, all at once.
    ExitElsewhere,
    /// Ends the process without a word.
    Abort,
    /// Reads what is not there.
    Segfault,
    /// Never returns, and never rests.
    Spin,
    /// Calls itself without end.
    Overflow,
    /// Allocates without end.
    Hoard,
    /// Never returns. Makes a file of the text's name first, so that one can know.
    Hang,
}

/// Takes the stack of any thread, a little at a time.
#[expect(unconditional_recursion, reason = "that is the misbehaviour")]
fn overflow(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    overflow(frame[0] + 1) + frame[1]
}

/// Memory that is never given back, and never touched: only its addresses are used up.
fn hoard() -> ! {
    loop {
        black_box(Vec::<u8>::with_capacity(16 << 20)).leak();
    }
}

#[expect(unsafe_code, reason = "what the host is to survive")]
fn segfault() -> ! {
    // SAFETY: none: address 8 is never mapped, so that the process ends here.
    let byte = unsafe { ptr::without_provenance::<u8>(8).read_volatile() };
    unreachable!("there is a {byte}")
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the payload was dropped");
    }
}

impl Act {
    /// Does it. `n` is what a model that behaves predicts.
    #[expect(
        clippy::print_stdout,
        clippy::print_stderr,
        clippy::disallowed_methods,
        reason = "what no model should do"
    )]
    fn perform(self, n: f64, text: &str) -> Result<f64, PredictError> {
        static COUNTED: AtomicU32 = AtomicU32::new(0);
        const THREADS: usize = 32;
        match self {
            Act::Behave => Ok(n),
            Act::Panic => panic!("{text}"),
            Act::PanicNumber => panic_any(7),
            Act::PanicBomb => panic_any(Bomb),
            Act::Print => {
                println!("{text} on stdout");
                eprintln!("{text} on stderr");
                Ok(n)
            }
            Act::Refuse => Err(PredictError::value(text).at("n")),
            Act::Later => Err(PredictError::try_later(text)),
            Act::Broken => Err(PredictError::model_broken(text)),
            Act::Nan => Ok(f64::NAN),
            Act::Count => Ok(f64::from(COUNTED.fetch_add(1, Ordering::Relaxed) + 1)),
            Act::Leak => {
                black_box(vec![1_u8; 64 << 10]).leak();
                Ok(n)
            }
            Act::Exit0 => process::exit(0),
            Act::Exit3 => process::exit(3),
            Act::ExitElsewhere => {
                static ALL: Barrier = Barrier::new(THREADS);
                let exit = |_| {
                    thread::spawn(|| {
                        ALL.wait();
                        process::exit(0)
                    })
                };
                let all: Vec<JoinHandle<()>> = (0..THREADS).map(exit).collect();
                all.into_iter().for_each(|thread| _ = thread.join());
                Ok(n)
            }
            Act::Abort => process::abort(),
            Act::Segfault => segfault(),
            Act::Spin => loop {
                spin_loop();
            },
            Act::Overflow => Ok(overflow(0) as f64),
            Act::Hoard => hoard(),
            Act::Hang => {
                File::create(text)?;
                loop {
                    thread::park();
                }
            }
        }
    }
}

/// A number, and what to do about it.
#[derive(Deserialize, JsonSchema)]
struct Record {
    n: f64,
    #[serde(default)]
    act: Act,
    /// What it says when it does.
    #[serde(default)]
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Prediction {
    y: f64,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// What it does while it is loaded.
    load: Act,
    /// What it does when it ends.
    end: Act,
    /// How long each record takes, in milliseconds.
    sleep_ms: u64,
    /// A file that is read while it is loaded, and kept. Each time it is read, a line is added to
    /// the file beside it with the ending `loads`.
    weights: Option<PathBuf>,
    /// How many predictions the batch form leaves out.
    forget: usize,
    /// How many it adds.
    invent: usize,
}

struct Acts {
    config: Config,
    /// What a model keeps that others would predict with.
    _weights: Vec<u8>,
}

impl Acts {
    fn read(weights: &Path) -> io::Result<Vec<u8>> {
        let loads = weights.with_extension("loads");
        writeln!(File::options().create(true).append(true).open(loads)?, "read")?;
        fs::read(weights)
    }
}

impl MLModel for Acts {
    const INFO: ModelInfo = info("acts", "Does what each record says, one by one.");
    type Config = Config;
    type Input = Record;
    type Output = Prediction;

    fn load(config: Config, _: &LoadContext) -> Result<Self, LoadError> {
        let weights = config.weights.as_deref().map(Acts::read).transpose()?.unwrap_or_default();
        match config.load.perform(0.0, "while loading") {
            Ok(_) => Ok(Acts { config, _weights: weights }),
            Err(error) => Err(LoadError::new(error.message())),
        }
    }

    fn predict(&self, record: &Record) -> Result<Prediction, PredictError> {
        sleep(Duration::from_millis(self.config.sleep_ms));
        record.act.perform(record.n, &record.text).map(|y| Prediction { y })
    }

    fn examples() -> Vec<Example> {
        let act = std::env::var("DESCRIBING").unwrap_or_default();
        let act = Act::deserialize(StrDeserializer::<NoAct>::new(&act)).unwrap_or_default();
        let _ = act.perform(0.0, "while describing");
        Vec::new()
    }
}

impl Drop for Acts {
    fn drop(&mut self) {
        let _ = self.config.end.perform(0.0, "while ending");
    }
}

struct Batch(Acts);

impl MLModel for Batch {
    const INFO: ModelInfo = info("batch", "Does what each record says, a batch at a time.");
    type Config = Config;
    type Input = Record;
    type Output = Prediction;

    fn load(config: Config, context: &LoadContext) -> Result<Self, LoadError> {
        Acts::load(config, context).map(Batch)
    }

    fn predict(&self, record: &Record) -> Result<Prediction, PredictError> {
        self.0.predict(record)
    }

    fn predict_batch(&self, records: &[Record]) -> Option<Vec<Result<Prediction, PredictError>>> {
        let Config { forget, invent, .. } = self.0.config;
        let all = records.iter().map(|record| self.predict(record)).skip(forget);
        Some(all.chain((0..invent).map(|_| Ok(Prediction { y: 0.0 }))).collect())
    }
}

/// A number.
#[derive(Deserialize, JsonSchema)]
struct Plain {
    n: f64,
}

struct OverTen;

#[derive(Serialize, JsonSchema)]
struct AtMostTen {
    #[schemars(range(max = 10))]
    y: f64,
}

impl MLModel for OverTen {
    const INFO: ModelInfo = info("over_ten", "Breaks its output schema where `n` is over 10.");
    type Config = NoConfig;
    type Input = Plain;
    type Output = AtMostTen;

    fn load(_: NoConfig, _: &LoadContext) -> Result<Self, LoadError> {
        Ok(OverTen)
    }

    fn predict(&self, record: &Plain) -> Result<AtMostTen, PredictError> {
        Ok(AtMostTen { y: record.n })
    }
}

struct Number;

impl MLModel for Number {
    const INFO: ModelInfo = info("number", "Predicts a bare number.");
    type Config = NoConfig;
    type Input = Plain;
    type Output = f64;

    fn load(_: NoConfig, _: &LoadContext) -> Result<Self, LoadError> {
        Ok(Number)
    }

    fn predict(&self, record: &Plain) -> Result<f64, PredictError> {
        Ok(record.n)
    }
}

struct Clash;

#[derive(Serialize, JsonSchema)]
struct SameField {
    n: f64,
}

impl MLModel for Clash {
    const INFO: ModelInfo = info("clash", "Predicts a field that its records have too.");
    type Config = NoConfig;
    type Input = Plain;
    type Output = SameField;

    fn load(_: NoConfig, _: &LoadContext) -> Result<Self, LoadError> {
        Ok(Clash)
    }

    fn predict(&self, record: &Plain) -> Result<SameField, PredictError> {
        Ok(SameField { n: record.n })
    }
}

struct Says;

/// Anything.
#[derive(Deserialize, JsonSchema)]
struct Say {
    /// The prediction.
    say: Value,
}

impl MLModel for Says {
    const INFO: ModelInfo = info("says", "Predicts what it is told to.");
    type Config = NoConfig;
    type Input = Say;
    type Output = Value;

    fn load(_: NoConfig, _: &LoadContext) -> Result<Self, LoadError> {
        Ok(Says)
    }

    fn predict(&self, record: &Say) -> Result<Value, PredictError> {
        Ok(record.say.clone())
    }
}

struct Unwritable;

impl MLModel for Unwritable {
    const INFO: ModelInfo = info("unwritable", "Predicts what JSON has no form for.");
    type Config = NoConfig;
    type Input = Plain;
    type Output = BTreeMap<Vec<u8>, f64>;

    fn load(_: NoConfig, _: &LoadContext) -> Result<Self, LoadError> {
        Ok(Unwritable)
    }

    fn predict(&self, record: &Plain) -> Result<Self::Output, PredictError> {
        Ok(BTreeMap::from([(vec![1], record.n)]))
    }
}
