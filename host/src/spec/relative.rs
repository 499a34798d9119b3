//! What inputs are called that a pipeline's file names relative to its folder: as they are written there.
//!
//! A sample and the ids of a log go by what an input is called. So it is the same wherever the file is run
//! from, and however its path is spelled.

use crate::storage::location::{Location, Remote};
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

/// Those of a source.
#[derive(Clone, Debug, Default)]
pub struct Relative {
    folder: PathBuf,
    /// Files, folders and globs, with the folder before them.
    inputs: Vec<PathBuf>,
}

impl Relative {
    /// Of inputs, each as it stands in the file and with the folder before it.
    pub fn new<'a>(folder: &Path, inputs: impl Iterator<Item = (&'a str, &'a OsStr)>) -> Self {
        let inputs = inputs.filter(|(text, _)| is_relative(text));
        let inputs = inputs.map(|(_, located)| {
            let sqlite = located.to_str().and_then(|text| text.strip_prefix("sqlite:"));
            plain(sqlite.map_or(Path::new(located), Path::new))
        });
        Relative { folder: plain(folder), inputs: inputs.collect() }
    }

    /// What an input is called, which may be one of those in a folder, or that match a glob.
    pub fn name_of(&self, location: &Location) -> String {
        let (before, path) = match location {
            Location::Local(path) => ("", plain(path)),
            Location::Remote(remote) if remote.scheme() == "sqlite" => {
                ("sqlite://", plain(Path::new(remote.rest())))
            }
            _ => return location.to_string(),
        };
        let is_glob_of = |input: &Path| {
            let glob = input.to_str().and_then(|text| glob::Pattern::new(text).ok());
            glob.is_some_and(|glob| glob.matches_path(&path))
        };
        let is_of = |input: &PathBuf| path.starts_with(input) || is_glob_of(input);
        match path.strip_prefix(&self.folder) {
            Ok(name) if self.inputs.iter().any(is_of) => format!("{before}{}", name.display()),
            _ => location.to_string(),
        }
    }
}

/// Whether a text names what is relative to the folder.
fn is_relative(text: &str) -> bool {
    match Remote::of(text) {
        None => text != "-" && Path::new(text).is_relative(),
        Some(remote) => remote.scheme() == "sqlite" && Path::new(remote.rest()).is_relative(),
    }
}

/// A path without what is of no use in it: `./`, and `//` for `/`.
pub(super) fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Records;
    use crate::spec::file::{Settings, parse};

    /// What the inputs of a source are called whose file is in this folder.
    fn names(folder: &str, path: &str, locations: &[&str]) -> Vec<String> {
        let text = format!("[sources.a]\npath={path}\n[sinks.o]\nfrom='a'\npath='o'\n");
        let settings = Settings { set: Default::default(), variables: &|_| None };
        let spec = parse(&text, Path::new(folder), &settings).unwrap();
        let source = &spec.sources[0].what;
        let Records::Inputs(inputs) = &source.records else { panic!() };
        let located = locations.iter().map(|it| Location::of(it.as_ref()));
        let given = inputs.iter().map(|it| Location::of(it));
        given.chain(located).map(|it| source.relative.name_of(&it)).collect()
    }

    #[test]
    fn an_input_is_called_as_it_is_written_however_its_pipeline_is() {
        let texts = "['in/a.csv', './b.csv', '../c.csv', '/d.csv', 's3://e/f', 'sqlite:g.db', '-']";
        let expected =
            ["in/a.csv", "b.csv", "../c.csv", "/d.csv", "s3://e/f", "sqlite://g.db", "-"];
        for folder in ["", ".", "sub", "./sub", "sub//dir/.", "/w/sub", "../x"] {
            assert_eq!(names(folder, texts, &[]), expected, "{folder}");
        }
    }

    #[test]
    fn what_is_in_a_folder_or_matches_a_glob_is_called_relative_too() {
        assert_eq!(names("sub", "'./in'", &["sub/./in/x.csv"])[1], "in/x.csv");
        assert_eq!(names("./sub", "'*.csv'", &["sub/x.csv"])[1], "x.csv");
        assert_eq!(names("", "'./*.csv'", &["x.csv"])[1], "x.csv");
        assert_eq!(names("/w", "'.'", &["/w/x.csv"])[1], "x.csv");
    }

    #[test]
    fn what_is_written_whole_is_called_so_even_if_it_is_in_the_folder() {
        let paths = "['a.csv', '/w/b.csv', '/w/c', 'lake://x']";
        let names = names("/w", paths, &["/w/c/d.csv", "/w/lake/x", "sqlite:/w/e.db"]);
        let expected = ["/w/c/d.csv", "/w/lake/x", "sqlite:///w/e.db"];
        assert_eq!(names[..4], ["a.csv", "/w/b.csv", "/w/c", "lake://x"]);
        assert_eq!(names[4..], expected);
    }
}
