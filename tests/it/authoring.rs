//! What the guides say is run: the author's guide, and the README of a crate that `new` wrote.
//!
//! [`follow`] goes through a document as a reader would, in one folder. A block marked `sh` is run
//! where the one before it ended, and must succeed; a block marked `text` behind it is all that it
//! said, with `…` for anything. A block marked `rust` is a method or a constant of the model, which
//! takes the place of the one of that name in `src/lib.rs`, or is added. No other marks are known, so that
//! nothing stands in a guide untried.
//!
//! Cargo works as for any author, but for two things: it stays off the network, with the versions
//! of our own lock file, and what it builds on the way is kept for the next run of the tests.

use etl_host_tests::{release, root};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn the_authors_guide_does_what_it_says() {
    let guide = fs::read_to_string(root().join("docs/authoring.md")).unwrap();
    follow(&guide, &empty_folder("authoring"));
}

/// An empty folder, at the same place in each run: cargo knows a crate by its path, and would keep
/// what it built for every one of them.
pub(crate) fn empty_folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guides").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder.canonicalize().unwrap()
}

/// Goes through a document, beginning in `folder`.
#[track_caller]
pub(crate) fn follow(document: &str, folder: &Path) {
    let mut folder = folder.to_owned();
    let mut said = None;
    for Block { mark, text, line } in blocks(document) {
        match mark {
            "sh" => {
                let ran = shell(&text, &mut folder);
                said = Some(ran.unwrap_or_else(|shown| panic!("line {line} fails:\n{shown}")));
            }
            "text" => {
                let said = said.take().expect("what is said follows the commands that say it");
                let is_said = matches(&text, &said);
                assert!(is_said, "line {line}:\n{text}is not what is said:\n{said}");
            }
            "rust" => {
                let path = folder.join("src/lib.rs");
                let source = fs::read_to_string(&path).unwrap();
                fs::write(path, with_method(&source, &text)).unwrap();
            }
            mark => panic!("line {line}: nobody knows how to try a block marked {mark:?}"),
        }
    }
}

pub(crate) struct Block<'a> {
    pub(crate) mark: &'a str,
    pub(crate) text: String,
    pub(crate) line: usize,
}

pub(crate) fn blocks(document: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut lines = document.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if let Some(mark) = line.strip_prefix("```") {
            let inside = lines.by_ref().take_while(|(_, line)| !line.starts_with("```"));
            let text = inside.map(|(_, line)| format!("{line}\n")).collect();
            blocks.push(Block { mark, text, line: index + 1 });
        }
    }
    blocks
}

/// What commands say in a folder, which they may leave for another. `Err`: they fail.
pub(crate) fn shell(commands: &str, folder: &mut PathBuf) -> Result<String, String> {
    let guides = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guides");
    lend_lock_file(folder);
    let end = folder.join(".end");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = [release().to_owned()].into_iter().chain(std::env::split_paths(&path));
    let ran = Command::new("sh")
        .arg("-c")
        .arg(format!("exec 2>&1; set -eu\n{commands}\npwd > \"$END\""))
        .current_dir(&*folder)
        .env("END", &end)
        .env("PATH", std::env::join_paths(path).unwrap())
        .env_remove("CARGO_TARGET_DIR")
        .env("CARGO_BUILD_BUILD_DIR", guides.join("build"))
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_TERM_COLOR", "never")
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_PROFILE_DEV_DEBUG", "false") // half the time
        .output()
        .expect("a shell runs");
    let said = String::from_utf8(ran.stdout).unwrap();
    if !ran.status.success() {
        return Err(format!("in {}: {}\n{commands}---\n{said}", folder.display(), ran.status));
    }
    *folder = fs::read_to_string(&end).unwrap().trim_end().into();
    fs::remove_file(end).unwrap();
    lend_lock_file(folder);
    Ok(said)
}

/// Gives our lock file to each crate in a folder that has none.
fn lend_lock_file(folder: &Path) {
    let inside = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    for folder in inside.chain([folder.to_owned()]) {
        if folder.join("Cargo.toml").exists() && !folder.join("Cargo.lock").exists() {
            fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        }
    }
}

/// Whether a text is what is expected, where `…` stands for anything.
pub(crate) fn matches(expected: &str, text: &str) -> bool {
    let parts: Vec<&str> = expected.trim_end().split('…').collect();
    let (first, rest) = parts.split_first().expect("there is a part");
    let Some(mut text) = text.trim_end().strip_prefix(first) else { return false };
    let Some((last, middle)) = rest.split_last() else { return text.is_empty() };
    for part in middle {
        match text.split_once(part) {
            Some((_, behind)) => text = behind,
            None => return false,
        }
    }
    text.ends_with(last)
}

/// The source of a plugin whose model has this method.
fn with_method(source: &str, method: &str) -> String {
    let begin = source.find("\nimpl MLModel for ").expect("the plugin has a model");
    let end = begin + source[begin..].find("\n}\n").expect("it ends") + 1;
    let (mut body, rest) = (source[..end].to_owned(), &source[end..]);
    let head =
        method.trim_start().split_inclusive('(').next().expect("a method begins with its name");
    if let Some(at) = body[begin..].find(&format!("\n    {head}")) {
        let at = begin + at + 1;
        let past = at + body[at..].find("\n    }\n").expect("the method ends") + "\n    }\n".len();
        body.replace_range(at..past, "");
    }
    format!("{body}\n{method}{rest}")
}

#[test]
fn an_ellipsis_stands_for_anything() {
    for (expected, text) in
        [("a\n", "a\n"), ("a…c", "abc"), ("…", ""), ("…b…", "abc\n"), ("a …\nc", "a 1\nb\nc")]
    {
        assert!(matches(expected, text), "{expected:?} {text:?}");
    }
    for (expected, text) in [("a", "ab"), ("a…", "ba"), ("…a", "ab"), ("a…b…c", "acb"), ("", "a")]
    {
        assert!(!matches(expected, text), "{expected:?} {text:?}");
    }
}

#[test]
fn a_method_takes_the_place_of_its_namesake_or_is_added() {
    let source = "\nimpl MLModel for A {\n    fn a() {\n        1\n    }\n\n    fn ab() {\n    }\n}\n\nfn a() {}\n";
    let replaced =
        "\nimpl MLModel for A {\n\n    fn ab() {\n    }\n\nfn a() { 2 }\n}\n\nfn a() {}\n";
    assert_eq!(with_method(source, "fn a() { 2 }\n"), replaced);
    let added = source.replacen("\n}\n", "\n\nfn c(&self) {}\n}\n", 1);
    assert_eq!(with_method(source, "fn c(&self) {}\n"), added);
}
