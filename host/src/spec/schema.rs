//! A JSON Schema of pipeline files, for editors: they complete keys, show what each is for, and mark
//! what is wrong while it is written. `#:schema FILE` in the first line of a pipeline names it.
//!
//! It is made of the table that files are read by. What takes more than one key to be wrong, it lets
//! pass: `etl-host validate` does not.

use super::file::keys::{
    Key, Keys, RUN, SECTIONS, SINK, SOURCE, STEP, STEP_TYPES, StepType, TEST, TYPES, Takes,
};
use serde_json::{Map, Value, json};

/// What a text that has a parameter in it looks like, where no text stands otherwise.
const PARAMETER: &str = r"\$\{";

/// The schema. Of draft 7, which is what editors know.
pub fn schema() -> Value {
    let sections = SECTIONS.iter().map(|name| (name.to_string(), section(name)));
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A pipeline of etl-host",
        "type": "object",
        "properties": Value::Object(sections.collect()),
        "required": ["sources", "sinks"],
        "additionalProperties": false,
    })
}

fn section(name: &str) -> Value {
    let (about, mut schema) = match name {
        "params" => {
            let about = "What `${NAME}` in texts stands for, and jq's $params. --set and the \
                         environment go before.";
            let names = json!({ "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" });
            (about, json!({ "type": "object", "propertyNames": names }))
        }
        "sources" => ("Where records come from.", named(table(&[SOURCE], None))),
        "steps" => {
            let types: Vec<Value> = STEP_TYPES.iter().map(step).collect();
            ("What is done to records.", named(json!({ "type": "object", "oneOf": types })))
        }
        "sinks" => ("Where records end.", named(table(&[SINK], None))),
        "run" => ("How it is run.", table(&[RUN], None)),
        "test" => {
            let about = "What the pipeline is to do with some records: `etl-host test`.";
            (about, json!({ "type": "array", "items": table(&[TEST], None) }))
        }
        other => unreachable!("`{other}` is a table of the file, and nothing is said of it"),
    };
    schema["description"] = about.into();
    schema
}

/// Tables with the names of nodes.
fn named(node: Value) -> Value {
    json!({
        "type": "object",
        "propertyNames": { "pattern": "^[A-Za-z][A-Za-z0-9_-]*$" },
        "additionalProperties": node,
    })
}

fn step(step: &'static StepType) -> Value {
    let mut schema = table(&[&[STEP], step.keys], Some(step.name));
    schema["title"] = step.name.into();
    schema["description"] = step.about.into();
    schema
}

/// A table with these keys; of a step, of this type.
fn table(keys: &[Keys], step_type: Option<&str>) -> Value {
    let all = || keys.iter().copied().flatten().copied().flatten();
    let needed: Vec<&str> = all().filter(|key| key.is_needed).map(|key| key.name).collect();
    let properties = all().map(|key| {
        let schema = match step_type.filter(|_| key.name == "type") {
            Some(name) => json!({ "const": name, "description": key.about }),
            None => described(key),
        };
        (key.name.to_owned(), schema)
    });
    json!({
        "type": "object",
        "properties": properties.collect::<Map<String, Value>>(),
        "required": needed,
        "additionalProperties": false,
    })
}

fn described(key: &Key) -> Value {
    let mut schema = value(&key.takes);
    schema["description"] = key.about.into();
    schema
}

fn value(takes: &Takes) -> Value {
    let text = || json!({ "type": "string" });
    let texts = || json!({ "type": "array", "items": { "type": "string" } });
    let or_parameter =
        |schema: Value| json!({ "anyOf": [schema, { "type": "string", "pattern": PARAMETER }] });
    match takes {
        Takes::Text => text(),
        Takes::Texts => json!({ "anyOf": [text(), texts()] }),
        Takes::List => texts(),
        Takes::Flag => or_parameter(json!({ "type": "boolean" })),
        Takes::Whole(least, u64::MAX) => {
            or_parameter(json!({ "type": "integer", "minimum": least }))
        }
        Takes::Whole(least, most) => {
            or_parameter(json!({ "type": "integer", "minimum": least, "maximum": most }))
        }
        Takes::Number(least, most) => {
            or_parameter(json!({ "type": "number", "minimum": least, "maximum": most }))
        }
        Takes::WholeOrText => json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, text()] }),
        Takes::OneOf(names) => or_parameter(json!({ "enum": names() })),
        Takes::Table(keys) => table(&[keys], None),
        Takes::Any => json!({ "type": "object" }),
        Takes::Types => {
            let names: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
            json!({ "type": "object", "additionalProperties": or_parameter(json!({ "enum": names })) })
        }
        Takes::Json => json!({ "anyOf": [{ "type": "object" }, text()] }),
        Takes::Records => {
            let records = json!({ "type": "array" });
            let of_port = json!({ "type": "object", "additionalProperties": records });
            json!({ "type": "object", "additionalProperties": { "anyOf": [records, of_port] } })
        }
        Takes::Tables(keys) => json!({ "type": "array", "items": table(&[keys], None) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::file::tests::EVERYTHING;

    fn as_json(text: &str) -> Value {
        serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap()
    }

    #[test]
    fn it_is_a_schema() {
        jsonschema::meta::validate(&schema()).unwrap();
    }

    #[test]
    fn it_accepts_what_is_right_and_refuses_what_is_not() {
        let validator = jsonschema::validator_for(&schema()).unwrap();
        let faults = |text: &str| {
            let errors = |it: &Value| validator.iter_errors(it).map(|e| e.to_string()).collect();
            let faults: Vec<String> = errors(&as_json(text));
            faults
        };
        assert_eq!(faults(EVERYTHING), Vec::<String>::new());
        let whole = "[sources.in]\npath='a'\n[sinks.out]\nfrom='in'\npath='b'\n";
        for right in [
            "",
            "[steps.x]\ntype='limit'\nfrom='in'\ncount='${n}'",
            "[steps.x]\ntype='place'\nfrom=['in']",
            "[sinks.x]\nfrom='in'\npath='x'\nformat='${f}'\nheader='${h:-true}'",
            "[run]\nmax_rejects=5",
        ] {
            assert_eq!(faults(&(whole.to_owned() + right)), Vec::<String>::new(), "{right}");
        }
        for wrong in [
            "[sorces.x]\npath='a'",
            "[sources.x]\nfromat='csv'\npath='a'",
            "[sources.x]\nformat='cvs'\npath='a'",
            "[sources.'a b']\npath='a'",
            "[params]\n'a-b'=1",
            "[steps.x]\ntype='limit'\nfrom='in'",
            "[steps.x]\ntype='limit'\nfrom='in'\ncount=-1",
            "[steps.x]\ntype='limit'\nfrom='in'\ncount='1'",
            "[steps.x]\ntype='limti'\nfrom='in'\ncount=1",
            "[steps.x]\ntype='jq'\nfrom='in'\nprogram='.'\nwhen='.'",
            "[steps.x]\ntype='log'\nfrom='in'\nsample={sed=1,share=1}",
            "[steps.x]\ntype='sample'\nfrom='in'\nshare=2",
            "[sinks.x]\nfrom='in'",
            "[run]\nthreads=0",
            "[[test]]\nname='a'",
            "[[test]]\nname='a'\ninput.in=[]\nrejects=[{nod='in'}]",
        ] {
            assert!(!faults(&(whole.to_owned() + wrong)).is_empty(), "{wrong}");
        }
        assert!(!faults("").is_empty());
    }

    #[test]
    fn every_key_is_in_it_and_says_what_it_is_for() {
        let schema = schema();
        let all = |place: &Value, keys: &[Keys]| {
            for key in keys.iter().copied().flatten().copied().flatten() {
                let property = &place["properties"][key.name];
                assert_eq!(property["description"], key.about, "{}", key.name);
                assert!(key.about.ends_with('.') && !key.example.is_empty(), "{}", key.name);
                // What is read and printed in tests has it, but for what is in files of its own.
                let is_shown = EVERYTHING.contains(&format!("{} = ", key.name));
                let is_shown = is_shown || EVERYTHING.contains(&format!("\n{}.", key.name));
                assert!(is_shown || ["file", "config_file"].contains(&key.name), "{}", key.name);
            }
        };
        let of = |section: &str| schema["properties"][section]["additionalProperties"].clone();
        all(&of("sources"), &[SOURCE]);
        all(&of("sinks"), &[SINK]);
        all(&schema["properties"]["run"], &[RUN]);
        all(&schema["properties"]["test"]["items"], &[TEST]);
        let types = of("steps")["oneOf"].clone();
        for (place, known) in types.as_array().unwrap().iter().zip(STEP_TYPES) {
            assert_eq!(place["properties"]["type"]["const"], known.name);
            all(place, &[&[STEP], known.keys]);
        }
        assert_eq!(types.as_array().unwrap().len(), STEP_TYPES.len());
    }
}
