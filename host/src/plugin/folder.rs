//! A folder of plugins. Dropping a file into it is all that installs a model: models are found by
//! the stamps of the files, which are read as data, so that finding one runs nobody's code.
//!
//! A file counts as a plugin, if only as a refused one, when it is named as a shared library is;
//! weights, notes and folders may lie beside it. Subfolders are not looked into.

use super::look::{Looked, Refusal, look};
use super::selector::Selector;
use crate::causes::chain;
use std::borrow::Borrow;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file of the folder.
#[derive(Debug)]
pub struct Entry {
    /// The file.
    pub path: PathBuf,
    /// What it is, or why it can't be used, as far as that is seen without loading it.
    pub looked: Result<Looked, Refusal>,
}

impl Entry {
    /// Its name in the folder.
    pub fn file_name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// A model that a file of the folder offers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Offer {
    name: String,
    version: (u32, u32),
    file: String,
    path: PathBuf,
}

/// Why no model is found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The folder can't be read.
    #[error("{0}")]
    Unreadable(io::Error),
    /// No file of it offers the model.
    #[error("expected {}, found {}", wanted(asked), found(offers, refused))]
    NoModel {
        /// What was asked for.
        asked: Option<Selector>,
        /// What there is.
        offers: Vec<String>,
        /// Files that can't be used, with the reason.
        refused: Vec<String>,
    },
    /// No model was asked for, and there are several.
    #[error("it holds several models: {}", few(.0, ", "))]
    WhichModel(Vec<String>),
    /// Several files offer the same.
    #[error("several files offer it: {}", few(.0, ", "))]
    Ambiguous(Vec<String>),
}

fn wanted(asked: &Option<Selector>) -> String {
    asked
        .as_ref()
        .map_or("a plugin".to_owned(), |asked| format!("a plugin with the model `{asked}`"))
}

fn found(offers: &[String], refused: &[String]) -> String {
    let offers = if offers.is_empty() { "none".to_owned() } else { few(offers, ", ") };
    if refused.is_empty() { offers } else { format!("{offers}; refused: {}", few(refused, "; ")) }
}

/// A list that stays readable in a folder of hundreds.
pub fn few(items: &[impl Borrow<str>], separator: &str) -> String {
    const SHOWN_MAX: usize = 8;
    let more = items.len().saturating_sub(SHOWN_MAX);
    let shown = items[..items.len() - more].join(separator);
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

impl FindError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            FindError::Unreadable(_) => {
                "--plugin-dir DIR or ETL_HOST_PLUGIN_DIR names the folder [default: ./plugins]"
            }
            FindError::NoModel { .. } => "`etl-host list DIR` shows what is in a folder",
            FindError::WhichModel(_) => "choose one with --model NAME[@VERSION]",
            FindError::Ambiguous(_) => "take one of them away, or name the file with --plugin FILE",
        })
    }
}

/// Looks at every file in the folder that is named as a shared library is, in the order of names.
/// A link to another file of the same folder counts as that file.
pub fn scan(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(is_library_name) {
            paths.push(path);
        }
    }
    paths.sort();
    let real: Vec<_> = paths.iter().filter(|path| !path.is_symlink()).cloned().collect();
    let is_other_name = |path: &PathBuf| {
        path.is_symlink()
            && path.canonicalize().is_ok_and(|target| {
                real.iter().any(|other| other.canonicalize().is_ok_and(|other| other == target))
            })
    };
    paths.retain(|path| !is_other_name(path));
    Ok(paths.into_iter().map(|path| Entry { looked: look(&path), path }).collect())
}

/// `liba.so`, `liba.so.1.2`, and those of other systems, which are refused by name later. Hidden
/// files are copies under way.
fn is_library_name(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_lowercase();
    let is_versioned = |(_, version): (&str, &str)| {
        !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    !name.starts_with('.')
        && ([".so", ".dylib", ".dll"].iter().any(|end| name.ends_with(end))
            || name.rsplit_once(".so.").is_some_and(is_versioned))
}

/// The file with the newest model that is meant; without a selector, with the only one there is.
pub fn find(folder: &Path, asked: Option<&Selector>) -> Result<PathBuf, FindError> {
    let entries = scan(folder).map_err(FindError::Unreadable)?;
    choose(&entries, asked)
}

fn choose(entries: &[Entry], asked: Option<&Selector>) -> Result<PathBuf, FindError> {
    let mut offers: Vec<Offer> = entries.iter().flat_map(offers).collect();
    offers.sort();
    if asked.is_none() && offers.iter().any(|offer| offer.name != offers[0].name) {
        return Err(FindError::WhichModel(offers.iter().map(Offer::shown).collect()));
    }
    let is_meant =
        |offer: &&Offer| asked.is_none_or(|asked| asked.matches(&offer.name, offer.version));
    let Some(newest) = offers.iter().filter(is_meant).map(|offer| offer.version).max() else {
        let refused = entries.iter().filter_map(|entry| {
            let refusal = entry.looked.as_ref().err()?;
            Some(format!("{}: {}", entry.file_name(), chain(refusal)))
        });
        return Err(FindError::NoModel {
            asked: asked.cloned(),
            refused: refused.collect(),
            offers: nearest(&offers, asked).map(Offer::shown).collect(),
        });
    };
    let best: Vec<&Offer> =
        offers.iter().filter(is_meant).filter(|offer| offer.version == newest).collect();
    match best[..] {
        [only] => Ok(only.path.clone()),
        _ => Err(FindError::Ambiguous(best.into_iter().map(Offer::shown).collect())),
    }
}

/// Where the name is there and only the version is not, the versions of that name.
fn nearest<'a>(offers: &'a [Offer], asked: Option<&Selector>) -> impl Iterator<Item = &'a Offer> {
    let name = asked.map(|asked| asked.name.clone());
    let is_named = move |offer: &&Offer| Some(&offer.name) == name.as_ref();
    let any = offers.iter().any(|offer| is_named(&offer));
    offers.iter().filter(move |offer| !any || is_named(offer))
}

fn offers(entry: &Entry) -> Vec<Offer> {
    let Ok(looked) = &entry.looked else { return Vec::new() };
    let models = looked.stamp.models.iter();
    let offer = |model: &model_abi::stamp::StampedModel| Offer {
        name: model.qualified_name.clone(),
        version: (model.major_version, model.minor_version),
        file: entry.file_name(),
        path: entry.path.clone(),
    };
    models.map(offer).collect()
}

impl Offer {
    fn shown(&self) -> String {
        let (major, minor) = self.version;
        format!("`{}@{major}.{minor}` in {}", self.name, self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::super::look::Machine;
    use super::*;
    use model_abi::stamp::{Stamp, StampedModel};

    /// A folder, told as `FILE MODEL@VERSION …`; a file without models is refused.
    fn folder(files: &[&str]) -> Vec<Entry> {
        let entry = |told: &&str| {
            let mut words = told.split(' ');
            let path = PathBuf::from(words.next().unwrap());
            let models: Vec<_> = words.map(|model| stamped(&model.parse().unwrap())).collect();
            let looked = if models.is_empty() { Err(Refusal::Empty) } else { Ok(looked(models)) };
            Entry { path, looked }
        };
        files.iter().map(entry).collect()
    }

    fn stamped(model: &Selector) -> StampedModel {
        StampedModel {
            qualified_name: model.name.clone(),
            display_name: String::new(),
            description: String::new(),
            major_version: model.major.unwrap(),
            minor_version: model.minor.unwrap(),
            files: Vec::new(),
        }
    }

    fn looked(models: Vec<StampedModel>) -> Looked {
        let mut stamp: Stamp = serde_json::from_str(r#"{"abi": "1.0.0"}"#).unwrap();
        stamp.models = models;
        let machine = Machine::this();
        Looked {
            stamp,
            format: "ELF",
            system: "Linux",
            machine,
            needed: vec![],
            glibc_newest: None,
        }
    }

    #[track_caller]
    fn check(files: &[&str], asked: &str, expected: &str) {
        let asked: Option<Selector> =
            Some(asked).filter(|asked| !asked.is_empty()).map(|a| a.parse().unwrap());
        let chosen = match choose(&folder(files), asked.as_ref()) {
            Ok(path) => path.display().to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(chosen, expected, "{files:?} {asked:?}");
    }

    #[test]
    fn the_newest_that_matches_is_chosen() {
        let files = ["a.so iris@0.1", "b.so iris@0.9 rose@3.0", "c.so iris@0.10", "d.so iris@1.0"];
        check(&files, "iris", "d.so");
        check(&files, "iris@0", "c.so");
        check(&files, "iris@0.9", "b.so");
        check(&files, "rose", "b.so");
        check(&["a.so iris@0.1", "b.so iris@0.2", "broken.so"], "", "b.so");
    }

    #[test]
    fn what_is_ambiguous_is_told_with_its_candidates() {
        let files = ["a.so iris@0.1", "b.so iris@0.1", "c.so iris@0.0"];
        check(&files, "iris", "several files offer it: `iris@0.1` in a.so, `iris@0.1` in b.so");
        check(&files, "iris@0.0", "c.so");
        check(
            &["a.so iris@0.1", "b.so rose@1.0"],
            "",
            "it holds several models: `iris@0.1` in a.so, `rose@1.0` in b.so",
        );
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let files = ["a.so iris@0.1", "z.so"];
        let there =
            "`iris@0.1` in a.so; refused: z.so: expected a shared library, found an empty file";
        check(&files, "rose", &format!("expected a plugin with the model `rose`, found {there}"));
        check(
            &files,
            "iris@2",
            &format!("expected a plugin with the model `iris@2`, found {there}"),
        );
        check(&[], "", "expected a plugin, found none");
        let files = ["a.so iris@0.1 rose@1.0", "b.so iris@0.2"];
        let there = "`iris@0.1` in a.so, `iris@0.2` in b.so";
        check(
            &files,
            "iris@0.3",
            &format!("expected a plugin with the model `iris@0.3`, found {there}"),
        );
        let many: Vec<String> = (0..11).map(|n| format!("{n:02}.so m{n:02}@0.0")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let error = choose(&folder(&many), Some(&"x".parse().unwrap())).unwrap_err().to_string();
        assert!(error.ends_with("`m07@0.0` in 07.so and 3 more"), "{error}");
    }

    #[test]
    fn only_what_is_named_as_a_library_counts() {
        for name in ["liba.so", "a.SO", "liba.so.1", "liba.so.1.2.3", "liba.dylib", "a.dll"] {
            assert!(is_library_name(name.as_ref()), "{name}");
        }
        for name in ["liba.a", "weights.bin", ".liba.so", "so", "a.so.txt", "a.so.", "README.md"] {
            assert!(!is_library_name(name.as_ref()), "{name}");
        }
    }

    #[test]
    fn a_link_to_a_file_of_the_folder_counts_as_that_file() {
        let folder = tempfile::TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("liba.so.1"), "x").unwrap();
        fs::write(at("elsewhere.bin"), "x").unwrap();
        std::os::unix::fs::symlink("liba.so.1", at("liba.so")).unwrap();
        std::os::unix::fs::symlink("elsewhere.bin", at("libb.so")).unwrap();
        let names: Vec<_> = scan(folder.path()).unwrap().iter().map(Entry::file_name).collect();
        assert_eq!(names, ["liba.so.1", "libb.so"]);
    }
}
