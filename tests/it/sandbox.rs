//! Workers in their sandbox, as a user sees them: what a model tries, what it gets, and what is told
//! of it. The model is that of `plugins/escaping`; call by call it is tried in `host/src/sandbox`.

use etl_host_tests::{Folder, Ran, plugin};
use serde_json::Value;

/// Runs the model over records in a sandbox; `secret` and `weights` lie beside them.
fn run(folder: &Folder, records: &[&str], args: &[&str]) -> Ran {
    folder.write("secret", "secret");
    folder.write("weights", "weights");
    let here = folder.path().display().to_string();
    let records: Vec<_> = records.iter().map(|record| record.replace("HERE", &here)).collect();
    folder.write("in.ldjson", records.join("\n"));
    let plugin = plugin("escaping");
    let plugin = plugin.to_str().unwrap();
    let common =
        ["--isolate", "--plugin", plugin, "--input", "in.ldjson", "--summary", "summary.json"];
    folder.host(common).args(args).env("SOME_TOKEN", "hunter2").run()
}

fn record(what: &str, path: &str) -> String {
    format!(r#"{{"try":"{what}","path":"{path}"}}"#)
}

/// A try, its path, the error that the model gets, and what people are told.
const STOPPED: &[(&str, &str, &str, &str)] = &[
    ("socket", "", "EACCES", "open a network socket"),
    ("udp", "", "EACCES", "open a network socket"),
    ("connect_unix", "/run/some.sock", "EACCES", "open a socket to other processes"),
    ("write", "HERE/new", "EACCES", "write the file `HERE/new`"),
    ("write", "HERE/secret", "EACCES", "write the file `HERE/secret`"),
    ("unlink", "HERE/secret", "EACCES", "remove the file `HERE/secret`"),
    ("read", "HERE/secret", "EACCES", "read the file `HERE/secret`"),
    ("read", "/etc/passwd", "EACCES", "read the file `/etc/passwd`"),
    ("read", "/root", "EACCES", "list the folder `/root`"),
    ("environ", "", "EACCES", "read the file `/proc/self/environ`"),
    ("spawn", "", "EPERM", "start a process"),
    ("fork", "", "EPERM", "start a process"),
    ("ptrace", "", "EPERM", "trace another process (ptrace)"),
    ("vm_read", "", "EPERM", "read the memory of another process"),
    ("kill_parent", "", "EPERM", "send a signal to another process"),
    ("pdeathsig", "", "EPERM", "outlive its host (prctl PR_SET_PDEATHSIG)"),
    ("setsid", "", "EPERM", "leave its group of processes"),
    ("io_uring", "", "EPERM", "use io_uring"),
];

#[test]
fn what_no_model_should_do_fails_and_is_told() {
    for (what, path, error, told) in STOPPED {
        let folder = Folder::new();
        let ran = run(&folder, &[&record(what, path)], &["--sandbox", "on"]).exits(0);
        let told = told.replace("HERE", &folder.path().display().to_string());
        let ran = ran.says(&format!("sandbox: model `escapes` tried to {told}"));
        let prediction: Value = serde_json::from_slice(&ran.stdout).unwrap();
        assert_eq!(prediction["error"], *error, "{what}");
        let summary: Value = serde_json::from_str(&folder.text("summary.json")).unwrap();
        let attempts = summary["model"]["workers"]["attempts"].as_array().unwrap();
        assert!(attempts.iter().any(|attempt| attempt["tried"] == told), "{attempts:?}");
        assert_eq!(folder.text("secret"), "secret");
        assert!(folder.read("new").is_none());
    }
}

#[test]
fn what_it_tries_again_is_told_once() {
    let folder = Folder::new();
    let socket = record("socket", "");
    run(&folder, &[&socket, &socket, &socket], &["--sandbox", "on"])
        .says("sandbox: model `escapes` tried to open a network socket (3 times)");
}

#[test]
fn what_is_granted_works_and_nothing_is_told() {
    let folder = Folder::new();
    let weights = folder.path().join("weights").display().to_string();
    let records = [record("read", "HERE/weights"), record("thread", ""), record("cores", "")];
    let records: Vec<_> = records.iter().map(String::as_str).collect();
    let ran = run(&folder, &records, &["--sandbox", "on", "--allow-read", &weights]).exits(0);
    let ran = ran.says_nothing_of("sandbox:");
    let lines: Vec<Value> = ran
        .stdout
        .split(|b| *b == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    assert_eq!(lines.len(), 3);
    for line in lines {
        assert_eq!(line["error"], Value::Null, "{line}");
    }
}

#[test]
fn credentials_do_not_reach_the_model() {
    for (mode, count) in [("on", 0), ("off", 1)] {
        let folder = Folder::new();
        let ran = run(&folder, &[&record("variables", "hunter2")], &["--sandbox", mode]).exits(0);
        let prediction: Value = serde_json::from_slice(&ran.stdout).unwrap();
        assert_eq!(prediction["got"], count, "{mode}");
    }
}

#[test]
fn what_it_tried_is_known_where_it_died_of_it() {
    let folder = Folder::new();
    run(&folder, &[&record("socket_and_abort", "")], &["--sandbox", "on"])
        .says("sandbox: model `escapes` tried to open a network socket");
}

#[test]
fn a_model_is_held_while_it_is_loaded_too() {
    let folder = Folder::new();
    let config = r#"{"try":"read","path":"/etc/passwd"}"#;
    run(&folder, &[&record("thread", "")], &["--sandbox", "on", "--config", config])
        .exits(0)
        .says("sandbox: model `escapes` tried to read the file `/etc/passwd`");
}

#[test]
fn a_plugin_that_needs_what_it_may_not_have_is_refused_with_what_it_wanted() {
    let folder = Folder::new();
    let weights = folder.write("weights", "weights");
    folder.write("in.ldjson", "{\"n\":1}\n");
    let plugin = plugin("misbehaving");
    let config = format!("{{\"weights\":{:?}}}", weights.display());
    let args = ["--isolate", "--plugin", plugin.to_str().unwrap(), "--model", "acts"];
    folder
        .host(args)
        .args(["--input", "in.ldjson", "--config", &config])
        .run()
        .exits(4)
        .says("; its sandbox kept it from this: write the file `")
        .says("  hint: `--allow-read PATH`");
}

#[test]
fn the_doctor_says_what_the_sandbox_will_do() {
    let ran = Folder::new().host(["doctor"]).run().exits(0);
    let text = String::from_utf8(ran.stdout).unwrap();
    for line in ["kernel", "landlock", "seccomp", "`--sandbox on` ", "`--sandbox require` "] {
        assert!(text.lines().any(|told| told.starts_with(line)), "{line}\n{text}");
    }
    let ran = Folder::new().host(["doctor", "--json"]).run().exits(0);
    let told: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert!(told["sandbox"]["on"].is_string() && told["kernel"].is_string(), "{told}");
}
