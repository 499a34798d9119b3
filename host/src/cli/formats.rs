//! The flags of formats: which one an input or an output has, and how it is compressed, where its name
//! does not tell; and how tables of text are written in it.

use super::args::{Records, Task};
use super::files::{Files, Plan};
use crate::error::Error;
use crate::format::{Compression, Format};
use crate::journal::{self, Identity};
use crate::storage::location::Location;
use crate::{sink, source, storage};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use std::io::IsTerminal;
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
struct Quote(Option<u8>);

fn parser() -> impl TypedValueParser<Value = Format> {
    let parser = PossibleValuesParser::new(Format::names());
    parser.map(|name| Format::named(&name).expect("it is one of the names"))
}

fn quote(text: &str) -> Result<Quote, String> {
    source::csv::quote(text).map(Quote)
}

fn is_table(format: &Format) -> bool {
    matches!(format, Format::Csv | Format::Tsv)
}

/// Between the names of formats in a run's identity.
const FORMATS_SEPARATOR: &str = ", ";

impl FormatArgs {
    pub(super) fn of_input(&self, location: &Location) -> Format {
        self.input_format.unwrap_or_else(|| told(location))
    }

    /// Of the records in a rejects file.
    pub(super) fn of_rejected(&self) -> Format {
        self.input_format.unwrap_or(Format::Ldjson)
    }

    pub(super) fn of_output(&self, location: &Location) -> Format {
        self.output_format.unwrap_or_else(|| told(location))
    }

    pub(super) fn compression_of_output(&self, location: &Location) -> Option<Compression> {
        match self.compression {
            None => compression_told(location),
            Some(CompressionChoice::None) => None,
            Some(CompressionChoice::Gzip) => Some(Compression::Gzip),
            Some(CompressionChoice::Zstd) => Some(Compression::Zstd),
        }
    }

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

    /// Refuses what can't be, or would do nothing with the files that are read and written.
    pub(super) fn check(&self, task: Task<'_>, plan: &Plan) -> Result<(), Error> {
        let inputs: Vec<Format> = match task.records {
            Records::One(_) => Vec::new(),
            Records::Rejects(_) => vec![self.of_rejected()],
            Records::Inputs(_) => {
                let inputs = plan.runs.iter().flat_map(|files| &files.inputs);
                inputs.map(|location| self.of_input(location)).collect()
            }
        };
        let reads = inputs.iter().any(is_table);
        let writes = plan.runs.iter().any(|files| is_table(&self.of_output(&files.output)));
        if matches!(task.records, Records::One(_)) && self.input_format.is_some() {
            return Err(Error::usage(
                "--input-format is of no use: the record of --record is JSON",
            ));
        }
        for (flag, is_given, is_of_use, what) in [
            ("--delimiter", self.delimiter.is_some(), reads, "input"),
            ("--quote", self.quote.is_some(), reads, "input"),
            ("--fields", !self.fields.is_empty(), reads, "input"),
            ("--null-value", !self.null_value.is_empty(), reads || writes, "input or output"),
            ("--output-delimiter", self.output_delimiter.is_some(), writes, "output"),
            ("--no-output-header", self.no_output_header, writes, "output"),
        ] {
            if is_given && !is_of_use {
                let format = if what == "output" { "--output-format" } else { "--input-format" };
                return Err(Error::Usage {
                    message: format!("{flag} is of no use: no {what} is CSV or TSV"),
                    hint: Some(format!("is it one? then say so: {format} csv")),
                });
            }
        }
        if matches!(task.records, Records::Rejects(_)) && reads {
            self.check_rejected()?;
        }
        if let Some(why) = source::csv::fault_of_names(&self.fields) {
            return Err(Error::usage(format!("--fields can't be so: {why}")));
        }
        self.check_compression(plan)?;
        plan.runs.iter().try_for_each(|files| self.check_terminal(&files.output))?;
        self.check_characters(&inputs)
    }

    fn check_rejected(&self) -> Result<(), Error> {
        if self.header {
            return Err(Error::usage("--header is of no use: in a rejects file there is none"));
        }
        match self.fields.is_empty() {
            true => Err(Error::Usage {
                message: "the rows in a rejects file have no header to name their columns".into(),
                hint: Some("name them, in the order of the input's header: --fields a,b,c".into()),
            }),
            false => Ok(()),
        }
    }

    /// Whether each character and text can be told from the others.
    fn check_characters(&self, inputs: &[Format]) -> Result<(), Error> {
        let csv = self.csv_source();
        let quote = csv.quote;
        if inputs.iter().filter(|it| is_table(it)).any(|it| Some(csv.delimiter_of(*it)) == quote) {
            return Err(Error::usage("--delimiter and --quote are the same character"));
        }
        let special = [self.delimiter, quote, self.output_delimiter, Some(b'"'), Some(b',')];
        let special = special.into_iter().flatten().chain(*b"\t\r\n");
        match special.into_iter().find(|byte| self.null_value.as_bytes().contains(byte)) {
            Some(byte) => Err(Error::usage(format!(
                "--null-value must hold no delimiter, quote or line break, and holds {:?}",
                char::from(byte)
            ))),
            None => Ok(()),
        }
    }

    /// What of these flags shapes the bytes of the outputs, by names for people.
    pub(super) fn identity(
        &self,
        inputs: &[Location],
        output: &Location,
    ) -> [(&'static str, String); 9] {
        let mut formats: Vec<_> = inputs.iter().map(|it| self.of_input(it).name()).collect();
        formats.dedup();
        let (source, sink) = (self.csv_source(), self.csv_sink());
        let shown = |byte: Option<u8>| byte.map(char::from).map_or_else(String::new, String::from);
        [
            (journal::INPUT_FORMAT, formats.join(FORMATS_SEPARATOR)),
            ("--output-format", self.of_output(output).name().to_owned()),
            ("--delimiter", shown(source.delimiter)),
            ("--quote", shown(source.quote)),
            ("--fields", self.fields.join(",")),
            ("--header", source.has_header.to_string()),
            ("--null-value", source.null_value),
            ("--output-delimiter", shown(sink.delimiter)),
            ("--no-output-header", self.no_output_header.to_string()),
        ]
    }

    /// Refuses to compress what nobody could read then.
    fn check_compression(&self, plan: &Plan) -> Result<(), Error> {
        for Files { output, .. } in &plan.runs {
            let format = self.of_output(output);
            if let Some(compression) =
                self.compression_of_output(output).filter(|_| format.is_binary())
            {
                let (format, compression) = (format.name(), compression.name());
                return Err(Error::Usage {
                    message: format!("`{output}` can't be {format} that is compressed with {compression}"),
                    hint: Some(
                        "such a file compresses what is in it, and is read from its end: leave the \
                         ending away, or say --compression none"
                            .to_owned(),
                    ),
                });
            }
        }
        Ok(())
    }

    /// Refuses to write to a terminal what is no text.
    fn check_terminal(&self, output: &Location) -> Result<(), Error> {
        let format = self.of_output(output);
        if format.is_binary() && *output == Location::Stream && std::io::stdout().is_terminal() {
            return Err(Error::Usage {
                message: format!("{} is not for terminals", format.name()),
                hint: Some("name a file, --output FILE, or pipe it to who reads it".to_owned()),
            });
        }
        Ok(())
    }
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
