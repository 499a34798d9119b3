//! What a pipeline gives, found the slow way: one record after the other, each through all nodes.

use super::*;
use counts::{Counts, Node};

/// What is to come of a plan.
pub(super) struct Expected {
    pub(super) ran: Ran,
    /// How many records each limit and each skip has been given.
    counted: Vec<u64>,
}

impl Expected {
    pub(super) fn of(plan: &Plan) -> Self {
        let names = plan.names();
        let roles = plan.sources.iter().map(|_| Role::Source);
        let roles = roles.chain(plan.steps.iter().map(|_| Role::Step));
        let roles = roles.chain(plan.sinks.iter().map(|_| Role::Sink));
        let nodes: Vec<_> =
            names.into_iter().zip(roles).map(|(n, role)| Node::new(n, role)).collect();
        let sinks = vec![Vec::new(); plan.sinks.len()];
        let counted = vec![0; nodes.len()];
        let mut expected = Expected { ran: Ran { sinks, nodes, ..Ran::default() }, counted };
        for (source, records) in plan.sources.iter().enumerate() {
            let mut items = records.items.iter().enumerate();
            let is_wanted = loop {
                if !expected.is_wanted(plan, source) {
                    break false;
                }
                let Some((index, item)) = items.next() else { break true };
                expected.pass(plan, source, index, *item);
            };
            if is_wanted && records.breaks {
                expected.ran.is_broken = true;
                break;
            }
        }
        expected
    }

    /// Whether one more record of a source might come to a sink, as far as limits go.
    fn is_wanted(&self, plan: &Plan, source: usize) -> bool {
        let steps_at = plan.sources.len();
        let mut is_open: Vec<bool> = (0..steps_at).map(|at| at == source).collect();
        for (at, (op, from)) in (steps_at..).zip(&plan.steps) {
            let is_shut = matches!(op, Op::Limit(count) if self.counted[at] >= *count);
            is_open.push(!is_shut && from.iter().any(|port| is_open[port.node]));
        }
        plan.sinks.iter().flatten().any(|port| is_open[port.node])
    }

    fn pass(&mut self, plan: &Plan, source: usize, index: usize, item: Item) {
        let text = text_of(source, index);
        let place = format!("in{source}:{}", index + 1);
        let mut rejected = Vec::new();
        let mut is_blocked = false;
        let mut is_written = false;
        // What each node gives on, and puts aside; `None`: it is not reached from this source.
        let mut given: Vec<Option<[Vec<String>; 2]>> = vec![None; source];
        let node = &mut self.ran.nodes[source];
        given.push(Some(match item {
            Item::Plain => {
                node.given += 1;
                node.yielded += 1;
                [vec![text.clone()], Vec::new()]
            }
            Item::Refused | Item::Oversized => {
                let kind = if let Item::Refused = item { "value" } else { "line_too_long" };
                node.rejected += 1;
                rejected.push(format!("{place} {} {kind} {text}", node.name));
                Default::default()
            }
        }));
        given.resize(plan.sources.len(), None);
        let froms = plan.steps.iter().map(|(op, from)| (Some(*op), from));
        let froms = froms.chain(plan.sinks.iter().map(|from| (None, from)));
        for (at, (op, from)) in (plan.sources.len()..).zip(froms) {
            let flows: Vec<_> = from
                .iter()
                .map(|port| given[port.node].as_ref().map(|both| &both[usize::from(port.is_aside)]))
                .collect();
            if flows.iter().all(Option::is_none) {
                given.push(None);
                continue;
            }
            let inputs: Vec<String> = match op {
                Some(Op::Join) => joined(from, &flows).into_iter().collect(),
                _ => flows.into_iter().flatten().flatten().cloned().collect(),
            };
            let node = &mut self.ran.nodes[at];
            let mut both = [Vec::new(), Vec::new()];
            for input in inputs {
                node.taken += 1;
                let Some(op) = op else {
                    node.given += 1;
                    node.yielded += 1;
                    is_written = true;
                    self.ran.sinks[at - plan.sources.len() - plan.steps.len()].push(input);
                    continue;
                };
                self.counted[at] += 1;
                let made = match op {
                    Op::Limit(count) if self.counted[at] > count => Made::default(),
                    Op::Skip(count) if self.counted[at] <= count => Made::default(),
                    op => op.make(&input),
                };
                if made.is_rejected {
                    node.rejected += 1;
                    rejected.push(format!("{place} {} value {text}", node.name));
                } else if let (Op::Block(_), Some(_)) = (op, &made.aside) {
                    node.blocked += 1;
                    is_blocked = true;
                } else if made.given.is_empty() {
                    node.filtered += 1;
                } else {
                    node.given += 1;
                    node.yielded += made.given.len() as u64;
                }
                both[0].extend(made.given);
                both[1].extend(made.aside);
            }
            given.push(Some(both));
        }
        let Counts { read, written, filtered, blocked, rejected: rejects, .. } =
            &mut self.ran.counts;
        *read += 1;
        *match (rejected.is_empty(), is_blocked, is_written) {
            (false, ..) => rejects,
            (_, true, _) => blocked,
            (.., true) => written,
            _ => filtered,
        } += 1;
        self.ran.rejects.append(&mut rejected);
    }
}

/// One object of what the branches made of a record.
fn joined(from: &[Port], flows: &[Option<&Vec<String>>]) -> Option<String> {
    let none = Vec::new();
    let fields = from.iter().zip(flows).map(|(port, flow)| {
        let value = match &flow.unwrap_or(&none)[..] {
            [] => "null".to_owned(),
            [one] => one.clone(),
            several => format!("[{}]", several.join(",")),
        };
        format!("\"{}\":{value}", port_name(*port))
    });
    let fields: Vec<String> = fields.collect();
    let is_any = flows.iter().flatten().any(|flow| !flow.is_empty());
    is_any.then(|| format!("{{{}}}", fields.join(",")))
}
