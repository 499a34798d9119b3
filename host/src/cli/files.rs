//! What each run of a command line reads and writes: one run, or, where the output is a folder, one
//! for each input.

use super::job::Job;
use crate::error::Error;
use crate::sink::publish::names;
use crate::spec::Records;
use crate::storage::location::{Location, is_stderr, is_stdout};
use crate::storage::services::Services;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

/// What one run reads and writes.
#[derive(Debug)]
pub(super) struct Files {
    /// Of each source, in the order in which they are read. Of none: the record of the command line.
    pub(super) sources: Vec<Vec<Location>>,
    /// Of each sink, where it writes to; a stream is stdout.
    pub(super) outputs: Vec<Location>,
    /// Where rejects go; a stream is stderr.
    pub(super) rejects: Location,
}

impl Files {
    /// All inputs, in the order in which they are read.
    pub(super) fn inputs(&self) -> impl Iterator<Item = &Location> {
        self.sources.iter().flatten()
    }

    /// The output that is published last; where none is, the last.
    pub(super) fn main_output(&self) -> &Location {
        let published = self.published().last();
        published.or(self.outputs.last()).expect("a pipeline has a sink")
    }

    /// The outputs that are published.
    pub(super) fn published(&self) -> impl Iterator<Item = &Location> {
        self.outputs.iter().filter(|output| match output {
            Location::Stream => false,
            Location::Local(path) => !matches!(names(path), Ok(None)),
            Location::Remote(_) => true,
        })
    }
}

/// All runs of a command line.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) runs: Vec<Files>,
    /// Whether each is one of several that go into a folder.
    pub(super) is_folder: bool,
}

/// What a pipeline asks for. Looks into folders; opens nothing.
pub(super) fn plan(job: &Job<'_>, services: &Services) -> Result<Plan, Error> {
    let sources = job.spec.sources.iter().map(|source| match &source.what.records {
        Records::One(_) => Ok(Vec::new()),
        Records::Rejects(path) => Ok(vec![services.resolve(path)?]),
        Records::Inputs(given) => expand(given, services),
    });
    let mut sources = sources.collect::<Result<Vec<_>, Error>>()?;
    let outputs = job.spec.sinks.iter().map(|sink| match sink.what.output.as_deref() {
        Some(given) if !is_stdout(Path::new(given)) => Ok(services.resolve(given)?),
        _ => Ok(Location::Stream),
    });
    let outputs = outputs.collect::<Result<Vec<_>, Error>>()?;
    let rejects = rejects(job, services)?;
    let is_database = |output: &Location| services.database(output).is_some();
    if let Some(folder) = outputs.iter().find(|output| is_folder(output) && !is_database(output)) {
        if job.is_named() {
            return Err(Error::Usage {
                message: format!("`{folder}` is a folder, and a sink writes one file"),
                hint: Some("name a file in it".to_owned()),
            });
        }
        let runs = into_folder(sources.remove(0), folder, rejects)?;
        return Ok(Plan { runs, is_folder: true });
    }
    let rejects = rejects.unwrap_or_else(|| {
        let mut files = outputs.iter().filter(|output| !is_database(output)).map(beside);
        files.rfind(|rejects| *rejects != Location::Stream).unwrap_or(Location::Stream)
    });
    Ok(Plan { runs: vec![Files { sources, outputs, rejects }], is_folder: false })
}

/// Where rejects go, where that is said.
fn rejects(job: &Job<'_>, services: &Services) -> Result<Option<Location>, Error> {
    let Some(given) = &job.spec.rejects else { return Ok(None) };
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
        let (sources, outputs) = (vec![vec![input]], vec![output]);
        runs.push(Files { sources, outputs, rejects: rejects.join(&rejects_name) });
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
pub(super) fn expand(given: &[OsString], services: &Services) -> Result<Vec<Location>, Error> {
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
