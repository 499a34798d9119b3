//! The functions that a program may call: those of jaq but for the ones whose answer depends on anything
//! besides the record and `$params`, or that do more than answer.
//!
//! A few of jaq's own are replaced where it takes time, memory or stack that nobody bounds; `defs.jq`
//! has those of jq that jaq lacks.

use super::meter::{Jq, Meter};
use crate::json::DEPTH_MAX;
use jaq_core::load::parse::Def;
use jaq_core::native::{self, Fun, bome, run, v};
use jaq_core::{Error, Exn, RunPtr, ValR, ValX};
use jaq_json::{Num, Val, read};
use std::cmp::Ordering;
use std::fmt::Display;

/// What a step of `range` counts for: 16 bytes in memory where an array is made of it.
const RANGE_STEPS: u64 = 10;
/// A string that is repeated may become so long.
const REPEATED_BYTES_MAX: usize = 256 * 1024 * 1024;
/// The time that a number takes to read and write grows with the square of its length.
const DIGITS_MAX: usize = 10_000;

/// What [`operators`](super::operators) puts in the place of `*`.
pub(super) const PRODUCT: &str = "product_";
/// And in the place of `/`.
pub(super) const QUOTIENT: &str = "quotient_";

/// What is not there, and why.
const ABSENT: [(&[&str], &str); 5] = [
    (
        &["now", "localtime", "strflocaltime"],
        "the same record is to give the same output at any time and on any machine; \
         give a time in as one of the `$params`",
    ),
    (
        &["env", "$ENV"],
        "the same record is to give the same output on any machine; give the value in as one of the `$params`",
    ),
    (
        &["input", "inputs", "input_filename", "input_line_number"],
        "a program sees one record, and nothing of where it stood",
    ),
    (
        &["debug", "stderr"],
        "a program does nothing but give outputs; `error(…)` rejects the record",
    ),
    (&["halt", "halt_error"], "a program can't end the run; `error(…)` rejects the record"),
];

/// Why a function or variable is not there, if on purpose.
pub(super) fn why_absent(name: &str) -> Option<&'static str> {
    ABSENT.iter().find(|(names, _)| names.contains(&name)).map(|(_, why)| *why)
}

/// What is defined in jq.
#[expect(
    clippy::map_identity,
    reason = "it makes lifetimes shorter, which the caller's parser needs"
)]
pub(super) fn defs<'s>() -> impl Iterator<Item = Def<&'s str>> {
    let theirs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let ours = jaq_core::load::parse(include_str!("defs.jq"), |parser| parser.defs());
    let theirs = theirs.filter(|def| why_absent(def.name).is_none());
    theirs.chain(ours.expect("our definitions are jq")).map(|def| -> Def<&'s str> { def })
}

/// What is defined in Rust. The first of a name and arity is the one that is called.
pub(super) fn funs() -> impl Iterator<Item = Fun<Jq>> {
    let ours: [native::Filter<RunPtr<Jq>>; 4] = [
        ("range", v(3), |mut cv| {
            let meter = *cv.0.data();
            let (by, to, from) = (cv.0.pop_var(), cv.0.pop_var(), cv.0.pop_var());
            Box::new(range(meter, from, to, by))
        }),
        ("fromjson", v(0), |cv| bome(from_json(cv.1))),
        (PRODUCT, v(2), |mut cv| {
            let (right, left) = (cv.0.pop_var(), cv.0.pop_var());
            bome(product(left, right))
        }),
        (QUOTIENT, v(2), |mut cv| {
            let (right, left) = (cv.0.pop_var(), cv.0.pop_var());
            bome(quotient(left, right))
        }),
    ];
    let theirs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let theirs = theirs.filter(|(name, ..)| {
        let name = name.strip_suffix("_empty").unwrap_or(name); // how `debug` is made
        why_absent(name).is_none() || name == "error"
    });
    // `defs.jq` looks at its format first.
    let theirs = theirs.map(|(name, args, fun)| match name {
        "strptime" => ("strptime_", args, fun),
        _ => (name, args, fun),
    });
    ours.into_iter().map(run::<Jq>).chain(theirs)
}

/// As jaq's, but counted: nothing else is each time that an array is made of it.
fn range<'a>(
    meter: &'a Meter<'a>,
    from: Val,
    to: Val,
    by: Val,
) -> impl Iterator<Item = ValX<'a, Val>> {
    let direction = by.cmp(&Val::from(0_isize));
    let mut next = Some(Ok(from));
    std::iter::from_fn(move || {
        meter.step(RANGE_STEPS);
        let value = match next.take()? {
            Ok(value) => value,
            error => return Some(error.map_err(Exn::from)),
        };
        let goes_on = match direction {
            Ordering::Greater => value < to,
            Ordering::Less => value > to,
            Ordering::Equal => value != to,
        };
        if goes_on {
            next = Some(value.clone() + by.clone());
        }
        goes_on.then_some(Ok(value))
    })
}

/// One JSON text, with the leniency of jaq's reader; as jq, and other than jaq, no more than one.
fn from_json(text: Val) -> ValR<Val> {
    let bytes = text.try_as_utf8_bytes_owned()?;
    let fail = |why: &dyn Display| Error::str(format_args!("no JSON: {why}: {text}"));
    match too_much(&bytes) {
        Some(what) => Err(fail(&what)),
        None => read::parse_single(&bytes).map_err(|error| fail(&error)),
    }
}

/// What a text of JSON has too much of for jaq, if anything: its reader takes the stack for nesting, and
/// its numbers the square of their digits.
pub(super) fn too_much(text: &[u8]) -> Option<String> {
    let (mut depth, mut digits) = (0_usize, 0);
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        digits = if byte.is_ascii_digit() { digits + 1 } else { 0 };
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(byte) = bytes.next()
                    && *byte != b'"'
                {
                    if *byte == b'\\' {
                        bytes.next();
                    }
                }
            }
            b'#' => drop(bytes.find(|byte| **byte == b'\n')), // a comment, which jaq's reader skips
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Some(format!("nesting deeper than {DEPTH_MAX} levels"));
        }
        if digits > DIGITS_MAX {
            return Some(format!("a number of more than {DIGITS_MAX} digits"));
        }
    }
    None
}

/// Whether [`too_much`] may find a number in a text that was checked.
pub(super) fn may_be_too_much(text: &[u8]) -> bool {
    text.len() > DIGITS_MAX
}

/// `left * right`. A string times a number is that string so many times, whatever memory there is: where
/// there is not enough, it would end the process.
fn product(left: Val, right: Val) -> ValR<Val> {
    if let (Val::TStr(bytes) | Val::BStr(bytes), Val::Num(times))
    | (Val::Num(times), Val::TStr(bytes) | Val::BStr(bytes)) = (&left, &right)
    {
        let times = match times {
            Num::Int(times) => usize::try_from(*times).unwrap_or(0), // none are repeated
            Num::BigInt(_) => usize::MAX,
            Num::Float(_) | Num::Dec(_) => 0, // an error of jaq's
        };
        if bytes.len().saturating_mul(times) > REPEATED_BYTES_MAX {
            let most = REPEATED_BYTES_MAX >> 20;
            return Err(Error::str(format_args!(
                "a string repeated {times} times is over {most} MiB long"
            )));
        }
    }
    left * right
}

/// `left / right`, of integers an integer where that is exact.
fn quotient(left: Val, right: Val) -> ValR<Val> {
    match (&left, &right) {
        (Val::Num(_), Val::Num(_)) if right == Val::from(0_isize) => {
            Err(Error::str(format_args!("{left} can't be divided by zero")))
        }
        (Val::Num(Num::Int(dividend)), Val::Num(Num::Int(divisor)))
            if dividend.checked_rem(*divisor) == Some(0) =>
        {
            Ok(Val::from(dividend / divisor))
        }
        _ => left / right,
    }
}
