//! Real brokers and databases as children of a test: each on free loopback ports, with a folder of its own.
//!
//! `start().await` comes back when the server is ready, or panics with what the server said. Dropping one ends it and
//! all that it started. `stop` and `restart` keep ports and data, so a test can take a broker away in the middle and
//! bring it back; `kill` is an accident; `pause` makes it a server that accepts connections and never answers.
//! `cargo xtask test` installs the programs. Nothing here uses the machine's own services, their ports or their data.

mod cluster;
mod moto;
mod nats;
mod postgres;
mod prometheus;
mod rabbitmq;
mod redis;
mod sentinel;
mod tls;

pub use self::{
    cluster::Cluster,
    moto::Moto,
    nats::Nats,
    postgres::Postgres,
    prometheus::{Prometheus, promtool},
    rabbitmq::RabbitMq,
    redis::Redis,
    sentinel::Sentinel,
    tls::Certificates,
};

use std::{
    net::TcpListener,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use tokio::time::timeout;

use crate::program::Program;

/// How long a server may take to start or stop. RabbitMQ alone needs 10 s on two cores; four may start at a time.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a server that is dropped may take to tidy up.
const DROP_LIMIT: Duration = Duration::from_secs(5);

/// How long a client of a server may take for one question.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// How often a server is started with other ports before something else must be wrong.
const ATTEMPTS: usize = 3;

/// A server that can be taken away and brought back.
pub struct Server {
    make: Box<dyn Fn() -> Command + Send + Sync>,
    ready: fn(&str) -> bool,
    stop_signal: &'static str,
    program: Program,
}

impl Server {
    /// Starts what `make` makes and waits until its output is `ready`. `stop_signal` asks it to end in good order.
    ///
    /// # Errors
    /// Its output, when it ends by itself: somebody else may have taken its port.
    ///
    /// # Panics
    /// When it runs and does not become ready.
    pub async fn start(
        make: impl Fn() -> Command + Send + Sync + 'static,
        ready: fn(&str) -> bool,
        stop_signal: &'static str,
    ) -> Result<Self, String> {
        let program = run(&make, ready).await?;
        Ok(Self { make: Box::new(make), ready, stop_signal, program })
    }

    /// What it has printed since its last start.
    #[must_use]
    pub fn output(&self) -> String {
        self.program.output()
    }

    /// Ends it in good order; what it keeps on disk is kept.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn stop(&mut self) {
        self.program.signal_all("CONT");
        self.program.signal(self.stop_signal);
        let ended = self.program.end(PATIENCE).await;
        assert!(ended.is_some(), "a server does not stop: {}", self.output());
        // What it may have left of its group.
        self.program.kill();
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// Ends it in good order, but soon, and without a runtime: for servers that leave something behind when they are killed.
    fn end_now(&mut self, signal: &str) {
        self.program.signal_all("CONT");
        self.program.end_now(signal, DROP_LIMIT);
    }

    /// Starts it again, with the ports and the folder that it had.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn restart(&mut self) {
        self.program.kill();
        self.program = run(&self.make, self.ready).await.unwrap_or_else(|output| panic!("no restart: {output}"));
    }

    /// Freezes it: connections are accepted, nothing is answered.
    ///
    /// # Panics
    /// When it does not stand still within a second.
    pub fn pause(&self) {
        self.program.signal_all("STOP");
        // A signal is sent before it is obeyed; on a busy machine a question could still be answered in between.
        let stands_still = (0..1000).any(|_| {
            std::thread::park_timeout(Duration::from_millis(1));
            self.program.is_stopped()
        });
        assert!(stands_still, "a server goes on after SIGSTOP: {}", self.output());
    }

    /// Goes on after [`Server::pause`].
    pub fn resume(&self) {
        self.program.signal_all("CONT");
    }
}

async fn run(make: &(dyn Fn() -> Command + Send + Sync), ready: fn(&str) -> bool) -> Result<Program, String> {
    let mut command = make();
    let mut program = Program::start_group(&mut command);
    let look = Duration::from_millis(20);
    for _ in 0..PATIENCE.as_millis() / look.as_millis() {
        if ready(&program.output()) {
            return Ok(program);
        }
        if program.end(look).await.is_some() {
            // The rest of its output may still be on its way.
            tokio::time::sleep(look).await;
            return Err(format!("{command:?} ended: {}", program.output()));
        }
    }
    panic!("{command:?} does not become ready: {}", program.output());
}

/// Starts something on free ports; on others when it ends at once, because between looking for a free port and using it
/// somebody else may have been faster.
async fn on_free_ports<const COUNT: usize, T>(start: impl AsyncFn([u16; COUNT]) -> Result<T, String>) -> T {
    let mut why = String::new();
    for _ in 0..ATTEMPTS {
        match start(free_ports()).await {
            Ok(started) => return started,
            Err(output) => why = output,
        }
    }
    panic!("{why}");
}

/// Ports of the loopback interface that nobody uses now.
///
/// # Panics
/// When there are none.
#[must_use]
pub fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    // All are held until all are known, so no two are the same.
    let held = [(); COUNT].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free loopback port"));
    held.map(|listener| listener.local_addr().expect("a bound socket has an address").port())
}

/// A program that refuses to be root, for servers that live in `folder`: without environment, and as somebody else if
/// we are root. The folder then belongs to that somebody.
fn unprivileged(program: &Path, folder: &Path) -> Command {
    const USER: &str = "nobody";
    const GROUP: &str = "nogroup";
    let we_are_root = std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
    let mut command = if we_are_root {
        let owner = format!("{USER}:{GROUP}");
        let owned =
            Command::new("chown").args(["--recursive", &owner]).arg(folder).status().expect("the chown command");
        assert!(owned.success(), "chown {owner} {}", folder.display());
        let mut command = Command::new("setpriv");
        command.args(["--reuid", USER, "--regid", GROUP, "--clear-groups", "--inh-caps=-all"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", folder).env("LANG", "C.UTF-8");
    command.current_dir(folder);
    command
}

/// Runs a client to its end and returns what it printed.
async fn ask(command: Command) -> String {
    let shown = format!("{command:?}");
    let mut command = tokio::process::Command::from(command);
    let output = timeout(ANSWER_LIMIT, command.kill_on_drop(true).output()).await;
    let Output { status, stdout, stderr } = output
        .unwrap_or_else(|_| panic!("{shown} has no answer"))
        .unwrap_or_else(|error| panic!("{shown} does not start: {error}; `cargo xtask test` installs it"));
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{shown}: {stdout}{stderr}");
    stdout.trim_end_matches('\n').to_owned()
}

/// A path as text, for command lines.
fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().expect("test folders have plain names")
}
