//! Pipelines in files, as a user runs them: one file a topic.

mod broken;
mod ends;
mod everything;
mod examples;
mod page;
mod shapes;

use etl_host_tests::{Folder, Run, release};
use serde_json::Value;

/// A folder with this pipeline in `p.toml`.
fn folder(pipeline: &str) -> Folder {
    let folder = Folder::new();
    folder.write("p.toml", pipeline);
    folder
}

/// `etl-host COMMAND p.toml WORDS`, not started yet; `${PLUGINS}` is where the plugins are.
fn host<'a>(folder: &'a Folder, command: &str, words: &str) -> Run<'a> {
    let run = folder.host([command, "p.toml"]).args(words.split_whitespace());
    run.env("PLUGINS", &release().to_string_lossy())
}

/// The summary in `s.json`, whose counts add up, for all records and at each node.
#[track_caller]
fn summary(folder: &Folder) -> Value {
    let summary: Value = serde_json::from_str(&folder.text("s.json")).expect("a summary is JSON");
    let counts = &summary["counts"];
    let fates = ["written", "filtered", "blocked", "rejected", "abandoned"];
    let fates: u64 = fates.iter().map(|fate| count(counts, fate)).sum();
    assert_eq!(count(counts, "read"), fates, "{summary:#}");
    let nodes = summary["nodes"].as_array().expect("there are nodes");
    for node in nodes.iter().filter(|node| node["role"] != "source") {
        let fates = ["out", "filtered", "blocked", "err"];
        let fates: u64 = fates.iter().map(|fate| count(node, fate)).sum();
        assert_eq!(count(node, "in"), fates, "{node}");
    }
    summary
}

#[track_caller]
fn count(counts: &Value, name: &str) -> u64 {
    counts[name].as_u64().unwrap_or_else(|| panic!("no count {name} in {counts}"))
}

/// What a node counts.
#[track_caller]
fn node<'a>(summary: &'a Value, name: &str) -> &'a Value {
    let nodes = summary["nodes"].as_array().expect("there are nodes");
    nodes.iter().find(|node| node["name"] == name).unwrap_or_else(|| panic!("no node {name}"))
}
