//! The baseline of the light model, as `static_iris` is that of the iris model. A program of its own,
//! because a model is linked in with the border's symbols, and two would have the same.

use clap::Parser;
use etl_host_benches::by_hand::{Lines, for_each};
use linear_model::LinearModel;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Score the irises in INPUT, one JSON object a line
#[derive(Parser)]
struct Flags {
    /// The flowers
    input: PathBuf,
    /// The scores, in the same order
    output: PathBuf,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    if let Err(error) = score(&flags) {
        _ = writeln!(io::stderr(), "error: {}: {error}", flags.input.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn score(flags: &Flags) -> io::Result<()> {
    let model = LinearModel::fitted()?;
    let mut lines = Lines::create(&flags.output)?;
    for_each(&flags.input, false, |flower| {
        lines.put(&model.score(&flower))?;
        lines.write_block()
    })?;
    lines.finish()
}
