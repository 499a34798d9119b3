//! Fields that are missing, doubled, unknown or of a wrong type: errors that say what and where.

use super::bench::{Bench, Reply, texts};
use super::{Check, Finding, Needs, Verdict, fail, not_run, shorten};
use crate::schema;
use model_abi_layout::kind;
use serde_json::{Value, json};
use std::mem::discriminant;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "doubled-fields-are-errors",
        proves: "a record that gives a field twice is never predicted from one of the two",
        fix: "derive `Deserialize` without `#[serde(flatten)]`: behind that, the last one wins",
        needs: Needs::Model,
        of_plugin: false,
        run: doubled_fields_are_errors,
    },
    Check {
        name: "missing-fields-are-errors",
        proves: "a record without a field that the input schema requires is refused as such",
        fix: "a field with a default must not be `required` in the schema; any other must be an \
              error of kind `schema` when it is missing",
        needs: Needs::Model,
        of_plugin: false,
        run: missing_fields_are_errors,
    },
    Check {
        name: "missing-optionals-are-fine",
        proves: "a field that the input schema does not require may be left out, or be `null` \
                 where the schema says so",
        fix: "let the field be an `Option`, or give it `#[serde(default)]`, and expect it to be \
              empty",
        needs: Needs::Model,
        of_plugin: false,
        run: missing_optionals_are_fine,
    },
    Check {
        name: "wrong-types-are-errors",
        proves: "a text where a number should be (or the like) is refused, not guessed at",
        fix: "let the field's type refuse what its schema refuses",
        needs: Needs::Model,
        of_plugin: false,
        run: wrong_types_are_errors,
    },
    Check {
        name: "errors-say-where",
        proves: "an error about one field names it, so that the data can be mended",
        fix: "`PredictError::at` says where; `#[serde(flatten)]` and untagged enums lose the place",
        needs: Needs::Model,
        of_plugin: false,
        run: errors_say_where,
    },
    Check {
        name: "errors-say-why",
        proves: "every error has words that people can read",
        fix: "give `PredictError` a message of one line of plain text",
        needs: Needs::Model,
        of_plugin: false,
        run: errors_say_why,
    },
    Check {
        name: "unknown-fields-change-nothing",
        proves: "records may hold fields that the model does not know, unless its schema says no",
        fix: "ignore what is unknown, or say `#[serde(deny_unknown_fields)]`, which the schema \
              then says too",
        needs: Needs::Model,
        of_plugin: false,
        run: unknown_fields_change_nothing,
    },
];

/// A field of a record, at any depth.
pub(super) struct Place {
    /// As in `Value::pointer`.
    pub(super) pointer: String,
    /// Of the object that it is a field of.
    parent: String,
    pub(super) name: String,
    required: bool,
    /// What stands there.
    pub(super) value: Value,
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

    fn without(&self, record: &Value) -> Value {
        let mut record = record.clone();
        if let Some(Value::Object(fields)) = record.pointer_mut(&self.parent) {
            fields.remove(&self.name);
        }
        record
    }
}

/// The fields of `record` that its schema knows, those in objects and in first items of lists too.
pub(super) fn places(root: &Value, record: &Value) -> Vec<Place> {
    let mut found = Vec::new();
    descend(root, root, record, "", &mut found);
    found
}

fn descend(root: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<Place>) {
    if let Value::Array(items) = value {
        let own = schema::alternatives(root, schema).into_iter().find_map(|one| one.get("items"));
        if let (Some(first), Some(own)) = (items.first(), own) {
            descend(root, own, first, &format!("{at}/0"), found);
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
    let known = |one: &&Value| {
        schema::fields(root, one).filter(|field| members.contains_key(field.name)).count()
    };
    let Some(own) = own.into_iter().rev().max_by_key(known) else { return };
    for field in schema::fields(root, own) {
        let Some(value) = members.get(field.name) else { continue };
        let pointer = format!("{at}/{}", field.name.replace('~', "~0").replace('/', "~1"));
        descend(root, field.schema, value, &pointer, found);
        found.push(Place {
            pointer,
            parent: at.to_owned(),
            name: field.name.to_owned(),
            required: field.required,
            value: value.clone(),
        });
    }
}

impl Bench {
    /// A record that gets a prediction, with its fields.
    pub(super) fn record(&self) -> Result<(Value, Vec<Place>), Finding> {
        let (record, _) = self.predicted(1)?.swap_remove(0);
        let places = places(&self.description()?.input_schema, &record);
        if places.is_empty() {
            return not_run("the input schema names no field");
        }
        Ok((record, places))
    }
}

/// A text with one more member at the end of the record.
fn with_member(record: &Value, name: &str, value: &Value) -> String {
    let text = record.to_string();
    let comma = if text == "{}" { "" } else { "," };
    format!("{}{comma}{}:{value}}}", &text[..text.len() - 1], Value::from(name))
}

fn doubled_fields_are_errors(bench: &Bench) -> Verdict {
    let (record, places) = bench.record()?;
    for place in places.iter().filter(|place| place.parent.is_empty()) {
        let text = with_member(&record, &place.name, &place.value);
        bench.ask(&text)?.is_refused(&text)?;
    }
    Ok(())
}

fn missing_fields_are_errors(bench: &Bench) -> Verdict {
    let (record, mut places) = bench.record()?;
    places.retain(|place| place.required);
    if places.is_empty() {
        return not_run("the input schema requires no field");
    }
    for place in places {
        let text = place.without(&record).to_string();
        let reply = bench.ask(&text)?;
        if !reply.is_kind(kind::SCHEMA) {
            let (name, text) = (place.name, shorten(&text));
            return fail(format!("to {text}, which lacks `{name}`, it gives {reply}"));
        }
    }
    Ok(())
}

fn missing_optionals_are_fine(bench: &Bench) -> Verdict {
    let fits = bench.validator(&bench.description()?.input_schema)?;
    let (record, mut places) = bench.record()?;
    places.retain(|place| !place.required);
    if places.is_empty() {
        return not_run("the input schema requires every field");
    }
    let mut bare = record.clone();
    for place in &places {
        bare = place.without(&bare);
    }
    let gone = places.iter().map(|place| place.without(&record));
    let null = places.iter().map(|place| place.with(&record, Value::Null));
    for one in gone.chain(null).chain([bare]).filter(|one| fits.is_valid(one)) {
        let reply = bench.ask(one.to_string())?;
        if [kind::SCHEMA, kind::NOT_JSON, kind::PANIC].iter().any(|&kind| reply.is_kind(kind)) {
            return fail(format!("to {} it gives {reply}", shorten(&one.to_string())));
        }
    }
    Ok(())
}

/// Records with one value of a type that the schema refuses in that place, with the replies.
fn wrong_types(bench: &Bench) -> Result<Vec<(Place, String, Reply)>, Finding> {
    let fits = bench.validator(&bench.description()?.input_schema)?;
    let (record, places) = bench.record()?;
    let mut asked = Vec::new();
    for place in places {
        let others = [json!(null), json!(true), json!(7), json!("text"), json!([]), json!({})];
        let other = others.into_iter().filter(|o| discriminant(o) != discriminant(&place.value));
        let wrong = other.map(|other| place.with(&record, other)).find(|one| !fits.is_valid(one));
        if let Some(wrong) = wrong {
            asked.push((place, wrong.to_string()));
        }
    }
    if asked.is_empty() {
        return not_run("the input schema allows values of any type everywhere");
    }
    let records: Vec<&str> = asked.iter().map(|(_, record)| record.as_str()).collect();
    let replies = bench.ask_all(&records)?;
    Ok(asked.into_iter().zip(replies).map(|((place, text), reply)| (place, text, reply)).collect())
}

fn wrong_types_are_errors(bench: &Bench) -> Verdict {
    for (_, record, reply) in wrong_types(bench)? {
        reply.is_refused(&record)?;
    }
    Ok(())
}

fn errors_say_where(bench: &Bench) -> Verdict {
    for (place, record, reply) in wrong_types(bench)? {
        if let Reply::Refused { path, .. } = &reply
            && !path.contains(&place.name)
        {
            let (name, record) = (place.name, shorten(&record));
            return fail(format!("`{name}` is wrong in {record}; its path is not in {reply}"));
        }
    }
    let (record, places) = bench.record()?;
    for place in places.into_iter().filter(|place| place.required) {
        let text = place.without(&record).to_string();
        let reply = bench.ask(&text)?;
        if let Reply::Refused { path, message, .. } = &reply
            && !format!("{path} {message}").contains(&place.name)
        {
            let (name, text) = (place.name, shorten(&text));
            return fail(format!("`{name}` is missing in {text}, and not named in {reply}"));
        }
    }
    Ok(())
}

fn errors_say_why(bench: &Bench) -> Verdict {
    let record = bench.ordinary(1)?[0].to_string();
    let cut = record[..record.len() - 1].to_owned();
    let mut bad = vec!["[]".to_owned(), "hello".to_owned(), "{}".to_owned(), cut, record + " x"];
    bad.extend(texts(&bench.ordinary(50)?)); // some models refuse some of these
    let replies = bench.ask_all(&bad)?;
    let mut all: Vec<(String, Reply)> = bad.into_iter().zip(replies).collect();
    if let Ok(wrong) = wrong_types(bench) {
        all.extend(wrong.into_iter().map(|(_, record, reply)| (record, reply)));
    }
    for (record, reply) in all {
        let Reply::Refused { path, message, .. } = &reply else { continue };
        let text = format!("{path}{message}");
        let wrong = if message.trim().is_empty() {
            "without words"
        } else if text.contains('\u{fffd}') {
            "with words that are not UTF-8"
        } else if text.contains(char::is_control) {
            "with control characters in its words"
        } else {
            continue;
        };
        return fail(format!("to {} it gives, {wrong}, {:?}", shorten(&record), reply.to_string()));
    }
    Ok(())
}

fn unknown_fields_change_nothing(bench: &Bench) -> Verdict {
    const NAME: &str = "a field that nobody knows";
    let fits = bench.validator(&bench.description()?.input_schema)?;
    for (input, before) in bench.predicted(3)? {
        for value in [json!(1), json!("text"), json!(null), json!({"a": [{}]})] {
            let text = with_member(&input, NAME, &value);
            let reply = bench.ask(&text)?;
            if serde_json::from_str(&text).is_ok_and(|record| fits.is_valid(&record)) {
                before.is_given_again(&text, &reply)?;
            } else {
                reply.is_refused(&text)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(told, ["/a/t true", "/a false", "/b/0/t true", "/b/0/v false", "/b true"]);
        let changed = found[3].with(&record, json!("v"));
        assert_eq!(changed["b"][0]["v"], "v");
        assert_eq!(found[3].without(&record)["b"][0], json!({"t": "x"}));
        assert_eq!(with_member(&json!({"a": 1}), "a", &json!(2)), r#"{"a":1,"a":2}"#);
    }
}
