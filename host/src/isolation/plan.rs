//! What every worker of a model is told, made once: the plugin, what it may read, what it gives up.
//!
//! A plugin that is held ([`Image`]) is the same for all of them. One on disk may be replaced while the
//! run goes on, and a worker that starts later would load another: predictions of two models in one
//! output. So it is refused then ([`Plan::changed`]).

use super::Options;
use super::protocol::Opening;
use crate::plugin::look::Looked;
use crate::plugin::{Image, PluginError};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What workers are told, and what must not change meanwhile.
pub(super) struct Plan {
    pub(super) image: Image,
    pub(super) opening: Opening,
    /// The files on disk that they load.
    files: Vec<(PathBuf, Option<Version>)>,
}

/// Which content a file has, as far as can be told without reading it.
type Version = (u64, u64, u64, i64, i64, i64, i64);

impl Plan {
    /// A worker may read the plugin with what its models declare or, where they declare nothing, with all
    /// that lies beside it; or what is held of it.
    pub(super) fn new(
        image: &Image,
        looked: &Looked,
        options: &Options,
    ) -> Result<Self, PluginError> {
        let path = std::path::absolute(image.path()).map_err(PluginError::NoWorker)?;
        let folder = image.folder().map_err(PluginError::NoWorker)?;
        let declared = looked.stamp.models.iter().flat_map(|model| &model.files);
        let declared: Vec<PathBuf> = declared.map(|name| folder.join(name)).collect();
        let mut may_read = Vec::new();
        for path in &options.may_read {
            may_read.push(std::path::absolute(path).map_err(PluginError::NoWorker)?);
        }
        let mut files = Vec::new();
        if image.plugin().is_none() {
            files.push(path.clone());
            files.extend(declared.iter().cloned());
        }
        may_read.extend(files.iter().filter(|file| file.exists()).cloned());
        if declared.is_empty() {
            may_read.push(folder);
        }
        if may_read.iter().chain([&path]).any(|path| path.to_str().is_none()) {
            return Err(PluginError::NameNotUtf8);
        }
        let names = || image.files().map(|(name, _)| name.to_owned()).collect();
        let opening = Opening {
            path,
            held: image.plugin().map(|_| names()),
            sandbox: options.sandbox,
            may_read,
            memory_bytes_max: options.memory_bytes_max,
        };
        let files = files.into_iter().map(|file| (file.clone(), version(&file).ok())).collect();
        Ok(Plan { image: image.clone(), opening, files })
    }

    /// Which of its files was changed since the first worker was started.
    pub(super) fn changed(&self) -> Option<&Path> {
        let changed = self.files.iter().find(|(file, before)| version(file).ok() != *before);
        changed.map(|(file, _)| &**file)
    }
}

fn version(file: &Path) -> io::Result<Version> {
    let of: Metadata = fs::metadata(file)?;
    Ok((of.dev(), of.ino(), of.len(), of.mtime(), of.mtime_nsec(), of.ctime(), of.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::sleep;
    use std::time::Duration;

    #[test]
    fn a_file_that_is_replaced_or_written_to_has_another_version() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.so");
        fs::write(&path, "one").unwrap();
        let one = version(&path).unwrap();
        assert_eq!(version(&path).unwrap(), one);
        sleep(Duration::from_millis(20)); // longer than the clock of any file system here
        fs::write(&path, "two").unwrap();
        let two = version(&path).unwrap();
        assert_ne!(two, one);
        fs::write(folder.path().join("b.so"), "two").unwrap();
        fs::rename(folder.path().join("b.so"), &path).unwrap();
        assert_ne!(version(&path).unwrap(), two);
    }
}
