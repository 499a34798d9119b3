//! `etl-host`: runs machine-learning models, shipped as plugins, over data in bulk.
//!
//! A tour, in the order a newcomer should read: a [`record`] comes out of a [`source`] in a
//! [`batch`], goes through one [`step`] after the other, of which asking a [`plugin`]'s model is
//! one, and ends in a [`sink`]; the [`pipeline`] runs all that on threads. [`cli`] is what people
//! see of it.
//!
//! To ask a model about one record, without any of that:
//!
//! ```no_run
//! use etl_host::plugin::Plugin;
//!
//! let plugin = Plugin::open("target/release/libiris_model.so".as_ref())?;
//! let model = plugin.load(None, "{}", 1)?;
//! let record = r#"{"sepal_length": 4.4, "sepal_width": 2.9, "petal_length": 1.4, "petal_width": 0.2}"#;
//! assert_eq!(model.predict(record)?, r#"{"species":"setosa"}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod batch;
mod caught;
pub mod causes;
pub mod check;
pub mod child;
pub mod cli;
pub mod columns;
pub mod counts;
mod cut;
mod descriptors;
pub mod error;
pub mod format;
pub mod isolation;
pub mod journal;
mod json;
pub mod picture;
pub mod pipeline;
pub mod plugin;
pub mod record;
pub mod run_time;
pub mod sandbox;
pub mod schema;
pub mod shell;
pub mod sink;
pub mod source;
pub mod spec;
pub mod step;
pub mod stop;
pub mod storage;
pub mod summary;
pub mod toml_text;

pub use error::Error;
