//! `etl-host run FILE --dry-run N`: what each node does to the first records, side by side, and nothing
//! is written.

use super::job::Job;
use super::score::trial::Trial;
use super::{on_a_line, shown};
use crate::error::{Error, exit};
use crate::pipeline::trial::{Given, Tried};
use crate::record::RecordPosition;
use crate::spec::Port;
use std::collections::HashMap;
use std::fmt::Write as _;

/// How much of a record is shown, in characters.
const SHOWN_CHARS: usize = 240;

pub(super) fn dry_run(job: &Job<'_>, records: usize) -> Result<u8, Error> {
    let trial = Trial::load(job, true)?;
    let tried = trial.first(records)?;
    let names: Vec<String> = trial.names().into_iter().map(str::to_owned).collect();
    let mut text = String::new();
    tried.iter().for_each(|record| text += &told(job, &names, record));
    let _ = writeln!(text, "{} records were tried, and nothing was written", tried.len());
    let is_rejected = tried.iter().any(|record| !record.rejects.is_empty());
    trial.end(&text, if is_rejected { exit::REJECTS } else { exit::OK })
}

/// A block of lines: the record, and each node that it came to.
fn told(job: &Job<'_>, names: &[String], record: &Tried) -> String {
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    let width = width.max("blocked".len());
    let (source, RecordPosition { line, byte }) = &record.place;
    let mut text = format!("{}: line {line}, byte {byte}\n", on_a_line(source));
    let mut say = |node: &str, what: &str| {
        let _ = writeln!(text, "  {node:width$}  {what}");
    };
    say("record", &cut(&record.record));
    let given: HashMap<(usize, bool), &Given> =
        record.given.iter().map(|given| ((given.node, given.is_aside), given)).collect();
    let texts = |port: &Port| {
        let node = names.iter().position(|name| *name == port.node).unwrap_or_default();
        given.get(&(node, port.is_aside)).map_or(&[][..], |given| &given.texts)
    };
    let steps = job.spec.steps.iter().map(|step| (&*step.name, &step.from));
    let sinks = job.spec.sinks.iter().map(|sink| (&*sink.name, &sink.from));
    let rejects =
        |name: &str| record.rejects.iter().filter(|it| it.node == name).collect::<Vec<_>>();
    let read_by = &names[record.node];
    if let [only] = texts(&Port { node: read_by.clone(), is_aside: false })
        && *only != record.record
    {
        say(read_by, &cut(only));
    }
    for (at, (name, from)) in (job.spec.sources.len()..).zip(steps.chain(sinks)) {
        // What a log takes, nobody else is shown to give.
        let is_log = job.spec.steps.iter().any(|step| step.name == name && step.is_log());
        let from: Vec<Port> = from
            .iter()
            .map(|port| Port { node: port.node.clone(), is_aside: port.is_aside || is_log })
            .collect();
        let taken: Vec<&String> = from.iter().flat_map(&texts).collect();
        let own = [false, true].map(|is_aside| given.get(&(at, is_aside)).map(|it| &it.texts));
        let rejected = rejects(name);
        if let Some(texts) = own[0] {
            match !is_log && texts.iter().eq(taken.iter().copied()) {
                true => say(name, "="),
                false => texts.iter().for_each(|text| say(name, &cut(text))),
            }
        }
        let is_block = job.spec.steps.iter().any(|step| step.name == name && !step.is_model());
        if let Some(texts) = own[1].filter(|_| is_block) {
            texts.iter().for_each(|text| say(name, &format!("blocked: {}", cut(text))));
        }
        for reject in &rejected {
            let path =
                if reject.path.is_empty() { String::new() } else { format!("{}: ", reject.path) };
            let (kind, message) = (reject.kind.name(), on_a_line(&reject.message));
            say(name, &format!("rejected: {kind}: {path}{message}"));
        }
        if !taken.is_empty() && own == [None, None] && rejected.is_empty() {
            say(name, "filtered");
        }
    }
    for reject in rejects(read_by) {
        let message = on_a_line(&reject.message);
        say(read_by, &format!("rejected: {}: {message}", reject.kind.name()));
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
