//! The harness: builds the release binary and the plugins once, runs the binary in a temporary
//! folder, and shows everything about a run that was not as expected.
//!
//! Tests see what a user sees: arguments, files, streams, an exit code. Nothing here knows a flag.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

pub mod faults;
pub mod kill;
pub mod postgres;

/// The project's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root")
}

/// The folder of the release build, which is made before the first test needs it.
pub fn release() -> &'static Path {
    static RELEASE: OnceLock<PathBuf> = OnceLock::new();
    RELEASE.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--release", "--workspace", "--quiet"]).current_dir(root());
        // What cargo tells this process of its own crate is no matter there: a dependency that looks at
        // it would be built anew, and with it the host, whose link takes minutes.
        for (name, _) in std::env::vars_os() {
            let is_of_crate =
                |text: &str| text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_");
            if name.to_str().is_some_and(is_of_crate) {
                build.env_remove(&name);
            }
        }
        assert!(build.status().expect("cargo runs").success(), "the release build failed");
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root().join("target"), Into::into);
        root().join(target).join("release")
    })
}

/// The release binary.
pub fn host() -> PathBuf {
    release().join("etl-host")
}

/// The shared library of the plugin crate `name`.
pub fn plugin(name: &str) -> PathBuf {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    release().join(format!("{DLL_PREFIX}{name}{DLL_SUFFIX}"))
}

/// Where a text stands in a library; at least at one place.
pub fn places(bytes: &[u8], text: &str) -> Vec<usize> {
    let (mut places, mut start) = (Vec::new(), 0);
    for chunk in bytes.utf8_chunks() {
        places.extend(chunk.valid().match_indices(text).map(|(at, _)| start + at));
        start += chunk.valid().len() + chunk.invalid().len();
    }
    assert!(!places.is_empty(), "the plugin holds no {text:?}");
    places
}

/// A library with the second text wherever the first stands, filled up with spaces.
pub fn instead(mut library: Vec<u8>, text: &str, other: &str) -> Vec<u8> {
    assert!(other.len() <= text.len(), "what follows must not move");
    let other = format!("{other:0$}", text.len());
    for place in places(&library, text) {
        library[place..place + other.len()].copy_from_slice(other.as_bytes());
    }
    library
}

/// A temporary folder with files by name.
pub struct Folder(TempDir);

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Folder {
    /// An empty one.
    pub fn new() -> Self {
        Folder(TempDir::new().expect("a temporary folder can be made"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, content).expect("a temporary file can be written");
        path
    }

    /// The content of a file; `None` where there is none.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.path().join(name)).ok()
    }

    /// The content of a text file that is there.
    #[track_caller]
    pub fn text(&self, name: &str) -> String {
        let content = self.read(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.names()));
        String::from_utf8(content).expect("the file is UTF-8")
    }

    /// The names of all files in it, hidden ones too, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).expect("a temporary folder can be read");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// A run of the binary in this folder, not started yet.
    pub fn host<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Run<'_> {
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        Run {
            folder: self,
            args,
            env: Vec::new(),
            stdin: Vec::new(),
            limits: String::new(),
            user: None,
        }
    }
}

/// A run of the binary, not started yet.
pub struct Run<'a> {
    folder: &'a Folder,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
    stdin: Vec<u8>,
    limits: String,
    user: Option<u32>,
}

impl Run<'_> {
    /// What it reads from stdin.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Further arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// A variable in its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What it may have of the system, as words of the shell's `ulimit`: `-v 4194304` for 4 GiB of
    /// addresses.
    pub fn limits(mut self, words: &str) -> Self {
        self.limits = words.to_owned();
        self
    }

    /// Who runs it, by number; only root can say.
    pub fn user(mut self, id: u32) -> Self {
        self.user = Some(id);
        self
    }

    /// The command, for tests that need the process itself.
    pub fn command(&self) -> Command {
        let mut command = Command::new(host());
        if !self.limits.is_empty() {
            command = Command::new("sh");
            command.args(["-c", &format!(r#"ulimit {}; exec "$0" "$@""#, self.limits)]).arg(host());
        }
        if let Some(user) = self.user {
            command.uid(user);
        }
        command.args(&self.args).envs(self.env.clone()).current_dir(self.folder.path());
        command
    }

    /// Runs it to its end.
    pub fn run(self) -> Ran {
        self.run_with(|_| ())
    }

    /// Runs it to its end, which this may bring about. Nobody takes what it writes until this has
    /// come back.
    fn run_with(self, meddle: impl FnOnce(&mut Child)) -> Ran {
        let mut command = self.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let mut stdin = child.stdin.take().expect("stdin is a pipe");
        // In a thread of its own: the child may not read before we have read what it writes.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&self.stdin)));
        meddle(&mut child);
        let output = child.wait_with_output().expect("the binary ends");
        writer.join().expect("writing to the child does not panic");
        let mut shown = format!("{command:?}\nfolder: {:?}\n", self.folder.names());
        for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
            let text = String::from_utf8_lossy(bytes);
            let cut: String = text.chars().take(4000).collect();
            let _ = writeln!(shown, "--- {name} ({} bytes)\n{cut}", bytes.len());
        }
        let (code, signal) = (output.status.code(), output.status.signal());
        let _ = writeln!(shown, "--- {}", output.status);
        Ran { code, signal, stdout: output.stdout, stderr: output.stderr, shown }
    }
}

/// A run that has ended.
pub struct Ran {
    /// The exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// What it wrote.
    pub stdout: Vec<u8>,
    /// What it said.
    pub stderr: Vec<u8>,
    shown: String,
}

impl Ran {
    /// Its exit code is this one.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "exit code\n{}", self.shown);
        self
    }

    /// This signal ended it.
    #[track_caller]
    pub fn dies_of(self, signal: i32) -> Self {
        assert_eq!(self.signal, Some(signal), "signal\n{}", self.shown);
        self
    }

    /// Its stdout is just this.
    #[track_caller]
    pub fn writes(self, text: &str) -> Self {
        assert_eq!(String::from_utf8_lossy(&self.stdout), text, "stdout\n{}", self.shown);
        self
    }

    /// Its stderr holds this.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        let stderr = String::from_utf8_lossy(&self.stderr);
        assert!(stderr.contains(text), "not said: {text}\n{}", self.shown);
        self
    }

    /// Its stderr does not hold this.
    #[track_caller]
    pub fn says_nothing_of(self, text: &str) -> Self {
        let stderr = String::from_utf8_lossy(&self.stderr);
        assert!(!stderr.contains(text), "said: {text}\n{}", self.shown);
        self
    }
}
