//! Where journals lie: beside the output, or in a folder of their own, to which a link beside the
//! output leads, so that every other run on it finds the journal.

use super::{JournalError, look};
use crate::sink::publish::{Names, folder_of, hidden_path};
use std::path::{Path, PathBuf};

/// Where the journal of an output lies, unless it is told otherwise; else a link to it is there.
pub fn path_beside(output: &Path) -> PathBuf {
    hidden_path(output, "journal")
}

/// Where the journal of an output lies: beside it, or where the link leads that is there.
pub fn path_of(output: &Path) -> PathBuf {
    let beside = path_beside(output);
    match std::fs::read_link(&beside) {
        Ok(journal) if !is_of_another(&journal, output) => journal,
        _ => beside,
    }
}

/// Whether a journal says that it is another output's, as one may in a folder that was used twice.
fn is_of_another(journal: &Path, output: &Path) -> bool {
    let header = look(journal).ok().and_then(|look| look.left.header);
    let whole = std::path::absolute(output).unwrap_or_else(|_| output.to_owned());
    header.is_some_and(|header| header.outputs.iter().all(|output| output.path != whole))
}

/// Removes the link beside an output where it leads to nothing, or to the journal of another.
pub fn remove_stale_link(output: &Path) {
    let beside = path_beside(output);
    let Ok(journal) = std::fs::read_link(&beside) else { return };
    // A folder that can't be seen may be one that isn't mounted.
    let is_gone =
        journal.try_exists().is_ok_and(|is_there| !is_there) && folder_of(&journal).is_dir();
    if is_gone || is_of_another(&journal, output) {
        let _ = std::fs::remove_file(beside); // it is in nobody's way
    }
}

/// Where it lies in a folder of its own.
pub fn path_in(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// The same for one of several outputs, whose journals share the folder.
pub fn path_among(folder: &Path, output: &Path) -> PathBuf {
    path_beside(&folder.join(output.file_name().unwrap_or_default()))
}

const NAME: &str = "etl-host-journal";

/// Whether a file is called as journals are.
pub fn is_name(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name == NAME || (name.starts_with('.') && name.ends_with(&format!(".{NAME}")))
}

/// A journal is the one of its output, and no copy of it or of another that was there. That of an
/// object lies where its bytes wait.
pub fn check_not_moved(path: &Path, output: &Names) -> Result<(), JournalError> {
    let whole = |path: &Path| path.canonicalize().ok();
    let same = match output.elsewhere {
        Some(_) => whole(&folder_of(path)).zip(whole(&folder_of(&output.path))),
        None => whole(path).zip(whole(&path_of(&output.path))),
    };
    match same.is_some_and(|(this, of_output)| this == of_output) {
        true => Ok(()),
        false => {
            Err(JournalError::Moved { path: path.to_owned(), output: output.shown().to_owned() })
        }
    }
}
