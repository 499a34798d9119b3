//! Records as texts: how JSON is written means nothing, and what is no JSON object is an error.

use super::bench::{Bench, texts};
use super::{Check, Needs, Verdict};
use serde_json::Value;

/// Records up to this long are cut at every character, longer ones at so many.
const CUTS_MAX: usize = 2000;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "white-space-is-nothing",
        proves: "spaces and tabs between the parts of a record change nothing",
        fix: "read records with a JSON parser, such as the one behind `export_models!`",
        needs: Needs::Answers,
        of_plugin: false,
        run: |bench| rewritten(bench, Style { space: "\t ", ..Style::default() }),
    },
    Check {
        name: "field-order-is-nothing",
        proves: "a record means the same in whatever order its fields come",
        fix: "read fields by their names; a derived `Deserialize` does",
        needs: Needs::Answers,
        of_plugin: false,
        run: |bench| rewritten(bench, Style { reversed: true, ..Style::default() }),
    },
    Check {
        name: "escapes-are-nothing",
        proves: "a text means the same whether its letters are escaped (`\\u0061`) or not",
        fix: "read records with a JSON parser; borrow no `&str` from them, since an escaped text \
              can't be borrowed",
        needs: Needs::Answers,
        of_plugin: false,
        run: |bench| rewritten(bench, Style { escaped: true, ..Style::default() }),
    },
    Check {
        name: "not-an-object-is-an-error",
        proves: "a line that holds something else than a JSON object costs this line and no more",
        fix: "give an error for every record that does not parse as an object",
        needs: Needs::Answers,
        of_plugin: false,
        run: not_an_object_is_an_error,
    },
    Check {
        name: "cut-records-are-errors",
        proves: "a record that ends too early is never predicted",
        fix: "parse the record to its end before predicting",
        needs: Needs::Answers,
        of_plugin: false,
        run: cut_records_are_errors,
    },
    Check {
        name: "trailing-text-is-an-error",
        proves: "a line with more than one record in it is never predicted as one",
        fix: "parse the record to its end, and refuse what follows",
        needs: Needs::Answers,
        of_plugin: false,
        run: trailing_text_is_an_error,
    },
];

/// How to write a JSON text.
#[derive(Clone, Copy, Default)]
struct Style {
    /// What stands between all parts.
    space: &'static str,
    /// Fields come last to first.
    reversed: bool,
    /// All ASCII letters of names and texts are escaped.
    escaped: bool,
}

impl Style {
    fn write(self, value: &Value) -> String {
        let list = |parts: Vec<String>, [open, close]: [&str; 2]| {
            let between = format!("{0},{0}", self.space);
            format!("{open}{0}{1}{0}{close}", self.space, parts.join(&between))
        };
        match value {
            Value::String(text) => self.string(text),
            Value::Array(items) => {
                list(items.iter().map(|item| self.write(item)).collect(), ["[", "]"])
            }
            Value::Object(fields) => {
                let member = |(name, value): (&String, &Value)| {
                    format!("{}{2}:{2}{}", self.string(name), self.write(value), self.space)
                };
                let mut members: Vec<_> = fields.iter().map(member).collect();
                if self.reversed {
                    members.reverse();
                }
                list(members, ["{", "}"])
            }
            other => other.to_string(),
        }
    }

    fn string(self, text: &str) -> String {
        if !self.escaped {
            return Value::from(text).to_string();
        }
        let escaped = |c: char| {
            if c.is_ascii_alphabetic() {
                format!("\\u{:04x}", u32::from(c))
            } else {
                Value::from(c.to_string()).to_string().trim_matches('"').to_owned()
            }
        };
        // A quote is its own case: trimmed with those around it.
        let inner: String = text
            .split('"')
            .map(|part| part.chars().map(escaped).collect::<String>())
            .collect::<Vec<_>>()
            .join("\\\"");
        format!("\"{inner}\"")
    }
}

/// Records get the same replies in this style.
fn rewritten(bench: &Bench, style: Style) -> Verdict {
    for (input, before) in bench.predicted(5)? {
        let record = style.write(&input);
        before.is_given_again(&record, &bench.ask(&record)?)?;
    }
    Ok(())
}

fn not_an_object_is_an_error(bench: &Bench) -> Verdict {
    let record = bench.ordinary(1)?[0].to_string();
    let listed = format!("[{record}]");
    let quoted = Value::from(record.as_str()).to_string();
    let others =
        ["[]", "0", "-1.5", "\"\"", "true", "false", "null", "nul", "hello", "{", "{]", ","];
    for text in others.into_iter().chain([listed.as_str(), quoted.as_str()]) {
        bench.ask(text)?.is_refused(text)?;
    }
    Ok(())
}

fn cut_records_are_errors(bench: &Bench) -> Verdict {
    let record = bench.ordinary(1)?[0].to_string();
    let ends: Vec<usize> = record.char_indices().map(|(at, _)| at).skip(1).collect();
    let cuts = ends.iter().step_by(ends.len().div_ceil(CUTS_MAX).max(1));
    let cuts: Vec<&str> = cuts.map(|&end| &record[..end]).collect();
    for (cut, reply) in cuts.iter().zip(bench.ask_all(&cuts)?) {
        reply.is_refused(cut)?;
    }
    Ok(())
}

fn trailing_text_is_an_error(bench: &Bench) -> Verdict {
    for record in texts(&bench.ordinary(2)?) {
        for more in [" x", ",", "]", "}", " null", "\"", record.as_str()] {
            let text = format!("{record}{more}");
            bench.ask(&text)?.is_refused(&text)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_is_the_same_in_every_style() {
        let value = json!({"a\"b": [1, -0.5, "x\ty\\é", null, true], "c": {}, "d": {"e": []}});
        for style in [
            Style::default(),
            Style { space: " \t", ..Style::default() },
            Style { reversed: true, ..Style::default() },
            Style { escaped: true, ..Style::default() },
        ] {
            let text = style.write(&value);
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value, "{text}");
        }
        let style = Style { escaped: true, reversed: true, space: " " };
        assert_eq!(
            style.write(&json!({"a": 1, "b": "é1"})),
            r#"{ "\u0062" : "é1" , "\u0061" : 1 }"#
        );
    }
}
