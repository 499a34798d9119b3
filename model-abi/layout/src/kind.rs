//! Why a record, or a whole call, got no prediction: integers in ranges.
//!
//! A host treats a kind that it does not know as its range says, so a new kind never breaks an old
//! host; one outside of all ranges means that this record is wrong. Never renumber.

use std::ops::RangeInclusive;

/// 1–99: this record is wrong; the next one may be fine.
pub const RECORD: RangeInclusive<u32> = 1..=99;
/// The record is not JSON.
pub const NOT_JSON: u32 = 1;
/// The record is not an object, or a field is missing, doubled, or of the wrong type.
pub const SCHEMA: u32 = 2;
/// The model refuses the record's values.
pub const VALUE: u32 = 3;
/// The model's code panicked on this record.
pub const PANIC: u32 = 4;
/// The prediction holds a NaN or an infinity.
pub const NOT_FINITE: u32 = 5;
/// The prediction can't be written as JSON.
pub const NOT_WRITABLE: u32 = 6;

/// 100–199: the model is broken; no record will do better.
pub const BROKEN: RangeInclusive<u32> = 100..=199;
/// The model says so itself.
pub const MODEL_BROKEN: u32 = 100;
/// The model returned more or fewer predictions than it was given inputs.
pub const WRONG_COUNT: u32 = 101;
/// The wrapper's own code panicked.
pub const CALL_PANICKED: u32 = 102;
/// `load`: no model of this name.
pub const NO_SUCH_MODEL: u32 = 103;
/// `load`: the config is wrong.
pub const CONFIG: u32 = 104;
/// `load`: the model could not be made ready.
pub const LOAD_FAILED: u32 = 105;
/// The host's request makes no sense: a record lies outside of its bytes.
pub const WRONG_REQUEST: u32 = 106;

/// 200–299: the same record may succeed later.
pub const LATER: RangeInclusive<u32> = 200..=299;
/// The model says: try again later.
pub const TRY_LATER: u32 = 200;

/// 300–399: the record was not attempted.
pub const UNTRIED: RangeInclusive<u32> = 300..=399;
/// No reason is given.
pub const NOT_ATTEMPTED: u32 = 300;
