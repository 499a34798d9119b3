//! The flags of formats: which one an input or an output has, and how it is compressed, where its name
//! does not tell; and how tables of text are written in it.

use crate::format::{Compression, Format};
use crate::journal::{self, Identity};
use crate::spec::{Records, SinkSpec, SourceSpec};
use crate::storage::location::Location;
use crate::{sink, source, storage};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use std::path::Path;

// No doc comment here: clap would take it for what the command is for.
#[derive(Args, Debug)]
pub(super) struct FormatArgs {
    /// Read inputs as this format [default: what a file's name tells, else ldjson]
    ///
    /// Of a rejects file it is the format that its records had: those of CSV are rows, whose columns
    /// --fields names.
    #[arg(long, value_name = "FORMAT", value_parser = parser())]
    pub(super) input_format: Option<Format>,

    /// Write the output in this format [default: what its name tells, else ldjson]
    #[arg(long, value_name = "FORMAT", value_parser = parser())]
    pub(super) output_format: Option<Format>,

    /// Compress the output [default: what its name tells: .gz, .zst, else none]
    ///
    /// Inputs need no flag: their first bytes tell. A rejects file is compressed where its name says
    /// so.
    #[arg(long, value_name = "HOW", value_enum)]
    pub(super) compression: Option<CompressionChoice>,

    /// Read CSV and TSV with this character between fields [default: a comma, in TSV a tab]
    ///
    /// One ASCII character, or `tab`.
    #[arg(long, value_name = "CHAR", value_parser = source::csv::delimiter)]
    delimiter: Option<u8>,

    /// Read CSV and TSV with this character around fields, or `none` [default: "]
    #[arg(long, value_name = "CHAR|none", value_parser = quote)]
    quote: Option<Quote>,

    /// Name the columns of CSV and TSV that have no header, in their order
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    fields: Vec<String>,

    /// With --fields: there is a header all the same, which is skipped
    #[arg(long, requires = "fields")]
    header: bool,

    /// Read this text in CSV and TSV as null, as an empty field is, and write null so [default: empty]
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    null_value: String,

    /// Write CSV and TSV with this character between fields [default: a comma, in TSV a tab]
    #[arg(long, value_name = "CHAR", value_parser = source::csv::delimiter)]
    output_delimiter: Option<u8>,

    /// Write CSV and TSV without a header
    #[arg(long)]
    no_output_header: bool,
}

/// How an output is to be compressed.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CompressionChoice {
    /// Not at all
    None,
    /// gzip, at level 6
    Gzip,
    /// zstd, at level 3
    Zstd,
}

/// What stands around fields, if anything does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quote(pub(super) Option<u8>);

pub(super) fn parser() -> impl TypedValueParser<Value = Format> {
    let parser = PossibleValuesParser::new(Format::names());
    parser.map(|name| Format::named(&name).expect("it is one of the names"))
}

pub(super) fn quote(text: &str) -> Result<Quote, String> {
    source::csv::quote(text).map(Quote)
}

/// Between the names of formats in a run's identity.
pub(super) const FORMATS_SEPARATOR: &str = ", ";

impl FormatArgs {
    /// How tables of text are read.
    pub(super) fn csv_source(&self) -> source::csv::Options {
        let usual = source::csv::Options::default();
        source::csv::Options {
            delimiter: self.delimiter,
            quote: self.quote.map_or(usual.quote, |Quote(quote)| quote),
            fields: (!self.fields.is_empty()).then(|| self.fields.clone()),
            has_header: self.header,
            null_value: self.null_value.clone(),
        }
    }

    /// How tables of text are written.
    pub(super) fn csv_sink(&self) -> sink::csv::Options {
        sink::csv::Options {
            delimiter: self.output_delimiter,
            has_header: !self.no_output_header,
            null_value: self.null_value.clone(),
        }
    }
}

impl From<CompressionChoice> for Option<Compression> {
    fn from(choice: CompressionChoice) -> Self {
        match choice {
            CompressionChoice::None => None,
            CompressionChoice::Gzip => Some(Compression::Gzip),
            CompressionChoice::Zstd => Some(Compression::Zstd),
        }
    }
}

/// The format of an input.
pub(super) fn of_input(source: &SourceSpec, location: &Location) -> Format {
    match source.records {
        // In a rejects file it is that of its records.
        Records::Rejects(_) => source.format.unwrap_or(Format::Ldjson),
        Records::Inputs(_) | Records::One(_) => source.format.unwrap_or_else(|| told(location)),
    }
}

/// The format of an output.
pub(super) fn of_output(sink: &SinkSpec, location: &Location) -> Format {
    sink.format.unwrap_or_else(|| told(location))
}

/// How an output is compressed.
pub(super) fn compression_of_output(sink: &SinkSpec, location: &Location) -> Option<Compression> {
    sink.compression.unwrap_or_else(|| compression_told(location))
}

/// What its name tells.
pub(super) fn compression_told(location: &Location) -> Option<Compression> {
    Compression::of(Path::new(&location.to_string()))
}

/// The formats of the inputs, as a run's identity tells them.
pub(super) fn formats_of(identity: &Identity) -> impl Iterator<Item = Format> {
    let names = identity.0.get(journal::INPUT_FORMAT).map_or("", String::as_str);
    names.split(FORMATS_SEPARATOR).filter_map(Format::named)
}

/// Whether the bytes that a run counts are those of its input. Of what is compressed they are those of
/// its text, and of a table those of its rows as JSON: a file has fewer, or more.
pub(super) fn reads_as_it_is(location: &Location, format: Format) -> bool {
    !format.is_binary() && !is_compressed(location)
}

/// As far as it can be told without reading from afar.
fn is_compressed(location: &Location) -> bool {
    let first = || storage::open(location.local()?).ok()?.first_bytes()?.ok();
    let told = location.local().filter(|path| path.is_file()).and_then(|_| first());
    match told {
        Some(first) => Compression::of_bytes(&first).is_some(),
        None => compression_told(location).is_some(),
    }
}

fn told(location: &Location) -> Format {
    location.name().and_then(|name| Format::of(Path::new(name))).unwrap_or(Format::Ldjson)
}
