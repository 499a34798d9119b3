//! What is loaded: a plugin's file as it lies on disk, or the very bytes of it that were verified, held
//! in memory that nobody can change, with those of the files that its models read.
//!
//! Held bytes are a memfd that is sealed: no process can write to it, this one and the plugin included.
//! It has no name, so it is loaded by that of its descriptor, `/proc/self/fd/N`.
//!
//! The traps: the system's loader knows a library by the name it was loaded by, so a number that is
//! closed and used again silently gives the first library; whoever loads one keeps it open for ever
//! (`keep`). And what is held is memory: weights of a gigabyte take a gigabyte.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A plugin to load. Cloning one copies no bytes.
#[derive(Clone, Debug)]
pub struct Image {
    path: PathBuf,
    plugin: Option<Arc<Sealed>>,
    files: Arc<BTreeMap<String, Sealed>>,
}

impl Image {
    /// The file as it is when it is loaded.
    pub fn on_disk(path: impl Into<PathBuf>) -> Self {
        Image { path: path.into(), plugin: None, files: Arc::default() }
    }

    /// These bytes, which were read from `path`.
    pub fn held(path: impl Into<PathBuf>, plugin: Sealed) -> Self {
        Image { path: path.into(), plugin: Some(Arc::new(plugin)), files: Arc::default() }
    }

    /// The same with these files beside it, by the names that the models have for them.
    pub fn with_files(self, files: BTreeMap<String, Sealed>) -> Self {
        Image { files: Arc::new(files), ..self }
    }

    /// Where the plugin lies, or lay when it was read: for messages, and for the models' folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The plugin's bytes, where they are held.
    pub fn plugin(&self) -> Option<&Sealed> {
        self.plugin.as_deref()
    }

    /// The files that are held beside it, by name.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Sealed)> {
        self.files.iter().map(|(name, file)| (name.as_str(), file))
    }

    /// The folder that the models are told they lie in, absolute.
    pub fn folder(&self) -> io::Result<PathBuf> {
        let path = std::path::absolute(&self.path)?;
        Ok(path.parent().unwrap_or(Path::new("/")).to_owned())
    }

    /// The load context of a model in it.
    pub fn context(&self, threads: usize) -> io::Result<model_abi::LoadContext> {
        let mut context = model_abi::LoadContext::new(self.folder()?, threads);
        context.files = self.files().map(|(name, file)| (name.to_owned(), file.place())).collect();
        Ok(context)
    }

    /// Where to read the plugin from, in this process.
    pub fn place(&self) -> PathBuf {
        self.plugin().map_or_else(|| self.path.clone(), Sealed::place)
    }

    /// SHA-256 of what is loaded, in hexadecimal.
    pub fn sha256(&self) -> io::Result<String> {
        crate::summary::sha256(&self.place())
    }

    /// How many bytes are loaded.
    pub fn bytes(&self) -> io::Result<u64> {
        Ok(self.place().metadata()?.len())
    }

    /// Keeps open what is held, for as long as this process lives. A library is never unloaded, and a
    /// model may read its files whenever it likes.
    pub(super) fn keep(&self) {
        std::mem::forget(self.clone());
    }

    /// What is held, for a process that is started while this lives. `None`: it reads the file.
    pub fn lend(&self) -> io::Result<Option<Lent>> {
        let Some(plugin) = &self.plugin else { return Ok(None) };
        let mut open = Vec::new();
        let mut lend = |file: &Sealed| {
            // Unlike ours, it is not closed when another program is started. Whichever that is: another
            // child that begins in this moment gets it too, and can read in it what lies on the disk.
            let fd = rustix::io::dup(&file.0)?;
            let place = place(&fd);
            open.push(fd);
            io::Result::Ok(place)
        };
        let plugin = lend(plugin)?;
        let files = self.files.iter().map(|(name, file)| Ok((name.clone(), lend(file)?)));
        let places = Places { plugin, files: files.collect::<io::Result<_>>()? };
        Ok(Some(Lent { places, _open: open }))
    }

    /// The other side of [`lend`](Self::lend): `told` is what [`Lent::told`] gave, `None` where
    /// nothing was lent.
    pub fn borrowed(path: impl Into<PathBuf>, told: Option<&str>) -> io::Result<Self> {
        let Some(told) = told else { return Ok(Image::on_disk(path)) };
        let Places { plugin, files } = serde_json::from_str(told)?;
        let open = |path: PathBuf| Sealed::try_from(File::open(path)?);
        let files = files.into_iter().map(|(name, path)| Ok((name, open(path)?)));
        Ok(Image::held(path, open(plugin)?).with_files(files.collect::<io::Result<_>>()?))
    }
}

impl From<&Path> for Image {
    fn from(path: &Path) -> Self {
        Image::on_disk(path)
    }
}

/// What a process that is started meanwhile can read.
#[derive(Debug)]
pub struct Lent {
    places: Places,
    _open: Vec<OwnedFd>,
}

/// Where held bytes are, in a process that has inherited them.
#[derive(Debug, Serialize, Deserialize)]
struct Places {
    plugin: PathBuf,
    files: BTreeMap<String, PathBuf>,
}

impl Lent {
    /// What that process is to be told, so that it finds it.
    pub fn told(&self) -> String {
        serde_json::to_string(&self.places).expect("names of descriptors are UTF-8")
    }
}

/// Bytes in memory that can't be changed, by nobody.
#[derive(Debug)]
pub struct Sealed(File);

impl Sealed {
    /// Copies a file, once. Of one that grows meanwhile, what it was when it was opened.
    #[cfg(target_os = "linux")]
    pub fn copy(file: &File) -> io::Result<Self> {
        use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
        use std::io::Read as _;
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // It is no program; systems may be set to have no other memfd. Older ones don't know the flag.
        let memfd = match memfd_create(c"plugin", flags | MemfdFlags::NOEXEC_SEAL) {
            Err(rustix::io::Errno::INVAL) => memfd_create(c"plugin", flags)?,
            made => made?,
        };
        let mut memfd = File::from(memfd);
        io::copy(&mut file.take(file.metadata()?.len()), &mut memfd)?;
        fcntl_add_seals(
            &memfd,
            SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
        )?;
        Ok(Sealed(memfd))
    }

    /// Elsewhere there is no such memory.
    #[cfg(not(target_os = "linux"))]
    pub fn copy(_: &File) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The descriptor. Its position is shared: read at offsets.
    pub fn file(&self) -> &File {
        &self.0
    }

    /// A path to it in this process, as long as it is open.
    pub fn place(&self) -> PathBuf {
        place(&self.0)
    }
}

fn place(fd: &impl AsRawFd) -> PathBuf {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into()
}

/// What another process has sealed. Refuses what is not.
impl TryFrom<File> for Sealed {
    type Error = io::Error;

    #[cfg(target_os = "linux")]
    fn try_from(file: File) -> io::Result<Self> {
        use rustix::fs::{SealFlags, fcntl_get_seals};
        let wanted = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK;
        match fcntl_get_seals(&file) {
            Ok(seals) if seals.contains(wanted) => Ok(Sealed(file)),
            _ => Err(io::Error::other("what was lent is not sealed")),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn try_from(_: File) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::FileExt as _;

    fn sealed(bytes: &str) -> Sealed {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        Sealed::copy(file.as_file()).unwrap()
    }

    #[test]
    fn what_is_held_can_be_read_again_and_never_written() {
        let held = sealed("abc");
        assert_eq!(fs::read(held.place()).unwrap(), b"abc");
        assert_eq!(fs::read(held.place()).unwrap(), b"abc");
        assert!(held.file().write_all_at(b"x", 0).is_err());
        assert!(held.file().set_len(1).is_err() && held.file().set_len(9).is_err());
        assert!(fs::write(held.place(), "x").is_err());
        assert_eq!(fs::read(held.place()).unwrap(), b"abc");
    }

    #[test]
    fn an_image_on_disk_is_what_lies_there_and_a_held_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.so");
        fs::write(&path, "old").unwrap();
        let held = Sealed::copy(&File::open(&path).unwrap()).unwrap();
        let files = BTreeMap::from([("w/b.bin".to_owned(), sealed("weights"))]);
        let (disk, held) = (Image::on_disk(&path), Image::held(&path, held).with_files(files));
        assert_eq!(disk.sha256().unwrap(), held.sha256().unwrap());
        fs::write(&path, "another").unwrap();
        assert_ne!(disk.sha256().unwrap(), held.sha256().unwrap());
        assert_eq!((disk.bytes().unwrap(), held.bytes().unwrap()), (7, 3));
        for image in [&disk, &held] {
            assert_eq!(image.context(1).unwrap().plugin_dir, folder.path());
        }
        let beside = disk.context(1).unwrap().file("w/b.bin");
        assert_eq!(beside, folder.path().join("w/b.bin"));
        let read = held.context(1).unwrap().file("w/b.bin");
        assert_eq!(fs::read_to_string(read).unwrap(), "weights");
    }

    #[test]
    fn what_is_lent_is_the_same_and_sealed() {
        let files = BTreeMap::from([("w".to_owned(), sealed("weights"))]);
        let held = Image::held("a.so", sealed("abc")).with_files(files);
        let lent = held.lend().unwrap().unwrap();
        let borrowed = Image::borrowed("a.so", Some(&lent.told())).unwrap();
        assert_eq!(borrowed.sha256().unwrap(), held.sha256().unwrap());
        assert_eq!(borrowed.files().count(), 1);

        let told = r#"{"plugin": "/dev/null", "files": {}}"#;
        let error = Image::borrowed("a.so", Some(told)).unwrap_err();
        assert_eq!(error.to_string(), "what was lent is not sealed");
        assert!(Image::on_disk("a.so").lend().unwrap().is_none());
        assert!(Image::borrowed("a.so", None).unwrap().plugin().is_none());
    }
}
