//! What Mermaid is given: the text, and that nothing in it is read otherwise than it was meant. That
//! Mermaid 11 shows all of it as it is here, was looked at in a browser.

use super::*;
use crate::picture::tests::{counts, example};

#[test]
fn a_pipeline_is_a_flowchart() {
    let expected = r##"flowchart TB
    n0[("flowers (source)<br/>in/2026-11-27.csv")]:::source
    n1{{"allowed (block)<br/>no predictions in this jurisdiction<br/>.country == #34;FR#34;"}}:::block
    n2["shape (jq)<br/>{sepal_length: .sl, sepal_width: .sw, petal…"]:::jq
    n3[["score (model)<br/>iris_model@0<br/>libiris_model.so"]]:::model
    n4[/"audit (log)<br/>id: request_id<br/>share 0.1, seed 7"/]:::log
    n5[("log (sink)<br/>out/log.ldjson.gz")]:::sink
    n6[("out (sink)<br/>out/2026-11-27.ldjson")]:::sink
    n0 --> n1
    n1 --> n2
    n2 --> n3
    n3 -.-> n4
    n4 --> n5
    n3 --> n6
    n1 -.->|"blocked"| n6
    rejects["rejects: out/2026-11-27.rejects.ldjson"]
    style rejects fill:#ffffff,stroke:#1f2328,color:#1f2328,stroke-dasharray:4 4
    classDef source fill:#e6f0fb,stroke:#1d5a9e,color:#1f2328
    classDef sink fill:#e4f4ea,stroke:#1b6b3f,color:#1f2328
    classDef model fill:#f0e9fb,stroke:#63379b,color:#1f2328
    classDef jq fill:#faf3d8,stroke:#6d5500,color:#1f2328
    classDef block fill:#fdebe8,stroke:#ad241c,color:#1f2328
    classDef log fill:#e0f3f4,stroke:#0b646b,color:#1f2328
"##;
    assert_eq!(draw(&example()), expected);
}

#[test]
fn a_run_stands_on_its_arrows() {
    let mut picture = example();
    picture.with_counts(&counts()).unwrap();
    let drawn = draw(&picture);
    for line in [
        r#"n0[("flowers (source)<br/>in/2026-11-27.csv<br/>3 rejected")]:::source"#,
        r#"n6[("out (sink)<br/>out/2026-11-27.ldjson<br/>12,248 written")]:::sink"#,
        r#"n0 -->|"12,500"| n1"#,
        r#"n1 -.->|"blocked 1,250"| n6"#,
    ] {
        assert!(drawn.lines().any(|it| it.trim() == line), "{line}\n{drawn}");
    }
}

#[test]
fn nothing_in_a_name_is_read_otherwise() {
    for (name, expected) in [
        (r#"a"b"]:::x"#, "a#34;b#34;]:::x"),
        ("<b>&amp;#35;", "#60;b#62;#38;amp;#35;35;"),
        ("`code`", "#96;code#96;"),
        ("%%{init}%%", "%#37;{init}%#37;"),
        ("$$x$$ $params", "$#8203;$x$#8203;$ $params"),
        ("a\\nb\n    n7 --> n8", "a#92;nb n7 --#62; n8"),
        ("\u{202e}abc\u{0}", "#92;u{202e}abc#92;u{0}"),
        ("end 1. שלום", "end 1. שלום"),
    ] {
        let mut picture = example();
        picture.nodes[0].name = name.to_owned();
        let line = format!(r#"    n0[("{expected} (source)<br/>in/2026-11-27.csv")]:::source"#);
        assert_eq!(draw(&picture).lines().nth(1), Some(&*line));
    }
}
