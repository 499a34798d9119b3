//! Faults in what the plugin says of itself: the description is read, spoilt and written again.

use crate::fault;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

/// The description, with the fault where it belongs in there.
pub(crate) fn spoilt(document: Vec<u8>) -> Vec<u8> {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let Ok(mut description) = serde_json::from_slice::<Value>(&document) else { return document };
    let model = &mut description["models"][0];
    let is_spoilt = FAULTS.iter().find(|(name, _)| fault(name)).map(|(_, spoil)| spoil(model));
    if fault("describes-itself") {
        description["models"] = json!([]);
    } else if fault("describes-itself-the-same-twice") {
        description["asked"] = json!(ASKED.fetch_add(1, Ordering::Relaxed));
    } else if is_spoilt.is_none() {
        return document;
    }
    description.to_string().into_bytes()
}

type Spoil = fn(&mut Value);

/// What is changed in the description of the model.
const FAULTS: &[(&str, Spoil)] = &[
    ("names-can-be-typed", |model| model["qualified_name"] = json!("parcel price")),
    ("says-what-it-is", |model| model["description"] = json!("")),
    ("stamp-equals-description", |model| model["display_name"] = json!("Letter price")),
    ("schemas-are-valid", |model| model["output_schema"]["type"] = json!("strnig")),
    ("input-schema-names-fields", |model| model["input_schema"] = json!({"type": "object"})),
    ("schema-defaults-fit", |model| {
        model["input_schema"]["properties"]["weight_kg"]["default"] = json!("heavy");
    }),
    ("config-fits-its-schema", |model| model["config_schema"]["required"] = json!(["large_cm"])),
    ("has-examples", |model| model["examples"] = json!([])),
    ("examples-fit-the-input-schema", |model| {
        model["examples"][0]["input"]["pieces"] = json!(0);
    }),
    ("examples-fit-the-output-schema", |model| {
        model["examples"][0]["output"]["class"] = json!("middling");
    }),
    ("examples-give-their-answers", |model| {
        model["examples"][0]["output"]["euros"] = json!(5.505);
    }),
];
