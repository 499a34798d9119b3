//! What is said of plugins without scoring anything: `inspect`, `list`, and how a model is found in
//! a folder by name and version.

use etl_host_tests::{Folder, Ran, instead, plugin};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

const FLOWER: &str =
    r#"{"sepal_length": 4.4, "sepal_width": 2.9, "petal_length": 1.4, "petal_width": 0.2}"#;

/// The iris plugin whose stamp, and nothing else, gives another version.
fn iris_of_version(major: u32, minor: u32) -> Vec<u8> {
    let to = format!(r#""major_version":{major},"minor_version":{minor}"#);
    instead(iris(), r#""major_version":0,"minor_version":1"#, &to)
}

fn stdout(ran: &Ran) -> String {
    String::from_utf8(ran.stdout.clone()).unwrap()
}

fn json_of(ran: &Ran) -> Value {
    serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", stdout(ran)))
}

fn inspect(lie: &str, args: &[&str]) -> Ran {
    let folder = Folder::new();
    let file = plugin("lying");
    let args = [&["inspect", file.to_str().unwrap()], args].concat();
    folder.host(args).env("LYING", lie).run()
}

// ---- inspect

#[test]
fn inspect_shows_what_the_file_and_the_models_say() {
    let folder = Folder::new();
    folder.write("iris.so", iris());
    let shown = stdout(&folder.host(["inspect", "iris.so"]).run().exits(0));
    for line in [
        "file        iris.so (",
        "sha256      ",
        "format      ELF, Linux, 64-bit ",
        "glibc       2.",
        "abi         1.",
        "crate       iris_model 0.1.0\n",
        "compiler    rustc 1.",
        "state       this host can use it\n",
        "model `iris_model` 0.1: Iris Model\n",
        "    petal_length: number  Length of the petal of the flower, in cm.\n",
        "    species: \"setosa\" | \"versicolor\" | \"virginica\"  The species.\n",
        "\"sepal_width\":2.9} -> {\"species\":\"setosa\"}\n",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
    assert_eq!(folder.names(), ["iris.so"]);
}

#[test]
fn inspect_writes_json_for_programs() {
    let folder = Folder::new();
    let bytes = iris();
    folder.write("iris.so", &bytes);
    let told = json_of(&folder.host(["inspect", "--json", "iris.so"]).run().exits(0));
    assert_eq!(told["usable"], true);
    assert_eq!(told["bytes"], bytes.len());
    assert_eq!(told["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(told["stamp"]["models"][0]["qualified_name"], "iris_model");
    assert_eq!(told["models"][0]["examples"][0]["output"], json!({"species": "setosa"}));
    assert_eq!(told["models"][0]["config_schema"]["type"], "object");
    let unloaded = json_of(&folder.host(["inspect", "--json", "--no-load", "iris.so"]).run());
    let mut expected = told;
    expected["models"] = Value::Null;
    expected["usable"] = Value::Null; // nobody knows yet
    assert_eq!(unloaded, expected);
}

#[test]
fn a_file_that_this_host_cannot_use_is_shown_with_the_reason() {
    let folder = Folder::new();
    folder.write("new.so", instead(iris(), r#""abi":"1.0.0""#, r#""abi":"7.0.0""#));
    let ran = folder.host(["inspect", "new.so"]).run().exits(4);
    let shown = stdout(&ran);
    assert!(shown.contains("abi         7.0.0\n"), "{shown}");
    assert!(shown.contains("state       refused: plugin speaks ABI 7.0.0, this host speaks 1."));
    assert!(shown.contains("hint        build it with this host's `model-abi`"), "{shown}");
    assert!(shown.contains("model `iris_model` 0.1"), "{shown}");
    let told = json_of(&folder.host(["inspect", "new.so", "--json"]).run().exits(4));
    assert_eq!((&told["usable"], &told["models"]), (&json!(false), &Value::Null));
    folder.write("text.so", "hello");
    let ran = folder.host(["inspect", "text.so"]).run().exits(4).writes("");
    ran.says("error: plugin `text.so` is refused\n  cause: expected a shared library");
    let told = json_of(&folder.host(["inspect", "text.so", "--json"]).run().exits(4));
    let reason = told["reason"].as_str().unwrap();
    assert!(told["usable"] == false && reason.starts_with("expected a shared library"), "{told}");
}

#[test]
fn a_plugin_that_dies_or_hangs_while_it_is_loaded_costs_a_line() {
    let began = "while it was loaded and asked to describe itself, it ";
    for (lie, words) in [
        ("describe_aborts", "died of SIGABRT (abort)"),
        ("describe_exits", "exited with code 0"),
        ("describe_hangs", "did not end within 1 s and was killed"),
        ("not_json", "expected its description as JSON"),
    ] {
        let timeout = if lie == "describe_hangs" { "1" } else { "60" };
        let since = Instant::now();
        let ran = inspect(lie, &["--timeout", timeout]).exits(4);
        assert!(since.elapsed() < Duration::from_secs(30), "{lie}");
        let shown = stdout(&ran);
        let reason = if lie == "not_json" { words.to_owned() } else { format!("{began}{words}") };
        assert!(shown.contains(&format!("state       refused: {reason}")), "{lie}\n{shown}");
        let told = json_of(&inspect(lie, &["--timeout", timeout, "--json"]).exits(4));
        assert!(told["reason"].as_str().unwrap().starts_with(&reason), "{told}");
        inspect(lie, &["--no-load"]).exits(0);
    }
}

#[test]
fn what_a_plugin_prints_is_no_description() {
    let told = json_of(&inspect("describe_prints", &["--json"]).exits(0));
    assert_eq!(told["models"][0]["qualified_name"], "lying");
}

#[test]
fn a_closed_pipe_is_a_quiet_end_of_inspect() {
    let folder = Folder::new();
    let file = plugin("iris_model");
    let mut command = folder.host(["inspect".as_ref(), file.as_os_str()]).command();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = command.stdout(writer).output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr), (Some(0), Vec::new()));
}

#[test]
fn a_full_disk_is_told_by_name() {
    let folder = Folder::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ended = folder.host(["list", "."]).command().stdout(full).output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(3), "{said}");
    assert!(said.contains("error: stdout can't be written\n  cause: No space left"), "{said}");
}

// ---- list

/// Files in a folder `models`, by name.
fn models(files: &[(&str, Vec<u8>)]) -> Folder {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("models")).unwrap();
    for (name, bytes) in files {
        folder.write(&format!("models/{name}"), bytes);
    }
    folder
}

fn iris() -> Vec<u8> {
    fs::read(plugin("iris_model")).unwrap()
}

#[test]
fn list_shows_each_file_with_its_models_or_the_reason() {
    let folder = models(&[
        ("iris.so", iris()),
        ("lying.so", fs::read(plugin("lying")).unwrap()),
        ("new.so", instead(iris(), r#""abi":"1.0.0""#, r#""abi":"7.0.0""#)),
        ("other.so", fs::read(plugin("other_layout")).unwrap()),
        ("text.so", b"hello".to_vec()),
        ("weights.bin", b"not a plugin, and not listed".to_vec()),
        (".hidden.so", Vec::new()),
    ]);
    let run = |args: &[&str]| folder.host(args).env("LYING", "describe_aborts").run().exits(0);
    let shown = stdout(&run(&["list", "models"]).says_nothing_of("error"));
    let lines: Vec<&str> = shown.lines().collect();
    for (line, expected) in [
        "FILE      MODEL       VERSION  ABI    STATE",
        "iris.so   iris_model  0.1      1.0.0  ok",
        "lying.so  -           -        1.0.0  refused: while it was loaded and asked to describe itself, it died of SIGABRT (abort)",
        "new.so    -           -        -      refused: plugin speaks ABI 7.0.0, this host speaks 1.0.0",
        "other.so  -           -        1.0.0  refused: expected the root module of the border",
        "text.so   -           -        -      refused: expected a shared library, found a file that begins with the text `hello`",
    ]
    .iter()
    .enumerate()
    {
        assert!(lines[line].starts_with(expected), "{expected}\nis not\n{}", lines[line]);
    }
    assert_eq!(lines.len(), 6, "{shown}");
    let told = json_of(&run(&["list", "models", "--json"]));
    assert_eq!(told[0]["state"], "ok");
    assert_eq!((&told[1]["state"], &told[1]["model"]), (&json!("refused"), &Value::Null));
    assert_eq!(told.as_array().unwrap().len(), 5);
}

#[test]
fn list_waits_for_no_plugin_longer_than_it_is_told() {
    let lying = fs::read(plugin("lying")).unwrap();
    let files = ["a.so", "b.so", "c.so", "d.so"].map(|name| (name, lying.clone()));
    let folder = models(&files);
    let run = folder.host(["list", "models", "--timeout", "0.5"]).env("LYING", "describe_hangs");
    let since = Instant::now();
    let shown = stdout(&run.run().exits(0));
    assert_eq!(shown.matches("did not end within 0.5 s and was killed").count(), 4, "{shown}");
    assert!(since.elapsed() < Duration::from_secs(10));
}

#[test]
fn the_folder_is_the_one_given_or_of_the_environment_or_plugins() {
    let folder = models(&[("iris.so", iris())]);
    let is_listed = |ran: Ran| assert!(stdout(&ran.exits(0)).contains("iris.so  iris_model"));
    is_listed(folder.host(["list", "models"]).run());
    is_listed(folder.host(["list", "--plugin-dir", "models"]).run());
    is_listed(folder.host(["list"]).env("ETL_HOST_PLUGIN_DIR", "models").run());
    let nowhere = folder.host(["list"]).run().exits(4).writes("");
    nowhere.says("can't read the plugin folder `./plugins`\n  cause: No such file").says("hint: ");
    fs::rename(folder.path().join("models"), folder.path().join("plugins")).unwrap();
    is_listed(folder.host(["list"]).run());
    let empty = models(&[]);
    let ran = empty.host(["list", "models"]).run().exits(0);
    ran.says("there are no plugins in `models`").writes("FILE  MODEL  VERSION  ABI  STATE\n");
}

#[test]
fn two_files_with_the_same_model_and_version_are_both_named() {
    let folder = models(&[("a.so", iris()), ("b.so", iris()), ("c.so", iris())]);
    symlink("a.so", folder.path().join("models/link.so")).unwrap(); // the same file once more
    let shown = stdout(&folder.host(["list", "models"]).run().exits(0));
    for twins in ["ambiguous: also in b.so, c.so", "also in a.so, c.so", "also in a.so, b.so"] {
        assert!(shown.contains(twins), "{shown}");
    }
    assert!(!shown.contains("link.so"), "{shown}");
}

// ---- Finding a model in a folder

#[test]
fn a_model_is_found_by_its_name_and_the_newest_version_that_matches() {
    let folder = models(&[("old.so", iris()), ("newer.so", iris_of_version(0, 2))]);
    folder.write("models/text.so", "a file that is refused is no matter");
    let plugin_of = |args: &[&str]| {
        let args = [args, &["--record", FLOWER, "--summary", "s.json"]].concat();
        let run = folder.host(args).env("ETL_HOST_PLUGIN_DIR", "models").run().exits(0);
        run.writes("{\"species\":\"setosa\"}\n");
        let summary: Value = serde_json::from_str(&folder.text("s.json")).unwrap();
        summary["plugin"]["path"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        plugin_of(&["--plugin-dir", "models", "--model", "iris_model@0.1"]),
        "models/old.so"
    );
    assert_eq!(plugin_of(&["--plugin-dir", "models"]), "models/newer.so");
    assert_eq!(plugin_of(&["--model", "iris_model"]), "models/newer.so");
    assert_eq!(plugin_of(&["--model", "iris_model@0"]), "models/newer.so");
    assert_eq!(plugin_of(&["--model", "iris_model@0.1"]), "models/old.so");
    assert_eq!(
        plugin_of(&["--plugin", "models/old.so", "--model", "iris_model@0"]),
        "models/old.so"
    );
}

#[test]
fn what_cannot_be_found_is_told_with_what_can() {
    let folder = models(&[("a.so", iris()), ("b.so", iris()), ("c.so", iris_of_version(1, 0))]);
    folder.write("models/text.so", "hello");
    for (model, words) in [
        ("rose", "expected a plugin with the model `rose`, found `iris_model@0.1` in a.so, "),
        ("rose", "; refused: text.so: expected a shared library, found a file that begins"),
        ("iris_model@2", "expected a plugin with the model `iris_model@2`, found "),
        (
            "iris_model@0",
            "several files offer it: `iris_model@0.1` in a.so, `iris_model@0.1` in b.so\n",
        ),
    ] {
        let args = ["--plugin-dir", "models", "--model", model, "--record", FLOWER];
        let ran = folder.host(args).run().exits(4).writes("");
        ran.says("error: no model can be chosen from the plugin folder `models`\n")
            .says(words)
            .says("  hint: ");
    }
    // Chosen by its stamp, which says more than is true.
    let args = ["--plugin-dir", "models", "--model", "iris_model@1", "--record", FLOWER];
    folder.host(args).run().exits(4).says("expected its model `iris_model@1`, found version 0.1");
    let args = ["--model", "iris_model@x", "--record", FLOWER];
    folder.host(args).run().exits(2).says("expected a version such as `iris_model@0`");
    folder.host(["--record", FLOWER]).run().exits(2).says("--plugin <FILE>");
}
