//! A table of PostgreSQL. The database takes the JSON of a batch itself: one statement makes rows of
//! all its records, by the types that the table's columns have.

use super::table::{Options, Refusal, Table};
use crate::columns::Kind;
use crate::storage::Trouble;
use crate::storage::names::{list, missing, quoted};
use crate::storage::postgres::{Address, failed, no_table, words};
use postgres::error::DbError;
use postgres::{Client, Statement};
use std::io;

/// Rows of a table, in a transaction.
pub(super) struct Rows {
    client: Client,
    insert: Statement,
    rows_at_once: usize,
}

/// A column of the table, as the database has it.
struct Column {
    name: String,
    sql_type: String,
    /// Whether the database alone says what is in it.
    is_generated: bool,
}

impl Rows {
    /// Begins the transaction, and finds out what can be known before the first record.
    pub(super) fn open(address: &Address, options: &Options) -> io::Result<Self> {
        let mut client = address.connect()?;
        let told = |error: postgres::Error| failed(&error);
        // Immediate: so that a statement that goes well stays good.
        client.batch_execute("BEGIN; SET CONSTRAINTS ALL IMMEDIATE").map_err(told)?;
        if options.creates {
            client.batch_execute(&create(options)).map_err(|error| cannot_create(&error))?;
        }
        let name = options.table.sql();
        let row = client.query_one("SELECT to_regclass($1)::oid", &[&name]).map_err(told)?;
        let Some(table) = row.get::<_, Option<u32>>(0) else {
            let hint = "name another with --output-table, or let it be made: --create-table";
            return Err(no_table(&mut client, &options.table, Some(hint)));
        };
        let columns = columns(&mut client, table).map_err(told)?;
        let insert = insert(options, &columns)?;
        let insert = client.prepare(&insert).map_err(|error| cannot_insert(&error, options))?;
        // Nothing, but it tells whether we may.
        let none: &[&str] = &[];
        let tried = client.execute(&insert, &[&none]);
        tried.map_err(|error| cannot_insert(&error, options))?;
        let refers_to_itself = "SELECT EXISTS (SELECT FROM pg_constraint
            WHERE contype = 'f' AND conrelid = $1 AND confrelid = $1)";
        let row = client.query_one(refers_to_itself, &[&table]).map_err(told)?;
        // A row may refer to one behind it only if both come in one statement: which ones do, must
        // not matter.
        let rows_at_once = if row.get(0) { 1 } else { usize::MAX };
        Ok(Rows { client, insert, rows_at_once })
    }
}

impl Table for Rows {
    fn rows_at_once(&self) -> usize {
        self.rows_at_once
    }

    fn insert(&mut self, records: &[&str]) -> io::Result<Option<Refusal>> {
        let told = |error: postgres::Error| failed(&error);
        if let [record] = records
            && record.len() > RECORD_BYTES_MAX
        {
            let words = format!("the record is {} bytes long", record.len());
            return Ok(Some(Refusal { column: String::new(), words }));
        }
        self.client.batch_execute("SAVEPOINT etl_host").map_err(told)?;
        match self.client.execute(&self.insert, &[&records]) {
            Ok(_) => {
                self.client.batch_execute("RELEASE etl_host").map_err(told)?;
                Ok(None)
            }
            Err(error) => {
                let Some(said) = error.as_db_error().filter(|said| is_of_a_row(said)) else {
                    return Err(failed(&error));
                };
                let column = said.column().unwrap_or_default().to_owned();
                let words = words(said);
                let back = "ROLLBACK TO etl_host; RELEASE etl_host";
                self.client.batch_execute(back).map_err(told)?;
                Ok(Some(Refusal { column, words }))
            }
        }
    }

    fn prepare(&mut self) -> io::Result<()> {
        // A COMMIT of a transaction that has failed would be no error.
        self.client.batch_execute("SELECT").map_err(|error| failed(&error))
    }

    fn commit(&mut self) -> io::Result<()> {
        self.client.batch_execute("COMMIT").map_err(|error| match error.as_db_error() {
            Some(_) => failed(&error),
            None => Trouble::error(
                io::ErrorKind::ConnectionAborted,
                "the connection was lost while the rows were being committed",
                Some("look whether the rows are in the table: either all are, or none"),
            ),
        })
    }
}

/// A value in PostgreSQL has at most 1 GiB, and so has a message to it.
const RECORD_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Classes of errors that are one row's, whatever it is: cardinality, data, integrity, views'
/// checks, limits of the database, and what functions and triggers raise.
const OF_A_ROW: [&str; 10] = ["0A", "21", "22", "23", "2F", "38", "39", "44", "54", "P0"];

/// Whether another row may be taken where this error was met.
fn is_of_a_row(said: &DbError) -> bool {
    let class = said.code().code().get(..2).unwrap_or_default();
    // A policy's check of a row has the code of a permission that is missing.
    OF_A_ROW.contains(&class) || said.routine() == Some("ExecWithCheckOptions")
}

fn columns(client: &mut Client, table: u32) -> Result<Vec<Column>, postgres::Error> {
    let query = "SELECT attname::text, format_type(atttypid, atttypmod),
            attgenerated <> '' OR attidentity = 'a'
        FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
    let rows = client.query(query, &[&table])?;
    let columns = rows.iter().map(|row| Column {
        name: row.get(0),
        sql_type: row.get(1),
        is_generated: row.get(2),
    });
    Ok(columns.collect())
}

/// The statement that makes the table.
fn create(options: &Options) -> String {
    let columns = options.columns.iter().map(|column| {
        let sql_type = match column.kind {
            Kind::Number => "double precision",
            Kind::Integer => "bigint",
            Kind::Boolean => "boolean",
            Kind::String => "text",
            Kind::Json | Kind::List(_) | Kind::Struct(_) => "jsonb",
        };
        format!("{} {sql_type}", quoted(&column.name))
    });
    let mut parts: Vec<String> = columns.collect();
    if !options.upsert.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", names(&options.upsert)));
    }
    format!("CREATE TABLE {} ({})", options.table.sql(), parts.join(", "))
}

fn names(names: &[String]) -> String {
    list(names.iter().map(String::as_str))
}

/// The statement that takes an array of records.
fn insert(options: &Options, columns: &[Column]) -> io::Result<String> {
    let there: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    let wanted: Vec<&str> = options.columns.iter().map(|column| column.name.as_str()).collect();
    let refused = |message, hint| Err(Trouble::error(io::ErrorKind::InvalidInput, message, hint));
    if let Some(missing) = missing(wanted.iter().copied(), &there) {
        let hint = "--emit and --keep choose what is written";
        return refused(format!("the table can't take the output: {missing}"), Some(hint));
    }
    if let Some(key) = options.upsert.iter().find(|key| !wanted.contains(&key.as_str())) {
        return refused(
            format!("the output has no column `{key}`, which --upsert names"),
            Some("--keep FIELD writes a field of the record too"),
        );
    }
    let written = columns.iter().filter(|column| wanted.contains(&column.name.as_str()));
    let mut types = Vec::new();
    for column in written.clone() {
        if column.is_generated {
            let message = format!("the database generates its column `{}` itself", column.name);
            return refused(message, Some("--emit and --keep choose what is written"));
        }
        types.push(format!("{} {}", quoted(&column.name), column.sql_type));
    }
    let names: Vec<&str> = written.map(|column| column.name.as_str()).collect();
    let values: Vec<String> = names.iter().map(|name| format!("r.{}", quoted(name))).collect();
    Ok(format!(
        "INSERT INTO {} ({}) SELECT {} FROM unnest($1::text[]) WITH ORDINALITY AS d (doc, n) \
         CROSS JOIN LATERAL json_to_record(d.doc::json) AS r ({}) ORDER BY d.n{}",
        options.table.sql(),
        list(names.iter().copied()),
        values.join(", "),
        types.join(", "),
        on_conflict(options, &names),
    ))
}

fn on_conflict(options: &Options, written: &[&str]) -> String {
    if options.upsert.is_empty() {
        return String::new();
    }
    let keys = names(&options.upsert);
    let others = written.iter().filter(|name| !options.upsert.iter().any(|key| key == *name));
    let set: Vec<String> = others.map(|name| format!("{0} = EXCLUDED.{0}", quoted(name))).collect();
    match set.is_empty() {
        true => format!(" ON CONFLICT ({keys}) DO NOTHING"),
        false => format!(" ON CONFLICT ({keys}) DO UPDATE SET {}", set.join(", ")),
    }
}

fn cannot_create(error: &postgres::Error) -> io::Error {
    let hint = error
        .code()
        .filter(|code| code.code() == "42P07")
        .map(|_| "to add rows to a table that is there, leave out --create-table");
    Trouble::error(io::ErrorKind::Other, failed(error).to_string(), hint)
}

fn cannot_insert(error: &postgres::Error, options: &Options) -> io::Error {
    let hint = (!options.upsert.is_empty() && error.code().is_some_and(|it| it.code() == "42P10"))
        .then_some("--upsert needs a unique index or a primary key of just these columns");
    Trouble::error(io::ErrorKind::Other, failed(error).to_string(), hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns;

    fn options(upsert: &[&str]) -> Options {
        let column = |name: &str, kind| columns::Column { name: name.to_owned(), kind };
        Options {
            table: "s.t".parse().unwrap(),
            columns: vec![column("species", Kind::String), column("i\"d", Kind::Integer)],
            creates: true,
            upsert: upsert.iter().map(|key| key.to_string()).collect(),
        }
    }

    fn there(names: &[&str]) -> Vec<Column> {
        let column = |name: &&str| Column {
            name: name.to_string(),
            sql_type: "varchar(5)".to_owned(),
            is_generated: *name == "gen",
        };
        names.iter().map(column).collect()
    }

    #[test]
    fn a_table_is_made_of_the_columns_of_the_output() {
        let expected = r#"CREATE TABLE "s"."t" ("species" text, "i""d" bigint"#;
        assert_eq!(create(&options(&[])), format!("{expected})"));
        let with_key = format!("{expected}, PRIMARY KEY (\"i\"\"d\"))");
        assert_eq!(create(&options(&["i\"d"])), with_key);
    }

    #[test]
    fn only_the_columns_of_the_output_are_written_so_that_others_have_their_defaults() {
        let sql =
            insert(&options(&["species"]), &there(&["i\"d", "other", "species", "gen"])).unwrap();
        assert!(sql.starts_with(
            r#"INSERT INTO "s"."t" ("i""d", "species") SELECT r."i""d", r."species""#
        ));
        assert!(sql.contains(r#"AS r ("i""d" varchar(5), "species" varchar(5)) ORDER BY d.n"#));
        assert!(
            sql.ends_with(r#" ON CONFLICT ("species") DO UPDATE SET "i""d" = EXCLUDED."i""d""#)
        );
        let sql = insert(&options(&["species", "i\"d"]), &there(&["i\"d", "species"])).unwrap();
        assert!(sql.ends_with(r#" ON CONFLICT ("species", "i""d") DO NOTHING"#));
    }

    #[test]
    fn what_a_table_cannot_take_is_found_before_the_first_record() {
        let said = |upsert: &[&str], names: &[&str]| {
            insert(&options(upsert), &there(names)).unwrap_err().to_string()
        };
        assert!(said(&[], &["species", "id"]).contains("no column `i\"d`; did you mean `id`?"));
        assert!(said(&["key"], &["species", "i\"d"]).contains("no column `key`, which --upsert"));
        let mut generated = options(&[]);
        generated.columns[0].name = "gen".to_owned();
        let error = insert(&generated, &there(&["i\"d", "gen"])).unwrap_err().to_string();
        assert!(error.contains("generates its column `gen` itself"));
    }
}
