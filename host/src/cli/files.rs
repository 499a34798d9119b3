//! What each run of a command line reads and writes: one run, or, where the output is a folder, one
//! for each input.

use super::args::{JobArgs, Records, Task};
use super::paths::{is_stderr, is_stdout};
use crate::error::Error;
use crate::sink::publish::names;
use crate::storage::location::Location;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

/// What one run reads and writes.
#[derive(Debug)]
pub(super) struct Files {
    /// In the order in which they are read. Empty: the record of the command line.
    pub(super) inputs: Vec<Location>,
    /// Where predictions go; a stream is stdout.
    pub(super) output: Location,
    /// Where rejects go; a stream is stderr.
    pub(super) rejects: Location,
}

impl Files {
    /// The file that is published.
    pub(super) fn output_file(&self) -> Option<&Path> {
        self.output.local().filter(|path| !matches!(names(path), Ok(None)))
    }
}

/// All runs of a command line.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) runs: Vec<Files>,
    /// Whether each is one of several that go into a folder.
    pub(super) is_folder: bool,
}

/// What a command line asks for. Looks into folders; opens nothing.
pub(super) fn plan(task: Task<'_>) -> Result<Plan, Error> {
    let inputs = match task.records {
        Records::One(_) => Vec::new(),
        Records::Rejects(path) => vec![Location::of(path)],
        Records::Inputs(given) => expand(given)?,
    };
    let output = output(task.job);
    let Some(folder) = output.local().filter(|path| is_folder(path)).map(Path::to_owned) else {
        let rejects = rejects(task.job, &output);
        return Ok(Plan { runs: vec![Files { inputs, output, rejects }], is_folder: false });
    };
    let runs = into_folder(inputs, &folder, task.job.rejects.as_deref())?;
    Ok(Plan { runs, is_folder: true })
}

/// Where predictions go.
fn output(job: &JobArgs) -> Location {
    let given = job.output.as_deref().filter(|path| !is_stdout(Path::new(path)));
    given.map_or(Location::Stream, Location::of)
}

/// Where rejects go.
fn rejects(job: &JobArgs, output: &Location) -> Location {
    match (&job.rejects, output) {
        (Some(given), _) if is_stderr(Path::new(given)) => Location::Stream,
        (Some(given), _) => Location::of(given),
        // Beside a device there is no place for a file.
        (None, Location::Local(path)) if path.metadata().map_or(true, |it| it.is_file()) => {
            Location::Local(beside(path))
        }
        (None, _) => Location::Stream,
    }
}

fn beside(output: &Path) -> PathBuf {
    let mut path = output.as_os_str().to_owned();
    path.push(".rejects.ldjson");
    path.into()
}

fn is_folder(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/") || path.is_dir()
}

/// One run for each input.
fn into_folder(
    inputs: Vec<Location>,
    folder: &Path,
    rejects: Option<&OsStr>,
) -> Result<Vec<Files>, Error> {
    let rejects = rejects.map_or(folder, Path::new);
    if !is_folder(rejects) {
        return Err(Error::Usage {
            message: format!(
                "the output is a folder, and the rejects file `{}` is none",
                rejects.display()
            ),
            hint: Some("each output has its own rejects: name a folder, or none".to_owned()),
        });
    }
    if inputs.is_empty() {
        return Err(nameless("a record that is given by --record"));
    }
    let mut names = HashSet::new();
    let mut runs = Vec::with_capacity(inputs.len());
    for input in inputs {
        let Some(name) = input.local().and_then(Path::file_name).map(OsStr::to_owned) else {
            return Err(nameless("what is read from stdin"));
        };
        let output = folder.join(&name);
        if !names.insert(name) {
            return Err(Error::Usage {
                message: format!("two inputs would be written to `{}`", output.display()),
                hint: Some("give inputs of the same name folders of their own".to_owned()),
            });
        }
        let rejects = Location::Local(rejects.join(beside(&output).file_name().expect("it has")));
        runs.push(Files { inputs: vec![input], output: Location::Local(output), rejects });
    }
    Ok(runs)
}

fn nameless(what: &str) -> Error {
    Error::Usage {
        message: format!("the output is a folder, and {what} has no name"),
        hint: Some("name a file: --output FILE".to_owned()),
    }
}

/// The inputs that were given, folders and globs replaced by their files.
fn expand(given: &[OsString]) -> Result<Vec<Location>, Error> {
    let mut inputs = Vec::new();
    for text in given {
        match Location::of(text) {
            Location::Local(path) if path.is_dir() => inputs.extend(files_of(&path)?),
            Location::Local(path) if !path.exists() && is_glob(text) => {
                inputs.extend(matches_of(&path)?);
            }
            location => inputs.push(location),
        }
    }
    let mut seen = HashSet::new();
    for input in &inputs {
        let whole = input.local().and_then(|path| path.canonicalize().ok());
        if !seen.insert(whole.map_or_else(|| input.to_string(), |path| path.display().to_string()))
        {
            return Err(Error::usage(format!("`{input}` would be read twice")));
        }
    }
    Ok(inputs)
}

/// The files of a folder, sorted by name. Without what is hidden, or only marks something (`_SUCCESS`).
fn files_of(folder: &Path) -> Result<Vec<Location>, Error> {
    let failed = |source| Error::Input { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in folder.read_dir().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if !begins_with(&name, '.') && !begins_with(&name, '_') && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    some(files, folder, "there is no file in it")
}

fn begins_with(name: &OsStr, first: char) -> bool {
    name.as_encoded_bytes().first() == Some(&(first as u8))
}

fn is_glob(text: &OsStr) -> bool {
    text.to_str().is_some_and(|text| text.contains(['*', '?', '[']))
}

/// The files that match, sorted. As in a folder, what is hidden or only marks something is left out,
/// unless the pattern says so.
fn matches_of(pattern: &Path) -> Result<Vec<Location>, Error> {
    let text = pattern.to_str().expect("globs are looked for in UTF-8 only");
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..Default::default() };
    let found = glob::glob_with(text, options)
        .map_err(|error| Error::usage(format!("`{text}` is no glob: {error}")))?;
    let mut files = Vec::new();
    for path in found {
        let path = path.map_err(|error| Error::Input {
            path: error.path().to_owned(),
            source: io::Error::from(error.error().kind()),
        })?;
        let marks = |path: &Path| begins_with(path.file_name().unwrap_or_default(), '_');
        if path.is_file() && (!marks(&path) || marks(pattern)) {
            files.push(path);
        }
    }
    files.sort();
    some(files, pattern, "no file matches")
}

fn some(files: Vec<PathBuf>, of: &Path, none: &str) -> Result<Vec<Location>, Error> {
    if files.is_empty() {
        let source = io::Error::new(io::ErrorKind::NotFound, none);
        return Err(Error::Input { path: of.to_owned(), source });
    }
    Ok(files.into_iter().map(Location::Local).collect())
}
