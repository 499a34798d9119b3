//! `--range`, and what it has in common with `split`: which inputs can be read in ranges at all.
//!
//! What can't be is told before anything is loaded: whoever runs a job in ranges would else read an input
//! that is compressed once for each of them, or wait for a pipe.

use super::files::{Files, Plan};
use super::formats::{compression_told, of_input, of_output};
use super::job::Job;
use crate::error::Error;
use crate::format::{Compression, Format};
use crate::record::Lines;
use crate::spec::{SourceSpec, StepSpec};
use crate::storage::Input;
use crate::storage::compressed::TELLING_BYTES;
use crate::storage::location::Location;
use crate::storage::services::Services;
use std::io;

/// Refuses a range of what can't be read in ranges.
pub(super) fn check(job: &Job<'_>, plan: &Plan, services: &Services) -> Result<(), Error> {
    let mut sources = job.spec.sources.iter().map(|source| &source.what);
    let Some((source, range)) = sources.find_map(|source| Some((source, source.range?))) else {
        return Ok(());
    };
    let inputs: Vec<&Location> = plan.runs.iter().flat_map(Files::inputs).collect();
    let [input] = inputs[..] else {
        return Err(refused(
            format!("--range is of one input, and there are {}", inputs.len()),
            "`etl-host split` prints the ranges of several",
        ));
    };
    if let Some(why) = why_whole(source, input, &*open(input, services)?)? {
        return Err(refused(
            format!("`{input}` can't be read in ranges: {why}"),
            "read it whole, without --range",
        ));
    }
    let has_place = job.spec.steps.iter().any(|step| matches!(step.what, StepSpec::Place));
    let is_table = |output: &Location| {
        let sink = &job.spec.sinks[0].what;
        of_output(sink, output).is_table() || services.database(output).is_some()
    };
    let mut outputs = plan.runs.iter().flat_map(|files| &files.outputs);
    if has_place && range.lines() == Lines::Range && outputs.any(is_table) {
        return Err(refused(
            "--place writes a column `line`, and of this range no line is known".to_owned(),
            "say on which line it begins, --range OFFSET:LENGTH:LINE, or write LDJSON",
        ));
    }
    Ok(())
}

/// Opens an input that is read more than once, and anywhere.
pub(super) fn open(input: &Location, services: &Services) -> Result<Box<dyn Input>, Error> {
    let why = match input {
        Location::Stream => Some("it can be read only once"),
        Location::Local(path) if path.metadata().is_ok_and(|it| !it.is_file()) => {
            Some("it is no file")
        }
        input if services.database(input).is_some() => Some("it is a database"),
        _ => None,
    };
    if let Some(why) = why {
        return Err(refused(
            format!("`{input}` can't be read in ranges: {why}"),
            "only files and objects can be: write the records to one first",
        ));
    }
    services.open(input).map_err(|source| Error::Input { path: input.to_string().into(), source })
}

/// Why it can be read only as a whole, if that is so.
pub(super) fn why_whole(
    source: &SourceSpec,
    location: &Location,
    input: &dyn Input,
) -> Result<Option<String>, Error> {
    let format = of_input(source, location);
    if !matches!(format, Format::Ldjson | Format::Csv | Format::Tsv) {
        return Ok(Some(format!(
            "it is {}, and only lines and rows of text can be",
            format.name()
        )));
    }
    let first = first_bytes(input)
        .map_err(|source| Error::Input { path: location.to_string().into(), source })?;
    let compression = Compression::of_bytes(&first).or_else(|| compression_told(location));
    Ok(compression.map(|it| format!("it is compressed with {}", it.name())))
}

fn first_bytes(input: &dyn Input) -> io::Result<Vec<u8>> {
    if let Some(first) = input.first_bytes() {
        return first;
    }
    let access = input.random_access().ok_or(io::ErrorKind::NotSeekable)??;
    access.read_at(0, access.bytes_total().min(TELLING_BYTES as u64) as usize)
}

pub(super) fn refused(message: String, hint: &str) -> Error {
    Error::Usage { message, hint: Some(hint.to_owned()) }
}
