//! Why a program is refused: what is wrong, where, and what may be meant.

use super::dialect;
use super::program::PROGRAM_BYTES_MAX;
use crate::storage::names::{marked, nearest};
use jaq_core::compile::Undefined;
use jaq_core::load::{lex, parse};
use std::io;

/// A program that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct JqError {
    /// The line of the program where it is wrong.
    pub line: usize,
    /// The character in that line, from 1.
    pub column: usize,
    /// Where, and what is wrong; then, on lines of their own, the text around it with a mark below.
    message: String,
}

/// How much of what stands in a wrong place is repeated, in characters.
const SHOWN_CHARS: usize = 20;

/// What a program begins with that is made of several files.
const MODULES: [&str; 3] = ["import", "include", "module"];

impl JqError {
    /// `part` lies in `code`.
    fn at(code: &str, part: &str, what: &str) -> Self {
        let before = &code[..place(code, part)];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        let mark = marked(code, before.chars().count());
        let message = format!("line {line}, column {column} of the program: {what}{mark}");
        JqError { line, column, message }
    }

    fn of_all(message: String) -> Self {
        JqError { line: 1, column: 1, message }
    }

    pub(super) fn empty() -> Self {
        JqError::of_all("the program is empty; `.` gives each record on as it is".to_owned())
    }

    pub(super) fn too_long() -> Self {
        let most = PROGRAM_BYTES_MAX / 1024;
        JqError::of_all(format!("the program is longer than {most} KiB; give data in as `$params`"))
    }

    pub(super) fn no_thread(error: &io::Error) -> Self {
        JqError::of_all(format!("there is no thread to compile the program on: {error}"))
    }
}

/// Characters that make no words. The first error is told: others follow from it.
pub(super) fn lexing(code: &str, errors: Vec<lex::Error<&str>>) -> JqError {
    let first = errors.into_iter().next();
    let (expected, found) = first.expect("there is an error where there are no words");
    let what = match expected {
        lex::Expect::Delim(open) => {
            return JqError::at(code, open, &format!("the `{open}` is never closed"));
        }
        lex::Expect::Token => format!("unexpected `{}`", found.chars().next().unwrap_or_default()),
        lex::Expect::Escape => "there is no such escape in a string".to_owned(),
        expected => format!("expected {}", with_article(expected.as_str())),
    };
    JqError::at(code, found, &what)
}

/// Words that make no program.
pub(super) fn parsing(code: &str, errors: Vec<parse::TError<'_, &str>>) -> JqError {
    let begin = code.trim_start();
    if MODULES.iter().any(|word| begin.split(char::is_whitespace).next() == Some(word)) {
        return JqError::at(code, begin, "no modules are loaded: a program is in one piece");
    }
    let errors = errors.into_iter().map(|(expected, found)| {
        let end = &code[code.trim_end().len()..];
        (expected, found.map_or(end, |found| found.as_str()))
    });
    let first = errors.min_by_key(|(_, found)| place(code, found));
    let (expected, found) = first.expect("there is an error where there is no program");
    let expected = match expected {
        parse::Expect::Just(word) => format!("`{word}`"),
        parse::Expect::Nothing => "an operator or the end".to_owned(),
        expected => with_article(expected.as_str()),
    };
    let but = match found.trim() {
        "" => "but the program ends".to_owned(),
        found => format!("and not `{}`", found.chars().take(SHOWN_CHARS).collect::<String>()),
    };
    JqError::at(code, found, &format!("expected {expected}, {but}"))
}

/// Names of nothing.
pub(super) fn compiling<'s>(
    code: &'s str,
    errors: impl Iterator<Item = (&'s str, Undefined)>,
) -> JqError {
    let first = errors.min_by_key(|(name, _)| place(code, name));
    let (name, kind) = first.expect("there is an error where nothing was compiled");
    let what = match (dialect::why_absent(name), kind) {
        (Some(why), _) => format!("there is no `{name}`: {why}"),
        (None, Undefined::Filter(arguments)) => {
            let signature = |name: &str, arguments: usize| format!("{name}/{arguments}");
            let wanted = signature(name, arguments);
            let natives = dialect::funs().map(|(name, args, _)| signature(name, args.len()));
            let defined = dialect::defs().map(|def| signature(def.name, def.args.len()));
            // What is only there for the others to be made of ends like this.
            let known = natives.chain(defined).filter(|name| !name.contains("_/"));
            let near = nearest(&wanted, &known.collect::<Vec<_>>());
            format!("there is no function `{wanted}`{near}")
        }
        (None, Undefined::Var) => format!("there is no variable `{name}`; `$params` is there"),
        (None, kind) => format!("there is no {} `{name}`", kind.as_str()),
    };
    JqError::at(code, name, &what)
}

/// At which byte of the program a part of it begins.
fn place(code: &str, part: &str) -> usize {
    let place = part.as_ptr().addr().saturating_sub(code.as_ptr().addr());
    code.floor_char_boundary(place.min(code.len()))
}

fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}
