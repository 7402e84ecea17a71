//! A Heroku that runs on this machine: the Platform API, dynos, log sessions, and a router before the app.
//!
//! It keeps state, obeys Heroku's rules with Heroku's own texts, and gets into trouble when a test asks for it. Clients
//! that we did not write scale apps on it in the test run, so that it is not only our own idea of Heroku. What nobody
//! outside Heroku knows is a switch in [`OpenQuestions`].
//!
//! ```text
//! client ─► server ─► api (record, faults, Accept, token, rate, ETag, pages) ─► routes ─► formation rules ─► dynos
//!                                                                                  │                          │
//! visitor ─► router ─► upstream app                                                └► log sessions ◄── log ◄──┘
//!                └──────────── router line ──────────────────────────────────────────────────────────► log
//! ```
//!
//! It refuses to be Heroku beyond that: no add-ons, builds, spaces, domains, drains, or TLS.

mod admin;
mod api;
mod app;
mod auth;
mod clock;
mod dynos;
mod errors;
mod faults;
mod formation;
mod identity;
mod log;
mod log_sessions;
mod open_questions;
mod ranges;
mod rate_limit;
mod recorded;
mod router;
mod router_line;
mod routes;
mod server;
mod setup;
mod sizes;
mod state;
#[cfg(test)]
mod tests;

use std::{io, net::SocketAddr, sync::Arc, thread::JoinHandle, time::Duration};

use autoscalebot_core::moment::Moment;
use tokio_util::sync::CancellationToken;

pub use self::{
    faults::Fault,
    log::RouterLogFaults,
    open_questions::OpenQuestions,
    recorded::Recorded,
    setup::{Generation, OnRequest, RouterGeneration, Setup, Timings},
};
use self::{
    faults::PlannedFault,
    log::Line,
    server::Started,
    state::{Shared, World},
};

/// A running fake. Dropping it closes every port and connection.
///
/// Methods that name no app are about the first one.
pub struct FakeHeroku {
    shared: Arc<Shared>,
    api: SocketAddr,
    routers: Vec<SocketAddr>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl FakeHeroku {
    /// Starts it.
    ///
    /// # Panics
    /// When it cannot listen, for which there is no reason on a free port of this machine.
    pub async fn start(setup: Setup) -> Self {
        Self::try_start(setup).await.unwrap_or_else(|error| panic!("the fake Heroku cannot start: {error}"))
    }

    /// Starts it.
    ///
    /// # Errors
    /// When it cannot listen where it was told to.
    pub async fn try_start(setup: Setup) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let (tell, told) = tokio::sync::oneshot::channel();
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("fake-heroku".to_owned()).spawn(move || {
            server::run(&setup, &stopped, |started| {
                // Nobody listens when the test was cancelled meanwhile; then the token is too, by the drop below.
                let _ = tell.send(started);
            });
        })?;
        let cancel_if_dropped = stop.clone().drop_guard();
        let started = told.await.unwrap_or_else(|_| Err(io::Error::other("its thread ended at once")));
        let Started { shared, api, routers } = started?;
        cancel_if_dropped.disarm();
        Ok(Self { shared, api, routers, stop, thread: Some(thread) })
    }

    /// Stops it and waits until everything is closed.
    #[expect(clippy::unused_async, reason = "callers treat it as the counterpart of start")]
    pub async fn stop(self) {
        drop(self);
    }

    /// The base address of the API, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.api)
    }

    /// The address of the first app's router, with a slash at the end; also the app's `web_url`.
    #[must_use]
    pub fn web_url(&self) -> String {
        self.routers.first().map(|address| format!("http://{address}/")).unwrap_or_default()
    }

    /// The address of this app's router.
    #[must_use]
    pub fn web_url_of(&self, app: &str) -> String {
        let app = self.shared.look(|world, _| world.app_named(app));
        format!("http://{}/", self.routers[app])
    }

    /// How many dynos this process type should have.
    ///
    /// # Panics
    /// When there is no such process type.
    #[must_use]
    pub fn quantity(&self, process: &str) -> u32 {
        self.look(|world| world.apps[0].quantity(process)).unwrap_or_else(|| panic!("no process type {process}"))
    }

    /// As `quantity`, of another app.
    ///
    /// # Panics
    /// When there is no such app or process type.
    #[must_use]
    pub fn quantity_in(&self, app: &str, process: &str) -> u32 {
        self.look(|world| world.apps[world.app_named(app)].quantity(process))
            .unwrap_or_else(|| panic!("no process type {process} in {app}"))
    }

    /// The size of this process type's dynos.
    ///
    /// # Panics
    /// When there is no such process type.
    #[must_use]
    pub fn size(&self, process: &str) -> String {
        let size = |world: &mut World| {
            world.apps[0].processes.iter().find(|candidate| candidate.name == process).map(|found| found.size.clone())
        };
        self.look(size).unwrap_or_else(|| panic!("no process type {process}"))
    }

    /// The dynos of this process type, by name, with their states (`starting`, `up`, `crashed`).
    #[must_use]
    pub fn dynos(&self, process: &str) -> Vec<(String, String)> {
        self.look(|world| {
            let app = &world.apps[0];
            let shown = |dyno: &dynos::Dyno| (dyno.name.clone(), text(&dyno.json(app)["state"]));
            app.dynos.iter().filter(|dyno| dyno.process == process).map(shown).collect()
        })
    }

    /// Somebody else changes the quantity; no rule is checked and no request recorded.
    ///
    /// # Panics
    /// When there is no such process type.
    pub fn set_quantity(&self, process: &str, quantity: u32) {
        let known = self.change(|world, now| world.set_quantity(0, process, quantity, now));
        assert!(known, "no process type {process}");
    }

    /// Turns the app's maintenance mode on or off, as somebody else.
    pub fn set_maintenance(&self, maintenance: bool) {
        self.change(|world, _| world.apps[0].maintenance = maintenance);
    }

    /// Every request so far, in the order in which they came; the program's own `/_fake/` calls are left out.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.look(|world| world.recorded.clone())
    }

    /// How many requests tried to change a formation, whatever was answered.
    #[must_use]
    pub fn patches(&self) -> usize {
        self.look(|world| world.recorded.iter().filter(|request| request.is_formation_patch()).count())
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.change(|world, _| world.recorded.clear());
    }

    /// The next `times` requests get this.
    pub fn fail_next(&self, fault: Fault, times: u32) {
        self.plan(None, "", fault, times);
    }

    /// The next `times` requests of this method (any, if empty) whose path contains this get this.
    pub fn fail_matching(&self, method: &str, path_part: &str, fault: Fault, times: u32) {
        let method = Some(method).filter(|method| !method.is_empty()).map(str::to_owned);
        self.plan(method, path_part, fault, times);
    }

    /// Calls off what trouble was planned.
    pub fn clear_faults(&self) {
        self.change(|world, _| world.faults.clear());
    }

    /// Adds a line to the app's log, now: source (`app`, `heroku`), dyno (`web.1`, `router`), message.
    pub fn push_log_line(&self, source: &str, dyno: &str, message: &str) {
        self.change(|world, now| world.apps[0].log.push(Line::new(now.civil, source, dyno, message)));
    }

    /// Adds a line that is shown as it is, with neither timestamp nor source before it; filters see the given ones.
    pub fn push_bare_log_line(&self, source: &str, dyno: &str, text: &str) {
        self.change(|world, now| {
            let line = Line { bare: true, ..Line::new(now.civil, source, dyno, text) };
            world.apps[0].log.push(line);
        });
    }

    /// Every line of the app's log that is still kept, as a session without filter would show it.
    #[must_use]
    pub fn log_lines(&self) -> Vec<String> {
        self.look(|world| {
            let (_, lines) = world.apps[0].log.since(0, &log::Filter::default());
            lines.iter().map(Line::text).collect()
        })
    }

    /// Spoils the router's lines from now on.
    pub fn spoil_router_log(&self, faults: RouterLogFaults) {
        self.change(|world, _| world.apps[0].router_log_faults = faults);
    }

    /// Ends every log session: readers see the end of the stream, and the addresses are 404 from now on.
    pub fn close_log_sessions(&self) {
        self.change(|world, _| world.close_log_sessions());
    }

    /// Sets how many calls the account has left.
    pub fn set_rate_remaining(&self, tokens: f64) {
        self.change(|world, now| world.pool.set(tokens, now.since_start));
    }

    /// While true, changes of the formation are refused because preboot swaps dynos.
    pub fn preboot_in_progress(&self, in_progress: bool) {
        self.change(|world, _| world.apps[0].preboot_in_progress = in_progress);
    }

    /// What a request costs at the app's router when there is no upstream; real time.
    pub fn set_service_time(&self, time: Duration) {
        self.change(|world, _| world.apps[0].service_time = time);
    }

    /// Sends the app's visitors there from now on (`http://host:port`).
    pub fn set_upstream(&self, url: impl Into<String>) {
        let url = url.into();
        self.change(|world, _| world.apps[0].upstream = Some(url));
    }

    /// Crashes every dyno of this process type; they stay crashed until they are restarted.
    pub fn crash(&self, process: &str) {
        self.change(|world, now| world.crash(0, process, now));
    }

    /// Whether dynos of this process type can boot; those that cannot are `crashed` after the boot timeout.
    pub fn can_boot(&self, process: &str, can: bool) {
        self.change(|world, _| {
            if can {
                world.apps[0].cannot_boot.remove(process);
            } else {
                world.apps[0].cannot_boot.insert(process.to_owned());
            }
        });
    }

    /// A new release: every dyno restarts; with preboot enabled, formation changes are refused for three minutes.
    pub fn release(&self) {
        self.change(|world, now| world.release(0, now));
    }

    /// Lets this much of the fake's time pass at once.
    pub fn advance(&self, time: Duration) {
        self.shared.clock.advance(time);
        self.change(|_, _| ());
    }

    /// Changes the guesses about what is not known.
    pub fn set_open_questions(&self, open: OpenQuestions) {
        self.change(|world, _| world.open = open);
    }

    fn plan(&self, method: Option<String>, path: &str, fault: Fault, times: u32) {
        if times > 0 {
            let plan = PlannedFault { method, path: path.to_owned(), times, fault };
            self.change(|world, _| world.faults.push(plan));
        }
    }

    fn look<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        self.shared.look(|world, _| act(world))
    }

    fn change<T>(&self, act: impl FnOnce(&mut World, Moment) -> T) -> T {
        self.shared.with(act)
    }
}

impl Drop for FakeHeroku {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed already, and a second one in a drop would abort the test.
            let _ = thread.join();
        }
    }
}

impl World {
    /// Somebody else changes the quantity; false when there is no such process type.
    fn set_quantity(&mut self, app: usize, process: &str, quantity: u32, now: Moment) -> bool {
        let Some(found) = self.apps[app].processes.iter_mut().find(|candidate| candidate.name == process) else {
            return false;
        };
        found.quantity = quantity;
        found.updated_at = clock::api_time(now.civil);
        let line = format!("Scaled to {process}@{quantity}:{} by someone@example.com", found.size);
        self.api_line(app, &line, now);
        self.reconcile(app, process, now);
        true
    }

    fn close_log_sessions(&mut self) {
        for session in &mut self.sessions {
            session.closed = true;
        }
    }

    fn app_named(&self, name: &str) -> usize {
        self.find_app(name).unwrap_or_else(|| panic!("no app {name}"))
    }
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
