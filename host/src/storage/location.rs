//! What a text on the command line names: a stream, a file of this machine, or something elsewhere.
//!
//! A URL may hold a password or a token. So what is shown of one, as text or for debugging, is never
//! the whole of it.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use url::Url;

/// Somewhere to read from or to write to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// `-`: stdin or stdout.
    Stream,
    /// A path of this machine.
    Local(PathBuf),
    /// `SCHEME://…`: what it means, [`Services`](super::services::Services) know.
    Remote(Remote),
}

impl Location {
    /// What a text means.
    pub fn of(text: &OsStr) -> Self {
        if text == "-" {
            return Location::Stream;
        }
        match text.to_str().and_then(Remote::of) {
            Some(remote) if remote.scheme() == "file" => {
                let path = Url::parse(remote.whole()).ok().and_then(|it| it.to_file_path().ok());
                path.map_or(Location::Remote(remote), Location::Local)
            }
            Some(remote) => Location::Remote(remote),
            None => Location::Local(text.into()),
        }
    }

    /// The path, where it is one of this machine.
    pub fn local(&self) -> Option<&Path> {
        match self {
            Location::Local(path) => Some(path),
            Location::Stream | Location::Remote(_) => None,
        }
    }

    /// What it is called in its folder.
    pub fn name(&self) -> Option<&OsStr> {
        match self {
            Location::Stream => None,
            Location::Local(path) => path.file_name(),
            Location::Remote(remote) => remote.name().map(OsStr::new),
        }
    }

    /// Something in it, where it is a folder.
    pub fn join(&self, name: &OsStr) -> Self {
        match self {
            Location::Stream => Location::Stream,
            Location::Local(path) => Location::Local(path.join(name)),
            Location::Remote(remote) => Location::Remote(remote.join(&name.to_string_lossy())),
        }
    }
}

/// As it was given, but for secrets.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Stream => f.write_str("-"),
            Location::Local(path) => write!(f, "{}", path.display()),
            Location::Remote(remote) => write!(f, "{remote}"),
        }
    }
}

/// Whether a path means stdin, also by the system's names for it.
pub fn is_stdin(path: &Path) -> bool {
    is_one_of(path, ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"])
}

/// Whether a path means stdout. The system's names for it too: by the time outputs are opened, they
/// mean what plugins may print to.
pub fn is_stdout(path: &Path) -> bool {
    is_one_of(path, ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
}

/// Whether a path means stderr.
pub fn is_stderr(path: &Path) -> bool {
    is_one_of(path, ["/dev/stderr", "/dev/fd/2", "/proc/self/fd/2"])
}

fn is_one_of<const N: usize>(path: &Path, names: [&str; N]) -> bool {
    names.iter().any(|name| path == Path::new(name))
}

/// Something that is no file of this machine: `SCHEME://REST`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Remote {
    text: String,
    scheme: String,
}

/// Schemes whose keys may hold a question mark: there it is a character like any other.
const OF_OBJECTS: [&str; 6] = ["s3", "s3a", "gs", "gcs", "az", "azure"];

impl Remote {
    /// What a text means; `None` where it is no URL.
    pub fn of(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("sqlite:").filter(|path| !path.starts_with("//")) {
            return Some(Remote { text: format!("sqlite://{path}"), scheme: "sqlite".to_owned() });
        }
        let (scheme, _) = text.split_once("://")?;
        let fits = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
        (is_scheme && scheme.chars().all(fits))
            .then(|| Remote { text: text.to_owned(), scheme: scheme.to_ascii_lowercase() })
    }

    /// What stands before `://`, in small letters.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// What stands behind it, secrets too.
    pub fn rest(&self) -> &str {
        &self.text[self.scheme.len() + "://".len()..]
    }

    /// The whole of it, secrets too: to be asked for, and never to be shown.
    pub fn whole(&self) -> &str {
        &self.text
    }

    /// Whether it names all that begins with it.
    pub fn is_folder(&self) -> bool {
        self.path().is_empty() || self.path().ends_with('/')
    }

    /// What it is called in its folder.
    pub fn name(&self) -> Option<&str> {
        let name = match self.path().rsplit_once('/') {
            Some((_, name)) => name,
            // A bucket or a server is no file; what a named service holds is one.
            None if OF_OBJECTS.contains(&self.scheme()) || self.scheme().starts_with("http") => "",
            None => self.path(),
        };
        Some(name).filter(|name| !name.is_empty())
    }

    /// Something in it.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        let slash = if self.text.ends_with('/') { "" } else { "/" };
        self.followed_by(&format!("{slash}{name}"))
    }

    /// The same with this behind it.
    #[must_use]
    pub fn followed_by(&self, text: &str) -> Self {
        Remote { text: format!("{}{text}", self.text), scheme: self.scheme.clone() }
    }

    /// Without what a question mark begins, unless it is part of the name.
    fn path(&self) -> &str {
        let rest = self.rest();
        let Some(at) = rest.find('?') else { return rest };
        let is_name = OF_OBJECTS.contains(&self.scheme()) && !rest[at..].contains('=');
        if is_name { rest } else { &rest[..at] }
    }
}

fn without_query(text: &str) -> &str {
    text.split_once('?').map_or(text, |(before, _)| before)
}

/// Without password, token and query.
impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rest, path) = (self.rest(), self.path());
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        // Behind a user's name there may be a password, even one with a slash or a question mark in
        // it: better too much is hidden. A name alone may be a token.
        let is_port = |text: &str| text.parse::<u16>().is_ok();
        let is_number = authority.starts_with('['); // of IPv6
        let before_port =
            authority.split_once(':').filter(|(_, port)| !is_port(port) && !is_number);
        let is_database = self.scheme.starts_with("postgres");
        let hides = before_port.is_some() || is_database;
        let within = if hides { rest } else { authority };
        let (user, path) = match (within.rfind('@'), before_port) {
            (Some(at), _) => {
                let path = path.get(at + 1..).unwrap_or_else(|| without_query(&rest[at + 1..]));
                let user = rest[..at].split_once(':').map(|(user, _)| format!("{user}@"));
                (user.unwrap_or_default(), path)
            }
            // A password, and its host forgotten; but several hosts are none.
            (None, Some((user, _))) if is_database && !authority.contains(',') => {
                (String::new(), user)
            }
            (None, _) => (String::new(), path),
        };
        write!(f, "{}://{user}{path}", self.scheme)
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_a_scheme_is_elsewhere() {
        let of = |text: &str| Location::of(text.as_ref());
        let remote = |text: &str| matches!(of(text), Location::Remote(_));
        assert_eq!(of("-"), Location::Stream);
        assert_eq!(of("file:///a/b%20c"), Location::Local("/a/b c".into()));
        for text in ["s3://bucket/key", "S3://b/k", "my-service://key", "pro_d.1://", "a://"] {
            assert!(remote(text), "{text}");
        }
        assert_eq!(of("sqlite:a/b.db"), of("sqlite://a/b.db"));
        for text in ["s3:/bucket/key", "://key", "1s://x", "dir/a://b", "C:\\x", "é://x"] {
            assert_eq!(of(text), Location::Local(text.into()), "{text}");
        }
    }

    #[test]
    fn no_secret_of_it_is_shown() {
        let shown = |text: &str| Remote::of(text).unwrap().to_string();
        let same = [
            "lake://10:30:00.json",
            "sqlite://:memory:",
            "s3://bucket/a b/key?.json",
            "gs://b/k#1",
            "https://host:8/x.csv",
            "prod://key",
        ];
        for text in same {
            assert_eq!(shown(text), text);
            assert_eq!(format!("{:?}", Remote::of(text).unwrap()), text);
        }
        assert_eq!(shown("postgres://me:pass@host:5/db?x=y"), "postgres://me@host:5/db");
        assert_eq!(shown("postgres://me:p@ss/w@host/db"), "postgres://me@host/db");
        assert_eq!(shown("postgres://me:pa?ss@host/db?x=y"), "postgres://me@host/db");
        assert_eq!(shown("postgres://me:pa@s?s=@host/db"), "postgres://me@host/db");
        assert_eq!(shown("postgres://me:12/ss@host/db"), "postgres://me@host/db");
        assert_eq!(shown("postgres://me:pass"), "postgres://me");
        assert_eq!(shown("postgres://a:1,b:2/db?x=y"), "postgres://a:1,b:2/db");
        assert_eq!(shown("http://[::1]:8080/a@b?x=y"), "http://[::1]:8080/a@b");
        assert_eq!(shown("https://token@host/x"), "https://host/x");
        assert_eq!(shown("https://host/x.csv?sig=secret"), "https://host/x.csv");
        assert_eq!(shown("s3://key:secret@bucket/x"), "s3://key@bucket/x");
        assert_eq!(shown("s3://bucket/x?X-Amz-Signature=secret"), "s3://bucket/x");
    }

    #[test]
    fn a_name_is_what_stands_last() {
        let name = |text: &str| Remote::of(text).unwrap().name().map(str::to_owned);
        assert_eq!(name("s3://bucket/a/b.json").unwrap(), "b.json");
        assert_eq!(name("https://host/a/b.csv.gz?sig=a/b").unwrap(), "b.csv.gz");
        assert_eq!(name("s3://bucket/a/"), None);
        assert_eq!(name("s3://bucket"), None);
        assert_eq!(name("lake://b.json").unwrap(), "b.json");
        let joined = Location::of("s3://bucket/a/".as_ref()).join("b".as_ref());
        assert_eq!(joined.to_string(), "s3://bucket/a/b");
    }
}
