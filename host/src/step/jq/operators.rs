//! Puts functions of ours in the place of two operators of a program, where jaq's would do harm.
//!
//! `*` repeats a string as often as it is told: a wrong number in one record must not take all memory, which
//! ends the process. `/` divides by zero and gives the infinite, which would be written as a number, where jq
//! says that it can't; and of two integers it makes a fraction, so that `6 / 2` is no index.

use super::dialect::{PRODUCT, QUOTIENT};
use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::ops::Math;
use jaq_core::path::Part;
use std::mem::take;

/// A number that is written in the program is no such number, up to here.
const TIMES_MAX: f64 = 10_000.;

/// The value of `f` in `path *= f`.
const OPERAND: &str = "$operand_";

/// In a term and in all that it is made of.
pub(super) fn replace(term: &mut Term<&str>) {
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) => {}
        Term::Str(_, parts) => {
            for part in parts {
                if let StrPart::Term(term) = part {
                    replace(term);
                }
            }
        }
        Term::Arr(inner) => inner.iter_mut().for_each(|inner| replace(inner)),
        Term::Obj(fields) => {
            for (key, value) in fields {
                replace(key);
                value.iter_mut().for_each(replace);
            }
        }
        Term::Neg(inner) | Term::Label(_, inner) => replace(inner),
        Term::BinOp(left, operator, right) => {
            replace(left);
            replace(right);
            if let BinaryOp::Pipe(Some(pattern)) = operator {
                replace_in_pattern(pattern);
            }
        }
        Term::Fold(_, from, pattern, arguments) => {
            replace(from);
            replace_in_pattern(pattern);
            arguments.iter_mut().for_each(replace);
        }
        Term::TryCatch(inner, catch) => {
            replace(inner);
            catch.iter_mut().for_each(|catch| replace(catch));
        }
        Term::IfThenElse(branches, otherwise) => {
            for (condition, then) in branches {
                replace(condition);
                replace(then);
            }
            otherwise.iter_mut().for_each(|otherwise| replace(otherwise));
        }
        Term::Def(defs, inner) => {
            defs.iter_mut().for_each(|def| replace(&mut def.body));
            replace(inner);
        }
        Term::Call(_, arguments) => arguments.iter_mut().for_each(replace),
        Term::Path(inner, path) => {
            replace(inner);
            for (part, _) in &mut path.0 {
                match part {
                    Part::Index(index) => replace(index),
                    Part::Range(from, to) => from.iter_mut().chain(to).for_each(replace),
                }
            }
        }
    }
    replace_here(term);
}

fn replace_here(term: &mut Term<&str>) {
    match term {
        Term::BinOp(left, BinaryOp::Math(operator), right) => {
            if let Some(function) = function(*operator, &[&**left, &**right]) {
                *term = Term::Call(function, vec![take(left), take(right)]);
            }
        }
        // `path *= f` is `f as $operand | path |= . * $operand`.
        Term::BinOp(path, BinaryOp::UpdateMath(operator), right) => {
            if let Some(function) = function(*operator, &[&**right]) {
                let applied = Term::Call(function, vec![Term::Id, Term::Var(OPERAND)]);
                let update = Term::BinOp(take(path), BinaryOp::Update, Box::new(applied));
                let bind = BinaryOp::Pipe(Some(Pattern::Var(OPERAND)));
                *term = Term::BinOp(take(right), bind, Box::new(update));
            }
        }
        _ => {}
    }
}

/// What stands in the place of an operator between these, if anything.
fn function(operator: Math, operands: &[&Term<&str>]) -> Option<&'static str> {
    match operator {
        Math::Mul if !operands.iter().any(|operand| is_small(operand)) => Some(PRODUCT),
        Math::Div => Some(QUOTIENT),
        _ => None,
    }
}

fn replace_in_pattern(pattern: &mut Pattern<&str>) {
    match pattern {
        Pattern::Var(_) => {}
        Pattern::Arr(patterns) => patterns.iter_mut().for_each(replace_in_pattern),
        Pattern::Obj(fields) => {
            for (key, pattern) in fields {
                replace(key);
                replace_in_pattern(pattern);
            }
        }
    }
}

fn is_small(term: &Term<&str>) -> bool {
    match term {
        Term::Num(digits) => digits.parse().is_ok_and(|number: f64| number <= TIMES_MAX),
        Term::Neg(inner) => is_small(inner),
        _ => false,
    }
}
