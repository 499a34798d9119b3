//! `etl-host --plugin FILE --input FILE`: scores a file of records.
//!
//! In this order, so that a mistake is found before it costs anything: flags; the plugin; what its
//! schemas say of the way to emit; the input; the model; the outputs; and then the first record.

use super::args::{EmitMode, OnError, ScoreArgs};
use super::outputs::Outputs;
use super::progress::Progress;
use super::{config, exits, paths, say, signals};
use crate::causes::chain;
use crate::error::{Error, exit};
use crate::pipeline::limits::Limits;
use crate::pipeline::{self, Pipeline, Rejects, RunError};
use crate::plugin::{LoadedModel, Plugin, PluginError};
use crate::sink::ldjson::Writer;
use crate::source::ldjson::{Options, Reader};
use crate::step::emit::{Emit, EmitError};
use crate::step::model::ModelStep;
use crate::stop::Stop;
use crate::storage::{self, Input, Memory};
use crate::summary::{self, ModelSummary, PluginSummary, Summary};
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// Scores, says what was done, and returns the exit code.
pub(super) fn score(args: &ScoreArgs) -> Result<u8, Error> {
    let started = (SystemTime::now(), Instant::now());
    let emit = emit(args)?;
    let config = config::read(args.config.as_deref())?;
    let plugin_path = paths::plugin(args)?;
    paths::refuse_to_overwrite(args, &plugin_path)?;
    let rejects_path = paths::rejects(args);
    let threads = match args.threads {
        Some(threads) => threads.into(),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };

    let outputs = Outputs::take_stdout()?;
    let stop = Stop::default();
    let exits = exits::Watch::start(&plugin_path, paths::output(args), &stop);
    let refused = |source: PluginError| Error::Plugin { path: plugin_path.clone(), source };
    let plugin = Plugin::open(&plugin_path).map_err(refused)?;
    let sha256 = match args.summary {
        Some(_) => summary::sha256(&plugin_path)
            .map_err(|source| Error::Input { path: plugin_path.clone(), source })?,
        None => String::new(),
    };
    let description = plugin.model(args.model.as_ref()).map_err(refused)?;
    emit.check(&description.input_schema, &description.output_schema).map_err(cannot_emit)?;
    let input = input(args)?;
    exits.during("its model was being loaded");
    let model = plugin.load(args.model.as_ref(), &config, threads).map_err(refused)?;
    let model = Arc::new(model);
    exits.during("its model was predicting");

    let output = outputs.open("the output", paths::output(args))?;
    let rejects = match &rejects_path {
        Some(path) => outputs.open("the rejects file", Some(path))?,
        None => outputs.stderr()?,
    };
    let summary_file = args
        .summary
        .as_deref()
        .map(|path| outputs.open("the summary", Some(path).filter(|path| !paths::is_stdout(path))));
    let summary_file = summary_file.transpose()?;

    signals::listen(&stop).map_err(RunError::Thread)?;
    let progress = Progress::new(args.quiet, input.bytes_total());
    let source_path = args.input.as_deref().unwrap_or(Path::new("--record")).display().to_string();
    let options = Options { line_bytes_max: args.line_bytes_max as usize };
    let outcome = pipeline::run(
        Pipeline {
            source: Box::new(Reader::new(&source_path, input, options)),
            steps: vec![Box::new(step(&model, emit, args.validate_output, &stop))],
            sink: Box::new(Writer::new(output)),
            rejects: Rejects { output: rejects, path: rejects_path.clone() },
            limits: Limits::new(args.on_error == OnError::Fail, args.max_rejects),
            threads,
            stop,
        },
        |counts, bytes_read| progress.show(counts, bytes_read),
    );
    progress.end();

    let took = started.1.elapsed();
    // A file of rejects is there only where it was published with the output.
    let rejects_name = match rejects_path {
        Some(path) => outcome.published.then(|| path.display().to_string()),
        None => Some("stderr".to_owned()),
    };
    let rejects_name = rejects_name.filter(|_| outcome.counts.rejected > 0);
    if !args.quiet {
        say(&summary::lines(&outcome, rejects_name.as_deref(), took));
    }
    let exit_code = match &outcome.error {
        Some(error) => error.exit_code(),
        // A closed pipe is a quiet end, whatever was rejected before.
        None if outcome.counts.rejected > 0 && !outcome.pipe_closed => exit::REJECTS,
        None => exit::OK,
    };
    let summarised = summary_file.map_or(Ok(()), |file| {
        let description = model.description();
        let summary = Summary {
            host_version: env!("CARGO_PKG_VERSION"),
            abi_version: model_abi_layout::ABI_VERSION,
            plugin: PluginSummary { path: plugin_path.display().to_string(), sha256 },
            model: ModelSummary {
                name: description.qualified_name.clone(),
                version: description.version(),
                fingerprint: model.report().fingerprint.clone(),
            },
            input: source_path,
            output: paths::output(args).unwrap_or(Path::new("-")).display().to_string(),
            rejects: rejects_name,
            counts: outcome.counts,
            nodes: &outcome.nodes,
            published: outcome.published,
            started: humantime::format_rfc3339_millis(started.0).to_string(),
            seconds: took.as_secs_f64(),
            exit_code,
            error: outcome.error.as_ref().map(|error| chain(error)),
        };
        summary.publish(file)
    });
    // A run that failed has the more important thing to say.
    let result = match (outcome.error, summarised) {
        (Some(source), _) => {
            let unpublished = paths::output(args).filter(|_| !outcome.published);
            Err(Error::Run { source, unpublished: unpublished.map(Path::to_owned) })
        }
        (None, Err((path, source))) => Err(Error::Summary { path, source }),
        (None, Ok(())) => Ok(exit_code),
    };
    exits.settle(&result);
    result
}

/// What abi_stable has to say of a layout, for `--verbose`.
pub(super) fn long_report(error: &Error) -> Option<&str> {
    match error {
        Error::Plugin { source: PluginError::Open(error), .. } => error.report(),
        _ => None,
    }
}

fn emit(args: &ScoreArgs) -> Result<Emit, Error> {
    match args.emit {
        EmitMode::Prediction if args.keep.is_empty() => Ok(Emit::Prediction),
        EmitMode::Prediction => {
            let mut kept: Vec<String> = Vec::new();
            for field in &args.keep {
                if !kept.contains(field) {
                    kept.push(field.clone()); // a field stands in an object once
                }
            }
            Ok(Emit::Keep(kept))
        }
        _ if !args.keep.is_empty() => Err(Error::Usage {
            message: "--keep goes with --emit prediction".to_owned(),
            hint: Some("merge and nest write the whole record already".to_owned()),
        }),
        EmitMode::Merge => Ok(Emit::Merge),
        EmitMode::Nest => Ok(Emit::Nest),
    }
}

fn cannot_emit(error: EmitError) -> Error {
    Error::Usage {
        message: format!("the output can't be joined: {error}"),
        hint: Some("--emit nest keeps the record and the prediction apart".to_owned()),
    }
}

fn input(args: &ScoreArgs) -> Result<Box<dyn Input>, Error> {
    match (&args.input, &args.record) {
        (_, Some(record)) => Ok(Box::new(Memory::new(one_line(record)?))),
        (Some(path), None) => {
            storage::open(path).map_err(|source| Error::Input { path: path.clone(), source })
        }
        (None, None) => unreachable!("one of the two is required"),
    }
}

/// A record that may have been written over several lines. Line feeds between tokens are white
/// space; one inside a string is not JSON, and must not be made so.
fn one_line(record: &str) -> Result<String, Error> {
    if record.trim().is_empty() {
        return Err(Error::usage("the record is empty"));
    }
    if record.contains(['\n', '\r'])
        && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(record)
    {
        return Err(Error::usage(format!("the record is not JSON: {error}")));
    }
    Ok(record.replace(['\n', '\r'], " "))
}

fn step(model: &Arc<LoadedModel>, emit: Emit, validate_output: bool, stop: &Stop) -> ModelStep {
    let description = model.description();
    let validator = validate_output.then(|| {
        let validator = jsonschema::validator_for(&description.output_schema);
        Arc::new(validator.expect("it was compiled when the plugin was opened"))
    });
    ModelStep::new(&description.qualified_name, model.clone(), emit, validator, stop.clone())
}
