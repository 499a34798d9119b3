//! The steps of a commit, as they stand on stdin and in a folder's manifest: a JSON object a line.
//!
//! Refused before anything is done: a step that is not known, and a name that leads out of the folder or
//! stands for two things. A manifest that a later host wrote is not done by half.

use super::place::{MANIFEST, Place, SUCCESS, TEMPORARY};
use crate::error::Error;
use crate::storage::upload::Ticket;
use serde::Deserialize;
use std::collections::HashSet;

/// Something to do.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Step {
    /// Whose commit it is; does nothing.
    Job(String),
    /// An object that was held back is made.
    Join(Ticket),
    /// An object is made of several of rejects.
    Rejects { name: String, of: Vec<Rejects> },
    /// An object is made of this text.
    Text { name: String, text: String },
    /// The objects in a folder are removed, at the very end.
    Remove(String),
}

/// The rejects of a part.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rejects {
    pub(super) name: String,
    /// How many lines stand before the part in its input, where its rejects count from its beginning.
    pub(super) lines_before: Option<u64>,
    /// How many they are.
    pub(super) rejects: u64,
}

/// All steps.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) steps: Vec<Step>,
}

impl Document {
    /// Reads and checks them.
    pub(super) fn read(text: &[u8], place: &Place<'_>) -> Result<Self, Error> {
        let refused = |line: usize, why: String| Error::Usage {
            message: format!("the steps of the commit are wrong, line {line}: {why}"),
            hint: Some("etl-host commit --help tells what a step is".to_owned()),
        };
        let mut steps = Vec::new();
        let mut names: HashSet<String> = [MANIFEST, SUCCESS].map(str::to_owned).into();
        let lines = text.split(|byte| *byte == b'\n').enumerate().map(|(at, line)| (at + 1, line));
        for (line, text) in lines.filter(|(_, line)| !line.is_empty()) {
            let step: Step =
                serde_json::from_slice(text).map_err(|error| refused(line, error.to_string()))?;
            if matches!(step, Step::Job(_)) != steps.is_empty() {
                return Err(refused(line, "the job comes first, and once".to_owned()));
            }
            let made = written(&step, place).map_err(|why| refused(line, why))?;
            if let Some(twice) = made.filter(|name| !names.insert(name.clone())) {
                return Err(refused(line, format!("`{twice}` would be written twice")));
            }
            steps.push(step);
        }
        if steps.is_empty() {
            return Err(refused(1, "there is none".to_owned()));
        }
        Ok(Document { steps })
    }

    /// Whose commit it is.
    pub(super) fn job(&self) -> &str {
        let Some(Step::Job(job)) = self.steps.first() else { unreachable!("it comes first") };
        job
    }

    pub(super) fn tickets(&self) -> Vec<&Ticket> {
        let tickets = self.steps.iter().map(|step| match step {
            Step::Join(ticket) => Some(ticket),
            _ => None,
        });
        tickets.flatten().collect()
    }
}

/// The name in the folder that a step writes, or why it can't be done.
fn written(step: &Step, place: &Place<'_>) -> Result<Option<String>, String> {
    match step {
        Step::Job(_) => Ok(None),
        Step::Join(Ticket { location, parts, bytes, .. }) if parts.is_empty() != (*bytes == 0) => {
            let (parts, what) = (parts.len(), "which is no ticket of an object");
            Err(format!("`{location}` has {bytes} bytes in {parts} parts, {what}"))
        }
        Step::Join(Ticket { location, .. }) => match place.name(location) {
            Some(name) => plain(name).map(Some),
            None => Err(format!("`{location}` is not in {place}")),
        },
        Step::Rejects { name, of } => {
            of.iter().try_for_each(|part| plain(&part.name).map(drop))?;
            plain(name).map(Some)
        }
        Step::Text { name, .. } => plain(name).map(Some),
        Step::Remove(folder) => match folder.strip_suffix('/') {
            Some(name) if name.starts_with(TEMPORARY) && name != TEMPORARY => {
                plain(name).map(|_| None)
            }
            _ => Err(format!("only a folder in `{TEMPORARY}` is removed, and `{folder}` is none")),
        },
    }
}

/// A name that stays in the folder, and is no pattern.
fn plain(name: &str) -> Result<String, String> {
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    match name.split('/').all(is_part) && !name.contains(['*', '?', '[']) {
        true => Ok(name.to_owned()),
        false => Err(format!("`{name}` is no name in a folder")),
    }
}
