//! The flags of formats: which one an input or an output has, where its name does not tell.

use crate::format::Format;
use crate::storage::location::Location;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
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
}

fn told(location: &Location) -> Format {
    location.name().and_then(|name| Format::of(Path::new(name))).unwrap_or(Format::Ldjson)
}
