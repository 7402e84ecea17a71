//! What a fake Heroku looks like when it starts, as a chain of verbs.
//!
//! ```no_run
//! # use testkit::fake_heroku::{FakeHeroku, Setup};
//! # async fn example() {
//! let fake = FakeHeroku::start(
//!     Setup::app("dancing-forest-1234").process("web", 1, "Standard-1X").token("test-token"),
//! )
//! .await;
//! # }
//! ```

use std::{net::SocketAddr, sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{identity::id_of, open_questions::OpenQuestions, rate_limit::TOKENS_PER_HOUR, recorded::Recorded};

/// Which platform an app runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// The classic platform: dynos named `web.1`, log sessions with history, drains, preboot.
    Cedar,
    /// The newer one: dynos named `web-<hash>-<suffix>`, log sessions that always tail.
    Fir,
}

impl Generation {
    /// `cedar` or `fir`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cedar => "cedar",
            Self::Fir => "fir",
        }
    }

    pub(crate) fn json(self) -> Value {
        json!({ "id": id_of("generation", self.name()), "name": self.name() })
    }
}

/// How the router writes its lines and treats requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouterGeneration {
    /// The legacy router: `protocol=http`, `Via: 1.1 vegur`.
    Legacy,
    /// Router 2.0: `protocol=http1.1 tls=false`.
    Two,
}

/// How long the modelled things take. The first five are the fake's own time (scaled, and moved by `advance`); those of
/// the router are real time.
#[derive(Debug, Clone, PartialEq)]
pub struct Timings {
    /// From `starting` to `up`. Heroku: 20-60 s. Here 20 ms, so that tests need not wait.
    pub dyno_start: Duration,
    /// From SIGTERM to the exit of the process. Heroku allows 30 s, then kills it. Here 20 ms.
    pub dyno_stop: Duration,
    /// After this a dyno that cannot boot is `crashed` with R10. Heroku: 60 s.
    pub boot_timeout: Duration,
    /// A session that nobody read is forgotten after this. Heroku: 360 s.
    pub log_session_expiry: Duration,
    /// The server ends a tailing session after this; never, when `None`. Heroku ends Fir's after about 15 min.
    pub log_session_lifetime: Option<Duration>,
    /// Between heartbeats of a quiet event stream. Ours: 15 s.
    pub log_heartbeat: Duration,
    /// H12: the dyno's first byte must come within this. Heroku: 30 s.
    pub request_timeout: Duration,
    /// H15: between two pieces of an answer. Heroku: 55 s.
    pub idle_timeout: Duration,
    /// H19: for a connection to the dyno. Heroku: 5 s.
    pub connect_timeout: Duration,
    /// H20: a request waits this long for a booting dyno. Heroku: 75 s.
    pub boot_wait: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            dyno_start: Duration::from_millis(20),
            dyno_stop: Duration::from_millis(20),
            boot_timeout: Duration::from_secs(60),
            log_session_expiry: Duration::from_secs(360),
            log_session_lifetime: None,
            log_heartbeat: Duration::from_secs(15),
            request_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(55),
            connect_timeout: Duration::from_secs(5),
            boot_wait: Duration::from_secs(75),
        }
    }
}

/// Called with each request when it has been answered; the program prints them.
pub type OnRequest = Arc<dyn Fn(&Recorded) + Send + Sync>;

/// One app, before the start.
#[derive(Debug, Clone)]
pub(crate) struct AppSetup {
    pub(crate) name: String,
    pub(crate) generation: Generation,
    pub(crate) processes: Vec<(String, u32, String)>,
    pub(crate) upstream: Option<String>,
}

/// A fake Heroku before it starts.
#[derive(Clone)]
pub struct Setup {
    pub(crate) apps: Vec<AppSetup>,
    pub(crate) token: String,
    pub(crate) email: String,
    pub(crate) scope: String,
    pub(crate) timings: Timings,
    pub(crate) open: OpenQuestions,
    pub(crate) page_size: usize,
    pub(crate) rate_capacity: f64,
    pub(crate) rate_per_hour: f64,
    pub(crate) time_scale: f64,
    pub(crate) router: RouterGeneration,
    pub(crate) listen: SocketAddr,
    pub(crate) router_listen: SocketAddr,
    pub(crate) on_request: Option<OnRequest>,
}

impl Setup {
    /// An account with one app of this name and no process types; its token is `test-token`.
    #[must_use]
    pub fn app(name: &str) -> Self {
        let free_port = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            apps: vec![AppSetup::new(name)],
            token: "test-token".to_owned(),
            email: "ops@example.com".to_owned(),
            scope: "global".to_owned(),
            timings: Timings::default(),
            open: OpenQuestions::default(),
            page_size: 1000,
            rate_capacity: TOKENS_PER_HOUR,
            rate_per_hour: TOKENS_PER_HOUR,
            time_scale: 1.0,
            router: RouterGeneration::Legacy,
            listen: free_port,
            router_listen: free_port,
            on_request: None,
        }
    }

    /// Another app of the same account; `process`, `generation` and `upstream` after this are about it.
    #[must_use]
    pub fn and_app(mut self, name: &str) -> Self {
        self.apps.push(AppSetup::new(name));
        self
    }

    /// A process type of the latest app, with dynos that are up already. `size` is a name as `Standard-1X`.
    #[must_use]
    pub fn process(mut self, name: &str, quantity: u32, size: &str) -> Self {
        self.latest().processes.push((name.to_owned(), quantity, size.to_owned()));
        self
    }

    /// The platform of the latest app; Cedar unless told.
    #[must_use]
    pub fn generation(mut self, generation: Generation) -> Self {
        self.latest().generation = generation;
        self
    }

    /// Where the latest app's dynos are: the router sends requests to this `http://host:port`. Without it the router
    /// answers by itself, after the service time that was set.
    #[must_use]
    pub fn upstream(mut self, url: impl Into<String>) -> Self {
        self.latest().upstream = Some(url.into());
        self
    }

    /// The token that opens the API.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        token.clone_into(&mut self.token);
        self
    }

    /// What the token may do: `global` (default), `read`, `read-protected`, `write`, `write-protected`, `identity`.
    #[must_use]
    pub fn scope(mut self, scope: &str) -> Self {
        scope.clone_into(&mut self.scope);
        self
    }

    /// How long things take.
    #[must_use]
    pub fn timings(mut self, timings: Timings) -> Self {
        self.timings = timings;
        self
    }

    /// The guesses about what is not known.
    #[must_use]
    pub fn open_questions(mut self, open: OpenQuestions) -> Self {
        self.open = open;
        self
    }

    /// Most rows in one answer, whatever the client asks for. Small ones make clients page.
    #[must_use]
    pub fn page_size(mut self, rows: usize) -> Self {
        self.page_size = rows.max(1);
        self
    }

    /// The pool of API calls: how many at most, and how many come back in an hour.
    #[must_use]
    pub fn rate_limit(mut self, capacity: f64, per_hour: f64) -> Self {
        self.rate_capacity = capacity;
        self.rate_per_hour = per_hour;
        self
    }

    /// How many of the fake's seconds pass in a real one; above zero.
    #[must_use]
    pub fn time_scale(mut self, scale: f64) -> Self {
        self.time_scale = if scale > 0.0 { scale } else { 1.0 };
        self
    }

    /// Which router stands before the apps.
    #[must_use]
    pub fn router(mut self, router: RouterGeneration) -> Self {
        self.router = router;
        self
    }

    /// Where the API listens; a free port of 127.0.0.1 unless told.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Where the first app's router listens; a free port of 127.0.0.1 unless told.
    #[must_use]
    pub fn router_listen(mut self, address: SocketAddr) -> Self {
        self.router_listen = address;
        self
    }

    /// Calls this with every request that was answered.
    #[must_use]
    pub fn on_request(mut self, callback: impl Fn(&Recorded) + Send + Sync + 'static) -> Self {
        self.on_request = Some(Arc::new(callback));
        self
    }

    fn latest(&mut self) -> &mut AppSetup {
        if self.apps.is_empty() {
            self.apps.push(AppSetup::new("app"));
        }
        let last = self.apps.len() - 1;
        &mut self.apps[last]
    }
}

impl AppSetup {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), generation: Generation::Cedar, processes: Vec::new(), upstream: None }
    }
}
