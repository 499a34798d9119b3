//! Of `quick.rs`: what is common is not left to serde_json, and what it parses is what serde_json parses:
//! for types of every kind, on texts by hand and on random ones.

use super::quick::{DEPTH_MAX, parse};
use proptest::prelude::*;
use proptest::sample::select;
use serde::Deserialize;
use serde::de::{self, DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Debug;

/// What serde has a word for, in one type.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "seen through Debug")]
struct Everything {
    f64: Option<f64>,
    f32: Option<f32>,
    i64: Option<i64>,
    u8: Option<u8>,
    i128: Option<i128>,
    bool: Option<bool>,
    char: Option<char>,
    string: Option<String>,
    unit: Option<()>,
    list: Option<Vec<f64>>,
    pair: Option<(i8, String)>,
    map: Option<BTreeMap<String, Value>>,
    numbered: Option<BTreeMap<u16, bool>>,
    any: Option<Value>,
    kind: Option<Kind>,
    untagged: Option<Untagged>,
    tagged: Option<TaggedInside>,
    wrapped: Option<Wrapped>,
    #[serde(alias = "öther", default)]
    other: Lenient,
    nested: Option<Box<Everything>>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "seen through Debug")]
enum Kind {
    Unit,
    Newtype(f64),
    Tuple(u8, u8),
    Struct { a: Option<f32>, b: Option<String> },
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "seen through Debug")]
enum Untagged {
    Small(u8),
    Text(String),
    Pair { a: f64 },
}

#[derive(Debug, Deserialize)]
#[serde(tag = "t", rename_all = "lowercase")]
#[expect(dead_code, reason = "seen through Debug")]
enum TaggedInside {
    A { x: f64 },
    B,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "seen through Debug")]
struct Wrapped {
    a: Newtype,
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "u8")]
struct Newtype(u8);

impl TryFrom<u8> for Newtype {
    type Error = String;

    fn try_from(value: u8) -> Result<Self, String> {
        if value > 200 { Err(format!("{value} is too much")) } else { Ok(Newtype(value)) }
    }
}

/// A type that catches its errors and goes on.
#[derive(Debug, Default)]
#[expect(dead_code, reason = "seen through Debug")]
struct Lenient(Option<Result<u8, String>>);

impl<'de> Deserialize<'de> for Lenient {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let newtype = Newtype::deserialize(deserializer);
        Ok(Lenient(Some(newtype.map(|Newtype(value)| value).map_err(|error| error.to_string()))))
    }
}

/// Types that catch the errors of their parts, and ask on.
#[derive(Debug, Default)]
struct GoodOnes(Vec<f64>, Vec<String>);

impl<'de> Deserialize<'de> for GoodOnes {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(GoodOnes::default())
    }
}

impl<'de> de::Visitor<'de> for GoodOnes {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("some numbers")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(mut self, mut elements: A) -> Result<Self, A::Error> {
        loop {
            match elements.next_element() {
                Ok(Some(number)) => self.0.push(number),
                Ok(None) => return Ok(self),
                Err(error) => self.1.push(error.to_string()),
            }
        }
    }

    fn visit_map<A: de::MapAccess<'de>>(mut self, mut members: A) -> Result<Self, A::Error> {
        loop {
            match members.next_entry::<String, f64>() {
                Ok(Some((_, number))) => self.0.push(number),
                Ok(None) => return Ok(self),
                Err(error) => self.1.push(error.to_string()),
            }
        }
    }
}

/// A type with words of its own for what it does not like.
#[derive(Debug)]
#[expect(dead_code, reason = "seen through Debug")]
struct Critic(String);

impl<'de> Deserialize<'de> for Critic {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        let unit = <D::Error as de::Error>::invalid_type(de::Unexpected::Unit, &"a mood");
        let found = de::Unexpected::Float(number);
        let float = <D::Error as de::Error>::invalid_value(found, &"another");
        Ok(Critic(format!("{unit}, {float}")))
    }
}

/// A name that may be a number, and is asked whether it is.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Number(u64),
    Text(String),
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl de::Visitor<'_> for Either {
            type Value = Name;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a name")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Name, E> {
                Ok(Name::Number(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name, E> {
                Ok(Name::Text(text.to_owned()))
            }
        }
        deserializer.deserialize_u64(Either)
    }
}

#[derive(Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Sku(String);

#[derive(Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
enum Colour {
    Red,
}

/// Names that JSON writes with escapes.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "seen through Debug")]
struct OddNames {
    #[serde(rename = "a\"b")]
    quote: Option<f64>,
    #[serde(rename = "a\\b")]
    backslash: Option<f64>,
    #[serde(rename = "a\tb")]
    tab: Option<f64>,
    #[serde(rename = "")]
    empty: Option<f64>,
}

/// A struct as most models have it.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "seen through Debug")]
struct Plain {
    name: String,
    width: f64,
    count: u32,
    #[serde(default)]
    tags: Vec<String>,
}

/// Whether it was left to serde_json. Where it was not, the two must agree.
#[track_caller]
fn is_left<T: DeserializeOwned + Debug>(text: &str) -> bool {
    let Some(value) = parse::<T>(text) else { return true };
    let theirs = serde_json::from_str::<T>(text).map(|value| format!("{value:?}"));
    assert_eq!(Some(format!("{value:?}")), theirs.ok(), "{text}");
    false
}

#[test]
fn what_records_are_like_is_parsed_here() {
    for text in [
        r#"{"name":"a","width":1.5,"count":3,"tags":["x","y"]}"#,
        r#" { "name" : "a b" , "width" : -0.25 , "count" : 0 , "tags" : [ ] } "#,
        r#"{"count": 4294967295, "colour": {"a": [null, true, false, 1e5, "\u00e4"]}, "name": "ä€😀", "width": 7}"#,
        r#"{"name": "\"\\\/\b\f\n\r\t\u00e4\ud83d\ude00", "width": 1e-3, "count": 1}"#,
        r#"{"n\u0061me": "", "width": 0.12345678901234567, "count": 1}"#,
        r#"{"name": "a rather long text, of more than one word", "width": 123456789012345678901.5, "count": 1}"#,
    ] {
        assert!(!is_left::<Plain>(text), "{text}");
    }
    for text in [
        r#"{"f64": 1, "f32": 0.1, "i64": -9223372036854775808, "u8": 255, "bool": true}"#,
        r#"{"f64": null, "f32": 16777217, "char": "ä", "string": "s", "unit": null}"#,
        r#"{"list": [1, 2.5, -3e2], "pair": [-1, "x"], "map": {"a": {}, "b": [[]]}}"#,
        r#"{"any": {"x": [1, -1, 1.5, "s", null, true, {"y": {}}]}, "kind": "Unit"}"#,
        r#"{"kind": {"Newtype": 1.0}, "untagged": 7, "tagged": {"t": "a", "x": 1}}"#,
        r#"{"kind": {"Tuple": [1, 2]}, "untagged": "text", "tagged": {"x": 1, "t": "b"}}"#,
        r#"{"kind": {"Struct": {"a": 1.1, "b": "b"}}, "untagged": {"a": 1}, "wrapped": {"a": 1}}"#,
        r#"{"öther": 2, "nested": {"other": 3, "more": 1}, "yet more": "\u0041"}"#,
    ] {
        assert!(!is_left::<Everything>(text), "{text}");
        assert!(!is_left::<Value>(text), "{text}");
    }
}

#[test]
fn faults_are_left() {
    for text in [
        "",
        " ",
        "{",
        "{}x",
        "[]",
        "null",
        "{\"name\"",
        "{\"name\":",
        "{\"name\": \"a",
        r#"{"width": 1, "count": 1}"#,
        r#"{"name": "a", "name": "a", "width": 1, "count": 1}"#,
        r#"{"name": 1, "width": 1, "count": 1}"#,
        r#"{"name": "a", "width": "1", "count": 1}"#,
        r#"{"name": "a", "width": 1, "count": -1}"#,
        r#"{"name": "a", "width": 1, "count": 1,}"#,
        r#"{"name": "a" "width": 1, "count": 1}"#,
        r#"{, "name": "a", "width": 1, "count": 1}"#,
        r#"{"name": "a", "width": 1, "count": 1, "x": [1,]}"#,
        r#"{"name": "a", "width": 1, "count": 1, "x": nul}"#,
        r#"{"name": "a", "width": 1, "count": 1, x: 1}"#,
        "{\"name\": \"a\u{1}\", \"width\": 1, \"count\": 1}",
        r#"{"name": "\x", "width": 1, "count": 1}"#,
        r#"{"name": "\u12", "width": 1, "count": 1}"#,
        r#"{"name": "\u+123", "width": 1, "count": 1}"#,
        r#"{"name": "\ud83d", "width": 1, "count": 1}"#,
        r#"{"name": "\ude00", "width": 1, "count": 1}"#,
        r#"{"name": "\ud83d\u0041", "width": 1, "count": 1}"#,
    ] {
        assert!(is_left::<Plain>(text), "{text}");
    }
    for number in ["01", "-", "-01", "1.", ".5", "1.e5", "1e", "1e+", "+1", "0x1", "1e400", "NaN"] {
        assert!(is_left::<f64>(number), "{number}");
    }
}

#[test]
fn a_number_is_the_nearest_double() {
    for number in [
        "0",
        "-0.0",
        "0.1",
        "0.3",
        "1.5e-7",
        "123456.789",
        "9007199254740993",
        "9007199254740993.0",
        "0.000000000000000000000001",
        "1e22",
        "1e23",
        "8.5e-324",
        "2.4703282292062327e-324",
        "1.7976931348623157e308",
        "0.1000000000000000055511151231257827021181583404541015625",
        "4.35",
        "17.4",
        "9.95",
        "-2.2250738585072014e-308",
        "1e-400",
        "1E5",
        "1e+5",
    ] {
        assert!(!is_left::<f64>(number), "{number}");
        assert!(!is_left::<f32>(number) || number.contains("308"), "{number}");
        is_left::<Value>(number);
    }
}

#[test]
fn nesting_that_serde_json_refuses_is_never_parsed() {
    for depth in [1, 50, 99, 101, 127, 128, 5000] {
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(is_left::<Value>(&nested), depth > DEPTH_MAX as usize, "{depth}");
        let ignored = format!(r#"{{"name": "a", "width": 1, "count": 1, "x": {nested}}}"#);
        assert_eq!(is_left::<Plain>(&ignored), depth >= DEPTH_MAX as usize, "{depth}");
    }
}

#[test]
fn an_error_that_a_type_catches_is_not_lost_on_us() {
    assert!(!is_left::<Everything>(r#"{"other": 201, "f64": 1}"#)); // the type's own words
    for other in ["-1", "256", "\"x\"", "[1, 2]", "{}", "1e400", "nul"] {
        assert!(is_left::<Everything>(&format!(r#"{{"other": {other}, "f64": 1}}"#)), "{other}");
    }
}

#[test]
fn a_type_that_catches_every_error_comes_to_an_end() {
    for text in ["[1, \"x\", 2]", "[x]", "[1 2]", "[1,", "[1,]", "[[", "[", "[1, 1e400, 3]"] {
        assert!(is_left::<GoodOnes>(text), "{text}");
    }
    for text in [r#"{"a": 1, "b": "x", "c": 2}"#, r#"{"a" 1}"#, r#"{"a": }"#, "{a}", "{", "{\"a"] {
        assert!(is_left::<GoodOnes>(text), "{text}");
    }
    assert!(!is_left::<GoodOnes>("[1, 2.5]") && !is_left::<GoodOnes>(r#"{"a": 1, "b": 2}"#));
}

#[test]
fn the_words_of_an_error_that_a_type_keeps_are_serde_jsons() {
    for number in ["1", "1e300", "0.1"] {
        assert!(!is_left::<Critic>(number), "{number}");
    }
}

#[test]
fn names_of_all_types_are_what_serde_json_says() {
    for text in [r#"{"12": 1, "0": 2}"#, r#"{"1": 1, "12": 1, "65535": 1}"#, "{}"] {
        assert!(!is_left::<BTreeMap<u16, f64>>(text), "{text}");
        assert!(!is_left::<BTreeMap<Name, f64>>(text), "{text}");
        assert!(!is_left::<BTreeMap<Sku, f64>>(text), "{text}");
        assert!(!is_left::<BTreeMap<Option<String>, f64>>(text), "{text}");
    }
    for name in ["-1", "65536", "01", "1 ", " 1", "1.0", "1e1", "x", "", "\\u0031", "-", "1\\n"] {
        let text = format!(r#"{{"{name}": 1}}"#);
        assert!(is_left::<BTreeMap<u16, f64>>(&text), "{text}");
        is_left::<BTreeMap<i8, f64>>(&text);
        is_left::<BTreeMap<Name, f64>>(&text);
        assert!(!is_left::<BTreeMap<Sku, f64>>(&text), "{text}");
    }
    assert!(!is_left::<BTreeMap<Colour, f64>>(r#"{"Red": 1}"#));
    assert!(is_left::<BTreeMap<Colour, f64>>(r#"{"Blue": 1}"#));
    is_left::<BTreeMap<bool, f64>>(r#"{"true": 1}"#);
}

#[test]
fn a_name_is_not_mistaken_for_its_spelling() {
    for text in [
        r#"{"a"b": 1}"#,
        r#"{"a\"b": 1}"#,
        r#"{"a\b": 1}"#,
        r#"{"a\\b": 1}"#,
        "{\"a\tb\": 1}",
        r#"{"a\tb": 1}"#,
        r#"{"": 1}"#,
        r#"{"a\u0022b": 1, "a\u005cb": 2, "a\u0009b": 3}"#,
    ] {
        is_left::<OddNames>(text);
    }
}

#[test]
fn what_serde_json_knows_by_name_is_left_to_it() {
    #[derive(Debug, Deserialize)]
    #[serde(rename = "$serde_json::private::RawValue")]
    #[expect(dead_code, reason = "seen through Debug")]
    struct Raw(f64);
    assert!(is_left::<Raw>("1"));
}

/// Texts that are nearly right: pieces of the common forms, some of them exchanged or cut.
fn texts() -> impl Strategy<Value = String> {
    let names = select(vec![
        "f64",
        "f32",
        "i64",
        "u8",
        "i128",
        "bool",
        "char",
        "string",
        "unit",
        "list",
        "pair",
        "map",
        "numbered",
        "any",
        "kind",
        "untagged",
        "tagged",
        "wrapped",
        "other",
        "öther",
        "nested",
        "a",
        "b",
        "t",
        "x",
        "more",
        "f\\u0036\\u0034",
        "1",
        "Newtype",
        "Tuple",
        "Struct",
    ]);
    let scalars = select(vec![
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "-1",
        "255",
        "256",
        "1.5",
        "-0.0",
        "1e3",
        "1E-2",
        "0.30000000000000004",
        "18446744073709551615",
        "18446744073709551616",
        "1e400",
        "01",
        "1.",
        "\"\"",
        "\"a\"",
        "\"ä\"",
        "\"\\u00e4\\n\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"Unit\"",
        "\"\\x\"",
        "\"t\u{1}\"",
        "\"b\"",
        "nul",
        "",
        "\"a longer text, with a \\\" in it\"",
    ]);
    let numbers =
        (any::<u64>(), 0..25_usize, any::<bool>()).prop_map(|(digits, point, negative)| {
            let mut text = digits.to_string();
            if point < text.len() && point > 0 {
                text.insert(point, '.');
            }
            if negative { format!("-{text}") } else { text }
        });
    let leaf = prop_oneof![scalars.prop_map(str::to_owned), numbers];
    let value = leaf.prop_recursive(4, 40, 6, move |inner| {
        let member = (names.clone(), inner.clone());
        let separators = select(vec![",", ", ", " ,\t", ",\r\n", "", ",,"]);
        prop_oneof![
            (prop::collection::vec(member, 0..6), separators.clone()).prop_map(
                |(members, comma)| {
                    let members =
                        members.iter().map(|(name, value)| format!("\"{name}\": {value}"));
                    format!("{{{}}}", members.collect::<Vec<_>>().join(comma))
                }
            ),
            (prop::collection::vec(inner, 0..4), separators)
                .prop_map(|(elements, comma)| format!("[{}]", elements.join(comma))),
        ]
    });
    (value, any::<prop::sample::Index>(), 0..40_u8).prop_map(|(text, place, change)| {
        let mut characters: Vec<char> = text.chars().collect();
        let at = place.index(characters.len() + 1);
        match change {
            0 => characters.truncate(at),
            1 if at < characters.len() => _ = characters.remove(at),
            2 => characters.insert(at, '"'),
            3 => characters.insert(at, ' '),
            4 => characters.insert(at, '\\'),
            _ => {}
        }
        characters.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_not_left_is_what_serde_json_says(text in texts()) {
        is_left::<Everything>(&text);
        is_left::<Value>(&text);
        is_left::<Kind>(&text);
        is_left::<Plain>(&text);
    }

    #[test]
    fn numbers_are_what_serde_json_says(number: f64, single: f32) {
        for text in [number.to_string(), format!("{number:e}"), single.to_string()] {
            is_left::<f64>(&text);
            is_left::<f32>(&text);
            is_left::<Value>(&text);
        }
    }
}
