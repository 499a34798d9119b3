//! Several inputs, folders and globs; and a folder of outputs, each complete or absent.

use crate::main_job::{BAD, SETOSA, VIRGINICA, iris, predictions, rejects};
use etl_host_tests::{Folder, Ran};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::MetadataExt;

/// A folder `in` with these files.
fn folder(files: &[(&str, &str)]) -> Folder {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("in")).unwrap();
    for (name, text) in files {
        folder.write(&format!("in/{name}"), text);
    }
    folder
}

fn three() -> Folder {
    let (second, hidden) = (format!("{BAD}\n{VIRGINICA}"), BAD);
    folder(&[
        ("b.json", &second),
        ("a.json", SETOSA),
        ("c.ldjson", &format!("\n{BAD}\n")),
        (".hidden", hidden),
        ("_SUCCESS", hidden),
    ])
}

fn summary(folder: &Folder) -> Value {
    serde_json::from_str(&folder.text("s.json")).expect("JSON")
}

/// `SOURCE:LINE:BYTE` of each reject.
fn places(lines: impl AsRef<[u8]>) -> Vec<String> {
    let place = |reject: &Value| {
        let [source, line, byte] = ["source", "line", "byte"].map(|field| reject[field].clone());
        format!("{}:{line}:{byte}", source.as_str().unwrap())
    };
    rejects(lines).iter().map(place).collect()
}

#[track_caller]
fn check_order(words: &str, species: &str, rejected: &[&str]) -> Ran {
    let folder = three();
    let ran = iris(&folder, words).run().exits(i32::from(!rejected.is_empty()));
    let ran = ran.writes(&predictions(species));
    assert_eq!(places(&ran.stderr), rejected, "{words}");
    ran
}

#[test]
fn inputs_are_read_in_the_order_given_and_those_of_a_folder_or_a_glob_sorted() {
    let (b, c) = ("in/b.json:1:0", "in/c.ldjson:2:1");
    check_order("-i in", "setosa virginica", &[b, c]);
    check_order("-i in/", "setosa virginica", &[b, c]);
    check_order("-i in/*", "setosa virginica", &[b, c]); // but not what is hidden, or a mark
    check_order("-i in/_*", "", &["in/_SUCCESS:1:0"]);
    check_order("-i in/*.json", "setosa virginica", &[b]);
    check_order("-i **/[ab].json", "setosa virginica", &[b]);
    check_order("-i in/b.json -i in/a.json", "virginica setosa", &[b]);
    check_order("-i in/c* -i in/?.json", "setosa virginica", &[c, b]);
}

#[test]
fn several_inputs_are_one_run() {
    let ran = check_order("-i in -v", "setosa virginica", &["in/b.json:1:0", "in/c.ldjson:2:1"]);
    ran.says(" - LdjsonReader out=4 [done]\n").says("\n4 records: 2 written, 2 rejected (see ");
    let folder = three();
    iris(&folder, "-i in -o out.json --summary s.json").run().exits(1);
    let summary = summary(&folder);
    assert_eq!(summary["input"], "in/a.json, in/b.json, in/c.ldjson");
    let names: Vec<&Value> =
        summary["inputs"].as_array().unwrap().iter().map(|input| &input["name"]).collect();
    assert_eq!(names, ["in/a.json", "in/b.json", "in/c.ldjson"]);
    assert_eq!(places(folder.text("out.json.rejects.ldjson")).len(), 2);
}

#[test]
fn an_input_that_cannot_be_read_costs_a_single_output() {
    let folder = three();
    folder.write("out.json", "old");
    let ran = iris(&folder, "-i in -i missing.json -o out.json").run().exits(3);
    ran.says("error: the input `missing.json` can't be opened\n  cause: No such file");
    assert_eq!(folder.text("out.json"), "old");
}

#[test]
fn what_would_be_read_twice_is_refused() {
    for twice in ["-i in -i in/a.json", "-i in/a.json -i ./in/../in/a.json", "-i - -i -"] {
        iris(&three(), twice).run().exits(2).writes("").says("would be read twice");
    }
}

#[test]
fn a_file_whose_name_looks_like_a_glob_is_a_file() {
    let folder = folder(&[("[a].json", SETOSA), ("a.json", VIRGINICA)]);
    iris(&folder, "-i in/[a].json").run().exits(0).writes(&predictions("setosa"));
    iris(&folder, "-i in/[b].json").run().exits(3).says("no file matches");
    iris(&folder, "-i in/[.json").run().exits(2).says("is no glob");
}

#[test]
fn a_folder_takes_an_output_for_each_input() {
    let folder = three();
    let ran = iris(&folder, "-i in -o out/ --summary s.json").run().exits(1).writes("");
    let names = |folder: &Folder| -> Vec<String> {
        let entries = fs::read_dir(folder.path().join("out")).unwrap();
        let mut names: Vec<_> =
            entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let written =
        ["a.json", "b.json", "b.json.rejects.ldjson", "c.ldjson", "c.ldjson.rejects.ldjson"];
    assert_eq!(names(&folder), written);
    assert_eq!(folder.text("out/a.json"), predictions("setosa"));
    assert_eq!(folder.text("out/b.json"), predictions("virginica"));
    assert_eq!(folder.text("out/c.ldjson"), "");
    assert_eq!(places(folder.text("out/b.json.rejects.ldjson")), ["in/b.json:1:0"]);
    ran.says("out/b.json: 2 records: 1 written, 1 rejected (see out/b.json.rejects.ldjson), in ")
        .says(" - iris_model in=4 out=2 err=2 [done]\n")
        .says("\n4 records: 2 written, 2 rejected, in ");
    let summary = summary(&folder);
    assert_eq!((&summary["output"], &summary["published"]), (&json!("out/"), &json!(true)));
    assert_eq!(summary["counts"]["read"], 4);
    let runs = summary["runs"].as_array().unwrap();
    assert_eq!((runs.len(), &runs[1]["output"]), (3, &json!("out/b.json")));
    assert_eq!(runs[1]["counts"]["rejected"], 1);

    // Into a folder that is there, with the rejects elsewhere.
    folder.write("in/b.json", VIRGINICA);
    iris(&folder, "-i in -o out --rejects bad/").run().exits(1);
    assert_eq!(places(folder.text("bad/c.ldjson.rejects.ldjson")), ["in/c.ldjson:2:1"]);
}

#[test]
fn an_input_that_cannot_be_read_is_told_of_and_the_others_go_on() {
    let words = "-i in/a.json -i missing.json -i in/b.json -o out/ --summary s.json";
    let folder = three();
    let ran = iris(&folder, words).run().exits(3);
    ran.says("error: the input `missing.json` can't be opened\n").says("\n3 records: 2 written");
    assert_eq!(folder.text("out/a.json"), predictions("setosa"));
    assert_eq!(folder.text("out/b.json"), predictions("virginica"));
    assert_eq!(folder.read("out/missing.json"), None);
    let summary = summary(&folder);
    assert_eq!((&summary["exit_code"], &summary["published"]), (&json!(3), &json!(false)));
    let error = summary["runs"][1]["error"].as_str().unwrap();
    assert!(error.contains("missing.json"), "{error}");

    let folder = three();
    iris(&folder, &format!("{words} --on-error fail")).run().exits(3);
    assert_eq!(folder.text("out/a.json"), predictions("setosa"));
    assert_eq!(folder.read("out/b.json"), None);
}

#[test]
fn a_limit_stops_the_outputs_that_are_left() {
    let folder = three();
    let ran = iris(&folder, "-i in -o out/ --max-rejects 0").run().exits(6);
    ran.says("error: ").says("state: nothing was published; `out/b.json` is not there");
    assert_eq!(folder.text("out/a.json"), predictions("setosa"));
    assert_eq!((folder.read("out/b.json"), folder.read("out/c.ldjson")), (None, None));
}

#[test]
fn what_has_no_name_of_its_own_does_not_go_into_a_folder() {
    let folder = three();
    fs::create_dir(folder.path().join("other")).unwrap();
    folder.write("other/a.json", SETOSA);
    let check = |words: &str, said: &str| {
        iris(&folder, words).run().exits(2).writes("").says(said);
        assert_eq!(folder.names(), ["in", "other"], "{words}");
    };
    check("-i - -o out/", "what is read from stdin has no name");
    check("--record {} -o out/", "a record that is given by --record has no name");
    check("-i in -i other -o out/", "two inputs would be written to `out/a.json`");
    check("-i in -o in", "the output and --input are the same file");
    folder.write("other/a.json.rejects.ldjson", SETOSA);
    check("-i other -o out/", "the output and the rejects file are the same file");
    check("-i in -o out/ --rejects bad", "the rejects file `bad` is none");
}

#[test]
fn a_summary_names_a_folder_elsewhere_without_its_password() {
    let folder = three();
    let words = "-i in -o https://me:hush@127.0.0.1:1/dir/?sig=hush --summary s.json";
    iris(&folder, words).run().exits(3).says("only read from").says_nothing_of("hush");
    let summary = folder.text("s.json");
    assert!(summary.contains("\"https://me@127.0.0.1:1/dir/\""), "{summary}");
    assert!(!summary.contains("hush"), "{summary}");
}

#[test]
fn a_file_of_services_is_not_written_over() {
    let folder = three();
    folder.write("s.toml", "[lake]\nkind = 'local'\nroot = 'in'\n");
    let words = "--services s.toml -i lake://a.json -o s.toml";
    let said = "the output and --services are the same file";
    iris(&folder, words).run().exits(2).writes("").says(said);
    assert!(folder.text("s.toml").contains("[lake]"));
}

#[test]
fn a_folder_of_outputs_is_gone_on_with_where_it_was_interrupted() {
    for state in ["", " --state st"] {
        let folder = three();
        let words = format!("-i in -o out/ --resume{state} --summary s.json");
        iris(&folder, &format!("{words} --max-rejects 0")).run().exits(6);
        assert_eq!(folder.text("out/a.json"), predictions("setosa"));
        // What is done is not done again, and is counted all the same.
        let inode = || fs::metadata(folder.path().join("out/a.json")).unwrap().ino();
        let first = inode();
        iris(&folder, &words).run().exits(1).says("\n4 records: 2 written, 2 rejected");
        assert_eq!(inode(), first, "out/a.json was written once more");
        assert_eq!(folder.text("out/b.json"), predictions("virginica"));
        let hidden = |name: &str| {
            let names = fs::read_dir(folder.path().join(name)).map(|entries| {
                let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
                names.filter(|name| name.contains("etl-host")).collect::<Vec<_>>()
            });
            names.unwrap_or_default()
        };
        assert_eq!((hidden("out"), hidden("st")), (vec![], vec![]));
    }
}

#[test]
fn several_inputs_are_gone_on_with_at_the_end_of_each_of_them() {
    let folder = three();
    let words = "-i in -o out.json --resume --checkpoint-seconds 0";
    // The last of them is rejected: what the first gave, and what is behind it, is safe by then.
    let stop = format!("{words} --max-rejects 1");
    iris(&folder, &stop).run().exits(6).says("3 records are done and kept");
    let ran = iris(&folder, words).run().exits(1);
    ran.says("resumed at line 1, byte 0 of in/c.ldjson: 3 records were done before\n");
    assert_eq!(folder.text("out.json"), predictions("setosa virginica"));
    assert_eq!(
        places(folder.text("out.json.rejects.ldjson")),
        ["in/b.json:1:0", "in/c.ldjson:2:1"]
    );
    // Another set of inputs is another job.
    iris(&folder, &stop).run().exits(6);
    folder.write("in/0.json", SETOSA);
    iris(&folder, words).run().exits(3).says("the interrupted run was not the same job: ");
}
