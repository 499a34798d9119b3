//! Text that people wrote, as a picture can show it: on one line, nothing in it that steers, cut to a
//! width, and how wide it will be in a font that we don't know.

/// More characters than these are not shown of a name or a detail.
const SHOWN_MAX: usize = 44;

/// On one line, with what would steer a terminal or turn the direction of what follows written out, as
/// well as what may not stand in XML.
pub(super) fn plain(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    let words: Vec<&str> = text.split([' ', '\t', '\n', '\r']).filter(|w| !w.is_empty()).collect();
    words.join(" ").chars().fold(String::with_capacity(text.len()), |mut plain, c| {
        if steers(c) {
            plain.extend(c.escape_unicode())
        } else {
            plain.push(c)
        }
        plain
    })
}

/// Its beginning, where it is too long.
pub(super) fn cut_end(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        None => text.to_owned(),
        Some(_) => text.chars().take(SHOWN_MAX - 1).chain(['…']).collect(),
    }
}

/// Its end, where it is too long.
pub(super) fn cut_start(text: &str) -> String {
    match text.chars().count().checked_sub(SHOWN_MAX) {
        None | Some(0) => text.to_owned(),
        Some(more) => ['…'].into_iter().chain(text.chars().skip(more + 1)).collect(),
    }
}

/// A number whose digits can be counted: `1,048,576`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Fonts, which whoever looks has; so all widths are guesses, and made for the widest of the usual ones.
#[derive(Clone, Copy)]
pub(super) enum Font {
    /// For words.
    Sans,
    /// For names.
    Bold,
    /// For programs.
    Mono,
}

/// How many pixels a text takes at most, or nearly so.
pub(super) fn width(text: &str, font: Font, size_px: i32) -> i32 {
    let ems: f64 = text.chars().map(|c| ems(c, font)).sum();
    (ems * f64::from(size_px)).ceil() as i32
}

/// The width of a character, in parts of the font's size. Of ASCII about that of DejaVu Sans, the widest of
/// what systems have as their sans; of what comes from another font, that of its square.
fn ems(c: char, font: Font) -> f64 {
    let sans = match c {
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200d}' | '\u{fe00}'..='\u{fe0f}' => return 0.0,
        '\u{1f000}'.. => return 1.4,
        '…' => 1.0,
        '\u{80}'..='\u{24f}' => 0.85,
        '\u{250}'..='\u{10ff}' => 0.9,
        '\u{1100}'.. => return 1.05,
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | ' ' => 0.35,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '/' | '\\' | '-' | '!' => 0.43,
        'm' | 'M' | 'w' | 'W' | '%' | '@' => 1.0,
        '+' | '<' | '>' | '=' | '~' | '#' | '^' | 'O' | 'Q' | 'G' | 'D' | 'H' | 'N' | 'U' => 0.84,
        _ if c.is_ascii_uppercase() => 0.72,
        _ => 0.65,
    };
    match font {
        Font::Sans => sans,
        Font::Bold => sans * 1.12,
        Font::Mono => f64::max(0.62, if c.is_ascii() { 0.0 } else { sans }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_written_out() {
        for (text, expected) in [
            (" a\n  b\t\r\nc ", "a b c"),
            ("<&\"'\\>", "<&\"'\\>"),
            ("a\u{1b}[31m\0", "a\\u{1b}[31m\\u{0}"),
            ("txt.\u{202e}nosj", "txt.\\u{202e}nosj"),
            ("\u{85}\u{2028}\u{ffff}", "\\u{85}\\u{2028}\\u{ffff}"),
            ("שלום é 花 🌷", "שלום é 花 🌷"),
            ("", ""),
        ] {
            assert_eq!(plain(text), expected);
        }
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        let fits = "é".repeat(SHOWN_MAX);
        assert_eq!((cut_end(&fits), cut_start(&fits)), (fits.clone(), fits.clone()));
        let long = format!("a{fits}z");
        assert_eq!(cut_end(&long), format!("a{}…", "é".repeat(SHOWN_MAX - 2)));
        assert_eq!(cut_start(&long), format!("…{}z", "é".repeat(SHOWN_MAX - 2)));
    }

    #[test]
    fn digits_are_grouped() {
        for (number, expected) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")]
        {
            assert_eq!(grouped(number), expected);
        }
    }
}
