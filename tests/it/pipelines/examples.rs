//! The examples, as somebody has them who has cloned the project and built it.

use super::summary;
use crate::compression::unpacked;
use etl_host_tests::{Folder, host, release, root};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// A folder with what of the project the examples need, where the builds are in their usual place.
pub(super) fn project() -> Folder {
    let folder = Folder::new();
    for part in ["examples", "data"] {
        copy(&root().join(part), &folder.path().join(part));
    }
    let target = folder.path().join("target");
    fs::create_dir(&target).unwrap();
    symlink(release(), target.join("release")).unwrap();
    folder
}

/// Copies a folder, without what examples have written.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        match from.is_dir() {
            true if from.ends_with("out") => fs::create_dir(to).unwrap(),
            true => copy(&from, &to),
            false => _ = fs::copy(from, to).unwrap(),
        }
    }
}

/// All examples, by the names of their files, with what is in them.
fn examples() -> BTreeMap<String, String> {
    let entries = fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.extension().is_some_and(|ending| ending == "toml"));
    let examples = files.map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    });
    let examples: BTreeMap<_, _> = examples.collect();
    assert!(examples.len() >= 6, "{:?}", examples.keys());
    examples
}

/// What an example has written, without the compression.
fn outputs(folder: &Folder) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder.path().join("examples/out")).unwrap();
    let outputs = entries.map(|entry| {
        let path = entry.unwrap().path();
        let (name, bytes) = (path.file_name().unwrap().to_str().unwrap(), fs::read(&path).unwrap());
        let text = match name.strip_suffix(".gz") {
            Some(_) => unpacked("gz", &bytes),
            None => String::from_utf8(bytes).unwrap(),
        };
        (name.to_owned(), text)
    });
    outputs.collect()
}

#[test]
fn what_an_example_says_at_its_head_can_be_done() {
    for (name, text) in examples() {
        let folder = project();
        let head: Vec<&str> = text.lines().take_while(|line| line.starts_with('#')).collect();
        let commands = head.iter().filter_map(|line| line.strip_prefix("#     target/release/"));
        let commands: Vec<&str> = commands.collect();
        for command in ["run", "test"] {
            let wanted = format!("etl-host {command} examples/{name}");
            assert!(commands.contains(&&*wanted), "{name}: {wanted} is not at its head");
        }
        for command in commands {
            let shell = Command::new("sh")
                .args(["-c", &format!("target/release/{command}")])
                .current_dir(folder.path())
                .env_remove("PLUGINS")
                .output();
            let ran = shell.unwrap();
            let said = String::from_utf8_lossy(&ran.stderr);
            assert!(ran.status.success(), "{command}: {}\n{said}", ran.status);
        }
        for output in outputs(&folder).into_keys() {
            assert!(head.join(" ").contains(&output), "{name}: {output} is not told of");
        }
    }
}

#[test]
fn the_tests_in_the_examples_pass() {
    for (name, text) in examples() {
        let (folder, tests) = (project(), text.matches("\n[[test]]\n").count());
        assert!(tests > 0, "{name}");
        let ran = folder.host(["test", &format!("examples/{name}")]).run().exits(0);
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(said.ends_with(&format!("{name}: {tests} passed, 0 failed\n")), "{said}");
        assert!(outputs(&folder).is_empty(), "{name}");
        folder.host(["validate", &format!("examples/{name}")]).run().exits(0);
        assert!(outputs(&folder).is_empty(), "{name}");
    }
}

#[test]
fn the_examples_write_the_same_with_any_number_of_threads() {
    for name in examples().into_keys() {
        let written = ["1", "2", "8"].map(|threads| {
            let folder = project();
            let words = ["--summary", "s.json", "--run-time", "2026-11-27T01:30:00Z", "--threads"];
            let run = folder.host(["run", &format!("examples/{name}")]).args(words);
            let ran = run.args([threads]).run().exits(0).writes("");
            drop(ran);
            let summary = summary(&folder);
            assert_eq!(summary["pipeline"], format!("examples/{name}"));
            (outputs(&folder), summary["counts"].clone(), summary["nodes"].clone())
        });
        assert!(!written[0].0.is_empty(), "{name}");
        assert!(written.iter().all(|other| *other == written[0]), "{name}: {written:?}");
    }
}

#[test]
fn what_is_not_allowed_is_answered_in_its_place_and_is_in_no_log() {
    let folder = project();
    let mut run = Command::new(host());
    run.args(["run", "jurisdiction.toml", "--quiet"]).current_dir(folder.path().join("examples"));
    assert!(run.status().unwrap().success());
    let outputs = outputs(&folder);
    let expected = [
        r#"{"id": "r-01","species":"setosa"}"#,
        r#"{"id": "r-02","country": "FR","blocked":"allowed","reason":"no predictions in this jurisdiction"}"#,
        r#"{"id": "r-03","species":"virginica"}"#,
        r#"{"id": "r-04","species":"setosa"}"#,
        r#"{"id": "r-05","country": "FR","blocked":"allowed","reason":"no predictions in this jurisdiction"}"#,
        r#"{"id": "r-06","species":"virginica"}"#,
        r#"{"id": "r-07","species":"setosa"}"#,
        r#"{"id": "r-08","blocked":"allowed","reason":"no predictions in this jurisdiction"}"#,
        r#"{"id": "r-09","species":"virginica"}"#,
        r#"{"id": "r-10","species":"setosa"}"#,
        r#"{"id": "r-11","species":"versicolor"}"#,
        r#"{"id": "r-12","species":"virginica"}"#,
    ];
    assert_eq!(outputs["answers.ldjson"].lines().collect::<Vec<_>>(), expected);
    let logged: Vec<&str> =
        outputs["log.ldjson.gz"].lines().filter_map(|line| line.get(7..11)).collect();
    let allowed =
        ["01", "03", "04", "06", "07", "09", "10", "11", "12"].map(|it| format!("r-{it}"));
    assert_eq!(logged, allowed);
}
