//! Makes up values from a JSON Schema: ordinary ones, such as an author had in mind. Numbers are
//! moderate, texts are words, lists are short, and every field is there.
//!
//! What a schema can say without end (`pattern`, `not`, `if`) is passed over; whoever asks must
//! check that a value fits, and drop those that don't.

use crate::schema::{listed, resolve, types};
use serde_json::{Map, Value, json};

/// Deeper than this a value is made as small as it can be: a type may hold itself.
const DEPTH_MAX: usize = 6;
/// A value of more parts than this is given up: what is left of it is `null`, which hardly fits.
const PARTS_MAX: usize = 10_000;
/// The same for what lies deeper, lest we overflow our own stack and blame the model.
const DEPTH_END: usize = 64;

/// SplitMix64: Steele, Lea & Flood, "Fast splittable pseudorandom number generators" (OOPSLA
/// 2014). Not for secrets.
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Rng(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to below `end`; 0 where that is 0. Nearly even, which is enough.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % (end as u64).max(1)) as usize
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }
}

/// Makes values of schemas in one document.
pub(super) struct Generator<'a> {
    root: &'a Value,
    rng: Rng,
    depth: usize,
    /// Parts of the value under construction so far.
    parts: usize,
}

impl<'a> Generator<'a> {
    pub(super) fn new(root: &'a Value, rng: Rng) -> Self {
        Generator { root, rng, depth: 0, parts: 0 }
    }

    /// A value that should fit `schema`, a part of the document.
    pub(super) fn value(&mut self, schema: &'a Value) -> Value {
        self.parts = if self.depth == 0 { 0 } else { self.parts + 1 };
        if self.parts > PARTS_MAX || self.depth > DEPTH_END {
            return Value::Null;
        }
        self.depth += 1;
        let value = self.inner(resolve(self.root, schema));
        self.depth -= 1;
        value
    }

    fn inner(&mut self, schema: &'a Value) -> Value {
        if let Some(values) = listed(schema) {
            return self.rng.pick(&values).map_or(Value::Null, |value| (*value).clone());
        }
        let mut fields = self.object(schema);
        // An enum that is flattened into a struct stands beside its fields.
        for key in ["allOf", "anyOf", "oneOf"] {
            let Some(parts) = schema.get(key).and_then(Value::as_array) else { continue };
            let parts: Vec<_> =
                if key == "allOf" { parts.iter().collect() } else { self.one(parts) };
            for part in parts {
                match self.value(part) {
                    Value::Object(more) => fields.extend(more),
                    other => return other,
                }
            }
            return Value::Object(fields);
        }
        let names = types(schema);
        let name = names.iter().find(|name| **name != "null").or(names.first());
        match name.copied() {
            Some("number") => self.number(schema),
            Some("integer") => self.integer(schema),
            Some("string") => self.string(schema),
            Some("array") => self.array(schema),
            Some("boolean") => json!(self.rng.below(2) == 0),
            Some("null") => Value::Null,
            _ => Value::Object(fields),
        }
    }

    /// One of several alternatives, and not `null` unless it is too deep for anything else. Too
    /// deep, one that ends here and refers to no other part.
    fn one(&mut self, parts: &'a [Value]) -> Vec<&'a Value> {
        let is_null = |part: &&Value| types(resolve(self.root, part)) == ["null"];
        let (null, other): (Vec<_>, Vec<_>) = parts.iter().partition(is_null);
        let from = if other.is_empty() || (self.depth > DEPTH_MAX && !null.is_empty()) {
            null
        } else {
            other
        };
        let ends = |part: &&&Value| !resolve(self.root, part).to_string().contains("\"$ref\"");
        let (ending, going_on): (Vec<&Value>, Vec<_>) =
            from.into_iter().partition(|part| ends(&part));
        let from = match self.depth > DEPTH_MAX && !ending.is_empty() {
            true => ending,
            false => ending.into_iter().chain(going_on).collect(),
        };
        self.rng.pick(&from).copied().into_iter().collect()
    }

    fn object(&mut self, schema: &'a Value) -> Map<String, Value> {
        let mut fields = Map::new();
        let required = schema.get("required").and_then(Value::as_array);
        let is_required = |name: &str| required.is_some_and(|r| r.iter().any(|one| one == name));
        for (name, own) in schema.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            if self.depth <= DEPTH_MAX || is_required(name) {
                fields.insert(name.clone(), self.value(own));
            }
        }
        if fields.is_empty()
            && let Some(own @ Value::Object(_)) = schema.get("additionalProperties")
        {
            let name = self.word(3);
            fields.insert(name, self.value(own));
        }
        fields
    }

    /// The bounds of a number: those of the schema, or else 0 and 100, moved where they must be.
    fn bounds(schema: &Value, step: f64) -> (f64, f64) {
        let said = |key: &str| schema.get(key).and_then(Value::as_f64);
        let low = said("minimum").or(said("exclusiveMinimum").map(|low| low + step));
        let high = said("maximum").or(said("exclusiveMaximum").map(|high| high - step));
        match (low, high) {
            (Some(low), Some(high)) => (low, high.min(low + 100.0)),
            (Some(low), None) => (low, low + 100.0),
            (None, Some(high)) if high > 0.0 => ((high - 100.0).max(0.0), high),
            (None, Some(high)) => (high - 100.0, high),
            (None, None) => (0.0, 100.0),
        }
    }

    fn number(&mut self, schema: &Value) -> Value {
        let (low, high) = Self::bounds(schema, 1e-6);
        let number = low + (high - low) * self.rng.below(10_001) as f64 / 10_000.0;
        // Short, as people write them, where that stays within the bounds.
        let short = (number * 100.0).round() / 100.0;
        json!(if (low..=high).contains(&short) { short } else { number })
    }

    fn integer(&mut self, schema: &Value) -> Value {
        let (low, high) = Self::bounds(schema, 1.0);
        let (low, high) = (low.ceil() as i64, high.floor() as i64);
        let step = schema.get("multipleOf").and_then(Value::as_i64).unwrap_or(1).max(1);
        let number = low + self.rng.below((high - low).max(0) as usize + 1) as i64;
        json!(number - number.rem_euclid(step))
    }

    fn string(&mut self, schema: &Value) -> Value {
        let day = 1 + self.rng.below(28);
        let number = self.rng.below(10_000);
        match schema.get("format").and_then(Value::as_str) {
            Some("date") => return json!(format!("2024-05-{day:02}")),
            Some("date-time") => return json!(format!("2024-05-{day:02}T12:30:00Z")),
            Some("time") => return json!(format!("12:30:{day:02}Z")),
            Some("email") => return json!(format!("someone{number}@example.com")),
            Some("uri" | "url") => return json!(format!("https://example.com/{number}")),
            Some("uuid") => return json!(format!("67e55044-10b1-426f-9247-bb680e5f{number:04}")),
            Some("ip" | "ipv4") => return json!(format!("192.0.2.{day}")),
            Some("ipv6") => return json!(format!("2001:db8::{day}")),
            Some("partial-date-time") => return json!(format!("2024-05-{day:02}T12:30:00")),
            Some("partial-time") => return json!(format!("12:30:{day:02}")),
            Some("duration") => return json!(format!("PT{day}M")),
            Some("hostname") => return json!(format!("host{number}.example.com")),
            // A form that we don't know: a word would be blamed on the model.
            Some(_) => return Value::Null,
            None => {}
        }
        let len = |key, otherwise| schema.get(key).and_then(Value::as_u64).unwrap_or(otherwise);
        let least = len("minLength", 1).clamp(1, 10_000);
        let most = len("maxLength", least + 8).clamp(least, least + 8);
        let len = least as usize + self.rng.below((most - least) as usize + 1);
        json!(self.word(len))
    }

    fn word(&mut self, len: usize) -> String {
        (0..len).map(|_| char::from(b'a' + self.rng.below(26) as u8)).collect()
    }

    fn array(&mut self, schema: &'a Value) -> Value {
        let mut items: Vec<Value> = Vec::new();
        for own in schema.get("prefixItems").and_then(Value::as_array).into_iter().flatten() {
            items.push(self.value(own));
        }
        let len = |key| schema.get(key).and_then(Value::as_u64).map(|len| len.min(1000) as usize);
        let (least, most) = (len("minItems").unwrap_or(0), len("maxItems").unwrap_or(usize::MAX));
        let wanted = if self.depth > DEPTH_MAX { 0 } else { 1 + self.rng.below(3) };
        let own = schema.get("items").filter(|own| own.is_object());
        while let Some(own) = own
            && items.len() < wanted.max(least).min(most)
        {
            items.push(self.value(own));
        }
        Value::Array(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Most of what is made of the schema fits it, and it is not always the same.
    #[track_caller]
    fn check(schema: Value) {
        let fits = jsonschema::validator_for(&schema).unwrap();
        let mut generator = Generator::new(&schema, Rng::new(7));
        let made: Vec<Value> = (0..50).map(|_| generator.value(&schema)).collect();
        for value in &made {
            assert!(fits.is_valid(value), "{value} does not fit {schema}");
        }
        assert!(made.iter().any(|value| *value != made[0]), "{}", made[0]);
    }

    #[test]
    fn what_is_made_fits_its_schema() {
        check(json!({"type": "number"}));
        check(json!({"type": "number", "minimum": -0.5, "exclusiveMaximum": 0.5}));
        check(json!({"type": "number", "maximum": -1e6}));
        check(json!({"type": "integer", "minimum": 250, "maximum": 255}));
        check(json!({"type": "integer", "format": "uint64", "minimum": 0}));
        check(json!({"type": "integer", "multipleOf": 5}));
        check(json!({"type": ["string", "null"], "minLength": 3, "maxLength": 4}));
        check(json!({"type": "string", "format": "date-time"}));
        check(json!({"enum": ["a", "b", 3]}));
        check(json!({"type": "array", "items": {"type": "boolean"}, "minItems": 5}));
        check(json!({
            "type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}],
            "minItems": 2, "maxItems": 2,
        }));
        check(json!({"type": "object", "additionalProperties": {"type": "integer"}}));
        check(json!({
            "type": "object",
            "properties": {"a": {"anyOf": [{"$ref": "#/$defs/T"}, {"type": "null"}]}},
            "required": ["a"],
            "$defs": {"T": {"oneOf": [
                {"type": "object", "properties": {"t": {"const": "x"}, "v": {"type": "number"}}, "required": ["t", "v"]},
                {"type": "object", "properties": {"t": {"const": "y"}}, "required": ["t"]},
            ]}},
        }));
    }

    #[test]
    fn a_type_that_holds_itself_comes_to_an_end() {
        check(json!({
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
                "all": {"type": "array", "items": {"$ref": "#"}},
            },
            "required": ["name"],
        }));
        // No alternative is `null`, and one needs two of its kind.
        check(json!({
            "type": "object",
            "properties": {"sum": {"$ref": "#/$defs/sum"}},
            "required": ["sum"],
            "$defs": {"sum": {"oneOf": [
                {"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"]},
                {
                    "type": "object",
                    "properties": {"a": {"$ref": "#/$defs/sum"}, "b": {"$ref": "#/$defs/sum"}},
                    "required": ["a", "b"],
                },
            ]}},
        }));
    }

    #[test]
    fn a_type_that_has_no_end_is_given_up() {
        let schema = json!({
            "type": "object",
            "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}},
            "required": ["a", "b"],
        });
        let made = Generator::new(&schema, Rng::new(1)).value(&schema);
        assert!(made.is_object());
    }
}
