//! What the host should think of a JSON text, slow and obvious: the grammar is serde_json's, and the
//! rest goes by the brackets and quotes of a text that is known to be JSON.

use serde::de::IgnoredAny;
use std::collections::HashSet;

/// Deepest nesting that a text in the output may have.
const DEPTH_MAX: usize = 127;

/// Whether a text can stand in a line of output: it is JSON on one line, names no member of an
/// object twice, nests at most 127 deep and holds no half of a surrogate pair.
pub(crate) fn is_sound(text: &str) -> bool {
    is_sound_inside(0, text)
}

/// As above, where so many containers are around it.
pub(crate) fn is_sound_inside(levels: usize, text: &str) -> bool {
    if serde_json::from_str::<IgnoredAny>(text).is_err() || text.contains(['\n', '\r']) {
        return false;
    }
    let mut open: Vec<HashSet<String>> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let mut token = &rest[..first.len_utf8()];
        match first {
            '{' | '[' => open.push(HashSet::new()),
            '}' | ']' => drop(open.pop()),
            '"' => {
                token = string(rest);
                let Ok(content) = serde_json::from_str::<String>(token) else { return false };
                let is_name = rest[token.len()..].trim_start().starts_with(':');
                if is_name && !open.last_mut().is_none_or(|names| names.insert(content)) {
                    return false;
                }
            }
            _ => {}
        }
        if open.len() + levels > DEPTH_MAX {
            return false;
        }
        rest = &rest[token.len()..];
    }
    true
}

/// One member of an object, as it is written: the name with its quotes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Member<'t> {
    pub(crate) name: &'t str,
    pub(crate) value: &'t str,
}

impl Member<'_> {
    /// What the name is, however it is spelled.
    pub(crate) fn name(&self) -> String {
        serde_json::from_str(self.name).expect("a name of a text that is sound")
    }
}

/// The members of a sound text, in its order; `None` where it is no object.
pub(crate) fn members(text: &str) -> Option<Vec<Member<'_>>> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim_start();
    let mut members = Vec::new();
    while !rest.is_empty() {
        let name = string(rest);
        let colon = rest[name.len()..].find(':').expect("behind every name");
        let value = value(&rest[name.len() + colon + 1..]);
        members.push(Member { name, value: value.trim() });
        let end = value.as_ptr() as usize - rest.as_ptr() as usize + value.len();
        rest = rest[end..].trim_start_matches(',').trim_start();
    }
    Some(members)
}

/// The string that a text begins with.
fn string(text: &str) -> &str {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return &text[..=at],
            _ => {}
        }
    }
    unreachable!("every string of a text that is JSON ends")
}

/// The value that a text begins with, up to the comma behind it.
fn value(text: &str) -> &str {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match text.as_bytes()[at] {
            b'"' => at += string(&text[at..]).len() - 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => return &text[..at],
            _ => {}
        }
        at += 1;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_sound_where_every_reader_can_read_it() {
        for text in ["{}", " [1e400] ", r#"{"a":{"a":"\ud83d\ude00"},"b":[{"a":1}]}"#, "\"a:\""] {
            assert!(is_sound(text), "{text}");
        }
        let (deep, deeper) = ("[".repeat(127) + &"]".repeat(127), "[".repeat(128));
        assert!(is_sound(&deep) && !is_sound(&format!("{deeper}{}", "]".repeat(128))));
        for text in
            ["", "{", "01", "[1,\n2]", r#"{"a":1,"\u0061":2}"#, r#"["\ud83d"]"#, r#"["\ude00"]"#]
        {
            assert!(!is_sound(text), "{text}");
        }
    }

    #[test]
    fn members_are_told_apart_as_they_are_written() {
        let text = r#" { "a" : [1,{"b":2}] , "\u0062":"}, \"" ,"c":-1e5 } "#;
        let written: Vec<_> = members(text).unwrap().iter().map(|m| (m.name, m.value)).collect();
        assert_eq!(
            written,
            [("\"a\"", "[1,{\"b\":2}]"), (r#""\u0062""#, r#""}, \"""#), ("\"c\"", "-1e5")]
        );
        assert_eq!((members("{ }"), members("[1]"), members("1")), (Some(vec![]), None, None));
    }
}
