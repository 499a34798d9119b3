//! `etl-host validate FILE`: whether the pipeline in a file can run, without running it.

use super::run::PipelineArgs;
use super::score::trial::Trial;
use super::services::ServiceArgs;
use super::{counted, on_a_line};
use crate::error::{Error, exit};
use crate::pipeline::trial::Tried;
use crate::record::RecordPosition;
use clap::Args;
use std::fmt::Write as _;

/// Say whether the pipeline in a file can run: everything is loaded and nothing is written
///
/// Compiles its programs, reads its schemas and tables, loads its plugins, looks whether what comes to
/// each model can be what it asks for, and whether the folders of its outputs can be written to, opens each
/// source and takes its first record through all nodes.
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
    args.services.refuse_bucket()?;
    let job = args.pipeline.trial(&args.services)?;
    let mut trial = Trial::load(&job, true)?;
    trial.check_outputs()?;
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
    let counts = counts.map(|(count, what)| counted(count, what));
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
