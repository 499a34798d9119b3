//! Which plugins may be loaded at all: those whose SHA-256 stands in a file of trust, or that a key in it
//! has signed, with the files that their models read.
//!
//! What is verified is what is loaded. A file is read once, into memory that nobody can change
//! ([`Image`]); that memory is hashed, looked at and loaded, and the file is never asked again. Nothing
//! of a plugin runs before that, and its stamp is not believed before either.
//!
//! What is not seen here: libraries that a plugin needs come from the system, files that no model
//! declares are read by whoever reads them, and an older plugin with a good signature is as good as a
//! newer one. docs/security.md says so too.

mod file;
mod signature;
mod writable;

pub use file::{TrustError, refuse_writable};

use super::image::Sealed;
use super::look::{self, Refusal};
use super::{Image, PluginError};
use crate::shell::quoted;
use crate::summary::sha256;
use model_abi::stamp::is_file_name;
use signature::{Key, Signature, Verdict};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Whom to trust: the content of a file.
#[derive(Debug)]
pub struct Trust {
    path: PathBuf,
    keys: Vec<Key>,
    /// Notes for people, by SHA-256 in lower-case hexadecimal.
    sha256: BTreeMap<String, String>,
}

/// A plugin that may be loaded.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// The bytes that were verified.
    pub image: Image,
    /// Who answers for the plugin.
    pub by: Signer,
    /// Who answers for the files of its models, by their names.
    pub files: Vec<(String, Signer)>,
}

/// Who answers for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// A key that has signed it.
    Key {
        /// What the file of trust calls it.
        name: String,
        /// Its number, as minisign writes it.
        id: String,
    },
    /// Whoever wrote down its SHA-256.
    Sha256 {
        /// And noted this.
        note: String,
    },
}

/// ``key `iris-team` (E7620F1842B4E81F)``, `SHA-256 (reviewed by Ada)`.
impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Signer::Key { name, id } => write!(f, "key `{name}` ({id})"),
            Signer::Sha256 { note } if note.is_empty() => write!(f, "SHA-256"),
            Signer::Sha256 { note } => write!(f, "SHA-256 ({note})"),
        }
    }
}

/// Why a plugin may not be loaded.
#[derive(Debug, thiserror::Error)]
#[error("{} is not trusted: {}", which(file.as_deref()), told(why, trust))]
pub struct Untrusted {
    /// Which of its models' files is at fault; `None`: the plugin itself.
    pub file: Option<String>,
    /// Where that lies.
    pub path: PathBuf,
    /// The file of trust.
    pub trust: PathBuf,
    /// Why.
    pub why: Distrust,
}

fn which(file: Option<&str>) -> String {
    file.map_or_else(|| "it".to_owned(), |name| format!("its file `{name}`"))
}

/// What speaks against a file.
#[derive(Debug)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Distrust {
    Unreadable(Refusal),
    NotBeside,
    Writable(PathBuf),
    Unsigned { signature: PathBuf, sha256: String },
    SignatureUnreadable { signature: PathBuf, why: Refusal },
    SignatureGarbled { signature: PathBuf },
    OtherKey { id: String, known: Vec<String> },
    OtherContent { signature: PathBuf, name: String, key: String },
    Legacy,
    NotHere,
    Memory(io::Error),
}

fn told(why: &Distrust, trust: &Path) -> String {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let trust = trust.display();
    match why {
        Distrust::Unreadable(refusal) => look_of(refusal),
        Distrust::NotBeside => "it does not lie beside the plugin".to_owned(),
        Distrust::Writable(path) => format!("anybody may write to `{}`", path.display()),
        Distrust::Unsigned { signature, .. } => format!(
            "it has no signature `{}`, and `{trust}` does not list its SHA-256",
            name(signature)
        ),
        Distrust::SignatureUnreadable { signature, why } => {
            format!("its signature `{}` can't be read: {}", name(signature), look_of(why))
        }
        Distrust::SignatureGarbled { signature } => {
            format!("`{}` is no signature of minisign", name(signature))
        }
        Distrust::OtherKey { id, known } => format!(
            "it is signed by the key {id}, which is not in `{trust}`{}",
            match known[..] {
                [] => ": that lists no key".to_owned(),
                _ => format!(" (there are {})", super::folder::few(known, ", ")),
            }
        ),
        Distrust::OtherContent { signature, name: key, .. } => format!(
            "`{}` is no signature of these bytes by `{key}`: one of the two was changed, or it was \
             made for another file or by another key",
            name(signature)
        ),
        Distrust::Legacy => {
            "its signature is of minisign's old form, and the file is too long for that".to_owned()
        }
        Distrust::NotHere => "only Linux can load what was verified".to_owned(),
        Distrust::Memory(error) => format!("it can't be held in memory: {error}"),
    }
}

fn look_of(refusal: &Refusal) -> String {
    crate::causes::chain(refusal)
}

impl Untrusted {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let path = |path: &Path| quoted(&path.display().to_string());
        let (file, trust) = (path(&self.path), self.trust.display());
        Some(match &self.why {
            Distrust::Writable(what) => format!("chmod o-w {}", path(what)),
            Distrust::Unsigned { sha256, .. } => format!(
                "whoever answers for it signs it, `minisign -S -s YOUR.key -m {file}`; or `{trust}` lists it below \
                 [sha256]: {sha256} = \"what it is\""
            ),
            Distrust::SignatureGarbled { .. } | Distrust::Legacy => {
                format!(
                    "get both anew from whoever made them, who signs with `minisign -S -s YOUR.key -m {file}`"
                )
            }
            Distrust::OtherKey { .. } => format!(
                "if it is to be trusted, the second line of its .pub file goes below [keys] in `{trust}`"
            ),
            Distrust::OtherContent { key, signature, .. } => format!(
                "`minisign -Vm {file} -x {} -P {key}` says so too; take both anew from whoever made them",
                path(signature)
            ),
            _ => return None,
        })
    }
}

impl Trust {
    /// Reads a file of trust. Refuses one that anybody may write to.
    pub fn read(path: &Path) -> Result<Self, TrustError> {
        file::read(path)
    }

    /// Reads the plugin once and verifies it, and likewise the files that its stamp declares. What
    /// can't be loaded in the end for what it is, is left to the load.
    pub fn admit(&self, path: &Path) -> Result<Admitted, PluginError> {
        // A file that is not there is no matter of trust.
        let file = look::open(path)?;
        let (plugin, by) = self.verify(path, &file).map_err(|why| self.no(None, path, why))?;
        let image = Image::held(path, plugin);
        let mut names: Vec<String> =
            look::read(&image)?.stamp.models.into_iter().flat_map(|model| model.files).collect();
        names.sort();
        names.dedup();
        let (mut files, mut signers) = (BTreeMap::new(), Vec::new());
        for name in names {
            let path = path.parent().unwrap_or(Path::new("")).join(&name);
            let verified = match is_file_name(&name) {
                true => opened(&path).map_err(Distrust::Unreadable),
                false => Err(Distrust::NotBeside),
            };
            let verified = verified.and_then(|file| self.verify(&path, &file));
            let (held, by) = verified.map_err(|why| self.no(Some(name.clone()), &path, why))?;
            files.insert(name.clone(), held);
            signers.push((name, by));
        }
        Ok(Admitted { image: image.with_files(files), by, files: signers })
    }

    fn no(&self, file: Option<String>, path: &Path, why: Distrust) -> Box<Untrusted> {
        let (path, trust) = (path.to_owned(), self.path.clone());
        Box::new(Untrusted { file, path, trust, why })
    }

    /// Reads a file into memory, and says who answers for what is there then.
    fn verify(&self, path: &Path, file: &File) -> Result<(Sealed, Signer), Distrust> {
        let failed = |error| Distrust::Unreadable(Refusal::Unreadable(error));
        if let Some(writable) = writable::find(path, file).map_err(failed)? {
            return Err(Distrust::Writable(writable));
        }
        let held = Sealed::copy(file).map_err(|error| match error.kind() {
            io::ErrorKind::Unsupported => Distrust::NotHere,
            _ => Distrust::Memory(error),
        })?;
        let sha256 = sha256(&held.place()).map_err(Distrust::Memory)?;
        if let Some(note) = self.sha256.get(&sha256) {
            return Ok((held, Signer::Sha256 { note: note.clone() }));
        }
        let by = self.signer(path, &held, sha256)?;
        Ok((held, by))
    }

    /// Who has signed these bytes, as the signature beside the file says.
    fn signer(&self, path: &Path, held: &Sealed, sha256: String) -> Result<Signer, Distrust> {
        let (signature, text) = match signature::beside(path) {
            (signature, Ok(text)) => (signature, text),
            (signature, Err(Refusal::NoSuchFile)) => {
                return Err(Distrust::Unsigned { signature, sha256 });
            }
            (signature, Err(why)) => return Err(Distrust::SignatureUnreadable { signature, why }),
        };
        let Some(parsed) = Signature::parse(&text) else {
            return Err(Distrust::SignatureGarbled { signature });
        };
        // Two keys may have the same number: whoever makes one chooses it.
        let mut said = None;
        for key in self.keys.iter().filter(|key| key.id == parsed.id) {
            match key.verify(&parsed, held).map_err(Distrust::Memory)? {
                Verdict::Good => {
                    return Ok(Signer::Key { name: key.name.clone(), id: key.id.clone() });
                }
                Verdict::TooLong => said = Some(Distrust::Legacy),
                Verdict::Bad => {
                    let (name, key) = (key.name.clone(), key.text.clone());
                    let signature = signature.clone();
                    said = Some(Distrust::OtherContent { signature, name, key });
                }
            }
        }
        let known = || self.keys.iter().map(|key| format!("{} `{}`", key.id, key.name)).collect();
        Err(said.unwrap_or_else(|| Distrust::OtherKey { id: parsed.id, known: known() }))
    }
}

/// Opens what is no plugin.
fn opened(path: &Path) -> Result<File, Refusal> {
    look::open(path).map_err(|refusal| match refusal {
        Refusal::Folder => Refusal::NotRegular { found: "a folder" },
        other => other,
    })
}

#[cfg(test)]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod tests;
