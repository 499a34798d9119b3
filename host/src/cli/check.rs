//! `etl-host check FILE`: the conformance kit for authors, and the hidden command that runs one of
//! its checks.

use super::outputs::Outputs;
use super::trust::TrustArgs;
use super::{config, exits, print, shown};
use crate::check::{self, Check, Checked, Finding, Plan};
use crate::child;
use crate::error::{Error, exit};
use crate::plugin::Image;
use crate::plugin::look::{self, Refusal};
use crate::shell::quoted;
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

const MEMORY_MIB: u32 = 4096;
const TIMEOUT_S: &str = "20";

/// Check a plugin: does it keep all that a model promises?
///
/// Runs a list of checks, each in a process of its own, so that a crash or a hang costs one of
/// them. Every failure says what was found, how to fix it, and the command that shows it again.
///
/// Exit codes: 0 all passed, but for those that make no sense for this plugin; 1 one failed; 2
/// wrong command line; 3 stdout can't be written; 4 the file can't be read, or is not trusted.
#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    /// The plugin's file
    #[arg(required_unless_present = "list")]
    file: Option<PathBuf>,

    /// Check this model of the plugin [default: all]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,

    /// Load models with this config: a JSON text, or @FILE [default: {}]
    #[arg(long, value_name = "JSON|@FILE")]
    config: Option<String>,

    /// Begin all that is random here: the same seed asks the same questions
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Run only these checks
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', hide_possible_values = true,
        value_parser = PossibleValuesParser::new(check::all().map(|check| check.name)))]
    only: Vec<String>,

    /// Say what each check proves and how to fix what it finds, and run none
    #[arg(long)]
    list: bool,

    /// Write JSON, for programs
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    trust: TrustArgs,

    /// Give each check this many seconds
    #[arg(long, value_name = "SECONDS", default_value = TIMEOUT_S, value_parser = super::seconds)]
    timeout: Duration,

    /// Give each check this much memory, in MiB
    ///
    /// What it writes to counts, and not what it maps from files.
    #[arg(long, value_name = "MIB", default_value_t = MEMORY_MIB,
        value_parser = clap::value_parser!(u32).range(64..))]
    max_memory: u32,

    /// Run this many checks at once [default: one for each core]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
}

pub(super) fn check(args: &CheckArgs) -> Result<u8, Error> {
    let Some(file) = args.file.as_ref().filter(|_| !args.list) else {
        return print(&list(args)).map(|()| exit::OK);
    };
    // A file that is no plugin is what a check finds; one that can't be read is nobody's fault.
    if let Err(refusal @ (Refusal::NoSuchFile | Refusal::NotPermitted | Refusal::Unreadable(_))) =
        look::read(&file.as_path().into())
    {
        return Err(Error::Plugin { path: file.clone(), source: refusal.into() });
    }
    let image = args.trust.admit(file)?;
    let plan = Plan {
        models: models(args, &image)?,
        image,
        config: config::read(args.config.as_deref())?,
        seed: args.seed,
        only: args.only.clone(),
        deadline: args.timeout,
        memory_bytes_max: u64::from(args.max_memory) << 20,
        at_once: args.jobs.map_or_else(child::at_once, usize::from),
    };
    let done = check::run(&plan);
    let text = if args.json { json(args, file, &done) } else { shown(&text(args, file, &done)) };
    print(&text)?;
    let failed = done.iter().any(|done| done.failed().is_some());
    Ok(if failed { exit::REJECTS } else { exit::OK })
}

/// The models to check: the one asked for, or all that the plugin names.
fn models(args: &CheckArgs, image: &Image) -> Result<Vec<Option<String>>, Error> {
    let models = check::models(image, args.timeout);
    match &args.model {
        Some(asked) if !models.is_empty() && !models.contains(asked) => {
            let models = models.join("`, `");
            Err(Error::usage(format!("the plugin holds no model `{asked}`; it holds `{models}`")))
        }
        Some(asked) => Ok(vec![Some(asked.clone())]),
        // Nobody's model, so that each check has a line that says why it is not run.
        None if models.is_empty() => Ok(vec![None]),
        None => Ok(models.into_iter().map(Some).collect()),
    }
}

fn list(args: &CheckArgs) -> String {
    if args.json {
        let about =
            |check: &Check| json!({"name": check.name, "proves": check.proves, "fix": check.fix});
        return pretty(&check::all().map(about).collect());
    }
    let mut text = String::new();
    for Check { name, proves, fix, .. } in check::all() {
        let _ = writeln!(text, "{name}\n  proves: {proves}\n  fix: {fix}");
    }
    text
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// How many passed, failed and were not run.
fn totals(done: &[Checked]) -> (usize, usize, usize) {
    let failed = done.iter().filter(|done| done.failed().is_some()).count();
    let passed = done.iter().filter(|done| done.verdict.is_ok()).count();
    (passed, failed, done.len() - passed - failed)
}

/// The command that runs a check again.
fn replay(args: &CheckArgs, file: &Path, done: &Checked) -> String {
    // A path that begins with a dash would be taken for a flag.
    let dash = if file.as_os_str().as_encoded_bytes().starts_with(b"-") { "./" } else { "" };
    let file = format!("{dash}{}", file.display());
    let mut words = vec!["etl-host".to_owned(), "check".to_owned(), file];
    let mut flag = |name: &str, value: &str| words.extend([name.to_owned(), value.to_owned()]);
    if let Some(model) = &done.model {
        flag("--model", model);
    }
    if let Some(config) = &args.config {
        flag("--config", config);
    }
    if let Some(trust) = &args.trust.file {
        flag("--trust", &trust.display().to_string());
    }
    let seconds = args.timeout.as_secs_f64().to_string();
    if seconds != TIMEOUT_S {
        flag("--timeout", &seconds);
    }
    if args.max_memory != MEMORY_MIB {
        flag("--max-memory", &args.max_memory.to_string());
    }
    flag("--only", done.check.name);
    flag("--seed", &args.seed.to_string());
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn text(args: &CheckArgs, file: &Path, done: &[Checked]) -> String {
    let mut text = String::new();
    let mut model = &None;
    for alike in done.chunk_by(is_skipped_alike) {
        let (one, last) = (&alike[0], &alike[alike.len() - 1]);
        if one.model != *model {
            model = &one.model;
            let _ = writeln!(text, "\nmodel `{}`", model.as_deref().unwrap_or_default());
        }
        let Check { name, proves, fix, .. } = one.check;
        let _ = match &one.verdict {
            Ok(()) => writeln!(text, "ok   {name}"),
            Err(Finding::NotRun(why)) => match alike.len() {
                1 => writeln!(text, "--   {name}: not run, {why}"),
                count => writeln!(
                    text,
                    "--   {count} checks, from {name} to {}: not run, {why}",
                    last.check.name
                ),
            },
            Err(Finding::Failed(found)) => writeln!(
                text,
                "FAIL {name}: {found}\n       proves: {proves}\n       fix: {fix}\n       again: {}",
                replay(args, file, one)
            ),
        };
    }
    let (passed, failed, not_run) = totals(done);
    let _ = writeln!(text, "\n{passed} passed, {failed} failed, {not_run} not run");
    text
}

/// Whether two checks of one model were not run for the same reason: one line says so for both.
fn is_skipped_alike(one: &Checked, other: &Checked) -> bool {
    matches!((&one.verdict, &other.verdict), (Err(Finding::NotRun(a)), Err(Finding::NotRun(b))) if a == b)
        && one.model == other.model
}

fn json(args: &CheckArgs, file: &Path, done: &[Checked]) -> String {
    let one = |one: &Checked| {
        let (status, detail) = match &one.verdict {
            Ok(()) => ("passed", None),
            Err(Finding::Failed(found)) => ("failed", Some(found)),
            Err(Finding::NotRun(why)) => ("not_run", Some(why)),
        };
        json!({
            "name": one.check.name,
            "model": one.model,
            "status": status,
            "detail": detail,
            "proves": one.check.proves,
            "fix": one.check.fix,
            "again": replay(args, file, one),
        })
    };
    let (passed, failed, not_run) = totals(done);
    pretty(&json!({
        "file": file.display().to_string(),
        "seed": args.seed,
        "passed": passed,
        "failed": failed,
        "not_run": not_run,
        "checks": done.iter().map(one).collect::<Vec<_>>(),
    }))
}

#[derive(Args, Debug)]
pub(super) struct ChildArgs {
    /// What [`Image::lend`] gave
    #[arg(long)]
    held: Option<String>,
    task: String,
    file: PathBuf,
}

/// `etl-host __check TASK FILE`: one check.
pub(super) fn child(args: &ChildArgs) -> Result<u8, Error> {
    child::enter();
    let stdout = Outputs::take_stdout()?.into_stdout();
    let image = Image::borrowed(&args.file, args.held.as_deref());
    let image = image.map_err(|source| Error::Input { path: args.file.clone(), source })?;
    let check = check::child(&args.task, image, stdout).map_err(super::unwritable)?;
    if !check.ends_cleanly() {
        exits::end_now("", exit::OK);
    }
    Ok(exit::OK)
}
