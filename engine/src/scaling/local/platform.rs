//! One platform per Procfile: all entries that bots of this program scale, and the router in front of `web`.
//!
//! ```text
//!  Local (web) ────► Entry web ────► supervisor ──► Slot web.1, Slot web.2, …
//!  Local (worker) ─► Entry worker ─► supervisor ──► Slot worker.1, …
//!        └────────► Platform ──────► Running { spawner thread, janitor process, output thread, ports }, router
//! ```
//!
//! A platform is only a plan until the first bot asks how many processes run or where they answer; so reading the
//! settings starts nothing. An entry lives as long as a backend holds it: after a reload the new backend takes it over
//! from the old one and its processes go on; when the last backend is dropped its processes are stopped.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use autoscalebot_core::names::ProcessName;
use tokio::{
    net::TcpListener,
    sync::{OnceCell, OwnedMutexGuard},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    board::{Board, Members, Phase, RunNumber},
    janitor::Janitor,
    output::{Output, OutputTo, Speaker},
    process::Slot,
    router::{Balance, Router},
    shim::Launcher,
    spawner::Spawner,
    strays,
};
use crate::{clock::Clock, environment::Environment, scaling::ScaleError, secret::Secret, shared::Shared};

/// The entry that gets HTTP requests (Heroku's rule).
pub const WEB: &str = "web";

/// Processes of one entry. Heroku's limit for a whole app; far more than one machine should be asked to run.
pub const MOST_PROCESSES: u32 = 100;

/// Ports between two entries when the first port is set (foreman's rule).
const PORTS_PER_ENTRY: usize = 100;

/// How often a free port is looked for before that is an error.
const PORT_TRIES: u32 = 20;

/// How long the router's port may still be taken by the platform before us, after a reload, and how often we look.
const PORT_FREE_WITHIN: Duration = Duration::from_millis(500);
const PORT_LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long the first question waits for the first process.
const UP_WITHIN: Duration = Duration::from_secs(10);

/// Of the time that the program's end allows, so much is kept for SIGKILL to work.
const KILL_BEFORE_LIMIT: Duration = Duration::from_millis(700);

/// What is fixed about a platform. Equal plans are one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The Procfile, with every symbolic link resolved.
    pub procfile: PathBuf,
    /// Where the processes run.
    pub folder: PathBuf,
    /// Where the router listens; port 0 for any that is free.
    pub router: SocketAddr,
    /// How the router chooses.
    pub balance: Balance,
    /// The PORT of the first process; 0 for any that is free.
    pub base_port: u16,
    /// Where the lines go.
    pub output: OutputTo,
    /// How to start our own program again; empty for this one.
    pub launcher: Vec<String>,
}

/// What an entry's processes are started with; a reload may change it for those that start later.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The line from the Procfile.
    pub command: String,
    /// Variables on top of our own environment.
    pub environment: BTreeMap<String, Secret>,
    /// Between SIGTERM and SIGKILL.
    pub stop_within: Duration,
}

/// One platform.
pub struct Platform {
    plan: Plan,
    clock: Arc<dyn Clock>,
    environment: Environment,
    entries: Mutex<BTreeMap<ProcessName, Weak<Holding>>>,
    running: OnceCell<Arc<Running>>,
    router: Mutex<Option<SocketAddr>>,
    router_start: tokio::sync::Mutex<()>,
    /// Cancelled when the platform is dropped, so that its port is free for the next one.
    gone: CancellationToken,
}

/// What exists once a platform runs; held until its last process is gone.
pub struct Running {
    /// Where the processes run.
    pub folder: PathBuf,
    /// The name of the variable that marks them.
    pub mark: String,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Writes lines.
    pub output: Output,
    /// Starts processes.
    pub spawner: Spawner,
    /// Outlives us to clear up.
    pub janitor: Janitor,
    /// Gives every process its port.
    pub ports: Ports,
    runs: AtomicU64,
}

impl Running {
    /// The number of the next start.
    #[must_use]
    pub fn next_run(&self) -> RunNumber {
        RunNumber(self.runs.fetch_add(1, Ordering::Relaxed))
    }
}

/// An entry of the Procfile that somebody scales.
pub struct Entry {
    /// `web`
    pub name: ProcessName,
    /// Its place in the Procfile, from 0.
    pub place: usize,
    /// Its processes.
    pub board: Board,
    /// Cancelled when all of them must go.
    pub stop: CancellationToken,
    /// Cancelled when patience is over.
    pub kill: CancellationToken,
    terms: Mutex<Arc<Terms>>,
    slots: TaskTracker,
}

impl Entry {
    /// What processes are started with from now on.
    #[must_use]
    pub fn terms(&self) -> Arc<Terms> {
        self.terms.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it gets HTTP requests.
    #[must_use]
    pub fn is_web(&self) -> bool {
        self.name.as_str() == WEB
    }
}

/// Keeps an entry alive; its processes are stopped when the last holder lets go.
pub struct Holding {
    /// The entry.
    pub entry: Arc<Entry>,
    begun: std::sync::Once,
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.entry.stop.cancel();
    }
}

impl Platform {
    /// A platform that does nothing yet.
    #[must_use]
    pub fn new(plan: Plan, shared: &Shared) -> Self {
        Self {
            plan,
            clock: shared.clock.clone(),
            environment: shared.host.environment.clone(),
            entries: Mutex::default(),
            running: OnceCell::new(),
            router: Mutex::default(),
            router_start: tokio::sync::Mutex::default(),
            gone: CancellationToken::new(),
        }
    }

    /// What tells it from other platforms.
    #[must_use]
    pub fn key(&self) -> String {
        format!("local:{}:{}", self.plan.procfile.display(), self.plan.router)
    }

    /// Takes hold of an entry. If it exists, its processes go on and new ones are started on the new terms; else
    /// `processes` of it are started when the platform is first asked.
    pub fn hold(&self, name: &ProcessName, place: usize, terms: Terms, processes: u32) -> Arc<Holding> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(holding) = entries.get(name).and_then(Weak::upgrade) {
            *holding.entry.terms.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(terms);
            return holding;
        }
        let entry = Entry {
            name: name.clone(),
            place,
            board: Board::default(),
            stop: CancellationToken::new(),
            kill: CancellationToken::new(),
            terms: Mutex::new(Arc::new(terms)),
            slots: TaskTracker::new(),
        };
        entry.board.want(processes, &[]);
        let holding = Arc::new(Holding { entry: Arc::new(entry), begun: std::sync::Once::new() });
        entries.insert(name.clone(), Arc::downgrade(&holding));
        holding
    }

    /// Starts the platform and the entry, unless they run. The one who starts an entry waits, within reason, until its
    /// first process is up: what is measured before is the time that it takes to start.
    ///
    /// # Errors
    /// Why the platform cannot start: no janitor, no thread, the router's port is taken.
    pub async fn begin(&self, holding: &Holding) -> Result<(), ScaleError> {
        let running = self.running.get_or_try_init(|| async { self.start() }).await?;
        if holding.entry.is_web() {
            self.start_router(&holding.entry, running).await?;
        }
        let mut begins = false;
        holding.begun.call_once(|| {
            tokio::spawn(supervise(holding.entry.clone(), running.clone()));
            begins = true;
        });
        if begins {
            // An app that needs longer is not known to be anything yet; requests then wait at the router.
            let _ = tokio::time::timeout(UP_WITHIN, first_is_up(&holding.entry)).await;
        }
        Ok(())
    }

    /// Makes so many processes of an entry run; of those that have to go, the `free` ones go first. Whether that is news.
    pub fn scale(&self, holding: &Holding, count: u32, free: &[u32]) -> bool {
        let news = holding.entry.board.want(count, free);
        if let (true, Some(running)) = (news, self.running.get()) {
            running.output.line(Speaker::Local(holding.entry.name.as_str()), &format!("scaled to {count}"));
        }
        news
    }

    /// Where the router answers, once it runs.
    #[must_use]
    pub fn router(&self) -> Option<SocketAddr> {
        *self.router.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops all processes of an entry for good, within `limit`.
    pub async fn end(&self, holding: &Holding, limit: Duration) {
        let Some(running) = self.running.get() else { return };
        let entry = &holding.entry;
        entry.stop.cancel();
        // Nobody comes up any more, so requests need not wait for that.
        entry.board.want(0, &[]);
        entry.slots.close();
        let patience = limit.saturating_sub(KILL_BEFORE_LIMIT);
        if tokio::time::timeout(patience, entry.slots.wait()).await.is_err() {
            entry.kill.cancel();
            // Should even SIGKILL not be enough by then, the janitor goes on when we are gone.
            let _ = tokio::time::timeout(limit.saturating_sub(patience), entry.slots.wait()).await;
        }
        running.output.flush().await;
    }

    fn start(&self) -> Result<Arc<Running>, ScaleError> {
        let failed = |what: &str, error: io::Error| {
            let procfile = self.plan.procfile.display();
            ScaleError::new("cannot_start", format!("the local platform of {procfile} cannot start: {what}: {error}"))
        };
        let id = uuid::Uuid::new_v4().simple().to_string();
        let launcher = Launcher::new(&self.plan.launcher).map_err(|error| failed("where this program is", error))?;
        let runtime = tokio::runtime::Handle::current();
        Ok(Arc::new(Running {
            folder: self.plan.folder.clone(),
            mark: strays::mark(&id),
            clock: self.clock.clone(),
            output: Output::start(self.plan.output, &self.environment, self.clock.clone()),
            spawner: Spawner::start(launcher.clone(), runtime).map_err(|error| failed("a thread", error))?,
            janitor: Janitor::start(launcher, id).map_err(|error| failed("its janitor process", error))?,
            ports: Ports::new(self.plan.base_port),
            runs: AtomicU64::new(1),
        }))
    }

    async fn start_router(&self, web: &Arc<Entry>, running: &Running) -> Result<(), ScaleError> {
        let _one_at_a_time = self.router_start.lock().await;
        if self.router().is_some() {
            return Ok(());
        }
        let address = self.plan.router;
        let listener = listen(address).await.map_err(|error| {
            let hint = if error.kind() == io::ErrorKind::AddrInUse {
                "; another program uses this port, set ROUTER_PORT to another one or to 0 for any that is free"
            } else {
                ""
            };
            ScaleError::new("router_cannot_listen", format!("the router cannot listen on {address}: {error}{hint}"))
        })?;
        let local =
            listener.local_addr().map_err(|error| ScaleError::new("router_cannot_listen", error.to_string()))?;
        let router =
            Router::new(&web.board, running.output.clone(), self.clock.clone(), self.plan.balance, local.port());
        tokio::spawn(router.serve(listener, self.gone.clone()));
        running.output.line(Speaker::Local("router"), &format!("listening on http://{local}"));
        *self.router.lock().unwrap_or_else(PoisonError::into_inner) = Some(local);
        Ok(())
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.gone.cancel();
    }
}

async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let mut waited = Duration::ZERO;
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && waited < PORT_FREE_WITHIN => {
                tokio::time::sleep(PORT_LOOK_EVERY).await;
                waited += PORT_LOOK_EVERY;
            }
            result => return result,
        }
    }
}

/// Until a process is up, or has crashed, or none is wanted.
async fn first_is_up(entry: &Entry) {
    let mut board = entry.board.subscribe();
    let is_settled = |members: &Members| {
        members.wanted.is_empty() || members.present.values().any(|member| member.phase != Phase::Starting)
    };
    // An error means that the entry is gone, and then there is nothing to wait for.
    let _ = board.wait_for(is_settled).await;
}

/// Keeps the slots that are wanted: starts those that are missing, stops those that are too many.
async fn supervise(entry: Arc<Entry>, running: Arc<Running>) {
    let mut board = entry.board.subscribe();
    let mut slots: BTreeMap<u32, CancellationToken> = BTreeMap::new();
    loop {
        let wanted = board.borrow_and_update().wanted.clone();
        slots.retain(|number, slot| {
            let stays = wanted.contains(number);
            if !stays {
                slot.cancel();
            }
            stays
        });
        for number in wanted {
            if slots.contains_key(&number) || entry.stop.is_cancelled() {
                continue;
            }
            let (name, stop) = (format!("{}.{number}", entry.name).into(), entry.stop.child_token());
            let slot = Slot { name, number, entry: entry.clone(), running: running.clone(), stop: stop.clone() };
            entry.slots.spawn(slot.live());
            slots.insert(number, stop);
        }
        tokio::select! {
            () = entry.stop.cancelled() => return,
            changed = board.changed() => if changed.is_err() { return },
        }
    }
}

/// Hands out ports.
pub struct Ports {
    base: u16,
    given: Mutex<HashSet<u16>>,
    fixed: Mutex<BTreeMap<u16, Arc<tokio::sync::Mutex<()>>>>,
}

/// A port, until it is dropped.
pub struct Lease<'a> {
    /// Its number.
    pub number: u16,
    ports: &'a Ports,
    _turn: Option<OwnedMutexGuard<()>>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.ports.given.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

impl Ports {
    fn new(base: u16) -> Self {
        Self { base, given: Mutex::default(), fixed: Mutex::default() }
    }

    /// The port of one process. With fixed ports it waits until the one that had it before is gone; nothing when the
    /// process is told to stop before that.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn lease(&self, entry: &Entry, number: u32, stop: &CancellationToken) -> io::Result<Option<Lease<'_>>> {
        if self.base == 0 {
            return self.any().map(Some);
        }
        let offset = entry.place * PORTS_PER_ENTRY + number as usize - 1;
        let number = u16::try_from(usize::from(self.base) + offset)
            .map_err(|_| io::Error::other("BASE_PORT and the places above it go beyond 65535"))?;
        let turn = self.fixed.lock().unwrap_or_else(PoisonError::into_inner).entry(number).or_default().clone();
        tokio::select! {
            turn = turn.lock_owned() => Ok(Some(Lease { number, ports: self, _turn: Some(turn) })),
            () = stop.cancelled() => Ok(None),
        }
    }

    /// A port that nobody listens on. Somebody else may take it before the process does; then the process ends, and
    /// its next start gets another one.
    fn any(&self) -> io::Result<Lease<'_>> {
        for _ in 0..PORT_TRIES {
            let number = std::net::TcpListener::bind((IpAddr::from(Ipv4Addr::LOCALHOST), 0))?.local_addr()?.port();
            if self.given.lock().unwrap_or_else(PoisonError::into_inner).insert(number) {
                return Ok(Lease { number, ports: self, _turn: None });
            }
        }
        Err(io::Error::other("the system offers only ports that were given away already"))
    }
}
