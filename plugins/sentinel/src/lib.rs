//! A plugin that leaves a trace when it is loaded (`trace.rs`). The model behind it is honest: `sentinel`
//! predicts `y`, the record's `n`.
#![expect(unsafe_code, reason = "a constructor, as C++ libraries have them")]

mod trace;

use model_abi::{LoadContext, LoadError, MLModel, ModelInfo, NoConfig, PredictError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

model_abi::export_models![Sentinel];

struct Sentinel;

/// A number.
#[derive(Deserialize, JsonSchema)]
struct Record {
    n: f64,
}

#[derive(Serialize, JsonSchema)]
struct Prediction {
    y: f64,
}

impl MLModel for Sentinel {
    const INFO: ModelInfo = ModelInfo {
        display_name: "Sentinel",
        qualified_name: "sentinel",
        description: "Predicts the number it is given.",
        major_version: 1,
        minor_version: 0,
    };
    type Config = NoConfig;
    type Input = Record;
    type Output = Prediction;

    fn load(_: NoConfig, _: &LoadContext) -> Result<Self, LoadError> {
        Ok(Sentinel)
    }

    fn predict(&self, record: &Record) -> Result<Prediction, PredictError> {
        Ok(Prediction { y: record.n })
    }
}
