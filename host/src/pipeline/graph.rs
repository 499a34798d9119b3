//! The nodes of a pipeline, and the way of a batch through all of them.
//!
//! A worker takes a batch through the whole graph before it takes the next, so that nothing waits
//! between nodes: what a node gives on lies in a slot until the last that takes it has come by. On a
//! fork the records' text is shared, and only the list of records is copied.

use crate::batch::{Batch, Flow};
use crate::counts::{Counted, Role};
use crate::sink::Sink;
use crate::source::Source;
use crate::step::{Saturation, Step, StepError};
use std::sync::Arc;

/// A node of a pipeline.
pub struct Node {
    /// What it is called in lines and rejects; `None`: what it is called itself.
    pub name: Option<String>,
    /// What it takes from, in order: nodes that stand before it. Of a source, nothing.
    pub from: Vec<Port>,
    /// What it is.
    pub work: Work,
}

/// What a node gives on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// The node's place among all.
    pub node: usize,
    /// Whether it is what the node put aside.
    pub is_aside: bool,
}

/// What a node is.
pub enum Work {
    /// Records begin there. Sources stand before all other nodes, in the order in which they are read.
    Source(Box<dyn Source>),
    /// Something done to every record.
    Step(Box<dyn Step>),
    /// What several branches made of one record becomes one, in a field for each, called so.
    Join(Vec<String>),
    /// Records end there. Sinks stand behind all other nodes, in the order in which they are written.
    Sink(Box<dyn Sink>),
}

/// Nodes that each take from the one before.
pub fn line(works: impl IntoIterator<Item = Work>) -> Vec<Node> {
    let nodes = works.into_iter().enumerate().map(|(at, work)| {
        let from = at.checked_sub(1).map(|node| Port { node, is_aside: false });
        Node { name: None, from: from.into_iter().collect(), work }
    });
    nodes.collect()
}

impl Work {
    pub(super) fn role(&self) -> Role {
        match self {
            Work::Source(_) => Role::Source,
            Work::Step(_) | Work::Join(_) => Role::Step,
            Work::Sink(_) => Role::Sink,
        }
    }
}

/// What a worker does at a node.
enum Doing {
    /// Makes JSON of what was read.
    Decode(Option<Box<dyn Step>>),
    Step(Box<dyn Step>),
    /// The fields' names as JSON.
    Join(Vec<String>),
    /// Makes of JSON what is written.
    Encode(Option<Box<dyn Step>>),
}

impl Doing {
    fn another(&self) -> Self {
        match self {
            Doing::Decode(step) => Doing::Decode(step.as_ref().map(|step| step.another())),
            Doing::Step(step) => Doing::Step(step.another()),
            Doing::Join(names) => Doing::Join(names.clone()),
            Doing::Encode(step) => Doing::Encode(step.as_ref().map(|step| step.another())),
        }
    }
}

struct Place {
    doing: Doing,
    /// Its name, where it was given one: then its rejects bear it.
    name: Option<Arc<str>>,
    from: Vec<Port>,
    /// Sources, by their place, that it is reached from.
    reached_from: Vec<bool>,
    /// How many take what it gives on, and what it puts aside.
    takers: [usize; 2],
}

impl Place {
    /// The step, where it is one.
    fn step(&mut self) -> Option<&mut Box<dyn Step>> {
        match &mut self.doing {
            Doing::Step(step) => Some(step),
            _ => None,
        }
    }
}

/// One worker's instance of all nodes.
pub(super) struct Graph {
    places: Vec<Place>,
    sources: usize,
    /// Where the sinks begin.
    sinks_at: usize,
    slots: Vec<[Slot; 2]>,
}

#[derive(Default)]
struct Slot {
    flow: Flow,
    left: usize,
}

/// What is done with one batch.
pub(super) struct Passed {
    /// For each node.
    pub(super) nodes: Vec<Counted>,
    /// Nothing of its source is wanted behind this batch, of which there is no more than is wanted.
    pub(super) is_enough: bool,
}

/// In the order in which they are read.
pub(super) type Sources = Vec<Box<dyn Source>>;
/// In the order in which they are written.
pub(super) type Sinks = Vec<Box<dyn Sink>>;

/// Looks on: at the node by its place, behind it, and at the records that it gives on.
pub(super) type Observer<'a> = &'a mut dyn FnMut(usize, &Batch);

impl Graph {
    /// The nodes of a pipeline, whose sources and sinks are somebody else's.
    pub(super) fn new(nodes: Vec<Node>) -> (Self, Sources, Sinks) {
        let sources = nodes.iter().filter(|node| node.work.role() == Role::Source).count();
        let mut graph = Graph {
            places: Vec::with_capacity(nodes.len()),
            sources,
            sinks_at: nodes.iter().filter(|node| node.work.role() != Role::Sink).count(),
            slots: Vec::new(),
        };
        let (mut ends_in, mut ends_out) = (Vec::new(), Vec::new());
        for (at, node) in nodes.into_iter().enumerate() {
            let mut reached_from = vec![false; sources];
            for port in &node.from {
                let before = &mut graph.places[port.node];
                before.takers[usize::from(port.is_aside)] += 1;
                let reached = before.reached_from.iter().zip(&mut reached_from);
                reached.for_each(|(from, to)| *to |= from);
            }
            let doing = match node.work {
                Work::Source(source) => {
                    reached_from[at] = true;
                    let decoder = source.decoder();
                    ends_in.push(source);
                    Doing::Decode(decoder)
                }
                Work::Step(step) => Doing::Step(step),
                Work::Join(names) => Doing::Join(
                    names.iter().map(|name| serde_json::Value::from(&**name).to_string()).collect(),
                ),
                Work::Sink(sink) => {
                    let encoder = sink.encoder();
                    ends_out.push(sink);
                    Doing::Encode(encoder)
                }
            };
            let name = node.name.map(Arc::from);
            graph.places.push(Place { doing, name, from: node.from, reached_from, takers: [0; 2] });
        }
        graph.slots.resize_with(graph.places.len(), Default::default);
        (graph, ends_in, ends_out)
    }

    /// Another instance, for another worker.
    pub(super) fn another(&self) -> Self {
        let places = self.places.iter().map(|place| Place {
            doing: place.doing.another(),
            name: place.name.clone(),
            from: place.from.clone(),
            reached_from: place.reached_from.clone(),
            takers: place.takers,
        });
        let mut slots = Vec::new();
        slots.resize_with(self.places.len(), Default::default);
        let (sources, sinks_at) = (self.sources, self.sinks_at);
        Graph { places: places.collect(), sources, sinks_at, slots }
    }

    /// Goes on behind what an interrupted run did.
    pub(super) fn resume(&mut self, nodes: &[crate::counts::Node]) {
        for (place, node) in self.places.iter_mut().zip(nodes) {
            if let Some(step) = place.step() {
                step.resume(node.taken);
            }
        }
    }

    /// Takes a batch through all nodes. On an error, with the name of the node.
    pub(super) fn pass(
        &mut self,
        batch: &mut Batch,
        observer: Option<Observer<'_>>,
    ) -> Result<Passed, (String, StepError)> {
        let mut observer = observer;
        let mut nodes = self.pass_once(batch, &mut observer)?;
        let is_enough = match self.wanted(batch.source as usize) {
            None => false,
            Some(records) => {
                if records < batch.read() {
                    // What stands behind the last record that is wanted was not to be read at all.
                    batch.cut(records);
                    nodes = self.pass_once(batch, &mut observer)?;
                }
                for step in self.places.iter_mut().filter_map(Place::step) {
                    step.end_source(batch.source, batch.sequence);
                }
                true
            }
        };
        Ok(Passed { nodes, is_enough })
    }

    fn pass_once(
        &mut self,
        batch: &mut Batch,
        observer: &mut Option<Observer<'_>>,
    ) -> Result<Vec<Counted>, (String, StepError)> {
        let source = batch.source as usize;
        let mut nodes = vec![Counted::default(); self.places.len()];
        nodes[source] = self.decode(batch, source)?;
        self.put(source, batch, observer);
        for (at, counted) in nodes.iter_mut().enumerate().skip(self.sources) {
            if !self.places[at].reached_from[source] {
                if let Some(step) = self.places[at].step() {
                    step.pass_by(batch.sequence);
                }
                continue;
            }
            self.gather(at, batch);
            let place = &mut self.places[at];
            let (taken, rejected) = (batch.len() as u64, batch.rejected());
            let (mut kept, mut blocked) = (taken, batch.blocked().len());
            match &mut place.doing {
                Doing::Decode(_) => unreachable!("sources stand before all other nodes"),
                Doing::Step(step) | Doing::Encode(Some(step)) => {
                    step.apply(batch).map_err(|error| named(&place.name, &**step, error))?;
                    kept = batch.kept() as u64;
                }
                Doing::Join(_) | Doing::Encode(None) => {}
            }
            if let Some(name) = &place.name {
                batch.name_rejections(rejected, name);
            }
            let rejected = (batch.rejected() - rejected) as u64;
            blocked = batch.blocked().len() - blocked;
            let is_sink = matches!(place.doing, Doing::Encode(_));
            *counted = Counted {
                taken,
                // What a sink gives on is counted when it is written.
                given: if is_sink { 0 } else { kept },
                yielded: if is_sink { 0 } else { batch.len() as u64 },
                filtered: taken - kept - rejected - blocked as u64,
                blocked: blocked as u64,
                rejected,
            };
            self.put(at, batch, observer);
        }
        Ok(nodes)
    }

    /// Makes JSON of what was read.
    fn decode(&mut self, batch: &mut Batch, source: usize) -> Result<Counted, (String, StepError)> {
        let place = &mut self.places[source];
        batch.reject_invalid_utf8(batch.reader);
        if let Doing::Decode(Some(decoder)) = &mut place.doing {
            decoder.apply(batch).map_err(|error| named(&place.name, &**decoder, error))?;
        }
        if let Some(name) = &place.name {
            batch.name_rejections(0, name);
        }
        let (given, rejected) = (batch.len() as u64, batch.rejected() as u64);
        Ok(Counted { given, yielded: given, rejected, ..Counted::default() })
    }

    /// What a node takes, as the records that the batch has now.
    fn gather(&mut self, at: usize, batch: &mut Batch) {
        let place = &self.places[at];
        let source = batch.source as usize;
        let mut flows = Vec::new();
        for port in &place.from {
            if !self.places[port.node].reached_from[source] {
                // Of a join each branch has its field.
                flows.push(Flow::default());
                continue;
            }
            let slot = &mut self.slots[port.node][usize::from(port.is_aside)];
            slot.left -= 1;
            let flow = match slot.left {
                0 => std::mem::take(&mut slot.flow),
                _ => slot.flow.clone(),
            };
            flows.push(flow);
        }
        let flow = match &place.doing {
            Doing::Join(names) => batch.join(&flows, names),
            _ => batch.merge(flows),
        };
        batch.set_flow(flow);
    }

    /// What a node gives on, for those that take it.
    fn put(&mut self, at: usize, batch: &mut Batch, observer: &mut Option<Observer<'_>>) {
        if let Some(observer) = observer {
            observer(at, batch);
        }
        if let Doing::Encode(_) = self.places[at].doing {
            return batch.swap_end(at - self.sinks_at);
        }
        let flows = [batch.take_flow(), batch.take_aside()];
        for ((flow, slot), takers) in
            flows.into_iter().zip(&mut self.slots[at]).zip(self.places[at].takers)
        {
            slot.left = takers;
            match takers {
                0 => batch.drop_flow(flow),
                _ => slot.flow = flow,
            }
        }
    }

    /// How many records of the batch that was passed are wanted of its source, where none is behind it:
    /// each way to an end leads through a limit that has had enough.
    pub(super) fn wanted(&self, source: usize) -> Option<usize> {
        let mut by_way_of = vec![0; self.places.len()];
        by_way_of[source] = usize::MAX;
        for at in self.sources..self.places.len() {
            let place = &self.places[at];
            let before = place.from.iter().map(|port| by_way_of[port.node]).max().unwrap_or(0);
            let saturation = match &place.doing {
                Doing::Step(step) => step.saturation(),
                _ => Saturation::Open,
            };
            by_way_of[at] = match saturation {
                Saturation::Open => before,
                Saturation::Before => 0,
                Saturation::At(record) => before.min(record as usize + 1),
            };
        }
        let ends = self.places.iter().zip(by_way_of).filter(|(place, _)| place.takers == [0, 0]);
        let wanted = ends.map(|(_, wanted)| wanted).max().unwrap_or(usize::MAX);
        (wanted < usize::MAX).then_some(wanted)
    }

    /// Lets a batch go by of which nothing is wanted.
    pub(super) fn pass_by(&mut self, sequence: u64) {
        for step in self.places.iter_mut().filter_map(Place::step) {
            step.pass_by(sequence);
        }
    }
}

fn named(name: &Option<Arc<str>>, step: &dyn Step, error: StepError) -> (String, StepError) {
    (name.as_ref().unwrap_or(step.name()).to_string(), error)
}

#[cfg(test)]
mod tests;
