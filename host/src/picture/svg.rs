//! A picture as SVG, for a page or a browser. It brings its own background, asks for no font by name that a
//! system may lack, and needs nothing from elsewhere.

use super::colours::{Colours, INK, PAPER};
use super::layout::{self, ARROW, Link, MARGIN, Rect, Route, Size};
use super::text::{Font, cut_end, plain, width};
use super::{Detail, Edge, Flow, Kind, Picture, PictureNode};
use std::fmt::Write as _;

const NAME_PX: i32 = 14;
const KIND_PX: i32 = 11;
const TEXT_PX: i32 = 12;
const PADDING: i32 = 12;
const NAME_HEIGHT: i32 = 20;
const LINE_HEIGHT: i32 = 18;
const LABEL_HEIGHT: i32 = 18;
const SANS: &str = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', Arial, sans-serif";
const MONO: &str =
    r#" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', monospace""#;
/// Of what is said of the whole picture.
const MUTED: &str = "#57606a";

/// Draws it.
pub fn draw(picture: &Picture) -> String {
    let cards: Vec<Card> = picture.nodes.iter().map(Card::new).collect();
    let sizes: Vec<Size> = cards.iter().map(Card::size).collect();
    let labels: Vec<String> = picture.edges.iter().map(Edge::text).collect();
    let link = |(edge, label): (&Edge, &String)| Link {
        from: edge.from,
        to: edge.to,
        label: label_size(label),
        is_minor: edge.flow != Flow::Records,
    };
    let links: Vec<Link> = picture.edges.iter().zip(&labels).map(link).collect();
    let placed = layout::lay_out(&sizes, &links);

    let mut body = String::new();
    for (edge, route) in picture.edges.iter().zip(&placed.routes) {
        arrow(&mut body, edge.flow, route);
    }
    for ((edge, label), route) in picture.edges.iter().zip(&labels).zip(&placed.routes) {
        if !label.is_empty() {
            self::label(&mut body, edge.flow, label, route.label);
        }
    }
    for (card, rect) in cards.iter().zip(&placed.boxes) {
        card.draw(&mut body, *rect);
    }
    let (mut whole_width, mut height) = (placed.width, placed.height);
    if let Some(rejects) = &picture.rejects {
        let rejects = format!("rejects: {}", Detail::Location(rejects.clone()).short());
        let text = Text { x: MARGIN, y: height, size: TEXT_PX, colour: MUTED, more: "" };
        text.write(&mut body, &rejects);
        whole_width = whole_width.max(2 * MARGIN + width(&rejects, Font::Sans, TEXT_PX));
        height += MARGIN;
    }
    let (title, about) = (escaped(&plain(&picture.title)), escaped(&about(picture)));
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{whole_width}" height="{height}" viewBox="0 0 {whole_width} {height}" role="img" font-family="{SANS}">
<title>{title}</title>
<desc>{about}</desc>
<rect width="100%" height="100%" fill="{PAPER}"/>
{body}</svg>
"#
    )
}

/// What stands in a node's box.
struct Card<'a> {
    node: &'a PictureNode,
    name: String,
    details: Vec<(String, Font)>,
    fates: String,
}

impl<'a> Card<'a> {
    fn new(node: &'a PictureNode) -> Self {
        let detail = |detail: &Detail| match detail {
            Detail::Code(_) => (detail.short(), Font::Mono),
            _ => (detail.short(), Font::Sans),
        };
        let details = node.details.iter().map(detail).filter(|(line, _)| !line.is_empty());
        let name = cut_end(&plain(&node.name));
        Card { node, name, details: details.collect(), fates: node.fates() }
    }

    fn size(&self) -> Size {
        let head = width(&self.name, Font::Bold, NAME_PX)
            + PADDING
            + width(self.node.kind.name(), Font::Sans, KIND_PX);
        let lines = self.details.iter().map(|(line, font)| width(line, *font, TEXT_PX));
        let fates = width(&self.fates, Font::Bold, TEXT_PX);
        let widest = lines.chain([head, fates]).max().unwrap_or_default();
        let lines = self.details.len() + usize::from(!self.fates.is_empty());
        Size {
            width: 2 * PADDING + widest + widest % 2,
            height: 18 + NAME_HEIGHT + LINE_HEIGHT * lines as i32,
        }
    }

    fn draw(&self, body: &mut String, Rect { x, y, width, height }: Rect) {
        let PictureNode { name, kind, details, .. } = self.node;
        let Colours { fill, line } = kind.colours();
        let radius = if matches!(kind, Kind::Source | Kind::Sink) { 16 } else { 5 };
        let whole = details.iter().fold(format!("{} ({})", plain(name), kind.name()), |all, it| {
            all + "\n" + &plain(it.whole())
        });
        let _ = writeln!(
            body,
            r#"<g><title>{}</title><rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{radius}" fill="{fill}" stroke="{line}" stroke-width="1.5"/>"#,
            escaped(&whole)
        );
        let mut baseline = y + 10 + 14;
        let text = |x, y, size, colour, more| Text { x, y, size, colour, more };
        let (left, right) = (x + PADDING, x + width - PADDING);
        text(left, baseline, NAME_PX, INK, BOLD).write(body, &self.name);
        text(right, baseline, KIND_PX, line, r#" text-anchor="end""#).write(body, kind.name());
        for (detail, font) in &self.details {
            baseline += LINE_HEIGHT;
            let more = if matches!(font, Font::Mono) { MONO } else { "" };
            text(left, baseline, TEXT_PX, INK, more).write(body, detail);
        }
        if !self.fates.is_empty() {
            text(left, baseline + LINE_HEIGHT, TEXT_PX, line, BOLD).write(body, &self.fates);
        }
        *body += "</g>\n";
    }
}

const BOLD: &str = r#" font-weight="600""#;

/// A line of text, but for the text.
struct Text<'a> {
    x: i32,
    /// Of the line that it stands on.
    y: i32,
    size: i32,
    colour: &'a str,
    more: &'a str,
}

impl Text<'_> {
    fn write(&self, body: &mut String, text: &str) {
        let Text { x, y, size, colour, more } = self;
        let text = escaped(text);
        let _ = writeln!(
            body,
            r#"<text x="{x}" y="{y}" font-size="{size}" fill="{colour}"{more}>{text}</text>"#
        );
    }
}

fn arrow(body: &mut String, flow: Flow, route: &Route) {
    let [first, .., last] = &route.runs[..] else { return };
    let mut way = format!("M{} {}", first.x, first.top);
    for pair in route.runs.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        if from.x != to.x {
            let middle = f64::from(from.bottom + to.top) / 2.0;
            let _ = write!(way, "V{}C", from.bottom);
            let _ = write!(way, "{} {middle} {} {middle} {} {}", from.x, to.x, to.x, to.top);
        }
    }
    let neck = last.bottom - ARROW + 2;
    let _ = write!(way, "V{neck}");
    let colour = flow.colour();
    let dashes = match flow {
        Flow::Records => "",
        Flow::Blocked => r#" stroke-dasharray="6 4""#,
        Flow::Logged => r#" stroke-dasharray="2 4""#,
    };
    let (x, tip) = (last.x, last.bottom - 1);
    let _ = writeln!(
        body,
        r#"<path d="{way}" fill="none" stroke="{colour}" stroke-width="1.6"{dashes}/><path d="M{x} {tip}l-5 -9h10z" fill="{colour}"/>"#
    );
}

fn label_size(label: &str) -> Size {
    match label {
        "" => Size::default(),
        label => {
            let width = width(label, Font::Sans, TEXT_PX) + 10;
            Size { width: width + width % 2, height: LABEL_HEIGHT }
        }
    }
}

fn label(body: &mut String, flow: Flow, label: &str, rect: Rect) {
    let Rect { x, y, width, height } = rect;
    let _ = writeln!(
        body,
        r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{PAPER}"/>"#
    );
    let (x, y, colour) = (x + width / 2, y + 13, flow.colour());
    let text = Text { x, y, size: TEXT_PX, colour, more: r#" text-anchor="middle""# };
    text.write(body, label);
}

/// The picture in words, for who can't see it.
fn about(picture: &Picture) -> String {
    let name = |at: usize| plain(&picture.nodes[at].name);
    let edge = |edge: &Edge| match edge.text() {
        text if text.is_empty() => format!("{} to {}", name(edge.from), name(edge.to)),
        text => format!("{} to {} ({text})", name(edge.from), name(edge.to)),
    };
    picture.edges.iter().map(edge).collect::<Vec<_>>().join("; ")
}

/// As text in XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests;
