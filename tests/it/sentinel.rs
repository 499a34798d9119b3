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
