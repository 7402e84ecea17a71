//! `Local`: the entries of a Procfile as processes of this machine.
//!
//! It is a small platform of our own, for a desk, a single server, a test or the demo: `web.1`, `web.2`, … each with its
//! own `PORT`, a router in front of `web`, crashed processes started again, and lines as `heroku logs` shows them.
//!
//! ```text
//!  bot ──► Local ──► platform (one per Procfile) ──► supervisor per entry ──► process per number ──► sh -c "command"
//!                       ├── router: port 5000 ──► web.1, web.2, …
//!                       ├── spawner: the one thread that starts processes
//!                       └── janitor: a process that kills what is left when this program is killed
//! ```
//!
//! Its processes live and die with the program: it starts them when it is first asked, and leaves none behind, however
//! it ends (see [`shim`] and [`janitor`]). The count is the number that should run, as on Heroku: a process that crashed
//! and waits to be started again is still counted, because adding another would not mend it. It refuses to be a
//! container: processes see the machine's files, network and users.

pub mod board;
pub mod janitor;
pub mod output;
pub mod platform;
pub mod process;
pub mod procfile;
pub mod router;
pub mod router_line;
pub mod shim;
pub mod spawner;
pub mod strays;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use autoscalebot_core::{
    busy::Victims,
    names::ProcessName,
    registry::{Backend, Problem},
    step::Order,
    units::Seconds,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use self::{
    output::OutputTo,
    platform::{Holding, MOST_PROCESSES, Plan, Platform, Terms},
    procfile::Procfile,
    router::Balance,
};
use super::{Context, Scale, ScaleError, Scaled, Whose};
use crate::secret::Secret;

/// Settings of `Local`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The Procfile; a relative path begins at the folder that the program was started in. The processes run in the
    /// Procfile's folder.
    pub procfile: PathBuf,
    /// The entry of the Procfile that is scaled; when empty, the one with the name of the bot's process.
    pub process: String,
    /// So many processes of the entry are started with the program.
    #[schemars(range(max = 100))]
    pub processes: u32,
    /// Other entries of the Procfile to run, each with the number of its processes: `{"redis": 1}`. They are not scaled.
    /// Entries that are named nowhere do not run.
    pub also_run: BTreeMap<String, u32>,
    /// Variables for the processes, on top of the environment of this program.
    pub env: BTreeMap<String, Secret>,
    /// How long a process may take to stop after SIGTERM before it gets SIGKILL.
    pub stop_timeout_seconds: Seconds,
    /// The address that the router in front of `web` listens on; `0.0.0.0` for all of this machine.
    pub router_address: IpAddr,
    /// The port that the router listens on; 0 for any that is free.
    pub router_port: u16,
    /// Which process gets a request: `least_busy`, the one that works on the fewest, or `random`, as on Heroku.
    pub balance: Balance,
    /// The PORT of the first process of the first entry. The others follow, each entry 100 ports above the one before, as
    /// foreman does. 0 for any that are free.
    pub base_port: u16,
    /// Where the lines of processes and router go: `stdout`, `stderr` or `none`.
    pub output: OutputTo,
    /// The words of a command that runs this program, for when it is part of another one; empty for the program that runs.
    pub launcher: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            procfile: PathBuf::from("Procfile"),
            process: String::new(),
            processes: 1,
            also_run: BTreeMap::new(),
            env: BTreeMap::new(),
            stop_timeout_seconds: Seconds::new(30),
            router_address: IpAddr::from(Ipv4Addr::LOCALHOST),
            router_port: 5000,
            balance: Balance::LeastBusy,
            base_port: 0,
            output: OutputTo::Stdout,
            launcher: Vec::new(),
        }
    }
}

/// The backend.
pub struct Local {
    platform: Arc<Platform>,
    scaled: Arc<Holding>,
    also_run: Vec<Arc<Holding>>,
}

impl Backend for Local {
    type Stage = dyn Scale;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "Local";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = Vec::new();
        let too_many = |path: String, count: u32| {
            let allowed = format!("at most {MOST_PROCESSES} on one machine");
            (count > MOST_PROCESSES).then(|| Problem::new(path, format!("found {count}"), allowed))
        };
        problems.extend(too_many("processes".to_owned(), settings.processes));
        for (name, count) in &settings.also_run {
            problems.extend(too_many(format!("also_run.{name}"), *count));
        }
        for (name, value) in &settings.env {
            let path = format!("env.{name}");
            if name.is_empty() || name.contains(['=', '\0']) {
                problems.push(Problem::new(path, "not the name of a variable", "a name without `=`"));
            } else if value.reveal().contains('\0') {
                problems.push(Problem::new(path, "the value holds a zero byte", "a text"));
            }
        }
        if settings.procfile.as_os_str().is_empty() {
            problems.push(Problem::new("procfile", "found \"\"", "the path of a Procfile"));
        }
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Scale>, Problem> {
        let procfile = Procfile::read(&settings.procfile)
            .map_err(|problem| Problem::new("procfile", problem, "a file with lines such as `web: command`"))?;
        let terms = |command: &str| Terms {
            command: command.to_owned(),
            environment: settings.env.clone(),
            stop_within: settings.stop_timeout_seconds.duration(),
        };
        let name = if settings.process.is_empty() { context.process.as_str() } else { &settings.process };
        let path = if settings.process.is_empty() { "" } else { "process" };
        let scaled = procfile.find(name).map_err(|problem| Problem::new(path, problem, "an entry of the Procfile"))?;
        let mut others = Vec::new();
        for (other, count) in &settings.also_run {
            let found = procfile.find(other).map_err(|problem| Problem::new("also_run", problem, ""))?;
            others.push((found, *count));
        }
        let plan = Plan {
            folder: procfile.folder().to_owned(),
            procfile: procfile.path.clone(),
            router: SocketAddr::new(settings.router_address, settings.router_port),
            balance: settings.balance,
            base_port: settings.base_port,
            output: settings.output,
            launcher: if settings.launcher.is_empty() {
                context.shared.host.launcher.clone()
            } else {
                settings.launcher.clone()
            },
        };
        let shared = &context.shared;
        let platform = shared.pool.get_or_make(&format!("{plan:?}"), || Platform::new(plan.clone(), shared));
        let hold = |(place, entry): (usize, &procfile::ProcfileEntry), count: u32| {
            platform.hold(&entry.name, place, terms(&entry.command), count)
        };
        let scaled = hold(scaled, settings.processes);
        let also_run = others.into_iter().map(|(found, count)| hold(found, count)).collect();
        Ok(Box::new(Self { platform, scaled, also_run }))
    }
}

#[async_trait]
impl Scale for Local {
    /// The first call starts the platform: without it there would be nothing to count.
    async fn count(&self) -> Result<u32, ScaleError> {
        self.begin().await?;
        Ok(self.scaled.entry.board.wanted())
    }

    async fn scale_to(&self, order: &Order) -> Result<Scaled, ScaleError> {
        self.begin().await?;
        let name = self.process();
        if order.to > MOST_PROCESSES {
            let problem =
                format!("{} processes of {name}: this machine is not asked for more than {MOST_PROCESSES}", order.to);
            return Err(ScaleError::new("too_many", problem));
        }
        Ok(if self.platform.scale(&self.scaled, order.to, &order.free) { Scaled::Done } else { Scaled::AlreadyThere })
    }

    async fn web_url(&self) -> Result<Option<Url>, ScaleError> {
        self.begin().await?;
        let Some(mut address) = self.platform.router() else { return Ok(None) };
        if address.ip().is_unspecified() {
            // "Every address of this machine" is nothing that can be connected to.
            address.set_ip(if address.is_ipv4() {
                Ipv4Addr::LOCALHOST.into()
            } else {
                std::net::Ipv6Addr::LOCALHOST.into()
            });
        }
        let url = Url::parse(&format!("http://{address}/"));
        url.map(Some).map_err(|error| ScaleError::new("web_url", format!("the router's address {address}: {error}")))
    }

    fn group(&self) -> Option<String> {
        Some(self.platform.key())
    }

    fn victims(&self) -> Victims {
        Victims::Chosen
    }

    fn whose(&self, name: &str) -> Whose {
        match Whose::numbered(name, self.process().as_str()) {
            // One that is being stopped finishes its work and is no longer counted.
            Whose::Number(number) if !self.scaled.entry.board.wants(number) => Whose::Another,
            whose => whose,
        }
    }

    fn remarks(&self) -> Vec<String> {
        vec!["runs on this machine, and only as long as this program does".to_owned()]
    }

    async fn shutdown(&self, limit: Duration) {
        let all = self.also_run.iter().chain([&self.scaled]);
        futures_util::future::join_all(all.map(|holding| self.platform.end(holding, limit))).await;
    }
}

impl Local {
    async fn begin(&self) -> Result<(), ScaleError> {
        for holding in self.also_run.iter().chain([&self.scaled]) {
            self.platform.begin(holding).await?;
        }
        Ok(())
    }

    fn process(&self) -> &ProcessName {
        &self.scaled.entry.name
    }
}
