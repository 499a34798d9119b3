//! `etl-host commit`: many outputs that wait in a store (`--hold`) appear together, each once, whatever dies
//! on the way.
//!
//! The manifest is the point of no return: the list of all that is to be done, put into the folder whole,
//! and only if nobody has. Before it nothing is visible; behind it the job is done, and whoever comes by
//! brings it to its end, any number of times. So each step may be done twice, and by two at once.

mod document;
mod place;
mod rejects;

use super::print;
use super::services::ServiceArgs;
use crate::error::{Error, exit};
use crate::stop::Stop;
use crate::storage::Trouble;
use clap::Args;
use document::{Document, Step};
use place::{MANIFEST, Place, SUCCESS};
use serde_json::json;
use std::ffi::OsString;
use std::io::{self, Read as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Make outputs that wait in a store (`--hold`) appear together, each once
///
/// Reads the steps from stdin, a JSON object a line: {"job":NAME}, which comes first;
/// {"join":TICKET}, as --hold wrote it; {"rejects":{"name":…,"of":[{"name":…,"lines_before":…,"rejects":…}]}},
/// one object of several of rejects, in which `range_line` N becomes `line` N + lines_before, unless that
/// is null; {"text":{"name":…,"text":…}}; {"remove":FOLDER/}, in `_temporary/`. Names are relative to LOCATION.
///
/// They are put there first, as `_manifest.ldjson`, only if nobody has; then they are done, in any order
/// within a kind; then `_SUCCESS` is put. What dies on the way, --finish ends. The store must know uploads
/// in parts and puts that are refused where something is: S3, Google's and Azure's do.
///
/// Exit codes: 0 it is done; 2 wrong command line or steps; 3 the store failed, or another job has the folder.
#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("way").multiple(false)))]
pub(super) struct CommitArgs {
    /// A folder in a store: s3://BUCKET/FOLDER/
    #[arg(value_name = "LOCATION")]
    location: OsString,

    /// Commit nothing: say what is there, as JSON, and, where nothing is, whether a commit can be made
    ///
    /// {"state":…}: `empty`; `occupied`, with "found":NAME; `begun`, a commit that --finish ends, or `done`,
    /// both with "job":NAME. What lies in `_temporary/` does not count.
    #[arg(long, group = "way")]
    check: bool,

    /// Read no steps: end the commit that was begun here. Does nothing where it is done
    #[arg(long, group = "way")]
    finish: bool,

    /// Do the opposite: have the store forget what the steps would join, and remove what they would
    ///
    /// For a job that failed. Refused where its commit was begun.
    #[arg(long, group = "way")]
    abandon: bool,

    #[command(flatten)]
    services: ServiceArgs,
}

/// So many requests are under way at once, where there are many to make.
const AT_ONCE: usize = 64; // a store takes some thousand a second, and answers each in some 50 ms

pub(super) fn commit(args: &CommitArgs) -> Result<u8, Error> {
    let services = args.services.open(None, &Stop::default())?;
    let place = Place::of(&args.location, &services)?;
    if args.check {
        return check(&place);
    }
    if args.finish {
        let text = place.read(MANIFEST)?.ok_or_else(|| unbegun(&place))?;
        let document = Document::read(&text, &place).map_err(|error| place.damaged(&error))?;
        return finish(&place, &document);
    }
    let mut text = Vec::new();
    io::stdin()
        .read_to_end(&mut text)
        .map_err(|source| Error::Input { path: "-".into(), source })?;
    let document = Document::read(&text, &place)?;
    if args.abandon {
        return abandon(&place, &document);
    }
    place.check_conditions()?;
    // Ours may be there all the same: an answer was lost on the way, or this is done once more.
    if !place.put_new(MANIFEST, text.clone())? && place.read(MANIFEST)?.as_ref() != Some(&text) {
        let what = "another job has begun its commit there, and this one published nothing";
        let hint = "commit into another folder, or give up: etl-host commit --abandon";
        return Err(
            place.failed(MANIFEST, Trouble::error(io::ErrorKind::AlreadyExists, what, Some(hint)))
        );
    }
    finish(&place, &document)
}

fn unbegun(place: &Place<'_>) -> Error {
    let hint = "there is nothing to end: run the job again";
    let what = "no commit was begun there";
    place.failed(MANIFEST, Trouble::error(io::ErrorKind::NotFound, what, Some(hint)))
}

fn check(place: &Place<'_>) -> Result<u8, Error> {
    let state = match place.job()? {
        Some(job) => match place.is_there(SUCCESS)? {
            true => json!({"state": "done", "job": job}),
            false => json!({"state": "begun", "job": job}),
        },
        None => match place.found()? {
            Some(found) => json!({"state": "occupied", "found": found}),
            None => {
                place.check_conditions()?;
                json!({"state": "empty"})
            }
        },
    };
    print(&format!("{state}\n")).map(|()| exit::OK)
}

/// Does all steps, and says that they are done.
fn finish(place: &Place<'_>, document: &Document) -> Result<u8, Error> {
    if !place.is_there(SUCCESS)? {
        match steps(place, document) {
            // Another who is at it may have ended it, and have removed what we were to read.
            Err(error) if !place.is_there(SUCCESS).unwrap_or(false) => return Err(error),
            _ => {}
        }
    }
    // Nobody waits for that, and who may write need not be allowed to remove.
    let _ = remove(place, document);
    Ok(exit::OK)
}

fn steps(place: &Place<'_>, document: &Document) -> Result<(), Error> {
    for_each(&document.tickets(), 0, |ticket| place.join(ticket))?;
    for step in &document.steps {
        match step {
            Step::Rejects { name, of } => rejects::join(place, name, of)?,
            Step::Text { name, text } => place.put(name, text.clone().into_bytes())?,
            Step::Job(_) | Step::Join(_) | Step::Remove(_) => {}
        }
    }
    place.put(SUCCESS, Vec::new())
}

fn abandon(place: &Place<'_>, document: &Document) -> Result<u8, Error> {
    if place.job()?.is_some_and(|job| job == document.job()) {
        let what = "the commit of this job was begun: its parts are published, or will be";
        let hint = "etl-host commit --finish LOCATION ends it";
        return Err(
            place.failed(MANIFEST, Trouble::error(io::ErrorKind::AlreadyExists, what, Some(hint)))
        );
    }
    let forgotten = for_each(&document.tickets(), AT_ONCE, |ticket| place.give_up(ticket));
    remove(place, document).and(forgotten).map(|()| exit::OK)
}

fn remove(place: &Place<'_>, document: &Document) -> Result<(), Error> {
    for step in &document.steps {
        let Step::Remove(folder) = step else { continue };
        for_each(&place.objects(folder)?, 0, |object| place.remove(object))?;
    }
    Ok(())
}

/// Does it for each, several at once, and tells the first error. Where more than `failures` have failed, no
/// other is begun: each may have waited a minute for a store that is gone.
fn for_each<T: Sync>(
    all: &[T],
    failures: usize,
    work: impl Fn(&T) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let goes_on = || failed.lock().is_ok_and(|failed| failed.len() <= failures);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(all.len()) {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed))
                    && goes_on()
                {
                    if let Err(error) = work(one)
                        && let Ok(mut failed) = failed.lock()
                    {
                        failed.push(error);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.into_iter().next().map_or(Ok(()), Err)
}
