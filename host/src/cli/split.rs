//! `etl-host split`: ranges of inputs, for whoever runs a job in parts, on one machine or on many.
//!
//! Lines can be cut anywhere, so nothing of them is read: who reads a range finds where it begins. Rows of
//! CSV may hold line breaks in quotes, so they are looked through, and cut where a row begins.

use super::formats::{self, Quote, of_input};
use super::range::{open, refused, why_whole};
use super::services::ServiceArgs;
use super::{files, print};
use crate::error::{Error, exit};
use crate::format::Format;
use crate::source::csv;
use crate::source::split::{Split, of_lines, of_rows};
use crate::spec::SourceSpec;
use crate::stop::Stop;
use crate::storage::location::Location;
use crate::storage::services::Services;
use bytesize::ByteSize;
use clap::Args;
use serde::Serialize;
use std::ffi::OsString;
use std::num::NonZeroU64;

/// Print ranges of inputs, for jobs that are run in parts: a JSON object a line
///
/// {"input":…,"offset":…,"length":…,"input_bytes":…} is to be read with --input INPUT --range OFFSET:LENGTH.
/// In order, they cover each input from its beginning to its end. Where "line" is there, OFFSET:LENGTH:LINE
/// lets rejects name lines. An input that can be read only as a whole (it is compressed, Parquet, a JSON
/// array) is one range, and has "whole":true: it is read without --range. An input without bytes has no
/// range. CSV is looked through, to be cut where a row begins; lines of JSON are not.
#[derive(Args, Debug)]
pub(super) struct SplitArgs {
    /// A file, a folder, a glob, or an object in a store, as of --input
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<OsString>,

    /// Cut into ranges of about this size: 128MiB, 1GB
    #[arg(long, value_name = "SIZE", default_value = "128MiB", value_parser = size)]
    size: NonZeroU64,

    /// Take inputs for this format [default: what a file's name tells, else ldjson]
    #[arg(long, value_name = "FORMAT", value_parser = formats::parser())]
    input_format: Option<Format>,

    /// CSV and TSV have this character between fields [default: a comma, in TSV a tab]
    #[arg(long, value_name = "CHAR", value_parser = csv::delimiter)]
    delimiter: Option<u8>,

    /// CSV and TSV have this character around fields, or `none` [default: "]
    ///
    /// With `none`, rows are lines, and not looked through.
    #[arg(long, value_name = "CHAR|none", value_parser = formats::quote)]
    quote: Option<Quote>,

    #[command(flatten)]
    services: ServiceArgs,
}

/// A size that is not nothing.
fn size(text: &str) -> Result<NonZeroU64, String> {
    let size: ByteSize = text.parse()?;
    NonZeroU64::new(size.as_u64()).ok_or_else(|| "ranges of nothing cover nothing".to_owned())
}

/// A line of what is printed.
#[derive(Serialize)]
struct Line<'a> {
    input: &'a str,
    offset: u64,
    length: u64,
    input_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    whole: bool,
}

pub(super) fn split(args: &SplitArgs) -> Result<u8, Error> {
    let services = args.services.open(None, &Stop::default())?;
    let usual = csv::Options::default();
    let quote = args.quote.map_or(usual.quote, |Quote(quote)| quote);
    let csv = csv::Options { delimiter: args.delimiter, quote, ..usual };
    let source = SourceSpec { format: args.input_format, csv, ..SourceSpec::default() };
    let inputs = files::expand(&args.inputs, &services)?;
    // All of them, before a line of the plan is out.
    let names = inputs.iter().map(name).collect::<Result<Vec<_>, Error>>()?;
    for (location, name) in inputs.iter().zip(names) {
        let mut text = String::new();
        for line in lines(args.size, &source, (location, name), &services)? {
            text += &serde_json::to_string(&line).expect("its keys are texts");
            text.push('\n');
        }
        print(&text)?;
    }
    Ok(exit::OK)
}

/// The ranges of an input.
fn lines<'a>(
    size: NonZeroU64,
    source: &SourceSpec,
    (location, name): (&Location, &'a str),
    services: &Services,
) -> Result<Vec<Line<'a>>, Error> {
    let mut input = open(location, services)?;
    let failed = |source| Error::Input { path: location.to_string().into(), source };
    let input_bytes =
        input.bytes_total().ok_or(std::io::ErrorKind::NotSeekable.into()).map_err(failed)?;
    let is_whole = why_whole(source, location, &*input)?.is_some();
    let format = of_input(source, location);
    let has_quotes = format.is_text_table() && source.csv.quote.is_some();
    let splits = match (is_whole, has_quotes) {
        (true, _) => vec![Split { offset: 0, length: input_bytes, line: None }],
        (false, false) => of_lines(input_bytes, size),
        (false, true) => of_rows(&mut *input, format, &source.csv, size).map_err(failed)?,
    };
    let line = |Split { offset, length, line }| Line {
        input: name,
        offset,
        length,
        input_bytes,
        line,
        whole: is_whole,
    };
    Ok(splits.into_iter().map(line).collect())
}

/// What an input is called by whoever is to read it: all of it.
fn name(location: &Location) -> Result<&str, Error> {
    let (name, why) = match location {
        Location::Stream => (None, "stdin can be read only once"),
        Location::Local(path) => (path.to_str(), "its name is not UTF-8"),
        Location::Remote(remote) => (
            Some(remote.whole()).filter(|whole| *whole == remote.to_string()),
            "its name may hold a secret, which would be printed",
        ),
    };
    let refuse = || {
        let hint = "name a file or an object whose name says all: credentials have a place in the \
                    environment, or in a file of services";
        refused(format!("`{location}` can't be in a plan: {why}"), hint)
    };
    name.ok_or_else(refuse)
}
