//! The command line. Flags in, result out; the only part that prints.
//!
//! Results go to stdout, everything for people to stderr. Scoring needs no name; every other
//! command has one, and a file of its own here, but for `replay`, which is scoring too.

mod args;
mod check;
mod commit;
mod config;
mod describe;
mod doctor;
mod dry_run;
mod exits;
mod files;
mod formats;
mod graph;
mod hold;
mod inspect;
mod isolate;
mod job;
mod list;
mod new;
mod outputs;
mod paths;
mod printed;
mod progress;
mod range;
mod resume;
mod run;
mod schema;
mod score;
mod sense;
mod services;
mod signals;
mod smallest;
mod split;
mod status;
mod tables;
mod test;
mod trust;
mod validate;
mod work;

use crate::error::Error;
use crate::pipeline::RunError;
use args::{ReplayArgs, ScoreArgs};
use clap::{Args as _, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use std::ffi::OsString;
use std::io::{self, Write};
use std::time::Duration;

/// Runs machine-learning models, shipped as plugins, over data in bulk
///
/// Reads records (lines of JSON, CSV, Parquet, rows of a database and others), asks the plugin's model
/// about each, and writes a prediction for each, in the order of the records. A record that can't go on
/// is set aside with its place and the reason, and the run goes on. An output appears complete or not at
/// all.
///
/// Exit codes: 0 every record written; 1 finished, some records rejected; 2 wrong command line;
/// 3 input or output failed; 4 plugin refused; 5 model broken; 6 stopped by a limit that was set;
/// 129, 130 and 143 interrupted; 101 a bug in etl-host.
#[derive(Parser, Debug)]
#[command(name = "etl-host", version, max_term_width = 100)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Cli {
    /// Without one: scoring, whose flags are [`args::ScoreArgs`].
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    Run(Box<run::RunFileArgs>),
    Validate(validate::ValidateArgs),
    Test(test::TestArgs),
    Graph(graph::GraphArgs),
    Schema(schema::SchemaArgs),
    Replay(Box<ReplayArgs>),
    Split(split::SplitArgs),
    Commit(commit::CommitArgs),
    Inspect(inspect::InspectArgs),
    Check(check::CheckArgs),
    List(list::ListArgs),
    New(new::NewArgs),
    Doctor(doctor::DoctorArgs),
    Status(status::StatusArgs),
    #[command(name = crate::plugin::judge::COMMAND, hide = true)]
    Describe(describe::DescribeArgs),
    #[command(name = crate::isolation::COMMAND, hide = true)]
    Work,
    #[command(name = crate::check::COMMAND, hide = true)]
    CheckChild(check::ChildArgs),
}

/// Runs a command line, program name first, and returns the exit code.
pub fn main(args: impl Iterator<Item = OsString>) -> u8 {
    let (command, score) = match parse(args) {
        Ok(parsed) => parsed,
        Err(error) => {
            let _ = error.print();
            return error.exit_code() as u8;
        }
    };
    let verbose = match (&command, &score) {
        (Some(Command::Replay(replay)), _) => replay.job.run.verbose,
        (Some(Command::Run(run)), _) => run.run.verbose,
        (_, score) => score.as_ref().is_some_and(|score| score.job.run.verbose),
    };
    let done = match (command, score) {
        (Some(Command::Run(args)), _) => run::run(&args),
        (Some(Command::Validate(args)), _) => validate::validate(&args),
        (Some(Command::Test(args)), _) => test::test(&args),
        (Some(Command::Graph(args)), _) => graph::graph(&args),
        (Some(Command::Schema(args)), _) => schema::schema(&args),
        (Some(Command::Replay(args)), _) => args.job().and_then(|job| score::score(&job)),
        (Some(Command::Split(args)), _) => split::split(&args),
        (Some(Command::Commit(args)), _) => commit::commit(&args),
        (Some(Command::Inspect(args)), _) => inspect::inspect(&args),
        (Some(Command::List(args)), _) => list::list(&args),
        (Some(Command::New(args)), _) => new::new(&args),
        (Some(Command::Doctor(args)), _) => doctor::doctor(&args),
        (Some(Command::Status(args)), _) => status::status(&args),
        (Some(Command::Describe(args)), _) => describe::describe(&args),
        (Some(Command::Work), _) => work::work(),
        (Some(Command::Check(args)), _) => check::check(&args),
        (Some(Command::CheckChild(args)), _) => check::child(&args),
        (None, Some(args)) => args.job().and_then(|job| score::score(&job)),
        (None, None) => unreachable!("it is one or the other"),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            say(&error.report());
            if verbose && let Some(report) = score::long_report(&error) {
                say(report);
            }
            error.exit_code()
        }
    }
}

/// Either a command or, where none is named, the flags of scoring. (An optional group of flags that
/// holds other groups is never seen by clap's derive.)
fn parse(
    args: impl Iterator<Item = OsString>,
) -> Result<(Option<Command>, Option<ScoreArgs>), clap::Error> {
    let matches =
        ScoreArgs::augment_args(Cli::command()).try_get_matches_from(services::rewritten(args))?;
    let Cli { command } = Cli::from_arg_matches(&matches)?;
    let score = command.is_none().then(|| ScoreArgs::from_arg_matches(&matches)).transpose()?;
    Ok((command, score))
}

/// A duration given in seconds, such as `10` or `0.5`.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 =
        text.parse().map_err(|_| "expected a number of seconds, such as 10 or 0.5".to_owned())?;
    let most = 86_400.0;
    if seconds > 0.0 && seconds <= most {
        return Ok(Duration::from_secs_f64(seconds));
    }
    Err(format!("expected more than 0 and at most {most} seconds"))
}

/// A duration that may be nothing.
fn pause(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(0.0) => Ok(Duration::ZERO),
        _ => seconds(text).map_err(|_| "expected a number of seconds, 0 to 86400".to_owned()),
    }
}

/// Says something to people. Where nobody can be told (stderr is closed), the run goes on.
fn say(text: &str) {
    let _ = io::stderr().write_all(shown(text).as_bytes());
}

/// Writes a result to stdout. A closed pipe is a quiet end.
fn print(text: &str) -> Result<(), Error> {
    let mut stdout = io::stdout();
    let printed = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(unwritable(error)),
        _ => Ok(()),
    }
}

/// So many of something.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Stdout took no more of a command's result.
fn unwritable(source: io::Error) -> Error {
    RunError::Write { what: "stdout".to_owned(), source }.into()
}

/// A text as people are to see it. Names and messages come from plugins and data: what would steer
/// a terminal is written out.
fn shown(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let steers = |c: char| (c.is_control() && c != '\n' && c != '\t') || turns(c);
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        if steers(c) {
            shown.extend(c.escape_default())
        } else {
            shown.push(c)
        }
        shown
    })
}

/// A text that stays on its line: a name or a description must not look like lines of ours.
fn on_a_line(text: &str) -> String {
    shown(&text.replace('\n', "\\n").replace('\t', "\\t"))
}
