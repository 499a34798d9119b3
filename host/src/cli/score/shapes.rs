//! What is known of records before the first of them is read: how a source's text is to be read, what
//! columns come to each sink, and whether what comes to a model can be what it asks for.

use crate::cli::job::Job;
use crate::columns::{Column, Kind, Shape, of_schema};
use crate::error::Error;
use crate::schema;
use crate::spec::{LookupSpec, Node, Port, Spec, StepSpec};
use crate::step::emit::Emit;
use model_abi::describe::ModelDescription;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The models of a pipeline, by the nodes that ask them.
pub(super) type Described<'a> = HashMap<&'a str, &'a ModelDescription>;

/// How the records of a source are read.
pub(super) struct Reads {
    /// Says what text without types is to become.
    pub(super) schema: Arc<Value>,
    /// The only fields that anybody reads; `None`: all may be needed.
    pub(super) fields: Option<Vec<String>>,
}

impl Reads {
    /// As columns of these types, where nobody's schema says more; all fields.
    pub(super) fn typed(types: &[Column]) -> Self {
        Reads { schema: Arc::new(with_types(json!({}), types)), fields: None }
    }
}

/// How each source is read: its text for the first model that takes it unchanged.
pub(super) fn reads(spec: &Spec, models: &Described<'_>) -> Vec<Reads> {
    let reads = spec.sources.iter().map(|source| {
        let takers = takers(spec, &source.name, |step| {
            matches!(
                step,
                StepSpec::Limit(_)
                    | StepSpec::Skip(_)
                    | StepSpec::Sample(_)
                    | StepSpec::Validate(_)
                    | StepSpec::Block(_)
            )
        });
        let asked = takers.iter().filter_map(|taker| match taker {
            Taker::Step(node) => match &node.what {
                StepSpec::Model(model) => Some((model, models[&*node.name])),
                _ => None,
            },
            Taker::Sink => None,
        });
        let asked: Vec<_> = asked.collect();
        let schema = asked.first().map_or_else(|| json!({}), |(_, it)| it.input_schema.clone());
        let mut fields = Some(BTreeSet::new());
        for taker in &takers {
            let read = match taker {
                Taker::Step(node) => match &node.what {
                    // A log has all of the record.
                    StepSpec::Model(_) if is_logged(spec, &node.name) => None,
                    StepSpec::Model(model) => {
                        model.emit.fields_of_record(&models[&*node.name].input_schema)
                    }
                    StepSpec::Limit(_) | StepSpec::Skip(_) | StepSpec::Sample(_) => {
                        Some(Vec::new())
                    }
                    _ => None,
                },
                Taker::Sink => None,
            };
            fields = fields.zip(read).map(|(mut fields, read)| {
                fields.extend(read);
                fields
            });
        }
        // In the order of the only model, where there is one.
        let fields = match &asked[..] {
            [(model, it)] if fields.is_some() => model.emit.fields_of_record(&it.input_schema),
            _ => fields.map(|fields| fields.into_iter().collect()),
        };
        Reads { schema: Arc::new(with_types(schema, &source.what.types)), fields }
    });
    reads.collect()
}

fn is_logged(spec: &Spec, model: &str) -> bool {
    let mut logs = spec.steps.iter().filter(|step| step.is_log());
    logs.any(|log| log.from.iter().any(|port| port.node == model))
}

fn with_types(mut schema: Value, types: &[Column]) -> Value {
    if types.is_empty() {
        return schema;
    }
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    for Column { name, kind } in types {
        let kind = match kind {
            Kind::Number => "number",
            Kind::Integer => "integer",
            Kind::Boolean => "boolean",
            Kind::String => "string",
            Kind::Json | Kind::List(_) | Kind::Struct(_) => {
                schema["properties"][name] = json!({});
                continue;
            }
        };
        schema["properties"][name] = json!({ "type": kind });
    }
    schema
}

/// What takes records.
enum Taker<'a> {
    Step(&'a Node<StepSpec>),
    Sink,
}

/// All that take from a node, and from the steps behind it that pass on what they are given.
fn takers<'a>(spec: &'a Spec, from: &str, passes: fn(&StepSpec) -> bool) -> Vec<Taker<'a>> {
    let mut passing = vec![Port { node: from.to_owned(), is_aside: false }];
    let mut takers = Vec::new();
    for step in &spec.steps {
        if step.from.iter().any(|port| passing.contains(port)) {
            if passes(&step.what) {
                passing.push(Port { node: step.name.clone(), is_aside: false });
            }
            takers.push(Taker::Step(step));
        }
    }
    let sinks = spec.sinks.iter().filter(|it| it.from.iter().any(|port| passing.contains(port)));
    takers.extend(sinks.map(|_| Taker::Sink));
    takers
}

/// Whether what a source reads is written by somebody who does not look whether it is JSON.
pub(super) fn is_passed_on(spec: &Spec, source: &str) -> bool {
    let takers = takers(spec, source, |step| {
        matches!(
            step,
            StepSpec::Limit(_) | StepSpec::Skip(_) | StepSpec::Sample(_) | StepSpec::Block(_)
        )
    });
    takers.iter().any(|taker| match taker {
        Taker::Sink => true,
        Taker::Step(step) => matches!(step.what, StepSpec::Join | StepSpec::Place),
    })
}

/// What is known of the records that each node gives on.
pub(super) struct Shapes(HashMap<Port, Shape>);

impl Shapes {
    /// `sources`: the columns of those that are tables. `tables`: what the lookups put into records.
    pub(super) fn of(
        job: &Job<'_>,
        models: &Described<'_>,
        sources: Vec<Option<Vec<Column>>>,
        tables: &HashMap<String, Option<Vec<Column>>>,
    ) -> Result<Self, Error> {
        let mut shapes = Shapes(HashMap::new());
        for (source, columns) in job.spec.sources.iter().zip(sources) {
            let shape = columns.map_or_else(Shape::unknown, Shape::of_table);
            shapes.0.insert(port(&source.name, false), shape);
        }
        for step in &job.spec.steps {
            let given = shapes.taken(&step.from);
            let name = &*step.name;
            let shape = match &step.what {
                StepSpec::Model(model) => {
                    let ModelDescription { input_schema, output_schema, .. } = models[name];
                    fits(step, &given, input_schema)?;
                    given.predicted(&model.emit, input_schema, output_schema)
                }
                StepSpec::Block(block) => {
                    let held_back = held_back(&given, &block.emit);
                    shapes.0.insert(port(name, true), held_back);
                    given
                }
                StepSpec::Log(log) => logged(models[&*step.from[0].node], log.trace),
                StepSpec::Jq(_) => Shape::unknown(),
                StepSpec::Join => Shape::of_table(
                    step.from.iter().map(|from| column(&from.to_string(), Kind::Json)).collect(),
                ),
                StepSpec::Lookup(lookup) => looked_up(given, lookup, tables[name].as_deref()),
                StepSpec::Place => given.placed(),
                StepSpec::Limit(_)
                | StepSpec::Skip(_)
                | StepSpec::Sample(_)
                | StepSpec::Validate(_) => given,
            };
            shapes.0.insert(port(name, false), shape);
        }
        Ok(shapes)
    }

    /// What comes to a node that takes from these.
    pub(super) fn taken(&self, from: &[Port]) -> Shape {
        let mut shapes = from.iter().map(|port| &self.0[port]);
        let mut taken = shapes.next().cloned().unwrap_or_default();
        for other in shapes {
            taken.is_open |= other.is_open;
            taken.is_value |= other.is_value;
            for column in &other.columns {
                match taken.columns.iter_mut().find(|it| it.name == column.name) {
                    Some(same) if same.kind == column.kind => {}
                    Some(same) => same.kind = Kind::Json,
                    None => taken.columns.push(column.clone()),
                }
            }
        }
        taken
    }
}

fn port(node: &str, is_aside: bool) -> Port {
    Port { node: node.to_owned(), is_aside }
}

fn column(name: &str, kind: Kind) -> Column {
    Column { name: name.to_owned(), kind }
}

fn held_back(given: &Shape, emit: &Emit) -> Shape {
    let text = json!({"type": "string"});
    let schema = json!({"type": "object", "properties": {"blocked": text, "reason": text}});
    given.predicted(emit, &json!({}), &schema)
}

fn looked_up(mut given: Shape, lookup: &LookupSpec, table: Option<&[Column]>) -> Shape {
    match (&lookup.into, table) {
        (Some(field), _) => given.columns.push(column(field, Kind::Json)),
        (None, Some(columns)) => given.columns.extend(columns.iter().cloned()),
        (None, None) => given.is_open = true,
    }
    given
}

/// The fields of the prediction log.
fn logged(model: &ModelDescription, has_trace: bool) -> Shape {
    let text = |name| column(name, Kind::String);
    let mut columns =
        ["id", "time", "model", "version", "plugin_sha256", "source"].map(text).to_vec();
    columns.extend(["line", "byte"].map(|name| column(name, Kind::Integer)));
    columns.push(column("input", Kind::Json));
    columns.push(column("output", Kind::of(&model.output_schema, &model.output_schema)));
    columns.extend(has_trace.then(|| column("trace", Kind::Json)));
    Shape::of_table(columns)
}

/// Refuses a model that asks for what records that come to it can't have.
fn fits(step: &Node<StepSpec>, given: &Shape, input_schema: &Value) -> Result<(), Error> {
    if given.is_open || given.is_value {
        return Ok(());
    }
    let wanted = of_schema(input_schema);
    let from: Vec<String> = step.from.iter().map(|port| format!("`{port}`")).collect();
    let from = from.join(", ");
    for field in schema::fields(input_schema, input_schema) {
        let there = given.columns.iter().find(|column| column.name == field.name);
        let kind = wanted.iter().find(|column| column.name == field.name).map(|it| &it.kind);
        let message = match (there, kind) {
            (None, _) if field.required => {
                let names: Vec<_> =
                    given.columns.iter().map(|column| format!("`{}`", column.name)).collect();
                let (name, names) = (field.name, names.join(", "));
                format!(
                    "the model asks for the field `{name}`, and what comes from {from} has only {names}"
                )
            }
            (Some(there), Some(kind)) if differ(&there.kind, kind) => {
                let (name, is, wants) = (field.name, told(&there.kind), told(kind));
                format!(
                    "the model asks for {wants} in the field `{name}`, and what comes from {from} has {is}"
                )
            }
            _ => continue,
        };
        return Err(Error::Usage {
            message: format!("`{}` can't be: {message}", step.name),
            hint: Some("a jq step before it can make what it asks for".to_owned()),
        });
    }
    Ok(())
}

/// Whether no value of one kind is of the other.
fn differ(is: &Kind, wanted: &Kind) -> bool {
    let group = |kind: &Kind| match kind {
        Kind::Number | Kind::Integer => 1,
        Kind::Boolean => 2,
        Kind::String => 3,
        Kind::List(_) => 4,
        Kind::Struct(_) => 5,
        Kind::Json => 0,
    };
    group(is) != 0 && group(wanted) != 0 && group(is) != group(wanted)
}

fn told(kind: &Kind) -> &'static str {
    match kind {
        Kind::Number => "a number",
        Kind::Integer => "an integer",
        Kind::Boolean => "a boolean",
        Kind::String => "a text",
        Kind::List(_) => "an array",
        Kind::Struct(_) => "an object",
        Kind::Json => "anything",
    }
}
