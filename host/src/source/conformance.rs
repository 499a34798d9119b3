//! What all readers and all writers have in common: the same table in every format gives the same
//! records, and what is written and read is what it was. Through the traits, as a run does it.
//!
//! A new format is a line in [`readers`] and a name in [`WRITERS`].

use super::{Source, csv, ldjson, open};
use crate::batch::Batch;
use crate::columns::{self, Column};
use crate::format::Format;
use crate::record::RecordPosition;
use crate::sink::publish::{Output, publish};
use crate::sink::{self, Sink};
use crate::stop::Stop;
use crate::storage::Memory;
use crate::storage::database::{Database, Selection};
use crate::storage::names::TableName;
use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::ipc::writer::{FileWriter, StreamWriter};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::num::NonZeroU64;
use std::sync::Arc;

/// What a source gives: each record as JSON, or why it is rejected: `LINE:BYTE KIND PATH: MESSAGE`.
pub(crate) fn drain(mut source: Box<dyn Source>) -> Vec<String> {
    let (mut decoder, step) = (source.decoder(), source.name());
    let (mut batch, mut told) = (Batch::default(), Vec::new());
    loop {
        source.read_batch(&mut batch, 1 << 16, &Stop::default()).unwrap();
        if batch.read() == 0 {
            return told;
        }
        batch.reject_invalid_utf8(step);
        if let Some(decoder) = &mut decoder {
            decoder.apply(&mut batch).unwrap();
        }
        let rejects = batch.rejects();
        let mut rejects = rejects.iter().peekable();
        let mut going_on = 0;
        for index in 0..batch.read() as u32 {
            told.push(match rejects.next_if(|reject| reject.index == index) {
                Some(reject) => {
                    let RecordPosition { line, byte } = reject.position;
                    let (kind, path, message) = (reject.kind.name(), reject.path, reject.message);
                    format!("{line}:{byte} {kind} {path}: {message}")
                }
                None => {
                    going_on += 1;
                    String::from_utf8(batch.record(going_on - 1).to_vec()).unwrap()
                }
            });
        }
    }
}

/// For a model with this schema.
pub(crate) fn options(input_schema: &Value) -> super::Options {
    super::Options {
        text: ldjson::Options::default(),
        csv: csv::Options::default(),
        input_schema: Arc::new(input_schema.clone()),
        fields: None,
    }
}

pub(crate) fn read(format: Format, bytes: &[u8], options: super::Options) -> Vec<String> {
    drain(open(format, "in", Box::new(Memory::new(bytes)), options).unwrap())
}

/// The file that these records become, and the rejects, as `KIND PATH`.
pub(crate) fn write(
    format: Format,
    records: &[String],
    options: sink::Options,
) -> (Vec<u8>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let sink = sink::open(format, Output::create(&path).unwrap(), options).unwrap();
    let rejected = write_to(sink, records);
    (std::fs::read(&path).unwrap(), rejected)
}

/// Writes records, as a run does, and publishes them; tells the rejects.
fn write_to(mut sink: Box<dyn Sink>, records: &[String]) -> Vec<String> {
    let (mut encoder, mut rejected) = (sink.encoder(), Vec::new());
    for some in records.chunks(3) {
        let mut batch = Batch::default();
        let input = Memory::new(some.join("\n"));
        let mut lines = ldjson::Reader::new("in", Box::new(input), ldjson::Options::default());
        lines.read_batch(&mut batch, 1 << 20, &Stop::default()).unwrap();
        if let Some(encoder) = &mut encoder {
            encoder.apply(&mut batch).unwrap();
        }
        sink.accept(&mut batch).unwrap();
        let rejects = batch.rejects();
        rejected.extend(rejects.iter().map(|it| format!("{} {}", it.kind.name(), it.path)));
        sink.write(&batch).unwrap();
    }
    sink.complete().unwrap();
    publish(vec![sink.finish()], vec![]).unwrap();
    rejected
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "n": {"type": "integer"},
            "x": {"type": ["number", "null"]},
            "ok": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
            "text": {"type": ["string", "null"]},
            "list": {"type": ["array", "null"]},
        },
        "required": ["n", "x", "ok", "text", "list"],
    })
}

fn table() -> Vec<Value> {
    vec![
        json!({"n": 1, "x": 1.5, "ok": true, "text": "plain", "list": [1, "a", null]}),
        json!({"n": -9_007_199_254_740_993_i64, "x": -2.5e-3, "ok": false, "text": "", "list": []}),
        json!({"n": i64::MAX, "x": null, "ok": null, "text": null, "list": null}),
        json!({"n": 0, "x": 1e300, "ok": true, "text": "say \"no\", or 'yes';\ttab", "list": [[]]}),
        json!({"n": 2, "x": 0.1, "ok": true, "text": "two\nlines\r\nand \\n", "list": [{"a": "\n"}]}),
        json!({"n": 3, "x": 5.0, "ok": false, "text": " \u{e4}\u{1f600}\u{feff} ", "list": ["\""]}),
        json!({"n": 4, "x": 7.0, "ok": false, "text": "12345678901234567890123", "list": [-1]}),
        json!({"n": 5, "x": 7.0, "ok": false, "text": "null", "list": ["null"]}),
    ]
}

fn columns() -> Vec<Column> {
    columns::of_schema(&schema())
}

/// In a table of columns, what the schema leaves open is JSON text.
fn parsed(records: Vec<String>) -> Vec<Value> {
    let parse = |text: &String| {
        let mut record: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("{text}"));
        if let Some(list) = record["list"].as_str() {
            record["list"] = serde_json::from_str(list).unwrap_or_else(|_| panic!("{list}"));
        }
        // A number is the same with a fraction of zeros and without.
        if let Some(x) = record["x"].as_f64() {
            record["x"] = x.into();
        }
        record
    };
    records.iter().map(parse).collect()
}

/// The table as somebody else would write it.
fn readers() -> Vec<(Format, Vec<u8>)> {
    let rows = |delimiter: &str| {
        let rows = [
            "n,x,ok,text,list",
            "1,1.5,true,plain,\"[1, \"\"a\"\", null]\"",
            "-9007199254740993,-2.5e-3,False,\"\",[]",
            "9223372036854775807,,,,",
            "0,+1E300,TRUE,\"say \"\"no\"\", or 'yes';\ttab\",[[]]",
            "2,.1,true,\"two\nlines\r\nand \\n\",\"[{\"\"a\"\":\n\"\"\\n\"\"}]\"",
            "3.0,5.,false,\" \u{e4}\u{1f600}\u{feff} \",\"[\"\"\\\"\"\"\"]\"",
            " 4 ,007,false,12345678901234567890123,[-1]",
            "5,7,false,null,\"[\"\"null\"\"]\"",
        ];
        let rows = rows.map(|row| match delimiter {
            "," => row.to_owned(),
            // Between fields only: a comma in quotes stays.
            delimiter => {
                let parts = row.split('"').enumerate().map(|(n, part)| match n % 2 {
                    0 => part.replace(',', delimiter),
                    _ => part.to_owned(),
                });
                parts.collect::<Vec<_>>().join("\"")
            }
        });
        ("\u{feff}".to_owned() + &rows.join("\r\n")).into_bytes()
    };
    let objects: Vec<String> = table().iter().map(Value::to_string).collect();
    let pretty = serde_json::to_string_pretty(&table()).unwrap();
    vec![
        (Format::Ldjson, objects.join("\n").into_bytes()),
        (Format::JsonArray, format!("[{}]", objects.join(",")).into_bytes()),
        (Format::JsonArray, pretty.into_bytes()),
        (Format::Csv, rows(",")),
        (Format::Tsv, rows("\t")),
        (Format::Parquet, parquet(&columnar())),
        (Format::Arrow, arrow_file(&columnar())),
        (Format::ArrowStream, arrow_stream(&columnar())),
    ]
}

/// The table in columns.
fn columnar() -> RecordBatch {
    let table = table();
    let column = |name| table.iter().map(|row: &Value| row[name].clone()).collect::<Vec<_>>();
    let texts = |values: Vec<Value>| -> ArrayRef {
        let text = |value: Value| match value {
            Value::Null => None,
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        };
        Arc::new(values.into_iter().map(text).collect::<StringArray>())
    };
    let columns: [(&str, ArrayRef); 5] = [
        ("n", Arc::new(column("n").iter().map(Value::as_i64).collect::<Int64Array>())),
        ("x", Arc::new(column("x").iter().map(Value::as_f64).collect::<Float64Array>())),
        ("ok", Arc::new(column("ok").iter().map(Value::as_bool).collect::<BooleanArray>())),
        ("text", texts(column("text"))),
        ("list", texts(column("list"))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, it)| (name, it, true))).unwrap()
}

fn parquet(table: &RecordBatch) -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(Vec::new(), table.schema(), None).unwrap();
    writer.write(table).unwrap();
    writer.into_inner().unwrap()
}

fn arrow_file(table: &RecordBatch) -> Vec<u8> {
    let mut writer = FileWriter::try_new(Vec::new(), &table.schema()).unwrap();
    writer.write(table).unwrap();
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}

fn arrow_stream(table: &RecordBatch) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &table.schema()).unwrap();
    writer.write(table).unwrap();
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}

/// Those of text, which keep the spelling of numbers, and all.
const TEXTS: [Format; 4] = [Format::Ldjson, Format::JsonArray, Format::Csv, Format::Tsv];
const WRITERS: [Format; 7] = [
    Format::Ldjson,
    Format::JsonArray,
    Format::Csv,
    Format::Tsv,
    Format::Parquet,
    Format::Arrow,
    Format::ArrowStream,
];

fn written(format: Format, records: &[Value]) -> Vec<u8> {
    let records: Vec<String> = records.iter().map(Value::to_string).collect();
    let options = sink::Options { columns: columns(), csv: sink::csv::Options::default() };
    let (file, rejected) = write(format, &records, options);
    assert_eq!(rejected, [""; 0], "{}", format.name());
    file
}

#[test]
fn the_same_table_in_every_format_gives_the_same_records() {
    for (format, bytes) in readers() {
        let records = read(format, &bytes, options(&schema()));
        assert_eq!(parsed(records), table(), "{}", format.name());
    }
}

#[test]
fn what_is_written_and_read_is_what_it_was() {
    for format in WRITERS {
        for len in 0..=table().len() {
            let file = written(format, &table()[..len]);
            let records = parsed(read(format, &file, options(&schema())));
            assert_eq!(records, table()[..len], "{}", format.name());
        }
    }
}

/// Records that were written to a table of SQLite, and read from it.
fn through_a_database(records: &[Value]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::Sqlite(folder.path().join("a.db"));
    let table: TableName = "\"a table.\"".parse().unwrap();
    let options = sink::table::Options {
        table: table.clone(),
        columns: columns(),
        creates: true,
        upsert: Vec::new(),
    };
    let writer = sink::table::Writer::open(&database, "a.db".to_owned(), options).unwrap();
    let records: Vec<String> = records.iter().map(Value::to_string).collect();
    assert_eq!(write_to(Box::new(writer), &records), [""; 0]);
    let selection = Selection::Table(table);
    let options = ldjson::Options::default();
    let reader = super::table::Reader::open("a.db", &database, &selection, options).unwrap();
    assert_eq!(reader.columns().unwrap(), columns());
    parsed(drain(Box::new(reader)))
}

#[test]
fn so_it_is_through_a_database() {
    for len in 0..=table().len() {
        assert_eq!(through_a_database(&table()[..len]), table()[..len]);
    }
}

#[test]
fn behind_each_checkpoint_a_reader_gives_what_is_left() {
    let whole = table();
    for (format, bytes) in readers() {
        let mut options = options(&schema());
        options.text.checkpoint_bytes = NonZeroU64::new(1);
        let open = |options| open(format, "in", Box::new(Memory::new(&*bytes)), options).unwrap();
        let (mut source, mut batch, mut read) = (open(options.clone()), Batch::default(), 0);
        let mut resumed = 0;
        loop {
            source.read_batch(&mut batch, 1 << 16, &Stop::default()).unwrap();
            read += batch.read();
            let Some(start) = batch.checkpoint() else { break };
            resumed += 1;
            let text = ldjson::Options { start, ..options.text.clone() };
            let rest = drain(open(super::Options { text, ..options.clone() }));
            assert_eq!(parsed(rest), whole[read..], "{} at {start:?}", format.name());
        }
        assert!(resumed > 1, "{}", format.name());
    }
}

#[test]
fn numbers_keep_their_spelling_through_text() {
    let schema = json!({"properties": {"x": {"type": "number"}}});
    let numbers = ["1e400", "0.10", "123456789012345678901234567890.5", "-0", "1E-7", "5.00"];
    let records = numbers.map(|number| format!("{{\"x\":{number}}}"));
    for format in TEXTS {
        let columns = columns::of_schema(&schema);
        let csv = sink::csv::Options::default();
        let (file, _) = write(format, &records, sink::Options { columns, csv });
        assert_eq!(read(format, &file, options(&schema)), records, "{}", format.name());
    }
}

fn record() -> impl Strategy<Value = Value> {
    let text = "[ab\",\t\r\n\\\\;'\u{e4}\u{1f600} ]{0,6}";
    let x = prop_oneof![Just(json!(null)), any::<i32>().prop_map(|n| json!(f64::from(n) / 64.0))];
    let word = prop_oneof![Just(json!(null)), text.prop_map(Value::from)];
    let list =
        prop_oneof![Just(json!(null)), vec(text.prop_map(Value::from), 0..3).prop_map(Value::from)];
    (any::<i64>(), x, any::<Option<bool>>(), word, list).prop_map(
        |(n, x, ok, text, list)| json!({"n": n, "x": x, "ok": ok, "text": text, "list": list}),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_table_that_is_written_and_read_is_what_it_was(records in vec(record(), 0..9)) {
        for format in WRITERS {
            let file = written(format, &records);
            let read = parsed(read(format, &file, options(&schema())));
            prop_assert_eq!(&read, &records, "{}", format.name());
        }
        prop_assert_eq!(&through_a_database(&records), &records);
    }
}
