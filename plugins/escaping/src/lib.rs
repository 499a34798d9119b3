//! A model that tries what its record says and no model should: to reach the network, other files,
//! other processes. It predicts how that went: the error's name, `null` where nothing stopped it.
//!
//! `{"try": "read", "path": "/etc/passwd"}` gives `{"try": "read", "error": "EACCES"}` in a sandbox.
//! With a config of the same form it tries while it is loaded, too, and goes on whatever comes.
//!
//! The trap: outside of a sandbox all of it is done. Kill and trace are asked for only so far that
//! they do no harm; `write` and `unlink` do what they say to the path that they are given.
#![expect(unsafe_code, reason = "calls that safe code does not make")]

use libc::{c_long, c_ulong};
use model_abi::{LoadContext, LoadError, MLModel, ModelInfo, PredictError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

model_abi::export_models![Escapes];

/// What is tried.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Try {
    /// A connection over TCP.
    Socket,
    /// A packet's way out.
    Udp,
    /// The socket of another process, at the path.
    ConnectUnix,
    /// To write the file.
    Write,
    /// To read it, or to list it where it is a folder.
    Read,
    /// To remove it.
    Unlink,
    /// The environment that this process was started with.
    Environ,
    /// The environment that is left: gives how many variables hold the path's text.
    Variables,
    /// To start the program at the path, `/bin/true` without.
    Spawn,
    Fork,
    /// To trace the parent.
    Ptrace,
    /// To read the parent's memory.
    VmRead,
    /// To send the parent a signal (that does nothing).
    KillParent,
    /// To live on when the host dies.
    Pdeathsig,
    Setsid,
    IoUring,
    /// What a model may do: another thread.
    Thread,
    /// And to ask how many there are cores.
    Cores,
    /// To close all files that it has not opened, as a program does that becomes a daemon.
    CloseAll,
    /// To leave the group of processes that it is in, and hang.
    LeaveAndHang,
    /// To end the process, having tried the network.
    SocketAndAbort,
}

/// A try.
#[derive(Deserialize, JsonSchema)]
struct Record {
    r#try: Try,
    #[serde(default)]
    path: PathBuf,
}

/// The same, or none.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    r#try: Option<Try>,
    path: PathBuf,
}

#[derive(Serialize, JsonSchema)]
struct Prediction {
    r#try: Try,
    /// The error's name; `null` where it worked.
    error: Option<String>,
    /// How much came of it: bytes, names, threads.
    got: u64,
}

struct Escapes;

impl MLModel for Escapes {
    const INFO: ModelInfo = ModelInfo {
        display_name: "Escapes",
        qualified_name: "escapes",
        description: "Tries what a record says and no model should.",
        major_version: 1,
        minor_version: 0,
    };
    type Config = Config;
    type Input = Record;
    type Output = Prediction;

    fn load(config: Config, _: &LoadContext) -> Result<Self, LoadError> {
        if let Some(what) = config.r#try {
            let _ = attempt(what, &config.path);
        }
        Ok(Escapes)
    }

    fn predict(&self, record: &Record) -> Result<Prediction, PredictError> {
        let done = attempt(record.r#try, &record.path);
        let error = done.as_ref().err().map(name);
        Ok(Prediction { r#try: record.r#try, error, got: done.unwrap_or_default() })
    }
}

fn name(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM) => "EPERM".to_owned(),
        Some(libc::EACCES) => "EACCES".to_owned(),
        Some(libc::ENOSYS) => "ENOSYS".to_owned(),
        Some(libc::ENOENT) => "ENOENT".to_owned(),
        Some(libc::ECONNREFUSED) => "ECONNREFUSED".to_owned(),
        _ => error.to_string(),
    }
}

fn attempt(what: Try, path: &Path) -> io::Result<u64> {
    let parent = std::os::unix::process::parent_id();
    match what {
        Try::Socket => TcpStream::connect("127.0.0.1:9").map(|_| 0),
        Try::Udp => {
            UdpSocket::bind("127.0.0.1:0")?.send_to(b"out", "127.0.0.1:9").map(|n| n as u64)
        }
        Try::ConnectUnix => UnixStream::connect(path).map(|_| 0),
        Try::Write => fs::write(path, "it was written").map(|()| 0),
        Try::Read if path.is_dir() => fs::read_dir(path).map(|names| names.count() as u64),
        Try::Read => fs::read(path).map(|bytes| bytes.len() as u64),
        Try::Unlink => fs::remove_file(path).map(|()| 0),
        Try::Environ => fs::read("/proc/self/environ").map(|bytes| bytes.len() as u64),
        Try::Variables => Ok(variables(&path.display().to_string())),
        Try::Spawn if path.as_os_str().is_empty() => Command::new("/bin/true").status().map(|_| 0),
        Try::Spawn => Command::new(path).status().map(|_| 0),
        Try::Fork => fork(),
        Try::Ptrace => trace(parent),
        Try::VmRead => read_memory(parent),
        Try::KillParent => system(libc::SYS_kill, [parent.into(), 0]),
        Try::Pdeathsig => system(libc::SYS_prctl, [c_long::from(libc::PR_SET_PDEATHSIG), 0]),
        Try::Setsid => system(libc::SYS_setsid, [0, 0]),
        // Without a place for its answer: it fails, but with an error of its own.
        Try::IoUring => system(libc::SYS_io_uring_setup, [1, 0]),
        Try::Thread => Ok(thread::spawn(|| 1).join().unwrap_or_default()),
        Try::Cores => thread::available_parallelism().map(|cores| cores.get() as u64),
        // Close_range: from 3 on.
        Try::CloseAll => system(libc::SYS_close_range, [3, u32::MAX.into()]),
        Try::LeaveAndHang => {
            // SAFETY: asks and sets numbers.
            unsafe { libc::setpgid(0, libc::getpgid(libc::getppid())) };
            loop {
                thread::park();
            }
        }
        Try::SocketAndAbort => {
            let _ = TcpStream::connect("127.0.0.1:9");
            std::process::abort()
        }
    }
}

fn variables(text: &str) -> u64 {
    let holds = |(name, value): &(std::ffi::OsString, std::ffi::OsString)| {
        [name, value].iter().any(|word| word.to_string_lossy().contains(text))
    };
    std::env::vars_os().filter(holds).count() as u64
}

/// A system call that takes two numbers.
fn system(number: c_long, [one, two]: [c_long; 2]) -> io::Result<u64> {
    // SAFETY: numbers, and null where the kernel asks for a pointer, which is an error.
    let done = unsafe { libc::syscall(number, one, two, 0 as c_ulong, 0 as c_ulong, 0 as c_ulong) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(done as u64) }
}

fn fork() -> io::Result<u64> {
    // SAFETY: the child ends at once.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: no code of ours runs behind it.
        0 => unsafe { libc::_exit(0) },
        child => {
            // SAFETY: waits for our own child, and is told nothing of it.
            unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
            Ok(1)
        }
    }
}

/// Takes hold of a process, which it does not stop, and lets go of it when this thread ends.
fn trace(process: u32) -> io::Result<u64> {
    system(libc::SYS_ptrace, [c_long::from(libc::PTRACE_SEIZE), process.into()])
}

/// Reads a byte of a process where this one has one.
fn read_memory(process: u32) -> io::Result<u64> {
    let mut byte = 0u8;
    let here = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let there = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // SAFETY: one byte is written to a byte of ours.
    let read = unsafe {
        libc::process_vm_readv(process as i32, &raw const here, 1, &raw const there, 1, 0)
    };
    if read < 0 { Err(io::Error::last_os_error()) } else { Ok(read as u64) }
}
