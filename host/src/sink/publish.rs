//! Output that appears complete or not at all.
//!
//! A file is written under another name in the same folder, flushed to disk, renamed, and its
//! folder flushed. That name is fixed (`.NAME.etl-host-part`) and locked while a run holds it: a
//! second run on the same output is refused, and what a killed run left behind is taken over by
//! the next, or gone on with where a journal says how far it can be trusted. A device, a FIFO or a
//! socket is written to directly and never renamed over. What is no file of this machine (an object in
//! a store, a table) is [`Pending`] until it is committed; where a journal is kept of an object, its
//! bytes wait in such a file too, out of which they are sent.

use super::compress::Compressor;
use super::sending::Sending;
use crate::format::Compression;
use crate::storage::Pending;
use crate::storage::disk::{Disk, FileNumber, HeldFile, HoldError, Local};
use crate::storage::upload::{Sent, Upload};
use rustix::event::{PollFd, PollFlags, poll};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Somewhere to write to, not visible before it is published.
pub struct Output {
    target: Target,
    /// Where what is written is not what goes into it.
    compressor: Option<Compressor>,
    /// How many bytes are in it, and how many of them are on their way to the disk.
    written: u64,
    written_back: u64,
}

enum Target {
    /// Visible at once.
    Stream(File),
    Part(Part),
    /// A file that is sent elsewhere, and removed when it is published there.
    Sent(Part, Sending),
    /// Its name, for messages.
    Pending(String, Box<dyn Pending>),
}

/// A file that has its final name only once it is published.
struct Part {
    disk: Arc<dyn Disk>,
    file: Box<dyn HeldFile>,
    number: FileNumber,
    part: PathBuf,
    names: Names,
    /// Whether it stays where it is not published: a journal trusts in it.
    is_kept: bool,
}

/// The final name of an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// As it was given.
    pub given: PathBuf,
    /// The same, where links lead to: a link stays one. Of an object: beside what it waits in.
    pub path: PathBuf,
    /// The location of what is no file of this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<String>,
}

impl Names {
    /// Of a file.
    pub fn here(given: impl Into<PathBuf>, path: impl Into<PathBuf>) -> Self {
        Names { given: given.into(), path: path.into(), elsewhere: None }
    }

    /// Of an object whose bytes wait beside `path`.
    pub fn elsewhere(location: String, path: PathBuf) -> Self {
        Names { given: location.clone().into(), path, elsewhere: Some(location) }
    }

    /// Where it will be, for people.
    pub fn shown(&self) -> &Path {
        match self.elsewhere {
            Some(_) => &self.given,
            None => &self.path,
        }
    }

    /// Where it lies until it is published.
    pub fn part(&self) -> PathBuf {
        hidden_path(&self.path, "part")
    }
}

/// Why an output can't be written.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The path names a folder.
    #[error("it is a folder")]
    Folder,
    /// The path has no file name.
    #[error("it names no file")]
    NoName,
    /// There is no such stream.
    #[error("it is not open")]
    Stream(#[source] io::Error),
    /// What is no file of this machine can't be had.
    #[error(transparent)]
    Remote(io::Error),
    /// It can't be compressed.
    #[error("it can't be compressed")]
    Compression(#[source] io::Error),
    /// The file can't be had.
    #[error(transparent)]
    Hold(#[from] HoldError),
    /// The unpublished file is not the one that a journal trusts in.
    #[error("{} is not there, or another file than it was", .0.display())]
    Replaced(PathBuf),
    /// What a journal trusts in is not all there.
    #[error("{} has {has} bytes; {needs} of them were safe on disk once", part.display())]
    Short {
        /// The unpublished file.
        part: PathBuf,
        /// Its length.
        has: u64,
        /// What the journal says.
        needs: u64,
    },
}

/// How much is written before the disk is set to work on it.
const WRITE_BACK_BYTES: u64 = 8 * 1024 * 1024;

/// So many compressed bytes are gathered before they are written.
const PUT_BYTES: usize = 64 * 1024;

/// The names of the file that a path means; `None` where it means a device, a FIFO or a socket.
pub fn names(path: &Path) -> Result<Option<Names>, OpenError> {
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(OpenError::Folder);
    }
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => return Err(OpenError::Folder),
        Ok(metadata) if !metadata.is_file() || is_descriptor(path) => return Ok(None),
        _ => {}
    }
    let given = path.to_owned();
    let is_link = path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
    let path = match is_link {
        true => path.canonicalize().map_err(io_error("can't follow", path))?,
        false => path.to_owned(),
    };
    if path.file_name().is_none() {
        return Err(OpenError::NoName);
    }
    Ok(Some(Names::here(given, path)))
}

impl Output {
    fn new(target: Target, len: u64) -> Self {
        Output { target, compressor: None, written: len, written_back: len }
    }

    /// What is written is visible at once: stdout, stderr.
    pub fn stream(file: File) -> Self {
        Output::new(Target::Stream(file), 0)
    }

    /// What is no file of this machine, by its name.
    pub fn pending(name: String, pending: Box<dyn Pending>) -> Self {
        Output::new(Target::Pending(name, pending), 0)
    }

    /// A file that becomes visible when it is published; or, where the path names a device, a FIFO
    /// or a socket, that itself.
    pub fn create(path: &Path) -> Result<Self, OpenError> {
        match names(path)? {
            Some(names) => Self::begin(Arc::new(Local), names),
            None => {
                // Appending, since behind a descriptor there may be a file with something in it.
                let file = OpenOptions::new().append(true).open(path);
                Ok(Self::stream(file.map_err(io_error("can't open", path))?))
            }
        }
    }

    /// A new file. What an interrupted run left in its place goes, and takes its number with it: no
    /// journal that speaks of that file will take this one for it.
    pub fn begin(disk: Arc<dyn Disk>, names: Names) -> Result<Self, OpenError> {
        let path = names.part();
        let old = disk.hold(&path)?;
        let is_new = old.id().map_err(io_error("can't look at", &path))?.len == 0;
        let file = if is_new {
            old
        } else {
            disk.remove(&path).map_err(io_error("can't remove", &path))?;
            disk.hold(&path)? // while the old one is open, its number is not given again
        };
        Self::part(disk, names, file, 0)
    }

    /// A file of which `len` bytes are written already, by a run that was interrupted. What is
    /// behind them is cut off. `number`: by which it is known.
    pub fn go_on(
        disk: Arc<dyn Disk>,
        names: Names,
        number: FileNumber,
        len: u64,
    ) -> Result<Self, OpenError> {
        let path = names.part();
        if disk.find(&path).ok().flatten().is_none_or(|file| file.number != number) {
            return Err(OpenError::Replaced(path));
        }
        let mut file = disk.hold(&path)?;
        let id = file.id().map_err(io_error("can't look at", &path))?;
        if id.number != number {
            return Err(OpenError::Replaced(path));
        }
        if id.len < len {
            return Err(OpenError::Short { part: path, has: id.len, needs: len });
        }
        file.cut(len).map_err(io_error("can't cut", &path))?;
        Self::part(disk, names, file, len)
    }

    fn part(
        disk: Arc<dyn Disk>,
        names: Names,
        file: Box<dyn HeldFile>,
        len: u64,
    ) -> Result<Self, OpenError> {
        let path = names.part();
        let number = file.id().map_err(io_error("can't look at", &path))?.number;
        let part = Part { disk, file, number, part: path, names, is_kept: len > 0 };
        Ok(Output::new(Target::Part(part), len))
    }

    /// The file is sent elsewhere, of which a journal trusts what is in it now.
    pub fn sent_by(mut self, upload: Box<dyn Upload>) -> Self {
        if let Target::Part(part) = self.target {
            self.target = Target::Sent(part, Sending::new(upload, self.written));
        }
        self
    }

    /// What a journal is to know that will trust so many bytes of it.
    pub fn sent(&mut self, len: u64) -> io::Result<Option<Sent>> {
        match &mut self.target {
            Target::Sent(_, sending) => sending.sent(len),
            _ => Ok(None),
        }
    }

    /// A journal trusts so many bytes of it, and knows of what was sent.
    pub fn trust(&mut self, len: u64, sent: Option<&Sent>) {
        if let Target::Sent(part, sending) = &mut self.target {
            sending.trust(len, sent, &*part.file);
        }
    }

    /// What is in its place elsewhere, as [`Upload::found`] says it.
    pub fn found(&mut self) -> io::Result<Option<String>> {
        match &mut self.target {
            Target::Sent(_, sending) => sending.found(),
            _ => Ok(None),
        }
    }

    /// What is written from now on is compressed first, in a way that depends on nothing but the text
    /// and where [`end_frame`](Output::end_frame) is called.
    pub fn compressed(mut self, compression: Compression) -> io::Result<Self> {
        self.compressor = Some(Compressor::new(compression)?);
        Ok(self)
    }

    /// Whether what is written is visible at once.
    pub fn is_stream(&self) -> bool {
        matches!(self.target, Target::Stream(_))
    }

    /// Whether both are streams, and the same one: a pipe that two descriptors lead to.
    pub fn is_same_stream(&self, other: &Output) -> bool {
        let identity = |output: &Output| match &output.target {
            Target::Stream(file) => file.metadata().ok().map(|it| (it.dev(), it.ino())),
            Target::Part(_) | Target::Sent(..) | Target::Pending(..) => None,
        };
        identity(self).is_some_and(|it| Some(it) == identity(other))
    }

    /// Where it will be, for messages.
    pub fn path(&self) -> PathBuf {
        match &self.target {
            Target::Stream(_) => "a stream".into(),
            Target::Part(part) | Target::Sent(part, _) => part.names.shown().to_owned(),
            Target::Pending(name, _) => name.into(),
        }
    }

    /// How many bytes are in it. What is compressed may not all be, but for where a frame ended.
    pub fn len(&self) -> u64 {
        self.written
    }

    /// Whether nothing was ever written to it, and nothing waits to be compressed.
    pub fn is_empty(&self) -> bool {
        self.written == 0 && self.compressor.as_ref().is_none_or(Compressor::is_empty)
    }

    /// By which the file is known; nothing that means anything for what is none.
    pub fn number(&self) -> FileNumber {
        match &self.target {
            Target::Stream(_) | Target::Pending(..) => FileNumber::default(),
            Target::Part(part) | Target::Sent(part, _) => part.number,
        }
    }

    /// Ends what is compressed as one, a member or a frame, where there is any text in it: then all that
    /// was written is in the output, and can be gone on with behind that.
    pub fn end_frame(&mut self) -> io::Result<()> {
        let Some(compressor) = &mut self.compressor else { return Ok(()) };
        compressor.end_frame()?;
        self.put_compressed(0)
    }

    /// Nothing is written any more: what is compressed comes to its end, and is a whole stream even if
    /// there is no text in it.
    pub fn complete(&mut self) -> io::Result<()> {
        self.end_frame()?;
        let is_empty = self.is_empty();
        let Some(compressor) = self.compressor.as_mut().filter(|_| is_empty) else { return Ok(()) };
        compressor.write_empty_frame()?;
        self.put_compressed(0)
    }

    /// Lets who reads along see all that was written, where the first of it has waited so long: what is
    /// compressed waits for more. Not in files, whose bytes depend on no time.
    pub fn show(&mut self, after: Duration) -> io::Result<()> {
        let is_read_along = match &self.target {
            Target::Stream(file) => file.metadata().is_ok_and(|metadata| !metadata.is_file()),
            Target::Part(_) | Target::Sent(..) | Target::Pending(..) => false,
        };
        let compressor = self.compressor.as_mut().filter(|it| it.has_waited(after));
        let Some(compressor) = compressor.filter(|_| is_read_along) else { return Ok(()) };
        compressor.flush()?;
        self.put_compressed(0)
    }

    /// Puts compressed bytes into the output, where there are so many of them.
    fn put_compressed(&mut self, at_least: usize) -> io::Result<()> {
        let Some(compressor) = &mut self.compressor else { return Ok(()) };
        if compressor.compressed.len() < at_least {
            return Ok(());
        }
        let mut bytes = std::mem::take(&mut compressor.compressed);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match self.put(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.clear();
        if let Some(compressor) = &mut self.compressor {
            compressor.compressed = bytes; // its room is used again
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.target {
            Target::Stream(file) => write_to_stream(file, bytes)?,
            Target::Part(part) | Target::Sent(part, _) => part.file.write(bytes)?,
            Target::Pending(_, pending) => pending.write(bytes).map(|()| bytes.len())?,
        };
        self.written += written as u64;
        self.write_back();
        if let Target::Sent(part, sending) = &mut self.target {
            sending.go_on(&*part.file)?;
        }
        Ok(written)
    }

    /// What is in it stays, published or not.
    pub fn keep(&mut self) {
        if let Target::Part(part) | Target::Sent(part, _) = &mut self.target {
            part.is_kept = true;
        }
    }

    /// Flushes it to disk, where it is on one.
    pub fn sync(&self) -> io::Result<()> {
        match &self.target {
            Target::Stream(_) | Target::Pending(..) => Ok(()),
            Target::Part(part) | Target::Sent(part, _) => part.file.sync(),
        }
    }

    /// Leaves nothing to do but to make it visible.
    fn prepare(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::Pending(_, pending) => pending.prepare(),
            Target::Sent(part, sending) => sending.prepare(self.written, &*part.file),
            Target::Stream(_) | Target::Part(_) => self.sync(),
        }
    }

    /// Lets the system write to the disk while we go on: else the flush in the end would find
    /// everything still to be done.
    fn write_back(&mut self) {
        let waiting = self.written - self.written_back;
        if let Target::Part(part) | Target::Sent(part, _) = &self.target
            && waiting >= WRITE_BACK_BYTES
        {
            part.file.begin_write_back(self.written_back, waiting);
            self.written_back = self.written;
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(compressor) = &mut self.compressor else { return self.put(bytes) };
        compressor.write(bytes)?;
        self.put_compressed(PUT_BYTES).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_to_stream(file: &mut File, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match file.write(bytes) {
            // A pipe that somebody else made non-blocking: we wait all the same.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(file, PollFlags::OUT)], None)?;
            }
            result => return result,
        }
    }
}

impl Drop for Part {
    /// What was not published leaves nothing behind, unless somebody means to go on with it.
    fn drop(&mut self) {
        if !self.is_kept {
            // Before the lock goes with the file. Should it fail, the next run takes it over.
            let _ = self.disk.remove(&self.part);
        }
    }
}

/// What kept outputs from being published, or from being published all the way.
#[derive(Debug)]
pub struct Unfinished {
    /// The file in question.
    pub path: PathBuf,
    /// What happened to it.
    pub source: io::Error,
    /// Whether all outputs are in their place all the same.
    pub renamed: bool,
    /// Those that are.
    pub in_place: Vec<PathBuf>,
}

/// Publishes what a run wrote, the rejects only where there are `any_rejects`; says of each output
/// which content it has, where a store told.
pub fn publish_all(
    rejects: Output,
    mut outputs: Vec<Output>,
    any_rejects: bool,
) -> Result<Vec<Option<String>>, Unfinished> {
    if !any_rejects {
        return publish(outputs, vec![rejects]);
    }
    outputs.insert(0, rejects);
    publish(outputs, Vec::new()).map(|mut versions| versions.split_off(1))
}

/// Publishes outputs together: all flushed before the first is renamed, in the order given, the
/// most important last; says which content each has, where a store told. `outdated` are those that this
/// run has nothing for: what an earlier one left under their names is removed.
pub fn publish(
    outputs: Vec<Output>,
    outdated: Vec<Output>,
) -> Result<Vec<Option<String>>, Unfinished> {
    let mut in_place = Vec::new();
    let mut renamed = false;
    put_in_place(outputs, outdated, &mut in_place, &mut renamed)
        .map_err(|(path, source)| Unfinished { path, source, renamed, in_place })
}

fn put_in_place(
    outputs: Vec<Output>,
    outdated: Vec<Output>,
    in_place: &mut Vec<PathBuf>,
    renamed: &mut bool,
) -> Result<Vec<Option<String>>, (PathBuf, io::Error)> {
    let mut versions = Vec::with_capacity(outputs.len());
    let mut outputs = outputs;
    for output in &mut outputs {
        output.prepare().map_err(|error| (output.path(), error))?;
    }
    let mut folders: Vec<(Arc<dyn Disk>, PathBuf)> = Vec::new();
    for output in outputs {
        let (path, len) = (output.path(), output.len());
        let mut version = None;
        match output.target {
            Target::Stream(_) => {
                versions.push(None);
                continue;
            }
            Target::Sent(mut part, mut sending) => {
                let committed = sending.commit(len, &*part.file);
                version = committed.map_err(|error| (path.clone(), error))?;
                part.is_kept = false; // it has been sent
                folders.push((part.disk.clone(), folder_of(&part.part)));
            }
            Target::Part(mut part) => {
                part.disk.rename(&part.part, &path).map_err(|error| (path.clone(), error))?;
                part.is_kept = true; // nothing left to remove
                folders.push((part.disk.clone(), folder_of(&path)));
            }
            Target::Pending(_, mut pending) => {
                version = pending.commit().map_err(|error| (path.clone(), error))?;
            }
        }
        versions.push(version);
        in_place.push(path);
    }
    *renamed = true;
    for output in outdated {
        let name = output.path();
        match output.target {
            Target::Stream(_) => {}
            Target::Sent(mut part, mut sending) => {
                sending.upload().remove().map_err(|error| (name, error))?;
                part.is_kept = false;
                folders.push((part.disk.clone(), folder_of(&part.part)));
            }
            Target::Part(mut part) => {
                part.is_kept = false;
                let path = part.names.given.clone();
                part.disk.remove(&path).map_err(|error| (path.clone(), error))?;
                folders.push((part.disk.clone(), folder_of(&path)));
            }
            Target::Pending(_, mut pending) => {
                pending.remove().map_err(|error| (name, error))?;
            }
        }
    }
    folders.dedup_by(|(_, a), (_, b)| a == b);
    folders.into_iter().try_for_each(|(disk, folder)| {
        disk.sync_folder(&folder).map_err(|error| (folder.clone(), error))
    })?;
    Ok(versions)
}

/// Whether the path names an open descriptor (`/dev/fd/3`): what stands behind it is written to as
/// it is, and never renamed over.
fn is_descriptor(path: &Path) -> bool {
    let path = path.to_string_lossy();
    path == "/dev/stderr"
        || path.starts_with("/dev/fd/")
        || (path.starts_with("/proc/") && path.contains("/fd/"))
}

/// The folder that a file lies in.
pub fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// A file beside another one, for as long as that is not finished: `.NAME.etl-host-WHAT`.
pub fn hidden_path(path: &Path, what: &str) -> PathBuf {
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(path.file_name().unwrap_or_default());
    hidden.push(format!(".etl-host-{what}"));
    path.with_file_name(hidden)
}

fn io_error<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> OpenError + 'a {
    move |source| HoldError::Io { action, path: path.to_owned(), source }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn written(path: &Path, text: &str) -> Output {
        let mut output = Output::create(path).unwrap();
        output.write_all(text.as_bytes()).unwrap();
        output
    }

    #[test]
    fn an_output_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.json");
        fs::write(&path, "old").unwrap();
        let output = written(&path, "new");
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        drop(output);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(folder.path()), ["out.json"]);
        publish(vec![written(&path, "newer")], vec![]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "newer");
        assert_eq!(names(folder.path()), ["out.json"]);
    }

    #[test]
    fn a_second_run_on_the_same_output_is_refused_until_the_first_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.json");
        let first = written(&path, "first");
        assert!(matches!(Output::create(&path), Err(OpenError::Hold(HoldError::Busy(_)))));
        publish(vec![first], vec![]).unwrap();
        publish(vec![written(&path, "second")], vec![]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
    }

    #[test]
    fn what_a_killed_run_left_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.json");
        fs::write(folder.path().join(".out.json.etl-host-part"), "half of a long output").unwrap();
        publish(vec![written(&path, "whole")], vec![]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
        assert_eq!(names(folder.path()), ["out.json"]);
    }

    #[test]
    fn a_published_file_has_the_permissions_of_any_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("out.json"), folder.path().join("other"));
        publish(vec![written(&path, "x")], vec![]).unwrap();
        fs::write(&other, "x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&other));
    }

    #[test]
    fn a_link_stays_a_link_and_a_device_stays_a_device() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("out.json"), folder.path().join("link"));
        fs::write(&path, "old").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        publish(vec![written(&link, "new")], vec![]).unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert!(written(Path::new("/dev/null"), "gone").is_stream());
    }

    #[test]
    fn what_has_the_part_files_name_is_not_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let part = folder.path().join(".out.json.etl-host-part");
        fs::write(folder.path().join("precious"), "precious").unwrap();
        std::os::unix::fs::symlink("precious", &part).unwrap();
        assert!(Output::create(&folder.path().join("out.json")).is_err());
        assert_eq!(fs::read_to_string(folder.path().join("precious")).unwrap(), "precious");
        fs::remove_file(&part).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&part).status();
        assert!(made.unwrap().success());
        assert!(Output::create(&folder.path().join("out.json")).is_err());
    }

    #[test]
    fn a_file_behind_a_descriptor_is_added_to_and_not_renamed_over() {
        use std::os::fd::AsRawFd;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "old ").unwrap();
        let file = File::open(&path).unwrap();
        publish(vec![written(format!("/dev/fd/{}", file.as_raw_fd()).as_ref(), "new")], vec![])
            .unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old new");
    }

    #[test]
    fn an_output_that_cannot_be_is_refused_for_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Output::create(folder.path()), Err(OpenError::Folder)));
        assert!(matches!(Output::create(Path::new("..")), Err(OpenError::Folder)));
        assert!(matches!(Output::create(&folder.path().join("new/")), Err(OpenError::Folder)));
        let missing = Output::create(&folder.path().join("no/out")).err().unwrap();
        assert!(missing.to_string().starts_with("can't create "), "{missing}");
    }
}
