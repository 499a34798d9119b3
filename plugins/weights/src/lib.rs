//! A plugin whose model reads a file beside it, which it declares: `weights` predicts `y`, the record's `n`
//! times the number in `data/factor.txt`. It tells its folder with each prediction, and leaves a trace
//! when it is loaded, as `sentinel` does.
//!
//! `config` may name a file that it does not declare: nobody verifies that one.
#![expect(unsafe_code, reason = "a constructor, as C++ libraries have them")]

#[path = "../../sentinel/src/trace.rs"]
mod trace;

use model_abi::{LoadContext, LoadError, MLModel, ModelInfo, PredictError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

model_abi::export_models![Weights];

struct Weights {
    factor: f64,
    folder: PathBuf,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// The file with the number. Default: the one that is declared.
    file: Option<String>,
}

/// A number.
#[derive(Deserialize, JsonSchema)]
struct Record {
    n: f64,
}

#[derive(Serialize, JsonSchema)]
struct Prediction {
    y: f64,
    /// The folder that the model was told it lies in.
    folder: PathBuf,
}

const FACTOR: &str = "data/factor.txt";

impl MLModel for Weights {
    const INFO: ModelInfo = ModelInfo {
        display_name: "Weights",
        qualified_name: "weights",
        description: "Predicts the number it is given, times the one in a file.",
        major_version: 1,
        minor_version: 0,
    };
    const FILES: &'static [&'static str] = &[FACTOR];
    type Config = Config;
    type Input = Record;
    type Output = Prediction;

    fn load(config: Config, context: &LoadContext) -> Result<Self, LoadError> {
        let path = context.file(config.file.as_deref().unwrap_or(FACTOR));
        let text = std::fs::read_to_string(&path)
            .map_err(|error| LoadError::new(format!("{}: {error}", path.display())))?;
        Ok(Weights { factor: text.trim().parse()?, folder: context.plugin_dir.clone() })
    }

    fn predict(&self, record: &Record) -> Result<Prediction, PredictError> {
        Ok(Prediction { y: record.n * self.factor, folder: self.folder.clone() })
    }
}
