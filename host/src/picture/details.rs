//! What a picture says of a node beside its name: the one or two things that tell it from others of its
//! kind.

use super::text::grouped;
use super::{Detail, Kind};
use crate::spec::{LogSpec, ModelSpec, Records, SampleSpec, SinkSpec, SourceSpec, StepSpec};
use crate::storage::database::Selection;
use crate::storage::location::Location;
use std::ffi::OsStr;
use std::path::Path;

pub(super) fn of_source(source: &SourceSpec) -> Vec<Detail> {
    let mut details = match &source.records {
        Records::Inputs(inputs) => {
            let first = inputs.first().map_or("-".as_ref(), |first| first.as_os_str());
            let mut details = vec![location(first, "stdin")];
            if inputs.len() > 1 {
                details.push(text(format!("and {} more", grouped(inputs.len() as u64 - 1))));
            }
            details
        }
        Records::Rejects(path) => vec![location(path, "stdin"), text("its rejects")],
        Records::One(_) => vec![text("one record")],
    };
    details.extend(source.selection.as_ref().map(|selection| match selection {
        Selection::Table(name) => text(format!("table {name}")),
        Selection::Query(query) => Detail::Code(query.clone()),
    }));
    details.extend(source.format.map(|format| text(format.name())));
    details
}

pub(super) fn of_sink(sink: &SinkSpec) -> Vec<Detail> {
    let mut details = vec![location(sink.output.as_deref().unwrap_or("-".as_ref()), "stdout")];
    details.extend(sink.table.as_ref().map(|name| text(format!("table {name}"))));
    details.extend(sink.format.map(|format| text(format.name())));
    details
}

pub(super) fn of_step(step: &StepSpec) -> (Kind, Vec<Detail>) {
    match step {
        StepSpec::Model(model) => (Kind::Model, of_model(model)),
        StepSpec::Jq(jq) => (Kind::Jq, vec![Detail::Code(jq.program.clone())]),
        StepSpec::Block(rule) => {
            let when = Detail::Code(rule.when.program.clone());
            (Kind::Block, vec![text(&*rule.reason), when])
        }
        StepSpec::Log(log) => (Kind::Log, of_log(log)),
        StepSpec::Limit(count) => (Kind::Limit, vec![text(format!("first {}", grouped(*count)))]),
        StepSpec::Skip(count) => {
            (Kind::Skip, vec![text(format!("all but the first {}", grouped(*count)))])
        }
        StepSpec::Sample(sample) => (Kind::Sample, vec![of_sample(sample)]),
        StepSpec::Validate(validate) => (Kind::Validate, vec![path(&validate.schema)]),
        StepSpec::Lookup(lookup) => {
            let mut details = of_source(&lookup.table);
            details.truncate(1);
            details.push(text(format!("{} = {}", lookup.on, lookup.key)));
            (Kind::Lookup, details)
        }
        StepSpec::Join => (Kind::Join, Vec::new()),
        StepSpec::Place => (Kind::Place, Vec::new()),
    }
}

fn of_model(model: &ModelSpec) -> Vec<Detail> {
    let name = model.model.as_ref().map(|model| text(model.to_string()));
    let from = model.plugin.as_deref().or(model.plugin_dir.as_deref()).map(path);
    name.into_iter().chain(from).collect()
}

fn of_log(log: &LogSpec) -> Vec<Detail> {
    let id = log.id.as_ref().map(|id| text(format!("id: {id}")));
    let sample = log.sample.as_ref().map(of_sample);
    let trace = log.trace.then(|| text("with traces"));
    [id, sample, trace].into_iter().flatten().collect()
}

fn of_sample(SampleSpec { share, seed }: &SampleSpec) -> Detail {
    text(format!("share {share}, seed {seed}"))
}

fn text(text: impl Into<String>) -> Detail {
    Detail::Text(text.into())
}

fn path(path: &Path) -> Detail {
    Detail::Location(path.display().to_string())
}

/// Without its secrets.
fn location(at: &OsStr, stream: &str) -> Detail {
    match Location::of(at) {
        Location::Stream => text(stream),
        location => Detail::Location(location.to_string()),
    }
}
