//! `etl-host new NAME`: writes the crate of a plugin, which builds, passes its tests and predicts as
//! it stands.
//!
//! The files lie in `new/template/` as they are written, but for `{{…}}` in three of them; names
//! ending in `.in` keep cargo and git from taking them for their own. No file is ever written over,
//! and what was begun is removed when it can't be finished.

mod name;

use super::{print, say, shown};
use crate::error::{Error, exit};
use crate::shell::quoted;
use crate::storage::disk::HoldError;
use clap::Args;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Write the crate of a new plugin: a small model that works, to be replaced by yours
///
/// It is made in the new folder NAME, with tests, examples and a README that says what to change
/// first. The commands that come next are printed.
///
/// The crate depends on model-abi, which is on no registry: it lies in etl-host's sources.
#[derive(Args, Debug)]
pub(super) struct NewArgs {
    /// The name of the crate, its folder and its model: lower-case letters, digits, `_` and `-`
    name: String,

    /// Make the folder NAME in this one
    #[arg(long, value_name = "DIR", default_value = ".")]
    path: PathBuf,

    /// Depend on the crate model-abi in this folder [default: where this etl-host was built]
    #[arg(long, value_name = "DIR")]
    model_abi: Option<PathBuf>,
}

/// Where model-abi was when this binary was built; a binary that was copied may not find it there.
const BUILT_WITH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../model-abi");

/// The files of a new crate, `{{…}}` not yet filled in.
const TEMPLATE: [(&str, &str); 6] = [
    ("Cargo.toml", include_str!("new/template/Cargo.toml.in")),
    (".gitignore", include_str!("new/template/gitignore.in")),
    ("README.md", include_str!("new/template/README.md.in")),
    ("src/lib.rs", include_str!("new/template/src/lib.rs")),
    ("data/weights.json", include_str!("new/template/data/weights.json")),
    ("data/flats.ldjson", include_str!("new/template/data/flats.ldjson")),
];

/// A record that the template's model has an answer for.
const RECORD: &str = r#"{"area_m2": 60, "rooms": 2, "centre_km": 4}"#;

pub(super) fn new(args: &NewArgs) -> Result<u8, Error> {
    name::check(&args.name)?;
    let model_abi = model_abi(args.model_abi.as_deref(), BUILT_WITH.as_ref())?;
    let library = format!("{DLL_PREFIX}{}{DLL_SUFFIX}", args.name.replace('-', "_"));
    let values = [
        ("{{name}}", args.name.as_str()),
        ("{{library}}", &library),
        ("{{model_abi}}", &model_abi),
    ];
    let files = TEMPLATE.map(|(path, text)| {
        let filled =
            values.iter().fold(text.to_owned(), |text, (key, value)| text.replace(key, value));
        (path, filled)
    });
    let folder = args.path.join(&args.name);
    write(&folder, &files)?;
    // The crate is there, whoever may read what to do with it.
    let told = print(&shown(&what_is_next(&folder, &library)));
    told.inspect_err(|_| say(&format!("made {}, but can't say what is next\n", folder.display())))?;
    Ok(exit::OK)
}

fn what_is_next(folder: &Path, library: &str) -> String {
    let folder = folder.strip_prefix(".").unwrap_or(folder).display().to_string();
    let files: String = TEMPLATE.iter().map(|(path, _)| format!("  {path}\n")).collect();
    // A shell would take it for a flag.
    let dash = if folder.starts_with('-') { "./" } else { "" };
    let cd = quoted(&format!("{dash}{folder}"));
    format!(
        "made {folder}:\n{files}\nnext:\n  cd {cd}\n  cargo test\n  cargo build --release\n  \
         etl-host check target/release/{library}\n  \
         etl-host --plugin target/release/{library} --record '{RECORD}'\n"
    )
}

/// The folder of the crate model-abi, as a string of TOML.
///
/// There is no version to fall back on: cargo would look for it on a registry, where the name is
/// anybody's to take.
fn model_abi(given: Option<&Path>, built_with: &Path) -> Result<String, Error> {
    let sources = "the folder model-abi in the sources of etl-host";
    let refused = |message: String| {
        let hint = format!("say where it is: --model-abi DIR, {sources}");
        Err(Error::Usage { message, hint: Some(hint) })
    };
    let folder = given.unwrap_or(built_with);
    if !is_model_abi(folder) {
        return refused(match given {
            Some(folder) => format!("`{}` is not the crate model-abi", folder.display()),
            None => "the crate model-abi is no longer where this etl-host was built with it".into(),
        });
    }
    let absolute = folder.canonicalize().ok();
    match absolute.as_deref().and_then(Path::to_str) {
        Some(path) => Ok(toml_string(path)),
        None => refused(format!("`{}` can't be named in a Cargo.toml", folder.display())),
    }
}

fn is_model_abi(folder: &Path) -> bool {
    let manifest = fs::read_to_string(folder.join("Cargo.toml"));
    manifest.is_ok_and(|text| text.lines().any(|line| line == "name = \"model-abi\""))
}

fn toml_string(text: &str) -> String {
    let mut string = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => string.extend(['\\', c]),
            c if c.is_control() => string += &format!("\\u{:04X}", u32::from(c)),
            c => string.push(c),
        }
    }
    string + "\""
}

/// Makes the folder, or takes an empty one, and writes the files into it: all or none.
fn write(folder: &Path, files: &[(&str, String)]) -> Result<(), Error> {
    if folder.symlink_metadata().is_ok() {
        let entries = fs::read_dir(folder);
        if !entries.is_ok_and(|mut entries| entries.next().is_none()) {
            return Err(Error::Usage {
                message: format!("`{}` is there already", folder.display()),
                hint: Some("choose another name, or another folder with --path".to_owned()),
            });
        }
    }
    let mut made = Made::default();
    made.crate_at(folder, files).inspect_err(|_| made.remove())
}

/// What was made so far, in the order of its making.
#[derive(Default)]
struct Made {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Made {
    fn crate_at(&mut self, folder: &Path, files: &[(&str, String)]) -> Result<(), Error> {
        self.folder(folder)?;
        for (path, text) in files {
            let path = folder.join(path);
            self.folder(path.parent().expect("it lies in the folder"))?;
            self.file(&path, text)?;
        }
        Ok(())
    }

    fn folder(&mut self, path: &Path) -> Result<(), Error> {
        if path.is_dir() {
            return Ok(());
        }
        fs::create_dir(path).map_err(|source| failed("can't make the folder", path, source))?;
        self.folders.push(path.to_owned());
        Ok(())
    }

    fn file(&mut self, path: &Path, text: &str) -> Result<(), Error> {
        let failed = |source| failed("can't write", path, source);
        let mut file = File::create_new(path).map_err(failed)?;
        self.files.push(path.to_owned());
        file.write_all(text.as_bytes()).map_err(failed)
    }

    /// Only what was made here: a file that somebody puts there meanwhile stays, and so does its
    /// folder.
    fn remove(&self) {
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
        for folder in self.folders.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> Error {
    let source = HoldError::Io { action, path: path.to_owned(), source }.into();
    Error::Output { what: "the crate's file", path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn named(paths: &[&'static str]) -> Vec<(&'static str, String)> {
        paths.iter().map(|path| (*path, "text".to_owned())).collect()
    }

    #[test]
    fn what_cannot_be_finished_is_removed_and_nothing_else() {
        let temp = TempDir::new().unwrap();
        let broken = named(&["a", "sub/b", "a/c"]);
        let folder = temp.path().join("new");
        write(&folder, &broken).unwrap_err();
        assert!(!folder.exists());
        fs::create_dir(&folder).unwrap();
        write(&folder, &broken).unwrap_err();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "an empty folder stays, and empty");
        write(&folder, &named(&["a", "sub/b"])).unwrap();
        assert_eq!(fs::read_to_string(folder.join("sub/b")).unwrap(), "text");
        let again = write(&folder, &named(&["c"])).unwrap_err();
        assert!(again.to_string().ends_with("is there already"), "{again}");
        assert!(!folder.join("c").exists());
    }

    #[test]
    fn a_file_that_appears_meanwhile_is_not_written_over() {
        let temp = TempDir::new().unwrap();
        fs::write(temp.path().join("b"), "theirs").unwrap();
        let mut made = Made::default();
        made.crate_at(temp.path(), &named(&["a", "b"])).unwrap_err();
        made.remove();
        assert_eq!(fs::read_to_string(temp.path().join("b")).unwrap(), "theirs");
        assert!(!temp.path().join("a").exists());
    }

    #[test]
    fn without_the_sources_that_it_was_built_with_the_flag_is_asked_for() {
        let here = Path::new(BUILT_WITH);
        let gone = Path::new("/nowhere/model-abi");
        let found = here.canonicalize().unwrap();
        assert_eq!(model_abi(None, here).unwrap(), format!("{found:?}"));
        assert_eq!(model_abi(Some(here), gone).unwrap(), format!("{found:?}"));
        for (given, message) in [
            (None, "error: the crate model-abi is no longer where this etl-host was built with it"),
            (Some(gone), "error: `/nowhere/model-abi` is not the crate model-abi"),
            (here.parent(), "/..` is not the crate model-abi"),
        ] {
            let report = model_abi(given, gone).unwrap_err().report();
            assert!(report.contains(message), "{report}");
            assert!(report.contains("hint: say where it is: --model-abi DIR"), "{report}");
        }
    }

    #[test]
    fn a_path_is_written_so_that_toml_reads_it_back() {
        assert_eq!(toml_string("/a b/\"c\\d\n"), r#""/a b/\"c\\d\u000A""#);
    }

    #[test]
    fn a_placeholder_without_a_value_would_be_noticed() {
        let known = ["{{name}}", "{{library}}", "{{model_abi}}"];
        for (path, text) in TEMPLATE {
            let rest = known.iter().fold(text.to_owned(), |text, key| text.replace(key, ""));
            assert!(!rest.contains("{{"), "{path}");
        }
    }
}
