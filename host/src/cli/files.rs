//! What each run of a command line reads and writes: one run, or, where the output is a folder, one
//! for each input.

use super::args::{JobArgs, Records, Task};
use super::paths::{is_stderr, is_stdout};
use crate::error::Error;
use crate::sink::publish::names;
use crate::storage::location::Location;
use crate::storage::services::Services;
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
    /// The output, where it is one that is published.
    pub(super) fn published(&self) -> Option<&Location> {
        let is_published = match &self.output {
            Location::Stream => false,
            Location::Local(path) => !matches!(names(path), Ok(None)),
            Location::Remote(_) => true,
        };
        is_published.then_some(&self.output)
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
pub(super) fn plan(task: Task<'_>, services: &Services) -> Result<Plan, Error> {
    let inputs = match task.records {
        Records::One(_) => Vec::new(),
        Records::Rejects(path) => vec![services.resolve(path)?],
        Records::Inputs(given) => expand(given, services)?,
    };
    let output = output(task.job, services)?;
    let is_database = services.database(&output).is_some();
    if is_folder(&output) && !is_database {
        let runs = into_folder(inputs, &output, rejects(task.job, services)?)?;
        return Ok(Plan { runs, is_folder: true });
    }
    let rejects = rejects(task.job, services)?;
    let rejects = match rejects {
        Some(rejects) => rejects,
        None if is_database => Location::Stream,
        None => beside(&output),
    };
    Ok(Plan { runs: vec![Files { inputs, output, rejects }], is_folder: false })
}

/// Where predictions go.
fn output(job: &JobArgs, services: &Services) -> Result<Location, Error> {
    let given = job.output.as_deref().filter(|path| !is_stdout(Path::new(path)));
    Ok(given.map(|given| services.resolve(given)).transpose()?.unwrap_or(Location::Stream))
}

/// Where rejects go, where that is said.
fn rejects(job: &JobArgs, services: &Services) -> Result<Option<Location>, Error> {
    let Some(given) = &job.rejects else { return Ok(None) };
    if is_stderr(Path::new(given)) {
        return Ok(Some(Location::Stream));
    }
    Ok(Some(services.resolve(given)?))
}

/// Where rejects go, where nobody says so.
fn beside(output: &Location) -> Location {
    match output {
        // Beside a device there is no place for a file.
        Location::Local(path) if path.metadata().map_or(true, |it| it.is_file()) => {
            let mut path = path.as_os_str().to_owned();
            path.push(REJECTS_ENDING);
            Location::Local(path.into())
        }
        Location::Remote(remote) if remote.name().is_some() => {
            Location::Remote(remote.followed_by(REJECTS_ENDING))
        }
        Location::Local(_) | Location::Remote(_) | Location::Stream => Location::Stream,
    }
}

const REJECTS_ENDING: &str = ".rejects.ldjson";

fn is_folder(location: &Location) -> bool {
    match location {
        Location::Stream => false,
        Location::Local(path) => {
            path.as_os_str().as_encoded_bytes().ends_with(b"/") || path.is_dir()
        }
        Location::Remote(remote) => remote.is_folder(),
    }
}

/// One run for each input.
fn into_folder(
    inputs: Vec<Location>,
    folder: &Location,
    rejects: Option<Location>,
) -> Result<Vec<Files>, Error> {
    let rejects = rejects.as_ref().unwrap_or(folder);
    if !is_folder(rejects) {
        // As it is called on the command line.
        let shown = match rejects {
            Location::Stream => "/dev/stderr".to_owned(),
            named => named.to_string(),
        };
        return Err(Error::Usage {
            message: format!("the output is a folder, and the rejects file `{shown}` is none"),
            hint: Some("each output has its own rejects: name a folder, or none".to_owned()),
        });
    }
    if inputs.is_empty() {
        return Err(nameless("a record that is given by --record"));
    }
    let mut names = HashSet::new();
    let mut runs = Vec::with_capacity(inputs.len());
    for input in inputs {
        let Some(name) = input.name().map(OsStr::to_owned) else {
            return Err(nameless(match input {
                Location::Stream => "what is read from stdin",
                _ => "one of the inputs",
            }));
        };
        let output = folder.join(&name);
        let mut rejects_name = name.clone();
        rejects_name.push(REJECTS_ENDING);
        if !names.insert(name) {
            return Err(Error::Usage {
                message: format!("two inputs would be written to `{output}`"),
                hint: Some("give inputs of the same name folders of their own".to_owned()),
            });
        }
        runs.push(Files { inputs: vec![input], output, rejects: rejects.join(&rejects_name) });
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
fn expand(given: &[OsString], services: &Services) -> Result<Vec<Location>, Error> {
    let mut inputs = Vec::new();
    for text in given {
        match services.resolve(text)? {
            Location::Local(path) if path.is_dir() => inputs.extend(files_of(&path)?),
            Location::Local(path) if !path.exists() && is_glob(path.as_os_str()) => {
                inputs.extend(matches_of(&path)?);
            }
            location => {
                let named = services
                    .list(&location)
                    .map_err(|source| Error::Input { path: location.to_string().into(), source })?;
                inputs.extend(named.unwrap_or_else(|| vec![location]));
            }
        }
    }
    let mut seen = HashSet::new();
    for input in &inputs {
        let whole = input.local().and_then(|path| path.canonicalize().ok());
        let whole = whole.map(|path| path.display().to_string());
        let identity = whole.or_else(|| services.identity(input));
        if !seen.insert(identity.unwrap_or_else(|| input.to_string())) {
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
