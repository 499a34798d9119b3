//! Tells whether an output is the input itself, which then goes on as the bytes that were read.
//!
//! By where it lies, not by what it says: `1.0` equals `1`, and a program that makes one of the other means
//! it. The input is held on to weakly: then its place in memory is not used again, and whoever changes the
//! input, though nobody else has it, does so elsewhere.

use jaq_json::{Map, Num, Rc, Val};
use std::sync::Weak;

/// Where an input lies.
pub(super) enum Same {
    Array(Weak<Vec<Val>>),
    Object(Weak<Map>),
    /// No array and no object.
    Scalar(Val),
}

impl Same {
    pub(super) fn of(input: &Val) -> Self {
        match input {
            Val::Arr(array) => Same::Array(Rc::downgrade(array)),
            Val::Obj(object) => Same::Object(Rc::downgrade(object)),
            scalar => Same::Scalar(scalar.clone()),
        }
    }

    pub(super) fn is(&self, output: &Val) -> bool {
        match (self, output) {
            (Same::Array(input), Val::Arr(output)) => input.as_ptr() == Rc::as_ptr(output),
            (Same::Object(input), Val::Obj(output)) => input.as_ptr() == Rc::as_ptr(output),
            (Same::Scalar(input), output) => match (input, output) {
                (Val::Null, Val::Null) => true,
                (Val::Bool(input), Val::Bool(output)) => input == output,
                (Val::TStr(input), Val::TStr(output)) => {
                    input.as_ptr() == output.as_ptr() && input.len() == output.len()
                }
                (Val::Num(Num::Int(input)), Val::Num(Num::Int(output))) => input == output,
                (Val::Num(Num::BigInt(input)), Val::Num(Num::BigInt(output))) => {
                    Rc::ptr_eq(input, output)
                }
                (Val::Num(Num::Dec(input)), Val::Num(Num::Dec(output))) => {
                    Rc::ptr_eq(input, output)
                }
                _ => false,
            },
            _ => false,
        }
    }
}
