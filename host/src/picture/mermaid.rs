//! A picture as a Mermaid flowchart: text that a page of Markdown can hold.

use super::colours::{Colours, INK, PAPER};
use super::{Detail, Edge, Flow, Kind, Picture};
use std::fmt::Write as _;

/// Draws it.
pub fn draw(picture: &Picture) -> String {
    let mut text = "flowchart TB\n".to_owned();
    for (at, node) in picture.nodes.iter().enumerate() {
        let (open, close) = shape(node.kind);
        let lines: Vec<String> = node.lines().iter().map(|line| escaped(line)).collect();
        let (label, kind) = (lines.join("<br/>"), node.kind.name());
        let _ = writeln!(text, "    n{at}{open}\"{label}\"{close}:::{kind}");
    }
    for edge @ Edge { from, to, flow, .. } in &picture.edges {
        let arrow = if *flow == Flow::Records { "-->" } else { "-.->" };
        let label = match edge.text() {
            label if label.is_empty() => String::new(),
            label => format!("|\"{label}\"|"),
        };
        let _ = writeln!(text, "    n{from} {arrow}{label} n{to}");
    }
    if let Some(rejects) = &picture.rejects {
        let rejects = Detail::Location(rejects.clone()).short();
        let _ = writeln!(text, "    rejects[\"rejects: {}\"]", escaped(&rejects));
        let style = format!("fill:{PAPER},stroke:{INK},color:{INK},stroke-dasharray:4 4");
        let _ = writeln!(text, "    style rejects {style}");
    }
    for kind in Kind::ALL {
        if picture.nodes.iter().any(|node| node.kind == kind) {
            let Colours { fill, line } = kind.colours();
            let name = kind.name();
            let _ = writeln!(text, "    classDef {name} fill:{fill},stroke:{line},color:{INK}");
        }
    }
    text
}

fn shape(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Source | Kind::Sink => ("[(", ")]"),
        Kind::Model => ("[[", "]]"),
        Kind::Block => ("{{", "}}"),
        Kind::Log => ("[/", "/]"),
        Kind::Join => ("[\\", "/]"),
        _ => ("[", "]"),
    }
}

/// As text between quotes: nothing in it is Mermaid's or HTML's. A backquote would begin Markdown,
/// `%%{` a directive, `$$` a formula, and `\n` end a line.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut before = None;
    for c in text.chars() {
        match c {
            '"' | '#' | '&' | '<' | '>' | '`' | '\\' => {
                let _ = write!(escaped, "#{};", u32::from(c));
            }
            '%' if before == Some(c) => escaped += "#37;",
            // A formula is looked for when all else was read: something must stand between, that isn't seen.
            '$' if before == Some(c) => escaped += "#8203;$",
            c => escaped.push(c),
        }
        before = Some(c);
    }
    escaped
}

#[cfg(test)]
mod tests;
