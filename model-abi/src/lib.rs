//! stub
mod answer;
pub mod describe;
#[doc(hidden)]
pub mod export;
mod model;
mod output;
mod panics;
mod parse;
mod serve;
pub mod stamp;

pub use model::*;
pub use model_abi_layout as layout;
pub use schemars::{self, JsonSchema};
pub use serde::{self, Deserialize, Serialize};
pub use serde_json::{self, Value, json};
