//! A file of services: TOML, a table for each, whose values may be taken from the environment.
//!
//! ```toml
//! trust = "trust.toml" # which plugins may be loaded, beside this file
//!
//! [lake]
//! kind = "s3"
//! bucket = "flowers"
//! endpoint = "${ENDPOINT:-http://127.0.0.1:9000}"
//! secret = "${LAKE_SECRET}"
//! ```
//!
//! The trap: such a file may hold secrets, and a parser's own words quote it. So what is wrong with
//! it is told by file, line and key, and no value is.

use super::ServicesError;
use super::kinds::{Definition, KNOWN, Kind};
use crate::storage::secret::Secret;
use crate::toml_text::{self, Variables, Wrong, list, meant, on_a_line, wrong};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The only key that is of no service.
const TRUST: &str = "trust";

/// What a file of services says.
#[derive(Debug, Default)]
pub struct Told {
    /// The services, by name.
    pub named: BTreeMap<String, Definition>,
    /// The file that says which plugins may be loaded.
    pub trust: Option<PathBuf>,
}

/// Reads a file of services.
pub fn read(path: &Path, variables: Variables<'_>) -> Result<Told, ServicesError> {
    let text = fs::read_to_string(path).map_err(|error| {
        ServicesError::new(format!("the services file `{}` can't be read: {error}", path.display()))
    })?;
    let mut told = parse(&text, variables).map_err(|wrong| {
        let (line, what) = (wrong.line(&text), &wrong.message);
        let message = format!("services file `{}`, line {line}: {what}", path.display());
        ServicesError { message, hint: wrong.hint }
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    told.trust = told.trust.map(|trust| folder.join(trust));
    Ok(told)
}

fn parse(text: &str, variables: Variables<'_>) -> Result<Told, Wrong> {
    let table = toml_text::parse(text)?;
    let (mut services, mut trust) = (BTreeMap::new(), None);
    let mut tables: Vec<_> = table.iter().collect();
    tables.sort_by_key(|(name, _)| name.span().start); // what is wrong first is told
    for (name, value) in tables {
        let byte = name.span().start;
        if let (TRUST, Some(path)) = (name.get_ref().as_ref(), value.get_ref().as_str()) {
            let path = expand(path, variables);
            let path = path.map_err(|why| wrong(byte, format!("key `{TRUST}`: {why}"), None))?;
            trust = Some(PathBuf::from(path));
            continue;
        }
        let Some(options) = value.get_ref().as_table() else {
            let message = format!("`{}` stands in no service", name.get_ref());
            return Err(wrong(byte, message, Some("begin with a table: [NAME]".to_owned())));
        };
        let lower = name.get_ref().to_ascii_lowercase();
        let definition = definition(name, options, variables)?;
        if services.insert(lower, definition).is_some() {
            return Err(wrong(byte, format!("there are two services `{}`", name.get_ref()), None));
        }
    }
    Ok(Told { named: services, trust })
}

fn definition(
    name: &Spanned<std::borrow::Cow<'_, str>>,
    table: &DeTable<'_>,
    variables: Variables<'_>,
) -> Result<Definition, Wrong> {
    let (byte, name) = (name.span().start, name.get_ref().as_ref());
    let fits = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(fits) {
        let hint = "a letter, then letters, digits, `-`, `_`, `.`, `+`: it is a URL's scheme";
        return Err(wrong(byte, format!("no service can be called `{name}`"), Some(hint.into())));
    }
    let kinds = || KNOWN.iter().map(|known| known.name);
    let scheme = Kind::of_scheme(&name.to_ascii_lowercase());
    let kind = match (table.get("kind"), scheme) {
        (Some(kind), _) => {
            let place = kind.span().start;
            let text = value(name, "kind", kind, variables)?;
            let known = Kind::named(text.reveal());
            known.ok_or_else(|| {
                let message = format!("key `{name}.kind`: there is no such kind of service");
                wrong(place, message, Some(format!("known are {}", list(kinds()))))
            })?
        }
        (None, Some(kind)) => kind,
        (None, None) => {
            let hint = Some(format!("kind = \"s3\"; known are {}", list(kinds())));
            return Err(wrong(byte, format!("`{name}` has no key `kind`"), hint));
        }
    };
    if scheme.is_some_and(|scheme| scheme != kind) || name.eq_ignore_ascii_case("file") {
        let message = format!("`{name}` is the name of another kind of service");
        return Err(wrong(byte, message, Some("give it a name of its own".to_owned())));
    }
    let mut definition = Definition::new(kind);
    for (key, spanned) in table.iter().filter(|(key, _)| key.get_ref() != "kind") {
        let (place, key) = (key.span().start, key.get_ref().as_ref());
        let options = kind.known().options;
        if !options.contains(&key) {
            let message =
                format!("key `{name}.{key}`: a service of kind `{}` has none", kind.known().name);
            return Err(wrong(place, message, Some(meant(key, options.iter().copied()))));
        }
        definition.options.insert(key.to_owned(), value(name, key, spanned, variables)?);
    }
    if kind == Kind::Local && definition.option("root").is_none() {
        return Err(wrong(byte, format!("`{name}` has no key `root`"), None));
    }
    Ok(definition)
}

/// A value as text, `${…}` replaced.
fn value(
    name: &str,
    key: &str,
    value: &Spanned<DeValue<'_>>,
    variables: Variables<'_>,
) -> Result<Secret, Wrong> {
    let place = value.span().start;
    match value.get_ref() {
        DeValue::Boolean(it) => return Ok(Secret::new(it.to_string())),
        DeValue::Integer(it) => return Ok(Secret::new(it.as_str())),
        DeValue::String(text) => expand(text, variables).map(Secret::new),
        _ => Err("it is neither text nor number nor true nor false".to_owned()),
    }
    .map_err(|why| wrong(place, format!("key `{name}.{key}`: {why}"), None))
}

/// `${NAME}` and `${NAME:-default}` replaced by what the environment holds. An empty variable is as
/// one that is not set, where there is a default: as shells do it.
fn expand(text: &str, variables: Variables<'_>) -> Result<String, String> {
    toml_text::expand(text, |variable, default| {
        let held = variables(variable).filter(|held| default.is_none() || !held.is_empty());
        held.or_else(|| default.map(str::to_owned))
            .ok_or_else(|| format!("the environment has no variable `{}`", on_a_line(variable)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(name: &str) -> Option<String> {
        match name {
            "SECRET" => Some("hush".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn values_may_come_from_the_environment() {
        let expand = |text| expand(text, &variables);
        for (text, expected) in [
            ("plain $5 {x}", "plain $5 {x}"),
            ("${SECRET}", "hush"),
            ("a-${SECRET}-${SECRET}", "a-hush-hush"),
            ("${MISSING:-here}", "here"),
            ("${EMPTY:-here}", "here"),
            ("${EMPTY}", ""),
            ("${MISSING:-}", ""),
            ("${SECRET:-here}", "hush"),
        ] {
            assert_eq!(expand(text).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(expand("${MISSING}").unwrap_err(), "the environment has no variable `MISSING`");
        assert!(expand("${SECRET").is_err());
    }

    #[test]
    fn a_service_has_a_kind_and_its_options() {
        let text = "[lake]\nkind = 's3'\nbucket='b'\nsecret='${SECRET}'\nanonymous=false\n[s3]\nregion='x'\n";
        let services = parse(text, &variables).unwrap().named;
        let lake = &services["lake"];
        assert_eq!(lake.kind, Kind::S3);
        assert_eq!(lake.option("secret"), Some("hush"));
        assert_eq!(lake.option("anonymous"), Some("false"));
        assert_eq!(services["s3"].option("region"), Some("x"));
        assert!(!format!("{services:?}").contains("hush"));
    }

    #[test]
    fn the_file_of_trust_lies_beside_the_file_unless_it_says_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.toml");
        for (text, expected) in [
            ("", None),
            ("trust = 't.toml'\n[lake]\nkind='s3'", Some(folder.path().join("t.toml"))),
            ("trust = '/${SECRET}.toml'", Some("/hush.toml".into())),
            ("[trust]\nkind = 's3'", None), // a service may be called so
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(read(&path, &variables).unwrap().trust, expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_line_and_key_and_without_values() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.toml");
        for (text, line, message, hint) in [
            ("[a]\nkind = 's3'\nbuket = 'hush'", 3, "`a.buket`", "`bucket`"),
            ("[a]\nkind = 's4'", 2, "`a.kind`", "local, s3"),
            ("[a]\nbucket = 'x'", 1, "no key `kind`", "s3"),
            ("\n[a]\nkind = 's3'\nsecret = '${MISSING}'", 4, "`a.secret`: the env", ""),
            ("[a]\nkind = 's3'\nkey = ['hush']", 3, "`a.key`", ""),
            ("a = 'hush'", 1, "`a` stands in no service", "[NAME]"),
            ("trust = 5", 1, "`trust` stands in no service", ""),
            ("trust = '${MISSING}'", 1, "`trust`: the env", ""),
            ("[a]\nkey = 'hush\n", 2, "it is no TOML", ""),
            ("[s3]\nkind = 'gs'", 1, "another kind", ""),
            ("['a b']\nkind = 's3'", 1, "can be called", ""),
            ("[a]\nkind = 'local'", 1, "no key `root`", ""),
            ("[a]\nkind='http'\n[A]\nkind='http'", 3, "two services", ""),
        ] {
            fs::write(&path, text).unwrap();
            let error = read(&path, &variables).unwrap_err();
            let whole = format!("{error:?}");
            assert!(error.message.contains(&format!("line {line}: ")), "{text}: {whole}");
            assert!(error.message.contains(message), "{text}: {whole}");
            assert!(error.hint.unwrap_or_default().contains(hint), "{text}: {whole}");
            assert!(!whole.contains("hush"), "{text}: {whole}");
        }
    }
}
