//! The page on pipelines does what it says: its commands are run, and its examples of steps are pipelines
//! whose tests pass.

use super::examples::project;
use super::{folder, host};
use crate::authoring::{blocks, matches, shell};
use etl_host_tests::root;
use std::fs;
use std::os::unix::fs::symlink;

fn page() -> String {
    fs::read_to_string(root().join("docs/pipelines.md")).unwrap()
}

#[test]
fn its_commands_say_what_it_says() {
    let (page, project) = (page(), project());
    let (mut folder, mut said, mut commands) = (project.path().to_owned(), None, 0);
    for block in blocks(&page) {
        match block.mark {
            "sh" => {
                let ran = shell(&block.text, &mut folder);
                said =
                    Some(ran.unwrap_or_else(|shown| panic!("line {} fails:\n{shown}", block.line)));
                commands += 1;
            }
            // What is said elsewhere is only shown.
            "text" => {
                let Some(said) = said.take() else { continue };
                let is_said = matches(&block.text, &said);
                assert!(
                    is_said,
                    "line {}:\n{}is not what is said:\n{said}",
                    block.line, block.text
                );
            }
            _ => said = None,
        }
    }
    assert!(commands > 5);
}

#[test]
fn its_example_is_one_of_the_examples() {
    let example = fs::read_to_string(root().join("examples/jurisdiction.toml")).unwrap();
    assert!(page().contains(&format!("```toml\n{example}```\n")));
}

/// A pipeline around steps that take from `records`, and the files that they name.
#[test]
fn its_examples_of_steps_do_what_their_tests_say() {
    let (page, mut types) = (page(), Vec::new());
    let blocks = blocks(&page);
    for block in blocks.iter().filter(|block| block.mark == "toml") {
        let steps: Vec<&str> = block
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("[steps.")?.strip_suffix(']'))
            .collect();
        if block.text.contains("[sources.") || steps.is_empty() {
            continue;
        }
        types.extend(block.text.lines().filter_map(|line| line.strip_prefix("type = ")));
        let mut pipeline =
            "[sources.records]\npath = \"records.ldjson\"\n".to_owned() + &block.text;
        for (number, step) in steps.iter().enumerate() {
            let sink =
                format!("[sinks.end{number}]\nfrom = \"{step}\"\npath = \"{number}.ldjson\"\n");
            pipeline += &sink;
        }
        let folder = folder(&pipeline);
        folder.write("records.ldjson", "");
        symlink(root().join("examples"), folder.path().join("examples")).unwrap();
        host(&folder, "validate", "").run().exits(0).says("");
        if block.text.contains("[[test]]") {
            let ran = host(&folder, "test", "").run();
            let said = String::from_utf8_lossy(&ran.stdout).into_owned();
            assert_eq!(ran.code, Some(0), "line {}:\n{said}", block.line);
        }
    }
    types.sort_unstable();
    types.dedup();
    assert_eq!(types.len(), 11, "an example of each type: {types:?}");
}
