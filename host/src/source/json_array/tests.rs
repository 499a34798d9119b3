//! What becomes of elements. Where they end is tested with the reader of all text.

use crate::format::Format;
use crate::source::conformance::{options, read};
use serde_json::json;

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(read(Format::JsonArray, text.as_bytes(), options(&json!({}))), expected);
}

#[test]
fn an_element_is_on_one_line_whatever_it_was() {
    check("[{\"a\":\r\n1}\n,[\n]]", &["{\"a\":  1}", "[ ]"]);
    check("[{\"a\\\"\":\n\"\\\\\"\n}]", &["{\"a\\\"\": \"\\\\\" }"]);
    check("[{}, \"a\\nb\" ]", &["{}", "\"a\\nb\""]);
    check("[\n1\n,\n2\n]", &["1", "2"]);
}

#[test]
fn a_line_break_in_a_string_is_no_json_and_is_not_made_so() {
    let why = |byte| {
        format!("1:1 invalid_json : unescaped line break in a string at byte {byte} of the element")
    };
    check("[\"a\nb\",{}]", &[&why(2), "{}"]);
    check("[\"a\\\nb\"]", &[&why(3)]);
    check("[{\"\r\":1}]", &[&why(2)]);
}

#[test]
fn an_element_that_is_missing_is_a_reject_with_its_place() {
    let missing =
        |place| format!("{place} invalid_json : there is no element here, where one must be");
    check("[1,\n,2, ]", &["1", &missing("2:4"), "2", &missing("2:8")]);
}
