//! Output that appears complete or not at all.
//!
//! A file is written under another name in the same folder, flushed to disk, renamed, and its
//! folder flushed. That name is fixed (`.NAME.etl-host-part`) and locked while a run holds it: a
//! second run on the same output is refused, and what a killed run left behind is taken over by
//! the next. A device, a FIFO or a socket is written to directly and never renamed over.
//!
//! The trap: between opening that file and locking it, another run may have renamed it to its final
//! name. So after locking we look whether the name still means the file we hold.

use rustix::event::{PollFd, PollFlags, poll};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Somewhere to write to, not visible before it is published.
pub struct Output {
    file: File,
    /// How many bytes were written, and how many of them are on their way to the disk.
    written: u64,
    written_back: u64,
    /// Where it will be; `None` for what is visible at once.
    unpublished: Option<Unpublished>,
}

struct Unpublished {
    part: PathBuf,
    path: PathBuf,
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
    /// Something that is no file has the name of the part file.
    #[error("{} is in the way, and no file", .0.display())]
    PartName(PathBuf),
    /// Another run holds it.
    #[error("another run is writing it (it holds {})", .0.display())]
    Busy(PathBuf),
    /// There is no such stream.
    #[error("it is not open")]
    Stream(#[source] io::Error),
    /// The system refuses.
    #[error("{action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// How much is written before the disk is set to work on it.
const WRITE_BACK_BYTES: u64 = 8 * 1024 * 1024;

/// Begins to write a stretch of the file to the disk, without waiting for it to be there. What can't
/// be written is told by the flush in the end.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no crate we have wraps it")]
fn begin_write_back(file: &File, start: u64, len: u64) {
    use std::os::fd::AsRawFd;
    let (start, len) = (start as libc::off64_t, len as libc::off64_t);
    // SAFETY: the descriptor is open as long as `file` is; nothing else is handed over.
    unsafe { libc::sync_file_range(file.as_raw_fd(), start, len, libc::SYNC_FILE_RANGE_WRITE) };
}

#[cfg(not(target_os = "linux"))]
fn begin_write_back(_: &File, _: u64, _: u64) {}

impl Output {
    /// What is written is visible at once: stdout, stderr.
    pub fn stream(file: File) -> Self {
        Output { file, written: 0, written_back: 0, unpublished: None }
    }

    /// A file that becomes visible when it is published; or, where the path names a device, a FIFO
    /// or a socket, that itself.
    pub fn create(path: &Path) -> Result<Self, OpenError> {
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { action, path, source }
        };
        if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err(OpenError::Folder);
        }
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => return Err(OpenError::Folder),
            Ok(metadata) if !metadata.is_file() || is_descriptor(path) => {
                // Appending, since behind a descriptor there may be a file with something in it.
                let file = OpenOptions::new().append(true).open(path);
                return Ok(Self::stream(file.map_err(failed("can't open", path))?));
            }
            _ => {}
        }
        // Through a link, so that the link stays one.
        let is_link = path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
        let path = match is_link {
            true => path.canonicalize().map_err(failed("can't follow", path))?,
            false => path.to_owned(),
        };
        let part = part_path(&path)?;
        loop {
            // Not truncated: it may be another run's, until we hold its lock. Nor through a link,
            // which would have us write over what it points to; nor waiting for a FIFO's reader.
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false);
            let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&part);
            let file = file.map_err(failed("can't create", &part))?;
            if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
                return Err(OpenError::PartName(part));
            }
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(OpenError::Busy(part)),
                Err(TryLockError::Error(error)) if cannot_lock(&error) => {}
                Err(TryLockError::Error(error)) => return Err(failed("can't lock", &part)(error)),
            }
            if is_still(&file, &part) {
                file.set_len(0).map_err(failed("can't empty", &part))?;
                let unpublished = Some(Unpublished { part, path });
                return Ok(Output { file, written: 0, written_back: 0, unpublished });
            }
        }
    }

    /// Whether what is written is visible at once.
    pub fn is_stream(&self) -> bool {
        self.unpublished.is_none()
    }

    /// Whether both are streams, and the same one: a pipe that two descriptors lead to.
    pub fn is_same_stream(&self, other: &Output) -> bool {
        let identity = |output: &Output| {
            let metadata = output.file.metadata().ok()?;
            Some((metadata.dev(), metadata.ino()))
        };
        self.is_stream()
            && other.is_stream()
            && identity(self).is_some_and(|it| Some(it) == identity(other))
    }

    /// Where it will be, for messages.
    pub fn path(&self) -> PathBuf {
        self.unpublished.as_ref().map_or_else(|| "a stream".into(), |u| u.path.clone())
    }

    /// Flushes it to disk, where it is on one.
    fn sync(&self) -> io::Result<()> {
        if self.unpublished.is_some() { self.file.sync_all() } else { Ok(()) }
    }

    /// Lets the system write to the disk while we go on: else the flush in the end would find
    /// everything still to be done.
    fn write_back(&mut self) {
        let waiting = self.written - self.written_back;
        if self.unpublished.is_some() && waiting >= WRITE_BACK_BYTES {
            begin_write_back(&self.file, self.written_back, waiting);
            self.written_back = self.written;
        }
    }

    /// Gives it its final name.
    fn rename(&mut self) -> io::Result<Option<PathBuf>> {
        let Some(Unpublished { part, path }) = &self.unpublished else { return Ok(None) };
        std::fs::rename(part, path)?;
        let path = path.clone();
        self.unpublished = None; // nothing left to remove
        Ok(Some(path))
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.file.write(bytes) {
                // A pipe that somebody else made non-blocking: we wait all the same.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], None)?;
                }
                result => {
                    self.written += *result.as_ref().unwrap_or(&0) as u64;
                    self.write_back();
                    return result;
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Output {
    /// What was not published leaves nothing behind.
    fn drop(&mut self) {
        if let Some(Unpublished { part, .. }) = &self.unpublished {
            // Before the lock goes with the file. Should it fail, the next run takes it over.
            let _ = std::fs::remove_file(part);
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
}

/// Publishes outputs together: all flushed before the first is renamed, in the order given, the
/// most important last. Then removes `stale`, which an earlier run left.
pub fn publish(mut outputs: Vec<Output>, stale: Option<&Path>) -> Result<(), Unfinished> {
    let unfinished = |path, source| Unfinished { path, source, renamed: false };
    for output in &outputs {
        output.sync().map_err(|error| unfinished(output.path(), error))?;
    }
    let mut folders = Vec::new();
    for output in &mut outputs {
        let path = output.path();
        let renamed = output.rename().map_err(|error| unfinished(path, error))?;
        folders.extend(renamed.as_deref().map(folder_of));
    }
    let unfinished = |path, source| Unfinished { path, source, renamed: true };
    if let Some(stale) = stale {
        match std::fs::remove_file(stale) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(unfinished(stale.to_owned(), error));
            }
            _ => {}
        }
    }
    folders.dedup();
    for folder in folders {
        match File::open(&folder).and_then(|folder| folder.sync_all()) {
            // A folder that may not be read, or a file system that knows no such flush.
            Err(error) if cannot_flush(&error) => {}
            result => result.map_err(|error| unfinished(folder, error))?,
        }
    }
    Ok(())
}

fn cannot_flush(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported)
}

/// Whether the path names an open descriptor (`/dev/fd/3`): what stands behind it is written to as
/// it is, and never renamed over.
fn is_descriptor(path: &Path) -> bool {
    let path = path.to_string_lossy();
    path == "/dev/stderr"
        || path.starts_with("/dev/fd/")
        || (path.starts_with("/proc/") && path.contains("/fd/"))
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn part_path(path: &Path) -> Result<PathBuf, OpenError> {
    let name = path.file_name().ok_or(OpenError::NoName)?;
    let mut part = std::ffi::OsString::from(".");
    part.push(name);
    part.push(".etl-host-part");
    Ok(path.with_file_name(part))
}

/// Some network file systems have no locks; there the name alone has to do.
fn cannot_lock(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
        || error.raw_os_error() == Some(rustix::io::Errno::NOLCK.raw_os_error())
}

fn is_still(file: &File, path: &Path) -> bool {
    let (Ok(held), Ok(named)) = (file.metadata(), path.symlink_metadata()) else { return false };
    (held.dev(), held.ino()) == (named.dev(), named.ino())
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
        publish(vec![written(&path, "newer")], None).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "newer");
        assert_eq!(names(folder.path()), ["out.json"]);
    }

    #[test]
    fn a_second_run_on_the_same_output_is_refused_until_the_first_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.json");
        let first = written(&path, "first");
        assert!(matches!(Output::create(&path), Err(OpenError::Busy(_))));
        publish(vec![first], None).unwrap();
        publish(vec![written(&path, "second")], None).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
    }

    #[test]
    fn what_a_killed_run_left_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.json");
        fs::write(folder.path().join(".out.json.etl-host-part"), "half of a long output").unwrap();
        publish(vec![written(&path, "whole")], None).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
        assert_eq!(names(folder.path()), ["out.json"]);
    }

    #[test]
    fn a_published_file_has_the_permissions_of_any_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("out.json"), folder.path().join("other"));
        publish(vec![written(&path, "x")], None).unwrap();
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
        publish(vec![written(&link, "new")], None).unwrap();
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
        publish(vec![written(format!("/dev/fd/{}", file.as_raw_fd()).as_ref(), "new")], None)
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
