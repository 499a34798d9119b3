//! Tables that are written, and read again: by the crates, and by our own sources.

use super::*;
use crate::columns::{self, Kind, LEVELS_MAX};
use crate::counts::Counts;
use crate::format::Format;
use crate::pipeline::graph::{self, Work};
use crate::pipeline::limits::Limits;
use crate::pipeline::{self, Pipeline};
use crate::sink::publish::Output;
use crate::sink::{self, Options};
use crate::source::{self, Source, ldjson};
use crate::stop::Stop;
use crate::storage::{self, Memory};
use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type};
use arrow::ipc::reader::{FileReader, StreamReader};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;
use std::io::Cursor;
use std::path::Path;

const FORMATS: [Format; 3] = [Format::Parquet, Format::Arrow, Format::ArrowStream];

fn columns(kinds: &[(&str, Kind)]) -> Vec<Column> {
    kinds
        .iter()
        .map(|(name, kind)| Column { name: (*name).to_owned(), kind: kind.clone() })
        .collect()
}

fn all_kinds() -> Vec<Column> {
    columns(&[
        ("n", Kind::Number),
        ("i", Kind::Integer),
        ("b", Kind::Boolean),
        ("s", Kind::String),
        ("j", Kind::Json),
    ])
}

/// Runs what is in one file into another, without a step.
fn run(
    source: Box<dyn Source>,
    sink: (Format, &Path),
    columns: &[Column],
    threads: usize,
) -> Counts {
    let (format, path) = sink;
    let options = Options { columns: columns.to_vec(), csv: sink::csv::Options::default() };
    let output = Output::create(path).unwrap();
    let outcome = pipeline::run(
        Pipeline {
            nodes: graph::line([
                Work::Source(source),
                Work::Sink(sink::open(format, output, options).unwrap()),
            ]),
            rejects: Output::create(&path.with_extension("rejects")).unwrap(),
            limits: Limits::default(),
            threads,
            stop: Stop::default(),
            checkpoints: None,
        },
        |_, _| (),
    );
    assert!(outcome.published, "{:?}", outcome.error);
    outcome.counts
}

/// What is written of these lines, and the rejects.
fn write(format: Format, columns: &[Column], text: &str, threads: usize) -> (Vec<u8>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let source = ldjson::Reader::new("in", Box::new(Memory::new(text)), ldjson::Options::default());
    run(Box::new(source), (format, &path), columns, threads);
    let rejects = fs::read_to_string(path.with_extension("rejects")).unwrap_or_default();
    (fs::read(&path).unwrap(), rejects)
}

/// The lines that our own source makes of a file.
fn read(format: Format, bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("in"), folder.path().join("out"));
    fs::write(&path, bytes).unwrap();
    let options = source::Options {
        text: ldjson::Options::default(),
        input_schema: Arc::new(json!({})),
        fields: None,
        csv: source::csv::Options::default(),
    };
    let source = source::open(format, "in", storage::open(&path).unwrap(), options).unwrap();
    run(source, (Format::Ldjson, &out), &[], 2);
    fs::read_to_string(&out).unwrap()
}

/// The tables in a file, as the crates read them.
fn tables(format: Format, bytes: &[u8]) -> Vec<RecordBatch> {
    let bytes = bytes.to_vec();
    match format {
        Format::Parquet => {
            let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes)).unwrap();
            reader.with_batch_size(1 << 20).build().unwrap().map(Result::unwrap).collect()
        }
        Format::Arrow => {
            FileReader::try_new(Cursor::new(bytes), None).unwrap().map(Result::unwrap).collect()
        }
        _ => StreamReader::try_new(Cursor::new(bytes), None).unwrap().map(Result::unwrap).collect(),
    }
}

const LINES: &str = r#"{"n":1.5,"i":9223372036854775807,"b":true,"s":"a\n\"é\u0041","j":{"k":[1,null]}}
{"i":-3,"n":2}
{"j":"a text","b":false,"s":"","n":null,"i":3.0}
{"j":1.50,"s":"\\","i":1e3}
{}
"#;

#[test]
fn a_table_has_the_types_of_its_columns_and_nulls_where_nothing_is() {
    for format in FORMATS {
        let (bytes, rejects) = write(format, &all_kinds(), LINES, 1);
        assert_eq!(rejects, "");
        let [table] = &tables(format, &bytes)[..] else { panic!("one table") };
        let numbers = table.column(0).as_primitive::<Float64Type>();
        let numbers: Vec<_> = numbers.iter().collect();
        assert_eq!(numbers, [Some(1.5), Some(2.0), None, None, None]);
        let integers: Vec<_> = table.column(1).as_primitive::<Int64Type>().iter().collect();
        assert_eq!(integers, [Some(i64::MAX), Some(-3), Some(3), Some(1000), None]);
        let booleans: Vec<_> = table.column(2).as_boolean().iter().collect();
        assert_eq!(booleans, [Some(true), None, Some(false), None, None]);
        let texts: Vec<_> = table.column(3).as_string::<i32>().iter().collect();
        assert_eq!(texts, [Some("a\n\"éA"), None, Some(""), Some("\\"), None]);
        let json: Vec<_> = table.column(4).as_string::<i32>().iter().collect();
        assert_eq!(json, [Some(r#"{"k":[1,null]}"#), None, Some("a text"), Some("1.50"), None]);
    }
}

#[test]
fn what_was_written_is_read_again() {
    let expected = r#"{"n":1.5,"i":9223372036854775807,"b":true,"s":"a\n\"éA","j":"{\"k\":[1,null]}"}
{"n":2.0,"i":-3,"b":null,"s":null,"j":null}
{"n":null,"i":3,"b":false,"s":"","j":"a text"}
{"n":null,"i":1000,"b":null,"s":"\\","j":"1.50"}
{"n":null,"i":null,"b":null,"s":null,"j":null}
"#;
    for format in FORMATS {
        let (bytes, _) = write(format, &all_kinds(), LINES, 2);
        assert_eq!(read(format, &bytes), expected, "{format:?}");
    }
}

#[track_caller]
fn check_reject(columns: &[Column], record: &str, path: &str, message: &str) {
    let text = format!("{{}}\n{record}\n{{}}\n");
    for format in FORMATS {
        let (bytes, rejects) = write(format, columns, &text, 2);
        let rows: usize = tables(format, &bytes).iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rows, 2, "its neighbours are written");
        let reject: Value = serde_json::from_str(&rejects).expect("one reject");
        assert_eq!((&reject["record"], &reject["line"]), (&json!(record), &json!(2)));
        let step = ["ParquetWriter", "ArrowWriter", "ArrowStreamWriter"];
        let at = FORMATS.iter().position(|it| *it == format).unwrap();
        let kind =
            if message.starts_with("there is no column") { "no_column" } else { "not_writable" };
        assert_eq!((&reject["kind"], &reject["step"]), (&json!(kind), &json!(step[at])));
        assert_eq!(reject["message"], message);
        assert_eq!(reject.get("path").unwrap_or(&json!("")), path);
    }
}

#[test]
fn a_record_that_does_not_fit_is_a_reject_that_names_column_and_value() {
    let all = &all_kinds();
    let takes = |shown: &str, takes: &str| {
        let column = &shown[..3];
        format!("{column} is {}, and its column takes {takes}", &shown[4..])
    };
    let (numbers, integers) = ("numbers of 64 bits", "integers of 64 bits");
    check_reject(all, r#"{"n":"1"}"#, "n", &takes(r#"`n` "1""#, numbers));
    check_reject(all, r#"{"n":1e400}"#, "n", &takes("`n` 1e400", numbers));
    check_reject(all, r#"{"n":[1]}"#, "n", &takes("`n` [1]", numbers));
    check_reject(all, r#"{"n":true}"#, "n", &takes("`n` true", numbers));
    let wide = "9223372036854775808";
    check_reject(all, &format!(r#"{{"i":{wide}}}"#), "i", &takes(&format!("`i` {wide}"), integers));
    check_reject(all, r#"{"i":1.5}"#, "i", &takes("`i` 1.5", integers));
    check_reject(all, r#"{"i":1e19}"#, "i", &takes("`i` 1e19", integers));
    check_reject(all, r#"{"i":"1"}"#, "i", &takes(r#"`i` "1""#, integers));
    check_reject(all, r#"{"b":1}"#, "b", &takes("`b` 1", "true and false"));
    check_reject(all, r#"{"s":1}"#, "s", &takes("`s` 1", "texts"));
    check_reject(all, r#"{"n":1,"x":2}"#, "x", "there is no column for the field `x`");
    check_reject(all, "[1]", "", "it is no object, and a table's row has fields");
    let long = format!(r#"{{"n":"{}"}}"#, "x".repeat(100));
    let shown = format!(r#"`n` "{}…"#, "x".repeat(63));
    check_reject(all, &long, "n", &takes(&shown, numbers));
}

/// The columns of a model whose predictions hold others.
fn nested() -> Vec<Column> {
    let row = json!({"type": "object", "properties": {
        "width": {"type": "number"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "more": {"type": "object", "additionalProperties": {"type": "integer"}},
    }});
    columns::of_schema(&json!({"type": "object", "properties": {
        "scores": {"type": "array", "items": {"type": "number"}},
        "best": {"anyOf": [{"$ref": "#/$defs/Best"}, {"type": "null"}]},
        "rows": {"type": "array", "items": row},
    }, "$defs": {
        "Best": {"type": "object", "properties": {"n": {"type": "integer"}, "ok": {"type": "boolean"}}},
    }}))
}

#[test]
fn arrays_and_objects_have_the_types_of_their_schema() {
    let field = |name: &str, of| Field::new(name, of, true);
    let list = |of| DataType::List(Arc::new(field("item", of)));
    let best = vec![field("n", DataType::Int64), field("ok", DataType::Boolean)];
    let row = vec![
        field("more", DataType::Utf8),
        field("tags", list(DataType::Utf8)),
        field("width", DataType::Float64),
    ];
    let expected = Schema::new(vec![
        field("best", DataType::Struct(best.into())),
        field("rows", list(DataType::Struct(row.into()))),
        field("scores", list(DataType::Float64)),
    ]);
    let text = r#"{"scores":[1,2.5,null],"best":{"n":1,"ok":true},"rows":[{"width":0.5,"tags":["a\"]}",""],"more":{"x":1}},null,{}]}
{"rows" : [ { "more":[ 1 ], "tags" : [ ] , "\u0077idth":1e0 } ], "best":{"ok":false}, "scores":[ ] }
{"best":null,"scores":null}
{}
"#;
    let again = r#"{"best":{"n":1,"ok":true},"rows":[{"more":"{\"x\":1}","tags":["a\"]}",""],"width":0.5},null,{"more":null,"tags":null,"width":null}],"scores":[1.0,2.5,null]}
{"best":{"n":null,"ok":false},"rows":[{"more":"[ 1 ]","tags":[],"width":1.0}],"scores":[]}
{"best":null,"rows":null,"scores":null}
{"best":null,"rows":null,"scores":null}
"#;
    for format in FORMATS {
        let (bytes, rejects) = write(format, &nested(), text, 2);
        assert_eq!(rejects, "");
        let [table] = &tables(format, &bytes)[..] else { panic!("one table") };
        assert_eq!(*table.schema(), expected, "{format:?}");
        let scores = table.column(2).as_list::<i32>();
        assert_eq!((scores.is_null(1), scores.is_null(2)), (false, true));
        let first = scores.value(0);
        let first: Vec<_> = first.as_primitive::<Float64Type>().iter().collect();
        assert_eq!(first, [Some(1.0), Some(2.5), None]);
        assert_eq!(read(format, &bytes), again, "{format:?}");
    }
}

#[test]
fn a_value_that_does_not_fit_is_named_by_its_place_in_the_record() {
    let all = &nested();
    let check = |record: &str, path: &str, value: &str, takes: &str| {
        let message = format!("`{path}` is {value}, and its column takes {takes}");
        check_reject(all, record, path, &message);
    };
    let numbers = "numbers of 64 bits";
    check(r#"{"scores":[1,2,"3"]}"#, "scores[2]", r#""3""#, numbers);
    check(r#"{"scores":{"a":[1]}}"#, "scores", r#"{"a":[1]}"#, "arrays");
    check(r#"{"scores":[[1, 2]]}"#, "scores[0]", "[1, 2]", numbers);
    check(r#"{"best":[]}"#, "best", "[]", "objects");
    check(r#"{"best":"b"}"#, "best", r#""b""#, "objects");
    check(r#"{"best":{"n":0.5}}"#, "best.n", "0.5", "integers of 64 bits");
    let row = |row: &str| format!(r#"{{"rows":[null,{{}},{{"width":1}},{row}]}}"#);
    check(&row(r#"{"width":true}"#), "rows[3].width", "true", numbers);
    check(&row(r#"{"tags":["a",{"b":"]"}]}"#), "rows[3].tags[1]", r#"{"b":"]"}"#, "texts");
    let (record, path) = (row(r#"{"length":1}"#), "rows[3].length");
    check_reject(all, &record, path, &format!("there is no column for the field `{path}`"));
}

#[test]
fn a_row_that_no_table_has_room_for_is_not_built() {
    let mut values = Values::new(100);
    let column = |kind| Column { name: "c".to_owned(), kind };
    let struct_of = |n: usize| Kind::Struct((0..n).map(|_| column(Kind::Number)).collect());
    let list_of = |kind| column(Kind::List(Box::new(kind)));
    for (column, text) in [
        (list_of(Kind::Number), "[1,2,3,4,5,6,7,8,9,0,1]".to_owned()),
        (list_of(struct_of(40)), "[null,null,null]".to_owned()),
        (list_of(struct_of(40)), "[{},{},{}]".to_owned()),
        (column(Kind::String), format!("\"{}\"", "x".repeat(100))),
        (list_of(Kind::String), format!("[\"{}\",\"{0}\"]", "x".repeat(50))),
    ] {
        let mut out = vec![0; 1000];
        values.begin(&out);
        let unfit = values.put_column(&column, Some(&text), &mut out).unwrap_err();
        let words = "the row is over 1073741824 bytes long in its columns";
        assert!(unfit.message().contains(words), "{text}: {}", unfit.message());
        assert!(out.len() < 1200, "{text}");
    }
}

#[test]
fn what_is_nested_as_deep_as_it_may_be_is_read_again() {
    let levels_max = LEVELS_MAX + 2; // as with --emit nest and --place
    let levels =
        |n: usize, (left, right)| format!("{}1.5{}", str::repeat(left, n), str::repeat(right, n));
    for (brackets, wrap) in [
        (("[", "]"), (|kind| Kind::List(Box::new(kind))) as fn(Kind) -> Kind),
        (("{\"a\":", "}"), |kind| Kind::Struct(columns(&[("a", kind)]))),
    ] {
        let kind = (0..levels_max).fold(Kind::Number, |kind, _| wrap(kind));
        let text = format!("{{\"c\":{}}}\n", levels(levels_max, brackets));
        for format in FORMATS {
            let (bytes, _) = write(format, &columns(&[("c", kind.clone())]), &text, 1);
            assert_eq!(read(format, &bytes), text, "{format:?}");
        }
    }
}

#[test]
fn what_is_no_object_has_a_column_of_its_own() {
    let column = |kind| columns(&[(VALUE, kind)]);
    for format in FORMATS {
        let written = |kind, text: &str| read(format, &write(format, &column(kind), text, 1).0);
        assert_eq!(written(Kind::String, "\"a\"\n"), "{\"prediction\":\"a\"}\n");
        assert_eq!(
            written(Kind::Number, "1.5\n null \n"),
            "{\"prediction\":1.5}\n{\"prediction\":null}\n"
        );
        assert_eq!(written(Kind::Json, "[1, 2]\n"), "{\"prediction\":\"[1, 2]\"}\n");
        assert_eq!(written(Kind::Json, "{\"a\":1}\n"), "{\"prediction\":\"{\\\"a\\\":1}\"}\n");
        assert_eq!(written(Kind::Integer, "{\"prediction\":1}\n"), "{\"prediction\":1}\n");
    }
}

#[test]
fn a_table_without_rows_has_its_columns() {
    for format in FORMATS {
        let (bytes, _) = write(format, &all_kinds(), "", 2);
        let schema = match format {
            Format::Parquet => ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes.clone()))
                .unwrap()
                .schema()
                .clone(),
            Format::Arrow => {
                FileReader::try_new(Cursor::new(bytes.clone()), None).unwrap().schema()
            }
            _ => StreamReader::try_new(Cursor::new(bytes.clone()), None).unwrap().schema(),
        };
        assert_eq!(schema, super::schema(&all_kinds()));
        assert_eq!(read(format, &bytes), "");
    }
}

#[test]
fn the_bytes_do_not_depend_on_threads_and_tables_end_after_so_many_rows() {
    let line = |n: usize| format!("{{\"n\":{n}.5,\"s\":\"{}\"}}\n", "x".repeat(n % 50));
    let text: String = (0..3 * ROWS_MAX + 5).map(line).collect();
    for format in FORMATS {
        let (bytes, _) = write(format, &all_kinds(), &text, 1);
        assert!(write(format, &all_kinds(), &text, 8).0 == bytes, "{format:?}");
        let rows: Vec<_> = tables(format, &bytes).iter().map(RecordBatch::num_rows).collect();
        match format {
            Format::Parquet => assert_eq!(rows, [3 * ROWS_MAX + 5]),
            _ => assert_eq!(rows, [ROWS_MAX, ROWS_MAX, ROWS_MAX, 5]),
        }
    }
}

#[test]
fn long_rows_end_a_table_earlier() {
    let line = format!("{{\"s\":\"{}\"}}\n", "x".repeat(BYTES_MAX / 4));
    let (bytes, _) = write(Format::Arrow, &all_kinds(), &line.repeat(10), 2);
    let rows: Vec<_> = tables(Format::Arrow, &bytes).iter().map(RecordBatch::num_rows).collect();
    assert_eq!(rows, [4, 4, 2]);
}

/// A record of `all_kinds`, as our sources write it.
fn record() -> impl Strategy<Value = String> {
    let text =
        || proptest::option::of(proptest::string::string_regex("[ -~éß\n\t\"\\\\]{0,20}").unwrap());
    let number = proptest::option::of(proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL);
    let (integer, boolean) =
        (proptest::option::of(any::<i64>()), proptest::option::of(any::<bool>()));
    (number, integer, boolean, text(), text()).prop_map(|(n, i, b, s, j)| {
        let json = |value: Value| value.to_string();
        format!(
            r#"{{"n":{},"i":{},"b":{},"s":{},"j":{}}}"#,
            json(json!(n)),
            json(json!(i)),
            json(json!(b)),
            json(json!(s)),
            json(json!(j))
        )
    })
}

/// A kind that holds others, and values of it: a value is told twice, as it is read again and as a
/// model might write it.
fn column() -> impl Strategy<Value = (Kind, Vec<[String; 2]>)> {
    let flat = prop_oneof![Just(Kind::Number), Just(Kind::Integer), Just(Kind::String)];
    let kind = flat.prop_recursive(4, 16, 4, |inner| {
        let columns = vec(inner.clone(), 1..4).prop_map(|kinds| {
            let columns = kinds.into_iter().enumerate();
            columns.map(|(n, kind)| Column { name: format!("f{n}"), kind }).collect()
        });
        prop_oneof![
            inner.prop_map(|kind| Kind::List(Box::new(kind))),
            columns.prop_map(Kind::Struct)
        ]
    });
    kind.prop_flat_map(|kind| (Just(kind.clone()), vec(value(&kind), 0..20)))
}

fn value(kind: &Kind) -> BoxedStrategy<[String; 2]> {
    let null = Just(["null".to_owned(), "null".to_owned()]);
    let same = |value: Value| [value.to_string(), value.to_string()];
    let there = match kind {
        Kind::Number => proptest::num::f64::NORMAL.prop_map(move |it| same(json!(it))).boxed(),
        Kind::Integer => any::<i64>().prop_map(move |it| same(json!(it))).boxed(),
        Kind::List(items) => vec(value(items), 0..4)
            .prop_map(|items| {
                let join = |n: usize, comma| {
                    items.iter().map(|item| &*item[n]).collect::<Vec<_>>().join(comma)
                };
                [format!("[{}]", join(0, ",")), format!("[ {} ]", join(1, " ,\t"))]
            })
            .boxed(),
        Kind::Struct(columns) => {
            let values: Vec<_> = columns.iter().map(|column| value(&column.kind)).collect();
            let names: Vec<_> = columns.iter().map(|column| column.name.clone()).collect();
            let fields = values.prop_map(move |values| names.iter().cloned().zip(values).collect());
            let shuffled = fields.prop_flat_map(|fields: Vec<(String, [String; 2])>| {
                (Just(fields.clone()), Just(fields).prop_shuffle())
            });
            let joined = |(fields, mut others): (Vec<(String, [String; 2])>, Vec<_>)| {
                others.retain(|(_, value): &(String, [String; 2])| value[0] != "null");
                let fields = fields.iter().map(|(name, value)| format!("\"{name}\":{}", value[0]));
                let others = others.iter().map(|(name, value)| format!("\"{name}\" :{}", value[1]));
                let join = |all: Vec<String>| format!("{{{}}}", all.join(","));
                [join(fields.collect()), join(others.collect())]
            };
            shuffled.prop_map(joined).boxed()
        }
        _ => "[ -~é]{0,9}".prop_map(move |it| same(json!(it))).boxed(),
    };
    prop_oneof![1 => null, 4 => there].boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_table_is_the_same_when_it_was_written_and_read(records in vec(record(), 0..40)) {
        let text: String = records.iter().map(|record| format!("{record}\n")).collect();
        for format in FORMATS {
            let (bytes, rejects) = write(format, &all_kinds(), &text, 2);
            prop_assert_eq!(&rejects, "");
            prop_assert_eq!(&read(format, &bytes), &text);
        }
    }

    #[test]
    fn any_nested_value_is_the_same_when_it_was_written_and_read((kind, values) in column()) {
        let text = |n: usize| -> String {
            values.iter().map(|value| format!("{{\"c\":{}}}\n", value[n])).collect()
        };
        for format in FORMATS {
            let (bytes, rejects) = write(format, &columns(&[("c", kind.clone())]), &text(1), 2);
            prop_assert_eq!(&rejects, "");
            prop_assert_eq!(&read(format, &bytes), &text(0));
        }
    }
}
