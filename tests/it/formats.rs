//! The same job on CSV, TSV and JSON arrays: what goes in and comes out, what is refused, what is said
//! of a row that can't go on, and how a run that was interrupted goes on.

use crate::main_job::{iris, predictions, rejects};
use etl_host_benches::{Options, Size};
use etl_host_tests::{Folder, Ran, plugin, root};
use serde_json::{Value, json};
use std::fs;

const HEADER: &str = "sepal_length,sepal_width,petal_length,petal_width";
const SETOSA: &str = "4.4,2.9,1.4,0.2";
const VIRGINICA: &str = "6.3,3.3,6.0,2.5";

/// A folder with one file.
fn folder(name: &str, text: impl AsRef<[u8]>) -> Folder {
    let folder = Folder::new();
    folder.write(name, text);
    folder
}

fn csv(rows: &[&str]) -> String {
    let rows = [&[HEADER], rows].concat();
    rows.join("\n") + "\n"
}

/// Flowers as lines of JSON, and the same as a table with this between fields.
fn flowers(count: u64, delimiter: &str) -> (String, String) {
    let mut lines = Vec::new();
    let options = Options { id: true, ..Options::new(Size::Records(count)) };
    etl_host_benches::write(&options, &mut lines, |_| Ok(())).unwrap();
    let lines = String::from_utf8(lines).unwrap();
    let mut table = String::new();
    for line in lines.lines() {
        // Their fields hold no commas: the spelling of numbers stays as it is.
        let members = line.trim_matches(['{', '}']).split(", ");
        let (names, values): (Vec<_>, Vec<_>) =
            members.map(|member| member.split_once(": ").unwrap()).unzip();
        if table.is_empty() {
            table += &(names.join(delimiter).replace('"', "") + "\n");
        }
        table += &(values.join(delimiter) + "\n");
    }
    (lines, table)
}

#[test]
fn a_table_gets_the_predictions_that_lines_of_json_get() {
    let ((lines, table), (_, tabs)) = (flowers(5_000, ","), flowers(5_000, "\t"));
    let folder = folder("in.json", &lines);
    folder.write("in.csv", &table);
    folder.write("in.tsv", &tabs);
    folder.write("array", format!("[\n{}\n]", lines.trim_end().replace('\n', ",\n")));
    for words in ["", "--keep id", "--emit merge"] {
        iris(&folder, &format!("-i in.json -o out.json {words}")).run().exits(0);
        let expected: Vec<Value> = rejects(folder.text("out.json"));
        assert_eq!(expected.len(), 5_000);
        for input in ["-i in.csv", "-i in.tsv", "-i array --input-format json-array"] {
            for threads in [1, 3] {
                let words = format!("{input} -o other.json --threads {threads} {words}");
                iris(&folder, &words).run().exits(0);
                let found = rejects(folder.text("other.json"));
                // A column that the schema does not name is text.
                let same = |(found, expected): (&Value, &Value)| {
                    let id = |value: &Value| value["id"].to_string().replace('"', "");
                    found["species"] == expected["species"] && id(found) == id(expected)
                };
                assert!(found.iter().zip(&expected).all(same), "{words}");
                assert_eq!(found.len(), expected.len(), "{words}");
            }
        }
    }
}

#[test]
fn each_format_is_told_by_a_name_or_a_flag_and_any_goes_into_any() {
    let folder = folder("in.csv", csv(&[SETOSA, VIRGINICA]));
    let reads = |words: &str| iris(&folder, words).run().exits(0);
    reads("-i in.csv -o out.tsv --keep petal_width,sepal_width");
    let table = "petal_width\tsepal_width\tspecies\n0.2\t2.9\tsetosa\n2.5\t3.3\tvirginica\n";
    assert_eq!(folder.text("out.tsv"), table);
    reads("-i in.csv --output-format csv").writes("species\nsetosa\nvirginica\n");
    reads("-i in.csv --output-format json-array")
        .writes("[{\"species\":\"setosa\"},\n{\"species\":\"virginica\"}]\n");
    reads("-i in.csv -o merged.csv --emit merge");
    assert_eq!(
        folder.text("merged.csv"),
        format!("{HEADER},species\n{SETOSA},setosa\n{VIRGINICA},virginica\n")
    );
    reads("-i merged.csv").writes(&predictions("setosa virginica"));
    reads("-i in.csv -o placed.csv --place");
    let placed = "source,line,byte,output\nin.csv,2,50,\"{\"\"species\"\":\"\"setosa\"\"}\"\n";
    assert!(folder.text("placed.csv").starts_with(placed), "{}", folder.text("placed.csv"));
    let stdin = fs::read(folder.path().join("in.csv")).unwrap();
    iris(&folder, "-i - --input-format csv")
        .stdin(stdin)
        .run()
        .exits(0)
        .writes(&predictions("setosa virginica"))
        .says(" - CsvReader out=2 [done]\n");
    reads("-i in.csv -o out.csv").says(" - CsvWriter in=2 [done]\n");
}

#[test]
fn a_table_with_nothing_but_a_header_gives_one() {
    let folder = folder("in.csv", HEADER);
    iris(&folder, "-i in.csv -o out.csv").run().exits(0);
    assert_eq!(folder.text("out.csv"), "species\n");
    iris(&folder, "-i in.csv -o none.csv --no-output-header").run().exits(0);
    assert_eq!(folder.text("none.csv"), "");
    iris(&folder, "-i in.csv --output-format json-array").run().exits(0).writes("[]\n");
    folder.write("empty.csv", "");
    iris(&folder, "-i empty.csv")
        .run()
        .exits(3)
        .says("error: the input `empty.csv` can't be opened\n")
        .says("the input is empty");
}

#[test]
fn a_row_that_cannot_go_on_is_kept_as_it_stood_with_its_place_and_why() {
    let rows = [SETOSA, "1,2", "4.4,abc,1.4,0.2", "4.4,,1.4,0.2", VIRGINICA, "1,2,3,\"4"];
    let folder = folder("in.csv", csv(&rows));
    iris(&folder, "-i in.csv -o out.csv").run().exits(1).says("6 records: 2 written, 4 rejected");
    assert_eq!(folder.text("out.csv"), "species\nsetosa\nvirginica\n");
    let rejects = rejects(folder.text("out.csv.rejects.ldjson"));
    let told = |reject: &Value| {
        let words = ["line", "byte", "step", "kind", "path", "record"];
        words.map(|word| reject[word].to_string().replace('"', "")).join(" ")
    };
    let told: Vec<_> = rejects.iter().map(told).collect();
    let expected = [
        "3 66 CsvReader invalid_csv null 1,2",
        "4 70 CsvReader schema sepal_width 4.4,abc,1.4,0.2",
        "5 86 iris_model schema null 4.4,,1.4,0.2",
        "7 115 CsvReader invalid_csv null 1,2,3,\\4\\n",
    ];
    assert_eq!(told, expected);
    let messages: Vec<_> = rejects.iter().map(|it| it["message"].as_str().unwrap()).collect();
    assert_eq!(messages[0], "the row has 2 fields, and the table has 4 columns");
    assert_eq!(messages[1], "`abc` is no number");
    assert!(messages[2].contains("missing field `sepal_width`"), "{}", messages[2]);
    assert_eq!(messages[3], "the quote that opens at line 7, byte 121 is never closed");
}

#[test]
fn rows_that_were_rejected_are_run_again_by_the_names_of_their_columns() {
    let folder = folder("in.csv", csv(&[SETOSA, "4.4,abc,1.4,0.2", "\"6.3\",3.3,6.0,", VIRGINICA]));
    iris(&folder, "-i in.csv -o out.csv").run().exits(1);
    let first = folder.text("out.csv.rejects.ldjson");
    let replay = |words: &str| {
        let plugin = plugin("iris_model").into_os_string();
        let words = words.split_whitespace().map(Into::into);
        folder.host(["replay".into(), "--plugin".into(), plugin].into_iter().chain(words)).run()
    };
    let words = "out.csv.rejects.ldjson -o again.csv --input-format csv";
    replay(words).exits(2).says("the rows in a rejects file have no header").says("--fields a,b,c");
    replay(&format!("{words} --fields {HEADER}")).exits(1);
    assert_eq!(folder.text("again.csv.rejects.ldjson"), first);
    assert_eq!(folder.text("again.csv"), "species\n");
    let mended = first.replace("abc", "2.9").replace("6.0,", "6.0,2.5");
    folder.write("out.csv.rejects.ldjson", mended);
    replay(&format!("{words} --fields {HEADER} --emit merge")).exits(0);
    let merged = format!("{HEADER},species\n{SETOSA},setosa\n{VIRGINICA},virginica\n");
    assert_eq!(folder.text("again.csv"), merged);
}

#[test]
fn elements_that_were_rejected_are_run_again_though_they_span_lines() {
    let bad = "{\"sepal_length\":\n4.4}";
    let folder = folder("in", format!("[{bad},\n  {bad}]"));
    iris(&folder, "-i in -o out.json --input-format json-array").run().exits(1);
    let first = folder.text("out.json.rejects.ldjson");
    let places: Vec<_> =
        rejects(&first).iter().map(|it| (it["line"].clone(), it["byte"].clone())).collect();
    assert_eq!(places, [(json!(1), json!(1)), (json!(3), json!(26))]);
    let plugin = plugin("iris_model").display().to_string();
    let words = ["replay", "out.json.rejects.ldjson", "-o", "again.json", "--plugin", &plugin];
    folder.host(words.iter().chain(&["--input-format", "json-array"])).run().exits(1);
    assert_eq!(folder.text("again.json.rejects.ldjson"), first);
}

#[test]
fn an_array_that_is_broken_costs_nothing_that_came_before() {
    let object = |flower: &str| {
        let names = HEADER.split(',').zip(flower.split(','));
        let members: Vec<_> = names.map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    };
    let (one, two) = (object(SETOSA), object(VIRGINICA));
    let check = |text: &str, species: &str, place: &str, why: &str| {
        let folder = folder("in", text);
        let ran = iris(&folder, "-i in --input-format json-array").run().exits(3);
        ran.writes(&predictions(species)).says(place).says(why);
    };
    check(
        &format!("[{one},\n{two}"),
        "setosa virginica",
        "at line 2, byte 153",
        "expected `,` or `]`",
    );
    check(&format!("[{one}]\n{two}"), "setosa", "at line 2, byte 78", "expected nothing behind");
    check(&one, "", "at line 1, byte 0", "expected `[`, with which an array begins, and found '{'");
    let folder = folder("in", format!("[{one} {one},\n{two},{{\"a\":]}}]"));
    iris(&folder, "-i in --input-format json-array").run().exits(1).says("3 records: 1 written");
}

#[test]
fn several_tables_may_have_their_columns_in_another_order() {
    let folder = folder("a.csv", csv(&[SETOSA]));
    let other = "id,petal_width,petal_length,sepal_width,sepal_length\n7,2.5,6.0,3.3,6.3\n";
    folder.write("b.csv", other);
    folder.write("c.tsv", csv(&[SETOSA]).replace(',', "\t"));
    let words = "-i a.csv -i b.csv -i c.tsv";
    iris(&folder, words).run().exits(0).writes(&predictions("setosa virginica setosa"));
    // The columns are those of the first.
    iris(&folder, &format!("{words} -o out.csv --emit merge")).run().exits(1);
    let merged = format!("{HEADER},species\n{SETOSA},setosa\n{SETOSA},setosa\n");
    assert_eq!(folder.text("out.csv"), merged);
    let rejects = rejects(folder.text("out.csv.rejects.ldjson"));
    let told = ["source", "line", "step", "kind", "path"].map(|word| rejects[0][word].clone());
    assert_eq!(json!(told), json!(["b.csv", 2, "CsvWriter", "no_column", "id"]));
}

#[test]
fn a_table_may_be_without_a_header_and_have_other_characters() {
    let folder = folder("in.csv", format!("{SETOSA}\n{VIRGINICA}\n"));
    let both = predictions("setosa virginica");
    iris(&folder, &format!("-i in.csv --fields {HEADER}")).run().exits(0).writes(&both);
    folder.write("in.txt", csv(&[SETOSA, VIRGINICA]).replace(',', ";"));
    iris(&folder, "-i in.txt --input-format csv --delimiter ;").run().exits(0).writes(&both);
    folder.write("index.csv", format!(",a,b,c,d\n0,{SETOSA}\n"));
    let ran = iris(&folder, "-i index.csv").run().exits(3);
    ran.says("column 1 has no name").says("--fields names them, and with --header");
    iris(&folder, &format!("-i index.csv --header --fields n,{HEADER}")).run().exits(0);
    folder.write("na.csv", csv(&["NA,2.9,1.4,0.2", SETOSA]));
    let ran = iris(&folder, "-i na.csv --null-value NA --output-format csv --output-delimiter |");
    ran.run().exits(1).writes("species\nsetosa\n").says("missing field `sepal_length`");
}

#[test]
fn flags_that_would_do_nothing_are_refused() {
    let folder = folder("in.json", "");
    folder.write("in.csv", HEADER);
    let check = |words: &str, why: &str| {
        iris(&folder, words).run().exits(2).writes("").says(why);
    };
    check("-i in.json --delimiter ;", "--delimiter is of no use: no input is CSV or TSV");
    check("-i in.json --fields a", "hint: is it one? then say so: --input-format csv");
    check("-i in.csv --output-delimiter ;", "--output-delimiter is of no use: no output is CSV");
    check("-i in.csv --no-output-header", "then say so: --output-format csv");
    check("-i in.json --null-value NA", "no input or output is CSV or TSV");
    check("-i in.csv --header", "--fields");
    check("-i in.csv --delimiter ;;", "one ASCII character is wanted");
    check("-i in.csv --delimiter | --quote |", "--delimiter and --quote are the same character");
    check("-i in.csv --fields a,,b", "--fields can't be so: column 2 has no name");
    check("-i in.csv --fields a,b,a", "--fields can't be so: two columns are named `a`");
    check("-i in.csv --quote ,", "--delimiter and --quote are the same character");
    check("-i in.csv --null-value a,b", "--null-value must hold no delimiter, quote or line break");
    check("--record {} --input-format csv", "--input-format is of no use");
}

#[test]
#[cfg(target_os = "linux")]
fn of_a_stream_nobody_is_told_that_it_holds_what_was_kept_back() {
    let folder = folder("in.csv", csv(&[SETOSA, VIRGINICA]));
    for (words, state) in [
        ("", "`/dev/full` has taken 0 predictions, perhaps a part of more\n"),
        ("--compression gzip", "`/dev/full` has taken 2 predictions at most: the last may not be"),
        ("--output-format parquet", "has a part at most, and parquet is nothing without its end\n"),
    ] {
        iris(&folder, &format!("-i in.csv -o /dev/full {words}")).run().exits(3).says(state);
    }
}

/// Rows of which the third is bad, and elements that are the same.
fn three_of_five(delimiter: &str) -> [(&'static str, String); 3] {
    let rows = [SETOSA, VIRGINICA, "4.4,,1.4,0.2", "\"4.4\",2.9,1.4,0.2", VIRGINICA];
    let table = csv(&rows);
    let element = |row: &&str| {
        let row = row.replace('"', "");
        let members = HEADER.split(',').zip(row.split(',')).filter(|(_, value)| !value.is_empty());
        let members: Vec<_> = members.map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{\n{}\n}}", members.join(delimiter))
    };
    let elements: Vec<_> = rows.iter().map(element).collect();
    [
        ("in.csv", table.clone()),
        ("in.tsv", table.replace(',', "\t")),
        ("in.array", format!("[ {} ]\n", elements.join(" ,\n\n"))),
    ]
}

#[test]
fn a_run_that_was_interrupted_goes_on_in_every_format() {
    for (input, text) in three_of_five(",\n") {
        for format in ["ldjson", "json-array", "csv", "tsv"] {
            let folder = folder(input, &text);
            let of_input = if input == "in.array" { "--input-format json-array" } else { "" };
            let words = format!("-i {input} {of_input} --output-format {format}");
            iris(&folder, &format!("{words} -o whole")).run().exits(1);
            let (whole, rejected) = (folder.text("whole"), folder.text("whole.rejects.ldjson"));
            let resume = "-o out --resume --checkpoint-seconds 0 --checkpoint-bytes 1";
            let stop = format!("{words} {resume} --max-rejects 0");
            iris(&folder, &stop).run().exits(6).says("2 records are done and kept");
            iris(&folder, &stop).run().exits(6).says("resumed at line ");
            let ran = iris(&folder, &format!("{words} {resume}")).run().exits(1);
            ran.says(": 2 records were done before\n");
            assert_eq!(folder.text("out"), whole, "{input} to {format}");
            assert_eq!(folder.text("out.rejects.ldjson"), rejected, "{input} to {format}");
        }
    }
}

/// As one that was not interrupted: in the columns of the first input, and with the name of each reader.
#[test]
fn a_run_that_goes_on_in_a_later_input_writes_what_it_would_have_written() {
    let folder = folder("a.csv", csv(&[SETOSA]));
    let other = "petal_width,petal_length,sepal_width,sepal_length\n";
    let good = "2.5,6.0,3.3,6.3\n";
    folder.write("b.csv", [other, good, "bad\n", good].concat());
    let flower = r#"{"sepal_length":4.4,"sepal_width":2.9,"petal_length":1.4,"petal_width":0.2}"#;
    folder.write("c.json", [flower.as_bytes(), b"\n{\xff}\n", flower.as_bytes()].concat());
    let words = "-i a.csv -i b.csv -i c.json --emit merge";
    iris(&folder, &format!("{words} -o whole.csv")).run().exits(1);
    let (whole, rejected) = (folder.text("whole.csv"), folder.text("whole.csv.rejects.ldjson"));
    let rows = [SETOSA, VIRGINICA, VIRGINICA, SETOSA, SETOSA].map(|row| row.to_owned() + ",");
    let rows = predictions("setosa virginica virginica setosa setosa")
        .lines()
        .zip(rows)
        .map(|(line, row)| row + line.split('"').nth(3).unwrap() + "\n")
        .collect::<String>();
    assert_eq!(whole, format!("{HEADER},species\n{rows}"));
    let steps: Vec<_> = rejects(&rejected).iter().map(|it| it["step"].clone()).collect();
    assert_eq!(steps, ["CsvReader", "LdjsonReader"]);
    let resume = "-o out.csv --resume --checkpoint-seconds 0 --checkpoint-bytes 1";
    let second = format!("line 2, byte {} of c.json", flower.len() + 1);
    for (rejects, place) in [(0, "line 3, byte 66 of b.csv"), (1, &*second)] {
        let stop = format!("{words} {resume} --max-rejects {rejects}");
        iris(&folder, &stop).run().exits(6);
        iris(&folder, &stop).run().exits(6).says(&format!("resumed at {place}"));
    }
    iris(&folder, &format!("{words} {resume}")).run().exits(1).says("resumed at ");
    assert_eq!(folder.text("out.csv"), whole);
    assert_eq!(folder.text("out.csv.rejects.ldjson"), rejected);
}

#[test]
fn what_shapes_the_bytes_of_a_table_must_be_the_same_to_go_on() {
    let [(input, text), ..] = three_of_five(",");
    let folder = folder(input, &text);
    let words = "-i in.csv -o out --resume --checkpoint-seconds 0 --checkpoint-bytes 1";
    iris(&folder, &format!("{words} --max-rejects 0")).run().exits(6);
    let check = |more: &str, difference: &str| -> Ran {
        iris(&folder, &format!("{words} {more}")).run().exits(3).says(difference)
    };
    check("--output-format csv", "--output-format was `ldjson` and is `csv`");
    check("--input-format tsv", "--input-format was `csv` and is `tsv`");
    check("--delimiter ;", "--delimiter was `` and is `;`");
    check("--null-value NA", "--null-value was `` and is `NA`");
    iris(&folder, words).run().exits(1).says("resumed at line 4");
}

#[test]
fn the_page_on_formats_names_every_flag_of_tables() {
    let page = fs::read_to_string(root().join("docs/formats.md")).unwrap();
    for flag in [
        "--input-format",
        "--output-format",
        "--delimiter",
        "--quote",
        "--fields",
        "--header",
        "--null-value",
        "--output-delimiter",
        "--no-output-header",
    ] {
        assert!(page.contains(&format!("`{flag}")), "{flag}");
    }
}
