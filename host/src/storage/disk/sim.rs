//! A disk in memory, for tests: it counts what is asked of it, does harm at the n-th time, and
//! forgets what was not flushed when the power is cut.
//!
//! The model is as hostile as POSIX allows. A file's bytes are durable after its own flush, a name
//! after its folder's. Of what was done since, each operation survives or not whatever the others
//! do: a later write without the one before it, a rename without the creation that it rests on, a
//! part of a write. A flush that fails loses what it could not write, and the next one succeeds.

use super::{Disk, FileId, FileNumber, HeldFile, HoldError};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// What happens at an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// The power is cut before it.
    Cut,
    /// The power is cut when half of what is to be written is; before anything else.
    Torn,
    /// It fails, and all that come after go well.
    Fails(io::ErrorKind),
    /// It fails, and all after it.
    FailsFromNowOn(io::ErrorKind),
    /// Of what is to be written, one byte is, or half.
    Short,
}

/// What becomes of an operation that was not flushed when the power was cut.
pub(crate) enum Fate {
    Lost,
    Kept,
    /// Of a write, this much of a hundred.
    Partly(usize),
}

#[derive(Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Cut(usize),
}

#[derive(Clone, Default)]
struct Node {
    /// As those see it who read it.
    seen: Vec<u8>,
    /// As it is on the disk.
    durable: Vec<u8>,
    unflushed: Vec<Change>,
}

#[derive(Clone)]
enum Rename {
    Create(PathBuf, usize),
    Move(PathBuf, PathBuf, usize),
    Remove(PathBuf),
}

#[derive(Clone, Default)]
struct State {
    nodes: Vec<Node>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    unflushed_names: Vec<Rename>,
    held: BTreeSet<usize>,
    operations: usize,
    harm: Option<(usize, Harm)>,
    is_cut: bool,
}

/// The disk. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Sim(Arc<Mutex<State>>);

fn cut() -> io::Error {
    io::Error::other("the power is cut")
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Write { at, bytes: written } => {
                bytes.resize(bytes.len().max(at + written.len()), 0);
                bytes[*at..at + written.len()].copy_from_slice(written);
            }
            Change::Cut(len) => bytes.resize(*len, 0),
        }
    }
}

impl Rename {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Rename::Create(path, node) => drop(names.insert(path.clone(), *node)),
            Rename::Move(from, to, node) => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
            Rename::Remove(path) => drop(names.remove(path)),
        }
    }
}

impl State {
    /// Counts an operation. `None`: it goes well.
    fn count(&mut self) -> io::Result<Option<Harm>> {
        if self.is_cut {
            return Err(cut());
        }
        let operation = self.operations;
        self.operations += 1;
        match self.harm {
            Some((n, Harm::Cut)) if n == operation => {
                self.is_cut = true;
                Err(cut())
            }
            Some((n, Harm::Fails(kind))) if n == operation => Err(kind.into()),
            Some((n, Harm::FailsFromNowOn(kind))) if n <= operation => Err(kind.into()),
            Some((n, harm)) if n == operation => Ok(Some(harm)),
            _ => Ok(None),
        }
    }

    /// Counts an operation that can't be done in part.
    fn count_whole(&mut self) -> io::Result<()> {
        match self.count()? {
            Some(Harm::Torn) => {
                self.is_cut = true;
                Err(cut())
            }
            _ => Ok(()),
        }
    }

    fn rename(&mut self, rename: Rename) {
        rename.apply(&mut self.names);
        self.unflushed_names.push(rename);
    }

    fn change(&mut self, node: usize, change: Change) {
        change.apply(&mut self.nodes[node].seen);
        self.nodes[node].unflushed.push(change);
    }
}

impl Sim {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Does harm at the n-th operation from now on, from 0.
    pub(crate) fn harm(&self, n: usize, harm: Harm) {
        let mut state = self.state();
        state.harm = Some((state.operations + n, harm));
    }

    /// How many operations there were, failed ones too.
    pub(crate) fn operations(&self) -> usize {
        self.state().operations
    }

    /// Whether the power is cut.
    pub(crate) fn is_cut(&self) -> bool {
        self.state().is_cut
    }

    /// The disk as it is found when the power is back.
    pub(crate) fn power_cycled(&self, mut fate: impl FnMut() -> Fate) -> Sim {
        let mut state = self.state().clone();
        for node in &mut state.nodes {
            for change in std::mem::take(&mut node.unflushed) {
                match (fate(), change) {
                    (Fate::Lost, _) | (Fate::Partly(_), Change::Cut(_)) => {}
                    (Fate::Kept, change) => change.apply(&mut node.durable),
                    (Fate::Partly(percent), Change::Write { at, mut bytes }) => {
                        bytes.truncate(bytes.len() * percent / 100);
                        Change::Write { at, bytes }.apply(&mut node.durable);
                    }
                }
            }
            node.seen.clone_from(&node.durable);
        }
        for rename in std::mem::take(&mut state.unflushed_names) {
            if !matches!(fate(), Fate::Lost) {
                rename.apply(&mut state.durable_names);
            }
        }
        state.names.clone_from(&state.durable_names);
        Sim(Arc::new(Mutex::new(State {
            held: BTreeSet::new(),
            is_cut: false,
            harm: None,
            ..state
        })))
    }

    /// The disk as it is found when the process is gone and the power is not.
    pub(crate) fn process_gone(&self) -> Sim {
        let state =
            State { held: BTreeSet::new(), is_cut: false, harm: None, ..self.state().clone() };
        Sim(Arc::new(Mutex::new(state)))
    }

    /// Puts a file there, durably.
    pub(crate) fn put(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        let node = state.nodes.len();
        state.nodes.push(Node { seen: bytes.into(), durable: bytes.into(), unflushed: Vec::new() });
        state.names.insert(path.to_owned(), node);
        state.durable_names.insert(path.to_owned(), node);
    }

    /// All files, by name.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.state();
        state
            .names
            .iter()
            .map(|(path, &node)| (path.clone(), state.nodes[node].seen.clone()))
            .collect()
    }
}

impl Disk for Sim {
    fn hold(&self, path: &Path) -> Result<Box<dyn HeldFile>, HoldError> {
        let mut state = self.state();
        let failed =
            |source| HoldError::Io { action: "can't create", path: path.to_owned(), source };
        let node = match state.names.get(path) {
            Some(&node) => node,
            None => {
                state.count_whole().map_err(failed)?;
                state.nodes.push(Node::default());
                let node = state.nodes.len() - 1;
                state.rename(Rename::Create(path.to_owned(), node));
                node
            }
        };
        if !state.held.insert(node) {
            return Err(HoldError::Busy(path.to_owned()));
        }
        let at = state.nodes[node].seen.len();
        Ok(Box::new(SimFile { disk: self.clone(), node, at }))
    }

    fn find(&self, path: &Path) -> io::Result<Option<FileId>> {
        let state = self.state();
        let id = |&node: &usize| FileId {
            number: FileNumber { inode: node as u64, made: 0 },
            len: state.nodes[node].seen.len() as u64,
        };
        Ok(state.names.get(path).map(id))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.count_whole()?;
        let node = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.rename(Rename::Move(from.to_owned(), to.to_owned(), node));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.names.contains_key(path) && !state.is_cut {
            return Ok(());
        }
        state.count_whole()?;
        state.rename(Rename::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.count_whole()?;
        let is_here = |path: &Path| path.parent() == Some(folder);
        let (here, elsewhere) = std::mem::take(&mut state.unflushed_names).into_iter().partition(
            |rename| match rename {
                Rename::Create(path, _) | Rename::Remove(path) => is_here(path),
                Rename::Move(from, to, _) => is_here(from) && is_here(to),
            },
        );
        let here: Vec<Rename> = here;
        state.unflushed_names = elsewhere;
        here.iter().for_each(|rename| rename.apply(&mut state.durable_names));
        Ok(())
    }
}

struct SimFile {
    disk: Sim,
    node: usize,
    at: usize,
}

impl HeldFile for SimFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.state();
        let harm = state.count()?;
        let len = match harm {
            Some(Harm::Torn | Harm::Short) => bytes.len().div_ceil(2),
            _ => bytes.len(),
        };
        let bytes = bytes[..len].to_vec();
        state.change(self.node, Change::Write { at: self.at, bytes });
        self.at += len;
        if harm == Some(Harm::Torn) {
            state.is_cut = true;
            return Err(cut());
        }
        Ok(len)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.count_whole()?;
        state.change(self.node, Change::Cut(len as usize));
        self.at = len as usize;
        Ok(())
    }

    fn read_all(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.disk.state().nodes[self.node].seen.clone())
    }

    fn read_at(&self, start: u64, len: usize) -> io::Result<Vec<u8>> {
        let state = self.disk.state();
        let bytes = state.nodes[self.node].seen.get(start as usize..start as usize + len);
        bytes.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// At once and for good, as if it had been flushed: the worst for who still needed them.
    fn forget(&self, len: u64) {
        let mut state = self.disk.state();
        if state.count_whole().is_err() {
            return;
        }
        let node = &mut state.nodes[self.node];
        for bytes in [&mut node.seen, &mut node.durable] {
            let len = bytes.len().min(len as usize);
            bytes[..len].fill(0);
        }
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let counted = state.count_whole();
        let is_cut = state.is_cut;
        let node = &mut state.nodes[self.node];
        if !is_cut {
            let unflushed = std::mem::take(&mut node.unflushed);
            if counted.is_ok() {
                unflushed.iter().for_each(|change| change.apply(&mut node.durable));
            }
        }
        counted
    }

    fn begin_write_back(&self, _: u64, _: u64) {}

    fn id(&self) -> io::Result<FileId> {
        let state = self.disk.state();
        Ok(FileId {
            number: FileNumber { inode: self.node as u64, made: 0 },
            len: state.nodes[self.node].seen.len() as u64,
        })
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.disk.state().held.remove(&self.node);
    }
}
