//! The conformance kit: good plugins pass it, and each of its checks catches the one plugin that
//! breaks just that promise.

use etl_host::check;
use etl_host_tests::{Folder, instead, plugin};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

/// Faults that the file itself has, or has too: the check, and a text in the library that is
/// replaced. Everything else is done by the plugin, which `FAULT=<check>` asks for it.
const PATCHES: &[(&str, &str, &str)] = &[
    ("file-is-a-plugin", "etl-host-plugin\0", "etl-host-plugon\0"),
    ("stamp-names-its-build", r#""crate":"faulty""#, r#""crate":"""#),
    ("opens", "etl_host_plugin_header", "etl_host_plugin_hoader"),
    (
        "names-can-be-typed",
        r#""qualified_name":"parcel_price""#,
        r#""qualified_name":"parcel price""#,
    ),
    (
        "says-what-it-is",
        r#""description":"Says what it costs to send a parcel.""#,
        r#""description":"""#,
    ),
];

/// What the kit finds, and the exit code.
fn checked(file: &Path, fault: &str, args: &[&str]) -> (Option<i32>, Value) {
    let args = [&["check", "--json", "--jobs", "1"], args].concat();
    let args = args.iter().map(OsStr::new).chain([file.as_os_str()]);
    let ran = Folder::new().host(args).env("FAULT", fault).run();
    (ran.code, serde_json::from_slice(&ran.stdout).unwrap())
}

/// The checks of this status, with what was said of them.
fn of_status(found: &Value, status: &str) -> Vec<(String, String)> {
    let checks = found["checks"].as_array().unwrap().iter();
    let checks = checks.filter(|check| check["status"] == status);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    checks.map(|check| (text(&check["name"]), text(&check["detail"]))).collect()
}

#[test]
fn good_plugins_pass_every_check() {
    for name in ["iris_model", "linear_model", "faulty"] {
        let (code, found) = checked(&plugin(name), "", &[]);
        assert_eq!(of_status(&found, "failed"), [], "{name}");
        assert_eq!((code, &found["failed"]), (Some(0), &0.into()), "{name}");
        let not_run = of_status(&found, "not_run");
        assert!(name != "faulty" || not_run.is_empty(), "{name}: {not_run:?}");
        assert_eq!(found["checks"].as_array().unwrap().len(), check::all().count());
    }
}

/// The plugin that breaks this promise, once it is asked to.
fn plugin_with_fault(folder: &Folder, check: &str) -> PathBuf {
    match PATCHES.iter().find(|(name, ..)| *name == check) {
        Some((_, text, other)) => {
            folder.write("plugin.so", instead(fs::read(plugin("faulty")).unwrap(), text, other))
        }
        None => plugin("faulty"),
    }
}

#[test]
fn each_check_catches_the_plugin_that_breaks_its_promise_and_no_other_does() {
    plugin("faulty"); // built before the threads want it
    let checks = Mutex::new(check::all());
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some(check) = { checks.lock().unwrap().next() } {
                    let folder = Folder::new();
                    let file = plugin_with_fault(&folder, check.name);
                    let (code, found) = checked(&file, check.name, &[]);
                    let failed = of_status(&found, "failed");
                    let names: Vec<_> = failed.iter().map(|(name, _)| name.as_str()).collect();
                    if code != Some(1) || names != [check.name] {
                        wrong.lock().unwrap().push(format!("{}: {code:?} {failed:?}", check.name));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_failure_says_what_to_do_and_how_to_see_it_again() {
    let (folder, file) = (Folder::new(), plugin("faulty"));
    const CHECK: &str = "generated-outputs-fit-the-schema";
    let run = |args: &[&str]| {
        let args = ["check"].iter().chain(args).map(OsStr::new).chain([file.as_os_str()]);
        let ran = folder.host(args).env("FAULT", CHECK).run();
        String::from_utf8(ran.exits(1).stdout).unwrap()
    };
    let all = run(&["--seed", "7"]);
    let mut lines = all.lines().skip_while(|line| !line.starts_with("FAIL"));
    let failure = lines.next().unwrap();
    assert!(all.contains("\nok   opens\n"), "{all}");
    assert!(failure.starts_with(&format!("FAIL {CHECK}: to {{")), "{all}");
    assert!(failure.contains(r#"} it gives the prediction {"euros":-1.0,"class""#), "{all}");
    assert!(failure.ends_with("-1.0 is less than the minimum of 0.0"), "{all}");
    assert!(lines.next().unwrap().starts_with("       proves: a prediction is always"), "{all}");
    assert!(lines.next().unwrap().starts_with("       fix: change the type `Output`"), "{all}");
    let again = format!("--model parcel_price --only {CHECK} --seed 7");
    let command = format!("       again: etl-host check {} {again}", file.display());
    assert_eq!(lines.next(), Some(command.as_str()));

    // Told to do it again, it finds the same; with another seed, another record.
    let only = run(&again.split(' ').collect::<Vec<_>>());
    assert!(only.contains(failure) && only.contains("0 passed, 1 failed, 0 not run"), "{only}");
    let other = run(&["--only", CHECK, "--seed", "8"]);
    assert!(!other.contains(failure), "{other}");
}

#[test]
fn a_model_that_dies_is_told_with_the_record_it_died_of() {
    let (_, found) = checked(&plugin("faulty"), "deep-nesting", &["--only", "deep-nesting"]);
    let failed = of_status(&found, "failed");
    let (_, detail) = &failed[0];
    assert!(detail.starts_with("it died of SIGABRT (abort) when asked about {"), "{detail}");
    assert!(detail.contains("[[[[") && detail.contains(" bytes)"), "{detail}");
}

#[test]
fn the_command_line_is_checked_before_the_plugin_is() {
    let folder = Folder::new();
    let file = plugin("iris_model");
    let file = file.to_str().unwrap();
    let list = folder.host(["check", "--list"]).run().exits(0);
    let list = String::from_utf8(list.stdout).unwrap();
    for check in check::all() {
        let check::Check { name, proves, fix, .. } = check;
        assert!(list.contains(&format!("{name}\n  proves: {proves}\n  fix: {fix}\n")), "{name}");
    }
    folder.host(["check", file, "--only", "opns"]).run().exits(2).says("'opens'");
    folder.host(["check", file, "--model", "rose"]).run().exits(2).says("it holds `iris_model`");
    folder.host(["check", "nowhere.so"]).run().exits(4).says("plugin `nowhere.so` is refused");
    folder.host(["check"]).run().exits(2);
}

#[test]
fn the_first_gate_that_is_shut_fails_and_those_behind_it_are_not_tried() {
    let folder = Folder::new();
    let file = folder.write("plugin.so", "no plugin");
    let (code, found) = checked(&file, "", &["--only", "examples-give-their-answers"]);
    let not_run = of_status(&found, "not_run");
    assert_eq!(code, Some(1));
    assert_eq!(of_status(&found, "failed")[0].0, "file-is-a-plugin");
    assert_eq!(not_run[0].1, "`file-is-a-plugin` must pass first");
}
