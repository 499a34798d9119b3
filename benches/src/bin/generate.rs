//! Writes iris records to stdout, good and bad, the same for the same seed. What they look like is
//! the library's business.
//!
//! A closed pipe (`… | head`) is a quiet end; the manifest then names the bad records up to there,
//! and perhaps some more that the reader never saw.

use clap::{Args, Parser};
use etl_host_benches::{BadRecord, LONG_LINE_BYTES_MIN, Options, Size};
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Write iris records to stdout, one JSON object a line
#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    end: End,
    /// The same seed gives the same bytes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Share of records that are bad, in nine ways that take turns
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    bad: f64,
    /// Write the place of each bad record to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Put a good record with a line of this many bytes in the middle
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(LONG_LINE_BYTES_MIN..))]
    long_line: Option<u64>,
    /// Begin each record with an `id`, the number of its line
    #[arg(long)]
    id: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct End {
    /// Stop after this many records
    #[arg(long, value_name = "COUNT")]
    records: Option<u64>,
    /// Stop after the record that reaches this many bytes
    #[arg(long, value_name = "BYTES")]
    bytes: Option<u64>,
}

fn main() -> ExitCode {
    match run(Flags::parse()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

fn run(flags: Flags) -> io::Result<()> {
    let records = flags.end.records.map(Size::Records);
    let bytes = flags.end.bytes.map(Size::Bytes);
    let options = Options {
        size: records.or(bytes).expect("clap asks for one of the two"),
        seed: flags.seed,
        bad_percent: flags.bad,
        long_line_bytes: flags.long_line,
        id: flags.id,
    };
    let mut manifest = flags.manifest.map(File::create).transpose()?.map(BufWriter::new);
    let note = |bad: BadRecord| {
        if let Some(manifest) = &mut manifest {
            serde_json::to_writer(&mut *manifest, &bad)?;
            manifest.write_all(b"\n")?;
        }
        Ok(())
    };
    let written = etl_host_benches::write(&options, &mut io::stdout().lock(), note);
    if let Some(mut manifest) = manifest {
        manifest.flush()?;
    }
    written.map(drop)
}
