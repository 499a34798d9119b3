//! The baseline: what a good engineer writes by hand for this one job. The model linked in, one
//! thread, the end at the first bad record.
//!
//! It does less than `etl-host` on purpose (no reject, an array passes for a flower, nothing flushed
//! to disk, no temporary output): with `--quick`, which parses as plugins do, what the host costs more
//! is the price of those.

use clap::Parser;
use etl_host_benches::by_hand::{Lines, for_each};
use iris_model::{Prediction, Species, svc};
use std::hint::black_box;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Flowers that are predicted at once: many blocks of the model's, and still in the fastest cache.
const BATCH_ROWS: usize = 256;

/// Predict the species of the irises in INPUT, one JSON object a line
#[derive(Parser)]
struct Flags {
    /// The flowers
    input: PathBuf,
    /// The predictions, in the same order
    #[arg(required_unless_present = "parse_only")]
    output: Option<PathBuf>,
    /// Parse the flowers, predict and write nothing
    #[arg(long, conflicts_with = "output")]
    parse_only: bool,
    /// Predict each flower alone, by the plain sum
    #[arg(long, conflicts_with = "parse_only")]
    plain: bool,
    /// Parse as plugins do, and not with serde_json alone
    #[arg(long)]
    quick: bool,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let result = match &flags.output {
        Some(output) => predict(&flags, output),
        None => for_each(&flags.input, flags.quick, |flower: iris_model::Flower| {
            black_box(flower);
            Ok(())
        }),
    };
    if let Err(error) = result {
        _ = writeln!(io::stderr(), "error: {}: {error}", flags.input.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn predict(flags: &Flags, output: &Path) -> io::Result<()> {
    let svc = svc::Svc::from_json(include_str!("../../../plugins/iris_model/data/svc.json"))?;
    let mut lines = Lines::create(output)?;
    let mut write = |rows: &[[f64; svc::FEATURES]]| {
        let decisions = match flags.plain {
            true => rows.iter().map(|&row| svc.decisions_plainly(row)).collect(),
            false => svc.decisions(rows),
        };
        for decisions in decisions {
            lines.put(&Prediction { species: Species::ALL[svc::vote(&decisions)] })?;
        }
        lines.write_block()
    };
    let mut rows = Vec::with_capacity(BATCH_ROWS);
    for_each(&flags.input, flags.quick, |flower: iris_model::Flower| {
        rows.push(flower.features());
        if rows.len() == BATCH_ROWS {
            write(&rows)?;
            rows.clear();
        }
        Ok(())
    })?;
    write(&rows)?;
    lines.finish()
}
