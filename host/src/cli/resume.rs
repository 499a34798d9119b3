//! `--resume` and `--state`: which job it is that may be interrupted, and what is left of it.

use super::files::Files;
use super::formats::{self, compression_of_output, of_output};
use super::job::{Job, Part};
use super::score::models::Models;
use crate::error::Error;
use crate::format::Compression;
use crate::journal::{
    self, Checkpoint, Header, Identity, InputFile, Journal, JournalError, Left, place,
};
use crate::run_time::RunTime;
use crate::sink::publish::{self, Names, OpenError, Output};
use crate::spec::{LookupSpec, Node, Records, SinkSpec, SourceSpec, StepSpec};
use crate::step::emit::Emit;
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
    /// The journal's name beside each output that is a file: a link, where the journal is not there.
    /// Beside an object there is no place for one.
    beside: Vec<PathBuf>,
    /// What `status` is to be asked about.
    subject: PathBuf,
    /// Of the rejects and of each output.
    pub(super) names: Vec<Names>,
}

/// What the command line asks for; `None`: a job that is not to be resumed. `is_folder`: it is one of
/// several whose outputs lie in a folder.
pub(super) fn wanted(
    job: &Job<'_>,
    files: &Files,
    services: &Services,
    is_folder: bool,
) -> Result<Option<Resumable>, Error> {
    if !job.is_resumable() {
        return Ok(None);
    }
    let state = job.run.state.as_deref();
    let refused = |message: &str, hint: &str| Error::Usage {
        message: format!("a run can be resumed only where {message}"),
        hint: Some(hint.to_owned()),
    };
    let is_pipe = |path: &Path| path.metadata().is_ok_and(|metadata| !metadata.is_file());
    let is_file = |location: &Location| location.local().is_some_and(|path| !is_pipe(path));
    let is_remote = |location: &Location| matches!(location, Location::Remote(_));
    let is_lasting = |location: &Location| is_file(location) || is_remote(location);
    if files.sources.iter().any(Vec::is_empty) || !files.inputs().all(is_lasting) {
        return Err(refused("its input is a file", "write the records to a file first"));
    }
    for step in &job.spec.steps {
        let StepSpec::Lookup(LookupSpec { table, .. }) = &step.what else { continue };
        let Records::Inputs(paths) = &table.records else { continue };
        for path in paths {
            if services.database(&services.resolve(path)?).is_some() {
                let condition =
                    format!("the table of `{}` is a file, which tells its changes", step.name);
                return Err(refused(
                    &condition,
                    "write its rows to a file first, and look into that",
                ));
            }
        }
    }
    for location in files.outputs.iter().chain([&files.rejects]) {
        let Location::Remote(remote) = location else { continue };
        if services.database(location).is_some() {
            let hint = "run it without --resume and --state, or write to a file and copy that";
            return Err(refused("its outputs are files or objects", hint));
        }
        if state.is_none() {
            let hint = "beside an object there is no place for it, so name a folder: --state DIR";
            return Err(refused("its journal is a file of this machine", hint));
        }
        // By this name it is found again.
        if remote.to_string() != remote.whole() {
            let condition = format!("all of a name may be shown, which is not so of `{remote}`");
            return Err(refused(&condition, "a key without `?` and `@` does"));
        }
    }
    for (sink, output) in job.spec.sinks.iter().zip(&files.outputs) {
        let format = of_output(&sink.what, output);
        if !format.can_resume_output() {
            let format = format.name();
            let condition = format!("{} can be written on, which {format} can't", its(job, sink));
            return Err(refused(&condition, "write LDJSON, or run without --resume and --state"));
        }
    }
    // Where the bytes of objects wait: one name for each of the runs that share the folder.
    let folder = state.map(whole).unwrap_or_default();
    let name = files.main_output().name().unwrap_or_default().to_owned();
    let names =
        |location: &Location, what: &'static str, condition: &str, hint: &str, ending: &str| {
            if let Location::Remote(remote) = location {
                let mut name = name.clone();
                name.push(ending);
                return Ok(Names::elsewhere(remote.to_string(), folder.join(name)));
            }
            let named = location.local().map(publish::names).transpose();
            let path = location.to_string().into();
            let named = named.map_err(|source| Error::Output { what, path, source })?;
            named.flatten().ok_or_else(|| refused(condition, hint))
        };
    let mut all = Vec::new();
    for (at, (sink, output)) in job.spec.sinks.iter().zip(&files.outputs).enumerate() {
        let hint = format!("name one: {}", job.set(Part::Sink, &sink.name, "path", "FILE"));
        let condition = format!("{} is a file", job.output(sink));
        let ending = match at + 1 == files.outputs.len() {
            true => String::new(),
            false => format!(".etl-host-sink-{}", sink.name),
        };
        all.push(names(output, "the output", &condition, &hint, &ending)?);
    }
    let (what, hint) = ("the rejects file", "name one: --rejects FILE");
    let condition = format!("{what} is a file");
    all.insert(0, names(&files.rejects, what, &condition, hint, ".etl-host-rejects")?);
    let is_here = |names: &&Names| names.elsewhere.is_none();
    let outputs_here = || all[1..].iter().filter(is_here).map(|names| &*names.path);
    outputs_here().for_each(place::remove_stale_link);
    let beside = outputs_here().map(place::path_beside).collect();
    let main = all.last().expect("a pipeline has a sink");
    let journal = match state {
        Some(folder) if is_folder => place::path_among(&whole(folder), &main.path),
        Some(folder) => place::path_in(&whole(folder)),
        None => place::path_of(&main.path),
    };
    let inputs = files.inputs().filter_map(Location::local);
    let paths = [&*journal].into_iter().chain(all.iter().map(|names| &*names.path)).chain(inputs);
    if paths.map(whole).any(|path| path.to_str().is_none()) {
        return Err(refused("the names of its files are UTF-8", "rename them, or their folder"));
    }
    let subject = match state {
        Some(folder) if !is_folder => folder.to_owned(),
        _ if main.elsewhere.is_some() => journal.clone(),
        _ => main.given.clone(),
    };
    Ok(Some(Resumable { journal, beside, subject, names: all }))
}

fn its(job: &Job<'_>, sink: &Node<SinkSpec>) -> String {
    if job.is_named() { job.output(sink) } else { "its output".to_owned() }
}

/// Refuses to write over what an interrupted run of `--resume` left of this output.
pub(super) fn refuse_left(files: &Files) -> Result<(), Error> {
    files.outputs.iter().try_for_each(refuse_left_of)
}

fn refuse_left_of(output: &Location) -> Result<(), Error> {
    let Some(Ok(Some(output))) = output.local().map(publish::names) else { return Ok(()) };
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
        let links = || self.beside.iter().filter(|beside| **beside != self.journal);
        links().try_for_each(|beside| self.check_no_other(beside))?;
        if links().count() > 0 || self.beside.is_empty() {
            std::fs::create_dir_all(&folder).map_err(io_error)?;
        }
        let names = self.names.clone();
        let opened = Journal::open(Arc::new(Local), self.journal.clone(), header, names);
        let opened = opened.map_err(failed)?;
        for beside in links().filter(|beside| !beside.is_symlink()) {
            symlink(whole(&self.journal), beside).map_err(io_error)?;
        }
        Ok(opened)
    }

    /// Refuses where the output has a journal that is not the one of this command.
    fn check_no_other(&self, beside: &Path) -> Result<(), Error> {
        let other = match std::fs::read_link(beside) {
            Ok(there) if there == whole(&self.journal) => return Ok(()),
            Ok(there) => Err(JournalError::Elsewhere(there)),
            Err(_) => Journal::refuse_left(&Local, beside),
        };
        other.map_err(|source| Error::Journal { subject: self.subject.clone(), source })
    }

    /// To be called when the run has ended: where there is no journal any more, none leads to it.
    pub(super) fn clear_up(&self) {
        let here = self.names[1..].iter().filter(|names| names.elsewhere.is_none());
        here.for_each(|names| place::remove_stale_link(&names.path));
    }

    pub(super) fn error(&self, source: JournalError) -> Error {
        Error::Journal { subject: self.subject.clone(), source }
    }

    /// The rejects and the outputs, as far as they were written.
    pub(super) fn outputs(&self, left: &Left, services: &Services) -> Result<Vec<Output>, Error> {
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
        let outputs = (1..self.names.len()).map(|i| open(i, "the output"));
        let mut outputs = outputs.collect::<Result<Vec<_>, Error>>()?;
        outputs.insert(0, open(0, "the rejects file")?);
        Ok(outputs)
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

/// All that shapes the bytes of the outputs, and where its files are. `started`: when the run began.
pub(super) fn header(
    (job, files, services): (&Job<'_>, &Files, &Services),
    resumable: &Resumable,
    models: &Models,
    inputs: Vec<InputFile>,
    started: String,
) -> Header {
    let outputs = resumable.names.iter().map(|names| match names.elsewhere {
        Some(_) => names.clone(),
        None => Names::here(whole(&names.given), whole(&names.path)),
    });
    let outputs: Vec<Names> = outputs.collect();
    let mut identity = match job.is_named() {
        true => of_nodes(job),
        false => of_flags(job),
    };
    identity.push((journal::HOST.to_owned(), env!("CARGO_PKG_VERSION").to_owned()));
    let time = job.run.run_time.as_ref().map_or_else(String::new, RunTime::to_string);
    identity.push(("--run-time".to_owned(), time));
    let shown = |path: &Path| path.display().to_string();
    // The same name may be another object at another server.
    let place = |location: &Location, names: &Names| {
        services.identity(location).map_or_else(|| shown(names.shown()), |it| it.replace('\n', " "))
    };
    let mut add = |name: String, value: String| identity.push((name, value));
    let formats = job.spec.sources.iter().zip(&files.sources).flat_map(|(source, inputs)| {
        inputs.iter().map(|location| formats::of_input(&source.what, location).name())
    });
    let mut formats: Vec<_> = formats.collect();
    formats.dedup();
    add(journal::INPUT_FORMAT.to_owned(), formats.join(formats::FORMATS_SEPARATOR));
    add(input_name(job).to_owned(), together(files.inputs().map(Location::to_string).collect()));
    let versions = inputs.iter().map(|input| input.version.clone()).collect();
    add("the input's size and time".to_owned(), together(versions));
    add("the input's path".to_owned(), together(inputs.iter().map(|it| shown(&it.path)).collect()));
    add("--rejects".to_owned(), place(&files.rejects, &outputs[0]));
    let sinks = job.spec.sinks.iter().zip(&files.outputs).zip(&outputs[1..]);
    for ((sink, location), names) in sinks {
        add(job.option(Part::Sink, &sink.name, "path"), place(location, names));
        let format = of_output(&sink.what, location).name();
        add(job.option(Part::Sink, &sink.name, "format"), format.to_owned());
        let compression = compression_of_output(&sink.what, location);
        let compression = compression.map_or("none", Compression::name).to_owned();
        let name = match job.is_named() {
            true => format!("the compression of `{}`", sink.name),
            false => "the output's compression".to_owned(),
        };
        add(name, compression);
    }
    let mut others = BTreeMap::from([("working folder".to_owned(), whole(Path::new(".")))]);
    for (i, model) in models.all().iter().enumerate() {
        let description = &model.description;
        let of = |what: &str| match job.is_named() {
            true => format!("{what} of `{}`", model.node),
            false => what.to_owned(),
        };
        let plugin = if i == 0 { journal::PLUGIN.to_owned() } else { of("the plugin's SHA-256") };
        add(plugin, model.sha256.clone());
        add(of("the model"), format!("{}@{}", description.qualified_name, description.version()));
        let fingerprint = model.report.fingerprint.clone().unwrap_or_default();
        add(of("the model's fingerprint"), fingerprint);
        // Not the config itself, which may hold what is not to lie on a disk.
        let config = summary::sha256_of(normal(&model.config).as_bytes());
        add(of("the SHA-256 of the config"), config);
        if i == 0 {
            others.insert("plugin".to_owned(), whole(&model.path));
        }
    }
    let identity = Identity(identity.into_iter().collect());
    Header::new(identity, outputs, inputs, others, started)
}

/// A rejects file is another input where its records are meant.
fn input_name(job: &Job<'_>) -> &'static str {
    let is_rejects = |source: &Node<SourceSpec>| matches!(source.what.records, Records::Rejects(_));
    match job.spec.sources.iter().all(is_rejects) {
        true if !job.is_named() => "REJECTS",
        _ => "--input",
    }
}

/// What a command line says of all that shapes the outputs.
fn of_flags(job: &Job<'_>) -> Vec<(String, String)> {
    let mut flags = Vec::new();
    let mut add = |name: &str, value: String| flags.push((name.to_owned(), value));
    let shown = |byte: Option<u8>| byte.map(char::from).map_or_else(String::new, String::from);
    let (source, sink) = (&job.spec.sources[0].what, &job.spec.sinks[0].what);
    add("--delimiter", shown(source.csv.delimiter));
    add("--quote", shown(source.csv.quote));
    add("--fields", source.csv.fields.as_deref().unwrap_or_default().join(","));
    add("--header", source.csv.has_header.to_string());
    add("--null-value", source.csv.null_value.clone());
    add("--output-delimiter", shown(sink.csv.delimiter));
    add("--no-output-header", (!sink.csv.has_header).to_string());
    add(journal::RANGE, source.range.map_or_else(String::new, |range| range.to_string()));
    add("--line-bytes-max", source.line_bytes_max.to_string());
    let is_placed = |step: &Node<StepSpec>| matches!(step.what, StepSpec::Place);
    add("--place", job.spec.steps.iter().any(is_placed).to_string());
    for step in &job.spec.steps {
        let StepSpec::Model(model) = &step.what else { continue };
        let (emit, keep): (_, &[String]) = match &model.emit {
            Emit::Prediction => ("prediction", &[]),
            Emit::Keep(fields) => ("prediction", fields),
            Emit::Merge => ("merge", &[]),
            Emit::Nest => ("nest", &[]),
        };
        add("--emit", emit.to_owned());
        add("--keep", format!("{keep:?}"));
        add("--validate-output", model.validates_output.to_string());
    }
    flags
}

/// What nodes say of it: each by its name.
fn of_nodes(job: &Job<'_>) -> Vec<(String, String)> {
    let spec = &job.spec;
    let sources = spec.sources.iter().map(|it| (format!("source `{}`", it.name), wish(it)));
    let steps = spec.steps.iter().map(|it| (format!("step `{}`", it.name), wish(it)));
    let sinks = spec.sinks.iter().map(|it| (format!("sink `{}`", it.name), wish(it)));
    // A journal tells of nodes by their place.
    let names = [
        spec.sources.iter().map(|it| &*it.name).collect::<Vec<_>>().join(", "),
        spec.steps.iter().map(|it| &*it.name).collect::<Vec<_>>().join(", "),
        spec.sinks.iter().map(|it| &*it.name).collect::<Vec<_>>().join(", "),
    ];
    let order = ("the order of the nodes".to_owned(), names.join("; "));
    sources.chain(steps).chain(sinks).chain([order]).collect()
}

/// What is asked of a node, so that it can be compared and not read: there may be secrets in it.
fn wish<T: std::fmt::Debug>(node: &Node<T>) -> String {
    format!("SHA-256 {}", summary::sha256_of(format!("{node:?}").as_bytes()))
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
