//! What of a pipeline is refused before it runs.

use super::nodes::Steps;
use super::trial::Trial;
use crate::cli::args::RunArgs;
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
    let (run, services) = (RunArgs::default(), ServiceArgs::default());
    work(&Job { spec, file: Some(folder.path().join("x.toml")), run: &run, services: &services })
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
