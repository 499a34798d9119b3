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
use crate::storage::location::Location;
use crate::summary;
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;

/// The files of a job that can be resumed.
pub(super) struct Resumable {
    journal: PathBuf,
    /// The journal's name beside the output: a link, where the journal is not there.
    beside: PathBuf,
    /// What `status` is to be asked about.
    subject: PathBuf,
    /// Of the rejects and of the output.
    pub(super) names: [Names; 2],
}

/// What the command line asks for; `None`: a job that is not to be resumed. `is_folder`: it is one of
/// several whose outputs lie in a folder.
pub(super) fn wanted(
    task: Task<'_>,
    files: &Files,
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
    if is_remote(&files.output) || is_remote(&files.rejects) {
        let hint = "run it without --resume and --state, or write to a file and copy that";
        return Err(refused("its outputs are files of this machine", hint));
    }
    let format = job.formats.of_output(&files.output);
    if !format.can_resume_output() {
        let condition = format!("its output can be written on, which {} can't", format.name());
        return Err(refused(&condition, "write LDJSON, or run without --resume and --state"));
    }
    let names = |location: &Location, what, flag| {
        let named = location.local().map(publish::names).transpose();
        let path = location.to_string().into();
        let named = named.map_err(|source| Error::Output { what, path, source })?;
        named.flatten().ok_or_else(|| refused(&format!("{what} is a file"), flag))
    };
    let output = names(&files.output, "the output", "name one: --output FILE")?;
    let rejects = names(&files.rejects, "the rejects file", "name one: --rejects FILE")?;
    let beside = place::path_beside(&output.path);
    place::remove_stale_link(&output.path);
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
        _ => output.given.clone(),
    };
    Ok(Some(Resumable { journal, beside, subject, names: [rejects, output] }))
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
        let is_elsewhere = self.journal != self.beside;
        if is_elsewhere {
            self.check_no_other()?;
            std::fs::create_dir_all(&folder).map_err(io_error)?;
        }
        let names = self.names.clone();
        let opened = Journal::open(Arc::new(Local), self.journal.clone(), header, names);
        let opened = opened.map_err(failed)?;
        if is_elsewhere && !self.beside.is_symlink() {
            symlink(&self.journal, &self.beside).map_err(io_error)?;
        }
        Ok(opened)
    }

    /// Refuses where the output has a journal that is not the one of this command.
    fn check_no_other(&self) -> Result<(), Error> {
        let other = match std::fs::read_link(&self.beside) {
            Ok(there) if there == self.journal => return Ok(()),
            Ok(there) => Err(JournalError::Elsewhere(there)),
            Err(_) => Journal::refuse_left(&Local, &self.beside),
        };
        other.map_err(|source| Error::Journal { subject: self.names[1].given.clone(), source })
    }

    /// To be called when the run has ended: where there is no journal any more, none leads to it.
    pub(super) fn clear_up(&self) {
        place::remove_stale_link(&self.names[1].path);
    }

    pub(super) fn error(&self, source: JournalError) -> Error {
        Error::Journal { subject: self.subject.clone(), source }
    }

    /// The rejects and the output, as far as they were written.
    pub(super) fn outputs(&self, resumed: Option<&Checkpoint>) -> Result<[Output; 2], Error> {
        let open = |i: usize, what| {
            let names = self.names[i].clone();
            let path = names.given.clone();
            let opened = match resumed {
                Some(Checkpoint { lengths, numbers, .. }) if lengths[i] > 0 => {
                    Output::go_on(Arc::new(Local), names, numbers[i], lengths[i])
                }
                _ => Output::begin(Arc::new(Local), names),
            };
            opened.map_err(|source| match source {
                OpenError::Short { .. } | OpenError::Replaced(_) => self.error(source.into()),
                source => Error::Output { what, path, source },
            })
        };
        let output = open(1, "the output")?;
        Ok([open(0, "the rejects file")?, output])
    }
}

/// All that shapes the bytes of the outputs, and where its files are.
pub(super) fn header(
    (task, files): (Task<'_>, &Files),
    resumable: &Resumable,
    (plugin, plugin_sha256): (&Path, &str),
    model: &LoadedModel,
    config: &str,
    inputs: Vec<InputFile>,
    started: String,
) -> Header {
    let job = task.job;
    let outputs = resumable
        .names
        .each_ref()
        .map(|names| Names { given: whole(&names.given), path: whole(&names.path) });
    // A rejects file is another input where its records are meant.
    let input_name = match task.records {
        Records::Rejects(_) => "REJECTS",
        Records::Inputs(_) | Records::One(_) => "--input",
    };
    let shown = |path: &Path| path.display().to_string();
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
        ("--output", shown(&outputs[1].path)),
        ("--rejects", shown(&outputs[0].path)),
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
