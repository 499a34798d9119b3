//! The picture of a pipeline: its nodes, the arrows between them, and, of a run's summary, how many
//! records went where. It knows nothing of how it is drawn; [`svg`], [`mermaid`] and [`dot`] draw it.
//!
//! What it shows was written by people, and may be seen by others: a location without its secrets, no
//! model's config, no parameters of a program.

mod colours;
mod details;
pub mod dot;
mod layout;
pub mod mermaid;
pub mod svg;
mod text;

use crate::counts;
use crate::plugin::folder::few;
use crate::spec::{Node, Port, Spec};
use crate::storage::location::Location;
use text::{cut_end, cut_start, grouped, plain};

/// A pipeline, to be drawn.
#[derive(Clone, Debug)]
pub struct Picture {
    /// What it is called.
    pub title: String,
    /// Its nodes: sources, steps, sinks, each behind those it takes from.
    pub nodes: Vec<PictureNode>,
    /// Its arrows.
    pub edges: Vec<Edge>,
    /// Where rejects go, if that is said.
    pub rejects: Option<String>,
}

/// A node of a picture.
#[derive(Clone, Debug)]
pub struct PictureNode {
    /// What it is called.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// What else there is to say, in a line or two.
    pub details: Vec<Detail>,
    /// What it did to the records of a run.
    pub counts: Option<counts::Node>,
}

/// A line about a node, whole: what is too long is cut where it is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Words, whose beginning tells the most.
    Text(String),
    /// A path or a URL, whose end tells the most.
    Location(String),
    /// A program.
    Code(String),
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Records come from there.
    Source,
    /// They end there.
    Sink,
    /// Each of these is a [step](crate::spec::StepSpec).
    Model,
    /// See [`Jq`](crate::spec::StepSpec::Jq).
    Jq,
    /// See [`Block`](crate::spec::StepSpec::Block).
    Block,
    /// See [`Log`](crate::spec::StepSpec::Log).
    Log,
    /// See [`Limit`](crate::spec::StepSpec::Limit).
    Limit,
    /// See [`Skip`](crate::spec::StepSpec::Skip).
    Skip,
    /// See [`Sample`](crate::spec::StepSpec::Sample).
    Sample,
    /// See [`Validate`](crate::spec::StepSpec::Validate).
    Validate,
    /// See [`Lookup`](crate::spec::StepSpec::Lookup).
    Lookup,
    /// See [`Join`](crate::spec::StepSpec::Join).
    Join,
    /// See [`Place`](crate::spec::StepSpec::Place).
    Place,
}

/// An arrow of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The node that it comes from, by its place among all.
    pub from: usize,
    /// The node that it leads to, which stands behind that.
    pub to: usize,
    /// What goes along it.
    pub flow: Flow,
    /// How many records of a run did.
    pub count: Option<u64>,
}

/// What goes along an arrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Records, as the node gives them on.
    Records,
    /// What a rule held back.
    Blocked,
    /// What a model predicted, to be logged.
    Logged,
}

/// The summary is of a run of another pipeline.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the summary is of another pipeline: {0}")]
pub struct OtherPipeline(String);

impl Picture {
    /// What is to be drawn of a pipeline.
    pub fn of_spec(spec: &Spec) -> Self {
        let mut picture = Picture {
            title: "pipeline".to_owned(),
            nodes: Vec::new(),
            edges: Vec::new(),
            rejects: spec.rejects.as_deref().map(|path| match Location::of(path) {
                Location::Stream => "stdout".to_owned(),
                location => location.to_string(),
            }),
        };
        for Node { name, from, what } in &spec.sources {
            picture.add(name, from, Kind::Source, details::of_source(what));
        }
        for Node { name, from, what } in &spec.steps {
            let (kind, details) = details::of_step(what);
            picture.add(name, from, kind, details);
        }
        for Node { name, from, what } in &spec.sinks {
            picture.add(name, from, Kind::Sink, details::of_sink(what));
        }
        picture
    }

    fn add(&mut self, name: &str, from: &[Port], kind: Kind, details: Vec<Detail>) {
        let to = self.nodes.len();
        for port in from {
            // A node takes from those before it. Of a pipeline in which it does not, what can be drawn is.
            let Some(from) = self.nodes.iter().position(|node| node.name == port.node) else {
                continue;
            };
            let flow = match kind {
                _ if port.is_aside => Flow::Blocked,
                Kind::Log => Flow::Logged,
                _ => Flow::Records,
            };
            self.edges.push(Edge { from, to, flow, count: None });
        }
        self.nodes.push(PictureNode { name: name.to_owned(), kind, details, counts: None });
    }

    /// Adds what the nodes of a run's summary did.
    pub fn with_counts(&mut self, nodes: &[counts::Node]) -> Result<(), OtherPipeline> {
        let of = |name: &str| nodes.iter().find(|node| node.name == name);
        let lacks = |name: &str| self.nodes.iter().all(|node| node.name != name);
        let quoted = |name: &String| format!("`{}`", plain(name));
        let missing = self.nodes.iter().map(|node| &node.name).filter(|name| of(name).is_none());
        let missing: Vec<String> = missing.map(quoted).collect();
        let others = nodes.iter().map(|node| &node.name).filter(|name| lacks(name));
        let others: Vec<String> = others.map(quoted).collect();
        let told = [("it does not count", missing), ("it counts", others)];
        let told = told.iter().filter(|(_, names)| !names.is_empty());
        let told: Vec<String> =
            told.map(|(what, names)| format!("{what} {}", few(names, ", "))).collect();
        if !told.is_empty() {
            return Err(OtherPipeline(told.join(", and ")));
        }
        for node in &mut self.nodes {
            node.counts = of(&node.name).cloned();
        }
        for edge in &mut self.edges {
            let counted = |at: usize| self.nodes[at].counts.as_ref();
            edge.count = match edge.flow {
                Flow::Records => counted(edge.from).map(|node| node.yielded),
                Flow::Blocked => counted(edge.from).map(|node| node.blocked),
                Flow::Logged => counted(edge.to).map(|node| node.taken),
            };
        }
        Ok(())
    }
}

impl PictureNode {
    /// What became of the records that it did not give on, and of a sink what it wrote: `2 rejected`.
    fn fates(&self) -> String {
        let Some(counts) = &self.counts else { return String::new() };
        let written = (self.kind == Kind::Sink).then_some((counts.given, "written"));
        let fates = [
            (counts.filtered, "filtered"),
            (counts.blocked, "blocked"),
            (counts.rejected, "rejected"),
        ];
        let fates = fates.into_iter().filter(|(count, _)| *count > 0);
        let fates = written.into_iter().chain(fates);
        let fates: Vec<_> =
            fates.map(|(count, fate)| format!("{} {fate}", grouped(count))).collect();
        fates.join(", ")
    }

    /// All that is said of it: `allowed (block)`, then the details, then the counts.
    fn lines(&self) -> Vec<String> {
        let name = cut_end(&plain(&self.name));
        let mut lines = vec![format!("{name} ({})", self.kind.name())];
        lines.extend(self.details.iter().map(Detail::short));
        lines.push(self.fates());
        lines.retain(|line| !line.is_empty());
        lines
    }
}

impl Detail {
    /// The whole of it.
    fn whole(&self) -> &str {
        let (Detail::Text(text) | Detail::Location(text) | Detail::Code(text)) = self;
        text
    }

    /// What there is room for.
    fn short(&self) -> String {
        match self {
            Detail::Text(text) | Detail::Code(text) => cut_end(&plain(text)),
            Detail::Location(text) => cut_start(&plain(text)),
        }
    }
}

impl Kind {
    /// What it is called in a file of a pipeline.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Source => "source",
            Kind::Sink => "sink",
            Kind::Model => "model",
            Kind::Jq => "jq",
            Kind::Block => "block",
            Kind::Log => "log",
            Kind::Limit => "limit",
            Kind::Skip => "skip",
            Kind::Sample => "sample",
            Kind::Validate => "validate",
            Kind::Lookup => "lookup",
            Kind::Join => "join",
            Kind::Place => "place",
        }
    }

    const ALL: [Kind; 13] = [
        Kind::Source,
        Kind::Sink,
        Kind::Model,
        Kind::Jq,
        Kind::Block,
        Kind::Log,
        Kind::Limit,
        Kind::Skip,
        Kind::Sample,
        Kind::Validate,
        Kind::Lookup,
        Kind::Join,
        Kind::Place,
    ];
}

impl Flow {
    /// What stands on its arrow.
    pub fn label(self) -> Option<&'static str> {
        match self {
            Flow::Blocked => Some("blocked"),
            Flow::Records | Flow::Logged => None,
        }
    }
}

impl Edge {
    /// What stands on it: `blocked 10`; empty where nothing does.
    fn text(&self) -> String {
        let label = self.flow.label().map(str::to_owned);
        let texts = label.into_iter().chain(self.count.map(grouped));
        texts.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests;
