//! The house is in order: every file says what it is for, and the map names every module.

use etl_host_tests::root;
use std::fs;
use std::path::{Path, PathBuf};

/// All files below a folder of the project that end like this.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, found): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let found = found.into_iter().filter(|path| path.extension().is_some_and(|e| e == extension));
    found.chain(folders.iter().flat_map(|folder| files(folder, extension))).collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    files(folder, "rs")
}

fn project_files() -> Vec<PathBuf> {
    let folders = ["model-abi", "host", "plugins", "tests", "benches", "fuzz"];
    folders.iter().flat_map(|folder| rust_files(&root().join(folder))).collect()
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    let files = project_files();
    assert!(files.len() > 40, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("//! "), "{} does not open with //!", file.display());
    }
}

#[test]
fn so_does_every_file_in_python() {
    let files = files(&root().join("benches"), "py");
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let text = text.strip_prefix("#!/usr/bin/env python3\n").unwrap_or(&text);
        assert!(text.starts_with("\"\"\""), "{} does not open with a docstring", file.display());
    }
}

#[test]
fn the_map_names_every_module_of_the_host() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for file in rust_files(&root().join("host/src")) {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let named = map.contains(&format!("{name}.rs")) || map.contains(&format!("{name}/"));
        assert!(named || ["lib", "tests", "dynamic", "elf", "macho"].contains(&name), "{name}");
    }
}

#[test]
fn the_map_names_every_part_of_the_harness() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for file in files(&root().join("benches/harness"), "py") {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(map.contains(&format!("`{name}`")) || name == "__init__.py", "{name}");
    }
    for file in rust_files(&root().join("tests/src")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(map.contains(&format!("`src/{name}`")), "{name}");
    }
}

#[test]
fn what_must_be_done_in_one_place_is_done_in_one_place() {
    for (done, place) in [
        ("process::Command", "child.rs"),
        ("Library::open", "plugin/library.rs"),
        ("fs::rename", "storage/disk.rs"),
    ] {
        let mut files = rust_files(&root().join("host/src"));
        // What tests do harms nobody.
        let is_tests =
            |file: &PathBuf| file.iter().any(|part| part == "tests" || part == "tests.rs");
        files.retain(|file| !is_tests(file));
        let does = |file: &&PathBuf| {
            let text = fs::read_to_string(file).unwrap();
            let (code, _) = text.split_once("#[cfg(test)]").unwrap_or((&text, ""));
            let code: String = code.lines().filter(|line| !line.trim().starts_with("//")).collect();
            code.contains(done) || code.contains(&done.replace("::", "::{"))
        };
        let doing: Vec<_> = files.iter().filter(does).collect();
        assert!(matches!(doing[..], [one] if one.ends_with(place)), "{done}: {doing:?}");
    }
}

#[test]
fn the_readme_shows_only_flags_that_there_are() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (before, bench) = readme.split_once("<!-- bench:begin -->").unwrap();
    let (_, behind) = bench.split_once("<!-- bench:end -->").unwrap();
    let readme = [before, behind].concat(); // the benchmark has flags of its own
    let help = |args: &[&str]| {
        let ran = etl_host_tests::Folder::new().host(args).run().exits(0);
        String::from_utf8(ran.stdout).unwrap()
    };
    let mut shown = help(&["--help"]);
    let (_, commands) = shown.split_once("\nCommands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    let names: Vec<_> =
        commands.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"inspect"), "{names:?}");
    let helps: Vec<_> =
        names.iter().filter(|name| **name != "help").map(|name| help(&[name, "--help"])).collect();
    shown += &helps.concat();
    for flag in readme.split(['`', ' ', '|', '\n']).filter(|word| word.starts_with("--")) {
        let flag = flag.trim_end_matches([',', ')', ';', '.', ':']);
        let is_flag = flag[2..].starts_with(|c: char| c.is_ascii_lowercase()) && flag != "--open";
        assert!(!is_flag || shown.contains(flag), "{flag} is not in --help");
    }
}
