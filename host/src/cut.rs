//! Texts that people are shown, no longer than they read.

use std::borrow::Cow;

/// The text, or so many of its characters and `…`.
pub(crate) fn cut(text: &str, chars_max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_behind_a_character_and_only_where_it_is_longer() {
        for (text, expected) in [("", ""), ("éé", "éé"), ("ééé", "éé…"), ("a\u{e9}\n", "a\u{e9}…")]
        {
            assert_eq!(cut(text, 2), expected);
        }
    }
}
