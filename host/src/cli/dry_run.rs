//! `etl-host run FILE --dry-run N`: what each node does to the first records, side by side, and nothing
//! is written.

use super::job::Job;
use super::score::trial::Trial;
use super::{counted, on_a_line, shown};
use crate::error::{Error, exit};
use crate::pipeline::trial::{Rejected, Tried};
use crate::record::RecordPosition;
use crate::spec::{Port, Spec, StepSpec};
use std::collections::HashMap;
use std::fmt::Write as _;

/// How much of a record is shown, in characters.
const SHOWN_CHARS: usize = 240;

pub(super) fn dry_run(job: &Job<'_>, records: usize) -> Result<u8, Error> {
    let mut trial = Trial::load(job, true)?;
    let tried = trial.first(records)?;
    let rows = rows(&job.spec);
    let mut text: String = tried.iter().map(|record| told(&rows, record)).collect();
    let _ = writeln!(text, "{} tried, nothing written", counted(tried.len(), "record"));
    let is_rejected = tried.iter().any(|record| !record.rejects.is_empty());
    trial.end(&text, if is_rejected { exit::REJECTS } else { exit::OK })
}

/// A node, in the order by which a trial tells of them.
struct Row<'a> {
    name: &'a str,
    what: What,
    /// What comes to it: of which node, and whether that put it aside.
    from: Vec<(usize, bool)>,
}

/// What is told of a node in a way of its own.
#[derive(PartialEq, Eq)]
enum What {
    Source,
    /// What it holds back is shown.
    Block,
    /// What it takes is shown nowhere else.
    Log,
    Other,
}

fn rows(spec: &Spec) -> Vec<Row<'_>> {
    let places: HashMap<&str, usize> = spec.names().zip(0..).collect();
    let from = |ports: &[Port]| {
        ports.iter().map(|port| (places[&*port.node], port.is_aside)).collect::<Vec<_>>()
    };
    let row = |name, what, ports: &[Port]| Row { name, what, from: from(ports) };
    let sources = spec.sources.iter().map(|node| row(&node.name, What::Source, &[]));
    let steps = spec.steps.iter().map(|node| {
        let what = match node.what {
            StepSpec::Block(_) => What::Block,
            StepSpec::Log(_) => What::Log,
            _ => What::Other,
        };
        row(&node.name, what, &node.takes())
    });
    let sinks = spec.sinks.iter().map(|node| row(&node.name, What::Other, &node.from));
    sources.chain(steps).chain(sinks).collect()
}

/// A block of lines: the record, and each node that it came to.
fn told(rows: &[Row<'_>], record: &Tried) -> String {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
    let width = width.max("record".len());
    let (source, RecordPosition { line, byte }) = &record.place;
    let mut text = format!("{}: line {line}, byte {byte}\n", on_a_line(source));
    let mut say = |node: &str, what: &str| {
        let _ = writeln!(text, "  {node:width$}  {what}");
    };
    say("record", &cut(&record.record));
    let given: HashMap<(usize, bool), &Vec<String>> =
        record.given.iter().map(|given| ((given.node, given.is_aside), &given.texts)).collect();
    for (at, Row { name, what, from }) in rows.iter().enumerate() {
        let read = (at == record.node).then_some(&record.record);
        let taken = from.iter().filter_map(|port| given.get(port).copied()).flatten().chain(read);
        let taken: Vec<&String> = taken.collect();
        let [passed, aside] = [false, true].map(|is_aside| given.get(&(at, is_aside)).copied());
        let is_same = passed.is_some_and(|texts| texts.iter().eq(taken.iter().copied()));
        let rejects = || record.rejects.iter().filter(|reject| reject.node == *name);
        match what {
            What::Source if is_same => {} // it stands above
            What::Block | What::Other if is_same => say(name, "="),
            _ => passed.into_iter().flatten().for_each(|text| say(name, &cut(text))),
        }
        for text in aside.filter(|_| *what == What::Block).into_iter().flatten() {
            say(name, &format!("blocked: {}", cut(text)));
        }
        for Rejected { kind, path, message, .. } in rejects() {
            let path = if path.is_empty() { String::new() } else { format!("{path}: ") };
            let (kind, message) = (kind.name(), on_a_line(message));
            say(name, &format!("rejected: {kind}: {path}{message}"));
        }
        if !taken.is_empty() && (passed, aside) == (None, None) && rejects().next().is_none() {
            say(name, "filtered");
        }
    }
    text.push('\n');
    text
}

/// A text that stays on its line, and does not fill the screen.
fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", shown(&on_a_line(&text[..end]))),
        None => on_a_line(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::trial::Given;
    use crate::record::RejectKind;
    use crate::spec::file::{self, Settings};
    use std::path::Path;

    #[test]
    fn each_node_that_a_record_comes_to_has_its_lines() {
        let text = "[sources.a]\npath = 'a.csv'\n[sources.z]\npath = 'z.csv'\n\
                    [steps.rule]\ntype = 'block'\nfrom = 'a'\nwhen = 'true'\nreason = 'r'\n\
                    [steps.score]\ntype = 'model'\nfrom = 'rule'\nplugin = 'm.so'\n\
                    [steps.audit]\ntype = 'log'\nfrom = 'score'\n\
                    [sinks.log]\nfrom = 'audit'\npath = 'log.ldjson'\n\
                    [sinks.out]\nfrom = ['score', 'rule.blocked', 'z']\npath = 'out.ldjson'\n";
        let settings = Settings { set: Default::default(), variables: &|_| None };
        let spec = file::parse(text, Path::new(""), &settings).unwrap();
        assert_eq!(spec.names().collect::<Vec<_>>().join(" "), "a z rule score audit log out");
        let given = |node, is_aside, texts: &[&str]| {
            let texts = texts.iter().map(|&text| text.to_owned()).collect();
            Given { node, is_aside, texts }
        };
        let told = |given: Vec<Given>, rejected: Option<(&str, &str)>| {
            let reject = |(node, path): (&str, &str)| Rejected {
                node: node.to_owned(),
                kind: RejectKind::Schema,
                path: path.to_owned(),
                message: "no\n".to_owned(),
            };
            let (place, record) = (("a.csv".into(), RecordPosition { line: 2, byte: 3 }), "1,2");
            let rejects = rejected.map(reject).into_iter().collect();
            let tried = Tried { node: 0, place, record: record.to_owned(), given, rejects };
            super::told(&rows(&spec), &tried).replace("a.csv: line 2, byte 3\n  record  1,2\n", "")
        };
        let read = || given(0, false, &["{}"]);
        let passed = || given(2, false, &["{}"]);
        for (given, rejected, expected) in [
            (
                vec![
                    read(),
                    passed(),
                    given(3, false, &["1"]),
                    given(3, true, &["{\"log\":1}"]),
                    given(4, false, &["{\"log\":1}"]),
                    given(5, false, &["{\"log\":1}"]),
                    given(6, false, &["1"]),
                ],
                None,
                "  a       {}\n  rule    =\n  score   1\n  audit   {\"log\":1}\n  log     =\n  out     =\n\n",
            ),
            (
                vec![read(), given(2, true, &["{\"b\":1}"]), given(6, false, &["{\"b\":1}"])],
                None,
                "  a       {}\n  rule    blocked: {\"b\":1}\n  out     =\n\n",
            ),
            (
                vec![read(), passed()],
                Some(("score", "/x")),
                "  a       {}\n  rule    =\n  score   rejected: schema: /x: no\\n\n\n",
            ),
            (vec![read()], None, "  a       {}\n  rule    filtered\n\n"),
            (vec![], Some(("a", "")), "  a       rejected: schema: no\\n\n\n"),
        ] {
            assert_eq!(told(given, rejected), expected);
        }
    }
}
