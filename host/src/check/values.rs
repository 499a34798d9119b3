//! Values at the ends of what a schema allows, and beyond: the model answers or refuses, and lives.

use super::bench::{Bench, texts};
use super::places::Place;
use super::{Check, Finding, Needs, Verdict, not_run};
use serde_json::{Value, json};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "deep-nesting",
        proves: "a record nested 100,000 deep does not overflow the stack",
        fix: "read records with a parser that bounds its depth, as serde_json does",
        needs: Needs::Answers,
        of_plugin: false,
        run: deep_nesting,
    },
    Check {
        name: "empty-strings",
        proves: "an empty text does not make the model panic",
        fix: "look for a first character or a last word that is taken for granted; or say \
              `#[schemars(length(min = 1))]`",
        needs: Needs::Answers,
        of_plugin: false,
        run: |bench| survives(bench, Value::is_string, |_| vec![json!("")]),
    },
    Check {
        name: "long-strings",
        proves: "a text of a mebibyte, or the longest that the schema allows, does not make the \
                 model panic or crash",
        fix: "look for buffers of a fixed size and for recursion; or say \
              `#[schemars(length(max = …))]`",
        needs: Needs::Answers,
        of_plugin: false,
        run: |bench| survives(bench, Value::is_string, long_texts),
    },
    Check {
        name: "odd-strings",
        proves: "texts of any script, emoji and NUL do not make the model panic",
        fix: "cut texts at characters, not at bytes: `str::get`, `char_indices`",
        needs: Needs::Answers,
        of_plugin: false,
        run: |bench| survives_all(bench, odd(bench)?),
    },
    Check {
        name: "extreme-numbers",
        proves: "the largest and the smallest numbers that the schema allows do not make the model \
                 panic",
        fix: "look for sums and conversions that overflow, and for indices made of numbers; or \
              say `#[schemars(range(…))]`",
        needs: Needs::Answers,
        of_plugin: false,
        run: |bench| survives(bench, Value::is_number, extremes),
    },
    Check {
        name: "numbers-out-of-range",
        proves: "a number that no double can hold is an error, never an infinity",
        fix: "read numbers with a JSON parser that checks their range",
        needs: Needs::Answers,
        of_plugin: false,
        run: numbers_out_of_range,
    },
    Check {
        name: "empty-arrays",
        proves: "an empty list does not make the model panic",
        fix: "look for a mean or a maximum of nothing; or say `#[schemars(length(min = 1))]`",
        needs: Needs::Answers,
        of_plugin: false,
        run: |bench| survives(bench, Value::is_array, |_| vec![json!([])]),
    },
    Check {
        name: "long-arrays",
        proves: "a list of 10,000 items does not make the model panic or crash",
        fix: "look for arrays of a fixed size and for recursion; or say \
              `#[schemars(length(max = …))]`",
        needs: Needs::Answers,
        of_plugin: false,
        run: |bench| survives(bench, Value::is_array, |place| vec![repeated(&place.value, 10_000)]),
    },
];

/// Emoji of one and of several characters, NUL, a letter of two characters, right to left, a mark
/// that turns the direction, the last character there is, what must be escaped.
const ODD: &[&str] =
    &["😀", "👩‍🚀", "a\0b", "e\u{301}", "שלום", "\u{202e}abc", "\u{10ffff}", "\"\\/\u{8}\n", "ß"];

fn long_texts(place: &Place) -> Vec<Value> {
    let most = place.schema.get("maxLength").and_then(Value::as_u64);
    let most = most.map_or(1 << 20, |most| most.min(1 << 20) as usize);
    ["x", "é"].map(|letter| json!(letter.repeat(most))).to_vec()
}

/// What a double and 64 bits can hold, and what the schema says is the least and the most.
fn extremes(place: &Place) -> Vec<Value> {
    let said = |key: &str| place.schema.get(key).cloned();
    let beside = |key: &str, step: i64| Some(json!(said(key)?.as_i64()? + step));
    let (least, most) = match place.schema.get("format").and_then(Value::as_str) {
        Some("int8") => (json!(i8::MIN), json!(i8::MAX)),
        Some("int16") => (json!(i16::MIN), json!(i16::MAX)),
        Some("int32") => (json!(i32::MIN), json!(i32::MAX)),
        Some("uint8") => (json!(0), json!(u8::MAX)),
        Some("uint16") => (json!(0), json!(u16::MAX)),
        Some("uint32") => (json!(0), json!(u32::MAX)),
        _ => (json!(0), json!(1)),
    };
    let ends = [
        said("minimum"),
        said("maximum"),
        beside("exclusiveMinimum", 1),
        beside("exclusiveMaximum", -1),
        Some(least),
        Some(most),
    ];
    let mut numbers: Vec<Value> = ends.into_iter().flatten().collect();
    numbers.extend(fixed_extremes());
    numbers
}

fn fixed_extremes() -> Vec<Value> {
    let mut numbers = vec![json!(0), json!(-1), json!(i64::MIN), json!(i64::MAX), json!(u64::MAX)];
    let two_53 = 9_007_199_254_740_992.0;
    numbers.extend([-0.0, 1.7e308, -1.7e308, 5e-324, two_53, -two_53].map(|number| json!(number)));
    numbers
}

fn repeated(list: &Value, times: usize) -> Value {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().cycle().take(times).cloned().collect()
}

type Is = fn(&Value) -> bool;
type Make = fn(&Place) -> Vec<Value>;

/// Records that hold other values wherever an ordinary one holds one of this sort, as far as the
/// input schema allows them.
fn changed(bench: &Bench, is: Is, make: Make) -> Result<Vec<Value>, Finding> {
    let fits = bench.validator(&bench.description()?.input_schema)?;
    let (record, mut places) = bench.record()?;
    places.retain(|place| is(&place.value));
    let changed = places
        .iter()
        .flat_map(|place| make(place).into_iter().map(|value| place.with(&record, value)));
    Ok(changed.filter(|record| fits.is_valid(record)).collect())
}

/// Records with odd texts in them.
pub(super) fn odd(bench: &Bench) -> Result<Vec<Value>, Finding> {
    changed(bench, Value::is_string, |_| ODD.iter().map(|text| json!(text)).collect())
}

/// Such records make neither panic nor crash. An error is fine: a schema can't say everything.
fn survives(bench: &Bench, is: Is, make: Make) -> Verdict {
    survives_all(bench, changed(bench, is, make)?)
}

fn survives_all(bench: &Bench, records: Vec<Value>) -> Verdict {
    if records.is_empty() {
        return not_run("no field of its records takes such a value");
    }
    for record in texts(&records) {
        bench.ask(&record)?.is_no_panic(&record)?;
    }
    Ok(())
}

fn deep_nesting(bench: &Bench) -> Verdict {
    let (record, places) = bench.record()?;
    let known = places.iter().map(|place| place.with(&record, json!(MARK)).to_string());
    let mut unknown = record.clone();
    unknown["a field that nobody knows"] = json!(MARK);
    let texts: Vec<String> = known.chain([unknown.to_string()]).collect();
    for depth in [10_000, 100_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            for text in &texts {
                let text = text.replace(&format!("\"{MARK}\""), &deep);
                bench.ask(&text)?.is_no_panic(&text)?;
            }
        }
    }
    Ok(())
}

/// Where something is to stand that no `Value` can hold.
const MARK: &str = "(here)";

fn numbers_out_of_range(bench: &Bench) -> Verdict {
    let (record, mut places) = bench.record()?;
    places.retain(|place| place.value.is_number());
    if places.is_empty() {
        return not_run("no field of its records is a number");
    }
    let long = format!("1{}", "0".repeat(400));
    for place in places {
        let marked = place.with(&record, json!(MARK)).to_string();
        for number in ["1e999", "-1e999", &long, &format!("-{long}")] {
            let text = marked.replace(&format!("\"{MARK}\""), number);
            bench.ask(&text)?.is_refused(&text)?;
        }
    }
    Ok(())
}
