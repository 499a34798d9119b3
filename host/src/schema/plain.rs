//! Whether a document is certainly a JSON Schema, found in one walk.
//!
//! Whether any document is one is the crate `jsonschema`'s to say, which first builds a validator
//! for schemas as such: a third of the time that a run of a few records takes. A schema that says no
//! more than `schemars` writes for plain types is seen to be one without that.
//!
//! The trap: "yes" must never be said of what `jsonschema` refuses. "No" only means to ask it.

use serde_json::Value;

/// The dialect of which the walk knows the keywords.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "number", "string", "integer"];

/// Whether it certainly is a schema. False: it may still be one.
pub fn is_plain(root: &Value) -> bool {
    let dialect = root.get("$schema").and_then(Value::as_str);
    dialect == Some(DIALECT) && is_schema(root, root)
}

fn is_schema(root: &Value, schema: &Value) -> bool {
    match schema {
        Value::Bool(_) => true,
        Value::Object(keywords) => keywords.iter().all(|(keyword, value)| {
            // In an inner schema it would begin a document of its own.
            let begins = keyword == "$schema" && std::ptr::eq(root, schema);
            begins || is_keyword(root, keyword, value)
        }),
        _ => false,
    }
}

fn is_keyword(root: &Value, keyword: &str, value: &Value) -> bool {
    let schemas = |schemas: &Vec<Value>| {
        !schemas.is_empty() && schemas.iter().all(|schema| is_schema(root, schema))
    };
    match keyword {
        "title" | "description" | "format" => value.is_string(),
        "type" => is_type(value),
        "properties" | "$defs" => {
            value.as_object().is_some_and(|all| all.values().all(|one| is_schema(root, one)))
        }
        "additionalProperties" | "items" => is_schema(root, value),
        "anyOf" | "oneOf" | "allOf" => value.as_array().is_some_and(schemas),
        "required" => value.as_array().is_some_and(|names| are_words(names, |_| true)),
        "enum" => value.is_array(),
        "const" | "default" => true,
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => value.is_number(),
        "minLength" | "maxLength" | "minItems" | "maxItems" => value.is_u64(),
        "$ref" => value.as_str().is_some_and(|reference| leads_to_definition(root, reference)),
        _ => false,
    }
}

fn is_type(value: &Value) -> bool {
    let is_name = |name: &str| TYPES.contains(&name);
    match value {
        Value::String(name) => is_name(name),
        Value::Array(names) => !names.is_empty() && are_words(names, is_name),
        _ => false,
    }
}

/// Whether they are texts, each another one.
fn are_words(values: &[Value], is_word: impl Fn(&str) -> bool) -> bool {
    let mut before = std::collections::HashSet::new();
    values
        .iter()
        .all(|value| value.as_str().is_some_and(|word| is_word(word) && before.insert(word)))
}

/// Whether it is `#/$defs/Name`, there is such a name, and nothing in it has to be unescaped.
fn leads_to_definition(root: &Value, reference: &str) -> bool {
    let Some(name) = reference.strip_prefix("#/$defs/") else { return false };
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && root.get("$defs").is_some_and(|all| all.get(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;
    use serde_json::{Map, json};

    #[test]
    fn what_is_derived_from_plain_types_is_plain() {
        let flower = json!({
            "$schema": DIALECT, "title": "Flower", "type": "object", "description": "One.",
            "properties": {
                "width": {"type": "number", "format": "double", "minimum": 0},
                "name": {"type": ["string", "null"], "default": null, "maxLength": 9},
                "species": {"anyOf": [{"$ref": "#/$defs/Species"}, {"type": "null"}]},
                "tags": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["width"], "additionalProperties": false,
            "$defs": {"Species": {"type": "string", "enum": ["setosa"]}},
        });
        assert!(is_plain(&flower));
        let mut strange = flower.clone();
        strange["properties"]["width"]["pattern"] = "(".into();
        assert!(!is_plain(&strange));
        assert!(!is_plain(&json!({"type": "object"})), "its dialect may be any");
    }

    /// A schema, or nearly one: now and then a keyword has a value that does not suit it.
    fn schema() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<bool>().prop_map(Value::from), Just(json!({}))];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let one = |keywords: &'static [&'static str], values: BoxedStrategy<Value>| {
                (select(keywords), values).boxed()
            };
            let words = select(vec!["number", "null", "string", "array", "strnig"]);
            let word = words.clone().prop_map(Value::from);
            let list = vec(words, 0..3).prop_map(Value::from);
            let reference = select(vec!["#/$defs/A", "#/$defs/A", "#/$defs/B", "#", "A"]);
            let named = vec((select(vec!["A", "B"]), inner.clone()), 0..3).prop_map(object);
            let many = vec(inner.clone(), 0..3).prop_map(Value::from);
            let number = select(vec![json!(-1), json!(0), json!(0.5), json!(7), json!(1e300)]);
            let keyword = prop_oneof![
                one(&["title", "format", "$schema", "pattern", "$id"], word.clone().boxed()),
                one(&["type"], prop_oneof![word, list.clone()].boxed()),
                one(&["properties", "$defs"], named.clone().boxed()),
                one(&["additionalProperties", "items", "const", "default"], inner.clone().boxed()),
                one(&["anyOf", "oneOf", "allOf", "enum"], many.boxed()),
                one(&["required", "enum"], list.boxed()),
                one(&["minimum", "exclusiveMaximum", "minLength", "maxItems"], number.boxed()),
                one(&["$ref"], reference.prop_map(Value::from).boxed()),
                (0..30).prop_flat_map(move |n| match n {
                    0 => one(
                        &["type", "items", "$ref", "required", "minimum"],
                        named.clone().boxed()
                    ),
                    _ => one(&["items"], inner.clone().boxed()),
                }),
            ];
            vec(keyword, 0..4).prop_map(object)
        })
    }

    fn object(members: Vec<(&str, Value)>) -> Value {
        members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<Map<_, _>>()
            .into()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_plain_is_a_schema(schema in schema(), definition in schema()) {
            let mut schema = schema;
            if let Some(keywords) = schema.as_object_mut() {
                keywords.insert("$schema".to_owned(), DIALECT.into());
                keywords.entry("$defs").or_insert(json!({"A": definition}));
            }
            if is_plain(&schema) {
                let validator = jsonschema::validator_for(&schema);
                prop_assert!(validator.is_ok(), "{schema}: {:?}", validator.err());
            }
        }
    }
}
