//! A pipeline tried with a few records: what each node does to each of them, and nothing is written.

use super::graph::{Graph, Node};
use crate::batch::Batch;
use crate::record::{RecordPosition, RejectKind};
use crate::source::SourceError;
use crate::step::{STACK_BYTES, StepError};
use crate::stop::Stop;
use std::sync::Arc;

/// How many bytes of a source are read at once: for a few records more would be too many.
const BYTES_WANTED: usize = 1024;

/// What became of a record.
#[derive(Debug)]
pub struct Tried {
    /// Which of the nodes it was read by.
    pub node: usize,
    /// The source's name and its place there.
    pub place: (Arc<str>, RecordPosition),
    /// As it was read.
    pub record: String,
    /// What nodes gave on of it, in the order in which they did; of one that has it and gave nothing on,
    /// nothing. Sinks give on what comes to them.
    pub given: Vec<Given>,
    /// By which nodes it was rejected, in their order.
    pub rejects: Vec<Rejected>,
}

/// What a node gave on of a record.
#[derive(Debug, PartialEq)]
pub struct Given {
    /// The node, by its place.
    pub node: usize,
    /// Whether it put that aside.
    pub is_aside: bool,
    /// The texts.
    pub texts: Vec<String>,
}

/// That a record can't go on.
#[derive(Debug)]
pub struct Rejected {
    /// Name of the node.
    pub node: String,
    /// Why, for programs.
    pub kind: RejectKind,
    /// Where in the record, or empty.
    pub path: String,
    /// Why, for people.
    pub message: String,
}

/// Why a trial ended early.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// A source can't be read.
    #[error("the input can't be read")]
    Source(#[source] SourceError),
    /// The system gives us no thread.
    #[error("a thread can't be started")]
    Thread(#[source] std::io::Error),
    /// A step can't go on with any record.
    #[error("step `{step}` can't go on")]
    Step {
        /// Its name.
        step: String,
        /// Why.
        source: StepError,
    },
}

/// Takes the first records of each source, at most so many, through nodes without sinks.
pub fn run(nodes: Vec<Node>, records_max: usize, stop: &Stop) -> Result<Vec<Tried>, TrialError> {
    // On a thread that is as those of a run are: what a step may take of the stack, it counts on.
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("trial".to_owned());
        let trial = builder.stack_size(STACK_BYTES);
        let trial = trial.spawn_scoped(scope, || try_out(nodes, records_max, stop));
        let tried = trial.map_err(TrialError::Thread)?.join();
        tried.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn try_out(nodes: Vec<Node>, records_max: usize, stop: &Stop) -> Result<Vec<Tried>, TrialError> {
    let (mut graph, sources, _) = Graph::new(nodes);
    let (mut batch, mut sequence, mut all) = (Batch::default(), 0, Vec::new());
    for (node, mut source) in sources.into_iter().enumerate() {
        let mut read = 0;
        while read < records_max {
            source.read_batch(&mut batch, BYTES_WANTED, stop).map_err(TrialError::Source)?;
            if batch.read() == 0 {
                break;
            }
            (batch.sequence, batch.source, batch.reader) = (sequence, node as u32, source.name());
            sequence += 1;
            if batch.read() > records_max - read {
                batch.cut(records_max - read);
            }
            let tried = pass(&mut graph, &mut batch, node)?;
            read += batch.read();
            all.extend(tried.records);
            if tried.is_enough {
                break;
            }
        }
    }
    Ok(all)
}

struct Passed {
    records: Vec<Tried>,
    is_enough: bool,
}

fn pass(graph: &mut Graph, batch: &mut Batch, node: usize) -> Result<Passed, TrialError> {
    let mut seen: Vec<(usize, bool, u32, String)> = Vec::new();
    let mut observer = |at: usize, batch: &Batch| {
        if at == node {
            seen.clear(); // from the beginning: the batch was cut
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let records = batch.origins().iter().enumerate();
        seen.extend(records.map(|(i, &origin)| (at, false, origin, text(batch.record(i)))));
        seen.extend(batch.aside().map(|(origin, bytes)| (at, true, origin, text(bytes))));
    };
    let passed = graph.pass(batch, Some(&mut observer));
    let passed = passed.map_err(|(step, source)| TrialError::Step { step, source })?;
    let places = batch.places_read().into_iter().enumerate();
    let mut records: Vec<Tried> = places
        .map(|(i, place)| {
            let record = String::from_utf8_lossy(batch.record_read(i)).into_owned();
            Tried { node, place, record, given: Vec::new(), rejects: Vec::new() }
        })
        .collect();
    for (node, is_aside, origin, text) in seen {
        let given = &mut records[origin as usize].given;
        match given.last_mut() {
            Some(last) if (last.node, last.is_aside) == (node, is_aside) => last.texts.push(text),
            _ => given.push(Given { node, is_aside, texts: vec![text] }),
        }
    }
    for reject in batch.rejects() {
        let rejected = Rejected {
            node: reject.step.to_owned(),
            kind: reject.kind,
            path: reject.path.to_owned(),
            message: reject.message.to_owned(),
        };
        match records.get_mut(reject.index as usize) {
            Some(record) => record.rejects.push(rejected),
            // One that was too long to be held is alone.
            None => records.push(Tried {
                node,
                place: (reject.source.into(), reject.position),
                record: String::from_utf8_lossy(reject.record).into_owned(),
                given: Vec::new(),
                rejects: vec![rejected],
            }),
        }
    }
    Ok(Passed { records, is_enough: passed.is_enough })
}
