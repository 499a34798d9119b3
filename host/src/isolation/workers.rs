//! All workers of one model: the runner behind which they stand.
//!
//! They are started when they are needed, up to a number, and replaced when they die. A model whose
//! workers die too often is given up: there is no sense in killing processes all night.

use super::Options;
use super::chatter::{Shown, Tell};
use super::plan::Plan;
use super::tally::{Deaths, Tally, WorkersSummary};
use super::worker::{Lost, NoWorker, Terms, Worker};
use crate::plugin::runner::{Ask, Death, Failure, Runner};
use crate::plugin::{Image, ModelError, PluginError, judge_models, look};
use crate::stop::Stop;
use model_abi::LoadReport;
use model_abi::describe::ModelDescription;
use model_abi_layout::Answer;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a thread that waits for a worker looks whether the run goes on.
const TICK: Duration = Duration::from_millis(20);
/// How often it is tried to start one: it may be killed while it loads.
const STARTS_MAX: u32 = 3;
/// Workers that are killed from outside are no fault of the model's, but there is an end to that too.
const KILLS_TO_A_CRASH: u64 = 100;

/// A plugin that a worker has opened, and whose models it has told of.
pub struct Opened {
    plan: Plan,
    worker: Worker,
    models: Vec<ModelDescription>,
    options: Options,
    shown: Arc<Shown>,
    stop: Stop,
}

impl Opened {
    /// Starts a worker and has it open the plugin. `tell`: where people read what it says, behind the
    /// name of the model that is meant, or of the only one, or of the file.
    pub fn open(
        image: &Image,
        options: Options,
        (name, tell): (Option<&str>, Tell),
        stop: &Stop,
    ) -> Result<Self, PluginError> {
        // Seen here too, so that what is wrong with a file is told as ever.
        let looked = look::look_at(image)?;
        let file = image.path().file_name().unwrap_or_default().to_string_lossy();
        let name = match (name, &looked.stamp.models[..]) {
            (Some(name), _) => name,
            (None, [only]) => &only.qualified_name,
            _ => &file,
        };
        let shown = Arc::new(Shown::new(name, tell));
        let plan = Plan::new(image, &looked, &options)?;
        let terms = Terms { options: &options, stop };
        let (worker, models) = again(|| Worker::open(&plan, &shown, &terms))?;
        // It is believed no more than what it predicts.
        judge_models(&models)?;
        Ok(Opened { plan, worker, models, options, shown, stop: stop.clone() })
    }

    /// The models in it.
    pub fn models(&self) -> &[ModelDescription] {
        &self.models
    }

    /// Makes a model ready. `threads` will ask it at once.
    pub fn load(self, model: &str, config: &str, threads: usize) -> Result<Workers, PluginError> {
        let Opened { plan, worker, models, options, shown, stop } = self;
        let terms = Terms { options: &options, stop: &stop };
        let mut first = Some(worker);
        let (worker, report) = again(|| {
            let worker = match first.take() {
                Some(worker) => worker,
                None => Worker::open(&plan, &shown, &terms)?.0,
            };
            worker.load(model, config, &terms)
        })?;
        let workers_max = options.workers.map_or(threads, usize::from).max(1);
        let workers = Workers {
            plan,
            models,
            model: model.to_owned(),
            config: config.to_owned(),
            report,
            options,
            shown,
            stop,
            staff: Mutex::new(Staff { idle: vec![worker], count: 1, most: workers_max }),
            freed: Condvar::new(),
            tally: Tally::default(),
        };
        workers.tally.started();
        Ok(workers)
    }
}

/// Tries again where one was killed that did nothing wrong.
fn again<T>(mut start: impl FnMut() -> Result<T, NoWorker>) -> Result<T, PluginError> {
    let mut tries = 1;
    loop {
        match start() {
            Err(NoWorker::Died(death)) if death.may_be_foreign && tries < STARTS_MAX => tries += 1,
            started => return started.map_err(NoWorker::into_error),
        }
    }
}

/// The workers of a model.
pub struct Workers {
    plan: Plan,
    models: Vec<ModelDescription>,
    model: String,
    config: String,
    report: LoadReport,
    options: Options,
    shown: Arc<Shown>,
    stop: Stop,
    staff: Mutex<Staff>,
    freed: Condvar,
    tally: Tally,
}

/// Those that have nothing to do, how many there are in all, and how many there may be.
struct Staff {
    idle: Vec<Worker>,
    count: usize,
    most: usize,
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
                self.lost(self.end(worker, Lost::Gone), false, true)?;
                staff = self.staff.lock().unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            if staff.count < staff.most {
                staff.count += 1;
                drop(staff);
                match self.start() {
                    Ok(Some(worker)) => return Ok(Some(worker)),
                    // With those that there are it goes on.
                    Err(Failure::Model(ModelError::NoProcess(why))) => {
                        staff = self.staff.lock().unwrap_or_else(PoisonError::into_inner);
                        staff.count -= 1;
                        staff.most = staff.count;
                        if staff.count == 0 {
                            return Err(ModelError::NoProcess(why).into());
                        }
                        continue;
                    }
                    other => {
                        self.leave();
                        return other;
                    }
                }
            }
            let waited = self.freed.wait_timeout(staff, TICK);
            staff = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn start(&self) -> Result<Option<Worker>, Failure> {
        let terms = self.terms();
        for _ in 0..STARTS_MAX {
            let ready =
                Worker::open(&self.plan, &self.shown, &terms).and_then(|(worker, models)| {
                    let (worker, report) = worker.load(&self.model, &self.config, &terms)?;
                    Ok((worker, models, report))
                });
            match ready {
                Ok((worker, models, report)) => {
                    self.refuse_another(&models, &report)?;
                    self.tally.started();
                    return Ok(Some(worker));
                }
                Err(NoWorker::Stopped) => return Ok(None),
                Err(NoWorker::Died(death)) => drop(self.lost(death, false, false)?),
                Err(NoWorker::Refused { reason, .. }) => {
                    self.refuse_another(&self.models, &self.report)?;
                    return Err(ModelError::NoWorker(reason).into());
                }
                Err(NoWorker::System(error)) => {
                    return Err(ModelError::NoProcess(error.to_string()).into());
                }
            }
        }
        let reason = format!("{STARTS_MAX} in a row ended while they loaded the model");
        Err(ModelError::NoWorker(reason).into())
    }

    /// Refuses what is not the model that the run began with.
    fn refuse_another(
        &self,
        models: &[ModelDescription],
        report: &LoadReport,
    ) -> Result<(), ModelError> {
        if let Some(file) = self.plan.changed() {
            return Err(ModelError::Replaced(format!("`{}` was changed", file.display())));
        }
        let told =
            |models, report: &LoadReport| serde_json::to_value((models, &report.fingerprint)).ok();
        if told(models, report) != told(&self.models[..], &self.report) {
            return Err(ModelError::Replaced("it says other things of itself".to_owned()));
        }
        Ok(())
    }

    /// One has ended; an error where that is too often.
    fn lost(&self, death: Death, is_search: bool, was_ready: bool) -> Result<Death, ModelError> {
        let Deaths { crashes, kills } = self.tally.ended(&death, is_search, was_ready);
        let crashes_max = self.options.crashes_max;
        let kills_max = crashes_max.saturating_mul(KILLS_TO_A_CRASH);
        if crashes > crashes_max {
            return Err(ModelError::DiesTooOften { crashes, crashes_max, last: death.message });
        }
        if kills > kills_max {
            return Err(ModelError::KilledTooOften { kills, last: death.message });
        }
        Ok(death)
    }

    /// Ends one that is of no more use.
    fn dismiss(&self, worker: Worker) {
        self.tally.tried(worker.attempts());
        drop(worker);
        self.leave();
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
                self.dismiss(worker);
                *answer = Answer::default();
                Ok(0)
            }
            Lost::Lied(error) => {
                self.dismiss(worker);
                Err(error.into())
            }
            lost => {
                let death = self.end(worker, lost);
                self.leave();
                Err(self.lost(death, ask.is_search, true)?.into())
            }
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let staff = self.staff.get_mut().unwrap_or_else(PoisonError::into_inner);
        staff.idle.iter_mut().for_each(Worker::dismiss);
        let dismissed = Instant::now();
        staff.idle.drain(..).for_each(|worker| worker.part(dismissed));
    }
}
