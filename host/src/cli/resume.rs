//! `--resume` and `--state`: which job it is that may be interrupted, and what is left of it.

use super::args::{Records, Task};
use super::files::Files;
use crate::error::Error;
use crate::format::Compression;
use crate::journal::{
    self, Checkpoint, Header, Identity, InputFile, Journal, JournalError, Left, place,
};
use crate::plugin::LoadedModel;
use crate::sink::publish::{self, Names, OpenError, Output};
use crate::storage::disk::Local;
use crate::storage::location::{Location, Remote};
use crate::storage::services::Services;
use crate::storage::upload::{Sent, Upload};
use crate::summary;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;

/// The files of a job that can be resumed.
pub(super) struct Resumable {
    journal: PathBuf,
    /// The journal's name beside the output: a link, where the journal is not there. Beside an object
    /// there is no place for one.
    beside: Option<PathBuf>,
    /// What `status` is to be asked about.
    subject: PathBuf,
    /// Of the rejects and of the output.
    pub(super) names: Vec<Names>,
}

/// What the command line asks for; `None`: a job that is not to be resumed. `is_folder`: it is one of
/// several whose outputs lie in a folder.
pub(super) fn wanted(
    task: Task<'_>,
    files: &Files,
    services: &Services,
    is_folder: bool,
) -> Result<Option<Resumable>, Error> {
    let job = task.job;
    if !job.resume && job.state.is_none() {
        return Ok(None);
    }
    let refused = |message: &str, hint: &str| Error::Usage {
        message: format!("a run can be resumed only where {message}"),
        hint: Some(hint.to_owned()),
    };
    let is_pipe = |path: &Path| path.metadata().is_ok_and(|metadata| !metadata.is_file());
    let is_file = |location: &Location| location.local().is_some_and(|path| !is_pipe(path));
    let is_remote = |location: &Location| matches!(location, Location::Remote(_));
    let is_lasting = |location: &Location| is_file(location) || is_remote(location);
    if files.inputs.is_empty() || !files.inputs.iter().all(is_lasting) {
        return Err(refused("its input is a file", "write the records to a file first"));
    }
    for location in [&files.output, &files.rejects] {
        let Location::Remote(remote) = location else { continue };
        if services.database(location).is_some() {
            let hint = "run it without --resume and --state, or write to a file and copy that";
            return Err(refused("its outputs are files or objects", hint));
        }
        if job.state.is_none() {
            let hint = "beside an object there is no place for it, so name a folder: --state DIR";
            return Err(refused("its journal is a file of this machine", hint));
        }
        // By this name it is found again.
        if remote.to_string() != remote.whole() {
            let condition = format!("all of a name may be shown, which is not so of `{remote}`");
            return Err(refused(&condition, "a key without `?` and `@` does"));
        }
    }
    let format = job.formats.of_output(&files.output);
    if !format.can_resume_output() {
        let condition = format!("its output can be written on, which {} can't", format.name());
        return Err(refused(&condition, "write LDJSON, or run without --resume and --state"));
    }
    // Where the bytes of objects wait: one name for each of the runs that share the folder.
    let folder = job.state.as_deref().map(whole).unwrap_or_default();
    let name = files.output.name().unwrap_or_default().to_owned();
    let names = |location: &Location, what, flag, ending| {
        if let Location::Remote(remote) = location {
            let mut name = name.clone();
            name.push(ending);
            return Ok(Names::elsewhere(remote.to_string(), folder.join(name)));
        }
        let named = location.local().map(publish::names).transpose();
        let path = location.to_string().into();
        let named = named.map_err(|source| Error::Output { what, path, source })?;
        named.flatten().ok_or_else(|| refused(&format!("{what} is a file"), flag))
    };
    let output = names(&files.output, "the output", "name one: --output FILE", "")?;
    let flag = "name one: --rejects FILE";
    let rejects = names(&files.rejects, "the rejects file", flag, ".etl-host-rejects")?;
    let is_here = output.elsewhere.is_none();
    let beside = is_here.then(|| place::path_beside(&output.path));
    if is_here {
        place::remove_stale_link(&output.path);
    }
    let journal = match &job.state {
        Some(folder) if is_folder => place::path_among(&whole(folder), &output.path),
        Some(folder) => place::path_in(&whole(folder)),
        None => place::path_of(&output.path),
    };
    let inputs = files.inputs.iter().filter_map(Location::local);
    let paths = [&*journal, &rejects.path, &output.path].into_iter().chain(inputs);
    if paths.map(whole).any(|path| path.to_str().is_none()) {
        return Err(refused("the names of its files are UTF-8", "rename them, or their folder"));
    }
    let subject = match &job.state {
        Some(folder) if !is_folder => folder.clone(),
        _ if !is_here => journal.clone(),
        _ => output.given.clone(),
    };
    Ok(Some(Resumable { journal, beside, subject, names: vec![rejects, output] }))
}

/// Refuses to write over what an interrupted run of `--resume` left of this output.
pub(super) fn refuse_left(files: &Files) -> Result<(), Error> {
    let Some(Ok(Some(output))) = files.output.local().map(publish::names) else { return Ok(()) };
    place::remove_stale_link(&output.path);
    let journal = place::path_of(&output.path);
    let refused = match publish::folder_of(&journal).is_dir() || !has_link(&output.path) {
        true => Journal::refuse_left(&Local, &journal),
        false => Err(JournalError::Elsewhere(journal)),
    };
    refused.map_err(|source| Error::Journal { subject: output.given.clone(), source })?;
    place::remove_stale_link(&output.path);
    Ok(())
}

fn has_link(output: &Path) -> bool {
    place::path_beside(output).is_symlink()
}

impl Resumable {
    /// Opens the journal, and says what is left of a run of the same job.
    pub(super) fn open(&self, header: Header) -> Result<(Journal, Left), Error> {
        let failed = |source| self.error(source);
        let folder = publish::folder_of(&self.journal);
        let io_error = |source| failed(JournalError::Io { path: folder.clone(), source });
        let beside = self.beside.as_ref().filter(|beside| **beside != self.journal);
        if let Some(beside) = beside {
            self.check_no_other(beside)?;
        }
        if beside.is_some() || self.beside.is_none() {
            std::fs::create_dir_all(&folder).map_err(io_error)?;
        }
        let names = self.names.clone();
        let opened = Journal::open(Arc::new(Local), self.journal.clone(), header, names);
        let opened = opened.map_err(failed)?;
        if let Some(beside) = beside.filter(|beside| !beside.is_symlink()) {
            symlink(&self.journal, beside).map_err(io_error)?;
        }
        Ok(opened)
    }

    /// Refuses where the output has a journal that is not the one of this command.
    fn check_no_other(&self, beside: &Path) -> Result<(), Error> {
        let other = match std::fs::read_link(beside) {
            Ok(there) if there == self.journal => return Ok(()),
            Ok(there) => Err(JournalError::Elsewhere(there)),
            Err(_) => Journal::refuse_left(&Local, beside),
        };
        other.map_err(|source| Error::Journal { subject: self.names[1].given.clone(), source })
    }

    /// To be called when the run has ended: where there is no journal any more, none leads to it.
    pub(super) fn clear_up(&self) {
        if self.beside.is_some() {
            place::remove_stale_link(&self.names[1].path);
        }
    }

    pub(super) fn error(&self, source: JournalError) -> Error {
        Error::Journal { subject: self.subject.clone(), source }
    }

    /// The rejects and the output, as far as they were written.
    pub(super) fn outputs(&self, left: &Left, services: &Services) -> Result<[Output; 2], Error> {
        let open = |i: usize, what| {
            let names = self.names[i].clone();
            let path = names.given.clone();
            let elsewhere = names.elsewhere.clone();
            let opened = match &left.checkpoint {
                Some(Checkpoint { lengths, numbers, .. }) if lengths[i] > 0 => {
                    Output::go_on(Arc::new(Local), names, numbers[i], lengths[i])
                }
                _ => Output::begin(Arc::new(Local), names),
            };
            let opened = opened.and_then(|output| {
                let Some(at) = elsewhere else { return Ok(output) };
                let upload = upload(services, &at, left.sent.get(i).cloned().flatten());
                // Who may not write is told now, and not after hours of work.
                let upload = upload.and_then(|upload| upload.found().map(|_| upload));
                upload.map(|upload| output.sent_by(upload)).map_err(OpenError::Remote)
            });
            opened.map_err(|source| match source {
                OpenError::Short { .. } | OpenError::Replaced(_) => self.error(source.into()),
                source => Error::Output { what, path, source },
            })
        };
        let output = open(1, "the output")?;
        Ok([open(0, "the rejects file")?, output])
    }
}

/// Goes on with what was sent to a location, by the name that a journal has for it.
pub(super) fn upload(
    services: &Services,
    at: &str,
    sent: Option<Sent>,
) -> io::Result<Box<dyn Upload>> {
    let remote = Remote::of(at).ok_or(io::ErrorKind::InvalidInput)?;
    services.upload(&remote, sent)
}

/// All that shapes the bytes of the outputs, and where its files are.
pub(super) fn header(
    (task, files, services): (Task<'_>, &Files, &Services),
    resumable: &Resumable,
    (plugin, plugin_sha256): (&Path, &str),
    model: &LoadedModel,
    config: &str,
    inputs: Vec<InputFile>,
    started: String,
) -> Header {
    let job = task.job;
    let outputs = resumable.names.iter().map(|names| match names.elsewhere {
        Some(_) => names.clone(),
        None => Names::here(whole(&names.given), whole(&names.path)),
    });
    let outputs: Vec<Names> = outputs.collect();
    // A rejects file is another input where its records are meant.
    let input_name = match task.records {
        Records::Rejects(_) => "REJECTS",
        Records::Inputs(_) | Records::One(_) => "--input",
    };
    let shown = |path: &Path| path.display().to_string();
    // The same name may be another object at another server.
    let place = |location: &Location, names: &Names| {
        services.identity(location).map_or_else(|| shown(names.shown()), |it| it.replace('\n', " "))
    };
    let names = files.inputs.iter().map(Location::to_string).collect();
    let versions = inputs.iter().map(|input| input.version.clone()).collect();
    let paths = inputs.iter().map(|input| shown(&input.path)).collect();
    let description = model.description();
    let compression = job.formats.compression_of_output(&files.output);
    let identity = [
        (journal::HOST, env!("CARGO_PKG_VERSION").to_owned()),
        (journal::PLUGIN, plugin_sha256.to_owned()),
        ("the model", format!("{}@{}", description.qualified_name, description.version())),
        ("the model's fingerprint", model.report().fingerprint.clone().unwrap_or_default()),
        // Not the config itself, which may hold what is not to lie on a disk.
        ("the SHA-256 of the config", summary::sha256_of(normal(config).as_bytes())),
        (input_name, together(names)),
        ("the input's size and time", together(versions)),
        ("the input's path", together(paths)),
        ("--output", place(&files.output, &outputs[1])),
        ("--rejects", place(&files.rejects, &outputs[0])),
        ("the output's compression", compression.map_or("none", Compression::name).to_owned()),
        ("--emit", format!("{:?}", job.emit).to_lowercase()),
        ("--keep", format!("{:?}", job.keep)),
        ("--place", job.place.to_string()),
        ("--validate-output", job.validate_output.to_string()),
        ("--line-bytes-max", job.line_bytes_max.to_string()),
    ];
    let formats = job.formats.identity(&files.inputs, &files.output);
    let identity = identity.into_iter().chain(formats);
    let identity = identity.map(|(name, value)| (name.to_owned(), value)).collect();
    let others = [("plugin", whole(plugin)), ("working folder", whole(Path::new(".")))];
    let others: BTreeMap<_, _> = others.map(|(name, path)| (name.to_owned(), path)).into();
    Header::new(Identity(identity), outputs, inputs, others, started)
}

/// A text that differs where one of these does. Of many it tells how many, so that who reads what
/// differs is not lost in thousands of names.
fn together(texts: Vec<String>) -> String {
    if texts.len() <= FEW {
        return texts.join(", ");
    }
    let digest = summary::sha256_of(&serde_json::to_vec(&texts).expect("they are texts"));
    format!("{} of them, SHA-256 {digest}", texts.len())
}

const FEW: usize = 4;

/// The same JSON, however it was written.
fn normal(json: &str) -> String {
    serde_json::from_str::<Value>(json).map_or_else(|_| json.to_owned(), |value| value.to_string())
}

/// The same file, named so that it is found from any folder.
pub(super) fn whole(path: &Path) -> PathBuf {
    absolute(path).unwrap_or_else(|_| path.to_owned())
}
