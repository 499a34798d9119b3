//! What a user sees, tested as a user would: one test binary, one file a topic.
#![allow(clippy::unwrap_used, reason = "tests; clippy's own exception misses their helpers")]

mod compat;
mod emit;
mod limits;
mod main_job;
mod million;
mod misbehaving;
mod refusals;
mod streams;
mod tidy;
