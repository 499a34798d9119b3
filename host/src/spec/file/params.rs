//! The parameters of a pipeline file: what `${NAME}` in its texts stands for, and jq's `$params`.
//!
//! `--set` goes before the environment, that before the defaults in `[params]`, and those before one
//! in the text itself. What comes from outside may be a secret: it is in no message.

use super::Settings;
use super::section::{json, said, tables_of};
use crate::toml_text::{Unclosed, Wrong, expand, meant, on_a_line, wrong};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What the texts of a file may be given.
pub(super) struct Params<'a> {
    settings: &'a Settings<'a>,
    /// Those of `[params]`, with the value that goes before all others.
    values: Map<String, Value>,
    /// Those of them that are not as they stand in the file.
    from_outside: BTreeSet<String>,
    /// All names in `[params]`, also while it is read.
    names: Vec<String>,
    /// The names that texts asked for.
    asked: RefCell<BTreeSet<String>>,
}

/// Why a text can't be: what is wrong, and what to do.
#[derive(Debug)]
pub(super) struct Why {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl From<Unclosed> for Why {
    fn from(unclosed: Unclosed) -> Self {
        let hint = Some("a `${` that is meant so is written `$${`".to_owned());
        Why { message: unclosed.into(), hint }
    }
}

impl<'a> Params<'a> {
    /// Those of a file.
    pub(super) fn read(
        params: Option<&Spanned<DeValue<'_>>>,
        settings: &'a Settings<'a>,
    ) -> Result<Self, Wrong> {
        let (values, from_outside, names, asked) = Default::default();
        let mut all = Params { settings, values, from_outside, names, asked };
        let Some(params) = params else { return Ok(all) };
        let entries = tables_of("params", params)?;
        all.names = entries.iter().map(|(name, _)| name.get_ref().to_string()).collect();
        for (name, default) in entries {
            let (byte, name) = (name.span().start, name.get_ref().as_ref());
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                || !name.chars().all(fits)
            {
                let hint = "a letter or `_`, then letters, digits, `_`";
                let message = format!("no parameter can be called `{}`", on_a_line(name));
                return Err(wrong(byte, message, Some(hint.to_owned())));
            }
            let key = format!("params.{name}");
            let value = match all.given(name) {
                None => json(&all, &key, default)?,
                Some((from, text)) => of_type(text, default.get_ref()).map_err(|wanted| {
                    let message = format!(
                        "key `{key}`: {from} gives it what is no {wanted}, as its default is"
                    );
                    wrong(byte, message, Some(format!("give it a {wanted}")))
                })?,
            };
            if all.given(name).is_some() || has_parameter(default.get_ref()) {
                all.from_outside.insert(name.to_owned());
            }
            all.values.insert(name.to_owned(), value);
        }
        Ok(all)
    }

    /// What `--set` or the environment gives for a parameter that has a default.
    fn given(&self, name: &str) -> Option<(&'static str, String)> {
        let set = self.settings.set.get(name).map(|text| ("--set", text.clone()));
        set.or_else(|| {
            let held = (self.settings.variables)(name).filter(|held| !held.is_empty());
            held.map(|text| ("the environment", text))
        })
    }

    /// A text with its parameters in place.
    pub(super) fn expand(&self, text: &str) -> Result<String, Why> {
        expand(text, |name, default| {
            self.asked.borrow_mut().insert(name.to_owned());
            match self.values.get(name) {
                Some(Value::String(text)) => return Ok(text.clone()),
                Some(Value::Array(_) | Value::Object(_)) => {
                    let message = format!("the parameter `{name}` is a list or a table");
                    let hint = "only jq can make use of one: $params".to_owned();
                    return Err(Why { message, hint: Some(hint) });
                }
                Some(value) => return Ok(value.to_string()),
                None => {}
            }
            if let Some(text) = self.settings.set.get(name) {
                return Ok(text.clone());
            }
            let held = (self.settings.variables)(name);
            let held = held.filter(|held| default.is_none() || !held.is_empty());
            held.or_else(|| default.map(str::to_owned)).ok_or_else(|| self.unknown(name))
        })
    }

    fn unknown(&self, name: &str) -> Why {
        let name = on_a_line(name);
        let message =
            format!("there is no parameter `{name}`, neither here nor in the environment");
        let set = self.settings.set.keys().map(String::as_str);
        let known = self.names.iter().map(String::as_str).chain(set);
        let near = Some(meant(&name, known)).filter(|meant| meant.starts_with("did you"));
        let hint = match near {
            _ if self.names.contains(&name) => {
                "a default can only use those that stand above it".to_owned()
            }
            Some(near) => near,
            None => format!("give it a value, --set {name}=…, or a default: ${{{name}:-…}}"),
        };
        Why { message, hint: Some(hint) }
    }

    /// What jq's `$params` are where a node has these of its own, and which of them are from outside.
    pub(super) fn with(
        &self,
        own: Map<String, Value>,
        written: Option<&DeTable<'_>>,
    ) -> (Map<String, Value>, BTreeSet<String>) {
        let (mut params, mut given) = (self.values.clone(), self.from_outside.clone());
        params.extend(own);
        for (name, value) in written.into_iter().flatten() {
            match has_parameter(value.get_ref()) {
                true => given.insert(name.get_ref().to_string()),
                false => given.remove(name.get_ref().as_ref()),
            };
        }
        (params, given)
    }

    /// Whatever was set and nothing in the file knows. To be asked when all was read.
    pub(super) fn refuse_unused(&self) -> Result<(), Why> {
        let asked = self.asked.borrow();
        let known: BTreeSet<&str> = self.names.iter().chain(&*asked).map(String::as_str).collect();
        let Some(name) = self.settings.set.keys().find(|name| !known.contains(name.as_str()))
        else {
            return Ok(());
        };
        let hint = match known.is_empty() {
            true => "it has no parameters: [params] names them".to_owned(),
            false => meant(name, known),
        };
        let message = format!("nothing in it asks for the parameter `{}`", on_a_line(name));
        Err(Why { message: format!("--set: {message}"), hint: Some(hint) })
    }
}

/// Whether a parameter stands in it.
fn has_parameter(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::String(text) => {
            let mut is_asked = false;
            let ended = expand(text, |_, _| {
                is_asked = true;
                Ok::<_, String>(String::new())
            });
            is_asked || ended.is_err()
        }
        DeValue::Array(list) => list.iter().any(|it| has_parameter(it.get_ref())),
        DeValue::Table(table) => table.iter().any(|(_, it)| has_parameter(it.get_ref())),
        _ => false,
    }
}

/// What a text means in place of this default; or what it should have been.
fn of_type(text: String, default: &DeValue<'_>) -> Result<Value, &'static str> {
    let wanted = said(default);
    let read = || serde_json::from_str::<Value>(&text).ok();
    let value = match default {
        DeValue::String(_) | DeValue::Datetime(_) => return Ok(Value::String(text)),
        DeValue::Integer(_) | DeValue::Float(_) => read().filter(Value::is_number),
        DeValue::Boolean(_) => read().filter(Value::is_boolean),
        DeValue::Array(_) => read().filter(Value::is_array),
        DeValue::Table(_) => read().filter(Value::is_object),
    };
    value.ok_or(wanted)
}
