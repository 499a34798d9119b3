//! Which columns each sink has: those that somebody named, or those that are known of what comes to it.

use super::models::Models;
use super::nodes::Steps;
use super::shapes::{Described, Shapes};
use crate::cli::formats::of_output;
use crate::cli::job::{Job, Part};
use crate::columns::{Column, Shape};
use crate::error::Error;
use crate::source::Source;
use crate::spec::{Node, SinkSpec};
use crate::storage::location::Location;
use crate::storage::services::Services;

/// The columns of each sink, which writes there. Refuses a table without any, and one that would take
/// no record.
pub(super) fn of_sinks(
    job: &Job<'_>,
    (steps, models): (&Steps, &Models),
    sources: &[impl Source],
    outputs: &[Location],
    services: &Services,
) -> Result<Vec<Vec<Column>>, Error> {
    let described = models.all().iter().map(|it| (&*it.node, &it.description));
    let shapes = shapes(job, &described.collect(), steps, sources)?;
    let columns = job.spec.sinks.iter().zip(outputs).map(|(node, location)| {
        let format = of_output(&node.what, location);
        let table = match services.database(location) {
            Some(_) => Some("a table"),
            None => format.is_table().then(|| format.name()),
        };
        let shape = shapes.taken(&node.from);
        match table {
            Some(table) => of_table(job, node, table, shape),
            None if node.what.columns.is_empty() => Ok(shape.columns),
            None => Ok(node.what.columns.clone()),
        }
    });
    columns.collect()
}

/// What is known of all records, now that the first inputs are open; refuses what can't go together.
pub(super) fn shapes(
    job: &Job<'_>,
    models: &Described<'_>,
    steps: &Steps,
    sources: &[impl Source],
) -> Result<Shapes, Error> {
    let columns = sources.iter().map(|source| source.columns()).collect();
    Shapes::of(job, models, columns, &steps.tables)
}

fn of_table(
    job: &Job<'_>,
    node: &Node<SinkSpec>,
    table: &str,
    shape: Shape,
) -> Result<Vec<Column>, Error> {
    let (output, set) = (job.output(node), job.option(Part::Sink, &node.name, "columns"));
    let told = &node.what.columns;
    if told.is_empty() && shape.columns.is_empty() {
        return Err(Error::Usage {
            message: format!(
                "which columns has {output}? {table} has some, and nothing is known of what comes \
                 to it"
            ),
            hint: Some(format!("name them: {set} = [\"a\", \"b\"]")),
        });
    }
    if told.is_empty() {
        return Ok(shape.columns);
    }
    let is_missing = |column: &&Column| told.iter().all(|it| it.name != column.name);
    match shape.columns.iter().find(is_missing) {
        Some(Column { name, .. }) if !shape.is_open && !shape.is_value => Err(Error::Usage {
            message: format!(
                "{output} has no column `{name}`, and what comes to it has: it would be rejected"
            ),
            hint: Some(format!("name it in {set}, or leave it away in a jq step before")),
        }),
        _ => Ok(told.clone()),
    }
}
