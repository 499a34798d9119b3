//! Looks at a plugin's file as data and says what it is, or why it is refused.
//!
//! `dlopen` runs the constructors of a library before anybody can ask it anything, and a file cut
//! short kills the process (SIGBUS) where its missing pages are touched. So everything that can be
//! known without loading is found out here: wrong system, wrong machine, cut short, no plugin, an
//! ABI or a glibc that this host does not have. What only the loader can know (a library that the
//! plugin needs and that is missing) is left to it. Nothing is executed and nothing is mapped.
//!
//! The file may lie: no size or offset in it is believed before it is compared with the file's own
//! length, and everything counted has a bound. It may also change between this look and the load,
//! unless it is held ([`Image`]); this is a guard against mistakes, not against an enemy, who would
//! write a good stamp anyway (for that one: [`trust`](super::trust)).
//!
//! The trap: a name that opens but never ends, such as a pipe, would hang us. So the kind of the
//! file is asked before it is opened.

#[cfg(not(target_os = "macos"))]
mod elf;
#[cfg(any(target_os = "macos", test))]
mod macho;

#[cfg(not(target_os = "macos"))]
use elf as own;
#[cfg(target_os = "macos")]
use macho as own;

use super::image::Image;
use crate::cut::cut;
use model_abi::layout::ABI_VERSION;
use model_abi::layout::stamp::{HEAD_BYTES, SYMBOL, TEXT_BYTES_MAX};
use model_abi::stamp::{self, Stamp, StampError};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt as _};
use std::path::Path;

/// What this system's libraries are.
const FORMAT: &str = if cfg!(target_os = "macos") { "Mach-O" } else { "ELF" };
const SYSTEM: &str = if cfg!(target_os = "macos") { "macOS" } else { "Linux" };

/// The entries of `requires` that this host understands: none have been needed yet.
const REQUIREMENTS_KNOWN: [&str; 0] = [];

/// A message that names things from the file names at most so many.
const NAMES_SHOWN_MAX: usize = 8;

/// What a file that passed says of itself. Its texts come from the file as they are: escape them
/// before they go to a terminal.
#[derive(Clone, Debug)]
pub struct Looked {
    /// What was stamped on it when it was built.
    pub stamp: Stamp,
    /// `ELF` or `Mach-O`.
    pub format: &'static str,
    /// The system of that format: `Linux` or `macOS`.
    pub system: &'static str,
    /// The machine it was built for, which is this one.
    pub machine: Machine,
    /// The libraries it needs, as it names them (`libm.so.6`), in its order. Not looked for here.
    pub needed: Vec<String>,
    /// The newest glibc it asks for, major and minor. `None` where it asks for none (macOS, musl).
    pub glibc_newest: Option<(u32, u32)>,
}

/// A processor, as far as it decides what can be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// As in [`std::env::consts::ARCH`]: `x86_64`, `aarch64`.
    pub architecture: String,
    /// 32 or 64.
    pub bits: u32,
    /// Whether the most significant byte comes first.
    pub big_endian: bool,
}

impl Machine {
    /// The one that this host was compiled for.
    pub fn this() -> Self {
        Machine {
            architecture: std::env::consts::ARCH.to_owned(),
            bits: usize::BITS,
            big_endian: cfg!(target_endian = "big"),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = if self.big_endian { " big-endian" } else { "" };
        write!(f, "{}-bit{order} {}", self.bits, self.architecture)
    }
}

/// Why a file is refused. The message leaves the path to the caller, and the cause of
/// [`Refusal::Unreadable`] and [`Refusal::StampGarbled`] to `source()`.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Refusal {
    #[error("there is no such file")]
    NoSuchFile,
    #[error("this user is not permitted to read it")]
    NotPermitted,
    #[error("it can't be read")]
    Unreadable(#[source] io::Error),
    #[error("expected a shared library, found a folder")]
    Folder,
    #[error("expected a regular file, found {found}")]
    NotRegular { found: &'static str },
    #[error("expected a shared library, found an empty file")]
    Empty,
    #[error("expected a shared library, found a file that begins with {begins}")]
    NotALibrary { begins: String },
    #[error("expected a library for {expected}, found {found}")]
    OtherSystem { found: String, expected: &'static str },
    #[error("expected a library for {expected}, found one for {found}")]
    OtherMachine { found: Machine, expected: Machine },
    #[error("expected a shared library, found {found}")]
    NotShared { found: &'static str },
    #[error("it is cut short: {part} ends at byte {needs}, the file at byte {has}")]
    Truncated { part: &'static str, needs: u64, has: u64 },
    #[error("it is damaged: {0}")]
    Damaged(String),
    #[error("expected a plugin, found a shared library without `{SYMBOL}`")]
    NoStamp,
    #[error("its stamp is garbled")]
    StampGarbled(#[source] Garbled),
    #[error("its stamp is garbled: expected an ABI version such as {ABI_VERSION}, found `{found}`")]
    AbiGarbled { found: String },
    #[error("plugin speaks ABI {found}, this host speaks {ABI_VERSION}")]
    OtherAbi { found: String },
    #[error("it requires {names}, which this host does not know")]
    UnknownRequirement { names: String },
    #[error(
        "it asks for glibc {}.{}, this machine has {}.{}",
        asked.0, asked.1, has.0, has.1
    )]
    NewerGlibc { asked: (u32, u32), has: (u32, u32) },
}

/// Why a stamp can't be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Garbled(String);

impl From<StampError> for Garbled {
    /// The message may repeat a text of the stamp, all of it: up to a megabyte.
    fn from(error: StampError) -> Self {
        const CHARACTERS_MAX: usize = 200;
        Garbled(cut(&error.to_string(), CHARACTERS_MAX).into_owned())
    }
}

impl Refusal {
    /// What the user may do about it, where that can be said.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Refusal::Folder => "`etl-host list DIR` shows the plugins in a folder",
            Refusal::NotALibrary { .. } | Refusal::NotShared { .. } => {
                "a crate with `crate-type = [\"cdylib\"]` builds one, as `.so` (Linux) or `.dylib` (macOS)"
            }
            Refusal::OtherSystem { .. } | Refusal::OtherMachine { .. } => {
                "build it on this machine, or for it: `cargo build --release --target …`"
            }
            Refusal::Truncated { .. } | Refusal::Damaged(_) | Refusal::Empty => {
                "copy or build it again"
            }
            Refusal::NoStamp => "`export_models![…]` makes a plugin of a crate's models",
            Refusal::StampGarbled(_) | Refusal::AbiGarbled { .. } => "build it again",
            Refusal::OtherAbi { .. } => {
                "build it with this host's `model-abi`, or use a host that speaks its ABI"
            }
            Refusal::UnknownRequirement { .. } => "a newer host may know it",
            Refusal::NewerGlibc { .. } => {
                "build it on this system, or on one whose glibc is no newer than this one's"
            }
            _ => return None,
        })
    }
}

/// Looks at the file at `path`, without loading it: is it a plugin for this machine and this host?
pub fn look(path: &Path) -> Result<Looked, Refusal> {
    look_at(&path.into())
}

/// The same of what is to be loaded.
pub fn look_at(image: &Image) -> Result<Looked, Refusal> {
    let looked = read(image)?;
    looked.judge()?;
    Ok(looked)
}

impl Looked {
    /// Compares what the plugin asks of its host with what this host is.
    pub fn judge(&self) -> Result<(), Refusal> {
        judge(&self.stamp, self.glibc_newest, glibc_here())
    }
}

/// Reads what a plugin for this machine says of itself, also where this host can't use it.
pub fn read(image: &Image) -> Result<Looked, Refusal> {
    let file = match image.plugin() {
        Some(held) => Bytes::of(held.file().try_clone().map_err(Refusal::Unreadable)?)?,
        None => Bytes::open(image.path())?,
    };
    let start = file.start()?;
    if !own::is(&start) {
        return Err(refuse_foreign(&file, &start));
    }
    let Found { machine, needed, glibc_newest, stamp } = own::look(&file)?;
    let stamp = stamp::read(&stamp.ok_or(Refusal::NoStamp)?);
    let stamp = stamp.map_err(|error| Refusal::StampGarbled(error.into()))?;
    Ok(Looked { stamp, format: FORMAT, system: SYSTEM, machine, needed, glibc_newest })
}

/// The major number of a version such as `1.0.0`.
pub(crate) fn abi_major(version: &str) -> Option<u32> {
    let (major, _) = version.split_once('.')?;
    // `parse` alone would take a plus sign, and zeros before a number.
    let is_number = major.bytes().all(|byte| byte.is_ascii_digit());
    let is_padded = major.len() > 1 && major.starts_with('0');
    (is_number && !is_padded).then(|| major.parse().ok())?
}

/// Those of a plugin's `requires` that this host does not know.
pub(crate) fn unknown_requirements(requires: &[String]) -> impl Iterator<Item = &String> {
    requires.iter().filter(|name| !REQUIREMENTS_KNOWN.contains(&name.as_str()))
}

fn judge(
    stamp: &Stamp,
    glibc_asked: Option<(u32, u32)>,
    glibc_here: Option<(u32, u32)>,
) -> Result<(), Refusal> {
    let found = || shown(&stamp.abi);
    let major = abi_major(&stamp.abi).ok_or_else(|| Refusal::AbiGarbled { found: found() })?;
    if Some(major) != abi_major(ABI_VERSION) {
        return Err(Refusal::OtherAbi { found: found() });
    }
    let unknown = || unknown_requirements(&stamp.requires);
    if unknown().next().is_some() {
        let names: Vec<_> =
            unknown().take(NAMES_SHOWN_MAX).map(|name| format!("`{}`", shown(name))).collect();
        let more = if unknown().count() > NAMES_SHOWN_MAX { ", …" } else { "" };
        return Err(Refusal::UnknownRequirement { names: names.join(", ") + more });
    }
    match (glibc_asked, glibc_here) {
        (Some(asked), Some(has)) if asked > has => Err(Refusal::NewerGlibc { asked, has }),
        _ => Ok(()),
    }
}

/// A text from the file, made fit for a message: no control characters, not too long.
fn shown(text: &str) -> String {
    const CHARACTERS_MAX: usize = 60;
    let mut shown: String =
        text.chars().take(CHARACTERS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(CHARACTERS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// The glibc that runs this process. `None` on other C libraries: nothing to compare with.
///
/// Asked of glibc itself, though that takes an `unsafe`: `ldd --version` would be a process, and
/// the library's file may have any name in a container.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "glibc tells its version as a C string")]
fn glibc_here() -> Option<(u32, u32)> {
    // SAFETY: glibc promises a static text with a NUL at its end.
    let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    major_minor(version.to_str().ok()?)
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn glibc_here() -> Option<(u32, u32)> {
    None
}

/// The first two numbers of `2.36`, `2.3.4`.
#[cfg(not(target_os = "macos"))]
fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Says what a file is that is not of this system's format.
fn refuse_foreign(file: &Bytes, start: &[u8]) -> Refusal {
    let found = match start {
        [0x7f, b'E', b'L', b'F', ..] => "an ELF file (Linux and others)",
        [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] | [0xfe, 0xed, 0xfa, 0xcf | 0xce, ..] => {
            "a Mach-O file (macOS)"
        }
        // A Java class begins like this too, but its next number is a version over 40.
        [0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 0..40, ..] => "a universal Mach-O file (macOS)",
        [b'M', b'Z', ..] if is_pe(file, start) => "a PE file (Windows)",
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => {
            return Refusal::NotShared { found: "an archive (`.a`, `.rlib`)" };
        }
        _ => return Refusal::NotALibrary { begins: begins(start) },
    };
    Refusal::OtherSystem { found: found.to_owned(), expected: SYSTEM }
}

/// Windows files begin with a program for DOS that holds the place of the real header.
fn is_pe(file: &Bytes, start: &[u8]) -> bool {
    let Some(&[a, b, c, d]) = start.get(0x3c..0x40) else { return false };
    let at = u64::from(u32::from_le_bytes([a, b, c, d]));
    file.bytes(at, 4).is_ok_and(|bytes| bytes == *b"PE\0\0")
}

/// The first bytes for a human: a text as text, else in hex.
fn begins(start: &[u8]) -> String {
    // The cut may have gone through a character, which is no reason to call it bytes.
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => "",
    };
    let line = text.trim_start_matches('\u{feff}').lines().next().unwrap_or_default();
    if !text.is_empty() && !text.contains(|c: char| c.is_control() && !c.is_whitespace()) {
        return format!("the text `{}`", shown(line));
    }
    let bytes: Vec<_> = start.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("the bytes {}", bytes.join(" "))
}

/// What a format's reader finds in a library for this machine.
struct Found {
    machine: Machine,
    needed: Vec<String>,
    glibc_newest: Option<(u32, u32)>,
    /// The bytes where the stamp's symbol points, if there is one.
    stamp: Option<Vec<u8>>,
}

/// The bytes from its symbol on that hold a stamp, for [`stamp::read`] to judge. `read` gives as
/// many bytes as are asked for, or those that there are.
fn stamp_bytes(mut read: impl FnMut(u64) -> Result<Vec<u8>, Refusal>) -> Result<Vec<u8>, Refusal> {
    let head = read(HEAD_BYTES as u64)?;
    let Some(&[a, b, c, d]) = head.get(HEAD_BYTES - 4..) else { return Ok(head) };
    let len = (u32::from_le_bytes([a, b, c, d]) as usize).min(TEXT_BYTES_MAX);
    read((HEAD_BYTES + len) as u64)
}

/// A file that is read where it is asked for, in small pieces: a plugin of a gigabyte is looked at
/// as fast as one of a megabyte. Not mapped, since a mapped file that shrinks kills the process.
struct Bytes {
    file: File,
    len: u64,
}

/// Opens a file to read it, where it is one: it has an end.
pub(super) fn open(path: &Path) -> Result<File, Refusal> {
    let refuse = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Refusal::NoSuchFile,
        io::ErrorKind::PermissionDenied => Refusal::NotPermitted,
        _ => Refusal::Unreadable(error),
    };
    let check = |metadata: std::fs::Metadata| {
        let kind = metadata.file_type();
        if kind.is_dir() {
            return Err(Refusal::Folder);
        }
        if !kind.is_file() {
            let found = match () {
                () if kind.is_fifo() => "a pipe",
                () if kind.is_socket() => "a socket",
                () => "a device",
            };
            return Err(Refusal::NotRegular { found });
        }
        Ok(())
    };
    check(std::fs::metadata(path).map_err(refuse)?)?;
    // Another one may stand there by now: a pipe is not waited for either.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.map_err(refuse)?;
    check(file.metadata().map_err(refuse)?)?;
    Ok(file)
}

impl Bytes {
    fn open(path: &Path) -> Result<Self, Refusal> {
        Bytes::of(open(path)?)
    }

    fn of(file: File) -> Result<Self, Refusal> {
        match file.metadata().map_err(Refusal::Unreadable)?.len() {
            0 => Err(Refusal::Empty),
            len => Ok(Bytes { file, len }),
        }
    }

    /// The first bytes, fewer where the file is shorter.
    fn start(&self) -> Result<Vec<u8>, Refusal> {
        self.bytes(0, self.len.min(64))
    }

    /// `count` bytes from `offset` on. The caller knows that they lie in the file, and bounds them.
    fn bytes(&self, offset: u64, count: u64) -> Result<Vec<u8>, Refusal> {
        let mut bytes = vec![0; count as usize];
        self.read_exact(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn read_exact(&self, bytes: &mut [u8], offset: u64) -> Result<(), Refusal> {
        self.file.read_exact_at(bytes, offset).map_err(Refusal::Unreadable)
    }

    /// That the file reaches to the end of a part of it.
    fn check_holds(&self, part: &'static str, offset: u64, count: u64) -> Result<(), Refusal> {
        let needs = offset.saturating_add(count);
        if needs > self.len {
            return Err(Refusal::Truncated { part, needs, has: self.len });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model_abi::layout::stamp::MAGIC;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    /// A stamp that holds this text.
    pub(super) fn stamped(text: &str) -> Vec<u8> {
        [&MAGIC[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
    }

    /// A message with its cause behind it, as a user sees them.
    pub(super) fn said(refusal: &Refusal) -> String {
        let cause = std::error::Error::source(refusal).map(|cause| format!("; {cause}"));
        format!("{refusal}{}", cause.unwrap_or_default())
    }

    /// Looks at files that differ from `bytes` at one to four places, always the same ones.
    pub(super) fn damage_at_random(bytes: &[u8], rounds: u32, look: impl Fn(&Path)) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for round in 0..rounds {
            let mut damaged = bytes.to_vec();
            for _ in 0..=round % 4 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let place = (random >> 16) as usize % bytes.len();
                // Not only one bit: sizes are most interesting where they are huge.
                damaged[place] =
                    [0, 0xff, 0x7f, damaged[place] ^ (1 << (random % 8))][round as usize / 4 % 4];
            }
            file.as_file().write_all_at(&damaged, 0).unwrap();
            look(file.path());
        }
    }

    #[track_caller]
    fn check_refused(path: &Path, expected: &str) {
        assert_eq!(said(&look(path).unwrap_err()), expected);
    }

    #[track_caller]
    fn check_bytes(bytes: &[u8], expected: &str) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        check_refused(file.path(), expected);
    }

    #[test]
    fn a_path_that_leads_to_no_file_is_refused_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        check_refused(&folder.path().join("absent.so"), "there is no such file");
        check_refused(folder.path(), "expected a shared library, found a folder");
        check_refused(Path::new("/dev/null"), "expected a regular file, found a device");

        let socket = folder.path().join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        check_refused(&socket, "expected a regular file, found a socket");

        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        if made.is_ok_and(|status| status.success()) {
            check_refused(&pipe, "expected a regular file, found a pipe");
        }
    }

    #[test]
    fn a_file_that_may_not_be_read_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o000)).unwrap();
        // Root may read everything.
        if File::open(file.path()).is_err() {
            check_refused(file.path(), "this user is not permitted to read it");
        }
    }

    #[test]
    fn a_file_that_is_no_library_is_refused_with_its_first_bytes() {
        check_bytes(b"", "expected a shared library, found an empty file");
        let but = "expected a shared library, found a file that begins with";
        check_bytes(b"{\"id\": 1}\n{\"id\": 2}\n", &format!("{but} the text `{{\\\"id\\\": 1}}`"));
        check_bytes("\u{feff}a\tb".as_bytes(), &format!("{but} the text `a\\tb`"));
        // The start that is read ends within a character.
        let cut = "é".repeat(40).split_off(2) + "x";
        let cut = format!("x{cut}");
        check_bytes(cut.as_bytes(), &format!("{but} the text `x{}`", "é".repeat(31)));
        check_bytes(b"\x89PNG\r\n\x1a\n\0\0", &format!("{but} the bytes 89 50 4e 47 0d 0a 1a 0a"));
        check_bytes(b"\x7fEL", &format!("{but} the bytes 7f 45 4c"));
        check_bytes(b"MZ in a text", &format!("{but} the text `MZ in a text`"));
    }

    #[test]
    fn a_library_of_another_system_is_refused() {
        let expected = format!("expected a library for {SYSTEM}, found");
        let mut windows = vec![0; 0x80];
        windows[..2].copy_from_slice(b"MZ");
        windows[0x3c] = 0x60;
        windows[0x60..0x64].copy_from_slice(b"PE\0\0");
        check_bytes(&windows, &format!("{expected} a PE file (Windows)"));
        windows[0x3d] = 0xff; // out of the file
        assert!(!is_pe(&Bytes::open(&std::env::current_exe().unwrap()).unwrap(), &windows[..64]));

        if cfg!(target_os = "macos") {
            check_bytes(b"\x7fELF", &format!("{expected} an ELF file (Linux and others)"));
        } else {
            let thin = format!("{expected} a Mach-O file (macOS)");
            check_bytes(&[0xcf, 0xfa, 0xed, 0xfe, 0], &thin);
            check_bytes(&[0xfe, 0xed, 0xfa, 0xce, 0], &thin);
            let universal = format!("{expected} a universal Mach-O file (macOS)");
            check_bytes(&[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 2, 0], &universal);
        }
        check_bytes(b"!<arch>\n", "expected a shared library, found an archive (`.a`, `.rlib`)");
    }

    #[track_caller]
    fn check_judged(
        text: &str,
        glibc_asked: Option<(u32, u32)>,
        glibc_here: Option<(u32, u32)>,
        expected: &str,
    ) {
        let stamp = stamp::read(&stamped(text)).unwrap();
        let judged = judge(&stamp, glibc_asked, glibc_here);
        assert_eq!(judged.map_or_else(|refusal| said(&refusal), |()| "good".to_owned()), expected);
    }

    #[test]
    fn of_the_abi_only_the_major_counts() {
        check_judged(r#"{"abi":"1.0.0"}"#, None, None, "good");
        check_judged(r#"{"abi":"1.9.3-beta"}"#, None, None, "good");
        check_judged(
            r#"{"abi":"2.0.0"}"#,
            None,
            None,
            &format!("plugin speaks ABI 2.0.0, this host speaks {ABI_VERSION}"),
        );
        for garbled in ["01.0.0", "", "1", "+1.0.0", ".0.0", "x.0.0", "99999999999.0"] {
            assert_eq!(abi_major(garbled), None, "{garbled}");
        }
        check_judged(
            r#"{"abi":"one\u001b[2J"}"#,
            None,
            None,
            &format!(
                "its stamp is garbled: expected an ABI version such as {ABI_VERSION}, found `one\\u{{1b}}[2J`"
            ),
        );
    }

    #[test]
    fn what_a_plugin_requires_and_this_host_does_not_know_is_named() {
        check_judged(
            r#"{"abi":"1.0.0","requires":["columns/1","seconds/1"]}"#,
            None,
            None,
            "it requires `columns/1`, `seconds/1`, which this host does not know",
        );
        let many = format!(r#"{{"abi":"1.0.0","requires":["{}"]}}"#, ["a"; 9].join("\",\""));
        let names = ["`a`"; 8].join(", ");
        check_judged(
            &many,
            None,
            None,
            &format!("it requires {names}, …, which this host does not know"),
        );
    }

    #[test]
    fn a_glibc_newer_than_this_one_is_refused_and_an_unknown_one_is_not() {
        let text = r#"{"abi":"1.0.0"}"#;
        check_judged(text, Some((2, 36)), Some((2, 36)), "good");
        check_judged(text, Some((2, 36)), None, "good");
        let message = "it asks for glibc 2.36, this machine has 2.4";
        check_judged(text, Some((2, 36)), Some((2, 4)), message);
    }

    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn the_glibc_here_is_known() {
        assert!(glibc_here().unwrap() > (2, 0), "{:?}", glibc_here());
    }
}
