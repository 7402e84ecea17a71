//! All that the fake knows, behind one lock, and the agenda of what happens later.
//!
//! Handlers take the lock for as long as they compute and never across a wait. What takes time (a dyno that starts, a
//! line that comes late) is an entry in the agenda; one task sleeps until the next entry is due. Before anybody looks
//! at the world, what is due has happened.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use autoscalebot_core::moment::Moment;
use tokio::sync::{Notify, watch};

use super::{
    app::App,
    clock::Clock,
    faults::PlannedFault,
    log::Line,
    log_sessions::Session,
    open_questions::OpenQuestions,
    rate_limit::TokenPool,
    recorded::Recorded,
    setup::{OnRequest, RouterGeneration, Setup, Timings},
};

/// Something that happens at its time.
#[derive(Debug, PartialEq)]
pub(crate) enum Due {
    DynoUp { app: usize, dyno: String },
    BootTimeout { app: usize, dyno: String },
    DynoExit { app: usize, dyno: String, killed: bool },
    PrebootDone { app: usize },
    Line { app: usize, line: Line },
    HeldLine { app: usize },
}

/// What happens later, by the time that it is due; first come, first served within one moment.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    entries: BTreeMap<(Duration, u64), Due>,
    added: u64,
}

impl Agenda {
    /// Notes something for this time since the start.
    pub(crate) fn add(&mut self, at: Duration, due: Due) {
        self.added += 1;
        self.entries.insert((at, self.added), due);
    }

    /// When the next entry is due.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.entries.keys().next().map(|(at, _)| *at)
    }

    fn take_due(&mut self, now: Duration) -> Option<(Duration, Due)> {
        let entry = self.entries.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((at, _), due) = entry.remove_entry();
        Some((at, due))
    }
}

/// Everything.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) apps: Vec<App>,
    pub(crate) token: String,
    pub(crate) email: String,
    pub(crate) scope: String,
    pub(crate) pool: TokenPool,
    pub(crate) faults: Vec<PlannedFault>,
    pub(crate) recorded: Vec<Recorded>,
    pub(crate) sessions: Vec<Session>,
    pub(crate) agenda: Agenda,
    pub(crate) open: OpenQuestions,
    pub(crate) timings: Timings,
    pub(crate) page_size: usize,
    pub(crate) router: RouterGeneration,
    /// `http://host:port` of the API, for the addresses that it hands out.
    pub(crate) url: String,
}

impl World {
    /// The world as it was set up.
    pub(crate) fn new(setup: &Setup, now: Moment) -> Self {
        let mut world = Self {
            apps: setup.apps.iter().map(|app| App::new(app, now.civil)).collect(),
            token: setup.token.clone(),
            email: setup.email.clone(),
            scope: setup.scope.clone(),
            pool: TokenPool::full(setup.rate_capacity, setup.rate_per_hour),
            faults: Vec::new(),
            recorded: Vec::new(),
            sessions: Vec::new(),
            agenda: Agenda::default(),
            open: setup.open.clone(),
            timings: setup.timings.clone(),
            page_size: setup.page_size,
            router: setup.router,
            url: String::new(),
        };
        for app in 0..world.apps.len() {
            world.settle_at_once(app, now);
        }
        world
    }

    /// The app of this id or name.
    pub(crate) fn find_app(&self, id_or_name: &str) -> Option<usize> {
        self.apps.iter().position(|app| app.name == id_or_name || app.id == id_or_name)
    }

    /// Lets everything happen that is due, in order and each at its own time; false when nothing was.
    pub(crate) fn catch_up(&mut self, now: Moment) -> bool {
        let mut happened = false;
        while let Some((at, due)) = self.agenda.take_due(now.since_start) {
            let late = jiff::SignedDuration::try_from(now.since_start - at).unwrap_or_default();
            let then = Moment { since_start: at, civil: now.civil.checked_sub(late).unwrap_or(now.civil) };
            happened = true;
            match due {
                Due::DynoUp { app, dyno } => self.dyno_is_up(app, &dyno, then),
                Due::BootTimeout { app, dyno } => self.boot_timed_out(app, &dyno, then),
                Due::DynoExit { app, dyno, killed } => self.dyno_exited(app, &dyno, killed, then),
                Due::PrebootDone { app } => self.apps[app].preboot_in_progress = false,
                Due::Line { app, line } => self.apps[app].log.push(line),
                Due::HeldLine { app } => {
                    if let Some(line) = self.apps[app].held_line.take() {
                        self.apps[app].log.push(line);
                    }
                }
            }
        }
        happened
    }
}

/// The world with its lock, its clock, and those who wait for it to change.
pub(crate) struct Shared {
    world: Mutex<World>,
    pub(crate) clock: Clock,
    /// Wakes the task that keeps the agenda.
    agenda_changed: Notify,
    /// Counts changes; readers of logs and waiting requests watch it.
    changes: watch::Sender<u64>,
    pub(crate) on_request: Option<OnRequest>,
}

impl Shared {
    /// A world that begins now.
    pub(crate) fn new(setup: &Setup) -> Self {
        let clock = Clock::start(setup.time_scale);
        let world = World::new(setup, clock.moment());
        Self {
            world: Mutex::new(world),
            clock,
            agenda_changed: Notify::new(),
            changes: watch::Sender::new(0),
            on_request: setup.on_request.clone(),
        }
    }

    /// Looks at the world, or changes it; everyone who waits for a change is told.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut World, Moment) -> T) -> T {
        let result = self.look(act);
        self.agenda_changed.notify_one();
        self.changes.send_modify(|count| *count += 1);
        result
    }

    /// As `with`, for those who change nothing that anybody waits for.
    pub(crate) fn look<T>(&self, act: impl FnOnce(&mut World, Moment) -> T) -> T {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that times never go back between two who look one after the other.
        let now = self.clock.moment();
        if world.catch_up(now) {
            self.changes.send_modify(|count| *count += 1);
        }
        act(&mut world, now)
    }

    /// A receiver that learns of every change from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Keeps the agenda, for ever.
    pub(crate) async fn keep_agenda(&self) {
        loop {
            let changed = self.agenda_changed.notified();
            let next = self.look(|world, now| world.agenda.next().map(|at| at.saturating_sub(now.since_start)));
            match next {
                None => changed.await,
                Some(wait) => {
                    // Whole milliseconds upwards: a timer that fires a little early would make this loop spin.
                    let wait = self.clock.real(wait) + Duration::from_millis(1);
                    // The next look, at the head of the loop, lets happen what is due.
                    let _ = tokio::time::timeout(wait, changed).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agenda_gives_what_is_due_in_order_and_keeps_the_rest() {
        let mut agenda = Agenda::default();
        let at = Duration::from_secs;
        agenda.add(at(3), Due::PrebootDone { app: 3 });
        agenda.add(at(1), Due::PrebootDone { app: 1 });
        agenda.add(at(1), Due::PrebootDone { app: 2 });
        assert_eq!(agenda.take_due(at(2)), Some((at(1), Due::PrebootDone { app: 1 })));
        assert_eq!(agenda.take_due(at(2)), Some((at(1), Due::PrebootDone { app: 2 })));
        assert_eq!(agenda.take_due(at(2)), None);
        assert_eq!(agenda.next(), Some(at(3)));
    }
}
