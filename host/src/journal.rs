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
//! Of an object in a store, the file is what waits to be sent ([`Names::elsewhere`]), and what the
//! store has of it is told behind the checkpoints, as it arrives ([`Sent`]): those bytes the file
//! need not hold any more.
//!
//! Append-only and flushed record by record is how write-ahead logs are kept; like LevelDB's, this
//! one takes a torn end for the end.

use crate::counts::{Counts, Node};
use crate::record::RecordPosition;
use crate::sink::publish::{self, Names, OpenError, Output, folder_of};
use crate::storage::disk::{Disk, FileId, FileNumber, HeldFile, HoldError, Local};
use crate::storage::upload::{Sent, Upload};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub mod place;

/// The form of this file; another number means that this host can't read it.
const FORMAT: u32 = 3;

/// What a journal's first line says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The form of the journal.
    pub format: u32,
    /// All that shapes the bytes of the outputs.
    pub identity: Identity,
    /// The rejects, then each output in the order of publication, with whole paths. The last one is the
    /// one that the journal is found by.
    pub outputs: Vec<Names>,
    /// What is read, in order.
    pub inputs: Vec<InputFile>,
    /// Whole paths of what else the job has to do with: `plugin`, `working folder`.
    pub files: BTreeMap<String, PathBuf>,
    /// When the run began, in UTC (RFC 3339).
    pub started: String,
}

impl Header {
    /// For a run that begins now.
    pub fn new(
        identity: Identity,
        outputs: Vec<Names>,
        inputs: Vec<InputFile>,
        files: BTreeMap<String, PathBuf>,
        started: String,
    ) -> Self {
        Header { format: FORMAT, identity, outputs, inputs, files, started }
    }

    /// The output that the journal is found by.
    pub fn main_output(&self) -> &Names {
        self.outputs.last().expect("a run has an output")
    }
}

/// An input of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// Its whole path, or what else it is found by.
    pub path: PathBuf,
    /// What it held, as [`Input::version`](crate::storage::Input::version) says it.
    pub version: String,
}

/// Name in an [`Identity`] whose value files can tell: the plugin's digest.
pub const PLUGIN: &str = "the plugin's SHA-256";
/// The host.
pub const HOST: &str = "the version of etl-host";
/// The range of its input that is read.
pub const RANGE: &str = "--range";
/// The formats of the inputs.
pub const INPUT_FORMAT: &str = "--input-format";

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
    /// In which of the inputs the source goes on, from 0,
    pub input: usize,
    /// and where.
    pub position: RecordPosition,
    /// How much of all inputs is done, in bytes.
    pub bytes_read: u64,
    /// Lengths in bytes: of the rejects, of each output.
    pub lengths: Vec<u64>,
    /// Which files these were.
    pub numbers: Vec<FileNumber>,
    /// What became of the records before.
    pub counts: Counts,
    /// The same for each node.
    pub nodes: Vec<Node>,
    /// When that was, in UTC (RFC 3339).
    pub time: String,
}

impl Checkpoint {
    /// Whether the rejects (0) or an output have this name.
    fn is_at(&self, i: usize, path: &Path, disk: &dyn Disk) -> io::Result<bool> {
        let expected = FileId { number: self.numbers[i], len: self.lengths[i] };
        Ok(disk.find(path)? == Some(expected))
    }
}

/// A run that has nothing left to do but to publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Lengths and counts of the whole.
    pub end: Checkpoint,
    /// Whether the rejects and each output are to be published. If not, there is nothing in it, and what an
    /// earlier run left under its name is to be removed.
    pub wanted: Vec<bool>,
    /// What was in the place of an object until now, where that is known: what is there later is new.
    #[serde(default)]
    pub before: Vec<Option<String>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Run(Header),
    Checkpoint(Checkpoint),
    /// Of the rejects (0) or an output: what arrived at a store since the last such line.
    Sent(usize, Sent),
    Sealed(Sealed),
}

/// Goes on with an upload, or makes a new one: by the location, and what was sent before.
pub type Uploads<'a> = &'a dyn Fn(&str, Option<Sent>) -> io::Result<Box<dyn Upload>>;

/// What a journal says of an earlier run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Which run it was; `None` where it had not come to its first checkpoint.
    pub header: Option<Header>,
    /// The last checkpoint.
    pub checkpoint: Option<Checkpoint>,
    /// What stores have of the rejects and of each output.
    pub sent: Vec<Option<Sent>>,
    /// Set where everything is done but for the publication.
    pub sealed: Option<Sealed>,
}

/// What is left, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing that anybody could go on with.
    Worthless,
    /// Checkpoints, behind which the run goes on.
    Interrupted,
    /// All is done, and files wait for their names.
    Unpublished,
    /// Everything has its name.
    Published,
}

impl Left {
    /// Looks for the files that it speaks of.
    pub fn state(&self, disk: &dyn Disk) -> io::Result<State> {
        let Some(Header { outputs, .. }) = &self.header else { return Ok(State::Worthless) };
        let Some(Sealed { end, wanted, .. }) = &self.sealed else {
            return Ok(match self.checkpoint {
                Some(_) => State::Interrupted,
                None => State::Worthless,
            });
        };
        let (mut waits, mut is_outdated, mut is_gone) = (false, false, false);
        for (i, names) in outputs.iter().enumerate() {
            match wanted[i] {
                true if end.is_at(i, &names.part(), disk)? => waits = true,
                // Whether it is in its place, only a store can tell: see `publish`.
                _ if names.elsewhere.is_some() => {}
                true => is_gone |= !end.is_at(i, &names.path, disk)?, // somebody took it
                false => is_outdated |= disk.find(&names.given)?.is_some(),
            }
        }
        Ok(match is_gone && !waits {
            true => State::Worthless, // as long as one waits, it is not lost
            false if waits || is_outdated => State::Unpublished,
            false => State::Published,
        })
    }

    /// Whether a file of a sealed run has its name while another has not.
    fn is_half_published(&self, disk: &dyn Disk) -> io::Result<bool> {
        let (Some(header), Some(Sealed { end, wanted, .. })) = (&self.header, &self.sealed) else {
            return Ok(false);
        };
        let mut is_half = false;
        for (i, names) in header.outputs.iter().enumerate() {
            is_half |= wanted[i]
                && match names.elsewhere {
                    Some(_) => !end.is_at(i, &names.part(), disk)?,
                    None => end.is_at(i, &names.path, disk)?,
                };
        }
        Ok(is_half && self.state(disk)? == State::Unpublished)
    }

    /// Why nobody can go on behind its checkpoint, as far as the unpublished files tell.
    pub fn missing(&self, disk: &dyn Disk) -> io::Result<Vec<String>> {
        let (Some(header), Some(checkpoint), None) = (&self.header, &self.checkpoint, &self.sealed)
        else {
            return Ok(Vec::new());
        };
        let mut missing = Vec::new();
        for (i, names) in header.outputs.iter().enumerate() {
            let part = names.part();
            let needs = checkpoint.lengths[i];
            let why = match disk.find(&part)? {
                _ if needs == 0 => continue,
                None => "is not there".to_owned(),
                Some(file) if file.number != checkpoint.numbers[i] => "is another file".to_owned(),
                Some(file) if file.len < needs => format!("has {} bytes, not {needs}", file.len),
                Some(_) => continue,
            };
            missing.push(format!("{} {why}", part.display()));
        }
        Ok(missing)
    }

    /// How far the run had come.
    pub fn end(&self) -> Option<&Checkpoint> {
        self.sealed.as_ref().map(|sealed| &sealed.end).or(self.checkpoint.as_ref())
    }

    /// How many records have come to their end.
    pub fn records(&self) -> u64 {
        self.end().map_or(0, |end| end.counts.read)
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
    #[error("{} is no journal of etl-host, or a damaged one", .0.display())]
    Foreign(PathBuf),
    /// It speaks of outputs that have another one.
    #[error("{} was moved or copied: it is the journal of {}", path.display(), output.display())]
    Moved {
        /// The journal.
        path: PathBuf,
        /// The output that it speaks of.
        output: PathBuf,
    },
    /// The output's run keeps its state elsewhere.
    #[error("an interrupted run of it keeps its state in {}", .0.display())]
    Elsewhere(PathBuf),
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
    /// Giving it up would leave new files beside old ones.
    #[error("a part of it is published already")]
    HalfPublished,
    /// What a store has of an unpublished object can't be given up.
    #[error("what was sent of {at} can't be given up; nothing was removed")]
    Upload {
        /// The object.
        at: String,
        /// Why.
        source: io::Error,
    },
    /// What the journal trusts in can't be had.
    #[error(transparent)]
    Output(#[from] OpenError),
}

impl JournalError {
    /// What to do. `status` is to be asked about `subject`.
    pub fn hint(&self, subject: &str) -> Option<String> {
        let abort = format!("to give it up: etl-host status --abort {subject}");
        match self {
            JournalError::Hold(HoldError::Busy(_)) => {
                Some("wait for the other run to end, or stop it".to_owned())
            }
            JournalError::Differs(_) => {
                Some(format!("make it the same again to go on with it; {abort}"))
            }
            JournalError::Left(_) => Some(format!("--resume goes on with it; {abort}")),
            JournalError::Output(_) => Some(abort),
            JournalError::Format(_) => {
                Some("go on with the version that wrote it, or remove it".to_owned())
            }
            JournalError::Foreign(_) | JournalError::Moved { .. } => Some(
                "where nobody needs it, remove it, and what is called .NAME.etl-host-part beside the \
                 output"
                    .to_owned(),
            ),
            JournalError::Elsewhere(_) => Some(format!(
                "--state with that folder goes on; {abort}; where the folder is gone for good, remove \
                 the link .NAME.etl-host-journal beside the output"
            )),
            JournalError::HalfPublished => {
                Some("start the same command again: only the rest is left to do".to_owned())
            }
            JournalError::Io { .. } | JournalError::Hold(_) | JournalError::Upload { .. } => None,
        }
    }
}

/// What there is of a journal.
pub struct Look {
    /// What it says.
    pub left: Left,
    /// Whether a run holds it.
    pub is_running: bool,
}

/// Looks at a journal of this machine that is there, and changes nothing.
pub fn look(path: &Path) -> Result<Look, JournalError> {
    let io_error = |source| JournalError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(io_error)?;
    let is_running = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(io_error)?;
    let read = read(&bytes).map_err(|why| why(path.to_owned()))?;
    Ok(Look { left: read.left, is_running })
}

/// Removes a journal of this machine and the unpublished files that it speaks of, the journal last,
/// when stores have given up what they have; says what it said, and what was removed.
pub fn abort(path: &Path, uploads: Uploads<'_>) -> Result<(Look, Vec<PathBuf>), JournalError> {
    let io_error = |source| JournalError::Io { path: path.to_owned(), source };
    let mut held = Local.hold(path)?;
    let bytes = held.read_all().map_err(io_error)?;
    let left = read(&bytes).map_err(|why| why(path.to_owned()))?.left;
    if left.is_half_published(&Local).map_err(io_error)? {
        return Err(JournalError::HalfPublished);
    }
    let mut removed = Vec::new();
    if let (Some(Header { outputs, .. }), Some(end)) = (&left.header, left.end()) {
        place::check_not_moved(path, outputs.last().expect("a run has an output"))?;
        for (names, sent) in outputs.iter().zip(&left.sent) {
            let (Some(at), Some(sent)) = (&names.elsewhere, sent) else { continue };
            let given_up = uploads(at, Some(sent.clone())).and_then(|mut it| it.give_up());
            given_up.map_err(|source| JournalError::Upload { at: at.clone(), source })?;
        }
        for (i, names) in outputs.iter().enumerate() {
            let part = names.part();
            // Not what another run has put there; what was empty may be a new file by now.
            let is_ours = |file: FileId| file.number == end.numbers[i] || end.lengths[i] == 0;
            if Local.find(&part).map_err(io_error)?.is_some_and(is_ours) {
                let _held = Local.hold(&part)?;
                Local.remove(&part).map_err(io_error)?;
                removed.push(part);
            }
        }
    }
    Local.remove(path).map_err(io_error)?;
    removed.push(path.to_owned());
    if let Some(header) = &left.header {
        for names in &header.outputs {
            place::remove_stale_link(&names.path);
        }
    }
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
        if !is_of(&record, read.left.sent.len()) {
            return Err(JournalError::Format);
        }
        match record {
            Line::Run(header) if header.format == FORMAT => {
                read.left.sent = vec![None; header.outputs.len()];
                read.left.header = Some(header);
            }
            Line::Run(_) => return Err(JournalError::Format),
            Line::Checkpoint(checkpoint) => read.left.checkpoint = Some(checkpoint),
            Line::Sent(i, new) => match &mut read.left.sent[i] {
                Some(sent) if sent.upload == new.upload => sent.parts.extend(new.parts),
                sent => *sent = Some(new),
            },
            Line::Sealed(sealed) => read.left.sealed = Some(sealed),
        }
        read.len += line.len() + 1;
        read.sum = expected;
    }
    if read.len == 0 && !is_torn(bytes) {
        return Err(JournalError::Foreign);
    }
    Ok(read)
}

/// Whether a line speaks of so many outputs, rejects among them.
fn is_of(line: &Line, outputs: usize) -> bool {
    let fits = |end: &Checkpoint| [end.lengths.len(), end.numbers.len()] == [outputs; 2];
    match line {
        Line::Run(header) => !header.outputs.is_empty(),
        Line::Checkpoint(checkpoint) => fits(checkpoint),
        Line::Sent(i, _) => *i < outputs,
        Line::Sealed(Sealed { end, wanted, .. }) => fits(end) && wanted.len() == outputs,
    }
}

/// Whether this may be what is left of the first two lines, which are flushed together: their
/// beginning, with zeros where the disk never wrote.
fn is_torn(bytes: &[u8]) -> bool {
    let is_beginning = bytes.iter().zip(0..24).all(|(&byte, at)| match at {
        _ if byte == 0 => true,
        0..16 => byte.is_ascii_hexdigit(),
        at => byte == br#" {"run":"#[at - 16],
    });
    is_beginning && bytes.iter().filter(|&&byte| byte == b'\n').count() <= 2
}

/// What the bytes of a journal say. `None`: they are no journal's, or one of another version.
pub fn parse(bytes: &[u8]) -> Option<Left> {
    read(bytes).ok().map(|read| read.left)
}

/// A journal that this run holds. Dropped before there is a checkpoint in it, it is removed.
pub struct Journal {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Box<dyn HeldFile>,
    sum: Sum,
    /// Where the rejects and the outputs lie.
    names: Vec<Names>,
    /// What it says of them to be in stores.
    sent: Vec<Option<Sent>>,
    /// Whether the names of the files are durable: before, no checkpoint may rest on them.
    are_names_safe: bool,
    is_kept: bool,
}

impl Journal {
    /// Opens the journal for the job that `header` describes, and says what is left of an earlier
    /// run of it. `names`: of its rejects and its outputs.
    pub fn open(
        disk: Arc<dyn Disk>,
        path: PathBuf,
        header: Header,
        names: Vec<Names>,
    ) -> Result<(Self, Left), JournalError> {
        let mut file = disk.hold(&path)?;
        let io_error = |source| JournalError::Io { path: path.clone(), source };
        let bytes = file.read_all().map_err(io_error)?;
        let Read { left, len, sum } = read(&bytes).map_err(|why| why(path.clone()))?;
        let state = left.state(&*disk).map_err(io_error)?;
        let are_names_safe = false;
        let sent = match left.sent.len() == names.len() {
            true => left.sent.clone(),
            false => vec![None; names.len()],
        };
        let mut journal =
            Journal { disk, path, file, sum, names, sent, are_names_safe, is_kept: true };
        let was = left.header.as_ref();
        let differences = was.map(|was| was.identity.differences(&header.identity));
        match (state, differences) {
            (State::Interrupted | State::Unpublished, Some(differences))
                if !differences.is_empty() =>
            {
                return Err(JournalError::Differs(differences));
            }
            // Published, and nobody was told: this run tells it.
            (State::Interrupted | State::Unpublished | State::Published, Some(differences))
                if differences.is_empty() =>
            {
                journal.cut(len)?;
                return Ok((journal, left));
            }
            _ => {}
        }
        journal.is_kept = false;
        journal.sent.fill(None);
        let begun = journal.begin(header, bytes.is_empty());
        begun.map_err(|source| JournalError::Io { path: journal.path.clone(), source })?;
        Ok((journal, Left::default()))
    }

    /// Writes the first line now, while there is room on the disk: the next one will find some beside
    /// it. It is flushed with that.
    fn begin(&mut self, header: Header, is_empty: bool) -> io::Result<()> {
        self.sum = Sum::default();
        self.file.cut(0)?;
        if !is_empty {
            self.file.sync()?; // else the beginning of the new one might be found before old lines
        }
        self.write(&[Line::Run(header)])
    }

    /// Refuses where a run that begins anew would destroy what an interrupted one did.
    pub fn refuse_left(disk: &dyn Disk, path: &Path) -> Result<(), JournalError> {
        let io_error = |source| JournalError::Io { path: path.to_owned(), source };
        match disk.find(path) {
            Ok(Some(_)) => {}
            // A name that is too long for a journal is none's.
            Err(error) if error.kind() != io::ErrorKind::InvalidFilename => {
                return Err(io_error(error));
            }
            _ => return Ok(()),
        }
        let mut file = disk.hold(path)?;
        let read = read(&file.read_all().map_err(io_error)?).map_err(|why| why(path.to_owned()))?;
        match read.left.state(disk).map_err(io_error)? {
            State::Interrupted | State::Unpublished => Err(JournalError::Left(read.left.records())),
            State::Worthless | State::Published => disk.remove(path).map_err(io_error),
        }
    }

    fn cut(&mut self, len: usize) -> Result<(), JournalError> {
        let cut = self.file.cut(len as u64);
        cut.map_err(|source| JournalError::Io { path: self.path.clone(), source })
    }

    /// Says that the outputs are flushed up to here, and what stores have of them.
    pub fn checkpoint(&mut self, checkpoint: &Checkpoint, sent: &[Option<Sent>]) -> io::Result<()> {
        self.append(Line::Checkpoint(checkpoint.clone()), sent)
    }

    /// Says that the outputs are whole and flushed.
    pub fn seal(&mut self, sealed: &Sealed, sent: &[Option<Sent>]) -> io::Result<()> {
        self.append(Line::Sealed(sealed.clone()), sent)
    }

    /// Publishes what a sealed run left, as far as it is not published yet; says of each output which
    /// content it has, where a store told.
    pub fn publish(
        &self,
        sealed: &Sealed,
        uploads: Uploads<'_>,
    ) -> Result<Result<Vec<Option<String>>, publish::Unfinished>, OpenError> {
        let (mut wanted, mut outdated) = (Vec::new(), Vec::new());
        let mut published = Vec::new(); // which of the outputs
        for (i, names) in self.names.iter().enumerate() {
            let (disk, names) = (self.disk.clone(), names.clone());
            let (number, len) = (sealed.end.numbers[i], sealed.end.lengths[i]);
            let part = self.disk.find(&names.part()).ok().flatten();
            let is_there = part.is_some_and(|part| part.number == number);
            let upload = names.elsewhere.as_ref().map(|at| uploads(at, self.sent[i].clone()));
            let mut upload = upload.transpose().map_err(OpenError::Remote)?;
            let is_made = match (&mut upload, sealed.before.get(i).unwrap_or(&None)) {
                (Some(upload), Some(before)) if sealed.wanted[i] => {
                    upload.is_made(before, len).map_err(OpenError::Remote)?
                }
                _ => false,
            };
            let is_elsewhere = upload.is_some();
            let sent = |output: Output| match upload {
                Some(upload) => output.sent_by(upload),
                None => output,
            };
            match sealed.wanted[i] {
                // Dropped, the file goes.
                true if is_made => drop(Output::begin(disk, names)?),
                true if is_there => {
                    let mut output = sent(Output::go_on(disk, names, number, len)?);
                    output.keep();
                    output.found().map_err(OpenError::Remote)?;
                    wanted.push(output);
                    published.push(i);
                }
                true if is_elsewhere => return Err(OpenError::Replaced(names.part())),
                true => {} // it has its name
                false => outdated.push(sent(Output::begin(disk, names)?)),
            }
        }
        Ok(publish::publish(wanted, outdated).map(|told| {
            let mut versions = vec![None; self.names.len()];
            published.into_iter().zip(told).for_each(|(i, version)| versions[i] = version);
            versions.split_off(1)
        }))
    }

    /// What stores have stands behind the checkpoint that it is a part of.
    fn append(&mut self, line: Line, sent: &[Option<Sent>]) -> io::Result<()> {
        let is_first = !self.are_names_safe;
        if is_first {
            self.sync_folders()?;
            self.are_names_safe = true;
        }
        self.is_kept = true;
        self.write(&[line])?;
        let mut lines = Vec::new();
        for (i, sent) in sent.iter().enumerate() {
            let Some(Sent { upload, parts }) = sent else { continue };
            let known = self.sent[i].as_ref().map(|known| known.parts.len());
            let new = parts.get(known.unwrap_or(0)..).unwrap_or_default().to_vec();
            if known.is_none() || !new.is_empty() {
                lines.push(Line::Sent(i, Sent { upload: upload.clone(), parts: new }));
            }
        }
        if is_first && !lines.is_empty() {
            // Else more lines than two could be torn at once, and be taken for what is not ours.
            self.file.sync()?;
        }
        self.write(&lines)?;
        self.sent = sent.to_vec();
        self.file.sync()
    }

    fn write(&mut self, lines: &[Line]) -> io::Result<()> {
        let mut text = Vec::new();
        lines.iter().for_each(|line| add_line(&mut text, &mut self.sum, line));
        let mut rest = &text[..];
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
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
    /// Nothing to go on with: nothing left behind.
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
            input: 0,
            bytes_read: 0,
            position: RecordPosition { line: read + 1, byte: 10 * read },
            lengths: vec![0, read],
            numbers: vec![FileNumber::default(); 2],
            counts: Counts { read, written: read, ..Counts::default() },
            nodes: Vec::new(),
            time: String::new(),
        }
    }

    fn header(values: &[(&str, &str)]) -> Header {
        let values = values.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        Header::new(Identity(values.collect()), names(), Vec::new(), BTreeMap::new(), String::new())
    }

    fn names() -> Vec<Names> {
        ["/bad", "/out"].map(|path| Names::here(path, path)).to_vec()
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
        assert_eq!(opened(b"0123456789abcdef {\"run\":{\"for", &[]), Ok(0));
        assert_eq!(opened(b"0123456789abcdef {\"run\":{}\nhalf", &[]), Ok(0));
        let mut damaged = text(&header(&[]), &[checkpoint(1), checkpoint(2), checkpoint(3)]);
        damaged[3] ^= 1;
        for file in [&b"half a li"[..], b"somebody's notes\n", b"precious", &damaged] {
            let refused = opened(file, &[]).unwrap_err();
            assert_eq!(refused, "/j is no journal of etl-host, or a damaged one");
        }
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

    /// The output of a sealed run was taken away before it had its name; its rejects are empty.
    #[test]
    fn what_somebody_took_is_not_taken_for_published() {
        let disk = Sim::default();
        disk.put(Path::new("/.bad.etl-host-part"), b"");
        disk.put(Path::new("/bad"), b"of an earlier run");
        let mut end = checkpoint(1);
        end.numbers[1].inode = 99;
        let sealed = Some(Sealed { end, wanted: vec![false, true], before: vec![None, None] });
        let left = Left { header: Some(header(&[])), sealed, ..Left::default() };
        assert_eq!(left.state(&disk).unwrap(), State::Worthless);
    }

    #[test]
    fn a_journal_of_another_form_is_refused() {
        let newer = Header { format: FORMAT + 1, ..header(&[]) };
        let refused = opened(&text(&newer, &[checkpoint(1)]), &[]).unwrap_err();
        assert!(refused.contains("was written by another version"), "{refused}");
    }
}
