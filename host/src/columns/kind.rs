//! What kind of column holds all values that fit a schema. Whatever a schema leaves open is
//! [`Kind::Json`], which holds anything: a kind that is too narrow would make rejects of good records.
//!
//! The trap: a type may hold itself, and types may name one another so often that nobody can write
//! them out. So what is open is remembered, and there is an end to levels and to kinds.

use super::{Column, Kind};
use crate::schema;
use serde_json::Value;
use std::ptr;

/// Nested deeper, values are JSON: readers of Arrow follow a schema some thirty levels deep.
pub(super) const LEVELS_MAX: usize = 24;
/// A column that has more parts than this is JSON from there on.
const KINDS_MAX: usize = 4096;

/// Words of a schema that add to what stands beside them: fields, items, or rules for both.
const SHAPING: [&str; 12] = [
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "dependentSchemas",
    "if",
    "items",
    "oneOf",
    "patternProperties",
    "prefixItems",
    "properties",
    "unevaluatedProperties",
];
/// Those that an object with fields of its own may not have, if they are all that it has.
const OPENING: [&str; 8] = [
    "additionalProperties",
    "allOf",
    "anyOf",
    "dependentSchemas",
    "if",
    "oneOf",
    "patternProperties",
    "unevaluatedProperties",
];

pub(super) fn of(root: &Value, schema: &Value) -> Kind {
    // What is a part of the root stands inside of one.
    let open = if ptr::eq(root, schema) { Vec::new() } else { vec![root] };
    Kinds { root, open, left: KINDS_MAX }.of(schema)
}

struct Kinds<'a> {
    root: &'a Value,
    /// The arrays and objects that this is inside of.
    open: Vec<&'a Value>,
    left: usize,
}

impl<'a> Kinds<'a> {
    fn of(&mut self, schema: &'a Value) -> Kind {
        let Some(left) = self.left.checked_sub(1) else { return Kind::Json };
        self.left = left;
        let resolved = schema::resolve(self.root, schema);
        let any =
            ["anyOf", "oneOf"].iter().find(|key| resolved.get(key).is_some_and(Value::is_array));
        let mut is_shaped = has_more(schema, "$ref");
        let mut kinds = Vec::new();
        match any {
            None => kinds.extend(self.kinds(resolved)),
            Some(key) => {
                is_shaped |= has_more(resolved, key);
                for one in resolved[key].as_array().into_iter().flatten() {
                    is_shaped |= has_more(one, "$ref");
                    kinds.extend(self.kinds(schema::resolve(self.root, one)));
                }
            }
        }
        match all(kinds) {
            kind if is_shaped && kind.is_nested() => Kind::Json,
            kind => kind,
        }
    }

    /// Of one alternative, null aside: that fits every kind.
    fn kinds(&mut self, one: &'a Value) -> Vec<Kind> {
        if let Some(values) = schema::listed(one) {
            return values.into_iter().filter_map(of_value).collect();
        }
        let names = schema::types(one);
        if names.is_empty() {
            return vec![Kind::Json];
        }
        let kinds = names.into_iter().filter_map(|name| match name {
            "null" => None,
            "number" => Some(Kind::Number),
            "integer" => Some(Kind::Integer),
            "boolean" => Some(Kind::Boolean),
            "string" => Some(Kind::String),
            "array" => Some(self.inside(one, Self::list)),
            "object" => Some(self.inside(one, Self::object)),
            _ => Some(Kind::Json),
        });
        kinds.collect()
    }

    fn inside(
        &mut self,
        one: &'a Value,
        read: impl FnOnce(&mut Self, &'a Value) -> Option<Kind>,
    ) -> Kind {
        let is_open = self.open.iter().any(|open| ptr::eq(*open, one));
        if is_open || self.open.len() >= LEVELS_MAX {
            return Kind::Json;
        }
        self.open.push(one);
        let kind = read(self, one);
        self.open.pop();
        kind.unwrap_or(Kind::Json)
    }

    /// `None`: it may have items of which nothing is said.
    fn list(&mut self, one: &'a Value) -> Option<Kind> {
        let (first, rest) = match (one.get("prefixItems"), one.get("items")) {
            (Some(first), rest) => (Some(first), rest),
            (None, Some(first @ Value::Array(_))) => (Some(first), one.get("additionalItems")),
            (None, rest) => (None, rest),
        };
        let first = first.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let most = one.get("maxItems").and_then(Value::as_u64);
        let rest = match rest {
            Some(Value::Bool(false)) => None,
            _ if !first.is_empty() && most.is_some_and(|most| most <= first.len() as u64) => None,
            Some(rest) if rest.as_object().is_some_and(|words| !words.is_empty()) => Some(rest),
            _ => return None,
        };
        let items: Vec<_> = first.iter().chain(rest).map(|item| self.of(item)).collect();
        (!items.is_empty()).then(|| Kind::List(Box::new(all(items))))
    }

    /// `None`: it may have fields of which nothing is said, or has none.
    fn object(&mut self, one: &'a Value) -> Option<Kind> {
        let is_open = |key: &&str| one.get(key).is_some_and(|it| *it != Value::Bool(false));
        if OPENING.iter().any(|key| is_open(&key)) {
            return None;
        }
        let fields = one.get("properties")?.as_object()?;
        let columns =
            fields.iter().map(|(name, own)| Column { name: name.clone(), kind: self.of(own) });
        Some(Kind::Struct(columns.collect())).filter(|_| !fields.is_empty())
    }
}

/// Whether a schema with this word has others that add to what it means.
fn has_more(schema: &Value, word: &str) -> bool {
    let has = |key: &&str| *key != word && schema.get(key).is_some();
    schema.get(word).is_some() && SHAPING.iter().any(|key| has(&key))
}

/// The kind of values that are of any of these.
fn all(kinds: Vec<Kind>) -> Kind {
    let together = kinds.into_iter().reduce(|one, other| match (one, other) {
        (one, other) if one == other => one,
        (Kind::Number, Kind::Integer) | (Kind::Integer, Kind::Number) => Kind::Number,
        _ => Kind::Json,
    });
    together.unwrap_or(Kind::Json)
}

fn of_value(value: &Value) -> Option<Kind> {
    match value {
        Value::Null => None,
        Value::Bool(_) => Some(Kind::Boolean),
        Value::Number(number) if number.is_f64() => Some(Kind::Number),
        Value::Number(_) => Some(Kind::Integer),
        Value::String(_) => Some(Kind::String),
        Value::Array(_) | Value::Object(_) => Some(Kind::Json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A kind in a few words: `[{a Number, b [String]}]`.
    fn words(kind: &Kind) -> String {
        match kind {
            Kind::List(items) => format!("[{}]", words(items)),
            Kind::Struct(columns) => {
                let columns = columns.iter().map(|it| format!("{} {}", it.name, words(&it.kind)));
                format!("{{{}}}", columns.collect::<Vec<_>>().join(", "))
            }
            other => format!("{other:?}"),
        }
    }

    #[track_caller]
    fn check(schema: Value, expected: &str) {
        assert_eq!(words(&Kind::of(&schema, &schema)), expected, "{schema}");
    }

    #[test]
    fn a_column_is_what_its_schema_says_of_all_its_values_but_null() {
        check(json!({"type": "number"}), "Number");
        check(json!({"type": ["integer", "null"]}), "Integer");
        check(json!({"type": ["integer", "number"]}), "Number");
        check(json!({"anyOf": [{"type": "boolean"}, {"type": "null"}]}), "Boolean");
        check(json!({"oneOf": [{"const": "a"}, {"const": "b"}]}), "String");
        check(json!({"enum": ["a", null]}), "String");
        check(json!({"enum": [1, 2.5]}), "Number");
        check(json!({"type": ["string", "integer"]}), "Json");
        check(json!({"type": "null"}), "Json");
        check(json!(true), "Json");
    }

    #[test]
    fn arrays_of_one_kind_are_lists() {
        check(json!({"type": "array", "items": {"type": "number"}}), "[Number]");
        check(
            json!({"type": ["array", "null"], "items": {"type": ["string", "null"]}}),
            "[String]",
        );
        let inner = json!({"type": "array", "items": {"type": "integer"}});
        check(json!({"type": "array", "items": inner}), "[[Integer]]");
        let pair = json!([{"type": "number"}, {"type": "integer"}]);
        check(json!({"type": "array", "prefixItems": pair, "maxItems": 2}), "[Number]");
        check(json!({"type": "array", "items": pair, "additionalItems": false}), "[Number]");
        let mixed = json!([{"type": "number"}, {"type": "string"}]);
        check(json!({"type": "array", "prefixItems": mixed, "items": false}), "[Json]");
        check(json!({"type": "array", "items": {"anyOf": mixed}}), "[Json]");
        for open in [
            json!({"type": "array"}),
            json!({"type": "array", "items": true}),
            json!({"type": "array", "items": {}}),
            json!({"type": "array", "items": false}),
            json!({"type": "array", "prefixItems": pair}),
            json!({"type": "array", "prefixItems": pair, "maxItems": 3}),
        ] {
            check(open, "Json");
        }
    }

    #[test]
    fn objects_whose_fields_are_all_named_are_structs() {
        let a = json!({"a": {"type": "number"}});
        check(json!({"type": "object", "properties": a}), "{a Number}");
        check(
            json!({"type": "object", "properties": a, "additionalProperties": false}),
            "{a Number}",
        );
        let deep = json!({"b": {"type": "array", "items": {"type": "object", "properties": a}}});
        check(json!({"type": ["object", "null"], "properties": deep}), "{b [{a Number}]}");
        check(
            json!({"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}],
                "$defs": {"A": {"type": "object", "properties": a}}}),
            "{a Number}",
        );
        for open in [
            json!({"type": "object"}),
            json!({"type": "object", "properties": {}}),
            json!({"type": "object", "additionalProperties": {"type": "number"}}),
            json!({"type": "object", "properties": a, "additionalProperties": true}),
            json!({"type": "object", "properties": a, "patternProperties": {"^x": true}}),
            json!({"type": "object", "properties": a, "allOf": [{"properties": {}}]}),
            json!({"type": ["object", "array"], "properties": a}),
            json!({"properties": a}),
            json!({"anyOf": [{"type": "object", "properties": a}, {"type": "string"}]}),
            json!({"oneOf": [
                {"type": "object", "properties": a},
                {"type": "object", "properties": {"b": {"type": "number"}}},
            ]}),
            // What stands beside a reference, or beside alternatives, adds fields to theirs.
            json!({"properties": {"t": true}, "oneOf": [{"type": "object", "properties": a}]}),
            json!({
                "oneOf": [{"$ref": "#/$defs/A", "properties": {"t": {"const": "A"}}}],
                "$defs": {"A": {"type": "object", "properties": a}},
            }),
        ] {
            check(open, "Json");
        }
    }

    #[test]
    fn a_type_that_holds_itself_is_json_where_it_begins_again() {
        let node = |reference: &str| {
            json!({"type": "object", "properties": {
                "n": {"type": "number"},
                "down": {"type": "array", "items": {"$ref": reference}},
            }})
        };
        check(node("#"), "{down [Json], n Number}");
        let mut root = json!({"type": "array", "items": {"$ref": "#/$defs/N"}});
        root["$defs"] = json!({"N": node("#/$defs/N")});
        check(root, "[{down [Json], n Number}]");
        let root = node("#");
        let down = &root["properties"]["down"];
        assert_eq!(words(&Kind::of(&root, down)), "[Json]", "a column is inside of its record");
    }

    #[test]
    fn there_is_an_end_to_levels_and_to_kinds() {
        let deep = (0..60)
            .fold(json!({"type": "number"}), |items, _| json!({"type": "array", "items": items}));
        check(deep, &format!("{}Json{}", "[".repeat(LEVELS_MAX), "]".repeat(LEVELS_MAX)));
        // Each of twenty types has ten fields of the next.
        let mut root = json!({"$ref": "#/$defs/0", "$defs": {}});
        for n in 0..20 {
            let next = json!({"$ref": format!("#/$defs/{}", n + 1)});
            let fields: Vec<_> = (0..10).map(|field| (field.to_string(), next.clone())).collect();
            let fields: serde_json::Map<_, _> = fields.into_iter().collect();
            root["$defs"][n.to_string()] = json!({"type": "object", "properties": fields});
        }
        fn parts(kind: &Kind) -> usize {
            match kind {
                Kind::Struct(columns) => columns.iter().map(|it| parts(&it.kind)).sum(),
                _ => 1,
            }
        }
        assert!(parts(&Kind::of(&root, &root)) <= 10 * KINDS_MAX);
    }
}
