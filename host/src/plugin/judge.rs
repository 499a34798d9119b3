//! What a plugin says of itself, asked in a child process: whoever only wants to know what a file
//! is must not die, hang or run out of memory with it.

use super::{Image, Plugin, PluginError};
use crate::causes::chain;
use crate::child::{self, End, Job, RESULT_BYTES_MAX};
use model_abi::describe::ModelDescription;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io::{self, Write};
use std::time::Duration;

/// The hidden command of the child; its argument is the plugin's file, behind what is lent
/// to it (`--held`).
pub const COMMAND: &str = "__describe";

/// A description needs little; the runtime that a library starts may want a lot for each core.
const MEMORY_BYTES_MAX: u64 = 8 << 30;

/// What came of loading a plugin and asking it to describe itself.
#[derive(Clone, Debug)]
pub enum Judged {
    /// Its models.
    Sound(Vec<ModelDescription>),
    /// It is refused.
    Refused {
        /// Why, with all causes.
        reason: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// It took the process with it.
    Died {
        /// How.
        end: End,
        /// The end of what it said on stderr.
        last_words: String,
    },
}

/// What the child writes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    Models(Vec<ModelDescription>),
    Refused { reason: String, hint: Option<String> },
}

impl Judged {
    /// What to do about it, where that can be said.
    pub fn hint(&self) -> Option<String> {
        match self {
            Judged::Refused { hint, .. } => hint.clone(),
            Judged::Died { .. } => Some(
                "this is the plugin's fault: send this message to the team that ships it".into(),
            ),
            Judged::Sound(_) => None,
        }
    }

    /// Why it can't be used, in one line, where it can't.
    pub fn reason(&self) -> Option<String> {
        match self {
            Judged::Sound(_) => None,
            Judged::Refused { reason, .. } => Some(reason.clone()),
            Judged::Died { end, last_words } => {
                let mut reason =
                    format!("while it was loaded and asked to describe itself, it {end}");
                if let Some(last) = last_words.lines().last() {
                    reason += &format!("; its last words: {last}");
                }
                Some(reason)
            }
        }
    }
}

/// Loads the plugin in a child and asks it to describe itself.
pub fn judge(image: &Image, deadline: Duration) -> io::Result<Judged> {
    let lent = image.lend()?;
    let mut args: Vec<OsString> = vec![COMMAND.into()];
    args.extend(lent.iter().flat_map(|lent| ["--held".into(), lent.told().into()]));
    // A path that begins with a dash must not be taken for a flag.
    args.extend(["--".into(), image.path().into()]);
    let ended = child::run(&Job { args, deadline, memory_bytes_max: MEMORY_BYTES_MAX })?;
    // A plugin that exits with 0 says nothing, and so is not believed.
    Ok(match (ended.end, serde_json::from_slice(&ended.result)) {
        (End::Exited(0), Ok(Told::Models(models))) => Judged::Sound(models),
        (End::Exited(0), Ok(Told::Refused { reason, hint })) => Judged::Refused { reason, hint },
        (End::Exited(0), Err(_)) if ended.result.len() >= RESULT_BYTES_MAX => Judged::Refused {
            reason: format!("its description is over {RESULT_BYTES_MAX} bytes long"),
            hint: None,
        },
        (end, _) => Judged::Died { end, last_words: ended.last_words },
    })
}

/// The child's side: writes what came of it to `result`, which the plugin must not know.
pub fn describe(image: &Image, mut result: impl Write) -> io::Result<()> {
    let told = match Plugin::open_image(image) {
        Ok(plugin) => Told::Models(plugin.models().to_vec()),
        Err(error) => Told::refused(&error),
    };
    serde_json::to_writer(&mut result, &told)?;
    result.flush()
}

impl Told {
    fn refused(error: &PluginError) -> Self {
        Told::Refused { reason: chain(error), hint: error.hint() }
    }
}
