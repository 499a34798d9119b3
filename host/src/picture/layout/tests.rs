//! What must hold of every picture, for many graphs: nothing covers anything, and arrows end where they
//! should.

use super::*;

/// Arrows by the boxes that they join; sizes and labels are all different. `random` gives a number
/// below another.
fn placed(
    boxes: usize,
    links: &[(usize, usize)],
    random: &mut impl FnMut(usize) -> usize,
) -> Layout {
    let mut size = |least: usize, most: usize| 2 * (least + random(most - least)) as i32;
    let boxes: Vec<Size> =
        (0..boxes).map(|_| Size { width: size(30, 160), height: size(19, 46) }).collect();
    let link = |(at, &(from, to)): (usize, &(usize, usize))| Link {
        from,
        to,
        label: if at % 3 == 0 { Size::default() } else { Size { width: size(8, 45), height: 18 } },
        is_minor: at % 4 == 1,
    };
    let links: Vec<Link> = links.iter().enumerate().map(link).collect();
    let layout = lay_out(&boxes, &links);
    check(&layout, &boxes, &links);
    layout
}

fn random() -> impl FnMut(usize) -> usize {
    let mut state = 7_u32;
    move |below| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    }
}

#[track_caller]
fn check(layout: &Layout, boxes: &[Size], links: &[Link]) {
    let labels: Vec<Rect> = layout.routes.iter().map(|route| route.label).collect();
    let borne = |at: &usize| links[*at].label.width > 0;
    let solid: Vec<(String, Rect)> = layout
        .boxes
        .iter()
        .enumerate()
        .map(|(at, rect)| {
            assert_eq!((rect.width, rect.height), (boxes[at].width, boxes[at].height));
            (format!("box {at}"), *rect)
        })
        .chain((0..labels.len()).filter(borne).map(|at| (format!("label {at}"), labels[at])))
        .collect();
    for (at, (name, rect)) in solid.iter().enumerate() {
        assert!(is_within(rect, layout), "{name}: {rect:?} is outside");
        for (other, other_rect) in &solid[at + 1..] {
            assert!(!overlap(rect, other_rect), "{name}, {other}: {rect:?} {other_rect:?}");
        }
    }
    for (at, (route, link)) in layout.routes.iter().zip(links).enumerate() {
        let [first, .., last] = &route.runs[..] else { panic!("link {at} goes nowhere") };
        let (from, to) = (layout.boxes[link.from], layout.boxes[link.to]);
        let meets = |rect: Rect, x: i32| rect.x + CORNER <= x && x <= rect.x + rect.width - CORNER;
        assert!(meets(from, first.x) && first.top == from.y + from.height, "link {at} begins");
        assert!(meets(to, last.x) && last.bottom == to.y, "link {at} ends");
        assert!(last.bottom - last.top >= ARROW, "link {at} has room for its head");
        let own = format!("label {at}");
        for piece in pieces(route) {
            assert!(piece.height >= 0, "link {at} goes up");
            assert!(is_within(&piece, layout), "link {at}: {piece:?} is outside");
            for (name, rect) in solid.iter().filter(|(name, _)| *name != own) {
                assert!(!overlap(&piece, rect), "link {at}, {name}: {piece:?} {rect:?}");
            }
        }
    }
}

/// The straight pieces of a way, and around each bend what it can't leave: a curve stays within the
/// points that it is drawn by.
fn pieces(route: &Route) -> Vec<Rect> {
    let runs = route.runs.iter();
    let mut pieces: Vec<Rect> = runs
        .map(|run| Rect { x: run.x, y: run.top, width: 0, height: run.bottom - run.top })
        .collect();
    pieces.extend(route.runs.windows(2).map(|pair| Rect {
        x: pair[0].x.min(pair[1].x),
        y: pair[0].bottom,
        width: (pair[0].x - pair[1].x).abs(),
        height: pair[1].top - pair[0].bottom,
    }));
    pieces
}

/// Whether they have more in common than an edge.
fn overlap(a: &Rect, b: &Rect) -> bool {
    let apart = |at: i32, long: i32, other: i32, other_long: i32| {
        at + long <= other || other + other_long <= at
    };
    !apart(a.x, a.width, b.x, b.width) && !apart(a.y, a.height, b.y, b.height)
}

fn is_within(rect: &Rect, layout: &Layout) -> bool {
    let Rect { x, y, width, height } = *rect;
    x >= MARGIN
        && y >= MARGIN
        && x + width <= layout.width - MARGIN
        && y + height <= layout.height - MARGIN
}

#[test]
fn nothing_covers_anything_in_graphs_as_people_draw_them() {
    let line: Vec<_> = (1..9).map(|to| (to - 1, to)).collect();
    let long: Vec<_> = line.iter().copied().chain([(0, 8), (0, 5), (2, 8), (2, 8)]).collect();
    let fork: Vec<_> = (1..9).map(|to| (0, to)).collect();
    let merge: Vec<_> = (0..8).map(|from| (from, 8)).collect();
    let both: Vec<_> = fork.iter().chain(&merge).copied().filter(|it| *it != (0, 8)).collect();
    let crossing = [(0, 3), (0, 4), (0, 5), (1, 3), (1, 4), (1, 5), (2, 3), (2, 4), (2, 5)];
    let apart = [(0, 1), (2, 3), (3, 4)];
    let lattice = (0..36).flat_map(|from| [(from, from + 1), (from, from + 4)]);
    let forty: Vec<_> = lattice.chain([(0, 39), (38, 39), (5, 38), (20, 39)]).collect();
    for (boxes, links) in [
        (0, &[][..]),
        (1, &[]),
        (9, &[]),
        (9, &line),
        (9, &long),
        (9, &fork),
        (9, &merge),
        (9, &both),
        (6, &crossing),
        (7, &apart),
        (2, &[(0, 1), (0, 1), (0, 1)]),
        (40, &forty),
    ] {
        placed(boxes, links, &mut random());
    }
}

#[test]
fn nothing_covers_anything_in_any_graph() {
    let mut random = random();
    for _ in 0..60 {
        let boxes = 2 + random(22);
        let links = boxes / 2 + random(boxes + 8);
        let link = |_| {
            let to = 1 + random(boxes - 1);
            (random(to), to)
        };
        let links: Vec<_> = (0..links).map(link).collect();
        placed(boxes, &links, &mut random);
    }
}

#[test]
fn what_goes_on_is_straight_and_what_leaves_it_is_not() {
    let middle = |rect: &Rect| rect.x + rect.width / 2;
    let line: Vec<_> = (1..6).map(|to| (to - 1, to)).collect();
    let layout = placed(6, &line, &mut random());
    assert!(layout.boxes.iter().all(|rect| middle(rect) == middle(&layout.boxes[0])));
    // A log of what 2 gives on, which ends in 5, and something from 1 to 4.
    let size = Size { width: 100, height: 40 };
    let link = |from, to, is_minor| Link { from, to, label: Size::default(), is_minor };
    let links = [
        link(0, 1, false),
        link(1, 2, false),
        link(2, 3, true),
        link(2, 4, false),
        link(3, 5, false),
        link(1, 4, true),
    ];
    let layout = lay_out(&[size; 6], &links);
    let middles: Vec<i32> = layout.boxes.iter().map(middle).collect();
    assert!([1, 2, 4].iter().all(|&at| middles[at] == middles[0]), "{middles:?}");
    assert!(middles[3] != middles[0] && middles[5] == middles[3], "{middles:?}");
}
