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
use crate::source::range::Range;
use crate::source::split::{of_lines, of_rows};
use crate::spec::SourceSpec;
use crate::stop::Stop;
use crate::storage::location::Location;
use crate::storage::services::Services;
use bytesize::ByteSize;
use clap::Args;
use serde::Serialize;
use std::ffi::OsString;
use std::iter;
use std::num::NonZeroU64;

/// More of an input are asked for by a slip only, a unit that was forgotten.
const RANGES_MAX: u64 = 10_000_000;
/// How much is printed at once.
const PRINTED_BYTES: usize = 64 * 1024;

/// Print ranges of inputs, for jobs that are run in parts: a JSON object a line
///
/// {"input":…,"offset":…,"length":…,"input_bytes":…,"version":…} is to be read with --input INPUT --range
/// OFFSET:LENGTH, and with the same --input-format, --delimiter and --quote as here. In order, they cover
/// each input from its beginning to its end; "version" is what a run's summary says of the input, where it
/// is still the same. Where "line" is there, OFFSET:LENGTH:LINE lets rejects name lines. An input that can be
/// read only as a whole (it is compressed, Parquet, a JSON array, or CSV without a byte) is one range, and
/// has "whole":true: it is read without --range. Any other input without bytes has no range. CSV and TSV are
/// looked through, to be cut where a row begins; lines of JSON are not.
#[derive(Args, Debug)]
pub(super) struct SplitArgs {
    /// A file, a folder, a glob, or an object in a store, as of --input; no stdin and no database
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
    let size: ByteSize =
        text.parse().map_err(|_| "a size such as 128MiB is wanted, or a number of bytes")?;
    NonZeroU64::new(size.as_u64()).ok_or_else(|| "ranges of nothing cover nothing".to_owned())
}

/// A line of what is printed.
#[derive(Serialize)]
struct Line<'a> {
    input: &'a str,
    offset: u64,
    length: u64,
    input_bytes: u64,
    version: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    whole: bool,
}

/// The plan of an input.
struct Planned<'a> {
    name: &'a str,
    bytes: u64,
    version: Option<String>,
    is_whole: bool,
    ranges: Box<dyn Iterator<Item = Range>>,
}

pub(super) fn split(args: &SplitArgs) -> Result<u8, Error> {
    let services = args.services.open(None, &Stop::default())?;
    let usual = csv::Options::default();
    let quote = args.quote.map_or(usual.quote, |Quote(quote)| quote);
    let csv = csv::Options { delimiter: args.delimiter, quote, ..usual };
    let source = SourceSpec { format: args.input_format, csv, ..SourceSpec::default() };
    let inputs = files::expand(&args.inputs, &services)?;
    let names = inputs.iter().map(name).collect::<Result<Vec<_>, Error>>()?;
    // All of them, before a line is out: half a plan would be taken for one.
    let planned = inputs.iter().zip(names).map(|at| plan(args.size, &source, at, &services));
    let planned = planned.collect::<Result<Vec<_>, Error>>()?;
    let mut text = String::new();
    for Planned { name, bytes, version, is_whole, ranges } in planned {
        for Range { offset, length, line } in ranges {
            let (version, whole) = (&version, is_whole);
            let line =
                Line { input: name, offset, length, input_bytes: bytes, version, line, whole };
            text += &serde_json::to_string(&line).expect("its keys are texts");
            text.push('\n');
            if text.len() > PRINTED_BYTES {
                print(&text)?;
                text.clear();
            }
        }
    }
    print(&text)?;
    Ok(exit::OK)
}

fn plan<'a>(
    size: NonZeroU64,
    source: &SourceSpec,
    (location, name): (&Location, &'a str),
    services: &Services,
) -> Result<Planned<'a>, Error> {
    let mut input = open(location, services)?;
    let failed = |source| Error::Input { path: location.to_string().into(), source };
    let bytes =
        input.bytes_total().ok_or(std::io::ErrorKind::NotSeekable.into()).map_err(failed)?;
    let version = input.version();
    let format = of_input(source, location);
    // A table of text without a byte has no header either, which is for its run to tell.
    let is_whole =
        bytes == 0 && format.is_text_table() || why_whole(source, location, &*input)?.is_some();
    let count = bytes.div_ceil(size.get());
    if !is_whole && count > RANGES_MAX {
        let message = format!("`{location}` would be cut into {count} ranges");
        let hint = format!(
            "--size takes units, such as {size}MiB; there may be {RANGES_MAX} ranges of an input"
        );
        return Err(Error::Usage { message, hint: Some(hint) });
    }
    let has_quotes = format.is_text_table() && source.csv.quote.is_some();
    let ranges: Box<dyn Iterator<Item = Range>> = match (is_whole, has_quotes) {
        (true, _) => Box::new(iter::once(Range { offset: 0, length: bytes, line: None })),
        (false, false) => Box::new(of_lines(bytes, size)),
        (false, true) => {
            let ranges = of_rows(&mut *input, format, &source.csv, size).map_err(failed)?;
            Box::new(ranges.into_iter())
        }
    };
    Ok(Planned { name, bytes, version, is_whole, ranges })
}

/// What an input is called by whoever is to read it: all of it.
fn name(location: &Location) -> Result<&str, Error> {
    let (name, why, hint) = match location {
        Location::Stream => {
            (None, "stdin can be read only once", "write the records to a file first")
        }
        Location::Local(path) => {
            (path.to_str(), "its name is not UTF-8", "give it another name, or a link that has one")
        }
        Location::Remote(remote) => (
            Some(remote.whole()).filter(|whole| *whole == remote.to_string()),
            "its name may hold a secret, which would be printed",
            "credentials have a place in the environment, or in a file of services",
        ),
    };
    name.ok_or_else(|| refused(format!("`{location}` can't be in a plan: {why}"), hint))
}
