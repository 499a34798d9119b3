//! The pipeline that the pages about pipelines show, and others that the drawers share; what a picture
//! knows of each.

use super::*;
use crate::format::Format;
use crate::spec::*;
use crate::storage::database::Selection;
use serde_json::json;
use std::ffi::OsString;

fn node<T>(name: &str, from: &[&str], what: T) -> Node<T> {
    let from = from.iter().map(|port| port.parse().unwrap()).collect();
    Node { name: name.to_owned(), from, what }
}

fn jq(program: &str) -> JqSpec {
    JqSpec { program: program.to_owned(), ..JqSpec::default() }
}

fn source(paths: &[&str]) -> SourceSpec {
    let paths = paths.iter().map(OsString::from).collect();
    SourceSpec { records: Records::Inputs(paths), ..SourceSpec::default() }
}

fn sink(path: &str) -> SinkSpec {
    SinkSpec { output: Some(path.into()), ..SinkSpec::default() }
}

fn spec(
    sources: Vec<Node<SourceSpec>>,
    steps: Vec<Node<StepSpec>>,
    sinks: Vec<Node<SinkSpec>>,
) -> Spec {
    Spec { sources, steps, sinks, is_named: true, ..Spec::default() }
}

/// One with a rule, a model, a log of what it predicted, and two sinks.
pub(super) fn example() -> Picture {
    let rule = BlockSpec {
        when: jq(r#".country == "FR""#),
        reason: "no predictions in this jurisdiction".to_owned(),
        ..BlockSpec::default()
    };
    let model = ModelSpec {
        plugin: Some("libiris_model.so".into()),
        model: Some("iris_model@0".parse().unwrap()),
        config: r#"{"secret":"s"}"#.to_owned(),
        ..ModelSpec::default()
    };
    let log = LogSpec {
        id: Some("request_id".to_owned()),
        sample: Some(SampleSpec { share: 0.1, seed: 7 }),
        trace: false,
    };
    let shape = "{sepal_length: .sl, sepal_width: .sw,\n petal_length: .pl, petal_width: .pw}\n\
                 | select(.sepal_length > $params.threshold)";
    let mut spec = spec(
        vec![node("flowers", &[], source(&["in/2026-11-27.csv"]))],
        vec![
            node("allowed", &["flowers"], StepSpec::Block(rule)),
            node("shape", &["allowed"], StepSpec::Jq(jq(shape))),
            node("score", &["shape"], StepSpec::Model(model)),
            node("audit", &["score"], StepSpec::Log(log)),
        ],
        vec![
            node("log", &["audit"], sink("out/log.ldjson.gz")),
            node("out", &["score", "allowed.blocked"], sink("out/2026-11-27.ldjson")),
        ],
    );
    spec.rejects = Some("out/2026-11-27.rejects.ldjson".into());
    Picture::of_spec(&spec)
}

/// What a run of it did.
pub(super) fn counts() -> Vec<counts::Node> {
    let nodes = json!([
        {"name": "flowers", "role": "source", "in": 0, "out": 12500, "yielded": 12500,
            "filtered": 0, "blocked": 0, "err": 3},
        {"name": "allowed", "role": "step", "in": 12500, "out": 11250, "yielded": 11250,
            "filtered": 0, "blocked": 1250, "err": 0},
        {"name": "shape", "role": "step", "in": 11250, "out": 11000, "yielded": 11000,
            "filtered": 250, "blocked": 0, "err": 0},
        {"name": "score", "role": "step", "in": 11000, "out": 10998, "yielded": 10998,
            "filtered": 0, "blocked": 0, "err": 2},
        {"name": "audit", "role": "step", "in": 10998, "out": 1077, "yielded": 1077,
            "filtered": 9921, "blocked": 0, "err": 0},
        {"name": "log", "role": "sink", "in": 1077, "out": 1077, "yielded": 1077,
            "filtered": 0, "blocked": 0, "err": 0},
        {"name": "out", "role": "sink", "in": 12248, "out": 12248, "yielded": 12248,
            "filtered": 0, "blocked": 0, "err": 0},
    ]);
    serde_json::from_value(nodes).unwrap()
}

#[test]
fn arrows_bear_what_went_along_them() {
    let mut picture = example();
    picture.with_counts(&counts()).unwrap();
    let name = |at: usize| &*picture.nodes[at].name;
    let edges = picture.edges.iter().map(|edge| (name(edge.from), name(edge.to), edge.text()));
    let edges: Vec<_> = edges.map(|(from, to, text)| format!("{from} {to} {text}")).collect();
    assert_eq!(
        edges,
        [
            "flowers allowed 12,500",
            "allowed shape 11,250",
            "shape score 11,000",
            "score audit 10,998",
            "audit log 1,077",
            "score out 10,998",
            "allowed out blocked 1,250",
        ]
    );
}

#[test]
fn a_summary_of_another_pipeline_is_refused_with_the_names_that_differ() {
    let refused = |change: fn(&mut Vec<counts::Node>)| {
        let (mut picture, mut nodes) = (example(), counts());
        change(&mut nodes);
        let error = picture.with_counts(&nodes).unwrap_err();
        assert!(picture.nodes.iter().all(|node| node.counts.is_none()), "all or nothing");
        error.to_string()
    };
    let begin = "the summary is of another pipeline: it";
    let lacks = |nodes: &mut Vec<counts::Node>| drop(nodes.drain(1..3));
    assert_eq!(refused(lacks), format!("{begin} does not count `allowed`, `shape`"));
    let renamed = |nodes: &mut Vec<counts::Node>| nodes[3].name = "a\u{1b}b".to_owned();
    assert_eq!(
        refused(renamed),
        format!("{begin} does not count `score`, and it counts `a\\u{{1b}}b`")
    );
}

#[test]
fn what_is_said_of_a_node_tells_it_from_others_of_its_kind() {
    let sample = SampleSpec { share: 0.07, seed: 7 };
    let lookup = LookupSpec {
        table: source(&["countries.csv", "more.csv"]),
        on: "country".to_owned(),
        key: "code".to_owned(),
        into: None,
        columns: Vec::new(),
        missing: NoMatch::Null,
        several: Several::First,
    };
    let log = LogSpec { trace: true, ..LogSpec::default() };
    let validate = ValidateSpec { schema: "schemas/flower.json".into() };
    for (step, expected) in [
        (StepSpec::Limit(1000), "it (limit), first 1,000"),
        (StepSpec::Skip(3), "it (skip), all but the first 3"),
        (StepSpec::Sample(sample), "it (sample), share 0.07, seed 7"),
        (StepSpec::Validate(validate), "it (validate), schemas/flower.json"),
        (StepSpec::Lookup(lookup), "it (lookup), countries.csv, country = code"),
        (StepSpec::Log(log), "it (log), with traces"),
        (StepSpec::Join, "it (join)"),
        (StepSpec::Place, "it (place)"),
    ] {
        let picture = Picture::of_spec(&spec(vec![], vec![node("it", &[], step)], vec![]));
        assert_eq!(picture.nodes[0].lines().join(", "), expected);
    }
}

#[test]
fn what_is_said_of_ends_is_where_they_are() {
    let reads = |records, selection: Option<Selection>| {
        let source = SourceSpec { records, selection, ..SourceSpec::default() };
        let picture = Picture::of_spec(&spec(vec![node("in", &[], source)], vec![], vec![]));
        picture.nodes[0].lines()[1..].join(", ")
    };
    let inputs = |paths: &[&str]| source(paths).records;
    let table = || Some(Selection::Table("a.b".parse().unwrap()));
    let query = || Some(Selection::Query("SELECT 1".to_owned()));
    assert_eq!(reads(inputs(&[]), None), "stdin");
    assert_eq!(reads(inputs(&["-"]), None), "stdin");
    assert_eq!(reads(inputs(&["a.csv", "b.csv", "c.csv"]), None), "a.csv, and 2 more");
    assert_eq!(reads(inputs(&["sqlite:a.db"]), table()), "sqlite://a.db, table a.b");
    assert_eq!(reads(inputs(&["sqlite:a.db"]), query()), "sqlite://a.db, SELECT 1");
    assert_eq!(reads(Records::Rejects("out/r.ldjson".into()), None), "out/r.ldjson, its rejects");
    assert_eq!(reads(Records::One("{}".to_owned()), None), "one record");

    let sinks = vec![
        node("out", &[], SinkSpec::default()),
        node("db", &[], SinkSpec { table: Some("t".parse().unwrap()), ..sink("sqlite:a.db") }),
        node("csv", &[], SinkSpec { format: Some(Format::Csv), ..sink("out/data") }),
    ];
    let picture = Picture::of_spec(&spec(vec![], vec![], sinks));
    let said = picture.nodes.iter().map(|node| node.lines()[1..].join(", "));
    assert_eq!(said.collect::<Vec<_>>(), ["stdout", "sqlite://a.db, table t", "out/data, csv"]);
}

#[test]
fn no_secret_is_drawn() {
    let mut spec = spec(
        vec![node("in", &[], source(&["postgres://me:hush@db/flowers"]))],
        vec![node("jq", &["in"], StepSpec::Jq(jq(".")))],
        vec![node("out", &["jq"], sink("https://me:hush@host/out.json?token=hush"))],
    );
    spec.rejects = Some("https://host/rejects.json?token=hush".into());
    if let StepSpec::Jq(jq) = &mut spec.steps[0].what {
        jq.params.insert("key".to_owned(), "hush".into());
    }
    for picture in [Picture::of_spec(&spec), example()] {
        for drawn in [svg::draw(&picture), mermaid::draw(&picture), dot::draw(&picture)] {
            assert!(!drawn.contains("hush") && !drawn.contains("secret"), "{drawn}");
        }
    }
}
