//! The lookup step: a row of a small table goes into each record, found by one of its fields.
//!
//! The row becomes a field, or its own fields stand behind the record's; those are what they were, byte
//! for byte. A record without the field that a row is found by, or with null in it, has no row.

mod key;
pub mod table;

use super::emit::{EXTRA_BYTES, Emit, Emitter};
use super::{Step, StepError, Why, rewrite_each};
use crate::batch::{Batch, Text};
use crate::record::RejectKind;
use crate::spec::{LookupSpec, NoMatch, Several};
use std::sync::Arc;
use table::Table;

/// How much of a key a message repeats, in characters.
const SHOWN_CHARS: usize = 64;

/// The step.
pub struct LookupStep {
    name: Arc<str>,
    finder: Finder,
    emitter: Emitter,
}

impl LookupStep {
    /// `table` was read as `spec` says. `name` stands in rejects and in the lines of a run.
    pub fn new(name: &str, spec: &LookupSpec, table: Arc<Table>) -> Self {
        let LookupSpec { on, missing, several, .. } = spec;
        let (on, missing, several) = (on.as_str().into(), *missing, *several);
        LookupStep::with(name.into(), Finder { on, missing, several, table })
    }

    fn with(name: Arc<str>, finder: Finder) -> Self {
        LookupStep { name, finder, emitter: Emitter::of("row of the table", Emit::Merge) }
    }

    /// Appends the record with its row. On an error, what was appended is for the caller to take back.
    fn write(&mut self, record: &[u8], text: &mut Text) -> Result<(), Why> {
        let record = self.emitter.scan(record)?;
        let row = self.finder.row(self.emitter.field(&self.finder.on, record))?;
        if !text.has_room_for(record.len() + row.len() + EXTRA_BYTES) {
            let message = "the records of one batch are over 4 GiB long with their rows";
            return Err(Why::new(RejectKind::NotWritable, message));
        }
        self.emitter.write_scanned(record, row, text.buffer())
    }
}

impl Step for LookupStep {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn another(&self) -> Box<dyn Step> {
        Box::new(LookupStep::with(self.name.clone(), self.finder.clone()))
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<(), StepError> {
        let name = self.name.clone();
        rewrite_each(batch, &name, |batch, record, text| self.write(batch.record(record), text));
        Ok(())
    }
}

/// Finds rows.
#[derive(Clone)]
struct Finder {
    on: Arc<str>,
    missing: NoMatch,
    several: Several,
    table: Arc<Table>,
}

impl Finder {
    /// What goes into a record with this value in its field, if it has one.
    fn row(&self, value: Option<&str>) -> Result<&str, Why> {
        let Some(value) = value else {
            return self.none(|| "the record has no such field to find its row by".to_owned());
        };
        let key = match key::key(value) {
            Ok(key) => key,
            Err(it) => return self.none(|| format!("{} is no key of a row", it.name())),
        };
        match self.table.find(&key) {
            None => self.none(|| format!("no row of the table has the key `{}`", shown(&key))),
            Some((1, row)) => Ok(row),
            Some((count, row)) => match self.several {
                Several::First => Ok(row),
                Several::Null => Ok(self.table.none()),
                Several::Reject => {
                    let key = shown(&key);
                    Err(self.why(format!("{count} rows of the table have the key `{key}`")))
                }
            },
        }
    }

    fn none(&self, why: impl FnOnce() -> String) -> Result<&str, Why> {
        match self.missing {
            NoMatch::Null => Ok(self.table.none()),
            NoMatch::Reject => Err(self.why(why())),
        }
    }

    fn why(&self, message: String) -> Why {
        Why { path: self.on.to_string(), ..Why::new(RejectKind::Lookup, message) }
    }
}

fn shown(key: &str) -> String {
    match key.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &key[..end]),
        None => key.to_owned(),
    }
}

#[cfg(test)]
mod tests;
