//! Preloaded into a process (`LD_PRELOAD`), counts what it does to the files of one folder, and has
//! the n-th operation fail, or ends the process there. So a test can go through all of them.
//!
//! - `FAULTS_IN`: the folder, absolute and without links. Nothing outside is counted or changed.
//! - `FAULTS`: `7:eio` for the seventh operation, `7+:enospc` for it and all behind it. What can be
//!   done to it is a `Deed`.
//! - `FAULTS_LOG`: a file to which each operation adds a line before it is done:
//!   `7 write .out.json.etl-host-part 512`.
//!
//! It stands in for the functions of the C library by which Rust's standard library changes files.
//! The trap: what makes system calls of its own (rustix does) passes by unseen. Here every function
//! makes its system call itself as well, so that nothing has to be looked up.
//!
//! A flush is counted and may fail, but is never done: the end of a process loses nothing that the
//! system has taken, so flushing would change no result, and cost most of the time.
#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "it stands in for functions of C")]

use libc::{c_char, c_int, c_long, c_uint, c_void, mode_t, off_t, size_t, ssize_t};
use std::ffi::{CStr, OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// What happens to an operation.
#[derive(Clone, Copy, PartialEq)]
enum Deed {
    /// The process is killed before it.
    Kill,
    /// The process is killed behind it.
    KillAfter,
    /// Half of a write is done, then the process is killed; before it, where it is no write.
    Torn,
    /// Half of a write is done, and said to be so; nothing, where it is no write.
    Short,
    /// It fails with this error.
    Fail(c_int),
}

/// What to do, and where.
struct Plan {
    folder: PathBuf,
    log: Option<OsString>,
    first: u64,
    last: u64,
    deed: Option<Deed>,
}

fn plan() -> Option<&'static Plan> {
    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
    PLAN.get_or_init(|| {
        let folder = PathBuf::from(std::env::var_os("FAULTS_IN")?);
        let log = std::env::var_os("FAULTS_LOG");
        let asked = std::env::var("FAULTS").unwrap_or_default();
        let Some((number, deed)) = asked.split_once(':') else {
            return Some(Plan { folder, log, first: 0, last: 0, deed: None });
        };
        let deed = match deed {
            "kill" => Deed::Kill,
            "kill-after" => Deed::KillAfter,
            "torn" => Deed::Torn,
            "short" => Deed::Short,
            "enospc" => Deed::Fail(libc::ENOSPC),
            "eio" => Deed::Fail(libc::EIO),
            "erofs" => Deed::Fail(libc::EROFS),
            "eintr" => Deed::Fail(libc::EINTR),
            _ => std::process::abort(), // a test that asks for what there isn't
        };
        let first = number.trim_end_matches('+').parse().unwrap_or_else(|_| std::process::abort());
        let last = if number.ends_with('+') { u64::MAX } else { first };
        Some(Plan { folder, log, first, last, deed: Some(deed) })
    })
    .as_ref()
}

/// An operation: its name in the log, and the errors that it never has.
struct Operation {
    name: &'static str,
    never: &'static [c_int],
}

const CREATE: Operation = Operation { name: "create", never: &[] };
const WRITE: Operation = Operation { name: "write", never: &[] };
const TRUNCATE: Operation = Operation { name: "truncate", never: &[libc::ENOSPC] };
const FLUSH: Operation = Operation { name: "flush", never: &[] };
const RENAME: Operation = Operation { name: "rename", never: &[libc::EINTR] };
const UNLINK: Operation = Operation { name: "unlink", never: &[libc::EINTR, libc::ENOSPC] };

/// Counts an operation on this path, and does what is to be done to it. `system` is the operation
/// itself; for a write it takes how many bytes to write.
fn on(
    path: Option<PathBuf>,
    operation: &Operation,
    bytes: usize,
    system: impl Fn(usize) -> c_long,
) -> c_long {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let plan =
        plan().filter(|plan| path.as_ref().is_some_and(|path| path.starts_with(&plan.folder)));
    let (Some(plan), Some(path)) = (plan, path) else { return system(bytes) };
    let number = COUNT.fetch_add(1, Ordering::SeqCst) + 1;
    plan.log(number, operation, &path, bytes);
    let deed = plan.deed.filter(|_| (plan.first..=plan.last).contains(&number));
    let is_write = operation.name == WRITE.name;
    match deed {
        Some(Deed::Kill) => die(),
        Some(Deed::KillAfter) => {
            system(bytes);
            die()
        }
        Some(Deed::Torn) => {
            if is_write {
                system(bytes / 2);
            }
            die()
        }
        Some(Deed::Short) if is_write => system(bytes.div_ceil(2)),
        Some(Deed::Fail(error)) if !operation.never.contains(&error) => {
            // SAFETY: it is this thread's own number.
            unsafe { *libc::__errno_location() = error };
            -1
        }
        _ if operation.name == FLUSH.name => 0,
        _ => system(bytes),
    }
}

fn die() -> ! {
    // SAFETY: touches no memory.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    loop {
        std::hint::spin_loop(); // until it arrives
    }
}

impl Plan {
    fn log(&self, number: u64, operation: &Operation, path: &Path, bytes: usize) {
        let Some(log) = &self.log else { return };
        let path = path.strip_prefix(&self.folder).unwrap_or(path);
        let mut line = String::new();
        let _ = writeln!(line, "{number} {} {} {bytes}", operation.name, path.display());
        let mut name = log.as_bytes().to_owned();
        name.push(0);
        let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_CLOEXEC;
        // SAFETY: the name ends with a zero, the line is as long as is said, and the descriptor is
        // closed once.
        unsafe {
            let fd = libc::syscall(libc::SYS_openat, libc::AT_FDCWD, name.as_ptr(), flags, 0o644);
            libc::syscall(libc::SYS_write, fd, line.as_ptr(), line.len());
            libc::syscall(libc::SYS_close, fd);
        }
    }
}

/// What a descriptor leads to.
fn path_of(fd: c_int) -> Option<PathBuf> {
    plan()?; // before anything is set up, or where nothing is asked for
    read_link(Path::new(&format!("/proc/self/fd/{fd}")))
}

/// A path as it was given to a function of C.
///
/// # Safety
/// `path` points to a text that ends with a zero.
unsafe fn absolute(path: *const c_char) -> Option<PathBuf> {
    plan()?;
    // SAFETY: the caller's promise.
    let path = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes()));
    if path.is_absolute() {
        return Some(path.to_owned());
    }
    Some(read_link(Path::new("/proc/self/cwd"))?.join(path).components().collect())
}

fn read_link(link: &Path) -> Option<PathBuf> {
    let mut name = link.as_os_str().as_bytes().to_owned();
    name.push(0);
    let mut target = vec![0_u8; libc::PATH_MAX as usize];
    // SAFETY: the name ends with a zero; the buffer is as long as is said.
    let len = unsafe {
        let (name, target, len) = (name.as_ptr(), target.as_mut_ptr(), target.len());
        libc::syscall(libc::SYS_readlinkat, libc::AT_FDCWD, name, target, len)
    };
    target.truncate(usize::try_from(len).ok()?);
    Some(OsString::from_vec(target).into())
}

/// # Safety
/// As write(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(fd: c_int, bytes: *const c_void, len: size_t) -> ssize_t {
    // SAFETY: the caller's promise, for as many bytes or fewer.
    let system = |len: usize| unsafe { libc::syscall(libc::SYS_write, fd, bytes, len) };
    on(path_of(fd), &WRITE, len, system) as ssize_t
}

/// # Safety
/// As pwrite(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite64(
    fd: c_int,
    bytes: *const c_void,
    len: size_t,
    at: off_t,
) -> ssize_t {
    // SAFETY: the caller's promise, for as many bytes or fewer.
    let system = |len: usize| unsafe { libc::syscall(libc::SYS_pwrite64, fd, bytes, len, at) };
    on(path_of(fd), &WRITE, len, system) as ssize_t
}

/// # Safety
/// As ftruncate(2), of which any arguments are sound.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate64(fd: c_int, len: off_t) -> c_int {
    // SAFETY: touches no memory.
    let system = |_| unsafe { libc::syscall(libc::SYS_ftruncate, fd, len) };
    on(path_of(fd), &TRUNCATE, 0, system) as c_int
}

/// # Safety
/// As fsync(2), of which any argument is sound.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    // SAFETY: touches no memory.
    let system = |_| unsafe { libc::syscall(libc::SYS_fsync, fd) };
    on(path_of(fd), &FLUSH, 0, system) as c_int
}

/// # Safety
/// As fdatasync(2), of which any argument is sound.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    // SAFETY: touches no memory.
    let system = |_| unsafe { libc::syscall(libc::SYS_fdatasync, fd) };
    on(path_of(fd), &FLUSH, 0, system) as c_int
}

/// # Safety
/// As rename(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    let here = libc::AT_FDCWD;
    // SAFETY: the caller's promise.
    let system = |_| unsafe { libc::syscall(libc::SYS_renameat2, here, from, here, to, 0) };
    // SAFETY: the caller's promise.
    on(unsafe { absolute(to) }, &RENAME, 0, system) as c_int
}

/// # Safety
/// As unlink(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    let system = |_| unsafe { libc::syscall(libc::SYS_unlinkat, libc::AT_FDCWD, path, 0) };
    // SAFETY: the caller's promise.
    on(unsafe { absolute(path) }, &UNLINK, 0, system) as c_int
}

/// Counted where it may create a file. In C, `mode` is given only then; it is in its register, or
/// something else is that nobody looks at.
///
/// # Safety
/// As open(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    let mode = c_uint::from(mode);
    // SAFETY: the caller's promise.
    let system = |_| unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path, flags, mode) };
    if flags & libc::O_CREAT == 0 {
        return system(0) as c_int;
    }
    // SAFETY: the caller's promise.
    on(unsafe { absolute(path) }, &CREATE, 0, system) as c_int
}
