//! From a bot to the backends without ever waiting for one.
//!
//! ```text
//!  bot ─ tell ─┬─► Outlet "Email"  ─ queue ─► worker ─ time-out, retries ─► Notify
//!  bot ─ tell ─┴─► Outlet "Slack"  ─ queue ─► worker ─ time-out, retries ─► Notify
//! ```
//!
//! Processes with the same backend and settings share one outlet, so ten thousand bots that log have one queue and one
//! task. A queue is bounded: when a channel is slower than the news, the oldest notices give way, because people want to
//! know how things stand now, and the next notice that gets through says how many are missing. A backend that fails,
//! hangs or panics costs its own notices and nobody else's; that it fails is logged once when it begins.
//!
//! The worker begins with the first notice. It ends when the last process that uses the outlet is gone and everything
//! that waited is delivered.

use std::{
    collections::{HashSet, VecDeque},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use autoscalebot_core::{event::Event, moment::Moment, names::ProcessName, registry::Problem};
use futures_util::{FutureExt as _, future::join_all};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::{
    runtime::Handle,
    sync::{self, watch},
};
use uuid::Uuid;

use super::{Common, Context, Notice, Notify, NotifyError};
use crate::{
    config::{BackendSettings, NotificationConfig},
    host::NOTIFICATION,
    shared::Shared,
    telemetry::metrics::{NOTICES_DELIVERED, NOTICES_LOST, NOTICES_WAITING, Number, Observation, Observe},
};

/// Notices that may wait for one backend. At a mail a second this is a quarter of an hour; at half a kilobyte each it is
/// half a megabyte, once, not per bot.
pub const LONGEST_QUEUE: usize = 1_000;

/// A delivery that takes longer than this has failed. Backends have shorter time-outs of their own, which say more about
/// what went wrong; this one catches a backend that forgets to.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);

/// How often one notice is tried in all. With the pauses below that is 21 s of trying: a restart of the other side fits
/// in, and an outage does not hold up the queue for long.
pub const ATTEMPTS: u32 = 4;

/// The pause after the first failed attempt; each further one is four times as long: 1 s, 4 s, 16 s.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Pauses grow by this factor.
const PAUSE_GROWTH: u32 = 4;

/// The longest pause that the other side may ask for; more would hold up everything behind it.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Where the notices of one process go, and which of them.
#[derive(Clone, Default)]
pub struct Outlets {
    outlets: Arc<[Arc<Outlet>]>,
    common: Common,
}

impl Outlets {
    /// Builds the backends of one process, or joins those that other processes with the same settings use.
    ///
    /// # Errors
    /// When a backend cannot be built; the path begins with its name.
    pub fn build(config: &NotificationConfig, shared: &Arc<Shared>) -> Result<Self, Problem> {
        let outlets = config.backends.iter().map(|backend| Outlet::join(backend, shared)).collect::<Result<_, _>>()?;
        Ok(Self { outlets, common: config.common.clone() })
    }

    /// Whether this event would be told to anyone. Costs nothing.
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        !self.outlets.is_empty() && self.common.wants(event)
    }

    /// Tells an event to every backend, if the settings ask for it. Never waits.
    pub fn tell(&self, process: &ProcessName, at: Moment, event: &Event) {
        if !self.wants(event) {
            return;
        }
        let notice = new_notice(process, at, event);
        for line in self.outlets.iter().filter_map(|outlet| outlet.line.get()) {
            line.push(notice.clone());
        }
    }

    /// Tells an event that is not about one process (a settings file, say) to every backend of a fleet once, however many
    /// processes share it; in the name of the first of them.
    pub fn tell_each_once<'a>(fleet: impl IntoIterator<Item = (&'a ProcessName, &'a Self)>, at: Moment, event: &Event) {
        let mut told = HashSet::new();
        for (process, outlets) in fleet.into_iter().filter(|(_, outlets)| outlets.wants(event)) {
            let new = outlets.outlets.iter().filter(|outlet| told.insert(Arc::as_ptr(outlet)));
            for line in new.filter_map(|outlet| outlet.line.get()) {
                line.push(new_notice(process, at, event));
            }
        }
    }

    /// What people should know about these backends before they rely on them, each with the backend's name.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let lines = self.outlets.iter().filter_map(|outlet| outlet.line.get());
        lines
            .flat_map(|line| {
                line.notify
                    .remarks()
                    .into_iter()
                    .map(|remark| format!("notification backend {}: {remark}", line.backend))
            })
            .collect()
    }

    /// Waits until everything that was told is delivered or given up, `limit` at most; says whether that was enough. For
    /// the end of the program: meanwhile nothing is tried again after a pause, neither for this process nor for others
    /// that share its backends.
    pub async fn flush(&self, limit: Duration) -> bool {
        let lines = self.outlets.iter().filter_map(|outlet| outlet.line.get());
        tokio::time::timeout(limit, join_all(lines.map(|line| line.flush()))).await.is_ok()
    }
}

fn new_notice(process: &ProcessName, at: Moment, event: &Event) -> Arc<Notice> {
    let (process, event, id) = (process.clone(), event.clone(), Uuid::new_v4());
    Arc::new(Notice { process, at, event, id, lost_before: 0 })
}

/// One backend with one set of settings, shared by all processes that have both. The pool holds it while any does.
#[derive(Default)]
struct Outlet {
    line: OnceLock<Arc<Line>>,
    building: Mutex<()>,
}

impl Outlet {
    fn join(config: &BackendSettings, shared: &Arc<Shared>) -> Result<Arc<Self>, Problem> {
        // The pool makes an empty outlet, which is filled outside the pool's lock: a backend may want the pool itself.
        let outlet = shared.pool.get_or_make(&key_of(config), Self::default);
        let building = outlet.building.lock().unwrap_or_else(PoisonError::into_inner);
        if outlet.line.get().is_none() {
            let entry = NOTIFICATION.find(&shared.host, config.backend)?;
            let notify = (entry.build)(&config.settings, &Context { shared: shared.clone() })
                .map_err(|problem| Problem { path: format!("{}.{}", config.backend, problem.path), ..problem })?;
            let line = outlet.line.get_or_init(|| Line::new(config.backend, shared.observables.number(), notify));
            shared.observables.add(line);
        }
        drop(building);
        Ok(outlet)
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        if let Some(line) = self.line.get() {
            line.waiting().closed = true;
            line.arrived.notify_one();
        }
    }
}

/// The same for the same backend and settings, whatever the order of their keys. A digest, because settings hold secrets.
fn key_of(config: &BackendSettings) -> String {
    let mut digest = Sha256::new();
    digest.update(config.backend);
    digest.update(sorted(&config.settings).to_string());
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            fields.sort_by(|(left, _), (right, _)| left.cmp(right));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// A backend, what waits for it, and how its worker is woken.
struct Line {
    backend: &'static str,
    /// Tells outlets of one backend apart for people.
    number: usize,
    notify: Box<dyn Notify>,
    waiting: Mutex<Waiting>,
    /// Rung when a notice arrives or no more will.
    arrived: sync::Notify,
    /// Rung when the worker has nothing left to do.
    drained: sync::Notify,
    /// How many are waiting for everything to be delivered. While somebody is, pauses are cut short.
    flushing: watch::Sender<u32>,
}

#[derive(Default)]
struct Waiting {
    queue: VecDeque<Arc<Notice>>,
    /// Notices lost since the last one that got through.
    lost: u64,
    /// Notices lost since the program started.
    lost_in_all: u64,
    /// Notices that got through since the program started.
    delivered: u64,
    delivering: bool,
    started: bool,
    closed: bool,
}

impl Line {
    fn new(backend: &'static str, number: usize, notify: Box<dyn Notify>) -> Arc<Self> {
        Arc::new(Self {
            backend,
            number,
            notify,
            waiting: Mutex::default(),
            arrived: sync::Notify::new(),
            drained: sync::Notify::new(),
            flushing: watch::Sender::new(0),
        })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(self: &Arc<Self>, notice: Arc<Notice>) {
        let mut waiting = self.waiting();
        if waiting.queue.len() >= LONGEST_QUEUE {
            waiting.queue.pop_front();
            waiting.lost += 1;
            waiting.lost_in_all += 1;
        }
        waiting.queue.push_back(notice);
        self.start(&mut waiting);
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Begins to work, if there is a runtime to work in; otherwise the next call does.
    fn start(self: &Arc<Self>, waiting: &mut Waiting) {
        if !waiting.started
            && let Ok(runtime) = Handle::try_current()
        {
            waiting.started = true;
            runtime.spawn(work(self.clone()));
        }
    }

    /// The next notice; `None` when there will be none.
    async fn next(&self) -> Option<Notice> {
        loop {
            {
                let mut waiting = self.waiting();
                if let Some(notice) = waiting.queue.pop_front() {
                    waiting.delivering = true;
                    let mut notice = Arc::unwrap_or_clone(notice);
                    notice.lost_before = waiting.lost;
                    return Some(notice);
                }
                if waiting.closed {
                    return None;
                }
            }
            self.arrived.notified().await;
        }
    }

    /// Learns what became of the notice that `next` gave out.
    fn settle(&self, notice: &Notice, delivered: bool) {
        let mut waiting = self.waiting();
        waiting.delivering = false;
        if delivered {
            waiting.lost -= notice.lost_before;
            waiting.delivered += 1;
        } else {
            waiting.lost += 1;
            waiting.lost_in_all += 1;
        }
        if waiting.queue.is_empty() {
            drop(waiting);
            self.drained.notify_waiters();
        }
    }

    async fn deliver(&self, notice: &Notice) -> Result<(), NotifyError> {
        let mut flushing = self.flushing.subscribe();
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            let error = match self.attempt(notice).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if !error.retry || attempt >= ATTEMPTS || *flushing.borrow_and_update() > 0 {
                return Err(error);
            }
            let asked = error.retry_after.unwrap_or_default().min(LONGEST_PAUSE);
            // Woken early by somebody who flushes, the notice gets one more attempt, its last.
            let _ = tokio::time::timeout(pause.max(asked), flushing.wait_for(|flushing| *flushing > 0)).await;
            pause = pause.saturating_mul(PAUSE_GROWTH);
            attempt += 1;
        }
    }

    async fn attempt(&self, notice: &Notice) -> Result<(), NotifyError> {
        let delivery = AssertUnwindSafe(async { self.notify.notify(notice).await }).catch_unwind();
        match tokio::time::timeout(DELIVERY_TIMEOUT, delivery).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(NotifyError::lasting("the backend panicked; this is a bug in it, please report it")),
            Err(_) => Err(NotifyError::passing(format!("not delivered within {} s", DELIVERY_TIMEOUT.as_secs()))),
        }
    }

    async fn flush(self: &Arc<Self>) {
        self.flushing.send_modify(|flushing| *flushing += 1);
        let _ended = Flushing(self);
        loop {
            let drained = self.drained.notified();
            {
                let mut waiting = self.waiting();
                if waiting.queue.is_empty() && !waiting.delivering {
                    return;
                }
                self.start(&mut waiting);
            }
            drained.await;
        }
    }
}

impl Observe for Line {
    fn observe(&self, _now: &Moment) -> Vec<Observation> {
        let waiting = self.waiting();
        let undelivered = waiting.queue.len() + usize::from(waiting.delivering);
        let seen = |family, number| {
            let labels = vec![self.backend.to_owned(), self.number.to_string()];
            Observation { family, labels, number }
        };
        vec![
            seen(&NOTICES_WAITING, Number::of(undelivered)),
            seen(&NOTICES_DELIVERED, Number::Count(waiting.delivered)),
            seen(&NOTICES_LOST, Number::Count(waiting.lost_in_all)),
        ]
    }
}

/// Counts somebody out who flushes, also when the wait was cut short.
struct Flushing<'a>(&'a Line);

impl Drop for Flushing<'_> {
    fn drop(&mut self) {
        self.0.flushing.send_modify(|flushing| *flushing -= 1);
    }
}

/// Delivers one notice after the other until no more can come.
async fn work(line: Arc<Line>) {
    let backend = line.backend;
    let mut failing = false;
    while let Some(notice) = line.next().await {
        let result = line.deliver(&notice).await;
        line.settle(&notice, result.is_ok());
        match result {
            Ok(()) if failing => {
                failing = false;
                tracing::info!(backend, lost = notice.lost_before, "notifications are delivered again");
            }
            Ok(()) => {}
            Err(_) if failing => {}
            Err(error) => {
                failing = true;
                tracing::warn!(backend, process = %notice.process, "a notification was not delivered: {error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use serde_json::json;

    use super::*;
    use crate::notification::{
        memory,
        testing::{Log, alarm, moment, shared, web},
    };

    /// Does with the n-th attempt what its script says, then succeeds for good; remembers what it was given.
    #[derive(Clone, Default)]
    struct Scripted {
        script: Arc<Mutex<VecDeque<Act>>>,
        seen: Arc<Mutex<Vec<(Notice, Duration)>>>,
        clock: Option<Arc<Shared>>,
    }

    #[derive(Clone)]
    enum Act {
        Deliver,
        Fail(NotifyError),
        Hang,
        Panic,
    }

    impl Scripted {
        fn new(script: impl IntoIterator<Item = Act>) -> Self {
            let script = Arc::new(Mutex::new(script.into_iter().collect()));
            Self { script, seen: Arc::default(), clock: Some(shared()) }
        }

        fn outlets(&self) -> Outlets {
            Outlets { outlets: Arc::new([self.outlet()]), common: Common::default() }
        }

        fn outlet(&self) -> Arc<Outlet> {
            let outlet = Outlet::default();
            outlet.line.get_or_init(|| Line::new("Scripted", 1, Box::new(self.clone())));
            Arc::new(outlet)
        }

        /// When each attempt was made, in whole seconds.
        fn seconds(&self) -> Vec<u64> {
            self.seen.lock().unwrap().iter().map(|(_, at)| at.as_secs()).collect()
        }

        fn notices(&self) -> Vec<Notice> {
            self.seen.lock().unwrap().iter().map(|(notice, _)| notice.clone()).collect()
        }
    }

    #[async_trait]
    impl Notify for Scripted {
        async fn notify(&self, notice: &Notice) -> Result<(), NotifyError> {
            let now = self.clock.as_ref().map(|shared| shared.clock.now().since_start).unwrap_or_default();
            self.seen.lock().unwrap().push((notice.clone(), now));
            let act = self.script.lock().unwrap().pop_front().unwrap_or(Act::Deliver);
            match act {
                Act::Deliver => Ok(()),
                Act::Fail(error) => Err(error),
                Act::Hang => std::future::pending().await,
                Act::Panic => panic!("scripted"),
            }
        }
    }

    fn passing() -> Act {
        Act::Fail(NotifyError::passing("no route"))
    }

    fn tell(outlets: &Outlets, times: usize) {
        for _ in 0..times {
            outlets.tell(&web(), moment(), &alarm());
        }
    }

    /// Lets everything happen that is due within the next minutes of paused time.
    async fn minutes_later() {
        tokio::time::sleep(Duration::from_secs(600)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_delivery_is_tried_again_after_1_4_and_16_seconds_as_the_same_notice() {
        let backend = Scripted::new([passing(), passing(), passing()]);
        let outlets = backend.outlets();
        tell(&outlets, 1);
        minutes_later().await;
        assert_eq!(backend.seconds(), [0, 1, 5, 21]);
        let ids: std::collections::HashSet<_> = backend.notices().iter().map(|notice| notice.id).collect();
        assert_eq!(ids.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn after_four_attempts_a_notice_is_given_up_and_the_next_one_says_so() {
        let backend = Scripted::new([passing(), passing(), passing(), passing()]);
        let outlets = backend.outlets();
        tell(&outlets, 3);
        minutes_later().await;
        let lost: Vec<_> = backend.notices().iter().map(|notice| notice.lost_before).collect();
        assert_eq!(lost, [0, 0, 0, 0, 1, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_help_is_not_tried_again() {
        let backend = Scripted::new([Act::Fail(NotifyError::lasting("the URL is gone"))]);
        let outlets = backend.outlets();
        tell(&outlets, 1);
        minutes_later().await;
        assert_eq!(backend.seconds(), [0]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_other_sides_wish_to_wait_is_respected_up_to_a_minute() {
        let asked = |seconds| {
            Act::Fail(NotifyError { retry_after: Some(Duration::from_secs(seconds)), ..NotifyError::passing("busy") })
        };
        let backend = Scripted::new([asked(30), asked(3_600)]);
        let outlets = backend.outlets();
        tell(&outlets, 1);
        minutes_later().await;
        assert_eq!(backend.seconds(), [0, 30, 90]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_backend_that_hangs_is_cut_off_and_tried_again() {
        let backend = Scripted::new([Act::Hang]);
        let outlets = backend.outlets();
        tell(&outlets, 1);
        minutes_later().await;
        assert_eq!(backend.seconds(), [0, 61]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_backend_that_panics_loses_that_notice_only() {
        let backend = Scripted::new([Act::Panic]);
        let outlets = backend.outlets();
        tell(&outlets, 2);
        minutes_later().await;
        let lost: Vec<_> = backend.notices().iter().map(|notice| notice.lost_before).collect();
        assert_eq!(lost, [0, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_drops_the_oldest_and_the_next_delivery_counts_them() {
        let backend = Scripted::new([Act::Hang]);
        let outlets = backend.outlets();
        tell(&outlets, 1);
        tokio::time::sleep(Duration::from_secs(1)).await;
        tell(&outlets, LONGEST_QUEUE + 7);
        minutes_later().await;
        let lost: Vec<_> = backend.notices().iter().map(|notice| notice.lost_before).take(4).collect();
        // The one that hung goes through at its second attempt, which was prepared before any was lost.
        assert_eq!(lost, [0, 0, 7, 0]);
        assert_eq!(backend.notices().len(), 2 + LONGEST_QUEUE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_backend_in_trouble_holds_up_neither_the_teller_nor_other_backends() {
        let (stuck, healthy) = (Scripted::new([Act::Hang]), Scripted::new([]));
        let outlets = Outlets { outlets: Arc::new([stuck.outlet(), healthy.outlet()]), common: Common::default() };
        tell(&outlets, 5);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!((stuck.seconds().len(), healthy.seconds().len()), (1, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_logged_once_and_its_end_too() {
        let log = Log::default();
        let _guard = tracing::subscriber::set_default(log.clone());
        let gone = || Act::Fail(NotifyError::lasting("the URL is gone"));
        let backend = Scripted::new([gone(), gone(), gone(), Act::Deliver, gone()]);
        let outlets = backend.outlets();
        tell(&outlets, 5);
        minutes_later().await;
        let outage = r#"WARN a notification was not delivered: the URL is gone backend="Scripted" process=web"#;
        assert_eq!(
            log.lines(),
            [outage, r#"INFO notifications are delivered again backend="Scripted" lost=3"#, outage]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_flush_waits_for_everything_and_cuts_pauses_short() {
        let backend = Scripted::new([passing(), passing()]);
        let outlets = backend.outlets();
        tell(&outlets, 3);
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(outlets.flush(Duration::from_millis(100)).await);
        // The first notice had one last attempt, which failed; the others were tried once.
        let lost: Vec<_> = backend.notices().iter().map(|notice| notice.lost_before).collect();
        assert_eq!(lost, [0, 0, 1, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flush_gives_up_at_its_limit_and_afterwards_pauses_are_kept_again() {
        let backend = Scripted::new([Act::Hang, passing()]);
        let outlets = backend.outlets();
        tell(&outlets, 1);
        assert!(!outlets.flush(Duration::from_secs(4)).await);
        minutes_later().await;
        assert_eq!(backend.seconds(), [0, 61, 65]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_delivered_although_the_last_process_is_gone() {
        let backend = Scripted::new([passing()]);
        let outlets = backend.outlets();
        tell(&outlets, 2);
        drop(outlets);
        minutes_later().await;
        assert_eq!(backend.seconds(), [0, 1, 1]);
        // The worker is gone too: nobody but this test holds the backend.
        assert_eq!(Arc::strong_count(&backend.seen), 1);
    }

    fn config(backend: &'static str, settings: Value) -> NotificationConfig {
        NotificationConfig { backends: vec![BackendSettings { backend, settings }], common: Common::default() }
    }

    #[tokio::test]
    async fn ten_thousand_processes_with_the_same_backend_share_one_outlet() {
        let shared = shared();
        let all: Vec<_> = (0..10_000).map(|_| Outlets::build(&config("Logger", json!({})), &shared).unwrap()).collect();
        assert!(all.iter().all(|outlets| Arc::ptr_eq(&outlets.outlets[0], &all[0].outlets[0])));
        assert!(std::mem::size_of::<Outlets>() <= 48, "{}", std::mem::size_of::<Outlets>());
    }

    #[tokio::test]
    async fn only_the_same_backend_with_the_same_settings_is_shared_whatever_their_order() {
        let shared = shared();
        let outlet =
            |backend, settings| Outlets::build(&config(backend, settings), &shared).unwrap().outlets[0].clone();
        let first = outlet("Webhook", json!({"url": "https://example.org/a", "secret": "s"}));
        let same = outlet("Webhook", json!({"secret": "s", "url": "https://example.org/a"}));
        let other = outlet("Webhook", json!({"secret": "t", "url": "https://example.org/a"}));
        assert!(Arc::ptr_eq(&first, &same));
        assert!(!Arc::ptr_eq(&first, &other));
    }

    #[tokio::test]
    async fn what_concerns_the_fleet_is_told_to_each_backend_once() {
        let shared = shared();
        let names: Vec<_> = ["a", "b", "c"].into_iter().map(|name| ProcessName::new(name).unwrap()).collect();
        let fleet: Vec<_> =
            names.iter().map(|_| Outlets::build(&config("Memory", json!({})), &shared).unwrap()).collect();
        Outlets::tell_each_once(names.iter().zip(&fleet), moment(), &alarm());
        assert!(fleet[0].flush(Duration::from_secs(5)).await);
        let told: Vec<_> = memory::Memory::notices(&shared).into_iter().map(|notice| notice.process).collect();
        assert_eq!(told, names[..1]);
    }

    #[tokio::test]
    async fn what_the_settings_do_not_ask_for_reaches_nobody() {
        let shared = shared();
        let outlets = Outlets::build(&config("Memory", json!({})), &shared).unwrap();
        outlets.tell(&web(), moment(), &Event::CountRecovered { lasted: Duration::from_secs(1) });
        let (from, to, reason) = (1, 2, autoscalebot_core::decision::Reason::new("high", "high"));
        outlets.tell(&web(), moment(), &Event::ScaledUp { from, to, reason, limit: None });
        assert!(outlets.flush(Duration::from_secs(5)).await);
        let told: Vec<_> = memory::Memory::notices(&shared).into_iter().map(|notice| notice.event).collect();
        assert_eq!(told, [Event::CountRecovered { lasted: Duration::from_secs(1) }]);
    }
}
