//! A record's bytes into the author's type.
//!
//! Parsed once, straight into the type, by [`quick`]; what that leaves, by serde_json. Only a record
//! that failed is parsed once more, slowly, to learn the path of the fault: good records pay nothing
//! for good messages.

mod quick;
#[cfg(test)]
mod quick_tests; // beside it, since a benchmark takes the file alone

use model_abi_layout::kind;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

/// Why a record or a config can't be used, or a prediction can't be given.
#[derive(Debug, PartialEq)]
pub struct Failure {
    pub(crate) kind: u32,
    /// `measures[3].width`; empty for the record as a whole.
    pub(crate) path: String,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(kind: u32, message: impl Into<String>) -> Self {
        Failure { kind, path: String::new(), message: message.into() }
    }
}

/// Bytes that are UTF-8, or are not.
pub(crate) type Text<'a> = Result<&'a str, &'a [u8]>;

pub(crate) fn text(bytes: &[u8]) -> Text<'_> {
    std::str::from_utf8(bytes).map_err(|_| bytes)
}

/// Parses a record or a config. It must be an object: serde's derive would take an array for a
/// struct.
pub(crate) fn record<T: DeserializeOwned>(text: Text<'_>) -> Result<T, Failure> {
    let bytes = text.map_or_else(|bytes| bytes, str::as_bytes);
    let found = match bytes.trim_ascii_start().first() {
        Some(b'{') => return json(text),
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b'-' | b'0'..=b'9') => "a number",
        _ => match bytes.trim_ascii() {
            b"null" => "null",
            b"true" | b"false" => "a boolean",
            _ => return json(text), // no JSON at all: serde says it better
        },
    };
    Err(Failure::new(kind::SCHEMA, format!("expected a JSON object, found {found}")))
}

/// Parses any JSON text.
pub(crate) fn json<T: DeserializeOwned>(text: Text<'_>) -> Result<T, Failure> {
    // As a text, where it is one: one check of the whole is cheaper than one of every string in it.
    match text {
        Ok(text) => match quick::parse(text) {
            Some(value) => Ok(value),
            None => {
                serde_json::from_str(text).map_err(|error| explain::<T>(text.as_bytes(), error))
            }
        },
        Err(bytes) => serde_json::from_slice(bytes).map_err(|error| explain::<T>(bytes, error)),
    }
}

#[cold]
fn explain<T: DeserializeOwned>(text: &[u8], error: serde_json::Error) -> Failure {
    let is_json = || serde_json::from_slice::<serde_json::Value>(text).is_ok();
    let kind = match error.classify() {
        Category::Data => kind::SCHEMA,
        // serde_json also calls it a fault of syntax where an enum finds `{}`.
        Category::Syntax if is_json() => kind::SCHEMA,
        Category::Io | Category::Syntax | Category::Eof => kind::NOT_JSON,
    };
    let mut again = serde_json::Deserializer::from_slice(text);
    let path = match serde_path_to_error::deserialize::<_, T>(&mut again) {
        Err(error) => error.path().to_string(),
        Ok(_) => String::new(), // the fault lies behind the value
    };
    // The crate writes "." for the top and "?" for a field whose name it never saw.
    let path = path.trim_end_matches('?').trim_end_matches('.').to_owned();
    Failure { kind, path, message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only whether it parses is of interest")]
    struct Flower {
        petal_length: f64,
        #[serde(default)]
        measures: Vec<Measure>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only whether it parses is of interest")]
    enum Shape {
        Disc { radius: f64 },
        Point,
    }

    #[test]
    fn an_enum_that_is_not_said_is_a_fault_of_the_record_and_not_of_its_json() {
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only whether it parses is of interest")]
        struct Drawing {
            shape: Shape,
        }
        for text in [r#"{"shape": {}}"#, r#"{"shape": {"Disc": {}, "Point": null}}"#] {
            let failure = record::<Drawing>(Ok(text)).unwrap_err();
            assert_eq!((failure.kind, failure.path.starts_with("shape")), (kind::SCHEMA, true));
        }
        let failure = record::<Drawing>(Ok(r#"{"shape": {}"#)).unwrap_err();
        assert_eq!(failure.kind, kind::NOT_JSON);
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only whether it parses is of interest")]
    struct Measure {
        width: u8,
    }

    #[track_caller]
    fn check(text: &str, kind: u32, path: &str, message: &str) {
        let failure = record::<Flower>(Ok(text)).unwrap_err();
        assert_eq!((failure.kind, failure.path.as_str()), (kind, path), "{failure:?}");
        assert!(failure.message.contains(message), "{failure:?}");
    }

    #[test]
    fn a_fault_is_told_with_its_path_and_place() {
        check(
            r#"{"petal_length": "x"}"#,
            kind::SCHEMA,
            "petal_length",
            "invalid type: string \"x\", expected f64 at line 1 column 20",
        );
        check(
            r#"{"petal_length": 1, "measures": [{"width": 1}, {"width": 256}]}"#,
            kind::SCHEMA,
            "measures[1].width",
            "expected u8",
        );
        check("{}", kind::SCHEMA, "", "missing field `petal_length`");
        check(
            r#"{"petal_length": 1, "petal_length": 1}"#,
            kind::SCHEMA,
            "",
            "duplicate field `petal_length`",
        );
        check(r#"{"petal_length": 1e400}"#, kind::NOT_JSON, "petal_length", "out of range");
        check(r#"{"petal_length": 1} 2"#, kind::NOT_JSON, "", "trailing characters");
        check(r#"{"petal_length": 1"#, kind::NOT_JSON, "", "EOF");
        check("garbage", kind::NOT_JSON, "", "expected value");
        check("nul", kind::NOT_JSON, "", "EOF");
        check("", kind::NOT_JSON, "", "EOF");
    }

    #[test]
    fn only_an_object_is_a_record() {
        check("[1, 2, 3, 4]", kind::SCHEMA, "", "expected a JSON object, found an array");
        check(" null ", kind::SCHEMA, "", "found null");
        check("true", kind::SCHEMA, "", "found a boolean");
        check("-1", kind::SCHEMA, "", "found a number");
        check("\"x\"", kind::SCHEMA, "", "found a string");
    }

    #[test]
    fn unknown_fields_and_integers_for_floats_are_fine() {
        assert!(record::<Flower>(Ok(r#" {"petal_length": 1, "colour": {"a": [null]}} "#)).is_ok());
    }
}
