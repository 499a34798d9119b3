//! The order of cells within their rows: few wires cross.
//!
//! Each row is sorted by where its cells' neighbours stand, in sweeps down and up (the barycentre
//! heuristic); then neighbours in a row change places where that helps. The best that was seen stays.

const SWEEPS: usize = 16;

/// The cells of each row, from left to right. Wires lead from a row to the next.
pub(super) fn sort(row_of: &[usize], wires: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let mut order = Order::new(row_of, wires);
    let mut best = (order.crossings(), order.rows.clone());
    for sweep in 0..SWEEPS {
        order.sweep(sweep % 2 == 0);
        order.exchange();
        let crossings = order.crossings();
        if crossings < best.0 {
            best = (crossings, order.rows.clone());
        }
    }
    best.1
}

struct Order {
    rows: Vec<Vec<usize>>,
    /// Where a cell stands in its row.
    place: Vec<usize>,
    /// Of each cell, those that it is wired to: in the row above, in the row below.
    beside: [Vec<Vec<usize>>; 2],
}

impl Order {
    /// Each cell behind those of its row that are reached before it, going downwards first.
    fn new(row_of: &[usize], wires: &[(usize, usize)]) -> Self {
        let rows = row_of.iter().max().map_or(0, |last| last + 1);
        let none = vec![Vec::new(); row_of.len()];
        let mut beside = [none.clone(), none];
        for &(upper, lower) in wires {
            beside[0][lower].push(upper);
            beside[1][upper].push(lower);
        }
        let mut order =
            Order { rows: vec![Vec::new(); rows], place: vec![0; row_of.len()], beside };
        let mut is_placed = vec![false; row_of.len()];
        let firsts = (0..row_of.len()).filter(|&cell| order.beside[0][cell].is_empty());
        let mut next: Vec<usize> = firsts.collect();
        next.reverse();
        while let Some(cell) = next.pop() {
            if !std::mem::replace(&mut is_placed[cell], true) {
                order.place[cell] = order.rows[row_of[cell]].len();
                order.rows[row_of[cell]].push(cell);
                next.extend(order.beside[1][cell].iter().rev());
            }
        }
        order
    }

    fn sweep(&mut self, goes_down: bool) {
        let beside = &self.beside[usize::from(!goes_down)];
        let rows = self.rows.len();
        for row in 0..rows {
            let row = if goes_down { row } else { rows - 1 - row };
            let mean = |cell: usize| match &beside[cell][..] {
                [] => self.place[cell] as f64,
                cells => {
                    let sum: usize = cells.iter().map(|&cell| self.place[cell]).sum();
                    sum as f64 / cells.len() as f64
                }
            };
            let mut sorted: Vec<(f64, usize)> =
                self.rows[row].iter().map(|&cell| (mean(cell), cell)).collect();
            sorted.sort_by(|(a, _), (b, _)| a.total_cmp(b));
            for (at, (_, cell)) in sorted.into_iter().enumerate() {
                self.rows[row][at] = cell;
                self.place[cell] = at;
            }
        }
    }

    /// Has neighbours change places for as long as that helps.
    fn exchange(&mut self) {
        let mut helped = true;
        while std::mem::take(&mut helped) {
            for row in 0..self.rows.len() {
                for at in 1..self.rows[row].len() {
                    let (left, right) = (self.rows[row][at - 1], self.rows[row][at]);
                    let crossings = |a, b| self.crossings_of(0, a, b) + self.crossings_of(1, a, b);
                    if crossings(right, left) < crossings(left, right) {
                        self.rows[row].swap(at - 1, at);
                        (self.place[left], self.place[right]) = (at, at - 1);
                        helped = true;
                    }
                }
            }
        }
    }

    /// How many wires of two cells cross, at one side, where one cell stands left of the other.
    fn crossings_of(&self, side: usize, left: usize, right: usize) -> usize {
        let [left, right] = [left, right].map(|cell| self.beside[side][cell].iter());
        left.map(|&l| right.clone().filter(|&&r| self.place[l] > self.place[r]).count()).sum()
    }

    fn crossings(&self) -> usize {
        let row = |row: &Vec<usize>| -> usize {
            let rights = |(at, &left): (usize, &usize)| -> usize {
                row[at + 1..].iter().map(|&right| self.crossings_of(0, left, right)).sum()
            };
            row.iter().enumerate().map(rights).sum()
        };
        self.rows.iter().map(row).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wires_that_need_not_cross_do_not() {
        // 0 1 2 above, 3 4 5 below, wired as they would cross.
        let sorted = sort(&[0, 0, 0, 1, 1, 1], &[(0, 5), (1, 4), (2, 3), (0, 4), (1, 3)]);
        let place = |row: usize, cell| sorted[row].iter().position(|it| *it == cell).unwrap();
        let is_turned = place(0, 0) > place(0, 2);
        let [first, last] = if is_turned { [3, 5] } else { [5, 3] };
        assert_eq!((place(1, first), place(1, 4), place(1, last)), (0, 1, 2), "{sorted:?}");
        assert_eq!(place(0, 1), 1, "{sorted:?}");
    }

    #[test]
    fn what_is_not_wired_keeps_its_order() {
        assert_eq!(sort(&[0, 1, 0, 1], &[]), [[0, 2], [1, 3]]);
        assert_eq!(sort(&[], &[]), Vec::<Vec<usize>>::new());
    }
}
