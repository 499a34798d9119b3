//! A pipeline in a file: TOML, in which sources, steps and sinks are tables with names.
//!
//! ```toml
//! [sources.flowers]
//! path = "in/flowers.csv"
//!
//! [steps.score]
//! type = "model"
//! from = "flowers"
//! plugin = "libiris_model.so"
//!
//! [sinks.out]
//! from = "score"
//! path = "out/${day:-today}.ldjson"
//! ```
//!
//! Which keys there are, [`keys`] says. What is wrong is told by line and key, with what to do; what a
//! parameter was given never is, since it may be a secret.

mod cases;
mod ends;
pub(super) mod keys;
mod params;
mod section;
mod steps;

use super::check::{self, Fault};
use super::relative::plain;
use super::{Node, Port, Spec, SpecError};
use crate::pipeline::limits::MaxRejects;
use crate::toml_text::{self, NOWHERE, Variables, Wrong, meant, on_a_line, wrong};
use keys::{Keys, RUN, SECTIONS};
use params::{Params, Why};
use section::{Context, Section, tables_of};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// What the parameters of a file are given from outside.
pub struct Settings<'a> {
    /// By `--set`.
    pub set: BTreeMap<String, String>,
    /// By the environment.
    pub variables: Variables<'a>,
}

/// `NAME=VALUE` of `--set`.
pub fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// Reads a file, and those with programs and configs that it names. Relative paths in it are made
/// relative to its folder.
pub fn read(path: &Path, settings: &Settings<'_>) -> Result<Spec, SpecError> {
    let name = path.display();
    let text = fs::read_to_string(path).map_err(|error| SpecError {
        message: format!("the pipeline file `{name}` can't be read: {error}"),
        hint: None,
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    parse(&text, folder, settings).map_err(|SpecError { message, hint }| {
        let comma = if message.starts_with("line ") { "," } else { ":" };
        SpecError { message: format!("pipeline file `{name}`{comma} {message}"), hint }
    })
}

/// Reads the text of a file that is in this folder.
pub fn parse(text: &str, folder: &Path, settings: &Settings<'_>) -> Result<Spec, SpecError> {
    whole(text, &plain(folder), settings).map_err(|wrong| SpecError {
        message: match wrong.byte {
            NOWHERE => wrong.message,
            _ => format!("line {}: {}", wrong.line(text), wrong.message),
        },
        hint: wrong.hint,
    })
}

fn whole(text: &str, folder: &Path, settings: &Settings<'_>) -> Result<Spec, Wrong> {
    let file = toml_text::parse(text)?;
    for (name, value) in section::in_order(&file) {
        let (byte, name) = (name.span().start, name.get_ref().as_ref());
        if SECTIONS.contains(&name) {
            continue;
        }
        let message = match value.get_ref() {
            DeValue::Table(_) => format!("there is no table `{}`", on_a_line(name)),
            _ => format!("key `{}`: it stands in no table", on_a_line(name)),
        };
        return Err(wrong(byte, message, Some(meant(name, SECTIONS.iter().copied()))));
    }
    let params = Params::read(file.get("params"), settings)?;
    let context = Context { params, folder };
    let mut spec = Spec {
        is_named: true,
        sources: nodes(&context, &file, "sources", ends::source)?,
        steps: nodes(&context, &file, "steps", steps::step)?,
        sinks: nodes(&context, &file, "sinks", ends::sink)?,
        ..run(&context, &file)?
    };
    let steps = file.get("steps").and_then(|steps| steps.get_ref().as_table());
    let steps = steps.into_iter().flat_map(section::in_order);
    spec.lines = steps
        .map(|(name, _)| (name.get_ref().to_string(), toml_text::line(text, name.span().start)))
        .collect();
    check::check(&mut spec).map_err(|fault| at(&file, fault))?;
    spec.tests = cases::tests(&context, &file, &spec)?;
    let refused = |Why { message, hint }| wrong(NOWHERE, message, hint);
    context.params.refuse_unused().map_err(refused)?;
    Ok(spec)
}

/// Where in the file a fault of the graph is.
fn at(file: &DeTable<'_>, Fault { key, message, hint }: Fault) -> Wrong {
    let (mut byte, mut table) = (0, Some(file));
    for part in &key {
        let Some((name, value)) = table.and_then(|table| table.get_key_value(part.as_str())) else {
            break;
        };
        table = value.get_ref().as_table();
        byte = if table.is_some() { name.span().start } else { value.span().start };
    }
    match &key[..] {
        [] => wrong(byte, message, hint),
        key => wrong(byte, format!("key `{}`: {message}", key.join(".")), hint),
    }
}

/// What reads one kind of node.
type Reading<'a, T> =
    fn(&'a Context<'a>, (&str, usize), &'a DeTable<'a>) -> Result<(Vec<Port>, T), Wrong>;

/// The nodes in one of the sections, in the order of the file.
fn nodes<'a, T>(
    context: &'a Context<'a>,
    file: &'a DeTable<'a>,
    section: &str,
    read: Reading<'a, T>,
) -> Result<Vec<Node<T>>, Wrong> {
    let Some(value) = file.get(section) else { return Ok(Vec::new()) };
    let node = |(name, value): section::Entry<'a>| {
        let key = format!("{section}.{}", name.get_ref());
        let Some(table) = value.get_ref().as_table() else {
            let message = format!("key `{key}`: it stands in no table with a name");
            let hint = format!("begin with [{section}.NAME]");
            return Err(wrong(name.span().start, message, Some(hint)));
        };
        let (from, what) = read(context, (&key, name.span().start), table)?;
        Ok(Node { name: name.get_ref().to_string(), from, what })
    };
    tables_of(section, value)?.into_iter().map(node).collect()
}

/// What a node takes from. Names of nodes are no place for parameters: the graph is always the same.
fn from(section: &Section<'_>) -> Result<Vec<Port>, Wrong> {
    let texts: Vec<&str> = match section.get("from") {
        Some(DeValue::String(text)) => vec![text],
        other => {
            let list = other.and_then(DeValue::as_array).into_iter().flatten();
            list.filter_map(|it| it.get_ref().as_str()).collect()
        }
    };
    let hint = || Some("NAME, or NAME.blocked of a block".to_owned());
    let ports = texts.into_iter().map(|text| text.parse());
    ports.collect::<Result<_, _>>().map_err(|why: String| section.wrong("from", why, hint()))
}

/// `[run]`.
fn run<'a>(context: &'a Context<'a>, file: &'a DeTable<'a>) -> Result<Spec, Wrong> {
    let Some(run) = section_of(context, file, "run", RUN)? else { return Ok(Spec::default()) };
    let max_rejects = match run.get("max_rejects") {
        Some(DeValue::Integer(it)) => {
            let count = u64::from_str_radix(it.as_str(), it.radix());
            Some(count.map(MaxRejects::Count).map_err(|_| {
                let hint = "max_rejects = 100, or \"0.5%\"".to_owned();
                run.wrong("max_rejects", "it can't be less than none", Some(hint))
            })?)
        }
        _ => run.parsed("max_rejects", str::parse)?,
    };
    Ok(Spec {
        rejects: run.location("rejects")?,
        fails_at_first: run.text("on_error")?.is_some_and(|text| text.value == "fail"),
        max_rejects,
        threads: run.whole("threads")?.map(|threads| threads as u16),
        services: run.path("services")?,
        ..Spec::default()
    })
}

fn section_of<'a>(
    context: &'a Context<'a>,
    file: &'a DeTable<'a>,
    name: &str,
    keys: Keys,
) -> Result<Option<Section<'a>>, Wrong> {
    let Some((key, value)) = file.get_key_value(name) else { return Ok(None) };
    tables_of(name, value)?;
    let table = value.get_ref().as_table().expect("it was just seen that it is one");
    Section::open(context, (name, key.span().start), table, vec![keys]).map(Some)
}

#[cfg(test)]
pub(super) mod tests;
