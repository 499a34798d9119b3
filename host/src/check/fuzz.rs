//! Records that nobody would write: whatever the bytes, the model answers or refuses, and lives.
//!
//! Texts are made from ordinary records by a few random edits, since what is garbage from its first
//! byte on never gets beyond the parser. The same seed makes the same texts.

use super::bench::{Bench, texts};
use super::generate::Rng;
use super::{Check, Finding, Needs, Verdict};
use serde_json::Value;

/// How many texts each of these checks asks about.
const TEXTS: usize = 300;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "any-text",
        proves: "no text in a file of records, however broken, makes the model panic or crash",
        fix: "return an error for what can't be read; the message holds the text",
        needs: Needs::Answers,
        of_plugin: false,
        run: any_text,
    },
    Check {
        name: "any-bytes",
        proves: "bytes that are no text at all are an error like any other",
        fix: "check for UTF-8 before using bytes as a text: `from_utf8`, never \
              `from_utf8_unchecked`",
        needs: Needs::Answers,
        of_plugin: false,
        run: any_bytes,
    },
];

/// What is put into texts: the bones of JSON, and what trips parsers.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "\\u",
    "\\ud800",
    "\\u0000",
    "null",
    "true",
    "-",
    "0",
    "1e",
    "1e400",
    ".",
    "99999999999999999999",
    "é",
    "\u{feff}",
    "😀",
    "\u{7f}",
    "\0",
    "\t",
    " ",
    "{\"a\":",
    "[[[[",
];

/// Random texts of one line that are not blank.
fn random_texts(bench: &Bench) -> Result<(Vec<String>, Rng), Finding> {
    let seeds: Vec<Vec<char>> =
        texts(&bench.ordinary(10)?).iter().map(|text| text.chars().collect()).collect();
    let mut rng = bench.rng();
    let mut made = Vec::new();
    while made.len() < TEXTS {
        let mut text = seeds[rng.below(seeds.len())].clone();
        for _ in 0..1 + rng.below(4) {
            edit(&mut text, &seeds, &mut rng);
        }
        let text: String = text.into_iter().collect();
        if !text.trim().is_empty() {
            made.push(text);
        }
    }
    Ok((made, rng))
}

fn edit(text: &mut Vec<char>, seeds: &[Vec<char>], rng: &mut Rng) {
    let start = rng.below(text.len() + 1);
    let end = (start + rng.below(8)).min(text.len());
    match rng.below(4) {
        0 => drop(text.drain(start..end)),
        1 => {
            let piece = PIECES[rng.below(PIECES.len())];
            drop(text.splice(start..end, piece.chars()));
        }
        2 => {
            let again = text[start..end].to_vec();
            drop(text.splice(start..start, again));
        }
        _ => {
            let other = &seeds[rng.below(seeds.len())];
            text.truncate(start);
            text.extend(&other[rng.below(other.len())..]);
        }
    }
}

fn any_text(bench: &Bench) -> Verdict {
    let fits = bench.validator(&bench.description()?.input_schema)?;
    for text in random_texts(bench)?.0 {
        let reply = bench.ask(&text)?;
        // A panic on what the schema allows is another check's to find.
        let is_allowed = serde_json::from_str::<Value>(&text).is_ok_and(|v| fits.is_valid(&v));
        if !is_allowed {
            reply.is_no_panic(&text)?;
        }
    }
    Ok(())
}

fn any_bytes(bench: &Bench) -> Verdict {
    let (texts, mut rng) = random_texts(bench)?;
    for text in texts {
        let mut bytes = text.into_bytes();
        for _ in 0..1 + rng.below(3) {
            // None of these can stand in UTF-8, or not alone.
            let byte = [0x80, 0xbf, 0xc0, 0xff, 0xed, 0xf5][rng.below(6)];
            bytes.insert(rng.below(bytes.len() + 1), byte);
        }
        bench.ask(&bytes)?.is_no_panic(&String::from_utf8_lossy(&bytes))?;
    }
    Ok(())
}
