//! The only file that starts processes: this very binary, run again for what must not take the caller
//! down with it: one short job ([`run`]), such as loading a plugin nobody knows, or work as long as the
//! run itself ([`Living`]).
//!
//! The child is `etl-host` with a hidden command, so there is no second binary to install and none
//! that could be of another version. A job writes its result to stdout, moves that out of a plugin's
//! reach before it loads one, and says everything else on stderr, of which the end is kept.
//!
//! The traps: a child that hangs is killed *and waited for*. What it started in turn may hold its
//! pipes open for ever, so their readers are not waited for beyond `PIPES_PATIENCE`. And should
//! this process die, the child dies with it ([`enter`]): no orphan burns a core all night. It dies with
//! the *thread* that started it, to be exact, so one that is to live has a thread that lives as long as
//! the process (`nursery`).

use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, getrlimit, kill_process_group, setrlimit,
    waitid,
};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A result longer than this is cut: a child that lies must not fill our memory.
pub const RESULT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How much of the end of stderr is kept.
const LAST_WORDS_BYTES_MAX: usize = 2 * 1024;
/// How long the pipes of a child that has ended may stay open.
const PIPES_PATIENCE: Duration = Duration::from_secs(1);

/// A job for a child.
pub struct Job {
    /// The command line behind the program's name.
    pub args: Vec<OsString>,
    /// It is killed when this has passed.
    pub deadline: Duration,
    /// The most memory that it may allocate, in bytes. Allocations beyond that fail in the child.
    pub memory_bytes_max: u64,
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With this exit code.
    Exited(i32),
    /// By the signal of this number.
    Signal(i32),
    /// It was killed, since the deadline had passed.
    TimedOut(Duration),
}

/// `exited with code 3`, `died of SIGSEGV (invalid memory access)`.
impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            End::Exited(code) => write!(f, "exited with code {code}"),
            End::Signal(signal) => match meaning(*signal) {
                Some((name, meaning)) => write!(f, "died of {name} ({meaning})"),
                None => write!(f, "died of signal {signal}"),
            },
            End::TimedOut(deadline) => {
                write!(f, "did not end within {} s and was killed", deadline.as_secs_f64())
            }
        }
    }
}

impl End {
    /// Whether code can end its process so without meaning to. A signal of another kind is sent, and
    /// whoever did may be anybody.
    pub fn may_be_foreign(self) -> bool {
        use libc::{
            SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGPIPE, SIGSEGV, SIGSYS, SIGTRAP, SIGXCPU, SIGXFSZ,
        };
        const OWN: [i32; 10] =
            [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGPIPE, SIGSEGV, SIGSYS, SIGTRAP, SIGXCPU, SIGXFSZ];
        matches!(self, End::Signal(signal) if !OWN.contains(&signal))
    }
}

/// The signals that a process can die of, and what they say.
fn meaning(signal: i32) -> Option<(&'static str, &'static str)> {
    Some(match signal {
        libc::SIGSEGV => ("SIGSEGV", "invalid memory access"),
        libc::SIGBUS => ("SIGBUS", "invalid memory access"),
        libc::SIGABRT => ("SIGABRT", "abort"),
        libc::SIGILL => ("SIGILL", "an instruction that this machine does not have"),
        libc::SIGFPE => ("SIGFPE", "arithmetic fault"),
        libc::SIGTRAP => ("SIGTRAP", "trap"),
        libc::SIGKILL => ("SIGKILL", "killed"),
        libc::SIGTERM => ("SIGTERM", "terminated"),
        libc::SIGPIPE => ("SIGPIPE", "closed pipe"),
        libc::SIGXCPU => ("SIGXCPU", "processor time used up"),
        libc::SIGXFSZ => ("SIGXFSZ", "file size limit exceeded"),
        libc::SIGSYS => ("SIGSYS", "a system call that is forbidden"),
        _ => return None,
    })
}

/// What is left of a child.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub end: End,
    /// What it wrote to stdout.
    pub result: Vec<u8>,
    /// The end of what it said on stderr.
    pub last_words: String,
}

/// Does the job in a child and waits for its end.
pub fn run(job: &Job) -> io::Result<Ended> {
    wait_for_children()?;
    let mut command = Command::new(this_binary()?);
    command.arg0("etl-host").args(&job.args).env(MEMORY, job.memory_bytes_max.to_string());
    command.env(PARENT, std::process::id().to_string());
    // Of a panic's words the last ones are kept: those that say why, and not its backtrace.
    command.env("RUST_BACKTRACE", "0");
    // A group of its own, so that what it starts can be killed with it.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn()?;
    let result =
        child.stdout.take().map(|pipe| Collected::from(pipe, Keep::First(RESULT_BYTES_MAX)));
    let words =
        child.stderr.take().map(|pipe| Collected::from(pipe, Keep::Last(LAST_WORDS_BYTES_MAX)));

    let group = Pid::from_child(&child);
    let since = Instant::now();
    let mut nap = Duration::from_micros(200);
    let has_ended = loop {
        if has_ended(group)? {
            break true;
        }
        if since.elapsed() >= job.deadline {
            break false;
        }
        thread::sleep(nap);
        nap = (nap * 2).min(Duration::from_millis(5));
    };
    // Before it is waited for, since its number is its own for so long. Also where it has ended:
    // what it started goes with it.
    let _ = kill_process_group(group, Signal::KILL);
    let _ = child.kill(); // it may have left its group
    let status = child.wait()?;
    let end = if has_ended { ended(status) } else { End::TimedOut(job.deadline) };
    let patience = Instant::now() + PIPES_PATIENCE;
    let take = |pipe: Option<Collected>| pipe.map(|pipe| pipe.by(patience)).unwrap_or_default();
    let result = take(result);
    let mut words = take(words);
    words.drain(..words.len().saturating_sub(LAST_WORDS_BYTES_MAX));
    let last_words = String::from_utf8_lossy(&words).trim().to_owned();
    Ok(Ended { end, result, last_words })
}

/// A child that works until it is told to end, or dies. Dropped, it is killed and waited for.
pub struct Living {
    child: Child,
    /// How it ended, once it was waited for: its number may be another's then.
    end: Option<End>,
    /// Of Linux: to be told of its end without asking again and again.
    fd: Option<OwnedFd>,
}

/// What a child that lives is given.
pub struct Birth {
    /// The command line behind the program's name.
    pub args: Vec<OsString>,
    /// Its stdin: the end of a socket, over which all is said.
    pub stdin: OwnedFd,
    /// Its stdout and its stderr.
    pub output: OwnedFd,
    /// The most memory that it may allocate, in bytes.
    pub memory_bytes_max: Option<u64>,
    /// Which variables of our environment it has.
    pub inherits: fn(&OsStr) -> bool,
}

impl Living {
    /// Starts it.
    pub fn start(birth: Birth) -> io::Result<Self> {
        wait_for_children()?;
        let Birth { args, stdin, output, memory_bytes_max, inherits } = birth;
        let mut command = Command::new(this_binary()?);
        let env: BTreeMap<_, _> = std::env::vars_os().filter(|(name, _)| inherits(name)).collect();
        command.arg0("etl-host").args(args).env_clear().envs(env);
        command.env(PARENT, std::process::id().to_string()).env("RUST_BACKTRACE", "0");
        if let Some(bytes) = memory_bytes_max {
            command.env(MEMORY, bytes.to_string());
        }
        command.stdin(stdin).stdout(output.try_clone()?).stderr(output).process_group(0);
        let child = nursery()?.spawn(command)?;
        #[cfg(target_os = "linux")]
        let fd = {
            use rustix::process::{PidfdFlags, pidfd_open};
            pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).ok()
        };
        #[cfg(not(target_os = "linux"))]
        let fd = None;
        Ok(Living { child, end: None, fd })
    }

    /// Its number, for people.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What can be waited for to know that it has ended, where there is such a thing.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    /// Whether it has ended, by itself or by somebody else.
    pub fn has_ended(&self) -> bool {
        self.end.is_some() || has_ended(Pid::from_child(&self.child)).unwrap_or(true)
    }

    /// Kills it and what it started, where it has not ended, and tells how it ended.
    pub fn end(&mut self) -> io::Result<End> {
        if let Some(end) = self.end {
            return Ok(end);
        }
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.kill(); // it may have left its group
        let end = ended(self.child.wait()?);
        self.end = Some(end);
        Ok(end)
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// The thread that starts the children that live: they die with it, and it lives as long as the process.
struct Nursery(Sender<(Command, Sender<io::Result<Child>>)>);

fn nursery() -> io::Result<&'static Nursery> {
    static NURSERY: OnceLock<Nursery> = OnceLock::new();
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(nursery) = NURSERY.get() {
        return Ok(nursery);
    }
    // Each takes some open files here, and there may be hundreds of them.
    let files = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files });
    let (sender, births) = mpsc::channel::<(Command, Sender<io::Result<Child>>)>();
    thread::Builder::new().name("nursery".to_owned()).spawn(move || {
        births.iter().for_each(|(mut command, reply)| drop(reply.send(command.spawn())));
    })?;
    Ok(NURSERY.get_or_init(|| Nursery(sender)))
}

impl Nursery {
    fn spawn(&self, command: Command) -> io::Result<Child> {
        let (reply, child) = mpsc::channel();
        let gone = || io::Error::other("the thread that starts processes is gone");
        self.0.send((command, reply)).map_err(|_| gone())?;
        child.recv().map_err(|_| gone())?
    }
}

/// How many children are worth running at once: one for each core.
pub fn at_once() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Where whoever started us ignores the end of children, which we inherit, the system reaps them and
/// nobody learns how they ended.
fn wait_for_children() -> io::Result<()> {
    static LISTENS: OnceLock<()> = OnceLock::new();
    if LISTENS.get().is_none() {
        // A handler, whatever it does, is what ends the ignoring.
        signal_hook::flag::register(signal_hook::consts::SIGCHLD, Arc::default())?;
        let _ = LISTENS.set(());
    }
    Ok(())
}

/// Does `work` for each item, so many `at_once`, and gives the results in the items' order: for
/// work that waits for children.
pub fn side_by_side<T: Sync, R: Send>(
    items: &[T],
    at_once: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<R>>> = items.iter().map(|_| Mutex::new(None)).collect();
    // These threads live until their children have ended: a child dies with the thread that
    // started it.
    let worker = || {
        while let Some(index) =
            Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&i| i < items.len())
        {
            let result = work(&items[index]);
            *results[index].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        }
    };
    thread::scope(|scope| (0..at_once.min(items.len())).for_each(|_| drop(scope.spawn(worker))));
    let taken = results.into_iter().map(|result| result.into_inner());
    taken.map(|result| result.ok().flatten().expect("each item was worked on")).collect()
}

/// Whether the child has ended; it is left to be waited for.
fn has_ended(child: Pid) -> io::Result<bool> {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Ok(waitid(WaitId::Pid(child), look)?.is_some())
}

fn ended(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Exited(code),
        (None, signal) => End::Signal(signal.unwrap_or_default()),
    }
}

/// This binary. By the system's own link to it where there is one: the file may have been replaced
/// by a newer host since we were started.
fn this_binary() -> io::Result<PathBuf> {
    let link = PathBuf::from("/proc/self/exe");
    if link.exists() { Ok(link) } else { std::env::current_exe() }
}

#[derive(Clone, Copy)]
enum Keep {
    First(usize),
    Last(usize),
}

/// What a pipe has given so far. It is read on a thread, so that a child is never held up by a full
/// one.
struct Collected {
    kept: Arc<Mutex<Vec<u8>>>,
    ended: Receiver<()>,
}

impl Collected {
    fn from(mut pipe: impl Read + Send + 'static, keep: Keep) -> Self {
        let (sender, ended) = mpsc::channel();
        let collected = Collected { kept: Arc::default(), ended };
        let kept = collected.kept.clone();
        thread::spawn(move || {
            let mut piece = [0; 8192];
            loop {
                let read = match pipe.read(&mut piece) {
                    Ok(0) => break,
                    Ok(read) => read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(_) => break,
                };
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&piece[..read]);
                let len = kept.len();
                match keep {
                    Keep::First(most) => kept.truncate(most),
                    Keep::Last(most) if len > 2 * most => drop(kept.drain(..len - most)),
                    Keep::Last(_) => {}
                }
            }
            let _ = sender.send(());
        });
        collected
    }

    /// What was read by then, at the pipe's end or before.
    fn by(self, then: Instant) -> Vec<u8> {
        let _ = self.ended.recv_timeout(then.saturating_duration_since(Instant::now()));
        std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Tells the child how much memory it may have.
const MEMORY: &str = "ETL_HOST_CHILD_MEMORY";
/// Tells the child whose it is.
const PARENT: &str = "ETL_HOST_CHILD_PARENT";

/// Closes what whoever started the host had open and did not mean for a plugin. To be called before
/// anything is opened, in a child that is handed what it needs later.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "nobody owns these descriptors, so no type can close them")]
pub fn close_others() {
    // SAFETY: of this process nothing is open yet beyond stdin, stdout and stderr.
    unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
}

/// Elsewhere there is no such call.
#[cfg(not(target_os = "linux"))]
pub fn close_others() {}

/// To be called first thing in the child: it ends with its parent, leaves no core file, and its
/// allocations fail beyond the job's bound.
pub fn enter() {
    #[cfg(target_os = "linux")]
    {
        let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
        // It may have died before we asked to be told.
        let parent = std::env::var(PARENT).ok().and_then(|parent| parent.parse().ok());
        if parent.is_some_and(|parent: u32| parent != std::os::unix::process::parent_id()) {
            let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL);
        }
    }
    let at_most = |most| Rlimit { current: Some(most), maximum: Some(most) };
    let _ = setrlimit(Resource::Core, at_most(0));
    let bytes = std::env::var(MEMORY).ok().and_then(|bytes| bytes.parse().ok());
    if let Some(bytes) = bytes {
        // Private memory that may be written to, touched or not: a model may map a file of any size.
        let _ = setrlimit(Resource::Data, at_most(bytes));
    }
}
