//! The tests in a pipeline file.
//!
//! ```toml
//! [[test]]
//! name = "what is blocked is not scored"
//! input.flowers = [{ id = 1, country = "FR" }, '{"id": 2, "country": null}']
//! expect."allowed.blocked" = [{ id = 1, blocked = "allowed", reason = "…" }]
//! rejects = [{ node = "score", kind = "schema" }]
//! ```

use super::keys::TEST;
use super::section::{Context, Entry, Section, in_order, json};
use crate::spec::{BLOCKED, ExpectedReject, Port, Spec, StepSpec, TestSpec};
use crate::toml_text::{Wrong, meant, on_a_line, wrong};
use serde_json::Value;
use std::collections::HashSet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// All `[[test]]`, of a pipeline whose graph is sound.
pub(super) fn tests<'a>(
    context: &'a Context<'a>,
    file: &'a DeTable<'a>,
    spec: &Spec,
) -> Result<Vec<TestSpec>, Wrong> {
    let Some((key, value)) = file.get_key_value("test") else { return Ok(Vec::new()) };
    let tables = value.get_ref().as_array().into_iter().flatten();
    let tables: Option<Vec<_>> = tables.map(|it| Some((it, it.get_ref().as_table()?))).collect();
    let Some(tables) = tables.filter(|tables| !tables.is_empty()) else {
        let hint = Some("begin each with [[test]]".to_owned());
        return Err(wrong(key.span().start, "key `test`: a list of tables is wanted", hint));
    };
    let mut names = HashSet::new();
    let mut tests = Vec::new();
    for (value, table) in tables {
        let place = ("test", value.span().start);
        let section = Section::open(context, place, table, vec![TEST])?;
        let test = test(&section, spec)?;
        if !names.insert(test.name.clone()) {
            let hint = Some("give each a name of its own".to_owned());
            return Err(section.wrong("name", "two tests are called so", hint));
        }
        tests.push(test);
    }
    Ok(tests)
}

fn test(section: &Section<'_>, spec: &Spec) -> Result<TestSpec, Wrong> {
    let input = section.entries("input").into_iter().map(|entry| input(section, spec, entry));
    let input = input.collect::<Result<Vec<_>, _>>()?;
    if input.is_empty() {
        let hint = Some("input.SOURCE = [{ id = 1 }]".to_owned());
        return Err(section.wrong("input", "no source is named in it", hint));
    }
    let mut expected = Vec::new();
    for (name, value) in section.entries("expect") {
        // `NAME.blocked` without quotes is a table in a table.
        match value.get_ref().as_table() {
            None => {
                expected.push(expect(section, spec, name.get_ref(), (name.span().start, value))?)
            }
            Some(table) => {
                for (port, value) in in_order(table) {
                    let whole = format!("{}.{}", name.get_ref(), port.get_ref());
                    let place = (port.span().start, value);
                    expected.push(expect(section, spec, &whole, place)?);
                }
            }
        }
    }
    let rejects = section.all_below("rejects")?;
    let rejects = rejects.map(|all| all.iter().map(|it| reject(it, spec)).collect());
    let rejects: Option<Vec<ExpectedReject>> = rejects.transpose()?;
    if expected.is_empty() && rejects.is_none() {
        return Err(section.missing("expect"));
    }
    Ok(TestSpec { name: section.needed("name")?, input, expect: expected, rejects })
}

/// The records of a source. Those that are texts stay as they are: they may be no JSON.
fn input(
    section: &Section<'_>,
    spec: &Spec,
    (name, value): Entry<'_>,
) -> Result<(String, Vec<String>), Wrong> {
    let key = format!("test.input.{}", on_a_line(name.get_ref()));
    let sources = || spec.sources.iter().map(|node| node.name.as_str());
    if !sources().any(|source| source == name.get_ref()) {
        let message = format!("key `{key}`: there is no such source");
        return Err(wrong(name.span().start, message, Some(meant(name.get_ref(), sources()))));
    }
    let records = list(&key, value)?.iter().map(|record| {
        Ok(match json(&section.context.params, &key, record)? {
            Value::String(text) => text,
            value => value.to_string(),
        })
    });
    Ok((name.get_ref().to_string(), records.collect::<Result<_, Wrong>>()?))
}

/// What a node is to give on.
fn expect(
    section: &Section<'_>,
    spec: &Spec,
    name: &str,
    (byte, value): (usize, &Spanned<DeValue<'_>>),
) -> Result<(Port, Vec<Value>), Wrong> {
    let key = format!("test.expect.{}", on_a_line(name));
    let failed =
        |message: &str, hint: String| wrong(byte, format!("key `{key}`: {message}"), Some(hint));
    let port: Port = name.parse().map_err(|why: String| failed(&why, "name a node".to_owned()))?;
    if !spec.names().any(|node| node == port.node) {
        return Err(failed("there is no such node", meant(&port.node, spec.names())));
    }
    if port.is_aside && !is_block(spec, &port.node) {
        let message = format!("`{}` is no block, and holds nothing back", port.node);
        return Err(failed(&message, format!("leave `.{BLOCKED}` away")));
    }
    let records = list(&key, value)?.iter().map(|record| {
        match json(&section.context.params, &key, record)? {
            Value::String(text) => serde_json::from_str(&text).map_err(|error| {
                let hint = "a record is a table, or a text that is JSON".to_owned();
                let message = format!("key `{key}`: the text is not JSON: {error}");
                wrong(record.span().start, message, Some(hint))
            }),
            value => Ok(value),
        }
    });
    let records = records.collect::<Result<_, Wrong>>()?;
    Ok((port, records))
}

fn reject(section: &Section<'_>, spec: &Spec) -> Result<ExpectedReject, Wrong> {
    let node = section.needed("node")?;
    if !spec.names().any(|known| known == node) {
        let hint = meant(section.plain("node").unwrap_or_default(), spec.names());
        return Err(section.wrong("node", "there is no such node", Some(hint)));
    }
    Ok(ExpectedReject {
        node,
        kind: section.text("kind")?.map(|text| text.value),
        message: section.text("message")?.map(|text| text.value).unwrap_or_default(),
    })
}

fn list<'a>(
    key: &str,
    value: &'a Spanned<DeValue<'a>>,
) -> Result<&'a [Spanned<DeValue<'a>>], Wrong> {
    let list = value.get_ref().as_array().ok_or_else(|| {
        let hint = Some("[{ id = 1 }, '{\"id\": 2}']".to_owned());
        wrong(value.span().start, format!("key `{key}`: a list of records is wanted"), hint)
    })?;
    Ok(list)
}

fn is_block(spec: &Spec, name: &str) -> bool {
    let step = spec.steps.iter().find(|node| node.name == name);
    step.is_some_and(|node| matches!(node.what, StepSpec::Block(_)))
}
