//! The main job: a file of records in, predictions out, and each way in which a command line or a
//! file can make that impossible.
//!
//! [`iris`] is the one way into the host here; files are named relative to the folder.

use crate::streams::{Live, eventually};
use etl_host_tests::{Folder, Run, plugin, root};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::thread;

pub(crate) const SETOSA: &str =
    r#"{"sepal_length": 4.4, "sepal_width": 2.9, "petal_length": 1.4, "petal_width": 0.2}"#;
pub(crate) const VIRGINICA: &str =
    r#"{"sepal_length": 6.3, "sepal_width": 3.3, "petal_length": 6.0, "petal_width": 2.5}"#;
/// A record that is rejected.
pub(crate) const BAD: &str = r#"{"sepal_length": 4.4, "sepal_width": 2.9, "petal_width": 0.2}"#;

/// A run with the iris model, not started yet. `words` are further arguments.
pub(crate) fn iris<'a>(folder: &'a Folder, words: &str) -> Run<'a> {
    let plugin = plugin("iris_model").into_os_string();
    let words = words.split_whitespace().map(Into::into);
    folder.host(["--plugin".into(), plugin].into_iter().chain(words))
}

/// The same for one record on the command line.
fn iris_record<'a>(folder: &'a Folder, record: &str) -> Run<'a> {
    let plugin = plugin("iris_model");
    folder.host(["--plugin".as_ref(), plugin.as_os_str(), "--record".as_ref(), record.as_ref()])
}

/// What is written for flowers of these species, which are separated by spaces.
pub(crate) fn predictions(species: &str) -> String {
    species.split_whitespace().map(|species| format!("{{\"species\":\"{species}\"}}\n")).collect()
}

/// The rejects among lines: all that are JSON.
pub(crate) fn rejects(lines: impl AsRef<[u8]>) -> Vec<Value> {
    let lines = String::from_utf8_lossy(lines.as_ref()).into_owned();
    lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

pub(crate) fn mkfifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().expect("mkfifo runs");
    assert!(made.success(), "no FIFO at {}", path.display());
}

mod records {
    //! What counts as a record, and what becomes of it.

    use super::*;

    /// This input gives these species, from a file to a file and through pipes.
    #[track_caller]
    fn check(input: impl AsRef<[u8]>, species: &str) {
        let (input, expected) = (input.as_ref(), predictions(species));
        let folder = Folder::new();
        folder.write("in.json", input);
        iris(&folder, "-i in.json -o out.json").run().exits(0).writes("");
        assert_eq!(folder.text("out.json"), expected, "{}", input.escape_ascii());
        assert_eq!(folder.names(), ["in.json", "out.json"]);
        iris(&folder, "-i -").stdin(input).run().exits(0).writes(&expected);
        iris(&folder, "-i - -o -").stdin(input).run().exits(0).writes(&expected);
    }

    #[test]
    fn the_sample_input_gives_five_of_each_species_in_order() {
        let species = ["setosa ", "versicolor ", "virginica "].map(|species| species.repeat(5));
        check(fs::read(root().join("data/input.json")).unwrap(), &species.concat());
    }

    #[test]
    fn an_input_without_records_gives_an_empty_output() {
        for input in ["", "\n", "\r\n\n  \n\t", "\u{feff}", "\u{feff}\n"] {
            check(input, "");
        }
    }

    #[test]
    fn line_ends_blank_lines_and_a_byte_order_mark_are_no_part_of_a_record() {
        check(format!("{SETOSA}\n{VIRGINICA}"), "setosa virginica");
        check(format!("{SETOSA}\r\n{VIRGINICA}\r\n"), "setosa virginica");
        check(format!("{SETOSA}\r\n{VIRGINICA}\r"), "setosa virginica");
        check(format!("\n\r\n{SETOSA}\n \t\n{VIRGINICA}\n\n"), "setosa virginica");
        check(format!("\u{feff}{SETOSA}\n{VIRGINICA}"), "setosa virginica");
        check(format!("\u{feff}\r\n{SETOSA}\r\n"), "setosa");
        check(format!("  {SETOSA} \t\r\n"), "setosa");
    }

    #[test]
    fn fields_may_stand_in_any_order_beside_others_and_be_integers() {
        check(
            r#"{"n": {"sepal_length": 9}, "petal_width": 2, "petal_length": 6, "sepal_width": 3, "sepal_length": 6, "x": null}"#,
            "virginica",
        );
        check(SETOSA.replace("sepal_length", "sepal_\\u006cength"), "setosa");
    }

    /// The one reject of this input has these values, and its message begins so.
    #[track_caller]
    fn check_reject(input: impl AsRef<[u8]>, expected: Value, message: &str) {
        let folder = Folder::new();
        folder.write("in.json", input);
        let summary = ", 1 rejected (see out.json.rejects.ldjson), in ";
        iris(&folder, "-i in.json -o out.json").run().exits(1).writes("").says(summary);
        assert_eq!(folder.names(), ["in.json", "out.json", "out.json.rejects.ldjson"]);
        let rejects = rejects(folder.text("out.json.rejects.ldjson"));
        let [reject] = &rejects[..] else { panic!("one reject, not {rejects:?}") };
        assert_eq!(reject["source"], "in.json");
        for (key, value) in expected.as_object().expect("an object of what is expected") {
            assert_eq!(&reject[key], value, "{key} of {reject}");
        }
        let said = reject["message"].as_str().expect("a message");
        assert!(said.starts_with(message), "{said}");
    }

    #[test]
    fn a_reject_tells_the_place_of_its_record_whatever_stands_before_it() {
        let place = |line: u64, byte: usize| json!({"line": line, "byte": byte, "length": BAD.len(), "record": BAD});
        let (line, message) = (SETOSA.len() + 1, "missing field `petal_length`");
        check_reject(format!("{SETOSA}\n{BAD}\n{SETOSA}\n"), place(2, line), message);
        check_reject(format!("{SETOSA}\n{BAD}"), place(2, line), message);
        check_reject(format!("\u{feff}{BAD}\n"), place(1, 3), message);
        check_reject(format!("\n \r\n{SETOSA}\r\n\r\n{BAD}\r\n"), place(5, line + 7), message);
    }

    #[test]
    fn a_reject_tells_the_kind_and_the_path_of_its_fault() {
        let schema = |path: &str| match path {
            "" => json!({"kind": "schema", "step": "iris_model", "path": null}),
            path => json!({"kind": "schema", "step": "iris_model", "path": path}),
        };
        let invalid = json!({"kind": "invalid_json", "step": "iris_model"});
        let text = SETOSA.replace("1.4", "\"1.4\"");
        check_reject(text, schema("petal_length"), "invalid type: string \"1.4\", expected f64");
        check_reject(SETOSA.replace("1.4", "null"), schema("petal_length"), "invalid type: null");
        let twice = SETOSA.replace('}', ", \"sepal_width\": 2.9}");
        check_reject(twice, schema(""), "duplicate field `sepal_width`");
        check_reject("[4.4, 2.9, 1.4, 0.2]", schema(""), "expected a JSON object, found an array");
        check_reject("null", schema(""), "expected a JSON object, found null");
        check_reject("\"flower\"", schema(""), "expected a JSON object, found a string");
        check_reject("flower", invalid.clone(), "expected ");
        check_reject(&SETOSA[..40], invalid.clone(), "EOF while parsing");
        check_reject(format!("{SETOSA} {SETOSA}"), invalid.clone(), "trailing characters");
        check_reject(SETOSA.replace("1.4", "1e400"), invalid, "number out of range");
        let utf8 = json!({"kind": "invalid_utf8", "step": "LdjsonReader", "encoding": "base64", "record": "/wA="});
        check_reject(b"\xff\x00\n", utf8, "not UTF-8 at byte 0");
    }

    #[test]
    fn a_line_over_the_cap_is_rejected_with_its_beginning_and_the_next_is_not() {
        let long = format!("{}{}", SETOSA, " ".repeat(10_000 - SETOSA.len()));
        let folder = Folder::new();
        folder.write("in.json", format!("{VIRGINICA}\n{long}\n{SETOSA}\n{long}"));
        let args = "-i in.json -o out.json --line-bytes-max";
        iris(&folder, &format!("{args} 10000")).run().exits(0);
        assert_eq!(folder.text("out.json"), predictions("virginica setosa setosa setosa"));
        iris(&folder, &format!("{args} 9999")).run().exits(1);
        assert_eq!(folder.text("out.json"), predictions("virginica setosa"));
        let second = VIRGINICA.len() + 1;
        let fourth = second + long.len() + 1 + SETOSA.len() + 1;
        let reject = |line: u64, byte: usize| {
            json!({
                "source": "in.json", "line": line, "byte": byte, "length": 10_000,
                "step": "LdjsonReader", "kind": "line_too_long",
                "message": "the line is 10000 bytes long, the most is 9999",
                "truncated": true, "record": &long[..4096],
            })
        };
        let rejects = rejects(folder.text("out.json.rejects.ldjson"));
        assert_eq!(rejects, [reject(2, second), reject(4, fourth)]);
    }

    #[test]
    fn a_fixed_record_can_be_run_again_from_the_rejects_alone() {
        let folder = Folder::new();
        folder.write("in.json", format!("{SETOSA}\n{BAD}\n"));
        iris(&folder, "-i in.json -o out.json").run().exits(1);
        let rejects = rejects(folder.text("out.json.rejects.ldjson"));
        let record = rejects[0]["record"].as_str().unwrap();
        let fixed = record.replace('{', "{\"petal_length\": 1.4, ");
        iris(&folder, "-i -").stdin(fixed).run().exits(0).writes(&predictions("setosa"));
    }

    #[test]
    fn one_record_can_be_asked_about_on_the_command_line() {
        let folder = Folder::new();
        iris_record(&folder, SETOSA).run().exits(0).writes(&predictions("setosa"));
        let broken = format!("\r\n{}\n", VIRGINICA.replace(", ", ",\n"));
        iris_record(&folder, &broken).run().exits(0).writes(&predictions("virginica"));
        let ran = iris_record(&folder, BAD).run().exits(1).writes("");
        let rejects = rejects(&ran.stderr);
        assert_eq!(rejects.len(), 1);
        assert_eq!(rejects[0]["source"], "--record");
        ran.says("missing field `petal_length`").says("1 rejected (see stderr)");
        let two = format!("{SETOSA}\n{VIRGINICA}");
        iris_record(&folder, &two).run().exits(2).writes("").says("trailing characters");
        iris_record(&folder, "\"a\nb\"").run().exits(2).writes("").says("is not JSON");
        iris_record(&folder, " ").run().exits(2).writes("").says("the record is empty");
        assert_eq!(folder.names(), [""; 0]);
    }
}

mod sayings {
    //! What is said to people and to programs.

    use super::*;

    #[test]
    fn a_run_ends_with_a_line_for_each_node_and_one_of_totals() {
        let folder = Folder::new();
        folder.write("good.json", format!("{SETOSA}\n").repeat(15));
        folder.write("bad.json", format!("{SETOSA}\n{BAD}\n\u{0}\n"));
        folder.write("empty.json", "");
        for (input, code, said) in [
            (
                "good.json",
                0,
                " - LdjsonReader out=15 [done]\n - iris_model in=15 out=15 [done]\n \
                 - LdjsonWriter in=15 [done]\n15 records: 15 written, in ",
            ),
            (
                "bad.json",
                1,
                " - LdjsonReader out=3 [done]\n - iris_model in=3 out=1 err=2 [done]\n \
                 - LdjsonWriter in=1 [done]\n\
                 3 records: 1 written, 2 rejected (see out.json.rejects.ldjson), in ",
            ),
            (
                "empty.json",
                0,
                " - LdjsonReader [done]\n - iris_model [done]\n - LdjsonWriter [done]\n\
                 0 records: 0 written, in ",
            ),
        ] {
            let ran = iris(&folder, &format!("-i {input} -o out.json")).run().exits(code);
            let stderr = String::from_utf8(ran.stderr).unwrap();
            assert!(stderr.starts_with(said), "{stderr}");
            assert!(stderr.ends_with(" records/s)\n") && stderr.lines().count() == 4, "{stderr}");
        }
    }

    #[test]
    fn a_quiet_run_says_nothing_but_rejects_and_errors() {
        let folder = Folder::new();
        folder.write("in.json", format!("{SETOSA}\n{BAD}\n"));
        let ran = iris(&folder, "-i in.json --quiet").run().exits(1);
        let stderr = String::from_utf8(ran.stderr).unwrap();
        assert_eq!((stderr.lines().count(), rejects(&stderr).len()), (1, 1), "{stderr}");
        let ran = iris(&folder, "-i in.json -o out.json -q").run().exits(1);
        assert_eq!(ran.stderr, b"");
        iris(&folder, "-i missing -q").run().exits(3).says("error: the input `missing`");
    }

    #[test]
    fn the_original_spellings_work() {
        let folder = Folder::new();
        folder.write("in.json", SETOSA);
        iris(&folder, "--input_file in.json --output_file out.json").run().exits(0).writes("");
        assert_eq!(folder.text("out.json"), predictions("setosa"));
    }

    /// The summary, its times checked and taken out.
    fn summary(folder: &Folder) -> Value {
        let mut summary: Value = serde_json::from_str(&folder.text("s.json")).expect("JSON");
        let fields = summary.as_object_mut().expect("an object");
        let started = fields.remove("started").expect("it tells when the run began");
        let started = started.as_str().expect("as a text");
        assert!(started.starts_with("20") && started.ends_with('Z'), "{started}");
        let seconds = fields.remove("seconds").and_then(|seconds| seconds.as_f64());
        assert!(seconds.is_some_and(|seconds| (0.0..600.0).contains(&seconds)), "{seconds:?}");
        // Size and time of a file.
        for input in fields["inputs"].as_array_mut().expect("a list") {
            let version = input["version"].take();
            let is_told = version.as_str().is_some_and(|text| text.contains(" bytes, changed 20"));
            assert!(is_told || input["name"] != "in.json", "{version}");
        }
        summary
    }

    #[test]
    fn a_summary_tells_everything_of_a_run_whether_it_ended_well_or_not() {
        let path = plugin("iris_model").display().to_string();
        let sha256 = Command::new("sha256sum").arg(&path).output().expect("sha256sum runs");
        let sha256 = String::from_utf8(sha256.stdout).unwrap();
        let sha256 = sha256.split(' ').next().unwrap();
        let folder = Folder::new();
        folder.write("in.json", format!("{SETOSA}\n{BAD}\n{SETOSA}\n"));
        let node = |name, role, taken, given, rejected| {
            json!({
                "name": name, "role": role, "in": taken, "out": given, "yielded": given,
                "filtered": 0, "blocked": 0, "err": rejected,
            })
        };

        iris(&folder, "-i in.json -o out.json --summary s.json").run().exits(1);
        let expected = json!({
            "host_version": "0.1.0",
            "abi_version": "1.0.0",
            "plugin": {"path": path, "sha256": sha256},
            "model": {"name": "iris_model", "version": "0.1", "fingerprint": null},
            "input": "in.json",
            "inputs": [{
                "name": "in.json", "version": null,
                "fields": ["petal_length", "petal_width", "sepal_length", "sepal_width"],
            }],
            "output": "out.json",
            "output_version": null,
            "rejects": "out.json.rejects.ldjson",
            "counts": {"read": 3, "written": 2, "filtered": 0, "blocked": 0, "rejected": 1, "abandoned": 0},
            "nodes": [
                node("LdjsonReader", "source", 0, 3, 0),
                node("iris_model", "step", 3, 2, 1),
                node("LdjsonWriter", "sink", 2, 2, 0),
            ],
            "published": true,
            "resumed": null,
            "checkpoints": 0,
            "exit_code": 1,
            "error": null,
        });
        assert_eq!(summary(&folder), expected);

        iris(&folder, "-i in.json --summary s.json").stdin("").run().exits(1);
        let summary_of_streams = summary(&folder);
        assert_eq!(summary_of_streams["output"], "-");
        assert_eq!(summary_of_streams["rejects"], "stderr");

        iris_in(&folder, "good.json", SETOSA).run().exits(0);
        let good = summary(&folder);
        assert_eq!((&good["exit_code"], &good["rejects"]), (&json!(0), &Value::Null));

        iris(&folder, "-i in.json -o /dev/full --summary s.json").run().exits(3);
        let failed = summary(&folder);
        assert_eq!(failed["exit_code"], 3);
        assert_eq!(failed["published"], false);
        assert_eq!(failed["counts"]["written"], 0);
        assert!(failed["counts"]["abandoned"].as_u64().unwrap() > 0, "{failed}");
        let error = failed["error"].as_str().unwrap();
        assert!(error.contains("the output can't be written: No space left"), "{error}");
    }

    #[test]
    fn a_summary_may_go_to_stdout_where_no_predictions_do() {
        let folder = Folder::new();
        folder.write("in.json", SETOSA);
        let ran = iris(&folder, "-i in.json -o out.json --summary -").run().exits(0);
        let summary: Value = serde_json::from_slice(&ran.stdout).expect("JSON alone");
        assert_eq!(summary["counts"]["written"], 1);
        assert_eq!(folder.names(), ["in.json", "out.json"]);
    }

    fn iris_in<'a>(folder: &'a Folder, name: &str, input: &str) -> Run<'a> {
        folder.write(name, input);
        iris(folder, &format!("-i {name} -o out.json --summary s.json"))
    }
}

mod refusals {
    //! What is refused before anything is read, and leaves everything as it was.

    use super::*;

    /// A folder of files that must not be written over.
    fn folder() -> Folder {
        let folder = Folder::new();
        folder.write("in.json", SETOSA);
        folder.write("old.json", "old");
        folder.write("config.json", "{}");
        folder.write("out.json.rejects.ldjson", BAD);
        fs::copy(plugin("iris_model"), folder.path().join("plugin.so")).unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        symlink("in.json", folder.path().join("link.json")).unwrap();
        folder
    }

    /// Each of these lines ends with this code, says these words, and changes nothing.
    #[track_caller]
    fn check(code: i32, lines: &[(&str, &str)]) {
        let folder = folder();
        let before = folder.names();
        for (words, said) in lines {
            let words = words.replace("ABSOLUTE", folder.path().to_str().expect("UTF-8"));
            let words = format!("--plugin plugin.so {words}");
            let ran = folder.host(words.split_whitespace()).run().exits(code).writes("").says(said);
            ran.says_nothing_of("panicked").says_nothing_of("RUST_BACKTRACE");
            assert_eq!(folder.names(), before, "{words}");
            assert_eq!(folder.text("in.json"), SETOSA, "{words}");
            assert_eq!(folder.text("old.json"), "old", "{words}");
            assert_eq!(folder.text("out.json.rejects.ldjson"), BAD, "{words}");
        }
    }

    #[test]
    fn a_command_line_that_makes_no_sense_is_refused() {
        check(
            2,
            &[
                ("", "--input <PATH>|--record <JSON>"),
                ("-i in.json --record {}", "cannot be used with"),
                ("-i in.json --max-rejects many", "like 0.5%"),
                ("-i in.json --max-rejects -1", "unexpected argument '-1'"),
                ("-i in.json --max-rejects 101%", "like 0.5%"),
                ("-i in.json --max-rejects NaN%", "like 0.5%"),
                ("-i in.json --threads 0", "--threads"),
                ("-i in.json --emit all", "[possible values: prediction"),
                ("-i in.json --emit merge --keep id", "--keep goes with"),
                ("-i in.json --emit nest --keep id", "--keep goes with"),
                ("-i in.json --on-error ignore", "[possible values: reject"),
                ("-i in.json --config {", "the config is not JSON"),
                ("-i in.json --config @missing", "`missing` can't be read"),
                ("-i in.json --rejects -", "rejects can't go to stdout"),
                ("-i in.json --rejects /dev/stdout", "rejects can't go to stdout"),
                ("-i in.json --summary -", "the summary can't go to stdout"),
                ("-i in.json -o - --summary /dev/stdout", "the summary can't go to stdout"),
                ("-i in.json --colour", "unexpected argument"),
            ],
        );
    }

    #[test]
    fn a_command_line_without_a_plugin_is_refused() {
        for words in [&[][..], &["-i", "in.json"], &["--record", SETOSA]] {
            folder().host(words).run().exits(2).writes("").says("--plugin <FILE>");
        }
    }

    #[test]
    fn an_output_that_is_another_file_of_the_run_is_refused_however_it_is_spelled() {
        check(
            2,
            &[
                ("-i in.json -o in.json", "the output and --input are the same"),
                ("-i in.json -o ./sub/../in.json", "the output and --input"),
                ("-i in.json -o ABSOLUTE/in.json", "the output and --input"),
                ("-i in.json -o link.json", "the output and --input"),
                ("-i link.json -o in.json", "the output and --input"),
                ("-i in.json -o plugin.so", "the output and --plugin"),
                ("-i in.json --config @config.json -o sub/../config.json", "--config"),
                ("-i in.json -o o --rejects ./o", "the rejects file and the output"),
                ("-i in.json -o old.json --rejects in.json", "the rejects file and"),
                ("-i out.json.rejects.ldjson -o out.json", "the rejects file and"),
                ("-i in.json -o o --summary ABSOLUTE/o", "the summary and the output"),
                ("-i in.json --summary link.json", "the summary and --input"),
                ("-i in.json --summary plugin.so", "the summary and --plugin"),
                (
                    "-i in.json -o out.json --summary out.json.rejects.ldjson",
                    "the summary and the rejects file",
                ),
            ],
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_or_written_is_told_by_name_and_cause() {
        check(
            3,
            &[
                ("-i missing.json", "the input `missing.json` can't be opened"),
                ("-i missing.json -o old.json", "No such file or directory"),
                ("-i sub -o old.json", "there is no file in it"),
                ("-i *.csv -o old.json", "no file matches"),
                ("-i in.json/x -o old.json", "Not a directory"),
                ("-i in.json -o no/out.json", "the output `no/out.json` can't be"),
                ("-i in.json -o no/out.json", "No such file or directory"),
                ("-i in.json -o in.json/out.json", "Not a directory"),
                ("-i in.json -o new.json --rejects no/r", "the rejects file `no/r`"),
                ("-i in.json -o new.json --summary no/s", "the summary `no/s`"),
            ],
        );
    }
}

mod files {
    //! That an output appears complete or not at all.

    use super::*;

    #[test]
    fn a_run_takes_over_what_a_killed_one_left_and_replaces_what_an_earlier_one_wrote() {
        let folder = Folder::new();
        folder.write("in.json", SETOSA);
        folder.write("out.json", "old".repeat(100));
        folder.write(".out.json.etl-host-part", "half of a long output".repeat(100));
        iris(&folder, "-i in.json -o out.json").run().exits(0);
        assert_eq!(folder.text("out.json"), predictions("setosa"));
        assert_eq!(folder.names(), ["in.json", "out.json"]);
    }

    #[test]
    fn a_run_that_fails_leaves_the_files_of_the_one_before() {
        let folder = Folder::new();
        folder.write("in.json", format!("{SETOSA}\n{BAD}\n"));
        folder.write("out.json", "old");
        folder.write("out.json.rejects.ldjson", "old rejects");
        for (words, code) in [
            ("-i in.json -o out.json --on-error fail", 6),
            ("-i in.json -o out.json --max-rejects 0", 6),
            ("-i missing.json -o out.json", 3),
            ("-i in.json -o out.json --summary no/s.json", 3),
        ] {
            iris(&folder, words).run().exits(code);
            assert_eq!(folder.text("out.json"), "old");
            assert_eq!(folder.text("out.json.rejects.ldjson"), "old rejects");
            assert_eq!(folder.names(), ["in.json", "out.json", "out.json.rejects.ldjson"]);
        }
    }

    #[test]
    fn a_run_without_rejects_removes_the_rejects_of_the_one_before() {
        let folder = Folder::new();
        folder.write("in.json", SETOSA);
        for (words, rejects) in [
            ("-i in.json -o out.json", "out.json.rejects.ldjson"),
            ("-i in.json -o out.json --rejects r", "r"),
            ("-i in.json --rejects r", "r"),
        ] {
            folder.write(rejects, "old rejects");
            iris(&folder, words).run().exits(0);
            assert_eq!(folder.read(rejects), None, "{words}");
        }
    }

    #[test]
    fn rejects_that_go_to_a_fifo_leave_it_where_it_is() {
        let folder = Folder::new();
        let fifo = folder.path().join("fifo");
        mkfifo(&fifo);
        for (input, code, rejected) in [(BAD, 1, 1), (SETOSA, 0, 0)] {
            folder.write("in.json", input);
            let reader = thread::spawn({
                let fifo = fifo.clone();
                move || fs::read(fifo).expect("a FIFO can be read")
            });
            iris(&folder, "-i in.json -o out.json --rejects fifo").run().exits(code);
            assert_eq!(rejects(reader.join().unwrap()).len(), rejected);
            assert_eq!(folder.names(), ["fifo", "in.json", "out.json"]);
        }
    }

    #[test]
    fn a_device_or_a_fifo_is_written_to_and_stays_what_it_is() {
        let folder = Folder::new();
        let fifo = folder.path().join("fifo");
        mkfifo(&fifo);
        folder.write("in.json", format!("{SETOSA}\n{BAD}\n{VIRGINICA}\n"));
        let reader = thread::spawn({
            let fifo = fifo.clone();
            move || fs::read_to_string(fifo).expect("a FIFO can be read")
        });
        let ran = iris(&folder, "-i in.json -o fifo").run().exits(1).writes("");
        assert_eq!(reader.join().unwrap(), predictions("setosa virginica"));
        assert!(fifo.metadata().unwrap().file_type().is_fifo());
        assert_eq!(rejects(ran.stderr).len(), 1);
        let ran = iris(&folder, "-i in.json -o /dev/null").run().exits(1).writes("");
        assert!(Path::new("/dev/null").metadata().unwrap().file_type().is_char_device());
        assert_eq!(rejects(ran.stderr).len(), 1);
        assert_eq!(folder.names(), ["fifo", "in.json"]);
    }

    #[test]
    fn a_full_disk_is_told_in_the_words_of_the_system_and_leaves_nothing() {
        let folder = Folder::new();
        folder.write("in.json", format!("{SETOSA}\n{BAD}\n"));
        for words in ["-i in.json -o /dev/full", "-i in.json -o out.json --rejects /dev/full"] {
            let ran = iris(&folder, words).run().exits(3).says("No space left on device");
            ran.says("hint: make room on the disk").says_nothing_of("panicked");
            assert_eq!(folder.names(), ["in.json"]);
        }
    }

    #[test]
    fn a_link_to_a_file_is_followed_and_stays_a_link() {
        let folder = Folder::new();
        folder.write("in.json", SETOSA);
        let target = folder.path().join("sub/target.json");
        fs::create_dir(folder.path().join("sub")).unwrap();
        fs::write(&target, "old").unwrap();
        let link = folder.path().join("link.json");
        symlink("sub/target.json", &link).unwrap();
        iris(&folder, "-i in.json -o link.json").run().exits(0);
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&target).unwrap(), predictions("setosa"));
        assert_eq!(folder.names(), ["in.json", "link.json", "sub"]);
        assert_eq!(fs::read_dir(folder.path().join("sub")).unwrap().count(), 1);
    }

    /// As `>(gzip > out.gz)` of a shell gives one.
    #[test]
    fn a_descriptor_named_as_a_path_can_be_written_to() {
        let folder = Folder::new();
        folder.write("in.json", SETOSA);
        for script in [
            r#""$0" "$@" -o /dev/fd/3 3>&1 >&2 | cat"#,
            r#""$0" "$@" -o /dev/stdout | cat"#,
            r#""$0" "$@" -o /dev/stdout > out.json && cat out.json"#,
        ] {
            in_shell(
                script,
                &iris(&folder, "-i in.json").command(),
                &folder,
                &predictions("setosa"),
            );
        }
    }

    /// Runs a shell script whose `$0` and `$@` are the command.
    #[track_caller]
    fn in_shell(script: &str, command: &Command, folder: &Folder, expected: &str) {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(script).arg(command.get_program()).args(command.get_args());
        let ran = shell.current_dir(folder.path()).output().expect("a shell runs");
        let (stdout, stderr) =
            (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert_eq!(stdout, expected, "{script}\n{stderr}\n{:?}", folder.names());
    }

    /// Root may write anywhere: so the folder is tried first, and the host is to do as well.
    #[test]
    fn a_folder_that_cannot_be_written_to_is_told() {
        let folder = Folder::new();
        folder.write("in.json", SETOSA);
        let locked = folder.path().join("locked");
        fs::create_dir(&locked).unwrap();
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
        let can_write = fs::write(locked.join("try"), "").is_ok();
        let _ = fs::remove_file(locked.join("try"));
        let ran = iris(&folder, "-i in.json -o locked/out.json").run();
        if can_write {
            ran.exits(0);
            assert_eq!(folder.text("locked/out.json"), predictions("setosa"));
        } else {
            ran.exits(3).says("can't create locked/.out.json").says("Permission denied");
        }
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_file_that_another_run_is_writing_is_refused_until_that_run_has_ended() {
        let folder = Folder::new();
        folder.write("in.json", VIRGINICA);
        folder.write("out.json", "old");
        let mut first = Live::start(&iris(&folder, "-i - -o out.json --rejects r --summary s"));
        eventually("the first run holds its files", || {
            let parts = ["s", "out.json", "r"].map(|name| format!(".{name}.etl-host-part"));
            parts.iter().all(|part| folder.names().contains(part))
        });
        let held = folder.names();
        for words in [
            "-i in.json -o out.json",
            "-i in.json -o ./out.json",
            "-i in.json -o other.json --rejects r",
            "-i in.json -o other.json --summary s",
        ] {
            let ran = iris(&folder, words).run().exits(3).writes("");
            ran.says("another run is writing it").says("hint: wait for the other run to end");
            assert_eq!(folder.names(), held);
            assert_eq!(folder.text("out.json"), "old");
        }
        first.write(SETOSA);
        assert_eq!(first.end().0, Some(0));
        assert_eq!(folder.text("out.json"), predictions("setosa"));
        iris(&folder, "-i in.json -o out.json").run().exits(0);
        assert_eq!(folder.text("out.json"), predictions("virginica"));
        assert_eq!(folder.names(), ["in.json", "out.json", "s"]);
    }
}
