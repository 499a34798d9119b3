//! The flags of databases: which rows are read, and which table is written to.

use super::args::{Records, Task};
use super::files::Plan;
use crate::columns::Column;
use crate::error::Error;
use crate::sink::publish::OpenError;
use crate::sink::table::{Options, Writer};
use crate::storage::database::{Database, Selection};
use crate::storage::location::Location;
use crate::storage::names::TableName;
use crate::storage::services::Services;
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

    /// Refuses flags that mean nothing, and databases without the flags that say what of them is meant.
    pub(super) fn check(
        &self,
        task: Task<'_>,
        plan: &Plan,
        services: &Services,
    ) -> Result<(), Error> {
        let is_database = |location: &&Location| services.database(location).is_some();
        let inputs: Vec<&Location> =
            plan.runs.iter().flat_map(|files| &files.inputs).filter(is_database).collect();
        let output = plan.runs.iter().map(|files| &files.output).find(is_database);
        let rejects = plan.runs.iter().map(|files| &files.rejects).find(is_database);
        let job = task.job;
        if let Some(rejects) = rejects {
            return Err(refused(
                format!("rejects can't go to a database, `{rejects}`"),
                "name a file: --rejects FILE",
            ));
        }
        match (&inputs[..], self.selection()) {
            ([], None) => {}
            ([], Some(_)) => {
                return Err(refused(
                    "--table and --query go with a database".to_owned(),
                    "--input postgres://… or --input sqlite://…",
                ));
            }
            ([input, ..], _) if matches!(task.records, Records::Rejects(_)) => {
                return Err(Error::usage(format!("a rejects file is a file, and not `{input}`")));
            }
            ([input], None) => {
                return Err(refused(
                    format!("which rows of the database `{input}` are to be read?"),
                    "--table NAME reads all of a table, --query SQL what a query gives",
                ));
            }
            ([input], Some(_)) if job.formats.input_format.is_some() => {
                return Err(Error::usage(format!(
                    "--input-format says what bytes are, and `{input}` is a database"
                )));
            }
            ([input], Some(_)) if plan.is_folder => {
                return Err(refused(
                    format!("the output is a folder, and `{input}` has no name for a file"),
                    "name a file: --output FILE",
                ));
            }
            ([_], Some(_)) => {}
            ([..], _) => {
                return Err(refused(
                    "only one of the inputs can be a database".to_owned(),
                    "run one after the other",
                ));
            }
        }
        match (output, &self.output_table) {
            (None, None) => {}
            (None, Some(_)) => {
                return Err(refused(
                    "--output-table goes with a database".to_owned(),
                    "--output postgres://… or --output sqlite://…",
                ));
            }
            (Some(output), None) => {
                return Err(refused(
                    format!("which table of the database `{output}` is to be written to?"),
                    "--output-table NAME",
                ));
            }
            (Some(output), Some(_)) if job.formats.output_format.is_some() => {
                return Err(Error::usage(format!(
                    "--output-format says what bytes are, and `{output}` is a database"
                )));
            }
            (Some(_), Some(_)) => {}
        }
        if !job.resume && job.state.is_none() {
            return Ok(());
        }
        let flag = if job.state.is_some() { "--state" } else { "--resume" };
        match (output, &inputs[..]) {
            (Some(output), _) => Err(refused(
                format!("{flag} can't go on in a database, `{output}`"),
                "a run that is interrupted leaves the table as it was: run it again",
            )),
            (None, [input, ..]) => Err(refused(
                format!("{flag} can't go on in the rows of a database, `{input}`"),
                "rows have no order that lasts: write them to a file first, and read that",
            )),
            (None, []) => Ok(()),
        }
    }

    /// Begins to write to the table.
    pub(super) fn output(
        &self,
        database: &Database,
        location: &Location,
        columns: Vec<Column>,
    ) -> Result<Writer, Error> {
        let table = self.output_table.clone().expect("it was checked that there is one");
        let name = format!("{location}, table {table}");
        let (creates, upsert) = (self.create_table, self.upsert.clone());
        let options = Options { table, columns, creates, upsert };
        Writer::open(database, name.clone(), options).map_err(|source| Error::Output {
            what: "the output",
            path: name.into(),
            source: OpenError::Remote(source),
        })
    }
}

fn refused(message: String, hint: &str) -> Error {
    Error::Usage { message, hint: Some(hint.to_owned()) }
}
