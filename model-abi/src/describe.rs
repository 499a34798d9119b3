//! The description document: written by plugins, read by hosts of any age.
//!
//! A key that is absent has a default, an unknown key is ignored. What a host must understand
//! before it may use the plugin stands in `requires`.

use crate::model::{Example, MLModel};
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything a plugin says of itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PluginDescription {
    /// What a host must understand to use this plugin. An unknown entry is a refusal.
    #[serde(default)]
    pub requires: Vec<String>,
    /// The models in the plugin.
    #[serde(default)]
    pub models: Vec<ModelDescription>,
    /// Why there is no description, where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Everything a model says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ModelDescription {
    /// The name to ask for it by.
    pub qualified_name: String,
    /// The name for people.
    #[serde(default)]
    pub display_name: String,
    /// A sentence on what it predicts.
    #[serde(default)]
    pub description: String,
    /// See [`ModelInfo`](crate::ModelInfo).
    #[serde(default)]
    pub major_version: u32,
    /// See [`ModelInfo`](crate::ModelInfo).
    #[serde(default)]
    pub minor_version: u32,
    /// See [`MLModel::FILES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// JSON Schema of a record. `true` allows anything.
    #[serde(default = "anything")]
    pub input_schema: Value,
    /// JSON Schema of a prediction.
    #[serde(default = "anything")]
    pub output_schema: Value,
    /// JSON Schema of the config.
    #[serde(default = "anything")]
    pub config_schema: Value,
    /// Inputs with the outputs they must give.
    #[serde(default)]
    pub examples: Vec<Example>,
}

fn anything() -> Value {
    Value::Bool(true)
}

impl ModelDescription {
    /// `0.1`
    pub fn version(&self) -> String {
        format!("{}.{}", self.major_version, self.minor_version)
    }

    /// Describes `M`; its schemas are derived from its types.
    pub(crate) fn of<M: MLModel>() -> Self {
        let reads = SchemaSettings::draft2020_12().for_deserialize();
        let writes = SchemaSettings::draft2020_12().for_serialize();
        ModelDescription {
            qualified_name: M::INFO.qualified_name.to_owned(),
            display_name: M::INFO.display_name.to_owned(),
            description: M::INFO.description.to_owned(),
            major_version: M::INFO.major_version,
            minor_version: M::INFO.minor_version,
            files: M::FILES.iter().map(|&name| name.to_owned()).collect(),
            input_schema: reads.clone().into_generator().into_root_schema_for::<M::Input>().into(),
            output_schema: writes.into_generator().into_root_schema_for::<M::Output>().into(),
            config_schema: reads.into_generator().into_root_schema_for::<M::Config>().into(),
            examples: M::examples(),
        }
    }
}
