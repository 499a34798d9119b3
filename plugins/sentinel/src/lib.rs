//! A plugin that leaves a trace when it is loaded: a constructor makes the file that the environment
//! variable `SENTINEL` names. `dlopen` runs it before anybody can ask the library anything, so where
//! there is no such file, no code of the plugin has run.
//!
//! With `EXIT_WHEN_OPENED` set it ends the process there, too. The model behind it is honest: `sentinel` predicts `y`, the record's `n`.
#![expect(unsafe_code, reason = "a constructor, as C++ libraries have them")]

use model_abi::{LoadContext, LoadError, MLModel, ModelInfo, NoConfig, PredictError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

model_abi::export_models![Sentinel];

// SAFETY: the system's loader calls what stands in this section, once, and passes arguments that a
// C function may ignore.
#[used]
#[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__mod_init_func"))]
#[cfg_attr(not(target_os = "macos"), unsafe(link_section = ".init_array"))]
static CONSTRUCTOR: extern "C" fn() = leave_a_trace;

extern "C" fn leave_a_trace() {
    if let Some(path) = std::env::var_os("SENTINEL") {
        let _ = std::fs::write(path, "it was loaded");
    }
    if std::env::var_os("EXIT_WHEN_OPENED").is_some() {
        #[expect(clippy::disallowed_methods, reason = "what no plugin should do")]
        std::process::exit(0);
    }
}

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
