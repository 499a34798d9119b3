//! Reads JSON Schemas as far as people and generators need them: which fields an object has, of
//! which types. Whether a value fits a schema is the crate `jsonschema`'s to say.
//!
//! Knows what `schemars` writes: `properties`, `required`, `type` (one or several), `enum`, `const`,
//! `anyOf`/`oneOf`, and `$ref` into the same document. What it does not know counts as "anything".

mod plain;

pub use plain::is_plain;

use serde_json::Value;

/// References may go round in circles; no honest chain of them is longer.
const REFERENCES_MAX: usize = 32;

/// A field of an object.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its schema, references followed.
    pub schema: &'a Value,
    /// The same as it stands, with what may stand beside a reference.
    pub own: &'a Value,
    /// Whether an object without it is wrong.
    pub required: bool,
    /// What it means, in the author's words; empty where they said nothing.
    pub description: &'a str,
}

/// The fields that the schema of an object names, in its order.
pub fn fields<'a>(root: &'a Value, schema: &'a Value) -> impl Iterator<Item = Field<'a>> {
    let schema = resolve(root, schema);
    let required = schema.get("required").and_then(Value::as_array);
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.into_iter().flatten().map(move |(name, own)| {
        let schema = resolve(root, own);
        let said = |schema: &'a Value| schema.get("description").and_then(Value::as_str);
        Field {
            name,
            schema,
            own,
            required: required.is_some_and(|names| names.iter().any(|one| one == name.as_str())),
            description: said(own).or_else(|| said(schema)).unwrap_or_default(),
        }
    })
}

/// Follows `$ref`s into the same document. One that leads nowhere stays what it is.
pub fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut schema = schema;
    for _ in 0..REFERENCES_MAX {
        let reference = schema.get("$ref").and_then(Value::as_str);
        match reference.and_then(|r| r.strip_prefix('#')).and_then(|r| root.pointer(r)) {
            Some(target) => schema = target,
            None => break,
        }
    }
    schema
}

/// The alternatives of a schema: those of `anyOf` or `oneOf`, or itself.
pub fn alternatives<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    let schema = resolve(root, schema);
    let any = ["anyOf", "oneOf"].iter().find_map(|key| schema.get(key)?.as_array());
    match any {
        Some(any) => any.iter().map(|one| resolve(root, one)).collect(),
        None => vec![schema],
    }
}

/// The values that are allowed, where they are listed one by one.
pub fn listed(schema: &Value) -> Option<Vec<&Value>> {
    match (schema.get("const"), schema.get("enum").and_then(Value::as_array)) {
        (Some(one), _) => Some(vec![one]),
        (None, Some(many)) => Some(many.iter().collect()),
        (None, None) => None,
    }
}

/// The names of `type`; empty where it does not say.
pub fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// A schema in a few words for people: `number`, `"setosa" | "virginica"`, `array of string`.
pub fn words(root: &Value, schema: &Value) -> String {
    let mut words: Vec<String> = Vec::new();
    for one in alternatives(root, schema) {
        let mut add = |word: String| {
            if !words.contains(&word) {
                words.push(word);
            }
        };
        if let Some(values) = listed(one) {
            values.into_iter().for_each(|value| add(value.to_string()));
            continue;
        }
        for name in types(one) {
            match one.get("items").filter(|_| name == "array") {
                Some(items) => {
                    // Not deeper: a type may hold itself.
                    let inner = types(resolve(root, items)).join(" | ");
                    add(if inner.is_empty() {
                        name.to_owned()
                    } else {
                        format!("array of {inner}")
                    });
                }
                None if matches!(name, "number" | "integer") => {
                    add(format!("{name}{}", bounds(one)))
                }
                None => add(name.to_owned()),
            }
        }
    }
    if words.is_empty() { "anything".to_owned() } else { words.join(" | ") }
}

/// `, 0 to 1000`, `, at least 0`: what a number may be.
fn bounds(schema: &Value) -> String {
    let bound = |key| schema.get(key).filter(|bound| bound.is_number());
    let (least, most) = (bound("minimum"), bound("maximum"));
    match (least, most) {
        (Some(least), Some(most)) => format!(", {least} to {most}"),
        (Some(least), None) => format!(", at least {least}"),
        (None, Some(most)) => format!(", at most {most}"),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check_words(schema: Value, expected: &str) {
        assert_eq!(words(&schema, &schema), expected, "{schema}");
    }

    #[test]
    fn a_schema_in_words() {
        check_words(json!(true), "anything");
        check_words(json!({"type": "number"}), "number");
        check_words(json!({"type": ["string", "null"]}), "string | null");
        check_words(json!({"enum": ["a", 1]}), "\"a\" | 1");
        check_words(
            json!({"oneOf": [{"const": "a", "description": "x"}, {"const": "b"}]}),
            "\"a\" | \"b\"",
        );
        check_words(
            json!({"anyOf": [{"$ref": "#/$defs/T"}, {"type": "null"}], "$defs": {"T": {"type": "object"}}}),
            "object | null",
        );
        check_words(json!({"type": "array", "items": {"type": "string"}}), "array of string");
        check_words(json!({"type": "array"}), "array");
        check_words(json!({"type": "number", "minimum": 0, "maximum": 1.5}), "number, 0 to 1.5");
        check_words(json!({"type": "integer", "minimum": 1}), "integer, at least 1");
    }

    #[test]
    fn references_that_lead_nowhere_or_round_in_circles_end() {
        check_words(json!({"$ref": "#/$defs/nowhere"}), "anything");
        check_words(json!({"$ref": "https://elsewhere/schema"}), "anything");
        check_words(json!({"$ref": "#"}), "anything");
    }

    #[test]
    fn fields_say_whether_they_must_be_there() {
        let schema = json!({
            "properties": {"a": {"$ref": "#/$defs/T", "description": "own"}, "b": {"$ref": "#/$defs/T"}},
            "required": ["b"],
            "$defs": {"T": {"type": "number", "description": "shared"}},
        });
        let told: Vec<_> = fields(&schema, &schema)
            .map(|field| {
                format!(
                    "{} {} {} {}",
                    field.name, field.required, field.description, field.schema["type"]
                )
            })
            .collect();
        assert_eq!(told, ["a false own \"number\"", "b true shared \"number\""]);
    }
}
