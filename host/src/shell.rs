//! Commands that people are told to type.

/// A word of a command, as a shell reads it back.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./=,+:@".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    if word.contains(char::is_control) {
        // `$'…'` of bash, zsh and POSIX 2024.
        let escape = |c: char| match c {
            '\'' | '\\' => format!("\\{c}"),
            c if c.is_control() => format!("\\x{:02x}", u32::from(c)),
            c => c.to_string(),
        };
        return format!("$'{}'", word.chars().map(escape).collect::<String>());
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_read_them_otherwise() {
        for (word, expected) in [
            ("some/where-1", "some/where-1"),
            ("it's here/rent", r"'it'\''s here/rent'"),
            (r#"{"a": 1}"#, r#"'{"a": 1}'"#),
            ("", "''"),
            ("a\u{1b}[31m's", r"$'a\x1b[31m\'s'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
