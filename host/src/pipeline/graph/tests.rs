//! Graphs of any shape, run with batches of any size on any number of threads, against an oracle that
//! goes record by record: the same bytes, the same rejects, the same counts.

use super::*;
use crate::batch::{Oversized, Rejection};
use crate::counts;
use crate::pipeline::limits::Limits;
use crate::pipeline::{Outcome, Pipeline, run};
use crate::plugin::ModelError;
use crate::record::{RecordPosition, RejectKind};
use crate::sink::ldjson::Writer;
use crate::sink::publish::Output;
use crate::source::SourceError;
use crate::step::first::{FirstStep, Which};
use crate::stop::Stop;
use model_abi_layout::Span;
use oracle::Expected;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

mod oracle;

/// How long a run may take that hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A pipeline without names: `sN` are its sources, `nN` its steps, `oN` its sinks, by their place
/// among all nodes.
#[derive(Clone, Debug)]
struct Plan {
    sources: Vec<Records>,
    steps: Vec<(Op, Vec<Port>)>,
    sinks: Vec<Vec<Port>>,
}

/// What a source gives.
#[derive(Clone, Debug)]
struct Records {
    items: Vec<Item>,
    /// Whether it can't be read on behind them.
    breaks: bool,
}

#[derive(Clone, Copy, Debug)]
enum Item {
    Plain,
    /// Its reader sees that it can't go on.
    Refused,
    /// Too long to be held.
    Oversized,
}

/// What a step does with each record, which the record's text tells.
#[derive(Clone, Copy, Debug)]
enum Op {
    /// Leaves out each so many-th, about.
    Filter(u32),
    /// Rejects each so many-th.
    Reject(u32),
    /// Makes another of each.
    Change,
    /// Makes up to three of each, and rejects some.
    Several,
    /// Puts each so many-th aside, as a rule does.
    Block(u32),
    /// Puts a note on each second one aside, and goes on with all.
    Note,
    Limit(u64),
    Skip(u64),
    Join,
    /// Breaks at records of the first source that nobody wants, from this one on.
    Break(usize),
}

/// What is made of one record.
#[derive(Default)]
struct Made {
    given: Vec<String>,
    aside: Option<String>,
    is_rejected: bool,
}

impl Op {
    fn has_aside(self) -> bool {
        matches!(self, Op::Block(_) | Op::Note)
    }

    fn make(self, text: &str) -> Made {
        let mark = text.bytes().fold(7_u32, |mark, byte| mark.wrapping_mul(31) ^ u32::from(byte));
        let mark = mark ^ mark >> 9;
        let is_hit = |every: u32| mark.is_multiple_of(every);
        let (same, none) = (vec![text.to_owned()], Made::default());
        match self {
            Op::Filter(every) if is_hit(every) => none,
            Op::Reject(every) if is_hit(every) => Made { is_rejected: true, ..none },
            Op::Several if is_hit(7) => Made { is_rejected: true, ..none },
            Op::Several => {
                Made { given: (0..mark % 4).map(|n| format!("{text}{n}")).collect(), ..none }
            }
            Op::Change => Made { given: vec![format!("{text}x")], ..none },
            Op::Block(every) if is_hit(every) => Made { aside: Some(format!("{text}b")), ..none },
            Op::Note => {
                let aside = is_hit(2).then(|| format!("{text}l"));
                Made { given: vec![format!("{text}y")], aside, ..none }
            }
            _ => Made { given: same, ..none },
        }
    }
}

/// An [`Op`] that knows no other record.
struct OpStep(Op, Arc<str>);

impl Step for OpStep {
    fn name(&self) -> &Arc<str> {
        &self.1
    }

    fn another(&self) -> Box<dyn Step> {
        Box::new(OpStep(self.0, self.1.clone()))
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<(), StepError> {
        if (batch.sequence * 5 + self.1.len() as u64).is_multiple_of(3) {
            thread::sleep(Duration::from_micros(30)); // others are to overtake it
        }
        if let Op::Break(from) = self.0
            && batch
                .origins()
                .iter()
                .any(|&it| batch.source == 0 && it as u64 + batch.sequence >= from as u64)
        {
            return Err(ModelError::Broken("broken".to_owned()).into());
        }
        let (mut given, mut aside) = (batch.new_text(), batch.new_text());
        let (mut kept, mut rejections) = (Vec::new(), Vec::new());
        for record in 0..batch.len() {
            let made = self.0.make(std::str::from_utf8(batch.record(record)).unwrap());
            if made.is_rejected {
                rejections.push(rejection(record));
            }
            if !made.given.is_empty() {
                kept.push(record as u32);
            }
            for text in made.given {
                given.buffer().extend_from_slice(text.as_bytes());
                given.complete(record);
            }
            if let Some(text) = made.aside {
                aside.buffer().extend_from_slice(text.as_bytes());
                aside.complete(record);
            }
        }
        if self.0.has_aside() {
            batch.put_aside(aside, matches!(self.0, Op::Block(_)));
        }
        match self.0 {
            Op::Filter(_) | Op::Block(_) => batch.retain(&kept, &mut rejections),
            Op::Reject(_) => batch.remove(&mut rejections),
            _ => batch.rewrite(given, &mut rejections),
        }
        Ok(())
    }
}

fn rejection(record: usize) -> Rejection {
    let (step, path, message) = ("somebody".into(), String::new(), "bad".to_owned());
    Rejection { record, kind: RejectKind::Value, path, message, step }
}

/// The text of a source's record.
fn text_of(source: usize, index: usize) -> String {
    format!("{source}.{index}:")
}

/// A source with batches of these sizes in turn, in records.
struct PlannedSource {
    number: usize,
    records: Records,
    next: usize,
    position: RecordPosition,
    sizes: Vec<usize>,
    turn: usize,
}

impl Source for PlannedSource {
    fn name(&self) -> &'static str {
        "Source"
    }

    fn read_batch(&mut self, batch: &mut Batch, _: usize, _: &Stop) -> Result<(), SourceError> {
        let items = &self.records.items[self.next..];
        if items.is_empty() && self.records.breaks {
            let (RecordPosition { line, byte }, path) = (self.position, "in".to_owned());
            return Err(SourceError {
                path,
                line: Some(line),
                byte,
                source: io::Error::other("broken disk"),
            });
        }
        let size = self.sizes[self.turn % self.sizes.len()].min(items.len());
        self.turn += 1;
        let long = items[..size].iter().position(|item| matches!(item, Item::Oversized));
        let taken = long.map_or(size, |at| at.max(1));
        let mut refused = Vec::new();
        batch.refill(|block| {
            (block.source, block.start) = (format!("in{}", self.number).into(), self.position);
            block.is_one_a_line = true;
            for (at, item) in items[..taken].iter().enumerate() {
                let text = text_of(self.number, self.next + at);
                self.position.line += 1;
                if let Item::Oversized = item {
                    let (head, message, step) = (text.into(), "long".to_owned(), "reader".into());
                    block.oversized = Some(Oversized { length: 1 << 40, head, step, message });
                    return Ok(());
                }
                let span = Span { start: block.bytes.len() as u32, len: text.len() as u32 };
                block.spans.push(span);
                block.bytes.extend_from_slice(text.as_bytes());
                block.bytes.push(b'\n');
                self.position.byte += u64::from(span.len) + 1;
                if let Item::Refused = item {
                    refused.push(rejection(at));
                }
            }
            Ok::<(), SourceError>(())
        })?;
        batch.refine(|_| refused);
        self.next += taken;
        Ok(())
    }
}

/// What came of a run: of each sink the lines, the rejects as `SOURCE:LINE NODE KIND RECORD`, the
/// counts, and whether it could be read to its end.
#[derive(Debug, Default, PartialEq)]
struct Ran {
    sinks: Vec<Vec<String>>,
    rejects: Vec<String>,
    counts: counts::Counts,
    nodes: Vec<counts::Node>,
    is_broken: bool,
}

/// Runs a plan with batches of these sizes.
fn run_plan(plan: &Plan, sizes: &[usize], threads: usize) -> Ran {
    let stop = Stop::default();
    let mut nodes = Vec::new();
    for (number, records) in plan.sources.iter().enumerate() {
        let (records, sizes) = (records.clone(), sizes.to_vec());
        let position = RecordPosition::default();
        let source = PlannedSource { number, records, next: 0, position, sizes, turn: number };
        nodes.push(Node { name: None, from: Vec::new(), work: Work::Source(Box::new(source)) });
    }
    for (op, from) in &plan.steps {
        let name = format!("n{}", nodes.len());
        let first = |which| Work::Step(Box::new(FirstStep::new(&name, which, stop.clone())));
        let work = match *op {
            Op::Limit(count) => first(Which::Limit(count)),
            Op::Skip(count) => first(Which::Skip(count)),
            Op::Join => Work::Join(from.iter().map(|port| port_name(*port)).collect()),
            op => Work::Step(Box::new(OpStep(op, name.as_str().into()))),
        };
        nodes.push(Node { name: None, from: from.clone(), work });
    }
    let files: Vec<File> = plan.sinks.iter().map(|_| tempfile::tempfile().unwrap()).collect();
    for (from, file) in plan.sinks.iter().zip(&files) {
        let writer = Writer::new(Output::stream(file.try_clone().unwrap()));
        nodes.push(Node { name: None, from: from.clone(), work: Work::Sink(Box::new(writer)) });
    }
    let names = plan.names();
    nodes.iter_mut().zip(names).for_each(|(node, name)| node.name = Some(name));
    let rejects = tempfile::tempfile().unwrap();
    let pipeline = Pipeline {
        nodes,
        rejects: Output::stream(rejects.try_clone().unwrap()),
        limits: Limits::default(),
        threads,
        stop: stop.clone(),
        checkpoints: None,
    };
    let Outcome { counts, nodes, error, .. } = impatiently(stop, || run(pipeline, |_, _| {}));
    counts.check_identity().unwrap();
    let is_broken = error.is_some_and(|error| {
        let told = crate::causes::chain(&error);
        assert!(told.ends_with("broken disk"), "{told}");
        true
    });
    let rejects = lines(rejects).iter().map(|line| told(line)).collect();
    Ran { sinks: files.into_iter().map(lines).collect(), rejects, counts, nodes, is_broken }
}

impl Plan {
    fn names(&self) -> Vec<String> {
        let (steps_at, sinks_at) = (self.sources.len(), self.sources.len() + self.steps.len());
        let name = |at| match at {
            at if at < steps_at => format!("s{at}"),
            at if at < sinks_at => format!("n{at}"),
            at => format!("o{at}"),
        };
        (0..sinks_at + self.sinks.len()).map(name).collect()
    }
}

fn port_name(port: Port) -> String {
    format!("{}{}", port.node, if port.is_aside { ".aside" } else { "" })
}

/// Says stop when a run seems to hang.
fn impatiently<T>(stop: Stop, run: impl FnOnce() -> T) -> T {
    let (done, is_done) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        if is_done.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            stop.set();
        }
    });
    let outcome = run();
    drop(done);
    watch.join().unwrap();
    outcome
}

fn lines(mut file: File) -> Vec<String> {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn told(reject: &str) -> String {
    let reject: serde_json::Value = serde_json::from_str(reject).unwrap();
    let text = |key: &str| reject[key].as_str().unwrap().to_owned();
    let [source, step, kind, record] = ["source", "step", "kind", "record"].map(text);
    format!("{source}:{} {step} {kind} {record}", reject["line"])
}

/// What anybody may write, its ports made to fit: each node takes from those before it, and somebody
/// takes what each gives.
fn plan(sources: Vec<Records>, steps: Vec<(Op, Vec<Index>)>, sinks: Vec<Vec<Index>>) -> Plan {
    let mut ports: Vec<Port> =
        (0..sources.len()).map(|node| Port { node, is_aside: false }).collect();
    let mut untaken = ports.clone();
    let mut some_of = |ports: &[Port], wanted: Vec<Index>| {
        let mut some: Vec<Port> = Vec::new();
        for port in wanted.iter().map(|index| *index.get(ports)) {
            if !some.contains(&port) {
                some.push(port);
                untaken.retain(|it| *it != port);
            }
        }
        some
    };
    let mut taken = Vec::new();
    let sources_count = sources.len();
    for (at, (op, from)) in steps.into_iter().enumerate() {
        taken.push((op, some_of(&ports, from)));
        let node = sources_count + at;
        ports.push(Port { node, is_aside: false });
        if op.has_aside() {
            ports.push(Port { node, is_aside: true });
        }
    }
    let mut sinks: Vec<Vec<Port>> = sinks.into_iter().map(|from| some_of(&ports, from)).collect();
    let is_taken = |port: &Port| {
        let takers = taken.iter().map(|(_, from)| from).chain(&sinks);
        port.is_aside || takers.clone().any(|from| from.contains(port))
    };
    let left: Vec<Port> = ports.iter().copied().filter(|port| !is_taken(port)).collect();
    let last = sinks.last_mut().expect("there is a sink");
    last.extend(left);
    Plan { sources, steps: taken, sinks }
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let item =
        prop_oneof![12 => Just(Item::Plain), 2 => Just(Item::Refused), 1 => Just(Item::Oversized)];
    let records = (vec(item, 0..40), prop::bool::weighted(0.15))
        .prop_map(|(items, breaks)| Records { items, breaks });
    let op = prop_oneof![
        2 => (2..5_u32).prop_map(Op::Filter),
        2 => (2..5_u32).prop_map(Op::Reject),
        2 => Just(Op::Change),
        2 => Just(Op::Several),
        2 => (2..4_u32).prop_map(Op::Block),
        1 => Just(Op::Note),
        6 => (0..12_u64).prop_map(Op::Limit),
        2 => (0..12_u64).prop_map(Op::Skip),
        2 => Just(Op::Join),
    ];
    let from = || vec(any::<Index>(), 1..4);
    (vec(records, 1..4), vec((op, from()), 0..7), vec(from(), 1..4))
        .prop_map(|(sources, steps, sinks)| plan(sources, steps, sinks))
}

#[track_caller]
fn check(plan: &Plan, sizes: &[usize], threads: usize) {
    let (ran, expected) = (run_plan(plan, sizes, threads), Expected::of(plan).ran);
    assert_eq!(ran, expected, "{plan:?} {sizes:?} {threads}");
}

#[track_caller]
fn check_all(plan: &Plan) {
    for sizes in [&[1][..], &[3], &[7, 2], &[1000]] {
        for threads in [1, 3] {
            check(plan, sizes, threads);
        }
    }
}

fn given(node: usize) -> Port {
    Port { node, is_aside: false }
}

fn plain(count: usize) -> Records {
    Records { items: vec![Item::Plain; count], breaks: false }
}

#[test]
fn a_record_that_is_too_long_is_a_reject_however_many_sinks_there_are() {
    let items = vec![Item::Plain, Item::Oversized, Item::Plain];
    let sources = vec![Records { items, breaks: false }];
    check_all(&Plan { sources, steps: vec![], sinks: vec![vec![given(0)], vec![given(0)]] });
}

#[test]
fn what_one_way_rejects_and_another_writes_is_one_reject() {
    let steps = vec![(Op::Reject(1), vec![given(0)]), (Op::Reject(1), vec![given(0)])];
    let sinks = vec![vec![given(1), given(0), given(2)]];
    check_all(&Plan { sources: vec![plain(10)], steps, sinks });
}

#[test]
fn what_a_reader_rejected_is_rejected_once_where_a_limit_ends_its_batch() {
    let items =
        vec![Item::Refused, Item::Plain, Item::Refused, Item::Plain, Item::Plain, Item::Refused];
    let sources = vec![Records { items, breaks: false }];
    for count in 0..4 {
        let steps = vec![(Op::Limit(count), vec![given(0)])];
        check_all(&Plan { sources: sources.clone(), steps, sinks: vec![vec![given(1)]] });
    }
}

#[test]
fn a_join_has_a_field_for_each_branch_also_of_a_source_that_does_not_reach_all() {
    let steps = vec![
        (Op::Change, vec![given(0), given(1)]),
        (Op::Several, vec![given(1)]),
        (Op::Join, vec![given(3), given(2)]),
    ];
    check_all(&Plan { sources: vec![plain(9), plain(9)], steps, sinks: vec![vec![given(4)]] });
}

#[test]
fn a_limit_does_not_wait_for_what_another_source_has_no_more_of() {
    let steps = vec![(Op::Limit(3), vec![given(0)]), (Op::Limit(4), vec![given(1)])];
    let sinks = vec![vec![given(2)], vec![given(3)]];
    check_all(&Plan { sources: vec![plain(20), plain(20)], steps, sinks });
}

/// The rejects tell how far it was read.
#[test]
fn a_source_is_read_up_to_the_record_that_the_first_limit_on_its_way_was_content_with() {
    for (first, second) in [(10, 3), (3, 10), (5, 5), (0, 3), (3, 0), (100, 3)] {
        let steps = vec![
            (Op::Reject(3), vec![given(0)]),
            (Op::Limit(first), vec![given(1)]),
            (Op::Limit(second), vec![given(2)]),
        ];
        check_all(&Plan { sources: vec![plain(40)], steps, sinks: vec![vec![given(3)]] });
    }
    // One way is as long as the other.
    let steps = vec![(Op::Limit(2), vec![given(0)]), (Op::Limit(9), vec![given(0)])];
    let sinks = vec![vec![given(1), given(2)]];
    check_all(&Plan { sources: vec![plain(40)], steps, sinks });
}

/// A limit that both sources come by takes only what is wanted of the first.
#[test]
fn what_was_read_behind_the_end_of_a_source_is_counted_nowhere() {
    for first in [Op::Limit(8), Op::Skip(8)] {
        let steps = vec![
            (first, vec![given(0), given(1)]),
            (Op::Reject(2), vec![given(2), given(0)]),
            (Op::Limit(2), vec![given(3)]),
        ];
        let sinks = vec![vec![given(4)], vec![given(1)]];
        check_all(&Plan { sources: vec![plain(40), plain(40)], steps, sinks });
    }
}

#[test]
fn a_source_that_breaks_behind_what_is_wanted_is_as_good_as_any() {
    let broken = Records { breaks: true, ..plain(6) };
    for count in [5, 6, 7] {
        let steps = vec![(Op::Limit(count), vec![given(0)])];
        let sinks = vec![vec![given(2), given(1)]];
        let sources = vec![broken.clone(), plain(5)];
        check_all(&Plan { sources, steps, sinks });
    }
}

/// Also one that another limit still waits for: its turn comes.
#[test]
fn a_step_that_breaks_behind_what_is_wanted_breaks_nothing() {
    let steps = vec![
        (Op::Break(3), vec![given(0)]),
        (Op::Limit(3), vec![given(2)]),
        (Op::Limit(4), vec![given(1)]),
    ];
    let plan =
        Plan { sources: vec![plain(40), plain(9)], steps, sinks: vec![vec![given(3), given(4)]] };
    for threads in 1..4 {
        check(&plan, &[1], threads);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_graph_depends_on_where_batches_end_or_on_threads(
        plan in any_plan(), sizes in vec(1..20_usize, 1..4), threads in 1..4_usize,
    ) {
        let expected = Expected::of(&plan).ran;
        for (sizes, threads) in [(&[1][..], 2), (&[1000], 1), (&sizes, threads)] {
            prop_assert_eq!(&run_plan(&plan, sizes, threads), &expected, "{:?} {}", sizes, threads);
        }
    }
}
