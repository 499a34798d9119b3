//! The journal of a run that can be resumed: which job it is, and how far its outputs can be
//! trusted.
//!
//! A text file beside the unpublished outputs, one line a record: a checksum, a space, JSON. First
//! [`Header`]: what makes the job this one and no other. Then a [`Checkpoint`] each time that the
//! outputs had been flushed: so many bytes of each are on disk, and hold what became of the input up
//! to there. In the end [`Sealed`]: everything is flushed, what is left is to give files their names.
//! A checksum covers the lines before it too, so a line is valid only where all before it are. What
//! a crash tore is the last line, since each is flushed before the next is written: reading ends
//! there, at the checkpoint before.
//!
//! Append-only and flushed record by record is how write-ahead logs are kept; like LevelDB's, this
//! one takes a torn end for the end.

use crate::counts::{Counts, Node};
use crate::record::RecordPosition;
use crate::sink::publish::{self, Names, OpenError, Output, folder_of, hidden_path};
use crate::storage::disk::{Disk, HeldFile, HoldError, Local};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The form of this file; another number means that this host can't read it.
const FORMAT: u32 = 1;

/// What a journal's first line says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The form of the journal.
    pub format: u32,
    /// All that shapes the bytes of the outputs.
    pub identity: Identity,
    /// Whole paths of the files of the job: `input`, `output`, `rejects`, `plugin`.
    pub files: BTreeMap<String, PathBuf>,
    /// When the run began, in UTC (RFC 3339).
    pub started: String,
}

impl Header {
    /// For a run that begins now.
    pub fn new(identity: Identity, files: BTreeMap<String, PathBuf>, started: String) -> Self {
        Header { format: FORMAT, identity, files, started }
    }
}

/// Names in an [`Identity`] whose values files can tell.
pub const INPUT: &str = "the input's content";
/// The plugin's digest.
pub const PLUGIN: &str = "the plugin's SHA-256";
/// The host.
pub const HOST: &str = "the version of etl-host";

/// What makes a job this one: names and values that must be the same when it is resumed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity(pub BTreeMap<String, String>);

impl Identity {
    /// What differs, one sentence each.
    pub fn differences(&self, now: &Identity) -> Vec<String> {
        let names = self.0.keys().chain(now.0.keys().filter(|name| !self.0.contains_key(*name)));
        let value = |identity: &Identity, name: &String| {
            identity.0.get(name).map_or("nothing".to_owned(), |value| format!("`{value}`"))
        };
        names
            .map(|name| (name, value(self, name), value(now, name)))
            .filter(|(_, was, is)| was != is)
            .map(|(name, was, is)| format!("{name} was {was} and is {is}"))
            .collect()
    }
}

/// How far a run has come: everything up to here is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Where the source goes on.
    pub position: RecordPosition,
    /// Lengths in bytes: of the rejects, of the output.
    pub lengths: [u64; 2],
    /// What became of the records before.
    pub counts: Counts,
    /// The same for each node.
    pub nodes: Vec<Node>,
    /// When that was, in UTC (RFC 3339).
    pub time: String,
}

/// A run that has nothing left to do but to publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Lengths and counts of the whole.
    pub end: Checkpoint,
    /// Device and number of the files that are to be published, rejects and output; `None`: there is
    /// nothing in it, and what an earlier run left under its name is to be removed.
    pub files: [Option<(u64, u64)>; 2],
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Run(Header),
    Checkpoint(Checkpoint),
    Sealed(Sealed),
}

/// What a journal says of an earlier run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Which run it was; `None` where it had not come to its first checkpoint.
    pub header: Option<Header>,
    /// The last checkpoint.
    pub checkpoint: Option<Checkpoint>,
    /// Set where everything is done but for the publication.
    pub sealed: Option<Sealed>,
}

/// What is left, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing that anybody could go on with.
    Worthless,
    /// Work that must not be lost: checkpoints, or files that wait for their names.
    Unfinished,
    /// Everything has its name.
    Published,
}

impl Left {
    fn state(&self, disk: &dyn Disk, names: &[Names; 2]) -> io::Result<State> {
        let Some(sealed) = &self.sealed else {
            return Ok(match self.checkpoint {
                Some(_) => State::Unfinished,
                None => State::Worthless,
            });
        };
        Ok(match sealed.publication(disk, names)? {
            Publication::Pending => State::Unfinished,
            Publication::Done => State::Published,
            Publication::Gone => State::Worthless,
        })
    }

    /// How many records have come to their end.
    pub fn records(&self) -> u64 {
        let end = self.sealed.as_ref().map(|sealed| &sealed.end);
        end.or(self.checkpoint.as_ref()).map_or(0, |checkpoint| checkpoint.counts.read)
    }
}

/// How far the publication of a sealed run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Publication {
    /// All files have their names.
    Done,
    /// Some wait for them.
    Pending,
    /// One is neither here nor there: somebody took it.
    Gone,
}

impl Sealed {
    /// Looks for the files. `names`: of the rejects and the output.
    fn publication(&self, disk: &dyn Disk, names: &[Names; 2]) -> io::Result<Publication> {
        let mut publication = Publication::Done;
        for (number, names) in self.files.iter().zip(names) {
            let has_number = |path: &Path| -> io::Result<bool> {
                Ok(disk.find(path)?.is_some_and(|file| Some(file.number) == *number))
            };
            match number {
                Some(_) if has_number(&names.part())? => publication = Publication::Pending,
                Some(_) if has_number(&names.path)? => {}
                Some(_) => return Ok(Publication::Gone),
                None if disk.find(&names.given)?.is_some() => publication = Publication::Pending,
                None => {}
            }
        }
        Ok(publication)
    }
}

/// Why a journal can't be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file can't be had.
    #[error(transparent)]
    Hold(#[from] HoldError),
    /// The file can't be read or written.
    #[error("{} can't be read or written", path.display())]
    Io {
        /// The journal.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error("{} is no journal of etl-host", .0.display())]
    Foreign(PathBuf),
    /// Another version wrote it.
    #[error("{} was written by another version of etl-host, whose journals this one can't read",
        .0.display())]
    Format(PathBuf),
    /// The interrupted run was another job.
    #[error("the interrupted run was not the same job: {}", .0.join("; "))]
    Differs(Vec<String>),
    /// A run that does not resume would destroy what an interrupted run did.
    #[error("an interrupted run has done {} records of it", .0)]
    Left(u64),
    /// What the journal trusts in can't be had.
    #[error(transparent)]
    Output(#[from] OpenError),
}

impl JournalError {
    /// What to do. `status` is to be asked about `subject`.
    pub fn hint(&self, subject: &str) -> Option<String> {
        let abort = format!("to give it up: etl-host status --abort {subject}");
        match self {
            JournalError::Hold(HoldError::Busy(_)) => Some(
                "wait for the other run to end, or give this one another output or --state".into(),
            ),
            JournalError::Differs(_) => {
                Some(format!("make it the same again to go on with it; {abort}"))
            }
            JournalError::Left(_) => Some(format!("--resume goes on with it; {abort}")),
            JournalError::Output(_) => Some(abort),
            JournalError::Format(_) => {
                Some("go on with the version that wrote it, or remove it".to_owned())
            }
            JournalError::Foreign(_) | JournalError::Io { .. } | JournalError::Hold(_) => None,
        }
    }
}

/// Where the journal of an output lies, unless it is told otherwise.
pub fn path_beside(output: &Path) -> PathBuf {
    hidden_path(output, "journal")
}

/// Where it lies in a folder of its own.
pub fn path_in(folder: &Path) -> PathBuf {
    folder.join("etl-host-journal")
}

/// Whether a file is called as journals are.
pub fn is_name(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("etl-host-journal"))
}

/// What there is of a journal.
pub struct Look {
    /// What it says.
    pub left: Left,
    /// Whether a run holds it.
    pub is_running: bool,
}

/// Looks at a journal of this machine that is there.
pub fn look(path: &Path) -> Result<Look, JournalError> {
    let is_running = match Local.hold(path) {
        Ok(_) => false,
        Err(HoldError::Busy(_)) => true,
        // Whoever may not write may look.
        Err(HoldError::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
            false
        }
        Err(error) => return Err(error.into()),
    };
    let bytes = std::fs::read(path);
    let bytes = bytes.map_err(|source| JournalError::Io { path: path.to_owned(), source })?;
    let read = read(&bytes).map_err(|why| why(path.to_owned()))?;
    Ok(Look { left: read.left, is_running })
}

/// Removes a journal of this machine and the unpublished files that it speaks of, the journal last;
/// says what it said, and what was removed.
pub fn abort(path: &Path) -> Result<(Look, Vec<PathBuf>), JournalError> {
    let io_error = |source| JournalError::Io { path: path.to_owned(), source };
    let mut held = Local.hold(path)?;
    let bytes = held.read_all().map_err(io_error)?;
    let left = read(&bytes).map_err(|why| why(path.to_owned()))?.left;
    let mut removed = Vec::new();
    let files = left.header.iter().flat_map(|header| &header.files);
    for (_, file) in files.filter(|(name, _)| ["output", "rejects"].contains(&name.as_str())) {
        let part = Names { given: file.clone(), path: file.clone() }.part();
        if Local.find(&part).map_err(io_error)?.is_some() {
            let _held = Local.hold(&part)?; // not while a run without a journal has taken it over
            Local.remove(&part).map_err(io_error)?;
            removed.push(part);
        }
    }
    Local.remove(path).map_err(io_error)?;
    removed.push(path.to_owned());
    Ok((Look { left, is_running: false }, removed))
}

/// Covers a line and all lines before it.
#[derive(Clone, Default)]
struct Sum([u8; 8]);

impl Sum {
    fn next(&self, text: &[u8]) -> Sum {
        let digest = Sha256::new().chain_update(self.0).chain_update(text).finalize();
        Sum(digest[..8].try_into().expect("a digest is longer"))
    }

    fn text(&self) -> String {
        format!("{:016x}", u64::from_be_bytes(self.0))
    }
}

/// Writes lines, each with the checksum that covers those before it too.
fn add_line(text: &mut Vec<u8>, sum: &mut Sum, line: &Line) {
    let json = serde_json::to_vec(line).expect("its keys are texts");
    *sum = sum.next(&json);
    text.extend_from_slice(sum.text().as_bytes());
    text.push(b' ');
    text.extend_from_slice(&json);
    text.push(b'\n');
}

/// What a journal with these checkpoints holds.
pub fn text(header: &Header, checkpoints: &[Checkpoint]) -> Vec<u8> {
    let (mut text, mut sum) = (Vec::new(), Sum::default());
    add_line(&mut text, &mut sum, &Line::Run(header.clone()));
    for checkpoint in checkpoints {
        add_line(&mut text, &mut sum, &Line::Checkpoint(checkpoint.clone()));
    }
    text
}

/// What the valid lines of a journal say, and how long they are.
struct Read {
    left: Left,
    len: usize,
    sum: Sum,
}

/// Reads up to the first line that is not valid. `None`: it is no journal.
fn read(bytes: &[u8]) -> Result<Read, fn(PathBuf) -> JournalError> {
    let mut read = Read { left: Left::default(), len: 0, sum: Sum::default() };
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let Some(line) = line.strip_suffix(b"\n") else { break };
        let Some((sum, text)) = line.split_at_checked(16) else { break };
        let Some(text) = text.strip_prefix(b" ") else { break };
        let expected = read.sum.next(text);
        if sum != expected.text().as_bytes() {
            break;
        }
        // Valid, so somebody meant it.
        let record =
            serde_json::from_slice(text).map_err(|_| JournalError::Format as fn(_) -> _)?;
        match record {
            Line::Run(header) if header.format == FORMAT => read.left.header = Some(header),
            Line::Run(_) => return Err(JournalError::Format),
            Line::Checkpoint(checkpoint) => read.left.checkpoint = Some(checkpoint),
            Line::Sealed(sealed) => read.left.sealed = Some(sealed),
        }
        read.len += line.len() + 1;
        read.sum = expected;
    }
    // A first line that is whole and not ours: somebody else's file. A torn one lacks its end, or
    // holds zeros where the disk never wrote.
    let first = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let is_torn = first.len() == bytes.len() || first.contains(&0);
    if read.len == 0 && !is_torn {
        return Err(JournalError::Foreign);
    }
    Ok(read)
}

/// What the bytes of a journal say. `None`: they are no journal's, or one of another version.
pub fn parse(bytes: &[u8]) -> Option<Left> {
    read(bytes).ok().map(|read| read.left)
}

/// A journal that this run holds. Dropped before anything is written to it, it is removed.
pub struct Journal {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Box<dyn HeldFile>,
    sum: Sum,
    /// To be written before the first checkpoint.
    header: Option<Header>,
    /// Where the outputs lie, rejects and output.
    names: [Names; 2],
    /// Whether the names of the files are durable: before, no checkpoint may rest on them.
    are_names_safe: bool,
    is_kept: bool,
}

impl Journal {
    /// Opens the journal for the job that `header` describes, and says what is left of an earlier
    /// run of it. `names`: of its rejects and its output.
    pub fn open(
        disk: Arc<dyn Disk>,
        path: PathBuf,
        header: Header,
        names: [Names; 2],
    ) -> Result<(Self, Left), JournalError> {
        let mut file = disk.hold(&path)?;
        let io_error = |source| JournalError::Io { path: path.clone(), source };
        let Read { left, len, sum } =
            read(&file.read_all().map_err(io_error)?).map_err(|why| why(path.clone()))?;
        let state = left.state(&*disk, &names).map_err(io_error)?;
        let are_names_safe = false;
        let mut journal =
            Journal { disk, path, file, sum, header: None, names, are_names_safe, is_kept: true };
        let differences =
            left.header.as_ref().map(|was| was.identity.differences(&header.identity));
        match (state, differences) {
            (State::Unfinished, Some(differences)) if !differences.is_empty() => {
                Err(JournalError::Differs(differences))
            }
            // Published, and nobody was told: this run tells it.
            (State::Unfinished | State::Published, Some(differences)) if differences.is_empty() => {
                journal.cut(len)?;
                Ok((journal, left))
            }
            _ => {
                journal.sum = Sum::default();
                journal.header = Some(header);
                journal.is_kept = false;
                journal.cut(0)?;
                Ok((journal, Left::default()))
            }
        }
    }

    /// Refuses where a run that begins anew would destroy what an interrupted one did. `names` as in
    /// [`Journal::open`].
    pub fn refuse_left(
        disk: &dyn Disk,
        path: &Path,
        names: [Names; 2],
    ) -> Result<(), JournalError> {
        let io_error = |source| JournalError::Io { path: path.to_owned(), source };
        if disk.find(path).map_err(io_error)?.is_none() {
            return Ok(());
        }
        let mut file = disk.hold(path)?;
        let read = read(&file.read_all().map_err(io_error)?).map_err(|why| why(path.to_owned()))?;
        if read.left.state(disk, &names).map_err(io_error)? == State::Unfinished {
            return Err(JournalError::Left(read.left.records()));
        }
        disk.remove(path).map_err(io_error)
    }

    fn cut(&mut self, len: usize) -> Result<(), JournalError> {
        let cut = self.file.cut(len as u64);
        cut.map_err(|source| JournalError::Io { path: self.path.clone(), source })
    }

    /// Says that the outputs are flushed up to here.
    pub fn checkpoint(&mut self, checkpoint: &Checkpoint) -> io::Result<()> {
        self.append(&Line::Checkpoint(checkpoint.clone()))
    }

    /// Says that the outputs are whole and flushed.
    pub fn seal(&mut self, sealed: &Sealed) -> io::Result<()> {
        self.append(&Line::Sealed(sealed.clone()))
    }

    /// Publishes what a sealed run left, as far as it is not published yet.
    pub fn publish(&self, sealed: &Sealed) -> Result<Result<(), publish::Unfinished>, OpenError> {
        let (mut wanted, mut outdated) = (Vec::new(), Vec::new());
        for (i, names) in self.names.iter().enumerate() {
            let go_on = |len| Output::go_on(self.disk.clone(), names.clone(), len);
            let part = self.disk.find(&names.part()).ok().flatten();
            match sealed.files[i] {
                Some(number) if part.is_some_and(|part| part.number == number) => {
                    let mut output = go_on(sealed.end.lengths[i])?;
                    output.keep();
                    wanted.push(output);
                }
                Some(_) => {} // it has its name
                None => outdated.push(go_on(0)?),
            }
        }
        Ok(publish::publish(wanted, outdated))
    }

    fn append(&mut self, line: &Line) -> io::Result<()> {
        let mut text = Vec::new();
        if let Some(header) = self.header.take() {
            add_line(&mut text, &mut self.sum, &Line::Run(header));
        }
        add_line(&mut text, &mut self.sum, line);
        if !self.are_names_safe {
            self.sync_folders()?;
            self.are_names_safe = true;
        }
        self.is_kept = true;
        let mut rest = &text[..];
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.file.sync()
    }

    /// Makes the names of the journal and of the outputs durable.
    fn sync_folders(&self) -> io::Result<()> {
        let paths = self.names.iter().map(|names| &names.path).chain([&self.path]);
        let mut folders: Vec<_> = paths.map(|path| folder_of(path)).collect();
        folders.dedup();
        folders.iter().try_for_each(|folder| self.disk.sync_folder(folder))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run is complete, or nobody is to go on with it.
    pub fn remove(mut self) -> io::Result<()> {
        self.is_kept = true; // tried here, and not again
        self.sync_folders()?; // until the names of what was published are durable, it is needed
        self.disk.remove(&self.path)?;
        self.disk.sync_folder(&folder_of(&self.path))
    }
}

impl Drop for Journal {
    /// Nothing in it: nothing left behind.
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = self.disk.remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::disk::sim::Sim;

    fn checkpoint(read: u64) -> Checkpoint {
        Checkpoint {
            position: RecordPosition { line: read + 1, byte: 10 * read },
            lengths: [0, read],
            counts: Counts { read, written: read, ..Counts::default() },
            nodes: Vec::new(),
            time: String::new(),
        }
    }

    fn header(values: &[(&str, &str)]) -> Header {
        let values = values.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        Header::new(Identity(values.collect()), BTreeMap::new(), String::new())
    }

    fn names() -> [Names; 2] {
        ["/bad", "/out"].map(|path| Names { given: path.into(), path: path.into() })
    }

    /// How many records are done by what this file holds, to a run of this job; or why it can't be.
    fn opened(bytes: &[u8], job: &[(&str, &str)]) -> Result<u64, String> {
        let disk = Sim::default();
        disk.put(Path::new("/j"), bytes);
        match Journal::open(Arc::new(disk), "/j".into(), header(job), names()) {
            Ok((_, left)) => Ok(left.records()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn reading_ends_before_the_first_line_that_is_not_as_it_was_written() {
        let text = text(&header(&[]), &[checkpoint(1), checkpoint(2)]);
        assert_eq!(opened(&text, &[]), Ok(2));
        let ends: Vec<usize> = memchr::memchr_iter(b'\n', &text).map(|at| at + 1).collect();
        for cut in 0..text.len() {
            let expected = (ends.iter().filter(|&&end| end <= cut).count() as u64).max(1) - 1;
            assert_eq!(opened(&text[..cut], &[]), Ok(expected), "cut at {cut}");
        }
        for at in ends[0]..text.len() {
            for change in [0x01, 0x20, 0xff] {
                let mut text = text.clone();
                text[at] ^= change;
                let expected = u64::from(at >= ends[1]);
                assert_eq!(opened(&text, &[]), Ok(expected), "byte {at}");
            }
        }
    }

    #[test]
    fn a_line_in_the_place_of_another_is_not_valid() {
        let text = text(&header(&[]), &[checkpoint(1), checkpoint(2), checkpoint(3)]);
        let lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
        for order in [[0, 1, 3, 2], [0, 2, 1, 3], [0, 1, 1, 2]] {
            let expected = order.iter().zip(0..).take_while(|(line, at)| **line == *at).count() - 1;
            let text: Vec<u8> = order.iter().flat_map(|&line| lines[line]).copied().collect();
            assert_eq!(opened(&text, &[]), Ok(expected as u64), "{order:?}");
        }
    }

    #[test]
    fn what_the_disk_never_wrote_is_no_work_and_what_is_not_ours_stays() {
        assert_eq!(opened(b"", &[]), Ok(0));
        assert_eq!(opened(&[0; 4096], &[]), Ok(0));
        assert_eq!(opened(b"half a li", &[]), Ok(0));
        let refused = opened(b"somebody's notes\n", &[]).unwrap_err();
        assert_eq!(refused, "/j is no journal of etl-host");
    }

    #[test]
    fn another_job_is_refused_by_the_names_of_what_differs() {
        let text = text(&header(&[("a", "1"), ("b", "2"), ("c", "3")]), &[checkpoint(1)]);
        let refused = opened(&text, &[("a", "1"), ("b", "other"), ("d", "4")]).unwrap_err();
        assert_eq!(
            refused,
            "the interrupted run was not the same job: b was `2` and is `other`; c was `3` and is \
             nothing; d was nothing and is `4`"
        );
        // Without a checkpoint there is nothing to be lost.
        let text = super::text(&header(&[("a", "1")]), &[]);
        assert_eq!(opened(&text, &[]), Ok(0));
    }

    #[test]
    fn a_journal_of_another_form_is_refused() {
        let newer = Header { format: FORMAT + 1, ..header(&[]) };
        let refused = opened(&text(&newer, &[checkpoint(1)]), &[]).unwrap_err();
        assert!(refused.contains("was written by another version"), "{refused}");
    }
}
