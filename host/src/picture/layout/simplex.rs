//! Numbers for nodes, so that arrows between them are as short as can be, exactly: the network simplex
//! method, as in Gansner and others (1993), §2.3. Once for levels, once for positions on them.
//!
//! A spanning tree of tight constraints says where everything stands. What pulls at one side of a
//! constraint is the sum over that side's nodes, since within a side all pulls cancel; where a side is
//! pulled away from the constraint, it moves until it meets another, which takes that one's place.

/// `x[to] - x[from]` is at least `length`; more costs `weight` for each.
pub(super) struct Constraint {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) length: i32,
    pub(super) weight: i32,
}

/// How many constraints are looked at: no more than a few seconds' work for a graph of hundreds of nodes,
/// all wired to each other. Steps that gain nothing can go round in circles, in theory; and wherever it
/// stops, what is there is right, if not the best.
const LOOKS_MAX: usize = 30_000_000;

/// A number for each node. The constraints hold all nodes together, and there is no circle in them.
pub(super) fn shortest(nodes: usize, constraints: Vec<Constraint>) -> Vec<i32> {
    let mut tree = Tree::new(nodes, &constraints);
    for _ in 0..LOOKS_MAX / constraints.len().max(1) {
        if !tree.pivot() {
            break;
        }
    }
    tree.x
}

struct Tree<'a> {
    constraints: &'a [Constraint],
    x: Vec<i32>,
    /// Constraints that are tight and hold all nodes together.
    tight: Vec<usize>,
    /// At each node, the sum of what pulls it to the right.
    pulls: Vec<i32>,
}

impl<'a> Tree<'a> {
    fn new(nodes: usize, constraints: &'a [Constraint]) -> Self {
        let mut pulls = vec![0; nodes];
        for constraint in constraints {
            pulls[constraint.from] += constraint.weight;
            pulls[constraint.to] -= constraint.weight;
        }
        let mut tree = Tree { constraints, x: vec![0; nodes], tight: Vec::new(), pulls };
        tree.fulfil();
        tree.span();
        tree
    }

    /// As far left as the constraints allow.
    fn fulfil(&mut self) {
        let mut is_done = false;
        while !is_done {
            is_done = true;
            for Constraint { from, to, length, .. } in self.constraints {
                let least = self.x[*from] + length;
                if self.x[*to] < least {
                    self.x[*to] = least;
                    is_done = false;
                }
            }
        }
    }

    /// Holds what is tight together, moves all of it until it meets something else, and so on.
    fn span(&mut self) {
        let mut held = vec![false; self.x.len()];
        held[0] = true;
        loop {
            let before = self.tight.len();
            for (at, Constraint { from, to, length, .. }) in self.constraints.iter().enumerate() {
                if held[*from] != held[*to] && self.x[*to] - self.x[*from] == *length {
                    (held[*from], held[*to]) = (true, true);
                    self.tight.push(at);
                }
            }
            if self.tight.len() > before {
                continue;
            }
            let Some((at, slack)) = self.nearest(|from, to| held[from] != held[to]) else { break };
            let by = if held[self.constraints[at].from] { slack } else { -slack };
            self.shift(&held, by);
        }
        debug_assert!(held.iter().all(|held| *held), "the constraints hold all nodes together");
    }

    /// The constraint of some that is the first to be met, and how far that is.
    fn nearest(&self, is_wanted: impl Fn(usize, usize) -> bool) -> Option<(usize, i32)> {
        let wanted = self.constraints.iter().enumerate();
        let wanted = wanted.filter(|(_, constraint)| is_wanted(constraint.from, constraint.to));
        wanted
            .map(|(at, it)| (at, self.x[it.to] - self.x[it.from] - it.length))
            .min_by_key(|it| it.1)
    }

    fn shift(&mut self, side: &[bool], by: i32) {
        self.x.iter_mut().zip(side).filter(|(_, moves)| **moves).for_each(|(x, _)| *x += by);
    }

    /// Has one constraint of the tree take another's place. `false`: nothing would be gained.
    fn pivot(&mut self) -> bool {
        let (order, parents) = self.reached();
        let mut pulls = self.pulls.clone();
        let mut leaving: Option<(i32, usize, usize)> = None;
        for &node in order[1..].iter().rev() {
            let (parent, tight) = parents[node];
            pulls[parent] += pulls[node];
            // What is before a constraint may go left, what is behind it right.
            let gain = match self.constraints[self.tight[tight]].from == node {
                true => -pulls[node],
                false => pulls[node],
            };
            if gain > leaving.map_or(0, |(most, ..)| most) {
                leaving = Some((gain, node, tight));
            }
        }
        let Some((_, top, tight)) = leaving else { return false };
        let mut side = vec![false; self.x.len()];
        side[top] = true;
        for &node in &order[1..] {
            side[node] |= side[parents[node].0];
        }
        let goes_left = self.constraints[self.tight[tight]].from == top;
        let meets = |from: usize, to: usize| match goes_left {
            true => !side[from] && side[to],
            false => side[from] && !side[to],
        };
        let Some((entering, slack)) = self.nearest(meets) else { return false };
        self.shift(&side, if goes_left { -slack } else { slack });
        self.tight[tight] = entering;
        true
    }

    /// The nodes as the tree reaches them from the first; of each, what is before it, and by which of the
    /// tight constraints.
    fn reached(&self) -> (Vec<usize>, Vec<(usize, usize)>) {
        let mut beside = vec![Vec::new(); self.x.len()];
        for (tight, &at) in self.tight.iter().enumerate() {
            let Constraint { from, to, .. } = self.constraints[at];
            beside[from].push((to, tight));
            beside[to].push((from, tight));
        }
        let (mut order, mut parents) = (vec![0], vec![(0, usize::MAX); self.x.len()]);
        let mut at = 0;
        while let Some(&node) = order.get(at) {
            at += 1;
            for &(next, tight) in &beside[node] {
                if tight != parents[node].1 {
                    parents[next] = (node, tight);
                    order.push(next);
                }
            }
        }
        (order, parents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `from, to, length, weight`
    #[track_caller]
    fn check(nodes: usize, constraints: &[(usize, usize, i32, i32)], expected: &[i32]) {
        let constraint = |&(from, to, length, weight)| Constraint { from, to, length, weight };
        assert_eq!(shortest(nodes, constraints.iter().map(constraint).collect()), expected);
    }

    #[test]
    fn what_is_pulled_stands_as_near_as_it_may() {
        check(1, &[], &[0]);
        check(3, &[(0, 1, 1, 1), (1, 2, 2, 1)], &[0, 1, 3]);
        // 1 may stand anywhere from 1 to 4, and is pulled to the right the more.
        check(3, &[(0, 1, 1, 1), (1, 2, 1, 2), (0, 2, 5, 1)], &[0, 4, 5]);
        check(3, &[(0, 1, 1, 2), (1, 2, 1, 1), (0, 2, 5, 1)], &[0, 1, 5]);
    }

    #[test]
    fn it_is_as_good_as_the_best_that_a_search_finds() {
        let mut seed = 7_u32;
        let mut random = |below: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) % below
        };
        for round in 0..60 {
            let nodes = 5;
            let mut constraints: Vec<Constraint> =
                (1..nodes).map(|to| Constraint { from: 0, to, length: 0, weight: 0 }).collect();
            for _ in 0..7 {
                let (a, b) = (random(nodes as u32) as usize, random(nodes as u32) as usize);
                if a != b {
                    let (from, to) = (a.min(b), a.max(b));
                    let (length, weight) = (random(3) as i32, random(4) as i32);
                    constraints.push(Constraint { from, to, length, weight });
                }
            }
            let cost = |x: &[i32]| -> Option<i32> {
                let costs = constraints.iter().map(|it| {
                    let gap = x[it.to] - x[it.from];
                    (gap >= it.length).then_some(gap * it.weight)
                });
                costs.sum()
            };
            let all = (0..9_i32.pow(4)).map(|n| [0, n % 9, n / 9 % 9, n / 81 % 9, n / 729]);
            let best = all.filter_map(|x| cost(&x)).min();
            let clone = |it: &Constraint| Constraint { ..*it };
            let found = shortest(nodes, constraints.iter().map(clone).collect());
            assert_eq!(cost(&found), best, "round {round}: {found:?}");
        }
    }
}
