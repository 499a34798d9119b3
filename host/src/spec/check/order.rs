//! In which order the nodes of a pipeline stand, and which sources each is reached from.
//!
//! Where nothing says which of two is first, it is the one that was written first.

use super::{Fault, Members};
use crate::spec::Node;

/// The steps, each behind those it takes from; by their place among all nodes.
pub(super) fn of_steps(members: &Members<'_>) -> Result<Vec<usize>, Fault> {
    let steps = members.sources..members.sinks_at;
    let takes_from = |step: usize| {
        let from = members.all[step].from.iter().map(|port| members.of(port));
        from.filter(|place| steps.contains(place))
    };
    let mut done = vec![false; members.all.len()];
    let mut order = Vec::with_capacity(steps.len());
    while order.len() < steps.len() {
        let is_next = |&step: &usize| !done[step] && takes_from(step).all(|before| done[before]);
        let Some(next) = steps.clone().find(is_next) else {
            // Each that is left takes from one that is left, so that a way back ends in a circle.
            let first = steps.clone().find(|&step| !done[step]).expect("one is left");
            let before = |step| takes_from(step).find(|&before| !done[before]);
            return Err(circle(members, first, |step| before(step).expect("it waits for one")));
        };
        done[next] = true;
        order.push(next);
    }
    Ok(order)
}

/// What is said of nodes that take from one another.
fn circle(members: &Members<'_>, first: usize, before: impl Fn(usize) -> usize) -> Fault {
    let mut way = follow(first, before);
    way.reverse();
    // It begins with the one that was written first.
    let start = (0..way.len()).min_by_key(|&at| way[at]).unwrap_or(0);
    way.rotate_left(start);
    way.push(way[0]);
    let names: Vec<&str> = way.iter().map(|&step| members.all[step].name).collect();
    let message = format!("records would go in a circle: {}", names.join(" -> "));
    members.all[way[0]].fault("from", message, "one of them must take from somewhere else")
}

/// The circle in which a way ends.
fn follow(first: usize, next: impl Fn(usize) -> usize) -> Vec<usize> {
    let mut way = vec![first];
    loop {
        let next = next(way[way.len() - 1]);
        if let Some(start) = way.iter().position(|&place| place == next) {
            return way.split_off(start);
        }
        way.push(next);
    }
}

/// For each node the sources that it is reached from.
pub(super) fn reached(members: &Members<'_>, steps: &[usize]) -> Vec<Vec<bool>> {
    let mut reached = vec![vec![false; members.sources]; members.all.len()];
    for (source, own) in reached.iter_mut().enumerate().take(members.sources) {
        own[source] = true;
    }
    for node in steps.iter().copied().chain(members.sinks_at..members.all.len()) {
        for port in members.all[node].from {
            let before = reached[members.of(port)].clone();
            reached[node].iter_mut().zip(before).for_each(|(to, from)| *to |= from);
        }
    }
    reached
}

/// That the records of one source are wanted before those of another.
struct Wish {
    first: usize,
    then: usize,
    /// By this node.
    node: usize,
}

/// One order of the sources, by their place, in which each node gets its records as it wants them: what
/// it names first, first. Where it names branches of one source, they come together.
pub(super) fn of_sources(
    members: &Members<'_>,
    reached: &[Vec<bool>],
) -> Result<Vec<usize>, Fault> {
    let wishes = wishes(members, reached);
    let mut done = vec![false; members.sources];
    let mut order = Vec::with_capacity(members.sources);
    while order.len() < members.sources {
        let waits_for =
            |source: usize| wishes.iter().find(|wish| wish.then == source && !done[wish.first]);
        let is_next = |&source: &usize| !done[source] && waits_for(source).is_none();
        let Some(next) = (0..members.sources).find(is_next) else {
            let first = done.iter().position(|done| !done).expect("one is left");
            let circle = follow(first, |source| waits_for(source).expect("it waits for one").first);
            let wishes = circle.iter().filter_map(|&source| waits_for(source));
            return Err(contradiction(members, wishes.collect()));
        };
        done[next] = true;
        order.push(next);
    }
    Ok(order)
}

fn wishes(members: &Members<'_>, reached: &[Vec<bool>]) -> Vec<Wish> {
    let mut wishes = Vec::new();
    for (node, member) in members.all.iter().enumerate().filter(|(_, member)| !member.is_join()) {
        for (at, before) in member.from.iter().enumerate() {
            for behind in &member.from[at + 1..] {
                let (before, behind) = (&reached[members.of(before)], &reached[members.of(behind)]);
                let only = |one: &[bool], other: &[bool]| {
                    let sources = (0..members.sources).filter(|&it| one[it] && !other[it]);
                    sources.collect::<Vec<_>>()
                };
                for first in only(before, behind) {
                    let then = only(behind, before).into_iter();
                    wishes.extend(then.map(|then| Wish { first, then, node }));
                }
            }
        }
    }
    wishes
}

/// What is said of wishes that can't all come true.
fn contradiction(members: &Members<'_>, mut wishes: Vec<&Wish>) -> Fault {
    wishes.sort_by_key(|wish| wish.node);
    let name = |node: usize| members.all[node].name;
    let told = wishes.iter().map(|wish| {
        format!("`{}` wants `{}` before `{}`", name(wish.node), name(wish.first), name(wish.then))
    });
    let told: Vec<String> = told.collect();
    let message =
        format!("there is no order of the sources that suits all: {}", told.join(", and "));
    let last = wishes.last().expect("a circle is never empty");
    let hint = "sources are read one after the other, once: name them in the same order everywhere";
    members.all[last.node].fault("from", message, hint)
}

/// The sinks: first those that are fed by a log, so that what was published was logged before.
pub(super) fn of_sinks(members: &Members<'_>, steps: &[usize]) -> Vec<usize> {
    let mut is_logged = vec![false; members.all.len()];
    let sinks: Vec<usize> = (members.sinks_at..members.all.len()).collect();
    for &node in steps.iter().chain(&sinks) {
        let member = &members.all[node];
        is_logged[node] =
            member.is_log() || member.from.iter().any(|port| is_logged[members.of(port)]);
    }
    let (mut first, others): (Vec<_>, Vec<_>) = sinks.into_iter().partition(|&it| is_logged[it]);
    first.extend(others);
    first
}

/// Puts nodes into an order, which names them by their place among all, of which `before` stand
/// before them.
pub(super) fn arrange<T>(nodes: &mut Vec<Node<T>>, order: &[usize], before: usize) {
    let mut taken: Vec<Option<Node<T>>> = nodes.drain(..).map(Some).collect();
    let node = |place: &usize| taken[place - before].take().expect("each stands there once");
    nodes.extend(order.iter().map(node).collect::<Vec<_>>());
}
