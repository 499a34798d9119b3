//! `etl-host schema`: the JSON Schema of pipeline files.

use super::print;
use crate::error::{Error, exit};
use crate::spec::schema;
use clap::Args;

/// Print the JSON Schema of pipeline files, by which editors complete and check them
///
/// In a file: `#:schema ./pipeline.schema.json` as its first line, or as the editor has it.
#[derive(Args, Debug)]
pub(super) struct SchemaArgs {}

pub(super) fn schema(_: &SchemaArgs) -> Result<u8, Error> {
    let schema = serde_json::to_string_pretty(&schema::schema()).expect("its keys are texts");
    print(&(schema + "\n")).map(|()| exit::OK)
}
