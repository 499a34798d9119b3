//! The smallest pipeline: what the flags of scoring and of `replay` ask for. A source, a model, perhaps
//! the place of each record, a sink.

use super::args::{EmitMode, JobArgs, ModelArgs, OnError, ReplayArgs, ScoreArgs};
use super::config;
use super::job::Job;
use crate::error::Error;
use crate::spec::{ModelSpec, Node, Port, Records, SinkSpec, SourceSpec, Spec, StepSpec};
use crate::step::emit::Emit;
use crate::storage::location::is_stdout;
use std::path::Path;

/// What the nodes are called, for who asks to see the pipeline.
const SOURCE: &str = "input";
const MODEL: &str = "model";
const PLACE: &str = "place";
const SINK: &str = "output";

impl ScoreArgs {
    pub(super) fn job(&self) -> Result<Job<'_>, Error> {
        let records = match &self.record {
            Some(record) => Records::One(record.clone()),
            None => Records::Inputs(self.input.clone()),
        };
        let mut job = job(records, &self.model, &self.job)?;
        job.spec.sources[0].what.range = self.range;
        Ok(job)
    }
}

impl ReplayArgs {
    pub(super) fn job(&self) -> Result<Job<'_>, Error> {
        job(Records::Rejects(self.rejects_file.clone()), &self.model, &self.job)
    }
}

fn job<'a>(records: Records, model: &ModelArgs, job: &'a JobArgs) -> Result<Job<'a>, Error> {
    let source = SourceSpec {
        records,
        format: job.formats.input_format,
        csv: job.formats.csv_source(),
        selection: job.tables.selection(),
        line_bytes_max: job.line_bytes_max,
        ..SourceSpec::default()
    };
    let sink = SinkSpec {
        output: job.output.clone().filter(|path| !is_stdout(Path::new(path))),
        format: job.formats.output_format,
        compression: job.formats.compression.map(Into::into),
        csv: job.formats.csv_sink(),
        table: job.tables.output_table.clone(),
        creates_table: job.tables.create_table,
        upsert: job.tables.upsert.clone(),
        ..SinkSpec::default()
    };
    let model = ModelSpec {
        plugin: model.plugin.clone(),
        plugin_dir: model.plugin_dir.clone(),
        model: model.model.clone(),
        config: config::read(model.config.as_deref())?,
        config_file: config::file(model.config.as_deref()),
        emit: emit(job)?,
        validates_output: job.validate_output,
        threads: None,
        isolation: model.isolation.options(),
    };
    let mut steps = vec![node(MODEL, Some(SOURCE), StepSpec::Model(model))];
    if job.place {
        steps.push(node(PLACE, Some(MODEL), StepSpec::Place));
    }
    let last = steps.last().map_or(SOURCE, |step| &step.name).to_owned();
    let spec = Spec {
        sources: vec![node(SOURCE, None, source)],
        steps,
        sinks: vec![node(SINK, Some(&last), sink)],
        is_named: false,
        rejects: job.rejects.clone(),
        fails_at_first: job.on_error == OnError::Fail,
        max_rejects: job.max_rejects,
        threads: job.threads,
        services: None,
        ..Spec::default()
    };
    let (run, services, lines_read) = (&job.run, &job.services, Default::default());
    Ok(Job { spec, file: None, run, services, lines_read })
}

fn node<T>(name: &str, from: Option<&str>, what: T) -> Node<T> {
    let from = from.map(|node| Port { node: node.to_owned(), is_aside: false });
    Node { name: name.to_owned(), from: from.into_iter().collect(), what }
}

fn emit(job: &JobArgs) -> Result<Emit, Error> {
    match job.emit {
        EmitMode::Prediction if job.keep.is_empty() => Ok(Emit::Prediction),
        EmitMode::Prediction => {
            let mut kept: Vec<String> = Vec::new();
            for field in &job.keep {
                if !kept.contains(field) {
                    kept.push(field.clone()); // a field stands in an object once
                }
            }
            Ok(Emit::Keep(kept))
        }
        _ if !job.keep.is_empty() => Err(Error::Usage {
            message: "--keep goes with --emit prediction".to_owned(),
            hint: Some("merge and nest write the whole record already".to_owned()),
        }),
        EmitMode::Merge => Ok(Emit::Merge),
        EmitMode::Nest => Ok(Emit::Nest),
    }
}
