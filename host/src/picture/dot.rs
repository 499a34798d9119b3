//! A picture in DOT, for Graphviz and all that reads it.

use super::colours::{Colours, INK, PAPER};
use super::text::plain;
use super::{Detail, Flow, Kind, Picture, PictureNode};
use std::fmt::Write as _;

const FONT: &str = "Helvetica,Arial,sans-serif";

/// Draws it.
pub fn draw(picture: &Picture) -> String {
    let mut text = format!("digraph {} {{\n", quoted(&plain(&picture.title)));
    let _ = writeln!(text, "    graph [bgcolor=\"{PAPER}\", fontname=\"{FONT}\", fontsize=10]");
    let node = "style=filled, fontsize=11";
    let _ = writeln!(text, "    node [{node}, fontname=\"{FONT}\", fontcolor=\"{INK}\"]");
    let colour = |flow: Flow| format!("color=\"{0}\", fontcolor=\"{0}\"", flow.colour());
    let usual = colour(Flow::Records);
    let _ = writeln!(text, "    edge [fontname=\"{FONT}\", fontsize=10, {usual}]");
    if let Some(rejects) = &picture.rejects {
        let rejects = format!("rejects: {}", Detail::Location(rejects.clone()).short());
        let _ = writeln!(text, "    graph [label={}, labeljust=l]", label(&[rejects]));
    }
    for node in &picture.nodes {
        let Colours { fill, line } = node.kind.colours();
        let (name, label, shape) = (id(node), label(&node.lines()), shape(node.kind));
        let colours = format!("fillcolor=\"{fill}\", color=\"{line}\"");
        let _ = writeln!(text, "    {name} [label={label}, shape={shape}, {colours}]");
    }
    for edge in &picture.edges {
        let (from, to) = (id(&picture.nodes[edge.from]), id(&picture.nodes[edge.to]));
        let mut looks = Vec::new();
        match edge.flow {
            Flow::Records => {}
            Flow::Blocked => looks.push(format!("style=dashed, {}", colour(edge.flow))),
            Flow::Logged => looks.push(format!("style=dotted, {}", colour(edge.flow))),
        }
        if !edge.text().is_empty() {
            looks.push(format!("label={}", label(&[edge.text()])));
        }
        let _ = match &looks[..] {
            [] => writeln!(text, "    {from} -> {to}"),
            looks => writeln!(text, "    {from} -> {to} [{}]", looks.join(", ")),
        };
    }
    text + "}\n"
}

fn shape(kind: Kind) -> &'static str {
    match kind {
        Kind::Source | Kind::Sink => "cylinder",
        Kind::Model => "component",
        Kind::Block => "octagon",
        Kind::Log => "note",
        Kind::Join => "invtrapezium",
        _ => "box",
    }
}

fn id(node: &PictureNode) -> String {
    quoted(&plain(&node.name))
}

/// A quoted ID: in it, only the quote is escaped. A backslash stands for itself, but not before a quote.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A quoted label, whose backslashes and entities mean something.
fn label(lines: &[String]) -> String {
    let line =
        |line: &String| line.replace('\\', "\\\\").replace('"', "\\\"").replace('&', "&amp;");
    format!("\"{}\"", lines.iter().map(line).collect::<Vec<_>>().join("\\n"))
}

#[cfg(test)]
mod tests;
