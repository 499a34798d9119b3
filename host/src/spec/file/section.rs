//! A table of a pipeline file: which keys it has, and what stands there, each by its type.
//!
//! What may stand there, [`keys`](super::keys) says. A value is asked for when all keys are known to be
//! of the right type, so that whoever asks has little left to refuse.

use super::keys::{Key, Keys, STEP_TYPES, Takes};
use super::params::{Params, Why};
use crate::storage::location::Remote;
use crate::toml_text::{Wrong, list, meant, on_a_line, wrong};
use serde_json::{Map, Number, Value};
use std::borrow::Cow;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What all tables of a file share.
pub(super) struct Context<'a> {
    pub(super) params: Params<'a>,
    /// What paths are relative to.
    pub(super) folder: &'a Path,
}

/// A table.
pub(super) struct Section<'a> {
    pub(super) context: &'a Context<'a>,
    /// Its own key: `steps.score`.
    pub(super) key: String,
    /// Where it begins.
    pub(super) byte: usize,
    table: &'a DeTable<'a>,
    keys: Vec<Keys>,
}

/// A name in a table, and what stands there.
pub(super) type Entry<'a> = (&'a Spanned<Cow<'a, str>>, &'a Spanned<DeValue<'a>>);

/// A text with its parameters in place, and as it stands in the file, to be told of.
pub(super) struct Text {
    pub(super) value: String,
    pub(super) shown: String,
}

impl Text {
    /// Whether it is not the same in each run, and so may hold a secret.
    pub(super) fn has_parameters(&self) -> bool {
        self.shown.contains("${")
    }
}

/// The entries of a table in the order of the file.
pub(super) fn in_order<'a>(table: &'a DeTable<'a>) -> Vec<Entry<'a>> {
    let mut entries: Vec<Entry<'a>> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

/// The entries of what is to be a table.
pub(super) fn tables_of<'a>(
    key: &str,
    value: &'a Spanned<DeValue<'a>>,
) -> Result<Vec<Entry<'a>>, Wrong> {
    match value.get_ref().as_table() {
        Some(table) => Ok(in_order(table)),
        None => {
            let name = key.rsplit('.').next().unwrap_or(key);
            let message =
                format!("key `{key}`: a table is wanted, and this is a {}", said(value.get_ref()));
            let hint = match key {
                "sources" | "steps" | "sinks" => format!("begin with [{name}.NAME]"),
                _ => format!("begin with [{key}]"),
            };
            Err(wrong(value.span().start, message, Some(hint)))
        }
    }
}

/// What a value is, for people.
pub(super) fn said(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "date",
        DeValue::Array(_) => "list",
        DeValue::Table(_) => "table",
    }
}

impl<'a> Section<'a> {
    /// Refuses keys that there are none of, what is of another type, and that one is missing.
    pub(super) fn open(
        context: &'a Context<'a>,
        (key, byte): (&str, usize),
        table: &'a DeTable<'a>,
        keys: Vec<Keys>,
    ) -> Result<Self, Wrong> {
        let section = Section { context, key: key.to_owned(), byte, table, keys };
        for (name, value) in in_order(table) {
            let known = section.keys().find(|known| known.name == name.get_ref());
            let known = known.ok_or_else(|| section.unknown(name.span().start, name.get_ref()))?;
            section.check(known, value)?;
        }
        let is_missing = |key: &&Key| key.is_needed && !table.contains_key(key.name);
        let missing = section.keys().find(is_missing);
        missing.map_or(Ok(()), |missing| Err(section.missing(missing.name)))?;
        Ok(section)
    }

    fn keys(&self) -> impl Iterator<Item = &'static Key> {
        self.keys.iter().copied().flatten().copied().flatten()
    }

    fn known(&self, name: &str) -> &'static Key {
        self.keys().find(|known| known.name == name).expect("the table of keys has all")
    }

    fn unknown(&self, byte: usize, name: &str) -> Wrong {
        let name = on_a_line(name);
        let message = format!("key `{}.{name}`: there is no such key here", self.key);
        let is_of = |keys: Keys| keys.iter().copied().flatten().any(|key| key.name == name);
        let near = meant(&name, self.keys().map(|known| known.name));
        let hint = match STEP_TYPES.iter().find(|other| is_of(other.keys)) {
            Some(other) if self.key.starts_with("steps.") && !near.starts_with("did you") => {
                format!("it is one of steps of type `{}`; {near}", other.name)
            }
            _ => near,
        };
        wrong(byte, message, Some(hint))
    }

    /// That a key is to be there.
    pub(super) fn missing(&self, name: &str) -> Wrong {
        let message = format!("`{}` has no key `{name}`", self.key);
        wrong(self.byte, message, Some(self.known(name).example.to_owned()))
    }

    fn check(&self, key: &Key, value: &Spanned<DeValue<'_>>) -> Result<(), Wrong> {
        let it = value.get_ref();
        let is_text = it.is_str();
        let is_parameter = it.as_str().is_some_and(|text| text.contains("${"));
        let is_list = it.as_array().is_some_and(|list| list.iter().all(|it| it.get_ref().is_str()));
        let (fits, wanted) = match &key.takes {
            Takes::Text => (is_text, "a text"),
            Takes::OneOf(names) => return self.one_of(key, value, &names()),
            Takes::Texts => (is_text || is_list, "a text or a list of texts"),
            Takes::List => (is_list, "a list of texts"),
            Takes::Flag => (it.is_bool() || is_parameter, "true or false"),
            Takes::Whole(..) => (it.is_integer() || is_parameter, "a whole number"),
            Takes::Number(..) => (it.is_integer() || it.is_float() || is_parameter, "a number"),
            Takes::WholeOrText => (it.is_integer() || is_text, "a whole number or a text"),
            Takes::Table(_) | Takes::Any | Takes::Types | Takes::Records => {
                (it.is_table(), "a table")
            }
            Takes::Json => (it.is_table() || is_text, "a table, or JSON as a text"),
            Takes::Tables(_) => {
                let tables = it.as_array();
                let are = tables.is_some_and(|list| list.iter().all(|it| it.get_ref().is_table()));
                (are, "a list of tables")
            }
        };
        if fits {
            return Ok(());
        }
        let message = match it {
            DeValue::Array(_) if wanted.contains("list") => format!("{wanted} is wanted"),
            // It is one, but not a whole one.
            DeValue::Float(_) if wanted.contains("number") => {
                format!("{wanted} is wanted, and this is another")
            }
            _ => format!("{wanted} is wanted, and this is {}", article(said(it))),
        };
        Err(self.wrong(key.name, message, Some(key.example.to_owned())))
    }

    fn one_of(
        &self,
        key: &Key,
        value: &Spanned<DeValue<'_>>,
        names: &[&'static str],
    ) -> Result<(), Wrong> {
        let Some(text) = value.get_ref().as_str() else {
            let is = article(said(value.get_ref()));
            let message = format!("a text is wanted, and this is {is}");
            return Err(self.wrong(
                key.name,
                message,
                Some(format!("known are {}", list(names.iter().copied()))),
            ));
        };
        // Which type a step is of, no parameter says.
        let value = match key.name {
            "type" => text.to_owned(),
            _ => self.expand(key.name, text)?.value,
        };
        if names.contains(&value.as_str()) {
            return Ok(());
        }
        let message = format!("there is no `{}`", on_a_line(text));
        let hint = match text.contains("${") {
            true => format!("known are {}", list(names.iter().copied())),
            false => meant(text, names.iter().copied()),
        };
        Err(self.wrong(key.name, message, Some(hint)))
    }

    /// What is wrong with a key.
    pub(super) fn wrong(
        &self,
        name: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Wrong {
        let value = self.table.get(name).map_or(self.byte, |value| value.span().start);
        wrong(value, format!("key `{}.{name}`: {}", self.key, message.into()), hint)
    }

    /// Whether there is such a key.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a DeValue<'a>> {
        debug_assert!(self.keys().any(|known| known.name == name), "{}.{name}", self.key);
        self.table.get(name).map(Spanned::get_ref)
    }

    fn expand(&self, name: &str, text: &str) -> Result<Text, Wrong> {
        let expanded = self.context.params.expand(text);
        let value = expanded.map_err(|Why { message, hint }| self.wrong(name, message, hint))?;
        Ok(Text { value, shown: on_a_line(text) })
    }

    /// A text, as it stands there.
    pub(super) fn plain(&self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(DeValue::as_str)
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Result<Option<Text>, Wrong> {
        self.plain(name).map(|text| self.expand(name, text)).transpose()
    }

    /// A text that must be there.
    pub(super) fn needed(&self, name: &str) -> Result<String, Wrong> {
        let text = self.text(name)?.ok_or_else(|| self.missing(name))?;
        Ok(text.value)
    }

    /// A text by what it means. `parse`'s words must not quote it.
    pub(super) fn parsed<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Wrong> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        parse(&text.value).map(Some).map_err(|why| {
            let message = format!("it can't be `{}`: {why}", text.shown);
            self.wrong(name, message, Some(self.known(name).example.to_owned()))
        })
    }

    /// A list of texts, or one.
    pub(super) fn list(&self, name: &str) -> Result<Option<Vec<Text>>, Wrong> {
        let texts: Vec<&str> = match self.get(name) {
            None => return Ok(None),
            Some(DeValue::String(text)) => vec![text],
            Some(value) => {
                let list = value.as_array().into_iter().flatten();
                list.filter_map(|it| it.get_ref().as_str()).collect()
            }
        };
        texts.into_iter().map(|text| self.expand(name, text)).collect::<Result<_, _>>().map(Some)
    }

    /// A list of names.
    pub(super) fn names(&self, name: &str) -> Result<Vec<String>, Wrong> {
        let names = self.list(name)?.unwrap_or_default();
        Ok(names.into_iter().map(|text| text.value).collect())
    }

    /// True or false.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Wrong> {
        match self.get(name) {
            Some(DeValue::Boolean(flag)) => Ok(Some(*flag)),
            _ => self.parsed(name, |text| {
                text.parse().map_err(|_| "true or false is wanted".to_owned())
            }),
        }
    }

    /// A whole number.
    pub(super) fn whole(&self, name: &str) -> Result<Option<u64>, Wrong> {
        let Takes::Whole(least, most) = self.known(name).takes else {
            unreachable!("the table of keys says that it is one");
        };
        let parse = |text: &str, radix| {
            let number = u64::from_str_radix(text, radix).ok();
            let number = number.filter(|number| (least..=most).contains(number));
            number.ok_or_else(|| match most {
                u64::MAX => format!("a whole number from {least} on is wanted"),
                most => format!("a whole number from {least} to {most} is wanted"),
            })
        };
        match self.get(name) {
            Some(DeValue::Integer(it)) => parse(it.as_str(), it.radix())
                .map(Some)
                .map_err(|why| self.wrong(name, why, Some(self.known(name).example.to_owned()))),
            _ => self.parsed(name, |text| parse(text, 10)),
        }
    }

    /// A number.
    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, Wrong> {
        let Takes::Number(least, most) = self.known(name).takes else {
            unreachable!("the table of keys says that it is one");
        };
        let parse = |text: &str| {
            let number = text.parse::<f64>().ok().filter(|it| (least..=most).contains(it));
            number.ok_or_else(|| format!("a number from {least} to {most} is wanted"))
        };
        let written = match self.get(name) {
            Some(DeValue::Integer(it)) => it.as_str(),
            Some(DeValue::Float(it)) => it.as_str(),
            _ => return self.parsed(name, parse),
        };
        let example = self.known(name).example;
        parse(written).map(Some).map_err(|why| self.wrong(name, why, Some(example.to_owned())))
    }

    /// A location, relative to the file.
    pub(super) fn location(&self, name: &str) -> Result<Option<OsString>, Wrong> {
        let text = self.text(name)?.map(|text| self.not_empty(name, text)).transpose()?;
        Ok(text.map(|text| located(self.context.folder, &text.value)))
    }

    /// A path of this machine, relative to the file.
    pub(super) fn path(&self, name: &str) -> Result<Option<PathBuf>, Wrong> {
        let text = self.text(name)?.map(|text| self.not_empty(name, text)).transpose()?;
        Ok(text.map(|text| self.context.folder.join(text.value)))
    }

    /// A list of such paths.
    pub(super) fn paths(&self, name: &str) -> Result<Vec<PathBuf>, Wrong> {
        let texts = self.list(name)?.unwrap_or_default().into_iter();
        let texts = texts.map(|text| self.not_empty(name, text));
        texts.map(|text| Ok(self.context.folder.join(text?.value))).collect()
    }

    /// A path that is there: an empty one would be the folder of the file, which nobody means.
    pub(super) fn not_empty(&self, name: &str, text: Text) -> Result<Text, Wrong> {
        if !text.value.is_empty() {
            return Ok(text);
        }
        let message = match text.has_parameters() {
            true => format!("`{}` is empty", text.shown),
            false => "it is empty".to_owned(),
        };
        Err(self.wrong(name, message, Some(self.known(name).example.to_owned())))
    }

    /// The text in a file.
    pub(super) fn content(&self, name: &str) -> Result<Option<String>, Wrong> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let path = self.context.folder.join(&text.value);
        std::fs::read_to_string(&path).map(Some).map_err(|error| {
            let shown = match text.has_parameters() {
                true => text.shown,
                false => path.display().to_string(),
            };
            let hint = "a path is relative to the folder of the pipeline file".to_owned();
            self.wrong(name, format!("`{shown}` can't be read: {error}"), Some(hint))
        })
    }

    /// A table of anything, as JSON.
    pub(super) fn object(&self, name: &str) -> Result<Map<String, Value>, Wrong> {
        let Some(value) = self.table.get(name).filter(|_| self.has(name)) else {
            return Ok(Map::new());
        };
        match json(&self.context.params, &format!("{}.{name}", self.key), value)? {
            Value::Object(object) => Ok(object),
            _ => unreachable!("it was checked that it is a table"),
        }
    }

    /// The table below a key.
    pub(super) fn below(&self, name: &str) -> Result<Option<Section<'a>>, Wrong> {
        let Takes::Table(keys) = self.known(name).takes else {
            unreachable!("the table of keys says that it is one");
        };
        let Some(value) = self.table.get(name) else { return Ok(None) };
        let table = value.get_ref().as_table().expect("it was checked that it is one");
        let key = format!("{}.{name}", self.key);
        Section::open(self.context, (&key, value.span().start), table, vec![keys]).map(Some)
    }

    /// The tables below a key.
    pub(super) fn all_below(&self, name: &str) -> Result<Option<Vec<Section<'a>>>, Wrong> {
        let Takes::Tables(keys) = self.known(name).takes else {
            unreachable!("the table of keys says that they are some");
        };
        let Some(value) = self.table.get(name) else { return Ok(None) };
        let key = format!("{}.{name}", self.key);
        let tables = value.get_ref().as_array().into_iter().flatten();
        let tables = tables.map(|value| {
            let table = value.get_ref().as_table().expect("it was checked that it is one");
            Section::open(self.context, (&key, value.span().start), table, vec![keys])
        });
        tables.collect::<Result<_, _>>().map(Some)
    }

    /// The entries of the table below a key, with that table's key.
    pub(super) fn entries(&self, name: &str) -> Vec<Entry<'a>> {
        self.get(name).and_then(DeValue::as_table).map(in_order).unwrap_or_default()
    }
}

/// A text that names a place, with its folder where it is relative to that.
pub(super) fn located(folder: &Path, text: &str) -> OsString {
    match Remote::of(text) {
        None if text == "-" => text.into(),
        None => folder.join(text).into(),
        Some(file) if file.scheme() == "sqlite" && !["", ":memory:"].contains(&file.rest()) => {
            let mut located = OsString::from("sqlite:");
            located.push(folder.join(file.rest()));
            located
        }
        Some(_) => text.into(),
    }
}

/// A value as JSON, its texts with their parameters in place.
pub(super) fn json(
    params: &Params<'_>,
    key: &str,
    value: &Spanned<DeValue<'_>>,
) -> Result<Value, Wrong> {
    let failed = |message: &str, hint: Option<String>| {
        wrong(value.span().start, format!("key `{key}`: {message}"), hint)
    };
    Ok(match value.get_ref() {
        DeValue::String(text) => {
            let expanded = params.expand(text);
            Value::String(expanded.map_err(|Why { message, hint }| failed(&message, hint))?)
        }
        DeValue::Datetime(date) => Value::String(date.to_string()),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Integer(it) => {
            let signed = i64::from_str_radix(it.as_str(), it.radix()).map(Number::from);
            let number = signed
                .or_else(|_| u64::from_str_radix(it.as_str(), it.radix()).map(Number::from))
                .map_err(|_| failed("the number has more than 64 bits", None))?;
            Value::Number(number)
        }
        DeValue::Float(it) => {
            let number = it.as_str().parse().ok().and_then(Number::from_f64);
            Value::Number(number.ok_or_else(|| failed("JSON has no such number", None))?)
        }
        DeValue::Array(list) => {
            let values = list.iter().map(|it| json(params, key, it));
            Value::Array(values.collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => {
            let entry = |(name, value): Entry<'_>| {
                let key = format!("{key}.{}", name.get_ref());
                Ok((name.get_ref().to_string(), json(params, &key, value)?))
            };
            Value::Object(in_order(table).into_iter().map(entry).collect::<Result<_, Wrong>>()?)
        }
    })
}

fn article(what: &str) -> String {
    if what == "true or false" { what.to_owned() } else { format!("a {what}") }
}
