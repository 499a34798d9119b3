//! What Graphviz is given, and that nothing in a name is read otherwise than it was meant.

use super::*;
use crate::picture::tests::{counts, example};

#[test]
fn a_run_of_a_pipeline_is_a_graph() {
    let mut picture = example();
    picture.with_counts(&counts()).unwrap();
    let expected = r##"digraph "pipeline" {
    graph [bgcolor="#ffffff", fontname="Helvetica,Arial,sans-serif", fontsize=10]
    node [style=filled, fontsize=11, fontname="Helvetica,Arial,sans-serif", fontcolor="#1f2328"]
    edge [fontname="Helvetica,Arial,sans-serif", fontsize=10, color="#57606a", fontcolor="#57606a"]
    graph [label="rejects: out/2026-11-27.rejects.ldjson", labeljust=l]
    "flowers" [label="flowers (source)\nin/2026-11-27.csv\n3 rejected", shape=cylinder, fillcolor="#e6f0fb", color="#1d5a9e"]
    "allowed" [label="allowed (block)\nno predictions in this jurisdiction\n.country == \"FR\"\n1,250 blocked", shape=octagon, fillcolor="#fdebe8", color="#ad241c"]
    "shape" [label="shape (jq)\n{sepal_length: .sl, sepal_width: .sw, petal…\n250 filtered", shape=box, fillcolor="#faf3d8", color="#6d5500"]
    "score" [label="score (model)\niris_model@0\nlibiris_model.so\n2 rejected", shape=component, fillcolor="#f0e9fb", color="#63379b"]
    "audit" [label="audit (log)\nid: request_id\nshare 0.1, seed 7\n9,921 filtered", shape=note, fillcolor="#e0f3f4", color="#0b646b"]
    "log" [label="log (sink)\nout/log.ldjson.gz\n1,077 written", shape=cylinder, fillcolor="#e4f4ea", color="#1b6b3f"]
    "out" [label="out (sink)\nout/2026-11-27.ldjson\n12,248 written", shape=cylinder, fillcolor="#e4f4ea", color="#1b6b3f"]
    "flowers" -> "allowed" [label="12,500"]
    "allowed" -> "shape" [label="11,250"]
    "shape" -> "score" [label="11,000"]
    "score" -> "audit" [style=dotted, color="#0b646b", fontcolor="#0b646b", label="10,998"]
    "audit" -> "log" [label="1,077"]
    "score" -> "out" [label="10,998"]
    "allowed" -> "out" [style=dashed, color="#ad241c", fontcolor="#ad241c", label="blocked 1,250"]
}
"##;
    assert_eq!(draw(&picture), expected);
}

#[test]
fn without_a_run_arrows_bear_only_what_they_are() {
    let drawn = draw(&example());
    for line in [
        r#""flowers" -> "allowed""#,
        r##""allowed" -> "out" [style=dashed, color="#ad241c", fontcolor="#ad241c", label="blocked"]"##,
    ] {
        assert!(drawn.lines().any(|it| it.trim() == line), "{line}\n{drawn}");
    }
}

#[test]
fn nothing_in_a_name_is_read_otherwise() {
    for (name, id, label) in [
        (r#"a"]; x ["#, r#"a\"]; x ["#, r#"a\"]; x ["#),
        (r"a\", r"a\\", r"a\\"),
        (r"\N \G", r"\\N \\G", r"\\N \\G"),
        ("<b>&lt;", "<b>&lt;", "<b>&amp;lt;"),
        ("a\nb", "a b", "a b"),
        ("\u{202e}a\u{0}", r"\\u{202e}a\\u{0}", r"\\u{202e}a\\u{0}"),
        ("digraph", "digraph", "digraph"),
    ] {
        let mut picture = example();
        picture.nodes[0].name = name.to_owned();
        let drawn = draw(&picture);
        let begins = format!(r#"    "{id}" [label="{label} (source)\nin/2026-11-27.csv", "#);
        assert!(drawn.lines().any(|line| line.starts_with(&begins)), "{begins}\n{drawn}");
        assert!(drawn.contains(&format!("    \"{id}\" -> \"allowed\"\n")), "{drawn}");
    }
}
