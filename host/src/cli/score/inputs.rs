//! The inputs of a run: how they are read, what they hold, and how long they are.
//!
//! Each is opened when it is its turn: its location, what is compressed in it, its format.

use super::shapes::Reads;
use crate::cli::files::Files;
use crate::cli::formats::{compression_told, of_input, reads_as_it_is};
use crate::cli::job::Job;
use crate::cli::resume;
use crate::error::Error;
use crate::journal::InputFile;
use crate::record::RecordPosition;
use crate::source::many::{self, Waiting};
use crate::source::range::Ranged;
use crate::source::{self, Source, ldjson, rejects, table};
use crate::spec::{Records, SourceSpec};
use crate::storage::Memory;
use crate::storage::compressed::decompressed;
use crate::storage::location::Location;
use crate::storage::services::Services;
use std::collections::VecDeque;
use std::sync::Arc;

/// Opens the sources: in number `index` of all inputs the run begins, where `start` says.
pub(super) fn open(
    (job, services): (&Job<'_>, &Arc<Services>),
    files: &Files,
    reads: &[Reads],
    (index, start): (usize, RecordPosition),
) -> Result<Vec<many::Reader>, Error> {
    let mut before = 0;
    let sources = job.spec.sources.iter().zip(&files.sources).zip(reads);
    let opened = sources.map(|((source, locations), reads)| {
        let waiting = waiting((job, services), (&source.name, &source.what), locations, reads)?;
        let inputs = waiting.len();
        let first = before;
        before += inputs;
        let start = match index.checked_sub(first) {
            None => Some((0, RecordPosition::default())), // it comes later
            Some(index) if index < inputs => Some((index, start)),
            Some(_) => None, // it is done
        };
        many::Reader::open_behind(waiting, first, start)
            .map_err(|(path, source)| Error::Input { path: path.into(), source })
    });
    opened.collect()
}

/// The inputs of a source, each to be opened when it is its turn.
fn waiting(
    (job, services): (&Job<'_>, &Arc<Services>),
    (node, source): (&str, &SourceSpec),
    locations: &[Location],
    reads: &Reads,
) -> Result<VecDeque<Waiting>, Error> {
    let text = ldjson::Options {
        line_bytes_max: source.line_bytes_max as usize,
        checkpoint_bytes: job.is_resumable().then_some(job.run.checkpoint_bytes),
        range: source.range.map(|range| Ranged { range, lines_read: job.lines_read.clone() }),
        ..ldjson::Options::default()
    };
    let options = source::Options {
        text,
        csv: source.csv.clone(),
        input_schema: reads.schema.clone(),
        fields: reads.fields.clone(),
    };
    let mut waiting = VecDeque::new();
    if let Records::One(record) = &source.records {
        let of = if job.is_named() { format!(" of `{node}`") } else { String::new() };
        let record = one_line(record, || format!("the record{of}"))?;
        let (name, options) = (name_of_record(job, node), options.text.clone());
        let source = name.clone();
        let open = move |_: RecordPosition| {
            let input = Box::new(Memory::new(record));
            let reader = ldjson::Reader::new(&source, input, options);
            Ok(Box::new(reader) as Box<dyn Source>)
        };
        waiting.push_back(Waiting { name, open: Box::new(open) });
    }
    let are_rejected = matches!(source.records, Records::Rejects(_));
    for location in locations {
        let (name, location, options) = (location.to_string(), location.clone(), options.clone());
        let (path, services) = (source.relative.name_of(&location), services.clone());
        let format = of_input(source, &location);
        if let Some(database) = services.database(&location) {
            let selection = source.selection.clone().expect("it was checked that there is one");
            let open = move |_: RecordPosition| {
                let reader = table::Reader::open(&path, &database, &selection, options.text);
                reader.map(|reader| Box::new(reader) as Box<dyn Source>)
            };
            waiting.push_back(Waiting { name, open: Box::new(open) });
            continue;
        }
        let open = move |start: RecordPosition| {
            let input = decompressed(services.open(&location)?, compression_told(&location))?;
            let text = ldjson::Options { start, ..options.text };
            let options = source::Options { text, ..options };
            match are_rejected {
                true => {
                    let reader = rejects::Reader::open(format, &path, input, &options)?;
                    Ok(Box::new(reader) as Box<dyn Source>)
                }
                false => source::open(format, &path, input, options),
            }
        };
        waiting.push_back(Waiting { name, open: Box::new(open) });
    }
    Ok(waiting)
}

/// The name of a record that was given in place of an input.
fn name_of_record(job: &Job<'_>, node: &str) -> String {
    if job.is_named() { node.to_owned() } else { "--record".to_owned() }
}

/// All inputs, in the order in which they are read: the name of each, where it is, if it is anywhere, and
/// the number of its source.
pub(super) fn all<'a>(
    job: &Job<'_>,
    files: &'a Files,
) -> impl Iterator<Item = (String, Option<&'a Location>, usize)> {
    let sources = job.spec.sources.iter().zip(&files.sources).enumerate();
    sources.flat_map(|(number, (source, locations))| {
        let record = matches!(source.what.records, Records::One(_))
            .then(|| (name_of_record(job, &source.name), None, number));
        let locations =
            locations.iter().map(move |location| (location.to_string(), Some(location), number));
        record.into_iter().chain(locations)
    })
}

/// The source that a table of a lookup is read from.
pub(super) fn table(
    (job, services): (&Job<'_>, &Arc<Services>),
    (node, source): (&str, &SourceSpec),
    locations: &[Location],
) -> Result<many::Reader, Error> {
    let reads = Reads::typed(&source.types);
    let waiting = waiting((job, services), (node, source), locations, &reads)?;
    many::Reader::open(waiting, 0, RecordPosition::default())
        .map_err(|(path, source)| Error::Input { path: path.into(), source })
}

/// What the inputs hold, so far as files can tell; nothing is waited for.
pub(super) fn versions(files: &Files, services: &Services) -> Result<Vec<InputFile>, Error> {
    files.inputs().map(|location| version(location, services)).collect()
}

/// What an input holds.
pub(super) fn version(location: &Location, services: &Services) -> Result<InputFile, Error> {
    let version = services
        .version(location)
        .map_err(|source| Error::Input { path: location.to_string().into(), source })?;
    let path = match location {
        Location::Local(path) => resume::whole(path),
        elsewhere => elsewhere.to_string().into(),
    };
    Ok(InputFile { path, version: version.unwrap_or_default() })
}

/// How many bytes will have been read in the end, where that is known.
pub(super) fn bytes_total(job: &Job<'_>, files: &Files, services: &Services) -> Option<u64> {
    files.inputs().next()?;
    let sources = job.spec.sources.iter().zip(&files.sources);
    let bytes = sources.flat_map(|(source, locations)| {
        locations.iter().map(|location| {
            let is_known = reads_as_it_is(location, of_input(&source.what, location));
            let total = services.bytes_total(location).filter(|_| is_known)?;
            Some(source.what.range.map_or(total, |range| range.bytes_of(total)))
        })
    });
    bytes.sum()
}

/// A record that may have been written over several lines. Line feeds between tokens are white
/// space; one inside a string is not JSON, and must not be made so. `what` it is stands in the error.
pub(super) fn one_line(record: &str, what: impl Fn() -> String) -> Result<String, Error> {
    if record.trim().is_empty() {
        return Err(Error::usage(format!("{} is empty", what())));
    }
    if record.contains(['\n', '\r'])
        && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(record)
    {
        return Err(Error::usage(format!("{} is not JSON: {error}", what())));
    }
    Ok(record.replace(['\n', '\r'], " "))
}
