//! What can be wrong with a pipeline as a graph, found without opening anything; and the order in which
//! its nodes stand then: sources as they are read, steps behind those they take from, and sinks that
//! are fed by a log before the others.
//!
//! The rest of a pipeline's life goes by what was checked here: every port is one that there is, and
//! every node is reached from a source and leads to a sink.

mod order;

use super::{BLOCKED, Port, Records, Spec, SpecError, StepSpec};
use crate::storage::location::{Location, is_stdin, is_stdout};
use crate::toml_text::{list, meant, on_a_line};
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Component, Path};

/// What is wrong with a graph.
#[derive(Debug)]
pub struct Fault {
    /// The key in a pipeline file: `steps`, `score`, `from`. Empty: the pipeline as a whole.
    pub key: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl From<Fault> for SpecError {
    fn from(Fault { key, message, hint }: Fault) -> Self {
        let message = match &key[..] {
            [] => message,
            key => format!("`{}`: {message}", key.join(".")),
        };
        SpecError { message, hint }
    }
}

/// What a node is, as far as the graph goes.
#[derive(Clone, Copy)]
enum Role<'a> {
    Source,
    Step(&'a StepSpec),
    Sink,
}

/// A node, wherever it stands.
struct Member<'a> {
    name: &'a str,
    from: &'a [Port],
    role: Role<'a>,
}

impl Member<'_> {
    fn fault(&self, key: &str, message: impl Into<String>, hint: impl Into<String>) -> Fault {
        let section = match self.role {
            Role::Source => "sources",
            Role::Step(_) => "steps",
            Role::Sink => "sinks",
        };
        let mut path = vec![section.to_owned(), self.name.to_owned()];
        path.extend((!key.is_empty()).then(|| key.to_owned()));
        Fault { key: path, message: message.into(), hint: Some(hint.into()) }
    }

    fn is_model(&self) -> bool {
        matches!(self.role, Role::Step(StepSpec::Model(_)))
    }

    fn is_block(&self) -> bool {
        matches!(self.role, Role::Step(StepSpec::Block(_)))
    }

    fn is_log(&self) -> bool {
        matches!(self.role, Role::Step(StepSpec::Log(_)))
    }

    fn is_join(&self) -> bool {
        matches!(self.role, Role::Step(StepSpec::Join))
    }
}

/// All nodes of a pipeline: sources, steps, sinks.
struct Members<'a> {
    all: Vec<Member<'a>>,
    places: HashMap<&'a str, usize>,
    /// How many of them are sources.
    sources: usize,
    /// Where the sinks begin.
    sinks_at: usize,
}

impl Members<'_> {
    /// The node that a port is of.
    fn of(&self, port: &Port) -> usize {
        self.places[port.node.as_str()]
    }

    /// Those that give something on.
    fn givers(&self) -> impl Iterator<Item = &str> {
        self.all[..self.sinks_at].iter().map(|member| member.name)
    }
}

/// Refuses a graph that can't be, and puts the nodes of one that can in order.
pub fn check(spec: &mut Spec) -> Result<(), Fault> {
    let members = members(spec)?;
    let whole = |message: &str, hint: &str| Fault {
        key: Vec::new(),
        message: message.to_owned(),
        hint: Some(hint.to_owned()),
    };
    if spec.sources.is_empty() {
        return Err(whole("there is no source", "[sources.NAME] with path = \"…\""));
    }
    if spec.sinks.is_empty() {
        return Err(whole("there is no sink", "[sinks.NAME] with from = \"…\" and path = \"…\""));
    }
    for at in 0..members.all.len() {
        check_ports(&members, at)?;
    }
    let steps = order::of_steps(&members)?;
    check_takers(&members)?;
    check_logs(&members)?;
    let reached = order::reached(&members, &steps);
    check_joins(&members, &reached)?;
    check_streams(spec, &members)?;
    check_outputs(spec, &members)?;
    let sources = order::of_sources(&members, &reached)?;
    let sinks = order::of_sinks(&members, &steps);
    let (before, sinks_at) = (members.sources, members.sinks_at);
    order::arrange(&mut spec.sources, &sources, 0);
    order::arrange(&mut spec.steps, &steps, before);
    order::arrange(&mut spec.sinks, &sinks, sinks_at);
    Ok(())
}

/// All nodes, each with a name of its own.
fn members(spec: &Spec) -> Result<Members<'_>, Fault> {
    let sources = spec.sources.iter().map(|node| Member {
        name: &node.name,
        from: &node.from,
        role: Role::Source,
    });
    let steps = spec.steps.iter().map(|node| Member {
        name: &node.name,
        from: &node.from,
        role: Role::Step(&node.what),
    });
    let sinks = spec.sinks.iter().map(|node| Member {
        name: &node.name,
        from: &node.from,
        role: Role::Sink,
    });
    let all: Vec<Member<'_>> = sources.chain(steps).chain(sinks).collect();
    let mut places = HashMap::new();
    for (at, member) in all.iter().enumerate() {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let name = member.name;
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(fits) {
            let message = format!("no node can be called `{}`", on_a_line(name));
            return Err(member.fault("", message, "a letter, then letters, digits, `_`, `-`"));
        }
        if places.insert(name, at).is_some() {
            let message = "there is another node that is called so";
            let hint = "sources, steps and sinks share their names: give it one of its own";
            return Err(member.fault("", message, hint));
        }
    }
    let sinks_at = spec.sources.len() + spec.steps.len();
    Ok(Members { all, places, sources: spec.sources.len(), sinks_at })
}

/// Whether a node takes from what there is.
fn check_ports(members: &Members<'_>, at: usize) -> Result<(), Fault> {
    let member = &members.all[at];
    if at < members.sources {
        debug_assert!(member.from.is_empty(), "a source takes from nobody");
        return Ok(());
    }
    if member.from.is_empty() {
        let hint = format!("from = \"NAME\"; known are {}", list(members.givers()));
        return Err(member.fault("from", "it takes from nobody", hint));
    }
    let mut seen = HashSet::new();
    for port in member.from {
        let others = || members.givers().filter(|name| *name != member.name);
        let Some(&place) = members.places.get(port.node.as_str()) else {
            let message = format!("there is no node `{}`", on_a_line(&port.node));
            let hint = match port.node.contains("${") {
                true => "names of nodes are no place for parameters".to_owned(),
                false => meant(&port.node, others()),
            };
            return Err(member.fault("from", message, hint));
        };
        let giver = &members.all[place];
        if place >= members.sinks_at {
            let message = format!("`{}` is a sink, which gives nothing on", port.node);
            let hint = match giver.from.first() {
                Some(before) => format!("take from what it takes from: from = \"{before}\""),
                None => meant(&port.node, others()),
            };
            return Err(member.fault("from", message, hint));
        }
        if port.is_aside && !giver.is_block() {
            let message = format!("`{}` is no block, and holds nothing back", port.node);
            return Err(member.fault("from", message, format!("leave `.{BLOCKED}` away")));
        }
        if !seen.insert(port) {
            let message = format!("`{port}` stands there twice");
            return Err(member.fault("from", message, "name it once"));
        }
    }
    Ok(())
}

/// Whether somebody takes what a node gives on.
fn check_takers(members: &Members<'_>) -> Result<(), Fault> {
    let taken: HashSet<&Port> = members.all.iter().flat_map(|member| member.from).collect();
    for member in &members.all[..members.sinks_at] {
        let port = |is_aside| Port { node: member.name.to_owned(), is_aside };
        if taken.contains(&port(false)) {
            continue;
        }
        let (what, where_to) = match member.role {
            Role::Source => ("leads nowhere: nobody takes its records", "a step or a sink"),
            _ if taken.contains(&port(true)) => {
                ("leads nowhere: nobody takes the records that it lets pass", "a step or a sink")
            }
            _ if member.is_log() => ("leads nowhere: nobody takes its records", "a sink"),
            _ => ("leads nowhere: nobody takes what it gives on", "a step or a sink"),
        };
        let hint =
            format!("have {where_to} take from it, from = \"{}\", or leave it out", member.name);
        return Err(member.fault("", what, hint));
    }
    Ok(())
}

/// Whether each log is of one model, and each model has one.
fn check_logs(members: &Members<'_>) -> Result<(), Fault> {
    let mut logs: HashMap<&str, &str> = HashMap::new();
    for member in members.all.iter().filter(|member| member.is_log()) {
        let model = match member.from {
            [port] if members.all[members.of(port)].is_model() => &port.node,
            [port] => {
                let message = format!("`{port}` is no model: only predictions can be logged");
                return Err(member.fault("from", message, models(members)));
            }
            _ => {
                let message = "a log takes from one model, and these are several";
                return Err(member.fault("from", message, "give each model a log of its own"));
            }
        };
        if let Some(other) = logs.insert(model, member.name) {
            let message = format!("the model `{model}` has a log already, `{other}`");
            let hint = format!("take from that one, from = \"{other}\", as often as you like");
            return Err(member.fault("from", message, hint));
        }
    }
    Ok(())
}

fn models(members: &Members<'_>) -> String {
    let models = members.all.iter().filter(|member| member.is_model()).map(|member| member.name);
    match list(models) {
        none if none.is_empty() => "there is no step of type `model`".to_owned(),
        models => format!("models are {models}"),
    }
}

/// Whether the branches of each join are of one source.
fn check_joins(members: &Members<'_>, reached: &[Vec<bool>]) -> Result<(), Fault> {
    for member in members.all.iter().filter(|member| member.is_join()) {
        if member.from.len() < 2 {
            let message = "there is nothing to join: it takes from one node only";
            let hint = "name the branches: from = [\"one\", \"other\"]";
            return Err(member.fault("from", message, hint));
        }
        let branches: Vec<usize> = member.from.iter().map(|port| members.of(port)).collect();
        let is_shared = |source| branches.iter().all(|&branch| reached[branch][source]);
        if !(0..members.sources).any(is_shared) {
            let message = "its branches have no source in common, so that no record is of both";
            let hint = "a join puts together what was made of one record; to have one behind the \
                        other, take from several: from = [\"one\", \"other\"] of any other node";
            return Err(member.fault("from", message, hint));
        }
    }
    Ok(())
}

/// Whether stdin is read once.
fn check_streams(spec: &Spec, members: &Members<'_>) -> Result<(), Fault> {
    let mut first: Option<&str> = None;
    let sources = spec.sources.iter().map(|node| (&node.name, &node.what));
    let tables = spec.steps.iter().filter_map(|node| match &node.what {
        StepSpec::Lookup(lookup) => Some((&node.name, &lookup.table)),
        _ => None,
    });
    for (name, source) in sources.chain(tables) {
        let inputs = match &source.records {
            Records::Inputs(inputs) => &inputs[..],
            Records::Rejects(input) => std::slice::from_ref(input),
            Records::One(_) => &[],
        };
        for _ in inputs.iter().filter(|input| is_stdin(Path::new(input))) {
            if let Some(first) = first {
                let message = match first == name {
                    true => "stdin stands there twice".to_owned(),
                    false => format!("`{first}` reads stdin already"),
                };
                let member = &members.all[members.places[name.as_str()]];
                return Err(member.fault("path", message, "what was read once is gone"));
            }
            first = Some(name);
        }
    }
    Ok(())
}

/// Whether each output is written by one.
fn check_outputs(spec: &Spec, members: &Members<'_>) -> Result<(), Fault> {
    let mut outputs: HashMap<String, &str> = HashMap::new();
    for (node, member) in spec.sinks.iter().zip(&members.all[members.sinks_at..]) {
        let place = node.what.output.as_deref().unwrap_or(OsStr::new("-"));
        let place = match Location::of(place) {
            Location::Stream => "-".to_owned(),
            Location::Local(path) if path == Path::new("/dev/null") => continue,
            Location::Local(path) if is_stdout(&path) => "-".to_owned(),
            Location::Local(path) => {
                let parts = path.components().filter(|part| *part != Component::CurDir);
                format!("{:?}", parts.collect::<Vec<_>>())
            }
            Location::Remote(remote) => format!("{} {:?}", remote.whole(), node.what.table),
        };
        let is_stdout = place == "-";
        if let Some(other) = outputs.insert(place, &node.name) {
            let message = match is_stdout {
                true => format!("`{other}` writes to stdout already"),
                false => format!("`{other}` writes there already"),
            };
            let hint = format!("to have both in one, let `{other}` take from several: from = […]");
            return Err(member.fault("path", message, hint));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
