//! Names in databases: how they are written in SQL, and which one may be meant.

use crate::columns::Column;
use std::fmt;
use std::str::FromStr;

/// The name of a table, with its schema where one is given. As it was written: case counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName(Vec<String>);

/// Why a text is no name of a table.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no name of a table: TABLE, SCHEMA.TABLE or, with dots in it, \"TA.BLE\"")]
pub struct NotAName;

impl FromStr for TableName {
    type Err = NotAName;

    /// `table`, `schema.table`; a part in double quotes may hold dots, and `""` is a quote in it.
    fn from_str(text: &str) -> Result<Self, NotAName> {
        let (mut parts, mut rest) = (Vec::new(), text);
        loop {
            let (part, behind) = match rest.strip_prefix('"') {
                Some(quoted) => unquoted(quoted).ok_or(NotAName)?,
                None => {
                    let end = rest.find('.').unwrap_or(rest.len());
                    (rest[..end].to_owned(), &rest[end..])
                }
            };
            if part.is_empty() || part.contains('\0') {
                return Err(NotAName);
            }
            parts.push(part);
            match behind.strip_prefix('.') {
                Some(behind) => rest = behind,
                None if behind.is_empty() && parts.len() <= 2 => return Ok(TableName(parts)),
                None => return Err(NotAName),
            }
        }
    }
}

/// The text up to the closing quote, and what stands behind that.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"')?;
        part += &rest[..end];
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(behind) => {
                part.push('"');
                rest = behind;
            }
            None => return Some((part, rest)),
        }
    }
}

impl TableName {
    /// As it is written in SQL.
    pub fn sql(&self) -> String {
        let parts: Vec<String> = self.0.iter().map(|part| quoted(part)).collect();
        parts.join(".")
    }

    /// Its schema, where one is given, and its name in that.
    pub fn parts(&self) -> (Option<&str>, &str) {
        match &self.0[..] {
            [schema, table] => (Some(schema), table),
            parts => (None, &parts[0]),
        }
    }
}

/// For people: without quotes.
impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// A name as it is written in SQL.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names as they are written in SQL, one after the other.
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(quoted).collect();
    names.join(", ")
}

/// What is said of a name that there isn't: which one may be meant, or which there are.
pub fn nearest(name: &str, names: &[String]) -> String {
    let near = |other: &&String| distance(&name.to_lowercase(), &other.to_lowercase());
    let most = (name.chars().count() / 3).max(1);
    match names.iter().min_by_key(near) {
        Some(found) if near(&found) <= most => format!("; did you mean `{found}`?"),
        _ if names.is_empty() => "; it has none".to_owned(),
        _ if names.len() <= NAMED_MAX => format!("; it has `{}`", names.join("`, `")),
        _ => String::new(),
    }
}

/// The columns that a record has and a table lacks, if any, in one message.
pub fn missing<'a>(wanted: impl Iterator<Item = &'a str>, there: &[String]) -> Option<String> {
    let missing: Vec<&str> = wanted.filter(|name| !there.iter().any(|it| it == name)).collect();
    match missing[..] {
        [] => None,
        [one] => Some(format!("it has no column `{one}`{}", nearest(one, there))),
        _ => Some(format!("it has no columns `{}`", missing.join("`, `"))),
    }
}

/// A name that two columns have.
pub fn named_twice(columns: &[Column]) -> Option<&str> {
    let mut names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

/// What is said of that.
pub fn twice(name: &str) -> String {
    format!("the query gives two columns that are called `{name}`: give one another name, with AS")
}

/// More names than this are no help.
const NAMED_MAX: usize = 8;

/// The line of a query that is wrong, with a mark below the place: so many characters from the start.
pub fn marked(query: &str, place: usize) -> String {
    let before: String = query.chars().take(place).collect();
    let line_start = before.rfind('\n').map_or(0, |line_feed| line_feed + 1);
    let line = query[line_start..].lines().next().unwrap_or_default();
    let (line, column) = excerpt(line, before[line_start..].chars().count());
    let number = format!("    line {}: ", before.matches('\n').count() + 1);
    format!("\n{number}{line}\n{}^", " ".repeat(number.len() + column))
}

/// How much of a line is shown before and behind a place in it.
const EXCERPT_CHARS: usize = 60;

/// A line as far as it is near a column, and the column in that.
fn excerpt(line: &str, column: usize) -> (String, usize) {
    let start = column.saturating_sub(EXCERPT_CHARS);
    let near = line.chars().skip(start).take(2 * EXCERPT_CHARS);
    let near = near.map(|c| if c.is_control() { ' ' } else { c }).collect();
    (near, column - start)
}

/// How many characters differ: inserted, left out or changed (Levenshtein).
pub fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_table_is_written_in_sql_as_it_was_given() {
        for (text, sql) in [
            ("iris", r#""iris""#),
            ("Sales.Order Lines", r#""Sales"."Order Lines""#),
            (r#""a.b"."c""d""#, r#""a.b"."c""d""#),
            (r#"x;drop table y"#, r#""x;drop table y""#),
            (r#"a"b"#, r#""a""b""#),
            ("ü", r#""ü""#),
        ] {
            assert_eq!(
                text.parse::<TableName>().map(|name| name.sql()),
                Ok(sql.to_owned()),
                "{text}"
            );
        }
        for text in ["", ".", "a.", ".a", "a.b.c", "\"a", "\"a\"b", "\"\"", "a\0"] {
            assert_eq!(text.parse::<TableName>(), Err(NotAName), "{text:?}");
        }
    }

    #[test]
    fn the_name_that_may_be_meant_is_told() {
        let names = ["iris", "Orders", "order_lines"].map(str::to_owned);
        assert_eq!(nearest("irsi", &names), "; it has `iris`, `Orders`, `order_lines`");
        assert_eq!(nearest("iri", &names), "; did you mean `iris`?");
        assert_eq!(nearest("ORDERS", &names), "; did you mean `Orders`?");
        assert_eq!(nearest("orderlines", &names), "; did you mean `order_lines`?");
        assert_eq!(nearest("x", &[]), "; it has none");
        assert_eq!(nearest("x", &vec!["table".to_owned(); 9]), "");
    }

    #[test]
    fn the_place_in_a_query_is_marked() {
        let query = "select a\nfrom\tü where\n";
        assert_eq!(marked(query, 16), "\n    line 2: from ü where\n                   ^");
        assert_eq!(marked("x", 9), "\n    line 1: x\n             ^");
        let long = format!("{}X{}", "a".repeat(100), "b".repeat(100));
        let (line, column) = excerpt(&long, 100);
        assert_eq!((line.chars().nth(column), line.chars().count()), (Some('X'), 120));
    }

    #[test]
    fn columns_that_a_table_lacks_are_named() {
        let there = ["id", "species"].map(str::to_owned);
        let missing = |wanted: &[&str]| missing(wanted.iter().copied(), &there);
        assert_eq!(missing(&["id", "species"]), None);
        let told = "it has no column `Species`; did you mean `species`?";
        assert_eq!(missing(&["Species"]).unwrap(), told);
        assert_eq!(missing(&["a", "id", "b"]).unwrap(), "it has no columns `a`, `b`");
    }
}
