//! The page on pipelines has a table of the keys of each table of a file: those that the file is read by.
//!
//! Each stands behind a mark, `<!-- keys: model -->`. Where one is not as it should be, the test says what
//! it should be; with `WRITE_PAGE=1` it writes it there.

use crate::spec::file::keys::{
    EXPECTED_REJECT, Key, Keys, RUN, SHARE, SINK, SOURCE, STEP, STEP_TYPES, TEST,
};
use std::collections::HashMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// How a table of keys is announced.
const MARK: &str = "<!-- keys: ";

/// The keys that stand behind each mark. Those that lookups share with sources stand there.
fn tables() -> HashMap<&'static str, Vec<&'static Key>> {
    fn all(keys: Keys) -> Vec<&'static Key> {
        keys.iter().copied().flatten().collect()
    }
    let mut tables = HashMap::from([
        ("source", all(SOURCE)),
        ("step", STEP.iter().collect()),
        ("sink", all(SINK)),
        ("run", all(RUN)),
        ("test", all(TEST)),
        ("reject", EXPECTED_REJECT.iter().collect()),
    ]);
    for step in STEP_TYPES {
        let of_source = |key: &&Key| all(SOURCE).iter().any(|other: &&Key| other.name == key.name);
        let mut own: Vec<&Key> = all(step.keys);
        let is_lookup = step.name == "lookup";
        own.retain(|key| !is_lookup || key.name == "path" || !of_source(key));
        tables.insert(step.name, own);
    }
    // These have the same, or none.
    let [limit, skip] = ["limit", "skip"].map(|name| names(&tables[name]));
    assert_eq!(limit, skip);
    assert_eq!(names(&tables["sample"]), names(&SHARE.iter().collect::<Vec<_>>()));
    tables.retain(|name, keys| *name != "skip" && !keys.is_empty());
    tables
}

fn names(keys: &[&Key]) -> Vec<&'static str> {
    keys.iter().map(|key| key.name).collect()
}

fn table(keys: &[&Key]) -> String {
    let mut text = "\n| key | | for example |\n|---|---|---|\n".to_owned();
    for Key { name, is_needed, example, about, .. } in keys {
        let needed = if *is_needed { " **Needed.**" } else { "" };
        let cell = |text: &str| text.replace('|', "\\|");
        let (about, example) = (cell(about), cell(example));
        let _ = writeln!(text, "| `{name}` | {about}{needed} | `{example}` |");
    }
    text
}

/// The page as it should be, and the marks that it has.
fn with_tables(page: &str) -> (String, Vec<String>) {
    let (tables, mut marks) = (tables(), Vec::new());
    let mut parts = page.split(MARK);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(" -->\n").expect("a mark ends");
        let keys = tables.get(name).unwrap_or_else(|| panic!("there are no keys of {name:?}"));
        let rest = rest.strip_prefix('\n').expect("a blank line follows");
        let behind = rest.lines().skip_while(|line| line.starts_with('|') || line.is_empty());
        let behind: String = behind.map(|line| format!("{line}\n")).collect();
        text += &format!("{MARK}{name} -->\n{}\n{behind}", table(keys));
        marks.push(name.to_owned());
    }
    (text, marks)
}

#[test]
fn the_page_has_every_key_of_every_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pipelines.md");
    let page = fs::read_to_string(&path).unwrap();
    let (wanted, mut marks) = with_tables(&page);
    let mut tables: Vec<_> = tables().into_keys().collect();
    tables.sort_unstable();
    marks.sort();
    assert_eq!(marks, tables, "each table of keys stands there once");
    for step in STEP_TYPES {
        assert!(page.contains(&format!("`{}`", step.name)), "{} is not there", step.name);
    }
    if env::var_os("WRITE_PAGE").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let differs = page.lines().zip(wanted.lines()).find(|(is, wanted)| is != wanted);
    assert_eq!(differs, None, "the page is to have what stands there second");
    assert!(page == wanted, "the page is to be:\n{wanted}");
}
