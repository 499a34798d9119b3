//! All workers of one model: the runner behind which they stand.
//!
//! They are started when they are needed, up to a number, and replaced when they die. A model whose
//! workers die too often is given up: there is no sense in killing processes all night.

use super::Options;
use super::chatter::{Shown, Tell};
use super::tally::{Tally, WorkersSummary};
use super::worker::{Lost, NoWorker, Terms, Worker};
use crate::plugin::runner::{Ask, Death, Failure, Runner};
use crate::plugin::{Image, ModelError, PluginError};
use crate::stop::Stop;
use model_abi::LoadReport;
use model_abi::describe::ModelDescription;
use model_abi_layout::Answer;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How often a thread that waits for a worker looks whether the run goes on.
const TICK: Duration = Duration::from_millis(20);
/// How often it is tried to start one: it may be killed while it loads.
const STARTS_MAX: u32 = 3;

/// A plugin that a worker has opened, and whose models it has told of.
pub struct Opened {
    image: Image,
    worker: Worker,
    models: Vec<ModelDescription>,
    options: Options,
    shown: Arc<Shown>,
    stop: Stop,
}

impl Opened {
    /// Starts a worker and has it open the plugin. `tell`: where people read what it says, behind the
    /// `name`.
    pub fn open(
        image: &Image,
        options: Options,
        (name, tell): (&str, Tell),
        stop: &Stop,
    ) -> Result<Self, PluginError> {
        let shown = Arc::new(Shown::new(name, tell));
        let terms = Terms { options: &options, stop };
        let (worker, models) = Worker::open(image, &shown, &terms).map_err(NoWorker::into_error)?;
        let (image, stop) = (image.clone(), stop.clone());
        Ok(Opened { image, worker, models, options, shown, stop })
    }

    /// The models in it.
    pub fn models(&self) -> &[ModelDescription] {
        &self.models
    }

    /// Makes a model ready. `threads` will ask it at once.
    pub fn load(self, model: &str, config: &str, threads: usize) -> Result<Workers, PluginError> {
        let Opened { image, worker, options, shown, stop, .. } = self;
        let terms = Terms { options: &options, stop: &stop };
        let loaded = worker.load(model, config, &terms).map_err(NoWorker::into_error)?;
        let (worker, report) = loaded;
        let workers_max = options.workers.map_or(threads, usize::from).max(1);
        let workers = Workers {
            image,
            model: model.to_owned(),
            config: config.to_owned(),
            report,
            options,
            workers_max,
            shown,
            stop,
            staff: Mutex::new(Staff { idle: vec![worker], count: 1 }),
            freed: Condvar::new(),
            tally: Tally::default(),
        };
        workers.tally.started();
        Ok(workers)
    }
}

/// The workers of a model.
pub struct Workers {
    image: Image,
    model: String,
    config: String,
    report: LoadReport,
    options: Options,
    workers_max: usize,
    shown: Arc<Shown>,
    stop: Stop,
    staff: Mutex<Staff>,
    freed: Condvar,
    tally: Tally,
}

/// Those that have nothing to do, and how many there are in all.
struct Staff {
    idle: Vec<Worker>,
    count: usize,
}

impl Workers {
    /// What the model reported when it was loaded.
    pub fn report(&self) -> &LoadReport {
        &self.report
    }

    /// What became of them.
    pub fn summary(&self) -> WorkersSummary {
        let staff = self.staff.lock().unwrap_or_else(PoisonError::into_inner);
        self.tally.summary(staff.idle.iter().flat_map(Worker::attempts))
    }

    /// Ends one that is lost.
    fn end(&self, worker: Worker, lost: Lost) -> Death {
        self.tally.tried(worker.attempts());
        worker.end(lost, self.options.memory_bytes_max)
    }

    fn terms(&self) -> Terms<'_> {
        Terms { options: &self.options, stop: &self.stop }
    }

    /// One that has nothing to do; `None`: the run is to end.
    fn hire(&self) -> Result<Option<Worker>, Failure> {
        let mut staff = self.staff.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if self.stop.is_set() {
                return Ok(None);
            }
            if let Some(worker) = staff.idle.pop() {
                if !worker.has_ended() {
                    return Ok(Some(worker));
                }
                staff.count -= 1;
                drop(staff);
                // Of no record: nobody had asked it anything.
                self.lost(self.end(worker, Lost::Gone), false)?;
                staff = self.staff.lock().unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            if staff.count < self.workers_max {
                staff.count += 1;
                drop(staff);
                let started = self.start();
                if !matches!(started, Ok(Some(_))) {
                    self.leave();
                }
                return started;
            }
            let waited = self.freed.wait_timeout(staff, TICK);
            staff = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn start(&self) -> Result<Option<Worker>, Failure> {
        let terms = self.terms();
        for _ in 0..STARTS_MAX {
            let worker = Worker::open(&self.image, &self.shown, &terms)
                .and_then(|(worker, _)| worker.load(&self.model, &self.config, &terms));
            match worker {
                Ok((worker, _)) => {
                    self.tally.started();
                    return Ok(Some(worker));
                }
                Err(NoWorker::Stopped) => return Ok(None),
                Err(NoWorker::Died(death)) => drop(self.lost(death, false)?),
                Err(NoWorker::Refused { reason, .. }) => {
                    return Err(ModelError::NoWorker(reason).into());
                }
                Err(NoWorker::System(error)) => {
                    return Err(ModelError::NoWorker(error.to_string()).into());
                }
            }
        }
        let reason = format!("{STARTS_MAX} in a row ended while they loaded the model");
        Err(ModelError::NoWorker(reason).into())
    }

    /// One has ended; an error where that is too often.
    fn lost(&self, death: Death, is_search: bool) -> Result<Death, ModelError> {
        let crashes = self.tally.ended(&death, is_search);
        let crashes_max = self.options.crashes_max;
        if is_search || crashes <= crashes_max {
            return Ok(death);
        }
        Err(ModelError::DiesTooOften { crashes, crashes_max, last: death.message })
    }

    /// There is one fewer.
    fn leave(&self) {
        self.staff.lock().unwrap_or_else(PoisonError::into_inner).count -= 1;
        self.freed.notify_one();
    }
}

impl Runner for Workers {
    fn call(&self, ask: &Ask<'_>, answer: &mut Answer) -> Result<u32, Failure> {
        let Some(mut worker) = self.hire()? else { return Ok(0) };
        let lost = match worker.call(ask, answer, &self.terms()) {
            Ok(status) => {
                self.staff.lock().unwrap_or_else(PoisonError::into_inner).idle.push(worker);
                self.freed.notify_one();
                return Ok(status);
            }
            Err(lost) => lost,
        };
        match lost {
            Lost::Stopped => {
                drop(worker);
                self.leave();
                *answer = Answer::default();
                Ok(0)
            }
            Lost::Lied(error) => {
                drop(worker);
                self.leave();
                Err(error.into())
            }
            lost => {
                let death = self.end(worker, lost);
                self.leave();
                Err(self.lost(death, ask.is_search)?.into())
            }
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let staff = self.staff.get_mut().unwrap_or_else(PoisonError::into_inner);
        staff.idle.iter_mut().for_each(Worker::dismiss);
        staff.idle.drain(..).for_each(Worker::part);
    }
}
