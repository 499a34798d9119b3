//! What files have in common that people write in TOML: services, pipelines.
//!
//! What is wrong with one is told by its place, the key and what to do. A parser's own words quote the
//! text, and there may be secrets in it: no value is quoted that did not stand there word for word.

use crate::storage::names::distance;
use toml::de::DeTable;

/// What a variable of the environment holds.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What is wrong with a file, and where.
#[derive(Debug)]
pub struct Wrong {
    /// Where, in bytes from its beginning.
    pub byte: usize,
    /// What is wrong, and with which key.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// The place of what is wrong with a file but stands nowhere in it.
pub const NOWHERE: usize = usize::MAX;

/// What is wrong, and where.
pub fn wrong(byte: usize, message: impl Into<String>, hint: Option<String>) -> Wrong {
    Wrong { byte, message: message.into(), hint }
}

impl Wrong {
    /// The line that it is on.
    pub fn line(&self, text: &str) -> usize {
        line(text, self.byte)
    }
}

/// The line that a byte of a text is on.
pub fn line(text: &str, byte: usize) -> usize {
    1 + text.bytes().take(byte).filter(|&byte| byte == b'\n').count()
}

/// A text as TOML.
pub fn parse(text: &str) -> Result<DeTable<'_>, Wrong> {
    let table = DeTable::parse(text).map_err(|error| {
        let byte = error.span().map_or(0, |span| span.start);
        wrong(byte, format!("it is no TOML: {}", error.message()), None)
    })?;
    Ok(table.into_inner())
}

/// That a `${` has no end.
#[derive(Debug)]
pub struct Unclosed;

impl From<Unclosed> for String {
    fn from(Unclosed: Unclosed) -> Self {
        "a `${` has no `}`".to_owned()
    }
}

/// `${NAME}` and `${NAME:-default}` replaced by what `value_of` says, which is asked with both. `$${` is
/// a `${` that is meant so.
pub fn expand<E: From<Unclosed>>(
    text: &str,
    mut value_of: impl FnMut(&str, Option<&str>) -> Result<String, E>,
) -> Result<String, E> {
    let (mut expanded, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            expanded += before;
            expanded += "${";
            rest = behind;
            continue;
        }
        expanded += before;
        let (inner, after) = behind.split_once('}').ok_or(Unclosed)?;
        expanded += &match inner.split_once(":-") {
            Some((name, default)) => value_of(name, Some(default)),
            None => value_of(inner, None),
        }?;
        rest = after;
    }
    Ok(expanded + rest)
}

/// A text that [`expand`] leaves as this one is.
pub fn escaped(text: &str) -> String {
    text.replace("${", "$${")
}

/// What stands for a variable's name may be a mistake, and long.
pub fn on_a_line(text: &str) -> String {
    text.chars().take(40).filter(|c| !c.is_control()).collect()
}

/// Which of the known names may be meant, or which there are.
pub fn meant<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let near = known.iter().map(|other| (distance(name, other), other));
    // Two that have no letter in common are not near, however short they are.
    let is_near = |distance, other: &str| distance <= 2 && distance < name.len().max(other.len());
    let near = near.filter(|(distance, other)| is_near(*distance, other));
    match near.min_by_key(|(distance, _)| *distance) {
        Some((_, near)) => format!("did you mean `{near}`?"),
        None => format!("known are {}", list(known)),
    }
}

/// Names, one after the other.
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_replaced_unless_it_is_escaped() {
        let named = |name: &str, default: Option<&str>| match (name, default) {
            ("a", _) => Ok("A".to_owned()),
            (_, Some(default)) => Ok(default.to_owned()),
            _ => Err(format!("no {name}")),
        };
        for (text, expected) in [
            ("plain $5 {x} $$", Ok("plain $5 {x} $$")),
            ("-${a}-${a}", Ok("-A-A")),
            ("${b:-c}${b:-}", Ok("c")),
            ("$${a}${a}", Ok("${a}A")),
            ("$$${a}", Ok("$${a}")),
            ("$$ ${a} $$", Ok("$$ A $$")),
            ("$${", Ok("${")),
            ("${b}", Err("no b")),
            ("${a", Err("a `${` has no `}`")),
        ] {
            let expanded = expand(text, named);
            assert_eq!(expanded.as_deref().map_err(String::as_str), expected, "{text}");
        }
    }

    #[test]
    fn a_text_that_is_escaped_comes_back_as_it_was() {
        for text in ["", "${a}", "$${a", "a$$${b}${", "$", "{$}"] {
            let back = expand(&escaped(text), |name, _| Err(format!("asked for {name}")));
            assert_eq!(back.as_deref(), Ok(text));
        }
    }

    #[test]
    fn the_name_that_may_be_meant_is_told_or_all() {
        assert_eq!(meant("frm", ["type", "from"]), "did you mean `from`?");
        assert_eq!(meant("stop", ["source", "step"]), "did you mean `step`?");
        assert_eq!(meant("x", ["jq", "log"]), "known are jq, log");
    }
}
