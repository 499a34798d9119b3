//! The stamp: made at compile time by `export_models!`, read from the file by hosts.
//!
//! The reading side gets bytes from a file that may lie; it believes no length. The writing side
//! runs in the compiler, so a bad name fails the author's build.

use crate::model::ModelInfo;
use model_abi_layout::stamp::{HEAD_BYTES, MAGIC, TEXT_BYTES_MAX};
use serde::{Deserialize, Serialize};

/// What a stamp says.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Stamp {
    /// Version of the border that the plugin speaks: `1.0.0`.
    pub abi: String,
    /// What a host must understand to use this plugin. An unknown entry is a refusal.
    #[serde(default)]
    pub requires: Vec<String>,
    /// The plugin's package.
    #[serde(default, rename = "crate")]
    pub package: String,
    /// The package's version.
    #[serde(default)]
    pub version: String,
    /// `rustc 1.95.0 (59807616e 2026-04-14)`
    #[serde(default)]
    pub compiler: String,
    /// `x86_64-unknown-linux-gnu`
    #[serde(default)]
    pub target: String,
    /// The models in the plugin.
    #[serde(default)]
    pub models: Vec<StampedModel>,
}

/// A model's [`ModelInfo`] and the names of its files, as read from a stamp.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of ModelInfo")]
pub struct StampedModel {
    pub qualified_name: String,
    #[serde(default)]
    pub display_name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub major_version: u32,
    #[serde(default)]
    pub minor_version: u32,
    /// [`MLModel::FILES`](crate::MLModel::FILES): names that a host checks with [`is_file_name`]
    /// before it believes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

/// Why bytes are not a stamp.
#[derive(Debug)]
pub enum StampError {
    /// They end before the stamp does.
    Truncated,
    /// They don't begin with the magic.
    NoMagic,
    /// The text's length is over the bound.
    TooLong(usize),
    /// The text is not the JSON it should be.
    Text(serde_json::Error),
}

impl std::fmt::Display for StampError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StampError::Truncated => write!(f, "it ends too early"),
            StampError::NoMagic => write!(f, "it does not begin as a stamp does"),
            StampError::TooLong(len) => {
                write!(f, "it says it is {len} bytes long, the most is {TEXT_BYTES_MAX}")
            }
            StampError::Text(error) => write!(f, "its text is garbled: {error}"),
        }
    }
}

impl std::error::Error for StampError {}

/// Reads a stamp from the bytes that begin at its symbol.
pub fn read(bytes: &[u8]) -> Result<Stamp, StampError> {
    let (head, rest) = bytes.split_at_checked(HEAD_BYTES).ok_or(StampError::Truncated)?;
    let (magic, len) = head.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(StampError::NoMagic);
    }
    let len = u32::from_le_bytes([len[0], len[1], len[2], len[3]]) as usize;
    if len > TEXT_BYTES_MAX {
        return Err(StampError::TooLong(len));
    }
    let text = rest.get(..len).ok_or(StampError::Truncated)?;
    serde_json::from_slice(text).map_err(StampError::Text)
}

/// A stamp under construction in the compiler. With `N` = 0 it only counts, so that the second
/// pass knows its size.
#[doc(hidden)]
pub struct Writer<const N: usize> {
    /// The stamp, once `len` = `N`.
    pub bytes: [u8; N],
    /// How long it is.
    pub len: usize,
}

impl<const N: usize> Writer<N> {
    /// The whole stamp of a plugin.
    ///
    /// `files`: of each model, in the order of the models.
    pub const fn stamp(
        package: &str,
        version: &str,
        models: &[ModelInfo],
        files: &[&[&str]],
    ) -> Self {
        let mut w = Writer { bytes: [0; N], len: 0 };
        w.raw(&MAGIC);
        w.raw(&(N.saturating_sub(HEAD_BYTES) as u32).to_le_bytes());
        w.raw(b"{\"abi\":");
        w.string(model_abi_layout::ABI_VERSION);
        w.raw(b",\"requires\":[],\"crate\":");
        w.string(package);
        w.raw(b",\"version\":");
        w.string(version);
        w.raw(b",\"compiler\":");
        w.string(env!("MODEL_ABI_COMPILER"));
        w.raw(b",\"target\":");
        w.string(env!("MODEL_ABI_TARGET"));
        w.raw(b",\"models\":[");
        let mut i = 0;
        while i < models.len() {
            w.raw(if i == 0 { b"" } else { b"," });
            w.raw(b"{\"qualified_name\":");
            w.string(models[i].qualified_name);
            w.raw(b",\"display_name\":");
            w.string(models[i].display_name);
            w.raw(b",\"description\":");
            w.string(models[i].description);
            w.raw(b",\"major_version\":");
            w.number(models[i].major_version);
            w.raw(b",\"minor_version\":");
            w.number(models[i].minor_version);
            // A model without files has the stamp that it had before there was this key.
            if !files[i].is_empty() {
                w.raw(b",\"files\":[");
                let mut j = 0;
                while j < files[i].len() {
                    w.raw(if j == 0 { b"" } else { b"," });
                    w.string(files[i][j]);
                    j += 1;
                }
                w.raw(b"]");
            }
            w.raw(b"}");
            i += 1;
        }
        w.raw(b"]}");
        assert!(w.len - HEAD_BYTES <= TEXT_BYTES_MAX, "the models' descriptions are too long");
        w
    }

    const fn byte(&mut self, byte: u8) {
        if self.len < N {
            self.bytes[self.len] = byte;
        }
        self.len += 1;
    }

    const fn raw(&mut self, bytes: &[u8]) {
        let mut i = 0;
        while i < bytes.len() {
            self.byte(bytes[i]);
            i += 1;
        }
    }

    const fn string(&mut self, text: &str) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let text = text.as_bytes();
        self.byte(b'"');
        let mut i = 0;
        while i < text.len() {
            match text[i] {
                byte @ (b'"' | b'\\') => self.raw(&[b'\\', byte]),
                byte @ ..0x20 => {
                    self.raw(b"\\u00");
                    self.raw(&[HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]]);
                }
                byte => self.byte(byte),
            }
            i += 1;
        }
        self.byte(b'"');
    }

    const fn number(&mut self, number: u32) {
        if number >= 10 {
            self.number(number / 10);
        }
        self.byte(b'0' + (number % 10) as u8);
    }
}

/// Fails the build of a plugin whose models can't be told apart by name.
#[doc(hidden)]
pub const fn check_names(models: &[ModelInfo]) {
    let mut i = 0;
    while i < models.len() {
        let name = models[i].qualified_name.as_bytes();
        assert!(!name.is_empty(), "a model's qualified_name is empty");
        let mut at = 0;
        while at < name.len() {
            assert!(
                name[at].is_ascii_alphanumeric() || matches!(name[at], b'_' | b'-' | b'.'),
                "a model's qualified_name may hold only letters, digits, `_`, `-` and `.`"
            );
            at += 1;
        }
        assert!(
            name[0].is_ascii_alphanumeric() || name[0] == b'_',
            "a model's qualified_name must begin with a letter, a digit or `_`"
        );
        let mut j = 0;
        while j < i {
            assert!(
                !equal(name, models[j].qualified_name.as_bytes()),
                "two models of this plugin have the same qualified_name"
            );
            j += 1;
        }
        i += 1;
    }
}

/// Fails the build of a plugin whose models' files can't lie beside it.
#[doc(hidden)]
pub const fn check_files(models: &[&[&str]]) {
    let mut i = 0;
    while i < models.len() {
        let files = models[i];
        let mut j = 0;
        while j < files.len() {
            assert!(
                is_file_name(files[j]),
                "a name in a model's FILES must be relative, with `/` between its parts, and without `.` and `..`"
            );
            let mut k = 0;
            while k < j {
                assert!(
                    !equal(files[j].as_bytes(), files[k].as_bytes()),
                    "a model's FILES name a file twice"
                );
                k += 1;
            }
            j += 1;
        }
        i += 1;
    }
}

/// Whether a name in a model's `FILES` is one: relative, parts between forward slashes, none of
/// which is empty, `.` or `..`; no backslash, no control character.
pub const fn is_file_name(name: &str) -> bool {
    let name = name.as_bytes();
    let (mut at, mut begin) = (0, 0);
    while at <= name.len() {
        if at == name.len() || name[at] == b'/' {
            let is_dots = match at - begin {
                0 => true,
                1 => name[begin] == b'.',
                2 => name[begin] == b'.' && name[begin + 1] == b'.',
                _ => false,
            };
            if is_dots {
                return false;
            }
            begin = at + 1;
        } else if name[at] == b'\\' || name[at] < 0x20 || name[at] == 0x7f {
            return false;
        }
        at += 1;
    }
    true
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODELS: &[ModelInfo] = &[ModelInfo {
        display_name: "Quote \" backslash \\ tab \t ünï",
        qualified_name: "one",
        description: "",
        major_version: 0,
        minor_version: 4_294_967_295,
    }];
    const FILES: &[&[&str]] = &[&["weights.bin", "sub/a b.json"]];
    const LEN: usize = Writer::<0>::stamp("a", "1.2.3", MODELS, FILES).len;
    const BYTES: [u8; LEN] = Writer::<LEN>::stamp("a", "1.2.3", MODELS, FILES).bytes;

    #[test]
    fn what_the_compiler_writes_is_what_a_host_reads() {
        let stamp = read(&BYTES).unwrap();
        assert_eq!((stamp.package.as_str(), stamp.version.as_str()), ("a", "1.2.3"));
        assert_eq!(stamp.models[0].display_name, MODELS[0].display_name);
        assert_eq!(stamp.models[0].minor_version, u32::MAX);
        assert_eq!(stamp.models[0].files, FILES[0]);
        assert!(stamp.compiler.starts_with("rustc "), "{stamp:?}");
    }

    /// The words of a build that fails; `refused.rs` knows that it does fail.
    #[track_caller]
    fn check_refused(names: &[&'static str], expected: &str) {
        let models: Vec<_> =
            names.iter().map(|&qualified_name| ModelInfo { qualified_name, ..MODELS[0] }).collect();
        let message = crate::panics::catch(|| check_names(&models)).unwrap_err();
        assert!(message.ends_with(expected), "{message}");
    }

    #[test]
    fn names_that_cannot_be_told_apart_or_typed_are_refused() {
        check_names(&[ModelInfo { qualified_name: "a_B-0.9", ..MODELS[0] }, MODELS[0]]);
        check_refused(&[""], ": a model's qualified_name is empty");
        let letters = ": a model's qualified_name may hold only letters, digits, `_`, `-` and `.`";
        check_refused(&["a b"], letters);
        check_refused(&["a", "a/b"], letters);
        check_refused(&["ä"], letters);
        let first = ": a model's qualified_name must begin with a letter, a digit or `_`";
        check_refused(&[".."], first);
        check_refused(&["_", "-a"], first);
        let same = ": two models of this plugin have the same qualified_name";
        check_refused(&["a", "b", "a"], same);
    }

    #[test]
    fn a_model_without_files_says_nothing_of_them() {
        const LEN: usize = Writer::<0>::stamp("a", "1", MODELS, &[&[]]).len;
        let bytes = Writer::<LEN>::stamp("a", "1", MODELS, &[&[]]).bytes;
        assert!(!String::from_utf8_lossy(&bytes).contains("files"));
        assert!(read(&bytes).unwrap().models[0].files.is_empty());
    }

    #[test]
    fn a_file_lies_beside_its_plugin_or_below() {
        for name in ["weights.bin", "a/b/c", "..a", "a..", "...", "über.bin", "a b"] {
            assert!(is_file_name(name), "{name}");
        }
        for name in [
            "", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "./a", "a/.", "a\\b", "a\n", "a\0",
        ] {
            assert!(!is_file_name(name), "{name:?}");
            let message = crate::panics::catch(|| check_files(&[&[], &["a", name]])).unwrap_err();
            assert!(message.contains("must be relative"), "{message}");
        }
        check_files(&[&["a", "b"], &["a"]]);
        let message = crate::panics::catch(|| check_files(&[&["a", "b", "a"]])).unwrap_err();
        assert!(message.ends_with("a model's FILES name a file twice"), "{message}");
    }

    #[test]
    fn a_stamp_cut_anywhere_is_an_error() {
        for len in 0..BYTES.len() {
            assert!(matches!(read(&BYTES[..len]), Err(StampError::Truncated)), "{len}");
        }
    }

    #[test]
    fn a_stamp_that_lies_about_its_length_is_an_error() {
        let with_len = |len: u32| {
            let mut bytes = BYTES.to_vec();
            bytes[16..20].copy_from_slice(&len.to_le_bytes());
            read(&bytes)
        };
        assert!(matches!(with_len(u32::MAX), Err(StampError::TooLong(_))));
        assert!(matches!(with_len(LEN as u32), Err(StampError::Truncated)));
        assert!(matches!(with_len(10), Err(StampError::Text(_))));
    }

    #[test]
    fn other_bytes_are_not_a_stamp() {
        assert!(matches!(read(&[b'x'; 64]), Err(StampError::NoMagic)));
    }
}
