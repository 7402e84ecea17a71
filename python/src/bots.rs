//! Bots that are stepped by hand, on a clock that stands still: for tests and scripts in Python.
//!
//! They are the bots of the program, built from settings in the same way; only time is different. A step goes the whole
//! way, from the measurement to the platform and to whoever is told, and returns when everybody was.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use autoscalebot_core::{
    event::Event,
    moment::Moment,
    names::ProcessName,
    step::{Settled, State},
};
use autoscalebot_engine::{
    bot::{Bot, Tick, Ticked, Watch},
    build::{self, Manner},
    clock::{Clock, SystemClock},
    config::load,
    host::Guests,
    notification::Notice,
    shared::Shared,
};
use jiff::Timestamp;
use pyo3::{
    exceptions::{PyKeyError, PyValueError},
    prelude::*,
    types::PyDict,
};
use serde_json::{Value, json};

use crate::{clock::StillClock, log, modules::PythonModules, pool, standalone};

/// How long those who are told may take, and how long good-byes may take at the end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bots by the names of their processes.
#[pyclass(module = "autoscalebot._native")]
pub struct Bots {
    bots: BTreeMap<ProcessName, Stepped>,
    clock: Arc<StillClock>,
    shared: Arc<Shared>,
    told: Arc<Told>,
}

struct Stepped {
    bot: Bot,
    state: State,
    /// The next tick is at or after this moment.
    from: Duration,
    /// Names of the measurement backends.
    backends: Vec<&'static str>,
}

/// What was told during a step.
#[derive(Default)]
struct Told(Mutex<Vec<Notice>>);

impl Watch for Told {
    fn ticked(&self, _: &ProcessName, _: &Ticked<'_>) {}

    fn told(&self, process: &ProcessName, at: &Moment, event: &Event) {
        let (process, event, id) = (process.clone(), event.clone(), uuid::Uuid::nil());
        let notice = Notice { process, at: *at, event, id, lost_before: 0 };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(notice);
    }
}

#[pymethods]
impl Bots {
    /// Bots from settings (names as a settings module assigns them), at a time (ISO 8601).
    #[new]
    fn new(py: Python<'_>, settings: &Bound<'_, PyDict>, origin: &str, start: &str) -> PyResult<Self> {
        log::to_python();
        let start: Timestamp = start.parse().map_err(|error| PyValueError::new_err(format!("{start:?}: {error}")))?;
        let host = standalone::host(PythonModules::given(Some(settings), origin), Vec::new());
        py.detach(|| Self::build(host, start)).map_err(PyValueError::new_err)
    }

    /// The names of the processes.
    fn processes(&self) -> Vec<String> {
        self.bots.keys().map(ToString::to_string).collect()
    }

    /// The process whose tick is next, and when: seconds since the start.
    fn next_due(&self) -> Option<(String, f64)> {
        let due = self.bots.iter().map(|(process, stepped)| (stepped.bot.next_due(stepped.from), process));
        due.min().map(|(due, process)| (process.to_string(), due.as_secs_f64()))
    }

    /// Seconds since the start, and the time (ISO 8601).
    fn now(&self) -> (f64, String) {
        let now = self.clock.now();
        (now.since_start.as_secs_f64(), now.civil.to_string())
    }

    /// Lets so many seconds pass in which nobody ticks.
    fn advance(&self, seconds: f64) -> PyResult<()> {
        let length = Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(error.to_string()))?;
        self.clock.move_to(self.clock.now().since_start.saturating_add(length));
        Ok(())
    }

    /// One tick of a process, at its next moment; what came of it, as JSON.
    fn step(&mut self, py: Python<'_>, process: &str) -> PyResult<String> {
        let Self { bots, clock, told, .. } = self;
        let name = ProcessName::new(process).map_err(PyValueError::new_err)?;
        let stepped = bots.get_mut(&name).ok_or_else(|| PyKeyError::new_err(process.to_owned()))?;
        py.detach(|| Ok(pool::runtime().block_on(stepped.step(&name, clock, told)).to_string()))
    }

    /// Ends: what only lives with the bots is stopped, and every backend says good-bye.
    fn close(&mut self, py: Python<'_>) {
        let (bots, shared) = (std::mem::take(&mut self.bots), self.shared.clone());
        py.detach(|| {
            pool::runtime().block_on(async {
                for stepped in bots.into_values() {
                    stepped.bot.platform.shutdown(PATIENCE).await;
                }
                if let Some(guests) = &shared.host.guests {
                    let guests: &dyn Guests = &**guests;
                    guests.finish(PATIENCE).await;
                }
            });
        });
    }
}

impl Bots {
    fn build(host: autoscalebot_engine::host::Host, start: Timestamp) -> Result<Self, String> {
        let folder = std::env::current_dir().unwrap_or_default();
        let loaded = load::load(None, &folder, &host).map_err(|errors| errors.lines().join("\n"))?;
        for warning in &loaded.warnings {
            tracing::warn!(target: crate::bridge::LOG_TARGET, "{warning}");
        }
        // Only the bots' time is moved by hand: a backend that measures how long an app takes, or how old a task is, asks
        // the machine's clock as ever.
        let clock = Arc::new(StillClock::at(start));
        let shared = Shared::new(Arc::new(SystemClock::new()), host.clone());
        let timeless = Shared::new(clock.clone(), host);
        let told = Arc::new(Told::default());
        let manner = Manner { watchers: vec![told.clone()], ..Manner::default() };
        let _entered = pool::runtime().enter();
        let mut bots = BTreeMap::new();
        for (process, config) in &loaded.config.processes {
            let mut bot = build::platform(process, config, &shared, &manner)
                .and_then(|platform| build::bot(process, config, platform, 0.0, &shared, &manner))
                .map_err(|error| error.to_string())?;
            bot.shared = timeless.clone();
            bot.measuring.iter_mut().for_each(|measuring| measuring.schedule.first = Duration::ZERO);
            let state = State::new(&bot.policy);
            let backends = config.signals.iter().map(|signal| signal.measurement.backend).collect();
            bots.insert(process.clone(), Stepped { bot, state, from: Duration::ZERO, backends });
        }
        Ok(Self { bots, clock, shared, told })
    }
}

impl Stepped {
    async fn step(&mut self, process: &ProcessName, clock: &StillClock, told: &Told) -> Value {
        let due = self.bot.next_due(self.from);
        clock.move_to(due);
        told.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let tick = self.bot.step(&mut self.state, self.from).await;
        self.from = clock.now().since_start.max(due + Duration::from_nanos(1));
        self.bot.outlets.flush(PATIENCE).await;
        let events = std::mem::take(&mut *told.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.shown(process, &clock.now(), &tick, &events)
    }

    fn shown(&self, process: &ProcessName, at: &Moment, tick: &Tick, told: &[Notice]) -> Value {
        let Tick { samples, outcome, settled } = tick;
        let results: Vec<_> = samples.iter().map(|(signal, sample)| sample.as_result(self.backends[*signal])).collect();
        let settled = settled.as_ref().map(|settled| match settled {
            Settled::Scaled => "scaled",
            Settled::AlreadyThere => "already_there",
            Settled::DryRun => "dry_run",
            Settled::Failed(_) => "failed",
        });
        let events: Vec<_> = told.iter().map(crate::notification::event_of).collect();
        json!({
            "process": process,
            "at": at.since_start.as_secs_f64(),
            "results": results,
            "running": outcome.running,
            "wanted": outcome.running.map(|_| outcome.decision.wanted),
            "limit": outcome.limit,
            "held": outcome.held.is_some(),
            "order": outcome.order.as_ref().map(|order| order.to),
            "settled": settled,
            "reason": outcome.decision.reason,
            "events": events,
        })
    }
}

impl Drop for Bots {
    fn drop(&mut self) {
        if pool::is_forked() {
            return std::mem::forget(std::mem::take(&mut self.bots));
        }
        // Platforms of the engine want a runtime around them when they go.
        let _entered = pool::runtime().enter();
        self.bots.clear();
    }
}
