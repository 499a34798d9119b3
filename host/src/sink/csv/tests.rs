//! What rows look like, and where the header stands.

use super::*;
use crate::columns::{Kind, VALUE};
use crate::sink;
use crate::source::conformance::write;

fn columns(names: &[&str]) -> Vec<Column> {
    names.iter().map(|name| Column { name: (*name).to_owned(), kind: Kind::Json }).collect()
}

#[track_caller]
fn check_with(options: Options, names: &[&str], records: &[&str], expected: &str) {
    let records: Vec<String> = records.iter().map(|it| (*it).to_owned()).collect();
    let options = sink::Options { columns: columns(names), csv: options };
    let (file, rejected) = write(Format::Csv, &records, options);
    assert_eq!(String::from_utf8(file).unwrap() + &rejected.join("\n"), expected);
}

#[track_caller]
fn check(names: &[&str], records: &[&str], expected: &str) {
    check_with(Options::default(), names, records, expected);
}

#[test]
fn values_stand_as_they_are_and_in_quotes_where_they_must() {
    check(
        &["a", "b"],
        &[
            r#"{"a":1.50,"b":"x"}"#,
            r#" { "b" : true , "a" : -1E5 } "#,
            r#"{"a":null}"#,
            r#"{"a":"","b":" "}"#,
            r#"{"a":"x,y","b":"\"\n"}"#,
            r#"{"a":"\u00e4\\","b":"a\"b"}"#,
            r#"{"a":[1, "x"],"b":{"c":null}}"#,
            r#"{"\u0061":"\r","b":"null"}"#,
            "{}",
        ],
        concat!(
            "a,b\n",
            "1.50,x\n",
            "-1E5,true\n",
            ",\n",
            "\"\", \n",
            "\"x,y\",\"\"\"\n\"\n",
            "\u{e4}\\,\"a\"\"b\"\n",
            "\"[1, \"\"x\"\"]\",\"{\"\"c\"\":null}\"\n",
            "\"\r\",null\n",
            ",\n",
        ),
    );
}

#[test]
fn the_header_stands_there_once_also_without_a_record() {
    check(&["a", "b c", "d,\"e"], &[], "a,b c,\"d,\"\"e\"\n");
    let records = [r#"{"a":1}"#; 7]; // in three batches
    check(&["a"], &records, &("a\n".to_owned() + &"1\n".repeat(7)));
    let none = Options { has_header: false, ..Options::default() };
    check_with(none.clone(), &["a"], &records, &"1\n".repeat(7));
    check_with(none, &["a"], &[], "");
}

#[test]
fn a_field_without_a_column_rejects_its_record() {
    check(
        &["a"],
        &[r#"{"a":1}"#, r#"{"a":1,"b":2}"#, r#"{"b\n":2}"#, r#"{"a":2}"#],
        "a\n1\n2\nno_column b\nno_column b\n",
    );
}

#[test]
fn what_is_no_object_goes_into_the_only_column() {
    check(
        &["a"],
        &["1", "\"x\"", "[1,2]", "null", r#"{"a":true}"#],
        "a\n1\nx\n\"[1,2]\"\n\"\"\ntrue\n",
    );
    check(&["a", "b"], &["1", r#"{"a":1}"#], "a,b\n1,\nno_column ");
    // Of the prediction nothing is known: an object is JSON text.
    check(&[VALUE], &[r#"{"a":1}"#, "2"], &format!("{VALUE}\n\"{{\"\"a\"\":1}}\"\n2\n"));
}

#[test]
fn a_row_is_never_a_blank_line() {
    check(&["a"], &["{}", r#"{"a":null}"#, r#"{"a":""}"#], "a\n\"\"\n\"\"\n\"\"\n");
}

#[test]
fn null_and_delimiters_may_be_chosen() {
    let options = Options { delimiter: Some(b';'), null_value: "NA".into(), ..Options::default() };
    check_with(
        options,
        &["a", "b"],
        &[r#"{"b":"NA"}"#, r#"{"a":"x;y","b":"1,5"}"#, r#"{"a":"","b":null}"#],
        "a;b\nNA;\"NA\"\n\"x;y\";1,5\n\"\";NA\n",
    );
}

#[test]
fn a_run_that_goes_on_writes_no_second_header() {
    use crate::sink::publish::{Names, publish};
    use crate::storage::disk::Local;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let names = Names::here(path.clone(), path.clone());
    for (format, first, whole) in [
        (Format::Csv, "a\n1\n", "a\n1\n"),
        (Format::JsonArray, "[1", "[1]\n"),
        (Format::JsonArray, "", "[]\n"),
        (Format::Csv, "", "a\n"),
    ] {
        let mut output = Output::begin(Arc::new(Local), names.clone()).unwrap();
        output.write_all(first.as_bytes()).unwrap();
        output.keep();
        let (number, len) = (output.number(), output.len());
        drop(output);
        let output = Output::go_on(Arc::new(Local), names.clone(), number, len).unwrap();
        let options = sink::Options { columns: columns(&["a"]), csv: Options::default() };
        let mut sink = sink::open(format, output, options).unwrap();
        sink.write(&Batch::default()).unwrap();
        sink.complete().unwrap();
        publish(vec![sink.finish()], vec![]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), whole);
    }
}
