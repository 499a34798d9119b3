//! What a user sees, tested as a user would: one test binary, one file a topic.
#![allow(clippy::unwrap_used, reason = "tests; clippy's own exception misses their helpers")]

mod authoring;
mod check;
mod columnar;
mod commits;
mod compat;
mod compression;
mod emit;
mod faults;
mod folder;
mod formats;
mod inputs;
mod isolation;
mod kills;
mod latency;
mod limits;
mod main_job;
mod million;
mod misbehaving;
mod objects;
mod panics;
mod pipelines;
mod ranges;
mod refusals;
mod replay;
mod resume;
mod s3;
mod sandbox;
mod scaffold;
mod sentinel;
mod streams;
mod tables;
mod tidy;
mod trust;
mod uploads;
