//! Where boxes, arrows and labels stand, so that none covers another: rows from top to bottom, after
//! Sugiyama, Tagawa and Toda (1981) and, for the numbers, Gansner and others, "A Technique for Drawing
//! Directed Graphs" (1993). It knows sizes and no text.
//!
//! Between two rows of boxes lies a row of labels, and an arrow has a cell of its own in each row that it
//! passes. Cells of a row stand side by side, and an arrow bends only between rows. So nothing can cover
//! anything, whatever the positions are; the rest is for the looks.

mod order;
mod simplex;

use simplex::Constraint;

/// Room around all of it.
pub(super) const MARGIN: i32 = 24;
/// Between rows, where arrows bend.
const ROW_GAP: i32 = 24;
/// An arrow's last piece is straight: its head stands there.
pub(super) const ARROW: i32 = 10;
/// That much more where an arrow goes far to the side, lest it lie flat.
const ROW_GAP_MORE_MAX: i32 = 36;
/// At each side of a box, and of an arrow that passes.
const BOX_GAP: i32 = 18;
const WIRE_GAP: i32 = 9;
/// Between two arrows at the edge of a box, if there is room.
const PORT_GAP: i32 = 30;
/// No arrow stands nearer to a box's corner.
const CORNER: i32 = 18;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    pub(super) width: i32,
    pub(super) height: i32,
}

/// An arrow, from a box to one behind it.
pub(super) struct Link {
    pub(super) from: usize,
    pub(super) to: usize,
    /// Nothing where it bears none.
    pub(super) label: Size,
    /// Others are rather straight than this one.
    pub(super) is_minor: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) width: i32,
    pub(super) height: i32,
}

/// An arrow's way: straight down in each run, and bending from one to the next.
pub(super) struct Route {
    pub(super) runs: Vec<Run>,
    pub(super) label: Rect,
}

#[derive(Clone, Copy)]
pub(super) struct Run {
    pub(super) x: i32,
    pub(super) top: i32,
    pub(super) bottom: i32,
}

pub(super) struct Layout {
    pub(super) boxes: Vec<Rect>,
    pub(super) routes: Vec<Route>,
    pub(super) width: i32,
    pub(super) height: i32,
}

/// What stands in a row: a box, or a piece of an arrow, which may bear its label.
struct Cell {
    row: usize,
    size: Size,
    gap: i32,
}

/// A piece of an arrow between a cell and one in the next row.
struct Wire {
    upper: usize,
    lower: usize,
    /// How much straighter it is to be than others.
    weight: i32,
    /// From the middle of each cell, where it meets it.
    ports: [i32; 2],
}

struct Grid {
    cells: Vec<Cell>,
    wires: Vec<Wire>,
    /// The cells of each link, from box to box.
    ways: Vec<Vec<usize>>,
    /// From left to right.
    rows: Vec<Vec<usize>>,
}

/// Places boxes, the links between which lead forwards.
pub(super) fn lay_out(boxes: &[Size], links: &[Link]) -> Layout {
    let levels = levels(boxes.len(), links);
    let mut grid = Grid::new(boxes, links, &levels);
    grid.choose_ports(links, &levels);
    let middles = grid.middles();
    grid.layout(boxes.len(), links, &middles)
}

/// Each box on a level below all it takes from, and all links as short as can be.
fn levels(boxes: usize, links: &[Link]) -> Vec<i32> {
    let constraint = |link: &Link| Constraint {
        from: link.from + 1,
        to: link.to + 1,
        length: 1,
        weight: if link.is_minor { 1 } else { 2 },
    };
    // Node 0 holds together what nothing else does.
    let root = (1..=boxes).map(|to| Constraint { from: 0, to, length: 0, weight: 0 });
    let levels = simplex::shortest(boxes + 1, root.chain(links.iter().map(constraint)).collect());
    let first = levels[1..].iter().min().copied().unwrap_or_default();
    levels[1..].iter().map(|level| level - first).collect()
}

impl Grid {
    fn new(boxes: &[Size], links: &[Link], levels: &[i32]) -> Self {
        let row = |level: i32| 2 * level as usize;
        let cell =
            |(size, level): (&Size, &i32)| Cell { row: row(*level), size: *size, gap: BOX_GAP };
        let mut cells: Vec<Cell> = boxes.iter().zip(levels).map(cell).collect();
        let (mut wires, mut ways) = (Vec::new(), Vec::new());
        let main = main_links(boxes.len(), links, levels);
        for (link, is_main) in links.iter().zip(main) {
            let (first, last) = (row(levels[link.from]), row(levels[link.to]));
            let mut way = vec![link.from];
            for row in first + 1..last {
                let size = if row == first + 1 { link.label } else { Size::default() };
                way.push(cells.len());
                cells.push(Cell { row, size, gap: WIRE_GAP });
            }
            way.push(link.to);
            for (at, pair) in way.windows(2).enumerate() {
                // Where nothing else meets a box, an arrow does not bend between it and the label.
                let (is_first, is_last) = (at == 0, at + 2 == way.len());
                let is_alone = |end: fn(&Link) -> usize| {
                    links.iter().filter(|it| end(it) == end(link)).count() == 1
                };
                let weight = match () {
                    () if is_main => 16,
                    () if is_first => 1 + i32::from(is_alone(|link| link.from)),
                    () if is_last => 1 + i32::from(is_alone(|link| link.to)),
                    () => 6,
                };
                wires.push(Wire { upper: pair[0], lower: pair[1], weight, ports: [0; 2] });
            }
            ways.push(way);
        }
        let rows = order::sort(
            &cells.iter().map(|cell| cell.row).collect::<Vec<_>>(),
            &wires.iter().map(|wire| (wire.upper, wire.lower)).collect::<Vec<_>>(),
        );
        Grid { cells, wires, ways, rows }
    }

    /// Where arrows meet a box: the main one in its middle, the others at its sides, in the order of where
    /// they come from or go to, lest they cross.
    fn choose_ports(&mut self, links: &[Link], levels: &[i32]) {
        let mut place = vec![0; self.cells.len()];
        self.rows.iter().flat_map(|row| row.iter().enumerate()).for_each(|(at, &cell)| {
            place[cell] = at;
        });
        let mut first_wires = Vec::with_capacity(links.len());
        let mut next = 0;
        for way in &self.ways {
            first_wires.push(next);
            next += way.len() - 1;
        }
        let boxes = levels.len();
        for (end, main) in main_of_boxes(boxes, links, levels).into_iter().enumerate() {
            for (at, main) in main.into_iter().enumerate() {
                let Some(main) = main else { continue };
                let meets = |link: &Link| if end == 0 { link.from == at } else { link.to == at };
                let wire = |link: usize| match end {
                    0 => first_wires[link],
                    _ => first_wires[link] + self.ways[link].len() - 2,
                };
                let other = |wire: &Wire| if end == 0 { wire.lower } else { wire.upper };
                let mut meeting: Vec<usize> =
                    (0..links.len()).filter(|&link| meets(&links[link])).map(wire).collect();
                meeting.sort_by_key(|&wire| place[other(&self.wires[wire])]);
                let middle = meeting.iter().position(|&it| it == wire(main));
                let middle = middle.expect("the main one is one of them") as i32;
                let beside = middle.max(meeting.len() as i32 - 1 - middle).max(1);
                let room = self.cells[at].size.width / 2 - CORNER;
                let gap = PORT_GAP.min(room.max(0) / beside);
                for (i, wire) in meeting.into_iter().enumerate() {
                    self.wires[wire].ports[end] = (i as i32 - middle) * gap;
                }
            }
        }
    }

    /// The middle of each cell, for arrows that are as straight as can be.
    fn middles(&self) -> Vec<i32> {
        let cells = self.cells.len();
        let mut constraints = Vec::new();
        for row in &self.rows {
            // Node 0 is the left edge; then cells; then one for each wire, left of both its ends.
            let mut before = (0, 0);
            for &cell in row {
                let half = self.cells[cell].size.width / 2 + self.cells[cell].gap;
                let (from, length) = (before.0, before.1 + half);
                constraints.push(Constraint { from, to: cell + 1, length, weight: 0 });
                before = (cell + 1, half);
            }
        }
        for (at, wire) in self.wires.iter().enumerate() {
            let [upper, lower] = wire.ports;
            let most = upper.max(lower);
            for (cell, port) in [(wire.upper, upper), (wire.lower, lower)] {
                let (from, to) = (cells + 1 + at, cell + 1);
                constraints.push(Constraint { from, to, length: most - port, weight: wire.weight });
            }
        }
        simplex::shortest(1 + cells + self.wires.len(), constraints)[1..=cells].to_vec()
    }

    fn layout(&self, boxes: usize, links: &[Link], middles: &[i32]) -> Layout {
        let left = |cell: usize| middles[cell] - self.cells[cell].size.width / 2;
        let shift = MARGIN - (0..self.cells.len()).map(left).min().unwrap_or_default();
        let middle = |cell: usize| middles[cell] + shift;
        let meets = |wire: &Wire| {
            let [upper, lower] = wire.ports;
            [middle(wire.upper) + upper, middle(wire.lower) + lower]
        };

        let mut farthest = vec![0; self.rows.len()];
        for wire in &self.wires {
            let [upper, lower] = meets(wire);
            let row = self.cells[wire.upper].row;
            farthest[row] = farthest[row].max((upper - lower).abs());
        }
        let (mut y, mut tops, mut bottoms) = (MARGIN, Vec::new(), Vec::new());
        for (row, farthest) in self.rows.iter().zip(farthest) {
            tops.push(y);
            y += row.iter().map(|&cell| self.cells[cell].size.height).max().unwrap_or_default();
            bottoms.push(y);
            y += ROW_GAP + (farthest / 6).min(ROW_GAP_MORE_MAX);
        }

        let rect = |cell: usize| {
            let Cell { row, size: Size { width, height }, .. } = self.cells[cell];
            let y = (tops[row] + bottoms[row] - height) / 2;
            Rect { x: middle(cell) - width / 2, y, width, height }
        };
        let mut wires = self.wires.iter();
        let route = |(way, link): (&Vec<usize>, &Link)| {
            let mut runs = Vec::with_capacity(way.len());
            let mut x_next = None;
            for (at, &cell) in way.iter().enumerate() {
                let ends = if at + 1 < way.len() { wires.next().map(meets) } else { None };
                let x = ends.map(|[upper, _]| upper).or(x_next).expect("a wire leads to each end");
                x_next = ends.map(|[_, lower]| lower);
                let row = self.cells[cell].row;
                let (mut top, mut bottom) = (tops[row], bottoms[row]);
                if cell == link.from {
                    top = rect(cell).y + rect(cell).height;
                }
                if cell == link.to {
                    (top, bottom) = (top - ARROW, rect(cell).y);
                }
                runs.push(Run { x, top, bottom });
            }
            Route { runs, label: rect(way[1]) }
        };
        let routes = self.ways.iter().zip(links).map(route).collect();
        let right = |cell: usize| rect(cell).x + rect(cell).width;
        Layout {
            boxes: (0..boxes).map(rect).collect(),
            routes,
            width: (0..self.cells.len()).map(right).max().unwrap_or(MARGIN) + MARGIN,
            height: bottoms.last().unwrap_or(&MARGIN) + MARGIN,
        }
    }
}

/// Of each box the link that goes on from it, and the one that comes to it, where most is behind and
/// before it.
fn main_of_boxes(boxes: usize, links: &[Link], levels: &[i32]) -> [Vec<Option<usize>>; 2] {
    let mut behind = vec![0; boxes];
    for link in links.iter().rev().filter(|link| !link.is_minor) {
        behind[link.from] = behind[link.from].max(behind[link.to] + 1);
    }
    let mut meeting = [vec![Vec::new(); boxes], vec![Vec::new(); boxes]];
    for (at, link) in links.iter().enumerate() {
        meeting[0][link.from].push(((!link.is_minor, behind[link.to]), at));
        meeting[1][link.to].push(((!link.is_minor, levels[link.from]), at));
    }
    let main = |mut meeting: Vec<((bool, i32), usize)>| {
        let most = meeting.iter().map(|(much, _)| *much).max();
        meeting.retain(|(much, _)| Some(*much) == most);
        let middle = meeting.len().saturating_sub(1) / 2; // of equals
        meeting.get(middle).map(|(_, at)| *at)
    };
    meeting.map(|boxes| boxes.into_iter().map(main).collect())
}

/// Which links are what the eye should follow.
fn main_links(boxes: usize, links: &[Link], levels: &[i32]) -> Vec<bool> {
    let [from, to] = main_of_boxes(boxes, links, levels);
    let is_main =
        |(at, link): (usize, &Link)| from[link.from] == Some(at) && to[link.to] == Some(at);
    links.iter().enumerate().map(is_main).collect()
}

#[cfg(test)]
mod tests;
