//! One worker process, as its host sees it: started, asked, ended.
//!
//! Whatever comes from it is bounded in time (`clock.rs`) and in size. The trap: it may answer and die at
//! once, so an answer that has come is read before its end is looked at.

use super::area::{Area, Word};
use super::chatter::{Chatter, Shown};
use super::clock::{Clock, Verdict};
use super::plan::Plan;
use super::protocol::{ANSWERED, CALL, Coming, NEXT, Order, PIECE, Reply, write_request};
use super::wire::Wire;
use super::{ALLOW, COMMAND, LOST, Options, size_text};
use crate::child::{Birth, End, Living};
use crate::plugin::runner::{Ask, Death};
use crate::plugin::{ModelError, PluginError};
use crate::record::RejectKind;
use crate::sandbox::{self, Attempt, Grants, Mode, Watch, may_inherit};
use crate::step::STACK_BYTES;
use crate::stop::Stop;
use model_abi::LoadReport;
use model_abi::describe::ModelDescription;
use model_abi_layout::{Answer, PROGRESS_NOT_TOLD};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long a model may go on when the run is to end.
const GRACE: Duration = Duration::from_secs(1);
/// How long a worker whose end of the socket is closed may take to have ended.
const LEAVING: Duration = Duration::from_millis(200);
/// A buffer that grew longer, for one very long answer, is not kept for the next.
const SCRATCH_BYTES_KEPT: usize = 4 * 1024 * 1024;
/// How long a worker has to end by itself, when there is no more to do.
const PARTING: Duration = Duration::from_millis(500);

/// A worker.
pub(super) struct Worker {
    living: Living,
    wire: Wire,
    area: Area,
    chatter: Chatter,
    /// What it tries against its sandbox, where that is told.
    watch: Option<Watch>,
    scratch: Vec<u8>,
}

/// Why a worker is lost.
#[derive(Debug)]
pub(super) enum Lost {
    /// The run is to end.
    Stopped,
    /// It did nothing for so long.
    TimedOut(Duration),
    /// It has ended, or its end of the socket has.
    Gone,
    /// It does not do what workers do.
    Astray(io::Error),
    /// What it answered can't be used. The model's fault, whatever the record.
    Lied(ModelError),
}

/// Why there is no worker.
#[derive(Debug)]
pub(super) enum NoWorker {
    /// The run is to end.
    Stopped,
    /// The system gives none.
    System(io::Error),
    /// The plugin is refused, or its model can't be loaded.
    Refused { reason: String, hint: Option<String> },
    /// It ended.
    Died(Death),
}

impl NoWorker {
    /// As the reason why a plugin is refused.
    pub(super) fn into_error(self) -> PluginError {
        match self {
            NoWorker::Refused { reason, hint } => PluginError::RefusedByWorker { reason, hint },
            NoWorker::Died(death) => PluginError::WorkerDied(death),
            NoWorker::Stopped => PluginError::NoWorker(io::ErrorKind::Interrupted.into()),
            NoWorker::System(error) => PluginError::NoWorker(error),
        }
    }
}

/// What all workers of a model are asked with.
pub(super) struct Terms<'a> {
    pub(super) options: &'a Options,
    pub(super) stop: &'a Stop,
}

impl Worker {
    /// Starts one and has it open the plugin.
    pub(super) fn open(
        plan: &Plan,
        shown: &Arc<Shown>,
        terms: &Terms<'_>,
    ) -> Result<(Self, Vec<ModelDescription>), NoWorker> {
        let system = NoWorker::System;
        let Plan { image, opening, .. } = plan;
        let (wire, theirs) = Wire::pair().map_err(system)?;
        let (reader, writer) = io::pipe().map_err(system)?;
        let area = Area::new().map_err(system)?;
        let memory = terms.options.memory_bytes_max;
        let birth = Birth {
            args: vec![COMMAND.into()],
            stdin: theirs,
            output: writer.into(),
            // That of the model is meant, and the thread that asks it has a stack.
            memory_bytes_max: memory.map(|bytes| bytes.saturating_add(STACK_BYTES as u64)),
            inherits: match terms.options.sandbox {
                Mode::Off => |_| true,
                Mode::On | Mode::Require => may_inherit,
            },
        };
        let living = Living::start(birth).map_err(system)?;
        let chatter = Chatter::listen(reader, shown.clone()).map_err(system)?;
        let mut worker = Worker { living, wire, area, chatter, watch: None, scratch: Vec::new() };
        let held = image.plugin().into_iter().chain(image.files().map(|(_, file)| file));
        let held: Vec<_> = held
            .map(|sealed| sealed.file().try_clone())
            .collect::<Result<_, _>>()
            .map_err(system)?;
        let grants = Grants { read: opening.may_read.clone() };
        let replied = worker.order(&Order::Open(opening.clone()), &held, terms);
        let during = "while it entered its sandbox";
        let mut worker = match worker.expect(replied, during, terms)? {
            (worker, Reply::Entered) => worker,
            (worker, _) => return Err(worker.astray(during, terms)),
        };
        let Ok(listener) = sandbox::take_over(worker.wire.fd()) else {
            return Err(worker.died(Lost::Gone, during, terms));
        };
        worker.watch = listener.map(|it| Watch::start(it, &grants)).transpose().map_err(system)?;
        let during = "while it was loaded and asked to describe itself";
        let replied = worker.reply(terms);
        match worker.expect(replied, during, terms)? {
            (worker, Reply::Opened(models)) => Ok((worker, models)),
            (worker, _) => Err(worker.astray(during, terms)),
        }
    }

    /// Has it make a model ready.
    pub(super) fn load(
        mut self,
        model: &str,
        config: &str,
        terms: &Terms<'_>,
    ) -> Result<(Self, LoadReport), NoWorker> {
        let order = Order::Load { model: model.to_owned(), config: config.to_owned() };
        let during = "while its model was being loaded";
        let replied = self.order(&order, &[], terms);
        match self.expect(replied, during, terms)? {
            (worker, Reply::Loaded(report)) => Ok((worker, report)),
            (worker, _) => Err(worker.astray(during, terms)),
        }
    }

    /// Wants something, and waits for the reply. The first order has the shared memory beside it, and
    /// these files.
    fn order(&mut self, order: &Order, held: &[File], terms: &Terms<'_>) -> Result<Reply, Lost> {
        let frame = serde_json::to_vec(order).expect("its paths are UTF-8, its keys are texts");
        let files: Vec<BorrowedFd<'_>> = match order {
            Order::Open(_) => {
                std::iter::once(self.area.fd()).chain(held.iter().map(AsFd::as_fd)).collect()
            }
            Order::Load { .. } => Vec::new(),
        };
        self.wire.send_with(&frame, &files).map_err(|_| Lost::Gone)?;
        self.reply(terms)
    }

    fn reply(&mut self, terms: &Terms<'_>) -> Result<Reply, Lost> {
        let mut clock = Clock::new(terms.options.timeout, 1);
        let reply = frame(&mut self.wire, &self.living, &self.area, terms, &mut clock)?;
        serde_json::from_slice(&reply).map_err(|error| Lost::Astray(error.into()))
    }

    fn expect(
        self,
        replied: Result<Reply, Lost>,
        during: &str,
        terms: &Terms<'_>,
    ) -> Result<(Self, Reply), NoWorker> {
        match replied {
            Ok(Reply::Refused { reason, hint }) => {
                let stopped = self.stopped();
                let hint = if stopped.is_empty() { hint } else { Some(ALLOW.to_owned()) };
                Err(NoWorker::Refused { reason: reason + &stopped, hint })
            }
            Ok(reply) => Ok((self, reply)),
            Err(Lost::Stopped) => Err(NoWorker::Stopped),
            Err(lost) => Err(self.died(lost, during, terms)),
        }
    }

    fn astray(self, during: &str, terms: &Terms<'_>) -> NoWorker {
        self.died(Lost::Astray(io::Error::other("an answer to something else")), during, terms)
    }

    fn died(self, lost: Lost, during: &str, terms: &Terms<'_>) -> NoWorker {
        let stopped = self.stopped();
        let mut death = self.end(lost, terms.options.memory_bytes_max);
        death.message = format!("{during}, {}{stopped}", death.message);
        NoWorker::Died(death)
    }

    /// What the sandbox kept it from, behind the reason why it could not be made ready.
    fn stopped(&self) -> String {
        let attempts: Vec<_> = self.attempts().iter().map(ToString::to_string).collect();
        match &attempts[..] {
            [] => String::new(),
            attempts => format!("; its sandbox kept it from this: {}", attempts.join(", ")),
        }
    }

    /// What it tried against its sandbox.
    pub(super) fn attempts(&self) -> Vec<Attempt> {
        self.watch.as_ref().map(Watch::attempts).unwrap_or_default()
    }

    /// Whether it has ended, though nobody asked it anything.
    pub(super) fn has_ended(&self) -> bool {
        self.living.has_ended()
    }

    /// Asks about records: the border's status, and the answer, unchecked.
    pub(super) fn call(
        &mut self,
        ask: &Ask<'_>,
        answer: &mut Answer,
        terms: &Terms<'_>,
    ) -> Result<u32, Lost> {
        self.chatter.forget();
        let mut clock = Clock::new(terms.options.timeout, ask.records.len());
        loop {
            let status = self.ask_once(ask, answer, terms, &mut clock)?;
            // One that did not run for a while may be told to stop before it begins.
            let is_in_vain = status == 0 && answer.answered == 0 && clock.has_hurried();
            if !is_in_vain || terms.stop.is_set() {
                return Ok(status);
            }
            clock = clock.again();
        }
    }

    fn ask_once(
        &mut self,
        ask: &Ask<'_>,
        answer: &mut Answer,
        terms: &Terms<'_>,
        clock: &mut Clock,
    ) -> Result<u32, Lost> {
        let control = self.area.control();
        control.cancel.store(0, Ordering::Relaxed);
        control.progress.store(PROGRESS_NOT_TOLD, Ordering::Relaxed);
        let mut scratch = std::mem::take(&mut self.scratch);
        let (area, wire, living) = (&self.area, &mut self.wire, &self.living);
        write_request(area, ask, &mut scratch, || {
            wire.send(PIECE).map_err(|_| Lost::Gone)?;
            match &*frame(wire, living, area, terms, clock)? {
                NEXT => Ok(()),
                other => Err(unexpected(other)),
            }
        })?;
        wire.send(CALL).map_err(|_| Lost::Gone)?;
        let mut turn = frame(wire, living, area, terms, clock)?;
        let most = (ask.records.len(), terms.options.memory_bytes_max.unwrap_or(u64::MAX));
        let coming = Coming::new(area, most, (answer, &mut scratch));
        let mut coming = coming.map_err(Lost::Lied)?;
        loop {
            let is_last = match &*turn {
                ANSWERED => true,
                PIECE => false,
                other => return Err(unexpected(other)),
            };
            coming.take(area, is_last).map_err(Lost::Lied)?;
            if is_last {
                break;
            }
            wire.send(NEXT).map_err(|_| Lost::Gone)?;
            turn = frame(wire, living, area, terms, clock)?;
        }
        coming.end().map_err(Lost::Lied)?;
        if scratch.capacity() <= SCRATCH_BYTES_KEPT {
            self.scratch = scratch;
        }
        Ok(u32::try_from(self.area.get(Word::Status)).unwrap_or(u32::MAX))
    }

    /// Ends it, and tells how it ended. `memory_bytes_max` stands in what is said of memory.
    pub(super) fn end(mut self, lost: Lost, memory_bytes_max: Option<u64>) -> Death {
        let progress = self.area.control().progress.load(Ordering::Relaxed);
        let progress = Some(progress).filter(|&progress| progress != PROGRESS_NOT_TOLD);
        // Its end of the socket is closed a little before it has ended.
        let has_left = matches!(lost, Lost::Gone) && !self.ends_within(LEAVING);
        let end = self.living.end();
        let words = self.chatter.last_words();
        let crash = |message| (RejectKind::Crash, message, false);
        let (kind, mut message, may_be_foreign) = match (lost, end) {
            (Lost::TimedOut(timeout), _) => {
                let seconds = timeout.as_secs_f64();
                let message =
                    format!("its process took longer than --timeout ({seconds} s), and was killed");
                (RejectKind::Timeout, message, false)
            }
            (Lost::Astray(error), _) => {
                crash(format!("its process was ended, since it answered nonsense: {error}"))
            }
            (_, end) if has_left || is_lost(&end) => crash(
                "its process was ended, since it closed its connection to the host".to_owned(),
            ),
            (_, Ok(End::TimedOut(_)) | Err(_)) => crash("its process is lost".to_owned()),
            (_, Ok(end)) if end != End::Exited(0) && words.about_memory().is_some() => {
                let bound = memory_bytes_max.map_or_else(String::new, |most| {
                    format!(" (--max-memory {})", size_text(most))
                });
                let message = format!("its process ran out of memory{bound}: it {end}");
                (RejectKind::Memory, message, false)
            }
            (_, Ok(end @ End::Exited(_))) => {
                (RejectKind::Exit, format!("its process {end}"), false)
            }
            (_, Ok(end)) => (RejectKind::Crash, format!("its process {end}"), end.may_be_foreign()),
        };
        let words = match kind {
            RejectKind::Memory => words.about_memory().unwrap_or_default(),
            _ => words.line(),
        };
        if !words.is_empty() {
            message += &format!("; its last words: {words}");
        }
        let progress = progress.and_then(|progress| usize::try_from(progress).ok());
        Death { kind, message, progress, may_be_foreign }
    }

    /// Whether it ends by itself in this time.
    fn ends_within(&self, wait: Duration) -> bool {
        let since = Instant::now();
        loop {
            if self.living.has_ended() {
                return true;
            }
            let left = wait.saturating_sub(since.elapsed());
            if left.is_zero() {
                return false;
            }
            match self.living.fd() {
                Some(fd) => drop(ready(&[fd], left)),
                None => std::thread::sleep(left.min(Duration::from_millis(2))),
            }
        }
    }

    /// Tells it that there is no more to do.
    pub(super) fn dismiss(&mut self) {
        self.wire.close();
    }

    /// Waits a little for one that was dismissed to end by itself: so long after it and all others were.
    pub(super) fn part(self, dismissed: Instant) {
        self.ends_within(PARTING.saturating_sub(dismissed.elapsed()));
    }
}

fn is_lost(end: &io::Result<End>) -> bool {
    matches!(end, Ok(End::Exited(code)) if *code == i32::from(LOST))
}

fn unexpected(frame: &[u8]) -> Lost {
    Lost::Astray(io::Error::other(format!("a turn of {} bytes that is none", frame.len())))
}

/// Waits for the next frame.
fn frame(
    wire: &mut Wire,
    living: &Living,
    area: &Area,
    terms: &Terms<'_>,
    clock: &mut Clock,
) -> Result<Vec<u8>, Lost> {
    loop {
        let (has_frame, has_ended) = match living.fd() {
            Some(fd) => {
                let [has_frame, has_ended] = ready(&[wire.fd(), fd], clock.tick());
                (has_frame, has_ended)
            }
            None => (ready(&[wire.fd()], clock.tick())[0], living.has_ended()),
        };
        if has_frame {
            return match wire.receive() {
                Ok(Some(frame)) => Ok(frame),
                Ok(None) => Err(Lost::Gone),
                Err(error) => Err(Lost::Astray(error)),
            };
        }
        if has_ended {
            return Err(Lost::Gone);
        }
        let control = area.control();
        match clock.look(Instant::now(), control.progress.load(Ordering::Relaxed)) {
            Verdict::GoOn => {}
            Verdict::Hurry => control.cancel.store(1, Ordering::Relaxed),
            Verdict::TimedOut(timeout) => return Err(Lost::TimedOut(timeout)),
        }
        if terms.stop.is_set() {
            control.cancel.store(1, Ordering::Relaxed);
            if clock.since_stop(Instant::now()) >= GRACE {
                return Err(Lost::Stopped);
            }
        }
    }
}

/// Which of them can be read from, or have ended; after so long, none.
fn ready<const N: usize>(fds: &[BorrowedFd<'_>; N], wait: Duration) -> [bool; N] {
    let wait = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
    let mut polled = fds.each_ref().map(|fd| PollFd::new(fd, PollFlags::IN));
    // Interrupted by a signal, none is ready.
    let _ = poll(&mut polled, Some(&wait));
    polled.map(|polled| !polled.revents().is_empty())
}
