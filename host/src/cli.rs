//! The command line. Flags in, result out; the only part that prints.
//!
//! Results go to stdout, everything for people to stderr. Today there is one command, scoring; it
//! needs no name.

mod args;
mod exits;
mod outputs;
mod paths;
mod progress;
mod score;
mod signals;

use clap::Parser;
use std::ffi::OsString;
use std::io::Write;

/// Runs a command line, program name first, and returns the exit code.
pub fn main(args: impl Iterator<Item = OsString>) -> u8 {
    let args = match args::ScoreArgs::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return error.exit_code() as u8;
        }
    };
    match score::score(&args) {
        Ok(code) => code,
        Err(error) => {
            say(&error.report());
            if args.verbose
                && let Some(report) = score::long_report(&error)
            {
                say(report);
            }
            error.exit_code()
        }
    }
}

/// Says something to people. Where nobody can be told (stderr is closed), the run goes on.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(shown(text).as_bytes());
}

/// A text as people are to see it. Names and messages come from plugins and data: what would steer
/// a terminal is written out.
fn shown(text: &str) -> String {
    let steers = |c: char| c.is_control() && c != '\n' && c != '\t';
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        if steers(c) {
            shown.extend(c.escape_default())
        } else {
            shown.push(c)
        }
        shown
    })
}
