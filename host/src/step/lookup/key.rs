//! What keys are compared as: texts. A number is its value in plain decimals, so that 1, 1.0 and 10e-1
//! are all `1`, and no digit of a long one is lost.
//!
//! So 1 equals "1": tables of text have no types, and whoever looks up the number 1 in a CSV file means
//! the row that begins with a 1, and the other way round. Texts equal texts as they stand: "01" and
//! "1.0" are not "1", and so they are not 1.

use std::borrow::Cow;

/// A number with more zeros before or behind its digits is not written in plain decimals: a double has
/// some 300.
const ZEROS_MAX: i64 = 400;

/// What there is where a key is wanted, and is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    Null,
    Array,
    Object,
}

impl NoKey {
    pub(super) fn name(self) -> &'static str {
        match self {
            NoKey::Null => "null",
            NoKey::Array => "an array",
            NoKey::Object => "an object",
        }
    }
}

/// The text that a JSON value is compared as.
pub(super) fn key(value: &str) -> Result<Cow<'_, str>, NoKey> {
    Ok(match value.as_bytes()[0] {
        b'"' if value.contains('\\') => {
            Cow::Owned(serde_json::from_str(value).expect("the scanner has let it through"))
        }
        b'"' => Cow::Borrowed(&value[1..value.len() - 1]),
        b'-' | b'0'..=b'9' => plain(value),
        b't' | b'f' => Cow::Borrowed(value),
        b'n' => return Err(NoKey::Null),
        b'[' => return Err(NoKey::Array),
        _ => return Err(NoKey::Object),
    })
}

/// A number in plain decimals: as few digits as tell its value.
fn plain(number: &str) -> Cow<'_, str> {
    let (sign, rest) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    if rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return Cow::Borrowed(if rest == "0" { rest } else { number }); // JSON has no leading zeros
    }
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return Cow::Borrowed("0");
    }
    let Ok(exponent) = exponent.parse::<i64>() else { return Cow::Borrowed(number) };
    // Where the point is, counted from the first digit that tells.
    let leading = (digits.len() - significant.len()) as i64;
    let point = exponent.saturating_add(whole.len() as i64 - leading);
    let significant = significant.trim_end_matches('0');
    let (count, zeros) = (significant.len() as i64, |count: i64| "0".repeat(count as usize));
    Cow::Owned(match point {
        ..=0 if point >= -ZEROS_MAX => format!("{sign}0.{}{significant}", zeros(-point)),
        1.. if point < count => {
            let (whole, fraction) = significant.split_at(point as usize);
            format!("{sign}{whole}.{fraction}")
        }
        1.. if point - count <= ZEROS_MAX => format!("{sign}{significant}{}", zeros(point - count)),
        _ => format!("{sign}0.{significant}e{point}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(value: &str, expected: &str) {
        assert_eq!(key(value).unwrap(), expected, "{value}");
    }

    #[test]
    fn a_number_is_its_value_whatever_its_spelling() {
        for one in ["1", "1.0", "1e0", "1E+0", "10e-1", "0.1e1", "0.0010e3", "100.00e-2"] {
            check(one, "1");
        }
        for zero in ["0", "-0", "0.0", "-0.00", "0e5", "-0e-5", "0e99999999999999999999"] {
            check(zero, "0");
        }
        check("-1.50", "-1.5");
        check("1.5e3", "1500");
        check("120", "120");
        check("120.50e-4", "0.01205");
        check("0.000120", "0.00012");
        check("12345678901234567890123", "12345678901234567890123");
        check("12345678901234567890123.0", "12345678901234567890123");
        check("1e22", "10000000000000000000000");
        check("1e308", &format!("1{}", "0".repeat(308)));
        check("5e-324", &format!("0.{}5", "0".repeat(323)));
    }

    #[test]
    fn a_number_beyond_all_use_costs_no_memory() {
        check("1e1000000000000000000", "0.1e1000000000000000001");
        check("10.0e999999999999999999", "0.1e1000000000000000001");
        check("-1e-1000000000000000000", "-0.1e-999999999999999999");
        check("1e9223372036854775807", "0.1e9223372036854775807");
        check("1e99999999999999999999", "1e99999999999999999999");
    }

    #[test]
    fn a_text_is_what_stands_between_its_quotes() {
        check(r#""FR""#, "FR");
        check(r#""""#, "");
        check(r#""\u0046R\n\"\\""#, "FR\n\"\\");
        check(r#""1.0""#, "1.0");
        check(r#""01""#, "01");
    }

    #[test]
    fn a_text_without_types_equals_what_it_would_be_with_them() {
        check(r#""1""#, &key("1.0").unwrap());
        check(r#""true""#, &key("true").unwrap());
        assert_ne!(key(r#""1.0""#), key("1.0"));
    }

    #[test]
    fn what_is_no_scalar_is_no_key() {
        for (value, expected) in
            [("null", NoKey::Null), ("[1]", NoKey::Array), ("{}", NoKey::Object)]
        {
            assert_eq!(key(value), Err(expected));
        }
        check(r#""null""#, "null");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// A double's shortest digits, spelled as anybody may, and one of another value.
        #[test]
        fn numbers_are_equal_where_their_values_are(
            number in -1e15..1e15_f64, shift in -30..30_i32, zeros in 0..5_usize,
        ) {
            let digits = number.to_string();
            let dotted = if digits.contains('.') { digits.clone() } else { digits.clone() + ".0" };
            let shifted = format!("{dotted}{}e0", "0".repeat(zeros));
            prop_assert_eq!(key(&digits), key(&shifted));
            let scientific = format!("{number:e}");
            prop_assert_eq!(key(&digits), key(&scientific));
            let (mantissa, exponent) = scientific.split_once('e').unwrap();
            let (mantissa, exponent) = (mantissa.to_owned(), exponent.parse::<i32>().unwrap());
            let moved = format!("{mantissa}E{}", exponent + shift);
            prop_assert_eq!(key(&digits) == key(&moved), shift == 0 || number == 0.0);
            prop_assert_eq!(key(&moved).unwrap().parse::<f64>(), moved.parse());
        }
    }
}
