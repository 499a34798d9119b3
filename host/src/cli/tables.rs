//! The flags of databases: which rows are read, and which table is written to.

use crate::storage::database::Selection;
use crate::storage::names::TableName;
use clap::Args;

// No doc comment here: clap would take it for what the command is for.
#[derive(Args, Debug)]
pub(super) struct TableArgs {
    /// Read all rows of this table or view of the database that --input names
    ///
    /// TABLE or SCHEMA.TABLE, as the database has it: case counts. A part in double quotes may hold
    /// dots.
    #[arg(long, value_name = "NAME", conflicts_with = "query")]
    pub(super) table: Option<TableName>,

    /// Read the rows that this query gives, in its order
    #[arg(long, value_name = "SQL")]
    pub(super) query: Option<String>,

    /// Write to this table of the database that --output names
    #[arg(long, value_name = "NAME")]
    pub(super) output_table: Option<TableName>,

    /// Make that table first, with the columns of the output
    #[arg(long, requires = "output_table")]
    pub(super) create_table: bool,

    /// Write over a row that has the same values in these columns
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', requires = "output_table")]
    pub(super) upsert: Vec<String>,
}

impl TableArgs {
    /// The rows that are to be read.
    pub(super) fn selection(&self) -> Option<Selection> {
        let table = self.table.clone().map(Selection::Table);
        table.or_else(|| self.query.clone().map(Selection::Query))
    }
}
