//! `etl-host replay`: the records of a rejects file once more, each at the place where it stood first.

use crate::main_job::{BAD, SETOSA, VIRGINICA, iris, predictions, rejects};
use etl_host_benches::{Options, Size};
use etl_host_tests::{Folder, Run, plugin};
use serde_json::{Value, json};
use std::fs::File;

const REJECTS: &str = "out.json.rejects.ldjson";
const AGAIN: &str = "again.json.rejects.ldjson";

/// A replay with the model `model` of a plugin, not started yet.
fn replay<'a>(folder: &'a Folder, [plugin_name, model]: [&str; 2], words: &str) -> Run<'a> {
    let plugin = plugin(plugin_name).into_os_string();
    let named = ["replay".into(), "--plugin".into(), plugin, "--model".into(), model.into()];
    folder.host(named.into_iter().chain(words.split_whitespace().map(Into::into)))
}

const IRIS: [&str; 2] = ["iris_model", "iris_model"];
const OVER_TEN: [&str; 2] = ["misbehaving", "over_ten"];

/// A folder with `in.json`, and what the iris model makes of it.
fn scored(input: impl AsRef<[u8]>, words: &str) -> Folder {
    let folder = Folder::new();
    folder.write("in.json", input);
    iris(&folder, &format!("-i in.json -o out.json {words}")).run().exits(1);
    folder
}

/// Records of which one in a hundred is bad, in all ways there are, and one too long.
fn many_ways() -> Folder {
    let folder = Folder::new();
    let options = Options {
        bad_percent: 1.0,
        long_line_bytes: Some(20_000),
        id: true,
        ..Options::new(Size::Records(20_000))
    };
    let mut file = File::create(folder.path().join("in.json")).unwrap();
    let mut bad = 0;
    etl_host_benches::write(&options, &mut file, |_| {
        bad += 1;
        Ok(())
    })
    .unwrap();
    iris(&folder, "-i in.json -o out.json --line-bytes-max 10000").run().exits(1);
    assert_eq!(rejects(folder.text(REJECTS)).len(), bad + 1);
    folder
}

fn counts(folder: &Folder) -> Value {
    let summary: Value = serde_json::from_str(&folder.text("s.json")).unwrap();
    let counts = &summary["counts"];
    json!([counts["read"], counts["written"], counts["rejected"], counts["abandoned"]])
}

#[test]
fn what_still_fails_is_rejected_byte_for_byte_as_before() {
    let folder = many_ways();
    let first = folder.text(REJECTS);
    let expected = first.replace(
        "the line is 20000 bytes long, the most is 10000",
        "can't be run again: the rejects file holds only its first 4096 bytes",
    );
    assert_ne!(first, expected);
    let (read, seen) = (first.lines().count(), folder.read("out.json"));
    for words in ["--threads 1", "--threads 2", "--threads 8", "--emit nest", "--place"] {
        let words = format!("{REJECTS} -o again.json --summary s.json {words}");
        replay(&folder, IRIS, &words).run().exits(1).writes("");
        assert!(folder.text(AGAIN) == expected, "{words}");
        assert_eq!(folder.text("again.json"), "", "{words}");
        assert_eq!(counts(&folder), json!([read, 0, read, 0]), "{words}");
    }
    // A replay of a replay is told the same.
    let words = format!("{AGAIN} -o third.json");
    replay(&folder, IRIS, &words).run().exits(1);
    assert!(folder.text("third.json.rejects.ldjson") == expected);
    assert!(folder.text(REJECTS) == first && folder.read("out.json") == seen);
}

#[test]
fn so_it_is_for_what_models_do_to_records() {
    let acts = ["panic", "panic_number", "panic_bomb", "refuse", "later", "nan", "dance"];
    let acts: String =
        acts.map(|act| format!("{}\n", json!({"n": 1, "act": act, "text": "\u{e4}\n"}))).concat();
    for (model, input, words, kinds) in [
        ("acts", &*acts, "", "panic panic panic value try_later not_finite schema"),
        ("batch", &acts, "", "panic panic panic value try_later not_finite schema"),
        (
            "over_ten",
            "{\"n\":11}\n{\"n\":1e400}\n",
            "--validate-output",
            "wrong_output invalid_json",
        ),
        (
            "says",
            "{\"say\":{\"say\":1}}\n{\"say\":1}\n",
            "--emit merge",
            "field_clash wrong_output",
        ),
        ("unwritable", "{\"n\":1}\n", "--keep n", "not_writable"),
    ] {
        let folder = Folder::new();
        folder.write("in.json", format!("\n{input}"));
        let plugin = plugin("misbehaving");
        let plugin = ["--plugin", plugin.to_str().unwrap(), "--model", model];
        let words = words.split_whitespace();
        let args = plugin.into_iter().chain(words.clone());
        folder.host(args.clone().chain(["-i", "in.json", "-o", "out.json"])).run().exits(1);
        let first = folder.text(REJECTS);
        let found: Vec<_> = rejects(&first).iter().map(|r| r["kind"].clone()).collect();
        assert_eq!(found, kinds.split(' ').collect::<Vec<_>>(), "{model}");
        let replay = ["replay", REJECTS, "-o", "again.json"].into_iter().chain(args);
        folder.host(replay).run().exits(1);
        assert_eq!(folder.text(AGAIN), first, "{model}");
    }
}

#[test]
fn after_a_fix_there_are_predictions_for_what_was_rejected_and_for_nothing_else() {
    let folder = Folder::new();
    let input: String = (0..3000).map(|n| format!("{{\"n\":{}}}\n", n % 100)).collect();
    folder.write("in.json", input + "{\"n\":\"x\"}\n");
    let [plugin_name, model] = OVER_TEN;
    let plugin = plugin(plugin_name);
    let args = ["--plugin", plugin.to_str().unwrap(), "--model", model, "-i", "in.json"];
    let args = args.into_iter().chain(["-o", "out.json", "--validate-output"]);
    folder.host(args).run().exits(1);
    // The fix: nobody minds what is over ten.
    for threads in [1, 8] {
        let words = format!("{REJECTS} -o again.json --place --summary s.json --threads {threads}");
        replay(&folder, OVER_TEN, &words).run().exits(1).says("2671 records: 2670 written, 1 rej");
        assert_eq!(counts(&folder), json!([2671, 2670, 1, 0]));
        let first = folder.text(REJECTS);
        assert_eq!(folder.text(AGAIN), format!("{}\n", first.lines().last().unwrap()));
        let mut expected = String::new();
        for reject in &rejects(&first)[..2670] {
            let (line, byte) = (reject["line"].as_u64().unwrap(), &reject["byte"]);
            let place = format!(r#""source":"in.json","line":{line},"byte":{byte}"#);
            let y = (line - 1) % 100;
            expected += &format!("{{{place},\"output\":{{\"y\":{y}.0}}}}\n");
        }
        assert!(folder.text("again.json") == expected, "{}", folder.text("again.json"));
    }
}

#[test]
fn a_record_mended_in_the_rejects_file_is_predicted() {
    for (words, expected) in [
        ("", r#"{"species":"setosa"}"#),
        ("--keep id", r#"{"id":7,"species":"setosa"}"#),
        ("--emit merge", r#"{"petal_length": 1.4, "id":7,REST,"species":"setosa"}"#),
        (
            "--emit nest --place",
            r#"{"source":"in.json","line":2,"byte":83,"output":{"input":{"petal_length": 1.4, "id":7,REST},"prediction":{"species":"setosa"}}}"#,
        ),
    ] {
        let bad = BAD.replace('{', "{\"id\":7,");
        let folder = scored(format!("{SETOSA}\n{bad}\n"), "");
        let mended = folder.text(REJECTS).replace(r#""{\"id"#, r#""{\"petal_length\": 1.4, \"id"#);
        folder.write(REJECTS, &mended);
        let expected = expected.replace("REST", BAD.trim_matches(['{', '}'])) + "\n";
        let words = format!("{REJECTS} --validate-output {words}");
        replay(&folder, IRIS, &words).run().exits(0).writes(&expected);
        let words = words.replace(REJECTS, "-");
        replay(&folder, IRIS, &words).stdin(mended).run().exits(0).writes(&expected);
    }
}

#[test]
fn a_line_that_is_no_reject_costs_itself_and_names_its_place_in_the_rejects_file() {
    let folder = scored(format!("{BAD}\n"), "");
    let first = folder.text(REJECTS);
    folder.write("mixed", format!("{SETOSA}\n\n{first}\nnonsense\n"));
    replay(&folder, IRIS, "mixed -o again.json").run().exits(1).says("3 records: 0 written, 3 rej");
    let again = rejects(folder.text(AGAIN));
    let told: Vec<_> = again.iter().map(|r| json!([r["source"], r["line"], r["kind"]])).collect();
    let expected = [
        json!(["mixed", 1, "schema"]),
        json!(["in.json", 1, "schema"]),
        json!(["mixed", 5, "invalid_json"]),
    ];
    assert_eq!(told, expected);
    let said = "not a line of a rejects file: ";
    for (index, record) in [(0, SETOSA), (2, "nonsense")] {
        assert!(again[index]["message"].as_str().unwrap().starts_with(said), "{}", again[index]);
        assert_eq!(again[index]["record"], record);
    }
    let byte = SETOSA.len() + 2 + first.len() + 1;
    assert_eq!(again[2]["byte"], byte);
}

#[test]
fn a_record_with_line_feeds_never_breaks_a_line_of_output() {
    let folder = Folder::new();
    let record = SETOSA.replace(", ", ",\r\n");
    let reject = json!({
        "source": "in", "line": 7, "byte": 70, "length": record.len(), "record": record,
    });
    folder.write("rejects", format!("{reject}\n{reject}\n"));
    replay(&folder, IRIS, "rejects").run().exits(0).writes(&predictions("setosa setosa"));
    for words in ["--emit merge", "--emit nest", "--keep sepal_length"] {
        let ran = replay(&folder, IRIS, &format!("rejects {words}")).run().exits(1).writes("");
        let again = rejects(&ran.stderr);
        assert_eq!(again.len(), 2);
        assert_eq!((&again[0]["record"], &again[1]["line"]), (&json!(record), &json!(7)));
        ran.says("text is not on one line");
    }
}

#[test]
fn a_rejects_file_without_lines_gives_an_empty_output() {
    let folder = Folder::new();
    for content in ["", "\n\r\n"] {
        folder.write("rejects", content);
        replay(&folder, IRIS, "rejects -o out.json").run().exits(0).says("0 records: 0 written");
        assert_eq!(folder.text("out.json"), "");
        assert_eq!(folder.names(), ["out.json", "rejects"]);
        replay(&folder, IRIS, "-").stdin(content).run().exits(0).writes("");
    }
}

#[test]
fn limits_and_messages_count_and_name_the_records_as_they_were() {
    let folder = scored(format!("{VIRGINICA}\n{BAD}\n{BAD}\n"), "");
    let first = format!("in.json: line 2, byte {}: missing field", VIRGINICA.len() + 1);
    let words = format!("{REJECTS} -o again.json --on-error fail");
    replay(&folder, IRIS, &words).run().exits(6).says(&first);
    let words = format!("{REJECTS} -o again.json --max-rejects 1");
    replay(&folder, IRIS, &words).run().exits(6).says("in.json: line 3").says("more than 1 record");
    assert_eq!(folder.names(), ["in.json", "out.json", REJECTS]);

    let record = r#"{"n": 1, "act": "broken", "text": "no map"}"#;
    let reject = json!({"source": "in", "line": 7, "byte": 70, "length": 43, "record": record});
    folder.write("broken", reject.to_string());
    let ran = replay(&folder, ["misbehaving", "acts"], "broken -o again.json").run().exits(5);
    ran.says("no map (in: line 7, byte 70)");
}

#[test]
fn the_rejects_file_itself_is_never_written_over() {
    let folder = scored(format!("{SETOSA}\n{BAD}\n"), "");
    let (names, first) = (folder.names(), folder.text(REJECTS));
    for (words, said) in [
        ("-o out.json", "the rejects file and REJECTS, which is replayed, are the same file"),
        (&*format!("-o {REJECTS}"), "the output and REJECTS"),
        (&*format!("-o again.json --rejects ./{REJECTS}"), "the rejects file and REJECTS"),
        (&*format!("-o again.json --summary {REJECTS}"), "the summary and REJECTS"),
    ] {
        replay(&folder, IRIS, &format!("{REJECTS} {words}")).run().exits(2).writes("").says(said);
        assert_eq!((folder.names(), folder.text(REJECTS)), (names.clone(), first.clone()));
    }
    replay(&folder, IRIS, "-o again.json").run().exits(2).says("<REJECTS>");
    replay(&folder, IRIS, "missing -o again.json").run().exits(3).says("the input `missing` can't");
}
