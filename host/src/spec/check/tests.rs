//! Graphs that are right and wrong, each in a line of its own: `NAME TYPE < FROM, …`.

use super::*;
use crate::spec::{BlockSpec, JqSpec, LogSpec, ModelSpec, Node, SinkSpec, SourceSpec, StepSpec};

/// Nodes, one a word or line: `in source`, `a jq < in`, `out sink < a b.blocked`. A sink writes to a
/// file that is called as it is.
fn spec(text: &str) -> Spec {
    let mut spec = Spec::default();
    for line in text.split(';').map(str::trim).filter(|line| !line.is_empty()) {
        let (node, from) = line.split_once('<').unwrap_or((line, ""));
        let (name, kind) = node.trim().split_once(' ').unwrap();
        let name = name.to_owned();
        let from: Vec<Port> = from.split_whitespace().map(|port| port.parse().unwrap()).collect();
        let step = match kind.trim() {
            "source" => {
                let records = Records::Inputs(vec![name.clone().into()]);
                let what = SourceSpec { records, ..SourceSpec::default() };
                spec.sources.push(Node { name, from, what });
                continue;
            }
            "sink" => {
                let output = Some(name.clone().into());
                let what = SinkSpec { output, ..SinkSpec::default() };
                spec.sinks.push(Node { name, from, what });
                continue;
            }
            "jq" => StepSpec::Jq(JqSpec::default()),
            "block" => StepSpec::Block(BlockSpec::default()),
            "log" => StepSpec::Log(LogSpec::default()),
            "join" => StepSpec::Join,
            "model" => StepSpec::Model(ModelSpec::default()),
            other => panic!("{other}"),
        };
        spec.steps.push(Node { name, from, what: step });
    }
    spec
}

#[track_caller]
fn refused(text: &str, key: &str, message: &str, hint: &str) {
    let fault = check(&mut spec(text)).expect_err(text);
    let told = format!("{text}\n{fault:?}");
    assert_eq!(fault.key.join("."), key, "{told}");
    assert!(fault.message.contains(message), "{told}");
    assert!(fault.hint.unwrap_or_default().contains(hint), "{told}");
}

/// The names of all nodes, as they stand then.
#[track_caller]
fn ordered(text: &str, expected: &str) {
    let mut spec = spec(text);
    if let Err(fault) = check(&mut spec) {
        panic!("{text}\n{fault:?}");
    }
    let sources: Vec<&str> = spec.sources.iter().map(|node| &*node.name).collect();
    let steps: Vec<&str> = spec.steps.iter().map(|node| &*node.name).collect();
    let sinks: Vec<&str> = spec.sinks.iter().map(|node| &*node.name).collect();
    let told = [sources.join(" "), steps.join(" "), sinks.join(" ")].join(" | ");
    assert_eq!(told, expected, "{text}");
}

#[test]
fn a_node_takes_from_what_there_is_and_leads_somewhere() {
    refused("in source; out sink <", "sinks.out.from", "takes from nobody", "known are in");
    refused("in source; out sink < inn", "sinks.out.from", "no node `inn`", "did you mean `in`?");
    refused(
        "in source; a jq < out; out sink < in",
        "steps.a.from",
        "`out` is a sink",
        "from = \"in\"",
    );
    refused(
        "in source; a jq < in.blocked; out sink < a",
        "steps.a.from",
        "`in` is no block",
        "leave",
    );
    refused("in source; out sink < in in", "sinks.out.from", "`in` stands there twice", "once");
    refused("in source; a jq < in; out sink < in", "steps.a", "leads nowhere", "from = \"a\"");
    refused("in source; b source; out sink < in", "sources.b", "leads nowhere", "from = \"b\"");
    refused(
        "in source; b block < in; out sink < b.blocked",
        "steps.b",
        "nobody takes the records that it lets pass",
        "from = \"b\"",
    );
    refused("in source; in sink < in", "sinks.in", "another node", "one of its own");
    refused(
        "1n source; out sink < 1n",
        "sources.1n",
        "no node can be called `1n`",
        "a letter, then",
    );
    refused("a jq < a; out sink < a", "", "there is no source", "[sources.NAME]");
    refused("in source; a jq < in", "", "there is no sink", "[sinks.NAME]");
    ordered("in source; b block < in; out sink < b b.blocked", "in | b | out");
    ordered("in source; b block < in; out sink < b", "in | b | out");
    ordered("in source; out sink < in; other sink < in", "in |  | out other");
}

#[test]
fn records_never_go_in_a_circle() {
    let message = "in a circle: a -> b -> c -> a";
    for text in [
        "in source; a jq < c in; b jq < a; c jq < b; out sink < c",
        "in source; z jq < a; a jq < in c; b jq < a; c jq < b; out sink < z",
    ] {
        refused(text, "steps.a.from", message, "somewhere else");
    }
    refused("in source; a jq < a; out sink < a", "steps.a.from", "circle: a -> a", "");
}

#[test]
fn steps_stand_behind_those_they_take_from_else_as_they_were_written() {
    ordered("in source; c jq < b; b jq < a; a jq < in; out sink < c", "in | a b c | out");
    ordered("in source; b jq < in; a jq < in; out sink < a b", "in | b a | out");
    ordered("in source; c jq < a; b jq < in; a jq < in; out sink < c b", "in | b a c | out");
}

#[test]
fn a_log_is_of_one_model_and_its_sinks_are_first() {
    ordered("in source; m model < in; l log < m; out sink < m; log sink < l", "in | m l | log out");
    ordered(
        "in source; m model < in; l log < m; j jq < l; out sink < in; both sink < j m; last sink < in",
        "in | m l j | both out last",
    );
    ordered("in source; m model < in; l log < m; log sink < l", "in | m l | log");
    refused(
        "in source; l log < in; out sink < l",
        "steps.l.from",
        "`in` is no model",
        "no step of type",
    );
    refused(
        "in source; m model < in; j jq < m; l log < j; out sink < l",
        "steps.l.from",
        "`j` is no model",
        "models are m",
    );
    refused(
        "in source; m model < in; n model < in; l log < m n; out sink < l",
        "steps.l.from",
        "one model",
        "a log of its own",
    );
    refused(
        "in source; m model < in; l log < m; k log < m; out sink < l k",
        "steps.k.from",
        "`m` has a log already, `l`",
        "from = \"l\"",
    );
    refused(
        "in source; m model < in; l log < m; out sink < m",
        "steps.l",
        "leads nowhere",
        "have a sink take from it",
    );
}

#[test]
fn a_join_is_of_branches_of_one_source() {
    ordered("in source; a jq < in; j join < a in; out sink < j", "in | a j | out");
    // Of two of its branches, one has records of another source too.
    ordered("a source; b source; x jq < a b; j join < x a; out sink < j", "a b | x j | out");
    refused("in source; j join < in; out sink < j", "steps.j.from", "nothing to join", "branches");
    refused(
        "a source; b source; j join < a b; out sink < j",
        "steps.j.from",
        "no source in common",
        "one behind the other",
    );
}

#[test]
fn sources_are_read_in_the_order_in_which_all_nodes_want_them() {
    ordered("a source; b source; out sink < a b", "a b |  | out");
    ordered("a source; b source; out sink < b a", "b a |  | out");
    ordered("a source; b source; c source; x sink < c a; y sink < b", "b c a |  | x y");
    ordered("a source; b source; c source; x sink < b a; y sink < c b", "c b a |  | x y");
    // Branches of one source come together, whatever their order.
    ordered("a source; x jq < a; y jq < a; p sink < x y; q sink < y x", "a | x y | p q");
    ordered("a source; b source; x jq < a b; out sink < x a", "a b | x | out");
    // Through steps, too.
    ordered("a source; b source; x jq < a; y jq < b; out sink < y x", "b a | x y | out");
    let hint = "the same order everywhere";
    refused(
        "a source; b source; x sink < a b; y sink < b a",
        "sinks.y.from",
        "`x` wants `a` before `b`, and `y` wants `b` before `a`",
        hint,
    );
    refused(
        "a source; b source; c source; x sink < a b; y sink < b c; z sink < c a",
        "sinks.z.from",
        "`x` wants `a` before `b`, and `y` wants `b` before `c`, and `z` wants `c` before `a`",
        hint,
    );
    refused(
        "a source; b source; x jq < a; y jq < a; out sink < x b y",
        "sinks.out.from",
        "`out` wants `b` before `a`, and `out` wants `a` before `b`",
        hint,
    );
}

#[test]
fn a_stream_is_read_once_and_an_output_written_by_one() {
    let inputs = |all: &[&str]| Records::Inputs(all.iter().map(Into::into).collect());
    let mut two = spec("a source; b source; out sink < a b");
    two.sources[0].what.records = Records::Rejects("-".into());
    two.sources[1].what.records = inputs(&["x", "-"]);
    let fault = check(&mut two).unwrap_err();
    assert_eq!(fault.key.join("."), "sources.b.path");
    assert_eq!(fault.message, "`a` reads stdin already");
    two.sources[1].what.records = inputs(&["/dev/stdin"]);
    assert_eq!(check(&mut two).unwrap_err().message, "`a` reads stdin already");
    two.sources[1].what.records = inputs(&["x"]);
    two.sources[0].what.records = inputs(&["-", "-"]);
    assert_eq!(check(&mut two).unwrap_err().message, "stdin stands there twice");
    two.sources[0].what.records = inputs(&["x", "x"]);
    check(&mut two).unwrap();

    let outputs = |one: Option<&str>, other: Option<&str>| {
        let mut two = spec("in source; a sink < in; b sink < in");
        for (sink, output) in two.sinks.iter_mut().zip([one, other]) {
            sink.what.output = output.map(Into::into);
        }
        let fault = check(&mut two).err();
        fault.map(|fault| format!("{}: {}", fault.key.join("."), fault.message))
    };
    for (one, other, told) in [
        (None, Some("-"), Some("sinks.b.path: `a` writes to stdout already")),
        (Some("/dev/stdout"), None, Some("sinks.b.path: `a` writes to stdout already")),
        (Some("-"), Some("/dev//fd/1"), Some("sinks.b.path: `a` writes to stdout already")),
        (Some("x//y"), Some("x/./y"), Some("sinks.b.path: `a` writes there already")),
        (Some("/x"), Some("file:///x"), Some("sinks.b.path: `a` writes there already")),
        (Some("s3://x/y"), Some("s3://x/y"), Some("sinks.b.path: `a` writes there already")),
        (Some("/dev/null"), Some("/dev/null"), None),
        (Some("x"), Some("y"), None),
    ] {
        assert_eq!(outputs(one, other).as_deref(), told);
    }
    let mut two = spec("in source; a sink < in; b sink < in");
    for (sink, table) in two.sinks.iter_mut().zip(["x", "y"]) {
        sink.what.output = Some("sqlite:a.db".into());
        sink.what.table = Some(table.parse().unwrap());
    }
    check(&mut two).unwrap();
}
