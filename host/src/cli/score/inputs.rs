//! The inputs of a run: how they are read, what they hold, and how long they are.
//!
//! Each is opened when it is its turn: its location, what is compressed in it, its format.

use crate::cli::args::{Records, Task};
use crate::cli::files::Files;
use crate::cli::formats::{compression_told, reads_as_it_is};
use crate::cli::resume;
use crate::error::Error;
use crate::journal::InputFile;
use crate::record::RecordPosition;
use crate::source::many::{self, Waiting};
use crate::source::{self, Source, ldjson, rejects, table};
use crate::step::emit::Emit;
use crate::storage::Memory;
use crate::storage::compressed::decompressed;
use crate::storage::location::Location;
use crate::storage::services::Services;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;
/// How records are read: for a model with this schema.
pub(super) fn options(task: Task<'_>, emit: &Emit, input_schema: &Value) -> source::Options {
    let job = task.job;
    let text = ldjson::Options {
        line_bytes_max: job.line_bytes_max as usize,
        checkpoint_bytes: (job.resume || job.state.is_some()).then_some(job.checkpoint_bytes),
        ..ldjson::Options::default()
    };
    source::Options {
        text,
        csv: job.formats.csv_source(),
        input_schema: Arc::new(input_schema.clone()),
        fields: emit.fields_of_record(input_schema),
    }
}

/// Opens the inputs: in number `index` of them the run begins, where `start` says.
pub(super) fn open(
    (task, services): (Task<'_>, &Arc<Services>),
    files: &Files,
    options: source::Options,
    (index, start): (usize, RecordPosition),
) -> Result<many::Reader, Error> {
    let mut waiting = VecDeque::new();
    if let Records::One(record) = task.records {
        let (record, options) = (one_line(record)?, options.text.clone());
        waiting.push_back(Waiting {
            name: "--record".to_owned(),
            open: Box::new(move |_| {
                let input = Box::new(Memory::new(record));
                Ok(Box::new(ldjson::Reader::new("--record", input, options)))
            }),
        });
    }
    let of_rejected = match task.records {
        Records::Rejects(_) => Some(task.job.formats.of_rejected()),
        Records::Inputs(_) | Records::One(_) => None,
    };
    for location in &files.inputs {
        let (name, location, options) = (location.to_string(), location.clone(), options.clone());
        let (path, services) = (name.clone(), services.clone());
        let format = task.job.formats.of_input(&location);
        if let Some(database) = services.database(&location) {
            let selection = task.job.tables.selection().expect("it was checked that there is one");
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
            match of_rejected {
                Some(format) => {
                    let reader = rejects::Reader::open(format, &path, input, &options)?;
                    Ok(Box::new(reader) as Box<dyn Source>)
                }
                None => source::open(format, &path, input, options),
            }
        };
        waiting.push_back(Waiting { name, open: Box::new(open) });
    }
    many::Reader::open(waiting, index, start)
        .map_err(|(path, source)| Error::Input { path: path.into(), source })
}

/// What the inputs hold, so far as files can tell; nothing is waited for.
pub(super) fn versions(files: &Files, services: &Services) -> Result<Vec<InputFile>, Error> {
    let versions = files.inputs.iter().map(|location| {
        let version = services
            .version(location)
            .map_err(|source| Error::Input { path: location.to_string().into(), source })?;
        let path = match location {
            Location::Local(path) => resume::whole(path),
            elsewhere => elsewhere.to_string().into(),
        };
        Ok(InputFile { path, version: version.unwrap_or_default() })
    });
    versions.collect()
}

/// How many bytes will have been read in the end, where that is known.
pub(super) fn bytes_total(task: Task<'_>, files: &Files, services: &Services) -> Option<u64> {
    let inputs = (!files.inputs.is_empty()).then_some(&files.inputs)?;
    let format = |location| match task.records {
        Records::Rejects(_) => task.job.formats.of_rejected(),
        Records::Inputs(_) | Records::One(_) => task.job.formats.of_input(location),
    };
    let bytes = inputs.iter().map(|location| match reads_as_it_is(location, format(location)) {
        true => services.bytes_total(location),
        false => None,
    });
    bytes.sum()
}

/// A record that may have been written over several lines. Line feeds between tokens are white
/// space; one inside a string is not JSON, and must not be made so.
fn one_line(record: &str) -> Result<String, Error> {
    if record.trim().is_empty() {
        return Err(Error::usage("the record is empty"));
    }
    if record.contains(['\n', '\r'])
        && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(record)
    {
        return Err(Error::usage(format!("the record is not JSON: {error}")));
    }
    Ok(record.replace(['\n', '\r'], " "))
}
