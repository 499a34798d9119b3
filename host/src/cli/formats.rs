//! The flags of formats: which one an input or an output has, and how it is compressed, where its name
//! does not tell.

use super::files::{Files, Plan};
use crate::error::Error;
use crate::format::{Compression, Format};
use crate::storage::location::Location;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use std::path::Path;

// No doc comment here: clap would take it for what the command is for.
#[derive(Args, Debug)]
pub(super) struct FormatArgs {
    /// Read inputs as this format [default: what a file's name tells, else ldjson]
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

fn parser() -> impl TypedValueParser<Value = Format> {
    let parser = PossibleValuesParser::new(Format::names());
    parser.map(|name| Format::named(&name).expect("it is one of the names"))
}

impl FormatArgs {
    pub(super) fn of_input(&self, location: &Location) -> Format {
        self.input_format.unwrap_or_else(|| told(location))
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

    /// Refuses to compress what nobody could read then.
    pub(super) fn check(&self, plan: &Plan) -> Result<(), Error> {
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
}

/// What its name tells.
pub(super) fn compression_told(location: &Location) -> Option<Compression> {
    Compression::of(Path::new(&location.to_string()))
}

fn told(location: &Location) -> Format {
    location.name().and_then(|name| Format::of(Path::new(name))).unwrap_or(Format::Ldjson)
}
