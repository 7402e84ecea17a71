//! What is known of every process right now: a board that bots write on as they go, and others read.
//!
//! ```text
//!  bots ──(watch)──► board ──► glances: API, dashboard, metrics, health
//!                      └─────► news: live streams
//! ```
//!
//! It is a read side: whoever reads it cannot reach a bot, and a bot that writes on it waits for nobody. It keeps the
//! present only; what was lies in the store. Counters are kept per process and read when somebody asks, so that metrics
//! cost nothing between two questions.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use autoscalebot_core::{
    control::Control,
    decision::{Direction, Reason},
    event::Event,
    moment::Moment,
    names::ProcessName,
    sample::{MeasureFailure, Sample},
    step::{Order, Outcome, Settled},
};
use tokio::sync::broadcast;

use crate::{
    bot::{Bot, Ticked, Watch},
    config::ShownSetting,
    host::Host,
    policy::PolicySpec,
};

/// News that a slow reader may be behind. One who is further behind reads the board anew.
const MOST_NEWS_WAITING: usize = 1024;

/// A bot that is so late, beyond three of its intervals, has stalled. Longer than a measurement and a platform with
/// ordinary time-outs and retries take together.
const STALLED_AFTER: Duration = Duration::from_secs(120);

/// Upper ends of the buckets in which lateness is counted, in seconds: from what nobody notices to what everybody does.
pub const LATENESS_BUCKETS_SECONDS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 10.0, 60.0];

/// Everything about every process, now.
pub struct Board {
    host: Host,
    glances: RwLock<BTreeMap<ProcessName, Arc<Mutex<Glance>>>>,
    lateness: Mutex<Lateness>,
    news: broadcast::Sender<News>,
}

/// Something on the board has changed.
#[derive(Debug, Clone)]
pub enum News {
    /// What is known of a process.
    Process(ProcessName),
    /// Something happened that is worth telling.
    Event(ProcessName, Moment, Arc<Event>),
}

/// What is known of one process now.
#[derive(Debug, Clone)]
pub struct Glance {
    /// The process.
    pub process: ProcessName,
    /// What its bot decides by.
    pub spec: Arc<PolicySpec>,
    /// Its settings as they may be shown.
    pub settings: Option<Arc<[ShownSetting]>>,
    /// Its signals, in the order of the settings.
    pub signals: Vec<SignalGlance>,
    /// When it was last decided.
    pub decided_at: Option<Moment>,
    /// What was decided then, without its events.
    pub outcome: Option<Outcome>,
    /// How many run, as far as is known: by the platform's word, and by our own since.
    pub running: Option<u32>,
    /// What people have told the bot.
    pub control: Control,
    /// The newest change of the count that the bot made.
    pub last_scale: Option<LastScale>,
    /// Whether every order is only told, by the way the program was started.
    pub is_dry_run: bool,
    /// When the next tick is due, on the monotonic clock.
    pub next_due: Option<Duration>,
    /// Since when, on the monotonic clock, a tick is under way.
    pub busy_since: Option<Duration>,
    /// What has been counted since the program started.
    pub counts: Counts,
}

/// What is known of one signal now.
#[derive(Debug, Clone)]
pub struct SignalGlance {
    /// Its newest sample.
    pub newest: Option<Sample>,
    /// A reading at or below this is low.
    pub low: Option<f64>,
    /// A reading above this is high.
    pub high: Option<f64>,
}

/// A change of the count.
#[derive(Debug, Clone)]
pub struct LastScale {
    /// When.
    pub at: Moment,
    /// Before.
    pub from: u32,
    /// After.
    pub to: u32,
    /// Why.
    pub reason: Reason,
}

/// What has been counted about one process since the program started.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Decisions, by direction and the key of the reason.
    pub decisions: BTreeMap<(Direction, String), u64>,
    /// Orders that the platform took, by direction.
    pub scales: BTreeMap<Direction, u64>,
    /// Measurements that succeeded, by the index of the signal.
    pub measurements: BTreeMap<usize, u64>,
    /// Measurements that failed, by the index of the signal and the key of the failure.
    pub measurement_failures: BTreeMap<(usize, String), u64>,
    /// Counts that the platform did not give, by the key of the failure.
    pub count_failures: BTreeMap<String, u64>,
    /// Orders that the platform did not take, by the key of the failure.
    pub scale_failures: BTreeMap<String, u64>,
    /// Orders in a row, up to the newest, that the platform did not take.
    pub scale_failures_in_a_row: u64,
    /// Crashes of the bot.
    pub crashes: u64,
}

/// How late ticks began: the whole fleet together.
#[derive(Debug, Clone, Default)]
pub struct Lateness {
    /// How many were as late as the bucket of the same index allows and later than the one before; the last are later
    /// than all buckets.
    pub buckets: [u64; LATENESS_BUCKETS_SECONDS.len() + 1],
    /// All of it together, in seconds.
    pub sum_seconds: f64,
}

impl Glance {
    /// Whether a tick should be over and is not.
    #[must_use]
    pub fn has_stalled(&self, now: &Moment) -> bool {
        let interval = self.spec.signals.iter().map(|signal| signal.interval).max().unwrap_or_default();
        let patience = interval.saturating_mul(3).saturating_add(STALLED_AFTER);
        let late_since = self.busy_since.or(self.next_due);
        late_since.is_some_and(|since| now.since_start.saturating_sub(since) > patience)
    }

    /// The newest failure of a measurement, when its newest sample is one.
    pub fn failures(&self) -> impl Iterator<Item = &MeasureFailure> {
        let newest = self.signals.iter().filter_map(|signal| signal.newest.as_ref());
        newest.filter_map(|sample| sample.outcome.as_ref().err())
    }
}

impl Board {
    /// An empty board.
    #[must_use]
    pub fn new(host: Host) -> Arc<Self> {
        let (news, _) = broadcast::channel(MOST_NEWS_WAITING);
        Arc::new(Self { host, glances: RwLock::default(), lateness: Mutex::default(), news })
    }

    /// What is known of every process, in the order of their names.
    #[must_use]
    pub fn glances(&self) -> Vec<Glance> {
        let all: Vec<_> = self.read().values().cloned().collect();
        all.iter().map(|glance| lock(glance).clone()).collect()
    }

    /// What is known of one process.
    #[must_use]
    pub fn glance(&self, process: &str) -> Option<Glance> {
        let process = ProcessName::new(process).ok()?;
        let glance = self.read().get(&process).cloned()?;
        let glance = lock(&glance).clone();
        Some(glance)
    }

    /// The names of all processes.
    #[must_use]
    pub fn names(&self) -> Vec<ProcessName> {
        self.read().keys().cloned().collect()
    }

    /// How late ticks began so far.
    #[must_use]
    pub fn lateness(&self) -> Lateness {
        self.lateness.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The news from now on.
    #[must_use]
    pub fn news(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// Notes the newest change of a count from before the program started.
    pub fn set_last_scale(&self, process: &ProcessName, scale: LastScale) {
        self.change(process, |glance| {
            glance.last_scale.get_or_insert(scale);
        });
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<ProcessName, Arc<Mutex<Glance>>>> {
        self.glances.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, process: &ProcessName, change: impl FnOnce(&mut Glance)) {
        let glance = self.read().get(process).cloned();
        if let Some(glance) = glance {
            change(&mut lock(&glance));
        }
    }

    /// Tells those who listen, if anybody does.
    fn publish(&self, news: impl FnOnce() -> News) {
        if self.news.receiver_count() > 0 {
            // Whoever left meanwhile needs no news.
            let _ = self.news.send(news());
        }
    }
}

impl Watch for Board {
    fn joined(&self, bot: &Bot) {
        let signals = bot.spec.signals.iter().map(|signal| {
            let (low, high) = signal.thresholds(&self.host);
            SignalGlance { newest: None, low, high }
        });
        let before = self.glance(bot.process.as_str());
        let (last_scale, counts, control) =
            before.map(|glance| (glance.last_scale, glance.counts, glance.control)).unwrap_or_default();
        let glance = Glance {
            process: bot.process.clone(),
            spec: bot.spec.clone(),
            settings: bot.shown.clone(),
            signals: signals.collect(),
            decided_at: None,
            outcome: None,
            running: None,
            control,
            last_scale,
            is_dry_run: bot.is_dry_run,
            next_due: None,
            busy_since: None,
            counts,
        };
        let mut glances = self.glances.write().unwrap_or_else(PoisonError::into_inner);
        glances.insert(bot.process.clone(), Arc::new(Mutex::new(glance)));
        drop(glances);
        self.publish(|| News::Process(bot.process.clone()));
    }

    fn left(&self, process: &ProcessName) {
        self.glances.write().unwrap_or_else(PoisonError::into_inner).remove(process);
        self.publish(|| News::Process(process.clone()));
    }

    fn waits(&self, process: &ProcessName, due: Duration) {
        self.change(process, |glance| (glance.next_due, glance.busy_since) = (Some(due), None));
    }

    fn begins(&self, process: &ProcessName, due: Duration, now: &Moment) {
        self.change(process, |glance| glance.busy_since = Some(now.since_start));
        let late = now.since_start.saturating_sub(due).as_secs_f64();
        let bucket = LATENESS_BUCKETS_SECONDS.iter().position(|end| late <= *end);
        let mut lateness = self.lateness.lock().unwrap_or_else(PoisonError::into_inner);
        lateness.buckets[bucket.unwrap_or(LATENESS_BUCKETS_SECONDS.len())] += 1;
        lateness.sum_seconds += late;
    }

    fn ticked(&self, process: &ProcessName, tick: &Ticked<'_>) {
        self.change(process, |glance| {
            for (index, sample) in tick.samples {
                if let Some(signal) = glance.signals.get_mut(*index) {
                    signal.newest = Some(sample.clone());
                }
                match &sample.outcome {
                    Ok(_) => *glance.counts.measurements.entry(*index).or_default() += 1,
                    Err(failure) => {
                        let key = (*index, failure.key.clone().into_owned());
                        *glance.counts.measurement_failures.entry(key).or_default() += 1;
                    }
                }
            }
            if let Some(failure) = tick.count_failure {
                *glance.counts.count_failures.entry(failure.key.clone().into_owned()).or_default() += 1;
            }
            let outcome = tick.outcome;
            let key = (outcome.decision.direction, outcome.decision.reason.key.clone().into_owned());
            *glance.counts.decisions.entry(key).or_default() += 1;
            glance.running = outcome.running;
            glance.outcome = Some(Outcome { events: Vec::new(), ..outcome.clone() });
            glance.decided_at = Some(*tick.at);
            glance.control = tick.control.clone();
        });
        self.publish(|| News::Process(process.clone()));
    }

    fn settled(&self, process: &ProcessName, at: &Moment, order: &Order, settled: &Settled) {
        self.change(process, |glance| match settled {
            Settled::Scaled => {
                glance.running = Some(order.to);
                glance.counts.scale_failures_in_a_row = 0;
                *glance.counts.scales.entry(order.direction()).or_default() += 1;
                let reason = order.reason.clone();
                glance.last_scale = Some(LastScale { at: *at, from: order.from, to: order.to, reason });
            }
            Settled::AlreadyThere => {
                glance.running = Some(order.to);
                glance.counts.scale_failures_in_a_row = 0;
            }
            Settled::DryRun => {}
            Settled::Failed(failure) => {
                glance.counts.scale_failures_in_a_row += 1;
                *glance.counts.scale_failures.entry(failure.key.clone().into_owned()).or_default() += 1;
            }
        });
        self.publish(|| News::Process(process.clone()));
    }

    fn told(&self, process: &ProcessName, at: &Moment, event: &Event) {
        match event {
            Event::Measured { .. } => return,
            Event::BotPanicked { .. } => self.change(process, |glance| glance.counts.crashes += 1),
            _ => {}
        }
        self.publish(|| News::Event(process.clone(), *at, Arc::new(event.clone())));
    }
}

fn lock(glance: &Mutex<Glance>) -> std::sync::MutexGuard<'_, Glance> {
    glance.lock().unwrap_or_else(PoisonError::into_inner)
}
