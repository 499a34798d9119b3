//! Signatures as the tool minisign makes them: a key's text, and a file `NAME.minisig` beside what is
//! signed. The crate minisign-verify does the mathematics.
//!
//! A signature names the number of its key, which proves nothing: it only says which key to try. Those
//! of minisign's old form, of the bytes themselves and not of their digest, are taken as minisign takes
//! them; it makes none for long files, and neither are they taken for such.

use super::opened;
use crate::plugin::image::Sealed;
use crate::plugin::look::Refusal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minisign_verify::{Error, PublicKey};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// A signature has four lines; its comments may be of any length.
const SIGNATURE_BYTES_MAX: u64 = 64 * 1024;
/// What minisign itself takes at most in its old form.
const LEGACY_BYTES_MAX: u64 = 1 << 30;

/// A public key.
#[derive(Debug)]
pub(super) struct Key {
    /// What people call it.
    pub(super) name: String,
    /// Its number: `E7620F1842B4E81F`.
    pub(super) id: String,
    /// As it stands in the second line of its `.pub` file.
    pub(super) text: String,
    key: PublicKey,
}

/// What a key says of a signature that bears its number.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Good,
    Bad,
    /// It is of the old form, and the file too long for it.
    TooLong,
}

impl Key {
    /// A key, out of the second line of its `.pub` file.
    pub(super) fn parse(name: &str, text: &str) -> Option<Self> {
        let key = PublicKey::from_base64(text).ok()?;
        Some(Key { name: name.to_owned(), id: id(text)?, text: text.to_owned(), key })
    }

    /// Whether it has signed these bytes.
    pub(super) fn verify(&self, signature: &Signature, held: &Sealed) -> io::Result<Verdict> {
        let mut file = fs::File::open(held.place())?;
        let verified = match self.key.verify_stream(&signature.signature) {
            Ok(mut verifier) => {
                let mut piece = vec![0; 1 << 16];
                loop {
                    match file.read(&mut piece)? {
                        0 => break,
                        read => verifier.update(&piece[..read]),
                    }
                }
                verifier.finalize()
            }
            Err(Error::UnsupportedLegacyMode) => {
                if file.metadata()?.len() > LEGACY_BYTES_MAX {
                    return Ok(Verdict::TooLong);
                }
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes)?;
                self.key.verify(&bytes, &signature.signature, true)
            }
            Err(error) => Err(error),
        };
        Ok(if verified.is_ok() { Verdict::Good } else { Verdict::Bad })
    }
}

/// A signature, of which nothing is believed yet.
pub(super) struct Signature {
    /// The number of the key that it claims to be by.
    pub(super) id: String,
    signature: minisign_verify::Signature,
}

impl Signature {
    /// `None`: it is none.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let signature = minisign_verify::Signature::decode(text).ok()?;
        Some(Signature { id: id(text.lines().nth(1)?)?, signature })
    }
}

/// The number in a key or a signature: eight bytes behind two, the last one first.
fn id(text: &str) -> Option<String> {
    let bytes = STANDARD.decode(text.trim()).ok()?;
    let id: [u8; 8] = bytes.get(2..10)?.try_into().ok()?;
    Some(format!("{:016X}", u64::from_le_bytes(id)))
}

/// The text of the signature beside a file, and where it is or should be: with the name that was asked
/// for, or with that behind all links.
pub(super) fn beside(path: &Path) -> (PathBuf, Result<Vec<u8>, Refusal>) {
    let asked = with_ending(path);
    match read(&asked) {
        Err(Refusal::NoSuchFile) => {
            let other = path.canonicalize().map(|path| with_ending(&path));
            match other.map(|other| (read(&other), other)) {
                Ok((Ok(text), other)) => (other, Ok(text)),
                _ => (asked, Err(Refusal::NoSuchFile)),
            }
        }
        read => (asked, read),
    }
}

fn with_ending(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

/// What is longer than a signature can be is cut, and is none then.
fn read(path: &Path) -> Result<Vec<u8>, Refusal> {
    let mut text = Vec::new();
    let read = opened(path)?.take(SIGNATURE_BYTES_MAX).read_to_end(&mut text);
    read.map(|_| text).map_err(Refusal::Unreadable)
}
