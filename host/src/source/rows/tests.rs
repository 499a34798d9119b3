//! Rows of all three formats, whole and broken: the same table gives the same records.

use super::*;
use crate::format::Format;
use crate::source::{self, Options};
use crate::storage;
use arrow::array::*;
use arrow::compute::concat_batches;
use arrow::datatypes::*;
use arrow::ipc::writer::{FileWriter, StreamWriter};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde_json::json;
use std::fmt::Write as _;
use std::num::NonZeroU64;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Mutex;

const FORMATS: [Format; 3] = [Format::Parquet, Format::Arrow, Format::ArrowStream];

/// A file as others write it: each of the tables is a record batch, each 3 rows are a row group.
fn file(format: Format, tables: &[RecordBatch]) -> Vec<u8> {
    let (schema, mut bytes) = (tables[0].schema(), Vec::new());
    match format {
        Format::Parquet => {
            let properties = WriterProperties::builder().set_max_row_group_row_count(Some(3));
            let properties = Some(properties.build());
            let mut writer = ArrowWriter::try_new(&mut bytes, schema, properties).unwrap();
            tables.iter().for_each(|table| writer.write(table).unwrap());
            writer.close().unwrap();
        }
        Format::Arrow => {
            let mut writer = FileWriter::try_new(&mut bytes, &schema).unwrap();
            tables.iter().for_each(|table| writer.write(table).unwrap());
            writer.finish().unwrap();
        }
        _ => {
            let mut writer = StreamWriter::try_new(&mut bytes, &schema).unwrap();
            tables.iter().for_each(|table| writer.write(table).unwrap());
            writer.finish().unwrap();
        }
    }
    bytes
}

fn options() -> Options {
    Options {
        text: ldjson::Options::default(),
        input_schema: Arc::new(json!({})),
        fields: None,
        csv: source::csv::Options::default(),
    }
}

/// What is read of a file.
#[derive(Debug, Default, PartialEq)]
struct Read {
    /// `LINE:BYTE RECORD` of each record, and of each reject `LINE:BYTE KIND PATH: MESSAGE RECORD`.
    records: String,
    checkpoints: Vec<RecordPosition>,
    /// The cause, and the line.
    error: Option<(String, u64)>,
}

fn read(format: Format, bytes: &[u8], options: Options, bytes_wanted: usize) -> Read {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in");
    std::fs::write(&path, bytes).unwrap();
    let mut input = storage::open(&path).unwrap();
    if options.text.start != RecordPosition::default() {
        input.seek(options.text.start).unwrap(); // as who resumes a run does
    }
    let mut read = Read::default();
    let mut source = match source::open(format, "in", input, options) {
        Ok(source) => source,
        Err(error) => return Read { error: Some((error.to_string(), 0)), ..read },
    };
    let mut batch = Batch::default();
    loop {
        if let Err(error) = source.read_batch(&mut batch, bytes_wanted, &Stop::default()) {
            read.error = Some((error.source.to_string(), error.line.unwrap()));
            return read;
        }
        if batch.read() == 0 {
            return read;
        }
        for (record, (_, RecordPosition { line, byte })) in batch.places().enumerate() {
            let text = batch.record(record).escape_ascii();
            writeln!(read.records, "{line}:{byte} {text}").unwrap();
        }
        for reject in batch.rejects() {
            let RecordPosition { line, byte } = reject.position;
            let (kind, text) = (reject.kind.name(), reject.record.escape_ascii());
            let (path, message) = (reject.path, reject.message);
            writeln!(read.records, "{line}:{byte} {kind} {path}: {message} {text}").unwrap();
        }
        read.checkpoints.extend(batch.checkpoint());
    }
}

/// A table of a kind that others make: its columns have all sorts of types.
fn table() -> RecordBatch {
    let columns: [(&str, ArrayRef); 8] = [
        ("id", Arc::new(Int64Array::from(vec![i64::MAX, 2, 3, 4, 5]))),
        (
            "x",
            Arc::new(Float32Array::from(vec![Some(0.1), None, Some(2.0), Some(1e10), Some(0.3)])),
        ),
        (
            "price",
            Arc::new(
                Decimal128Array::from(vec![Some(150), Some(-5), None, Some(0), Some(99)])
                    .with_precision_and_scale(20, 2)
                    .unwrap(),
            ),
        ),
        (
            "at",
            Arc::new(
                TimestampMillisecondArray::from(vec![0, 1, 2, 3, -1])
                    .with_timezone("Europe/Berlin"),
            ),
        ),
        (
            "kind",
            Arc::new(DictionaryArray::<Int32Type>::from_iter([
                Some("a"),
                Some("b"),
                None,
                Some("a"),
                Some("a"),
            ])),
        ),
        (
            "list",
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([
                Some(vec![Some(1), None]),
                None,
                Some(vec![]),
                Some(vec![Some(2)]),
                Some(vec![Some(3), Some(4)]),
            ])),
        ),
        (
            "of",
            Arc::new(StructArray::from(vec![(
                Arc::new(Field::new("b", DataType::LargeUtf8, true)),
                Arc::new(LargeStringArray::from(vec![Some("x"), None, Some("y"), Some("z"), None]))
                    as ArrayRef,
            )])),
        ),
        ("day", Arc::new(Date32Array::from(vec![Some(0), None, Some(1), Some(2), Some(3)]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
        .unwrap()
}

const RECORDS: [&str; 5] = [
    r#"{"id":9223372036854775807,"x":0.1,"price":1.50,"at":"1970-01-01T00:00:00.000Z","kind":"a","list":[1,null],"of":{"b":"x"},"day":"1970-01-01"}"#,
    r#"{"id":2,"x":null,"price":-0.05,"at":"1970-01-01T00:00:00.001Z","kind":"b","list":null,"of":{"b":null},"day":null}"#,
    r#"{"id":3,"x":2.0,"price":null,"at":"1970-01-01T00:00:00.002Z","kind":null,"list":[],"of":{"b":"y"},"day":"1970-01-02"}"#,
    r#"{"id":4,"x":1e10,"price":0.00,"at":"1970-01-01T00:00:00.003Z","kind":"a","list":[2],"of":{"b":"z"},"day":"1970-01-03"}"#,
    r#"{"id":5,"x":0.3,"price":0.99,"at":"1969-12-31T23:59:59.999Z","kind":"a","list":[3,4],"of":{"b":null},"day":"1970-01-04"}"#,
];

/// The records with their places, from one on.
fn placed(records: &[&str], first: usize) -> String {
    let (mut byte, mut told) = (0, String::new());
    for (n, record) in records.iter().enumerate() {
        if n >= first {
            writeln!(told, "{}:{byte} {}", n + 1, record.as_bytes().escape_ascii()).unwrap();
        }
        byte += record.len() + 1;
    }
    told
}

#[test]
fn a_table_gives_the_same_records_in_every_format_however_it_is_cut() {
    let whole = table();
    let records = RECORDS.map(|record| record.replace("1e10", "10000000000.0"));
    let expected = placed(&records.each_ref().map(String::as_str), 0);
    let cuts = [vec![whole.clone()], vec![whole.slice(0, 1), whole.slice(1, 0), whole.slice(1, 4)]];
    for (format, tables) in
        FORMATS.iter().flat_map(|format| cuts.iter().map(move |it| (format, it)))
    {
        for bytes_wanted in [1, 200, 1 << 20] {
            let bytes = file(*format, tables);
            let read = read(*format, &bytes, options(), bytes_wanted);
            assert_eq!((&*read.records, &read.error), (&*expected, &None), "{format:?}");
        }
    }
}

#[test]
fn a_source_tells_its_columns() {
    let folder = tempfile::tempdir().unwrap();
    let of = r#"of Struct([Column { name: "b", kind: String }])"#;
    let expected = format!(
        "id Integer, x Number, price Json, at String, kind String, list List(Integer), {of}, \
         day String"
    );
    for format in FORMATS {
        let path = folder.path().join("in");
        std::fs::write(&path, file(format, &[table()])).unwrap();
        let source = source::open(format, "in", storage::open(&path).unwrap(), options()).unwrap();
        let told = source.columns().unwrap().into_iter();
        let told: Vec<_> = told.map(|it| format!("{} {:?}", it.name, it.kind)).collect();
        assert_eq!(told.join(", "), expected);
    }
}

fn ids(count: i64) -> RecordBatch {
    let (ids, texts) =
        (Int64Array::from_iter_values(0..count), (0..count).map(|n| "x".repeat(n as usize % 7)));
    let texts = StringArray::from_iter_values(texts);
    RecordBatch::try_from_iter([("id", Arc::new(ids) as ArrayRef), ("t", Arc::new(texts))]).unwrap()
}

#[test]
fn checkpoints_depend_on_the_rows_alone_and_a_run_goes_on_behind_each() {
    let table = ids(200);
    let with = |start| {
        let checkpoint_bytes = NonZeroU64::new(500);
        let text = ldjson::Options { checkpoint_bytes, start, ..ldjson::Options::default() };
        Options { text, ..options() }
    };
    for format in FORMATS {
        let bytes = file(format, &[table.slice(0, 64), table.slice(64, 100), table.slice(164, 36)]);
        let whole = read(format, &bytes, with(RecordPosition::default()), 1 << 20);
        assert_eq!(whole.checkpoints.len(), 8, "{:?}", whole.checkpoints);
        for bytes_wanted in [1, 300, 499, 700] {
            let again = read(format, &bytes, with(RecordPosition::default()), bytes_wanted);
            assert_eq!(again, whole);
        }
        for (n, &start) in whole.checkpoints.iter().enumerate() {
            let rest = read(format, &bytes, with(start), 300);
            assert!(whole.records.ends_with(&rest.records), "{start:?}");
            assert!(rest.records.starts_with(&format!("{}:{} ", start.line, start.byte)));
            assert_eq!(rest.checkpoints, whole.checkpoints[n + 1..]);
        }
    }
}

#[test]
fn a_row_without_json_is_a_reject_and_its_neighbours_go_on() {
    let values = Float64Array::from(vec![Some(1.0), Some(f64::NAN), None, Some(f64::INFINITY)]);
    let texts = StringArray::from(vec!["a", "b", "c", "d"]);
    let columns: [(&str, ArrayRef); 2] = [("x", Arc::new(values)), ("t", Arc::new(texts))];
    let table = RecordBatch::try_from_iter(columns).unwrap();
    for format in FORMATS {
        let read = read(format, &file(format, std::slice::from_ref(&table)), options(), 1 << 20);
        let expected = [
            r#"1:0 {\"x\":1.0,\"t\":\"a\"}"#,
            r#"3:36 {\"x\":null,\"t\":\"c\"}"#,
            r#"2:18 not_finite x: NaN is no JSON number {\"x\":NaN,\"t\":\"b\"}"#,
            r#"4:55 not_finite x: Infinity is no JSON number {\"x\":Infinity,\"t\":\"d\"}"#,
        ];
        // By batch: here all rows of a row group, of which there are three.
        let sorted = |text: &str| {
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&read.records), sorted(&expected.join("\n")), "{format:?}");
    }
}

#[test]
fn a_row_over_the_cap_is_a_reject_with_its_beginning() {
    let texts = StringArray::from(vec!["a", &"é".repeat(6000), "b"]);
    let table = RecordBatch::try_from_iter([("t", Arc::new(texts) as ArrayRef)]).unwrap();
    let text = ldjson::Options { line_bytes_max: 10_000, ..ldjson::Options::default() };
    let options = Options { text, ..options() };
    for format in FORMATS {
        let bytes = file(format, std::slice::from_ref(&table));
        let read = read(format, &bytes, options.clone(), 1 << 20);
        let lines: Vec<_> = read.records.lines().collect();
        assert_eq!((lines[0], lines[2]), (r#"1:0 {\"t\":\"a\"}"#, r#"3:12019 {\"t\":\"b\"}"#));
        let said = "2:10 line_too_long : the row is 12008 bytes long as JSON, the most is 10000 {";
        assert!(lines[1].starts_with(said), "{}", &lines[1][..100]);
    }
}

/// Only these fields are read of a file of this table.
fn read_fields(format: Format, table: &RecordBatch, fields: &[&str]) -> Read {
    let fields = Some(fields.iter().map(|&name| name.to_owned()).collect());
    let bytes = file(format, std::slice::from_ref(table));
    read(format, &bytes, Options { fields, ..options() }, 1 << 20)
}

#[test]
fn only_the_columns_that_anybody_reads_are_read() {
    for format in FORMATS {
        let read = read_fields(format, &table(), &["day", "id", "none"]);
        let first = "1:0 {\\\"id\\\":9223372036854775807,\\\"day\\\":\\\"1970-01-01\\\"}\n";
        assert!(read.records.starts_with(first), "{read:?}");
        let read = read_fields(format, &table(), &[]);
        assert_eq!(read.records, "1:0 {}\n2:3 {}\n3:6 {}\n4:9 {}\n5:12 {}\n", "{format:?}");
    }
}

#[test]
fn a_column_that_cannot_be_read_matters_only_where_it_is_needed() {
    let ids = Arc::new(Int32Array::from(vec![1, 2]));
    let fields: UnionFields =
        [(0, Arc::new(Field::new("a", DataType::Int32, true)))].into_iter().collect();
    let union = UnionArray::try_new(fields, vec![0_i8, 0].into(), None, vec![ids.clone()]).unwrap();
    let table =
        RecordBatch::try_from_iter([("u", Arc::new(union) as ArrayRef), ("id", ids.clone())]);
    for format in [Format::Arrow, Format::ArrowStream] {
        let table = table.as_ref().unwrap();
        assert_eq!(
            read_fields(format, table, &["id"]).records,
            "1:0 {\\\"id\\\":1}\n2:9 {\\\"id\\\":2}\n"
        );
        let refused = read_fields(format, table, &["u"]).error.unwrap().0;
        let said = "its column `u` can't be read: it is a union, which JSON has no form for";
        assert_eq!(refused, said);
    }
    let twice = Schema::new(vec![
        Field::new("a", DataType::Int32, true),
        Field::new("a", DataType::Int32, true),
        Field::new("id", DataType::Int32, true),
    ]);
    let columns: Vec<ArrayRef> = vec![ids.clone(), ids.clone(), ids];
    let twice = RecordBatch::try_new(Arc::new(twice), columns).unwrap();
    for format in FORMATS {
        assert_eq!(read_fields(format, &twice, &["a"]).error.unwrap().0, "it has two columns `a`");
        assert_eq!(read_fields(format, &twice, &["id"]).error, None);
    }
}

#[test]
fn a_table_without_rows_is_no_error() {
    for format in FORMATS {
        let read = read(format, &file(format, &[ids(0)]), options(), 100);
        assert_eq!(read, Read::default(), "{format:?}");
    }
}

#[test]
fn a_broken_file_is_an_error_that_says_what_is_wrong() {
    let csv = b"sepal_length,sepal_width\n1,2\n3,4\n";
    let [parquet, arrow, stream] = FORMATS.map(|format| file(format, &[ids(100)]));
    let end_damaged = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let len = bytes.len();
        bytes[len - 8..len - 4].copy_from_slice(&[0xff; 4]);
        bytes
    };
    for (format, bytes, said) in [
        (Format::Parquet, &b""[..], "it is no Parquet file: it has 0 bytes"),
        (Format::Parquet, csv, "it is no Parquet file: it does not begin with PAR1"),
        (Format::Parquet, &arrow, "it is no Parquet file: it does not begin with PAR1"),
        (
            Format::Parquet,
            &parquet[..parquet.len() - 1],
            "it does not end with PAR1: its end is missing",
        ),
        (
            Format::Parquet,
            &parquet[..parquet.len() / 2],
            "it does not end with PAR1: its end is missing",
        ),
        (
            Format::Parquet,
            &end_damaged(&parquet),
            "it is damaged, or of a kind that is not known: ",
        ),
        (Format::Parquet, b"PARE________PARE", "it is encrypted, which is not supported"),
        (Format::Arrow, b"", "it is empty, and has not even a schema"),
        (Format::Arrow, csv, "it is no Arrow file: it does not begin with ARROW1"),
        (Format::Arrow, &stream, "it is no Arrow file: it does not begin with ARROW1"),
        (Format::Arrow, b"ARROW1", "failed to fill whole buffer"),
        (
            Format::Arrow,
            &arrow[..arrow.len() - 1],
            "it does not end with ARROW1: its end is missing",
        ),
        (
            Format::Arrow,
            &arrow[..arrow.len() / 2],
            "it is damaged, or of a kind that is not known: ",
        ),
        (Format::ArrowStream, b"", "it is empty, and has not even a schema"),
        (Format::ArrowStream, csv, "it is damaged, or of a kind that is not known: "),
        (Format::ArrowStream, &arrow, "it is an Arrow file and no stream"),
        (Format::ArrowStream, &parquet, "it is damaged, or of a kind that is not known: "),
        (
            Format::ArrowStream,
            &stream[..stream.len() / 2],
            "it is damaged, or of a kind that is not known: ",
        ),
        (
            Format::ArrowStream,
            &[&*stream, &*stream].concat(),
            "bytes stand behind the end of the stream",
        ),
    ] {
        let (error, _) = read(format, bytes, options(), 1 << 20).error.expect(said);
        assert!(error.contains(said), "{format:?}: {error}, not {said}");
    }
}

#[test]
fn rows_before_the_damage_are_whole_and_the_error_says_where_it_is() {
    let tables = [ids(50), ids(50)];
    let stream = file(Format::ArrowStream, &tables);
    let read = read(Format::ArrowStream, &stream[..stream.len() - 100], options(), 1 << 20);
    assert_eq!(read.records.lines().count(), 50);
    assert_eq!(read.error.unwrap().1, 51);
}

/// Damages one byte, in turn each third: a panic that is caught takes a while to be told. What is read may be wrong or refused; but it is read to an end.
#[test]
fn no_damaged_byte_ends_more_than_the_reading() {
    for format in FORMATS {
        let whole = concat_batches(&table().schema(), [&table()]).unwrap();
        let bytes = file(format, &[whole]);
        let mut refused = 0;
        for at in (0..bytes.len()).step_by(3) {
            let damage = [0xff, 0x01, 0x80][at / 3 % 3];
            let mut bytes = bytes.clone();
            bytes[at] ^= damage;
            refused += usize::from(read(format, &bytes, options(), 1 << 20).error.is_some());
        }
        assert!(refused > bytes.len() / 12, "{format:?}: {refused} of {}", bytes.len());
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_an_error() {
    for format in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in");
        let bytes = file(format, &[ids(100)]);
        std::fs::write(&path, &bytes).unwrap();
        let mut source =
            source::open(format, "in", storage::open(&path).unwrap(), options()).unwrap();
        std::fs::write(&path, [&*bytes, b"more"].concat()).unwrap();
        let mut batch = Batch::default();
        let error = loop {
            match source.read_batch(&mut batch, 1 << 20, &Stop::default()) {
                Ok(()) => assert!(batch.read() > 0, "{format:?}"),
                Err(error) => break error,
            }
        };
        let said = error.source.to_string();
        assert!(said.contains(" while it was read: it had "), "{format:?}: {said}");
    }
}

/// A file that is read from anywhere, until it can't be read any more.
struct Failing(Vec<u8>, Mutex<usize>);

impl storage::RandomAccess for Failing {
    fn bytes_total(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, start: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut left = self.1.lock().unwrap();
        *left = left.checked_sub(1).ok_or_else(|| io::Error::other("the line is down"))?;
        Ok(self.0[start as usize..][..len].to_vec())
    }
}

struct FailingInput(Arc<Failing>);

impl storage::Input for FailingInput {
    fn read(&mut self, _: &mut Vec<u8>) -> io::Result<usize> {
        unreachable!("it is read from anywhere")
    }

    fn wait(&mut self, _: std::time::Duration) -> io::Result<bool> {
        Ok(true)
    }

    fn bytes_total(&self) -> Option<u64> {
        Some(self.0.0.len() as u64)
    }

    fn random_access(&self) -> Option<io::Result<Arc<dyn storage::RandomAccess>>> {
        Some(Ok(self.0.clone()))
    }
}

#[test]
fn an_input_that_cannot_be_read_is_not_called_damaged() {
    let bytes = file(Format::Parquet, &[ids(100)]);
    for reads in 0.. {
        let input = FailingInput(Arc::new(Failing(bytes.clone(), Mutex::new(reads))));
        let opened = source::open(Format::Parquet, "in", Box::new(input), options());
        let mut batch = Batch::default();
        let read = opened.and_then(|mut source| {
            loop {
                let read = source.read_batch(&mut batch, 1000, &Stop::default());
                read.map_err(|error| error.source)?;
                if batch.read() == 0 {
                    return Ok(());
                }
            }
        });
        match read {
            Ok(()) => return assert!(reads > 10),
            Err(error) => assert_eq!(error.to_string(), "the line is down", "{reads}"),
        }
    }
}

#[test]
fn a_pipe_is_refused_where_the_end_is_needed_first() {
    let (pipe, _writer) = io::pipe().unwrap();
    let path = format!("/dev/fd/{}", pipe.as_raw_fd());
    let input = storage::open(Path::new(&path)).unwrap();
    let refused = source::open(Format::Parquet, "-", input, options()).err().unwrap();
    assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
    assert!(refused.to_string().contains("a pipe or a compressed file"), "{refused}");
}

#[test]
fn a_column_of_a_table_keeps_the_shape_and_the_digits_of_the_sources() {
    assert_eq!(kind(&DataType::UInt64), Kind::Integer);
    assert_eq!(kind(&DataType::Decimal128(5, 0)), Kind::Json);
    assert_eq!(kind(&DataType::Binary), Kind::String);
    let field = |of: DataType| Arc::new(Field::new("a", of, true));
    let list = |kind| Kind::List(Box::new(kind));
    let of_float = field(DataType::Float32);
    for of in [
        DataType::List(of_float.clone()),
        DataType::LargeList(of_float.clone()),
        DataType::FixedSizeList(of_float.clone(), 2),
        DataType::ListView(of_float.clone()),
        DataType::LargeListView(of_float.clone()),
    ] {
        assert_eq!(kind(&of), list(Kind::Number), "{of}");
    }
    let decimals = DataType::List(field(DataType::Decimal128(5, 2)));
    assert_eq!(kind(&decimals), list(Kind::Json));
    let of = DataType::Struct(vec![field(decimals)].into());
    let columns = vec![Column { name: "a".to_owned(), kind: list(Kind::Json) }];
    assert_eq!(kind(&of), Kind::Struct(columns));
    assert_eq!(kind(&DataType::Struct(Fields::empty())), Kind::Json);
    let entries = DataType::Struct(vec![field(DataType::Utf8), field(DataType::Int8)].into());
    assert_eq!(kind(&DataType::Map(field(entries), false)), Kind::Json);
    let deep = (0..60).fold(DataType::Int8, |of, _| DataType::List(field(of)));
    let expected = (0..LEVELS_MAX).fold(Kind::Json, |kind, _| list(kind));
    assert_eq!(kind(&deep), expected);
}
