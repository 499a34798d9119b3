//! What a run that was interrupted leaves, what is said of it, and what goes on with it or may not.
//!
//! Runs are interrupted here by a limit, so that each ends at a record that is known; `kills.rs` does
//! it at any moment.

use crate::main_job::{BAD, SETOSA, VIRGINICA, iris, predictions, rejects};
use crate::streams::{Live, eventually};
use etl_host_tests::{Folder, Ran, Run, plugin};
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

const WORDS: &str = "-i in.json -o out.json --resume --checkpoint-seconds 0 --checkpoint-bytes 1";
/// Ends the run at the bad record, which is the third of five.
const INTERRUPTED: &str = "--max-rejects 0";

/// Three records were done of these: the third record is not among them.
fn interrupted() -> Folder {
    let folder = Folder::new();
    folder.write("in.json", format!("{SETOSA}\n{VIRGINICA}\n{BAD}\n{SETOSA}\n{VIRGINICA}\n"));
    interrupt(&folder).exits(6);
    folder
}

fn interrupt(folder: &Folder) -> Ran {
    iris(folder, &format!("{WORDS} {INTERRUPTED}")).run()
}

fn go_on(folder: &Folder, words: &str) -> Ran {
    iris(folder, &format!("{WORDS} {words}")).run()
}

#[track_caller]
fn check_whole(folder: &Folder) {
    assert_eq!(folder.text("out.json"), predictions("setosa virginica setosa virginica"));
    let rejects = rejects(folder.text("out.json.rejects.ldjson"));
    assert_eq!((rejects.len(), &rejects[0]["line"]), (1, &json!(3)));
    assert_eq!(folder.names(), ["in.json", "out.json", "out.json.rejects.ldjson"]);
}

#[test]
fn a_run_goes_on_behind_the_last_checkpoint_and_counts_all_records() {
    let folder = interrupted();
    let ran = go_on(&folder, "--summary s.json").exits(1);
    let byte = SETOSA.len() + VIRGINICA.len() + 2;
    ran.says(&format!("resumed at line 3, byte {byte}: 2 records were done before\n"))
        .says("5 records: 4 written, 1 rejected (see out.json.rejects.ldjson), 2 of them by");
    let summary: Value = serde_json::from_str(&folder.text("s.json")).unwrap();
    assert_eq!(summary["counts"]["read"], 5);
    assert_eq!(
        summary["resumed"],
        json!({"records": 2, "input": "in.json", "line": 3, "byte": byte})
    );
    fs::remove_file(folder.path().join("s.json")).unwrap();
    check_whole(&folder);
}

#[test]
fn a_run_that_is_interrupted_says_what_is_kept_and_shows_nothing_of_it() {
    let folder = interrupted();
    let ran = interrupt(&folder).exits(6);
    ran.says("predicted, none published").says(
        "state: nothing was published; `out.json` is not there; 2 records are done and kept: \
         with a higher limit, or none, the same command goes on behind that",
    );
    assert_eq!(
        folder.names(),
        [
            ".out.json.etl-host-journal",
            ".out.json.etl-host-part",
            ".out.json.rejects.ldjson.etl-host-part",
            "in.json"
        ]
    );
}

#[test]
fn a_run_that_ends_before_its_first_checkpoint_leaves_nothing() {
    let folder = Folder::new();
    folder.write("in.json", format!("{BAD}\n{SETOSA}\n"));
    interrupt(&folder).exits(6).says_nothing_of("kept");
    assert_eq!(folder.names(), ["in.json"]);
}

#[test]
fn what_differs_from_the_interrupted_run_is_refused_by_its_name() {
    let folder = interrupted();
    #[track_caller]
    fn check(folder: &Folder, run: Run<'_>, difference: &str) {
        let before = folder.names();
        run.run().exits(3).says("no run can be resumed at `out.json`").says(difference).says(
            "hint: make it the same again to go on with it; to give it up: etl-host status \
             --abort out.json",
        );
        assert_eq!(folder.names(), before);
    }
    let with = |words: &str| iris(&folder, &format!("{WORDS} {words}"));
    check(&folder, with("--emit nest"), "--emit was `prediction` and is `nest`");
    check(&folder, with("--keep petal_width"), "--keep was `[]` and is `[\"petal_width\"]`");
    check(&folder, with("--place"), "--place was `false` and is `true`");
    check(&folder, with("--line-bytes-max 99"), "--line-bytes-max was `16777216` and is `99`");
    check(&folder, with("--rejects r.json"), "--rejects was `");
    let words = WORDS.replace("-i in.json", "-i ./in.json");
    check(&folder, iris(&folder, &words), "--input was `in.json` and is `./in.json`");

    let other = folder.write("other.so", fs::read(plugin("linear_model")).unwrap());
    let args = ["--plugin".to_owned(), other.display().to_string()];
    let args = args.into_iter().chain(WORDS.split(' ').map(str::to_owned));
    check(&folder, folder.host(args), "the plugin's SHA-256 was `");

    let mut input = OpenOptions::new().append(true).open(folder.path().join("in.json")).unwrap();
    input.write_all(SETOSA.as_bytes()).unwrap();
    check(&folder, with(""), "the input's size and time was `");
}

#[test]
fn a_config_is_the_same_however_it_is_written() {
    let folder = Folder::new();
    folder.write("in.json", "{\"n\":1}\n{}\n{\"n\":2}\n");
    let acts = plugin("misbehaving").display().to_string();
    let run = |config: &str, more: &str| {
        let args = ["--plugin", &acts, "--model", "acts", "--config", config];
        let words = WORDS.split(' ').chain(more.split_whitespace());
        folder.host(args.into_iter().chain(words)).run()
    };
    run(r#"{"sleep_ms":0,"forget":0}"#, INTERRUPTED).exits(6);
    run(r#"{"sleep_ms":1,"forget":0}"#, "").exits(3).says("the SHA-256 of the config was `");
    run(r#"{ "forget": 0, "sleep_ms": 0 }"#, "").exits(1).says("resumed at line 2");
    assert_eq!(folder.text("out.json"), "{\"y\":1.0}\n{\"y\":2.0}\n");
}

#[test]
fn what_does_not_shape_the_output_may_differ() {
    let folder = interrupted();
    go_on(&folder, "--threads 3 --quiet --max-rejects 7").exits(1);
    check_whole(&folder);
}

#[test]
fn a_run_without_resume_writes_over_nothing_that_can_be_gone_on_with() {
    let folder = interrupted();
    iris(&folder, "-i in.json -o out.json").run().exits(3).says(
        "error: nothing can be written over what is left of `out.json`\n  \
         cause: an interrupted run has done 2 records of it\n  \
         hint: --resume goes on with it; to give it up: etl-host status --abort out.json\n",
    );
    go_on(&folder, "").exits(1);
    check_whole(&folder);
}

#[test]
fn what_is_given_up_is_removed() {
    let folder = interrupted();
    folder.host(["status", "--abort", "."]).run().exits(2).says("name the output of the one");
    let given_up = folder.host(["status", "--abort", "out.json"]).run().exits(0);
    let told = String::from_utf8(given_up.stdout).unwrap();
    assert!(told.contains("out.json: given up\n"), "{told}");
    assert_eq!(told.matches("  removed   ").count(), 3, "{told}");
    assert_eq!(folder.names(), ["in.json"]);
    folder.host(["status", "--abort", "out.json"]).run().exits(0);
    iris(&folder, "-i in.json -o out.json").run().exits(1);
    check_whole(&folder);
}

#[test]
fn the_state_may_lie_in_a_folder_of_its_own() {
    let folder = Folder::new();
    folder.write("in.json", format!("{SETOSA}\n{VIRGINICA}\n{BAD}\n{SETOSA}\n{VIRGINICA}\n"));
    let words = format!("{} --state a/state", WORDS.replace(" --resume", ""));
    iris(&folder, &format!("{words} {INTERRUPTED}")).run().exits(6);
    assert!(folder.path().join("a/state/etl-host-journal").is_file());
    for path in ["a/state", "a/state/etl-host-journal"] {
        let told = folder.host(["status", path]).run().exits(0).stdout;
        assert!(String::from_utf8(told).unwrap().contains("read      2 records of "));
    }
    iris(&folder, &words).run().exits(1).says("resumed at line 3");
    fs::remove_dir(folder.path().join("a/state")).unwrap(); // it is empty
    fs::remove_dir(folder.path().join("a")).unwrap();
    check_whole(&folder);
}

#[test]
fn status_says_how_far_a_run_came_and_whether_it_can_be_resumed() {
    let folder = interrupted();
    let text = |path: &str| {
        let told = folder.host(["status", path]).run().exits(0).stdout;
        String::from_utf8(told).unwrap()
    };
    let bytes = SETOSA.len() + VIRGINICA.len() + 2;
    let total = folder.text("in.json").len();
    let percent = 100.0 * bytes as f64 / total as f64;
    for path in ["out.json", ".", ".out.json.etl-host-journal"] {
        let told = text(path);
        let place = format!(", up to line 3, byte {bytes} of {total} ({percent:.1} %)\n");
        for expected in
            ["out.json: interrupted\n", &place, "2 written, 0 rejected", "resume    yes: start the"]
        {
            assert!(told.contains(expected), "{told}");
        }
    }
    let json = folder.host(["status", "--json", "out.json"]).run().exits(0).stdout;
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((&json[0]["state"], &json[0]["resumable"]), (&json!("interrupted"), &json!(true)));
    assert_eq!(json[0]["checkpoint"]["counts"]["read"], 2);

    fs::remove_file(folder.path().join("in.json")).unwrap();
    let told = text("out.json");
    assert!(told.contains("resume    no: the input "), "{told}");
    assert!(told.contains("give up   etl-host status --abort /"), "{told}");
}

/// A run that has done one record and hangs in the second.
#[track_caller]
fn hanging(folder: &Folder) -> Live {
    let slow = r#"{"n":2,"act":"hang","text":"hanging"}"#;
    folder.write("slow.json", format!("{{\"n\":1}}\n{slow}\n"));
    let words = WORDS.replace("in.json", "slow.json");
    let acts = plugin("misbehaving").display().to_string();
    let args = ["--plugin", &acts, "--model", "acts"].into_iter().chain(words.split(' '));
    let live = Live::start(&folder.host(args));
    eventually("the model hangs", || folder.path().join("hanging").exists());
    live
}

#[test]
fn a_second_run_is_refused_while_the_first_is_at_it() {
    let folder = Folder::new();
    folder.write("in.json", "");
    let first = hanging(&folder);
    iris(&folder, WORDS).run().exits(3).says("another run is writing it");
    iris(&folder, "-i in.json -o out.json").run().exits(3).says("another run is writing it");
    folder.host(["status", "--abort", "out.json"]).run().exits(3).says("another run is writing it");
    let told = folder.host(["status", "out.json"]).run().exits(0).stdout;
    assert!(String::from_utf8(told).unwrap().contains("a run is at it"));
    first.signal("TERM");
    let (code, said) = first.end();
    assert_eq!(code, Some(143), "{said}");
    assert!(said.contains("1 record is done and kept: start the same command"), "{said}");
}

#[test]
fn only_files_can_be_gone_on_with() {
    let folder = Folder::new();
    folder.write("in.json", SETOSA);
    for (words, expected) in [
        ("-i - -o out.json", "only where its input is a file"),
        ("-i in.json", "only where the output is a file"),
        ("-i in.json -o /dev/null", "only where the output is a file"),
        ("-i in.json -o out.json --rejects /dev/stderr", "only where the rejects file is a file"),
        ("-i in.json -o out.json --rejects /dev/null", "only where the rejects file is a file"),
    ] {
        iris(&folder, &format!("{words} --resume")).run().exits(2).says(expected).says("hint: ");
    }
    assert_eq!(folder.names(), ["in.json"]);
}

#[test]
fn an_unpublished_file_that_somebody_cut_is_not_gone_on_with() {
    let folder = interrupted();
    let part = OpenOptions::new().write(true).open(folder.path().join(".out.json.etl-host-part"));
    part.unwrap().set_len(5).unwrap();
    go_on(&folder, "").exits(3).says("has 5 bytes; ").says("of them were safe on disk once");
}

#[test]
fn what_is_no_journal_is_left_alone() {
    let folder = Folder::new();
    folder.write("in.json", SETOSA);
    folder.write(".out.json.etl-host-journal", "my notes\n");
    for words in [WORDS, "-i in.json -o out.json"] {
        iris(&folder, words).run().exits(3).says("is no journal of etl-host");
    }
    assert_eq!(folder.text(".out.json.etl-host-journal"), "my notes\n");
}

#[test]
fn a_replay_is_gone_on_with_too() {
    let folder = Folder::new();
    folder.write("in.json", format!("{BAD}\n{SETOSA}\n").repeat(5));
    iris(&folder, "-i in.json -o out.json").run().exits(1);
    let rejects = folder.text("out.json.rejects.ldjson");
    let words = "replay out.json.rejects.ldjson -o again.json --resume --checkpoint-seconds 0 \
                 --checkpoint-bytes 1";
    let run = |more: &str| {
        let plugin = plugin("iris_model").display().to_string();
        let words = words.split_whitespace().chain(more.split_whitespace()).map(str::to_owned);
        folder.host(words.chain(["--plugin".to_owned(), plugin])).run()
    };
    run("--max-rejects 2").exits(6).says("2 records are done and kept");
    run("").exits(1).says("resumed at line 3");
    assert_eq!(folder.text("again.json.rejects.ldjson"), rejects);
}

/// The input is changed while the model is busy with its second record.
fn changed(change: impl FnOnce(&Path)) -> (Option<i32>, String) {
    let folder = Folder::new();
    let wait = r#"{"n":2,"act":"print","text":"here"}"#;
    // More than the host reads before the first record is done.
    let rest = "{\"n\":3}\n".repeat(200_000);
    let input = folder.write("in.json", format!("{{\"n\":1}}\n{wait}\n{rest}"));
    let acts = plugin("misbehaving").display().to_string();
    let config = r#"{"sleep_ms":1}"#;
    let args = ["--plugin", &acts, "--model", "acts", "--config", config, "-i", "in.json"];
    let live = Live::start(&folder.host(args.into_iter().chain(["-o", "out.json"])));
    eventually("the run is at it", || folder.path().join(".out.json.etl-host-part").exists());
    change(&input);
    let (code, said) = live.end();
    assert_eq!(folder.read("out.json"), None);
    (code, said)
}

#[test]
fn an_input_that_is_cut_while_it_is_read_is_an_error() {
    let (code, said) = changed(|input| {
        OpenOptions::new().write(true).open(input).unwrap().set_len(20).unwrap();
    });
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("cause: in.json: can't read on at line "), "{said}");
    assert!(said.contains("it changed while it was read: it had 1600"), "{said}");
    assert!(said.contains("and has 20 bytes"), "{said}");
}

#[test]
fn an_input_that_is_written_over_while_it_is_read_is_an_error() {
    let (code, said) = changed(|input| {
        let len = input.metadata().unwrap().len();
        File::create(input).unwrap().write_all(&vec![b' '; len as usize]).unwrap();
    });
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("it changed while it was read"), "{said}");
}

/// Another run writes to the output of a run that keeps its state elsewhere.
#[test]
fn who_does_not_name_the_folder_of_the_state_is_told_of_it() {
    let folder = Folder::new();
    folder.write("in.json", format!("{SETOSA}\n{VIRGINICA}\n{BAD}\n{SETOSA}\n{VIRGINICA}\n"));
    let words = WORDS.replace(" --resume", " --state st");
    iris(&folder, &format!("{words} {INTERRUPTED}")).run().exits(6);
    iris(&folder, "-i in.json -o out.json").run().exits(3).says("has done 2 records of it");
    iris(&folder, &words.replace("--state st", "--state other"))
        .run()
        .exits(3)
        .says("keeps its state in ");
    let told = folder.host(["status", "out.json"]).run().exits(0).stdout;
    assert!(String::from_utf8(told).unwrap().contains("resume    yes"));
    go_on(&folder, "").exits(1).says("resumed at line 3"); // where the link leads
    for name in ["st", "other"] {
        let _ = fs::remove_dir(folder.path().join(name));
    }
    check_whole(&folder);
}

#[test]
fn a_folder_of_another_jobs_state_is_refused_and_nothing_leads_there() {
    let folder = Folder::new();
    folder.write("in.json", format!("{SETOSA}\n{BAD}\n{VIRGINICA}\n"));
    let words = WORDS.replace(" --resume", " --state st");
    iris(&folder, &format!("{words} {INTERRUPTED}")).run().exits(6);
    let other = words.replace("out.json", "other.json");
    iris(&folder, &other).run().exits(3).says("--output was `");
    iris(&folder, "-i in.json -o other.json").run().exits(1);
    let told = folder.host(["status", "other.json"]).run().exits(0).stdout;
    assert!(String::from_utf8(told).unwrap().contains("no run that can be resumed"));
    // The link of another job, as an older host may have left it.
    let link = folder.path().join(".other.json.etl-host-journal");
    std::os::unix::fs::symlink(folder.path().join("st/etl-host-journal"), link).unwrap();
    iris(&folder, "-i in.json -o other.json").run().exits(1);
    iris(&folder, &words).run().exits(1).says("resumed at line 2");
}

#[test]
fn a_state_that_is_out_of_sight_is_not_forgotten() {
    let folder = Folder::new();
    folder.write("in.json", format!("{SETOSA}\n{BAD}\n{VIRGINICA}\n"));
    let words = WORDS.replace(" --resume", " --state st");
    iris(&folder, &format!("{words} {INTERRUPTED}")).run().exits(6);
    let (here, away) = (folder.path().join("st"), folder.path().join("away"));
    fs::rename(&here, &away).unwrap(); // as if it were not mounted
    iris(&folder, "-i in.json -o out.json").run().exits(3).says("keeps its state in ").says("hint");
    fs::rename(&away, &here).unwrap();
    iris(&folder, &words).run().exits(1).says("resumed at line 2");
    assert_eq!(folder.text("out.json"), predictions("setosa virginica"));
}

#[test]
fn rejects_of_another_run_are_not_gone_on_with() {
    let folder = Folder::new();
    folder.write("in.json", format!("{BAD}\n{SETOSA}\n{BAD}\n{BAD}\n"));
    let run = |output: &str, limit: &str| {
        let words = WORDS.replace("out.json", output);
        iris(&folder, &format!("{words} --rejects r {limit}")).run()
    };
    run("a.json", "--max-rejects 1").exits(6).says("2 records are done and kept");
    run("b.json", "--max-rejects 2").exits(6).says("3 records are done and kept");
    run("a.json", "").exits(3).says(".r.etl-host-part is not there, or another file than it was");
    run("b.json", "").exits(1);
    assert_eq!(rejects(folder.text("r")).len(), 3);
}

#[test]
fn a_limit_that_was_passed_before_ends_the_run() {
    for limit in ["--on-error fail", "--max-rejects 0"] {
        let folder = Folder::new();
        folder.write("in.json", format!("{BAD}\n{SETOSA}\n{BAD}\n{SETOSA}\n"));
        go_on(&folder, "--max-rejects 1").exits(6);
        go_on(&folder, limit).exits(6).says("stopped at the ").says("with a higher limit, or none");
        assert_eq!(folder.read("out.json"), None);
        go_on(&folder, "").exits(1);
    }
}

#[test]
fn an_empty_list_of_fields_is_not_a_field_without_a_name() {
    let folder = Folder::new();
    folder.write("in.json", format!("{SETOSA}\n{BAD}\n"));
    let plugin = plugin("iris_model").display().to_string();
    let words = format!("{WORDS} {INTERRUPTED}");
    let args = ["--plugin", &plugin, "--keep", ""].into_iter().chain(words.split(' '));
    folder.host(args).run().exits(6);
    go_on(&folder, "").exits(3).says("--keep was `[\"\"]` and is `[]`");
}

#[test]
fn a_copy_of_a_journal_gives_up_nothing_that_is_not_its_own() {
    let folder = interrupted();
    fs::create_dir(folder.path().join("copy")).unwrap();
    for name in folder.names().iter().filter(|name| name.starts_with('.')) {
        fs::copy(folder.path().join(name), folder.path().join("copy").join(name)).unwrap();
    }
    let names = folder.names();
    let told = folder.host(["status", "copy/out.json"]).run().exits(0).stdout;
    assert!(String::from_utf8(told).unwrap().contains("resume    no: "));
    let refused = folder.host(["status", "--abort", "copy/out.json"]).run().exits(3);
    refused.says("was moved or copied: it is the journal of ").says("hint: ");
    assert_eq!(folder.names(), names);
    fs::remove_dir_all(folder.path().join("copy")).unwrap();
    go_on(&folder, "").exits(1);
    check_whole(&folder);
}

#[test]
fn status_tells_of_each_journal_by_itself_and_changes_nothing() {
    let folder = interrupted();
    folder.write(".bad.json.etl-host-journal", "notes\n");
    fs::remove_file(folder.path().join(".out.json.etl-host-part")).unwrap();
    let names = folder.names();
    let told = folder.host(["status", "."]).run().exits(3).stdout;
    let told = String::from_utf8(told).unwrap();
    assert!(told.contains("resume    no: ./.bad.json.etl-host-journal is no journal"), "{told}");
    assert!(told.contains("out.json.etl-host-part is not there"), "{told}");
    folder.host(["status", "nothing.json"]).run().exits(0).writes(
        "nothing.json (there is no such file): no run that can be resumed was interrupted\n",
    );
    assert_eq!(folder.names(), names);
}

#[test]
fn an_input_may_be_older_than_1970() {
    let folder = interrupted();
    let input = File::options().append(true).open(folder.path().join("in.json")).unwrap();
    let old = std::time::UNIX_EPOCH - std::time::Duration::from_secs(1_000_000);
    input.set_modified(old).unwrap();
    go_on(&folder, "").exits(3).says("the input's size and time was `");
    folder.host(["status", "--abort", "out.json"]).run().exits(0);
    go_on(&folder, "").exits(1);
    check_whole(&folder);
}

#[test]
fn names_that_a_journal_can_not_hold_are_refused_before_any_work() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new();
    folder.write("in.json", SETOSA);
    let mut args: Vec<std::ffi::OsString> = vec!["--plugin".into(), plugin("iris_model").into()];
    args.extend(["-i", "in.json", "--resume", "-o"].map(Into::into));
    args.push(std::ffi::OsStr::from_bytes(b"\xff.json").into());
    folder.host(args).run().exits(2).says("the names of its files are UTF-8");
    for hidden in [".x.etl-host-part", "etl-host-journal", ".x.etl-host-journal"] {
        let words = format!("-i in.json -o {hidden}");
        iris(&folder, &words).run().exits(2).says("gives to files of its own");
    }
    iris(&folder, "-i in.json --resume -o no/such/out.json").run().exits(3);
    assert_eq!(folder.names(), ["in.json"]);
}

#[test]
fn a_terminal_that_goes_away_ends_a_run_as_a_signal_does() {
    let folder = Folder::new();
    let live = hanging(&folder);
    live.signal("HUP");
    let (code, said) = live.end();
    assert_eq!(code, Some(129), "{said}");
    assert!(said.contains("interrupted by SIGHUP"), "{said}");
}
