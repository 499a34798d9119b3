//! What of a pipeline's options can't be, or would do nothing, with the files and databases that it reads
//! and writes. Told before anything is opened.

use super::files::{Files, Plan};
use super::formats::{compression_of_output, of_input, of_output};
use super::job::{Job, Part};
use crate::error::Error;
use crate::format::Format;
use crate::source;
use crate::spec::{Node, Records, SinkSpec, SourceSpec};
use crate::storage::location::Location;
use crate::storage::services::Services;
use std::io::IsTerminal;

/// Refuses options that can't be, or would do nothing.
pub(super) fn check(job: &Job<'_>, plan: &Plan, services: &Services) -> Result<(), Error> {
    let files = &plan.runs;
    let locations = |at: usize| files.iter().flat_map(move |files| &files.sources[at]);
    let outputs = |at: usize| files.iter().map(move |files| &files.outputs[at]);
    let sources = || job.spec.sources.iter().enumerate();
    let sinks = || job.spec.sinks.iter().enumerate();
    let formats_in = |at: usize| formats_of(&job.spec.sources[at].what, locations(at));
    let reads = sources().any(|(at, _)| formats_in(at).iter().any(is_table));
    let writes = |at: usize| {
        let sink = &job.spec.sinks[at].what;
        outputs(at).any(|output| is_table(&of_output(sink, output)))
    };
    let writes_any = sinks().any(|(at, _)| writes(at));
    for (at, source) in sources() {
        let formats = formats_in(at);
        let what = (Part::Source, &*source.name, &source.what);
        check_source(job, what, &formats, reads || (!job.is_named() && writes_any))?;
        let inputs: Vec<_> = locations(at).collect();
        if let Some(input) = check_selection(job, what, &inputs, services)? {
            check_database(job, input, plan)?;
        }
    }
    for (at, sink) in sinks() {
        check_sink(job, sink, writes(at))?;
        outputs(at).try_for_each(|output| check_output(job, sink, output))?;
        check_table_written(job, sink, &outputs(at).collect::<Vec<_>>(), services)?;
    }
    check_rejects(files, services)
}

/// The same of the table that a step looks into.
pub(super) fn check_lookup(
    job: &Job<'_>,
    (name, table): (&str, &SourceSpec),
    locations: &[Location],
    services: &Services,
) -> Result<(), Error> {
    let what = (Part::Lookup, name, table);
    let formats = formats_of(table, locations.iter());
    check_source(job, what, &formats, formats.iter().any(is_table))?;
    check_selection(job, what, &locations.iter().collect::<Vec<_>>(), services).map(drop)
}

fn is_table(format: &Format) -> bool {
    matches!(format, Format::Csv | Format::Tsv)
}

fn formats_of<'a>(
    source: &SourceSpec,
    locations: impl Iterator<Item = &'a Location>,
) -> Vec<Format> {
    match source.records {
        Records::One(_) => Vec::new(),
        Records::Rejects(_) => vec![source.format.unwrap_or(Format::Ldjson)],
        Records::Inputs(_) => locations.map(|location| of_input(source, location)).collect(),
    }
}

fn refused(message: String, hint: impl Into<String>) -> Error {
    Error::Usage { message, hint: Some(hint.into()) }
}

/// `is_null_value_of_use`: whether anything is read or written that knows one.
fn check_source(
    job: &Job<'_>,
    what @ (part, name, source): (Part, &str, &SourceSpec),
    formats: &[Format],
    is_null_value_of_use: bool,
) -> Result<(), Error> {
    let option = |key| job.option(part, name, key);
    let reads = formats.iter().any(is_table);
    if matches!(source.records, Records::One(_)) && source.format.is_some() {
        let record = if job.is_named() { "a record" } else { "the record of --record" };
        let message = format!("{} is of no use: {record} is JSON", option("format"));
        return Err(Error::usage(message));
    }
    let (csv, usual) = (&source.csv, source::csv::Options::default());
    let fields = csv.fields.as_deref().unwrap_or_default();
    for (key, is_given, is_of_use) in [
        ("delimiter", csv.delimiter.is_some(), reads),
        ("quote", csv.quote != usual.quote, reads),
        ("fields", csv.fields.is_some(), reads),
        ("types", !source.types.is_empty(), reads),
        ("null_value", !csv.null_value.is_empty(), reads || is_null_value_of_use),
    ] {
        if is_given && !is_of_use {
            let nothing = match part {
                Part::Lookup => "the table is no",
                _ if key == "null_value" && !job.is_named() => "no input or output is",
                _ => "no input is",
            };
            return Err(refused(
                format!("{} is of no use: {nothing} CSV or TSV", option(key)),
                format!("is it one? then say so: {}", job.set(part, name, "format", "csv")),
            ));
        }
    }
    if csv.has_header && fields.is_empty() {
        let message = format!("{} is of use only with {}", option("header"), option("fields"));
        return Err(Error::usage(message));
    }
    if matches!(source.records, Records::Rejects(_)) && reads {
        if csv.has_header {
            let header = option("header");
            return Err(Error::usage(format!(
                "{header} is of no use: in a rejects file there is none"
            )));
        }
        if fields.is_empty() {
            let set = job.set(Part::Source, name, "fields", "a,b,c");
            return Err(refused(
                "the rows in a rejects file have no header to name their columns".to_owned(),
                format!("name them, in the order of the input's header: {set}"),
            ));
        }
    }
    if let Some(why) = source::csv::fault_of_names(fields) {
        return Err(Error::usage(format!("{} can't be so: {why}", option("fields"))));
    }
    check_characters(job, what, formats)
}

/// Whether each character and text can be told from the others.
fn check_characters(
    job: &Job<'_>,
    (part, name, source): (Part, &str, &SourceSpec),
    formats: &[Format],
) -> Result<(), Error> {
    let option = |key| job.option(part, name, key);
    let csv = &source.csv;
    if formats.iter().filter(|it| is_table(it)).any(|it| Some(csv.delimiter_of(*it)) == csv.quote) {
        let (delimiter, quote) = (option("delimiter"), option("quote"));
        return Err(Error::usage(format!("{delimiter} and {quote} are the same character")));
    }
    let delimiters = job.spec.sinks.iter().map(|sink| sink.what.csv.delimiter);
    let special = [csv.delimiter, csv.quote, Some(b'"'), Some(b',')].into_iter().chain(delimiters);
    check_null_value(&option("null_value"), &csv.null_value, special.flatten())
}

fn check_null_value(
    option: &str,
    null_value: &str,
    special: impl Iterator<Item = u8>,
) -> Result<(), Error> {
    match special.chain(*b"\t\r\n").find(|byte| null_value.as_bytes().contains(byte)) {
        Some(byte) => Err(Error::usage(format!(
            "{option} must hold no delimiter, quote or line break, and holds {:?}",
            char::from(byte)
        ))),
        None => Ok(()),
    }
}

fn check_sink(
    job: &Job<'_>,
    Node { name, what: sink, .. }: &Node<SinkSpec>,
    writes: bool,
) -> Result<(), Error> {
    let option = |key| job.option(Part::Sink, name, key);
    let csv = &sink.csv;
    let has_null_value = job.is_named() && !csv.null_value.is_empty();
    for (key, is_given) in [
        ("delimiter", csv.delimiter.is_some()),
        ("header", !csv.has_header),
        ("null_value", has_null_value),
    ] {
        if is_given && !writes {
            return Err(refused(
                format!("{} is of no use: no output is CSV or TSV", option(key)),
                format!("is it one? then say so: {}", job.set(Part::Sink, name, "format", "csv")),
            ));
        }
    }
    if has_null_value {
        let special = [csv.delimiter, Some(b'"'), Some(b',')].into_iter().flatten();
        check_null_value(&option("null_value"), &csv.null_value, special)?;
    }
    Ok(())
}

fn check_output(
    job: &Job<'_>,
    Node { name, what: sink, .. }: &Node<SinkSpec>,
    output: &Location,
) -> Result<(), Error> {
    let format = of_output(sink, output);
    // Nobody could read it then.
    if let Some(compression) = compression_of_output(sink, output).filter(|_| format.is_binary()) {
        let (format, compression) = (format.name(), compression.name());
        return Err(refused(
            format!("`{output}` can't be {format} that is compressed with {compression}"),
            format!(
                "such a file compresses what is in it, and is read from its end: leave the ending \
                 away, or say {}",
                job.set(Part::Sink, name, "compression", "none")
            ),
        ));
    }
    if format.is_binary() && *output == Location::Stream && std::io::stdout().is_terminal() {
        let name_one = job.set(Part::Sink, name, "path", "FILE");
        return Err(refused(
            format!("{} is not for terminals", format.name()),
            format!("name a file, {name_one}, or pipe it to who reads it"),
        ));
    }
    Ok(())
}

fn check_rejects(files: &[Files], services: &Services) -> Result<(), Error> {
    let mut rejects = files.iter().map(|files| &files.rejects);
    match rejects.find(|location| services.database(location).is_some()) {
        Some(rejects) => Err(refused(
            format!("rejects can't go to a database, `{rejects}`"),
            "name a file: --rejects FILE",
        )),
        None => Ok(()),
    }
}

/// Refuses options that mean nothing, and databases without the options that say what of them is meant.
/// The database, where it is one.
fn check_selection<'a>(
    job: &Job<'_>,
    (part, name, source): (Part, &str, &SourceSpec),
    inputs: &[&'a Location],
    services: &Services,
) -> Result<Option<&'a Location>, Error> {
    let option = |key| job.option(part, name, key);
    let set = |key, value| job.set(part, name, key, value);
    let mut databases = inputs.iter().copied().filter(|input| services.database(input).is_some());
    let Some(input) = databases.next() else {
        if source.selection.is_none() {
            return Ok(None);
        }
        let (table, query) = (option("table"), option("query"));
        let (postgres, sqlite) = (set("path", "postgres://…"), set("path", "sqlite://…"));
        return Err(refused(
            format!("{table} and {query} go with a database"),
            format!("{postgres} or {sqlite}"),
        ));
    };
    if inputs.len() > 1 {
        return Err(refused(
            "only one of the inputs can be a database".to_owned(),
            "run one after the other",
        ));
    }
    if matches!(source.records, Records::Rejects(_)) {
        return Err(Error::usage(format!("a rejects file is a file, and not `{input}`")));
    }
    if source.selection.is_none() {
        let (table, query) = (set("table", "NAME"), set("query", "SQL"));
        return Err(refused(
            format!("which rows of the database `{input}` are to be read?"),
            format!("{table} reads all of a table, {query} what a query gives"),
        ));
    }
    if source.format.is_some() {
        let format = option("format");
        return Err(Error::usage(format!(
            "{format} says what bytes are, and `{input}` is a database"
        )));
    }
    Ok(Some(input))
}

/// Refuses to read a database where only files can be read.
fn check_database(job: &Job<'_>, input: &Location, plan: &Plan) -> Result<(), Error> {
    if plan.is_folder {
        return Err(refused(
            format!("the output is a folder, and `{input}` has no name for a file"),
            "name a file: --output FILE",
        ));
    }
    match resume_flag(job) {
        Some(flag) => Err(refused(
            format!("{flag} can't go on in the rows of a database, `{input}`"),
            "rows have no order that lasts: write them to a file first, and read that",
        )),
        None => Ok(()),
    }
}

fn check_table_written(
    job: &Job<'_>,
    Node { name, what: sink, .. }: &Node<SinkSpec>,
    outputs: &[&Location],
    services: &Services,
) -> Result<(), Error> {
    let option = |key| job.option(Part::Sink, name, key);
    let set = |key, value| job.set(Part::Sink, name, key, value);
    let Some(output) = outputs.iter().find(|output| services.database(output).is_some()) else {
        if sink.table.is_none() {
            return Ok(());
        }
        let (postgres, sqlite) = (set("path", "postgres://…"), set("path", "sqlite://…"));
        return Err(refused(
            format!("{} goes with a database", option("table")),
            format!("{postgres} or {sqlite}"),
        ));
    };
    if sink.table.is_none() {
        return Err(refused(
            format!("which table of the database `{output}` is to be written to?"),
            set("table", "NAME"),
        ));
    }
    if sink.format.is_some() {
        let format = option("format");
        return Err(Error::usage(format!(
            "{format} says what bytes are, and `{output}` is a database"
        )));
    }
    match resume_flag(job) {
        Some(flag) => Err(refused(
            format!("{flag} can't go on in a database, `{output}`"),
            "a run that is interrupted leaves the table as it was: run it again",
        )),
        None => Ok(()),
    }
}

fn resume_flag(job: &Job<'_>) -> Option<&'static str> {
    match (&job.run.state, job.run.resume) {
        (Some(_), _) => Some("--state"),
        (None, true) => Some("--resume"),
        (None, false) => None,
    }
}
