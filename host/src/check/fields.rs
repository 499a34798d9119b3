//! Fields that are missing, doubled, unknown or of a wrong type: errors that say what and where.

use super::bench::{Bench, Reply, texts};
use super::places::Place;
use super::{Check, Finding, Needs, Verdict, fail, not_run, shorten};
use model_abi_layout::kind;
use serde_json::{Value, json};
use std::mem::discriminant;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "doubled-fields-are-errors",
        proves: "a record that gives a field twice is never predicted from one of the two",
        fix: "derive `Deserialize` without `#[serde(flatten)]`: behind that, the last one wins",
        needs: Needs::Answers,
        of_plugin: false,
        run: doubled_fields_are_errors,
    },
    Check {
        name: "missing-fields-are-errors",
        proves: "a record without a field that the input schema requires is refused as such",
        fix: "a field with a default must not be `required` in the schema; any other must be an \
              error of kind `schema` when it is missing",
        needs: Needs::Answers,
        of_plugin: false,
        run: missing_fields_are_errors,
    },
    Check {
        name: "missing-optionals-are-fine",
        proves: "a field that the input schema does not require may be left out, or be `null` \
                 where the schema says so",
        fix: "let the field be an `Option`, or give it `#[serde(default)]`, and expect it to be \
              empty",
        needs: Needs::Answers,
        of_plugin: false,
        run: missing_optionals_are_fine,
    },
    Check {
        name: "wrong-types-are-errors",
        proves: "a text where a number should be (or the like) is refused, not guessed at",
        fix: "let the field's type refuse what its schema refuses",
        needs: Needs::Answers,
        of_plugin: false,
        run: wrong_types_are_errors,
    },
    Check {
        name: "errors-say-where",
        proves: "an error about one field names it, so that the data can be mended",
        fix: "`PredictError::at` says where; `#[serde(flatten)]` and untagged enums lose the place",
        needs: Needs::Answers,
        of_plugin: false,
        run: errors_say_where,
    },
    Check {
        name: "errors-say-why",
        proves: "every error has words that people can read",
        fix: "give `PredictError` a message of one line of plain text",
        needs: Needs::Answers,
        of_plugin: false,
        run: errors_say_why,
    },
    Check {
        name: "unknown-fields-change-nothing",
        proves: "records may hold fields that the model does not know, unless its schema says no",
        fix: "ignore what is unknown, or say `#[serde(deny_unknown_fields)]`, which the schema \
              then says too",
        needs: Needs::Answers,
        of_plugin: false,
        run: unknown_fields_change_nothing,
    },
];

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
    places.retain(|place| !place.required && !place.name.is_empty());
    if places.is_empty() {
        return not_run("no example and no generated record holds a field that it may lack");
    }
    let mut bare = record.clone();
    for place in &places {
        bare = place.without(&bare);
    }
    // A model may want one of several, which a schema can't say: without any, an error is fine.
    let bare_reply = bench.ask(bare.to_string())?;
    if fits.is_valid(&bare) {
        bare_reply.is_no_panic(&bare.to_string())?;
    }
    let gone = places.iter().map(|place| place.without(&record));
    let null = places.iter().map(|place| place.with(&record, Value::Null));
    for one in gone.chain(null).filter(|one| fits.is_valid(one)) {
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
            && !place.in_a_form
            && !place.is_named_by(path)
        {
            let (pointer, record) = (place.pointer, shorten(&record));
            return fail(format!("`{pointer}` is wrong in {record}; its path is not in {reply}"));
        }
    }
    let (record, places) = bench.record()?;
    for place in places.into_iter().filter(|place| place.required && !place.in_a_form) {
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
    let schema = &bench.description()?.input_schema;
    if schema.get("additionalProperties").is_some_and(|more| *more != json!(false)) {
        return not_run("the input schema says that the model reads fields of any name");
    }
    let fits = bench.validator(schema)?;
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
    fn a_member_is_added_behind_the_others() {
        assert_eq!(with_member(&json!({"a": 1}), "a", &json!(2)), r#"{"a":1,"a":2}"#);
        assert_eq!(with_member(&json!({}), "a\"", &json!(2)), r#"{"a\"":2}"#);
    }
}
