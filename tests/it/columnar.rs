//! Parquet, Arrow files and Arrow streams, in and out, as other programs write and read them.

use crate::main_job::{iris, predictions, rejects};
use crate::streams::eventually;
use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int32Array, ListArray, StringArray, StructArray,
    UnionArray,
};
use arrow::datatypes::{DataType, Field, Float64Type, Int32Type, Int64Type, UnionFields};
use arrow::ipc::reader::{FileReader, StreamReader};
use arrow::ipc::writer::{FileWriter, StreamWriter};
use arrow::record_batch::RecordBatch;
use etl_host_tests::{Folder, root};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

const FIELDS: [&str; 4] = ["sepal_length", "sepal_width", "petal_length", "petal_width"];

/// The flowers of the sample input, times so many, as columns.
fn columns(times: usize) -> Vec<(&'static str, ArrayRef)> {
    let text = fs::read_to_string(root().join("data/input.json")).unwrap();
    let records: Vec<Value> = text.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let column = |name| {
        let values = records.iter().map(|record| record[name].as_f64().unwrap());
        let values: Vec<f64> = values.collect();
        Arc::new(Float64Array::from(values.repeat(times))) as ArrayRef
    };
    FIELDS.map(|name| (name, column(name))).into()
}

fn table(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, it)| (n, it, true)))
        .unwrap()
}

/// Writes a file as others do, in the format that its name tells, with row groups of 1000 rows.
fn write(folder: &Folder, name: &str, table: &RecordBatch) {
    let file = File::create(folder.path().join(name)).unwrap();
    match name.split_once('.').unwrap().1 {
        "parquet" => {
            let properties = WriterProperties::builder().set_max_row_group_row_count(Some(1000));
            let properties = Some(properties.build());
            let mut writer = ArrowWriter::try_new(file, table.schema(), properties).unwrap();
            writer.write(table).unwrap();
            writer.close().unwrap();
        }
        "arrow" => {
            let mut writer = FileWriter::try_new(file, &table.schema()).unwrap();
            writer.write(table).unwrap();
            writer.finish().unwrap();
        }
        _ => {
            let mut writer = StreamWriter::try_new(file, &table.schema()).unwrap();
            writer.write(table).unwrap();
            writer.finish().unwrap();
        }
    }
}

/// The rows of a file, by the name of its columns; all of them in one table.
fn read(path: &Path) -> RecordBatch {
    let file = File::open(path).unwrap();
    let tables: Vec<RecordBatch> = match path.extension().unwrap().to_str().unwrap() {
        "parquet" => {
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
            reader.map(Result::unwrap).collect()
        }
        "arrow" => FileReader::try_new(file, None).unwrap().map(Result::unwrap).collect(),
        _ => StreamReader::try_new(file, None).unwrap().map(Result::unwrap).collect(),
    };
    arrow::compute::concat_batches(&tables[0].schema(), &tables).unwrap()
}

fn texts(table: &RecordBatch, name: &str) -> Vec<String> {
    let column = table.column_by_name(name).unwrap().as_string::<i32>();
    column.iter().map(|text| text.unwrap_or("null").to_owned()).collect()
}

const FILES: [&str; 3] = ["in.parquet", "in.arrow", "in.arrows"];

/// Of the sample input.
fn species() -> String {
    ["setosa ", "versicolor ", "virginica "].map(|species| species.repeat(5)).concat()
}

#[test]
fn the_same_flowers_give_the_same_predictions_in_every_format() {
    let (folder, table) = (Folder::new(), table(columns(300)));
    let expected = predictions(&species().repeat(300));
    for name in FILES {
        write(&folder, name, &table);
        for threads in [1, 8] {
            let words = format!("-i {name} -o out.json --threads {threads}");
            iris(&folder, &words).run().exits(0).says("4500 records: 4500 written");
            assert!(folder.text("out.json") == expected, "{words}");
        }
    }
}

#[test]
fn predictions_are_written_as_columns_and_the_bytes_are_the_same_at_any_threads() {
    let folder = Folder::new();
    write(&folder, "in.parquet", &table(columns(1000)));
    for out in ["out.parquet", "out.arrow", "out.arrows"] {
        iris(&folder, &format!("-i in.parquet -o {out} --emit merge --threads 1")).run().exits(0);
        let table = read(&folder.path().join(out));
        let schema = table.schema();
        let told = schema.fields().iter().map(|it| format!("{} {}", it.name(), it.data_type()));
        let expected = [
            "sepal_length Float64",
            "sepal_width Float64",
            "petal_length Float64",
            "petal_width Float64",
            "species Utf8",
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
        let expected = species().repeat(1000);
        assert!(texts(&table, "species").iter().eq(expected.split_whitespace()));
        let bytes = folder.read(out).unwrap();
        iris(&folder, &format!("-i in.parquet -o {out} --emit merge --threads 8")).run().exits(0);
        assert!(folder.read(out).unwrap() == bytes, "{out}");
        // And what we wrote, we read: with the prediction of then, which nobody asks for now.
        iris(&folder, &format!("-i {out} -o again.json")).run().exits(0);
        assert!(folder.text("again.json") == predictions(&expected), "{out}");
    }
}

#[test]
fn kept_columns_have_the_types_of_the_source() {
    let folder = Folder::new();
    let mut columns = columns(1);
    let ids: Vec<i32> = (0..15).collect();
    columns.insert(0, ("id", Arc::new(Int32Array::from(ids))));
    columns.push(("name", Arc::new(StringArray::from(vec![Some("x"); 15]))));
    write(&folder, "in.parquet", &table(columns));
    iris(&folder, "-i in.parquet -o out.arrow --keep name,id,petal_width").run().exits(0);
    let table = read(&folder.path().join("out.arrow"));
    let ids = table.column_by_name("id").unwrap().as_primitive::<Int64Type>();
    assert!(ids.iter().eq((0..15).map(Some)));
    let widths = table.column_by_name("petal_width").unwrap().as_primitive::<Float64Type>();
    assert_eq!((widths.len(), widths.value(0)), (15, 0.2));
    assert_eq!(texts(&table, "name"), ["x"; 15]);
}

#[test]
fn what_is_not_needed_may_be_of_any_type() {
    let folder = Folder::new();
    let ids = Arc::new(Int32Array::from(vec![1; 15]));
    let fields: UnionFields =
        [(0, Arc::new(Field::new("a", DataType::Int32, true)))].into_iter().collect();
    let union = UnionArray::try_new(fields, vec![0_i8; 15].into(), None, vec![ids]).unwrap();
    let mut columns = columns(1);
    columns.insert(2, ("u", Arc::new(union)));
    for name in ["in.arrow", "in.arrows"] {
        write(&folder, name, &table(columns.clone()));
        iris(&folder, &format!("-i {name}")).run().exits(0).writes(&predictions(&species()));
        iris(&folder, &format!("-i {name} --keep u")).run().exits(3).says(&format!(
            "error: the input `{name}` can't be opened\n  cause: its column `u` can't be read: \
             it is a union, which JSON has no form for\n"
        ));
    }
    // Parquet has no unions; but a column with a value that has no form in JSON is not looked at.
    columns[2] = ("u", Arc::new(Float64Array::from(vec![f64::NAN; 15])));
    write(&folder, "in.parquet", &table(columns));
    iris(&folder, "-i in.parquet").run().exits(0).writes(&predictions(&species()));
    let ran = iris(&folder, "-i in.parquet --emit merge").run().exits(1).writes("");
    let rejects = rejects(&ran.stderr);
    assert_eq!(rejects.len(), 15);
    for (reject, line) in rejects.iter().zip(1..) {
        let told = ["line", "step", "kind", "path"].map(|name| reject[name].clone());
        let expected = [json!(line), json!("ParquetReader"), json!("not_finite"), json!("u")];
        assert_eq!(told, expected);
    }
}

#[test]
fn a_row_that_the_model_refuses_is_a_reject_with_its_number_and_its_columns() {
    let folder = Folder::new();
    let mut columns = columns(1);
    let mut widths: Vec<Option<f64>> = columns[3].1.as_primitive::<Float64Type>().iter().collect();
    widths[1] = None;
    columns[3].1 = Arc::new(Float64Array::from(widths));
    for name in FILES {
        write(&folder, name, &table(columns.clone()));
        let ran = iris(&folder, &format!("-i {name}")).run().exits(1);
        let [reject] = &rejects(&ran.stderr)[..] else { panic!("one reject") };
        let first =
            r#"{"sepal_length":5.0,"sepal_width":3.2,"petal_length":1.2,"petal_width":0.2}"#;
        let second =
            r#"{"sepal_length":5.5,"sepal_width":3.5,"petal_length":1.3,"petal_width":null}"#;
        assert_eq!((&reject["line"], &reject["byte"]), (&json!(2), &json!(first.len() + 1)));
        assert_eq!((&reject["record"], &reject["source"]), (&json!(second), &json!(name)));
        assert_eq!(reject["path"], "petal_width");
    }
}

#[test]
fn a_file_that_is_broken_ends_the_run_with_words() {
    let folder = Folder::new();
    for name in FILES {
        write(&folder, name, &table(columns(2000)));
    }
    let [parquet, arrow, stream] = FILES.map(|name| folder.read(name).unwrap());
    let mut damaged = parquet.clone();
    damaged[20..200].fill(0xff); // the first page
    #[track_caller]
    fn check(folder: &Folder, name: &str, bytes: &[u8], said: &[&str]) {
        folder.write(name, bytes);
        let mut ran = iris(folder, &format!("-i {name} -o out.json")).run().exits(3);
        for words in said {
            ran = ran.says(words);
        }
        assert!(folder.read("out.json").is_none());
    }
    let opened = "can't be opened\n  cause: ";
    let (no_parquet, no_arrow) = ("it is no Parquet file: ", "it is no Arrow file: ");
    check(&folder, "in.parquet", b"", &[opened, no_parquet, "it has 0 bytes"]);
    check(&folder, "in.parquet", b"a,b\n1,2\n3,4\n", &[opened, no_parquet, "begin with PAR1"]);
    check(&folder, "in.parquet", &parquet[..9999], &[opened, "its end is missing, or damaged"]);
    check(&folder, "in.parquet", &damaged, &["in.parquet: can't read on at line 1, byte 0\n"]);
    check(&folder, "in.arrow", b"", &[opened, "it is empty"]);
    check(&folder, "in.arrow", b"a,b\n1,2\n3,4\n", &[opened, no_arrow]);
    let cut = "can't read on at line 1, byte 0\n  cause: it is damaged";
    check(&folder, "in.arrow", &arrow[..9999], &[cut]);
    check(&folder, "in.arrows", &stream[..9999], &[cut]);
    check(&folder, "in.arrows", &arrow, &[opened, "read it with --input-format arrow"]);
    let words = "-i - --input-format parquet";
    iris(&folder, words).stdin(parquet).run().exits(3).says("give it as a file, as it is");
}

/// The crates panic on these, which is our business and nobody else's.
#[test]
fn a_file_that_the_crates_panic_on_is_an_error_like_any_other() {
    let folder = Folder::new();
    let damaged = |name: &str, at: usize, damage: u8| {
        let mut bytes = folder.read(name).unwrap();
        bytes[at] ^= damage;
        let name = format!("damaged-{name}");
        folder.write(&name, bytes);
        let ran = iris(&folder, &format!("-i {name} -o out.json")).run();
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(!said.contains("panicked") && !said.contains("backtrace"), "{at}: {said}");
        said
    };
    for name in ["in.arrow", "in.arrows"] {
        write(&folder, name, &table(columns(1)));
        // How long the first column's values are, in the record batch's head.
        let len = (15 * size_of::<f64>() as u64).to_le_bytes();
        let at = folder.read(name).unwrap().windows(8).position(|it| it == len).unwrap();
        let said = damaged(name, at + 1, 0xff);
        assert!(said.contains("offset of the new Buffer cannot exceed"), "{said}");
    }
    write(&folder, "in.parquet", &table(columns(1)));
    let said = (4..200).map(|at| damaged("in.parquet", at, 0xff)); // pages of the first column
    let said: Vec<String> = said.collect();
    let is_panic = |said: &&String| said.contains("out of bounds") || said.contains("assertion ");
    assert!(said.iter().filter(is_panic).count() > 0, "{said:?}");
}

#[test]
fn a_stream_is_a_filter_that_answers_each_batch_as_it_comes() {
    let folder = Folder::new();
    let words = "-i - --input-format arrow-stream --output-format arrow-stream";
    let mut command = iris(&folder, words).command();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdout = child.stdout.take().unwrap();
    let (sender, answers) = channel();
    let reader = thread::spawn(move || {
        for answer in StreamReader::try_new(stdout, None).unwrap() {
            sender.send(texts(&answer.unwrap(), "species")).unwrap();
        }
    });
    let flowers = table(columns(1));
    let mut writer = StreamWriter::try_new(child.stdin.take().unwrap(), &flowers.schema()).unwrap();
    for row in [0, 5, 10, 1] {
        writer.write(&flowers.slice(row, 1)).unwrap();
        writer.flush().unwrap();
        let answer = answers.recv_timeout(Duration::from_secs(30)).expect("an answer comes");
        assert_eq!(answer, [species().split_whitespace().nth(row).unwrap()]);
    }
    writer.finish().unwrap();
    drop(writer);
    let mut status = None;
    eventually("the run ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert!(status.unwrap().success());
    reader.join().unwrap();
}

#[test]
fn a_run_is_resumed_behind_a_row() {
    for name in FILES {
        let folder = Folder::new();
        let mut columns = columns(1);
        let widths = columns[3].1.as_primitive::<Float64Type>();
        let mut widths: Vec<Option<f64>> = widths.iter().collect();
        widths[9] = None;
        columns[3].1 = Arc::new(Float64Array::from(widths));
        write(&folder, name, &table(columns));
        let words = format!("-i {name} -o out.json");
        iris(&folder, &words).run().exits(1);
        let whole = ["out.json", "out.json.rejects.ldjson"].map(|name| folder.text(name));
        let words = format!("{words} --resume --checkpoint-seconds 0 --checkpoint-bytes 1");
        iris(&folder, &format!("{words} --max-rejects 0")).run().exits(6);
        // Rows as JSON are longer than their file, or shorter: it is not said how much is left.
        let told = folder.host(["status", "out.json"]).run().exits(0).stdout;
        let told = String::from_utf8(told).unwrap();
        let place = told.lines().find(|line| line.starts_with("  read ")).unwrap();
        assert!(place.contains(", up to line 10, byte "), "{place}");
        assert!(!place.contains('%'), "{place}");
        iris(&folder, &words).run().exits(1).says("resumed at line 10, byte ");
        let resumed = ["out.json", "out.json.rejects.ldjson"].map(|name| folder.text(name));
        assert_eq!(resumed, whole);
    }
}

#[test]
fn an_output_that_cannot_be_written_on_is_refused_with_resume() {
    let folder = Folder::new();
    write(&folder, "in.parquet", &table(columns(1)));
    for (name, format) in
        [("o.parquet", "parquet"), ("o.arrow", "arrow"), ("o.arrows", "arrow-stream")]
    {
        let words = format!("-i in.parquet -o {name} --resume");
        iris(&folder, &words).run().exits(2).says(&format!(
            "error: a run can be resumed only where its output can be written on, which {format} \
             can't\n  hint: write LDJSON, or run without --resume and --state\n"
        ));
    }
}

#[test]
fn nested_columns_are_records_within_records() {
    let folder = Folder::new();
    let of = StructArray::from(vec![(
        Arc::new(Field::new("b", DataType::Utf8, true)),
        Arc::new(StringArray::from(vec!["x"; 15])) as ArrayRef,
    )]);
    let mut columns = columns(1);
    columns.push(("of", Arc::new(of)));
    let tags = (0..15).map(|row| (row != 1).then_some([Some(1), None]));
    columns.push(("tags", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(tags))));
    write(&folder, "in.parquet", &table(columns));
    let ran = iris(&folder, "-i in.parquet --keep of").run().exits(0);
    let text = String::from_utf8(ran.stdout).unwrap();
    assert_eq!(text.lines().next().unwrap(), r#"{"of":{"b":"x"},"species":"setosa"}"#);
    for out in ["out.parquet", "out.arrow", "out.arrows"] {
        iris(&folder, &format!("-i in.parquet -o {out} --keep of,tags")).run().exits(0);
        let table = read(&folder.path().join(out));
        let of = table.column_by_name("of").unwrap().as_struct();
        assert_eq!(of.column_by_name("b").unwrap().as_string::<i32>().value(14), "x");
        let tags = table.column_by_name("tags").unwrap().as_list::<i32>();
        let first = tags.value(0);
        assert!(first.as_primitive::<Int64Type>().iter().eq([Some(1), None]), "{out}");
        assert!(tags.is_null(1), "{out}");
    }
    // A table of text has no such columns.
    iris(&folder, "-i in.parquet -o out.csv --keep of,tags").run().exits(0);
    let text = folder.text("out.csv");
    let expected = "of,tags,species\r\n\"{\"\"b\"\":\"\"x\"\"}\",\"[1,null]\",setosa\r\n";
    assert!(text.starts_with(expected), "{text}");
}
