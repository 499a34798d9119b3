//! The lookup step, with tables through the readers that a run has.

use super::table::TableError;
use super::*;
use crate::format::Format;
use crate::sink;
use crate::source::conformance::{self, options};
use crate::source::{self, Source, ldjson, many};
use crate::spec::SourceSpec;
use crate::stop::Stop;
use crate::storage::Memory;
use crate::storage::database::{Database, Selection};
use serde_json::{Value, json};
use std::io;

const COUNTRIES: &str = "code,name,area\nFR,France,551500\nDE,\"Ger\"\"many\",\nIT,Italy,302073\n";

fn spec() -> LookupSpec {
    LookupSpec {
        table: SourceSpec::default(),
        on: "country".to_owned(),
        key: "code".to_owned(),
        into: None,
        columns: Vec::new(),
        missing: NoMatch::Reject,
        several: Several::Reject,
    }
}

fn into(name: &str) -> LookupSpec {
    LookupSpec { into: Some(name.to_owned()), ..spec() }
}

fn columns(names: &[&str]) -> LookupSpec {
    LookupSpec { columns: names.iter().map(|name| name.to_string()).collect(), ..spec() }
}

fn open(format: Format, text: &[u8]) -> Box<dyn Source> {
    let input = Box::new(Memory::new(text.to_vec()));
    source::open(format, "table", input, options(&json!({}))).unwrap()
}

fn read(spec: &LookupSpec, source: Box<dyn Source>) -> Result<Table, TableError> {
    Table::read(source, spec, &Stop::default())
}

/// What becomes of each record, where the table is this one: its text, or `kind path message`.
fn looked_up(spec: &LookupSpec, source: Box<dyn Source>, records: &str) -> Vec<String> {
    let table = Arc::new(read(spec, source).unwrap());
    let mut step = LookupStep::new("geo", spec, table).another();
    let mut batch = Batch::default();
    let input = Box::new(Memory::new(records.to_owned()));
    let mut reader = ldjson::Reader::new("in", input, ldjson::Options::default());
    reader.read_batch(&mut batch, 1 << 20, &Stop::default()).unwrap();
    step.apply(&mut batch).unwrap();
    let mut told = vec![String::new(); batch.read()];
    for (record, &origin) in batch.origins().iter().enumerate() {
        told[origin as usize] = String::from_utf8(batch.record(record).to_vec()).unwrap();
    }
    for reject in batch.rejects() {
        assert_eq!(reject.step, "geo");
        let (kind, path, message) = (reject.kind.name(), reject.path, reject.message);
        told[reject.index as usize] = format!("{kind} {path} {message}");
    }
    told
}

#[track_caller]
fn check_in(spec: &LookupSpec, table: &str, record: &str, expected: &str) {
    let format = if table.trim_start().starts_with('{') { Format::Ldjson } else { Format::Csv };
    let told = looked_up(spec, open(format, table.as_bytes()), record);
    assert_eq!(told, [expected], "{record}");
}

#[track_caller]
fn check(spec: &LookupSpec, record: &str, expected: &str) {
    check_in(spec, COUNTRIES, record, expected);
}

#[test]
fn the_bytes_of_the_record_go_through_unchanged() {
    let record = r#" { "id" : 12345678901234567890123 , "x":1.10e0,"\u0063ountry":"F\u0052" } "#;
    let ours = r#"{"id" : 12345678901234567890123 , "x":1.10e0,"\u0063ountry":"F\u0052""#;
    check(&spec(), record, &format!(r#"{ours},"name":"France","area":"551500"}}"#));
    let row = r#"{"code":"FR","name":"France","area":"551500"}"#;
    check(&into("geo"), record, &format!(r#"{ours},"geo":{row}}}"#));
    check(&into("a \"b\""), record, &format!(r#"{ours},"a \"b\"":{row}}}"#));
}

#[test]
fn those_columns_go_on_that_are_wanted_in_the_order_in_which_they_are() {
    let record = r#"{"country":"DE"}"#;
    for (names, expected) in [
        (&["name"][..], r#"{"country":"DE","name":"Ger\"many"}"#),
        (&["area", "code"], r#"{"country":"DE","area":null,"code":"DE"}"#),
    ] {
        check(&columns(names), record, expected);
        let within = LookupSpec { into: Some("geo".to_owned()), ..columns(names) };
        let row = expected.replace(r#""country":"DE","#, "");
        check(&within, record, &format!(r#"{{"country":"DE","geo":{row}}}"#));
    }
}

#[test]
fn a_row_of_json_stands_in_the_record_as_it_stood_in_the_table() {
    let table = concat!(
        r#" { "code" : "FR" , "area":5.50e5,"\u006eame":[1 ,{"a":2}] } "#,
        "\n",
        r#"{"more":1e999,"code":"DE"}"#,
    );
    let fr = r#"{"country":"FR"}"#;
    check_in(&spec(), table, fr, r#"{"country":"FR","area":5.50e5,"\u006eame":[1 ,{"a":2}]}"#);
    let name = columns(&["name", "more"]);
    check_in(&name, table, fr, r#"{"country":"FR","\u006eame":[1 ,{"a":2}],"more":null}"#);
    check_in(&name, table, r#"{"country":"DE"}"#, r#"{"country":"DE","name":null,"more":1e999}"#);
    let null = LookupSpec { missing: NoMatch::Null, ..spec() };
    check_in(&null, table, "{}", r#"{"area":null,"name":null,"more":null}"#);
}

#[test]
fn a_record_without_a_row_is_a_reject_or_gets_null() {
    for (record, why) in [
        (r#"{"country":"XX"}"#, "no row of the table has the key `XX`"),
        (r#"{"country":"fr"}"#, "no row of the table has the key `fr`"),
        (r#"{"country":null}"#, "null is no key of a row"),
        (r#"{"country":["FR"]}"#, "an array is no key of a row"),
        (r#"{"country":{}}"#, "an object is no key of a row"),
        ("{}", "the record has no such field to find its row by"),
        (r#"{"a":{"country":"FR"}}"#, "the record has no such field to find its row by"),
    ] {
        check(&spec(), record, &format!("lookup country {why}"));
        let null = |spec| LookupSpec { missing: NoMatch::Null, ..spec };
        let with = |row: &str| {
            let members = &record[1..record.len() - 1];
            let comma = if members.is_empty() { "" } else { "," };
            format!("{{{members}{comma}{row}}}")
        };
        check(&null(into("geo")), record, &with(r#""geo":null"#));
        check(&null(spec()), record, &with(r#""name":null,"area":null"#));
        check(&null(columns(&["area", "code"])), record, &with(r#""area":null,"code":null"#));
    }
    let long = "x".repeat(1000);
    let why = format!("lookup country no row of the table has the key `{}…`", &long[..64]);
    check(&spec(), &format!(r#"{{"country":"{long}"}}"#), &why);
}

#[test]
fn a_record_with_several_rows_is_a_reject_or_gets_the_first_or_null() {
    let table = "code,n\na,1\nb,2\na,3\na,4\n";
    let several = |several| LookupSpec { several, missing: NoMatch::Null, ..spec() };
    let record = r#"{"country":"a"}"#;
    let why = "lookup country 3 rows of the table have the key `a`";
    check_in(&several(Several::Reject), table, record, why);
    check_in(&several(Several::First), table, record, r#"{"country":"a","n":"1"}"#);
    check_in(&several(Several::Null), table, record, r#"{"country":"a","n":null}"#);
    let other = r#"{"country":"b","n":"2"}"#;
    check_in(&several(Several::Reject), table, r#"{"country":"b"}"#, other);
}

#[test]
fn keys_are_equal_where_their_values_are_and_a_text_is_what_it_would_be_with_a_type() {
    let typed = r#"{"code":1,"n":"one"}{"code":"01","n":"text"}{"code":true,"n":"yes"}{"code":2.50,"n":"half"}"#;
    let typed = typed.replace("}{", "}\n{");
    let untyped = "code,n\n1,one\n01,text\ntrue,yes\n2.5,half\n";
    for (key, row) in [
        ("1", "one"),
        ("1.0", "one"),
        ("10e-1", "one"),
        (r#""1""#, "one"),
        (r#""01""#, "text"),
        ("true", "yes"),
        (r#""true""#, "yes"),
        ("2.5", "half"),
        (r#""2.5""#, "half"),
        ("25.0e-1", "half"),
    ] {
        let record = format!(r#"{{"country":{key}}}"#);
        let expected = format!(r#"{{"country":{key},"n":"{row}"}}"#);
        check_in(&spec(), &typed, &record, &expected);
        check_in(&spec(), untyped, &record, &expected);
    }
    for key in ["10", "-1", r#""1.0""#, r#"" 1""#, r#""2.50""#, "1.0000000000000000000001"] {
        let record = format!(r#"{{"country":{key}}}"#);
        let why =
            format!("lookup country no row of the table has the key `{}`", key.trim_matches('"'));
        check_in(&spec(), &typed, &record, &why);
        check_in(&spec(), untyped, &record, &why);
    }
}

#[test]
fn a_field_that_would_stand_there_twice_rejects_the_record() {
    let why = |field| {
        format!("field_clash {field} the field is in the record and in the row of the table")
    };
    check(&spec(), r#"{"name":1,"country":"FR"}"#, &why("name"));
    check(&spec(), r#"{"n\u0061me":1,"country":"FR"}"#, &why("name"));
    check(&into("country"), r#"{"country":"FR"}"#, &why("country"));
    // Also where there is no row: which records go on does not depend on the table's rows alone.
    let null = LookupSpec { missing: NoMatch::Null, ..spec() };
    check(&null, r#"{"name":1,"country":"XX"}"#, &why("name"));
    check(
        &columns(&["area"]),
        r#"{"name":1,"country":"IT"}"#,
        r#"{"name":1,"country":"IT","area":"302073"}"#,
    );
    check(
        &spec(),
        r#"{"code":1,"country":"IT"}"#,
        r#"{"code":1,"country":"IT","name":"Italy","area":"302073"}"#,
    );
}

#[test]
fn what_is_no_sound_object_is_a_reject() {
    for (record, why) in [
        ("[1]", "schema  the record is not an object"),
        (
            r#"{"country":"FR","country":"FR"}"#,
            "invalid_json  can't go on into the output: duplicate field `country` at column 17",
        ),
        (
            "{",
            "invalid_json  can't go on into the output: expected a field name in quotes but the text ends at column 2",
        ),
    ] {
        check(&spec(), record, why);
        check(&LookupSpec { missing: NoMatch::Null, ..into("geo") }, record, why);
    }
}

#[test]
fn a_batch_of_all_kinds_of_records_keeps_its_order() {
    let records = concat!(
        r#"{"country":"FR"}"#,
        "\n",
        "nothing\n",
        r#"{"country":"XX"}"#,
        "\n\n",
        r#"{"country":"IT"}"#,
        "\n",
    );
    let told = looked_up(&columns(&["name"]), open(Format::Csv, COUNTRIES.as_bytes()), records);
    let kinds: Vec<_> = told.iter().map(|it| it.split(' ').next().unwrap()).collect();
    let france = r#"{"country":"FR","name":"France"}"#;
    assert_eq!(kinds, [france, "invalid_json", "lookup", r#"{"country":"IT","name":"Italy"}"#]);
}

/// The same table, whatever it is read from.
#[test]
fn a_table_may_have_any_format() {
    let rows =
        [json!({"code": "FR", "name": "Fran\u{e7}ais"}), json!({"code": "DE", "name": null})];
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    let records = "{\"country\":\"FR\"}\n{\"country\":\"DE\"}\n";
    let expected = [r#"{"country":"FR","name":"Français"}"#, r#"{"country":"DE","name":null}"#];
    let schema =
        json!({"properties": {"code": {"type": "string"}, "name": {"type": ["string", "null"]}}});
    let columns = crate::columns::of_schema(&schema);
    for format in [
        Format::Ldjson,
        Format::JsonArray,
        Format::Csv,
        Format::Tsv,
        Format::Parquet,
        Format::Arrow,
        Format::ArrowStream,
    ] {
        let (columns, csv) = (columns.clone(), sink::csv::Options::default());
        let (bytes, _) = conformance::write(format, &lines, sink::Options { columns, csv });
        assert_eq!(looked_up(&spec(), open(format, &bytes), records), expected, "{format:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let statements = "CREATE TABLE t (code TEXT, name TEXT);
        INSERT INTO t VALUES ('FR', 'Fran\u{e7}ais'), ('DE', NULL);";
    rusqlite::Connection::open(&path).unwrap().execute_batch(statements).unwrap();
    let (database, selection) =
        (Database::Sqlite(path), Selection::Query("SELECT * FROM t".to_owned()));
    let reader =
        source::table::Reader::open("a.db", &database, &selection, ldjson::Options::default());
    assert_eq!(looked_up(&spec(), Box::new(reader.unwrap()), records), expected);
}

#[test]
fn a_table_may_be_of_several_files() {
    let files = ["code,n\na,1\n", "n,code\n2,b\n"].map(|text| many::Waiting {
        name: "table".to_owned(),
        open: Box::new(move |_| Ok(open(Format::Csv, text.as_bytes()))),
    });
    let reader =
        many::Reader::open(files.into(), 0, Default::default()).map_err(|(_, error)| error);
    let told =
        looked_up(&spec(), Box::new(reader.unwrap()), "{\"country\":\"a\"}\n{\"country\":\"b\"}\n");
    assert_eq!(told, [r#"{"country":"a","n":"1"}"#, r#"{"country":"b","n":"2"}"#]);
}

/// Why a table can't be used.
#[track_caller]
fn check_refused(spec: &LookupSpec, format: Format, table: &str, expected: &str) {
    let error = read(spec, open(format, table.as_bytes())).unwrap_err();
    assert_eq!(error.message, expected);
}

#[test]
fn a_table_with_one_bad_row_is_not_used_at_all() {
    for (table, expected) in [
        (
            "{\"code\":1}\n{\"kode\":2,\"n\":1}\n",
            "line 2, byte 11: the row has no `code`; did you mean `kode`?",
        ),
        ("{\"code\":1}\n\n{}\n", "line 3, byte 12: the row has no `code`; it has none"),
        ("{\"code\":1}\n{\"code\":null}\n", "line 2, byte 11: `code` is null, which is no key"),
        ("{\"code\":[1]}\n", "line 1, byte 0: `code` is an array, which is no key"),
        ("{\"code\":{}}\n", "line 1, byte 0: `code` is an object, which is no key"),
        ("{\"code\":1}\n[1]\n", "line 2, byte 11: the row is not an object"),
        (
            "{\"code\":1}\n{\"code\":2,}\n",
            "line 2, byte 11: expected a field name in quotes at column 11",
        ),
        ("{\"code\":1,\"code\":1}\n", "line 1, byte 0: duplicate field `code` at column 11"),
    ] {
        check_refused(&spec(), Format::Ldjson, table, &format!("table: {expected}"));
    }
    for (table, expected) in [
        ("code,n\na,1\nb\n", "line 3, byte 11: the row has 1 field, and the table has 2 columns"),
        ("code,n\na,1\n,2\n", "line 3, byte 11: `code` is null, which is no key"),
        (
            "code,n\n\"a,1\n",
            "line 2, byte 7: the quote that opens at line 2, byte 7 is never closed",
        ),
    ] {
        check_refused(&spec(), Format::Csv, table, &format!("table: {expected}"));
    }
    let row = open(Format::Ldjson, b"{\"code\":1}\n{\"code\":\"\xff\"}\n");
    let error = read(&spec(), row).unwrap_err();
    assert_eq!(error.message, "table: line 2, byte 11: not UTF-8 at byte 9 of the record");
    assert!(error.hint.unwrap().starts_with("mend this row"));
}

#[test]
fn a_column_that_there_is_not_is_told() {
    let table = "code,name\nFR,France\n";
    let name = "table: it has no column `nam`; did you mean `name`?";
    check_refused(&columns(&["nam"]), Format::Csv, table, name);
    let key = LookupSpec { key: "kode".to_owned(), ..spec() };
    let row = "table: line 2, byte 10: the row has no `kode`; did you mean `code`?";
    check_refused(&key, Format::Csv, table, row);
    let no_row = "the table: it has no column `kode`; did you mean `code`?";
    check_refused(&key, Format::Csv, "code,name\n", no_row);
    check_refused(
        &columns(&["name", "name"]),
        Format::Csv,
        table,
        "the column `name` is wanted twice",
    );
    check_refused(
        &columns(&["b"]),
        Format::Ldjson,
        "{\"code\":1}\n",
        "table: it has no column `b`; it has `code`",
    );
}

#[test]
fn a_table_without_rows_has_no_row_for_anybody() {
    let null = LookupSpec { missing: NoMatch::Null, ..spec() };
    check_in(&null, "code,n\n", "{}", r#"{"n":null}"#);
    let told = looked_up(&null, open(Format::Ldjson, b""), r#"{"country":"a"}"#);
    assert_eq!(told, [r#"{"country":"a"}"#]);
    let null = LookupSpec { columns: vec!["n".to_owned()], ..null };
    assert_eq!(looked_up(&null, open(Format::Ldjson, b""), "{}"), [r#"{"n":null}"#]);
}

#[test]
fn no_line_nests_deeper_than_a_reader_goes() {
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let table = |depth| format!(r#"{{"code":"a","n":{}}}"#, nested(depth));
    let record = r#"{"country":"a"}"#;
    check_in(&spec(), &table(126), record, &format!(r#"{{"country":"a","n":{}}}"#, nested(126)));
    let row = table(125);
    check_in(&into("geo"), &row, record, &format!(r#"{{"country":"a","geo":{row}}}"#));
    let why = "table: line 1, byte 0: nesting deeper than 126 levels at column 142";
    check_refused(&into("geo"), Format::Ldjson, &table(126), why);
}

#[test]
fn a_table_that_takes_too_much_memory_is_refused_and_rows_that_nobody_asks_for_take_none() {
    let read = |most, text: String, spec: &LookupSpec| {
        let source = open(Format::Csv, format!("code,n,text\n{text}").as_bytes());
        Table::read_up_to(most, source, spec, &Stop::default())
    };
    let rows = |keys: usize| -> String {
        (0..10_000).map(|n| format!("{},{n},{}\n", n % keys, "x".repeat(200))).collect()
    };
    let error = read(1 << 20, rows(10_000), &spec()).unwrap_err();
    let (place, why) = error.message.split_once(": up to").unwrap();
    assert_eq!(why, " this row the table takes more than 1 MiB of memory, which is the bound");
    let line: usize =
        place.strip_prefix("table: line ").unwrap().split(',').next().unwrap().parse().unwrap();
    assert!((2500..4500).contains(&line), "{line}");
    assert!(error.hint.unwrap().contains("`columns`"));
    assert!(read(3 << 20, rows(10_000), &spec()).is_err());
    assert!(read(4 << 20, rows(10_000), &spec()).is_ok());
    assert!(read(2 << 20, rows(10_000), &columns(&["n"])).is_ok());
    assert!(read(1 << 20, rows(100), &spec()).is_ok());
    // However short rows are.
    let short: String = (0..20_000).map(|n| format!("{n},,\n")).collect();
    assert!(read(1 << 20, short, &columns(&["n"])).is_err());
}

/// A source that can't be read on.
struct Broken;

impl Source for Broken {
    fn name(&self) -> &'static str {
        "Broken"
    }

    fn read_batch(&mut self, _: &mut Batch, _: usize, _: &Stop) -> Result<(), source::SourceError> {
        let (path, source) = ("table".to_owned(), io::Error::other("broken disk"));
        Err(source::SourceError { path, line: Some(3), byte: 4, source })
    }
}

#[test]
fn a_table_that_cannot_be_read_to_its_end_is_not_used() {
    let error = read(&spec(), Box::new(Broken)).unwrap_err();
    assert_eq!(error.message, "table: can't read on at line 3, byte 4: broken disk");
    let stop = Stop::default();
    stop.set();
    let error = Table::read(open(Format::Csv, COUNTRIES.as_bytes()), &spec(), &stop).unwrap_err();
    assert_eq!(error.message, "interrupted");
}
