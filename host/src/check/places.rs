//! The places of a record where something else can be put: its fields, at any depth.

use super::bench::Bench;
use super::{Finding, not_run};
use crate::schema;
use serde_json::Value;
use std::collections::BTreeSet;
use std::ptr;

/// A field of a record, at any depth, or the first item of a list.
pub(super) struct Place {
    /// As in `Value::pointer`.
    pub(super) pointer: String,
    /// Of the object or list that it stands in.
    pub(super) parent: String,
    /// Empty where it is an item.
    pub(super) name: String,
    pub(super) required: bool,
    /// What stands there.
    pub(super) value: Value,
    /// What may stand there.
    pub(super) schema: Value,
    /// Whether it is reached through one of several forms of an object, such as an enum's. Serde
    /// then reads the object twice and forgets where it was.
    pub(super) in_a_form: bool,
}

impl Place {
    /// The record with something else in this place.
    pub(super) fn with(&self, record: &Value, value: Value) -> Value {
        let mut record = record.clone();
        if let Some(place) = record.pointer_mut(&self.pointer) {
            *place = value;
        }
        record
    }

    /// Whether a path says where it is: it names the field, or one that this one lies in.
    pub(super) fn is_named_by(&self, path: &str) -> bool {
        let names = self.pointer.split('/').skip(1).filter(|name| *name != "0");
        names.into_iter().any(|name| path.contains(&name.replace("~1", "/").replace("~0", "~")))
    }

    /// The record without this field.
    pub(super) fn without(&self, record: &Value) -> Value {
        let mut record = record.clone();
        if let Some(Value::Object(fields)) = record.pointer_mut(&self.parent) {
            fields.remove(&self.name);
        }
        record
    }
}

/// The fields of `record` that its schema knows, at any depth, and the first items of its lists.
fn places(root: &Value, record: &Value) -> Vec<Place> {
    let mut found = Vec::new();
    descend(root, root, record, "", false, &mut found);
    found
}

fn descend(
    root: &Value,
    schema: &Value,
    value: &Value,
    at: &str,
    in_a_form: bool,
    found: &mut Vec<Place>,
) {
    if let Value::Array(items) = value {
        let own = schema::alternatives(root, schema).into_iter().find_map(|one| one.get("items"));
        if let (Some(first), Some(own)) = (items.first(), own) {
            let (pointer, parent) = (format!("{at}/0"), at.to_owned());
            descend(root, own, first, &pointer, in_a_form, found);
            let (name, value) = (String::new(), first.clone());
            let schema = schema::resolve(root, own).clone();
            let required = false;
            found.push(Place { pointer, parent, name, required, value, schema, in_a_form });
        }
        return;
    }
    let Value::Object(members) = value else { return };
    // Of several alternatives, and theirs in turn, the one that knows most of what is there.
    let mut own = vec![schema::resolve(root, schema)];
    for _ in 0..2 {
        own = own
            .iter()
            .flat_map(|one| [vec![*one], schema::alternatives(root, one)])
            .flatten()
            .collect();
    }
    let forms = own.iter().filter(|one| one.get("properties").is_some());
    let forms: BTreeSet<*const Value> = forms.map(|one| ptr::from_ref(*one)).collect();
    let in_a_form = in_a_form || forms.len() > 1;
    let known = |one: &&Value| {
        schema::fields(root, one).filter(|field| members.contains_key(field.name)).count()
    };
    let Some(own) = own.into_iter().rev().max_by_key(known) else { return };
    for field in schema::fields(root, own) {
        let Some(value) = members.get(field.name) else { continue };
        let pointer = format!("{at}/{}", field.name.replace('~', "~0").replace('/', "~1"));
        descend(root, field.schema, value, &pointer, in_a_form, found);
        found.push(Place {
            pointer,
            parent: at.to_owned(),
            name: field.name.to_owned(),
            required: field.required,
            value: value.clone(),
            schema: field.schema.clone(),
            in_a_form,
        });
    }
}

impl Bench {
    /// A record that gets a prediction, with its fields: of a few, one that has the most of them.
    pub(super) fn record(&self) -> Result<(Value, Vec<Place>), Finding> {
        let schema = &self.description()?.input_schema;
        let mut fullest = (Value::Null, Vec::new());
        for (record, _) in self.predicted(8)? {
            let places = places(schema, &record);
            if places.len() > fullest.1.len() {
                fullest = (record, places);
            }
        }
        let (record, places) = fullest;
        if places.is_empty() {
            return not_run("the input schema names no field");
        }
        Ok((record, places))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_found_at_any_depth() {
        let schema = json!({
            "properties": {
                "a": {"anyOf": [{"$ref": "#/$defs/T"}, {"type": "null"}]},
                "b": {"type": "array", "items": {"$ref": "#/$defs/T"}},
            },
            "required": ["b"],
            "$defs": {"T": {"oneOf": [
                {"properties": {"t": {"const": "x"}, "v": {"type": "number"}}, "required": ["t"]},
                {"properties": {"t": {"const": "y"}}},
            ]}},
        });
        let record = json!({"a": {"t": "y"}, "b": [{"t": "x", "v": 1}], "c": 1});
        let found = places(&schema, &record);
        let told: Vec<_> =
            found.iter().map(|place| format!("{} {}", place.pointer, place.required)).collect();
        assert_eq!(
            told,
            ["/a/t true", "/a false", "/b/0/t true", "/b/0/v false", "/b/0 false", "/b true"]
        );
        assert!(found[3].is_named_by("b[0]") && !found[3].is_named_by(""));
        let changed = found[3].with(&record, json!("v"));
        assert_eq!(changed["b"][0]["v"], "v");
        assert_eq!(found[3].without(&record)["b"][0], json!({"t": "x"}));
    }
}
