//! The host's eye on a worker in its sandbox: a thread that answers what the kernel asks about the
//! worker's calls, and notes what was out of bounds.
//!
//! Forbidden calls fail. A file that is to be opened is noted where landlock will refuse it, and
//! the call goes on: landlock decides, so that a plugin which changes the path meanwhile gains
//! nothing but a wrong line in the report. An attempt is noted before it is answered; so of a
//! worker that dies of its answer, it is known why.
//!
//! The trap: while nobody answers, the worker waits, and when the listener is closed its calls of
//! `open` fail. So a [`Watch`] is to be held for as long as its worker lives.

use super::calls::{Rule, Then, What, table};
use super::filter::MACHINE;
use super::handing::Listener;
use super::kernel::{self, Answer};
use super::paths::{Caller, Readable};
use super::{Attempt, Attempts, Grants};
use libc::{c_long, seccomp_notif};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Watches one worker.
pub struct Watch {
    attempts: Arc<Mutex<Attempts>>,
    /// Its end tells the thread to end.
    _stop: PipeWriter,
}

impl Watch {
    /// Starts to answer. `grants`: the same that the worker has entered its sandbox with.
    pub fn start(listener: Listener, grants: &Grants) -> io::Result<Self> {
        let (stopped, stop) = io::pipe()?;
        let attempts = Arc::new(Mutex::new(Attempts::default()));
        let mut post = Post {
            listener: listener.fd,
            files_held: listener.files_held,
            readable: Readable::new(grants),
            table: None,
            attempts: attempts.clone(),
        };
        // Nobody waits for this thread: it must never keep the host from ending.
        thread::Builder::new()
            .name("sandbox watch".to_owned())
            .spawn(move || post.stand(&stopped))?;
        Ok(Watch { attempts, _stop: stop })
    }

    /// What was tried so far, in the order of the first time each.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).list().to_vec()
    }
}

/// What the thread has.
struct Post {
    listener: OwnedFd,
    files_held: bool,
    readable: Readable,
    /// The table of the process that asked, made when it first did.
    table: Option<(u32, Vec<Rule>)>,
    attempts: Arc<Mutex<Attempts>>,
}

impl Post {
    /// Answers until the worker has ended, or the watch has.
    fn stand(&mut self, stopped: &PipeReader) {
        loop {
            let mut ready =
                [PollFd::new(&self.listener, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
            match poll(&mut ready, None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(_) => return,
            }
            let [asks, stop] = ready.map(|ready| ready.revents());
            if !stop.is_empty() || !asks.contains(PollFlags::IN) {
                return;
            }
            match kernel::receive(&self.listener) {
                Ok(asked) => {
                    let answer = self.judge(&asked);
                    kernel::answer(&self.listener, asked.id, answer);
                }
                // Whoever asked has gone.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => {}
                Err(_) => return,
            }
        }
    }

    fn judge(&mut self, asked: &seccomp_notif) -> Answer {
        let refuse = Answer::Fail(libc::EPERM);
        let Some(caller) = Caller::of(asked.pid) else {
            // It has ended, or nothing can be read here (too many open files): landlock decides.
            let nr = c_long::from(asked.data.nr);
            let is_look = |rule: &Rule| rule.call == nr && matches!(rule.then, Then::Look);
            let is_look = self.files_held && table(asked.pid, true).iter().any(is_look);
            return if is_look { Answer::GoOn } else { refuse };
        };
        if self.table.as_ref().is_none_or(|(process, _)| *process != caller.process) {
            self.table = Some((caller.process, table(caller.process, self.files_held)));
        }
        let (nr, args) = (c_long::from(asked.data.nr), &asked.data.args);
        let rules = self.table.iter().flat_map(|(_, table)| table);
        let native = asked.data.arch == MACHINE;
        let fits = |rule: &&Rule| native && rule.call == nr && rule.when.holds(args);
        let Some(&Rule { then, what, .. }) = rules.into_iter().find(fits) else {
            self.note("make a system call of another kind of machine".to_owned());
            return refuse;
        };
        let tried = tried(what, args, caller, &self.readable);
        // Else what was read is of a stranger who has its number now.
        let tried = tried.filter(|_| kernel::waits(&self.listener, asked.id));
        let (answer, noted) = match then {
            // Where landlock is missing nothing is stopped, so there is nothing to tell.
            Then::Look => (Answer::GoOn, self.files_held),
            Then::IfOwn(arg) if caller.has(args[arg] as u32) => (Answer::GoOn, false),
            Then::IfOwn(_) => (refuse, true),
            Then::Stop(errno) | Then::Quietly(errno) => (Answer::Fail(errno), true),
        };
        if let Some(tried) = tried.filter(|_| noted) {
            self.note(tried);
        }
        answer
    }

    fn note(&self, tried: String) {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.add(Attempt { tried, times: 1 });
    }
}

/// What a call tries, in words; `None` where there is nothing wrong with it.
fn tried(what: What, args: &[u64; 6], caller: Caller, readable: &Readable) -> Option<String> {
    let at = |arg: Option<usize>| arg.map(|arg| args[arg] as i32);
    Some(match what {
        What::Do(words) => words.to_owned(),
        What::Socket => match args[0] as i32 {
            libc::AF_INET | libc::AF_INET6 => "open a network socket".to_owned(),
            libc::AF_UNIX => "open a socket to other processes".to_owned(),
            libc::AF_NETLINK => "open a socket to the kernel".to_owned(),
            family => format!("open a socket of family {family}"),
        },
        What::ToFile(words, folder, name) => match caller.path(at(folder), args[name]) {
            Some(path) => format!("{words} {}", named(caller, &path, caller.entry(&path))),
            None => words.to_owned(),
        },
        What::ToOpenFile(words, fd) => match caller.open(args[fd] as i32) {
            Some(path) => format!("{words} {}", named(caller, &path, None)),
            None => words.to_owned(),
        },
        What::Open(folder, name, flags) => {
            let flags = args[flags] as i32;
            let path = caller.path(at(folder), args[name])?;
            let writes = flags & libc::O_ACCMODE != libc::O_RDONLY
                || flags & (libc::O_CREAT | libc::O_TRUNC) != 0;
            if flags & libc::O_PATH != 0 || writes && path == Path::new("/dev/null") {
                return None;
            }
            if writes {
                return Some(format!(
                    "write the file {}",
                    named(caller, &path, caller.real(&path))
                ));
            }
            let real = caller.real(&path).filter(|real| real.exists())?;
            if readable.holds(caller, &real) || caller.has_open(&real) {
                return None;
            }
            let words = if real.is_dir() { "list the folder" } else { "read the file" };
            format!("{words} {}", named(caller, &path, Some(real)))
        }
    })
}

/// A path between quotes: by its real name where it has one.
fn named(caller: Caller, path: &Path, real: Option<PathBuf>) -> String {
    format!("`{}`", caller.told(real.as_deref().unwrap_or(path)))
}
