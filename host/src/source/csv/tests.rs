//! The cases of RFC 4180 and of those who tested others' CSV; types; headers; and the crate `csv` as
//! another opinion on where rows and fields end.

use super::*;
use crate::source::conformance::{drain, options, read};
use crate::storage::Memory;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// The records of a table of texts.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(read(Format::Csv, text.as_bytes(), options(&json!({}))), expected, "{text:?}");
}

#[test]
fn the_cases_of_rfc_4180() {
    let both: &[&str] = &[r#"{"a":"x","b":"y"}"#, r#"{"a":"1","b":"2"}"#];
    check("a,b\r\nx,y\r\n1,2\r\n", both);
    check("a,b\r\nx,y\r\n1,2", both); // 2: the last row may lack its line break
    check("a,b\nx,y\n1,2\n", both);
    check("a,b\r\nx,y\n1,2\r\n", both); // mixed
    check("\"a\",\"b\"\r\n\"x\",y\r\n1,\"2\"", both); // 5: quotes that need not be
    check("a,b\r\n\"1\r\n2\",\",\"", &[r#"{"a":"1\r\n2","b":","}"#]); // 6
    check("a,b\r\n\"say \"\"no\"\"\",\"\"\"\"", &[r#"{"a":"say \"no\"","b":"\""}"#]); // 7
    check("a,b\r\n x , y ", &[r#"{"a":" x ","b":" y "}"#]); // 4: blanks are part of a field
}

#[test]
fn the_cases_that_others_found() {
    check(
        "a,b\n1,\"ha \n\"\"ha\"\" \nha\"\n3,4",
        &[r#"{"a":"1","b":"ha \n\"ha\" \nha"}"#, r#"{"a":"3","b":"4"}"#],
    );
    check("a,b\n1,\"{\"\"t\"\": [1, \"\"x\"\"]}\"", &[r#"{"a":"1","b":"{\"t\": [1, \"x\"]}"}"#]);
    check(
        "first,address\nJohn,\"12 Any St., Mytown\"",
        &[r#"{"first":"John","address":"12 Any St., Mytown"}"#],
    );
    check("a,b\n,\n\"\",\"\"\n", &[r#"{"a":null,"b":null}"#, r#"{"a":"","b":""}"#]);
    check("a\n\n\nx\n\r\n \n", &[r#"{"a":"x"}"#, r#"{"a":" "}"#]); // blank lines, and one that is not
    check("a,b\n", &[]); // nothing but a header
    check("a,b", &[]);
    check("\u{feff}a,b\n1,2", &[r#"{"a":"1","b":"2"}"#]);
    check("\u{feff}\"a\",b\n1,2", &[r#"{"a":"1","b":"2"}"#]);
    check("\n\r\na\nx", &[r#"{"a":"x"}"#]); // blank lines before the header
    check("a b,\u{e4}\n1,\u{1f600}", &[r#"{"a b":"1","ä":"😀"}"#]);
    // Quotes in a field that does not begin with one are characters like others.
    check("a,b\n5\" wide,x\"y\"", &[r#"{"a":"5\" wide","b":"x\"y\""}"#]);
    check("a,b\n \"x\",y", &[r#"{"a":" \"x\"","b":"y"}"#]);
    // What stands behind a closing quote is part of the field.
    check("a,b\n\"x\"y,\"z\" ", &[r#"{"a":"xy","b":"z "}"#]);
    check("a\n\"\"\"\"\"\"", &[r#"{"a":"\"\""}"#]);
    check("a\nx\ry", &[r#"{"a":"x\ry"}"#]); // a carriage return alone ends nothing
    check("a,\"b\nc\"\n1,2", &[r#"{"a":"1","b\nc":"2"}"#]);
    check("a\\,\"b\"\"\"\n1,2", &[r#"{"a\\":"1","b\"":"2"}"#]);
}

#[test]
fn a_row_with_other_fields_than_there_are_columns_is_a_reject_with_its_place() {
    check(
        "a,b\n1,2\n1\n\"\n\",2\n1,2,3\n",
        &[
            r#"{"a":"1","b":"2"}"#,
            "3:8 invalid_csv : the row has 1 field, and the table has 2 columns",
            r#"{"a":"\n","b":"2"}"#,
            "6:16 invalid_csv : the row has 3 fields, and the table has 2 columns",
        ],
    );
    check("a\n1,\"\"\n", &["2:2 invalid_csv : the row has 2 fields, and the table has 1 column"]);
}

#[test]
fn a_quote_that_is_never_closed_is_a_reject_that_says_where_it_opened() {
    let why = "the quote that opens at line 4, byte 15 is never closed";
    check(
        "a,b\n1,2\n\"3\n\",\"4\n5,6\n",
        &[r#"{"a":"1","b":"2"}"#, &format!("3:8 invalid_csv : {}", why.replace("15", "13"))],
    );
}

/// A field of a column with this schema, as it is read: JSON, nothing, or why not.
fn field(schema: &Value, null_value: &str, field: &str) -> String {
    let mut options = options(&json!({"properties": {"v": schema}}));
    options.csv.null_value = null_value.to_owned();
    let records = read(Format::Csv, format!("v,w\n{field},\n").as_bytes(), options);
    let record = &records[0];
    match record.strip_suffix(r#","w":null}"#) {
        Some(start) => start.strip_prefix(r#"{"v":"#).unwrap_or(start).to_owned(),
        None if record == r#"{"w":null}"# => "nothing".to_owned(),
        None => record.strip_prefix("2:4 schema v: ").unwrap_or(record).to_owned(),
    }
}

#[track_caller]
fn check_fields(schema: Value, fields: &[(&str, &str)]) {
    for (text, expected) in fields {
        assert_eq!(field(&schema, "", text), *expected, "{text:?} for {schema}");
    }
}

#[test]
fn a_number_is_what_spreadsheets_and_dataframes_write_for_one() {
    let same = ["0", "-1", "1.5", "1e5", "1E-5", "-0.0", "1e400", "12345678901234567890123.10"];
    check_fields(json!({"type": "number"}), &same.map(|number| (number, number)));
    check_fields(
        json!({"type": "number"}),
        &[
            ("+1", "1"),
            ("007", "7"),
            ("-007.50", "-7.50"),
            (".5", "0.5"),
            ("-.5e1", "-0.5e1"),
            ("1.", "1"),
            ("1.e5", "1e5"),
            ("000", "0"),
            (" 1.5\t", "1.5"),
            ("\"1.5\"", "1.5"),
            ("", "nothing"),
            ("\"\"", "nothing"),
            ("abc", "`abc` is no number"),
            (".", "`.` is no number"),
            ("-", "`-` is no number"),
            ("1e", "`1e` is no number"),
            ("e5", "`e5` is no number"),
            ("1 2", "`1 2` is no number"),
            ("\"1,5\"", "`1,5` is no number"),
            ("NaN", "`NaN` is no number"),
            ("inf", "`inf` is no number"),
            ("0x1", "`0x1` is no number"),
            ("--1", "`--1` is no number"),
            (" ", "` ` is no number"),
        ],
    );
}

#[test]
fn an_integer_may_have_a_fraction_of_zeros() {
    check_fields(
        json!({"type": "integer"}),
        &[
            ("5", "5"),
            ("5.0", "5"),
            ("-5.", "-5"),
            ("-0.0", "0"),
            ("+05", "5"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("5.5", "`5.5` is no integer"),
            ("5e3", "`5e3` is no integer"),
            (".0", "`.0` is no integer"),
            ("x", "`x` is no integer"),
            ("", "nothing"),
        ],
    );
}

#[test]
fn a_boolean_is_a_word_in_any_case() {
    check_fields(
        json!({"type": "boolean"}),
        &[
            ("true", "true"),
            ("False", "false"),
            ("TRUE", "true"),
            ("1", "`1` is no boolean: neither true nor false"),
            ("yes", "`yes` is no boolean: neither true nor false"),
            ("", "nothing"),
        ],
    );
}

#[test]
fn an_empty_field_is_null_where_there_may_be_null() {
    check_fields(
        json!({"type": ["number", "null"]}),
        &[("", "null"), ("\"\"", "null"), ("1", "1")],
    );
    check_fields(json!({"type": ["string", "null"]}), &[("", "null"), ("\"\"", "\"\"")]);
    check_fields(
        json!({"type": "string"}),
        &[("", "\"\""), ("\"\"", "\"\""), ("null", "\"null\"")],
    );
    check_fields(json!({"enum": ["a", null]}), &[("", "null"), ("a", "\"a\"")]);
    check_fields(json!(true), &[("", "null"), ("\"\"", "\"\"")]);
}

#[test]
fn so_is_one_that_is_the_text_for_null() {
    for (schema, text, expected) in [
        (json!({"type": ["number", "null"]}), "NA", "null"),
        (json!({"type": ["number", "null"]}), "\"NA\"", "null"),
        (json!({"type": ["number", "null"]}), "", "null"),
        (json!({"type": "number"}), "NA", "nothing"),
        (json!({"type": "number"}), "na", "`na` is no number"),
        (json!({"type": ["string", "null"]}), "NA", "null"),
        (json!({"type": ["string", "null"]}), "\"NA\"", "\"NA\""),
        (json!({"type": "string"}), "NA", "\"NA\""),
    ] {
        assert_eq!(field(&schema, "NA", text), expected, "{text:?} for {schema}");
    }
}

#[test]
fn what_is_nested_stands_as_json_text() {
    check_fields(
        json!({"type": "array"}),
        &[
            ("[]", "[]"),
            ("\"[1,\n 2]\"", "[1,  2]"),
            (" [1] ", "[1]"),
            ("[1", "`[1` is no JSON: expected `,` or `]` but the text ends at column 3"),
            ("{}", "`{}` is no JSON: its type is object, and may be array"),
            ("\"[\"\"\n\"\"]\"", "`[\"\n\"]` is no JSON: a line break in a string"),
            ("x", "`x` is no JSON: expected a value at column 1"),
            ("", "nothing"),
        ],
    );
    check_fields(
        json!({"type": ["object", "null"]}),
        &[("\"{\"\"a\"\":1}\"", "{\"a\":1}"), ("", "null")],
    );
}

#[test]
fn of_several_types_json_goes_before_text() {
    check_fields(
        json!({"type": ["string", "integer"]}),
        &[("5", "5"), ("abc", "\"abc\""), ("true", "\"true\""), ("[", "\"[\""), ("", "\"\"")],
    );
    check_fields(json!(true), &[("5", "5"), ("a", "\"a\""), ("[1]", "[1]"), ("null", "null")]);
}

#[test]
fn a_long_value_is_told_in_part() {
    let long = "x".repeat(1000);
    let told = field(&json!({"type": "number"}), "", &long);
    assert_eq!(told, format!("`{}…` is no number", &long[..64]));
}

#[track_caller]
fn check_refused(text: &str, csv: Options, why: &str) {
    let options = crate::source::Options { csv, ..options(&json!({})) };
    let opened = Reader::open(Format::Csv, "in", Box::new(Memory::new(text)), options);
    let error = opened.err().expect("it is refused").to_string();
    assert!(error.contains(why), "{error}");
}

#[test]
fn columns_without_names_to_tell_them_apart_are_refused() {
    let usual = Options::default;
    check_refused("a,b,a\n", usual(), "two columns are named `a`");
    check_refused(",a\n0,1\n", usual(), "column 1 has no name");
    check_refused("", usual(), "there is none: the input is empty");
    check_refused("\n\r\n", usual(), "there is none: the input is empty");
    check_refused("a,\"b\n1,2\n", usual(), "the quote at byte 2 of it is never closed");
    let fields = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    check_refused("1", Options { fields: fields(&["a", ""]), ..usual() }, "column 2 has no name");
    let mut long = options(&json!({}));
    long.text.line_bytes_max = 5;
    let opened = Reader::open(Format::Csv, "in", Box::new(Memory::new("abc,def\n")), long);
    let error = opened.err().unwrap().to_string();
    assert_eq!(error, "the row is 7 bytes long, the most is 5");
}

/// The records of a table that is read in this way.
#[track_caller]
fn check_with(csv: Options, text: &str, expected: &[&str]) {
    let options = crate::source::Options { csv, ..options(&json!({})) };
    assert_eq!(read(Format::Csv, text.as_bytes(), options), expected);
}

#[test]
fn columns_may_be_named_by_hand() {
    let fields = Some(vec!["a".to_owned(), "b\"".to_owned()]);
    let named = Options { fields, ..Options::default() };
    check_with(named.clone(), "1,2\n", &[r#"{"a":"1","b\"":"2"}"#]);
    check_with(named.clone(), "", &[]);
    check_with(
        Options { has_header: true, ..named.clone() },
        "\n,\n1,2\n",
        &[r#"{"a":"1","b\"":"2"}"#],
    );
    check_with(Options { has_header: true, ..named }, "", &[]);
}

#[test]
fn what_stands_between_and_around_fields_may_be_chosen() {
    let semicolon = Options { delimiter: Some(b';'), ..Options::default() };
    check_with(semicolon, "a;b\n1,5;\";\"\n", &[r#"{"a":"1,5","b":";"}"#]);
    let quote = Options { quote: Some(b'\''), ..Options::default() };
    check_with(quote, "a,b\n'1,''2',\"\n", &[r#"{"a":"1,'2","b":"\""}"#]);
    let none = Options { quote: None, ..Options::default() };
    check_with(none, "a,b\n\"1,2\"\n", &[r#"{"a":"\"1","b":"2\""}"#]);
    let tabs = read(Format::Tsv, b"a\tb\n1,2\t\"\t\"\n", options(&json!({})));
    assert_eq!(tabs, [r#"{"a":"1,2","b":"\t"}"#]);
}

#[test]
fn a_table_tells_its_columns_and_only_those_that_are_read_go_on() {
    let mut options = options(&json!({"properties": {"b": {"type": "number"}, "c": {}}}));
    options.fields = Some(vec!["b".to_owned(), "d".to_owned()]);
    let input = Box::new(Memory::new("a,b,d\nx,1,\"y\"\n\"x\",2,y\nx,1\n"));
    let reader = Reader::open(Format::Csv, "in", input, options).unwrap();
    let told: Vec<_> =
        reader.columns().unwrap().iter().map(|it| format!("{} {:?}", it.name, it.kind)).collect();
    assert_eq!(told, ["a String", "b Number", "d String"]);
    let ragged = "4:22 invalid_csv : the row has 2 fields, and the table has 3 columns";
    assert_eq!(drain(Box::new(reader)), [r#"{"b":1,"d":"y"}"#, r#"{"b":2,"d":"y"}"#, ragged]);
}

#[test]
fn a_row_that_is_not_utf8_is_a_reject() {
    let text = [&b"a,b\n1,\xff\n2,3\n"[..]].concat();
    let told = read(Format::Csv, &text, options(&json!({})));
    let why = "2:4 invalid_utf8 : not UTF-8 at byte 2 of the record";
    assert_eq!(told, [why, r#"{"a":"2","b":"3"}"#]);
    let opened =
        Reader::open(Format::Csv, "in", Box::new(Memory::new(b"\xff\n")), options(&json!({})));
    assert!(opened.err().unwrap().to_string().contains("it is not UTF-8"));
}

/// Rows and their fields, as we find them; the last one may be left open.
fn split_by_us(text: &str) -> (Vec<Vec<String>>, bool) {
    let mut options = options(&json!({}));
    options.csv.fields = Some(vec!["a".to_owned()]);
    let input = Box::new(Memory::new(text));
    let mut reader = Reader::open(Format::Csv, "in", input, options.clone()).unwrap();
    let dialect = options.csv.dialect(Format::Csv);
    let (mut batch, mut rows, mut is_open) = (Batch::default(), Vec::new(), false);
    loop {
        reader.read_batch(&mut batch, 8, &Stop::default()).unwrap();
        if batch.read() == 0 {
            return (rows, is_open);
        }
        for row in 0..batch.len() {
            let row = batch.record(row);
            is_open |= rows::unclosed(dialect, row).is_some();
            let text = |field| String::from_utf8(field).unwrap();
            let fields = decode::split(dialect, row).into_iter().map(text);
            rows.push(fields.collect());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_and_fields_end_where_the_crate_csv_says(
        words in vec(select(vec!["a", ",", "\"", "\"\"", "\n", "\r\n", " ", "\u{e4}"]), 0..24)
    ) {
        let text = words.concat();
        let mut reader = ::csv::ReaderBuilder::new();
        let mut reader = reader.has_headers(false).flexible(true).from_reader(text.as_bytes());
        let mut expected: Vec<Vec<String>> =
            reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
        let (mut rows, is_open) = split_by_us(&text);
        if is_open {
            prop_assert_eq!(rows.len(), expected.len(), "{:?}", text);
            // Its fields are nobody's: it is a reject.
            rows.pop();
            expected.pop();
        }
        prop_assert_eq!(rows, expected, "{:?}", text);
    }
}
