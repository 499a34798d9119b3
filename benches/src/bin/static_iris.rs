//! The baseline: what a good engineer writes by hand for this one job. The model linked in, one
//! thread, the end at the first bad record.
//!
//! It does less than `etl-host` on purpose (no reject, an array passes for a flower, nothing flushed
//! to disk, no temporary output): what the host costs more is the price of those.

/// The very file of `model-abi`, which shows it to nobody.
#[path = "../../../model-abi/src/parse/quick.rs"]
mod quick;

use clap::Parser;
use iris_model::{Prediction, Species, svc};
use linear_model::LinearModel;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const READ_BYTES: usize = 1 << 20; // grows for a longer line
const WRITE_BYTES: usize = 256 << 10;
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
    /// Ask the linear model for its score instead
    #[arg(long, conflicts_with_all = ["parse_only", "plain"])]
    linear: bool,
    /// Parse as plugins do, and not with serde_json alone
    #[arg(long)]
    quick: bool,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let result = match &flags.output {
        Some(output) if flags.linear => score(&flags, output),
        Some(output) => predict(&flags, output),
        None => for_each(&flags, |flower: iris_model::Flower| {
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
        lines.write_if(WRITE_BYTES)
    };
    let mut rows = Vec::with_capacity(BATCH_ROWS);
    for_each(flags, |flower: iris_model::Flower| {
        rows.push(flower.features());
        if rows.len() == BATCH_ROWS {
            write(&rows)?;
            rows.clear();
        }
        Ok(())
    })?;
    write(&rows)?;
    lines.write_if(0)
}

fn score(flags: &Flags, output: &Path) -> io::Result<()> {
    let model = LinearModel::fitted()?;
    let mut lines = Lines::create(output)?;
    for_each(flags, |flower| {
        lines.put(&model.score(&flower))?;
        lines.write_if(WRITE_BYTES)
    })?;
    lines.write_if(0)
}

/// The output, in blocks.
struct Lines {
    output: File,
    block: Vec<u8>,
}

impl Lines {
    fn create(output: &Path) -> io::Result<Self> {
        let block = Vec::with_capacity(WRITE_BYTES + 64 * BATCH_ROWS);
        Ok(Lines { output: File::create(output)?, block })
    }

    fn put(&mut self, prediction: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.block, prediction)?;
        self.block.push(b'\n');
        Ok(())
    }

    fn write_if(&mut self, bytes: usize) -> io::Result<()> {
        if self.block.len() >= bytes {
            self.output.write_all(&self.block)?;
            self.block.clear();
        }
        Ok(())
    }
}

fn for_each<F: DeserializeOwned>(
    flags: &Flags,
    mut see: impl FnMut(F) -> io::Result<()>,
) -> io::Result<()> {
    let mut input = File::open(&flags.input)?;
    let mut buffer = vec![0; READ_BYTES];
    let mut line = 0_u64;
    let mut see = |text: &[u8]| {
        line += 1;
        if text.trim_ascii().is_empty() {
            return Ok(());
        }
        // As a text: serde_json then need not check each string for UTF-8, which costs more.
        let text = std::str::from_utf8(text).map_err(io::Error::other)?;
        if flags.quick
            && let Some(flower) = quick::parse(text)
        {
            return see(flower);
        }
        let flower = serde_json::from_str(text)
            .map_err(|error| io::Error::other(format!("line {line}: {error}")))?;
        see(flower)
    };
    let mut kept = 0; // bytes at the buffer's start that belong to a line that goes on
    loop {
        if kept == buffer.len() {
            buffer.resize(2 * kept, 0);
        }
        let read = input.read(&mut buffer[kept..])?;
        if read == 0 {
            return see(&buffer[..kept]);
        }
        let mut start = 0;
        for newline in memchr::memchr_iter(b'\n', &buffer[kept..kept + read]) {
            see(&buffer[start..kept + newline])?;
            start = kept + newline + 1;
        }
        buffer.copy_within(start..kept + read, 0);
        kept = kept + read - start;
    }
}
