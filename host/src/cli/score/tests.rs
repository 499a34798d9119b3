//! What of a pipeline is refused before it runs.

use super::inputs;
use super::nodes::Steps;
use super::trial::Trial;
use crate::cli::args::RunArgs;
use crate::cli::files;
use crate::cli::job::Job;
use crate::cli::services::ServiceArgs;
use crate::error::Error;
use crate::spec::file::{self, Settings};
use crate::stop::Stop;
use std::fs;
use tempfile::TempDir;

/// Does something with the pipeline of a file, beside which are these others.
#[track_caller]
fn with<T>(files: &[(&str, &str)], text: &str, work: impl FnOnce(&Job<'_>) -> T) -> T {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let settings = Settings { set: Default::default(), variables: &|_| None };
    let spec = file::parse(text, folder.path(), &settings).unwrap();
    let (file, services) = (folder.path().join("x.toml"), ServiceArgs::default());
    let (run, lines_read) = (&RunArgs::TRIAL, Default::default());
    work(&Job { spec, file: Some(file), run, services: &services, lines_read })
}

/// Message and hint.
fn told(error: Error) -> String {
    match error {
        Error::Usage { message, hint } => format!("{message}; {}", hint.unwrap_or_default()),
        other => other.report(),
    }
}

#[test]
fn a_lookups_table_is_checked_as_a_source_is() {
    for (table, expected) in [
        (
            "path = 'sqlite:///nix/db.sqlite'",
            "which rows of the database `sqlite:///nix/db.sqlite` are to be read?; \
             steps.l.table = \"NAME\" reads all of a table, steps.l.query = \"SQL\" what a query gives",
        ),
        (
            "path = 'sqlite:///nix/db.sqlite'\ntable = 't'\nformat = 'csv'",
            "steps.l.format says what bytes are, and `sqlite:///nix/db.sqlite` is a database; ",
        ),
        (
            "path = 't.csv'\nquery = 'SELECT 1'",
            "steps.l.table and steps.l.query go with a database; \
             steps.l.path = \"postgres://…\" or steps.l.path = \"sqlite://…\"",
        ),
        (
            "path = 't.ldjson'\ndelimiter = ';'",
            "steps.l.delimiter is of no use: the table is no CSV or TSV; \
             is it one? then say so: steps.l.format = \"csv\"",
        ),
        (
            "path = 't.csv'\ndelimiter = ';'\nquote = ';'",
            "steps.l.delimiter and steps.l.quote are the same character; ",
        ),
    ] {
        let text = format!(
            "[sources.a]\npath = 'a.csv'\n[steps.l]\ntype = 'lookup'\nfrom = 'a'\non = 'id'\n{table}\n\
             [sinks.o]\nfrom = 'l'\npath = 'o.ldjson'"
        );
        let refused = with(&[], &text, |job| {
            let stop = Stop::default();
            let services = job.services.open(None, &stop).unwrap();
            Steps::prepare(job, &services, &stop).err().map(told)
        });
        assert_eq!(refused.as_deref().unwrap_or_default(), expected, "{table}");
    }
}

#[test]
fn a_trial_opens_each_source_once() {
    let text = "[sources.a]\npath = 'a.csv'\n[sinks.o]\nfrom = 'a'\npath = 'o.ldjson'";
    let tried = with(&[("a.csv", "id,v\n1,a\n2,b\n")], text, |job| {
        let mut trial = Trial::load_to(job, true, || Ok(tempfile::tempfile().unwrap())).unwrap();
        // As with a pipe: what was opened is not there for a second time.
        fs::remove_file(job.file.as_ref().unwrap().with_file_name("a.csv")).unwrap();
        trial.first(1).unwrap()
    });
    let records: Vec<_> = tried.iter().map(|it| &*it.given[0].texts[0]).collect();
    assert_eq!(records, [r#"{"id":"1","v":"a"}"#]);
}

/// What a trial of the pipeline says that refuses it, as `validate` does.
#[track_caller]
fn refused(files: &[(&str, &str)], text: &str) -> String {
    let refused = with(files, text, |job| {
        let trial = Trial::load_to(job, true, || Ok(tempfile::tempfile().unwrap()));
        let folder = job.file.as_ref().unwrap().with_file_name("");
        let folder = folder.to_str().unwrap().to_owned();
        trial.and_then(|trial| trial.check_outputs()).err().map(|error| (told(error), folder))
    });
    refused.map(|(told, folder)| told.replace(&folder, "")).unwrap_or_default()
}

#[test]
fn a_table_without_columns_is_refused_before_a_run_of_it() {
    for (sink, table) in [
        ("path = 'o.csv'", "csv"),
        ("path = 'o.parquet'", "parquet"),
        ("path = 'sqlite:o.sqlite'\ntable = 't'", "a table"),
    ] {
        let text = format!("[sources.a]\npath = 'a.ldjson'\n[sinks.o]\nfrom = 'a'\n{sink}");
        let expected = format!(
            "which columns has the output of `o`? {table} has some, and nothing is known of what \
             comes to it; name them: sinks.o.columns = [\"a\", \"b\"]"
        );
        assert_eq!(refused(&[("a.ldjson", "{}\n")], &text), expected);
    }
}

#[test]
fn columns_that_leave_out_what_comes_to_the_table_are_refused() {
    let files = [("a.csv", "id,v\n1,a\n"), ("b.ldjson", "{}\n")];
    for (path, columns, expected) in [
        (
            "a.csv",
            "['id']",
            "the output of `o` has no column `v`, and what comes to it has: it would be rejected; \
             name it in sinks.o.columns, or leave it away in a jq step before",
        ),
        ("a.csv", "['v', 'more', 'id']", ""),
        ("b.ldjson", "['id']", ""), // its records may have any fields
    ] {
        let text = format!(
            "[sources.a]\npath = '{path}'\n\
             [sinks.o]\nfrom = 'a'\npath = 'o.csv'\ncolumns = {columns}"
        );
        assert_eq!(refused(&files, &text), expected, "{path} {columns}");
    }
}

#[test]
fn an_output_in_a_folder_that_is_not_there_can_not_be_written() {
    for (path, is_there) in [("nix/o.ldjson", false), ("a.ldjson/o", false), ("o", true)] {
        let text =
            format!("[sources.a]\npath = 'a.ldjson'\n[sinks.o]\nfrom = 'a'\npath = '{path}'");
        let told = refused(&[("a.ldjson", "{}\n")], &text);
        let expected = format!("the output `{path}` can't be written");
        assert_eq!(told.contains(&expected), !is_there, "{told}");
    }
}

#[test]
fn a_record_that_is_given_in_place_bears_the_name_of_its_source() {
    let pipeline = |record: &str| {
        format!(
            "[sources.a]\nrecord = '{record}'\n[sources.b]\npath = 'b.ldjson'\n\
             [sources.c]\nrecord = '3'\n[sinks.o]\nfrom = ['a', 'b', 'c']\npath = 'o.ldjson'"
        )
    };
    let (places, inputs) = with(&[("b.ldjson", "2\n")], &pipeline("1"), |job| {
        let mut trial = Trial::load_to(job, true, || Ok(tempfile::tempfile().unwrap())).unwrap();
        let places = trial.first(1).unwrap().into_iter().map(|it| it.place.0.to_string());
        let services = job.services.open(None, &Stop::default()).unwrap();
        let plan = files::plan(job, &services).unwrap();
        let inputs = inputs::all(job, &plan.runs[0]).map(|(name, ..)| name);
        (places.collect::<Vec<_>>(), inputs.collect::<Vec<_>>())
    });
    for names in [places, inputs] {
        assert_eq!((names.len(), &*names[0], &*names[2]), (3, "a", "c"));
        assert!(names[1].ends_with("b.ldjson"), "{names:?}");
    }
    assert_eq!(refused(&[("b.ldjson", "")], &pipeline(" ")), "the record of `a` is empty; ");
}

#[test]
fn a_text_of_a_test_is_put_on_a_line_only_where_it_means_the_same() {
    let given = |record: &str| {
        let text = format!(
            "[sources.a]\npath = '-'\n[sinks.o]\nfrom = 'a'\npath = 'o.ldjson'\n\
             [[test]]\nname = 't'\ninput.a = [\"{record}\"]\nexpect.o = []"
        );
        with(&[], &text, |job| {
            let trial = Trial::load_to(job, false, || Ok(tempfile::tempfile().unwrap())).unwrap();
            trial.given(&job.spec.tests[0]).map(|tried| tried[0].record.clone()).map_err(told)
        })
    };
    assert_eq!(given(r#"{\n\"a\":\r\n1}"#).unwrap(), r#"{ "a":  1}"#);
    assert_eq!(given("no JSON").unwrap(), "no JSON");
    let refused = given(r#"{\"a\":\"b\nc\"}"#).unwrap_err();
    assert!(refused.starts_with("a record of `a` in the test `t` is not JSON: "), "{refused}");
    assert_eq!(given(" ").unwrap_err(), "a record of `a` in the test `t` is empty; ");
}
