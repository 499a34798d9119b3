//! What one command asks for: a pipeline, how it is to be run, and how its options are called by whoever
//! asked, so that what is wrong with them is told in their words.

use super::args::RunArgs;
use super::services::ServiceArgs;
use crate::spec::{Node, SinkSpec, Spec};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// The task of one command.
pub(super) struct Job<'a> {
    pub(super) spec: Spec,
    /// The file that it is written in; `None`: the command line.
    pub(super) file: Option<PathBuf>,
    /// How it is run.
    pub(super) run: &'a RunArgs,
    pub(super) services: &'a ServiceArgs,
    /// How many lines begin in the range of the input that is read, once it was read to its end.
    pub(super) lines_read: Arc<OnceLock<u64>>,
}

/// What an option is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Source,
    /// The table that a step looks into.
    Lookup,
    Sink,
    Run,
}

/// The flags of the command line, by the part and the key that they stand for.
const FLAGS: [(Part, &str, &str); 21] = [
    (Part::Source, "path", "--input"),
    (Part::Source, "format", "--input-format"),
    (Part::Source, "delimiter", "--delimiter"),
    (Part::Source, "quote", "--quote"),
    (Part::Source, "fields", "--fields"),
    (Part::Source, "header", "--header"),
    (Part::Source, "null_value", "--null-value"),
    (Part::Source, "table", "--table"),
    (Part::Source, "query", "--query"),
    (Part::Source, "line_bytes_max", "--line-bytes-max"),
    (Part::Sink, "path", "--output"),
    (Part::Sink, "format", "--output-format"),
    (Part::Sink, "compression", "--compression"),
    (Part::Sink, "delimiter", "--output-delimiter"),
    (Part::Sink, "header", "--no-output-header"),
    (Part::Sink, "null_value", "--null-value"),
    (Part::Sink, "table", "--output-table"),
    (Part::Sink, "create_table", "--create-table"),
    (Part::Sink, "upsert", "--upsert"),
    (Part::Run, "rejects", "--rejects"),
    (Part::Run, "threads", "--threads"),
];

impl Job<'_> {
    /// How an option is called: `--input-format`, or `sources.in.format`.
    pub(super) fn option(&self, part: Part, node: &str, key: &str) -> String {
        let of = match part {
            Part::Source => format!("sources.{node}"),
            Part::Lookup => format!("steps.{node}"),
            Part::Sink => format!("sinks.{node}"),
            Part::Run => "run".to_owned(),
        };
        let flag =
            FLAGS.iter().find(|(a, b, _)| (*a, *b) == (part, key)).filter(|_| !self.is_named());
        flag.map_or_else(|| format!("{of}.{key}"), |(_, _, flag)| (*flag).to_owned())
    }

    /// How an option is given a value.
    pub(super) fn set(&self, part: Part, node: &str, key: &str, value: &str) -> String {
        match self.is_named() {
            true => format!("{} = {value:?}", self.option(part, node, key)),
            false => format!("{} {value}", self.option(part, node, key)),
        }
    }

    /// Where a key of a step stands.
    pub(super) fn place_of_step(&self, step: &str, key: &str) -> String {
        let key = if key.is_empty() { String::new() } else { format!(".{key}") };
        match (&self.file, self.spec.lines.get(step)) {
            (Some(file), Some(line)) => {
                format!("pipeline file `{}`, line {line}: key `steps.{step}{key}`", file.display())
            }
            _ => format!("`steps.{step}{key}`"),
        }
    }

    /// How a sink is called in messages.
    pub(super) fn output(&self, sink: &Node<SinkSpec>) -> String {
        match self.is_named() {
            true => format!("the output of `{}`", sink.name),
            false => "the output".to_owned(),
        }
    }

    pub(super) fn is_named(&self) -> bool {
        self.spec.is_named
    }

    pub(super) fn is_resumable(&self) -> bool {
        self.run.resume || self.run.state.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::file::{Settings, parse};

    #[test]
    fn a_key_of_a_step_is_found_in_the_file_that_it_is_in() {
        let text = "[sources.a]\npath='a'\n\n[steps.x]\ntype='jq'\nfrom='a'\nprogram='.'\n\
            [sinks.o]\nfrom='x'\npath='o'\n";
        let settings = Settings { set: Default::default(), variables: &|_| None };
        let spec = parse(text, "".as_ref(), &settings).unwrap();
        let (run, services) = (RunArgs::TRIAL, ServiceArgs::default());
        let lines_read = Arc::default();
        let mut job = Job { spec, file: None, run: &run, services: &services, lines_read };
        assert_eq!(job.place_of_step("x", "program"), "`steps.x.program`");
        job.file = Some("p.toml".into());
        let expected = "pipeline file `p.toml`, line 4: key `steps.x.program`";
        assert_eq!(job.place_of_step("x", "program"), expected);
        assert!(job.place_of_step("x", "").ends_with("key `steps.x`"));
    }
}
