//! `etl-host status DIR|OUTPUT`: what interrupted runs left, how far they are, and whether they can
//! be gone on with.

use super::formats::{formats_of, reads_as_it_is};
use super::services::ServiceArgs;
use super::{on_a_line, print, resume};
use crate::causes::chain;
use crate::error::{Error, exit};
use crate::format::Format;
use crate::journal::{self, Checkpoint, Header, InputFile, JournalError, Look, State, place};
use crate::record::Lines;
use crate::shell::quoted;
use crate::sink::publish;
use crate::source::range::Range;
use crate::stop::Stop;
use crate::storage;
use crate::storage::disk::Local;
use crate::storage::location::Location;
use crate::summary::sha256;
use clap::Args;
use serde::Serialize;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Say what an interrupted run left: how far it came, and whether it can be resumed
///
/// Reads the journal that `--resume` keeps beside an output, or `--state` in a folder. Nothing is
/// loaded; of the options that must be the same, only what lies in files is looked at. Stores are asked
/// only with `--abort`, and found as by the run: the same flags, or file of services, or environment.
///
/// Exit codes: 0 told, whatever there is to tell; 2 wrong command line; 3 something can't be read, or,
/// with `--abort`, a run is at it.
#[derive(Args, Debug)]
pub(super) struct StatusArgs {
    /// The output of a run, or a folder: of outputs, or as given to --state
    #[arg(value_name = "DIR|OUTPUT")]
    path: PathBuf,

    /// Give up what was done: remove the journal and the unpublished files, and have a store remove what
    /// it was sent
    #[arg(long)]
    abort: bool,

    /// Write JSON, for programs
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    services: ServiceArgs,
}

/// What is known of a run.
#[derive(Serialize)]
struct Run {
    journal: PathBuf,
    /// `running`; `interrupted`; `unpublished`: all is done but for the publication; `published`: and
    /// that too; `empty`: it had not come to its first checkpoint; `unreadable`.
    state: &'static str,
    /// Whether the same command goes on with it, as far as files can tell.
    resumable: bool,
    /// Why not.
    why_not: Vec<String>,
    header: Option<Header>,
    checkpoint: Option<Checkpoint>,
    /// Of the input, as it is now; none where a run counts other bytes than those of its files.
    bytes_total: Option<u64>,
    /// Files that `--abort` removed.
    removed: Vec<PathBuf>,
}

pub(super) fn status(args: &StatusArgs) -> Result<u8, Error> {
    let failed = |source| Error::Journal { subject: args.path.clone(), source };
    let journals = journals(&args.path)
        .map_err(|source| failed(JournalError::Io { path: args.path.clone(), source }))?;
    // A folder of outputs is looked at as a whole, and not emptied as a whole.
    let is_one = !args.path.is_dir() || journals == [place::path_in(&args.path)];
    if args.abort && !is_one && !journals.is_empty() {
        return Err(Error::Usage {
            message: format!("there may be several runs in `{}`", args.path.display()),
            hint: Some("name the output of the one that is to be given up".to_owned()),
        });
    }
    let services = args.services.open(None, &Stop::default())?;
    let uploads = |at: &str, sent| resume::upload(&services, at, sent);
    let runs = journals.iter().map(|journal| match args.abort {
        true => {
            journal::abort(journal, &uploads).map(|(look, removed)| run(journal, look, removed))
        }
        // One that can't be read is told of beside the others.
        false => Ok(journal::look(journal)
            .map_or_else(|error| unreadable(journal, &error), |look| run(journal, look, vec![]))),
    });
    let runs = runs.collect::<Result<Vec<Run>, JournalError>>().map_err(failed)?;
    if args.json {
        print(&(serde_json::to_string_pretty(&runs).expect("keys are texts") + "\n"))?;
    } else if runs.is_empty() {
        print(&none(&args.path))?;
    } else {
        runs.iter().try_for_each(|run| print(&text(run)))?;
    }
    Ok(if runs.iter().any(|run| run.state == UNREADABLE) { exit::IO } else { exit::OK })
}

/// The journals that a path means.
fn journals(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        let journal = match publish::names(path) {
            _ if place::is_name(path) => fs::read_link(path).unwrap_or_else(|_| path.to_owned()),
            Ok(Some(output)) => place::path_of(&output.path), // where a link leads to
            _ => place::path_of(path),
        };
        return Ok(Vec::from_iter(
            (journal.try_exists()? && !journal.is_symlink()).then_some(journal),
        ));
    }
    let mut journals = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        if place::is_name(&path) && path.is_file() {
            journals.push(path);
        }
    }
    journals.sort();
    Ok(journals)
}

const UNREADABLE: &str = "unreadable";

fn unreadable(journal: &Path, error: &JournalError) -> Run {
    Run {
        journal: journal.to_owned(),
        state: UNREADABLE,
        resumable: false,
        why_not: vec![chain(error)],
        header: None,
        checkpoint: None,
        bytes_total: None,
        removed: Vec::new(),
    }
}

fn run(journal: &Path, Look { left, is_running }: Look, removed: Vec<PathBuf>) -> Run {
    let found = left.state(&Local).unwrap_or(State::Worthless);
    let state = match found {
        _ if is_running => "running",
        State::Interrupted => "interrupted",
        State::Unpublished => "unpublished",
        State::Published => "published",
        State::Worthless => "empty",
    };
    let is_left = matches!(state, "interrupted" | "unpublished");
    let mut why_not = Vec::new();
    if let (Some(header), true, []) = (&left.header, is_left, &removed[..]) {
        let moved = place::check_not_moved(journal, header.main_output());
        why_not.extend(moved.err().map(|error| error.to_string()));
        why_not.extend(left.missing(&Local).unwrap_or_else(|error| vec![error.to_string()]));
        why_not.extend(differences(header));
    }
    Run {
        journal: journal.to_owned(),
        state,
        resumable: is_left && why_not.is_empty() && removed.is_empty(),
        why_not,
        bytes_total: left.header.as_ref().and_then(bytes_total),
        checkpoint: left.end().cloned(),
        header: left.header,
        removed,
    }
}

fn bytes_total(header: &Header) -> Option<u64> {
    let range = range_of(header);
    let formats: Vec<Format> = formats_of(&header.identity).collect();
    let bytes = header.inputs.iter().map(|InputFile { path, .. }| {
        let location = Location::of(path.as_os_str());
        let is_as_it_is = formats.iter().all(|format| reads_as_it_is(&location, *format));
        let bytes = path.metadata().ok()?.len();
        let bytes = range.map_or(bytes, |range| range.bytes_of(bytes));
        is_as_it_is.then_some(bytes)
    });
    bytes.sum()
}

/// What files say against going on.
fn differences(header: &Header) -> Vec<String> {
    let mut now = header.identity.clone();
    let mut missing = Vec::new();
    let mut look = |name: &str, file: &str, value: &dyn Fn(&Path) -> io::Result<String>| {
        let Some(path) = header.files.get(file) else { return };
        match value(path) {
            Ok(value) => drop(now.0.insert(name.to_owned(), value)),
            Err(error) => missing.push(format!("the {file} {}: {error}", shown(path))),
        }
    };
    look(journal::PLUGIN, "plugin", &sha256);
    now.0.insert(journal::HOST.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    let mut differences = header.identity.differences(&now);
    differences.extend(missing);
    // Nobody elsewhere is asked.
    let is_here =
        |input: &&InputFile| matches!(Location::of(input.path.as_os_str()), Location::Local(_));
    for InputFile { path, version } in header.inputs.iter().filter(is_here) {
        differences.extend(match storage::version(path) {
            Ok(now) => {
                let now = now.unwrap_or_default();
                (now != *version)
                    .then(|| format!("the input {} was `{version}` and is `{now}`", shown(path)))
            }
            Err(error) => Some(format!("the input {}: {error}", shown(path))),
        });
    }
    differences
}

/// The range of its input that the run reads, where it does not read all.
fn range_of(header: &Header) -> Option<Range> {
    header.identity.0.get(journal::RANGE)?.parse().ok()
}

/// What there is to say where there is no journal.
fn none(path: &Path) -> String {
    let what = match path.metadata() {
        Ok(metadata) if metadata.is_file() => format!(" ({} bytes are there)", metadata.len()),
        Ok(_) => String::new(),
        Err(_) => " (there is no such file)".to_owned(),
    };
    let mut text = format!("{}{what}: no run that can be resumed was interrupted\n", shown(path));
    if let Ok(Some(output)) = publish::names(path)
        && let Some(part) = Some(output.part()).filter(|part| part.exists())
    {
        let _ = writeln!(
            text,
            "  a run without --resume is at it, or was interrupted: {}; the next run takes that over",
            shown(&part)
        );
    }
    text
}

fn text(run: &Run) -> String {
    let file = |name: &str| run.header.as_ref().and_then(|header| header.files.get(name));
    let output = run.header.as_ref().map(|header| header.main_output().shown());
    // Nothing beside an object tells of it.
    let is_here = |header: &Header| header.main_output().elsewhere.is_none();
    let subject = output.filter(|_| run.header.as_ref().is_some_and(is_here));
    let mut text = String::new();
    let state = match run.state {
        _ if !run.removed.is_empty() => "given up",
        "running" => "a run is at it",
        "unpublished" => "all is done; what is left is to publish it",
        "published" => "all is done and published; what is left is to say so",
        "empty" => "interrupted before its first checkpoint: the next run begins anew",
        state => state,
    };
    let _ = writeln!(text, "{}: {state}", shown(output.unwrap_or(&run.journal)));
    if let (Some(header), Some(checkpoint)) = (&run.header, &run.checkpoint) {
        let Checkpoint { input, position, bytes_read, counts, time, .. } = checkpoint;
        let of = match &header.inputs[..] {
            [input] => format!(" of {}", shown(&input.path)),
            inputs => format!(" of {} inputs", inputs.len()),
        };
        let _ = write!(text, "  read      {} records{of}, up to ", counts.read);
        match &header.inputs[..] {
            _ if run.state == "unpublished" => {}
            [_] if range_of(header).is_some_and(|it| it.lines() == Lines::Range) => {}
            [_] => drop(write!(text, "line {}, ", position.line)),
            inputs => {
                let name = inputs.get(*input).map_or_else(String::new, |it| shown(&it.path));
                let _ = write!(text, "line {} of {name}, ", position.line);
            }
        }
        let _ = write!(text, "byte {bytes_read}");
        if let Some(total @ 1..) = run.bytes_total {
            let percent = 100.0 * *bytes_read as f64 / total as f64;
            let _ = write!(text, " of {total} ({percent:.1} %)");
        }
        let _ = writeln!(text);
        let _ =
            writeln!(text, "  done      {} written, {} rejected", counts.written, counts.rejected);
        let folder = file("working folder").map_or_else(String::new, |path| shown(path));
        let _ = writeln!(text, "  command   started in {folder}");
        let _ = writeln!(text, "  time      begun {}, safe since {time}", header.started);
    }
    for path in &run.removed {
        let _ = writeln!(text, "  removed   {}", shown(path));
    }
    if run.resumable {
        let _ = writeln!(text, "  resume    yes: start the same command again");
    }
    for why in &run.why_not {
        let _ = writeln!(text, "  resume    no: {}", on_a_line(why));
    }
    if !run.why_not.is_empty() && run.state != UNREADABLE {
        let path = quoted(&subject.unwrap_or(&run.journal).display().to_string());
        let _ = writeln!(text, "  give up   etl-host status --abort {path}");
    }
    text
}

fn shown(path: &Path) -> String {
    on_a_line(&path.display().to_string())
}
