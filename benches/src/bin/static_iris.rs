//! The baseline: what a good engineer writes by hand for this one job. The model linked in, one
//! thread, the end at the first bad record.
//!
//! It does less than `etl-host` on purpose (no reject, an array passes for a flower, nothing flushed
//! to disk, no temporary output): what the host costs more is the price of those.

use clap::Parser;
use iris_model::{Flower, Prediction, Species, svc};
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
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let result = match &flags.output {
        Some(output) => predict(&flags.input, output, flags.plain),
        None => for_each_flower(&flags.input, |flower| {
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

fn predict(input: &Path, output: &Path, plain: bool) -> io::Result<()> {
    let svc = svc::Svc::from_json(include_str!("../../../plugins/iris_model/data/svc.json"))?;
    let mut output = File::create(output)?;
    let mut block = Vec::with_capacity(WRITE_BYTES + 64 * BATCH_ROWS);
    let mut write = |rows: &[[f64; svc::FEATURES]]| {
        let decisions = match plain {
            true => rows.iter().map(|&row| svc.decisions_plainly(row)).collect(),
            false => svc.decisions(rows),
        };
        for decisions in decisions {
            let prediction = Prediction { species: Species::ALL[svc::vote(&decisions)] };
            serde_json::to_writer(&mut block, &prediction)?;
            block.push(b'\n');
        }
        if block.len() >= WRITE_BYTES || rows.len() < BATCH_ROWS {
            output.write_all(&block)?;
            block.clear();
        }
        Ok(())
    };
    let mut rows = Vec::with_capacity(BATCH_ROWS);
    for_each_flower(input, |flower| {
        rows.push(flower.features());
        if rows.len() == BATCH_ROWS {
            write(&rows)?;
            rows.clear();
        }
        Ok(())
    })?;
    write(&rows)
}

fn for_each_flower(input: &Path, mut see: impl FnMut(Flower) -> io::Result<()>) -> io::Result<()> {
    let mut input = File::open(input)?;
    let mut buffer = vec![0; READ_BYTES];
    let mut line = 0_u64;
    let mut see = |text: &[u8]| {
        line += 1;
        if text.trim_ascii().is_empty() {
            return Ok(());
        }
        // As a text: serde_json then need not check each string for UTF-8, which costs more.
        let text = std::str::from_utf8(text).map_err(io::Error::other)?;
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
