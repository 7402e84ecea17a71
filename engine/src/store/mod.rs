//! What outlives a restart: every tick with all that went into it, every event, and the settings in force.
//!
//! ```text
//!  bot ─► Recorder ─► queue ─► Writer ─► SQLite | PostgreSQL ─► Reader ─► API, dashboard, terminal
//!                                              │                  └─────► Replayer: prove it, or try other settings
//!                                              └─► remembered() ─► Replayer ─► the state to go on with
//! ```
//!
//! The store is downstream of everything but a start: bots run the same without it, and a disk that is full or a database
//! that is gone costs them nothing but their memory. What is kept holds no secret: settings are kept as they may be shown.

mod chores;
mod conditions;
mod database;
mod error;
mod holes;
mod overview;
mod place;
mod read;
mod record;
mod replay;
mod whatif;
mod writer;

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use autoscalebot_core::{
    control::{Command, Commanded, Mode},
    event::Event,
    moment::Moment,
    names::ProcessName,
    step::{Settled, State},
};
use tokio::{sync::oneshot, time::timeout};

pub use self::{
    chores::Keep,
    holes::Hole,
    overview::{Overview, Scale},
    place::{Place, USUAL_FILE},
    read::{
        DecisionRow, DecisionsWish, EventRow, EventsWish, Page, ReadError, Reader, Series, SeriesWish, SignalSeries,
        VersionRow,
    },
    record::{Begins, Input, OrderResult, Tick, TickRecord},
    replay::{Difference, Replayer, Step, Unsettled},
    whatif::{WhatIf, WhatTick},
    writer::Health,
};
use self::{
    record::result_text,
    writer::{Message, Opened, Queue, ResultRow, TickRow, Version, Writer},
};
use crate::{
    bot::Bot,
    clock::Clock,
    command::Commander,
    config::{ShownSetting, changes::changes},
    host::Host,
    policy::PolicySpec,
    shared::Shared,
};

/// How long a start waits for the store. Whoever starts an autoscaler wants it to scale; what was before comes second.
const START_LIMIT: Duration = Duration::from_secs(8);

/// How long an order waits until it is known to be kept. Long enough for a disk in trouble and a database across the
/// street; short beside the seconds in which platforms start processes.
const INTENT_LIMIT: Duration = Duration::from_millis(200);

/// How often a store that could not be read at the start is looked at again.
const SAY_AGAIN_EVERY: Duration = Duration::from_secs(1);

/// After so many ticks the state is kept once more: a restart has to replay no more than these.
const TICKS_BETWEEN_STATES: u64 = 64;

/// A store that was found, before there is a clock.
pub struct Found {
    place: Place,
    keep: Keep,
    opened: Option<Opened>,
    error: Option<String>,
    /// How far the run before came, on both clocks.
    pub reached: Option<Moment>,
}

/// What bots write to, and readers read.
pub struct Store {
    place: Place,
    keep: Keep,
    queue: Arc<Queue>,
    sequence: AtomicU64,
}

/// Opens the store. One that cannot be opened is no error: it is said, and tried again for as long as the program runs.
pub async fn find(place: Place, keep: Keep) -> Found {
    let opening = async {
        let mut opened = Opened::open(&place).await?;
        let rows = opened.link.fetch(NEWEST_RUN, &[]).await?;
        let reached = rows.first().and_then(|row| {
            let civil = jiff::Timestamp::from_microsecond(row.int(0)?).ok()?;
            let since_start = Duration::from_nanos(u64::try_from(row.int(1)?).ok()?);
            Some(Moment { since_start, civil })
        });
        Ok((opened, reached))
    };
    let result = timeout(START_LIMIT, opening).await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
    match result {
        Ok((opened, reached)) => Found { place, keep, opened: Some(opened), error: None, reached },
        Err(error) => {
            let error = Some(error::in_words(&place, &error));
            Found { place, keep, opened: None, error, reached: None }
        }
    }
}

const NEWEST_RUN: &str = "SELECT last_at, last_since_start FROM autoscalebot_runs ORDER BY id DESC LIMIT 1";

impl Found {
    /// Why it could not be opened.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// Begins to write, by this clock.
    #[must_use]
    pub fn start(self, clock: Arc<dyn Clock>) -> Arc<Store> {
        let (queue, messages) = Queue::new();
        *queue.error.lock().unwrap_or_else(PoisonError::into_inner) = self.error;
        let writer = Writer {
            place: self.place.clone(),
            queue: Arc::downgrade(&queue),
            messages,
            clock,
            keep: self.keep,
            link: self.opened,
            closing: None,
            broken: HashSet::new(),
        };
        tokio::spawn(writer.run());
        Arc::new(Store { place: self.place, keep: self.keep, queue, sequence: AtomicU64::new(0) })
    }
}

/// What was known of a process when the program ended.
pub struct Remembered {
    /// When it was decided last.
    at: Moment,
    /// The state after the last tick that was kept whole.
    pub state: State,
    /// An order of which it is not known what became of it.
    pub unsettled: Option<Unsettled>,
    /// What it was decided by.
    pub spec: PolicySpec,
    settings: Vec<ShownSetting>,
}

impl Remembered {
    /// What people had said, as far as it is not over by now, as commands.
    fn still_holds(&self, now: &Moment) -> Vec<Commanded> {
        let passed = Duration::try_from(now.civil.duration_since(self.at.civil)).unwrap_or_default();
        let left = |until: Option<Duration>| match until {
            None => Some(None),
            Some(until) => {
                let left = until.saturating_sub(self.at.since_start).saturating_sub(passed);
                (!left.is_zero()).then_some(Some(left))
            }
        };
        let again = |reason: &str| format!("{reason} (from before the restart)");
        let control = &self.state.control;
        let as_command = |mode: &Mode| match mode {
            Mode::Automatic => None,
            Mode::Paused { scope, until, reason } => left(*until)
                .map(|length| Commanded { command: Command::Pause { scope: *scope, length }, reason: again(reason) }),
            Mode::Held { count, until, reason } => left(*until)
                .map(|length| Commanded { command: Command::Hold { count: *count, length }, reason: again(reason) }),
        };
        let modes = control.before.iter().chain([&control.mode]).filter_map(as_command);
        let dry_run =
            control.dry_run.then(|| Commanded { command: Command::DryRun { on: true }, reason: again("dry run") });
        modes.chain(dry_run).collect()
    }

    /// The state for a bot to go on with, as far as it still means the same. The order whose end was not seen goes to the
    /// bot, which can find out.
    #[must_use]
    pub fn hand_over(self, bot: &mut Bot) -> State {
        let as_before = self.is_measured_as(bot);
        // Other settings may have given another order.
        bot.unsettled = self.unsettled.filter(|_| self.spec == *bot.spec);
        let mut state = self.state.carried_over(&bot.policy, as_before);
        let now = bot.shared.clock.now();
        for ((known, signal), spec) in state.signals.iter_mut().zip(&bot.policy.signals).zip(&bot.spec.signals) {
            let longest = u32::try_from(signal.history_length.get()).unwrap_or(u32::MAX);
            known.history.forget_older_than(spec.interval.saturating_mul(longest), &now);
        }
        state
    }

    /// Every setting that has another value for this bot, in words; none when it is not known what they were.
    #[must_use]
    pub fn changes(&self, bot: &Bot) -> Vec<String> {
        match &bot.shown {
            Some(now) if !self.settings.is_empty() => changes(&self.settings, now),
            _ => Vec::new(),
        }
    }

    /// Whether a bot measures the same at the same place as was measured before, so that old samples keep their meaning.
    fn is_measured_as(&self, bot: &Bot) -> bool {
        let measured = |settings: &[ShownSetting]| -> Vec<(Arc<str>, serde_json::Value)> {
            let is_measured = |path: &str| path.contains("measurement.") || path.starts_with("scaling.");
            let measured = settings.iter().filter(|setting| is_measured(&setting.path));
            measured.map(|setting| (setting.path.clone(), setting.value.clone())).collect()
        };
        measured(&self.settings) == measured(bot.shown.as_deref().unwrap_or_default())
    }
}

impl Store {
    /// Writes down what a bot does from now on.
    #[must_use]
    pub fn recorder(self: &Arc<Self>, bot: &Bot, begins: Begins) -> Recorder {
        Recorder {
            process: bot.process.clone(),
            version: Arc::new(Version { spec: bot.spec.clone(), shown: bot.shown.clone() }),
            store: self.clone(),
            progress: Mutex::new(Progress {
                begins: Some(begins),
                seen_breaks: self.queue.breaks.load(Ordering::Relaxed),
                ticks: 0,
                seq: 0,
            }),
        }
    }

    /// Keeps an event.
    pub fn event(&self, process: &ProcessName, at: &Moment, event: &Event) {
        if record::is_kept(event) {
            let row = writer::EventRow { process: process.clone(), at: *at, event: event.clone() };
            self.queue.put(Message::Event(Box::new(row)));
        }
    }

    /// Returns when all that was said so far is kept, or after `limit`.
    pub async fn flush(&self, limit: Duration) {
        let (done, is_done) = oneshot::channel();
        if self.queue.put(Message::Flush(done)) {
            // Neither a writer that gave up nor the limit is worth an error: it has been said that it does not write.
            let _ = timeout(limit, is_done).await;
        }
    }

    /// Keeps what was said so far and closes the database, within `limit`; says so when that fails. What is said afterwards
    /// is lost.
    pub async fn close(&self, limit: Duration) {
        let (done, is_done) = oneshot::channel();
        let is_closed =
            self.queue.put(Message::Close(done)) && timeout(limit, is_done).await.is_ok_and(|end| end.is_ok());
        if !is_closed {
            let waiting = self.health().waiting;
            tracing::warn!(waiting, "the store could not be written before the end; what waited for it is lost");
        }
    }

    /// What is known of every process from before. Nothing (not even that there is nothing) when the store does not answer
    /// in time.
    pub async fn remembered(&self, host: &Host) -> Option<BTreeMap<ProcessName, Remembered>> {
        if !self.queue.is_fine() {
            return None;
        }
        let reader = self.reader();
        match timeout(START_LIMIT, reader.remembered(host, None)).await {
            Ok(Ok(remembered)) => Some(remembered),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the bots begin anew, without what was known before");
                None
            }
            Err(_) => {
                tracing::warn!("the store did not answer in time, the bots begin anew");
                None
            }
        }
    }

    /// The store could not be read at the start. When it can be, what people had said before is said once more to bots that
    /// nobody has told anything since: a pause must not end because a database was away.
    pub async fn say_again(self: Arc<Self>, commander: Commander, shared: Arc<Shared>) {
        let run = loop {
            let run = *self.queue.run.lock().unwrap_or_else(PoisonError::into_inner);
            match run {
                Some(run) if self.queue.is_fine() => break run,
                _ => shared.clock.sleep(SAY_AGAIN_EVERY).await,
            }
        };
        let reader = self.reader();
        let remembered = loop {
            match reader.remembered(&shared.host, Some(run)).await {
                Ok(remembered) => break remembered,
                Err(error) if error.key == "unavailable" => shared.clock.sleep(SAY_AGAIN_EVERY).await,
                Err(_) => return,
            }
        };
        for (process, remembered) in remembered {
            if commander.was_told(&process) {
                continue;
            }
            for commanded in remembered.still_holds(&shared.clock.now()) {
                let what = commanded.command.in_words();
                if let Err(error) = commander.tell(&process, commanded).await {
                    tracing::warn!(%process, %error, what, "what was said before the restart does not hold any more");
                }
            }
        }
    }

    /// Reads what was kept.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(self.place.clone()).telling(self.queue.damage.clone())
    }

    /// The number of a process's version of its settings that is in force, as far as it was written.
    #[must_use]
    pub fn version(&self, process: &ProcessName) -> Option<i64> {
        self.queue.versions.lock().unwrap_or_else(PoisonError::into_inner).get(process).copied()
    }

    /// How it is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.queue.health()
    }

    /// Where it is.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// For how long what is kept.
    #[must_use]
    pub fn keep(&self) -> Keep {
        self.keep
    }
}

/// Writes down what one bot does.
pub struct Recorder {
    process: ProcessName,
    version: Arc<Version>,
    store: Arc<Store>,
    progress: Mutex<Progress>,
}

struct Progress {
    begins: Option<Begins>,
    seen_breaks: u64,
    ticks: u64,
    /// The number of the newest tick.
    seq: u64,
}

impl Recorder {
    /// The next tick does not follow from the one before.
    pub fn begins(&self, begins: Begins) {
        self.progress().begins = Some(begins);
    }

    /// Whether the state before the next tick is to be kept with it.
    #[must_use]
    pub fn wants_state(&self) -> bool {
        let mut progress = self.progress();
        let breaks = self.store.queue.breaks.load(Ordering::Relaxed);
        if breaks != progress.seen_breaks {
            progress.seen_breaks = breaks;
            progress.begins.get_or_insert(Begins::Gap);
        }
        progress.begins.is_some() || progress.ticks.is_multiple_of(TICKS_BETWEEN_STATES)
    }

    /// Keeps a tick without an order.
    pub fn record(&self, record: TickRecord) {
        self.put(record);
    }

    /// Keeps a tick whose order is about to be carried out; returns when it is safe, or after a short while.
    pub async fn record_intent(&self, record: TickRecord) {
        if self.put(record) && self.store.queue.is_fine() {
            self.store.flush(INTENT_LIMIT).await;
        }
    }

    /// Keeps what became of the order of the newest tick.
    pub fn record_result(&self, settled: &Settled, at: &Moment, events: &[Event]) {
        let (process, seq) = (self.process.clone(), self.progress().seq);
        let settled = result_text(settled, at, events);
        self.store.queue.put(Message::Result(Box::new(ResultRow { process, seq, settled })));
    }

    /// Keeps an event.
    pub fn event(&self, at: &Moment, event: &Event) {
        self.store.event(&self.process, at, event);
    }

    fn put(&self, record: TickRecord) -> bool {
        let mut progress = self.progress();
        progress.seq = self.store.sequence.fetch_add(1, Ordering::Relaxed);
        progress.ticks += 1;
        let row = TickRow {
            process: self.process.clone(),
            version: self.version.clone(),
            seq: progress.seq,
            begins: progress.begins.take(),
            record,
        };
        let is_put = self.store.queue.put(Message::Tick(Box::new(row)));
        if !is_put {
            progress.begins = Some(Begins::Gap);
        }
        is_put
    }

    fn progress(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
