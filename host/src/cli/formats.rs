//! The flags of formats: which one an input or an output has, where its name does not tell.

use crate::error::Error;
use crate::format::Format;
use crate::storage::location::Location;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::io::IsTerminal;
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

    /// Refuses to write to a terminal what is no text.
    pub(super) fn refuse_terminal(&self, output: &Location) -> Result<(), Error> {
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

fn told(location: &Location) -> Format {
    Format::of(Path::new(&location.to_string())).unwrap_or(Format::Ldjson)
}
