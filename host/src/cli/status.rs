//! `etl-host status DIR|OUTPUT`: what interrupted runs left, how far they are, and whether they can
//! be gone on with.

use super::{on_a_line, print};
use crate::error::{Error, exit};
use crate::journal::{self, Checkpoint, Header, JournalError, Left, Look};
use crate::shell::quoted;
use crate::sink::publish;
use crate::storage;
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
/// loaded; of the options that must be the same, only what lies in files is looked at.
///
/// Exit codes: 0 told, whatever there is to tell; 2 wrong command line; 3 it can't be read, or, with
/// `--abort`, a run is at it.
#[derive(Args, Debug)]
pub(super) struct StatusArgs {
    /// The output of a run, or a folder: of outputs, or as given to --state
    #[arg(value_name = "DIR|OUTPUT")]
    path: PathBuf,

    /// Give up what was done: remove the journal and the unpublished files
    #[arg(long)]
    abort: bool,

    /// Write JSON, for programs
    #[arg(long)]
    json: bool,
}

/// What is known of a run.
#[derive(Serialize)]
struct Run {
    journal: PathBuf,
    /// `running`; `interrupted`; `unpublished`: all is done but for the publication; `empty`: it had
    /// not come to its first checkpoint.
    state: &'static str,
    /// Whether the same command goes on with it, as far as files can tell.
    resumable: bool,
    /// Why not.
    why_not: Vec<String>,
    header: Option<Header>,
    checkpoint: Option<Checkpoint>,
    /// Of the input, as it is now.
    bytes_total: Option<u64>,
    /// Files that `--abort` removed.
    removed: Vec<PathBuf>,
}

pub(super) fn status(args: &StatusArgs) -> Result<u8, Error> {
    let journals =
        journals(&args.path).map_err(|source| Error::Input { path: args.path.clone(), source })?;
    // A folder of outputs is looked at as a whole, and not emptied as a whole.
    let is_one = !args.path.is_dir() || journals == [journal::path_in(&args.path)];
    if args.abort && !is_one && !journals.is_empty() {
        return Err(Error::Usage {
            message: format!("there may be several runs in `{}`", args.path.display()),
            hint: Some("name the output of the one that is to be given up".to_owned()),
        });
    }
    let runs = journals.into_iter().map(|journal| {
        let failed = |source| Error::Journal { subject: journal.clone(), source };
        match args.abort {
            true => abort(&journal).map_err(failed),
            false => journal::look(&journal).map(|look| run(&journal, look)).map_err(failed),
        }
    });
    let runs = runs.collect::<Result<Vec<Run>, Error>>()?;
    if args.json {
        print(&(serde_json::to_string_pretty(&runs).expect("keys are texts") + "\n"))?;
    } else if runs.is_empty() {
        print(&format!("{}: no run that can be resumed was interrupted\n", shown(&args.path)))?;
    } else {
        runs.iter().try_for_each(|run| print(&text(run)))?;
    }
    Ok(exit::OK)
}

/// The journals that a path means.
fn journals(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        let journal = match publish::names(path) {
            _ if journal::is_name(path) => path.to_owned(),
            Ok(Some(output)) => journal::path_beside(&output.path), // where a link leads to
            _ => journal::path_beside(path),
        };
        return Ok(Vec::from_iter(journal.exists().then_some(journal)));
    }
    let mut journals = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        if journal::is_name(&path) {
            journals.push(path);
        }
    }
    journals.sort();
    Ok(journals)
}

fn run(journal: &Path, Look { left, is_running }: Look) -> Run {
    let Left { header, checkpoint, sealed } = left;
    let state = match (is_running, &sealed, &checkpoint) {
        (true, ..) => "running",
        (_, Some(_), _) => "unpublished",
        (_, None, Some(_)) => "interrupted",
        (_, None, None) => "empty",
    };
    let why_not = match (&header, state) {
        (Some(header), "interrupted" | "unpublished") => differences(header),
        _ => Vec::new(),
    };
    let input = header.as_ref().and_then(|header| header.files.get("input"));
    Run {
        journal: journal.to_owned(),
        state,
        resumable: why_not.is_empty() && matches!(state, "interrupted" | "unpublished"),
        why_not,
        bytes_total: input.and_then(|path| path.metadata().ok()).map(|metadata| metadata.len()),
        checkpoint: sealed.map(|sealed| sealed.end).or(checkpoint),
        header,
        removed: Vec::new(),
    }
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
    look(journal::INPUT, "input", &|path| Ok(storage::open(path)?.version().unwrap_or_default()));
    look(journal::PLUGIN, "plugin", &sha256);
    now.0.insert(journal::HOST.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    let mut differences = header.identity.differences(&now);
    differences.extend(missing);
    differences
}

fn abort(journal: &Path) -> Result<Run, JournalError> {
    let (look, removed) = journal::abort(journal)?;
    Ok(Run { removed, resumable: false, ..run(journal, look) })
}

fn text(run: &Run) -> String {
    let file = |name: &str| run.header.as_ref().and_then(|header| header.files.get(name));
    let mut text = String::new();
    let state = match run.state {
        _ if !run.removed.is_empty() => "given up",
        "running" => "a run is at it",
        "unpublished" => "all is done; what is left is to publish it",
        "empty" => "interrupted before its first checkpoint: the next run begins anew",
        state => state,
    };
    let _ = writeln!(text, "{}: {state}", shown(file("output").unwrap_or(&run.journal)));
    if let (Some(header), Some(checkpoint)) = (&run.header, &run.checkpoint) {
        let Checkpoint { position, counts, time, .. } = checkpoint;
        let input = file("input").map_or_else(String::new, |path| format!(" of {}", shown(path)));
        let _ = write!(text, "  read      {} records{input}, up to ", counts.read);
        if run.state != "unpublished" {
            let _ = write!(text, "line {}, ", position.line);
        }
        let _ = write!(text, "byte {}", position.byte);
        if let Some(total @ 1..) = run.bytes_total {
            let percent = 100.0 * position.byte as f64 / total as f64;
            let _ = write!(text, " of {total} ({percent:.1} %)");
        }
        let _ = writeln!(text);
        let _ =
            writeln!(text, "  done      {} written, {} rejected", counts.written, counts.rejected);
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
    if !run.why_not.is_empty() && run.removed.is_empty() {
        let path = quoted(&run.journal.display().to_string());
        let _ = writeln!(text, "  give up   etl-host status --abort {path}");
    }
    text
}

fn shown(path: &Path) -> String {
    on_a_line(&path.display().to_string())
}
