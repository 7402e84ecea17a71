//! Dynos: they start, come up, stop and crash, each after its time, and leave the lines that Heroku leaves.
//!
//! The API only changes what is wanted; `reconcile` makes the list of dynos fit and puts what happens later on the
//! agenda. The highest-numbered go first, as nobody can choose. Daily cycling and idling are not modelled.

use std::time::Duration;

use autoscalebot_core::moment::Moment;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    app::App,
    clock::api_time,
    identity::{id_of, new_id, random_below},
    log::Line,
    setup::Generation,
    state::{Due, World},
};

/// Between SIGTERM and SIGKILL.
const EXIT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a release with preboot swaps dynos: the boot timeout and two minutes more.
const PREBOOT_SWAP: Duration = Duration::from_secs(180);

/// What a dyno is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DynoState {
    Starting,
    Up,
    Crashed,
    Down,
}

impl DynoState {
    fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Crashed => "crashed",
            Self::Down => "down",
        }
    }
}

/// One dyno.
#[derive(Debug, Clone)]
pub(crate) struct Dyno {
    pub(crate) id: String,
    pub(crate) name: String,
    /// `web`, …, or `run` for one-offs.
    pub(crate) process: String,
    pub(crate) size: String,
    pub(crate) state: DynoState,
    command: String,
    release: u32,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl Dyno {
    /// As `GET /apps/{app}/dynos/{dyno}` shows it.
    pub(crate) fn json(&self, app: &App) -> Value {
        json!({
            "app": app.reference(),
            "attach_url": null,
            "command": self.command,
            "created_at": api_time(self.created_at),
            "id": self.id,
            "name": self.name,
            "release": { "id": id_of("release", &format!("{}/{}", app.name, self.release)), "version": self.release },
            "size": self.size,
            "state": self.state.name(),
            "type": self.process,
            "updated_at": api_time(self.updated_at),
        })
    }
}

impl World {
    /// Starts and stops dynos of this process type until their count is what is wanted.
    pub(crate) fn reconcile(&mut self, app: usize, process: &str, now: Moment) {
        let wanted = self.apps[app].quantity(process).unwrap_or(0) as usize;
        let running = |world: &Self| world.apps[app].dynos.iter().filter(|dyno| dyno.process == process).count();
        while running(self) > wanted {
            let Some(last) = self.apps[app].dynos.iter().rposition(|dyno| dyno.process == process) else { return };
            let dyno = self.apps[app].dynos.remove(last);
            self.stop(app, dyno, now);
        }
        while running(self) < wanted {
            let number = running(self) + 1;
            let dyno = self.new_dyno(app, process, number, now.civil);
            self.start(app, dyno, now);
        }
    }

    /// Gives the app its first dynos, which are up already and leave no lines.
    pub(crate) fn settle_at_once(&mut self, app: usize, now: Moment) {
        for process in self.apps[app].processes.clone() {
            for number in 1..=process.quantity as usize {
                let mut dyno = self.new_dyno(app, &process.name, number, now.civil);
                dyno.state = DynoState::Up;
                self.apps[app].dynos.push(dyno);
            }
        }
    }

    /// Restarts the dynos that the test picks; each keeps its name and gets another id.
    pub(crate) fn restart(&mut self, app: usize, now: Moment, picked: impl Fn(&Dyno) -> bool) -> usize {
        let names: Vec<String> =
            self.apps[app].dynos.iter().filter(|dyno| picked(dyno)).map(|dyno| dyno.name.clone()).collect();
        for name in &names {
            let Some(position) = self.apps[app].dynos.iter().position(|dyno| dyno.name == *name) else { continue };
            let old = self.apps[app].dynos[position].clone();
            if old.process == "run" {
                self.apps[app].dynos.remove(position);
                self.stop(app, old, now);
                continue;
            }
            let size = self.apps[app].processes.iter().find(|process| process.name == old.process);
            let size = size.map_or_else(|| old.size.clone(), |process| process.size.clone());
            let release = self.apps[app].current_release();
            let fresh = Dyno {
                id: new_id(),
                state: DynoState::Starting,
                size,
                release,
                created_at: now.civil,
                updated_at: now.civil,
                ..old.clone()
            };
            self.apps[app].dynos[position] = fresh.clone();
            self.platform_line(app, &name.clone(), "Restarting", now);
            self.stop(app, old, now);
            self.boot(app, &fresh, now);
        }
        names.len()
    }

    /// Starts a one-off dyno and gives it back.
    pub(crate) fn run_one_off(&mut self, app: usize, command: &str, size: &str, now: Moment) -> Dyno {
        let dyno = Dyno {
            id: new_id(),
            name: format!("run.{:04}", 1000 + random_below(9000)),
            process: "run".to_owned(),
            size: size.to_owned(),
            state: DynoState::Starting,
            command: command.to_owned(),
            release: self.apps[app].current_release(),
            created_at: now.civil,
            updated_at: now.civil,
        };
        self.start(app, dyno.clone(), now);
        dyno
    }

    /// Crashes every dyno of this type.
    pub(crate) fn crash(&mut self, app: usize, process: &str, now: Moment) {
        let ids: Vec<String> =
            self.apps[app].dynos.iter().filter(|dyno| dyno.process == process).map(|dyno| dyno.id.clone()).collect();
        for id in ids {
            self.enter(app, &id, DynoState::Crashed, now);
        }
    }

    /// Releases a new version: every dyno restarts, and with preboot formation changes are refused for a while.
    pub(crate) fn release(&mut self, app: usize, now: Moment) {
        let email = self.email.clone();
        self.apps[app].add_release("Deploy 2a3b4c5d", now.civil);
        let version = self.apps[app].current_release();
        self.api_line(app, &format!("Release v{version} created by user {email}"), now);
        self.restart(app, now, |dyno| dyno.process != "run");
        if self.apps[app].preboot_enabled {
            self.apps[app].preboot_in_progress = true;
            self.agenda.add(now.since_start + PREBOOT_SWAP, Due::PrebootDone { app });
        }
    }

    /// A dyno that was starting has come up, unless something else became of it.
    pub(crate) fn dyno_is_up(&mut self, app: usize, id: &str, now: Moment) {
        if self.state_of(app, id) == Some(DynoState::Starting) {
            self.enter(app, id, DynoState::Up, now);
        }
    }

    /// A dyno that could not boot is given up.
    pub(crate) fn boot_timed_out(&mut self, app: usize, id: &str, now: Moment) {
        if self.state_of(app, id) == Some(DynoState::Starting) {
            let name = self.name_of(app, id);
            let seconds = self.timings.boot_timeout.as_secs();
            let text = format!(
                "Error R10 (Boot timeout) -> Web process failed to bind to $PORT within {seconds} seconds of launch"
            );
            self.platform_line(app, &name, &text, now);
            self.platform_line(app, &name, "Stopping process with SIGKILL", now);
            self.enter(app, id, DynoState::Crashed, now);
        }
    }

    /// The process of a stopped dyno has ended, by itself or killed.
    pub(crate) fn dyno_exited(&mut self, app: usize, id: &str, killed: bool, now: Moment) {
        let Some(position) = self.apps[app].stopping.iter().position(|dyno| dyno.id == id) else { return };
        let dyno = self.apps[app].stopping.remove(position);
        if killed {
            let text = "Error R12 (Exit timeout) -> At least one process failed to exit within 30 seconds of SIGTERM";
            self.platform_line(app, &dyno.name, text, now);
            self.platform_line(app, &dyno.name, "Stopping remaining processes with SIGKILL", now);
        }
        let status = if killed { 137 } else { 143 };
        self.platform_line(app, &dyno.name, &format!("Process exited with status {status}"), now);
    }

    /// Adds a line of `app[api]`.
    pub(crate) fn api_line(&mut self, app: usize, text: &str, now: Moment) {
        self.apps[app].log.push(Line::new(now.civil, "app", "api", text));
    }

    fn platform_line(&mut self, app: usize, dyno: &str, text: &str, now: Moment) {
        self.apps[app].log.push(Line::new(now.civil, "heroku", dyno, text));
    }

    fn new_dyno(&self, app: usize, process: &str, number: usize, now: Timestamp) -> Dyno {
        let app = &self.apps[app];
        let declared = app.processes.iter().find(|candidate| candidate.name == process);
        let name = match app.generation {
            Generation::Cedar => format!("{process}.{number}"),
            Generation::Fir => {
                let release = id_of("release", &format!("{}/{}", app.name, app.current_release()));
                format!("{process}-{}-{}", &release[..8], &new_id()[..5])
            }
        };
        Dyno {
            id: new_id(),
            name,
            process: process.to_owned(),
            size: declared.map(|process| process.size.clone()).unwrap_or_default(),
            state: DynoState::Starting,
            command: declared.map(|process| process.command.clone()).unwrap_or_default(),
            release: app.current_release(),
            created_at: now,
            updated_at: now,
        }
    }

    fn start(&mut self, app: usize, dyno: Dyno, now: Moment) {
        self.boot(app, &dyno, now);
        self.apps[app].dynos.push(dyno);
    }

    fn boot(&mut self, app: usize, dyno: &Dyno, now: Moment) {
        self.platform_line(app, &dyno.name, &format!("Starting process with command `{}`", dyno.command), now);
        let id = dyno.id.clone();
        if self.apps[app].cannot_boot.contains(&dyno.process) {
            self.agenda.add(now.since_start + self.timings.boot_timeout, Due::BootTimeout { app, dyno: id });
        } else {
            self.agenda.add(now.since_start + self.timings.dyno_start, Due::DynoUp { app, dyno: id });
        }
    }

    fn stop(&mut self, app: usize, mut dyno: Dyno, now: Moment) {
        let text = format!("State changed from {} to down", dyno.state.name());
        self.platform_line(app, &dyno.name.clone(), &text, now);
        self.platform_line(app, &dyno.name.clone(), "Stopping all processes with SIGTERM", now);
        dyno.state = DynoState::Down;
        dyno.updated_at = now.civil;
        let killed = self.timings.dyno_stop > EXIT_TIMEOUT;
        let due = now.since_start + self.timings.dyno_stop.min(EXIT_TIMEOUT);
        self.agenda.add(due, Due::DynoExit { app, dyno: dyno.id.clone(), killed });
        self.apps[app].stopping.push(dyno);
    }

    fn enter(&mut self, app: usize, id: &str, state: DynoState, now: Moment) {
        let Some(dyno) = self.apps[app].dynos.iter_mut().find(|dyno| dyno.id == id) else { return };
        let text = format!("State changed from {} to {}", dyno.state.name(), state.name());
        dyno.state = state;
        dyno.updated_at = now.civil;
        let name = dyno.name.clone();
        self.platform_line(app, &name, &text, now);
    }

    fn state_of(&self, app: usize, id: &str) -> Option<DynoState> {
        self.apps[app].dynos.iter().find(|dyno| dyno.id == id).map(|dyno| dyno.state)
    }

    fn name_of(&self, app: usize, id: &str) -> String {
        self.apps[app].dynos.iter().find(|dyno| dyno.id == id).map(|dyno| dyno.name.clone()).unwrap_or_default()
    }
}
