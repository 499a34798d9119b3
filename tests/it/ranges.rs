//! A job in parts: the outputs of ranges that cover an input, one behind the other, are those of the whole,
//! and so are the rejects. What can't be read in ranges is refused, and `split` says what to read.

use crate::main_job::{BAD, SETOSA, VIRGINICA, iris, mkfifo, predictions, rejects};
use crate::s3::Server;
use etl_host_tests::faults::{Operation, run_with_fault};
use etl_host_tests::{Folder, Ran, Run};
use serde_json::{Value, json};
use std::fs::File;

const HEADER: &str = "sepal_length,sepal_width,petal_length,petal_width,note";

/// Flowers, some of them bad, and blank lines.
fn lines(count: usize) -> String {
    let line = |n: usize| match n % 7 {
        0 => SETOSA,
        3 => BAD,
        5 => "",
        _ => VIRGINICA,
    };
    (0..count).map(|n| line(n).to_owned() + "\n").collect::<String>() + SETOSA
}

/// The same as rows, some of which hold line breaks.
fn rows(count: usize) -> String {
    let row = |n: usize| match n % 5 {
        0 => "4.4,2.9,1.4,0.2,\"two\nlines, and \"\"more\"\"\n\"\n",
        3 => "x,2.9,1.4,0.2,\n",
        _ => "6.3,3.3,6.0,2.5,5\" wide\n",
    };
    let rows: String = (0..count).map(row).collect();
    format!("\u{feff}{HEADER}\r\n{rows}")
}

/// What `split` prints.
fn plan(ran: Ran) -> Vec<Value> {
    let ran = ran.exits(0);
    ran.stdout
        .split_inclusive(|byte| *byte == b'\n')
        .map(|it| serde_json::from_slice(it).unwrap())
        .collect()
}

/// Runs each range of a plan, first as a range that knows no lines; puts outputs and rejects one behind the
/// other, and compares them with those of the whole.
#[track_caller]
fn check(server: Option<&Server>, folder: &Folder, input: &str, plan: &[Value]) {
    let job = |words: &str| {
        allowed(iris(folder, &format!("-i {input} -q --emit nest {words}")), server).run()
    };
    job("-o whole.json").exits(1);
    let (mut output, mut rejected, mut line) = (Vec::new(), Vec::new(), 1);
    for split in plan {
        let range = format!("{}:{}", split["offset"], split["length"]);
        job(&format!("-o part.json --range {range} --summary s.json"));
        let part = folder.read("part.json").unwrap();
        let unknown = rejects(folder.read("part.json.rejects.ldjson").unwrap_or_default());
        output.extend_from_slice(&part);
        let summary: Value = serde_json::from_str(&folder.text("s.json")).unwrap();
        let known = if split["offset"] == 0 { range } else { format!("{range}:{line}") };
        job(&format!("-o part.json --range {known}"));
        assert_eq!(folder.read("part.json").unwrap(), part);
        let known = folder.read("part.json.rejects.ldjson").unwrap_or_default();
        for (mut unknown, known) in unknown.into_iter().zip(rejects(&known)) {
            if split["offset"] != 0 {
                let there = unknown.as_object_mut().unwrap();
                let relative = there.remove("range_line").unwrap().as_u64().unwrap();
                assert!(there.insert("line".to_owned(), json!(line + relative - 1)).is_none());
            }
            assert_eq!(unknown, known);
        }
        rejected.extend_from_slice(&known);
        let told = &summary["range"];
        assert_eq!((&told["offset"], &told["length"]), (&split["offset"], &split["length"]));
        line += told["lines"].as_u64().unwrap();
    }
    assert_eq!(output, folder.read("whole.json").unwrap());
    assert_eq!(rejected, folder.read("whole.json.rejects.ldjson").unwrap());
}

/// With what a server wants in the environment, where there is one.
fn allowed<'a>(run: Run<'a>, server: Option<&Server>) -> Run<'a> {
    let environment = server.map(Server::environment).into_iter().flatten();
    environment.fold(run, |run, (name, value)| run.env(name, &value))
}

/// A plan covers its inputs, each from its first byte to its last.
#[track_caller]
fn check_covers(plan: &[Value], inputs: &[(&str, usize)]) {
    let mut splits = plan.iter().peekable();
    for &(input, bytes) in inputs {
        let mut end = 0;
        while let Some(split) = splits.next_if(|split| split["input"] == input) {
            assert_eq!((&split["offset"], &split["input_bytes"]), (&json!(end), &json!(bytes)));
            end += split["length"].as_u64().unwrap();
        }
        assert_eq!(end, bytes as u64, "{input}: {plan:?}");
    }
    assert_eq!(splits.next(), None);
}

#[test]
fn the_parts_of_lines_are_the_whole() {
    let (folder, text) = (Folder::new(), lines(300));
    folder.write("in.json", &text);
    let plan = plan(folder.host("split --size 3000 in.json".split(' ')).run());
    assert_eq!(plan.len(), text.len().div_ceil(3000));
    check_covers(&plan, &[("in.json", text.len())]);
    check(None, &folder, "in.json", &plan);
}

#[test]
fn the_parts_of_rows_are_the_whole() {
    let (folder, text) = (Folder::new(), rows(150));
    folder.write("in.csv", &text);
    let plan = plan(folder.host("split --size 1KB in.csv".split(' ')).run());
    assert!(plan.len() > 3);
    check_covers(&plan, &[("in.csv", text.len())]);
    for split in &plan {
        let before = &text.as_bytes()[..split["offset"].as_u64().unwrap() as usize];
        let lines = before.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(split["line"], json!(lines + 1));
    }
    check(None, &folder, "in.csv", &plan);
}

#[test]
fn the_parts_of_an_object_are_the_whole() {
    let (server, folder) = (Server::start("flowers"), Folder::new());
    let text = lines(200);
    server.put("flowers/in.json", &text);
    server.put("flowers/in.csv", rows(100));
    for input in ["s3://flowers/in.json", "s3://flowers/in.csv"] {
        let plan =
            plan(allowed(folder.host(["split", "--size", "1KiB", input]), Some(&server)).run());
        assert!(plan.len() > 1);
        check(Some(&server), &folder, input, &plan);
    }
}

#[test]
fn of_an_object_not_much_more_than_the_range_is_fetched() {
    let (server, folder) = (Server::start("flowers"), Folder::new());
    server.put("flowers/in.json", "\n".repeat(48 << 20));
    for range in ["0:1000000", "2000000:1000000"] {
        let before = server.asked().len();
        let words = format!("-q -i s3://flowers/in.json --range {range}");
        allowed(iris(&folder, &words), Some(&server)).run().exits(0).writes("");
        let reads = server.asked()[before..].iter().filter(|it| it.is_read()).count();
        // Twice the first bytes, to see that nothing is compressed.
        assert!(reads <= 3, "{reads}");
    }
}

#[test]
fn a_plan_takes_inputs_as_a_run_does_and_what_cannot_be_cut_is_one_range() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("d")).unwrap();
    for (name, text) in
        [("d/a.json", "1\n2\n3\n"), ("d/b.ldjson", ""), ("d/c.gz", "\x1f\x08"), ("d/e", "1")]
    {
        folder.write(name, text);
    }
    folder.write("d/f.csv", "");
    folder.write("d/z.parquet", "PAR1");
    folder.write("large.json", "");
    File::options()
        .write(true)
        .open(folder.path().join("large.json"))
        .unwrap()
        .set_len(1 << 30)
        .unwrap();
    let plan = plan(folder.host("split --size 4 d".split(' ')).run());
    check_covers(
        &plan,
        &[("d/a.json", 6), ("d/c.gz", 2), ("d/e", 1), ("d/f.csv", 0), ("d/z.parquet", 4)],
    );
    let whole: Vec<&str> = plan
        .iter()
        .filter(|it| it["whole"] == true)
        .filter_map(|it| it["input"].as_str())
        .collect();
    assert_eq!(whole, ["d/c.gz", "d/f.csv", "d/z.parquet"]);
    for (words, code, why) in [
        ("split", 2, "<INPUT>"),
        ("split --size 0 d", 2, "ranges of nothing cover nothing"),
        ("split -", 2, "stdin can be read only once"),
        ("split postgres://here/db", 2, "can't be read in ranges: it is a database"),
        ("split https://host/a?token=hush", 2, "its name may hold a secret"),
        ("split missing", 3, "`missing` can't be opened"),
        ("split d missing", 3, "`missing` can't be opened"),
        ("split --size x d", 2, "a size such as 128MiB is wanted"),
        ("split --size 1 large.json", 2, "--size takes units, such as 1MiB"),
    ] {
        folder
            .host(words.split(' '))
            .run()
            .exits(code)
            .writes("")
            .says(why)
            .says_nothing_of("hush");
    }
}

#[test]
fn a_range_without_a_record_is_an_empty_output() {
    let folder = Folder::new();
    folder.write("in.json", format!("{SETOSA}\n{SETOSA}"));
    for range in ["0:0", "1:10", "1:0", "5000:10", "5000:0:7"] {
        let words = format!("-i in.json --range {range} --summary s.json");
        iris(&folder, &words).run().exits(0).writes("");
        let summary: Value = serde_json::from_str(&folder.text("s.json")).unwrap();
        assert_eq!(summary["range"]["lines"], 0);
    }
    iris(&folder, "-i in.json --range 0:1").run().exits(0).writes(&predictions("setosa"));
}

#[test]
fn what_cannot_be_read_in_ranges_is_refused() {
    let folder = Folder::new();
    folder.write("in.json", SETOSA);
    folder.write("in.csv", format!("{HEADER}\n"));
    folder.write("packed", [0x1f, 0x8b, 8, 0]);
    mkfifo(&folder.path().join("fifo"));
    for (words, why) in [
        ("-i in.json --range 5", "OFFSET:LENGTH is wanted"),
        ("-i in.json --range 0:5:2", "begins on line 1"),
        ("-i in.json -i in.csv --range 0:5", "--range is of one input, and there are 2"),
        ("-i - --range 0:5", "`-` can't be read in ranges: it can be read only once"),
        ("-i fifo --range 0:5", "it is no file"),
        ("-i packed --range 0:5", "it is compressed with gzip"),
        ("-i in.json --input-format json-array --range 0:5", "it is json-array, and only"),
        ("-i in.json --range 1:5 --place -o o.csv", "--range OFFSET:LENGTH:LINE"),
        ("--record {} --range 0:5", "cannot be used with"),
    ] {
        iris(&folder, words).run().exits(2).writes("").says(why);
    }
    iris(&folder, "-i in.json --range 1:5:2 --place -o o.csv").run().exits(0);
    iris(&folder, "-i missing --range 0:5").run().exits(3);
}

#[test]
fn a_cut_in_a_row_that_holds_line_breaks_is_refused_and_nothing_published() {
    let folder = Folder::new();
    let text = rows(10);
    folder.write("in.csv", &text);
    let cut = text.find("two").unwrap();
    let begins = text.find('"').unwrap() - "4.4,2.9,1.4,0.2,".len();
    let cuts = format!(
        "the range ends at byte {cut}, within a row that begins at byte {begins} and holds line breaks"
    );
    let words = format!("-i in.csv -o out.json --range 0:{cut} --resume --checkpoint-bytes 1");
    for _ in 0..2 {
        let ran = iris(&folder, &words).run().exits(3);
        ran.says(&cuts).says("hint: let ranges begin where");
        assert_eq!(folder.read("out.json"), None);
    }
}

#[test]
fn a_plan_tells_which_content_it_is_of_as_the_summaries_of_its_runs_do() {
    let folder = Folder::new();
    folder.write("in.json", format!("{SETOSA}\n"));
    let plan = plan(folder.host(["split", "in.json"]).run());
    iris(&folder, "-i in.json -o out.json --summary s.json").run().exits(0);
    let summary: Value = serde_json::from_str(&folder.text("s.json")).unwrap();
    assert!(plan[0]["version"].is_string());
    assert_eq!(plan[0]["version"], summary["inputs"][0]["version"]);
}

#[test]
fn a_quote_that_is_never_closed_is_told_by_its_byte_where_no_line_is_known() {
    let folder = Folder::new();
    let head = "sepal_length,sepal_width,petal_length,petal_width\n\n5,3,1,0.2\n";
    folder.write("in.csv", format!("{head}5,3,1,\"x\n"));
    let words = format!("-i in.csv -o out.json --range {}:99", head.len());
    iris(&folder, &words).run().exits(1);
    let rejected = rejects(folder.read("out.json.rejects.ldjson").unwrap());
    let expected = format!("the quote that opens at byte {} is never closed", head.len() + 6);
    assert_eq!(
        (&rejected[0]["range_line"], &rejected[0]["message"]),
        (&json!(1), &json!(expected))
    );
}

#[test]
fn a_range_that_knows_no_line_tells_bytes_alone_and_its_rejects_can_be_run_again() {
    let folder = Folder::new();
    folder.write("in.json", format!("{SETOSA}\n\n{BAD}\n{SETOSA}\n"));
    let byte = SETOSA.len() + 2;
    let ran = iris(&folder, "-i in.json --range 1:500 --on-error fail").run().exits(6);
    ran.says(&format!("in.json: byte {byte}: ")).says_nothing_of("line 2,");
    iris(&folder, "-i in.json --range 1:500 --place -o out.json").run().exits(1);
    let placed = rejects(folder.text("out.json"));
    let place = json!({"source": "in.json", "range_line": 3, "byte": byte + BAD.len() + 1, "output": {"species": "setosa"}});
    assert_eq!(placed, [place]);
    let rejected = folder.text("out.json.rejects.ldjson");
    let reject = &rejects(&rejected)[0];
    assert_eq!(
        (reject.get("line"), &reject["range_line"], &reject["byte"]),
        (None, &json!(2), &json!(byte))
    );
    let plugin = etl_host_tests::plugin("iris_model");
    let words = ["replay", "out.json.rejects.ldjson", "-o", "again.json", "--plugin"];
    folder.host(words).args([plugin]).run().exits(1);
    assert_eq!(folder.text("again.json.rejects.ldjson"), rejected);
}

#[test]
fn a_range_that_was_interrupted_goes_on_and_counts_all_its_lines() {
    let folder = Folder::new();
    let text = format!("{SETOSA}\n{VIRGINICA}\n{SETOSA}\n{BAD}\n{VIRGINICA}\n{SETOSA}\n");
    folder.write("in.json", text);
    let second = SETOSA.len() + 1;
    let length = 2 * VIRGINICA.len() + SETOSA.len() + BAD.len() + 5; // and the first byte of the last
    let words = "--resume --checkpoint-seconds 0 --checkpoint-bytes 1 --summary s.json";
    let job = |range: &str, more: &str| {
        iris(&folder, &format!("-i in.json -o out.json --range {range} {words} {more}")).run()
    };
    let range = format!("{second}:{length}");
    job(&range, "--max-rejects 0").exits(6);
    let told = folder.host(["status", "out.json"]).run().exits(0);
    told.says_nothing_of("line");
    job("0:10", "").exits(3).says("--range");
    job(&range, "").exits(1).says("resumed at byte ").says_nothing_of("resumed at line");
    assert_eq!(folder.text("out.json"), predictions("virginica setosa virginica setosa"));
    let summary: Value = serde_json::from_str(&folder.text("s.json")).unwrap();
    assert_eq!(summary["range"], json!({"offset": second, "length": length, "lines": 5}));
    assert_eq!(summary["resumed"]["line"], Value::Null);
}

#[test]
fn a_range_of_which_only_the_publication_was_left_is_told_with_its_lines() {
    let folder = Folder::new();
    folder.write("in.json", lines(20));
    let job = "-i in.json -o out.json --range 5:500 --resume --summary s.json";
    let (_, operations) = run_with_fault(iris(&folder, job), usize::MAX, "kill");
    let told: Value = serde_json::from_str(&folder.text("s.json")).unwrap();
    for name in ["out.json", "out.json.rejects.ldjson", "s.json"] {
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    let publishes = |it: &Operation| it.name == "rename" && it.path.starts_with("out.json");
    let number = operations.iter().position(publishes).unwrap() + 1;
    run_with_fault(iris(&folder, job), number, "kill").0.dies_of(9);
    iris(&folder, job).run().exits(1).says("resumed at the end");
    let again: Value = serde_json::from_str(&folder.text("s.json")).unwrap();
    assert!(again["range"]["lines"].as_u64().unwrap() > 5);
    assert_eq!(again["range"], told["range"]);
}
