//! The file that says whom to trust.
//!
//! ```toml
//! [keys] # of minisign: the second lines of their .pub files
//! iris-team = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"
//!
//! [sha256] # of plugins, and of files that their models read
//! "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" = "reviewed by Ada"
//! ```
//!
//! Nothing else may stand in it: a key that is misspelt would be one that is not asked. One that trusts
//! nobody is a mistake, and so is one that anybody may write to.

use super::signature::Key;
use super::{Trust, look_of, opened, writable};
use crate::shell::quoted;
use crate::toml_text::{self, Wrong, meant, on_a_line, wrong};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use toml::de::DeTable;

/// Tens of thousands of lines.
const BYTES_MAX: u64 = 4 << 20;

/// Why a file of trust can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct TrustError {
    /// What is wrong, and where.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Reads it.
pub(super) fn read(path: &Path) -> Result<Trust, TrustError> {
    let name = path.display();
    let unreadable = |why: String| TrustError {
        message: format!("the trust file `{name}` can't be read: {why}"),
        hint: None,
    };
    let file = opened(path).map_err(|refusal| unreadable(look_of(&refusal)))?;
    refuse_open(path, &file)?;
    let mut text = String::new();
    let read = file.take(BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| unreadable(error.to_string()))?;
    if text.len() as u64 > BYTES_MAX {
        return Err(unreadable(format!("it is longer than {BYTES_MAX} bytes")));
    }
    let (keys, sha256) = parse(&text).map_err(|wrong| {
        let (line, what) = (wrong.line(&text), &wrong.message);
        let message = format!("trust file `{name}`, line {line}: {what}");
        TrustError { message, hint: wrong.hint }
    })?;
    if keys.is_empty() && sha256.is_empty() {
        return Err(TrustError {
            message: format!("the trust file `{name}` trusts nobody"),
            hint: Some("it has tables [keys] and [sha256]; docs/security.md shows some".to_owned()),
        });
    }
    Ok(Trust { path: path.to_owned(), keys, sha256 })
}

/// Refuses a file that names the file of trust, where anybody may write to it.
pub fn refuse_writable(path: &Path) -> Result<(), TrustError> {
    let file = opened(path).map_err(|refusal| TrustError {
        message: format!("`{}` can't be read: {}", path.display(), look_of(&refusal)),
        hint: None,
    })?;
    refuse_open(path, &file)
}

fn refuse_open(path: &Path, file: &File) -> Result<(), TrustError> {
    let name = path.display();
    let found = writable::find(path, file).map_err(|error| TrustError {
        message: format!("`{name}` can't be looked at: {error}"),
        hint: None,
    })?;
    let Some(found) = found else { return Ok(()) };
    let found = found.display();
    Err(TrustError {
        message: format!("`{name}` can't say whom to trust: anybody may write to `{found}`"),
        hint: Some(format!("chmod o-w {}", quoted(&found.to_string()))),
    })
}

type Parsed = (Vec<Key>, BTreeMap<String, String>);

fn parse(text: &str) -> Result<Parsed, Wrong> {
    let (mut keys, mut sha256) = (Vec::new(), BTreeMap::new());
    for (name, value) in toml_text::parse(text)?.iter() {
        let (byte, name) = (name.span().start, name.get_ref().as_ref());
        if !["keys", "sha256"].contains(&name) {
            let message = format!("there is no table `{}` here", on_a_line(name));
            return Err(wrong(byte, message, Some(meant(name, ["keys", "sha256"]))));
        }
        let table = value.get_ref().as_table().ok_or_else(|| {
            wrong(byte, format!("`{name}` is no table"), Some(format!("begin with [{name}]")))
        })?;
        match name {
            "keys" => read_keys(table, &mut keys)?,
            _ => read_digests(table, &mut sha256)?,
        }
    }
    Ok((keys, sha256))
}

fn read_keys(table: &DeTable<'_>, keys: &mut Vec<Key>) -> Result<(), Wrong> {
    for (name, value) in table {
        let (place, name) = (value.span().start, on_a_line(name.get_ref()));
        let key = value.get_ref().as_str().and_then(|text| Key::parse(&name, text.trim()));
        keys.push(key.ok_or_else(|| {
            let hint = "the second line of the .pub file, which begins with RW".to_owned();
            wrong(place, format!("key `keys.{name}` is no public key of minisign"), Some(hint))
        })?);
    }
    Ok(())
}

fn read_digests(table: &DeTable<'_>, sha256: &mut BTreeMap<String, String>) -> Result<(), Wrong> {
    for (digest, note) in table {
        let (place, digest) = (digest.span().start, digest.get_ref());
        if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let message = format!("`sha256.{}` is no SHA-256", on_a_line(digest));
            let hint = "64 digits, as `sha256sum FILE` writes them".to_owned();
            return Err(wrong(place, message, Some(hint)));
        }
        let Some(note) = note.get_ref().as_str() else {
            let message = format!("key `sha256.{}…` is no text", &digest[..8]);
            let hint = "what it is, for people: \"iris model 0.1\"".to_owned();
            return Err(wrong(note.span().start, message, Some(hint)));
        };
        sha256.insert(digest.to_ascii_lowercase(), note.to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    fn read_text(text: &str) -> Result<Trust, TrustError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn keys_and_digests_are_read() {
        let digest = "AB".repeat(32);
        let text =
            format!("sha256.{digest} = ' note '\n[keys]\n\"a b\" = ' {KEY}\\n'\nc = '{KEY}'\n")
                .replace("' RW", "\" RW")
                .replace("\\n'", "\\n\"");
        let trust = read_text(&text).unwrap();
        assert_eq!(trust.sha256[&"ab".repeat(32)], " note ");
        let keys: Vec<_> = trust.keys.iter().map(|key| (&*key.name, &*key.id)).collect();
        assert_eq!(keys, [("a b", "E7620F1842B4E81F"), ("c", "E7620F1842B4E81F")]);
    }

    #[test]
    fn what_is_wrong_is_told_by_line_and_key() {
        let short = &KEY[..40];
        for (text, message, hint) in [
            ("[kyes]\n", "line 1: there is no table `kyes` here", "did you mean `keys`?"),
            ("\nkeys = 1\n", "line 2: `keys` is no table", "[keys]"),
            (
                "[keys]\na = 1\n",
                "line 2: key `keys.a` is no public key of minisign",
                "begins with RW",
            ),
            (
                &format!("[keys]\na = '{short}'"),
                "line 2: key `keys.a` is no public key",
                "second line",
            ),
            ("[sha256]\n\nabc = ''\n", "line 3: `sha256.abc` is no SHA-256", "sha256sum"),
            (&format!("[sha256]\n{} = ''", "xy".repeat(32)), "line 2: `sha256.xyxy", "64 digits"),
            (
                &format!("[sha256]\n{} = 1", "ab".repeat(32)),
                "line 2: key `sha256.abababab…`",
                "people",
            ),
            ("[keys\n", "line 1: it is no TOML", ""),
            ("", "trusts nobody", "docs/security.md"),
            ("[keys]\n[sha256]\n", "trusts nobody", ""),
        ] {
            let error = read_text(text).unwrap_err();
            assert!(error.message.contains(message), "{text}: {error:?}");
            assert!(error.hint.clone().unwrap_or_default().contains(hint), "{text}: {error:?}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_or_no_file_or_anybodys_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        let message = |path: &Path| read(path).unwrap_err().to_string();
        assert!(message(&path).ends_with("can't be read: there is no such file"));
        assert!(message(folder.path()).ends_with("expected a regular file, found a folder"));
        fs::write(&path, format!("[keys]\na = '{KEY}'\n")).unwrap();
        read(&path).unwrap();
        for (place, mode) in [(&*path, 0o666), (folder.path(), 0o777)] {
            let before = fs::metadata(place).unwrap().permissions();
            fs::set_permissions(place, fs::Permissions::from_mode(mode)).unwrap();
            let error = read(&path).unwrap_err();
            let expected = format!("anybody may write to `{}`", place.display());
            assert!(error.message.ends_with(&expected), "{error}");
            assert!(error.hint.unwrap().starts_with("chmod o-w "));
            fs::set_permissions(place, before).unwrap();
        }
    }
}
