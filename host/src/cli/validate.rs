//! `etl-host validate FILE`: whether the pipeline in a file can run, without running it.

use super::args::RunArgs;
use super::job::Job;
use super::on_a_line;
use super::run::PipelineArgs;
use super::score::trial::Trial;
use super::services::ServiceArgs;
use crate::error::{Error, exit};
use crate::pipeline::trial::Tried;
use crate::record::RecordPosition;
use clap::Args;
use std::fmt::Write as _;

/// Say whether the pipeline in a file can run: everything is loaded and nothing is written
///
/// Compiles its programs, reads its schemas and tables, loads its plugins, looks whether what comes to
/// each model can be what it asks for, opens each source and takes its first record through all nodes.
///
/// Exit codes: 0 it can; 1 it can, but the first record of a source is rejected; else as of a run.
#[derive(Args, Debug)]
pub(super) struct ValidateArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,

    #[command(flatten)]
    services: ServiceArgs,
}

pub(super) fn validate(args: &ValidateArgs) -> Result<u8, Error> {
    let (spec, file) = (args.pipeline.read()?, Some(args.pipeline.file.clone()));
    let job = Job { spec, file, run: &RunArgs::default(), services: &args.services };
    let trial = Trial::load(&job, true)?;
    let tried = trial.first(1)?;
    let mut text = String::new();
    for (node, source) in job.spec.sources.iter().enumerate() {
        let _ = match tried.iter().find(|tried| tried.node == node) {
            None => writeln!(text, "`{}` can be read, and is empty", source.name),
            Some(record) => writeln!(text, "{}", first(&source.name, record)),
        };
    }
    for (node, path, name) in trial.models() {
        let _ = writeln!(text, "`{node}` asks {name} of {path}");
    }
    let spec = &job.spec;
    let counts = [
        (spec.sources.len(), "source"),
        (spec.steps.len(), "step"),
        (spec.sinks.len(), "sink"),
        (spec.tests.len(), "test"),
    ];
    let counts =
        counts.map(|(count, what)| format!("{count} {what}{}", if count == 1 { "" } else { "s" }));
    let _ = writeln!(text, "{}: it can run: {}", args.pipeline.file.display(), counts.join(", "));
    let is_rejected = tried.iter().any(|tried| !tried.rejects.is_empty());
    trial.end(&text, if is_rejected { exit::REJECTS } else { exit::OK })
}

fn first(source: &str, Tried { place: (name, position), rejects, .. }: &Tried) -> String {
    let RecordPosition { line, byte } = position;
    let mut text = format!("`{source}` can be read: {}, line {line}, byte {byte}", on_a_line(name));
    for reject in rejects {
        let message = on_a_line(&reject.message);
        let _ = write!(
            text,
            "\n  `{}` rejects that record: {}: {message}",
            reject.node,
            reject.kind.name()
        );
    }
    text
}
