//! Whether a command runs any code of a plugin: the constructor of `plugins/sentinel` makes a file,
//! and `dlopen` runs it before anything can be asked.

use etl_host_tests::{Folder, Ran, Run, plugin};

/// Runs a command line, and says whether a plugin's code ran in it: whether the constructor of
/// `sentinel`, or of a file made from it, made its file.
pub(crate) fn run_and_watch(run: Run<'_>) -> (Ran, bool) {
    let traces = Folder::new();
    let trace = traces.path().join("trace");
    let ran = run.env("SENTINEL", trace.to_str().expect("a temporary folder's name is UTF-8"));
    (ran.run(), traces.read("trace").is_some())
}

/// A command line about the plugin `sentinel` loads it, or doesn't, and ends with this code.
#[track_caller]
fn check(words: &str, code: i32, loads: bool) {
    let folder = Folder::new();
    folder.write("in.ldjson", "{\"n\": 1}\n");
    let plugin = plugin("sentinel");
    let words = words.split_whitespace();
    let words = words.map(|word| if word == "PLUGIN" { plugin.as_os_str() } else { word.as_ref() });
    let (ran, has_run) = run_and_watch(folder.host(words));
    ran.exits(code);
    assert_eq!(has_run, loads);
}

/// So that the tests below, and those of refusals, can fail.
#[test]
fn a_plugin_that_is_loaded_leaves_a_trace() {
    check("--plugin PLUGIN --input in.ldjson", 0, true);
    check("--plugin PLUGIN --input nowhere.ldjson", 3, true);
    check("--plugin PLUGIN --input in.ldjson --model rose", 4, true);
}

#[test]
fn a_command_line_that_is_wrong_loads_nothing() {
    check("--plugin PLUGIN --input in.ldjson --frobnicate", 2, false);
    check("--plugin PLUGIN --input in.ldjson --config {", 2, false);
    check("--plugin PLUGIN --input in.ldjson --output in.ldjson", 2, false);
    check("--plugin PLUGIN --help", 0, false);
}

#[test]
fn inspect_loads_nothing_where_it_is_told_so() {
    check("inspect --no-load PLUGIN", 0, false);
    check("inspect --no-load --json PLUGIN", 0, false);
    check("inspect PLUGIN", 0, true);
}

#[test]
fn a_model_is_found_in_a_folder_without_loading_what_is_not_used() {
    let folder = Folder::new();
    std::fs::copy(plugin("sentinel"), folder.path().join("sentinel.so")).unwrap();
    std::fs::copy(plugin("iris_model"), folder.path().join("iris.so")).unwrap();
    let args = ["--plugin-dir", ".", "--model", "iris_model", "--record", "{}"];
    let (ran, has_run) = run_and_watch(folder.host(args));
    ran.exits(1);
    assert!(!has_run, "the other plugin was loaded");
}
