//! Write a model once, ship it as a plugin of `etl-host`.
//!
//! A *plugin* is a shared library that holds one or more *models*. A model takes one record and
//! gives one prediction. You implement one safe trait, [`MLModel`], and write one line,
//! [`export_models!`]; the host finds the library's models, gives them records by the million and
//! writes down what they say. No `unsafe`, no ABI, no I/O of yours.
//!
//! # A plugin from nothing
//!
//! `etl-host new rent` writes a crate that builds, with tests, weights in a file and a README; the
//! guide `docs/authoring.md` goes on from there. The same by hand, as small as it gets: `Cargo.toml`:
//!
//! ```toml
//! [package]
//! name = "rent"
//! version = "0.1.0"
//! edition = "2024"
//!
//! [lib]
//! crate-type = ["cdylib"] # a shared library: target/release/librent.so
//!
//! [dependencies]
//! model-abi = { path = "../etl-host/model-abi" } # wherever you have it
//! schemars = "1" # what the derives below expand to names these two
//! serde = { version = "1", features = ["derive"] }
//!
//! # And never panic = "abort" in a profile: the build refuses it.
//! ```
//!
//! `src/lib.rs`, all of it:
//!
//! ```standalone_crate
//! use model_abi::{Example, LoadContext, LoadError, MLModel, ModelInfo, PredictError, json};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! /// A flat to let.
//! #[derive(Deserialize, JsonSchema)]
//! struct Flat {
//!     /// Floor space, in square metres.
//!     area_m2: f64,
//!     /// Rooms, kitchen and bath not counted.
//!     rooms: f64,
//!     /// Way to the centre, in km.
//!     centre_km: f64,
//! }
//!
//! /// What it is let for.
//! #[derive(Debug, Serialize, JsonSchema)]
//! struct Rent {
//!     /// Rent of a month, in euros.
//!     euros: f64,
//! }
//!
//! #[derive(Default, Deserialize, JsonSchema)]
//! #[serde(default, deny_unknown_fields)]
//! struct Config {
//!     /// No rent is predicted lower than this, in euros. Default: 0.
//!     lowest: f64,
//! }
//!
//! struct RentModel {
//!     weights: [f64; 3],
//!     lowest: f64,
//! }
//!
//! impl MLModel for RentModel {
//!     const INFO: ModelInfo = ModelInfo {
//!         display_name: "Rent",
//!         qualified_name: "rent",
//!         description: "Predicts the rent of a flat from its size and place.",
//!         major_version: 1,
//!         minor_version: 0,
//!     };
//!     type Config = Config;
//!     type Input = Flat;
//!     type Output = Rent;
//!
//!     fn load(config: Config, _: &LoadContext) -> Result<Self, LoadError> {
//!         let text = "12.5 40 -15"; // in earnest: include_str!("../data/weights.txt")
//!         let weights = text.split(' ').map(str::parse).collect::<Result<Vec<f64>, _>>()?;
//!         let weights = weights
//!             .try_into()
//!             .map_err(|found| LoadError::new(format!("three weights wanted, not {found:?}")))?;
//!         Ok(RentModel { weights, lowest: config.lowest })
//!     }
//!
//!     fn predict(&self, flat: &Flat) -> Result<Rent, PredictError> {
//!         if flat.area_m2 <= 0.0 {
//!             return Err(PredictError::value("a flat has a floor").at("area_m2"));
//!         }
//!         let [area, rooms, centre] = self.weights;
//!         let euros = area * flat.area_m2 + rooms * flat.rooms + centre * flat.centre_km;
//!         Ok(Rent { euros: euros.max(self.lowest) })
//!     }
//!
//!     fn examples() -> Vec<Example> {
//!         let flat = json!({"area_m2": 60, "rooms": 2, "centre_km": 4});
//!         vec![Example::new(flat, json!({"euros": 770.0}))]
//!     }
//! }
//!
//! model_abi::export_models![RentModel];
//!
//! // No host is needed to try a model. In a crate, `#[test]` stands above this.
//! fn its_examples_give_their_answers() {
//!     use model_abi::serde_json::{from_value, to_value};
//!     let model = RentModel::load(Config::default(), &LoadContext::new("/", 1)).unwrap();
//!     for Example { input, output, .. } in RentModel::examples() {
//!         let flat = from_value(input).unwrap();
//!         assert_eq!(to_value(model.predict(&flat).unwrap()).unwrap(), output);
//!     }
//!     let nowhere = Flat { area_m2: 0.0, rooms: 1.0, centre_km: 1.0 };
//!     assert_eq!(model.predict(&nowhere).unwrap_err().path(), "area_m2");
//! }
//! # fn main() { its_examples_give_their_answers() }
//! ```
//!
//! Build it, let it be checked, and give it records, one JSON object a line:
//!
//! ```text
//! cargo build --release
//! etl-host check target/release/librent.so
//! etl-host --plugin target/release/librent.so --input flats.ldjson
//! ```
//!
//! # What a model can rely on
//!
//! **Records.** An input is always a JSON object, parsed straight into your type. Fields that your
//! type does not have are ignored (unless it says `#[serde(deny_unknown_fields)]`); an integer is
//! fine for a float, but `3.0` is none for a `u32`, and some tools write integers so: take an `f64`
//! where your users may. A field that is missing, doubled or of the wrong type is an error of that
//! record, which your code never sees; the error says what and where (`measures[3].width`). The doc
//! comments of your types become descriptions in the JSON Schemas that people see.
//!
//! **Errors cost one record.** [`PredictError::value`]: this record is not for this model;
//! [`at`](PredictError::at) says which field. [`PredictError::try_later`]: it may succeed later.
//! [`PredictError::model_broken`]: no record will do better, so the run ends. `?` makes a `value`
//! error of anything that is a [`std::error::Error`]; a `Box<dyn Error>` or an `anyhow::Error` is
//! not one, so write `.map_err(PredictError::value)?`. [`LoadError`] works the same way and ends
//! the run before it began.
//!
//! **So does a panic.** It becomes that record's error, with message and place, and prints nothing.
//! (On a thread that you start it prints. And a `Mutex` that was locked is poisoned from then on.)
//! What can't be caught ends the process, and the run with it: `abort`, a stack that overflows, a
//! panic in a `drop` during another panic. So does `exit`, and the model is blamed for it.
//!
//! **Predictions** are anything that serde writes as JSON. NaN and the infinities are refused, with
//! the path to them; JSON would have to write `null` for them.
//!
//! **State and threads.** Several threads call `&self` at once, [`LoadContext::threads`] of them.
//! What changes while predicting needs its own lock, and records come in no promised order. Leave
//! stdout alone: what you print lands on stderr, among what people read.
//!
//! **Config.** `--config JSON` arrives in [`load`](MLModel::load) as your [`Config`], with
//! errors that say where; without it you get `{}`, so give every field a default. Say
//! `deny_unknown_fields`, and a misspelt key is refused by name. Nothing to set: [`NoConfig`].
//!
//! **Weights** in the library (`include_str!`, `include_bytes!`) can't get lost. Those too large for
//! that lie beside it: name them in [`FILES`](MLModel::FILES) (`const FILES: &'static [&'static str] =
//! &["weights.bin"];`), read them where [`LoadContext::file`] says, and identify them in
//! [`fingerprint`](MLModel::fingerprint) (`fn fingerprint(&self) -> Option<String>`).
//!
//! **Batches.** A model that gains from many records at once (SIMD, matrices) answers
//! [`predict_batch`](MLModel::predict_batch) (`fn predict_batch(&self, inputs: &[Self::Input]) ->
//! Option<Vec<Result<Self::Output, PredictError>>>`) with `Some`: always, and one answer for each
//! input, in order; any other number ends the run. `predict` is still asked where a batch panics, and where
//! notes are wanted.
//!
//! **Notes.** What a prediction was made of (votes, scores, the path taken) goes into the [`Trace`]
//! of [`predict_traced`](MLModel::predict_traced) (`fn predict_traced(&self, input: &Self::Input,
//! trace: &mut Trace) -> Result<Self::Output, PredictError>`), which a host calls where it keeps a
//! prediction log that is to have them.
//!
//! **Examples** are part of the description that the plugin gives of itself. Run them in a test of
//! yours, as above; `etl-host check FILE` runs them too, and tries the plugin with whatever its
//! schemas allow.
//!
//! **Several models** share a plugin: `export_models![Rent, Price]`, told apart by
//! [`qualified_name`](ModelInfo::qualified_name) (`--model rent`). The macro stands once in all
//! that is linked into one library: the linker refuses a second.
//!
//! **Versions.** Yours are in [`ModelInfo`]: raise the major one when inputs or outputs change in
//! a way that breaks users. The border between plugin and host has its own,
//! [`layout::ABI_VERSION`]: any plugin of 1.x loads in any host of 1.x, older or newer, whatever
//! compiler either was made with; yours must be Rust 1.85 or newer.
//!
//! **Other machines.** A library needs at least the glibc it was linked with: build on the oldest
//! system you serve. Don't build with `-C target-cpu=native`: elsewhere it may die of an illegal
//! instruction.
//!
//! # The load order
//!
//! What a host does with the file. Each step can refuse it, and says why:
//!
//! 1. It looks without loading: `dlopen` would run code. [`stamp`] is an exported static that is
//!    read as data: the border's version, what the plugin requires, its models' names.
//! 2. It `dlopen`s the absolute path, with immediate and local binding.
//! 3. It finds the [header](layout::HEADER_SYMBOL) and compares abi_stable's generation.
//! 4. It compares the [layout] of all that crosses, type by type.
//! 5. It reads the [description](describe): names, versions, schemas, examples.
//! 6. It loads the model that was asked for, with its config.
//!
//! A library is never unloaded: its threads and the pointers into it would dangle.
//!
//! [`Config`]: MLModel::Config

// What an author implements, and how it gets across.
mod model;

#[doc(hidden)]
pub mod export;

// What a plugin says of itself, without being loaded and then loaded.
pub mod stamp;

pub mod describe;

// A block of records: in, predicted, out.
mod serve;

mod parse;

mod output;

mod answer;

mod panics;

#[cfg(doctest)]
mod refused;

pub use model::*;
pub use model_abi_layout as layout;
// For types and functions. The *derives* of these names expand to paths into `serde` and
// `schemars`, so a plugin that derives depends on both itself (or says
// `#[serde(crate = "model_abi::serde")]`, `#[schemars(crate = "model_abi::schemars")]`).
pub use schemars::{self, JsonSchema};
pub use serde::{self, Deserialize, Serialize};
pub use serde_json::{self, Value, json};
