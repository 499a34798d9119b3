//! `etl-host list [DIR]`: the plugins in a folder, those that can't be used with the reason.

use super::trust::TrustArgs;
use super::{on_a_line, paths, print};
use crate::causes::chain;
use crate::child;
use crate::error::{Error, exit};
use crate::plugin::folder::{self, Entry, FindError};
use crate::plugin::judge::{Judged, judge};
use crate::plugin::{Image, Trust};
use clap::Args;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// List the plugins in a folder, and why those that can't be used can't
///
/// Files that are named as shared libraries are looked at as data; those that pass are loaded and
/// asked to describe themselves, each in a child process, several at once. With `--trust` those that
/// nobody answers for are not loaded.
///
/// Exit codes: 0, also where a file is refused: its state says so; 2 wrong command line; 3 stdout
/// can't be written; 4 the folder can't be read.
#[derive(Args, Debug)]
pub(super) struct ListArgs {
    /// The folder [default: --plugin-dir, $ETL_HOST_PLUGIN_DIR, ./plugins]
    #[arg(conflicts_with = "plugin_dir")]
    dir: Option<PathBuf>,

    /// The folder, spelled as scoring spells it
    #[arg(long, value_name = "DIR")]
    plugin_dir: Option<PathBuf>,

    #[command(flatten)]
    trust: TrustArgs,

    /// Write JSON, for programs
    #[arg(long)]
    json: bool,

    /// Give each plugin this many seconds to load and describe itself
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = super::seconds)]
    timeout: Duration,
}

/// Children at once, on however few cores: the slow ones wait for something else than a core.
const AT_ONCE: usize = 8;

/// The column that is there only where somebody was asked.
const TRUSTED_BY: usize = 4;

/// A line of the table: a model, or a file that offers none.
#[derive(Serialize)]
struct Row {
    file: String,
    model: Option<String>,
    version: Option<String>,
    abi: Option<String>,
    /// `ok`, `refused` or `ambiguous`.
    state: &'static str,
    /// Why it is not `ok`.
    reason: Option<String>,
    /// Who answers for the file, where somebody was asked and does.
    #[serde(skip_serializing_if = "Option::is_none")]
    trusted_by: Option<String>,
}

pub(super) fn list(args: &ListArgs) -> Result<u8, Error> {
    let trust = args.trust.read()?;
    let folder = paths::plugin_folder(args.dir.as_ref().or(args.plugin_dir.as_ref()));
    let unreadable =
        |error| Error::Folder { path: folder.clone(), source: FindError::Unreadable(error) };
    let entries = folder::scan(&folder).map_err(unreadable)?;
    let mut rows: Vec<Row> =
        child::side_by_side(&entries, child::at_once().max(AT_ONCE), |entry| {
            rows(entry, trust.as_ref(), args.timeout)
        })
        .into_iter()
        .flatten()
        .collect();
    name_twins(&mut rows);
    if args.json {
        print(&(serde_json::to_string_pretty(&rows).expect("keys are texts") + "\n"))?;
        return Ok(exit::OK);
    }
    if rows.is_empty() {
        super::say(&format!("there are no plugins in `{}`\n", folder.display()));
    }
    print(&table(&rows, trust.is_some()))?;
    Ok(exit::OK)
}

fn rows(entry: &Entry, trust: Option<&Trust>, timeout: Duration) -> Vec<Row> {
    let abi = entry.looked.as_ref().ok().map(|looked| looked.stamp.abi.clone());
    let admitted = trust.map(|trust| trust.admit(&entry.path)).transpose();
    let trusted_by = admitted.as_ref().ok().and_then(Option::as_ref).map(|it| it.by.to_string());
    let refused = |reason: String| {
        let (file, abi, trusted_by) = (entry.file_name(), abi.clone(), trusted_by.clone());
        let (state, reason) = ("refused", Some(reason));
        vec![Row { file, model: None, version: None, abi, state, reason, trusted_by }]
    };
    if let Err(refusal) = &entry.looked {
        return refused(chain(refusal));
    }
    let image = match &admitted {
        Err(untrusted) => return refused(chain(untrusted)),
        Ok(admitted) => admitted
            .as_ref()
            .map_or_else(|| Image::on_disk(&entry.path), |admitted| admitted.image.clone()),
    };
    let models = match judge(&image, timeout) {
        Err(error) => return refused(format!("no child process could be started: {error}")),
        Ok(Judged::Sound(models)) => models,
        Ok(judged) => return refused(judged.reason().expect("it is not sound")),
    };
    let row = |model: model_abi::describe::ModelDescription| Row {
        file: entry.file_name(),
        version: Some(model.version()),
        model: Some(model.qualified_name),
        abi: abi.clone(),
        state: "ok",
        reason: None,
        trusted_by: trusted_by.clone(),
    };
    models.into_iter().map(row).collect()
}

/// Two files that offer the same model in the same version are both named: neither can be found by
/// name.
fn name_twins(rows: &mut [Row]) {
    let offers = |row: &Row| row.model.clone().zip(row.version.clone());
    let twins: Vec<Option<String>> = rows
        .iter()
        .map(|row| {
            let same = |other: &&Row| {
                offers(row).is_some() && offers(row) == offers(other) && row.file != other.file
            };
            let files: Vec<&str> = rows.iter().filter(same).map(|row| row.file.as_str()).collect();
            (!files.is_empty()).then(|| format!("also in {}", folder::few(&files, ", ")))
        })
        .collect();
    for (row, twins) in rows.iter_mut().zip(twins) {
        if twins.is_some() {
            (row.state, row.reason) = ("ambiguous", twins);
        }
    }
}

/// `has_trust`: whether anybody was asked who answers for the files.
fn table(rows: &[Row], has_trust: bool) -> String {
    let dash = |cell: &Option<String>| cell.as_deref().map_or("-".to_owned(), on_a_line);
    let trust = |cell: String| if has_trust { cell } else { String::new() };
    let head = ["FILE", "MODEL", "VERSION", "ABI", "TRUSTED BY", "STATE"].map(str::to_owned);
    let mut cells = vec![head];
    cells[0][TRUSTED_BY] = trust(cells[0][TRUSTED_BY].clone());
    cells.extend(rows.iter().map(|row| {
        let state = match &row.reason {
            Some(reason) => format!("{}: {}", row.state, on_a_line(reason)),
            None => row.state.to_owned(),
        };
        let (file, trust) = (on_a_line(&row.file), trust(dash(&row.trusted_by)));
        [file, dash(&row.model), dash(&row.version), dash(&row.abi), trust, state]
    }));
    let width = |column: usize| {
        cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &cells {
        for (cell, width) in row.iter().zip(widths).filter(|(_, width)| *width > 0) {
            let _ = write!(text, "{cell:<width$}  ");
        }
        let _ = writeln!(text, "{}", row[5]);
    }
    text
}
